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
