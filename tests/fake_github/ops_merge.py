"""Merging pull requests, at once or by a queue."""

from typing import Literal

from tests.fake_github import events, ops_checks, ops_git
from tests.fake_github.errors import Refusal
from tests.fake_github.gitstore import Identity
from tests.fake_github.state import Issue, MergeMethod, MergeQueue, QueueEntry, Repository
from tests.fake_github.tokens import Token
from tests.fake_github.world import World

Reason = Literal["merged", "invalidated", "dequeued"]

CONFLICT = "Pull Request is not mergeable"


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
        raise Refusal(405, CONFLICT)
    if sha not in (None, pull.head_sha):
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    base_ref = f"refs/heads/{pull.base_ref}"
    if unmet := ops_checks.unmet(repo, pull.base_ref, pull.head_sha):
        raise Refusal(405, unmet[0])
    before = repo.git.info(base_ref).sha
    commit = merged_commit(world, repo, token, issue, onto=before, method=method, message=message)
    _merged(world, repo, token, [(issue, commit)], base_ref)
    return commit


def _merged(world: World, repo: Repository, token: Token, merged: list[tuple[Issue, str]], base_ref: str) -> None:
    """Close the pull requests, and move the base branch once, to the last commit."""
    for issue, commit in merged:
        assert issue.pull
        issue.pull.merged_at, issue.pull.merged_by, issue.pull.merge_commit = world.now(), token.user, commit
        issue.state, issue.closed_at = "closed", issue.pull.merged_at
        events.pull_request(world, repo, token, "closed", issue)
    ops_git.set_ref(world, repo, token, base_ref, merged[-1][1])


def merged_commit(
    world: World, repo: Repository, token: Token, issue: Issue, *,
    onto: str, method: MergeMethod = "merge", message: str | None = None,
) -> str:  # fmt: skip
    """The commit that merging onto another would make; the last one of a rebase.

    Raises:
        Refusal: they conflict, or a rebase comes to something else than a merge.
    """
    assert issue.pull
    pull, who = issue.pull, world.identity(token.user)
    title = f"Merge pull request #{issue.number} from {pull.head_owner.login}/{pull.head_ref}"
    commit = repo.git.merge(onto, pull.head_sha, message or f"{title}\n\n{issue.title}", who)
    if commit is None:
        raise Refusal(405, CONFLICT)
    if method == "merge":
        return commit
    tree = repo.git.info(commit).tree
    if method == "squash":
        return repo.git.commit_tree(tree, message or f"{issue.title} (#{issue.number})", [onto], who)
    return _rebased(repo, pull.head_sha, onto, tree, who)


def _rebased(repo: Repository, head: str, onto: str, wanted: str, who: Identity) -> str:
    """Each commit of a head anew on top of another: its author and message stay, its committer is who merges.

    Merges are left out, and so is what changes nothing any more, as by `git rebase`.
    """
    tip = onto
    for sha in repo.git.log(head, f"^{onto}", "--no-merges", "--topo-order", reverse=True):
        made = repo.git.replay(sha, tip, who)
        if made is None:
            raise Refusal(405, "This branch can't be rebased")
        tip = made
    if repo.git.info(tip).tree != wanted:
        raise Refusal(405, "This branch can't be rebased")
    return tip


# The queue. Each entry's group holds what is before it, so that its commit is what the branch will be.


def queue(world: World, repo: Repository, token: Token, issue: Issue) -> str:
    """Put a pull request at the end of the merge queue; the reference of its group, whose checks are requested.

    Raises:
        Refusal: it conflicts with what is before it.
    """
    assert issue.pull
    waiting = repo.merge_queues.setdefault(issue.pull.base_ref, MergeQueue())
    entry = _build(world, repo, token, issue, waiting, len(waiting.entries))
    waiting.entries.append(entry)
    return entry.ref


def _build(world: World, repo: Repository, token: Token, issue: Issue, waiting: MergeQueue, place: int) -> QueueEntry:
    """The group of an entry at a place of the queue."""
    assert issue.pull
    base = waiting.entries[place - 1].sha if place else repo.git.info(f"refs/heads/{issue.pull.base_ref}").sha
    sha = merged_commit(world, repo, token, issue, onto=base, method=waiting.method)
    ref = f"refs/heads/gh-readonly-queue/{issue.pull.base_ref}/pr-{issue.number}-{base}"
    repo.git.set_ref(ref, sha)
    entry = QueueEntry(issue=issue, base_ref=issue.pull.base_ref, ref=ref, sha=sha, base=base)
    events.merge_group(world, repo, token, "checks_requested", entry)
    return entry


def conclude(world: World, repo: Repository, token: Token, issue: Issue, *, passed: bool) -> None:
    """The checks of an entry's group ended, and the queue does what it does then.

    A group that passed is merged as soon as nothing is before it that has not passed. One that failed leaves the queue,
    and what stood behind it is built again without it; where `only_non_failing` is off it stays, and is merged with
    the first group behind it that passes.
    """
    assert issue.pull
    waiting, place = _place(repo, issue)
    waiting.entries[place].passed = passed
    if not passed and waiting.only_non_failing:
        leave_queue(world, repo, token, issue, waiting.entries[place].ref, merged=False)
        return
    ready = _ready(waiting)
    if ready:
        _merge_first(world, repo, token, issue.pull.base_ref, ready)


def _ready(waiting: MergeQueue) -> int:
    """How many entries from the front may be merged now."""
    ready = 0
    for place, entry in enumerate(waiting.entries, start=1):
        if entry.passed is None or (entry.passed is False and waiting.only_non_failing):
            break
        ready = place if entry.passed else ready
    return ready


def _merge_first(world: World, repo: Repository, token: Token, base: str, number: int) -> None:
    waiting = repo.merge_queues[base]
    merged, waiting.entries[:number] = waiting.entries[:number], []
    for entry in merged:
        _destroy(world, repo, token, entry, "merged")
    _merged(world, repo, token, [(entry.issue, entry.sha) for entry in merged], f"refs/heads/{base}")


def leave_queue(world: World, repo: Repository, token: Token, issue: Issue, ref: str, *, merged: bool) -> None:
    """A group and what is before it become the tip of the base branch; or it is dropped, and what is behind rebuilt."""
    assert issue.pull
    waiting, place = _place(repo, issue)
    assert waiting.entries[place].ref == ref
    if merged:
        _merge_first(world, repo, token, issue.pull.base_ref, place + 1)
        return
    _destroy(world, repo, token, waiting.entries.pop(place), "dequeued")
    behind, waiting.entries[place:] = waiting.entries[place:], []
    for entry in behind:
        _destroy(world, repo, token, entry, "invalidated")
        try:
            again = _build(world, repo, token, entry.issue, waiting, len(waiting.entries))
        except Refusal:
            continue  # it conflicts without the one that left, and leaves too
        waiting.entries.append(again)


def _destroy(world: World, repo: Repository, token: Token, entry: QueueEntry, reason: Reason) -> None:
    events.merge_group(world, repo, token, "destroyed", entry, reason)
    repo.git.git("update-ref", "-d", entry.ref)


def _place(repo: Repository, issue: Issue) -> tuple[MergeQueue, int]:
    assert issue.pull
    waiting = repo.merge_queues[issue.pull.base_ref]
    (place,) = [place for place, entry in enumerate(waiting.entries) if entry.issue is issue]
    return waiting, place
