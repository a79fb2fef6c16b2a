"""The ledger branch through GitHub's own door: smart HTTP, a job's token, its permissions."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository
from tests.support.ledger_samples import entry

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.git.ledger import ChartsBranch, LedgerBranch
from mlbot.git.orphan import OrphanBranch
from mlbot.git.remote import Remote

NOW = 1_763_654_400


@pytest.fixture
def github(tmp_path: Path, git_settings: None) -> Iterator[FakeGitHub]:
    del git_settings
    with FakeGitHub(tmp_path / "github") as fake:
        yield fake
    fake.check()


@pytest.fixture
def repository(github: FakeGitHub) -> Repository:
    return github.repository("acme/income", private=True)


def remote(github: FakeGitHub, repository: Repository, level: str) -> Remote:
    token = github.job_token(repository, {"contents": level})
    return Remote(url=f"{github.url}/acme/income.git", token=token)


def test_a_job_that_may_write_appends_and_one_that_may_read_reads(github: FakeGitHub, repository: Repository) -> None:
    writer = LedgerBranch.at(remote(github, repository, "write"))
    first = writer.append([entry(run=1)], NOW)
    second = writer.append([entry(run=2)], NOW)
    assert repository.git.find("refs/heads/mlbot/ledger") == second.sha != first.sha
    assert LedgerBranch.at(remote(github, repository, "read")).read().entries == (entry(run=1), entry(run=2))


def test_a_job_that_may_not_write_is_told_what_it_lacks(github: FakeGitHub, repository: Repository) -> None:
    with pytest.raises(RefusedError, match="the token may not be used for writing the branch mlbot/ledger") as caught:
        LedgerBranch.at(remote(github, repository, "read")).append([entry()], NOW)
    assert "contents: write" in caught.value.hint
    assert "ghs_" not in str(caught.value)


def test_without_a_token_a_private_repository_stays_shut(github: FakeGitHub, repository: Repository) -> None:
    del repository
    with pytest.raises(RefusedError, match="for reading"):
        LedgerBranch.at(Remote(url=f"{github.url}/acme/income.git")).read()


def test_a_picture_is_where_its_address_says(github: FakeGitHub, repository: Repository) -> None:
    sha = ChartsBranch.at(remote(github, repository, "write")).push({"ab/x.svg": b"<svg/>"}, NOW)
    assert repository.git.git("cat-file", "blob", f"{sha}:ab/x.svg") == "<svg/>"


def test_a_passing_fault_is_tried_again(github: FakeGitHub, repository: Repository) -> None:
    fault = github.faults.add("git-upload-pack", 502)
    pushing = github.faults.add("git-receive-pack", 502)
    waits: list[float] = []
    to = remote(github, repository, "write")
    branch = OrphanBranch(remote=to, name="mlbot/ledger", sleep=waits.append, chance=lambda: 1.0)
    branch.append({"v1/a": b"1"}, "one", NOW)
    assert (fault.met, pushing.met, len(waits)) == (1, 1, 2)
    assert branch.read() == {"v1/a": b"1"}


def test_a_server_that_is_down_ends_it(github: FakeGitHub, repository: Repository) -> None:
    github.faults.add("/info/refs", 503, times=99)
    to = remote(github, repository, "write")
    branch = OrphanBranch(remote=to, name="mlbot/ledger", sleep=lambda _: None)
    with pytest.raises(NotEvaluatedError, match="reading the branch mlbot/ledger failed") as caught:
        branch.append({"v1/a": b"1"}, "one", NOW)
    assert "ghs_" not in str(caught.value)


def test_a_push_that_always_fails_ends_soon(github: FakeGitHub, repository: Repository) -> None:
    fault = github.faults.add("POST /acme/income.git/git-receive-pack", 500, times=99)
    to = remote(github, repository, "write")
    branch = OrphanBranch(remote=to, name="mlbot/ledger", sleep=lambda _: None)
    with pytest.raises(NotEvaluatedError, match="writing the branch mlbot/ledger failed"):
        branch.append({"v1/a": b"1"}, "one", NOW)
    assert fault.met == 5


def test_a_push_that_arrived_although_it_failed_is_not_made_twice(github: FakeGitHub, repository: Repository) -> None:
    github.faults.add("POST /acme/income.git/git-receive-pack", 500, after=True)
    branch = OrphanBranch(remote=remote(github, repository, "write"), name="mlbot/ledger", sleep=lambda _: None)
    branch.append({"v1/a": b"1"}, "one", NOW)
    assert branch.read() == {"v1/a": b"1"}
    assert repository.git.git("rev-list", "--count", "refs/heads/mlbot/ledger") == "1"
