"""`mlbot train`: train the stale models of the working tree, each content key and seed once."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.activities.plan import read_configs, read_sides
from mlbot.activities.train import Trained
from mlbot.activities.trainer import Trainer
from mlbot.console import Console
from mlbot.core.artifact import FAILURE_FILE
from mlbot.core.plan import Plan, PlannedModel, plan_models
from mlbot.core.training import MESSAGE, Params, TrainingFailure
from mlbot.core.trial import read_overrides
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.git import Repository, three_commits
from mlbot.stores.results import MODEL_FILE, TRAINING_FILE, ResultStore

Result = Trained | TrainingFailure


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """What the command line says.

    Attributes:
        base: the guarded branch, or any revision to take for its tip; None: the default branch.
        models: the models to train, stale or not; empty: the stale ones.
        seeds: the seeds to train; empty: all that the config asks for.
        out: a folder for copies, `<model>/<seed>/model.onnx` and `training.json`, or `failure.json` of a training that
            left no model; None: none are made.
        jobs: trainings at a time.
        as_json: print the lineages as JSON lines.
        git_only: see `PlanOptions`.
        params: `name=value` each, instead of the committed parameters of one model.
        overrides: the same as a JSON object.
    """

    base: str | None = None
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    out: Path | None = None
    jobs: int = 1
    as_json: bool = False
    git_only: bool = False
    params: tuple[str, ...] = ()
    overrides: str | None = None


def train_and_report(directory: Path, options: TrainOptions, console: Console) -> Exit:
    """Train, and print what came of it.

    Returns:
        NOT_EVALUATED when a training left no model, else OK.

    Raises:
        MlbotError: nothing could be trained.
    """
    repository = Repository.discover(directory)
    repository.clean_up()
    commits = three_commits(repository, options.base)
    configs = read_configs(repository, commits)
    sides = read_sides(repository, commits, configs, outside=not options.git_only)
    plan = plan_models(commits, sides.head, sides.base, sides.policy, options.models)
    with ResultStore(repository.state_dir / "results") as store:
        trainer = Trainer(
            repository=repository, store=store, plan=plan, sides=sides, say=console.say, jobs=options.jobs
        )
        changed = _overrides(options, plan, trainer)
        keep = _Keep(directory / options.out if options.out else None)
        results = [
            result for planned in plan.stale for result in _train(trainer, planned, options.seeds, changed, keep)
        ]
    if not plan.stale:
        console.say(f"No model is stale against {commits.guarded}; name one with --model to train it anyway.")
    _print(results, console, as_json=options.as_json)
    return Exit.NOT_EVALUATED if any(isinstance(result, TrainingFailure) for result in results) else Exit.OK


def _overrides(options: TrainOptions, plan: Plan, trainer: Trainer) -> Params:
    """What to train with instead of the committed parameters; they are one model's."""
    if not options.params and not options.overrides:
        return {}
    if len(plan.stale) != 1 or len(options.models) != 1:
        raise UsageError(
            "--param is for one model, and none is named" if not options.models else "--param is for one model",
            mend="Name one with --model.",
        )
    return read_overrides(options.params, options.overrides, trainer.committed(plan.stale[0]))


@dataclass(frozen=True)
class _Keep:
    """Where `--out` wants copies: of each seed the model with its lineage, or why there is none. None: nowhere."""

    out: Path | None

    def result(self, result: Result) -> None:
        """Copy what a training left, in place of what an earlier one did."""
        if self.out is None:
            return
        record = result.training if isinstance(result, Trained) else result
        folder = self.out / record.model / str(record.seed)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (MODEL_FILE, TRAINING_FILE, FAILURE_FILE):
                (folder / name).unlink(missing_ok=True)
            if isinstance(result, Trained):
                shutil.copyfile(result.path, folder / MODEL_FILE)
            name = TRAINING_FILE if isinstance(result, Trained) else FAILURE_FILE
            (folder / name).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"The model cannot be copied: {error.strerror}.",
                where=str(folder),
                mend="Name another folder with --out.",
            ) from error


def _train(
    trainer: Trainer, planned: PlannedModel, seeds: Sequence[int], changed: Params, keep: _Keep
) -> tuple[Result, ...]:
    """Train a model and keep what came of it; also that it could not be started."""
    try:
        results = trainer.candidate(planned, seeds, changed).results
    except MlbotError as error:
        for seed in seeds:
            failure = TrainingFailure(
                model=planned.name,
                key=planned.key,
                seed=seed,
                commit=trainer.plan.commits.head,
                timed_out=False,
                message=str(error)[:MESSAGE],
            )
            keep.result(failure)
        raise
    for result in results:
        keep.result(result)
    return results


def _print(results: Sequence[Result], console: Console, *, as_json: bool) -> None:
    for result in results:
        if as_json:
            record = result.training if isinstance(result, Trained) else result
            console.result(record.model_dump_json())
        elif isinstance(result, Trained):
            made = "trained before" if result.cached else f"trained in {result.training.duration_s:.1f} s"
            console.result(f"{result.training.model} seed {result.training.seed}: {made}, {result.training.digest}")
        else:
            console.result(f"{result.model} seed {result.seed}: no model, {result.message}")
            for line in result.log_tail:
                console.say(f"  | {line}")
