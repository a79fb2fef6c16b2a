"""Curves against scikit-learn's, ties and corners included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.calibration import calibration_curve
from tests.support.tiers import examples

from mlbot.gates.metric import Task
from mlbot.ml.curves import MOST_POINTS, cumulative, curves
from mlbot.report.report import Curves

TIED = st.lists(st.tuples(st.booleans(), st.integers(0, 8).map(lambda k: k / 8)), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(positive for positive, _ in rows) < len(rows)
)


def sample(n: int = 5_000, seed: int = 0) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.25).astype(np.int8)
    scores = 1 / (1 + np.exp(-(random.normal(size=n) + 2 * labels - 1.5)))
    return labels, scores


@given(TIED)
def test_counts_at_ties_are_those_of_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    positive, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    false_positives, true_positives = cumulative(positive, score)
    fpr, tpr, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose(false_positives / false_positives[-1], fpr)
    np.testing.assert_allclose(true_positives / true_positives[-1], tpr)


@given(TIED)
def test_short_curves_are_whole(rows: list[tuple[bool, float]]) -> None:
    positive, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = curves(Task.BINARY, positive.astype(np.int8), score)
    x, y = np.array(found.roc).T
    assert np.trapezoid(y, x) == pytest.approx(metrics.roc_auc_score(positive, score), abs=1e-5)
    precision, recall, _ = metrics.precision_recall_curve(positive, score)
    expected = set(zip(recall.round(4), precision.round(4), strict=True))
    assert {(round(a, 4), round(b, 4)) for a, b in found.precision_recall} == expected


def test_long_curves_are_thinned_and_keep_their_shape() -> None:
    labels, scores = sample(50_000)
    found = curves(Task.BINARY, labels, scores)
    assert 150 < len(found.roc) <= MOST_POINTS
    assert 100 < len(found.precision_recall) <= MOST_POINTS
    x, y = np.array(found.roc).T
    fpr, tpr, _ = metrics.roc_curve(labels, scores)
    nearest = np.hypot(fpr[:, None] - x, tpr[:, None] - y).min(axis=1)
    assert nearest.max() < 0.012
    assert np.trapezoid(y, x) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=2e-3)
    assert (found.roc[0], found.roc[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert found.precision_recall[0] == (0.0, 1.0)
    assert found.precision_recall[-1] == pytest.approx((1.0, labels.mean()), abs=1e-5)


def test_calibration_is_that_of_scikit_learn() -> None:
    labels, scores = sample()
    found = curves(Task.BINARY, labels, scores).calibration
    observed, predicted = calibration_curve(labels, scores, n_bins=12, strategy="quantile")
    np.testing.assert_allclose([each.observed for each in found], observed, rtol=1e-5)
    np.testing.assert_allclose([each.predicted for each in found], predicted, rtol=1e-5)
    assert sum(each.rows for each in found) == len(labels)
    assert max(each.rows for each in found) - min(each.rows for each in found) <= 1


def test_a_calibrated_model_has_a_small_calibration_error_and_a_shifted_one_its_shift() -> None:
    random = np.random.default_rng(1)
    truth = random.uniform(0.2, 0.8, 200_000)
    labels = (random.random(200_000) < truth).astype(np.int8)
    good, shifted = curves(Task.BINARY, labels, truth), curves(Task.BINARY, labels, truth + 0.1)
    assert good.expected_calibration_error == pytest.approx(0, abs=0.005)
    assert shifted.expected_calibration_error == pytest.approx(0.1, abs=0.005)


def test_one_probability_for_all_rows_is_one_bin() -> None:
    found = curves(Task.BINARY, np.array([0, 1, 1, 1], dtype=np.int8), np.full(4, 0.5))
    assert [(each.predicted, each.observed, each.rows) for each in found.calibration] == [(0.5, 0.75, 4)]
    assert found.roc == ((0.0, 0.0), (1.0, 1.0))


def test_binary_confusion() -> None:
    labels, scores = sample()
    found = curves(Task.BINARY, labels, scores)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, scores > 0.5))


def test_a_probability_of_one_half_is_no_positive() -> None:
    """As scikit-learn's classifiers, whose `predict` takes the first of equal classes."""
    assert curves(Task.BINARY, np.array([1, 0], dtype=np.int8), np.array([0.5, 0.1])).confusion == ((1, 0), (1, 0))


def test_multiclass() -> None:
    random = np.random.default_rng(2)
    probabilities = random.dirichlet(np.ones(4), 3_000)
    labels = np.array([random.choice(4, p=row) for row in probabilities])
    found = curves(Task.MULTICLASS, labels, probabilities)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, probabilities.argmax(axis=1)))
    assert found.expected_calibration_error == pytest.approx(0, abs=0.05)
    assert (found.roc, found.residuals) == ((), ())


def test_a_class_that_nobody_predicts_keeps_its_column() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    assert curves(Task.MULTICLASS, np.array([0, 1]), probabilities).confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 0))


def test_rows_count_by_their_weights_as_in_the_metrics_beside_the_curves() -> None:
    labels, scores = sample()
    weights = np.random.default_rng(1).gamma(2.0, 1.0, len(labels))
    weights[::5] = 0
    found = curves(Task.BINARY, labels, scores, weights=weights)
    x, y = np.array(found.roc).T
    assert np.trapezoid(y, x) == pytest.approx(metrics.roc_auc_score(labels, scores, sample_weight=weights), abs=2e-3)
    recall, precision = found.precision_recall[-1]
    assert recall == 1.0
    assert precision == pytest.approx(np.average(labels, weights=weights), rel=1e-5)
    cells = metrics.confusion_matrix(labels, scores > 0.5, sample_weight=weights) / weights.mean()
    np.testing.assert_allclose(found.confusion, cells, rtol=1e-5)
    edges = np.quantile(scores, np.linspace(0, 1, 13))[1:-1]
    parts = [np.searchsorted(edges, scores) == at for at in range(12)]
    means = [np.average([labels[part], scores[part]], axis=1, weights=weights[part]) for part in parts]
    np.testing.assert_allclose([(each.observed, each.predicted) for each in found.calibration], means, rtol=1e-5)
    gaps = [abs(observed - predicted) for observed, predicted in means]
    error = np.average(gaps, weights=[weights[part].sum() for part in parts])
    assert found.expected_calibration_error == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_whole_weights_count_rows_several_times(task: Task) -> None:
    random = np.random.default_rng(2)
    weights = random.integers(0, 3, 40)
    labels = random.integers(0, 2, 40)
    one = random.integers(0, 4, 40) / 4
    predictions = np.stack([one, 1 - one], axis=1) if task is Task.MULTICLASS else one
    found = curves(task, labels, predictions, weights=weights.astype(np.float64))
    often = curves(task, labels.repeat(weights), predictions.repeat(weights, axis=0))
    assert found.roc == often.roc
    assert found.precision_recall == often.precision_recall
    share = weights.mean()
    np.testing.assert_allclose(np.array(found.confusion) * share, np.array(often.confusion), rtol=1e-5)


def test_regression() -> None:
    random = np.random.default_rng(3)
    prediction = random.normal(100, 20, 4_000)
    found = curves(Task.REGRESSION, prediction + random.normal(3, 1, 4_000), prediction)
    assert [each.observed for each in found.residuals] == pytest.approx([3.0] * 12, abs=0.2)
    assert sum(rows for _, _, rows in found.residual_histogram) == 4_000
    assert all(low < high for low, high, _ in found.residual_histogram)


def test_a_perfect_regression_has_a_histogram_about_zero() -> None:
    truth = np.arange(5.0)
    found = curves(Task.REGRESSION, truth, truth)
    assert sum(rows for _, _, rows in found.residual_histogram) == 5
    assert {each.observed for each in found.residuals} == {0.0}


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_no_rows_have_no_curves(task: Task) -> None:
    assert curves(task, np.empty(0), np.empty((0, 3))) == Curves()


def test_rows_of_one_class_have_no_roc() -> None:
    found = curves(Task.BINARY, np.zeros(3, dtype=np.int8), np.array([0.1, 0.2, 0.9]))
    assert (found.roc, found.precision_recall, found.confusion) == ((), (), ((2, 1), (0, 0)))


@settings(max_examples=examples(20))
@given(st.integers(0, 2**32 - 1))
def test_every_curve_is_a_valid_record(seed: int) -> None:
    labels, scores = sample(300, seed)
    found = curves(Task.BINARY, labels, scores)
    assert Curves.model_validate_json(found.model_dump_json()) == found
    assert list(found.roc) == sorted(found.roc)
