"""Train what has not been trained yet: the store first, then one checkout a commit for all its models and seeds."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count, groupby
from pathlib import Path

from mlbot.core.config import Model
from mlbot.core.record import Digest, Sha
from mlbot.core.training import Environment, Params, Training, TrainingFailure
from mlbot.stores.results import MODEL_FILE, ResultStore, Stored

Worktrees = Callable[[Sha], AbstractContextManager[Path]]
"""Checks a commit out in a folder of its own, data linked in, and takes it away at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One model with one seed at one commit.

    Attributes:
        model: What the commit's config says of it.
        seed: From 0.
        key: The content key of all that it depends on.
        commit: Where it is trained from.
        lock: Digest of the environment lock.
        params: Its parameters, flat.
        data: The digest of each data file, for the record.
    """

    model: Model
    seed: int
    key: Digest
    commit: Sha
    lock: Digest | None = None
    params: Params = field(default_factory=dict)
    data: Mapping[str, Digest] = field(default_factory=dict)

    def __str__(self) -> str:
        """How progress names it."""
        return f"{self.model.name} seed {self.seed} ({self.commit[:7]})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A model file.

    Attributes:
        path: The ONNX file in the store, there until the store is closed.
        training: Its lineage. The commit may be another one whose inputs are the same.
        cached: Whether it had been trained before.
    """

    path: Path
    training: Training
    cached: bool


def train_models(
    jobs: Sequence[TrainJob],
    store: ResultStore,
    worktrees: Worktrees,
    say: Callable[[str], None],
    *,
    parallel: int = 1,
    logs: Path | None = None,
) -> tuple[Trained | TrainingFailure, ...]:
    """Train each job that the store does not have.

    One after another by default: a training mostly uses every core and much of the memory, so several at once end
    later, or not at all; and they share a checkout, where they may write. `parallel` is for small ones on big machines.
    Once a seed of a model has failed its other seeds are not started: the verdict is an error either way.

    Args:
        jobs: What to train.
        store: Where results are looked for and kept.
        worktrees: Makes the checkouts; none is made for a commit that has nothing left to train.
        say: Is told of progress.
        parallel: How many trainings of one commit at once.
        logs: A folder for what the trainings print; None: not kept.

    Returns:
        One result a job, in their order.
    """
    run = _Run(jobs=jobs, store=store, worktrees=worktrees, say=say, parallel=parallel, logs=logs)
    order = sorted(range(len(jobs)), key=lambda at: [job.commit for job in jobs].index(jobs[at].commit))
    for _, group in groupby(order, key=lambda at: jobs[at].commit):
        run.commit(list(group))
    return tuple(run.results[at] for at in range(len(jobs)))


@dataclass(kw_only=True)
class _Run:
    jobs: Sequence[TrainJob]
    store: ResultStore
    worktrees: Worktrees
    say: Callable[[str], None]
    parallel: int
    logs: Path | None
    results: dict[int, Trained | TrainingFailure] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    done: Iterator[int] = field(default_factory=lambda: count(1))
    environments: dict[Digest | None, Environment] = field(default_factory=dict)

    def commit(self, group: list[int]) -> None:
        """All jobs of one commit."""
        missing = [at for at in group if not self._found(at)]
        if not missing:
            return
        with self.worktrees(self.jobs[missing[0]].commit) as folder:
            if self.parallel <= 1 or len(missing) == 1:
                for at in missing:
                    self._train(at, folder)
            else:
                self._train_beside(missing, folder)

    def _train_beside(self, missing: list[int], folder: Path) -> None:
        """In threads that only wait for child processes. Whatever interrupts this one ends all of them first."""
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="training") as pool:
            futures = [pool.submit(self._train, at, folder) for at in missing]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done():
                        future.result()
            except BaseException:
                self.stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _found(self, at: int) -> bool:
        job = self.jobs[at]
        stored = self.store.get(job.key, job.seed, self._environment(job))
        if stored is not None:
            self._finish(at, _trained(job, stored, cached=True))
        return stored is not None

    def _train(self, at: int, folder: Path) -> None:
        job = self.jobs[at]
        failed = self._failed_before(job)
        if failed is not None:
            message = f"not started, because seed {failed.seed} of the same model failed"
            failure = failed.model_copy(
                update={"seed": job.seed, "message": message, "log_tail": (), "exit_code": None, "timed_out": False}
            )
            self._finish(at, failure)
            return
        with self.store.lock(job.key, job.seed, say=lambda text: self.say(f"{job}: {text}"), stop=self.stop):
            if not self._found(at):
                self._finish(at, self._run(job, folder))

    def _run(self, job: TrainJob, folder: Path) -> Trained | TrainingFailure:
        from mlbot.modeling.training import TrainRequest, train

        self.say(f"{job}: training ...")
        log = self.logs / f"{job.model.name}-{job.seed}-{job.commit[:7]}.log" if self.logs is not None else None
        with self.store.staging() as staged:
            request = TrainRequest(
                model=job.model,
                seed=job.seed,
                key=job.key,
                commit=job.commit,
                folder=folder,
                output=staged / MODEL_FILE,
                environment=self._environment(job),
                params=job.params,
                data=job.data,
                log=log,
            )
            result = train(request, say=self.say, stop=self.stop)
            if isinstance(result, TrainingFailure):
                return result
            return _trained(job, self.store.put(staged, result), cached=False)

    def _failed_before(self, job: TrainJob) -> TrainingFailure | None:
        results = list(self.results.values())  # at once, since other threads add to it
        failures = (result for result in results if isinstance(result, TrainingFailure))
        return next((f for f in failures if (f.key, f.model, f.commit) == (job.key, job.model.name, job.commit)), None)

    def _environment(self, job: TrainJob) -> Environment:
        from mlbot.modeling.environment import current_environment

        if job.lock not in self.environments:
            self.environments[job.lock] = current_environment(job.lock)
        return self.environments[job.lock]

    def _finish(self, at: int, result: Trained | TrainingFailure) -> None:
        self.results[at] = result
        self.say(f"{next(self.done)}/{len(self.jobs)} {self.jobs[at]}: {_outcome(result)}")


def _outcome(result: Trained | TrainingFailure) -> str:
    if isinstance(result, TrainingFailure):
        return result.message
    return "trained before, nothing to do" if result.cached else f"trained in {result.training.duration_s:.1f} s"


def _trained(job: TrainJob, stored: Stored, *, cached: bool) -> Trained:
    """Two models may have the same inputs, and so one result; its record names the one that was asked for."""
    training = stored.training.model_copy(update={"model": job.model.name})
    return Trained(path=stored.path, training=training, cached=cached)
