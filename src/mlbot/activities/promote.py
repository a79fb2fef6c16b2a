"""`mlbot promote`: let a version enter an environment. Decide, take the lock, decide again, deploy."""

from collections.abc import Callable
from dataclasses import dataclass

from mlbot.activities.home import Home
from mlbot.activities.slot import Seen, Slot, try_in_slot
from mlbot.core.deploying import Holder, begun, place, serves
from mlbot.core.ledger import DeploymentEntry, Entry
from mlbot.core.ledger_state import approvals, locked, release_of, releases
from mlbot.core.promotion import Lock, PromotionDecision, PromotionFacts, decide_promotion
from mlbot.core.record import Record
from mlbot.core.registry import Version
from mlbot.errors import RefusedError
from mlbot.git.locks import Held

Announce = Callable[[PromotionFacts, PromotionDecision], None]


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
    home: Home, request: PromotionRequest, announce: Announce = lambda _facts, _decision: None
) -> PromotionResult:
    """Promote a version.

    Args:
        home: where.
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
        home,
        request.model,
        request.environment,
        lambda slot: _Desk(slot=slot, request=request, version=version, announce=announce).attempt(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Desk:
    """Where one promotion is made."""

    slot: Slot
    request: PromotionRequest
    version: str
    announce: Announce

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
                mend=f"If it is nobody's, delete it: git push origin :{self.slot.lock_ref}",
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
        home, model, name = self.slot.home, self.request.model, self.request.environment
        environment, released = home.environment(name), release_of(entries, model, self.version)
        lock, said = locked(entries, name), approvals(entries, model, self.version, name)
        under_way, live = holder or begun(entries, name, model), serves(entries, name, model)
        resumed = under_way is not None and under_way.is_of(model, self.version, name, "promotion")
        return PromotionFacts(
            model=model,
            version=self.version,
            environment=name,
            requester=under_way.actor if under_way and resumed else home.actor,
            environments=tuple(each.name for each in home.config.environments),
            released=released.digest if released else None,
            versions=tuple(each.version for each in releases(entries, model)),
            deprecated=released is not None and home.is_deprecated(model, self.version),
            after=place(entries, environment.after, model) if environment and environment.after else None,
            live=live,
            drifted=live is not None and live.version == self.version and self.slot.has_drifted(entries),
            needed=environment.approvals if environment else 0,
            approvers=tuple(each.actor for each in said if released and each.digest == released.digest),
            lock=Lock(actor=lock.actor, reason=lock.reason, time=lock.time) if lock else None,
            under_way=under_way,
        )
