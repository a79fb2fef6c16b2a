"""What a model said, checked row by row before anything is computed from it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.protocol import ModelFacts
from mlbot.ml.text import listed
from mlbot.verdict.evidence import Problem

Floats = npt.NDArray[np.float64]

Raw = npt.NDArray[np.floating[Any]]

_TOLERANCE = 1e-3


@dataclass(kw_only=True, slots=True)
class Collector:
    """Takes one model's predictions batch by batch into one array as the statistics want it.

    Attributes:
        task: what is predicted.
        whole: where they go: (n,) or (n, C).
        columns: for each column of `whole` the model's own column, or None for a class it never learned; binary: the
            positive class's column.
    """

    task: Task
    whole: Floats
    columns: tuple[int | None, ...]
    _done: int = 0
    _not_finite: int = 0
    _outside: int = 0
    _wrong_sum: int = 0
    _low: float = field(default=np.inf)
    _high: float = field(default=-np.inf)

    def add(self, raw: Raw) -> None:
        """The next rows, (rows, width), as the model gave them."""
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
        """What is wrong with the predictions, if anything is."""
        rows = f"of {self._done} rows"
        if self._not_finite:
            return Problem(
                reason=Reason.NOT_FINITE,
                detail=f"The model predicts NaN or infinity on {self._not_finite} {rows}. Missing values that it was "
                "not trained on are the usual cause: fill them inside the model.",
            )
        if self._outside:
            return Problem(
                reason=Reason.NOT_PROBABILITIES,
                detail=f"The model's output is no probability on {self._outside} {rows}: values go from "
                f"{self._low:.3g} to {self._high:.3g}. If these are logits, end the model with a sigmoid or softmax.",
            )
        if self._wrong_sum:
            return Problem(
                reason=Reason.NOT_PROBABILITIES,
                detail=f"The model's class probabilities do not sum to one on {self._wrong_sum} {rows}. End the model "
                "with a softmax, not with a sigmoid for each class.",
            )
        if self._done != self.whole.shape[0]:
            return Problem(
                reason=Reason.HOLDOUT_UNREADABLE,
                detail=f"The holdout gave {self._done} rows where {self.whole.shape[0]} were counted: it changed "
                "while it was read.",
            )
        return None

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


def columns_of(facts: ModelFacts, task: Task, classes: tuple[str, ...]) -> tuple[int | None, ...] | Problem:
    """Which of a model's columns are read, in the order of `classes`.

    Args:
        facts: What the model is.
        task: What it predicts.
        classes: The shared class order; for a binary task negative before positive.
    """
    if task is Task.REGRESSION or facts.single_probability:
        return (0,)
    where = {label: at for at, label in enumerate(facts.classes)}
    if task is Task.MULTICLASS:
        return tuple(where.get(label) for label in classes)
    if classes[1] not in where or len(where) != 2:
        detail = f"The model's classes are {listed(facts.classes)}; the holdout's are {listed(classes)}."
        return Problem(reason=Reason.MODEL_OUTPUTS, detail=detail)
    return (where[classes[1]],)
