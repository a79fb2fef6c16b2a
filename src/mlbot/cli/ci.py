"""`mlbot ci`: what only workflows call. A hidden group, whose options every verb of it shares."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbot.cli.options import base_option, common, example, option
from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.lib.constants import ACTIONS_BOT, JUDGE_PATH, RELEASE_PATH, TRAIN_PATH

if TYPE_CHECKING:
    from mlbot.config.folder import ConfigFolder
    from mlbot.delivery.run_ci import WorkflowJob
    from mlbot.judging.run_ci import CIRun
    from mlbot.monitoring.run_alarms import MonitorJob


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    directory: Path
    console: Console
    folder: str
    run: int | None
    attempt: int
    train_workflow: str
    judge_workflow: str
    release_workflow: str
    bot: str

    @property
    def config_folder(self) -> "ConfigFolder":
        """The folder of the mlbot.yaml that the job goes by."""
        from mlbot.config.folder import ConfigFolder

        return ConfigFolder.of(self.folder)

    @property
    def ci_run(self) -> "CIRun":
        """The job that this process is in."""
        from mlbot.judging.run_ci import CIOptions, CIRun

        options = CIOptions(
            directory=self.directory,
            folder=self.config_folder,
            run=self.run,
            attempt=self.attempt,
            train_path=self.train_workflow,
            bot=self.bot,
        )
        return CIRun.of(options, os.environ, self.console)

    @property
    def monitor_job(self) -> "MonitorJob":
        """The job that watches models in production."""
        from mlbot.monitoring.run_alarms import MonitorJob

        return MonitorJob.of(self.directory, self.config_folder, os.environ, self.console, self.bot)


@click.group(hidden=True, epilog=example("mlbot ci --run 123 plan", "mlbot ci --run 123 publish --from judged/report"))
@option("--run", type=click.IntRange(1), metavar="ID", help="The training run that the job is about.")
@option("--attempt", type=click.IntRange(1), default=1, help="The attempt of that run.")
@option("--folder", metavar="PATH", default="", help="The folder of mlbot.yaml, from the repository's root.")
@option("--train-workflow", metavar="PATH", default=TRAIN_PATH, help="The workflow that trains.")
@option("--judge-workflow", metavar="PATH", default=JUDGE_PATH, help="The workflow that judges.")
@option("--release-workflow", metavar="PATH", default=RELEASE_PATH, help="The workflow that releases.")
@option("--bot", metavar="LOGIN", default=ACTIONS_BOT, help="Whose answers to commands count.")
@common
@click.pass_context
def ci(context: click.Context, /, *, quiet: bool, **options: Any) -> None:
    """Do what a job of mlbot's workflows does.

    Every option can be given by an environment variable: MLBOT_CI_RUN for all verbs, MLBOT_CI_JUDGE_OUT for one.
    """
    context.obj = _Job(console=Console.of_process(quiet=quiet), **options)


def _verb(name: str, *arguments: str) -> Callable[[Callable[..., Exit]], click.Command]:
    command = partial(ci.command, name=name, epilog=example(" ".join([f"mlbot ci {name}", *arguments])))
    return lambda function: command()(click.pass_obj(function))


def _folder(name: str, text: str, default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    kind = click.Path(file_okay=False, path_type=Path)
    return option(name, "folder", type=kind, default=Path(default), help=text)


_dry_run = option("--dry-run", is_flag=True, help="Print what would be done on GitHub, and do nothing.")


@_verb("matrix", "--base 4f1c2a9")
@base_option
def matrix(job: _Job, base: str | None) -> Exit:
    """Plan the trainings of the commit that is checked out, as lines for GITHUB_OUTPUT. Runs in the sandbox."""
    from mlbot.judging.run_hosted import print_matrix

    print_matrix(job.ci_run, base)
    return Exit.OK


@_verb("merge", "--onto 4f1c2a9…")
@option(
    "--onto", metavar="SHA", required=True, help="The commit of the guarded branch, as `mlbot ci matrix` printed it."
)
def merge(job: _Job, onto: str) -> Exit:
    """Make the checkout what the guarded branch would hold once it is merged. Runs in the sandbox."""
    from mlbot.git.merge import check_out
    from mlbot.git.repository import Repository

    commit = check_out(Repository.discover(job.directory), onto)
    job.console.say(f"Checked out {commit[:10]}, the change merged into {onto[:10]}.")
    return Exit.OK


@_verb("train", """--trainings '{"adult-income": [0, 1, 2]}' --out trained""")
@option(
    "--trainings", metavar="JSON", required=True, help="The seeds to train of each model, as `mlbot ci matrix` said."
)
@option("--overrides", metavar="JSON", help="The parameters of a trial.")
@_folder("--out", "Where the model files and their lineage go.", "trained")
def train(job: _Job, trainings: str, overrides: str | None, folder: Path) -> Exit:
    """Train what one job trains, from the commit that is checked out: models with their seeds, one after the other."""
    from mlbot.training.run_train import TrainOptions, read_trainings, train_and_report

    wanted = read_trainings(trainings)
    options = TrainOptions(
        base="HEAD",
        models=tuple(wanted),
        trainings=wanted,
        out=folder,
        packed=True,
        git_only=True,
        overrides=overrides or None,
    )
    return train_and_report(job.directory / job.config_folder.path, options, job.console)


@_verb("failed")
@_dry_run
def failed(job: _Job, *, dry_run: bool) -> Exit:
    """Set the status of a commit whose verdict could not be published."""
    from mlbot.publish.run_publish import announce_failure

    return announce_failure(job.ci_run, dry_run=dry_run)


@_verb("plan")
def plan(job: _Job) -> Exit:
    """Decide what to do about a training run, and which baselines have to be trained, as lines for GITHUB_OUTPUT."""
    from mlbot.judging.run_hosted import plan_run

    plan_run(job.ci_run)
    return Exit.OK


@_verb("evaluate", "--out evaluated")
@_folder("--out", "Where to leave the results.", "evaluated")
def evaluate(job: _Job, folder: Path) -> Exit:
    """Run the guarded branch's evaluators with secrets on what a training run left behind."""
    from mlbot.judging.run_hosted import evaluate_run

    return evaluate_run(job.ci_run, folder)


@_verb("judge", "--out judged")
@_folder("--out", "Where to leave the records and the accepted files.", "judged")
@option("--evaluated", type=click.Path(path_type=Path), default="evaluated", help="What `mlbot ci evaluate` left.")
@option(
    "--evaluated-digest",
    metavar="SHA256",
    default="",
    help="The digest that its job put out; without one the folder is not read.",
)
def judge(job: _Job, folder: Path, evaluated: Path, evaluated_digest: str) -> Exit:
    """Judge what a training run left behind, by the guarded branch's rules."""
    from mlbot.judging.run_evaluations import handed_over
    from mlbot.judging.run_hosted import judge_run

    return judge_run(job.ci_run, folder, handed_over(evaluated, evaluated_digest))


def _handed_over(function: Callable[..., Exit]) -> Callable[..., Exit]:
    """What the judge's job handed over: a folder is believed only by the digest that the job put out."""
    text = "The digest that the judge's job put out; without one the folder is not read."
    function = option("--digest", metavar="SHA256", default="", help=text)(function)
    text = "The attempt of this run that the judge ran in."
    function = option("--judge", metavar="N", type=click.IntRange(1), default=1, help=text)(function)
    return _folder("--from", "What the judge left.", "judged/report")(function)


@_verb("store", "--from judged/report --digest sha256:4f1c…")
@_handed_over
def store(job: _Job, folder: Path, **handed: Any) -> Exit:
    """Put the accepted files of a push into the store."""
    from mlbot.publish.run_publish import PublishOptions, store_run

    return store_run(job.ci_run, PublishOptions(folder=folder, **handed))


@_verb("publish", "--from judged/report --digest sha256:4f1c…")
@_handed_over
@option("--problem", metavar="TEXT", default="", help="Why the judge's job failed, as it put it out.")
@option("--stored", metavar="RESULT", default="", help="How the job ended that stored the files, as GitHub says it.")
@_dry_run
def publish(job: _Job, folder: Path, **given: Any) -> Exit:
    """Write a verdict to GitHub: comment, status, summary, and on the guarded branch the ledger."""
    from mlbot.publish.run_publish import PublishOptions, publish_run

    return publish_run(job.ci_run, PublishOptions(folder=folder, **given))


@_verb("again")
def again(job: _Job) -> Exit:
    """Run a training again that the guarded branch has outdated, once, as `publish` recorded it."""
    from mlbot.publish.run_publish import again_run

    return again_run(job.ci_run, job.judge_workflow)


@_verb("monitor", "--out handed")
@_folder("--out", "Where to leave what the logs say.", "handed")
def monitor(job: _Job, folder: Path) -> Exit:
    """Read what production logged on the days that are over, as lines for GITHUB_OUTPUT. Writes nothing on GitHub."""
    from mlbot.monitoring.run_alarms import look_run, read_days

    return look_run(job.monitor_job, folder, read_days)


@_verb("refresh", "--models 'churn fraud' --out handed")
@_folder("--out", "Where to leave the files that changed.", "handed")
@option("--models", metavar="NAMES", required=True, help="The models, as `mlbot ci monitor` printed them.")
def refresh(job: _Job, folder: Path, models: str) -> Exit:
    """Run the guarded branch's commands that refresh data, and hand over what they may change."""
    from mlbot.monitoring.run_alarms import refresh_run

    return refresh_run(job.directory, job.config_folder, models.split(), folder, job.console)


@_verb("alarm", "--from days --digest sha256:4f1c…")
@_folder("--from", "The days that `mlbot ci monitor` left.", "days")
@option("--digest", metavar="SHA256", default="none", help="The digest that its job put out.")
@option(
    "--refreshed", "files", type=click.Path(path_type=Path), default="refreshed", help="What `mlbot ci refresh` left."
)
@option("--refreshed-digest", "files_digest", metavar="SHA256", default="none", help="The digest that its job put out.")
@option("--refresh", metavar="RESULT", default="skipped", help="How that job ended, as GitHub says it.")
def alarm(job: _Job, folder: Path, **handed: Any) -> Exit:
    """Write days into the ledger, propose the changes that are due, and bring the issues on models up to date."""
    from mlbot.monitoring.run_alarms import Handed, alarm_run

    return alarm_run(job.monitor_job, Handed(days=folder, **handed))


@_verb("command")
@_dry_run
def command(job: _Job, *, dry_run: bool) -> Exit:
    """Answer the comment that started this job: /retrain, /judge, /waive, /mlbot status and the rest.

    Reads the comment from GITHUB_EVENT_PATH and needs no checkout. `/mlbot help` in a comment lists the commands.
    """
    from mlbot.commands.run_command import CommandOptions
    from mlbot.commands.run_command import command as answer

    options = CommandOptions(
        folder=job.config_folder,
        train_path=job.train_workflow,
        judge_path=job.judge_workflow,
        release_path=job.release_workflow,
        bot=job.bot,
        dry_run=dry_run,
    )
    return answer(os.environ, options, job.console)


@_verb("request")
def request(job: _Job) -> Exit:
    """Find out who asks the release workflow for what, as lines for GITHUB_OUTPUT."""
    from mlbot.delivery.run_hosted import plan_release

    return plan_release(os.environ, job.console, job.config_folder)


_ask = option("--ask", metavar="JSON", required=True, help="The request, as `mlbot ci request` printed it.")


def _workflow_job(job: _Job, ask: str, **given: str) -> "WorkflowJob":
    from mlbot.delivery.run_ci import DeployOptions, WorkflowJob

    options = DeployOptions(
        ask=ask,
        folder=job.config_folder,
        train_path=job.train_workflow,
        release_path=job.release_workflow,
        bot=job.bot,
        **given,
    )
    return WorkflowJob.of(job.directory, os.environ, options, job.console)


@_verb("look", "--ask '{}'")
@_ask
def look(job: _Job, ask: str) -> Exit:
    """Record that a release is about to look at sealed rows, as a line for GITHUB_OUTPUT."""
    from mlbot.delivery.run_hosted import look_run

    return look_run(_workflow_job(job, ask))


_look = option("--look", metavar="ID", default="none", help="The look, as `mlbot ci look` printed it.")


@_verb("score", "--ask '{}' --look 123.1")
@_ask
@_look
def score(job: _Job, ask: str, look: str) -> Exit:
    """Score a release on sealed rows, as a line for GITHUB_OUTPUT. Writes nothing, and says nothing but the answer."""
    from mlbot.delivery.run_hosted import score_run

    return score_run(_workflow_job(job, ask, look=look), os.environ)


@_verb("deploy", "--ask '{}'")
@_ask
@_look
@option("--answer", metavar="JSON", default="none", help="What sealed rows answered, as `mlbot ci score` printed it.")
def deploy(job: _Job, ask: str, look: str, answer: str) -> Exit:
    """Carry out what was asked of the release workflow, and show it on GitHub."""
    from mlbot.delivery.run_hosted import carry_out

    return carry_out(_workflow_job(job, ask, look=look, answer=answer))
