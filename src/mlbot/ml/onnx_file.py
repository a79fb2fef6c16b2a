"""An ONNX file: what it may contain, and what its inputs and outputs have to be. Runs in the scoring child.

Parsing hostile bytes is native code's work. Allowed: operators of ONNX and ONNX-ML; those of `com.microsoft` that
onnxruntime's own quantiser writes; functions that the file defines itself, in a domain that no runtime knows; control
flow (a loop that never ends meets the time limit). Refused: tensors stored in other files, operators of any other
domain, since they would need code that mlbot does not load, and text that is no UTF-8.

Inputs: one a column, named as the column, `[N, 1]` or `[N]`, in any order; or one numeric `[N, F]`. Outputs:
probabilities `[N, C]` or, for two classes, `[N]` or `[N, 1]`; for regression numbers (whole ones too) of these shapes.
A model with an input a column need not use every column: its values come by name, and a pull request that drops a
feature from a model would otherwise never pass the config that its base still needs.
"""

import json
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import checker, helper, numpy_helper

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml import protocol
from mlbot.ml.protocol import Expected, Feature, Kind, Layout, ModelFacts, Refused, listed, quoted

_MAX_NESTING = 16
_MAX_CALLS = 64
"""How deep functions of the file may call each other."""
_RUNTIMES = re.compile(r"(ai\.onnx|com\.(microsoft|ms|intel|xilinx|nvidia|amd)|org\.pytorch|trt)(\..*)?", re.IGNORECASE)
"""The domains that ONNX, onnxruntime and its providers keep for themselves, with all that is below them."""
_OWN_DOMAIN = re.compile(r"[!-~]+")
_BYTES_OF_TEXT = frozenset({"onnx.AttributeProto.s", "onnx.AttributeProto.strings", "onnx.TensorProto.string_data"})
"""Fields that the format declares as bytes and defines as UTF-8."""


def parse_model(content: bytes) -> onnx.ModelProto:
    """Read an ONNX file; raises `Refused` when it is none, or contains what is not allowed."""
    model = _decoded(content)
    for message in _messages(model):
        _readable(message)
    own = _own_functions(model)
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto):
            _inside(message)
        elif isinstance(message, onnx.NodeProto):
            _known(message, own.keys())
    _ending(own)
    _for_inference(model.graph, model.opset_import)
    for function in model.functions:
        _for_inference(function, function.opset_import)
    _valid(model, content)
    return model


def _decoded(content: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError) as error:
        raise _refused("not-decoded") from error
    if not model.HasField("graph") or not model.ir_version:
        raise _refused("no-graph")
    if not model.graph.output:
        raise _refused("no-output")
    if model.training_info:
        raise _refused("training-graphs")
    return model


_MOST_INLINE = (2 << 30) - (1 << 20)  # what one ONNX file can hold


def one_file(content: bytes, parts: Sequence[tuple[str, int]]) -> bytes:
    """A folder's ONNX file, which comes first, with its tensors in it; every one of them from a file of the folder."""
    view, files, start = memoryview(content), dict[str, memoryview](), 0
    for path, size in parts:
        files[path] = view[start : start + size]
        start += size
    name, _ = parts[0]
    model = _decoded(bytes(files[name]))
    folder, taken = name[: name.rfind("/") + 1], 0
    for tensor in _messages(model):
        if isinstance(tensor, onnx.TensorProto) and tensor.data_location == onnx.TensorProto.EXTERNAL:
            found = _external(tensor, folder, files)
            taken += len(found)
            if taken > _MOST_INLINE:
                raise _refused("external-too-large")
            tensor.raw_data = bytes(found)
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT
    return model.SerializeToString() if taken else bytes(files[name])


def _external(tensor: onnx.TensorProto, folder: str, files: Mapping[str, memoryview]) -> memoryview:
    facts = {each.key: each.value for each in tensor.external_data}
    file = files.get(f"{folder}{facts.get('location', '').removeprefix('./')}")
    numbers = [facts.get(name, "0") for name in ("offset", "length")]
    if file is None or not all(each.isascii() and each.isdigit() and len(each) < 16 for each in numbers):
        raise _refused("external-data", tensor=quoted(tensor.name))
    offset, length = map(int, numbers)
    end = offset + length if "length" in facts else len(file)
    if end > len(file) or offset > end:
        raise _refused("external-data", tensor=quoted(tensor.name))
    return file[offset:end]


def _messages(whole: Message) -> Iterator[Message]:
    """Every message inside a model or a function: nodes, attributes, subgraphs, tensors (sparse ones too), functions.

    It goes by the format's own description instead of a list of places, so a place cannot be forgotten.
    """
    waiting: list[tuple[Message, int]] = [(whole, 0)]
    while waiting:
        message, depth = waiting.pop()
        yield message
        if isinstance(message, onnx.GraphProto):
            depth += 1
            if depth > _MAX_NESTING:
                raise _refused("nested", most=_MAX_NESTING)
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend((inner, depth) for inner in ((value,) if isinstance(value, Message) else value))


def _readable(message: Message) -> None:
    """Refuse text that is no UTF-8: the parser leaves it as bytes, and no two readers of ONNX do the same with it."""
    for field, value in message.ListFields():
        name = field.full_name
        if field.type == FieldDescriptor.TYPE_STRING or name in _BYTES_OF_TEXT:
            texts = (value,) if isinstance(value, str | bytes) else value
            if not all(isinstance(text, str) or _is_utf8(text) for text in texts):
                raise _refused("no-utf8", field=name.removeprefix("onnx."))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_Call = tuple[str, str, str]
"""Domain, name and overload: by these a node names what it calls."""


def _own_functions(model: onnx.ModelProto) -> Mapping[_Call, frozenset[_Call]]:
    """The functions that the file defines, and what each of them calls.

    A runtime runs its own operator where it has one of that name, whatever the file defines: so a file's function may
    not be in a domain that a runtime knows, nor in one that can be taken for such a domain.
    """
    own: dict[_Call, frozenset[_Call]] = {}
    for function in model.functions:
        called = (function.domain, function.name, function.overload)
        if not _OWN_DOMAIN.fullmatch(function.domain) or _RUNTIMES.fullmatch(function.domain):
            raise _refused("runtimes-domain", function=quoted(function.name), domain=quoted(function.domain))
        if called in own:
            raise _refused("function-twice", function=quoted(function.name))
        nodes = (message for message in _messages(function) if isinstance(message, onnx.NodeProto))
        own[called] = frozenset((node.domain, node.op_type, node.overload) for node in nodes)
    return own


def _ending(own: Mapping[_Call, frozenset[_Call]]) -> None:
    """Refuse functions that call themselves, or each other, without an end."""
    left = {called: calls & own.keys() for called, calls in own.items()}
    for _ in range(_MAX_CALLS):
        left = {called: calls & left.keys() for called, calls in left.items() if calls & left.keys()}
        if not left:
            return
    raise _refused("function-endless", function=quoted(min(left)[1]), most=_MAX_CALLS)


def _inside(tensor: onnx.TensorProto) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise _refused("external-data", tensor=quoted(tensor.name))


def _known(node: onnx.NodeProto, own: Collection[_Call]) -> None:
    names = protocol.OPERATORS.get(node.domain, ())
    if names is None or node.op_type in names or (node.domain, node.op_type, node.overload) in own:
        return
    domains = listed(sorted(domain for domain, names in protocol.OPERATORS.items() if domain and names is None))
    raise _refused("operator", operator=quoted(node.op_type), domain=quoted(node.domain), domains=domains)


_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_TRAINING = frozenset({"Dropout", "BatchNormalization"})


def _for_inference(part: onnx.GraphProto | onnx.FunctionProto, opsets: Iterable[onnx.OperatorSetIdProto]) -> None:
    """Refuse operators that answer at random, and those that only do so, or take the batch's mean, in a training."""
    version = max((opset.version for opset in opsets if opset.domain in {"", "ai.onnx"}), default=0)
    messages = list(_messages(part))
    for node in messages:
        if not isinstance(node, onnx.NodeProto) or node.domain not in {"", "ai.onnx"}:
            continue
        if node.op_type in _RANDOM:
            raise Refused(Reason.MODEL_REFUSED, "random-operator", operator=quoted(node.op_type))
        if node.op_type in _TRAINING and not _is_for_inference(node, version, messages):
            raise Refused(Reason.MODEL_REFUSED, "training-mode", operator=quoted(node.op_type))


def _is_for_inference(node: onnx.NodeProto, version: int, around: Sequence[Message]) -> bool:
    """Whether it does not train, by the rule of its version: from 7 on that is the default, and before it is not."""
    given = {each.name: each for each in node.attribute}
    if version < 7:
        return "is_test" in given and given["is_test"].i == 1 and not given["is_test"].ref_attr_name
    if node.op_type == "Dropout":
        mode = node.input[2] if len(node.input) > 2 else ""
        return not mode or _is_false_for_good(mode, around)
    if version < 14:
        return not any(node.output[1:])
    training = given.get("training_mode")
    return training is None or (training.i == 0 and not training.ref_attr_name)


def _is_false_for_good(name: str, around: Sequence[Message]) -> bool:
    """Whether a name is false wherever it is defined, and no input: a branch may define it otherwise."""
    found: list[bool] = []
    for message in around:
        if isinstance(message, onnx.TensorProto) and message.name == name:
            found.append(_is_false(message))
        elif isinstance(message, onnx.NodeProto) and name in message.output:
            found.append(_is_false(_constant(message)))
        elif isinstance(message, onnx.GraphProto):
            found += [False for value in message.input if value.name == name]
        elif isinstance(message, onnx.FunctionProto) and name in message.input:
            found.append(False)
    return bool(found) and all(found)


def _is_false(tensor: onnx.TensorProto | None) -> bool:
    if tensor is None or tensor.data_type != onnx.TensorProto.BOOL:
        return False
    try:
        return not numpy_helper.to_array(tensor).any()
    except (TypeError, ValueError):
        return False


def _valid(model: onnx.ModelProto, content: bytes) -> None:
    """ONNX's own checker. Types and shapes are inferred by onnxruntime when it loads the model, so not here as well."""
    if model.ir_version > onnx.IR_VERSION:
        raise too_new(model)
    try:
        checker.check_model(_with_shapes(model, content), full_check=False)
    except (checker.ValidationError, ValueError) as error:
        raise _refused("invalid", why=protocol.printable(" ".join(str(error).split()), 200)) from error


def _with_shapes(model: onnx.ModelProto, content: bytes) -> bytes:
    """What the checker is given: it insists on shapes that converters leave out, and that onnxruntime infers."""
    checked = onnx.ModelProto()
    checked.CopyFrom(model)
    ports = [value.type.tensor_type for value in _shapeless(checked)]
    for port in ports:
        port.shape.SetInParent()
    return checked.SerializeToString() if ports else content


def _shapeless(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    ports = (*model.graph.input, *model.graph.output)
    return [p for p in ports if p.type.HasField("tensor_type") and not p.type.tensor_type.HasField("shape")]


def too_new(model: onnx.ModelProto) -> Refused:
    """Why a model is refused whose version of the format, or of its operators, comes after onnxruntime's."""
    return _refused("too-new", opset=opset(model), version=model.ir_version)


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators; 0 when a model uses none."""
    return next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 0)


def _refused(cause: str, **values: str | int) -> Refused:
    return Refused(Reason.MODEL_REFUSED, cause, **values)


_T = onnx.TensorProto
_LABEL_TYPES = frozenset({_T.STRING, _T.INT64, _T.INT32, _T.BOOL, _T.INT8, _T.INT16, _T.UINT8, _T.UINT16, _T.UINT32})
_LABEL_NAMES = frozenset({"label", "output_label", "labels", "variable"})
_CODE_NAMES = _LABEL_NAMES - {"variable"}
_CLASSIFIERS = frozenset({"classlabels_strings", "classlabels_int64s", "classlabels_ints"})
_MOST_CLASSES = 10_000
Labels = tuple[str, ...]


def class_order(model: onnx.ModelProto, expected: Expected) -> Labels:
    """The labels of the probability columns, from left to right, written as the holdout writes them.

    The model's own labels decide when they name the expected classes. Numbers that are no such names are codes where
    the config declares the classes, or where they can be nothing else: 0 and 1 beside two texts of which the positive
    one is the last. Where there are no labels, the expected order decides. A model may know a class that this holdout
    happens not to hold, and a holdout may hold one that a multiclass model never learned: neither is a reason not to
    judge it; of numbers only one of the two may be so, for 0, 1, 2 beside 1, 2, 3 may be either.
    """
    output = _label_output(list(model.graph.output))
    found = [*_zipped(model), *(_label_lists(model, output.name) if output is not None else ()), *_in_metadata(model)]
    fitting = (read(labels, expected) for read in (_by_name, _by_code) for labels in found)
    order = next((labels for labels in fitting if labels is not None), None)
    if order is not None:
        return order
    if found:
        raise _outputs("other-classes", model=listed(found[0]), holdout=listed(expected.classes))
    if output is not None and output.type.tensor_type.elem_type == _T.STRING and not expected.declared:
        raise _outputs("column-order")
    return _in_expected_order(expected)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelOutput:
    """The output in which a file gives each row a label of its own."""

    name: str
    places: Mapping[str, int]  # of each label, as labels are compared: the place of its class; empty if nobody knows


def label_output(model: onnx.ModelProto, expected: Expected, classes: Labels) -> LabelOutput | None:
    """Where a file's own labels are, and which of `classes` each of their values is.

    `classes` are those of the probability columns; there are none where the positive one's probability is alone.
    """
    output = _label_output(list(model.graph.output))
    if output is None:
        return None
    lists = (*_label_lists(model, output.name), *_zipped(model))
    places = next((found for own in lists if (found := _of_listed(own, expected, classes or _two(expected)))), None)
    numbers = [own for own in lists if len(own) == len(classes) and _are_numbers(own)]
    if places is None and numbers:  # codes, and the columns' names are in the metadata
        places = {protocol.plain_label(label): at for at, label in enumerate(numbers[0])}
    return LabelOutput(name=output.name, places=places or _places(model, output, expected, classes or _two(expected)))


def _of_listed(own: Labels, expected: Expected, classes: Labels) -> Mapping[str, int]:
    with suppress(Refused):
        spelled = _by_name(own, expected) or _by_code(own, expected)
        if spelled is not None and set(spelled) <= set(classes):
            pairs = zip(map(protocol.plain_label, own), spelled, strict=True)
            return {label: classes.index(name) for label, name in pairs}
    return {}


def _places(
    model: onnx.ModelProto, output: onnx.ValueInfoProto, expected: Expected, classes: Labels
) -> Mapping[str, int]:
    """Of labels that the file does not list: by name, or by the column's number where that can be no other name."""
    named = {protocol.plain_label(name): at for at, name in enumerate(classes)}
    if output.type.tensor_type.elem_type == _T.STRING:
        return named
    columns = expected.classes if set(expected.classes) == set(classes) else classes
    last = expected.positive in {None, columns[-1]} or expected.declared or expected.task is Task.MULTICLASS
    numbers = {str(at): classes.index(name) for at, name in enumerate(columns)} if last else {}
    if output.type.tensor_type.elem_type == _T.BOOL:
        numbers = {{"0": "false", "1": "true"}.get(label, label): at for label, at in numbers.items()}
    if _is_place(model, output.name):
        return numbers
    clash = any(named.get(label, at) != at for label, at in numbers.items()) or not numbers
    return named if named.keys() == numbers.keys() else {} if clash else named | numbers


_PASSING_ON = frozenset({"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten"})


def _is_place(model: onnx.ModelProto, output: str) -> bool:
    """Whether an output is the place of the greatest probability."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for _ in range(_MAX_CALLS):
        node = makers.get(output)
        if node is None or node.op_type == "ArgMax" or not node.input:
            return node is not None and node.op_type == "ArgMax"
        if node.op_type not in _PASSING_ON:
            return False
        output = node.input[0]
    return False


def _in_expected_order(expected: Expected) -> Labels:
    *others, last = expected.classes
    if expected.declared or expected.positive in {None, last}:
        return expected.classes
    raise _outputs(
        "unnamed-labels", positive=quoted(expected.positive), last=quoted(last), order=listed((last, *others))
    )


def _by_name(own: Labels, expected: Expected) -> Labels | None:
    """A list of labels in the holdout's spelling, or None when it does not name these classes."""
    classes = expected.classes
    spelled = {protocol.plain_label(name): name for name in classes}
    plain = [protocol.plain_label(label) for label in own]
    if set(plain) == {"false", "true"} and set(spelled) == {"0", "1"}:
        plain = [{"false": "0", "true": "1"}[label] for label in plain]
    known = sum(label in spelled for label in plain)
    whole = known == len(own) and (expected.task is Task.MULTICLASS or known == len(classes))
    part = expected.task is Task.MULTICLASS and known >= 2 and (known == len(classes) or not _are_numbers(own))
    if not whole and not part:
        return None
    return tuple(spelled.get(label, name) for label, name in zip(plain, own, strict=True))


def _by_code(own: Labels, expected: Expected) -> Labels | None:
    """The classes that a list of numbers stands for; None when it is none. Raises `Refused` where nobody can know."""
    classes = expected.classes
    if len(own) != len(classes) or not _are_numbers(own):
        return None
    if expected.declared:
        return classes
    spelled = {protocol.plain_label(name): name for name in classes}
    codes = own == tuple(str(code) for code in range(len(classes)))
    if codes and set(spelled) == {"false", "true"}:
        return spelled["false"], spelled["true"]
    if codes and expected.task is Task.BINARY and not _are_numbers(classes):
        return _in_expected_order(expected)
    if not codes and spelled.keys().isdisjoint(map(protocol.plain_label, own)):
        return None
    order = f"[{', '.join(map(quoted, classes[:9]))}{', …' if len(classes) > 9 else ''}]"
    raise _outputs("codes", labels=listed(own), classes=listed(classes), order=order)


def _are_numbers(labels: Labels) -> bool:
    return all(_NUMBER.fullmatch(protocol.plain_label(label)) for label in labels)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def unzip(model: onnx.ModelProto) -> bool:
    """Whether a ZipMap's dictionaries are the probabilities; then the tensor they are made of is the output instead.

    Other outputs of numbers beside it are scores or the like, and go, unless one is called probabilities.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    zipped = [value for value in model.graph.output if value.type.HasField("sequence_type")]
    found = [(value, node) for value in zipped if (node := makers.get(value.name)) is not None and _is_zipmap(node)]
    numbers = [value for value in model.graph.output if value.type.tensor_type.elem_type in _FLOATS]
    if not found or any(value.name.casefold() in _PROBABILITY_NAMES for value in numbers):
        return False
    for value in numbers:
        model.graph.output.remove(value)
    for value, node in found:
        tensor = helper.make_tensor_value_info(node.input[0], _T.FLOAT, [None, len(_of_classifier(node))])
        value.CopyFrom(tensor)
    return True


def unstack(model: onnx.ModelProto, labels: int) -> bool:
    """Whether each label of a row has both its classes' probabilities; then that of having it is in the output instead.

    That is what scikit-learn's `predict_proba` gives for several labels, and so what skl2onnx makes of it: [L, N, 2] of
    trees, forests and neighbours, a sequence of [N, 2] of a MultiOutputClassifier.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    for value in model.graph.output:
        nodes = _of_having(value, makers.get(value.name), labels)
        if nodes:
            one = helper.make_tensor("mlbot.has", _T.INT64, [1], [1])
            model.graph.initializer.append(one)
            model.graph.node.extend(nodes)
            value.CopyFrom(helper.make_tensor_value_info(nodes[-1].output[0], _T.FLOAT, [None, labels]))
            return True
    return False


def _of_having(value: onnx.ValueInfoProto, maker: onnx.NodeProto | None, labels: int) -> list[onnx.NodeProto]:
    """What makes [N, L] of probabilities of both classes; nothing where the output has another form."""
    whole = f"mlbot.{value.name}"
    if maker is not None and maker.op_type == "SequenceConstruct" and len(maker.input) == labels:
        parts = [f"{whole}.{at}" for at in range(labels)]
        pairs = zip(maker.input, parts, strict=True)
        picked = [helper.make_node("Gather", [pair, "mlbot.has"], [part], axis=1) for pair, part in pairs]
        return [*picked, helper.make_node("Concat", parts, [whole], axis=1)]
    if _element(value) not in _FLOATS or _dims(value) != (labels, None, 2):
        return []
    column, flat = f"{whole}.column", f"{whole}.flat"
    shape = helper.make_node("Constant", [], [f"{whole}.shape"], value_ints=[labels, -1])
    return [
        helper.make_node("Gather", [value.name, "mlbot.has"], [column], axis=2),
        shape,
        helper.make_node("Reshape", [column, shape.output[0]], [flat]),
        helper.make_node("Transpose", [flat], [whole], perm=[1, 0]),
    ]


def _is_zipmap(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type, len(node.input)) == ("ai.onnx.ml", "ZipMap", 1)


def _zipped(model: onnx.ModelProto) -> Iterator[Labels]:
    """The keys that a ZipMap gives to the columns of an output: what whoever asks the model sees."""
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        if _is_zipmap(node) and node.input[0] in outputs:
            yield _of_classifier(node)


def _label_output(outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ValueInfoProto | None:
    labels = [value for value in outputs if value.type.tensor_type.elem_type in _LABEL_TYPES]
    if len(labels) > 1:
        labels = [value for value in labels if value.name.casefold() in _LABEL_NAMES]
    named = [value for value in outputs if value.name.casefold() in _CODE_NAMES and _element(value) in _FLOATS]
    labels = labels or named  # some converters write whole numbers as floats
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
    text = next((entry.value for entry in model.metadata_props if entry.key == protocol.CLASSES_KEY), "null")
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


_NUMBERS: Mapping[int, type[np.generic]] = {
    _T.FLOAT: np.float32,
    _T.DOUBLE: np.float64,
    _T.FLOAT16: np.float16,
    _T.INT8: np.int8,
    _T.INT16: np.int16,
    _T.INT32: np.int32,
    _T.INT64: np.int64,
    _T.UINT8: np.uint8,
    _T.UINT16: np.uint16,
    _T.UINT32: np.uint32,
    _T.UINT64: np.uint64,
}

_FLOATS = frozenset({_T.FLOAT, _T.DOUBLE, _T.FLOAT16})
_WHOLE = _NUMBERS.keys() - _FLOATS
_PROBABILITY_NAMES = frozenset({"probabilities", "probability", "output_probability", "probas", "proba", "probs"})

Dims = tuple[int | None, ...] | None
"""The shape a file declares: None for a dimension that is open, None for the whole when it declares none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One input of a model: its own name, and the type that its values are cast to."""

    name: str
    dtype: npt.DTypeLike
    flat: bool = False  # a column's: whether it is `[N]` instead of `[N, 1]`


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """How to feed a model and what to read."""

    inputs: tuple[Input, ...]  # one a used column in the features' order, or the one matrix
    output: str  # name of the output that holds the predictions
    labels: LabelOutput | None  # where the file's own labels are
    facts: ModelFacts  # what the judge records of it


def read_signature(model: onnx.ModelProto, expected: Expected) -> Signature:
    """Match a model against what the holdout offers and the task asks for; raises `Refused` when they do not fit."""
    inputs = _asked_for(model, expected.features)
    layout = _layout(inputs, expected.features)
    if layout is Layout.COLUMNS:
        fed = _columns(inputs, expected.features)
    else:
        fed = (_matrix(inputs[0], expected.features),)
        _same_order(model, expected.features)
    output, classes, single = _output(model, expected)
    used = {port.name for port in fed}
    labels = label_output(model, expected, classes) if expected.task.has_classes else None
    facts = ModelFacts(
        layout=layout,
        unused=tuple(f.name for f in expected.features if layout is Layout.COLUMNS and f.name not in used),
        classes=classes,
        single_probability=single,
        labels=labels is not None,
        nodes=len(model.graph.node),
        dynamic=any(isinstance(each, onnx.NodeProto) and _is_dynamic(each) for each in _messages(model)),
        ir_version=model.ir_version,
        opset=opset(model),
    )
    return Signature(inputs=fed, output=output, labels=labels, facts=facts)


def _two(expected: Expected) -> Labels:
    """The negative class and the positive."""
    positive = expected.positive or expected.classes[-1]
    return (*(name for name in expected.classes if name != positive), positive)


def _asked_for(model: onnx.ModelProto, features: Sequence[Feature]) -> list[onnx.ValueInfoProto]:
    """The inputs that are fed: not the weights that are listed as inputs, but a column that only has a default."""
    given = {initializer.name for initializer in model.graph.initializer}
    columns = {feature.name for feature in features}
    return [
        v for v in model.graph.input if v.name not in given or (v.name in columns and (_dims(v) or (0,))[0] is None)
    ]


def _is_dynamic(node: onnx.NodeProto) -> bool:
    return bool(node.op_type.startswith("DynamicQuantize"))


def _layout(inputs: Sequence[onnx.ValueInfoProto], features: Sequence[Feature]) -> Layout:
    """One input is the matrix, unless it is the one column's own."""
    if not inputs:
        raise _inputs("none")
    if len(inputs) > 1 or (len(features) == 1 and inputs[0].name == features[0].name):
        return Layout.COLUMNS
    dims = _dims(inputs[0])
    if inputs[0].name in {f.name for f in features} and dims is not None and dims[1:] in {(), (1,)}:
        return Layout.COLUMNS
    return Layout.MATRIX


def _columns(inputs: Sequence[onnx.ValueInfoProto], features: Sequence[Feature]) -> tuple[Input, ...]:
    by_name = {value.name: value for value in inputs}
    columns = [feature.name for feature in features]
    unknown = [name for name in by_name if name not in set(columns)]
    if unknown:
        hint = protocol.did_you_mean(unknown[0], [name for name in columns if name not in by_name])
        raise _inputs("no-feature", inputs=listed(unknown), like=hint)
    return tuple(_column(by_name[feature.name], feature) for feature in features if feature.name in by_name)


def _column(value: onnx.ValueInfoProto, feature: Feature) -> Input:
    dims = _rows_open(value)
    if dims is not None and (len(dims) not in {1, 2} or dims[1:] not in {(), (None,), (1,)}):
        raise _inputs("column-shape", input=quoted(value.name), shape=_shape(dims))
    kind, flat = _element(value), dims is not None and len(dims) == 1
    if feature.kind is Kind.TEXT and kind == _T.STRING:
        return Input(name=value.name, dtype=np.object_, flat=flat)
    if feature.kind is Kind.BOOLEAN and kind == _T.BOOL:
        return Input(name=value.name, dtype=np.bool_, flat=flat)
    if feature.kind is not Kind.TEXT and kind in _NUMBERS:
        return Input(name=value.name, dtype=_NUMBERS[kind], flat=flat)
    text = protocol.printable(feature.name, 100) if kind == _T.STRING else ""
    raise _inputs(
        "column-type", input=quoted(value.name), takes=_type_name(kind), column=feature.kind.value, as_text=text
    )


def _matrix(value: onnx.ValueInfoProto, features: Sequence[Feature]) -> Input:
    wide = len(features)
    if _dims(value) == (wide, None):
        raise _inputs("columns-first", input=quoted(value.name), features=wide)
    dims = _rows_open(value)
    if dims is not None and (len(dims) != 2 or dims[1] not in {None, wide}):
        raise _inputs("width", input=quoted(value.name), shape=_shape(dims), features=wide)
    texts = [feature.name for feature in features if feature.kind is Kind.TEXT]
    if texts:
        raise _inputs("text-in-matrix", columns=listed(texts))
    kind = _element(value)
    if kind not in _NUMBERS:
        raise _inputs("matrix-type", input=quoted(value.name), takes=_type_name(kind))
    return Input(name=value.name, dtype=_NUMBERS[kind])


def _same_order(model: onnx.ModelProto, features: Sequence[Feature]) -> None:
    """Columns in another order would be scored without an error, and wrongly."""
    text = next((entry.value for entry in model.metadata_props if entry.key == protocol.FEATURES_KEY), None)
    if text is None:
        return
    try:
        trained = json.loads(text)
    except (ValueError, RecursionError):
        trained = None
    if not isinstance(trained, list) or not all(isinstance(name, str) for name in trained):
        raise Refused(Reason.FEATURE_ORDER, "no-list", key=quoted(protocol.FEATURES_KEY))
    columns = [feature.name for feature in features]
    if trained == columns:
        return
    if sorted(trained) != sorted(columns):
        absent = [name for name in trained if name not in columns] or [c for c in columns if c not in trained]
        counts = {"trained": len(trained), "offered": len(columns)}
        raise Refused(Reason.FEATURE_ORDER, "other-columns", columns=listed(absent), **counts)
    at = next(i for i, pair in enumerate(zip(trained, columns, strict=True)) if pair[0] != pair[1])
    pair = {"trained": quoted(trained[at]), "here": quoted(columns[at])}
    raise Refused(Reason.FEATURE_ORDER, "other-order", at=at + 1, **pair)


def _output(model: onnx.ModelProto, expected: Expected) -> tuple[str, tuple[str, ...], bool]:
    """The output to read, the labels of its columns, and whether it is the positive class's probability alone."""
    value = _predictions(list(model.graph.output), expected.task)
    dims = _dims(value)
    if dims is not None and len(dims) not in {1, 2}:
        raise _outputs("shape", output=quoted(value.name), shape=_shape(dims), task=expected.task.value)
    width = 1 if dims is not None and len(dims) == 1 else (dims[1] if dims else None)
    one = expected.task is Task.FORECAST and not expected.classes
    if one or expected.task in {Task.REGRESSION, Task.RANKING}:
        if width not in {None, 1}:
            raise _outputs("shape", output=quoted(value.name), shape=_shape(dims), task=expected.task.value)
        return value.name, (), False
    if not expected.task.has_classes:  # in the order of the config's targets
        targets = expected.classes
        # skl2onnx declares one column of forests and networks whatever they give; the first answers show how many.
        open_widths = {None, 1} if expected.task is Task.MULTIOUTPUT else {None}
        if width not in {*open_widths, len(targets)}:
            raise _outputs(
                "targets", output=quoted(value.name), width=width or 0, count=len(targets), columns=listed(targets)
            )
        return value.name, targets, False
    if expected.task is Task.BINARY and width == 1:
        _of_positive(value, expected)
        return value.name, (), True
    classes = class_order(model, expected)
    if width not in {None, len(classes)}:
        width = width or 0
        raise _outputs("width", output=quoted(value.name), width=width, count=len(classes), classes=listed(classes))
    return value.name, classes, False


def _of_positive(value: onnx.ValueInfoProto, expected: Expected) -> None:
    """Refuse to take P(1), which is what a sigmoid learns from numbers or booleans, for the probability of 0."""
    *_, last = expected.classes
    if expected.declared or expected.positive in {None, last} or protocol.plain_label(last) not in {"1", "true"}:
        return
    pair = {"last": quoted(last), "positive": quoted(expected.positive)}
    raise _outputs("whose-probability", output=quoted(value.name), **pair)


def infer(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int | str | None]]) -> None:
    """Fill in what a file leaves open of its outputs' shapes, as onnxruntime infers them from the graph."""
    for value in model.graph.output:
        inferred, dims = shapes.get(value.name) or (), _dims(value)
        if not inferred or not value.type.HasField("tensor_type") or (dims is not None and len(dims) != len(inferred)):
            continue
        whole = [own or found for own, found in zip(dims or [None] * len(inferred), inferred, strict=True)]
        value.CopyFrom(helper.make_tensor_value_info(value.name, _element(value), whole))


def _predictions(outputs: Sequence[onnx.ValueInfoProto], task: Task) -> onnx.ValueInfoProto:
    boxed = [value.name for value in outputs if not value.type.HasField("tensor_type")]
    floats = [v for v in outputs if v.type.HasField("tensor_type") and v.type.tensor_type.elem_type in _FLOATS]
    if len(floats) > 1:
        floats = [v for v in floats if v.name.casefold() in _PROBABILITY_NAMES] or floats
    if len(floats) > 1 and task.is_classification:  # labels that a converter writes as floats
        floats = [v for v in floats if v.name.casefold() not in _CODE_NAMES] or floats
    if not task.is_classification and not floats:
        floats = [value for value in outputs if _element(value) in _WHOLE]
    if len(floats) == 1 and not (task.is_classification and floats[0].name.casefold() in _CODE_NAMES):
        return floats[0]
    if len(floats) > 1:
        raise _outputs("several", outputs=listed(v.name for v in floats), task=task.value)
    if boxed:
        raise _outputs("no-tensor", output=quoted(boxed[0]))
    if task.is_classification and all(_element(value) in _LABEL_TYPES | _NUMBERS.keys() for value in outputs):
        raise _outputs("labels-only", task=task.value)
    kinds = ", ".join(f"{quoted(value.name)} is {_type_name(_element(value))}" for value in outputs)
    raise _outputs("no-numbers", kinds=kinds, task=task.value)


def _dims(value: onnx.ValueInfoProto) -> Dims:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim)


def _rows_open(value: onnx.ValueInfoProto) -> Dims:
    if not value.type.HasField("tensor_type"):
        raise _inputs("no-tensor", input=quoted(value.name))
    dims = _dims(value)
    if dims and dims[0] is not None:
        raise _inputs("fixed-rows", input=quoted(value.name), rows=dims[0])
    return dims


def _element(value: onnx.ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)


def _type_name(kind: int) -> str:
    return str(_T.DataType.Name(kind)).lower() if kind in _T.DataType.values() else "an unknown type"


def _shape(dims: Dims) -> str:
    return "[" + ", ".join("N" if dim is None else str(dim) for dim in dims or ()) + "]"


def _inputs(cause: str, **values: str | int) -> Refused:
    return Refused(Reason.MODEL_INPUTS, cause, **values)


def _outputs(cause: str, **values: str | int) -> Refused:
    return Refused(Reason.MODEL_OUTPUTS, cause, **values)
