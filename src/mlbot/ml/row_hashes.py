"""Tables that need not fit into memory: hashed by rows, and read in part.

Rows are held as hashes of eight bytes, two or three of them a row. The seed of the hashes is drawn for each run: who
writes a file cannot make two rows alike.
"""

import secrets
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from mlbot.config.data import Data
from mlbot.data.checks import Rows, Value
from mlbot.data.diff import Hashes, Indices
from mlbot.data.vectors import words
from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.ml.frames import Table, is_number, is_text, open_table
from mlbot.ml.protocol import plain_label

_MOST_ROWS, _MOST_COLUMNS = 100_000_000, 2_000
_LONGEST_NAME = 1_000  # of a column: the report has them as they are
_BATCH = 1 << 17
_MOST_CHARACTERS = 4_000  # of one text
_MULTIPLIER = 6364136223846793005  # D. Knuth's, of MMIX: odd, so that no bit of a hash is lost


@dataclass(kw_only=True)
class LargeTable:
    """A table that is open and need not fit into memory, with its columns as they are compared."""

    table: Table
    schema: Mapping[str, pl.DataType]
    rows: int
    kinds: Mapping[str, str]  # by column: text, number, time or other
    labels: Mapping[str, int] = field(default_factory=dict)  # of classes: how many rows have each

    @classmethod
    def open(cls, source: Path, data: Data, task: Task, *, name: str | None = None) -> "LargeTable":
        """The file or folder, if it is not too large to compare; `name` is what the repository calls it."""
        table = open_table(source, data.reads(task), data.csv, name=name)
        with table.reading():
            schema = table.frame.collect_schema()
            rows = table.census(())[0]
        if rows > _MOST_ROWS or len(schema) > _MOST_COLUMNS:
            what = (
                f"it has {rows:,} rows and {len(schema):,} columns; {_MOST_ROWS:,} and {_MOST_COLUMNS:,} are compared"
            )
            raise UsageError(what)
        if (longest := max(map(len, schema), default=0)) > _LONGEST_NAME:
            raise UsageError(f"a column's name has {longest:,} characters; {_LONGEST_NAME:,} are compared")
        kinds = {name: _kind(dtype) for name, dtype in schema.items()}
        found = cls(table=table, schema=schema, rows=rows, kinds=kinds)
        if task.has_classes and data.targets[0] in schema:
            found._read_labels(data.targets[0])
        return found

    def _read_labels(self, target: str) -> None:
        """Count the labels, and take those that are written otherwise for the same, as the judge does: `1.0` is `1`."""
        label = self.table.frame.select(label=pl.col(target)).group_by("label").agg(pl.len().alias("rows"))
        written = {name: count for name, count in self._collected(label).iter_rows() if name not in {None, ""}}
        plain = {name: plain_label(name) for name in written}
        counts: Counter[str] = Counter()
        for name, count in written.items():
            counts[plain[name]] += count
        self.labels = counts
        if others := {name: other for name, other in plain.items() if name != other}:
            self.table = replace(self.table, frame=self.table.frame.with_columns(pl.col(target).replace(others)))

    def _collected(self, query: pl.LazyFrame) -> pl.DataFrame:
        with self.table.reading():
            return query.collect(engine="streaming")

    def first(self, rows: int, columns: Sequence[str]) -> pl.DataFrame:
        """The first rows of some columns."""
        return self._collected(self.table.frame.select(columns).head(rows))

    def count(self, column: str, values: pl.Series) -> int:
        """In how many rows a column has one of some values."""
        cells = pl.col(column)
        if values.dtype != self.schema[column] and is_number(values.dtype):
            cells, values = cells.cast(pl.Float64), values.cast(pl.Float64)
        found: int = self._collected(self.table.frame.select(cells.is_in(values.implode()).sum())).item()
        return found

    def batches(self, columns: Sequence[pl.Expr], *, of_these: Sequence[pl.Expr] = ()) -> Iterator[pl.DataFrame]:
        """The rows in the file's order, in parts; `of_these` is made of what `columns` are called."""
        frame = self.table.frame.select(columns)
        frame = frame.select(of_these) if of_these else frame
        with self.table.reading():
            yield from frame.collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True, engine="streaming")

    def pick(self, at: Indices, columns: Sequence[pl.Expr]) -> pl.DataFrame:
        """Some rows, at least one, by their places."""
        wanted = np.zeros(self.rows, dtype=bool)
        wanted[at] = True
        start, parts = 0, list[pl.DataFrame]()
        for batch in self.batches(columns):
            here = wanted[start : start + batch.height]
            if here.any():
                parts.append(batch.filter(pl.Series(here)))
            start += batch.height
        return pl.concat(parts)

    def gather(self, at: Indices, columns: Sequence[str]) -> Rows:
        """Some rows, with their numbers; `at` is in order."""
        if not (columns and at.size):  # rows of no column are none
            none = self.table.frame.select(columns).head(0).collect()
            return Rows(frame=none, numbers=np.empty(0, dtype=np.int64))
        return Rows(frame=self.pick(at, [self._shown(name) for name in columns]), numbers=at + 1)

    def _shown(self, name: str) -> pl.Expr:
        column, kind = pl.col(name), self.kinds[name]
        if kind == "text":
            return column.cast(pl.String).str.slice(0, _MOST_CHARACTERS)
        if self.schema[name] == pl.Boolean():  # of a number there may be a boolean before, as 0 and 1
            return column.cast(pl.Int64)
        return _as_text(column, [self.schema[name]]) if kind == "time" else column

    def having(self, wanted: Mapping[str, Collection[Value]], texts: Collection[str] = ()) -> Mapping[str, set[Value]]:
        """Which of some values its columns have, and which words those of `texts`; in one reading."""
        seen: dict[str, set[Value]] = {column: set() for column in wanted}
        for batch in self.batches([self._shown(name) for name in seen]) if seen else ():
            for column, there in seen.items():
                cells, sought = batch[column], {*wanted[column]} - there
                if column in texts:
                    there.update(word for each in cells.unique().drop_nulls() for word in words(each) if word in sought)
                elif sought:  # looked up where they are: of ten million numbers none becomes Python's
                    values = pl.Series([*sought])
                    if values.dtype != cells.dtype:  # of numbers, which may be whole on one side alone
                        cells, values = cells.cast(pl.Float64), values.cast(pl.Float64)
                    there.update(cells.filter(cells.is_in(values.implode())).unique())
        return seen


def _kind(dtype: pl.DataType) -> str:
    if is_text(dtype):
        return "text"
    return "number" if is_number(dtype) else "time" if dtype.is_temporal() else "other"


def _as_text(column: pl.Expr, dtypes: Collection[pl.DataType]) -> pl.Expr:
    """Times as text: a day as its first moment."""
    moments = all(each == pl.Date() or isinstance(each, pl.Datetime) for each in dtypes)
    return (column.cast(pl.Datetime("us")) if moments else column).cast(pl.String)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashing:
    """Hashes the rows of several tables alike: a number is the same as an integer and as a float."""

    # Not the digests of `mlbot.ml.content`, which have to stay the same for ever, whoever makes them: these take a
    # fifth of the time, are over several sets of columns and of single cells, and nobody can make two rows alike.

    files: Sequence[LargeTable]
    seed: int = field(default_factory=lambda: secrets.randbits(60))

    def expression(self, name: str) -> pl.Expr:
        """The hash of a column's cells."""
        types = {each.schema[name] for each in self.files if name in each.schema}
        column = pl.col(name)
        if any(map(is_number, types)) and (len(types) > 1 or any(each.is_float() for each in types)):
            column = column.cast(pl.Float64).fill_nan(None) + 0.0  # -0.0 is 0
        if any(each.is_temporal() for each in types):
            column = _as_text(column, types)
        return column.hash(self.seed)

    def of(self, file: LargeTable, sets: Sequence[Sequence[str]]) -> list[Hashes]:
        """The hash of every row over each set of columns."""
        every = sorted({name for names in sets for name in names})
        found = [np.zeros(file.rows, dtype=np.uint64) for _ in sets]
        some = [at for at, names in enumerate(sets) if names]  # the hash over no column is 0
        # Summed up where they are made: polars reads ahead, and what waits is a number a row, not one a cell.
        sums = [_in_order(sets[at]).alias(str(at)) for at in some]
        start = 0
        for batch in file.batches([self.expression(name) for name in every], of_these=sums) if some else ():
            for at in some:
                found[at][start : start + batch.height] = batch[str(at)].to_numpy()
            start += batch.height
        return found

    def cells(self, file: LargeTable, at: Indices, names: Sequence[str]) -> npt.NDArray[np.uint64]:
        """The hash of each cell of some rows, in the order of these, (rows, columns)."""
        ordered = np.unique(at)
        found = file.pick(ordered, [self.expression(name) for name in names]).to_numpy()
        return found[np.searchsorted(ordered, at)]


def _in_order(names: Sequence[str]) -> pl.Expr:
    """One hash of the hashes of some columns; polars' integers wrap around, as numpy's do.

    Flat: of terms within terms, as deep as there are columns, polars' plan takes minutes for a thousand.
    """
    powers = (pl.lit(pow(_MULTIPLIER, power, 1 << 64), pl.UInt64) for power in range(len(names)))
    return pl.sum_horizontal(pl.col(name) * power for name, power in zip(sorted(names), powers, strict=True))
