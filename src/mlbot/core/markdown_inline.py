"""Which parts of a Markdown paragraph are no text: code spans and inline HTML.

The rules are CommonMark's (https://spec.commonmark.org/0.31.2/#code-spans and #raw-html). Whatever has no end is text,
and looking for an end that is not there is done once for each kind of end: time is linear in the text's length.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator

_NAME = r"[A-Za-z][A-Za-z0-9-]*+"
_VALUE = r"(?:[^\s\"'=<>`]++|'[^']*+'|\"[^\"]*+\")"
_ATTRIBUTE = rf"\s++[A-Za-z_:][A-Za-z0-9_:.-]*+(?>\s*+=\s*+{_VALUE})?+"
# Possessive throughout (https://docs.python.org/3/library/re.html): what has matched is never tried another way.
TAG = re.compile(rf"<(?:{_NAME}(?>{_ATTRIBUTE})*+\s*+/?+>|/{_NAME}\s*+>)", re.ASCII)
"""A complete opening or closing tag."""

_MARK = re.compile(r"\\[\\`<]|`++|<")
_TICKS = re.compile(r"`++")
_ENDS = (("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>"), ("<!", ">"))


class _Scan:
    """One paragraph, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._missing: set[str] = set()
        self._ticks: dict[int, list[int]] = {}
        for run in _TICKS.finditer(text):
            self._ticks.setdefault(len(run[0]), []).append(run.start())

    def spans(self) -> Iterator[tuple[int, int]]:
        """Start and end of each part that is no text, in order."""
        place = 0
        while mark := _MARK.search(self.text, place):
            end = self._end(mark)
            if end is not None:
                yield mark.start(), end
            place = end or mark.end()

    def _end(self, mark: re.Match[str]) -> int | None:
        if mark[0] == "<":
            return self._markup(mark.start())
        return None if mark[0].startswith("\\") else self._code(mark)

    def _code(self, opening: re.Match[str]) -> int | None:
        """Behind the next run of just as many backticks."""
        starts = self._ticks.get(len(opening[0]), [])
        index = bisect_left(starts, opening.end())
        return starts[index] + len(opening[0]) if index < len(starts) else None

    def _markup(self, start: int) -> int | None:
        if tag := TAG.match(self.text, start):
            return tag.end()
        for opening, closing in _ENDS:
            if self.text.startswith(opening, start):
                return self._behind(closing, start + len(opening))
        return None

    def _behind(self, closing: str, start: int) -> int | None:
        found = -1 if closing in self._missing else self.text.find(closing, start)
        if found < 0:
            self._missing.add(closing)
            return None
        return found + len(closing)


def no_text(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each code span and piece of HTML in a paragraph, in order and apart from each other."""
    return _Scan(text).spans()
