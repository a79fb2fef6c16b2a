"""Which label each probability column of an ONNX classifier stands for. Runs in the scoring child.

A classifier that also gives labels has to know them: they stand in a classifier operator's attributes, or in a
constant that the label output is picked from. The list nearest to the label output that fits the holdout counts;
after these, what mlbot's export wrote into the metadata.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import onnx
from onnx import numpy_helper

from mlbot.core.metric import Task
from mlbot.core.outcome import Reason
from mlbot.modeling.protocol import Expected, Refused
from mlbot.modeling.text import listed, plain_label

CLASSES_KEY = "mlbot.classes"
"""Metadata of a model file: the JSON list of the labels, in the order of the probability columns."""

_T = onnx.TensorProto
_LABEL_TYPES = frozenset({_T.STRING, _T.INT64, _T.INT32, _T.BOOL})
_LABEL_NAMES = frozenset({"label", "output_label", "labels", "variable"})
_CLASSIFIERS = frozenset({"classlabels_strings", "classlabels_int64s", "classlabels_ints"})
_MOST_CLASSES = 10_000

Labels = tuple[str, ...]


def class_order(model: onnx.ModelProto, expected: Expected) -> Labels:
    """The labels of the probability columns, from left to right, written as the holdout writes them.

    The model's own labels decide when they name the expected classes; when they are the codes 0 to C-1 (or there are
    none), the expected order does. A model may know a class that this holdout happens not to hold, and a holdout may
    hold one that a multiclass model never learned: neither is a reason not to judge it.

    Raises:
        Refused: The model's labels are other than the holdout's, or their order cannot be read.
    """
    output = _label_output(list(model.graph.output))
    found = [*(_label_lists(model, output.name) if output is not None else ()), *_in_metadata(model)]
    fitting = (_as_written(labels, expected) for labels in found)
    order = next((labels for labels in fitting if labels is not None), None)
    if order is not None:
        return order
    if found:
        raise Refused(
            Reason.MODEL_OUTPUTS,
            f"The ONNX model's labels are {listed(found[0])}; the holdout's classes are {listed(expected.classes)}. "
            "Train on the labels as the data writes them, or name every class under `data.classes`.",
        )
    if output is not None and output.type.tensor_type.elem_type == _T.STRING and not expected.declared:
        raise Refused(
            Reason.MODEL_OUTPUTS,
            "The ONNX model gives labels, but which probability column belongs to which cannot be read from the file. "
            "Name the classes in the columns' order under `data.classes`.",
        )
    return expected.classes


def _as_written(own: Labels, expected: Expected) -> Labels | None:
    """A list of labels in the holdout's spelling, or None when it is not about these classes."""
    classes = expected.classes
    spelled = {plain_label(name): name for name in classes}
    known = sum(plain_label(label) in spelled for label in own)
    if known == len(own) and (expected.task is Task.MULTICLASS or known == len(classes)):
        return tuple(spelled[plain_label(label)] for label in own)
    if own == tuple(str(code) for code in range(len(classes))):
        return (spelled["false"], spelled["true"]) if set(spelled) == {"false", "true"} else classes
    if expected.task is Task.MULTICLASS and known >= 2:
        return tuple(spelled.get(plain_label(label), label) for label in own)
    return None


def _label_output(outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ValueInfoProto | None:
    labels = [value for value in outputs if value.type.tensor_type.elem_type in _LABEL_TYPES]
    if len(labels) > 1:
        labels = [value for value in labels if value.name.casefold() in _LABEL_NAMES]
    return labels[0] if len(labels) == 1 else None


def _label_lists(model: onnx.ModelProto, output: str) -> Iterator[Labels]:
    """Every list of labels that the output may come from, the nearest first."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    waiting, seen = deque([output]), {output}
    while waiting:
        node = makers.get(waiting.popleft())
        if node is None:
            continue
        labels = (*_of_classifier(node), *_of_picker(node, constants, makers))
        if len(labels) > 1 and len(set(labels)) == len(labels):
            yield labels
        new = [name for name in node.input if name not in seen]
        seen.update(new)
        waiting.extend(new)


def _in_metadata(model: onnx.ModelProto) -> Iterator[Labels]:
    """The list that mlbot's export writes."""
    text = next((entry.value for entry in model.metadata_props if entry.key == CLASSES_KEY), "null")
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(labels, list) and len(labels) > 1 and all(isinstance(label, str) for label in labels):
        yield tuple(labels[:_MOST_CLASSES])


def _of_classifier(node: onnx.NodeProto) -> Labels:
    return tuple(
        _text(value)
        for attribute in node.attribute
        if attribute.name in _CLASSIFIERS
        for value in (*attribute.strings[:_MOST_CLASSES], *attribute.ints[:_MOST_CLASSES])
    )


def _of_picker(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], makers: Mapping[str, onnx.NodeProto]
) -> Labels:
    if node.op_type not in {"ArrayFeatureExtractor", "Gather"} or not node.input:
        return ()
    tensor = constants.get(node.input[0]) or _constant(makers.get(node.input[0]))
    if tensor is None or (node.op_type == "Gather" and tensor.data_type != _T.STRING):
        return ()
    return _values(tensor)


def _constant(node: onnx.NodeProto | None) -> onnx.TensorProto | None:
    if node is None or node.op_type != "Constant":
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _values(tensor: onnx.TensorProto) -> Labels:
    size = 1
    for dim in tensor.dims:
        size *= max(0, dim)
    if tensor.data_type not in _LABEL_TYPES or not 1 < size <= _MOST_CLASSES:
        return ()
    try:
        array = numpy_helper.to_array(tensor).reshape(-1)
    except (TypeError, ValueError):
        return ()
    return tuple(_text(value) for value in array.tolist())


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
