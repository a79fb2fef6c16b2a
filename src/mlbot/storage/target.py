"""What every environment's target can do, and the target of an environment by its URL."""

from pathlib import Path
from typing import Protocol, Self

from mlbot.config.schema import EnvironmentConfig
from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.lib.artifact import ANY_FILE
from mlbot.lib.record import Digest, Name
from mlbot.lib.version import Served, Version
from mlbot.storage import oci
from mlbot.storage.artifact import verify
from mlbot.storage.objects import open_objects
from mlbot.storage.target_command import CommandTarget
from mlbot.storage.target_files import FilesTarget


class Target(Protocol):
    """Where an environment's models are. One deployment at a time: the environment's lock sees to it.

    Every call may be repeated. A process that dies between any two writes leaves the former version served, or the
    new one, never something between. Every method raises `NotEvaluatedError` when the target does not answer.
    """

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""

    def live(self, model: Name) -> Served | None:
        """What is served now; None: nothing that mlbot put there."""

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        """Bring a version's bytes there and verify them; what is served stays. `RefusedError` for other bytes of it."""

    def switch(self, model: Name, version: Version) -> None:
        """Serve a staged version whose bytes are still those that were staged, in one step."""

    def withdraw(self, model: Name) -> bool:
        """Serve nothing of the model any more, in one step: its first deployment failed, so nothing came before it.

        False where this kind of target cannot, and all stays as it is.
        """

    def fetch(self, model: Name, target: Path) -> Served:
        """Read back what is served, for the smoke test."""


# An environment in an OCI registry: a repository a model, a tag a version, and one tag that is the environment's.
#
#     oci://registry/repository/<model>:v1.2.0
#     oci://registry/repository/<model>:<environment>     moved to the manifest of the served version


class OciTarget:
    """Versions and the environment's tag in a registry. Tags can be overwritten there, so digests are compared."""

    def __init__(self, place: oci.Place, environment: Name, credentials: oci.Credentials | None) -> None:
        self._place = place
        self._environment = environment
        self._credentials = credentials

    @classmethod
    def of(cls, url: str, environment: Name, *, token: str | None = None) -> Self:
        """The target of an `oci://` URL."""
        place = oci.Place.of(url)
        return cls(place, environment, oci.find_credentials(place.host, token))

    @property
    def url(self) -> str:
        return self._place.url

    def live(self, model: Name) -> Served | None:
        found = self._manifest(self._registry(model), self._environment, model)
        return Served(version=found[1].version, digest=found[1].file.digest) if found else None

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        there = verify(file, digest)
        registry, text = self._registry(model), version.text
        found = self._manifest(registry, f"v{text}", model)
        if found is not None and found[1].file.digest != digest:
            raise RefusedError(
                f"{model}@v{text} is there with other bytes: {found[1].file.digest} instead of {digest}",
                where=registry.place.url,
                hint="A version never changes. Release these bytes under another one.",
            )
        name = file.name if oci.is_model(file.name) else ANY_FILE
        oci.push(registry, file, oci.ModelManifest.of(there, name, model, text), f"v{text}")

    def switch(self, model: Name, version: Version) -> None:
        registry, text = self._registry(model), version.text
        found = self._manifest(registry, f"v{text}", model)
        if found is None:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=registry.place.url)
        content, staged = found
        if staged.version != text:
            raise NotEvaluatedError(f"the tag v{text} is of version {staged.version}", where=registry.place.url)
        for blob, size in staged.blobs.items():
            registry.verify_blob(blob, size)
        registry.put_manifest(self._environment, content)

    def withdraw(self, model: Name) -> bool:
        """See `Target`. Registries move tags; hardly any lets one be taken away (GHCR and Debian's do not)."""
        return self.live(model) is None

    def fetch(self, model: Name, target: Path) -> Served:
        registry = self._registry(model)
        found = self._manifest(registry, self._environment, model)
        if found is None:
            raise NotEvaluatedError(f"nothing of {model} is served", where=registry.place.url)
        oci.fetch(registry, found[1], target)
        return Served(version=found[1].version, digest=found[1].file.digest)

    def _registry(self, model: Name) -> oci.Registry:
        return oci.Registry(self._place.inside(model), self._credentials)

    def _manifest(self, registry: oci.Registry, tag: str, model: Name) -> tuple[bytes, oci.ModelManifest] | None:
        """Repositories have no capital letters, so `A` and `a` meet in one; whose it is stands in the manifest."""
        found = oci.manifest_at(registry, tag)
        if found is not None and found[1].model != model:
            raise RefusedError(
                f"its tag {tag} is not of {model}",
                where=registry.place.url,
                hint="Give this environment a repository of its own, and models names that differ by more than case.",
            )
        return found


def open_target(environment: EnvironmentConfig, folder: Path, *, token: str | None = None) -> Target:
    """Where an environment of mlbot.yaml is; talks to nobody yet. Raises what `open_store` does.

    `folder` is the repository's root. `token` is for `ghcr.io` alone: other places find their own credentials, and a
    command of the user's never gets it.
    """
    url = environment.target
    if url.lower().startswith("oci://"):
        return OciTarget.of(url, environment.name, token=token)
    if url.startswith("command:"):
        return CommandTarget.of(environment, folder)
    return FilesTarget(open_objects(url, folder))
