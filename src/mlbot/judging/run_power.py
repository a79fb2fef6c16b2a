"""`mlbot power`: what holdout, seeds, gates and history can judge, before anything is trained.

The figures are the judge's own, on answers that stand in for those of models (`mlbot.stats.standins`): its metrics,
slices, groups and weights on the labels that there are, then its rule (`mlbot.stats.power`). What the ledger knows
takes the place of what is assumed.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlbot.config.run_check import Folder, one_model
from mlbot.config.schema import Model
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, require
from mlbot.gates.metric import Bound, Gate, Metric, Task, asked_of_sealed, bounds_of
from mlbot.gates.outcome import JUDGEABLE
from mlbot.git.ledger import read_local
from mlbot.git.merge import first_parents
from mlbot.git.repository import Repository, config_folder, configs_of
from mlbot.judging.power import (
    Assumptions,
    GatePower,
    ModelPower,
    Power,
    PowerOptions,
    SealedGate,
    SealedPower,
    facts_of,
    limit_figures,
    margin_figures,
    of_items,
    power_text,
    rows_to_pass,
    seeding_of,
    spread_of,
    spread_of_flips,
    unanswered,
)
from mlbot.judging.run_judge import Rule, known_history, opened, rows_of
from mlbot.ledger.entries import SealedEntry, VerdictEntry
from mlbot.ledger.queries import metric_history, not_passed, sealed_looks, seed_freedom, seed_history
from mlbot.lib.record import Digest
from mlbot.lib.templates import sentence
from mlbot.lib.terminal import Pen
from mlbot.plan.comparison_point import BranchHistory
from mlbot.plan.plan import ENOUGH_HISTORY
from mlbot.verdict.seeds import Determinism, determinism
from mlbot.verdict.verdict import Problem

if TYPE_CHECKING:
    from mlbot.judging.run_measure import MetricPlan, Rows
    from mlbot.ml.holdout import HoldoutData
    from mlbot.stats.power import Seeding, Spread
    from mlbot.stats.recipe import SeedHistory
    from mlbot.stats.standins import Assumed
    from mlbot.stats.standins import Rows as Labelled
    from mlbot.stats.types import Estimate, UndefinedMetricError


PLAN = PowerOptions()


def say_power(directory: Path, options: PowerOptions, console: Console, *, as_json: bool) -> Exit:
    """Print what can be judged: inconclusive where a margin that counts cannot, an error for an unreadable holdout."""
    require("judge", needed_for="Reading the holdout")
    root = config_folder(directory)
    folder = Folder.of(root, configs_of(root))
    models = tuple(one_model(folder.config, name) for name in options.models) or folder.config.models
    folder.check([each.name for each in models])
    past = past_verdicts(root)
    found = Power(models=tuple(_power(folder, each, past, options, console) for each in models))
    pen = Pen(console.color, console.width)
    console.result(found.model_dump_json(indent=2) if as_json else power_text(found, pen))
    if not found.readable:
        return Exit.NOT_EVALUATED
    return Exit.OK if found.judgeable else Exit.INCONCLUSIVE


def past_verdicts(root: Path, model: str | None = None) -> tuple[VerdictEntry, ...]:
    """What the ledger of this clone knows of the guarded branch; nothing where there is no repository or no ledger."""
    with suppress(MlbotError):
        repository = Repository.discover(root)
        branch = repository.default_branch()
        chain = first_parents(repository, branch.sha)
        return BranchHistory.of(read_local(repository.root, "verdict", model).entries, branch.name, chain).verdicts
    return ()


_FAR = 0.5
"""How often three margins fail below which a margin is far from judgeable."""


def far_from_judgeable(root: Path, model: Model, holdout: "HoldoutData") -> tuple[str, ...]:
    """The margins that count and of which three would mostly go unnoticed: a hint, for `config check --data`."""
    from mlbot.stats.power import chances

    planning = Planning(
        root=root, model=model, holdout=holdout, past=past_verdicts(root, model.name), options=PowerOptions()
    )
    if planning.seeding.undecidable:
        return ()
    margins = [each for each in model.gates if each.bound is Bound.MAX_REGRESSION and each.blocking]
    far = []
    with _steady(), suppress(NotEvaluatedError):  # of a metric of one's own that cannot be loaded
        for gate in (each for each in margins if each.slice not in planning.small):
            part = planning.part(gate.slice)
            found = part.estimate(gate.metric)
            if isinstance(found, ValueError):
                continue
            spread = part.spread(gate.metric, found)
            if chances(spread, planning.seeding, gate.limit, JUDGEABLE * gate.limit).fails < _FAR:
                far.append(gate.subject)
    return tuple(far)


def _sealed_looks(root: Path) -> tuple[SealedEntry, ...]:
    with suppress(MlbotError):
        return sealed_looks(read_local(Repository.discover(root).root, "sealed").entries)
    return ()


def _power(
    folder: Folder, model: Model, past: Sequence[VerdictEntry], options: PowerOptions, console: Console
) -> ModelPower:
    nothing = ModelPower(model=model.name, task=model.task)
    if model.evaluate is not None:
        if options.rows:
            return of_items(model, past, options)
        return nothing.model_copy(update={"why": sentence("power", "not-answered/evaluator")})
    console.passing(f"{model.name}: reading the holdout")
    holdout = opened(Rule(model=model, folder=folder.root))
    if isinstance(holdout, Problem):
        return nothing.model_copy(update={"why": holdout.detail})
    own = tuple(each for each in past if each.model == model.name)
    refused = not_passed(_sealed_looks(folder.root), model.name, folder.config.sealed_elsewhere(model))
    planning = Planning(root=folder.root, model=model, holdout=holdout, past=own, refused=refused, options=options)
    try:
        with _steady():
            return planning.found(console)
    except NotEvaluatedError as error:
        return nothing.model_copy(update={"why": error.what})


def _steady() -> Any:
    import numpy as np

    return np.errstate(all="ignore")


SIDE = 3
"""How many models a side stand in: two tell rows' noise, and more tell it better."""
MOST_ROWS = 20_000
"""How many rows are tried; what more of them do follows from these."""
_MOST_VERDICTS, _FEWEST_VERDICTS, _MOST_CELLS = 100, 20, 2_000_000
"""How many verdicts are drawn to know what flips do, and answers of a side for them."""
MOST_DRAWN = 4_000
"""The same where each metric is measured by drawing groups, or one of the user's own by drawing rows, again."""


@dataclass(frozen=True, kw_only=True)
class Planning:
    """One model, and what is known of it."""

    root: Path
    model: Model
    holdout: "HoldoutData"
    past: tuple[VerdictEntry, ...]
    options: PowerOptions
    refused: int = 0  # how many looks at its sealed rows did not pass
    known: dict[str | None, "_Part"] = field(default_factory=dict)

    def found(self, console: Console) -> ModelPower:
        """What each gate can judge."""
        gates = []
        for gate in self.model.gates:
            console.passing(f"{self.model.name}: {gate.name}")
            gates.append(self._gate(gate))
        holdout = self.holdout
        return facts_of(self.model, self.seeding, self.past).model_copy(
            update={
                "rows": self.options.rows or holdout.rows,
                "positives": None if self.options.rows else holdout.record.positives,
                "groups": None if holdout.groups is None else int(holdout.groups.max()) + 1,
                "design_effect": self._design_effect(),
                "assumed": self.part(None).assumptions,
                "gates": tuple(gates),
                "sealed": self._sealed(),
            }
        )

    def _design_effect(self) -> float | None:
        """How many times the variance of the first figure is what it were if the rows of a group were independent."""
        from mlbot.judging.run_measure import estimated

        part, metric = self.part(None), next((each for each in self.model.metrics if not each.slices), None)
        if metric is None or self.holdout.groups is None or self.model.task is Task.RANKING:
            return None
        whole, alone = (
            part.estimate(metric.name),
            estimated(self.metric_plan, metric, replace(part.answered, groups=None)),
        )
        if isinstance(whole, ValueError) or isinstance(alone, ValueError) or not alone.covariance[0, 0] > 0:
            return None
        return float(whole.covariance[0, 0] / alone.covariance[0, 0])

    @cached_property
    def baseline(self) -> tuple[Digest, ...]:
        """The key of the model that the next change is compared with: its own seeds are no history."""
        return tuple(each.key for each in self.past[-1:])

    @cached_property
    def seeding(self) -> "Seeding":
        """Looks, margins and history of the next verdict."""
        freedom = seed_freedom(self.past, self.model.name, self.baseline)
        return seeding_of(self.model, freedom, matters=not (self.model.artifact is not None or self._is_deterministic))

    @property
    def _is_deterministic(self) -> bool:
        return determinism(self.past, self.model.name, None, None) is not Determinism.UNKNOWN

    def history(self, metric: str, part: str | None) -> "SeedHistory | None":
        """What past recipes say of the seeds, for the next verdict's rule."""
        holdout = self.holdout.record.digest
        return known_history(self.past, self.model.name, metric, part, holdout, self.baseline)

    def part(self, name: str | None) -> "_Part":
        """All rows, or a slice's."""
        if name not in self.known:
            self.known[name] = _Part.of(self, name)
        return self.known[name]

    @cached_property
    def metric_plan(self) -> "MetricPlan":
        """What the judge measures. Raises `NotEvaluatedError` for a metric of one's own that cannot be loaded."""
        from mlbot.judging.run_measure import MetricPlan
        from mlbot.ml.custom_metrics import load_metrics

        task, metrics, weighted = self.model.task, self.model.metrics, self.holdout.weights is not None
        custom = load_metrics(metrics, self.root, self.holdout.values, weighted=weighted)
        if isinstance(custom, Problem):
            raise NotEvaluatedError(custom.detail, hint=custom.hint)
        return MetricPlan(task=task, metrics=metrics, candidates=SIDE, margins={}, custom=custom)

    @property
    def scale(self) -> float:
        """How many times the holdout's rows are asked about."""
        return 1.0 if self.options.rows is None else self.options.rows / self.holdout.rows

    @cached_property
    def small(self) -> frozenset[str | None]:
        """The slices with fewer rows than count."""
        rows = self.holdout.record.slices
        return frozenset(each.name for each in self.model.slices if rows[each.name] * self.scale < each.min_rows)

    def metric(self, name: str) -> Metric:
        """One of the model's metrics."""
        return next(each for each in self.model.metrics if each.name == name)

    def _gate(self, gate: Gate) -> GatePower:
        rows = self.holdout.record.slices[gate.slice] if gate.slice else self.holdout.rows
        rows = round(rows * self.scale)
        counts = gate.blocking and not gate.only_warns and gate.slice not in self.small
        about = GatePower(gate=gate, rows=rows, counts=counts)
        if gate.bound is Bound.MAX_EXCESS:
            return self._of_flips(about)
        judgeable = False if gate.bound.is_relative else None
        if cause := unanswered(gate, rows):
            measured = {"judgeable": judgeable} if gate.is_scored else {}
            return about.model_copy(update={"why": sentence("power", f"not-answered/{cause}")} | measured)
        part = self.part(gate.slice)
        found = part.estimate(gate.metric)
        if isinstance(found, ValueError):
            return about.model_copy(update={"why": f"{found}.", "judgeable": judgeable})
        figures = limit_figures(found, self.metric(gate.metric), part.times)
        if gate.bound is not Bound.MAX_REGRESSION:
            return about.model_copy(update=figures)
        figures.pop("half_width")
        if self.seeding.undecidable:
            return about.model_copy(update={"why": sentence("power", "not-answered/one-seed"), "judgeable": False})
        spread = part.spread(gate.metric, found)
        low, high = bounds_of(self.metric(gate.metric).formula)
        return about.model_copy(update=figures | margin_figures(about, spread, self.seeding, span=high - low))

    def _of_flips(self, about: GatePower) -> GatePower:
        from mlbot.judging.run_measure import negative_flips

        part, seeding = self.part(None), self.seeding
        seeds, level = seeding.looks[-1]
        if seeding.matters and seeds < SIDE:
            return about.model_copy(update={"why": sentence("power", "not-answered/flips"), "judgeable": False})
        matters, count = (seeding.matters, seeding.matters), seeds if seeding.matters else 1
        cells = len(part.rows.labels) * count * max(1, part.labelled.classes)
        drawn = (
            negative_flips(part.rows_of(count, seed=at), count, examples=False, matters=matters).excess
            for at in range(min(_MOST_VERDICTS, max(_FEWEST_VERDICTS, _MOST_CELLS // cells)))
        )
        found = [each for each in drawn if each is not None and each.df is not None]
        if len(found) < _FEWEST_VERDICTS:  # or the answers are all alike
            return about.model_copy(update={"why": sentence("power", "not-answered/flips"), "judgeable": False})
        spread, neutral = spread_of_flips(found, len(part.rows.labels))
        spread = replace(spread.at(part.times), between=part.between if seeding.matters else 0.0)
        alone = replace(seeding, looks=((seeds, level),), matters=False)
        return about.model_copy(update=margin_figures(about, spread, alone, span=1.0, neutral=neutral))

    def _sealed(self) -> SealedPower | None:
        """What the next release needs of sealed rows; None for a model that has none and no margin to ask of them."""
        from mlbot.stats.sealed import MOST_REFUSED, level_after

        level = level_after(min(self.refused, MOST_REFUSED))
        pairs = [(gate, self.metric(gate.metric)) for gate in self.model.gates if gate.is_scored]
        asked = [gate for gate, _ in asked_of_sealed(pairs, baseline=True) if gate.bound is Bound.MAX_REGRESSION]
        gates = [found for gate in asked if level and (found := self._sealed_gate(gate, level))]
        configured, left = self.model.data.sealed is not None, max(0, MOST_REFUSED - self.refused)
        if not (configured or gates):
            return None
        return SealedPower(configured=configured, level=level, left=left, gates=tuple(gates))

    def _sealed_gate(self, gate: Gate, level: float) -> SealedGate | None:
        from mlbot.stats.power import PASSING, SURE
        from mlbot.stats.sealed import step_of

        part = self.part(None)
        found = part.estimate(gate.metric)
        if isinstance(found, ValueError) or not gate.limit > 0:
            return None
        spread = part.spread(gate.metric, found)
        step = step_of(found) / part.times
        asked = {"margin": gate.limit, "level": level, "step": step}
        neutral, gaining, sure = (
            rows_to_pass(spread, self.holdout.rows * self.scale, times=times, power=power, **asked)
            for times, power in ((1, PASSING), (2, PASSING), (1 + JUDGEABLE, SURE))
        )
        return SealedGate(gate=gate, neutral=neutral, gaining=gaining, sure=sure)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Some of the rows, with models that stand in for those of the next verdict."""

    planning: Planning
    name: str | None
    labelled: "Labelled"
    rows: "Rows"  # without any model
    times: float  # how many times as many rows there are
    by: tuple[str, float] | None  # the metric, and its value, that says how good the models are
    assumed: "Assumed"

    @classmethod
    def of(cls, planning: Planning, name: str | None) -> "_Part":
        """All rows, or those of a slice."""
        from mlbot.stats.standins import SKILL, Rows, assume

        drawn = planning.holdout.groups is not None or any(each.function for each in planning.model.metrics)
        chosen, times = _chosen(planning.holdout, name, MOST_DRAWN if drawn else MOST_ROWS)
        times *= planning.scale
        rows = _rows_among(planning.holdout, chosen)
        series, data = rows.series, planning.model.data
        labelled = Rows(
            task=planning.model.task,
            labels=rows.labels,
            classes=len(rows.classes),
            alike=_alike(planning.model.task, rows),
            quantiles=() if series is None else series.quantiles,
            threshold=0.5 if data.threshold is None else data.threshold,
        )
        if name is not None:  # the same models as on all rows
            whole = planning.part(None)
            own: dict[str, Any] = {"by": whole.by, "assumed": whole.assumed}
            return cls(planning=planning, name=name, labelled=labelled, rows=rows, times=times, **own)
        by = _reference(planning)
        skill = _skill(planning, labelled, rows, by, SKILL.get(planning.model.task, 1.0))
        assumed = assume(labelled, skill, planning.options.disagreement, planning.options.change)
        return cls(planning=planning, name=name, labelled=labelled, rows=rows, times=times, by=by, assumed=assumed)

    @property
    def assumptions(self) -> Assumptions:
        """What was assumed of these rows."""
        from mlbot.stats.standins import differing

        by, options = self.by or ("", None), self.planning.options
        freedom = seed_freedom(self.planning.past, self.planning.model.name, ())
        given: Literal["ledger", "both", "assumed"]
        given = "ledger" if freedom >= ENOUGH_HISTORY else "both" if freedom else "assumed"
        disagreement = min(options.disagreement, differing(self.labelled, self.assumed))
        return Assumptions(
            disagreement=round(disagreement, 4),
            change=options.change,
            by=by[0],
            value=by[1],
            seeds=given,
            freedom=freedom,
        )

    @property
    def between(self) -> float:
        """What another seed does to the share of right rows on any number of them: variance, assumed."""
        from mlbot.stats.power import SEEDS_AS_ROWS
        from mlbot.stats.standins import differing

        return differing(self.labelled, self.assumed) / 2 / SEEDS_AS_ROWS

    def rows_of(self, seeds: int, *, seed: int = 0) -> "Rows":
        """With the answers of so many models a side."""
        return _answered(self.labelled, self.rows, self.assumed, seeds, seed)

    @cached_property
    def answered(self) -> "Rows":
        """With the answers of a few models a side."""
        return self.rows_of(SIDE)

    @cached_property
    def _estimates(self) -> "dict[str, Estimate | UndefinedMetricError]":
        return {}

    def estimate(self, name: str) -> "Estimate | UndefinedMetricError":
        """A metric of the models that stand in."""
        from mlbot.judging.run_measure import estimated

        if name not in self._estimates:
            self._estimates[name] = estimated(self.planning.metric_plan, self.planning.metric(name), self.answered)
        return self._estimates[name]

    def spread(self, name: str, found: "Estimate") -> "Spread":
        """What moves a change of the metric, on all of these rows."""
        spread = spread_of(found, self.planning.metric(name)).at(self.times)
        return self._with_seeds(name, spread, float(found.support.min()) * self.times)

    def _with_seeds(self, name: str, spread: "Spread", support: float) -> "Spread":
        """With the seeds' variance: the ledger's, and where that knows little, what is assumed beside it."""
        from mlbot.stats.power import SEEDS_AS_ROWS

        if not self.planning.seeding.matters:  # two files are all there is, and differ as much as two seeds would
            return replace(spread, shared=spread.shared + 2 * spread.particular, particular=0.0)
        assumed = spread.particular * (1 + support / SEEDS_AS_ROWS)
        holdout = self.planning.holdout.record.digest
        past = seed_history(self.planning.past, self.planning.model.name, name, self.name, holdout, ())
        if past is None:
            return replace(spread, between=assumed - spread.particular)
        counted = 0 if past.df >= ENOUGH_HISTORY else _ASSUMED_DF
        of_seed = (past.variance * past.df + assumed * counted) / (past.df + counted)
        particular = min(spread.particular, of_seed)
        return replace(spread, particular=particular, between=of_seed - particular)


_ASSUMED_DF = 4


def _chosen(holdout: "HoldoutData", name: str | None, most: int) -> "tuple[Any, float]":
    """The rows to try, and how many times as many there are: whole groups, and every time of a forecast."""
    import numpy as np

    of = np.arange(holdout.rows) if name is None else np.flatnonzero(holdout.masks[name])
    if len(of) <= most or holdout.series is not None:
        return of, 1.0
    rng = np.random.default_rng(0)
    if holdout.groups is None:
        chosen = np.sort(rng.choice(of, most, replace=False))
    else:
        order = rng.permutation(int(holdout.groups.max()) + 1)[holdout.groups[of]]
        sizes = np.bincount(order).cumsum()
        last = max(1, int(np.searchsorted(sizes, most)))
        chosen = of[order <= last]
    return chosen, len(of) / len(chosen)


def _rows_among(holdout: "HoldoutData", chosen: Any) -> "Rows":
    """Some rows as the judge measures them, without the answers of any model."""
    import numpy as np

    rows = replace(rows_of(holdout, ()), masks=holdout.masks).taken(chosen)
    return replace(rows, groups=None if rows.groups is None else np.unique(rows.groups, return_inverse=True)[1])


def _answered(labelled: "Labelled", rows: "Rows", assumed: "Assumed", seeds: int, seed: int = 0) -> "Rows":
    from mlbot.stats.standins import answers, decided

    given = answers(labelled, assumed, seeds, seed=seed)
    labels = tuple(decided(labelled, each) for each in given) if labelled.task.is_classification else ()
    return replace(rows, predictions=given, decided=labels)


def _reference(planning: Planning) -> tuple[str, float] | None:
    """The metric of all rows whose value says how good the models are: the ledger's, else what a gate asks for."""
    from mlbot.gates.metric import CATALOGUE

    plain = [each for each in planning.model.metrics if each.formula in CATALOGUE and not each.slices]
    for metric in plain:
        past = metric_history(planning.past, planning.model.name, metric.name, planning.holdout.record.digest)
        if past:
            return metric.name, past[-1]
    limits = {
        gate.metric: gate.limit
        for gate in planning.model.gates
        if gate.bound in {Bound.MIN, Bound.MAX} and not gate.slice
    }
    return next(((each.name, limits[each.name]) for each in plain if each.name in limits), None)


def _alike(task: Task, rows: "Rows") -> Any:
    """Which rows depend on each other: groups, or the rows of a time; those of a query are one draw anyway."""
    if task is Task.RANKING:
        return None
    return rows.groups if rows.groups is not None or rows.series is None else rows.series.times


def _skill(planning: Planning, labelled: "Labelled", rows: "Rows", by: tuple[str, float] | None, usual: float) -> float:
    """How good a model is that has such a value."""
    from mlbot.stats.standins import Assumed, skilled

    if by is None:
        return usual
    metric, plan = planning.metric(by[0]), replace(planning.metric_plan, candidates=1)

    def value(skill: float) -> float:
        return _value(
            plan, metric, _answered(labelled, rows, Assumed(skill=skill, of_seed=0.0, of_recipe=0.0), 1).of(0)
        )

    return skilled(usual / 20, usual * 20, value, by[1])


def _value(plan: "MetricPlan", metric: Metric, rows: "Rows") -> float:
    from mlbot.stats.estimation import value_of
    from mlbot.stats.types import UndefinedMetricError

    try:
        return value_of(
            metric.formula,
            plan.task,
            rows.labels,
            rows.predictions[0],
            decided=next(iter(rows.decided), None),
            groups=rows.groups,
            weights=rows.weights,
            series=rows.series,
            settings=metric.settings,
        )
    except UndefinedMetricError:
        return math.nan
