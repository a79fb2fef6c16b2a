"""What a training prints: kept in a file, said as progress, searched for claims. Hostile text of any length."""

import math
import re
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_TAIL_LINES = 20

_LINE_LENGTH = 500

_BUFFER = 64 * 1024

_BURST = 20

_LINES_PER_S = 1.0

_KEPT_BYTES = 64 * 1024 * 1024

_BLANK = "\0 \t\r\v\f"

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|.?)")

_NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,4})?"


def clean(line: str) -> str:
    """One line for people: no escape sequences, control, format (bidi) or zero-width characters, not too long.

    `##[` is taken apart, since a GitHub runner obeys it in the middle of a line.
    """
    plain = _ESCAPE.sub("", line[: _LINE_LENGTH * 4]).replace("\t", " ")
    kept = "".join(letter for letter in plain if not unicodedata.category(letter).startswith("C"))
    return kept[:_LINE_LENGTH].rstrip().replace("##[", "## [")


def claims(text: str, names: Iterable[str]) -> dict[str, float]:
    """Metrics that a training printed as `name=value` or `name: value` (JSON's quotes allowed).

    Args:
        text: Any number of lines.
        names: The metrics to look for; longer names that contain one are not taken for it.

    Returns:
        The last finite number for each name that has one.
    """
    pattern = _claim_pattern(names)
    return _claimed(text, pattern) if pattern else {}


def _claim_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    if not known:
        return None
    space = r"[ \t]{0,8}"
    return re.compile(rf"""(?<![\w@./-])({known})["']?{space}[=:]{space}["']?({_NUMBER})(?!\.?\w|%)""")


def _claimed(text: str, pattern: re.Pattern[str]) -> dict[str, float]:
    found = ((match[1], float(match[2])) for match in pattern.finditer(_ESCAPE.sub("", text)))
    return {name: value for name, value in found if math.isfinite(value)}


class Log:
    """Takes a training's output as it comes, in constant memory.

    Args:
        path: Where to keep it; None: nowhere.
        say: Is told lines of it, no more than a few a second.
        name: Whose lines they are.
        metrics: The names to look for among claims.
        keep_bytes: How much of it to keep, from its start.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        path: Path | None,
        say: Callable[[str], None],
        *,
        name: str,
        metrics: Iterable[str],
        keep_bytes: int = _KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.claims: dict[str, float] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._path = path
        self._file: IO[bytes] | None = None
        self._room = keep_bytes
        self._say = say
        self._name = name
        self._pattern = _claim_pattern(metrics)
        self._clock = clock
        self._allowance = float(_BURST)
        self._refilled = clock()
        self._skipped = 0
        self._open_line = b""

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.finish()
        if self._file is not None:
            self._file.close()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that are not empty, cleaned."""
        return tuple(self._tail)

    def write(self, chunk: bytes) -> None:
        """Take some more output, cut anywhere."""
        self._keep(chunk)
        whole = self._open_line + chunk.replace(b"\r", b"\n")
        end = whole.rfind(b"\n") + 1
        if not end and len(whole) > _BUFFER:
            end = len(whole)  # a line without an end is taken in pieces
        self._open_line = whole[end:]
        if end:
            self._lines(whole[:end])

    def finish(self) -> None:
        """Take the line that was left open, and say how much was left out."""
        rest, self._open_line = self._open_line, b""
        if rest:
            self._lines(rest)
        self._say_skipped()

    def _keep(self, chunk: bytes) -> None:
        if self._file is None or self._room <= 0:
            return
        self._file.write(chunk[: self._room])
        self._room -= len(chunk)
        if self._room <= 0:
            self._file.write(b"\n[mlbot: the log is longer; the rest was not kept]\n")

    def _lines(self, block: bytes) -> None:
        text = block.decode("utf-8", "replace")
        if self._pattern:
            self.claims |= _claimed(text, self._pattern)
        lines = [line for line in text.split("\n") if line.strip(_BLANK)]
        self._tail.extend(filter(None, map(clean, lines[-_TAIL_LINES:])))
        allowed = self._take(len(lines))
        for line in lines[:allowed]:
            self._say_skipped()
            self._say(f"{self._name} | {clean(line)}")
        self._skipped += len(lines) - allowed

    def _take(self, wanted: int) -> int:
        """How many lines may be said now: a burst at first, then a few a second."""
        now = self._clock()
        self._allowance = min(float(_BURST), self._allowance + (now - self._refilled) * _LINES_PER_S)
        self._refilled = now
        granted = min(wanted, int(self._allowance))
        self._allowance -= granted
        return granted

    def _say_skipped(self) -> None:
        if self._skipped:
            lines = "line" if self._skipped == 1 else "lines"
            self._say(f"{self._name} | ({self._skipped} {lines} not shown)")
        self._skipped = 0
