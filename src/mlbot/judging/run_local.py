"""`mlbot run`: do on this machine what a pull request of the working tree would do."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.gates.outcome import Reason
from mlbot.git.commits import three_commits
from mlbot.git.ledger import read_local
from mlbot.git.repository import Repository
from mlbot.judging.run_assignment import evidence_of
from mlbot.judging.run_compose import Found, Provenance, report_of
from mlbot.judging.run_judge import Case, Entry, Live, judge, local_live
from mlbot.judging.run_output import Outputs, hand_out
from mlbot.judging.run_policy import Rules
from mlbot.judging.waiver_requests import ended
from mlbot.ledger.entries import WaiverEntry
from mlbot.ledger.queries import verdicts
from mlbot.lib.extras import require
from mlbot.plan.plan import Plan, PlannedModel, plan_models
from mlbot.plan.run_plan import read_configs, read_sides
from mlbot.protocol.artifacts import TrainingFailure
from mlbot.report.report import Report
from mlbot.storage.results import ResultStore
from mlbot.training.run_train import Team, Trained, Trainer
from mlbot.verdict.decide import decide
from mlbot.verdict.evidence import Problem
from mlbot.verdict.verdict import Commits


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What the command line says.

    Attributes:
        base: the guarded branch, or any revision to take for its tip; None: the default branch.
        models: the models to judge, stale or not; empty: the stale ones.
        jobs: trainings at a time.
    """

    base: str | None = None
    models: tuple[str, ...] = ()
    jobs: int = 1


def run_and_report(directory: Path, options: RunOptions, outputs: Outputs, console: Console) -> Exit:
    """Train, judge and hand the report out.

    Returns:
        The exit code that the verdict stands for.

    Raises:
        MlbotError: nothing could be judged: no repository, no config, no such branch.
    """
    outputs.check()
    return hand_out(run_models(directory, options, console), outputs, console)


def run_models(directory: Path, options: RunOptions, console: Console) -> Report:
    """Train and judge what is stale in a folder's repository.

    Raises:
        MlbotError: nothing could be judged.
    """
    require("ml", needed_for="Judging a model")
    repository = Repository.discover(directory)
    commits = three_commits(repository, options.base)
    return judge_commits(Work(repository=repository, commits=commits, options=options), console)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What to judge.

    Attributes:
        repository: where the commits are.
        commits: the three commits.
        options: which models, and how many trainings at a time.
        wanted: what of the plan to do; by default all of it.
        then: is given the report and the models while their files are held.
    """

    repository: Repository
    commits: Commits
    options: RunOptions
    wanted: Callable[[Plan], Plan] = lambda plan: plan
    then: Callable[[Report, Sequence[Found]], None] = lambda _report, _found: None


def judge_commits(work: Work, console: Console) -> Report:
    """Train and judge what a commit makes stale, on this machine.

    Raises:
        MlbotError: nothing could be judged.
    """
    started, repository, commits, options = time.monotonic(), work.repository, work.commits, work.options
    for path in repository.clean_up():
        console.say(f"Removed what a killed run left behind: {path}")
    configs = read_configs(repository, commits)
    sides = read_sides(repository, commits, configs)
    plan = work.wanted(plan_models(commits, sides.head, sides.base, sides.policy, options.models))
    with ResultStore(repository.state_dir / "results") as store, ExitStack() as checkouts:
        trainer = Trainer(
            repository=repository, store=store, plan=plan, sides=sides, say=console.say, jobs=options.jobs
        )
        rules = Rules(repository=repository, commits=commits, configs=configs, checkouts=checkouts, trusts_head=True)
        found = [_judge(planned, trainer, rules, console) for planned in plan.stale]
        if options.models:
            plan = plan.model_copy(update={"deleted": ()})
        evidence = evidence_of(plan, configs, sides, found)
        waivers = [each for each in read_local(repository.root, "waiver").entries if isinstance(each, WaiverEntry)]
        verdict = decide(commits, evidence, waivers)
        notices = ended(waivers, verdict, evidence, None)
        spent = time.monotonic() - started
        report = report_of(repository.root.name, plan, configs, found, verdict, notices=notices, duration_s=spent)
        work.then(report, found)
    return report


def _judge(planned: PlannedModel, trainer: Trainer, rules: Rules, console: Console) -> Found:
    """Train both sides of a model and judge them."""
    for reason in planned.reasons:
        console.say(f"{planned.name} is stale: {reason.text}")
    candidate = trainer.candidate(planned)
    baseline = _NOT_TRAINED if candidate.failures else trainer.baseline(planned)
    rule = rules.of(planned.name)
    case = Case(
        model=rule.model,
        rules=rule.folder,
        candidate=_entries(candidate),
        baseline=baseline if isinstance(baseline, Problem) else _entries(baseline),
        key=planned.key,
        base_key=planned.base_key,
        past=tuple(verdicts(read_local(trainer.repository.root, "verdict", planned.name).entries)),
        provisional=rule.provisional,
        live=_live(planned, trainer, rules),
    )
    provenance = Provenance(
        candidate=candidate.trainings,
        baseline=() if isinstance(baseline, Problem) else baseline.trainings,
        failures=candidate.failures,
        stale_reasons=tuple(reason.text for reason in planned.reasons),
        head=rules.configs.head.model(planned.name),
    )
    return Found(case=case, judged=judge(case, say=console.say), provenance=provenance)


def _live(planned: PlannedModel, trainer: Trainer, rules: Rules) -> Live | None:
    folder = Path(rules.checkouts.enter_context(tempfile.TemporaryDirectory(prefix="mlbot-live-")))
    return local_live(rules.configs.policy, trainer.repository.root, planned.name, folder)


_NOT_TRAINED = Problem(
    reason=Reason.NO_BASELINE, detail="The baseline was not trained, because the candidate's training failed."
)


def _entries(team: Team) -> tuple[Entry, ...]:
    return tuple(map(_entry, team.results))


def _entry(result: Trained | TrainingFailure) -> Entry:
    if isinstance(result, Trained):
        return Entry(seed=result.training.seed, file=result.path)
    reason = Reason.TRAINING_TIMEOUT if result.timed_out else Reason.TRAINING_FAILED
    return Entry(seed=result.seed, file=Problem(reason=reason, detail=result.message))
