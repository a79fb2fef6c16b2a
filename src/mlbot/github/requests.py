"""Who asks for a release, as GitHub says: a comment as it is now with its author, and who pushed a tag."""

import re
from urllib.parse import quote

from mlbot.events.event import dig
from mlbot.events.github import CommentFacts, Login
from mlbot.github.api import GitHub, comment_of, number_of, text_of
from mlbot.github.transport import InvalidRequestError, NotFoundError

_NUMBER = re.compile(r"/issues/([1-9][0-9]{0,17})\Z")

_LOGIN = re.compile(r"[A-Za-z0-9_-]{1,100}(\[bot\])?")


def read_said(github: GitHub, comment: int) -> CommentFacts | None:
    """A comment with its thread and author; None where it is gone, or on no issue.

    Raises:
        MlbotError: of `mlbot.github.transport`.
    """
    try:
        raw = github.transport.json(github.request("GET", f"/issues/comments/{comment}"))
    except NotFoundError:
        return None
    read, thread = comment_of(raw), _NUMBER.search(text_of(raw, "issue_url"))
    if thread is None:
        return None
    return CommentFacts(
        id=read.id,
        number=int(thread[1]),
        author=read.author,
        person=dig(raw, "user", "type") == "User",
        edited=read.edited,
        body=read.body,
    )


def pusher_of(github: GitHub, tag: str) -> Login | None:
    """Who pushed a tag to where it is now; None where no such push started a run, so that GitHub does not say.

    The actor of a run is GitHub's word, whatever the workflow file of the tagged commit says. Of a tag that was moved
    the runs on other commits do not count: somebody else may have pushed those.

    Raises:
        MlbotError: of `mlbot.github.transport`.
    """
    peeled = github.request("GET", f"/commits/tags/{quote(tag, safe='')}")
    try:
        commit = text_of(github.transport.json(peeled), "sha")
    except (NotFoundError, InvalidRequestError):
        return None
    query: dict[str, str | int] = {"branch": tag, "event": "push", "head_sha": commit}
    found = github.transport.pages(github.request("GET", "/actions/runs", query=query), "workflow_runs")
    newest = max(found, key=lambda raw: number_of(raw, "id"), default=None)
    login = dig(newest, "actor", "login")
    return login if isinstance(login, str) and _LOGIN.fullmatch(login) else None
