"""A file that a person wrote, as plain data, and what is wrong with it: every problem with its place and its fix."""

import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from mlbot.errors import UsageError

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"
"""What a YAML or JSON file can hold; keys are text, as they are written."""

KeyPath: TypeAlias = tuple[str | int, ...]  # keys and indices from the top of a document down to one value

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Characters that change or hide text without being seen: controls (but tab and newline), bidirectional, zero-width."""

NAME_FORM = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""A name a person gives, as lib/record.py has it too: it is safe in a path of git and a comment."""
DELIVERED_FORM = r"(?=.{1,63}$)(?!.*\.lock$)[A-Za-z0-9]+(?:(?:\.|__?|-+)[A-Za-z0-9]+)*"
"""The name of what is released or deployed: every git ref, tag of a registry, repository of it and folder takes it."""
DELIVERED_WORDS = "letters and digits, with `.`, `_`, `__` or dashes between them, of at most 63, not ending in `.lock`"
_SHOWN = 100  # so many problems are printed; the rest are counted
_EXCERPT = 48
_LISTED = 24
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,126}")


class Position(NamedTuple):
    """A place in a text, counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing that is wrong in a file, or with a value of it."""

    found: str
    hint: str  # what to do about it, as an instruction: mostly what to write instead
    at: KeyPath = ()  # where: from the top of the file, or from the value
    detail: str = ""  # more lines for people: a caret under the place in a condition
    position: Position | None = None  # its place in the file; None when it is not known
    whole: bool = False  # whether `found` and `hint` are sentences of their own

    @property
    def path(self) -> str:
        """The keys for people: `models.adult-income.gates.roc_auc`; odd ones quoted, indices in brackets."""
        parts: list[str] = []
        for key in self.at:
            if isinstance(key, int):
                parts.append(f"[{key}]")
            else:
                parts.append(("." if parts else "") + (key if _PLAIN_KEY.fullmatch(key) else quote(key)))
        return "".join(parts)

    def under(self, *keys: str | int) -> "Problem":
        """The same, as a problem of what holds the value under these keys."""
        return self._replace(at=(*keys, *self.at))

    def place(self, source: str) -> str:
        """The file with the line, where that is known."""
        return f"{source}:{self.position.line}" if self.position else source

    def text(self, source: str) -> str:
        """The problem as `source:line: path: found … → write …`, with its details indented below."""
        path = f" {self.path}:" if self.at else ""
        what = f"{self.found} {self.hint}" if self.whole else f"found {self.found} → {self.hint}"
        head = f"{self.place(source)}:{path} {what}"
        return "\n".join((head, *(f"    {line}" for line in self.detail.splitlines())))


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Plain data and where it was written; without positions when nobody knows."""

    source: str  # the file's name, as errors show it
    data: Plain
    values: Mapping[KeyPath, Position] = field(default_factory=dict)  # where each value starts
    keys: Mapping[KeyPath, Position] = field(default_factory=dict)  # where the key of each value of a mapping is

    def key(self, path: KeyPath) -> Position | None:
        """Where the key of a value is; the value's own place for a list item and for the whole document."""
        return self.keys.get(path) or self.values.get(path)

    def nearest(self, path: KeyPath) -> Position | None:
        """Where the deepest written part of a path is: the place to look at when the rest is missing."""
        return next((found for end in range(len(path), -1, -1) if (found := self.key(path[:end]))), None)

    def located(self, problem: Problem) -> Problem:
        """A problem with its place."""
        return problem._replace(position=self.nearest(problem.at))


class Refused(Exception):  # noqa: N818 - it never leaves the reading of a file
    """A value that is not accepted."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems)
        self.problems = problems

    def under(self, key: str | int) -> list[Problem]:
        """The problems as those of the value that holds this one under a key."""
        return [problem.under(key) for problem in self.problems]


def refused(value: object, write: str, *, found: str = "") -> Refused:
    """The refusal of a value, with what to write instead of it."""
    return Refused(Problem(found or show_value(value), f"write {write}"))


class ConfigError(UsageError):
    """A file that a person wrote cannot be accepted."""

    def __init__(self, problems: Iterable[Problem], *, source: str) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda each: (each.position or (0, 0), each.path, each.found))
        )
        self.source = source
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''}", where=source)

    def __str__(self) -> str:
        """Every problem in the order of the file, and at the end how many there are."""
        shown = [problem.text(self.source) for problem in self.problems[:_SHOWN]]
        more = len(self.problems) - len(shown)
        rest = [f"… and {more} more"] if more else []
        return "\n".join((*shown, *rest, f"{self.what} in {self.source}"))


def is_name(text: str) -> bool:
    """Whether a text is a name that a person may give."""
    return re.fullmatch(NAME_FORM, text) is not None


def is_delivered_name(text: str) -> bool:
    """Whether a text can be the name of a model or an environment."""
    return re.fullmatch(DELIVERED_FORM, text) is not None


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant; `-`, `_` and the case do not count."""
    import difflib

    folded = {_fold(candidate): candidate for candidate in known}
    close = difflib.get_close_matches(_fold(word[:64]), folded, n=1)
    return folded[close[0]] if close else None


def _fold(word: str) -> str:
    return word.lower().replace("-", "_")


def one_of(words: Iterable[str]) -> str:
    """A choice in words, the first few of many."""
    every = [word if is_name(word) else quote(word) for word in itertools.islice(words, _LISTED + 1)]
    if len(every) == 1:
        return every[0]
    listed, last = every[:_LISTED], "others" if len(every) > _LISTED else every.pop()
    return f"{', '.join(listed[: len(every)])} or {last}"


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
        case int() if value.bit_length() > 128:  # slow to print; above 4,300 digits Python refuses
            return "a very large number"
        case int() | float():
            return str(value)
        case dict() | list():
            return "a mapping" if isinstance(value, dict) else "a list"
        case _:
            return "something that is no plain data"
