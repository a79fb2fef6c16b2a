"""The command line: one thin function a verb. It builds the edges, calls the verb's activity, returns an exit code.

Nothing heavy is imported here; each verb imports what it needs, so that `mlbot --version` and a comment's command
start at once.
"""

import os
from pathlib import Path
from typing import Any

import click

from mlbot import __version__
from mlbot.cli import delivery, setup
from mlbot.cli.command import command
from mlbot.cli.delivery import registry
from mlbot.cli.options import (
    base_option,
    common,
    example,
    git_only_option,
    jobs_option,
    json_option,
    model_option,
    option,
    page_options,
    param_options,
    plan_options,
    run_options,
    store_options,
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
    from mlbot.judging.run_local import RunOptions, run_and_report
    from mlbot.judging.run_output import Outputs

    outputs = Outputs(as_json=as_json, html=html, markdown=markdown)
    console = Console.of_process(quiet=quiet)
    if record:
        from mlbot.publish.run_record import record_run

        return record_run(directory, RunOptions(**options), outputs, console)
    return run_and_report(directory, RunOptions(**options), outputs, console)


@cli.command(epilog=example("mlbot plan", "mlbot plan --json", "mlbot plan --matrix >> $GITHUB_OUTPUT"))
@base_option
@model_option
@json_option
@plan_options
@git_only_option
@run_options
@common
def plan(  # noqa: PLR0913 - one for each option that decides which plan is meant
    directory: Path,
    *,
    quiet: bool,
    as_json: bool,
    matrix: bool,
    run: int | None,
    attempt: int,
    train_workflow: str,
    bot: str,
    release: bool,
    **options: Any,
) -> Exit:
    """Say which models are stale, and why; or, with --run, what to do about a training run on GitHub."""
    console = Console.of_process(quiet=quiet)
    if release:
        from mlbot.delivery.run_hosted import plan_release

        return plan_release(os.environ, console)
    if run is not None:
        from mlbot.judging.run_ci import Hosted
        from mlbot.judging.run_hosted import plan_run

        plan_run(Hosted.of(directory, os.environ, (run, attempt), train_workflow, bot, console), console)
        return Exit.OK
    request = None
    if options.pop("asked"):
        from mlbot.training.run_train import asked_of

        request = asked_of(os.environ, bot, console)
    from mlbot.plan.run_plan import PlanOptions, print_plan

    print_plan(directory, PlanOptions(request=request, **options), console, as_json=as_json, matrix=matrix)
    return Exit.OK


@cli.command(epilog=example("mlbot train", "mlbot train --model adult-income --seed 0 --param max_depth=5"))
@base_option
@model_option
@json_option
@option("--seed", "seeds", type=click.IntRange(0), multiple=True, help="Only this seed; repeatable.")
@option("--out", type=click.Path(file_okay=False, path_type=Path), help="Copy model.onnx and training.json here.")
@param_options
@jobs_option
@git_only_option
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
@click.argument("candidate", nargs=-1, type=click.Path(path_type=Path))
@option(
    "--baseline",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What to compare with, a file a seed; repeatable.",
)
@option("-m", "--model", help="The model of mlbot.yaml these files are of.", show_default="the only one")
@json_option
@page_options
@option("--out", type=click.Path(file_okay=False, path_type=Path), help="With --run: where to leave the records.")
@run_options
@common
def judge(  # noqa: PLR0913 - one for each option that decides what is judged
    directory: Path,
    candidate: tuple[Path, ...],
    *,
    quiet: bool,
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    run: int | None,
    attempt: int,
    train_workflow: str,
    bot: str,
    out: Path | None,
    **options: Any,
) -> Exit:
    """Judge ONNX files, a file a seed, by the gates and the holdout of this folder's mlbot.yaml.

    With --run, judge what a training run on GitHub left behind, by the guarded branch's rules.
    """
    console = Console.of_process(quiet=quiet)
    if run is not None:
        from mlbot.judging.run_ci import Hosted
        from mlbot.judging.run_hosted import judge_run

        hosted = Hosted.of(directory, os.environ, (run, attempt), train_workflow, bot, console)
        return judge_run(hosted, out or Path("judged"), console)
    if not candidate:
        raise click.MissingParameter(param_type="argument", param_hint="'CANDIDATE...'")
    from mlbot.judging.run_judge_verb import JudgeOptions, judge_and_report
    from mlbot.judging.run_output import Outputs

    outputs = Outputs(as_json=as_json, html=html, markdown=markdown)
    return judge_and_report(directory, JudgeOptions(candidate=candidate, **options), outputs, console)


@cli.command(epilog=example("mlbot publish --run 123 --from judged/report", "mlbot publish --run 123 --dry-run"))
@run_options
@option(
    "--from",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="What the judge left; without it only the status goes pending.",
)
@option("--dry-run", is_flag=True, help="Print what would be done on GitHub, and do nothing.")
@store_options
@common
def publish(  # noqa: PLR0913 - one for each option that decides what is published
    directory: Path,
    *,
    quiet: bool,
    run: int | None,
    attempt: int,
    train_workflow: str,
    bot: str,
    store: bool,
    **options: Any,
) -> Exit:
    """Write a verdict to GitHub: comment, status, summary, and on the guarded branch the ledger."""
    if run is None:
        raise click.MissingParameter(param_type="option", param_hint="'--run'")
    from mlbot.judging.run_ci import Hosted

    console = Console.of_process(quiet=quiet)
    hosted = Hosted.of(directory, os.environ, (run, attempt), train_workflow, bot, console)
    if store:
        from mlbot.publish.run_store import store_run

        return store_run(hosted, options["folder"] or Path("judged/report"), console)
    from mlbot.publish.run_publish import PublishOptions, publish_run

    return publish_run(hosted, PublishOptions(**options), console)


cli.add_command(command)

cli.add_command(registry)

for verb in (*setup.VERBS, *delivery.VERBS):
    cli.add_command(verb)
