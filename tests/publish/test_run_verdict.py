"""`mlbot registry verdict`: the verdict's JSON from the judge's run, and each way in which there is none."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Artifact
from tests.support import tiny
from tests.support.hosted import JUDGE_ATTEMPT, JUDGE_RUN, Stage, archive
from tests.support.judged import judge_run

from mlbot import entry
from mlbot.errors import Exit

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A judged pull request, whose judge has uploaded its report."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    stage.settle(good)
    judge_run(stage)
    for name in ("GITHUB_RUN_ID", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", github.user("alice").token.value)
    return stage


def uploaded(stage: Stage) -> Artifact:
    return next(each for each in stage.models.artifacts.values() if each.name.startswith("mlbot-report"))


def ask(stage: Stage, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = entry.invoke(["registry", "verdict", "-q", "-C", str(stage.folder / "checkout"), "--json", *options])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


def test_a_verdict_by_its_pull_request_and_by_its_commit(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = ask(stage, capsys, "--pr", str(stage.pull.number))
    assert (code, found["state"], found["why"], found["run"]) == (Exit.OK, "judged", "", JUDGE_RUN)
    assert (found["artifact"], found["status"]) == (f"mlbot-report-a{JUDGE_ATTEMPT}", "success")
    assert found["report"] == stage.report
    (model,) = found["report"]["models"]
    assert (model["looks"]["every"], model["looks"]["pull_request"]) == (1, 1)
    assert model["another_look"] == "not-needed"

    code, by_commit = ask(stage, capsys, "--commit", user.head(stage.pull))
    assert (code, by_commit["report"]) == (Exit.OK, found["report"])

    shown = entry.invoke(["registry", "verdict", "-q", "-C", str(stage.folder / "checkout"), "--pr", "1"])
    assert shown == Exit.OK
    assert "1 model measured on these rows so far, 1 in this pull request" in " ".join(capsys.readouterr().out.split())


def _expire(stage: Stage) -> None:
    uploaded(stage).expired = True


def _delete_run(stage: Stage) -> None:
    del stage.github.world.runs[JUDGE_RUN]


def _unreachable(stage: Stage) -> None:
    stage.github.faults.add("GET /repos", 502, times=99)


def _refuse(stage: Stage) -> None:
    stage.github.faults.add("GET /repos", 401, times=99)


def _no_report(stage: Stage) -> None:
    stage.models.artifacts.clear()


def _another_report(stage: Stage) -> None:
    one = uploaded(stage)
    one.archive = archive({"decision.json": b"{}", "report.json": b"{}"})


def _no_archive(stage: Stage) -> None:
    uploaded(stage).archive = b"no archive"


def _changed_report(stage: Stage) -> None:
    folder = stage.judged / "report"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    uploaded(stage).archive = archive({**files, "report.json": files["report.json"].replace(b'"pass"', b'"fail"', 1)})


def _own_run(stage: Stage) -> None:
    """Whoever may set a status lets it lead to a run of the pull request's own."""
    stage.github.world.runs[JUDGE_RUN].event = "pull_request"


def _own_branch(stage: Stage) -> None:
    run = stage.github.world.runs[JUDGE_RUN]
    run.event, run.head_branch = "workflow_dispatch", "change"


def _pending(stage: Stage) -> None:
    last = copy.copy(stage.models.statuses[-1])
    last.state = "pending"
    stage.models.statuses.append(last)


def _nothing(stage: Stage) -> None:
    stage.models.statuses.clear()


WITHOUT: list[tuple[Callable[[Stage], None], str, Exit]] = [
    (_expire, "expired", Exit.NOT_EVALUATED),
    (_delete_run, "expired", Exit.NOT_EVALUATED),
    (_unreachable, "unreachable", Exit.NOT_EVALUATED),
    (_refuse, "refused", Exit.REFUSED),
    (_no_report, "none", Exit.USAGE),
    (_another_report, "damaged", Exit.NOT_EVALUATED),
    (_no_archive, "damaged", Exit.NOT_EVALUATED),
    (_changed_report, "damaged", Exit.NOT_EVALUATED),
    (_own_run, "none", Exit.USAGE),
    (_own_branch, "none", Exit.USAGE),
    (_pending, "pending", Exit.INCONCLUSIVE),
    (_nothing, "none", Exit.USAGE),
]


def test_each_way_in_which_there_is_none_is_told_apart(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    world, models = stage.github.world, stage.models
    artifact, judge, statuses = copy.copy(uploaded(stage)), copy.copy(world.runs[JUDGE_RUN]), list(models.statuses)
    for happens, state, exit_code in WITHOUT:
        world.runs[JUDGE_RUN], models.statuses[:] = copy.copy(judge), statuses
        models.artifacts[artifact.id] = copy.copy(artifact)
        stage.github.faults.ordered.clear()
        happens(stage)
        code, found = ask(stage, capsys, "--pr", str(stage.pull.number))
        assert (happens.__name__, code, found["state"]) == (happens.__name__, exit_code, state)
        assert (found["report"], bool(found["why"])) == (None, True)


def test_what_is_not_there_or_not_said_is_wrong_usage(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = ask(stage, capsys, "--pr", "4711")
    assert (code, found["state"]) == (Exit.USAGE, "not-found")
    assert ask(stage, capsys, "--pr", "1", "--commit", "HEAD") == (Exit.USAGE, {})
    assert ask(stage, capsys, "--commit", "nowhere") == (Exit.USAGE, {})
    monkeypatch.delenv("GITHUB_TOKEN")
    assert ask(stage, capsys, "--pr", "1") == (Exit.USAGE, {})
