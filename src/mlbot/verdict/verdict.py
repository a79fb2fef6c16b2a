"""What was measured of a candidate and its baseline, and the verdict: all gates' outcomes on a commit."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from mlbot.errors import ended
from mlbot.gates.metric import Direction, Gate, Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import AnchorModel, WaiverEntry
from mlbot.lib.record import Count, Digest, Name, Record, Sha
from mlbot.lib.templates import has_sentence, sentence
from mlbot.verdict.seeds import Probability, Seeds

NonNegative = Annotated[float, Field(ge=0)]


class Problem(Record):
    """Why something could not be evaluated: a code, which of its causes, and the values that its words name.

    The words are made once, from `templates/words/reasons.yaml`, and go where the problem goes.
    """

    reason: Reason
    cause: str = ""  # one of the causes that the reason's words have; empty for the reason itself
    values: dict[str, str | int | float] = Field(default_factory=dict)
    detail: str
    hint: str = ""  # what to do about this cause; empty where there is nothing to do

    @classmethod
    def of(cls, reason: Reason, cause: str = "", *, detail: str = "", **values: Any) -> Self:
        """A problem with its words; `detail` is a sentence of its own, where there is no cause for it yet."""
        path = f"{reason}/causes/{cause}" if cause else str(reason)
        text = detail or ended(sentence("reasons", f"{path}/sentence", **values))
        hint = sentence("reasons", f"{path}/hint", **values) if has_sentence("reasons", f"{path}/hint") else ""
        return cls(reason=reason, cause=cause, values=values, detail=text, hint=hint)

    @property
    def inner(self) -> str:
        """What happened, without the sentence that names what it happened to: for a problem of something else."""
        return str(self.values.get("why") or self.detail)


def reason_hint(reason: Reason) -> str:
    """What to do about a reason, whatever its cause; empty where there is nothing to do."""
    return sentence("reasons", f"{reason}/hint") if has_sentence("reasons", f"{reason}/hint") else ""


class Holdout(Record):
    """The labelled rows a model is judged on."""

    source: str  # the path or URL as the config names it
    digest: Digest
    content: Digest | None = None  # of its rows, however they are written (`mlbot.ml.content`); None in older reports
    rows: Count
    hidden: bool = False
    """Whether only the judge can read it (an URL), rather than any pull request (a file of the repository)."""
    task: Task
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = None  # where the config sets one: a row is positive from this probability on
    label: Literal["model"] | None = None  # `model`: each file's own labels are judged; else they follow from the rule
    weight: str | None = None  # the column that says how much a row counts
    inexact: tuple[str, ...] = ()  # features of whole numbers beyond 2^53, which floating-point numbers take for others
    slices: dict[str, Count] = Field(default_factory=dict)
    queries: Count | None = None  # of a ranking
    positives: Count | None = None  # of a binary task; None in older reports
    slice_positives: dict[str, Count] = Field(default_factory=dict)


class Score(Record):
    """One metric of one model on the holdout or a slice of it; `value` is None exactly when `problem` says why."""

    metric: str
    slice: str | None = None
    rows: Count
    value: float | None = None
    low: float | None = None
    high: float | None = None  # the two-sided 90 % interval of the value
    best: float | None = None  # the value with every error at the best end of its range, where `value` has the worst
    problem: Problem | None = None


class Latency(Record):
    """Time to predict, measured in the scoring process on one thread."""

    requests: Count
    p50_ms: NonNegative
    p95_ms: NonNegative
    batch_rows: Count
    rows_per_s: NonNegative
    rounds: Count = 0  # into which the requests were split; 0: an older mlbot's, in one go
    p50_low: NonNegative | None = None
    p50_high: NonNegative | None = None
    """The interval of the median, from the order statistics of the rounds' medians; None with too few rounds."""


class LatencyRatio(Record):
    """How many times the baseline's the candidate's median latency is, both asked in turn on one machine.

    `ratio` is the median over the rounds of the ratio of their medians. A model that is too slow for enough rounds has
    no interval.
    """

    rounds: Count
    ratio: NonNegative
    low: NonNegative | None = None
    high: NonNegative | None = None  # order statistics of the rounds' ratios: at least 95 % two-sided
    identical: bool = False  # whether both sides are one file, so that there is nothing to compare


class Asked(Record):
    """How a model was asked that mlbot does not ask itself: by the guarded branch's own command."""

    isolation: str  # what held the command, as `mlbot.ml.isolation` names it; `none` on a laptop that has nothing
    environment: str  # where it ran, for people
    calls: Count
    longest_s: NonNegative  # the longest call; mostly its start, so it is no latency
    peak_memory_bytes: Count


class OwnLabels(Record):
    """The labels that a file gives itself, beside those that follow from its probabilities by the rule."""

    rows: Count
    differ: Count
    threshold: Probability | None = None
    """Of a binary model: the file's labels are those of this one on every row; None where no threshold gives them."""


class Rounding(Record):
    """The steps in which a regression's float32 answers go, where these count beside its errors."""

    step: NonNegative  # from one number to the next that float32 can hold, near the answers
    near: NonNegative  # the middle one of the answers, without its sign
    error: NonNegative  # the middle one of the absolute errors


class Evaluation(Record):
    """One model file's scores on one holdout; `problem` says why there are none."""

    digest: Digest | None  # sha256 of the ONNX file; None when there is no file
    seed: Count
    size_bytes: Count = 0
    scores: tuple[Score, ...] = ()
    latency: Latency | None = None  # None where it was not measured, as of a predictor
    asked: Asked | None = None  # None for an ONNX file that mlbot asks itself
    wrongly_certain: Count = 0  # rows whose class gets a probability of 0, where a log loss without `clip` is judged
    own_labels: OwnLabels | None = None  # None where the file gives none, or they cannot be read
    rounding: Rounding | None = None  # None where it does not count
    problem: Problem | None = None

    def score(self, metric: str, slice_: str | None = None) -> Score | None:
        """The score of a metric on a slice (None: all rows), if it was asked for."""
        return next((s for s in self.scores if s.metric == metric and s.slice == slice_), None)


class Method(StrEnum):
    """Which question an interval answers, and whose noise it contains."""

    RECIPE = "recipe"  # the mean over seeds; rows and seeds vary
    BORROWED = "borrowed"  # one candidate seed; the seed variance is borrowed from the baseline or from history
    PAIRED = "paired"  # two frozen files on the same rows; only rows vary. Also used where the seed has no effect
    IDENTICAL = "identical"  # both sides predict the same; there is nothing to test
    SEED_VARIANCE_UNKNOWN = "seed-variance-unknown"
    """One seed and nothing to borrow from: the interval is the two files' own and says nothing of the recipe."""


class Noise(Record):
    """The parts of a change's variance, by what would make each smaller; they add up to it."""

    shared: NonNegative  # rows alone: what they do to all models of a side alike
    particular: NonNegative  # rows or seeds: what the rows do to one model
    between: NonNegative  # seeds alone


class Look(Record):
    """A look at seeds: the change of a metric over the first seeds of each side, in the metric's own units.

    `change` is candidate minus baseline and `low`..`high` its interval: what lies beyond either end is wrong with
    probability `level`.
    """

    seeds: Count | None = None  # how many a side were looked at, where both have as many; None in older reports
    level: Probability = 0.05
    change: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: NonNegative | None = None  # sqrt(V), units of the metric
    df: float | None = None
    method: Method | None = None
    p_value: Probability | None = None
    """P of seeing such a drop if the true one were just the margin; small means worse than allowed."""
    effective_rows: NonNegative | None = None
    """How many rows of equal weight would carry the change as unevenly; None where a bootstrap does not tell."""
    thin: bool = False  # whether these are too few for a pass, because the rows that decide may not be in the sample
    noise: Noise | None = None


class Comparison(Look):
    """The change of one metric from baseline to candidate: a look at all seeds, and the looks before.

    When the metric could not be compared, `problem` says why and the figures are None.
    """

    metric: str
    slice: str | None = None
    direction: Direction
    rows: Count
    support: NonNegative | None = None  # how many rows the metric rests on: the positive ones of a recall
    candidate: float | None = None  # mean over the seeds
    baseline: float | None = None
    margin: NonNegative | None = None
    family: Count = 1  # the number of margins that Holm adjusts for, as `mde` takes it
    mde: NonNegative | None = None
    """The smallest true drop that fails 95 % of the time at this level, over the family; None where none can."""
    q_value: Probability | None = None
    """Two-sided p of any change, Benjamini-Hochberg adjusted over all that is displayed. Never gates."""
    earlier: tuple[Look, ...] = ()  # with fewer seeds, where a margin is looked at more than once
    groups: Count | None = None  # in which the items of an evaluation are; None where each is its own, or of a holdout
    bounds: tuple[Look, ...] = ()
    """Of an evaluation with errors: with those of the candidate at the worst and of the baseline at the best end of the
    range, then the reverse. The interval is the hull of both."""
    problem: Problem | None = None

    @property
    def looks(self) -> tuple[Look, ...]:
        """All looks at it, the first one first."""
        return *self.earlier, self


class AnchorSide(Record):
    """An anchor, and what the candidate is beside it."""

    model: AnchorModel
    gates: tuple[str, ...] = ()  # the subjects that are asked; none where `problem` is no fault, which asks nothing
    baseline: bool = False  # whether it is the baseline, so that no file is scored for it
    comparisons: tuple[Comparison, ...] = ()  # of all seeds of both sides at once, with 90 % intervals
    lost: AnchorModel | None = None  # the anchor before it, which could not be had or asked any more
    problem: Problem | None = None  # why it, or what is lost, could not be had or asked

    def comparison(self, metric: str, slice_: str | None = None) -> Comparison | None:
        """The comparison of a metric on a slice (None: all rows), if it was asked for."""
        return next((each for each in self.comparisons if (each.metric, each.slice) == (metric, slice_)), None)


class Flips(Record):
    """Rows the baseline's shipped file gets right and the candidate's gets wrong."""

    rows: Count
    count: Count
    rate: Probability
    low: Probability
    high: Probability  # the exact (Clopper-Pearson) two-sided 90 % interval of the rate
    examples: tuple[Count, ...] = ()  # row numbers of a few of them, from 0; never data. Empty for a hidden holdout
    seeds: tuple[Count, Count] | None = None  # of the candidate and the baseline
    excess: Comparison | None = None
    """Over all seeds: the share of rows that a seed of the baseline gets right and one of the candidate wrong, beside
    the share that another seed of the baseline gets wrong; `change` is the first less the second. None where the seeds
    are too few to tell."""


class RowError(Record):
    """A row of an evaluation that lacks a score."""

    item: str
    repeat: Count
    why: str


class ItemSide(Record):
    """One file's evaluation, as people see it."""

    errors: Count = 0  # rows without a score
    named: tuple[RowError, ...] = ()  # of a few items
    tokens_in: NonNegative | None = None  # in all; None where the results do not say
    tokens_out: NonNegative | None = None
    cost: float | None = None
    latency_ms: NonNegative | None = None  # the median of the rows


class ItemChange(Record):
    """An item's mean score on both sides."""

    item: str
    candidate: float
    baseline: float


class ItemChanges(Record):
    """On how many items a score changed, and on which most; an error is taken for the worst end of the range."""

    metric: str
    worse: Count
    better: Count
    equal: Count
    most: tuple[ItemChange, ...] = ()
    histogram: tuple[tuple[float, float, Count], ...] = ()
    """How far the score of those that changed went up or down: low edge, high edge, items. No bar has both."""


class Items(Record):
    """The items that an evaluator asked of the two files that ship."""

    count: Count
    repeats: Count
    groups: Count | None = None
    tool: str = ""
    version: str = ""
    isolation: str = ""  # what held the evaluator
    secrets: tuple[str, ...] = ()  # the names of those that it was given
    network: bool = False
    candidate: ItemSide
    baseline: ItemSide | None = None
    changes: tuple[ItemChanges, ...] = ()  # a metric each


class Waived(Record):
    """A gate that a person answered for, and what it came to without their word."""

    waiver: WaiverEntry
    outcome: Outcome
    reason: Reason


Former = Annotated[str, Field(exclude=True)]  # a problem's sentence in version 1 of the report: read, not written


class GateResult(Record):
    """What a gate came to on this candidate."""

    gate: Gate
    outcome: Outcome
    reason: Reason
    value: float | None = None  # the figure that was judged: the shipped file's metric, or the recipe's change
    baseline: float | None = None
    problem: Problem | None = None  # why it could not be evaluated, or why there is nothing to compare with
    detail: Former = ""
    counts: bool = True
    """False for a gate that only warns and for a slice with too few rows: shown, and nothing rests on it."""
    judgeable: bool = True  # False when a drop of three margins would not fail 19 times out of 20
    seeds: Count | None = None  # a side, at the look that decided; of a margin
    level: Probability | None = None  # the error that a pass may make, and a fail over all margins of the verdict
    family: Count | None = None  # how many these are, for Holm
    mde: NonNegative | None = (
        None  # the true drop that fails 19 times out of 20 at this level; None where none is known
    )
    waived: Waived | None = None

    @property
    def why(self) -> Problem | None:
        """Its problem, also as version 1 of the report wrote it."""
        return self.problem or (Problem.of(self.reason, detail=self.detail) if self.detail else None)

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.waived else self.outcome


class Commits(Record):
    """The commits that a verdict is about."""

    head: Sha  # the change
    merged: Sha | None = None
    """What the guarded branch would hold once head is merged into base, as a commit; None where head is that."""
    base: Sha | None  # the commit of the guarded branch that head was merged into: what its models are compared with
    policy: Sha | None
    """Tip of the guarded branch: config, gates, holdout and metric code come from it. None when it has no config."""
    guarded: str
    behind: Count = 0  # commits that policy is ahead of base
    git: str | None = None  # the version of git that merged; None where nothing had to be
    uncommitted: tuple[str, ...] = ()
    """Changed files of the working tree that head includes although nobody committed them (locally only)."""

    @property
    def candidate(self) -> Sha:
        """What the candidate is trained from."""
        return self.merged or self.head


class ModelVerdict(Record):
    """All gates' outcomes for one model."""

    model: Name
    outcome: Outcome
    reason: Reason
    problem: Problem | None = None  # why the model, or the gate that decides, could not be evaluated
    detail: Former = ""
    gates: tuple[GateResult, ...] = ()
    key: Digest | None = None
    seeds: Seeds | None = None  # as they were judged; None where nothing was compared, and in older reports
    digest: Digest | None = None  # sha256 of the ONNX file that was judged and may ship
    provisional: bool = False  # judged by its own gates from head, because the guarded branch has no such model yet
    waived: Waived | None = None  # for a model that head removes: who let it go

    @property
    def why(self) -> Problem | None:
        """Its problem, also as version 1 of the report wrote it."""
        return self.problem or (Problem.of(self.reason, detail=self.detail) if self.detail else None)

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.reason is Reason.WAIVED else self.outcome

    @property
    def waivers(self) -> tuple[WaiverEntry, ...]:
        """The waivers that this rests on, in the order of the gates."""
        every = (*(gate.waived for gate in self.gates), self.waived)
        return tuple(each.waiver for each in every if each is not None)


class Verdict(Record):
    """What a commit comes to."""

    schema_version: Literal["mlbot/verdict@1"] = "mlbot/verdict@1"
    commits: Commits
    outcome: Outcome
    reason: Reason
    models: tuple[ModelVerdict, ...]

    @property
    def standing(self) -> str:
        """What people are told it comes to: its outcome, or `waived`, which must not look like a pass."""
        return Reason.WAIVED if self.reason is Reason.WAIVED else self.outcome

    @property
    def waivers(self) -> tuple[WaiverEntry, ...]:
        """The waivers that this rests on."""
        return tuple(waiver for model in self.models for waiver in model.waivers)
