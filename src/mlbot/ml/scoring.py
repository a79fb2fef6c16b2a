"""Scoring untrusted model files: each in a child process of its own, all of them in one reading of the holdout.

    holdout = open_holdout(path, model.data, model.task, model.slices)
    scored = score_many(paths, holdout, limits=Limits(wall_s=300))   # Scored | Problem for each path, in order

Nothing of a model file is parsed in this process. What its child answers is checked like anything from outside.
"""

import importlib.util
import math
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, NoReturn, Self, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.errors import MissingExtraError, MlbotError
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.lib.record import Record
from mlbot.ml import protocol
from mlbot.ml.guard import ModelFile, open_model
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
from mlbot.ml.protocol import (
    Expected,
    Feature,
    ModelFacts,
    Packed,
    ProtocolError,
    listed,
    parse,
    printable,
    quoted,
    receive,
)
from mlbot.ml.rounds import Rounds, medians, timed_in_rounds, with_rounds
from mlbot.ml.sandbox import hidden_from_children
from mlbot.verdict.verdict import Latency, OwnLabels, Problem, Rounding

_BOOT = "import sys; sys.path += sys.argv[1:]; from mlbot.ml.scorer import main; main()"
_NEEDED = ("mlbot", "pydantic", "numpy", "onnx", "onnxruntime", "google.protobuf")
_GRACE_S = 5.0
_TAIL = 4096
_NO_MEMORY = (b"bad_alloc", b"MemoryError", b"Cannot allocate memory", b"memory allocation")


class ScoringError(Exception):
    """A child gave no answer that can be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Worker:
    """One scoring child, from start to end, as a context manager; whatever goes wrong is a `ScoringError`."""

    def __init__(self, expected: Expected, *, memory_bytes: int, wall_s: float, threads: int) -> None:
        self._left = wall_s
        self._wall = wall_s
        self._errors = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _BOOT, *_roots()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._in, self._out, self._err = (
            _without_blocking(stream) for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._start = protocol.Start(
            expected=expected, memory_bytes=memory_bytes, cpu_s=wall_s * threads, threads=threads, parent=os.getpid()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self) -> dict[str, bool]:
        """Wait until the child has locked itself down; each measure of protection, and whether it is in force."""
        self.send(self._start)
        answer, _ = self.receive(0)
        if not isinstance(answer, protocol.Ready):
            self._nonsense()
        return answer.protection

    def send(self, message: Record, length: int = 0, chunks: Iterable[bytes] = ()) -> None:
        """Send a message with `length` raw bytes."""
        self._write(protocol.head(message, length))
        for chunk in chunks:
            self._write(chunk)

    def receive(self, limit: int) -> tuple[Record, bytes | bytearray]:
        """The child's answer, with at most `limit` raw bytes."""
        try:
            text, raw = receive(self._read, protocol.REPLY_HEADER_LIMIT, limit)
            answer = parse(protocol.REPLY, text)
        except ProtocolError:
            self._nonsense()
        if isinstance(answer, protocol.Refusal):
            raise ScoringError(self._refusal(answer))
        return answer, raw

    def _refusal(self, answer: protocol.Refusal) -> Problem:
        """What the child says is wrong, in our words; it may name any values, and only a cause that there is."""
        values: dict[str, Any] = {
            name: printable(each, 1000) if isinstance(each, str) else each for name, each in answer.values.items()
        }
        if values.keys() & {"detail", "reason", "cause"}:
            self._nonsense()
        try:
            return Problem.of(answer.reason, answer.cause, **values)
        except KeyError:
            self._nonsense()

    def close(self) -> None:
        """End the child."""
        with suppress(OSError):
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            self._wait(self._in, select.POLLOUT)
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._ended()

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            self._wait(self._out, select.POLLIN)
            try:
                got = os.readv(self._out, [view])
            except BlockingIOError:
                continue
            if not got:
                self._ended()
            view = view[got:]
        return content

    def _wait(self, descriptor: int, event: int) -> None:
        """Until the pipe is ready, taking in what the child prints meanwhile, or until its time is up."""
        poll = select.poll()
        poll.register(descriptor, event)
        poll.register(self._err, select.POLLIN)
        while True:
            before = time.monotonic()
            events = dict(poll.poll(max(0.0, self._left) * 1000))
            self._left -= time.monotonic() - before
            if events.get(self._err, 0):
                self._listen(poll)
            if events.get(descriptor, 0):
                return
            if self._left <= 0:
                self._late()

    def _listen(self, poll: "select.poll | None" = None) -> None:
        """Keep the last of what the child printed: only signs of exhausted memory are looked for in it."""
        with suppress(BlockingIOError):
            got = os.read(self._err, _TAIL)
            self._errors = (self._errors + got)[-_TAIL:]
            if not got and poll is not None:
                poll.unregister(self._err)

    def _late(self) -> NoReturn:
        raise ScoringError(Problem.of(Reason.SCORING_TIMEOUT, "wall", seconds=f"{self._wall:g}"))

    def _nonsense(self) -> NoReturn:
        raise ScoringError(Problem.of(Reason.SCORING_FAILED, "no-answer"))

    def _ended(self) -> NoReturn:
        """The child is gone: by its exit status, say of what."""
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._nonsense()
        self._listen()
        if status == -signal.SIGXCPU:
            self._late()
        if status == -signal.SIGKILL or any(sign in self._errors for sign in _NO_MEMORY):
            raise ScoringError(Problem.of(Reason.SCORING_MEMORY))
        if status < 0:
            raise ScoringError(Problem.of(Reason.SCORING_FAILED, "crashed", signal=signal.Signals(-status).name))
        raise ScoringError(Problem.of(Reason.SCORING_FAILED, "ended", status=status))


def _roots() -> list[str]:
    """The folders that the child imports from: those that mlbot and its libraries were found in, and no others.

    The isolated interpreter knows neither PYTHONPATH nor the user's site; it shall not know the working directory.
    """
    roots: list[str] = []
    for name in _NEEDED:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec is not None else []
        if not places:
            raise MissingExtraError("ml", needed_for="Scoring a model")
        root = str(Path(places[0]).resolve().parents[name.count(".")])
        if root not in roots:
            roots.append(root)
    return roots


def _without_blocking(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise ValueError("the child was started without a pipe")
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()


Floats = npt.NDArray[np.float64]
Raw = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.signedinteger[Any]]
_TOLERANCE = 1e-3
_STEPS_OF_ERROR, _STEPS_OF_SPREAD = 0.1, 1e-5


@dataclass(kw_only=True, slots=True)
class _Decisions:
    """The label of each row of one model: by the rule, and as the file gives it itself."""

    decided: Codes  # where they go, (n,): 1 for positive, or codes into the shared classes
    codes: npt.NDArray[np.int32]  # of each of the model's columns; of a probability that is alone: 0 and 1
    tied: int | None  # what a tie is for a probability that is alone, the first class; None where there are more
    threshold: float | None
    own_count: bool  # whether the file's own labels are the judged ones
    has_own: bool
    _done: int = 0
    _differ: int = 0
    _unknown: int = 0
    # Of the rows that the file itself calls positive the least probability, and of the others the greatest.
    _least: float = field(default=np.inf)
    _most: float = field(default=-np.inf)

    def add(self, raw: Raw, own: Codes | None) -> None:
        """The next rows, (rows, width), as the model gave them, and its own labels as places of their classes."""
        labels = self.by_rule(raw)
        if own is not None:
            code = np.where(own < 0, -1, self.codes[own])
            self._unknown += int((own < 0).sum())
            self._differ += int((code != labels).sum())
            self._look_for_threshold(raw, code)
            labels = code if self.own_count else labels
        self.decided[self._done : self._done + len(raw)] = labels
        self._done += len(raw)

    def problem(self) -> Problem | None:
        if not self.own_count:
            return None
        if not self.has_own or self._unknown == self._done:
            return Problem.of(Reason.MODEL_OUTPUTS, "no-labels")
        if self._unknown:
            return Problem.of(Reason.MODEL_OUTPUTS, "other-labels", wrong=self._unknown, rows=self._done)
        return None

    def own_labels(self) -> OwnLabels | None:
        if not self.has_own or self._unknown == self._done:  # an output of whole numbers that are no labels
            return None
        threshold = None if self._unknown else threshold_between(self._most, self._least)
        return OwnLabels(rows=self._done, differ=self._differ, threshold=threshold)

    def by_rule(self, raw: Raw) -> Codes:
        """The labels of some rows, by the config's threshold or else the most probable class."""
        if self.threshold is not None:  # in the model's own precision, as numpy compares: float32 has no 0.7
            return (self._positive(raw) >= raw.dtype.type(self.threshold)).astype(np.int8)
        if self.tied is None:  # the first column wins a tie: scikit-learn's are in the order of its classes
            return np.asarray(self.codes[raw.argmax(axis=1)])
        return np.where(raw[:, 0] == 0.5, self.tied, raw[:, 0] > 0.5).astype(np.int8)

    def _positive(self, raw: Raw) -> Raw:
        return raw[:, self._column]

    @property
    def _column(self) -> int:
        """Where the positive class's probability is."""
        return int(self.codes.argmax()) if self.tied is None else 0

    def _look_for_threshold(self, raw: Raw, code: Codes) -> None:
        if self.decided.dtype != np.int8:
            return
        positive, others = self._positive(raw)[code == 1], self._positive(raw)[code != 1]
        self._least = min(self._least, float(positive.min(initial=np.inf)))
        self._most = max(self._most, float(others.max(initial=-np.inf)))


_FINEST = 6  # decimals of a threshold


def threshold_between(most: float, least: float) -> float | None:
    """The shortest threshold that parts probabilities up to `most` from those of `least` and more, if there is one."""
    if not 0 <= most < least <= 1:
        return None
    for digits in range(1, _FINEST + 1):
        candidate = math.floor(least * 10**digits) / 10**digits
        if most < float(np.float32(candidate)) and 0 < candidate < 1:
            return float(candidate)
    return None


@dataclass(kw_only=True, slots=True)
class _Collector:
    """Takes one model's predictions batch by batch into one array as the statistics want it."""

    task: Task
    whole: Floats  # where they go: (n,) or (n, C)
    # For each column of `whole` the model's own column, or None for a class it never learned; binary: the positive
    # class's column.
    columns: tuple[int | None, ...]
    decisions: _Decisions | None  # None for a regression
    _done: int = 0
    _not_finite: int = 0
    _outside: int = 0
    _wrong_sum: int = 0
    _low: float = field(default=np.inf)
    _high: float = field(default=-np.inf)

    def takes(self, own: Codes | None) -> bool:
        """Whether a model's own labels are places of classes."""
        if own is None or not own.size or self.decisions is None:
            return own is None or not own.size
        return -1 <= int(own.min()) <= int(own.max()) < self.decisions.codes.size

    def add(self, raw: Raw, own: Codes | None = None) -> None:
        """The next rows, (rows, width), as the model gave them, and its own labels."""
        if self.decisions is not None:
            self.decisions.add(raw, own)
        values = raw.astype(np.float64)
        finite = np.isfinite(values).all(axis=1)
        self._not_finite += int(values.shape[0] - finite.sum())
        if self.task.is_classification:
            self._check_probabilities(values[finite])
            np.clip(values, 0.0, 1.0, out=values)  # float32 arithmetic strays past the ends by a last digit
        part = self.whole[self._done : self._done + values.shape[0]]
        if self.whole.ndim == 1:
            part[:] = values[:, self.columns[0] or 0]
        else:
            self._spread(values, part)
        self._done += values.shape[0]

    def problem(self) -> Problem | None:
        rows = self._done
        if self._not_finite:
            return Problem.of(Reason.NOT_FINITE, "rows", wrong=self._not_finite, rows=rows)
        if self._outside:
            span = {"low": f"{self._low:.3g}", "high": f"{self._high:.3g}"}
            return Problem.of(Reason.NOT_PROBABILITIES, self._kind(), wrong=self._outside, rows=rows, **span)
        if self._wrong_sum:
            return Problem.of(Reason.NOT_PROBABILITIES, "sum", wrong=self._wrong_sum, rows=rows)
        if rows != self.whole.shape[0]:
            return Problem.of(Reason.HOLDOUT_UNREADABLE, "changed", rows=rows, counted=self.whole.shape[0])
        return self.decisions.problem() if self.decisions is not None else None

    def _kind(self) -> str:
        """What values that are no probabilities probably are."""
        if self._high <= _TOLERANCE:
            return "logs"
        return "above" if self._low >= -_TOLERANCE else "outside"

    def _check_probabilities(self, values: Floats) -> None:
        if not values.size:
            return
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        outside = ((values < -_TOLERANCE) | (values > 1 + _TOLERANCE)).any(axis=1)
        self._outside += int(outside.sum())
        if values.shape[1] > 1:
            self._wrong_sum += int((np.abs(values.sum(axis=1) - 1) > _TOLERANCE).sum())

    def _spread(self, values: Floats, part: Floats) -> None:
        """Into the shared class order; each row sums to one exactly, where float32 leaves it short by a digit."""
        with np.errstate(invalid="ignore", divide="ignore"):
            values /= values.sum(axis=1, keepdims=True)
        for at, column in enumerate(self.columns):
            part[:, at] = 0.0 if column is None else values[:, column]


def rounding_of(targets: Floats, predictions: Floats) -> Rounding | None:
    """The steps of float32 near a regression's answers; None where they are small beside its errors.

    Rounding alone is no fault: a model that is exact but for it has errors of that size, which matter only where they
    can be seen beside the spread of the target.
    """
    near, error = float(np.median(np.abs(predictions))), float(np.median(np.abs(predictions - targets)))
    step = float(np.spacing(np.float32(near)))
    if step < error * _STEPS_OF_ERROR or step < float(targets.std()) * _STEPS_OF_SPREAD:
        return None
    return Rounding(step=step, near=near, error=error)


def _columns_of(facts: ModelFacts, task: Task, classes: tuple[str, ...]) -> tuple[int | None, ...] | Problem:
    """Which of a model's columns are read, in the order of `classes` (binary: negative before positive)."""
    if task is Task.REGRESSION or facts.single_probability:
        return (0,)
    where = {label: at for at, label in enumerate(facts.classes)}
    if task is Task.MULTICLASS and where:
        return tuple(where.get(label) for label in classes)
    if classes[1] not in where or len(where) != 2:
        found = {"model": listed(facts.classes), "holdout": listed(classes)}
        return Problem.of(Reason.MODEL_OUTPUTS, "other-classes", **found)
    return (where[classes[1]],)


def _decisions(holdout: HoldoutData, facts: ModelFacts, classes: tuple[str, ...]) -> _Decisions:
    record, order = holdout.record, holdout.expected.classes
    binary = record.task is Task.BINARY
    alone = binary and (facts.single_probability or len(facts.classes) < 2)
    codes = [int(label == classes[1]) if binary else classes.index(label) for label in facts.classes]
    return _Decisions(
        decided=np.empty(holdout.rows, np.int8 if binary else np.int32),
        codes=np.array([0, 1] if alone else codes, dtype=np.int32),
        tied=int(order[0] == classes[1]) if alone else None,
        threshold=record.threshold,
        own_count=record.label == "model",
        has_own=facts.labels,
    )


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One model file's predictions on a holdout."""

    predictions: Floats  # float64: (n,) P(positive) or the number, or (n, C) in the order of `classes`
    decided: Codes | None  # the label of each row by the rule of the config, (n,), in the same codes; None: regression
    own_labels: OwnLabels | None  # how the file's own labels compare with the rule
    rounding: Rounding | None = None  # of a regression, where float32 is coarse beside its errors
    # The holdout's classes; for multiclass, after them any that a model of the same scoring knows beside them (so the
    # label codes stay as they are). Empty for regression.
    classes: tuple[str, ...]
    digest: str  # `sha256:…` of exactly the bytes that were scored
    size_bytes: int
    latency: Latency
    rounds: tuple[float, ...]  # the median milliseconds of each round, where models were timed in turn
    protection: Protection
    facts: ModelFacts


_WIDEST_FLOAT = 8
_TIMED_ROWS = 4096
# A slow model is asked about fewer rows again: this many seconds for each way, and for the requests one by one.
_AGAIN_S, _FEWEST_AGAIN = 0.25, 128
_ALONE_S, _FEWEST_ALONE = 0.5, 64
_NUDGED = 32  # copies of a row with other last digits

_NONSENSE = Problem.of(Reason.SCORING_FAILED, "no-answer")

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
        self._file: ModelFile | None = None
        self._worker: Worker | None = None
        self._facts: ModelFacts | None = None
        self._latency: Latency | None = None
        self._collector: _Collector | None = None
        self._timed: tuple[Raw, Raw] | None = None  # the answers to timed requests: row by row, and of all together
        self.rounds: Rounds = ()
        self._first: Raw | None = None  # the judged answers to the first rows, which were timed
        self._sampled: list[_Answers] = []  # the judged answers to the sampled rows, batch by batch
        self._targets: Floats | None = None  # of a regression
        self._asked = 0
        self._labels = False  # whether it is asked for its own labels

    @property
    def facts(self) -> ModelFacts:
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
        file = _there(self._file)
        with self._asking() as worker:
            self._protection = Protection(**worker.ready(), parent_hidden=self._parent_hidden)
            worker.send(protocol.Load(), file.size, file.chunks())
            answer, _ = worker.receive(0)
            self._facts = _of_kind(answer, protocol.Loaded).facts
            self._labels = self._facts.labels

    def begin(self, holdout: HoldoutData, classes: tuple[str, ...]) -> None:
        """Make room for the predictions, now that the classes of all models are known."""
        task = holdout.record.task
        self._targets = holdout.labels if task is Task.REGRESSION else None
        columns = _columns_of(self.facts, task, classes)
        if isinstance(columns, Problem):
            self._fail(columns)
            return
        shape = (holdout.rows, len(classes)) if task is Task.MULTICLASS else (holdout.rows,)
        decisions = _decisions(holdout, self.facts, classes) if task.is_classification else None
        self._collector = _Collector(task=task, whole=np.empty(shape), columns=columns, decisions=decisions)

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
                raise ScoringError(_NONSENSE)
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
                raise ScoringError(_NONSENSE)
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
                    raise ScoringError(_NONSENSE)
                view = memoryview(raw)
                values = _array(view[: len(view) - labels], found.dtype, (self._asked, self._width))
                own = _array(view[len(view) - labels :], "<i4", (self._asked,)) if labels else None
                if not _there(self._collector).takes(own):
                    raise ScoringError(_NONSENSE)
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
        timed = self._ruled(self._timed_trials(), self._targets)
        again = self._ruled(of_each[0], None if self._targets is None else self._targets[sample.rows[sample.order]])
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
        decisions, dtype = _there(self._collector).decisions, _there(self._first).dtype
        decide = None if decisions is None else lambda answers: decisions.by_rule(answers.astype(dtype))
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
        collector, file = _there(self._collector), _there(self._file)
        wrong = collector.problem()
        if wrong is not None:
            return wrong
        decisions = collector.decisions
        return Scored(
            predictions=collector.whole,
            decided=decisions.decided if decisions is not None else None,
            own_labels=decisions.own_labels() if decisions is not None else None,
            rounding=self._rounding(collector),
            classes=classes,
            digest=file.digest,
            size_bytes=file.size,
            latency=with_rounds(_there(self._latency), self.rounds) if self.rounds else _there(self._latency),
            rounds=medians(self.rounds),
            protection=_there(self._protection),
            facts=self.facts,
        )

    def _rounding(self, collector: _Collector) -> Rounding | None:
        single = self._first is not None and self._first.dtype.itemsize < _WIDEST_FLOAT
        return rounding_of(_there(self._targets), collector.whole) if single and self._targets is not None else None

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


def _array(raw: bytes | bytearray | memoryview, name: str, shape: tuple[int, ...]) -> Any:
    """What a child sent, as the array that it says it is."""
    dtype = np.dtype(name)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise ScoringError(_NONSENSE)
    return np.frombuffer(raw, dtype).reshape(shape)


def _of_kind(answer: Record, kind: type[_R]) -> _R:
    if not isinstance(answer, kind):
        raise ScoringError(_NONSENSE)
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
        for _ in zip_longest(*[run.ask_again(sample, features) for run in _live(runs)]):
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
