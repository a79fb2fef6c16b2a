"""JSON from strangers: caps on size, depth and numbers; duplicate keys, NaN and Infinity refused; closed schema.

Python's own parser takes `NaN`, keeps the last of two equal keys and recurses as deep as it is told to, so two readers
of one file may see different things. What passes here has one reading.
"""

import json
import math
import re
from typing import Any, Never, TypeVar

from pydantic import BaseModel, ValidationError

from mlbot.errors import NotEvaluatedError

MOST_BYTES = 1_000_000

MOST_DEPTH = 32

_LONGEST_NUMBER = 40

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""Strings, so that brackets in them do not count, and brackets.

A string that never ends is taken to the end: were it no match, each quote in it would be tried again.
"""

R = TypeVar("R", bound=BaseModel)


class HostileJsonError(NotEvaluatedError):
    """A JSON file from outside that is refused. Its words are never repeated."""


def load(raw: bytes, what: str, *, most_bytes: int = MOST_BYTES, most_depth: int = MOST_DEPTH) -> Any:
    """The value of a JSON document, UTF-8 without a byte order mark; `what` names it in the message.

    Raises:
        HostileJsonError: if it is not JSON, too large, too deep, ambiguous or holds a number that is none.
    """
    if len(raw) > most_bytes:
        raise HostileJsonError(f"{what} has more than {most_bytes:,} bytes")
    _check_depth(raw, what, most_depth)
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short_int,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair could be written nowhere
    except HostileJsonError as error:
        raise HostileJsonError(f"{what} {error.what}") from None
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise HostileJsonError(f"{what} is not JSON in UTF-8") from None
    return value


def read(raw: bytes, record: type[R], what: str, *, most_bytes: int = MOST_BYTES, most_depth: int = MOST_DEPTH) -> R:
    """A record from its JSON; raises `HostileJsonError` as `load`, and if the record refuses it."""
    load(raw, what, most_bytes=most_bytes, most_depth=most_depth)
    try:
        return record.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise HostileJsonError(f"{what} has {_problem(error)}") from None


def _problem(error: ValidationError) -> str:
    """The first problem by its place; names that are not the schema's own are not repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return "a field that does not belong there"
    place = [str(step) for step in first["loc"] if isinstance(step, int) or re.fullmatch(r"[a-z_]{1,40}", str(step))]
    kind = "no" if first["type"] == "missing" else "an unusable"
    return f"{kind} {'.'.join(place) or 'value'}"


def _check_depth(raw: bytes, what: str, most: int) -> None:
    depth = 0
    for token in _TOKENS.finditer(raw):
        match token.group():
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
        if depth > most:
            raise HostileJsonError(f"{what} is nested more than {most} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise HostileJsonError("names a field twice")
    return made


def _no_constant(name: str) -> Never:
    del name
    raise HostileJsonError("holds NaN or Infinity")


def _finite(text: str) -> float:
    if len(text) > _LONGEST_NUMBER or not math.isfinite(value := float(text)):
        raise HostileJsonError("holds a number that is too large or too long")
    return value


def _short_int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise HostileJsonError("holds a number that is too large or too long")
    return int(text)
