"""`mlbot run`: do on this machine what a pull request of the working tree would do."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mlbot import __version__
from mlbot.activities.judge import Case, Entry, Judged, judge
from mlbot.activities.model_report import Provenance, model_report
from mlbot.activities.plan import Configs, read_configs, read_sides
from mlbot.activities.reporting import Outputs, hand_out
from mlbot.activities.train import Trained
from mlbot.activities.trainer import Team, Trainer
from mlbot.console import Console
from mlbot.core.composition import deleted_report, run_notices
from mlbot.core.config import Config, Model
from mlbot.core.evaluation import Problem
from mlbot.core.judging import Evidence, decide
from mlbot.core.outcome import Reason
from mlbot.core.plan import Plan, PlannedModel, plan_models
from mlbot.core.record import Sha
from mlbot.core.report import Report
from mlbot.core.training import TrainingFailure
from mlbot.core.tree import is_url
from mlbot.errors import Exit
from mlbot.git import Repository, three_commits
from mlbot.stores.results import ResultStore


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
    started = time.monotonic()
    repository = Repository.discover(directory)
    for path in repository.clean_up():
        console.say(f"Removed what a killed run left behind: {path}")
    commits = three_commits(repository, options.base)
    configs = read_configs(repository, commits)
    sides = read_sides(repository, commits, configs)
    plan = plan_models(commits, sides.head, sides.base, sides.policy, options.models)
    with ResultStore(repository.state_dir / "results") as store, ExitStack() as checkouts:
        trainer = Trainer(
            repository=repository, store=store, plan=plan, sides=sides, say=console.say, jobs=options.jobs
        )
        rules = _Rules(repository=repository, plan=plan, configs=configs, checkouts=checkouts)
        found = [_judge(planned, trainer, rules, console) for planned in plan.stale]
    deleted = () if options.models else plan.deleted
    return _report(repository, plan, configs, found, deleted, time.monotonic() - started)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """One model, judged."""

    case: Case
    judged: Judged
    provenance: Provenance


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rules:
    """What models are judged by: the guarded branch's config and a checkout of its files."""

    repository: Repository
    plan: Plan
    configs: Configs
    checkouts: ExitStack
    folders: dict[Sha, Path] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Model, Path, bool]:
        """A model as policy has it, and a checkout of policy; head's own, provisionally, where policy lacks it."""
        commits, policy = self.plan.commits, self.configs.policy
        model = policy.model(name) if policy else None
        if model is not None and policy is not None and commits.policy is not None:
            return model, self._folder(commits.policy, policy), False
        model = self.configs.head.model(name)
        if model is None:
            raise LookupError(f"{name} was planned and is not in the config of head")
        return model, self._folder(commits.head, self.configs.head), True

    def _folder(self, commit: Sha, config: Config) -> Path:
        if commit not in self.folders:
            holdouts = {model.data.holdout for model in config.models if not is_url(model.data.holdout)}
            links = {path: own for path in holdouts if (own := self.repository.root / path).exists()}
            self.folders[commit] = self.checkouts.enter_context(self.repository.worktree(commit, links=links))
        return self.folders[commit]


def _judge(planned: PlannedModel, trainer: Trainer, rules: _Rules, console: Console) -> _Found:
    """Train both sides of a model and judge them."""
    for reason in planned.reasons:
        console.say(f"{planned.name} is stale: {reason.text}")
    candidate = trainer.candidate(planned)
    baseline = _NOT_TRAINED if candidate.failures else trainer.baseline(planned)
    model, folder, provisional = rules.of(planned.name)
    case = Case(
        model=model,
        rules=folder,
        candidate=_entries(candidate),
        baseline=baseline if isinstance(baseline, Problem) else _entries(baseline),
        key=planned.key,
        provisional=provisional,
    )
    provenance = Provenance(
        candidate=candidate.trainings,
        baseline=() if isinstance(baseline, Problem) else baseline.trainings,
        failures=candidate.failures,
        stale_reasons=tuple(reason.text for reason in planned.reasons),
        head=rules.configs.head.model(planned.name),
    )
    return _Found(case=case, judged=judge(case, say=console.say), provenance=provenance)


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


def _report(
    repository: Repository,
    plan: Plan,
    configs: Configs,
    found: Sequence[_Found],
    deleted: Sequence[str],
    duration_s: float,
) -> Report:
    """Decide, and put together what is told."""
    gone = [Evidence(model=name, gates=(), deleted=True) for name in deleted]
    verdict = decide(plan.commits, [*(each.judged.evidence for each in found), *gone])
    judged = (
        model_report(each.case, each.judged, decided, each.provenance)
        for each, decided in zip(found, verdict.models, strict=False)
    )
    without = (deleted_report(decided, configs.base or configs.policy) for decided in verdict.models[len(found) :])
    return Report(
        mlbot_version=__version__,
        repository=repository.root.name,
        verdict=verdict,
        models=(*judged, *without),
        unchanged=plan.unchanged,
        notices=run_notices(plan),
        duration_s=duration_s,
    )
