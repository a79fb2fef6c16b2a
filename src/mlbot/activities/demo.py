"""`mlbot demo`: five pull requests on real data, each trained and judged; then one of them goes to production."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.activities.demo_delivery import DELIVERY, deliver
from mlbot.activities.demo_scenes import Scene, scenes
from mlbot.activities.demo_stage import Stage, branch, build
from mlbot.activities.extras import require
from mlbot.console import Console
from mlbot.errors import Exit, UsageError

if TYPE_CHECKING:
    from mlbot.core.report import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What came of a scene."""

    scene: Scene
    report: "Report"
    page: Path
    wrong: str


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
    chosen = _chosen(only)
    stage = build(directory / out if out else Path(tempfile.mkdtemp(prefix="mlbot-demo-")))
    console.say(f"A git repository of the example: {stage.repository}")
    played = [_play(scene, stage, console) for scene in chosen]
    steps = deliver(stage, console) if not only or DELIVERY in only else ()
    console.result(_table([*map(_row, played), *((step.name, step.ended, step.right, "") for step in steps)]))
    console.result(f"\nReports: {stage.reports}\nTry it yourself: cd {stage.repository}, change something, mlbot run\n")
    wrong = [*(each.wrong for each in played), *(step.wrong for step in steps)]
    return Exit.FAILED if any(wrong) else Exit.OK


def _chosen(only: Sequence[str]) -> tuple[Scene, ...]:
    every = scenes()
    names = [*(scene.name for scene in every), DELIVERY]
    unknown = set(only) - set(names)
    if unknown:
        raise UsageError(f"There is no scene '{min(unknown)}'.", mend=f"The scenes are: {', '.join(names)}.")
    return tuple(scene for scene in every if not only or scene.name in only)


def _play(scene: Scene, stage: Stage, console: Console) -> Played:
    from mlbot.activities.reporting import write_page
    from mlbot.activities.run import RunOptions, run_models
    from mlbot.render import terminal

    console.say(f"\n── {scene.name}: {scene.story}")
    branch(stage, scene.name, scene.edits, scene.story)
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


def _row(played: Played) -> tuple[str, str, str, str]:
    verdict = played.report.verdict
    return played.scene.name, verdict.outcome, verdict.reason, str(played.page)


def _table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = (
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) for row in rows
    )
    return "\n" + "\n".join(line.rstrip() for line in lines)
