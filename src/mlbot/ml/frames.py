"""How mlbot reads tables: one convention for training code, for the export's check and for the judge.

* CSV and Parquet, told apart by content.
* White space around names and values is stripped.
* A column is numeric (or boolean) when every value that is not empty reads as such, whatever row it stands in.
* Missing text is the empty string `""`: a text tensor of ONNX cannot hold a missing value.
* A missing number is null in `scan` (so that `age > 25` leaves it out, as SQL means it) and NaN in `read` (as
  scikit-learn and float tensors mean it; integers with gaps become floats).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbot.errors import UsageError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


Source = str | Path | bytes
"""A path, any fsspec URL, or a file's bytes."""

_PARQUET = b"PAR1"

_RENAMED = "_duplicated_"


def scan(source: Source, *, text: Collection[str] = ()) -> "pl.LazyFrame":
    """Read a table lazily; missing text is `""`, missing numbers are null.

    Args:
        source: Path, fsspec URL or bytes of a CSV or Parquet file.
        text: Columns to keep as text whatever their values look like (post codes, labels).

    Returns:
        One column a field, types as the module says. Rows in which every field is empty are left out of a CSV.

    Raises:
        UsageError: The table cannot be read, or two columns have one name.
    """
    where = "the table" if isinstance(source, bytes) else str(source)
    content = _content(source)
    with _reading(where):
        return _no_nan(_parquet(content, text) if _is_parquet(content) else _csv(content, text, where))


def read(source: Source, *, text: Collection[str] = ()) -> "pl.DataFrame":
    """Read a table; missing text is `""`, missing numbers are NaN. Use it in training code to see what the judge sees.

    Args:
        source: Path, fsspec URL or bytes of a CSV or Parquet file.
        text: Columns to keep as text whatever their values look like.

    Raises:
        UsageError: The table cannot be read, or two columns have one name.
    """
    where = "the table" if isinstance(source, bytes) else str(source)
    with _reading(where):
        return _gaps_to_nan(scan(source, text=text).collect())


def sample(source: Source, *, rows: int) -> "pl.DataFrame":
    """Evenly spaced rows of a table, as `read` gives them, without holding the whole of it.

    Args:
        source: Path, fsspec URL or bytes of a CSV or Parquet file.
        rows: About how many; never more than twice as many.

    Raises:
        UsageError: The table cannot be read, or two columns have one name.
    """
    import polars as pl

    where = "the table" if isinstance(source, bytes) else str(source)
    with _reading(where):
        table = scan(source)
        count = table.select(pl.len()).collect().item()
        return _gaps_to_nan(table.gather_every(max(1, count // rows)).collect())


def feed(frame: "pl.DataFrame", names: Iterable[str] | None = None) -> "dict[str, NDArray[Any]]":
    """What an ONNX model with one input a column is given.

    Args:
        frame: Rows as `scan` or `read` give them.
        names: The columns; None: all.

    Returns:
        For each column an array `[N, 1]`: float32 for numbers and booleans (missing: NaN), object holding `str` for
        text (missing: `""`).

    Raises:
        UsageError: A column is missing, or is neither text nor a number.
    """
    import numpy as np

    fed: dict[str, NDArray[Any]] = {}
    for name in frame.columns if names is None else names:
        if name not in frame.columns:
            raise UsageError(f"There is no column '{name}'.", hint=f"The columns are: {', '.join(frame.columns)}.")
        column = frame[name]
        if is_text(column.dtype):
            values: NDArray[Any] = column.fill_null("").to_numpy().astype(object)
        elif is_number(column.dtype):
            values = _floats(column).to_numpy().astype(np.float32)
        else:
            raise UsageError(
                f"Column '{name}' is {column.dtype}: a model can be fed numbers, booleans and text only.",
                hint="Turn it into a number or text in the data file, or name it under `data.drop`.",
            )
        fed[name] = values.reshape(-1, 1)
    return fed


def is_text(dtype: "pl.DataType") -> bool:
    """Whether a column of this type is fed as text."""
    import polars as pl

    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def is_number(dtype: "pl.DataType") -> bool:
    """Whether a column of this type is fed as a float32 number."""
    import polars as pl

    return dtype.is_numeric() or isinstance(dtype, pl.Boolean)


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn polars' and the file system's errors into one that says which table, and what to do."""
    from polars.exceptions import PolarsError

    try:
        yield
    except (PolarsError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"The table cannot be read: {reason}",
            where=where,
            hint="It has to be a CSV file with a header row (comma, UTF-8), or a Parquet file.",
        ) from error


def _content(source: Source) -> Path | bytes:
    """A local path stays one, so that it is read lazily; an URL's bytes are fetched."""
    if isinstance(source, str) and "://" in source:
        import fsspec

        with _reading(source), fsspec.open(source, "rb") as stream:
            content: bytes = stream.read()
            return content
    return Path(source) if isinstance(source, str) else source


def _is_parquet(content: Path | bytes) -> bool:
    if isinstance(content, bytes):
        return content.startswith(_PARQUET)
    with content.open("rb") as stream:
        return stream.read(len(_PARQUET)) == _PARQUET


def _parquet(content: Path | bytes, text: Collection[str]) -> "pl.LazyFrame":
    """Parquet's own types, cut down to what a model can be fed."""
    import polars as pl

    frame = pl.scan_parquet(content, glob=False)

    def plain(name: str, dtype: "pl.DataType") -> "pl.Expr":
        column = pl.col(name)
        if is_text(dtype) or name in text:
            return column.cast(pl.String).str.strip_chars().fill_null("")
        return column.cast(pl.Float64) if isinstance(dtype, pl.Decimal) else column

    return frame.with_columns(plain(name, dtype) for name, dtype in frame.collect_schema().items())


def _csv(content: Path | bytes, text: Collection[str], where: str) -> "pl.LazyFrame":
    import polars as pl

    names = _names(pl.scan_csv(content, infer_schema=False, glob=False).collect_schema().names(), where)
    types = pl.scan_csv(
        content,
        glob=False,
        infer_schema_length=None,  # a first letter in row 101 must not break the file
        schema_overrides={raw: pl.String() for raw, name in names.items() if name in text},
        empty_string_is_null=False,
    ).collect_schema()
    # A scan that infers would go through the whole file again for each query; this one has been told.
    frame = pl.scan_csv(content, glob=False, schema=types, empty_string_is_null=False).rename(dict(names))
    texts = [name for name, dtype in frame.collect_schema().items() if dtype == pl.String()]
    frame = frame.with_columns(pl.col(texts).str.strip_chars().fill_null("")) if texts else frame
    empty = (pl.col(name) == "" if name in texts else pl.col(name).is_null() for name in names.values())
    frame = frame.filter(~pl.all_horizontal(*empty)) if len(names) > 1 else frame
    return frame.with_columns(*_numbers(frame, [name for name in texts if name not in text]), *_wide(frame))


def _names(raw: list[str], where: str) -> Mapping[str, str]:
    """Each raw column name with its stripped form.

    Raises:
        UsageError: Two columns have the same name; polars renames the second one without a word.
    """
    names = {name: name.strip() for name in raw}
    renamed = [base for base, mark, number in (n.rpartition(_RENAMED) for n in raw) if number.isdigit() and base in raw]
    twice = renamed or [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise UsageError(f"Two columns are named '{twice[0].strip()}'.", where=where, hint="Rename one of them.")
    return names


def _numbers(frame: "pl.LazyFrame", texts: list[str]) -> "list[pl.Expr]":
    """Casts for the text columns whose every value is a number or a boolean once stripped."""
    import polars as pl

    if not texts:
        return []
    filled = pl.col(texts).replace("", None)
    counts = frame.select(
        filled.count().name.prefix("all:"),
        filled.cast(pl.Int64, strict=False).count().name.prefix("int:"),
        filled.cast(pl.Float64, strict=False).count().name.prefix("float:"),
        filled.str.to_lowercase().is_in(["true", "false"]).sum().name.prefix("bool:"),
    ).collect()
    found = counts.row(0, named=True)
    casts: list[pl.Expr] = []
    for name in texts:
        value, all_ = pl.col(name).replace("", None), found[f"all:{name}"]
        if all_ and found[f"int:{name}"] == all_:
            casts.append(value.cast(pl.Int64, strict=False))
        elif all_ and found[f"float:{name}"] == all_:
            casts.append(value.cast(pl.Float64, strict=False))
        elif all_ and found[f"bool:{name}"] == all_:
            casts.append((value.str.to_lowercase() == "true").alias(name))
    return casts


def _wide(frame: "pl.LazyFrame") -> "list[pl.Expr]":
    """Integers beyond 64 bits become floats, as nothing after this can hold them."""
    import polars as pl

    return [pl.col(n).cast(pl.Float64) for n, dtype in frame.collect_schema().items() if dtype == pl.Int128()]


def _no_nan(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    """NaN becomes null: polars holds NaN for greater than any number, so it would pass `age > 25`."""
    import polars as pl

    return frame.with_columns(pl.col(n).fill_nan(None) for n, t in frame.collect_schema().items() if t.is_float())


def _gaps_to_nan(frame: "pl.DataFrame") -> "pl.DataFrame":
    numbers = (frame[name] for name, dtype in frame.schema.items() if is_number(dtype))
    return frame.with_columns(_floats(column) for column in numbers if column.null_count())


def _floats(column: "pl.Series") -> "pl.Series":
    import polars as pl

    floats = column if column.dtype.is_float() else column.cast(pl.Float64)
    return floats.fill_null(float("nan"))
