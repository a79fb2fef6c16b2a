"""Every metric of the catalogue: its value, its value under row weights, and each row's influence on it.

* Metrics of the decided label are functions g(P) of the matrix of proportions. That gives the value, the bootstrap
  replicate (the same g on weighted counts) and, by the delta method, the influence: row i, which falls into cell
  (t, d), has g'(P)[t, d] - sum(P * g'(P)).
* Losses average over rows: log loss, Brier score, the errors of a regression, hits among the first k classes.
* Skill is 1 - L/L0, with L0 the same loss of the best constant (R², explained variance, the D² scores). That constant
  minimises L0, so its own noise has no part in the influence: row i has (L/L0 * l0_i - l_i) / L0.
* ROC AUC has DeLong's covariance: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or
  more correlated receiver operating characteristic curves: a nonparametric approach", Biometrics 44 (1988). Placements
  come from one sort (mid-ranks): X. Sun, W. Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing
  Letters 21 (2014).

Under weights w, row i's influence is that on the weighted rows; who uses it multiplies by w_i over the mean weight.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.gates.metric import Settings, Task
from mlbot.stats import types
from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights

Gradient = tuple[float, Floats]
Formula = Callable[[Floats, float | None], Gradient]
"""Proportions (C, C), true class by decided class, and the value of a share of nothing -> value and gradient."""
Classes = npt.NDArray[np.intp]


def decide(prediction: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """The label decision where nobody has taken another one, (n,): the most probable class, the first one on a tie.

    For a binary prediction (n,) that is P(positive) > 0.5: exactly one half is the negative class. Class probabilities
    are (n, C). Who knows the order of the model's classes, or its rule, gives the decided labels beside the prediction.
    """
    if prediction.ndim == 1:
        return (prediction > 0.5).astype(np.intp)
    return np.asarray(prediction.argmax(axis=1), np.intp)


def effective(weights: Weights) -> float:
    """How many rows of one weight tell as much: (sum of w)² / sum of w²."""
    floats = weights.astype(np.float64)
    squares = float(floats @ floats)
    return float(floats.sum()) ** 2 / squares if squares > 0 else 0.0


def _rows(size: int, weights: Weights | None) -> float:
    return size if weights is None else effective(weights)


def total(weights: Weights) -> float:
    """The sum of weights. Raises `UndefinedMetricError` where there is none."""
    found = float(weights.sum())
    if found == 0:
        raise UndefinedMetricError(Undefined.EMPTY, "no rows to score")
    return found


def _mean(values: Floats, weights: Weights | None) -> float:
    return float(values.mean()) if weights is None else float(weights @ values) / total(weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Confusion:
    cells: npt.NDArray[np.intp]  # true class times C plus decided class, (n,)
    classes: int  # C
    formula: Formula
    supported_by: str = "all"  # which rows the value rests on: all, the positives, or those decided positive
    empty: float | None = None  # the value of a share of nothing

    def support(self, weights: Weights | None = None) -> float:
        match self.supported_by:
            case "positives":
                rows = self.cells // self.classes == self.classes - 1
            case "decided":
                rows = self.cells % self.classes == self.classes - 1
            case _:
                return _rows(self.cells.size, weights)
        return float(np.count_nonzero(rows)) if weights is None else effective(weights[rows])

    @property
    def reach(self) -> float:
        """By how much the value changes at most when one row changes its cell."""
        return float(np.ptp(self.formula(self._proportions(), self.empty)[1])) / self.cells.size

    def value(self) -> float:
        return self.formula(self._proportions(), self.empty)[0]

    def weighted(self, weights: Weights) -> float:
        return self.formula(self._proportions(weights), self.empty)[0]

    def influence(self, weights: Weights | None = None) -> Floats:
        proportions = self._proportions(weights)
        gradient = self.formula(proportions, self.empty)[1]
        centred = gradient - (proportions * gradient).sum()
        return np.asarray(centred.ravel()[self.cells], dtype=np.float64)

    def _proportions(self, weights: Weights | None = None) -> Floats:
        counts = np.bincount(self.cells, weights, minlength=self.classes**2).astype(np.float64)
        return np.reshape(counts / total(counts), (self.classes, self.classes))


def confusion(
    metric: str,
    y: Labels,
    prediction: npt.NDArray[np.floating],
    decided: Labels | None = None,
    empty: float | None = None,
) -> _Confusion:
    """The label metric `FORMULAS[metric]` of one model; `prediction` is P(positive), (n,), or probabilities, (n, C).

    `decided`: the label that the model gives each row, as `y` has them, (n,); left out: `decide` of the prediction.
    `empty`: the value of a share of nothing; left out: there is none.
    """
    classes = 2 if prediction.ndim == 1 else prediction.shape[1]
    cells = y.astype(np.intp) * classes + (decide(prediction) if decided is None else decided)
    supported_by = {"recall": "positives", "precision": "decided"}.get(metric, "all")
    return _Confusion(cells=cells, classes=classes, formula=FORMULAS[metric], supported_by=supported_by, empty=empty)


def _accuracy(p: Floats, _empty: float | None) -> Gradient:
    return float(np.trace(p)), np.eye(len(p))


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """For each class: hits times `top`, over rows that are it, rows decided to be it, and hits, times a number each."""

    top: int
    actual: int
    decided: int
    hits: int
    lacking: tuple[Undefined, str]  # what it means that there are none of these

    def of(self, p: Floats, classes: Classes, empty: float | None) -> tuple[Floats, Floats]:
        """The share of each class (c,) and its gradient (c, C, C)."""
        hits = np.diag(p)[classes]
        bottom = self._bottom(p)[classes]
        nothing = bottom == 0
        if nothing.any() and empty is None:
            raise UndefinedMetricError(self.lacking[0], self.lacking[1], tuple(int(c) for c in classes[nothing]))
        scale = np.divide(1, bottom, out=np.zeros_like(bottom), where=~nothing)
        values = np.where(nothing, empty or 0.0, self.top * hits * scale)
        gradient = np.zeros((classes.size, *p.shape))
        for k, c in enumerate(classes):
            gradient[k, c, :] -= values[k] * self.actual * scale[k]
            gradient[k, :, c] -= values[k] * self.decided * scale[k]
            gradient[k, c, c] += (self.top - values[k] * self.hits) * scale[k]
        return values, gradient

    def _bottom(self, p: Floats) -> Floats:
        return np.asarray(self.actual * p.sum(axis=1) + self.decided * p.sum(axis=0) + self.hits * np.diag(p))

    def positive(self, p: Floats, empty: float | None) -> Gradient:
        """Of the positive class."""
        values, gradient = self.of(p, np.array([1]), empty)
        return float(values[0]), gradient[0]

    def macro(self, p: Floats, empty: float | None) -> Gradient:
        """The mean over the classes that occur, as a label or as a decision."""
        values, gradient = self.of(p, np.flatnonzero(p.sum(axis=0) + p.sum(axis=1)), empty)
        return float(values.mean()), gradient.mean(axis=0)

    def weighted(self, p: Floats, empty: float | None) -> Gradient:
        """The mean over the classes, each as often as it is a label."""
        classes = np.flatnonzero(p.sum(axis=1))
        values, gradient = self.of(p, classes, empty)
        actual = p.sum(axis=1)[classes]
        total = np.tensordot(actual, gradient, axes=1)
        total[classes] += values[:, None]
        return float(values @ actual), total

    def micro(self, p: Floats, _empty: float | None) -> Gradient:
        """The share of all hits."""
        hits, sides = float(np.trace(p)), self.actual + self.decided
        bottom = sides + self.hits * hits
        return self.top * hits / bottom, np.eye(len(p)) * self.top * sides / bottom**2


_EITHER = Undefined.CLASS_ABSENT, "no row is, or is predicted to be, {classes}"
_RECALL = Share(top=1, actual=1, decided=0, hits=0, lacking=(Undefined.CLASS_ABSENT, "no row has {classes}"))
_PRECISION = Share(
    top=1, actual=0, decided=1, hits=0, lacking=(Undefined.NOTHING_PREDICTED, "no row is predicted to be {classes}")
)
_F1 = Share(top=2, actual=1, decided=1, hits=0, lacking=_EITHER)
_JACCARD = Share(top=1, actual=1, decided=1, hits=-1, lacking=_EITHER)


def _balanced_accuracy(p: Floats, _empty: float | None) -> Gradient:
    classes = np.flatnonzero(p.sum(axis=1))
    if classes.size < 2:
        raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
    values, gradient = _RECALL.of(p, classes, None)
    return float(values.mean()), gradient.mean(axis=0)


def _matthews(p: Floats, empty: float | None) -> Gradient:
    actual, decided = p.sum(axis=1), p.sum(axis=0)
    if min(np.count_nonzero(actual), np.count_nonzero(decided)) < 2:
        return _of_one_class(p, empty)
    spread_actual, spread_decided = 1 - actual @ actual, 1 - decided @ decided
    scale = np.sqrt(spread_actual * spread_decided)
    value = (np.trace(p) - actual @ decided) / scale
    gradient = (np.eye(len(p)) - decided[:, None] - actual[None, :]) / scale
    gradient += value * (actual[:, None] / spread_actual + decided[None, :] / spread_decided)
    return float(value), gradient


def _of_one_class(p: Floats, empty: float | None) -> Gradient:
    if empty is not None:
        return empty, np.zeros_like(p)
    if np.count_nonzero(p.sum(axis=1)) < 2:
        raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
    raise UndefinedMetricError(Undefined.NOTHING_PREDICTED, "every row is predicted to be of the same class")


def _kappa(p: Floats, empty: float | None) -> Gradient:
    actual, decided = p.sum(axis=1), p.sum(axis=0)
    if np.count_nonzero(actual + decided) < 2:  # whoever guesses is right too
        return _of_one_class(p, empty)
    missed = 1 - actual @ decided
    wrong = (1 - np.trace(p)) / missed
    gradient = (np.eye(len(p)) - wrong * (decided[:, None] + actual[None, :])) / missed
    return float(1 - wrong), gradient


def _likelihood_ratio(p: Floats, _empty: float | None, *, positive: bool) -> Gradient:
    """P(decided so | positive) / P(decided so | negative), of the rows that are decided to be positive, or negative."""
    (missed, caught), slopes = _RECALL.of(p, np.array([0, 1]), None)
    top, bottom, sign = (caught, 1 - missed, 1) if positive else (1 - caught, missed, -1)
    if p[0, int(positive)] == 0:
        decided = "positive" if positive else "negative"
        raise UndefinedMetricError(Undefined.NOTHING_PREDICTED, f"no negative row is predicted to be {decided}")
    ratio = top / bottom
    return float(ratio), sign * (slopes[1] + ratio * slopes[0]) / bottom


SHARES: Mapping[str, Share] = {"precision": _PRECISION, "recall": _RECALL, "f1": _F1, "jaccard": _JACCARD}
_OWN: dict[str, Formula] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "matthews_corrcoef": _matthews,
    "cohen_kappa": _kappa,
    "positive_likelihood_ratio": partial(_likelihood_ratio, positive=True),
    "negative_likelihood_ratio": partial(_likelihood_ratio, positive=False),
}
FORMULAS: Mapping[str, Formula] = MappingProxyType(
    _OWN
    | {name: share.positive for name, share in SHARES.items()}
    | {f"{name}_macro": share.macro for name, share in SHARES.items()}
    | {f"{name}_micro": share.micro for name, share in SHARES.items()}
    | {f"{name}_weighted": share.weighted for name, share in SHARES.items()}
)
"""Every label metric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanLoss:
    """The mean of each row's loss (n,), or its square root."""

    loss: Floats
    root: bool = False
    span: float | None = None  # how far apart the losses of a row's decisions are at most; None where nobody knows

    @property
    def reach(self) -> float:
        """By how much the value changes at most when one row is decided otherwise."""
        return (self.span or 0.0) / self.loss.size

    def support(self, weights: Weights | None = None) -> float:
        """How many rows there are."""
        return _rows(self.loss.size, weights)

    def value(self) -> float:
        """The mean, or its root."""
        return self._of(_mean(self.loss, None))

    def weighted(self, weights: Weights) -> float:
        """The same when row i counts `weights[i]` times."""
        return self._of(_mean(self.loss, weights))

    def _of(self, mean: float) -> float:
        return float(np.sqrt(mean)) if self.root else mean

    def influence(self, weights: Weights | None = None) -> Floats:
        """Each row's influence, (n,). Of the root it is that of the mean over twice the root."""
        mean = _mean(self.loss, weights)
        centred: Floats = self.loss - mean
        if self.root and mean > 0:
            centred /= 2 * np.sqrt(mean)
        return centred


Losses = Callable[[Weights | None], Floats]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Skill:
    """One less the loss over that of the best constant."""

    rows: int
    loss: Losses  # each row's, (n,)
    constant: Losses  # that of the constant which is best under the weights, (n,)
    lacking: tuple[Undefined, str]  # what it means that the constant has no loss

    def support(self, weights: Weights | None = None) -> float:
        return _rows(self.rows, weights)

    def value(self) -> float:
        return self._parts(None)[0]

    def weighted(self, weights: Weights) -> float:
        return self._parts(weights)[0]

    def influence(self, weights: Weights | None = None) -> Floats:
        value, loss, constant, scale = self._parts(weights)
        return np.asarray(((1 - value) * constant - loss) / scale, dtype=np.float64)

    def _parts(self, weights: Weights | None) -> tuple[float, Floats, Floats, float]:
        loss, constant = self.loss(weights), self.constant(weights)
        scale = _mean(constant, weights)
        if not scale > 0:
            raise UndefinedMetricError(*self.lacking)
        return 1 - _mean(loss, weights) / scale, loss, constant, scale


DEFAULTS = Settings()
_EPSILON = float(np.finfo(np.float64).eps)


def of_own_class(y: Labels, prediction: Floats) -> Floats:
    """The probability that each row's own class gets; of several labels, (n, L), what each of the row gets."""
    return np.where(y == 1, prediction, 1 - prediction) if prediction.ndim == y.ndim else _at(prediction, y)


def log_losses(y: Labels, prediction: Floats, clip: float | None = None) -> Floats:
    """Each row's, clipped at float64's epsilon, as scikit-learn 1.9 does; or where it is asked for, with a sum of 1."""
    if clip is not None and prediction.ndim == 2:  # of two, P(positive) and the rest are clipped alike
        prediction = np.clip(prediction, clip, 1 - clip)
        return np.asarray(np.log(prediction.sum(axis=1)) - np.log(_at(prediction, y)))
    least = _EPSILON if clip is None else clip
    return np.asarray(-np.log(np.clip(of_own_class(y, prediction), least, 1 - least)))


def _at(prediction: Floats, y: Labels) -> Floats:
    return np.asarray(prediction[np.arange(y.size), y])


def _brier_losses(y: Labels, prediction: Floats) -> Floats:
    if prediction.ndim == 1:
        return np.asarray((prediction - y) ** 2)
    # sum over classes of (indicator - p)², without an (n, C) copy of the indicators
    loss = np.einsum("nc,nc->n", prediction, prediction) + 1 - 2 * _at(prediction, y)
    return np.asarray(loss / 2 if prediction.shape[1] == 2 else loss)


def classification_loss(metric: str, y: Labels, prediction: Floats, settings: Settings = DEFAULTS) -> MeanLoss:
    """Log loss, Brier score or hits among the first k of one model, defined as in scikit-learn 1.9.

    `prediction` is P(positive), (n,), or class probabilities, (n, C).
    """
    match metric:
        case "log_loss":
            return MeanLoss(loss=log_losses(y, prediction, settings.clip))
        case "top_k_accuracy":
            return MeanLoss(loss=_top_k(y, prediction, settings.k or 2))
        case _:
            return MeanLoss(loss=_brier_losses(y, prediction))


def _top_k(y: Labels, prediction: Floats, k: int) -> Floats:
    classes = prediction.shape[1]
    if k >= classes:
        raise UndefinedMetricError(
            Undefined.NO_VARIANCE, f"every row's class is among the first {k}, for there are {classes}"
        )
    own = _at(prediction, y)[:, None]
    # of equal probabilities the later class comes first, as in scikit-learn
    before = (prediction > own) | ((prediction == own) & (np.arange(classes) > y[:, None]))
    return np.asarray(before.sum(axis=1) < k, np.float64)


def classification_skill(metric: str, y: Labels, prediction: Floats) -> _Skill:
    """How much better than the classes' shares the log loss or the Brier score of one model is."""
    losses = log_losses if metric == "d2_log_loss_score" else _brier_losses
    own = losses(y, prediction)
    classes = 2 if prediction.ndim == 1 else prediction.shape[1]

    def constant(weights: Weights | None) -> Floats:
        shares = np.bincount(y, weights, minlength=classes) / (y.size if weights is None else total(weights))
        if np.count_nonzero(shares) < 2:
            raise UndefinedMetricError(*lacking)
        return np.asarray(losses(np.arange(classes), np.tile(shares, (classes, 1)))[y])

    lacking = Undefined.ONE_CLASS, "every row has the same label"
    return _Skill(rows=y.size, loss=lambda _: own, constant=constant, lacking=lacking)


def pinball(y: Floats, prediction: Floats, alpha: float) -> Floats:
    """Each row's loss where a quantile is predicted."""
    residual = y - prediction
    return np.asarray(np.maximum(alpha * residual, (alpha - 1) * residual))


_ROW_LOSSES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "mean_absolute_error": lambda y, p: np.abs(y - p),
    "mean_absolute_percentage_error": lambda y, p: np.abs(y - p) / np.maximum(np.abs(y), np.finfo(np.float64).eps),
    "mean_squared_error": lambda y, p: (y - p) ** 2,
    "mean_squared_log_error": lambda y, p: (np.log1p(y) - np.log1p(p)) ** 2,
    "mean_poisson_deviance": lambda y, p: 2 * (special.xlogy(y, y / p) - y + p),
    "mean_gamma_deviance": lambda y, p: 2 * (np.log(p / y) + y / p - 1),
}


def regression_loss(metric: str, y: Floats, prediction: Floats, alpha: float | None = None) -> MeanLoss | _Skill:
    """A regression metric, but those of a single row, of one model; `y` and `prediction` are (n,)."""
    _check_domain(metric, y, prediction)
    if metric in {"r2", "explained_variance", "d2_absolute_error_score"}:
        return _regression_skill(metric, y, y - prediction)
    if metric == "mean_pinball_loss":
        return MeanLoss(loss=pinball(y, prediction, 0.5 if alpha is None else alpha))
    squared = metric.replace("root_mean", "mean")
    return MeanLoss(loss=_ROW_LOSSES[squared](y, prediction), root=metric != squared)


def _regression_skill(metric: str, y: Floats, residual: Floats) -> _Skill:
    y = y - y.mean()  # a large offset would cost digits
    lacking = Undefined.NO_VARIANCE, "every row has the same target value"
    if metric == "d2_absolute_error_score":
        middle, errors = _ordered(y), np.abs(residual)

        def around(weights: Weights | None) -> Floats:
            return np.asarray(np.abs(y - middle.at(weights)))

        return _Skill(rows=y.size, loss=lambda _: errors, constant=around, lacking=lacking)
    squares = residual**2
    loss = partial(_spread, residual) if metric == "explained_variance" else lambda _: squares
    return _Skill(rows=y.size, loss=loss, constant=partial(_spread, y), lacking=lacking)


def pooled_r2(y: Floats, prediction: Floats) -> _Skill:
    """R² of several targets, (n, T) each, by the variance that each of them has; one without any has no part in it."""
    squares, around = (y - prediction) ** 2, y - y.mean(axis=0)

    def varies(weights: Weights | None) -> npt.NDArray[np.bool_]:
        rows = y if weights is None or not weights.any() else y[weights > 0]
        return np.asarray(np.ptp(rows, axis=0) > 0)

    def constant(weights: Weights | None) -> Floats:
        spreads = [_spread(column, weights) for column in around.T[varies(weights)]]
        return np.sum(spreads, axis=0) if spreads else np.zeros(len(y))

    return _Skill(
        rows=len(y),
        loss=lambda weights: np.asarray(squares[:, varies(weights)].sum(axis=1)),
        constant=constant,
        lacking=(Undefined.NO_VARIANCE, "every row has the same target values"),
    )


def _spread(values: Floats, weights: Weights | None) -> Floats:
    return np.asarray((values - _mean(values, weights)) ** 2)


# Of targets and of predictions: the bound, and whether it may be reached.
_DOMAINS = {
    "mean_squared_log_error": ((-1, False), (-1, False)),
    "root_mean_squared_log_error": ((-1, False), (-1, False)),
    "mean_poisson_deviance": ((0, True), (0, False)),
    "mean_gamma_deviance": ((0, False), (0, False)),
}


def _check_domain(metric: str, y: Floats, prediction: Floats) -> None:
    parts = ((Undefined.TARGET_OUTSIDE, y, "target"), (Undefined.PREDICTION_OUTSIDE, prediction, "prediction"))
    for (reason, values, what), (bound, reached) in zip(parts, _DOMAINS.get(metric, ()), strict=False):
        outside = np.count_nonzero(values < bound if reached else values <= bound)
        if outside:
            wanted = f"{bound} or more" if reached else f"more than {bound}"
            raise UndefinedMetricError(
                reason, f"{metric} takes a {what} of {wanted}, and {outside} of {values.size} rows have another"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ordered:
    """Values in ascending order, so that a replicate costs one cumulative sum."""

    values: Floats  # ascending, (n,)
    order: npt.NDArray[np.intp]  # which row each came from, (n,)

    def at(self, weights: Weights | None) -> float:
        """The median when row i counts `weights[i]` times; halfway where that leaves a gap."""
        if weights is None:
            return float(np.median(self.values))
        half, slack = total(weights) / 2, 1e-12  # sums of tenths are not quite what they are of whole numbers
        reached = np.cumsum(weights[self.order], dtype=np.float64)
        lower = int(np.searchsorted(reached, half * (1 - slack), side="left"))
        upper = int(np.searchsorted(reached, half * (1 + slack), side="right"))
        return float(self.values[lower] / 2 + self.values[upper] / 2)


def _ordered(values: Floats) -> _Ordered:
    order = np.argsort(values)
    return _Ordered(values=values[order], order=order)


@dataclass(frozen=True, kw_only=True, slots=True)
class _MedianError:
    error: _Ordered

    def support(self, weights: Weights | None = None) -> float:
        return _rows(self.error.values.size, weights)

    def value(self) -> float:
        return self.error.at(None)

    def weighted(self, weights: Weights) -> float:
        return self.error.at(weights)


def median_error(y: Floats, prediction: Floats) -> _MedianError:
    """The median absolute error of one model; `y` and `prediction` are (n,)."""
    return _MedianError(error=_ordered(np.abs(y - prediction)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _MaxError:
    error: _Ordered

    def support(self, weights: Weights | None = None) -> float:
        return _rows(self.error.values.size, weights)

    def value(self) -> float:
        return float(self.error.values[-1])

    def weighted(self, weights: Weights) -> float:
        total(weights)
        counted = weights[self.error.order[::-1]] > 0
        return float(self.error.values[-1 - int(counted.argmax())])


def max_error(y: Floats, prediction: Floats) -> _MaxError:
    """The largest absolute error of one model; `y` and `prediction` are (n,)."""
    return _MaxError(error=_ordered(np.abs(y - prediction)))


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
            ones = self._of_groups(drawn * self.positive)
            if drawn.dtype.kind == "f":  # a difference of sums would leave a little of nothing
                return ones, self._of_groups(drawn * ~self.positive)
            every = self._of_groups(drawn)
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

    def support(self, weights: Weights | None = None) -> float:
        """How many rows the smaller class has."""
        return min(self._sizes(weights))

    def _sizes(self, weights: Weights | None) -> tuple[float, float]:
        if weights is None:
            positives = int(self.rows.positive.sum())
            return positives, self.rows.order.size - positives
        drawn = weights[self.rows.order]
        return effective(drawn[self.rows.positive]), effective(drawn[~self.rows.positive])

    def value(self) -> float:
        return self.weighted()

    def influence(self, weights: Weights | None = None) -> Floats:
        """DeLong's placements as one column, (n,), scaled so that its sample variance over n is DeLong's variance."""
        ones, zeros = self.rows.sums(weights)
        positives, negatives, n = ones.sum(), zeros.sum(), _rows(self.rows.order.size, weights)
        of_positives, of_negatives = self._sizes(weights)
        if not min(of_positives, of_negatives) > 1:
            lacking = "positive" if of_positives <= of_negatives else "negative"
            raise UndefinedMetricError(
                Undefined.TOO_FEW_ROWS, f"an interval needs two {lacking} rows, and there is one"
            )
        below = (np.cumsum(zeros) - zeros / 2) / negatives
        above = 1 - (np.cumsum(ones) - ones / 2) / positives
        area = ones @ below / positives
        sizes = np.diff(self.rows.last, prepend=-1)
        total = positives + negatives
        from_positives = total / positives * np.sqrt((n - 1) / n * of_positives / (of_positives - 1))
        from_negatives = total / negatives * np.sqrt((n - 1) / n * of_negatives / (of_negatives - 1))
        placed = np.where(
            self.rows.positive,
            from_positives * (np.repeat(below, sizes) - area),
            from_negatives * (np.repeat(above, sizes) - area),
        )
        column = np.empty(self.rows.order.size)
        column[self.rows.order] = placed
        return column

    def weighted(self, weights: Weights | None = None) -> float:
        ones, zeros = self.rows.sums(weights)
        positives, negatives = ones.sum(), zeros.sum()
        if not (positives > 0 and negatives > 0):
            raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
        return float(ones @ (np.cumsum(zeros) - zeros / 2) / (positives * negatives))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Area:
    """One of several areas that are averaged."""

    of: _RocAuc
    among: npt.NDArray[np.intp] | None  # the rows that it is of; None for all
    counted: npt.NDArray[np.bool_]  # the rows that it weighs by, (n,)

    def weights(self, weights: Weights | None) -> Weights | None:
        return weights if weights is None or self.among is None else weights[self.among]

    def value(self, weights: Weights | None) -> float:
        return self.of.weighted(self.weights(weights))

    def share(self, weights: Weights | None) -> float:
        return float(self.counted.mean()) if weights is None else _mean(self.counted.astype(np.float64), weights)

    def influence(self, weights: Weights | None) -> Floats:
        """On the area, of every row, (n,)."""
        own = self.of.influence(self.weights(weights))
        if self.among is None:
            return own
        column = np.zeros(self.counted.size)
        part = self.among.size / self.counted.size
        if weights is not None:
            part = float(weights[self.among].sum()) / total(weights)
        column[self.among] = own / part
        return column


@dataclass(frozen=True, kw_only=True, slots=True)
class _MeanRocAuc:
    areas: tuple[_Area, ...]
    by_rows: bool  # whether an area counts as often as there are rows of it, or all count alike

    def support(self, weights: Weights | None = None) -> float:
        """How many rows the smallest class has."""
        return min(area.of.support(area.weights(weights)) for area in self.areas)

    def value(self) -> float:
        return self._mean(None)

    def weighted(self, weights: Weights) -> float:
        return self._mean(weights)

    def _mean(self, weights: Weights | None) -> float:
        shares = [area.share(weights) if self.by_rows else 1.0 for area in self.areas]
        counted = [(share, area) for share, area in zip(shares, self.areas, strict=True) if share > 0]
        return sum(share * area.value(weights) for share, area in counted) / sum(shares)

    def influence(self, weights: Weights | None = None) -> Floats:
        value, total = self._mean(weights), np.zeros(self.areas[0].counted.size)
        shares = [area.share(weights) if self.by_rows else 1.0 for area in self.areas]
        for share, area in zip(shares, self.areas, strict=True):
            total += share * area.influence(weights)
            if self.by_rows:
                total += (area.value(weights) - value) * (area.counted - share)
        total /= sum(shares)
        return total


@dataclass(frozen=True, kw_only=True, slots=True)
class _AveragePrecision:
    """The area under the precision-recall steps of one model, as scikit-learn defines it."""

    rows: _Sorted

    def support(self, weights: Weights | None = None) -> float:
        """How many positives there are."""
        positive = self.rows.positive
        return float(positive.sum()) if weights is None else effective(weights[self.rows.order][positive])

    def value(self) -> float:
        return self.weighted()

    def weighted(self, weights: Weights | None = None) -> float:
        ones, zeros = (part[::-1] for part in self.rows.sums(weights))
        positives = ones.sum()
        if not positives > 0:
            raise UndefinedMetricError(Undefined.CLASS_ABSENT, "no row has {classes}", (1,))
        found = np.cumsum(ones)
        shown = found + np.cumsum(zeros)
        # Where a replicate drew none of the top rows nothing is shown yet, and those steps add no recall.
        precision = np.divide(found, shown, out=np.zeros_like(found), where=shown > 0)
        return float(ones @ precision / positives)


def mean_roc_auc(labels: Sequence[tuple[npt.NDArray[np.bool_], Floats]], average: str) -> _MeanRocAuc:
    """Mean ROC AUC of several labels, each (n,) with its scores; `weighted` by how often they occur, or not."""
    areas = (_Area(of=roc_auc(own, scores), among=None, counted=own) for own, scores in labels)
    return _MeanRocAuc(areas=tuple(areas), by_rows=average == "weighted")


def roc_auc(y: Labels | npt.NDArray[np.bool_], prediction: npt.NDArray[np.floating]) -> _RocAuc:
    """ROC AUC of a binary model; `y` (0 or 1) and `prediction` are (n,)."""
    return _RocAuc(rows=by_score(y == 1, prediction))


def roc_auc_ovr(y: Labels, prediction: npt.NDArray[np.floating], *, by_rows: bool = False) -> _MeanRocAuc:
    """Mean ROC AUC of each class against all others; `y` holds class indices (n,), `prediction` is (n, C).

    Every class must occur, or have no part in it: `by_rows`, where each counts as often as it occurs.
    """
    counts = np.bincount(y, minlength=prediction.shape[1])
    absent = np.flatnonzero(counts == 0)
    if absent.size and not by_rows:
        raise UndefinedMetricError(Undefined.CLASS_ABSENT, "no row has {classes}", tuple(int(c) for c in absent))
    areas = (_Area(of=roc_auc(y == c, prediction[:, c]), among=None, counted=y == c) for c in np.flatnonzero(counts))
    return _several(tuple(areas), by_rows=by_rows)


def roc_auc_ovo(y: Labels, prediction: npt.NDArray[np.floating], *, by_rows: bool = False) -> _MeanRocAuc:
    """Mean ROC AUC of each class against each other one, over the classes that occur; the arrays are as above."""
    areas: list[_Area] = []
    for one, other in itertools.permutations(np.unique(y), 2):
        counted = (y == one) | (y == other)
        among = np.flatnonzero(counted)
        area = roc_auc(y[among] == one, prediction[among, one])
        areas.append(_Area(of=area, among=among, counted=counted))
    return _several(tuple(areas), by_rows=by_rows)


def _several(areas: tuple[_Area, ...], *, by_rows: bool) -> _MeanRocAuc:
    if len(areas) < 2:
        raise UndefinedMetricError(Undefined.ONE_CLASS, "every row has the same label")
    return _MeanRocAuc(areas=areas, by_rows=by_rows)


def average_precision(y: Labels | npt.NDArray[np.bool_], prediction: npt.NDArray[np.floating]) -> _AveragePrecision:
    """Average precision of a binary model; `y` (0 or 1) and `prediction` are (n,)."""
    return _AveragePrecision(rows=by_score(y == 1, prediction))


# What needs the bootstrap: no closed form says what a row does to these.
RESAMPLED = frozenset(
    {"average_precision", "average_precision_macro", "average_precision_micro", "average_precision_weighted"}
) | {"median_absolute_error"}
# What has no interval: more rows have a larger one, and the bootstrap's held the truth in half of the draws.
EXTREMES = frozenset({"max_error"})

_RANKED: Mapping[str, Callable[..., types.Statistic]] = {
    "roc_auc": roc_auc,
    "roc_auc_ovr": roc_auc_ovr,
    "roc_auc_ovr_weighted": partial(roc_auc_ovr, by_rows=True),
    "roc_auc_ovo": roc_auc_ovo,
    "roc_auc_ovo_weighted": partial(roc_auc_ovo, by_rows=True),
    "average_precision": average_precision,
    "median_absolute_error": median_error,
    "max_error": max_error,
}


def statistic(
    metric: str, task: Task, settings: Settings, y: Labels, prediction: Floats, decided: Labels | None
) -> types.Statistic:
    """A metric of the catalogue of one model on some rows."""
    if metric in FORMULAS:
        return confusion(metric, y, prediction, decided, settings.zero_division)
    if not task.is_classification:
        return regression(metric, settings, y.astype(np.float64), prediction)
    if metric in _RANKED:
        return _RANKED[metric](y, prediction)
    if metric.startswith("d2_"):
        return classification_skill(metric, y, prediction)
    return classification_loss(metric, y, prediction, settings)


def regression(metric: str, settings: Settings, y: Floats, prediction: Floats) -> types.Statistic:
    """A metric of numbers of one model; `y` and `prediction` are (n,)."""
    if metric in _RANKED:
        return _RANKED[metric](y, prediction)
    return regression_loss(metric, y, prediction, settings.alpha)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted:
    """A statistic of rows that do not count alike."""

    of: types.Statistic
    weights: Floats

    def support(self, weights: Weights | None = None) -> float:
        """How many rows of one weight tell as much."""
        return self.of.support(self._with(weights))

    def value(self) -> float:
        """The metric."""
        return self.of.weighted(self.weights)

    def weighted(self, weights: Weights) -> float:
        """The metric when row i counts `weights[i]` times its own weight."""
        return self.of.weighted(self._with(weights))

    def influence(self, weights: Weights | None = None) -> Floats:
        """Each row's influence times its weight over the mean weight."""
        counted = self._with(weights)
        column = cast("types.Smooth", self.of).influence(counted)
        return np.asarray(column * (counted * (counted.size / total(counted))))

    def _with(self, weights: Weights | None) -> Floats:
        return self.weights if weights is None else np.asarray(self.weights * weights)
