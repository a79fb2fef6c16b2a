"""The bot's answer to a comment, as GitHub Markdown."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlbot.commands.status import StatusView
from mlbot.events.github import WebUrl
from mlbot.lib import escape
from mlbot.lib.record import Record
from mlbot.lib.templates import fill
from mlbot.protocol.answer import Recorded
from mlbot.protocol.operations import CancelRun, Dispatch, Rerun, SetStatus

# What a command is answered: a reason of a closed list, a sentence, and what is done about it.

Effect = Annotated[Rerun | CancelRun | Dispatch | SetStatus, Field(discriminator="kind")]


class Reason(StrEnum):
    """Why a command is answered as it is. A closed list."""

    # done
    RETRAINING = "retraining"
    TRIAL = "trial"
    JUDGING = "judging"
    WAIVED = "waived"
    CANCELLED = "cancelled"
    STATUS = "status"
    HELP = "help"
    FORWARDED = "forwarded"
    # refused for how it was said
    MISUNDERSTOOD = "misunderstood"
    EDITED = "edited"
    TOO_OFTEN = "too-often"
    ONE_AT_A_TIME = "one-at-a-time"
    # refused for who said it, or where
    NOT_PERMITTED = "not-permitted"
    NO_COLLABORATOR = "no-collaborator"
    OWN_PULL_REQUEST = "own-pull-request"
    NO_PULL_REQUEST = "no-pull-request"
    CLOSED = "closed"
    FORK_GONE = "fork-gone"
    NOT_GUARDED = "not-guarded"
    # refused for the commit it means
    SHA_NEEDED = "sha-needed"
    OTHER_SHA = "other-sha"
    HEAD_MOVED = "head-moved"
    # refused for what it names
    NO_CONFIG = "no-config"
    CONFIG_BROKEN = "config-broken"
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_GATE = "unknown-gate"
    PARAMETERS = "parameters"
    # refused for how the run is
    NO_RUN = "no-run"
    NEEDS_APPROVAL = "needs-approval"
    IN_PROGRESS = "in-progress"
    NOT_TRAINED = "not-trained"
    TOO_OLD = "too-old"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    NOTHING_RUNS = "nothing-runs"
    # not done
    NOT_DONE = "not-done"


DONE = frozenset(
    {
        Reason.RETRAINING,
        Reason.TRIAL,
        Reason.JUDGING,
        Reason.WAIVED,
        Reason.CANCELLED,
        Reason.STATUS,
        Reason.HELP,
        Reason.FORWARDED,
    }
)
"""The reasons that are no refusal."""


class Decision(Record):
    """What is done about one command. Texts are plain, with words from outside in them: escape them."""

    reason: Reason
    sentence: Annotated[str, StringConstraints(min_length=1)]
    hint: str = ""
    """What to do instead; empty where there is nothing to do."""
    usage: str = ""
    """How the command is written, or the line to copy."""
    link: WebUrl | None = None
    """The run that it is about."""
    records: tuple[Annotated[Recorded, Field(discriminator="kind")], ...] = ()
    """Written into the answer before the effects."""
    effects: tuple[Effect, ...] = ()
    """Done in this order, each only if the one before it was."""

    @property
    def refused(self) -> bool:
        """Whether nothing is done."""
        return self.reason not in DONE


class Reply(Record):
    """The answer to one line of a comment."""

    kind: Literal["reply"] = "reply"
    text: str
    """The line."""
    decision: Decision


def refuse(reason: Reason, sentence: str, hint: str = "", **more: object) -> Decision:
    """A refusal."""
    return Decision.model_validate({"reason": reason, "sentence": sentence, "hint": hint, **more})


_WAITS = "⏳"

_DONE = "✅"

_REFUSED = "⛔"

_TOLD = "💬"


def answer(
    replies: Sequence[Reply], sections: Sequence[str], *, marker: str, run_url: str, working: bool = False
) -> str:
    """The comment.

    Args:
        replies: one for each command.
        sections: what stands under each of them; empty for nothing.
        marker: the last line, with the records.
        run_url: the job that answers.
        working: whether the effects are still to come.
    """

    def icon(decision: Decision) -> str:
        if decision.refused:
            return _REFUSED
        if decision.reason in {Reason.STATUS, Reason.HELP}:
            return _TOLD
        return _WAITS if working else _DONE

    return fill(
        "answer/answer.md.j2",
        replies=replies,
        sections=[section.strip("\n") for section in sections],
        icon=icon,
        fence=escape.fence,
        marker=marker,
        run_url=run_url,
        working=working,
    )


def status(view: StatusView, *, page: str) -> str:
    """What runs and why the gate stands as it does.

    Args:
        view: what is known.
        page: the pull request's address.
    """
    return fill("answer/status.md.j2", view=view, page=page)
