"""An environment in a folder or an object store."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.lib.artifact import ANY_FILE, MODEL_FILE, Listing
from mlbot.lib.record import Count, Digest, FileDigest, Name, Record
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.lib.version import PRE, Served, Version
from mlbot.storage.artifact import lay_out, read_listing, verify
from mlbot.storage.digest import checked, take
from mlbot.storage.objects import Objects

# The model repository layout that Triton and KServe serve from.

STAGED_FILE, LISTING_FILE, CONFIG_FILE = "mlbot.json", "mlbot.tree", "config.pbtxt"

SMALL = 65_536  # bytes of the largest record that is read
_PART = 1000
_DIGITS = r"(?:0|[1-9][0-9]{0,2})"
_VERSION = rf"({_DIGITS})\.({_DIGITS})\.({_DIGITS})(-{PRE})?"

_PARAMETER = re.compile(
    r'^  key: "mlbot\.(?P<key>version|digest|kept)"\n  value \{ string_value: "(?P<value>[^"\\\n]{0,400})" \}$',
    re.MULTILINE,
)


_Named = Literal["model.onnx", "artifact"]


class Staged(Served):
    """What lies in a version's folder (`mlbot.json`)."""

    size_bytes: Count
    name: _Named = MODEL_FILE  # of the file or folder
    folder: bool = False  # then what is in it stands in `mlbot.tree`


class Config(Record):
    """What is served, and which versions stay for a rollback."""

    served: Served
    versions: tuple[str, ...]  # newest first; the first is the served one
    onnx: bool = True  # whether a server for ONNX files can serve it
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


_BACKEND = 'backend: "onnxruntime"\n'


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
        f'name: "{model}"\n{_BACKEND if config.onnx else ""}'
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
        versions = tuple(values.get("kept", "").split())
        configs = [Config(served=served, versions=versions, onnx=onnx) for onnx in (True, False)]
        written = [(each, config_text(model, each)) for each in configs]
    except (UnicodeDecodeError, ValidationError, UsageError):
        return None
    fitting = ((config, lines) for config, lines in written if text.startswith(lines))
    return next((config.model_copy(update={"extra": text.removeprefix(lines)}) for config, lines in fitting), None)


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
        there = verify(file, digest)
        found = self._staged(folder)
        if found is not None and (found.version, found.digest) != (text, digest):
            raise RefusedError(
                f"{model}@v{text} is there with other bytes: {found.digest} instead of {digest}",
                where=f"{self.url}/{folder}",
                hint="A version never changes. Release these bytes under another one.",
            )
        if found is not None and self._is_whole(folder, found):
            return
        name: _Named = ANY_FILE if file.name == ANY_FILE else MODEL_FILE
        is_folder = isinstance(there, Listing)
        record = Staged(version=text, digest=digest, size_bytes=there.size_bytes, name=name, folder=is_folder)
        if isinstance(there, Listing):
            for each in there.members:
                self._objects.upload(file / each.path, f"{folder}/{name}/{each.path}")
            self._objects.write(f"{folder}/{LISTING_FILE}", there.document)
        else:
            self._objects.upload(file, f"{folder}/{name}")
        self._verify(folder, record)
        self._objects.write(f"{folder}/{STAGED_FILE}", record.model_dump_json().encode())

    def switch(self, model: Name, version: Version) -> None:
        text = version.text
        folder = f"{model}/{number_of(text)}"
        staged = self._staged(folder)
        if staged is None:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=f"{self.url}/{folder}")
        self._verify(folder, staged)
        before = self._config(model)
        earlier = tuple(each for each in before.versions if each != text) if before else ()
        config = Config(
            served=Served(version=text, digest=staged.digest),
            versions=(text, *earlier)[:MOST_VERSIONS],
            onnx=staged.name == MODEL_FILE,
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
        folder = f"{model}/{number_of(served.version)}"
        staged = self._staged(folder)
        try:
            if staged is None or not staged.folder:
                name = f"{folder}/{staged.name if staged else MODEL_FILE}"
                take(self._objects.chunks(name), target, served.digest, size=None, where=f"{self.url}/{name}")
            else:
                listing = self._listing(folder, served.digest)
                place = f"{folder}/{staged.name}"
                where = f"{self.url}/{place}"
                lay_out(listing, target, lambda each: self._objects.chunks(f"{place}/{each.path}"), where=where)
        except FileNotFoundError:
            raise NotEvaluatedError("the served file is not there", where=f"{self.url}/{folder}") from None
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

    def _is_whole(self, folder: str, staged: Staged) -> bool:
        try:
            self._verify(folder, staged)
        except NotEvaluatedError:
            return False
        return True

    def _listing(self, folder: str, wanted: Digest) -> Listing:
        name = f"{folder}/{LISTING_FILE}"
        return read_listing(self._objects.chunks(name), wanted, f"{self.url}/{name}")

    def _verify(self, folder: str, staged: Staged) -> None:
        """Raise `NotEvaluatedError` unless all that is staged is there, as it was."""
        name = f"{folder}/{staged.name}"
        try:
            files = {name: FileDigest(digest=staged.digest, size_bytes=staged.size_bytes)}
            if staged.folder:
                members = self._listing(folder, staged.digest).members
                files = {f"{name}/{each.path}": each for each in members}
            for path, file in files.items():
                chunks = self._objects.chunks(path)
                for _ in checked(chunks, file.digest, size=file.size_bytes, where=f"{self.url}/{path}"):
                    pass
        except FileNotFoundError:
            raise NotEvaluatedError("it is not there", where=f"{self.url}/{name}") from None

    def _prune(self, model: Name, config: Config) -> None:
        """Take away versions that nobody goes back to, and what interrupted deployments staged."""
        staying = {str(number_of(each)) for each in config.versions}
        for name in self._objects.folders(model):
            if name.isdigit() and name not in staying:
                self._objects.remove_folder(f"{model}/{name}")
