"""What a predictor is given and what it answers: tables of rows by opaque ids, in one form for each task.

What is read here is a stranger's: `decode` is called in a child that can do nothing but compute.
"""

import io
import itertools
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PanicException, PolarsError

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.frames import is_text
from mlbot.ml.protocol import Decoded, Expected, Refused, Wanted, listed, plain_label, printable, quoted
from mlbot.verdict.verdict import Problem

ID, LABEL = "row_id", "label"
ID_LENGTH = 16
_SUM = 1e-3  # how far the probabilities of a row may be from 1 together
_LETTERS = np.frombuffer(b"bcdfghjkmnpqrstv", "u1")  # no id looks like a number, a word or a missing value
Ids = npt.NDArray[np.bytes_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def answer_columns(expected: Expected) -> tuple[str, ...]:
    """The columns of numbers that a task's predictions have, beside `row_id`."""
    match expected.task:
        case Task.BINARY:
            return (f"p:{expected.positive}",)
        case Task.MULTICLASS | Task.MULTILABEL:
            return tuple(f"p:{label}" for label in expected.classes)
        case Task.REGRESSION:
            return ("y",)
        case Task.MULTIOUTPUT:
            return tuple(f"y:{target}" for target in expected.classes)
        case Task.RANKING:
            return ("score",)
        case Task.FORECAST:
            return expected.classes or ("y",)
        case Task.SCORES:
            raise ValueError("an evaluator gives scores, not predictions")


def new_ids(count: int) -> Ids:
    """Random ids, each once: of other calls for the same rows they say nothing."""
    while True:
        halves = np.frombuffer(secrets.token_bytes(count * ID_LENGTH // 2), "u1")
        letters = _LETTERS[np.stack([halves >> 4, halves & 15], axis=1).ravel()]
        ids = letters.view(f"S{ID_LENGTH}").copy()
        if np.unique(ids).size == count:
            return ids


def with_decoys(frame: pl.DataFrame, of: pl.DataFrame, count: int, chance: np.random.Generator) -> pl.DataFrame:
    """The rows, and after them rows that are none: each column's value is that of another row."""
    if not count:
        return frame
    made = pl.DataFrame([column.gather(chance.integers(0, of.height, count)) for column in of.get_columns()])
    return pl.concat([frame, made])


def write(path: Path, frame: pl.DataFrame, ids: Ids, form: str) -> None:
    """Write the features of some rows as a predictor reads them."""
    table = pl.DataFrame({ID: ids.astype(f"U{ID_LENGTH}")}).hstack(frame)
    if form == "csv":
        table.write_csv(path)
    else:
        table.write_parquet(path, compression="zstd")


def unfit_columns(frame: pl.DataFrame, form: str) -> Problem | None:
    """Why features cannot be given to a predictor, if so."""
    if ID in frame.columns:
        return Problem.of(Reason.HOLDOUT_SCHEMA, "row-id")
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested() or dtype == pl.Binary()]
    if nested and form == "csv":
        return Problem.of(Reason.HOLDOUT_SCHEMA, "nested-in-csv", column=quoted(nested[0]))
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer in the order of its own rows, as it was read."""

    ids: Ids  # (n,); zeros for what no id can be
    values: npt.NDArray[np.floating[Any]]  # (n, width), in the order of the columns that were wanted
    own: npt.NDArray[np.int32] | None = None  # (n,): the places of its labels, -1 for another one

    @property
    def numbers(self) -> Floats:
        """The values, whatever they were written as."""
        return self.values.astype(np.float64)

    @property
    def places(self) -> Floats | None:
        """The labels' places, `(n, 1)`, to compare them as numbers are."""
        return None if self.own is None else self.own.reshape(-1, 1).astype(np.float64)

    def of(self, rows: Rows) -> "Answer":
        """The answers to some rows."""
        own = None if self.own is None else self.own[rows]
        return Answer(ids=self.ids[rows], values=self.values[rows], own=own)


def joined(answers: Sequence[Answer]) -> Answer:
    """Several answers as one."""
    labels = [each.own for each in answers if each.own is not None]
    return Answer(
        ids=np.concatenate([each.ids for each in answers]),
        values=np.concatenate([each.values for each in answers]),
        own=np.concatenate(labels) if labels and len(labels) == len(answers) else None,
    )


def unpacked(facts: Decoded, raw: bytes | bytearray, width: int) -> Answer:
    """The answer as it comes from the child: ids, numbers, places of labels. Raises `ValueError` where it is none."""
    view, rows, wide = memoryview(raw), facts.rows, np.dtype(facts.dtype).itemsize * width
    ends = np.cumsum([0, rows * ID_LENGTH, rows * wide, rows * 4 * facts.labels])
    if ends[-1] != len(raw):
        raise ValueError("an answer has another length than its header says")
    ids, values, places = (view[start:end] for start, end in itertools.pairwise(ends.tolist()))
    return Answer(
        ids=np.frombuffer(ids, f"S{ID_LENGTH}"),
        values=np.frombuffer(values, facts.dtype).reshape(rows, width),
        own=np.frombuffer(places, "<i4") if facts.labels else None,
    )


def in_order(answer: Answer, ids: Ids) -> Answer | Problem:
    """The answer in the order of the ids that were asked, each once; or which are missing, unknown or doubled."""
    order = np.argsort(ids)
    at = np.searchsorted(ids, answer.ids, sorter=order)
    place = order[np.minimum(at, ids.size - 1)]
    known = ids[place] == answer.ids
    facts: dict[str, Any] = {"rows": answer.ids.size, "asked": ids.size}
    if unknown := int((~known).sum()):
        return Problem.of(Reason.MODEL_OUTPUTS, "predictor-ids-unknown", wrong=unknown, **facts)
    counts = np.bincount(place, minlength=ids.size)
    if doubled := int((counts > 1).sum()):
        return Problem.of(Reason.MODEL_OUTPUTS, "predictor-ids-doubled", wrong=doubled, **facts)
    if missing := int((counts == 0).sum()):
        return Problem.of(Reason.MODEL_OUTPUTS, "predictor-ids-missing", wrong=missing, **facts)
    back = np.empty(ids.size, np.int64)
    back[place] = np.arange(ids.size)
    return answer.of(back)


# What follows reads a stranger's bytes.


def warm_up() -> None:
    """Read a table of each form, so that all that polars loads and starts is there."""
    none = pl.DataFrame({ID: ["b" * ID_LENGTH], "y": [0.5], LABEL: ["a"]})
    for form in ("parquet", "csv"):
        stream = io.BytesIO()
        none.write_parquet(stream, compression="zstd") if form == "parquet" else none.write_csv(stream)
        wanted = Wanted(format="parquet" if form == "parquet" else "csv", rows=1, columns=("y",), classes=("a",))
        decode(stream.getvalue(), wanted)


def decode(content: bytes, wanted: Wanted) -> Answer:
    """The table in a file that a predictor wrote; raises `Refused`."""
    frame = _decoded(content, wanted)
    if frame.height != wanted.rows:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-row-count", rows=frame.height, asked=wanted.rows)
    names = _named(frame, wanted)
    values = np.column_stack([_numbers(frame[names[column]], column) for column in wanted.columns])
    if wanted.rest in names:
        _check_rest(values[:, 0], _numbers(frame[names[wanted.rest]], wanted.rest))
    own = _places(frame[names[LABEL]], wanted.classes) if LABEL in names else None
    return Answer(ids=_ids(frame[ID]), values=values, own=own)


def _decoded(content: bytes, wanted: Wanted) -> pl.DataFrame:
    if not content:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-no-answer")
    try:
        if wanted.format == "csv":
            return pl.read_csv(
                io.BytesIO(content), infer_schema=False, null_values=["", "NA", "null", "None"], raise_if_empty=False
            )
        check_footer(content, wanted)
        return pl.read_parquet(io.BytesIO(content), use_statistics=False, hive_partitioning=False)
    except (PolarsError, PanicException, OSError, ValueError) as error:
        why = printable((str(error).strip() or type(error).__name__).splitlines()[0], 200)
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-no-table", format=wanted.format, why=why) from None


def _named(frame: pl.DataFrame, wanted: Wanted) -> dict[str, str]:
    """Where the wanted columns are; labels are compared as labels, so that `p:1.0` is `p:1`."""
    others = (*([wanted.rest] if wanted.rest else []), *([LABEL] if wanted.classes else []))
    known = {_plain(name): name for name in (*wanted.columns, *others)}
    found: dict[str, str] = {}
    unknown: list[str] = []
    for name in frame.columns:
        meant = known.get(_plain(name))
        if name == ID:
            continue
        if meant is None or meant in found:
            unknown.append(name)
        else:
            found[meant] = name
    absent = [name for name in (ID, *wanted.columns) if name not in {*found, *(frame.columns if name == ID else ())}]
    every = (ID, *known.values())
    if absent:
        written = listed(dict.fromkeys((*unknown, *frame.columns)))  # first what may be meant by an absent one
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-columns-missing", absent=listed(absent), columns=written)
    if unknown:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-columns-unknown", unknown=listed(unknown), wanted=listed(every))
    return found


def _check_rest(chance: npt.NDArray[np.floating[Any]], rest: npt.NDArray[np.floating[Any]]) -> None:
    """Refuse a second probability that is not what the first leaves of 1; a first one that is none is found later."""
    wrong = ~(np.abs(chance.astype(np.float64) + rest - 1) <= _SUM)
    if wrong.any() and ((chance >= -_SUM) & (chance <= 1 + _SUM)).all():
        raise Refused(Reason.NOT_PROBABILITIES, "sum", wrong=int(wrong.sum()), rows=chance.size)


def _plain(name: str) -> str:
    return f"p:{plain_label(name[2:])}" if name.startswith("p:") else name


def _numbers(column: pl.Series, name: str) -> npt.NDArray[np.floating[Any]]:
    if column.dtype.is_nested() or column.dtype == pl.Binary():
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-nested", column=quoted(name), type=str(column.dtype))
    if column.null_count():
        raise Refused(
            Reason.MODEL_OUTPUTS, "predictor-nulls", column=quoted(name), wrong=column.null_count(), rows=len(column)
        )
    if is_text(column.dtype):
        numbers = column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
        if numbers.null_count():
            odd = column.filter(numbers.is_null())[0]
            raise Refused(Reason.MODEL_OUTPUTS, "predictor-not-numbers", column=quoted(name), value=quoted(str(odd)))
        column = numbers
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean()):
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-not-numbers", column=quoted(name), value=str(column.dtype))
    single = column.dtype == pl.Float32()
    return column.cast(pl.Float32 if single else pl.Float64).to_numpy()


def _ids(column: pl.Series) -> Ids:
    """The ids as fixed bytes; zeros for whatever none of the judge's can be."""
    if not is_text(column.dtype):
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-ids-no-text", type=str(column.dtype))
    texts = column.cast(pl.String)
    fits = (texts.str.len_bytes() == ID_LENGTH) & texts.str.contains("^[a-z]*$")
    blank = "0" * ID_LENGTH
    fixed = pl.select(pl.when(fits.fill_null(value=False)).then(texts).otherwise(pl.lit(blank))).to_series()
    return np.array(fixed.to_list(), dtype=f"S{ID_LENGTH}")


def _places(column: pl.Series, classes: Sequence[str]) -> npt.NDArray[np.int32]:
    """The place of each label among the classes, -1 for what is none of them."""
    if column.dtype.is_nested() or column.dtype == pl.Binary():
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-nested", column=quoted(LABEL), type=str(column.dtype))
    texts = column.cast(pl.String)
    known = {plain_label(name): at for at, name in enumerate(classes)}
    distinct = texts.unique().drop_nulls().to_list()
    places = {name: known[plain_label(name)] for name in distinct if plain_label(name) in known}
    return texts.replace_strict(places, default=-1, return_dtype=pl.Int32).fill_null(-1).to_numpy()


# What a Parquet file claims of itself is looked at before any of it is decoded: a few bytes can claim a billion rows.

_MAGIC = b"PAR1"
_FOOTER = struct.Struct("<I4s")
_MOST_GROUPS = 10_000
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4  # fields of the format's FileMetaData
_REPETITION, _NAME, _CHILDREN = 3, 4, 5  # of a SchemaElement
_CHUNKS, _GROUP_ROWS = 1, 3  # of a RowGroup
_META, _VALUES, _UNPACKED = 3, 5, 6  # of a ColumnChunk, and of its ColumnMetaData
_REPEATED = 2


def check_footer(content: bytes, wanted: Wanted) -> None:
    """Refuse a Parquet file whose footer claims more than it may hold; raises `Refused`."""
    try:
        _check_claims(_Thrift(_footer(content)).struct(), wanted)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, struct.error) as error:
        raise Refused(
            Reason.MODEL_OUTPUTS,
            "predictor-no-table",
            format="parquet",
            why=printable(str(error) or "a damaged footer", 200),
        ) from None


def _footer(content: bytes) -> bytes:
    length, magic = _FOOTER.unpack(content[-_FOOTER.size :])
    if magic != _MAGIC or content[:4] != _MAGIC or length > len(content) - 12:
        raise ValueError("it does not begin and end as such a file does")
    return content[-_FOOTER.size - length : -_FOOTER.size]


def _check_claims(facts: dict[int, Any], wanted: Wanted) -> None:
    rows, groups, (root, *columns) = facts[_ROWS], facts.get(_GROUPS, []), facts[_SCHEMA]
    if rows != wanted.rows:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-row-count", rows=rows, asked=wanted.rows)
    if len(groups) > min(max(1, wanted.rows), _MOST_GROUPS) or sum(group[_GROUP_ROWS] for group in groups) != rows:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-claims", what=f"{len(groups)} row groups for {wanted.rows} rows")
    odd = [each for each in columns if each.get(_CHILDREN) or each.get(_REPETITION) == _REPEATED]
    if odd or root.get(_CHILDREN) != len(columns):
        name = odd[0][_NAME].decode("utf-8", "replace") if odd else "schema"
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-nested", column=quoted(name), type="a list or structure")
    if len(columns) > len(wanted.columns) + 64:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-claims", what=f"{len(columns)} columns")
    chunks = [chunk[_META] for group in groups for chunk in group[_CHUNKS]]
    unpacked, values = sum(each[_UNPACKED] for each in chunks), max((each[_VALUES] for each in chunks), default=0)
    if not 0 <= unpacked <= wanted.most_bytes or not 0 <= values <= wanted.rows:
        raise Refused(Reason.MODEL_OUTPUTS, "predictor-claims", what=f"{unpacked:,} bytes unpacked")


_MOST_DEPTH, _MOST_VALUES = 16, 1_000_000
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


class _Thrift:
    """A reader of Thrift's compact protocol, which Parquet's footer is written in; raises `ValueError`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._values = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a structure by number."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._zigzag()
            found[number] = kind == _TRUE if kind in {_TRUE, _FALSE} else self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self._values += 1
        if depth > _MOST_DEPTH or self._values > _MOST_VALUES:
            raise ValueError("its footer is too large or nested")
        match kind:
            case _ if kind in {_TRUE, _FALSE, _BYTE}:
                return self._byte()
            case _ if kind in {_I16, _I32, _I64}:
                return self._zigzag()
            case _ if kind == _DOUBLE:
                return self._take(8)
            case _ if kind == _BINARY:
                return self._take(self._number())
            case _ if kind in {_LIST, _SET}:
                return list(self._list(depth))
            case _ if kind == _STRUCT:
                return self.struct(depth)
            case _:
                raise ValueError("its footer has a field of an unknown kind")

    def _list(self, depth: int) -> Iterator[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._number()
        if count > len(self._content) - self._at:
            raise ValueError("its footer claims more than it holds")
        for _ in range(count):
            yield self._value(head & 15, depth + 1)

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, size: int) -> bytes:
        part = self._content[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("its footer ends early")
        self._at += size
        return part

    def _number(self) -> int:
        number = shift = 0
        while shift < 70:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
        raise ValueError("its footer has a number that is too long")

    def _zigzag(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)
