"""Loading and running one model with onnxruntime. Runs in the scoring child."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.feeding import Values, feeds, unpack
from mlbot.ml.inspection import parse
from mlbot.ml.protocol import Column, Expected, Measured, ModelFacts, Refused
from mlbot.ml.signature import Signature, read_signature
from mlbot.ml.text import printable, quoted

Predictions = npt.NDArray[np.floating[Any]]

_WARM_UP = 5

_NO_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate", "alloc", "out of memory")

_SILENT = 4  # onnxruntime's log level "fatal": its messages quote the model


class Runtime:
    """One model: none yet, then loaded, then asked.

    Args:
        expected: What the model has to fit.
        threads: Threads that one prediction may use.
    """

    def __init__(self, expected: Expected, threads: int) -> None:
        self._expected = expected
        self._threads = threads
        self._signature: Signature | None = None
        self._session: Any = None

    def load(self, content: bytes) -> ModelFacts:
        """Inspect and load a model file.

        Raises:
            Refused: It is not allowed, does not fit, or onnxruntime does not load it.
        """
        signature = read_signature(parse(content), self._expected)
        try:
            self._session = onnxruntime.InferenceSession(
                content, sess_options=_options(self._threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise _failure("onnxruntime cannot load the ONNX model", error, Reason.MODEL_REFUSED) from error
        self._signature = signature
        return signature.facts

    def predict(self, rows: int, columns: Sequence[Column], raw: bytes | bytearray) -> Predictions:
        """Predictions of a batch, `(rows, width)`, in the float type that the model gives.

        Raises:
            Refused: The batch does not fit the inputs, the model fails on it, or gives another shape.
        """
        return self._run(self._feed(rows, columns, raw), rows)

    def measure(
        self, rows: int, columns: Sequence[Column], raw: bytes | bytearray, requests: int, seconds: float
    ) -> Measured:
        """Time predictions of single rows, and of all rows together.

        Args:
            rows: How many rows are given.
            columns: What they hold.
            raw: The columns' bytes.
            requests: How many single rows to predict, after a warm-up; the rows are gone through again and again.
            seconds: When to stop early; each half of the measurement gets half of it.

        Raises:
            Refused: The model fails on the rows.
        """
        whole = self._feed(rows, columns, raw)
        singles = [{name: values[i : i + 1] for name, values in whole.items()} for i in range(min(rows, requests))]
        for single in singles[:_WARM_UP]:
            self._run(single, 1)
        times: list[float] = []
        end = time.perf_counter() + seconds / 2
        while len(times) < requests and (not times or time.perf_counter() < end):
            times.append(self._timed(singles[len(times) % len(singles)], 1))
        together: list[float] = []
        end = time.perf_counter() + seconds / 2
        while len(together) < 5 and (not together or time.perf_counter() < end):
            together.append(self._timed(whole, rows))
        p50, p95 = (float(value) * 1000 for value in np.percentile(times, (50, 95)))
        return Measured(requests=len(times), p50_ms=p50, p95_ms=p95, rows_per_s=rows / max(min(together), 1e-9))

    def _feed(self, rows: int, columns: Sequence[Column], raw: bytes | bytearray) -> dict[str, Values]:
        return feeds(self._loaded, self._expected.features, unpack(rows, columns, raw))

    def _timed(self, feed: dict[str, Values], rows: int) -> float:
        before = time.perf_counter()
        self._run(feed, rows)
        return time.perf_counter() - before

    def _run(self, feed: dict[str, Values], rows: int) -> Predictions:
        name = self._loaded.output
        try:
            (output,) = self._session.run([name], feed)
        except Exception as error:  # as above
            raise _failure("onnxruntime cannot run the ONNX model", error, Reason.SCORING_FAILED) from error
        return _shaped(output, name, rows, self._width())

    def _width(self) -> int:
        facts = self._loaded.facts
        alone = self._expected.task is Task.REGRESSION or facts.single_probability
        return 1 if alone else len(facts.classes)

    @property
    def _loaded(self) -> Signature:
        if self._signature is None:
            raise Refused(Reason.SCORING_FAILED, "No model is loaded.")
        return self._signature


def warm_up(threads: int) -> None:
    """Load and run a small model of our own, so that nothing is opened or imported later, when nothing can be."""
    node = helper.make_node("Identity", ["x"], ["y"])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy"]
    graph = helper.make_graph([node], "warm-up", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = model.SerializeToString()
    onnx.checker.check_model(parse(content))
    session = onnxruntime.InferenceSession(content, sess_options=_options(threads), providers=["CPUExecutionProvider"])
    (output,) = session.run(["y"], {"x": np.zeros((2, 1), dtype=np.float32)})
    np.percentile(output, (50, 95))


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # What every processor does alike: the level above rearranges memory for the one at hand.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = _SILENT
    options.enable_profiling = False
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _shaped(output: Any, name: str, rows: int, width: int) -> Predictions:
    if not isinstance(output, np.ndarray) or output.dtype.kind != "f":
        raise Refused(Reason.MODEL_OUTPUTS, f"The output {quoted(name)} holds no floating-point numbers.")
    if output.shape == (rows, width):
        return output
    if output.shape == (rows,) and width == 1:
        return output.reshape(rows, 1)
    shape = "x".join(str(dim) for dim in output.shape) or "one number"
    raise Refused(
        Reason.MODEL_OUTPUTS,
        f"The output {quoted(name)} was {shape} for {rows} rows; expected was {rows}x{width}"
        + (f" or {rows}." if width == 1 else "."),
    )


def _failure(what: str, error: Exception, otherwise: Reason) -> Refused:
    message = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(sign in message.casefold() for sign in _NO_MEMORY):
        return Refused(Reason.SCORING_MEMORY, f"{what}: it wants more memory than the judge allows.")
    return Refused(otherwise, f"{what}: {printable(message, 200)}")
