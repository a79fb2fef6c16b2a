"""Negative flips beyond those that a seed makes: rows that the baseline gets right and the candidate wrong.

Two seeds of one recipe disagree on rows too. So what is judged is the excess: with b, b' two seeds of the baseline and
c one of the candidate (1 where a row is right), the mean over rows of E[b(1-c)] - E[b(1-b')] = E[bb'] - E[bc], in which
every pair of different seeds counts once. Its variance is the jackknife's over the seeds of each side and that of the
rows' own excesses, to which two rows are added, one of either sign, as A. Agresti and Y. Min do (Statistics in Medicine
24, 2005): a few flips, or none, are not certain.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.gates.outcome import ALPHA
from mlbot.stats.intervals import clopper_pearson
from mlbot.stats.recipe import VariancePart, p_worse, satterthwaite
from mlbot.stats.types import Floats, Labels

FEWEST_BASELINE_SEEDS = 3  # the jackknife leaves out one, and a pair has to remain
FEWEST_CANDIDATE_SEEDS = 2

Right = npt.NDArray[np.bool_]
"""Whether each seed's model is right on each row, (K, n)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcessFlips:
    """The excess with its interval, as shares of the rows: positive for more flips than a seed makes."""

    rate: float  # rows that a seed of the baseline gets right and one of the candidate wrong
    own: float  # rows that a seed of the baseline gets right and another one wrong
    low: float  # of the interval of `rate - own`
    high: float  # of the same
    variance: float
    df: float  # of `variance`
    p: float  # of an excess as large as this when the true one is the limit; small speaks for a fail. For Holm

    @property
    def excess(self) -> float:
        """How many more rows flip than between two seeds of the baseline."""
        return self.rate - self.own


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipRows:
    """How the rows count."""

    groups: Labels | None = None  # cluster codes, (n,); None when rows are independent
    weights: Floats | None = None  # of each row, (n,); None when all count alike

    def shares(self, rows: int) -> Floats:
        """What each row counts of the whole."""
        return np.full(rows, 1 / rows) if self.weights is None else self.weights / self.weights.sum()

    @property
    def plain(self) -> bool:
        """Whether each row is a draw of its own."""
        return self.groups is None and self.weights is None


def excess_flips(  # noqa: PLR0913  # the two sides, how they came about, and the test
    candidate: Right,
    baseline: Right,
    *,
    rows: FlipRows | None = None,
    candidate_deterministic: bool = False,
    baseline_deterministic: bool = False,
    limit: float = 0.0,
    alpha: float = ALPHA,
) -> ExcessFlips | None:
    """The excess of negative flips with its interval of level `1 - 2 alpha`; None with too few seeds to know it.

    Of a deterministic side one model stands for all: a baseline of that kind has no flips of its own.
    """
    rows = rows or FlipRows()
    if not candidate_deterministic and len(candidate) < FEWEST_CANDIDATE_SEEDS:
        return None
    if not baseline_deterministic and len(baseline) < FEWEST_BASELINE_SEEDS:
        return None
    ours = candidate[:1] if candidate_deterministic else candidate
    theirs = baseline[:1] if baseline_deterministic else baseline
    if candidate_deterministic and baseline_deterministic and rows.plain:
        return _exact(int((theirs[0] & ~ours[0]).sum()), ours.shape[1], limit, alpha)
    return _estimated(ours, theirs, rows, limit, alpha)


def _exact(flipped: int, rows: int, limit: float, alpha: float) -> ExcessFlips:
    """Of two given files: a share of the rows, so its interval is exact."""
    interval, rate = clopper_pearson(flipped, rows, 1 - 2 * alpha), flipped / rows
    return ExcessFlips(
        rate=rate,
        own=0.0,
        low=interval.low,
        high=interval.high,
        variance=rate * (1 - rate) / rows,
        df=max(1.0, rows - 1.0),
        p=float(special.bdtrc(flipped - 1, rows, limit)) if flipped else 1.0,
    )


def _estimated(ours: Right, theirs: Right, rows: FlipRows, limit: float, alpha: float) -> ExcessFlips:
    shares = rows.shares(ours.shape[1])
    right, both = theirs.mean(axis=0), _pairs(theirs)
    unchanged = right * ours.mean(axis=0)
    parts = [
        _of_candidate(right, ours, shares),
        _of_baseline(ours.mean(axis=0), theirs, shares),
        _rows_part(both - unchanged, shares, rows.groups),
    ]
    variance, df = sum(part.variance for part in parts), satterthwaite(parts)
    rate, own = (float(shares @ (right - each)) for each in (unchanged, both))
    half = float(special.stdtrit(df, 1 - alpha)) * math.sqrt(variance)
    return ExcessFlips(
        rate=rate,
        own=own,
        low=rate - own - half,
        high=rate - own + half,
        variance=variance,
        df=df,
        p=p_worse(rate - own - limit, math.sqrt(variance), df),
    )


def _pairs(side: Right) -> Floats:
    """The share of pairs of different seeds that are both right, row by row; one model is its own pair."""
    seeds, right = len(side), np.asarray(side.sum(axis=0, dtype=np.float64))
    return right if seeds == 1 else right * (right - 1) / (seeds * (seeds - 1))


def _of_candidate(right: Floats, ours: Right, shares: Floats) -> VariancePart:
    """What other seeds of the candidate would give the excess, a mean over them."""
    if len(ours) == 1:
        return VariancePart(0.0, 1.0)
    each = [float(shares @ (right * seed)) for seed in ours]
    return VariancePart(float(np.var(each, ddof=1)) / len(ours), len(ours) - 1.0)


def _of_baseline(right: Floats, theirs: Right, shares: Floats) -> VariancePart:
    """What other seeds of the baseline would give it, by the jackknife."""
    if len(theirs) == 1:
        return VariancePart(0.0, 1.0)
    rest = (np.delete(theirs, seed, axis=0) for seed in range(len(theirs)))
    each = [float(shares @ (_pairs(side) - side.mean(axis=0) * right)) for side in rest]
    return VariancePart(float(np.var(each)) * (len(theirs) - 1), len(theirs) - 1.0)


def _rows_part(excess: Floats, shares: Floats, groups: Labels | None) -> VariancePart:
    """The variance that other rows, or other groups of them, would give the mean excess."""
    influence = shares * (excess - float(shares @ excess))
    if groups is not None:
        influence = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence).astype(np.float64)
    draws = influence.size
    added = 2 * float(np.mean(shares**2))
    if draws < 2:
        return VariancePart(added, 1.0)
    return VariancePart(float(influence @ influence) * draws / (draws - 1) + added, draws - 1.0)
