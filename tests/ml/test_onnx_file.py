"""What an ONNX file may contain."""

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from onnx import helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.support.onnx_samples import (
    BOOL,
    DOUBLE,
    EXTERNAL_PLACES,
    FLOAT,
    INT64,
    STRING,
    Shape,
    bomb,
    build,
    columns,
    endless,
    external,
    matrix,
    port,
)

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.onnx_file import class_order, infer, label_output, parse_model, read_signature, unzip
from mlbot.ml.protocol import CLASSES_KEY, FEATURES_KEY, Expected, Feature, Kind, Layout, Refused


def refused(content: bytes) -> str:
    with pytest.raises(Refused) as caught:
        parse_model(content)
    assert caught.value.reason is Reason.MODEL_REFUSED
    return str(caught.value)


def one(node: onnx.NodeProto, domain: str = "", functions: list[onnx.FunctionProto] | None = None) -> bytes:
    domains = [domain] if domain else []
    model = build([node], [port("a")], [port("p")], domains=domains, functions=functions or [])
    content: bytes = model.SerializeToString()
    return content


def test_a_plain_model_passes() -> None:
    assert parse_model(columns({"a": 1.0, "b": 2.0}).SerializeToString()).graph.input[1].name == "b"


@pytest.mark.parametrize("place", EXTERNAL_PLACES)
def test_tensors_in_other_files_are_refused_wherever_they_stand(place: str) -> None:
    detail = refused(external(place).SerializeToString())
    assert "passwd" not in detail
    assert ("training graphs" if place == "training" else "in another file") in detail


def test_a_location_alone_is_external_data_too() -> None:
    model = external("initializer")
    model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT
    assert "in another file" in refused(model.SerializeToString())


def test_an_operator_of_a_foreign_domain_is_refused_and_named() -> None:
    detail = refused(one(helper.make_node("PyOp", ["a"], ["p"], domain="ai.onnx.contrib"), "ai.onnx.contrib"))
    assert "'PyOp'" in detail
    assert "'ai.onnx.contrib'" in detail


def test_a_foreign_operator_deep_in_a_subgraph_or_function_is_refused() -> None:
    foreign = helper.make_node("Evil", ["a"], ["p"], domain="evil")
    inner = helper.make_graph([foreign], "inner", [], [port("p")])
    branch = helper.make_node("If", ["a"], ["p"], then_branch=inner, else_branch=inner)
    assert "'Evil'" in refused(one(branch, "evil"))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)]
    function = helper.make_function("own", "f", ["a"], ["p"], [foreign], opsets)
    assert "'Evil'" in refused(one(helper.make_node("f", ["a"], ["p"], domain="own"), "own", [function]))


def test_a_function_that_the_file_defines_itself_may_have_any_domain() -> None:
    body = [helper.make_node("Relu", ["a"], ["p"])]
    function = helper.make_function("pkg.torch", "f", ["a"], ["p"], body, [helper.make_opsetid("", 17)])
    parse_model(one(helper.make_node("f", ["a"], ["p"], domain="pkg.torch"), "pkg.torch", [function]))


def own_function(
    domain: str, name: str, body: Sequence[onnx.NodeProto] | None = None, *, domains: Sequence[str] = ()
) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid(each, 1 if each else 17) for each in ("", *domains)]
    return helper.make_function(domain, name, ["a"], ["p"], body or [helper.make_node("Relu", ["a"], ["p"])], opsets)


def calling(domain: str, name: str) -> onnx.NodeProto:
    return helper.make_node(name, ["a"], ["p"], domain=domain)


def in_graph(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node in a branch."""
    inner = helper.make_graph([node], "inner", [], [port("p")])
    return helper.make_node("If", ["a"], ["p"], then_branch=inner, else_branch=inner)


RUNTIMES = (
    *("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.contrib"),
    *("com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental", "com.microsoft.dml"),
    *("com.ms.internal.nhwc", "org.pytorch.aten", "com.intel.ai", "com.xilinx", "trt.plugins"),
    *("COM.Microsoft", "com.microsoft ", " com.microsoft", "com.microsoft\n", "com.microsoft\0", "com.micro\u200bsoft"),
)


@pytest.mark.parametrize("domain", RUNTIMES)
@pytest.mark.parametrize("used", ["plain", "branch", "function", "never"])
def test_a_function_of_the_file_in_a_domain_of_the_runtime_is_refused(domain: str, used: str) -> None:
    function, call = own_function(domain, "QuickGelu"), calling(domain, "QuickGelu")
    outer = own_function("own", "f", [call], domains=[domain] if domain else [])
    node = {
        "plain": call,
        "branch": in_graph(call),
        "function": calling("own", "f"),
        "never": helper.make_node("Relu", ["a"], ["p"]),
    }[used]
    functions = [function, outer] if used == "function" else [function]
    assert "belongs to the runtime" in refused(one(node, domain, functions))


def test_a_function_cannot_take_a_standard_operators_place() -> None:
    assert "belongs to the runtime" in refused(one(calling("", "Relu"), "", [own_function("", "Relu")]))


def test_no_domain_of_the_runtime_that_is_installed_is_forgotten() -> None:
    known = {schema.domain for schema in onnxruntime_pybind11_state.get_all_operator_schema()}
    known |= {schema.domain for schema in onnx.defs.get_all_schemas_with_history()}
    assert "com.microsoft" in known
    for domain in known:
        assert "belongs to the runtime" in refused(one(calling("own", "f"), "own", [own_function(domain, "f")]))


def test_a_function_of_the_file_may_call_another() -> None:
    functions = [own_function("own", "f", [calling("own", "g")], domains=["own"]), own_function("own", "g")]
    parse_model(one(calling("own", "f"), "own", functions))


@pytest.mark.parametrize("branch", [False, True])
def test_functions_that_call_each_other_without_an_end_are_refused(*, branch: bool) -> None:
    calls = [in_graph(calling("own", name)) if branch else calling("own", name) for name in "gf"]
    functions = [own_function("own", name, [call], domains=["own"]) for name, call in zip("fg", calls, strict=True)]
    assert "calls itself" in refused(one(calling("own", "f"), "own", functions))
    assert "calls itself" in refused(one(calling("own", "f"), "own", [own_function("own", "f", [calling("own", "f")])]))


def test_functions_that_call_each_other_too_deep_are_refused() -> None:
    chain = [own_function("own", f"f{at}", [calling("own", f"f{at + 1}")], domains=["own"]) for at in range(500)]
    functions = [*chain, own_function("own", "f500")]
    assert "64 deep" in refused(one(calling("own", "f0"), "own", functions))


def test_a_function_that_is_defined_twice_is_refused() -> None:
    functions = [own_function("own", "f"), own_function("own", "f", [helper.make_node("Sigmoid", ["a"], ["p"])])]
    assert "twice" in refused(one(calling("own", "f"), "own", functions))


def test_a_function_of_another_overload_is_not_the_files_own() -> None:
    call = calling("own", "f")
    call.overload = "other"
    assert "'f' of 'own'" in refused(one(call, "own", [own_function("own", "f")]))


def texts(
    kind: Descriptor, path: tuple[str, ...] = (), seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, ...]]:
    """The way to every field of text in a kind of message: each kind once on a way."""
    for field in kind.fields:
        way = (*path, field.name)
        if field.type == FieldDescriptor.TYPE_STRING or (kind.name, field.name) in TEXTS_AS_BYTES:
            yield way
        elif field.message_type is not None and field.message_type.name not in seen:
            yield from texts(field.message_type, way, seen | {field.message_type.name})


TEXTS_AS_BYTES = {("AttributeProto", "s"), ("AttributeProto", "strings"), ("TensorProto", "string_data")}


def spoilt(way: tuple[str, ...]) -> bytes:
    """A model whose text at the end of a way is no UTF-8."""
    model = columns({"a": 1.0})
    message: Any = model
    for name in way[:-1]:
        inner = getattr(message, name)
        message = inner.add() if hasattr(inner, "add") else inner
    mark = "spoilt_text"
    encoded = mark if message.DESCRIPTOR.fields_by_name[way[-1]].type == FieldDescriptor.TYPE_STRING else mark.encode()
    if isinstance(getattr(message, way[-1]), str | bytes):
        setattr(message, way[-1], encoded)
    else:
        getattr(message, way[-1]).append(encoded)
    content: bytes = model.SerializeToString()
    assert mark.encode() in content
    return content.replace(mark.encode(), b"\xff\xfe\x80poilt_te")


@pytest.mark.parametrize("way", [*texts(onnx.ModelProto.DESCRIPTOR)], ids=".".join)
def test_text_that_is_no_utf8_is_refused_wherever_it_is(way: tuple[str, ...]) -> None:
    detail = refused(spoilt(way))
    assert "no UTF-8" in detail or (way[0] == "training_info" and "training graphs" in detail)


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"caf\xe9"])
def test_what_only_looks_like_utf8_is_refused(text: bytes) -> None:
    content = one(helper.make_node("Relu", ["a"], ["p"], name="#" * len(text)))
    assert "no UTF-8" in refused(content.replace(b"#" * len(text), text))


@pytest.mark.parametrize(("operator", "allowed"), [("Gelu", True), ("QGemm", True), ("PythonOp", False)])
def test_of_microsofts_own_operators_only_quantised_ones_are_allowed(operator: str, *, allowed: bool) -> None:
    content = one(helper.make_node(operator, ["a"], ["p"], domain="com.microsoft"), "com.microsoft")
    if allowed:
        parse_model(content)
    else:
        assert "'PythonOp'" in refused(content)


def test_control_flow_is_allowed_and_left_to_the_limits() -> None:
    parse_model(endless().SerializeToString())
    parse_model(bomb().SerializeToString())


def test_deep_nesting_is_refused() -> None:
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["p"])], "g", [], [port("p")])
    for _ in range(20):
        node = helper.make_node("If", ["a"], ["p"], then_branch=graph, else_branch=graph.__class__())
        graph = helper.make_graph([node], "g", [], [port("p")])
    model = helper.make_model(graph, ir_version=8)
    assert "deep" in refused(model.SerializeToString())


def test_what_the_checker_refuses_is_refused() -> None:
    node = helper.make_node("Identity", ["not there"], ["p"])
    assert "not valid" in refused(one(node))


@pytest.mark.parametrize("content", [b"", b"\x08", b"\x08\x08", b"\x3a\x00", b"\xff" * 100])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    assert "no ONNX model" in refused(content)


def test_a_truncated_model_is_refused() -> None:
    content = columns({"a": 1.0}).SerializeToString()
    assert refused(content[: len(content) // 2])


def test_names_of_the_file_are_escaped_and_cut() -> None:
    name = "\u202e<script>\x00\n" + "x" * 500
    detail = refused(one(helper.make_node(name, ["a"], ["p"], domain="evil"), "evil"))
    assert "\u202e" not in detail
    assert "\n" not in detail
    assert "\\u202e" in detail
    assert len(detail) < 400


def test_a_model_without_output_is_refused() -> None:
    graph = helper.make_graph([], "g", [helper.make_tensor_value_info("a", FLOAT, [None, 1])], [])
    assert "no output" in refused(helper.make_model(graph, ir_version=8).SerializeToString())


# Inputs and outputs: what fits, what does not, and what is said then.


def expecting(task: Task = Task.BINARY, *, classes: tuple[str, ...] = ("no", "yes"), **kinds: Kind) -> Expected:
    features = tuple(Feature(name=name, kind=kind) for name, kind in (kinds or {"a": Kind.FLOAT}).items())
    return Expected(task=task, features=features, classes=() if task is Task.REGRESSION else classes)


THREE = expecting(a=Kind.FLOAT, b=Kind.FLOAT, c=Kind.FLOAT)


def unfit(model: onnx.ModelProto, expected: Expected, reason: Reason) -> str:
    with pytest.raises(Refused) as caught:
        read_signature(model, expected)
    assert caught.value.reason is reason
    return str(caught.value)


def test_inputs_named_as_columns_may_stand_in_any_order() -> None:
    signature = read_signature(columns({"c": 1, "a": 2, "b": 3}), THREE)
    assert signature.facts.layout is Layout.COLUMNS
    assert [port.name for port in signature.inputs] == ["a", "b", "c"]
    assert signature.facts.unused == ()


def test_an_input_that_is_no_feature_is_named_with_a_guess() -> None:
    detail = unfit(columns({"a": 1, "b": 2, "C": 3}), THREE, Reason.MODEL_INPUTS)
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
        assert "'a'" in unfit(model, expecting(a=kind), Reason.MODEL_INPUTS)
    else:
        assert read_signature(model, expecting(a=kind)).inputs[0].dtype is dtype


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((None, 1), True), (("N", None), True), ((None,), True), ((None, 2), False), ((), False), ((7, 1), False)],
)
def test_a_column_is_any_number_of_rows_by_one(shape: Shape, *, fits: bool) -> None:
    model = columns({"a": 1, "b": 1})
    model.graph.input[0].CopyFrom(port("a", shape=shape))
    expected = expecting(a=Kind.FLOAT, b=Kind.FLOAT)
    if fits:
        read_signature(model, expected)
    else:
        unfit(model, expected, Reason.MODEL_INPUTS)


def test_a_column_with_a_default_value_is_fed() -> None:
    """Else the model answers with the default in every row. A weight has no open dimension."""
    model = columns({"a": 1, "b": 2})
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1), np.float32), "b"))
    signature = read_signature(model, expecting(a=Kind.FLOAT, b=Kind.FLOAT))
    assert [(fed.name, fed.flat) for fed in signature.inputs] == [("a", False), ("b", False)]


def test_a_single_column_may_be_one_dimension() -> None:
    model = columns({"b": 1})
    model.graph.input[0].CopyFrom(port("b", shape=(None,)))
    signature = read_signature(model, THREE)
    assert signature.facts.layout is Layout.COLUMNS
    assert signature.inputs[0].flat


def test_columns_first_are_told_from_a_fixed_batch() -> None:
    assert "columns first" in unfit(matrix(np.eye(3, 2), shape=(3, None)), THREE, Reason.MODEL_INPUTS)
    assert "rows at a time" in unfit(matrix(np.eye(3, 2), shape=(3, 3)), THREE, Reason.MODEL_INPUTS)


def test_a_fixed_batch_says_how_to_open_it() -> None:
    model = matrix(np.eye(3, 2), shape=(1, 3))
    assert "takes 1 row at a time" in unfit(model, THREE, Reason.MODEL_INPUTS)


def test_a_matrix_has_as_many_columns_as_there_are_features() -> None:
    assert read_signature(matrix(np.eye(3, 2)), THREE).facts.layout is Layout.MATRIX
    assert read_signature(matrix(np.eye(3, 2), shape=(None, None)), THREE).facts.layout is Layout.MATRIX
    detail = unfit(matrix(np.eye(5, 2)), THREE, Reason.MODEL_INPUTS)
    assert "[N, 5]" in detail
    assert "3 features" in detail


def test_a_matrix_holds_numbers_only() -> None:
    expected = expecting(a=Kind.FLOAT, town=Kind.TEXT)
    assert "'town'" in unfit(matrix(np.eye(2)), expected, Reason.MODEL_INPUTS)
    assert "string" in unfit(matrix(np.eye(3, 2), kind=STRING), THREE, Reason.MODEL_INPUTS)


def test_a_matrix_trained_on_another_order_is_told() -> None:
    model = matrix(np.eye(3, 2), metadata={FEATURES_KEY: json.dumps(["a", "c", "b"])})
    detail = unfit(model, THREE, Reason.FEATURE_ORDER)
    assert "column 2 was 'c', and here it is 'b'" in detail
    read_signature(matrix(np.eye(3, 2), metadata={FEATURES_KEY: json.dumps(["a", "b", "c"])}), THREE)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100_000, '["a", "b", "d"]', '["a", "b"]', '["a", "a", "b"]'])
def test_metadata_that_does_not_match_is_an_error_of_the_order(text: str) -> None:
    unfit(matrix(np.eye(3, 2), metadata={FEATURES_KEY: text}), THREE, Reason.FEATURE_ORDER)


def test_metadata_of_a_model_with_named_inputs_does_not_matter() -> None:
    model = columns({"b": 1, "a": 1})
    helper.set_model_props(model, {FEATURES_KEY: '["b", "a"]'})
    read_signature(model, expecting(a=Kind.FLOAT, b=Kind.FLOAT))


def test_one_number_a_row_is_the_positive_class_of_a_binary_task() -> None:
    assert read_signature(columns({"a": 1}), expecting()).facts.single_probability
    three = expecting(Task.MULTICLASS, classes=("x", "y", "z"))
    assert "[N, 3]" in unfit(columns({"a": 1}), three, Reason.MODEL_OUTPUTS)


def test_the_number_of_probabilities_is_the_number_of_classes() -> None:
    three = Expected(task=Task.MULTICLASS, features=THREE.features, classes=("x", "y", "z"))
    assert read_signature(matrix(np.eye(3)), three).facts.classes == ("x", "y", "z")
    assert "4 columns" in unfit(matrix(np.eye(3, 4)), three, Reason.MODEL_OUTPUTS)
    assert "3 columns" in unfit(matrix(np.eye(3)), THREE, Reason.MODEL_OUTPUTS)


def test_a_regression_gives_one_number_a_row() -> None:
    assert read_signature(columns({"a": 1}, last="Identity"), expecting(Task.REGRESSION)).facts.classes == ()
    wide = Expected(task=Task.REGRESSION, features=THREE.features)
    unfit(matrix(np.eye(3, 2)), wide, Reason.MODEL_OUTPUTS)


@pytest.mark.parametrize("kind", [INT64, onnx.TensorProto.INT8, onnx.TensorProto.UINT32])
def test_a_regression_may_give_whole_numbers(kind: int) -> None:
    signature = read_signature(with_outputs(port("p", kind)), expecting(Task.REGRESSION))
    assert (signature.output, signature.facts.classes) == ("p", ())
    beside = with_outputs(port("rank", kind), port("value"))
    assert read_signature(beside, expecting(Task.REGRESSION)).output == "value"


@pytest.mark.parametrize(
    ("kind", "task", "says"),
    [
        (BOOL, Task.REGRESSION, "'p' is bool"),
        (STRING, Task.REGRESSION, "'p' is string"),
        (onnx.TensorProto.BFLOAT16, Task.BINARY, "'p' is bfloat16"),
        (INT64, Task.BINARY, "labels only"),
        (onnx.TensorProto.UINT8, Task.BINARY, "labels only"),
    ],
)
def test_an_output_of_another_type_is_named(kind: int, task: Task, says: str) -> None:
    assert says in unfit(with_outputs(port("p", kind)), expecting(task), Reason.MODEL_OUTPUTS)


def test_a_label_as_float_is_no_probability() -> None:
    labels = with_outputs(port("output_label", FLOAT, (None,)))
    assert "labels only" in unfit(labels, expecting(), Reason.MODEL_OUTPUTS)


@pytest.mark.parametrize(
    ("classes", "refused"), [(("0", "1"), True), (("false", "true"), True), (("no", "yes"), False)]
)
def test_one_number_a_row_is_not_taken_for_the_probability_of_zero(classes: tuple[str, ...], *, refused: bool) -> None:
    """What a sigmoid learns from 0 and 1 is P(1)."""
    zero = expecting(classes=classes).model_copy(update={"positive": classes[0]})
    declared = zero.model_copy(update={"declared": True})
    assert read_signature(columns({"a": 1}), declared).facts.single_probability
    if refused:
        assert "`data.classes`" in unfit(columns({"a": 1}), zero, Reason.MODEL_OUTPUTS)
    else:
        assert read_signature(columns({"a": 1}), zero).facts.single_probability


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_shape_that_a_converter_leaves_out_is_no_fault(side: str) -> None:
    model = columns({"a": 1})
    (value,) = getattr(model.graph, side)
    value.type.tensor_type.ClearField("shape")
    assert not getattr(parse_model(model.SerializeToString()).graph, side)[0].type.tensor_type.HasField("shape")


@pytest.mark.parametrize(
    ("declared", "inferred", "single"),
    [
        (None, (None, 1), True),
        (None, ("batch",), True),
        (("n", "m"), (None, 1), True),
        (("n", "m"), ("n", 2), False),
        (None, (), False),
        ((None, 1), (None, 2), True),
    ],
)
def test_what_the_runtime_infers_of_an_output_fills_what_the_file_leaves_open(
    declared: Shape, inferred: tuple[int | str | None, ...], *, single: bool
) -> None:
    model = with_outputs(port("p", shape=declared))
    infer(model, {"p": inferred})
    assert read_signature(model, expecting()).facts.single_probability is single


def test_a_version_that_is_too_new_is_named() -> None:
    model = columns({"a": 1})
    model.ir_version = onnx.IR_VERSION + 1
    assert "older opset" in refused(model.SerializeToString())


def with_outputs(*outputs: onnx.ValueInfoProto) -> onnx.ModelProto:
    model = columns({"a": 1})
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def test_a_list_of_dictionaries_that_no_zipmap_made_is_refused_with_what_fixes_it() -> None:
    boxes = helper.make_sequence_type_proto(
        helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, [None]))
    )
    model = with_outputs(port("label", INT64, (None,)), helper.make_value_info("output_probability", boxes))
    assert not unzip(model)
    assert "options={'zipmap': False}" in unfit(model, expecting(), Reason.MODEL_OUTPUTS)


@pytest.mark.parametrize("labels", [["no", "yes"], ["yes", "no"]])
def test_of_a_zipmap_the_tensor_is_read_with_the_keys_that_it_gives(labels: list[str]) -> None:
    """CatBoost exports no other way. Its keys decide, whatever the label output's list says."""
    model = onnx.ModelProto()
    model.CopyFrom(matrix(np.eye(3, 2), last="Softmax"))
    tensor = model.graph.output[0].name
    keys = helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
    model.graph.node.append(
        helper.make_node("ZipMap", [tensor], ["probabilities"], domain="ai.onnx.ml", classlabels_strings=labels)
    )
    model.graph.output[0].CopyFrom(helper.make_value_info("probabilities", helper.make_sequence_type_proto(keys)))
    assert unzip(model)
    signature = read_signature(model, THREE)
    assert (signature.output, signature.facts.classes) == (tensor, tuple(labels))
    assert not unzip(model), "there is a tensor now"


@pytest.mark.parametrize("beside", ["scores", "the tensor itself", "used elsewhere", "codes"])
def test_a_zipmap_beside_other_outputs_of_numbers_is_what_counts(beside: str) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(matrix(np.eye(3, 2), last="Softmax"))
    tensor = model.graph.output[0].name
    kind = INT64 if beside == "codes" else STRING
    listed: dict[str, Any] = {"classlabels_strings": ["yes", "no"]}
    if beside == "codes":
        listed = {"classlabels_int64s": [0, 1]}
    model.graph.node.append(helper.make_node("ZipMap", [tensor], ["zipped"], domain="ai.onnx.ml", **listed))
    keys = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(FLOAT, []))
    model.graph.output[0].CopyFrom(helper.make_value_info("zipped", helper.make_sequence_type_proto(keys)))
    if beside == "scores":
        model.graph.output.append(port("z", shape=(None, 2)))
    elif beside == "the tensor itself":
        model.graph.output.append(port(tensor, shape=(None, 2)))
    elif beside == "used elsewhere":
        model.graph.node.append(helper.make_node("ArgMax", [tensor], ["label"], axis=1, keepdims=0))
        model.graph.output.append(port("label", INT64, (None,)))
    assert unzip(model)
    signature = read_signature(model, THREE)
    assert (signature.output, signature.facts.classes) == (
        tensor,
        ("no", "yes") if beside == "codes" else ("yes", "no"),
    )
    onnxruntime.InferenceSession(model.SerializeToString())


def test_labels_alone_are_no_probabilities() -> None:
    assert "labels only" in unfit(with_outputs(port("label", INT64)), expecting(), Reason.MODEL_OUTPUTS)


def test_of_several_outputs_the_one_named_probabilities_is_read() -> None:
    both = with_outputs(port("embedding", shape=(None, 8)), port("probabilities", shape=(None, 2)))
    assert read_signature(both, expecting()).output == "probabilities"
    neither = with_outputs(port("embedding", shape=(None, 8)), port("q", shape=(None, 2)))
    detail = unfit(neither, expecting(), Reason.MODEL_OUTPUTS)
    assert "'embedding', 'q'" in detail


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_a_label_as_float_beside_a_probability_of_any_name_is_the_label(kind: int) -> None:
    both = read_signature(with_outputs(port("p"), port("label", kind)), expecting())
    assert both.output == "p"
    assert both.labels is not None
    assert both.labels.name == "label"


def test_an_output_of_three_dimensions_is_refused() -> None:
    unfit(with_outputs(port("p", shape=(None, 2, 2))), expecting(), Reason.MODEL_OUTPUTS)


def test_a_model_without_inputs_is_refused() -> None:
    model = build([], [], [port("p")], constants={"p": np.zeros((1, 1), dtype=np.float32)})
    assert "no input" in unfit(model, expecting(), Reason.MODEL_INPUTS)


# Which label each probability column stands for: read from real converters' files.

X = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)


def classes_of(*classes: str, declared: bool = False) -> Expected:
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    return Expected(
        task=task, features=(Feature(name="a", kind=Kind.FLOAT),), classes=tuple(classes), declared=declared
    )


def fitted(estimator: Any, labels: Sequence[Any]) -> onnx.ModelProto:
    y = np.array(labels)[np.argsort(X[:, 0]) * len(labels) // len(X)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between numpy, protobuf and skl2onnx; not what is tested here
        return to_onnx(estimator.fit(X, y), X[:1], options={"zipmap": False})


LEARNERS = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=2),
    RandomForestClassifier(3),
    make_pipeline(StandardScaler(), LogisticRegression()),
    CalibratedClassifierCV(LogisticRegression(), cv=2),
    StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(2))], cv=2),
]


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: type(learner).__name__)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes"], ("yes", "no")),
        (["low", "high", "mid"], ("low", "mid", "high")),
        ([0, 1], ("1", "0")),
        ([3, 20, 7], ("20", "3", "7")),
    ],
)
def test_scikit_learns_labels_are_found_whatever_order_the_holdout_has(
    learner: Any, labels: list[Any], classes: tuple[str, ...]
) -> None:
    assert class_order(fitted(learner, labels), classes_of(*classes)) == tuple(map(str, sorted(labels)))


CODED = [
    ([0, 1, 2], ("1", "2", "3")),
    ([0, 1, 2], ("high", "low", "mid")),
    ([0, 1, 2], ("-1", "0", "1")),
    ([1, 2, 3], ("0", "1", "2")),
    ([0, 1], ("1", "2")),
    ([0, 1], ("-1", "1")),
]


@pytest.mark.parametrize(("labels", "classes"), CODED)
def test_numbers_that_may_be_codes_are_refused_until_the_config_says_what_they_are(
    labels: list[int], classes: tuple[str, ...]
) -> None:
    model = fitted(LogisticRegression(), labels)
    write = ", ".join(f"'{name}'" for name in classes)
    with pytest.raises(Refused, match=re.escape(f"`data.classes: [{write}]`")) as caught:
        class_order(model, classes_of(*classes))
    assert caught.value.reason is Reason.MODEL_OUTPUTS
    assert class_order(model, classes_of(*classes, declared=True)) == classes
    assert class_order(model, classes_of(*reversed(classes), declared=True)) == tuple(reversed(classes))


@pytest.mark.parametrize(
    ("labels", "classes", "order"),
    [
        ([0, 1], ("no", "yes"), ("no", "yes")),  # two texts, the positive one last: 1 is nothing else
        ([0, 1, 2, 3], ("0", "1", "3"), ("0", "1", "2", "3")),  # a class that the holdout happens not to hold
        ([0, 1, 2], ("0", "1", "2", "3"), ("0", "1", "2")),  # one that the model never learned
        ([0, 1], ("0.0", "1.0"), ("0.0", "1.0")),
        (["0.0", "1.0"], ("0", "1"), ("0", "1")),
        (["False", "True"], ("false", "true"), ("false", "true")),
        (["False", "True"], ("0", "1"), ("0", "1")),
        ([-1, 1], ("-1", "1"), ("-1", "1")),
    ],
)
def test_labels_that_are_equal_by_value_are_the_classes(
    labels: list[Any], classes: tuple[str, ...], order: tuple[str, ...]
) -> None:
    model = fitted(LogisticRegression(), labels)
    expected = classes_of(*classes).model_copy(update={"task": Task.MULTICLASS if len(order) > 2 else Task.BINARY})
    assert class_order(model, expected) == order


@pytest.mark.parametrize(("labels", "classes"), [([-1, 1], ("0", "1")), ([1, 2], ("0", "1")), ([5, 6], ("a", "b"))])
def test_other_numbers_than_codes_need_the_configs_word(labels: list[int], classes: tuple[str, ...]) -> None:
    model = fitted(LogisticRegression(), labels)
    with pytest.raises(Refused, match=r"data\.classes"):
        class_order(model, classes_of(*classes))
    assert class_order(model, classes_of(*classes, declared=True)) == classes


def test_names_in_the_metadata_count_before_codes_in_the_graph() -> None:
    model = fitted(LogisticRegression(), [0, 1, 2])
    helper.set_model_props(model, {CLASSES_KEY: json.dumps(["low", "mid", "high"])})
    assert class_order(model, classes_of("high", "low", "mid")) == ("low", "mid", "high")


def test_booleans_are_zero_and_one_to_onnx() -> None:
    assert class_order(fitted(LogisticRegression(), [0, 1]), classes_of("true", "false")) == ("false", "true")


def test_other_labels_are_refused_and_shown() -> None:
    with pytest.raises(Refused) as caught:
        class_order(fitted(LogisticRegression(), ["cat", "dog"]), classes_of("no", "yes"))
    assert caught.value.reason is Reason.MODEL_OUTPUTS
    assert "'cat', 'dog'" in str(caught.value)
    assert "'no', 'yes'" in str(caught.value)


def test_a_class_that_only_the_model_knows_stays_in_its_place() -> None:
    model = fitted(LogisticRegression(), ["a", "b", "c", "d"])
    assert class_order(model, classes_of("a", "b", "d")) == ("a", "b", "c", "d")


def test_a_class_that_the_model_never_learned_is_left_out() -> None:
    model = fitted(LogisticRegression(), ["a", "c"])
    assert class_order(model, classes_of("a", "b", "c")) == ("a", "c")


def test_without_labels_the_expected_order_counts() -> None:
    assert class_order(matrix(np.eye(3)), classes_of("z", "y", "x")) == ("z", "y", "x")


def test_the_exports_own_metadata_counts_after_the_graph() -> None:
    model = matrix(np.eye(3), metadata={CLASSES_KEY: json.dumps(["x", "y", "z"])})
    assert class_order(model, classes_of("z", "y", "x")) == ("x", "y", "z")
    known = fitted(LogisticRegression(), ["x", "y", "z"])
    helper.set_model_props(known, {CLASSES_KEY: json.dumps(["z", "y", "x"])})
    assert class_order(known, classes_of("y", "x", "z")) == ("x", "y", "z")


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "[" * 100_000])
def test_metadata_that_is_no_list_of_names_counts_for_nothing(text: str) -> None:
    model = matrix(np.eye(2), metadata={CLASSES_KEY: text})
    assert class_order(model, classes_of("no", "yes")) == ("no", "yes")


def unreadable() -> onnx.ModelProto:
    """Labels that are computed, so that no list of them stands in the file."""
    node = helper.make_node("Cast", ["a"], ["label"], to=STRING)
    return build([node], [port("a")], [port("label", STRING), port("p", shape=(None, 2))])


def test_text_labels_whose_order_cannot_be_read_need_the_configs_word() -> None:
    with pytest.raises(Refused, match=r"data\.classes"):
        class_order(unreadable(), classes_of("no", "yes"))
    assert class_order(unreadable(), classes_of("no", "yes", declared=True)) == ("no", "yes")


@pytest.mark.parametrize("coded", [True, False])
def test_what_1_stands_for_is_asked_where_the_positive_label_is_not_the_last(*, coded: bool) -> None:
    model = fitted(LogisticRegression(), [0, 1]) if coded else matrix(np.eye(2))
    expected = classes_of("ja", "nein").model_copy(update={"positive": "ja"})
    with pytest.raises(Refused, match=r"`data\.classes`, such as 'nein', 'ja' where 1 is 'ja'"):
        class_order(model, expected)
    assert class_order(model, expected.model_copy(update={"positive": "nein"})) == ("ja", "nein")
    assert class_order(model, expected.model_copy(update={"declared": True})) == ("ja", "nein")
    named = fitted(LogisticRegression(), ["ja", "nein"])
    assert class_order(named, expected) == ("ja", "nein")


def test_numbers_from_argmax_are_codes() -> None:
    node = helper.make_node("ArgMax", ["p"], ["label"], axis=1)
    model = matrix(np.eye(2))
    model.graph.node.append(node)
    model.graph.output.append(port("label", INT64))
    assert class_order(model, classes_of("no", "yes")) == ("no", "yes")


# --- the labels that a file gives itself


def labelled(estimator: Any, labels: Sequence[Any], expected: Expected) -> dict[str, int]:
    model = fitted(estimator, labels)
    found = label_output(model, expected, class_order(model, expected))
    assert found is not None
    return dict(found.places)


@pytest.mark.parametrize(
    ("labels", "expected", "places"),
    [
        (["no", "yes"], classes_of("yes", "no"), {"no": 0, "yes": 1}),
        ([0, 1], classes_of("1", "0"), {"0": 0, "1": 1}),
        ([0, 1], classes_of("no", "yes"), {"0": 0, "1": 1}),
        ([0, 1], classes_of("yes", "no", declared=True), {"0": 0, "1": 1}),
        ([0, 1, 2], classes_of("1", "2", "3", declared=True), {"0": 0, "1": 1, "2": 2}),
        ([3, 20, 7], classes_of("20", "3", "7"), {"3": 0, "7": 1, "20": 2}),
        ([0, 1], classes_of("true", "false"), {"0": 0, "1": 1}),
    ],
)
def test_each_label_of_a_file_is_the_class_of_its_column(
    labels: list[Any], expected: Expected, places: dict[str, int]
) -> None:
    assert labelled(LogisticRegression(), labels, expected) == places


def test_codes_beside_names_in_the_metadata_are_the_columns() -> None:
    model = fitted(LogisticRegression(), [0, 1, 2])
    helper.set_model_props(model, {CLASSES_KEY: json.dumps(["low", "mid", "high"])})
    found = label_output(model, classes_of("high", "low", "mid"), ("low", "mid", "high"))
    assert found is not None
    assert found.places == {"0": 0, "1": 1, "2": 2}


def computed(*, place: bool, kind: int = INT64) -> onnx.ModelProto:
    """Labels that no list in the file names: the place of the greatest probability, or something else."""
    model = matrix(np.eye(2))
    maker = helper.make_node("ArgMax" if place else "ReduceMax", ["p"], ["at"], **({"axis": 1} if place else {}))
    model.graph.node.extend([maker, helper.make_node("Cast", ["at"], ["label"], to=kind)])
    model.graph.output.append(port("label", kind))
    return model


@pytest.mark.parametrize(
    ("model", "expected", "places"),
    [
        (computed(place=True), classes_of("1", "2"), {"0": 0, "1": 1}),
        (computed(place=True, kind=BOOL), classes_of("no", "yes"), {"false": 0, "true": 1}),
        (computed(place=False), classes_of("1", "2"), {}),  # 1 may be the class 1 or the second column
        (computed(place=False), classes_of("0", "1"), {"0": 0, "1": 1}),
        (computed(place=False), classes_of("no", "yes"), {"0": 0, "1": 1, "no": 0, "yes": 1}),
        (computed(place=False, kind=STRING), classes_of("no", "yes"), {"no": 0, "yes": 1}),
        (computed(place=True, kind=FLOAT), classes_of("0", "1"), {"0": 0, "1": 1}),
    ],
)
def test_labels_that_no_list_names_are_read_where_they_can_be_one_thing_only(
    model: onnx.ModelProto, expected: Expected, places: dict[str, int]
) -> None:
    found = label_output(model, expected, expected.classes)
    assert found is not None
    assert found.places == places


def test_beside_a_probability_that_is_alone_labels_are_negative_and_positive() -> None:
    model = columns({"a": 1.0})
    model.graph.node.append(helper.make_node("Cast", ["p"], ["label"], to=INT64))
    model.graph.output.append(port("label", INT64))
    for positive, places in (("yes", {"0": 0, "1": 1, "no": 0, "yes": 1}), ("no", {})):
        expected = classes_of("no", "yes").model_copy(update={"positive": positive})
        found = label_output(model, expected, ())
        assert found is not None
        assert found.places == places


# What answers at random, and what does so in a training only.


def versioned(nodes: Sequence[onnx.NodeProto], version: int, **constants: Any) -> onnx.ModelProto:
    model = build(nodes, [port("a")], [port("p")], constants={name: np.array(x) for name, x in constants.items()})
    model.opset_import[0].version = version
    return model


def dropout(mode: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Dropout", ["a", "", mode] if mode else ["a"], ["p"], **attributes)


def normalization(*more: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["p", *more], **attributes)


STATISTICS = {name: np.ones(1, dtype=np.float32) for name in "sbmv"}
YES = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
NO = helper.make_node("Constant", [], ["no"], value=numpy_helper.from_array(np.array(False)))
RANDOM: dict[str, onnx.ModelProto] = {
    "RandomNormal": versioned([helper.make_node("RandomNormal", [], ["p"], shape=[1, 1])], 17),
    "RandomUniform": versioned([helper.make_node("RandomUniform", [], ["p"], shape=[1, 1], seed=1.0)], 17),
    "RandomNormalLike": versioned([helper.make_node("RandomNormalLike", ["a"], ["p"], scale=0.0)], 17),
    "RandomUniformLike": versioned([helper.make_node("RandomUniformLike", ["a"], ["p"])], 17),
    "Bernoulli": versioned([helper.make_node("Bernoulli", ["a"], ["p"])], 17),
    "Multinomial": versioned([helper.make_node("Multinomial", ["a"], ["p"])], 17),
    "of the domain's other name": versioned([helper.make_node("Bernoulli", ["a"], ["p"], domain="ai.onnx")], 17),
    "in a branch": versioned([in_graph(helper.make_node("RandomNormalLike", ["a"], ["p"]))], 17),
    "in branches of branches": versioned([in_graph(in_graph(helper.make_node("RandomNormalLike", ["a"], ["p"])))], 17),
    "dropout that trains": versioned([YES, dropout("yes")], 17),
    "dropout of an initializer": versioned([dropout("t")], 17, t=True),
    "dropout by what is asked": versioned([helper.make_node("IsNaN", ["a"], ["t"]), dropout("t")], 17),
    "dropout of two names": versioned([dropout("no"), in_graph(YES), NO], 17, no=True),
    "dropout of opset 6": versioned([dropout()], 6),
    "dropout of opset 1 that trains": versioned([dropout(is_test=0)], 1),
    "normalization of opset 15": versioned([normalization("x", "y", training_mode=1)], 15, **STATISTICS),
    "normalization of opset 9": versioned([normalization("x", "y", "", "")], 9, **STATISTICS),
    "normalization of opset 6": versioned([normalization()], 6, **STATISTICS),
}
PLAIN: dict[str, onnx.ModelProto] = {
    "dropout": versioned([dropout()], 17),
    "dropout that does not train": versioned([NO, dropout("no")], 17),
    "dropout of an initializer": versioned([dropout("t")], 17, t=False),
    "dropout of opset 10": versioned([dropout()], 10),
    "normalization": versioned([normalization()], 17, **STATISTICS),
    "normalization that does not train": versioned([normalization(training_mode=0)], 15, **STATISTICS),
    "normalization of opset 9": versioned([normalization()], 9, **STATISTICS),
}


@pytest.mark.parametrize("name", RANDOM)
def test_what_answers_at_random_is_refused_when_the_file_is_read(name: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_model(RANDOM[name].SerializeToString())
    trains = name.startswith(("dropout", "normalization"))
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert caught.value.cause == ("training-mode" if trains else "random-operator")


@pytest.mark.parametrize("kind", ["sampling", "dropout", "an attribute of the call"])
def test_what_answers_at_random_is_refused_in_a_function_of_the_file(kind: str) -> None:
    mode = onnx.AttributeProto(name="training_mode", type=onnx.AttributeProto.INT, ref_attr_name="mode")
    passed_on = helper.make_node("BatchNormalization", ["a", "a", "a", "a", "a"], ["p"])
    passed_on.attribute.append(mode)
    body = {
        "sampling": [helper.make_node("Bernoulli", ["a"], ["p"])],
        "dropout": [helper.make_node("Dropout", ["a", "", "a"], ["p"])],
        "an attribute of the call": [passed_on],
    }[kind]
    function = own_function("pkg.own", "f", body)
    with pytest.raises(Refused) as caught:
        parse_model(one(calling("pkg.own", "f"), "pkg.own", [function]))
    assert caught.value.cause == ("random-operator" if kind == "sampling" else "training-mode")


@pytest.mark.parametrize("name", PLAIN)
def test_what_answers_at_random_in_a_training_only_is_let_through(name: str) -> None:
    parse_model(PLAIN[name].SerializeToString())
