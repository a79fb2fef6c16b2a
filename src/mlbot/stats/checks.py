"""What must hold of labels and predictions before any figure is made of them."""

import numpy as np
import numpy.typing as npt

from mlbot.core.metric import Task
from mlbot.stats.types import Labels, Predictions, Undefined, UndefinedMetricError

Array = npt.NDArray[np.generic]
SLACK = 1e-6
"""How far float32 arithmetic may carry a probability beyond 0 and 1."""
SUM_SLACK = 1e-3
"""How far the probabilities of a row may be from one in sum."""


def check(task: Task, y: Array, predictions: Predictions, groups: Labels | None) -> None:
    """Refuse what would make a figure lie.

    Args:
        task: what the models predict.
        y: labels, (n,).
        predictions: one array a model, (n,) or (n, C).
        groups: a cluster code for each row, (n,), or None.

    Raises:
        UndefinedMetricError: no rows, or values that are not finite or are no probabilities.
        ValueError: shapes or labels that do not fit each other.
    """
    _check_shapes(task, y, predictions, groups)
    if y.size < 2:
        reason = Undefined.TOO_FEW_ROWS if y.size else Undefined.EMPTY
        raise UndefinedMetricError(reason, f"{y.size} labelled rows; an interval needs two")
    if not np.isfinite(y).all():
        raise UndefinedMetricError(Undefined.NOT_FINITE, "a label is not a finite number")
    for prediction in predictions:
        _check_prediction(task, y, prediction)


def _check_shapes(task: Task, y: Array, predictions: Predictions, groups: Labels | None) -> None:
    if not predictions:
        raise ValueError("no predictions: name at least one model")
    dimensions = 2 if task is Task.MULTICLASS else 1
    shapes = {prediction.shape for prediction in predictions}
    if y.ndim != 1 or len(shapes) > 1 or predictions[0].ndim != dimensions or len(predictions[0]) != y.size:
        raise ValueError(f"{task}: labels {y.shape} do not fit predictions {sorted(shapes)}")
    if groups is not None and groups.shape != y.shape:
        raise ValueError(f"groups {groups.shape} must have one code for each of the {y.size} rows")


def _check_prediction(task: Task, y: Array, prediction: npt.NDArray[np.floating]) -> None:
    if not np.isfinite(prediction).all():
        raise UndefinedMetricError(Undefined.NOT_FINITE, "a prediction is not a finite number")
    if not task.is_classification:
        return
    if prediction.min() < -SLACK or prediction.max() > 1 + SLACK:
        raise UndefinedMetricError(Undefined.NOT_PROBABILITIES, "a prediction lies outside 0 to 1")
    if prediction.ndim == 2 and np.abs(prediction.sum(axis=1) - 1).max() > SUM_SLACK:
        raise UndefinedMetricError(Undefined.NOT_PROBABILITIES, "the class probabilities of a row do not sum to one")
    classes = 2 if prediction.ndim == 1 else prediction.shape[1]
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels must be class indices from 0 to {classes - 1}")
