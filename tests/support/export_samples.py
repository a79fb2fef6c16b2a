"""A small table and estimators over it, for tests of the export."""

from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

ROWS = 600


def make_table() -> pl.DataFrame:
    """Text with gaps (`""`), whole numbers, floats with gaps (NaN), booleans; and labels that depend on them."""
    random = np.random.default_rng(0)
    floats = random.normal(size=ROWS).astype(np.float32).astype(np.float64)
    floats[::7] = np.nan
    frame = pl.DataFrame(
        {
            "city": random.choice(["a", "b", "c", ""], ROWS),
            "count": random.integers(0, 4, ROWS),
            "size": floats,
            "flag": random.random(ROWS) > 0.5,
        }
    )
    points = frame.select(
        (pl.col("city") == "a").cast(pl.Float64)
        + pl.col("size").fill_nan(0)
        + pl.col("count") * 0.3
        + pl.col("flag") * 0.2
    ).to_series()
    noisy = points + random.normal(size=ROWS) * 0.3
    return frame.with_columns(label=pl.when(noisy > 1).then(pl.lit("yes")).otherwise(pl.lit("no")), number=noisy)


def features(table: pl.DataFrame) -> pl.DataFrame:
    """What a model is fitted on."""
    return table.select("city", "count", "size", "flag")


def fed(table: pl.DataFrame) -> dict[str, Any]:
    """What an ONNX file with an input a column is given: `[N, 1]` float32 or text a column."""
    return {
        column.name: (
            column.to_numpy().astype(object) if column.dtype == pl.String else column.to_numpy().astype(np.float32)
        ).reshape(-1, 1)
        for column in table
    }


def ordinal() -> OrdinalEncoder:
    """The encoder of the example."""
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def pipeline_over(model: Any, encoder: Any = None, numbers: Any = "passthrough") -> Pipeline:
    """A pipeline over the text column and the others."""
    text = ("text", encoder or ordinal(), ["city"])
    return Pipeline(
        [("columns", ColumnTransformer([text, ("rest", numbers, ["count", "size", "flag"])])), ("m", model)]
    )


def boosted(**settings: Any) -> HistGradientBoostingClassifier:
    """A small model that tells missing numbers apart."""
    return HistGradientBoostingClassifier(max_iter=20, random_state=0, **settings)


def imputed() -> Pipeline:
    """Numbers without gaps, scaled."""
    return make_pipeline(SimpleImputer(), StandardScaler())
