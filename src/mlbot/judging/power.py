"""What holdout, seeds, gates and history can judge: the record that `mlbot power` prints, and its text."""

from collections.abc import Iterator, Sequence
from typing import Literal

from mlbot.gates.metric import Bound, Gate, Task
from mlbot.gates.outcome import Outcome
from mlbot.lib import figures
from mlbot.lib.escape import clean
from mlbot.lib.record import Count, Name, Record, Seconds
from mlbot.lib.templates import sentence
from mlbot.lib.terminal import Cell, Pen
from mlbot.verdict.seeds import Probability
from mlbot.verdict.verdict import NonNegative

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
    head = [sentence("power", f"head/{name}") for name in ("gate", "margin", "neutral", "gaining")]
    rows = [
        [
            Cell(clean(each.gate.subject)),
            Cell(figures.limit(each.gate.limit), right=True),
            Cell(figures.count(each.neutral), right=True),
            Cell(figures.count(each.gaining), right=True),
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
