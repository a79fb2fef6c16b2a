"""Merging pull requests, at once or by a queue."""

from typing import Literal

from tests.fake_github import events, ops_git
from tests.fake_github.errors import Refusal
from tests.fake_github.state import Issue, Repository
from tests.fake_github.tokens import Token
from tests.fake_github.world import World

MergeMethod = Literal["merge", "squash", "rebase"]


def merge(
    world: World, repo: Repository, token: Token, issue: Issue, *,
    method: MergeMethod = "merge", sha: str | None = None, message: str | None = None,
) -> str:  # fmt: skip
    """Merge into the base branch; the commit that is now its tip.

    Raises:
        Refusal: 405 when it cannot be merged, 409 when the head is another by now.
    """
    assert issue.pull
    pull = issue.pull
    if issue.state == "closed" or not pull.mergeable or pull.draft:
        raise Refusal(405, "Pull Request is not mergeable")
    if sha not in (None, pull.head_sha):
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    base_ref = f"refs/heads/{pull.base_ref}"
    before = repo.git.git("rev-parse", base_ref)
    commit = merged_commit(world, repo, token, issue, onto=before, method=method, message=message)
    pull.merged_at, pull.merged_by, pull.merge_commit = world.now(), token.user, commit
    issue.state, issue.closed_at = "closed", pull.merged_at
    events.pull_request(world, repo, token, "closed", issue)
    ops_git.set_ref(world, repo, token, base_ref, commit)
    return commit


def merged_commit(
    world: World, repo: Repository, token: Token, issue: Issue, *,
    onto: str, method: MergeMethod = "merge", message: str | None = None,
) -> str:  # fmt: skip
    """The commit that merging onto another would make.

    Raises:
        Refusal: they conflict.
    """
    assert issue.pull
    pull, who = issue.pull, world.identity(token.user)
    title = f"Merge pull request #{issue.number} from {pull.head_owner.login}/{pull.head_ref}"
    commit = repo.git.merge(onto, pull.head_sha, message or f"{title}\n\n{issue.title}", who)
    if commit is None:
        raise Refusal(405, "Pull Request is not mergeable")
    if method == "merge":
        return commit
    tree = repo.git.info(commit).tree
    return repo.git.commit_tree(tree, message or f"{issue.title} (#{issue.number})", [onto], who)


def queue(world: World, repo: Repository, token: Token, issue: Issue) -> str:
    """Put a pull request in the merge queue; the reference of its group, whose checks are requested.

    Raises:
        Refusal: they conflict.
    """
    assert issue.pull
    base_ref = f"refs/heads/{issue.pull.base_ref}"
    base = repo.git.git("rev-parse", base_ref)
    commit = merged_commit(world, repo, token, issue, onto=base)
    ref = f"refs/heads/gh-readonly-queue/{issue.pull.base_ref}/pr-{issue.number}-{base}"
    repo.git.set_ref(ref, commit)
    events.merge_group(world, repo, token, "checks_requested", ref, base_ref)
    return ref


def leave_queue(world: World, repo: Repository, token: Token, issue: Issue, ref: str, *, merged: bool) -> None:
    """The group's checks passed, and its commit becomes the tip of the base branch; or it is dropped."""
    assert issue.pull
    pull, commit, base_ref = issue.pull, repo.git.git("rev-parse", ref), f"refs/heads/{issue.pull.base_ref}"
    events.merge_group(world, repo, token, "destroyed", ref, base_ref)
    repo.git.git("update-ref", "-d", ref)
    if merged:
        pull.merged_at, pull.merged_by, pull.merge_commit = world.now(), token.user, commit
        issue.state, issue.closed_at = "closed", pull.merged_at
        events.pull_request(world, repo, token, "closed", issue)
        ops_git.set_ref(world, repo, token, base_ref, commit)
