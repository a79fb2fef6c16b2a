"""`mlbot registry`: the verbs that read what was released and what is where."""

from pathlib import Path

import click

from mlbot.cli.options import common, example, json_option, option
from mlbot.console import Console
from mlbot.errors import Exit


@click.group(
    epilog=example(
        "mlbot registry list",
        "mlbot registry show adult-income",
        "mlbot registry history --on 2026-11-20",
        "mlbot registry lineage adult-income@v1.0.0",
    )
)
def registry() -> None:
    """What was released, what is in which environment, who did it and why.

    It reads this clone alone: its tags, and the ledger as last fetched.
    """


fetch_option = option("--fetch", is_flag=True, help="Ask origin for its tags and ledger first.")


@registry.command(
    name="list", epilog=example("mlbot registry list", "mlbot registry list --json | jq '.models[].latest'")
)
@json_option
@fetch_option
@common
def list_(directory: Path, *, quiet: bool, as_json: bool, fetch: bool) -> Exit:
    """List every model with its latest version and what is in each environment."""
    from mlbot.registry.run_registry import Asking, list_models

    console = Console.of_process(quiet=quiet)
    return list_models(Asking(directory=directory, console=console, fetch=fetch, as_json=as_json))


@registry.command(epilog=example("mlbot registry show adult-income", "mlbot registry show adult-income@v1.0.0"))
@click.argument("subject", metavar="MODEL[@VERSION]")
@json_option
@fetch_option
@common
def show(directory: Path, subject: str, *, quiet: bool, as_json: bool, fetch: bool) -> Exit:
    """Show a model's environments and versions, or one version."""
    from mlbot.registry.run_registry import Asking
    from mlbot.registry.run_registry import show as show_subject

    console = Console.of_process(quiet=quiet)
    return show_subject(Asking(directory=directory, console=console, fetch=fetch, as_json=as_json), subject)


@registry.command(
    epilog=example(
        "mlbot registry history",
        "mlbot registry history adult-income --environment production",
        "mlbot registry history --on 2026-11-20",
    )
)
@click.argument("model", required=False)
@option("--environment", metavar="NAME", help="Only what happened in this environment.")
@option("--on", metavar="DATE", help="What was live at the end of that day (UTC), or at 2026-11-20T16:30.")
@json_option
@fetch_option
@common
def history(  # noqa: PLR0913 - one for each option
    directory: Path,
    model: str | None,
    *,
    quiet: bool,
    as_json: bool,
    fetch: bool,
    environment: str | None,
    on: str | None,
) -> Exit:
    """Tell what happened: releases, promotions, rollbacks, approvals, locks, waivers."""
    from mlbot.registry.run_registry import Asking, show_history

    console = Console.of_process(quiet=quiet)
    asking = Asking(directory=directory, console=console, fetch=fetch, as_json=as_json)
    return show_history(asking, model, environment, on)


@registry.command(
    epilog=example("mlbot registry lineage adult-income@v1.0.0", "mlbot registry lineage churn@v0.3.0 --json")
)
@click.argument("subject", metavar="MODEL@VERSION")
@json_option
@fetch_option
@common
def lineage(directory: Path, subject: str, *, quiet: bool, as_json: bool, fetch: bool) -> Exit:
    """Tell what a version was made from, what judged it, who approved it and where it went."""
    from mlbot.registry.run_registry import Asking, show_lineage

    console = Console.of_process(quiet=quiet)
    return show_lineage(Asking(directory=directory, console=console, fetch=fetch, as_json=as_json), subject)
