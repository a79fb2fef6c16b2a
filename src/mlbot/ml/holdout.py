"""The holdout: labels, slices and groups in memory, features only in batches.

Labels, masks and group codes take a few bytes a row; features are read again, a batch at a time, for each scoring. So
five million rows of twenty columns are judged in a fraction of what the table takes (`benchmarks/judge_memory.py`).
"""

import hashlib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.config import slice_sql
from mlbot.config.csv_form import Form
from mlbot.config.data import Data
from mlbot.config.gates import Slice
from mlbot.errors import MlbotError, driven
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml import frames, protocol
from mlbot.ml.content import content_digest, partial_digests, row_digests, valued_columns
from mlbot.ml.frames import CHUNK, Nameless, is_text
from mlbot.ml.protocol import Column, Expected, Feature, Kind, did_you_mean, listed, plain_label, printable, quoted
from mlbot.ml.times import read_series
from mlbot.stats.forecast import Series
from mlbot.verdict.verdict import Holdout, Problem

LabelArray = npt.NDArray[Any]
LabelValue = str | int | float | bool
_MOST_CLASSES = 1000

_FIRST = 3  # rows that are named of many
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)  # a number; a post code with leading zeros is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The target of every row."""

    # (n,): int8 with 1 for positive, int32 codes into `classes`, or float64 for regression. Of several targets (n, L):
    # int8 with 1 for a label that the row has, or float64.
    codes: LabelArray
    # The labels; negative before positive for a binary task; empty for regression; the targets where there are several.
    classes: tuple[str, ...] = ()
    # The labels as probability columns are ordered when a model does not say: `data.classes`, else sorted.
    order: tuple[str, ...] = ()
    values: tuple[LabelValue, ...] = ()  # `classes` as the data means them: whole numbers, numbers, booleans or text


@dataclass(kw_only=True, slots=True)
class _Encoder:
    task: Task
    data: Data
    target: str
    _names: dict[str, int] = field(default_factory=dict)
    _parts: list[LabelArray] = field(default_factory=list)
    _missing: int = 0
    _gaps: set[str] = field(default_factory=set)
    _infinite: int = 0
    _seen: int = 0
    _rows: list[int] = field(default_factory=list)  # the first of those that are missing or infinite, counted from 1
    _odd: tuple[int, float] | None = None  # the first row with a label that is not 0 or 1, and what it has

    def add(self, column: pl.Series) -> None:
        """The next rows' targets: text for classes, else numbers."""
        if self.task.has_classes:
            self._add_names(column)
        else:
            self._add_numbers(column)

    def finish(self) -> Labels | Problem:
        if self._missing:
            written = listed(sorted(filter(None, self._gaps)))
            return self._schema("labels-missing", rows=self._missing, written=written, first=self._first)
        if self._infinite:
            return self._schema("labels-infinite", rows=self._infinite, first=self._first)
        whole = np.concatenate(self._parts) if self._parts else np.empty(0)
        self._parts.clear()
        if self._odd is not None:
            row, value = self._odd
            cause = "relevance-negative" if self.task is Task.RANKING else "label-not-01"
            return self._schema(cause, row=row, value=f"{value:g}")
        if not self.task.has_classes:
            return Labels(codes=whole.astype(np.float64, copy=False))
        return self._binary(whole) if self.task is Task.BINARY else self._multiclass(whole)

    def _add_numbers(self, column: pl.Series) -> None:
        numbers = column.cast(pl.Float64).fill_null(math.nan).to_numpy()
        self._missing += int(np.isnan(numbers).sum())
        self._infinite += int(np.isinf(numbers).sum())
        if self.task in {Task.MULTILABEL, Task.RANKING} and self._odd is None:
            wrong = numbers < 0 if self.task is Task.RANKING else (numbers != 0) & (numbers != 1)
            odd = np.flatnonzero(np.isfinite(numbers) & wrong)
            self._odd = (self._seen + int(odd[0]) + 1, float(numbers[odd[0]])) if odd.size else None
        self._note(pl.Series(~np.isfinite(numbers)))
        self._parts.append(numbers)

    def _add_names(self, column: pl.Series) -> None:
        distinct = column.unique().drop_nulls().to_list()
        # A missing label is one by its meaning, unless mlbot.yaml names it among the classes.
        named, form = named_labels(self.data), Form(missing=self.data.csv.missing)
        gaps = [name for name in distinct if name not in named and form.is_missing(name)]
        missing = column.is_null() | column.is_in(gaps).fill_null(value=True)
        self._missing += int(missing.sum())
        self._note(missing)
        self._gaps.update(gaps)
        known = {name: self._names.setdefault(plain_label(name), len(self._names)) for name in distinct}
        if len(self._names) <= _MOST_CLASSES:
            self._parts.append(column.replace_strict(known, default=-1, return_dtype=pl.Int32).to_numpy())

    def _note(self, wrong: pl.Series) -> None:
        """The places of the first wrong rows."""
        self._rows += [self._seen + at + 1 for at in wrong.arg_true().head(_FIRST - len(self._rows)).to_list()]
        self._seen += len(wrong)

    @property
    def unlabelled(self) -> tuple[int, str]:
        """How many rows have no label so far, and the first of them."""
        rows = self._missing + self._infinite
        return rows, self._first if rows else ""

    @property
    def _first(self) -> str:
        """`3, 8 and 12`, `3, 8, 12, …`: rows, counted from 1."""
        *others, last = map(str, self._rows)
        if self._missing + self._infinite > len(self._rows):
            return ", ".join((*others, last, "…"))
        return f"{', '.join(others)} and {last}" if others else last

    def _binary(self, seen: LabelArray) -> Labels | Problem:
        found = ordered(self._names)
        declared = self.data.classes or ()
        known = declared or found
        if declared and len(declared) != 2:
            return self._schema("too-many-names", count=len(declared))
        unknown = _absent(found, known)
        if unknown:
            return self._schema("unknown-labels", labels=listed(unknown), like="")
        if len(found) > 2 or not known:
            return self._schema("not-binary", count=len(found), labels=listed(found))
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
                return self._schema("one-class", labels=quoted(known[0]))
            return ordered(known)[-1]
        match = [label for label in known if plain_label(label) == plain_label(self.data.positive)]
        if match:
            return match[0]
        hint = did_you_mean(self.data.positive, known)
        return self._schema("no-positive", positive=quoted(self.data.positive), like=hint, labels=listed(known))

    def _multiclass(self, seen: LabelArray) -> Labels | Problem:
        found = ordered(self._names)
        if len(found) > _MOST_CLASSES:
            return self._schema("too-many-classes", most=_MOST_CLASSES)
        classes = self.data.classes or found
        unknown = _absent(found, classes)
        if unknown:
            hint = did_you_mean(unknown[0], classes)
            return self._schema("unknown-labels", labels=listed(unknown), like=hint)
        if len(classes) < 2:
            return self._schema("one-class", labels=listed(found))
        code = {plain_label(name): i for i, name in enumerate(classes)}
        codes = np.array([code[name] for name in self._names], dtype=np.int32)
        return Labels(codes=codes[seen], classes=classes, order=classes, values=typed(classes))

    def _schema(self, cause: str, **values: Any) -> Problem:
        return Problem.of(Reason.HOLDOUT_SCHEMA, cause, target=quoted(self.target), **values)


class _Encoders:
    """Each target's encoder."""

    def __init__(self, task: Task, data: Data) -> None:
        self._task = task
        self._quantiles = data.quantiles
        self._each = [_Encoder(task=task, data=data, target=name) for name in data.targets]

    def add(self, batch: pl.DataFrame) -> None:
        """The next rows, with the columns `target 0` and so on."""
        for at, encoder in enumerate(self._each):
            encoder.add(batch[f"target {at}"])

    def finish(self) -> Labels | tuple[Problem, ...]:
        """The labels, or what is wrong with each target."""
        found = [encoder.finish() for encoder in self._each]
        problems = tuple(each for each in found if isinstance(each, Problem))
        columns = [each for each in found if isinstance(each, Labels)]
        if self._task is Task.FORECAST and not problems and self._quantiles:
            names = ("y", *(f"q:{level:g}" for level in self._quantiles))
            return replace(columns[0], classes=names, order=names)
        if problems or not self._task.has_targets:
            return problems or columns[0]
        dtype = np.int8 if self._task is Task.MULTILABEL else np.float64
        names = tuple(encoder.target for encoder in self._each)
        return Labels(codes=np.column_stack([each.codes for each in columns]).astype(dtype), classes=names, order=names)


def named_labels(data: Data) -> frozenset[str]:
    """The labels that the config names, so that they are labels whatever they look like."""
    return frozenset({*(data.classes or ()), *([data.positive] if data.positive else [])})


def unlabelled(table: frames.Table, data: Data, task: Task, target: str) -> tuple[int, str]:
    """How many rows of a table have no label, or none that is a number where it has to be; and the first of them."""
    encoder = _Encoder(task=task, data=data, target=target)
    for batch in _batches(table.frame.select(pl.col(target)), BATCH_ROWS * 8):
        encoder.add(batch[target])
    return encoder.unlabelled


def ordered(names: Sequence[str] | dict[str, int]) -> tuple[str, ...]:
    """Labels sorted as scikit-learn sorts them: as numbers when all are numbers, else as text."""
    pairs = zip(typed(tuple(names)), names, strict=True)
    return tuple(name for _, name in sorted(pairs))


def typed(names: tuple[str, ...]) -> tuple[LabelValue, ...]:
    """Labels as whole numbers, numbers or booleans when all of them read as such, else as text."""
    for read in (_whole, _number, _boolean):
        try:
            return tuple(read(plain_label(name)) for name in names)
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


def _labels(data: Data, task: Task) -> frames.Names:
    """The column of labels, where one of them is called like a missing value and the config names it."""
    named = named_labels(data) & {*(data.csv.missing or ())}
    return data.targets if named and task.has_classes else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file that can be read several times."""

    path: Path
    digest: str
    hidden: bool  # whether it came from an URL
    # What keeps the file behind `path` when it has no name: its bytes are gone with it.
    nameless: Nameless | None = None


def open_source(source: Path | str, copies: dict[str, Source] | None = None) -> Source:
    """Read a file to its end for its digest; one from an URL is copied to where no child can open it.

    The copy has no name on the disk, so a model that is judged on a hidden holdout cannot read its labels. `copies` has
    the last one that was made, and is given the next.
    """
    if copies is not None and (known := copies.get(str(source))):
        return known
    hasher = hashlib.sha256()
    if not is_url(source):
        if Path(source).is_dir():
            raise frames.UnreadableError("it is a folder", where=str(source), hint=frames.ONE_FILE)
        with Path(source).open("rb") as stream:
            while chunk := stream.read(CHUNK):
                hasher.update(chunk)
        return Source(path=Path(source), digest=f"sha256:{hasher.hexdigest()}", hidden=False)
    copy = Nameless()
    with driven(str(source)):
        import fsspec

        opened = fsspec.open(str(source), "rb")
    with opened as stream:
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            copy.append(chunk)
    made = Source(path=copy.path, digest=f"sha256:{hasher.hexdigest()}", hidden=True, nameless=copy)
    if copies is not None:
        copies.clear()
        copies[str(source)] = made
    return made


def is_url(source: Path | str) -> bool:
    """Whether it is an URL rather than a path."""
    return isinstance(source, str) and "://" in source


def kind_of(dtype: pl.DataType) -> Kind:
    """What a column holds."""
    if is_text(dtype):
        return Kind.TEXT
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return Kind.FLOAT
    if dtype.is_integer():
        return Kind.INTEGER
    return Kind.BOOLEAN if isinstance(dtype, pl.Boolean) else Kind.OTHER


def pack(frame: pl.DataFrame, features: tuple[Feature, ...]) -> protocol.Packed:
    """A batch as bytes: missing text is `""`, a missing number NaN (so a column with gaps crosses as floats)."""
    packed = [_text(frame[f.name]) if f.kind is Kind.TEXT else _numbers(frame[f.name], f.kind) for f in features]
    return protocol.Packed(
        rows=frame.height, columns=tuple(column for column, _ in packed), chunks=tuple(chunk for _, chunk in packed)
    )


def _text(series: pl.Series) -> tuple[Column, bytes]:
    filled = series.cast(pl.String).fill_null("")
    categories = filled.unique().sort()
    codes = filled.cast(pl.Enum(categories)).to_physical().to_numpy()
    codes = codes.astype(codes.dtype.newbyteorder("<"), copy=False)
    return Column(dtype=codes.dtype.str, categories=tuple(categories.to_list())), codes.tobytes()


def _numbers(series: pl.Series, kind: Kind) -> tuple[Column, bytes]:
    if kind is Kind.FLOAT or series.null_count() or series.dtype == pl.UInt64():
        floats = series if series.dtype == pl.Float32() else series.cast(pl.Float64)
        values = floats.fill_null(math.nan).to_numpy()
    elif kind is Kind.INTEGER:
        values = series.cast(pl.Int64).to_numpy()
    else:
        values = series.to_numpy()
    values = np.ascontiguousarray(values)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return Column(dtype=values.dtype.str), values.tobytes()


BATCH_ROWS = 16_384
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldoutData:
    """The labelled rows a model is judged on."""

    record: Holdout
    labels: LabelArray  # as `Labels.codes` are
    # The class of each code as the data means it (`1`, `True`, `"yes"`); empty for numbers and several labels.
    values: tuple[LabelValue, ...]
    expected: Expected
    masks: Mapping[str, Mask]  # a slice's rows, (n,) each; a condition that is NULL counts as false
    # A code for each row's group, (n,), numbered as they appear; None without `data.group`.
    groups: npt.NDArray[np.int32] | None
    weights: npt.NDArray[np.float64] | None  # how much each row counts, (n,); None without `data.weight`
    series: Series | None = None  # of a forecast's rows
    _table: frames.Table = field(repr=False)
    _source: Source = field(repr=False)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.record.rows

    @property
    def path(self) -> Path:
        """Where its bytes are, while this object is there."""
        return self._source.path

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
        """The features in the file's order, `rows` at a time."""
        yield from _batches(self._features(), rows)

    def row_digests(self) -> npt.NDArray[np.uint64]:
        """The digests of all its rows, with every column that the file has."""
        with self._table.reading():
            return row_digests(self._table.frame)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that make up its rows' digests."""
        return valued_columns(self._table.frame)

    def partial_digests(self, views: Sequence[Collection[str]]) -> list[npt.NDArray[np.uint64]]:
        """The digests of its rows over some columns alone, each once."""
        with self._table.reading():
            return partial_digests(self._table.frame, views)

    def whole(self) -> pl.DataFrame:
        """All features as a predictor gets them, in the file's order."""
        return self._table.features([feature.name for feature in self.expected.features])

    def head(self, rows: int) -> pl.DataFrame:
        """The features of the first rows."""
        return self._features().head(rows).collect(engine="streaming")

    def first(self, rows: int) -> "HoldoutData":
        """A holdout of the first rows alone, to try a model on."""
        fewer = min(rows, self.rows)
        return replace(
            self,
            record=self.record.model_copy(update={"rows": fewer}),
            labels=self.labels[:fewer],
            masks={},
            groups=None,
            weights=None if self.weights is None else self.weights[:fewer],
            series=None if self.series is None else self.series.where(np.arange(fewer)),
            _table=self._table.head(fewer),
        )

    @property
    def mixed(self) -> tuple[Problem, ...]:
        """The features of text that are numbers almost everywhere: probably a missing value is written in a new way."""
        names = {feature.name for feature in self.expected.features}
        return tuple(mixed_column(odd) for odd in self._table.odd_columns() if odd.name in names)

    @property
    def asked(self) -> tuple[str, ...]:
        """The features in which `?` is read as a missing number or boolean, which not every reader does."""
        return tuple(feature.name for feature in self.expected.features if feature.name in self._table.asked)

    def _features(self) -> pl.LazyFrame:
        return self._table.frame.select(feature.name for feature in self.expected.features)


def open_holdout(  # noqa: PLR0913  # where it is, how it is read, and what is read beside it
    source: Path | str,
    data: Data,
    task: Task,
    slices: Sequence[Slice] = (),
    *,
    copies: dict[str, Source] | None = None,
    train: Path | str | None = None,
    any_kind: bool = False,
) -> HoldoutData | Problem:
    """Read everything of a holdout but its features, or say why nothing can be judged on it.

    `source`: path or fsspec URL of a CSV or Parquet file; `data.holdout` made absolute.
    """
    given = source, data, task, slices
    found = check_holdout(*given, copies=copies, train=train, any_kind=any_kind)
    return found if isinstance(found, HoldoutData) else found[0]


def check_holdout(  # noqa: PLR0913  # as above
    source: Path | str,
    data: Data,
    task: Task,
    slices: Sequence[Slice] = (),
    *,
    copies: dict[str, Source] | None = None,
    train: Path | str | None = None,
    any_kind: bool = False,
) -> HoldoutData | tuple[Problem, ...]:
    """The holdout, or everything that is wrong with it."""
    try:
        opened = open_source(source, copies)
        apart = [name for name in (*data.targets, data.group, data.weight, *data.timing) if name is not None]
        given = data.reads(task), data.csv
        table = frames.open_table(
            opened.path, *given, apart=apart, labels=_labels(data, task), name=data.holdout or str(source)
        )
        with table.reading():
            found = _Opening(
                source=opened, table=table, data=data, task=task, slices=tuple(slices), any_kind=any_kind
            ).read()
            if not isinstance(found, HoldoutData) or task is not Task.FORECAST:
                return found
            series = read_series(table.frame, data, _training(train, data, copies))
            return (series,) if isinstance(series, Problem) else replace(found, series=series)
    except MlbotError as error:
        why = error.why if isinstance(error, frames.UnreadableError) else error.what
        return (_unreadable(data, why, error.hint),)
    except (PolarsError, PanicException) as error:  # it panics on some damaged Parquet files
        return (_unreadable(data, str(error)),)
    except Exception as error:  # fsspec's back ends raise errors of many libraries
        if isinstance(error, OSError) or is_url(source):
            return (_unreadable(data, f"{type(error).__name__}: {error}"),)
        raise


def _training(train: Path | str | None, data: Data, copies: dict[str, Source] | None) -> pl.LazyFrame | None:
    """The training data as far as a forecast's scale needs them; None where they cannot be read."""
    if train is None or (isinstance(train, Path) and not train.is_file()):
        return None
    opened = open_source(train, copies)
    try:
        return frames.open_table(opened.path, data.reads(Task.FORECAST), data.csv, in_memory=True).frame
    except MlbotError:
        return None


_TEXT_AND_NUMBER = re.compile("cannot compare string with numeric|'is_in' cannot check for")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opening:
    source: Source
    table: frames.Table
    data: Data
    task: Task
    slices: tuple[Slice, ...]
    any_kind: bool = False  # whether features may be what no ONNX file takes

    @property
    def frame(self) -> pl.LazyFrame:
        """The rows."""
        return self.table.frame

    def read(self) -> HoldoutData | tuple[Problem, ...]:
        features = self._features()
        wrong = (*self._wrong_slices(), *map(self._wrong_target, self.data.targets), self._wrong_weight())
        problems = tuple(each for each in (features, *wrong) if isinstance(each, Problem))
        if problems and not isinstance(features, Problem) and self._is_empty():
            return (Problem.of(Reason.EMPTY_HOLDOUT),)  # types that nothing shows are no problem of their own
        if problems or isinstance(features, Problem):
            return (*problems, *map(mixed_column, self.table.odd_columns()))
        return self._rows(features)

    def _is_empty(self) -> bool:
        try:
            return self.frame.head(1).collect().is_empty()
        except PolarsError:
            return False

    def _features(self) -> tuple[Feature, ...] | Problem:
        schema = dict(self.frame.collect_schema())
        apart = [name for name in (*self.data.targets, self.data.group, self.data.weight) if name is not None]
        timing = self.data.timing
        absent = [n for n in (*apart, *timing, *(self.data.features or ()), *self.data.drop) if n not in schema]
        if absent:
            hint = did_you_mean(absent[0], list(schema))
            return _schema("lacks-columns", absent=listed(absent), like=hint, columns=listed(schema))
        left_out = {*apart, *timing, *self.data.drop}
        names = self.data.features or tuple(name for name in schema if name not in left_out)
        given = [name for name in names if name in apart]
        if given or not names:
            return _schema("target-as-feature", column=quoted(given[0])) if given else _schema("no-feature")
        kinds = {name: kind_of(schema[name]) for name in names}
        other = [name for name, kind in kinds.items() if kind is Kind.OTHER]
        if other and not self.any_kind:
            return _schema("column-type", column=quoted(other[0]), type=str(schema[other[0]]))
        return tuple(Feature(name=name, kind=kind) for name, kind in kinds.items())

    def _wrong_target(self, target: str) -> Problem | None:
        dtype, labels = self.frame.collect_schema().get(target), self.task is Task.MULTILABEL
        if self.task.has_classes or dtype is None or frames.is_number(dtype) or (labels and dtype == pl.Boolean()):
            return None
        if (odd := self.table.odd(target)) is not None:
            words = {"target": quoted(target), "row": odd[0], "value": quoted(odd[1])}
            return _schema("label-not-01" if labels else "target-not-number", **words)
        cause = "label-not-numeric" if labels else "target-not-numeric"
        return _schema(cause, target=quoted(target), type=str(dtype))

    def _wrong_weight(self) -> Problem | None:
        dtype = self.frame.collect_schema().get(self.data.weight or "")
        if self.data.weight is None or dtype is None or frames.is_number(dtype):
            return None
        return _schema("weight-not-number", weight=quoted(self.data.weight), type=str(dtype))

    def _wrong_slices(self) -> Iterator[Problem]:
        """Each condition is tried on no rows: what columns and types it needs shows without reading any."""
        none = pl.DataFrame(schema=self.frame.collect_schema())
        for part in self.slices:
            try:
                absent = sorted(slice_sql.check(part.where) - set(none.columns))
                if absent:
                    hint = did_you_mean(absent[0], none.columns)
                    yield _schema("slice-column", slice=quoted(part.name), absent=listed(absent), like=hint)
                    continue
                where = self._where(part)
                none.select(pl.sql_expr(slice_sql.with_small_numbers(where)))
                dtype = none.select(pl.sql_expr(where).alias("slice"))["slice"].dtype
            except (slice_sql.ConditionError, PolarsError) as error:
                yield self._wrong_slice(part, str(error).strip().splitlines()[0])
                continue
            if str(dtype) != "Boolean":
                yield _schema("slice-no-condition", slice=quoted(part.name), type=str(dtype))

    def _where(self, part: Slice) -> str:
        """A slice's condition for the table, in which missing text is `""`."""
        schema = self.frame.collect_schema()
        return slice_sql.with_missing_text(part.where, [name for name, dtype in schema.items() if is_text(dtype)])

    def _wrong_slice(self, part: Slice, why: str) -> Problem:
        """What polars cannot do; in plain words where text is compared with numbers."""
        if not _TEXT_AND_NUMBER.search(why):
            return _schema("slice-condition", slice=quoted(part.name), why=printable(why, 200))
        schema, columns = self.frame.collect_schema(), sorted(slice_sql.check(part.where))
        texts = [name for name in columns if is_text(schema[name])]
        others = [name for name in columns if name not in texts]
        return _schema("slice-text", slice=quoted(part.name), texts=listed(texts), others=listed(others))

    def _rows(self, features: tuple[Feature, ...]) -> HoldoutData | tuple[Problem, ...]:
        encoders = _Encoders(self.task, self.data)
        masks: list[list[Mask]] = [[] for _ in self.slices]
        groups: list[npt.NDArray[np.uint64]] = []
        weights: list[npt.NDArray[np.float64]] = []
        count = ungrouped = 0
        for batch in _batches(self.frame.select(self._columns()), BATCH_ROWS * 8):
            count += batch.height
            encoders.add(batch)
            for i, mask in enumerate(masks):
                mask.append(batch[f"slice {i}"].to_numpy())
            if self.data.group is not None:
                ungrouped += int(batch["no group"].sum())
                groups.append(batch["group"].to_numpy())
            if self.data.weight is not None:
                weights.append(batch["weight"].to_numpy())
        # Counted in a query of its own: where polars 2.1 meets a damaged page, its batches just end.
        rows, inexact = self.table.census([feature.name for feature in features])
        if count != rows:
            return (_unreadable(self.data, "some of its rows cannot be reached; the file is damaged"),)
        if not count:
            return (Problem.of(Reason.EMPTY_HOLDOUT),)
        labels = encoders.finish()
        no_group = _schema("no-group", group=quoted(self.data.group or ""), rows=ungrouped) if ungrouped else None
        counted = self._weights(weights)
        if not isinstance(labels, Labels) or no_group is not None or isinstance(counted, Problem):
            wrong = () if isinstance(labels, Labels) else labels
            return tuple(each for each in (no_group, counted, *wrong) if isinstance(each, Problem))
        whole = {part.name: np.concatenate(mask) for part, mask in zip(self.slices, masks, strict=True)}
        found = self._holdout(features, labels, whole, _codes(groups) if groups else None)
        if self.task is Task.RANKING and (wrong_queries := self._wrong_queries(found, counted)):
            return (wrong_queries,)
        content = content_digest(row_digests(self.frame))
        record = found.record.model_copy(update={"inexact": inexact, "content": content})
        return replace(found, record=record, weights=counted)

    def _wrong_queries(self, found: HoldoutData, weights: npt.NDArray[np.float64] | None) -> Problem | None:
        """There is something to rank, somewhere to find it, and a query counts as a whole."""
        words = {"group": quoted(self.data.group or ""), "target": quoted(self.data.targets[0])}
        queries = found.groups
        if queries is None:
            return None
        if np.bincount(queries).max() < 2:
            return _schema("queries-single", **words)
        if not (found.labels > 0).any():
            return _schema("no-relevant", **words)
        if weights is not None and _vary(weights, queries):
            return _schema("weight-in-query", weight=quoted(self.data.weight or ""), **words)
        return None

    def _weights(self, parts: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64] | Problem | None:
        """Weights are finite and 0 or more, and some row counts."""
        if self.data.weight is None:
            return None
        weights = np.concatenate(parts)
        wrong = int(np.count_nonzero(~(np.isfinite(weights) & (weights >= 0))))
        if wrong:
            return _schema("weight-wrong", weight=quoted(self.data.weight), rows=wrong)
        return weights if weights.any() else _schema("weight-nothing", weight=quoted(self.data.weight))

    def _columns(self) -> list[pl.Expr]:
        """The targets, each slice and the group, under names of their own."""
        columns = [pl.col(name).alias(f"target {at}") for at, name in enumerate(self.data.targets)]
        columns += [
            pl.sql_expr(self._where(part)).fill_null(value=False).alias(f"slice {i}")
            for i, part in enumerate(self.slices)
        ]
        if self.data.group is not None:
            group = pl.col(self.data.group)
            gaps = Form(missing=self.data.csv.missing).gaps
            columns.append(group.str.to_lowercase().is_in(list(gaps)).fill_null(value=True).alias("no group"))
            columns.append(group.hash(seed=0).alias("group"))  # eight bytes a row, however long the names are
        if self.data.weight is not None:
            columns.append(pl.col(self.data.weight).cast(pl.Float64).fill_null(math.nan).alias("weight"))
        return columns

    def _holdout(
        self,
        features: tuple[Feature, ...],
        labels: Labels,
        masks: Mapping[str, Mask],
        groups: npt.NDArray[np.int32] | None,
    ) -> HoldoutData:
        binary = self.task is Task.BINARY
        record = Holdout(
            source=self.data.holdout,
            digest=self.source.digest,
            rows=len(labels.codes),
            hidden=self.source.hidden,
            task=self.task,
            classes=labels.classes,
            positive=labels.classes[1] if binary else None,
            threshold=self.data.threshold,
            label=self.data.label,
            weight=self.data.weight,
            slices={name: int(mask.sum()) for name, mask in masks.items()},
            queries=None if self.task is not Task.RANKING or groups is None else int(groups.max()) + 1,
            positives=int(labels.codes.sum()) if binary else None,
            slice_positives={name: int(labels.codes[mask].sum()) for name, mask in masks.items()} if binary else {},
        )
        declared = self.data.classes is not None
        return HoldoutData(
            record=record,
            labels=labels.codes,
            values=labels.values,
            expected=Expected(
                task=self.task, features=features, classes=labels.order, declared=declared, positive=record.positive
            ),
            masks=masks,
            groups=groups,
            weights=None,
            _table=self.table,
            _source=self.source,
        )


def _batches(frame: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """A query's rows in order, at most `rows` at a time: polars reads ahead by a few batches, no more."""
    for batch in frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True, engine="streaming"):
        yield from batch.iter_slices(rows)


def _vary(values: npt.NDArray[np.float64], codes: npt.NDArray[np.int32]) -> bool:
    """Whether some rows of one code have different values."""
    first = np.empty(int(codes.max()) + 1)
    first[codes[::-1]] = values[::-1]
    return bool((values != first[codes]).any())


def _codes(hashes: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.int32]:
    _, first, inverse = np.unique(np.concatenate(hashes), return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int32)
    rank[np.argsort(first)] = np.arange(first.size, dtype=np.int32)
    return rank[inverse]


def mixed_column(odd: frames.OddColumn) -> Problem:
    """What is probably wrong with a column of text that is numbers almost everywhere."""
    gaps = ", ".join(f'"{printable(gap, 60)}"' for gap in odd.gaps)
    return _schema("mixed-column", column=odd.name, row=odd.row, value=printable(odd.value, 60), gaps=gaps)


def _unreadable(data: Data, why: str, fix: str = "") -> Problem:
    reason = printable((why.strip() or "no reason given").splitlines()[0].rstrip("."), 300)
    facts = {"holdout": quoted(data.holdout), "why": reason}
    if fix:
        return Problem.of(Reason.HOLDOUT_UNREADABLE, "form", fix=printable(fix, 300), **facts)
    return Problem.of(Reason.HOLDOUT_UNREADABLE, "no-table", **facts)


def _schema(cause: str, **values: Any) -> Problem:
    return Problem.of(Reason.HOLDOUT_SCHEMA, cause, **values)


def item_masks(
    columns: Mapping[str, Sequence[str | float | None]], items: int, slices: Sequence[Slice]
) -> dict[str, Mask] | Problem:
    """The items of an evaluation that are in each slice, (items,), by what its results say of them."""
    found: dict[str, Mask] = {}
    numbers = {name: not any(isinstance(value, str) for value in values) for name, values in columns.items()}
    series = [
        pl.Series(name, [each if numbers[name] or each is None else str(each) for each in values])
        for name, values in columns.items()
    ]
    frame = pl.DataFrame([pl.Series("", range(items)), *series])
    for part in slices:
        try:
            absent = sorted(slice_sql.check(part.where) - columns.keys())
            mask = None if absent else frame.select(pl.sql_expr(part.where).fill_null(value=False)).to_series()
        except (slice_sql.ConditionError, PolarsError) as error:
            return _no_slice(part, columns, printable(str(error).strip().splitlines()[0], 200))
        if mask is None or str(mask.dtype) != "Boolean":
            why = f"there is no {listed(absent)}." if absent else "it is no condition."
            return _no_slice(part, columns, why)
        found[part.name] = mask.to_numpy()
    return found


def _no_slice(part: Slice, columns: Collection[str], why: str) -> Problem:
    known = listed(sorted(columns)) or "none"
    return Problem.of(Reason.RESULTS_UNREADABLE, "slice", slice=quoted(part.name), why=why, columns=known)
