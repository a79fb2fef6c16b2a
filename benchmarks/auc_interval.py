"""ROC AUC with its interval on many rows: `mlbot.stats` against `scipy.stats.bootstrap` over scikit-learn.

    python -m benchmarks.auc_interval [--rows 1000000] [--resamples 10]

Both give a 90 % interval of the same number. The bootstrap is scipy's percentile method with `paired=True`; its time
grows in proportion to the resamples, so a few are timed and the time is scaled to the usual 1,000 (`--resamples 1000`
runs them all). Its default method, BCa, would need one more resample for each row.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from mlbot.gates.metric import Task
from mlbot.stats.estimation import estimate
from mlbot.stats.intervals import metric_interval
from mlbot.stats.types import Interval

USUAL = 1000


def scores(rows: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Labels and probabilities with some ties, (n,) each."""
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < 0.25).astype(np.int8)
    logits = rng.normal(size=rows) + 1.8 * y - 1.5
    return y, np.round(1 / (1 + np.exp(-logits)), 4)


def ours(y: npt.NDArray[np.int8], p: npt.NDArray[np.float64]) -> tuple[float, Interval]:
    found = estimate("roc_auc", Task.BINARY, y, [p])
    return float(found.values[0]), metric_interval("roc_auc", found)


def theirs(y: npt.NDArray[np.int8], p: npt.NDArray[np.float64], resamples: int) -> tuple[float, Interval]:
    found = bootstrap(
        (y, p),
        roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=resamples,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = Interval(low=found.confidence_interval.low, high=found.confidence_interval.high)
    return float(roc_auc_score(y, p)), interval


def timed(call: Callable[[], tuple[float, Interval]]) -> tuple[float, tuple[float, Interval]]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auc_interval", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--resamples", type=int, default=10, help="resamples that are really timed")
    options = parser.parse_args()
    y, p = scores(options.rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    own, (value, interval) = min(timed(lambda: ours(y, p)) for _ in range(3))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    measured, (reference, other) = timed(lambda: theirs(y, p, options.resamples))
    scaled = measured * USUAL / options.resamples
    print(f"{options.rows:,} rows, CPU seconds")
    print(
        f"mlbot.stats            {own:10.3f}   {value:.6f} [{interval.low:.6f}, {interval.high:.6f}]   +{grown:.0f} MiB"
    )
    print(f"scipy.stats.bootstrap  {scaled:10.1f}   {reference:.6f} [{other.low:.6f}, {other.high:.6f}]")
    print(f"  (measured {measured:.1f} s for {options.resamples} resamples, scaled to {USUAL:,})")
    print(f"ratio                  {scaled / own:10.0f}")


if __name__ == "__main__":
    main()
