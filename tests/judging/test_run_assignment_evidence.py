"""What waivers bind to, from real commits: on a laptop the ledger's waivers hold as they do on GitHub."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.git_samples import Sandbox

from mlbot.config.schema import OnInconclusive
from mlbot.console import Console
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.repository import Repository, three_commits
from mlbot.judging.run_judge import evidence_of
from mlbot.judging.run_local import RunOptions, run_models
from mlbot.ledger.entries import WaiverEntry, files_of
from mlbot.lib.tree import Tree
from mlbot.plan.run_plan import Planning, read_configs
from mlbot.report.report import NoticeCode, Report
from mlbot.verdict.decide import Evidence
from mlbot.verdict.waiver import policy_digest, removal_digest

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def repository(tmp_path: Path, git_settings: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tiny.repository(tmp_path / "repository")


def deleted(repository: Sandbox, config: str) -> Evidence:
    """The evidence on the one model that the working tree removes."""
    repository.commit({"mlbot.yaml": config})
    git = Repository.discover(repository.path)
    (found,) = evidence_of(Planning.of(git, three_commits(git, None)), [])
    return found


def test_a_removal_binds_to_the_key_that_the_model_had(repository: Sandbox) -> None:
    found = deleted(repository, tiny.CONFIG.replace("  tiny:", "  other:"))
    assert (found.model, found.deleted, found.policy) == ("tiny", True, removal_digest())
    assert found.key is not None
    repository.git("checkout", "--quiet", "main")
    repository.commit(tiny.params(offset=5))
    repository.git("checkout", "--quiet", "-B", "change")
    assert deleted(repository, tiny.CONFIG.replace("  tiny:", "  another:")).key not in {None, found.key}


def test_a_removal_of_what_base_cannot_train_binds_to_nothing(repository: Sandbox) -> None:
    repository.git("checkout", "--quiet", "main")
    broken = tiny.CONFIG.replace("params: params.yaml", "params: gone.yaml")
    repository.commit({"mlbot.yaml": broken})
    repository.git("checkout", "--quiet", "-B", "change")
    assert deleted(repository, tiny.CONFIG.replace("  tiny:", "  other:")).key is None


def remember(repository: Sandbox, *entries: WaiverEntry) -> None:
    """Put entries on this clone's ledger branch, as a fetch would."""
    repository.git("checkout", "--quiet", "--orphan", "mlbot/ledger")
    repository.git("rm", "-rfq", ".")
    repository.commit({path: raw.decode() for path, raw in files_of(entries).items()})
    repository.git("checkout", "--quiet", "change")


def run(repository: Sandbox) -> Report:
    console = Console(out=io.StringIO(), err=io.StringIO())
    return run_models(repository.path, RunOptions(), console)


def test_the_ledgers_waivers_hold_on_a_laptop_and_end_with_the_rules(repository: Sandbox) -> None:
    repository.commit(tiny.params(mode="lost"))
    before = run(repository)
    assert before.verdict.outcome is Outcome.FAIL
    (model,) = before.models
    assert model.holdout is not None
    git = Repository.discover(repository.path)
    config = read_configs(git, three_commits(git, None)).head
    rules = policy_digest(config.models[0], OnInconclusive(), Tree(), model.holdout.digest)
    fields: dict[str, Any] = {
        "model": "tiny",
        "key": model.verdict.key,
        "reason": "Known.",
        "actor": "boss",
        "commit": before.verdict.commits.head,
        "time": "2026-11-20T16:00:00Z",
    }
    failed = [gate.gate.name for gate in model.verdict.gates if gate.counts and gate.outcome is not Outcome.PASS]
    remember(repository, *(WaiverEntry(policy=rules, gate=name, **fields) for name in failed))
    assert run(repository).verdict.reason is Reason.WAIVED

    repository.git("branch", "--quiet", "-D", "mlbot/ledger")
    remember(repository, *(WaiverEntry(policy=removal_digest(), gate=name, **fields) for name in failed))
    after = run(repository)
    assert after.verdict.outcome is Outcome.FAIL
    assert [notice.code for notice in after.notices].count(NoticeCode.WAIVER_ENDED) == len(failed)
