"""A version of a model: its three numbers, perhaps of a pre-release, and the bytes that it names."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from mlbot.errors import UsageError
from mlbot.lib.record import Count, Digest, Record

NUMBER = "(?:0|[1-9][0-9]*)"

_PART = "(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"

PRE = rf"{_PART}(?:\.{_PART})*"
"""What stands behind the hyphen of a pre-release, as https://semver.org has it: `rc.1`."""

VersionText = Annotated[str, StringConstraints(max_length=60, pattern=rf"^{NUMBER}\.{NUMBER}\.{NUMBER}(?:-{PRE})?$")]
"""A version without its `v`: `1.2.0`, `1.2.0-rc.1`."""

_VERSION = re.compile(rf"v?({NUMBER})\.({NUMBER})\.({NUMBER})(?:-({PRE}))?")

MOST_CHARACTERS = 400

MOST_DIGITS = 18

MOST_PRE = 30  # characters of what makes a version a pre-release

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


def is_prerelease(version: str) -> bool:
    """Whether a version's text is that of a pre-release."""
    return "-" in version


def order_of(numbers: tuple[int, int, int], pre: str = "") -> tuple[Any, ...]:
    """Sorts older before newer, as semver has it: a pre-release comes before its release, `rc.2` before `rc.10`."""
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".") if part)
    return *numbers, not pre, parts


class Version(Record):
    """A semantic version without build metadata: it names the bytes alone."""

    major: Count
    minor: Count
    patch: Count
    pre: str = ""  # of a pre-release: `rc.1`

    @classmethod
    def parse(cls, text: str) -> "Version":
        """A version with or without its `v`; raises `UsageError` if it is none."""
        found = _VERSION.fullmatch(text) if len(text) < MOST_CHARACTERS else None
        if found is None or not is_short(*found.groups()[:3], pre=found[4] or ""):
            hint = "Write three numbers, such as v1.2.0; of a pre-release v1.2.0-rc.1."
            raise UsageError(f"{text[:60]!r} is no version", hint=hint)
        major, minor, patch = map(int, found.groups()[:3])
        return cls.of((major, minor, patch), found[4] or "")

    @classmethod
    def of(cls, numbers: tuple[int, int, int], pre: str = "") -> "Version":
        """A version from its three numbers, and what makes it a pre-release."""
        major, minor, patch = numbers
        return cls(major=major, minor=minor, patch=patch, pre=pre)

    @property
    def text(self) -> VersionText:
        """Without the `v`, as the ledger has it: `1.2.0`."""
        return text_of((self.major, self.minor, self.patch), self.pre)

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts older before newer."""
        return order_of((self.major, self.minor, self.patch), self.pre)

    def bump(self, part: Bump) -> "Version":
        """The next release after this one; after a pre-release its own release, where that counts up as much."""
        pre = bool(self.pre)
        match part:
            case "major":
                return Version.of((self.major + (not (pre and self.minor == self.patch == 0)), 0, 0))
            case "minor":
                return Version.of((self.major, self.minor + (not (pre and self.patch == 0)), 0))
            case "patch":
                return Version.of((self.major, self.minor, self.patch + (not pre)))

    def __str__(self) -> str:
        """With the `v`, as tags and people write it: `v1.2.0`."""
        return f"v{self.text}"

    def __lt__(self, other: "Version") -> bool:
        return self.order < other.order


def text_of(numbers: tuple[int, int, int], pre: str = "") -> str:
    """A version's text without its `v`."""
    major, minor, patch = numbers
    return f"{major}.{minor}.{patch}-{pre}" if pre else f"{major}.{minor}.{patch}"


def is_short(*numbers: str, pre: str) -> bool:
    """Whether no number of a version has too many digits, and its text is not too long."""
    every = [*numbers, *(part for part in pre.split(".") if part.isdigit())]
    return max(map(len, every)) <= MOST_DIGITS and len(pre) <= MOST_PRE


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
