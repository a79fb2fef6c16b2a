"""The pull requests behind the pictures: each really trained and judged, in a temporary folder."""

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pictures_fleet as fleet
from mlbot.console import Console
from mlbot.judging.run_local import RunOptions, run_models
from mlbot.lib.templates import examples
from mlbot.report.report import Report
from mlbot.setup import run_demo

_HOLDOUT = "data/holdout.csv"
_FEW_ROWS = 2_000
_WHEN = "2026-01-05T09:00:00Z"
_URL = "https://github.com/acme/"
_TO_PICKLE = (
    "      entrypoint: income.train:train   # (params, seed) -> a fitted pipeline, which mlbot exports\n",
    "      run: python train_pickle.py\n",
)
_PICKLE = """import json
import os
import pickle
from pathlib import Path

from income.train import train

params = json.loads(Path(os.environ["MLBOT_PARAMS"]).read_text())
model = train(params, int(os.environ["MLBOT_SEED"]))
Path(os.environ["MLBOT_MODEL"]).write_bytes(pickle.dumps(model))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One pull request.

    Attributes:
        name: of its picture.
        outcome: of the verdict that the picture is to show.
        message: what its author says of it.
        edits: file, old text, new text of each.
        repository: what it is made in.
        new_file: file and text, if there is one.
        holdout_rows: how many rows the guarded branch's holdout is cut to; None: all.
        needs: modules that its Python has to have.
        prepare: a command that brings what git has not.
    """

    name: str
    outcome: str
    message: str
    edits: tuple[tuple[str, str, str], ...]
    repository: str = "adult-income"
    new_file: tuple[str, str] | None = None
    holdout_rows: int | None = None
    needs: tuple[str, ...] = ()
    prepare: str | None = None


_SCENES = (
    Scene(
        name="pass",
        outcome="pass",
        message="Grow more trees",
        edits=(("params.yaml", "max_iter: 60", "max_iter: 200"),),
    ),
    Scene(
        name="fail",
        outcome="fail",
        message="Refactor the features",
        edits=(("income/train.py", '"capital_gain", ', ""),),
    ),
    Scene(
        name="inconclusive",
        outcome="inconclusive",
        message="Drop a column that is slow to fetch",
        edits=(("income/train.py", ', "hours_per_week"', ""),),
        holdout_rows=_FEW_ROWS,
    ),
    Scene(
        name="error",
        outcome="error",
        message="Save the model with pickle",
        edits=(("mlbot.yaml", *_TO_PICKLE),),
        new_file=("train_pickle.py", _PICKLE),
    ),
    Scene(
        name="ten-models",
        outcome="error",
        message="Take tenure in days",
        edits=(fleet.CHANGE,),
        repository="fleet",
    ),
)


def _examples() -> Iterator[Scene]:
    """Of each example the first pull request that is not to be merged."""
    for name in run_demo.example_names():
        if name == run_demo.REPOSITORY:
            continue
        played = run_demo._played(name)  # noqa: SLF001 - what the demo plays
        scene = next(each for each in played.scenes if each.expected == ("fail",))
        yield Scene(
            name=f"example-{name}",
            outcome="fail",
            message=scene.name,
            edits=tuple((edit.path, edit.old, edit.new) for edit in scene.edits),
            repository=name,
            needs=played.needs,
            prepare=played.prepare,
        )


def play(folder: Path, console: Console, only: Collection[str] = ()) -> Iterator[tuple[str, Report]]:
    """Train and judge every scene.

    Args:
        folder: An empty one, for the repositories.
        console: Where to tell of it.
        only: The pictures that are wanted; none: all.

    Yields:
        A picture's name and the report to show, as GitHub's side would fill it in.

    Raises:
        RuntimeError: A verdict is not what its picture is to show.
    """
    for number, scene in enumerate((*_SCENES, *_examples()), 1):
        if only and scene.name not in only:
            continue
        repository = _repository(folder, scene)
        _git(repository, "checkout", "--quiet", "-b", _branch(scene))
        for edit in scene.edits:
            _edit(repository, scene.repository, edit)
        if scene.new_file:
            path, text = scene.new_file
            (repository / path).write_text(text, encoding="utf-8")
        _commit(repository, scene.message)
        _prepare(repository, scene)
        report = run_models(repository, RunOptions(base="main"), console)
        if report.verdict.outcome != scene.outcome:
            raise RuntimeError(f"the verdict of {scene.name} is {report.verdict.outcome}, not {scene.outcome}")
        yield scene.name, _as_on_github(report, scene, number)


def _branch(scene: Scene) -> str:
    return scene.message.lower().replace(" ", "-")


def _repository(folder: Path, scene: Scene) -> Path:
    """The scene's repository at main: the one of an earlier scene where it is the same, with what that has trained."""
    path = folder / (f"{scene.repository}-{scene.holdout_rows}" if scene.holdout_rows else scene.repository)
    if path.exists():
        _git(path, "checkout", "--quiet", "main")
        return path
    if scene.repository == "fleet":
        fleet.write(path)
    else:
        shutil.copytree(examples() / scene.repository, path, ignore=shutil.ignore_patterns("__pycache__"))
    if scene.holdout_rows:
        lines = (path / _HOLDOUT).read_text(encoding="utf-8").splitlines(keepends=True)
        (path / _HOLDOUT).write_text("".join(lines[: scene.holdout_rows + 1]), encoding="utf-8")
    _git(path, "init", "--quiet", "--initial-branch=main")
    _commit(path, "Add what is there")
    return path


def _edit(repository: Path, called: str, edit: tuple[str, str, str]) -> None:
    name, old, new = edit
    text = (repository / name).read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise RuntimeError(f"{name} of {called} is not as this script knows it: it needs one {old!r}")
    (repository / name).write_text(text.replace(old, new), encoding="utf-8")


def _prepare(repository: Path, scene: Scene) -> None:
    """Bring what git has not, and let `python` be one that has what the example needs."""
    if scene.prepare:
        subprocess.run(["sh", "-c", scene.prepare], cwd=repository, check=True)
    if scene.needs:
        python = run_demo._python_with(scene.needs, scene.repository)  # noqa: SLF001 - as the demo finds it
        os.environ["PATH"] = os.pathsep.join((str(python), os.environ["PATH"]))


def _as_on_github(report: Report, scene: Scene, number: int) -> Report:
    """With the addresses that a report has when GitHub runs it."""
    url = f"{_URL}{scene.repository}"
    return report.model_copy(
        update={
            "repository": f"acme/{scene.repository}",
            "repository_url": url,
            "pull_request": number,
            "head_ref": _branch(scene),
            "run_url": f"{url}/actions/runs/{number}",
        }
    )


def _commit(repository: Path, message: str) -> None:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", message)


def _git(repository: Path, *arguments: str) -> None:
    """Run git with a fixed author and date, so that commits are the same each time."""
    author = {"NAME": "Ada", "EMAIL": "ada@example.com", "DATE": _WHEN}
    fixed = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in author.items()}
    command = ["git", "-c", "commit.gpgSign=false", *arguments]
    subprocess.run(command, cwd=repository, env={**os.environ, **fixed}, check=True)
