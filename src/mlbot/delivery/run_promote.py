"""`mlbot promote`, `rollback`, `approve`, `lock` and `unlock`: decide, take the lock, look again, deploy, record."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from mlbot.config.errors import nearest
from mlbot.delivery.deployment import (
    ApprovalFacts,
    ApprovalResult,
    DeploymentResult,
    EnvironmentState,
    LockFacts,
    LockResult,
    PromotionDecision,
    PromotionFacts,
    RollbackDecision,
    RollbackFacts,
    Witness,
    begun,
    decide_approval,
    decide_lock,
    decide_promotion,
    decide_rollback,
    good_versions,
    serves,
)
from mlbot.delivery.messages import given_up, shadow_text
from mlbot.delivery.run_deployment import LONGEST_REASON, EnvironmentLock, Snapshot, has_ended, try_with_lock
from mlbot.delivery.run_shadow import replay_shadow
from mlbot.errors import RefusedError, UsageError
from mlbot.events.github import Id
from mlbot.git.locks import Held
from mlbot.ledger.entries import Action, Actor, ApprovalEntry, DeploymentIntent, Entry, LockEntry
from mlbot.ledger.queries import approvals, deployments, locked, locks, release_of, releases
from mlbot.lib.version import Served, Version, served_of
from mlbot.registry.run_repository import RepositoryContext

Facts = PromotionFacts | RollbackFacts
Announce = Callable[[DeploymentResult], None]
"""Called with the plan before anything is changed; of a repeated try again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromotionRequest:
    """What is asked for. A version is written with or without its `v`; a reason may be left out."""

    model: str
    version: str
    environment: str
    reason: str = ""
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackRequest:
    """What is asked for. `to` is a version with or without its `v`; None: the last good one."""

    model: str
    environment: str
    reason: str
    to: str | None = None
    dry_run: bool = False


def promote(
    context: RepositoryContext, request: PromotionRequest, announce: Announce = lambda _result: None
) -> DeploymentResult:
    """Promote a version.

    Nothing is changed by a refusal.

    Raises:
        UsageError: the version is none, or the config is wrong.
        RefusedError: the token may not write, or another run took the deployment over.
        NotEvaluatedError: something does not answer, or a failed deployment could not be gone back from.
    """
    version = _version(context, request.model, request.version)
    return try_with_lock(
        context,
        request.model,
        request.environment,
        lambda lock: _Promotion(lock=lock, request=request, version=version, announce=announce).run(),
    )


def rollback(
    context: RepositoryContext, request: RollbackRequest, announce: Announce = lambda _result: None
) -> DeploymentResult:
    """Go back to a version that was live. No gate, order, approval or lock stops it; changed bytes do.

    A deployment that has not ended is given up: its lock is taken over, and the ledger says that it failed. Errors: as
    `promote`.
    """
    version = _version(context, request.model, request.to) if request.to is not None else None
    return try_with_lock(
        context,
        request.model,
        request.environment,
        lambda lock: _Rollback(lock=lock, request=request, version=version, announce=announce).run(),
    )


def _version(context: RepositoryContext, model: str, text: str) -> str:
    """A version as the ledger has it.

    Raises:
        UsageError: it is none; the hint is the model or the version that was probably meant.
    """
    try:
        return Version.parse(text).text
    except UsageError as error:
        versions, models = releases(context.of_model(model), model), _models(context)
        if model not in models and not versions:
            near = nearest(model, models)
            hint = f"Did you mean {near}?" if near else f"The models are: {', '.join(models)}."
            raise UsageError(f"mlbot.yaml has no model {model!r}", hint=hint) from error
        there = [f"v{each.version}" for each in reversed(versions)]
        starts = tuple(f"v{text.removeprefix('v')}{end}" for end in ".-")
        near = next((each for each in there if each.startswith(starts)), nearest(text, there))
        if near is None:
            raise
        raise UsageError(error.what, hint=f"Did you mean {near}?") from error


def _models(context: RepositoryContext) -> tuple[str, ...]:
    return tuple(each.name for each in context.config.models)


def _witness(context: RepositoryContext, model: str, version: str) -> Witness | None:
    """The tag of a version that the ledger has no release of; None where there is none either."""
    with context.tags() as tags:
        found = tags.registry().of_model(model).find(Version.parse(version))
    return Witness(tag=found.tag, by_mlbot=found.note is not None) if found else None


def _live_witness(context: RepositoryContext, model: str, environment: str) -> Witness | None:
    """The tag of mlbot's that says a version is in an environment."""
    with context.tags() as tags:
        found = tags.registry().of_model(model).current(environment)
    return Witness(tag=found.tag, by_mlbot=True) if found and found.note else None


@dataclass(frozen=True, kw_only=True)
class _Attempt(ABC):
    """One try to let an environment serve a version. What it is decided from is of its kind."""

    action: ClassVar[Action]
    lock: EnvironmentLock
    request: PromotionRequest | RollbackRequest
    version: str | None
    announce: Announce = field(repr=False)

    @abstractmethod
    def facts(self, entries: tuple[Entry, ...], held: DeploymentIntent | None) -> PromotionFacts | RollbackFacts:
        """All that is decided from. `held` is the deployment that holds the lock."""

    def examined(self, facts: Facts, goal: Served, entries: tuple[Entry, ...]) -> Facts:
        """The facts with what the verified bytes show, where they are looked at."""
        del goal, entries
        return facts

    def run(self) -> DeploymentResult | None:
        """Decide, and deploy; None where somebody else took the lock in between."""
        seen = self.lock.look()
        facts = self.facts(seen.entries, seen.intent)
        decision, goal = _decide(facts), facts.goal
        if decision.go and goal:
            facts = facts.model_copy(update={"stored": self.lock.fetch(goal)})
            decision = _decide(facts)
        if decision.go and goal:
            facts = self.examined(facts, goal, seen.entries)
            decision = _decide(facts)
        result = DeploymentResult(facts=facts, decision=decision, goal=goal, dry_run=self.request.dry_run)
        self.announce(result)
        if self.request.dry_run:
            return result
        if decision.go and goal:
            return self._deploy(result, goal, seen)
        if not decision.refused:
            return result.model_copy(update={"untagged": self.lock.finish_interrupted(seen)})
        return result

    def _deploy(self, result: DeploymentResult, goal: Served, seen: Snapshot) -> DeploymentResult | None:
        """Take the lock: of a promotion only if it is free or its own, of a rollback whoever holds it."""
        if seen.foreign and self.action == "promotion":
            raise RefusedError(
                f"{self.lock.ref} says nothing that mlbot wrote, so nobody can tell whose lock it is",
                hint=f"If it is nobody's, delete it: git push origin :{self.lock.ref}",
            )
        intent = self._intent(seen, goal)
        held = self.lock.take(intent, seen)
        if held is None:
            return None
        try:
            done = self._locked(result, goal, intent, held, seen)
        except Exception:
            self.lock.unlock_unstarted(intent, held)
            raise
        if done is None:
            self.lock.unlock(held)
        return done

    def _locked(
        self, result: DeploymentResult, goal: Served, intent: DeploymentIntent, held: Held, seen: Snapshot
    ) -> DeploymentResult | None:
        """Look again, for what was read before may be of yesterday; None where it is to be decided anew."""
        entries = self.lock.entries()
        before = seen.intent if self.action == "rollback" and seen.intent else None
        before = before if before and not has_ended(before, entries) else None
        now = self.facts(entries, before).model_copy(update=_examined(result.facts))
        same = now.goal == goal and self._intent(Snapshot(entries=entries), goal).id == intent.id
        if not same or not _decide(now).go:
            return None
        deployment = self.lock.deployment(intent, held, entries, shown=shadow_text(result.facts))
        if self.action == "rollback":
            self._give_up(intent, entries)
        ended, untagged = deployment.run()
        return result.model_copy(update={"deployment": ended, "untagged": untagged})

    def _intent(self, seen: Snapshot, goal: Served) -> DeploymentIntent:
        return self.lock.intent(seen, goal, self.action, self.request.reason)

    def _give_up(self, intent: DeploymentIntent, entries: tuple[Entry, ...]) -> None:
        """Let the ledger say that deployments which had not ended never will."""
        open_ = (
            each
            for each in deployments(entries, self.request.model, self.request.environment)
            if each.state == "started" and each.id != intent.id
        )
        update = {"state": "failed", "detail": given_up(intent), "time": self.lock.context.time}
        ended = [each.model_copy(update=update) for each in open_]
        if ended:
            self.lock.context.record(*ended)


def _examined(facts: Facts) -> dict[str, object]:
    """What was found of the bytes, which is not looked for again."""
    found: dict[str, object] = {"stored": facts.stored}
    return found | ({"shadow": facts.shadow} if isinstance(facts, PromotionFacts) else {})


def _decide(facts: PromotionFacts | RollbackFacts) -> PromotionDecision | RollbackDecision:
    return decide_promotion(facts) if isinstance(facts, PromotionFacts) else decide_rollback(facts)


class _Promotion(_Attempt):
    """A promotion."""

    action: ClassVar[Action] = "promotion"

    def facts(self, entries: tuple[Entry, ...], held: DeploymentIntent | None) -> PromotionFacts:
        """All that a promotion is decided from."""
        context, model, name = self.lock.context, self.request.model, self.request.environment
        version, environment = self.version or "", context.environment(name)
        released, live = release_of(entries, model, version), serves(entries, name, model)
        under_way = held or begun(entries, name, model)
        resumed = under_way is not None and under_way.is_of(model, version, name, "promotion")
        return PromotionFacts(
            model=model,
            version=version,
            environment=name,
            requester=under_way.actor if under_way and resumed else context.actor,
            models=_models(context),
            witness=None if released else _witness(context, model, version),
            environments=tuple(each.name for each in context.config.environments),
            released=released.digest if released else None,
            versions=tuple(each.version for each in releases(entries, model)),
            deprecated=released is not None and context.is_deprecated(model, version),
            after=EnvironmentState.of(entries, environment.after, model) if environment and environment.after else None,
            live=live,
            drifted=live is not None and live.version == version and self.lock.has_drifted(entries),
            needed=environment.approvals if environment else 0,
            approvers=approvers(entries, model, version, name),
            lock=locked(entries, name),
            under_way=under_way,
        )

    def examined(self, facts: Facts, goal: Served, entries: tuple[Entry, ...]) -> Facts:
        """With what recorded requests show. A promotion that was begun has passed them.

        That it was begun is the ledger's word: a lock alone may be anybody's who can push a ref.
        """
        model, name = self.request.model, self.request.environment
        environment, started = self.lock.context.environment(name), begun(entries, name, model)
        wanted = environment.shadow if environment else None
        if wanted is None or (started and started.is_of(model, goal.version, name, self.action)):
            return facts
        return facts.model_copy(update={"shadow": replay_shadow(self.lock, wanted, facts.live, goal, entries)})


class _Rollback(_Attempt):
    """A rollback."""

    action: ClassVar[Action] = "rollback"

    def facts(self, entries: tuple[Entry, ...], held: DeploymentIntent | None) -> RollbackFacts:
        """All that a rollback is decided from."""
        context, model, name = self.lock.context, self.request.model, self.request.environment
        succeeded = [each for each in deployments(entries, model, name) if each.state == "succeeded"]
        mine, good = held if held and held.model == model else None, good_versions(entries, name, model)
        return RollbackFacts(
            model=model,
            environment=name,
            requester=context.actor,
            why=self.request.reason,
            models=_models(context),
            witness=None if succeeded else _live_witness(context, model, name),
            to=self.version,
            environments=tuple(each.name for each in context.config.environments),
            once_live=tuple(map(served_of, succeeded)),
            good=good,
            drifted=bool(good) and good[-1].version == self.version and self.lock.has_drifted(entries),
            under_way=mine or begun(entries, name, model),
        )


def approvers(entries: tuple[Entry, ...], model: str, version: str, environment: str) -> tuple[Actor, ...]:
    """Who approved the very bytes of a version for an environment."""
    released = release_of(entries, model, version)
    given = approvals(entries, model, version, environment)
    return tuple(each.actor for each in given if released and each.digest == released.digest)


def approve(
    context: RepositoryContext, model: str, version: str, environment: str, comment: Id | None = None
) -> ApprovalResult:
    """Approve a version for an environment; the same person's second approval adds nothing.

    Who approves a request of their own is recorded too, and does not count: who requests is known only then.

    Raises:
        UsageError: the version is none, or the config is wrong.
        RefusedError: the token may not write.
        NotEvaluatedError: the remote does not answer.
    """
    text = _version(context, model, version)
    entries = context.of_model(model)
    released, settings = release_of(entries, model, text), context.environment(environment)
    facts = ApprovalFacts(
        model=model,
        version=text,
        environment=environment,
        actor=context.actor,
        models=_models(context),
        witness=None if released else _witness(context, model, text),
        environments=tuple(each.name for each in context.config.environments),
        released=released.digest if released else None,
        versions=tuple(each.version for each in releases(entries, model)),
        needed=settings.approvals if settings else 0,
        approvers=approvers(entries, model, text, environment),
    )
    decision = decide_approval(facts)
    if not decision.go or released is None:
        return ApprovalResult(facts=facts, decision=decision)
    entry = ApprovalEntry(
        model=model,
        version=text,
        digest=released.digest,
        environment=environment,
        actor=context.actor,
        comment=comment,
        run=context.run,
        time=context.time,
    )
    context.record(entry)
    return ApprovalResult(facts=facts, decision=decision, entry=entry)


def set_lock(context: RepositoryContext, environment: str, *, close: bool, reason: str = "") -> LockResult:
    """Close an environment, or open it; what is so already stays so.

    Raises:
        UsageError: there is no such environment, or the config is wrong.
        RefusedError: the token may not write.
        NotEvaluatedError: the remote does not answer.
    """
    if context.environment(environment) is None:
        known = [each.name for each in context.config.environments]
        near = nearest(environment, known)
        hint = f"Did you mean {near}?" if near else f"The environments are: {', '.join(known) or 'none'}."
        raise UsageError(f"mlbot.yaml has no environment {environment!r}", hint=hint)
    entries = context.entries("lock", environment)
    facts = LockFacts(environment=environment, close=close, why=reason, lock=locked(entries, environment))
    decision = decide_lock(facts)
    if not decision.go:
        return LockResult(facts=facts, decision=decision)
    entry = LockEntry(
        environment=environment,
        locked=close,
        sequence=max((each.sequence for each in locks(entries, environment)), default=0) + 1,
        actor=context.actor,
        reason=reason[:LONGEST_REASON],
        run=context.run,
        time=context.time,
    )
    context.record(entry)
    return LockResult(facts=facts, decision=decision, entry=entry)
