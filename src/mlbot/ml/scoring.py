"""Scoring untrusted model files: each in a child process of its own, all of them in one reading of the holdout.

    holdout = open_holdout(path, model.data, model.task, model.slices)
    scored = score_many(paths, holdout, limits=Limits(wall_s=300))   # Scored | Problem for each path, in order

Nothing of a model file is parsed in this process. What its child answers is checked like anything from outside.
"""

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.errors import MlbotError
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.lib.record import Record
from mlbot.ml import protocol
from mlbot.ml.answers import Codes, Collector, Floats, Raw, collector_of
from mlbot.ml.guard import ModelFile, ModelFolder, open_model
from mlbot.ml.holdout import HoldoutData, pack
from mlbot.ml.independence import (
    Question,
    Rows,
    Trial,
    Way,
    at_a_step,
    dependence,
    drawn,
    few_odd_rows,
    questions,
    trials_of,
)
from mlbot.ml.protocol import Expected, Feature, ModelFacts, Packed, printable, quoted
from mlbot.ml.rounds import Rounds, medians, timed_in_rounds, with_rounds
from mlbot.ml.sandbox import hidden_from_children
from mlbot.ml.worker import ScoringError, Worker
from mlbot.verdict.verdict import Asked, Latency, OwnLabels, Problem, Rounding


class Protection(Record):
    """What held a model back while it was scored. Each is True when it was in force."""

    empty_environment: bool  # no environment variable, so no credential
    other_user: bool  # another user than the judge's; only a judge run by root can do that
    no_network: bool  # a network namespace with nothing in it
    no_new_privileges: bool
    resource_limits: bool  # memory, processor time, file size
    no_new_files: bool  # no file, socket or pipe can be opened
    system_calls: bool  # a filter allows computing and the open pipes, nothing else: no files, no sockets, no programs
    ends_with_parent: bool
    parent_hidden: bool  # the judge's memory and environment cannot be read by a process of the same user


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one model may use."""

    size_bytes: int = 256 << 20  # the largest file
    memory_bytes: int = 2 << 30  # memory of its process beyond the libraries
    wall_s: float = 900.0  # seconds the judge waits for it in all; also its processor seconds
    threads: int = 1  # threads of a prediction; latency is comparable only with one
    batch_rows: int = 16_384  # rows predicted at a time; fewer when there are many features
    latency_requests: int = 200  # single rows that are timed
    latency_s: float = 4.0  # seconds after which timing stops early
    rounds_s: float = 4.0  # seconds for timing models in turn, together
    asked_rows: int = 1024  # rows that are asked in other ways too; about as many more where there are several classes
    gaps: bool = False  # whether a row may have no finite answer; it is NaN or infinite then


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One model file's predictions on a holdout."""

    predictions: Floats  # float64: (n,) P(positive) or the number, or (n, C) in the order of `classes`
    decided: Codes | None  # the label of each row by the rule of the config, as the holdout has it; None: numbers
    own_labels: OwnLabels | None  # how the file's own labels compare with the rule
    rounding: Rounding | None = None  # of a regression, where float32 is coarse beside its errors
    # The holdout's classes; for multiclass, after them any that a model of the same scoring knows beside them (so the
    # label codes stay as they are). Empty for regression.
    classes: tuple[str, ...]
    digest: str  # `sha256:…` of exactly the bytes that were scored
    size_bytes: int
    facts: ModelFacts
    latency: Latency | None = None  # None where a predictor answers, whose clock is its own
    rounds: tuple[float, ...] = ()  # the median milliseconds of each round, where models were timed in turn
    protection: Protection | None = None  # of the process that mlbot runs the model in itself
    asked: Asked | None = None  # how a predictor was asked, where one answers


_WIDEST_FLOAT = 8
_TIMED_ROWS = 4096
# A slow model is asked about fewer rows again: this many seconds for each way, and for the requests one by one.
_AGAIN_S, _FEWEST_AGAIN = 0.25, 128
_ALONE_S, _FEWEST_ALONE = 0.5, 64
_NUDGED = 32  # copies of a row with other last digits

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answers:
    """What a model answered to rows: its predictions as it gives them, and its own labels."""

    values: Raw
    own: Codes | None

    def of(self, rows: Rows) -> "_Answers":
        """The answers to some of the rows."""
        return _Answers(values=self.values[rows], own=None if self.own is None else self.own[rows])

    @classmethod
    def joined(cls, parts: Sequence["_Answers"]) -> "_Answers":
        labels = [each.own for each in parts if each.own is not None]
        return cls(
            values=np.concatenate([each.values for each in parts]), own=np.concatenate(labels) if labels else None
        )

    @property
    def compared(self) -> tuple[Floats, ...]:
        """Each of what it holds, (rows, width)."""
        labels = () if self.own is None else (self.own.reshape(-1, 1).astype(np.float64),)
        return (self.values.astype(np.float64), *labels)


class _Run:
    """One model file and its child. Once there is a problem, the child is ended and nothing more is asked of it."""

    def __init__(self, path: Path, limits: Limits, *, parent_hidden: bool) -> None:
        self.problem: Problem | None = None
        self._path = path
        self._limits = limits
        self._parent_hidden = parent_hidden
        self._protection: Protection | None = None
        self._file: ModelFile | ModelFolder | None = None
        self._worker: Worker | None = None
        self._facts: ModelFacts | None = None
        self._latency: Latency | None = None
        self._collector: Collector | None = None
        self._timed: tuple[Raw, Raw] | None = None  # the answers to timed requests: row by row, and of all together
        self.rounds: Rounds = ()
        self._first: Raw | None = None  # the judged answers to the first rows, which were timed
        self._sampled: list[_Answers] = []  # the judged answers to the sampled rows, batch by batch
        self._asked = 0
        self._labels = False  # whether it is asked for its own labels

    @property
    def facts(self) -> ModelFacts:
        return _there(self._facts)

    @property
    def file(self) -> ModelFile | ModelFolder:
        if self._file is None:
            raise ValueError("the file was not opened")
        return self._file

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
        file = self.file
        with self._asking() as worker:
            self._protection = Protection(**worker.ready(), parent_hidden=self._parent_hidden)
            parts = file.parts if isinstance(file, ModelFolder) else ()
            worker.send(protocol.Load(parts=parts), file.size, file.chunks())
            answer, _ = worker.receive(0)
            self._facts = _of_kind(answer, protocol.Loaded).facts
            self._labels = self._facts.labels

    def begin(self, holdout: HoldoutData, classes: tuple[str, ...]) -> None:
        """Make room for the predictions, now that the classes of all models are known."""
        found = collector_of(holdout, self.facts, classes, gaps=self._limits.gaps)
        if isinstance(found, Problem):
            self._fail(found)
        else:
            self._collector = found

    def measure(self, sample: Packed) -> None:
        limits = self._limits
        question = protocol.Measure(
            rows=sample.rows, columns=sample.columns, requests=limits.latency_requests, seconds=limits.latency_s
        )
        with self._asking() as worker:
            worker.send(question, sample.length, sample.chunks)
            width = self._width
            answer, raw = worker.receive(2 * (limits.latency_requests + sample.rows) * width * _WIDEST_FLOAT)
            found = _of_kind(answer, protocol.Measured)
            if (found.rows, found.width) != (sample.rows, width) or not 0 < found.singles <= sample.rows:
                raise _nonsense()
            spans = _array(raw, found.dtype, (2, found.singles + found.rows, width))
            self._timed = spans[:, : found.singles], spans[:, found.singles :]
            self._latency = Latency(batch_rows=sample.rows, **found.times.model_dump())

    @property
    def usual_ms(self) -> float:
        """What a request took when the model was measured."""
        return _there(self._latency).p50_ms

    def again(self, start: int, requests: int) -> Sequence[float]:
        """Time single rows once more, in milliseconds; what is answered joins what was. Nothing after a problem."""
        found: list[float] = []
        if self.problem is not None:
            return found
        with self._asking() as worker:
            worker.send(protocol.Again(start=start, requests=requests))
            reply, raw = worker.receive(requests * self._width * _WIDEST_FLOAT)
            timed = _of_kind(reply, protocol.Timed)
            if (len(timed.ms), timed.width) != (requests, self._width):
                raise _nonsense()
            self._join(start, _array(raw, timed.dtype, (requests, self._width)))
            found.extend(timed.ms)
        return found

    def _join(self, start: int, answers: Raw) -> None:
        """Widen what the timed rows were answered by what they are answered now."""
        singles, together = _there(self._timed)
        low, high = singles[0].copy(), singles[1].copy()
        rows = np.arange(start, start + len(answers)) % len(low)
        np.minimum.at(low, rows, answers)
        np.maximum.at(high, rows, answers)
        self._timed = np.stack([low, high]), together

    def send(self, batch: Packed, *, parts: tuple[int, ...] = (), nudged: bool = False) -> None:
        """Give the child a batch; its answer is fetched later, so that the children work side by side."""
        self._asked = batch.rows
        labels = self._labels
        question = protocol.Batch(rows=batch.rows, columns=batch.columns, parts=parts, nudged=nudged, labels=labels)
        with self._asking() as worker:
            worker.send(question, batch.length, batch.chunks)

    def receive(self, sampled: Rows) -> None:
        """The answers to a batch; those to some of its rows are kept as the model gave them."""
        answers = self._answers()
        if answers is not None:
            if self._first is None:
                self._first = answers.values[:_TIMED_ROWS].copy()
            self._sampled.append(answers.of(sampled))
            _there(self._collector).add(answers.values, answers.own)

    def _answers(self) -> _Answers | None:
        answers: _Answers | None = None
        if self.problem is None:
            with self._asking() as worker:
                labels = self._asked * protocol.LABEL_BYTES if self._labels else 0
                answer, raw = worker.receive(self._asked * self._width * _WIDEST_FLOAT + labels)
                found = _of_kind(answer, protocol.Predicted)
                if (found.rows, found.width) != (self._asked, self._width):
                    raise _nonsense()
                view = memoryview(raw)
                values = _array(view[: len(view) - labels], found.dtype, (self._asked, self._width))
                own = _array(view[len(view) - labels :], "<i4", (self._asked,)) if labels else None
                if not _there(self._collector).takes(own):
                    raise _nonsense()
                answers = _Answers(values=values, own=own)
        return answers

    @property
    def _width(self) -> int:
        return max(1, len(self.facts.classes))

    def ask_again(self, sample: "Sample", features: tuple[Feature, ...]) -> Iterator[None]:
        """Ask the sampled rows in other ways, a question a step; then say what the answers depend on."""
        if _there(self._collector).problem() is not None:
            return
        judged = _Answers.joined(self._sampled).of(sample.order)
        decisions = _there(self._collector).decisions
        self._labels = judged.own is not None and decisions is not None and decisions.own_count
        latency = _there(self._latency)
        rows = _bounded(_AGAIN_S * latency.rows_per_s, _FEWEST_AGAIN, sample.rows.size)
        alone = _bounded(_ALONE_S * 1000 / max(latency.p50_ms, 1e-6), _FEWEST_ALONE, rows)
        asked: list[tuple[Question, _Answers]] = []
        for question in questions(rows, alone):
            self.send(pack(sample.frame[question.rows], features), parts=question.parts)
            yield
            answers = self._answers()
            if answers is None:
                return
            asked.append((question, answers))
        before = judged.compared
        of_each = [
            trials_of(before[at], [(question, each.compared[at]) for question, each in asked])
            for at in range(len(asked[0][1].compared))
        ]
        targets = _there(self._collector).targets
        timed = self._ruled(self._timed_trials(), targets)
        again = self._ruled(of_each[0], None if targets is None else targets[sample.rows[sample.order]])
        self._compare(0, [(sample.head, timed), (sample.frame, again)], features)
        for at, trials in enumerate(of_each[1:], 1):
            self._compare(at, [(sample.frame, trials)], features)

    def _timed_trials(self) -> tuple[Trial, ...]:
        judged = _there(self._first).astype(np.float64)
        singles, together = (each.astype(np.float64) for each in _there(self._timed))
        alone, every = np.arange(singles.shape[1]), np.arange(together.shape[1])
        return (
            Trial(way=Way.ALONE, rows=alone, first=judged[alone], answers=tuple(singles)),
            Trial(way=Way.BATCH, rows=every, first=judged[every], answers=tuple(together)),
        )

    def _ruled(self, trials: Sequence[Trial], targets: Floats | None) -> tuple[Trial, ...]:
        """Trials with what is to be answered and how it is decided: as the judged answers, in their precision."""
        decide = _there(self._collector).rule(_there(self._first).dtype)
        return tuple(
            replace(trial, decide=decide, targets=None if targets is None else targets[trial.rows]) for trial in trials
        )

    def _compare(
        self, at: int, asked: Sequence[tuple[pl.DataFrame, tuple[Trial, ...]]], features: tuple[Feature, ...]
    ) -> None:
        """Refuse the model where its answers differ, but for few rows that lie at a step of it.

        `at`: which of what an answer holds is compared; labels are numbers that are equal or not.
        """
        task = Task.REGRESSION if at else _there(self._collector).task
        left: list[Trial] = []
        for frame, trials in asked:
            odd = few_odd_rows(trials, task)
            nudged = {row: self._nudged(at, frame[[row] * _NUDGED], features) for row in odd}
            steps = [row for row, answers in nudged.items() if at_a_step(row, trials, answers, task, labels=at > 0)]
            left += [trial.without(steps) for trial in trials]
        if self.problem is None:
            problem = dependence(left, task, dynamic=self.facts.dynamic, labels=at > 0)
            if problem is not None:
                self._fail(problem)

    def _nudged(self, at: int, copies: pl.DataFrame, features: tuple[Feature, ...]) -> tuple[Floats, ...]:
        """The answers to copies of a row with other last digits: alone, and all of them together."""
        packed, found = pack(copies, features), list[Floats]()
        for parts in ((1,) * packed.rows, ()):
            if self.problem is None:
                self.send(packed, parts=parts, nudged=True)
                answers = self._answers()
                found += [] if answers is None else [answers.compared[at]]
        return tuple(found)

    def result(self, classes: tuple[str, ...]) -> Scored | Problem:
        if self.problem is not None:
            return self.problem
        collector, file = _there(self._collector), self.file
        wrong = collector.problem()
        if wrong is not None:
            return wrong
        decisions = collector.decisions
        return Scored(
            predictions=collector.whole,
            decided=decisions.decided if decisions is not None else None,
            own_labels=decisions.own_labels() if decisions is not None else None,
            rounding=collector.rounding(_there(self._first).dtype),
            classes=classes,
            digest=file.digest,
            size_bytes=file.size,
            latency=with_rounds(_there(self._latency), self.rounds) if self.rounds else _there(self._latency),
            rounds=medians(self.rounds),
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
            self._fail(Problem.of(Reason.MODEL_REFUSED, "cannot-read", why=str(error)))

    def _fail(self, problem: Problem) -> None:
        self.problem = problem
        _there(self._worker).close()


def _there(value: _T | None) -> _T:
    if value is None:
        raise ValueError("the steps of a scoring were taken out of turn")
    return value


def _bounded(wanted: float, fewest: int, most: int) -> int:
    return min(most, max(fewest, int(wanted)))


def _nonsense() -> ScoringError:
    return ScoringError(Problem.of(Reason.SCORING_FAILED, "no-answer"))


def _array(raw: bytes | bytearray | memoryview, name: str, shape: tuple[int, ...]) -> Any:
    """What a child sent, as the array that it says it is."""
    dtype = np.dtype(name)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise _nonsense()
    return np.frombuffer(raw, dtype).reshape(shape)


def _of_kind(answer: Record, kind: type[_R]) -> _R:
    if not isinstance(answer, kind):
        raise _nonsense()
    return answer


_MOST_CELLS = 1 << 20  # rows times features of a batch: about 8 MB


def score(path: Path, holdout: HoldoutData, *, limits: Limits | None = None) -> Scored | Problem:
    """Score one model file. See `score_many`."""
    return score_many((path,), holdout, limits=limits)[0]


def score_many(
    paths: Sequence[Path], holdout: HoldoutData, *, limits: Limits | None = None, in_turn: Sequence[int] = ()
) -> tuple[Scored | Problem, ...]:
    """Score model files on one holdout, which is read once for all of them.

    For each path, in order, its predictions or why there are none. One model's problem is not the others'. Those at the
    places `in_turn` are timed in rounds, one after the other in each.
    """
    limits = limits or Limits()
    with hidden_from_children() as hidden, ExitStack() as stack:
        runs = [_Run(path, limits, parent_hidden=hidden) for path in paths]
        _load(runs, holdout.expected, stack)
        classes = _shared_classes(holdout, runs)
        for run in _live(runs):
            run.begin(holdout, classes)
        _feed(runs, holdout, limits, [runs[at] for at in in_turn])
        return tuple(run.result(classes) for run in runs)


def _load(runs: Sequence[_Run], expected: Expected, stack: ExitStack) -> None:
    """Each file in a child of its own; the children start side by side."""
    for run in runs:
        run.start(expected, stack)
    for run in _live(runs):
        run.load()


def _live(runs: Sequence[_Run]) -> Iterator[_Run]:
    return (run for run in runs if run.problem is None)


def _shared_classes(holdout: HoldoutData, runs: Sequence[_Run]) -> tuple[str, ...]:
    """The holdout's classes, and after them those that only models know, so that all predictions have one form."""
    known = holdout.record.classes
    if holdout.record.task is not Task.MULTICLASS:
        return known
    beside = {label for run in _live(runs) for label in run.facts.classes} - set(known)
    return (*known, *sorted(beside))


class Sample:
    """The rows that are asked again, gathered while the holdout is read once."""

    def __init__(self, rows: Rows, head: pl.DataFrame) -> None:
        self.head = head  # the rows that were timed
        self.order = np.random.default_rng(secrets.randbits(128)).permutation(rows.size)
        ends = np.isin(self.order, (0, rows.size - 1))
        self.order = np.concatenate([self.order[ends], self.order[~ends]])  # so that the ends are among any first few
        self.rows = rows
        self._read = 0
        self._parts: list[pl.DataFrame] = []

    def take(self, batch: pl.DataFrame) -> Rows:
        """Keep the next batch's rows of the sample; where in the batch they are."""
        start, end = np.searchsorted(self.rows, (self._read, self._read + batch.height))
        here = self.rows[start:end] - self._read
        self._parts.append(batch[here])
        self._read += batch.height
        return here

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows in their order, once all batches were read."""
        return pl.concat(self._parts)[self.order]


def _feed(runs: Sequence[_Run], holdout: HoldoutData, limits: Limits, in_turn: Sequence[_Run]) -> None:
    """Time each model while the others rest, some in turn, give every batch to all, and ask some rows again."""
    features = holdout.expected.features
    rows = max(1, min(limits.batch_rows, _MOST_CELLS // len(features)))
    try:
        head = holdout.head(min(rows, _TIMED_ROWS))
        for run in _live(runs):
            run.measure(pack(head, features))
        _time_in_turn(list(_live(in_turn)), limits.rounds_s)
        sample = Sample(drawn(holdout.labels, min(rows, limits.asked_rows), rows), head)
        for batch in holdout.batches(rows):
            live = list(_live(runs))
            if not live:
                return
            packed, sampled = pack(batch, features), sample.take(batch)
            for run in live:
                run.send(packed)
            for run in live:
                run.receive(sampled)
        again = _live(runs) if limits.asked_rows else ()
        for _ in zip_longest(*[run.ask_again(sample, features) for run in again]):
            pass
    except (MlbotError, PolarsError, PanicException, OSError) as error:
        what = printable((str(error).strip() or type(error).__name__).splitlines()[0], 300)
        source = quoted(holdout.record.source)
        for run in _live(runs):
            run.problem = Problem.of(Reason.HOLDOUT_UNREADABLE, "no-table", holdout=source, why=what)


def _time_in_turn(runs: Sequence[_Run], seconds: float) -> None:
    found = timed_in_rounds([run.again for run in runs], [run.usual_ms for run in runs], seconds=seconds)
    for run, rounds in zip(runs, found, strict=True):
        run.rounds = rounds
