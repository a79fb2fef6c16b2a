"""Which lines of a comment are a person's own words: lines of paragraphs, as GitHub shows them.

What GitHub shows as a quotation, as code or not at all (HTML) is somebody else's or none: the rest of CommonMark's
block structure (https://spec.commonmark.org/0.31.2/, "Phase 1: block structure") is followed only as far as that
needs. A line is looked at once, under at most `_MAX_DEPTH` containers: time is linear in the comment's length.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

# Which parts of a Markdown paragraph are no text: code spans and inline HTML.

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


_MAX_DEPTH = 16
"""Quotations and list items inside each other; deeper ones are taken for quotations."""

_HEADING = re.compile(r"#{1,6}+(?: |$)")

_FENCE = re.compile(r"(?P<backticks>`{3,}+)(?!.*`)|(?P<tildes>~{3,}+)")

_UNDERLINE = re.compile(r"(?:=++|-++) *+$")

_RULER = re.compile(r"(?:\* *+){3,}+$|(?:- *+){3,}+$|(?:_ *+){3,}+$")

_BULLET = re.compile(r"[-+*](?= |$)|(?P<number>[0-9]{1,9}+)[.)](?= |$)")

_RAW = re.compile(r"<(?:script|pre|style|textarea)(?:[\s>]|$)", re.IGNORECASE | re.ASCII)

_BLOCK_TAGS = (
    "address article aside base basefont blockquote body caption center col colgroup dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link "
    "main menu menuitem nav noframes ol optgroup option p param section search source summary table tbody td tfoot th "
    "thead title tr track ul"
)

_BLOCK = re.compile(rf"</?(?:{'|'.join(_BLOCK_TAGS.split())})(?: |/?>|$)", re.IGNORECASE | re.ASCII)

_BLANK = re.compile(r" *+$")

_HTML = (
    (_RAW, re.compile(r"</(?:script|pre|style|textarea)>", re.IGNORECASE | re.ASCII)),
    (re.compile(r"<!--"), re.compile(r"-->")),
    (re.compile(r"<\?"), re.compile(r"\?>")),
    (re.compile(r"<![A-Za-z]"), re.compile(r">")),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")),
    (_BLOCK, _BLANK),
)
"""What begins a block of HTML, and the line that ends it."""


class _Leaf(Enum):
    """What the last line belongs to, besides containers."""

    NONE = auto()
    PARAGRAPH = auto()
    FENCE = auto()
    HTML = auto()


class _Line:
    """One line, and what is left of it; tabs are spaces up to columns of four."""

    __slots__ = ("indent", "rest")

    def __init__(self, raw: str) -> None:
        self._set(raw.expandtabs(4))

    def _set(self, text: str) -> None:
        self.rest = text.lstrip(" ")
        """Without the spaces before it; empty for a blank line."""
        self.indent = len(text) - len(self.rest)

    def skip(self, columns: int) -> None:
        if columns <= self.indent:
            self.indent -= columns
        else:
            self._set(self.rest[columns - self.indent :])

    def skip_quote_mark(self) -> None:
        self._set(self.rest[1:].removeprefix(" "))


@dataclass(slots=True)
class _Container:
    """A quotation, or an item of a list."""

    width: int = 0
    """Of a list item: columns that its lines are indented by; 0 for a quotation."""
    empty: bool = False
    """Whether it is an item in which nothing stands yet."""

    @property
    def quotation(self) -> bool:
        return not self.width

    def goes_on(self, line: _Line) -> bool:
        """Whether the line stands in it; it is then read up to what does."""
        if not self.width:
            if line.indent >= 4 or not line.rest.startswith(">"):
                return False
            line.skip_quote_mark()
        elif line.indent >= self.width:
            line.skip(self.width)
        else:
            return not line.rest and not self.empty
        return True


@dataclass(slots=True)
class _Paragraph:
    """Its lines so far; `own` ones could be commands."""

    texts: list[str] = field(default_factory=list)
    own: list[tuple[int, int, str]] = field(default_factory=list)
    """Where it starts in the paragraph, its number and its text."""
    length: int = 0

    def add(self, number: int, raw: str, shown: str, *, quoted: bool) -> None:
        if raw.startswith("/") and not quoted:
            self.own.append((self.length, number, raw))
        self.texts.append(shown)
        self.length += len(shown) + 1

    def spoken(self) -> Iterator[tuple[int, str]]:
        """The own lines that do not start inside a code span or HTML."""
        spans = no_text("\n".join(self.texts)) if self.own else iter(())
        end = begin = -1
        for place, number, raw in self.own:
            while end <= place and (span := next(spans, None)):
                begin, end = span
            if not begin < place < end:
                yield number, raw


class _Comment:
    """The state behind the lines read so far."""

    def __init__(self) -> None:
        self.spoken: list[tuple[int, str]] = []
        self._containers: list[_Container] = []
        self._leaf = _Leaf.NONE
        self._paragraph = _Paragraph()
        self._fence = ""
        """The backticks or tildes that opened it."""
        self._html_end = _BLANK

    def read(self, number: int, raw: str) -> None:
        """Take one line."""
        line = _Line(raw)
        matched = self._match(line)
        if matched == len(self._containers) and self._leaf in {_Leaf.FENCE, _Leaf.HTML}:
            self._continue(line)
            return
        if not line.rest:
            self.close(matched)
            return
        depth = self._open_containers(line, matched)
        goes_on = self._leaf is _Leaf.PARAGRAPH
        if not self._open_leaf(line, depth, direct=goes_on and depth == len(self._containers)):
            if not goes_on:
                self.close(depth)
            if line.rest:
                self._say(number, raw, line)

    def close(self, depth: int) -> None:
        """End what is open below so many containers."""
        if self._leaf is _Leaf.PARAGRAPH:
            self.spoken.extend(self._paragraph.spoken())
            self._paragraph = _Paragraph()
        self._leaf = _Leaf.NONE
        del self._containers[depth:]

    def _match(self, line: _Line) -> int:
        """How many of the open containers go on in this line, which is read up to what stands in them."""
        for index, container in enumerate(self._containers):
            if not container.goes_on(line):
                return index
        return len(self._containers)

    def _continue(self, line: _Line) -> None:
        """A line of an open fence or of HTML."""
        if self._leaf is _Leaf.HTML:
            ended = self._html_end.search(line.rest) if self._html_end is not _BLANK else not line.rest
        else:
            text = line.rest.rstrip(" ")
            ended = line.indent < 4 and len(text) >= len(self._fence) and not text.strip(self._fence[0])
        if ended:
            self._leaf = _Leaf.NONE

    def _open_containers(self, line: _Line, depth: int) -> int:
        """Open the quotations and list items that start in this line; how many containers it stands in."""
        while depth < _MAX_DEPTH and line.indent < 4:
            direct = self._leaf is _Leaf.PARAGRAPH and depth == len(self._containers)
            opened = _quotation(line) or _item(line, interrupts=direct)
            if opened is None:
                break
            self.close(depth)
            self._fill()
            self._containers.append(opened)
            depth += 1
        return depth

    def _fill(self) -> None:
        if self._containers:
            self._containers[-1].empty = False

    def _open_leaf(self, line: _Line, depth: int, *, direct: bool) -> bool:
        """Whether the line is code, a heading, a ruler or HTML. `direct`: a paragraph is open just here."""
        rest = line.rest
        if line.indent >= 4:
            leaf = None if self._leaf is _Leaf.PARAGRAPH else _Leaf.NONE
        elif fence := _FENCE.match(rest):
            self._fence, leaf = fence[0], _Leaf.FENCE
        elif end := _html(rest, interrupts=direct):
            self._html_end = end
            leaf = _Leaf.NONE if end is not _BLANK and end.search(rest) else _Leaf.HTML
        else:
            plain = _HEADING.match(rest) or _RULER.match(rest) or (direct and _UNDERLINE.match(rest))
            leaf = _Leaf.NONE if plain else None
        if leaf is None:
            return False
        self.close(depth)
        self._fill()
        self._leaf = leaf
        return True

    def _say(self, number: int, raw: str, line: _Line) -> None:
        """A line of a paragraph, be it the continuation of one in a container that the line does not stand in."""
        self._fill()
        self._leaf = _Leaf.PARAGRAPH
        quoted = len(self._containers) >= _MAX_DEPTH or any(each.quotation for each in self._containers)
        self._paragraph.add(number, raw, line.rest, quoted=quoted)


def _quotation(line: _Line) -> _Container | None:
    if not line.rest.startswith(">"):
        return None
    line.skip_quote_mark()
    return _Container()


def _item(line: _Line, *, interrupts: bool) -> _Container | None:
    """An item of a list; one that interrupts a paragraph is not empty, and starts at 1 when it is numbered."""
    rest, indent = line.rest, line.indent
    bullet = _BULLET.match(rest)
    if bullet is None or _RULER.match(rest):
        return None
    content = rest[bullet.end() :]
    text = content.strip(" ")
    if interrupts and (not text or (bullet["number"] is not None and int(bullet["number"]) != 1)):
        return None
    spaces = len(content) - len(content.lstrip(" "))
    padding = spaces if text and 1 <= spaces <= 4 else 1
    line.skip(indent + bullet.end() + min(padding, spaces))
    return _Container(width=indent + bullet.end() + padding, empty=True)


def _html(rest: str, *, interrupts: bool) -> re.Pattern[str] | None:
    """What ends the block of HTML that starts here; None when none does."""
    if not rest.startswith("<"):
        return None
    end = next((end for start, end in _HTML if start.match(rest)), None)
    if end is None and not interrupts and (tag := TAG.match(rest)) and not rest[tag.end() :].strip(" "):
        return _BLANK
    return end


def spoken_lines(body: str) -> Iterator[tuple[int, str]]:
    """The lines that start with `/` and are a person's own words, with their numbers from 1.

    Args:
        body: Markdown, with any of the three line ends of CommonMark.
    """
    comment = _Comment()
    for number, raw in enumerate(body.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        comment.read(number, raw)
    comment.close(0)
    return iter(comment.spoken)
