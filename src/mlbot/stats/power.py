"""What margin a comparison can judge, before anything is trained: the judge's rule on verdicts that are made up.

A verdict is drawn from the normal law of `mlbot.stats.recipe`: seeds of both sides with their variance, and what rows
do to the difference of the recipes. Then it is judged as there: V with its floor and history, Satterthwaite's df, a
look at so many seeds at its own level, a `fail` at that level over the number of margins (Holm's first step), a pass
kept. The same draws serve every question, so that answers do not differ by luck.

The variance of a change at n rows is `shared + (s² of both sides) / K` with `s² = between + particular`; `shared` and
`particular` fall with 1/n. A recipe that loses `drop` does so on rows: where one moves the figure by `step`, `shared`
is at least `drop * step`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.gates.outcome import ALPHA, JUDGEABLE
from mlbot.stats.recipe import FEWEST_HISTORY_DF, is_thin, noisiest
from mlbot.stats.types import Floats

NOTICED = 0.95
"""How often a drop of three margins has to fail, for a margin to be judgeable."""
PASSING = 0.8
"""How often a change that changes nothing should pass."""
SURE = 0.9
"""How often a release that is better by three margins should pass on sealed rows."""
MOST_TIMES = 1000.0
"""Times the rows beyond which asking for more is no advice."""
MOST_SEEDS = 32
SEEDS_AS_ROWS = 10_000
"""Where nothing is known, seeds move what a model is really worth as the choice of so many rows moves its figure."""
_DRAWS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """What moves the measured change of one figure on one holdout, in the figure's units."""

    shared: float  # what other rows would do to the difference of two recipes: variance
    particular: float = 0.0  # what they would do to one model of a recipe alone: variance
    between: float = 0.0  # what another seed would do on any number of rows: variance
    df: float = 1e9  # of what rows do
    step: float = 0.0  # by how much a row that differs moves the figure
    effective_rows: float | None = None  # how many rows carry the change; None where it is unknown
    reach: float | None = None  # by how much one row can move the figure at most
    taken: float | None = None  # of flips: what the judge takes `shared` for on average, for that is not it

    @property
    def of_seed(self) -> float:
        """The variance of one model about its recipe, on these rows."""
        return self.between + self.particular

    def variance(self, seeds: int) -> float:
        """V of so many seeds a side, but for what the floors of few of them add."""
        # One file a side does not tell its own rows' noise from the recipe's.
        unknown = 2 * self.particular if seeds == 1 else 0.0
        return self.shared + unknown + 2 * self.of_seed / seeds

    def at(self, times: float) -> Self:
        """On so many times the rows."""
        return replace(
            self,
            shared=self.shared / times,
            particular=self.particular / times,
            df=self.df * times if self.taken is None else self.df,  # of flips the seeds' few decide it
            step=self.step / times,
            effective_rows=None if self.effective_rows is None else self.effective_rows * times,
            reach=None if self.reach is None else self.reach / times,
            taken=None if self.taken is None else self.taken / times,
        )

    def losing(self, drop: float) -> Self:
        """Of a change that loses so much."""
        if self.taken is not None:  # flips of a loss come to those that there are
            return replace(self, shared=self.shared + drop * self.step, taken=self.taken + drop * self.step)
        return replace(self, shared=max(self.shared, drop * self.step))

    def thin(self, margin: float) -> bool:
        """Whether too few rows carry the change for a pass."""
        return is_thin(self.effective_rows, self.reach, margin)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeding:
    """After how many seeds a side there is a look, and what is known besides."""

    looks: tuple[tuple[int, float], ...] = ((3, ALPHA),)  # seeds a side, and the error of each outcome
    family: int = 1  # how many margins Holm adjusts for
    history: int = 0  # degrees of freedom of past seeds; below eight they do not count
    matters: bool = True  # whether the seed changes the model

    @property
    def undecidable(self) -> bool:
        """Whether one seed is all there is, and nobody knows what another would give."""
        return self.matters and self.looks[-1][0] == 1 and self.history < FEWEST_HISTORY_DF


@dataclass(frozen=True, kw_only=True, slots=True)
class Chances:
    """How often a verdict on one margin comes to what."""

    passes: float
    fails: float


def chances(spread: Spread, seeding: Seeding, margin: float, drop: float = 0.0) -> Chances:
    """How often a change whose true drop is this passes, and fails, by a margin."""
    if seeding.undecidable:
        return Chances(passes=0.0, fails=0.0)
    spread = spread.losing(drop)
    undecided = np.ones(_DRAWS, dtype=bool)
    passed, failed = np.zeros(_DRAWS, dtype=bool), np.zeros(_DRAWS, dtype=bool)
    for seeds, level in seeding.looks:
        found = verdicts(spread, seeding, seeds)
        excess, deviation = found.change + (drop - margin), np.sqrt(found.variance)
        failing = undecided & (excess > _quantiles(level / seeding.family, found.df) * deviation)
        passing = undecided & (excess < -_quantiles(level, found.df) * deviation) & (not spread.thin(margin))
        passed, failed, undecided = passed | passing, failed | failing, undecided & ~(passing | failing)
    return Chances(passes=float(passed.mean()), fails=float(failed.mean()))


def _quantiles(level: float, df: Floats) -> Floats:
    """t(1 - level) at each of many degrees of freedom, of one or more: to five digits."""
    logs: Floats = np.interp(1 / df, _GRID, _quantiles_on_grid(level))
    return np.asarray(np.exp(logs))


_GRID = np.linspace(0, 1, 1001)


@cache
def _quantiles_on_grid(level: float) -> Floats:
    some = special.stdtrit(1 / _GRID[1:], 1 - level)
    return np.asarray(np.log(np.concatenate([[special.ndtri(1 - level)], some])))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What each of many verdicts finds at one look, where there is no change."""

    change: Floats
    shared: Floats  # what rows do to the difference of the recipes: variance
    ours: Floats  # the variance between the candidate's seeds
    theirs: Floats
    past: Floats  # that of the history
    variance: Floats  # V
    df: Floats  # of V


def verdicts(spread: Spread, seeding: Seeding, seeds: int) -> Verdicts:
    """The verdicts at a look at so many seeds a side."""
    luck, none = _luck(), np.zeros(_DRAWS)
    if spread.taken is not None:
        return _of_flips(spread, spread.taken, seeds)
    shared, free = spread.shared * _ordered(spread.df)[luck.rows_order], _all(spread.df)
    rows = math.sqrt(spread.shared) * luck.rows
    if not seeding.matters:
        return Verdicts(change=rows, shared=shared, ours=none, theirs=none, past=none, variance=shared, df=free)
    unit, history = _of_seeds(seeds), seeding.history
    drawn = Verdicts(
        change=rows + math.sqrt(spread.of_seed) * unit.change,
        shared=shared,
        ours=spread.of_seed * unit.ours,
        theirs=spread.of_seed * unit.theirs,
        past=spread.of_seed * _ordered(history)[luck.history_order] if history else none,
        variance=none,
        df=free,
    )
    return _judged(drawn, spread.particular, history, seeds)


def _of_flips(spread: Spread, taken: float, seeds: int) -> Verdicts:
    """Of the excess of negative flips, where both sides' seeds move it by what their models are worth."""
    luck, none = _luck(), np.zeros(_DRAWS)
    worth, free = 2 * spread.between / seeds, max(1.0, 2 * (seeds - 1.0))
    rows, own = taken * _ordered(spread.df)[luck.rows_order], worth * _ordered(free)[luck.history_order]
    variance, change = rows + own, math.sqrt(spread.shared + worth) * luck.rows
    df = variance**2 / (rows**2 / spread.df + own**2 / free)
    return Verdicts(change=change, shared=rows, ours=own, theirs=own, past=none, variance=variance, df=df)


def _judged(drawn: Verdicts, floor: float, history: int, seeds: int) -> Verdicts:
    """With V and its degrees of freedom, by Satterthwaite."""
    # One file a side does not tell its own rows' noise from the recipe's.
    rows = drawn.shared + 2 * floor if seeds == 1 else drawn.shared
    parts = [(rows, drawn.df), *_seed_parts(drawn, floor, history, seeds)]
    variance = sum((part for part, _ in parts), np.zeros(_DRAWS))
    uncertain = sum((part**2 / df for part, df in parts), np.zeros(_DRAWS))
    df = np.divide(variance**2, uncertain, out=drawn.df.copy(), where=uncertain > 0)
    return replace(drawn, variance=variance, df=df)


def _seed_parts(drawn: Verdicts, floor: float, v: int, seeds: int) -> list[tuple[Floats, Floats]]:
    """The parts of V that seeds make, with their df; as `mlbot.stats.recipe` has them."""
    free, past = seeds - 1.0, drawn.past
    own, others = (np.maximum(side, floor) for side in (drawn.ours, drawn.theirs))
    if v < FEWEST_HISTORY_DF:
        return [(own / seeds, _all(free)), (others / seeds, _all(free))]
    if seeds == 1:
        return [(2 * past, _all(v))]
    noisy = own > past * noisiest(free, v)
    both = np.maximum((past * v + (own + others) * free) / (v + 2 * free), floor)
    rest = np.maximum((past * v + others * free) / (v + free), floor)
    mine = np.where(noisy, own, 2 * both) / seeds
    return [(mine, np.where(noisy, free, v + 2 * free)), (np.where(noisy, rest / seeds, 0.0), _all(v + free))]


def _all(value: float) -> Floats:
    return np.full(_DRAWS, value, np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Luck:
    """The luck of each verdict but for its seeds."""

    rows: Floats
    rows_order: npt.NDArray[np.intp]
    history_order: npt.NDArray[np.intp]


@cache
def _luck() -> _Luck:
    rng = np.random.default_rng(_LUCK)
    orders = rng.permutation(_DRAWS), rng.permutation(_DRAWS)
    return _Luck(rows=_normal(rng.standard_normal(_DRAWS)), rows_order=orders[0], history_order=orders[1])


_MIDDLES = (np.arange(_DRAWS) + 0.5) / _DRAWS


def _normal(draws: Floats) -> Floats:
    """Draws in their order, each in the place of its rank: what is drawn is how they go together, not how they lie."""
    return np.asarray(special.ndtri(_MIDDLES)[draws.argsort().argsort()])


_LUCK = 20_261_130


@dataclass(frozen=True, kw_only=True, slots=True)
class _OfSeeds:
    """What so many seeds a side of variance 1 give each verdict; the first of more seeds are the same."""

    seeds: int
    change: Floats  # the mean of the candidate's less that of the baseline's
    ours: Floats  # the variance between the candidate's
    theirs: Floats


@cache
def _of_seeds(seeds: int) -> _OfSeeds:
    rng = np.random.default_rng(_LUCK + 1)
    drawn = rng.standard_normal((seeds, 2, _DRAWS))
    ours, theirs = drawn[:, 0], drawn[:, 1]
    variances = [_variances(side) if seeds > 1 else np.zeros(_DRAWS) for side in (ours, theirs)]
    change = math.sqrt(2 / seeds) * _normal(ours.mean(axis=0) - theirs.mean(axis=0))
    return _OfSeeds(seeds=seeds, change=change, ours=variances[0], theirs=variances[1])


def _variances(side: Floats) -> Floats:
    """The variance between seeds, in the place of its rank too."""
    return np.asarray(_ordered(len(side) - 1)[side.var(axis=0, ddof=1).argsort().argsort()])


@lru_cache(maxsize=64)
def _ordered(df: float) -> Floats:
    """Estimates of a variance of 1 with so many degrees of freedom, in order.

    Of many by E. B. Wilson and M. M. Hilferty (PNAS 17, 1931): to a thousandth from thirty on.
    """
    if df < _FEW:
        return np.asarray(special.chdtri(df, 1 - _MIDDLES) / df)
    return np.asarray((1 - 2 / (9 * df) + special.ndtri(_MIDDLES) * math.sqrt(2 / (9 * df))) ** 3)


_FEW = 30


def flip_spread(change: Floats, high: Floats, df: Floats, *, level: float, rows: int) -> tuple[Spread, float]:
    """What moves the excess of negative flips where nothing changes, and its mean, by many verdicts' intervals.

    What the judge takes its variance for is more than it is, and one verdict knows neither: with a few seeds each of
    the figures may be half or twice what it is on average.
    """
    taken = ((high - change) / special.stdtrit(df, 1 - level)) ** 2
    mean, varying = float(taken.mean()), float(taken.var(ddof=1))
    free = max(1.0, 2 * mean**2 / varying) if varying > 0 else float(df.mean())
    spread = Spread(shared=float(change.var(ddof=1)), taken=mean, df=free, step=1 / rows)
    return spread, max(0.0, float(change.mean()))


def noticed(spread: Spread, seeding: Seeding) -> float | None:
    """The smallest margin of which a true drop of three fails 19 times in 20; None where none is."""
    return _least(spread, seeding, lambda m: chances(spread, seeding, m, JUDGEABLE * m).fails >= NOTICED)


def passable(spread: Spread, seeding: Seeding, neutral: float = 0.0) -> float | None:
    """The smallest margin that a change without effect passes four times in five; None where none is.

    `neutral` is the drop of such a change: 0, but that whatever changes rows flips some.
    """
    return _least(spread, seeding, lambda m: chances(spread, seeding, m, neutral).passes >= PASSING)


def _least(spread: Spread, seeding: Seeding, holds: Callable[[float], bool]) -> float | None:
    seeds = seeding.looks[-1][0]
    scale = max(math.sqrt(spread.variance(seeds)), spread.step)
    if seeding.undecidable or not scale > 0:
        return None if seeding.undecidable else 0.0
    high = scale
    while not holds(high):
        high *= 2
        if high > _BEYOND * scale:
            return None
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


_BEYOND = 1e4
_HALVINGS = 12


def judges(spread: Spread, seeding: Seeding, margin: float, neutral: float = 0.0) -> bool:
    """Whether a margin does both: a drop of three of it fails, and no change passes, as often as it should."""
    if not margin > 0 or chances(spread, seeding, margin, neutral).passes < PASSING:
        return False
    return chances(spread, seeding, margin, JUDGEABLE * margin).fails >= NOTICED


def times_needed(spread: Spread, seeding: Seeding, margin: float, neutral: float = 0.0) -> float | None:
    """How many times the rows a margin needs to be judged both ways; None where no sensible number is enough."""
    high = 1.0
    while not judges(spread.at(high), seeding, margin, neutral):
        high *= 2
        if high > MOST_TIMES:
            return None
    low = high / 2
    for _ in range(_HALVINGS if high > 1 else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if judges(spread.at(middle), seeding, margin, neutral) else (middle, high)
    return high


def seeds_needed(spread: Spread, seeding: Seeding, margin: float, neutral: float = 0.0) -> int | None:
    """How many seeds a side, looked at once, a margin needs to be judged both ways; None where no number is enough."""
    if not seeding.matters:
        return None
    fixed = (replace(seeding, looks=((seeds, ALPHA),)) for seeds in range(2, MOST_SEEDS + 1))
    return next((each.looks[0][0] for each in fixed if judges(spread, each, margin, neutral)), None)


def sealed_rows(
    variance: float, tolerated: float, level: float, power: float = PASSING, *, margin: float = 0.0, step: float = 0.0
) -> float:
    """How many rows one file against another needs for a pass on sealed rows.

    `variance` is that of a row's difference (of accuracy the share of rows on which the two differ), `tolerated` the
    `margin` with the true gain added, `step` how far a row's difference may go (of accuracy 1). The level is asked at
    the variance that the margin would make, as in `mlbot.stats.sealed`.
    """
    at_margin = (variance + math.sqrt(variance**2 + 4 * step**2 * margin * tolerated)) / 2
    deviations = float(special.ndtri(1 - level)) * math.sqrt(at_margin)
    deviations += float(special.ndtri(power)) * math.sqrt(variance)
    return (deviations / tolerated) ** 2
