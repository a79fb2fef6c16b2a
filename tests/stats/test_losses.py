"""Row losses under whole-number weights are the losses of the repeated rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stats_samples import reference, sample

from mlbot.gates.metric import Task
from mlbot.stats.losses import classification_loss, median_error, regression_loss
from mlbot.stats.types import Undefined, UndefinedMetricError

REGRESSION = (
    "r2",
    "root_mean_squared_error",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "median_absolute_error",
)


@given(st.sampled_from(REGRESSION), st.integers(0, 1000))
def test_weighted_regression(metric: str, seed: int) -> None:
    y, (p,) = sample(Task.REGRESSION, 31, seed=seed)
    weights = np.random.default_rng(seed).integers(0, 4, 31)
    statistic = median_error(y, p) if metric == "median_absolute_error" else regression_loss(metric, y, p)
    expected = reference(metric, Task.REGRESSION, np.repeat(y, weights), np.repeat(p, weights))
    assert statistic.weighted(weights.astype(np.float64)) == pytest.approx(expected, rel=1e-11)
    assert statistic.support == 31


@pytest.mark.parametrize("metric", ["log_loss", "brier_score_loss"])
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_certain_and_wrong_is_clipped_as_in_scikit_learn(metric: str, task: Task) -> None:
    y = np.array([0, 1, 1, 0, 2])[: 4 if task is Task.BINARY else 5]
    p = np.array([0.0, 0.0, 1.0, 1.0]) if task is Task.BINARY else np.eye(3)[[0, 0, 1, 2, 2]]
    found = classification_loss(metric, y, p)
    assert found.value() == pytest.approx(reference(metric, task, y, p), rel=1e-12)


def test_a_large_offset_costs_no_digits() -> None:
    y, (p,) = sample(Task.REGRESSION, 50)
    near, far = regression_loss("r2", y, p), regression_loss("r2", y + 1e6, p + 1e6)
    assert far.value() == pytest.approx(near.value(), rel=1e-8)
    np.testing.assert_allclose(far.influence(), near.influence(), rtol=1e-7, atol=1e-9)


def test_a_perfect_fit_has_no_error_and_no_noise() -> None:
    y, _ = sample(Task.REGRESSION, 20)
    perfect = regression_loss("root_mean_squared_error", y, y)
    assert perfect.value() == 0
    assert not perfect.influence().any()


@pytest.mark.parametrize("metric", REGRESSION)
def test_no_weight_is_no_rows(metric: str) -> None:
    y, (p,) = sample(Task.REGRESSION, 10)
    statistic = median_error(y, p) if metric == "median_absolute_error" else regression_loss(metric, y, p)
    with pytest.raises(UndefinedMetricError) as caught:
        statistic.weighted(np.zeros(10))
    assert caught.value.reason is Undefined.EMPTY
