"""More seeds on GitHub: the judge asks in the ledger, the sandbox trains what lacks, and the verdict comes once."""

import json
import subprocess
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.errors import Refusal
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import Stage, archive, of_seed, trained
from tests.support.once import once

from mlbot.errors import Exit, NotEvaluatedError
from mlbot.git.ledger import LedgerBranch

pytestmark = pytest.mark.usefixtures("git_settings")

MAY_RERUN = {"actions": "write", "contents": "read", "pull_requests": "read", "statuses": "write"}
CONFIG = user.CONFIG.replace("seeds: 2", "seeds: {start: 2, most: 3}").replace(
    "max_regression: 0.02", "max_regression: 0.00001"
)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really trained model that nobody can tell from the good one."""
    return once(tmp_path_factory, "other", lambda folder: hosted.train(folder, offset=7)) / "tiny"


@pytest.fixture
def most() -> int:
    """The number of seeds a side beyond which nobody looks."""
    return 3


@pytest.fixture
def unjudged(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Path, most: int) -> Stage:
    """A pull request that two seeds will not decide."""
    files: dict[str, Any] = {"mlbot.yaml": CONFIG.replace("most: 3", f"most: {most}")}
    models = user.repository(github, **files)
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000), models)
    stage.judge_main(other)
    return stage


@pytest.fixture
def stage(unjudged: Stage, good: Path) -> Stage:
    """The same, judged and published."""
    lacks_seeds(unjudged, good)
    return unjudged


def lacks_seeds(stage: Stage, good: Path) -> None:
    """Two seeds are trained, judged and published."""
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    kept(stage)
    assert stage.publish() == Exit.OK


def judge_run(stage: Stage) -> Run:
    """The judge's run."""
    if hosted.JUDGE_RUN not in stage.github.world.runs:
        judge = copy(stage.run)
        judge.id, judge.event = hosted.JUDGE_RUN, "workflow_run"
        judge.attempts = [copy(stage.run.attempts[0])]
        stage.github.world.runs[judge.id] = judge
    return stage.github.world.runs[hosted.JUDGE_RUN]


def kept(stage: Stage) -> None:
    """What the judge's job keeps of what it accepted."""
    judge = judge_run(stage)
    accepted = {path.name: path.read_bytes() for path in (stage.judged / "accepted").iterdir()}
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


def verdicts(stage: Stage) -> list[str]:
    """The verdicts in the ledger."""
    return [path for path in user.ledger(stage.models) if path.startswith("v1/verdict/")]


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


def status_of(stage: Stage) -> tuple[str, str]:
    """The last status of what the run is of: a pull request's head, the commit of a group or of a push."""
    return user.statuses(stage.models, stage.run.head_sha)[-1]


def train_more(stage: Stage, seeds: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """The attempt that was asked for begins, and trains these seeds alone."""
    begun = len(stage.run.attempts)
    assert len(again(stage)) == begun + 1
    begin(stage)
    capsys.readouterr()
    assert stage.matrix() == Exit.OK
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    (job,) = json.loads(lines["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": seeds}


def of_baseline(stage: Stage, other: Path, seeds: Iterable[int]) -> None:
    """What the judge's own jobs train of the guarded branch."""
    judge, known = judge_run(stage), verdicts(stage)[0]
    key = json.loads(stage.models.git.git("show", f"mlbot-ledger:{known}"))["key"]
    files = {path: raw for seed in seeds for path, raw in of_seed(seed, as_seed(other, seed, key=key)).items()}
    ops_actions.upload(stage.github.world, judge, 1, "mlbot-baseline-tiny-a1", archive(files))


def run_of(github: FakeGitHub, event: str) -> Run:
    """The training run that an event started."""
    (found,) = (
        each
        for each in github.world.runs.values()
        if each.event == event and each.workflow.path == ".github/workflows/mlbot.yml"
    )
    return found


def begun_by(event: str, unjudged: Stage) -> Stage:
    """The stage, or that of the merge group or the push which its pull request becomes, with its run begun."""
    match event:
        case "merge_group":
            unjudged.github.user("boss").queue(unjudged.pull)
        case "push":
            unjudged.github.user("boss").merge(unjudged.pull)
        case _:
            return unjudged
    return replace(unjudged, run=run_of(unjudged.github, event), folder=unjudged.folder / event).begun()


@pytest.mark.parametrize(("event", "entries"), [("merge_group", 1), ("push", 2)])
def test_what_is_no_pull_request_gets_the_seeds_that_its_verdict_lacks(
    unjudged: Stage, good: Path, other: Path, capsys: pytest.CaptureFixture[str], event: str, entries: int
) -> None:
    stage = begun_by(event, unjudged)
    lacks_seeds(stage, good)
    assert (stage.outputs["again"], stage.outputs["lacking"]) == ("true", "true")
    assert status_of(stage) == ("pending", "2 seeds were not enough: training 1 more.")
    train_more(stage, [2], capsys)
    stage.upload(2, as_seed(good, 2))
    stage.finish()
    assert stage.plan() == Exit.OK
    (job,) = json.loads(stage.outputs["matrix"])["include"]
    assert json.loads(job["trainings"]) == {"tiny": [2]}
    of_baseline(stage, other, [2])
    assert stage.judge() == stage.publish() == Exit.OK
    (model,) = stage.report["models"]
    assert [len(model[side]) for side in ("candidate", "baseline")] == [3, 3]
    assert [each["had"]["candidate"] for each in model["waves"]] == [2]
    assert status_of(stage)[0] == "success"
    assert len(requests(stage)) == 1
    assert len(verdicts(stage)) == entries


@pytest.mark.parametrize("most", [5])
def test_what_the_next_look_leaves_open_gets_a_second_wave_and_no_third(
    unjudged: Stage, good: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Looks at 2, 3 and 5; a margin that no number of seeds decides."""
    stage = unjudged
    lacks_seeds(stage, good)
    for before, seeds in ((2, [2]), (3, [3, 4])):
        assert status_of(stage) == ("pending", f"{before} seeds were not enough: training {len(seeds)} more.")
        train_more(stage, seeds, capsys)
        for seed in seeds:
            stage.upload(seed, as_seed(good, seed))
        stage.finish()
        stage.monkeypatch.setattr(hosted, "JUDGE_RUN", hosted.JUDGE_RUN + 1)  # each attempt has a judge of its own
        assert stage.plan() == Exit.OK
        (job,) = json.loads(stage.outputs["matrix"])["include"]
        assert json.loads(job["trainings"]) == {"tiny": list(range(2, seeds[-1] + 1))}
        of_baseline(stage, other, range(2, seeds[-1] + 1))
        assert stage.judge() == Exit.OK
        kept(stage)
        assert stage.publish() == Exit.OK
    assert (stage.outputs["again"], stage.outputs["lacking"]) == ("false", "false")
    (model,) = stage.report["models"]
    assert [len(model[side]) for side in ("candidate", "baseline")] == [5, 5]
    assert [each["had"]["candidate"] for each in model["waves"]] == [2, 3]
    assert status_of(stage)[0] == "success"
    assert len(requests(stage)) == 2


@pytest.mark.parametrize(
    ("event", "effect", "attempts"),
    [("pull_request", "rerun", 1), ("merge_group", "dispatch", 2), ("push", "rerun", 1)],
)
def test_what_github_refuses_to_run_again_does_not_stay_pending(
    unjudged: Stage, good: Path, monkeypatch: pytest.MonkeyPatch, event: str, effect: str, attempts: int
) -> None:
    stage = begun_by(event, unjudged)
    lacks_seeds(stage, good)

    def refuse(*_: object, **__: object) -> None:
        raise Refusal(403, "Unable to retry this workflow run because it was created over a month ago")

    monkeypatch.setattr(ops_actions, effect, refuse)
    assert stage.mlbot("again", rights=MAY_RERUN) == Exit.REFUSED
    assert len(stage.run.attempts) == attempts
    said = "a training that it needs was refused; the log of the judge's run says why. Push, /retrain or queue it anew."
    assert status_of(stage) == ("error", f"Could not be judged: {said}")
