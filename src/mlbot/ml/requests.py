"""Requests that a server logged: JSON lines or Parquet, bodies of the Open Inference Protocol or a value a column.

Whoever may send a request wrote them. They are bounded before they are parsed, typed, never evaluated; one that is of
no use is left out and counted, so that no single request keeps the others from being read.
"""

import io
import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low
from typing import Any

import polars as pl

from mlbot.errors import NotEvaluatedError
from mlbot.ml.logs import FAULTS, asked_of, bodies_of, encodable, is_parquet, lines_of, object_of
from mlbot.ml.protocol import Feature, Kind
from mlbot.protocol.inference import NoTensorError, Tensor, inputs_of

MOST_BYTES = 1 << 30
"""The longest file that is read, as it is unpacked."""
_MOST_HELD = 64 << 20
_MOST_PARQUET = 256 << 20
_TIMES = 10
"""Of one request at most so many times the rows count that half of the requests have: no body is the whole replay."""
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


_Bodies = deque[tuple[Request, ...]]


def read_requests(files: Sequence[Path], most: int) -> Recorded:
    """The last requests of a log's files in their order, at most so many rows; of a long body only some.

    Raises:
        NotEvaluatedError: a file cannot be read or is too large, or there is no request.
    """
    found: _Bodies = deque()
    unreadable = 0
    for place, file in reversed(list(enumerate(files, start=1))):
        if len(found) < most:
            bodies, skipped = _read(file, most - len(found))
            name = f"{place}:" if len(files) > 1 else ""
            found.extendleft(tuple(replace(row, line=f"{name}{row.line}") for row in rows) for rows in reversed(bodies))
            unreadable += skipped
    if not found:
        raise NotEvaluatedError(
            "there is no request in the log",
            hint="A line is a body of the protocol, or an object with a value a column.",
        )
    longest = _TIMES * median_low(map(len, found))
    rows = [row for body in found for row in _spread(body, longest)]
    return Recorded(requests=tuple(rows[-most:]), unreadable=unreadable)


def _spread(body: tuple[Request, ...], most: int) -> Iterable[Request]:
    """Rows of a body, evenly spaced where they are more than may be."""
    return body if len(body) <= most else (body[at * len(body) // most] for at in range(most))


def _read(file: Path, most: int) -> tuple[_Bodies, int]:
    """The last bodies of a file, and how many lines are none."""
    try:
        if is_parquet(file):
            return _parsed(_parquet(file, most))
        return _parsed((number, object_of(line)) for number, line in _last(file, most))
    except FAULTS as error:
        raise NotEvaluatedError(f"the log of requests cannot be read ({type(error).__name__})") from None


def _last(file: Path, most: int) -> Collection[tuple[int, bytes]]:
    """The last lines; of those before only how many they were."""
    found: deque[tuple[int, bytes]] = deque()
    size = 0
    for number, line in lines_of(file, MOST_BYTES):
        found.append((number, line))
        size += len(line)
        while len(found) > most or size > _MOST_HELD:
            size -= len(found.popleft()[1])
    return found


def _parsed(lines: Iterable[tuple[int, Mapping[str, Any] | None]]) -> tuple[_Bodies, int]:
    found: _Bodies = deque()
    unreadable = 0
    for number, line in lines:
        try:
            rows = _rows(str(number), line or {})
        except NoTensorError:
            rows = ()
        if rows:
            found.append(rows)
        else:
            unreadable += 1
    return found, unreadable


def _rows(line: str, value: Mapping[str, Any]) -> tuple[Request, ...]:
    """The rows of one line; none where it is no request. Raises `NoTensorError` for a body that no server takes."""
    asked = asked_of(value)
    tensors = inputs_of(asked)
    if tensors is None:
        return (Request(line=line, values=asked),) if asked else ()
    if any(len(each.shape) > 2 for each in tensors):
        return ()
    if len(tensors) == 1 and tensors[0].width > 1:
        return tuple(Request(line=line, values={}, matrix=tensors[0].row(at)) for at in range(tensors[0].rows))
    single = [each for each in tensors if each.width == 1]
    return tuple(Request(line=line, values=_row(single, at)) for at in range(tensors[0].rows))


def _row(tensors: Sequence[Tensor], at: int) -> Mapping[str, Any]:
    return {each.name: each.data[at] for each in tensors}


def _parquet(file: Path, most: int) -> Iterable[tuple[int, Mapping[str, Any] | None]]:
    if file.stat().st_size > _MOST_PARQUET:
        hint = "Keep fewer of them there: a day is enough."
        raise NotEvaluatedError(f"the log of requests has more than {_MOST_PARQUET:,} bytes", hint=hint)
    frame = pl.scan_parquet(io.BytesIO(file.read_bytes()))
    rows = int(frame.select(pl.len()).collect().item())
    last = frame.tail(most).collect()
    return enumerate(bodies_of(last), start=rows - last.height + 1)


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
            return encodable(value or "") if value is None or isinstance(value, str) else _UNFIT
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
