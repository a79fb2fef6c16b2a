"""What evaluators with secrets gave: believed by the digest that their job put out, and no other way."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.hosted import Stage, trained

from mlbot.errors import Exit
from mlbot.gates.outcome import Reason
from mlbot.judging.run_evaluations import RECORD, Evaluations, HandedOver, handed_over
from mlbot.lib.record import Digest, digest
from mlbot.ml.isolation import isolation_of
from mlbot.verdict.verdict import Problem

OURS, THEIRS, OTHER, ITS = (digest(each) for each in (b"ours", b"theirs", b"other", b"the evaluator"))


@pytest.fixture
def written(tmp_path: Path) -> Digest:
    """Two artifacts' results: of the second there are none."""
    evaluations = Evaluations(folder=tmp_path, isolation="bubblewrap")
    evaluations.add(("m", OURS, ITS), b"rows")
    evaluations.add(("m", THEIRS, ITS), Problem.of(Reason.EVALUATOR_FAILED, "command", why="It ended.", log=""))
    assert (evaluations.has(("m", OURS, ITS)), evaluations.has(("other", OURS, ITS))) == (True, False)
    return evaluations.finish()


def cause(found: bytes | Problem) -> str | None:
    """Why there are no results."""
    assert isinstance(found, Problem), found
    assert found.reason is Reason.EVALUATOR_FAILED
    return found.cause


def test_results_are_those_of_the_artifact(tmp_path: Path, written: Digest) -> None:
    found = handed_over(tmp_path, written)
    assert found.isolation == "bubblewrap"
    assert found.results(("m", OURS, ITS)) == b"rows"
    failed = found.results(("m", THEIRS, ITS))
    assert cause(failed) == "elsewhere"
    assert isinstance(failed, Problem)
    assert "It ended." in failed.detail
    for key in (("m", OTHER, ITS), ("other", OURS, ITS), ("m", OURS, OTHER), ("m", OURS, None)):
        assert cause(found.results(key)) == "not-handed-over"


def test_nothing_is_believed_without_its_digest(tmp_path: Path, written: Digest) -> None:
    for expected in ("", str(OTHER)):
        assert handed_over(tmp_path, expected).files == {}
    (tmp_path / RECORD).write_bytes((tmp_path / RECORD).read_bytes() + b" ")
    assert cause(handed_over(tmp_path, written).results(("m", OURS, ITS))) == "not-handed-over"


@pytest.mark.parametrize("change", ["other bytes", "gone", "a link"])
def test_changed_results_are_none(tmp_path: Path, written: Digest, change: str) -> None:
    (path,) = tmp_path.glob("*.results")
    path.unlink()
    if change == "other bytes":
        path.write_bytes(b"rows that pass")
    elif change == "a link":
        path.symlink_to("/etc/hostname")
    assert cause(handed_over(tmp_path, written).results(("m", OURS, ITS))) == "not-handed-over"


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert handed_over(tmp_path / "absent", str(OURS)) == HandedOver(folder=tmp_path / "absent")


SCORES = """version: 1
guard: [main, dev]
actions:
  evaluate: {secrets: [PROVIDER_KEY]}
models:
  tiny:
    task: scores
    train: {run: python train.py, depends: [train.py, data/train.csv], params: params.yaml, seeds: 1}
    evaluate:
      run: python3 evals/score.py
      scores: {exact: {range: [0, 1]}}
      network: true
      secrets: [PROVIDER_KEY]
    gates: {exact: {min: 0.5}}
"""
SCORE = """
import json, os

assert os.environ["PROVIDER_KEY"] == "the key"
rows = [{"item": f"case {at}", "score.exact": 1} for at in range(4)]
header = {"mlbot_rows": 1, "complete": True, "items": 4, "repeats": 1}
with open(os.environ["MLBOT_RESULTS"], "w") as out:
    out.write("\\n".join(map(json.dumps, [header, *rows])))
"""


@pytest.mark.usefixtures("git_settings")
def test_what_another_run_of_the_head_left_is_evaluated_where_the_judge_takes_it(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    """One commit, proposed for two branches: the run that is judged left nothing, and the other one's files are."""
    if isinstance(jail := isolation_of(judge=True), Problem):
        pytest.skip(jail.detail)
    changed: dict[str, Any] = {"mlbot.yaml": SCORES, "evals/score.py": SCORE}
    models = user.repository(github, **changed)
    github.user("boss").push("dev", {"README.md": "A line of its own."})
    github.world.queue.clear()
    github.world.runs.clear()
    other = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000), models)
    stage = other.beside("dev")
    content = b"a prompt"
    facts = {"digest": digest(content), "size_bytes": len(content)}
    lineage = json.loads(trained(good, 0)["training.json"]) | facts
    other.upload(0, {"model.onnx": content, "training.json": json.dumps(lineage).encode()})
    other.finish()
    stage.finish()

    monkeypatch.setenv("PROVIDER_KEY", "the key")
    assert stage.put_out("evaluate", "--out", str(tmp_path / "evaluated")) == Exit.OK
    given = stage.outputs["digest"]
    assert [each.model for each in handed_over(tmp_path / "evaluated", given).files.values()] == ["tiny"]
    monkeypatch.delenv("PROVIDER_KEY")
    monkeypatch.setenv("MLBOT_CI_JUDGE_EVALUATED", str(tmp_path / "evaluated"))
    monkeypatch.setenv("MLBOT_CI_JUDGE_EVALUATED_DIGEST", given)
    assert stage.judge() == Exit.OK
    (model,) = stage.report["models"]
    assert [each["problem"] for each in model["candidate"]] == [None]
