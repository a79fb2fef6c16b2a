"""What would settle an open margin: more rows, more seeds, or both, by what its change's variance is made of."""

import math
from enum import StrEnum
from statistics import NormalDist

from mlbot.lib.record import Record
from mlbot.verdict.verdict import Comparison, Look, Noise

TOO_CLOSE = 50
"""Times the data beyond which asking for more of it is no advice."""
_HALF = 0.5


class Cure(StrEnum):
    """What would settle an open margin, if the change stays what it is."""

    ROWS = "rows"
    SEEDS = "seeds"
    EITHER = "either"
    BOTH = "both"  # only together
    NEITHER = "neither"


class Settling(Record):
    """What would settle an open margin, and how much of it: multiples of what there is, None where it cannot."""

    cure: Cure
    rows: float | None = None
    seeds: float | None = None


def settling(noise: Noise, times: float, most_seeds: float = math.inf) -> Settling:
    """What makes a change's variance so many times smaller; of both together as many times each.

    With the rows times f and the seeds times g the variance is shared / f + particular / (f g) + between / g.
    `most_seeds` is how many times the seeds there can be at all.
    """
    whole = noise.shared + noise.particular + noise.between
    if not 1 <= times <= TOO_CLOSE or not whole > 0:
        return Settling(cure=Cure.NEITHER)
    wanted, most = whole / times, min(most_seeds, TOO_CLOSE)
    rows = _multiple(noise.shared + noise.particular, wanted - noise.between, TOO_CLOSE)
    seeds = _multiple(noise.particular + noise.between, wanted - noise.shared, most)
    match rows, seeds:
        case None, None:
            return _together(noise, wanted, most)
        case _, None:
            return Settling(cure=Cure.ROWS, rows=rows)
        case None, _:
            return Settling(cure=Cure.SEEDS, seeds=seeds)
        case _:
            return Settling(cure=Cure.EITHER, rows=rows, seeds=seeds)


def _together(noise: Noise, wanted: float, most_seeds: float) -> Settling:
    linear = noise.shared + noise.between
    both = (linear + math.sqrt(linear**2 + 4 * wanted * noise.particular)) / (2 * wanted)
    seeds = min(both, most_seeds)
    rows = _multiple(noise.shared + noise.particular / seeds, wanted - noise.between / seeds, TOO_CLOSE)
    return Settling(cure=Cure.NEITHER) if rows is None else Settling(cure=Cure.BOTH, rows=rows, seeds=seeds)


def _multiple(part: float, wanted: float, most: float) -> float | None:
    """How many times as much data makes a part as small as wanted; None where no sensible amount does."""
    times = max(1.0, part / wanted) if wanted > 0 else math.inf
    return times if times <= most else None


def too_wide(limit: float, look: Look, comparison: Comparison) -> float | None:
    """How many times too large the variance is for the interval to end at the margin."""
    if look.change is None or look.low is None or look.high is None:
        return None
    worse = comparison.direction.worse
    drop, least, most = (worse * look.change, *sorted((worse * look.low, worse * look.high)))
    gap, half = (limit - drop, most - drop) if drop < limit else (drop - limit, drop - least)
    return (half / gap) ** 2 if gap > 0 else None


def too_wide_for_holm(family: int | None, look: Look) -> float | None:
    """About how many times too large the variance is for the first of so many margins, by the normal's tails."""
    normal, p = NormalDist(), look.p_value
    if p is None or not 0 < p < _HALF or not family:
        return None
    return (normal.inv_cdf(1 - look.level / family) / normal.inv_cdf(1 - p)) ** 2
