"""An artifact on this machine, a file or a folder: read without being led astray, written whole or not at all.

What lies at a path may be a stranger's work, who may still be changing it: every file and folder is opened from the
folder that it is in, no link is followed, and what is hashed are the very bytes that are written.
"""

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mlbot.errors import NotEvaluatedError
from mlbot.lib.artifact import (
    LISTING,
    MOST_DEPTH,
    MOST_FILES,
    MOST_LISTING,
    Listing,
    Member,
    Unfit,
    UnfitError,
    checked_path,
)
from mlbot.lib.record import Digest, FileDigest, digest
from mlbot.lib.tree import shown
from mlbot.storage.digest import CHUNK, chunks_of, other_bytes, sync, take

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # non-blocking, because a pipe would be waited on for ever
_PART = ".part"


def take_artifact(path: Path, output: Path, most_bytes: int) -> FileDigest:
    """Copy a file or folder: its digest and size. It appears at `output` whole or not at all. Raises `UnfitError`."""
    part = output.with_name(f"{output.name}{_PART}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        found = _facts(_read(path, most_bytes, part))
        part.replace(output)
    finally:
        remove(part)
    return found


def measured(path: Path) -> FileDigest:
    """The digest and size of a file or folder. Raises `UnfitError`."""
    return _facts(_read(path, None, None))


def listing_of(path: Path) -> Listing | None:
    """The files of a folder; None for a file. Raises `UnfitError`."""
    with _opened(path) as descriptor:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return None
        return Listing.of(_Reading(None).folder(descriptor, "", None))


def verify(path: Path, wanted: Digest) -> FileDigest | Listing:
    """The file, or the listing of the folder; raises `NotEvaluatedError` where it has another digest, or is none."""
    with _usable(path):
        found = _read(path, None, None)
    if found.digest != wanted:
        raise other_bytes(str(path), f"what is kept as {wanted} has the digest {found.digest}")
    return found


def copy(source: Path, target: Path, wanted: Digest) -> None:
    """Copy a file or folder of that digest; it appears whole and verified, or not at all."""
    with _usable(source):
        listing = listing_of(source)
    if listing is None:
        take(chunks_of(source), target, wanted, size=source.stat().st_size, where=str(source))
    elif listing.digest != wanted:
        raise other_bytes(str(source), f"what is kept as {wanted} has the digest {listing.digest}")
    else:
        lay_out(listing, target, lambda member: chunks_of(source / member.path), where=str(source))


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except UnfitError as error:
        what = "there is no such file" if error.why is Unfit.MISSING else error.what
        raise NotEvaluatedError(what, where=str(path)) from None


def lay_out(listing: Listing, target: Path, content: Callable[[Member], Iterable[bytes]], *, where: str) -> None:
    """Make a folder of its listing and its files' bytes, of which nothing is believed: whole and verified, or not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=_PART, dir=target.parent))
    there: dict[Digest, Path] = {}
    try:
        for each in listing.members:
            file, known = made / each.path, there.get(each.digest)
            chunks = content(each) if known is None else chunks_of(known)
            take(chunks, file, each.digest, size=each.size_bytes, where=f"{where}: {shown(each.path)}")
            file.chmod(_mode(each.executable))
            there[each.digest] = file
        _open_folders(made)
        remove(target)
        made.replace(target)
    finally:
        remove(made)


def pack(folder: Path, target: Path, wanted: Digest) -> None:
    """Write a folder of that digest as one file: its listing, a line's end, and each different file once."""
    listing = verify(folder, wanted)
    if not isinstance(listing, Listing):
        raise other_bytes(str(folder), f"what is kept as {wanted} is no folder")
    first = {each.digest: each.path for each in reversed(listing.members)}
    part = target.with_name(f"{target.name}{_PART}")
    try:
        with part.open("wb") as stream:
            stream.writelines((listing.document, b"\n"))
            for found in listing.blobs:
                stream.writelines(chunks_of(folder / first[found]))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def to_tar(folder: Path) -> Path:
    """Replace a folder by a tar archive of it, the same bytes each time; the archive."""
    target = folder.with_name(f"{folder.name}.tar")
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            member = tarfile.TarInfo(f"{folder.name}/{file.relative_to(folder).as_posix()}")
            facts = file.stat()
            member.size, member.mode = facts.st_size, _mode(bool(facts.st_mode & stat.S_IXUSR)) | stat.S_IWUSR
            with file.open("rb") as stream:
                archive.addfile(member, stream)
    shutil.rmtree(folder)
    return target


def unpack(packed: Path, target: Path, most_bytes: int) -> FileDigest:
    """Make a folder of what `pack` wrote, of which nothing is believed. Raises `UnfitError`, `NotEvaluatedError`."""
    with packed.open("rb") as stream:
        head = stream.readline(len(LISTING)) + stream.readline(MOST_LISTING + 1)
        listing = Listing.read(head.removesuffix(b"\n"))
        if listing.size_bytes > most_bytes:
            what = f"it is larger than allowed: {listing.size_bytes:,} bytes, at most {most_bytes:,}"
            raise UnfitError(Unfit.TOO_LARGE, what)
        if packed.stat().st_size != len(head) + sum(listing.blobs.values()):
            raise UnfitError(Unfit.NOT_A_LISTING, "it does not hold what its listing names")
        lay_out(listing, target, lambda each: _next(stream, each.size_bytes), where=packed.name)
    return FileDigest(digest=listing.digest, size_bytes=listing.size_bytes)


def _next(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := stream.read(min(size, CHUNK))):
        size -= len(chunk)
        yield chunk


def read_listing(chunks: Iterable[bytes], wanted: Digest, where: str) -> Listing:
    """The listing of a folder of that digest. Raises `NotEvaluatedError` for other bytes."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MOST_LISTING:
            break
    try:
        if digest(bytes(content)) == wanted:
            return Listing.read(bytes(content))
    except UnfitError as error:
        raise NotEvaluatedError(error.what, where=where) from None
    raise other_bytes(where, f"what is kept as {wanted} has another digest")


def remove(path: Path) -> None:
    """Take a file or folder away, if there is one; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_all(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk."""
    for each in (*path.rglob("*"), path) if path.is_dir() else (path,):
        sync(each)


def _mode(executable: bool) -> int:  # noqa: FBT001 - as the listing has it
    return 0o555 if executable else 0o444  # readable for a predictor that runs as another user


def _open_folders(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        if each.is_dir():
            each.chmod(0o755)


def _facts(found: FileDigest | Listing) -> FileDigest:
    return FileDigest(digest=found.digest, size_bytes=found.size_bytes)


def _read(path: Path, most_bytes: int | None, part: Path | None) -> FileDigest | Listing:
    with _opened(path) as descriptor:
        facts, reading = os.fstat(descriptor), _Reading(most_bytes)
        if not stat.S_ISDIR(facts.st_mode):
            found, size = reading.file(descriptor, "it", part)
            if not size and part is not None:
                raise UnfitError(Unfit.EMPTY, "it is empty")
            if part is not None:
                part.chmod(_mode(executable=False))
            return FileDigest(digest=found, size_bytes=size)
        listing = Listing.of(reading.folder(descriptor, "", part))
        if part is not None:
            _open_folders(part)
        return listing


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = _open(path, None, "it")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: Path | str, folder: int | None, called: str) -> int:
    try:
        return os.open(name, _FILE, dir_fd=folder)
    except FileNotFoundError:
        raise UnfitError(Unfit.MISSING, f"{called} is not there") from None
    except OSError as error:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise UnfitError(Unfit.LINK, f"{called} is a symbolic link") from None
        raise UnfitError(Unfit.UNREADABLE, f"{called} is not readable ({error.strerror})") from None


@dataclass
class _Reading:
    """One reading of an artifact, with what is left of what it may hold."""

    most_bytes: int | None
    size: int = 0
    files: int = 0
    chunk: int = field(default=CHUNK)

    def folder(self, descriptor: int, path: str, part: Path | None) -> Iterator[Member]:
        """The files in an open folder, and below it; written to `part`, if there is one."""
        if path.count("/") >= MOST_DEPTH:
            raise UnfitError(Unfit.TOO_DEEP, f"its folders are nested deeper than {MOST_DEPTH}")
        names = sorted(os.listdir(descriptor))
        if not names:
            called = f"the folder {shown(path[:-1])}" if path else "the folder"
            raise UnfitError(Unfit.EMPTY_FOLDER if path else Unfit.EMPTY, f"{called} is empty")
        self._has_room(len(names))
        if part is not None:
            part.mkdir()
        for name in names:
            inside = checked_path(f"{path}{name}")
            try:
                yield from self._inside(descriptor, name, inside, part)
            except FileExistsError:  # two spellings of one name, or a disk that knows no case
                raise UnfitError(Unfit.TWINS, f"{shown(inside)} is there under two names that are one") from None

    def _inside(self, folder: int, name: str, path: str, part: Path | None) -> Iterator[Member]:
        descriptor = _open(name, folder, shown(path))
        target = None if part is None else part / path.rpartition("/")[2]
        try:
            facts = os.fstat(descriptor)
            if stat.S_ISDIR(facts.st_mode):
                yield from self.folder(descriptor, f"{path}/", target)
                return
            found, size = self.file(descriptor, shown(path), target)
            executable = bool(facts.st_mode & stat.S_IXUSR)
            if target is not None:
                target.chmod(_mode(executable))
            yield Member(path=path, digest=found, size_bytes=size, executable=executable)
        finally:
            os.close(descriptor)

    def file(self, descriptor: int, called: str, part: Path | None) -> tuple[Digest, int]:
        """The digest and size of an open file; written to `part`, if there is one."""
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnfitError(Unfit.SPECIAL, f"{called} is a device or a pipe, not a file")
        self._has_room(1)
        self.files += 1
        self._count(0, facts.st_size)
        if part is None:
            return self._hashed(descriptor, called, lambda _: None)
        with part.open("xb") as stream:
            return self._hashed(descriptor, called, stream.write)

    def _has_room(self, files: int) -> None:
        if self.files + files > MOST_FILES:
            raise UnfitError(Unfit.TOO_MANY, f"it has more than {MOST_FILES:,} files")

    def _hashed(self, descriptor: int, called: str, write: Callable[[bytes], object]) -> tuple[Digest, int]:
        found, size = hashlib.sha256(), 0
        while chunk := os.read(descriptor, self.chunk):
            if not size and chunk.startswith(LISTING):
                raise UnfitError(Unfit.LISTING, f"{called} begins like the listing of a folder")
            size += len(chunk)
            self._count(len(chunk))
            found.update(chunk)
            write(chunk)
        return f"sha256:{found.hexdigest()}", size

    def _count(self, taken: int, coming: int = 0) -> None:
        self.size += taken
        if self.most_bytes is not None and self.size + coming > self.most_bytes:
            what = f"it is larger than allowed: {self.size + coming:,} bytes, at most {self.most_bytes:,}"
            raise UnfitError(Unfit.TOO_LARGE, what)
