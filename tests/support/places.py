"""Files for the tests of stores and targets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlbot.lib.record import Digest
from mlbot.lib.version import Version
from mlbot.storage import artifact
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


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of artifacts, as they are hashed from now on."""
    each, hash_one = list[str](), artifact._Reading._hashed

    def count(reading: artifact._Reading, descriptor: int, called: str, write: Callable[[bytes], object]) -> object:
        each.append(called)
        return hash_one(reading, descriptor, called, write)

    monkeypatch.setattr(artifact._Reading, "_hashed", count)
    return each
