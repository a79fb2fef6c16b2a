"""Are the levels of looks at sealed rows kept? All outcomes counted, so that nothing is left to luck.

    python -m benchmarks.sealed_levels [--data FOLDER] [--cache FOLDER] [--draws 400]
    python docs/statistics_table.py

Where two models are right or wrong, a sample is how many rows only one of them has right, and how many only the other.
Both numbers are Poisson's where few rows differ. Each pair of them that is at all likely is asked of `mlbot.stats` at
the levels of all ten looks, when a margin is truly lost: what passes is wrong.

Other metrics are asked of models of Adult, rows drawn with replacement: the candidate gives some rows another row's
answer, the share of which is solved for, so that this very file loses a margin on all rows. A `min` or `max` is asked
at what the file is truly worth.
"""

import argparse
import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.authors import ACCURACY, write
from benchmarks.pools import CACHE, Pool, load

import numpy as np  # isort: skip
import numpy.typing as npt
from scipy import stats

from mlbot.gates.metric import CATALOGUE, Bound, Gate, Settings, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.metrics import DEFAULTS
from mlbot.stats.recipe import Sameness, recipe_test
from mlbot.stats.sealed import MOST_REFUSED, Question, is_shown, level_after
from mlbot.stats.types import Estimate

LIKELY = 1e-7
MOST_DIFFER = 250  # more take long, and t is right about them
CELLS = tuple(
    (rows, margin, of_differing)
    for rows, margin in ((2_000, 0.005), (2_000, 0.01), (10_000, 0.001), (10_000, 0.005))
    for of_differing in (0.9, 0.5, 0.3, 0.1)
    if rows * margin / of_differing < MOST_DIFFER
)
"""Rows, margin, and how much of the rows that differ the margin is."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two models on so many rows, where one has just lost a margin."""

    rows: int
    margin: float
    of_differing: float

    def outcomes(self) -> Iterator[tuple[int, int, float]]:
        """Rows won, rows lost, and how likely that is, where it could pass at all."""
        most = self.rows * self.margin / self.of_differing
        won, lost = (stats.poisson(most * (1 + side * self.of_differing) / 2) for side in (-1, 1))
        for w, x in itertools.product(range(int(won.isf(LIKELY)) + 1), range(int(lost.isf(LIKELY)) + 1)):
            likely = float(won.pmf(w) * lost.pmf(x))
            if likely > LIKELY and (x - w) / self.rows < self.margin:
                yield w, x, likely

    def count(self) -> dict[str, Any]:
        """How likely a pass is at each look, by what a release is asked and by t alone."""
        passes, by_t = np.zeros(MOST_REFUSED), np.zeros(MOST_REFUSED)
        for won, lost, likely in self.outcomes():
            ours, theirs = _right(self.rows, 0, lost), _right(self.rows, lost, won)
            passes[: self._looks(ours, theirs)] += likely
            by_t[: self._looks_by_t(ours, theirs)] += likely
        return {**self.__dict__, "passes": [*map(float, passes)], "by t": [*map(float, by_t)]}

    def _looks(self, *right: npt.NDArray[np.bool_]) -> int:
        gate = Gate(metric="accuracy", bound=Bound.MAX_REGRESSION, limit=self.margin)
        return looks([Question(gate=gate, metric=ACCURACY, found=_estimate(right))])

    def _looks_by_t(self, *right: npt.NDArray[np.bool_]) -> int:
        frozen = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
        test = recipe_test(_estimate(right), 1, sign=-1, margin=self.margin, family=0, same=frozen)
        away, error = self.margin - test.drop, test.variance**0.5
        p = float(stats.t.sf(away / error, test.df)) if error else 0.0
        return sum(p < (level_after(refused) or 0.0) for refused in range(MOST_REFUSED))


def _estimate(right: tuple[npt.NDArray[np.bool_], ...]) -> Any:
    return estimate("accuracy", Task.BINARY, np.ones(right[0].size, np.int8), [each.astype(float) for each in right])


def _right(rows: int, first: int, wrong: int) -> npt.NDArray[np.bool_]:
    right = np.ones(rows, np.bool_)
    right[first : first + wrong] = False
    return right


METRICS: Mapping[str, tuple[str, float, Settings]] = {
    "f1": ("f1", 0.01, DEFAULTS),
    "roc_auc": ("roc_auc", 0.005, DEFAULTS),
    "brier_score_loss": ("brier_score_loss", 0.005, DEFAULTS),
    "log_loss": ("log_loss", 0.01, DEFAULTS),
    "log_loss, clip 0.001": ("log_loss", 0.01, Settings(clip=0.001)),
}
LEARNERS = (("hgb", 40), ("rf", 24), ("mlp", 20))
"""As `benchmarks.flips` has them."""
SIZES = (500, 2_000, 10_000)
PAIRS = 8


@dataclass(frozen=True, kw_only=True)
class Real:
    """A metric of one learner's models."""

    learner: str
    name: str
    pool: Pool

    @property
    def margin(self) -> float:
        """What is truly lost."""
        return METRICS[self.name][1]

    def found(self, y: npt.NDArray[Any], *models: npt.NDArray[Any]) -> Estimate:
        """The metric of some models on some rows."""
        metric, _, settings = METRICS[self.name]
        return estimate(metric, Task.BINARY, y, [each.astype(float) for each in models], settings=settings)

    def pairs(self) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Candidates that have truly lost a margin, each with its baseline."""
        rng, models = np.random.default_rng(12), self.pool.good
        other, place = rng.permutation(self.pool.y.size), rng.random(self.pool.y.size)
        for ours, theirs in (rng.permutation(len(models))[:2] for _ in range(PAIRS)):
            low, high = 0.0, 1.0
            for _ in range(14):
                middle = (low + high) / 2
                moved = np.where(place < middle, models[ours][other], models[ours])
                low, high = (middle, high) if self._lost(moved, models[theirs]) < self.margin else (low, middle)
            yield np.where(place < high, models[ours][other], models[ours]), models[theirs]

    def _lost(self, ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
        values = self.found(self.pool.y, ours, theirs).values
        return float(CATALOGUE[METRICS[self.name][0]].direction.worse * (values[0] - values[1]))

    def count(self, draws: int) -> Iterator[dict[str, Any]]:
        """How often each of ten looks would pass, at each number of rows."""
        pairs = list(self.pairs())
        for rows in SIZES:
            rng, passes = np.random.default_rng([13, rows]), np.zeros(MOST_REFUSED, np.int_)
            for draw in range(draws):
                drawn = rng.integers(0, self.pool.y.size, rows)
                ours, theirs = pairs[draw % PAIRS]
                gate = Gate(metric=METRICS[self.name][0], bound=Bound.MAX_REGRESSION, limit=self.margin)
                found = self.found(self.pool.y[drawn], ours[drawn], theirs[drawn])
                passes[: looks([Question(gate=gate, metric=CATALOGUE[gate.metric], found=found)])] += 1
            about = {"learner": self.learner, "metric": self.name, "margin": self.margin, "rows": rows}
            yield {**about, "draws": draws, "passes": [*map(int, passes)]}


def limits(learner: str, pool: Pool, draws: int) -> Iterator[dict[str, Any]]:
    """How often each of ten looks would pass a `min` or `max` that is just what the file is truly worth."""
    for name, (metric, _, settings) in {"accuracy": ("accuracy", 0.0, DEFAULTS), **METRICS}.items():
        asked = partial(estimate, metric, Task.BINARY, settings=settings)
        bound = Bound.MIN if CATALOGUE[metric].direction.worse < 0 else Bound.MAX
        files = [each.astype(float) for each in pool.good[:PAIRS]]
        gates = [Gate(metric=metric, bound=bound, limit=float(asked(pool.y, [each]).values[0])) for each in files]
        for rows in SIZES[:2]:
            rng, passes = np.random.default_rng([14, rows]), np.zeros(MOST_REFUSED, np.int_)
            for draw in range(draws):
                drawn, which = rng.integers(0, pool.y.size, rows), draw % PAIRS
                found = asked(pool.y[drawn], [files[which][drawn]])
                passes[: looks([Question(gate=gates[which], metric=CATALOGUE[metric], found=found)])] += 1
            about = {"learner": learner, "metric": f"{name}: {bound}", "margin": 0.0, "rows": rows}
            yield {**about, "draws": draws, "passes": [*map(int, passes)]}


def looks(asked: Sequence[Question]) -> int:
    """At how many looks it would pass: levels fall, so these are the first."""
    return bisect_left(range(MOST_REFUSED), True, key=lambda refused: not is_shown(asked, refused=refused))


def main() -> None:
    """Count, and write what docs/statistics.md is written from."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealed_levels", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("examples/adult-income/data"), help="folder of UCI Adult")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--draws", type=int, default=400, help="a cell of other metrics")
    options = parser.parse_args()
    cases = (Case(rows=rows, margin=margin, of_differing=share) for rows, margin, share in CELLS)
    write("levels", [case.count() for case in cases])
    metrics = [
        cell
        for learner, models in LEARNERS
        for name in METRICS
        for cell in Real(learner=learner, name=name, pool=load(learner, options.data, options.cache, models, 1)).count(
            options.draws
        )
    ]
    for learner, models in LEARNERS:
        metrics += limits(learner, load(learner, options.data, options.cache, models, 1), options.draws)
    write("metrics", metrics)


if __name__ == "__main__":
    main()
