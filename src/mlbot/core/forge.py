"""What GitHub says of runs, pull requests, comments and statuses: the facts that decisions are made from."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlbot.core.record import Count, Record, Sha

Id = Annotated[int, Field(gt=0)]
"""A number that GitHub gave: of a run, a repository, a comment, an artifact."""

Text = Annotated[str, StringConstraints(max_length=1000)]
"""A short text from outside; escaped where it is shown."""

RefName = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f~^:?*\[\\]+$")]
"""A branch's or tag's short name, without what git allows in no ref (git-check-ref-format)."""

RepositoryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]
"""`owner/name`."""

Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}(\[bot\])?$")]
"""Who acts on GitHub; apps end in `[bot]`."""

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
Moment = Annotated[str, StringConstraints(pattern=f"^{_MOMENT.pattern}$")]
"""A time as GitHub writes it, by its own clock: UTC, to the second."""

WebUrl = Annotated[str, StringConstraints(max_length=1000, pattern=r"^https?://[A-Za-z0-9._~:/?#@!&=+,;%-]+$")]


class Attempt(Record):
    """One attempt of a workflow run; `order` says which of two is the newer."""

    run: Id
    number: Annotated[int, Field(gt=0)] = 1

    @property
    def order(self) -> tuple[int, int]:
        """Sorts older before newer: GitHub counts runs up, and a run's attempts within it."""
        return self.run, self.number

    def __str__(self) -> str:
        """`123.1`, as markers and status links carry it."""
        return f"{self.run}.{self.number}"


class Conclusion(StrEnum):
    """How a run ended, in GitHub's words."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    TIMED_OUT = "timed_out"
    ACTION_REQUIRED = "action_required"
    STALE = "stale"
    STARTUP_FAILURE = "startup_failure"


class Run(Record):
    """A workflow run."""

    id: Id
    attempt: Annotated[int, Field(gt=0)] = 1
    repository_id: Id
    path: Text
    """Of the workflow file, without the `@ref` that GitHub may append."""
    event: Text
    head_sha: Sha
    head_branch: Text | None = None
    head_repository_id: Id | None = None
    """None when the fork is gone."""
    head_owner: Login | None = None
    completed: bool
    conclusion: Conclusion | None = None
    url: WebUrl
    created: Moment | None = None
    """Of its first attempt; None where GitHub did not say."""

    @property
    def this_attempt(self) -> Attempt:
        """The run's attempt as an order."""
        return Attempt(run=self.id, number=self.attempt)


class PullRequest(Record):
    """A pull request as it is now."""

    number: Id
    open: bool
    draft: bool = False
    head_sha: Sha
    head_ref: RefName
    head_repository_id: Id | None = None
    """None when the fork is gone."""
    base_ref: RefName
    base_repository_id: Id
    author: Login | None = None

    @property
    def fork(self) -> bool:
        """Whether head is in another repository."""
        return self.head_repository_id != self.base_repository_id


class Artifact(Record):
    """An uploaded archive."""

    id: Id
    name: Text
    size_bytes: Count
    expired: bool = False
    run: Id | None = None


class Comment(Record):
    """A comment on an issue or pull request."""

    id: Id
    author: Login | None = None
    """None for an account that is gone."""
    body: str
    edited: bool = False
    """Whether it is not what its author wrote at first; who may write to the repository may edit it too."""
    created: Moment | None = None


class State(StrEnum):
    """A commit status' state."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class Status(Record):
    """A commit status."""

    context: str
    state: State
    description: str = ""
    url: str = ""
    creator: Login | None = None


def moment(value: object) -> Moment | None:
    """A time from GitHub's JSON; None for whatever is none."""
    return value if isinstance(value, str) and _MOMENT.fullmatch(value) and _exists(value) else None


def seconds_between(earlier: Moment, later: Moment) -> float:
    """How long from one time to another; negative when they are the other way round."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _exists(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:  # the 30th of February
        return False
    return True


Role = Literal["none", "read", "triage", "write", "maintain", "admin"]
"""A collaborator's role; custom roles are folded into the one they are based on."""
