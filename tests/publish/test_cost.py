"""What an attempt took of runners: from GitHub's jobs into the report, the comment and the ledger."""

import json
from pathlib import Path

import pytest
from tests.fake_github import ops_actions
from tests.fake_github.runs import Job
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.hosted import Stage, trained

from mlbot.errors import Exit
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.github.transport import NotFoundError
from mlbot.ledger.entries import CostEntry

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request beside a judged model of main."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    return stage


def job(number: int, start: str, end: str, conclusion: str = "success") -> Job:
    started, ended = f"2026-11-30T{start}Z", f"2026-11-30T{end}Z"
    facts = {"key": str(number), "name": f"Train {number}", "status": "completed", "conclusion": conclusion}
    return Job(id=9_000 + number, started_at=started, completed_at=ended, **facts)  # type: ignore[arg-type]


def costs(stage: Stage) -> list[CostEntry]:
    found = LedgerBranch.at(Remote(url=stage.github.user("boss").clone_url())).read("cost").entries
    return [each for each in found if isinstance(each, CostEntry)]


def judged(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    jobs = [
        job(1, "10:00:00", "10:02:30"),
        job(2, "10:00:00", "10:00:20"),
        job(3, "10:00:00", "10:00:00", "skipped"),
    ]
    ops_actions.finish(stage.github.world, stage.run, "success", jobs)
    stage.github.world.queue.clear()
    assert (stage.judge(), stage.publish()) == (Exit.OK, Exit.OK)


def test_minutes_come_from_github_and_go_into_report_comment_and_ledger(stage: Stage, good: Path) -> None:
    judged(stage, good)
    found = stage.report["cost"]
    assert found["training"] == [{"labels": ["ubuntu-latest"], "jobs": 2, "seconds": 170, "minutes": 4}]
    assert found["estimate"]["minutes"] == pytest.approx(170 / 60)
    assert found["estimate"]["price"] is None
    assert "Cost: 2 min 50 s of runners" in stage.comments[0]
    (entry,) = costs(stage)
    assert (entry.models, entry.pull_request, entry.trial) == (("tiny",), stage.pull.number, False)
    assert json.loads(entry.model_dump_json())["training"] == found["training"]
    tip = stage.models.git.commit_of("mlbot-ledger")
    assert stage.publish() == Exit.OK  # a second delivery
    assert stage.models.git.commit_of("mlbot-ledger") == tip


def test_a_verdict_does_not_rest_on_it(stage: Stage, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotFoundError("gone")

    monkeypatch.setattr("mlbot.judging.run_ci.job_times", refuse)
    judged(stage, good)
    assert stage.status[0] == "success"
    assert stage.report["cost"] is None
    assert costs(stage) == []
    assert "Cost:" not in stage.comments[0]
