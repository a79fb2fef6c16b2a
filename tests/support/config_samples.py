"""Configs with little in them, for tests that are about something else."""

from typing import Any

from mlbot.config.data import Data
from mlbot.config.gates import Slice
from mlbot.config.schema import Config, Model
from mlbot.config.train import Train
from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task

GATES = (
    Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9),
    Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005),
    Gate(metric="log_loss", bound=Bound.MAX, limit=0.35),
)


def model(name: str = "income", *, train: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Model:
    """A binary classifier trained by train.py."""
    return Model(
        name=name,
        task=Task.BINARY,
        train=Train(**{"run": "python train.py", **(train or {})}),
        data=Data(**{"train": "data/train.csv", "holdout": "data/holdout.csv", "target": "label", **(data or {})}),
        slices=(Slice(name="women", where="sex = 'F'"),),
        metrics=(CATALOGUE["roc_auc"], CATALOGUE["log_loss"]),
        gates=GATES,
    )


def config(*models: Model) -> Config:
    """A config of these models, or of the sample one."""
    return Config(models=models or (model(),))
