"""May a comment or a status be written still? Asked immediately before each write."""

from enum import StrEnum

from mlbot.core.decision import PullRequestSubject
from mlbot.core.forge import Attempt, PullRequest


class Write(StrEnum):
    """Whether a write may go out. A closed list."""

    GO = "go"
    HEAD_MOVED = "head-moved"
    CLOSED = "closed"
    OTHER_BASE = "other-base"
    NEWER_WRITTEN = "newer-written"


def may_write(subject: PullRequestSubject, now: PullRequest) -> Write:
    """Whether a pull request is still what was judged, asked immediately before each write."""
    if not now.open or now.number != subject.number:
        return Write.CLOSED
    if now.head_sha != subject.sha or now.head_repository_id != subject.head_repository_id:
        return Write.HEAD_MOVED
    return Write.GO if now.base_ref == subject.branch else Write.OTHER_BASE


def may_replace(mine: Attempt, written: Attempt | None) -> Write:
    """Whether what `mine` says may stand where `written` has spoken; the same attempt may say it again."""
    return Write.GO if written is None or mine.order >= written.order else Write.NEWER_WRITTEN
