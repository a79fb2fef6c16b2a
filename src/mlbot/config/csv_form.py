"""How a CSV file is written: what its first bytes show for certain, and what mlbot.yaml has to say where they do not.

Reads what somebody else opened, and needs no package: `config check`, `init`, training and the judge all ask it.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from mlbot.config.data import Csv
from mlbot.errors import UsageError
from mlbot.lib.constants import LFS_POINTER

HEAD = 1 << 18
"""How many bytes of a file are looked at."""
MISSING = frozenset(
    {
        *("", "na", "n/a", "#n/a", "<na>", "?", "null", "none", "nan"),
        *("-nan", "#na", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),  # of C's printf, and of Excel
    }
)
"""What stands for a missing value where mlbot.yaml does not say: among numbers and booleans, and in labels; all that
pandas takes for it, and `?`."""
SEPARATORS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EXCELS = re.compile(r'"?sep=.?"?\r?\n')
_RECORDS = 200
_SHOWN = 60
# bytes that cp1252 leaves out; those from 0x80 to 0x9f are letters and quotes there, and control characters in Latin-1
_NOT_CP1252 = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})


class UnclearError(UsageError):
    """A file whose form is not certain; the hint is the line to write.

    `encoding` is what it is probably in, where that is what is not certain.
    """

    encoding: str | None = None


PARQUET = b"PAR1"
"""How a Parquet file begins, and how it ends."""
PARQUET_NAMES = (".parquet", ".pq")
_UNPACK, _EXPORT = "Unpack it; Parquet files are compressed in themselves.", "Save it as CSV or Parquet."
_SIGNS = (
    (LFS_POINTER, "it is a pointer of Git LFS, not the data", "Fetch it: git lfs pull."),
    (b"\x1f\x8b", "it is compressed by gzip", _UNPACK),
    (b"BZh", "it is compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ\0", "it is compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstandard", _UNPACK),
    (b"\x04\x22\x4d\x18", "it is compressed by lz4", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", _UNPACK),
    (b"PK\3\4", "it is a zip archive, as Excel's workbooks are", _EXPORT),
    (b"PK\5\6", "it is an empty zip archive", _EXPORT),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel workbook", _EXPORT),
    (b"PARE", "it is an encrypted Parquet file", "Save it without encryption."),
    (b"ARROW1", "it is an Arrow file (Feather)", _EXPORT),
    (b"ORC", "it is an ORC file", _EXPORT),
    (b"Obj\1", "it is an Avro file", _EXPORT),
    (b"\x89HDF", "it is an HDF5 file", _EXPORT),
    (b"SQLite format 3", "it is an SQLite database", _EXPORT),
    (b"\x93NUMPY", "it is a NumPy array", _EXPORT),
    (b"%PDF", "it is a PDF document", _EXPORT),
    (b"\x80\4\x95", "it is a Python pickle, which is never loaded", _EXPORT),
    (b"\x80\5\x95", "it is a Python pickle, which is never loaded", _EXPORT),
)
_BINARY, _SIGNED = frozenset(range(9)), 512
_PAGE = re.compile(rb"\s*<(?:!doctype html|html|\?xml)\b", re.IGNORECASE)
_JSON = re.compile(rb'\s*(?:\{\s*"|\[\s*\{|\[\s*\[)')


def no_table(head: bytes, name: str = "") -> UnclearError | None:
    """Why a file that begins so is neither CSV nor Parquet, with what to do; None where it may be one of them.

    `name` is what the file is called: text under the name of a Parquet file is what was left of one, or a message.
    """
    sign = next((each for each in _SIGNS if head.startswith(each[0])), None)
    # A header may begin with the letters of a sign: ORCID, PARENT.
    is_text = sign is not None and sign[0].isalnum() and not _BINARY.intersection(head[:_SIGNED])
    if sign is not None and not is_text:
        return UnclearError(sign[1], hint=sign[2])
    if not head.strip(b" \t\r\n\0"):
        what = "it has no rows and no header" if head else "it is empty: it has no byte"
        return UnclearError(what, hint="Write it again, with a header and rows.")
    if _PAGE.match(head):
        return UnclearError("it is HTML or XML, such as a server's message", hint="Fetch the data themselves.")
    if _JSON.match(head):
        return UnclearError("it is JSON", hint=_EXPORT)
    if name.lower().endswith(PARQUET_NAMES) and not head.startswith(PARQUET):
        hint = "Write or fetch it again; if it is CSV, give it a name that ends in .csv."
        return UnclearError("its name is that of a Parquet file, and its first bytes are of none", hint=hint)
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a CSV file is to be read."""

    separator: str = ","
    encoding: str = "utf-8"
    decimal: str | None = None  # None: `.`, and `,` where the values show it
    quote: str | None = '"'
    missing: tuple[str, ...] | None = None  # None: `MISSING`, among numbers and booleans
    spaced: bool = False  # whether there are spaces before quotes, which most readers take for a part of the text

    @property
    def gaps(self) -> frozenset[str]:
        """What stands for a missing value in lower case, once the texts that `missing` names are read as empty."""
        return MISSING if self.missing is None else frozenset({""})

    def is_missing(self, text: str) -> bool:
        """Whether a text stands for a missing value."""
        bare = text.strip()
        return bare.casefold() in MISSING if self.missing is None else bare in {"", *self.missing}


def read_head(stream: BinaryIO) -> tuple[bytes, bool]:
    """What is looked at of a file, and whether that is all of it."""
    head = stream.read(HEAD + 1)
    return head[:HEAD], len(head) <= HEAD


def form_of(head: bytes, given: Csv, *, whole: bool = True, columns: Sequence[str] = ()) -> Form:
    """The form of a file that begins with `head`; what the config says is not looked for.

    `whole`: whether that is all of the file. `columns` are known to be there, and may decide between separators.
    Raises `UnclearError` with the line to write.
    """
    if (other := no_table(head)) is not None:
        raise other
    encoding = given.encoding or _encoding(head)
    if _ONE_BYTE.match(encoding) and _is_utf8(head, whole=whole):
        hint = f"Leave `encoding: {encoding}` out of `data.csv`; a file that is in it has to be saved as UTF-8 then."
        raise UnclearError(f"its letters are UTF-8, and would be read as {encoding}", hint=hint)
    quote = given.quote or '"'
    mark = None if quote == "none" else quote
    text = _decoded(head, encoding, whole=whole)
    if "\r" in text and "\n" not in text:
        raise UnclearError("its lines end in carriage returns alone", hint="Save it with line feeds.")
    if _EXCELS.match(text):
        what = "its first line tells Excel the separator, and every other program takes it for the header"
        raise UnclearError(what, hint="Remove that line.")
    separator = given.separator or _separator(text, mark, whole=whole, columns=columns)
    spaced = mark is not None and f"{separator} {mark}" in text
    return replace(unseen_form(given), separator=separator, encoding=encoding, spaced=spaced)


def unseen_form(given: Csv) -> Form:
    """The form of a file that nobody can look at: what the config says, else the usual."""
    quote = given.quote or '"'
    return Form(
        separator=given.separator or ",",
        encoding=given.encoding or "utf-8",
        decimal=given.decimal,
        quote=None if quote == "none" else quote,
        missing=given.missing,
    )


def header_of(head: bytes, given: Csv, *, whole: bool = True, columns: Sequence[str] = ()) -> tuple[str, ...]:
    """The column names of a file that begins with `head`."""
    form = form_of(head, given, whole=whole, columns=columns)
    first = next(_records(_decoded(head, form.encoding, whole=whole), form.separator, form.quote), [])
    return tuple(name.strip() for name in first)


def likely_encoding(head: bytes, *, whole: bool = True) -> str | None:
    """The encoding to write down for a file that begins with `head`; None where it shows, or nothing helps."""
    try:
        form_of(head, Csv(), whole=whole)
    except UnclearError as error:
        return error.encoding
    return None


def rows_of(head: bytes, given: Csv, *, whole: bool = True, most: int) -> list[list[str]]:
    """The header and the first records of a file that begins with `head`."""
    form = form_of(head, given, whole=whole)
    records = list(_records(_decoded(head, form.encoding, whole=whole), form.separator, form.quote))
    return records[: most + 1] if whole or len(records) < 2 else records[:-1][: most + 1]


def not_in(encoding: str, at: int, found: bytes, line: int) -> UnclearError:
    """The refusal of a file with bytes that its encoding does not have, `found` from the offset `at` on."""
    shown = " ".join(f"{byte:02x}" for byte in found[:4])
    if encoding != "utf-8":
        hint = f"Correct `data.csv: {{encoding: {encoding}}}`, or save the file as UTF-8."
    else:
        hint = (
            f"If it is {_likely(found)}, write `data.csv: {{encoding: {_likely(found)}}}`; or save the file as UTF-8."
        )
    what = f"line {line} is not {'UTF-8' if encoding == 'utf-8' else encoding}: byte {at + 1:,} is {shown}"
    error = UnclearError(what, hint=hint)
    error.encoding = _likely(found) if encoding == "utf-8" else None
    return error


def _likely(found: bytes) -> str:
    """The encoding that bytes which are no UTF-8 are probably in."""
    controls = {byte for byte in found if 0x80 <= byte <= 0x9F}
    return "latin-1" if not controls or controls & _NOT_CP1252 else "cp1252"


_ONE_BYTE = re.compile("latin|iso-8859|cp125|windows-125|mac-roman|koi8")


def _is_utf8(head: bytes, *, whole: bool) -> bool:
    """Whether letters beyond ASCII are UTF-8 throughout, as text in an encoding of one byte hardly ever is."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return False
    return not head.isascii()


def _encoding(head: bytes) -> str:
    known = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    if known is not None:
        return known
    if b"\0" in head:
        order = "le" if head[1::2].count(0) > head[::2].count(0) else "be"
        hint = f"If it is UTF-16, write `data.csv: {{encoding: utf-16-{order}}}`; or save the file as UTF-8."
        error = UnclearError("it has zero bytes, and no mark at its beginning tells its encoding", hint=hint)
        error.encoding = f"utf-16-{order}"
        raise error
    return "utf-8"


def _decoded(head: bytes, encoding: str, *, whole: bool) -> str:
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        text = codecs.getincrementaldecoder(codec)().decode(head, final=whole)
    except UnicodeDecodeError as error:
        raise not_in(encoding, error.start, head[error.start :], head[: error.start].count(b"\n") + 1) from None
    except UnicodeError:  # of utf-16 and utf-32 alone, which a mark at the beginning has to complete
        what = f"no mark at its beginning tells the order of {encoding}'s bytes"
        hint = f"Write `data.csv: {{encoding: {encoding}-le}}` or `{encoding}-be`, or save the file as UTF-8."
        raise UnclearError(what, hint=hint) from None
    return text.removeprefix("\ufeff")


def _separator(text: str, quote: str | None, *, whole: bool, columns: Sequence[str]) -> str:
    """The separator that gives every record as many fields as the header, two or more."""
    fits = [each for each in SEPARATORS if _is_even(text, each, quote, whole=whole)]
    known = [each for each in fits if set(columns) <= {name.strip() for name in _header(text, each, quote)}]
    if len(fits) > 1 and columns and len(known) == 1:
        return known[0]
    if len(fits) > 1:
        ways = " or ".join(f"`data.csv: {{separator: {_written(each)}}}`" for each in fits)
        raise UnclearError(f"its first line can be read with {_several(fits)} as separator", hint=f"Write {ways}.")
    return fits[0] if fits else _uneven(text, quote)


def _uneven(text: str, quote: str | None) -> str:
    """The separator of a file where none fits all records: the comma, unless the header speaks for another one."""
    others = [each for each in SEPARATORS[1:] if len(_header(text, each, quote)) > 1]
    if len(_header(text, ",", quote)) == 1 and others:
        ways = " or ".join(f"`data.csv: {{separator: {_written(each)}}}`" for each in others)
        found = f"its header has no comma, and with {_several(others)} not every line has as many fields as the header"
        raise UnclearError(found, hint=f"Correct these lines, or write {ways}.")
    return ","


def _is_even(text: str, separator: str, quote: str | None, *, whole: bool) -> bool:
    records = [record for record in _some(text, separator, quote, whole=whole) if record]
    width = len(records[0]) if records else 0
    return width > 1 and all(len(record) == width for record in records)


def _some(text: str, separator: str, quote: str | None, *, whole: bool) -> list[list[str]]:
    """The first records, without the last one of a text that may be cut."""
    records: list[list[str]] = []
    for record in _records(text, separator, quote):
        records.append(record)
        if len(records) > _RECORDS:
            return records
    return records if whole or len(records) < 2 else records[:-1]


def _header(text: str, separator: str, quote: str | None) -> list[str]:
    return next(_records(text, separator, quote), [])


def _records(text: str, separator: str, quote: str | None) -> Iterator[list[str]]:
    stream = io.StringIO(text, newline="")
    if quote is None:
        reader = csv.reader(stream, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(stream, delimiter=separator, quotechar=quote, skipinitialspace=True)
    try:
        yield from reader
    except csv.Error:
        return


def _written(separator: str) -> str:
    return '"\\t"' if separator == "\t" else f'"{separator}"'


def _several(separators: Sequence[str]) -> str:
    return " and with ".join("a tab" if each == "\t" else f"`{each}`" for each in separators)


def decimal_problem(column: str, examples: Sequence[tuple[int, str]]) -> UnclearError:
    """The refusal of a column whose commas may be decimal or may part thousands; each example with its row."""
    shown = ", ".join(f"'{value[:_SHOWN]}'" for _, value in examples)
    hint = f'Write `data.csv: {{decimal: ","}}`, or `data.types: {{{column}: text}}`.'
    return UnclearError(f"column '{column}' has commas that may be decimal or part thousands: {shown}", hint=hint)
