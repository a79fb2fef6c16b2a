"""Do 90 % intervals hold the truth nine times in ten? Every catalogue metric, alone and as a paired difference.

    python -m benchmarks.coverage [--rows 500] [--draws 1000] [--bootstrapped 200] [--weighted] [--metrics f1 r2 …]

The population is a synthetic pool of 200,000 rows with two models; its own metric is the truth. The last lines repeat
accuracy with rows in groups of ten that share an effect, read row by row and by group, and the gap in recall between
two and four slices that overlap.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import CATALOGUE, Settings, Task
from mlbot.stats.estimation import GapRows, estimate, estimate_gap
from mlbot.stats.intervals import metric_interval
from mlbot.stats.metrics import EXTREMES, RESAMPLED, Weighted, statistic
from mlbot.stats.recipe import Sameness, recipe_test

Array = npt.NDArray[Any]
POOL = 200_000
GROUP = 10
FROZEN = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)  # two files, so only rows are noise


def pool(task: Task) -> tuple[Array, tuple[Array, Array]]:
    """Labels and two models' predictions; groups of ten rows in a row share a part of the error."""
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=POOL // GROUP), GROUP)
    if task is Task.REGRESSION:
        y = rng.gamma(4.0, 2.0, POOL)
        pair = (np.abs(y + shared + noise * rng.normal(size=POOL)) + 0.1 for noise in (1.0, 1.1))
        return y, (next(pair), next(pair))
    if task is Task.BINARY:
        labels = (rng.random(POOL) < 0.25).astype(np.int8)
        logits = [2.5 * labels - 2 + shared + noise * rng.normal(size=POOL) for noise in (1.0, 1.2)]
        return labels, (1 / (1 + np.exp(-logits[0])), 1 / (1 + np.exp(-logits[1])))
    classes = rng.choice(3, POOL, p=[0.5, 0.3, 0.2])
    powers = [np.exp(2 * np.eye(3)[classes] + noise * rng.normal(size=(POOL, 3))) for noise in (1.0, 1.2)]
    first, second = (power / power.sum(axis=1, keepdims=True) for power in powers)
    return classes, (first, second)


def covered(metric: str, task: Task, rows: int, draws: int, *, weighted: bool) -> tuple[float, float]:
    """The share of draws whose intervals hold the truth: of the first model, and of the difference."""
    y, pair = pool(task)
    weights = np.random.default_rng(2).gamma(2.0, 1.0, POOL) if weighted else None
    rng = np.random.default_rng(1)
    drawn = [rng.integers(0, POOL, rows) for _ in range(draws)]
    found = [_intervals(metric, task, y, pair, weights, chosen) for chosen in drawn]
    truth = [pool_value(metric, task, y, p, weights) for p in pair]
    sought = np.array([truth[0], CATALOGUE[metric].direction.worse * (truth[0] - truth[1])])
    bounds = np.array(found)
    single, paired = ((bounds[:, :, 0] <= sought) & (sought <= bounds[:, :, 1])).mean(axis=0)
    return float(single), float(paired)


def _intervals(
    metric: str, task: Task, y: Array, pair: tuple[Array, Array], weights: Array | None, chosen: Array
) -> list[tuple[float, float]]:
    counted = None if weights is None else weights[chosen]
    found = estimate(metric, task, y[chosen], [p[chosen] for p in pair], weights=counted)
    alone = metric_interval(metric, found)
    test = recipe_test(found, 1, sign=CATALOGUE[metric].direction.worse, margin=0.0, same=FROZEN)
    return [(alone.low, alone.high), (test.low, test.high)]


def pool_value(metric: str, task: Task, y: Array, prediction: Array, weights: Array | None = None) -> float:
    """The pool's metric, without a bootstrap of the pool."""
    made = statistic(metric, task, Settings(), y, prediction, None)
    return made.value() if weights is None else Weighted(of=made, weights=weights).value()


def gap(slices: int, rows: int, draws: int) -> float:
    """Coverage of the interval of the gap in recall between slices that overlap, one of which is worse."""
    y, (p, _) = pool(Task.BINARY)
    rng = np.random.default_rng(3)
    masks = [rng.random(POOL) < 0.5 for _ in range(slices)]
    p = np.where(masks[0], 0.9 * p, p)
    recalls = [((p > 0.5) & (y == 1) & mask).sum() / ((y == 1) & mask).sum() for mask in masks]
    truth, held = max(recalls) - min(recalls), 0
    for _ in range(draws):
        chosen = rng.integers(0, POOL, rows)
        part = {str(at): mask[chosen] for at, mask in enumerate(masks)}
        found = estimate_gap("recall", Task.BINARY, GapRows(y=y[chosen], predictions=[p[chosen]], slices=part))
        interval = metric_interval("recall", found)
        held += interval.low <= truth <= interval.high
    return held / draws


def grouped(rows: int, draws: int) -> Iterator[tuple[str, float]]:
    """Coverage of accuracy's interval when whole groups are drawn."""
    y, (p, _) = pool(Task.BINARY)
    truth = float(((p > 0.5) == y).mean())
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for _ in range(draws):
        first = rng.integers(0, POOL // GROUP, rows // GROUP) * GROUP
        chosen = (first[:, None] + np.arange(GROUP)).ravel()
        codes = np.repeat(np.arange(first.size), GROUP)
        for i, groups in enumerate((None, codes)):
            found = estimate("accuracy", Task.BINARY, y[chosen], [p[chosen]], groups=groups)
            interval = metric_interval("accuracy", found)
            hits[i] += interval.low <= truth <= interval.high
    yield from zip(("accuracy, groups ignored", "accuracy, by group"), (hits / draws).tolist(), strict=True)


def main() -> None:
    """Print the share of intervals that hold the truth, in percent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--bootstrapped", type=int, default=200, help="draws for what needs a bootstrap each time")
    parser.add_argument("--weighted", action="store_true", help="rows with weights of a gamma distribution")
    parser.add_argument(
        "--metrics", nargs="+", choices=CATALOGUE, default=[name for name in CATALOGUE if name not in EXTREMES]
    )
    options = parser.parse_args()
    print(f"{options.rows} rows, 90 % intervals\n\n| metric | task | one model | difference |\n|---|---|---|---|")
    for metric, task in [(name, task) for name in options.metrics for task in sorted(CATALOGUE[name].tasks)]:
        draws = options.bootstrapped if metric in RESAMPLED else options.draws
        single, paired = covered(metric, task, options.rows, draws, weighted=options.weighted)
        print(f"| {metric} | {task} | {100 * single:.1f} | {100 * paired:.1f} |", flush=True)
    for name, share in grouped(options.rows, options.bootstrapped):
        print(f"| {name} | binary | {100 * share:.1f} | |")
    for slices in (2, 4):
        share = gap(slices, options.rows, options.bootstrapped)
        print(f"| gap in recall, {slices} slices | binary | {100 * share:.1f} | |")


if __name__ == "__main__":
    main()
