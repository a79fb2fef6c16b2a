"""Whether a model answers a row alike however it is asked: alone, in another order or batch, and twice the same.

In production rows come one at a time, or in batches of any size and order. What is judged is one answer a row, given in
the judge's batches; here it is compared with what the same row gets otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.verdict.verdict import Problem

Floats = npt.NDArray[np.float64]

PROBABILITY = 1e-5
"""How far two answers to one row may be apart, in probability. float32 has a relative precision of 6e-8; a dot product
of ten thousand terms loses two digits of it, when another order of its sums is taken for one row than for many."""
NUMBER = 1e-3
"""The same for a regression, relative to how far its predictions lie apart."""
_LAST_DIGITS = 32 * float(np.finfo(np.float32).eps)  # of the number itself: it may be large and its spread small


class Way(StrEnum):
    """How rows are asked again; also the cause of the refusal, in order of which is named where several show."""

    AGAIN = "answers-at-random"  # the same request twice
    ALONE = "not-finite-alone"
    ORDER = "depends-on-order"  # the same rows in another order
    BATCH = "depends-on-batch"  # in a batch of other rows, or of another size


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Rows that were asked again in one way, `(rows, width)` each."""

    way: Way
    first: Floats  # what they were answered before
    answers: Sequence[Floats]  # what they are answered now; several to one request should be the same


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """That answers differ: of how many rows, by how much at most."""

    rows: int
    asked: int
    largest: float


def dependence(trials: Sequence[Trial], task: Task) -> Problem | None:
    """What a model's answers depend on beside the row, if anything."""
    for way in Way:
        found = (_shown(way, trial, task) for trial in trials)
        worst = max((each for each in found if each is not None), key=lambda each: each.rows, default=None)
        if worst is not None:
            largest = f"{worst.largest:.2g}"
            return Problem.of(Reason.MODEL_REFUSED, way.value, rows=worst.rows, asked=worst.asked, largest=largest)
    return None


def _shown(way: Way, trial: Trial, task: Task) -> Difference | None:
    match way:
        case Way.AGAIN:
            return difference(trial.answers[0], trial.answers[1:], task)
        case Way.ALONE:
            return _not_finite(trial) if trial.way is Way.ALONE else None
        case Way.ORDER:
            return difference(trial.first, trial.answers, task) if trial.way is Way.ORDER else None
        case Way.BATCH:
            return difference(trial.first, trial.answers, task)


def _not_finite(trial: Trial) -> Difference | None:
    was = np.isfinite(trial.first).all(axis=1)
    now = np.isfinite(np.asarray(trial.answers)).all(axis=(0, 2))
    wrong = int((was & ~now).sum())
    return Difference(rows=wrong, asked=len(trial.first), largest=np.inf) if wrong else None


def difference(first: Floats, answers: Sequence[Floats], task: Task) -> Difference | None:
    """How answers differ from the first ones beyond the tolerance, if they do."""
    if not answers or not len(first):
        return None
    allowed = _tolerance(first, task)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        apart = np.maximum.reduce([np.abs(answer - first) for answer in answers])
    same = np.logical_and.reduce([_alike(answer, first) for answer in answers])
    wrong = ~(same | (apart <= allowed)).all(axis=1)
    if not wrong.any():
        return None
    largest = float(np.nan_to_num(apart[wrong], nan=np.inf).max())
    return Difference(rows=int(wrong.sum()), asked=len(first), largest=largest)


def _alike(one: Floats, other: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)))


def _tolerance(first: Floats, task: Task) -> Floats | float:
    if task is not Task.REGRESSION:
        return PROBABILITY
    finite = first[np.isfinite(first)]
    spread = min(float(finite.std()), float(np.ptp(np.quantile(finite, (0.05, 0.95))))) if finite.size else 0.0
    digits: Any = np.abs(np.nan_to_num(first, posinf=0.0, neginf=0.0)) * _LAST_DIGITS
    return np.asarray(digits + spread * NUMBER, dtype=np.float64)
