"""Files by name in a folder or an object store, by its URL."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from mlbot.errors import MissingDriverError, NotEvaluatedError, UsageError, driven
from mlbot.lib.artifact import MOST_FILES, Unfit, UnfitError, checked_path
from mlbot.storage.digest import CHUNK, chunks_of, sync


class Objects(Protocol):
    """A place of files. Names are relative, with forward slashes.

    Every method raises `NotEvaluatedError` when the place does not answer as it has to.
    """

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none."""

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """A small object; None where there is none. Raises `NotEvaluatedError` when it has more bytes."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """An object's bytes. Raises `FileNotFoundError` where there is none."""

    def upload(self, file: Path, name: str) -> None:
        """Put a file there, whole or not at all."""

    def write(self, name: str, content: bytes) -> None:
        """Put a small object there, in one step."""

    def folders(self, name: str) -> tuple[str, ...]:
        """The names of the folders inside one; empty where there is none."""

    def remove(self, name: str) -> None:
        """Take an object away, in one step; nothing happens where there is none."""

    def remove_folder(self, name: str) -> None:
        """Take a folder away with all that is in it; nothing happens where there is none."""


def relative(name: str) -> str:
    """A name that stays inside; raises `ValueError` for another."""
    if not name or name.startswith("/") or "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise ValueError(f"{name!r} is no name of an object")
    return name


def bounded(content: bytes, most_bytes: int, where: str) -> bytes:
    """The content; raises `NotEvaluatedError` when it is too long."""
    if len(content) > most_bytes:
        raise NotEvaluatedError(f"it has more than {most_bytes:,} bytes, so mlbot did not write it", where=where)
    return content


@contextmanager
def _failures(
    where: str, failure: type[Exception], *, missing_passes: bool = False, unfit_passes: bool = False
) -> Iterator[None]:
    """Any failure of a place as one sentence: the errors of fsspec's protocols share no base class."""
    passes: tuple[type[Exception], ...] = (NotEvaluatedError, MissingDriverError)
    passes += (FileNotFoundError,) * missing_passes + (UnfitError,) * unfit_passes
    try:
        yield
    except passes:
        raise
    except failure as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise NotEvaluatedError(
            f"it cannot be read or written: {why}",
            where=where,
            hint="Check that the place is there and that the credentials in the environment may use it.",
        ) from error


# Objects in a folder of this machine.

_PARTS = ".mlbot-parts"
_ABANDONED_S = 24 * 3600.0


class LocalObjects:
    """A folder of this machine, made when needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        return self._root.absolute().as_uri()

    def size(self, name: str) -> int | None:
        with self._failures(name):
            try:
                return self._path(name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, name: str, most_bytes: int) -> bytes | None:
        with self._failures(name):
            try:
                with self._path(name).open("rb") as stream:
                    return bounded(stream.read(most_bytes + 1), most_bytes, f"{self.url}/{name}")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def chunks(self, name: str) -> Iterator[bytes]:
        with _failures(f"{self.url}/{name}", OSError, missing_passes=True):
            yield from chunks_of(self._path(name))

    def upload(self, file: Path, name: str) -> None:
        self._place(chunks_of(file), name)

    def write(self, name: str, content: bytes) -> None:
        self._place((content,), name)

    def folders(self, name: str) -> tuple[str, ...]:
        with self._failures(name):
            path = self._path(name)
            return tuple(sorted(each.name for each in path.iterdir() if each.is_dir())) if path.is_dir() else ()

    def remove(self, name: str) -> None:
        with self._failures(name), suppress(FileNotFoundError, NotADirectoryError):
            self._path(name).unlink()

    def remove_folder(self, name: str) -> None:
        with self._failures(name), suppress(FileNotFoundError):
            doomed = Path(tempfile.mkdtemp(dir=self._parts(name)))
            self._path(name).rename(doomed / "doomed")  # out of place in one step, so that nobody meets half of it
            shutil.rmtree(doomed)

    def _place(self, chunks: Iterable[bytes], name: str) -> None:
        with self._failures(name):
            target = self._path(name)
            descriptor, part = tempfile.mkstemp(dir=self._parts(name))
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.writelines(chunks)
                    stream.flush()
                    os.fchmod(stream.fileno(), 0o644)  # a server of another user reads it
                    os.fsync(stream.fileno())
                target.parent.mkdir(parents=True, exist_ok=True)
                Path(part).replace(target)
                sync(target.parent)
            finally:
                Path(part).unlink(missing_ok=True)

    def _parts(self, name: str) -> Path:
        """Where files are made; what a killed process left there is swept a day later.

        It is not in the root itself: a model server takes every folder there for a model.
        """
        parts = self._root.joinpath(*relative(name).split("/")[:-1][:1], _PARTS)
        parts.mkdir(parents=True, exist_ok=True)
        for path in parts.iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return parts

    def _path(self, name: str) -> Path:
        return self._root / relative(name)

    def _failures(self, name: str) -> AbstractContextManager[None]:
        return _failures(f"{self.url}/{name}", OSError)


# Objects in an object store, by fsspec.


class RemoteObjects:
    """A folder of an object store, such as `s3://bucket/models`, by fsspec; `UsageError` for protocols it lacks."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        with driven(self._url):
            import fsspec

            self._system, path = fsspec.core.url_to_fs(self._url)
        self._root = path.rstrip("/")

    @property
    def url(self) -> str:
        return self._url

    def size(self, name: str) -> int | None:
        with self._failures(name):
            self._system.invalidate_cache()
            try:
                return int(self._system.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str, most_bytes: int) -> bytes | None:
        with self._failures(name):
            self._system.invalidate_cache()
            try:
                with self._system.open(self._path(name), "rb") as stream:
                    return bounded(stream.read(most_bytes + 1), most_bytes, f"{self.url}/{name}")
            except FileNotFoundError:
                return None

    def chunks(self, name: str) -> Iterator[bytes]:
        with self._failures(name, missing_passes=True), self._system.open(self._path(name), "rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    def upload(self, file: Path, name: str) -> None:
        with self._failures(name):
            self._in_a_folder(name, lambda path: self._system.put_file(str(file), path))

    def write(self, name: str, content: bytes) -> None:
        with self._failures(name):
            self._in_a_folder(name, lambda path: self._system.pipe_file(path, content))

    def folders(self, name: str) -> tuple[str, ...]:
        with self._failures(name):
            self._system.invalidate_cache()
            try:
                found = self._system.ls(self._path(name), detail=True)
            except FileNotFoundError:
                return ()
            paths = (each["name"] for each in found if each["type"] == "directory")
            return tuple(sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths))

    def remove(self, name: str) -> None:
        with self._failures(name), suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def remove_folder(self, name: str) -> None:
        with self._failures(name), suppress(FileNotFoundError):
            self._system.rm(self._path(name), recursive=True)

    def _in_a_folder(self, name: str, write: Callable[[str], object]) -> None:
        """Write, and make the folder only where the protocol has folders: on S3 that would ask for buckets' rights."""
        path = self._path(name)
        try:
            write(path)
        except FileNotFoundError:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            write(path)

    def _path(self, name: str) -> str:
        return f"{self._root}/{relative(name)}"

    def _failures(self, name: str, *, missing_passes: bool = False) -> AbstractContextManager[None]:
        return _failures(f"{self.url}/{name}", Exception, missing_passes=missing_passes)


def open_objects(url: str, folder: Path) -> Objects:
    """The objects of a folder (`models`, `file:///srv/models`), relative to `folder`, or of any fsspec URL."""
    scheme, found, rest = url.partition("://")
    if not found:
        return LocalObjects(folder / url)
    if scheme.lower() in {"file", "local"}:
        if not rest.startswith("/"):
            raise UsageError(
                "it names a machine, not a folder", where=url, hint="Write three slashes: file:///srv/models."
            )
        return LocalObjects(Path(unquote(rest)))
    return RemoteObjects(url)


def fetch_url(url: str, target: Path, most_bytes: int) -> str | None:
    """Download the file, or all files of the folder, that an fsspec URL names; what the URL itself is bound to.

    Raises:
        NotEvaluatedError: The place does not answer as it has to.
        UnfitError: It is too large, or has names that no folder can have.
    """
    options = {"version_aware": True} if "versionId=" in url else {}
    with _failures(url, Exception, unfit_passes=True):
        with driven(url):
            import fsspec

            system, path = fsspec.core.url_to_fs(url, **options)
        if options or not system.isdir(path):  # a version is one object's: of a folder it would be the latest of each
            _download(system, path, target, most_bytes)
            return f"version {url.partition('versionId=')[2]}" if options else _commit(url)
        root, left = f"{path.rstrip('/')}/", most_bytes
        found = system.find(path, detail=True)
        if len(found) > MOST_FILES:
            raise UnfitError(Unfit.TOO_MANY, f"it has more than {MOST_FILES:,} files")
        for name in found:
            inside = target / checked_path(str(name).removeprefix(root))
            left -= _download(system, name, inside, left)
    return _commit(url)


def _commit(url: str) -> str | None:
    """The commit of a model hub that a URL names."""
    return f"commit {url.partition('@')[2].partition('/')[0]}" if url.lower().startswith("hf://") else None


def _download(system: Any, name: str, target: Path, most_bytes: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with system.open(name, "rb") as source, target.open("xb") as stream:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise UnfitError(Unfit.TOO_LARGE, f"it is larger than allowed: more than {most_bytes:,} bytes")
            stream.write(chunk)
    return size


# The files of one day's logs.

MOST_LOG_FILES = 10_000
MOST_LOG_BYTES = 16 << 30
_WILD = "*?["


def bring_logs(place: str, root: Path, folder: Path) -> list[Path]:
    """The files of a path, a folder, a glob or any fsspec URL on this machine; none where nothing is there.

    A path is relative to `root`; what a URL names is copied into `folder`.

    Raises:
        NotEvaluatedError: The place does not answer as it has to, or there is too much of it.
    """
    scheme, found, rest = place.partition("://")
    if found and scheme.lower() not in {"file", "local"}:
        return _brought(place, folder)
    if found and not rest.startswith("/"):
        raise UsageError("it names a machine, not a folder", where=place, hint="Write three slashes: file:///srv/logs.")
    with _failures(place, OSError):
        files = _logs_of(Path("/"), unquote(rest).lstrip("/")) if found else _logs_of(root, place)
        if len(files) > MOST_LOG_FILES or sum(each.stat().st_size for each in files) > MOST_LOG_BYTES:
            raise _too_much(place)
        return files


def _logs_of(root: Path, place: str) -> list[Path]:
    found = sorted(root.glob(place)) if any(each in place for each in _WILD) else [root / place]
    inside = (sorted(each.rglob("*")) if each.is_dir() else [each] for each in found)
    return [each for files in inside for each in files if each.is_file() and _is_log(each.name)]


def _is_log(name: str) -> bool:
    """Whether a file is one of rows: names that begin so are what a writer leaves beside them."""
    return not name.startswith((".", "_"))


def _too_much(place: str) -> NotEvaluatedError:
    most = f"{MOST_LOG_FILES:,} files and {MOST_LOG_BYTES >> 30} GiB"
    return NotEvaluatedError(f"the logs of one day are more than {most}", where=place)


def _brought(url: str, folder: Path) -> list[Path]:
    with _failures(url, Exception):
        with driven(url):
            import fsspec

            system, path = fsspec.core.url_to_fs(url)
        system.invalidate_cache()
        left, files = MOST_LOG_BYTES, list[Path]()
        for name in _remote_logs(system, path):
            files.append(folder / f"{len(files)}")
            if len(files) > MOST_LOG_FILES:
                raise _too_much(url)
            try:
                left -= _download(system, name, files[-1], left)
            except UnfitError:
                raise _too_much(url) from None
        return files


def _remote_logs(system: Any, path: str) -> Iterator[str]:
    if any(each in path for each in _WILD):
        found = sorted(map(str, system.glob(path)))
    else:
        found = [path] if system.exists(path) else []
    for each in found:
        inside = sorted(map(str, system.find(each))) if system.isdir(each) else [each]
        yield from (name for name in inside if _is_log(name.rpartition("/")[2]))
