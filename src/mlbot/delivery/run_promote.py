"""`mlbot rollback`: back to a version that was live. No gate, order, approval or lock stops it; changed bytes do."""

from collections.abc import Callable
from dataclasses import dataclass

from mlbot.delivery.deployment import Holder, begun, good_versions, place, serves
from mlbot.delivery.promotion import Lock, PromotionDecision, PromotionFacts, decide_promotion
from mlbot.delivery.rollback import RollbackDecision, RollbackFacts, decide_rollback
from mlbot.delivery.run_environment import Seen, Slot, has_ended, try_in_slot
from mlbot.errors import RefusedError
from mlbot.git.locks import Held
from mlbot.ledger.entries import DeploymentEntry, Entry
from mlbot.ledger.queries import approvals, deployments, locked, release_of, releases
from mlbot.lib.record import Record
from mlbot.lib.version import Served, Version
from mlbot.registry.run_repository import RepositoryContext

# `mlbot promote`: let a version enter an environment. Decide, take the lock, decide again, deploy.

AnnouncePromotion = Callable[[PromotionFacts, PromotionDecision], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class PromotionRequest:
    """What is asked for.

    Attributes:
        model: its name.
        version: with or without its `v`.
        environment: where to.
        reason: why; may be left out.
        dry_run: decide, and change nothing.
    """

    model: str
    version: str
    environment: str
    reason: str = ""
    dry_run: bool = False


class PromotionResult(Record):
    """What came of it."""

    facts: PromotionFacts
    decision: PromotionDecision
    dry_run: bool = False
    deployment: DeploymentEntry | None = None
    """How the deployment ended; None where there was none."""


def promote(
    context: RepositoryContext, request: PromotionRequest, announce: AnnouncePromotion = lambda _facts, _decision: None
) -> PromotionResult:
    """Promote a version.

    Args:
        context: where.
        request: what.
        announce: told of the plan before anything is changed; of a resumed promotion and of a repeated try again.

    Returns:
        What was decided, with its reason, and how the deployment ended. Nothing is changed by a refusal.

    Raises:
        UsageError: the version is none, or the config is wrong.
        RefusedError: the token may not write, or another run took the deployment over.
        NotEvaluatedError: something does not answer, or a failed deployment could not be gone back from.
    """
    version = Version.parse(request.version).text
    return try_in_slot(
        context,
        request.model,
        request.environment,
        lambda slot: _Promotion(slot=slot, request=request, version=version, announce=announce).attempt(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Promotion:
    """Where one promotion is made."""

    slot: Slot
    request: PromotionRequest
    version: str
    announce: AnnouncePromotion

    def attempt(self) -> PromotionResult | None:
        """Decide, and deploy; None where somebody else took the lock in between."""
        seen = self.slot.look()
        facts = self._facts(seen.entries, seen.holder)
        decision = decide_promotion(facts)
        if decision.go and facts.released:
            facts = facts.model_copy(update={"stored": self.slot.fetch(self.version, facts.released)})
            decision = decide_promotion(facts)
        self.announce(facts, decision)
        if decision.go and not self.request.dry_run:
            return self._deploy(facts, seen)
        if not decision.refused and not self.request.dry_run:
            self.slot.settle(seen)
        return PromotionResult(facts=facts, decision=decision, dry_run=self.request.dry_run)

    def _deploy(self, facts: PromotionFacts, seen: Seen) -> PromotionResult | None:
        """Take the lock, and look again: what was read before may be of yesterday."""
        if seen.foreign:
            raise RefusedError(
                f"{self.slot.lock_ref} says nothing that mlbot wrote, so nobody can tell whose lock it is",
                hint=f"If it is nobody's, delete it: git push origin :{self.slot.lock_ref}",
            )
        holder = self._holder(seen, facts)
        held = self.slot.take(holder, seen)
        if held is None:
            return None
        try:
            return self._locked(holder, held, facts)
        except Exception:
            self.slot.let_go(holder, held)
            raise

    def _locked(self, holder: Holder, held: Held, facts: PromotionFacts) -> PromotionResult | None:
        entries = self.slot.entries()
        now = self._facts(entries, None).model_copy(update={"stored": facts.stored})
        decision = decide_promotion(now)
        if not decision.go or self._holder(Seen(entries=entries), now).id != holder.id:
            self.slot.drop(held)
            return PromotionResult(facts=now, decision=decision) if not decision.go else None
        deployment = self.slot.deployment(holder, held, entries)
        return PromotionResult(facts=now, decision=decide_promotion(facts), deployment=deployment.run())

    def _holder(self, seen: Seen, facts: PromotionFacts) -> Holder:
        return self.slot.holder(seen, self.version, facts.released or "", "promotion", self.request.reason)

    def _facts(self, entries: tuple[Entry, ...], holder: Holder | None) -> PromotionFacts:
        context, model, name = self.slot.context, self.request.model, self.request.environment
        environment, released = context.environment(name), release_of(entries, model, self.version)
        lock, said = locked(entries, name), approvals(entries, model, self.version, name)
        under_way, live = holder or begun(entries, name, model), serves(entries, name, model)
        resumed = under_way is not None and under_way.is_of(model, self.version, name, "promotion")
        return PromotionFacts(
            model=model,
            version=self.version,
            environment=name,
            requester=under_way.actor if under_way and resumed else context.actor,
            environments=tuple(each.name for each in context.config.environments),
            released=released.digest if released else None,
            versions=tuple(each.version for each in releases(entries, model)),
            deprecated=released is not None and context.is_deprecated(model, self.version),
            after=place(entries, environment.after, model) if environment and environment.after else None,
            live=live,
            drifted=live is not None and live.version == self.version and self.slot.has_drifted(entries),
            needed=environment.approvals if environment else 0,
            approvers=tuple(each.actor for each in said if released and each.digest == released.digest),
            lock=Lock(actor=lock.actor, reason=lock.reason, time=lock.time) if lock else None,
            under_way=under_way,
        )


AnnounceRollback = Callable[[RollbackFacts, RollbackDecision], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackRequest:
    """What is asked for.

    Attributes:
        model: its name.
        environment: where.
        reason: why.
        to: a version with or without its `v`; None: the last good one.
        dry_run: decide, and change nothing.
    """

    model: str
    environment: str
    reason: str
    to: str | None = None
    dry_run: bool = False


class RollbackResult(Record):
    """What came of it."""

    facts: RollbackFacts
    decision: RollbackDecision
    dry_run: bool = False
    deployment: DeploymentEntry | None = None
    """How the deployment ended; None where there was none."""


def rollback(
    context: RepositoryContext, request: RollbackRequest, announce: AnnounceRollback = lambda _facts, _decision: None
) -> RollbackResult:
    """Go back.

    A deployment that has not ended is given up: its lock is taken over, and the ledger says that it failed.

    Args:
        context: where.
        request: what.
        announce: told of the plan before anything is changed.

    Returns:
        What was decided, with its reason, and how the deployment ended. Nothing is changed by a refusal.

    Raises:
        UsageError: the version is none, or the config is wrong.
        RefusedError: the token may not write, or another run took the deployment over.
        NotEvaluatedError: something does not answer, or a failed deployment could not be gone back from.
    """
    to = Version.parse(request.to).text if request.to is not None else None
    return try_in_slot(
        context,
        request.model,
        request.environment,
        lambda slot: _Rollback(slot=slot, request=request, to=to, announce=announce).attempt(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rollback:
    """Where one rollback is made."""

    slot: Slot
    request: RollbackRequest
    to: str | None
    announce: AnnounceRollback

    def attempt(self) -> RollbackResult | None:
        """Decide, and go back; None where somebody else took the lock in between."""
        seen = self.slot.look()
        facts = self._facts(seen.entries, seen.holder)
        decision = decide_rollback(facts)
        if decision.go and decision.goal:
            stored = self.slot.fetch(decision.goal.version, decision.goal.digest)
            facts = facts.model_copy(update={"stored": stored})
            decision = decide_rollback(facts)
        self.announce(facts, decision)
        if decision.go and decision.goal and not self.request.dry_run:
            return self._deploy(facts, decision, decision.goal, seen)
        if not decision.refused and not self.request.dry_run:
            self.slot.settle(seen)
        return RollbackResult(facts=facts, decision=decision, dry_run=self.request.dry_run)

    def _deploy(
        self, facts: RollbackFacts, decision: RollbackDecision, goal: Served, seen: Seen
    ) -> RollbackResult | None:
        """Take the lock, whoever holds it, and go on if the goal is still the same."""
        holder = self._holder(seen, goal)
        held = self.slot.take(holder, seen)
        if held is None:
            return None
        try:
            result = self._locked(holder, held, goal, seen)
        except Exception:
            self.slot.let_go(holder, held)
            raise
        if result is None:
            self.slot.drop(held)
            return None
        return RollbackResult(facts=facts, decision=decision, deployment=result)

    def _locked(self, holder: Holder, held: Held, goal: Served, seen: Seen) -> DeploymentEntry | None:
        """Look again, for the one whose lock was taken over may have ended meanwhile."""
        entries = self.slot.entries()
        before = seen.holder if seen.holder and not has_ended(seen.holder, entries) else None
        if self._facts(entries, before).goal != goal or self._holder(Seen(entries=entries), goal).id != holder.id:
            return None
        deployment = self.slot.deployment(holder, held, entries)
        self._give_up(holder, entries)
        return deployment.run()

    def _give_up(self, holder: Holder, entries: tuple[Entry, ...]) -> None:
        """Let the ledger say that deployments which had not ended never will."""
        open_ = (
            each
            for each in deployments(entries, self.request.model, self.request.environment)
            if each.state == "started" and each.id != holder.id
        )
        detail = f"Given up: {holder.said} took its place."
        ended = [
            each.model_copy(update={"state": "failed", "detail": detail, "time": self.slot.context.time})
            for each in open_
        ]
        if ended:
            self.slot.context.record(*ended)

    def _holder(self, seen: Seen, goal: Served) -> Holder:
        return self.slot.holder(seen, goal.version, goal.digest, "rollback", self.request.reason)

    def _facts(self, entries: tuple[Entry, ...], holder: Holder | None) -> RollbackFacts:
        context, model, name = self.slot.context, self.request.model, self.request.environment
        succeeded = [each for each in deployments(entries, model, name) if each.state == "succeeded"]
        mine, good = holder if holder and holder.model == model else None, good_versions(entries, name, model)
        return RollbackFacts(
            model=model,
            environment=name,
            requester=context.actor,
            why=self.request.reason,
            to=self.to,
            environments=tuple(each.name for each in context.config.environments),
            once_live=tuple(Served(version=each.version, digest=each.digest) for each in succeeded),
            good=good,
            drifted=bool(good) and good[-1].version == self.to and self.slot.has_drifted(entries),
            under_way=mine or begun(entries, name, model),
        )
