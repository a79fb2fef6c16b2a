"""A push to main end to end where mlbot.yaml names a store: stored, then in the ledger, then a baseline."""

from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository
from tests.support import tiny

from mlbot.ledger.entries import VerdictEntry, read_files
from mlbot.storage.digest import digest_of
from mlbot.storage.store import open_store

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

JUDGE, STORE = "mlbot-judge.yml", "judge / Store what was accepted"


def with_store(github: FakeGitHub, url: str) -> Repository:
    """The user's repository, whose mlbot.yaml names a store."""
    changed: dict[str, Any] = {"mlbot.yaml": f"{user.CONFIG}store: {url}\n"}
    return user.repository(github, **changed)


def verdicts(models: Repository) -> list[VerdictEntry]:
    """What the ledger has."""
    files = {path: models.git.git("show", f"mlbot-ledger:{path}").encode() + b"\n" for path in user.ledger(models)}
    return [entry for entry in read_files(files).entries if isinstance(entry, VerdictEntry)]


def test_what_main_accepts_is_stored_and_is_a_baseline_when_its_artifact_is_gone(
    github: FakeGitHub, actions: Harness, registry: str, tmp_path: Path
) -> None:
    models = with_store(github, registry)
    boss = github.user("boss")
    boss.push("main", tiny.params(offset=1))
    actions.run_until_idle()
    assert actions.last(JUDGE, "workflow_run").outcomes()[STORE] == "success"

    (entry,) = verdicts(models)
    store = open_store(registry, tmp_path)
    for number, file in enumerate(entry.files):
        store.get(file.digest, tmp_path / f"{number}.onnx", size=file.size_bytes)
    assert digest_of(tmp_path / "0.onnx") == entry.digest
    assert entry.training is not None
    assert entry.report is not None
    assert store.has(entry.training)
    assert store.has(entry.report)

    for artifact in models.artifacts.values():
        artifact.expired = True
    pull = github.user("alice").pull_request("change", tiny.params(offset=7000))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    outcomes = actions.last(JUDGE, "workflow_run").outcomes()
    assert outcomes[STORE] == "skipped"
    assert [name for name in outcomes if "baseline" in name and outcomes[name] != "skipped"] == []
    (comment,) = user.comments(models, pull)
    assert "baseline" in comment
    assert "not available" not in comment


def test_a_store_that_takes_nothing_is_an_error_and_the_ledger_stays_silent(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    models = with_store(github, (tmp_path / "kept").as_uri())
    sha = github.user("boss").push("main", tiny.params(offset=1))
    actions.run_until_idle()
    assert actions.last(JUDGE, "workflow_run").outcomes()[STORE] == "failure"
    state, said = user.statuses(models, sha)[-1]
    assert (state, "could not be put into the store" in said) == ("error", True)
    assert "mlbot-ledger" not in models.git.git("branch", "--list", "mlbot-ledger")
