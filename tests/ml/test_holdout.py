"""Opening a holdout: labels, slices, groups, and what can be wrong with it."""

import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbot.config.data import ColumnKind, ColumnType, Csv, Data
from mlbot.config.gates import Slice
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.holdout import HoldoutData, open_holdout
from mlbot.ml.protocol import Kind, plain_label
from mlbot.verdict.verdict import Problem

TABLE = """age, town, score, who, income
25, Rome, 1.5, u1, >50K
, Oslo, , u2, <=50K
61, , 2.0, u1, <=50K
17, Rome, 3, u3, >50K
"""


def damaged_parquet() -> bytes:
    """The first rows and the end of a Parquet file, with nothing between."""
    file = io.BytesIO()
    pl.DataFrame({"a": np.arange(5000) / 7, "income": ["x", "y"] * 2500}).write_parquet(file)
    content = file.getvalue()
    return content[:100] + content[-1000:]


def data(**changes: Any) -> Data:
    return Data(**{"holdout": "holdout.csv", "target": "income", **changes})


def opening(path: Path, content: str | bytes = TABLE, task: Task = Task.BINARY, **changes: Any) -> Any:
    slices = [Slice(name=name, where=where) for name, where in changes.pop("slices", {}).items()]
    file = path / "holdout.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_holdout(file, data(**changes), task, slices)


def opened(path: Path, content: str | bytes = TABLE, task: Task = Task.BINARY, **changes: Any) -> HoldoutData:
    found = opening(path, content, task, **changes)
    assert isinstance(found, HoldoutData), found
    return found


def problem(path: Path, content: str | bytes = TABLE, task: Task = Task.BINARY, **changes: Any) -> Problem:
    found = opening(path, content, task, **changes)
    assert isinstance(found, Problem)
    return found


def schema(path: Path, content: str | bytes = TABLE, task: Task = Task.BINARY, **changes: Any) -> str:
    found = problem(path, content, task, **changes)
    assert found.reason is Reason.HOLDOUT_SCHEMA
    return f"{found.detail} {found.hint}"


def test_a_weight_is_read_beside_the_features(tmp_path: Path) -> None:
    holdout = opened(tmp_path, TABLE.replace(", , u2", ", 0, u2"), weight="score", group="who")
    assert holdout.weights is not None
    assert holdout.weights.tolist() == [1.5, 0, 2, 3]
    assert [feature.name for feature in holdout.expected.features] == ["age", "town"]
    assert opened(tmp_path).weights is None
    assert "'wt'" in schema(tmp_path, weight="wt")
    assert "'town' is not numeric" in schema(tmp_path, weight="town")


@pytest.mark.parametrize("wrong", ["", "-1", "inf", "nan"])
def test_a_row_without_a_weight_is_refused(tmp_path: Path, wrong: str) -> None:
    table = f"x,w,income\n1,{wrong},a\n2,1.5,b\n"
    assert "has no number of 0 or more in 1 of its rows" in schema(tmp_path, table, weight="w")


def test_weights_of_nothing_are_refused(tmp_path: Path) -> None:
    assert "is 0 in every row" in schema(tmp_path, "x,w,income\n1,0,a\n2,0,b\n", weight="w")


def test_labels_slices_groups_and_features(tmp_path: Path) -> None:
    holdout = opened(tmp_path, group="who", drop=("score",), slices={"old": "age > 20", "rome": "town = 'Rome'"})
    assert holdout.record.rows == 4
    assert holdout.record.digest == f"sha256:{hashlib.sha256(TABLE.encode()).hexdigest()}"
    assert not holdout.record.hidden
    assert holdout.record.classes == ("<=50K", ">50K")
    assert holdout.record.positive == ">50K"
    assert holdout.record.slices == {"old": 2, "rome": 2}
    assert holdout.labels.dtype == np.int8
    assert holdout.labels.tolist() == [1, 0, 0, 1]
    assert holdout.values == ("<=50K", ">50K")
    assert holdout.masks["old"].tolist() == [True, False, True, False]
    assert holdout.masks["rome"].dtype == np.bool_
    assert holdout.groups is not None
    assert holdout.groups.tolist() == [0, 1, 0, 2]
    assert [(f.name, f.kind) for f in holdout.expected.features] == [("age", Kind.INTEGER), ("town", Kind.TEXT)]


def test_batches_hold_features_only_and_all_rows_in_order(tmp_path: Path) -> None:
    rows = 1000
    table = pl.DataFrame(
        {"a": range(rows), "b": [f"t{i % 7}" for i in range(rows)], "income": ["x", "y"] * (rows // 2)}
    )
    for form, name in ((table.write_csv, "csv"), (table.write_parquet, "parquet")):
        file = io.BytesIO()
        form(file)
        holdout = opened(tmp_path, file.getvalue())
        batches = list(holdout.batches(64))
        assert all(batch.columns == ["a", "b"] for batch in batches), name
        assert all(batch.height <= 64 for batch in batches)
        assert pl.concat(batches)["a"].to_list() == list(range(rows))
        assert holdout.head(3)["a"].to_list() == [0, 1, 2]


def test_features_are_taken_in_the_configs_order(tmp_path: Path) -> None:
    holdout = opened(tmp_path, features=("score", "age"))
    assert [feature.name for feature in holdout.expected.features] == ["score", "age"]
    assert next(holdout.batches()).columns == ["score", "age"]


@pytest.mark.parametrize(
    ("labels", "changes", "classes", "codes"),
    [
        ("a b b", {}, ("a", "b"), [0, 1, 1]),
        ("a b b", {"positive": "a"}, ("b", "a"), [1, 0, 0]),
        ("0 1 1", {"positive": "1"}, ("0", "1"), [0, 1, 1]),
        ("9 10 10", {}, ("9", "10"), [0, 1, 1]),
        ("True False False", {"positive": "True"}, ("false", "true"), [1, 0, 0]),
        ("TRUE false false", {"positive": "false"}, ("true", "false"), [0, 1, 1]),
        ("0.0 1.0 1.0", {"positive": "1"}, ("0", "1"), [0, 1, 1]),
        ("b b b", {"classes": ("a", "b")}, ("a", "b"), [1, 1, 1]),
        ("a a a", {"classes": ("a", "b")}, ("a", "b"), [0, 0, 0]),
        ("b b b", {"positive": "b"}, ("not b", "b"), [1, 1, 1]),
    ],
)
def test_the_positive_label_of_a_binary_task(
    tmp_path: Path, labels: str, changes: dict[str, Any], classes: tuple[str, str], codes: list[int]
) -> None:
    content = "x,income\n" + "".join(f"1,{label}\n" for label in labels.split())
    holdout = opened(tmp_path, content, **changes)
    assert holdout.record.classes == classes
    assert holdout.labels.tolist() == codes


@pytest.mark.parametrize(
    ("labels", "changes", "why"),
    [
        ("a b c", {}, "has 3 classes"),
        ("a a a", {}, "one class only"),
        ("yes no no", {"positive": "Yes "}, None),
        ("yes no no", {"positive": "yess"}, "did you mean 'yes'?"),
        ("a b b", {"classes": ("a", "c")}, "not in data.classes: 'b'"),
        ("a b b", {"classes": ("a", "b", "c")}, "names 3 labels"),
        ("a b ''", {}, "has 3 classes"),
        ("a b perhaps", {"classes": ("a", "b")}, "not in data.classes: 'perhaps'"),
    ],
)
def test_a_binary_target_that_is_not_binary(
    tmp_path: Path, labels: str, changes: dict[str, Any], why: str | None
) -> None:
    content = "x,income\n" + "".join(f"1,{label}\n" for label in labels.split())
    if why is None:
        assert "positive label" in schema(tmp_path, content, **changes)
    else:
        assert why in schema(tmp_path, content, **changes)


def test_multiclass_codes_follow_the_class_order(tmp_path: Path) -> None:
    content = "x,income\n1,mid\n1,low\n1,high\n1,low\n"
    holdout = opened(tmp_path, content, Task.MULTICLASS)
    assert holdout.record.classes == ("high", "low", "mid")
    assert holdout.labels.dtype == np.int32
    assert holdout.labels.tolist() == [2, 1, 0, 1]
    declared = opened(tmp_path, content, Task.MULTICLASS, classes=("none", "low", "mid", "high"))
    assert declared.labels.tolist() == [2, 1, 3, 1]
    assert declared.expected.declared


def test_numeric_classes_are_sorted_as_numbers(tmp_path: Path) -> None:
    holdout = opened(tmp_path, "x,income\n1,10\n1,9\n1,100\n", Task.MULTICLASS)
    assert holdout.record.classes == ("9", "10", "100")
    assert [holdout.values[code] for code in holdout.labels] == [10, 9, 100]


def test_post_codes_keep_their_zeros(tmp_path: Path) -> None:
    holdout = opened(tmp_path, "x,income\n1,007\n1,012\n1,100\n", Task.MULTICLASS)
    assert holdout.record.classes == ("007", "012", "100")


def test_a_label_outside_the_declared_classes_is_named(tmp_path: Path) -> None:
    detail = schema(tmp_path, "x,income\n1,low\n1,hihg\n", Task.MULTICLASS, classes=("low", "high"))
    assert "'hihg' (did you mean 'high'?)" in detail


def test_too_many_classes_are_a_regression(tmp_path: Path) -> None:
    content = "x,income\n" + "".join(f"1,{i}\n" for i in range(1500))
    assert "regression" in schema(tmp_path, content, Task.MULTICLASS)


def test_a_regression_target(tmp_path: Path) -> None:
    holdout = opened(tmp_path, "x,income\n1,2\n2,3.5\n", Task.REGRESSION)
    assert holdout.labels.dtype == np.float64
    assert holdout.labels.tolist() == [2.0, 3.5]
    assert holdout.values == ()
    assert holdout.record.classes == ()
    assert "not numeric" in schema(tmp_path, task=Task.REGRESSION)
    assert "1 infinite" in schema(tmp_path, "x,income\n1,inf\n2,3.5\n", Task.REGRESSION)


@pytest.mark.parametrize(("task", "value"), [(Task.BINARY, "a"), (Task.REGRESSION, "1.5"), (Task.MULTICLASS, "1")])
def test_a_missing_label_is_counted(tmp_path: Path, task: Task, value: str) -> None:
    content = f"x,income\n1,{value}\n2,\n3,\n"
    assert "no value in 2 of its rows" in schema(tmp_path, content, task)


def test_missing_columns_are_named_with_a_guess(tmp_path: Path) -> None:
    assert "'incom' (did you mean 'income'?)" in schema(tmp_path, target="incom")
    assert "'towns', 'nil'" in schema(tmp_path, features=("age", "towns"), drop=("nil",))
    assert "'family'" in schema(tmp_path, group="family")


def test_the_target_is_no_feature(tmp_path: Path) -> None:
    assert "'income'" in schema(tmp_path, features=("age", "income"))
    assert "no column left" in schema(tmp_path, "income\na\nb\n").casefold()


def test_a_column_that_no_model_can_be_fed_with_is_named(tmp_path: Path) -> None:
    file = io.BytesIO()
    pl.DataFrame({"day": ["2024-01-01"], "income": ["a"]}).with_columns(pl.col("day").str.to_date()).write_parquet(file)
    assert "'day' is Date" in schema(tmp_path, file.getvalue(), classes=("a", "b"))


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("agee > 3", "did you mean 'age'?"),
        ("age +", "cannot be used"),
        ("(SELECT 1)", "cannot be used"),
        ("read_csv('/etc/passwd')", "cannot be used"),
        ("age > 'old'", "compares text with a number: 'age' is not"),
        ("town = 7", "compares text with a number: 'town' is text"),
        ("town IN (7, 8)", "compares text with a number: 'town' is text"),
        # these polars compares as text, without a word
        ("town > 1.5", "compares text with a number: 'town' is text"),
        ("town = 9223372036854775808", "compares text with a number: 'town' is text"),
        ("town < 100000000000000000000 AND age > 1", "'town' is text, 'age' is not"),
        ("age + 1", ""),
    ],
)
def test_a_slice_that_cannot_be_taken_is_named(tmp_path: Path, where: str, why: str) -> None:
    detail = schema(tmp_path, slices={"seniors": where})
    assert "'seniors'" in detail
    assert why in detail


def test_an_unknown_group_is_counted(tmp_path: Path) -> None:
    assert "has no value in 1 of its rows" in schema(tmp_path, group="town")
    assert "has no value in 1 of its rows" in schema(tmp_path, group="age")


def test_a_group_that_is_called_as_if_it_were_missing_is_one_where_the_config_says_so(tmp_path: Path) -> None:
    content = "country,x,income\nNA,1,a\nDE,,b\nNA,3,a\n"
    found = problem(tmp_path, content, group="country")
    assert "has no value in 2 of its rows" in found.detail
    assert '`data.csv: {missing: [""]}`' in found.hint
    grouped = opened(tmp_path, content, group="country", csv=Csv(missing=("",)))
    assert grouped.groups is not None
    assert grouped.groups.tolist() == [0, 1, 0]
    assert grouped.head(3)["x"].to_list() == [1, None, 3]


def test_no_rows(tmp_path: Path) -> None:
    assert problem(tmp_path, "a,income\n").reason is Reason.EMPTY_HOLDOUT
    numbers = {"old": "a > 3"}  # no row shows that the column holds numbers
    assert problem(tmp_path, "a,income\n", slices=numbers).reason is Reason.EMPTY_HOLDOUT


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,income\n1,x\n2,y,z\n",
        b"a,a,income\n1,2,x\n",
        "a,income\n1,Zoë\n".encode("latin-1"),
        b"PAR1 but not really",
        damaged_parquet(),
        b'a,income\n"1,x\n2,y\n',
    ],
)
def test_what_cannot_be_read_is_a_problem(tmp_path: Path, content: bytes) -> None:
    found = problem(tmp_path, content)
    assert found.reason is Reason.HOLDOUT_UNREADABLE
    assert "'holdout.csv'" in found.detail


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = open_holdout(tmp_path / "none.csv", data(), Task.BINARY, [])
    assert isinstance(found, Problem)
    assert found.reason is Reason.HOLDOUT_UNREADABLE


@pytest.fixture
def remote() -> Iterator[str]:
    files = fsspec.filesystem("memory")
    files.pipe("/hidden/holdout.csv", TABLE.encode())
    yield "memory://hidden/holdout.csv"
    files.rm("/hidden", recursive=True)


def test_a_hidden_holdout_is_read_from_its_url_and_left_under_no_name(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    holdout = open_holdout(remote, data(holdout=remote), Task.BINARY, [])
    assert isinstance(holdout, HoldoutData)
    assert holdout.record.hidden
    assert holdout.record.digest == f"sha256:{hashlib.sha256(TABLE.encode()).hexdigest()}"
    assert list(tmp_path.iterdir()) == []
    assert sum(batch.height for batch in holdout.batches()) == 4
    assert sum(batch.height for batch in holdout.batches()) == 4


@pytest.mark.parametrize("url", ["memory://nowhere/at.csv", "nosuchscheme://x/y.csv"])
def test_an_url_that_cannot_be_read(url: str) -> None:
    found = open_holdout(url, data(holdout=url), Task.BINARY, [])
    assert isinstance(found, Problem)
    assert found.reason is Reason.HOLDOUT_UNREADABLE


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", " d", "é"]), min_size=2, max_size=50))
def test_codes_name_the_labels_they_came_from(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    content = "x,income\n" + "".join(f"1,{label}\n" for label in labels)
    found = opening(tmp_path_factory.mktemp("holdout"), content, Task.MULTICLASS)
    distinct = sorted({label.strip() for label in labels})
    if len(distinct) < 2:
        assert isinstance(found, Problem)
        return
    assert found.record.classes == tuple(distinct)
    assert [distinct[code] for code in found.labels] == [label.strip() for label in labels]


MARKERS = [
    "NA",
    "N/A",
    "n/a",
    "?",
    "null",
    "None",
    "NaN",
    "nan",
    "-nan",
    "-NaN",
    "<NA>",
    "#NA",
    "1.#QNAN",
    "-1.#IND",
    " ",
    "",
]


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_labels_that_are_missing_by_their_meaning_are_refused(tmp_path: Path, task: Task, marker: str) -> None:
    content = f"x,income\n1,0\n2,1\n3,{marker}\n4,1\n"
    assert "has no value in 1 of its rows" in schema(tmp_path, content, task)
    if task is not Task.REGRESSION and marker.strip():
        text = content.replace("0", "no").replace(",1\n", ",yes\n")
        assert f"has no value in 1 of its rows ('{marker}')" in schema(tmp_path, text, task)


def test_missing_labels_of_parquet_are_refused(tmp_path: Path) -> None:
    for values in ([1.0, math.nan, 0.0], [1, None, 0], ["a", "None", "b"]):
        pl.DataFrame({"x": [1, 2, 3], "income": values}).write_parquet(tmp_path / "p")
        assert "has no value in 1 of its rows" in schema(tmp_path, (tmp_path / "p").read_bytes())


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
@pytest.mark.parametrize(
    ("missing", "rows"), [([2], "row 2"), ([2, 5], "rows 2 and 5"), ([1, 4, 6], "rows 1, 4 and 6")]
)
def test_the_first_rows_without_a_label_are_named(tmp_path: Path, task: Task, missing: list[int], rows: str) -> None:
    lines = [f"{row},{'NA' if row in missing else row % 2}\n" for row in range(1, 9)]
    said = schema(tmp_path, "x,income\n" + "".join(lines), task)
    assert f"in {len(missing)} of its rows" in said
    assert f": {rows}." in said
    many = "x,income\n" + "1,0\n1,1\n" + "1,\n" * 40
    assert "in 40 of its rows: rows 3, 4, 5, …." in schema(tmp_path, many, task)


def test_a_class_of_that_name_is_one_beside_missing_markers_of_the_same_name(tmp_path: Path) -> None:
    """Namibia: `NA` is named for the numbers, and is a country in the target."""
    content = "x,income\n1,NA\nNA,DE\n3,NA\n"
    assert "has no value in 2" in schema(tmp_path, content, csv=Csv(missing=("NA",)))
    found = opened(tmp_path, content, csv=Csv(missing=("NA",)), classes=("DE", "NA"))
    assert found.record.classes == ("DE", "NA")
    assert found.labels.tolist() == [1, 0, 1]
    assert found.head(3)["x"].to_list() == [1, None, 3]


def test_a_class_that_is_called_as_if_it_were_missing_is_one_when_it_is_named(tmp_path: Path) -> None:
    content = "x,income\n1,None\n2,mild\n3,severe\n"
    assert "name all of them under `data.classes`" in schema(tmp_path, content, Task.MULTICLASS)
    opened(tmp_path, content, Task.MULTICLASS, classes=("None", "mild", "severe"))
    opened(tmp_path, content, Task.MULTICLASS, csv=Csv(missing=("?",)))
    assert "has no value in 1 of its rows" in schema(tmp_path, content, Task.MULTICLASS, csv=Csv(missing=("mild",)))


def test_groups_and_ids_are_text(tmp_path: Path) -> None:
    content = "x,who,id,income\n1,007,18446744073709551616,a\n2,7,18446744073709551617,b\n3,07,1,a\n"
    slices = {"one": "id = '18446744073709551617'", "agent": "who = '007'"}
    holdout = opened(tmp_path, content, group="who", slices=slices)
    assert holdout.groups is not None
    assert holdout.groups.tolist() == [0, 1, 2]
    assert holdout.record.slices == {"one": 1, "agent": 1}
    assert "has no value in 1 of its rows" in schema(tmp_path, content.replace("007", "NA"), group="who")


def test_a_holdout_in_another_form(tmp_path: Path) -> None:
    rows = "alter;stadt;zip;income\n1,5;K\u00f6ln;01067;ja\nNA;Bonn;1067;nein\n"
    holdout = opened(
        tmp_path,
        rows.encode("latin-1"),
        csv=Csv(encoding="latin-1"),
        types=(ColumnType(name="zip", type=ColumnKind.TEXT),),
    )
    assert [each.kind for each in holdout.expected.features] == [Kind.FLOAT, Kind.TEXT, Kind.TEXT]
    assert next(holdout.batches()).to_dict(as_series=False) == {
        "alter": [1.5, None],
        "stadt": ["K\u00f6ln", "Bonn"],
        "zip": ["01067", "1067"],
    }
    found = problem(tmp_path, rows.encode("latin-1"))
    assert "line 2 is not UTF-8" in found.detail
    assert found.hint.startswith("If it is latin-1, write `data.csv: {encoding: latin-1}`")


# --- ids

LONG = [
    ("9007199254740992", "9007199254740993"),  # beyond 2^53: one float
    ("1000000000000000001", "1000000000000000002"),
    ("9223372036854775808", "9223372036854775809"),  # beyond 2^63
    ("20000000000000000000000001", "20000000000000000000000002"),
    ("007", "7"),
    ("07", "7"),
]


@pytest.mark.parametrize(("one", "other"), LONG)
@pytest.mark.parametrize("beside", ["", "NaN", "NA"])
def test_ids_that_are_one_number_to_a_float_stay_two(tmp_path: Path, one: str, other: str, beside: str) -> None:
    lines = [f"{one},a\n", f"{other},b\n", f"{one},a\n", *([f"{beside},b\n"] if beside else [])]
    content = "".join(("id,income\n", *lines))
    texts = {"one": f"id = '{one}'", "other": f"id = '{other}'"}
    numbers = {"one": f"id = {one}", "other": f"id = {other}"}
    as_text, as_number = (
        {"types": (ColumnType(name="id", type=kind),)} for kind in (ColumnKind.TEXT, ColumnKind.NUMBER)
    )
    ways: list[tuple[dict[str, str], dict[str, Any]]] = [(texts, as_text)]
    if not one.startswith("0") and int(one) < 1 << 63:
        ways += [(numbers, {}), (numbers, as_number)]
    for slices, types in ways:
        found = opened(tmp_path, content, slices=slices, **types)
        assert {name: int(mask.sum()) for name, mask in found.masks.items()} == {"one": 2, "other": 1}


@pytest.mark.parametrize(("one", "other"), LONG)
def test_groups_and_labels_are_text(tmp_path: Path, one: str, other: str) -> None:
    content = f"id,label,x\n{one},{other},1\n{other},{one},2\n{one},{one},3\n"
    found = opened(tmp_path, content, Task.MULTICLASS, group="id", target="label")
    assert found.groups is not None
    assert found.groups.tolist() == [0, 1, 0]
    assert sorted(found.record.classes) == sorted((one, other))


@pytest.mark.parametrize("beside", ["1.5", "inf", "1e3"])
@pytest.mark.parametrize(("one", "named"), [("9007199254740993", True), ("9007199254740991", False), ("12", False)])
def test_integers_that_are_floats_for_what_is_beside_them_are_named(
    tmp_path: Path, beside: str, one: str, *, named: bool
) -> None:
    """As pandas reads them; two ids may have become one."""
    found = opened(tmp_path, f"id,income\n{one},a\n{beside},b\n{int(one) - 1},b\n")
    assert {feature.kind for feature in found.expected.features} == {Kind.FLOAT}
    assert found.record.inexact == (("id",) if named else ())


def test_integers_beyond_64_bits_that_are_to_be_numbers_are_named(tmp_path: Path) -> None:
    number = (ColumnType(name="id", type=ColumnKind.NUMBER),)
    content = "id,income\n9223372036854775808,a\n9223372036854775809,b\n,a\n"
    assert opened(tmp_path, content, types=number).record.inexact == ("id",)
    assert opened(tmp_path, content).record.inexact == ()
    short = content.replace("92233720368547758", "1.")
    assert opened(tmp_path, short, types=number).record.inexact == ()
    commas = "id;income\n1,5;a\n2;b\n"
    assert opened(tmp_path, commas, types=number, csv=Csv(separator=";", decimal=",")).record.inexact == ()


@pytest.mark.parametrize("step", [1, 1 << 64])
def test_decimals_without_a_fraction_are_whole_numbers(tmp_path: Path, step: int) -> None:
    """As a data warehouse writes its integers."""
    one, other = ((1 << 53) + at * step for at in (2, 3))
    ids = pl.Series("id", [one, other, None, one]).cast(pl.Decimal(38, 0))
    small = pl.Series("n", [1, 2, 3, 4]).cast(pl.Decimal(38, 0))
    pl.DataFrame([ids, small, pl.Series("income", list("abab"))]).write_parquet(tmp_path / "p")
    where = f"id = {one}" if step == 1 else f"id = '{one}'"
    found = opened(tmp_path, (tmp_path / "p").read_bytes(), slices={"one": where, "n": "n > 3"})
    assert {name: int(mask.sum()) for name, mask in found.masks.items()} == {"one": 2, "n": 1}
    kinds = {feature.name: feature.kind for feature in found.expected.features}
    assert kinds == {"id": Kind.INTEGER if step == 1 else Kind.TEXT, "n": Kind.INTEGER}
    assert found.record.inexact == (("id",) if step == 1 else ())


@pytest.mark.parametrize(
    ("labels", "classes", "values"),
    [
        (("+1", "-1", "+1"), ("-1", "1"), (-1, 1)),
        (("+1", "0", "1"), ("0", "1"), (0, 1)),
        (("1.000e+00", "1.200e+01", "2.000e+00"), ("1", "2", "12"), (1, 2, 12)),
    ],
)
def test_labels_with_signs_and_exponents_are_ordered_by_value(
    tmp_path: Path, labels: tuple[str, ...], classes: tuple[str, ...], values: tuple[int, ...]
) -> None:
    """As pandas and scikit-learn read them; as text `+1` sorts before `-1`, and `1.2e+01` before `2.0e+00`."""
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    content = "x,income\n" + "".join(f"{at},{label}\n" for at, label in enumerate(labels))
    found = opened(tmp_path, content, task)
    assert (found.record.classes, found.values) == (classes, values)
    assert [float(values[code]) for code in found.labels] == [float(label) for label in labels]
    assert found.record.positive == (classes[-1] if task is Task.BINARY else None)
    if task is Task.BINARY:
        assert opened(tmp_path, content, classes=labels[:2]).record.positive == labels[0]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        *(("1", "1"), ("1.0", "1"), ("1.00", "1"), (" 1 ", "1"), ("-1.0", "-1"), ("-0.0", "0"), ("1.50", "1.5")),
        *(("True", "true"), ("FALSE", "false"), ("007", "007"), ("7", "7"), ("1e3", "1e3"), ("1.2.0", "1.2.0")),
        *(("+1", "1"), ("+1.0", "1"), ("+", "+"), ("+x", "+x"), ("1.000000e+00", "1"), ("-1.50E+01", "-15")),
        *(("2.5e-1", "0.25"), ("0.0e+00", "0"), ("1.0e999", "1.0e999"), ("12.5e1", "12.5e1")),
        *(("10", "10"), ("1.10", "1.1"), ("Yes", "Yes"), ("٣.0", "٣.0")),
    ],
)
def test_labels_are_compared_by_value(written: str, plain: str) -> None:
    assert plain_label(written) == plain


MISSING = {
    "zip IS NULL": [1, 3],
    "zip IS NOT NULL": [0, 2, 4],
    "NOT zip IS NULL": [0, 2, 4],
    '"zip" IS NULL AND n > 1': [3],
    "UPPER(zip) IS NULL": [1, 3],
    "(zip) IS NULL OR n IS NULL": [1, 3, 4],
    "COALESCE(zip, 'none') = 'none'": [1, 3],
    "COALESCE(\"odd one\", zip) = 'b'": [2],
    "zip = ''": [1, 3],
    "zip <> 'a'": [1, 2, 3, 4],
    "n IS NULL": [4],
    "yes IS NULL": [2],
}


@pytest.mark.parametrize("where", MISSING)
def test_a_missing_text_is_null(tmp_path: Path, where: str) -> None:
    columns = {"zip": ["a", None, "b", None, "c"], "n": [1, 1, 2, 2, None], "yes": [True, False, None, True, False]}
    frame = pl.DataFrame({**columns, "odd one": ["z", "z", None, "z", "z"], "income": list("ababa")})
    frame.write_parquet(tmp_path / "p")
    for content in ((tmp_path / "p").read_bytes(), frame.write_csv().encode()):
        found = opened(tmp_path, content, slices={"s": where})
        assert np.flatnonzero(found.masks["s"]).tolist() == MISSING[where]


def test_what_is_written_for_a_missing_text_is_null(tmp_path: Path) -> None:
    content = "zip,income\n-,a\nx,b\n"
    assert opened(tmp_path, content, slices={"s": "zip IS NULL"}, csv=Csv(missing=("-",))).record.slices == {"s": 1}
    assert opened(tmp_path, content, slices={"s": "zip IS NULL"}).record.slices == {"s": 0}
