"""The verbs of releases, environments and the registry: release, promote, approve, lock, registry, dashboard."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from mlbot.cli.options import answer_option, base_option, common, example, json_option, option, reason_option
from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.lib.constants import ACTIONS_BOT

_DRY_RUN = "Verify and decide, show the plan, and change nothing."


@click.command(
    epilog=example(
        "mlbot release adult-income",
        "mlbot release adult-income --bump minor --dry-run",
        "mlbot release adult-income --out release",
        "mlbot release adult-income --version v2.0.0 --commit 4f1c2a9",
    )
)
@click.argument("model")
@option(
    "--bump",
    type=click.Choice(["patch", "minor", "major"]),
    help="Which part of the latest version to count up; the first version is v1.0.0.",
    show_default="patch",
)
@option("--version", metavar="VERSION", help="Give it this version instead.")
@option(
    "--commit", metavar="REV", help="What to release.", show_default="the guarded branch's tip, or the version's tag"
)
@option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the released file, its model card, manifest and checksums into this folder.",
)
@answer_option
@option("--dry-run", is_flag=True, help=_DRY_RUN)
@json_option
@common
def release(directory: Path, *, quiet: bool, out: Path | None, as_json: bool, **asked: Any) -> Exit:
    """Give a version to a model that the guarded branch has judged.

    Nothing is trained again: the bytes that passed are the bytes that are released. Before anything is written the
    commit, the tag, the verdict and the bytes are verified; then the commit is tagged and the ledger written, in the
    remote `origin` where there is one.
    """
    if asked["bump"] and asked["version"]:
        raise click.UsageError("--bump and --version exclude each other.")
    from mlbot.delivery.run_release import ReleaseRequest
    from mlbot.delivery.run_verbs import release_verb

    return release_verb(directory, ReleaseRequest(**asked), out, Console.of_process(quiet=quiet), as_json=as_json)


@click.command(
    epilog=example(
        "mlbot promote adult-income@v1.2.0 staging", "mlbot promote adult-income@v1.2.0 production --dry-run"
    )
)
@click.argument("version", metavar="MODEL@VERSION")
@click.argument("environment")
@partial(reason_option, needed=False)
@option("--dry-run", is_flag=True, help=_DRY_RUN)
@json_option
@common
def promote(directory: Path, *, quiet: bool, version: str, as_json: bool, **asked: Any) -> Exit:
    """Deploy a version into an environment, and test it there.

    The bytes are verified, loaded and asked the release's golden requests; then they are staged, switched on, read
    back and tested again. When that fails, the version before is switched back. A run that was killed is finished by
    the same command.
    """
    from mlbot.delivery.run_promote import PromotionRequest
    from mlbot.delivery.run_verbs import parted, promote_verb

    model, number = parted(version)
    request = PromotionRequest(model=model, version=number, **asked)
    return promote_verb(directory, request, Console.of_process(quiet=quiet), as_json=as_json)


@click.command(epilog=example("mlbot approve adult-income@v1.2.0 production"))
@click.argument("version", metavar="MODEL@VERSION")
@click.argument("environment")
@json_option
@common
def approve(directory: Path, *, quiet: bool, version: str, environment: str, as_json: bool) -> Exit:
    """Say that a version may enter an environment that asks for approvals.

    It stands for these very bytes. Nobody's approval counts for a promotion that they ask for themselves. On a laptop
    git says who you are; where that is not enough, approve on GitHub.
    """
    from mlbot.delivery.run_verbs import approve_verb, parted

    model, number = parted(version)
    return approve_verb(directory, (model, number, environment), Console.of_process(quiet=quiet), as_json=as_json)


@click.command(
    epilog=example(
        'mlbot rollback adult-income production --reason "wrong predictions for new customers"',
        'mlbot rollback adult-income production --to v1.0.0 --reason "v1.1.0 is slow too"',
    )
)
@click.argument("model")
@click.argument("environment")
@option("--to", metavar="VERSION", help="A version that was live there once.", show_default="the last good one")
@reason_option
@option("--dry-run", is_flag=True, help=_DRY_RUN)
@json_option
@common
def rollback(directory: Path, *, quiet: bool, as_json: bool, **asked: Any) -> Exit:
    """Go back to the last good version of an environment, or to any that was live there.

    No gate, order, approval or lock stops it, and it takes over from a deployment that has not ended. The bytes are
    verified and loaded before anything is switched, all the same.
    """
    from mlbot.delivery.run_promote import RollbackRequest
    from mlbot.delivery.run_verbs import rollback_verb

    return rollback_verb(directory, RollbackRequest(**asked), Console.of_process(quiet=quiet), as_json=as_json)


@click.command(epilog=example('mlbot lock production --reason "audit until Friday"'))
@click.argument("environment")
@reason_option
@json_option
@common
def lock(directory: Path, *, quiet: bool, environment: str, reason: str, as_json: bool) -> Exit:
    """Close an environment: nothing is promoted into it until it is unlocked. A rollback still goes through."""
    from mlbot.delivery.run_verbs import lock_verb

    return lock_verb(
        directory, environment, Console.of_process(quiet=quiet), close=True, reason=reason, as_json=as_json
    )


@click.command(epilog=example("mlbot unlock production"))
@click.argument("environment")
@partial(reason_option, needed=False)
@json_option
@common
def unlock(directory: Path, *, quiet: bool, environment: str, reason: str, as_json: bool) -> Exit:
    """Open an environment again."""
    from mlbot.delivery.run_verbs import lock_verb

    return lock_verb(
        directory, environment, Console.of_process(quiet=quiet), close=False, reason=reason, as_json=as_json
    )


@click.command(
    epilog=example('mlbot waive churn:roc_auc --reason "The holdout was relabelled; agreed with the data owners."')
)
@click.argument("subject", metavar="MODEL:GATE")
@reason_option
@base_option
@json_option
@common
def waive(directory: Path, *, quiet: bool, as_json: bool, **asked: Any) -> Exit:
    """Let a gate that blocks pass, by a person's word and for this very content.

    What is checked out is judged first, as `mlbot run` does; then the ledger has who let what pass, and why. It is the
    sister of `/waive`. Nobody answers for a change of their own, unless mlbot.yaml says `waivers: {author: true}`.
    GitHub is asked who you are where there is a token for it: a maintainer, or one of `waivers.by`.
    """
    from mlbot.publish.run_waive import WaiveOptions
    from mlbot.publish.run_waive import waive as waive_gate

    return waive_gate(directory, WaiveOptions(**asked), Console.of_process(quiet=quiet), as_json=as_json)


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
    from mlbot.registry.run_registry import RegistryQuery, list_models

    console = Console.of_process(quiet=quiet)
    return list_models(RegistryQuery(directory=directory, console=console, fetch=fetch, as_json=as_json))


@registry.command(epilog=example("mlbot registry show adult-income", "mlbot registry show adult-income@v1.0.0"))
@click.argument("subject", metavar="MODEL[@VERSION]")
@json_option
@fetch_option
@common
def show(directory: Path, subject: str, *, quiet: bool, as_json: bool, fetch: bool) -> Exit:
    """Show a model's environments and versions, or one version."""
    from mlbot.registry.run_registry import RegistryQuery
    from mlbot.registry.run_registry import show as show_subject

    console = Console.of_process(quiet=quiet)
    return show_subject(RegistryQuery(directory=directory, console=console, fetch=fetch, as_json=as_json), subject)


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
def history(directory: Path, *, quiet: bool, as_json: bool, fetch: bool, **asked: str | None) -> Exit:
    """Tell what happened: releases, promotions, rollbacks, approvals, locks, waivers."""
    from mlbot.registry.run_registry import RegistryQuery, show_history

    console = Console.of_process(quiet=quiet)
    query = RegistryQuery(directory=directory, console=console, fetch=fetch, as_json=as_json)
    return show_history(query, **asked)


@registry.command(
    epilog=example("mlbot registry lineage adult-income@v1.0.0", "mlbot registry lineage churn@v0.3.0 --json")
)
@click.argument("subject", metavar="MODEL@VERSION")
@json_option
@fetch_option
@common
def lineage(directory: Path, subject: str, *, quiet: bool, as_json: bool, fetch: bool) -> Exit:
    """Tell what a version was made from, what judged it, who approved it and where it went."""
    from mlbot.registry.run_registry import RegistryQuery, show_lineage

    console = Console.of_process(quiet=quiet)
    return show_lineage(RegistryQuery(directory=directory, console=console, fetch=fetch, as_json=as_json), subject)


@registry.command(
    epilog=example("mlbot registry data data/train.csv", "mlbot registry data 4f1c2a9d --json | jq '.versions[].stays'")
)
@click.argument("subject", metavar="DIGEST|PATH")
@json_option
@fetch_option
@common
def data(directory: Path, subject: str, *, quiet: bool, as_json: bool, fetch: bool) -> Exit:
    """Say what used a data file: trainings on the guarded branch, versions, environments; and what the file holds.

    PATH is the file as the working tree has it; what was there before is listed too. DIGEST is one that a lineage
    shows, or the file's sha256; its first 8 digits are enough.
    """
    from mlbot.registry.run_registry import RegistryQuery, show_data

    console = Console.of_process(quiet=quiet)
    return show_data(RegistryQuery(directory=directory, console=console, fetch=fetch, as_json=as_json), subject)


@registry.command(
    epilog=example(
        "mlbot registry verdict --pr 12 --json",
        "mlbot registry verdict --commit main",
        "mlbot registry verdict --pr 12 --json | jq '.report.models[].another_look'",
    )
)
@option("--pr", "pull_request", type=click.IntRange(min=1), metavar="NUMBER", help="The verdict on a pull request.")
@option("--commit", metavar="REV", help="The verdict on a commit.", show_default="HEAD")
@option(
    "--bot",
    metavar="LOGIN",
    default=ACTIONS_BOT,
    help="Who publishes verdicts: an App has a login of its own.",
    show_default=True,
)
@json_option
@common
def verdict(directory: Path, *, quiet: bool, as_json: bool, **asked: Any) -> Exit:
    """Fetch the verdict on a pull request or a commit from GitHub, as its judge left it.

    The exit code tells whether there is one, not what it is: 0 fetched; 2 no such pull request or commit, or nothing
    was judged of it; 3 not judged yet; 4 gone, or GitHub cannot be reached; 5 the token is refused. The JSON's `state`
    says which. The token is read from MLBOT_TOKEN, GITHUB_TOKEN or GH_TOKEN.
    """
    from mlbot.publish.run_verdict import VerdictQuery, show_verdict

    query = VerdictQuery(**asked)
    return show_verdict(directory, query, Console.of_process(quiet=quiet), as_json=as_json)


@registry.command(
    epilog=example("mlbot registry restore --dry-run", "mlbot registry restore", "mlbot registry restore 4f1c2a9d")
)
@click.argument("commits", metavar="[COMMIT]...", nargs=-1)
@option("--dry-run", is_flag=True, help="Say what would come back, and change nothing.")
@json_option
@common
def restore(directory: Path, commits: tuple[str, ...], *, quiet: bool, dry_run: bool, as_json: bool) -> Exit:
    """Put the ledger back where its branch was deleted, set back or replaced.

    Back comes what this clone knew, what origin keeps as a copy, and what COMMIT has, if one is named. Entries that
    were written since stay: the branch only moves forward.
    """
    from mlbot.registry.run_registry import RegistryQuery, restore_ledger

    query = RegistryQuery(directory=directory, console=Console.of_process(quiet=quiet), as_json=as_json)
    return restore_ledger(query, commits, dry_run=dry_run)


@registry.command(epilog=example("mlbot registry repair --dry-run", "mlbot registry repair"))
@option("--dry-run", is_flag=True, help="Say which tags would be written, and write none.")
@json_option
@common
def repair(directory: Path, *, quiet: bool, dry_run: bool, as_json: bool) -> Exit:
    """Write the tags that are missing, from the ledger: of versions, and of where each is live.

    GitHub refuses some tags to a workflow's token: those of commits whose workflow files are on no branch.
    """
    from mlbot.delivery.run_verbs import repair_verb

    return repair_verb(directory, Console.of_process(quiet=quiet), dry_run=dry_run, as_json=as_json)


@click.command(
    epilog=example(
        "mlbot dashboard", "mlbot dashboard --fetch --out site", "mlbot dashboard --json | jq '.models[].latest'"
    )
)
@option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    show_default="site; with --json none",
    help="Write the site into this folder, which holds nothing else.",
)
@json_option
@fetch_option
@common
def dashboard(directory: Path, *, quiet: bool, out: Path | None, as_json: bool, fetch: bool) -> Exit:
    """Write the ledger as a static site: each model's metrics over time, versions, looks, waivers and cost.

    It reads this clone alone, as `mlbot registry` does. The pages load nothing and run no script; the same ledger makes
    the same files.
    """
    from mlbot.monitoring.run_dashboard import show_dashboard
    from mlbot.registry.run_registry import RegistryQuery

    console = Console.of_process(quiet=quiet)
    token = os.environ.get("GITHUB_TOKEN") if os.environ.get("GITHUB_ACTIONS") == "true" else None
    query = RegistryQuery(directory=directory, console=console, fetch=fetch, token=token, as_json=as_json)
    return show_dashboard(query, out or (None if as_json else Path("site")))


VERBS = (release, promote, approve, rollback, lock, unlock, waive, registry, dashboard)
