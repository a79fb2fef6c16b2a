"""The run that judged a pull request on the fake GitHub, with what its action uploads."""

import copy

from tests.fake_github import ops_actions
from tests.fake_github.runs import Run
from tests.support.hosted import JUDGE_ATTEMPT, JUDGE_RUN, Stage, archive


def judge_run(stage: Stage) -> Run:
    """The judge's run, whose report can be fetched."""
    judge = copy.copy(stage.run)
    judge.id, judge.event, judge.head_branch = JUDGE_RUN, "workflow_run", "main"
    judge.attempts = [copy.copy(stage.run.attempts[0])]
    stage.github.world.runs[judge.id] = judge
    folder = stage.judged / "report"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ops_actions.upload(stage.github.world, judge, JUDGE_ATTEMPT, f"mlbot-report-a{JUDGE_ATTEMPT}", archive(files))
    return judge
