"""All that a person can read about a verdict: the record behind the comment, the page, the terminal and the JSON."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mlbot.core.comparison import Comparison, Flips
from mlbot.core.evaluation import Evaluation, Holdout
from mlbot.core.metric import Direction, Task
from mlbot.core.record import Count, Name, Record
from mlbot.core.training import Training, TrainingFailure
from mlbot.core.verdict import ModelVerdict, Verdict

Point = tuple[float, float]


class Side(StrEnum):
    """Whose figures: the model under test, or what it is compared with."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class CalibrationBin(Record):
    """Rows whose predicted probability fell into one bin."""

    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share of rows that were positive."""
    rows: Count


class Curves(Record):
    """What is plotted for one side's shipped file; empty tuples where the task has no such plot."""

    roc: tuple[Point, ...] = ()
    """(false positive rate, true positive rate), at most 200 points."""
    precision_recall: tuple[Point, ...] = ()
    """(recall, precision), at most 200 points."""
    calibration: tuple[CalibrationBin, ...] = ()
    expected_calibration_error: float | None = None
    confusion: tuple[tuple[Count, ...], ...] = ()
    """Rows: the true class; columns: the predicted one; in the holdout's class order."""
    residuals: tuple[CalibrationBin, ...] = ()
    """Regression: mean prediction, mean residual and rows of each quantile bin of the prediction."""
    residual_histogram: tuple[tuple[float, float, Count], ...] = ()
    """Regression: low edge, high edge, rows."""


class NoticeCode(StrEnum):
    """What a reader should know besides the gates. A closed list."""

    UNCOMMITTED = "uncommitted-changes"
    POLICY_DIFFERS = "policy-differs"
    """Head changes config, gates, holdout or metric code; judged by policy's."""
    UNVERIFIED_CLAIM = "unverified-claim"
    """The training printed a metric; the judge measured it itself."""
    PROVISIONAL = "provisional"
    NO_BASELINE = "no-baseline"
    BEHIND = "behind"
    SEED_NO_EFFECT = "seed-has-no-effect"
    SEED_VARIANCE_UNKNOWN = "seed-variance-unknown"
    HOLDOUT_IN_REPOSITORY = "holdout-in-repository"
    SLICE_TOO_SMALL = "slice-too-small"
    NOT_JUDGEABLE = "not-judgeable"
    PARITY = "parity"
    DATA_CHANGED = "data-changed"
    GATE_PREVIEW = "gate-preview"


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


class ModelReport(Record):
    """All about one model."""

    model: Name
    task: Task
    verdict: ModelVerdict
    metrics: tuple[MetricInfo, ...] = ()
    slices: tuple[SliceInfo, ...] = ()
    holdout: Holdout | None = None
    candidate: tuple[Evaluation, ...] = ()
    """One evaluation a seed; the first is the file that ships."""
    baseline: tuple[Evaluation, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    """Every metric on all rows first, then on each slice."""
    flips: Flips | None = None
    curves: dict[Side, Curves] = Field(default_factory=dict)
    candidate_training: tuple[Training, ...] = ()
    baseline_training: tuple[Training, ...] = ()
    failures: tuple[TrainingFailure, ...] = ()
    param_changes: tuple[ParamChange, ...] = ()
    data_changes: tuple[str, ...] = ()
    """Declared data files whose bytes differ between base and head."""
    stale_reasons: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()


class Report(Record):
    """What people read, whole."""

    schema_version: Literal["mlbot/report@1"] = "mlbot/report@1"
    mlbot_version: str
    repository: str
    """Its name, for the title."""
    verdict: Verdict
    models: tuple[ModelReport, ...]
    unchanged: tuple[str, ...] = ()
    """Models that are not stale and so were not judged again."""
    notices: tuple[Notice, ...] = ()
    run_url: str | None = None
    duration_s: Annotated[float, Field(ge=0)] = 0.0
