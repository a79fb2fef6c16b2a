"""Logs of production as whoever may send requests would write them: a line costs itself, never the day."""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.production import SKETCH

from mlbot.data.sketch import Column, Counts, Sketch, SketchKind, Tally
from mlbot.errors import NotEvaluatedError
from mlbot.gates.metric import Task
from mlbot.ml import logs
from mlbot.ml.production import Joined, LogForm, RequestLog, read_labels, read_requests

CLASSES = ("a", "b", "c")
LABEL = Column(name="label", kind=SketchKind.CATEGORY, values=CLASSES, distinct=3)
FORM = LogForm(
    task=Task.MULTICLASS,
    sketch=Sketch(
        features=SKETCH.features,
        answers=(LABEL,),
        counts=Counts(
            rows=SKETCH.counts.rows,
            features=SKETCH.counts.features,
            answers=(Tally(counts=(SKETCH.counts.rows, 0, 0, 0)),),
        ),
    ),
    id="id",
    prediction="p",
    classes=CLASSES,
    joined=True,
)
ROWS = 200


def row(number: object, **changes: Any) -> str:
    return json.dumps({"id": str(number), "age": 1.5, "plan": "pro", "p": [0.2, 0.3, 0.5], **changes})


GOOD = [row(number) for number in range(ROWS)]
FAILED = [json.dumps({"id": f"e{number}", "age": 1.5, "plan": "pro", "error": "x"}) for number in range(5)]
LABELS = [json.dumps({"id": str(number), "y": "c"}) for number in range(ROWS)]


def written(folder: Path, *files: Sequence[str]) -> list[Path]:
    found = [folder / f"{number}.jsonl" for number in range(len(files))]
    for file, lines in zip(found, files, strict=True):
        file.write_text("\n".join(lines) + "\n")
    return found


def read(folder: Path, *files: Sequence[str]) -> RequestLog:
    return read_requests(written(folder, *files), FORM)


def joined(folder: Path, log: RequestLog, labels: Sequence[str] = LABELS) -> Joined:
    file = folder / "labels.jsonl"
    file.write_text("\n".join(labels) + "\n")
    return read_labels([file], FORM, "y", log.answers)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "\\ud800", "age": "\\udfff", "plan": "\\ud800", "p": ["\\ud800"]}',
        '{"\\ud800": 1, "id": NaN, "age": 1e400, "p": [1e400, -Infinity, NaN]}',
        '{"age": 1, "age": "x", "id": 1, "id": {"a": 2}, "p": {"a": 1}}',
        json.dumps({"id": "x", "p": [0.1] * 5_000}),
        '{"id": "x", "age": ' + "[" * 900 + "]" * 900 + "}",
        '{"id": ' + "9" * 5_000 + ', "age": ' + "9" * 299 + "}",
    ],
)
def test_an_odd_line_costs_no_other(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, [*GOOD, line])
    assert (log.rows, log.errors, log.unread) == (ROWS + 1, 1, 0)
    found = joined(tmp_path, log, [*LABELS, line])
    assert found.truth.len() == ROWS
    assert found.values.shape == (ROWS, 3)


def test_a_line_that_is_too_long_is_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_LINE", 1_000)
    long = row("x", plan="y" * 5_000)
    assert (read(tmp_path, [*GOOD, long, row("last")]).rows, read(tmp_path, [long, *GOOD]).unread) == (ROWS + 1, 1)
    assert joined(tmp_path, read(tmp_path, GOOD), [long, *LABELS]).truth.len() == ROWS


@pytest.mark.parametrize("files", [(FAILED, GOOD), (GOOD, FAILED), (FAILED, GOOD, FAILED)])
def test_a_file_of_nothing_but_errors_changes_no_other_ones_answers(tmp_path: Path, files: list[list[str]]) -> None:
    log = read(tmp_path, *files)
    assert log.errors == 5 * (len(files) - 1)
    assert log.counts.answers[0].counts == (0, 0, ROWS, 0)
    found = joined(tmp_path, log)
    assert (found.truth.len(), found.values.shape) == (ROWS, (ROWS, 3))


def test_what_a_file_lacks_and_another_has_is_missing(tmp_path: Path) -> None:
    bare = [json.dumps({"plan": "pro"}) for _ in range(1_000)]
    log = read(tmp_path, bare, GOOD)
    assert [(each.rows, each.missing) for each in log.counts.features] == [(1_000 + ROWS, 1_000), (1_000 + ROWS, 0)]
    assert log.errors == 1_000, "a request without an answer is one"
    alone = read(tmp_path, bare)
    assert (alone.counts.features[0].rows, alone.errors) == (0, None), "what nothing logs is not known"


def test_a_table_without_any_of_the_columns_has_rows(tmp_path: Path) -> None:
    raw = io.BytesIO()
    pl.DataFrame({"other": [1, 2]}).write_parquet(raw)
    (tmp_path / "other.parquet").write_bytes(raw.getvalue())
    log = read_requests([tmp_path / "other.parquet", *written(tmp_path, GOOD)], FORM)
    assert (log.rows, log.counts.features[0].missing) == (ROWS + 2, 2)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_table_of_bodies_is_what_its_lines_are(tmp_path: Path, *, wrapped: bool) -> None:
    tensors = [
        {"name": "age", "shape": [2, 1], "data": [1.5, 2.5]},
        {"name": "plan", "shape": [2], "data": ["pro"] * 2},
    ]
    asked = {"id": "7", "inputs": tensors}
    answered = {"outputs": [{"name": "p", "shape": [2, 3], "data": [0.2, 0.3, 0.5, 0.5, 0.3, 0.2]}]}
    both = {"request": asked, "response": answered}
    row = {"request": json.dumps(both)} if wrapped else {name: json.dumps(each) for name, each in both.items()}
    pl.DataFrame([row] * ROWS).write_parquet(tmp_path / "bodies.parquet")
    log, lines = read_requests([tmp_path / "bodies.parquet"], FORM), read(tmp_path, [json.dumps(both)] * ROWS)
    assert (log.rows, log.errors, log.unread, log.lines) == (2 * ROWS, 0, 0, ROWS)
    assert (log.counts, log.answers.ids[0].to_list()) == (lines.counts, lines.answers.ids[0].to_list())


def test_a_table_of_texts_that_are_no_requests_is_none(tmp_path: Path) -> None:
    pl.DataFrame({"request": ["no json", None]}).write_parquet(tmp_path / "texts.parquet")
    with pytest.raises(NotEvaluatedError, match="2 of 2 lines"):
        read_requests([tmp_path / "texts.parquet"], FORM)


@pytest.mark.parametrize(("rows", "read_"), [(10_000, ROWS + 10_000), (10_001, ROWS)])
def test_one_body_is_no_whole_day(tmp_path: Path, rows: int, read_: int) -> None:
    body = json.dumps({"inputs": [{"name": "other", "shape": [rows], "data": [1] * rows}]})
    assert read(tmp_path, [*GOOD, body]).rows == read_


def test_a_request_and_its_answer_may_be_apart_in_a_line(tmp_path: Path) -> None:
    asked, answered = {"id": "0", "age": 1.5, "plan": "pro"}, {"p": [0.2, 0.3, 0.5]}
    log = read(tmp_path, [json.dumps({"request": asked, "response": answered, "time": "now"})] * ROWS)
    assert (log.rows, log.errors, [each.missing for each in log.counts.features]) == (ROWS, 0, [0, 0])


def test_a_borrowed_id_takes_no_label(tmp_path: Path) -> None:
    stranger = row(0, p=[1.0, 0.0, 0.0])
    found = joined(tmp_path, read(tmp_path, [stranger, GOOD[1], *GOOD]))
    assert found.truth.len() == ROWS - 1, "nobody knows which of two answers the label is of; a repeated one is one"
    assert (found.values == [0.2, 0.3, 0.5]).all()


def test_a_pack_that_is_broken_costs_the_file(tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(gzip.compress(GOOD[0].encode())[:20] + b"\xff" * 20)
    with pytest.raises(NotEvaluatedError, match="cannot be read"):
        read_requests([tmp_path / "log.gz"], FORM)
