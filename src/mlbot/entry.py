"""A process of mlbot: a command line in, an exit code out, and every error as a sentence."""

import os
import sys

if sys.platform == "win32":  # before anything is imported that Windows does not have
    sys.stderr.write("mlbot: mlbot runs on Linux and macOS; on Windows use WSL.\n")
    sys.exit(2)

from collections.abc import MutableMapping, Sequence
from pathlib import Path
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


_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")
"""Where each client looks for the certificates that it trusts: requests and curl, Python's ssl, botocore, git."""


def share_network(environment: MutableMapping[str, str]) -> None:
    """Let every client honour a private CA that one of their variables names, and the machine's proxies."""
    named = next((value for name in _CA_BUNDLES if (value := environment.get(name))), None)
    if named and Path(named).is_file():
        for name in _CA_BUNDLES:
            environment.setdefault(name, named)
    for protocol in ("HTTP", "HTTPS"):  # fsspec's own client reads no variable for proxies unless it is told to
        environment.setdefault(f"FSSPEC_{protocol}", '{"client_kwargs": {"trust_env": true}}')


def main() -> NoReturn:
    """Run the command line of this process."""
    share_network(os.environ)
    sys.exit(invoke(sys.argv[1:]))
