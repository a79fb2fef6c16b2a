"""The commands that the release workflow carries out. It reads the comment again, and asks for the role again."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, StringConstraints

from mlbot.commands.command import (
    ENVIRONMENT,
    MAX_REASON,
    MODEL,
    REASON,
    STEP,
    VERSION,
    VERSIONED,
    WAIVE_SEALED,
    Command,
    ReasonText,
    VersionText,
)
from mlbot.commands.facts import Decision, Facts, Reason
from mlbot.events.github import Role
from mlbot.lib.record import Name
from mlbot.protocol.operations import Dispatch

Bump = Annotated[
    Literal["patch", "minor", "major"],
    BeforeValidator(lambda given: given.lower() if isinstance(given, str) else given),
]


class _Delivery(Command):
    """Something to be done with a version or an environment."""

    role: ClassVar[Role] = "write"
    in_issues: ClassVar = True
    delivers: ClassVar = True

    def decide(self, facts: Facts) -> Decision:
        """Start the release workflow for the comment."""
        dispatch = Dispatch(
            workflow=facts.release_workflow,
            ref=facts.policy.default_branch,
            inputs={"comment": str(facts.event.comment)},
        )
        return Decision(reason=Reason.DONE, effects=(dispatch,))


class Release(_Delivery):
    """Give a version to a judged model; at most one of `version` and `bump`."""

    kind: Literal["release"] = "release"
    name: ClassVar = "release"
    template: ClassVar = "commands/release.md.j2"
    arguments: ClassVar = (MODEL, STEP, WAIVE_SEALED)
    example: ClassVar = "/release adult-income minor"

    model: Name
    version: VersionText | None = None
    bump: Bump | None = None
    waive_sealed: ReasonText | None = None  # why it is released without an answer of sealed rows


class Promote(_Delivery):
    """Move a version into an environment."""

    kind: Literal["promote"] = "promote"
    name: ClassVar = "promote"
    template: ClassVar = "commands/promote.md.j2"
    arguments: ClassVar = (VERSIONED, ENVIRONMENT, REASON)
    example: ClassVar = "/promote adult-income@v1.2.0 staging"

    model: Name
    version: VersionText
    environment: Name
    reason: Annotated[str, StringConstraints(max_length=MAX_REASON)] = ""


class Approve(_Delivery):
    """Approve a promotion."""

    kind: Literal["approve"] = "approve"
    name: ClassVar = "approve"
    template: ClassVar = "commands/approve.md.j2"
    arguments: ClassVar = (VERSIONED, ENVIRONMENT)
    example: ClassVar = "/approve adult-income@v1.2.0 production"

    model: Name
    version: VersionText
    environment: Name


class Rollback(_Delivery):
    """Go back to a version; None: the last good one."""

    kind: Literal["rollback"] = "rollback"
    name: ClassVar = "rollback"
    template: ClassVar = "commands/rollback.md.j2"
    arguments: ClassVar = (MODEL, ENVIRONMENT, VERSION, REASON)
    example: ClassVar = '/rollback adult-income production reason="Latency doubled since noon."'

    model: Name
    environment: Name
    to: VersionText | None = None
    reason: ReasonText


class Lock(_Delivery):
    """Keep promotions out of an environment."""

    kind: Literal["lock"] = "lock"
    name: ClassVar = "lock"
    template: ClassVar = "commands/lock.md.j2"
    arguments: ClassVar = (ENVIRONMENT, REASON)
    example: ClassVar = '/lock production reason="Freeze until the audit is over."'

    environment: Name
    reason: ReasonText


class Unlock(_Delivery):
    """Let promotions into an environment again."""

    kind: Literal["unlock"] = "unlock"
    name: ClassVar = "unlock"
    template: ClassVar = "commands/unlock.md.j2"
    arguments: ClassVar = (ENVIRONMENT,)
    example: ClassVar = "/unlock production"

    environment: Name
