"""Sketches of tables, and counts of other rows in the bins of a sketch.

    sketch = sketch_of_holdout(holdout, scored)                      # at the judge, of rows that are in its hands
    counts = counted(sketch, [Batch(features=frame, answers=answers_of(task, predictions, decided, classes))])

Rows are read a batch at a time: of all of them only counts are held, and of `MOST_LOOKED_AT` what bins are made of. One
function counts both the sketch's own rows and others, so that a bin means the same on both sides.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from mlbot.config.csv_form import MISSING
from mlbot.data.sketch import (
    FEWEST,
    LONGEST_NAME,
    LONGEST_VALUE,
    MOST_BESIDE,
    MOST_BINS,
    MOST_BYTES,
    MOST_COLUMNS,
    PARTS,
    Column,
    Counts,
    Part,
    Sketch,
    SketchKind,
    Tally,
    nothing_of,
    size_of,
)
from mlbot.gates.metric import Task
from mlbot.ml.frames import is_text
from mlbot.ml.protocol import plain_label

if TYPE_CHECKING:
    from mlbot.ml.holdout import HoldoutData
    from mlbot.ml.scoring import Scored

Array = npt.NDArray[np.float64]
Columns = Mapping[str, tuple[Column, ...]]  # by part

MOST_LOOKED_AT = 65_536
_BATCH = 1 << 16
_COVERED = 0.5  # of a column's rows: where so many have a value of many rows, it is one of categories


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Some rows: what was asked, and beside it what is right and what a model answered, where that is known."""

    features: pl.DataFrame
    targets: pl.DataFrame | None = None
    answers: pl.DataFrame | None = None

    def of(self, part: Part) -> pl.DataFrame | None:
        """The columns of a part."""
        frame: pl.DataFrame | None = getattr(self, part)
        return frame

    def where(self, rows: pl.Series) -> "Batch":
        """Those of its rows for which it is true."""
        targets, answers = (None if each is None else each.filter(rows) for each in (self.targets, self.answers))
        return Batch(features=self.features.filter(rows), targets=targets, answers=answers)


Batches = Callable[[], Iterable[Batch]]
"""Rows that can be read again, in the same order."""


def counted(sketch: Sketch, batches: Iterable[Batch]) -> Counts:
    """Other rows in the bins of a sketch: a column that they lack has no rows, and one that it lacks is passed over.

    Nothing here raises for what rows hold: a value of another kind than the sketch's is counted as such.
    """
    columns: Columns = {part: sketch.columns(part) for part in PARTS}
    return reduce(add, (_counts(columns, batch) for batch in batches), sketch.nothing)


def sketch_of(batches: Batches, rows: int) -> Sketch:
    """The sketch of rows, by their number; at most `MOST_BYTES` long in the ledger.

    Of more columns than `MOST_COLUMNS` it takes as many at equal distances, in the order of the first batch.
    """
    looked_at = _looked_at(batches(), rows)
    profiles, left_out = _profiles(looked_at)
    columns, more = _fitting(profiles, rows)
    counts = reduce(add, (_counts(columns, batch) for batch in batches()), nothing_of(**columns))
    height = looked_at.features.height
    return Sketch(**columns, left_out=left_out + more, looked_at=height, counts=counts)


def sketch_of_holdout(holdout: "HoldoutData", names: Sequence[str], scored: "Scored | None") -> Sketch:
    """The sketch of the rows that judge a model, with their targets, and with what the model answered to them."""
    targets = _targets(holdout, names)
    answers = None
    if scored is not None:
        classes = scored.classes or holdout.record.classes
        answers = answers_of(holdout.record.task, scored.predictions, scored.decided, classes)

    def batches() -> Iterator[Batch]:
        start = 0
        for features in holdout.batches(_BATCH):
            size = features.height
            beside = answers[start : start + size] if answers is not None else None
            yield Batch(features=features, targets=targets[start : start + size], answers=beside)
            start += size

    return sketch_of(batches, holdout.rows)


def answers_of(
    task: Task, predictions: npt.NDArray[Any], decided: npt.NDArray[Any] | None = None, classes: Sequence[str] = ()
) -> pl.DataFrame:
    """What a model answered, as columns with the names that a sketch has for them.

    Of a binary model `label` and `probability` (of the positive class), of several classes `label` and `confidence`, of
    a regression, a ranking or a forecast `prediction` and a column for each quantile, of several labels or targets a
    column each. `decided` has places in `classes`.
    """
    values = predictions.reshape(len(predictions), -1).astype(np.float64)
    match task:
        case Task.BINARY | Task.MULTICLASS:
            found = {"probability": values[:, -1]} if task is Task.BINARY else {"confidence": values.max(axis=1)}
            labels = {} if decided is None else {"label": pl.Series(classes).gather(decided.astype(np.int64))}
            return pl.DataFrame({**labels, **found})
        case Task.MULTILABEL | Task.MULTIOUTPUT:
            names = classes or [str(at) for at in range(values.shape[1])]
        case _:
            names = ("prediction", *classes[1:])
    return pl.DataFrame({name: values[:, at] for at, name in enumerate(names[: values.shape[1]])})


def _targets(holdout: "HoldoutData", names: Sequence[str]) -> pl.DataFrame:
    """What is right, by the columns' names; labels as text."""
    task, codes, classes = holdout.record.task, holdout.labels, holdout.record.classes
    if task.has_classes:
        return pl.DataFrame({names[0]: pl.Series(classes).gather(codes.astype(np.int64))})
    columns = codes.reshape(len(codes), -1)
    return pl.DataFrame({name: columns[:, at] for at, name in enumerate(names[: columns.shape[1]])})


# Which rows and columns are looked at, and how many bins there are.


def _looked_at(batches: Iterable[Batch], rows: int) -> Batch:
    """All rows, or of very many some that are drawn, always the same."""
    chosen = np.ones(rows, dtype=bool)
    if rows > MOST_LOOKED_AT:
        chosen[:] = False
        chosen[np.random.default_rng(0).choice(rows, MOST_LOOKED_AT, replace=False)] = True
    start, parts = 0, list[Batch]()
    for batch in batches:
        here = pl.Series(chosen[start : start + batch.features.height])
        parts.append(batch.where(here))
        start += len(here)
    features, targets, answers = (_joined([each.of(part) for each in parts]) for part in PARTS)
    return Batch(features=pl.DataFrame() if features is None else features, targets=targets, answers=answers)


def _joined(frames: Sequence[pl.DataFrame | None]) -> pl.DataFrame | None:
    known = [each for each in frames if each is not None]
    return pl.concat(known) if known else None


def _profiles(rows: Batch) -> tuple[dict[Part, list["_Profile"]], int]:
    """What the columns hold that a sketch can have, and how many others there are."""
    found: dict[Part, list[_Profile]] = {}
    left_out = 0
    for part in PARTS:
        frame = rows.of(part)
        names = [] if frame is None else [name for name in frame.columns if len(name) <= LONGEST_NAME]
        chosen = _spaced(names, MOST_COLUMNS if part == "features" else MOST_BESIDE)
        left_out += (0 if frame is None else frame.width) - len(chosen)
        found[part] = [_Profile.of(frame[name]) for name in chosen] if frame is not None else []
    return found, left_out


def _spaced(names: Sequence[str], most: int) -> list[str]:
    """At most so many of them, at equal distances."""
    if len(names) <= most:
        return [*names]
    return [names[at] for at in np.linspace(0, len(names) - 1, most).round().astype(np.int64)]


_STEPS = ((64, 32), (64, 20), (64, 14), (64, 10), (64, 8), (48, 8), (32, 8), (24, 8), (16, 8), (8, 8), (4, 8), (1, 4))
"""Columns and bins that are tried until the sketch is short enough."""


def _fitting(profiles: Mapping[Part, Sequence["_Profile"]], rows: int) -> tuple[Columns, int]:
    """The columns with as many bins as fit, and how many columns do not."""
    for most, bins in _STEPS:
        beside = min(most, MOST_BESIDE)
        chosen = {part: _some(profiles[part], most if part == "features" else beside) for part in PARTS}
        columns: Columns = {part: tuple(each.column(bins) for each in chosen[part]) for part in PARTS}
        if _longest(columns, rows) <= MOST_BYTES:
            return columns, sum(len(profiles[part]) - len(chosen[part]) for part in PARTS)
    return dict.fromkeys(PARTS, ()), sum(map(len, profiles.values()))


def _some(profiles: Sequence["_Profile"], most: int) -> list["_Profile"]:
    names = {*_spaced([each.name for each in profiles], most)}
    return [each for each in profiles if each.name in names]


def _longest(columns: Columns, rows: int) -> int:
    """How long a sketch can be at most with these columns."""
    nothing = nothing_of(**columns)

    def most(part: Part) -> Iterator[Tally]:
        tallies: tuple[Tally, ...] = getattr(nothing, part)
        return (Tally(counts=(rows,) * len(each.counts), missing=rows, other=rows) for each in tallies)

    full: dict[str, tuple[Tally, ...]] = {part: tuple(most(part)) for part in PARTS}
    counts = nothing.model_copy(update={"rows": rows, **full})
    return size_of(Sketch(**columns, left_out=1_000_000, looked_at=rows, counts=counts))


@dataclass(frozen=True, kw_only=True)
class _Profile:
    """What one column of the rows looked at holds."""

    name: str
    kind: SketchKind
    # Its distinct values and how often each is there: numbers in ascending order, or the most frequent texts that may
    # be named.
    values: tuple[str, ...] = ()
    numbers: Array = field(default_factory=lambda: np.empty(0))
    often: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    distinct: int | None = None

    @classmethod
    def of(cls, series: pl.Series) -> "_Profile":
        """The profile of a column, by its type and its values."""
        kind = _kind(series)
        if kind is SketchKind.OTHER:
            return cls(name=series.name, kind=kind)
        if kind is not SketchKind.CATEGORY:
            return cls._of_numbers(series, kind)
        texts = series.cast(pl.String).replace("", None).drop_nulls().rename("value")
        counts = texts.value_counts(name="n").sort(["n", "value"], descending=[True, False])
        named = counts.filter((pl.col("n") >= FEWEST) & (pl.col("value").str.len_chars() <= LONGEST_VALUE))
        named = named.head(MOST_BINS - 1)
        if is_text(series.dtype) and named["n"].sum() < _COVERED * len(texts):
            return replace(cls._of_numbers(series, SketchKind.TEXT), distinct=counts.height)
        return cls(name=series.name, kind=kind, values=tuple(named["value"]), distinct=counts.height)

    @classmethod
    def _of_numbers(cls, series: pl.Series, kind: SketchKind) -> "_Profile":
        numbers, _ = _numbers(series, kind)
        values, often = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
        return cls(name=series.name, kind=kind, numbers=values, often=often)

    def column(self, bins: int) -> Column:
        """The column with at most so many bins."""
        return Column(
            name=self.name,
            kind=self.kind,
            edges=edges_of(self.numbers, self.often, bins),
            values=self.values[: bins - 1],
            distinct=self.distinct,
        )


def edges_of(values: Array, often: npt.NDArray[np.int64], bins: int) -> tuple[float, ...]:
    """Where bins of about equally many rows end, by distinct values in ascending order and how often each is there.

    An edge is a number between two values, the one with the fewest digits, and so no value of any row. A value of many
    rows is never parted, and each bin has `FEWEST` rows or more.
    """
    if values.size < 2 or bins < 2:
        return ()
    below = np.cumsum(often)  # rows up to each value
    total = int(below[-1])
    wanted = np.arange(1, bins) * total / bins
    after = np.clip(np.searchsorted(below, wanted), 1, values.size - 1)
    nearer = np.abs(below[after - 1] - wanted) <= np.abs(below[np.minimum(after, values.size - 2)] - wanted)
    ends = np.unique(np.where(nearer, after - 1, np.minimum(after, values.size - 2)))
    edges, last = list[float](), 0
    for end in ends:
        edge = between(float(values[end]), float(values[end + 1]))
        if edge is not None and below[end] - last >= FEWEST and total - below[end] >= FEWEST:
            edges.append(edge)
            last = int(below[end])
    return tuple(edges)


def between(low: float, high: float) -> float | None:
    """The number with the fewest digits between two; None where there is none."""
    middle = low / 2 + high / 2
    for digits in range(1, 18):
        found = float(f"{middle:.{digits}g}")
        if low < found < high:
            return found + 0.0  # never -0.0
    return None


# What a column's values are, on either side.


def _kind(series: pl.Series) -> SketchKind:
    dtype = series.dtype
    if dtype.is_numeric():
        return SketchKind.NUMBER
    if is_text(dtype) or dtype == pl.Boolean():
        return SketchKind.CATEGORY
    return SketchKind.TIME if dtype.is_temporal() else SketchKind.OTHER


def _counts(columns: Columns, batch: Batch) -> Counts:
    tallies: dict[str, tuple[Tally, ...]] = {
        part: tuple(_tally(each, batch.of(part)) for each in columns[part]) for part in PARTS
    }
    return Counts(rows=batch.features.height, **tallies)


def _tally(column: Column, frame: pl.DataFrame | None) -> Tally:
    if frame is None or column.name not in frame.columns:
        return Tally(counts=(0,) * column.bins)
    series = frame[column.name]
    match column.kind:
        case SketchKind.CATEGORY:
            return _tally_of_categories(column, series)
        case SketchKind.OTHER:
            missing = series.null_count()
            return Tally(counts=(len(series) - missing,), missing=missing)
        case _:
            numbers, other = _numbers(series, column.kind)
            there = numbers[~np.isnan(numbers)]
            at = np.searchsorted(np.asarray(column.edges), there, side="right")
            counts = np.bincount(at, minlength=column.bins)
            return Tally(counts=tuple(map(int, counts)), missing=len(series) - there.size - other, other=other)


def _tally_of_categories(column: Column, series: pl.Series) -> Tally:
    texts, counts = _texts(series), [0] * column.bins
    if texts is None:
        missing = series.null_count()
        return Tally(counts=tuple(counts), missing=missing, other=len(series) - missing)
    known = _Names(column.values)
    for value, often in texts.drop_nulls().value_counts(name=_HOW_OFTEN).iter_rows():
        counts[known.place(value)] += often
    return Tally(counts=tuple(counts), missing=texts.null_count())


_HOW_OFTEN = " n"  # behind a space: frames strip those from names


@dataclass(frozen=True)
class _Names:
    """The places of categories. 1, 1.0 and "1" are one value, true and True too; of a boolean 1 is true."""

    values: tuple[str, ...]

    @cached_property
    def exact(self) -> dict[str, int]:
        return {value: at for at, value in enumerate(self.values)}

    @cached_property
    def plain(self) -> dict[str, int]:
        found = {plain_label(value): at for value, at in reversed(self.exact.items())}
        if found.keys() <= {"true", "false"}:
            found |= {number: found[word] for number, word in (("1", "true"), ("0", "false")) if word in found}
        return found

    def place(self, value: str) -> int:
        """Where it is counted: with all others if it is not among them."""
        at = self.exact.get(value)
        return self.plain.get(plain_label(value), len(self.values)) if at is None else at


def _texts(series: pl.Series) -> pl.Series | None:
    """Values as text, null where they are missing; None of what has no text, such as lists."""
    dtype = series.dtype
    if dtype.is_nested() or dtype in {pl.Object(), pl.Binary()} or isinstance(dtype, pl.Duration):
        return None
    if dtype.is_float():
        series = series.fill_nan(None)
    return series.cast(pl.String).replace("", None)


def _numbers(series: pl.Series, kind: SketchKind) -> tuple[Array, int]:
    """A column's numbers, NaN where there is none, and how many values are no such thing."""
    if series.dtype == pl.Null():
        return np.full(len(series), np.nan), 0
    there = len(series) - series.null_count()
    read = {SketchKind.NUMBER: _as_number, SketchKind.TEXT: _as_length, SketchKind.TIME: _as_time}[kind]
    found, gaps = read(series)
    numbers = np.asarray(found.cast(pl.Float64).fill_null(np.nan).to_numpy(), dtype=np.float64)
    odd = there - gaps - (len(found) - found.null_count()) if found.len() else 0
    return numbers, odd


_Read = tuple[pl.Series, int]
"""What a column's values are, null where they are none; and how many of the texts among them say that it is missing."""


def _as_number(series: pl.Series) -> _Read:
    dtype = series.dtype
    if dtype.is_numeric() or dtype == pl.Boolean():
        return series.cast(pl.Float64), 0
    if not is_text(dtype):
        return _none_of(series)
    bare = series.cast(pl.String).str.strip_chars()
    gaps = bare.str.to_lowercase().is_in(list(MISSING))
    return bare.cast(pl.Float64, strict=False).set(gaps.fill_null(value=False), None), int(gaps.sum() or 0)


def _as_length(series: pl.Series) -> _Read:
    if not is_text(series.dtype):
        return _none_of(series)
    bare = series.cast(pl.String)
    empty = bare == ""
    return bare.str.len_chars().cast(pl.Float64).set(empty.fill_null(value=False), None), int(empty.sum() or 0)


def _as_time(series: pl.Series) -> _Read:
    dtype = series.dtype
    if dtype in {pl.Date(), pl.Datetime()} or isinstance(dtype, pl.Datetime):
        return series.cast(pl.Datetime("us")).to_physical().cast(pl.Float64) / 1e6, 0
    if dtype.is_temporal():
        return series.to_physical().cast(pl.Float64), 0
    if not is_text(dtype):
        return _none_of(series)
    bare = series.cast(pl.String).str.strip_chars()
    gaps = bare.str.to_lowercase().is_in(list(MISSING))
    try:
        moments = bare.str.to_datetime(strict=False, time_unit="us")
    except PolarsError:  # no value shows how the times are written
        return _none_of(series)
    return moments.dt.replace_time_zone(None).to_physical().cast(pl.Float64) / 1e6, int(gaps.sum() or 0)


def _none_of(series: pl.Series) -> _Read:
    return pl.Series(series.name, [None] * len(series), dtype=pl.Float64), 0
