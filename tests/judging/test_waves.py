"""More seeds on GitHub: the judge asks in the ledger, the sandbox trains what lacks, and the verdict comes once."""

import json
import subprocess
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import Stage, archive, of_seed, trained
from tests.support.once import once

from mlbot.errors import Exit, NotEvaluatedError
from mlbot.git.ledger import LedgerBranch

pytestmark = pytest.mark.usefixtures("git_settings")

MAY_RERUN = {"actions": "write", "contents": "read", "pull_requests": "read"}
CONFIG = user.CONFIG.replace("seeds: 2", "seeds: {start: 2, most: 3}").replace(
    "max_regression: 0.02", "max_regression: 0.00001"
)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really trained model that nobody can tell from the good one."""
    return once(tmp_path_factory, "other", lambda folder: hosted.train(folder, offset=7)) / "tiny"


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path, other: Path) -> Stage:
    """A pull request that two seeds do not decide, judged and published."""
    files: dict[str, Any] = {"mlbot.yaml": CONFIG}
    models = user.repository(github, **files)
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000), models)
    stage.judge_main(other)
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    kept(stage)
    assert stage.publish() == Exit.OK
    return stage


def kept(stage: Stage) -> None:
    """What the judge's job keeps of what it accepted."""
    judge = copy(stage.run)
    judge.id, judge.event = hosted.JUDGE_RUN, "workflow_run"
    judge.attempts = [copy(stage.run.attempts[0])]
    stage.github.world.runs[judge.id] = judge
    accepted = {path.name: path.read_bytes() for path in (stage.folder / "judged" / "accepted").iterdir()}
    ops_actions.upload(stage.github.world, judge, 1, "mlbot-accepted-a1", archive(accepted))


def as_seed(folder: Path, seed: int, **facts: Any) -> dict[str, bytes]:
    """What was trained as another seed."""
    files = trained(folder, 0)
    return {
        **files,
        "training.json": json.dumps({**json.loads(files["training.json"]), "seed": seed, **facts}).encode(),
    }


def requests(stage: Stage) -> list[str]:
    """The judges' requests in the ledger."""
    return [path for path in user.ledger(stage.models) if path.startswith("v1/request/")]


def again(stage: Stage) -> list[Any]:
    """The job that runs the training again; what it started."""
    assert stage.mlbot("again", rights=MAY_RERUN) == Exit.OK
    return list(stage.run.attempts)


def begin(stage: Stage) -> None:
    """The attempt begins, and its checkout has the ledger."""
    stage.github.world.queue.clear()
    ops_actions.begin(stage.github.world, stage.run)
    begin_ledger(stage)


def begin_ledger(stage: Stage) -> None:
    """The checkout of a job has the ledger as it is."""
    known = "+refs/heads/mlbot-ledger:refs/remotes/origin/mlbot-ledger"
    subprocess.run(["git", "-C", str(stage.folder / "checkout"), "fetch", "--quiet", "origin", known], check=True)


def test_a_verdict_that_lacks_a_seed_gets_it_once(
    stage: Stage, good: Path, bad: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.outputs["again"] == stage.outputs["lacking"] == "true"
    assert stage.status == ("pending", "2 seeds were not enough: training 1 more.")
    assert stage.comments == []
    assert len(requests(stage)) == 1

    assert len(again(stage)) == len(again(stage)) == 2  # the second is the same job, run again
    begin(stage)
    capsys.readouterr()
    assert stage.matrix() == Exit.OK
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    (job,) = json.loads(lines["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": [2]}

    # another seed 0 of the same content, which is not judged: the one before is
    stage.upload(0, trained(bad, 0))
    stage.upload(2, as_seed(good, 2))
    stage.finish()
    assert stage.judge(asked=1) == Exit.OK  # the first judge's event, delivered again
    assert stage.outputs["again"] == "false"
    assert stage.plan() == Exit.OK
    (job,) = json.loads(stage.outputs["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": [2]}
    key = stage.planning().plan.models[0].base_key
    judge = stage.github.world.runs[hosted.JUDGE_RUN]
    theirs = as_seed(other, 2, key=key)
    ops_actions.upload(stage.github.world, judge, 1, "mlbot-baseline-tiny-a1", archive(of_seed(2, theirs)))
    assert stage.judge() == Exit.OK
    assert (stage.outputs["again"], stage.outputs["lacking"]) == ("false", "false")
    assert stage.publish() == Exit.OK
    (model,) = stage.report["models"]
    assert [len(model[side]) for side in ("candidate", "baseline")] == [3, 3]
    assert [each["seed"] for each in model["candidate_training"]] == [0, 1, 2]
    assert [(each["had"]["candidate"], each["undecided"]) for each in model["waves"]] == [(2, ["roc_auc"])]
    assert stage.status[0] == "success"
    (comment,) = stage.comments
    assert "roc\\_auc was undecided with 2 seeds, so 1 more was trained a side" in comment
    assert len(requests(stage)) == 1


def test_a_seed_that_cannot_be_trained_is_an_error_that_names_it(stage: Stage) -> None:
    again(stage)
    begin(stage)
    stage.finish("failure")
    assert stage.judge() == stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert stage.report["models"][0]["verdict"]["problem"]["detail"] == "Seed 2 was not trained in attempts 1 to 2."
    assert len(requests(stage)) == 1


def test_failed_jobs_that_somebody_runs_again_train_the_seed_that_is_lacking_still(
    stage: Stage, good: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was accepted counts for all later attempts; the branch has moved on, and the model has not."""
    again(stage)
    begin(stage)
    stage.finish("failure")
    stage.github.user("boss").push("main", {"notes.md": "Words"})
    stage.rerun_failed()
    begin_ledger(stage)
    capsys.readouterr()
    assert stage.matrix() == Exit.OK
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    (job,) = json.loads(lines["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": [2]}
    stage.upload(2, as_seed(good, 2))
    stage.finish()
    judge, key = stage.github.world.runs[hosted.JUDGE_RUN], stage.planning().plan.models[0].base_key
    theirs = of_seed(2, as_seed(other, 2, key=key))
    ops_actions.upload(stage.github.world, judge, 1, "mlbot-baseline-tiny-a1", archive(theirs))
    assert stage.judge() == stage.publish() == Exit.OK
    (model,) = stage.report["models"]
    assert [len(model[side]) for side in ("candidate", "baseline")] == [3, 3]
    assert [each["had"]["candidate"] for each in model["waves"]] == [2]
    assert stage.status[0] == "success"
    assert len(requests(stage)) == 1


def test_other_content_is_trained_whole_whatever_was_asked_before(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    again(stage)
    begin(stage)
    stage.finish("failure")
    stage.github.user("boss").push("main", {"train.py": f"{tiny.TRAIN}# better\n"})
    stage.rerun_failed()
    begin_ledger(stage)
    fetch = ["fetch", "--quiet", "origin", "+refs/heads/main:refs/remotes/origin/main"]
    subprocess.run(["git", "-C", str(stage.folder / "checkout"), *fetch], check=True)
    capsys.readouterr()
    assert stage.matrix() == Exit.OK
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    (job,) = json.loads(lines["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": [0, 1]}


def test_a_request_is_of_one_head_and_of_nobody_elses_commit(stage: Stage) -> None:
    """What is pushed meanwhile has a training of its own, and no re-run would end that."""
    stage.github.user("alice").push("change", tiny.params(offset=3))
    stage.github.world.queue.clear()
    assert len(again(stage)) == 1


def test_somebodys_own_request_for_the_attempt_comes_first(
    stage: Stage, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then all is trained anew, and judged as if nobody had asked for seeds."""
    stage.retrain()
    begun = len(stage.run.attempts)
    assert len(again(stage)) == begun == 2
    begin_ledger(stage)
    capsys.readouterr()
    assert stage.matrix() == Exit.OK
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    (job,) = json.loads(lines["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": [0, 1]}
    stage.settle(good)
    assert stage.status == ("pending", "2 seeds were not enough: training 1 more.")
    assert len(requests(stage)) == 2


def test_where_the_ledger_cannot_be_written_nothing_is_trained_and_the_status_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotEvaluatedError("the ledger cannot be written")

    monkeypatch.setattr(LedgerBranch, "append", refuse)
    assert stage.publish() != Exit.OK
    assert stage.status[0] == "error"


def test_earlier_seeds_that_are_gone_are_an_error(stage: Stage, good: Path) -> None:
    again(stage)
    begin(stage)
    stage.upload(2, as_seed(good, 2))
    stage.finish()
    for artifact in stage.models.artifacts.values():
        artifact.expired = artifact.run_id == hosted.JUDGE_RUN or artifact.expired
    assert stage.judge() == stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert "Seed 0 was trained and judged before" in stage.report["models"][0]["verdict"]["problem"]["detail"]
