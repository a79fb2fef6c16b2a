"""Records that cross a module's border, their one JSON form and digest, and decisions."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from io import BufferedReader
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Record(BaseModel):
    """A frozen, keyword-only, closed record with a JSON form.

    Strict: a bool is not a number and a string is not an int. NaN and infinity are refused, so a figure that could
    not be computed has to be said as `None` with a reason beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A sha256 of bytes, written `sha256:` and 64 hexadecimal digits."""

Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]  # a git object id, whole
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""A name a person gave: letters, digits, `.`, `_`, `-`; so it is safe in a ref, a path and a comment."""

Count = Annotated[int, Field(ge=0)]


class FileDigest(Record):
    """A file by its bytes: the base of every record of one."""

    digest: Digest
    size_bytes: Count


Seconds = Annotated[float, Field(ge=0, le=1e12)]  # so that some of them together are a number still

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: object) -> str:
    """JSON with sorted keys, no spaces, ASCII alone; raises `ValueError` for NaN and infinity."""
    return _ENCODER.encode(value)


def document(value: object) -> bytes:
    """Canonical JSON as the content of a file: with a newline at the end."""
    return canonical(value).encode() + b"\n"


def digest(text: str | bytes) -> Digest:
    """sha256 of a text (names that are no UTF-8 go in as the bytes they are) or of bytes."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def digest_of_stream(stream: BufferedReader) -> Digest:
    """sha256 of what is left in a file."""
    return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


ReasonT = TypeVar("ReasonT", bound=StrEnum)


class Decision(Record, Generic[ReasonT]):
    """What was decided and why; the words are in the template of the reasons."""

    reason: ReasonT
    go: bool  # whether it is done
    refused: bool  # whether it is refused; where there is nothing to do, it is neither


def first_refusal(checks: Iterable[tuple[ReasonT, bool]]) -> ReasonT | None:
    """The reason of the first check that does not hold. What comes after it is not looked at, and may rely on it."""
    return next((reason for reason, fails in checks if fails), None)


def decide(
    kind: type[Decision[ReasonT]], checks: Iterable[tuple[ReasonT, bool]], go: ReasonT, done: Collection[ReasonT] = ()
) -> Decision[ReasonT]:
    """A decision of a kind: the reason of the first check that fails, else `go`.

    `done` are the reasons that say that there is nothing to do.
    """
    refusal = first_refusal(checks)
    return kind(reason=refusal or go, go=refusal is None, refused=refusal is not None and refusal not in done)


# What a plain scalar of YAML means: YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema).
# YAML 1.1 reads `on`, `yes` and `no` as booleans, 12:30 as 750 and 2024-01-01 as a date. Here they stay text.

Scalar = bool | int | float | str | None

Params = dict[str, Scalar]  # parameters of a training by name; nested tables are flattened with dots
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

# No leading zeros: YAML 1.1 reads 010 as eight and YAML 1.2 as ten, so it stays the text that was written.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")

_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")

_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")

_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")

_MAX_DIGITS = 64  # longer numbers stay text: Python refuses to read them above 4,300 digits, and nobody means them


def resolve(text: str) -> Scalar:
    """What an unquoted scalar means. Infinity and NaN come back as floats, for the reader to refuse with its place."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    number = _number(text) if len(text) <= _MAX_DIGITS else None
    return text if number is None else number


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if match := _NOT_FINITE.fullmatch(text):
        return float(match[1] + match[2])
    return float(text) if _FLOAT.fullmatch(text) and not _LEADING_ZERO.fullmatch(text) else None
