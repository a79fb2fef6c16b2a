"""Metrics of the decided label: functions of the confusion matrix, with their gradients.

Writing each metric as g(P), P the matrix of proportions, gives its value, its bootstrap replicate (the same g on
weighted counts) and, by the delta method, its influence column: row i, which falls into cell (t, d), has the
influence g'(P)[t, d] - sum(P * g'(P)).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights

Gradient = tuple[float, Floats]

Formula = Callable[[Floats], Gradient]


def decide(prediction: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """The label decision: the most probable class, the first one on a tie.

    For a binary prediction (n,) that is P(positive) > 0.5: exactly one half is the negative class, as in
    scikit-learn's `predict`.

    Args:
        prediction: P(positive), (n,), or class probabilities, (n, C).

    Returns:
        Class indices, (n,).
    """
    if prediction.ndim == 1:
        return (prediction > 0.5).astype(np.intp)
    return np.asarray(prediction.argmax(axis=1), np.intp)


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """A label metric of one model.

    Attributes:
        cells: true class times C plus decided class, (n,).
        classes: C.
        formula: proportions (C, C) -> value and gradient (C, C).
        supported_by: which rows the value rests on: all, the positives, or those decided positive.
    """

    cells: npt.NDArray[np.intp]
    classes: int
    formula: Formula
    supported_by: str

    @property
    def support(self) -> int:
        """How many rows the value rests on."""
        counts = np.bincount(self.cells, minlength=self.classes**2).reshape(self.classes, self.classes)
        supports = {"positives": counts[-1].sum(), "decided": counts[:, -1].sum()}
        return int(supports.get(self.supported_by, self.cells.size))

    def value(self) -> float:
        """The metric."""
        return self.formula(self._proportions())[0]

    def weighted(self, weights: Weights) -> float:
        """The metric under row weights (n,)."""
        return self.formula(self._proportions(weights))[0]

    def influence(self) -> Floats:
        """Each row's influence, (n,)."""
        proportions = self._proportions()
        gradient = self.formula(proportions)[1]
        centred = gradient - (proportions * gradient).sum()
        return np.asarray(centred.ravel()[self.cells], dtype=np.float64)

    def _proportions(self, weights: Weights | None = None) -> Floats:
        counts = np.bincount(self.cells, weights, minlength=self.classes**2).astype(np.float64)
        total = counts.sum()
        if total == 0:
            raise UndefinedMetricError(Undefined.EMPTY, "no rows to score")
        return np.reshape(counts / total, (self.classes, self.classes))


def confusion(metric: str, y: Labels, prediction: npt.NDArray[np.floating]) -> Confusion:
    """The label metric of one model.

    Args:
        metric: a key of `FORMULAS`.
        y: class indices, (n,).
        prediction: P(positive), (n,), or class probabilities, (n, C).
    """
    classes = 2 if prediction.ndim == 1 else prediction.shape[1]
    cells = y.astype(np.intp) * classes + decide(prediction)
    supported_by = {"recall": "positives", "precision": "decided"}.get(metric, "all")
    return Confusion(cells=cells, classes=classes, formula=FORMULAS[metric], supported_by=supported_by)


def _accuracy(p: Floats) -> Gradient:
    return float(np.trace(p)), np.eye(len(p))


def _recalls(p: Floats, classes: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Recall of each named class (c,) and its gradient (c, C, C)."""
    actual = p.sum(axis=1)
    if (actual[classes] == 0).any():
        raise UndefinedMetricError(Undefined.CLASS_ABSENT, f"no row has {_named(classes, actual[classes] == 0, p)}")
    values = np.diag(p)[classes] / actual[classes]
    gradient = np.zeros((classes.size, *p.shape))
    for k, c in enumerate(classes):
        gradient[k, c, :] = -values[k] / actual[c]
        gradient[k, c, c] += 1 / actual[c]
    return values, gradient


def _precisions(p: Floats, classes: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    decided = p.sum(axis=0)
    if (decided[classes] == 0).any():
        missing = _named(classes, decided[classes] == 0, p)
        raise UndefinedMetricError(Undefined.NOTHING_PREDICTED, f"no row is predicted to be {missing}")
    # Precision is recall with the two margins changing places.
    values, gradient = _recalls(p.T, classes)
    return values, gradient.transpose(0, 2, 1)


def _f1s(p: Floats, classes: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    both = p.sum(axis=0) + p.sum(axis=1)
    if (both[classes] == 0).any():
        missing = _named(classes, both[classes] == 0, p)
        raise UndefinedMetricError(Undefined.CLASS_ABSENT, f"no row is, or is predicted to be, {missing}")
    values = 2 * np.diag(p)[classes] / both[classes]
    gradient = np.zeros((classes.size, *p.shape))
    for k, c in enumerate(classes):
        gradient[k, c, :] -= values[k] / both[c]
        gradient[k, :, c] -= values[k] / both[c]
        gradient[k, c, c] += 2 / both[c]
    return values, gradient


def _named(classes: npt.NDArray[np.intp], which: npt.NDArray[np.bool_], p: Floats) -> str:
    if len(p) == 2:
        return "the positive class" if classes[which][0] == 1 else "the negative class"
    return "class " + ", ".join(str(c) for c in classes[which])


def _positive(part: Callable[[Floats, npt.NDArray[np.intp]], tuple[Floats, Floats]], p: Floats) -> Gradient:
    values, gradient = part(p, np.array([1]))
    return float(values[0]), gradient[0]


def _macro(part: Callable[[Floats, npt.NDArray[np.intp]], tuple[Floats, Floats]], p: Floats) -> Gradient:
    occurring = np.flatnonzero(p.sum(axis=0) + p.sum(axis=1))
    values, gradient = part(p, occurring)
    return float(values.mean()), gradient.mean(axis=0)


def _f1_weighted(p: Floats) -> Gradient:
    classes = np.flatnonzero(p.sum(axis=1))
    values, gradient = _f1s(p, classes)
    actual = p.sum(axis=1)[classes]
    total = np.tensordot(actual, gradient, axes=1)
    total[classes] += values[:, None]
    return float(values @ actual), total


def _balanced_accuracy(p: Floats) -> Gradient:
    classes = np.flatnonzero(p.sum(axis=1))
    if classes.size < 2:
        raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
    values, gradient = _recalls(p, classes)
    return float(values.mean()), gradient.mean(axis=0)


def _matthews(p: Floats) -> Gradient:
    actual, decided = p.sum(axis=1), p.sum(axis=0)
    if np.count_nonzero(actual) < 2:
        raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
    if np.count_nonzero(decided) < 2:
        raise UndefinedMetricError(Undefined.NOTHING_PREDICTED, "every row is predicted to be of the same class")
    spread_actual, spread_decided = 1 - actual @ actual, 1 - decided @ decided
    scale = np.sqrt(spread_actual * spread_decided)
    value = (np.trace(p) - actual @ decided) / scale
    gradient = (np.eye(len(p)) - decided[:, None] - actual[None, :]) / scale
    gradient += value * (actual[:, None] / spread_actual + decided[None, :] / spread_decided)
    return float(value), gradient


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "f1": partial(_positive, _f1s),
        "precision": partial(_positive, _precisions),
        "recall": partial(_positive, _recalls),
        "matthews_corrcoef": _matthews,
        "f1_macro": partial(_macro, _f1s),
        "f1_weighted": _f1_weighted,
        "precision_macro": partial(_macro, _precisions),
        "recall_macro": partial(_macro, _recalls),
    }
)
"""Every label metric: proportions (C, C), true class by decided class -> value and gradient."""
