"""Latency measured in rounds: the median over rounds, with an interval from their order statistics.

A busy machine makes requests slow for a while, and then not. So a median of all requests says when they were made, and
an interval from their scatter is far too narrow. A round is short, and asks both models; a load that comes and goes
meets both sides of it, and the rounds' medians, or the ratio of the two, scatter as the machine does. The median of
the ratios lies between two of them in order with a probability that needs no law of their distribution (H. A. David,
H. N. Nagaraja, "Order Statistics", 2003, 7.1): between the 6th and the 15th of 20 in 95.9 % of cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

COVERAGE = 0.95  # at least, two-sided
FEWEST_ROUNDS = 6
"""Of fewer not even the least and the greatest hold the median often enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Middle:
    """The median of some figures."""

    median: float
    low: float | None  # None: of too few figures
    high: float | None


def middle(figures: Sequence[float]) -> Middle:
    """The median of figures, with the narrowest interval of their order statistics that holds it often enough."""
    ordered = sorted(figures)
    rank = rank_of(len(ordered))
    median = float(np.median(ordered))
    if rank is None:
        return Middle(median=median, low=None, high=None)
    return Middle(median=median, low=ordered[rank - 1], high=ordered[-rank])


def rank_of(figures: int) -> int | None:
    """From which of some ordered figures, counted from 1, to the same from the end their median's interval goes."""
    ranks = [rank for rank in range(1, figures // 2 + 1) if 1 - 2 * special.bdtr(rank - 1, figures, 0.5) >= COVERAGE]
    return max(ranks, default=None)
