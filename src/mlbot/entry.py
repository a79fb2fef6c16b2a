"""A process of mlbot: a command line in, an exit code out, and every error as a sentence."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from mlbot import __version__
from mlbot.cli.main import cli
from mlbot.errors import Exit, MlbotError

_ISSUES = "https://github.com/mlbot-ci/mlbot/issues/new"
_INTERRUPTED = 130


def invoke(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; every error becomes a sentence on stderr."""
    try:
        result = cli.main(args=list(arguments), prog_name="mlbot", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except click.Abort:
        click.echo("mlbot: interrupted; nothing was left half-done", err=True)
        return _INTERRUPTED
    except MlbotError as error:
        click.echo(f"mlbot: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
    except Exception:  # noqa: BLE001 - the last resort: a bug is reported as one, with the address
        return _bug()
    return int(result) if isinstance(result, int) else Exit.OK


def _bug() -> int:
    import traceback

    click.echo(traceback.format_exc(), err=True)
    click.echo(
        f"mlbot: this is a bug in mlbot {__version__}. Please report it with the text above: {_ISSUES}", err=True
    )
    return Exit.BUG


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(invoke(sys.argv[1:]))
