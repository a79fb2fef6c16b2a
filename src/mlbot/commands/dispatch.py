"""From the commands of a comment to what is done about them, and the answer's words. Nothing is done here."""

from collections.abc import Sequence

from mlbot.commands.command import Command
from mlbot.commands.facts import Decision, Facts, Reason
from mlbot.commands.parser import CommandLine, Fault, ParseError
from mlbot.events.event import CommentEvent
from mlbot.events.github import Edits, Role, is_enough
from mlbot.lib.record import Record
from mlbot.lib.templates import fill
from mlbot.protocol.operations import CancelRun, Rerun

LIMIT = 10  # so many commands of one person in one thread are answered in a minute


class Reply(Record):
    """The answer to one line of a comment."""

    text: str  # the line
    template: str  # with the words of its command; those of `commands/shared.md.j2` go with any
    decision: Decision


def refusals(lines: Sequence[CommandLine], event: CommentEvent, role: Role, *, earlier: int) -> list[Decision | None]:
    """Why each line is refused, as far as that is known before anything is read of the repository.

    Args:
        lines: what the comment says.
        event: the comment as it was written.
        role: its author's, by the API.
        earlier: how many commands the author wrote here in the minute before.

    Returns:
        One for each line; fewer where the author knows already that there were too many.
    """
    found: list[Decision | None] = []
    for place, line in enumerate(lines[: max(0, LIMIT + 1 - earlier)], earlier):
        command, refusal = line.command, None
        over = isinstance(command, ParseError) and command.fault is Fault.TOO_MANY  # which says the same
        if place >= LIMIT and not over:
            refusal = Decision(reason=Reason.TOO_OFTEN, values={"most": LIMIT})
        elif isinstance(command, ParseError):
            refusal = Decision(reason=Reason.MISUNDERSTOOD, values={"error": command})
        elif not (is_enough(role, command.role) or (command.others and role != "none")):
            reason = Reason.NO_COLLABORATOR if role == "none" else Reason.NOT_PERMITTED
            values = {"name": command.name, "needed": command.role, "actor": event.author, "role": role}
            refusal = Decision(reason=reason, values=values)
        elif not (event.is_pull_request or command.in_issues):
            refusal = Decision(reason=Reason.NO_PULL_REQUEST, values={"name": command.name})
        found.append(refusal)
    return found


def refused_for_edits(refused: Sequence[Decision | None], edits: Edits) -> list[Decision | None]:
    """The refusals, with one for each line that has none yet, where the comment may not be as it was written.

    Nobody could see which of its words were followed, and who may write to the repository may edit anybody's.
    """
    match edits:
        case Edits.NONE:
            return list(refused)
        case Edits.SOME:
            return [each or Decision(reason=Reason.EDITED) for each in refused]
        case Edits.UNKNOWN:
            return [each or Decision(reason=Reason.EDITS_UNKNOWN) for each in refused]


def replies(lines: Sequence[CommandLine], refused: Sequence[Decision | None], facts: Facts | None) -> tuple[Reply, ...]:
    """The answer to each line of a comment, in order.

    Args:
        lines: what the comment says.
        refused: by `refusals`.
        facts: about the repository; None where every line is refused.
    """
    made: list[Reply] = []
    moved = False
    for line, refusal in zip(lines, refused, strict=False):
        decision, command = refusal, line.command
        if decision is None and facts is not None and isinstance(command, Command):
            again = moved and command.alone
            decision = Decision(reason=Reason.ONE_AT_A_TIME) if again else command.decide(facts)
        if decision is None:
            raise ValueError("a line that is not refused is decided from facts")
        # Then the facts about runs are no longer true.
        moved = moved or any(isinstance(effect, Rerun | CancelRun) for effect in decision.effects)
        made.append(Reply(text=line.text, template=command.template, decision=decision))
    return tuple(made)


def answer(found: Sequence[Reply], *, marker: str, run_url: str, working: bool = False) -> str:
    """The comment that answers.

    Args:
        found: one for each command.
        marker: the last line, with the records.
        run_url: the job that answers.
        working: whether the effects are still to come.
    """
    return fill("commands/answer.md.j2", replies=found, marker=marker, run_url=run_url, working=working)
