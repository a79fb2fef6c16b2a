"""What a push's judge accepted goes into the store; changed bytes, pull requests and folders of the checkout do not."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import JUDGE_RUN, Stage, archive, trained

from mlbot.errors import Exit
from mlbot.protocol.decision import PullRequestSubject
from mlbot.storage.store import open_store

pytestmark = pytest.mark.usefixtures("git_settings")

READS = {"actions": "read", "contents": "read", "packages": "write"}


def pushed(github: FakeGitHub, folder: Path, monkeypatch: pytest.MonkeyPatch, store: str) -> Stage:
    """Boss pushes to main of a repository with a store; the training run is over but for its artifacts."""
    changed: dict[str, Any] = {"mlbot.yaml": f"{user.CONFIG}store: {store}\n"}
    models = user.repository(github, **changed)
    github.user("boss").push("main", tiny.params(offset=1000))
    run = next(run for run in github.world.runs.values() if run.workflow.path == ".github/workflows/mlbot.yml")
    github.world.queue.clear()
    ops_actions.begin(github.world, run)
    subprocess.run(["git", "clone", "--quiet", str(models.git.path), str(folder / "checkout")], check=True)
    nobody: Any = None
    return Stage(github, models, nobody, run, folder, monkeypatch)


def judged(stage: Stage, candidate: Path) -> Path:
    """Both seeds uploaded and judged; what the judge's action uploads is there, too. The records' folder."""
    for seed in (0, 1):
        stage.upload(seed, trained(candidate, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    return stage.folder / "judged"


def upload_accepted(stage: Stage, files: dict[str, bytes]) -> None:
    judge = copy.copy(stage.run)
    judge.id = JUDGE_RUN
    stage.github.world.runs[JUDGE_RUN] = judge
    ops_actions.upload(stage.github.world, judge, 1, "mlbot-accepted-a1", archive(files))


def accepted(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "accepted").iterdir()}


def store(stage: Stage, out: Path) -> int:
    return stage.mlbot("store", "--from", str(out / "report"), rights=READS)


def stored(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return pushed(github, tmp_path, monkeypatch, (tmp_path / "kept").as_uri())


def test_files_and_records_are_stored_once(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    assert [store(stage, out), store(stage, out)] == [Exit.OK, Exit.OK]
    kept = open_store((tmp_path / "kept").as_uri(), tmp_path)
    for name in accepted(out):
        kept.get(f"sha256:{name.removesuffix('.onnx')}", tmp_path / "got.onnx")
    assert stored(tmp_path / "kept") == 4  # two seeds, the lineage and the report


def test_bytes_that_were_changed_after_the_verdict_are_not_stored(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    changed = {name: content[:-1] + bytes([content[-1] ^ 1]) for name, content in accepted(out).items()}
    upload_accepted(stage, changed)
    assert store(stage, out) == Exit.NOT_EVALUATED
    assert stored(tmp_path / "kept") == 0


def test_accepted_files_that_are_not_there_are_an_error(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    upload_accepted(stage, {})
    assert store(stage, out) == Exit.NOT_EVALUATED
    assert stored(tmp_path / "kept") == 0


def test_a_judge_that_left_nothing_is_an_error(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    (out / "report" / "report.json").unlink()
    assert store(stage, out) == Exit.NOT_EVALUATED
    assert stored(tmp_path / "kept") == 0


def test_nothing_of_a_pull_request_is_stored(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    path = out / "report" / "decision.json"
    decision: dict[str, Any] = json.loads(path.read_text())
    sha, branch = decision["subject"]["sha"], decision["subject"]["branch"]
    subject = PullRequestSubject(number=1, sha=sha, branch=branch, head_ref="x", head_repository_id=1, fork=True)
    path.write_text(json.dumps({**decision, "subject": subject.model_dump()}))
    assert store(stage, out) == Exit.OK
    assert stored(tmp_path / "kept") == 0


def test_a_folder_of_the_checkout_is_left_out(
    github: FakeGitHub, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = pushed(github, tmp_path, monkeypatch, "kept")
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    assert store(stage, out) == Exit.OK
    assert not (tmp_path / "checkout" / "kept").exists()


@pytest.mark.parametrize(
    ("stored", "state"), [("failure", "error"), ("cancelled", "error"), ("success", None), ("", None)]
)
def test_a_verdict_waits_for_the_store(stage: Stage, good: Path, stored: str, state: str | None) -> None:
    out = judged(stage, good)
    options = ["--stored", stored] if stored else []
    assert stage.mlbot("publish", "--from", str(out / "report"), *options, rights=hosted.WRITES) == Exit.OK
    last, said = user.statuses(stage.models, stage.run.head_sha)[-1]
    assert (last == "error") is (state == "error")
    assert ("could not be put into the store" in said) is (state == "error")
    assert bool(stage.models.git.git("branch", "--list", "mlbot/ledger")) is (state is None)
