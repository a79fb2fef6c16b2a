"""Which of a repository's mlbot.yaml files a command is about, where there are several: each answers for its own.

Model names are unique in a repository. So whoever has the model answers; what names none and is about runs is answered
for each folder's own; and what nobody else answers is the first one's.
"""

from collections.abc import Callable, Sequence

from mlbot.commands.command import Command
from mlbot.commands.forward import Lock, Unlock
from mlbot.commands.parser import CommandLine
from mlbot.commands.retrain import Cancel, JudgeAgain, Retrain
from mlbot.commands.status import Status
from mlbot.config.schema import Config
from mlbot.lib.record import Name, Record

_OWN = (Retrain, JudgeAgain, Cancel, Status)  # about a folder's own runs, where no model is named


class Neighbours(Record):
    """What the configs of the other folders name that have workflows of their own, in the order of these files."""

    before: tuple[frozenset[Name], ...] = ()
    after: tuple[frozenset[Name], ...] = ()

    @property
    def first(self) -> bool:
        """Whether this folder answers what nobody's config decides."""
        return not self.before

    @property
    def names(self) -> frozenset[Name]:
        """All that they name."""
        return frozenset[Name]().union(*self.before, *self.after)


def names_of(config: Config | None) -> frozenset[Name]:
    """What a command may name of a config."""
    if config is None:
        return frozenset()
    return frozenset((*(each.name for each in config.models), *(each.name for each in config.environments)))


def own_lines(
    lines: Sequence[CommandLine], mine: Callable[[], frozenset[Name]], others: Callable[[], Neighbours]
) -> tuple[CommandLine, ...]:
    """The lines that this folder answers; a list of models is cut down to its own.

    `mine` and `others` are asked for only where a line depends on them.
    """
    found = (_own(line, mine, others) for line in lines)
    return tuple(line for line in found if line is not None)


def _own(
    line: CommandLine, mine: Callable[[], frozenset[Name]], others: Callable[[], Neighbours]
) -> CommandLine | None:
    command = line.command
    named = named_by(command)
    if not named:
        return line if isinstance(command, _OWN) or others().first else None
    known = mine()
    if not known.intersection(named):
        return line if others().first and not others().names.intersection(named) else None
    if isinstance(command, Lock | Unlock):  # environments of one name share a lock
        return None if any(command.environment in names for names in others().before) else line
    if isinstance(command, Retrain) and not known.issuperset(named):
        own = tuple(name for name in named if name in known or name not in others().names)
        return line.model_copy(update={"command": command.model_copy(update={"models": own})})
    return line


def named_by(command: object) -> tuple[Name, ...]:
    """The models that a command names, or the environment where it names no model."""
    if not isinstance(command, Command):
        return ()
    if isinstance(command, Retrain):
        return command.models
    named = getattr(command, "model", None) or getattr(command, "environment", None)
    return (named,) if named else ()
