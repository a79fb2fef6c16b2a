"""`mlbot train`: train the stale models of the working tree, each content key and seed once."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel

from mlbot.config.run_check import Folder
from mlbot.config.schema import Model
from mlbot.config.train import TrainEnvironment
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError
from mlbot.gates.outcome import Reason
from mlbot.git.merge import three_commits
from mlbot.git.repository import Repository
from mlbot.ledger.entries import Environment
from mlbot.lib.artifact import MODEL_FILE, UnfitError
from mlbot.lib.constants import CONFIG_FILE, LFS_POINTER
from mlbot.lib.record import Count, Digest, Name, Params, Sha
from mlbot.lib.tree import is_url, module_files, shown
from mlbot.lib.untrusted_json import HostileJsonError, read
from mlbot.plan.content_key import Side, dvc_files
from mlbot.plan.plan import Plan, PlannedModel
from mlbot.plan.run_plan import Planning, read_configs, read_sides, with_history
from mlbot.protocol.artifacts import FAILURE_FILE, FOLDER_FILE, MESSAGE, Training, TrainingFailure
from mlbot.storage.artifact import copy, pack, remove, take_artifact
from mlbot.storage.results import TRAINING_FILE, ResultStore, Stored
from mlbot.training.run_bring import NOWHERE, Bringing, UnreachableError
from mlbot.training.run_environment import Environments, NotMadeError, Wanted, lay_out, paths
from mlbot.training.trial import read_overrides, trial_key
from mlbot.verdict.verdict import Commits, Problem

Worktrees = Callable[[Sha], AbstractContextManager[Path]]
"""Checks a commit out in a folder of its own, data linked in, and takes it away at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One model with one seed at one commit."""

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
    """A model."""

    path: Path  # the file or folder in the store, there until the store is closed
    training: Training  # its lineage. The commit may be another one whose inputs are the same
    cached: bool


Result = Trained | TrainingFailure

_MOST_BYTES = 2 << 30  # what a training may always leave: how large a model may be is for who judges it


def train_models(
    jobs: Sequence[TrainJob],
    store: ResultStore,
    worktrees: Worktrees,
    progress: Callable[[str], None],
    *,
    parallel: int = 1,
    logs: Path | None = None,
) -> tuple[Trained | TrainingFailure, ...]:
    """Train each job that the store does not have; a result a job, in their order.

    One after another by default: a training mostly uses every core and much of the memory, so several at once end
    later, or not at all; and they share a checkout, where they may write. `parallel` is for small ones on big machines.
    Once a seed of a model has failed its other seeds are not started: the verdict is an error either way.
    """
    run = _Run(jobs=jobs, store=store, worktrees=worktrees, progress=progress, parallel=parallel, logs=logs)
    order = sorted(range(len(jobs)), key=lambda at: [job.commit for job in jobs].index(jobs[at].commit))
    for _, group in groupby(order, key=lambda at: jobs[at].commit):
        run.commit(list(group))
    return tuple(run.results[at] for at in range(len(jobs)))


def stored_models(jobs: Sequence[TrainJob], store: ResultStore) -> tuple[Trained, ...]:
    """What the store has of some jobs; nothing is trained, and nothing said."""
    run = _Run(jobs=jobs, store=store, worktrees=_no_checkout, progress=_silent, parallel=1, logs=None)
    return tuple(each for at in range(len(jobs)) if isinstance(each := run.found(at), Trained))


def _silent(_text: str) -> None:
    return


def _no_checkout(commit: Sha) -> AbstractContextManager[Path]:
    raise LookupError(f"nothing of {commit} is trained here")


@dataclass(kw_only=True)
class _Run:
    jobs: Sequence[TrainJob]
    store: ResultStore
    worktrees: Worktrees
    progress: Callable[[str], None]
    parallel: int
    logs: Path | None
    results: dict[int, Trained | TrainingFailure] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    done: Iterator[int] = field(default_factory=lambda: count(1))
    environments: dict[tuple[Digest | None, TrainEnvironment | None], Environment] = field(default_factory=dict)

    bins: dict[tuple[Sha, TrainEnvironment], Path] = field(default_factory=dict)

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

    def found(self, at: int) -> Trained | None:
        """What the store has of a job."""
        job = self.jobs[at]
        stored = self.store.get(job.key, job.seed, self._environment(job))
        return None if stored is None else _trained(job, stored, cached=True)

    def _found(self, at: int) -> bool:
        found = self.found(at)
        if found is not None:
            self._finish(at, found)
        return found is not None

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
        with self.store.lock(job.key, job.seed, progress=lambda text: self.progress(f"{job}: {text}"), stop=self.stop):
            if not self._found(at):
                self._finish(at, self._run(job, folder))

    def _run(self, job: TrainJob, folder: Path) -> Trained | TrainingFailure:
        from mlbot.ml.train import TrainRequest, train

        try:
            bin_folder = self._bin(job, folder)
        except NotMadeError as error:
            return _failure(job, str(error), tail=error.tail)
        self.progress(f"{job}: training ...")
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
                own=paths(bin_folder) if bin_folder else {},
                max_bytes=max(job.model.most_bytes, _MOST_BYTES),
                take=take_artifact,
            )
            with self.store.training(lambda text: self.progress(f"{job}: {text}")):
                result = train(request, progress=self.progress, stop=self.stop)
            if isinstance(result, TrainingFailure):
                return result
            return _trained(job, self.store.put(staged, result), cached=False)

    def _failed_before(self, job: TrainJob) -> TrainingFailure | None:
        results = list(self.results.values())  # at once, since other threads add to it
        failures = (result for result in results if isinstance(result, TrainingFailure))
        return next((f for f in failures if (f.key, f.model, f.commit) == (job.key, job.model.name, job.commit)), None)

    def _bin(self, job: TrainJob, folder: Path) -> Path | None:
        """The programs of the training's own environment; None where it has none."""
        wanted = job.model.train.environment
        if wanted is None:
            return None
        at = (job.commit, wanted)  # whatever a training or the installing writes into the checkout
        if at not in self.bins:
            asked = Wanted(
                model=job.model.name,
                key="train.environment",
                environment=wanted,
                timeout_s=job.model.train.timeout_s,
            )
            self.bins[at] = self._made.prepare(asked, folder, job.commit, self.stop)
        return self.bins[at]

    @property
    def _made(self) -> Environments:
        return Environments(folder=self.store.root.parent / "environments", progress=self.progress)

    def _environment(self, job: TrainJob) -> Environment:
        from mlbot.ml.train import current_environment

        own = job.model.train.environment
        at = (job.lock, own)
        if at not in self.environments:
            self.environments[at] = self._made.record(own, job.lock) if own else current_environment(job.lock)
        return self.environments[at]

    def _finish(self, at: int, result: Trained | TrainingFailure) -> None:
        self.results[at] = result
        self.progress(f"{next(self.done)}/{len(self.jobs)} {self.jobs[at]}: {_outcome(result)}")


def _failure(job: TrainJob, message: str, *, tail: tuple[str, ...] = ()) -> TrainingFailure:
    return TrainingFailure(
        model=job.model.name,
        key=job.key,
        seed=job.seed,
        commit=job.commit,
        timed_out=False,
        message=message[:MESSAGE],
        log_tail=tail,
    )


def _outcome(result: Trained | TrainingFailure) -> str:
    if isinstance(result, TrainingFailure):
        return result.message
    return "trained before, nothing to do" if result.cached else f"trained in {result.training.duration_s:.1f} s"


def _trained(job: TrainJob, stored: Stored, *, cached: bool) -> Trained:
    """Two models may have the same inputs, and so one result; its record names the one that was asked for."""
    training = stored.training.model_copy(update={"model": job.model.name})
    return Trained(path=stored.path, training=training, cached=cached)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedRun:
    """What one seed's training left."""

    seed: int
    file: Path | Problem
    record: Training | TrainingFailure | None = None
    """The lineage of the file, or the training's own words on why there is none; None where nothing is known."""
    digest: Digest | None = None
    """Of the file when mlbot took it from its training; None where only who sent it knows. Other bytes do not count."""

    @classmethod
    def of(cls, result: Result) -> "SeedRun":
        """What a training on this machine left."""
        if isinstance(result, Trained):
            record = result.training
            return cls(seed=record.seed, file=result.path, record=record, digest=record.digest)
        return cls(seed=result.seed, file=result.problem, record=result)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedRuns:
    """One side of a comparison: a run a seed; the first one's file is what ships."""

    runs: tuple[SeedRun, ...]

    @property
    def failures(self) -> tuple[TrainingFailure, ...]:
        """The trainings that left no file, and said why."""
        return tuple(run.record for run in self.runs if isinstance(run.record, TrainingFailure))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The lineage of the files that have one."""
        return tuple(run.record for run in self.runs if isinstance(run.record, Training))

    @property
    def problem(self) -> Problem | None:
        """Why the first seed that has no file has none."""
        return next((run.file for run in self.runs if isinstance(run.file, Problem)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """Trains what a plan calls stale."""

    planning: Planning
    store: ResultStore
    progress: Callable[[str], None]
    jobs: int = 1

    def candidate(
        self, planned: PlannedModel, seeds: Sequence[int] = (), overrides: Params | None = None
    ) -> tuple[Result, ...]:
        """Train a model from head; a result a seed."""
        commit = self.planning.commits.candidate
        self.progress(f"{planned.name}: the candidate, from {commit[:10]}")
        wanted = seeds or range(planned.seeds)
        return self._train(planned.name, commit, self.planning.sides.head, wanted, overrides or {})

    def committed(self, planned: PlannedModel) -> Params:
        """A model's parameters at head."""
        model = self.planning.configs.head.model(planned.name)
        return self._params(self.planning.commits.candidate, model) if model else {}

    def baseline(self, planned: PlannedModel, commit: Sha, seeds: int) -> SeedRuns | Problem:
        """Train so many seeds of a model from a commit of the guarded branch, or say why that cannot be.

        What is wrong with the branch is never an error here: it must not stop the change that fixes it.
        """
        self.progress(f"{planned.name}: the baseline, from {commit[:10]}")
        try:
            trained = self._train(planned.name, commit, self._side(commit), range(seeds))
            runs = SeedRuns(runs=tuple(map(SeedRun.of, trained)))
        except UnreachableError as error:
            return Problem.of(Reason.BASELINE_UNREACHABLE, "fault", why=error.what)
        except MlbotError as error:
            return Problem.of(Reason.BASELINE_UNREACHABLE, "not-trained", why=error.what)
        if runs.failures:
            return Problem.of(Reason.BASELINE_UNREACHABLE, "not-trained", why=runs.failures[0].message)
        return runs

    def trained(self, name: Name, commit: Sha, seeds: Sequence[int]) -> SeedRuns | None:
        """What this machine has trained of a commit's model already; None where it lacks a seed, or cannot tell."""
        try:
            side = self._side(commit)
            model = side.config.model(name)
            jobs = self._jobs(model, commit, side, seeds, {}) if model is not None and model.artifact is None else []
        except MlbotError:
            return None
        found = stored_models(jobs, self.store)
        return SeedRuns(runs=tuple(map(SeedRun.of, found))) if found and len(found) == len(seeds) else None

    def _side(self, commit: Sha) -> Side:
        commits, sides = self.planning.commits, self.planning.sides
        if commit == commits.base and sides.base is not None:
            return sides.base
        alone = Commits(head=commit, base=None, policy=None, guarded=commits.guarded)
        repository = self.planning.repository
        side = read_sides(repository, alone, read_configs(repository, alone)).head
        return side.called({new: old for new, old in self.planning.names.items() if new not in side.models})

    def _train(
        self, name: str, commit: Sha, side: Side, seeds: Sequence[int], overrides: Params | None = None
    ) -> tuple[Result, ...]:
        model = side.config.model(name)
        if model is None:
            raise LookupError(f"{name} was planned and is not in the config of {commit}")
        if model.artifact is not None:
            bringing = Bringing(model=model, artifact=model.artifact, side=side, repository=self.planning.repository)
            return self._bring(bringing, commit, seeds)
        jobs = self._jobs(model, commit, side, seeds, overrides or {})
        with self.planning.repository.watched_digests():
            results = train_models(
                jobs, self.store, partial(self._checkout, model, side), self.progress, parallel=self.jobs
            )
        return tuple(each if isinstance(each, Trained) else undeclared(each, model, side) for each in results)

    def _jobs(self, model: Model, commit: Sha, side: Side, seeds: Sequence[int], changed: Params) -> list[TrainJob]:
        inputs = side.inputs(model)
        params = {**self._params(commit, model), **changed}
        key = trial_key(inputs.key, changed)
        return [
            TrainJob(model=model, seed=seed, key=key, commit=commit, lock=inputs.lock, params=params, data=inputs.data)
            for seed in seeds
        ]

    def _bring(self, bringing: Bringing, commit: Sha, seeds: Sequence[int]) -> tuple[Result, ...]:
        """A model that was made elsewhere: the same one for each seed that is asked for."""
        name, key = bringing.model.name, bringing.side.inputs(bringing.model).key
        try:
            stored = self.store.get(key, 0, NOWHERE) or self._brought(bringing, key, commit)
        except UnfitError as error:
            message = f"artifact names no model: {error.what}"
            failed = TrainingFailure(
                model=name, key=key, seed=0, commit=commit, timed_out=False, brought=True, message=message[:MESSAGE]
            )
            return tuple(failed.model_copy(update={"seed": seed}) for seed in seeds)
        training = stored.training.model_copy(update={"model": name})
        self.progress(f"{name}: {bringing.artifact.url}, {training.digest}")
        return tuple(
            Trained(path=stored.path, training=training.model_copy(update={"seed": seed}), cached=True)
            for seed in seeds
        )

    def _brought(self, bringing: Bringing, key: Digest, commit: Sha) -> Stored:
        self.progress(f"{bringing.model.name}: fetching {bringing.artifact.url} ...")
        started = time.monotonic()
        with self.store.lock(key, 0, progress=self.progress), self.store.staging() as staged:
            found, origin = bringing.bring(staged / MODEL_FILE)
            training = Training(
                model=bringing.model.name,
                key=key,
                seed=0,
                commit=commit,
                environment=NOWHERE,
                duration_s=time.monotonic() - started,
                peak_memory_bytes=0,
                origin=origin,
                **found.model_dump(),
            )
            return self.store.put(staged, training)

    def _params(self, commit: Sha, model: Model) -> Params:
        from mlbot.config.params import load_params

        path = model.train.params
        return load_params(self.planning.repository.read(commit, path), path) if path else {}

    @contextmanager
    def _checkout(self, model: Model, side: Side, commit: Sha) -> Iterator[Path]:
        """What the training sees: the whole commit, or where the model declares what it depends on just that.

        A file that is not declared is missing, rather than read and left out of the content key.
        """
        repository = self.planning.repository
        links = data_links(repository, commit, self.planning.commits.head, [model])
        with repository.worktree(commit, links=links) as folder:
            require_data(folder, model)
            if model.train.depends is None:
                strip_notebooks(folder, model, side)
                yield folder
                return
            with repository.scratch() as scratch:
                seen = scratch / repository.folder  # what is beside the folder is beside it here too
                seen.mkdir(parents=True, exist_ok=True)
                lay_out(folder, seen, [*declared(model, side), *links])
                strip_notebooks(seen, model, side)
                yield seen


def declared(model: Model, side: Side) -> frozenset[str]:
    """The files that a model with `depends` is trained from: those, its data, parameters and lock."""
    return side.files(model) | side.apart(model)


def strip_notebooks(folder: Path, model: Model, side: Side) -> None:
    """Leave of a checkout's notebooks what counts, where one trains: an output cannot be an input that nobody sees."""
    for path, notebook in side.notebooks.items() if model.train.notebook else ():
        if (folder / path).is_file():
            (folder / path).write_bytes(notebook.stripped())


_MISSING = re.compile(
    r"No module named '(?P<module>[\w.]+)'|(No such file or directory: |can't open file )'(?P<path>[^']+)'"
)
"""How Python says that it did not find something."""


def undeclared(failure: TrainingFailure, model: Model, side: Side) -> TrainingFailure:
    """The failure; with the way out where the training looked for a file of the commit that is not in `depends`."""
    if model.train.depends is None:
        return failure
    seen = declared(model, side)
    found = (_MISSING.search(line) for line in reversed((failure.message, *failure.log_tail)))
    names = (name for each in found if each for name in _files_meant(each, side))
    path = next((name for name in names if name not in seen), None)
    if path is None:
        return failure
    if path in side.holdouts:
        message = f"the training reads {shown(path)}, a holdout, which no training sees: it has to use other rows"
    else:
        message = f"{shown(path)} is not in train.depends, so the training does not see it: add it to depends"
    return failure.model_copy(update={"message": message[:MESSAGE]})


def _files_meant(found: re.Match[str], side: Side) -> list[str]:
    if found["module"]:
        folder = found["module"].replace(".", "/")
        package = (*side.tree.match(folder), *side.tree.match(f"src/{folder}"))
        return sorted(module_files(found["module"], side.tree)) or sorted(package)
    parts = found["path"].split("/")
    suffixes = ("/".join(parts[start:]) for start in range(len(parts)))
    return [suffix for suffix in suffixes if suffix in side.tree.entries]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """What the command line says."""

    base: str | None = None  # the guarded branch, or any revision to take for its tip; None: the default branch
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    trainings: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # instead of `seeds`, by model
    out: Path | None = None
    """A folder for copies, `<model>/<seed>/model.onnx` (or `artifact`) and `training.json`, or `failure.json` of a
    training that left no model; None: none are made."""
    packed: bool = False  # whether the copies travel: then a folder is one file
    jobs: int = 1
    as_json: bool = False
    git_only: bool = False
    params: tuple[str, ...] = ()  # `name=value` each, instead of the committed parameters of one model
    overrides: str | None = None

    def says_seeds(self, plan: Plan) -> bool:
        """Whether it names the seeds of every model that is trained."""
        return bool(self.seeds) or all(each.name in self.trainings for each in plan.stale)


class _Trainings(RootModel[dict[Name, Annotated[tuple[Count, ...], Field(min_length=1, max_length=1000)]]]):
    """The seeds to train, by model."""


def read_trainings(text: str) -> dict[Name, tuple[int, ...]]:
    """What one job trains, as `mlbot ci matrix` printed it."""
    try:
        return read(text.encode(), _Trainings, "--trainings").root
    except HostileJsonError as error:
        raise UsageError(error.what, hint="Write it as --trainings '{\"churn\": [0, 1, 2]}'") from error


def train_and_report(directory: Path, options: TrainOptions, console: Console) -> Exit:
    """Train, and print what came of it; NOT_EVALUATED when a training left no model."""
    repository = Repository.discover(directory)
    repository.leave_out([directory / options.out] if options.out else [])
    repository.clean_up()
    commits = three_commits(repository, options.base)
    planning = Planning.of(repository, commits, options.models, outside=not options.git_only)
    plan = planning.plan
    if not options.says_seeds(plan):  # a job's checkout has no history to count by, and is given them
        plan = with_history(repository, plan, trial=bool(options.params or options.overrides))
    with ResultStore(repository.state_dir / "results") as store:
        trainer = Trainer(planning=planning, store=store, progress=console.say, jobs=options.jobs)
        changed = _overrides(options, plan, trainer)
        out = directory / options.out if options.out else None
        names = {model.name: model.file_name for model in planning.configs.head.models}
        copies = _Copies(out=out, packed=options.packed, names=names)
        folder = Folder.of(repository.project)
        results, failed = list[Result](), list[MlbotError]()
        for planned in plan.stale:
            seeds = options.trainings.get(planned.name, options.seeds)
            try:
                results += _train(trainer, folder, planned, seeds, changed, copies)
            except MlbotError as error:  # of one model; the others of the same job have their own verdicts
                failed.append(error)
    if not plan.stale:
        console.say(f"No model is stale against {commits.guarded}; name one with --model to train it anyway.")
    _print(results, console, as_json=options.as_json)
    for each in failed[:-1]:
        console.say(str(each))
    if failed:
        raise failed[-1]
    return Exit.NOT_EVALUATED if any(isinstance(result, TrainingFailure) for result in results) else Exit.OK


def _overrides(options: TrainOptions, plan: Plan, trainer: Trainer) -> Params:
    """What to train with instead of the committed parameters; they are one model's."""
    if not options.params and not options.overrides:
        return {}
    if len(plan.stale) != 1 or len(options.models) != 1:
        raise UsageError(
            "--param is for one model, and none is named" if not options.models else "--param is for one model",
            hint="Name one with --model.",
        )
    return read_overrides(options.params, options.overrides, trainer.committed(plan.stale[0]))


@dataclass(frozen=True)
class _Copies:
    """Where `--out` wants copies: of each seed the model with its lineage, or why there is none. None: nowhere."""

    out: Path | None
    packed: bool = False
    names: Mapping[Name, str] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Copy what a training left, in place of what an earlier one did."""
        if self.out is None:
            return
        record = result.training if isinstance(result, Trained) else result
        folder = self.out / record.model / str(record.seed)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in {*self.names.values(), MODEL_FILE, FOLDER_FILE, TRAINING_FILE, FAILURE_FILE}:
                remove(folder / name)
            if isinstance(result, Trained):
                self._copy(result, folder)
            name = TRAINING_FILE if isinstance(result, Trained) else FAILURE_FILE
            (folder / name).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"The model cannot be copied: {error.strerror}.",
                where=str(folder),
                hint="Name another folder with --out.",
            ) from error

    def _copy(self, result: Trained, folder: Path) -> None:
        digest = result.training.digest
        if self.packed and result.path.is_dir():
            pack(result.path, folder / FOLDER_FILE, digest)
        else:
            name = MODEL_FILE if self.packed else self.names.get(result.training.model, MODEL_FILE)
            copy(result.path, folder / name, digest)


def _train(
    trainer: Trainer, folder: Folder, planned: PlannedModel, seeds: Sequence[int], changed: Params, copies: _Copies
) -> tuple[Result, ...]:
    try:
        folder.check(folder.shared(trainer.planning.configs.head, [planned.name]))
        results = trainer.candidate(planned, seeds, changed)
    except MlbotError as error:
        model = trainer.planning.configs.head.model(planned.name)
        for seed in seeds:
            failure = TrainingFailure(
                model=planned.name,
                key=planned.key,
                seed=seed,
                commit=trainer.planning.commits.candidate,
                timed_out=False,
                brought=model is not None and model.artifact is not None,
                message=str(error)[:MESSAGE],
            )
            copies.add(failure)
        raise
    for result in results:
        copies.add(result)
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


_POINTER_BYTES = 1024


def data_links(repository: Repository, sha: Sha, head: Sha, models: Iterable[Model]) -> Mapping[str, Path]:
    """The training data that a commit's worktree lacks and the user's tree has, as `Repository.worktree` takes it."""
    return links_to(repository, sha, head, (model.data.train for model in models if model.data.train))


def links_to(repository: Repository, sha: Sha, head: Sha, data: Iterable[str]) -> Mapping[str, Path]:
    """Of data those files that a commit's worktree lacks and the working tree, of another commit, has.

    Data of DVC is lent only to a commit with the same `.dvc` file as the working tree's: for another one the user's
    file would be the wrong version.
    """
    paths = {path for path in data if not is_url(path)}
    trees = repository.tree(sha), repository.tree(head)
    then, now = (
        {path: next((tree.entries[name] for name in dvc_files(path) if name in tree.entries), None) for path in paths}
        for tree in trees
    )
    return {
        path: repository.project / path
        for path in sorted(paths)
        if not trees[0].match(path) and then[path] == now[path] and (repository.project / path).exists()
    }


def require_data(folder: Path, model: Model) -> None:
    """Make sure that a checkout has the model's training data itself, not what stands for it."""
    path = model.data.train
    if path is None or is_url(path):
        return
    where = f"{CONFIG_FILE}: models.{model.name}.data.train"
    if not (folder / path).exists():
        pointer = next((name for name in dvc_files(path) if (folder / name).is_file()), None)
        if pointer is None:
            raise NotEvaluatedError(
                f"there is no {shown(path)}", where=where, hint="Put the data there, or fix the path."
            )
        raise NotEvaluatedError(
            f"{shown(path)} is kept by DVC and is not here in the version of this commit",
            where=where,
            hint=f"Fetch it: dvc pull {pointer} (to train an older commit, as the first step of `train.run`).",
        )
    for file in _files(folder / path):
        if is_lfs_pointer(file):
            name = shown(str(file.relative_to(folder)))
            raise NotEvaluatedError(
                f"{name} is a pointer of Git LFS, not the data",
                where=where,
                hint=f'Fetch it: git lfs install && git lfs pull --include="{name}" '
                "(in GitHub Actions: actions/checkout with lfs: true).",
            )


def _files(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.rglob("*")) if file.is_file()) if path.is_dir() else iter((path,))


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file stands for one that Git LFS has not fetched."""
    if file.stat().st_size >= _POINTER_BYTES:
        return False
    with file.open("rb") as opened:
        return opened.read(len(LFS_POINTER)) == LFS_POINTER


def unfetched(source: Path | str) -> Problem | None:
    """Why a holdout cannot be read that Git LFS or DVC has not fetched: it would only look damaged, or missing."""
    if not isinstance(source, Path):
        return None
    if source.is_file() and is_lfs_pointer(source):
        return Problem.of(Reason.HOLDOUT_UNREADABLE, "lfs-pointer", holdout=source.name)
    if not source.exists() and any(Path(f"{each}.dvc").is_file() for each in (source, *source.parents)):
        return Problem.of(Reason.HOLDOUT_UNREADABLE, "dvc-pointer", holdout=source.name)
    return None
