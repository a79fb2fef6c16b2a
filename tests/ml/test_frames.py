"""The reading convention: what training code, the export's check and the judge all see."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

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


def test_integers_of_any_size_are_read() -> None:
    assert frames.read(b"n\n99999999999999999999999\n1\n")["n"].to_list() == [1e23, 1.0]


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
        (b"", "empty CSV"),
        (b"a,a\n1,2\n", "Two columns are named 'a'"),
        (b"a, a\n1,2\n", "Two columns are named 'a'"),
        (b"a,b\n1,2,3\n", "more fields"),
        (b"a\n\xff\xfe\n", "utf-8"),
        (b"PAR1 and nothing more", "arquet"),
    ],
)
def test_an_unreadable_table_says_so(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        frames.read(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        frames.read(tmp_path / "no.csv")


def test_a_column_that_is_only_called_duplicated_is_fine() -> None:
    assert frames.read(b"a_duplicated_0,b\n1,2\n").columns == ["a_duplicated_0", "b"]
