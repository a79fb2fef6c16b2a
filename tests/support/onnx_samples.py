"""ONNX files of every kind that the judge may meet, built by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, DOUBLE, INT64, STRING, BOOL = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.STRING,
    TensorProto.BOOL,
)

Shape = Sequence[int | str | None] | None


def port(name: str, kind: int = FLOAT, shape: Shape = (None, 1)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    constants: Mapping[str, np.ndarray] | None = None,
    metadata: Mapping[str, str] | None = None,
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets += [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))
    helper.set_model_props(model, dict(metadata or {}))
    return model


def columns(weights: Mapping[str, float], *, kind: int = FLOAT, last: str = "Sigmoid") -> onnx.ModelProto:
    """One input a column; the sum of weighted columns, squashed: one number a row."""
    cast = [helper.make_node("Cast", [name], [f"{name}_f"], to=FLOAT) for name in weights]
    join = helper.make_node("Concat", [f"{name}_f" for name in weights], ["joined"], axis=1)
    return build(
        [*cast, join, helper.make_node("MatMul", ["joined", "w"], ["sum"]), helper.make_node(last, ["sum"], ["p"])],
        [port(name, kind) for name in weights],
        [port("p")],
        constants={"w": np.array([[w] for w in weights.values()], dtype=np.float32)},
    )


def with_own_rule(weights: Mapping[str, float], threshold: float) -> onnx.ModelProto:
    """`columns`, and beside them labels by a threshold inside the file."""
    model = columns(weights)
    limit = helper.make_node("Constant", [], ["limit"], value_float=threshold)
    model.graph.node.extend([limit, helper.make_node("GreaterOrEqual", ["p", "limit"], ["over"])])
    model.graph.node.append(helper.make_node("Cast", ["over"], ["label"], to=INT64))
    model.graph.output.append(port("label", INT64))
    return model


def matrix(
    weights: np.ndarray,
    *,
    kind: int = FLOAT,
    last: str = "Softmax",
    shape: Shape = None,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """One input `[N, F]` times `weights` (F, C), then `last`."""
    nodes = [
        helper.make_node("Cast", ["X"], ["x"], to=FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node(last, ["z"], ["p"]),
    ]
    wide, classes = weights.shape
    inputs = [port("X", kind, (None, wide) if shape is None else shape)]
    constants = {"w": weights.astype(np.float32)}
    return build(nodes, inputs, [port("p", shape=(None, classes))], constants=constants, metadata=metadata)


def endless() -> onnx.ModelProto:
    """A loop whose condition is always true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [port("i", INT64, ()), port("go", BOOL, ()), port("v")],
        [port("go_on", BOOL, ()), port("w")],
    )
    loop = helper.make_node("Loop", ["", "yes", "a"], ["p"], body=body)
    return build([loop], [port("a")], [port("p")], constants={"yes": np.array(True)})


def bomb(elements: int = 1 << 40) -> onnx.ModelProto:
    """A few bytes that ask for `elements` floats."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["total"], keepdims=0),
        helper.make_node("Add", ["a", "total"], ["p"]),
    ]
    return build(nodes, [port("a")], [port("p")], constants={"size": np.array([elements], dtype=np.int64)})


def external(where: str) -> onnx.ModelProto:
    """A tensor that is said to stand in /etc/passwd, at one of the places where a model can have tensors."""
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    constant = helper.make_node("Constant", [], ["w"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)
    model = build([helper.make_node("Identity", ["a"], ["p"])], [port("a")], [port("p")])
    graph = model.graph
    if where == "initializer":
        graph.initializer.append(tensor)
    elif where == "sparse":
        graph.sparse_initializer.add(values=tensor, dims=[1])
    elif where == "attribute":
        graph.node.insert(0, constant)
    elif where == "tensors":
        graph.node[0].attribute.add(name="many", type=onnx.AttributeProto.TENSORS, tensors=[tensor])
    elif where == "subgraph":
        inner = helper.make_graph([constant], "inner", [], [port("w", shape=(1,))])
        graph.node.append(helper.make_node("If", ["a"], ["q"], then_branch=inner, else_branch=inner))
    elif where == "function":
        function = helper.make_function("own", "f", [], ["w"], [constant], [helper.make_opsetid("", 17)])
        model.functions.append(function)
    elif where == "training":
        model.training_info.add().initialization.initializer.append(tensor)
    return model


EXTERNAL_PLACES = ("initializer", "sparse", "attribute", "tensors", "subgraph", "function", "training")
