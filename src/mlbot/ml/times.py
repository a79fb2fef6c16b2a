"""The rows of a forecast: their times in order, how far ahead they are, and how far the series move by themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlbot.config.data import Data
from mlbot.gates.outcome import Reason
from mlbot.ml.frames import is_number, is_text
from mlbot.ml.protocol import printable, quoted
from mlbot.stats.forecast import Series
from mlbot.verdict.verdict import Problem

_ISO = r"^[0-9]{4}(-?[0-9QWT:. +Z-]*)?$"
"""Texts that are in the order of time when they are in that of the alphabet."""


def read_series(frame: pl.LazyFrame, data: Data, train: pl.LazyFrame | None) -> Series | Problem:
    """The series of a holdout's rows, or what is wrong with them; `train`: the training data, for their scale."""
    problem = _wrong_time(frame, data)
    if problem is not None:
        return problem
    schema = frame.collect_schema()
    texts = [key for key in (data.time, data.series) if key and is_text(schema[key])]
    table = frame.with_columns(_gaps(texts)).select(_keys(data)).collect(engine="streaming")
    for name in ("time", "series"):
        if gaps := table[name].null_count():
            return _schema("time-missing", column=quoted(getattr(data, name) or ""), rows=gaps)
    horizon = _horizon(frame, data, table)
    if isinstance(horizon, Problem):
        return horizon
    if twice := _twice(table.with_columns(pl.Series("horizon", horizon)), data):
        return twice
    return Series(
        times=_codes(table["time"]),
        horizon=horizon,
        scale=None if train is None else _scale(table, data, train),
        quantiles=data.quantiles,
        count=table["series"].n_unique(),
    )


def _keys(data: Data) -> list[pl.Expr]:
    series = pl.lit("") if data.series is None else pl.col(data.series).cast(pl.String)
    return [pl.col(data.time or "").alias("time"), series.alias("series")]


def _gaps(names: Sequence[str]) -> list[pl.Expr]:
    """Columns of text with nothing where their tables have an empty one."""
    return [pl.col(name).cast(pl.String).replace("", None) for name in names]


def _wrong_time(frame: pl.LazyFrame, data: Data) -> Problem | None:
    dtype, column = frame.collect_schema()[data.time or ""], quoted(data.time or "")
    if not is_text(dtype):
        fits = dtype.is_numeric() or dtype.is_temporal()
        return None if fits else _schema("time-not-ordered", column=column, value=str(dtype))
    texts = frame.select(pl.col(data.time or "").cast(pl.String).alias("time"))
    odd = (
        texts.filter(pl.col("time") != "")
        .filter(~pl.col("time").str.contains(_ISO))
        .head(1)
        .collect(engine="streaming")
    )
    return _schema("time-not-ordered", column=column, value=quoted(printable(odd.item(), 60))) if odd.height else None


def _codes(column: pl.Series) -> npt.NDArray[np.int64]:
    return column.rank("dense").cast(pl.Int64).to_numpy() - 1


def _horizon(frame: pl.LazyFrame, data: Data, table: pl.DataFrame) -> npt.NDArray[np.int64] | Problem:
    if data.horizon is None:  # one origin: a series' rows are steps 1, 2 and so on
        steps = table.select(pl.col("time").rank("dense").over("series").cast(pl.Int64).alias("steps"))
        return steps["steps"].to_numpy()
    column = frame.select(pl.col(data.horizon)).collect(engine="streaming").to_series()
    if not is_number(column.dtype):
        return _schema("horizon-wrong", column=quoted(data.horizon), rows=len(column))
    steps_ahead = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    wrong = int(np.count_nonzero(~(steps_ahead >= 1) | (steps_ahead != np.floor(steps_ahead))))
    return _schema("horizon-wrong", column=quoted(data.horizon), rows=wrong) if wrong else steps_ahead.astype(np.int64)


def _twice(table: pl.DataFrame, data: Data) -> Problem | None:
    """Which time of which series has two rows of one horizon."""
    found = table.filter(table.select("time", "series", "horizon").is_duplicated()).head(1)
    if not found.height:
        return None
    time, series = (printable(str(found[name].item()), 60) for name in ("time", "series"))
    return _schema("time-twice", time=time, series=series, horizon=data.horizon or "")


def _scale(table: pl.DataFrame, data: Data, train: pl.LazyFrame) -> npt.NDArray[np.float64] | None:
    """The mean step over a season of each row's series in the training data; NaN where there is none."""
    schema = train.collect_schema()
    (target,) = data.targets
    if any(name not in schema for name in (data.time, target, *([data.series] if data.series else []))):
        return None
    if not is_number(schema[target]):
        return None
    season = pl.col("y") - pl.col("y").shift(data.season or 1).over("series")
    known = train.select(*_keys(data), pl.col(target).cast(pl.Float64).alias("y")).drop_nulls()
    # with a rolling origin a time has a row for each horizon, all of one target: the step between these is none
    steps = known.unique(["series", "time"], keep="first", maintain_order=True).sort("series", "time")
    means = steps.with_columns(season.abs().alias("step")).group_by("series").agg(pl.col("step").mean())
    found = table.select("series").join(means.collect(), on="series", how="left", maintain_order="left")
    return found["step"].fill_null(float("nan")).to_numpy()


def _schema(cause: str, **values: Any) -> Problem:
    return Problem.of(Reason.HOLDOUT_SCHEMA, cause, **values)
