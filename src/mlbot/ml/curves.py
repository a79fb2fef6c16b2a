"""What is plotted of one model: ROC, precision and recall, calibration, confusion, residuals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.report.report import Breakdown, CalibrationBin, Curves, Part, Point
from mlbot.stats.estimation import value_of
from mlbot.stats.forecast import Series
from mlbot.stats.metrics import decide
from mlbot.stats.types import Labels, UndefinedMetricError

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]
MOST_POINTS = 200
_BINS = 12


def curves(  # noqa: PLR0913  # arrays of the same rows
    task: Task,
    labels: Codes | Floats,
    predictions: Floats,
    decided: Codes | None = None,
    weights: Floats | None = None,
    *,
    groups: Labels | None = None,
    series: Series | None = None,
    names: Sequence[str] = (),
) -> Curves:
    """All plots of one file's predictions; a curve is empty where the rows lack a class.

    Binary: labels (n,) with 1 for positive, probabilities (n,). Multiclass: codes (n,), probabilities (n, C).
    `decided`: the label of each row, as `labels` are; left out: the most probable one. `weights`: how much each row
    counts; left out: all alike. Numbers of rows in a bin are those of rows, whatever they count.
    """
    if not len(labels):
        return Curves()
    if not (task.has_classes or task is Task.REGRESSION):
        rows = _Rows(labels, predictions, decided, weights, groups, series)
        return Curves(breakdown=_breakdown(task, rows, names))
    if task is Task.REGRESSION:
        return _regression(np.asarray(labels, dtype=np.float64), predictions, weights)
    given = decide(predictions) if decided is None else decided.astype(np.intp)
    if task is Task.BINARY:
        return _binary(np.asarray(labels) == 1, predictions, given, weights)
    return _multiclass(np.asarray(labels, dtype=np.intp), predictions, given, weights)


@dataclass(frozen=True, slots=True)
class _Rows:
    labels: NDArray[Any]
    predictions: Floats
    decided: Codes | None
    weights: Floats | None
    groups: Labels | None
    series: Series | None

    def where(self, rows: NDArray[np.bool_]) -> "_Rows":
        return _Rows(
            self.labels[rows],
            self.predictions[rows],
            None if self.decided is None else self.decided[rows],
            None if self.weights is None else self.weights[rows],
            None if self.groups is None else self.groups[rows],
            None if self.series is None else self.series.where(rows),
        )

    def column(self, at: int) -> "_Rows":
        """One target's."""
        decided = None if self.decided is None else self.decided[:, at]
        return _Rows(self.labels[:, at], self.predictions[:, at], decided, self.weights, None, None)

    def figure(self, metric: str, task: Task) -> float | None:
        """A metric's value; None where it has none."""
        known = CATALOGUE[metric]
        try:
            found = value_of(
                known.formula,
                task,
                self.labels,
                self.predictions,
                decided=self.decided,
                groups=self.groups,
                weights=self.weights,
                series=self.series,
                settings=known.settings,
            )
        except UndefinedMetricError:
            return None
        return _round(found)

    def part(self, name: str, metrics: tuple[str, ...], task: Task, rows: int) -> Part:
        return Part(name=name, rows=rows, values=tuple(self.figure(metric, task) for metric in metrics))


MOST_PARTS = 50
_SIZES = 12


def _breakdown(task: Task, rows: _Rows, names: Sequence[str]) -> Breakdown | None:
    match task:
        case Task.MULTILABEL:
            return _by_target(rows, names, ("f1", "precision", "recall", "roc_auc"), Task.BINARY)
        case Task.MULTIOUTPUT:
            return _by_target(rows, names, ("root_mean_squared_error", "mean_absolute_error", "r2"), Task.REGRESSION)
        case Task.RANKING if rows.groups is not None:
            return _by_size(rows, rows.groups)
        case Task.FORECAST if rows.series is not None and rows.series.horizon is not None:
            return _by_horizon(rows, rows.series.horizon, scaled=rows.series.scale is not None)
        case _:
            return None


def _by_target(rows: _Rows, names: Sequence[str], metrics: tuple[str, ...], task: Task) -> Breakdown:
    parts = []
    for at, name in enumerate(names[:MOST_PARTS]):
        one = rows.column(at)
        count = int(one.labels.sum()) if task is Task.BINARY else len(one.labels)
        parts.append(one.part(name, metrics, task, count))
    by: Literal["label", "target"] = "label" if task is Task.BINARY else "target"
    return Breakdown(by=by, metrics=metrics, parts=tuple(parts), left_out=len(names) - len(parts))


def _by_size(rows: _Rows, groups: Labels) -> Breakdown:
    """Queries of about equally many sizes a part."""
    codes = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(codes)
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, _SIZES + 1)[1:], method="higher"))
    which = np.searchsorted(edges, sizes)
    metrics = ("ndcg", "mrr")
    parts: list[Part] = []
    for at in range(edges.size):
        own = sizes[which == at]
        name = str(own.min()) if own.min() == own.max() else f"{own.min()} to {own.max()}"
        parts.append(rows.where((which == at)[codes]).part(name, metrics, Task.RANKING, own.size))
    return Breakdown(by="size", metrics=metrics, parts=tuple(parts))


def _by_horizon(rows: _Rows, horizon: Labels, *, scaled: bool) -> Breakdown:
    metrics = ("mean_absolute_error", "root_mean_squared_error", *(("mase",) if scaled else ()))
    steps = np.unique(horizon)
    parts = tuple(
        rows.where(horizon == step).part(str(step), metrics, Task.FORECAST, int((horizon == step).sum()))
        for step in steps[:MOST_PARTS]
    )
    return Breakdown(by="horizon", metrics=metrics, parts=parts, left_out=max(0, steps.size - MOST_PARTS))


def _binary(
    positive: NDArray[np.bool_], probability: Floats, decided: NDArray[np.intp], weights: Floats | None
) -> Curves:
    false_positives, true_positives = cumulative(positive, probability, weights)
    bins, counted = _quantile_bins(probability, positive, weights)
    return Curves(
        roc=_roc(false_positives, true_positives),
        precision_recall=_precision_recall(false_positives, true_positives),
        calibration=bins,
        expected_calibration_error=_calibration_error(bins, counted),
        confusion=_confusion(positive.astype(np.intp), decided, 2, weights),
    )


def _multiclass(
    codes: NDArray[np.intp], probabilities: Floats, decided: NDArray[np.intp], weights: Floats | None
) -> Curves:
    """Calibration is that of the predicted class: how often it is right against how sure it was."""
    sure = np.take_along_axis(probabilities, decided[:, None], axis=1)[:, 0]
    bins, counted = _quantile_bins(sure, decided == codes, weights)
    return Curves(
        calibration=bins,
        expected_calibration_error=_calibration_error(bins, counted),
        confusion=_confusion(codes, decided, probabilities.shape[1], weights),
    )


def _regression(truth: Floats, prediction: Floats, weights: Floats | None) -> Curves:
    residual = truth - prediction
    counts, edges = np.histogram(residual, bins=_histogram_edges(residual))
    residuals, _ = _quantile_bins(prediction, residual, weights)
    return Curves(
        residuals=residuals,
        residual_histogram=tuple(
            (_round(low), _round(high), int(count))
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ),
    )


def _histogram_edges(values: Floats, bins: int = 30) -> Floats:
    """Equal bins between the 0.5 % and 99.5 % quantile, the outermost stretched to hold the rest."""
    low, high = np.quantile(values, [0.005, 0.995])
    if not high > low:
        low, high = values.min() - 0.5, values.max() + 0.5
    edges = np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = min(edges[0], values.min()), max(edges[-1], values.max())
    return edges


def cumulative(positive: NDArray[np.bool_], score: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """False and true positives at each distinct threshold, from the strictest, a (0, 0) in front; ties enter as one."""
    counted = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    order = order[counted[order] > 0]  # a row that does not count has no point of its own
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    true_positives = np.cumsum((positive * counted)[order])[last_of_tie]
    false_positives = np.cumsum((~positive * counted)[order])[last_of_tie]
    return np.insert(false_positives, 0, 0.0), np.insert(true_positives, 0, 0.0)


def _roc(false_positives: Floats, true_positives: Floats) -> tuple[Point, ...]:
    if not (false_positives[-1] > 0 and true_positives[-1] > 0):
        return ()
    return _thinned(false_positives / false_positives[-1], true_positives / true_positives[-1])


def _precision_recall(false_positives: Floats, true_positives: Floats) -> tuple[Point, ...]:
    """Precision at each recall, (0, 1) in front by convention: with nothing predicted, nothing is wrong."""
    if not true_positives[-1] > 0:
        return ()
    recall = true_positives / true_positives[-1]
    predicted = true_positives + false_positives
    precision = np.divide(true_positives, predicted, out=np.ones_like(recall), where=predicted > 0)
    return _thinned(recall, precision)


def _thinned(x: Floats, y: Floats) -> tuple[Point, ...]:
    """At most 200 of the points, evenly spaced along the curve, both ends kept."""
    keep = np.arange(len(x))
    if len(x) > MOST_POINTS:
        length = np.insert(np.cumsum(np.hypot(np.diff(x), np.diff(y))), 0, 0.0)
        keep = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], MOST_POINTS)))
        keep[0], keep[-1] = 0, len(x) - 1
    return tuple((_round(a), _round(b)) for a, b in zip(x[keep], y[keep], strict=True))


def _quantile_bins(
    by: Floats, of: NDArray[np.bool_] | Floats, weights: Floats | None
) -> tuple[tuple[CalibrationBin, ...], Floats]:
    """Means of `by` and `of` in quantile bins of `by`, as scikit-learn's `calibration_curve` cuts them; their weights.

    The bins have about equally many rows; ties stay together.
    """
    edges = np.quantile(by, np.linspace(0.0, 1.0, _BINS + 1))[1:-1]
    index = np.searchsorted(edges, by)
    counted = np.ones(len(by)) if weights is None else weights
    rows = np.bincount(index, minlength=_BINS)
    total: Floats = np.bincount(index, weights=counted, minlength=_BINS).astype(np.float64)
    filled = total > 0
    sums = [np.bincount(index, weights=each * counted, minlength=_BINS)[filled] for each in (by, of)]
    means = [each / total[filled] for each in sums]
    bins = tuple(
        CalibrationBin(predicted=_round(predicted), observed=_round(observed), rows=int(n))
        for predicted, observed, n in zip(*means, rows[filled], strict=True)
    )
    return bins, total[filled]


def _calibration_error(bins: tuple[CalibrationBin, ...], counted: Floats) -> float:
    """Expected calibration error: the mean gap between predicted and observed, weighted by rows.

    Source: M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015; here with quantile bins.
    """
    return _round(np.average([abs(each.predicted - each.observed) for each in bins], weights=counted))


def _confusion(
    truth: NDArray[np.intp], predicted: NDArray[np.intp], classes: int, weights: Floats | None
) -> tuple[tuple[float, ...], ...]:
    """Rows by both labels; with weights each counts by its own over the mean, so that all are as many as the rows."""
    cells, size = truth * classes + predicted, classes * classes
    if weights is None:
        counts = np.bincount(cells, minlength=size).reshape(classes, classes)
        return tuple(tuple(map(int, row)) for row in counts)
    counts = np.bincount(cells, weights=weights / weights.mean(), minlength=size).reshape(classes, classes)
    return tuple(tuple(map(_round, row)) for row in counts)


def _round(value: float) -> float:
    return float(f"{float(value):.6g}")
