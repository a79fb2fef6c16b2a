"""The verbs that set a repository up and show what mlbot does: `init`, `upgrade`, `doctor` and others."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mlbot.cli.options import asker, common, example, json_option, option
from mlbot.console import Console
from mlbot.errors import Exit


@click.group(name="config", epilog=example("mlbot config check", "mlbot config schema > mlbot.schema.json"))
def config() -> None:
    """Check mlbot.yaml, or print its JSON Schema."""


@config.command(name="check", epilog=example("mlbot config check", "mlbot config check --data"))
@option("--data", is_flag=True, help="Read the data too: labels, types, slices and groups, as the judge will.")
@json_option
@common
def config_check(directory: Path, *, quiet: bool, as_json: bool, data: bool) -> Exit:
    """Validate mlbot.yaml: every problem at once, each with its line and what to write instead."""
    from mlbot.git.repository import config_folder, configs_of

    console, folder = Console.of_process(quiet=quiet), config_folder(directory)
    if data:
        from mlbot.judging.run_data import report_data

        report_data(folder, console, as_json=as_json)
        if not as_json:
            from mlbot.judging.run_changes import report_changes

            report_changes(folder, console)
    else:
        from mlbot.config.run_check import report_check

        report_check(folder, console, as_json=as_json, known=configs_of(folder))
    return Exit.OK


@config.command(name="schema", epilog=example("mlbot config schema > mlbot.schema.json"))
def config_schema() -> Exit:
    """Print the JSON Schema of mlbot.yaml, for editors."""
    from mlbot.config.run_check import schema_text

    Console.of_process(quiet=False).result(schema_text())
    return Exit.OK


@click.command(
    epilog=example(
        "mlbot init",
        "mlbot init --train train.py --holdout data/test.csv --target churned --yes",
        "mlbot init --release",
    )
)
@option("--train", metavar="HOW", help="What trains: a script, module:function or a command.")
@option("--data", metavar="FILE", help="The training data: a CSV or Parquet file, or a URL.")
@option("--holdout", metavar="FILE", help="Labelled rows that no training sees: a file or a URL.")
@option("--target", metavar="COLUMN", help="The column to predict.")
@option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="What it predicts.")
@option("--model", metavar="NAME", help="What to call the model.")
@option("--install", metavar="COMMAND", help="What installs the training's packages on GitHub's machines.")
@option("--release", is_flag=True, help="Write the workflow that releases and deploys, too.")
@click.option(
    "--watch/--no-watch",
    default=None,
    show_default="where GitHub says that the repository is public",
    help="Write the workflow that sees pull requests which rename mlbot's.",
)
@option("--dashboard", is_flag=True, help="Write the workflow that brings the dashboard to GitHub Pages, too.")
@option("-y", "--yes", is_flag=True, help="Ask nothing; take what is found.")
@option("--force", is_flag=True, help="Overwrite files that are there.")
@common
def init(
    directory: Path, *, quiet: bool, yes: bool, force: bool, watch: bool | None, dashboard: bool, **chosen: Any
) -> Exit:
    """Write a first mlbot.yaml and the two workflows, made from what the repository holds."""
    from mlbot.setup.run_init import InitOptions, init, is_public

    public = (watch is None or dashboard) and is_public(directory, os.environ)
    watch = public if watch is None else watch
    options = InitOptions.of(force=force, ask=None if yes else asker(), watch=watch, **chosen)
    options = replace(options, dashboard=dashboard, public=public)
    return init(directory, options, Console.of_process(quiet=quiet))


@click.command(epilog=example("mlbot upgrade", "mlbot upgrade --force"))
@option("--force", is_flag=True, help="Write files anew that somebody has changed.")
@common
def upgrade(directory: Path, *, quiet: bool, force: bool) -> Exit:
    """Write the workflow files anew, for this version of mlbot and for mlbot.yaml as it is.

    A file that was changed by hand is left, and what would change in it is shown.
    """
    from mlbot.setup.run_init import upgrade

    return upgrade(directory, Console.of_process(quiet=quiet), force=force)


@click.command(epilog=example("mlbot doctor", "mlbot doctor --json | jq .findings"))
@json_option
@common
def doctor(directory: Path, *, quiet: bool, as_json: bool) -> Exit:
    """Find out what is wrong with the set-up: the config, the workflows and, with a token, GitHub's settings.

    The token is read from MLBOT_TOKEN, GITHUB_TOKEN or GH_TOKEN and never shown.
    """
    from mlbot.setup.run_doctor import doctor

    return doctor(directory, os.environ, Console.of_process(quiet=quiet), as_json=as_json)


@click.command(
    epilog=example("mlbot comment report.md", "mlbot comment --pr 12 --title plots report.md", "mlbot comment -")
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--target",
    metavar="WHERE",
    default="auto",
    show_default="the open pull request, else the commit",
    help="pr, commit or issue; or pr/NUMBER, commit/SHA, issue/NUMBER.",
)
@click.option("--pr", type=click.IntRange(1), metavar="N", help="The pull request with this number.")
@click.option("--title", metavar="LABEL", default="", help="A label: comments of two labels do not replace each other.")
@click.option("--via", type=click.Choice(["cml"]), help="Let CML's command post it, for GitLab and Bitbucket.")
@common
def comment(directory: Path, *, quiet: bool, via: str | None, **posting: Any) -> Exit:
    """Post a Markdown file with its local images as a comment, or edit the one that has it already.

    FILE is a Markdown file, or - for standard input. The token is read from MLBOT_TOKEN, GITHUB_TOKEN or GH_TOKEN.
    """
    from mlbot.publish.run_comment import Posting, comment

    return comment(directory, Posting(via_cml=via is not None, **posting), os.environ, Console.of_process(quiet=quiet))


@click.command(
    epilog=example(
        "mlbot demo", "mlbot demo --out /tmp/mlbot-demo --only seed --only pickle", "mlbot demo --example text-topics"
    )
)
@option("--out", type=click.Path(path_type=Path), help="The folder to make.", show_default="a fresh one")
@option("--only", multiple=True, help="Play only this scene; repeatable.")
@option("--example", "played", default="adult-income", help="Another example, by the name of its folder.")
@common
def demo(directory: Path, *, quiet: bool, out: Path | None, only: tuple[str, ...], played: str) -> Exit:
    """Play five pull requests on real data, with real training; then release, deploy and go back."""
    from mlbot.setup.run_demo import play

    def command_line(arguments: Sequence[str]) -> object:
        root = click.get_current_context().find_root().command
        return root.main(args=list(arguments), prog_name="mlbot", standalone_mode=False)

    return play(directory, out, only, Console.of_process(quiet=quiet), command_line, played)


VERBS = (config, init, upgrade, doctor, comment, demo)
