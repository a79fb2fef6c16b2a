"""Bytes that are taken only if they are those that were asked for."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mlbot.errors import NotEvaluatedError
from mlbot.lib.record import Digest, digest_of_stream

CHUNK = 1 << 20

MOST_BYTES = 64 << 30  # the largest file that is fetched where no size is known beforehand
_PART = ".part"


class OtherBytesError(NotEvaluatedError):
    """What came are not the bytes that were asked for."""


def digest_of(file: Path) -> Digest:
    """The sha256 of a file."""
    with file.open("rb") as stream:
        return digest_of_stream(stream)


def chunks_of(file: Path) -> Iterator[bytes]:
    """A file's bytes, piece by piece."""
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def sync(path: Path) -> None:
    """Wait until a file is on the disk; of a folder, the names in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take(chunks: Iterable[bytes], target: Path, digest: Digest, *, size: int | None, where: str) -> None:
    """Write bytes, of which nothing is believed, to a file, which appears whole and verified, or not at all.

    Where `size` is None, at most `MOST_BYTES` are taken. `where` is where they come from, for the error.

    Raises:
        NotEvaluatedError: They are not those bytes, or cannot be written.
        FileNotFoundError: `chunks` raised it.
    """
    try:
        _take(checked(chunks, digest, size=size, where=where), target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotEvaluatedError(f"it cannot be written: {error.strerror}", where=str(target)) from error


def _take(chunks: Iterable[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=_PART, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(chunks)
        if target.is_dir():  # what was fetched there before was a folder
            shutil.rmtree(target)
        Path(name).replace(target)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def checked(chunks: Iterable[bytes], digest: Digest, *, size: int | None, where: str) -> Iterator[bytes]:
    """The same bytes; raises `NotEvaluatedError` after the last one when they are not those that were asked for."""
    found, taken = hashlib.sha256(), 0
    most = MOST_BYTES if size is None else size
    for chunk in chunks:
        taken += len(chunk)
        if taken > most:
            raise other_bytes(where, f"there are more than {most:,} bytes of {digest}")
        found.update(chunk)
        yield chunk
    if size is not None and taken != size:
        raise other_bytes(where, f"there are {taken:,} bytes of {digest} instead of {size:,}")
    if f"sha256:{found.hexdigest()}" != digest:
        raise other_bytes(where, f"what is kept as {digest} has the digest sha256:{found.hexdigest()}")


def other_bytes(where: str, what: str) -> OtherBytesError:
    """The error for what is not what was asked for."""
    return OtherBytesError(
        f"{what}: it was changed or damaged, so it is not used",
        where=where,
        hint="Delete it there and store the model again: run the judge of that commit again.",
    )
