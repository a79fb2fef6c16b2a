"""ONNX files whose answer to a row depends on more than the row, each on another thing."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper
from tests.support.onnx_samples import DOUBLE, FLOAT, build, port

node = helper.make_node
NUMBERS: Mapping[str, np.ndarray] = {
    **{f"i{number}": np.array([number], dtype=np.int64) for number in (0, 1, 20, 32, 64, 100, 140, 300, -1)},
    **{f"f{number}": np.array([[number]], dtype=np.float32) for number in (0, 1, 2, -3, 1000)},
    "infinite": np.array([[np.inf]], dtype=np.float32),
    "scalar0": np.array(0, dtype=np.int64),
    "scalar1": np.array(1, dtype=np.int64),
    "column": np.array([-1, 1], dtype=np.int64),
}


def of_a(*nodes: onnx.NodeProto, last: str = "Sigmoid", kind: int = FLOAT) -> onnx.ModelProto:
    """Nodes from the column `a` to `z`, and what the model makes of it."""
    used = {name for each in nodes for name in each.input}
    constants = {name: value for name, value in NUMBERS.items() if name in used}
    return build([*nodes, node(last, ["z"], ["p"])], [port("a")], [port("p", kind)], constants=constants)


ROWS = [node("Shape", ["a"], ["shape"], end=1)]
MEAN = [node("ReduceMean", ["a"], ["mean"], axes=[0]), node("Sub", ["a", "mean"], ["off"])]
PLACE = [
    *ROWS,
    node("Squeeze", ["shape"], ["count"]),
    node("Range", ["scalar0", "count", "scalar1"], ["places"]),
    node("Reshape", ["places", "column"], ["place"]),
]


def where(condition: str, *, then: str = "a", otherwise: str = "f0") -> onnx.NodeProto:
    return node("Where", [condition, then, otherwise], ["z"])


def if_rows(comparison: str, number: int) -> onnx.ModelProto:
    """Answers where the number of rows in the batch is so, else always the same."""
    return of_a(*ROWS, node(comparison, ["shape", f"i{number}"], ["is"]), where("is"))


def by_place(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return of_a(*PLACE, *nodes)


def narrow(by: float) -> onnx.ModelProto:
    """All answers lie within `by` of a half, but in the order that the batch gives: AUC and accuracy see them."""
    nodes = [
        *MEAN,
        node("Sign", ["off"], ["sign"]),
        node("Cast", ["sign"], ["wide"], to=DOUBLE),
        node("Mul", ["wide", "by"], ["little"]),
        node("Add", ["little", "middle"], ["p"]),
    ]
    constants = {"by": np.array([[by]]), "middle": np.array([[0.5]])}
    return build(nodes, [port("a")], [port("p", DOUBLE)], constants=constants)


def in_a_branch() -> onnx.ModelProto:
    """The mean is taken in a branch, by a function of the file."""
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Centre", ["a"], ["off"], MEAN, opset)
    call = helper.make_node("Centre", ["a"], ["inner"], domain="own")
    then = helper.make_graph([call], "then", [], [port("inner")])
    other = helper.make_graph([node("Identity", ["a"], ["other"])], "else", [], [port("other")])
    nodes = [
        *ROWS,
        node("Greater", ["shape", "i1"], ["many"]),
        node("Squeeze", ["many"], ["flag"]),
        helper.make_node("If", ["flag"], ["z"], then_branch=then, else_branch=other),
        node("Sigmoid", ["z"], ["p"]),
    ]
    constants = {"i1": NUMBERS["i1"]}
    return build(nodes, [port("a")], [port("p")], constants=constants, domains=["own"], functions=[function])


def missing_as_the_batch() -> onnx.ModelProto:
    """A missing number is filled with the batch's mean of the others; zero where there is none."""
    return of_a(
        node("IsNaN", ["a"], ["gap"]),
        node("Where", ["gap", "f0", "a"], ["there"]),
        node("ReduceMean", ["there"], ["mean"], axes=[0]),
        where("gap", then="mean", otherwise="there"),
    )


def dynamic(seed: int = 0) -> onnx.ModelProto:
    """A layer quantised by the numbers that are in the batch, as `quantize_dynamic` writes it."""
    weights = np.random.default_rng(seed).integers(-100, 100, (1, 1)).astype(np.int8)
    nodes = [
        node("DynamicQuantizeLinear", ["a"], ["q", "scale", "zero"]),
        node("MatMulInteger", ["q", "w", "zero"], ["sum"]),
        node("Cast", ["sum"], ["whole"], to=FLOAT),
        node("Mul", ["whole", "scale"], ["scaled"]),
        node("Div", ["scaled", "hundred"], ["z"]),
        node("Sigmoid", ["z"], ["p"]),
    ]
    return build(
        nodes, [port("a")], [port("p")], constants={"w": weights, "hundred": np.array([[100]], dtype=np.float32)}
    )


def exactly(value: float) -> onnx.ModelProto:
    """One row is answered otherwise when it is alone."""
    nodes = [
        *ROWS,
        node("Equal", ["shape", "i1"], ["alone"]),
        node("Equal", ["a", "value"], ["it"]),
        node("And", ["alone", "it"], ["both"]),
        node("Where", ["both", "f-3", "a"], ["z"]),
        node("Sigmoid", ["z"], ["p"]),
    ]
    constants = {"i1": NUMBERS["i1"], "f-3": NUMBERS["f-3"], "value": np.array([[value]], dtype=np.float32)}
    return build(nodes, [port("a")], [port("p")], constants=constants)


def sliced(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Rows moved along the batch: the answer to one row is given to another."""
    places = {"far": np.array([-(2**40)]), "end": np.array([2**40]), **{f"i{n}": NUMBERS[f"i{n}"] for n in (0, 1, -1)}}
    return build([*nodes, node("Sigmoid", ["z"], ["p"])], [port("a")], [port("p")], constants=places)


def ranked() -> onnx.ModelProto:
    """The share of the batch that is smaller."""
    return of_a(
        node("Transpose", ["a"], ["across"], perm=[1, 0]),
        node("Less", ["across", "a"], ["less"]),
        node("Cast", ["less"], ["ones"], to=FLOAT),
        node("ReduceMean", ["ones"], ["z"], axes=[1]),
    )


BATCH, ORDER, ALONE = "depends-on-batch", "depends-on-order", "not-finite-alone"

DEPENDENT: Mapping[str, tuple[str, onnx.ModelProto]] = {
    "less its mean": (BATCH, of_a(*MEAN, node("Identity", ["off"], ["z"]))),
    "less its greatest": (BATCH, of_a(node("ReduceMax", ["a"], ["top"], axes=[0]), node("Sub", ["a", "top"], ["z"]))),
    "softmax over the rows": (BATCH, of_a(node("Softmax", ["a"], ["z"], axis=0))),
    "rank": (BATCH, ranked()),
    "over its deviation": (
        ALONE,
        of_a(*MEAN, node("ReduceL2", ["off"], ["deviation"], axes=[0]), node("Div", ["off", "deviation"], ["z"])),
    ),
    "infinite alone": (
        ALONE,
        of_a(
            *ROWS,
            node("Greater", ["shape", "i1"], ["is"]),
            node("Sigmoid", ["a"], ["s"]),
            where("is", then="s", otherwise="infinite"),
            last="Identity",
        ),
    ),
    "alone": (BATCH, if_rows("Greater", 1)),
    "never so few": (BATCH, if_rows("Greater", 100)),
    "a usual batch": (BATCH, if_rows("Equal", 32)),
    "another usual batch": (BATCH, if_rows("Equal", 64)),
    "the judge's own batch": (BATCH, if_rows("Equal", 300)),
    "rows beyond the hundredth": (ORDER, by_place(node("Less", ["place", "i100"], ["is"]), where("is"))),
    "the first row": (ORDER, by_place(node("Greater", ["place", "i0"], ["is"]), where("is"))),
    "its place": (
        ORDER,
        by_place(
            node("Cast", ["place"], ["number"], to=FLOAT),
            node("Div", ["number", "f1000"], ["part"]),
            node("Add", ["a", "part"], ["z"]),
        ),
    ),
    "a running sum": (ORDER, of_a(node("CumSum", ["a", "scalar0"], ["z"]))),
    "the next row": (
        ORDER,
        sliced(
            node("Slice", ["a", "i1", "end", "i0"], ["tail"]),
            node("Slice", ["a", "i0", "i1", "i0"], ["head"]),
            node("Concat", ["tail", "head"], ["z"], axis=0),
        ),
    ),
    "from the last to the first": (ORDER, sliced(node("Slice", ["a", "i-1", "far", "i0", "i-1"], ["z"]))),
    "sorted": (ORDER, of_a(*ROWS, node("TopK", ["a", "shape"], ["z", "indices"], axis=0))),
    "only high rows": (
        BATCH,
        of_a(
            *ROWS,
            node("Greater", ["shape", "i1"], ["many"]),
            node("Less", ["a", "f2"], ["low"]),
            node("Or", ["many", "low"], ["is"]),
            where("is", otherwise="f-3"),
        ),
    ),
    "rounded": (BATCH, of_a(*MEAN, node("Sigmoid", ["off"], ["z"]), last="Round")),
    "within a millionth": (BATCH, narrow(1e-6)),
    "within a billionth": (BATCH, narrow(1e-9)),
    "in a branch": (BATCH, in_a_branch()),
    "quantised by the batch": ("depends-on-batch-quantised", dynamic()),
}
"""By what it depends on: the cause of its refusal, and the model."""
