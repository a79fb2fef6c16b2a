"""What would settle an open margin, beside what a search over rows and seeds finds."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from mlbot.verdict.settling import settling
from mlbot.verdict.verdict import Noise

Array = npt.NDArray[np.float64]


@pytest.mark.parametrize("times", [1.5, 3.0, 9.0, 40.0])
@pytest.mark.parametrize("most", [math.inf, 4.0])
@pytest.mark.parametrize(
    "of",
    [
        *((0.9, 0.05, 0.05), (0.001, 0.0, 0.999), (0.0, 1.0, 0.0), (0.2, 0.6, 0.2), (0.5, 0.0, 0.5)),
        *((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.05, 0.9, 0.05), (0.3, 0.1, 0.6), (0.02, 0.0, 0.98)),
    ],
)
def test_what_settles_a_margin_is_what_a_search_finds(
    of: tuple[float, float, float], times: float, most: float
) -> None:
    shared, particular, between = of
    found = settling(Noise(shared=shared, particular=particular, between=between), times, most)
    tried = np.arange(1, 50.0001, 0.01)

    def least(rows: Array, seeds: Array) -> float | None:
        fits = shared / rows + particular / (rows * seeds) + between / seeds <= 1 / times + 1e-9
        fits &= seeds <= most
        return float(np.maximum(rows, seeds)[fits].min()) if fits.any() else None

    one = np.ones_like(tried)
    rows, seeds, both = least(tried, one), least(one, tried), least(tried, np.minimum(tried, most))
    cures = {(True, True): "either", (True, False): "rows", (False, True): "seeds"}
    assert found.cure == cures.get((rows is not None, seeds is not None), "neither" if both is None else "both")
    if found.cure == "both":
        assert both is not None
        assert max(found.rows or 0, found.seeds or 0) == pytest.approx(both, abs=0.011)
        assert (found.seeds or 0) <= most
    else:
        assert found.rows == (None if rows is None else pytest.approx(rows, abs=0.011))
        assert found.seeds == (None if seeds is None else pytest.approx(seeds, abs=0.011))


@pytest.mark.parametrize("times", [math.inf, 50.1])
def test_nothing_settles_what_is_at_the_margin(times: float) -> None:
    assert settling(Noise(shared=1.0, particular=1.0, between=1.0), times).cure == "neither"
    assert settling(Noise(shared=0.0, particular=0.0, between=0.0), 2.0).cure == "neither"
