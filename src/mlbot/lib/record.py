"""The base of every record that crosses a module's border."""

from typing import Annotated

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
