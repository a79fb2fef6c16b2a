"""Comments on commits, and which pull requests a commit is in."""

from mlbot.core.forge import Comment, PullRequest
from mlbot.core.record import Sha
from mlbot.core.stamp import carries
from mlbot.github import parsing
from mlbot.github.api import GitHub
from mlbot.github.comments import Upserted
from mlbot.github.failures import InvalidRequestError, NotFoundError


def open_pull_requests(github: GitHub, sha: Sha) -> tuple[PullRequest, ...]:
    """The open pull requests that hold a commit; none when GitHub does not know it."""
    request = github.request("GET", f"/commits/{sha}/pulls")
    try:
        found = tuple(map(parsing.pull_request, github.transport.pages(request)))
    except (InvalidRequestError, NotFoundError):
        return ()
    return tuple(each for each in found if each.open)


def upsert_on_commit(github: GitHub, sha: Sha, marker: str, body: str) -> Upserted:
    """Keep one comment of the bot on a commit up to date.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    listed = github.transport.pages(github.request("GET", f"/commits/{sha}/comments"))
    marked = [each for each in map(parsing.comment, listed) if carries(each.body, marker)]
    own = sorted((each for each in marked if each.author == github.login), key=_age) if marked else []
    if not own:
        github.transport.answer(github.request("POST", f"/commits/{sha}/comments", {"body": body}, repeatable=False))
        return Upserted.CREATED
    for other in own[1:]:
        github.transport.answer(github.request("DELETE", f"/comments/{other.id}"))
    if own[0].body == body:
        return Upserted.UNCHANGED
    github.transport.answer(github.request("PATCH", f"/comments/{own[0].id}", {"body": body}))
    return Upserted.EDITED


def _age(comment: Comment) -> int:
    return comment.id
