"""Train the two sides of a stale model: the candidate from head, the baseline from base."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlbot.activities.extras import require
from mlbot.activities.plan import Sides
from mlbot.activities.train import Trained, TrainJob, train_models
from mlbot.activities.training_data import data_links, require_data
from mlbot.core.config import Model
from mlbot.core.evaluation import Problem
from mlbot.core.inputs import Side
from mlbot.core.outcome import Reason
from mlbot.core.plan import Plan, PlannedModel
from mlbot.core.record import Sha
from mlbot.core.training import Params, Training, TrainingFailure
from mlbot.core.trial import trial_key
from mlbot.errors import MlbotError
from mlbot.git import Repository
from mlbot.stores.results import ResultStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """What came of one side's trainings of a model, a result a seed."""

    results: tuple[Trained | TrainingFailure, ...]

    @property
    def failures(self) -> tuple[TrainingFailure, ...]:
        """The trainings that left no file."""
        return tuple(result for result in self.results if isinstance(result, TrainingFailure))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The lineage of the files that there are."""
        return tuple(result.training for result in self.results if isinstance(result, Trained))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """Trains what a plan calls stale.

    Attributes:
        repository: where the commits are.
        store: where results are kept.
        plan: what is stale.
        sides: the commits of the plan, as it was planned from.
        say: told of progress.
        jobs: trainings at a time.
    """

    repository: Repository
    store: ResultStore
    plan: Plan
    sides: Sides
    say: Callable[[str], None]
    jobs: int = 1

    def candidate(self, planned: PlannedModel, seeds: Sequence[int] = (), overrides: Params | None = None) -> Team:
        """Train a model from head.

        Args:
            planned: the model.
            seeds: the seeds; none: all that the config asks for.
            overrides: what a trial changes of the committed parameters.

        Raises:
            MlbotError: its data or parameters are not there, or git fails.
        """
        self.say(f"{planned.name}: the candidate, from {self.plan.commits.head[:10]}")
        return self._train(planned.name, self.plan.commits.head, self.sides.head, seeds, overrides or {})

    def committed(self, planned: PlannedModel) -> Params:
        """A model's parameters at head.

        Raises:
            MlbotError: they cannot be read.
        """
        model = self.sides.head.config.model(planned.name)
        return self._params(self.plan.commits.head, model) if model else {}

    def baseline(self, planned: PlannedModel) -> Team | Problem:
        """Train a model from base, or say why there is nothing to compare with.

        What is wrong with base is never an error: it must not stop the change that mends it.
        """
        base, side = self.plan.commits.base, self.sides.base
        if base is None or side is None or planned.base_key is None:
            why = "; ".join(reason.text for reason in planned.reasons)
            return _no_baseline(f"There is nothing to compare with: {why}.")
        self.say(f"{planned.name}: the baseline, from {base[:10]}")
        try:
            team = self._train(planned.name, base, side)
        except MlbotError as error:
            return _no_baseline(f"The baseline cannot be trained: {error.what}.")
        if team.failures:
            return _no_baseline(f"The training of the baseline failed: {team.failures[0].message}.")
        return team

    def _train(
        self, name: str, commit: Sha, side: Side, seeds: Sequence[int] = (), overrides: Params | None = None
    ) -> Team:
        model = side.config.model(name)
        if model is None:
            raise LookupError(f"{name} was planned and is not in the config of {commit}")
        if model.train.entrypoint:
            require("ml", needed_for=f"Exporting the model of {model.train.entrypoint}")
        inputs, changed = side.inputs(model), overrides or {}
        params = {**self._params(commit, model), **changed}
        key = trial_key(inputs.key, changed)
        jobs = [
            TrainJob(model=model, seed=seed, key=key, commit=commit, lock=inputs.lock, params=params, data=inputs.data)
            for seed in seeds or range(model.train.seeds)
        ]
        checkout = partial(self._checkout, model)
        return Team(results=train_models(jobs, self.store, checkout, self.say, parallel=self.jobs))

    def _params(self, commit: Sha, model: Model) -> Params:
        from mlbot.yamlfile import load_params

        path = model.train.params
        return load_params(self.repository.read(commit, path), path) if path else {}

    @contextmanager
    def _checkout(self, model: Model, commit: Sha) -> Iterator[Path]:
        links = data_links(self.repository, commit, self.plan.commits.head, [model])
        with self.repository.worktree(commit, links=links) as folder:
            require_data(folder, model)
            yield folder


def _no_baseline(detail: str) -> Problem:
    return Problem(reason=Reason.NO_BASELINE, detail=detail)
