"""`mlbot train`: train the stale models of the working tree, each content key and seed once."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.activities.plan import read_configs, read_sides
from mlbot.activities.train import Trained
from mlbot.activities.trainer import Trainer
from mlbot.console import Console
from mlbot.core.plan import Plan, plan_models
from mlbot.core.training import Params, TrainingFailure
from mlbot.core.trial import read_overrides
from mlbot.errors import Exit, UsageError
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
        out: a folder for copies, `<model>/<seed>/model.onnx` and `training.json`; None: none are made.
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
        results = [
            result for planned in plan.stale for result in trainer.candidate(planned, options.seeds, changed).results
        ]
        for result in results:
            if options.out and isinstance(result, Trained):
                _copy(result, directory / options.out)
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


def _copy(result: Trained, out: Path) -> None:
    folder = out / result.training.model / str(result.training.seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(result.path, folder / MODEL_FILE)
        (folder / TRAINING_FILE).write_text(result.training.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The model cannot be copied: {error.strerror}.", where=str(folder), mend="Name another folder with --out."
        ) from error


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
