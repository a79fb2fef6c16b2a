"""Real git repositories for tests, untouched by the settings of whoever runs them."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import machine


@dataclass(frozen=True)
class Sandbox:
    """A repository and the hands of its user."""

    path: Path

    def git(self, *arguments: str) -> str:
        """Run git as the user; what it printed."""
        who = machine.ADA | os.environ
        done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, text=True, check=True, env=who)
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Write files, folders included."""
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def commit(self, files: Mapping[str, str] | None = None, message: str = "A commit") -> str:
        """Write files, add all there is, commit it; the commit's id."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def make(path: Path) -> Sandbox:
    """An empty repository whose branch is main."""
    path.mkdir(parents=True)
    sandbox = Sandbox(path)
    sandbox.git("init", "--quiet")
    return sandbox
