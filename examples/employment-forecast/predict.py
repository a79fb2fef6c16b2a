"""Forecasts: the last level, and the mean change for each month since."""

import json
import os
from pathlib import Path

import polars as pl


def months(date: str) -> int:
    """Months since the year 0."""
    return int(date[:4]) * 12 + int(date[5:7])


rows = pl.read_parquet(os.environ["MLBOT_FEATURES"])
models = json.loads(Path(os.environ["MLBOT_ARTIFACT"]).read_text(encoding="utf-8"))
answers = []
for name, month in zip(rows["series"], rows["month"], strict=True):
    model = models[name]
    answers.append(model["last"] + model["drift"] * (months(str(month)) - months(model["month"])))
pl.DataFrame({"row_id": rows["row_id"], "y": answers}).write_parquet(os.environ["MLBOT_PREDICTIONS"])
