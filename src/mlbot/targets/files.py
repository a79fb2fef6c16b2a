"""An environment in a folder or an object store."""

from pathlib import Path

from mlbot.core.record import Digest, Name
from mlbot.core.registry import Version
from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.targets.base import Served
from mlbot.targets.layout import (
    CONFIG_FILE,
    MODEL_FILE,
    SMALL,
    STAGED_FILE,
    Config,
    Staged,
    config_text,
    number_of,
    read_config,
    read_staged,
)
from mlbot.transfer.digest import checked, take, verify
from mlbot.transfer.objects import Objects

KEPT = 3
"""How many versions stay there: the served one, and those before it."""


class FilesTarget:
    """Versions in `objects`, in the layout of `mlbot.targets.layout`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def url(self) -> str:
        """Where it is."""
        return self._objects.url

    def live(self, model: Name) -> Served | None:
        """See `Target`."""
        config = self._config(model)
        return config.served if config else None

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        """See `Target`."""
        text = version.text
        folder = f"{model}/{number_of(text)}"
        verify(file, digest)
        found, size = self._staged(folder), file.stat().st_size
        if found is not None and (found.version, found.digest) != (text, digest):
            raise RefusedError(
                f"{model}@v{text} is there with other bytes: {found.digest} instead of {digest}",
                where=f"{self.url}/{folder}",
                mend="A version never changes. Release these bytes under another one.",
            )
        if found is None or not self._is_whole(folder, digest, size):
            self._objects.upload(file, f"{folder}/{MODEL_FILE}")
            self._verify(folder, digest, size)
            record = Staged(version=text, digest=digest, size_bytes=size)
            self._objects.write(f"{folder}/{STAGED_FILE}", record.model_dump_json().encode())

    def switch(self, model: Name, version: Version) -> None:
        """See `Target`."""
        text = version.text
        folder = f"{model}/{number_of(text)}"
        staged = self._staged(folder)
        if staged is None:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=f"{self.url}/{folder}")
        self._verify(folder, staged.digest, staged.size_bytes)
        before = self._config(model)
        earlier = tuple(each for each in before.kept if each != text) if before else ()
        config = Config(
            served=Served(version=text, digest=staged.digest),
            kept=(text, *earlier)[:KEPT],
            extra=before.extra if before else "",
        )
        if config != before:
            self._objects.write(f"{model}/{CONFIG_FILE}", config_text(model, config).encode())
        self._prune(model, config)

    def withdraw(self, model: Name) -> bool:
        """See `Target`. The configuration goes first; the rest after it, or a server that needs none would serve it."""
        if self._config(model) is not None:
            self._objects.remove(f"{model}/{CONFIG_FILE}")
        for name in self._objects.folders(model):
            if name.isdigit():
                self._objects.remove_folder(f"{model}/{name}")
        return True

    def fetch(self, model: Name, target: Path) -> Served:
        """See `Target`."""
        served = self.live(model)
        if served is None:
            raise NotEvaluatedError(f"nothing of {model} is served", where=self.url)
        name = f"{model}/{number_of(served.version)}/{MODEL_FILE}"
        try:
            take(self._objects.chunks(name), target, served.digest, size=None, where=f"{self.url}/{name}")
        except FileNotFoundError:
            raise NotEvaluatedError("the served file is not there", where=f"{self.url}/{name}") from None
        return served

    def _config(self, model: Name) -> Config | None:
        """What is served.

        Raises:
            RefusedError: Somebody else's configuration is there; it would be overwritten.
        """
        content = self._objects.read(f"{model}/{CONFIG_FILE}", SMALL)
        if content is None:
            return None
        config = read_config(content, model)
        if config is None:
            raise RefusedError(
                "it was not written by mlbot, or was changed since",
                where=f"{self.url}/{model}/{CONFIG_FILE}",
                mend="Move it away; after the next deployment add settings of your own below mlbot's lines.",
            )
        return config

    def _staged(self, folder: str) -> Staged | None:
        content = self._objects.read(f"{folder}/{STAGED_FILE}", SMALL)
        return None if content is None else read_staged(content)

    def _is_whole(self, folder: str, digest: Digest, size: int) -> bool:
        try:
            self._verify(folder, digest, size)
        except NotEvaluatedError:
            return False
        return True

    def _verify(self, folder: str, digest: Digest, size: int) -> None:
        """Read a version's bytes back."""
        name = f"{folder}/{MODEL_FILE}"
        try:
            for _ in checked(self._objects.chunks(name), digest, size=size, where=f"{self.url}/{name}"):
                pass
        except FileNotFoundError:
            raise NotEvaluatedError("it is not there", where=f"{self.url}/{name}") from None

    def _prune(self, model: Name, config: Config) -> None:
        """Take away versions that nobody goes back to, and what interrupted deployments staged."""
        kept = {str(number_of(each)) for each in config.kept}
        for name in self._objects.folders(model):
            if name.isdigit() and name not in kept:
                self._objects.remove_folder(f"{model}/{name}")
