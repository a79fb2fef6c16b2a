"""Golden requests: rows with what the judged file says of them, kept with a release for its smoke tests."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlbot.gates.metric import Task
from mlbot.lib.record import Count, Digest, Name, Record, digest, document
from mlbot.verdict.verdict import Latency, NonNegative

INFINITE = {"Infinity": float("inf"), "-Infinity": float("-inf")}
"""Numbers that JSON has no word for, by the text that stands for them."""

TOLERANCE = 1e-5
"""Of probabilities; of a regression's numbers, relative to the largest of them. float32 has a relative precision of
6e-8; sums over wide layers lose two digits of it when another processor adds in another order."""

LEAST = 1e-6
"""How far two answers of a predictor may be apart, however small they are; and how far a probability beyond 0 or 1."""

Value = bool | int | float | str | None

Kind = Literal["float", "integer", "boolean", "text"]


class GoldenColumn(Record):
    """One feature's values, a row each; None: missing."""

    name: str
    kind: Kind
    values: tuple[Value, ...]

    @model_validator(mode="after")
    def _values_are_of_the_kind(self) -> Self:
        if not all(_fits(value, self.kind) for value in self.values):
            raise ValueError("a value is not of the column's kind")
        return self


class Golden(Record):
    """Golden requests of one model file."""

    schema_version: Literal["mlbot/golden@1"] = "mlbot/golden@1"
    model: Name
    digest: Digest  # of the file whose predictions these are
    task: Task
    order: tuple[str, ...] = ()
    """The labels in the order of the model's probability columns, unless the model says another one."""
    declared: bool = False  # whether a person gave that order
    classes: tuple[str, ...] = ()  # the labels in the order of `predictions`; of a binary task negative before positive
    source: Literal["holdout", "train"]  # which data the rows are of; never a holdout that only the judge can read
    columns: tuple[GoldenColumn, ...]  # none where `table` has them
    predictions: tuple[tuple[float, ...], ...]  # a row each: P(positive), a probability a class, or the number
    labels: tuple[str, ...] | None = None  # of the model's probability columns, where they are not in `order`
    table: str | None = None  # the features as a predictor gets them: a Parquet file in base64
    tolerance: float | None = None  # of a predictor: how far an answer may be away, relative to it
    platform: str
    """Where they were computed: the runtime, or a predictor's environment, and the processor. There mlbot's own runtime
    repeats them bit for bit."""

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if not self.predictions or bool(self.columns) is (self.table is not None):
            raise ValueError("golden requests without rows or columns test nothing")
        if {len(column.values) for column in self.columns} - {len(self.predictions)}:
            raise ValueError("each request has a value in each column, and a prediction")
        if len({len(row) for row in self.predictions}) != 1 or len({each.name for each in self.columns}) < len(
            self.columns
        ):
            raise ValueError("predictions have one width, and columns names of their own")
        return self

    @property
    def rows(self) -> int:
        """How many requests there are."""
        return len(self.predictions)


def _fits(value: Value, kind: Kind) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "boolean":
            return value is None or isinstance(value, bool)
        case "integer":
            return value is None or (isinstance(value, int) and not isinstance(value, bool))
        case "float":
            return value is None or isinstance(value, float) or value in INFINITE


def canonical(golden: Golden) -> bytes:
    """The only JSON form: sorted keys, no spaces, ASCII, a newline at the end."""
    # What came later is not in the form of a golden request that has nothing of it.
    later = {name for name in ("table", "tolerance", "labels") if getattr(golden, name) is None}
    return document(golden.model_dump(mode="json", exclude=later))


def digest_of(golden: Golden) -> Digest:
    """The digest of its canonical form: what it is stored by."""
    return digest(canonical(golden))


def allowed_elsewhere(golden: Golden) -> Callable[[float], float]:
    """How far an answer may be away from a judged one where the runtime and the processor may be others."""
    relative = golden.tolerance
    if relative is not None:
        return lambda judged: LEAST + relative * abs(judged)
    largest = max(abs(value) for row in golden.predictions for value in row)
    scale = 1.0 if golden.task.is_classification else max(1.0, largest)
    return lambda _judged: TOLERANCE * scale


class Flip(Record):
    """So many answers that were one class and are another one now."""

    before: str
    after: str
    rows: Count


class Replay(Record):
    """What came of recorded requests that two versions answered; no value of a request is in it."""

    requests: Count  # that both were asked
    unfit: Count = 0  # that could not be asked: they are not readable, or do not fit the columns of both
    changed: Count = 0
    lines: tuple[str, ...] = ()
    """Where in the log the first changed ones are: its lines, counted from 1; of several files `3:14`, in the third."""
    flips: tuple[Flip, ...] = ()  # the most frequent first
    unanswered: tuple[Count, Count] = (0, 0)  # requests without a finite answer, of the live version and the new one
    spread: NonNegative | None = None  # of numbers: between the quartiles of the live version's golden answers
    latency: tuple[Latency | None, Latency | None] = (None, None)  # of the live version and of the new one

    @property
    def share(self) -> float:
        """The share of requests whose answer changed."""
        return self.changed / self.requests if self.requests else 1.0


class SmokeReason(StrEnum):
    """Why a smoke test ended as it did."""

    AS_JUDGED = "as-judged"
    COMMAND_AGREES = "command-agrees"
    NOT_THE_BYTES = "not-the-bytes"
    NOT_LOADED = "not-loaded"
    ANSWERS_VARY = "answers-vary"  # with how they are asked for: alone, in another order, in other batches, or twice
    PREDICTIONS_DIFFER = "predictions-differ"
    TOO_SLOW = "too-slow"
    NOT_MEASURED = "not-measured"  # there is a limit on its latency, and a predictor's is not measured
    COMMAND_FAILED = "command-failed"
    COMMAND_TIMEOUT = "command-timeout"
    ENDPOINT_AGREES = "endpoint-agrees"
    ENDPOINT_DIFFERS = "endpoint-differs"
    ENDPOINT_SLOW = "endpoint-slow"
    ENDPOINT_ABSENT = "endpoint-absent"  # it is not ready, or gives no answer that counts


class SmokeResult(Record):
    """What a smoke test found."""

    passed: bool
    reason: SmokeReason
    detail: str
    rows: Count = 0
    max_difference: NonNegative | None = None  # the largest difference to a judged prediction; None: it got none
    tolerance: NonNegative = 0.0  # what was allowed; 0: bit for bit
    p95_ms: NonNegative | None = None
    limit_ms: Annotated[float, Field(gt=0)] | None = None
