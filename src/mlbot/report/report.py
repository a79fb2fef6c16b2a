"""The report as records and as JSON, its charts as data, and the documents of it that are stored."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from mlbot.config.cost import Estimate
from mlbot.data.findings import DataReport
from mlbot.data.sketch import Sketch
from mlbot.events.github import RunnerTime
from mlbot.gates.metric import CATALOGUE, OPERATIONAL, Bound, Direction, Task, data_check
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import Compared
from mlbot.ledger.queries import Looks
from mlbot.lib.constants import ACTIONS_REPOSITORY
from mlbot.lib.record import Count, Digest, Name, Record, canonical, digest, document
from mlbot.lib.tree import is_url
from mlbot.protocol.artifacts import Training, TrainingFailure
from mlbot.verdict.seeds import Wave
from mlbot.verdict.settling import Cure
from mlbot.verdict.verdict import (
    AnchorSide,
    Comparison,
    Evaluation,
    Flips,
    Holdout,
    Items,
    LatencyRatio,
    ModelVerdict,
    Problem,
    Verdict,
)

Point = tuple[float, float]


class Side(StrEnum):
    """Whose figures: the model under test, or what it is compared with."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class CalibrationBin(Record):
    """Rows whose predicted probability fell into one bin."""

    predicted: float  # mean probability
    observed: float  # share of rows that were positive
    rows: Count


class Part(Record):
    """A figure of some rows: those with a label, of a target, of queries of a size, of a horizon."""

    name: str
    rows: Count  # with a label, how many have it; queries of a size
    values: tuple[float | None, ...]  # of each metric of the breakdown; None where it has none


class Breakdown(Record):
    """Figures part by part, at most 50 of them."""

    by: Literal["label", "target", "size", "horizon"]
    metrics: tuple[str, ...]
    parts: tuple[Part, ...]
    left_out: Count = 0  # how many more parts there are


class Curves(Record):
    """What is plotted for one side's shipped file; empty tuples where the task has no such plot."""

    roc: tuple[Point, ...] = ()  # (false positive rate, true positive rate), at most 200 points
    precision_recall: tuple[Point, ...] = ()  # (recall, precision), at most 200 points
    calibration: tuple[CalibrationBin, ...] = ()
    expected_calibration_error: float | None = None
    confusion: tuple[tuple[Count | Annotated[float, Field(ge=0)], ...], ...] = ()
    """Rows: the true class; columns: the predicted one; in the holdout's class order. No whole numbers with weights."""
    residuals: tuple[CalibrationBin, ...] = ()
    """Regression: mean prediction, mean residual and rows of each quantile bin of the prediction."""
    residual_histogram: tuple[tuple[float, float, Count], ...] = ()  # regression: low edge, high edge, rows
    breakdown: Breakdown | None = None  # several labels or targets, rankings, forecasts


class NoticeCode(StrEnum):
    """What a reader should know besides the gates. A closed list; of some only older reports have notices."""

    UNCOMMITTED = "uncommitted-changes"
    POLICY_DIFFERS = "policy-differs"  # head changes config, gates, holdout or metric code; judged by policy's
    FEW_GROUPS = "few-groups"  # in which the items of an evaluation are, so that their interval is rough
    FEW_OF_A_CLASS = "few-of-a-class"  # so few rows of one class that what rests on them is rough
    UNVERIFIED_CLAIM = "unverified-claim"  # the training printed a metric; the judge measured it itself
    PROVISIONAL = "provisional"
    RENAMED = "renamed"  # a new model is to answer what one answered that is gone, and is compared with nothing
    NEVER_JUDGED = "never-judged"  # nothing of a model changed, and no verdict on it is known
    NO_BASELINE = "no-baseline"
    BEHIND = "behind"
    SEED_NO_EFFECT = "seed-has-no-effect"
    SEED_VARIANCE_UNKNOWN = "seed-variance-unknown"
    MORE_SEEDS = "more-seeds"  # fewer did not decide
    HOLDOUT_IN_REPOSITORY = "holdout-in-repository"
    SLICE_TOO_SMALL = "slice-too-small"  # older reports: the gates and the table of slices say it
    NOT_JUDGEABLE = "not-judgeable"  # older reports: the gate says it
    PARITY = "parity"
    WRONGLY_CERTAIN = "wrongly-certain"  # a log loss is made by rows whose class gets a probability of 0
    CLIPPED = "clipped"  # a log loss is of clipped probabilities
    MANY_LOOKS = "many-looks"  # of one pull request, or of several, at one holdout, so that its figures are optimistic
    INEXACT = "inexact"  # features of integers that floating-point numbers take for others
    ROUNDING = "rounding"  # a regression's float32 answers are as far apart as its errors are large
    ASKED = "asked"  # a predictor answers: what held it, where it ran, and that its latency is not measured
    OWN_LABELS = "own-labels"  # the file gives other labels than those that were judged
    DATA_CHANGED = "data-changed"  # older reports: it is under what changed
    GATE_PREVIEW = "gate-preview"
    WORSE_THAN_PRODUCTION = "worse-than-production"
    """By more than one change may lose: what was allowed before has added up."""
    ANCHOR_REPLACED = "anchor-replaced"  # an earlier model that gates ask could not be had: the baseline was asked
    ANCHOR_NOT_ASKED = "anchor-not-asked"  # its files are not on this laptop
    BELOW_BEST_RELEASE = "below-best-release"  # releases moved the anchor, and what they lost has added up
    WAIVER_UNUSED = "waiver-not-used"  # somebody asked to let a gate pass, and it changes nothing
    WAIVER_ENDED = "waiver-ended"  # a gate blocks again, for what its waiver was bound to changed


class Notice(Record):
    """One thing a reader should know, with the sentence that says it."""

    code: NoticeCode
    text: str
    warning: bool = False


class ParamChange(Record):
    """A parameter that differs between base and head."""

    name: str
    before: bool | int | float | str | None
    after: bool | int | float | str | None


class MetricInfo(Record):
    """How a metric is to be read."""

    name: str
    direction: Direction
    of: str | None = None  # what it is in the catalogue, where it has another name here
    clip: float | None = None  # of a log loss whose probabilities are clipped


class SliceInfo(Record):
    """A named subset of the holdout."""

    name: str
    where: str
    rows: Count
    min_rows: Count

    @property
    def small(self) -> bool:
        """Whether it has too few rows to block."""
        return self.rows < self.min_rows


class History(Record):
    """What a metric came to on the guarded branch, verdict by verdict."""

    metric: str
    values: tuple[float, ...]  # oldest first, without the candidate


class Production(Record):
    """What is live in the last environment, and how the candidate's file compares with that file."""

    environment: Name
    version: Annotated[str, Field(max_length=61, pattern=r"^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$")]
    digest: Digest
    comparisons: tuple[Comparison, ...] = ()
    """Of the two files: only rows vary. Every metric on all rows first, then what is gated on slices; nothing where
    the file is the candidate's or the baseline's own. Shown, never gating."""
    problem: Problem | None = None  # why there are none


class OpenGate(Record):
    """An undecided gate, and what would settle it."""

    gate: str  # its subject: `recall`, `recall@women`
    bound: Bound
    cure: Cure | None = None  # None: nobody knows, or it is no question of more data
    rows: float | None = None  # how many times the holdout's rows
    seeds: Count | None = None  # a side
    text: str = ""


class AnotherLook(StrEnum):
    """What a further look at the same holdout is worth. A closed list."""

    NOT_NEEDED = "not-needed"  # it passes
    MORE_DATA = "more-data"  # rows or seeds decide, and no other candidate
    INFORMED = "informed"  # of a candidate that was chosen for a reason, on data of its own
    FIX = "fix"  # nothing was measured: what broke is fixed first
    STOP = "stop"  # there were so many that the next one says little


class ModelReport(Record):
    """All about one model."""

    model: Name
    task: Task
    verdict: ModelVerdict
    metrics: tuple[MetricInfo, ...] = ()
    slices: tuple[SliceInfo, ...] = ()
    holdout: Holdout | None = None
    candidate: tuple[Evaluation, ...] = ()  # one evaluation a seed; the first is the file that ships
    baseline: tuple[Evaluation, ...] = ()
    compared: Compared | None = None  # whose model the baseline is
    rules: Digest | None = None  # digest of what it was judged by, as git has it
    comparisons: tuple[Comparison, ...] = ()  # every metric on all rows first, then on each slice
    anchors: tuple[AnchorSide, ...] = ()  # the earlier models that gates ask besides the baseline
    flips: Flips | None = None
    latency: LatencyRatio | None = None  # of the two files that ship, asked in turn
    items: Items | None = None  # that an evaluator asked
    looks: Looks | None = None  # whose figures on these rows were reported; None where nobody knows
    open: tuple[OpenGate, ...] = ()
    another_look: AnotherLook | None = None  # None in older reports, and where no looks are counted
    waves: tuple[Wave, ...] = ()  # the seeds that were trained because fewer did not decide
    curves: dict[Side, Curves] = Field(default_factory=dict)
    reference: Sketch | None = None
    """Of the holdout and of what the candidate answered, for a release; of verdicts on the guarded branch alone."""
    candidate_training: tuple[Training, ...] = ()
    baseline_training: tuple[Training, ...] = ()
    failures: tuple[TrainingFailure, ...] = ()
    param_changes: tuple[ParamChange, ...] = ()
    data_changes: tuple[str, ...] = ()  # declared data files whose bytes differ between base and head
    stale_reasons: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    production: Production | None = None
    history: tuple[History, ...] = ()  # of a few metrics, the gated ones first

    @property
    def changes_url(self) -> bool:
        """Whether data behind a URL differ, of which git has no rows to compare."""
        return any(map(is_url, self.data_changes))

    @property
    def shipped(self) -> Evaluation | None:
        """The candidate's evaluation of the file that ships: the first seed's."""
        return self.candidate[0] if self.candidate else None

    @property
    def shown(self) -> tuple[Digest, Digest] | None:
        """The rows, and the artifact whose figures on them a reader sees; None where there are none to see.

        Of several seeds it is all of them that have figures: a training may make one file again for the seed that
        ships, or none, and something new for each of the others.
        """
        content = self.holdout.content if self.holdout else None
        scored = (each for each in self.candidate if any(score.value is not None for score in each.scores))
        measured = [each.digest for each in scored if each.digest is not None]
        if content is None or not measured:
            return None
        return (content, measured[0] if len({*measured}) == 1 else digest(canonical(measured)))

    @property
    def brought(self) -> bool:
        """Whether the candidate was made elsewhere, so that nothing trains it."""
        return any(each.origin for each in self.candidate_training)

    def comparison(self, metric: str, slice_: str | None = None) -> Comparison | None:
        """The comparison of a metric on a slice (None: all rows), if there is one."""
        return next((each for each in self.comparisons if each.metric == metric and each.slice == slice_), None)

    def anchor(self, subject: str) -> AnchorSide | None:
        """The earlier model that a gate asks besides the baseline."""
        return next((each for each in self.anchors if subject in each.gates), None)

    def direction(self, metric: str) -> Direction | None:
        """Which way of a metric is better, as far as is known."""
        own = next((each.direction for each in self.metrics if each.name == metric), None)
        if data_check(metric) is not None:
            return Direction.LOWER
        return own or OPERATIONAL.get(metric) or (CATALOGUE[metric].direction if metric in CATALOGUE else None)


class AttemptCost(Record):
    """What the attempt took of runners, for all its models, and what that comes to by the guarded branch's `cost`."""

    training: tuple[RunnerTime, ...] = ()  # GitHub's own times, nothing that the training says
    judging: tuple[RunnerTime, ...] = ()  # up to the verdict
    estimate: Estimate
    currency: str
    utilisation: float
    intensity: float | None = None


class Report(Record):
    """What people read, whole."""

    schema_version: Literal["mlbot/report@1", "mlbot/report@2"] = "mlbot/report@2"
    mlbot_version: str
    repository: str
    repository_url: str | None = None  # where it can be read, for links to commits; None on a laptop
    head_ref: str | None = None
    pull_request: Count | None = None
    fork: bool = False  # whether head is in another repository, so that a command needs the whole SHA
    trial: bool = False  # whether it was trained with parameters that nobody committed: shown, and it never gates
    inconclusive_blocks: bool = False  # what the policy's config says of an inconclusive verdict here
    verdict: Verdict
    models: tuple[ModelReport, ...]
    unchanged: tuple[str, ...] = ()  # models that are not stale and so were not judged again
    data: tuple[DataReport, ...] = ()  # of the models whose data the change has otherwise
    notices: tuple[Notice, ...] = ()
    run_url: str | None = None
    artifact_url: str | None = None  # where the whole report (page and JSON) can be downloaded
    duration_s: Annotated[float, Field(ge=0)] = 0.0
    cost: AttemptCost | None = None  # None on a laptop, and where GitHub did not say


SCHEMA_ID = f"https://raw.githubusercontent.com/{ACTIONS_REPOSITORY}/v1/docs/schemas/report.schema.json"


def json_text(report: Report) -> str:
    """The whole report as JSON, with a line end. `schema_version` says which schema it obeys."""
    return f"{report.model_dump_json(indent=2)}\n"


def report_schema() -> str:
    """The JSON Schema of the report, made from the record, as `docs/schemas/report.schema.json` holds it."""
    made = Report.model_json_schema(mode="serialization")
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **made}
    return f"{json.dumps(whole, indent=2, ensure_ascii=False)}\n"


Spec = dict[str, Any]
"""A Vega-Lite specification; its colours come from a theme, so that one spec serves light and dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """All charts of a report, and what draws them in a browser."""

    specs: Mapping[str, Mapping[str, Spec]]  # by model and name
    themes: Mapping[str, Spec]  # for `light` and `dark`
    script: str


class Picture(Record):
    """A chart that is already drawn and can be fetched, for light and for dark pages."""

    light: str
    dark: str
    alt: str


MOST_BYTES = 16 << 20  # the longest document that is read back


def document_of(record: Record) -> bytes:
    """A record's only JSON form."""
    return document(record.model_dump(mode="json"))


def training_of(model: ModelReport) -> Training | None:
    """The lineage of the file that ships; None where it is not known, or is another file's."""
    digest = model.verdict.digest
    return next((each for each in model.candidate_training if digest and each.digest == digest), None)


def bare(model: ModelReport) -> ModelReport:
    """A model's report without its curves, which are most of its bytes and which no model card shows."""
    return model.model_copy(update={"curves": {}})


def training_digest(model: ModelReport) -> Digest | None:
    """What the lineage of the file that ships is stored by; None where there is none."""
    training = training_of(model)
    return digest(document_of(training)) if training else None


def report_digest(model: ModelReport) -> Digest:
    """What the model's report is stored by."""
    return digest(document_of(bare(model)))


def documents_of(report: Report) -> dict[Digest, bytes]:
    """All documents to store for a verdict of the guarded branch, by digest: of models that may be released."""
    return dict(_documents(report))


def _documents(report: Report) -> Iterator[tuple[Digest, bytes]]:
    for model in report.models:
        if model.verdict.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE} and model.verdict.digest:
            training = training_of(model)
            for record in (bare(model), *((training,) if training else ())):
                raw = document_of(record)
                yield digest(raw), raw
