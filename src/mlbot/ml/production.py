"""Logs of production: rows, and bodies of the Open Inference Protocol, as counts in a reference's bins.

Whoever can ask the model writes them, so all is bounded and nothing is believed: a line that is none is counted, a
value of another kind is counted as such, and what a file holds is never repeated.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlbot.data.sketch import Counts, Sketch, SketchKind, Tally
from mlbot.errors import NotEvaluatedError
from mlbot.gates.metric import Task
from mlbot.ml.logs import (
    FAULTS,
    REQUEST,
    RESPONSE,
    answered_of,
    asked_of,
    bodies_of,
    encodable,
    is_parquet,
    lines_of,
    object_of,
)
from mlbot.ml.sketches import Batch, counted
from mlbot.protocol.inference import NoTensorError, Tensor, inputs_of, tensors_of

MOST_ROWS = 50_000_000  # of a day
MOST_BYTES = 32 << 30  # of a file, as it is unpacked
UNREAD = 0.01
"""The share of lines that may be none; a day with more of them was not looked at."""
_BATCH = 1 << 15

Columns = dict[str, list[Any]]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LogForm:
    """What is looked for in the logs."""

    task: Task
    sketch: Sketch
    id: str | None = None
    prediction: str | None = None
    classes: tuple[str, ...] = ()  # in the order of the probabilities
    threshold: float = 0.5
    joined: bool = False  # whether labels are known, so that answers are held

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that are counted."""
        return tuple(each.name for each in self.sketch.features)


@dataclass(kw_only=True)
class Answers:
    """Answers and whose they are, as far as labels are to be joined."""

    ids: list[pl.Series] = field(default_factory=list)  # a hash of each
    values: list[Floats] = field(default_factory=list)  # (n, width): a number, probabilities, or the label's place

    def take(self, ids: pl.Series, values: Floats) -> None:
        """Hold the answers of some rows, but for those of another width than the first ones."""
        if len(ids) and (not self.values or self.values[0].shape[1] == values.shape[1]):
            self.ids.append(ids)
            self.values.append(values)


@dataclass(kw_only=True)
class RequestLog:
    """What the requests of a day come to."""

    rows: int = 0
    errors: int | None = None  # None: answers are not logged
    counts: Counts
    lines: int = 0
    unread: int = 0  # lines that are no row and no body
    labels_alone: bool | None = None  # whether an answer is a label, not a probability; None: there was none yet
    answers: Answers = field(default_factory=Answers)
    silent: int = 0  # rows of tables that have no answers


def read_requests(files: Sequence[Path], form: LogForm) -> RequestLog:
    """The requests of a day. Raises `NotEvaluatedError` for files that are none, or that hold too much."""
    log = RequestLog(counts=form.sketch.nothing)
    for file in files:
        try:
            for columns in _tables(file, form, log):
                _count(columns, form, log)
        except FAULTS as error:
            raise NotEvaluatedError(f"a file of the logs cannot be read ({type(error).__name__})") from None
    if log.unread > UNREAD * max(1, log.lines):
        raise NotEvaluatedError(f"{log.unread:,} of {log.lines:,} lines of the logs are no JSON that is a request")
    features = tuple(_of_all(each, log.rows) for each in log.counts.features)
    log.counts = log.counts.model_copy(update={"features": features})
    if log.errors is not None:
        log.errors += log.silent
    return log


def _of_all(tally: Tally, rows: int) -> Tally:
    """A column's tally of all rows: where some files of a day lack a column that others have, it is missing there."""
    return tally.model_copy(update={"missing": tally.missing + rows - tally.rows}) if tally.rows else tally


def _tables(file: Path, form: LogForm, log: RequestLog) -> Iterator[pl.DataFrame]:
    """A file's rows, some at a time: the columns that are looked for, and of answers `_ANSWER`, one or more columns."""
    if not is_parquet(file):
        return _held((object_of(line) for _, line in lines_of(file, MOST_BYTES)), form, log)
    table = pl.scan_parquet(file, glob=False)
    there = table.collect_schema()
    if there.get(REQUEST) == pl.String() and REQUEST not in form.features:
        return _held(_bodies(table.select(name for name in _of_bodies(form) if name in there)), form, log)
    return _parquet(table, there, form)


def _of_bodies(form: LogForm) -> list[str]:
    return [*dict.fromkeys(name for name in (REQUEST, RESPONSE, form.id, form.prediction) if name)]


def _bodies(table: pl.LazyFrame) -> Iterator[dict[str, Any] | None]:
    for batch in table.collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True):
        yield from bodies_of(batch)


def _parquet(table: pl.LazyFrame, there: pl.Schema, form: LogForm) -> Iterator[pl.DataFrame]:
    wanted = [*form.features, *(name for name in (form.id, form.prediction) if name)]
    names = [name for name in dict.fromkeys(wanted) if name in there]
    if not names:
        names = there.names()[:1]
    for batch in table.select(names).collect_batches(chunk_size=_BATCH, maintain_order=False, lazy=True):
        answers = {f"{_ANSWER}0": batch[form.prediction]} if form.prediction and form.prediction in there else {}
        ids = {_ID: batch[form.id].cast(pl.String, strict=False)} if form.id and form.id in there else {}
        rows = pl.DataFrame({_ROW: pl.repeat(value=True, n=batch.height, eager=True)})
        yield rows.with_columns(*(batch[name] for name in form.features if name in there), **answers, **ids)


_ANSWER, _ID, _ROW = " answer", " id", " row"  # frames strip spaces from names, so no column is called so


def _held(lines: Iterable[dict[str, Any] | None], form: LogForm, log: RequestLog) -> Iterator[pl.DataFrame]:
    held = _Held(form)
    for line in lines:
        log.lines += 1
        if line is None or not held.take(line):
            log.unread += 1
        if held.rows >= _BATCH:
            yield held.frame()
            held = _Held(form)
    if held.rows:
        yield held.frame()


class _Held:
    """Rows of lines of JSON, until there are enough for a table."""

    def __init__(self, form: LogForm) -> None:
        self.form = form
        self.rows = 0
        self.columns: Columns = {name: [] for name in form.features}
        self.ids: list[str | None] = []
        self.answers: list[Any] = []
        self.answered = False

    def take(self, line: Mapping[str, Any]) -> bool:
        """Take a line; False where it is no row and no body."""
        asked = asked_of(line)
        try:
            inputs = inputs_of(asked)
        except NoTensorError:
            return False
        return self._row(line, asked) if inputs is None else self._body(line, asked, inputs)

    def _row(self, whole: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        for name, column in self.columns.items():
            column.append(asked.get(name, _ABSENT))
        answered = answered_of(whole)
        row = whole if asked is answered else {**asked, **answered, **whole}
        self.ids.append(_id(row.get(self.form.id)) if self.form.id else None)
        has = self.form.prediction is not None and (self.form.prediction in row or "error" in row)
        self.answers.append(row.get(self.form.prediction) if self.form.prediction else None)
        self.answered |= has
        self.rows += 1
        return True

    def _body(self, whole: Mapping[str, Any], asked: Mapping[str, Any], inputs: Sequence[Tensor]) -> bool:
        rows = inputs[0].rows
        found = _by_column(inputs, self.form.features)
        for name, column in self.columns.items():
            column.extend(found.get(name, [_ABSENT] * rows))
        self.ids += self._ids(found if self.form.id in found else {}, whole, asked, rows)
        self.answers += self._answers(whole, rows)
        self.answered = True
        self.rows += rows
        return True

    def _ids(
        self, found: Mapping[str, list[Any]], whole: Mapping[str, Any], asked: Mapping[str, Any], rows: int
    ) -> list[str | None]:
        if self.form.id is None:
            return [None] * rows
        if self.form.id in found:
            return [_id(each) for each in found[self.form.id]]
        name = _id(next((each["id"] for each in (asked, whole) if each.get("id") is not None), None))
        return [name] if rows == 1 else [None if name is None else f"{name}/{row}" for row in range(rows)]

    def _answers(self, whole: Mapping[str, Any], rows: int) -> list[Any]:
        try:
            tensors = tensors_of(answered_of(whole).get("outputs"))
        except NoTensorError:
            tensors = ()
        named = [each for each in tensors if self.form.prediction in {None, each.name} and each.rows == rows]
        if not named:
            return [None] * rows
        return named[0].data if named[0].width == 1 else [*map(named[0].row, range(rows))]

    def frame(self) -> pl.DataFrame:
        """The rows as a table."""
        kinds = {each.name: each.kind for each in self.form.sketch.features}
        made = [
            _series(name, column, kinds[name])
            for name, column in self.columns.items()
            if not all(each is _ABSENT for each in column)
        ]
        made.append(pl.Series(_ROW, [True] * self.rows))
        if self.form.id is not None:
            made.append(pl.Series(_ID, self.ids, dtype=pl.String))
        if self.answered:
            made += _answer_series(self.answers)
        return pl.DataFrame(made)


class _Absent:
    """What stands for a column that a row does not have."""


_ABSENT = _Absent()


def _id(value: object) -> str | None:
    if isinstance(value, str):
        return encodable(value[:200]) or None
    return str(value) if isinstance(value, int) else None


def _series(name: str, values: list[Any], kind: SketchKind) -> pl.Series:
    plain = [None if each is _ABSENT else each for each in values]
    if kind is SketchKind.NUMBER and all(each is None or isinstance(each, int | float) for each in plain):
        return pl.Series(name, [None if each is None else float(each) for each in plain], dtype=pl.Float64)
    return pl.Series(name, [_text(each) for each in plain], dtype=pl.String)


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float() if math.isnan(value):
            return None
        case str():
            return encodable(value)
        case _:
            return str(value)[:100]


def _answer_series(answers: list[Any]) -> list[pl.Series]:
    """Answers as columns: of vectors one for each place, else one."""
    # As long as most are: one that is of another length is no answer, and takes none of the others along.
    widths = Counter(len(each) for each in answers if isinstance(each, list))
    width = widths.most_common(1)[0][0] if widths else 0
    if not width:
        numbers = all(each is None or isinstance(each, int | float) for each in answers)
        return [_series(f"{_ANSWER}0", answers, SketchKind.NUMBER if numbers else SketchKind.CATEGORY)]
    rows = [each if isinstance(each, list) and len(each) == width else [None] * width for each in answers]
    return [
        _series(f"{_ANSWER}{place}", [row[place] for row in rows], SketchKind.NUMBER)
        for place in range(min(width, 1000))
    ]


def _by_column(inputs: Sequence[Tensor], features: Sequence[str]) -> Columns:
    """The values of each column: a tensor a column, or one tensor of all features in their order."""
    if len(inputs) == 1 and len(features) > 1 and len(inputs[0].data) == inputs[0].rows * len(features):
        return {name: inputs[0].data[place :: len(features)] for place, name in enumerate(features)}
    return {each.name: each.data for each in inputs if each.width == 1}


# What the rows come to.


def _count(frame: pl.DataFrame, form: LogForm, log: RequestLog) -> None:
    log.rows += frame.height
    if log.rows > MOST_ROWS:
        raise NotEvaluatedError(f"the logs of one day have more than {MOST_ROWS:,} requests")
    names = [name for name in frame.columns if name.startswith(_ANSWER)]
    answers = None
    if names:
        given = frame.select(names)
        if log.labels_alone is None:
            log.labels_alone = _are_labels(given, form)
        answers = _Answered.of(given, form, labels=bool(log.labels_alone))
        log.errors = (log.errors or 0) + answers.errors
    else:
        log.silent += frame.height
    features = frame.drop([name for name in frame.columns if name.startswith(" ") and name != _ROW])
    batch = Batch(features=features, answers=None if answers is None else answers.frame)
    log.counts = log.counts + counted(form.sketch, [batch])
    if form.joined and answers is not None and _ID in frame.columns:
        known = answers.known & frame[_ID].is_not_null()
        log.answers.take(frame[_ID].filter(known).hash(), answers.values[known.to_numpy()])


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """The answers to some rows."""

    frame: pl.DataFrame  # as a sketch has them
    values: Floats  # (n, width): as metrics take them
    known: pl.Series

    @property
    def errors(self) -> int:
        return int((~self.known).sum())

    @classmethod
    def of(cls, given: pl.DataFrame, form: LogForm, *, labels: bool) -> "_Answered":
        numbers = given.select(pl.all().cast(pl.Float64, strict=False).fill_nan(None))
        task = form.task
        if task in {Task.BINARY, Task.MULTICLASS}:
            return cls._of_labels(given, form) if labels else cls._of_probabilities(numbers, form)
        names = [each.name for each in form.sketch.answers][: numbers.width] or ["prediction"]
        frame = pl.DataFrame({name: numbers.to_series(place) for place, name in enumerate(names)})
        known = numbers.to_series(0).is_not_null()
        values = numbers.select(pl.all().fill_null(0.0)).to_numpy().astype(np.float64)
        return cls(frame=frame, values=values, known=known)

    @classmethod
    def _of_labels(cls, given: pl.DataFrame, form: LogForm) -> "_Answered":
        text = given.to_series(0).cast(pl.String, strict=False)
        values = places_of(text, form.classes).astype(np.float64).reshape(-1, 1)
        return cls(frame=pl.DataFrame({"label": text}), values=values, known=text.is_not_null())

    @classmethod
    def _of_probabilities(cls, numbers: pl.DataFrame, form: LogForm) -> "_Answered":
        numbers = numbers.select(pl.when(pl.all().is_between(0.0, 1.0)).then(pl.all()))
        known = numbers.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        values = numbers.select(pl.all().fill_null(0.0)).to_numpy().astype(np.float64)
        if form.task is Task.BINARY:
            values = values[:, -1:]
            places = (values[:, 0] >= form.threshold).astype(np.int64)
            beside = {"probability": pl.Series(values[:, 0])}
        else:
            places = values.argmax(axis=1)
            beside = {"confidence": pl.Series(values.max(axis=1))}
        classes = form.classes
        label = pl.Series([classes[each] if each < len(classes) else None for each in places], dtype=pl.String)
        return cls(frame=pl.DataFrame({"label": label, **beside}).filter(known), values=values, known=known)


def _are_labels(given: pl.DataFrame, form: LogForm) -> bool | None:
    """Whether one answer a row is a label: most are classes' names. None where there is no answer to tell by."""
    if given.width > 1 or not form.task.has_classes:
        return False
    known = given.to_series(0).cast(pl.String, strict=False).drop_nulls()
    if known.is_empty():
        return None
    return form.task is Task.MULTICLASS or bool(2 * (places_of(known, form.classes) >= 0).sum() > known.len())


def places_of(labels: pl.Series, classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """The place of each label among the classes; -1 for another one."""
    places = labels.map_elements(lambda each: _place(each, classes), return_dtype=pl.Int64)
    return np.asarray(places.fill_null(-1).to_numpy(), dtype=np.int64)


def _place(label: str, classes: Sequence[str]) -> int:
    for written in (label, label.removesuffix(".0")):
        if written in classes:
            return classes.index(written)
    return -1


# Labels, which may come later.


@dataclass(frozen=True, kw_only=True)
class Joined:
    """The answers whose label is known."""

    truth: pl.Series  # as the labels' files have it
    values: Floats  # (n, width)

    def counts(self, sketch: Sketch, target: str) -> Counts:
        """The labels in the bins of a sketch."""
        rows = pl.DataFrame({_ROW: pl.Series([True] * self.truth.len())})
        return counted(sketch, [Batch(features=rows, targets=self.truth.to_frame(target))])


_STRANGE = 20  # labels of which none is of a request of its day: the two are not named alike


def read_labels(files: Sequence[Path], form: LogForm, target: str, answers: Answers) -> Joined:
    """The labels of a day joined to its answers; of two labels of one request the last counts. Raises as above.

    Where two requests have one id and other answers, nobody knows whose the label is, so it is of neither.
    """
    parts: list[pl.DataFrame] = []
    rows = 0
    for file in files:
        try:
            for part in _label_tables(file, form.id or "", target):
                rows += part.height
                if rows > MOST_ROWS:
                    raise NotEvaluatedError(f"the labels of one day are more than {MOST_ROWS:,}")
                parts.append(part)
        except FAULTS as error:
            raise NotEvaluatedError(f"a file of the labels cannot be read ({type(error).__name__})") from None
    labels = pl.concat(parts).drop_nulls() if parts else pl.DataFrame()
    if labels.is_empty() and (rows or not parts):
        raise NotEvaluatedError(f"the labels have no columns {form.id} and {target}")
    if not answers.ids:
        return Joined(truth=pl.Series([], dtype=pl.String), values=np.zeros((0, 1)))
    known = labels.with_columns(id=pl.col("id").hash()).unique("id", keep="last", maintain_order=True)
    values = np.concatenate(answers.values)
    asked = pl.DataFrame({"id": pl.concat(answers.ids), "answer": pl.DataFrame(values).hash_rows()})
    asked = asked.with_row_index("place").unique(["id", "answer"], keep="first").unique("id", keep="none")
    both = asked.join(known, on="id", how="inner").sort("place")
    if both.is_empty() and known.height >= _STRANGE:
        raise NotEvaluatedError(f"none of {known.height:,} labels has the {form.id} of a request of that day")
    return Joined(truth=both["truth"], values=values[both["place"].to_numpy()])


def _label_tables(file: Path, id_: str, target: str) -> Iterator[pl.DataFrame]:
    if is_parquet(file):
        table = pl.scan_parquet(file, glob=False)
        if {id_, target} <= set(table.collect_schema().names()):
            cast_ = pl.col(id_, target).cast(pl.String, strict=False)
            named = table.select(cast_).select(pl.col(id_).alias("id"), pl.col(target).alias("truth"))
            yield from named.collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True)
        return
    yield from _label_lines(file, id_, target)


def _label_lines(file: Path, id_: str, target: str) -> Iterator[pl.DataFrame]:
    rows: list[tuple[str | None, str | None]] = []
    lines = unread = 0
    for _, line in lines_of(file, MOST_BYTES):
        lines += 1
        if (value := object_of(line)) is not None:
            rows.append((_id(value.get(id_)), _text(value.get(target))))
        else:
            unread += 1
        if len(rows) >= _BATCH:
            yield _labelled(rows)
            rows = []
    if unread > UNREAD * max(1, lines):
        raise NotEvaluatedError(f"{unread:,} of {lines:,} lines of the labels are no JSON that is a label")
    yield _labelled(rows)


def _labelled(rows: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.String, "truth": pl.String}, orient="row")
