"""One comment of the bot for each marker, however many publishers there are.

GitHub has no way to write a comment only if there is none. So after writing one, the list is read again: whoever finds
an older one of the bot's with the same marker moves its words there and takes its own away. All agree on which is the
oldest, since GitHub counts comments up.
"""

from enum import StrEnum

from mlbot.core.forge import Comment
from mlbot.core.operation import UpsertComment
from mlbot.core.stamp import carries, read_stamp
from mlbot.core.writing import Write, may_replace, may_write
from mlbot.github.api import GitHub
from mlbot.github.failures import NotFoundError, UnavailableError

_ROUNDS = 4
"""How often to begin anew when a comment vanishes or nobody knows whether one was written."""


class Upserted(StrEnum):
    """What became of a comment. A closed list."""

    CREATED = "created"
    EDITED = "edited"
    UNCHANGED = "unchanged"
    NEWER_WRITTEN = "newer-written"
    NOT_CURRENT = "not-current"
    """The pull request moved on, so nothing was written."""


def upsert(github: GitHub, operation: UpsertComment) -> Upserted:
    """Bring the bot's comment up to date.

    Only comments are touched whose author is the bot and whose last line is the marker. An older attempt's words never
    replace a newer one's, and nothing is written for a head that is not the pull request's any more.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    for _ in range(_ROUNDS):
        found = _own(github, operation)
        done = _edit(github, operation, found) if found else _create(github, operation)
        if done is not None:
            return done
    raise UnavailableError(
        f"the comment on #{operation.number} was gone each time it was to be edited", mend="Run the job again."
    )


def _own(github: GitHub, operation: UpsertComment) -> list[Comment]:
    """The bot's comments with this marker, oldest first."""
    listed = github.comments(operation.number)
    marked = [each for each in listed if carries(each.body, operation.marker)]
    return [each for each in marked if each.author == github.login] if marked else []


def _create(github: GitHub, operation: UpsertComment) -> Upserted | None:
    if not _is_current(github, operation):
        return Upserted.NOT_CURRENT
    try:
        mine = github.create_comment(operation.number, operation.body)
    except UnavailableError:
        return None  # perhaps it was written: look again
    # The answer says who the token really speaks as: an app of one's own is not `github-actions[bot]`.
    github.known_login = mine.author or github.known_login
    found = _own(github, operation)
    if not found or found[0].id == mine.id:
        _delete(github, [each for each in found if each.id != mine.id], operation)
        return Upserted.CREATED
    done = _edit(github, operation, [each for each in found if each.id != mine.id])
    github.delete_comment(mine.id)
    return done


def _edit(github: GitHub, operation: UpsertComment, found: list[Comment]) -> Upserted | None:
    """Put the words into the oldest and take the others away; None when the oldest is gone."""
    keeper, *others = found
    if not all(_may_replace(operation, each) for each in found):
        return Upserted.NEWER_WRITTEN
    if keeper.body == operation.body and not others:
        return Upserted.UNCHANGED
    done = _write(github, operation, keeper.id)
    if done in {Upserted.EDITED, Upserted.UNCHANGED}:
        _delete(github, others, operation)
    return done


def _write(github: GitHub, operation: UpsertComment, comment: int) -> Upserted | None:
    """Edit, with a look right before and right after, for GitHub does not keep an older attempt from writing last.

    The head is read first, the comment last: a stale head's words are written over by the present head's anyhow, but
    an older attempt's on the same head would stay.
    """
    for _ in range(_ROUNDS):
        if not _is_current(github, operation):
            return Upserted.NOT_CURRENT
        before = github.comment(comment)
        if before is None or before.body == operation.body:
            return Upserted.UNCHANGED if before else None
        if not _may_replace(operation, before):
            return Upserted.NEWER_WRITTEN
        try:
            github.update_comment(comment, operation.body)
        except NotFoundError:
            return None
        after = github.comment(comment)
        if after is None or _is_settled(operation, after):
            return Upserted.EDITED if after else None
    return Upserted.EDITED


def _is_settled(operation: UpsertComment, after: Comment) -> bool:
    """Whether what stands there now is no older than what was written."""
    mine, written = operation.stamp, read_stamp(after.body, operation.marker)
    if mine is None or written is None or after.body == operation.body:
        return True
    return written.head == mine.head and written.attempt.order >= mine.attempt.order


def _delete(github: GitHub, others: list[Comment], operation: UpsertComment) -> None:
    for each in others:
        if _may_replace(operation, each):
            github.delete_comment(each.id)


def _is_current(github: GitHub, operation: UpsertComment) -> bool:
    if operation.subject is None:
        return True
    return may_write(operation.subject, github.pull_request(operation.number)) is Write.GO


def _may_replace(operation: UpsertComment, comment: Comment) -> bool:
    """Whether these words may stand where the comment's are; of another head they always may."""
    mine, written = operation.stamp, read_stamp(comment.body, operation.marker)
    if mine is None or written is None or written.head != mine.head:
        return True
    return may_replace(mine.attempt, written.attempt) is Write.GO
