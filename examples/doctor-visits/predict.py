"""Asks the model: a Poisson regression as a few numbers, which any program can read. It needs Python alone."""

import csv
import json
import math
import os
from pathlib import Path

features, predictions = Path(os.environ["MLBOT_FEATURES"]), Path(os.environ["MLBOT_PREDICTIONS"])
model = json.loads(Path(os.environ["MLBOT_ARTIFACT"]).read_text(encoding="utf-8"))
with features.open(newline="") as rows, predictions.open("w", newline="") as out:
    answers = csv.writer(out)
    answers.writerow(["row_id", "y"])
    for row in csv.DictReader(rows):
        score = model["intercept"] + sum(weight * float(row[name]) for name, weight in model["weights"].items())
        answers.writerow([row["row_id"], math.exp(score)])
