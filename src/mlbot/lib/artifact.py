"""What is judged and ships: a file or a folder of any format, by digest.

A file has the sha256 of its bytes. A folder has that of its listing, which names each file with its own digest: so a
store that holds bytes by digest holds a folder as its listing and the files that this names.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import Field, TypeAdapter, ValidationError

from mlbot.lib.record import Digest, FileDigest, canonical, digest
from mlbot.lib.tree import shown
from mlbot.lib.untrusted_json import HostileJsonError, load

LISTING = b"mlbot-tree-v1\n"
"""How a folder's listing begins, and no file may: else a file could have the digest of a folder."""
MOST_FILES = 10_000
MOST_DEPTH = 16
MOST_PATH = 1_024  # bytes
MOST_NAME = 255  # bytes, as file systems have it
MOST_LISTING = 16 << 20
"""Bytes of the longest listing that is read; of one that is written too, so that it can be read again."""
MODEL_FILE: Final = "model.onnx"
ANY_FILE: Final = "artifact"
"""What a file or folder is called where it has no name of its own: a model that mlbot asks itself, and any other."""


class Unfit(StrEnum):
    """Why a file or folder is no artifact. A closed list."""

    MISSING = "missing"
    LINK = "link"
    SPECIAL = "special-file"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    EMPTY_FOLDER = "empty-folder"
    TOO_LARGE = "too-large"
    TOO_MANY = "too-many-files"
    TOO_DEEP = "too-deep"
    NAME = "bad-name"
    TWINS = "names-alike"
    LISTING = "looks-like-a-listing"
    NOT_A_LISTING = "not-a-listing"


class UnfitError(ValueError):
    """A file or folder that is no artifact; a clause that says why."""

    def __init__(self, why: Unfit, what: str) -> None:
        super().__init__(what)
        self.why = why
        self.what = what


class Member(FileDigest):
    """One file of a folder."""

    path: str
    executable: bool = False


@dataclass(frozen=True)
class Listing:
    """The files of a folder in the order of their paths' bytes; `of` and `read` give none that is unfit."""

    members: tuple[Member, ...]

    @classmethod
    def of(cls, members: Iterable[Member]) -> Self:
        """The listing of these files, whatever their order. Raises `UnfitError`."""
        found = tuple(sorted(members, key=lambda each: each.path.encode("utf-8", "surrogateescape")))
        check_paths(each.path for each in found)
        return cls(found)

    @classmethod
    def read(cls, content: bytes) -> Self:
        """What a listing says: byte for byte as mlbot writes it. Raises `UnfitError`."""
        try:
            load(content.removeprefix(LISTING), "the listing", most_bytes=MOST_LISTING)
            rows = _ROWS.validate_json(content.removeprefix(LISTING))
            found = cls.of(Member(path=row[0], digest=row[1], size_bytes=row[2], executable=row[3]) for row in rows)
        except (HostileJsonError, ValidationError):
            raise UnfitError(Unfit.NOT_A_LISTING, "its listing cannot be read") from None
        if found.document != content:
            raise UnfitError(Unfit.NOT_A_LISTING, "its listing is not written as mlbot writes it")
        return found

    @cached_property
    def document(self) -> bytes:
        """The listing as the bytes whose sha256 is the folder's digest."""
        rows = [[each.path, each.digest, each.size_bytes, each.executable] for each in self.members]
        return LISTING + canonical(rows).encode()

    @cached_property
    def digest(self) -> Digest:
        """The folder's digest."""
        return digest(self.document)

    @property
    def size_bytes(self) -> int:
        """Of all its files together."""
        return sum(each.size_bytes for each in self.members)

    @property
    def blobs(self) -> dict[Digest, int]:
        """The size of each different file by its digest."""
        return {each.digest: each.size_bytes for each in self.members}


_ROWS = TypeAdapter(
    Annotated[
        list[tuple[str, Digest, Annotated[int, Field(ge=0, strict=True)], Annotated[bool, Field(strict=True)]]],
        Field(max_length=MOST_FILES),
    ]
)


def checked_path(path: str) -> str:
    """A relative path in Unicode's composed form (NFC). Raises `UnfitError` for one that no disk or store takes."""
    try:
        raw = unicodedata.normalize("NFC", path).encode()
    except UnicodeEncodeError:
        raise UnfitError(Unfit.NAME, f"the name {shown(path)} is no UTF-8") from None
    parts = path.split("/")
    if path.startswith("/") or any(part in {"", ".", ".."} for part in parts) or "\\" in path:
        raise UnfitError(Unfit.NAME, f"{shown(path)} is no path inside the folder")
    if any(unicodedata.category(letter) in _INVISIBLE for letter in path):
        raise UnfitError(Unfit.NAME, f"the name {shown(path)} has control characters or invisible ones")
    if len(raw) > MOST_PATH or any(len(part.encode()) > MOST_NAME for part in raw.decode().split("/")):
        raise UnfitError(Unfit.NAME, f"the name {shown(path)[:80]}… is too long")
    if len(parts) > MOST_DEPTH:
        raise UnfitError(Unfit.TOO_DEEP, f"its folders are nested deeper than {MOST_DEPTH}")
    return raw.decode()


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_paths(paths: Iterable[str]) -> None:
    """Raise `UnfitError` unless these are paths that can lie beside each other in one folder, on any disk."""
    known: dict[str, tuple[str, bool]] = {}
    count = 0
    for path in paths:
        count += 1
        if count > MOST_FILES:
            raise UnfitError(Unfit.TOO_MANY, f"it has more than {MOST_FILES:,} files")
        if checked_path(path) != path:
            raise UnfitError(Unfit.NAME, f"the name {shown(path)} is not in Unicode's composed form (NFC)")
        for step, is_file in _steps(path):
            # A disk may know no case: then one of the two would take the other's place.
            other = known.get(_folded(step))
            if other is None:
                known[_folded(step)] = (step, is_file)
            elif is_file or other != (step, False):
                raise UnfitError(Unfit.TWINS, f"{shown(other[0])} and {shown(step)} are one name on some disks")
    if not count:
        raise UnfitError(Unfit.EMPTY, "the folder is empty")


def _steps(path: str) -> Iterator[tuple[str, bool]]:
    """The folders on the way to a file, and the file."""
    ends = (at for at, letter in enumerate(path) if letter == "/")
    yield from ((path[:end], False) for end in ends)
    yield path, True


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def size_shown(size: int) -> str:
    """A size as a person writes it in mlbot.yaml: `256MiB`, `2GB`; else in bytes."""
    units = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6}
    found = (f"{size // unit}{name}" for name, unit in units.items() if size and size % unit == 0)
    return next(found, f"{size:,} bytes")
