"""The local images that a Markdown text shows: where they are named, and what kind of file they are."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from mlbot.core.record import Count, Record

MAX_IMAGE = 10 * 1024 * 1024
"""Bytes of one image: GitHub shows none that is larger."""
MAX_IMAGES = 50 * 1024 * 1024
"""Bytes of all images of a comment."""

_FENCE = re.compile(r" {0,3}(?P<bar>`{3,}|~{3,})")
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
        found = _FENCE.match(line)
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
