"""Labels as the statistics take them: codes in class order, or numbers."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbot.config.schema import Data
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.text import did_you_mean, listed, plain_label, quoted
from mlbot.verdict.evidence import Problem

if TYPE_CHECKING:
    import polars as pl


LabelArray = npt.NDArray[Any]

LabelValue = str | int | float | bool

_MOST_CLASSES = 1000

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
"""A number; a post code with leading zeros is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The target of every row.

    Attributes:
        codes: (n,): int8 with 1 for positive, int32 codes into `classes`, or float64 for regression.
        classes: the labels; negative before positive for a binary task; empty for regression.
        order: the labels as probability columns are ordered when a model does not say: `data.classes`, else sorted.
        values: `classes` as the data means them: whole numbers, numbers, booleans or text.
    """

    codes: LabelArray
    classes: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    values: tuple[LabelValue, ...] = ()


@dataclass(kw_only=True, slots=True)
class Encoder:
    """Takes the target column batch by batch.

    Attributes:
        task: what the column means.
        data: the config's words about it.
    """

    task: Task
    data: Data
    _names: dict[str, int] = field(default_factory=dict)
    _parts: list[LabelArray] = field(default_factory=list)
    _missing: int = 0
    _infinite: int = 0

    def add(self, column: "pl.Series") -> None:
        """The next rows' targets: text for classification, numbers for regression."""
        if self.task is Task.REGRESSION:
            self._add_numbers(column)
        else:
            self._add_names(column)

    def finish(self) -> Labels | Problem:
        """All rows' labels, or what is wrong with the target."""
        if self._missing:
            return self._schema(f"misses {self._missing} values. A row without a label cannot be judged: remove it.")
        if self._infinite:
            return self._schema(f"has {self._infinite} infinite values.")
        whole = np.concatenate(self._parts) if self._parts else np.empty(0)
        self._parts.clear()
        if self.task is Task.REGRESSION:
            return Labels(codes=whole.astype(np.float64, copy=False))
        return self._binary(whole) if self.task is Task.BINARY else self._multiclass(whole)

    def _add_numbers(self, column: "pl.Series") -> None:
        import polars as pl

        numbers = column.cast(pl.Float64).fill_null(math.nan).to_numpy()
        self._missing += int(np.isnan(numbers).sum())
        self._infinite += int(np.isinf(numbers).sum())
        self._parts.append(numbers)

    def _add_names(self, column: "pl.Series") -> None:
        import polars as pl

        self._missing += column.null_count() + int((column == "").sum())
        distinct = column.unique().drop_nulls().to_list()
        known = {name: self._names.setdefault(plain_label(name), len(self._names)) for name in distinct}
        if len(self._names) <= _MOST_CLASSES:
            self._parts.append(column.replace_strict(known, default=-1, return_dtype=pl.Int32).to_numpy())

    def _binary(self, seen: LabelArray) -> Labels | Problem:
        found = ordered(self._names)
        declared = self.data.classes or ()
        known = declared or found
        if declared and len(declared) != 2:
            return self._schema(f"is binary, but `data.classes` names {len(declared)} labels.")
        if len(found) > 2 or not known:
            return self._schema(f"has {len(found)} classes, not two: {listed(found)}. Set `task: multiclass`.")
        unknown = _absent(found, known)
        if unknown:
            return self._schema(f"has labels that are not in `data.classes`: {listed(unknown)}.")
        positive = self._positive(known)
        if isinstance(positive, Problem):
            return positive
        negative = next((label for label in known if label != positive), f"not {positive}")
        order = known if len(known) == 2 else (negative, positive)
        is_positive = np.array([name == plain_label(positive) for name in self._names], dtype=np.int8)
        classes = (negative, positive)
        return Labels(codes=is_positive[seen], classes=classes, order=order, values=typed(classes))

    def _positive(self, known: Sequence[str]) -> str | Problem:
        if self.data.positive is None:
            if len(known) == 1:
                return self._schema(f"has one class only, {quoted(known[0])}, and `data.positive` names none.")
            return ordered(known)[-1]
        match = [label for label in known if plain_label(label) == plain_label(self.data.positive)]
        if match:
            return match[0]
        hint = did_you_mean(self.data.positive, known)
        return self._schema(
            f"has no row with the positive label {quoted(self.data.positive)}{hint}; its labels are {listed(known)}. "
            "Fix `data.positive`, or name both labels under `data.classes`."
        )

    def _multiclass(self, seen: LabelArray) -> Labels | Problem:
        found = ordered(self._names)
        if len(found) > _MOST_CLASSES:
            return self._schema(f"has more than {_MOST_CLASSES} classes. Is the task a regression?")
        classes = self.data.classes or found
        unknown = _absent(found, classes)
        if unknown:
            hint = did_you_mean(unknown[0], classes)
            return self._schema(f"has labels that are not in `data.classes`: {listed(unknown)}{hint}.")
        if len(classes) < 2:
            return self._schema(f"has one class only, {listed(found)}. Name all classes under `data.classes`.")
        code = {plain_label(name): i for i, name in enumerate(classes)}
        codes = np.array([code[name] for name in self._names], dtype=np.int32)
        return Labels(codes=codes[seen], classes=classes, order=classes, values=typed(classes))

    def _schema(self, what: str) -> Problem:
        return Problem(reason=Reason.HOLDOUT_SCHEMA, detail=f"The holdout's target {quoted(self.data.target)} {what}")


def ordered(names: Sequence[str] | dict[str, int]) -> tuple[str, ...]:
    """Labels sorted as scikit-learn sorts them: as numbers when all are numbers, else as text."""
    pairs = zip(typed(tuple(names)), names, strict=True)
    return tuple(name for _, name in sorted(pairs))


def typed(names: tuple[str, ...]) -> tuple[LabelValue, ...]:
    """Labels as whole numbers, numbers or booleans when all of them read as such, else as text."""
    for read in (_whole, _number, _boolean):
        try:
            return tuple(read(name) for name in names)
        except ValueError:
            continue
    return names


def _whole(name: str) -> int:
    if str(int(name)) != name:
        raise ValueError
    return int(name)


def _number(name: str) -> float:
    if not _NUMBER.fullmatch(name):
        raise ValueError
    return float(name)


def _boolean(name: str) -> bool:
    if name.casefold() not in {"true", "false"}:
        raise ValueError
    return name.casefold() == "true"


def _absent(found: Sequence[str], known: Sequence[str]) -> list[str]:
    plain = {plain_label(label) for label in known}
    return [label for label in found if plain_label(label) not in plain]
