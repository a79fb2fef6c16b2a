"""Objects in an object store, by fsspec."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mlbot.errors import UsageError
from mlbot.transfer.digest import CHUNK
from mlbot.transfer.objects import Told, bounded, relative


class RemoteObjects:
    """A folder of an object store, by fsspec.

    Args:
        url: Such as `s3://bucket/models`.

    Raises:
        ModuleNotFoundError: fsspec is not installed.
        UsageError: fsspec does not know the protocol, or what it needs for it is not installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # noqa: PLC0415 - an optional part

        self._url = url.rstrip("/")
        try:
            self._system, path = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            why = " ".join(str(error).split())
            raise UsageError(
                f"it cannot be opened: {why}", where=url, mend="Install the package of its protocol, such as s3fs."
            ) from error
        self._root = path.rstrip("/")

    @property
    def url(self) -> str:
        """As it was given."""
        return self._url

    def size(self, name: str) -> int | None:
        """See `Objects`."""
        with self._told(name):
            self._system.invalidate_cache()
            try:
                return int(self._system.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """See `Objects`."""
        with self._told(name):
            self._system.invalidate_cache()
            try:
                with self._system.open(self._path(name), "rb") as stream:
                    return bounded(stream.read(most_bytes + 1), most_bytes, f"{self.url}/{name}")
            except FileNotFoundError:
                return None

    def chunks(self, name: str) -> Iterator[bytes]:
        """See `Objects`."""
        with self._told(name, missing_is_said=True), self._system.open(self._path(name), "rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    def upload(self, file: Path, name: str) -> None:
        """See `Objects`."""
        with self._told(name):
            self._in_a_folder(name, lambda path: self._system.put_file(str(file), path))

    def write(self, name: str, content: bytes) -> None:
        """See `Objects`."""
        with self._told(name):
            self._in_a_folder(name, lambda path: self._system.pipe_file(path, content))

    def folders(self, name: str) -> tuple[str, ...]:
        """See `Objects`."""
        with self._told(name):
            self._system.invalidate_cache()
            try:
                found = self._system.ls(self._path(name), detail=True)
            except FileNotFoundError:
                return ()
            paths = (each["name"] for each in found if each["type"] == "directory")
            return tuple(sorted(str(path).rstrip("/").rpartition("/")[2] for path in paths))

    def remove(self, name: str) -> None:
        """See `Objects`."""
        with self._told(name), suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def remove_folder(self, name: str) -> None:
        """See `Objects`."""
        with self._told(name), suppress(FileNotFoundError):
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

    def _told(self, name: str, *, missing_is_said: bool = False) -> Told:
        return Told(f"{self.url}/{name}", Exception, missing_is_said=missing_is_said)
