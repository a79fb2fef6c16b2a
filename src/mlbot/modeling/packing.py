"""Features of the holdout: what they are, and a batch of them as bytes for the scoring children."""

import math
from typing import TYPE_CHECKING

import numpy as np

from mlbot.modeling.feeding import Packed
from mlbot.modeling.frames import is_text
from mlbot.modeling.protocol import Column, Feature, Kind

if TYPE_CHECKING:
    import polars as pl


def kind_of(dtype: "pl.DataType") -> Kind | None:
    """What a column holds, or None when no model can be fed with it (dates, lists)."""
    import polars as pl

    if is_text(dtype):
        return Kind.TEXT
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return Kind.FLOAT
    if dtype.is_integer():
        return Kind.INTEGER
    return Kind.BOOLEAN if isinstance(dtype, pl.Boolean) else None


def pack(frame: "pl.DataFrame", features: tuple[Feature, ...]) -> Packed:
    """A batch as bytes: missing text is `""`, a missing number NaN (so a column with gaps crosses as floats)."""
    packed = [_text(frame[f.name]) if f.kind is Kind.TEXT else _numbers(frame[f.name], f.kind) for f in features]
    return Packed(
        rows=frame.height,
        columns=tuple(column for column, _ in packed),
        chunks=tuple(chunk for _, chunk in packed),
    )


def _text(series: "pl.Series") -> tuple[Column, bytes]:
    import polars as pl

    filled = series.cast(pl.String).fill_null("")
    categories = filled.unique().sort()
    codes = filled.cast(pl.Enum(categories)).to_physical().to_numpy()
    codes = codes.astype(codes.dtype.newbyteorder("<"), copy=False)
    return Column(dtype=codes.dtype.str, categories=tuple(categories.to_list())), codes.tobytes()


def _numbers(series: "pl.Series", kind: Kind) -> tuple[Column, bytes]:
    import polars as pl

    if kind is Kind.FLOAT or series.null_count() or series.dtype == pl.UInt64():
        floats = series if series.dtype == pl.Float32() else series.cast(pl.Float64)
        values = floats.fill_null(math.nan).to_numpy()
    elif kind is Kind.INTEGER:
        values = series.cast(pl.Int64).to_numpy()
    else:
        values = series.to_numpy()
    values = np.ascontiguousarray(values)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return Column(dtype=values.dtype.str), values.tobytes()
