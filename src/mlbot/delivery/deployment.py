"""What enters an environment and what it goes back to: pure decisions, each with a closed list of reasons.

A promotion, a rollback, an approval and a lock each decide by checks in their order; the words of the reasons are in
`templates/release/`.
"""

from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mlbot.config.errors import nearest
from mlbot.ledger.entries import Action, Actor, ApprovalEntry, DeploymentEntry, DeploymentIntent, Entry, LockEntry
from mlbot.ledger.queries import deployments, live, unfinished
from mlbot.lib.record import Count, Decision, Digest, Name, Record, canonical, decide
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.lib.version import Served, Stored, served_of
from mlbot.protocol.golden import Replay

_LOCK_BYTES = 8192


class EnvironmentState(Record):
    """An environment, what is live there, and what has not ended there."""

    environment: Name
    live: Served | None = None
    under_way: DeploymentIntent | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry], environment: Name, model: Name) -> "EnvironmentState":
        """What the ledger says of an environment for a model."""
        known = tuple(entries)
        return cls(
            environment=environment, live=serves(known, environment, model), under_way=begun(known, environment, model)
        )


def deployment_id(model: str, environment: str, sequence: int) -> str:
    """The name of a deployment: the same for every run of it."""
    return f"{model}/{environment}/{sequence}"


def next_sequence(entries: Iterable[Entry], model: Name, environment: Name) -> int:
    """The number of the next deployment of a model into an environment."""
    return max((each.sequence for each in deployments(entries, model, environment)), default=0) + 1


def serves(entries: Iterable[Entry], environment: Name, model: Name) -> Served | None:
    """What the ledger says is live."""
    last = live(entries, environment, model)
    return served_of(last) if last else None


def begun(entries: Iterable[Entry], environment: Name, model: Name) -> DeploymentIntent | None:
    """The deployment of a model that was begun there and has not ended: the newest, should there be several."""
    open_ = unfinished(entries, environment, model)
    return open_[-1].intent if open_ else None


def lock_text(intent: DeploymentIntent) -> str:
    """What the lock's commit says: canonical JSON on one line."""
    return canonical(intent.model_dump(mode="json"))


def read_lock(text: str) -> DeploymentIntent | None:
    """The deployment that a lock's commit names; None where it says something else."""
    try:
        return read(text.encode("utf-8", "replace"), DeploymentIntent, "the lock", most_bytes=_LOCK_BYTES)
    except HostileJsonError:
        return None


class Witness(Record):
    """A tag that says what the ledger does not."""

    tag: str
    by_mlbot: bool  # whether mlbot made it, so that the ledger had it once


class _NamedFacts(Record):
    """What was asked for by its name, and the names that there are."""

    model: Name
    environment: Name
    models: tuple[Name, ...] = ()  # all that the guarded branch's config has; none: not looked at
    environments: tuple[Name, ...]
    witness: Witness | None = None  # a tag of what the ledger has nothing of

    def near(self, word: str, known: Collection[str]) -> str:
        """The known name that was probably meant; empty where none is near."""
        return nearest(word, known) or ""

    @property
    def foreign(self) -> bool:
        """Whether there is no such model."""
        return bool(self.models) and self.model not in self.models


class PromotionReason(StrEnum):
    """Why a promotion goes ahead or does not. A closed list."""

    PROMOTABLE = "promotable"
    RESUMED = "resumed"  # the same promotion was begun and not finished: it goes on
    ALREADY_LIVE = "already-live"  # this very version is live there: nothing is done, and that is no failure
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    UNRECORDED = "unrecorded"  # there is a tag of the version, and no release in the ledger
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_VERSION = "unknown-version"
    DEPRECATED = "deprecated"
    LOCKED = "locked"
    UNDER_WAY = "under-way"  # another deployment was begun there and has not ended
    OUT_OF_ORDER = "out-of-order"  # the environment that comes before does not serve these very bytes
    NOT_HEALTHY = "not-healthy"  # it serves them, but a deployment there has not ended
    APPROVALS_MISSING = "approvals-missing"
    SELF_APPROVAL = "self-approval"
    BYTES_MISSING = "bytes-missing"
    BYTES_DIFFER = "bytes-differ"
    SHADOW_VOID = "shadow-void"  # the recorded requests could not be read, or not be answered
    SHADOW_CHANGED = "shadow-changed"


class ShadowFacts(Record):
    """Recorded requests that have to be answered as before, as the guarded branch's config has it."""

    requests: str  # where they are
    max_changed: Annotated[float, Field(ge=0, le=1)]
    before: Served | None  # what they are compared with; None: with nothing
    unasked: Literal["", "first", "same", "evaluated"] = ""
    """Why with nothing: no version is live there, its bytes are the same, or an evaluator scores the model."""
    found: Replay | None = None
    problem: str = ""  # why nothing was found
    hint: str = ""


class _DeploymentFacts(_NamedFacts):
    """What a promotion and a rollback are both decided from."""

    requester: Actor
    drifted: bool = False  # whether the target serves something else than the ledger says
    under_way: DeploymentIntent | None = None  # the deployment that was begun there and has not ended
    stored: Stored | None = None  # None before the store was asked, so that a plan can be shown first

    def resumes(self, action: Action, version: str) -> bool:
        """Whether what is under way is this very deployment."""
        held = self.under_way
        return held is not None and held.is_of(self.model, version, self.environment, action)


class PromotionFacts(_DeploymentFacts):
    """All that a promotion is decided from."""

    version: str  # as `1.2.0`
    released: Digest | None = None  # the version's digest in the ledger; None where it was never released
    versions: tuple[str, ...] = ()  # the released ones, oldest first
    deprecated: bool = False
    after: EnvironmentState | None = None
    """The environment that comes before, and what is live there; None where none comes before."""
    live: Served | None = None  # what the ledger says is live in the environment itself
    needed: Count = 0  # approvals that the environment asks for
    approvers: tuple[Actor, ...] = ()  # who approved these very bytes for it
    lock: LockEntry | None = None
    shadow: ShadowFacts | None = None  # None: the config asks for none, or it is not looked at yet

    @property
    def goal(self) -> Served | None:
        """What is to be live."""
        return Served(version=self.version, digest=self.released) if self.released else None

    @property
    def counted(self) -> tuple[Actor, ...]:
        """The approvals that count: nobody approves a request of their own."""
        return tuple(each for each in self.approvers if each.casefold() != self.requester.casefold())

    @property
    def missing(self) -> int:
        """How many approvals are missing."""
        return max(0, self.needed - len(self.counted))


PromotionDecision = Decision[PromotionReason]


def decide_promotion(facts: PromotionFacts) -> PromotionDecision:
    """Whether a version may enter an environment; without `stored` the bytes are not looked at yet."""
    go = PromotionReason.RESUMED if facts.resumes("promotion", facts.version) else PromotionReason.PROMOTABLE
    return decide(PromotionDecision, _promotion_checks(facts), go, (PromotionReason.ALREADY_LIVE,))


def _promotion_checks(facts: PromotionFacts) -> Iterator[tuple[PromotionReason, bool]]:
    after, busy = facts.after, facts.under_way is not None
    yield PromotionReason.UNKNOWN_ENVIRONMENT, facts.environment not in facts.environments
    yield PromotionReason.UNRECORDED, facts.released is None and facts.witness is not None
    yield PromotionReason.UNKNOWN_MODEL, facts.released is None and facts.foreign
    yield PromotionReason.UNKNOWN_VERSION, facts.released is None
    yield PromotionReason.UNDER_WAY, busy and not facts.resumes("promotion", facts.version)
    yield PromotionReason.ALREADY_LIVE, facts.live == facts.goal and not busy and not facts.drifted
    yield PromotionReason.LOCKED, facts.lock is not None
    yield PromotionReason.DEPRECATED, facts.deprecated
    if after is not None:
        yield PromotionReason.OUT_OF_ORDER, after.live is None or after.live.digest != facts.released
        yield PromotionReason.NOT_HEALTHY, after.under_way is not None
    yield PromotionReason.SELF_APPROVAL, facts.missing > 0 and len(facts.counted) < len(facts.approvers)
    yield PromotionReason.APPROVALS_MISSING, facts.missing > 0
    yield PromotionReason.BYTES_MISSING, facts.stored is Stored.MISSING
    yield PromotionReason.BYTES_DIFFER, facts.stored is Stored.DIFFERS
    shadow = facts.shadow
    if shadow is not None and shadow.before is not None:
        yield PromotionReason.SHADOW_VOID, shadow.found is None
        yield PromotionReason.SHADOW_CHANGED, shadow.found is None or shadow.found.share > shadow.max_changed


class RollbackReason(StrEnum):
    """Why a rollback goes ahead or does not. A closed list."""

    ROLLS_BACK = "rolls-back"
    RESUMED = "resumed"  # the same rollback was begun and not finished: it goes on
    ALREADY_LIVE = "already-live"
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    NO_REASON = "no-reason"
    UNRECORDED = "unrecorded"  # a tag says that something is live, and the ledger has no deployment there
    UNKNOWN_MODEL = "unknown-model"
    NOTHING_LIVE = "nothing-live"
    NOTHING_BEFORE = "nothing-before"
    NEVER_LIVE = "never-live"
    BYTES_MISSING = "bytes-missing"
    BYTES_DIFFER = "bytes-differ"


class RollbackFacts(_DeploymentFacts):
    """All that a rollback is decided from."""

    why: str  # the reason that was given
    to: str | None = None  # the version asked for, as `1.2.0`; None: the last good one
    once_live: tuple[Served, ...] = ()  # every version whose deployment there succeeded, oldest first
    good: tuple[Served, ...] = ()  # the versions to go back to, the live one last (`good_versions`)

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
            return served_of(self.under_way)
        at = -1 if self.under_way is not None else -2
        return self.good[at] if len(self.good) >= -at else None


RollbackDecision = Decision[RollbackReason]


def decide_rollback(facts: RollbackFacts) -> RollbackDecision:
    """Whether to go back. Exempt from gates, order, approvals and locks; never from integrity."""
    resumed = facts.goal is not None and facts.resumes("rollback", facts.goal.version)
    go = RollbackReason.RESUMED if resumed else RollbackReason.ROLLS_BACK
    return decide(RollbackDecision, _rollback_checks(facts), go, (RollbackReason.ALREADY_LIVE,))


def _rollback_checks(facts: RollbackFacts) -> Iterator[tuple[RollbackReason, bool]]:
    yield RollbackReason.UNKNOWN_ENVIRONMENT, facts.environment not in facts.environments
    yield RollbackReason.NO_REASON, not facts.why.strip()
    if facts.goal is None:
        yield RollbackReason.UNRECORDED, facts.witness is not None
        yield RollbackReason.UNKNOWN_MODEL, facts.foreign and not facts.once_live
        yield RollbackReason.NEVER_LIVE, facts.to is not None
        yield RollbackReason.NOTHING_LIVE, facts.live is None
        yield RollbackReason.NOTHING_BEFORE, True
    yield RollbackReason.ALREADY_LIVE, facts.goal == facts.live and facts.under_way is None and not facts.drifted
    yield RollbackReason.BYTES_MISSING, facts.stored is Stored.MISSING
    yield RollbackReason.BYTES_DIFFER, facts.stored is Stored.DIFFERS


def good_versions(entries: Iterable[Entry], environment: Name, model: Name) -> tuple[Served, ...]:
    """The versions to go back to, the live one last.

    Every promotion that succeeded comes on top; a rollback takes off what it went away from. So a rollback after a
    rollback goes further back, and never to the version that the first one left.
    """
    stack: list[Served] = []
    for entry in deployments(entries, model, environment):
        if entry.state == "succeeded":
            _apply(stack, served_of(entry), entry.action)
    return tuple(stack)


def _apply(stack: list[Served], now: Served, action: Action) -> None:
    if action == "rollback" and now in stack:
        del stack[len(stack) - stack[::-1].index(now) :]
    elif not stack or stack[-1] != now:
        stack.append(now)


class DeploymentResult(Record):
    """What came of a promotion or a rollback."""

    facts: PromotionFacts | RollbackFacts
    decision: PromotionDecision | RollbackDecision
    goal: Served | None  # what was to be live
    dry_run: bool = False
    deployment: DeploymentEntry | None = None  # how the deployment ended; None where there was none
    untagged: str = ""  # why the tag that shows it could not be written; the ledger decides


class ApprovalReason(StrEnum):
    """Why an approval is recorded or not. A closed list."""

    APPROVED = "approved"
    ALREADY_APPROVED = "already-approved"  # the same person approved before: nothing is done, and that is no failure
    NOT_NEEDED = "not-needed"  # the environment asks for none: nothing is done, and that is no failure
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    UNRECORDED = "unrecorded"
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_VERSION = "unknown-version"


class ApprovalFacts(_NamedFacts):
    """All that an approval is decided from."""

    version: str
    actor: Actor
    released: Digest | None = None
    versions: tuple[str, ...] = ()
    needed: Count = 0
    approvers: tuple[Actor, ...] = ()  # who approved these very bytes for it before


ApprovalDecision = Decision[ApprovalReason]


def decide_approval(facts: ApprovalFacts) -> ApprovalDecision:
    """Whether to record somebody's approval."""
    done = (ApprovalReason.ALREADY_APPROVED, ApprovalReason.NOT_NEEDED)
    return decide(ApprovalDecision, _approval_checks(facts), ApprovalReason.APPROVED, done)


def _approval_checks(facts: ApprovalFacts) -> Iterator[tuple[ApprovalReason, bool]]:
    yield ApprovalReason.UNKNOWN_ENVIRONMENT, facts.environment not in facts.environments
    yield ApprovalReason.UNRECORDED, facts.released is None and facts.witness is not None
    yield ApprovalReason.UNKNOWN_MODEL, facts.released is None and facts.foreign
    yield ApprovalReason.UNKNOWN_VERSION, facts.released is None
    before = {each.casefold() for each in facts.approvers}
    yield ApprovalReason.ALREADY_APPROVED, facts.actor.casefold() in before
    yield ApprovalReason.NOT_NEEDED, not facts.needed


class ApprovalResult(Record):
    """What came of an approval."""

    facts: ApprovalFacts
    decision: ApprovalDecision
    entry: ApprovalEntry | None = None


class LockReason(StrEnum):
    """Why an environment is closed or opened, or why not. A closed list."""

    LOCKS = "locks"
    UNLOCKS = "unlocks"
    ALREADY_LOCKED = "already-locked"
    NOT_LOCKED = "not-locked"
    NO_REASON = "no-reason"


class LockFacts(Record):
    """All that closing or opening an environment is decided from."""

    environment: Name
    close: bool
    why: str = ""  # the reason that was given
    lock: LockEntry | None = None  # the lock that closes it now


LockDecision = Decision[LockReason]


def decide_lock(facts: LockFacts) -> LockDecision:
    """Whether to close an environment, or to open it."""
    go = LockReason.LOCKS if facts.close else LockReason.UNLOCKS
    return decide(LockDecision, _lock_checks(facts), go, (LockReason.ALREADY_LOCKED, LockReason.NOT_LOCKED))


def _lock_checks(facts: LockFacts) -> Iterator[tuple[LockReason, bool]]:
    yield LockReason.ALREADY_LOCKED, facts.close and facts.lock is not None
    yield LockReason.NOT_LOCKED, not facts.close and facts.lock is None
    yield LockReason.NO_REASON, facts.close and not facts.why.strip()


class LockResult(Record):
    """What came of closing or opening an environment."""

    facts: LockFacts
    decision: LockDecision
    entry: LockEntry | None = None
