"""What every store of model bytes can do, and the stores by their URL."""

from itertools import chain
from pathlib import Path
from typing import Protocol, Self

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.lib.artifact import LISTING, MODEL_FILE, Listing
from mlbot.lib.record import Digest
from mlbot.storage.artifact import lay_out, read_listing, verify
from mlbot.storage.digest import other_bytes, take
from mlbot.storage.objects import Objects, open_objects
from mlbot.storage.oci import ModelManifest, Place, Registry, fetch, find_credentials, manifest_at, push

_AGAIN = "Store it: run the judge of the commit that made it again (`mlbot run --record` on a laptop)."


class NotStoredError(NotEvaluatedError):
    """A store has no bytes of that digest."""

    def __init__(self, digest: Digest, url: str) -> None:
        super().__init__(
            f"nothing is stored as {digest}",
            where=url,
            hint=_AGAIN,
        )


class ModelStore(Protocol):
    """Files and folders by their digest: models, and the documents beside them.

    Every call may be repeated. Every method raises `NotEvaluatedError` when the store does not answer as it has to.
    """

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""

    def put(self, digest: Digest, file: Path, *, name: str | None = None) -> bool:
        """Store a file or folder, after hashing it again; whether it was new.

        `name` is what a registry calls it; None: its own, which is a document's.
        """

    def get(self, digest: Digest, target: Path, *, size: int | None = None) -> None:
        """Fetch a file or folder, whole and verified, or not at all. Raises `NotStoredError` when there is none."""

    def has(self, digest: Digest) -> bool:
        """Whether there is a file of that digest."""


# In a folder or an object store: `sha256/<first two digits>/<64 digits>`. Of a folder its listing and its files.


class ObjectStore:
    """Files by digest in `objects`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def url(self) -> str:
        return self._objects.url

    def put(self, digest: Digest, file: Path, *, name: str | None = None) -> bool:
        del name
        listing = verify(file, digest)
        if not isinstance(listing, Listing):
            return self._put(digest, file, listing.size_bytes)
        new = [self._put(each.digest, file / each.path, each.size_bytes) for each in listing.members]
        place = _name(digest)  # last, so that where it is, all that it names is
        if self._objects.size(place) == len(listing.document) and not any(new):
            return False
        self._objects.write(place, listing.document)
        return True

    def _put(self, digest: Digest, file: Path, size: int) -> bool:
        name = _name(digest)
        if self._objects.size(name) == size:
            return False
        self._objects.upload(file, name)  # over what an interrupted upload may have left
        return True

    def get(self, digest: Digest, target: Path, *, size: int | None = None) -> None:
        name = _name(digest)
        if self._objects.size(name) is None:
            raise NotStoredError(digest, self.url)
        where, stream = f"{self.url}/{name}", self._objects.chunks(name)
        head = next(stream, b"")
        if not head.startswith(LISTING):
            take(chain((head,), stream), target, digest, size=size, where=where)
            return
        listing = read_listing(chain((head,), stream), digest, where)
        if size is not None and listing.size_bytes != size:
            raise other_bytes(where, f"there are {listing.size_bytes:,} bytes of {digest} instead of {size:,}")
        try:
            lay_out(listing, target, lambda each: self._objects.chunks(_name(each.digest)), where=where)
        except FileNotFoundError:
            raise NotEvaluatedError("a file of the folder is not there", where=where, hint=_AGAIN) from None

    def has(self, digest: Digest) -> bool:
        return self._objects.size(_name(digest)) is not None


def _name(digest: Digest) -> str:
    digits = digest.removeprefix("sha256:")
    return f"sha256/{digits[:2]}/{digits}"


# A store in an OCI registry: one ModelPack manifest a file, tagged `sha256-<64 digits>`.


class OciStore:
    """Files by digest in one repository of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @classmethod
    def of(cls, url: str, *, token: str | None = None) -> Self:
        """The store of an `oci://` URL."""
        place = Place.of(url)
        return cls(Registry(place, find_credentials(place.host, token)))

    @property
    def url(self) -> str:
        return self._registry.place.url

    def put(self, digest: Digest, file: Path, *, name: str | None = None) -> bool:
        found = verify(file, digest)
        if self._is_there(digest):
            return False
        called = name or (MODEL_FILE if file.name.endswith(".onnx") else file.name)
        push(self._registry, file, ModelManifest.of(found, called), _tag(digest))
        return True

    def get(self, digest: Digest, target: Path, *, size: int | None = None) -> None:
        found = self._manifest(digest)
        if found is None:
            raise NotStoredError(digest, self.url)
        if size is not None and found.file.size_bytes != size:
            raise NotEvaluatedError(
                f"it has {found.file.size_bytes:,} bytes instead of {size:,}", where=f"{self.url}@{digest}"
            )
        fetch(self._registry, found, target)

    def has(self, digest: Digest) -> bool:
        found = self._manifest(digest)
        return found is not None and all(map(self._registry.has_blob, found.blobs))

    def _is_there(self, digest: Digest) -> bool:
        """As `has`; but GitHub's registry refuses to say so of a package that is not there yet, and then it is not."""
        try:
            return self.has(digest)
        except RefusedError:
            return False

    def _manifest(self, digest: Digest) -> ModelManifest | None:
        """A tag can be moved, so what it names has to be what it is called by."""
        found = manifest_at(self._registry, _tag(digest))
        if found is not None and found[1].file.digest != digest:
            raise NotEvaluatedError(
                f"the tag of {digest} was moved to {found[1].file.digest}",
                where=self.url,
                hint="Delete the tag there, and store the model again.",
            )
        return found[1] if found else None


def _tag(digest: Digest) -> str:
    return digest.replace(":", "-")


def open_store(url: str, folder: Path, *, token: str | None = None) -> ModelStore:
    """The store of a URL: a folder, any fsspec URL, or `oci://registry/repository`; talks to nobody yet.

    `folder` is the repository's root. `token` is for `ghcr.io` alone: other places find their own credentials. Raises
    `UsageError` for another URL, and `MissingDriverError` where nothing that is installed reaches it.
    """
    if url.lower().startswith("oci://"):
        return OciStore.of(url, token=token)
    return ObjectStore(open_objects(url, folder))
