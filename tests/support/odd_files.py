"""Model files as people really write them: what each answers, or why it is refused.

Inputs, outputs, types, opsets and labels in every form that onnx.helper and skl2onnx can make. Files of other
frameworks are written by `benchmarks/onnx_files_made.py` and read here.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import polars as pl
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlbot.config.data import Data
from mlbot.gates.metric import Task
from mlbot.ml.holdout import HoldoutData, open_holdout
from mlbot.ml.scoring import Limits, Scored, score
from mlbot.verdict.verdict import Problem

Answer = npt.NDArray[Any]
Table = Mapping[str, Sequence[Any]]
Node: TypeAlias = onnx.NodeProto
Port: TypeAlias = onnx.ValueInfoProto
_QUICK = Limits(latency_requests=20, latency_s=0.2, wall_s=60, memory_bytes=1 << 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class OddFile:
    """One model file beside one holdout, and what has to come of it."""

    kind: str  # what is odd about it
    name: str
    model: bytes = field(repr=False)
    table: Table = field(repr=False)
    task: str = "binary"
    data: Mapping[str, Any] = field(default_factory=dict)
    csv: bool = False  # whether the holdout is written as CSV; else Parquet
    # What its author's library answers on the holdout: (n,) P(positive) or the number, or (n, C) in the order of
    # `classes`. None for a file that has to be refused.
    answer: Answer | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()
    reason: str = ""  # why it has to be refused
    says: str = ""  # words that the refusal or its hint has to have
    tolerance: float = 1e-5  # of what is judged, relative to the largest answer
    differs: bool = False  # whether the converter is known to write a file that answers otherwise than its library

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the judge made of a file."""

    status: str  # right, refused, converter (right as the file, which is not as its library), or WRONG
    words: str = ""


def judged(case: OddFile, folder: Path) -> Outcome:
    """Score a file as the judge does, and compare."""
    found = _scored(case, folder)
    if isinstance(found, Problem):
        words = f"{found.detail} {found.hint}"
        fits = case.answer is None and found.reason.value == case.reason and case.says in words
        return Outcome(status="refused" if fits else "WRONG", words=f"{found.reason.value}: {words}")
    if case.answer is None:
        return Outcome(status="WRONG", words=f"judged, though it is to be refused as {case.reason}")
    given = found.predictions
    if case.classes:
        given = given[:, [found.classes.index(name) for name in case.classes]]
    apart = _apart(given, case.answer)
    if apart <= case.tolerance:
        return Outcome(status="right", words=f"{apart:.1e} apart")
    as_file = case.differs and _apart(given, _plainly(case)) <= case.tolerance
    return Outcome(status="converter" if as_file else "WRONG", words=f"{apart:.1e} apart")


def _apart(given: Answer, wanted: Answer) -> float:
    return float(np.abs(given - wanted).max()) / max(1.0, float(np.abs(wanted).max()))


def _plainly(case: OddFile) -> Answer:
    """What onnxruntime itself answers, its columns in the order of the file's."""
    silent = onnxruntime.SessionOptions()
    silent.log_severity_level = 4
    session = onnxruntime.InferenceSession(case.model, sess_options=silent)
    numbers = [np.array(values, dtype=np.float32) for name, values in case.table.items() if name != "y"]
    (one,) = session.get_inputs()
    found = session.run(None, {one.name: np.column_stack(numbers)})[-1]
    if isinstance(found, list):
        found = np.array([list(each.values()) for each in found])
    return np.asarray(found if case.classes else found.reshape(len(numbers[0]), -1)[:, -1], dtype=np.float64)


def _scored(case: OddFile, folder: Path) -> Scored | Problem:
    name = "holdout.csv" if case.csv else "holdout.parquet"
    frame = pl.DataFrame({column: list(values) for column, values in case.table.items()})
    (frame.write_csv if case.csv else frame.write_parquet)(folder / name)
    data = Data.model_validate_json(json.dumps({"holdout": name, "target": "y", **case.data}))
    holdout = open_holdout(folder / name, data, Task(case.task))
    if not isinstance(holdout, HoldoutData):
        return holdout
    (folder / "model.onnx").write_bytes(case.model)
    return score(folder / "model.onnx", holdout, limits=_QUICK)


def read(folder: Path) -> OddFile:
    """A file of another framework, as `benchmarks/onnx_files_made.py` writes it."""
    words = json.loads((folder / "case.json").read_text())
    answer = None if words["answer"] is None else np.array(words["answer"], dtype=np.float64)
    model = (folder / "model.onnx").read_bytes()
    return OddFile(**{**words, "model": model, "answer": answer, "classes": tuple(words["classes"])})


# Graphs by hand: a linear model of three columns, behind every kind of input and before every kind of output.

ROWS = 48
_RNG = np.random.default_rng(7)
F, D, F16, I64, I32, I8, U8, B, S = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.BOOL,
    TensorProto.STRING,
)
NEWEST_OPSET = 26  # what onnxruntime promises; a newer one it refuses itself
COLUMNS = {
    "a": np.round(_RNG.normal(size=ROWS), 2).astype(np.float32).astype(float),
    "b": np.round(_RNG.normal(size=ROWS), 2).astype(np.float32).astype(float),
    "c": _RNG.integers(0, 5, ROWS),
}
X = np.column_stack([values.astype(float) for values in COLUMNS.values()])
WEIGHTS = {1: np.array([[1.0], [-2.0], [0.5]]), 2: np.array([[1.0, -1.0], [-2.0, 1.0], [0.5, 0.0]])}
WEIGHTS[3] = np.array([[1.0, -1.0, 0.0], [-2.0, 1.0, 0.3], [0.5, 0.0, -0.4]])


def _table(y: Sequence[Any], **others: Sequence[Any]) -> Table:
    return {**{name: values.tolist() for name, values in COLUMNS.items()}, **others, "y": list(y)}


def _cycled(*labels: Any) -> list[Any]:
    return [labels[at % len(labels)] for at in range(ROWS)]


def softmax(scores: Answer) -> Answer:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(scores: Answer) -> Answer:
    return np.asarray(1 / (1 + np.exp(-scores)))


ZERO_ONE, NO_YES, THREE = _cycled(0, 1), _cycled("no", "yes"), _cycled("x", "y", "z")
NUMBERS = [float(value) for value in X @ WEIGHTS[1][:, 0]]


def port(name: str, kind: int = F, shape: Sequence[int | str | None] | None = (None, 1)) -> Port:
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Node:
    return helper.make_node(operator, inputs, outputs, **attributes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Ports and nodes of one end of a graph. An input's nodes make `x` [N, 3]; an output's start with `z`."""

    ports: Sequence[Port]
    nodes: Sequence[Node] = ()
    constants: Mapping[str, Answer] = field(default_factory=dict)
    more_inputs: Sequence[Port] = ()


def matrix(kind: int = F, shape: Sequence[int | str | None] | None = (None, 3), name: str = "X") -> Part:
    return Part(ports=[port(name, kind, shape)], nodes=[node("Cast", [name], ["x"], to=F)])


def columns(
    kinds: Mapping[str, int] | None = None, *, shape: Sequence[int | str | None] | None = (None, 1), order: str = "abc"
) -> Part:
    kinds = kinds or {}
    nodes = [node("Cast", [name], [f"{name}_float"], to=F) for name in order]
    nodes += [node("Reshape", [f"{name}_float", "rows_by_one"], [f"{name}_column"]) for name in order]
    nodes += [node("Concat", [f"{name}_column" for name in "abc"], ["x"], axis=1)]
    return Part(
        ports=[port(name, kinds.get(name, F), shape) for name in order],
        nodes=nodes,
        constants={"rows_by_one": np.array([-1, 1], dtype=np.int64)},
    )


def graph(
    inputs: Part, outputs: Part, width: int, *, opset: int = 17, ir: int = 8, ml: int = 3, metadata: Any = None
) -> bytes:
    """The linear model between them."""
    constants = {"w": WEIGHTS[width].astype(np.float32), **inputs.constants, **outputs.constants}
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    nodes = [*inputs.nodes, node("MatMul", ["x", "w"], ["z"]), *outputs.nodes]
    ports = [*inputs.ports, *inputs.more_inputs]
    made = helper.make_graph(nodes, "graph", ports, list(outputs.ports), initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=ir)
    helper.set_model_props(model, dict(metadata or {}))
    return bytes(model.SerializeToString())


PROBABILITIES = Part(ports=[port("p", F, (None, 2))], nodes=[node("Softmax", ["z"], ["p"], axis=1)])
TRIPLE = Part(ports=[port("p", F, (None, 3))], nodes=[node("Softmax", ["z"], ["p"], axis=1)])
ALONE = Part(ports=[port("p", F, (None, 1))], nodes=[node("Sigmoid", ["z"], ["p"])])
NUMBER = Part(ports=[port("p", F, (None, 1))], nodes=[node("Identity", ["z"], ["p"])])
P2 = softmax(X @ WEIGHTS[2])[:, 1]
P3 = softmax(X @ WEIGHTS[3])
P1 = sigmoid(X @ WEIGHTS[1])[:, 0]
R1 = (X @ WEIGHTS[1])[:, 0]


_INPUTS = OddFile(kind="inputs", name="", model=b"", table=_table(ZERO_ONE), answer=P2)


def _taken(name: str, part: Part, **changes: Any) -> OddFile:
    return replace(_INPUTS, name=name, model=graph(part, PROBABILITIES, 2), **changes)


def _not_taken(name: str, part: Part, says: str, reason: str = "model-inputs", **changes: Any) -> OddFile:
    return _taken(name, part, answer=None, reason=reason, says=says, **changes)


def odd_inputs() -> Iterator[OddFile]:
    """Every form of inputs before one linear model."""
    batch = columns(shape=("batch", 1))
    yield _taken("one a column [N,1]", columns())
    yield _taken("one a column, holdout as CSV", columns(), csv=True)
    yield _taken("one a column [batch,1]", batch)
    yield _taken("one a column [N,features]", columns(shape=("batch", "one")))
    yield _taken("one a column, no shape", columns(shape=None))
    yield _taken("one a column [N]", columns(shape=(None,)))
    yield _taken("one a column [batch]", columns(shape=("batch",)))
    yield _not_taken("one a column [1,1]", columns(shape=(1, 1)), "takes 1 row at a time")
    yield _not_taken("one a column [N,2]", columns(shape=(None, 2)), "a column's is [N, 1]")
    yield _taken("one a column, another order", columns(order="cab"))
    yield _taken("one a column, an input that no node reads", _unread(columns()), table=_table(ZERO_ONE, d=NUMBERS))
    yield _taken("one a column, a column without an input", columns(), table=_table(ZERO_ONE, d=NUMBERS))
    yield _taken("a weight listed as an input", _listed(columns()))
    yield _taken("an input with a default value", _with_default(columns()))
    yield _not_taken("names in another case", _renamed(columns(), "a", "A"), "did you mean 'a'?")
    yield _not_taken("an input of a dropped column", columns(), "data.drop", data={"drop": ("c",)})
    yield _not_taken("a switch for training beside the columns", _switched(columns()), "'training'")
    yield _taken("one matrix [N,3]", matrix())
    yield _taken("one matrix [batch,3]", matrix(shape=("batch", 3)))
    yield _taken("one matrix [N,M]", matrix(shape=("n", "m")))
    yield _taken("one matrix, no shape", matrix(shape=None))
    yield _taken("one matrix named as a column", matrix(name="a"))
    yield _taken("one matrix, a weight listed as an input", _listed(matrix()))
    yield _not_taken("one matrix [1,3]", matrix(shape=(1, 3)), "takes 1 row at a time")
    yield _not_taken("one matrix [48,3], as many rows as the holdout", matrix(shape=(ROWS, 3)), "rows at a time")
    yield _not_taken("one matrix [N,4]", _odd_matrix((None, 4), "Gather", [0, 1, 2], axis=1), "has 3 features")
    yield _not_taken("one matrix [3,N]", _odd_matrix((3, None), "Transpose"), "columns first")
    yield _not_taken("one matrix [N,3,1]", _odd_matrix((None, 3, 1), "Squeeze", [2]), "[N, 3]")
    yield _not_taken("one matrix [N]", _odd_matrix((None,), "Reshape", [-1, 3]), "[N, 3]")
    yield _not_taken("one matrix beside a switch", _switched(matrix()), "'X', 'training'")
    yield _not_taken("numbers and categories as two matrices", _two_matrices(), "'numbers'")
    yield _not_taken("one matrix of text", matrix(S), "numeric")


def odd_types() -> Iterator[OddFile]:
    """Every type of inputs beside every kind of column; what a type cannot hold."""
    for kind in (F, D, F16, I64, I32, I8, U8):
        called = TensorProto.DataType.Name(kind).lower()
        loose = {"tolerance": 5e-3} if kind == F16 else {}
        if kind in {F, D, F16}:
            yield _taken(f"one matrix of {called}", matrix(kind), **loose)
        else:
            yield _not_taken(f"one matrix of {called} for fractions", matrix(kind), "fractions")
        yield _taken(f"columns, c as {called}", columns({"c": kind}))
        if kind in {I64, I8}:
            yield _not_taken(f"columns, a as {called} for fractions", columns({"a": kind}), "fractions")
    yield _taken("columns of double", columns({"a": D, "b": D, "c": D}))
    yield _not_taken("columns, a whole number as text", columns({"c": S}), "data.types")
    yield _taken(
        "columns, a whole number as text by data.types",
        columns({"c": S}),
        data={"types": [{"name": "c", "type": "text"}]},
    )
    yield _not_taken("columns, a whole number as bool", columns({"c": B}), "takes bool")
    truths = {**_table(ZERO_ONE), "c": [bool(value) for value in COLUMNS["c"]]}
    with_truths = softmax(np.column_stack([X[:, :2], X[:, 2] > 0]) @ WEIGHTS[2])[:, 1]
    for kind in (B, F, I64):
        called = TensorProto.DataType.Name(kind).lower()
        yield _taken(f"columns, a boolean as {called}", columns({"c": kind}), table=truths, answer=with_truths)
    yield _taken("one matrix, a boolean among the columns", matrix(), table=truths, answer=with_truths)
    gaps = {**_table(ZERO_ONE), "c": [None, *COLUMNS["c"][1:].tolist()]}
    yield _not_taken("columns, a gap in whole numbers", columns({"c": I64}), "missing", table=gaps)
    yield _not_taken("one matrix, a gap that makes NaN", matrix(), "NaN", "not-finite", table=gaps)
    yield _not_taken(
        "a number beyond the type", columns({"c": I8}), "beyond", table={**_table(ZERO_ONE), "c": [300] * ROWS}
    )
    order = {"mlbot.features": json.dumps(["b", "a", "c"])}
    swapped = replace(_INPUTS, model=graph(matrix(), PROBABILITIES, 2, metadata=order), answer=None)
    yield replace(
        swapped, name="one matrix, metadata of another order", reason="feature-order", says="column 1 was 'b'"
    )
    swap = {"features": ("b", "a", "c")}
    fixed = softmax(X[:, [1, 0, 2]] @ WEIGHTS[2])[:, 1]
    yield replace(swapped, name="one matrix, the order by data.features", data=swap, answer=fixed)


def _odd_matrix(shape: Sequence[int | None], operator: str, constant: Sequence[int] = (), **more: Any) -> Part:
    """An input of another form, and the operator that makes [N, 3] of it."""
    constants = {"how": np.array(constant, dtype=np.int64)} if constant else {}
    return Part(
        ports=[port("X", F, shape)], nodes=[node(operator, ["X", *constants], ["x"], **more)], constants=constants
    )


def _unread(part: Part) -> Part:
    return replace(part, more_inputs=[port("d")])


def _listed(part: Part) -> Part:
    return replace(part, more_inputs=[port("w", F, (3, 2))])


def _with_default(part: Part) -> Part:
    return replace(part, constants={**part.constants, "c": np.zeros((1, 1), dtype=np.float32)})


def _switched(part: Part) -> Part:
    return replace(part, more_inputs=[port("training", B, ())])


def _renamed(part: Part, name: str, other: str) -> Part:
    nodes = [node("Identity", [other], [name]), *part.nodes]
    return replace(part, ports=[port(other if p.name == name else p.name) for p in part.ports], nodes=nodes)


def _two_matrices() -> Part:
    ports = [port("numbers", F, (None, 2)), port("c", F, (None, 1))]
    return Part(ports=ports, nodes=[node("Concat", ["numbers", "c"], ["x"], axis=1)])


_OUTPUTS = OddFile(kind="outputs", name="", model=b"", table=_table(ZERO_ONE))


def _read(name: str, part: Part, width: int = 2, **changes: Any) -> OddFile:
    answer = P2 if width == 2 else P1
    return replace(_OUTPUTS, name=name, model=graph(matrix(), part, width), **{"answer": answer, **changes})


def _not_read(
    name: str, part: Part, says: str, width: int = 2, reason: str = "model-outputs", **changes: Any
) -> OddFile:
    return _read(name, part, width, answer=None, reason=reason, says=says, **changes)


def odd_outputs() -> Iterator[OddFile]:
    """Every form of outputs of a binary model after one linear model."""
    soft = node("Softmax", ["z"], ["p"], axis=1)
    sigma = node("Sigmoid", ["z"], ["p"])
    best = node("ArgMax", ["z"], ["label"], axis=1, keepdims=0)
    label = port("label", I64, (None,))
    both = Part(ports=[label, port("p", F, (None, 2))], nodes=[soft, best])
    yield _read("label and probabilities", both)
    yield _read("label and probabilities, text", both, table=_table(NO_YES))
    yield _read("probabilities before the label", replace(both, ports=list(reversed(both.ports))))
    yield _read("probabilities [N,2]", PROBABILITIES)
    yield _read("probabilities [N,2], text in the holdout", PROBABILITIES, table=_table(NO_YES))
    yield _read("probabilities [N,classes]", replace(PROBABILITIES, ports=[port("p", F, ("n", "classes"))]))
    yield _read("probabilities, no shape", replace(PROBABILITIES, ports=[port("p", F, None)]))
    yield _read("probabilities [1,2] declared, [N,2] given", replace(PROBABILITIES, ports=[port("p", F, (1, 2))]))
    yield _read("P(positive) [N,1]", ALONE, 1)
    flat = [node("Sigmoid", ["z"], ["column"]), node("Reshape", ["column", "flat"], ["p"])]
    line = Part(ports=[port("p", F, (None,))], nodes=flat, constants={"flat": np.array([-1], dtype=np.int64)})
    yield _read("P(positive) [N]", line, 1)
    yield _read("P(positive) [N], no shape", replace(line, ports=[port("p", F, None)]), 1)
    yield _read("P(positive) [N,M]", replace(ALONE, ports=[port("p", F, ("n", "m"))]), 1)
    yield _read("P(positive) [N,1], no shape", replace(ALONE, ports=[port("p", F, None)]), 1)
    yield _read("P(positive) beside its label", Part(ports=[port("p"), port("label", I64)], nodes=[sigma, _above()]), 1)
    yield _not_read("P(1) where the positive label is 0", ALONE, "data.classes", 1, data={"positive": "0"})
    named = {"positive": "0", "classes": ("1", "0")}
    yield _read("P(1) where positive is 0, classes say so", PROBABILITIES, data=named, answer=P2)
    for kind, tolerance in ((D, 1e-5), (F16, 2e-3)):
        called = TensorProto.DataType.Name(kind).lower()
        cast = [node("Softmax", ["z"], ["q"], axis=1), node("Cast", ["q"], ["p"], to=kind)]
        yield _read(
            f"probabilities of {called}", Part(ports=[port("p", kind, (None, 2))], nodes=cast), tolerance=tolerance
        )
    whole = Part(
        ports=[port("p", TensorProto.BFLOAT16, (None, 2))],
        nodes=[_soft_to(TensorProto.BFLOAT16)[0], _soft_to(TensorProto.BFLOAT16)[1]],
    )
    yield _not_read("probabilities of bfloat16", whole, "float")
    logits = Part(ports=[port("p", F, (None, 2))], nodes=[node("Identity", ["z"], ["p"])])
    yield _not_read("logits [N,2]", logits, "softmax", reason="not-probabilities")
    yield _not_read("logits [N,1]", NUMBER, "sigmoid", 1, "not-probabilities")
    yield _not_read(
        "log-probabilities [N,2]",
        _after(node("LogSoftmax", ["z"], ["p"], axis=1)),
        "log-softmax",
        reason="not-probabilities",
    )
    yield _not_read("a sigmoid for each class", _after(sigma), "softmax", reason="not-probabilities")
    yield _not_read(
        "per cent",
        _after(node("Softmax", ["z"], ["q"], axis=1), _TIMES),
        "per cent",
        reason="not-probabilities",
    )
    yield _not_read("label alone", Part(ports=[label], nodes=[best]), "labels only")
    yield _not_read("label alone, as text", _text_label(), "labels only", table=_table(NO_YES))
    yield _not_read(
        "label alone, bool",
        Part(
            ports=[port("label", B, (None, 1))],
            nodes=[node("Greater", ["z", "zero"], ["label"])],
            constants={"zero": np.zeros(1, dtype=np.float32)},
        ),
        "labels only",
        1,
    )


def odd_labels() -> Iterator[OddFile]:
    """Labels of a binary model, beside those of the holdout."""
    yield _read("text label in the holdout's order", _with_labels("no", "yes"), table=_table(NO_YES))
    yield _read("text label in the other order", _with_labels("yes", "no"), table=_table(NO_YES), answer=1 - P2)
    yield _not_read("text label of other classes", _with_labels("cat", "dog"), "'cat', 'dog'", table=_table(NO_YES))
    yield _read("whole-number label picked in the other order", _with_labels(1, 0), answer=1 - P2)
    yield _not_read(
        "codes 0 and 1 beside labels 1 and 2", _with_labels(0, 1), "data.classes", table=_table(_cycled(1, 2))
    )
    yield _read("labels 1 and 2 beside labels 1 and 2", _with_labels(1, 2), table=_table(_cycled(1, 2)))
    yield _read("codes 0 and 1 beside text", _with_labels(0, 1), table=_table(NO_YES))
    yield _read("codes 0 and 1 beside booleans", _with_labels(0, 1), table=_table(_cycled(False, True)))
    yield _read("codes 0 and 1 beside 0.0 and 1.0", _with_labels(0, 1), table=_table(_cycled(0.0, 1.0)))
    yield _read("text '0' and '1' beside 0 and 1", _with_labels("0", "1"))
    yield _not_read(
        "codes 0 and 1, positive sorts first",
        _with_labels(0, 1),
        "data.classes",
        table=_table(NO_YES),
        data={"positive": "no"},
    )
    yield _read(
        "text label, positive sorts first",
        _with_labels("no", "yes"),
        table=_table(NO_YES),
        data={"positive": "no"},
        answer=1 - P2,
    )
    for keys, table, answer in (((0, 1), ZERO_ONE, P2), (("no", "yes"), NO_YES, P2), (("yes", "no"), NO_YES, 1 - P2)):
        yield _read(f"ZipMap of {keys}", _zipped(keys), table=_table(table), answer=answer)


def odd_others() -> Iterator[OddFile]:
    """Several outputs, and forms that are none of probabilities."""
    soft = node("Softmax", ["z"], ["p"], axis=1)
    best = node("ArgMax", ["z"], ["label"], axis=1, keepdims=0)
    two = Part(
        ports=[port("p", F, (None, 2)), port("logits", F, (None, 2))], nodes=[soft, node("Identity", ["z"], ["logits"])]
    )
    yield _not_read("two float outputs", two, "'p', 'logits'")
    probabilities = [port("logits", F, (None, 2)), port("probabilities", F, (None, 2))]
    yield _read(
        "two float outputs, one named probabilities",
        Part(
            ports=probabilities,
            nodes=[node("Identity", ["z"], ["logits"]), node("Softmax", ["z"], ["probabilities"], axis=1)],
        ),
    )
    yield _not_read(
        "one output a class",
        Part(ports=[port("no"), port("yes")], nodes=[soft, node("Split", ["p"], ["no", "yes"], axis=1)]),
        "'no', 'yes'",
    )
    floats = [soft, best, node("Cast", ["label"], ["output_label"], to=F)]
    yield _not_read(
        "a label as float beside probabilities",
        Part(ports=[port("output_label", F, (None,)), port("p", F, (None, 2))], nodes=floats),
        "several outputs",
    )
    yield _not_read(
        "a label as float alone", Part(ports=[port("output_label", F, (None,))], nodes=floats[1:]), "labels only"
    )
    cubes = {"[N,1,2]": (-1, 1, 2), "[N,2,1]": (-1, 2, 1)}
    for name, shape in cubes.items():
        yield _not_read(f"probabilities {name}", _reshaped(shape, port("p", F, (None, *shape[1:]))), "[N, 2]")
        yield _not_read(f"probabilities {name}, no shape", _reshaped(shape, port("p", F, None)), "has the shape [N, ")
    turned = Part(
        ports=[port("p", F, None)],
        nodes=[node("Softmax", ["z"], ["q"], axis=1), node("Transpose", ["q"], ["p"], perm=[1, 0])],
    )
    yield _not_read("probabilities [2,N]", turned, "expected was")
    yield _not_read(
        "one number for all rows", Part(ports=[port("p", F, None)], nodes=[node("ReduceMean", ["z"], ["p"])]), "48x1"
    )
    yield _not_read("probabilities [N,3]", TRIPLE, "3 columns", 3)
    yield _not_read("a sequence of tensors", _sequence(), "no tensor")
    yield _not_read("text for an answer", _text_label(name="p"), "labels only", table=_table(NO_YES))


def _above() -> Node:
    return node("Cast", ["p"], ["label"], to=I64)


def _soft_to(kind: int) -> list[Node]:
    return [node("Softmax", ["z"], ["q"], axis=1), node("Cast", ["q"], ["p"], to=kind)]


def _after(*nodes: Node) -> Part:
    return Part(ports=[port("p", F, (None, 2))], nodes=nodes, constants={"factor": np.array(100.0, dtype=np.float32)})


_TIMES = node("Mul", ["q", "factor"], ["p"])


def _reshaped(shape: Sequence[int], value: Port) -> Part:
    nodes = [node("Softmax", ["z"], ["q"], axis=1), node("Reshape", ["q", "shape"], ["p"])]
    return Part(ports=[value], nodes=nodes, constants={"shape": np.array(shape, dtype=np.int64)})


def _with_labels(*labels: int | str, width: int = 2) -> Part:
    """Probabilities, and a label that is picked from a list, as skl2onnx does."""
    text = isinstance(labels[0], str)
    values = np.array(labels, dtype=object if text else np.int64)
    nodes = [
        node("Softmax", ["z"], ["p"], axis=1),
        node("ArgMax", ["z"], ["best"], axis=1, keepdims=0),
        node("ArrayFeatureExtractor", ["labels", "best"], ["picked"], domain="ai.onnx.ml"),
        node("Reshape", ["picked", "flat"], ["label"]),
    ]
    ports = [port("label", S if text else I64, (None,)), port("p", F, (None, width))]
    return Part(ports=ports, nodes=nodes, constants={"labels": values, "flat": np.array([-1], dtype=np.int64)})


def _text_label(name: str = "label") -> Part:
    part = _with_labels("no", "yes")
    nodes = [*part.nodes[1:3], node("Reshape", ["picked", "flat"], [name])]
    return replace(part, ports=[port(name, S, (None,))], nodes=nodes)


def _zipped(keys: Sequence[int | str]) -> Part:
    text = isinstance(keys[0], str)
    listed: dict[str, Any] = {"classlabels_strings" if text else "classlabels_int64s": list(keys)}
    nodes = [node("Softmax", ["z"], ["q"], axis=1), node("ZipMap", ["q"], ["p"], domain="ai.onnx.ml", **listed)]
    nodes.append(node("ArgMax", ["z"], ["label"], axis=1, keepdims=0))
    kind = helper.make_map_type_proto(S if text else I64, helper.make_tensor_type_proto(F, []))
    boxed = helper.make_value_info("p", helper.make_sequence_type_proto(kind))
    return Part(ports=[port("label", I64, (None,)), boxed], nodes=nodes)


def _sequence() -> Part:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F, None))
    nodes = [node("Softmax", ["z"], ["q"], axis=1), node("SequenceConstruct", ["q"], ["p"])]
    return Part(ports=[helper.make_value_info("p", kind)], nodes=nodes)


def odd_multiclass() -> Iterator[OddFile]:
    """Outputs and labels of more than two classes."""
    base = OddFile(
        kind="multiclass", name="", model=b"", table=_table(THREE), task="multiclass", classes=("x", "y", "z")
    )

    def right(name: str, part: Part, labels: Sequence[Any] = "xyz", width: int = 3, **changes: Any) -> OddFile:
        given = tuple(str(label).removesuffix(".0") for label in labels)
        table = changes.pop("table", None) or _table(_cycled(*labels))
        model = graph(matrix(), part, width)
        return replace(base, name=name, model=model, table=table, **{"answer": P3, "classes": given, **changes})

    def wrong(
        name: str, part: Part, says: str, labels: Sequence[Any] = "xyz", width: int = 3, **changes: Any
    ) -> OddFile:
        words = {"reason": "model-outputs", "says": says, "answer": None, **changes}
        return right(name, part, labels, width, **words)

    yield right("no labels, text", TRIPLE)
    yield right("no labels, 1 to 3", TRIPLE, (1, 2, 3))
    yield right(
        "no labels, the order by data.classes",
        TRIPLE,
        "xyz",
        data={"classes": ("z", "x", "y")},
        classes=("z", "x", "y"),
    )
    yield right("text labels", _with_labels("x", "y", "z", width=3))
    yield right("text labels in another order", _with_labels("y", "z", "x", width=3), classes=("y", "z", "x"))
    yield wrong("codes beside text", _with_labels(0, 1, 2, width=3), "data.classes")
    named = {"classes": ("x", "y", "z")}
    yield right("codes beside text, classes say so", _with_labels(0, 1, 2, width=3), data=named)
    yield right("1 to 3 beside 1 to 3", _with_labels(1, 2, 3, width=3), (1, 2, 3))
    yield wrong("codes 0 to 2 beside labels 1 to 3", _with_labels(0, 1, 2, width=3), "data.classes", (1, 2, 3))
    yield right(
        "codes 0 to 2 beside labels 1 to 3, classes say so",
        _with_labels(0, 1, 2, width=3),
        (1, 2, 3),
        data={"classes": ("1", "2", "3")},
    )
    yield right("0 to 2 beside 0.0 to 2.0", _with_labels(0, 1, 2, width=3), (0.0, 1.0, 2.0), classes=("0", "1", "2"))
    yield wrong("codes 0 to 2 beside 10, 20, 30", _with_labels(0, 1, 2, width=3), "data.classes", (10, 20, 30))
    yield right(
        "10, 20, 30 in another order", _with_labels(30, 10, 20, width=3), (10, 20, 30), classes=("30", "10", "20")
    )
    yield wrong("labels of other classes", _with_labels("cat", "dog", "cow", width=3), "'cat', 'dog', 'cow'")
    yield right("a class that the holdout lacks", _with_labels("x", "y", "z", width=3), table=_table(_cycled("x", "y")))
    yield right(
        "a class that the model never learned",
        _with_labels("x", "y"),
        width=2,
        table=_table(THREE),
        answer=softmax(X @ WEIGHTS[2]),
        classes=("x", "y"),
    )
    yield wrong("two columns without labels for three classes", PROBABILITIES, "2 columns", width=2)
    yield right("ZipMap of text", _zipped(("x", "y", "z")))
    yield right("ZipMap of text in another order", _zipped(("z", "x", "y")), classes=("z", "x", "y"))
    yield wrong("ZipMap of 0 to 2 beside labels 1 to 3", _zipped((0, 1, 2)), "data.classes", (1, 2, 3))
    yield wrong(
        "logits", replace(TRIPLE, nodes=[node("Identity", ["z"], ["p"])]), "softmax", reason="not-probabilities"
    )
    yield wrong(
        "a sigmoid for each class",
        replace(TRIPLE, nodes=[node("Sigmoid", ["z"], ["p"])]),
        "softmax",
        reason="not-probabilities",
    )
    best = node("ArgMax", ["z"], ["label"], axis=1, keepdims=0)
    yield wrong("label alone", Part(ports=[port("label", I64, (None,))], nodes=[best]), "labels only")
    yield wrong(
        "label alone, as float",
        Part(ports=[port("p", F, (None,))], nodes=[best, node("Cast", ["label"], ["p"], to=F)]),
        "[N, 3]",
    )
    yield wrong("one number a row", NUMBER, "[N, 3]", width=1)
    half = [node("Softmax", ["z"], ["q"], axis=1), node("Cast", ["q"], ["p"], to=F16)]
    yield right("float16", Part(ports=[port("p", F16, (None, 3))], nodes=half), tolerance=2e-3)


def odd_regressions() -> Iterator[OddFile]:
    """Outputs of a regression."""
    base = OddFile(kind="regression", name="", model=b"", table=_table(NUMBERS), task="regression", answer=R1)

    def right(name: str, part: Part, width: int = 1, **changes: Any) -> OddFile:
        return replace(base, name=name, model=graph(matrix(), part, width), **changes)

    def wrong(name: str, part: Part, says: str, width: int = 1, **changes: Any) -> OddFile:
        return right(name, part, width, **{"answer": None, "reason": "model-outputs", "says": says, **changes})

    def cast(kind: int, shape: Sequence[int | str | None] | None = (None, 1)) -> Part:
        return Part(
            ports=[port("p", kind, shape)], nodes=[node("Round", ["z"], ["q"]), node("Cast", ["q"], ["p"], to=kind)]
        )

    flat = Part(
        ports=[port("p", F, (None,))],
        nodes=[node("Reshape", ["z", "flat"], ["p"])],
        constants={"flat": np.array([-1], dtype=np.int64)},
    )
    yield right("[N,1]", NUMBER)
    yield right("[N]", flat)
    yield right("no shape, [N,1]", replace(NUMBER, ports=[port("p", F, None)]))
    yield right("no shape, [N]", replace(flat, ports=[port("p", F, None)]))
    yield right("[N,M]", replace(NUMBER, ports=[port("p", F, ("n", "m"))]))
    for kind in (I64, I32, I8, D, F16):
        yield right(f"{TensorProto.DataType.Name(kind).lower()}", cast(kind), answer=np.round(R1))
    yield right(
        "int64 [N]",
        Part(
            ports=[port("p", I64, (None,))],
            nodes=[*cast(I64).nodes[:1], node("Cast", ["q"], ["r"], to=I64), node("Reshape", ["r", "flat"], ["p"])],
            constants=flat.constants,
        ),
        answer=np.round(R1),
    )
    yield right(
        "unsigned",
        Part(
            ports=[port("p", TensorProto.UINT16)],
            nodes=[node("Abs", ["z"], ["q"]), node("Cast", ["q"], ["p"], to=TensorProto.UINT16)],
        ),
        answer=np.trunc(np.abs(R1)),
    )
    yield wrong(
        "bool",
        Part(
            ports=[port("p", B)],
            nodes=[node("Greater", ["z", "zero"], ["p"])],
            constants={"zero": np.zeros(1, dtype=np.float32)},
        ),
        "bool",
    )
    yield wrong("text", Part(ports=[port("p", S)], nodes=[node("Cast", ["z"], ["p"], to=S)]), "string")
    yield wrong(
        "two numbers a row", Part(ports=[port("p", F, (None, 2))], nodes=[node("Identity", ["z"], ["p"])]), "[N, 2]", 2
    )
    yield wrong(
        "two numbers a row, no shape",
        Part(ports=[port("p", F, None)], nodes=[node("Identity", ["z"], ["p"])]),
        "[N, 2]",
        2,
    )
    mean = [port("mean"), port("std")]
    yield wrong(
        "mean and deviation",
        Part(ports=mean, nodes=[node("Identity", ["z"], ["mean"]), node("Abs", ["z"], ["std"])]),
        "'mean', 'std'",
    )
    both = [node("Round", ["z"], ["q"]), node("Cast", ["q"], ["rank"], to=I64), node("Identity", ["z"], ["p"])]
    yield right("a float beside a whole number", Part(ports=[port("rank", I64), port("p")], nodes=both))
    for scale, kind in ((1e9, F), (1e9, D)):
        name = f"numbers near 1e9 in {TensorProto.DataType.Name(kind).lower()}"
        nodes = [node("Cast", ["z"], ["q"], to=kind), node("Add", ["q", "far"], ["p"])]
        far = Part(
            ports=[port("p", kind)],
            nodes=nodes,
            constants={"far": np.array(scale, np.float32 if kind == F else np.float64)},
        )
        yield right(name, far, table=_table([value + scale for value in NUMBERS]), answer=R1 + scale, tolerance=1e-7)


def odd_versions() -> Iterator[OddFile]:
    """Operator sets and versions of the format."""
    base = OddFile(kind="opsets", name="", model=b"", table=_table(ZERO_ONE), answer=P2)
    newest = onnx.defs.onnx_opset_version()
    for opset in range(9, newest + 1):
        ir = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
        changes: dict[str, Any] = {}
        if opset > NEWEST_OPSET:
            changes = {"answer": None, "reason": "model-refused", "says": "opset"}
        model = graph(matrix(), PROBABILITIES, 2, opset=opset, ir=max(3, ir), ml=1)
        if ir < 4:
            model = _weights_listed(model)
        yield replace(base, name=f"opset {opset}, ir {max(3, ir)}", model=model, **changes)
    for ir in range(4, 12):
        yield replace(base, name=f"ir {ir}", model=graph(matrix(), PROBABILITIES, 2, opset=13, ir=ir))
    for ir in (onnx.IR_VERSION + 1, 99):
        model = graph(matrix(), PROBABILITIES, 2, ir=ir)
        yield replace(base, name=f"ir {ir}", model=model, answer=None, reason="model-refused", says="version")


def _weights_listed(model: bytes) -> bytes:
    """Before version 4 of the format each weight is an input too."""
    made = onnx.ModelProto.FromString(model)
    for tensor in made.graph.initializer:
        made.graph.input.append(port(tensor.name, tensor.data_type, list(tensor.dims)))
    return bytes(made.SerializeToString())


def handmade() -> list[OddFile]:
    """All files that onnx.helper makes."""
    return [
        *odd_inputs(),
        *odd_types(),
        *odd_outputs(),
        *odd_labels(),
        *odd_others(),
        *odd_multiclass(),
        *odd_regressions(),
        *odd_versions(),
    ]


# Files of scikit-learn's estimators, as skl2onnx converts them.


def converted(estimator: Any, types: Sequence[tuple[str, Any]] | Answer, options: Any = None, **more: Any) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between numpy, protobuf and skl2onnx; not what is tested here
        given = {"initial_types": types} if isinstance(types, list) else {"X": types}
        return bytes(to_onnx(estimator, options=options, **given, **more).SerializeToString())


def if_convertible(estimator: Any, types: Sequence[tuple[str, Any]] | Answer, options: Any = None) -> bytes | None:
    try:
        return converted(estimator, types, options)
    except Exception:  # noqa: BLE001 - skl2onnx does not convert all of them
        return None


def of_scikit_learn() -> Iterator[OddFile]:
    """Its estimators, by the kinds of labels and of outputs."""
    yield from _classifiers()
    yield from _scores_alone()
    yield from _regressors()
    yield from _pipelines()


def _targets() -> Mapping[str, list[Any]]:
    rank = np.argsort(np.argsort(X @ WEIGHTS[1][:, 0] + _RNG.normal(size=ROWS) * 0.7))
    high, third = rank >= ROWS // 2, rank * 3 // ROWS
    return {
        "0/1": high.astype(int).tolist(),
        "no/yes": np.where(high, "yes", "no").tolist(),
        "0.0/1.0": high.astype(float).tolist(),
        "False/True": high.tolist(),
        "-1/1": np.where(high, 1, -1).tolist(),
        "1/2": (high + 1).tolist(),
        "0/1/2": third.tolist(),
        "1/2/3": (third + 1).tolist(),
        "low/mid/top": np.array(["top", "low", "mid"])[third].tolist(),
    }


TARGETS = _targets()


def _classifiers() -> Iterator[OddFile]:
    learners = [
        LogisticRegression(),
        SGDClassifier(loss="log_loss", random_state=0),
        LinearDiscriminantAnalysis(),
        QuadraticDiscriminantAnalysis(),
        GaussianNB(),
        KNeighborsClassifier(3),
        DecisionTreeClassifier(max_depth=3, random_state=0),
        RandomForestClassifier(5, random_state=0),
        ExtraTreesClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5),
        AdaBoostClassifier(n_estimators=5, random_state=0),
        BaggingClassifier(LogisticRegression(), 3, random_state=0),
        VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", flatten_transform=False),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
        OneVsRestClassifier(LogisticRegression()),
        MLPClassifier(4, max_iter=20, random_state=0),
        CalibratedClassifierCV(SVC(), cv=2),
    ]
    plan = ["0/1", "no/yes", "low/mid/top", "False/True", "1/2/3", "-1/1", "0.0/1.0", "1/2", "0/1/2"]
    for at, learner in enumerate(learners):
        for target in (plan[at % 9], plan[(at + 4) % 9]):
            yield _classifier(learner, target, zipmap=at % 3 == 1)


def _classifier(learner: Any, target: str, *, zipmap: bool) -> OddFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = clone(learner).fit(X.astype(np.float32), np.array(TARGETS[target]))
    answer = fitted.predict_proba(X.astype(np.float32))
    many = answer.shape[1] > 2
    options = {id(fitted): {"zipmap": zipmap}}
    return OddFile(
        kind="scikit-learn",
        name=f"{type(learner).__name__}, {target}{', ZipMap' if zipmap else ''}",
        model=converted(fitted, X[:1].astype(np.float32), options),
        table=_table(TARGETS[target]),
        task="multiclass" if many else "binary",
        answer=answer if many else answer[:, 1],
        classes=tuple(map(str, fitted.classes_)) if many else (),
        tolerance=1e-4,
        differs=isinstance(learner, LinearDiscriminantAnalysis) and not many,  # a softmax instead of a sigmoid
    )


def _scores_alone() -> Iterator[OddFile]:
    """Estimators that know no probabilities: what skl2onnx calls so are scores."""
    small = X.astype(np.float32)
    for learner in (SVC(), LinearSVC(), SGDClassifier(random_state=0), Perceptron(), RidgeClassifier()):
        for target in ("0/1", "low/mid/top"):
            fitted = learner.fit(small, np.array(TARGETS[target]))
            model = if_convertible(fitted, small[:1], {id(fitted): {"zipmap": False}})
            if model is None:
                continue
            yield OddFile(
                kind="scikit-learn",
                name=f"{type(learner).__name__}, {target}",
                model=model,
                table=_table(TARGETS[target]),
                task="multiclass" if target.startswith("low") else "binary",
                # A single score a row, though two are declared.
                reason="model-outputs" if (type(learner), target) == (RidgeClassifier, "0/1") else "not-probabilities",
            )
    fitted = LogisticRegression().fit(small, np.array(TARGETS["0/1"]))
    base = OddFile(
        kind="scikit-learn", name="", model=b"", table=_table(TARGETS["0/1"]), answer=fitted.predict_proba(small)[:, 1]
    )
    asked = {"raw_scores": True, "zipmap": False}
    yield replace(
        base,
        name="raw_scores",
        model=converted(fitted, small[:1], {id(fitted): asked}),
        answer=None,
        reason="not-probabilities",
        says="softmax",
    )
    columns_ = converted(fitted, small[:1], {id(fitted): {"zipmap": "columns"}})
    yield replace(
        base, name="zipmap='columns'", model=columns_, answer=None, reason="model-outputs", says="several outputs"
    )
    yield replace(base, name="nocl", model=converted(fitted, small[:1], {id(fitted): {"nocl": True, "zipmap": False}}))
    yield replace(
        base,
        name="output_class_labels",
        model=converted(fitted, small[:1], {id(fitted): {"output_class_labels": True, "zipmap": False}}),
    )
    alone = onnx.ModelProto.FromString(converted(fitted, small[:1], {id(fitted): {"zipmap": False}}))
    del alone.graph.output[1]
    yield replace(
        base,
        name="label alone",
        model=bytes(alone.SerializeToString()),
        answer=None,
        reason="model-outputs",
        says="labels only",
    )
    forest = IsolationForest(n_estimators=5, random_state=0).fit(small)
    yield replace(
        base,
        name="IsolationForest",
        model=converted(forest, small[:1], target_opset={"": 18, "ai.onnx.ml": 3}),
        answer=None,
        reason="not-probabilities",
    )


def _regressors() -> Iterator[OddFile]:
    y = np.array(NUMBERS) * 10 + 3
    learners = [
        LinearRegression(),
        Ridge(),
        DecisionTreeRegressor(max_depth=3),
        RandomForestRegressor(5, random_state=0),
        GradientBoostingRegressor(n_estimators=5, random_state=0),
        HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5),
        KNeighborsRegressor(3),
        SVR(),
        MLPRegressor(hidden_layer_sizes=4, max_iter=20, random_state=0),
        DummyRegressor(),
        PoissonRegressor(),
    ]
    for learner in learners:
        target = np.abs(y) if isinstance(learner, PoissonRegressor) else y
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = learner.fit(X.astype(np.float32), target)
        base = OddFile(
            kind="scikit-learn",
            name=type(learner).__name__,
            model=b"",
            table=_table(target.tolist()),
            task="regression",
            answer=fitted.predict(X.astype(np.float32)),
            tolerance=1e-5,
        )
        model = if_convertible(fitted, X[:1].astype(np.float32))
        if model is not None:
            yield replace(base, model=model)
    fitted = LinearRegression().fit(X, y)
    base = OddFile(
        kind="scikit-learn",
        name="LinearRegression, double",
        model=b"",
        table=_table(y.tolist()),
        task="regression",
        tolerance=1e-12,
    )
    yield replace(base, model=converted(fitted, [("X", DoubleTensorType([None, 3]))]), answer=fitted.predict(X))
    several = LinearRegression().fit(X, np.column_stack([y, y]))
    yield replace(
        base,
        name="two targets",
        model=converted(several, X[:1].astype(np.float32)),
        reason="model-outputs",
        says="[N, 2]",
    )
    process = GaussianProcessRegressor().fit(X, y)
    options = {GaussianProcessRegressor: {"return_std": True}}
    yield replace(
        base,
        name="GaussianProcessRegressor with deviations",
        model=converted(process, [("X", DoubleTensorType([None, 3]))], options),
        reason="model-outputs",
        says="several outputs",
    )


def _answer(answer: Answer, *, broken: bool) -> dict[str, Any]:
    """What has to come; skl2onnx writes doubles into a float's place, which no runtime loads."""
    return {"reason": "model-refused", "says": "Type Error"} if broken else {"answer": answer}


def _pipelines() -> Iterator[OddFile]:
    """Text, gaps and double inputs."""
    town = np.array(["Rome", "Oslo", "Zürich", "São Paulo"])[np.arange(ROWS) % 4]
    y = np.array(TARGETS["no/yes"])
    frame = pl.DataFrame({**COLUMNS, "town": town})
    gaps = [None if at % 5 == 0 else value for at, value in enumerate(COLUMNS["b"].tolist())]
    kinds = {"float": FloatTensorType, "double": DoubleTensorType}
    for name, kind in kinds.items():
        for encoder in (OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()):
            steps = ColumnTransformer([("t", encoder, ["town"]), ("n", StandardScaler(), ["a", "b", "c"])])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = make_pipeline(steps, LogisticRegression()).fit(frame, y)
            types = [*((column, kind([None, 1])) for column in "abc"), ("town", StringTensorType([None, 1]))]
            model = if_convertible(fitted, types, {id(fitted): {"zipmap": False}})
            if model is None:
                continue
            yield OddFile(
                kind="scikit-learn",
                name=f"a pipeline with text and {type(encoder).__name__}, {name}",
                model=model,
                table=_table(y.tolist(), town=town.tolist()),
                **_answer(fitted.predict_proba(frame)[:, 1], broken=name == "double"),
                csv=name == "float",
            )
    steps = ColumnTransformer([("n", SimpleImputer(), ["a", "b", "c"])])
    holed = frame.with_columns(b=pl.Series(gaps)).select("a", "b", "c")
    fitted = make_pipeline(steps, RandomForestClassifier(5, random_state=0)).fit(holed, y)
    types = [(column, FloatTensorType([None, 1])) for column in "abc"]
    for csv in (False, True):
        yield OddFile(
            kind="scikit-learn",
            name=f"a pipeline that fills gaps, {'CSV' if csv else 'Parquet'}",
            model=converted(fitted, types, {id(fitted): {"zipmap": False}}),
            table={**_table(y.tolist()), "b": gaps},
            answer=fitted.predict_proba(holed)[:, 1],
            csv=csv,
        )
    whole = frame.select("c", vip=pl.col("c") > 2)
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(whole.to_numpy().astype(np.float32), y)
    kinds_ = {"vip as boolean": BooleanTensorType, "vip as int64": Int64TensorType}
    for name, kind in kinds_.items():
        types = [("c", Int64TensorType([None, 1])), ("vip", kind([None, 1]))]
        model = if_convertible(fitted, types, {id(fitted): {"zipmap": False}})
        if model is None:
            continue
        yield OddFile(
            kind="scikit-learn",
            name=f"a pipeline on whole numbers, {name}",
            model=model,
            table={"c": COLUMNS["c"].tolist(), "vip": (COLUMNS["c"] > 2).tolist(), "y": y.tolist()},
            answer=fitted.predict_proba(whole.to_numpy().astype(np.float32))[:, 1],
        )
