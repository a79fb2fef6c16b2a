"""Comments answered, by the command line in this process, on a fake GitHub."""

from pathlib import Path

import pytest
from tests.commenting import Thread
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub

from mlbot.core.answer import RetrainRequest, WaiverRequest
from mlbot.core.forge import Attempt

__all__ = ["github"]


@pytest.fixture
def thread(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """A pull request of a branch, trained."""
    return Thread.opened(github, tmp_path, monkeypatch).finish()


@pytest.fixture
def fork(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """A pull request of a fork, trained."""
    return Thread.opened(github, tmp_path, monkeypatch, fork=True).finish()


def test_a_training_is_run_again(thread: Thread) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2
    attempt = Attempt(run=thread.run.id, number=2)
    expected = RetrainRequest(
        comment=comment.id, actor="alice", number=thread.pull.number, sha=thread.head, attempt=attempt
    )
    assert thread.records == (expected,)
    assert thread.started == [("mlbot-judge.yml", {"run-id": str(thread.run.id), "run-attempt": "2"})]
    assert thread.statuses == [("pending", "Training what is stale again, as alice asked.")]
    assert thread.reactions(comment) == ["eyes", "rocket"]
    (answer,) = thread.answers
    assert "✅ `/retrain`: Training what is stale again, as attempt 2; the verdict follows." in answer
    assert f"/actions/runs/{thread.run.id}" in answer
    assert not thread.github.requests.refused()
