"""Asks the model: a Poisson regression as a few numbers, which any program can read."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl

rows = pl.read_parquet(os.environ["MLBOT_FEATURES"])
model = json.loads(Path(os.environ["MLBOT_ARTIFACT"]).read_text(encoding="utf-8"))
weights = model["weights"]
scores = rows.select(list(weights)).to_numpy() @ np.array(list(weights.values())) + model["intercept"]
pl.DataFrame({"row_id": rows["row_id"], "y": np.exp(scores)}).write_parquet(os.environ["MLBOT_PREDICTIONS"])
