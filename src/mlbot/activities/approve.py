"""`mlbot approve`: one person's word that these very bytes may enter an environment."""

from mlbot.activities.home import Home
from mlbot.core.approval import ApprovalDecision, ApprovalFacts, decide_approval
from mlbot.core.forge import Id
from mlbot.core.ledger import ApprovalEntry
from mlbot.core.ledger_state import approvals, release_of, releases
from mlbot.core.record import Record
from mlbot.core.registry import Version


class ApprovalResult(Record):
    """What came of it."""

    facts: ApprovalFacts
    decision: ApprovalDecision
    entry: ApprovalEntry | None = None


def approve(home: Home, model: str, version: str, environment: str, comment: Id | None = None) -> ApprovalResult:
    """Approve a version for an environment; the same person's second word adds nothing.

    Who approves a request of their own is recorded too, and does not count: who requests is known only then.

    Args:
        home: where, and who.
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
    entries = home.of_model(model)
    released, asked = release_of(entries, model, text), home.environment(environment)
    said = approvals(entries, model, text, environment)
    facts = ApprovalFacts(
        model=model,
        version=text,
        environment=environment,
        actor=home.actor,
        environments=tuple(each.name for each in home.config.environments),
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
        actor=home.actor,
        comment=comment,
        run=home.run,
        time=home.time,
    )
    home.record(entry)
    return ApprovalResult(facts=facts, decision=decision, entry=entry)
