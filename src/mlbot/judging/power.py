"""What holdout, seeds, gates and history can judge: the record that `mlbot power` prints, its figures and its text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mlbot.config.schema import Model
from mlbot.gates.metric import Bound, Gate, Metric, Task, data_check
from mlbot.gates.outcome import JUDGEABLE, Outcome
from mlbot.ledger.entries import VerdictEntry
from mlbot.ledger.queries import durations, seed_freedom
from mlbot.lib import figures
from mlbot.lib.escape import clean
from mlbot.lib.record import Count, Name, Record, Seconds
from mlbot.lib.templates import sentence
from mlbot.lib.terminal import Cell, Pen
from mlbot.plan.plan import design_by_history
from mlbot.verdict.seeds import Probability, SeedDesign
from mlbot.verdict.verdict import Comparison, NonNegative

if TYPE_CHECKING:
    from mlbot.stats.power import Seeding, Spread
    from mlbot.stats.types import Estimate

_BOLD, _RED, _GREEN, _YELLOW = "1", "31", "32", "33"


class GatePower(Record):
    """What there is to say of one gate before anything is trained; a figure that nobody can know is None."""

    gate: Gate
    rows: Count
    support: NonNegative | None = None  # how many rows the metric rests on: the positive ones of a recall
    standard_error: NonNegative | None = None  # of the change, at the last look: sqrt(V)
    noticed_from: NonNegative | None = None  # the least margin of which a true drop of three fails 19 times in 20
    passed_from: NonNegative | None = None  # the least margin that a change without effect passes 4 times in 5
    judgeable: bool | None = None  # whether the gate's own margin is at least `noticed_from`
    noticed: Probability | None = None  # how often a true drop of three of the gate's own margins fails
    passed: Probability | None = None  # how often a change without effect passes
    rows_needed: Count | None = None  # for both; None where no sensible number is enough
    seeds_needed: Count | None = None  # a side, for both
    value: float | None = None  # about where the metric is expected
    half_width: NonNegative | None = None  # of the 90 % interval of one file's metric
    counts: bool = True  # False for what only warns, and for a slice with too few rows
    why: str = ""  # why there are no figures


class SealedGate(Record):
    """How many sealed rows a release's gate needs, at the level of the next look."""

    gate: Gate
    neutral: Count  # to pass, 4 times in 5, as good as what is live
    gaining: Count  # as good by one margin more
    sure: Count  # to pass 9 times in 10, better by three margins


class SealedPower(Record):
    """What a release needs for a `pass` on sealed rows."""

    configured: bool  # whether the model has sealed rows
    level: Probability | None  # of the next look; None where the rows are spent
    left: Count  # how many looks at the newest rows may still not pass
    gates: tuple[SealedGate, ...] = ()


class Cost(Record):
    """What a verdict takes; times are those of the last training on the guarded branch."""

    seed_s: Seconds | None = None
    first: Count  # trainings of the candidate before the first look; the baseline's are kept
    most: Count

    @property
    def first_s(self) -> float | None:
        """Seconds of all trainings before the first look, one after another."""
        return None if self.seed_s is None else self.seed_s * self.first

    @property
    def most_s(self) -> float | None:
        """Seconds of all trainings that there can be."""
        return None if self.seed_s is None else self.seed_s * self.most


class Assumptions(Record):
    """What is assumed where nothing is known."""

    disagreement: Probability  # of rows between two files of one recipe; of numbers the share of the error's variance
    change: Probability  # of rows that a change moves besides
    by: str = ""  # the metric whose value says how good the models are; empty: nothing does
    value: float | None = None
    seeds: Literal["ledger", "both", "assumed"] = "assumed"  # where the variance between seeds is from
    freedom: Count = 0  # degrees of freedom of all past seeds on this holdout


class ModelPower(Record):
    """What one model's verdicts can judge."""

    model: Name
    task: Task
    rows: Count = 0
    positives: Count | None = None  # of a binary task
    groups: Count | None = None
    design_effect: NonNegative | None = None  # how many times the variance of a figure is what it were without groups
    looks: tuple[Count, ...] = ()
    levels: tuple[Probability, ...] = ()
    family: Count = 1  # how many margins Holm adjusts for
    history: Count = 0  # degrees of freedom of past seeds that the next verdict's rule counts: not its baseline's
    deterministic: bool = False
    assumed: Assumptions | None = None
    gates: tuple[GatePower, ...] = ()
    sealed: SealedPower | None = None
    cost: Cost | None = None
    why: str = ""  # why nothing can be said

    @property
    def unjudgeable(self) -> tuple[GatePower, ...]:
        """The margins that count and cannot be judged."""
        return tuple(each for each in self.gates if each.counts and each.judgeable is False)


class Power(Record):
    """What `mlbot power` answers."""

    schema_version: Literal["mlbot/power@1"] = "mlbot/power@1"
    models: tuple[ModelPower, ...]

    @property
    def judgeable(self) -> bool:
        """Whether every margin that counts can be judged."""
        return not any(model.unjudgeable for model in self.models)

    @property
    def readable(self) -> bool:
        """Whether every holdout could be read."""
        return all(model.rows or model.task is Task.SCORES for model in self.models)


# The figures.


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerOptions:
    """What the command line says."""

    models: tuple[str, ...] = ()
    disagreement: float = 0.06
    change: float = 0.01
    rows: int | None = None  # that the holdout is taken to have, slices in proportion; None: those that it has


def of_items(model: Model, past: Sequence[VerdictEntry], options: PowerOptions) -> ModelPower:
    """What an evaluator's scores can judge on so many items: two files differ on some, by all of the score's range."""
    items = options.rows or 0
    freedom = seed_freedom(past, model.name, ())
    seeding = seeding_of(model, freedom, matters=model.artifact is None)
    ranges = {each.name: each.range for each in model.metrics}
    gates = []
    for gate in model.gates:
        about, span = GatePower(gate=gate, rows=items, counts=gate.blocking), ranges.get(gate.metric)
        if not gate.is_scored or gate.slice or span is None:
            cause = unanswered(gate, items) or ("slice-items" if gate.slice else "no-range")
            gates.append(about.model_copy(update={"why": sentence("power", f"not-answered/{cause}")}))
        elif gate.bound is Bound.MAX_REGRESSION and not seeding.undecidable:
            width = span[1] - span[0]
            spread = _spread_of_items(width, items, options, matters=seeding.matters)
            gates.append(about.model_copy(update=margin_figures(about, spread, seeding, span=width)))
        elif gate.bound is Bound.MAX_REGRESSION:
            gates.append(
                about.model_copy(update={"why": sentence("power", "not-answered/one-seed"), "judgeable": False})
            )
    assumed = Assumptions(disagreement=options.disagreement, change=options.change)
    return facts_of(model, seeding, past).model_copy(update={"rows": items, "assumed": assumed, "gates": tuple(gates)})


def _spread_of_items(span: float, items: int, options: PowerOptions, *, matters: bool) -> "Spread":
    from mlbot.stats.power import SEEDS_AS_ROWS, Spread

    shared, particular = (span**2 * share / items for share in (options.change, options.disagreement / 2))
    spread = Spread(shared=shared, particular=particular, df=max(1.0, items - 1.0), step=span / items)
    if not matters:
        return replace(spread, shared=shared + 2 * particular, particular=0.0)
    return replace(spread, between=particular * items / SEEDS_AS_ROWS)


def facts_of(model: Model, seeding: "Seeding", past: Sequence[VerdictEntry]) -> ModelPower:
    """What is known of a model without its rows: looks, levels, history and cost."""
    looks = [seeds for seeds, _ in seeding.looks]
    first, most = (looks[0], looks[-1]) if seeding.matters else (1, 1)
    brought = model.artifact is not None
    cost = Cost(first=0, most=0) if brought else Cost(seed_s=durations(past).get(model.name), first=first, most=most)
    return ModelPower(
        model=model.name,
        task=model.task,
        looks=tuple(looks),
        levels=tuple(level for _, level in seeding.looks),
        family=seeding.family,
        history=seeding.history,
        deterministic=not seeding.matters,
        cost=cost,
    )


def seeding_of(model: Model, freedom: int, *, matters: bool) -> "Seeding":
    """Looks, margins and history of a model's next verdict."""
    from mlbot.stats.power import Seeding

    given = model.train.seeds
    if model.artifact is not None:
        design = SeedDesign(looks=(1,))
    elif given is not None:
        design = SeedDesign.between(given.start, given.most)
    else:
        design = design_by_history(freedom)
    return Seeding(
        looks=tuple(zip(design.looks, design.levels, strict=True)),
        family=max(1, sum(gate.is_margin for gate in model.gates)),
        history=freedom,
        matters=matters,
    )


def unanswered(gate: Gate, rows: int) -> str:
    """Why nothing about the rows can answer, if so."""
    if not gate.is_scored:
        data, latency = data_check(gate.metric) is not None, gate.metric.startswith("latency")
        return "data" if data else "latency" if latency else "operational"
    return "" if rows else "no-rows"


def limit_figures(found: "Estimate", metric: Metric, times: float) -> dict[str, Any]:
    """What a gate with a limit is shown with: the value that is expected, and half of its interval."""
    from mlbot.stats.intervals import metric_interval

    interval = metric_interval(metric.formula, found)
    half = (interval.high - interval.low) / 2 / math.sqrt(times)
    return {
        "value": float(found.values[0]),
        "half_width": half,
        "support": float(found.support.min()) * times,
    }


def margin_figures(
    about: GatePower, spread: "Spread", seeding: "Seeding", *, span: float, neutral: float = 0.0
) -> dict[str, Any]:
    """What a margin can judge; `span` is the metric's range, `neutral` the drop of a change without effect."""
    from mlbot.stats import power

    margin, rows = about.gate.limit, about.rows
    found = power.noticed(spread, seeding), power.passable(spread, seeding, neutral)
    # A margin beyond the metric's range is no margin.
    noticed_from, passed_from = (each if each is not None and each <= span else None for each in found)
    times = power.times_needed(spread, seeding, margin, neutral)
    return {
        "standard_error": math.sqrt(spread.variance(seeding.looks[-1][0])),
        "noticed_from": noticed_from,
        "passed_from": passed_from,
        "judgeable": noticed_from is not None and margin >= noticed_from,
        "noticed": power.chances(spread, seeding, margin, JUDGEABLE * margin).fails,
        "passed": power.chances(spread, seeding, margin, neutral).passes,
        "rows_needed": None if times is None else _rounded(times * rows),
        "seeds_needed": power.seeds_needed(spread, seeding, margin, neutral),
    }


def rows_to_pass(  # noqa: PLR0913  # the rows, the question and how often
    spread: "Spread", rows: float, *, margin: float, times: float, level: float, step: float, power: float
) -> int:
    """How many sealed rows pass a gate whose true change is a margin, or so many, away from failing.

    Enough rows have to carry the change, too: a hundred, or as many that ten of them make the margin.
    """
    from mlbot.stats.power import sealed_rows
    from mlbot.stats.recipe import FEWEST_EFFECTIVE_ROWS, FEWEST_STEPS

    of_row = (spread.shared + 2 * spread.particular) * rows
    enough = rows * FEWEST_EFFECTIVE_ROWS / spread.effective_rows if spread.effective_rows else 0.0
    if spread.reach is not None:
        enough = min(enough, rows * FEWEST_STEPS * spread.reach / margin)
    needed = sealed_rows(of_row, margin * times, level, power, margin=margin, step=step * rows)
    return _rounded(max(enough, needed))


def _rounded(rows: float) -> int:
    """Up to two digits: more of them would say that assumptions are facts."""
    digits = int(10 ** max(0, math.floor(math.log10(max(1.0, rows))) - 1))
    return math.ceil(rows / digits) * digits


def spread_of(found: "Estimate", metric: Metric) -> "Spread":
    """What rows do to a change, by the judge's own look at a few models a side that are equally good."""
    from mlbot.stats.power import Spread
    from mlbot.stats.recipe import recipe_test

    side = found.values.size // 2
    test = recipe_test(found, side, sign=metric.direction.worse, margin=0.0)
    rows, effective = test.shared + test.particular, test.effective_rows
    of_row = math.sqrt(rows / effective) if effective else 0.0
    return Spread(
        shared=test.shared,
        particular=test.particular * side / 2,
        df=max(1.0, found.df),
        step=max(of_row, test.reach or 0.0),
        effective_rows=effective,
        reach=test.reach,
    )


def spread_of_flips(drawn: Sequence[Comparison], rows: int) -> tuple["Spread", float]:
    """What moves the excess of negative flips, by drawn verdicts on a change without effect, and its mean in them."""
    import numpy as np

    from mlbot.stats.power import flip_spread

    facts = np.array([(each.change, each.high, each.df) for each in drawn], float)
    return flip_spread(*facts.T, level=drawn[0].level, rows=rows)


# The text.


def power_text(found: Power, pen: Pen) -> str:
    """Every model with its gates."""
    return "\n".join("\n".join(_model(each, pen)) for each in found.models)


def _model(model: ModelPower, pen: Pen) -> Iterator[str]:
    yield pen.paint(sentence("power", "model", model=model), _BOLD)
    if model.why:
        yield pen.wrap(model.why)
        return
    for part in ("assumed", "seeds", "cost"):
        yield pen.wrap(sentence("power", part, model=model))
    margins = [each for each in model.gates if each.noticed is not None]
    if margins:
        head = [
            sentence("power", f"head/{name}") for name in ("gate", "margin", "rows", "from", "fails", "passes", "needs")
        ]
        yield ""
        yield pen.table(head, [_margin(each) for each in margins], expendable=(2,))
    limits = [each for each in model.gates if each.half_width is not None]
    if limits:
        head = [sentence("power", f"head/{name}") for name in ("gate", "limit", "rows", "width")]
        yield ""
        yield pen.table(head, [_limit(each) for each in limits], expendable=(2,))
    for each in model.gates:
        if each.why:
            yield pen.wrap(f"{clean(each.gate.name)}: {each.why}")
    yield from _sealed(model, pen)
    yield ""


def _margin(each: GatePower) -> Sequence[Cell]:
    style = "" if not each.counts else _GREEN if each.judgeable else _RED
    places = _places(each)
    return [
        Cell(clean(each.gate.subject)),
        Cell(figures.limit(each.gate.limit), style, right=True),
        Cell(figures.count(each.rows), right=True),
        Cell(figures.number(each.noticed_from, places), right=True),
        Cell(figures.percent(each.noticed), right=True),
        Cell(figures.percent(each.passed), _YELLOW if (each.passed or 0) < 0.8 else "", right=True),
        Cell(sentence("power", "needs", gate=each)),
    ]


def _places(each: GatePower) -> int:
    return figures.decimals(each.standard_error)


def _limit(each: GatePower) -> Sequence[Cell]:
    bound = {Bound.MIN: "\N{GREATER-THAN OR EQUAL TO}", Bound.MAX: "\N{LESS-THAN OR EQUAL TO}"}[each.gate.bound]
    return [
        Cell(clean(each.gate.subject)),
        Cell(f"{bound} {figures.limit(each.gate.limit)}", right=True),
        Cell(figures.count(each.rows), right=True),
        Cell(f"± {figures.number(each.half_width, figures.decimals(each.half_width))}", right=True),
    ]


def _sealed(model: ModelPower, pen: Pen) -> Iterator[str]:
    if model.sealed is None or not (model.sealed.gates or model.sealed.configured):
        return
    yield ""
    yield pen.wrap(sentence("power", "sealed", sealed=model.sealed))
    if not model.sealed.gates:
        return
    head = [sentence("power", f"head/{name}") for name in ("gate", "margin", "neutral", "gaining", "sure")]
    rows = [
        [
            Cell(clean(each.gate.subject)),
            Cell(figures.limit(each.gate.limit), right=True),
            Cell(figures.count(each.neutral), right=True),
            Cell(figures.count(each.gaining), right=True),
            Cell(figures.count(each.sure), right=True),
        ]
        for each in model.sealed.gates
    ]
    yield pen.table(head, rows)


# How often gates flip on identical code.


class OutcomeShare(Record):
    """How often something came to an outcome, with the exact 90 % interval of the share."""

    outcome: Outcome
    share: Probability
    low: Probability
    high: Probability


class GateFlips(Record):
    """How often one gate came to what on identical code; `gate` None: the verdict on all of them."""

    gate: Gate | None = None
    outcomes: tuple[OutcomeShare, ...]


class Flipping(Record):
    """What `mlbot power --aa` answers: how often these gates flip where nobody changed anything."""

    schema_version: Literal["mlbot/power-aa@1"] = "mlbot/power-aa@1"
    model: Name
    files: Count  # of one recipe
    seeds: Count  # a side
    splits: Count  # ways to make two sides of them
    rows: Count
    verdicts: Count  # that were made
    gates: tuple[GateFlips, ...]


def flipping_text(found: Flipping, pen: Pen) -> str:
    """Each gate with how often it came to what."""
    there = {each.outcome for gate in found.gates for each in gate.outcomes if each.share}
    usual = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
    shown = [*usual, *([Outcome.ERROR] if Outcome.ERROR in there else [])]
    head = [sentence("power", "head/gate"), *shown]
    rows = [
        [Cell(clean(each.gate.name) if each.gate else sentence("power", "aa/all")), *_shares(each, shown)]
        for each in found.gates
    ]
    return "\n".join([pen.wrap(sentence("power", "aa/title", found=found), ""), pen.table(head, rows), ""])


def _shares(gate: GateFlips, shown: Sequence[Outcome]) -> Iterator[Cell]:
    by = {each.outcome: each for each in gate.outcomes}
    for outcome in shown:
        share = by.get(outcome)
        yield Cell(_interval(share) if share else figures.percent(0.0), right=True)


def _interval(share: OutcomeShare) -> str:
    if not share.share:
        return f"0 % (\N{LESS-THAN OR EQUAL TO} {figures.percent(share.high)})"
    return f"{figures.percent(share.share)} ({figures.percent(share.low)} to {figures.percent(share.high)})"
