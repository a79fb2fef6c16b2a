"""Logs of requests: bodies of the protocol and plain columns; what a stranger sends keeps no other from being read."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlbot.errors import NotEvaluatedError
from mlbot.ml import logs, requests
from mlbot.ml.protocol import Feature, Kind
from mlbot.ml.requests import Request, columns_there, fitted, frame_of, read_requests

FEATURES = (
    Feature(name="age", kind=Kind.INTEGER),
    Feature(name="income", kind=Kind.FLOAT),
    Feature(name="member", kind=Kind.BOOLEAN),
    Feature(name="town", kind=Kind.TEXT),
)
ROW = {"age": 41, "income": 2.5, "member": True, "town": "Bonn"}


def tensor(name: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data), 1], "datatype": "FP32", "data": data}


def log(folder: Path, *lines: Any) -> Path:
    file = folder / "log.jsonl"
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    file.write_bytes(b"\n".join(texts) + b"\n")
    return file


def values(file: Path, most: int = 100) -> list[tuple[int, Any]]:
    found = read_requests([file], most).requests
    return [(int(each.line), list(each.matrix) or dict(each.values)) for each in found]


def test_a_line_has_a_value_a_column(tmp_path: Path) -> None:
    assert values(log(tmp_path, ROW, ROW | {"age": 7})) == [(1, ROW), (2, ROW | {"age": 7})]


def test_a_line_is_a_body_of_the_protocol(tmp_path: Path) -> None:
    one = {"inputs": [tensor("age", [41, 42]), tensor("town", ["Bonn", "Köln"], [2])]}
    wrapped = {"time": "2026-01-01", "request": {"inputs": [tensor("age", [[1]])]}, "response": {"outputs": []}}
    matrix = {"inputs": [tensor("X", [1, 2.5, True, 4, 5, 6, 7, 8], [2, 4])]}
    assert values(log(tmp_path, one, wrapped, matrix)) == [
        (1, {"age": 41, "town": "Bonn"}),
        (1, {"age": 42, "town": "Köln"}),
        (2, {"age": 1}),
        (3, [1, 2.5, True, 4]),
        (3, [5, 6, 7, 8]),
    ]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"age": 1, "income": NaN}', (1, None)),
        (b'{"age": 1, "age": 2, "income": 2.5}', (2, 2.5)),
        (b'{"age": 9007199254740993, "income": 1}', (9007199254740993, 1.0)),
        (b'{"age": 1, "income": Infinity}', None),
        (b'{"age": ' + b"9" * 5000 + b', "income": 1}', None),
    ],
)
def test_a_line_is_read_as_a_server_writes_it(tmp_path: Path, line: bytes, wanted: tuple[Any, ...] | None) -> None:
    found = read_requests([log(tmp_path, line)], 10)
    assert found.unreadable == 0
    assert fitted(found.requests[0], FEATURES[:2], ()) == wanted


def test_half_a_character_costs_no_other_request(tmp_path: Path) -> None:
    found = read_requests([log(tmp_path, b'{"town": "\\ud800"}', {"town": "Bonn"})], 10)
    rows = [fitted(each, FEATURES[3:], ()) or () for each in found.requests]
    assert frame_of(rows, FEATURES[3:])["town"].to_list() == ["?", "Bonn"]


def test_a_parquet_file_has_a_row_a_request(tmp_path: Path) -> None:
    pl.DataFrame([ROW, ROW | {"age": 7}, ROW | {"age": 8}]).write_parquet(tmp_path / "log.parquet")
    assert values(tmp_path / "log.parquet", 2) == [(2, ROW | {"age": 7}), (3, ROW | {"age": 8})]
    bodies = [json.dumps(ROW), "no json", json.dumps({"inputs": [tensor("age", [1])]})]
    pl.DataFrame({"request": bodies}).write_parquet(tmp_path / "log.parquet")
    assert values(tmp_path / "log.parquet") == [(1, ROW), (3, {"age": 1})]


def test_the_last_requests_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = log(tmp_path, *({"age": at} for at in range(1000)))
    assert values(file, 3) == [(at + 1, {"age": at}) for at in (997, 998, 999)]
    monkeypatch.setattr(requests, "_MOST_HELD", 65)
    assert [line for line, _ in values(file)] == [996, 997, 998, 999, 1000]


def test_of_several_files_the_last_requests_count(tmp_path: Path) -> None:
    files = [tmp_path / f"{at}.jsonl" for at in range(3)]
    for at, file in enumerate(files):
        file.write_text("".join(json.dumps({"age": 10 * at + row}) + "\n" for row in range(2)), encoding="utf-8")
    found = read_requests(files, 3).requests
    assert [(each.line, each.values["age"]) for each in found] == [("2:2", 11), ("3:1", 20), ("3:2", 21)]


def test_a_packed_log_is_read_as_the_monitor_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(ROW).encode() + b"\n"))
    assert values(file) == [(1, ROW)]
    file.write_bytes(file.read_bytes()[:20] + b"\xff" * 20)
    with pytest.raises(NotEvaluatedError, match="cannot be read"):
        read_requests([file], 10)


@pytest.mark.parametrize(
    ("bound", "content"), [("MOST_LINES", b"\n" * 1000), ("MOST_LINE", b" " * 5000 + b"\n{}\n" * 9)]
)
def test_a_long_pack_of_nothing_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, content: bytes
) -> None:
    file = tmp_path / "log.jsonl.gz"
    file.write_bytes(gzip.compress(content))
    monkeypatch.setattr(logs, bound, 100)
    monkeypatch.setattr(requests, "MOST_BYTES", 2000)
    with pytest.raises(NotEvaluatedError, match="more than 2,000 bytes or"):
        read_requests([file], 10)


def test_a_long_body_is_not_the_whole_of_what_is_asked(tmp_path: Path) -> None:
    long = {"inputs": [tensor("age", list(range(10_000)))]}
    ages = [each["age"] for _, each in values(log(tmp_path, *[ROW] * 30, long, *[ROW] * 30), 10_000)]
    assert ages == [41] * 30 + list(range(0, 10_000, 1_000)) + [41] * 30
    assert len(values(log(tmp_path, long, long), 10_000)) == 10_000, "where every body is long they count as they are"


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"\xff\xfe",
        b"[" * 500,
        b'{"age": ' + b"[" * 100_000,
        b'{"age": "' + b"x" * (1 << 23) + b'"}',
        [1, 2],
        {},
        7,
        {"inputs": []},
        {"inputs": [7]},
        {"inputs": [tensor("age", [1], [2, 1])]},
        {"inputs": [tensor("age", [1], [1, 1, 1])]},
        {"inputs": [tensor("age", [1], [-1, -1])]},
        {"inputs": [tensor("age", [], [0])]},
        {"inputs": [tensor("age", [1] * 10_001)]},
        {"inputs": [tensor("age", [1, 2]), tensor("town", ["x"])]},
        {"inputs": [{"name": "age", "shape": [True], "data": [1]}]},
        {"inputs": [{"name": 7, "shape": [1], "data": [1]}]},
        {"inputs": [{"name": "age", "shape": [10**18, 10**18], "data": [1]}]},
    ],
)
def test_what_is_no_request_is_counted_and_left_out(tmp_path: Path, line: Any) -> None:
    file = log(tmp_path, ROW, line, b"", ROW)
    found = read_requests([file], 10)
    assert [each.line for each in found.requests] == ["1", "4"]
    assert found.unreadable == 1


def test_a_log_that_cannot_be_read_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + b"\x00" * 100)
    for file in (tmp_path / "none", tmp_path, tmp_path / "broken.parquet"):
        with pytest.raises(NotEvaluatedError, match="cannot be read"):
            read_requests([file], 10)
    for files in ([log(tmp_path, b"no json")], []):
        with pytest.raises(NotEvaluatedError, match="no request"):
            read_requests(files, 10)
    monkeypatch.setattr(requests, "MOST_BYTES", 10)
    with pytest.raises(NotEvaluatedError, match="more than 10 bytes"):
        read_requests([log(tmp_path, ROW)], 10)


def request(**changed: Any) -> Request:
    return Request(line="1", values=ROW | changed)


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, (41, 2.5, True, "Bonn")),
        ({"age": 41.0, "income": 2, "member": 1, "town": None}, (41, 2.0, True, "")),
        ({"income": None, "more": "x"}, (41, None, True, "Bonn")),
        ({"income": True}, (41, 1.0, True, "Bonn")),
        ({"age": 41.5}, None),
        ({"age": None}, None),
        ({"age": "41"}, None),
        ({"age": 1 << 63}, None),
        ({"income": 1e39}, None),
        ({"income": 10**400}, None),
        ({"income": "2.5"}, None),
        ({"income": [1]}, None),
        ({"member": 2}, None),
        ({"member": "yes"}, None),
        ({"town": 7}, None),
        ({"town": {"x": 1}}, None),
    ],
)
def test_a_request_fits_the_columns_or_not(changed: dict[str, Any], wanted: tuple[Any, ...] | None) -> None:
    assert fitted(request(**changed), FEATURES, frozenset()) == wanted


def test_a_whole_number_may_be_missing_where_the_model_knows_that() -> None:
    assert fitted(request(age=None), FEATURES, {"age"}) == (None, 2.5, True, "Bonn")
    assert fitted(request(age="x"), FEATURES, {"age"}) is None
    frame = frame_of([(None, 2.5, True, "Bonn"), (1, None, False, "")], FEATURES)
    assert frame.dtypes == [pl.Int64(), pl.Float64(), pl.Boolean(), pl.String()]
    assert frame["age"].to_list() == [None, 1]


def test_a_matrix_has_every_column_in_order() -> None:
    assert fitted(Request(line="1", values={}, matrix=(41, 2.5, 1, "Bonn")), FEATURES, ()) == (41, 2.5, True, "Bonn")
    assert fitted(Request(line="1", values={}, matrix=(41, 2.5, 1)), FEATURES, ()) is None


def test_one_strange_request_changes_nothing_for_the_others() -> None:
    plain = [Request(line=str(at), values={"age": 1, "town": "x"}) for at in range(3)]
    there = columns_there([*plain, request(), Request(line="9", values={}, matrix=(1,))], FEATURES)
    assert [each.name for each in there] == ["age", "town"]
    assert columns_there([Request(line="9", values={}, matrix=(1,))], FEATURES) == FEATURES
