"""The three commits of a run on a laptop."""

from mlbot.errors import UsageError
from mlbot.git.repository import Branch, Repository
from mlbot.lib.constants import CONFIG_FILE
from mlbot.verdict.verdict import Commits


def three_commits(repository: Repository, base_rev: str | None = None) -> Commits:
    """Head, base and policy as a pull request of the working tree would have them.

    Head is the working tree, uncommitted changes included. Policy is the guarded branch's tip if it has a config.
    Base is where HEAD left the guarded branch; None before the first commit and for unrelated histories.

    Args:
        repository: the repository.
        base_rev: the guarded branch or any revision to take for its tip; None: the default branch.

    Raises:
        UsageError: if there is no such revision, or no telling which branch is the default one.
    """
    snapshot = repository.snapshot()
    guarded = _guarded(repository, base_rev, unborn=snapshot.head is None)
    tip = guarded.sha or None
    base = repository.merge_base(snapshot.head, tip) if snapshot.head and tip else None
    return Commits(
        head=snapshot.sha,
        base=base,
        policy=tip if tip and CONFIG_FILE in repository.tree(tip).entries else None,
        guarded=guarded.name,
        behind=repository.count_between(base, tip) if base and tip else 0,
        uncommitted=snapshot.uncommitted,
    )


def _guarded(repository: Repository, base_rev: str | None, *, unborn: bool) -> Branch:
    if base_rev is not None:
        guarded = base_rev.removeprefix("origin/")
        return repository.branch(base_rev) or Branch(name=guarded, sha=repository.resolve(base_rev))
    try:
        return repository.default_branch()
    except UsageError:
        name = repository.current_branch()
        if name is None or not unborn:
            raise
        return Branch(name=name, sha="")
