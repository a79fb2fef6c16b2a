"""`mlbot power`: what can be judged, before anything is trained."""

from pathlib import Path
from typing import Any

import click

from mlbot.cli.options import common, example, json_option, option
from mlbot.console import Console
from mlbot.errors import Exit

_SHARE = click.FloatRange(0, 0.5)


@click.command(epilog=example("mlbot power", "mlbot power --model adult-income --disagreement 0.03"))
@option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only this model; repeatable.")
@option("--disagreement", type=_SHARE, default=0.06, help="The share of rows that two seeds' files decide differently.")
@option("--change", type=_SHARE, default=0.01, help="The share of rows that a change moves besides.")
@json_option
@common
def power(directory: Path, *, quiet: bool, as_json: bool, **asked: Any) -> Exit:
    """Say which margins the holdout, the seeds and the history can judge, before anything is trained.

    For each margin: from where on a true drop of three margins fails 19 times in 20, how often it does and how often a
    change without effect passes, and the rows or seeds that would do. Exits with 3 where a margin that counts cannot be
    judged.
    """
    from mlbot.judging.run_power import PowerOptions, say_power

    return say_power(directory, PowerOptions(**asked), Console.of_process(quiet=quiet), as_json=as_json)


VERBS = (power,)
