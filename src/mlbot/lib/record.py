"""Records that cross a module's border, their one JSON form and digest, and decisions."""

import hashlib
import json
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

Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
"""A git object id, whole."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""A name a person gave: letters, digits, `.`, `_`, `-`; so it is safe in a ref, a path and a comment."""

Count = Annotated[int, Field(ge=0)]


class FileDigest(Record):
    """A file by its bytes: the base of every record of one."""

    digest: Digest
    size_bytes: Count


Seconds = Annotated[float, Field(ge=0)]

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
    go: bool
    """Whether it is done."""
    refused: bool
    """Whether it is refused; where there is nothing to do, it is neither."""


def first_refusal(checks: Iterable[tuple[ReasonT, bool]]) -> ReasonT | None:
    """The reason of the first check that does not hold. What comes after it is not looked at, and may rely on it."""
    return next((reason for reason, fails in checks if fails), None)


def decide(
    kind: type[Decision[ReasonT]],
    checks: Iterable[tuple[ReasonT, bool]],
    go: ReasonT,
    done: Collection[ReasonT] = (),
) -> Decision[ReasonT]:
    """A decision of a kind: the reason of the first check that fails, else `go`.

    `done` are the reasons that say that there is nothing to do.
    """
    refusal = first_refusal(checks)
    return kind(reason=refusal or go, go=refusal is None, refused=refusal is not None and refusal not in done)
