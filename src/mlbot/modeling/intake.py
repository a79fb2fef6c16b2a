"""Take the file that a training left: what comes out is a regular file and its digest, or why there is none."""

import hashlib
import os
import stat
from pathlib import Path

from mlbot.core.record import Digest

_CHUNK = 1024 * 1024


class NoModelError(Exception):
    """The training ended well, but what it left is no model file."""


def take_model(path: Path, output: Path, limit: int) -> tuple[Digest, int]:
    """Copy a model out, hashing the very bytes that are written. They appear at `output` whole or not at all.

    Args:
        path: Where the training was told to write; nothing of it is trusted.
        output: Where the file goes.
        limit: How many bytes it may have.

    Returns:
        The digest and the size in bytes.

    Raises:
        NoModelError: There is no regular file with something in it, or it is too large.
    """
    descriptor = _open(path)
    part = output.with_name(f"{output.name}.part")
    try:
        _check(os.fstat(descriptor), limit)
        output.parent.mkdir(parents=True, exist_ok=True)
        digest, size = _copy(descriptor, part, limit)
        part.replace(output)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)
    return digest, size


def _open(path: Path) -> int:
    try:
        # Non-blocking, because a pipe would be waited on for ever.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NoModelError("the training ended well but wrote no file at $MLBOT_MODEL") from None
    except OSError as error:
        why = "a symbolic link, not a file" if path.is_symlink() else f"not readable ({error.strerror})"
        raise NoModelError(f"what the training left at $MLBOT_MODEL is {why}") from None


def _check(facts: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise NoModelError("what the training left at $MLBOT_MODEL is a folder, not a file")
    if not stat.S_ISREG(facts.st_mode):
        raise NoModelError("what the training left at $MLBOT_MODEL is a device or a pipe, not a file")
    if facts.st_size == 0:
        raise NoModelError("the file that the training wrote at $MLBOT_MODEL is empty")
    if facts.st_size > limit:
        raise NoModelError(f"the model is larger than allowed: {facts.st_size:,} bytes, at most {limit:,}")


def _copy(source: int, part: Path, limit: int) -> tuple[Digest, int]:
    digest, size = hashlib.sha256(), 0
    with part.open("wb") as target:
        while chunk := os.read(source, _CHUNK):
            size += len(chunk)
            if size > limit:  # it grew since it was looked at
                raise NoModelError(f"the model is larger than allowed: more than {limit:,} bytes")
            digest.update(chunk)
            target.write(chunk)
    return f"sha256:{digest.hexdigest()}", size
