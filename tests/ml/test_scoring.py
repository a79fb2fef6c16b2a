"""Scoring real files in real children: good ones are scored right, hostile ones end in a problem and nothing else."""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from tests.support.dependent_samples import DEPENDENT
from tests.support.onnx_samples import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT64,
    STRING,
    bomb,
    build,
    columns,
    endless,
    external,
    matrix,
    port,
    with_own_rule,
)
from tests.support.tiers import examples

from mlbot.config.data import Data
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.answers import rounding_of
from mlbot.ml.holdout import HoldoutData, open_holdout
from mlbot.ml.protocol import FEATURES_KEY, Load, Loaded, ModelFacts
from mlbot.ml.scoring import Limits, Scored, score, score_many
from mlbot.ml.worker import ScoringError, Worker
from mlbot.storage.artifact import measured
from mlbot.verdict.verdict import OwnLabels, Problem

QUICK = Limits(latency_requests=5, latency_s=0.2, wall_s=60, memory_bytes=1 << 30)
RNG = np.random.default_rng(0)
ROWS = 300
NUMBERS = pl.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "c": RNG.integers(0, 9, ROWS)})
LABELLED = NUMBERS.with_columns(y=pl.when(pl.col("a") + pl.col("b") > 0).then(pl.lit("yes")).otherwise(pl.lit("no")))


def holding(path: Path, frame: pl.DataFrame, task: Task = Task.BINARY, **changes: Any) -> HoldoutData:
    frame.write_parquet(path / "holdout.parquet")
    data = Data(**{"holdout": "holdout.parquet", "target": "y", **changes})
    found = open_holdout(path / "holdout.parquet", data, task)
    assert isinstance(found, HoldoutData), found
    return found


@pytest.fixture
def holdout(tmp_path: Path) -> HoldoutData:
    return holding(tmp_path, LABELLED)


def saved(path: Path, model: onnx.ModelProto | bytes) -> Path:
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def scored(path: Path, model: onnx.ModelProto | bytes, holdout: HoldoutData, limits: Limits = QUICK) -> Scored:
    found = score(saved(path / "model.onnx", model), holdout, limits=limits)
    assert isinstance(found, Scored), found
    return found


def problem(path: Path, model: onnx.ModelProto | bytes, holdout: HoldoutData, limits: Limits = QUICK) -> Problem:
    found = score(saved(path / "model.onnx", model), holdout, limits=limits)
    assert isinstance(found, Problem)
    return found


def converted(estimator: Any, types: Sequence[tuple[str, Any]]) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between numpy, protobuf and skl2onnx; not what is tested here
        options = {"zipmap": False} if hasattr(estimator, "predict_proba") else None
        return to_onnx(estimator, initial_types=list(types), options=options)


def mixed() -> tuple[pl.DataFrame, Any, onnx.ModelProto]:
    """Floats, whole numbers and text with gaps, and a fitted pipeline on them."""
    frame = LABELLED.with_columns(town=pl.Series(["Rome", "", "Oslo"] * (ROWS // 3)))
    encode = ColumnTransformer([("town", OneHotEncoder(), ["town"])], remainder="passthrough")
    pipeline = make_pipeline(encode, LogisticRegression(max_iter=1000))
    pipeline.fit(frame.select("a", "c", "town"), frame["y"].to_numpy())
    return (
        frame,
        pipeline,
        converted(
            pipeline,
            [
                ("a", FloatTensorType([None, 1])),
                ("c", Int64TensorType([None, 1])),
                ("town", StringTensorType([None, 1])),
            ],
        ),
    )


# --- what fits is scored as its author's library would


def test_a_pipeline_on_numbers_and_text_is_scored_as_scikit_learn_does(tmp_path: Path) -> None:
    frame, pipeline, model = mixed()
    gaps = frame.with_columns(town=pl.when(pl.col("town") == "").then(None).otherwise("town"))
    found = scored(tmp_path, model, holding(tmp_path, gaps, drop=("b",)))
    wanted = pipeline.predict_proba(frame.select("a", "c", "town"))[:, 1]
    np.testing.assert_allclose(found.predictions, wanted, atol=1e-5)
    assert found.predictions.dtype == np.float64
    assert found.classes == ("no", "yes")
    assert found.size_bytes == (tmp_path / "model.onnx").stat().st_size
    assert found.latency is not None
    assert found.latency.requests == 5
    assert 0 < found.latency.p50_ms <= found.latency.p95_ms
    assert found.latency.rows_per_s > 0


def test_models_are_timed_in_turn_in_as_many_rounds(tmp_path: Path) -> None:
    frame, _, model = mixed()
    path = saved(tmp_path / "model.onnx", model)
    holdout = holding(tmp_path, frame, drop=("b",))
    limits = replace(QUICK, rounds_s=0.4)
    other, ours, theirs = score_many([path, path, path], holdout, limits=limits, in_turn=(1, 2))
    assert isinstance(other, Scored)
    assert isinstance(ours, Scored)
    assert isinstance(theirs, Scored)
    assert other.latency is not None
    assert ours.latency is not None
    assert (other.rounds, other.latency.rounds, other.latency.p50_low) == ((), 0, None)
    assert 0 < len(ours.rounds) == len(theirs.rounds) == ours.latency.rounds <= 20
    assert ours.latency.requests >= len(ours.rounds)


def test_the_positive_label_decides_which_column_is_read(tmp_path: Path) -> None:
    frame, _, model = mixed()
    yes = scored(tmp_path, model, holding(tmp_path, frame, drop=("b",))).predictions
    no = scored(tmp_path, model, holding(tmp_path, frame, drop=("b",), positive="no")).predictions
    np.testing.assert_allclose(yes + no, 1, atol=1e-6)


def test_a_matrix_model_on_batches_of_every_size_gives_the_same(tmp_path: Path, holdout: HoldoutData) -> None:
    classifier = HistGradientBoostingClassifier(max_iter=10).fit(NUMBERS.to_numpy(), LABELLED["y"].to_numpy())
    model = converted(classifier, [("X", FloatTensorType([None, 3]))])
    whole = scored(tmp_path, model, holdout).predictions
    np.testing.assert_allclose(whole, classifier.predict_proba(NUMBERS.to_numpy())[:, 1], atol=1e-5)
    for rows in (7, ROWS - 1):
        parts = scored(tmp_path, model, holdout, replace(QUICK, batch_rows=rows)).predictions
        np.testing.assert_array_equal(parts, whole)


def test_inputs_in_another_order_are_fed_by_name(tmp_path: Path, holdout: HoldoutData) -> None:
    one = scored(tmp_path, columns({"a": 1.0, "b": 2.0, "c": 3.0}), holdout)
    other = scored(tmp_path, columns({"c": 3.0, "a": 1.0, "b": 2.0}), holdout)
    np.testing.assert_allclose(one.predictions, other.predictions, atol=1e-6)
    assert other.facts.single_probability


def test_several_threads_predict_the_same(tmp_path: Path, holdout: HoldoutData) -> None:
    one = scored(tmp_path, matrix(np.eye(3, 2)), holdout)
    two = scored(tmp_path, matrix(np.eye(3, 2)), holdout, replace(QUICK, threads=2))
    np.testing.assert_allclose(one.predictions, two.predictions, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_holdout_of_very_few_rows(tmp_path: Path, rows: int) -> None:
    few = holding(tmp_path, LABELLED.head(rows), classes=("no", "yes"))
    assert scored(tmp_path, columns({"a": 1.0}), few).predictions.shape == (rows,)


def test_a_regression_gives_numbers(tmp_path: Path) -> None:
    frame = NUMBERS.with_columns(y=pl.col("a") * 100 - 3)
    regressor = LinearRegression().fit(NUMBERS.to_numpy(), frame["y"].to_numpy())
    model = converted(regressor, [("X", FloatTensorType([None, 3]))])
    found = scored(tmp_path, model, holding(tmp_path, frame, Task.REGRESSION))
    np.testing.assert_allclose(found.predictions, frame["y"].to_numpy(), rtol=1e-4, atol=1e-3)
    assert found.classes == ()


def multiclass(path: Path, labels: Sequence[str], **changes: Any) -> HoldoutData:
    frame = NUMBERS.with_columns(y=pl.Series([labels[i % len(labels)] for i in range(ROWS)]))
    return holding(path, frame, Task.MULTICLASS, **changes)


def test_multiclass_columns_are_put_into_the_holdouts_order(tmp_path: Path) -> None:
    y = np.array(["x", "y", "z"])[np.arange(ROWS) % 3]
    classifier = LogisticRegression().fit(NUMBERS.to_numpy(), y)
    model = converted(classifier, [("X", FloatTensorType([None, 3]))])
    found = scored(tmp_path, model, multiclass(tmp_path, "xyz", classes=("z", "x", "y")))
    assert found.classes == ("z", "x", "y")
    np.testing.assert_allclose(found.predictions, classifier.predict_proba(NUMBERS.to_numpy())[:, [2, 0, 1]], atol=1e-5)
    np.testing.assert_allclose(found.predictions.sum(axis=1), 1, atol=1e-12)


def test_models_that_know_different_classes_get_one_form(tmp_path: Path) -> None:
    holdout = multiclass(tmp_path, "bca")
    models = []
    for number, names in enumerate((("a", "b", "c", "d"), ("a", "c"))):
        y = np.array(names)[np.arange(ROWS) % len(names)]
        model = converted(LogisticRegression().fit(NUMBERS.to_numpy(), y), [("X", FloatTensorType([None, 3]))])
        models.append(saved(tmp_path / f"{number}.onnx", model))
    more, fewer = score_many(models, holdout, limits=QUICK)
    assert isinstance(more, Scored)
    assert isinstance(fewer, Scored)
    assert more.classes == fewer.classes == ("a", "b", "c", "d")
    assert more.predictions.shape == fewer.predictions.shape == (ROWS, 4)
    assert (more.predictions > 0).all()
    assert not fewer.predictions[:, [1, 3]].any()


def test_a_float_that_holds_whole_numbers_fits_a_whole_number_input(tmp_path: Path) -> None:
    frame = pl.DataFrame({"c": [1.0, 2.0], "y": ["no", "yes"]})
    assert scored(tmp_path, columns({"c": 1.0}, kind=INT64), holding(tmp_path, frame)).predictions.shape == (2,)


# --- one reading for all of them


def test_results_come_in_order_and_one_models_problem_is_its_own(tmp_path: Path, holdout: HoldoutData) -> None:
    good = saved(tmp_path / "good", columns({"a": 1.0}))
    bad = saved(tmp_path / "bad", b"\x80\x04]\x94.")
    slow = saved(tmp_path / "slow", endless())
    found = score_many([bad, good, tmp_path / "none", slow, good], holdout, limits=replace(QUICK, wall_s=8))
    reasons = [each.reason if isinstance(each, Problem) else None for each in found]
    assert reasons == [Reason.MODEL_REFUSED, None, Reason.MODEL_MISSING, Reason.SCORING_TIMEOUT, None]
    first, last = found[1], found[4]
    assert isinstance(first, Scored)
    assert isinstance(last, Scored)
    np.testing.assert_array_equal(first.predictions, last.predictions)
    assert first.digest == last.digest


def test_no_models_are_no_results(holdout: HoldoutData) -> None:
    assert score_many([], holdout) == ()


def test_a_holdout_that_changes_while_it_is_scored_is_a_problem(tmp_path: Path) -> None:
    holdout = holding(tmp_path, LABELLED)
    LABELLED.head(10).write_parquet(tmp_path / "holdout.parquet")
    found = problem(tmp_path, columns({"a": 1.0}), holdout)
    assert found.reason is Reason.HOLDOUT_UNREADABLE
    (tmp_path / "holdout.parquet").unlink()
    assert problem(tmp_path, columns({"a": 1.0}), holdout).reason is Reason.HOLDOUT_UNREADABLE


def test_the_protection_is_told(tmp_path: Path, holdout: HoldoutData) -> None:
    protection = scored(tmp_path, columns({"a": 1.0}), holdout).protection
    assert protection is not None
    assert protection.empty_environment
    assert protection.resource_limits
    assert protection.other_user is (os.geteuid() == 0)


def test_nothing_is_left_behind(tmp_path: Path, holdout: HoldoutData) -> None:
    def mine() -> set[str]:
        return {entry.name for entry in Path("/proc/self/fd").iterdir()} if Path("/proc/self/fd").exists() else set()

    scored(tmp_path, columns({"a": 1.0}), holdout)
    before = mine()
    for _ in range(3):
        scored(tmp_path, columns({"a": 1.0}), holdout)
        problem(tmp_path, b"\x08", holdout)
    assert len(mine()) <= len(before)


# --- hostile files


def noisy(value: float) -> onnx.ModelProto:
    """`value` on the rows where a > 0, else a probability."""
    nodes = [
        helper.make_node("Greater", ["a", "zero"], ["high"]),
        helper.make_node("Where", ["high", "value", "half"], ["p"]),
    ]
    constants = {name: np.array([[x]], dtype=np.float32) for name, x in (("zero", 0), ("value", value), ("half", 0.5))}
    return build(nodes, [port("a")], [port("p")], constants=constants)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_predictions_that_are_not_finite_are_counted(tmp_path: Path, holdout: HoldoutData, value: float) -> None:
    found = problem(tmp_path, noisy(value), holdout)
    assert found.reason is Reason.NOT_FINITE
    assert f"on {int((NUMBERS['a'].cast(pl.Float32) > 0).sum())} of {ROWS} rows" in found.detail


@pytest.mark.parametrize("value", [1.5, -0.25])
def test_predictions_outside_zero_and_one_are_no_probabilities(
    tmp_path: Path, holdout: HoldoutData, value: float
) -> None:
    found = problem(tmp_path, noisy(value), holdout)
    assert found.reason is Reason.NOT_PROBABILITIES
    assert "logits" in found.hint
    assert f"{value:.3g}" in found.detail


def test_a_last_digit_beyond_one_is_forgiven(tmp_path: Path, holdout: HoldoutData) -> None:
    assert scored(tmp_path, noisy(1.0000001), holdout).predictions.max() == 1.0


@pytest.mark.parametrize(
    ("far", "noise", "spread", "counts"),
    [
        (1e9, 100.0, 1e4, True),  # float32 goes in steps of 64 there
        (1e9, 1e4, 1e5, False),  # errors of 10,000 do not see them
        (1e9, 0.0, 1e9, False),  # nor does a target that varies by its own size
        (0.0, 0.0, 1.0, False),
    ],
)
def test_float32_that_is_coarse_beside_the_errors_of_a_regression_is_counted(
    far: float, noise: float, spread: float, *, counts: bool
) -> None:
    targets = far + RNG.normal(size=ROWS) * spread
    answers = (targets + RNG.normal(size=ROWS) * noise).astype(np.float32).astype(np.float64)
    found = rounding_of(targets, answers)
    assert (found is not None) is counts
    assert found is None or found.step == 64


def test_the_steps_of_float32_are_told_and_those_of_double_are_none(tmp_path: Path) -> None:
    holdout = holding(tmp_path, NUMBERS.with_columns(y=pl.col("a") * 100 + 1e9), Task.REGRESSION)
    single, double = (
        build(
            [
                helper.make_node("Cast", ["a"], ["x"], to=kind),
                helper.make_node("Mul", ["x", "hundred"], ["z"]),
                helper.make_node("Add", ["z", "far"], ["p"]),
            ],
            [port("a", kind)],
            [port("p", kind)],
            constants={"hundred": np.array(100, dtype), "far": np.array(1e9, dtype)},
        )
        for kind, dtype in ((FLOAT, np.float32), (DOUBLE, np.float64))
    )
    coarse = scored(tmp_path, single, holdout).rounding
    assert coarse is not None
    assert coarse.step == 64
    assert scored(tmp_path, double, holdout).rounding is None


def test_what_is_no_probability_is_named_for_what_it_may_be(tmp_path: Path, holdout: HoldoutData) -> None:
    assert "log-softmax" in problem(tmp_path, matrix(np.eye(3, 2), last="LogSoftmax"), holdout).hint
    assert "per cent" in problem(tmp_path, matrix(np.eye(3, 2), last="Exp"), holdout).hint


def test_logits_are_named(tmp_path: Path, holdout: HoldoutData) -> None:
    assert "logits" in problem(tmp_path, columns({"a": 5.0}, last="Identity"), holdout).hint
    three = matrix(RNG.normal(size=(3, 3)) * 5, last="Identity")
    found = problem(tmp_path, three, multiclass(tmp_path, "abc"))
    assert found.reason is Reason.NOT_PROBABILITIES


def test_a_sigmoid_for_each_class_does_not_sum_to_one(tmp_path: Path) -> None:
    found = problem(tmp_path, matrix(np.eye(3), last="Sigmoid"), multiclass(tmp_path, "abc"))
    assert found.reason is Reason.NOT_PROBABILITIES
    assert "softmax" in found.hint


def with_external_data(path: Path, *, location: str = "weights.bin", **entries: str) -> Path:
    """A folder with a model whose tensor is in a file beside it."""
    path.mkdir()
    model = matrix(RNG.normal(size=(3, 3)))
    (tensor,) = model.graph.initializer
    (path / "weights.bin").write_bytes(b"before" + tensor.raw_data)
    facts = {"location": location, "offset": "6", "length": str(len(tensor.raw_data))} | entries
    for name, value in facts.items():
        tensor.external_data.add(key=name, value=value)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    (path / "model.onnx").write_bytes(model.SerializeToString())
    return path


def test_a_folder_with_external_data_is_one_model(tmp_path: Path) -> None:
    folder = with_external_data(tmp_path / "model")
    (folder / "notes.txt").write_text("of the author")
    holdout = multiclass(tmp_path, "abc")
    found = score(folder, holdout, limits=QUICK)
    assert isinstance(found, Scored), found
    assert (found.digest, found.size_bytes) == (measured(folder).digest, measured(folder).size_bytes)
    whole = onnx.load(folder / "model.onnx")  # onnx's own reader
    same = scored(tmp_path, whole, holdout)
    np.testing.assert_array_equal(found.predictions, same.predictions)


@pytest.mark.parametrize(
    ("entries", "cause"),
    [
        ({"location": "/etc/passwd"}, "external-data"),
        ({"location": "../model/weights.bin"}, "external-data"),
        ({"location": "other.bin"}, "external-data"),
        ({"offset": "7"}, "external-data"),
        ({"length": "9999999"}, "external-data"),
        ({"length": "-1"}, "external-data"),
        ({"offset": "\u0661"}, "external-data"),
        ({"length": "4"}, "invalid"),
    ],
)
def test_external_data_is_of_the_folder_alone(tmp_path: Path, entries: dict[str, str], cause: str) -> None:
    folder = with_external_data(tmp_path / "model", **entries)
    found = score(folder, multiclass(tmp_path, "abc"), limits=QUICK)
    assert isinstance(found, Problem)
    assert (found.reason, found.cause) == (Reason.MODEL_REFUSED, cause)


def test_a_folder_has_one_model_and_nothing_but_files(tmp_path: Path) -> None:
    holdout = multiclass(tmp_path, "abc")
    folder = with_external_data(tmp_path / "model")
    small = replace(QUICK, size_bytes=100)
    assert getattr(score(folder, holdout, limits=small), "cause", None) == "too-large"
    (folder / "link").symlink_to("/etc/passwd")
    assert getattr(score(folder, holdout, limits=QUICK), "cause", None) == "no-regular-file"
    (folder / "link").unlink()
    (folder / "second.onnx").write_bytes(b"\x08")
    assert getattr(score(folder, holdout, limits=QUICK), "cause", None) == "folder"


@pytest.mark.parametrize("place", ["initializer", "attribute", "function"])
def test_external_data_is_refused(tmp_path: Path, holdout: HoldoutData, place: str) -> None:
    assert problem(tmp_path, external(place), holdout).reason is Reason.MODEL_REFUSED


def test_a_huge_tensor_meets_the_memory_limit(tmp_path: Path, holdout: HoldoutData) -> None:
    for elements in (1 << 40, 1 << 29):
        assert problem(tmp_path, bomb(elements), holdout).reason is Reason.SCORING_MEMORY


def test_an_endless_loop_meets_the_time_limit(tmp_path: Path, holdout: HoldoutData) -> None:
    found = problem(tmp_path, endless(), holdout, replace(QUICK, wall_s=6))
    assert found.reason is Reason.SCORING_TIMEOUT
    assert "6 seconds" in found.detail


def test_a_file_of_many_empty_nodes_meets_a_limit(tmp_path: Path, holdout: HoldoutData) -> None:
    model = columns({"a": 1.0}).SerializeToString()
    nodes = b"\x0a\x00" * 300_000  # of a GraphProto: field 1, a NodeProto of no bytes
    length = len(nodes)
    varint = b""
    while length > 127:
        varint, length = varint + bytes([length & 127 | 128]), length >> 7
    found = problem(tmp_path, model + b"\x3a" + varint + bytes([length]) + nodes, holdout)
    assert found.reason in {Reason.MODEL_REFUSED, Reason.SCORING_MEMORY, Reason.SCORING_TIMEOUT}


def test_a_file_beyond_the_size_limit_is_not_read(tmp_path: Path, holdout: HoldoutData) -> None:
    found = problem(tmp_path, columns({"a": 1.0}), holdout, replace(QUICK, size_bytes=100))
    assert found.reason is Reason.MODEL_REFUSED


def test_a_custom_operator_is_refused(tmp_path: Path, holdout: HoldoutData) -> None:
    node = helper.make_node("PyOp", ["a"], ["p"], domain="ai.onnx.contrib")
    found = problem(tmp_path, build([node], [port("a")], [port("p")], domains=["ai.onnx.contrib"]), holdout)
    assert found.reason is Reason.MODEL_REFUSED


def test_a_function_named_as_the_runtimes_operator_is_refused(tmp_path: Path, holdout: HoldoutData) -> None:
    body = [helper.make_node("Relu", ["a"], ["p"])]
    function = helper.make_function("com.microsoft", "QuickGelu", ["a"], ["p"], body, [helper.make_opsetid("", 17)])
    node = helper.make_node("QuickGelu", ["a"], ["p"], domain="com.microsoft")
    model = build([node], [port("a")], [port("p")], domains=["com.microsoft"], functions=[function])
    assert problem(tmp_path, model, holdout).reason is Reason.MODEL_REFUSED


@pytest.mark.parametrize("field", [b"the-graph", b"the-node", b"Sigmoid", b"weights"])
def test_text_that_is_no_utf8_is_the_models_fault(tmp_path: Path, holdout: HoldoutData, field: bytes) -> None:
    nodes = [helper.make_node("Sigmoid", ["weights"], ["p"], name="the-node")]
    model = build([helper.make_node("Identity", ["a"], ["weights"]), *nodes], [port("a")], [port("p")])
    model.graph.name = "the-graph"
    content = model.SerializeToString()
    assert field in content
    found = problem(tmp_path, content.replace(field, b"\xff" * len(field)), holdout)
    assert found.reason is Reason.MODEL_REFUSED


@pytest.mark.parametrize("version", [-1, -(2**31)])
def test_an_opset_that_is_no_version_is_the_models_fault(tmp_path: Path, holdout: HoldoutData, version: int) -> None:
    model = columns({"a": 1.0})
    model.opset_import.insert(0, helper.make_opsetid("ai.onnx", version))
    assert problem(tmp_path, model, holdout).reason is Reason.MODEL_REFUSED


def shortened() -> onnx.ModelProto:
    """The first row only."""
    constants = {name: np.array([value]) for name, value in (("from", 0), ("to", 1), ("axis", 0))}
    node = helper.make_node("Slice", ["a", "from", "to", "axis"], ["p"])
    return build([node], [port("a")], [port("p")], constants=constants)


def doubled() -> onnx.ModelProto:
    """Each row twice."""
    return build([helper.make_node("Concat", ["a", "a"], ["p"], axis=0)], [port("a")], [port("p")])


def lying() -> onnx.ModelProto:
    """An output of open width that turns out to have three columns."""
    node = helper.make_node("Concat", ["a", "a", "a"], ["p"], axis=1)
    return build([node], [port("a")], [port("p", shape=(None, None))])


@pytest.mark.parametrize("model", [shortened(), doubled(), lying()], ids=["short", "twice", "wide"])
def test_another_number_of_predictions_than_rows_is_an_error_of_the_outputs(
    tmp_path: Path, holdout: HoldoutData, model: onnx.ModelProto
) -> None:
    found = problem(tmp_path, model, holdout)
    assert found.reason is Reason.MODEL_OUTPUTS


def test_the_tensor_behind_a_zipmap_is_scored(tmp_path: Path, holdout: HoldoutData) -> None:
    classifier = LogisticRegression().fit(NUMBERS.to_numpy(), LABELLED["y"].to_numpy())
    found = scored(tmp_path, to_onnx(classifier, NUMBERS.to_numpy()[:1].astype(np.float32)), holdout)
    np.testing.assert_allclose(found.predictions, classifier.predict_proba(NUMBERS.to_numpy())[:, 1], atol=1e-5)
    assert found.size_bytes == (tmp_path / "model.onnx").stat().st_size


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (columns({"a": 1.0, "salary": 1.0}), Reason.MODEL_INPUTS),
        (matrix(np.eye(4, 2)), Reason.MODEL_INPUTS),
        (matrix(np.eye(3, 2), metadata={FEATURES_KEY: '["b", "a", "c"]'}), Reason.FEATURE_ORDER),
        (columns({"a": 1.0}, kind=STRING), Reason.MODEL_INPUTS),
        (columns({"a": 1.0}, kind=INT64), Reason.MODEL_INPUTS),
        (columns({"a": 1.0}, kind=BOOL), Reason.MODEL_INPUTS),
    ],
)
def test_inputs_that_do_not_fit(tmp_path: Path, holdout: HoldoutData, model: onnx.ModelProto, reason: Reason) -> None:
    assert problem(tmp_path, model, holdout).reason is reason


def test_whole_numbers_with_gaps_do_not_fit_a_whole_number_input(tmp_path: Path) -> None:
    frame = LABELLED.with_columns(c=pl.when(pl.col("c") > 3).then("c"))
    found = problem(tmp_path, columns({"c": 1.0}, kind=INT64), holding(tmp_path, frame))
    assert found.reason is Reason.MODEL_INPUTS
    assert "missing" in found.detail


def test_missing_numbers_reach_a_float_input_as_nan(tmp_path: Path) -> None:
    frame = LABELLED.with_columns(a=pl.when(pl.col("c") > 3).then("a"))
    found = problem(tmp_path, columns({"a": 1.0}), holding(tmp_path, frame))
    assert found.reason is Reason.NOT_FINITE
    assert f"on {frame['a'].null_count()} of" in found.detail


# --- answers that depend on how they are asked for


@pytest.mark.parametrize("name", ["less its mean", "over its deviation"])
def test_a_model_that_answers_a_row_otherwise_when_it_is_alone_is_refused(
    tmp_path: Path, holdout: HoldoutData, name: str
) -> None:
    cause, model = DEPENDENT[name]
    found = problem(tmp_path, model, holdout)
    assert (found.reason, found.cause) == (Reason.MODEL_REFUSED, cause)
    assert found.hint.startswith("In production rows come one at a time")


# --- bytes that nobody thought of


@pytest.fixture(scope="module")
def child() -> Iterator["Child"]:
    child = Child()
    yield child
    child.close()


class Child:
    """A scoring child that is given file after file, and replaced when one ends it."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def load(self, content: bytes, holdout: HoldoutData) -> ModelFacts | Problem:
        worker = self.worker
        if worker is None:
            worker = Worker(holdout.expected, memory_bytes=1 << 30, wall_s=60, threads=1)
            worker.ready()
            self.worker = worker
        try:
            worker.send(Load(), len(content), [content])
            answer, _ = worker.receive(0)
        except ScoringError as error:
            if "process" in error.problem.detail or error.problem.reason is Reason.SCORING_TIMEOUT:
                self.close()
            return error.problem
        assert isinstance(answer, Loaded)
        return answer.facts


SEEDS = [
    columns({"a": 1.0, "b": 2.0}).SerializeToString(),
    matrix(np.eye(3, 2)).SerializeToString(),
    mixed()[2].SerializeToString(),
    endless().SerializeToString(),
]


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), min_size=1, max_size=4),
    length=st.floats(0, 1),
)
def test_no_change_of_a_models_bytes_is_more_than_a_problem(
    child: Child, holdout: HoldoutData, seed: bytes, changes: list[tuple[float, bytes]], length: float
) -> None:
    content = bytearray(seed)
    for where, what in changes:
        at = int(where * len(content))
        content[at : at + len(what)] = what
    cut = bytes(content[: max(1, int(length * len(content)))]) if length < 0.5 else bytes(content)
    found = child.load(cut, holdout)
    if isinstance(found, Problem):
        assert found.reason.value.partition("-")[0] in {"model", "feature", "scoring"}
        assert found.detail.isprintable()


# --- which label a row is given


def forest_case(labels: Sequence[str], trees: int = 4) -> tuple[pl.DataFrame, Any, onnx.ModelProto]:
    """Rows that many trees share out evenly, and a forest of whole votes on them."""
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"a": rng.normal(size=400).astype(np.float32), "b": rng.normal(size=400).astype(np.float32)})
    names = np.array(labels)[rng.integers(0, len(labels), 400)]
    x = frame.to_numpy()
    forest = RandomForestClassifier(trees, random_state=0).fit(x[:200], names[:200])
    model = converted(forest, [("X", FloatTensorType([None, 2]))])
    return frame.with_columns(y=pl.Series(names)), forest, model


@pytest.mark.parametrize("positive", ["bad", "good"])
def test_a_tie_is_the_label_that_scikit_learn_gives_it_whichever_is_positive(tmp_path: Path, positive: str) -> None:
    frame, forest, model = forest_case(["bad", "good"])
    x = frame.select("a", "b").to_numpy()
    assert (forest.predict_proba(x)[:, 0] == 0.5).sum() > 50
    found = scored(tmp_path, model, holding(tmp_path, frame, positive=positive))
    assert found.decided is not None
    assert np.array_equal(found.decided == 1, forest.predict(x) == positive)
    assert found.own_labels == OwnLabels(rows=400, differ=0, threshold=0.5 if positive == "bad" else 0.7)


def test_a_tie_of_several_classes_is_the_first_of_the_models_own(tmp_path: Path) -> None:
    frame, forest, model = forest_case(["x", "y", "z"])
    x = frame.select("a", "b").to_numpy()
    top = np.sort(forest.predict_proba(x), axis=1)
    assert (top[:, -1] == top[:, -2]).sum() > 50
    data = holding(tmp_path, frame, Task.MULTICLASS, classes=("z", "y", "x"))
    found = scored(tmp_path, model, data)
    assert found.decided is not None
    assert np.array_equal(np.array(found.classes)[found.decided], forest.predict(x))
    assert found.own_labels == OwnLabels(rows=400, differ=0)


@pytest.mark.parametrize(("trees", "threshold"), [(8, 0.125), (8, 0.3), (8, 0.5), (8, 0.75), (10, 0.7), (10, 0.9)])
def test_a_threshold_is_that_of_scikit_learns_fixed_threshold_classifier(
    tmp_path: Path, trees: int, threshold: float
) -> None:
    """No float32 is seven tenths: compared as float64, seven votes of ten would not be enough."""
    frame, forest, model = forest_case(["bad", "good"], trees=trees)
    x = frame.select("a", "b").to_numpy()
    found = scored(tmp_path, model, holding(tmp_path, frame, positive="bad", threshold=threshold))
    fixed = FixedThresholdClassifier(FrozenEstimator(forest), threshold=threshold, pos_label="bad").fit(x, frame["y"])
    assert found.decided is not None
    assert np.array_equal(found.decided == 1, fixed.predict(x) == "bad")
    assert roc_auc_score(frame["y"] == "bad", found.predictions) == pytest.approx(
        roc_auc_score(frame["y"] == "bad", forest.predict_proba(x)[:, 0]), abs=1e-12
    )


def test_one_probability_alone_is_decided_by_the_order_of_the_classes(tmp_path: Path) -> None:
    """A tie at exactly one half is the first class, as with one column for each."""
    model = columns({"a": 0.0})
    for positive, wanted in (("no", 1), ("yes", 0)):
        found = scored(tmp_path, model, holding(tmp_path, LABELLED.select("a", "y"), positive=positive))
        assert found.decided is not None
        assert set(found.decided.tolist()) == {wanted}


def test_the_files_own_labels_are_counted_and_their_threshold_is_found(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": np.linspace(-4, 4, ROWS), "b": np.zeros(ROWS), "y": ["no", "yes"] * (ROWS // 2)})
    model = with_own_rule({"a": 1.0, "b": 1.0}, 0.2)
    plain = scored(tmp_path, model, holding(tmp_path, frame))
    own = plain.predictions >= np.float32(0.2)
    assert plain.decided is not None
    assert plain.own_labels == OwnLabels(rows=ROWS, differ=int((own != (plain.decided == 1)).sum()), threshold=0.2)
    assert plain.own_labels.differ > 40
    by_threshold = scored(tmp_path, model, holding(tmp_path, frame, threshold=0.2))
    assert by_threshold.own_labels == OwnLabels(rows=ROWS, differ=0, threshold=0.2)
    by_model = scored(tmp_path, model, holding(tmp_path, frame, label="model"))
    assert by_model.decided is not None
    assert np.array_equal(by_model.decided == 1, own)
    assert by_model.own_labels == plain.own_labels
    np.testing.assert_array_equal(by_model.predictions, plain.predictions)


def test_labels_of_a_support_vector_machine_are_its_own(tmp_path: Path) -> None:
    """Its `predict` goes by the sign of its distance, and its probabilities by another fit."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    y = np.where(x[:, 0] + 2 * rng.normal(size=300) > 2, "yes", "no")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine = SVC(probability=True, random_state=0, class_weight="balanced").fit(x, y)
    model = converted(machine, [("X", FloatTensorType([None, 2]))])
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})
    found = scored(tmp_path, model, holding(tmp_path, frame, label="model"))
    assert found.decided is not None
    assert np.array_equal(found.decided == 1, machine.predict(x) == "yes")
    differ = int(((found.predictions > 0.5) != (machine.predict(x) == "yes")).sum())
    assert found.own_labels is not None
    assert found.own_labels.differ == differ > 50


def labelling(label: onnx.NodeProto, kind: int, shape: tuple[int | None, ...] = (None,)) -> onnx.ModelProto:
    """P(positive), and an output called label that a node makes."""
    model = columns({"a": 1.0, "b": 1.0})
    model.graph.node.append(label)
    model.graph.output.append(port("label", kind, shape))
    return model


ODD_LABELS = [
    labelling(helper.make_node("Shape", ["p"], ["label"]), INT64),  # two numbers, however many rows
    labelling(helper.make_node("Size", ["p"], ["label"]), INT64, ()),
    labelling(helper.make_node("Constant", [], ["label"], value_strings=[b"x" * (1 << 20)] * 8), STRING),
    labelling(helper.make_node("Cast", ["p"], ["label"], to=STRING), STRING),  # a text a row, and none a class
]


def test_an_output_that_holds_no_labels_is_left_alone_and_cannot_be_asked_for(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{at}.onnx", model) for at, model in enumerate(ODD_LABELS)]
    files.append(saved(tmp_path / "none.onnx", columns({"a": 1.0, "b": 1.0})))
    frame = LABELLED.select("a", "b", "y")
    for found in score_many(files, holding(tmp_path, frame), limits=QUICK):
        assert isinstance(found, Scored), found
        assert found.own_labels is None
    for found in score_many(files, holding(tmp_path, frame, label="model"), limits=QUICK):
        assert isinstance(found, Problem)
        assert (found.reason, found.cause) == (Reason.MODEL_OUTPUTS, "no-labels")
        assert "data.threshold" in found.hint


def test_labels_that_depend_on_the_batch_are_refused_where_they_are_judged(tmp_path: Path) -> None:
    """The probabilities do not: only whoever asks for the labels gets other ones row by row."""
    model = columns({"a": 1.0, "b": 1.0})
    mean = helper.make_node("ReduceMean", ["p"], ["mean"], axes=[0])
    model.graph.node.extend([mean, helper.make_node("GreaterOrEqual", ["p", "mean"], ["over"])])
    model.graph.node.append(helper.make_node("Cast", ["over"], ["label"], to=INT64))
    model.graph.output.append(port("label", INT64))
    frame = LABELLED.select("a", "b", "y")
    scored(tmp_path, model, holding(tmp_path, frame))
    found = problem(tmp_path, model, holding(tmp_path, frame, label="model"))
    assert (found.reason, found.cause) == (Reason.MODEL_REFUSED, "labels-depend-on-batch")
    assert "of 300 rows get another one" in found.detail


def test_a_label_that_is_no_class_is_none_of_them(tmp_path: Path) -> None:
    model = with_own_rule({"a": 1.0, "b": 1.0}, 0.5)
    model.graph.node[-1].CopyFrom(helper.make_node("Cast", ["over"], ["zero_or_one"], to=INT64))
    three = helper.make_node("Constant", [], ["three"], value_int=3)
    model.graph.node.extend([three, helper.make_node("Mul", ["zero_or_one", "three"], ["label"])])
    assert scored(tmp_path, model, holding(tmp_path, LABELLED.select("a", "b", "y"))).own_labels is not None
    found = problem(tmp_path, model, holding(tmp_path, LABELLED.select("a", "b", "y"), label="model"))
    assert (found.reason, found.cause) == (Reason.MODEL_OUTPUTS, "other-labels")
