"""Gives every row a score; within a query the highest comes first."""

import os

import lightgbm
import polars as pl

MODES = ["air", "bus", "car", "train"]

rows = pl.read_parquet(os.environ["MLBOT_FEATURES"])
model = lightgbm.Booster(model_file=os.environ["MLBOT_ARTIFACT"])
columns = [name for name in rows.columns if name not in {"row_id", "query", "ttme"}]
features = rows.select(pl.col(columns).exclude("mode"), pl.col("mode").replace_strict(MODES, range(4))).to_numpy()
scores = model.predict(features, num_threads=1)
pl.DataFrame({"row_id": rows["row_id"], "score": scores}).write_parquet(os.environ["MLBOT_PREDICTIONS"])
