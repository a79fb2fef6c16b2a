"""A store in an OCI registry: one ModelPack manifest a file, tagged `sha256-<64 digits>`."""

from pathlib import Path
from typing import Self

from mlbot.core.record import Digest
from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.stores.base import NotStoredError
from mlbot.transfer.digest import verify
from mlbot.transfer.modelpack import Packed, Told, is_model
from mlbot.transfer.oci import Place, Registry
from mlbot.transfer.oci_auth import find_credentials
from mlbot.transfer.pack import push, told


class OciStore:
    """Files by digest in one repository of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @classmethod
    def of(cls, url: str, *, token: str | None = None) -> Self:
        """The store of an `oci://` URL.

        Raises:
            UsageError: It names no registry and repository.
        """
        place = Place.of(url)
        return cls(Registry(place, find_credentials(place.host, token)))

    @property
    def url(self) -> str:
        """Where it is."""
        return self._registry.place.url

    def put(self, digest: Digest, file: Path) -> bool:
        """See `ModelStore`."""
        verify(file, digest)
        if self._is_there(digest):
            return False
        name = "model.onnx" if is_model(file.name) else file.name
        push(self._registry, file, Packed(name=name, digest=digest, size_bytes=file.stat().st_size), _tag(digest), {})
        return True

    def get(self, digest: Digest, target: Path, *, size: int | None = None) -> None:
        """See `ModelStore`."""
        found = self._told(digest)
        if found is None:
            raise NotStoredError(digest, self.url)
        if size is not None and found.file.size_bytes != size:
            raise NotEvaluatedError(
                f"it has {found.file.size_bytes:,} bytes instead of {size:,}", where=f"{self.url}@{digest}"
            )
        self._registry.fetch_blob(digest, found.file.size_bytes, target)

    def has(self, digest: Digest) -> bool:
        """See `ModelStore`."""
        return self._told(digest) is not None and self._registry.has_blob(digest)

    def _is_there(self, digest: Digest) -> bool:
        """As `has`; but GitHub's registry refuses to say so of a package that is not there yet, and then it is not."""
        try:
            return self.has(digest)
        except RefusedError:
            return False

    def _told(self, digest: Digest) -> Told | None:
        """A tag can be moved, so what it names has to be what it is called by."""
        found = told(self._registry, _tag(digest))
        if found is not None and found[1].file.digest != digest:
            raise NotEvaluatedError(
                f"the tag of {digest} was moved to {found[1].file.digest}",
                where=self.url,
                mend="Delete the tag there, and store the model again.",
            )
        return found[1] if found else None


def _tag(digest: Digest) -> str:
    return digest.replace(":", "-")
