"""When a daily figure is no longer what it was: the rule of `mlbot monitor`.

The unit is the day: rows of one day depend on each other, so the noise of a figure is how much it moves from day to
day, and never less than the rows alone give it. The last days are held up against the four weeks before them, so that a
slow season, which moves both, is no change. How far apart they have to be is a Student quantile at a level that all
figures, windows and days of a year share. Days after a change are held up against those before it until it is over.

A figure is in units in which one row has the variance 1: standard deviations of the reference's normal scores, or
2 asin sqrt(p) of a share p (Cohen's h). 0 is not special but where `Figures.far` says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.stats.types import Floats

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

LEVEL = 0.05
"""How often in a year one figure of a model or more alarms though nothing has changed: the promise."""
WINDOWS = (2, 7, 14)
"""How many of the last days are looked at together. Longer ones would take a season for a change."""
BASE = 28
"""Days that they are compared with: whole weeks, so that each weekday is in them as often."""
FEWEST = 14
_BLOCKS = 4  # so many times `BASE` days say how much a figure moves
_RHO = 0.5  # the correlation from one day to the next that is allowed for
MOST_NOISE = 0.05
"""The most that rows alone may move what is compared, as a variance: that of 20 rows."""
_LOOKS = {2: 20.0, 7: 8.0, 14: 4.0}
"""How many independent looks those of a year at each figure are worth, as `benchmarks.drift` found: they overlap, the
figures of a column depend on each other, and a window without its furthest day is seldom beyond anything."""
_SEASON = 2.0
"""How many times the trend of the last weeks a figure may go on."""
_STEADY = 3
"""So many days in a row alarm where all are farther from the reference by `_MORE`: a long weekend is no week."""
_MORE = 1.0
_SURE = 1.0  # standard errors of each of them that its rows may explain


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Figures of days that follow each other, (T, S)."""

    values: Floats  # NaN where a day does not show the figure
    noise: Floats  # the variance that the rows alone give them
    floors: Floats  # (S,): the least change that matters
    far: Floats  # (S,): how far from 0, where the reference is, is too far whatever was before; inf: no matter
    week: int = 7  # how many of them are a week


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One figure that is no longer what it was."""

    figure: int
    first: int  # the day that it is dated to, by its place
    noticed: int  # the day on which the rule says so
    ended: int | None  # the day on which it is back; None: it is not
    effect: float  # how far the figure was off when it was noticed
    limit: float  # how far it may be
    before: float  # what it was; 0 where it is compared with the reference
    window: int  # days that were looked at; 0: compared with the reference

    def on(self, day: int) -> bool:
        """Whether it alarms on a day."""
        return self.noticed <= day and (self.ended is None or day < self.ended)


def changes(figures: Figures, *, family: int = 0, level: float = LEVEL) -> tuple[Change, ...]:
    """Every change there was, by figure and day. `family` is how many figures share the level; 0: these."""
    share = level / (family or max(1, figures.values.shape[1]))
    found: list[Change] = []
    shown = np.isfinite(figures.values) & np.isfinite(figures.noise)
    masks, groups = np.unique(shown, axis=1, return_inverse=True)
    for group in range(masks.shape[1]):
        days, which = np.flatnonzero(masks[:, group]), np.flatnonzero(groups.ravel() == group)
        history = _History(
            days=days,
            values=figures.values[np.ix_(days, which)],
            noise=figures.noise[np.ix_(days, which)],
            floors=figures.floors[which],
            far=figures.far[which],
            share=share,
            week=max(_STEADY, figures.week),
        )
        for column in np.flatnonzero(history.suspects):
            found += _followed(history.one(int(column)), int(which[column]))
    return tuple(sorted(found, key=lambda each: (each.figure, each.noticed)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _History:
    """Some figures on the days that show them, without the days on which they were changed."""

    days: Indices  # (T,): the places of the days
    values: Floats
    noise: Floats
    floors: Floats
    far: Floats
    share: float
    week: int

    def one(self, column: int) -> "_History":
        at = slice(column, column + 1)
        return replace(
            self, values=self.values[:, at], noise=self.noise[:, at], floors=self.floors[at], far=self.far[at]
        )

    def without(self, first: int, end: int) -> "_History":
        """Without the days from one place to before another."""
        stays = np.ones(len(self.days), bool)
        stays[first:end] = False
        return replace(self, days=self.days[stays], values=self.values[stays], noise=self.noise[stays])

    @property
    def suspects(self) -> Mask:
        """The figures that the rule says anything of, (S,)."""
        every = [self.steady, *(self.compared(window).beyond for window in WINDOWS)]
        return np.asarray(np.concatenate(every).any(axis=0))

    @property
    def steady(self) -> Mask:
        """Where all days of a week are far from the reference on one side, or a few are farther, (T, S)."""
        return self._steady(self.far, self.week) | self._steady(self.far + _MORE, _STEADY)

    def _steady(self, far: Floats, days: int) -> Mask:
        sure = np.abs(self.values) - _SURE * np.sqrt(self.noise)
        side = np.where(sure > far, np.sign(self.values), 0.0)
        side[self.noise > MOST_NOISE] = 0.0
        found = np.zeros(side.shape, bool)
        if len(side) >= days:
            runs = np.lib.stride_tricks.sliding_window_view(side, days, axis=0).sum(axis=-1)
            found[days - 1 :] = np.abs(runs) == days
        return found

    def compared(self, window: int) -> "_Compared":
        """Each day's window held up against the days before it."""
        ends = np.arange(window + FEWEST, len(self.days) + 1)
        starts = ends - window
        base = np.minimum(BASE, starts)
        sums, noises = _sums(self.values), _sums(self.noise)
        before = (sums[starts] - sums[starts - base]) / base[:, None]
        usual = (noises[starts] - noises[starts - base]) / base[:, None]
        noise = (noises[ends] - noises[starts]) / window
        variance, freedom = self._variance(starts, base)
        around = np.array([_spread(int(each)) for each in base])[:, None]
        own = 1.0 if window == 2 else _spread(window)
        rows = np.maximum(0.0, noise - usual) / (1 if window == 2 else window)
        error = np.sqrt(np.maximum(variance, usual) * (own + around) + rows)
        mean = (sums[ends] - sums[starts]) / window
        away = mean - before
        season = _SEASON * _trend(away, window) * np.sign(away)  # what goes on as before is no change
        limit = np.maximum(self.floors, _quantile(self.share, window, freedom)[:, None] * error + season.clip(0.0))
        # Without the day that is furthest off: one day alone is no change. Of two days both have to be.
        most = np.where(away > 0, _highest(self.values, window)[ends - 1], -_highest(-self.values, window)[ends - 1])
        rest = (mean * window - most) / (window - 1) - before
        least = np.where(np.sign(rest) == np.sign(away), np.minimum(np.abs(away), np.abs(rest)), 0.0)
        fits = (noise if window == 2 else noise / window) <= MOST_NOISE
        return _Compared(ends=ends, before=before, limit=limit, beyond=(least > limit) & fits)

    def _variance(self, starts: Indices, base: Indices) -> tuple[Floats, Floats]:
        """How much the figures move from day to day, (D, S), from up to `_BLOCKS` bases, and its degrees of freedom."""
        sums, squares = _sums(self.values), _sums(self.values**2)
        total, blocks = np.zeros((len(starts), self.values.shape[1])), np.zeros(len(starts))
        for block in range(_BLOCKS):
            high, low = starts - block * base, starts - (block + 1) * base
            there = np.flatnonzero(low >= 0)
            part = sums[high[there]] - sums[low[there]]
            total[there] += squares[high[there]] - squares[low[there]] - part**2 / base[there, None]
            blocks[there] += 1
        short = np.array([1 - (_spread(int(each)) * each - 1) / (each - 1) for each in base])
        freedom = blocks * (base - 1)
        return np.maximum(total, 0.0) / (freedom * short)[:, None], freedom * _EFFECTIVE


_EFFECTIVE = (1 - _RHO**2) / (1 + _RHO**2)
"""How much one of several days that resemble each other tells of their variance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """The windows that end with each day, held up against the days before them, (D, S)."""

    ends: Indices  # (D,): the place after the window's last day
    before: Floats
    limit: Floats
    beyond: Mask


def _sums(values: Floats) -> Floats:
    """Running sums along the days, from 0."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])


def _trend(away: Floats, window: int) -> Floats:
    """How far windows were from the days before them of late, before the window that is looked at."""
    rows = np.arange(len(away))
    end = np.maximum(0, rows + 1 - window)
    start = np.maximum(0, end - BASE)
    sums = _sums(away)
    return np.asarray((sums[end] - sums[start]) / np.maximum(1, end - start)[:, None])


def _highest(values: Floats, window: int) -> Floats:
    """The highest value of the days up to each, as many as a window has."""
    found, span = values.copy(), 1
    while span < window:
        step = min(span, window - span)
        found[step:] = np.maximum(found[step:], found[:-step])
        span += step
    return found


@cache
def _spread(days: int) -> float:
    """The variance of the mean of days that follow each other, in that of one day."""
    lags = np.arange(1, days)
    return float((1 + 2 * ((1 - lags / days) * _RHO**lags).sum()) / days)


def _quantile(share: float, window: int, freedom: Floats) -> Floats:
    """How many standard errors are too many."""
    level = share / len(WINDOWS) / _LOOKS[window]
    return -np.asarray(special.stdtrit(freedom, (level**_TWICE if window == 2 else level) / 2))


_TWICE = 0.75
"""Two days in a row are beyond what one alone is beyond about as often as a power of its probability says."""


def _followed(history: _History, figure: int) -> Iterator[Change]:
    """The changes of one figure, each with the days that it lasts taken out of what later days are compared with."""
    after = 0  # the first day that may be the next to alarm
    while (found := _first(history, after)) is not None:
        place, window, before, limit = found
        start = _dated(history, place, window, before)
        end = _back(history, place, before, limit, window or 2)
        days = history.days
        yield Change(
            figure=figure,
            first=int(days[start]),
            noticed=int(days[place]),
            ended=None if end is None else int(days[end]),
            effect=float(history.values[start : place + 1, 0].mean()) - before,
            limit=limit,
            before=before,
            window=window,
        )
        if end is None:
            return
        after = int(days[end])
        history = history.without(start, end)


def _first(history: _History, after: int) -> tuple[int, int, float, float] | None:
    """The first day from `after` on that alarms: its place, the window, what was before, the limit."""
    found: list[tuple[int, int, float, float]] = []
    for window in WINDOWS:
        compared = history.compared(window)
        for row in np.flatnonzero(compared.beyond[:, 0]):
            place = int(compared.ends[row]) - 1
            if history.days[place] >= after:
                found.append((place, window, float(compared.before[row, 0]), float(compared.limit[row, 0])))
                break
    for place in map(int, np.flatnonzero(history.steady[:, 0])):
        if history.days[place] >= after:
            found.append((place, 0, 0.0, float(history.far[0])))
            break
    return min(found, default=None)


def _dated(history: _History, place: int, window: int, before: float) -> int:
    """Where a change begins: the tail of the window that stands out most, or the first of the days that are far."""
    if not window:
        side = np.sign(history.values[place, 0])
        near = np.flatnonzero(side * history.values[:place, 0] <= history.far[0])
        return int(near[-1]) + 1 if near.size else 0
    away = history.values[place + 1 - window : place + 1, 0] - before
    tails = np.cumsum(away[::-1]) / np.sqrt(np.arange(1, window + 1))
    return place - int(np.argmax(np.abs(tails)))


def _back(history: _History, place: int, before: float, limit: float, window: int) -> int | None:
    """The place of the first day on which the last days together are back within half of the limit."""
    sums = _sums(history.values)[:, 0]
    ends = np.arange(place + 2, len(history.days) + 1)
    mean = (sums[ends] - sums[ends - window]) / window - before
    back = np.flatnonzero(np.abs(mean) < limit / 2)
    return int(ends[back[0]]) - 1 if back.size else None
