"""Back to which version, and may it be? Exempt from gates, order, approvals and locks; never from integrity."""

from collections.abc import Iterator
from enum import StrEnum

from mlbot.delivery.deployment import Holder
from mlbot.ledger.entries import Actor
from mlbot.lib.record import Name, Record
from mlbot.lib.version import Served
from mlbot.registry.tag import name_of, shorten
from mlbot.registry.versions import Stored


class RollbackReason(StrEnum):
    """Why a rollback goes ahead or does not. A closed list."""

    ROLLS_BACK = "rolls-back"
    RESUMED = "resumed"
    """The same rollback was begun and not finished: it goes on."""
    ALREADY_LIVE = "already-live"
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    NO_REASON = "no-reason"
    NOTHING_LIVE = "nothing-live"
    NOTHING_BEFORE = "nothing-before"
    NEVER_LIVE = "never-live"
    BYTES_MISSING = "bytes-missing"
    BYTES_DIFFER = "bytes-differ"


class RollbackFacts(Record):
    """All that a rollback is decided from."""

    model: Name
    environment: Name
    requester: Actor
    why: str
    """The reason that was given."""
    to: str | None = None
    """The version asked for, as `1.2.0`; None: the last good one."""
    environments: tuple[Name, ...]
    once_live: tuple[Served, ...] = ()
    """Every version whose deployment there succeeded, oldest first."""
    good: tuple[Served, ...] = ()
    """The versions to go back to, the live one last (`mlbot.delivery.deployment.good_versions`)."""
    drifted: bool = False
    """Whether the target serves something else than the ledger says."""
    under_way: Holder | None = None
    """The deployment of this model that was begun there and has not ended."""
    stored: Stored | None = None
    """None before the store was asked, so that a plan can be shown first."""

    @property
    def live(self) -> Served | None:
        """What the ledger says is live."""
        return self.good[-1] if self.good else None

    @property
    def goal(self) -> Served | None:
        """The version to go back to; None where there is none.

        By default the last good one: what was live before a deployment that has not ended, else what was live before
        the live one.
        """
        if self.to is not None:
            return next((each for each in reversed(self.once_live) if each.version == self.to), None)
        if self.under_way is not None and self.under_way.action == "rollback":
            return Served(version=self.under_way.version, digest=self.under_way.digest)
        at = -1 if self.under_way is not None else -2
        return self.good[at] if len(self.good) >= -at else None


class RollbackDecision(Record):
    """Whether to go back, to what, and why."""

    reason: RollbackReason
    sentence: str
    hint: str = ""
    """What to do about a refusal."""
    goal: Served | None = None

    @property
    def go(self) -> bool:
        """Whether to go back."""
        return self.reason in {RollbackReason.ROLLS_BACK, RollbackReason.RESUMED}

    @property
    def refused(self) -> bool:
        """Whether it was refused; a version that is live already is no refusal."""
        return not self.go and self.reason is not RollbackReason.ALREADY_LIVE


def decide_rollback(facts: RollbackFacts) -> RollbackDecision:
    """Whether to go back, and to what: the first check that does not hold decides.

    Args:
        facts: as they were read; without `stored` the bytes are not looked at yet.
    """
    refused = next((decision for decision in _checks(facts) if decision is not None), None)
    if refused is not None:
        return refused
    goal, held = facts.goal, facts.under_way
    if goal and held and held.is_of(facts.model, goal.version, facts.environment, "rollback"):
        return _decision(facts, RollbackReason.RESUMED, f"The rollback to {_name(facts)} was begun and goes on.")
    if held:
        left = f" instead of {held.said}, which has not ended"
    elif goal == facts.live:
        left = ": the target serves something else than the ledger says"
    else:
        left = f", away from {_live(facts)}"
    return _decision(facts, RollbackReason.ROLLS_BACK, f"{facts.environment} goes back to {_name(facts)}{left}.")


def _checks(facts: RollbackFacts) -> Iterator[RollbackDecision | None]:
    yield _asked_well(facts)
    yield _has_goal(facts)
    yield _moves(facts)
    yield _bytes(facts)


def _asked_well(facts: RollbackFacts) -> RollbackDecision | None:
    if facts.environment not in facts.environments:
        there = ", ".join(facts.environments)
        return _decision(
            facts,
            RollbackReason.UNKNOWN_ENVIRONMENT,
            f"mlbot.yaml has no environment {facts.environment}.",
            f"The environments are: {there}." if there else "Add it: docs/configuration.md, `environments`.",
        )
    if not facts.why.strip():
        return _decision(
            facts,
            RollbackReason.NO_REASON,
            "A rollback needs a reason, so that who comes later knows.",
            f'Say it: mlbot rollback {facts.model} {facts.environment} --reason "…"',
        )
    return None


def _has_goal(facts: RollbackFacts) -> RollbackDecision | None:
    if facts.goal is not None:
        return None
    if facts.to is not None:
        there = ", ".join(dict.fromkeys(f"v{each.version}" for each in facts.once_live))
        return _decision(
            facts,
            RollbackReason.NEVER_LIVE,
            f"{name_of(facts.model, facts.to)} was never live in {facts.environment}.",
            f"These were: {there}."
            if there
            else f"Promote a version: mlbot promote {facts.model}@… {facts.environment}",
        )
    if facts.live is None:
        return _decision(
            facts,
            RollbackReason.NOTHING_LIVE,
            f"No version of {facts.model} was ever live in {facts.environment}.",
            f"Promote one: mlbot promote {facts.model}@… {facts.environment}",
        )
    return _decision(
        facts,
        RollbackReason.NOTHING_BEFORE,
        f"Before {_live(facts)} no version of {facts.model} was live in {facts.environment} that one could go back to.",
        f"Promote another version, or name one that was live once: mlbot rollback {facts.model} {facts.environment} "
        '--to … --reason "…"',
    )


def _moves(facts: RollbackFacts) -> RollbackDecision | None:
    if facts.under_way is not None or facts.drifted or facts.goal != facts.live:
        return None
    return _decision(facts, RollbackReason.ALREADY_LIVE, f"{_live(facts)} is live in {facts.environment} already.")


def _bytes(facts: RollbackFacts) -> RollbackDecision | None:
    digest = facts.goal.digest if facts.goal else None
    if facts.stored is Stored.MISSING:
        return _decision(
            facts,
            RollbackReason.BYTES_MISSING,
            f"The store does not have the bytes of {_name(facts)} ({shorten(digest)}).",
            "Put the very same file back, or go back to another version with --to.",
        )
    if facts.stored is Stored.DIFFERS:
        return _decision(
            facts,
            RollbackReason.BYTES_DIFFER,
            f"What the store has of {_name(facts)} is not what was released: its sha256 is not {shorten(digest)}.",
            "Somebody changed the store. Go back to another version with --to, and find out who it was.",
        )
    return None


def _decision(facts: RollbackFacts, reason: RollbackReason, sentence: str, hint: str = "") -> RollbackDecision:
    return RollbackDecision(reason=reason, sentence=sentence, hint=hint, goal=facts.goal)


def _name(facts: RollbackFacts) -> str:
    return name_of(facts.model, facts.goal.version) if facts.goal else facts.model


def _live(facts: RollbackFacts) -> str:
    return f"v{facts.live.version}" if facts.live else "what is there"
