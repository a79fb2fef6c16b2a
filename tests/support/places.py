"""Files for the tests of stores and targets."""

from pathlib import Path

from mlbot.lib.record import Digest
from mlbot.lib.version import Version
from mlbot.storage.digest import digest_of


def made(folder: Path, content: bytes = b"the model", name: str = "model.onnx") -> tuple[Digest, Path]:
    """A file, and its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_bytes(content)
    return digest_of(file), file


def version(text: str) -> Version:
    """A version."""
    return Version.parse(text)
