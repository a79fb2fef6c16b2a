"""A store in a folder or an object store: `sha256/<first two digits>/<64 digits>`."""

from pathlib import Path

from mlbot.core.record import Digest
from mlbot.stores.base import NotStoredError
from mlbot.transfer.digest import take, verify
from mlbot.transfer.objects import Objects


class ObjectStore:
    """Files by digest in `objects`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def url(self) -> str:
        """Where it is."""
        return self._objects.url

    def put(self, digest: Digest, file: Path) -> bool:
        """See `ModelStore`."""
        verify(file, digest)
        name = _name(digest)
        if self._objects.size(name) == file.stat().st_size:
            return False
        self._objects.upload(file, name)  # over what an interrupted upload may have left
        return True

    def get(self, digest: Digest, target: Path, *, size: int | None = None) -> None:
        """See `ModelStore`."""
        name = _name(digest)
        if self._objects.size(name) is None:
            raise NotStoredError(digest, self.url)
        take(self._objects.chunks(name), target, digest, size=size, where=f"{self.url}/{name}")

    def has(self, digest: Digest) -> bool:
        """See `ModelStore`."""
        return self._objects.size(_name(digest)) is not None


def _name(digest: Digest) -> str:
    digits = digest.removeprefix("sha256:")
    return f"sha256/{digits[:2]}/{digits}"
