"""When a daily figure is no longer what it was: the rule of `mlbot monitor`.

The unit is the day: rows of one day depend on each other, so the noise of a figure is how much it moves from day to
day, and never less than the rows alone give it. The last days are held up against the four weeks before them. How much
those may differ follows from how figures moved, and from how much each day resembled the one before it; what goes on
as it did in the last months is a season, and a day far off explains those after it. How far apart the two have to be
is a Student quantile at a level that all figures, windows and days of a year share. Days after a change are held up
against those before it until it is over.

A figure is in units in which one row has the variance 1: standard deviations of the reference's normal scores, or
2 asin sqrt(p) of a share p (Cohen's h). 0 is not special but where `Figures.far` says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import NamedTuple

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
KNOWN = FEWEST + 2 * WINDOWS[0]
"""The first day on which days are held up against those before: how figures go on has to be seen as well."""
_BLOCKS = 4  # so many times `BASE` days say how much a figure moves
_RHO = 0.5  # the correlation from one day to the next that is allowed for where less is seen
MOST_NOISE = 0.05
"""The most that rows alone may move what is compared, as a variance: that of 20 rows."""
_LOOKS = {2: 20.0, 7: 8.0, 14: 4.0}
"""How many independent looks those of a year at each figure are worth, as `benchmarks.drift` found: they overlap, the
figures of a column depend on each other, and a window without its furthest day is seldom beyond anything."""
_SEASON = 3.0
"""How many times the trend of four weeks a figure may go on, or back: as much of it as is beyond its own noise."""
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
    sudden: Floats  # (S,): the least change that two days show
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
        history = _History.of(figures, days, which, share)
        for column in np.flatnonzero(history.suspects):
            found += _followed(history.one(int(column)), int(which[column]))
    return tuple(sorted(found, key=lambda each: (each.figure, each.noticed)))


_RESEMBLING = 0.9  # what a fifth of the figures that move is beyond, where days resemble each other too much
_FAR_OFF = 7.0  # standard deviations


def unsteady(figures: Figures) -> tuple[bool, bool]:
    """Whether days resemble each other more than the level was simulated for, and whether one was far off of late."""
    which = np.flatnonzero(np.isfinite(figures.values).all(axis=0) & np.isfinite(figures.noise).all(axis=0))
    starts = np.arange(2 * BASE, len(figures.values))[-_BLOCKS * BASE :]
    if not (which.size and starts.size):
        return False, False
    history = _History.of(figures, np.arange(len(figures.values)), which, LEVEL)
    base, sums, noises = np.full(starts.size, BASE), _sums(history.values), _sums(history.noise)
    usual = (noises[starts] - noises[starts - BASE]) / BASE
    moves = history._moves(starts, base, usual)  # noqa: SLF001 - of this file
    moving = moves.variance[-1] > 2 * usual[-1]
    alike = moving.any() and np.quantile(moves.rho[-1, moving], 0.8) >= _RESEMBLING
    off = np.abs(history.values[starts] - (sums[starts] - sums[starts - BASE]) / BASE)
    return bool(alike), bool((off > np.maximum(history.floors, _FAR_OFF * np.sqrt(moves.variance))).any())


@dataclass(frozen=True, kw_only=True, slots=True)
class _History:
    """Some figures on the days that show them, without the days on which they were changed."""

    days: Indices  # (T,): the places of the days
    values: Floats
    noise: Floats
    floors: Floats
    far: Floats
    sudden: Floats
    share: float
    week: int

    @classmethod
    def of(cls, figures: Figures, days: Indices, which: Indices, share: float) -> "_History":
        """Some of the figures on days that all of them are seen on."""
        return cls(
            days=days,
            values=figures.values[np.ix_(days, which)],
            noise=figures.noise[np.ix_(days, which)],
            floors=figures.floors[which],
            far=figures.far[which],
            sudden=figures.sudden[which],
            share=share,
            week=max(_STEADY, figures.week),
        )

    def one(self, column: int) -> "_History":
        at = slice(column, column + 1)
        return replace(
            self,
            values=self.values[:, at],
            noise=self.noise[:, at],
            floors=self.floors[at],
            far=self.far[at],
            sudden=self.sudden[at],
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
        asked = _ASKED[window]
        ends = np.arange(window + FEWEST, len(self.days) + 1)
        starts = ends - window
        base = np.minimum(BASE, starts)
        sums, noises = _sums(self.values), _sums(self.noise)
        before = (sums[starts] - sums[starts - base]) / base[:, None]
        usual = (noises[starts] - noises[starts - base]) / base[:, None]
        noise = (noises[ends] - noises[starts]) / window / asked.together
        moves = self._moves(starts, base, usual)
        differ = _by_base(partial(_contrast, asked.together), base, moves.rho)
        error = np.sqrt(moves.variance * differ + np.maximum(0.0, noise - usual / asked.together))
        away = (sums[ends] - sums[starts]) / window - before
        season = _SEASON * (_trend(away, window) - asked.season * error).clip(0.0)
        limit = np.maximum(self.floors, _quantile(self.share, asked, moves) * error + season)
        if window == asked.days:  # each day has to be beyond: by more than single days were
            off = self.off[starts - 1]
            lone = off * np.divide(off, _LONE * error, out=np.ones_like(off), where=error > 0).clip(1.0, 2.0)
            limit = np.maximum(limit, np.maximum(self.sudden, lone))
        found = (np.abs(away) > limit) & (noise <= MOST_NOISE)
        found &= self._lasts(starts, asked, before=before, side=np.sign(away), limit=limit, rho=moves.rho)
        # How figures go on is not known yet; and how few days resemble each other neither.
        found[: window + (0 if window == asked.days else BASE - FEWEST)] = False
        return _Compared(ends=ends, before=before, limit=limit, beyond=found)

    def _lasts(
        self, starts: Indices, asked: "_Asked", *, before: Floats, side: Floats, limit: Floats, rho: Floats
    ) -> Mask:
        """Whether most days of the windows are off, by more than one day far off leaves to those after it."""
        count, jumps, highest = np.zeros(before.shape), np.zeros(before.shape), np.full(before.shape, -np.inf)
        last = side * (self.values[starts - 1] - before)
        for day in range(asked.window):
            off = side * (self.values[starts + day] - before)
            count += off > asked.share * limit
            jump = off - rho * last
            jumps += jump
            highest = np.maximum(highest, jump)
            last = off
        rest = (jumps - highest) / (asked.window - 1)
        return np.asarray((count >= asked.days) & (rest > asked.jump * (1 - rho) * limit))

    @property
    def off(self) -> Floats:
        """How far one day was from those before it, at most, in the days up to each that say how figures move."""
        sums, at = _sums(self.values), np.arange(len(self.days))
        base = np.minimum(at, BASE)
        found = np.abs(self.values - (sums[at] - sums[at - base]) / np.maximum(base, 1)[:, None])
        found[: FEWEST // 2] = 0.0
        return _highest(found, _BLOCKS * BASE)

    def _moves(self, starts: Indices, base: Indices, usual: Floats) -> "_Moves":
        """How the figures move from day to day, by up to `_BLOCKS` bases before each start."""
        values = self.values
        sums, squares = _sums(values), _sums(values**2)
        pairs = _sums(values * np.concatenate([values[:1], values[:-1]]))
        total, beside = np.zeros((2, len(starts), values.shape[1]))
        blocks = np.minimum(starts // base, _BLOCKS)
        for block in range(_BLOCKS):
            there = np.flatnonzero(block < blocks)
            high, days = starts[there] - block * base[there], base[there, None]
            low = high - base[there]
            mean = (sums[high] - sums[low]) / days
            total[there] += squares[high] - squares[low] - days * mean**2
            ends = values[low] + values[high - 1]
            beside[there] += pairs[high] - pairs[low + 1] + mean * (ends - (days + 1) * mean)
        number = (blocks * (base - 1))[:, None]
        rows = usual * number  # what they alone give to the total, of which days resemble each other in nothing
        own = np.maximum(total - rows, np.maximum(total, rows) / 2)
        seen = np.divide(beside + rows / base[:, None], own, out=np.zeros_like(own), where=own > 0)
        rho = _by_base(_grid, base, seen, _seen).clip(_RHO, _GRID[-1])
        variance = np.maximum(np.maximum(total, 0.0) / number / _by_base(_left, base, rho), usual)
        return _Moves(variance=variance, rho=rho, freedom=number * (1 - rho**2) / (1 + rho**2))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Moves:
    """How figures move from day to day, before each window, (D, S)."""

    variance: Floats  # of one day
    rho: Floats  # the correlation of a day with the one before it
    freedom: Floats  # how many independent days' worth of a variance that is


class _Asked(NamedTuple):
    """What is asked of the days of a window."""

    window: int
    days: int  # so many of them are off
    share: float  # by more than this share of the limit
    jump: float  # what is new on a day, but for one, is on average this share of what is where the limit is passed
    season: float  # standard errors that a trend has to be beyond to be one

    @property
    def together(self) -> int:
        """How many days count as one: each of two has to be beyond by itself."""
        return 1 if self.days == self.window else self.window


_ASKED = {
    2: _Asked(2, 2, 1.0, 1.0, 1.25),
    7: _Asked(7, 5, 0.75, 0.5, 1.25),
    14: _Asked(14, 10, 0.75, 0.5, 0.5),
}
_LONE = 3.0  # standard errors that a single day may be off by nature; what was farther off counts up to twice
_GRID = np.linspace(0.0, 0.98, 50)  # correlations


def _alike(days: int, rho: float) -> Floats:
    """The correlations of days that follow each other."""
    at = np.arange(days)
    return np.asarray(rho ** np.abs(at[:, None] - at[None, :]))


@cache
def _seen(days: int) -> Floats:
    """Which correlation is seen in so many days, whose own mean is taken off, by the one there is; rising."""
    off = np.eye(days) - 1 / days
    found = [off @ _alike(days, rho) @ off for rho in _GRID]
    return np.array([np.trace(each, 1) / np.trace(each) for each in found])


@cache
def _left(days: int) -> Floats:
    """How much of a variance is left where the days' own mean is taken off, by the correlation."""
    return np.array([(days - _alike(days, rho).sum() / days) / (days - 1) for rho in _GRID])


@cache
def _contrast(window: int, base: int) -> Floats:
    """The variance of the mean of days less that of the days before them, in that of one day, by the correlation."""
    weights = np.concatenate([np.full(base, -1 / base), np.full(window, 1 / window)])
    return np.array([weights @ _alike(base + window, rho) @ weights for rho in _GRID])


_Table = Callable[[int], Floats]  # of numbers of days


def _grid(_: int) -> Floats:
    return _GRID


def _by_base(to: _Table, base: Indices, at: Floats, of: _Table = _grid) -> Floats:
    """What a table of each row's number of days says, at these values of another one."""
    found = np.empty_like(at)
    for days in map(int, np.unique(base)):
        rows = base == days
        found[rows] = np.interp(at[rows], of(days), to(days))
    return found


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
    """How far windows were from the days before them over four weeks, at most, of the last months before this one."""
    rows = np.arange(len(away))
    end = np.maximum(0, rows + 1 - window)
    start = np.maximum(0, end - BASE)
    sums = _sums(away)
    mean = (sums[end] - sums[start]) / np.maximum(1, end - start)[:, None]
    return _highest(np.abs(mean), _BLOCKS * BASE)


def _highest(values: Floats, window: int) -> Floats:
    """The highest value of the days up to each, as many as a window has."""
    found, span = values.copy(), 1
    while span < window:
        step = min(span, window - span)
        found[step:] = np.maximum(found[step:], found[:-step])
        span += step
    return found


def _quantile(share: float, asked: _Asked, moves: _Moves) -> Floats:
    """How many standard errors are too many."""
    level = share / len(WINDOWS) / _LOOKS[asked.window]
    at = 1 / np.maximum(moves.freedom, 1.0)
    if asked.together > 1:
        return np.interp(at, _INVERSE, _students(level))
    # Two days in a row are beyond what one is beyond about as often as a power of its probability says.
    low, high = ((1 + rho) / 2 for rho in (_RHO, _GRID[-1]))
    part = ((1 + moves.rho) / 2 - low) / (high - low)
    ends = (np.interp(at, _INVERSE, _students(level**power)) for power in (low, high))
    return np.asarray(next(ends) * (1 - part) + next(ends) * part)


_INVERSE = np.linspace(0.0, 1.0, 200) ** 2  # of degrees of freedom


@cache
def _students(level: float) -> Floats:
    """Student's quantiles at a level for both sides, by the inverse of the degrees of freedom."""
    return -np.asarray(special.stdtrit(1 / np.maximum(_INVERSE, 1e-9), level / 2))


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
