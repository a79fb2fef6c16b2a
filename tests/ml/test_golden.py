"""Golden requests come back as they were judged, bit for bit, and a smoke test tells why they do not."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import helper
from tests.support import config_samples
from tests.support.onnx_samples import FLOAT, STRING, bomb, build, columns, endless, matrix, port
from tests.support.predicting import ask

from mlbot.config.run_check import read as read_config
from mlbot.config.schema import Model, Smoke
from mlbot.errors import NotEvaluatedError
from mlbot.gates.metric import Task
from mlbot.lib.untrusted_json import read
from mlbot.ml.golden import make_golden, platform_name, processor_of, smoke
from mlbot.ml.holdout import HoldoutData
from mlbot.ml.scoring import Limits, Scored
from mlbot.protocol.golden import TOLERANCE, Golden, SmokeReason, canonical, digest_of
from mlbot.verdict.verdict import Problem

RNG = np.random.default_rng(0)
ROWS = 200
FRAME = pl.DataFrame(
    {
        "a": [None if at % 7 == 3 else value for at, value in enumerate(RNG.normal(size=ROWS).tolist())],
        "b": RNG.normal(size=ROWS),
        "c": RNG.integers(0, 9, ROWS),
        "y": ["yes" if at % 3 else "no" for at in range(ROWS)],
    }
)
QUICK = Limits(latency_requests=5, latency_s=0.2, wall_s=60)
SMOKE = Smoke(requests=20)


def table(folder: Path, frame: pl.DataFrame = FRAME, name: str = "holdout.parquet") -> None:
    (folder / "data").mkdir(exist_ok=True)
    frame.write_parquet(folder / "data" / name)


def config(task: Task = Task.BINARY, **data: Any) -> Model:
    said = {"train": None, "holdout": "data/holdout.parquet", "target": "y", **data}
    return config_samples.model("m", data=said).model_copy(update={"task": task})


def saved(folder: Path, model: onnx.ModelProto, name: str = "model.onnx") -> Path:
    (folder / name).write_bytes(model.SerializeToString())
    return folder / name


def judged(folder: Path, task: Task = Task.BINARY, rows: int = 20) -> tuple[Path, Golden]:
    """A model, and its golden requests."""
    model = {
        Task.BINARY: columns({"b": 0.7, "c": 0.1}),
        Task.MULTICLASS: matrix(RNG.normal(size=(2, 2)), metadata={"classes": '["no", "yes"]'}),
        Task.REGRESSION: columns({"b": 7.0, "c": 100.0}, last="Identity"),
    }[task]
    frame = FRAME.with_columns(y=pl.col("b") * 3) if task is Task.REGRESSION else FRAME
    table(folder, frame)
    file = saved(folder, model)
    return file, make_golden(file, config(task, drop=("a",)), folder, rows)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_the_judged_file_answers_bit_for_bit(tmp_path: Path, task: Task) -> None:
    file, golden = judged(tmp_path, task)
    again = read(canonical(golden), Golden, "golden.json")
    assert again == golden
    result = smoke(file, again, SMOKE, limits=QUICK)
    assert (result.passed, result.reason, result.rows) == (True, SmokeReason.AS_JUDGED, 20)
    assert (result.max_difference, result.tolerance) == (0.0, 0.0)
    assert result.p95_ms is not None
    assert "bit for bit" in result.detail


@pytest.mark.parametrize(
    ("start", "kind"), [(1 << 63, pl.UInt64), ((1 << 64) - ROWS, pl.UInt64), (-(1 << 63), pl.Int64)]
)
def test_integers_of_all_64_bits_are_asked_as_they_were_judged(tmp_path: Path, start: int, kind: Any) -> None:
    table(tmp_path, FRAME.with_columns(c=pl.Series([start + at for at in range(ROWS)], dtype=kind)))
    file = saved(tmp_path, columns({"b": 0.7, "c": 1e-19}))
    golden = make_golden(file, config(drop=("a",)), tmp_path, 20)
    assert golden.columns[1].values[0] == start
    assert smoke(file, read(canonical(golden), Golden, "golden.json"), SMOKE, limits=QUICK).passed


def test_golden_requests_are_repeatable_and_evenly_spaced(tmp_path: Path) -> None:
    file, golden = judged(tmp_path)
    assert make_golden(file, config(drop=("a",)), tmp_path, 20) == golden
    wanted = np.linspace(0, ROWS - 1, 20).round().astype(int)
    by_name = {column.name: column for column in golden.columns}
    assert by_name["b"].values == tuple(FRAME["b"].to_numpy()[wanted])
    assert by_name["c"].values == tuple(FRAME["c"].to_list()[at] for at in wanted)
    assert (golden.source, golden.rows, golden.platform) == ("holdout", 20, platform_name())
    assert digest_of(golden).startswith("sha256:")
    assert "y" not in by_name


def test_no_more_rows_than_there_are(tmp_path: Path) -> None:
    assert judged(tmp_path, rows=10_000)[1].rows == ROWS


def test_missing_infinite_and_strange_values_survive_the_json(tmp_path: Path) -> None:
    odd = pl.DataFrame(
        {
            "x": [math.inf, -math.inf, None, -0.0, 1e-300],
            "flag": [True, False, None, True, False],
            "big": pl.Series([2**64 - 1, 0, None, 2**63, 5], dtype=pl.UInt64),
            "small": pl.Series([0.1, 0.2, None, 0.3, 0.4], dtype=pl.Float32),
            "word": ["Infinity", "", None, 'ä"\u2028', "None"],
            "y": ["no", "yes", "no", "yes", "no"],
        }
    )
    table(tmp_path, odd)
    # Where is-missing and the sign are taken first, infinity and NaN give probabilities.
    nodes = [
        *(
            helper.make_node("Where", [f"{name}_no", "zero", name], [f"{name}_f"])
            for name in ("x", "big", "small", "flag")
        ),
        *(helper.make_node("IsNaN", [name], [f"{name}_no"]) for name in ("x", "big", "small", "flag")),
        helper.make_node("Sum", ["x_f", "big_f", "small_f", "flag_f"], ["sum"]),
        helper.make_node("Shape", ["word"], ["shape"]),
        helper.make_node("Sigmoid", ["sum"], ["p"]),
    ]
    order = nodes[4:8] + nodes[:4] + nodes[8:]
    inputs = [port(name, FLOAT) for name in ("x", "big", "small", "flag")] + [port("word", STRING)]
    model = build(order, inputs, [port("p")], constants={"zero": np.zeros((1, 1), dtype=np.float32)})
    file = saved(tmp_path, model)
    golden = make_golden(file, config(), tmp_path, 5)
    assert [each.predictions for each in (golden, read(canonical(golden), Golden, "x"))] == [golden.predictions] * 2
    assert golden.predictions[0] == (1.0,)
    assert golden.predictions[1][0] == pytest.approx(0.0, abs=1e-9)
    assert smoke(file, read(canonical(golden), Golden, "x"), SMOKE, limits=QUICK).passed


def test_rows_of_a_hidden_holdout_are_never_kept(tmp_path: Path) -> None:
    table(tmp_path)
    table(tmp_path, FRAME.head(50), "train.parquet")
    file = saved(tmp_path, columns({"b": 0.7, "c": 0.1}))
    hidden = (tmp_path / "data" / "holdout.parquet").as_uri()
    golden = make_golden(file, config(holdout=hidden, train="data/train.parquet", drop=("a",)), tmp_path, 50)
    assert (golden.source, golden.rows) == ("train", 50)
    assert next(each for each in golden.columns if each.name == "b").values == tuple(FRAME["b"].to_list()[:50])
    with pytest.raises(NotEvaluatedError, match="its holdout is hidden") as caught:
        make_golden(file, config(holdout=hidden), tmp_path, 50)
    assert "data.train" in caught.value.hint


@pytest.mark.parametrize("broken", ["no data", "no model", "no columns"])
def test_what_cannot_be_made_says_why(tmp_path: Path, broken: str) -> None:
    if broken != "no data":
        table(tmp_path)
    file = saved(tmp_path, columns({"b": 1.0} if broken != "no columns" else {"z": 1.0}))
    if broken == "no model":
        file.write_bytes(b"\x80\x04pickle")
    with pytest.raises(NotEvaluatedError):
        make_golden(file, config(drop=("a",)), tmp_path, 5)


def test_another_file_is_not_the_judged_one(tmp_path: Path) -> None:
    _, golden = judged(tmp_path)
    other = saved(tmp_path, columns({"b": 0.7, "c": 0.1000001}), "other.onnx")
    result = smoke(other, golden, SMOKE, limits=QUICK)
    assert (result.passed, result.reason) == (False, SmokeReason.NOT_THE_BYTES)


def test_other_predictions_are_told_by_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbot.ml.golden.processor_of", lambda _: "a processor that is known")
    file, golden = judged(tmp_path)
    moved = tuple((row[0] + (1e-9 if at == 3 else 0.0),) for at, row in enumerate(golden.predictions))
    result = smoke(file, golden.model_copy(update={"predictions": moved}), SMOKE, limits=QUICK)
    assert (result.passed, result.reason) == (False, SmokeReason.PREDICTIONS_DIFFER)
    assert result.max_difference == pytest.approx(1e-9, rel=1e-3)
    assert "differ from the judged ones by up to 1e-09" in result.detail


@pytest.mark.parametrize(
    ("task", "difference", "passed"),
    [
        (Task.BINARY, TOLERANCE * 0.9, True),
        (Task.BINARY, TOLERANCE * 1.1, False),
        (Task.REGRESSION, TOLERANCE * 700, True),
        (Task.REGRESSION, TOLERANCE * 1000, False),
    ],
)
def test_on_another_processor_the_last_digits_may_differ(
    tmp_path: Path, task: Task, difference: float, *, passed: bool
) -> None:
    file, golden = judged(tmp_path, task)
    moved = tuple((row[0] + difference,) for row in golden.predictions)
    elsewhere = golden.model_copy(update={"predictions": moved, "platform": "onnxruntime 0.1, an abacus"})
    result = smoke(file, elsewhere, SMOKE, limits=QUICK)
    assert result.passed is passed
    assert result.tolerance > 0


X86 = "".join(f"processor : {n}\nmodel name : EPYC 7763\nflags : {able}\n\n" for n, able in enumerate(("a b", "b a")))
ARM = "Features : fp asimd\nCPU implementer : 0x41\nCPU variant : 0x3\nCPU part : 0xd0c\nCPU revision : 1\n"


def test_a_processor_is_known_by_what_it_is_and_can() -> None:
    """ARM has no name for its cores, and a hypervisor may hide instructions of one that has."""
    known = str(processor_of(X86))
    assert known.startswith("EPYC 7763 (")
    assert processor_of(X86.replace("b a", "a b")) == known
    assert processor_of(X86.replace("a b", "a").replace("b a", "a")) not in {None, known}
    assert processor_of(ARM) not in {None, processor_of(ARM.replace("0xd0c", "0xd40"))}


@pytest.mark.parametrize(
    "text",
    [
        *("", "no colon\n", "processor : 0\nBogoMIPS : 50\n", ARM.replace("CPU part : 0xd0c\n", "")),
        ARM + ARM.replace("0xd0c", "0xd05"),  # big and little cores
        X86 + X86.replace("b", "c"),
    ],
)
def test_what_could_be_several_processors_is_none_that_is_known(text: str) -> None:
    assert processor_of(text) is None


def test_on_a_processor_that_nobody_knows_the_last_digits_may_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbot.ml.golden.processor_of", lambda _: None)
    file, golden = judged(tmp_path)
    assert golden.platform.endswith("an unknown processor")
    moved = tuple((row[0] + TOLERANCE * 0.9,) for row in golden.predictions)
    assert smoke(file, golden.model_copy(update={"predictions": moved}), SMOKE, limits=QUICK).passed


def test_predictions_of_another_form(tmp_path: Path) -> None:
    file, golden = judged(tmp_path)
    wider = tuple((0.1, 0.9) for _ in golden.predictions)
    result = smoke(file, golden.model_copy(update={"predictions": wider}), SMOKE, limits=QUICK)
    assert (result.passed, result.reason) == (False, SmokeReason.PREDICTIONS_DIFFER)
    assert "in their form" in result.detail


def test_too_slow(tmp_path: Path) -> None:
    file, golden = judged(tmp_path)
    result = smoke(file, golden, Smoke(requests=5, p95_ms=1e-6), limits=QUICK)
    assert (result.passed, result.reason, result.limit_ms) == (False, SmokeReason.TOO_SLOW, 1e-6)
    assert "allowed is 1e-06 ms" in result.detail


def test_a_file_that_answers_otherwise_alone_fails_with_its_own_reason(tmp_path: Path) -> None:
    """What the target gives back answers the batch as it was judged, and a single row otherwise."""
    _, golden = judged(tmp_path)
    names = {"b": 0.7, "c": 0.1}
    model = columns(names)
    model.graph.node[-1].CopyFrom(helper.make_node("Sigmoid", ["z"], ["p"]))
    alone = [
        helper.make_node("ReduceMax", ["sum"], ["most"], axes=[0]),
        helper.make_node("ReduceMin", ["sum"], ["least"], axes=[0]),
        helper.make_node("Equal", ["most", "least"], ["alone"]),
        helper.make_node("Where", ["alone", "w_no", "sum"], ["z"]),
    ]
    nodes = [*model.graph.node[:-1], helper.make_node("Sub", ["most", "most"], ["w_no"]), model.graph.node[-1]]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:-2], *alone[:2], nodes[-2], *alone[2:], nodes[-1]])
    result = smoke(saved(tmp_path, model, "served.onnx"), golden, SMOKE, limits=QUICK)
    assert (result.passed, result.reason) == (False, SmokeReason.ANSWERS_VARY)
    assert "depends on the batch" in result.detail


@pytest.mark.parametrize("kind", ["garbage", "empty", "bomb", "endless", "absent"])
def test_a_file_that_does_not_load(tmp_path: Path, kind: str) -> None:
    _, golden = judged(tmp_path)
    file = tmp_path / "served.onnx"
    made = {"garbage": b"\x80\x04pickle", "empty": b"", "bomb": bomb(), "endless": endless()}.get(kind)
    if made is not None:
        file.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    limits = Limits(latency_requests=5, latency_s=0.2, wall_s=3)
    result = smoke(file, golden, SMOKE, limits=limits)
    assert (result.passed, result.reason) == (False, SmokeReason.NOT_LOADED)
    assert result.detail


def test_hostile_golden_requests_are_refused(tmp_path: Path) -> None:
    _, golden = judged(tmp_path)
    told = json.loads(canonical(golden))
    column = told["columns"][0]
    changes: tuple[dict[str, Any], ...] = (
        {"extra": 1},
        {"digest": "sha256:x"},
        {"task": "sorcery"},
        {"predictions": [["a"]]},
        {"predictions": [], "columns": []},
        {"predictions": told["predictions"][1:]},
        {"predictions": [[0.1, 0.9], *told["predictions"][1:]]},
        {"columns": 5},
        {"columns": [column, column]},
        {"columns": [{**column, "kind": "text"}]},
        {"columns": [{**column, "kind": "integer"}]},
        {"columns": [{**column, "kind": "boolean"}]},
        {"columns": [{**column, "values": ["Infinity", "x", *column["values"][2:]]}]},
    )
    for change in changes:
        with pytest.raises(NotEvaluatedError):
            read(json.dumps({**told, **change}).encode(), Golden, "golden.json")


# The tasks beside classes and numbers: the data of each, the answers of a model, and what a predictor calls them.
TASKS: dict[Task, tuple[str, list[str]]] = {
    Task.MULTILABEL: ("target: [spam, urgent]", ["p:spam", "p:urgent"]),
    Task.MULTIOUTPUT: ("target: [width, height]", ["y:width", "y:height"]),
    Task.RANKING: ("target: relevance, group: query", ["score"]),
    Task.FORECAST: ("train: data/train.parquet, target: width, time: month, series: query", ["y"]),
}
OTHERS = pl.DataFrame(
    {
        "a": RNG.normal(size=ROWS),
        "b": RNG.normal(size=ROWS),
        "spam": [at % 2 for at in range(ROWS)],
        "urgent": [at % 3 == 0 for at in range(ROWS)],
        "width": RNG.normal(size=ROWS),
        "height": 1000 * RNG.normal(size=ROWS),
        "relevance": [at % 4 for at in range(ROWS)],
        "query": [at // 5 for at in range(ROWS)],
        "month": [f"2020-0{1 + at % 5}" for at in range(ROWS)],
    }
)


def other(task: Task, more: str = "") -> Model:
    """A model of it; `more` is a line of its config."""
    rows = f"holdout: data/holdout.parquet, features: [a, b], {TASKS[task][0]}"
    train = "train: {run: make}"
    text = f"version: 1\nmodels:\n  m:\n    task: {task}\n    {train}\n{more}    data: {{{rows}}}\n"
    return read_config(f"{text}    gates: {{{ANY[task]}: {{min: 0}}}}\n").models[0]


ANY = {
    Task.MULTILABEL: "f1_micro",
    Task.MULTIOUTPUT: "r2",
    Task.RANKING: "ndcg",
    Task.FORECAST: "r2",
}


@pytest.mark.parametrize("task", TASKS)
def test_models_of_the_other_tasks_answer_bit_for_bit(tmp_path: Path, task: Task) -> None:
    table(tmp_path, OTHERS)
    last, wide = "Sigmoid" if task is Task.MULTILABEL else "Identity", len(TASKS[task][1])
    weights = np.array([[2.0, 0.5], [0.1, 90.0]])[:, :wide]
    file = saved(tmp_path, matrix(weights, last=last))
    golden = read(canonical(make_golden(file, other(task), tmp_path, 20)), Golden, "golden.json")
    sums = OTHERS[np.linspace(0, ROWS - 1, 20).round().astype(int)].select("a", "b").to_numpy() @ weights
    expected = 1 / (1 + np.exp(-sums)) if task is Task.MULTILABEL else sums
    np.testing.assert_allclose(golden.predictions, expected, rtol=1e-4, atol=1e-4)
    assert {each.name for each in golden.columns} == {"a", "b"}
    assert smoke(file, golden, SMOKE, limits=QUICK).reason is SmokeReason.AS_JUDGED
    worse = saved(tmp_path, matrix(weights * 1.01, last=last), "worse.onnx")
    assert smoke(worse, golden, SMOKE, limits=QUICK).reason is SmokeReason.NOT_THE_BYTES
    moved = golden.model_copy(update={"predictions": tuple(tuple(v + 0.01 for v in row) for row in golden.predictions)})
    assert smoke(file, moved, SMOKE, limits=QUICK).reason is SmokeReason.PREDICTIONS_DIFFER


@pytest.mark.parametrize("task", TASKS)
def test_predictors_of_the_other_tasks_answer_as_judged(tmp_path: Path, task: Task) -> None:
    table(tmp_path, OTHERS)
    names, by = TASKS[task][1], [1.0]

    def answers(frame: pl.DataFrame) -> pl.DataFrame:
        number = by[0] / (1 + pl.col("a").exp())
        return frame.select("row_id", *(number.alias(name) for name in names))

    def asked(_path: Path, holdout: HoldoutData) -> Scored | Problem:
        return ask(answers, holdout, tmp_path)[0]

    golden = make_golden(tmp_path, other(task, "    predict: {run: make}\n"), tmp_path, 20, asked)
    golden = read(canonical(golden), Golden, "golden.json")
    expected = 1 / (1 + np.exp(OTHERS["a"].to_numpy()[np.linspace(0, ROWS - 1, 20).round().astype(int)]))
    np.testing.assert_allclose(golden.predictions, np.column_stack([expected] * len(names)))
    assert smoke(tmp_path, golden, Smoke(), ask=asked).reason is SmokeReason.AS_JUDGED
    by[0] = 0.9
    assert smoke(tmp_path, golden, Smoke(), ask=asked).reason is SmokeReason.PREDICTIONS_DIFFER
