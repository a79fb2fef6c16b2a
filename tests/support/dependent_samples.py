"""ONNX files whose answer to a row depends on more than the row."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper
from tests.support.onnx_samples import build, port

node = helper.make_node


def floats(**values: float) -> dict[str, np.ndarray]:
    return {name: np.array([[value]], dtype=np.float32) for name, value in values.items()}


def of_a(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """Nodes from the column `a` to `z`, of which the model gives the sigmoid."""
    last = node("Sigmoid", ["z"], ["p"])
    return build([*nodes, last], [port("a")], [port("p")], constants=constants)


def less_its_mean() -> onnx.ModelProto:
    """The batch's mean is subtracted, as batch normalization does that was left in training mode."""
    return of_a([node("ReduceMean", ["a"], ["mean"], axes=[0]), node("Sub", ["a", "mean"], ["z"])])


def over_its_deviation() -> onnx.ModelProto:
    """Divided by the batch's standard deviation, which is zero of one row: 0 / 0."""
    return of_a(
        [
            node("ReduceMean", ["a"], ["mean"], axes=[0]),
            node("Sub", ["a", "mean"], ["off"]),
            node("ReduceL2", ["off"], ["deviation"], axes=[0]),
            node("Div", ["off", "deviation"], ["z"]),
        ]
    )


DEPENDENT: Mapping[str, tuple[str, Callable[[], onnx.ModelProto]]] = {
    "less its mean": ("depends-on-batch", less_its_mean),
    "over its deviation": ("not-finite-alone", over_its_deviation),
}
