"""ROC AUC and DeLong's covariance against brute force over all pairs, ties included."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from tests.support.stats_samples import sample

from mlbot.gates.metric import Task
from mlbot.stats.estimation import estimate
from mlbot.stats.ranking import average_precision, roc_auc, roc_auc_ovr
from mlbot.stats.types import Method

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
def test_weights_count_rows_again(case: tuple[Array, list[Array]], seed: int) -> None:
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
