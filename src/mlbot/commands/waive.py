"""`/waive`: who may let which gate pass. What it comes to is the judge's to say, by the content it judges."""

from enum import StrEnum
from typing import ClassVar, Literal

from mlbot.commands.command import GATE, REASON, Command, GateName, ReasonText
from mlbot.commands.facts import Decision, Facts, Reason, head_moved, judged_attempt, not_judged, unknown_model
from mlbot.config.errors import nearest
from mlbot.config.schema import Config
from mlbot.events.github import Role
from mlbot.lib.record import Name
from mlbot.protocol.answer import WaiverRequest
from mlbot.verdict.decide import DELETED, may_waive, named


class Refusal(StrEnum):
    """Why nothing is waived. A closed list."""

    OWN_PULL_REQUEST = "own_pull_request"
    UNKNOWN_GATE = "unknown_gate"


class Waive(Command):
    """Let one gate pass."""

    kind: Literal["waive"] = "waive"
    name: ClassVar = "waive"
    template: ClassVar = "commands/waive.md.j2"
    arguments: ClassVar = (GATE, REASON)
    role: ClassVar[Role] = "maintain"
    others: ClassVar = True
    example: ClassVar = (
        '/waive adult-income:recall@women reason="The slice was relabelled; agreed with the data owners."'
    )

    model: Name
    gate: GateName
    reason: ReasonText

    @classmethod
    def who(cls, config: Config | None) -> tuple[str, ...]:
        """The least role, and who else may by the config."""
        return (cls.role, *(config.waivers.by if config else ()))

    def decide(self, facts: Facts) -> Decision:
        """Record a waiver, and have the judge look again."""
        refused = (
            not_judged(facts)
            or facts.config_refusal
            or self._not_permitted(facts)
            or head_moved(facts)
            or self._unknown(facts)
        )
        found = refused or judged_attempt(facts)
        if isinstance(found, Decision):
            return found
        run, attempt, over = found
        request = WaiverRequest(
            comment=facts.event.comment,
            actor=facts.event.author,
            number=facts.event.number,
            sha=facts.pull_request.head_sha,
            model=self.model,
            gate=self.gate,
            reason=self.reason,
        )
        return Decision(
            reason=Reason.DONE,
            values={"request": request, "deleted": self.gate == DELETED, "over": over, "run": run.url},
            records=(request,),
            effects=(facts.judge(attempt),) if over else (),
        )

    def _not_permitted(self, facts: Facts) -> Decision | None:
        config, actor, author = facts.config, facts.event.author, facts.pull_request.author
        if config is None or may_waive(config.waivers, actor, facts.role, author):
            return None
        anybody = config.waivers.model_copy(update={"author": True})
        if may_waive(anybody, actor, facts.role, author):
            return Decision(reason=Refusal.OWN_PULL_REQUEST)
        return Decision(reason=Reason.NOT_PERMITTED, values={"actor": actor, "role": facts.role})

    def _unknown(self, facts: Facts) -> Decision | None:
        """Whether there is no such gate."""
        if self.model not in facts.gates:
            return unknown_model(facts, self.model)
        gates = facts.gates[self.model]
        if self.gate == DELETED or named(gates, self.gate):
            return None
        near = nearest(self.gate, sorted({gate.name for gate in gates} | {gate.subject for gate in gates}))
        values = {"gate": self.gate, "model": self.model, "near": near, "gates": tuple(gate.name for gate in gates)}
        return Decision(reason=Refusal.UNKNOWN_GATE, values=values)
