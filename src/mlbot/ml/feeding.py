"""Columns of a batch as bytes for the pipe, and back as what a model's inputs take.

The judge packs (`Packed`), the child unpacks and casts (`feeds`). Numbers travel as they are; text as codes into the
distinct values of the batch, so that a category's name crosses once and not once a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.outcome import Reason
from mlbot.ml.protocol import Column, Feature, Layout, ProtocolError, Refused
from mlbot.ml.signature import Input, Signature
from mlbot.ml.text import quoted

Values = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A batch ready for the pipe: packed once, sent to every child.

    Attributes:
        rows: how many rows.
        columns: what each column is.
        chunks: the columns' bytes, one after the other.
    """

    rows: int
    columns: tuple[Column, ...]
    chunks: tuple[bytes, ...]

    @property
    def length(self) -> int:
        """Bytes of all chunks."""
        return sum(len(chunk) for chunk in self.chunks)


def unpack(rows: int, columns: Sequence[Column], raw: bytes | bytearray) -> tuple[Values, ...]:
    """The columns of a batch, each `(rows,)`: numbers, booleans, or objects holding `str`.

    Raises:
        ProtocolError: The bytes are not as long as the columns say.
    """
    arrays: list[Values] = []
    offset = 0
    for column in columns:
        dtype = np.dtype(column.dtype)
        if offset + rows * dtype.itemsize > len(raw):
            raise ProtocolError("a batch is shorter than it says")
        values = np.frombuffer(raw, dtype, rows, offset)
        offset += values.nbytes
        if column.categories is not None:
            values = np.array(column.categories, dtype=np.object_)[values]
        arrays.append(values)
    return tuple(arrays)


def feeds(signature: Signature, features: Sequence[Feature], arrays: Sequence[Values]) -> dict[str, Values]:
    """What the model's inputs are given: `[N, 1]` for each column, or the one `[N, F]`.

    Raises:
        Refused: A value cannot be held by the type of its input.
    """
    if signature.facts.layout is Layout.COLUMNS:
        by_name = {feature.name: values for feature, values in zip(features, arrays, strict=True)}
        return {i.name: _cast(by_name[i.name], i, i.name).reshape(-1, 1) for i in signature.inputs}
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
        raise _unfit(name, dtype, f"which cannot say that a value is missing, and the holdout misses {missing} or more")
    if dtype.kind == "b" or not np.array_equal(values, np.trunc(values)):
        raise _unfit(name, dtype, "but the holdout holds fractions")


def _in_range(values: Values, dtype: np.dtype[Any], name: str) -> None:
    limits = np.iinfo(dtype)
    # In floating point 2**63 - 1 rounds up to 2**63, which does not fit: so the upper bound is exclusive there.
    too_large = values >= float(limits.max) + 1 if values.dtype.kind == "f" else values > limits.max
    if bool(np.any(too_large)) or bool(np.any(values < limits.min)):
        raise _unfit(name, dtype, "and the holdout holds numbers beyond it")


def _unfit(name: str, dtype: np.dtype[Any], why: str) -> Refused:
    return Refused(
        Reason.MODEL_INPUTS,
        f"The model's input for {quoted(name)} takes {dtype.name}, {why}. Train with a float input.",
    )
