"""What the judge and the scoring child say to each other.

A message is a JSON header and a run of raw bytes, both with their lengths in front. Each direction has its own closed
records; whatever the child says is validated like anything else that comes from outside, because by then it has run a
stranger's model. Nothing is ever unpickled.
"""

import difflib
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.lib.record import Count, Record

if TYPE_CHECKING:
    from mlbot.verdict.verdict import Problem

_M = TypeVar("_M", bound=Record)
_LENGTHS = struct.Struct(">IQ")

REPLY_HEADER_LIMIT = 1 << 20  # bytes of the longest header that the judge accepts
REQUEST_LIMIT = 1 << 40  # bytes the child accepts: the judge is trusted, and memory has its own limit


# Metadata of a model file, JSON lists: the columns that it was trained on, and the labels of its probability columns,
# both in order.
FEATURES_KEY = "mlbot.features"
CLASSES_KEY = "mlbot.classes"


# The operators that a file may use, by domain; None: all of it. The export of an entrypoint asks the same list. Those
# of onnxruntime itself are what its own quantiser writes, and what skl2onnx parts a text into words with.
OPERATORS: Mapping[str, tuple[str, ...] | None] = {
    "": None,
    "ai.onnx": None,
    "ai.onnx.ml": None,
    "com.microsoft": (
        *("DequantizeLinear", "QuantizeLinear", "MatMulIntegerToFloat", "MatMulNBits", "FastGelu", "Gelu"),
        *("DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "QAttention", "QGemm", "QLinearAdd", "QLinearMul"),
        *("QLinearConcat", "QLinearWhere", "QLinearSigmoid", "QLinearSoftmax", "QLinearLeakyRelu"),
        *("QLinearReduceMean", "QLinearAveragePool", "QLinearGlobalAveragePool", "Tokenizer"),
    ),
}


class Kind(StrEnum):
    """What a column of the holdout holds."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    OTHER = "other"  # lists, dates, bytes: what a predictor alone can take


class Feature(Record):
    """One column that a model is given."""

    name: str
    kind: Kind


class Expected(Record):
    """What a model file has to fit."""

    task: Task
    features: tuple[Feature, ...]  # the columns in order
    classes: tuple[str, ...] = ()
    """The labels in the order of the model's probability columns, unless the model says another one."""
    declared: bool = False  # whether the config names the classes; else they are the holdout's own, sorted
    positive: str | None = None  # of a binary task; None: the last one of `classes`


class Layout(StrEnum):
    """How a model takes its features."""

    COLUMNS = "columns"  # one input a column
    MATRIX = "matrix"  # all of them in one numeric input


class ModelFacts(Record):
    """What a model file says of itself, checked against what was expected of it."""

    layout: Layout
    unused: tuple[str, ...] = ()  # features that it has no input for
    classes: tuple[Annotated[str, Field(max_length=10_000)], ...] = ()
    """The labels of its probability columns; empty for regression."""
    single_probability: bool = False  # whether it gives the positive class's probability alone
    labels: bool = False  # whether it gives labels of its own beside the probabilities
    nodes: Count
    ir_version: Count
    dynamic: bool = False  # whether it is quantised by what is in the batch at hand
    opset: Count  # version of ONNX's own operators; 0 when it uses none


class Start(Record):
    """To the child: everything it has to know before it locks itself down."""

    expected: Expected
    memory_bytes: Annotated[int, Field(gt=0)]
    cpu_s: Annotated[float, Field(gt=0)]
    threads: Annotated[int, Field(ge=1)]
    parent: int


class Load(Record):
    """To the child: the model's bytes follow; of a folder those of its files, the ONNX file first."""

    kind: Literal["load"] = "load"
    parts: tuple[tuple[str, int], ...] = ()  # path and bytes of each file of a folder


class Column(Record):
    """One column of a batch. Its values follow: `dtype` numbers, or codes into `categories`."""

    dtype: str
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A batch ready for the pipe: packed once, sent to every child."""

    rows: int
    columns: tuple[Column, ...]
    chunks: tuple[bytes, ...]  # the columns' bytes, one after the other

    @property
    def length(self) -> int:
        """Bytes of all chunks."""
        return sum(len(chunk) for chunk in self.chunks)


class Batch(Record):
    """To the child: rows to predict."""

    kind: Literal["batch"] = "batch"
    rows: Count
    columns: tuple[Column, ...]
    labels: bool = True  # whether the model's own labels are asked for, where it gives such
    parts: tuple[Annotated[int, Field(ge=1)], ...] = ()  # sizes of the requests to make of them; empty: one request
    nudged: bool = (
        False  # with other last digits: each number that the model takes as a float is a little larger or smaller
    )


class Measure(Record):
    """To the child: time predictions of these rows, one by one and together."""

    kind: Literal["measure"] = "measure"
    rows: Count
    columns: tuple[Column, ...]
    requests: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)]


class Again(Record):
    """To the child: time single rows of the last measurement once more, from one of them on."""

    kind: Literal["again"] = "again"
    start: Count
    requests: Annotated[int, Field(ge=1)]


class Wanted(Record):
    """What a predictor's answer has to be."""

    format: Literal["parquet", "csv"]
    rows: Count
    columns: tuple[str, ...]  # of numbers
    classes: tuple[str, ...] = ()  # what a column `label` may say, as its places; without them there is none
    rest: str | None = None  # of two classes the other one's column, which may be there: what the first leaves of 1

    @property
    def most_bytes(self) -> int:
        """The largest file that an answer may be: the numbers as text, and what a library writes around them."""
        width = len(self.columns) + bool(self.classes) + bool(self.rest)
        return (64 << 10) + 1024 * width + self.rows * (64 + 32 * width)


class Decode(Record):
    """To the child: a file that a predictor wrote follows."""

    kind: Literal["decode"] = "decode"
    wanted: Wanted


Request = Annotated[Load | Batch | Measure | Again | Decode, Field(discriminator="kind")]


class Ready(Record):
    """From the child: it is locked down."""

    kind: Literal["ready"] = "ready"
    protection: dict[str, bool]


class Loaded(Record):
    """From the child: the model fits and is loaded."""

    kind: Literal["loaded"] = "loaded"
    facts: ModelFacts


LABEL_BYTES = 4  # of the place of a row's class


class Predicted(Record):
    """From the child: predictions follow, row by row; after them the model's own labels, where it gives such.

    A label crosses as the place of its class, `<i4`: among the probability columns, or 1 for positive where there is
    one column; -1 for what is none of the classes. So no text of the model's is ever read by the judge.
    """

    kind: Literal["predicted"] = "predicted"
    dtype: Literal["<f4", "<f8"]
    rows: Count
    width: Count


class Times(Record):
    """How long predictions took."""

    requests: Count  # of single rows
    p50_ms: Annotated[float, Field(ge=0)]
    p95_ms: Annotated[float, Field(ge=0)]
    rows_per_s: Annotated[float, Field(ge=0)]  # of all rows together


class Measured(Record):
    """From the child: how long predictions took.

    What they were follows, so that no timed answer is thrown away: of the `singles` rows that were asked one by one and
    of the `rows` that were asked together, the least answers that were given, then the greatest.
    """

    kind: Literal["measured"] = "measured"
    dtype: Literal["<f4", "<f8"]
    singles: Count
    rows: Count
    width: Count
    times: Times


class Timed(Record):
    """From the child: how long each of some requests took; what was answered follows, `(requests, width)`."""

    kind: Literal["timed"] = "timed"
    dtype: Literal["<f4", "<f8"]
    width: Count
    ms: tuple[Annotated[float, Field(ge=0, le=1e9)], ...]  # so that the ratio of two is a number


class Decoded(Record):
    """From the child: the table of a file follows: its ids, its numbers row by row, and the places of its labels."""

    kind: Literal["decoded"] = "decoded"
    dtype: Literal["<f4", "<f8"]
    rows: Count
    labels: bool


class Refusal(Record):
    """From the child: why not."""

    kind: Literal["refusal"] = "refusal"
    reason: Reason
    cause: Annotated[str, Field(max_length=40, pattern="^[a-z0-9-]*$")] = ""
    values: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=4000)] | int], Field(max_length=12)
    ] = Field(default_factory=dict)


Reply = Annotated[Ready | Loaded | Predicted | Measured | Timed | Decoded | Refusal, Field(discriminator="kind")]
REQUEST: TypeAdapter[Load | Batch | Measure | Again | Decode] = TypeAdapter(Request)
REPLY: TypeAdapter[Ready | Loaded | Predicted | Measured | Timed | Decoded | Refusal] = TypeAdapter(Reply)


class ProtocolError(Exception):
    """The other side sent something that is no message."""


class Refused(Exception):  # noqa: N818 - what happened to the model, not what went wrong
    """A model file cannot be judged: the reason, which of its causes, and what its words name, escaped.

    The words themselves are where the parent is: the child reads no files.
    """

    def __init__(self, reason: Reason, cause: str = "", **values: str | int) -> None:
        super().__init__(reason, cause, values)
        self.reason = reason
        self.cause = cause
        self.values = values

    @property
    def problem(self) -> "Problem":
        """What went wrong, in words."""
        from mlbot.verdict.verdict import Problem

        values: dict[str, Any] = {**self.values}
        return Problem.of(self.reason, self.cause, **values)

    def __str__(self) -> str:
        """What is wrong and what to do about it."""
        return f"{self.problem.detail} {self.problem.hint}"


def head(message: Record, length: int = 0) -> bytes:
    """A message up to where its `length` raw bytes begin."""
    text = message.model_dump_json().encode()
    return _LENGTHS.pack(len(text), length) + text


def receive(read: Callable[[int], bytes | bytearray], header_limit: int, limit: int) -> tuple[bytes, bytes | bytearray]:
    """One message: the header's JSON text, not yet validated, and the raw bytes.

    `read` gives exactly so many bytes. Raises `ProtocolError` when a length is beyond its limit.
    """
    header, raw = _LENGTHS.unpack(read(_LENGTHS.size))
    if header > header_limit or raw > limit:
        raise ProtocolError("a message is longer than agreed")
    text = bytes(read(header))
    return text, read(raw)


def parse(adapter: TypeAdapter[_M], text: bytes) -> _M:
    """A header as the record it says it is; raises `ProtocolError` when it is none."""
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise ProtocolError("a message is not one of those agreed") from error


_NAME = 60
_SHOWN = 5


def printable(text: str, limit: int) -> str:
    """Text of a stranger with everything that is not a visible character or a blank escaped, cut to `limit`."""
    cut = text[:limit]
    escaped = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)
    return escaped[:limit] + ("…" if len(text) > limit or len(escaped) > limit else "")


def quoted(name: str) -> str:
    """One name, in quotes."""
    return f"'{printable(name, _NAME)}'"


def listed(names: Iterable[str]) -> str:
    """Names in quotes, the first few of many."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(quoted(name) for name in every[:_SHOWN]) + more


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """` (did you mean 'x'?)` when a known name is near; else nothing."""
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {quoted(folded[near[0]])}?)" if near else ""


_DECIMAL = re.compile(r"(-?[0-9]+)\.([0-9]*?)0*", re.ASCII)
_SIGNED = re.compile(r"\+[0-9]+(\.[0-9]*)?", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?[0-9]\.[0-9]+e[+-]?[0-9]{1,2}", re.ASCII | re.IGNORECASE)


def plain_label(label: str) -> str:
    """A label as it is compared: `True` and `true` are the same, `1`, `1.0`, `+1` are, `007` and `7` are not.

    So is `1.000e+00`, as numpy writes numbers into text; `1e3`, without a point, may be a name.
    """
    stripped = label.strip()
    if stripped.casefold() in {"true", "false"}:
        return stripped.casefold()
    if _SIGNED.fullmatch(stripped):
        stripped = stripped.removeprefix("+")
    if _SCIENTIFIC.fullmatch(stripped):
        stripped = f"{Decimal(stripped):f}"
    decimal = _DECIMAL.fullmatch(stripped)
    value = ".".join(filter(None, decimal.groups())) if decimal else stripped
    return "0" if value == "-0" else value
