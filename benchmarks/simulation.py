"""How often does the gate's rule err? Resampled comparisons of really retrained models, judged by the real code.

    python -m benchmarks.simulation [--data FOLDER] [--cache FOLDER] [--models 60] [--comparisons 2000] [--jobs 1]

The population is the rows of UCI Adult that no model was trained on (40,842), and each recipe's truth is its mean over
all its retrained models on all of those rows. One comparison draws K candidate and K baseline models of a recipe
without overlap, draws n rows with replacement, and asks `mlbot.stats`. A true drop is made by letting the degraded
recipe's model answer on a fixed share of the rows; the share is solved for, so that the recipe's truth falls by exactly
the wanted amount and each prediction still comes from one real model.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.cells import (
    CELLS,
    DROPS,
    MARGINS,
    SIZES,
    THREE,
    Cell,
    Design,
    Tally,
    bounds,
    cell_table,
    main_table,
    outcome,
)
from benchmarks.pools import CACHE, LEARNERS, Pool, cache_key, load
from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.recipe import SeedHistory, recipe_test
from mlbot.stats.types import Estimate

Floats = npt.NDArray[np.float64]
TRIES = 6
CLOSE = 0.01
"""The true drop is right to one part in a hundred, or the best of six tries; it is printed."""
ROUNDS, TRIAL = 4, 400
PAST = 13
"""Models whose seeds make up the history: 12 degrees of freedom."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A pool, and which rows the degraded recipe answers for each true drop of one metric."""

    pool: Pool
    metric: str
    margin: float
    worse: tuple[npt.NDArray[np.bool_], ...]

    def compare(self, rng: np.random.Generator, cell: Cell, tally: Tally) -> None:
        """One draw of rows and models, judged at each true drop."""
        rows = rng.integers(0, self.pool.y.size, cell.rows)
        design = cell.design
        wanted = design.candidates + design.baselines + (PAST if design.history else 0)
        models = rng.permutation(len(self.pool.good))[:wanted]
        ours, theirs, past = np.split(models, [design.candidates, design.candidates + design.baselines])
        baseline = [self.pool.good[j][rows] for j in theirs]
        candidates = [
            [np.where(worse[rows], self.pool.bad[j][rows], self.pool.good[j][rows]) for j in ours]
            for worse in self.worse
        ]
        every = list(itertools.chain(baseline, *candidates, (self.pool.good[j][rows] for j in past)))
        found = estimate(self.metric, Task.BINARY, self.pool.y[rows], every)
        history = _history(found, len(past)) if design.history else None
        for drop in range(len(DROPS)):
            self._judge(_chosen(found, design, drop), drop, cell, tally, history)

    def _judge(self, found: Estimate, drop: int, cell: Cell, tally: Tally, history: SeedHistory | None) -> None:
        sign, candidates = CATALOGUE[self.metric].direction.worse, cell.design.candidates
        test = recipe_test(found, candidates, sign=sign, margin=cell.margin, history=history)
        tally.add(drop, test, cell.margin)
        if drop == 0:
            strict = recipe_test(found, candidates, sign=sign, margin=0.0, history=history)
            tally.at_zero[outcome(strict, 0.0)] += 1


def _chosen(found: Estimate, design: Design, drop: int) -> Estimate:
    """One comparison's models out of those that were scored on the same rows: candidates, then baselines.

    A value and a covariance depend on no other model, so this is what a separate estimate would give.
    """
    first = design.baselines + drop * design.candidates
    models = [*range(first, first + design.candidates), *range(design.baselines)]
    return replace(
        found,
        values=found.values[models],
        covariance=found.covariance[np.ix_(models, models)],
        support=found.support[models],
    )


def _history(found: Estimate, past: int) -> SeedHistory:
    return SeedHistory(variance=float(found.values[-past:].var(ddof=1)), df=past - 1)


def world(pool: Pool, metric: str, margin: float) -> World:
    """Solve for the shares of rows that make the true drops."""
    rank = np.random.default_rng(1).random(pool.y.size)
    truth, worst = (_mean(pool, metric, rank < share) for share in (0, 1))
    solved = [
        _solve(lambda share: truth - _mean(pool, metric, rank < share), times * margin, truth - worst)
        for times in DROPS
    ]
    print(f"  {metric} {truth:.4f}; true drops {', '.join(f'{drop:.5f}' for _, drop in solved)}", file=sys.stderr)
    return World(pool=pool, metric=metric, margin=margin, worse=tuple(rank < share for share, _ in solved))


def _solve(drop: Callable[[float], float], wanted: float, whole: float) -> tuple[float, float]:
    """The share of rows, and its drop, nearest to what is wanted: drops are nearly proportional to shares."""
    best, share = (0.0, 0.0), wanted / whole
    for _ in range(TRIES):
        if abs(best[1] - wanted) <= CLOSE * wanted:
            break
        reached = drop(share)
        if abs(reached - wanted) < abs(best[1] - wanted):
            best = share, reached
        share *= wanted / reached
    return best


def _mean(pool: Pool, metric: str, worse: npt.NDArray[np.bool_]) -> float:
    values = [
        estimate(metric, Task.BINARY, pool.y, [np.where(worse, bad, good)]).values[0]
        for good, bad in zip(pool.good, pool.bad, strict=True)
    ]
    return float(np.mean(values))


def simulate(learner: str, metric: str, options: argparse.Namespace) -> list[tuple[Cell, Tally]]:
    """Every cell of one learner and metric; one more at the tightest margin that the largest holdout can judge."""
    pool = load(learner, options.data, options.cache, options.models, 1)
    margin = MARGINS[metric]
    cells = [Cell(learner, metric, design, rows, margin) for design, rows in CELLS]
    tight = Cell(learner, metric, THREE, max(SIZES), _tightest(pool, metric, margin))
    return _run(pool, [*cells, tight], options)


def _tightest(pool: Pool, metric: str, margin: float) -> float:
    """The margin that is 2 sqrt(V) of a candidate three margins worse: V grows with the drop, so it is solved for."""
    for _ in range(ROUNDS):
        cell, tally = Cell("", metric, THREE, max(SIZES), margin), Tally()
        _compare(world(pool, metric, margin), cell, tally, TRIAL)
        margin = 2 * float(np.std(tally.far))
    return margin


def _compare(made: World, cell: Cell, tally: Tally, comparisons: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(comparisons):
        made.compare(rng, cell, tally)


def _run(pool: Pool, cells: Sequence[Cell], options: argparse.Namespace) -> list[tuple[Cell, Tally]]:
    """Cells of one learner and metric, from the cache or simulated now."""
    results: list[tuple[Cell, Tally]] = []
    made: World | None = None
    for cell in cells:
        file = options.cache / f"{_key(cell, options)}.json"
        if not file.exists():
            if made is None or made.margin != cell.margin:
                made = world(pool, cell.metric, cell.margin)
            tally = Tally()
            _compare(made, cell, tally, options.comparisons)
            tally.save(file)
            print(f"  {cell}: done", file=sys.stderr, flush=True)
        results.append((cell, Tally.load(file)))
    return results


def _key(cell: Cell, options: argparse.Namespace) -> str:
    """A file's name for a cell's result: it changes with the size of the run and with the code that is measured."""
    return cache_key(f"{cell} of {options.models} models, {options.comparisons} comparisons")


def main() -> None:
    """Train what is not cached, simulate, print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("examples/adult-income/data"), help="folder of UCI Adult")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder that keeps predictions and finished cells")
    parser.add_argument("--models", type=int, default=60, help="retrained models of each recipe and learner")
    parser.add_argument("--comparisons", type=int, default=2000, help="comparisons a cell")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    for learner in LEARNERS:
        load(learner, options.data, options.cache, options.models, options.jobs)
    learners, metrics = zip(*itertools.product(LEARNERS, MARGINS), strict=True)
    with ProcessPoolExecutor(options.jobs) as workers:
        parts = workers.map(simulate, learners, metrics, itertools.repeat(options))
        results = [result for part in parts for result in part]
    print(f"{options.models} models a recipe, {options.comparisons} comparisons a cell\n")
    print(bounds(results), main_table(results), cell_table(results), sep="\n\n")


if __name__ == "__main__":
    main()
