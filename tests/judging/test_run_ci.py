"""The trusted side, on artifacts from strangers and an API that fails: nothing passes that should not."""

import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import Stage, archive, trained
from tests.support.onnx_samples import columns

from mlbot.errors import Exit

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))


def judged(stage: Stage, candidate: Path) -> None:
    """Both seeds uploaded, judged and published."""
    for seed in (0, 1):
        stage.upload(seed, trained(candidate, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK


def test_a_first_seed_that_is_fine_beside_a_second_that_is_missing_is_an_error(stage: Stage, good: Path) -> None:
    stage.upload(0, trained(good, 0))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert "seed 1" in stage.status[1].lower()


def test_the_token_is_gone_from_the_environment_once_it_is_read(stage: Stage) -> None:
    stage.finish()
    assert stage.judge() == Exit.OK
    assert not {name for name, value in os.environ.items() if value.startswith("ghs_")}


def test_a_run_that_succeeded_with_nothing_is_an_error(stage: Stage) -> None:
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert stage.report["verdict"]["reason"] == "model-missing"


def link(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        entry = zipfile.ZipInfo("model.onnx")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "/etc/passwd")
        opened.writestr("training.json", files["training.json"])
    return packed.getvalue()


def twice(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("model.onnx", files["model.onnx"])
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("model.onnx", files["model.onnx"])
    return packed.getvalue()


def told(change: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, bytes]], bytes]:
    """An archive whose training.json is as `change` makes it."""
    return lambda files: archive({**files, "training.json": change(json.loads(files["training.json"])).encode()})


HOSTILE: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a wrong name": lambda files: archive({"model.pkl": b"x", "training.json": files["training.json"]}),
    "a file too many": lambda files: archive({**files, "evil.sh": b"x"}),
    "a traversal": lambda files: archive({"../../model.onnx": files["model.onnx"], "training.json": b"{}"}),
    "an absolute path": lambda files: archive({"/model.onnx": files["model.onnx"], "training.json": b"{}"}),
    "a link": link,
    "a duplicate": twice,
    "a bomb": lambda files: archive({**files, "training.json": b"0" * 50_000_000}),
    "no archive": lambda _files: b"\x00" * 1000,
    "an empty archive": lambda _files: archive({}),
    "a pickle named onnx": lambda files: archive({**files, "model.onnx": pickle.dumps({"a": 1})}),
    "an empty model": lambda files: archive({**files, "model.onnx": b""}),
    "half a model": lambda files: archive({**files, "model.onnx": files["model.onnx"][:100]}),
    "NaN": told(lambda record: json.dumps(record | {"duration_s": float("nan")})),
    "a duplicate key": told(lambda record: json.dumps(record)[:-1] + ', "seed": 0}'),
    "depth": told(lambda _record: "[" * 10_000 + "]" * 10_000),
    "a wrong type": told(lambda record: json.dumps(record | {"seed": True})),
    "an unknown field": told(lambda record: json.dumps(record | {"admin": 1})),
    "another pull request's number": told(lambda record: json.dumps(record | {"pull_request": 1})),
    "another model's": told(lambda record: json.dumps(record | {"model": "other"})),
    "another seed's": told(lambda record: json.dumps(record | {"seed": 1})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_artifact_is_an_error_and_never_echoed(stage: Stage, good: Path, name: str) -> None:
    stage.upload(0, HOSTILE[name](trained(good, 0)))
    stage.upload(1, trained(good, 1))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert len(stage.comments) == 1
    assert not any(secret in stage.comments[0] for secret in ("evil.sh", "admin", "/etc/passwd"))


def test_a_workflow_that_merely_has_the_name_is_left_alone(stage: Stage, good: Path) -> None:
    stage.run.workflow.path = ".github/workflows/forged.yml"
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert (stage.comments, user.statuses(stage.models, user.head(stage.pull))) == ([], [])


def test_a_head_that_moved_between_judging_and_writing_gets_nothing(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    old = user.head(stage.pull)
    stage.github.user("alice").push("change", {"note.txt": "A later commit."})
    assert stage.publish() == Exit.OK
    assert stage.comments == []
    assert user.statuses(stage.models, user.head(stage.pull)) == []
    assert [state for state, _ in user.statuses(stage.models, old)] in ([], ["success"])


def test_a_judge_that_left_nothing_is_an_error(stage: Stage) -> None:
    stage.finish()
    (stage.folder / "judged" / "report").mkdir(parents=True)
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"


@pytest.mark.parametrize("conclusion", ["cancelled", "timed_out", "stale"])
def test_a_run_that_ended_otherwise_ends_the_status(stage: Stage, conclusion: str) -> None:
    stage.finish(conclusion)
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"


def test_a_token_that_may_not_write_leaves_the_report_in_the_summary(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish(rights=hosted.READS) == Exit.OK
    assert stage.comments == []
    assert "there is no baseline to compare with" in (stage.folder / "summary.md").read_text()


@pytest.mark.parametrize("answer", [500, 502, 429])
def test_an_api_that_fails_once_is_asked_again(stage: Stage, good: Path, answer: int) -> None:
    stage.github.faults.add("POST /repos/acme/models/statuses", answer, retry_after=1 if answer == 429 else None)
    judged(stage, good)
    assert stage.status[0] == "success"
    assert len(stage.comments) == 1


@pytest.mark.parametrize("answer", [404, 422])
def test_a_comment_that_github_refuses_does_not_cost_the_status(stage: Stage, good: Path, answer: int) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    stage.github.faults.add(f"POST /repos/acme/models/issues/{stage.pull.number}/comments", answer, times=9)
    assert stage.publish() != Exit.OK
    assert stage.status[0] == "success"


def test_published_again_and_again_there_is_one_comment(stage: Stage, good: Path) -> None:
    judged(stage, good)
    before = len(user.statuses(stage.models, user.head(stage.pull)))
    for _ in range(3):
        assert stage.publish() == Exit.OK
    assert len(stage.comments) == 1
    assert len(user.statuses(stage.models, user.head(stage.pull))) == before


def test_a_comment_and_a_status_cost_at_most_ten_requests(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    before = len(stage.github.requests.of("/repos"))
    assert stage.publish() == Exit.OK
    spent = stage.github.requests.of("/repos")[before:]
    assert len([one for one in spent if "/repos" in str(one)]) <= 10, spent


def test_dry_run_prints_and_does_nothing(stage: Stage, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    capsys.readouterr()
    assert stage.publish("--dry-run") == Exit.OK
    assert "would write the comment" in capsys.readouterr().out
    assert stage.comments == []


def test_fifty_models_cost_no_more(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    report = stage.report
    for part in (report, report["verdict"]):
        part["models"] = [part["models"][0] | {"model": f"m{number}"} for number in range(50)]
    for model in report["models"]:
        model["verdict"] = model["verdict"] | {"model": model["model"]}
    stage.rewrite(**{"report.json": json.dumps(report)})
    before = len(stage.github.requests.of("/repos"))
    assert stage.publish() == Exit.OK
    assert len(stage.github.requests.of("/repos")) - before <= 10
    assert "m49" in stage.comments[0]


WIDER = (
    tiny.rows(4000, 2).replace("segment,y\n", "segment,y,x4\n", 1).replace("\n", ",1\n").replace("x4,1\n", "x4\n", 1)
)


LACKED: dict[str, tuple[dict[str, str], str]] = {
    "holdout-schema": ({"data/holdout.csv": WIDER}, "Land the new columns of the holdout first"),
    "model-inputs": ({}, "Give it one input a column"),
}


@pytest.mark.parametrize("reason", LACKED)
def test_an_input_that_the_holdout_lacks(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path, reason: str
) -> None:
    changes, hint = LACKED[reason]
    stage = Stage.opened(github, tmp_path, monkeypatch, changes | tiny.params(offset=1000))
    model = columns({"x1": 1.0, "x4": 1.0}).SerializeToString()
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed) | {"model.onnx": model})
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.report["verdict"]["reason"] == reason
    state, said = stage.status
    assert state == "error"
    assert said.startswith("Could not be judged: The ONNX model has inputs that are no feature of the holdout: 'x4'.")
    assert hint in stage.comments[0]
    assert "None of 4 gates could be evaluated." in stage.comments[0]
