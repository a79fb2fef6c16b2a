"""Values against scikit-learn, covariances against independent formulas, and what has no value."""

import itertools
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    f1_score,
    fbeta_score,
    jaccard_score,
    max_error,
    mean_pinball_loss,
    precision_score,
    r2_score,
    recall_score,
    top_k_accuracy_score,
)
from tests.support.stats_samples import APART, CASES, reference, sample
from tests.support.tiers import NIGHTLY

from mlbot.gates.metric import CATALOGUE, Settings, Task
from mlbot.stats.estimation import FEWEST_REPLICATES, REPLICATES, Resampler, budget, estimate, estimate_custom
from mlbot.stats.intervals import metric_interval
from mlbot.stats.metrics import EXTREMES, RESAMPLED, effective
from mlbot.stats.types import Method, NoIntervalError, Undefined, UndefinedMetricError, Weights

Array = npt.NDArray[Any]
BOOTSTRAPPED = RESAMPLED
WITH_INFLUENCE = [(metric, task) for metric, task in CASES if metric not in BOOTSTRAPPED]
DELTA = [case for case in WITH_INFLUENCE if "roc_auc" not in case[0]]  # DeLong's covariance is that of two samples
ONE_OF_A_KIND = [case for case in WITH_INFLUENCE if case[0] in {"f1_macro", "log_loss", "r2", "roc_auc", "roc_auc_ovo"}]
MEANS = [
    ("log_loss", Task.BINARY),
    ("brier_score_loss", Task.MULTICLASS),
    ("mean_squared_error", Task.REGRESSION),
    ("mean_absolute_error", Task.REGRESSION),
]


@pytest.mark.parametrize(("metric", "task"), CASES)
@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.nightly) for each in (1, 2))])
def test_values_are_those_of_scikit_learn(metric: str, task: Task, seed: int) -> None:
    y, predictions = sample(task, 157, models=2, seed=seed)
    found = estimate(metric, task, y, predictions)
    expected = [reference(metric, task, y, prediction) for prediction in predictions]
    np.testing.assert_allclose(found.values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", ["log_loss", "brier_score_loss", "accuracy", "f1_macro"])
def test_two_class_columns_give_what_one_column_gives(metric: str) -> None:
    y, (p,) = sample(Task.BINARY, 90)
    two = np.column_stack((1 - p, p))
    found = estimate(metric, Task.MULTICLASS, y, [two])
    assert found.values[0] == pytest.approx(reference(metric, Task.MULTICLASS, y, two), rel=1e-12)


def _along(direction: Array, metric: str, task: Task, y: Array, prediction: Array, weights: Array) -> float:
    """How scikit-learn's metric moves with the rows' weights in a direction: central differences, extrapolated."""

    def slope(step: float) -> float:
        up, down = (reference(metric, task, y, prediction, weights * (1 + way * direction)) for way in (step, -step))
        return (up - down) / (2 * step)

    return (4 * slope(0.005) - slope(0.01)) / 3


def _slopes(metric: str, task: Task, y: Array, prediction: Array, weights: Array) -> Array:
    """The same with each row's own weight, n times."""
    return len(y) * np.array([_along(row, metric, task, y, prediction, weights) for row in np.eye(len(y))])


@pytest.mark.nightly  # with weights it is asked on every change, and equal weights are none
@pytest.mark.parametrize(("metric", "task"), DELTA)
def test_the_delta_method_is_the_infinitesimal_jackknife(metric: str, task: Task) -> None:
    """B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans" (1982), chapter 6."""
    y, predictions = sample(task, 27, models=2)
    columns = np.stack([_slopes(metric, task, y, prediction, np.ones(27)) for prediction in predictions])
    found = estimate(metric, task, y, predictions)
    np.testing.assert_allclose(found.covariance, np.cov(columns) / len(y), rtol=1e-7, atol=1e-12)


WEIGHED = [case for case in CASES if "_ovo" not in case[0]]  # those of scikit-learn


def _weights(rows: int, seed: int = 0) -> Array:
    weights = np.random.default_rng(seed).gamma(2.0, 1.0, rows)
    weights[8::7] = 0
    return weights


@pytest.mark.parametrize(("metric", "task"), WEIGHED)
def test_weighted_values_are_those_of_scikit_learn(metric: str, task: Task) -> None:
    y, predictions = sample(task, 157, models=2)
    found = estimate(metric, task, y, predictions, weights=_weights(157))
    expected = [reference(metric, task, y, prediction, _weights(157)) for prediction in predictions]
    np.testing.assert_allclose(found.values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_weights_of_whole_numbers_count_rows_again(metric: str, task: Task) -> None:
    y, predictions = sample(task, 40, models=2)
    weights = np.random.default_rng(1).integers(1, 4, 40)
    found = estimate(metric, task, y, predictions, weights=weights.astype(float))
    again = estimate(metric, task, np.repeat(y, weights, axis=0), [np.repeat(p, weights, axis=0) for p in predictions])
    np.testing.assert_allclose(found.values, again.values, rtol=1e-12)
    df = effective(weights) - 1
    if task is Task.MULTILABEL and found.influence is not None:  # few rows may carry the variance
        fourth, second = (stats.moment(found.influence, order, axis=1, center=0) for order in (4, 2))
        df = min(df, max(1.0, 2 * len(y) / max(1.0, float((fourth / second**2).max()) - 1)))
    assert found.df == pytest.approx(df)


@given(seed=st.integers(0, 10_000), case=st.sampled_from(DELTA))
def test_the_order_of_weighted_rows_does_not_matter(seed: int, case: tuple[str, Task]) -> None:
    metric, task = case
    y, (p,) = sample(task, 40, seed=seed)
    weights = _weights(40, seed)
    order = np.random.default_rng(seed).permutation(40)
    one = estimate(metric, task, y, [p], weights=weights)
    other = estimate(metric, task, y[order], [p[order]], weights=weights[order])
    np.testing.assert_allclose(other.values, one.values, rtol=1e-10)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_equal_weights_are_none(metric: str, task: Task) -> None:
    y, predictions = sample(task, 60, models=2)
    found = estimate(metric, task, y, predictions)
    weighed = estimate(metric, task, y, predictions, weights=np.full(60, 0.3))
    for one, other in ((weighed.values, found.values), (weighed.support, found.support)):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(weighed.covariance, found.covariance, rtol=1e-9, atol=1e-15)
    assert weighed.df == pytest.approx(found.df)


WEIGHED_DELTA = [case for case in WEIGHED if case in DELTA]


@pytest.mark.parametrize(("metric", "task"), WEIGHED_DELTA)
def test_a_weighted_influence_is_how_the_metric_moves(metric: str, task: Task) -> None:
    """A wrong influence of any row shows in every direction but those of measure zero."""
    (y, predictions), weights = sample(task, 12, models=2), _weights(12, seed=2)
    found = estimate(metric, task, y, predictions, weights=weights)
    direction = np.random.default_rng(5).uniform(-1, 1, 12)
    moves = [_along(direction, metric, task, y, prediction, weights) for prediction in predictions]
    assert found.influence is not None
    np.testing.assert_allclose(found.influence @ direction / 12, moves, rtol=1e-6, atol=1e-12)
    assert found.method is Method.DELTA


@pytest.mark.parametrize(
    ("metric", "task"),
    [pytest.param(*case, marks=() if case in ONE_OF_A_KIND else pytest.mark.nightly) for case in WEIGHED_DELTA],
)
def test_a_weighted_influence_is_the_infinitesimal_jackknife_too(metric: str, task: Task) -> None:
    y, predictions = sample(task, 12, models=2)
    weights = _weights(12, seed=2)
    columns = np.stack([_slopes(metric, task, y, prediction, weights) for prediction in predictions])
    rows = effective(weights)
    found = estimate(metric, task, y, predictions, weights=weights)
    expected = (columns - columns.mean(axis=1, keepdims=True)) @ columns.T / 12**2 * rows / (rows - 1)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("metric", ["roc_auc", "roc_auc_ovr", "roc_auc_ovo_weighted", "roc_auc_ovr_weighted"])
def test_weighted_areas_agree_with_the_bootstrap(metric: str) -> None:
    task = Task.BINARY if metric == "roc_auc" else Task.MULTICLASS
    y, predictions = sample(task, 600, models=2)
    weights = _weights(600)
    found = estimate(metric, task, y, predictions, weights=weights)
    again = estimate(metric, task, y, predictions, weights=weights, groups=np.arange(600))
    np.testing.assert_allclose(np.diag(again.covariance), np.diag(found.covariance), rtol=0.2)


def test_a_value_without_an_interval_is_still_a_value() -> None:
    y = np.array([0, 0, 1, 2, 0, 1])
    p = np.array([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.4, 0.5], [0.3, 0.4, 0.3], [0.4, 0.3, 0.3]])
    with pytest.raises(NoIntervalError, match="two positive rows, and there is one") as caught:
        estimate("roc_auc_ovr", Task.MULTICLASS, y, [p, p])
    expected = reference("roc_auc_ovr", Task.MULTICLASS, y, p)
    assert caught.value.values == pytest.approx([expected, expected], rel=1e-12)


def test_the_mean_area_is_of_the_classes_that_occur_where_scikit_learn_has_one() -> None:
    y, (p,) = sample(Task.MULTICLASS, 60)
    y, p = y[y < 2], p[y < 2]
    for metric in ("roc_auc_ovr_weighted", "roc_auc_ovo", "roc_auc_ovo_weighted"):
        found = estimate(metric, Task.MULTICLASS, y, [p])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = reference(metric, Task.MULTICLASS, y, p)
        assert found.values[0] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(UndefinedMetricError, match="no row has class 2"):
        estimate("roc_auc_ovr", Task.MULTICLASS, y, [p])


@pytest.mark.parametrize("empty", [0.0, 1.0])
@pytest.mark.parametrize("metric", ["precision", "recall", "f1", "jaccard"])
def test_a_share_of_nothing_is_what_was_agreed(metric: str, empty: float) -> None:
    y, p = (np.zeros(6, np.int8), np.full(6, 0.1)) if metric != "precision" else (Y, P / 2)
    found = estimate(metric, Task.BINARY, y, [p], settings=Settings(zero_division=empty))
    function = {"precision": precision_score, "recall": recall_score, "f1": f1_score, "jaccard": jaccard_score}[metric]
    assert found.values[0] == function(y, p > 0.5, zero_division=empty)
    assert found.covariance[0, 0] == 0
    three = np.array([0, 1, 2, 0, 1, 0]), np.eye(3)[[0, 1, 1, 0, 0, 1]]
    for average in ("macro", "weighted", "micro"):
        settings = Settings(zero_division=empty)
        found = estimate(f"{metric}_{average}", Task.MULTICLASS, three[0], [three[1]], settings=settings)
        expected = function(three[0], three[1].argmax(axis=1), average=average, zero_division=empty)
        assert found.values[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", ["precision", "recall", "f1", "jaccard"])
def test_rows_without_any_label_are_what_was_agreed(metric: str) -> None:
    function = {"precision": precision_score, "recall": recall_score, "f1": f1_score, "jaccard": jaccard_score}[metric]
    y, none, one = np.zeros((6, 2), np.int8), np.full((6, 2), 0.1), np.full((6, 2), 0.1)
    one[0, 0] = 0.9
    for empty, p in itertools.product((0.0, 1.0), (none, one)):
        settings = Settings(zero_division=empty)
        found = estimate(f"{metric}_weighted", Task.MULTILABEL, y, [p], settings=settings)
        assert found.values[0] == function(y, p > 0.5, average="weighted", zero_division=empty)
        if p is none:
            interval = metric_interval(f"{metric}_weighted", found)
            assert (interval.low, interval.high) == (0, 1)  # nothing was seen
    with pytest.raises(UndefinedMetricError, match="no row has a label"):
        estimate(f"{metric}_weighted", Task.MULTILABEL, y, [one])


def test_a_target_without_variance_has_no_part_in_the_pooled_r2() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(2, 20, 3))
    y[:, 0] = 3
    expected = r2_score(y, p, multioutput="variance_weighted")
    assert estimate("r2_variance_weighted", Task.MULTIOUTPUT, y, [p]).values[0] == pytest.approx(expected, rel=1e-12)
    y[1:, 1] = 5  # without the first row this one has no variance either
    weights = np.array([0, *rng.gamma(1, size=19)])
    found = estimate("r2_variance_weighted", Task.MULTIOUTPUT, y, [p], weights=weights)
    assert found.values[0] == pytest.approx(r2_score(y[:, 2], p[:, 2], sample_weight=weights), rel=1e-12)
    with pytest.raises(UndefinedMetricError, match="same target values"):
        estimate("r2_variance_weighted", Task.MULTIOUTPUT, np.ones((5, 2)), [p[:5, :2]])


@pytest.mark.parametrize("alpha", [0.05, 0.5, 0.9])
def test_a_quantile_and_a_number_of_classes(alpha: float) -> None:
    y, (p,) = sample(Task.REGRESSION, 40)
    found = estimate("mean_pinball_loss", Task.REGRESSION, y, [p], settings=Settings(alpha=alpha))
    assert found.values[0] == pytest.approx(mean_pinball_loss(y, p, alpha=alpha), rel=1e-12)
    labels, (q,) = sample(Task.MULTICLASS, 40)
    tied = np.round(q, 1)
    tied /= tied.sum(axis=1, keepdims=True)
    for k in (1, 2):
        found = estimate("top_k_accuracy", Task.MULTICLASS, labels, [tied], settings=Settings(k=k))
        assert found.values[0] == top_k_accuracy_score(labels, tied, k=k)


@pytest.mark.parametrize(("metric", "task"), MEANS)
def test_the_difference_of_two_means_is_the_paired_t_test(metric: str, task: Task) -> None:
    y, (first, second) = sample(task, 60, models=2)
    found = estimate(metric, task, y, [first, second])
    rows = [[estimate(metric, task, y[[i, i]], [p[[i, i]]]).values[0] for i in range(len(y))] for p in (first, second)]
    expected = stats.ttest_rel(*rows)
    variance = found.covariance[0, 0] + found.covariance[1, 1] - 2 * found.covariance[0, 1]
    assert (found.values[0] - found.values[1]) / np.sqrt(variance) == pytest.approx(expected.statistic, rel=1e-10)
    assert found.df == expected.df


@pytest.mark.parametrize(("metric", "task"), WITH_INFLUENCE if NIGHTLY else ONE_OF_A_KIND)
def test_the_bootstrap_agrees_with_the_influence_columns(metric: str, task: Task) -> None:
    y, predictions = sample(task, 600, models=2)
    found = estimate(metric, task, y, predictions)
    # Clusters of one row make the cluster bootstrap that of rows.
    again = estimate(metric, task, y, predictions, groups=np.arange(600), seed=3)
    assert again.method is Method.CLUSTER_BOOTSTRAP
    np.testing.assert_allclose(np.diag(again.covariance), np.diag(found.covariance), rtol=0.2)


@pytest.mark.parametrize(
    ("metric", "task"), [("average_precision", Task.BINARY), ("median_absolute_error", Task.REGRESSION)]
)
def test_metrics_without_an_influence_are_bootstrapped(metric: str, task: Task) -> None:
    y, predictions = sample(task, 300, models=2)
    found = estimate(metric, task, y, predictions, seed=1)
    assert (found.method, found.replicates, found.df) == (Method.POISSON_BOOTSTRAP, 1000, 299)
    rng = np.random.default_rng(5)
    draws = [
        [reference(metric, task, y[rows], prediction[rows]) for prediction in predictions]
        for rows in rng.integers(0, 300, (600, 300))
    ]
    np.testing.assert_allclose(np.diag(found.covariance), np.var(draws, axis=0, ddof=1), rtol=0.25)


def test_repeated_rows_are_seen_through_by_their_groups() -> None:
    y, (p,) = sample(Task.BINARY, 300)
    alone = estimate("accuracy", Task.BINARY, y, [p])
    codes = np.repeat(np.arange(300), 4)
    copied = estimate("accuracy", Task.BINARY, np.repeat(y, 4), [np.repeat(p, 4)], groups=codes)
    assert copied.covariance[0, 0] == pytest.approx(alone.covariance[0, 0], rel=0.15)
    assert (copied.groups, copied.df) == (300, 299)


@pytest.mark.parametrize(("metric", "task"), WITH_INFLUENCE)
def test_covariance_is_symmetric_and_a_model_repeats_itself(metric: str, task: Task) -> None:
    y, (first, second) = sample(task, 80, models=2)
    s = estimate(metric, task, y, [first, second, first]).covariance
    np.testing.assert_array_equal(s, s.T)
    assert s[0, 0] == pytest.approx(s[0, 2], rel=1e-12)
    assert np.linalg.eigvalsh(s).min() > -1e-12


@given(seed=st.integers(0, 10_000), case=st.sampled_from(CASES))
def test_the_order_of_rows_and_of_models_does_not_matter(seed: int, case: tuple[str, Task]) -> None:
    metric, task = case
    y, predictions = sample(task, 40, models=2, seed=seed)
    if metric in BOOTSTRAPPED:
        return
    order = np.random.default_rng(seed).permutation(40)
    found = estimate(metric, task, y, predictions)
    moved = estimate(metric, task, y[order], [p[order] for p in reversed(predictions)])
    np.testing.assert_allclose(moved.values, found.values[::-1], rtol=1e-11)
    np.testing.assert_allclose(moved.covariance, found.covariance[::-1, ::-1], rtol=1e-9, atol=1e-15)


Y = np.array([0, 1, 0, 1, 1, 0], np.int8)
P = np.array([0.2, 0.9, 0.6, 0.7, 0.4, 0.1])


@pytest.mark.parametrize(
    ("metric", "task", "y", "p", "reason"),
    [
        ("accuracy", Task.BINARY, Y[:0], P[:0], Undefined.EMPTY),
        ("accuracy", Task.BINARY, Y[:1], P[:1], Undefined.TOO_FEW_ROWS),
        ("roc_auc", Task.BINARY, Y * 0, P, Undefined.ONE_CLASS),
        ("roc_auc", Task.BINARY, Y[1:4:2].repeat(2), P[:4], Undefined.ONE_CLASS),
        ("roc_auc", Task.BINARY, Y[:3], P[:3], Undefined.TOO_FEW_ROWS),
        ("balanced_accuracy", Task.BINARY, Y * 0 + 1, P, Undefined.ONE_CLASS),
        ("matthews_corrcoef", Task.BINARY, Y * 0, P, Undefined.ONE_CLASS),
        ("matthews_corrcoef", Task.BINARY, Y, P * 0, Undefined.NOTHING_PREDICTED),
        ("precision", Task.BINARY, Y, P / 2, Undefined.NOTHING_PREDICTED),
        ("recall", Task.BINARY, Y * 0, P, Undefined.CLASS_ABSENT),
        ("f1", Task.BINARY, Y * 0, P / 2, Undefined.CLASS_ABSENT),
        ("average_precision", Task.BINARY, Y * 0, P, Undefined.CLASS_ABSENT),
        ("average_precision", Task.BINARY, Y[:3], P[:3], Undefined.UNSTABLE),
        ("roc_auc_ovr", Task.MULTICLASS, Y, np.eye(3)[Y], Undefined.CLASS_ABSENT),
        ("recall_macro", Task.MULTICLASS, Y, np.eye(3)[Y + 1], Undefined.CLASS_ABSENT),
        ("precision_macro", Task.MULTICLASS, Y, np.eye(3)[Y * 0], Undefined.NOTHING_PREDICTED),
        ("roc_auc_ovo", Task.MULTICLASS, Y * 0, np.eye(3)[Y], Undefined.ONE_CLASS),
        ("roc_auc_ovr_weighted", Task.MULTICLASS, Y * 0, np.eye(3)[Y], Undefined.ONE_CLASS),
        ("top_k_accuracy", Task.MULTICLASS, Y, np.eye(2)[Y], Undefined.NO_VARIANCE),
        ("jaccard", Task.BINARY, Y * 0, P / 2, Undefined.CLASS_ABSENT),
        ("cohen_kappa", Task.BINARY, Y * 0, P / 2, Undefined.ONE_CLASS),
        ("precision_weighted", Task.MULTICLASS, Y, np.eye(3)[Y * 0], Undefined.NOTHING_PREDICTED),
        ("positive_likelihood_ratio", Task.BINARY, Y, Y * 1.0, Undefined.NOTHING_PREDICTED),
        ("negative_likelihood_ratio", Task.BINARY, Y, Y * 0 + 0.9, Undefined.NOTHING_PREDICTED),
        ("positive_likelihood_ratio", Task.BINARY, Y * 0, P, Undefined.CLASS_ABSENT),
        ("d2_log_loss_score", Task.BINARY, Y * 0, P, Undefined.ONE_CLASS),
        ("d2_brier_score", Task.MULTICLASS, Y * 0, np.eye(3)[Y], Undefined.ONE_CLASS),
        ("explained_variance", Task.REGRESSION, P * 0, P, Undefined.NO_VARIANCE),
        ("d2_absolute_error_score", Task.REGRESSION, P * 0, P, Undefined.NO_VARIANCE),
        ("mean_squared_log_error", Task.REGRESSION, P - 2, P, Undefined.TARGET_OUTSIDE),
        ("root_mean_squared_log_error", Task.REGRESSION, P, P - 2, Undefined.PREDICTION_OUTSIDE),
        ("mean_poisson_deviance", Task.REGRESSION, P - 0.5, P, Undefined.TARGET_OUTSIDE),
        ("mean_poisson_deviance", Task.REGRESSION, P, P * 0, Undefined.PREDICTION_OUTSIDE),
        ("mean_gamma_deviance", Task.REGRESSION, P * 0, P, Undefined.TARGET_OUTSIDE),
        ("mean_gamma_deviance", Task.REGRESSION, P, -P, Undefined.PREDICTION_OUTSIDE),
        ("r2", Task.REGRESSION, P * 0, P, Undefined.NO_VARIANCE),
        ("log_loss", Task.BINARY, Y, np.where(P > 0.8, np.nan, P), Undefined.NOT_FINITE),
        ("mean_squared_error", Task.REGRESSION, P, P * np.inf, Undefined.NOT_FINITE),
        ("mean_squared_error", Task.REGRESSION, np.full(6, np.nan), P, Undefined.NOT_FINITE),
        ("log_loss", Task.BINARY, Y, P * 5, Undefined.NOT_PROBABILITIES),
        ("accuracy", Task.BINARY, Y, P - 0.5, Undefined.NOT_PROBABILITIES),
        ("log_loss", Task.MULTICLASS, Y, np.ones((6, 2)), Undefined.NOT_PROBABILITIES),
    ],
)
def test_what_has_no_value_says_why(metric: str, task: Task, y: Array, p: Array, reason: Undefined) -> None:
    with pytest.raises(UndefinedMetricError) as caught:
        estimate(metric, task, y, [p])
    assert caught.value.reason is reason
    assert str(caught.value)


@pytest.mark.parametrize(("metric", "task"), [(m, t) for m, t in CASES if t is Task.REGRESSION])
def test_numbers_that_overflow_are_no_figures(metric: str, task: Task) -> None:
    y = np.array([1e300, -1e300, 1e200, 0.0])
    y = y * 0 if metric == "mean_absolute_percentage_error" else y  # an error of a share of next to nothing
    with pytest.raises(UndefinedMetricError) as caught:
        estimate(metric, task, y, [1e300 - y * 1e8])
    assert caught.value.reason in {Undefined.NOT_FINITE, Undefined.TARGET_OUTSIDE}


@pytest.mark.parametrize(
    ("metric", "task", "y", "predictions"),
    [
        ("nonsense", Task.BINARY, Y, [P]),
        ("r2", Task.BINARY, Y, [P]),
        ("accuracy", Task.BINARY, Y, []),
        ("accuracy", Task.BINARY, Y, [P[:5]]),
        ("accuracy", Task.BINARY, Y, [P, P[:5]]),
        ("accuracy", Task.BINARY, Y, [np.column_stack((1 - P, P))]),
        ("accuracy", Task.MULTICLASS, Y, [P]),
        ("accuracy", Task.BINARY, Y + 1, [P]),
        ("accuracy", Task.BINARY, Y - 1, [P]),
        ("accuracy", Task.BINARY, Y.astype(float), [P]),
        ("accuracy", Task.MULTICLASS, Y + 1, [np.column_stack((1 - P, P))]),
    ],
)
def test_arguments_that_do_not_fit_are_refused(metric: str, task: Task, y: Array, predictions: list[Array]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        estimate(metric, task, y, predictions)
    assert not isinstance(caught.value, UndefinedMetricError)


def test_groups_must_cover_the_rows_and_be_several() -> None:
    with pytest.raises(ValueError, match="groups"):
        estimate("accuracy", Task.BINARY, Y, [P], groups=np.arange(5))
    with pytest.raises(UndefinedMetricError) as caught:
        estimate("accuracy", Task.BINARY, Y, [P], groups=np.zeros(6, np.int64))
    assert caught.value.reason is Undefined.TOO_FEW_GROUPS


def _weighted(y: Array, prediction: Array, sample_weight: Array | None = None) -> float:
    """F2 at a threshold of the user's own."""
    weights = np.ones(len(y)) if sample_weight is None else sample_weight
    decided = prediction > 0.3
    hits = weights @ (decided & (y == 1))
    return float(5 * hits / (weights @ decided + 4 * (weights @ y)))


def _plain(y: Array, prediction: Array) -> float:
    return _weighted(y, prediction)


def test_a_custom_metric_is_bootstrapped_by_weights_or_by_rows() -> None:
    y, predictions = sample(Task.BINARY, 200, models=2)
    weighted = estimate_custom(_weighted, Task.BINARY, y, predictions)
    resampled = estimate_custom(_plain, Task.BINARY, y, predictions)
    assert (weighted.method, resampled.method) == (Method.POISSON_BOOTSTRAP, Method.RESAMPLING_BOOTSTRAP)
    assert weighted.values == pytest.approx([fbeta_score(y, p > 0.3, beta=2) for p in predictions], rel=1e-12)
    # The same seed draws the same rows, so the two ways must agree replicate by replicate.
    np.testing.assert_allclose(weighted.covariance, resampled.covariance, rtol=1e-9)


def test_the_deadline_ends_early_or_says_that_it_was_too_slow() -> None:
    y, predictions = sample(Task.BINARY, 50)
    calls = iter(range(10_000))
    early = estimate_custom(_constant_sum, Task.BINARY, y, predictions, stop=lambda: next(calls) >= 150)
    assert early.replicates == 150
    with pytest.raises(UndefinedMetricError) as caught:
        estimate_custom(_constant_sum, Task.BINARY, y, predictions, stop=lambda: True)
    assert caught.value.reason is Undefined.TOO_SLOW


def _constant_sum(y: Array, prediction: Array) -> float:
    return float(y.sum() + prediction.sum())


def _raises(y: Array, prediction: Array) -> float:
    raise KeyError((len(y), prediction.size))


def _raises_on_other_rows(y: Array, prediction: Array) -> float:
    if len(y) == 50:
        return float(prediction.sum())
    raise KeyError


def _not_a_number(y: Array, prediction: Array) -> float:
    return float("nan") * (len(y) + prediction.size)


def _seldom_a_number(y: Array, prediction: Array) -> float:
    return float(prediction.sum()) if len(y) == 50 else float("inf")


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (_raises, Undefined.METRIC_RAISED),
        (_raises_on_other_rows, Undefined.METRIC_RAISED),
        (_not_a_number, Undefined.NOT_FINITE),
        (_seldom_a_number, Undefined.UNSTABLE),
    ],
)
def test_a_custom_metric_that_fails_says_so(metric: Any, reason: Undefined) -> None:
    y, predictions = sample(Task.BINARY, 50)
    with pytest.raises(UndefinedMetricError) as caught:
        estimate_custom(metric, Task.BINARY, y, predictions)
    assert caught.value.reason is reason


def test_every_catalogue_metric_has_an_estimate() -> None:
    assert {metric for metric, _ in CASES} | EXTREMES | APART == set(CATALOGUE)


@pytest.mark.parametrize("weights", [None, np.arange(40) % 3 * 1.0])
def test_the_largest_error_is_a_value_without_an_interval(weights: Array | None) -> None:
    y, predictions = sample(Task.REGRESSION, 40, models=2)
    with pytest.raises(NoIntervalError) as caught:
        estimate("max_error", Task.REGRESSION, y, predictions, weights=weights)
    counted = np.ones(40, np.bool_) if weights is None else weights > 0
    assert caught.value.values.tolist() == [max_error(y[counted], p[counted]) for p in predictions]
    with pytest.raises(UndefinedMetricError) as infinite:
        estimate("max_error", Task.REGRESSION, np.full(2, 1.7e308), [np.full(2, -1.7e308)])
    assert infinite.value.reason is Undefined.NOT_FINITE


def test_the_slow_import_is_not_made() -> None:
    code = "import sys, mlbot.stats; print('scipy.stats' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# The bootstrap's draws: reproducible, of the right kind, and bounded in work.


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
