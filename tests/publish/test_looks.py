"""Every look at the open holdout is recorded before people see it, once an artifact, and counted in the report."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.history_samples import look
from tests.support.hosted import READS, Stage, trained

from mlbot.errors import Exit
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote

pytestmark = pytest.mark.usefixtures("git_settings")

NOW = 1_763_654_400


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request beside a judged model of main."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    return stage


def looks(stage: Stage) -> list[dict[str, Any]]:
    """The looks in the ledger, by artifact."""
    paths = [path for path in user.ledger(stage.models) if path.startswith("v1/look/")]
    found: list[dict[str, Any]] = [json.loads(stage.models.git.git("show", f"mlbot-ledger:{path}")) for path in paths]
    return sorted(found, key=lambda each: (each["pull_request"] or 0, each["trial"]))


def counted(stage: Stage, report: str = "report.json") -> tuple[int, int]:
    """What a report says: looks at all, and in its pull request."""
    found = json.loads((stage.judged / "report" / report).read_text())["models"][0]["looks"]
    return found["every"], found["pull_request"]


def beside(stage: Stage, login: str) -> Stage:
    """The same head, in a pull request from somebody's fork."""
    fork = stage.github.user(login, stage.models).fork()
    fork.push("change", onto=user.head(stage.pull))
    return stage.beside("main", fork)


def test_a_pull_requests_looks_whatever_becomes_of_it(stage: Stage, good: Path, bad: Path) -> None:
    stage.settle(good)
    (first,) = looks(stage)
    assert (first["pull_request"], first["actor"], first["trial"]) == (stage.pull.number, "alice", False)
    files = [each["digest"] for each in stage.report["models"][0]["candidate"]]
    assert len({*files}) == 2
    named = json.dumps(files, separators=(",", ":")).encode()
    assert first["artifact"] == f"sha256:{hashlib.sha256(named).hexdigest()}"
    assert first["content"] == stage.report["models"][0]["holdout"]["content"]
    assert first["repository"] == stage.models.id
    assert {"roc_auc", "log_loss"} <= {*first["metrics"]}
    assert counted(stage) == (1, 1)
    assert "1 model measured on these rows so far, 1 in this pull request" in stage.comments[0]

    tip = stage.models.git.commit_of("mlbot-ledger")
    assert (stage.judge(), stage.publish()) == (Exit.OK, Exit.OK)  # a re-run, and a second delivery
    assert stage.publish() == Exit.OK
    assert stage.models.git.commit_of("mlbot-ledger") == tip

    boss = stage.github.user("boss")
    for each in [each for each in stage.models.comments.values() if each.number == stage.pull.number]:
        boss.delete_comment(each)
    stage.retrain("tiny", mode="lost")
    stage.settle(bad, committed=good)  # a trial is a look, though it gates nothing
    assert [(each["trial"], each["actor"]) for each in looks(stage)] == [(False, "alice"), (True, "alice")]
    assert counted(stage) == (2, 2)
    assert "2 models measured on these rows so far, 2 in this pull request" in stage.comments[-1]

    theirs = beside(stage, "mallory")
    theirs.params = {}
    theirs.settle(bad)  # an artifact that was seen, in another pull request
    assert [each["pull_request"] for each in looks(stage)] == [stage.pull.number] * 2 + [theirs.pull.number]
    assert counted(theirs, "others/1/report.json") == (2, 1)


def test_from_ten_looks_of_one_pull_request_on_the_report_says_what_they_do(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    content = stage.report["models"][0]["holdout"]["content"]
    ledger = LedgerBranch.at(Remote(url=stage.github.user("boss").clone_url()))
    facts: dict[str, Any] = {"content": content, "repository": stage.models.id}
    before = [look(artifact, stage.pull.number, **facts) for artifact in range(8)]
    others = [look(artifact, stage.pull.number + 1, **facts) for artifact in range(100, 120)]
    ledger.append([*before, *others], NOW)
    assert (stage.judge(), stage.publish()) == (Exit.OK, Exit.OK)
    assert counted(stage) == (29, 9)
    (notice,) = [each for each in stage.report["models"][0]["notices"] if each["code"] == "many-looks"]
    assert not notice["warning"]  # most are others' looks
    assert "29 models have been measured on these same rows, in 2 pull requests, 9 of them" in stage.comments[0]

    ledger.append([look(8, stage.pull.number, **facts)], NOW)
    assert (stage.judge(), stage.publish()) == (Exit.OK, Exit.OK)
    assert counted(stage) == (30, 10)
    (notice,) = [each for each in stage.report["models"][0]["notices"] if each["code"] == "many-looks"]
    assert notice["warning"]
    assert "**Many looks.** 30 models have been measured on these same rows, in 2 pull requests" in stage.comments[0]
    assert "no sealed rows" in stage.comments[0]
    assert stage.status[0] == "success"  # it gates nothing


def test_a_look_that_cannot_be_recorded_is_an_error_and_is_recorded_the_next_time(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    rule = {"include": ["refs/heads/mlbot-ledger"], "exclude": []}
    stage.models.rulesets[1] = {
        "id": 1,
        "name": "ledger",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": rule},
        "rules": [{"type": "required_signatures"}],
    }
    assert stage.publish() == Exit.NOT_EVALUATED
    assert stage.status[0] == "error"
    assert looks(stage) == []
    del stage.models.rulesets[1]
    assert stage.publish() == Exit.OK
    assert (stage.status[0], len(looks(stage))) == ("success", 1)


def test_a_model_that_shows_no_figure_is_no_look(stage: Stage) -> None:
    stage.settle(None, "failure")

    assert looks(stage) == []


def test_a_token_that_may_write_nothing_shows_no_figure_and_records_no_look(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish(rights=READS) == Exit.OK

    assert looks(stage) == []
    assert stage.comments == []
