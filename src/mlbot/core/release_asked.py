"""A request to the release workflow: what is known of it, and the request that is in order or is not."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from mlbot.core.command import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.core.config import Config
from mlbot.core.forge import Id, Login, Role
from mlbot.core.record import Record

ReleaseCommand = Annotated[Release | Promote | Approve | Rollback | Lock | Unlock, Field(discriminator="kind")]
"""What is asked of the release workflow."""
_DEPLOYS = frozenset({"promote", "rollback"})


class AskReason(StrEnum):
    """Why nothing is done about a request. A closed list."""

    NOTHING_ASKED = "nothing-asked"
    CONTRADICTION = "contradiction"
    NOT_DEFAULT_BRANCH = "not-default-branch"
    COMMENT_GONE = "comment-gone"
    BOT = "bot"
    """A bot wrote the comment, or a machine asked for what only a person may."""
    EDITED = "edited"
    SEVERAL = "several"
    MISUNDERSTOOD = "misunderstood"
    NOT_PERMITTED = "not-permitted"
    NO_VERSION_TAG = "no-version-tag"
    FOREIGN_TAG = "foreign-tag"
    """It is of no model of mlbot.yaml: another tool's."""
    PUSHER_UNKNOWN = "pusher-unknown"
    CONFIG = "config"
    UNKNOWN_ENVIRONMENT = "unknown-environment"


class CommentFacts(Record):
    """A comment as the API has it now."""

    id: Id
    number: Id
    """Of the issue or pull request."""
    author: Login | None
    person: bool
    """Whether its author is a user, not an app."""
    edited: bool
    body: str


class AskFacts(Record):
    """All that is known of a dispatch."""

    inputs: dict[str, str]
    """Empty ones left out."""
    on_default: bool
    """Whether it was started on the default branch."""
    sender: Login | None
    """Who started it, as GitHub says."""
    comment: CommentFacts | None = None
    """The comment that `inputs` names."""
    pusher: Login | None = None
    """Who pushed the tag that `inputs` names, as GitHub says."""
    role: Role = "none"
    """Of `asker`."""
    config: Config | None = None
    """The default branch's."""
    config_problem: str = ""

    @property
    def by_machine(self) -> bool:
        """Whether an app started it: the command job, a pushed tag, this workflow itself, or any other workflow."""
        return self.sender is None or self.sender.endswith("[bot]")

    @property
    def asker(self) -> Login | None:
        """Who asks; None for nobody that GitHub names."""
        if "comment" in self.inputs:
            return self.comment.author if self.comment else None
        if self.by_machine:
            return self.pusher if "tag" in self.inputs else None
        return self.sender


class Asked(Record):
    """A request that is in order. What it leads to is decided where the ledger is."""

    kind: Literal["asked"] = "asked"
    command: ReleaseCommand
    actor: Login | None = None
    """Who asks; None for whoever released the version."""
    tag: str | None = None
    """The pushed tag."""
    comment: Id | None = None
    number: Id | None = None
    """Of the thread that the comment is in."""
    text: str
    """As it was said, or as one would say it."""

    @property
    def deploys(self) -> bool:
        """Whether it changes what an environment serves."""
        return self.command.kind in _DEPLOYS

    @property
    def environment(self) -> str:
        """Where; empty where it is about none."""
        return getattr(self.command, "environment", "")


class NotAsked(Record):
    """A request that nothing is done about."""

    kind: Literal["not-asked"] = "not-asked"
    reason: AskReason
    sentence: str
    mend: str = ""
    usage: str = ""
    text: str = ""
    comment: Id | None = None
    number: Id | None = None
    alone: bool = True
    """Whether the comment says nothing else, so that its answer may be written anew."""

    @property
    def silent(self) -> bool:
        """Whether nobody is told: there is nobody, or it was never meant for mlbot."""
        return self.reason in {AskReason.COMMENT_GONE, AskReason.FOREIGN_TAG}


Ask = Annotated[Asked | NotAsked, Field(discriminator="kind")]
ASK: TypeAdapter[Asked | NotAsked] = TypeAdapter(Ask)
