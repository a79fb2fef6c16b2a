"""Pools of retrained models on data that no threshold of the rule was chosen on.

    python -m benchmarks.seed_pools [--cache FOLDER] [--models 40] [--jobs 2]

Digits (ten classes) and wine (three, its 178 rows drawn again with noise) come with scikit-learn, Friedman's first
function is its own generator; the others are synthetic: one positive in a hundred, heavy-tailed noise (Student's t with
2.5 degrees of freedom), and labels of which a fifth is flipped. Each learner is trained with nothing but the seed
changed, on all training rows and on half of them, the weak recipe. What is kept is its answers on rows it never saw.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits, load_wine, make_classification, make_friedman1
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.pools import CACHE, LEARNERS, Arrays, cached
from mlbot.gates.metric import Task

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Rows to learn from, and those that no model sees."""

    task: Task
    x: Array
    y: Array
    train: int  # how many of the first rows are learned from


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedPool:
    """One learner's models on one set of data.

    Attributes:
        name: data and learner.
        task: what is predicted.
        y: labels, (rows,).
        good: answers of the recipe, float32 (models, rows) or (models, rows, classes).
        weak: the same of the recipe that learns from half of the rows.
    """

    name: str
    task: Task
    y: Array
    good: Array
    weak: Array


def _digits() -> Rows:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(y.size)
    return Rows(task=Task.MULTICLASS, x=x[order], y=y[order], train=600)


def _wine() -> Rows:
    """More wines like those 178: drawn again, each feature moved by noise of its own spread."""
    rng = np.random.default_rng(0)
    x, y = load_wine(return_X_y=True)
    rows = rng.integers(0, y.size, 8_000)
    return Rows(
        task=Task.MULTICLASS, x=x[rows] + rng.normal(0, 0.9, (8_000, 13)) * x.std(axis=0), y=y[rows], train=1_000
    )


def _friedman() -> Rows:
    x, y = make_friedman1(24_000, noise=1.0, random_state=0)
    return Rows(task=Task.REGRESSION, x=x, y=y, train=2_000)


def _heavy() -> Rows:
    x, y = make_friedman1(24_000, noise=0.0, random_state=1)
    return Rows(task=Task.REGRESSION, x=x, y=y + np.random.default_rng(1).standard_t(2.5, y.size), train=2_000)


def _rare() -> Rows:
    x, y = make_classification(
        60_000, 12, n_informative=6, weights=[0.993], class_sep=1.2, flip_y=0.006, random_state=2
    )
    return Rows(task=Task.BINARY, x=x, y=y, train=20_000)


def _noisy() -> Rows:
    x, y = make_classification(24_000, 15, n_informative=8, flip_y=0.4, random_state=3)
    return Rows(task=Task.BINARY, x=x, y=y, train=3_000)


DATA: dict[str, Callable[[], Rows]] = {
    "digits": _digits,
    "wine": _wine,
    "friedman": _friedman,
    "heavy tails": _heavy,
    "1 % positives": _rare,
    "noisy labels": _noisy,
}


def _learner(name: str, task: Task, seed: int) -> Any:
    numbers = task is Task.REGRESSION
    match name:
        case "hgb":
            kind: Any = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
            return kind(max_iter=40, max_features=0.5, random_state=seed)
        case "rf":
            kind = RandomForestRegressor if numbers else RandomForestClassifier
            return kind(40, min_samples_leaf=3, random_state=seed)
        case _:
            kind = MLPRegressor if numbers else MLPClassifier
            return make_pipeline(
                StandardScaler(),
                kind(hidden_layer_sizes=(32,), max_iter=25, learning_rate_init=0.005, random_state=seed),
            )


def _answers(data: str, learner: str, whole: bool, seed: int) -> Array:  # noqa: FBT001  # of a partial
    rows = DATA[data]()
    count = rows.train if whole else rows.train // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _learner(learner, rows.task, seed).fit(rows.x[:count], rows.y[:count])
    rest = rows.x[rows.train :]
    if rows.task is Task.REGRESSION:
        return np.asarray(model.predict(rest), np.float32)
    found = model.predict_proba(rest)
    return np.asarray(found[:, 1] if rows.task is Task.BINARY else found, np.float32)


def load(data: str, learner: str, cache: Path, models: int, jobs: int = 1) -> SeedPool:
    """A pool, from the cache or trained now."""
    file = cache / f"seeds-{data.replace(' ', '-').replace('%', 'pc')}-{learner}-{models}.npz"
    rows = DATA[data]()

    def make() -> Arrays:
        print(f"training {models} and {models} models: {data}, {learner}", file=sys.stderr, flush=True)
        with ProcessPoolExecutor(jobs) as workers:
            good, weak = (
                np.stack(list(workers.map(partial(_answers, data, learner, whole), range(models), chunksize=5)))
                for whole in (True, False)
            )
        return {"good": good, "weak": weak}

    return SeedPool(name=f"{data}, {learner}", task=rows.task, y=rows.y[rows.train :], **cached(file, make))


def main() -> None:
    """Train what is not cached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seed_pools", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--models", type=int, default=40, help="retrained models of each recipe and learner")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    for data in DATA:
        for learner in LEARNERS:
            pool = load(data, learner, options.cache, options.models, options.jobs)
            print(f"{pool.name}: {pool.y.size:,} rows, {pool.good.shape[0]} models")


if __name__ == "__main__":
    main()
