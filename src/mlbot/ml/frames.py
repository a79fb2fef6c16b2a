"""How mlbot reads tables: one convention for training code, for the export's check and for the judge.

* CSV and Parquet, told apart by content; how a CSV is written shows (`mlbot.config.csv_form`), or `data.csv` says it.
* White space around names and values is stripped.
* A column is numeric (or boolean) when every value that is not missing reads as such, whatever row it stands in.
  `NA`, `?` and the like are missing there, and text elsewhere; integers beyond 64 bits are ids, and so text.
* Missing text is the empty string `""`: a text tensor of ONNX cannot hold a missing value.
* A missing number is null in `scan` (so that `age > 25` leaves it out, as SQL means it) and NaN in `read` (as
  scikit-learn and float tensors mean it; integers with gaps become floats).
"""

import codecs
import io
import os
import re
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from polars.exceptions import ComputeError, PanicException, PolarsError

from mlbot.config.csv_form import (
    MISSING,
    PARQUET,
    PARQUET_NAMES,
    Form,
    UnclearError,
    decimal_problem,
    form_of,
    no_table,
    not_in,
    read_head,
)
from mlbot.config.data import ColumnKind, Csv
from mlbot.config.kinds import Context
from mlbot.errors import UsageError, driven

Source = str | Path | bytes  # a path, any fsspec URL, or a file's bytes
Types = Mapping[str, ColumnKind]  # what columns are read as, by name
Names = Sequence[str]
CHUNK = 1 << 20
_RENAMED = "_duplicated_"
_LARGEST_EXACT = 1 << 53  # beyond it a float64 skips whole numbers


def scan(
    source: Source, *, text: Collection[str] = (), types: Types | None = None, csv: Csv | None = None
) -> pl.LazyFrame:
    """Read a table lazily; missing text is `""`, missing numbers are null, wholly empty rows of a CSV are left out.

    `text`: columns to keep as text whatever they look like (post codes, labels); `types` and `csv` are `data.types` and
    `data.csv` of mlbot.yaml. Raises `UsageError` when the table cannot be read, or two columns have one name.
    """
    return open_table(source, reads(text, types), csv or Csv(), in_memory=True).frame


def read(
    source: Source, *, text: Collection[str] = (), types: Types | None = None, csv: Csv | None = None, **form: Any
) -> pl.DataFrame:
    """Read a table as `scan` does, missing numbers as NaN. Use it in training code to see what the judge sees.

    `form`: what `data.csv` of mlbot.yaml says, such as `separator=";"`.
    """
    table = open_table(source, reads(text, types), csv or Csv.read(form, Context()))
    with table.reading():
        return _gaps_to_nan(table.frame.collect())


def sample(source: Source, *, rows: int, types: Types | None = None, csv: Csv | None = None) -> pl.DataFrame:
    """Evenly spaced rows of a table as `read` gives them, at most twice `rows`, without holding the whole of it."""
    table = open_table(source, reads((), types), csv or Csv())
    with table.reading():
        count = table.frame.select(pl.len()).collect().item()
        return _gaps_to_nan(table.frame.gather_every(max(1, count // rows)).collect())


def reads(text: Collection[str], types: Types | None) -> Types:
    """What columns are read as."""
    return {**(types or {}), **dict.fromkeys(text, ColumnKind.TEXT)}


@dataclass(frozen=True, kw_only=True, slots=True)
class OddColumn:
    """A column of text that is numbers almost everywhere."""

    name: str
    row: int  # the first one without a number, counted from 1
    value: str  # what is there instead
    gaps: tuple[str, ...]  # what `csv.missing` has to name for the column to be one of numbers


_MOST_GAPS = 10  # more words than that are hardly all missing values


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table that is read when it is asked; it can be while this object is there."""

    frame: pl.LazyFrame
    where: str
    content: Path | bytes
    form: Form | None = None  # None: Parquet
    keep: "Nameless | None" = None
    mixed: frozenset[str] = frozenset()  # columns of text that are numbers almost everywhere
    # Columns of numbers with integers that no float holds: beyond 64 bits, or beside a fraction.
    long: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()  # columns of numbers and booleans in which `?` is read as missing
    as_written: pl.LazyFrame | None = None  # the columns of a Parquet file as they are, but for types that are named

    def features(self, names: Sequence[str]) -> pl.DataFrame:
        """Columns as other readers have them, for a predictor: a missing text is null, a list a list."""
        if self.as_written is not None:
            return self.as_written.select(names).collect()
        found = self.frame.select(names)
        texts = [name for name, dtype in found.collect_schema().items() if dtype == pl.String()]
        return found.with_columns(pl.col(texts).replace("", None)).collect()

    def head(self, rows: int) -> "Table":
        """The first rows."""
        written = None if self.as_written is None else self.as_written.head(rows)
        return replace(self, frame=self.frame.head(rows), as_written=written)

    def odd_columns(self) -> Iterator[OddColumn]:
        """The columns of text that are numbers almost everywhere, each with a row and what is there instead."""
        usual = self._usual_gaps() if self.mixed else ()
        for name in sorted(self.mixed):
            if (found := self.odd(name)) is not None:
                gaps = tuple(dict.fromkeys((*self._gaps(name), *usual)))
                yield OddColumn(name=name, row=found[0], value=found[1], gaps=gaps)

    def odd(self, column: str) -> tuple[int, str] | None:
        """The first row, counted from 1, and value of a column of text that is no number, nor missing."""
        if self.form is None or not is_text(self.frame.collect_schema()[column]):
            return None
        text = pl.col(column)
        other = ~text.str.to_lowercase().is_in(list(self.form.gaps)) & text.cast(pl.Float64, strict=False).is_null()
        rows = self.frame.select(text).with_row_index("row", offset=1).filter(other & ~text.str.contains(COMMA_NUMBER))
        return next(iter(rows.head(1).collect(engine="streaming").rows()), None)

    def census(self, columns: Collection[str]) -> tuple[int, tuple[str, ...]]:
        """How many rows there are, and which of the columns have whole numbers that a float64 takes for others."""
        schema = self.frame.collect_schema()
        wide = [name for name in columns if schema[name] in {pl.Int64(), pl.UInt64()}]
        ends = [pl.col(wide).max().name.prefix("max:"), pl.col(wide).min().name.prefix("min:")] if wide else []
        # Rows of Parquet are counted alone, for its metadata know them; a CSV is read once for both.
        queries = [[pl.len(), *ends]] if self.form is not None else [[pl.len()], ends]
        found: dict[str, int | None] = {}
        for query in filter(None, queries):
            found |= self.frame.select(query).collect(engine="streaming").row(0, named=True)
        far = (max(found[f"max:{name}"] or 0, -(found[f"min:{name}"] or 0)) for name in wide)
        inexact = {name for name, most in zip(wide, far, strict=True) if most > _LARGEST_EXACT} | self.long
        return found["len"] or 0, tuple(name for name in columns if name in inexact)

    def _usual_gaps(self) -> tuple[str, ...]:
        """The usual marks that columns of other types than text have: a list of one's own takes their place."""
        if self.form is None or self.form.missing is not None:
            return ()
        raw = _Csv(content=self.content, form=self.form, types={}, where=self.where).scan(infer_schema=False)
        named = zip(raw.collect_schema().names(), self.frame.collect_schema().dtypes(), strict=True)
        columns = [pl.col(name).str.strip_chars() for name, dtype in named if not is_text(dtype)]
        if not columns:
            return ()
        others = raw.select(columns).unpivot()
        marks = pl.col("value").str.to_lowercase().is_in(list(MISSING - {""}))
        found = others.filter(marks).select(pl.col("value").unique().sort())
        return tuple(found.collect(engine="streaming").to_series())

    def _gaps(self, column: str) -> tuple[str, ...]:
        """What stands for a missing value if a column of text is one of numbers: named so far, and found."""
        named = self.form.missing if self.form is not None else None
        text = pl.col(column)
        words = text.cast(pl.Float64, strict=False).is_null() & ~text.str.contains(COMMA_NUMBER) & (text != "")
        found = self.frame.filter(words).select(text.unique(maintain_order=True).head(_MOST_GAPS))
        return tuple(dict.fromkeys((*(named or ()), *found.collect(engine="streaming").to_series())))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what polars says while rows are read into what is wrong with the file, and where."""
        try:
            yield
        except (PolarsError, PanicException, OSError) as error:  # it panics on some damaged Parquet files
            raise self.explained(error) from error

    def explained(self, error: PolarsError | PanicException | OSError) -> UsageError:
        """What is wrong with the file: the first line that is not in its encoding, or that has too many fields."""
        found = None
        if self.form is not None and isinstance(error, ComputeError):
            found = _bad_line(self.content, self.form)
        if found is not None:
            return UnreadableError(found.what, where=self.where, hint=found.hint)
        hint = _HINT if self.form is not None else _OF_PARQUET
        return UnreadableError(str(error) or type(error).__name__, where=self.where, hint=hint)


class UnreadableError(UsageError):
    """A file that is no table; `why` is a clause without a full stop."""

    def __init__(self, why: str, *, where: str, hint: str) -> None:
        self.why = (why.strip() or "no reason given").splitlines()[0].rstrip(".")
        super().__init__(f"The table cannot be read: {self.why}.", where=where, hint=hint)


def open_table(  # noqa: PLR0913  # where it is, and how it is read
    source: Source,
    types: Types,
    csv: Csv,
    *,
    in_memory: bool = False,
    apart: Names = (),
    labels: Names = (),
    name: str | None = None,
) -> Table:
    """The table of a source; `name` is what the file is called where its path does not say it.

    What is in another encoding than UTF-8 is copied, to where only this process can read it: `in_memory`, or to a file
    without a name. `apart` are columns that are known to be there; in columns of `labels` what stands for a missing
    value elsewhere is left as it is. Raises `UsageError`.
    """
    content, where = _content(source), _place(source)
    if isinstance(content, Path) and content.is_dir():
        return Table(frame=_no_nan(_folder(content, types)), where=where, content=content)
    with _reading(source):
        if _is_parquet(content, name or where):
            with _damaged(where):
                written = _as_written(content, types)
                return Table(frame=_no_nan(_parquet(content, types)), where=where, content=content, as_written=written)
        form, keep = _form(content, csv, apart, where), None
        if form.encoding != "utf-8":
            content, keep = _transcoded(content, form.encoding, in_memory=in_memory)
        table = Table(frame=pl.LazyFrame(), where=where, content=content, form=form, keep=keep)
        with table.reading():
            frame, odd = _Csv(content=content, form=form, types=types, where=where, labels=labels).read()
            mixed, asked, long = odd["mixed"], odd["asked"], odd["long"]
            return replace(table, frame=_no_nan(frame), mixed=mixed, asked=asked, long=long)


def _form(content: Path | bytes, csv: Csv, apart: Names, where: str) -> Form:
    with _opened(content) as stream:
        head, whole = read_head(stream)
    try:
        return form_of(head, csv, whole=whole, columns=apart)
    except UsageError as error:
        raise UnreadableError(error.what, where=where, hint=error.hint) from error


def _transcoded(content: Path | bytes, encoding: str, *, in_memory: bool) -> "tuple[Path | bytes, Nameless | None]":
    """The content in UTF-8; a file's a part at a time."""
    decoder, copy, memory = codecs.getincrementaldecoder(encoding)(), Nameless(), bytearray()
    take = memory.extend if in_memory else copy.append
    at, lines, ended = 0, 1, False
    with _opened(content) as stream:
        while not ended:
            chunk = stream.read(CHUNK)
            at, ended = at + len(chunk), not chunk
            try:
                text = decoder.decode(chunk, final=ended)
            except UnicodeDecodeError as error:  # with what was left of the part before
                before, odd = error.object[: error.start], error.object[error.start :]
                raise not_in(encoding, at - len(odd), odd, lines + before.count(b"\n")) from error
            lines += text.count("\n")
            take((text.removeprefix("\ufeff") if at == len(chunk) else text).encode())
    return (bytes(memory), None) if in_memory else (copy.path, copy)


def _bad_line(content: Path | bytes, form: Form) -> UsageError | None:
    """The first line that is no UTF-8, or has another number of fields than the header."""
    width, at = 0, 0
    with _opened(content) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return not_in("utf-8", at + error.start, line[error.start :], number)
            at += len(line)
            fields = text.count(form.separator) + 1
            width = width or fields
            if fields > width and not (form.quote and form.quote in text):
                hint = "Put fields that have a separator in them into quotes, or correct `data.csv: {separator: …}`."
                return UsageError(f"line {number} has {fields} fields, and the header {width}", hint=hint)
    return None


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column of this type is fed as text."""
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def is_number(dtype: pl.DataType) -> bool:
    """Whether a column of this type is fed as a float32 number."""
    return dtype.is_numeric() or isinstance(dtype, pl.Boolean)


_HINT = (
    "It has to be a CSV file with a header row, or a Parquet file; `data.csv` in mlbot.yaml says how a CSV is written."
)
_OF_PARQUET = "It begins as a Parquet file does, and is damaged: write or fetch it again."
_CUT = "it begins as a Parquet file and does not end as one"
ONE_FILE = "Name one file, CSV or Parquet."


@contextmanager
def _reading(source: Source) -> Iterator[None]:
    try:
        yield
    except UnclearError as error:
        raise UnreadableError(error.what, where=_place(source), hint=error.hint) from error
    except IsADirectoryError as error:
        raise UnreadableError("it is a folder", where=_place(source), hint=ONE_FILE) from error
    except (PolarsError, OSError) as error:
        raise UnreadableError(str(error) or type(error).__name__, where=_place(source), hint=_HINT) from error


@contextmanager
def _damaged(where: str) -> Iterator[None]:
    """Turns what polars says of a Parquet file that cannot be opened into that it is damaged; on some it panics."""
    try:
        yield
    except (PolarsError, PanicException) as error:
        raise UnreadableError(str(error) or "it is damaged", where=where, hint=_OF_PARQUET) from error


def _place(source: Source) -> str:
    return "the table" if isinstance(source, bytes) else str(source)


def _content(source: Source) -> Path | bytes:
    """A local path stays one, so that it is read lazily; an URL's bytes are fetched."""
    if isinstance(source, str) and "://" in source:
        with _reading(source):
            with driven(source):
                import fsspec

                opened = fsspec.open(source, "rb")
            with opened as stream:
                content: bytes = stream.read()
                return content
    return Path(source) if isinstance(source, str) else source


def _opened(content: Path | bytes) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _is_parquet(content: Path | bytes, name: str) -> bool:
    """Whether it is a whole Parquet file; raises `UnclearError` where it is no table at all."""
    with _opened(content) as stream:
        head, _ = read_head(stream)
        if (other := no_table(head, name)) is not None:
            raise other
        if not head.startswith(PARQUET):
            return False
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - len(PARQUET)))
        if stream.read() != PARQUET or len(head) < _LEAST_PARQUET:
            raise UnclearError(_CUT, hint="It was not written or fetched to its end: do that again.")
        return True


_LEAST_PARQUET = 12  # both marks and the length of what is between them


def _parquet(content: Path | bytes, types: Types) -> pl.LazyFrame:
    """Parquet's own types, cut down to what a model can be fed."""
    frame = pl.scan_parquet(content, glob=False)
    whole, long = _whole_decimals(frame)

    def plain(name: str, dtype: pl.DataType) -> pl.Expr:
        column, wanted = pl.col(name), types.get(name)
        if name in whole and wanted is not ColumnKind.TEXT:
            return column.cast(pl.Int64)
        if is_text(dtype) or wanted is ColumnKind.TEXT or dtype == pl.Int128() or name in long:
            column = column.cast(pl.String).str.strip_chars().fill_null("")
            return column.replace("", None).cast(pl.Float64) if wanted is ColumnKind.NUMBER else column
        return column.cast(pl.Float64) if isinstance(dtype, pl.Decimal) else column

    return frame.with_columns(plain(name, dtype) for name, dtype in frame.collect_schema().items())


def parquet_files(folder: Path) -> tuple[Path, ...]:
    """The Parquet files of a folder by their names, but for those whose names say that they are not of the data."""
    found = (each for each in sorted(folder.rglob("*")) if each.suffix.lower() in PARQUET_NAMES)
    own = (each for each in found if not any(part[0] in "._" for part in each.relative_to(folder).parts))
    return tuple(each for each in own if each.is_file() and not each.is_symlink())


def _folder(folder: Path, types: Types) -> pl.LazyFrame:
    """The rows of all of a folder's Parquet files, in the order of their names; `year=2024` in a path is a column."""
    files = parquet_files(folder)
    if not files:
        raise UnreadableError("it is a folder without a Parquet file", where=str(folder), hint=ONE_FILE)
    names = [file.relative_to(folder) for file in files]
    keys = [dict(part.split("=", 1) for part in name.parts[:-1] if "=" in part) for name in names]
    whole = {key for each in keys for key in each if all(_WHOLE.fullmatch(other.get(key, "")) for other in keys)}
    parts = []
    for file, name, own in zip(files, names, keys, strict=True):
        with _inside(str(name)), _reading(file), _damaged(str(file)):
            _is_parquet(file, file.name)
            frame = _parquet(file, types)
            extra = {key: value for key, value in own.items() if key not in frame.collect_schema()}
        parts.append(frame.with_columns(pl.lit(int(v) if k in whole else v).alias(k) for k, v in extra.items()))
    rows = pl.concat(parts, how="diagonal_relaxed")
    try:
        schema = rows.collect_schema()
    except PolarsError as error:
        hint = "Write all files of the folder with the same columns."
        what = f"its files do not fit together: {(str(error).splitlines() or [''])[0]}"
        raise UnreadableError(what, where=str(folder), hint=hint) from error
    texts = [name for name, dtype in schema.items() if is_text(dtype)]
    return rows.with_columns(pl.col(texts).fill_null("")) if texts else rows


@contextmanager
def _inside(name: str) -> Iterator[None]:
    """Says of which file of a folder something is wrong."""
    try:
        yield
    except UnreadableError as error:
        raise UnreadableError(f"{name}: {error.why}", where=error.where, hint=error.hint) from error


_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")


def _as_written(content: Path | bytes, types: Types) -> pl.LazyFrame:
    """Parquet's own values, where the config does not say what a column is."""
    frame, plain = pl.scan_parquet(content, glob=False), _parquet(content, types)
    named = [name for name in types if name in frame.collect_schema()]
    return pl.concat([frame.drop(named), plain.select(named)], how="horizontal") if named else frame


def _whole_decimals(frame: pl.LazyFrame) -> tuple[frozenset[str], frozenset[str]]:
    """The columns of decimals without a fraction whose values fit into 64 bits, and those whose values do not: ids."""
    types = frame.collect_schema().items()
    names = [name for name, dtype in types if isinstance(dtype, pl.Decimal) and dtype.scale == 0]
    if not names:
        return frozenset(), frozenset()
    ends = [pl.col(names).max().name.prefix("max:"), pl.col(names).min().name.prefix("min:")]
    found = frame.select(ends).collect(engine="streaming").row(0, named=True)
    fit = (name for name in names if max(found[f"max:{name}"] or 0, -(found[f"min:{name}"] or 0)) < 1 << 63)
    whole = frozenset(fit)
    return whole, frozenset(names) - whole


@dataclass(frozen=True, kw_only=True, slots=True)
class _Csv:
    """A CSV file in UTF-8, and how it is written."""

    content: Path | bytes
    form: Form
    types: Types
    where: str
    labels: Names = ()

    def read(self) -> tuple[pl.LazyFrame, dict[str, frozenset[str]]]:
        """The table, and what is odd about its columns, as `Table` names it."""
        names = _names(self.scan(infer_schema=False).collect_schema().names(), self.where, self._bare)
        absent = [name for name in self.types if name not in names.values()]
        raw = pl.Schema(dict.fromkeys(names, pl.String())) if self._as_written() else self._inferred(names)
        # A scan that infers would go through the whole file again for each query; this one has been told.
        frame = self.scan(schema=raw).rename(dict(names))
        texts = [name for name, dtype in frame.collect_schema().items() if dtype == pl.String()]
        frame = frame.with_columns(self._stripped(texts)) if texts else frame
        empty = (pl.col(name) == "" if name in texts else pl.col(name).is_null() for name in names.values())
        frame = frame.filter(~pl.all_horizontal(*empty)) if len(names) > 1 else frame
        markers = [each for each in self.form.missing or () if each]
        filled = [name for name in texts if name not in self.labels]
        if filled and markers:
            frame = frame.with_columns(pl.col(filled).replace(markers, [""] * len(markers)))
        open_ = [name for name in texts if self.types.get(name) is not ColumnKind.TEXT and name not in absent]
        casts, found = self._values(frame, open_)
        return frame.with_columns(*casts), found

    def _as_written(self) -> bool:
        """Whether a value may be another one than polars takes it for, so that each is looked at as text."""
        return bool(self.form.missing) or self.form.decimal == ","

    def scan(self, **options: Any) -> pl.LazyFrame:
        """The file with its columns as polars calls them."""
        form = self.form
        return pl.scan_csv(
            self.content,
            glob=False,
            empty_string_is_null=False,
            separator=form.separator,
            quote_char=form.quote,
            **options,
        )

    def _inferred(self, names: Mapping[str, str]) -> pl.Schema:
        given = {raw: pl.String() for raw, name in names.items() if name in self.types}
        # A first letter in row 101 must not break the file.
        found = self.scan(infer_schema_length=None, schema_overrides=given).collect_schema()
        # Integers beyond 64 bits are ids: as floats two of them would be one. For one `NaN` among them polars takes
        # shorter ones for floats too; as text they are looked at again.
        ids = [name for name, dtype in found.items() if dtype == pl.Int128()]
        ids += self._with_long([name for name, dtype in found.items() if dtype == pl.Float64()])
        return pl.Schema({name: pl.String() if name in ids else dtype for name, dtype in found.items()})

    def _with_long(self, names: list[str]) -> list[str]:
        """Those of the columns with an integer that no float holds exactly."""
        raw = self.scan(infer_schema=False).select(pl.col(names).str.strip_chars().str.contains(_INEXACT).any())
        found = raw.collect(engine="streaming").row(0, named=True) if names else {}
        return [name for name in names if found[name]]

    def _stripped(self, texts: list[str]) -> pl.Expr:
        """Text without spaces around it; quotes behind a space are taken off here, for polars takes them for text."""
        stripped = pl.col(texts).str.strip_chars().fill_null("")
        mark = self.form.quote
        if not self.form.spaced or mark is None:
            return stripped
        quoted = stripped.str.starts_with(mark) & stripped.str.ends_with(mark) & (stripped.str.len_chars() > 1)
        bare = stripped.str.slice(1, stripped.str.len_chars() - 2).str.replace_all(mark * 2, mark, literal=True)
        return pl.when(quoted).then(bare.str.strip_chars()).otherwise(stripped)

    def _bare(self, name: str) -> str:
        """A column's name without spaces and such quotes around it."""
        bare, mark = name.strip(), self.form.quote
        return bare[1:-1].strip() if self.form.spaced and mark and bare[:1] == bare[-1:] == mark else bare

    def _filled(self, names: str | list[str]) -> pl.Expr:
        """The values; those that are missing, as numbers and booleans have it, are null."""
        column = pl.col(names)
        if self.form.missing is not None:
            return column.replace("", None)
        return pl.when(~column.str.to_lowercase().is_in(list(MISSING))).then(column)

    def _number(self, name: str, filled: pl.Expr, *, comma: bool) -> pl.Expr:
        """A float, with a decimal comma where the file has them."""
        if not comma:
            return filled.cast(pl.Float64, strict=False)
        plain = filled.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        fits = filled.str.contains(COMMA_NUMBER)
        return pl.when(fits).then(plain).cast(pl.Float64, strict=False).alias(name)

    def _values(self, frame: pl.LazyFrame, texts: list[str]) -> tuple[list[pl.Expr], dict[str, frozenset[str]]]:
        """Casts for the columns whose every value is a number or a boolean, and what is odd about the columns."""
        if not texts:
            return [], dict.fromkeys(("mixed", "asked", "long"), frozenset())
        found = frame.select(self._counts(texts)).collect(engine="streaming").row(0, named=True)
        counts = {name: {kind: found[f"{kind}:{name}"] for kind in _COUNTS} for name in texts}
        clear = self.form.decimal == "," or (
            self.form.separator != ","
            and any(map(_is_comma, counts.values()))
            and not any(map(_is_dotted, counts.values()))
            and not self._has_dots(frame)
        )
        casts = {name: self._cast(frame, name, counts[name], comma=clear) for name in texts}
        mixed = (name for name, cast in casts.items() if cast is None and _is_mixed(counts[name]))
        asked = (name for name, cast in casts.items() if cast is not None and counts[name]["asked"])
        numbers = (name for name in casts if self.types.get(name) is ColumnKind.NUMBER)
        long = [name for name in numbers if not _is_short(counts[name])]
        floats = (name for name, cast in casts.items() if cast is not None and not _is_whole(counts[name]))
        long += [name for name in floats if counts[name]["far"]]
        odd = {"mixed": frozenset(mixed), "asked": frozenset(asked), "long": frozenset(long)}
        return [cast for cast in casts.values() if cast is not None], odd

    def _has_dots(self, frame: pl.LazyFrame) -> bool:
        """Whether numbers that polars knows for such are written with dots; NaN makes floats of integers too."""
        raw, known = self.scan(infer_schema=False), frame.collect_schema()
        names = [name for name in raw.collect_schema().names() if known.get(self._bare(name)) == pl.Float64()]
        dots = raw.select(pl.any_horizontal(pl.col(names).str.contains(".", literal=True)).any()) if names else None
        return dots is not None and bool(dots.collect(engine="streaming").item())

    def _counts(self, texts: list[str]) -> list[pl.Expr]:
        filled = self._filled(texts)
        comma = filled.str.contains(COMMA_NUMBER) & ~filled.str.contains(_LONG)
        return [
            filled.count().name.prefix("all:"),
            filled.cast(pl.Int64, strict=False).count().name.prefix("int:"),
            # 20 digits and more are an id, though a float can be made of them
            (filled.cast(pl.Float64, strict=False).is_not_null() & ~filled.str.contains(_LONG))
            .sum()
            .name.prefix("float:"),
            filled.str.to_lowercase().is_in(["true", "false"]).sum().name.prefix("bool:"),
            comma.sum().name.prefix("comma:"),
            (comma & filled.str.contains(",", literal=True) & ~filled.str.contains(_THOUSANDS))
            .sum()
            .name.prefix("sure:"),
            filled.str.contains(_THOUSANDS).sum().name.prefix("thousands:"),
            (pl.col(texts) == "?").sum().name.prefix("asked:"),
            (filled.str.contains(_INEXACT) & (filled.cast(pl.Float64, strict=False).abs() >= _LARGEST_EXACT))
            .sum()
            .name.prefix("far:"),
        ]

    def _cast(self, frame: pl.LazyFrame, name: str, count: Mapping[str, int], *, comma: bool) -> pl.Expr | None:
        filled, wanted = self._filled(name), self.types.get(name)
        if wanted is not None:
            return self._wanted(frame, name, count, wanted, comma=comma)
        every, dots = count["all"], self.form.decimal != ","
        whole, truth = filled.cast(pl.Int64, strict=False), filled.str.to_lowercase() == "true"
        ways = (
            (not every, None),
            (count["int"] == every and (dots or comma), whole),
            (count["float"] == every and dots, filled.cast(pl.Float64, strict=False)),
            (count["bool"] == every, truth),
            (count["comma"] == every and comma, self._number(name, filled, comma=True)),
        )
        for fits, cast in ways:
            if fits:
                return None if cast is None else cast.alias(name)
        # Numbers of more digits than an integer has come here too, without a comma.
        commas = filled.str.contains(",", literal=True)
        unclear = count["comma"] == every and self.form.separator != "," and dots
        if unclear and (examples := self._examples(frame, commas, name)):
            raise decimal_problem(name, examples)
        return None

    def _wanted(
        self, frame: pl.LazyFrame, name: str, count: Mapping[str, int], wanted: ColumnKind, *, comma: bool
    ) -> pl.Expr:
        filled = self._filled(name)
        if wanted is ColumnKind.BOOLEAN:
            if count["bool"] != count["all"]:
                other = filled.is_not_null() & ~filled.str.to_lowercase().is_in(["true", "false"])
                raise not_a(wanted, name, self._examples(frame, other, name))
            return (filled.str.to_lowercase() == "true").alias(name)
        if count["int"] == count["all"] and self.form.decimal != ",":
            return filled.cast(pl.Int64, strict=False).alias(name)  # a float holds no id of 17 digits
        number = self._number(name, filled, comma=comma or self.form.decimal == ",")
        bad = self._examples(frame, filled.is_not_null() & number.is_null(), name)
        if bad:
            raise not_a(wanted, name, bad)
        return number

    def _examples(self, frame: pl.LazyFrame, where: pl.Expr, name: str) -> list[tuple[int, str]]:
        """The first rows, counted from 1, and values of a column where something holds."""
        rows = frame.select(pl.col(name)).with_row_index("row", offset=1).filter(where).head(_EXAMPLES)
        return [(row, value) for row, value in rows.collect(engine="streaming").rows()]


_EXAMPLES = 3
_ENOUGH, _ALMOST = 20, 0.95  # from so many values, and so large a share of numbers, another value is probably a gap
_COUNTS = ("all", "int", "float", "bool", "comma", "sure", "thousands", "asked", "far")
COMMA_NUMBER = r"^[+-]?(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,[0-9]+)?$"
_THOUSANDS = r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+$"
_LONG = r"^[+-]?[0-9]{19,}$"
_INEXACT = r"^[+-]?[0-9]{16,}$"


def _is_dotted(count: Mapping[str, int]) -> bool:
    """Whether a column is of numbers with dots, so that its file has no decimal commas."""
    return 0 < count["all"] == count["float"] != count["int"]


def _is_whole(count: Mapping[str, int]) -> bool:
    return count["all"] == count["int"]


def _is_short(count: Mapping[str, int]) -> bool:
    """Whether no value of a column of numbers is an integer beyond 64 bits."""
    return count["all"] in {count["int"], count["float"], count["comma"]}


def _is_mixed(count: Mapping[str, int]) -> bool:
    """Whether a column of text is numbers almost everywhere; ids are numbers everywhere."""
    numbers = max(count["float"], count["comma"])
    return count["all"] >= _ENOUGH and numbers >= _ALMOST * count["all"]


def _is_comma(count: Mapping[str, int]) -> bool:
    """Whether a column is of numbers of which one at least has a comma that parts no thousands."""
    return 0 < count["all"] == count["comma"] and count["sure"] > 0


def not_a(wanted: ColumnKind, column: str, found: Sequence[tuple[int, str]]) -> UnclearError:
    """The refusal of a column that is to be of a type and has other values."""
    row, value = found[0]
    what = f"row {row} of column '{column}' has '{value[:60]}', which is no {wanted}"
    hint = f'Correct it, write `data.csv: {{missing: ["{value[:60]}"]}}`, or `data.types: {{{column}: text}}`.'
    return UnclearError(what, hint=hint)


def _names(raw: list[str], where: str, bare: Callable[[str], str]) -> Mapping[str, str]:
    """Each raw column name with its stripped form; polars would rename the second of two without a word."""
    names = {name: bare(name) for name in raw}
    renamed = [base for base, mark, number in (n.rpartition(_RENAMED) for n in raw) if number.isdigit() and base in raw]
    twice = renamed or [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise UsageError(f"Two columns are named '{twice[0].strip()}'.", where=where, hint="Rename one of them.")
    return names


def _no_nan(frame: pl.LazyFrame) -> pl.LazyFrame:
    """NaN becomes null: polars holds NaN for greater than any number, so it would pass `age > 25`."""
    return frame.with_columns(pl.col(n).fill_nan(None) for n, t in frame.collect_schema().items() if t.is_float())


def _gaps_to_nan(frame: pl.DataFrame) -> pl.DataFrame:
    numbers = (frame[name] for name, dtype in frame.schema.items() if is_number(dtype))
    return frame.with_columns(_floats(column) for column in numbers if column.null_count())


def _floats(column: pl.Series) -> pl.Series:
    floats = column if column.dtype.is_float() else column.cast(pl.Float64)
    return floats.fill_null(float("nan"))


class Nameless:
    """A file without a name, that ends with this object."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def path(self) -> Path:
        """Where this process, and no other, can open it."""
        return Path(f"/dev/fd/{self._descriptor}")

    def append(self, chunk: bytes) -> None:
        """Write more at its end."""
        left = memoryview(chunk)
        while left:
            left = left[os.write(self._descriptor, left) :]
