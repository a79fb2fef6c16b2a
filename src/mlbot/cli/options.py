"""What the verbs' options have in common."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from mlbot.lib.constants import CONFIG_FILE

F = TypeVar("F", bound=Callable[..., Any])


class _Option(click.Option):
    """An option whose variable is named as people write the option, whatever the function's parameter is called."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of MLBOT_<VERB>_<OPTION>, if it is set and not empty."""
        written = max(self.opts, key=len).lstrip("-").replace("-", "_").upper()
        return os.environ.get(f"{ctx.auto_envvar_prefix}_{written}") or None


option = partial(click.option, cls=_Option)


def example(*lines: str) -> str:
    """The end of a verb's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _config_folder(ctx: click.Context, _option: click.Parameter, value: Path | None) -> None:
    """Work in the folder of an mlbot.yaml; paths of other options stay those of the folder that mlbot is started in."""
    if value is None:
        return
    if value.name != CONFIG_FILE and not value.is_dir():
        raise click.BadParameter(f"the file has to be called {CONFIG_FILE}")
    ctx.meta[_CONFIG] = ctx.params["directory"] = value if value.is_dir() else value.parent


_CONFIG = "mlbot.config"


def _directory(ctx: click.Context, _option: click.Parameter, value: Path) -> Path:
    """The folder to work in; click asks for options that are not given last."""
    found: Path = ctx.meta.get(_CONFIG, value)
    return found


def common(function: F) -> F:
    """The options that every verb has."""
    config = option(
        "--config",
        type=click.Path(exists=True, path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_config_folder,
        show_default="the nearest mlbot.yaml, in this folder or above it",
        help="Read this mlbot.yaml; its paths are relative to its folder.",
    )
    quiet = option("-q", "--quiet", is_flag=True, help="Say nothing but the result and errors.")
    directory = option(
        "-C",
        "--directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        show_default="the current folder",
        callback=_directory,
        help="Work as if started in this folder.",
    )
    return quiet(directory(config(function)))


def json_option(function: F) -> F:
    """Whether the result is JSON."""
    return option("--json", "as_json", is_flag=True, help="Print the result as JSON (stable).")(function)


def model_option(function: F) -> F:
    """Which models are meant."""
    return option(
        "-m", "--model", "models", multiple=True, metavar="MODEL", help="Only this model, stale or not; repeatable."
    )(function)


def param_option(function: F) -> F:
    """What is trained with instead of the committed parameters."""
    return option(
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="Train with another value than the committed one, of one --model; repeatable. The file stays as it is.",
    )(function)


def reason_option(function: F, *, needed: bool = True) -> F:
    """Why something is done, as a comment's command takes it too: one line, with nothing invisible in it."""
    text = "Why, for the ledger; needed." if needed else "Why, for the ledger."
    return option("--reason", default="", show_default=False, callback=_reason, help=text)(function)


def answer_option(function: F) -> F:
    """Why a person answers for a release in the place of sealed rows: a reason, which then has to be there."""
    text = "Release it without an answer of sealed rows; who says so, and why, is recorded."
    return option("--waive-sealed", metavar="REASON", callback=_answer, help=text)(function)


def _answer(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    from mlbot.commands.command import WAIVE_SEALED

    line = value if value is None else _reason(context, parameter, value)
    if line is not None and len(line) < WAIVE_SEALED.least:
        raise click.BadParameter(f"it has fewer than {WAIVE_SEALED.least} characters; say why, for the ledger")
    return line


def _reason(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    from mlbot.commands.command import MAX_REASON
    from mlbot.config.errors import INVISIBLE

    line = " ".join(value.split())
    if hidden := INVISIBLE.search(line):
        raise click.BadParameter(f"it has the invisible character U+{ord(hidden[0]):04X}; leave that out")
    if len(line) > MAX_REASON:
        raise click.BadParameter(f"it has {len(line):,} characters; write at most {MAX_REASON}")
    return line


def base_option(function: F) -> F:
    """What a change is compared with."""
    return option(
        "--base", metavar="REV", help="The guarded branch to compare with.", show_default="the default branch"
    )(function)


def asker() -> Callable[[str, str], str] | None:
    """Asks the person at the terminal; None where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda question, default: str(click.prompt(question, default=default, err=True))


def page_options(function: F) -> F:
    """Where a report goes besides the terminal."""
    file = click.Path(dir_okay=False, path_type=Path)
    html = option("--html", type=file, help="Write the report as a web page.")
    markdown = option("--markdown", type=file, help="Write the report as a comment.")
    return html(markdown(function))


def jobs_option(function: F) -> F:
    """How many trainings run at a time."""
    return option("--jobs", type=click.IntRange(1), default=1, help="Trainings at a time.")(function)
