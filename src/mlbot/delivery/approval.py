"""Does this person's word count for this version? And may this environment be closed or opened?"""

from enum import StrEnum

from mlbot.ledger.entries import Actor
from mlbot.lib.record import Count, Digest, Name, Record
from mlbot.registry.tag import name_of, who


class ApprovalReason(StrEnum):
    """Why an approval is recorded or not. A closed list."""

    APPROVED = "approved"
    ALREADY_APPROVED = "already-approved"
    """The same person said so before: nothing is done, and that is no failure."""
    NOT_NEEDED = "not-needed"
    """The environment asks for none: nothing is done, and that is no failure."""
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    UNKNOWN_VERSION = "unknown-version"


class ApprovalFacts(Record):
    """All that an approval is decided from."""

    model: Name
    version: str
    environment: Name
    actor: Actor
    environments: tuple[Name, ...]
    released: Digest | None = None
    versions: tuple[str, ...] = ()
    needed: Count = 0
    approvers: tuple[Actor, ...] = ()
    """Who approved these very bytes for it before."""


class ApprovalDecision(Record):
    """Whether it is recorded, and why."""

    reason: ApprovalReason
    sentence: str
    hint: str = ""

    @property
    def go(self) -> bool:
        """Whether it is to be recorded."""
        return self.reason is ApprovalReason.APPROVED

    @property
    def refused(self) -> bool:
        """Whether it was refused."""
        return self.reason in {ApprovalReason.UNKNOWN_ENVIRONMENT, ApprovalReason.UNKNOWN_VERSION}


def decide_approval(facts: ApprovalFacts) -> ApprovalDecision:
    """Whether to record somebody's approval."""
    name = name_of(facts.model, facts.version)
    if facts.environment not in facts.environments:
        there = ", ".join(facts.environments) or "none"
        return ApprovalDecision(
            reason=ApprovalReason.UNKNOWN_ENVIRONMENT,
            sentence=f"mlbot.yaml has no environment {facts.environment}.",
            hint=f"The environments are: {there}.",
        )
    if facts.released is None:
        there = ", ".join(f"v{version}" for version in facts.versions[-5:]) or "none"
        return ApprovalDecision(
            reason=ApprovalReason.UNKNOWN_VERSION,
            sentence=f"{name} was never released.",
            hint=f"The latest versions are: {there}.",
        )
    if facts.actor.casefold() in {each.casefold() for each in facts.approvers}:
        sentence = f"{who(facts.actor)} approved {name} for {facts.environment} before."
        return ApprovalDecision(reason=ApprovalReason.ALREADY_APPROVED, sentence=sentence)
    if not facts.needed:
        sentence = f"{facts.environment} asks for no approvals."
        return ApprovalDecision(reason=ApprovalReason.NOT_NEEDED, sentence=sentence)
    sentence = (
        f"{who(facts.actor)} approves {name} for {facts.environment}. It does not count for a promotion that they ask "
        "for themselves."
    )
    return ApprovalDecision(reason=ApprovalReason.APPROVED, sentence=sentence)
