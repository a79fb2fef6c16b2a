"""The bytes of a file that a person wrote, as text that is fit to be parsed."""

import json
import re
from collections.abc import Iterable

from mlbot.config.document import Document, KeyPath, Position
from mlbot.errors import UsageError
from mlbot.lib.record import Record

# What is wrong with a file that a person wrote: every problem at once, each with its place and its cure.

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Characters that change or hide text without being seen: controls (but tab and newline), bidirectional, zero-width."""

_SHOWN = 100
"""So many problems are printed; the rest are counted."""

_EXCERPT = 48

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,126}")


class ConfigProblem(Record):
    """One thing that is wrong in the file."""

    line: int | None = None
    """From 1; None when the place is not known."""
    column: int | None = None
    path: str
    """Keys from the top of the file: `models.adult-income.gates.roc_auc`; empty for the file as a whole."""
    found: str
    hint: str
    """What to do about it, as an instruction: mostly what to write instead."""
    detail: str = ""
    """More lines for people: a caret under the place in a condition."""

    def text(self, source: str) -> str:
        """The problem as `source:line: path: found … → write …`, with its details indented below."""
        place = source if self.line is None else f"{source}:{self.line}"
        path = f" {self.path}:" if self.path else ""
        head = f"{place}:{path} found {self.found} → {self.hint}"
        return "\n".join((head, *(f"    {line}" for line in self.detail.splitlines())))


class ConfigError(UsageError):
    """A file that a person wrote cannot be accepted.

    Args:
        problems: What is wrong, in any order; at least one.
        source: The file's name, as errors show it.
    """

    def __init__(self, problems: Iterable[ConfigProblem], *, source: str) -> None:
        self.problems: tuple[ConfigProblem, ...] = tuple(sorted(problems, key=_order))
        self.source = source
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''}", where=source)

    def __str__(self) -> str:
        """Every problem in the order of the file, and at the end how many there are."""
        shown = [problem.text(self.source) for problem in self.problems[:_SHOWN]]
        more = len(self.problems) - len(shown)
        rest = [f"… and {more} more"] if more else []
        return "\n".join((*shown, *rest, f"{self.what} in {self.source}"))


def _order(problem: ConfigProblem) -> tuple[int, int, str, str]:
    return (problem.line or 0, problem.column or 0, problem.path, problem.found)


def problem_at(document: Document, path: KeyPath, found: str, hint: str, detail: str = "") -> ConfigProblem:
    """A problem with the place that its path has in the document, or the nearest that is written there."""
    line, column = document.nearest(path) or (None, None)
    return ConfigProblem(line=line, column=column, path=show_path(path), found=found, hint=hint, detail=detail)


def show_path(path: KeyPath) -> str:
    """A path for people: keys joined with dots, indices in brackets, odd keys quoted."""
    parts: list[str] = []
    for key in path:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        else:
            parts.append(("." if parts else "") + (key if _PLAIN_KEY.fullmatch(key) else quote(key)))
    return "".join(parts)


def quote(text: str) -> str:
    """Foreign text in double quotes on one line: shortened, what cannot be seen escaped."""
    short = text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
    return INVISIBLE.sub(_escape, json.dumps(short, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def show_value(value: object) -> str:
    """What was found, in a few words."""
    match value:
        case None | bool():
            return {None: "nothing", True: "true", False: "false"}[value]
        case str():
            return quote(value) if value else "an empty text"
        case int() | float():
            return _number(value)
        case dict() | list():
            return "a mapping" if isinstance(value, dict) else "a list"
        case _:
            return "something that is no plain data"


def _number(value: float) -> str:
    # a number of a million digits is slow to print, and Python refuses it above 4,300
    if isinstance(value, int) and value.bit_length() > 128:
        return "a very large number"
    return str(value)


MAX_BYTES = 2 * 1024 * 1024

MAX_DEPTH = 64
"""Levels of mappings and lists inside each other."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def decode(text: bytes | str, source: str) -> str:
    """A file's content as text: UTF-8, not too long, without control characters.

    Raises:
        ConfigError: It is not.
    """
    if len(text) > MAX_BYTES:
        raise refusal(f"a file of {len(text):,} bytes", f"keep it below {MAX_BYTES:,} bytes", source)
    decoded = _utf8(text, source) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    if bad := _UNPRINTABLE.search(decoded):
        found, hint = f"the control character U+{ord(bad[0]):04X}", "delete it, or write it as an escape in quotes"
        raise refusal(found, hint, source, _place_of(decoded, bad.start()))
    return decoded


def _utf8(text: bytes, source: str) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Position(text.count(b"\n", 0, error.start) + 1, 1)
        raise refusal("bytes that are no UTF-8", "save the file as UTF-8", source, place) from error


def _place_of(text: str, index: int) -> Position:
    return Position(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def refusal(found: str, hint: str, source: str, place: Position | None = None, path: KeyPath = ()) -> ConfigError:
    """One problem that ends the reading."""
    line, column = place or (None, None)
    return ConfigError(
        [ConfigProblem(line=line, column=column, path=show_path(path), found=found, hint=hint)], source=source
    )
