"""Paths that belong to a living process, and the removal of those whose owner died.

Each path has a lock file beside it, held by `flock` as long as its owner lives: the kernel lets go of it however the
process ends, kill -9 included, so a lock that can be had belongs to nobody.
"""

import fcntl
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from uuid import uuid4

SCRATCH = "scratch"
_LOCK = ".lock"
Remove = Callable[[Path], None]


@contextmanager
def lease(folder: Path, remove: Remove) -> Iterator[Path]:
    """A path in `folder` that nobody else uses and nothing is at yet; `remove` is called with it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with _sigterm_as_exit():
        path, lock = _claim(folder)
        try:
            yield path
        finally:
            _give_back(path, remove)
            os.close(lock)


@contextmanager
def scratch(state_dir: Path) -> Iterator[Path]:
    """An empty folder for temporary files, gone at the end."""
    with lease(state_dir / SCRATCH, remove_tree) as folder:
        folder.mkdir()
        yield folder


def heal(folder: Path, remove: Remove) -> tuple[Path, ...]:
    """Remove what dead owners left in `folder`, and say what it was."""
    if not folder.is_dir():
        return ()
    paths = {path.with_name(path.name.removesuffix(_LOCK)) for path in folder.iterdir()}
    return tuple(path for path in sorted(paths) if _healed(path, remove))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder and hold it."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, also where a training took away its own permissions; links are not followed."""
    if not path.is_dir():
        return
    with suppress(OSError):
        shutil.rmtree(path)
        return
    path.chmod(stat.S_IRWXU)
    for folder, names, _ in os.walk(path):
        for each in (Path(folder, name) for name in names):
            if not each.is_symlink():
                each.chmod(stat.S_IRWXU)
    shutil.rmtree(path)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + _LOCK)


def _claim(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / uuid4().hex[:12]
        lock = os.open(_lock_of(path), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_at(_lock_of(path), lock):
            return path, lock
        os.close(lock)  # somebody healed it away between the two calls


def _healed(path: Path, remove: Remove) -> bool:
    # A path without a lock file gets one: an owner makes its lock first and takes it away last, so nobody has it.
    lock = os.open(_lock_of(path), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return _is_at(_lock_of(path), lock) and _give_back(path, remove)
    finally:
        os.close(lock)


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _give_back(path: Path, remove: Remove) -> bool:
    """Remove a path, then its lock. What cannot be removed keeps its lock file, for a later run to try again."""
    try:
        remove(path)
    except OSError:
        return False
    _lock_of(path).unlink(missing_ok=True)
    return True


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that what is leased is given back; by default it ends the process at once."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)
