"""Folders that many processes share: opened, compared, synced and locked by what the kernel guarantees."""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.1


def open_folder(path: Path) -> int | None:
    """A descriptor of a folder; None when nothing is there, or something else."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def is_same(descriptor: int, path: Path) -> bool:
    """Whether the path still names what was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if is_same(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def sync(path: Path) -> None:
    """Wait until a file is on the disk; of a folder, the names in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(
    path: Path, *, say: Callable[[str], None] | None = None, stop: threading.Event | None = None
) -> Iterator[None]:
    """Hold a lock of that path against all threads and processes; the kernel lets go of it when a process dies.

    Args:
        path: A file that exists only while it is held or waited for.
        say: Is told once if somebody else holds it.
        stop: Ends the waiting when set.

    Raises:
        InterruptedError: `stop` was set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stop = stop or threading.Event()
    descriptor = _try_lock(path)
    if descriptor is None and say is not None:
        say("another run is training this already; waiting for its result")
    while descriptor is None:  # not a blocking flock, since Ctrl-C has to reach threads too
        if stop.wait(_POLL_S):
            raise InterruptedError("stopped while waiting for another run")
        descriptor = _try_lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: who waits for it sees that it is gone, and makes a new one
        os.close(descriptor)


def sweep_locks(folder: Path) -> None:
    """Take away the locks of processes that were killed: those that nobody holds."""
    for path in folder.iterdir() if folder.is_dir() else ():
        descriptor = _try_lock(path)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
