"""Metrics of the order of the scores: ROC AUC with DeLong's covariance, and average precision.

E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson: "Comparing the areas under two or more correlated receiver operating
characteristic curves: a nonparametric approach", Biometrics 44 (1988). Placements come from one sort (mid-ranks), as
in X. Sun, W. Xu: "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21 (2014).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """Rows in ascending order of their score, tied rows together.

    Attributes:
        order: the row at each place, (n,).
        positive: whether that row is positive, (n,).
        last: the last place of each group of tied scores, (t,).
    """

    order: npt.NDArray[np.integer]
    positive: npt.NDArray[np.bool_]
    last: npt.NDArray[np.integer]

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


def by_score(positive: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> Sorted:
    """Sort rows by score; both are (n,)."""
    order = np.argsort(score)
    ranked = score[order]
    last = np.flatnonzero(np.concatenate((ranked[1:] != ranked[:-1], [True])))
    # A bootstrap keeps this for every model: half the bytes where the rows can be counted in 32 bits.
    index = np.int32 if order.size < 2**31 else np.int64
    return Sorted(order=order.astype(index), positive=positive[order], last=last.astype(index))


@dataclass(frozen=True, kw_only=True, slots=True)
class RocAuc:
    """The area under the ROC curve of one model: P(score of a positive > of a negative), ties counted half."""

    rows: Sorted

    @property
    def support(self) -> int:
        """How many rows the smaller class has."""
        positives = int(self.rows.positive.sum())
        return min(positives, self.rows.order.size - positives)

    def value(self) -> float:
        """The metric."""
        return self._area()

    def weighted(self, weights: Weights) -> float:
        """The metric under row weights (n,)."""
        return self._area(weights)

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

    def _area(self, weights: Weights | None = None) -> float:
        ones, zeros = self.rows.sums(weights)
        positives, negatives = ones.sum(), zeros.sum()
        if not (positives > 0 and negatives > 0):
            raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
        return float(ones @ (np.cumsum(zeros) - zeros / 2) / (positives * negatives))


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanRocAuc:
    """The plain mean of each class's ROC AUC against the rest."""

    areas: tuple[RocAuc, ...]

    @property
    def support(self) -> int:
        """How many rows the smallest class has."""
        return min(area.support for area in self.areas)

    def value(self) -> float:
        """The metric."""
        return sum(area.value() for area in self.areas) / len(self.areas)

    def weighted(self, weights: Weights) -> float:
        """The metric under row weights (n,)."""
        return sum(area.weighted(weights) for area in self.areas) / len(self.areas)

    def influence(self) -> Floats:
        """Each row's influence, (n,)."""
        total = self.areas[0].influence()
        for area in self.areas[1:]:
            total += area.influence()
        total /= len(self.areas)
        return total


@dataclass(frozen=True, kw_only=True, slots=True)
class AveragePrecision:
    """The area under the precision-recall steps of one model, as scikit-learn defines it."""

    rows: Sorted

    @property
    def support(self) -> int:
        """How many positives there are."""
        return int(self.rows.positive.sum())

    def value(self) -> float:
        """The metric."""
        return self._average()

    def weighted(self, weights: Weights) -> float:
        """The metric under row weights (n,)."""
        return self._average(weights)

    def _average(self, weights: Weights | None = None) -> float:
        ones, zeros = (part[::-1] for part in self.rows.sums(weights))
        positives = ones.sum()
        if not positives > 0:
            raise UndefinedMetricError(Undefined.CLASS_ABSENT, "no row has the positive class")
        found = np.cumsum(ones)
        shown = found + np.cumsum(zeros)
        # Where a replicate drew none of the top rows nothing is shown yet, and those steps add no recall.
        precision = np.divide(found, shown, out=np.zeros_like(found), where=shown > 0)
        return float(ones @ precision / positives)


def roc_auc(y: Labels, prediction: npt.NDArray[np.floating]) -> RocAuc:
    """ROC AUC of a binary model; `y` (0 or 1) and `prediction` are (n,)."""
    return RocAuc(rows=by_score(y == 1, prediction))


def roc_auc_ovr(y: Labels, prediction: npt.NDArray[np.floating]) -> MeanRocAuc:
    """Mean one-vs-rest ROC AUC; `y` holds class indices (n,), `prediction` is (n, C) and every class must occur."""
    classes = prediction.shape[1]
    absent = np.flatnonzero(np.bincount(y, minlength=classes) == 0)
    if absent.size:
        raise UndefinedMetricError(Undefined.CLASS_ABSENT, f"no row has class {', '.join(str(c) for c in absent)}")
    return MeanRocAuc(areas=tuple(roc_auc(y == c, prediction[:, c]) for c in range(classes)))


def average_precision(y: Labels, prediction: npt.NDArray[np.floating]) -> AveragePrecision:
    """Average precision of a binary model; `y` (0 or 1) and `prediction` are (n,)."""
    return AveragePrecision(rows=by_score(y == 1, prediction))
