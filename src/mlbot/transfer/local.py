"""Objects in a folder of this machine."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mlbot.transfer.digest import chunks_of
from mlbot.transfer.objects import Told, bounded, relative

_PARTS = ".mlbot-parts"
_ABANDONED_S = 24 * 3600.0


class LocalObjects:
    """A folder of this machine.

    Args:
        root: The folder; made when needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """`file:///…`."""
        return self._root.absolute().as_uri()

    def size(self, name: str) -> int | None:
        """See `Objects`."""
        with self._told(name):
            try:
                return self._path(name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """See `Objects`."""
        with self._told(name):
            try:
                with self._path(name).open("rb") as stream:
                    return bounded(stream.read(most_bytes + 1), most_bytes, f"{self.url}/{name}")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def chunks(self, name: str) -> Iterator[bytes]:
        """See `Objects`."""
        with Told(f"{self.url}/{name}", OSError, missing_is_said=True):
            yield from chunks_of(self._path(name))

    def upload(self, file: Path, name: str) -> None:
        """See `Objects`."""
        self._place(chunks_of(file), name)

    def write(self, name: str, content: bytes) -> None:
        """See `Objects`."""
        self._place((content,), name)

    def folders(self, name: str) -> tuple[str, ...]:
        """See `Objects`."""
        with self._told(name):
            path = self._path(name)
            return tuple(sorted(each.name for each in path.iterdir() if each.is_dir())) if path.is_dir() else ()

    def remove(self, name: str) -> None:
        """See `Objects`."""
        with self._told(name), suppress(FileNotFoundError, NotADirectoryError):
            self._path(name).unlink()

    def remove_folder(self, name: str) -> None:
        """See `Objects`."""
        with self._told(name), suppress(FileNotFoundError):
            doomed = Path(tempfile.mkdtemp(dir=self._parts(name)))
            self._path(name).rename(doomed / "doomed")  # out of place in one step, so that nobody meets half of it
            shutil.rmtree(doomed)

    def _place(self, chunks: Iterable[bytes], name: str) -> None:
        with self._told(name):
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
                _sync(target.parent)
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

    def _told(self, name: str) -> Told:
        return Told(f"{self.url}/{name}", OSError)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
