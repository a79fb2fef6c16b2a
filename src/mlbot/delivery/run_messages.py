"""What releases and deployments say in the terminal: the plan before, the result after, a refusal with its fix."""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from mlbot.console import Console
from mlbot.delivery.approval import ApprovalDecision
from mlbot.delivery.promotion import PromotionDecision, PromotionFacts
from mlbot.delivery.release import ReleaseDecision
from mlbot.delivery.rollback import RollbackDecision, RollbackFacts
from mlbot.errors import Exit
from mlbot.ledger.entries import DeploymentEntry, ReleaseEntry
from mlbot.registry.tag import name_of, shorten

Decision = ReleaseDecision | PromotionDecision | RollbackDecision | ApprovalDecision

Rows = Sequence[tuple[str, str]]


def promotion_plan(facts: PromotionFacts) -> str:
    """What a promotion is about to do, and what it stands on."""
    rows = [("bytes", shorten(facts.released)), ("live now", f"v{facts.live.version}" if facts.live else "nothing")]
    if facts.after:
        serves = f"v{facts.after.live.version}" if facts.after.live else "nothing"
        rows.append(("comes after", f"{facts.after.environment}, which serves {serves}"))
    if facts.needed:
        by = f" ({', '.join(facts.counted)})" if facts.counted else ""
        rows.append(("approvals", f"{len(facts.counted)} of {facts.needed}{by}"))
    return _table(f"{name_of(facts.model, facts.version)} → {facts.environment}", rows)


def rollback_plan(facts: RollbackFacts) -> str:
    """What a rollback is about to do, and why."""
    rows = [("live now", f"v{facts.live.version}" if facts.live else "nothing"), ("reason", facts.why or "none")]
    if facts.under_way:
        rows.append(("gives up", facts.under_way.said))
    goal = facts.goal
    if goal:
        rows.insert(0, ("bytes", shorten(goal.digest)))
    return _table(f"{facts.environment} ← {name_of(facts.model, goal.version) if goal else facts.model}", rows)


def released(entry: ReleaseEntry) -> str:
    """A release that was made."""
    seed = f"seed {entry.seed}"
    rows = [
        ("bytes", entry.digest),
        ("commit", entry.commit),
        ("training", f"{seed}, attempt {entry.attempt}, judged by {entry.judge}"),
        *(("data", f"{path}  {shorten(digest)}") for path, digest in entry.data.items()),
    ]
    return _table(f"Released {name_of(entry.model, entry.version)}", rows)


def deployed(entry: DeploymentEntry) -> str:
    """How a deployment ended."""
    name = name_of(entry.model, entry.version)
    if entry.state == "succeeded":
        before = f", instead of v{entry.previous}" if entry.previous and entry.previous != entry.version else ""
        return f"{name} is live in {entry.environment}{before}.\n  {entry.detail}"
    if entry.state == "rolled-back":
        return f"{name} failed in {entry.environment}, and v{entry.previous} is back.\n  {entry.detail}"
    return f"{name} failed in {entry.environment}.\n  {entry.detail}"


def tell(
    console: Console,
    decision: Decision,
    said: str,
    whole: BaseModel,
    entry: DeploymentEntry | None = None,
    *,
    as_json: bool,
) -> Exit:
    """Print the result, and on stderr what was refused or went wrong.

    Args:
        console: where to.
        decision: what was decided.
        said: the result for people; empty: the decision's sentence.
        whole: the result for programs.
        entry: how a deployment ended.
        as_json: which of both is wanted.

    Returns:
        OK when it was done or there was nothing to do, REFUSED, or NOT_EVALUATED for a deployment that failed.
    """
    if as_json:
        console.result(whole.model_dump_json(indent=2))
    if decision.refused:
        hint = f"\n  {decision.hint}" if decision.hint else ""
        console.error(f"mlbot: refused ({decision.reason}): {decision.sentence}{hint}")
        return Exit.REFUSED
    if entry is not None and entry.state != "succeeded":
        console.error(f"mlbot: {deployed(entry)}")
        return Exit.NOT_EVALUATED
    if not as_json:
        console.result(said or decision.sentence)
    return Exit.OK


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    known = list(rows)
    width = max(len(name) for name, _ in known)
    return "\n".join([title, *(f"  {name.ljust(width)}  {value}" for name, value in known)])
