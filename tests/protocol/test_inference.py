"""Bodies of the Open Inference Protocol as servers' documents print them, and the elements that a type takes."""

import math
from typing import Any

import pytest

from mlbot.gates.metric import Task
from mlbot.protocol.golden import Golden, GoldenColumn
from mlbot.protocol.inference import (
    Answer,
    EndpointFault,
    Fault,
    InexpressibleError,
    OtherInputsError,
    Reply,
    TensorForm,
    answer_of,
    predictions_of,
    request_body,
    samples_of,
)


def golden(task: Task, predictions: tuple[float, ...], classes: tuple[str, ...] = (), value: Any = 1) -> Golden:
    kind: Any = "integer" if isinstance(value, int) else "float"
    return Golden(
        model="m",
        digest="sha256:" + "a" * 64,
        task=task,
        order=classes,
        classes=classes,
        source="holdout",
        columns=(GoldenColumn(name="x", kind=kind, values=(value,)),),
        predictions=(predictions,),
        platform="elsewhere",
    )


NUMBER = golden(Task.REGRESSION, (0.5,))
THREE = golden(Task.MULTICLASS, (0.1, 0.7, 0.2), ("a", "b", "c"))


def tensor(name: str, datatype: str, shape: list[int], data: list[Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


@pytest.mark.parametrize(
    ("asked", "body", "wanted"),
    [
        # the specification's example: no name of the model, an id
        (THREE, {"id": "42", "outputs": [tensor("output0", "FP32", [1, 3], [0.1, 0.7, 0.2])]}, (0.1, 0.7, 0.2)),
        # MLServer: parameters of body and tensors, a version that may be null
        (
            THREE,
            {
                "model_name": "m",
                "model_version": None,
                "id": "c8b9",
                "parameters": {"content_type": "np"},
                "outputs": [
                    tensor("predict", "FP64", [1, 3], [0.1, 0.7, 0.2], parameters={"content_type": "np"}),
                ],
            },
            (0.1, 0.7, 0.2),
        ),
        # KServe's own runtime: null where there are no parameters, nested data
        (
            NUMBER,
            {
                "model_name": "m",
                "model_version": None,
                "id": "a1",
                "parameters": None,
                "outputs": [tensor("output-0", "FP32", [1, 1], [[0.5]], parameters=None)],
            },
            (0.5,),
        ),
        # Triton, of an ONNX classifier: a label of BYTES beside the probabilities
        (
            THREE,
            {
                "model_name": "m",
                "model_version": "1",
                "outputs": [
                    tensor("label", "BYTES", [1], ["b"]),
                    tensor("probabilities", "FP32", [1, 3], [0.1, 0.7, 0.2]),
                ],
            },
            (0.1, 0.7, 0.2),
        ),
    ],
)
def test_answers_as_they_are_documented_are_read(asked: Golden, body: Any, wanted: tuple[float, ...]) -> None:
    found = answer_of(body)
    assert isinstance(found, Answer)
    assert predictions_of(found, asked) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "Request for unknown model: 'm' is not found"}, EndpointFault.NO_MODEL),
        # Triton's binary extension, which nobody asked for: the tensor has no data
        (
            {
                "outputs": [
                    {"name": "p", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}},
                ]
            },
            EndpointFault.NO_MODEL,
        ),
        # Triton's classification extension: texts of value, place and label
        ({"outputs": [tensor("p", "BYTES", [1, 2], ["0.7:1:b", "0.2:2:c"])]}, EndpointFault.OTHER_OUTPUTS),
        ({"outputs": [tensor("p", "FP32", [1, 3], [0.1, 0.7])]}, EndpointFault.OTHER_SHAPE),
        ({"outputs": [tensor("p", "FP32", [1, 3], [[[[[0.1]]]], 0.7, 0.2])]}, EndpointFault.OTHER_SHAPE),
        # whose sum to one is farther away than numbers go
        ({"outputs": [tensor("p", "FP64", [1, 3], [1e300, -1e300, 5e-324])]}, EndpointFault.OTHER_SHAPE),
        ({"outputs": [tensor("p", "FP64", [1, 3], [1e308, 0.0, 0.0])]}, EndpointFault.OTHER_SHAPE),
    ],
)
def test_other_answers_are_faults(body: Any, code: EndpointFault) -> None:
    answer = answer_of(body)
    found = predictions_of(answer, THREE) if isinstance(answer, Answer) else answer
    assert isinstance(found, Fault)
    assert found.code is code


def test_the_farthest_answer_is_a_difference() -> None:
    found = answer_of({"outputs": [tensor("p", "FP64", [1], [-1e300])]})
    assert isinstance(found, Answer)
    predictions = predictions_of(found, golden(Task.REGRESSION, (1e300,)))
    assert isinstance(predictions, tuple)
    samples = samples_of(golden(Task.REGRESSION, (1e300,)), [Reply(row=0, predictions=predictions)])
    assert (samples.different, samples.max_difference) == (1, 2e300)


@pytest.mark.parametrize(
    ("value", "datatype", "wanted"),
    [
        (65504.0, "FP16", b"65504.0"),
        (65505.0, "FP16", InexpressibleError),
        (3.4e38, "BF16", InexpressibleError),
        (3.4e38, "FP32", b"3.4e+38"),
        (1e39, "FP32", InexpressibleError),
        (127, "INT8", b"127"),
        (128, "INT8", OtherInputsError),
        (128, "UINT8", b"128"),
        (-1, "UINT64", OtherInputsError),
        (1 << 63, "INT64", OtherInputsError),
        (1 << 63, "UINT64", b"9223372036854775808"),
        (math.pi, "INT32", OtherInputsError),
    ],
)
def test_an_input_is_asked_only_with_what_its_type_holds(value: float, datatype: str, wanted: Any) -> None:
    columns = (GoldenColumn(name="x", kind="integer" if isinstance(value, int) else "float", values=(value,)),)
    form = TensorForm(name="x", datatype=datatype, shape=(-1, 1))
    if isinstance(wanted, bytes):
        assert b'"data":[' + wanted + b"]" in request_body(columns, [form], 0)
        return
    with pytest.raises(wanted):
        request_body(columns, [form], 0)
