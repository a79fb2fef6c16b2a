"""`mlbot command`: the verb of the job that answers comments."""

import os
from pathlib import Path

import click

from mlbot.cli.options import common, example, option
from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.lib.constants import ACTIONS_BOT, JUDGE_PATH, RELEASE_PATH, TRAIN_PATH


@click.command(epilog=example("mlbot command", "mlbot command --dry-run"))
@option("--train-workflow", metavar="PATH", default=TRAIN_PATH, help="The workflow that trains.")
@option("--judge-workflow", metavar="PATH", default=JUDGE_PATH, help="The workflow that judges.")
@option("--release-workflow", metavar="PATH", default=RELEASE_PATH, help="The workflow that releases.")
@option("--bot", metavar="LOGIN", default=ACTIONS_BOT, help="Who the token speaks as.")
@option("--dry-run", is_flag=True, help="Print what would be done and said on GitHub, and do nothing.")
@common
def command(  # noqa: PLR0913 - one for each option
    directory: Path,
    *,
    quiet: bool,
    train_workflow: str,
    judge_workflow: str,
    release_workflow: str,
    bot: str,
    dry_run: bool,
) -> Exit:
    """Answer the comment that started this job on GitHub: /retrain, /judge, /waive, /mlbot status and the rest.

    Reads the comment from GITHUB_EVENT_PATH and needs no checkout. `/mlbot help` in a comment lists the commands.
    """
    del directory
    from mlbot.commands.run_command import CommandOptions
    from mlbot.commands.run_command import command as answer

    options = CommandOptions(
        train_path=train_workflow,
        judge_path=judge_workflow,
        release_path=release_workflow,
        bot=bot,
        dry_run=dry_run,
    )
    return answer(os.environ, options, Console.of_process(quiet=quiet))
