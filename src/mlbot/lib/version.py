"""A version of a model: its three numbers, and the bytes that it names."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import StringConstraints

from mlbot.errors import UsageError
from mlbot.lib.record import Count, Digest, Record

VersionText = Annotated[
    str, StringConstraints(max_length=60, pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$")
]
"""A version without its `v`: `1.2.0`."""

NUMBER = "(?:0|[1-9][0-9]*)"

_VERSION = re.compile(rf"v?({NUMBER})\.({NUMBER})\.({NUMBER})")

MOST_CHARACTERS = 400

MOST_DIGITS = 18

Bump = Literal["patch", "minor", "major"]


def name_of(model: str, version: str) -> str:
    """A version as people write it: `adult-income@v1.2.0`."""
    return f"{model}@v{version}"


def truncate_login(actor: str) -> str:
    """A person in a sentence."""
    return actor if len(actor) <= 60 else f"{actor[:59]}…"


def shorten(digest: Digest | None) -> str:
    """A digest in a sentence."""
    return digest[:19] if digest else "no digest"


class Version(Record):
    """A semantic version without pre-releases: what is released was judged, so there is nothing before it."""

    major: Count
    minor: Count
    patch: Count

    @classmethod
    def parse(cls, text: str) -> "Version":
        """A version with or without its `v`; raises `UsageError` if it is none."""
        found = _VERSION.fullmatch(text) if len(text) < MOST_CHARACTERS else None
        if found is None or max(map(len, found.groups())) > MOST_DIGITS:
            raise UsageError(f"{text[:60]!r} is no version", hint="Write three numbers, such as v1.2.0.")
        major, minor, patch = map(int, found.groups())
        return cls.of((major, minor, patch))

    @classmethod
    def of(cls, numbers: tuple[int, int, int]) -> "Version":
        """A version from its three numbers."""
        major, minor, patch = numbers
        return cls(major=major, minor=minor, patch=patch)

    @property
    def text(self) -> VersionText:
        """Without the `v`, as the ledger has it: `1.2.0`."""
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts older before newer."""
        return self.major, self.minor, self.patch

    def bump(self, part: Bump) -> "Version":
        """The next version after this one."""
        match part:
            case "major":
                return Version.of((self.major + 1, 0, 0))
            case "minor":
                return Version.of((self.major, self.minor + 1, 0))
            case "patch":
                return Version.of((self.major, self.minor, self.patch + 1))

    def __str__(self) -> str:
        """With the `v`, as tags and people write it: `v1.2.0`."""
        return f"v{self.text}"

    def __lt__(self, other: "Version") -> bool:
        return self.order < other.order


class Served(Record):
    """A version and its bytes; also the base of every record that is about both."""

    version: VersionText
    digest: Digest  # sha256 of the model file


def served_of(record: Served) -> Served:
    """Version and bytes of a record that says more."""
    return Served(version=record.version, digest=record.digest)


class Stored(StrEnum):
    """What the store has under a digest."""

    VERIFIED = "verified"  # the very bytes: their sha256 was computed anew
    MISSING = "missing"
    DIFFERS = "differs"  # other bytes than the digest names
