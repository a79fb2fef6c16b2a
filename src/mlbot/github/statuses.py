"""Setting a commit's status, unless a newer attempt has spoken."""

from enum import StrEnum

from mlbot.core.decision import PullRequestSubject
from mlbot.core.forge import State, Status
from mlbot.core.operation import SetStatus
from mlbot.core.stamp import attempt_of
from mlbot.core.writing import Write, may_replace, may_write
from mlbot.github.api import GitHub


class StatusSet(StrEnum):
    """What became of a status. A closed list."""

    SET = "set"
    UNCHANGED = "unchanged"
    NEWER_WRITTEN = "newer-written"
    ENDED = "ended"
    """The attempt has its verdict already; a pending that comes late would never end."""
    NOT_CURRENT = "not-current"


def set_status(github: GitHub, operation: SetStatus) -> StatusSet:
    """Set a status if it still may be set and says something new.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    latest = github.status(operation.subject.sha, operation.context)
    found = _standing(operation, latest) if latest else None
    if found is not None:
        return found
    subject = operation.subject
    # Last, so that nothing stands between this look and the write.
    if isinstance(subject, PullRequestSubject):
        now = github.pull_request(subject.number)
        if may_write(subject, now) is not Write.GO:
            return StatusSet.NOT_CURRENT
    github.set_status(subject.sha, operation.context, operation.state, operation.description, operation.url)
    return StatusSet.SET


def _standing(operation: SetStatus, latest: Status) -> StatusSet | None:
    """Why the latest status stays as it is; None when it may be replaced."""
    written = attempt_of(latest.url)
    if may_replace(operation.attempt, written) is not Write.GO:
        return StatusSet.NEWER_WRITTEN
    wanted = (operation.state, operation.description, operation.url)
    if (latest.state, latest.description, latest.url) == wanted:
        return StatusSet.UNCHANGED
    late = operation.state is State.PENDING and latest.state is not State.PENDING
    return StatusSet.ENDED if late and written == operation.attempt else None
