"""What the statistics return, the one error they raise, and what must hold of labels and predictions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Task

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]

Weights = npt.NDArray[Any]
"""How often each row counts, (n,), of any numeric type; the bootstrap draws bytes."""

Predictions = Sequence[npt.NDArray[np.floating]]


class Undefined(StrEnum):
    """Why a figure does not exist on these rows."""

    EMPTY = "empty"
    TOO_FEW_ROWS = "too_few_rows"
    TOO_FEW_GROUPS = "too_few_groups"
    ONE_CLASS = "one_class"
    CLASS_ABSENT = "class_absent"
    NOTHING_PREDICTED = "nothing_predicted"
    TARGET_OUTSIDE = "target_outside"  # of what the metric is defined for
    PREDICTION_OUTSIDE = "prediction_outside"
    NO_VARIANCE = "no_variance"
    NOT_FINITE = "not_finite"
    NOT_PROBABILITIES = "not_probabilities"
    METRIC_RAISED = "metric_raised"
    UNSTABLE = "unstable"
    TOO_SLOW = "too_slow"


class UndefinedMetricError(ValueError):
    """A metric has no value, or no interval, on these rows. It is never a number, and never a pass."""

    def __init__(self, reason: Undefined, detail: str, classes: tuple[int, ...] = ()) -> None:
        super().__init__(detail.format(classes=named(classes)) if classes else detail)
        self.reason = reason
        self.detail = detail  # with `{classes}` where `classes` are named
        self.classes = classes

    def about(self, names: Sequence[str]) -> str:
        """What is wrong, with the classes' own names."""
        return self.detail.format(classes=named(self.classes, names)) if self.classes else self.detail


class NoIntervalError(UndefinedMetricError):
    """A metric has a value on these rows, and they are too few to say how far others would move it."""

    def __init__(self, error: UndefinedMetricError, values: Floats) -> None:
        super().__init__(error.reason, error.detail, error.classes)
        self.values = values  # of each model, (K,)


def named(classes: Sequence[int], names: Sequence[str] = ()) -> str:
    """Classes in words, by their names where they have some."""
    shown = [repr(names[c]) if c < len(names) else str(c) for c in classes]
    return f"{'classes' if len(shown) > 1 else 'class'} {', '.join(shown)}"


class Method(StrEnum):
    """How the sampling noise of the holdout's rows was measured."""

    DELTA = "delta"
    DELONG = "delong"
    POISSON_BOOTSTRAP = "poisson_bootstrap"
    RESAMPLING_BOOTSTRAP = "resampling_bootstrap"
    CLUSTER_BOOTSTRAP = "cluster_bootstrap"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """One metric of K models on the same rows, with the noise of those rows."""

    values: Floats  # the metric of each model, (K,), in the metric's own units
    covariance: Floats  # S, the covariance of `values` over samples of rows, (K, K), in squared units
    df: float  # degrees of freedom of `covariance`
    method: Method  # how `covariance` was measured
    rows: int  # how many rows were scored
    # How many rows, or queries of a ranking, each value rests on, (K,): the positives for recall, the smaller class for
    # ROC AUC. Of rows that do not count alike, how many of one weight tell as much.
    support: Floats
    exact: bool = True  # whether what is called a share is one of `support` rows, each of them right or wrong
    groups: int | None = None  # how many clusters the rows form; None when every row is its own
    intervals: "tuple[Interval, ...] | None" = None  # of each value, where its variance alone does not tell
    replicates: int | None = None  # bootstrap replicates used; None when there was no bootstrap
    # Each row's (or cluster's) influence on each value, (K, n), zero on average; None where a bootstrap says it all.
    influence: Floats | None = None
    # By how much one row can change each value at most, (K,), for the metrics of the decided label; None for others.
    reach: Floats | None = None
    # How far apart the ends of the metric's range are, times what the row that counts most counts; inf without an end.
    span: float = math.inf
    draws: Floats | None = None  # each model's value in each replicate, (R, K); None when there was no bootstrap


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A two-sided confidence interval, in the units of what it bounds."""

    low: float
    high: float


class Statistic(Protocol):
    """One metric of one model on fixed rows."""

    def support(self, weights: Weights | None = None) -> float:
        """How many rows the value rests on."""

    def value(self) -> float:
        """The metric. Raises `UndefinedMetricError`."""

    def weighted(self, weights: Weights) -> float:
        """The metric when row i counts `weights[i]` times, (n,). Raises `UndefinedMetricError`."""


class Smooth(Statistic, Protocol):
    """A metric with a closed form for what each row does to it."""

    def influence(self, weights: Weights | None = None) -> Floats:
        """Each row's influence, (n,): zero on (weighted) average, and its variance over n is the metric's variance."""


Array = npt.NDArray[np.generic]

SLACK = 1e-6  # how far float32 arithmetic may carry a probability beyond 0 and 1
SUM_SLACK = 1e-3  # how far the probabilities of a row may be from one in sum


def check(
    task: Task, y: Array, predictions: Predictions, groups: Labels | None = None, weights: Floats | None = None
) -> None:
    """Refuse what would make a figure lie, with arrays as in `estimate`.

    Raises `UndefinedMetricError` for no rows, or values that are not finite or are no probabilities, and `ValueError`
    for shapes, labels or weights that do not fit each other.
    """
    _check_shapes(task, y, predictions, groups)
    _check_weights(y, weights)
    rows = len(y) if weights is None else int(np.count_nonzero(weights))
    if rows < 2:
        reason = Undefined.TOO_FEW_ROWS if rows else Undefined.EMPTY
        raise UndefinedMetricError(reason, f"{rows} labelled rows; an interval needs two")
    if not np.isfinite(y).all():
        raise UndefinedMetricError(Undefined.NOT_FINITE, "a label is not a finite number")
    for prediction in predictions:
        _check_prediction(task, y, prediction)


def _check_shapes(task: Task, y: Array, predictions: Predictions, groups: Labels | None) -> None:
    if not predictions:
        raise ValueError("no predictions: name at least one model")
    shapes = {prediction.shape for prediction in predictions}
    if len(shapes) > 1 or not _fit(task, y.shape, predictions[0].shape):
        raise ValueError(f"{task}: labels {y.shape} do not fit predictions {sorted(shapes)}")
    if task is Task.RANKING and groups is None:
        raise ValueError("a ranking has a query for each row")
    if groups is not None and groups.shape != y.shape[:1]:
        raise ValueError(f"groups {groups.shape} must have one code for each of the {len(y)} rows")


def _fit(task: Task, labels: tuple[int, ...], predictions: tuple[int, ...]) -> bool:
    if task.has_targets:
        return len(labels) == 2 and labels == predictions
    if task is Task.FORECAST:  # quantiles beside the forecast
        return len(labels) == 1 and predictions[:1] == labels
    dimensions = 2 if task is Task.MULTICLASS else 1
    return len(labels) == 1 and len(predictions) == dimensions and predictions[0] == labels[0]


def _check_weights(y: Array, weights: Floats | None) -> None:
    if weights is None:
        return
    if weights.shape != y.shape[:1] or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"weights {weights.shape} must be a finite number, 0 or more, for each of the {len(y)} rows")


def _check_prediction(task: Task, y: Array, prediction: npt.NDArray[np.floating]) -> None:
    if not np.isfinite(prediction).all():
        raise UndefinedMetricError(Undefined.NOT_FINITE, "a prediction is not a finite number")
    if not task.is_classification:
        return
    if prediction.min() < -SLACK or prediction.max() > 1 + SLACK:
        raise UndefinedMetricError(Undefined.NOT_PROBABILITIES, "a prediction lies outside 0 to 1")
    if task is Task.MULTICLASS and np.abs(prediction.sum(axis=1) - 1).max() > SUM_SLACK:
        raise UndefinedMetricError(Undefined.NOT_PROBABILITIES, "the class probabilities of a row do not sum to one")
    classes = prediction.shape[1] if task is Task.MULTICLASS else 2
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels must be class indices from 0 to {classes - 1}")
