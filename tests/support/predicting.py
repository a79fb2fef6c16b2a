"""Predictors that are functions of these tests: no process, no jail, the same protocol."""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from mlbot.config.data import Data
from mlbot.gates.metric import Task
from mlbot.lib.record import FileDigest
from mlbot.ml.holdout import HoldoutData, open_holdout
from mlbot.ml.predictions import Answer, decode
from mlbot.ml.predictor import Artifact, Predictor, Run
from mlbot.ml.protocol import Refused, Wanted
from mlbot.ml.scoring import Scored
from mlbot.ml.worker import ScoringError
from mlbot.verdict.verdict import Problem

Function = Callable[[pl.DataFrame], pl.DataFrame | bytes]
"""What is answered to the rows of a call."""


@dataclass(kw_only=True)
class Calls:
    """Answers by a function, and keeps what it was given."""

    function: Function
    form: str = "parquet"
    tables: list[pl.DataFrame] = field(default_factory=list)

    def __call__(self, _artifact: Path, features: Path, _wanted: Wanted) -> bytes | Problem:
        csv = self.form == "csv"
        frame = pl.read_csv(features) if csv else pl.read_parquet(features)
        self.tables.append(frame)
        found = self.function(frame)
        if isinstance(found, bytes):
            return found
        stream = io.BytesIO()
        found.write_csv(stream) if csv else found.write_parquet(stream)
        return stream.getvalue()


def read_here(content: bytes, wanted: Wanted) -> Answer:
    """The reading child's work, in this process."""
    try:
        return decode(content, wanted)
    except Refused as refused:
        raise ScoringError(refused.problem) from None


def holdout_of(frame: pl.DataFrame, folder: Path, task: Task, **data: object) -> HoldoutData:
    """A holdout of these rows, whose target is `y`."""
    frame.write_parquet(folder / "holdout.parquet")
    found = open_holdout(
        folder / "holdout.parquet", Data.model_validate({"holdout": "holdout.parquet", "target": "y", **data}), task
    )
    assert isinstance(found, HoldoutData)
    return found


def ask(
    function: Function, holdout: HoldoutData, folder: Path, *, whole: bool = True, form: str = "parquet"
) -> tuple[Scored | Problem, Calls]:
    """What comes of such a predictor, and the tables that it was asked about."""
    asker = Calls(function=function, form=form)
    run = Run(
        artifact=Artifact(path=folder, of=FileDigest(digest="sha256:" + "1" * 64, size_bytes=7)),
        frame=holdout.whole(),
        holdout=holdout,
        predictor=Predictor(run="", code=folder, format="csv" if form == "csv" else "parquet"),
        asker=asker,
        read=read_here,
        folder=Path(tempfile.mkdtemp(dir=folder)),
    )
    return run.result(whole=whole), asker
