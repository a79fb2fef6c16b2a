"""A metric of several models on the same rows, with the covariance that the choice of rows gives it.

The bootstrap has the same weights for every model of a replicate. Rows: Poisson(1) weights, the limit of drawing n of n
rows with replacement (N. Chamandy et al., "Estimating uncertainty for massive data streams", 2012), so a replicate is
one pass over presorted rows. Groups: whole clusters are drawn with replacement, and the covariance is scaled by
G/(G-1).
"""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import CATALOGUE, Settings, Task, bounds_of
from mlbot.stats import forecast, metrics, ranking, targets, types
from mlbot.stats.forecast import Series
from mlbot.stats.gaps import gaps, parts
from mlbot.stats.types import (
    Estimate,
    Floats,
    Labels,
    Method,
    NoIntervalError,
    Predictions,
    Undefined,
    UndefinedMetricError,
    Weights,
)

REPLICATES = 1000
FEWEST_REPLICATES = 100

WORK = 2_000_000_000  # rows times models that all replicates together may touch
DEFINED = 0.95  # the share of replicates in which the metric must exist, or its noise is not known
Score = Callable[[Weights], Sequence[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicates:
    """The values of K models in each replicate, (R, K)."""

    values: Floats
    groups: int | None

    def covariance(self) -> Floats:
        """The covariance of the models' values, (K, K)."""
        models = self.values.shape[1]
        covariance = np.cov(self.values, rowvar=False).reshape(models, models)
        return covariance if self.groups is None else covariance * (self.groups / (self.groups - 1))

    def df(self, rows: float) -> float:
        """Degrees of freedom: of the clusters, or rows, less one; and never more than the replicates can tell."""
        return min(self.groups or rows, len(self.values)) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampler:
    """How rows are drawn again."""

    rows: int  # n
    groups: Labels | None = None  # a cluster code for each row, (n,); None when rows are independent
    counted: float | None = None  # how many rows, or units, of one weight tell as much; None: all count alike
    units: Labels | None = None  # a code for each row, (n,), of what is drawn at once: of a query, of a time
    in_time: bool = False  # whether the units follow each other, so that they are not independent
    seed: int = 0  # the same seed gives the same draws
    cells: int = 1  # how many targets a row has: so much more is a replicate's work
    stop: Callable[[], bool] = lambda: False  # asked before each replicate; True ends early

    def replicate(self, score: Score, models: int) -> Replicates:
        """Score K models again and again: `score` maps row weights (n,), whole numbers, to each model's metric (K,).

        Raises `UndefinedMetricError`: too few groups, too few replicates before `stop`, or too many without a value.
        """
        draw, groups = self._drawer()
        values: list[Sequence[float]] = []
        tried = 0
        while tried < budget(self.rows * self.cells, models) and not self.stop():
            tried += 1
            found = _values(score, draw())
            if found is not None:
                values.append(found)
        _check(len(values), tried)
        return Replicates(values=np.array(values, dtype=np.float64).reshape(len(values), models), groups=groups)

    def _drawer(self) -> tuple[Callable[[], Weights], int | None]:
        rng = np.random.default_rng(self.seed)
        if self.in_time and self.units is not None:
            return self._blocks(rng, self.units)
        if self.groups is None:
            return lambda: rng.poisson(1.0, self.rows).astype(np.uint8), None
        codes = np.unique(self.groups, return_inverse=True)[1]
        count = int(codes.max()) + 1
        if count < 2:
            raise UndefinedMetricError(Undefined.TOO_FEW_GROUPS, "all rows belong to one group")

        def draw() -> Weights:
            chosen = np.bincount(rng.integers(0, count, count), minlength=count)
            return chosen.astype(np.uint8)[codes]

        return draw, count

    def _blocks(self, rng: np.random.Generator, times: Labels) -> tuple[Callable[[], Weights], int]:
        """Times are drawn in runs, round the end to the beginning."""
        count = int(times.max()) + 1
        if count < forecast.FEWEST_TIMES:
            forecast.long_run(np.zeros((1, count)))  # says so
        length = forecast.block_length(count)

        def draw() -> Weights:
            starts = rng.integers(0, count, -(-count // length))
            chosen = ((starts[:, None] + np.arange(length)) % count).ravel()[:count]
            return np.bincount(chosen, minlength=count).astype(np.uint8)[times]

        return draw, max(2, count // length)


def budget(rows: int, models: int) -> int:
    """How many replicates to make: fewer on very many rows, and the same number each time."""
    return int(np.clip(WORK // max(1, rows * models), FEWEST_REPLICATES, REPLICATES))


def _values(score: Score, weights: Weights) -> Sequence[float] | None:
    try:
        found = score(weights)
    except UndefinedMetricError as error:
        if error.reason is Undefined.METRIC_RAISED:
            raise
        return None
    return found if all(map(math.isfinite, found)) else None


def _check(used: int, tried: int) -> None:
    if tried < FEWEST_REPLICATES:
        raise UndefinedMetricError(
            Undefined.TOO_SLOW, f"only {tried} of {FEWEST_REPLICATES} bootstrap replicates fitted into the time"
        )
    if used < DEFINED * tried:
        raise UndefinedMetricError(
            Undefined.UNSTABLE, f"the metric has no value in {tried - used} of {tried} bootstrap replicates"
        )


Array = npt.NDArray[Any]
Decided = Sequence[Labels] | None

CustomMetric = Callable[..., float]
"""A user's own metric: `(y, prediction)` or `(y, prediction, sample_weight=None)` -> a number."""


@np.errstate(all="ignore")  # a figure that is not finite becomes an UndefinedMetricError at the end
def estimate(  # noqa: PLR0913  # each is an array of its own
    metric: str,
    task: Task,
    y: Array,
    predictions: Predictions,
    *,
    decided: Decided = None,
    groups: Labels | None = None,
    weights: Floats | None = None,
    series: Series | None = None,
    settings: Settings = metrics.DEFAULTS,
    seed: int = 0,
) -> Estimate:
    """A catalogue metric of K models, with S: from influence columns where the metric has them, else the bootstrap.

    `y` (n,) holds 0 or 1, class indices, or a regression's target, and with several targets (n, L) those of each; each
    model's predictions are P(positive) or values (n,), or class probabilities (n, C), or (n, L) as `y`. `decided` holds
    the label that each model gives each row, as `y` has them; left out: the most probable one. Cluster codes `groups`
    (n,) switch to the cluster bootstrap, with G-1 degrees of freedom; of a ranking they are the queries. `weights` (n,)
    are those of a sample: how many of the population a row stands for. `series` is of a forecast's rows. Raises
    `UndefinedMetricError` when there is no value or no interval, `ValueError` when arguments do not fit each other.
    """
    if metric not in CATALOGUE or task not in CATALOGUE[metric].tasks:
        raise ValueError(f"{metric!r} is not a metric of a {task} model")
    types.check(task, y, predictions, groups, weights)
    labels: Sequence[Labels | None] = decided or [None] * len(predictions)
    asked = _Asked(metric=metric, task=task, settings=settings)
    rows = _Rows(y=y, groups=groups, weights=weights, series=series)
    made = (  # one at a time: an influence column needs no other model
        asked.of(rows, prediction, own) for prediction, own in zip(predictions, labels, strict=True)
    )
    if metric in metrics.EXTREMES:
        raise _extreme([statistic.value() for statistic in made])
    found = _estimate(made, _resampler(task, rows, seed), _method(metric), len(predictions))
    if task is Task.MULTILABEL:
        found = replace(found, df=min(found.df, _few(found)))
    found = replace(found, span=_span(metric, weights))
    return found if task.has_classes or metric == "accuracy" else replace(found, exact=False)


def _span(metric: str, weights: Floats | None) -> float:
    low, high = bounds_of(metric)
    return (high - low) * (1.0 if weights is None else float(weights.max() / weights.mean()))


def _few(found: Estimate) -> float:
    """Degrees of freedom of a variance that few rows carry, those with a rare label: 2 n / (kurtosis - 1)."""
    if found.influence is None:
        return math.inf
    squares = found.influence**2
    moments = squares.mean(axis=1)
    kurtosis = np.divide((squares**2).mean(axis=1), moments**2, out=np.ones_like(moments), where=moments > 0)
    excess = max(1.0, float(kurtosis.max()) - 1)
    return max(1.0, float(2 * squares.shape[1] / excess))


@np.errstate(all="ignore")
def value_of(  # noqa: PLR0913  # as `estimate`
    metric: str,
    task: Task,
    y: Array,
    prediction: Array,
    *,
    decided: Labels | None = None,
    groups: Labels | None = None,
    weights: Floats | None = None,
    series: Series | None = None,
    settings: Settings = metrics.DEFAULTS,
) -> float:
    """A catalogue metric of one model without its noise, with arrays as in `estimate`; raises as it does."""
    asked = _Asked(metric=metric, task=task, settings=settings)
    found = asked.of(_Rows(y=y, groups=groups, weights=weights, series=series), prediction, decided).value()
    if not math.isfinite(found):
        raise UndefinedMetricError(Undefined.NOT_FINITE, "the metric is not a finite number")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """Some rows without what models say of them, as in `estimate`."""

    y: Array
    groups: Labels | None
    weights: Floats | None
    series: Series | None

    def where(self, among: npt.NDArray[np.intp]) -> "_Rows":
        return _Rows(
            y=self.y[among],
            groups=None if self.groups is None else self.groups[among],
            weights=None if self.weights is None else self.weights[among],
            series=None if self.series is None else self.series.where(among),
        )

    @property
    def units(self) -> Labels | None:
        """What is drawn at once: a time, unless groups of rows are independent; a query."""
        if self.series is not None and self.groups is None:
            return np.unique(self.series.times, return_inverse=True)[1]
        return None if self.groups is None else np.unique(self.groups, return_inverse=True)[1]


def _resampler(
    task: Task, rows: _Rows, seed: int, stop: Callable[[], bool] = lambda: False, *, own: bool = False
) -> Resampler:
    """Of a user's `own` metric of queries, these are drawn as groups are."""
    y, weights, units = rows.y, rows.weights, rows.units
    in_time = task is Task.FORECAST and rows.groups is None
    if units is None or not (in_time or (task is Task.RANKING and not own)):
        counted = _counted(weights)
        return Resampler(rows=len(y), groups=rows.groups, counted=counted, seed=seed, cells=y[0].size, stop=stop)
    counted = None if weights is None else metrics.effective(ranking.of_queries(weights, units))
    return Resampler(rows=len(y), units=units, in_time=in_time, counted=counted, seed=seed, stop=stop)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A metric of the catalogue."""

    metric: str
    task: Task
    settings: Settings

    def of(self, rows: _Rows, prediction: Array, decided: Labels | None) -> types.Statistic:
        """Of one model on some rows."""
        made = self._of(rows, np.asarray(prediction, np.float64), decided)
        return made if rows.weights is None else metrics.Weighted(of=made, weights=rows.weights)

    def _of(self, rows: _Rows, prediction: Floats, decided: Labels | None) -> types.Statistic:
        y, queries = rows.y, rows.units
        if self.task is Task.RANKING and queries is not None:
            return ranking.statistic(self.metric, self.settings, y.astype(np.float64), prediction, queries)
        if rows.series is not None:
            return forecast.statistic(self.metric, self.settings, y.astype(np.float64), prediction, rows.series)
        make = targets.statistic if self.task.has_targets else metrics.statistic
        return make(self.metric, self.task, self.settings, y, prediction, decided)


def _extreme(values: Sequence[float]) -> UndefinedMetricError:
    if not np.isfinite(values).all():
        return UndefinedMetricError(Undefined.NOT_FINITE, "the metric is not a finite number")
    why = "the largest of some rows does not say how large that of others is"
    return NoIntervalError(UndefinedMetricError(Undefined.UNSTABLE, why), np.array(values, np.float64))


@dataclass(frozen=True, kw_only=True, slots=True)
class GapRows:
    """The rows that a gap is measured on, as in `estimate`, and the slices (n,) that it is between."""

    y: Array
    predictions: Predictions
    slices: Mapping[str, npt.NDArray[np.bool_]]
    decided: Decided = None
    groups: Labels | None = None
    weights: Floats | None = None
    series: Series | None = None


@np.errstate(all="ignore")
def estimate_gap(
    metric: str | CustomMetric, task: Task, rows: GapRows, *, settings: Settings = metrics.DEFAULTS, seed: int = 0
) -> Estimate:
    """The gap between slices in a catalogue metric, or in one of the user's own, of K models.

    Raises `UndefinedMetricError`, with the slice on which there is no value.
    """
    types.check(task, rows.y, rows.predictions, rows.groups, rows.weights)
    weighs = not isinstance(metric, str) and takes_weights(metric)
    whole = _Rows(y=rows.y, groups=rows.groups, weights=rows.weights, series=rows.series)

    def make(model: int, among: npt.NDArray[np.intp]) -> types.Statistic:
        y, prediction = rows.y[among], np.asarray(rows.predictions[model][among], np.float64)
        weights = None if rows.weights is None else rows.weights[among]
        if not isinstance(metric, str):
            return _Own(metric=metric, weighs=weighs, y=y, prediction=prediction, weights=weights)
        decided = rows.decided[model][among] if rows.decided else None
        return _Asked(metric=metric, task=task, settings=settings).of(whole.where(among), prediction, decided)

    models = len(rows.predictions)
    found = parts(make, rows.slices, models)
    if metric in metrics.EXTREMES:
        values = np.array([part.value() for part in found]).reshape(models, len(rows.slices))
        raise _extreme(np.ptp(values, axis=1).tolist())
    resampler = _resampler(task, whole, seed, own=not isinstance(metric, str))
    method = _method(metric) if isinstance(metric, str) else _own_method(weighs=weighs)
    apart = gaps(_estimate(found, resampler, method, models * len(rows.slices)), len(rows.slices))
    return replace(apart, span=_span(metric, rows.weights)) if isinstance(metric, str) else apart


@dataclass(frozen=True, kw_only=True, slots=True)
class _Own:
    """A user's own metric as a statistic."""

    metric: CustomMetric
    weighs: bool  # whether it takes weights; one that does not is asked of rows that are repeated as often
    y: Array
    prediction: Array
    weights: Floats | None = None

    def support(self, weights: Weights | None = None) -> float:
        del weights
        return _counted(self.weights) or len(self.y)

    def value(self) -> float:
        given = {} if self.weights is None else {"sample_weight": self.weights}
        return _call(self.metric, self.y, self.prediction, **given)

    def weighted(self, weights: Weights) -> float:
        if self.weighs:
            counted = weights.astype(np.float64) * (1 if self.weights is None else self.weights)
            return _call(self.metric, self.y, self.prediction, sample_weight=counted)
        rows = np.repeat(np.arange(len(self.y)), weights)
        return _call(self.metric, self.y[rows], self.prediction[rows])


def _counted(weights: Floats | None) -> float | None:
    return None if weights is None else metrics.effective(weights)


def _method(metric: str) -> Method:
    if metric in metrics.RESAMPLED:
        return Method.POISSON_BOOTSTRAP
    return Method.DELONG if "roc_auc" in metric else Method.DELTA


def _own_method(*, weighs: bool) -> Method:
    return Method.POISSON_BOOTSTRAP if weighs else Method.RESAMPLING_BOOTSTRAP


def _estimate(made: Iterable[types.Statistic], resampler: Resampler, method: Method, models: int) -> Estimate:
    if resampler.groups is None and method in {Method.DELTA, Method.DELONG}:
        return _by_influence(made, models, method, resampler)
    statistics = list(made)
    return _by_bootstrap(
        [statistic.value() for statistic in statistics],
        lambda drawn: [statistic.weighted(drawn) for statistic in statistics],
        resampler,
        method,
        [statistic.support() for statistic in statistics],
    )


@np.errstate(all="ignore")
def estimate_custom(  # noqa: PLR0913  # `estimate`'s arguments and the deadline
    metric: CustomMetric,
    task: Task,
    y: Array,
    predictions: Predictions,
    *,
    groups: Labels | None = None,
    weights: Floats | None = None,
    series: Series | None = None,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Estimate:
    """A user's own metric of K models, with S from the bootstrap; the arrays are those of `estimate`.

    A metric that takes `sample_weight` is scored on all rows with weights; another one on rows that are repeated as
    often, and it cannot be scored on rows with `weights`. Raises `UndefinedMetricError` when it raised, gave no finite
    number, or was too slow.
    """
    types.check(task, y, predictions, groups, weights)
    weighs = takes_weights(metric)
    if weights is not None and not weighs:
        raise ValueError("rows have weights, and the metric takes no `sample_weight`")
    made = (_Own(metric=metric, weighs=weighs, y=y, prediction=each, weights=weights) for each in predictions)
    resampler = _resampler(task, _Rows(y=y, groups=groups, weights=weights, series=series), seed, stop, own=True)
    return _estimate(made, resampler, _own_method(weighs=weighs), len(predictions))


def _by_influence(statistics: Iterable[types.Statistic], models: int, method: Method, resampler: Resampler) -> Estimate:
    units, effective = resampler.units, resampler.counted
    units = None if resampler.in_time else units  # what a row does is seen row by row there
    rows = resampler.rows if units is None else int(units.max()) + 1
    values, support = np.empty(models), np.empty(models)
    columns, steps = np.empty((models, rows)), list[float]()
    lacking: UndefinedMetricError | None = None
    for k, statistic in enumerate(statistics):
        values[k], support[k] = statistic.value(), statistic.support()
        try:
            column = cast("types.Smooth", statistic).influence()
            columns[k] = column if units is None else np.bincount(units, column) * (rows / len(units))
        except UndefinedMetricError as error:
            lacking = error
        columns[k] -= columns[k].mean()
        steps.append(getattr(statistic, "reach", 0.0))
    if lacking is not None:
        raise NoIntervalError(lacking, values) from lacking
    # Rows that do not count alike tell as much as fewer rows that do.
    counted = rows if effective is None else effective
    try:
        covariance, df = _noise(columns, counted, resampler)
    except UndefinedMetricError as error:
        raise NoIntervalError(error, values) from error
    return _finite(
        Estimate(
            values=values,
            covariance=covariance,
            df=df,
            method=method,
            rows=rows,
            support=support,
            influence=columns,
            reach=None if effective or not all(steps) else np.array(steps, np.float64),
        )
    )


def _noise(columns: Floats, counted: float, resampler: Resampler) -> tuple[Floats, float]:
    """The covariance of the means of columns, and its degrees of freedom."""
    rows, times = columns.shape[1], resampler.units
    if resampler.in_time and times is not None:
        sums = np.stack([np.bincount(times, column) for column in columns])
        return forecast.long_run(sums * (sums.shape[1] / rows))
    if rows < 2:
        raise UndefinedMetricError(Undefined.TOO_FEW_GROUPS, "all rows belong to one group")
    return columns @ columns.T * (counted / (counted - 1.0) / rows**2), counted - 1


def _by_bootstrap(
    values: Sequence[float], score: Score, resampler: Resampler, method: Method, support: Sequence[float]
) -> Estimate:
    if not all(map(math.isfinite, values)):
        raise UndefinedMetricError(Undefined.NOT_FINITE, "the metric is not a finite number")
    try:
        replicates = resampler.replicate(score, len(values))
    except UndefinedMetricError as error:
        if error.reason in {Undefined.METRIC_RAISED, Undefined.TOO_SLOW}:
            raise
        raise NoIntervalError(error, np.array(values, np.float64)) from error
    return _finite(
        Estimate(
            values=np.array(values, np.float64),
            covariance=replicates.covariance(),
            df=replicates.df(resampler.rows if resampler.counted is None else resampler.counted),
            method=method if replicates.groups is None else Method.CLUSTER_BOOTSTRAP,
            rows=resampler.rows,
            support=np.array(support, np.float64),
            groups=replicates.groups,
            replicates=len(replicates.values),
            draws=replicates.values,
        )
    )


def _finite(estimate: Estimate) -> Estimate:
    if not (np.isfinite(estimate.values).all() and np.isfinite(estimate.covariance).all()):
        raise UndefinedMetricError(Undefined.NOT_FINITE, "the metric, or its noise, is not a finite number")
    return estimate


def takes_weights(metric: CustomMetric) -> bool:
    """Whether it has a parameter `sample_weight`."""
    try:
        return "sample_weight" in inspect.signature(metric).parameters
    except (TypeError, ValueError):  # a callable written in C may have no signature
        return False


def _call(metric: CustomMetric, *arrays: Array, **weights: Floats) -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(metric(*arrays, **weights))
    except Exception as error:  # a user's code may raise anything
        raise UndefinedMetricError(
            Undefined.METRIC_RAISED, f"the metric raised {type(error).__name__}: {error}"
        ) from error
