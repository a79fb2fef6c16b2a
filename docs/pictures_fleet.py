"""A repository with ten small models that share their features, made up so that one change reaches all of them.

The change swaps a column for one that says the same worse. Some models need it, most do not, and one has an older
holdout that lacks the new column.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

COLUMNS = ("tenure", "visits", "spend", "discount", "distance")
CHANGE = ("fleet/features.py", '"tenure"', '"tenure_days"')
"""What the pull request does: file, old text, new text."""

_TRAIN_ROWS, _HOLDOUT_ROWS = 3_000, 4_000
_ROUGHNESS = 1.5
"""Standard deviation of what tenure_days adds to tenure."""
_FEATURES = f"""COLUMNS = [{", ".join(f'"{name}"' for name in COLUMNS)}]
"""
_TRAIN = """from pathlib import Path

import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline

from fleet.features import COLUMNS

DATA = Path(__file__).parents[1] / "data"


def fit(name, trees):
    frame = pl.read_csv(DATA / name / "train.csv")
    columns = make_column_transformer(("passthrough", COLUMNS))
    trees.set_params(max_iter=40, max_features=0.6)
    return make_pipeline(columns, trees).fit(frame.drop("y"), frame["y"])
"""
_CONFIG_HEAD = "version: 1\nguard: [main]\nmodels:\n"
_CONFIG = """  {name}:
    task: {task}
    train: {{entrypoint: "fleet.{module}:train", depends: [fleet/, data/{name}/train.csv], seeds: 2, timeout: 5m}}
    data: {{train: data/{name}/train.csv, holdout: data/{name}/holdout.csv, target: y{positive}}}
    metrics: [{metrics}]
    gates: {{{gates}}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """What the models of one task have in common."""

    positive: str
    metrics: str
    gates: str
    trees: str
    classes: int


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "binary": _Kind(
            positive=', positive: "1"',
            metrics="roc_auc, log_loss, accuracy",
            gates="roc_auc: {min: 0.7, max_regression: 0.01}, log_loss: {max: 0.65}, negative_flips: {max: 0.1}",
            trees="HistGradientBoostingClassifier",
            classes=2,
        ),
        "multiclass": _Kind(
            positive="",
            metrics="accuracy, f1_macro, log_loss",
            gates="accuracy: {min: 0.5, max_regression: 0.02}",
            trees="HistGradientBoostingClassifier",
            classes=3,
        ),
        "regression": _Kind(
            positive="",
            metrics="root_mean_squared_error, mean_absolute_error, r2",
            gates="root_mean_squared_error: {max_regression: 0.02}, r2: {min: 0.3}",
            trees="HistGradientBoostingRegressor",
            classes=0,
        ),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """One model, and how much the column that goes matters to it."""

    task: str
    tenure: float
    old_holdout: bool = False


_MODELS: Mapping[str, _Model] = MappingProxyType(
    {
        "basket-size": _Model(task="regression", tenure=0.0),
        "churn": _Model(task="binary", tenure=1.1),
        "credit-risk": _Model(task="binary", tenure=0.32),
        "delivery-days": _Model(task="regression", tenure=0.0),
        "demand": _Model(task="regression", tenure=0.6),
        "fraud": _Model(task="binary", tenure=0.0),
        "loyalty": _Model(task="binary", tenure=0.7, old_holdout=True),
        "returns": _Model(task="binary", tenure=0.0),
        "segment": _Model(task="multiclass", tenure=0.0),
        "upsell": _Model(task="binary", tenure=0.03),
    }
)
_WEIGHTS = (0.9, -0.8, 0.5, -0.3)


def write(folder: Path) -> None:
    """Write every file of the repository into a new folder."""
    for name, text in _files():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _files() -> Iterator[tuple[str, str]]:
    yield "fleet/__init__.py", ""
    yield "fleet/features.py", _FEATURES
    yield "fleet/fit.py", _TRAIN
    yield "mlbot.yaml", _CONFIG_HEAD + "".join(_config(name, model) for name, model in _MODELS.items())
    for number, (name, model) in enumerate(_MODELS.items()):
        yield f"fleet/{_module(name)}.py", _script(name, model)
        yield f"data/{name}/train.csv", _rows(model, _TRAIN_ROWS, 2 * number)
        yield f"data/{name}/holdout.csv", _rows(model, _HOLDOUT_ROWS, 2 * number + 1, old=model.old_holdout)


def _module(name: str) -> str:
    return name.replace("-", "_")


def _config(name: str, model: _Model) -> str:
    kind = _KINDS[model.task]
    return _CONFIG.format(
        name=name,
        module=_module(name),
        task=model.task,
        positive=kind.positive,
        metrics=kind.metrics,
        gates=kind.gates,
    )


def _script(name: str, model: _Model) -> str:
    trees = _KINDS[model.task].trees
    return (
        f"from sklearn.ensemble import {trees}\n\nfrom fleet.fit import fit\n\n\n"
        f"def train(params, seed):\n"
        f'    return fit("{name}", {trees}(random_state=seed))\n'
    )


def _rows(model: _Model, count: int, seed: int, *, old: bool = False) -> str:
    """A table of noise in which each column matters as much as its weight says; an old one lacks the last column."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, len(COLUMNS)))
    score = values @ np.array([model.tenure, *_WEIGHTS]) + rng.logistic(scale=0.6, size=count)
    values = np.column_stack([values, values[:, 0] + rng.normal(scale=_ROUGHNESS, size=count)])
    classes = _KINDS[model.task].classes
    target = np.digitize(score, [[], [], [0.0], [-0.6, 0.6]][classes]) if classes else score.round(4)
    names = COLUMNS if old else (*COLUMNS, "tenure_days")
    lines = (f"{','.join(f'{x:.4f}' for x in row[: len(names)])},{y}" for row, y in zip(values, target, strict=True))
    return "\n".join([",".join((*names, "y")), *lines]) + "\n"
