"""The three commits of a laptop's run."""

import pytest
from tests.support.git_samples import Sandbox

from mlbot.errors import UsageError
from mlbot.git.commits import three_commits
from mlbot.git.repository import Repository

CONFIG = {"mlbot.yaml": "version: 1\n"}


def repository(sandbox: Sandbox) -> Repository:
    return Repository.discover(sandbox.path)


def test_a_branch_with_changes(sandbox: Sandbox) -> None:
    fork = sandbox.commit(CONFIG)
    tip = sandbox.commit({"later": "1"})
    sandbox.git("checkout", "--quiet", "-b", "work", fork)
    sandbox.commit({"mine": "1"})
    sandbox.write({"unsaved": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy, commits.guarded, commits.behind) == (fork, tip, "main", 1)
    assert commits.uncommitted == ("unsaved",)
    assert commits.head == repository(sandbox).snapshot().sha


@pytest.mark.parametrize("rev", ["develop", "origin/develop"])
def test_another_guarded_branch(sandbox: Sandbox, rev: str) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.git("update-ref", "refs/remotes/origin/develop", "HEAD")
    sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox), rev)
    assert (commits.base, commits.policy, commits.guarded) == (tip, tip, "develop")


def test_any_revision_as_base(sandbox: Sandbox) -> None:
    first = sandbox.commit(CONFIG)
    sandbox.commit({"a": "1"})
    assert three_commits(repository(sandbox), "HEAD~1").base == first
    with pytest.raises(UsageError, match="nowhere"):
        three_commits(repository(sandbox), "nowhere")


def test_on_the_default_branch_itself(sandbox: Sandbox) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.write({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy, commits.uncommitted) == (tip, tip, ("a",))
    assert commits.head != tip


def test_on_the_default_branch_ahead_of_the_remote(sandbox: Sandbox) -> None:
    pushed = sandbox.commit(CONFIG)
    sandbox.git("update-ref", "refs/remotes/origin/main", "HEAD")
    head = sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.head, commits.base, commits.policy) == (head, pushed, pushed)


def test_a_guarded_branch_without_config_has_no_policy(sandbox: Sandbox) -> None:
    tip = sandbox.commit({"a": "1"})
    sandbox.write(CONFIG)
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy) == (tip, None)


def test_before_the_first_commit(sandbox: Sandbox) -> None:
    sandbox.write(CONFIG)
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy, commits.guarded, commits.behind) == (None, None, "main", 0)
    assert commits.uncommitted == ("mlbot.yaml",)


def test_unrelated_histories(sandbox: Sandbox) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.git("checkout", "--quiet", "--orphan", "alone")
    head = sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.head, commits.base, commits.policy, commits.behind) == (head, None, tip, 0)


def test_a_detached_head(sandbox: Sandbox) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.git("checkout", "--quiet", "--detach")
    head = sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.head, commits.base, commits.guarded) == (head, tip, "main")


def test_no_telling_which_branch_is_guarded(sandbox: Sandbox) -> None:
    sandbox.commit(CONFIG)
    sandbox.git("branch", "-m", "main", "work")
    with pytest.raises(UsageError, match="--base BRANCH"):
        three_commits(repository(sandbox))
