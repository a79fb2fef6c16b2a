"""The reading convention: what training code, the export's check and the judge all see."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlbot.config.data import ColumnKind, Csv
from mlbot.config.kinds import Context
from mlbot.errors import UsageError
from mlbot.ml import frames

MESSY = b""" a, b ,c,d,e,f,g,zip
 1, x,1.5, true,,NaN,1e3,007
 2,,2, False,5,inf,2,008
 3, y ,,TRUE,,0,nan,1

"""


def test_spaces_are_stripped_before_types_are_told() -> None:
    frame = frames.scan(MESSY, text=["zip"]).collect()
    assert frame.schema == {
        "a": pl.Int64,
        "b": pl.String,
        "c": pl.Float64,
        "d": pl.Boolean,
        "e": pl.Int64,
        "f": pl.Float64,
        "g": pl.Float64,
        "zip": pl.String,
    }
    assert frame["b"].to_list() == ["x", "", "y"]
    assert frame["d"].to_list() == [True, False, True]
    assert frame["zip"].to_list() == ["007", "008", "1"]


def test_a_missing_number_is_null_to_sql_and_nan_to_scikit_learn() -> None:
    lazy, eager = frames.scan(MESSY), frames.read(MESSY)
    assert lazy.filter(pl.col("e") > 0).collect().height == 1
    assert lazy.filter(pl.col("f") > 0).collect()["f"].to_list() == [math.inf]
    assert eager["e"].dtype == pl.Float64
    assert eager["e"].is_nan().to_list() == [True, False, True]
    assert eager["a"].dtype == pl.Int64
    assert sum(eager.null_count().row(0)) == 0


def test_a_late_letter_makes_the_column_text() -> None:
    content = "n\n" + "1\n" * 5000 + "x\n"
    assert frames.read(content.encode())["n"].dtype == pl.String


def test_integers_beyond_64_bits_are_ids_and_so_text() -> None:
    table = b"n\n18446744073709551616\n18446744073709551617\n007\n"
    assert frames.read(table)["n"].to_list() == ["18446744073709551616", "18446744073709551617", "007"]
    assert frames.read(b"n,m\n" + b"9" * 45 + b",1\n")["n"].dtype == pl.String
    assert frames.read(table, types={"n": ColumnKind.NUMBER})["n"].to_list() == [2.0**64, 2.0**64, 7.0]


@pytest.mark.parametrize("other", ["NaN", "1.5", "inf"])
def test_ids_stay_text_beside_what_makes_floats_of_a_column(other: str) -> None:
    table = f"id,f\n79970029083864488076,1.5\n79970029083864488077,NaN\n{other},2.5\n".encode()
    assert frames.read(table)["id"].to_list() == ["79970029083864488076", "79970029083864488077", other]


def test_parquet_reads_the_same_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    frame = pl.DataFrame(
        {"t": ["x", None, " y "], "n": [1, None, 3], "f": [1.0, math.nan, None], "c": ["u", "v", None], "s": [7, 8, 9]},
        schema_overrides={"c": pl.Categorical},
    )
    frame.write_parquet(path)
    got = frames.read(path, text=["s"])
    assert got["t"].to_list() == ["x", "", "y"]
    assert got["c"].to_list() == ["u", "v", ""]
    assert got["s"].to_list() == ["7", "8", "9"]
    np.testing.assert_array_equal(got["n"].to_numpy(), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(got["f"].to_numpy(), [1.0, np.nan, np.nan])
    assert frames.scan(path).collect()["f"].to_list() == [1.0, None, None]


def test_a_path_an_url_and_bytes_are_the_same_table(tmp_path: Path) -> None:
    path = tmp_path / "glob[1]*.csv"
    path.write_bytes(MESSY)
    expected = frames.read(MESSY)
    for source in (path, str(path), path.as_uri().replace("%5B", "[").replace("%5D", "]").replace("%2A", "*")):
        assert frames.read(source).equals(expected, null_equal=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty: it has no byte"),
        (b"ORC\x0a\x03\x00\x00\x00", "an ORC file"),
        (b"a,a\n1,2\n", "Two columns are named 'a'"),
        (b"a, a\n1,2\n", "Two columns are named 'a'"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields, and the header 2"),
        (b"a\n\xff\xfe\n", "line 2 is not UTF-8: byte 3 is ff fe"),
        (b"PAR1 and nothing more", "begins as a Parquet file and does not end as one"),
        (b"PAR1 and more, with PAR1", "damaged"),
    ],
)
def test_an_unreadable_table_says_so(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        frames.read(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_a_parquet_file_with_a_wrong_byte_is_read_or_refused() -> None:
    """On some of them polars panics, which is no `Exception`: on opening, or only when rows are read."""
    file = io.BytesIO()
    pl.DataFrame({"a": np.arange(50) / 7, "b": ["x", "y"] * 25}).write_parquet(file, compression="uncompressed")
    whole, refused = file.getvalue(), 0
    for at in (*range(7, 60, 4), *range(len(whole) - 400, len(whole) - 8, 8)):
        content = whole[:at] + bytes([0 if at < 60 else 255]) + whole[at + 1 :]
        try:
            frames.read(content)
        except UsageError as error:
            refused += "damaged" in error.hint
    assert refused > 10


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        frames.read(tmp_path / "no.csv")


def test_a_column_that_is_only_called_duplicated_is_fine() -> None:
    assert frames.read(b"a_duplicated_0,b\n1,2\n").columns == ["a_duplicated_0", "b"]


def csv(**given: Any) -> Csv:
    return Csv.read(given, Context())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a;b\n1,5;x\n2,25;y\n", {"a": [1.5, 2.25], "b": ["x", "y"]}),
        (b"a\tb\n1\tx\n2\ty\n", {"a": [1, 2], "b": ["x", "y"]}),
        (b"a|b\n1|x\n2|y\n", {"a": [1, 2], "b": ["x", "y"]}),
        (b"\xef\xbb\xbfa;b\r\n1;x\r\n", {"a": [1], "b": ["x"]}),
        ("a,b\n1,\u00e9\u65e5\n".encode("utf-16"), {"a": [1], "b": ["\u00e9\u65e5"]}),
        ("a;b\n1;\u00e9\n".encode("utf-32"), {"a": [1], "b": ["\u00e9"]}),
        (b"a,b\n1,x;y\n", {"a": [1], "b": ["x;y"]}),
        (b'a,b\n1,"x;y,z"\n', {"a": [1], "b": ["x;y,z"]}),
        (b"a;b\n1.234,5;1\n12,0;2\n", {"a": [1234.5, 12.0], "b": [1, 2]}),
        (b"a\n1\n2\n", {"a": [1, 2]}),
        (
            b"a;b;c\n1,5;NaN;18446744073709551616\n2,25;3;18446744073709551617\n",
            {"a": [1.5, 2.25], "b": [None, 3.0], "c": ["18446744073709551616", "18446744073709551617"]},
        ),
        (b'"a", "b"\n"1", "x ""y"""\n"2", ""\n', {"a": [1, 2], "b": ['x "y"', ""]}),
        (b'"a", " b "\n"1", "  x "\n', {"a": [1], "b": ["x"]}),
    ],
)
def test_how_a_csv_is_written_shows_where_it_is_certain(content: bytes, expected: dict[str, list[object]]) -> None:
    assert frames.scan(content).collect().to_dict(as_series=False) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_missing_mark_is_said_where_the_encoding_needs_one(encoding: str) -> None:
    with pytest.raises(UsageError, match="no mark at its beginning") as refused:
        frames.scan("a,b\n1,2\n".encode(f"{encoding}-le"), csv=Csv(encoding=encoding))
    assert f"{{encoding: {encoding}-le}}" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "what", "write"),
    [
        (b"a;b,c;d\n1;2,3;4\n", "with `,` and with `;` as separator", '{separator: ";"}'),
        (b"a;b\n1;2\n3;4;5\n", "not every line has as many fields", '{separator: ";"}'),
        ("a,b\n1,\u00e9\n".encode("latin-1"), "line 2 is not UTF-8: byte 7 is e9", "{encoding: latin-1}"),
        ("a,b\n1,\u20ac\n".encode("cp1252"), "line 2 is not UTF-8", "{encoding: cp1252}"),
        ("a,b\n1,2\n".encode("utf-16-le"), "zero bytes", "{encoding: utf-16-le}"),
        (b"a;b\n1,234;x\n5,678;y\n", "may be decimal or part thousands: '1,234', '5,678'", '{decimal: ","}'),
        (b"a;b\n1,5;2.5\n2,5;3.5\n", "may be decimal or part thousands", '{decimal: ","}'),
        (b"a,b\r1,2\r", "carriage returns", "line feeds"),
        (b"sep=;\r\na;b\r\n1;2\r\n", "its first line tells Excel the separator", "Remove that line."),
    ],
)
def test_what_is_not_certain_is_refused_with_the_line_to_write(content: bytes, what: str, write: str) -> None:
    with pytest.raises(UsageError) as caught:
        frames.read(content)
    assert what in caught.value.what
    assert write in caught.value.hint


@pytest.mark.parametrize(
    ("content", "given", "expected"),
    [
        (b"a;b,c;d\n1;2,3;4\n", {"separator": ";"}, {"a": [1], "b,c": [2.3], "d": [4]}),
        (b"a,b\n1,\xe9\n", {"encoding": "latin-1"}, {"a": [1], "b": ["\u00e9"]}),
        ("a,b\n1,\u20ac\n".encode("cp1252"), {"encoding": "CP1252"}, {"a": [1], "b": ["\u20ac"]}),
        (b"a;b\n1,234;x\n5.678;y\n", {"decimal": ","}, {"a": [1.234, 5678.0], "b": ["x", "y"]}),
        (b"a,b\n'1,5',x\n", {"quote": "'"}, {"a": ["1,5"], "b": ["x"]}),
        (b'a,b\n5",x\n', {"quote": "none"}, {"a": ['5"'], "b": ["x"]}),
        (b"a,b\n-999,-999\n1,-\n2,NA\n", {"missing": [-999, "-"]}, {"a": [math.nan, 1.0, 2.0], "b": ["", "", "NA"]}),
        (b"a,b\n1,NA\n", {"missing": []}, {"a": [1], "b": ["NA"]}),
    ],
)
def test_what_the_config_says_counts(content: bytes, given: dict[str, Any], expected: dict[str, list[object]]) -> None:
    got = frames.read(content, csv=csv(**given))
    assert got.equals(pl.DataFrame(expected), null_equal=True), got
    assert frames.read(content, **given).equals(got, null_equal=True)


def test_the_marks_to_write_are_all_that_the_file_has() -> None:
    """Who names one mark alone loses the usual ones, and a column of numbers is text without a word."""
    rows = ["? ,1,x", *["3,2,NA"] * 200, "NaN,k.A.,y"]
    table = frames.open_table("\n".join(["a,b,c", *rows, ""]).encode(), types={}, csv=Csv())
    (odd,) = table.odd_columns()
    assert (odd.name, odd.gaps) == ("b", ("k.A.", "?", "NaN"))
    texts = frames.open_table("\n".join(["b,c", *["2,NA"] * 200, "k.A.,y", ""]).encode(), types={}, csv=Csv())
    (odd,) = texts.odd_columns()
    assert (odd.name, odd.gaps) == ("b", ("k.A.",)), "where no other column has marks there are none"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso-8859-15", "koi8-r"])
def test_letters_of_utf8_are_not_read_as_other_ones(encoding: str) -> None:
    """One setting is for all files, so the one that needs no other encoding would be garbled in silence."""
    with pytest.raises(UsageError, match=f"its letters are UTF-8, and would be read as {encoding}") as caught:
        frames.read("a,b\n1,M\u00fcnchen\n".encode(), encoding=encoding)
    assert f"Leave `encoding: {encoding}` out" in caught.value.hint
    assert frames.read(b"a,b\n1,x\n", encoding=encoding)["b"].to_list() == ["x"]


@pytest.mark.parametrize("marker", ["NA", "N/A", "n/a", "?", "null", "None", "NaN", "nan", " NA ", "", "<NA>"])
def test_markers_are_missing_among_numbers_and_booleans_and_text_elsewhere(marker: str) -> None:
    frame = frames.read(f"i,f,b,t,u\n1,1.5,true,x,u\n{marker},{marker},{marker},{marker},u\n3,2.5,FALSE,y,u\n".encode())
    assert frame.schema == {"i": pl.Float64, "f": pl.Float64, "b": pl.Float64, "t": pl.String, "u": pl.String}
    assert all(math.isnan(frame[name][1]) for name in "ifb")
    assert frame["t"].to_list() == ["x", marker.strip(), "y"]


def test_a_type_that_the_values_are_not_names_the_row() -> None:
    with pytest.raises(UsageError, match="row 2 of column 'a' has 'x', which is no number") as caught:
        frames.read(b"a,b\n1,2\nx,3\n", types={"a": ColumnKind.NUMBER})
    assert '{missing: ["x"]}' in caught.value.hint
    frame = frames.read(b"zip,n\n007,1\n7,2\n", types={"zip": ColumnKind.TEXT})
    assert frame["zip"].to_list() == ["007", "7"]


def test_a_late_byte_of_another_encoding_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_bytes(b"a,b\n" + b"1,x\n" * 200_000 + b"1,\xe9\n")
    with pytest.raises(UsageError, match="line 200002 is not UTF-8: byte 800,007 is e9"):
        frames.read(path, text=["b"])
    assert frames.read(path, encoding="latin-1").height == 200_001


@pytest.mark.parametrize(
    ("encoding", "head", "end", "said"),
    [
        ("cp1252", b"1,x\n" * 200_000, b"1,\x81\n", "line 200002 is not cp1252: byte 800,007 is 81"),
        ("cp1252", b"1,x\n" * 600_000, b"1,\x81\n", "line 600002 is not cp1252: byte 2,400,007 is 81"),
        ("gb18030", b"1,x\n" * 200_000, b"1,\x81", "line 200002 is not gb18030: byte 800,007 is 81"),
    ],
)
def test_a_late_byte_that_the_named_encoding_lacks_names_its_line(
    encoding: str, head: bytes, end: bytes, said: str, tmp_path: Path
) -> None:
    """Half of a character at the end of a long file too."""
    path = tmp_path / "late.csv"
    path.write_bytes(b"a,b\n" + head + end)
    with pytest.raises(UsageError, match=said):
        frames.read(path, text=["b"], encoding=encoding)


def test_a_character_over_two_parts_of_a_file_is_whole(tmp_path: Path) -> None:
    """Its first byte is the last one of a part that is read at once."""
    path = tmp_path / "long.csv"
    rows = (frames.CHUNK - len("a,b\n1,")) // len("1,x\n")
    start = "a,b\n" + "1,x\n" * rows
    filler = "y" * (frames.CHUNK - 1 - len(start) - len("1,"))
    path.write_bytes(f"{start}1,{filler}\u4e2d\n".encode("gb18030"))
    assert frames.read(path, encoding="gb18030")["b"].to_list()[-1] == f"{filler}\u4e2d"


def test_a_folder_of_parquet_is_its_files_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "year=2025").mkdir(parents=True)
    pl.DataFrame({"a": [1], "word": ["x"]}).write_parquet(folder / "a.parquet")
    pl.DataFrame({"a": [2]}).write_parquet(folder / "year=2025" / "b.parquet")
    found = frames.read(folder)
    assert found["a"].to_list() == [1, 2]
    assert found["word"].to_list() == ["x", ""]  # as a missing text is
    pl.DataFrame({"a": [[1]]}).write_parquet(folder / "c.parquet")
    with pytest.raises(UsageError, match="its files do not fit together: failed to determine supertype") as caught:
        frames.read(folder)
    assert "same columns" in caught.value.hint


def test_a_folder_without_a_table_says_so(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("no data")
    (tmp_path / "_tmp.parquet").write_text("no data")
    with pytest.raises(UsageError, match="it is a folder without a Parquet file"):
        frames.read(tmp_path)
