"""Where the demo plays: a fresh repository of the example, with a store and two environments beside it."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.resources import examples

REPOSITORY = "adult-income"
_DELIVERY = """
store: {folder}/store
environments:
  staging:
    target: {folder}/staging
    smoke: {{requests: 50, p95_ms: 500, command: "test ! -e '{down}'"}}
  production:
    target: {folder}/production
    after: staging
    approvals: 1
    smoke: {{requests: 50, p95_ms: 500}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change to one file: `old` becomes `new`; a file that is new has no `old`."""

    path: str
    old: str = ""
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where the demo plays.

    Attributes:
        folder: of everything the demo makes.
        repository: a git repository of the example.
        reports: one page a scene.
        mark: a file that exists only if somebody loaded the pickle.
        down: a file that exists while staging's endpoint does not answer.
    """

    folder: Path
    repository: Path
    reports: Path
    mark: Path
    down: Path


def build(folder: Path) -> Stage:
    """Make the repository, with one commit on main.

    Raises:
        UsageError: the folder is in use.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("The folder is not empty.", where=str(folder), mend="Name a new one with --out.")
    stage = Stage(
        folder=folder,
        repository=folder / REPOSITORY,
        reports=folder / "reports",
        mark=folder / "the-pickle-ran",
        down=folder / "the-endpoint-is-down",
    )
    shutil.copytree(examples() / REPOSITORY, stage.repository, ignore=shutil.ignore_patterns("__pycache__"))
    stage.reports.mkdir()
    with (stage.repository / "mlbot.yaml").open("a", encoding="utf-8") as config:
        config.write(_DELIVERY.format(folder=folder.absolute().as_uri(), down=stage.down.absolute()))
    git(stage, "init", "--quiet", "--initial-branch=main")
    commit(stage, "Predict income from the census")
    return stage


def branch(stage: Stage, name: str, edits: Sequence[Edit], message: str) -> None:
    """Check out a branch of main with one commit more; nothing is done to one that is there."""
    there = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{name}"],
        cwd=stage.repository,
        check=False,
        capture_output=True,
    )
    if there.returncode == 0:
        return
    git(stage, "checkout", "--quiet", "-b", name, "main")
    for edit in edits:
        apply(edit, stage)
    commit(stage, message)


def apply(edit: Edit, stage: Stage) -> None:
    """Change one file.

    Raises:
        NotEvaluatedError: the example is another one than the demo knows.
    """
    path = stage.repository / edit.path
    before = path.read_text(encoding="utf-8") if edit.old else ""
    if before.count(edit.old) != 1 and edit.old:
        raise NotEvaluatedError("The example is not as the demo knows it.", where=edit.path, mend="Install mlbot anew.")
    new = edit.new.replace("{mark!r}", repr(str(stage.mark)))
    path.write_text(before.replace(edit.old, new) if edit.old else new, encoding="utf-8")


def commit(stage: Stage, message: str) -> None:
    """Commit all that there is."""
    git(stage, "add", "--all")
    git(stage, "commit", "--quiet", "--message", message)


def git(stage: Stage, *arguments: str) -> None:
    """Run git as the demo's user."""
    author = ("-c", "user.name=mlbot demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgSign=false")
    subprocess.run(["git", *author, *arguments], cwd=stage.repository, check=True, stdout=subprocess.DEVNULL)
