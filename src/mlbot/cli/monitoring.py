"""The verbs of production: `monitor`."""

from pathlib import Path
from typing import Any

import click

from mlbot.cli.options import common, example, json_option, option
from mlbot.console import Console
from mlbot.errors import Exit


@click.command(
    epilog=example(
        "mlbot monitor",
        "mlbot monitor churn --record",
        "mlbot monitor churn --dry-run",
        "mlbot monitor churn --date 2026-11-20 --json | jq '.models[].findings'",
    )
)
@click.argument("model", required=False)
@option("--date", metavar="DATE", help="The day to say it of (UTC).", show_default="yesterday")
@option("--since", metavar="DATE", help="Look at days from this one on.", show_default="the last 30 days")
@option("--record", is_flag=True, help="Write what the days show to the ledger, so that they are never read again.")
@option("--dry-run", is_flag=True, help="Print the issues and pull requests that the workflow would write; write none.")
@json_option
@common
def monitor(directory: Path, *, quiet: bool, as_json: bool, dry_run: bool, **asked: Any) -> Exit:
    """Say how models do in production: what changed in requests, answers, labels, volume, errors and live metrics.

    The logs that `monitor:` in mlbot.yaml names are read for each day that is over and was not looked at yet, and
    compared with the days before and with what the version was released on. The exit code is 0 for well, 1 for an
    alarm, 3 for not enough to tell, and 4 where it could not be looked at.
    """
    from mlbot.config.monitor import is_date
    from mlbot.monitoring.run_monitor import MonitorOptions
    from mlbot.monitoring.run_monitor import monitor as look

    for name in ("date", "since"):
        if asked[name] and not is_date(asked[name]):
            raise click.BadParameter(f"--{name} is a day such as 2026-11-20")
    options, console = MonitorOptions(**asked), Console.of_process(quiet=quiet)
    if dry_run:
        from mlbot.monitoring.run_alarms import rehearse

        return rehearse(directory, options, console, as_json=as_json)
    return look(directory, options, console, as_json=as_json)


VERBS = (monitor,)
