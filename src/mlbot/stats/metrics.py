"""Every metric of the catalogue: its value, its value under row weights, and each row's influence on it.

* Metrics of the decided label are functions g(P) of the matrix of proportions. That gives the value, the bootstrap
  replicate (the same g on weighted counts) and, by the delta method, the influence: row i, which falls into cell
  (t, d), has g'(P)[t, d] - sum(P * g'(P)).
* Losses average over rows: log loss, Brier score, the errors of a regression, R².
* ROC AUC has DeLong's covariance: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or
  more correlated receiver operating characteristic curves: a nonparametric approach", Biometrics 44 (1988). Placements
  come from one sort (mid-ranks): X. Sun, W. Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing
  Letters 21 (2014).
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
    """The label decision where nobody has taken another one, (n,): the most probable class, the first one on a tie.

    For a binary prediction (n,) that is P(positive) > 0.5: exactly one half is the negative class. Class probabilities
    are (n, C). Who knows the order of the model's classes, or its rule, gives the decided labels beside the prediction.
    """
    if prediction.ndim == 1:
        return (prediction > 0.5).astype(np.intp)
    return np.asarray(prediction.argmax(axis=1), np.intp)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Confusion:
    cells: npt.NDArray[np.intp]  # true class times C plus decided class, (n,)
    classes: int  # C
    formula: Formula  # proportions (C, C) -> value and gradient (C, C)
    supported_by: str  # which rows the value rests on: all, the positives, or those decided positive

    @property
    def support(self) -> int:
        counts = np.bincount(self.cells, minlength=self.classes**2).reshape(self.classes, self.classes)
        supports = {"positives": counts[-1].sum(), "decided": counts[:, -1].sum()}
        return int(supports.get(self.supported_by, self.cells.size))

    def value(self) -> float:
        return self.formula(self._proportions())[0]

    def weighted(self, weights: Weights) -> float:
        return self.formula(self._proportions(weights))[0]

    def influence(self) -> Floats:
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


def confusion(
    metric: str, y: Labels, prediction: npt.NDArray[np.floating], decided: Labels | None = None
) -> _Confusion:
    """The label metric `FORMULAS[metric]` of one model; `prediction` is P(positive), (n,), or probabilities, (n, C).

    `decided`: the label that the model gives each row, as `y` has them, (n,); left out: `decide` of the prediction.
    """
    classes = 2 if prediction.ndim == 1 else prediction.shape[1]
    cells = y.astype(np.intp) * classes + (decide(prediction) if decided is None else decided)
    supported_by = {"recall": "positives", "precision": "decided"}.get(metric, "all")
    return _Confusion(cells=cells, classes=classes, formula=FORMULAS[metric], supported_by=supported_by)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _MeanLoss:
    """The mean of each row's loss (n,), or its square root."""

    loss: Floats
    root: bool = False

    @property
    def support(self) -> int:
        return self.loss.size

    def value(self) -> float:
        mean = float(self.loss.mean())
        return float(np.sqrt(mean)) if self.root else mean

    def weighted(self, weights: Weights) -> float:
        mean = float(weights @ self.loss) / _total(weights)
        return float(np.sqrt(mean)) if self.root else mean

    def influence(self) -> Floats:
        """Each row's influence, (n,). Of the root it is that of the mean over twice the root."""
        centred: Floats = self.loss - self.loss.mean()
        value = self.value()
        if self.root and value > 0:
            centred /= 2 * value
        return centred


@dataclass(frozen=True, kw_only=True, slots=True)
class _RSquared:
    loss: Floats  # squared residuals, (n,)
    y: Floats  # the target less its mean, (n,): a large offset would cost digits

    @property
    def support(self) -> int:
        return self.loss.size

    def value(self) -> float:
        return float(1 - self.loss.sum() / self._spread(float((self.y**2).sum())))

    def weighted(self, weights: Weights) -> float:
        shift = (weights @ self.y) / _total(weights)
        return float(1 - (weights @ self.loss) / self._spread(float(weights @ (self.y - shift) ** 2)))

    def influence(self) -> Floats:
        spread = self._spread(float((self.y**2).mean()))
        ratio = self.loss.mean() / spread
        return np.asarray((ratio * self.y**2 - self.loss) / spread, dtype=np.float64)

    def _spread(self, spread: float) -> float:
        if not spread > 0:
            raise UndefinedMetricError(Undefined.NO_VARIANCE, "every row has the same target value")
        return spread


def classification_loss(metric: str, y: Labels, prediction: Floats) -> _MeanLoss:
    """Log loss or Brier score of one model, defined as in scikit-learn 1.9.

    `prediction` is P(positive), (n,), or class probabilities, (n, C). Log loss clips them at float64's epsilon.
    """
    rows = np.arange(y.size)
    if metric == "log_loss":
        chosen = np.where(y == 1, prediction, 1 - prediction) if prediction.ndim == 1 else prediction[rows, y]
        epsilon = np.finfo(np.float64).eps
        return _MeanLoss(loss=-np.log(np.clip(chosen, epsilon, 1 - epsilon)))
    if prediction.ndim == 1:
        return _MeanLoss(loss=(prediction - y) ** 2)
    # sum over classes of (indicator - p)², without an (n, C) copy of the indicators
    squares = np.einsum("nc,nc->n", prediction, prediction)
    loss = squares + 1 - 2 * prediction[rows, y]
    return _MeanLoss(loss=loss / 2 if prediction.shape[1] == 2 else loss)


def regression_loss(metric: str, y: Floats, prediction: Floats) -> _MeanLoss | _RSquared:
    """A regression metric, but `median_absolute_error`, of one model; `y` and `prediction` are (n,)."""
    if metric == "mean_absolute_error":
        return _MeanLoss(loss=np.abs(y - prediction))
    if metric == "mean_absolute_percentage_error":
        return _MeanLoss(loss=np.abs(y - prediction) / np.maximum(np.abs(y), np.finfo(np.float64).eps))
    squares = (y - prediction) ** 2
    if metric == "r2":
        return _RSquared(loss=squares, y=y - y.mean())
    return _MeanLoss(loss=squares, root=metric == "root_mean_squared_error")


@dataclass(frozen=True, kw_only=True, slots=True)
class _MedianError:
    """The median absolute error; presorted, so that a replicate costs one cumulative sum."""

    error: Floats  # absolute errors, ascending, (n,)
    order: npt.NDArray[np.intp]  # which row each came from, (n,)

    @property
    def support(self) -> int:
        return self.error.size

    def value(self) -> float:
        return float(np.median(self.error))

    def weighted(self, weights: Weights) -> float:
        """The median when row i is there `weights[i]` times, a whole number."""
        reached = np.cumsum(weights[self.order], dtype=np.float64)
        total = _total(weights)
        lower, upper = np.searchsorted(reached, [(total - 1) // 2, total // 2], side="right")
        return float(self.error[lower] / 2 + self.error[upper] / 2)


def median_error(y: Floats, prediction: Floats) -> _MedianError:
    """The median absolute error of one model; `y` and `prediction` are (n,)."""
    error = np.abs(y - prediction)
    order = np.argsort(error)
    return _MedianError(error=error[order], order=order)


def _total(weights: Weights) -> float:
    total = float(weights.sum())
    if total == 0:
        raise UndefinedMetricError(Undefined.EMPTY, "no rows to score")
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sorted:
    """Rows in ascending order of their score, tied rows together."""

    order: npt.NDArray[np.integer]  # the row at each place, (n,)
    positive: npt.NDArray[np.bool_]  # whether that row is positive, (n,)
    last: npt.NDArray[np.integer]  # the last place of each group of tied scores, (t,)

    def sums(self, weights: Weights | None = None) -> tuple[Floats, Floats]:
        """Weight of the positives and of the negatives in each tie group, (t,) each."""
        if weights is None:
            every = np.diff(self.last, prepend=-1).astype(np.float64)
            ones = self._of_groups(self.positive)
        else:
            drawn = weights[self.order]
            every = self._of_groups(drawn)
            ones = self._of_groups(drawn * self.positive)
        return ones, every - ones

    def _of_groups(self, counts: Weights) -> Floats:
        return np.diff(np.cumsum(counts, dtype=np.float64)[self.last], prepend=0.0)


def by_score(positive: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> _Sorted:
    """Sort rows by score; both are (n,)."""
    order = np.argsort(score)
    ranked = score[order]
    last = np.flatnonzero(np.concatenate((ranked[1:] != ranked[:-1], [True])))
    # A bootstrap keeps this for every model: half the bytes where the rows can be counted in 32 bits.
    index = np.int32 if order.size < 2**31 else np.int64
    return _Sorted(order=order.astype(index), positive=positive[order], last=last.astype(index))


@dataclass(frozen=True, kw_only=True, slots=True)
class _RocAuc:
    """The area under the ROC curve of one model: P(score of a positive > of a negative), ties counted half."""

    rows: _Sorted

    @property
    def support(self) -> int:
        """How many rows the smaller class has."""
        positives = int(self.rows.positive.sum())
        return min(positives, self.rows.order.size - positives)

    def value(self) -> float:
        return self.weighted()

    def influence(self) -> Floats:
        """DeLong's placements as one column, (n,), scaled so that its sample variance over n is DeLong's variance."""
        ones, zeros = self.rows.sums()
        positives, negatives, n = ones.sum(), zeros.sum(), self.rows.order.size
        if min(positives, negatives) < 2:
            raise UndefinedMetricError(Undefined.ONE_CLASS, "an interval needs two positive and two negative rows")
        below = (np.cumsum(zeros) - zeros / 2) / negatives
        above = 1 - (np.cumsum(ones) - ones / 2) / positives
        area = ones @ below / positives
        sizes = (ones + zeros).astype(np.intp)
        from_positives = np.sqrt(n * (n - 1) / (positives * (positives - 1)))
        from_negatives = np.sqrt(n * (n - 1) / (negatives * (negatives - 1)))
        placed = np.where(
            self.rows.positive,
            from_positives * (np.repeat(below, sizes) - area),
            from_negatives * (np.repeat(above, sizes) - area),
        )
        column = np.empty(n)
        column[self.rows.order] = placed
        return column

    def weighted(self, weights: Weights | None = None) -> float:
        ones, zeros = self.rows.sums(weights)
        positives, negatives = ones.sum(), zeros.sum()
        if not (positives > 0 and negatives > 0):
            raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
        return float(ones @ (np.cumsum(zeros) - zeros / 2) / (positives * negatives))


@dataclass(frozen=True, kw_only=True, slots=True)
class _MeanRocAuc:
    areas: tuple[_RocAuc, ...]

    @property
    def support(self) -> int:
        """How many rows the smallest class has."""
        return min(area.support for area in self.areas)

    def value(self) -> float:
        return sum(area.value() for area in self.areas) / len(self.areas)

    def weighted(self, weights: Weights) -> float:
        return sum(area.weighted(weights) for area in self.areas) / len(self.areas)

    def influence(self) -> Floats:
        total = self.areas[0].influence()
        for area in self.areas[1:]:
            total += area.influence()
        total /= len(self.areas)
        return total


@dataclass(frozen=True, kw_only=True, slots=True)
class _AveragePrecision:
    """The area under the precision-recall steps of one model, as scikit-learn defines it."""

    rows: _Sorted

    @property
    def support(self) -> int:
        """How many positives there are."""
        return int(self.rows.positive.sum())

    def value(self) -> float:
        return self.weighted()

    def weighted(self, weights: Weights | None = None) -> float:
        ones, zeros = (part[::-1] for part in self.rows.sums(weights))
        positives = ones.sum()
        if not positives > 0:
            raise UndefinedMetricError(Undefined.CLASS_ABSENT, "no row has the positive class")
        found = np.cumsum(ones)
        shown = found + np.cumsum(zeros)
        # Where a replicate drew none of the top rows nothing is shown yet, and those steps add no recall.
        precision = np.divide(found, shown, out=np.zeros_like(found), where=shown > 0)
        return float(ones @ precision / positives)


def roc_auc(y: Labels, prediction: npt.NDArray[np.floating]) -> _RocAuc:
    """ROC AUC of a binary model; `y` (0 or 1) and `prediction` are (n,)."""
    return _RocAuc(rows=by_score(y == 1, prediction))


def roc_auc_ovr(y: Labels, prediction: npt.NDArray[np.floating]) -> _MeanRocAuc:
    """Mean one-vs-rest ROC AUC; `y` holds class indices (n,), `prediction` is (n, C) and every class must occur."""
    classes = prediction.shape[1]
    absent = np.flatnonzero(np.bincount(y, minlength=classes) == 0)
    if absent.size:
        raise UndefinedMetricError(Undefined.CLASS_ABSENT, f"no row has class {', '.join(str(c) for c in absent)}")
    return _MeanRocAuc(areas=tuple(roc_auc(y == c, prediction[:, c]) for c in range(classes)))


def average_precision(y: Labels, prediction: npt.NDArray[np.floating]) -> _AveragePrecision:
    """Average precision of a binary model; `y` (0 or 1) and `prediction` are (n,)."""
    return _AveragePrecision(rows=by_score(y == 1, prediction))
