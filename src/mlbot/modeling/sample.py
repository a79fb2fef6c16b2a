"""A sample of the rows that an estimator was fitted on: it tells the columns' types, and parity is measured on it."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mlbot.errors import NotEvaluatedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MATRIX_INPUT = "X"
"""The name of the one input of a file that was trained on an array."""
_ROWS = 2_000


class ExportError(NotEvaluatedError):
    """A fitted estimator cannot become an ONNX file that predicts as it does."""


class Frame(Protocol):
    """What polars' and pandas' data frames have in common."""

    @property
    def columns(self) -> Any:
        """The column names in order."""

    def __getitem__(self, name: Any) -> Any:
        """One column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Rows twice: as the estimator takes them, and as the judge feeds them to the ONNX file."""

    rows: Any
    """A data frame or an array `[N, F]`."""
    feed: "dict[str, NDArray[Any]]"
    """By input: `[N, 1]` float32 or object (text) for each column, or one float32 `[N, F]`."""
    columns: tuple[str, ...] | None
    """The data frame's columns; None: an array."""

    @property
    def text(self) -> frozenset[str]:
        """The columns that hold text."""
        return frozenset(name for name, values in self.feed.items() if values.dtype == object)


def sample_of(rows: Any, *, limit: int = _ROWS) -> Sample:
    """Evenly spaced rows of a training set.

    Args:
        rows: A polars or pandas data frame, or an array `[N, F]` of numbers.
        limit: How many rows at most.

    Raises:
        ExportError: A column is neither text nor numbers.
    """
    import numpy as np

    count = len(rows)
    picks = np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64)) if count else np.arange(0)
    if not hasattr(rows, "columns"):
        matrix = np.asarray(rows)[picks]
        return Sample(rows=matrix, feed={MATRIX_INPUT: matrix.astype(np.float32)}, columns=None)
    picked = rows.iloc[picks] if hasattr(rows, "iloc") else rows[picks]
    columns = tuple(str(name) for name in rows.columns)
    return Sample(rows=picked, feed=dict(_fed(picked)), columns=columns)


def _fed(rows: Frame) -> "Iterator[tuple[str, NDArray[Any]]]":
    import numpy as np

    for name in rows.columns:
        values = np.asarray(rows[name])
        if values.dtype.kind in "biuf":
            yield str(name), values.astype(np.float32).reshape(-1, 1)
        elif values.dtype.kind in "OUT":
            yield str(name), _objects(str(name), values).reshape(-1, 1)
        else:
            raise _no_type(str(name), str(values.dtype))


def _objects(name: str, values: "NDArray[Any]") -> "NDArray[Any]":
    """A column of Python objects: text with gaps, or numbers with gaps."""
    import numpy as np

    present = [value for value in values.tolist() if not _missing(value)]
    if all(isinstance(value, str) for value in present):
        return np.array(["" if _missing(value) else value for value in values.tolist()], dtype=object)
    if any(isinstance(value, str) for value in present):
        raise _no_type(name, "text and other things")
    try:
        return np.array([math.nan if _missing(v) else float(v) for v in values.tolist()], dtype=np.float32)
    except (TypeError, ValueError):
        raise _no_type(name, type(present[0]).__name__) from None


def _missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _no_type(name: str, kind: str) -> ExportError:
    return ExportError(
        f"Column '{name}' holds {kind}: a model can be fed numbers, booleans and text only.",
        mend="Turn it into a number or text before fitting, or drop it.",
    )
