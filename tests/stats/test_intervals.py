"""Exact shares, one model's interval, and the history's prediction interval."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from tests.support.stats_samples import CASES, sample

from mlbot.gates.metric import Task
from mlbot.stats.estimation import estimate, estimate_custom
from mlbot.stats.intervals import benjamini_hochberg, clopper_pearson, metric_interval


@given(st.integers(1, 5000), st.data())
def test_clopper_pearson_is_statsmodels(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = clopper_pearson(successes, trials)
    expected = proportion_confint(successes, trials, alpha=0.1, method="beta")
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_clopper_pearson_of_the_published_examples() -> None:
    """Fagerland, Lydersen, Laake (2017), chapter 2: 13 of 16; and no failures in ten."""
    some, every = clopper_pearson(13, 16, level=0.95), clopper_pearson(10, 10, level=0.95)
    assert (some.low, some.high) == pytest.approx((0.5435, 0.9595), abs=5e-5)
    assert (every.low, every.high) == pytest.approx((0.6915, 1.0), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(successes, trials)


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_the_interval_holds_the_value_and_stays_in_range(metric: str, task: Task) -> None:
    y, predictions = sample(task, 80, models=2)
    found = estimate(metric, task, y, predictions)
    for model, value in enumerate(found.values):
        narrow, wide = (metric_interval(metric, found, model, level) for level in (0.5, 0.99))
        assert wide.low < narrow.low <= value <= narrow.high < wide.high
        if task.is_classification and metric not in {"log_loss", "coverage_error"} and "likelihood" not in metric:
            assert wide.low >= -1
            assert wide.high <= (2 if metric == "brier_score_loss" else 1)


def test_shares_of_rows_are_exact() -> None:
    y, (p,) = sample(Task.BINARY, 70)
    right = (p > 0.5) == y
    for metric, chosen in (("accuracy", y < 2), ("recall", y == 1), ("precision", p > 0.5)):
        expected = clopper_pearson(int(right[chosen].sum()), int(chosen.sum()))
        assert metric_interval(metric, estimate(metric, Task.BINARY, y, [p])) == expected


def test_a_perfect_ranking_is_not_certain() -> None:
    y = np.repeat([0, 1], [50, 9]).astype(np.int8)
    found = estimate("roc_auc", Task.BINARY, y, [np.linspace(0.0, 1.0, 59)])
    assert found.values[0] == 1
    assert metric_interval("roc_auc", found) == clopper_pearson(9, 9)


@pytest.mark.parametrize(
    ("metric", "task", "weights"),
    [
        ("accuracy", Task.BINARY, [0.7, 2.3, 0.3, 2.3, 1.1, 2.3, 0.1, 1.1]),
        ("precision", Task.BINARY, [1.1, 0.7, 2.3, 0.7, 0.3, 0.7]),
        ("roc_auc", Task.BINARY, [0.7, 0.3, 0.7, 0.3, 0.7, 0.3]),
        ("balanced_accuracy", Task.BINARY, [0.3, 1.1, 0.1, 2.3, 0.7, 0.1, 0.3, 1.1]),
        ("f1_weighted", Task.BINARY, [2.3, 1.1, 2.3, 2.3, 0.7, 0.3, 0.1, 0.7, 0.1, 2.3]),
        ("f1_weighted", Task.BINARY, [0.3, 1.1, 0.1, 1.1, 2.3, 0.1, 0.7, 2.3, 0.3, 0.3]),
        ("f1_samples", Task.MULTILABEL, [0.7, 2.3, 1.1, 1.1, 0.7, 2.3, 1.1, 2.3]),
        ("f1_samples", Task.MULTILABEL, [2.3, 1.1, 0.3, 0.1, 0.1, 0.3, 2.3, 0.3]),
        ("ndcg", Task.RANKING, [0.3] * 6),
    ],
)
def test_rounding_of_weights_makes_no_perfect_model_certain(metric: str, task: Task, weights: list[float]) -> None:
    """Weighted means of ones come out at 1 give or take a step of a float."""
    right = np.arange(len(weights)) % 2
    y, p = right, np.where(right == 1, 0.9, 0.1)
    if task is Task.MULTILABEL:
        y, p = np.column_stack((y, 1 - y)), np.column_stack((p, 1 - p))
    queries = np.arange(len(weights)) // 2 if task is Task.RANKING else None
    found = metric_interval(metric, estimate(metric, task, y, [p], weights=np.array(weights), groups=queries))
    assert found.high == 1
    assert 0 < found.low < 0.8


def test_a_loss_of_nothing_has_no_width() -> None:
    y = np.array([1.0, 2.0, 3.0])
    found = estimate("mean_absolute_error", Task.REGRESSION, y, [y])
    interval = metric_interval("mean_absolute_error", found)
    assert (interval.low, interval.high) == (0, 0)


def test_the_scales_are_the_delta_method() -> None:
    y, (p,) = sample(Task.BINARY, 90)
    auc = estimate("roc_auc", Task.BINARY, y, [p])
    value, error = auc.values[0], np.sqrt(auc.covariance[0, 0])
    t = stats.t.ppf(0.95, auc.df)
    centre, step = np.log(value / (1 - value)), t * error / (value * (1 - value))
    expected = [1 / (1 + np.exp(-(centre + side * step))) for side in (-1, 1)]
    interval = metric_interval("roc_auc", auc)
    assert [interval.low, interval.high] == pytest.approx(expected, rel=1e-10)
    loss = estimate("log_loss", Task.BINARY, y, [p])
    value, error = loss.values[0], np.sqrt(loss.covariance[0, 0])
    interval = metric_interval("log_loss", loss)
    assert [interval.low, interval.high] == pytest.approx([value * np.exp(s * t * error / value) for s in (-1, 1)])


def test_a_custom_metric_is_bounded_on_its_own_scale() -> None:
    y, (p,) = sample(Task.BINARY, 60)
    found = estimate_custom(_profit, Task.BINARY, y, [p])
    half = stats.t.ppf(0.95, found.df) * np.sqrt(found.covariance[0, 0])
    interval = metric_interval("profit", found)
    assert (interval.low, interval.high) == pytest.approx((found.values[0] - half, found.values[0] + half))


def _profit(y: Any, prediction: Any, sample_weight: Any = None) -> float:
    return float(np.average(10.0 * y - 3 * prediction, weights=sample_weight))


# Adjusted p values against statsmodels.

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(p_values)
def test_benjamini_hochberg_is_that_of_statsmodels(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(list(multipletests(p, method="fdr_bh")[1]), rel=1e-10)


@given(p_values)
def test_the_order_of_tests_does_not_matter(p: list[float]) -> None:
    assert benjamini_hochberg(p[::-1]) == benjamini_hochberg(p)[::-1]


@given(p_values)
def test_an_adjustment_never_helps_an_alarm(p: list[float]) -> None:
    assert all(raw <= shown for raw, shown in zip(p, benjamini_hochberg(p), strict=True))


def test_one_test_needs_no_adjustment_and_none_is_none() -> None:
    assert benjamini_hochberg([0.03]) == [0.03]
    assert benjamini_hochberg([]) == []


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([p])
