"""The anchor: when it fails a candidate, and when it moves."""

import math

import pytest

from mlbot.stats.anchor import Anchored, anchored


@pytest.mark.parametrize(
    ("drop", "low", "high", "margin", "outcome"),
    [
        (0.016, 0.001, 0.031, 0.01, Anchored.FAILS),
        (0.015, 0.001, 0.029, 0.01, Anchored.STAYS),  # just as much as is tolerated
        (0.016, 0.0, 0.032, 0.01, Anchored.STAYS),  # within noise
        (0.016, -0.001, 0.033, 0.01, Anchored.STAYS),
        (0.1, -0.1, 0.3, 0.01, Anchored.STAYS),
        (0.001, 0.0005, 0.0015, 0.0, Anchored.FAILS),
        (-0.002, -0.003, -0.001, 0.01, Anchored.MOVES_UP),
        (-0.002, -0.004, 0.0, 0.01, Anchored.STAYS),
        (0.0, 0.0, 0.0, 0.01, Anchored.STAYS),  # the same files
        (math.nan, math.nan, math.nan, 0.01, Anchored.STAYS),
        (0.02, math.nan, 0.03, 0.01, Anchored.STAYS),
        (-0.02, -0.03, math.nan, 0.01, Anchored.STAYS),
    ],
)
def test_the_anchor_fails_a_loss_beyond_noise_and_moves_for_a_gain_beyond_it(
    drop: float, low: float, high: float, margin: float, outcome: Anchored
) -> None:
    assert anchored(drop=drop, low=low, high=high, margin=margin) is outcome
