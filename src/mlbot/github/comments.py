"""The bot's comments, one for each marker, edited in place; and whether a person's comment was edited."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import TypeVar

from mlbot.errors import MlbotError
from mlbot.events.event import dig
from mlbot.events.github import Comment, Edits, PullRequest, moment
from mlbot.github.api import GRAPHQL, GitHub, comment_of, pull_request_of
from mlbot.github.transport import InvalidRequestError, NotFoundError, Request, UnavailableError
from mlbot.lib.record import Sha
from mlbot.protocol.marker import carries, read_stamp
from mlbot.protocol.operations import UpsertComment

# One comment of the bot for each marker, however many publishers there are.

_ROUNDS = 4  # how often to begin anew when a comment vanishes or nobody knows whether one was written


class Upserted(StrEnum):
    """What became of a comment. A closed list."""

    CREATED = "created"
    EDITED = "edited"
    UNCHANGED = "unchanged"
    NEWER_WRITTEN = "newer-written"
    NOT_CURRENT = "not-current"  # the pull request moved on, so nothing was written


def upsert(github: GitHub, operation: UpsertComment) -> Upserted:
    """Bring the bot's comment up to date.

    Only comments are touched whose author is the bot and whose last line is the marker. An older attempt's words never
    replace a newer one's, and nothing is written for a head that is not the pull request's any more.
    """
    for _ in range(_ROUNDS):
        found = _own(github, operation)
        # Last before the write. A stale head's words are written over by the present head's anyhow.
        if operation.subject is not None:
            now = github.pull_request(operation.number)
            if not operation.subject.is_still(now):
                return Upserted.NOT_CURRENT
        done = _edit(github, operation, found) if found else _create(github, operation)
        if done is not None:
            return done
    raise UnavailableError(
        f"the comment on #{operation.number} was gone or changed each time it was to be edited",
        hint="Run the job again.",
    )


def _own(github: GitHub, operation: UpsertComment) -> list[Comment]:
    listed = github.comments(operation.number)
    marked = [each for each in listed if carries(each.body, operation.marker)]
    return [each for each in marked if each.author == github.login] if marked else []


def _create(github: GitHub, operation: UpsertComment) -> Upserted | None:
    try:
        mine = github.create_comment(operation.number, operation.body)
    except UnavailableError:
        return None  # perhaps it was written: look again
    # The answer says who the token really speaks as: an app of one's own is not `github-actions[bot]`.
    github.known_login = mine.author or github.known_login
    found = _own(github, operation)
    others = [each for each in found if each.id != mine.id]
    if others and found[0].id != mine.id:
        done = _edit(github, operation, others)
        github.delete_comment(mine.id)
        return done
    for each in others:
        if _compared(operation, each) != 1:
            github.delete_comment(each.id)
    return Upserted.CREATED


def _edit(github: GitHub, operation: UpsertComment, found: list[Comment]) -> Upserted | None:
    """Put the words into the oldest and take the others away; None when that is to be tried again.

    With a look right before and right after, for GitHub does not keep an older attempt from writing last.
    """
    if any(_compared(operation, each) == 1 for each in found):
        return Upserted.NEWER_WRITTEN
    oldest, *others = found
    if oldest.body == operation.body and not others:
        return Upserted.UNCHANGED
    # Without a stamp whoever writes last is right, and there is nothing to look for.
    before = github.comment(oldest.id) if operation.stamp else oldest
    if before is None or _compared(operation, before) == 1:
        return Upserted.NEWER_WRITTEN if before else None
    if before.body != operation.body:
        try:
            github.update_comment(oldest.id, operation.body)
        except NotFoundError:
            return None
        after = github.comment(oldest.id) if operation.stamp else oldest.model_copy(update={"body": operation.body})
        if after is None or (after.body != operation.body and _compared(operation, after) not in {0, 1}):
            return None
    for each in others:
        if _compared(operation, each) != 1:
            github.delete_comment(each.id)
    return Upserted.UNCHANGED if before.body == operation.body else Upserted.EDITED


def _compared(operation: UpsertComment, comment: Comment) -> int | None:
    """Whose words a comment has: a newer attempt's (1), an older one's (-1), another head's (None), or neither (0)."""
    mine, written = operation.stamp, read_stamp(comment.body, operation.marker)
    if mine is None or written is None:
        return 0
    if written.head != mine.head:
        return None
    return (written.attempt.order > mine.attempt.order) - (written.attempt.order < mine.attempt.order)


_MOST_PULLS = 1_000  # of the open ones are looked through, those first that changed last


def open_pull_requests(github: GitHub, sha: Sha) -> tuple[PullRequest, ...]:
    """The open pull requests that hold a commit; of those from forks the ones whose head it is.

    GitHub lists a commit's pull requests, but not those from forks, so the open ones are looked through for them.
    """
    return _listed(github, sha) or _by_head(github, sha)


def _listed(github: GitHub, sha: Sha) -> tuple[PullRequest, ...]:
    """None when GitHub does not know the commit."""
    request = github.request("GET", f"/commits/{sha}/pulls")
    try:
        found = tuple(map(pull_request_of, github.transport.pages(request)))
    except (InvalidRequestError, NotFoundError):
        return ()
    return tuple(each for each in found if each.open)


def _by_head(github: GitHub, sha: Sha) -> tuple[PullRequest, ...]:
    query: dict[str, str | int] = {"state": "open", "sort": "updated", "direction": "desc"}
    request = github.request("GET", "/pulls", query=query)
    found = map(pull_request_of, islice(github.transport.pages(request), _MOST_PULLS))
    return tuple(each for each in found if each.head_sha == sha)


def upsert_on_commit(github: GitHub, sha: Sha, marker: str, body: str) -> Upserted:
    """Keep one comment of the bot on a commit up to date."""
    listed = github.transport.pages(github.request("GET", f"/commits/{sha}/comments"))
    marked = [each for each in map(comment_of, listed) if carries(each.body, marker)]
    own = sorted((each for each in marked if each.author == github.login), key=lambda each: each.id) if marked else []
    if not own:
        github.transport.answer(github.request("POST", f"/commits/{sha}/comments", {"body": body}, repeatable=False))
        return Upserted.CREATED
    for other in own[1:]:
        github.transport.answer(github.request("DELETE", f"/comments/{other.id}"))
    if own[0].body == body:
        return Upserted.UNCHANGED
    github.transport.answer(github.request("PATCH", f"/comments/{own[0].id}", {"body": body}))
    return Upserted.EDITED


# Whether a person's comment is as it was written. The times that REST gives have a resolution of one second, so that an
# edit in the second of the creation does not show in them; GraphQL remembers each edit.

_ASKED_AT_ONCE = 100  # GitHub takes no more ids

_EDITS = """query($ids: [ID!]!) {
  nodes(ids: $ids) { ... on IssueComment { url lastEditedAt includesCreatedEdit editor { __typename login } } }
}"""

C = TypeVar("C", bound=Comment)


def with_edits(github: GitHub, comments: Sequence[C]) -> tuple[C, ...]:
    """The comments, each with whether it was edited, by one request; unknown where GitHub does not say.

    To be asked after a comment was read: what is unedited then was so when it was read.
    """
    ids = [each.node for each in comments if each.node][:_ASKED_AT_ONCE]
    nodes = dict(zip(ids, _nodes(github, ids), strict=False))
    return tuple(
        each.model_copy(update={"edits": _edits(node, each), "editor": _editor(node)})
        for each in comments
        for node in (nodes.get(each.node),)
    )


def unaltered(github: GitHub, comments: Sequence[C], login: str) -> tuple[C, ...]:
    """The comments without those of an account that others have edited, as whoever may write to the repository can.

    Raises:
        UnavailableError: GitHub does not say who has.
    """
    own = [each for each in comments if each.author == login]
    pages = (own[start : start + _ASKED_AT_ONCE] for start in range(0, len(own), _ASKED_AT_ONCE))
    known = {each.id: each for page in pages for each in with_edits(github, page)}
    if any(each.edits is Edits.UNKNOWN for each in known.values()):
        raise UnavailableError("GitHub does not say who has edited the bot's comments", hint="Run the job again.")
    altered = {each.id for each in known.values() if each.edits is Edits.SOME and each.editor != login}
    return tuple(each for each in comments if each.id not in altered)


def _editor(node: object) -> str | None:
    """GraphQL calls an App by its name alone."""
    login = dig(node, "editor", "login")
    if not isinstance(login, str):
        return None
    return f"{login.removesuffix('[bot]')}[bot]" if dig(node, "editor", "__typename") == "Bot" else login


def _nodes(github: GitHub, ids: Sequence[str]) -> Sequence[object]:
    """What GraphQL says of each; nothing where it did not answer, or left out a part of its answer."""
    if not ids:
        return ()
    request = Request(verb="POST", path=GRAPHQL, body={"query": _EDITS, "variables": {"ids": list(ids)}})
    try:
        raw = github.transport.json(request)
    except MlbotError as error:
        github.transport.progress(f"Nobody knows whether the comment was edited: {error.what}")
        return ()
    nodes = dig(raw, "data", "nodes")
    whole = not dig(raw, "errors") and isinstance(nodes, list) and len(nodes) == len(ids)
    return nodes if whole else ()


def _edits(node: object, comment: Comment) -> Edits:
    """By three fields that have to agree: one alone may be null for it was left out."""
    fields = ("url", "lastEditedAt", "includesCreatedEdit", "editor")
    if not isinstance(node, Mapping) or not all(name in node for name in fields):
        return Edits.UNKNOWN
    url, last, created, editor = (node[name] for name in fields)
    if not isinstance(url, str) or not url.endswith(f"#issuecomment-{comment.id}"):
        return Edits.UNKNOWN
    if (last, created, editor) == (None, False, None) and created is False:
        return Edits.NONE
    known = moment(last) is not None or created is True or isinstance(dig(editor, "login"), str)
    return Edits.SOME if known else Edits.UNKNOWN
