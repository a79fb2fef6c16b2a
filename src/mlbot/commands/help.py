"""The answer to `/mlbot help` as GitHub Markdown."""

from collections.abc import Sequence

from mlbot.commands.table import COMMANDS, CommandSpec, Where
from mlbot.commands.trial_params import allowed
from mlbot.config.schema import Config, EnvironmentConfig, Model
from mlbot.lib.record import Count, Name, Record, Sha
from mlbot.lib.templates import fill

# What `/mlbot help` says in one repository: the commands that can be said there, with the names it has.

_MOST_MODELS = 20

_MOST_PARAMETERS = 40
"""Of all models together; with the lengths below the help stays far under a comment's limit."""

_MOST_ENVIRONMENTS = 20

_LONGEST = 80
"""Characters of a parameter's values in words."""


class HelpRow(Record):
    """A command as the help lists it."""

    usage: str
    who: str
    """Who may, in words; empty for anyone. The logins of a config are in it."""
    summary: str
    """In Markdown, from the table."""


class HelpModel(Record):
    """A model, and what a trial of it may change."""

    name: Name
    tunable: tuple[tuple[str, str], ...] = ()
    """Name of the parameter, and the values that it takes, in words."""
    more: Count = 0
    """Parameters that are not listed."""


class HelpEnvironment(Record):
    """An environment, and what it asks for."""

    name: Name
    after: Name | None = None
    approvals: Count = 0


class CommandHelp(Record):
    """All that the help of one repository says."""

    rows: tuple[HelpRow, ...]
    models: tuple[HelpModel, ...] = ()
    more_models: Count = 0
    environments: tuple[HelpEnvironment, ...] = ()
    more_environments: Count = 0
    sha: Sha | None = None
    """The head of a fork's pull request, which has to be named there."""


def help_for(config: Config | None, where: Where, *, fork_head: Sha | None = None) -> CommandHelp:
    """What can be said in a thread.

    Args:
        config: The guarded branch's; None when it has none or it cannot be read, and then no names are listed.
        where: What thread it is.
        fork_head: The head, where the thread is a fork's pull request.
    """
    environments = config.environments if config else ()
    models = config.models if config else ()
    return CommandHelp(
        rows=tuple(_row(spec, config) for spec in COMMANDS if where in spec.where and _of_use(spec, environments)),
        models=_models(models[:_MOST_MODELS]),
        more_models=max(0, len(models) - _MOST_MODELS),
        environments=tuple(_environment(each) for each in environments[:_MOST_ENVIRONMENTS]),
        more_environments=max(0, len(environments) - _MOST_ENVIRONMENTS),
        sha=fork_head,
    )


def _of_use(spec: CommandSpec, environments: tuple[EnvironmentConfig, ...]) -> bool:
    return bool(environments) or not spec.releases


def _row(spec: CommandSpec, config: Config | None) -> HelpRow:
    others = config.waivers.by if config and spec.kind == "waive" else ()
    who = "" if spec.who == "none" else ", ".join((spec.who, *others))
    return HelpRow(usage=spec.usage, who=who, summary=spec.summary)


def _models(models: Sequence[Model]) -> tuple[HelpModel, ...]:
    left = _MOST_PARAMETERS
    made: list[HelpModel] = []
    for model in models:
        listed = tuple((each.name, _short(allowed(each))) for each in model.train.tunable[:left])
        left -= len(listed)
        made.append(HelpModel(name=model.name, tunable=listed, more=len(model.train.tunable) - len(listed)))
    return tuple(made)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _environment(environment: EnvironmentConfig) -> HelpEnvironment:
    return HelpEnvironment(name=environment.name, after=environment.after, approvals=environment.approvals)


def help_text(found: CommandHelp) -> str:
    """The list of commands with the repository's names; well below a comment's limit."""
    return fill("command/help.md.j2", help=found).strip("\n")
