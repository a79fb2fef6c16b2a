"""Tables that need not fit into memory: hashed by rows, and read in part.

Rows are held as hashes of eight bytes, two or three of them a row. The seed of the hashes is drawn for each run: who
writes a file cannot make two rows alike.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from mlbot.config.data import Data
from mlbot.data.checks import Candidate, Rows
from mlbot.data.diff import Hashes, Indices
from mlbot.data.vectors import words
from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.ml.frames import Table, is_number, is_text, open_table

_MOST_ROWS, _MOST_COLUMNS = 100_000_000, 2_000
_LONGEST_NAME = 1_000  # of a column: the report has them as they are
_BATCH = 1 << 17
_MOST_CHARACTERS = 4_000  # of one text
_MULTIPLIER = 6364136223846793005  # D. Knuth's, of MMIX: odd, so that no bit of a hash is lost
_NO_COUNT = "rows"


@dataclass(kw_only=True)
class LargeTable:
    """A table that is open and need not fit into memory, with its columns as they are compared."""

    table: Table
    rows: int
    kinds: Mapping[str, str]  # by column: text, number, time or other

    @classmethod
    def open(cls, source: Path, data: Data, task: Task, *, name: str | None = None) -> "LargeTable":
        """The file or folder, if it is not too large to compare; `name` is what the repository calls it."""
        table = open_table(source, data.reads(task), data.csv, name=name)
        with table.reading():
            kinds = {name: _kind(dtype) for name, dtype in table.frame.collect_schema().items()}
            rows = table.frame.select(pl.len()).collect(engine="streaming").item()
        if rows > _MOST_ROWS or len(kinds) > _MOST_COLUMNS:
            what = f"it has {rows:,} rows and {len(kinds):,} columns; {_MOST_ROWS:,} and {_MOST_COLUMNS:,} are compared"
            raise UsageError(what)
        if (longest := max(map(len, kinds), default=0)) > _LONGEST_NAME:
            raise UsageError(f"a column's name has {longest:,} characters; {_LONGEST_NAME:,} are compared")
        return cls(table=table, rows=rows, kinds=kinds)

    def dtype(self, name: str) -> pl.DataType:
        """A column's."""
        return self.table.frame.collect_schema()[name]

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
            return Rows(frame=self.table.frame.select(columns).head(0).collect(), numbers=np.empty(0, dtype=np.int64))
        return Rows(frame=self.pick(at, [_shown(name, self.kinds[name]) for name in columns]), numbers=at + 1)

    def labels(self, target: str) -> dict[str, int]:
        """How many rows have each label."""
        if target not in self.kinds:
            return {}
        label = pl.col(target).cast(pl.String).alias("label")
        found = self.table.frame.select(label).group_by("label").agg(pl.len().alias(_NO_COUNT))
        counts = found.collect(engine="streaming").iter_rows()
        return {str(name): count for name, count in counts if name not in {None, ""}}

    def those_of(self, column: str, values: Sequence[str]) -> frozenset[str]:
        """Those of some values that a column of text has."""
        shown = pl.col(column)
        found = self.table.frame.select(_shown(column, self.kinds[column])).filter(shown.is_in(values)).unique()
        with self.table.reading():
            return frozenset(found.collect(engine="streaming")[column].to_list())

    def absent(self, found: Iterable[Candidate]) -> Iterator[Candidate]:
        """The candidates that no row has, in one reading."""
        by_column: dict[str, list[Candidate]] = {}
        for each in found:
            by_column.setdefault(each.column, []).append(each)
        if not by_column:
            return
        seen: dict[str, set[str | float | bool]] = {column: set() for column in by_column}
        wanted = {column: {each.value for each in them} for column, them in by_column.items()}
        for batch in self.batches([_shown(name, self.kinds[name]) for name in by_column]):
            for column, them in by_column.items():
                cells = batch[column]
                if not them[0].is_word:  # looked up where they are: of ten million numbers none becomes Python's
                    sought = pl.Series(sorted(wanted[column] - seen[column]), dtype=cells.dtype)
                    seen[column] |= {*cells.filter(cells.is_in(sought.implode())).unique().to_list()}
                    continue
                here = {word for value in cells.unique().drop_nulls().to_list() for word in words(value)}
                seen[column] |= here & wanted[column]
        for column, them in by_column.items():
            yield from (each for each in them if each.value not in seen[column])


def _kind(dtype: pl.DataType) -> str:
    if is_text(dtype):
        return "text"
    return "number" if is_number(dtype) else "time" if dtype.is_temporal() else "other"


def _shown(name: str, kind: str) -> pl.Expr:
    column = pl.col(name)
    if kind == "text":
        return column.cast(pl.String).str.slice(0, _MOST_CHARACTERS)
    return column.cast(pl.String) if kind == "time" else column


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashing:
    """Hashes the rows of several tables alike: a number is the same as an integer and as a float."""

    # Not the digests of `mlbot.ml.content`, which have to stay the same for ever, whoever makes them: these take a
    # fifth of the time, are over several sets of columns and of single cells, and nobody can make two rows alike.

    files: Sequence[LargeTable]
    seed: int = field(default_factory=lambda: secrets.randbits(60))

    def expression(self, name: str) -> pl.Expr:
        """The hash of a column's cells."""
        having = [each for each in self.files if name in each.kinds]
        column = pl.col(name)
        if any(each.kinds[name] == "number" for each in having) and len({str(each.dtype(name)) for each in having}) > 1:
            column = column.cast(pl.Float64)
        if any(each.dtype(name).is_float() for each in having):
            column = column.cast(pl.Float64).fill_nan(None) + 0.0  # -0.0 is 0
        if any(each.kinds[name] == "time" for each in having):
            column = column.cast(pl.String)
        own = self.seed ^ int.from_bytes(name.encode("utf-8", "surrogatepass")[:7], "little") * 2 + len(name)
        return column.hash(own & (1 << 60) - 1)

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
    """One hash of the hashes of some columns; polars' integers wrap around, as numpy's do."""
    multiplier = pl.lit(_MULTIPLIER, pl.UInt64)
    first, *rest = sorted(names)
    return reduce(lambda whole, name: whole * multiplier + pl.col(name), rest, pl.col(first))
