"""Do small losses add up? A candidate's seeds against those of the anchor, by the same test as against the baseline.

The anchor is an earlier model. Each gate has one of its own, for a model that is better in one metric is none that
another metric may be let down from.
"""

from enum import StrEnum

TOLERANCE = 1.5
"""How many margins a candidate may be worse than the anchor."""


class Anchored(StrEnum):
    """What a candidate is beside the anchor."""

    FAILS = "fails"  # worse beyond noise, by more than is tolerated
    MOVES_UP = "moves_up"  # better beyond noise: once it is merged, it is the anchor
    STAYS = "stays"  # neither; a merge does not move the anchor


def anchored(*, drop: float, low: float, high: float, margin: float) -> Anchored:
    """What the 90 % interval of how much worse the candidate is than the anchor comes to; positive is worse.

    What is not a number neither fails nor moves the anchor.
    """
    if drop > TOLERANCE * margin and low > 0:
        return Anchored.FAILS
    return Anchored.MOVES_UP if high < 0 else Anchored.STAYS
