"""Do 90 % intervals hold the truth nine times in ten? Every catalogue metric, alone and as a paired difference.

    python -m benchmarks.coverage [--rows 500] [--draws 1000] [--bootstrapped 200]

The population is a synthetic pool of 200,000 rows with two models; its own metric is the truth. The last lines repeat
accuracy with rows in groups of ten that share an effect: read row by row, and by group.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.intervals import metric_interval
from mlbot.stats.metrics import average_precision, median_error
from mlbot.stats.paired import paired_test

Array = npt.NDArray[Any]
POOL = 200_000
GROUP = 10
BOOTSTRAPPED = frozenset({"average_precision", "median_absolute_error"})


def pool(task: Task) -> tuple[Array, tuple[Array, Array]]:
    """Labels and two models' predictions; groups of ten rows in a row share a part of the error."""
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=POOL // GROUP), GROUP)
    if task is Task.REGRESSION:
        y = rng.gamma(4.0, 2.0, POOL)
        return y, (y + shared + rng.normal(size=POOL), y + shared + 1.1 * rng.normal(size=POOL))
    if task is Task.BINARY:
        labels = (rng.random(POOL) < 0.25).astype(np.int8)
        logits = [2.5 * labels - 2 + shared + noise * rng.normal(size=POOL) for noise in (1.0, 1.2)]
        return labels, (1 / (1 + np.exp(-logits[0])), 1 / (1 + np.exp(-logits[1])))
    classes = rng.choice(3, POOL, p=[0.5, 0.3, 0.2])
    powers = [np.exp(2 * np.eye(3)[classes] + noise * rng.normal(size=(POOL, 3))) for noise in (1.0, 1.2)]
    first, second = (power / power.sum(axis=1, keepdims=True) for power in powers)
    return classes, (first, second)


def covered(metric: str, task: Task, rows: int, draws: int) -> tuple[float, float]:
    """The share of draws whose intervals hold the truth: of the first model, and of the difference."""
    y, pair = pool(task)
    truth = [pool_value(metric, task, y, p) for p in pair]
    drop = CATALOGUE[metric].direction.worse * (truth[0] - truth[1])
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for _ in range(draws):
        chosen = rng.integers(0, POOL, rows)
        drawn = pair[0][chosen], pair[1][chosen]
        alone = metric_interval(metric, estimate(metric, task, y[chosen], drawn[:1]))
        test = paired_test(metric, task, y[chosen], drawn)
        hits += (alone.low <= truth[0] <= alone.high, test.low <= drop <= test.high)
    single, paired = hits / draws
    return float(single), float(paired)


def pool_value(metric: str, task: Task, y: Array, prediction: Array) -> float:
    """The pool's metric, without a bootstrap of the pool."""
    if metric == "average_precision":
        return average_precision(y, prediction).value()
    if metric == "median_absolute_error":
        return median_error(y, prediction).value()
    return float(estimate(metric, task, y, [prediction]).values[0])


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
    options = parser.parse_args()
    print(f"{options.rows} rows, 90 % intervals\n\n| metric | task | one model | difference |\n|---|---|---|---|")
    for metric, task in [(name, task) for name, found in CATALOGUE.items() for task in sorted(found.tasks)]:
        draws = options.bootstrapped if metric in BOOTSTRAPPED else options.draws
        single, paired = covered(metric, task, options.rows, draws)
        print(f"| {metric} | {task} | {100 * single:.1f} | {100 * paired:.1f} |", flush=True)
    for name, share in grouped(options.rows, options.bootstrapped):
        print(f"| {name} | binary | {100 * share:.1f} | |")


if __name__ == "__main__":
    main()
