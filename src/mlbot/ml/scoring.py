"""Scoring untrusted model files: each in a child process of its own, all of them in one reading of the holdout.

    holdout = open_holdout(path, model.data, model.task, model.slices)
    scored = score_many(paths, holdout, limits=Limits(wall_s=300))   # Scored | Problem for each path, in order

Nothing of a model file is parsed in this process. What its child answers is checked like anything from outside.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mlbot.errors import MlbotError
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.lib.record import Record
from mlbot.ml.feeding import Packed
from mlbot.ml.guard import ModelFile, open_model
from mlbot.ml.holdout import HoldoutData, pack
from mlbot.ml.predictions import Collector, Floats, columns_of
from mlbot.ml.protocol import Batch, Expected, Load, Loaded, Measure, Measured, ModelFacts, Predicted
from mlbot.ml.sandbox import hidden_from_children
from mlbot.ml.text import printable, quoted
from mlbot.ml.worker import ScoringError, Worker
from mlbot.verdict.evidence import Latency, Problem

# What a scoring is given and what it gives.


class Protection(Record):
    """What held a model back while it was scored. Each is True when it was in force."""

    empty_environment: bool
    """No environment variable, so no credential."""
    other_user: bool
    """Another user than the judge's; only a judge run by root can do that."""
    no_network: bool
    """A network namespace with nothing in it."""
    no_new_privileges: bool
    resource_limits: bool
    """Memory, processor time, file size."""
    no_new_files: bool
    """No file, socket or pipe can be opened."""
    system_calls: bool
    """A filter allows computing and the open pipes, nothing else: no files, no sockets, no programs."""
    ends_with_parent: bool
    parent_hidden: bool
    """The judge's memory and environment cannot be read by a process of the same user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one model may use.

    Attributes:
        size_bytes: the largest file.
        memory_bytes: memory of its process beyond the libraries.
        wall_s: seconds the judge waits for it in all; also its processor seconds.
        threads: threads of a prediction; latency is comparable only with one.
        batch_rows: rows predicted at a time; fewer when there are many features.
        latency_requests: single rows that are timed.
        latency_s: seconds after which timing stops early.
    """

    size_bytes: int = 256 << 20
    memory_bytes: int = 2 << 30
    wall_s: float = 900.0
    threads: int = 1
    batch_rows: int = 16_384
    latency_requests: int = 200
    latency_s: float = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One model file's predictions on a holdout.

    Attributes:
        predictions: float64: (n,) P(positive) or the number, or (n, C) in the order of `classes`.
        classes: the holdout's classes; for multiclass, after them any that a model of the same scoring knows beside
            them (so the label codes stay as they are). Empty for regression.
        digest: `sha256:…` of exactly the bytes that were scored.
        size_bytes: how many they were.
        latency: how long predictions took.
        protection: what held the model back.
        facts: what the file is.
    """

    predictions: Floats
    classes: tuple[str, ...]
    digest: str
    size_bytes: int
    latency: Latency
    protection: Protection
    facts: ModelFacts


# One model on its way through a scoring.

_WIDEST_FLOAT = 8

_NONSENSE = Problem(
    reason=Reason.SCORING_FAILED, detail="The scoring process answered with something that does not fit the question."
)

_T = TypeVar("_T")

_R = TypeVar("_R", bound=Record)


class Run:
    """One model file and its child. Once there is a problem, the child is ended and nothing more is asked of it.

    Attributes:
        problem: Why there will be no predictions.
    """

    def __init__(self, path: Path, limits: Limits, *, parent_hidden: bool) -> None:
        self.problem: Problem | None = None
        self._path = path
        self._limits = limits
        self._parent_hidden = parent_hidden
        self._protection: Protection | None = None
        self._file: ModelFile | None = None
        self._worker: Worker | None = None
        self._facts: ModelFacts | None = None
        self._latency: Latency | None = None
        self._collector: Collector | None = None
        self._asked = 0

    @property
    def facts(self) -> ModelFacts:
        """What the loaded file is."""
        return _there(self._facts)

    def start(self, expected: Expected, stack: ExitStack) -> None:
        """Open the file and, when it may be a model, start a child for it; both end with the stack."""
        opened = open_model(self._path, self._limits.size_bytes)
        if isinstance(opened, Problem):
            self.problem = opened
            return
        self._file = opened
        stack.callback(opened.close)
        limits = self._limits
        worker = Worker(expected, memory_bytes=limits.memory_bytes, wall_s=limits.wall_s, threads=limits.threads)
        self._worker = stack.enter_context(worker)

    def load(self) -> None:
        """Give the child the file's bytes."""
        file = _there(self._file)
        with self._asking() as worker:
            self._protection = Protection(**worker.ready(), parent_hidden=self._parent_hidden)
            worker.send(Load(), file.size, file.chunks())
            answer, _ = worker.receive(0)
            self._facts = _of_kind(answer, Loaded).facts

    def begin(self, holdout: HoldoutData, classes: tuple[str, ...]) -> None:
        """Make room for the predictions, now that the classes of all models are known."""
        task = holdout.record.task
        columns = columns_of(self.facts, task, classes)
        if isinstance(columns, Problem):
            self._fail(columns)
            return
        shape = (holdout.rows, len(classes)) if task is Task.MULTICLASS else (holdout.rows,)
        self._collector = Collector(task=task, whole=np.empty(shape), columns=columns)

    def measure(self, sample: Packed) -> None:
        """Time predictions of some rows."""
        limits = self._limits
        question = Measure(
            rows=sample.rows, columns=sample.columns, requests=limits.latency_requests, seconds=limits.latency_s
        )
        with self._asking() as worker:
            worker.send(question, sample.length, sample.chunks)
            answer, _ = worker.receive(0)
            found = _of_kind(answer, Measured)
            self._latency = Latency(
                requests=found.requests,
                p50_ms=found.p50_ms,
                p95_ms=found.p95_ms,
                batch_rows=sample.rows,
                rows_per_s=found.rows_per_s,
            )

    def send(self, batch: Packed) -> None:
        """Give the child a batch; its answer is fetched later, so that the children work side by side."""
        self._asked = batch.rows
        with self._asking() as worker:
            worker.send(Batch(rows=batch.rows, columns=batch.columns), batch.length, batch.chunks)

    def receive(self) -> None:
        """Fetch the predictions of the batch that was sent."""
        if self.problem is not None:
            return
        with self._asking() as worker:
            width = max(1, len(self.facts.classes))
            answer, raw = worker.receive(self._asked * width * _WIDEST_FLOAT)
            found = _of_kind(answer, Predicted)
            dtype = np.dtype(found.dtype)
            if (found.rows, found.width) != (self._asked, width) or len(raw) != self._asked * width * dtype.itemsize:
                raise ScoringError(_NONSENSE)
            _there(self._collector).add(np.frombuffer(raw, dtype).reshape(self._asked, width))

    def result(self, classes: tuple[str, ...]) -> Scored | Problem:
        """The predictions, or why there are none."""
        if self.problem is not None:
            return self.problem
        collector, file = _there(self._collector), _there(self._file)
        wrong = collector.problem()
        if wrong is not None:
            return wrong
        return Scored(
            predictions=collector.whole,
            classes=classes,
            digest=file.digest,
            size_bytes=file.size,
            latency=_there(self._latency),
            protection=_there(self._protection),
            facts=self.facts,
        )

    @contextmanager
    def _asking(self) -> Iterator[Worker]:
        """Talk to the child; when that ends badly, end the child and keep the reason."""
        worker = _there(self._worker)
        try:
            yield worker
        except ScoringError as error:
            self._fail(error.problem)
        except OSError as error:
            self._fail(Problem(reason=Reason.MODEL_REFUSED, detail=f"The model file cannot be read: {error}."))

    def _fail(self, problem: Problem) -> None:
        self.problem = problem
        _there(self._worker).close()


def _there(value: _T | None) -> _T:
    """What an earlier step left behind. Raises `ValueError` when the steps are taken out of turn."""
    if value is None:
        raise ValueError("the steps of a scoring were taken out of turn")
    return value


def _of_kind(answer: Record, kind: type[_R]) -> _R:
    if not isinstance(answer, kind):
        raise ScoringError(_NONSENSE)
    return answer


_MOST_CELLS = 1 << 20
"""Rows times features of a batch: about 8 MB."""

_TIMED_ROWS = 4096


def score(path: Path, holdout: HoldoutData, *, limits: Limits | None = None) -> Scored | Problem:
    """Score one model file. See `score_many`."""
    return score_many((path,), holdout, limits=limits)[0]


def score_many(
    paths: Sequence[Path], holdout: HoldoutData, *, limits: Limits | None = None
) -> tuple[Scored | Problem, ...]:
    """Score model files on one holdout, which is read once for all of them.

    Args:
        paths: The files; nothing is assumed of them.
        holdout: What to score on.
        limits: What each model may use.

    Returns:
        For each path, in order, its predictions or why there are none. One model's problem is not the others'.
    """
    limits = limits or Limits()
    with hidden_from_children() as hidden, ExitStack() as stack:
        runs = [Run(path, limits, parent_hidden=hidden) for path in paths]
        _load(runs, holdout.expected, stack)
        classes = _shared_classes(holdout, runs)
        for run in _live(runs):
            run.begin(holdout, classes)
        _feed(runs, holdout, limits)
        return tuple(run.result(classes) for run in runs)


def inspect(path: Path, expected: Expected, *, limits: Limits | None = None) -> ModelFacts | Problem:
    """Check that a file is a model that fits, and that it loads, without scoring it."""
    with hidden_from_children() as hidden, ExitStack() as stack:
        run = Run(path, limits or Limits(), parent_hidden=hidden)
        _load([run], expected, stack)
        return run.problem or run.facts


def _load(runs: Sequence[Run], expected: Expected, stack: ExitStack) -> None:
    """Each file in a child of its own; the children start side by side."""
    for run in runs:
        run.start(expected, stack)
    for run in _live(runs):
        run.load()


def _live(runs: Sequence[Run]) -> Iterator[Run]:
    return (run for run in runs if run.problem is None)


def _shared_classes(holdout: HoldoutData, runs: Sequence[Run]) -> tuple[str, ...]:
    """The holdout's classes, and after them those that only models know, so that all predictions have one form."""
    known = holdout.record.classes
    if holdout.record.task is not Task.MULTICLASS:
        return known
    beside = {label for run in _live(runs) for label in run.facts.classes} - set(known)
    return (*known, *sorted(beside))


def _feed(runs: Sequence[Run], holdout: HoldoutData, limits: Limits) -> None:
    """Time each model while the others rest, then give every batch to all of them."""
    from polars.exceptions import PanicException, PolarsError

    features = holdout.expected.features
    rows = max(1, min(limits.batch_rows, _MOST_CELLS // len(features)))
    try:
        sample = pack(holdout.head(min(rows, _TIMED_ROWS)), features)
        for run in _live(runs):
            run.measure(sample)
        for batch in holdout.batches(rows):
            live = list(_live(runs))
            if not live:
                return
            packed = pack(batch, features)
            for run in live:
                run.send(packed)
            for run in live:
                run.receive()
    except (MlbotError, PolarsError, PanicException, OSError) as error:
        what = printable((str(error).strip() or type(error).__name__).splitlines()[0], 300)
        detail = f"The holdout {quoted(holdout.record.source)} can no longer be read: {what}"
        for run in _live(runs):
            run.problem = Problem(reason=Reason.HOLDOUT_UNREADABLE, detail=detail)
