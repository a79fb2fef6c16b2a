"""Learns which way of travelling a person chooses, by LambdaRank over the four that each has."""

import json
import os
from pathlib import Path

import lightgbm
import polars as pl

params = json.loads(Path(os.environ["MLBOT_PARAMS"]).read_text(encoding="utf-8"))
table = pl.read_csv("data/train.csv").sort("query", maintain_order=True)
columns = [name for name in table.columns if name not in {"query", "relevance", "ttme"}]
modes = sorted(table["mode"].unique())
features = table.select(pl.col(columns).exclude("mode"), pl.col("mode").replace_strict(modes, range(4))).to_numpy()
queries = table.group_by("query", maintain_order=True).len()["len"].to_numpy()
data = lightgbm.Dataset(features, table["relevance"].to_numpy(), group=queries)
settings = {"objective": "lambdarank", "verbose": -1, "num_threads": 1, "deterministic": True, "min_data_in_leaf": 10}
settings |= {"seed": int(os.environ["MLBOT_SEED"]), "feature_fraction": 0.8, **params["lightgbm"]}
lightgbm.train(settings, data, params["rounds"]).save_model(os.environ["MLBOT_ARTIFACT"])
