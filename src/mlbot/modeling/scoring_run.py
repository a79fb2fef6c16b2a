"""One model on its way through a scoring."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from mlbot.core.evaluation import Latency, Problem
from mlbot.core.metric import Task
from mlbot.core.outcome import Reason
from mlbot.core.record import Record
from mlbot.modeling.data import HoldoutData
from mlbot.modeling.feeding import Packed
from mlbot.modeling.guard import ModelFile, open_model
from mlbot.modeling.predictions import Collector, columns_of
from mlbot.modeling.protocol import Batch, Expected, Load, Loaded, Measure, Measured, ModelFacts, Predicted
from mlbot.modeling.scored import Limits, Protection, Scored
from mlbot.modeling.worker import ScoringError, Worker

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
