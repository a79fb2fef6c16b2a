"""Files for the tests of stores and targets."""

from pathlib import Path

from mlbot.lib.record import Digest
from mlbot.lib.version import Version
from mlbot.storage.artifact import measured
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


def made_folder(path: Path, weights: bytes = b"weights" * 1000) -> tuple[str, Path]:
    """A folder in a folder, and its digest."""
    folder = path / "artifact"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "weights").write_bytes(weights)
    (folder / "a" / "again").write_bytes(weights)
    (folder / ".empty").touch()
    (folder / "run").write_text("#!/bin/sh")
    (folder / "run").chmod(0o755)
    return measured(folder).digest, folder
