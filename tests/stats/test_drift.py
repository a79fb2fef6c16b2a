"""The rule of monitoring against plain loops and scipy: what is compared with what, and how far is too far."""

import numpy as np
import pytest
from scipy import stats

from mlbot.stats.drift import BASE, LEVEL, Figures, changes

T = 80


def figures(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", noise: float = 1e-4, **of: float) -> Figures:
    wide = values.shape[1]
    return Figures(
        values=values,
        noise=np.full(values.shape, noise),
        floors=np.full(wide, of.get("floor", 0.0)),
        far=np.full(wide, of.get("far", np.inf)),
    )


def alike(seed: int, wide: int = 1) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return 0.1 * np.random.default_rng(seed).standard_normal((T, wide))


def spread(days: int) -> float:
    """The variance of the mean of days with a correlation of 0.5, from their whole covariance matrix."""
    at = np.arange(days)
    return float((0.5 ** np.abs(at[:, None] - at[None, :])).mean())


@pytest.mark.parametrize("seed", range(4))
def test_two_days_are_compared_as_a_loop_compares_them(seed: int) -> None:
    values = alike(seed)
    values[60:] += 1.5
    (found,) = changes(figures(values))
    assert (found.first, found.noticed, found.window, found.ended) == (60, 61, 2, None)
    base = values[60 - BASE : 60, 0]
    blocks = [values[60 - BASE * (block + 1) : 60 - BASE * block, 0] for block in range(2)]
    short = 1 - (spread(BASE) * BASE - 1) / (BASE - 1)
    variance = sum(((block - block.mean()) ** 2).sum() for block in blocks) / (2 * (BASE - 1)) / short
    level = LEVEL / 3 / 20
    quantile = stats.t.ppf(1 - level**0.75 / 2, 2 * (BASE - 1) * 0.6)
    limit = quantile * np.sqrt(variance * (1 + spread(BASE)))
    assert found.before == pytest.approx(base.mean())
    assert found.effect == pytest.approx(values[60:62, 0].mean() - base.mean())
    # and twice the trend of the weeks before, which is small here
    assert limit <= found.limit < limit + 2 * 0.1


def test_one_day_alone_is_no_change() -> None:
    values = alike(1)
    values[60] += 50.0
    assert changes(figures(values)) == ()


def test_a_trend_that_goes_on_is_no_change() -> None:
    values = alike(2) + 0.005 * np.arange(T)[:, None]
    assert changes(figures(values)) == ()


def test_what_is_smaller_than_the_floor_is_no_change() -> None:
    values = alike(3)
    values[60:] += 1.0
    assert changes(figures(values, floor=2.0)) == ()
    assert changes(figures(values, floor=0.5)) != ()


def test_rows_alone_may_move_a_figure() -> None:
    values = alike(4)
    values[60:] += 1.0
    assert changes(figures(values, noise=0.5)) == ()  # two rows a day


def test_a_change_ends_and_its_days_are_no_base() -> None:
    values = alike(5)
    values[50:60] += 1.5
    (found,) = changes(figures(values))
    assert found.ended in {61, 62}
    assert [found.on(day) for day in (49, 51, 59, 70)] == [False, True, True, False]


def test_days_that_do_not_show_a_figure_are_passed_over() -> None:
    values = alike(6)
    values[60:] += 1.5
    gone = np.insert(values, [10, 40, 61], np.nan, axis=0)
    (found,) = changes(figures(gone))
    assert (found.first, found.noticed) == (62, 64)


def test_a_week_far_from_the_reference_alarms_on_its_last_day_and_what_is_farther_on_the_third() -> None:
    values = alike(7)[:10] + 1.5
    (found,) = changes(figures(values, far=1.0))
    assert (found.first, found.noticed, found.window, found.before) == (0, 6, 0, 0.0)
    (farther,) = changes(figures(values + 1.0, far=1.0))
    assert farther.noticed == 2


def test_more_figures_make_each_harder_to_alarm() -> None:
    values = alike(8)
    values[60:] += 0.6
    (alone,) = changes(figures(values))
    (among,) = changes(figures(values), family=10_000) or (None,)
    assert among is None or among.limit > alone.limit
