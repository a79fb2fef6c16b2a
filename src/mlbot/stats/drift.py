"""Has a column's distribution moved? Effect sizes only: on enough rows a p value calls any shift significant."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.stats.types import Floats

FEWEST_ROWS = 500  # below this PSI passes 0.1 by chance: in 37 % of 200-row samples without any drift
BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How far a column has moved."""

    psi: float  # population stability index over ten quantile bins or the categories; 0.1 is some drift, 0.25 much
    ks: float | None  # the largest gap between the two cumulative distributions, 0 to 1; None for categories
    rows: int  # how many rows the smaller sample has

    def moved(self, psi: float = 0.1) -> bool:
        """Whether the effect is at least this large."""
        return self.psi >= psi


def drift(reference: npt.NDArray[Any], current: npt.NDArray[Any], fewest_rows: int = FEWEST_ROWS) -> Drift | None:
    """Compare a column's values of two samples; None when one has too few rows to tell drift from chance.

    Numbers (NaN for a missing one) or categories (strings), (n,) and (m,).
    """
    rows = min(reference.size, current.size)
    if rows < max(1, fewest_rows):
        return None
    if not (_numeric(reference) and _numeric(current)):
        return Drift(psi=_psi(*_category_counts(reference.astype(str), current.astype(str))), ks=None, rows=rows)
    first, second = reference.astype(np.float64), current.astype(np.float64)
    return Drift(psi=_psi(*_number_counts(first, second)), ks=_ks(first, second), rows=rows)


def _numeric(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind in "biuf"


def _category_counts(first: npt.NDArray[np.str_], second: npt.NDArray[np.str_]) -> tuple[Floats, Floats]:
    codes = np.unique(np.concatenate((first, second)), return_inverse=True)[1]
    size = int(codes.max()) + 1
    counts = (np.bincount(part, minlength=size) for part in (codes[: first.size], codes[first.size :]))
    one, two = (count.astype(np.float64) for count in counts)
    return one, two


def _number_counts(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Counts in the reference's quantile bins, with the missing values in a bin of their own."""
    present = first[~np.isnan(first)]
    edges = np.unique(np.quantile(present, np.arange(1, BINS) / BINS)) if present.size else np.empty(0)

    def counts(values: Floats) -> Floats:
        missing = np.isnan(values)
        bins = np.searchsorted(edges, values[~missing], side="left")
        return np.append(np.bincount(bins, minlength=edges.size + 1), missing.sum()).astype(np.float64)

    return counts(first), counts(second)


def _psi(first: Floats, second: Floats) -> float:
    """Half a row is added to each bin that either sample fills, so that an empty one is not infinitely far away."""
    filled = first + second > 0
    p, q = ((counts[filled] + 0.5) / (counts[filled] + 0.5).sum() for counts in (first, second))
    return float(((p - q) * np.log(p / q)).sum())


def _ks(first: Floats, second: Floats) -> float | None:
    first, second = np.sort(first[~np.isnan(first)]), np.sort(second[~np.isnan(second)])
    if not (first.size and second.size):
        return None
    every = np.concatenate((first, second))
    below = np.searchsorted(first, every, side="right") / first.size
    gap = below - np.searchsorted(second, every, side="right") / second.size
    return float(np.abs(gap).max())
