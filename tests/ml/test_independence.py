"""A model is refused when its answer to a row depends on anything but the row, and no honest one is."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import helper
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from skl2onnx.common.data_types import FloatTensorType
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from tests.ml.test_scoring import QUICK, converted, holding, saved
from tests.support.dependent_samples import DEPENDENT, exactly, if_rows, missing_as_the_batch, node
from tests.support.in_process import InProcess
from tests.support.onnx_samples import DOUBLE, FLOAT, INT64, build, port

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.independence import Trial, Way, at_a_step, few_odd_rows
from mlbot.ml.scoring import Scored, score
from mlbot.verdict.verdict import Problem

RNG = np.random.default_rng(3)
ROWS = 300
FRAME = pl.DataFrame({"a": RNG.normal(size=ROWS) * 2}).with_columns(
    y=pl.when(pl.col("a") > 0).then(pl.lit("yes")).otherwise(pl.lit("no"))
)


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbot.ml.scoring.Worker", InProcess)


def asked(folder: Path, model: onnx.ModelProto, frame: pl.DataFrame = FRAME, task: Task = Task.BINARY) -> Any:
    return score(saved(folder / "model.onnx", model), holding(folder, frame, task), limits=QUICK)


@pytest.mark.parametrize("name", DEPENDENT)
def test_what_depends_on_more_than_the_row_is_refused_by_its_kind(tmp_path: Path, name: str) -> None:
    cause, model = DEPENDENT[name]
    found = asked(tmp_path, model)
    assert isinstance(found, Problem), found
    assert (found.reason, found.cause) == (Reason.MODEL_REFUSED, cause), found.detail


def refused(found: Any) -> str:
    assert isinstance(found, Problem), found
    assert found.reason is Reason.MODEL_REFUSED, found
    return found.cause


def passed(found: Any) -> Scored:
    assert isinstance(found, Scored), found
    return found


def test_one_row_that_is_answered_otherwise_alone_is_enough(tmp_path: Path) -> None:
    value = float(np.float32(FRAME["a"][123]))
    found = asked(tmp_path, exactly(value))
    assert refused(found) == "depends-on-batch"
    assert "1 of 300 rows" in found.detail


@pytest.mark.parametrize("rows", [140, 20])
def test_a_batch_of_the_judges_size_or_its_last_one_is_no_special_case(tmp_path: Path, rows: int) -> None:
    """300 rows by 140 at a time: the last batch has 20."""
    file = saved(tmp_path / "model.onnx", if_rows("Equal", rows))
    found = score(file, holding(tmp_path, FRAME), limits=replace(QUICK, batch_rows=140))
    assert refused(found) == "depends-on-batch"


def test_a_missing_number_that_is_filled_from_the_batch_is_found_where_one_is_missing(tmp_path: Path) -> None:
    gaps = FRAME.with_columns(a=pl.when(pl.int_range(pl.len()) % 10 != 3).then("a"))
    assert refused(asked(tmp_path, missing_as_the_batch(), gaps)) == "depends-on-batch"
    passed(asked(tmp_path, missing_as_the_batch(), FRAME))


def few_close(value: float, *nodes: onnx.NodeProto, by: float = 4e-6) -> onnx.ModelProto:
    """A tenth of the rows are answered `value` and `by` times their `x`, which `nodes` make of `a` and `alone`."""
    every = [
        node("Shape", ["a"], ["shape"], end=1),
        node("Equal", ["shape", "one"], ["alone"]),
        *nodes,
        node("Cast", ["x"], ["wide"], to=DOUBLE),
        node("Mul", ["wide", "by"], ["little"]),
        node("Add", ["little", "value"], ["close"]),
        node("Sigmoid", ["a"], ["s"]),
        node("Cast", ["s"], ["far"], to=DOUBLE),
        node("Abs", ["a"], ["size"]),
        node("Less", ["size", "few"], ["is"]),
        node("Where", ["is", "close", "far"], ["p"]),
    ]
    constants = {
        "one": np.array([1]),
        "by": np.array([[by]]),
        "value": np.array([[value]]),
        "few": np.array([[np.quantile(np.abs(FRAME["a"].to_numpy()), 0.1)]], dtype=np.float32),
    }
    return build(every, [port("a")], [port("p", DOUBLE)], constants=constants)


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_decisions_are_compared_at_the_threshold_that_the_config_names(tmp_path: Path, threshold: float) -> None:
    """A tenth of the rows lie within 4e-6 of it, above or below by whether they are asked alone."""
    nodes = [node("Neg", ["a"], ["less"]), node("Where", ["alone", "less", "a"], ["y"]), node("Sign", ["y"], ["x"])]
    file = saved(tmp_path / "model.onnx", few_close(threshold, *nodes))
    found: Any = score(file, holding(tmp_path, FRAME, threshold=threshold), limits=QUICK)
    assert refused(found) == "depends-on-batch"
    assert "30 of 300 rows" in found.detail


@pytest.mark.parametrize(
    ("positive", "by", "says"), [("yes", 4e-6, True), ("yes", -4e-6, False), ("no", 4e-6, False), ("no", -4e-6, True)]
)
def test_a_tie_is_compared_as_it_is_judged(tmp_path: Path, positive: str, by: float, *, says: bool) -> None:
    """A tenth of the rows is answered one half, and a little else alone: one half is the first class, `no`."""
    model = few_close(0.5, node("Cast", ["alone"], ["x"], to=FLOAT), by=by)
    found: Any = score(saved(tmp_path / "model.onnx", model), holding(tmp_path, FRAME, positive=positive), limits=QUICK)
    if says:
        assert refused(found) == "depends-on-batch"
    else:
        passed(found)


WIDE = pl.DataFrame({name: RNG.normal(size=ROWS) for name in "abc"})
MEANS = [node("ReduceMean", ["X"], ["mean"], axes=[0]), node("Sub", ["X", "mean"], ["x"])]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_the_other_tasks(tmp_path: Path, task: Task, *, centred: bool) -> None:
    many = task is Task.MULTICLASS
    target = pl.Series(["x", "y", "z"] * 100) if many else WIDE["a"] * 1e3 + 1e5
    first = MEANS if centred else [node("Identity", ["X"], ["x"])]
    nodes = [*first, node("MatMul", ["x", "w"], ["s"]), node("Softmax" if many else "Identity", ["s"], ["p"])]
    weights = {"w": (RNG.normal(size=(3, 3 if many else 1)) * 100).astype(np.float32)}
    model = build(nodes, [port("X", shape=(None, 3))], [port("p", shape=(None, 3 if many else 1))], constants=weights)
    found = asked(tmp_path, model, WIDE.with_columns(y=target), task)
    if centred:
        assert refused(found) == "depends-on-batch"
    else:
        passed(found)


def offset_alone(by: float) -> onnx.ModelProto:
    """Twice `a`, and a little more where a row is alone."""
    nodes = [
        node("Shape", ["a"], ["shape"], end=1),
        node("Equal", ["shape", "one"], ["alone"]),
        node("Where", ["alone", "by", "zero"], ["more"]),
        node("Mul", ["a", "two"], ["twice"]),
        node("Add", ["twice", "more"], ["p"]),
    ]
    numbers = {name: np.array([[value]], dtype=np.float32) for name, value in (("by", by), ("zero", 0), ("two", 2))}
    return build(nodes, [port("a")], [port("p")], constants={"one": np.array([1]), **numbers})


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize(("error", "by", "says"), [(0, 0, False), (0, 1e-3, True), (0, 1e-2, True), (0.1, 1e-3, False)])
def test_an_exact_regression_errs_as_little_however_it_is_asked(
    tmp_path: Path, error: float, by: float, *, says: bool, outliers: bool
) -> None:
    """Its predictions lie thousands of times as far apart as its errors are large, more so with outliers."""
    wide = FRAME.with_columns(pl.when(pl.int_range(pl.len()) % 10 == 0).then(1e6).otherwise("a").alias("a"))
    frame = (wide if outliers else FRAME).with_columns(
        y=pl.col("a") * 2 + pl.lit(pl.Series(RNG.normal(size=ROWS))) * error
    )
    found = asked(tmp_path, offset_alone(by), frame, Task.REGRESSION)
    if says:
        assert refused(found) == "depends-on-batch"
    else:
        passed(found)


# What an honest model may do: none of these is refused.


def stepped(rows: np.ndarray) -> onnx.ModelProto:
    """A step behind a sum, at a row where the sum rounds otherwise for one row than for many, if there is one."""
    wide = rows.shape[1]
    total = helper.make_node("LinearRegressor", ["X"], ["s"], domain="ai.onnx.ml", coefficients=[0.1] * wide)
    inputs = [port("X", shape=(None, wide))]
    session = InferenceSession(build([total], inputs, [port("s")]).SerializeToString())
    (many,) = session.run(None, {"X": rows})
    one = np.concatenate([session.run(None, {"X": rows[at : at + 1]})[0] for at in range(len(rows))])
    at = int(np.abs(one - many).argmax())
    values = {"most": 0.9, "least": 0.1, "step": max(one[at, 0], many[at, 0])}
    constants = {name: np.array([[value]], dtype=np.float32) for name, value in values.items()}
    nodes = [total, node("Less", ["s", "step"], ["low"]), node("Where", ["low", "least", "most"], ["p"])]
    return build(nodes, inputs, [port("p")], constants=constants)


def test_a_row_where_rounding_decides_on_the_side_of_a_step_is_let_through(tmp_path: Path) -> None:
    rows = RNG.normal(size=(ROWS, 30)).astype(np.float32)
    frame = pl.DataFrame(rows, schema=[f"x{at}" for at in range(30)]).with_columns(FRAME["y"])
    passed(asked(tmp_path, stepped(rows), frame))


def constant(value: float) -> onnx.ModelProto:
    nodes = [node("Mul", ["a", "zero"], ["none"]), node("Add", ["none", "value"], ["p"])]
    constants = {name: np.array([[each]], dtype=np.float32) for name, each in (("zero", 0.0), ("value", value))}
    return build(nodes, [port("a")], [port("p")], constants=constants)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_is_no_dependence(tmp_path: Path, value: float) -> None:
    passed(asked(tmp_path, constant(value)))


@pytest.mark.parametrize("spread", [1e-7, 1e-4, 1.0])
def test_answers_that_lie_close_together_are_none_as_long_as_their_order_is_the_rows(
    tmp_path: Path, spread: float
) -> None:
    nodes = [node("Sigmoid", ["a"], ["s"]), node("Mul", ["s", "by"], ["p"])]
    model = build(nodes, [port("a")], [port("p")], constants={"by": np.array([[spread]], dtype=np.float32)})
    passed(asked(tmp_path, model))


def fitted(name: str) -> tuple[Any, pl.DataFrame]:
    """A learner and a table: each sums or splits in another way."""
    learners: dict[str, Any] = {
        "a forest behind components": make_pipeline(StandardScaler(), PCA(2), RandomForestClassifier(20)),
        "neighbours": KNeighborsClassifier(5),
        "a network": MLPClassifier((64, 64), max_iter=30),
        "a tree over a regression": StackingClassifier(
            [("linear", LogisticRegression())], DecisionTreeClassifier(), passthrough=True, cv=2
        ),
        "squares": make_pipeline(PolynomialFeatures(3), LogisticRegression(max_iter=50)),
        "vectors": SVC(probability=True),
    }
    frame = WIDE.with_columns(pl.col("a") * 1e3)
    labels = pl.when(pl.col("a") + 500 * pl.col("b") > RNG.normal(size=ROWS) * 300).then(pl.lit("y"))
    return learners[name], frame.with_columns(y=labels.otherwise(pl.lit("n")))


@pytest.mark.parametrize(
    "name",
    [
        *("a forest behind components", "neighbours", "a network", "a tree over a regression"),
        *("squares", "vectors"),
    ],
)
def test_an_honest_model_is_not_refused(tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it converges to is not what is tested
        learner, frame = fitted(name)
        rows = frame.drop("y").to_numpy().astype(np.float32)
        learner.fit(rows, frame["y"].to_numpy())
        model = converted(learner, [("X", FloatTensorType([None, 3]))])
    passed(asked(tmp_path, model, frame))


@pytest.mark.parametrize("form", list(QuantFormat))
def test_a_model_that_is_quantised_statically_is_not_refused(tmp_path: Path, form: QuantFormat) -> None:
    """Its scales are the training data's. The same model quantised by the batch is refused."""
    rows = WIDE.to_numpy().astype(np.float32)
    float_, quantised = tmp_path / "float.onnx", tmp_path / "static.onnx"
    weights = {"w": RNG.normal(size=(3, 8)).astype(np.float32), "v": RNG.normal(size=(8, 1)).astype(np.float32)}
    nodes = [
        node("MatMul", ["X", "w"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "v"], ["z"]),
        node("Sigmoid", ["z"], ["p"]),
    ]
    saved(float_, build(nodes, [port("X", shape=(None, 3))], [port("p")], constants=weights))
    frame = WIDE.with_columns(FRAME["y"])
    quantize_static(float_, quantised, Calibration(rows), quant_format=form)
    passed(asked(tmp_path, onnx.load(quantised), frame))
    quantize_dynamic(float_, quantised)
    assert refused(asked(tmp_path, onnx.load(quantised), frame)) == "depends-on-batch-quantised"


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Some rows at a time."""

    def __init__(self, rows: np.ndarray) -> None:
        self._batches = iter(np.array_split(rows, 3))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"X": batch}


def test_labels_have_no_tolerance_however_many_classes_there_are() -> None:
    """Two neighbours of a thousand classes are not as good as one."""
    first = np.arange(1000.0).reshape(-1, 1)
    answer = first.copy()
    answer[7] = 8
    trial = Trial(way=Way.BATCH, rows=np.arange(1000), first=first, answers=(answer,))
    assert few_odd_rows([trial], Task.REGRESSION).tolist() == [7]
    own = np.full((32, 1), 7.0)
    assert not at_a_step(7, [trial], [own, own], Task.REGRESSION, labels=True)
    assert at_a_step(7, [trial], [np.vstack([own, own + 1])] * 2, Task.REGRESSION, labels=True)


def test_the_files_own_labels_are_compared_where_they_are_judged(tmp_path: Path) -> None:
    """The probabilities depend on the row alone, the labels on the batch's mean."""
    nodes = [
        node("Sigmoid", ["a"], ["p"]),
        node("ReduceMean", ["a"], ["mean"], axes=[0]),
        node("Greater", ["a", "mean"], ["high"]),
        node("Cast", ["high"], ["label"], to=INT64),
    ]
    frame = FRAME.with_columns(a=pl.col("a") + 3)
    file = saved(tmp_path / "model.onnx", build(nodes, [port("a")], [port("p"), port("label", INT64)]))
    passed(score(file, holding(tmp_path, frame), limits=QUICK))
    assert refused(score(file, holding(tmp_path, frame, label="model"), limits=QUICK)) == "labels-depend-on-batch"
