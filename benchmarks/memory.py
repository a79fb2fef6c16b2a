"""How much memory an estimate needs above its inputs, and how long it takes, on very many rows.

python -m benchmarks.memory [--rows 5000000] [--models 6]
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import multiprocessing
import resource
import time

import numpy as np

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.metrics import RESAMPLED


def measure(metric: str, task: Task, rows: int, models: int) -> tuple[float, float]:
    """MiB above the inputs, and seconds."""
    rng = np.random.default_rng(0)
    if task is Task.REGRESSION:
        y = rng.normal(size=rows)
        predictions = [y + rng.normal(size=rows) for _ in range(models)]
    else:
        y = (rng.random(rows) < 0.25).astype(np.int8)
        predictions = [np.clip(0.2 * y + 0.8 * rng.random(rows), 0, 1) for _ in range(models)]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    estimate(metric, task, y, predictions)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, time.perf_counter() - start


def main() -> None:
    """Measure each metric of binary and regression models in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--models", type=int, default=6)
    cheap = [name for name in CATALOGUE if name not in RESAMPLED]
    parser.add_argument(
        "--metrics", nargs="+", choices=CATALOGUE, default=cheap, help="default: all without a bootstrap"
    )
    options = parser.parse_args()
    print(
        f"{options.rows:,} rows, {options.models} models\n\n| metric | MiB above the inputs | seconds |\n|---|---|---|"
    )
    fresh = multiprocessing.get_context("spawn")
    for metric, task in [(name, t) for name, found in CATALOGUE.items() for t in found.tasks]:
        if task is Task.MULTICLASS or metric not in options.metrics:
            continue
        with fresh.Pool(1) as worker:
            grown, seconds = worker.apply(measure, (metric, task, options.rows, options.models))
        print(f"| {metric} | {grown:.0f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
