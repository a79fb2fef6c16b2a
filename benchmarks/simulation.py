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
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmarks.pools import LEARNERS, Pool, load
from mlbot.core.metric import CATALOGUE, Task
from mlbot.stats import RecipeMethod, RecipeTest, SeedHistory, estimate, recipe_test

Floats = npt.NDArray[np.float64]
MARGINS: Mapping[str, float] = MappingProxyType({"roc_auc": 0.005, "accuracy": 0.01})
SIZES = (500, 2_000, 10_000)
DROPS = (0, 1, 2, 3)
STEPS = 14
"""Halvings: the share is right to one row in thirty thousand."""
PAST = 13
"""Models whose seeds make up the history: 12 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Design:
    """How many seeds each side has, and whether a history of seeds is at hand."""

    candidates: int
    baselines: int
    history: bool = False

    def __str__(self) -> str:
        return f"{self.candidates} / {self.baselines}{' + history' if self.history else ''}"


THREE, FIVE = Design(3, 3), Design(5, 5)
DESIGNS = (THREE, FIVE, Design(1, 3), Design(1, 1, history=True), Design(3, 3, history=True))


@dataclass(frozen=True, slots=True)
class Cell:
    """One learner, metric, design, holdout size and margin."""

    learner: str
    metric: str
    design: Design
    rows: int
    margin: float


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a cell's comparisons came to.

    Attributes:
        outcomes: counts by (true drop in margins, outcome).
        at_zero: counts at no drop and a margin of nothing.
        judgeable: at three margins, (comparisons that were judgeable, of them failed).
        deviations: sqrt(V) of each comparison without a drop.
        drops: D of the same.
    """

    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)
    at_zero: Counter[str] = field(default_factory=Counter)
    judgeable: Counter[bool] = field(default_factory=Counter)
    deviations: list[float] = field(default_factory=list)
    drops: list[float] = field(default_factory=list)

    def add(self, drop: int, test: RecipeTest, margin: float) -> None:
        """Count one comparison at a true drop of `drop` margins."""
        self.outcomes[drop, outcome(test, margin)] += 1
        if drop == max(DROPS) and test.judgeable:
            self.judgeable[test.low > margin] += 1
        if drop == 0:
            self.deviations.append(test.variance**0.5)
            self.drops.append(test.drop)

    def share(self, drop: int, name: str) -> float:
        """Percent of the comparisons at a true drop that had an outcome."""
        return 100 * self.outcomes[drop, name] / sum(n for (d, _), n in self.outcomes.items() if d == drop)


def outcome(test: RecipeTest, margin: float) -> str:
    """The gate's outcome, for one blocking gate."""
    if test.method is RecipeMethod.SEED_VARIANCE_UNKNOWN:
        return "inconclusive"
    if test.low > margin:
        return "fail"
    return "pass" if test.high < margin or test.method is RecipeMethod.IDENTICAL else "inconclusive"


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A pool, and which rows the degraded recipe answers for each true drop of one metric."""

    pool: Pool
    metric: str
    worse: tuple[npt.NDArray[np.bool_], ...]

    def compare(self, rng: np.random.Generator, cell: Cell, tally: Tally) -> None:
        """One draw of rows and models, judged at each true drop."""
        rows = rng.integers(0, self.pool.y.size, cell.rows)
        design = cell.design
        wanted = design.candidates + design.baselines + (PAST if design.history else 0)
        models = rng.permutation(len(self.pool.good))[:wanted]
        ours, theirs, past = np.split(models, [design.candidates, design.candidates + design.baselines])
        y, baseline = self.pool.y[rows], [self.pool.good[j][rows] for j in theirs]
        history = self._history(y, rows, past) if design.history else None
        for drop, worse in zip(DROPS, self.worse, strict=True):
            candidate = [np.where(worse[rows], self.pool.bad[j][rows], self.pool.good[j][rows]) for j in ours]
            found = estimate(self.metric, Task.BINARY, y, candidate + baseline)
            sign = CATALOGUE[self.metric].direction.worse
            test = recipe_test(found, len(ours), sign=sign, margin=cell.margin, history=history)
            tally.add(drop, test, cell.margin)
            if drop == 0:
                strict = recipe_test(found, len(ours), sign=sign, margin=0.0, history=history)
                tally.at_zero[outcome(strict, 0.0)] += 1

    def _history(
        self, y: npt.NDArray[np.int8], rows: npt.NDArray[np.int64], past: npt.NDArray[np.int64]
    ) -> SeedHistory:
        values = estimate(self.metric, Task.BINARY, y, [self.pool.good[j][rows] for j in past]).values
        return SeedHistory(variance=float(values.var(ddof=1)), df=len(past) - 1)


def world(pool: Pool, metric: str, margin: float) -> World:
    """Solve for the shares of rows that make the true drops."""
    rank = np.random.default_rng(1).random(pool.y.size)
    truth = _mean(pool, metric, np.zeros(pool.y.size, np.bool_))
    worse = [rank < _share(pool, metric, rank, truth - times * margin) for times in DROPS]
    reached_drops = [truth - _mean(pool, metric, rows) for rows in worse]
    print(f"  {metric} {truth:.4f}; true drops {', '.join(f'{d:.5f}' for d in reached_drops)}", file=sys.stderr)
    return World(pool=pool, metric=metric, worse=tuple(worse))


def _share(pool: Pool, metric: str, rank: Floats, wanted: float) -> float:
    """The share of rows that brings the recipe's truth down to what is wanted, by bisection."""
    low, high = 0.0, 0.5
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _mean(pool, metric, rank < middle) > wanted:
            low = middle
        else:
            high = middle
    return low


def _mean(pool: Pool, metric: str, worse: npt.NDArray[np.bool_]) -> float:
    values = [
        estimate(metric, Task.BINARY, pool.y, [np.where(worse, bad, good)]).values[0]
        for good, bad in zip(pool.good, pool.bad, strict=True)
    ]
    return float(np.mean(values))


def simulate(pool: Pool, learner: str, comparisons: int) -> Iterator[tuple[Cell, Tally]]:
    """Every cell of one learner; last, at the tightest margin that three seeds and the largest holdout can judge."""
    for metric, margin in MARGINS.items():
        made = world(pool, metric, margin)
        for design, rows in itertools.product(DESIGNS, SIZES):
            cell = Cell(learner, metric, design, rows, margin)
            tally = run(made, cell, comparisons)
            yield cell, tally
            if (design, rows) == (THREE, max(SIZES)):
                tight = 2 * float(np.std(tally.drops))
                cell = replace(cell, margin=tight)
                yield cell, run(world(pool, metric, tight), cell, comparisons)


def run(made: World, cell: Cell, comparisons: int) -> Tally:
    """All comparisons of a cell."""
    rng, tally = np.random.default_rng(2), Tally()
    for _ in range(comparisons):
        made.compare(rng, cell, tally)
    return tally


Results = Sequence[tuple[Cell, Tally]]


def main_table(results: Results) -> str:
    """Fail/inconclusive/pass by true drop, the mean over learners and metrics, in percent."""
    lines = [
        "| seeds (candidate / baseline) | rows | no drop | 1 margin | 2 margins | 3 margins |",
        "|---|---|---|---|---|---|",
    ]
    for design, rows in itertools.product(DESIGNS, SIZES):
        chosen = [tally for cell, tally in _usual(results) if (cell.design, cell.rows) == (design, rows)]
        shares = [_triple(chosen, drop) for drop in DROPS]
        lines.append(f"| {design} | {rows:,} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _triple(tallies: Sequence[Tally], drop: int) -> str:
    names = ("fail", "inconclusive", "pass")
    return "/".join(f"{np.mean([tally.share(drop, name) for tally in tallies]):.0f}" for name in names)


def cell_table(results: Results) -> str:
    """Each cell's error rates in percent, and the noise it was measured against."""
    heads = (
        "learner",
        "metric",
        "seeds",
        "rows",
        "margin",
        "fail, no drop, margin 0",
        "fail, no drop",
        "pass at 2 margins",
        "fail at 3 margins",
        "the same where judgeable (share judgeable)",
        "sqrt(V): mean / true",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for cell, tally in results:
        lines.append(
            f"| {cell.learner} | {cell.metric} | {cell.design} | {cell.rows:,} "
            f"| {cell.margin:.4f} | {_zero(tally):.1f} | {tally.share(0, 'fail'):.1f} | {tally.share(2, 'pass'):.1f} "
            f"| {tally.share(3, 'fail'):.1f} | {_power(tally)} "
            f"| {np.sqrt(np.mean(np.square(tally.deviations))):.4f} / {np.std(tally.drops):.4f} |"
        )
    return "\n".join(lines)


def _zero(tally: Tally) -> float:
    return 100 * tally.at_zero["fail"] / tally.at_zero.total()


def _power(tally: Tally) -> str:
    judged, of = tally.judgeable.total(), sum(n for (drop, _), n in tally.outcomes.items() if drop == max(DROPS))
    power = f"{100 * tally.judgeable[True] / judged:.1f}" if judged else "-"
    return f"{power} ({100 * judged / of:.0f})"


def bounds(results: Results) -> str:
    """The worst cell of each promise, for three or five seeds on both sides."""
    usual = [tally for cell, tally in _usual(results) if cell.design in {THREE, FIVE}]
    largest = [tally for cell, tally in results if (cell.design, cell.rows) == (THREE, max(SIZES))]
    judged = [100 * tally.judgeable[True] / tally.judgeable.total() for tally in largest if tally.judgeable]
    rows = (
        ("fail without a drop, margin 0", "at most 6 %", max(map(_zero, usual))),
        ("fail without a drop, the example's margins", "at most 1 %", max(t.share(0, "fail") for t in usual)),
        ("pass at a true drop of twice the margin", "at most 5 %", max(t.share(2, "pass") for t in usual)),
        ("fail at three times the margin (3 seeds, 10,000 rows, judgeable)", "at least 95 %", min(judged)),
    )
    lines = [f"| {promise} | {bound} | {worst:.2f} % |" for promise, bound, worst in rows]
    return "\n".join(("| promise | bound | worst cell |", "|---|---|---|", *lines))


def _usual(results: Results) -> Results:
    return [(cell, tally) for cell, tally in results if cell.margin == MARGINS[cell.metric]]


def _learner(learner: str, options: argparse.Namespace) -> list[tuple[Cell, Tally]]:
    print(f"{learner}: pool of 2 x {options.models} models", file=sys.stderr)
    pool = load(learner, options.data, options.cache, options.models, 1)
    return list(simulate(pool, learner, options.comparisons))


def main() -> None:
    """Train what is not cached, simulate, print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__.split("\n", 1)[0])
    cache = Path(tempfile.gettempdir()) / "mlbot-benchmarks"
    parser.add_argument("--data", type=Path, default=Path("examples/adult-income/data"), help="folder of UCI Adult")
    parser.add_argument("--cache", type=Path, default=cache, help="folder that keeps the pools' predictions")
    parser.add_argument("--models", type=int, default=60, help="retrained models of each recipe and learner")
    parser.add_argument("--comparisons", type=int, default=2000, help="comparisons a cell")
    parser.add_argument("--jobs", type=int, default=1, help="learners simulated at the same time")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as workers:
        parts = workers.map(_learner, LEARNERS, itertools.repeat(options))
        results = [result for part in parts for result in part]
    print(f"{options.models} models a recipe, {options.comparisons} comparisons a cell\n")
    print(bounds(results), main_table(results), cell_table(results), sep="\n\n")


if __name__ == "__main__":
    main()
