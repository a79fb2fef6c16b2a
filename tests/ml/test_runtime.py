"""Batches cross the pipe unchanged and are cast to what a model's inputs take, or refused."""

from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from tests.support.onnx_samples import BOOL, DOUBLE, FLOAT, INT64, STRING, build, columns, matrix, port

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.holdout import kind_of, pack
from mlbot.ml.onnx_file import read_signature
from mlbot.ml.protocol import Batch, Expected, Feature, Kind, Packed, ProtocolError, Refused
from mlbot.ml.runtime import Runtime, codes_of, feeds, unpack


def features_of(frame: pl.DataFrame) -> tuple[Feature, ...]:
    return tuple(Feature(name=name, kind=kind_of(dtype)) for name, dtype in frame.schema.items())


def crossed(packed: Packed) -> tuple[np.ndarray[Any, Any], ...]:
    return unpack(packed.rows, packed.columns, b"".join(packed.chunks))


def fed(frame: pl.DataFrame, model: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    features = features_of(frame)
    signature = read_signature(model, Expected(task=Task.BINARY, features=features, classes=("no", "yes")))
    return feeds(signature, features, crossed(pack(frame, features)))


def refused(frame: pl.DataFrame, model: onnx.ModelProto) -> str:
    with pytest.raises(Refused) as caught:
        fed(frame, model)
    assert caught.value.reason is Reason.MODEL_INPUTS
    return str(caught.value)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.text(max_size=5),
            st.none() | st.floats(width=64),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.booleans(),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_value_arrives_as_it_was(rows: list[tuple[str | None, float | None, int | None, bool | None]]) -> None:
    schema = {"t": pl.String(), "f": pl.Float64(), "i": pl.Int64(), "b": pl.Boolean()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    text, floats, integers, booleans = crossed(pack(frame, features_of(frame)))
    assert text.tolist() == [row[0] or "" for row in rows]
    np.testing.assert_array_equal(floats, [np.nan if row[1] is None else row[1] for row in rows])
    np.testing.assert_array_equal(integers, as_numbers([row[2] for row in rows]))
    np.testing.assert_array_equal(booleans, as_numbers([row[3] for row in rows]))


def as_numbers(values: list[Any]) -> np.ndarray[Any, Any]:
    """A column with gaps becomes floats, as NaN is the only way to say that a number is missing."""
    gaps = any(value is None for value in values)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64 if gaps else None)


def test_a_batch_that_is_shorter_than_it_says_is_no_batch() -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0]})
    packed = pack(frame, features_of(frame))
    with pytest.raises(ProtocolError):
        unpack(3, packed.columns, b"".join(packed.chunks))


def test_kinds_of_columns() -> None:
    kinds = {
        pl.String(): Kind.TEXT,
        pl.Categorical(): Kind.TEXT,
        pl.Float32(): Kind.FLOAT,
        pl.Decimal(10, 2): Kind.FLOAT,
        pl.UInt8(): Kind.INTEGER,
        pl.Boolean(): Kind.BOOLEAN,
        pl.Date(): Kind.OTHER,
        pl.List(pl.Int64()): Kind.OTHER,
    }
    assert {dtype: kind_of(dtype) for dtype in kinds} == kinds


@pytest.mark.parametrize(
    ("values", "element", "dtype"),
    [
        ([1, 2], FLOAT, "f4"),
        ([1, 2], DOUBLE, "f8"),
        ([1.0, 2.0], INT64, "i8"),
        ([True, False], BOOL, "?"),
        ([True, False], FLOAT, "f4"),
        ([True, False], INT64, "i8"),
        (["x", ""], STRING, "O"),
        ([1.5, None], FLOAT, "f4"),
        ([2**63 - 1, -(2**63)], INT64, "i8"),
    ],
)
def test_columns_are_cast_to_the_type_of_the_input(values: list[Any], element: int, dtype: str) -> None:
    (array,) = fed(pl.DataFrame({"a": values}), columns({"a": 1.0}, kind=element)).values()
    assert array.shape == (2, 1)
    assert array.dtype == np.dtype(dtype)
    wanted = [np.nan if value is None else value for value in values]
    np.testing.assert_array_equal(array[:, 0], np.array(wanted, dtype=dtype))


@pytest.mark.parametrize(
    ("values", "element", "why"),
    [
        ([1, None], INT64, "missing"),
        ([1.0, None], INT64, "missing"),
        ([True, None], BOOL, "missing"),
        ([1.5, 2.0], INT64, "fractions"),
        ([float("inf"), 2.0], INT64, "beyond"),
        ([2.0**63, 0.0], INT64, "beyond"),
        ([300, 1], onnx.TensorProto.UINT8, "beyond"),
        ([-1, 1], onnx.TensorProto.UINT8, "beyond"),
    ],
)
def test_what_an_input_cannot_hold_is_refused(values: list[Any], element: int, why: str) -> None:
    detail = refused(pl.DataFrame({"a": values}), columns({"a": 1.0}, kind=element))
    assert why in detail
    assert "'a'" in detail


def test_a_matrix_holds_the_columns_in_order() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [0.5, None], "c": [True, False]})
    (array,) = fed(frame, matrix(np.eye(3, 2))).values()
    np.testing.assert_array_equal(array, np.array([[1, 0.5, 1], [2, np.nan, 0]], dtype=np.float32))


def test_a_number_too_large_for_float32_becomes_infinite() -> None:
    (array,) = fed(pl.DataFrame({"a": [1e300]}), columns({"a": 1.0})).values()
    assert np.isinf(array[0, 0])


def test_columns_that_a_model_does_not_use_are_not_fed() -> None:
    frame = pl.DataFrame({"a": [1.0], "b": ["x"]})
    assert list(fed(frame, columns({"a": 1.0}))) == ["a"]


def asked(frame: pl.DataFrame, model: onnx.ModelProto, task: Task) -> np.ndarray[Any, Any]:
    """What a model answers, loaded and asked as in the scoring child."""
    features = features_of(frame)
    classes = () if task is Task.REGRESSION else ("no", "yes")
    runtime = Runtime(Expected(task=task, features=features, classes=classes), threads=1)
    runtime.load(model.SerializeToString())
    packed = pack(frame, features)
    return runtime.predict(Batch(rows=packed.rows, columns=packed.columns), b"".join(packed.chunks))[0]


NUMBERS = pl.DataFrame({"a": [1.0, 2.0, -3.0], "b": [0.5, 0.0, 1.0]})


@pytest.mark.parametrize("kind", [INT64, onnx.TensorProto.INT32, onnx.TensorProto.INT8])
def test_whole_numbers_of_a_regression_are_numbers(kind: int) -> None:
    model = columns({"a": 2, "b": 2}, last="Identity")
    model.graph.node.append(helper.make_node("Cast", ["p"], ["whole"], to=kind))
    model.graph.output[0].CopyFrom(port("whole", kind))
    answer = asked(NUMBERS, model, Task.REGRESSION)
    assert answer.dtype == np.float64
    np.testing.assert_array_equal(answer, [[3], [4], [-4]])


def test_columns_of_one_dimension_are_fed_so() -> None:
    model = columns({"a": 1, "b": 2}, last="Identity")
    model.graph.node.insert(0, helper.make_node("Unsqueeze", ["a", "one"], ["a_column"]))
    model.graph.node[1].input[0] = "a_column"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    model.graph.input[0].CopyFrom(port("a", shape=(None,)))
    np.testing.assert_array_equal(asked(NUMBERS, model, Task.REGRESSION), [[2], [2], [-1]])


@pytest.mark.parametrize("shape", [None, ("n", "m")])
def test_an_output_whose_width_is_open_is_read_as_the_runtime_infers_it(shape: tuple[str, ...] | None) -> None:
    alone, both = columns({"a": 1, "b": 1}), matrix(np.array([[0.0, 1.0], [0.0, 1.0]]))
    for model in (alone, both):
        model.graph.output[0].CopyFrom(port("p", shape=shape))
    probability = asked(NUMBERS, alone, Task.BINARY)
    assert probability.shape == (3, 1)
    np.testing.assert_allclose(probability[:, 0], asked(NUMBERS, both, Task.BINARY)[:, 1], rtol=1e-6)


def test_operators_that_are_too_new_for_the_runtime_are_named() -> None:
    model = columns({"a": 1})
    model.opset_import[0].version = onnx.defs.onnx_opset_version()
    model.ir_version = onnx.IR_VERSION
    with pytest.raises(Refused, match="older opset") as caught:
        asked(NUMBERS.select("a"), model, Task.BINARY)
    assert caught.value.reason is Reason.MODEL_REFUSED


PLACES = {"no": 0, "yes": 1, "1": 1, "0": 0, "true": 1, "false": 0}


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        (np.array(["yes", "no", "maybe"], dtype=object), [1, 0, -1]),
        (np.array([["yes"], ["no"], [" yes "]], dtype=object), [1, 0, 1]),
        (np.array([1, 0, 7]), [1, 0, -1]),
        (np.array([[1], [0], [1]], dtype=np.int32), [1, 0, 1]),
        (np.array([True, False, True]), [1, 0, 1]),
        (np.array([1.0, 0.0, np.nan], dtype=np.float32), [1, 0, -1]),
        (np.array(["y" * 100_000, "1.0", ""], dtype=object), [-1, 1, -1]),
        (np.array([2**63, 1, 0], dtype=np.uint64), [-1, 1, 0]),
        # no label a row
        (np.array([1, 0]), [-1, -1, -1]),
        (np.array(1), [-1, -1, -1]),
        (np.array([[1, 0], [0, 1], [1, 0]]), [-1, -1, -1]),
        (np.array([1j, 0, 1]), [-1, -1, -1]),
        ([{"yes": 1.0}] * 3, [-1, -1, -1]),
        (None, [-1, -1, -1]),
    ],
)
def test_labels_cross_as_places_of_classes_whatever_the_file_gives(labels: Any, codes: list[int]) -> None:
    found = codes_of(labels, 3, PLACES)
    assert found.dtype == np.int32
    assert found.tolist() == codes


def test_more_distinct_numbers_than_there_may_be_classes_are_no_labels() -> None:
    assert set(codes_of(np.arange(20_000), 20_000, PLACES).tolist()) == {-1}


@pytest.mark.parametrize(("shape", "cause"), [((-1, 2), "cannot-run-alone"), ((5, -1), "cannot-run")])
def test_a_model_that_cannot_be_asked_a_row_alone_is_told_from_one_that_cannot_be_asked(
    shape: tuple[int, int], cause: str
) -> None:
    """Such as one that a tracer wrote down with the rows that it saw: this one reshapes and reshapes back."""
    model = columns({"a": 1})
    model.graph.node.insert(0, helper.make_node("Reshape", ["a", "wide"], ["a_wide"]))
    model.graph.node.insert(1, helper.make_node("Reshape", ["a_wide", "tall"], ["a_tall"]))
    model.graph.node[2].input[0] = "a_tall"
    shapes = {"wide": shape, "tall": (-1, 1)}
    model.graph.initializer.extend(numpy_helper.from_array(np.array(each), name) for name, each in shapes.items())
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]})
    runtime = Runtime(Expected(task=Task.BINARY, features=features_of(frame), classes=("no", "yes")), threads=1)
    runtime.load(model.SerializeToString())
    packed = pack(frame, features_of(frame))
    with pytest.raises(Refused) as caught:
        runtime.measure(packed.rows, packed.columns, b"".join(packed.chunks), requests=2, seconds=0.1)
    assert (caught.value.reason, caught.value.cause) == (Reason.SCORING_FAILED, cause)


def test_letters_lowered_by_a_language_that_is_not_here_are_refused_with_the_way_out() -> None:
    """Where the language is, the file loads."""
    lower = helper.make_node("StringNormalizer", ["flat"], ["l"], case_change_action="LOWER", locale="xx_XX.UTF-8")
    flat = helper.make_node("Flatten", ["t"], ["flat"], axis=0)  # [1, N]
    nodes = [flat, lower, helper.make_node("LabelEncoder", ["l"], ["p"], domain="ai.onnx.ml", keys_strings=["a"])]
    nodes[-1].attribute.append(helper.make_attribute("values_floats", [1.0]))
    model = build(nodes, [port("t", STRING)], [port("p", shape=(None,))])
    with pytest.raises(Refused) as caught:
        asked(pl.DataFrame({"t": ["A"]}), model, Task.BINARY)
    assert (caught.value.reason, caught.value.cause) == (Reason.MODEL_REFUSED, "locale")
