"""The gap between slices: its value, its noise when slices overlap, and how often its interval holds the truth."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import recall_score
from tests.support.stats_samples import sample

from mlbot.gates.metric import Task
from mlbot.stats.estimation import GapRows, estimate, estimate_gap
from mlbot.stats.intervals import metric_interval
from mlbot.stats.types import Estimate, Method, NoIntervalError, Undefined, UndefinedMetricError

Array = npt.NDArray[Any]


def halves(rows: int, overlap: int = 0) -> dict[str, Array]:
    place = np.arange(rows)
    return {"first": place < rows // 2 + overlap, "second": place >= rows // 2 - overlap}


def of_recall(slices: dict[str, Array], models: int = 2, rows: int = 400, **changes: Any) -> tuple[Estimate, GapRows]:
    y, predictions = sample(Task.BINARY, rows, models=models)
    given = GapRows(y=y, predictions=predictions, slices=slices, **changes)
    return estimate_gap("recall", Task.BINARY, given), given


def test_a_gap_is_the_greatest_value_less_the_least() -> None:
    slices = {**halves(400), "third": np.arange(400) % 3 == 0}
    found, rows = of_recall(slices)
    for value, p in zip(found.values, rows.predictions, strict=True):
        own = [recall_score(rows.y[mask], p[mask] > 0.5) for mask in slices.values()]
        assert value == pytest.approx(max(own) - min(own), rel=1e-12)


def test_slices_apart_are_as_uncertain_as_both_together() -> None:
    slices = halves(400)
    found, rows = of_recall(slices, models=1)
    alone = [
        estimate("recall", Task.BINARY, rows.y[mask], [rows.predictions[0][mask]]).covariance[0, 0]
        for mask in slices.values()
    ]
    assert found.covariance[0, 0] == pytest.approx(sum(alone), rel=0.01)


@pytest.mark.parametrize("overlap", [0, 60])
def test_the_noise_is_that_of_the_bootstrap(overlap: int) -> None:
    found, rows = of_recall(halves(400, overlap))
    again, _ = of_recall({**rows.slices}, groups=np.arange(400))
    assert again.method is Method.CLUSTER_BOOTSTRAP
    np.testing.assert_allclose(np.diag(again.covariance), np.diag(found.covariance), rtol=0.2)


def test_slices_that_are_one_have_no_gap_and_no_noise() -> None:
    every = np.ones(400, np.bool_)
    found, _ = of_recall({"one": every, "other": every})
    assert found.values.tolist() == [0, 0]
    np.testing.assert_allclose(found.covariance, 0, atol=1e-15)


def test_weights_of_one_half_leave_the_other() -> None:
    slices = {**halves(400), "all": np.ones(400, np.bool_)}
    weights = np.random.default_rng(0).gamma(2.0, 1.0, 400)
    found, rows = of_recall(slices, weights=weights)
    p = rows.predictions[0]
    own = [recall_score(rows.y[m], p[m] > 0.5, sample_weight=weights[m]) for m in slices.values()]
    assert found.values[0] == pytest.approx(max(own) - min(own), rel=1e-12)


def test_a_metric_of_ones_own_and_one_that_is_bootstrapped() -> None:
    y, (p,) = sample(Task.BINARY, 300)
    rows = GapRows(y=y, predictions=[p], slices=halves(300))
    own = estimate_gap(
        lambda labels, scores: -float(np.log(np.where(labels == 1, scores, 1 - scores)).mean()), Task.BINARY, rows
    )
    assert own.values[0] == pytest.approx(estimate_gap("log_loss", Task.BINARY, rows).values[0], rel=1e-9)
    assert estimate_gap("average_precision", Task.BINARY, rows).method is Method.POISSON_BOOTSTRAP


def test_the_gap_of_largest_errors_is_a_value_without_an_interval() -> None:
    y, (p,) = sample(Task.REGRESSION, 100)
    slices = halves(100)
    with pytest.raises(NoIntervalError) as caught:
        estimate_gap("max_error", Task.REGRESSION, GapRows(y=y, predictions=[p], slices=slices))
    first, second = (float(np.abs(y - p)[mask].max()) for mask in slices.values())
    assert caught.value.values.tolist() == [abs(first - second)]


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros(400, np.bool_), Undefined.EMPTY),
        (np.arange(400) == 0, Undefined.TOO_FEW_ROWS),
        (None, Undefined.CLASS_ABSENT),
    ],
)
def test_a_slice_without_a_value_is_named(mask: Array | None, reason: Undefined) -> None:
    y, (p,) = sample(Task.BINARY, 400)
    slices = {**halves(400), "odd": (y == 0) if mask is None else mask}
    with pytest.raises(UndefinedMetricError, match="on the slice odd") as caught:
        estimate_gap("recall", Task.BINARY, GapRows(y=y, predictions=[p], slices=slices))
    assert caught.value.reason is reason


@pytest.mark.parametrize(("slices", "gap"), [(2, 0.0), (2, 0.1), (4, 0.0), (4, 0.1)])
def test_the_interval_holds_the_true_gap(slices: int, gap: float) -> None:
    """90 % intervals: 0.90 with a standard error of 0.02; conservative where nothing is apart, or many may be."""
    rng = np.random.default_rng(3)
    part = np.arange(800) % slices
    masks = {str(each): part == each for each in range(slices)}
    y = np.ones(800, np.int8)
    held = 0
    for _ in range(200):
        p = np.where(rng.random(800) < np.where(part == 0, 0.8 - gap, 0.8), 0.9, 0.1)
        found = estimate_gap("accuracy", Task.BINARY, GapRows(y=y, predictions=[p], slices=masks))
        interval = metric_interval("accuracy", found)
        held += interval.low <= gap <= interval.high
    assert held / 200 >= 0.85
