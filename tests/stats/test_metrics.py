"""Label decisions, and label metrics under whole-number weights."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from tests.support.stats_samples import CASES, reference, sample

from mlbot.gates.metric import Settings, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.metrics import (
    FORMULAS,
    average_precision,
    classification_loss,
    confusion,
    decide,
    median_error,
    regression_loss,
    roc_auc,
    roc_auc_ovr,
)
from mlbot.stats.types import Method, Undefined, UndefinedMetricError

LABEL_METRICS = [(metric, task) for metric, task in CASES if metric in FORMULAS and task.has_classes]


def test_a_tie_is_the_first_class_in_both_forms() -> None:
    p = np.array([0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0)])
    assert decide(p).tolist() == [0, 1, 0]
    assert decide(np.column_stack((1 - p, p))).tolist() == [0, 1, 0]
    assert decide(np.array([[0.2, 0.4, 0.4]])).tolist() == [1]


@given(st.sampled_from(LABEL_METRICS), st.integers(0, 1000))
def test_weights_count_rows_again(case: tuple[str, Task], seed: int) -> None:
    metric, task = case
    y, (p,) = sample(task, 40, seed=seed)
    weights = np.random.default_rng(seed).integers(0, 4, 40)
    weights[:6] += 1  # the first rows keep every class alive
    expected = reference(metric, task, np.repeat(y, weights), np.repeat(p, weights, axis=0))
    assert confusion(metric, y, p).weighted(weights.astype(np.float64)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("metric", "task"), LABEL_METRICS)
def test_influence_is_zero_on_average(metric: str, task: Task) -> None:
    y, (p,) = sample(task, 60)
    assert confusion(metric, y, p).influence().mean() == pytest.approx(0, abs=1e-14)


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    y = np.array([0, 1, 0, 1, 1, 0])
    p = np.column_stack((1 - y * 0.8 - 0.1, y * 0.8 + 0.1, y * 0.0))
    p[0] = (0.2, 0.8, 0.0)
    for metric in ("f1_macro", "precision_macro", "recall_macro", "f1_weighted", "balanced_accuracy"):
        assert confusion(metric, y, p).value() == pytest.approx(reference(metric, Task.MULTICLASS, y, p), rel=1e-12)


def test_no_weight_is_no_rows() -> None:
    y, (p,) = sample(Task.BINARY, 10)
    with pytest.raises(UndefinedMetricError) as caught:
        confusion("accuracy", y, p).weighted(np.zeros(10))
    assert caught.value.reason is Undefined.EMPTY


def test_support_is_what_a_share_is_of() -> None:
    y = np.array([0, 1, 1, 0, 1], np.int8)
    p = np.array([0.9, 0.9, 0.1, 0.1, 0.2])
    supports = {metric: confusion(metric, y, p).support() for metric in ("accuracy", "recall", "precision")}
    assert supports == {"accuracy": 5, "recall": 3, "precision": 2}


# Row losses under whole-number weights are the losses of the repeated rows.

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
    assert statistic.support() == 31


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
def test_no_weight_is_no_loss(metric: str) -> None:
    y, (p,) = sample(Task.REGRESSION, 10)
    statistic = median_error(y, p) if metric == "median_absolute_error" else regression_loss(metric, y, p)
    with pytest.raises(UndefinedMetricError) as caught:
        statistic.weighted(np.zeros(10))
    assert caught.value.reason is Undefined.EMPTY


# ROC AUC and DeLong's covariance against brute force over all pairs, ties included.

Array = npt.NDArray[Any]


def _placements(y: Array, p: Array) -> tuple[Array, Array]:
    """How each positive stands to all negatives, and each negative to all positives: every pair is looked at."""
    wins = (p[y == 1][:, None] > p[y == 0]) + 0.5 * (p[y == 1][:, None] == p[y == 0])
    return wins.mean(axis=1), wins.mean(axis=0)


@st.composite
def scored(draw: st.DrawFn) -> tuple[Array, list[Array]]:
    """Labels with two rows of each class at least, and two models' scores with many ties."""
    rows = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.integers(1, 12))
    y = rng.permutation(np.concatenate(([0, 0, 1, 1], rng.integers(0, 2, rows - 4)))).astype(np.int8)
    return y, [rng.integers(0, levels + 1, rows) / levels for _ in range(2)]


@given(scored())
def test_area_and_covariance_are_those_of_all_pairs(case: tuple[Array, list[Array]]) -> None:
    """DeLong et al. (1988), equations 4 to 6: S = S10/m + S01/n."""
    y, predictions = case
    found = estimate("roc_auc", Task.BINARY, y, predictions)
    positives, negatives = zip(*(_placements(y, p) for p in predictions), strict=True)
    expected = np.cov(positives) / (y == 1).sum() + np.cov(negatives) / (y == 0).sum()
    np.testing.assert_allclose(found.values, [part.mean() for part in positives], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-10, atol=1e-14)
    assert found.method is Method.DELONG
    assert found.support[0] == min((y == 0).sum(), (y == 1).sum())


@given(scored())
def test_a_monotone_map_of_the_scores_changes_nothing(case: tuple[Array, list[Array]]) -> None:
    y, predictions = case
    found = estimate("roc_auc", Task.BINARY, y, predictions)
    mapped = estimate("roc_auc", Task.BINARY, y, [p**2 / 3 for p in predictions])
    np.testing.assert_array_equal(found.values, mapped.values)
    np.testing.assert_array_equal(found.covariance, mapped.covariance)


@given(scored())
def test_turning_the_scores_around_turns_the_area_around(case: tuple[Array, list[Array]]) -> None:
    y, predictions = case
    found = estimate("roc_auc", Task.BINARY, y, predictions)
    turned = estimate("roc_auc", Task.BINARY, y, [1 - p for p in predictions])
    np.testing.assert_allclose(turned.values, 1 - found.values, atol=1e-12)
    np.testing.assert_allclose(turned.covariance, found.covariance, atol=1e-12)


@given(scored(), st.integers(0, 1000))
def test_weights_count_scores_again(case: tuple[Array, list[Array]], seed: int) -> None:
    y, (p, _) = case
    weights = np.random.default_rng(seed).integers(0, 4, y.size)
    weights[:] = np.where(weights.sum() < 3, 1, weights)
    many, scores = np.repeat(y, weights), np.repeat(p, weights)
    if not 0 < many.sum() < many.size:
        return
    as_floats = weights.astype(np.float64)
    assert roc_auc(y, p).weighted(as_floats) == pytest.approx(roc_auc_score(many, scores), abs=1e-12)
    expected = average_precision_score(many, scores)
    assert average_precision(y, p).weighted(as_floats) == pytest.approx(expected, abs=1e-12)


def test_one_against_the_rest_is_the_mean_of_the_classes() -> None:
    y, (p,) = sample(Task.MULTICLASS, 90)
    found = estimate("roc_auc_ovr", Task.MULTICLASS, y, [p])
    columns = []
    for c in range(3):
        positives, negatives = _placements(y == c, p[:, c])
        m, n = positives.size, negatives.size
        column = np.empty(90)
        column[y == c] = (positives - positives.mean()) * np.sqrt(90 * 89 / (m * (m - 1)))
        column[y != c] = (negatives - negatives.mean()) * np.sqrt(90 * 89 / (n * (n - 1)))
        columns.append(column)
    assert found.covariance[0, 0] == pytest.approx(np.mean(columns, axis=0).var(ddof=1) / 90, rel=1e-10)
    weights = np.random.default_rng(0).integers(0, 3, 90)
    expected = roc_auc_score(np.repeat(y, weights), np.repeat(p, weights, axis=0), multi_class="ovr")
    assert roc_auc_ovr(y, p).weighted(weights.astype(np.float64)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("metric", "task"), LABEL_METRICS)
def test_labels_that_somebody_else_decided_are_what_is_counted(metric: str, task: Task) -> None:
    y, (p,) = sample(task, 60)
    decided = (p >= 0.3).astype(np.int8) if p.ndim == 1 else p[:, ::-1].argmax(axis=1)[::-1].astype(np.int32)
    as_probabilities = decided.astype(np.float64) if p.ndim == 1 else np.eye(p.shape[1])[decided]
    found = estimate(metric, task, y, [p], decided=[decided]).values[0]
    assert found == pytest.approx(reference(metric, task, y, as_probabilities), rel=1e-12)


def test_probabilities_are_ranked_whatever_was_decided() -> None:
    y, (p,) = sample(Task.BINARY, 60)
    for metric in ("roc_auc", "log_loss", "average_precision"):
        with_labels = estimate(metric, Task.BINARY, y, [p], decided=[1 - y])
        assert with_labels.values[0] == estimate(metric, Task.BINARY, y, [p]).values[0]


def test_a_clipped_log_loss_is_scikit_learns_of_clipped_probabilities() -> None:
    """And a row of which a model is wrongly certain weighs as much as the clip lets it."""
    y = np.array([0, 1, 1, 0, 2, 2])
    p = np.random.default_rng(3).dirichlet(np.ones(3) * 0.2, size=6)
    p[0] = (0.0, 1.0, 0.0)
    settings = Settings(clip=0.01)
    clipped = np.clip(p, 0.01, 0.99)
    several = classification_loss("log_loss", y, p, settings)
    assert several.value() == pytest.approx(log_loss(y, clipped / clipped.sum(axis=1, keepdims=True)), abs=1e-12)
    two, positive = np.array([0, 1, 1, 0]), np.array([1.0, 0.0, 0.7, 0.005])
    binary = classification_loss("log_loss", two, positive, settings)
    assert binary.value() == pytest.approx(log_loss(two, np.clip(positive, 0.01, 0.99)), abs=1e-12)
    assert classification_loss(
        "log_loss", two, np.stack([1 - positive, positive], 1), settings
    ).value() == pytest.approx(binary.value(), abs=1e-12)
    assert classification_loss("log_loss", two, positive).value() > 17
