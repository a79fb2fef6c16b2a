"""What an ONNX file may contain. Runs in the scoring child: parsing hostile bytes is native code's work.

Allowed: operators of ONNX and ONNX-ML; those of `com.microsoft` that onnxruntime's own quantiser writes; functions
that the file defines itself; control flow (a loop that never ends meets the time limit). Refused: tensors kept in
other files, and operators of any other domain, since they would need code that mlbot does not load.
"""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import checker

from mlbot.gates.outcome import Reason
from mlbot.ml.protocol import Refused
from mlbot.ml.text import listed, printable, quoted

_MAX_NESTING = 16

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

_QUANTISED = frozenset(
    (
        "DequantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "FastGelu",
        "Gelu",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
    )
)


def parse(content: bytes) -> onnx.ModelProto:
    """Read and check an ONNX file.

    Raises:
        Refused: It is no ONNX model, or contains what is not allowed.
    """
    model = _decoded(content)
    _no_training(model)
    own = frozenset((function.domain, function.name) for function in model.functions)
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto):
            _inside(message)
        elif isinstance(message, onnx.NodeProto):
            _known(message, own)
    _valid(content)
    return model


def _decoded(content: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError) as error:
        raise _refused("The file is no ONNX model: it cannot be decoded. It may be cut off.") from error
    if not model.HasField("graph") or not model.ir_version:
        raise _refused("The file is no ONNX model: it has no graph. Write one with skl2onnx, torch.onnx or the like.")
    if not model.graph.output:
        raise _refused("The ONNX model has no output.")
    return model


def _no_training(model: onnx.ModelProto) -> None:
    if model.training_info:
        raise _refused("The ONNX model carries training graphs. Export it for inference.")


def _messages(model: onnx.ModelProto) -> Iterator[Message]:
    """Every message inside a model: nodes, attributes, subgraphs, tensors (sparse ones too), functions.

    It goes by the format's own description instead of a list of places, so a place cannot be forgotten.
    """
    waiting: list[tuple[Message, int]] = [(model, 0)]
    while waiting:
        message, depth = waiting.pop()
        yield message
        if isinstance(message, onnx.TensorProto):
            continue
        if isinstance(message, onnx.GraphProto):
            depth += 1
            if depth > _MAX_NESTING:
                raise _refused(f"The ONNX model nests graphs more than {_MAX_NESTING} deep.")
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend((inner, depth) for inner in ((value,) if isinstance(value, Message) else value))


def _inside(tensor: onnx.TensorProto) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise _refused(
            f"The ONNX model keeps the tensor {quoted(tensor.name)} in another file. Save it as one file "
            "(onnx.save with save_as_external_data=False)."
        )


def _known(node: onnx.NodeProto, own: frozenset[tuple[str, str]]) -> None:
    if node.domain in _DOMAINS or (node.domain, node.op_type) in own:
        return
    if node.domain == "com.microsoft" and node.op_type in _QUANTISED:
        return
    raise _refused(
        f"The ONNX model uses the operator {quoted(node.op_type)} of {quoted(node.domain)}, which mlbot does not load. "
        f"Allowed are the operators of {listed(sorted(_DOMAINS - {''}))} and quantised ones of onnxruntime."
    )


def _valid(content: bytes) -> None:
    """ONNX's own checker. Types and shapes are inferred by onnxruntime when it loads the model, so not here as well."""
    try:
        checker.check_model(content, full_check=False)
    except (checker.ValidationError, ValueError) as error:
        message = printable(" ".join(str(error).split()), 200)
        raise _refused(f"The ONNX model is not valid: {message}") from error


def _refused(detail: str) -> Refused:
    return Refused(Reason.MODEL_REFUSED, detail)
