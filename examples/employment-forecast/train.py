"""Learns of each series its last level and its mean monthly change."""

import json
import os
from itertools import pairwise
from pathlib import Path

import polars as pl

params = json.loads(Path(os.environ["MLBOT_PARAMS"]).read_text(encoding="utf-8"))
table = pl.read_csv("data/train.csv").sort("series", "month")
models = {}
for (name,), rows in table.group_by("series", maintain_order=True):
    levels = rows["employees_thousands"].to_list()
    changes = [after - before for before, after in pairwise(levels)][-params["months"] :]
    drift = sum(changes) / len(changes)
    models[name] = {"last": levels[-1], "drift": drift, "month": rows["month"].to_list()[-1]}
Path(os.environ["MLBOT_ARTIFACT"]).write_text(json.dumps(models, indent=1) + "\n", encoding="utf-8")
