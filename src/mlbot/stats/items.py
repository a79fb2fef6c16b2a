"""Is an evaluator's score worse? Items that both sides were asked, each by its mean over repeats, and then in pairs.

Items are the sample, never rows: repeats of one item, and the items of one group, say much the same. One repeat of
right or wrong has the interval of A. Agresti, Y. Min, Statistics in Medicine 24 (2005) 729-740, and McNemar's mid-p (M.
W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13 (2013) 91). Everything else has the paired t;
items in groups the cluster-robust CR1 with G/(G-1) and t(G-1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from mlbot.gates.outcome import ALPHA
from mlbot.stats.intervals import share_interval
from mlbot.stats.recipe import FEWEST_EFFECTIVE_ROWS, FEWEST_STEPS, detectable
from mlbot.stats.types import Estimate, Floats, Interval, Labels, Method

FEW_GROUPS = 10
"""Below so many, t(G-1) with CR1 is rough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemTest:
    """A change of a score from one artifact to another, in the score's own units: candidate less baseline."""

    change: float
    low: float
    high: float  # what lies beyond either end is wrong with probability `level`
    level: float
    standard_error: float
    df: float | None  # None: the interval is the normal's
    p: float  # of a loss as large as this when the true one is the margin
    any_change: float  # two-sided p of any change
    effective_items: float  # how many items of equal weight would carry the change as unevenly
    thin: bool  # whether too few carry it for a pass
    mde: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a change is judged by."""

    sign: int  # `Direction.worse`
    margin: float = 0.0
    level: float = ALPHA
    family: int = 1
    span: float | None = None  # the greatest less the least value of the score, where it has bounds
    binary: bool = False  # whether each item is right or wrong, once


def item_test(candidate: Floats, baseline: Floats, asked: Asked, groups: Labels | None = None) -> ItemTest:
    """Judge the change of a score over the same items, (n,) each; `groups` are cluster codes, (n,).

    Raises `ValueError` with fewer than two items, or groups.
    """
    if candidate.shape != baseline.shape or len(candidate) < 2:
        raise ValueError(f"{candidate.shape} and {baseline.shape} items are no two or more pairs")
    difference = candidate - baseline
    if asked.binary and groups is None:
        found = _agresti_min(difference)
    else:
        variance, df = mean_variance(difference, groups)
        found = _Centre(float(difference.mean()), math.sqrt(variance), df)
    units = len(difference) if groups is None else np.unique(groups).size
    return _judged(found, difference, asked, units, binary=asked.binary and groups is None)


@dataclass(frozen=True, slots=True)
class _Centre:
    """What an interval is around: of Agresti and Min it is a little nearer to 0 than the change."""

    value: float
    deviation: float
    df: float | None


def mean_variance(values: Floats, groups: Labels | None = None) -> tuple[float, float]:
    """The variance of the mean of items, and its degrees of freedom: CR1 where they are in groups."""
    n, residuals = len(values), values - values.mean()
    if groups is None:
        return float(residuals @ residuals) / (n - 1) / n, n - 1
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=residuals)
    if sums.size < 2:
        raise ValueError("all items belong to one group")
    return float(sums @ sums) / n**2 * sums.size / (sums.size - 1), sums.size - 1


def _agresti_min(difference: Floats) -> _Centre:
    won, lost, n = int((difference > 0).sum()), int((difference < 0).sum()), len(difference)
    centre = (won - lost) / (n + 2)
    variance = (won + lost + 1 - (won - lost) ** 2 / (n + 2)) / (n + 2) ** 2
    return _Centre(centre, math.sqrt(variance), None)


def _judged(found: _Centre, difference: Floats, asked: Asked, units: int, *, binary: bool) -> ItemTest:
    """`units` are the items, or groups, that each move the mean on their own."""
    reach = _quantile(found.df, asked.level) * found.deviation
    squares, total = float(difference @ difference), float(np.abs(difference).sum())
    effective = total**2 / squares if squares else 0.0
    steps = asked.span is not None and asked.margin >= FEWEST_STEPS * asked.span / units
    df = _NORMAL_DF if found.df is None else found.df
    return ItemTest(
        change=float(difference.mean()),
        low=found.value - reach,
        high=found.value + reach,
        level=asked.level,
        standard_error=found.deviation,
        df=found.df,
        p=_tail(asked.sign * found.value - asked.margin, found.deviation, found.df),
        any_change=mcnemar_mid_p(difference) if binary else _two_sided(found),
        effective_items=effective,
        thin=effective < FEWEST_EFFECTIVE_ROWS and not steps,
        mde=asked.margin + detectable(df, asked.level / asked.family) * found.deviation if asked.family else None,
    )


_NORMAL_DF = 1e6


def _quantile(df: float | None, level: float) -> float:
    return float(special.ndtri(1 - level) if df is None else special.stdtrit(df, 1 - level))


def _tail(excess: float, deviation: float, df: float | None) -> float:
    if not deviation > 0:
        return 0.5 if excess == 0 else float(excess < 0)
    t = excess / deviation
    return float(special.ndtr(-t) if df is None else special.stdtr(df, -t))


def _two_sided(found: _Centre) -> float:
    return min(1.0, 2 * _tail(abs(found.value), found.deviation, found.df))


def mcnemar_mid_p(difference: Floats) -> float:
    """The two-sided mid-p of as many items won as lost, by the binomial of those that differ."""
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    differ, least = won + lost, min(won, lost)
    if not differ:
        return 1.0
    point = float(special.binom(differ, least)) * 0.5**differ if differ < _EXACT else _pmf(differ, least)
    if won == lost:
        return 1.0 - point
    return min(1.0, 2 * float(special.bdtr(least, differ, 0.5)) - point)


_EXACT = 1000


def _pmf(differ: int, least: int) -> float:
    ways = math.lgamma(differ + 1) - math.lgamma(least + 1) - math.lgamma(differ - least + 1)
    return math.exp(ways - differ * math.log(2))


def item_estimate(models: Sequence[Floats], groups: Labels | None = None, *, span: float | None = None) -> Estimate:
    """The mean score of K models over the same items, with the noise of those items; `span` as in `Asked`."""
    values = np.array([each.mean() for each in models])
    columns = np.stack(models) - values[:, None]
    n, ends = columns.shape[1], math.inf if span is None else span
    if groups is None:
        return Estimate(
            values=values,
            covariance=columns @ columns.T / (n - 1) / n,
            df=n - 1,
            method=Method.DELTA,
            rows=n,
            support=np.full(len(models), float(n)),
            influence=columns,
            span=ends,
        )
    codes = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(codes, weights=column) for column in columns])
    count = sums.shape[1]
    if count < 2:
        raise ValueError("all items belong to one group")
    return Estimate(
        values=values,
        covariance=sums @ sums.T / n**2 * count / (count - 1),
        df=count - 1,
        method=Method.DELTA,
        rows=n,
        support=np.full(len(models), float(n)),
        groups=count,
        influence=sums * (count / n),
        span=ends,
    )


def item_interval(values: Floats, span: tuple[float, float] | None, groups: Labels | None = None) -> Interval:
    """The two-sided 90 % interval of a mean score; of right and wrong the exact one, and none leaves its range."""
    least, most = span or (-math.inf, math.inf)
    at_an_end = span is not None and bool((values == values[0]).all()) and values[0] in span
    shares = span == (0.0, 1.0) and bool(np.isin(values, (0.0, 1.0)).all())
    if span is not None and (at_an_end or (shares and groups is None)):
        counted = len(values) if groups is None else np.unique(groups).size
        share = share_interval(float((values.mean() - least) / (most - least)), counted)
        return Interval(low=least + share.low * (most - least), high=least + share.high * (most - least))
    variance, df = mean_variance(values, groups)
    half = _quantile(df, ALPHA) * math.sqrt(variance)
    return Interval(low=max(least, float(values.mean()) - half), high=min(most, float(values.mean()) + half))


def worse_better_equal(candidate: Floats, baseline: Floats, sign: int) -> tuple[int, int, int]:
    """On how many items a score became worse, became better, and stayed."""
    drop = sign * (candidate - baseline)
    moved = ~np.isclose(candidate, baseline, rtol=0, atol=_EQUAL)
    worse, better = int((moved & (drop > 0)).sum()), int((moved & (drop < 0)).sum())
    return worse, better, len(drop) - worse - better


_EQUAL = 1e-12
