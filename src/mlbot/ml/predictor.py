"""A model of any kind, asked by the guarded branch's own command: the same function asks candidate and baseline.

    scored = predict_many(artifacts, holdout, predictor, isolation=isolation, shipped=(0, 3))

The command runs isolated, once for each table of rows; what it writes is read in a child that can only compute. It sees
no label and no row's place, and has to answer a row alike however it is asked.
"""

import math
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.errors import MlbotError
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.lib.record import FileDigest
from mlbot.ml.answers import Collector, collector_of
from mlbot.ml.holdout import HoldoutData
from mlbot.ml.independence import Floats, Rows, Trial, Way, dependence, spread_of
from mlbot.ml.isolation import Call, Isolation, Limits, run_isolated, with_python
from mlbot.ml.predictions import (
    ID_LENGTH,
    Answer,
    Ids,
    answer_columns,
    in_order,
    joined,
    new_ids,
    unfit_columns,
    unpacked,
    with_decoys,
    write,
)
from mlbot.ml.protocol import Decode, Decoded, Layout, ModelFacts, Wanted, printable, quoted
from mlbot.ml.scoring import Scored
from mlbot.ml.worker import ScoringError, Worker
from mlbot.protocol.golden import LEAST
from mlbot.verdict.verdict import Asked, Problem

_DECOYS = 0.1  # of the rows
_HALF = 0.5
_SINGLES = 8
_FEW = 1024  # rows that the other seeds' files are asked about again
_READ_S = 300.0  # for reading all answers about one artifact
_READ_BYTES = 1 << 30
_EQUAL = (0.5, 0.0)  # places of labels are equal or not
_TAIL = 5
_PARQUET = re.compile("parquet|pyarrow", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A file or folder that any user may read, and its digest."""

    path: Path
    of: FileDigest


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictor:
    """How models are asked."""

    run: str
    code: Path  # the folder of its files, which any user may read
    below: str = ""  # the folder in it to start in
    python: Path | None = None  # the first `python` that it finds; None: the system's, if there is one
    format: Literal["parquet", "csv"] = "parquet"
    tolerance: float = 1e-4
    about: str = ""  # which environment that is, for people
    limits: Limits = field(default_factory=Limits)  # of one call
    in_all_s: float = math.inf  # what all calls for one artifact may take together


Asker = Callable[[Path, Path, Wanted], "bytes | Problem"]
"""Asks the artifact at a path about the rows in a file: the bytes that it answers, or why there are none."""


@dataclass(kw_only=True, slots=True)
class Asking:
    """Runs the command, and remembers how that went."""

    predictor: Predictor
    isolation: Isolation
    before: Callable[[Asked], None] = lambda _: None  # is told before each call how those before it went
    spent_s: float = 0.0
    calls: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    log: tuple[str, ...] = ()

    @property
    def facts(self) -> Asked:
        """How it went, for the report."""
        return Asked(
            isolation=self.isolation.rung,
            environment=self.predictor.about,
            calls=self.calls,
            longest_s=self.seconds,
            peak_memory_bytes=self.peak_memory_bytes,
        )

    def __call__(self, artifact: Path, features: Path, wanted: Wanted) -> bytes | Problem:
        """What the command answers."""
        predictor = self.predictor
        call = Call(
            command=["sh", "-e", "-c", predictor.run],
            read_only={"MLBOT_CODE": predictor.code, "MLBOT_ARTIFACT": artifact, "MLBOT_FEATURES": features},
            folder=f"MLBOT_CODE/{predictor.below}",
            output=("MLBOT_PREDICTIONS", f"predictions.{predictor.format}"),
        )
        call = with_python(call, predictor.python) if predictor.python else call
        usual, left = predictor.limits, max(0.0, predictor.in_all_s - self.spent_s)
        most = min(wanted.most_bytes, usual.output_bytes)
        limits = replace(usual, wall_s=min(left, usual.wall_s), output_bytes=most)
        self.before(self.facts)
        started = time.monotonic()
        ran = run_isolated(call, limits=limits, isolation=self.isolation)
        self.spent_s += time.monotonic() - started
        self.calls += 1
        self.seconds = max(self.seconds, ran.duration_s)
        self.peak_memory_bytes = max(self.peak_memory_bytes, ran.peak_memory_bytes)
        self.log = ran.log[-_TAIL:]
        if ran.problem is None:
            return ran.output
        if ran.problem.reason is Reason.SCORING_TIMEOUT and left <= usual.wall_s:
            facts: dict[str, Any] = {"seconds": f"{predictor.in_all_s:g}", "calls": self.calls}
            return Problem.of(Reason.SCORING_TIMEOUT, "command-in-all", **facts)
        return self._with_log(ran.problem, wanted.rows)

    def _with_log(self, problem: Problem, rows: int) -> Problem:
        """A problem whose hint can be followed: with what the command printed last."""
        if not self.log or (problem.reason, problem.cause) != (Reason.SCORING_FAILED, "command"):
            return problem
        log = " | ".join(self.log)
        facts: dict[str, Any] = {**problem.values, "rows": rows, "log": printable(log, 600)}
        reads_none = self.predictor.format == "parquet" and _PARQUET.search(log)
        return Problem.of(problem.reason, "command-no-parquet" if reads_none else "command-log", **facts)


def predict_many(
    artifacts: Sequence[Artifact],
    holdout: HoldoutData,
    predictor: Predictor,
    *,
    isolation: Isolation,
    shipped: Sequence[int] = (),
    before: Callable[[int, Asked], None] = lambda *_: None,
) -> tuple[Scored | Problem, ...]:
    """Ask artifacts about one holdout, which is read once for all of them: for each the predictions, or why not.

    Those at the places `shipped` are asked again in every way, the others in two cheap ones. `before` is
    told before each call which artifact it is for, and how the calls for that went so far.
    """
    try:
        frame = holdout.whole()
    except (MlbotError, PolarsError, PanicException, OSError) as error:
        what = printable((str(error).strip() or type(error).__name__).splitlines()[0], 300)
        problem = Problem.of(Reason.HOLDOUT_UNREADABLE, "no-table", holdout=quoted(holdout.record.source), why=what)
        return (problem,) * len(artifacts)
    unfit = unfit_columns(frame, predictor.format)
    if unfit is not None:
        return (unfit,) * len(artifacts)
    found = list[Scored | Problem]()
    for at, artifact in enumerate(artifacts):
        asking = Asking(predictor=predictor, isolation=isolation, before=partial(before, at))
        with tempfile.TemporaryDirectory(prefix="mlbot-rows-") as folder, Reader(holdout) as reader:
            Path(folder).chmod(0o755)
            run = Run(
                artifact=artifact,
                frame=frame,
                holdout=holdout,
                predictor=predictor,
                asker=asking,
                read=reader,
                folder=Path(folder),
            )
            result = run.result(whole=at in shipped)
        found.append(replace(result, asked=asking.facts) if isinstance(result, Scored) else result)
    return tuple(found)


class Reader:
    """The child that reads what one predictor writes about one artifact, as a context manager."""

    def __init__(self, holdout: HoldoutData) -> None:
        # Threads of polars end when they have nothing to do, so that it has to be able to start others.
        self._worker = Worker(holdout.expected, memory_bytes=_READ_BYTES, wall_s=_READ_S, threads=2, reads=True)
        self._is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def __call__(self, content: bytes, wanted: Wanted) -> Answer:
        """The table that a file holds. Raises `ScoringError`."""
        if not self._is_ready:
            self._worker.ready()
            self._is_ready = True
        self._worker.send(Decode(wanted=wanted), len(content), (content,))
        width = len(wanted.columns)
        answer, raw = self._worker.receive(wanted.rows * (ID_LENGTH + 8 * width + 4))
        nonsense = Problem.of(Reason.SCORING_FAILED, "no-answer")
        if not isinstance(answer, Decoded) or answer.rows != wanted.rows or (answer.labels and not wanted.classes):
            raise ScoringError(nonsense)
        try:
            return unpacked(answer, raw, width)
        except ValueError:
            raise ScoringError(nonsense) from None


def _least(answers: Floats, relative: float) -> Floats:
    """How far numbers may be apart however small they are, each column in units of its own."""
    spreads = np.array([spread_of(column) for column in answers.T])
    return np.where(spreads > 0, relative * spreads, LEAST)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    """Rows as they are sent, and where among them those are that were asked about."""

    path: Path
    frame: pl.DataFrame
    ids: Ids
    places: Rows


class _Unanswered(Exception):  # noqa: N818 - what happened to the question
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(kw_only=True, slots=True)
class Run:
    """The questions to one artifact."""

    artifact: Artifact
    frame: pl.DataFrame
    holdout: HoldoutData
    predictor: Predictor
    asker: Asker
    read: Callable[[bytes, Wanted], Answer]
    folder: Path  # for the tables
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(secrets.randbits(128)))
    tables: int = 0
    least: float | Floats = LEAST
    # How answers become labels, and what numbers should be, once the first answers are there.
    decide: Callable[[Floats], npt.NDArray[Any]] | None = None
    targets: Floats | None = None

    def result(self, *, whole: bool) -> Scored | Problem:
        """The predictions of all rows, once they were asked for in other ways too."""
        try:
            table = self._table(np.arange(self.frame.height))
            first = self._answers(table)
            collected = self._collected(first)
            if isinstance(collected, Problem):
                return collected
            self.decide, self.targets = collected.rule(first.values.dtype), collected.targets
            if not self._task.is_classification:
                self.least = _least(first.numbers, self.predictor.tolerance)
            problem = self._depends(list(self._trials(first, whole=whole)), table)
        except (_Unanswered, ScoringError) as error:
            return error.problem
        return problem or self._scored(collected, first)

    # One question

    def _table(self, rows: Rows, decoys: int = 0) -> _Table:
        sent = with_decoys(self.frame[rows], self.frame, decoys, self.chance)
        mixed = self.chance.permutation(sent.height)
        return self._written(sent[mixed], new_ids(sent.height), np.argsort(mixed)[: rows.size])

    def _written(self, frame: pl.DataFrame, ids: Ids, places: Rows) -> _Table:
        self.tables += 1
        path = self.folder / str(self.tables) / f"features.{self.predictor.format}"
        path.parent.mkdir()
        write(path, frame, ids, self.predictor.format)
        path.chmod(0o644)
        path.parent.chmod(0o755)
        return _Table(path=path, frame=frame, ids=ids, places=places)

    def _answers(self, table: _Table) -> Answer:
        """What is answered to the rows that were asked about, in their order."""
        expected = self.holdout.expected
        wanted = Wanted(
            format=self.predictor.format,
            rows=table.ids.size,
            columns=answer_columns(expected),
            classes=self._label_order,
            rest=f"p:{self._label_order[0]}" if self._task is Task.BINARY else None,
        )
        content = self.asker(self.artifact.path, table.path, wanted)
        if isinstance(content, Problem):
            raise _Unanswered(content)
        found = in_order(self.read(content, wanted), table.ids)
        if isinstance(found, Problem):
            raise _Unanswered(found)
        return found.of(table.places)

    # All questions

    def _trials(self, first: Answer, *, whole: bool) -> Iterator[Trial]:
        """The answers to rows that are asked for in other ways, beside the first ones."""
        count = self.frame.height
        every = self.chance.permutation(count)
        rows = every if whole else every[: min(_FEW, max(1, count // 10))]
        yield from self._asked(Way.BATCH, rows, first, [(rows, math.ceil(_DECOYS * rows.size))])
        if whole and count > 1:
            half = self.chance.permutation(count)[: math.ceil(_HALF * count)]
            yield from self._asked(Way.BATCH, half, first, [(half, 0)])
        singles = self._singles(_SINGLES if whole else 1)
        yield from self._asked(Way.ALONE, singles, first, [(np.array([row]), 0) for row in singles])

    def _singles(self, most: int) -> Rows:
        """Rows to ask alone: of each class first."""
        order = self.chance.permutation(self.frame.height)
        if not self._task.has_classes:
            return order[:most]
        labels = self.holdout.labels[order]
        _, first = np.unique(labels if labels.ndim == 1 else labels.argmax(axis=1), return_index=True)
        kinds = order[first]
        self.chance.shuffle(kinds)
        return np.concatenate([kinds, order[~np.isin(order, kinds)]])[:most]

    def _asked(self, way: Way, rows: Rows, first: Answer, tables: Sequence[tuple[Rows, int]]) -> Iterator[Trial]:
        found = joined([self._answers(self._table(part, decoys)) for part, decoys in tables])
        yield from self._compared(way, rows, first.of(rows), found)

    def _compared(self, way: Way, rows: Rows, first: Answer, *answers: Answer) -> Iterator[Trial]:
        """What one way of asking gave: the numbers, then the labels where these are judged."""
        yield Trial(
            way=way,
            rows=rows,
            first=first.numbers,
            answers=tuple(each.numbers for each in answers),
            decide=self.decide,
            targets=None if self.targets is None else self.targets[rows],
            allowed=(self.least, self.predictor.tolerance),
        )
        if self.holdout.record.label == "model" and first.places is not None:
            places = tuple(each.places for each in answers if each.places is not None)
            if len(places) == len(answers):
                yield Trial(way=way, rows=rows, first=first.places, answers=places, allowed=_EQUAL)

    def _depends(self, trials: Sequence[Trial], table: _Table) -> Problem | None:
        """Why the answers are not those of production; where they differ, more is asked to say what they depend on."""
        numbers = [each for each in trials if each.allowed is not _EQUAL]
        if dependence(numbers, self._task) is not None:
            return dependence([*numbers, *self._why(table)], self._task)
        return dependence([each for each in trials if each.allowed is _EQUAL], Task.REGRESSION, labels=True)

    def _why(self, table: _Table) -> Iterator[Trial]:
        """The first table twice as it was, then with other ids, then in another order."""
        rows, ids = np.arange(table.ids.size), table.ids
        same = self._written(table.frame, ids, rows)
        first, again = self._answers(same), self._answers(same)
        yield next(self._compared(Way.AGAIN, rows, first, first, again))
        other = self._answers(self._written(table.frame, new_ids(rows.size), rows))
        yield next(self._compared(Way.IDS, rows, first, other))
        mixed = self.chance.permutation(rows.size)
        moved = self._answers(self._written(table.frame[mixed], ids[mixed], np.argsort(mixed)))
        yield next(self._compared(Way.ORDER, rows, first, moved))

    # What comes of it

    @property
    def _task(self) -> Task:
        return self.holdout.record.task

    @property
    def _label_order(self) -> tuple[str, ...]:
        """What a label's place means: of two classes 1 is the positive one."""
        if not self._task.has_classes:
            return ()
        return self.holdout.record.classes if self._task is Task.BINARY else self.holdout.expected.classes

    def _collected(self, answer: Answer) -> Collector | Problem:
        """The predictions as the statistics take them, checked."""
        found = collector_of(self.holdout, self._facts(answer), self.holdout.record.classes, beyond=LEAST)
        if isinstance(found, Problem):
            return found
        found.add(answer.values, answer.own)
        return found.problem() or found

    def _facts(self, answer: Answer) -> ModelFacts:
        binary = self._task is Task.BINARY
        return ModelFacts(
            layout=Layout.COLUMNS,
            classes=self.holdout.expected.classes,
            single_probability=binary,
            labels=answer.own is not None,
            nodes=0,
            ir_version=0,
            opset=0,
        )

    def _scored(self, collected: Collector, answer: Answer) -> Scored:
        decisions = collected.decisions
        return Scored(
            predictions=collected.whole,
            decided=None if decisions is None else decisions.decided,
            own_labels=None if decisions is None else decisions.own_labels(),
            rounding=collected.rounding(answer.values.dtype),
            classes=self.holdout.record.classes,
            digest=self.artifact.of.digest,
            size_bytes=self.artifact.of.size_bytes,
            facts=self._facts(answer),
        )
