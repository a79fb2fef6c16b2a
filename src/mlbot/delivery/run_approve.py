"""`mlbot lock` and `mlbot unlock`: close an environment to promotions, and open it again."""

from mlbot.delivery.approval import ApprovalDecision, ApprovalFacts, decide_approval
from mlbot.delivery.run_environment import LONGEST_REASON
from mlbot.errors import UsageError
from mlbot.events.github import Id
from mlbot.ledger.entries import ApprovalEntry, LockEntry
from mlbot.ledger.queries import approvals, locked, locks, release_of, releases
from mlbot.lib.record import Record
from mlbot.lib.version import Version
from mlbot.registry.run_repository import RepositoryContext
from mlbot.registry.tag import who

# `mlbot approve`: one person's word that these very bytes may enter an environment.


class ApprovalResult(Record):
    """What came of it."""

    facts: ApprovalFacts
    decision: ApprovalDecision
    entry: ApprovalEntry | None = None


def approve(
    context: RepositoryContext, model: str, version: str, environment: str, comment: Id | None = None
) -> ApprovalResult:
    """Approve a version for an environment; the same person's second word adds nothing.

    Who approves a request of their own is recorded too, and does not count: who requests is known only then.

    Args:
        context: where, and who.
        model: its name.
        version: with or without its `v`.
        environment: where to.
        comment: that said so.

    Raises:
        UsageError: the version is none, or the config is wrong.
        RefusedError: the token may not write.
        NotEvaluatedError: the remote does not answer.
    """
    text = Version.parse(version).text
    entries = context.of_model(model)
    released, asked = release_of(entries, model, text), context.environment(environment)
    said = approvals(entries, model, text, environment)
    facts = ApprovalFacts(
        model=model,
        version=text,
        environment=environment,
        actor=context.actor,
        environments=tuple(each.name for each in context.config.environments),
        released=released.digest if released else None,
        versions=tuple(each.version for each in releases(entries, model)),
        needed=asked.approvals if asked else 0,
        approvers=tuple(each.actor for each in said if released and each.digest == released.digest),
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


class LockResult(Record):
    """What came of it."""

    environment: str
    locked: bool
    changed: bool
    sentence: str
    entry: LockEntry | None = None


def set_lock(context: RepositoryContext, environment: str, *, close: bool, reason: str = "") -> LockResult:
    """Close an environment, or open it; what is so already stays so.

    Args:
        context: where, and who.
        environment: which.
        close: whether to close it.
        reason: why.

    Raises:
        UsageError: there is no such environment, or the config is wrong.
        RefusedError: the token may not write.
        NotEvaluatedError: the remote does not answer.
    """
    if context.environment(environment) is None:
        there = ", ".join(each.name for each in context.config.environments) or "none"
        raise UsageError(f"mlbot.yaml has no environment {environment!r}", hint=f"The environments are: {there}.")
    entries = context.entries("lock", environment)
    now = locked(entries, environment)
    if close == (now is not None):
        said = f"locked already, by {who(now.actor)} since {now.time}" if now else "not locked"
        return LockResult(environment=environment, locked=close, changed=False, sentence=f"{environment} is {said}.")
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
    said = "locked: nothing is promoted into it; a rollback still goes through" if close else "open"
    return LockResult(
        environment=environment, locked=close, changed=True, sentence=f"{environment} is {said}.", entry=entry
    )
