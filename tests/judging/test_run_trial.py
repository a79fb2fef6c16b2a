"""Trials and named retrains on the trusted side: what is judged, against what, and what stays as it was."""

import json
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import Stage, trained

from mlbot.errors import Exit

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))


@pytest.fixture
def idle(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A pull request that makes nothing stale."""
    return Stage.opened(github, tmp_path, monkeypatch, {"README.md": "Words."})


def test_a_trial_is_compared_with_what_is_committed_and_leaves_the_verdict_alone(
    stage: Stage, good: Path, bad: Path
) -> None:
    stage.settle(good)
    before = stage.status, stage.comments
    stage.retrain("tiny", mode="lost")
    stage.settle(bad)
    assert stage.status == before[0]
    assert stage.comments[: len(before[1])] == before[1]
    shown = stage.comments[-1]
    assert "Trial 1 of tiny: roc\\_auc, log\\_loss and accuracy are worse" in shown
    assert "-mode: good\n+mode: lost\n" in shown
    assert "| `roc_auc`" in shown
    assert "first trial" in shown


def test_a_second_trial_stands_above_the_first_in_the_same_comment(stage: Stage, good: Path, bad: Path) -> None:
    stage.settle(good)
    stage.retrain("tiny", mode="lost")
    stage.settle(bad)
    count = len(stage.comments)
    stage.retrain("tiny", offset=2000)
    stage.settle(good)
    assert len(stage.comments) == count + 2  # the command and its answer
    (shown,) = [each for each in stage.comments if "mlbot:trial " in each]
    assert "Trial 2 of tiny: no effect, the predictions are the same" in shown
    assert "**2 trials**" in shown
    assert "Earlier trials" in shown
    assert "`mode` = `lost`" in shown


def test_the_first_attempt_is_judged_while_a_trial_runs(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    stage.retrain("tiny", mode="lost")
    assert stage.judge(asked=1) == 0
    assert stage.publish(asked=1) == 0
    assert stage.status[0] == "success"
    assert "mlbot:report " in stage.comments[-1]


def test_no_status_goes_pending_for_a_trial(stage: Stage, good: Path) -> None:
    stage.settle(good)
    before = stage.status
    stage.retrain("tiny", mode="lost")
    assert stage.mlbot("pending", rights=hosted.WRITES) == 0
    assert stage.status == before


@pytest.mark.parametrize(("conclusion", "said"), [("cancelled", "cancelled"), ("timed_out", "time limit")])
def test_a_trial_that_came_to_nothing_says_so(stage: Stage, good: Path, conclusion: str, said: str) -> None:
    stage.settle(good)
    before = stage.status
    stage.retrain("tiny", mode="lost")
    stage.settle(None, conclusion)
    assert stage.status == before
    assert said in stage.comments[-1]
    assert "Trial 1 of tiny" in stage.comments[-1]


def test_a_trial_whose_training_failed_says_so(stage: Stage, good: Path) -> None:
    stage.settle(good)
    before = stage.status
    stage.retrain("tiny", mode="crash")
    stage.settle(None, "failure")
    assert stage.status == before
    assert "Seed 0: the artifact" in stage.comments[-1]


@pytest.mark.parametrize(
    ("names", "params", "jobs"),
    [
        (("tiny",), {"mode": "lost"}, [(seed, '{"mode": "lost"}', 2) for seed in (0, 1)]),
        (("tiny",), {}, [(0, None, None), (1, None, None)]),
        ((), {}, [(0, None, None), (1, None, None)]),
    ],
)
def test_the_sandbox_plans_what_was_asked_for(
    stage: Stage,
    names: tuple[str, ...],
    params: dict[str, str],
    jobs: list[tuple[int, str | None, int | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage.finish()
    stage.retrain(*names, **params)
    assert stage.matrix() == 0
    matrix = json.loads(capsys.readouterr().out.splitlines()[0].removeprefix("matrix="))["include"]
    assert [(job["seed"], job.get("overrides"), job.get("attempt")) for job in matrix] == jobs


def test_the_sandbox_plans_a_first_attempt_without_asking_anybody(stage: Stage) -> None:
    before = len(stage.github.requests.all)
    assert stage.matrix() == 0
    assert len(stage.github.requests.all) == before


def test_a_model_that_head_does_not_have_is_no_plan(stage: Stage) -> None:
    stage.finish()
    stage.retrain("tinny", mode="lost")
    assert stage.matrix() == Exit.USAGE


def test_a_trial_of_what_is_not_stale_needs_the_guarded_branchs_model(idle: Stage, bad: Path) -> None:
    """Here nobody trained it; `tests/e2e/test_trials.py` has one that is there."""
    idle.settle(None)
    before = idle.status
    idle.retrain("tiny", mode="lost")
    idle.settle(bad)
    assert idle.status == before
    assert "Not compared: The baseline was not trained" in idle.comments[-1]
    assert "+mode: lost" in idle.comments[-1]


def test_a_named_retrain_counts_and_takes_the_files_of_the_attempt_that_has_them(
    stage: Stage, good: Path, bad: Path
) -> None:
    stage.settle(bad)
    assert stage.status[0] == "failure"
    stage.retrain("tiny")
    stage.settle(good)
    assert stage.status[0] == "success"
    stage.retrain("other")  # another model of the same run: this one's files are the second attempt's
    stage.settle(None)
    assert stage.status[0] == "success"
    assert stage.report["models"][0]["candidate"][0]["digest"]


def test_after_a_trial_a_retrain_replaces_the_verdict(stage: Stage, good: Path, bad: Path) -> None:
    stage.settle(good)
    stage.retrain("tiny", offset=5)
    stage.settle(good)
    stage.retrain()
    stage.settle(bad)
    assert stage.status[0] == "failure"


def test_what_a_stranger_writes_of_a_trial_does_not_count(stage: Stage, good: Path, bad: Path) -> None:
    """A bot's answer copied by a person: the attempt stays one that counts."""
    stage.settle(good)
    stage.retrain("tiny", mode="lost")
    (answer,) = [each for each in stage.models.comments.values() if "mlbot:records" in each.body]
    stage.github.user("alice").comment(stage.pull, answer.body)
    del stage.models.comments[answer.id]
    stage.settle(bad)
    assert stage.status[0] == "failure"
