"""Trained models by content key, so that nothing is trained twice: a folder that many processes share.

    <root>/entries/<key>/<seed>-<environment>/model.onnx, training.json   (the first is a file or a folder)
    <root>/staging/<random>/     what is being made; taken away by the next run if its maker died
    <root>/locks/<name>          one for each thing that is being trained

Every lock is flock(2) on an open file, so the kernel lets go of it when a process dies in whatever way. An entry is
made in staging, synced, and renamed into place: after `kill -9` or a power cut it is there whole or not at all.

A training is a stranger's code that runs as the user, so it can write here too, under any key. What appears or changes
while one runs, and was not put by the store that watches it, is therefore dropped when it has ended. This holds against
a training that ends as others do; it cannot hold against one that leaves something behind on the machine.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from mlbot.errors import NotEvaluatedError
from mlbot.ledger.entries import Environment
from mlbot.lib.artifact import MODEL_FILE, UnfitError
from mlbot.lib.record import Digest, digest
from mlbot.protocol.artifacts import Training
from mlbot.storage.artifact import measured, sync_all
from mlbot.storage.digest import sync

# Folders that many processes share: opened, compared, synced and locked by what the kernel guarantees.

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


@contextmanager
def locked(
    path: Path, *, progress: Callable[[str], None] | None = None, stop: threading.Event | None = None
) -> Iterator[None]:
    """Hold a lock of that path against all threads and processes; the kernel lets go of it when a process dies.

    `progress` is called once if somebody else holds it; `stop` ends the waiting, with an `InterruptedError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stop = stop or threading.Event()
    descriptor = _try_lock(path)
    if descriptor is None and progress is not None:
        progress("another run is training this already; waiting for its result")
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


TRAINING_FILE = "training.json"
MOST_BYTES = 5 << 30
MOST_AGE_S = 90 * 24 * 3600.0
_RECORD_LIMIT = 1024 * 1024
_HEX = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A model of the store; its file or folder stays there as long as the store that gave it is open."""

    path: Path
    training: Training


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    path: Path
    size_bytes: int
    used_at: float


class ResultStore:
    """Results by content key, seed and environment.

    Entries that an open store gave out are never pruned, by whatever process. Use it as a context manager, which
    prunes what nobody has used for long and lets go of the rest, or call `close`.
    """

    def __init__(self, root: Path, *, most_bytes: int = MOST_BYTES, most_age_s: float = MOST_AGE_S) -> None:
        self.root = root
        self._most_bytes = most_bytes
        self._most_age_s = most_age_s
        self._held: dict[Path, int] = {}
        self._guard = threading.Lock()
        self._trainings = 0
        self._known: dict[Path, Digest] = {}  # while trainings run: the entries' records, by whom no training is
        self._watch = threading.RLock()

    def __enter__(self) -> Self:
        if self.root.is_dir():
            sweep_locks(self.root / "locks")
            with self._exclusive():
                self._sweep()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full cache is no failure
            self.prune(self._most_bytes, self._most_age_s)
        self.close()

    def close(self) -> None:
        """Let others prune what this store gave out."""
        with self._guard:
            while self._held:
                os.close(self._held.popitem()[1])

    def get(self, key: Digest, seed: int, environment: Environment) -> Stored | None:
        """What was trained for this key and seed in this environment.

        The file's bytes are hashed anew. An entry that does not match its record is dropped, as if it had never been.
        """
        path = self._entry(key, seed, environment)
        while (descriptor := open_folder(path)) is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            training = _verified(path, key, seed, environment)
            if training is not None and not self._is_expected(path):
                os.close(descriptor)
                return None
            if training is not None and is_same(descriptor, path):
                os.utime(descriptor)  # for `prune`: it was used now
                self._hold(path, descriptor)
                return Stored(path=path / MODEL_FILE, training=training)
            self._drop(path, descriptor)
        return None

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder in the store to put a model in, for `put`; else it is gone afterwards."""
        with self._exclusive():
            self._sweep()
            path = Path(tempfile.mkdtemp(dir=self._staging))
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # shared, so that it can be read under its final name at once
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)

    def put(self, staged: Path, training: Training) -> Stored:
        """Move a staging folder, whose `MODEL_FILE` has the digest of `training`, into place; raises `OSError`.

        If another process has put a result of the same key, seed and environment meanwhile, that one is given back.
        """
        record = training.model_dump_json(indent=2)
        (staged / TRAINING_FILE).write_text(record, encoding="utf-8")
        if not (staged / MODEL_FILE).is_dir():
            (staged / MODEL_FILE).chmod(0o444)
        sync_all(staged)
        entry = self._entry(training.key, training.seed, training.environment)
        while staged.exists():
            self._place(staged, entry, digest(record))
            stored = self.get(training.key, training.seed, training.environment)
            if stored is not None:
                return stored
        raise OSError(f"what was written to {entry} does not read back as it was; is the disk failing?")

    @contextmanager
    def lock(
        self,
        key: Digest,
        seed: int,
        *,
        progress: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[None]:
        """Hold this while training, so that two runs at once train a thing once: look again with `get` inside."""
        with locked(self.root / "locks" / f"{_hex(key)}-{seed}", progress=progress, stop=stop):
            yield

    @contextmanager
    def training(self, progress: Callable[[str], None]) -> Iterator[None]:
        """Hold this while a training runs; see above. Raises `NotEvaluatedError` when something cannot be dropped."""
        with self._watch:
            if not self._trainings:
                self._known = {path: found for path in self._folders() if (found := _record_digest(path))}
            self._trainings += 1
        try:
            yield
        finally:
            with self._watch:
                dropped = self._drop_foreign()
                self._trainings -= 1
            if dropped:
                progress(f"{dropped} results that were not mlbot's own appeared or changed meanwhile, and are dropped")

    def prune(self, max_bytes: int, max_age_s: float, *, now: float | None = None) -> tuple[Path, ...]:
        """Remove what has not been used for long, then the least recently used until the rest fits; what was removed.

        What an open store gave out stays, whatever its age and size. `now` is Unix time; None: the clock's.
        """
        at = time.time() if now is None else now
        entries = sorted(self._entries(), key=lambda entry: entry.used_at)
        total = sum(entry.size_bytes for entry in entries)
        removed: list[Path] = []
        for entry in entries:
            stays = at - entry.used_at <= max_age_s and total <= max_bytes
            if not stays and self._remove_unused(entry.path):
                total -= entry.size_bytes
                removed.append(entry.path)
        return tuple(removed)

    @property
    def _staging(self) -> Path:
        return self.root / "staging"

    def _entry(self, key: Digest, seed: int, environment: Environment) -> Path:
        fingerprint = hashlib.sha256(environment.model_dump_json().encode()).hexdigest()[:_HEX]
        return self.root / "entries" / _hex(key) / f"{seed}-{fingerprint}"

    def _folders(self) -> list[Path]:
        return list((self.root / "entries").glob("*/*"))

    def _is_expected(self, path: Path) -> bool:
        """Whether an entry is none that a training of this store may have written."""
        with self._watch:
            return not self._trainings or self._known.get(path, "") == _record_digest(path)

    def _drop_foreign(self) -> int:
        try:
            links = [path for path in (self.root / "entries").glob("*") if path.is_symlink() or not path.is_dir()]
            for path in links:
                path.unlink()
            return len(links) + sum(self._is_dropped(path) for path in self._folders() if not self._is_expected(path))
        except OSError as error:
            raise NotEvaluatedError(
                f"a training changed the results, and they cannot be removed: {error.strerror}",
                where=str(self.root),
                hint="Delete the folder; then look at what the training does.",
            ) from error

    def _is_dropped(self, path: Path) -> bool:
        """Drop an entry; not what another run made just now, and holds."""
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return True
        if path not in self._known:
            return self._remove_unused(path)
        with self._exclusive():
            self._discard(path)
        with self._guard:
            held = self._held.pop(path, None)
        if held is not None:
            os.close(held)
        return True

    def _entries(self) -> Iterator[_Entry]:
        for path in self._folders():
            with suppress(OSError):  # another process removed it just now
                size = sum(file.stat().st_size for file in path.rglob("*"))
                yield _Entry(path=path, size_bytes=size, used_at=path.stat().st_mtime)

    def _hold(self, path: Path, descriptor: int) -> None:
        with self._guard:
            former = self._held.pop(path, None)
            self._held[path] = descriptor
        if former is not None:
            os.close(former)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One at a time among all processes; held for renames and sweeping, never while something is trained."""
        self._staging.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _place(self, staged: Path, entry: Path, record: Digest) -> None:
        with self._watch, self._exclusive():
            if entry.is_dir() and not self._is_expected(entry):
                self._discard(entry)  # who puts holds the lock of its key, so nobody else trained it meanwhile
            entry.parent.mkdir(parents=True, exist_ok=True)
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink(missing_ok=True)
                staged.rename(entry)
                sync(entry.parent)
                self._known[entry] = record

    def _drop(self, path: Path, descriptor: int) -> None:
        """Take a broken entry away, unless another process has replaced it already."""
        with self._exclusive():
            if is_same(descriptor, path):
                self._discard(path)
        os.close(descriptor)

    def _remove_unused(self, path: Path) -> bool:
        with self._exclusive():
            descriptor = open_folder(path)
            if descriptor is None:
                return False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._discard(path)
            except BlockingIOError:
                return False
            finally:
                os.close(descriptor)
        return True

    def _discard(self, path: Path) -> None:
        """Out of place in one step first, so that nobody meets half an entry."""
        doomed = Path(tempfile.mkdtemp(dir=self._staging))
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        with suppress(OSError):  # other seeds are still there
            path.parent.rmdir()

    def _sweep(self) -> None:
        """Take away what dead processes left in staging; who lives holds a lock on their folder."""
        for path in self._staging.iterdir():
            descriptor = open_folder(path)
            if descriptor is None:
                continue
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _hex(key: Digest) -> str:
    return key.removeprefix("sha256:")


def _record_digest(path: Path) -> Digest | None:
    """The digest of an entry's record, which has the model's; None where there is none that can be read."""
    with suppress(OSError), (path / TRAINING_FILE).open("rb") as stream:
        return digest(stream.read(_RECORD_LIMIT))
    return None


def _verified(path: Path, key: Digest, seed: int, environment: Environment) -> Training | None:
    """The entry's record, if it is whole, about what was asked for, and the model's bytes are those it names."""
    try:
        with (path / TRAINING_FILE).open("rb") as stream:
            training = Training.model_validate_json(stream.read(_RECORD_LIMIT))
        found = measured(path / MODEL_FILE)
    except (OSError, ValidationError, UnfitError):
        return None
    asked = (training.key, training.seed, training.environment) == (key, seed, environment)
    return training if asked and training.digest == found.digest else None
