"""A clone with a released version of a model that is watched, and logs of what it is asked."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.support.history_samples import Story, deployment, empty, reference, release

from mlbot.data.sketch import Sketch
from mlbot.gates.metric import Task
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import DayEntry
from mlbot.ml.sketches import Batch, answers_of, sketch_of
from mlbot.monitoring.health import Health
from mlbot.monitoring.run_monitor import MonitorOptions, Watched, watch
from mlbot.registry.run_repository import RepositoryContext

START = date(2026, 1, 1)
CONFIG = """
version: 1
models:
  churn:
    task: binary
    train: {run: make}
    data: {holdout: h.csv, target: left, positive: "yes"}
    gates: {roc_auc: {min: 0.5}, accuracy: {min: 0.5}}
    monitor: {requests: "logs/{date}.jsonl", labels: "labels/{date}.jsonl", id: id, prediction: score}
environments: {production: {target: models/production}}
"""
CLASSES = ("no", "yes")


def draw(rows: int, seed: int, **changes: Any) -> dict[str, Any]:
    """Rows of customers, with what the model answers and what is right."""
    chance = np.random.default_rng(seed)
    age = chance.normal(40, 10, rows) + changes.get("older", 0.0)
    plan = chance.choice(["free", "basic", "pro"], rows, p=changes.get("plans", [0.6, 0.3, 0.1]))
    score = 1 / (1 + np.exp(-(age - 40) / 10 + chance.normal(0, 0.5, rows)))
    left = np.where(chance.random(rows) < score, "yes", "no")
    gone = chance.random(rows) < changes.get("missing", 0.0)
    return {
        "age": [None if no else round(float(each), 2) for each, no in zip(age, gone, strict=True)],
        "plan": [*map(str, plan)],
        "score": [*map(float, score)],
        "left": [*map(str, left)],
    }


def sketch() -> Sketch:
    rows = draw(5000, 0)
    score = np.array(rows["score"])
    batch = Batch(
        features=pl.DataFrame({"age": rows["age"], "plan": rows["plan"]}),
        targets=pl.DataFrame({"left": rows["left"]}),
        answers=answers_of(Task.BINARY, score, (score >= 0.5).astype(int), CLASSES),
    )
    return sketch_of(lambda: [batch], 5000)


@dataclass(frozen=True)
class Production:
    """A clone, and what its model is asked."""

    story: Story

    @property
    def path(self) -> Path:
        return self.story.clone.path

    def log(self, number: int, rows: int = 200, *, labels: bool = True, form: str = "rows", **changes: Any) -> None:
        """Write the logs of a day."""
        made = draw(rows, number + 1, **changes)
        ids = [f"{number}-{row}" for row in range(rows)]
        lines = [{"id": ids[row], **{key: made[key][row] for key in ("age", "plan", "score")}} for row in range(rows)]
        known = [{"id": ids[row], "left": made["left"][row]} for row in range(rows)]
        self.write(number, lines if form == "rows" else [*map(as_body, lines)])
        if labels:
            self.write(number, known, "labels")

    def write(self, number: int, lines: list[Any], kind: str = "logs") -> Path:
        file = self.path / kind / f"{on(number)}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
        return file

    def watch(self, number: int, **options: Any) -> Watched:
        """What is said on the morning after a day."""
        context = RepositoryContext.of_laptop(self.path, os.environ, lambda _: None)
        now = datetime.combine(START + timedelta(days=number + 1), datetime.min.time(), UTC)
        return watch(replace(context, now=lambda: now), MonitorOptions(**{"record": True} | options))

    def health(self, number: int, **options: Any) -> Health:
        return self.watch(number, **options).models[0]

    def days(self) -> list[DayEntry]:
        found = LedgerBranch.at(Remote(url=str(self.story.origin))).read("day").entries
        return [each for each in found if isinstance(each, DayEntry)]


def on(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def as_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a server of the Open Inference Protocol logs it."""
    return {
        "request": {
            "id": row["id"],
            "inputs": [
                {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [row["age"]]},
                {"name": "plan", "shape": [1, 1], "datatype": "BYTES", "data": [row["plan"]]},
            ],
        },
        "response": {
            "outputs": [
                {"name": "score", "shape": [1, 2], "datatype": "FP32", "data": [1 - row["score"], row["score"]]}
            ]
        },
    }


def watched(folder: Path) -> Story:
    """A clone of a model that is live since two days before the first, and is watched."""
    story = empty(folder)
    story.clone.commit({"mlbot.yaml": CONFIG})
    story.clone.git("push", "--quiet", "origin", "main")
    story.tell(
        release(model="churn"),
        reference(model="churn", sketch=sketch()),
        deployment(1, "1.0.0", "production", model="churn", time="2025-12-30T12:00:00Z"),
    )
    return story
