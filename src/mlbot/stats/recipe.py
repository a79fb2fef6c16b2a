"""Is a change to the recipe worse? Retrained models on both sides, with the noise of rows and of seeds.

The layout is that of reader studies (N. A. Obuchowski, H. E. Rockette, Communications in Statistics 24, 1995), with
seeds as readers: each model of both sides gives a value, S is the covariance of these values over samples of rows.

    D  = mean X_c - mean X_b                      X is signed so that bigger is worse
    R  = max(0, Cc + Cb - 2 Ccb)                  C: mean off-diagonal of S inside a side, and mean of the cross block
    V  = s_c²/Kc + s_b²/Kb + R                    s²: variance of a side's X
    df = V² / sum(part² / df_part)                F. E. Satterthwaite, Biometrics Bulletin 2, 1946
    h  = t(.95, df) sqrt(V)

The rows' own noise that is particular to one model is already in s².
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

from mlbot.stats.types import Estimate, Floats, Predictions

ALPHA = 0.05  # the error allowed on each side of the interval
FEWEST_HISTORY_DF = 8
FEWEST_BORROWED_SEEDS = 3

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
    low: float  # of the 90 % interval of the drop; above the margin means fail (5 % error)
    high: float  # of the same; below the margin means pass (5 % error)
    variance: float  # V, of the drop
    rows_variance: float  # R, the part of V that only other rows could change
    df: float  # of V
    p: float  # of a drop as large as this when the true drop is the margin; small speaks for a fail. For Holm
    mde: float  # the true drop that fails with 95 % probability
    judgeable: bool  # the margin is at least 2 sqrt(V)
    method: RecipeMethod  # which test this is


@dataclass(frozen=True, slots=True)
class _Part:
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
        candidate_seed_matters=not _all_equal(ours),
        baseline_seed_matters=not _all_equal(theirs),
    )


def _all_equal(side: Predictions) -> bool:
    return len(side) > 1 and all(np.array_equal(side[0], other) for other in side[1:])


def recipe_test(
    estimate: Estimate,
    candidates: int,
    *,
    sign: int,
    margin: float,
    history: SeedHistory | None = None,
    same: Sameness | None = None,
) -> RecipeTest:
    """Judge a change to the recipe, by the estimate of the candidate's models and then the baseline's on the same rows.

    `sign` is `Direction.worse`; `margin` the drop that is tolerated, in the metric's units; `history` is ignored below
    eight degrees of freedom. Raises `ValueError` when a side has no model, or the margin is negative or not finite.
    """
    if not 0 < candidates < estimate.values.size:
        raise ValueError(f"{candidates} candidates of {estimate.values.size} models leave a side empty")
    if not 0 <= margin < math.inf:
        raise ValueError(f"a margin is a finite number of at least 0, not {margin}")
    same = same or Sameness()
    x = sign * estimate.values
    ours, theirs = x[:candidates], x[candidates:]
    if same.identical:
        return _judge(0.0, [_Part(0.0, estimate.df)], margin, RecipeMethod.IDENTICAL)
    known = history if history is not None and history.df >= FEWEST_HISTORY_DF else None
    method, seeds = _seed_parts(ours, theirs, known, same)
    if method is RecipeMethod.SEED_VARIANCE_UNKNOWN:
        rows = _Part(_artefact_variance(estimate.covariance, candidates), estimate.df)
        return _judge(float(ours[0] - theirs[0]), [rows], margin, method)
    rows = _Part(_rows_variance(estimate.covariance, candidates), estimate.df)
    return _judge(float(ours.mean() - theirs.mean()), [rows, *seeds], margin, method)


def _seed_parts(
    ours: Floats, theirs: Floats, history: SeedHistory | None, same: Sameness
) -> tuple[RecipeMethod, list[_Part]]:
    if not (same.candidate_seed_matters and same.baseline_seed_matters):
        return _parts_without_effect(ours, theirs, same)
    if ours.size == 1:
        return _borrowed(theirs, history)
    if history is None and theirs.size == 1:
        return RecipeMethod.SEED_VARIANCE_UNKNOWN, []
    own = _own(ours)
    if history is None:
        return RecipeMethod.RECIPE, [_mean_of(own, ours.size), _mean_of(_own(theirs), theirs.size)]
    past = _Part(history.variance, history.df)
    if own.variance > past.variance * special.fdtri(own.df, past.df, SAME_VARIANCE):
        return RecipeMethod.RECIPE, [_mean_of(own, ours.size), _mean_of(_pool(past, _own(theirs)), theirs.size)]
    # One pooled variance serves both sides, so it is one part: two would count its degrees of freedom twice.
    pooled = _pool(past, own, _own(theirs))
    return RecipeMethod.RECIPE, [_Part(pooled.variance * (1 / ours.size + 1 / theirs.size), pooled.df)]


def _parts_without_effect(ours: Floats, theirs: Floats, same: Sameness) -> tuple[RecipeMethod, list[_Part]]:
    # A history of noisy seeds says nothing of a recipe whose seed does nothing, so it is left out here.
    noisy = [
        _mean_of(_own(side), side.size)
        for side, matters in ((ours, same.candidate_seed_matters), (theirs, same.baseline_seed_matters))
        if matters and side.size > 1
    ]
    return (RecipeMethod.RECIPE, noisy) if noisy else (RecipeMethod.PAIRED, [])


def _borrowed(theirs: Floats, history: SeedHistory | None) -> tuple[RecipeMethod, list[_Part]]:
    if history is None and theirs.size < FEWEST_BORROWED_SEEDS:
        return RecipeMethod.SEED_VARIANCE_UNKNOWN, []
    past = [] if history is None else [_Part(history.variance, history.df)]
    pooled = _pool(*past, _own(theirs))
    return RecipeMethod.BORROWED, [_Part(pooled.variance * (1 + 1 / theirs.size), pooled.df)]


def _own(side: Floats) -> _Part:
    """The variance between a side's seeds; nothing is known from one."""
    return _Part(float(side.var(ddof=1)), side.size - 1) if side.size > 1 else _Part(0.0, 0)


def _mean_of(seeds: _Part, count: int) -> _Part:
    return _Part(seeds.variance / count, seeds.df)


def _pool(*parts: _Part) -> _Part:
    df = sum(part.df for part in parts)
    return _Part(sum(part.variance * part.df for part in parts) / df, df)


def _artefact_variance(covariance: Floats, candidates: int) -> float:
    """The variance of the first candidate's value less the first baseline's, both models being fixed."""
    pair = covariance[np.ix_([0, candidates], [0, candidates])]
    return max(0.0, float(pair[0, 0] + pair[1, 1] - 2 * pair[0, 1]))


def _rows_variance(covariance: Floats, candidates: int) -> float:
    """R: what other rows would change in the difference of the two recipes."""
    ours, theirs = covariance[:candidates, :candidates], covariance[candidates:, candidates:]
    cross = float(covariance[:candidates, candidates:].mean())
    # One model does not tell its own rows' noise from the recipe's; the other side's share of it stands in.
    of_candidate = _shared(ours) if len(ours) > 1 else float(ours[0, 0]) - _particular(theirs)
    of_baseline = _shared(theirs) if len(theirs) > 1 else float(theirs[0, 0]) - _particular(ours)
    return max(0.0, of_candidate + of_baseline - 2 * cross)


def _shared(block: Floats) -> float:
    """Mean off-diagonal: the covariance of two models of a side."""
    k = len(block)
    return float((block.sum() - np.trace(block)) / (k * (k - 1)))


def _particular(block: Floats) -> float:
    """The rows' noise that is particular to one model of a side; zero where there is but one."""
    return float(np.trace(block)) / len(block) - _shared(block) if len(block) > 1 else 0.0


def _judge(drop: float, parts: list[_Part], margin: float, method: RecipeMethod) -> RecipeTest:
    variance = sum(part.variance for part in parts)
    df = _satterthwaite(parts)
    deviation = math.sqrt(variance)
    half = float(special.stdtrit(df, 1 - ALPHA)) * deviation
    known = method is not RecipeMethod.SEED_VARIANCE_UNKNOWN
    return RecipeTest(
        drop=drop,
        low=drop - half,
        high=drop + half,
        variance=variance,
        rows_variance=parts[0].variance,
        df=df,
        p=1.0 if method is RecipeMethod.IDENTICAL else p_worse(drop - margin, deviation, df),
        mde=margin + 2 * half,
        judgeable=known and margin >= 2 * deviation,
        method=method,
    )


def p_worse(excess: float, deviation: float, df: float) -> float:
    """P(T_df > excess / deviation): small when the drop exceeds the margin, by `excess`, by more than noise does.

    A deviation of 0 decides by the sign of `excess`.
    """
    if deviation > 0:
        return float(special.stdtr(df, -excess / deviation))
    return 0.5 if excess == 0 else float(excess < 0)


def _satterthwaite(parts: list[_Part]) -> float:
    uncertain = sum(part.variance**2 / part.df for part in parts if part.variance > 0)
    if uncertain == 0:  # no variance at all (or one whose square is too small for a float)
        return parts[0].df
    return float(sum(part.variance for part in parts) ** 2 / uncertain)
