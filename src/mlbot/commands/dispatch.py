"""What is done about a comment's commands. Pure: facts and commands in, replies out; nothing is done here."""

from collections.abc import Iterator, Sequence

from mlbot.commands import checks, retrain
from mlbot.commands.command import Cancel, Command, CommandError, Help, JudgeAgain, Retrain, Said, Status, Waive
from mlbot.commands.facts import Facts
from mlbot.commands.parser import Fault
from mlbot.commands.reply import Decision, Reason, Reply, refuse
from mlbot.commands.waive import waive
from mlbot.protocol.operations import Dispatch

_MOVES_RUNS = frozenset({Reason.RETRAINING, Reason.TRIAL, Reason.CANCELLED})
"""After these the facts about runs are no longer true."""


def replies(facts: Facts, said: Sequence[Said]) -> tuple[Reply, ...]:
    """The answer to each line of a comment, in order; no answer for what is over the limit and was told so."""
    return tuple(_replies(facts, said))


def _replies(facts: Facts, said: Sequence[Said]) -> Iterator[Reply]:
    moved = False
    for place, each in enumerate(said, facts.earlier):
        if place > checks.LIMIT:
            return
        too_many = place == checks.LIMIT and not _is_end(each)
        decision = checks.too_often() if too_many else _decide(facts, each.command, moved=moved)
        moved = moved or decision.reason in _MOVES_RUNS
        yield Reply(text=each.text, decision=decision)


def _is_end(said: Said) -> bool:
    """Whether the parser says itself that there were too many."""
    return isinstance(said.command, CommandError) and said.command.fault is Fault.TOO_MANY


def _decide(facts: Facts, command: Command | CommandError, *, moved: bool) -> Decision:
    if facts.edited:
        return checks.edited()
    if isinstance(command, CommandError):
        return refuse(Reason.MISUNDERSTOOD, command.sentence, usage=command.usage)
    if moved and isinstance(command, Retrain | JudgeAgain | Cancel):
        return refuse(
            Reason.ONE_AT_A_TIME,
            "An earlier command of this comment changes what runs.",
            "Say this one in a comment of its own, when that is done.",
        )
    # Who may waive is the config's to say too, so that is asked where the config is known.
    person = None if isinstance(command, Waive) else checks.person(facts, command)
    return person or checks.place(facts, command) or _admitted(facts, command)


def _admitted(facts: Facts, command: Command) -> Decision:
    """What is done for somebody who may say it here."""
    match command:
        case Help() | Status():
            return _shown(command)
        case Retrain():
            return retrain.retrain(facts, command)
        case JudgeAgain():
            return retrain.judge_again(facts, command)
        case Cancel():
            return retrain.cancel(facts)
        case Waive():
            return waive(facts, command)
        case _:
            return _forwarded(facts)


def _shown(command: Help | Status) -> Decision:
    if isinstance(command, Help):
        return Decision(reason=Reason.HELP, sentence="These commands are understood here.")
    return Decision(reason=Reason.STATUS, sentence="This is how it stands.")


def _forwarded(facts: Facts) -> Decision:
    """Handed to the release workflow, which reads the comment again, and asks for the role again."""
    dispatch = Dispatch(
        workflow=facts.release_workflow,
        ref=facts.policy.default_branch,
        inputs={"comment": str(facts.event.comment)},
    )
    return Decision(
        reason=Reason.FORWARDED,
        sentence="Handed to the release workflow, which answers by itself.",
        effects=(dispatch,),
    )
