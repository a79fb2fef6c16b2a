"""Real git against the fake: fetch, push, and what a push sets off."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.fake_github.people import Person
from tests.fake_github.server import FakeGitHub

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def alice(github: FakeGitHub) -> Person:
    github.repository("acme/models", roles={"alice": "write"}, private=True)
    return github.user("alice")


@pytest.fixture
def clone(alice: Person, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", alice.clone_url(), "clone")
    return tmp_path / "clone"


def test_a_push_is_noticed(github: FakeGitHub, alice: Person, clone: Path) -> None:
    git(clone, "switch", "--quiet", "--create", "topic")
    (clone / "model.bin").write_bytes(os.urandom(2_000_000))  # over git's post buffer: a chunked request
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Big")
    git(clone, "push", "--quiet", "origin", "topic")
    sha = git(clone, "rev-parse", "HEAD")
    told = github.world.deliveries[-1]
    assert (told.event, told.payload["ref"], told.payload["after"]) == ("push", "refs/heads/topic", sha)
    assert told.payload["commits"][0]["added"] == ["model.bin"]
    issue = alice.open_pull_request("topic")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "More")
    git(clone, "push", "--quiet", "origin", "topic")
    assert github.world.deliveries[-1].payload["action"] == "synchronize"
    assert issue.pull
    git(clone, "fetch", "--quiet", "origin", f"refs/pull/{issue.number}/merge")
    assert git(clone, "rev-parse", "FETCH_HEAD") == issue.pull.merge_commit


def test_any_commit_can_be_fetched_by_its_sha(alice: Person, clone: Path) -> None:
    lost = alice.push("topic", {"a.txt": "1"})
    alice.force_push("topic", {"a.txt": "2"})
    git(clone, "fetch", "--quiet", "--depth=1", "origin", lost)
    assert git(clone, "rev-parse", "FETCH_HEAD") == lost


def test_more_than_three_tags_raise_no_events(github: FakeGitHub, clone: Path) -> None:
    for name in "abc":
        git(clone, "tag", name)
    git(clone, "push", "--quiet", "origin", "--tags")
    told = [one for one in github.world.deliveries if one.event == "push"]
    assert [one.payload["ref"] for one in told] == [f"refs/tags/{name}" for name in "abc"]
    for name in "defg":
        git(clone, "tag", name)
    git(clone, "push", "--quiet", "origin", "--tags")
    assert [one for one in github.world.deliveries if one.event == "push"] == told


def test_a_lease_is_kept(alice: Person, clone: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    theirs = alice.push("main", {"a.txt": "theirs"})
    with pytest.raises(subprocess.CalledProcessError):
        git(clone, "push", "--quiet", "origin", "main")
    assert alice.repository.git.find("refs/heads/main") == theirs


@pytest.mark.parametrize("login", ["reader", "stranger", None])
def test_who_may_not_push_cannot(github: FakeGitHub, alice: Person, tmp_path: Path, login: str | None) -> None:
    alice.repository.private = False
    alice.repository.roles["reader"] = "read"
    url = github.user(login).clone_url() if login else f"{github.url}/acme/models"
    git(tmp_path, "clone", "--quiet", url, "theirs")
    git(tmp_path / "theirs", "commit", "--quiet", "--allow-empty", "--message", "Evil")
    with pytest.raises(subprocess.CalledProcessError):
        git(tmp_path / "theirs", "push", "--quiet", "origin", "main")
    assert not github.world.deliveries


def test_a_private_repository_is_not_there_for_strangers(github: FakeGitHub, alice: Person, tmp_path: Path) -> None:
    for url in (f"{github.url}/{alice.repository.full_name}", github.user("stranger").clone_url()):
        with pytest.raises(subprocess.CalledProcessError):
            git(tmp_path, "clone", "--quiet", url, "theirs")


def test_a_jobs_token_pushes_where_it_may_write(github: FakeGitHub, alice: Person, clone: Path) -> None:
    host = github.url.removeprefix("http://")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Ledger")
    for level, works in (("read", False), ("write", True)):
        token = github.job_token(alice.repository, {"contents": level})
        url = f"http://x-access-token:{token}@{host}/acme/models"
        if works:
            git(clone, "push", "--quiet", url, "HEAD:refs/heads/ledger")
            continue
        with pytest.raises(subprocess.CalledProcessError):
            git(clone, "push", "--quiet", url, "HEAD:refs/heads/ledger")
    assert github.world.deliveries[-1].by_token
