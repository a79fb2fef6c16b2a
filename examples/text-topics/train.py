"""Fits words to topics, and saves the pipeline: plain scikit-learn, nothing of mlbot in it but the two variables."""

import json
import os
from pathlib import Path

import joblib
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

params = json.loads(Path(os.environ["MLBOT_PARAMS"]).read_text(encoding="utf-8"))
table = pl.read_csv("data/train.csv")
words = TfidfVectorizer(ngram_range=(1, params["longest_ngram"]), sublinear_tf=True, min_df=params["min_df"])
model = make_pipeline(words, LogisticRegression(C=params["C"], max_iter=2000))
model.fit(table["text"].to_list(), table["topic"].to_list())
joblib.dump(model, os.environ["MLBOT_ARTIFACT"])
