"""Archives from strangers: looked at before anything is unpacked, and counted while it is.

An artifact of a pull request's run may be any bytes at all, for its writer may have edited the workflow. So only files
of the expected names are taken out of it: regular ones, once each, within their sizes.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlbot.errors import NotEvaluatedError
from mlbot.lib.artifact import MODEL_FILE, MOST_LISTING
from mlbot.lib.record import Name
from mlbot.protocol.artifacts import FAILURE_FILE, FOLDER_FILE, LINEAGE_FILE

_CHUNK = 1 << 16

_END = struct.Struct("<4s4H2LH")
"""The end of central directory record (PKWARE APPNOTE 4.3.16) of an archive without a comment."""

_END_MAGIC = b"PK\x05\x06"
_LOCATOR_MAGIC = b"PK\x06\x07"
_LOCATOR_SIZE = 20
_DIRECTORY_LIMIT = 65_536
_PACK_DIRECTORY_LIMIT = 1 << 20
_LINEAGE_BYTES = 1_000_000
_FAILURE_BYTES = 262_144  # twice what the longest record comes to
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError)
"""What `zipfile` raises for bytes that are no archive, or not the one that its directory says."""


class Refusal(StrEnum):
    """Why an archive is refused. A closed list."""

    TOO_LARGE = "too-large"
    NOT_AN_ARCHIVE = "not-an-archive"
    WRONG_FILES = "wrong-files"
    DUPLICATE = "duplicate"
    NOT_A_FILE = "not-a-file"
    ENCRYPTED = "encrypted"
    UNKNOWN_METHOD = "unknown-method"
    DAMAGED = "damaged"


class ArchiveRefusedError(NotEvaluatedError):
    """An archive that is not unpacked. Names in it are a stranger's and are not repeated."""

    def __init__(self, refusal: Refusal, what: str) -> None:
        super().__init__(f"the archive is refused: {what}")
        self.refusal = refusal


def _damaged() -> ArchiveRefusedError:
    return ArchiveRefusedError(Refusal.DAMAGED, "it cannot be read to its end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an archive has to hold: exactly these files, each with the most bytes it may have.

    `beside` lets other files be there, untouched.
    """

    files: Mapping[str, int]
    archive_bytes: int
    beside: bool = False
    directory_bytes: int = _DIRECTORY_LIMIT


def packed(trainings: Mapping[Name, int], model_bytes: Mapping[Name, int]) -> Contents:
    """What a job of trainings may have uploaded of these models, each with so many seeds: each a file or a folder."""
    files = {
        f"{name}/{seed}/{file}": size
        for name, seeds in trainings.items()
        for seed in range(seeds)
        for file, size in {
            MODEL_FILE: model_bytes[name],
            FOLDER_FILE: model_bytes[name] + MOST_LISTING,
            LINEAGE_FILE: _LINEAGE_BYTES,
            FAILURE_FILE: _FAILURE_BYTES,
        }.items()
    }
    one_of_both = sum(size for name, size in files.items() if not name.endswith(f"/{MODEL_FILE}"))
    most = one_of_both + _PACK_DIRECTORY_LIMIT
    return Contents(files=files, archive_bytes=most, beside=True, directory_bytes=_PACK_DIRECTORY_LIMIT)


def unpack(archive: Path, folder: Path, contents: Contents) -> dict[str, Path]:
    """Unpack an archive into a folder that exists; the files by name. Raises `ArchiveRefusedError`.

    Nothing is written unless the whole directory of the archive is as it should be. A file that turns out longer than
    it says, or than is allowed, ends the unpacking and is removed, as are those before it.
    """
    _check_archive(archive, contents)
    written: dict[str, Path] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, contents)
            for name, member in members.items():
                written[name] = folder / name
                _extract(opened, member, folder / name, contents.files[name])
    except _UNREADABLE as error:
        _remove(written)
        raise _damaged() from error
    except BaseException:
        _remove(written)
        raise
    return written


def unpack_each(archive: Path, folder: Path, contents: Contents) -> dict[str, Path | ArchiveRefusedError]:
    """Unpack those of the wanted files that an archive has; in place of one that is refused, why.

    Raises `ArchiveRefusedError` for an archive that cannot be read, or that names a wanted file twice.
    """
    _check_archive(archive, contents)
    found: dict[str, Path | ArchiveRefusedError] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if member.filename not in contents.files:
                    continue
                if member.filename in found:
                    raise ArchiveRefusedError(Refusal.DUPLICATE, "it names a file twice")
                found[member.filename] = _unpacked(opened, member, folder, contents)
    except _UNREADABLE as error:
        raise _damaged() from error
    return found


def _unpacked(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, contents: Contents
) -> Path | ArchiveRefusedError:
    target = folder / member.filename  # one of the names that are wanted, so it stays in the folder
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _check(member, contents)
        _extract(opened, member, target, contents.files[member.filename])
    except ArchiveRefusedError as error:
        target.unlink(missing_ok=True)
        return error
    except _UNREADABLE:
        target.unlink(missing_ok=True)
        return _damaged()
    return target


def _check_archive(archive: Path, contents: Contents) -> None:
    if archive.stat().st_size > contents.archive_bytes:
        raise ArchiveRefusedError(Refusal.TOO_LARGE, f"it has more than {contents.archive_bytes:,} bytes")
    _check_directory_size(archive, contents)


def _check_directory_size(archive: Path, contents: Contents) -> None:
    """Refuse a directory of a million entries before the standard library reads it into memory.

    Only the plain form passes: no comment behind the end record and no zip64 locator before it, so that there is one
    way to read the archive.
    """
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - _END.size - _LOCATOR_SIZE))
        tail = file.read()
    if len(tail) < _END.size or tail[-_END.size :][:4] != _END_MAGIC:
        raise ArchiveRefusedError(Refusal.NOT_AN_ARCHIVE, "it is no plain ZIP archive")
    _, disk, start_disk, here, count, directory, _, comment = _END.unpack(tail[-_END.size :])
    locator = tail[: -_END.size][-_LOCATOR_SIZE:][:4]
    if locator == _LOCATOR_MAGIC or comment or disk or start_disk or here != count:
        raise ArchiveRefusedError(Refusal.NOT_AN_ARCHIVE, "it is no plain ZIP archive")
    expected = len(contents.files)
    if (count != expected and not contents.beside) or directory > contents.directory_bytes:
        raise ArchiveRefusedError(Refusal.WRONG_FILES, f"it does not hold exactly {expected} files")


def _members(opened: zipfile.ZipFile, contents: Contents) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        if contents.beside and member.filename not in contents.files:
            continue
        _check(member, contents)
        if member.filename in members:
            raise ArchiveRefusedError(Refusal.DUPLICATE, "it names a file twice")
        members[member.filename] = member
    if members.keys() != contents.files.keys():
        raise ArchiveRefusedError(Refusal.WRONG_FILES, f"it does not hold {' and '.join(contents.files)}")
    return members


def _check(member: zipfile.ZipInfo, contents: Contents) -> None:
    """One entry of the directory. `orig_filename` is what stands there: the library cuts names at a NUL."""
    allowed = contents.files.get(member.filename)
    if allowed is None or member.orig_filename != member.filename:
        raise ArchiveRefusedError(Refusal.WRONG_FILES, f"it holds other files than {' and '.join(contents.files)}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG} or member.is_dir():
        raise ArchiveRefusedError(Refusal.NOT_A_FILE, f"{member.filename} is no regular file")
    if member.flag_bits & _ENCRYPTED:
        raise ArchiveRefusedError(Refusal.ENCRYPTED, f"{member.filename} is encrypted")
    if member.compress_type not in _METHODS:
        raise ArchiveRefusedError(Refusal.UNKNOWN_METHOD, f"{member.filename} is packed in an unknown way")
    if member.header_offset < 0:
        raise ArchiveRefusedError(Refusal.DAMAGED, "its directory points before its beginning")
    if member.file_size > allowed:
        raise ArchiveRefusedError(Refusal.TOO_LARGE, f"{member.filename} has more than {allowed:,} bytes")


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    done = 0
    with os.fdopen(descriptor, "wb") as file, opened.open(member) as source:
        while chunk := source.read(_CHUNK):
            done += len(chunk)
            if done > most:
                raise ArchiveRefusedError(Refusal.TOO_LARGE, f"{member.filename} has more than {most:,} bytes")
            file.write(chunk)
    if done != member.file_size:
        raise ArchiveRefusedError(Refusal.DAMAGED, f"{member.filename} is not as long as the archive says")


def _remove(written: Mapping[str, Path]) -> None:
    for path in written.values():
        path.unlink(missing_ok=True)
