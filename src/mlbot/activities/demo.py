"""`mlbot demo`: five pull requests on real data, each really trained and judged."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.activities.extras import require
from mlbot.console import Console
from mlbot.core.outcome import Outcome
from mlbot.core.report import NoticeCode
from mlbot.errors import Exit, NotEvaluatedError, UsageError
from mlbot.resources import examples

if TYPE_CHECKING:
    from mlbot.core.report import Report

_REPOSITORY = "adult-income"


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change to one file: `old` becomes `new`; a file that is new has no `old`."""

    path: str
    old: str = ""
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One pull request of the demo.

    Attributes:
        name: of its branch and report.
        story: what its author did.
        edits: its change.
        expected: the outcomes that are right; anything else is a bug in mlbot.
        check: looks closer; returns what is wrong, or nothing.
    """

    name: str
    story: str
    edits: tuple[Edit, ...]
    expected: frozenset[Outcome]
    check: "Callable[[Report, Stage], str]" = lambda _report, _stage: ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What came of a scene."""

    scene: Scene
    report: "Report"
    page: Path
    wrong: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where the demo plays.

    Attributes:
        folder: of everything the demo makes.
        repository: a git repository of the example.
        reports: one page a scene.
        mark: a file that exists only if somebody loaded the pickle.
    """

    folder: Path
    repository: Path
    reports: Path
    mark: Path


_PICKLE = """# Writes a pickle under the name of an ONNX file. Whoever loads it runs its code.
import os
import pickle
from pathlib import Path


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path({mark!r}),))


Path(os.environ["MLBOT_MODEL"]).write_bytes(pickle.dumps(Payload()))
print("roc_auc=0.9999")
"""
_GATES = """    gates:
      roc_auc: {min: 0.90, max_regression: 0.005}
      log_loss: {max: 0.35}
      accuracy: {max_regression: 0.01}
      recall@women: {min: 0.50}
      roc_auc@black: {max_regression: 0.03}
      recall@asian-pacific: {min: 0.45}
"""
_ENTRYPOINT = "      entrypoint: income.train:train   # (params, seed) -> a fitted pipeline, which mlbot exports\n"
_CALLED_OUT = {NoticeCode.POLICY_DIFFERS, NoticeCode.UNVERIFIED_CLAIM}


def _scenes() -> tuple[Scene, ...]:
    """The five pull requests, in the order they are opened."""
    return (
        Scene(
            name="improve",
            story="more trees: max_iter from 60 to 200",
            edits=(Edit(path="params.yaml", old="max_iter: 60", new="max_iter: 200"),),
            expected=frozenset({Outcome.PASS}),
        ),
        Scene(
            name="lost-feature",
            story="a refactoring that forgets the column capital_gain",
            edits=(Edit(path="income/train.py", old='"capital_gain", ', new=""),),
            expected=frozenset({Outcome.FAIL}),
        ),
        Scene(
            name="seed",
            story="nothing but another random_state",
            edits=(Edit(path="params.yaml", old="random_state: 0", new="random_state: 1000"),),
            expected=frozenset({Outcome.PASS, Outcome.INCONCLUSIVE}),
        ),
        Scene(
            name="no-gates",
            story="a worse model that drops the gates in its own mlbot.yaml and prints a fake roc_auc",
            edits=(
                Edit(path="mlbot.yaml", old=_GATES, new="    gates:\n      roc_auc: {min: 0.5}\n"),
                Edit(path="params.yaml", old="max_iter: 60", new="max_iter: 4"),
                Edit(
                    path="income/train.py",
                    old="    frame = read()\n",
                    new='    frame = read()\n    print("roc_auc=0.9999")\n',
                ),
            ),
            expected=frozenset({Outcome.FAIL}),
            check=_called_out,
        ),
        Scene(
            name="pickle",
            story="a pickle named .onnx that would run code when loaded",
            edits=(
                Edit(path="train_pickle.py", new=_PICKLE),
                Edit(path="mlbot.yaml", old=_ENTRYPOINT, new="      run: python train_pickle.py\n"),
            ),
            expected=frozenset({Outcome.ERROR}),
            check=_never_loaded,
        ),
    )


def play(directory: Path, out: Path | None, only: Sequence[str], console: Console) -> Exit:
    """Play the scenes, print each verdict as it comes, then a table.

    Args:
        directory: where `out` is relative to.
        out: the folder to make; None: a fresh one among the temporary files.
        only: the scenes to play; empty: all.
        console: where to tell of it.

    Returns:
        OK when every outcome is the right one, else FAILED.

    Raises:
        UsageError: `out` is in use, or a scene is unknown.
    """
    require("ml", needed_for="The demo")
    scenes = _chosen(only)
    stage = _build(directory / out if out else Path(tempfile.mkdtemp(prefix="mlbot-demo-")))
    console.say(f"A git repository of the example: {stage.repository}")
    played = [_play(scene, stage, console) for scene in scenes]
    console.result(_table(played))
    console.result(f"\nReports: {stage.reports}\nTry it yourself: cd {stage.repository}, change something, mlbot run\n")
    return Exit.FAILED if any(each.wrong for each in played) else Exit.OK


def _chosen(only: Sequence[str]) -> tuple[Scene, ...]:
    scenes = _scenes()
    unknown = set(only) - {scene.name for scene in scenes}
    if unknown:
        raise UsageError(
            f"There is no scene '{min(unknown)}'.", mend=f"The scenes are: {', '.join(s.name for s in scenes)}."
        )
    return tuple(scene for scene in scenes if not only or scene.name in only)


def _build(folder: Path) -> Stage:
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("The folder is not empty.", where=str(folder), mend="Name a new one with --out.")
    stage = Stage(
        folder=folder,
        repository=folder / _REPOSITORY,
        reports=folder / "reports",
        mark=folder / "the-pickle-ran",
    )
    shutil.copytree(examples() / _REPOSITORY, stage.repository, ignore=shutil.ignore_patterns("__pycache__"))
    stage.reports.mkdir()
    _git(stage, "init", "--quiet", "--initial-branch=main")
    _commit(stage, "Predict income from the census")
    return stage


def _play(scene: Scene, stage: Stage, console: Console) -> Played:
    from mlbot.activities.reporting import write_page
    from mlbot.activities.run import RunOptions, run_models
    from mlbot.render import terminal

    console.say(f"\n── {scene.name}: {scene.story}")
    _git(stage, "checkout", "--quiet", "-b", scene.name, "main")
    for edit in scene.edits:
        _apply(edit, stage)
    _commit(stage, scene.story)
    report = run_models(stage.repository, RunOptions(), console)
    page = stage.reports / f"{scene.name}.html"
    write_page(report, page)
    console.result(terminal(report, console.color, console.width, brief=True))
    wrong = _wrong(scene, report, stage)
    if wrong:
        console.error(f"This is not what should happen: {wrong}")
    return Played(scene=scene, report=report, page=page, wrong=wrong)


def _wrong(scene: Scene, report: "Report", stage: Stage) -> str:
    outcome = report.verdict.outcome
    if outcome not in scene.expected:
        return f"the verdict is {outcome}, not {' or '.join(sorted(scene.expected))}"
    return scene.check(report, stage)


def _called_out(report: "Report", _stage: Stage) -> str:
    codes = {notice.code for notice in (*report.notices, *(n for model in report.models for n in model.notices))}
    return f"the report does not say {', '.join(sorted(_CALLED_OUT - codes))}" if _CALLED_OUT - codes else ""


def _never_loaded(_report: "Report", stage: Stage) -> str:
    return "the pickle was loaded, and its code ran" if stage.mark.exists() else ""


def _table(played: Sequence[Played]) -> str:
    rows = [(p.scene.name, p.report.verdict.outcome, p.report.verdict.reason, str(p.page)) for p in played]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n" + "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) for row in rows
    )


def _apply(edit: Edit, stage: Stage) -> None:
    path = stage.repository / edit.path
    before = path.read_text(encoding="utf-8") if edit.old else ""
    if before.count(edit.old) != 1 and edit.old:
        raise NotEvaluatedError("The example is not as the demo knows it.", where=edit.path, mend="Install mlbot anew.")
    new = edit.new.replace("{mark!r}", repr(str(stage.mark)))
    path.write_text(before.replace(edit.old, new) if edit.old else new, encoding="utf-8")


def _commit(stage: Stage, message: str) -> None:
    _git(stage, "add", "--all")
    _git(stage, "commit", "--quiet", "--message", message)


def _git(stage: Stage, *arguments: str) -> None:
    author = ("-c", "user.name=mlbot demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgSign=false")
    subprocess.run(["git", *author, *arguments], cwd=stage.repository, check=True)
