"""The rule of monitoring against plain loops and scipy: what is compared with what, and how far is too far."""

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import toeplitz

from mlbot.stats.drift import _GRID, BASE, LEVEL, Figures, _seen, changes, unsteady

T = 80


def figures(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", noise: float = 1e-4, **of: float) -> Figures:
    wide = values.shape[1]
    return Figures(
        values=values,
        noise=np.full(values.shape, noise),
        floors=np.full(wide, of.get("floor", 0.0)),
        far=np.full(wide, of.get("far", np.inf)),
        sudden=np.full(wide, of.get("sudden", 0.0)),
    )


def alike(seed: int, wide: int = 1) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return 0.1 * np.random.default_rng(seed).standard_normal((T, wide))


def alike_by(rho: float, days: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.asarray(toeplitz(rho ** np.arange(days)))


def resembling(seed: int, rho: float, days: int, wide: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    root = np.linalg.cholesky(alike_by(rho, days))
    return 0.1 * root @ np.random.default_rng(seed).standard_normal((days, wide))


@pytest.mark.parametrize("seed", range(4))
def test_two_days_are_compared_as_a_loop_compares_them(seed: int) -> None:
    values = alike(seed)
    values[60:] += 1.5
    (found,) = changes(figures(values))
    assert (found.first, found.noticed, found.window, found.ended) == (60, 61, 2, None)
    base = values[60 - BASE : 60, 0]
    blocks = [values[60 - BASE * (block + 1) : 60 - BASE * block, 0] for block in range(2)]
    # These days resemble each other in nothing, so the least correlation that is allowed for counts, which is a half.
    seen = sum(((each[1:] - each.mean()) * (each[:-1] - each.mean())).sum() for each in blocks)
    assert seen < 0.3 * sum(((each - each.mean()) ** 2).sum() for each in blocks)
    off = np.eye(BASE) - 1 / BASE
    left = np.trace(off @ alike_by(0.5, BASE) @ off) / (BASE - 1)
    variance = sum(((block - block.mean()) ** 2).sum() for block in blocks) / (2 * (BASE - 1)) / left
    weights = np.append(np.full(BASE, -1 / BASE), 1.0)
    error = np.sqrt(variance * weights @ alike_by(0.5, BASE + 1) @ weights)
    level = LEVEL / 3 / 20
    limit = stats.t.ppf(1 - level**0.75 / 2, 2 * (BASE - 1) * 0.6) * error
    assert found.before == pytest.approx(base.mean())
    assert found.effect == pytest.approx(values[60:62, 0].mean() - base.mean())
    # and three times what of the trend is beyond its noise, which is little here
    assert 0.99 * limit <= found.limit < limit + 0.2


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_a_correlation_is_seen_as_it_is_though_each_base_has_its_own_mean(rho: float) -> None:
    values = resembling(11, rho, 4 * BASE, 400)
    blocks = values.reshape(4, BASE, -1) - values.reshape(4, BASE, -1).mean(axis=1, keepdims=True)
    seen = (blocks[:, 1:] * blocks[:, :-1]).sum() / (blocks**2).sum()
    assert np.interp(seen, _seen(BASE), _GRID) == pytest.approx(rho, abs=0.03)


def test_days_that_resemble_each_other_may_differ_more() -> None:
    # A year of 40 figures: half of them alarmed where a correlation of a half was allowed for, whatever was seen.
    assert changes(figures(resembling(12, 0.8, 365, 40), floor=0.1), family=400) == ()


def test_a_season_of_ten_times_the_daily_movement_is_no_change() -> None:
    year = np.cos(2 * np.pi * (np.arange(365)[:, None] + 30 * np.arange(12)) / 365)
    assert changes(figures(year + resembling(13, 0.5, 365, 12), floor=0.1), family=400) == ()


def test_what_a_day_far_off_leaves_to_the_days_after_it_is_no_change() -> None:
    values = resembling(14, 0.5, T, 1)
    values[60:70, 0] += 2.0 * 0.5 ** np.arange(10)  # twenty times the daily movement, and as much of it as is usual
    assert changes(figures(values)) == ()


def test_two_days_are_not_enough_where_they_have_to_be_farther() -> None:
    values = alike(15)
    values[60:] += 1.5
    assert [each.noticed for each in changes(figures(values, sudden=2.0))] == [64]


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


@pytest.mark.parametrize(
    ("rho", "far", "found"), [(0.5, 0.0, (False, False)), (0.97, 0.0, (True, False)), (0.5, 1.5, (False, True))]
)
def test_days_for_which_the_level_was_not_simulated_are_known(rho: float, far: float, found: tuple[bool, bool]) -> None:
    values = resembling(16, rho, 150, 20)
    values[120, 3] += far
    assert unsteady(figures(values, floor=0.1)) == found
    assert unsteady(figures(values[:40])) == (False, False)  # too few days to tell
