"""What evaluators with secrets gave: believed by the digest that their job put out, and no other way."""

from pathlib import Path

import pytest

from mlbot.gates.outcome import Reason
from mlbot.judging.run_evaluations import RECORD, Evaluations, HandedOver, handed_over
from mlbot.lib.record import Digest, digest
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
