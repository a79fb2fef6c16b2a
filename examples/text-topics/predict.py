"""Asks the pickled pipeline. It is the guarded branch's own: a pull request's counts once it is merged."""

import os

import joblib
import polars as pl

rows = pl.read_parquet(os.environ["MLBOT_FEATURES"])
model = joblib.load(os.environ["MLBOT_ARTIFACT"])
answers = model.predict_proba(rows["text"].to_list())
columns = {f"p:{label}": answers[:, place] for place, label in enumerate(model.classes_)}
pl.DataFrame({"row_id": rows["row_id"], **columns}).write_parquet(os.environ["MLBOT_PREDICTIONS"])
