"""A table's content by rows: what is the same however it is written, and what is not."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlbot.config.data import ColumnKind, Csv
from mlbot.config.kinds import Context
from mlbot.ml import content, frames

TABLE = pl.DataFrame(
    {
        "age": [39, 50, 38, 53, 28, 50],
        "zip": ["04109", "10115", "80331", "04109", "20095", "10115"],
        "city": ["Köln", "Zürich", "", "Köln", "NA", "Zürich"],
        "share": [0.1, 2.5, -0.0, 1e-7, 12345.678, 2.5],
        "id": [9007199254740993, 9007199254740995, 3, 4, 5, 9007199254740995],
        "gap": [None, 1, 2, None, 3, 1],
        "member": [True, False, True, True, False, False],
        "since": ["2024-01-31", "2024-02-01 10:30:00", "2023-01-01", "2024-01-31", "2022-05-05", "2024-02-01 10:30:00"],
    }
)


def digest(source: Path | pl.DataFrame, **options: object) -> str:
    frame = frames.scan(source, **options) if isinstance(source, Path) else source.lazy()  # type: ignore[arg-type]
    return content.content_digest(content.row_digests(frame))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("content") / "holdout.csv"
    TABLE.write_csv(path)
    return digest(path)


def _encoded(encoding: str, newline: str = "\n") -> Callable[[pl.DataFrame, Path], None]:
    def write(frame: pl.DataFrame, path: Path) -> None:
        path.write_bytes(frame.write_csv().replace("\n", newline).encode(encoding))

    return write


def _comma(frame: pl.DataFrame, path: Path) -> None:
    shares = pl.Series("share", [f"{share:.9f}".replace(".", ",") for share in frame["share"]])
    frame.with_columns(shares).write_csv(path, separator=";")


def _as(**types: pl.DataType | type[pl.DataType]) -> Callable[[pl.DataFrame, Path], None]:
    def write(frame: pl.DataFrame, path: Path) -> None:
        frame.with_columns(pl.col(name).cast(dtype) for name, dtype in types.items()).write_parquet(path)

    return write


def _all_text(frame: pl.DataFrame, path: Path) -> None:
    frame.with_columns(pl.all().cast(pl.String)).write_parquet(path)


def _dates(frame: pl.DataFrame, path: Path) -> None:
    whole = pl.col("since").str.slice(0, 10).str.to_datetime("%Y-%m-%d")
    timed = pl.col("since").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    frame.with_columns(pl.coalesce(timed, whole).dt.replace_time_zone("UTC")).write_parquet(path)


def _pandas(frame: pl.DataFrame, path: Path) -> None:
    """As `pandas.read_csv(…).to_csv(…)` has it: gaps make floats, NA is empty, and the rows are numbered."""
    floats = frame.with_columns(pl.col("gap").cast(pl.Float64), pl.col("city").replace("NA", None))
    floats.with_row_index("Unnamed: 0").write_csv(path)


SAME: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "renamed": pl.DataFrame.write_csv,
    "rows in another order": lambda frame, path: frame.sample(fraction=1, shuffle=True, seed=3).write_csv(path),
    "columns in another order": lambda frame, path: frame.select(reversed(frame.columns)).write_csv(path),
    "semicolons": lambda frame, path: frame.write_csv(path, separator=";"),
    "tabs": lambda frame, path: frame.write_csv(path, separator="\t"),
    "quoted": lambda frame, path: frame.write_csv(path, quote_style="always"),
    "UTF-8 with a mark": lambda frame, path: frame.write_csv(path, include_bom=True),
    "Latin-1": _encoded("latin-1"),
    "UTF-16": _encoded("utf-16"),
    "Windows' line ends": _encoded("utf-8", "\r\n"),
    "decimal commas": _comma,
    "Parquet": lambda frame, path: frame.write_parquet(path),
    "Parquet, all of it text": _all_text,
    "Parquet, other numbers": _as(age=pl.Float64, gap=pl.Int8, share=pl.Float32, member=pl.Int8),
    "Parquet, categories and decimals": _as(zip=pl.Categorical, age=pl.Decimal(10, 2), id=pl.UInt64),
    "Parquet, moments": _dates,
    "by way of pandas": _pandas,
}


@pytest.mark.parametrize("form", SAME)
def test_one_content_whatever_the_form_of_its_file(form: str, known: str, tmp_path: Path) -> None:
    path = tmp_path / "another.name"
    SAME[form](TABLE, path)
    csv = Csv.read({"encoding": form.lower()} if form == "Latin-1" else {}, Context())

    assert digest(path, csv=csv) == known


def test_one_content_whatever_the_config_reads_a_column_as(known: str, tmp_path: Path) -> None:
    path = tmp_path / "holdout.csv"
    TABLE.write_csv(path)

    assert digest(path, types={"zip": ColumnKind.TEXT, "age": ColumnKind.TEXT, "id": ColumnKind.TEXT}) == known


CHANGED = {
    "a value": TABLE.with_columns(pl.when(pl.col("age") == 28).then(29).otherwise("age").alias("age")),
    "an id's last digit": TABLE.with_columns(pl.col("id").replace(9007199254740993, 9007199254740992)),
    "a gap is filled": TABLE.with_columns(pl.col("gap").fill_null(0)),
    "two values change places": TABLE.with_columns(pl.Series("age", [50, 39, 38, 53, 28, 50])),
    "a row less": TABLE.head(5),
    "a row twice": pl.concat([TABLE, TABLE.head(1)]),
    "a column's name": TABLE.rename({"age": "years"}),
    "two columns change names": TABLE.rename({"age": "gap", "gap": "age"}),
    "a column less": TABLE.drop("age"),
    "a day": TABLE.with_columns(pl.col("since").replace("2023-01-01", "2023-01-02")),
    "an hour": TABLE.with_columns(pl.col("since").replace("2024-02-01 10:30:00", "2024-02-01 11:30:00")),
}


@pytest.mark.parametrize("change", CHANGED)
def test_another_content(change: str, known: str, tmp_path: Path) -> None:
    path = tmp_path / "holdout.parquet"
    CHANGED[change].write_parquet(path)

    assert digest(path) != known


def test_lists_structures_bytes_and_days_are_values_too() -> None:
    def table(*, last: float = 3.0, more: bool = False, raw: bytes = b"\xff") -> pl.DataFrame:
        return pl.DataFrame(
            {
                "vector": [[1.0, 2.0, last], [], None],
                "fixed": pl.Series([[1, 2], [3, 4], [5, 6]], dtype=pl.Array(pl.Int64, 2)),
                "box": [{"x": 1, "y": [1, 2]}, {"x": 2, "y": []}, {"x": 3, "y": [9, 9] if more else [9]}],
                "image": [raw, b"\x00", b""],
                "day": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)],
                "time": [dt.time(10), None, dt.time(11)],
                "took": [dt.timedelta(seconds=1), None, dt.timedelta(days=2)],
                "nothing": [None, None, None],
            }
        )

    same = table().with_columns(pl.col("vector").cast(pl.List(pl.Float32)), pl.col("day").cast(pl.String))
    digests = [digest(each) for each in (table(last=4.0), table(more=True), table(raw=b"\xfe"), table())]

    assert digest(same.sample(fraction=1, shuffle=True, seed=1)) == digest(table())
    assert len(set(digests)) == 4


def test_values_of_a_list_have_places() -> None:
    found = {digest(pl.DataFrame({"v": [value]})) for value in ([1, 2], [2, 1], [1, 2, 0], [[1], [2]], [[1, 2], []])}

    assert len(found) == 5


def test_the_digests_of_rows_do_not_change_with_a_version_of_a_package() -> None:
    frame = pl.DataFrame({"age": [39, 50], "city": ["Köln", None], "share": [0.1, 2.5]})
    found = content.row_digests(frame.lazy())

    assert found.tolist() == [11810303748205938160, 18139112064671802154]
    assert content.content_digest(found) == "sha256:754b7a8e266b7197c6e7940a10f1fe806832d144d8fecdb4d4af7d38062ee8ca"


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"a": range(1000), "b": [f"t{i % 7}" for i in range(1000)]})
    whole = digest(frame)
    monkeypatch.setattr(content, "_BATCH_ROWS", 17)

    assert digest(frame) == whole


@pytest.mark.parametrize(
    ("rows", "others", "share"),
    [
        ([1, 2, 3, 4], [3, 4, 5], 0.5),
        ([1, 1, 2], [1, 2], 2 / 3),  # of two equal rows, one is there
        ([1, 2], [1, 1, 1], 0.5),
        ([1, 2], [], 0.0),
        ([], [1], 0.0),
        ([7, 8], [7, 8], 1.0),
    ],
)
def test_the_share_of_rows_that_are_among_others(rows: list[int], others: list[int], share: float) -> None:
    assert content.overlap(np.array(rows, np.uint64), np.array(others, np.uint64)) == pytest.approx(share)


def test_an_empty_table_has_a_content() -> None:
    assert digest(pl.DataFrame({"a": []}, schema={"a": pl.Int64})) == digest(pl.DataFrame())


def test_rows_over_some_of_their_columns_are_those_of_a_table_without_the_others() -> None:
    wide = TABLE.with_columns(more=pl.lit(1)).with_row_index("Unnamed: 0").lazy()
    columns = content.valued_columns(wide)
    assert columns == (*TABLE.columns, "more")
    whole, less = content.partial_digests(wide, [TABLE.columns, ["age", "more"]])
    assert whole.tolist() == np.unique(content.row_digests(TABLE.lazy())).tolist()
    assert less.tolist() == np.unique(content.row_digests(wide.select("more", "age"))).tolist()
