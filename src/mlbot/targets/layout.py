"""The model repository layout that Triton and KServe serve from.

    <model>/config.pbtxt                the one object whose replacement is the switch
    <model>/<number>/model.onnx
    <model>/<number>/mlbot.json         what was staged there, written after the bytes were verified

Source: NVIDIA Triton Inference Server, "Model Repository" and "Model Configuration" (`version_policy`); a version's
folder has a positive number for a name, and files beside the model's are left alone.
"""

import re

from pydantic import ValidationError

from mlbot.core.hostile_json import HostileJsonError, read
from mlbot.core.record import Count, Digest, Name, Record
from mlbot.errors import UsageError
from mlbot.targets.base import Served

MODEL_FILE, STAGED_FILE, CONFIG_FILE = "model.onnx", "mlbot.json", "config.pbtxt"
SMALL = 65_536
"""Bytes of the largest record that is read."""
_PART = 1000
_DIGITS = r"(?:0|[1-9][0-9]{0,2})"
_VERSION = rf"{_DIGITS}\.{_DIGITS}\.{_DIGITS}"
_PARAMETER = re.compile(
    r'^  key: "mlbot\.(?P<key>version|digest|kept)"\n  value \{ string_value: "(?P<value>[^"\\\n]{0,400})" \}$',
    re.MULTILINE,
)


class Staged(Record):
    """What lies in a version's folder (`mlbot.json`)."""

    version: str
    digest: Digest
    size_bytes: Count


class Config(Record):
    """What is served, and which versions are kept for a rollback."""

    served: Served
    kept: tuple[str, ...]
    """Newest first; the first is the served one."""
    extra: str = ""
    """What a person added below mlbot's lines, such as an `instance_group`; it stays."""


def number_of(version: str) -> int:
    """The folder's number of a version: `1.2.3` is 1002003, so that they sort alike.

    Args:
        version: Without the `v`.

    Raises:
        UsageError: A part is 1000 or more, or all are 0: no number for it.
    """
    if not re.fullmatch(_VERSION, version) or version == "0.0.0":
        raise UsageError(
            f"version {version} has no folder number: each part has to be below {_PART}, and 0.0.0 is none",
            mend="Release it under another version.",
        )
    major, minor, patch = map(int, version.split("."))
    return (major * _PART + minor) * _PART + patch


def config_text(model: Name, config: Config) -> str:
    """`config.pbtxt`: Triton serves exactly this version, and completes the rest from the ONNX file."""
    parameters = "".join(
        f'parameters {{\n  key: "mlbot.{key}"\n  value {{ string_value: "{value}" }}\n}}\n'
        for key, value in (
            ("version", config.served.version),
            ("digest", config.served.digest),
            ("kept", " ".join(config.kept)),
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
    said: dict[str, str] = {}
    try:
        text = content.decode("utf-8")
        for found in _PARAMETER.finditer(text):
            said.setdefault(found["key"], found["value"])
        served = Served(version=said.get("version", ""), digest=said.get("digest", ""))
        config = Config(served=served, kept=tuple(said.get("kept", "").split()))
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
