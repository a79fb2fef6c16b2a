"""May this version enter this environment? A pure decision over recorded facts, with a closed list of reasons."""

from collections.abc import Iterator
from enum import StrEnum

from mlbot.delivery.deployment import Holder, Place
from mlbot.ledger.entries import Actor
from mlbot.lib.record import Count, Digest, Name, Record
from mlbot.lib.version import Served
from mlbot.registry.tag import name_of, shorten, who
from mlbot.registry.versions import Stored


class PromotionReason(StrEnum):
    """Why a promotion goes ahead or does not. A closed list."""

    PROMOTABLE = "promotable"
    RESUMED = "resumed"
    """The same promotion was begun and not finished: it goes on."""
    ALREADY_LIVE = "already-live"
    """This very version is live there: nothing is done, and that is no failure."""
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    UNKNOWN_VERSION = "unknown-version"
    DEPRECATED = "deprecated"
    LOCKED = "locked"
    UNDER_WAY = "under-way"
    """Another deployment was begun there and has not ended."""
    OUT_OF_ORDER = "out-of-order"
    """The environment that comes before does not serve these very bytes."""
    NOT_HEALTHY = "not-healthy"
    """It serves them, but a deployment there has not ended."""
    APPROVALS_MISSING = "approvals-missing"
    SELF_APPROVAL = "self-approval"
    BYTES_MISSING = "bytes-missing"
    BYTES_DIFFER = "bytes-differ"


class Lock(Record):
    """An environment that people closed."""

    actor: Actor
    reason: str = ""
    time: str


class PromotionFacts(Record):
    """All that a promotion is decided from."""

    model: Name
    version: str
    """As `1.2.0`."""
    environment: Name
    requester: Actor
    environments: tuple[Name, ...]
    """All that the guarded branch's config has."""
    released: Digest | None = None
    """The version's digest in the ledger; None where it was never released."""
    versions: tuple[str, ...] = ()
    """The released ones, oldest first."""
    deprecated: bool = False
    after: Place | None = None
    """The environment that comes before, and what is live there; None where none comes before."""
    live: Served | None = None
    """What the ledger says is live in the environment itself."""
    drifted: bool = False
    """Whether the target serves something else than the ledger says."""
    needed: Count = 0
    """Approvals that the environment asks for."""
    approvers: tuple[Actor, ...] = ()
    """Who approved these very bytes for it."""
    lock: Lock | None = None
    under_way: Holder | None = None
    """The deployment that was begun there and has not ended."""
    stored: Stored | None = None
    """None before the store was asked, so that a plan can be shown first."""

    @property
    def counted(self) -> tuple[Actor, ...]:
        """The approvals that count: nobody approves a request of their own."""
        return tuple(each for each in self.approvers if each.casefold() != self.requester.casefold())


class PromotionDecision(Record):
    """Whether to promote, and why."""

    reason: PromotionReason
    sentence: str
    hint: str = ""
    """What to do about a refusal."""

    @property
    def go(self) -> bool:
        """Whether the version is to be deployed."""
        return self.reason in {PromotionReason.PROMOTABLE, PromotionReason.RESUMED}

    @property
    def refused(self) -> bool:
        """Whether it was refused; a version that is live already is no refusal."""
        return not self.go and self.reason is not PromotionReason.ALREADY_LIVE


def decide_promotion(facts: PromotionFacts) -> PromotionDecision:
    """Whether a version may enter an environment: the first check that does not hold decides.

    Args:
        facts: as they were read; without `stored` the bytes are not looked at yet.
    """
    refused = next((decision for decision in _checks(facts) if decision is not None), None)
    if refused is not None:
        return refused
    if _resumes(facts):
        return _decision(PromotionReason.RESUMED, f"The promotion of {_name(facts)} was begun and goes on.")
    drift = " It serves something else than the ledger says, which this puts right." if facts.drifted else ""
    return _decision(PromotionReason.PROMOTABLE, f"{_name(facts)} may enter {facts.environment}.{drift}")


def _checks(facts: PromotionFacts) -> Iterator[PromotionDecision | None]:
    yield _known(facts)
    yield _under_way(facts)
    yield _live(facts)
    yield _lock(facts)
    yield _deprecated(facts)
    yield _order(facts)
    yield _approvals(facts)
    yield _bytes(facts)


def _known(facts: PromotionFacts) -> PromotionDecision | None:
    if facts.environment not in facts.environments:
        there = ", ".join(facts.environments)
        return _decision(
            PromotionReason.UNKNOWN_ENVIRONMENT,
            f"mlbot.yaml has no environment {facts.environment}.",
            f"The environments are: {there}." if there else "Add it: docs/configuration.md, `environments`.",
        )
    if facts.released is None:
        there = ", ".join(f"v{version}" for version in facts.versions[-5:])
        return _decision(
            PromotionReason.UNKNOWN_VERSION,
            f"{_name(facts)} was never released.",
            f"The latest versions are: {there}." if there else f"Release it: mlbot release {facts.model}",
        )
    return None


def _resumes(facts: PromotionFacts) -> bool:
    held = facts.under_way
    return held is not None and held.is_of(facts.model, facts.version, facts.environment, "promotion")


def _under_way(facts: PromotionFacts) -> PromotionDecision | None:
    held = facts.under_way
    if held is None or _resumes(facts):
        return None
    return _decision(
        PromotionReason.UNDER_WAY,
        f"{facts.environment} is taken by {held.said}.",
        f"Wait for it. If it died, finish it: {held.command}; or go back: "
        f'mlbot rollback {held.model} {facts.environment} --reason "…"',
    )


def _live(facts: PromotionFacts) -> PromotionDecision | None:
    live = facts.live
    if live is None or (live.version, live.digest) != (facts.version, facts.released) or facts.under_way:
        return None
    if facts.drifted:
        return None
    return _decision(PromotionReason.ALREADY_LIVE, f"{_name(facts)} is live in {facts.environment} already.")


def _lock(facts: PromotionFacts) -> PromotionDecision | None:
    if facts.lock is None:
        return None
    why = f": {facts.lock.reason}" if facts.lock.reason else ""
    return _decision(
        PromotionReason.LOCKED,
        f"{facts.environment} is locked by {who(facts.lock.actor)} since {facts.lock.time}{why}.",
        f"Ask them, or open it: mlbot unlock {facts.environment}",
    )


def _deprecated(facts: PromotionFacts) -> PromotionDecision | None:
    if not facts.deprecated:
        return None
    return _decision(
        PromotionReason.DEPRECATED,
        f"{_name(facts)} is deprecated.",
        "Promote another version, or delete the tag that deprecates it.",
    )


def _order(facts: PromotionFacts) -> PromotionDecision | None:
    after = facts.after
    if after is None:
        return None
    if after.live is None or after.live.digest != facts.released:
        there = f"it serves v{after.live.version}" if after.live else "nothing is live there"
        return _decision(
            PromotionReason.OUT_OF_ORDER,
            f"{facts.environment} comes after {after.environment}, and {_name(facts)} is not live there: {there}.",
            f"Promote it there first: mlbot promote {_name(facts)} {after.environment}",
        )
    if after.under_way is not None:
        return _decision(
            PromotionReason.NOT_HEALTHY,
            f"{after.environment} serves {_name(facts)}, but {after.under_way.said} has not ended there.",
            f"Finish it first: {after.under_way.command}",
        )
    return None


def _approvals(facts: PromotionFacts) -> PromotionDecision | None:
    missing = facts.needed - len(facts.counted)
    if missing <= 0:
        return None
    hint = f"Somebody else says: mlbot approve {_name(facts)} {facts.environment} (on GitHub: /approve)"
    if len(facts.counted) < len(facts.approvers):
        return _decision(
            PromotionReason.SELF_APPROVAL,
            f"{who(facts.requester)} asks for it, so their own approval does not count; {_more(missing)}.",
            hint,
        )
    return _decision(
        PromotionReason.APPROVALS_MISSING,
        f"{facts.environment} asks for {facts.needed} approval{'s' * (facts.needed > 1)}; {_more(missing)}.",
        hint,
    )


def _more(missing: int) -> str:
    return f"{missing} {'is' if missing == 1 else 'are'} missing"


def _bytes(facts: PromotionFacts) -> PromotionDecision | None:
    if facts.stored is Stored.MISSING:
        return _decision(
            PromotionReason.BYTES_MISSING,
            f"The store does not have the bytes of {_name(facts)} ({shorten(facts.released)}).",
            "Put the very same file back, or release a new version.",
        )
    if facts.stored is Stored.DIFFERS:
        return _decision(
            PromotionReason.BYTES_DIFFER,
            f"What the store has of {_name(facts)} is not {shorten(facts.released)}, which was judged.",
            "Somebody changed the store. Find out who, and put the very same file back.",
        )
    return None


def _decision(reason: PromotionReason, sentence: str, hint: str = "") -> PromotionDecision:
    return PromotionDecision(reason=reason, sentence=sentence, hint=hint)


def _name(facts: PromotionFacts) -> str:
    return name_of(facts.model, facts.version)
