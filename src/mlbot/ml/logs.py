"""Files of logs that strangers fill: lines of JSON, packed or not, none of them longer, and no more, than may be.

The monitor and the replay of recorded requests read them here, so that a log is the same requests to both.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.errors import NotEvaluatedError

MOST_LINE = 8 << 20
MOST_LINES = 100_000_000  # of a file, those too that are blank
FAULTS = (PolarsError, PanicException, OSError, EOFError, zlib.error)
"""What reading a file raises that is none."""
REQUEST, RESPONSE = "request", "response"
"""Keys of a line, or columns of Parquet, with bodies, where there are any."""
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_LONGEST_WHOLE = 300  # letters; a number of more is infinite
_CUT = b"{"
"""A line that is too long; it is no JSON."""


def is_parquet(file: Path) -> bool:
    """Whether a file begins as Parquet does; every other one has lines of JSON."""
    return _head(file) == _PARQUET


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(len(_PARQUET))


def lines_of(file: Path, most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1; a packed file is unpacked.

    Raises `NotEvaluatedError` for a file with more bytes, as they are unpacked, or more lines than may be.
    """
    packed = _head(file)[: len(_GZIP)] == _GZIP
    with file.open("rb") as raw:
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        number, left = 0, most_bytes
        while line := stream.readline(MOST_LINE + 1):
            number, left = number + 1, left - len(line)
            if len(line) > MOST_LINE:
                left -= _skip_rest(stream, left)
                line = _CUT
            if left < 0 or number > MOST_LINES:
                hint = "Keep fewer of them in one file."
                raise NotEvaluatedError(f"a log has more than {most_bytes:,} bytes or {MOST_LINES:,} lines", hint=hint)
            if line.strip():
                yield number, line


def _skip_rest(stream: BinaryIO, most: int) -> int:
    """Pass over the rest of a line, up to more bytes than may be; how many they were."""
    skipped = 0
    while skipped <= most and (rest := stream.readline(MOST_LINE)):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def object_of(line: bytes | str) -> dict[str, Any] | None:
    """The object that a line is; None where it is none.

    Servers log a missing number as `NaN`, and of two equal keys took the last one: so are they read here, too.
    """
    if len(line) > MOST_LINE:
        return None
    try:
        value = json.loads(line, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _LONGEST_WHOLE else float(text)


def encodable(text: str) -> str:
    """A text without the half characters that JSON may have, and tables not."""
    return text.encode("utf-8", "replace").decode()


def bodies_of(table: pl.DataFrame) -> Iterator[dict[str, Any] | None]:
    """The rows of Parquet as lines of JSON have them, with bodies read; None for a row whose request is none."""
    texts = [name for name in (REQUEST, RESPONSE) if table.schema.get(name) == pl.String()]
    for row in table.iter_rows(named=True):
        read = {name: object_of(row[name] or "") for name in texts}
        asked = read.get(REQUEST, row)
        if asked is None:
            yield None
        else:
            yield {**row, **read, **(asked if asked_of(asked) is not asked else {})}


def asked_of(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request in a line of a log: what is under `request`, where that is an object, else the whole."""
    inner = line.get(REQUEST)
    return inner if isinstance(inner, dict) else line


def answered_of(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer in a line of a log, as `asked_of` is the request."""
    inner = line.get(RESPONSE, line)
    return inner if isinstance(inner, dict) else {}
