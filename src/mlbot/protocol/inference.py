"""The Open Inference Protocol, version 2, in JSON: what a server is asked, what it answers, and what that is worth.

Written against the specification of KServe, Triton and MLServer
(https://github.com/kserve/open-inference-protocol, `specification/protocol/inference_rest.md`). Whatever a server sends
is a stranger's: numbers and names are taken from it where they are of the form agreed, and nothing else.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mlbot.gates.metric import Task
from mlbot.lib.record import Count, Record, document
from mlbot.lib.templates import sentence
from mlbot.protocol.golden import INFINITE, Golden, GoldenColumn, Value, allowed_elsewhere
from mlbot.verdict.verdict import NonNegative

MOST_BYTES = 8 << 20
"""The longest answer that is read."""
MOST_DEPTH = 12


class EndpointFault(StrEnum):
    """Why an endpoint gave no answer that counts. A closed list; the words are in `templates/words/endpoint.yaml`."""

    NO_TOKEN = "no-token"  # noqa: S105 - no secret: its variable is not set
    UNREACHABLE = "unreachable"
    SLOW = "slow"
    NOT_READY = "not-ready"  # by its own word
    DENIED = "denied"
    NOT_THERE = "not-there"
    REDIRECTED = "redirected"
    STATUS = "status"
    TOO_LONG = "too-long"
    COMPRESSED = "compressed"
    NOT_JSON = "not-json"
    NO_MODEL = "no-model"  # an answer that is no answer of the protocol
    OTHER_MODEL = "other-model"
    OTHER_VERSION = "other-version"
    OTHER_INPUTS = "other-inputs"
    OTHER_OUTPUTS = "other-outputs"
    OTHER_SHAPE = "other-shape"
    INEXPRESSIBLE = "inexpressible"  # JSON has no word for a value of it


class Fault(Record):
    """What went wrong with one question."""

    code: EndpointFault
    detail: Annotated[str, Field(max_length=300)] = ""  # a status or a name; never a value of a request

    @property
    def sentence(self) -> str:
        """What went wrong, in words."""
        return sentence("endpoint", f"faults/{self.code}", detail=self.detail)


class _Received(BaseModel):
    """What a server says of itself or a model: frozen, and with fields beside those that count."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


_Text = Annotated[str, Field(max_length=1000)]


class Readiness(_Received):
    """A server's word on whether a model is ready; it need not say more than the status."""

    ready: bool = True


class TensorForm(_Received):
    """How a server describes an input or an output of a model."""

    name: _Text
    datatype: Annotated[str, Field(max_length=40)]
    shape: tuple[int, ...] = ()


class ServerMetadata(_Received):
    """What a server says of itself."""

    name: _Text
    version: _Text = ""


class ModelMetadata(_Received):
    """What a server says of a model."""

    name: _Text
    inputs: Annotated[tuple[TensorForm, ...], Field(max_length=10_000)] | None = None


# The bodies of requests and answers: logs, recorded requests and an endpoint's answers are read here alone.

MOST_TENSORS = 2_000
MOST_VALUES = 1_000_000  # of one body
MOST_ROWS = 10_000  # of one body, so that one request is not a whole day, for whoever sends it
_MOST_DIMENSIONS = 4


class NoTensorError(Exception):
    """What is no tensor of the protocol."""


class OtherShapeError(NoTensorError):
    """A tensor that does not hold what its shape says, or too much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """A tensor of a body; its values are flat, row by row."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]

    @property
    def rows(self) -> int:
        """The first dimension."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """How many values a row has."""
        return len(self.data) // self.rows

    def row(self, at: int) -> list[Any]:
        """The values of a row."""
        return self.data[at * self.width : (at + 1) * self.width]


def tensors_of(given: object) -> tuple[Tensor, ...]:
    """The `inputs` or `outputs` of a body, from its JSON; raises `NoTensorError`."""
    if not isinstance(given, list) or len(given) > MOST_TENSORS:
        raise NoTensorError
    found = tuple(map(_tensor, given))
    if sum(len(each.data) for each in found) > MOST_VALUES:
        raise OtherShapeError
    return found


def _tensor(given: object) -> Tensor:
    if not isinstance(given, dict):
        raise NoTensorError
    name, datatype, shape, data = (given.get(key) for key in ("name", "datatype", "shape", "data"))
    if not isinstance(name, str) or not isinstance(shape, list) or not isinstance(data, list):
        raise NoTensorError
    if any(type(each) is not int for each in shape):
        raise NoTensorError
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or any(not 0 < each <= MOST_VALUES for each in shape):
        raise OtherShapeError
    flat = list(_flat(data, _MOST_DIMENSIONS))
    if len(flat) != math.prod(shape):
        raise OtherShapeError
    return Tensor(name=name, datatype=datatype if isinstance(datatype, str) else "", shape=tuple(shape), data=flat)


def _flat(data: list[Any], depth: int) -> Iterator[Any]:
    for each in data:
        if not isinstance(each, list):
            yield each
        elif depth <= 1:
            raise OtherShapeError
        else:
            yield from _flat(each, depth - 1)


def inputs_of(asked: object) -> tuple[Tensor, ...] | None:
    """The inputs of a logged request, all of as many rows; None where it is no body of the protocol.

    Raises `NoTensorError` where it is one that no server takes, or one of too many rows.
    """
    if not isinstance(asked, dict) or not isinstance(asked.get("inputs"), list):
        return None
    found = tensors_of(asked["inputs"])
    if len({each.rows for each in found}) != 1 or found[0].rows > MOST_ROWS:
        raise OtherShapeError
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A server's answer to a request."""

    model: str | None  # the specification's own example says none
    version: str
    id: str | None
    outputs: tuple[Tensor, ...]


def answer_of(given: object) -> Answer | Fault:
    """A server's answer, from its JSON; or what is wrong with it."""
    fields = given if isinstance(given, dict) else {}
    model, version, id_ = (fields.get(key) for key in ("model_name", "model_version", "id"))
    if any(not isinstance(each, str | None) for each in (model, version, id_)):
        return Fault(code=EndpointFault.NO_MODEL)
    try:
        return Answer(model=model, version=version or "", id=id_, outputs=tensors_of(fields.get("outputs")))
    except OtherShapeError:
        return Fault(code=EndpointFault.OTHER_SHAPE)
    except NoTensorError:
        return Fault(code=EndpointFault.NO_MODEL)


class ControlSamples(Record):
    """What an endpoint answered to golden requests: to how many as judged, to how many otherwise, to how many nothing.

    Requests with a value that JSON has no word for (a missing or an infinite number) are not asked.
    """

    requests: Count  # the golden requests that there are
    equal: Count = 0
    different: Count = 0
    missing: Count = 0  # asked or to be asked, and no answer that counts
    inexpressible: Count = 0
    fault: Fault | None = None  # why the first missing one is
    max_difference: NonNegative | None = None
    tolerance: NonNegative = 0.0  # the least that was allowed
    p50_ms: NonNegative | None = None  # of the answers, with the network
    p95_ms: NonNegative | None = None
    server: str = ""  # what the server calls itself, and its version
    version: str = ""  # of the model, as the server says it

    @property
    def asked(self) -> int:
        """How many were asked, or should have been."""
        return self.requests - self.inexpressible

    @property
    def why(self) -> str:
        """Why the first of those without an answer has none, in words."""
        return self.fault.sentence if self.fault else ""

    @property
    def as_judged(self) -> bool:
        """Whether every golden request that could be asked was answered as judged, and at least one was."""
        return self.equal > 0 and not self.different and not self.missing


# From golden requests to a server's inputs.

_LARGEST = {"FP16": 65504.0, "BF16": 3.3895313892515355e38, "FP32": 3.4028234663852886e38, "FP64": math.inf}
_WHOLE = {f"UINT{bits}": (0, 1 << bits) for bits in (8, 16, 32, 64)}
_WHOLE |= {f"INT{bits}": (-1 << bits - 1, 1 << bits - 1) for bits in (8, 16, 32, 64)}
_BY_KIND = {"float": "FP32", "integer": "INT64", "boolean": "BOOL", "text": "BYTES"}


class InexpressibleError(Exception):
    """A value that the protocol's JSON has no word for."""


class OtherInputsError(Exception):
    """A server asks for inputs that the golden requests do not have, or of types that do not take their values."""


def request_body(columns: Sequence[GoldenColumn], inputs: Sequence[TensorForm], row: int) -> bytes:
    """The inference request of one row, in canonical JSON.

    A tensor a column, named as the column, `[1, 1]` or `[1]`; or the one tensor `[1, F]` where the server has one input
    that is no column. Without `inputs` (a server need not describe its model) a tensor a column, typed as the data is.

    Raises:
        InexpressibleError: the row has a number that is missing, infinite, or too large for the input.
        OtherInputsError: the server asks for something else.
    """
    tensors = _matrix(columns, inputs, row) if _is_matrix(columns, inputs) else _by_column(columns, inputs, row)
    return document({"id": str(row), "inputs": tensors})


def _is_matrix(columns: Sequence[GoldenColumn], inputs: Sequence[TensorForm]) -> bool:
    if len(inputs) != 1:
        return False
    known = inputs[0].name in {each.name for each in columns}
    return not known or (len(columns) > 1 and inputs[0].shape[-1:] == (len(columns),))


def _matrix(columns: Sequence[GoldenColumn], inputs: Sequence[TensorForm], row: int) -> list[dict[str, Any]]:
    (form,) = inputs
    values = [_element(each.values[row], form.datatype) for each in columns]
    return [{"name": form.name, "shape": [1, len(values)], "datatype": form.datatype, "data": values}]


def _by_column(columns: Sequence[GoldenColumn], inputs: Sequence[TensorForm], row: int) -> list[dict[str, Any]]:
    by_name = {each.name: each for each in columns}
    forms = inputs or [TensorForm(name=each.name, datatype=_BY_KIND[each.kind], shape=(-1, 1)) for each in columns]
    if any(form.name not in by_name for form in forms):
        raise OtherInputsError
    return [
        {
            "name": form.name,
            "shape": [1] if len(form.shape) == 1 else [1, 1],
            "datatype": form.datatype,
            "data": [_element(by_name[form.name].values[row], form.datatype)],
        }
        for form in forms
    ]


def _element(value: Value, datatype: str) -> bool | int | float | str:
    """A value as an element of a tensor."""
    if datatype == "BYTES" and isinstance(value, str):  # also a text that is called like an infinite number
        return value
    if isinstance(value, str) and value not in INFINITE:
        raise OtherInputsError
    number = INFINITE[value] if isinstance(value, str) else value
    if number is None or not math.isfinite(number):
        raise InexpressibleError
    if datatype == "BOOL" and isinstance(number, bool):
        return number
    if datatype in _LARGEST:
        if abs(number) > _LARGEST[datatype]:
            raise InexpressibleError
        return float(number)
    low, beyond = _WHOLE.get(datatype, (0, 0))
    if number == int(number) and low <= number < beyond:
        return int(number)
    raise OtherInputsError


# From a server's outputs to predictions as they are judged.

_PROBABILITY_NAMES = frozenset({"probabilities", "probability", "output_probability", "probas", "proba", "probs"})
_PROBABILITY_NAMES |= {"predict_proba"}  # what MLServer's own runtimes call it
_FARTHEST = 1e300
_LABEL_NAMES = frozenset({"label", "labels", "output_label", "predict", "class", "classes", "predicted_label"})


def predictions_of(answer: Answer, golden: Golden) -> tuple[float, ...] | Fault:
    """What an answer to one row predicts, in the form of the golden requests' predictions; or what is wrong with it."""
    tensor = _predicting(answer, golden.task)
    if tensor is None:
        return Fault(code=EndpointFault.OTHER_OUTPUTS)
    values = _numbers(tensor)
    found = None if values is None else _in_order(values, golden)
    return Fault(code=EndpointFault.OTHER_SHAPE) if found is None else found


def _predicting(answer: Answer, task: Task) -> Tensor | None:
    """The output with the predictions: chosen as of an ONNX file."""
    tensors = [each for each in answer.outputs if each.datatype.startswith(("FP", "BF"))]
    if len(tensors) > 1:
        tensors = [each for each in tensors if each.name.casefold() in _PROBABILITY_NAMES] or tensors
    if len(tensors) > 1 and task.is_classification:
        tensors = [each for each in tensors if each.name.casefold() not in _LABEL_NAMES] or tensors
    if not tensors and not task.is_classification:
        tensors = [each for each in answer.outputs if each.datatype.startswith(("INT", "UINT"))]
    return tensors[0] if len(tensors) == 1 else None


def _numbers(tensor: Tensor) -> tuple[float, ...] | None:
    """The numbers of a tensor of one row; None where it is of another shape, or holds something else."""
    if len(tensor.shape) > 2 or tensor.rows != 1:
        return None
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in tensor.data):
        return None
    try:
        numbers = tuple(map(float, tensor.data))
    except OverflowError:
        return None
    return numbers if _are_measurable(numbers) else None


def _are_measurable(numbers: Sequence[float]) -> bool:
    """Whether the distance of each to a prediction is a number; of NaN and infinity it is none."""
    return all(abs(each) <= _FARTHEST for each in numbers)


def _in_order(values: tuple[float, ...], golden: Golden) -> tuple[float, ...] | None:
    """Numbers as the predictions of the golden requests are ordered; None where there are too many or too few."""
    wanted, labels = len(golden.predictions[0]), golden.labels or golden.order
    if golden.task is Task.BINARY:
        if len(values) == 1:
            return values
        fits = len(values) == len(labels) == 2 and golden.classes[1] in labels
        return (values[labels.index(golden.classes[1])],) if fits else None
    if golden.task is Task.MULTICLASS:
        whole = sum(values)  # as judged: each row sums to one
        if len(values) != len(labels) or not whole:
            return None
        by_label = {label: value / whole for label, value in zip(labels, values, strict=True)}
        found = tuple(by_label.get(label, 0.0) for label in golden.classes)
        return found if _are_measurable(found) else None
    return values if len(values) == wanted else None


# What the answers are worth together.


class Reply(Record):
    """What came of one request: predictions and how long they took, or why there are none."""

    row: Count
    predictions: tuple[float, ...] = ()
    version: str = ""  # of the model, as the server says it
    ms: NonNegative = 0.0
    fault: Fault | None = None


def samples_of(golden: Golden, replies: Sequence[Reply], *, server: str = "") -> ControlSamples:
    """Control samples from the replies to golden requests; a request without a reply is missing.

    A request that was asked several times is equal only where every reply was.
    """
    allowed = allowed_elsewhere(golden)
    inexpressible = {each.row for each in replies if each.fault and each.fault.code is EndpointFault.INEXPRESSIBLE}
    faulty = {each.row: each.fault for each in reversed(replies) if each.fault and each.row not in inexpressible}
    answered = [each for each in replies if each.fault is None and each.row not in faulty]
    apart = dict.fromkeys((each.row for each in answered), 0.0)
    beyond: set[int] = set()
    for each in answered:
        pairs = list(zip(golden.predictions[each.row], each.predictions, strict=True))
        apart[each.row] = max(apart[each.row], *(abs(judged - found) for judged, found in pairs))
        if any(abs(judged - found) > allowed(judged) for judged, found in pairs):
            beyond.add(each.row)
    times = sorted(each.ms for each in answered)
    return ControlSamples(
        requests=golden.rows,
        equal=len(apart) - len(beyond),
        different=len(beyond),
        missing=golden.rows - len(inexpressible) - len(apart),
        inexpressible=len(inexpressible),
        fault=next(iter(reversed(faulty.values())), None) or _none_expressible(golden, len(inexpressible)),
        max_difference=max(apart.values(), default=None),
        tolerance=min(allowed(judged) for row in golden.predictions for judged in row),
        p50_ms=_quantile(times, 0.5),
        p95_ms=_quantile(times, 0.95),
        server=server,
        version=next((each.version for each in replies if each.version), ""),
    )


def _none_expressible(golden: Golden, inexpressible: int) -> Fault | None:
    return Fault(code=EndpointFault.INEXPRESSIBLE) if inexpressible == golden.rows else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """A quantile of sorted numbers, between two of them as numpy has it."""
    if not ordered:
        return None
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
