"""What one model answers to the holdout, gathered batch by batch: predictions, checked, and the label of each row."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.holdout import HoldoutData
from mlbot.ml.protocol import ModelFacts, listed
from mlbot.verdict.verdict import OwnLabels, Problem, Rounding

Floats = npt.NDArray[np.float64]
Raw = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.signedinteger[Any]]
_TOLERANCE = 1e-3
_STEPS_OF_ERROR, _STEPS_OF_SPREAD = 0.1, 1e-5


@dataclass(kw_only=True, slots=True)
class Decisions:
    """The label of each row of one model: by the rule, and as the file gives it itself."""

    decided: Codes  # where they go, (n,): 1 for positive, or codes into the shared classes; (n, L): 1 for each label
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
        """Why the file's own labels cannot be judged, where they are to be."""
        if not self.own_count:
            return None
        if not self.has_own or self._unknown == self._done:
            return Problem.of(Reason.MODEL_OUTPUTS, "no-labels")
        if self._unknown:
            return Problem.of(Reason.MODEL_OUTPUTS, "other-labels", wrong=self._unknown, rows=self._done)
        return None

    def own_labels(self) -> OwnLabels | None:
        """How the file's own labels compare with the rule, where it has such."""
        if not self.has_own or self._unknown == self._done:  # an output of whole numbers that are no labels
            return None
        threshold = None if self._unknown else threshold_between(self._most, self._least)
        return OwnLabels(rows=self._done, differ=self._differ, threshold=threshold)

    def by_rule(self, raw: Raw) -> Codes:
        """The labels of some rows, by the config's threshold or else the most probable class."""
        if self.decided.ndim == 2:  # of several labels each has a probability of its own
            least = 0.5 if self.threshold is None else raw.dtype.type(self.threshold)
            return (raw > least if self.threshold is None else raw >= least).astype(np.int8)
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
class Collector:
    """Takes one model's predictions batch by batch into one array as the statistics want it."""

    task: Task
    whole: Floats  # where they go: (n,) or (n, C)
    # For each column of `whole` the model's own column, or None for a class it never learned; binary: the positive
    # class's column.
    columns: tuple[int | None, ...]
    decisions: Decisions | None  # None for a regression
    targets: Floats | None  # what numbers should be; None for labels, and of a ranking, which is for an order
    beyond: float  # how far outside of 0 to 1 a probability may be
    gaps: bool = False  # whether a row may have no answer, which is NaN then
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
        elif not self.task.has_classes:
            part[:] = values
        else:
            self._spread(values, part)
        self._done += values.shape[0]

    def problem(self) -> Problem | None:
        """What is wrong with the predictions."""
        rows = self._done
        if self._not_finite and not self.gaps:
            return Problem.of(Reason.NOT_FINITE, "rows", wrong=self._not_finite, rows=rows)
        if self._outside:
            span = {"low": f"{self._low:.3g}", "high": f"{self._high:.3g}"}
            return Problem.of(Reason.NOT_PROBABILITIES, self._kind(), wrong=self._outside, rows=rows, **span)
        if self._wrong_sum:
            return Problem.of(Reason.NOT_PROBABILITIES, "sum", wrong=self._wrong_sum, rows=rows)
        if rows != self.whole.shape[0]:
            return Problem.of(Reason.HOLDOUT_UNREADABLE, "changed", rows=rows, counted=self.whole.shape[0])
        return self.decisions.problem() if self.decisions is not None else None

    def rule(self, dtype: np.dtype[Any]) -> Callable[[Floats], npt.NDArray[Any]] | None:
        """How answers become labels, in the precision of the judged ones; None where there are none."""
        decisions = self.decisions
        return None if decisions is None else lambda answers: decisions.by_rule(answers.astype(dtype))

    def rounding(self, dtype: np.dtype[Any]) -> Rounding | None:
        """That of numbers of this type, where it counts."""
        return _rounding_of_any(self.targets, self.whole) if self.targets is not None and dtype.itemsize < 8 else None

    def _kind(self) -> str:
        """What values that are no probabilities probably are."""
        if self._high <= _TOLERANCE:
            return "logs"
        return "above" if self._low >= -_TOLERANCE else "outside"

    def _check_probabilities(self, values: Floats) -> None:
        if not values.size:
            return
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        outside = ((values < -self.beyond) | (values > 1 + self.beyond)).any(axis=1)
        self._outside += int(outside.sum())
        if values.shape[1] > 1 and self.task.has_classes:
            self._wrong_sum += int((np.abs(values.sum(axis=1) - 1) > _TOLERANCE).sum())

    def _spread(self, values: Floats, part: Floats) -> None:
        """Into the shared class order; each row sums to one exactly, where float32 leaves it short by a digit."""
        with np.errstate(invalid="ignore", divide="ignore"):
            values /= values.sum(axis=1, keepdims=True)
        for at, column in enumerate(self.columns):
            part[:, at] = 0.0 if column is None else values[:, column]


def collector_of(
    holdout: HoldoutData,
    facts: ModelFacts,
    classes: tuple[str, ...],
    *,
    beyond: float = _TOLERANCE,
    gaps: bool = False,
) -> Collector | Problem:
    """Room for a model's predictions of a holdout; or why its columns do not fit."""
    task = holdout.record.task
    columns = _columns_of(facts, task, classes)
    if isinstance(columns, Problem):
        return columns
    return Collector(
        task=task,
        whole=np.empty(_shape_of(task, holdout.rows, classes)),
        columns=columns,
        decisions=_decisions_of(holdout, facts, classes) if task.is_classification else None,
        targets=None if task.is_classification or task is Task.RANKING or gaps else holdout.labels,
        beyond=beyond,
        gaps=gaps,
    )


def _rounding_of_any(targets: Floats, predictions: Floats) -> Rounding | None:
    """That of the first of several numbers a row where it counts."""
    columns = zip(np.atleast_2d(targets.T), np.atleast_2d(predictions.T), strict=False)
    return next((found for each in columns if (found := rounding_of(*each))), None)


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


def _shape_of(task: Task, rows: int, classes: tuple[str, ...]) -> tuple[int, ...]:
    """The shape of predictions as the statistics take them; a forecast has columns where it has quantiles."""
    return (rows,) if task is Task.BINARY or not classes else (rows, len(classes))


def _columns_of(facts: ModelFacts, task: Task, classes: tuple[str, ...]) -> tuple[int | None, ...] | Problem:
    """Which of a model's columns are read, in the order of `classes` (binary: negative before positive)."""
    if task.has_targets or (task is Task.FORECAST and classes):
        return tuple(range(len(classes)))
    if not task.is_classification or facts.single_probability:
        return (0,)
    where = {label: at for at, label in enumerate(facts.classes)}
    if task is Task.MULTICLASS and where:
        return tuple(where.get(label) for label in classes)
    if classes[1] not in where or len(where) != 2:
        found = {"model": listed(facts.classes), "holdout": listed(classes)}
        return Problem.of(Reason.MODEL_OUTPUTS, "other-classes", **found)
    return (where[classes[1]],)


def _decisions_of(holdout: HoldoutData, facts: ModelFacts, classes: tuple[str, ...]) -> Decisions:
    """Room for a model's labels, and the rule that the holdout names for them."""
    record, order = holdout.record, holdout.expected.classes
    if record.task is Task.MULTILABEL:
        return Decisions(
            decided=np.empty((holdout.rows, len(classes)), np.int8),
            codes=np.arange(len(classes), dtype=np.int32),
            tied=None,
            threshold=record.threshold,
            own_count=False,
            has_own=False,
        )
    binary = record.task is Task.BINARY
    alone = binary and (facts.single_probability or len(facts.classes) < 2)
    codes = [int(label == classes[1]) if binary else classes.index(label) for label in facts.classes]
    return Decisions(
        decided=np.empty(holdout.rows, np.int8 if binary else np.int32),
        codes=np.array([0, 1] if alone else codes, dtype=np.int32),
        tied=int(order[0] == classes[1]) if alone else None,
        threshold=record.threshold,
        own_count=record.label == "model",
        has_own=facts.labels,
    )
