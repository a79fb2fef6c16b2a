"""Each tool's file gives the same rows, and each way in which it can mislead is refused or an error."""

import ast
import copy
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import meta
from tests.support.evaluations import OF_TOOL, cause, evaluate, folder, jsonl, read, result, rows_of

from mlbot.judging import readers
from mlbot.judging.rows import MOST_BYTES, Rows
from mlbot.judging.scores import ScorePlan, Sides, Table, measure_scores, unfinished
from mlbot.lib.templates import environment, templates
from mlbot.verdict.verdict import Problem

SIDES = ("baseline", "candidate")


def facts(rows: Rows) -> dict[tuple[str, int], tuple[object, ...]]:
    return {
        (row.item, row.repeat): (
            row.error is None,
            row.scores.get("exact"),
            None if row.scores.get("similarity") is None else round(row.scores["similarity"] or 0.0, 9),
            row.group,
        )
        for row in rows.rows
    }


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("tool", ["promptfoo", "inspect", "deepeval"])
def test_the_tools_give_equal_rows(tool: str, side: str) -> None:
    found = OF_TOOL[tool](side)
    assert facts(found) == facts(OF_TOOL["rows"](side))
    assert len(found.rows) == 72
    assert unfinished(found, evaluate()) is None
    assert sum(row.error is not None for row in found.rows) == (1 if side == "baseline" else 4)


def test_what_a_tool_says_of_tokens_cost_and_time_is_read() -> None:
    for tool, cost in (("promptfoo", 0.002046), ("deepeval", 0.002046), ("inspect", None)):
        rows = OF_TOOL[tool]("candidate").rows
        costs = [row.facts["cost"] for row in rows if "cost" in row.facts]
        assert (round(sum(costs), 9) if costs else None) == cost
    tokens = [row.facts for row in OF_TOOL["inspect"]("candidate").rows if row.error is None]
    assert (tokens[0]["tokens_in"], tokens[0]["tokens_out"], tokens[0]["latency_ms"]) == (14, 4, 4232)
    assert OF_TOOL["promptfoo"]("candidate").version == "0.121.20"
    assert OF_TOOL["inspect"]("candidate").version == "0.3.285"


# promptfoo


def promptfoo(side: str = "candidate") -> dict[str, Any]:
    return dict(json.loads(result(f"promptfoo/{side}.json")))


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def test_json_lines_of_promptfoo_are_read_too() -> None:
    lines = b"\n".join(map(dumped, promptfoo()["results"]["results"]))
    found = rows_of(lines, format="promptfoo", group="group")
    assert facts(found) == facts(OF_TOOL["promptfoo"]("candidate"))


def test_the_order_of_the_file_says_nothing() -> None:
    whole = promptfoo()
    whole["results"]["results"].reverse()
    assert facts(rows_of(dumped(whole), format="promptfoo", group="group")) == facts(OF_TOOL["promptfoo"]("candidate"))


def labels() -> list[str]:
    every = json.loads(result("promptfoo/matrix.json"))["results"]["results"]
    return sorted({each["prompt"]["label"] for each in every})


def test_a_test_without_assertions_is_an_error_and_no_full_marks() -> None:
    matrix = result("promptfoo/matrix.json")
    settings = {"format": "promptfoo", "provider": "a", "repeats": 1, "scores": {"score": {"range": [0, 1]}}}
    prompts = labels()
    assert cause(matrix, **settings) == "several"
    whole = json.loads(matrix)
    for number, each in enumerate(whole["results"]["results"]):
        each["testCase"]["description"] = f"case {each['testIdx']}"
        whole["results"]["results"][number] = each
    found = rows_of(dumped(whole), prompt=prompts[0], **settings)
    assert {row.item: row.error for row in found.rows if row.error} == {"case 4": "the test has no assertions"}
    assert [row.scores.get("score") for row in found.rows] == [0.0, 1.0, 1.0, 1.0, None]


def test_equal_variables_are_no_repeats() -> None:
    prompts = sorted(
        {each["prompt"]["label"] for each in json.loads(result("promptfoo/matrix.json"))["results"]["results"]}
    )
    settings = {"format": "promptfoo", "item": "id", "provider": "b", "prompt": prompts[0], "repeats": 1}
    settings["scores"] = {"score": {"range": [0, 1]}}
    assert cause(result("promptfoo/matrix.json"), **settings) == "equal-cases"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "several"),  # two providers
        ({"provider": "a"}, "several"),  # two prompts
        ({"provider": "c"}, "absent"),
        ({"provider": "a", "prompt": "another"}, "absent"),
    ],
)
def test_of_several_providers_or_prompts_one_has_to_be_named(settings: dict[str, str], why: str) -> None:
    assert cause(result("promptfoo/matrix.json"), format="promptfoo", item="id", **settings) == why


def test_a_case_without_a_name_is_refused() -> None:
    whole = promptfoo()
    del whole["results"]["results"][3]["testCase"]["description"]
    assert cause(dumped(whole), format="promptfoo") == "no-name"
    assert rows_of(dumped(whole), format="promptfoo", item="id").rows[0].item == "q01"


def test_a_failed_assertion_is_a_score_and_an_error_is_none() -> None:
    whole = promptfoo()
    failed = next(each for each in whole["results"]["results"] if each["failureReason"] == 1)
    failed["error"] = "Expected output to equal"  # as promptfoo fills it
    row = next(
        row for row in rows_of(dumped(whole), format="promptfoo").rows if row.error is None and row.scores["exact"] == 0
    )
    assert row.scores["exact"] == 0
    del failed["failureReason"]
    assert any("does not say" in (row.error or "") for row in rows_of(dumped(whole), format="promptfoo").rows)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_an_answer_that_could_not_be_graded_is_an_error_and_no_score_of_0(depth: int) -> None:
    whole = promptfoo()
    graded: dict[str, Any] = {"pass": False, "score": 0, "reason": "429", "metadata": {"graderError": True}}
    for _ in range(depth):
        graded = {"pass": False, "score": 0, "reason": "1 failed", "componentResults": [{"pass": True}, graded]}
    whole["results"]["results"][0] |= {"failureReason": 1, "namedScores": {"exact": 0}, "gradingResult": graded}
    name = whole["results"]["results"][0]["testCase"]["description"]
    row = next(row for row in rows_of(dumped(whole), format="promptfoo").rows if (row.item, row.repeat) == (name, 1))
    assert (row.error, row.scores) == ("429", {})


def test_fewer_rows_than_tests_and_repeats_are_no_whole_run() -> None:
    whole = promptfoo()
    whole["results"]["results"] = whole["results"]["results"][:70]
    assert not rows_of(dumped(whole), format="promptfoo").complete
    whole["results"]["stats"] = {"successes": 60, "failures": 8, "errors": 2}
    assert not rows_of(dumped(whole), format="promptfoo").complete


def test_another_question_under_the_same_name_has_another_digest() -> None:
    whole = promptfoo()
    before = {row.item: row.input for row in OF_TOOL["promptfoo"]("candidate").rows}
    for each in whole["results"]["results"]:
        if each["testCase"]["description"] == "q01":
            each["vars"] = {**each["vars"], "question": "What is the capital of Japan?"}
    after = {row.item: row.input for row in rows_of(dumped(whole), format="promptfoo").rows}
    assert {item for item, digest in after.items() if digest != before[item]} == {"q01"}
    both = (OF_TOOL["promptfoo"](side).rows for side in SIDES)
    assert {row.input for row in next(both)} == {row.input for row in next(both)}


# inspect


def inspect(side: str = "candidate") -> dict[str, Any]:
    return dict(json.loads(result(f"inspect/{side}.json")))


def log(value: object) -> bytes:
    return folder(log_dot_json=dumped(value))


def zipped(files: dict[str, object], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, json.dumps(content))
    return made.getvalue()


def test_a_compressed_log_is_refused_with_the_way_out() -> None:
    found = read(folder(log_dot_eval=result("inspect/candidate-stopped.eval")), format="inspect")
    if isinstance(found, Rows):  # a Python that reads zstandard
        assert not found.complete
        return
    assert found.cause == "compressed"
    assert "INSPECT_LOG_FORMAT=json" in found.hint


def test_a_log_in_a_zip_archive_has_its_summaries() -> None:
    whole = inspect()
    header = {key: value for key, value in whole.items() if key != "samples"}
    raw = folder(log_dot_eval=zipped({"header.json": header, "summaries.json": whole["samples"]}))
    found = rows_of(raw, format="inspect", group="group")
    assert facts(found) == facts(OF_TOOL["inspect"]("candidate"))
    assert found.complete


def test_a_stopped_run_is_not_whole_though_it_ended_well() -> None:
    whole = inspect()
    start, samples = {"eval": whole["eval"]}, whole["samples"]
    files = {
        "_journal/start.json": start,
        "_journal/summaries/1.json": samples[:10],
        "_journal/summaries/2.json": samples[10:16],
    }
    found = rows_of(folder(log_dot_eval=zipped(files)), format="inspect")
    assert (len(found.rows), found.complete) == (16, False)
    stopped = rows_of(log({**whole, "status": "error", "samples": samples[:16]}), format="inspect")
    problem = unfinished(stopped, evaluate())
    assert problem
    assert (problem.cause, problem.values["rows"], problem.values["wanted"]) == ("stopped", 16, 72)


def test_a_sample_that_is_gone_is_missed() -> None:
    whole = inspect()
    whole["samples"] = [each for each in whole["samples"] if each["id"] != "q05"]
    problem = unfinished(rows_of(log(whole), format="inspect"), evaluate())
    assert problem
    assert problem.cause == "items"


def test_letters_numbers_words_and_parts_are_scores() -> None:
    whole = inspect()
    for value, score in (
        ("C", 1.0),
        ("P", 0.5),
        ("I", 0.0),
        ("N", 0.0),
        ("yes", 1.0),
        (True, 1.0),
        (0.25, 0.25),
        ("?", None),
    ):
        whole["samples"][0]["scores"]["exact"]["value"] = value
        assert rows_of(log(whole), format="inspect").rows[0].scores["exact"] == score
    whole["samples"][0]["scores"]["exact"]["value"] = {"a": 1, "b": "I"}
    parts = {"a": {"from": "exact.a"}, "b": {"from": "exact.b"}}
    assert rows_of(log(whole), format="inspect", scores=parts).rows[0].scores == {"a": 1.0, "b": 0.0}


def test_two_logs_are_not_one_evaluation() -> None:
    one = result("inspect/candidate.json")
    assert cause(folder(a_dot_json=one, b_dot_json=one), format="inspect") == "several-files"
    assert cause(folder(), format="inspect") == "no-file"


# lm-eval


def lm_eval(side: str = "candidate", *, results: bool = True) -> bytes:
    files = {"samples_capitals_2026_dot_jsonl": result(f"lm-eval/{side}.samples_capitals.jsonl")}
    if results:
        files["results_2026_dot_json"] = result(f"lm-eval/{side}.results.json")
    return folder(**files)


def test_lm_eval_has_a_row_a_document_of_the_filter_that_is_named() -> None:
    settings: dict[str, Any] = {"format": "lm-eval", "item": "id", "group": "group", "repeats": 1}
    found = rows_of(lm_eval(), filter="all3", **settings)
    assert (len(found.rows), found.complete, found.items, found.version) == (24, True, 24, "0.4.13")
    assert unfinished(found, evaluate(repeats=1)) is None
    first = rows_of(lm_eval(), filter="first", **settings)
    means = [round(sum(row.scores["exact"] or 0 for row in rows.rows) / 24, 6) for rows in (found, first)]
    assert means == [0.791667, 0.916667]
    assert cause(lm_eval(), **settings) == "several"
    assert cause(lm_eval(), filter="last", **settings) == "absent"


def test_a_document_is_named_by_what_it_says_and_never_by_its_place() -> None:
    found = rows_of(lm_eval(), format="lm-eval", filter="all3", repeats=1)
    assert len({row.item for row in found.rows}) == 24
    assert all(len(row.item) == 64 for row in found.rows)
    assert cause(lm_eval(), format="lm-eval", filter="all3", item="nothing") == "no-name"


def test_without_its_results_nobody_knows_that_lm_eval_asked_all() -> None:
    found = rows_of(lm_eval(results=False), format="lm-eval", filter="all3", repeats=1)
    assert not found.complete
    samples = result("lm-eval/candidate.samples_capitals.jsonl")
    half = json.loads(result("lm-eval/candidate.results.json"))
    half["n-samples"]["capitals"]["effective"] = 12
    raw = folder(samples_capitals_1_dot_jsonl=samples, results_1_dot_json=dumped(half))
    assert not rows_of(raw, format="lm-eval", filter="all3", repeats=1).complete
    assert (
        cause(folder(samples_a_1_dot_jsonl=samples, samples_a_2_dot_jsonl=samples), format="lm-eval") == "several-files"
    )


def test_multiple_choice_of_lm_eval_has_one_filter() -> None:
    raw = folder(samples_capitals_mc_1_dot_jsonl=result("lm-eval/dummy_mc.samples_capitals_mc.jsonl"))
    found = rows_of(raw, format="lm-eval", repeats=1, scores={"acc": {"range": [0, 1]}, "norm": {"from": "acc_norm"}})
    assert {*found.rows[0].scores} == {"acc", "norm"}


# deepeval


def test_a_metric_with_an_error_has_no_score_and_the_others_have() -> None:
    run = json.loads(result("deepeval/candidate.test_run.json"))
    run["testCases"][0]["metricsData"][0] = {"name": "exact", "error": "timed out"}
    row = rows_of(folder(test_run_1_dot_json=dumped(run)), format="deepeval").rows[0]
    assert (row.error, row.scores["exact"], row.scores["similarity"]) == (None, None, 1.0)
    run["testCases"][0]["metricsData"][0] = {"name": "similarity", "score": 0.0}  # as the other is called
    row = rows_of(folder(test_run_1_dot_json=dumped(run)), format="deepeval").rows[0]
    assert row.scores["similarity"] is None
    run["testCases"].pop()
    assert not rows_of(folder(test_run_1_dot_json=dumped(run)), format="deepeval").complete
    del run["testCases"][0]["name"]
    assert cause(folder(test_run_1_dot_json=dumped(run)), format="deepeval") == "no-name"


# hostile


@pytest.mark.parametrize("format_", ["promptfoo", "inspect", "lm-eval", "deepeval"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"results": {"results": [1]}}',
        b'{"a": 1, "a": 2}',
        b'{"eval": {}, "samples": [{"id": 1}]}',
        b'{"testCases": [{"name": "a"}, 3]}',
        b'{"filter": 1e999}',
        b"PK\x05\x06",
    ],
)
def test_what_is_no_such_file_is_refused(format_: str, content: bytes) -> None:
    names = {"inspect": "log_dot_json", "lm-eval": "samples_a_dot_jsonl", "deepeval": "test_run_a_dot_json"}
    raw = content if format_ == "promptfoo" else folder(**{names[format_]: content})
    assert isinstance(read(raw, format=format_), Problem)
    if format_ == "inspect":
        assert isinstance(read(folder(log_dot_eval=content), format=format_), Problem)
    assert isinstance(read(content, format=format_), Problem)


def test_what_is_too_large_is_not_read() -> None:
    assert cause(b" " * (MOST_BYTES + 1)) == "large"
    bomb = zipped({"header.json": {}, "summaries.json": " " * (MOST_BYTES + 1)})
    assert len(bomb) < 100_000
    assert cause(folder(log_dot_eval=bomb), format="inspect") == "large"


def test_every_cause_has_its_words_and_what_they_name() -> None:
    written = yaml.safe_load((templates() / "words" / "reasons.yaml").read_text())["results-unreadable"]["causes"]
    made = 0
    for path in (Path(readers.__file__), Path(readers.__file__).with_name("rows.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "RefusedError":
                (first,), made = node.args, made + 1
                assert isinstance(first, ast.Constant)
                names = meta.find_undeclared_variables(environment().parse(" ".join(written[first.value].values())))
                assert names == {keyword.arg for keyword in node.keywords}, first.value
    assert made > 30


def test_an_empty_evaluation_is_none() -> None:
    assert cause(jsonl([], items=3)) == "empty"


JUNK: list[Any] = [
    None,
    True,
    -1,
    1.5,
    float("nan"),
    10**30,
    "",
    "x" * 300,
    "\ud800",
    "a\n\u202eb",
    [],
    {},
    [[]],
    {"a": [1]},
]


def broken(value: Any, rng: random.Random) -> Any:
    """A document with one of its values exchanged for another, or gone, at any depth."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.2:
        return rng.choice(JUNK)
    made = copy.copy(value)
    key = rng.choice([*made] if isinstance(made, dict) else [*range(len(made))])
    if rng.random() < 0.1:
        del made[key]
    else:
        made[key] = broken(made[key], rng)
    return made


@pytest.mark.parametrize("tool", ["promptfoo", "inspect", "deepeval", "rows"])
def test_whatever_a_file_says_it_is_rows_or_a_problem(tool: str) -> None:
    rng = random.Random(tool)  # noqa: S311 - the same on each run
    whole: Any = {
        "promptfoo": promptfoo(),
        "inspect": inspect(),
        "deepeval": json.loads(result("deepeval/candidate.test_run.json")),
        "rows": [json.loads(line) for line in result("rows/candidate.jsonl").splitlines()[:6]],
    }[tool]
    if tool == "promptfoo":
        whole["results"]["results"] = whole["results"]["results"][:4]
    elif tool != "rows":
        key = "samples" if tool == "inspect" else "testCases"
        whole[key] = whole[key][:4]
    kinds = set()
    for _ in range(80):
        made = broken(broken(whole, rng), rng)
        raw = b"\n".join(map(dumped, made)) if tool == "rows" and isinstance(made, list) else dumped(made)
        raw = folder(log_dot_json=raw) if tool == "inspect" else raw
        raw = folder(test_run_1_dot_json=raw) if tool == "deepeval" else raw
        found = read(raw, format=tool, **({} if tool == "rows" else {"group": "group"}))
        kinds.add(type(found))
        if isinstance(found, Rows) and max(row.repeat for row in found.rows) <= 3:
            table = Table.of(Sides(candidate=(found,), baseline=(found,)), evaluate(errors=0.9))
            if isinstance(table, Table):
                measured = measure_scores(table, ScorePlan(margins={}), {})
                assert "NaN" not in measured.items.model_dump_json()
    assert kinds == {Rows, Problem}
