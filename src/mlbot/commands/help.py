"""`/mlbot help`: the commands that can be given in one repository, with the names it has."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from mlbot.commands.command import Command
from mlbot.commands.facts import Decision, Facts, Reason
from mlbot.config.schema import EnvironmentConfig, Model
from mlbot.config.train import Tunable
from mlbot.events.github import Role
from mlbot.lib.record import Count, Name, Record, Sha

_MOST_MODELS = 20
_MOST_PARAMETERS = 40  # of all models together; the help stays far under a comment's limit
_MOST_ENVIRONMENTS = 20


class Help(Command):
    """List the commands."""

    kind: Literal["help"] = "help"
    name: ClassVar = "mlbot help"
    template: ClassVar = "commands/help.md.j2"
    aliases: ClassVar = ("help",)
    role: ClassVar[Role] = "none"
    in_issues: ClassVar = True
    example: ClassVar = "/mlbot help"

    def decide(self, facts: Facts) -> Decision:
        """The list."""
        from mlbot.commands.parser import COMMANDS

        return Decision(reason=Reason.DONE, values={"help": CommandHelp.of(facts, COMMANDS)})


class HelpRow(Record):
    """A command as the help lists it."""

    usage: str
    who: tuple[str, ...]  # the least role that may, and the logins of a config; empty for anyone
    template: str  # with its words


class HelpModel(Record):
    """A model, and what a trial of it may change."""

    name: Name
    tunable: tuple[Tunable, ...] = ()
    more: Count = 0  # parameters that are not listed


class CommandHelp(Record):
    """All that the help of one repository says."""

    rows: tuple[HelpRow, ...]
    models: tuple[HelpModel, ...] = ()
    more_models: Count = 0
    environments: tuple[EnvironmentConfig, ...] = ()
    more_environments: Count = 0
    sha: Sha | None = None  # the head of a fork's pull request, which has to be named there

    @classmethod
    def of(cls, facts: Facts, commands: Sequence[type[Command]]) -> "CommandHelp":
        """What can be asked for in a thread; without a config that can be read no names are listed."""
        config, pull = facts.config, facts.pull
        environments = config.environments if config else ()
        models = config.models if config else ()
        return cls(
            rows=tuple(
                HelpRow(usage=each.usage(), who=each.who(config), template=each.template)
                for each in commands
                if (pull or each.in_issues) and (environments or not each.delivers)
            ),
            models=_models(models[:_MOST_MODELS]),
            more_models=max(0, len(models) - _MOST_MODELS),
            environments=environments[:_MOST_ENVIRONMENTS],
            more_environments=max(0, len(environments) - _MOST_ENVIRONMENTS),
            sha=pull.head_sha if pull and pull.fork else None,
        )


def _models(models: Sequence[Model]) -> tuple[HelpModel, ...]:
    left, made = _MOST_PARAMETERS, []
    for model in models:
        listed = model.train.tunable[:left]
        left -= len(listed)
        made.append(HelpModel(name=model.name, tunable=listed, more=len(model.train.tunable) - len(listed)))
    return tuple(made)
