"""The local images that a Markdown text shows: where they are named, and what kind of file they are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from urllib.parse import unquote

from mlbot.errors import UsageError
from mlbot.events.github import Attempt, Id
from mlbot.lib.record import Count, Record, Sha
from mlbot.protocol.marker import Stamp, marker, stamped
from mlbot.protocol.operations import COMMENT_LIMIT

# A person's Markdown as a comment that stays current: where it goes, by which marker, and cut to what GitHub takes.

_TARGET = re.compile(r"(?P<kind>auto|pr|commit|issue)(?:/(?P<which>[^\s]+))?")

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class Kind(StrEnum):
    """What a comment is on."""

    AUTO = "auto"
    """The pull request, else the commit."""
    PULL_REQUEST = "pr"
    COMMIT = "commit"
    ISSUE = "issue"


class Target(Record):
    """Where a comment is to go, as a person says it."""

    kind: Kind = Kind.AUTO
    number: Id | None = None
    """Of the pull request or issue; None: the one that this is about."""
    commit: str | None = None
    """A revision; None: the head."""


class Destination(Record):
    """Where a comment goes: an issue or pull request by its number, or a commit."""

    number: Id | None = None
    sha: Sha | None = None


def parse_target(text: str) -> Target:
    """Read `auto`, `pr`, `pr/12`, `commit`, `commit/REV`, `issue` or `issue/12`.

    Raises:
        UsageError: it is none of these.
    """
    found = _TARGET.fullmatch(text.strip())
    kind, which = (Kind(found["kind"]), found["which"]) if found else (Kind.AUTO, None)
    numbered = kind in {Kind.PULL_REQUEST, Kind.ISSUE} and which is not None
    if found is None or (kind is Kind.AUTO and which) or (numbered and not _is_number(which or "")):
        raise UsageError(
            f"there is no target {text!r}",
            where="--target",
            hint="Write pr, commit or issue, or one of them with its number or SHA: pr/12, commit/1a2b3c4, issue/7.",
        )
    if numbered:
        return Target(kind=kind, number=int(which or ""))
    return Target(kind=kind, commit=which)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,17}", text) is not None


def label_marker(title: str) -> str:
    """The marker of a person's comment: comments of two titles do not replace each other."""
    return marker("any", title or "default", "comment")


def body_of(text: str, title: str, *, attempt: Attempt | None = None, head: Sha | None = None, more: str = "") -> str:
    """The comment, whole: the text, cut if it must be, and the hidden line by which it is found again.

    Args:
        text: Markdown.
        title: the label.
        attempt: of the job that writes, so that an older one never replaces a newer one's words.
        head: of the pull request, likewise.
        more: where the whole text is, for the line that tells of a cut.
    """
    own = label_marker(title)
    last = stamped(own, Stamp(attempt=attempt, head=head)) if attempt and head else own
    return f"{_fitting(text.rstrip(), COMMENT_LIMIT - _length(last) - 2, more)}\n\n{last}"


def cml_arguments(file: str, target: str, title: str, *, images: bool) -> list[str]:
    """What CML's command is given to do the same where the forge is not GitHub.

    Left alone CML uploads local images to a public server of its makers, and writes the whole text anew by a parser
    that knows neither tables nor alerts. So images go to the project itself, and a text without any stays as it is.

    Args:
        file: a Markdown file.
        target: as `parse_target` reads it.
        title: the label.
        images: whether it shows local images.
    """
    given = [
        "--publish-native" if images else "--no-publish",
        *([f"--target={target}"] if target != Kind.AUTO else []),
        *([f"--watermark-title={title}"] if title else []),
    ]
    return ["comment", "update", *given, f"./{file}" if file.startswith("-") else file]


def _fitting(text: str, limit: int, more: str) -> str:
    """The text, or as many of its blocks from the top as fit, and a line that says so."""
    if _length(text) <= limit:
        return text
    where = f" The whole is in {more}." if more else ""
    note = f"\n\n_The rest is left out: a comment holds {COMMENT_LIMIT:,} characters.{where}_"
    left = limit - _length(note)
    kept: list[str] = []
    for block in _blocks(text.splitlines()):
        cost = _length("\n".join(block)) + 2
        if cost > left:
            break
        kept.append("\n".join(block))
        left -= cost
    return "\n\n".join(kept) + note if kept else _cut(text, limit - _length(note)) + note


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Paragraphs, tables, lists and fenced blocks: what stands between empty lines outside of fences."""
    block: list[str] = []
    bar = ""
    for line in lines:
        found = _FENCE.match(line)
        if found and not bar:
            bar = found[1]
        elif found and found[1].startswith(bar):
            bar = ""
        if line.strip() or bar:
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _cut(text: str, limit: int) -> str:
    """One huge block, cut at a line; a fence that is open is closed."""
    found = _FENCE.match(text)
    end = f"\n{found[1]}" if found else ""
    head = text.encode("utf-16-le")[: 2 * max(0, limit - _length(end))].decode("utf-16-le", "ignore")
    return (head.rpartition("\n")[0] or head) + end


def _length(text: str) -> int:
    """In UTF-16 units, the strictest way to count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


MAX_IMAGE = 10 * 1024 * 1024
"""Bytes of one image: GitHub shows none that is larger."""

MAX_IMAGES = 50 * 1024 * 1024
"""Bytes of all images of a comment."""

_CODE_FENCE = re.compile(r" {0,3}(?P<bar>`{3,}|~{3,})")

# Every repetition is bounded: a pattern that may look to the end from each place takes minutes on a strange text.
_PATH = r"(?:<[^<>\n]{1,500}>|[^\s()<>]{0,500}(?:\([^\s()]{0,100}\)[^\s()<>]{0,500}){0,4})"

_SHOWN = re.compile(
    rf"""(?P<code>`{{1,9}})(?!`).{{0,500}}?(?<!`)(?P=code)(?!`)     # code is text, not an image
    |!\[(?:[^\[\]\\]|\\.|\[[^\[\]]{{0,100}}\]){{0,500}}\]\(\s{{0,9}}(?P<inline>{_PATH})   # ![alt](path "title")
    |<(?:img|source)\b[^<>]{{0,500}}?\s(?:src|srcset)\s{{0,9}}=\s{{0,9}}["'](?P<html>[^"'\n]{{1,500}})["']
    """,
    re.VERBOSE | re.IGNORECASE,
)

_DEFINED = re.compile(rf" {{0,3}}\[[^\]\n]+\]:\s*(?P<path>{_PATH})")

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#|$")

_NAMES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")

_PROLOGUE = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!DOCTYPE", b">"))
"""What may stand before an SVG's first element, by how it starts and ends."""


class ImageLink(Record):
    """A place in a text that names a local image."""

    start: Count
    end: Count
    path: str
    """As a file's name: unescaped."""


def local_images(text: str) -> tuple[ImageLink, ...]:
    """Every place that names a local image, in the text's order; code blocks and code spans name none."""
    return tuple(
        ImageLink(start=start + found.start(group), end=start + found.end(group), path=path)
        for start, line in _lines_outside_code(text)
        for found, group in _links(line)
        if (path := _local(found[group]))
    )


def with_addresses(text: str, links: tuple[ImageLink, ...], addresses: Mapping[str, str]) -> str:
    """The text with each local image by its address."""
    parts, at = [], 0
    for link in links:
        parts += [text[at : link.start], addresses[link.path]]
        at = link.end
    return "".join([*parts, text[at:]])


def image_suffix(content: bytes) -> str | None:
    """What a file is by its content, as the suffix of its name; None when it is no image that GitHub shows."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if content.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return ".svg" if _is_svg(content[:65_536].removeprefix(b"\xef\xbb\xbf").lstrip()) else None


def _is_svg(rest: bytes) -> bool:
    while not rest.startswith(b"<svg"):
        end = next((end for start, end in _PROLOGUE if rest.startswith(start)), None)
        if end is None:
            return False
        rest = rest.partition(end)[2].lstrip()
    return rest[4:5].isspace() or rest[4:5] == b">"


def _lines_outside_code(text: str) -> Iterator[tuple[int, str]]:
    """Each line that is not in a fenced block, with its place in the text."""
    at, bar = 0, ""
    for line in text.splitlines(keepends=True):
        found = _CODE_FENCE.match(line)
        if bar:
            closes = found and found["bar"].startswith(bar) and not line[found.end() :].strip()
            bar = "" if closes else bar
        elif found:
            bar = found["bar"]
        else:
            yield at, line
        at += len(line)


def _links(line: str) -> Iterator[tuple[re.Match[str], str]]:
    if defined := _DEFINED.match(line):
        if defined["path"].strip("<>").lower().endswith(_NAMES):
            yield defined, "path"
        return
    for found in _SHOWN.finditer(line):
        if not found["code"]:
            yield found, "inline" if found["inline"] is not None else "html"


def _local(written: str) -> str:
    """The file that a link names; empty for what is elsewhere."""
    path = written.removeprefix("<").removesuffix(">").strip()
    return "" if _ELSEWHERE.match(path) else unquote(path)
