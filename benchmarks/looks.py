"""How often does a verdict of many gates, with seeds added only while it is open, err? On pools of other data.

    python -m benchmarks.looks [--cache FOLDER] [--models 40] [--comparisons 200] [--rows 2000] [--jobs 1]

Each comparison draws up to five candidate and five baseline models of one recipe without overlap, and rows with
replacement; `mlbot.judging.run_measure` measures and `mlbot.verdict.decide` decides, as on a pull request. A margin
is a number of standard deviations of the drop between two equal recipes of three seeds. A true drop is made by letting
the candidate give some of the rows another row's answer; the share is solved for on all rows of the pool.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pools import CACHE, LEARNERS, cache_key
from benchmarks.seed_pools import DATA, SeedPool, load
from mlbot import verdict as verdicts
from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import Outcome
from mlbot.judging import run_measure
from mlbot.judging.run_measure import MetricPlan, Rows, measure
from mlbot.stats.estimation import estimate
from mlbot.stats.recipe import SeedHistory
from mlbot.stats.types import UndefinedMetricError
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.seeds import SeedDesign
from mlbot.verdict.verdict import Commits, Evaluation, ModelVerdict

Array = npt.NDArray[Any]
Subject = tuple[str, str | None]

METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("accuracy", "brier_score_loss", "log_loss", "roc_auc", "f1"),
    Task.MULTICLASS: ("accuracy", "brier_score_loss", "log_loss", "balanced_accuracy", "f1_macro"),
    Task.REGRESSION: (
        "root_mean_squared_error",
        "mean_absolute_error",
        "r2",
        "mean_squared_error",
        "explained_variance",
    ),
}
SLICES = ("third", "other third", "half")
GATES = (1, 5, 10, 20)
LOOKS = SeedDesign.between(2, 5)
HISTORY_DF = 20
WIDE, TIGHT = 4.0, 2.5
"""Margins, in standard deviations of a drop of nothing."""
TRIAL = 60


@dataclass(frozen=True, kw_only=True)
class World:
    """A pool with the number of rows that a holdout has."""

    pool: SeedPool
    rows: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its task, the first one gated first."""
        return METRICS[self.pool.task]

    @cached_property
    def subjects(self) -> list[Subject]:
        """Twenty subjects in the order in which they become gates: all metrics on all rows, then on the slices."""
        return [(metric, part) for part in (None, *SLICES) for metric in self.metrics]

    @cached_property
    def spread(self) -> dict[Subject, float]:
        """The standard deviation of the drop between two equal recipes of three seeds, over rows and models."""
        rng = np.random.default_rng(3)
        found: dict[Subject, list[float]] = {subject: [] for subject in self.subjects}
        for _ in range(TRIAL):
            rows, masks = self._rows(rng)
            models = [self.pool.good[j][rows] for j in rng.permutation(len(self.pool.good))[:6]]
            for (metric, part), values in found.items():
                keep = slice(None) if part is None else masks[part]
                values.append(self._drop(metric, self.pool.y[rows][keep], [each[keep] for each in models]))
        return {subject: float(np.nanstd(values)) for subject, values in found.items()}

    def _drop(self, metric: str, y: Array, models: Sequence[Array]) -> float:
        try:
            values = estimate(metric, self.pool.task, y, models).values
        except UndefinedMetricError:
            return float("nan")
        return float(values[:3].mean() - values[3:].mean())

    @cached_property
    def history(self) -> dict[Subject, SeedHistory]:
        """What past trainings would say of the variance between seeds, of all the pool's models on these many rows."""
        rng = np.random.default_rng(4)
        rows, masks = self._rows(rng)
        models = [each[rows] for each in self.pool.good]
        found = {}
        for metric, part in self.subjects:
            keep = slice(None) if part is None else masks[part]
            values = [self._value(metric, self.pool.y[rows][keep], each[keep]) for each in models]
            found[metric, part] = SeedHistory(variance=float(np.nanvar(values, ddof=1)), df=HISTORY_DF)
        return found

    def _value(self, metric: str, y: Array, answers: Array) -> float:
        try:
            return float(estimate(metric, self.pool.task, y, [answers]).values[0])
        except UndefinedMetricError:
            return float("nan")

    def _rows(self, rng: np.random.Generator) -> tuple[Array, dict[str, Array]]:
        rows = rng.integers(0, self.pool.y.size, self.rows)
        place = rows * 2654435761 % 2**32 / 2**32  # a row is in the same slices in every sample
        return rows, {"third": place < 1 / 3, "other third": place > 2 / 3, "half": (place > 1 / 4) & (place < 3 / 4)}

    def worse(self, share: float) -> Array:
        """The pool's models where they give a share of the rows another row's answer."""
        rng = np.random.default_rng(5)
        moved = rng.random(self.pool.y.size) < share
        other = rng.permutation(self.pool.y.size)
        return np.where(
            moved.reshape(1, -1, *(1,) * (self.pool.good.ndim - 2)), self.pool.good[:, other], self.pool.good
        )

    def share(self, wanted: float) -> float:
        """The share that costs the first metric so much, by bisection on all rows."""
        metric, low, high = self.metrics[0], 0.0, 1.0
        sign, some = CATALOGUE[metric].direction.worse, self.pool.good[:5]

        def cost(share: float) -> float:
            changed = replace(self, pool=replace(self.pool, good=some)).worse(share)
            pairs = zip(changed, some, strict=True)
            return float(
                np.mean(
                    [
                        sign * (self._value(metric, self.pool.y, a) - self._value(metric, self.pool.y, b))
                        for a, b in pairs
                    ]
                )
            )

        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if cost(middle) < wanted else (low, middle)
        return high

    def compared(
        self, rng: np.random.Generator, candidates: Array, margins: Mapping[Subject, float], *, history: bool = False
    ) -> Evidence:
        """One comparison, measured by the code that judges pull requests."""
        rows, masks = self._rows(rng)
        order, most = rng.permutation(len(candidates)), max(LOOKS.looks)
        ours, theirs = order[:most], order[most : 2 * most]
        predictions = (*(candidates[j][rows] for j in ours), *(self.pool.good[j][rows] for j in theirs))
        found = measure(
            self._plan(margins, self.history if history else {}),
            Rows(slice=None, labels=self.pool.y[rows], predictions=tuple(each.astype(float) for each in predictions)),
            {part: masks[part] for part in {part for _, part in margins if part is not None}},
        )
        gates = tuple(
            Gate(metric=metric, slice=part, bound=Bound.MAX_REGRESSION, limit=limit)
            for (metric, part), limit in margins.items()
        )
        evaluations = tuple(
            Evaluation(seed=seed, digest=f"sha256:{seed:064x}", size_bytes=1, scores=scores)
            for seed, scores in enumerate(found.scores[:most])
        )
        return Evidence(model="model", gates=gates, candidate=evaluations, comparisons=found.comparisons)

    def _plan(self, margins: Mapping[Subject, float], known: Mapping[Subject, SeedHistory]) -> MetricPlan:
        return MetricPlan(
            task=self.pool.task,
            metrics=tuple(CATALOGUE[each] for each in dict.fromkeys(metric for metric, _ in margins)),
            candidates=max(LOOKS.looks),
            margins=margins,
            custom={},
            history=lambda metric, part: known.get((metric, part)),
            design=LOOKS,
            family=len(margins),
        )


def verdict_of(evidence: Evidence, gates: int) -> ModelVerdict:
    """What comes of the first gates."""
    few = evidence.model_copy(update={"gates": evidence.gates[:gates]})
    (verdict,) = decide(_COMMITS, [few]).models
    return verdict


_COMMITS = Commits(head="a" * 40, base="b" * 40, policy="b" * 40, guarded="main")


def seeds_of(verdict: ModelVerdict) -> int:
    """How many seeds a side the verdict took: up to the look at which its last gate was decided."""
    failed = [each.seeds for each in verdict.gates if each.outcome is Outcome.FAIL and each.seeds]
    return max(failed or [each.seeds or max(LOOKS.looks) for each in verdict.gates])


def simulate(data: str, learner: str, options: argparse.Namespace) -> dict[str, Any]:
    """Every share of one pool, from the cache or simulated now."""
    asked = f"{data} {learner} {options.models} {options.comparisons} {options.rows}"
    deciding = sorted(Path(verdicts.__file__).parent.glob("*.py"))
    key = cache_key(asked, *deciding, Path(run_measure.__file__), Path(__file__))
    file = options.cache / f"looks-{key}.json"
    if not file.exists():
        pool = load(data, learner, options.cache, options.models)
        world = World(pool=pool, rows=min(options.rows, pool.y.size))
        file.write_text(json.dumps(_shares(world, options.comparisons)))
        print(f"  {pool.name}: done", file=sys.stderr, flush=True)
    return {"pool": f"{data}, {learner}", **json.loads(file.read_text())}


def _shares(world: World, comparisons: int) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": world.rows}
    good = world.pool.good
    tight = {subject: TIGHT * world.spread[subject] for subject in world.subjects}
    wide = {subject: WIDE * world.spread[subject] for subject in world.subjects}
    zero = dict.fromkeys(world.subjects, 0.0)
    first = world.subjects[0]
    ten = {subject: tight[subject] for subject in world.subjects[:10]}
    dropped = world.worse(world.share(3 * tight[first]))
    for history in (False, True):
        more = ", history" if history else ""
        found |= _tally(world, (good, zero), f"no change, margin 0{more}", GATES, comparisons, history=history)
        found |= _tally(world, (good, wide), f"no change, 4 sd{more}", GATES, comparisons, history=history)
        found |= _tally(world, (dropped, ten), f"three margins of 2.5 sd{more}", (1, 10), comparisons, history=history)
    one = {first: tight[first]}
    found |= _tally(world, (world.worse(world.share(tight[first])), one), "one margin of 2.5 sd", (1,), comparisons)
    return found | _weak(world, comparisons)


def _weak(world: World, comparisons: int) -> dict[str, Any]:
    """The weak recipe beside the whole one, at a margin that is just what it costs."""
    found: dict[str, Any] = {}
    for metric in world.metrics[:3]:
        sign, pool = CATALOGUE[metric].direction.worse, world.pool
        cost = sign * (_truth(pool.y, pool.weak, pool.task, metric) - _truth(pool.y, pool.good, pool.task, metric))
        if cost > 0:
            name = f"weak recipe, one margin: {metric}"
            found |= _tally(world, (pool.weak, {(metric, None): cost}), name, (1,), comparisons)
    return found


def _truth(y: Array, models: Array, task: Task, metric: str) -> float:
    return float(np.mean([estimate(metric, task, y, [each.astype(float)]).values[0] for each in models]))


def _tally(
    world: World,
    asked: tuple[Array, Mapping[Subject, float]],
    name: str,
    counts: Sequence[int],
    comparisons: int,
    *,
    history: bool = False,
) -> dict[str, dict[str, float]]:
    """The outcomes of comparisons of candidates at margins, in percent, with so many of the gates."""
    rng = np.random.default_rng(6)
    outcomes, seeds = {count: Counter[str]() for count in counts}, Counter[int]()
    for _ in range(comparisons):
        evidence = world.compared(rng, *asked, history=history)
        for count in counts:
            verdict = verdict_of(evidence, count)
            outcomes[count][verdict.outcome] += 1
            seeds[count] += seeds_of(verdict)
    return {
        f"{name}: {count} gate{'s' * (count > 1)}": {
            each.value: 100 * outcomes[count][each] / comparisons for each in Outcome
        }
        | {"seeds": seeds[count] / comparisons}
        for count in counts
    }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """For each kind of comparison the mean and the worst pool, in percent."""
    lines = ["| comparison | fail | pass | inconclusive | error | seeds a side |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(key for result in results for key in result if key not in {"pool", "rows"}):
        cells = [result[name] for result in results if name in result]
        shown = []
        for outcome in ("fail", "pass", "inconclusive", "error", "seeds"):
            values = [cell[outcome] for cell in cells]
            shown.append(f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def cells(results: Sequence[Mapping[str, Any]]) -> str:
    """Every pool: fail / pass, and seeds."""
    names = list(dict.fromkeys(key for result in results for key in result if key not in {"pool", "rows"}))
    lines = [f"| pool | rows | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for result in results:
        shown = [
            f"{result[name]['fail']:.0f} / {result[name]['pass']:.0f}, {result[name]['seeds']:.1f}"
            if name in result
            else ""
            for name in names
        ]
        lines.append(f"| {result['pool']} | {result['rows']:,} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is not cached, simulate, print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.looks", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--models", type=int, default=40, help="retrained models of each recipe and learner")
    parser.add_argument("--comparisons", type=int, default=200, help="comparisons a cell")
    parser.add_argument("--rows", type=int, default=2_000, help="rows of the holdout, at most the pool's")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--data", nargs="*", choices=DATA, default=list(DATA), help="which data")
    options = parser.parse_args()
    pairs = itertools.product(options.data, LEARNERS)
    with ProcessPoolExecutor(options.jobs) as workers:
        results = list(workers.map(simulate, *zip(*pairs, strict=True), itertools.repeat(options)))
    print(f"{options.models} models a recipe, {options.comparisons} comparisons a cell\n")
    print(table(results), cells(results), sep="\n\n")


if __name__ == "__main__":
    main()
