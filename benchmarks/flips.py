"""How often does the gate on negative flips err? Retrained models of UCI Adult, judged by the real code.

    python -m benchmarks.flips [--data FOLDER] [--cache FOLDER] [--models 60] [--comparisons 1000] [--jobs 1] [NAME …]

Each comparison draws K models a side without overlap and n rows with replacement. `seed only`: both sides are one
recipe, so the true excess is 0. `weak`: the candidate's recipe lost five columns; its true excess is that of all its
models on all rows, and the gate is asked at that excess, where a pass and a fail should each come in 5 %, and at a
third of it.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from benchmarks.pools import CACHE, LEARNERS, load
from mlbot.stats.flips import ExcessFlips, excess_flips

Right = npt.NDArray[np.bool_]
SEEDS, SIZES = (3, 5), (500, 2_000, 10_000)
FORMER = 0.03
"""The limit on the flips of two files that the example once had."""


def main() -> int:
    """Print a table of learners, rows and seeds; 1 when seeds of trees alone fail at 0 in more than 3 %."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flips", description=__doc__)
    parser.add_argument("names", nargs="*", default=LEARNERS, metavar="NAME")
    parser.add_argument("--data", type=Path, default=Path("examples/adult-income/data"))
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--models", type=int, default=60)
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    print("learner | rows | seeds | seed only: former gate fails, fails at 0, at .005, passes at .01 | true excess |")
    print("weak: passes at it, fails at it, fails at a third of it")
    worst = 0.0
    for name in given.names:
        pool = load(name, given.data, given.cache, given.models, given.jobs)
        good, bad = ((each >= 0.5) == pool.y for each in (pool.good, pool.bad))
        for rows in SIZES:
            for seeds in SEEDS:
                alone = [_shares(each) for each in _drawn(good, good, rows, seeds, given.comparisons)]
                truth = _excess(good, bad)
                weak = list(_drawn(good, bad, rows, seeds, given.comparisons))
                cell = [*np.mean(alone, axis=0), truth, *np.mean([_at(each, truth) for _, each in weak], axis=0)]
                worst = max(worst, cell[1] if name != "mlp" else 0.0)
                print(f"{name} | {rows:,} | {seeds} | " + " ".join(f"{100 * each:.1f}" for each in cell), flush=True)
    return int(worst > 0.03)


def _drawn(good: Right, other: Right, rows: int, seeds: int, comparisons: int) -> Iterator[tuple[float, ExcessFlips]]:
    """The share of rows that the two first files flip, and the test over all seeds."""
    rng = np.random.default_rng([rows, seeds, int(good is other)])
    for _ in range(comparisons):
        models, chosen = rng.permutation(len(good))[: 2 * seeds], rng.integers(0, good.shape[1], rows)
        theirs, ours = good[np.ix_(models[:seeds], chosen)], other[np.ix_(models[seeds:], chosen)]
        found = excess_flips(ours, theirs)
        assert found is not None
        yield float((theirs[0] & ~ours[0]).mean()), found


def _shares(drawn: tuple[float, ExcessFlips]) -> tuple[bool, ...]:
    raw, found = drawn
    return raw > FORMER, found.low > 0, found.low > 0.005, found.high < 0.01


def _at(found: ExcessFlips, truth: float) -> tuple[bool, ...]:
    return found.high < truth, found.low > truth, found.low > truth / 3


def _excess(good: Right, bad: Right) -> float:
    """The true excess: of all pairs of models on all rows."""
    right, models = good.sum(axis=0, dtype=np.float64), len(good)
    both = right * (right - 1) / (models * (models - 1))
    return float((both - right / models * bad.mean(axis=0)).mean())


if __name__ == "__main__":
    raise SystemExit(main())
