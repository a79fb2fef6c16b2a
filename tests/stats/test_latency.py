"""The interval of a median from order statistics."""

import numpy as np
import pytest
from scipy import stats

from mlbot.stats.latency import FEWEST_ROUNDS, Middle, middle, rank_of


@pytest.mark.parametrize(
    ("rounds", "rank"), [(1, None), (5, None), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (19, 5), (20, 6), (100, 40)]
)
def test_the_rank_is_the_highest_that_covers(rounds: int, rank: int | None) -> None:
    assert rank_of(rounds) == rank
    if rank is not None:
        coverage = [1 - 2 * stats.binom.cdf(each - 1, rounds, 0.5) for each in (rank, rank + 1)]
        assert coverage[0] >= 0.95 > coverage[1]


def test_the_sixth_and_the_fifteenth_of_twenty() -> None:
    assert middle(range(20, 0, -1)) == Middle(median=10.5, low=6, high=15)
    assert 1 - 2 * stats.binom.cdf(5, 20, 0.5) == pytest.approx(0.9586, abs=1e-4)


def test_too_few_rounds_have_a_median_and_no_interval() -> None:
    assert middle([3.0, 1.0, 2.0]) == Middle(median=2.0, low=None, high=None)
    assert rank_of(FEWEST_ROUNDS) == 1
    assert rank_of(FEWEST_ROUNDS - 1) is None


def test_it_covers_whatever_the_law() -> None:
    rng = np.random.default_rng(3)
    draws = [middle(list(rng.pareto(0.7, 20))) for _ in range(2000)]
    median = 2 ** (1 / 0.7) - 1
    share = np.mean([each.low <= median <= each.high for each in draws if each.low is not None and each.high])
    assert share == pytest.approx(0.9586, abs=0.015)
