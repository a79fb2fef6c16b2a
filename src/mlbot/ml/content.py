"""What a table holds, whatever its file looks like: a digest of its rows, and what two tables have in common.

A row's digest is of its values by their columns' names, so that order, encoding, separator, quotes, CSV or Parquet and
the types of columns do not matter: 1, 1.0 and "1" are one value, as are a date and its text, and a 32-bit float and
what it was rounded from. A missing value counts for nothing. Rows that occur twice count twice.

It is made of numpy's integers and of blake2b, for polars' own hashes may change with each of its versions.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl

from mlbot.config.csv_form import MISSING
from mlbot.lib.record import Digest

Rows = npt.NDArray[np.uint64]
"""The digests of a table's rows, eight bytes each, sorted."""

_BATCH_ROWS = 131_072

_INDEX = frozenset({"", "Unnamed: 0", "__index_level_0__"})
"""What pandas calls its numbering of rows where it writes it beside them: how a file was written, and no value."""

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_LONG = r"^[+-]?[0-9]{16,}$"  # a float does not hold each of them
_MOST_DIGITS = 40  # what is longer is text

_FAR = 1 << 53  # from here on a float stands for several whole numbers

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIMES = (
    (rf"^({_DAY})[T ]([0-9]{{2}}:[0-9]{{2}})", "${1} ${2}"),
    (rf"^({_DAY} [0-9:.]+) ?(?:Z|UTC|\+00:?00)$", "${1}"),
    (rf"^({_DAY} [0-9]{{2}}:[0-9]{{2}})$", "${1}:00"),
    (rf"^({_DAY} [0-9:]+\.[0-9]*?)0+$", "${1}"),
    (rf"^({_DAY} [0-9:]+)\.$", "${1}"),
    (rf"^({_DAY}) 00:00:00$", "${1}"),
)
"""A moment is one text, however it is written: in UTC, and without what is zero."""


def row_digests(frame: pl.LazyFrame) -> Rows:
    """The digests of a table's rows as `mlbot.ml.frames` reads it, without holding the whole of it."""
    batches = frame.collect_batches(chunk_size=_BATCH_ROWS, lazy=True, engine="streaming")
    found = [_rows(batch) for batch in batches]
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.uint64)


def partial_digests(frame: pl.LazyFrame, views: Sequence[Collection[str]]) -> list[Rows]:
    """The digests of a table's rows over some of its columns alone, for several such sets in one reading."""
    every = sorted({name for view in views for name in view})
    found: list[list[Rows]] = [[] for _ in views]
    for batch in frame.select(every).collect_batches(chunk_size=_BATCH_ROWS, lazy=True, engine="streaming"):
        cells = {column.name: _named(_cells(column), column.name) for column in batch.iter_columns()}
        for view, parts in zip(views, found, strict=True):
            total = np.zeros(batch.height, np.uint64)
            for name in view:
                total += cells[name]
            parts.append(_mixed(total))
    return [np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64) for parts in found]


def valued_columns(frame: pl.LazyFrame) -> tuple[str, ...]:
    """The columns that make up a row's digest."""
    return tuple(name for name in frame.collect_schema() if name not in _INDEX)


def content_digest(rows: Rows) -> Digest:
    """The digest of all that a table holds."""
    return f"sha256:{hashlib.sha256(rows.astype('<u8').tobytes()).hexdigest()}"


def overlap(rows: Rows, others: Rows) -> float:
    """The share of rows that are among others too; of a row that occurs twice, two are where the others have two."""
    if not rows.size:
        return 0.0
    values, counts = np.unique(rows, return_counts=True)
    there, most = np.unique(others, return_counts=True)
    _, at, among = np.intersect1d(values, there, assume_unique=True, return_indices=True)
    return float(np.minimum(counts[at], most[among]).sum()) / rows.size


def _rows(batch: pl.DataFrame) -> Rows:
    """The digest of each row: a sum, so that the order of columns does not matter."""
    total = np.zeros(batch.height, np.uint64)
    for column in batch.iter_columns():
        if column.name not in _INDEX:
            total += _named(_cells(column), column.name)
    return _mixed(total)


def _named(cells: Rows, name: str) -> Rows:
    """Each cell's digest with its column's name; a missing value stays zero."""
    return np.where(cells, _mixed(cells ^ _digests([name.encode()])[0]), np.uint64(0))


def _cells(column: pl.Series) -> Rows:
    """The digest of each value; 0 for one that is missing."""
    dtype = column.dtype
    if dtype.is_nested():
        return _nested(column)
    if dtype.is_float() or isinstance(dtype, (pl.Decimal, pl.Boolean)):
        return _numbers(column.cast(pl.Float64).fill_null(np.nan).to_numpy())
    if dtype.is_integer() or isinstance(dtype, pl.Duration):
        return _integers(column.cast(pl.Int64) if isinstance(dtype, pl.Duration) else column)
    if isinstance(dtype, pl.Binary):
        return _of_distinct(column, _bytes)
    return _of_distinct(_text(column), _texts)


def _nested(column: pl.Series) -> Rows:
    if isinstance(column.dtype, pl.Struct):
        return _structs(column)
    return _lists(column.arr.to_list() if isinstance(column.dtype, pl.Array) else column)


def _lists(column: pl.Series) -> Rows:
    """Of a list: its values and their places."""
    lengths = column.list.len().fill_null(0).to_numpy().astype(np.int64)
    inner = _cells(column.filter(pl.Series(lengths > 0)).explode())
    ends = np.cumsum(lengths)
    places = np.arange(inner.size) - np.repeat(ends - lengths, lengths)
    placed = _mixed(inner ^ _mixed(places.astype(np.uint64) + np.uint64(1)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(placed, dtype=np.uint64)])
    return _mixed(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64))


def _structs(column: pl.Series) -> Rows:
    total = np.zeros(len(column), np.uint64)
    for field in column.struct.unnest().iter_columns():
        total += _named(_cells(field), field.name)
    return _mixed(total)


def _numbers(values: npt.NDArray[np.float64]) -> Rows:
    """Of whole numbers exactly; others as 32-bit floats have them. NaN is missing, -0 is 0."""
    with np.errstate(over="ignore"):
        whole = values == np.trunc(values)
        plain = np.where(whole, values, values.astype(np.float32)) + 0.0
    return np.where(np.isnan(values), np.uint64(0), _mixed(plain.view(np.uint64) + np.uint64(1)))


def _integers(column: pl.Series) -> Rows:
    """As the number where a float holds it, else as its digits."""
    floats = column.cast(pl.Float64)
    cells = _numbers(floats.fill_null(np.nan).to_numpy())
    far = (floats.abs() >= _FAR).fill_null(value=False)
    if far.any():
        cells[far.to_numpy()] = _texts(column.filter(far).cast(pl.String))
    return cells


def _text(column: pl.Series) -> pl.Series:
    """Dates, times and categories as text."""
    if isinstance(column.dtype, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC") if column.dtype.time_zone else column
        return utc.dt.strftime("%Y-%m-%d %H:%M:%S%.9f")
    return column.cast(pl.String)


def _of_distinct(column: pl.Series, digests: Callable[[pl.Series], Rows]) -> Rows:
    """The digest of each value, made once for each where values occur often."""
    distinct = column.unique()
    if len(distinct) * 2 > len(column):
        return digests(column)
    found = pl.DataFrame({"value": distinct, "digest": pl.Series(digests(distinct), dtype=pl.UInt64)})
    joined = column.to_frame("value").join(found, on="value", how="left", nulls_equal=True, maintain_order="left")
    return joined["digest"].to_numpy()


def _bytes(column: pl.Series) -> Rows:
    return np.where(column.bin.size().fill_null(0) > 0, _digests(column.to_list()), np.uint64(0))


def _texts(column: pl.Series) -> Rows:
    """Of text: as a number or a moment where it reads as one, so that a column's type does not matter."""
    bare = _moments(column.fill_null("").str.normalize("NFC").str.strip_chars().str.replace_all("\r\n", "\n"))
    lower = bare.str.to_lowercase()
    cells = _digests(bare.cast(pl.Binary).to_list())
    cells[lower.is_in(list(MISSING)).to_numpy()] = 0
    for word, number in (("true", 1.0), ("false", 0.0)):
        cells[(lower == word).to_numpy()] = _numbers(np.array([number]))[0]
    numbers = bare.str.contains(_NUMBER) & (bare.str.len_bytes() <= _MOST_DIGITS)
    cells[numbers.to_numpy()] = _numbers(bare.filter(numbers).cast(pl.Float64).to_numpy())
    for at in (numbers & bare.str.contains(_LONG)).arg_true():
        if int(float(whole := int(bare[at]))) != whole:
            cells[at] = _digests([b"%d" % whole])[0]
    return cells


def _moments(column: pl.Series) -> pl.Series:
    dated = column.str.contains(f"^{_DAY}[T ]")
    if not dated.any():
        return column
    found = column.to_frame("text").lazy()
    for pattern, plain in _TIMES:
        found = found.with_columns(pl.col("text").str.replace(pattern, plain))
    return found.collect()["text"]


def _digests(values: Iterable[bytes | None]) -> Rows:
    raw = b"".join([blake2b(each or b"", digest_size=8).digest() for each in values])
    return np.frombuffer(raw, "<u8").astype(np.uint64)


def _mixed(values: Rows) -> Rows:
    """Each number as one that looks random: the finaliser of splitmix64."""
    found = values + np.uint64(0x9E3779B97F4A7C15)
    found ^= found >> np.uint64(30)
    found *= np.uint64(0xBF58476D1CE4E5B9)
    found ^= found >> np.uint64(27)
    found *= np.uint64(0x94D049BB133111EB)
    found ^= found >> np.uint64(31)
    return found
