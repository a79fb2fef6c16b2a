"""Sealed rows in a bucket of their own: a folder that fsspec's `s3` leads to, for whoever has the credential."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem
from tests.support import tiny
from tests.support.releases import ENVIRONMENTS, World

from mlbot.ledger.entries import SealedEntry
from mlbot.ledger.queries import sealed_looks

ADDRESS = "s3://vault/sealed.csv"
SECRET = "k3y-" * 10
CREDENTIAL = "canary-credential-7f3a"
PLACE, PASS = "MLBOT_TEST_BUCKET", "VAULT_PASS"
ENVIRONMENT = {"MLBOT_SEALED_KEY": SECRET, PASS: CREDENTIAL}
"""What the job that scores gets, and no other."""


class Bucket(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """A bucket that is a folder of this machine."""

    protocol = "s3"
    cachable = False

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> BinaryIO:
        assert mode == "rb"
        if os.environ.get(PASS) != CREDENTIAL:
            raise PermissionError(f"403 for {path}")
        return (Path(os.environ[PLACE]) / path.rpartition("/")[2]).open("rb")

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        file = Path(os.environ[PLACE]) / path.rpartition("/")[2]
        return {"name": path, "size": file.stat().st_size, "type": "file"}


def mount() -> None:
    """Let fsspec know the bucket in this process."""
    fsspec.register_implementation("s3", Bucket, clobber=True)


@dataclass
class Vault:
    """The bucket's owner."""

    folder: Path

    def hold(self, rows: int = 4000, seed: int = 77) -> None:
        """Put other rows of the tiny repository's kind there."""
        self.write(tiny.rows(rows, seed))

    def write(self, text: str, name: str = "sealed.csv") -> None:
        """Put a file there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)


def config(address: str = ADDRESS) -> str:
    """The tiny repository's, with sealed rows, and nothing between a release and production."""
    holdout = "holdout: data/holdout.csv\n"
    text = tiny.CONFIG.replace(holdout, f"{holdout}      sealed: {address}\n")
    return text + ENVIRONMENTS.replace("after: staging, approvals: 1, ", "")


def vault(folder: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str] = ENVIRONMENT) -> Vault:
    """A bucket with rows, and this process as the one that may read it."""
    mount()
    for name, value in {**environment, PLACE: str(folder)}.items():
        monkeypatch.setenv(name, value)
    made = Vault(folder)
    made.hold()
    return made


def looks(world: World) -> tuple[SealedEntry, ...]:
    """Each look with what came of it, oldest first."""
    return sealed_looks(world.entries(), "tiny")
