"""Is a change to the recipe worse? Retrained models on both sides, with the noise of rows and of seeds.

The layout is that of reader studies (N. A. Obuchowski, H. E. Rockette, Communications in Statistics 24, 1995), with
seeds as readers: each model of both sides gives a value, S is the covariance of these values over samples of rows.

    D   = mean X_c - mean X_b                     X is signed so that bigger is worse
    R   = max(0, Cc + Cb - 2 Ccb)                 C: mean off-diagonal of S inside a side, and mean of the cross block
    eps = mean diagonal of S - C                  a side's rows noise that is particular to one model
    V   = s_c²/Kc + s_b²/Kb + R                   s²: variance of a side's X, and never below its eps
    df  = V² / sum(part² / df_part)               F. E. Satterthwaite, Biometrics Bulletin 2, 1946
    h   = t(1 - level, df) sqrt(V)

E s² is the seeds' own variance plus eps, so what lies below eps is an accident of few seeds: without the floor a slice
where they happen to agree has V = 0, and a verdict that is certain.

The sum of skewed influences is not normal, and t believes too early in the short tail. P. Hall's transformation (JRSS B
54, 1992) takes the skewness of D out; the interval is the hull of his and of t's, so that both have to agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

from mlbot.gates.outcome import ALPHA, JUDGEABLE
from mlbot.stats.types import Estimate, Floats, Predictions

FEWEST_HISTORY_DF = 8
FEWEST_BORROWED_SEEDS = 3
FEWEST_EFFECTIVE_ROWS = 100
FEWEST_STEPS = 10
SAME_VARIANCE = 0.75  # the quantile of F beyond which a candidate's seeds are noisier than the history's


class RecipeMethod(StrEnum):
    """Which test a change was judged by."""

    RECIPE = "recipe"
    BORROWED = "borrowed"  # one candidate seed; the variance between seeds is the baseline's
    PAIRED = "paired"  # the seed has no effect: the models themselves are compared, row by row
    IDENTICAL = "identical"  # both sides give the same predictions: passes, whatever the margin
    SEED_VARIANCE_UNKNOWN = "seed_variance_unknown"
    """One seed and nothing to borrow: the interval is the artefact's, and decides nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedHistory:
    """What past retrainings of the guarded branch's recipes say of the variance between seeds."""

    variance: float  # pooled variance of the metric between seeds of one recipe, on the same holdout digest
    df: int  # its degrees of freedom: the sum over recipes of seeds less one. The baseline being judged is not in it


@dataclass(frozen=True, kw_only=True, slots=True)
class Sameness:
    """Which models are the same: see `sameness`."""

    identical: bool = False
    candidate_seed_matters: bool = True
    baseline_seed_matters: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeTest:
    """A change judged against a margin. Everything is in the metric's units, and positive means worse."""

    drop: float  # D, how much worse the candidate's mean is
    margin: float  # that it was judged against
    low: float  # of the interval of the drop; above the margin means fail, wrong with probability `level`
    high: float  # of the same; below the margin means pass, wrong with probability `level`
    level: float
    variance: float  # V, of the drop
    shared: float  # R, the part of V that only other rows could change
    particular: float  # the part that other rows or other seeds could change: each model's own rows noise
    between: float  # the part that only other seeds could change
    df: float  # of V
    skewness: float  # of the drop over samples of rows
    p: float  # of a drop as large as this when the true drop is the margin; small speaks for a fail. For Holm
    mde: float | None  # the true drop that fails with 95 % probability; None where nothing can fail
    effective_rows: float | None  # how many rows of equal weight carry the drop as unevenly; None where it is unknown
    reach: float | None  # by how much one row can change the value at most; None where there is no bound
    method: RecipeMethod  # which test this is

    @property
    def thin(self) -> bool:
        """Whether too few rows carry the drop for a pass."""
        return is_thin(self.effective_rows, self.reach, self.margin)

    @property
    def any_change(self) -> float | None:
        """The two-sided p of any change; none where nobody knows how much a seed alone would change."""
        match self.method:
            case RecipeMethod.IDENTICAL:
                return 1.0
            case RecipeMethod.SEED_VARIANCE_UNKNOWN:
                return None
            case _:
                return min(1.0, 2 * p_worse(abs(self.drop), math.sqrt(self.variance), self.df))

    @property
    def judgeable(self) -> bool:
        """Whether a true drop of three margins would fail 19 times out of 20."""
        return self.mde is not None and self.mde <= JUDGEABLE * self.margin


def is_thin(effective_rows: float | None, reach: float | None, margin: float) -> bool:
    """Whether too few rows carry a drop for a pass, because the rows that decide may not be in the sample.

    A row moves a metric of the decided label by a known step. Where ten and more of them make the margin, so many would
    show, however few differ now.
    """
    few = effective_rows is not None and effective_rows < FEWEST_EFFECTIVE_ROWS
    return few and not (reach is not None and margin >= FEWEST_STEPS * reach)


def noisiest(own_df: float, past_df: float) -> float:
    """How many times the variance of the history a candidate's seeds may have and be taken for seeds like those."""
    return float(special.fdtri(own_df, past_df, SAME_VARIANCE))


@dataclass(frozen=True, slots=True)
class VariancePart:
    """A part of a variance that is an estimate of its own."""

    variance: float
    df: float


def sameness(predictions: Predictions, candidates: int) -> Sameness:
    """Which models, the candidate's seeds and then the baseline's in the same order, predict the same on every row.

    `identical` when each candidate equals the baseline of its seed; a side's seed matters unless it has two models and
    all are equal (a hard-coded `random_state` looks like that, and so does an algorithm without one).
    """
    ours, theirs = predictions[:candidates], predictions[candidates:]
    if not (ours and theirs):
        raise ValueError(f"{candidates} candidates of {len(predictions)} models leave a side empty")
    return Sameness(
        identical=all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=False)),
        candidate_seed_matters=seed_matters(ours),
        baseline_seed_matters=seed_matters(theirs),
    )


def seed_matters(side: Predictions) -> bool:
    """Whether one side's seed may change anything: so it is of one model, and of none."""
    return len(side) < 2 or any(not np.array_equal(side[0], other) for other in side[1:])


def recipe_test(  # noqa: PLR0913  # what is judged, by which error, and what is known besides
    estimate: Estimate,
    candidates: int,
    *,
    sign: int,
    margin: float,
    level: float = ALPHA,
    family: int = 1,
    seeds: int | None = None,
    history: SeedHistory | None = None,
    same: Sameness | None = None,
) -> RecipeTest:
    """Judge a change to the recipe, by the estimate of the candidate's models and then the baseline's on the same rows.

    `sign` is `Direction.worse`; `margin` the drop that is tolerated, in the metric's units; `level` the error of each
    outcome; `family` how many margins Holm adjusts for, for the minimum detectable effect, 0 for none; `seeds` how many
    of each side are looked at, None all; `same` what is the same among these; `history` is ignored below eight degrees
    of freedom. Raises `ValueError` when a side has no model, or the margin is negative or not finite.
    """
    if not 0 < candidates < estimate.values.size:
        raise ValueError(f"{candidates} candidates of {estimate.values.size} models leave a side empty")
    if not 0 <= margin < math.inf:
        raise ValueError(f"a margin is a finite number of at least 0, not {margin}")
    same = same or Sameness()
    sides = _Sides.of(estimate, _looked_at(estimate.values.size, candidates, seeds), sign, same)
    known = history if history is not None and history.df >= FEWEST_HISTORY_DF else None
    method, of_seeds = (RecipeMethod.IDENTICAL, []) if same.identical else _seed_parts(sides, known)
    if method in {RecipeMethod.SEED_VARIANCE_UNKNOWN, RecipeMethod.IDENTICAL}:
        sides = sides.first()  # of two files, and the same where they are identical
    rows = VariancePart(0.0 if method is RecipeMethod.IDENTICAL else sides.rows_variance(), estimate.df)
    shape = _shape(estimate, sides)
    return _judge(sides, [rows, *of_seeds], method, shape, _Asked(margin, level, family))


@dataclass(frozen=True, slots=True)
class _Asked:
    margin: float
    level: float
    family: int


def _looked_at(models: int, candidates: int, seeds: int | None) -> tuple[list[int], list[int]]:
    """Which models, the candidate's and then the baseline's, the first seeds of each side are; None: all of them."""
    ours, theirs = range(candidates), range(candidates, models)
    return list(ours[:seeds]), list(theirs[:seeds])


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's models: their values, the covariance that rows give them, and whether the seed matters."""

    values: Floats
    block: Floats
    matters: bool

    @property
    def count(self) -> int:
        return self.values.size

    @property
    def particular(self) -> float:
        """The rows' noise that is particular to one model; zero where there is but one, or the seed has no effect."""
        return _particular(self.block) if self.matters else 0.0

    @property
    def own(self) -> VariancePart:
        """The variance between seeds, with its floor; nothing is known from one."""
        if self.count == 1:
            return VariancePart(0.0, 0)
        return VariancePart(max(float(self.values.var(ddof=1)), self.particular), self.count - 1)


@dataclass(frozen=True, slots=True)
class _Sides:
    ours: _Side
    theirs: _Side
    across: Floats  # the cross block of the covariance
    models: tuple[list[int], list[int]]  # which of the estimate's models these are
    sign: int

    @classmethod
    def of(cls, estimate: Estimate, models: tuple[list[int], list[int]], sign: int, same: Sameness) -> "_Sides":
        x, s, (ours, theirs) = sign * estimate.values, estimate.covariance, models
        return cls(
            ours=_Side(x[ours], s[np.ix_(ours, ours)], same.candidate_seed_matters),
            theirs=_Side(x[theirs], s[np.ix_(theirs, theirs)], same.baseline_seed_matters),
            across=s[np.ix_(ours, theirs)],
            models=models,
            sign=sign,
        )

    def first(self) -> "_Sides":
        """The first file of each side, as two frozen models."""
        ours, theirs = (_Side(side.values[:1], side.block[:1, :1], matters=False) for side in (self.ours, self.theirs))
        models = self.models[0][:1], self.models[1][:1]
        return _Sides(ours, theirs, self.across[:1, :1], models, self.sign)

    @property
    def drop(self) -> float:
        return float(self.ours.values.mean() - self.theirs.values.mean())

    def contrast(self, models: int) -> Floats:
        """What makes the drop of the values of so many models, (models,)."""
        ours, theirs = self.models
        weights = np.zeros(models)
        weights[ours], weights[theirs] = self.sign / len(ours), -self.sign / len(theirs)
        return weights

    @property
    def particular(self) -> float:
        """The part of the drop's variance that is rows noise particular to each model."""
        return self.ours.particular / self.ours.count + self.theirs.particular / self.theirs.count

    def rows_variance(self) -> float:
        """R: what other rows would change in the difference of the two recipes."""
        # One model does not tell its own rows' noise from the recipe's; the other side's share of it stands in.
        shared = (
            _shared(side.block) if side.count > 1 else float(side.block[0, 0]) - (other.particular * side.matters)
            for side, other in ((self.ours, self.theirs), (self.theirs, self.ours))
        )
        return max(0.0, sum(shared) - 2 * float(self.across.mean()))


def _seed_parts(sides: _Sides, history: SeedHistory | None) -> tuple[RecipeMethod, list[VariancePart]]:
    ours, theirs = sides.ours, sides.theirs
    if not (ours.matters and theirs.matters):
        return _parts_without_effect(sides)
    if ours.count == 1:
        return _borrowed(theirs, history)
    if history is None and theirs.count == 1:
        return RecipeMethod.SEED_VARIANCE_UNKNOWN, []
    if history is None:
        return RecipeMethod.RECIPE, [_mean_of(ours.own, ours), _mean_of(theirs.own, theirs)]
    past, own = VariancePart(history.variance, history.df), ours.own
    if own.variance > past.variance * noisiest(own.df, past.df):
        return RecipeMethod.RECIPE, [_mean_of(own, ours), _mean_of(_pool(past, theirs.own), theirs)]
    # One pooled variance serves both sides, so it is one part: two would count its degrees of freedom twice.
    pooled = _pool(past, own, theirs.own)
    both = _mean_of(pooled, ours).variance + _mean_of(pooled, theirs).variance
    return RecipeMethod.RECIPE, [VariancePart(both, pooled.df)]


def _parts_without_effect(sides: _Sides) -> tuple[RecipeMethod, list[VariancePart]]:
    """The parts where the seed of at least one side has no effect.

    What one seed of the other is like is unknown: a history of noisy seeds says nothing beside a recipe without noise.
    """
    noisy = [side for side in (sides.ours, sides.theirs) if side.matters]
    if any(side.count == 1 for side in noisy):
        return RecipeMethod.SEED_VARIANCE_UNKNOWN, []
    parts = [_mean_of(side.own, side) for side in noisy]
    return (RecipeMethod.RECIPE, parts) if parts else (RecipeMethod.PAIRED, [])


def _borrowed(theirs: _Side, history: SeedHistory | None) -> tuple[RecipeMethod, list[VariancePart]]:
    if history is None and theirs.count < FEWEST_BORROWED_SEEDS:
        return RecipeMethod.SEED_VARIANCE_UNKNOWN, []
    past = [] if history is None else [VariancePart(history.variance, history.df)]
    pooled = _pool(*past, theirs.own)
    floored = max(pooled.variance, theirs.particular)
    return RecipeMethod.BORROWED, [VariancePart(floored * (1 + 1 / theirs.count), pooled.df)]


def _mean_of(seeds: VariancePart, side: _Side) -> VariancePart:
    """The variance of a side's mean, if its seeds vary by that; what is borrowed keeps the side's floor too."""
    return VariancePart(max(seeds.variance, side.particular) / side.count, seeds.df)


def _pool(*parts: VariancePart) -> VariancePart:
    df = sum(part.df for part in parts)
    return VariancePart(sum(part.variance * part.df for part in parts) / df, df)


def _shared(block: Floats) -> float:
    """Mean off-diagonal: the covariance of two models of a side."""
    k = len(block)
    return float((block.sum() - np.trace(block)) / (k * (k - 1)))


def _particular(block: Floats) -> float:
    return max(0.0, float(np.trace(block)) / len(block) - _shared(block)) if len(block) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class _Shape:
    """How unevenly the rows carry the drop."""

    third: float  # the third cumulant of the drop over samples of rows
    effective_rows: float | None
    reach: float | None = None


_ROUNDING = 1e-12  # of the largest influence


def _shape(estimate: Estimate, sides: _Sides) -> _Shape:
    contrast = sides.contrast(estimate.values.size)
    if estimate.influence is not None:
        columns = estimate.influence
        weights = contrast @ columns
        # Of sides that agree on a row the sum is rounding, which many rows would carry evenly.
        weights[np.abs(weights) < _ROUNDING * max(float(columns.max()), -float(columns.min()))] = 0.0
        third = float((weights**3).mean()) / weights.size**2
        squares = float(weights @ weights)
        effective = float(np.abs(weights).sum()) ** 2 / squares if squares else 0.0
        return _Shape(third, effective, _reach(estimate, alike=not squares))
    if estimate.draws is not None:
        drops = estimate.draws @ contrast
        third = float(((drops - drops.mean()) ** 3).mean())
        # What replicates show of a normal sum: not less than twice the standard error of its skewness counts.
        noise = 2 * math.sqrt(6 / drops.size) * float(drops.std()) ** 3
        return _Shape(third if abs(third) > noise else 0.0, None)
    return _Shape(0.0, None)


def _reach(estimate: Estimate, *, alike: bool) -> float | None:
    """By how much a row may move the figure; where no row differs, of every metric with a range or with errors."""
    if estimate.reach is not None:
        return float(estimate.reach.max())
    influence, seen = estimate.influence, min(float(estimate.support.min()), estimate.groups or math.inf)
    if not alike or influence is None or not seen:
        return None
    # What rows do now is not all that they may do: of a model without an error no row does anything.
    largest = float(np.abs(influence).max()) / influence.shape[1]
    step = estimate.span / seen if math.isfinite(estimate.span) else 0.0
    return max(largest, step) or None


def _judge(sides: _Sides, parts: list[VariancePart], method: RecipeMethod, shape: _Shape, asked: _Asked) -> RecipeTest:
    variance = sum(part.variance for part in parts)
    df, deviation, drop = satterthwaite(parts), math.sqrt(variance), sides.drop
    skewness = shape.third / variance**1.5 if variance > 0 else 0.0
    quantile = float(special.stdtrit(df, 1 - asked.level))
    low, high = (max(quantile, _unhall(quantile, skewness)), min(-quantile, _unhall(-quantile, skewness)))
    decides = method is not RecipeMethod.SEED_VARIANCE_UNKNOWN and asked.family > 0
    particular = min(sides.particular, variance - parts[0].variance)
    return RecipeTest(
        drop=drop,
        margin=asked.margin,
        low=drop - low * deviation,
        high=drop - high * deviation,
        level=asked.level,
        variance=variance,
        shared=parts[0].variance,
        particular=particular,
        between=max(0.0, variance - parts[0].variance - particular),
        df=df,
        skewness=skewness,
        p=1.0 if method is RecipeMethod.IDENTICAL else p_worse(drop - asked.margin, deviation, df, skewness),
        mde=asked.margin + detectable(df, asked.level / asked.family) * deviation if decides else None,
        effective_rows=shape.effective_rows,
        reach=shape.reach,
        method=method,
    )


def _hall(t: float, skewness: float) -> float:
    """The t of a skewed estimate, made symmetric: P. Hall, JRSS B 54 (1992), 221-228; monotone in `t`."""
    return t + skewness * (t * t / 3 + 1 / 6) + skewness**2 * t**3 / 27


def _unhall(x: float, skewness: float) -> float:
    """The inverse of `_hall`."""
    if abs(skewness) < _SYMMETRIC:
        return x
    return 3 / skewness * (float(np.cbrt(1 + skewness * (x - skewness / 6))) - 1)


def p_worse(excess: float, deviation: float, df: float, skewness: float = 0.0) -> float:
    """P(T_df > excess / deviation): small when the drop exceeds the margin, by `excess`, by more than noise does.

    With a skewness of the estimate, the larger of this and Hall's. A deviation of 0 decides by the sign of `excess`.
    """
    if deviation > 0:
        t = excess / deviation
        return float(special.stdtr(df, -min(t, _hall(t, skewness))))
    return 0.5 if excess == 0 else float(excess < 0)


_SYMMETRIC = 1e-9
_POWER = 0.95
_QUANTILES = (np.arange(40) + 0.5) / 40


def detectable(df: float, level: float) -> float:
    """By how many sqrt(V) the true drop has to exceed the margin for a fail with 95 % probability.

    V is an estimate, once for the claim and once for the test that it speaks of, so it is P(Z + c s > t s') = .95 with
    independent s² and s'² that are chi-square over df: t(1 - level) + t(.95) alone is kept in too few cases.
    """
    quantile = float(special.stdtrit(df, 1 - level))
    if quantile > _FAR:  # there Z is nothing beside the two estimates, whose ratio is F
        return quantile * math.sqrt(float(special.fdtri(df, df, _POWER)))
    spread = np.sqrt(special.chdtri(df, 1 - _QUANTILES) / df)
    low, high = 0.0, 4 * quantile
    while _missed(high * spread, df, quantile) > 1 - _POWER:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _missed(middle * spread, df, quantile) > 1 - _POWER else (low, middle)
    return high


def _missed(effects: Floats, df: float, quantile: float) -> float:
    """How often a t is below its quantile, where its noncentrality is any of these."""
    return float(special.nctdtr(df, effects, quantile).mean())


_FAR = 15.0
_HALVINGS = 14  # to a thousandth


def satterthwaite(parts: Sequence[VariancePart]) -> float:
    """The degrees of freedom of a sum of variances."""
    uncertain = sum(part.variance**2 / part.df for part in parts if part.variance > 0)
    if uncertain == 0:  # no variance at all (or one whose square is too small for a float)
        return parts[0].df
    return float(sum(part.variance for part in parts) ** 2 / uncertain)
