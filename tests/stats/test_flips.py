"""The excess of negative flips, against a count over all pairs of seeds and against a bootstrap."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlbot.stats.flips import ExcessFlips, FlipRows, excess_flips

ROWS = 1500


def seeds(count: int, *, base: int = 1, noise: float = 0.4, better: float = 0.0, rows: int = ROWS) -> Any:
    """Models of one recipe: rows have their difficulty, seeds their luck."""
    rng = np.random.default_rng(base)
    difficulty = np.random.default_rng(99).normal(size=rows) - 1.2 - better
    return rng.normal(scale=noise, size=(count, rows)) > difficulty


def found(candidate: Any, baseline: Any, **given: Any) -> ExcessFlips:
    result = excess_flips(candidate, baseline, **given)
    assert result is not None
    return result


@pytest.mark.parametrize(("ours", "theirs"), [(2, 3), (3, 3), (5, 3), (3, 5)])
def test_rates_are_those_of_all_pairs_of_seeds(ours: int, theirs: int) -> None:
    candidate, baseline = seeds(ours, base=2), seeds(theirs)
    flips = [np.mean(b & ~c) for b, c in product(baseline, candidate)]
    own = [np.mean(baseline[i] & ~baseline[j]) for i, j in product(range(theirs), repeat=2) if i != j]
    result = found(candidate, baseline)
    assert result.rate == pytest.approx(np.mean(flips))
    assert result.own == pytest.approx(np.mean(own))
    assert result.excess == pytest.approx(np.mean(flips) - np.mean(own))
    assert result.low < result.excess < result.high


def test_the_variance_is_that_of_new_rows_and_new_seeds() -> None:
    draws, deviations = [], []
    rng = np.random.default_rng(5)
    for each in range(400):
        chosen = rng.integers(0, ROWS, ROWS)
        result = found(seeds(3, base=10_000 + each)[:, chosen], seeds(3, base=20_000 + each)[:, chosen])
        draws.append(result.excess)
        deviations.append(result.variance)
    assert np.mean(draws) == pytest.approx(0, abs=3 * float(np.std(draws)) / 20)
    # the seeds' luck on single rows is in both of its parts, so it is never too small
    assert 1.0 < np.mean(deviations) / np.var(draws) < 2.5


def test_the_rows_part_is_what_a_bootstrap_gives() -> None:
    candidate, baseline = seeds(1, base=2), seeds(1)
    given = {"candidate_deterministic": True, "baseline_deterministic": True}
    groups = np.arange(ROWS) // 5
    rng = np.random.default_rng(0)
    flips = (baseline & ~candidate)[0]
    by_row = [flips[rng.integers(0, ROWS, ROWS)].mean() for _ in range(6000)]
    by_group = [flips.reshape(-1, 5)[rng.integers(0, ROWS // 5, ROWS // 5)].mean() for _ in range(6000)]
    exact = found(candidate, baseline, **given)
    clustered = found(candidate, baseline, rows=FlipRows(groups=groups), **given)
    assert exact.variance == pytest.approx(np.var(by_row), rel=0.1)
    assert clustered.variance == pytest.approx(np.var(by_group), rel=0.1)
    assert clustered.df == ROWS // 5 - 1


def test_rows_that_come_twice_in_a_group_are_one_row() -> None:
    candidate, baseline = seeds(3, base=2), seeds(3)
    groups = FlipRows(groups=np.tile(np.arange(ROWS), 2))
    once = found(candidate, baseline)
    twice = found(np.tile(candidate, 2), np.tile(baseline, 2), rows=groups)
    assert (twice.rate, twice.own) == pytest.approx((once.rate, once.own))
    assert twice.variance == pytest.approx(once.variance, rel=0.02)


def test_a_weight_of_two_counts_as_two_rows() -> None:
    candidate, baseline = seeds(3, base=2), seeds(3)
    counts = np.random.default_rng(1).integers(0, 3, ROWS)
    weighed = found(candidate, baseline, rows=FlipRows(weights=counts.astype(float)))
    repeated = found(np.repeat(candidate, counts, axis=1), np.repeat(baseline, counts, axis=1))
    assert (weighed.rate, weighed.own) == pytest.approx((repeated.rate, repeated.own))
    assert weighed.variance > repeated.variance  # two copies of a row are no two rows


def test_two_given_files_have_the_exact_interval_of_a_share() -> None:
    candidate, baseline = seeds(1, base=2), seeds(1)
    result = found(candidate, baseline, candidate_deterministic=True, baseline_deterministic=True, limit=0.05)
    count = int((baseline & ~candidate).sum())
    interval = stats.binomtest(count, ROWS).proportion_ci(0.9)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high))
    assert result.p == pytest.approx(stats.binomtest(count, ROWS, 0.05, alternative="greater").pvalue)
    assert result.own == 0


def test_a_deterministic_baseline_has_no_flips_of_its_own() -> None:
    candidate, baseline = seeds(3, base=2), seeds(1)
    alone = found(candidate, baseline, baseline_deterministic=True)
    thrice = found(candidate, np.repeat(baseline, 3, axis=0))
    assert alone.own == thrice.own == 0
    assert alone.variance == pytest.approx(thrice.variance)
    assert alone.rate == pytest.approx(np.mean([np.mean(baseline[0] & ~each) for each in candidate]))


@pytest.mark.parametrize(
    ("ours", "theirs", "known", "enough"),
    [
        (2, 3, (False, False), True),
        (2, 2, (False, False), False),
        (3, 1, (False, False), False),
        (1, 3, (False, False), False),
        (1, 3, (True, False), True),
        (2, 1, (False, True), True),
        (1, 1, (True, True), True),
        (1, 1, (True, False), False),
    ],
)
def test_few_seeds_say_nothing(ours: int, theirs: int, known: tuple[bool, bool], enough: bool) -> None:  # noqa: FBT001
    mine, other = known
    result = excess_flips(
        seeds(ours, base=2), seeds(theirs), candidate_deterministic=mine, baseline_deterministic=other
    )
    assert (result is not None) is enough


def test_no_flip_at_all_is_not_certain() -> None:
    right = np.ones((3, 50), dtype=bool)
    result = found(right, right, limit=0.01)
    assert result.excess == 0
    assert result.low < 0
    assert result.high > 0.01
    both = found(right, right, candidate_deterministic=True, baseline_deterministic=True, limit=0.01)
    assert (both.low, both.p) == (0, 1)
    assert both.high == pytest.approx(1 - 0.05 ** (1 / 50))


def test_a_candidate_that_flips_more_is_found_and_one_that_does_not_is_not() -> None:
    baseline = seeds(3)
    worse = found(seeds(3, base=2, better=-0.3), baseline)
    same = found(seeds(3, base=2), baseline)
    assert worse.low > 0.01
    assert worse.p < 0.01
    assert same.low < 0 < same.high
    assert same.p > 0.05


def test_one_row_and_one_group_are_no_evidence() -> None:
    one = np.ones((3, 1), dtype=bool)
    assert found(one, one).high > 1
    alone = found(seeds(3, base=2), seeds(3), rows=FlipRows(groups=np.zeros(ROWS, dtype=int)))
    assert alone.high - alone.low > 0
