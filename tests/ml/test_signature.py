"""Inputs and outputs: what fits, what does not, and what is said then."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.support.onnx_samples import BOOL, DOUBLE, FLOAT, INT64, STRING, Shape, build, columns, matrix, port

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.protocol import Expected, Feature, Kind, Layout, Refused
from mlbot.ml.signature import FEATURES_KEY, read_signature


def expecting(task: Task = Task.BINARY, *, classes: tuple[str, ...] = ("no", "yes"), **kinds: Kind) -> Expected:
    features = tuple(Feature(name=name, kind=kind) for name, kind in (kinds or {"a": Kind.FLOAT}).items())
    return Expected(task=task, features=features, classes=() if task is Task.REGRESSION else classes)


THREE = expecting(a=Kind.FLOAT, b=Kind.FLOAT, c=Kind.FLOAT)


def refused(model: onnx.ModelProto, expected: Expected, reason: Reason) -> str:
    with pytest.raises(Refused) as caught:
        read_signature(model, expected)
    assert caught.value.reason is reason
    return caught.value.detail


def test_inputs_named_as_columns_may_stand_in_any_order() -> None:
    signature = read_signature(columns({"c": 1, "a": 2, "b": 3}), THREE)
    assert signature.facts.layout is Layout.COLUMNS
    assert [port.name for port in signature.inputs] == ["a", "b", "c"]
    assert signature.facts.unused == ()


def test_an_input_that_is_no_feature_is_named_with_a_guess() -> None:
    detail = refused(columns({"a": 1, "b": 2, "C": 3}), THREE, Reason.MODEL_INPUTS)
    assert "'C'" in detail
    assert "did you mean 'c'?" in detail


def test_a_model_may_leave_columns_out_and_they_are_told() -> None:
    signature = read_signature(columns({"a": 1, "c": 3}), THREE)
    assert [port.name for port in signature.inputs] == ["a", "c"]
    assert signature.facts.unused == ("b",)


def test_one_input_named_as_one_of_the_columns_is_that_column() -> None:
    signature = read_signature(columns({"b": 1}), THREE)
    assert signature.facts.layout is Layout.COLUMNS
    assert signature.facts.unused == ("a", "c")


def test_an_initializer_that_is_listed_as_an_input_is_none() -> None:
    model = columns({"a": 1})
    model.graph.input.append(port("w", FLOAT, (1, 1)))
    assert [p.name for p in read_signature(model, expecting()).inputs] == ["a"]


@pytest.mark.parametrize(
    ("kind", "element", "dtype"),
    [
        (Kind.FLOAT, FLOAT, np.float32),
        (Kind.FLOAT, DOUBLE, np.float64),
        (Kind.FLOAT, INT64, np.int64),
        (Kind.INTEGER, INT64, np.int64),
        (Kind.INTEGER, FLOAT, np.float32),
        (Kind.BOOLEAN, BOOL, np.bool_),
        (Kind.BOOLEAN, FLOAT, np.float32),
        (Kind.BOOLEAN, INT64, np.int64),
        (Kind.TEXT, STRING, np.object_),
        (Kind.TEXT, FLOAT, None),
        (Kind.FLOAT, STRING, None),
        (Kind.INTEGER, BOOL, None),
        (Kind.INTEGER, onnx.TensorProto.COMPLEX64, None),
    ],
)
def test_the_type_of_an_input_has_to_fit_its_column(kind: Kind, element: int, dtype: type[np.generic] | None) -> None:
    model = columns({"a": 1}, kind=element)
    if dtype is None:
        assert "'a'" in refused(model, expecting(a=kind), Reason.MODEL_INPUTS)
    else:
        assert read_signature(model, expecting(a=kind)).inputs[0].dtype is dtype


@pytest.mark.parametrize(("shape", "fits"), [((None, 1), True), (("N", None), True), ((None,), False), ((7, 1), False)])
def test_a_column_is_any_number_of_rows_by_one(shape: Shape, *, fits: bool) -> None:
    model = columns({"a": 1, "b": 1})
    model.graph.input[0].CopyFrom(port("a", shape=shape))
    expected = expecting(a=Kind.FLOAT, b=Kind.FLOAT)
    if fits:
        read_signature(model, expected)
    else:
        refused(model, expected, Reason.MODEL_INPUTS)


def test_a_fixed_batch_says_how_to_open_it() -> None:
    model = matrix(np.eye(3, 2), shape=(1, 3))
    assert "takes 1 rows at a time" in refused(model, THREE, Reason.MODEL_INPUTS)


def test_a_matrix_has_as_many_columns_as_there_are_features() -> None:
    assert read_signature(matrix(np.eye(3, 2)), THREE).facts.layout is Layout.MATRIX
    assert read_signature(matrix(np.eye(3, 2), shape=(None, None)), THREE).facts.layout is Layout.MATRIX
    detail = refused(matrix(np.eye(5, 2)), THREE, Reason.MODEL_INPUTS)
    assert "[N, 5]" in detail
    assert "3 features" in detail


def test_a_matrix_holds_numbers_only() -> None:
    expected = expecting(a=Kind.FLOAT, town=Kind.TEXT)
    assert "'town'" in refused(matrix(np.eye(2)), expected, Reason.MODEL_INPUTS)
    assert "string" in refused(matrix(np.eye(3, 2), kind=STRING), THREE, Reason.MODEL_INPUTS)


def test_a_matrix_trained_on_another_order_is_told() -> None:
    model = matrix(np.eye(3, 2), metadata={FEATURES_KEY: json.dumps(["a", "c", "b"])})
    detail = refused(model, THREE, Reason.FEATURE_ORDER)
    assert "column 2 was 'c', and here it is 'b'" in detail
    read_signature(matrix(np.eye(3, 2), metadata={FEATURES_KEY: json.dumps(["a", "b", "c"])}), THREE)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100_000, '["a", "b", "d"]', '["a", "b"]', '["a", "a", "b"]'])
def test_metadata_that_does_not_match_is_an_error_of_the_order(text: str) -> None:
    refused(matrix(np.eye(3, 2), metadata={FEATURES_KEY: text}), THREE, Reason.FEATURE_ORDER)


def test_metadata_of_a_model_with_named_inputs_does_not_matter() -> None:
    model = columns({"b": 1, "a": 1})
    helper.set_model_props(model, {FEATURES_KEY: '["b", "a"]'})
    read_signature(model, expecting(a=Kind.FLOAT, b=Kind.FLOAT))


def test_one_number_a_row_is_the_positive_class_of_a_binary_task() -> None:
    assert read_signature(columns({"a": 1}), expecting()).facts.single_probability
    three = expecting(Task.MULTICLASS, classes=("x", "y", "z"))
    assert "[N, C]" in refused(columns({"a": 1}), three, Reason.MODEL_OUTPUTS)


def test_the_number_of_probabilities_is_the_number_of_classes() -> None:
    three = Expected(task=Task.MULTICLASS, features=THREE.features, classes=("x", "y", "z"))
    assert read_signature(matrix(np.eye(3)), three).facts.classes == ("x", "y", "z")
    assert "4 columns" in refused(matrix(np.eye(3, 4)), three, Reason.MODEL_OUTPUTS)
    assert "3 columns" in refused(matrix(np.eye(3)), THREE, Reason.MODEL_OUTPUTS)


def test_a_regression_gives_one_number_a_row() -> None:
    assert read_signature(columns({"a": 1}, last="Identity"), expecting(Task.REGRESSION)).facts.classes == ()
    wide = Expected(task=Task.REGRESSION, features=THREE.features)
    refused(matrix(np.eye(3, 2)), wide, Reason.MODEL_OUTPUTS)


def with_outputs(*outputs: onnx.ValueInfoProto) -> onnx.ModelProto:
    model = columns({"a": 1})
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def test_a_zipmap_is_refused_with_what_fixes_it() -> None:
    boxes = helper.make_sequence_type_proto(
        helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, [None]))
    )
    model = with_outputs(port("label", INT64, (None,)), helper.make_value_info("output_probability", boxes))
    assert "options={'zipmap': False}" in refused(model, expecting(), Reason.MODEL_OUTPUTS)


def test_labels_alone_are_no_probabilities() -> None:
    assert "labels only" in refused(with_outputs(port("label", INT64)), expecting(), Reason.MODEL_OUTPUTS)


def test_of_several_outputs_the_one_named_probabilities_is_read() -> None:
    both = with_outputs(port("embedding", shape=(None, 8)), port("probabilities", shape=(None, 2)))
    assert read_signature(both, expecting()).output == "probabilities"
    neither = with_outputs(port("embedding", shape=(None, 8)), port("q", shape=(None, 2)))
    detail = refused(neither, expecting(), Reason.MODEL_OUTPUTS)
    assert "'embedding', 'q'" in detail


def test_an_output_of_three_dimensions_is_refused() -> None:
    refused(with_outputs(port("p", shape=(None, 2, 2))), expecting(), Reason.MODEL_OUTPUTS)


def test_a_model_without_inputs_is_refused() -> None:
    model = build([], [], [port("p")], constants={"p": np.zeros((1, 1), dtype=np.float32)})
    assert "no input" in refused(model, expecting(), Reason.MODEL_INPUTS)
