"""The bootstrap's draws: reproducible, of the right kind, and bounded in work."""

import numpy as np
import pytest

from mlbot.stats.bootstrap import FEWEST_REPLICATES, REPLICATES, Resampler, budget
from mlbot.stats.types import Undefined, UndefinedMetricError, Weights


def _weights_of(resampler: Resampler) -> list[Weights]:
    seen: list[Weights] = []

    def score(weights: Weights) -> list[float]:
        seen.append(weights.copy())
        return [float(weights.sum())]

    resampler.replicate(score, 1)
    return seen


def test_the_same_seed_draws_the_same_weights() -> None:
    first, again, other = (np.array(_weights_of(Resampler(rows=20, seed=seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_rows_are_drawn_as_poisson_with_mean_and_variance_one() -> None:
    weights = np.array(_weights_of(Resampler(rows=200)), np.float64)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(0, abs=0.1)


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = np.array([7, 7, 3, 9, 3, 3])
    for weights in _weights_of(Resampler(rows=6, groups=groups)):
        by_group = {code: set(weights[groups == code].tolist()) for code in (3, 7, 9)}
        assert all(len(found) == 1 for found in by_group.values())
        assert sum(found.pop() for found in by_group.values()) == 3


def test_the_variance_of_a_mean_of_groups_is_that_of_the_group_means() -> None:
    """With groups of one size, the closed form is the groups' variance over G."""
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=12), 5) + 0.1 * rng.normal(size=60)
    groups = np.repeat(np.arange(12), 5)
    found = Resampler(rows=60, groups=groups).replicate(lambda w: [float(np.average(values, weights=w))], 1)
    expected = values.reshape(12, 5).mean(axis=1).var(ddof=1) / 12
    assert found.covariance()[0, 0] == pytest.approx(expected, rel=0.12)
    assert found.df(60) == 11


def test_many_rows_get_fewer_replicates_and_never_too_few() -> None:
    assert budget(100, 2) == budget(0, 6) == REPLICATES
    assert FEWEST_REPLICATES < budget(1_000_000, 6) < REPLICATES
    assert budget(10**9, 10) == FEWEST_REPLICATES


def test_replicates_without_a_value_are_left_out_and_counted() -> None:
    calls = iter(range(10_000))

    def sometimes(weights: Weights) -> list[float]:
        if next(calls) % 50 == 0:
            raise UndefinedMetricError(Undefined.ONE_CLASS, "none")
        return [float(weights.sum())]

    found = Resampler(rows=20).replicate(sometimes, 1)
    assert len(found.values) == 980
    assert found.df(5000) == 979
    assert found.df(20) == 19
