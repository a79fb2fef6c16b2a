"""How mlbot reads tables: one convention for training code, for the export's check and for the judge.

* CSV and Parquet, told apart by content.
* White space around names and values is stripped.
* A column is numeric (or boolean) when every value that is not empty reads as such, whatever row it stands in.
* Missing text is the empty string `""`: a text tensor of ONNX cannot hold a missing value.
* A missing number is null in `scan` (so that `age > 25` leaves it out, as SQL means it) and NaN in `read` (as
  scikit-learn and float tensors mean it; integers with gaps become floats).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from mlbot.errors import UsageError

Source = str | Path | bytes  # a path, any fsspec URL, or a file's bytes
_PARQUET = b"PAR1"
_RENAMED = "_duplicated_"


def scan(source: Source, *, text: Collection[str] = ()) -> pl.LazyFrame:
    """Read a table lazily; missing text is `""`, missing numbers are null, wholly empty rows of a CSV are left out.

    `text`: columns to keep as text whatever they look like (post codes, labels). Raises `UsageError` when the table
    cannot be read, or two columns have one name.
    """
    content = _content(source)
    with _reading(source):
        return _no_nan(_parquet(content, text) if _is_parquet(content) else _csv(content, text, _place(source)))


def read(source: Source, *, text: Collection[str] = ()) -> pl.DataFrame:
    """Read a table as `scan` does, missing numbers as NaN. Use it in training code to see what the judge sees."""
    with _reading(source):
        return _gaps_to_nan(scan(source, text=text).collect())


def sample(source: Source, *, rows: int) -> pl.DataFrame:
    """Evenly spaced rows of a table as `read` gives them, at most twice `rows`, without holding the whole of it."""
    with _reading(source):
        table = scan(source)
        count = table.select(pl.len()).collect().item()
        return _gaps_to_nan(table.gather_every(max(1, count // rows)).collect())


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column of this type is fed as text."""
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def is_number(dtype: pl.DataType) -> bool:
    """Whether a column of this type is fed as a float32 number."""
    return dtype.is_numeric() or isinstance(dtype, pl.Boolean)


@contextmanager
def _reading(source: Source) -> Iterator[None]:
    try:
        yield
    except (PolarsError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"The table cannot be read: {reason}",
            where=_place(source),
            hint="It has to be a CSV file with a header row (comma, UTF-8), or a Parquet file.",
        ) from error


def _place(source: Source) -> str:
    return "the table" if isinstance(source, bytes) else str(source)


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


def _parquet(content: Path | bytes, text: Collection[str]) -> pl.LazyFrame:
    """Parquet's own types, cut down to what a model can be fed."""
    frame = pl.scan_parquet(content, glob=False)

    def plain(name: str, dtype: pl.DataType) -> pl.Expr:
        column = pl.col(name)
        if is_text(dtype) or name in text:
            return column.cast(pl.String).str.strip_chars().fill_null("")
        return column.cast(pl.Float64) if isinstance(dtype, pl.Decimal) else column

    return frame.with_columns(plain(name, dtype) for name, dtype in frame.collect_schema().items())


def _csv(content: Path | bytes, text: Collection[str], where: str) -> pl.LazyFrame:
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
    # Integers beyond 64 bits become floats, as nothing after this can hold them.
    wide = [pl.col(n).cast(pl.Float64) for n, dtype in frame.collect_schema().items() if dtype == pl.Int128()]
    return frame.with_columns(*_numbers(frame, [name for name in texts if name not in text]), *wide)


def _names(raw: list[str], where: str) -> Mapping[str, str]:
    """Each raw column name with its stripped form; polars would rename the second of two without a word."""
    names = {name: name.strip() for name in raw}
    renamed = [base for base, mark, number in (n.rpartition(_RENAMED) for n in raw) if number.isdigit() and base in raw]
    twice = renamed or [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise UsageError(f"Two columns are named '{twice[0].strip()}'.", where=where, hint="Rename one of them.")
    return names


def _numbers(frame: pl.LazyFrame, texts: list[str]) -> list[pl.Expr]:
    """Casts for the text columns whose every value is a number or a boolean once stripped."""
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


def _no_nan(frame: pl.LazyFrame) -> pl.LazyFrame:
    """NaN becomes null: polars holds NaN for greater than any number, so it would pass `age > 25`."""
    return frame.with_columns(pl.col(n).fill_nan(None) for n, t in frame.collect_schema().items() if t.is_float())


def _gaps_to_nan(frame: pl.DataFrame) -> pl.DataFrame:
    numbers = (frame[name] for name, dtype in frame.schema.items() if is_number(dtype))
    return frame.with_columns(_floats(column) for column in numbers if column.null_count())


def _floats(column: pl.Series) -> pl.Series:
    floats = column if column.dtype.is_float() else column.cast(pl.Float64)
    return floats.fill_null(float("nan"))
