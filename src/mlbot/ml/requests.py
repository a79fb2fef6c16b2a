"""Requests that a server logged: JSON lines or Parquet, bodies of the Open Inference Protocol or a value a column.

Whoever may send a request wrote them. They are bounded before they are parsed, typed, never evaluated; one that is of
no use is left out and counted, so that no single request keeps the others from being read.
"""

import io
import math
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.errors import NotEvaluatedError
from mlbot.lib.untrusted_json import HostileJsonError, load
from mlbot.ml.protocol import Feature, Kind

MOST_BYTES = 1 << 30
"""The longest file that is read."""
_MOST_KEPT = 64 << 20
_LONGEST_LINE = 1 << 20
_MOST_PARQUET = 256 << 20
_MOST_DEPTH = 12
_MOST_ROWS = 10_000
"""Rows of one body."""
_PARQUET = b"PAR1"
_NO_JSON = b"\xff"
_BODY = "request"
"""Where a log has a body beside other things, such as the time and the answer."""
_LARGEST = 3.4028234663852886e38
_WIDEST = 1 << 63


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One row that a model was asked, and the line (of Parquet the row) that it is in, counted from 1.

    Of several files: `3:14` is line 14 of the third.
    """

    line: str
    values: Mapping[str, Any]
    matrix: Sequence[Any] = ()  # all features in their order, where the request had one tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The last requests of a log."""

    requests: tuple[Request, ...]
    unreadable: int = 0  # lines that are no request


def read_requests(files: Sequence[Path], most: int) -> Recorded:
    """The last requests of a log's files in their order, at most so many.

    Raises:
        NotEvaluatedError: a file cannot be read or is too large, or there is no request.
    """
    found: deque[Request] = deque()
    unreadable = 0
    for place, file in reversed(list(enumerate(files, start=1))):
        if len(found) < most:
            one = _read(file, most - len(found))
            name = f"{place}:" if len(files) > 1 else ""
            found.extendleft(replace(each, line=f"{name}{each.line}") for each in reversed(one.requests))
            unreadable += one.unreadable
    if not found:
        raise NotEvaluatedError(
            "there is no request in the log",
            hint="A line is a body of the protocol, or an object with a value a column.",
        )
    return Recorded(requests=tuple(found), unreadable=unreadable)


def _read(file: Path, most: int) -> Recorded:
    try:
        with file.open("rb") as stream:
            head = stream.read(len(_PARQUET))
            return _parquet(head, stream, most) if head == _PARQUET else _lines(head, stream, most)
    except (PolarsError, PanicException, OSError) as error:
        raise _unreadable(type(error).__name__) from None


def _unreadable(why: str) -> NotEvaluatedError:
    return NotEvaluatedError(f"the log of requests cannot be read ({why})")


def _too_long(most: int) -> NotEvaluatedError:
    hint = "Keep fewer of them there: a day is enough."
    return NotEvaluatedError(f"the log of requests has more than {most:,} bytes", hint=hint)


def _lines(head: bytes, stream: BinaryIO, most: int) -> Recorded:
    """The last lines; of those before only how many they were."""
    kept: deque[tuple[int, bytes]] = deque()
    size = 0
    for number, line in enumerate(_each(head, stream), start=1):
        if line.strip():
            kept.append((number, line))
            size += len(line)
        while len(kept) > most or size > _MOST_KEPT:
            size -= len(kept.popleft()[1])
    return _parsed(kept, most)


def _each(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Lines; of one that is too long something that is not JSON."""
    rest, read = head, len(head)
    while chunk := stream.read(_LONGEST_LINE):
        read += len(chunk)
        if read > MOST_BYTES:
            raise _too_long(MOST_BYTES)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        rest = rest if len(rest) <= _LONGEST_LINE else _NO_JSON
    if rest:
        yield rest


def _parsed(lines: Collection[tuple[int, bytes]], most: int) -> Recorded:
    found: deque[Request] = deque(maxlen=most)
    unreadable = 0
    for number, line in lines:
        try:
            rows = _rows(number, load(line, "A line", most_bytes=_LONGEST_LINE, most_depth=_MOST_DEPTH))
        except HostileJsonError:
            rows = ()
        found.extend(rows)
        unreadable += not rows
    return Recorded(requests=tuple(found), unreadable=unreadable)


def _rows(number: int, value: Any) -> tuple[Request, ...]:
    """The rows of one line; none where it is no request."""
    if isinstance(value, dict) and isinstance(value.get(_BODY), dict):
        value = value[_BODY]
    if not isinstance(value, dict):
        return ()
    inputs = value.get("inputs")
    if not isinstance(inputs, list):
        return (Request(line=str(number), values=value),) if value else ()
    tensors = [_tensor(each) for each in inputs[:_MOST_ROWS]]
    known = [each for each in tensors if each is not None]
    if not known or len(known) != len(inputs) or len({each.rows for each in known}) != 1:
        return ()
    if len(known) == 1 and known[0].width > 1:
        (matrix,) = known
        return tuple(Request(line=str(number), values={}, matrix=matrix.row(at)) for at in range(matrix.rows))
    return tuple(
        Request(line=str(number), values={each.name: each.row(at)[0] for each in known if each.width == 1})
        for at in range(known[0].rows)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tensor:
    name: str
    rows: int
    width: int
    data: Sequence[Any]

    def row(self, at: int) -> Sequence[Any]:
        return self.data[at * self.width : (at + 1) * self.width]


def _tensor(value: Any) -> _Tensor | None:
    if not isinstance(value, dict):
        return None
    name, shape, data = (value.get(key) for key in ("name", "shape", "data"))
    if not isinstance(name, str) or not isinstance(shape, list) or not isinstance(data, list):
        return None
    if not 1 <= len(shape) <= 2 or any(type(each) is not int or each < 1 for each in shape):
        return None
    width = shape[1] if len(shape) == 2 else 1
    flat = [each for row in data for each in (row if isinstance(row, list) else [row])]
    if shape[0] > _MOST_ROWS or shape[0] * width != len(flat):
        return None
    return _Tensor(name=name, rows=shape[0], width=width, data=flat)


def _parquet(head: bytes, stream: BinaryIO, most: int) -> Recorded:
    content = head + stream.read(_MOST_PARQUET)
    if len(content) > _MOST_PARQUET:
        raise _too_long(_MOST_PARQUET)
    frame = pl.scan_parquet(io.BytesIO(content))
    rows = int(frame.select(pl.len()).collect().item())
    last = frame.tail(most).collect()
    first = rows - last.height + 1
    if last.schema.get(_BODY) == pl.String():
        lines = [(first + at, (text or "").encode()) for at, text in enumerate(last[_BODY].to_list())]
        return _parsed(lines, most)
    return Recorded(
        requests=tuple(Request(line=str(first + at), values=row) for at, row in enumerate(last.iter_rows(named=True)))
    )


# Requests as the features of a model.


def columns_there(requests: Sequence[Request], features: Sequence[Feature]) -> tuple[Feature, ...]:
    """The features that most requests have; a model that needs another one says so itself.

    Most, for any stranger may send one request with a column that a model has no use for.
    """
    named = [each.values for each in requests if not each.matrix]
    if 2 * len(named) <= len(requests):
        return tuple(features)
    known = Counter(name for each in named for name in each)
    return tuple(each for each in features if 2 * known[each.name] > len(named))


def fitted(request: Request, features: Sequence[Feature], gaps: Collection[str]) -> tuple[Any, ...] | None:
    """A request's values in the order of the features; None where it does not fit them.

    A number may be missing where `gaps` says that the model knows that, or where it is no whole one.
    """
    if request.matrix and len(request.matrix) != len(features):
        return None
    given = request.values
    if request.matrix:
        given = dict(zip((each.name for each in features), request.matrix, strict=True))
    if any(each.name not in given for each in features):
        return None
    values = tuple(_value(given[each.name], each, gap=each.name in gaps) for each in features)
    return None if any(value is _UNFIT for value in values) else values


_UNFIT = object()


def _value(value: Any, feature: Feature, *, gap: bool) -> Any:
    match feature.kind:
        case Kind.TEXT:
            return value or "" if value is None or isinstance(value, str) else _UNFIT
        case Kind.FLOAT:
            return _number(value)
        case Kind.INTEGER | Kind.BOOLEAN:
            found = _number(value)
            if found is None or found is _UNFIT:
                return found if gap else _UNFIT
            return _whole(value, feature.kind)
        case _:
            return _UNFIT


def _number(value: Any) -> Any:
    """A number, None for a missing one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | float) and abs(value) <= _LARGEST:
        return float(value)
    return _UNFIT


def _whole(value: Any, kind: Kind) -> Any:
    if value != int(value) or not -_WIDEST <= value < _WIDEST:
        return _UNFIT
    if kind is Kind.BOOLEAN:
        return bool(value) if value in {0, 1} else _UNFIT
    return int(value)


_TYPES = {Kind.FLOAT: pl.Float64, Kind.INTEGER: pl.Int64, Kind.BOOLEAN: pl.Boolean, Kind.TEXT: pl.String}


def frame_of(rows: Sequence[Sequence[Any]], features: Sequence[Feature]) -> pl.DataFrame:
    """Fitted requests as a table."""
    columns = zip(features, zip(*rows, strict=True), strict=True)
    return pl.DataFrame([pl.Series(each.name, list(values), dtype=_TYPES[each.kind]) for each, values in columns])
