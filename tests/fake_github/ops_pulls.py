"""Pull requests: opening, and following their branches."""

from typing import Any

from tests.fake_github import events
from tests.fake_github.errors import invalid, not_found
from tests.fake_github.gitstore import ZERO
from tests.fake_github.state import Issue, Pull, Repository
from tests.fake_github.tokens import Token
from tests.fake_github.world import World


def next_number(repo: Repository) -> int:
    """Issues and pull requests share one sequence."""
    return max(repo.issues, default=0) + 1


def find(repo: Repository, number: int) -> tuple[Issue, Pull]:
    """A pull request by number.

    Raises:
        Refusal: there is none.
    """
    issue = repo.issues.get(number)
    if issue is None or issue.pull is None:
        raise not_found()
    return issue, issue.pull


def open_pull(
    world: World, repo: Repository, token: Token, *, head: str, base: str, title: str, body: str | None, draft: bool
) -> Issue:
    """Open a pull request; ``head`` is ``branch`` or ``owner:branch`` of a fork.

    Raises:
        Refusal: an unknown branch, nothing between them, or one is open already.
    """
    owner, _, branch = head.rpartition(":")
    source = _source(world, repo, owner)
    head_sha, base_sha = source.git.find(f"refs/heads/{branch}"), repo.git.find(f"refs/heads/{base}")
    if head_sha is None or base_sha is None:
        raise invalid("PullRequest", "head" if head_sha is None else "base", "invalid")
    rivals = [one.pull for one in repo.issues.values() if _follows(one, source, branch)]
    if any(pull and pull.base_ref == base for pull in rivals):
        raise invalid("PullRequest", "head", "custom", f"A pull request already exists for {head}.")
    _fetch(repo, source, head_sha)
    if repo.git.contains(base_sha, head_sha):
        raise invalid("PullRequest", "head", "custom", f"No commits between {base} and {head}")
    now = world.now()
    issue = Issue(
        id=world.next_id("issue"), number=next_number(repo), title=title, body=body, user=token.user,
        created_at=now, updated_at=now,
        pull=Pull(
            head_repo=source, head_owner=source.owner, head_ref=branch, head_sha=head_sha,
            base_ref=base, base_sha=base_sha, draft=draft,
        ),
    )  # fmt: skip
    repo.issues[issue.number] = issue
    refresh(world, repo, issue)
    events.pull_request(world, repo, token, "opened", issue)
    return issue


def _source(world: World, repo: Repository, owner: str) -> Repository:
    if not owner or owner == repo.owner.login:
        return repo
    for one in world.repositories.values():
        if one.parent is repo and one.owner.login == owner:
            return one
    raise invalid("PullRequest", "head", "invalid")


def _follows(issue: Issue, source: Repository, branch: str) -> bool:
    pull = issue.pull
    return bool(pull and issue.state == "open" and pull.head_repo is source and pull.head_ref == branch)


def _fetch(repo: Repository, source: Repository, sha: str) -> None:
    """Forks share one network of objects: what is pushed to one can be named in the other."""
    if source is not repo:
        repo.git.git("fetch", "--quiet", "--no-tags", str(source.git.path), sha)


def refresh(world: World, repo: Repository, issue: Issue) -> None:
    """Renew refs/pull/N/head and the test merge, which conflicting pull requests have not."""
    assert issue.pull
    pull, name = issue.pull, f"refs/pull/{issue.number}"
    base = repo.git.find(f"refs/heads/{pull.base_ref}")
    repo.git.set_ref(f"{name}/head", pull.head_sha)
    if base is None or issue.state == "closed":
        return
    message = f"Merge {pull.head_sha} into {base}"
    pull.merge_commit = repo.git.merge(base, pull.head_sha, message, world.identity(world.add_user("web-flow")))
    pull.mergeable = pull.merge_commit is not None
    if pull.merge_commit:
        repo.git.set_ref(f"{name}/merge", pull.merge_commit)
    elif repo.git.find(f"{name}/merge"):
        repo.git.git("update-ref", "-d", f"{name}/merge")


def branch_moved(world: World, repo: Repository, token: Token, branch: str, after: str) -> None:
    """Synchronize the pull requests from a branch, close those whose branch went, re-test those into it."""
    for target in [one for one in world.repositories.values() if one in (repo, repo.parent)]:
        for issue in list(target.issues.values()):
            if _follows(issue, repo, branch):
                _head_moved(world, target, token, issue, after)
            elif target is repo and issue.pull and issue.state == "open" and issue.pull.base_ref == branch:
                refresh(world, target, issue)


def _head_moved(world: World, repo: Repository, token: Token, issue: Issue, after: str) -> None:
    assert issue.pull
    pull, before = issue.pull, issue.pull.head_sha
    if after == ZERO:
        close(world, repo, token, issue)
        return
    if after == before:
        return
    assert pull.head_repo
    _fetch(repo, pull.head_repo, after)
    if repo.git.contains(repo.git.find(f"refs/heads/{pull.base_ref}") or after, after) and pull.merged_at is None:
        close(world, repo, token, issue)
        return
    pull.head_sha, issue.updated_at = after, world.now()
    pull.base_sha = repo.git.find(f"refs/heads/{pull.base_ref}") or pull.base_sha
    refresh(world, repo, issue)
    events.pull_request(world, repo, token, "synchronize", issue, {"before": before, "after": after})


def delete_repository(world: World, repo: Repository) -> None:
    """Delete a repository; the pull requests from it stay open, and their head's repository is null."""
    del world.repositories[repo.full_name.lower()]
    repo.git.objects.close()
    for other in world.repositories.values():
        for issue in other.issues.values():
            if issue.pull and issue.pull.head_repo is repo:
                issue.pull.head_repo = None
    for run in world.runs.values():
        if run.head_repository is repo:
            run.head_repository = None


def close(world: World, repo: Repository, token: Token, issue: Issue) -> None:
    """Close without merging."""
    issue.state, issue.closed_at = "closed", world.now()
    events.pull_request(world, repo, token, "closed", issue)


def reopen(world: World, repo: Repository, token: Token, issue: Issue) -> None:
    """Open again."""
    issue.state, issue.closed_at = "open", None
    refresh(world, repo, issue)
    events.pull_request(world, repo, token, "reopened", issue)


def set_draft(world: World, repo: Repository, token: Token, issue: Issue, *, draft: bool) -> None:
    """To draft and back."""
    assert issue.pull
    issue.pull.draft = draft
    events.pull_request(world, repo, token, "converted_to_draft" if draft else "ready_for_review", issue)


def edit(
    world: World, repo: Repository, token: Token, issue: Issue, *,
    title: str | None = None, body: str | None = None, base: str | None = None,
) -> None:  # fmt: skip
    """Change title, body or base branch."""
    assert issue.pull
    changes: dict[str, Any] = {}
    if title is not None and title != issue.title:
        changes["title"], issue.title = {"from": issue.title}, title
    if body is not None and body != issue.body:
        changes["body"], issue.body = {"from": issue.body or ""}, body
    if base is not None and base != issue.pull.base_ref:
        changes["base"] = {"ref": {"from": issue.pull.base_ref}, "sha": {"from": issue.pull.base_sha}}
        issue.pull.base_ref, issue.pull.base_sha = base, repo.git.info(f"refs/heads/{base}").sha
        refresh(world, repo, issue)
    if changes:
        issue.updated_at = world.now()
        events.pull_request(world, repo, token, "edited", issue, {"changes": changes})
