"""How much is lost by many small losses, with an anchor and without, on really retrained models?

    python -m benchmarks.creep [--data FOLDER] [--cache FOLDER] [--chains 100] [--rows 2000]
    python docs/statistics_table.py

A chain is twenty pull requests on one holdout. Each has three freshly drawn models of a pool, and what was merged last
is its baseline. It is merged unless its own gate fails, or the anchor's: `mlbot.stats.recipe` compares it with the
models of both, and `mlbot.stats.anchor` says what comes of the anchor. A margin is a number of standard deviations of
the drop between two equal recipes of three seeds, that answer other rows anew where the chain's do.

Each pull request truly loses a margin, half of one, or nothing. *Constant*: the loss is taken off the models' values,
so that rows have no part in it. *Moved*: models give more and more of the rows another row's answer, so what the
holdout shows of it depends on the rows. *Other rows*: each gives as many of the rows another row's answer as those
before it, and others, so it loses nothing.
"""

import argparse
import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import pools, seed_pools
from benchmarks.authors import write
from benchmarks.pools import CACHE, cache_key

import numpy as np  # isort: skip
import numpy.typing as npt

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.anchor import Anchored, anchored
from mlbot.stats.estimation import estimate
from mlbot.stats.recipe import RecipeTest, recipe_test
from mlbot.stats.types import Estimate

Array = npt.NDArray[Any]
Draw = np.random.Generator

POOLS = (("adult", "hgb", 40), ("adult", "rf", 24), ("adult", "mlp", 20), ("noisy labels", "hgb", 40))
"""Data, learner and how many models; those of Adult are also those of `benchmarks.flips`."""
METRICS = ("accuracy", "log_loss")
SEEDS, REQUESTS, TRIAL = 3, 20, 80
MARGINS = (2.0, 3.0)
OF_OTHER_ROWS = (1.0, 2.0, 3.0)
STEPS = (0.5, 1.0)
GAIN = 6.0
RELEASES, EACH = 5, 8
ELSEWHERE = (0.01, 0.03)  # the shares of rows that pull requests without a loss answer anew
CHUNK = 10
FORM = 1  # raise it where what is counted changes: what is cached is of another one


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool's models and one metric of them."""

    name: str
    metric: str
    y: Array
    models: Array  # (models, rows)

    @property
    def sign(self) -> int:
        """What turns a change of the metric into one for the worse."""
        return CATALOGUE[self.metric].direction.worse

    @cached_property
    def other(self) -> Array:
        """Which row's answer a row gets where it is moved."""
        return np.random.default_rng(5).permutation(self.y.size)

    @cached_property
    def cost(self) -> float:
        """What it costs to move all answers; some cost in proportion."""
        some = list(self.models[:5].astype(float))
        before, after = (self.estimate(self.y, [each[by] for each in some]) for by in (slice(None), self.other))
        return float(self.sign * (after.values - before.values).mean())

    def estimate(self, y: Array, models: list[Array]) -> Estimate:
        """The metric of some models on some rows."""
        return estimate(self.metric, Task.BINARY, y, models)

    def sd(self, rows: int, elsewhere: float = 0.0) -> float:
        """The standard deviation of the drop between two equal recipes of three seeds, over rows and models."""
        rng, drops = np.random.default_rng(3), list[float]()
        for _ in range(TRIAL):
            drawn = rng.integers(0, self.y.size, rows)
            chain = Chain(pool=self, margin=0.0, rows=drawn, rng=rng, constant=False)
            one = chain.version(0.0, elsewhere=elsewhere)
            drops.append(chain.test(chain.version(0.0, one, elsewhere=elsewhere), one).drop)
        return float(np.std(drops))


def load(data: str, learner: str, models: int, options: argparse.Namespace) -> tuple[Array, Array]:
    """Labels and models of a pool, from the cache or trained now."""
    if data == "adult":
        adult = pools.load(learner, options.data, options.cache, models, 1)
        return adult.y, adult.good
    pool = seed_pools.load(data, learner, options.cache, models)
    return pool.y, pool.good


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """Three models, what their recipe truly lost since the beginning, and the answers that it gives."""

    models: tuple[int, ...]
    lost: float
    moved: Array  # of the holdout's rows


@dataclass(kw_only=True)
class Chain:
    """One holdout and the pull requests on it."""

    pool: Pool
    margin: float
    rows: Array
    rng: Draw
    constant: bool
    found: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.y = self.pool.y[self.rows]
        self.own = self.pool.models[:, self.rows].astype(float)
        self.others = self.pool.models[:, self.pool.other[self.rows]].astype(float)
        self.place = self.rng.random(self.rows.size)
        self.every = self.pool.estimate(self.y, list(self.own)) if self.constant else None

    def version(self, lost: float, *apart: Version, elsewhere: float = 0.0) -> Version:
        """A recipe's three models, none of which others have; where nothing is lost, its answers move elsewhere."""
        taken = {model for each in apart for model in each.models}
        free = [model for model in self.rng.permutation(len(self.own)) if model not in taken]
        place = self.rng.random(self.rows.size) if elsewhere else self.place
        share = elsewhere or lost * self.margin / self.pool.cost
        return Version(models=tuple(map(int, free[:SEEDS])), lost=lost, moved=place < share)

    def test(self, ours: Version, theirs: Version) -> RecipeTest:
        """One version beside another."""
        sides = (ours, theirs)
        if self.every is None:
            found = self.pool.estimate(
                self.y, [np.where(v.moved, self.others[m], self.own[m]) for v in sides for m in v.models]
            )
        else:
            found = self._chosen(self.every, sides)
        return recipe_test(found, SEEDS, sign=self.pool.sign, margin=self.margin)

    def _chosen(self, every: Estimate, sides: tuple[Version, Version]) -> Estimate:
        models = [model for side in sides for model in side.models]
        lost = np.repeat([side.lost for side in sides], SEEDS) * self.margin * self.pool.sign
        return replace(
            every,
            values=every.values[models] + lost,
            covariance=every.covariance[np.ix_(models, models)],
            support=every.support[models],
            influence=None if every.influence is None else every.influence[models],
            reach=None if every.reach is None else every.reach[models],
        )

    def beside(self, ours: Version, theirs: Version) -> Anchored:
        """What the rule of the anchor says."""
        test = self.test(ours, theirs)
        return anchored(drop=test.drop, low=test.low, high=test.high, margin=self.margin)

    def run(self, step: float, rule: str, *, gain: float = 0.0, elsewhere: float = 0.0) -> None:
        """Pull requests that lose so many margins each; with a `gain`, from the peak that the first one makes."""
        here = anchor = self.version(0.0, elsewhere=elsewhere)
        self.found["chains"] += 1
        blocked = 0
        for request in range(REQUESTS + (gain > 0)):
            lost = here.lost - gain if gain and not request else here.lost + step
            new = self.version(lost, here, anchor, elsewhere=elsewhere)
            merged, anchor, by_anchor = self._judged(new, here, anchor, rule)
            blocked += by_anchor
            here = new if merged else here
        self.found["requests"] += REQUESTS
        self.found["blocked by the anchor"] += blocked
        self.found["chains with a block"] += blocked > 0
        self.found[f"lost {here.lost + gain:.1f}"] += 1

    def _judged(self, new: Version, here: Version, anchor: Version, rule: str) -> tuple[bool, Version, bool]:
        if self.test(new, here).low > self.margin:
            self.found["blocked by its own gate"] += 1
            return False, anchor, False
        if rule == "none":
            return True, anchor, False
        match self.beside(new, anchor):
            case Anchored.FAILS:
                return False, anchor, True
            case Anchored.MOVES_UP if rule == "anchor":
                self.found["moves up"] += 1
                self.found["moves up, no better"] += new.lost >= anchor.lost
                return True, new, False
            case _:
                return True, anchor, False

    def run_releases(self, step: float) -> None:
        """Releases that each reset the anchor, and a second one that only a better release moves."""
        here = anchor = best = self.version(0.0)
        noticed = False
        for release in range(RELEASES):
            for _ in range(EACH):
                new = self.version(here.lost + step, here, anchor, best)
                merged, anchor, _ = self._judged(new, here, anchor, "anchor")
                here = new if merged else here
                if merged and not noticed and self.beside(here, best) is Anchored.FAILS:
                    noticed = True
                    self.found[f"noticed at {here.lost - best.lost:.1f}"] += 1
                    self.found[f"noticed before release {release + 1}"] += 1
            anchor = here
            best = here if self.beside(here, best) is Anchored.MOVES_UP else best
            self.found[f"lost at release {release + 1}, thousandths"] += round(1000 * here.lost)
        self.found["chains"] += 1
        self.found["noticed"] += noticed
        self.found[f"lost {here.lost:.1f}"] += 1


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One kind of chain, of one pool and metric."""

    kind: str
    pool: str
    metric: str
    sd: float  # of how many of these a margin is
    step: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of chain."""

    name: str
    constant: bool = True  # whether losses are taken off the values
    rule: str = "anchor"
    gain: float = 0.0
    elsewhere: float = 0.0
    releases: bool = False

    def run(self, chain: Chain, step: float) -> None:
        """One chain."""
        if self.releases:
            chain.run_releases(step)
        else:
            chain.run(step, self.rule, gain=self.gain, elsewhere=self.elsewhere)


CONSTANT, BY_ROWS = Kind(name="constant"), Kind(name="moved", constant=False)
NEUTRAL = tuple(Kind(name=f"other rows, {100 * each:g} %", constant=False, elsewhere=each) for each in ELSEWHERE)
ONCE = (
    Kind(name="no anchor", rule="none"),
    Kind(name="after a gain", gain=GAIN),
    Kind(name="after a gain, anchor that stays", rule="stays", gain=GAIN),
)
OVER_RELEASES = Kind(name="releases", releases=True)


def kinds() -> Iterator[tuple[Kind, float, float]]:
    """Which kinds of chains, at a margin of how many standard deviations, with which loss a pull request."""
    for sd in MARGINS:
        yield CONSTANT, sd, 0.0
        yield from ((each, sd, step) for each in (CONSTANT, BY_ROWS) for step in STEPS)
    yield from ((each, sd, 0.0) for each in NEUTRAL for sd in OF_OTHER_ROWS)
    yield from ((OVER_RELEASES, MARGINS[0], step) for step in (0.0, *STEPS))
    yield from ((each, MARGINS[0], STEPS[-1]) for each in ONCE)


def cells(name: str, metric: str, rows: int) -> Iterator[tuple[Cell, Kind]]:
    """Of a pool."""
    for kind, sd, step in kinds():
        yield Cell(kind=kind.name, pool=name, metric=metric, sd=sd, step=step, rows=rows), kind


def count(cell: Cell, kind: Kind, pool: Pool, margin: float, chunk: int) -> Counter[str]:
    """What comes of a chunk of chains."""
    rng = np.random.default_rng([11, chunk, cell.rows])
    found: Counter[str] = Counter()
    for _ in range(CHUNK):
        drawn = rng.integers(0, pool.y.size, cell.rows)
        kind.run(Chain(pool=pool, margin=margin, rows=drawn, rng=rng, constant=kind.constant, found=found), cell.step)
    return found


def counted(pool: Pool, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The counts of all cells of a pool: cached chunks, and those that lack are simulated now."""
    sds = {share: pool.sd(options.rows, share) for share in (0.0, *ELSEWHERE)}
    for cell, kind in cells(pool.name, pool.metric, options.rows):
        total, margin = Counter[str](), cell.sd * sds[kind.elsewhere]
        for chunk in range(options.chains // CHUNK):
            key = cache_key(f"{FORM} {cell} {chunk}", Path(__file__))
            file = options.cache / f"creep-{key}.json"
            if not file.exists():
                file.write_text(json.dumps(count(cell, kind, pool, margin, chunk)))
            total.update(json.loads(file.read_text()))
        print(f"  {cell}: {lost(total)[0]:.2f} lost", file=sys.stderr, flush=True)
        yield {**cell.__dict__, "margin": margin, **total}


def lost(counts: Counter[str]) -> tuple[float, float]:
    """How many margins chains lost: on average, and what 19 in 20 stay within."""
    each = sorted((float(key.split()[1]), counts[key]) for key in counts if key.startswith("lost ") and "at" not in key)
    every = np.repeat([value for value, _ in each], [number for _, number in each])
    return (float(every.mean()), float(np.quantile(every, 0.95))) if every.size else (math.nan, math.nan)


def main() -> None:
    """Train what is not cached, simulate, and write what docs/statistics.md is written from."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.creep", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("examples/adult-income/data"), help="folder of UCI Adult")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--chains", type=int, default=100, help=f"a cell, a multiple of {CHUNK}")
    parser.add_argument("--rows", type=int, default=2_000, help="rows of the holdout")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    for (data, learner, models), metric in itertools.product(POOLS, METRICS):
        arrays = _arrays(load(data, learner, models, options))
        found += counted(Pool(name=f"{data}, {learner}", metric=metric, **arrays), options)
        write("chains", found)  # of the pools so far, for hours may pass


def _arrays(loaded: tuple[Array, Array]) -> dict[str, Array]:
    return {"y": loaded[0], "models": loaded[1]}


if __name__ == "__main__":
    main()
