"""What an ONNX file may contain."""

import onnx
import pytest
from onnx import helper
from tests.support.onnx_samples import EXTERNAL_PLACES, FLOAT, bomb, build, columns, endless, external, port

from mlbot.gates.outcome import Reason
from mlbot.ml.inspection import parse
from mlbot.ml.protocol import Refused


def refused(content: bytes) -> str:
    with pytest.raises(Refused) as caught:
        parse(content)
    assert caught.value.reason is Reason.MODEL_REFUSED
    return caught.value.detail


def one(node: onnx.NodeProto, domain: str = "", functions: list[onnx.FunctionProto] | None = None) -> bytes:
    domains = [domain] if domain else []
    model = build([node], [port("a")], [port("p")], domains=domains, functions=functions or [])
    content: bytes = model.SerializeToString()
    return content


def test_a_plain_model_passes() -> None:
    assert parse(columns({"a": 1.0, "b": 2.0}).SerializeToString()).graph.input[1].name == "b"


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
    parse(one(helper.make_node("f", ["a"], ["p"], domain="pkg.torch"), "pkg.torch", [function]))


@pytest.mark.parametrize(("operator", "allowed"), [("Gelu", True), ("QGemm", True), ("PythonOp", False)])
def test_of_microsofts_own_operators_only_quantised_ones_are_allowed(operator: str, *, allowed: bool) -> None:
    content = one(helper.make_node(operator, ["a"], ["p"], domain="com.microsoft"), "com.microsoft")
    if allowed:
        parse(content)
    else:
        assert "'PythonOp'" in refused(content)


def test_control_flow_is_allowed_and_left_to_the_limits() -> None:
    parse(endless().SerializeToString())
    parse(bomb().SerializeToString())


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
