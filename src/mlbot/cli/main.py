"""The command line: one thin function a verb. It builds the edges, calls the verb's activity, returns an exit code.

Nothing heavy is imported here; each verb imports what it needs, so that `mlbot --version` and a comment's command
start at once.
"""

from pathlib import Path
from typing import Any

import click

from mlbot import __version__
from mlbot.cli import delivery, monitoring, power, setup
from mlbot.cli.ci import ci
from mlbot.cli.options import (
    base_option,
    common,
    example,
    jobs_option,
    json_option,
    model_option,
    option,
    page_options,
    param_option,
)
from mlbot.console import Console
from mlbot.errors import Exit

_EPILOG = """\b
Exit codes:
  0  pass, or done          3   inconclusive
  1  a gate failed          4   could not be evaluated
  2  wrong usage or config  5   refused
  70 a bug in mlbot"""


@click.group(
    context_settings={
        "auto_envvar_prefix": "MLBOT",
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "max_content_width": 100,
    },
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="mlbot", message="%(prog)s %(version)s")
def cli() -> None:
    """CI/CD for machine-learning models: merge a model the way you merge code.

    Every option can be given by an environment variable: MLBOT_<VERB>_<OPTION>, such as MLBOT_RUN_BASE.
    """


@cli.command(
    epilog=example("mlbot run", "mlbot run --base origin/main --html report.html", "mlbot run --json | jq .verdict")
)
@base_option
@model_option
@json_option
@page_options
@jobs_option
@option(
    "--record",
    is_flag=True,
    help="On the guarded branch's tip: judge it against its parent, store what passed, and write the ledger.",
)
@common
def run(
    directory: Path,
    *,
    quiet: bool,
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    record: bool,
    **options: Any,
) -> Exit:
    """Train baseline and candidate, judge both, and report, as a pull request would.

    The candidate is your working tree, uncommitted changes included; the baseline is where it left the guarded
    branch; gates and holdout are the guarded branch's own.
    """
    from mlbot.judging.run_local import Outputs, RunOptions, run_and_report

    outputs = Outputs(as_json=as_json, html=html, markdown=markdown)
    console = Console.of_process(quiet=quiet)
    if record:
        from mlbot.publish.run_publish import record_run

        return record_run(directory, RunOptions(**options), outputs, console)
    return run_and_report(directory, RunOptions(**options), outputs, console)


@cli.command(epilog=example("mlbot plan", "mlbot plan --json | jq .models"))
@base_option
@model_option
@json_option
@common
def plan(directory: Path, *, quiet: bool, as_json: bool, **options: Any) -> Exit:
    """Say which models are stale, and why."""
    from mlbot.plan.run_plan import PlanOptions, print_plan

    print_plan(directory, PlanOptions(**options), Console.of_process(quiet=quiet), as_json=as_json)
    return Exit.OK


@cli.command(epilog=example("mlbot train", "mlbot train --model adult-income --seed 0 --param max_depth=5"))
@base_option
@model_option
@json_option
@option("--seed", "seeds", type=click.IntRange(0), multiple=True, help="Only this seed; repeatable.")
@option("--out", type=click.Path(file_okay=False, path_type=Path), help="Copy model.onnx and training.json here.")
@param_option
@jobs_option
@common
def train(directory: Path, *, quiet: bool, **options: Any) -> Exit:
    """Train the stale models of the working tree, each seed once."""
    from mlbot.training.run_train import TrainOptions, train_and_report

    return train_and_report(directory, TrainOptions(**options), Console.of_process(quiet=quiet))


@cli.command(
    epilog=example(
        "mlbot judge model.onnx", "mlbot judge new-0.onnx new-1.onnx --baseline old-0.onnx --model adult-income"
    )
)
@click.argument("candidate", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--baseline",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What to compare with, a file a seed; repeatable.",
)
@option("-m", "--model", help="The model of mlbot.yaml these files are of.", show_default="the only one")
@json_option
@page_options
@common
def judge(
    directory: Path, *, quiet: bool, as_json: bool, html: Path | None, markdown: Path | None, **options: Any
) -> Exit:
    """Judge ONNX files, a file a seed, by the gates and the holdout of this folder's mlbot.yaml."""
    from mlbot.judging.run_local import JudgeOptions, Outputs, judge_and_report

    outputs = Outputs(as_json=as_json, html=html, markdown=markdown)
    return judge_and_report(directory, JudgeOptions(**options), outputs, Console.of_process(quiet=quiet))


for verb in (*setup.VERBS, *power.VERBS, *delivery.VERBS, *monitoring.VERBS, ci):
    cli.add_command(verb)
