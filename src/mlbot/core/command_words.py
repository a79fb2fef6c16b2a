"""The words of a command: plain, quoted as a keyboard or a phone does it, or `key=value`."""

import re
from dataclasses import dataclass

from mlbot.core.command_fault import Fault, MisreadError

_STYLES = (
    ('"', "\u201c\u201d\u201e\u201f\u2033"),
    ("'", "\u2018\u2019\u201a\u201b\u2032"),
    ("\u00ab\u00bb", "\u2039\u203a"),
)
"""Straight and typographic marks of one kind: a phone may open with the one and close with the other."""
_MARKS = "".join(first + second for first, second in _STYLES)
_SPACE = re.compile(r"\s*+")
_PLAIN = re.compile(r"\S*+")
_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*+)=")
_ESCAPE = re.compile(rf"\\([\\{_MARKS}])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One argument as it was written.

    Attributes:
        text: Without its quotation marks.
        key: What stands before its `=`; None for none.
        quoted: Whether it stood in quotation marks.
    """

    text: str
    key: str | None = None
    quoted: bool = False


def _closing(marks: str) -> re.Pattern[str]:
    """Everything up to a mark that ends a word; a mark inside a word (an apostrophe) ends nothing."""
    return re.compile(rf"((?:[^{marks}\\]++|\\[\\{_MARKS}]|\\|[{marks}](?!\s|$))*+)[{marks}]")


_CLOSING = {marks: _closing(marks) for pair in _STYLES for marks in pair}


class _Words:
    """One line, read from left to right."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._place = 0
        self._missing: set[str] = set()
        """Marks that are known to end nothing any more: looked for once, however often they open."""

    def read(self) -> list[Word]:
        words: list[Word] = []
        self._place = self._end(_SPACE)
        while self._place < len(self._line):
            words.append(self._word())
            self._place = self._end(_SPACE)
        return words

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._line, self._place)
        return found.end() if found else self._place

    def _word(self) -> Word:
        key = _KEY.match(self._line, self._place)
        self._place = key.end() if key else self._place
        opening = self._line[self._place : self._place + 1]
        name = key[1] if key else None
        if opening and opening in _MARKS:
            return Word(key=name, text=self._quoted(opening), quoted=True)
        start, self._place = self._place, self._end(_PLAIN)
        return Word(key=name, text=self._line[start : self._place])

    def _quoted(self, opening: str) -> str:
        styles = next(pair for pair in _STYLES if opening in "".join(pair))
        for marks in sorted(styles, key=lambda marks: opening not in marks):
            found = None if marks in self._missing else _CLOSING[marks].match(self._line, self._place + 1)
            if found:
                self._place = found.end()
                return _ESCAPE.sub(r"\1", found[1])
            self._missing.add(marks)
        raise MisreadError(Fault.QUOTES, f"The quotation mark {opening} is never closed.")


def split(line: str) -> list[Word]:
    r"""The words of a line.

    A word may stand in quotation marks, straight or typographic; within them `\` before a mark or before another `\`
    takes its meaning away, and only a mark with a space or nothing behind it ends the word.

    Raises:
        MisreadError: A quotation mark is never closed.
    """
    return _Words(line).read()


def quoted(text: str) -> str:
    """A text in quotation marks, so that it is read as one word again."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
