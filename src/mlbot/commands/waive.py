"""`/waive`: who may let which gate pass. What it comes to is the judge's to say, by the content it judges."""

from mlbot.commands import checks
from mlbot.commands.command import Waive
from mlbot.commands.facts import Facts
from mlbot.commands.reply import Decision, Reason, refuse
from mlbot.commands.retrain import judge_of, standing
from mlbot.config.reader import nearest
from mlbot.events.github import PullRequest
from mlbot.protocol.answer import WaiverRequest
from mlbot.verdict.waiver import DELETED, may_waive, named


def waive(facts: Facts, command: Waive) -> Decision:
    """Record a waiver, and have the judge look again."""
    pull = facts.pull
    if pull is None:
        raise ValueError("a waiver was said in an issue")
    refused = (
        checks.pull_request(facts, pull)
        or checks.config(facts)
        or _person(facts, pull)
        or checks.moved(facts)
        or _gate(facts, command)
    )
    found = refused or standing(facts)
    if isinstance(found, Decision):
        return found
    run, attempt, over = found
    request = WaiverRequest(
        comment=facts.event.comment,
        actor=facts.event.author,
        number=facts.event.number,
        sha=pull.head_sha,
        model=command.model,
        gate=command.gate,
        reason=command.reason,
    )
    what = (
        f"{command.model} may be deleted" if command.gate == DELETED else f"{command.gate} of {command.model} may fail"
    )
    follows = "The judge looks again." if over else "The verdict that is on its way takes it into account."
    return Decision(
        reason=Reason.WAIVED,
        sentence=f"{what}, by {facts.event.author}'s word, for this content and these rules only. {follows}",
        link=run.url,
        records=(request,),
        effects=(judge_of(facts, attempt),) if over else (),
    )


def _person(facts: Facts, pull: PullRequest) -> Decision | None:
    config, actor = facts.config, facts.event.author
    if config is None or may_waive(config.waivers, actor, facts.role, pull.author):
        return None
    others = config.waivers.model_copy(update={"author": True})
    if may_waive(others, actor, facts.role, pull.author):
        return refuse(
            Reason.OWN_PULL_REQUEST,
            "Nobody waives a gate of their own pull request here.",
            "Ask another maintainer, or allow it in the guarded branch's mlbot.yaml: waivers.author",
        )
    return refuse(
        Reason.NOT_PERMITTED,
        f"/waive needs the role maintain or a place in the config's waivers.by, and {actor} has {facts.role}.",
        "Ask somebody who has it to say it.",
    )


def _gate(facts: Facts, command: Waive) -> Decision | None:
    """Whether there is such a gate."""
    if command.model not in facts.gates:
        return checks.unknown_model(facts, command.model)
    gates = facts.gates[command.model]
    if command.gate == DELETED or named(gates, command.gate):
        return None
    close = nearest(command.gate, sorted({gate.name for gate in gates} | {gate.subject for gate in gates}))
    return refuse(
        Reason.UNKNOWN_GATE,
        f"{command.gate} is no gate of {command.model}.",
        f"Did you mean {close}?" if close else f"Its gates: {', '.join(gate.name for gate in gates)}.",
    )
