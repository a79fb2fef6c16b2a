"""The change to a file of parameters that commits what a trial tried: of the text itself, so that comments stay.

Only the values are replaced, each at its place. Whoever calls this reads the new text again, and keeps it only when it
says just what was meant: anchors, block texts and whatever else is not understood here come out as no change at all.
"""

import difflib
import json
import re
from collections.abc import Iterator
from decimal import Decimal

from mlbot.config.errors import Document, Position
from mlbot.config.params import positions
from mlbot.lib.record import Params, Scalar, resolve

_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./+-]*[A-Za-z0-9_])?")  # text that needs no quotes anywhere
_OLD_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})
"""Words that some reader of YAML takes for no text (YAML 1.1, https://yaml.org/type/bool.html)."""

_QUOTED = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"|\'(?:[^\'\n]|\'\')*\'')

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

_LONGEST_PLACES = 15

_MOST_LINE = 400

_MOST = 8000


def edited(text: str, document: Document, changes: Params, *, is_json: bool = False) -> str | None:
    """The text with other values.

    Args:
        text: The file's, as it was read.
        document: What it holds, with the places of its values.
        changes: New values by the parameters' names.
        is_json: Whether values are to be written as JSON does.

    Returns:
        The new text, to be read again before it is believed; None where a value's place is not plain to see.
    """
    known, lines = positions(document), text.split("\n")
    added: Params = {}
    places: list[tuple[Position, Scalar]] = []
    for name, value in changes.items():
        if name not in known:
            added[name] = value
            continue
        places.append((known[name], value))
    for place, value in sorted(places, key=lambda each: each[0], reverse=True):
        if not _replace(lines, place, value, is_json=is_json):
            return None
    if not added:
        return "\n".join(lines)
    return None if is_json else _with_added("\n".join(lines), added)


def unified(before: str, after: str, path: str) -> str:
    """The change as `git apply` takes it; empty where it is too long to be shown, or not all of it can be seen."""
    old, new = (text.replace("\r\n", "\n").splitlines(keepends=True) for text in (before, after))
    found = "".join(map(_ended, difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))).rstrip("\n")
    return found if len(found) <= _MOST and all(map(_is_shown, found.split("\n"))) else ""


def _is_shown(line: str) -> bool:
    """Whether a line can be printed as it is: what reorders or hides text must not be copied from a report."""
    return len(line) <= _MOST_LINE and line.replace("\t", " ").isprintable()


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _replace(lines: list[str], place: Position, value: Scalar, *, is_json: bool) -> bool:
    """Put a value where another one is; False where that one is not plain to see."""
    row, start = place.line - 1, place.column - 1
    if row >= len(lines) or not (token := _token(lines[row], start)):
        return False
    quoted = token[0] if token[0] in "\"'" else ""
    written = json.dumps(value, ensure_ascii=False) if is_json else _written(value, quoted)
    lines[row] = f"{lines[row][:start]}{written}{lines[row][start + len(token) :]}"
    return True


def _token(line: str, start: int) -> str:
    """The scalar that starts at a column; empty for what is none on one line."""
    if found := _QUOTED.match(line, start):
        return found[0]
    rest = line[start:]
    if not rest or rest[0] in "|>&*!\"'[{#":
        return ""
    end = len(rest)
    for sign in (" #", ",", "}", "]", "\r"):  # in a block, text may hold the brackets: reading again will tell
        if (at := rest.find(sign)) >= 0:
            end = min(end, at)
    return rest[:end].rstrip()


def _written(value: Scalar, quoted: str = "") -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return _decimal(value)
        case int():
            return str(value)
        case str():
            return _text(value, quoted)


def _decimal(value: float) -> str:
    """A number that every reader of YAML takes for a float: YAML 1.1 knows no `1e-05`."""
    plain = format(Decimal(repr(value)), "f")
    if len(plain) <= _LONGEST_PLACES:
        return plain if "." in plain else f"{plain}.0"
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return repr(value)
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{exponent if exponent[0] in '+-' else f'+{exponent}'}"


def _text(value: str, quoted: str) -> str:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _OLD_YAML and isinstance(resolve(value), str)
    if quoted == "'" and "'" not in value and value.isprintable():
        return f"'{value}'"
    return value if plain and not quoted else json.dumps(value, ensure_ascii=False)


def _with_added(text: str, added: Params) -> str | None:
    """The text with more parameters at its end; None where one belongs inside another."""
    if not all(_NAME.fullmatch(name) for name in added):
        return None
    start = text if not text or text.endswith("\n") else f"{text}\n"
    return start + "".join(_lines(added))


def _lines(params: Params) -> Iterator[str]:
    return (f"{name}: {_written(value)}\n" for name, value in params.items())
