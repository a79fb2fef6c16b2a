"""From predictions to scores and comparisons: every metric, on all rows and on each slice."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Direction, Metric, Task
from mlbot.gates.outcome import ALPHA, Reason
from mlbot.judging.scores import look_of, with_q_values
from mlbot.stats.estimation import GapRows, estimate, estimate_custom, estimate_gap
from mlbot.stats.flips import FlipRows, excess_flips
from mlbot.stats.forecast import Series
from mlbot.stats.intervals import metric_interval, share_interval
from mlbot.stats.latency import middle
from mlbot.stats.metrics import decide, effective, of_own_class
from mlbot.stats.recipe import RecipeTest, Sameness, SeedHistory, recipe_test, sameness, seed_matters
from mlbot.stats.types import Estimate, NoIntervalError, Undefined, UndefinedMetricError
from mlbot.verdict.seeds import SeedDesign
from mlbot.verdict.verdict import Comparison, Flips, LatencyRatio, Look, Method, Noise, Problem, Score

Array = npt.NDArray[Any]

Subject = tuple[str, str | None]  # a metric and the slice it is taken on; None: all rows
FLIP_EXAMPLES = 5

_REASONS = {
    Undefined.NOT_FINITE: Reason.NOT_FINITE,
    Undefined.NOT_PROBABILITIES: Reason.NOT_PROBABILITIES,
    Undefined.METRIC_RAISED: Reason.METRIC_FAILED,
    Undefined.TOO_SLOW: Reason.METRIC_FAILED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Some rows of the holdout and what every model says of them."""

    slice: str | None
    labels: Array  # (n,), as the statistics take them
    predictions: tuple[Array, ...]  # one array a model, the candidate's seeds first: (n,) or (n, C)
    decided: tuple[Array, ...] = ()  # the label that each model gives each row, (n,) each; empty for regression
    groups: Array | None = None
    weights: npt.NDArray[np.float64] | None = None  # how much each row counts, (n,); None: all alike
    series: Series | None = None  # of a forecast's rows
    seeds: tuple[int, ...] = ()  # of each model
    classes: tuple[str, ...] = ()  # what the labels are called
    masks: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)  # the slices of all rows, (n,) each

    def of(self, model: int) -> "Rows":
        """The rows with one model alone."""
        one = slice(model, model + 1)
        return replace(self, predictions=self.predictions[one], decided=self.decided[one], seeds=self.seeds[one])

    def where(self, name: str, mask: npt.NDArray[np.bool_]) -> "Rows":
        """The rows of a slice."""
        return replace(self, slice=name, masks={}).taken(mask)

    def taken(self, at: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Rows":
        """Some of the rows, by a mask or by their places."""
        return replace(
            self,
            labels=self.labels[at],
            predictions=tuple(prediction[at] for prediction in self.predictions),
            decided=tuple(labels[at] for labels in self.decided),
            groups=None if self.groups is None else self.groups[at],
            weights=None if self.weights is None else self.weights[at],
            series=None if self.series is None else self.series.where(at),
            masks={name: mask[at] for name, mask in self.masks.items()},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricPlan:
    """What is to be measured."""

    task: Task
    metrics: tuple[Metric, ...]
    candidates: int  # how many of the models are the candidate's seeds; the others are the baseline's
    margins: Mapping[Subject, float]  # `max_regression` by subject, where a gate sets one
    custom: Mapping[str, Callable[..., float]]
    history: Callable[[str, str | None], SeedHistory | None] = lambda _metric, _slice: None
    design: SeedDesign = field(default_factory=SeedDesign)
    family: int = 1  # how many margins Holm adjusts for
    # Whether the seed of a side is known to have no effect, so that one file is all there is to know of its recipe.
    deterministic: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Scores of each model, in the models' order, and the comparisons of the two sides."""

    scores: tuple[tuple[Score, ...], ...]
    comparisons: tuple[Comparison, ...]
    matters: tuple[bool, bool]  # whether the seed of the candidate, and of the baseline, changes anything


def measure(plan: MetricPlan, rows: Rows, masks: Mapping[str, npt.NDArray[np.bool_]]) -> Measured:
    """Measure every metric on all rows and on each slice; what cannot be measured says why."""
    scores: list[list[Score]] = [[] for _ in rows.predictions]
    comparisons: list[tuple[Comparison, float | None]] = []
    compared = len(rows.predictions) > plan.candidates
    matters = seeds_matter(rows, plan.candidates, plan.deterministic)
    for part in _parts(replace(rows, masks=masks)):
        same = _same(part, plan.candidates, matters) if compared else None
        for metric in plan.metrics:
            if metric.slices and part.slice:
                continue  # a gap is of all rows
            joint = estimated(plan, metric, part)
            alone = [] if isinstance(joint, Estimate) else _alone(plan, metric, part, joint)
            for model, score in enumerate(_scores(metric, part, joint, alone)):
                scores[model].append(score)
            if same is not None:
                comparisons.append(_comparison(plan, metric, part, (joint, alone), same))
    return Measured(scores=tuple(map(tuple, scores)), comparisons=with_q_values(comparisons), matters=matters)


def seeds_matter(rows: Rows, candidates: int, known: tuple[bool, bool] = (False, False)) -> tuple[bool, bool]:
    """Whether the seed of the candidate, and of the baseline, changes anything: not where two of its files are alike.

    All rows say so; on those of a slice two files may agree by chance. One file says it where it is known.
    """
    found = [each for each in (rows.predictions, rows.decided) if each]
    ours = any(seed_matters(each[:candidates]) for each in found)
    theirs = any(seed_matters(each[candidates:]) for each in found)
    alone = candidates == 1, len(rows.predictions) - candidates == 1
    return ours and not (alone[0] and known[0]), theirs and not (alone[1] and known[1])


def _same(rows: Rows, candidates: int, matters: tuple[bool, bool]) -> Sameness:
    """Which models are the same: two files of equal probabilities may give labels of their own."""
    both = (rows.predictions, rows.decided) if rows.decided else (rows.predictions,)
    return Sameness(
        identical=all(sameness(each, candidates).identical for each in both),
        candidate_seed_matters=matters[0],
        baseline_seed_matters=matters[1],
    )


def wrongly_certain(plan: MetricPlan, rows: Rows, model: int) -> int:
    """On how many rows a model gives the right class a probability of 0, where a log loss is judged that minds it."""
    if not any(metric.formula == "log_loss" and metric.settings.clip is None for metric in plan.metrics):
        return 0
    wrong = of_own_class(rows.labels, rows.predictions[model]) <= 0
    return int(np.count_nonzero(wrong.reshape(len(wrong), -1).any(axis=1)))


def negative_flips(
    rows: Rows,
    candidates: int,
    *,
    examples: bool,
    limit: float | None = None,
    level: float = ALPHA,
    matters: tuple[bool, bool] | None = None,
) -> Flips:
    """Rows that the baseline's shipped file gets right and the candidate's gets wrong, and the excess over all seeds.

    Row numbers are named with `examples` only: not those of a hidden holdout. `limit` is the gate's on the excess, and
    `level` the error of each outcome; `matters` says whether the seed of each side does, where that is known. Raises
    ValueError without rows.
    """
    decided = rows.decided or tuple(map(decide, rows.predictions))
    # A row of several labels is right where all of them are.
    right = np.stack([(labels == rows.labels).reshape(len(labels), -1).all(axis=1) for labels in decided])
    flipped = np.flatnonzero(right[candidates] & ~right[0])
    counted = np.ones(len(rows.labels)) if rows.weights is None else rows.weights
    if not counted.any():
        raise ValueError("no rows")
    rate = float(counted[flipped].sum() / counted.sum())
    interval = share_interval(rate, effective(counted))
    same = _same(rows, candidates, matters or seeds_matter(rows, candidates))
    return Flips(
        rows=len(rows.labels),
        count=int(flipped.size),
        rate=rate,
        low=interval.low,
        high=interval.high,
        examples=tuple(int(row) for row in flipped[:FLIP_EXAMPLES]) if examples else (),
        seeds=(candidates, len(right) - candidates),
        excess=_excess(rows, (right[:candidates], right[candidates:]), same, limit, level),
    )


def _excess(
    rows: Rows, sides: tuple[Array, Array], same: Sameness, limit: float | None, level: float
) -> Comparison | None:
    test = excess_flips(
        *sides,
        rows=FlipRows(groups=rows.groups, weights=rows.weights),
        candidate_deterministic=not same.candidate_seed_matters,
        baseline_deterministic=not same.baseline_seed_matters,
        limit=limit or 0.0,
        alpha=level,
    )
    fields: dict[str, Any] = {"metric": "negative_flips", "direction": Direction.LOWER, "rows": len(rows.labels)}
    if same.identical:
        own = test.own if test else None
        return Comparison(**fields, candidate=own, baseline=own, change=0.0, low=0.0, high=0.0, method=Method.IDENTICAL)
    if test is None:
        return None
    return Comparison(
        **fields,
        candidate=test.rate,
        baseline=test.own,
        level=level,
        change=test.excess,
        low=test.low,
        high=test.high,
        standard_error=math.sqrt(test.variance),
        df=test.df,
        method=Method.RECIPE if same.candidate_seed_matters or same.baseline_seed_matters else Method.PAIRED,
        margin=limit,
        p_value=None if limit is None else test.p,
        # Of one gate and one look: so much and no less for others, so it is not said of them.
        mde=None if limit is None or level < ALPHA else limit + test.high - test.low,
    )


def latency_ratio(ours: Sequence[float], theirs: Sequence[float], *, identical: bool) -> LatencyRatio | None:
    """How many times the baseline's the candidate's latency is, from both sides' medians of the rounds they shared."""
    rounds = list(zip(ours, theirs, strict=False))
    if not rounds:
        return None
    found = middle([ours_ms / max(theirs_ms, _SHORTEST_MS) for ours_ms, theirs_ms in rounds])
    return LatencyRatio(rounds=len(rounds), ratio=found.median, low=found.low, high=found.high, identical=identical)


_SHORTEST_MS = 1e-6


def _parts(rows: Rows) -> Iterator[Rows]:
    yield rows
    for name, mask in rows.masks.items():
        yield rows.where(name, mask)


Found = Estimate | UndefinedMetricError


def estimated(plan: MetricPlan, metric: Metric, rows: Rows) -> Found:
    """A metric of every model together with its noise, or why there is none."""
    try:
        if metric.slices:
            return _gap(plan, metric, rows)
        if metric.function is not None:
            function = plan.custom[metric.name]
            return estimate_custom(
                function,
                plan.task,
                rows.labels,
                rows.predictions,
                groups=rows.groups,
                weights=rows.weights,
                series=rows.series,
            )
        return estimate(
            metric.formula,
            plan.task,
            rows.labels,
            rows.predictions,
            decided=rows.decided or None,
            groups=rows.groups,
            weights=rows.weights,
            series=rows.series,
            settings=metric.settings,
        )
    except UndefinedMetricError as error:
        return error


def _gap(plan: MetricPlan, metric: Metric, rows: Rows) -> Estimate:
    between = GapRows(
        y=rows.labels,
        predictions=rows.predictions,
        slices={name: rows.masks[name] for name in metric.slices},
        decided=rows.decided or None,
        groups=rows.groups,
        weights=rows.weights,
        series=rows.series,
    )
    what = metric.formula if metric.function is None else plan.custom[metric.name]
    return estimate_gap(what, plan.task, between, settings=metric.settings)


def _alone(plan: MetricPlan, metric: Metric, rows: Rows, joint: Found) -> list[Found]:
    """What there is of each model where all together have no estimate: one may be undefined and others not."""
    if isinstance(joint, NoIntervalError) or len(rows.predictions) == 1:
        return [joint] * len(rows.predictions)
    return [estimated(plan, metric, rows.of(model)) for model in range(len(rows.predictions))]


def _value(found: Found, model: int) -> float | None:
    """The value of a model; of several, if these have one, or of one alone."""
    if isinstance(found, UndefinedMetricError) and not isinstance(found, NoIntervalError):
        return None
    return float(found.values[model if found.values.size > 1 else 0])


def _problem(metric: Metric, rows: Rows, error: UndefinedMetricError, **about: Any) -> Problem:
    """Why there is no figure; `about`: of which side and which of its seeds, where other models have one."""
    if error.reason is Undefined.EMPTY:
        return Problem.of(
            Reason.EMPTY_SLICE if rows.slice or metric.slices else Reason.EMPTY_HOLDOUT, detail=str(error)
        )
    cause = error.reason.replace("_", "-")
    if error.reason in _REASONS:
        return Problem.of(_REASONS[error.reason], cause, metric=metric.name, why=error.about(rows.classes))
    values: dict[str, Any] = {"side": "", "seeds": "", "several": 0} | about
    return Problem.of(Reason.METRIC_UNDEFINED, cause, metric=metric.name, why=error.about(rows.classes), **values)


def _scores(metric: Metric, rows: Rows, joint: Found, alone: Sequence[Found]) -> Iterator[Score]:
    fields: dict[str, Any] = {"metric": metric.name, "slice": rows.slice, "rows": len(rows.labels)}
    for model in range(len(rows.predictions)):
        found, at = (joint, model) if isinstance(joint, Estimate) else (alone[model], 0)
        if isinstance(found, Estimate):
            interval = metric_interval(metric.formula, found, at)
            yield Score(**fields, value=float(found.values[at]), low=interval.low, high=interval.high)
        elif (value := _value(found, model)) is not None:
            yield Score(**fields, value=value)
        else:
            yield Score(**fields, problem=_problem(metric, rows, found))


def _comparison(
    plan: MetricPlan, metric: Metric, rows: Rows, found: tuple[Found, Sequence[Found]], same: Sameness
) -> tuple[Comparison, float | None]:
    joint, alone = found
    margin = plan.margins.get((metric.name, rows.slice))
    fields: dict[str, Any] = {
        "metric": metric.name,
        "slice": rows.slice,
        "direction": metric.direction,
        "rows": len(rows.labels),
        "margin": margin,
    }
    if isinstance(joint, UndefinedMetricError):
        return Comparison(**fields, **_lacking(plan, metric, rows, joint, alone)), None
    fields["support"] = float(joint.support.min())
    asked = _Asked(joint, plan.candidates, metric.direction.worse, margin, plan.history(metric.name, rows.slice), same)
    matters = same.candidate_seed_matters, same.baseline_seed_matters
    *before, last = looks(plan, len(rows.predictions), matters)
    *earlier, (_, test) = tests = [
        *((seeds, asked.test(seeds, level, family=0)) for seeds, level in before),
        (last[0], asked.test(*last, family=0 if margin is None else plan.family)),
    ]
    return (
        Comparison(
            **fields,
            **_look(*tests[-1], plan, asked),
            candidate=float(joint.values[: plan.candidates].mean()),
            baseline=float(joint.values[plan.candidates :].mean()),
            family=plan.family,
            mde=test.mde,
            earlier=() if margin is None else tuple(Look(**_look(*each, plan, asked)) for each in earlier),
        ),
        test.any_change,
    )


def _lacking(
    plan: MetricPlan, metric: Metric, rows: Rows, joint: UndefinedMetricError, alone: Sequence[Found]
) -> dict[str, Any]:
    """Why there is no comparison: what the rows lack, the candidate, or the baseline alone, which is no fault of it."""
    values = [_value(each, model) for model, each in enumerate(alone)]
    ours, theirs = values[: plan.candidates], values[plan.candidates :]
    known = {"candidate": _mean(ours), "baseline": _mean(theirs)}
    without = [model for model, value in enumerate(values) if value is None]
    if not without:
        why = joint.about(rows.classes)
        return known | {"problem": Problem.of(Reason.NO_INTERVAL, "rows", metric=metric.name, why=why)}
    side = "candidate" if without[0] < plan.candidates else "baseline"
    error = alone[without[0]]
    if not isinstance(error, UndefinedMetricError) or error.reason is Undefined.EMPTY or error.reason in _REASONS:
        return known | {"problem": _problem(metric, rows, joint)}
    if len(without) == len(values) and len({str(each) for each in alone}) == 1:
        return known | {"problem": _problem(metric, rows, error)}
    seeds = _seeds(rows, [m for m in without if (m < plan.candidates) is (side == "candidate")])
    problem = _problem(metric, rows, error, side=side, **seeds)
    if side == "baseline":
        own: dict[str, Any] = {**problem.values, "own": f"{known['candidate']:.4g}"}
        problem = Problem.of(Reason.NO_BASELINE_FIGURE, "seeds", **own)
    return known | {"problem": problem}


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if len(there) == len(values) else None


def _seeds(rows: Rows, models: Sequence[int]) -> dict[str, Any]:
    *first, last = [str(rows.seeds[model]) if rows.seeds else str(model) for model in models]
    return {"seeds": f"{', '.join(first)} and {last}" if first else last, "several": int(bool(first))}


def looks(plan: MetricPlan, models: int, matters: tuple[bool, bool]) -> Sequence[tuple[int | None, float]]:
    """How many seeds of each side are looked at, the first look first, and the error of each outcome at it.

    A fixed number is looked at as it is. So are files that no seed moves: nobody looks at them again.
    """
    design, ours = plan.design, plan.candidates
    if design.fixed or not any(matters):
        return [(None, ALPHA)]
    reached = design.reached(ours if matters[0] else models - ours)
    return list(zip(reached, design.levels, strict=False)) or [(None, design.levels[0])]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of one metric on some rows, at each look."""

    joint: Estimate
    candidates: int
    sign: int
    margin: float | None
    history: SeedHistory | None
    same: Sameness

    def test(self, seeds: int | None, level: float, *, family: int) -> RecipeTest:
        return recipe_test(
            self.joint,
            self.candidates,
            sign=self.sign,
            margin=self.margin or 0.0,
            level=level,
            family=family,
            seeds=seeds,
            history=self.history,
            same=self.same,
        )


def _look(seeds: int | None, test: RecipeTest, plan: MetricPlan, asked: _Asked) -> dict[str, Any]:
    both = plan.candidates if 2 * plan.candidates == asked.joint.values.size else None
    return {
        **look_of(test, asked.sign),
        "seeds": seeds or both,
        "p_value": None if asked.margin is None else test.p,
        "noise": Noise(shared=test.shared, particular=test.particular, between=test.between),
    }
