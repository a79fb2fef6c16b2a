"""Intervals of a share of rows and of one model's metric, and the adjustment of p values that are displayed.

Gates have Holm, in `mlbot.verdict.decide`, where they are decided.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from mlbot.gates.metric import bounds_of
from mlbot.gates.outcome import ALPHA
from mlbot.stats.types import Estimate, Interval

LEVEL = 1 - 2 * ALPHA
_SHARES = frozenset({"accuracy", "precision", "recall", "top_k_accuracy"}) | frozenset(
    {"precision_micro", "recall_micro", "f1_micro", "recall_weighted"}  # accuracy by another name
)


def clopper_pearson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """The exact two-sided interval of a share: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934).

    Of rows with weights these are no whole numbers: E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998).
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"{successes} successes in {trials} trials")
    tail = (1 - level) / 2
    failures = trials - successes
    low = special.betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = special.betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return Interval(low=float(low), high=float(high))


def metric_interval(metric: str, estimate: Estimate, model: int = 0, level: float = LEVEL) -> Interval:
    """The interval of one frozen model's metric, for gates that judge `min` and `max` at the confidence bound.

    Accuracy, precision and recall are shares of rows, so theirs is exact. Other scores between 0 and 1 are bounded on
    the logit scale, losses and ratios on the log scale (neither leaves its range, and both follow the skew near its
    end), R² and the rest, a user's own too, on their own. Each bound alone is wrong with probability (1 - level) / 2.
    """
    if estimate.intervals is not None:
        return estimate.intervals[model]
    value = _at_end(float(estimate.values[model]), *bounds_of(metric))
    variance = float(estimate.covariance[model, model])
    support = float(estimate.support[model])
    if has_exact_interval(metric, estimate):
        return share_interval(value, support, level)
    scale = _scale(metric)
    if scale == "logit" and value in (0.0, 1.0):
        # No row disagrees, so the covariance is zero; what is certain is what so many rows can show.
        return share_interval(value, min(support, estimate.groups or support), level)
    half = float(special.stdtrit(estimate.df, (1 + level) / 2)) * math.sqrt(variance)
    return _bounded(scale, value, half)


def has_exact_interval(metric: str, estimate: Estimate) -> bool:
    """Whether a metric's interval is the exact one of a share of rows."""
    return estimate.exact and estimate.groups is None and metric in _SHARES


def share_interval(value: float, support: float, level: float = LEVEL) -> Interval:
    """The exact interval of a share of so many rows; of rows with weights, of how many of one weight tell as much."""
    if not support > 0:  # the value is by agreement, and nothing was seen
        return Interval(low=0.0, high=1.0)
    hits = value * support
    whole = round(hits)
    shown = whole if math.isclose(hits, whole, rel_tol=1e-9, abs_tol=1e-9) else hits
    return clopper_pearson(min(shown, support), support, level)


def _at_end(value: float, least: float, most: float) -> float:
    """The value; an end of the metric's range where only rounding parts them, as in a weighted mean of ones."""
    ends = (end for end in (least, most) if math.isclose(value, end, rel_tol=_ROUNDING, abs_tol=_ROUNDING))
    return next(ends, value)


_ROUNDING = 1e-12


def _scale(metric: str) -> str:
    match bounds_of(metric):
        case (0.0, 1.0):
            return "logit"
        case (0.0, math.inf):
            return "log"
        case _:
            return "identity"


def _bounded(scale: str, value: float, half: float) -> Interval:
    """Map value ± half through the scale, by the delta method, and back."""
    if scale == "logit":
        centre, step = special.logit(value), half / (value * (1 - value))
        return Interval(low=float(special.expit(centre - step)), high=float(special.expit(centre + step)))
    if scale == "log" and value > 0:
        step = min(half / value, 700.0)  # beyond that a float64 overflows
        return Interval(low=value * math.exp(-step), high=value * math.exp(step))
    return Interval(low=value - half, high=value + half)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the same order, that keep the expected share of false alarms at the level.

    Y. Benjamini, Y. Hochberg: "Controlling the false discovery rate", JRSS B 57 (1995).
    """
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():  # NaN fails both comparisons
        raise ValueError(f"p values lie between 0 and 1: {list(p_values)}")
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (p.size / np.arange(1, p.size + 1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1])
    return [float(value) for value in adjusted]
