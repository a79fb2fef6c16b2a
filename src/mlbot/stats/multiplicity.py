"""Several tests at once: what is displayed. Gates have Holm, in `mlbot.core.judging`, where they are decided."""

from collections.abc import Sequence

import numpy as np

from mlbot.stats.types import Floats


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that keep the expected share of false alarms among those shown at the level.

    Y. Benjamini, Y. Hochberg: "Controlling the false discovery rate", JRSS B 57 (1995).

    Args:
        p_values: one for each displayed test, in any order, between 0 and 1.

    Returns:
        The adjusted values in the same order.

    Raises:
        ValueError: something is not a probability.
    """
    p, order = _ascending(p_values)
    scaled = p[order] * (p.size / np.arange(1, p.size + 1))
    return _restored(np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1]), order)


def _ascending(p_values: Sequence[float]) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():  # NaN fails both comparisons
        raise ValueError(f"p values lie between 0 and 1: {list(p_values)}")
    return p, np.argsort(p, kind="stable")


def _restored(adjusted: Floats, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[float]:
    restored = np.empty_like(adjusted)
    restored[order] = adjusted
    return [float(value) for value in restored]
