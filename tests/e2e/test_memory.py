"""What the verdict remembers: looks at the open holdout, whatever it is called, and losses that add up."""

from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.e2e.test_brought import CONFIG, folder
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository
from tests.support import tiny
from tests.support.history_samples import look

from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import LookEntry, read_files

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

NOW = 1_763_654_400


def repository(github: FakeGitHub, files: dict[str, Any]) -> Repository:
    """A repository whose model is a folder in git, so that a change of it is its weights and nothing else."""
    there = {path: text for path, text in user.files().items() if path not in {"train.py", "params.yaml"}}
    roles = {"alice": "write", "boss": "admin"}
    return github.repository("acme/models", {**there, "mlbot.yaml": CONFIG, **files}, roles=roles)  # type: ignore[arg-type]


def looks(models: Repository) -> list[LookEntry]:
    """Each look of the ledger."""
    paths = [path for path in user.ledger(models) if path.startswith("v1/look/")]
    found = {path: models.git.git("show", f"mlbot-ledger:{path}").encode() + b"\n" for path in paths}
    return [each for each in read_files(found).entries if isinstance(each, LookEntry)]


def test_ten_looks_of_one_pull_request_are_said_whatever_the_rows_are_called(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    models = repository(github, folder(tmp_path / "first", [1.5, 0.8, 0.5]))
    boss, alice = github.user("boss"), github.user("alice")
    pull = alice.pull_request("climb", dict(folder(tmp_path / "one", [1.49, 0.8, 0.5])))
    actions.run_until_idle()
    (comment,) = user.comments(models, pull)
    assert "1 model measured on these rows so far, 1 in this pull request" in comment
    (seen,) = looks(models)
    assert (seen.pull_request, seen.repository, seen.actor) == (pull.number, models.id, "alice")

    more = [look(at, pull.number, content=seen.content, repository=models.id) for at in range(8)]
    LedgerBranch.at(Remote(url=boss.clone_url())).append(more, NOW)
    head, *rows = tiny.files()["data/holdout.csv"].splitlines()
    columns = [line.split(",") for line in (head, *reversed(rows))]
    renamed = "\n".join(";".join(reversed(each)) for each in columns) + "\n"
    moved = {
        "data/holdout.csv": None,
        "data/later.csv": renamed,
        "mlbot.yaml": CONFIG.replace("holdout.csv", "later.csv"),
    }
    boss.push("main", moved)
    alice.push("climb", dict(folder(tmp_path / "ten", [1.51, 0.8, 0.5])))
    actions.run_until_idle()
    assert {each.content for each in looks(models)} == {seen.content}
    (comment,) = user.comments(models, pull)
    assert "11 models measured on these rows so far, 10 in this pull request" in comment
    assert "**Many looks.** 10 models of this pull request have been measured on these same rows" in comment
    assert "no sealed rows" in comment
    assert user.verdict(models, user.head(pull)) == "success"
    assert [one for one in github.requests.refused() if one.token] == []  # git asks without its token first


def test_a_second_loss_within_the_margin_is_stopped_by_the_anchor(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    """Each of them loses less than the margin, 0.02 of ROC AUC, beside the model before it: 0.016, then 0.018."""
    models = repository(github, folder(tmp_path / "before", [1.5, 0.8, 0.49]))
    boss, alice = github.user("boss"), github.user("alice")
    pushed = []
    for name, weights in {"first": [1.5, 0.8, 0.5], "lower": [1.5, 0.6, 0.0]}.items():
        pushed.append(boss.push("main", dict(folder(tmp_path / name, weights))))
        actions.run_until_idle()
        assert user.verdict(models, pushed[-1]) == "success"

    lower = alice.pull_request("lower-still", dict(folder(tmp_path / "still", [1.5, 0.22, 0.0])))
    better = alice.pull_request("better", dict(folder(tmp_path / "better", [1.5, 0.7, 0.5])))
    actions.run_until_idle()
    assert user.verdict(models, user.head(better)) == "success"
    assert user.verdict(models, user.head(lower)) == "failure"
    (comment,) = user.comments(models, lower)
    assert "Losses that add up" in comment
    assert f"since `{pushed[0][:7]}`" in comment
    assert "of 0.03 that changes may lose together" in comment
    assert "**Do not merge:** roc\\_auc fell by 0.0335 since " in comment
    assert "more than the 0.03 that changes may lose together" in comment
    assert not github.requests.refused()
