"""Loading and running one model with onnxruntime. Runs in the scoring child."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml import protocol
from mlbot.ml.onnx_file import Input, Signature, infer, one_file, parse_model, read_signature, too_new, unstack, unzip
from mlbot.ml.protocol import Batch, Column, Expected, Feature, ModelFacts, Refused, Times, printable, quoted

# Columns of a batch from the pipe, as what a model's inputs take. Numbers travel as they are; text as codes into the
# distinct values of the batch, so that a category's name crosses once and not once a row.

Values = npt.NDArray[Any]


def unpack(rows: int, columns: Sequence[Column], raw: bytes | bytearray) -> tuple[Values, ...]:
    """The columns of a batch, each `(rows,)`: numbers, booleans, or objects holding `str`."""
    arrays: list[Values] = []
    offset = 0
    for column in columns:
        dtype = np.dtype(column.dtype)
        if offset + rows * dtype.itemsize > len(raw):
            raise protocol.ProtocolError("a batch is shorter than it says")
        values = np.frombuffer(raw, dtype, rows, offset)
        offset += values.nbytes
        if column.categories is not None:
            values = np.array(column.categories, dtype=np.object_)[values]
        arrays.append(values)
    return tuple(arrays)


def feeds(signature: Signature, features: Sequence[Feature], arrays: Sequence[Values]) -> dict[str, Values]:
    """What the model's inputs are given: `[N, 1]` or `[N]` for each column, or the one `[N, F]`.

    Raises `Refused` when a value cannot be held by the type of its input.
    """
    if signature.facts.layout is protocol.Layout.COLUMNS:
        by_name = {feature.name: values for feature, values in zip(features, arrays, strict=True)}
        fed = {i: _cast(by_name[i.name], i, i.name) for i in signature.inputs}
        return {i.name: values if i.flat else values.reshape(-1, 1) for i, values in fed.items()}
    (matrix,) = signature.inputs
    whole = np.empty((len(arrays[0]), len(arrays)), dtype=matrix.dtype)
    for at, (feature, values) in enumerate(zip(features, arrays, strict=True)):
        whole[:, at] = _cast(values, matrix, feature.name)
    return {matrix.name: whole}


def _cast(values: Values, model: Input, name: str) -> Values:
    dtype = np.dtype(model.dtype)
    if values.dtype == dtype or dtype.kind == "O":
        return values
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # a number too large for the input becomes infinite, as it would in production
            return values.astype(dtype)
    if values.dtype.kind == "f":
        _whole(values, dtype, name)
    if dtype.kind in "iu" and values.dtype.kind != "b":
        _in_range(values, dtype, name)
    return values.astype(dtype)


def _whole(values: Values, dtype: np.dtype[Any], name: str) -> None:
    missing = int(np.isnan(values).sum())
    if missing:
        raise _unfit("cannot-miss", name, dtype, missing=missing)
    if dtype.kind == "b" or not np.array_equal(values, np.trunc(values)):
        raise _unfit("no-fractions", name, dtype)


def _in_range(values: Values, dtype: np.dtype[Any], name: str) -> None:
    limits = np.iinfo(dtype)
    # In floating point 2**63 - 1 rounds up to 2**63, which does not fit: so the upper bound is exclusive there.
    too_large = values >= float(limits.max) + 1 if values.dtype.kind == "f" else values > limits.max
    if bool(np.any(too_large)) or bool(np.any(values < limits.min)):
        raise _unfit("out-of-range", name, dtype)


def _unfit(cause: str, name: str, dtype: np.dtype[Any], **values: int) -> Refused:
    return Refused(Reason.MODEL_INPUTS, cause, column=quoted(name), takes=dtype.name, **values)


Predictions = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.int32]
_MOST_LABELS = 10_000  # distinct ones in a batch; more are no classes
_LONGEST_LABEL = 10_000  # characters
_WARM_UP = 5
_NO_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate", "alloc", "out of memory")
_TOO_NEW = ("Unsupported model IR version", "support for models stamped with")
_SILENT = 4  # onnxruntime's log level "fatal": its messages quote the model


class Runtime:
    """One model: none yet, then loaded, then asked. Its methods raise `Refused` when it fails or does not fit."""

    def __init__(self, expected: Expected, threads: int) -> None:
        self._expected = expected
        self._threads = threads
        self._signature: Signature | None = None
        self._session: Any = None
        self._many: dict[str, Values] | None = None  # many rows that it can be asked
        self._singles: list[dict[str, Values]] = []  # rows that were timed one by one

    def load(self, content: bytes, parts: Sequence[tuple[str, int]] = ()) -> ModelFacts:
        """Inspect and load a model file; `parts`: of a folder, path and bytes of each file in it, the model first."""
        with _reading():
            content = one_file(content, parts) if parts else content
            model = parse_model(content)
            several = self._expected.task is Task.MULTILABEL and unstack(model, len(self._expected.classes))
            content = model.SerializeToString() if several or unzip(model) else content
        self._session = _session(model, content, self._threads)
        with _reading():
            infer(model, {output.name: output.shape for output in self._session.get_outputs()})
            self._signature = read_signature(model, self._expected)
        return self._signature.facts

    def predict(self, batch: Batch, raw: bytes | bytearray) -> tuple[Predictions, Codes | None]:
        """Predictions of a batch, `(rows, width)`, in the float type that the model gives; and its own labels."""
        feed = self._feed(batch.rows, batch.columns, raw)
        if batch.nudged:
            feed = {name: _nudged(values) for name, values in feed.items()}
        if not batch.parts:
            return self._answer(feed, batch.rows, labels=batch.labels)
        if sum(batch.parts) != batch.rows:
            raise protocol.ProtocolError("the parts of a batch are not all of it")
        ends = itertools.accumulate(batch.parts)
        spans = ((slice(end - size, end), size) for end, size in zip(ends, batch.parts, strict=True))
        requests = (({name: values[span] for name, values in feed.items()}, size) for span, size in spans)
        parts = [self._answer(request, size, labels=batch.labels) for request, size in requests]
        own = [each for _, each in parts if each is not None]
        return np.concatenate([found for found, _ in parts]), np.concatenate(own) if own else None

    def _answer(self, feed: dict[str, Values], rows: int, *, labels: bool) -> tuple[Predictions, Codes | None]:
        output = self._loaded.labels
        if output is None or not labels:
            return self._run(feed, rows), None
        found, own = self._outputs([self._loaded.output, output.name], feed)
        return _shaped(found, self._loaded.output, rows, self._width()), codes_of(own, rows, output.places)

    def measure(
        self, rows: int, columns: Sequence[Column], raw: bytes | bytearray, requests: int, seconds: float
    ) -> tuple[Times, Predictions]:
        """Time predictions of single rows, and of all rows together; the times, and what was answered.

        The rows are gone through again and again; after half of `seconds` either half of the measurement stops early.
        The answers are the least and the greatest to each question, `(2, singles + rows, width)`.
        """
        self._many = whole = self._feed(rows, columns, raw)
        singles = [{name: values[i : i + 1] for name, values in whole.items()} for i in range(min(rows, requests))]
        answers: list[list[Predictions]] = [[self._run(single, 1)] for single in singles[:_WARM_UP]]
        times: list[float] = []
        end = time.perf_counter() + seconds / 2
        while len(times) < requests and (not times or time.perf_counter() < end):
            at = len(times) % len(singles)
            answers += [[]] if at == len(answers) else []
            times.append(self._timed(singles[at], 1, answers[at]))
        whole_answers: list[Predictions] = []
        together: list[float] = []
        end = time.perf_counter() + seconds / 2
        while len(together) < 5 and (not together or time.perf_counter() < end):
            together.append(self._timed(whole, rows, whole_answers))
        p50, p95 = (float(value) * 1000 for value in np.percentile(times, (50, 95)))
        self._singles = singles[: len(answers)]
        found = Times(requests=len(times), p50_ms=p50, p95_ms=p95, rows_per_s=rows / max(min(together), 1e-9))
        return found, np.concatenate([_span(each) for each in (*answers, whole_answers)], axis=1)

    def again(self, start: int, requests: int) -> tuple[tuple[float, ...], Predictions]:
        """Time single rows that were measured before, from one of them on and round again; milliseconds, answers."""
        answers: list[Predictions] = []
        rows = (self._singles[at % len(self._singles)] for at in range(start, start + requests))
        times = tuple(1000 * self._timed(row, 1, answers) for row in rows)
        return times, np.concatenate(answers)

    def _feed(self, rows: int, columns: Sequence[Column], raw: bytes | bytearray) -> dict[str, Values]:
        return feeds(self._loaded, self._expected.features, unpack(rows, columns, raw))

    def _timed(self, feed: dict[str, Values], rows: int, answers: list[Predictions]) -> float:
        before = time.perf_counter()
        found = self._run(feed, rows)
        after = time.perf_counter()
        answers.append(found)
        return after - before

    def _run(self, feed: dict[str, Values], rows: int) -> Predictions:
        name = self._loaded.output
        (output,) = self._outputs([name], feed)
        return _shaped(output, name, rows, self._width())

    def _outputs(self, names: list[str], feed: dict[str, Values]) -> list[Any]:
        try:
            outputs: list[Any] = self._session.run(names, feed)
        except Exception as error:  # as above
            raise _failure(error, Reason.SCORING_FAILED, self._cause(names, feed)) from error
        return outputs

    def _cause(self, names: list[str], feed: dict[str, Values]) -> str:
        """Whether a model that failed on one row fails on many as well."""
        if self._many is None or any(len(values) != 1 for values in feed.values()):
            return "cannot-run"
        try:
            self._session.run(names, self._many)
        except Exception:  # noqa: BLE001 - as above
            return "cannot-run"
        return "cannot-run-alone"

    def _width(self) -> int:
        facts = self._loaded.facts
        return 1 if facts.single_probability else max(1, len(facts.classes))

    @property
    def _loaded(self) -> Signature:
        if self._signature is None:
            raise Refused(Reason.SCORING_FAILED, "not-loaded")
        return self._signature


_NUDGES = 32  # units in the last place of float32


def _nudged(values: Values) -> Values:
    """Numbers with other last digits, row by row, as rounding differs from one processor to the next."""
    if values.dtype.kind != "f":
        return values
    units = np.random.default_rng(0).integers(-_NUDGES, _NUDGES + 1, values.shape)
    return np.asarray(values * (1 + units * np.finfo(np.float32).eps), dtype=values.dtype)


def _span(answers: Sequence[Predictions]) -> Predictions:
    """The least and the greatest of several answers to one question, `(2, rows, width)`; NaN where one of them is."""
    return np.stack([np.minimum.reduce(answers), np.maximum.reduce(answers)])


@contextmanager
def _reading() -> Iterator[None]:
    """What no reader expects to find in a file is the file's fault, not the scoring's."""
    try:
        yield
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused(Reason.MODEL_REFUSED, "odd-field", error=type(error).__name__) from error


def _session(model: onnx.ModelProto, content: bytes, threads: int) -> Any:
    """What asks a model: the file, or the same graph with the tensor of a ZipMap as its output."""
    try:
        return onnxruntime.InferenceSession(content, sess_options=_options(threads), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        if any(sign in str(error) for sign in _TOO_NEW):
            raise too_new(model) from error
        if "locale" in str(error):
            raise Refused(Reason.MODEL_REFUSED, "locale") from error
        raise _failure(error, Reason.MODEL_REFUSED, "cannot-load") from error


def warm_up(threads: int) -> None:
    """Load and run a small model of our own, so that nothing is opened or imported later, when nothing can be."""
    node = helper.make_node("Identity", ["x"], ["y"])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy"]
    graph = helper.make_graph([node], "warm-up", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = model.SerializeToString()
    onnx.checker.check_model(parse_model(content))
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
    if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu":
        raise Refused(Reason.MODEL_OUTPUTS, "not-numeric", output=quoted(name))
    numbers: Predictions = output if output.dtype.kind == "f" else output.astype(np.float64)
    if numbers.shape == (rows, width):
        return numbers
    if numbers.shape == (rows,) and width == 1:
        return numbers.reshape(rows, 1)
    shape = "x".join(str(dim) for dim in output.shape) or "one number"
    raise Refused(Reason.MODEL_OUTPUTS, "answer-shape", output=quoted(name), shape=shape, rows=rows, width=width)


def codes_of(labels: Any, rows: int, places: Mapping[str, int]) -> Codes:
    """The place of each row's label, `(rows,)`; -1 for what is none, and everywhere if the output holds no labels."""
    none = np.full(rows, -1, dtype="<i4")
    one_a_row = isinstance(labels, np.ndarray) and labels.shape in {(rows,), (rows, 1)}
    if not one_a_row or labels.dtype.kind not in "Obiuf":
        return none
    if labels.dtype.kind == "O":
        each = labels.reshape(-1).tolist()
        known = {label: _place(label, places) for label in set(each)}
        return np.fromiter(map(known.__getitem__, each), dtype="<i4", count=rows)
    distinct, which = np.unique(labels.reshape(-1), return_inverse=True)
    if distinct.size > _MOST_LABELS:
        return none
    return np.array([_place(str(label), places) for label in distinct.tolist()], dtype="<i4")[which].reshape(rows)


def _place(label: Any, places: Mapping[str, int]) -> int:
    fits = isinstance(label, str) and len(label) <= _LONGEST_LABEL
    return places.get(protocol.plain_label(label), -1) if fits else -1


def _failure(error: Exception, otherwise: Reason, cause: str) -> Refused:
    message = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(sign in message.casefold() for sign in _NO_MEMORY):
        return Refused(Reason.SCORING_MEMORY)
    return Refused(otherwise, cause, why=printable(message, 200))
