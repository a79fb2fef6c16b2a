"""Whether a model answers a row alike however it is asked: alone, in another order or batch, and twice the same.

In production rows come one at a time, or in batches of any size and order. What is judged is one answer a row, given in
the judge's batches; here it is compared with what the same row gets otherwise.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.verdict.verdict import Problem

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PROBABILITY = 1e-5
"""How far two answers to one row may be apart, in probability. float32 has a relative precision of 6e-8; a dot product
of ten thousand terms loses two digits of it, when another order of its sums is taken for one row than for many. Of
22 kinds of scikit-learn classifiers the worst differs by 8e-7."""
NUMBER = 1e-3
"""The same for a regression, relative to how far its predictions lie apart; the worst of 11 kinds differs by 5e-5
of that."""
_EPS = float(np.finfo(np.float32).eps)
_NARROW = 1e-2  # of how far probabilities lie apart: where all of them are close together, so is what may differ
_FINEST = 4 * _EPS
_LAST_DIGITS = 32 * _EPS  # of a regression's number itself: it may be large and its spread small
_REVERSED = 0.01  # of the pairs of rows, and of the decisions
_LAGS = 8


class Way(StrEnum):
    """How rows are asked again; also the cause of the refusal, in order of which is named where several show."""

    AGAIN = "answers-at-random"  # the same request twice
    ALONE = "not-finite-alone"
    IDS = "depends-on-ids"  # the same rows under other names; of a predictor
    ORDER = "depends-on-order"  # the same rows in another order
    BATCH = "depends-on-batch"  # in a batch of other rows, or of another size


_QUANTISED, _LABELS = "depends-on-batch-quantised", "labels-depend-on-batch"
DEPENDENCES = frozenset({*(way.value for way in Way), _QUANTISED, _LABELS})
"""The causes of a refusal by what an answer depends on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Rows that were asked again in one way, `(rows, width)` each."""

    way: Way
    rows: Rows  # which rows they are
    first: Floats  # what they were answered before
    answers: tuple[Floats, ...]  # what they are answered now; several to one request should be the same
    decide: Callable[[Floats], npt.NDArray[Any]] | None = None  # the labels of such answers, where they have any
    targets: Floats | None = None  # what a model of numbers should answer, (rows,) or (rows, width)
    allowed: tuple[float | Floats, float] | None = None
    """How far another answer may be away, in itself and relative to the answer. None: what float32 needs."""

    def without(self, rows: Sequence[int]) -> "Trial":
        """The trial of the other rows."""
        left = ~np.isin(self.rows, rows)
        answers = tuple(answer[left] for answer in self.answers)
        targets = None if self.targets is None else self.targets[left]
        return replace(self, rows=self.rows[left], first=self.first[left], answers=answers, targets=targets)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """That answers differ: of which rows, by how much at most."""

    rows: Rows
    asked: int
    largest: float


def dependence(trials: Sequence[Trial], task: Task, *, dynamic: bool = False, labels: bool = False) -> Problem | None:
    """What a model's answers depend on beside the row, if anything.

    `dynamic`: whether it is quantised by the batch at hand; `labels`: whether the answers are its own labels.
    """
    for way in Way:
        found = (_shown(way, trial, task) for trial in trials)
        worst = max((each for each in found if each is not None), key=lambda each: len(each.rows), default=None)
        if worst is None:
            continue
        if labels:
            return Problem.of(Reason.MODEL_REFUSED, _LABELS, rows=len(worst.rows), asked=worst.asked)
        cause = _QUANTISED if way is Way.BATCH and dynamic else way.value
        facts: dict[str, Any] = {"rows": len(worst.rows), "asked": worst.asked, "largest": f"{worst.largest:.2g}"}
        return Problem.of(Reason.MODEL_REFUSED, cause, **facts)
    return None


def few_odd_rows(trials: Sequence[Trial], task: Task) -> Rows:
    """The rows that are answered otherwise, where they are so few that it may be because each lies at a step."""
    odd = [each.rows for trial in trials for way in Way if (each := _shown(way, trial, task)) is not None]
    rows = np.unique(np.concatenate(odd)) if odd else np.arange(0)
    most = 1 + 0.01 * max((len(trial.rows) for trial in trials), default=0)
    return rows if len(rows) <= most else rows[:0]


def at_a_step(row: int, trials: Sequence[Trial], nudged: Sequence[Floats], task: Task, *, labels: bool = False) -> bool:
    """Whether a row lies so close to a step of the model that rounding decides on which side of it.

    A split of a tree behind a sum, or a quantised sum, is such a step. Then the row with its last digits changed gets
    every answer that the row itself got, whichever way it is asked; of an answer to that very row this is not true, nor
    of one to a way of asking. `nudged`: the answers to it with other last digits, from each way of asking.
    `labels`: whether the answers are codes of labels, which are equal or not.
    """
    allowed = 0.0 if labels else 10 * max(float(tolerance(trial.first, task).max()) for trial in trials)
    seen = [each[trial.rows == row] for trial in trials for each in (trial.first, *trial.answers)]
    values = np.concatenate(seen)
    return all(_near(value, answers, allowed) for value in values for answers in nudged)


def _near(value: Floats, answers: Floats, allowed: float) -> bool:
    return bool((np.abs(answers - value) <= allowed).all(axis=1).any())


def _shown(way: Way, trial: Trial, task: Task) -> Difference | None:
    match way:
        case Way.AGAIN:
            return difference(replace(trial, first=trial.answers[0], answers=trial.answers[1:]), task)
        case Way.ALONE:
            return _not_finite(trial) if trial.way is Way.ALONE else None
        case Way.IDS | Way.ORDER:
            return difference(trial, task) if trial.way is way else None
        case Way.BATCH:
            return difference(trial, task)


def _not_finite(trial: Trial) -> Difference | None:
    was = np.isfinite(trial.first).all(axis=1)
    now = np.isfinite(np.asarray(trial.answers)).all(axis=(0, 2))
    wrong = trial.rows[was & ~now]
    return Difference(rows=wrong, asked=len(trial.rows), largest=np.inf) if wrong.size else None


def difference(trial: Trial, task: Task) -> Difference | None:
    """How answers differ from the first ones beyond the tolerance, if they do."""
    found = (_between(trial, answer, task) for answer in trial.answers)
    return max((each for each in found if each is not None), key=lambda each: len(each.rows), default=None)


def _between(trial: Trial, answer: Floats, task: Task) -> Difference | None:
    first = trial.first
    if not len(first):
        return None
    with np.errstate(invalid="ignore"):  # infinity less infinity
        apart = np.abs(answer - first)
    alike = (answer == first) | (np.isnan(answer) & np.isnan(first))
    allowed = tolerance(first, task) if trial.allowed is None else _within(first, *trial.allowed)
    wrong = ~(alike | (apart <= allowed)).all(axis=1)
    others = (_decided_otherwise, _errs_otherwise)
    fine = 0.0 if task.is_classification or task is Task.RANKING else allowed.max(axis=0)
    if not wrong.any() and (_reversed(first, answer, fine) or any(other(trial, answer) for other in others)):
        wrong = ~alike.all(axis=1)
    if not wrong.any():
        return None
    largest = float(np.nan_to_num(apart[wrong], nan=np.inf).max())
    return Difference(rows=trial.rows[wrong], asked=len(first), largest=largest)


def tolerance(first: Floats, task: Task) -> Floats:
    """How far another answer may be from each of the first ones."""
    if not task.is_classification:  # each column may be in units of its own
        spreads = np.array([spread_of(column) for column in first.T])
        return np.asarray(spreads * NUMBER + np.abs(np.nan_to_num(first, posinf=0.0, neginf=0.0)) * _LAST_DIGITS)
    spread = spread_of(first)
    narrow = PROBABILITY if spread == 0 else min(PROBABILITY, max(_FINEST, spread * _NARROW))
    return np.full((1, 1), narrow)


def _within(first: Floats, absolute: float | Floats, relative: float) -> Floats:
    return absolute + relative * np.abs(np.nan_to_num(first, posinf=0.0, neginf=0.0))


def spread_of(values: Floats) -> float:
    """How far values lie apart, whatever a few of them do."""
    finite = values[np.isfinite(values)]
    return min(float(finite.std()), float(np.ptp(np.quantile(finite, (0.05, 0.95))))) if finite.size else 0.0


def _reversed(first: Floats, answer: Floats, fine: Floats | float) -> bool:
    """Whether the order of the rows is another one, however small the differences are: a metric may know only that."""
    ordered = lost = 0.0
    for lag in range(1, min(_LAGS + 1, len(first))):
        with np.errstate(invalid="ignore"):
            was, now = first - np.roll(first, lag, axis=0), answer - np.roll(answer, lag, axis=0)
        apart = np.abs(was) > fine
        ordered += apart.sum()
        lost += ((apart & (np.sign(now) != np.sign(was))) * np.where(now == 0, 0.5, 1.0)).sum()
    return bool(lost > 1 + _REVERSED * ordered)


def _decided_otherwise(trial: Trial, answer: Floats) -> bool:
    if trial.decide is None:
        return False
    differ = trial.decide(trial.first) != trial.decide(answer)
    differ = differ.any(axis=1) if differ.ndim > 1 else differ
    return bool(differ.sum() > 1 + _REVERSED * len(answer))


_ENOUGH = 20  # rows
_ERRS_MORE = 4.0  # times; two orders of a sum in float32 differ less


def _errs_otherwise(trial: Trial, answer: Floats) -> bool:
    """Whether a regression's errors are others: they may be far smaller than its predictions lie apart."""
    targets = trial.targets
    if targets is None or len(targets) < _ENOUGH or not np.isfinite([trial.first, answer]).all():
        return False
    wanted = targets.reshape(len(targets), -1)
    return any(_errs_more(*each) for each in zip(wanted.T, trial.first.T, answer.T, strict=False))


def _errs_more(targets: Floats, first: Floats, answer: Floats) -> bool:
    near = float(np.subtract(*np.quantile(first, (0.75, 0.25)))) * 1e-5
    for middle in (np.median, np.mean):
        one, other = (float(middle(np.abs(each - targets))) for each in (first, answer))
        if max(one, other) > _ERRS_MORE * min(one, other) + near + float(middle(np.abs(first))) * _LAST_DIGITS:
            return True
    return False


def drawn(labels: npt.NDArray[Any], most: int, batch: int) -> Rows:
    """The rows that are asked again, at most about so many, sorted: all over the holdout, and as many of each class.

    Nobody can know before which they are. What file and holdout determine, an author could compute too, and change the
    file until no row is drawn that it answers otherwise. No verdict on an honest model hangs on it: each of its rows is
    within the tolerance.
    """
    count = len(labels)
    if count <= most:
        return np.arange(count)
    chance = np.random.default_rng(secrets.randbits(128))
    last = (count - 1) // batch * batch
    ends = np.array([0, count - 1, batch - 1, batch, last - 1, last])
    evenly = chance.choice(count, most // 2, replace=False)
    strata = tuple(_strata(labels, chance))
    each = max(1, most // 2 // len(strata))
    parts = [chance.choice(rows, min(each, len(rows)), replace=False) for rows in strata]
    found = np.unique(np.concatenate([ends, evenly, *parts]))
    return found[(found >= 0) & (found < count)]


_MOST_STRATA = 20


def _strata(labels: npt.NDArray[Any], chance: np.random.Generator) -> Iterator[Rows]:
    """The rows of each class; of numbers and of many classes, those of each twentieth."""
    if labels.ndim > 1:  # of several labels the rows that have each, of several numbers those of the first
        columns = labels.T[:_MOST_STRATA] if labels.dtype.kind in "iu" else labels.T[:1]
        yield from (rows for column in columns for rows in _strata(column, chance))
        return
    some = labels[chance.choice(len(labels), min(len(labels), 50_000), replace=False)]
    known = np.unique(labels) if labels.dtype.kind in "iu" else np.unique(some)
    if len(known) <= _MOST_STRATA:
        yield from (np.flatnonzero(labels == value) for value in known)
        return
    bins = np.searchsorted(np.quantile(some, np.linspace(0, 1, _MOST_STRATA + 1)[1:-1]), labels)
    yield from (rows for value in range(_MOST_STRATA) if (rows := np.flatnonzero(bins == value)).size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Some of the sampled rows, to be asked in one request or in parts."""

    way: Way
    rows: Rows
    parts: tuple[int, ...] = ()


def questions(rows: int, alone: int) -> tuple[Question, ...]:
    """All that is asked about so many rows, the first `alone` of them one by one."""
    chance = np.random.default_rng(secrets.randbits(128))
    every = np.arange(rows)
    return (
        Question(way=Way.AGAIN, rows=every),
        Question(way=Way.AGAIN, rows=every),
        Question(way=Way.ORDER, rows=chance.permutation(rows)),
        Question(way=Way.BATCH, rows=chance.permutation(rows), parts=_uneven(rows, chance)),
        Question(way=Way.ALONE, rows=every[:alone], parts=(1,) * alone),
    )


def trials_of(judged: Floats, asked: Sequence[tuple[Question, Floats]]) -> tuple[Trial, ...]:
    """The answers beside what they should be equal to."""
    first, again, *others = asked
    trials = [Trial(way=Way.AGAIN, rows=first[0].rows, first=judged[first[0].rows], answers=(first[1], again[1]))]
    for question, answers in others:
        # The same rows in another order beside the same rows, not beside the batch that they were judged in.
        before = first[1] if question.way is Way.ORDER else judged
        trials.append(Trial(way=question.way, rows=question.rows, first=before[question.rows], answers=(answers,)))
    return tuple(trials)


_USUAL = (2, 3, 4, 5, 6, 7, 8, 10, 16, 32, 64, 100, 128, 256)


def _uneven(rows: int, chance: np.random.Generator) -> tuple[int, ...]:
    """Sizes of batches that so many rows are parted into: usual ones, and then such as nobody can know before."""
    sizes: list[int] = []
    while (left := rows - sum(sizes)) > 0:
        usual = _USUAL[len(sizes)] if len(sizes) < len(_USUAL) else 0
        sizes.append(min(left, usual or int(np.exp(chance.uniform(np.log(2), np.log(rows + 1))))))
    return tuple(sizes)
