"""Pools of retrained models on UCI Adult: the raw material of the simulation.

Every learner is trained `models` times with nothing but the seed changed, once with the whole recipe and once with a
degraded recipe (five columns taken away). What is kept is each model's P(positive) on the rows it never saw.
"""

import os

# More threads than the machine has to spare would only make them wait for each other; numpy reads this on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from mlbot import stats

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

CACHE = Path(tempfile.gettempdir()) / "mlbot-benchmarks"

LEARNERS = ("hgb", "rf", "mlp")
TRAIN_ROWS = 8_000
LEFT_OUT = ("income", "fnlwgt", "education")
"""The label, the census weight, and a column that says `education_num` in words."""
DEGRADED = (*LEFT_OUT, "capital_gain", "capital_loss", "occupation", "education_num", "age")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """One learner's retrained models on the rows none of them saw.

    Attributes:
        y: labels, int8 (rows,), 1 = earns more than 50K.
        good: P(positive) of the recipe, float32 (models, rows).
        bad: the same of the degraded recipe, float32 (models, rows).
    """

    y: npt.NDArray[np.int8]
    good: npt.NDArray[np.float32]
    bad: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    train: Floats
    train_y: npt.NDArray[np.int8]
    rest: Floats
    rest_y: npt.NDArray[np.int8]


def load(learner: str, data: Path, cache: Path, models: int, jobs: int) -> Pool:
    """A learner's pool, from the cache or trained now.

    Args:
        learner: one of `LEARNERS`.
        data: the folder with `*train.csv` and `*holdout.csv` of Adult.
        cache: the folder that keeps the predictions.
        models: how many seeds of each recipe.
        jobs: how many processes train at the same time.
    """

    def make() -> Arrays:
        good, bad = (_train(learner, data, models, jobs, cut) for cut in (LEFT_OUT, DEGRADED))
        return {"y": _rows(data, learner, LEFT_OUT).rest_y, "good": good, "bad": bad}

    return Pool(**cached(cache / f"adult-{learner}-{models}.npz", make))


def cached(file: Path, make: Callable[[], Arrays]) -> dict[str, Any]:
    """The arrays of a file; they are made where there is none, and it is written whole or not at all."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        beginning = file.with_suffix(".partial.npz")
        np.savez(beginning, allow_pickle=False, **make())
        beginning.rename(file)
    with np.load(file) as arrays:
        return dict(arrays)


def cache_key(asked: str, *sources: Path) -> str:
    """A name for a result: it changes with what is asked and with the code that is measured, mlbot.stats and more."""
    code = [*sorted(Path(stats.__file__).parent.glob("*.py")), *sources]
    return sha256(asked.encode() + b"".join(each.read_bytes() for each in code)).hexdigest()[:16]


def _train(learner: str, data: Path, models: int, jobs: int, left_out: Sequence[str]) -> npt.NDArray[np.float32]:
    rows = _rows(data, learner, left_out)
    print(f"{learner}: training {models} models without {', '.join(left_out[1:])}", file=sys.stderr)
    with ProcessPoolExecutor(jobs) as workers:
        return np.stack(list(workers.map(partial(_predictions, learner, rows), range(models), chunksize=5)))


def _predictions(learner: str, rows: _Rows, seed: int) -> npt.NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _makers()[learner](seed).fit(rows.train, rows.train_y)
    return np.asarray(model.predict_proba(rows.rest)[:, 1], np.float32)


def _makers() -> dict[str, Callable[[int], HistGradientBoostingClassifier]]:
    return {
        "hgb": lambda seed: HistGradientBoostingClassifier(
            max_iter=100, max_features=0.5, early_stopping=True, random_state=seed
        ),
        "rf": lambda seed: RandomForestClassifier(60, min_samples_leaf=5, random_state=seed),
        "mlp": lambda seed: MLPClassifier(
            (64, 32), max_iter=30, batch_size=128, learning_rate_init=0.002, random_state=seed
        ),
    }


def _rows(data: Path, learner: str, left_out: Sequence[str]) -> _Rows:
    frame = pl.concat([pl.read_csv(_only(data, "*train.csv")), pl.read_csv(_only(data, "*holdout.csv"))])
    y = (frame["income"] == ">50K").to_numpy().astype(np.int8)
    columns = [_encode(frame[name], one_hot=learner == "mlp") for name in frame.columns if name not in left_out]
    x = np.column_stack(columns)
    order = np.random.default_rng(0).permutation(y.size)
    train, rest = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    return _Rows(train=x[train], train_y=y[train], rest=x[rest], rest_y=y[rest])


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder} must hold exactly one {pattern} of UCI Adult; name the folder with --data")
    return found[0]


def _encode(column: pl.Series, *, one_hot: bool) -> Floats:
    if column.dtype != pl.String:
        values = column.to_numpy().astype(np.float64)
        return (values - values.mean()) / values.std() if one_hot else values
    filled = column.fill_null("unknown")
    if one_hot:
        return filled.to_dummies().to_numpy().astype(np.float64)
    return np.unique(filled.to_numpy().astype(str), return_inverse=True)[1].astype(np.float64)
