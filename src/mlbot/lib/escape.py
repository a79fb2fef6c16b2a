"""Text from outside made harmless for Markdown, HTML, the terminal and scripts.

A report quotes what strangers chose: branch names, metric names, errors, logs. Whatever they wrote has to come out as
the text they wrote, never as markup, a link, a mention or a command to the terminal.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any

from mlbot.lib.constants import DESCRIPTION_LIMIT

_BREAK = "\N{ZERO WIDTH SPACE}"

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # categories of characters that are not seen
_BLANKS = "\N{HANGUL FILLER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}\N{HALFWIDTH HANGUL FILLER}"

_COMMIT = re.compile(r"(?i)(?<![0-9a-z])[0-9a-f]{7,}(?![0-9a-z])")

_MARKUP = re.compile(r"([\\`*_{}\[\]#!~^])")

_BLOCK_START = re.compile(r"^([+=-](?=[\s+=-]|$)|\d+(?=[.)](?:\s|$)))")

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "$": "&#36;"})

_LINKS = (
    re.compile(r"(@)"),  # mentions, e-mail addresses, owner/repo@commit
    re.compile(r"(#)(?=\w)"),  # issues
    re.compile(r"(?i)(gh-)(?=\d)"),  # issues again
    re.compile(r"(?i)(:)(?=//)"),  # addresses
    re.compile(r"(?i)(www)(?=\.)"),
    re.compile(r"(?i)((?:mailto|xmpp):)"),
    re.compile(r"(?i)(:)(?=[a-z0-9_+-]+:)"),  # emoji
)

_PLAIN = re.compile(r"[A-Za-z0-9 ._/:@=,+()\[\]<>-]+")

_LONGEST = 600
_LOOKED_AT = 16  # of a text that is shown, so many times as many characters


def clean(text: object, longest: int = _LONGEST) -> str:
    """One visible line: no control, bidi, zero-width or unassigned characters, runs of space folded, cut at `longest`.

    Characters that would vanish or reorder what stands beside them (Boucher and Anderson, "Trojan Source", 2021) are
    shown as the replacement character.
    """
    whole = str(text)
    head = whole[: _LOOKED_AT * longest]  # a cell of a table may have megabytes, and is shown in many places
    spaced = "".join(" " if char.isspace() else char for char in head)
    seen = (_REPLACEMENT if unicodedata.category(char) in _HIDDEN or char in _BLANKS else char for char in spaced)
    line = " ".join("".join(seen).split())
    fits = len(line) <= longest and len(head) == len(whole)
    return line if fits else f"{line[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def is_clean(text: str) -> bool:
    """Whether a text is visible as it is, but for runs of spaces: known without a look at each character."""
    return len(text) <= _LONGEST and text.isprintable() and (text.isascii() or not any(map(text.count, _BLANKS)))


@lru_cache(maxsize=4096, typed=True)  # a report names the same metrics, slices and figures again and again
def md(text: object) -> str:
    """Text for Markdown, in a paragraph or a table's cell alike.

    Where text has nothing to see, an invisible character stands for it: `**` around nothing would be two asterisks.
    """
    line = _MARKUP.sub(r"\\\1", _unlinked(clean(text))).translate(_ENTITIES)
    return _BLOCK_START.sub(_defuse, line) or _BREAK * bool(text)


def _unlinked(line: str) -> str:
    """With an invisible break in everything that GitHub would make a link, a mention or a picture of."""
    line = _COMMIT.sub(_broken, line)
    for pattern in _LINKS:
        line = pattern.sub(rf"\1{_BREAK}", line)
    return line


def _broken(commit: re.Match[str]) -> str:
    """Groups of six digits: GitHub links seven and more."""
    digits = commit.group()
    return _BREAK.join(digits[start : start + 6] for start in range(0, len(digits), 6))


def _defuse(start: re.Match[str]) -> str:
    """A list or a ruler at the start of a line: a backslash before a sign, an invisible break behind a number."""
    text = start.group()
    return f"{text}{_BREAK}" if text.isdigit() else f"\\{text}"


# Keys of mlbot.yaml, with or without a value, as the words of templates name them: no other text becomes code.
_CODE = re.compile(
    r"`([a-z_]+(?:\.[a-z_]+)?(?:: (?:[a-z0-9]+(?:\.[0-9]+)?|\{[^`{}\n]{1,200}\}))?|\{[a-z_]+: [^`{}\n]{1,200}\})`"
)

_TICKED = re.compile(r"`([^`\n]{1,200})`")  # in HTML nothing else has a meaning once it is escaped


def prose(text: object) -> str:
    """Sentences for Markdown: a key of mlbot.yaml between backticks is code, all else as `md`."""
    return "".join(code(part) if index % 2 else _edged(part, md) for index, part in enumerate(_CODE.split(clean(text))))


def html_prose(text: object) -> str:
    """Sentences for HTML: what is between backticks is code, all else as `html`."""
    parts = enumerate(_TICKED.split(clean(text)))
    return "".join(f"<code>{html(part)}</code>" if index % 2 else _edged(part, html) for index, part in parts)


def _edged(part: str, escaped: Callable[[object], str]) -> str:
    """A piece of a sentence with the spaces at its ends, which the escapes fold away."""
    return (
        f"{' ' * part.startswith(' ')}{escaped(part)}{' ' * (part.endswith(' ') and bool(part.strip()))}"
        if part
        else ""
    )


def md_after(text: object) -> str:
    """As `md` for text that follows other text: a space at its start stays."""
    return f" {md(text)}" if str(text).startswith(" ") else md(text)


def num(text: object) -> str:
    """A written figure for a cell: it does not break over lines."""
    return md(text).replace(" ", "\N{NO-BREAK SPACE}")


def code(text: object) -> str:
    """Text as code in Markdown: a code span where that is safe, else the element with escaped text in it."""
    line = clean(text)
    if _PLAIN.fullmatch(line) and line == line.strip():
        return f"`{line}`"
    return f"<code>{md(line) or '&nbsp;'}</code>"


def fence(lines: tuple[str, ...], most: int = 40) -> str:
    """The last lines of a log as a fenced block whose fence no line can close."""
    body = [clean_keeping_indent(line) for line in lines[-most:]]
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    bar = "`" * max(3, longest + 1)
    return "\n".join((f"{bar}text", *body, bar))


def diff(text: str) -> str:
    """A change as a fenced block, character for character; that all of it can be seen is for the caller to know."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}diff\n{text}\n{bar}"


def clean_keeping_indent(line: str) -> str:
    """As `clean`, with the spaces at the start of the line kept: a traceback is read by them."""
    indent = len(line) - len(line.lstrip(" "))
    return f"{' ' * min(indent, 40)}{clean(line)}"


def inner(text: object) -> str:
    """Text in an HTML element within Markdown (`summary`): no Markdown is read there, but mentions are made."""
    return escape(_unlinked(clean(text)), quote=True)


def html(text: object) -> str:
    """Text for HTML, in an element or a quoted attribute."""
    return escape(clean(text), quote=True)


def html_after(text: object) -> str:
    """As `html` for text that follows other text: a space at its start stays."""
    return f" {html(text)}" if str(text).startswith(" ") else html(text)


def html_lines(lines: tuple[str, ...], most: int = 40) -> str:
    """The last lines of a log for a `pre` element."""
    return "\n".join(escape(clean_keeping_indent(line), quote=True) for line in lines[-most:])


def script(value: Any) -> str:
    """JSON for an HTML script element: no `<`, so neither `</script>` nor `<!--` can be in it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def url(address: str) -> str:
    """A web address for a link, or `#` where it is none."""
    return address if re.fullmatch(r"https?://[A-Za-z0-9._~:/?#@!&=+,;%-]+", address) else "#"


def one_line(text: str, longest: int = DESCRIPTION_LIMIT) -> str:
    """A text as one line of visible characters, cut at a word; length in UTF-16 units, the strictest count."""
    line = " ".join("".join(" " if unicodedata.category(char) in _HIDDEN else char for char in text).split())
    whole = line
    while len(line.encode("utf-16-le", "surrogatepass")) // 2 > longest - (line != whole):
        line = line[:-1]
    return line if line == whole else f"{line.rpartition(' ')[0] or line}\N{HORIZONTAL ELLIPSIS}"
