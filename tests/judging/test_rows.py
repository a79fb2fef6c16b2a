"""The neutral format: what a row may be, and every other way of writing one is refused with its own cause."""

import json
import math
from contextlib import nullcontext
from typing import Any

import pytest
import yaml
from tests.support.evaluations import cause, evaluate, jsonl, result, rows_of

from mlbot.config.errors import ConfigError
from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.judging import rows as module
from mlbot.judging.scores import unfinished


def row(**columns: Any) -> dict[str, Any]:
    return {"item": "a", "score.exact": 1, **columns}


def test_the_file_of_the_format_is_read() -> None:
    found = rows_of(result("rows/candidate.jsonl"))
    assert (found.tool, found.version, found.complete, found.items, found.repeats) == (
        "promptfoo",
        "0.121.20",
        True,
        24,
        3,
    )
    first = found.rows[0]
    assert (first.item, first.repeat, first.group, first.error) == ("q01", 1, "iceland", None)
    assert first.facts == {"tokens_in": 14, "tokens_out": 4, "cost": 3e-05}
    assert unfinished(found, evaluate()) is None


def test_what_a_column_may_hold() -> None:
    columns = {"slice.level": 3, "slice.kind": "x", "slice.odd": True, "input": "a" * 64, "latency_ms": None}
    (found,) = rows_of(jsonl([row(**columns)])).rows
    assert (found.slices, found.input, found.facts) == ({"level": 3.0, "kind": "x", "odd": "true"}, "a" * 64, {})


def test_a_digest_is_one_however_it_is_written() -> None:
    first, second = rows_of(jsonl([row(input="sha256:" + "a" * 64), row(repeat=2, input="a" * 64)], items=1)).rows
    assert first.input == second.input


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_score_that_is_null_nan_or_absent_is_missing(missing: float | None) -> None:
    given = [
        row(**{"score.exact": missing}),
        {"item": "b", "score.similarity": 1},
        row(item="c", **{"score.exact": True}),
    ]
    found = rows_of(jsonl(given))
    assert [each.scores.get("exact") for each in found.rows] == [None, None, 1.0]


def test_a_row_that_is_an_error_has_no_score() -> None:
    given = [row(status="error", error="timed\nout\u202e" + "x" * 300), row(item="b", status="skipped")]
    one, other = rows_of(jsonl(given)).rows
    assert (one.scores, other.scores, other.error) == ({}, {}, "skipped")
    assert one.error
    assert len(one.error) == 200
    assert one.error.startswith("timed out")
    assert "\u202e" not in one.error


def test_a_row_with_a_reason_and_no_status_is_an_error() -> None:
    one, other = rows_of(jsonl([row(error="timed out"), row(item="b", error="", status=None)])).rows
    assert (one.scores, one.error, other.scores, other.error) == ({}, "timed out", {"exact": 1.0}, None)
    for odd in ("", False, 0):
        assert cause(jsonl([row(status=odd)])) == "status"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([row(), row()], "twice"),
        ([row(), row(repeat=2, group="g")], "two-cases"),
        ([row(input="a" * 64), row(repeat=2, input="b" * 64)], "two-cases"),
        ([row(item="")], "item"),
        ([row(item=None)], "item"),
        ([row(item="x" * 257)], "item"),
        ([row(item=3)], "value"),
        ([row(group=3)], "value"),
        ([row(group="x" * 257)], "long"),
        ([row(repeat=0)], "repeat"),
        ([row(repeat=True)], "repeat"),
        ([row(repeat=1.5)], "repeat"),
        ([row(status="fine")], "status"),
        ([row(status=["ok"])], "status"),
        ([row(input="md5:1")], "value"),
        ([row(cost="3")], "value"),
        ([row(**{"score.exact": 1e30})], "score"),
        ([row(cost=-1)], "value"),
        ([row(tokens_in=1e30)], "value"),
        ([row(answer="a long text")], "column"),
        ([row(**{"score.a b": 1})], "column"),
        ([row(**{"score." + "x" * 65: 1})], "column"),
        ([row(**{"score.exact": "1"})], "score-type"),
        ([row(**{"score.exact": [1]})], "score-type"),
        ([row(**{"slice.a": {"b": 1}})], "value"),
        ([{"item": "a", **{f"score.m{number}": 1 for number in range(65)}}], "metrics"),
        ([["a"]], "not-json"),
    ],
)
def test_other_rows_are_refused(given: list[dict[str, Any]], why: str) -> None:
    raw = "\n".join(map(json.dumps, ({"mlbot_rows": 1, "complete": True, "items": 1}, *given))).encode()
    scores = {f"m{number}": "higher" for number in range(64)} if why == "metrics" else {"exact": {"range": [0, 1]}}
    assert cause(raw, scores=scores) == why


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no-header"),
        (b'{"item": "a", "score.exact": 1}\n', "no-header"),
        (b"[1]\n", "no-header"),
        (b'{"mlbot_rows": 2}\n', "no-header"),
        (b'{"mlbot_rows": 1, "items": 1}\n', "header"),
        (b'{"mlbot_rows": 1, "complete": true}\n', "header"),
        (b'{"mlbot_rows": 1, "complete": 1, "items": 1}\n', "header"),
        (b'{"mlbot_rows": 1, "complete": true, "items": true}\n', "header"),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1, "repeats": 0}\n', "header"),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1}\n', "empty"),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1}\n{"item": "a", "item": "b"}', "not-json"),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1}\n{"item": "a", "score.exact": Infinity}', "not-json"),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1}\n{"item": "a", "score.exact": 1e999}', "not-json"),
        (
            b'{"mlbot_rows": 1, "complete": true, "items": 1}\n{"item": "a", "score.exact": ' + b"1" * 50 + b"}",
            "not-json",
        ),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1}\n' + b"[" * 100_000, "not-json"),
        (b'{"mlbot_rows": 1, "complete": true, "items": 1}\n' + b" " * 1_000_001, "line"),
        (b"\xff\xfe\n", "not-json"),
        (b"PAR1", "not-json"),
    ],
)
def test_what_is_no_such_file_is_refused(raw: bytes, why: str) -> None:
    assert cause(raw) == why


def test_there_are_so_many_rows_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    assert cause(jsonl([row(item=str(number)) for number in range(4)], items=3)) == "rows"


@pytest.mark.parametrize(
    ("header", "settings", "why"),
    [
        ({"complete": False}, {}, "stopped"),
        ({"items": 2}, {}, "items"),
        ({"repeats": 2}, {}, "repeats"),
        ({}, {"repeats": 2}, "repeats"),
        ({}, {"scores": {"other": "higher"}}, "no-score"),
        ({}, {"scores": {"exact": {"range": [0, 0.5]}}}, "outside"),
    ],
)
def test_a_run_that_is_another_than_policy_wants_does_not_count(
    header: dict[str, Any], settings: dict[str, Any], why: str
) -> None:
    wanted = {"repeats": 1, "scores": {"exact": {"range": [0, 1]}}, **settings}
    problem = unfinished(rows_of(jsonl([row()], **header), **wanted), evaluate(**wanted))
    assert problem
    assert problem.cause == why


@pytest.mark.parametrize(
    "only",
    [row(**{"score.exact": None}), row(**{"score.exact": math.nan}), row(status="error", error="the service is down")],
)
def test_a_score_that_is_there_and_null_in_every_row_has_no_other_name(only: dict[str, Any]) -> None:
    wanted = {"repeats": 1, "scores": {"exact": {"range": [0, 1]}}}
    assert unfinished(rows_of(jsonl([only]), **wanted), evaluate(**wanted)) is None  # each of them is an error


@pytest.mark.parametrize(
    ("errors", "scores", "unbounded"),
    [
        ({"max": 0.02}, {"exact": "higher"}, "exact"),
        (0.02, {"exact": {"range": [0, 1]}, "words": "lower", "calls": "lower"}, "calls, words"),
        ({"max": 0.02}, {"exact": {"range": [0, 1]}}, ""),
        ({"max": 0}, {"exact": "higher"}, ""),
    ],
)
def test_a_share_of_errors_needs_the_ends_that_they_are_taken_for(
    errors: object, scores: dict[str, Any], unbounded: str
) -> None:
    """Without a range a single error is the outcome, whatever share is allowed."""
    settings = {"run": "ask", "scores": scores, "errors": errors}
    model = {"task": "scores", "artifact": "a", "evaluate": settings, "gates": {next(iter(scores)): {"max": 0.5}}}
    document = load(yaml.safe_dump({"version": 1, "models": {"bot": model}}), "mlbot.yaml")
    expected = rf"models.bot.evaluate.errors: found .* write the `range` of {unbounded}:"
    with pytest.raises(ConfigError, match=expected) if unbounded else nullcontext():
        parse_config(document)
