"""Reading plain data into typed values, noting every problem on the way instead of stopping at the first.

A method gives None when the value is not what it should be; the problem is noted then, so the caller goes on.
"""

import difflib
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mlbot.config.document import Document, KeyPath, Plain
from mlbot.config.errors import INVISIBLE, ConfigProblem, problem_at, quote, show_value

MAX_TEXT = 1024
"""Characters of a text that stands for one thing: a path, a column, a label."""

MAX_SCRIPT = 10_000
"""Characters of a shell command."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h)?")

_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

_MAX_GUESSES = 100

_MAX_KNOWN = 200
"""Looking for the word that was meant costs time: not for thousands of unknown ones, nor among thousands."""

_LISTED = 24


@dataclass(kw_only=True, slots=True)
class Notes:
    """The document being read, and what is wrong with it so far."""

    document: Document
    problems: list[ConfigProblem] = field(default_factory=list)


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant; `-`, `_` and the case do not count."""
    folded = {_fold(candidate): candidate for candidate in known}
    close = difflib.get_close_matches(_fold(word[:64]), folded, n=1)
    return folded[close[0]] if close else None


def one_of(words: Iterable[str]) -> str:
    """A choice in words, the first few of many."""
    every = [word if is_name(word) else quote(word) for word in itertools.islice(words, _LISTED + 1)]
    if len(every) == 1:
        return every[0]
    listed, last = every[:_LISTED], "others" if len(every) > _LISTED else every.pop()
    return f"{', '.join(listed[: len(every)])} or {last}"


def is_name(text: str) -> bool:
    """Whether a text is what core/record.py calls a `Name`."""
    return _NAME.fullmatch(text) is not None


def _fold(word: str) -> str:
    return word.lower().replace("-", "_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """One value of the document with its path."""

    value: Plain
    path: KeyPath
    notes: Notes

    def refuse(self, write: str, *, found: str | None = None) -> None:
        """Note that this value is wrong, and what to write instead of it."""
        self.note(found, f"write {write}")

    def note(self, found: str | None, hint: str, detail: str = "") -> None:
        """Note what was found (None: the value) and what to do about it."""
        shown = show_value(self.value) if found is None else found
        self.notes.problems.append(problem_at(self.notes.document, self.path, shown, hint, detail))

    def guess(self, word: str, known: Collection[str]) -> str:
        """What to write instead of an unknown word: the known one that is near, else which there are."""
        few = len(self.notes.problems) < _MAX_GUESSES and len(known) <= _MAX_KNOWN
        return (nearest(word, known) if few else None) or one_of(known)

    def child(self, key: str | int, value: Plain) -> "Reader":
        """A value inside this one."""
        return Reader(value=value, path=(*self.path, key), notes=self.notes)

    def fields(self, known: Sequence[str], required: Collection[str] = ()) -> dict[str, "Reader"]:
        """The known settings of a mapping by key; unknown and missing ones are noted."""
        if not isinstance(self.value, dict):
            self.refuse(f"a mapping with {one_of(known)}")
            return {}
        made = {key: self.child(key, value) for key, value in self.value.items()}
        for key, inside in made.items():
            if key not in known:
                inside.refuse(self.guess(key, known), found=f"the unknown key {quote(key)}")
        for key in required:
            if key not in made:
                self.refuse(f"`{key}:`", found=f"no {key}")
        return {key: inside for key, inside in made.items() if key in known}

    def named(self, what: str) -> dict[str, "Reader"]:
        """The values of a mapping whose keys are names that people give."""
        if not isinstance(self.value, dict):
            self.refuse(f"a mapping from the name of each {what}")
            return {}
        made = {key: self.child(key, value) for key, value in self.value.items()}
        for key, inside in made.items():
            inside.check_name(key)
        return made

    def check_name(self, text: str) -> bool:
        """Whether a name is safe in a ref, a path and a comment."""
        if is_name(text):
            return True
        write = "a name of letters, digits, `.`, `_` and `-`, starting with a letter or digit, of at most 63"
        self.refuse(write, found=f"the name {quote(text)}")
        return False

    def items(self, what: str) -> list["Reader"]:
        """The items of a list that has at least one."""
        if isinstance(self.value, list) and self.value:
            return [self.child(index, value) for index, value in enumerate(self.value)]
        self.refuse(f"a list of {what}", found="an empty list" if self.value == [] else None)
        return []

    def text(self, what: str, *, limit: int = MAX_TEXT, lines: bool = False) -> str | None:
        """A text with something in it and nothing hidden."""
        value = self.value
        if isinstance(value, bool | int | float):
            self.refuse(f"{what} as text, in quotes")
        elif not isinstance(value, str) or not value.strip():
            self.refuse(what)
        elif hidden := INVISIBLE.search(value):
            self.refuse(f"{what} without it", found=f"the invisible character U+{ord(hidden[0]):04X} in {quote(value)}")
        elif not lines and ("\n" in value or "\t" in value):
            self.refuse(f"{what} on one line, without tabs")
        elif len(value) > limit:
            self.refuse(f"{what} of at most {limit:,} characters", found=f"{len(value):,} characters")
        else:
            return value
        return None

    def label(self) -> str | None:
        """A label or class as text: `1`, `true` and `">50K"` may all be written as they are."""
        match self.value:
            case bool():
                return str(self.value).lower()
            case int() if self.value.bit_length() <= 64:
                return str(self.value)
            case float() if math.isfinite(self.value):
                return repr(self.value)
            case _:
                return self.text("a label")

    def texts(self, what: str, read: "Callable[[Reader], str | None]") -> tuple[str, ...]:
        """A list of texts without repetition; those that are wrong are left out."""
        return tuple(text for _, text in self.unique(what, read))

    def unique(self, what: str, read: "Callable[[Reader], str | None]") -> Iterator[tuple["Reader", str]]:
        """The items of a list that can be read, each once; repetitions are noted."""
        seen: dict[str, int] = {}
        for index, item in enumerate(self.items(what)):
            text = read(item)
            if text is not None and text in seen:
                item.refuse("each once", found=f"{quote(text)} again, after [{seen[text]}]")
            elif text is not None:
                seen[text] = index
                yield item, text

    def flag(self) -> bool | None:
        """True or false."""
        if isinstance(self.value, bool):
            return self.value
        self.refuse("true or false")
        return None

    def choice(self, options: Sequence[str]) -> str | None:
        """One of a few words."""
        if isinstance(self.value, str) and self.value in options:
            return self.value
        self.refuse(self.guess(self.value if isinstance(self.value, str) else "", options))
        return None

    def whole(self, low: int, high: int | None = None) -> int | None:
        """A whole number in a range."""
        value = self.value
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= (high or 2**31)
        if isinstance(value, int) and fits:
            return value
        self.refuse(f"a whole number from {low} to {high}" if high else f"a whole number, {low} or more")
        return None

    def number(self, what: str, fits: Callable[[float], bool]) -> float | None:
        """A finite number that fits."""
        value = self.value
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and fits(float(value)):
            return float(value)
        self.refuse(what)
        return None

    def duration(self, longest_s: float) -> float | None:
        """Seconds from `30m`, `1.5h`, `90s` or a plain number of seconds."""
        value = self.value
        match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value)) if _is_short(value) else None
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if 0 < seconds <= longest_s:
            return seconds
        self.refuse(f"a duration such as 90s, 30m or 2h, of at most {longest_s / 3600:g}h")
        return None


def _is_short(value: Plain) -> bool:
    return isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 64)
