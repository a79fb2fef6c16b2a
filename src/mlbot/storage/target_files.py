"""An environment in a folder or an object store."""

import re
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.lib.record import Count, Digest, Name, Record
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.lib.version import PRE, Served, Version
from mlbot.storage.digest import checked, take, verify
from mlbot.storage.objects import Objects

# The model repository layout that Triton and KServe serve from.

MODEL_FILE, STAGED_FILE, CONFIG_FILE = "model.onnx", "mlbot.json", "config.pbtxt"

SMALL = 65_536  # bytes of the largest record that is read
_PART = 1000
_DIGITS = r"(?:0|[1-9][0-9]{0,2})"
_VERSION = rf"({_DIGITS})\.({_DIGITS})\.({_DIGITS})(-{PRE})?"

_PARAMETER = re.compile(
    r'^  key: "mlbot\.(?P<key>version|digest|kept)"\n  value \{ string_value: "(?P<value>[^"\\\n]{0,400})" \}$',
    re.MULTILINE,
)


class Staged(Served):
    """What lies in a version's folder (`mlbot.json`)."""

    size_bytes: Count


class Config(Record):
    """What is served, and which versions stay for a rollback."""

    served: Served
    versions: tuple[str, ...]  # newest first; the first is the served one
    extra: str = ""  # what a person added below mlbot's lines, such as an `instance_group`; it stays


def number_of(version: str) -> int:
    """The folder's number of a version: `1.2.3` is 1002003. Raises `UsageError` for 0.0.0 and for parts of 1000.

    Between two releases there is no number, so a pre-release's is above those of all and taken from its text.
    """
    found = re.fullmatch(_VERSION, version)
    if found is None or version == "0.0.0":
        raise UsageError(
            f"version {version} has no folder number: each part has to be below {_PART}, and 0.0.0 is none",
            hint="Release it under another version.",
        )
    if found[4]:
        return _PART**3 + int(sha256(version.encode()).hexdigest()[:12], 16)
    major, minor, patch = map(int, found.groups()[:3])
    return (major * _PART + minor) * _PART + patch


def config_text(model: Name, config: Config) -> str:
    """`config.pbtxt`: Triton serves exactly this version, and completes the rest from the ONNX file."""
    parameters = "".join(
        f'parameters {{\n  key: "mlbot.{key}"\n  value {{ string_value: "{value}" }}\n}}\n'
        for key, value in (
            ("version", config.served.version),
            ("digest", config.served.digest),
            ("kept", " ".join(config.versions)),
        )
    )
    versions = f"versions: [{number_of(config.served.version)}]"
    return (
        "# Written by mlbot at each deployment. Settings of your own go below its lines, and stay.\n"
        f'name: "{model}"\nbackend: "onnxruntime"\n'
        f"version_policy {{ specific {{ {versions} }} }}\n{parameters}{config.extra}"
    )


def read_config(content: bytes, model: Name) -> Config | None:
    """What a `config.pbtxt` says; None for one that mlbot did not write, letter by letter (but for what is below)."""
    values: dict[str, str] = {}
    try:
        text = content.decode("utf-8")
        for found in _PARAMETER.finditer(text):
            values.setdefault(found["key"], found["value"])
        served = Served(version=values.get("version", ""), digest=values.get("digest", ""))
        config = Config(served=served, versions=tuple(values.get("kept", "").split()))
        lines = config_text(model, config)
    except (UnicodeDecodeError, ValidationError, UsageError):
        return None
    return config.model_copy(update={"extra": text.removeprefix(lines)}) if text.startswith(lines) else None


def read_staged(content: bytes) -> Staged | None:
    """What a `mlbot.json` says; None for one that mlbot did not write."""
    try:
        return read(content, Staged, STAGED_FILE)
    except HostileJsonError:
        return None


MOST_VERSIONS = 3  # how many versions stay there: the served one, and those before it


class FilesTarget:
    """Versions in `objects`, in the layout of `mlbot.storage.target_files`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def url(self) -> str:
        return self._objects.url

    def live(self, model: Name) -> Served | None:
        config = self._config(model)
        return config.served if config else None

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        text = version.text
        folder = f"{model}/{number_of(text)}"
        verify(file, digest)
        found, size = self._staged(folder), file.stat().st_size
        if found is not None and (found.version, found.digest) != (text, digest):
            raise RefusedError(
                f"{model}@v{text} is there with other bytes: {found.digest} instead of {digest}",
                where=f"{self.url}/{folder}",
                hint="A version never changes. Release these bytes under another one.",
            )
        if found is None or not self._is_whole(folder, digest, size):
            self._objects.upload(file, f"{folder}/{MODEL_FILE}")
            self._verify(folder, digest, size)
            record = Staged(version=text, digest=digest, size_bytes=size)
            self._objects.write(f"{folder}/{STAGED_FILE}", record.model_dump_json().encode())

    def switch(self, model: Name, version: Version) -> None:
        text = version.text
        folder = f"{model}/{number_of(text)}"
        staged = self._staged(folder)
        if staged is None:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=f"{self.url}/{folder}")
        self._verify(folder, staged.digest, staged.size_bytes)
        before = self._config(model)
        earlier = tuple(each for each in before.versions if each != text) if before else ()
        config = Config(
            served=Served(version=text, digest=staged.digest),
            versions=(text, *earlier)[:MOST_VERSIONS],
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
        """What is served; raises `RefusedError` for somebody else's configuration, which would be overwritten."""
        content = self._objects.read(f"{model}/{CONFIG_FILE}", SMALL)
        if content is None:
            return None
        config = read_config(content, model)
        if config is None:
            raise RefusedError(
                "it was not written by mlbot, or was changed since",
                where=f"{self.url}/{model}/{CONFIG_FILE}",
                hint="Move it away; after the next deployment add settings of your own below mlbot's lines.",
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
        name = f"{folder}/{MODEL_FILE}"
        try:
            for _ in checked(self._objects.chunks(name), digest, size=size, where=f"{self.url}/{name}"):
                pass
        except FileNotFoundError:
            raise NotEvaluatedError("it is not there", where=f"{self.url}/{name}") from None

    def _prune(self, model: Name, config: Config) -> None:
        """Take away versions that nobody goes back to, and what interrupted deployments staged."""
        staying = {str(number_of(each)) for each in config.versions}
        for name in self._objects.folders(model):
            if name.isdigit() and name not in staying:
                self._objects.remove_folder(f"{model}/{name}")
