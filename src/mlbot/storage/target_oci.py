"""An environment in an OCI registry: a repository a model, a tag a version, and one tag that is the environment's.

oci://registry/repository/<model>:v1.2.0
oci://registry/repository/<model>:<environment>     moved to the manifest of the served version
"""

from pathlib import Path
from typing import Self

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.lib.record import Digest, Name
from mlbot.lib.version import Served, Version
from mlbot.storage.digest import verify
from mlbot.storage.modelpack import MODEL, VERSION, Packed, Told, push, told
from mlbot.storage.oci import Credentials, Place, Registry, find_credentials


class OciTarget:
    """Versions and the environment's tag in a registry. Tags can be overwritten there, so digests are compared."""

    def __init__(self, place: Place, environment: Name, credentials: Credentials | None) -> None:
        self._place = place
        self._environment = environment
        self._credentials = credentials

    @classmethod
    def of(cls, url: str, environment: Name, *, token: str | None = None) -> Self:
        """The target of an `oci://` URL.

        Raises:
            UsageError: It names no registry and repository.
        """
        place = Place.of(url)
        return cls(place, environment, find_credentials(place.host, token))

    @property
    def url(self) -> str:
        """Where it is."""
        return self._place.url

    def live(self, model: Name) -> Served | None:
        """See `Target`."""
        found = self._told(self._registry(model), self._environment, model)
        return Served(version=found[1].version, digest=found[1].file.digest) if found else None

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        """See `Target`."""
        verify(file, digest)
        registry, text = self._registry(model), version.text
        packed = Packed(name="model.onnx", digest=digest, size_bytes=file.stat().st_size)
        found = self._told(registry, f"v{text}", model)
        if found is not None and found[1].file.digest != digest:
            raise RefusedError(
                f"{model}@v{text} is there with other bytes: {found[1].file.digest} instead of {digest}",
                where=registry.place.url,
                hint="A version never changes. Release these bytes under another one.",
            )
        push(registry, file, packed, f"v{text}", {MODEL: model, VERSION: text})

    def switch(self, model: Name, version: Version) -> None:
        """See `Target`."""
        registry, text = self._registry(model), version.text
        found = self._told(registry, f"v{text}", model)
        if found is None:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=registry.place.url)
        content, staged = found
        if staged.version != text:
            raise NotEvaluatedError(f"the tag v{text} is of version {staged.version}", where=registry.place.url)
        registry.verify_blob(staged.file.digest, staged.file.size_bytes)
        registry.put_manifest(self._environment, content)

    def withdraw(self, model: Name) -> bool:
        """See `Target`. Registries move tags; hardly any lets one be taken away (GHCR and Debian's do not)."""
        return self.live(model) is None

    def fetch(self, model: Name, target: Path) -> Served:
        """See `Target`."""
        registry = self._registry(model)
        found = self._told(registry, self._environment, model)
        if found is None:
            raise NotEvaluatedError(f"nothing of {model} is served", where=registry.place.url)
        file = found[1].file
        registry.fetch_blob(file.digest, file.size_bytes, target)
        return Served(version=found[1].version, digest=file.digest)

    def _registry(self, model: Name) -> Registry:
        return Registry(self._place.inside(model), self._credentials)

    def _told(self, registry: Registry, tag: str, model: Name) -> tuple[bytes, Told] | None:
        """Repositories have no capital letters, so `A` and `a` meet in one; whose it is stands in the manifest."""
        found = told(registry, tag)
        if found is not None and found[1].model != model:
            raise RefusedError(
                f"its tag {tag} is not of {model}",
                where=registry.place.url,
                hint="Give this environment a repository of its own, and models names that differ by more than case.",
            )
        return found
