"""Large tables by the hashes of their rows: alike in any type that a number has, and in whichever order columns are."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlbot.config.data import Data
from mlbot.gates.metric import Task
from mlbot.ml import row_hashes
from mlbot.ml.row_hashes import Hashing, LargeTable

DATA = Data(train="train", holdout="holdout", target="label")
FRAME = pl.DataFrame({"a": [1, 2, 3, 2], "b": ["x y", "z", None, "z"], "label": ["yes", "no", "", "no"]})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_hashes, "_BATCH", 2)


def opened(path: Path, frame: pl.DataFrame = FRAME) -> LargeTable:
    frame.write_parquet(path)
    return LargeTable.open(path, DATA, Task.BINARY)


def test_a_row_has_one_hash_whichever_types_and_order_its_columns_have(tmp_path: Path) -> None:
    one = opened(tmp_path / "one.parquet")
    other = opened(tmp_path / "other.parquet", FRAME.select("label", "b", pl.col("a").cast(pl.Float64)))
    hashing = Hashing(files=(one, other))
    (first,), (second, none) = hashing.of(one, [["a", "b"]]), hashing.of(other, [["b", "a"], []])
    assert first.tolist() == second.tolist()
    assert np.unique(first).size == 3
    assert first[1] == first[3]
    assert not none.any()


def test_cells_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    table = opened(tmp_path / "one.parquet")
    hashing = Hashing(files=(table,))
    whole = hashing.cells(table, np.arange(4), ["a", "label"])
    assert hashing.cells(table, np.array([3, 0, 3]), ["a", "label"]).tolist() == whole[[3, 0, 3]].tolist()


def test_some_rows_are_read_with_their_numbers(tmp_path: Path) -> None:
    table = opened(tmp_path / "one.parquet")
    rows = table.gather(np.array([1, 2]), ["a"])
    assert (rows.frame["a"].to_list(), rows.numbers.tolist()) == ([2, 3], [2, 3])
    assert len(table.gather(np.array([1, 2]), [])) == len(table.gather(np.array([], dtype=np.int64), ["a"])) == 0


def test_labels_are_counted_and_missing_ones_are_none(tmp_path: Path) -> None:
    table = opened(tmp_path / "one.parquet")
    assert table.labels == {"yes": 1, "no": 2}


def test_values_and_words_that_some_row_has(tmp_path: Path) -> None:
    table = opened(tmp_path / "one.parquet", FRAME.with_columns(b=pl.lit("a Text of ZZ")))
    assert table.having({"b": ["zz", "xx"], "a": [3, 4]}, ["b"]) == {"b": {"zz"}, "a": {3}}


def test_a_thousand_columns_are_hashed_in_one_flat_sum(tmp_path: Path) -> None:
    """Terms within terms took polars' plan minutes."""
    names = [f"c{at}" for at in range(1000)]
    table = opened(tmp_path / "wide.parquet", pl.DataFrame({name: [0, 1, 1] for name in names} | {"label": ["a"] * 3}))
    (found,) = Hashing(files=(table,)).of(table, [names])
    assert np.unique(found).size == 2
