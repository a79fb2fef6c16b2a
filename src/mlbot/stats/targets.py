"""Metrics of rows with several targets: labels that a row has or has not, or numbers. Arrays are (n, L).

A row is one draw, however many targets it has: what it does to a figure of all its cells is the sum of what they do.
Shares of labels (precision, recall, F1, Jaccard) are functions of the proportions of hits, of labels and of decisions,
so they have an influence by the delta method. Definitions are scikit-learn's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import cast

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Settings, Task
from mlbot.stats import metrics, types
from mlbot.stats.metrics import MeanLoss, Share
from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights

Gradient = tuple[float, Floats]
Average = Callable[[Share, Floats, float | None], Gradient]
"""A share, the proportions (3, L) of hits, labels and decisions, the value of a share of nothing -> value, gradient."""


def statistic(
    metric: str, task: Task, settings: Settings, y: Floats, prediction: Floats, decided: Labels | None
) -> types.Statistic:
    """A metric of the catalogue of one model on some rows; `decided` are the labels that it gives each row."""
    if task is Task.MULTIOUTPUT:
        return _of_numbers(metric, settings, y.astype(np.float64), prediction)
    labels = prediction > 0.5 if decided is None else decided == 1
    share, _, average = metric.rpartition("_")
    if share in metrics.SHARES:
        return _of_shares(metrics.SHARES[share], average, y == 1, labels, settings.zero_division)
    if metric.startswith(("roc_auc_", "average_precision_")):
        return _of_ranks(share, average, y, prediction)
    return _of_rows(metric, y == 1, labels, prediction, settings)


def _of_numbers(metric: str, settings: Settings, y: Floats, prediction: Floats) -> types.Statistic:
    if metric == "r2_variance_weighted":
        return metrics.pooled_r2(y, prediction)
    columns = zip(y.T, prediction.T, strict=True)
    return Averaged(of=tuple(metrics.regression(metric, settings, *each) for each in columns))


@dataclass(frozen=True, kw_only=True, slots=True)
class Averaged:
    """The mean of a statistic of each target."""

    of: tuple[types.Statistic, ...]

    def support(self, weights: Weights | None = None) -> float:
        """How many rows the value of the thinnest target rests on."""
        return min(each.support(weights) for each in self.of)

    def value(self) -> float:
        """The mean of the values."""
        return sum(each.value() for each in self.of) / len(self.of)

    def weighted(self, weights: Weights) -> float:
        """The mean of the values when row i counts `weights[i]` times."""
        return sum(each.weighted(weights) for each in self.of) / len(self.of)

    def influence(self, weights: Weights | None = None) -> Floats:
        """The mean of the influences, (n,)."""
        return np.asarray(np.mean([cast("types.Smooth", each).influence(weights) for each in self.of], axis=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shares:
    """An average over labels of a share of cells."""

    cells: tuple[npt.NDArray[np.bool_], ...]  # hits, labels and decisions, (n, L) each
    share: Share
    average: Average
    empty: float | None
    rarest: bool  # whether the value rests on the rarest label, for all labels count alike

    def support(self, weights: Weights | None = None) -> float:
        """How many rows have the rarest label, or how many there are."""
        _, labels, decisions = self.cells
        if not labels.any() and not decisions.any():
            return 0.0  # the value is by agreement
        if not self.rarest:
            return len(labels) if weights is None else metrics.effective(weights)
        if weights is None:
            return float(labels.sum(axis=0).min())
        return min(metrics.effective(weights[label]) for label in labels.T)

    @property
    def reach(self) -> float:
        """By how much the value changes at most when one row's decisions change."""
        hit, label, decision = self._parts(None)[1]
        corners = np.stack([np.zeros_like(hit), label, decision, hit + label + decision])
        return float(np.ptp(corners, axis=0).sum()) / len(self.cells[0])

    def value(self) -> float:
        """The average."""
        return self._parts(None)[0]

    def weighted(self, weights: Weights) -> float:
        """The average when row i counts `weights[i]` times."""
        return self._parts(weights)[0]

    def influence(self, weights: Weights | None = None) -> Floats:
        """Each row's influence, (n,): the sum over its cells."""
        gradient = self._parts(weights)[1]
        centre = float((self._proportions(weights) * gradient).sum())
        return np.asarray(sum(part @ slope for part, slope in zip(self.cells, gradient, strict=True)) - centre)

    def _parts(self, weights: Weights | None) -> Gradient:
        return self.average(self.share, self._proportions(weights), self.empty)

    def _proportions(self, weights: Weights | None) -> Floats:
        if weights is None:
            return np.stack([part.mean(axis=0) for part in self.cells])
        counted = weights.astype(np.float64)
        return np.stack([counted @ part for part in self.cells]) / metrics.total(counted)


def _each(share: Share, p: Floats, among: npt.NDArray[np.intp], empty: float | None) -> tuple[Floats, Floats]:
    """The share of some labels (c,), and by what its parts change it (3, c)."""
    hits, labels, decisions = p[:, among]
    bottom = share.actual * labels + share.decided * decisions + share.hits * hits
    nothing = bottom <= 0
    if nothing.any() and empty is None:
        raise UndefinedMetricError(share.lacking[0], share.lacking[1], tuple(int(c) for c in among[nothing]))
    scale = np.divide(1, bottom, out=np.zeros_like(bottom), where=~nothing)
    values = np.where(nothing, empty or 0.0, share.top * hits * scale)
    slopes = (share.top - values * share.hits, -values * share.actual, -values * share.decided)
    return values, np.stack(slopes) * scale


def _macro(share: Share, p: Floats, empty: float | None) -> Gradient:
    values, slopes = _each(share, p, np.arange(p.shape[1]), empty)
    return float(values.mean()), slopes / values.size


def _weighted(share: Share, p: Floats, empty: float | None) -> Gradient:
    """Each label as often as it is one."""
    among = np.flatnonzero(p[1])
    if not among.size and empty is None:
        raise UndefinedMetricError(Undefined.CLASS_ABSENT, "no row has a label")
    if not among.size:  # as scikit-learn has it
        return _macro(share, p, empty)
    values, slopes = _each(share, p, among, empty)
    often = p[1][among]
    value, gradient = float(values @ often / often.sum()), np.zeros_like(p)
    slopes = slopes * often
    slopes[1] += values - value
    gradient[:, among] = slopes / often.sum()
    return value, gradient


def _micro(share: Share, p: Floats, empty: float | None) -> Gradient:
    """Of all cells together."""
    if not p[1].any() and not p[2].any() and empty is None:
        raise UndefinedMetricError(share.lacking[0], "no row has a label, or is given one")
    whole = p.sum(axis=1, keepdims=True)
    values, slopes = _each(share, whole, np.arange(1), empty)
    return float(values[0]), np.repeat(slopes, p.shape[1], axis=1)


_AVERAGES: Mapping[str, Average] = MappingProxyType({"macro": _macro, "weighted": _weighted, "micro": _micro})


def _of_shares(
    share: Share, average: str, y: npt.NDArray[np.bool_], labels: npt.NDArray[np.bool_], empty: float | None
) -> types.Statistic:
    cells = (y & labels, y, labels)
    if average != "samples":
        rarest = average == "macro"
        return _Shares(cells=cells, share=share, average=_AVERAGES[average], empty=empty, rarest=rarest)
    hits, actual, decided = (part.sum(axis=1, dtype=np.float64) for part in cells)
    bottom = share.actual * actual + share.decided * decided + share.hits * hits
    # Rows without a label are ordinary here, and scikit-learn counts them 0 where nothing else is asked for.
    none = np.full(len(y), empty or 0.0)
    return MeanLoss(loss=np.divide(share.top * hits, bottom, out=none, where=bottom > 0), span=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pooled:
    """A statistic of all cells as rows of their own, (n * L)."""

    of: types.Statistic
    targets: int

    def support(self, weights: Weights | None = None) -> float:
        """How many cells the value rests on; of one label a row."""
        return self.of.support(None if weights is None else np.repeat(weights, self.targets)) / self.targets

    def value(self) -> float:
        """The value over the cells."""
        return self.of.value()

    def weighted(self, weights: Weights) -> float:
        """The value when the cells of row i count `weights[i]` times."""
        return self.of.weighted(np.repeat(weights, self.targets))

    def influence(self, weights: Weights | None = None) -> Floats:
        """What the cells of a row do together, (n,)."""
        cells = cast("types.Smooth", self.of).influence(None if weights is None else np.repeat(weights, self.targets))
        return np.asarray(cells.reshape(-1, self.targets).mean(axis=1))


def _of_ranks(area: str, average: str, y: Floats, prediction: Floats) -> types.Statistic:
    """ROC AUC or average precision of each label against the other rows, or of all cells together."""
    make = metrics.roc_auc if area == "roc_auc" else metrics.average_precision
    if average == "micro":
        return _Pooled(of=make(y.ravel() == 1, prediction.ravel()), targets=y.shape[1])
    counts = y.sum(axis=0)
    _refuse_one_sided(counts, len(y) if area == "roc_auc" else np.inf)
    if area == "roc_auc":
        return metrics.mean_roc_auc([(y[:, at] == 1, prediction[:, at]) for at in range(y.shape[1])], average)
    each = tuple(make(*column) for column in zip((y == 1).T, prediction.T, strict=True))
    return Averaged(of=each) if average == "macro" else _ByRows(of=each, labels=y == 1)


def _refuse_one_sided(counts: Floats, rows: float) -> None:
    for lacking, what in ((counts == 0, "no row has {classes}"), (counts == rows, "every row has {classes}")):
        if lacking.any():
            at = tuple(int(each) for each in np.flatnonzero(lacking))
            raise UndefinedMetricError(Undefined.CLASS_ABSENT, what, at)


@dataclass(frozen=True, kw_only=True, slots=True)
class _ByRows:
    """The mean of a statistic of each label, each as often as rows have it."""

    of: tuple[types.Statistic, ...]
    labels: npt.NDArray[np.bool_]

    def support(self, weights: Weights | None = None) -> float:
        """How many rows the value of the rarest label rests on."""
        return min(each.support(weights) for each in self.of)

    def value(self) -> float:
        """The mean of the values."""
        return self._mean(self.labels.sum(axis=0), [each.value() for each in self.of])

    def weighted(self, weights: Weights) -> float:
        """The mean of the values when row i counts `weights[i]` times."""
        often = weights.astype(np.float64) @ self.labels
        drawn = [each.weighted(weights) if count > 0 else 0.0 for each, count in zip(self.of, often, strict=True)]
        return self._mean(often, drawn)

    def _mean(self, often: Floats, values: list[float]) -> float:
        return float(np.asarray(values) @ often / metrics.total(often))


def _of_rows(
    metric: str, y: npt.NDArray[np.bool_], labels: npt.NDArray[np.bool_], prediction: Floats, settings: Settings
) -> MeanLoss:
    """The mean of a figure of each row."""
    match metric:
        case "accuracy":
            return MeanLoss(loss=(y == labels).all(axis=1).astype(np.float64), span=1.0)
        case "hamming_loss":
            return MeanLoss(loss=(y != labels).mean(axis=1), span=1.0)
        case "log_loss":
            cells = partial(metrics.log_losses, clip=settings.clip)
            losses = [cells(label, column) for label, column in zip(y.astype(np.intp).T, prediction.T, strict=True)]
            return MeanLoss(loss=np.mean(losses, axis=0))
        case "brier_score_loss":
            return MeanLoss(loss=((prediction - y) ** 2).mean(axis=1))
        case _:
            return MeanLoss(loss=_ranked_rows(metric, y, prediction))


_MOST_CELLS = 1 << 22  # of one block of comparisons


def _ranked_rows(metric: str, y: npt.NDArray[np.bool_], prediction: Floats) -> Floats:
    """Of each row, how its labels are ranked among all; tied labels count as ranked last, as in scikit-learn."""
    step = max(1, _MOST_CELLS // y.shape[1] ** 2)
    blocks = [slice(at, at + step) for at in range(0, len(y), step)]
    return np.concatenate([_ROW_RANKS[metric](y[block], *_ranks(y[block], prediction[block])) for block in blocks])


def _ranks(y: npt.NDArray[np.bool_], prediction: Floats) -> tuple[Floats, Floats]:
    """Of each label the number that come no later, and how many of these the row has."""
    no_later = prediction[:, None, :] >= prediction[:, :, None]
    return no_later.sum(axis=2, dtype=np.float64), (no_later & y[:, None, :]).sum(axis=2, dtype=np.float64)


def _coverage(y: npt.NDArray[np.bool_], ranks: Floats, _own: Floats) -> Floats:
    return np.asarray((ranks * y).max(axis=1))


def _ranking_loss(y: npt.NDArray[np.bool_], ranks: Floats, own: Floats) -> Floats:
    labels = y.sum(axis=1)
    pairs = (labels * (y.shape[1] - labels)).astype(np.float64)
    wrong = ((ranks - own) * y).sum(axis=1)
    return np.asarray(np.divide(wrong, pairs, out=np.zeros_like(pairs), where=pairs > 0))


def _ranking_precision(y: npt.NDArray[np.bool_], ranks: Floats, own: Floats) -> Floats:
    labels = y.sum(axis=1).astype(np.float64)
    right = (own / ranks * y).sum(axis=1)
    ordered = (labels > 0) & (labels < y.shape[1])
    return np.asarray(np.divide(right, labels, out=np.ones_like(labels), where=ordered))


_ROW_RANKS: Mapping[str, Callable[[npt.NDArray[np.bool_], Floats, Floats], Floats]] = MappingProxyType(
    {
        "coverage_error": _coverage,
        "label_ranking_loss": _ranking_loss,
        "label_ranking_average_precision": _ranking_precision,
    }
)
