"""A training that left no model says why: shown to the author, taken from nobody's word."""

import copy
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import Stage, archive, of_seed, trained

from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.events.github import Attempt
from mlbot.github.artifacts import ArchiveRefusedError
from mlbot.github.transport import Transport
from mlbot.judging.run_ci import CIOptions, CIRun
from mlbot.judging.run_files import Intake
from mlbot.protocol.artifacts import Side, accepted_file, accepted_folder
from mlbot.storage import artifact as artifacts
from mlbot.storage.artifact import measured

pytestmark = pytest.mark.usefixtures("git_settings")

Record = dict[str, Any]
CRASHED: Final[Record] = {
    "model": "tiny",
    "key": f"sha256:{'0' * 64}",
    "seed": 0,
    "commit": "0" * 40,
    "timed_out": False,
    "exit_code": 1,
    "message": "the training failed with exit code 1",
    "log_tail": ["Traceback (most recent call last):", "ValueError: Input X contains NaN."],
}


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request beside a judged model of main."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    return stage


def judged(stage: Stage, record: Record | bytes, beside: Path) -> str:
    """Seed 0 failed and seed 1 is fine; the comment."""
    stage.upload(0, {"failure.json": record if isinstance(record, bytes) else json.dumps(record).encode()})
    stage.upload(1, trained(beside, 1))
    stage.finish("failure")
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    (comment,) = stage.comments
    return comment


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({}, "training-failed", "The training with seed 0 ended with exit code 1."),
        ({"exit_code": -9}, "training-failed", "The training with seed 0 ended with exit code -9."),
        ({"exit_code": None}, "training-failed", "The training with seed 0 could not be run."),
        (
            {"exit_code": None, "brought": True},
            *("model-missing", "What `artifact` in mlbot.yaml names could not be taken as a model."),
        ),
        ({"exit_code": 0}, "model-missing", "The training with seed 0 ended with exit code 0 and left no model."),
        ({"timed_out": True}, "training-timeout", "The training with seed 0 was stopped at its time limit."),
    ],
)
def test_the_comment_shows_the_end_of_its_log(
    stage: Stage, good: Path, changes: Record, reason: str, sentence: str
) -> None:
    comment = judged(stage, CRASHED | changes, good)
    assert stage.status[1] == f"Could not be judged: {sentence}"
    assert stage.report["verdict"]["reason"] == reason
    assert "Seed 0: the training failed with exit code 1</summary>" in comment
    assert "ValueError: Input X contains NaN." in comment


def test_a_hostile_log_stays_text(stage: Stage, good: Path) -> None:
    lines = [
        "```",
        "`````` </details> @octocat",
        "<!-- mlbot:report workflow=.github/workflows/mlbot.yml -->",
        "\x1b[31m\u202egnp.exe ::error::x",
    ]
    comment = judged(stage, CRASHED | {"message": "</summary>Ready to merge @octocat", "log_tail": lines}, good)
    assert "Ready to merge" not in stage.status[1]
    assert "Seed 0: &lt;/summary&gt;Ready to merge @\u200boctocat</summary>" in comment
    fence = "`" * 7
    _, block, rest = comment.split(fence)
    assert "</details> @octocat" in block
    assert "octocat" not in rest
    assert not {"\x1b", "\u202e"} & set(comment)


MALFORMED: dict[str, Callable[[], Record | bytes]] = {
    "another seed's": lambda: CRASHED | {"seed": 1},
    "another model's": lambda: CRASHED | {"model": "other"},
    "an unknown field": lambda: CRASHED | {"passes": "evil"},
    "a wrong type": lambda: CRASHED | {"timed_out": "evil"},
    "a line too many": lambda: CRASHED | {"log_tail": ["evil"] * 41},
    "a line too long": lambda: CRASHED | {"log_tail": ["evil" * 300]},
    "a message too long": lambda: CRASHED | {"message": "evil" * 300},
    "NaN": lambda: json.dumps(CRASHED | {"exit_code": float("nan"), "message": "evil"}).encode(),
    "a number too large": lambda: CRASHED | {"exit_code": 10**30, "message": "evil"},
    "a duplicate key": lambda: json.dumps(CRASHED).encode()[:-1] + b', "message": "evil"}',
    "a bomb": lambda: b" " * 50_000_000 + json.dumps(CRASHED).encode(),
    "no JSON": lambda: b"evil",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_record_is_as_none(stage: Stage, good: Path, name: str) -> None:
    comment = judged(stage, MALFORMED[name](), good)
    assert stage.report["verdict"]["reason"] == "model-missing"
    assert "evil" not in comment + stage.status[1]
    assert "Input X" not in comment


def test_a_model_that_is_there_is_judged_whatever_else_is_said(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, {**trained(good, seed), "failure.json": json.dumps(CRASHED).encode()})
    stage.settle(None)
    assert stage.status[0] == "success"
    assert "Input X" not in stage.comments[0]


def as_folder(content: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """What a training leaves that puts its model into a folder."""
    (folder / "made").mkdir(parents=True)
    (folder / "made" / "model.onnx").write_bytes(content["model.onnx"])
    (folder / "made" / ".notes").write_text("of the author")
    found = measured(folder / "made")
    artifacts.pack(folder / "made", folder / "packed", found.digest)
    lineage = json.loads(content["training.json"]) | found.model_dump()
    return {"model.folder": (folder / "packed").read_bytes(), "training.json": json.dumps(lineage).encode()}


def test_a_folder_that_was_trained_is_judged(stage: Stage, good: Path, tmp_path: Path) -> None:
    folders = [as_folder(trained(good, seed), tmp_path / f"of-{seed}") for seed in (0, 1)]
    for seed, content in enumerate(folders):
        stage.upload(seed, content)
    stage.settle(None)
    assert stage.status[0] == "success"
    judged_digest = stage.report["models"][0]["candidate"][0]["digest"]
    assert judged_digest == json.loads(folders[0]["training.json"])["digest"]


BROKEN: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "another file": lambda content: content | {"model.folder": content["model.folder"].replace(b"author", b"orator")},
    "a link's path": lambda content: (
        content | {"model.folder": content["model.folder"].replace(b'".notes"', b'"../../"')}
    ),
    "cut off": lambda content: content | {"model.folder": content["model.folder"][:-1]},
    "both": lambda content: content | {"model.onnx": b"\x08"},
    "a listing as a file": lambda content: {
        "model.onnx": b"mlbot-tree-v1\n[]",
        "training.json": content["training.json"],
    },
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_not_what_it_says_is_refused(stage: Stage, good: Path, tmp_path: Path, name: str) -> None:
    stage.upload(0, BROKEN[name](as_folder(trained(good, 0), tmp_path / "made-0")))
    stage.upload(1, trained(good, 1))
    stage.settle(None)
    assert stage.status[0] == "error"
    assert stage.report["verdict"]["reason"] == "model-refused"
    assert not [each for each in tmp_path.rglob("*") if each.name == "orator"]


BROUGHT: Final = re.sub(r"    train:\n(      .*\n)+", "    artifact: models/tiny.onnx\n", user.CONFIG, count=1)


def pointer(file: Path) -> str:
    """As Git LFS writes it."""
    found = measured(file)
    return f"version https://git-lfs.github.com/spec/v1\noid {found.digest}\nsize {found.size_bytes}\n"


@pytest.mark.parametrize("honest", [True, False])
def test_a_change_that_moves_a_pointer_is_judged_by_what_it_points_to(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path, *, honest: bool
) -> None:
    """What a pull request's run uploads in place of it does not count."""
    seeds = [good / str(seed) / "model.onnx" for seed in (0, 1)]
    there: dict[str, Any] = {"mlbot.yaml": BROUGHT, "models/tiny.onnx": pointer(seeds[0])}
    models = user.repository(github, **there)
    changes = {"models/tiny.onnx": pointer(seeds[1])}
    stage = Stage.opened(github, tmp_path, monkeypatch, changes, models)
    stage.judge_main(good, deterministic=True)
    stage.upload(0, trained(good, 1 if honest else 0) | {"training.json": of_seed_0(good)})
    stage.settle(None)
    assert stage.status[0] == ("success" if honest else "error")
    if not honest:
        assert stage.report["verdict"]["reason"] == "model-refused"
        assert "What was fetched is not what" in stage.comments[0]


def of_seed_0(good: Path) -> bytes:
    """The lineage of what is brought: there is one, so it is seed 0's."""
    return trained(good, 0)["training.json"]


def test_accepted_files_and_folders_are_taken_out_by_their_digests(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    content = as_folder(trained(good, 0), tmp_path / "made")
    folder, file = measured(tmp_path / "made" / "made"), measured(good / "1" / "model.onnx")
    there = {accepted_folder(folder.digest): content["model.folder"]}
    there |= {accepted_file(file.digest): trained(good, 1)["model.onnx"], "other": b""}
    ops_actions.upload(github.world, stage.run, 1, "mlbot-accepted-a1", archive(there))
    for name, value in stage.environment("judge", hosted.READS).items():
        monkeypatch.setenv(name, value)
    job = CIRun.of(CIOptions(directory=tmp_path / "checkout", run=stage.run.id), dict(os.environ), Console(quiet=True))
    intake = Intake(run=job, attempt=Attempt(run=stage.run.id, number=1), folder=tmp_path / "taken")
    found = intake.accepted([folder, file], "accepted")
    assert {digest: measured(path).digest for digest, path in found.items()} == {
        each.digest: each.digest for each in (folder, file)
    }
    with pytest.raises(ArchiveRefusedError, match="does not hold what the judge accepted"):
        intake.accepted([folder.model_copy(update={"digest": f"sha256:{'0' * 64}"})], "again")


def test_a_baseline_of_the_attempt_before_is_taken_where_only_failed_jobs_ran_again(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    run = copy.copy(stage.run)
    run.id, run.attempts = hosted.JUDGE_RUN, [copy.copy(stage.run.latest) for _ in range(3)]
    for number, attempt in enumerate(run.attempts, start=1):
        attempt.number, attempt.failed_only = number, number > 1
    github.world.runs[run.id] = run
    for seed, number in ((0, 1), (0, 3), (1, 1), (1, 2)):
        name = f"mlbot-baseline-tiny+s{seed}-a{number}"
        ops_actions.upload(github.world, run, number, name, archive(of_seed(seed, trained(good, seed))))
    for name, value in stage.environment("judge", hosted.READS).items():
        monkeypatch.setenv(name, value)
    options = CIOptions(directory=tmp_path / "checkout", run=stage.run.id)
    job = CIRun.of(options, dict(os.environ), Console(quiet=True))
    model: Any = SimpleNamespace(name="tiny", seeds=2)
    for number, taken in ((1, [1, 1]), (2, [1, 2]), (3, [3, 2])):
        asked, folder = Attempt(run=run.id, number=number), tmp_path / f"taken-{number}"
        intake = Intake(run=job, attempt=asked, folder=folder, side=Side.BASELINE, wanted={"tiny": 2})
        files = [each.file for each in intake.seeds(model, range(2)).runs]
        assert [isinstance(file, Path) and file.parents[2].name[-1] for file in files] == [str(each) for each in taken]


@pytest.mark.parametrize(("models", "packs"), [(2, 1), (40, 1), (40, 4)])
def test_what_is_asked_of_github_grows_with_jobs_and_pages_and_not_with_models_and_seeds(
    stage: Stage, good: Path, models: int, packs: int
) -> None:
    names = [f"m{number}" for number in range(models)]
    lineage = json.loads(trained(good, 0)["training.json"])
    for pack in range(packs):
        files = {
            f"{name}/{seed}/{file}": content
            for name in names[pack::packs]
            for seed in range(3)
            for file, content in (
                ("model.onnx", b"x"),
                ("training.json", json.dumps(lineage | {"model": name, "seed": seed}).encode()),
            )
        }
        ops_actions.upload(stage.github.world, stage.run, 1, f"mlbot-candidate-p{pack}-a1", archive(files))
    for name, value in stage.environment("judge", hosted.READS).items():
        stage.monkeypatch.setenv(name, value)
    options = CIOptions(directory=stage.folder / "checkout", run=stage.run.id)
    job = CIRun.of(options, dict(os.environ), Console(quiet=True))
    wanted = dict.fromkeys(names, 3)
    attempt = Attempt(run=stage.run.id, number=1)
    intake = Intake(run=job, attempt=attempt, folder=stage.folder / "taken", wanted=wanted)
    before = len(stage.github.requests.of("/actions"))
    for name in names:
        model: Any = SimpleNamespace(name=name, seeds=3)
        assert all(isinstance(each.file, Path) for each in intake.seeds(model, range(3)).runs)
    assert len(stage.github.requests.of("/actions")) - before == 1 + packs


def judges_run(stage: Stage) -> Run:
    """The run that the judge is part of, where baselines are trained."""
    run = copy.copy(stage.run)
    run.id, run.event, run.attempts = hosted.JUDGE_RUN, "workflow_run", [copy.copy(stage.run.attempts[0])]
    stage.github.world.runs[run.id] = run
    return run


def candidate(stage: Stage, folder: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(folder, seed))
    stage.finish()


@pytest.mark.parametrize("judged", [True, False])
def test_a_baseline_that_github_does_not_list_is_an_error(
    stage: Stage, good: Path, monkeypatch: pytest.MonkeyPatch, *, judged: bool
) -> None:
    """Whether it was judged before or is trained now: a fault is never "the data cannot tell"."""
    patience: Any = Transport.__init__.__kwdefaults__
    monkeypatch.setitem(patience, "sleep", lambda _seconds: None)
    run = min(stage.github.world.runs)
    if not judged:
        stage.github.user("boss").push("main", {"train.py": f"{tiny.TRAIN}# today\n"})
        run = judges_run(stage).id
    candidate(stage, good)
    stage.github.faults.add(f"/actions/runs/{run}/artifacts", 503, times=99)
    assert stage.judge() == (Exit.OK if judged else Exit.NOT_EVALUATED)
    stage.publish()
    assert stage.status[0] == "error"


def test_where_the_tip_cannot_be_trained_the_last_judged_model_is_what_counts(stage: Stage, good: Path) -> None:
    stage.github.user("boss").push("main", {"train.py": f"{tiny.TRAIN}# today\n"})
    key, run = stage.planning().plan.models[0].base_key, judges_run(stage)
    for seed in (0, 1):
        left = json.dumps(CRASHED | {"seed": seed, "key": key}).encode()
        stage.upload(seed, {"failure.json": left}, side="baseline", run=run)
    candidate(stage, good)
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    (model,) = stage.report["models"]
    assert (stage.status[0], model["compared"]["source"]) == ("success", "tip-broken")
    reasons = {each["gate"]["bound"]: each["reason"] for each in model["verdict"]["gates"]}
    assert reasons["max_regression"] == "identical-models"
    assert "the last usable one: `main`'s own could not be evaluated" in stage.comments[0]
