"""One model's scores on one holdout."""

from typing import Annotated

from pydantic import Field

from mlbot.core.metric import Task
from mlbot.core.outcome import Reason
from mlbot.core.record import Count, Digest, Record

NonNegative = Annotated[float, Field(ge=0)]


class Problem(Record):
    """Why something could not be evaluated: a code for programs and a sentence for people."""

    reason: Reason
    detail: str


class Holdout(Record):
    """The labelled rows a model is judged on."""

    source: str
    """The path or URL as the config names it."""
    digest: Digest
    rows: Count
    hidden: bool = False
    """Whether only the judge can read it (an URL), rather than any pull request (a file of the repository)."""
    task: Task
    classes: tuple[str, ...] = ()
    positive: str | None = None
    slices: dict[str, Count] = Field(default_factory=dict)
    """Rows of each slice."""


class Score(Record):
    """One metric of one model on the holdout or a slice of it; `value` is None exactly when `problem` says why."""

    metric: str
    slice: str | None = None
    rows: Count
    value: float | None = None
    low: float | None = None
    high: float | None = None
    """The two-sided 90 % interval of the value."""
    problem: Problem | None = None


class Latency(Record):
    """Time to predict, measured in the scoring process on one thread."""

    requests: Count
    p50_ms: NonNegative
    p95_ms: NonNegative
    batch_rows: Count
    rows_per_s: NonNegative


class Evaluation(Record):
    """One model file's scores on one holdout; `problem` says why there are none."""

    digest: Digest | None
    """sha256 of the ONNX file; None when there is no file."""
    seed: Count
    size_bytes: Count = 0
    scores: tuple[Score, ...] = ()
    latency: Latency | None = None
    problem: Problem | None = None

    def score(self, metric: str, slice_: str | None = None) -> Score | None:
        """The score of a metric on a slice (None: all rows), if it was asked for."""
        return next((s for s in self.scores if s.metric == metric and s.slice == slice_), None)
