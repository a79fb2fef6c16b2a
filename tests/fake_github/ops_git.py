"""Moving references: what a push sets off, whoever pushed and however."""

from collections.abc import Mapping

from tests.fake_github import events, ops_checks, ops_pulls
from tests.fake_github.errors import Refusal, unprocessable
from tests.fake_github.gitstore import ZERO
from tests.fake_github.state import Move, Repository
from tests.fake_github.tokens import Token
from tests.fake_github.world import World

TAG_EVENTS = 3  # GitHub raises no tag events when more are pushed at once


def moved(world: World, repo: Repository, token: Token, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Tell of every reference that differs, and bring the pull requests up to date."""
    changed = sorted(ref for ref in before.keys() | after.keys() if before.get(ref) != after.get(ref))
    tags = [ref for ref in changed if ref.startswith("refs/tags/")]
    for ref in changed:
        if ref.startswith("refs/heads/") or (ref in tags and len(tags) <= TAG_EVENTS):
            _tell(world, repo, token, ref, before.get(ref, ZERO), after.get(ref, ZERO))


def _tell(world: World, repo: Repository, token: Token, ref: str, before: str, after: str) -> None:
    if before == ZERO:
        events.reference(world, repo, token, "create", ref)
    events.push(world, repo, token, ref, before, after)
    if after == ZERO:
        events.reference(world, repo, token, "delete", ref)
    if ref.startswith("refs/heads/"):
        repo.moves.append(_move(world, repo, token, ref, before, after))
        ops_pulls.branch_moved(world, repo, token, ref.removeprefix("refs/heads/"), after)


def _move(world: World, repo: Repository, token: Token, ref: str, before: str, after: str) -> Move:
    made = {(True, False): "branch_creation", (False, True): "branch_deletion"}
    forced = ZERO not in {before, after} and not repo.git.contains(after, before)
    kind = made.get((before == ZERO, after == ZERO), "force_push" if forced else "push")
    return Move(
        id=len(repo.moves) + 1,
        ref=ref,
        before=before,
        after=after,
        kind=kind,
        actor=token.user,
        time=world.now(),
    )


def check(repo: Repository, token: Token, ref: str, sha: str | None) -> None:
    """Let somebody's move of a reference by the API pass.

    Raises:
        Refusal: a rule of the repository, or the token's rights, do not let it.
    """
    found = ops_checks.declined(repo, token, repo.git.refs(), ref, sha)
    if found is None:
        return
    if found.permission:
        lacking = {"X-Accepted-GitHub-Permissions": "contents=write; contents=write,workflows=write"}
        raise Refusal(403, "Resource not accessible by integration", headers=lacking)
    raise unprocessable("\n".join(["Repository rule violations found", *found.lines[1:]]))


def set_ref(world: World, repo: Repository, token: Token, ref: str, sha: str | None) -> None:
    """Create, move or (None) delete a reference, and tell."""
    before = repo.git.refs()
    if sha is None:
        repo.git.git("update-ref", "-d", ref)
    else:
        repo.git.set_ref(ref, sha)
    moved(world, repo, token, before, repo.git.refs())
