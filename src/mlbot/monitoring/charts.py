"""Points as a chart that a template draws: paths in a box of 1000 by 100, ticks and dates as text beside it.

The box is stretched to whatever width there is, so no text is in it: a label keeps its size on a phone.
Bars are in percent and stretch nothing, so their labels are in them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from mlbot.lib.figures import MINUS

WIDTH, HEIGHT = 1000, 100
_BUCKETS = 240  # of a chart's width: so many columns of its points can be told apart
_STEPS = 4
_LARGEST = 1e15
_FLAT = 1e-9  # figures that differ by less, or by less of their size, are drawn as the same
_NEAR = 3  # a limit that is further from the figures than so many times their span is named and not drawn


class Spot(NamedTuple):
    """A figure with its interval, and what it belongs to."""

    value: float
    low: float | None = None
    high: float | None = None
    group: int = 0  # figures of two groups are not comparable: no line joins them
    loud: bool = False  # what did not pass


class Chart(NamedTuple):
    """What a template needs to draw spots; each path is in the units of the box."""

    line: str
    ticks: tuple[str, ...]  # from top to bottom, in equal distances
    band: str = ""
    dots: str = ""
    loud: str = ""
    breaks: str = ""  # where the figures before and after are not comparable
    limits: str = ""


class Scale(NamedTuple):
    """The range of a chart's figures, from a tick to a tick."""

    low: float
    step: float
    steps: int

    @classmethod
    def over(cls, figures: Iterable[float]) -> "Scale | None":
        """The scale that holds all figures; None where there are none, or one is too large to be drawn."""
        found = list(figures)
        if not found:
            return None
        low, high = min(found), max(found)
        largest = max(abs(low), abs(high))
        if largest > _LARGEST:
            return None
        span = high - low
        if span <= max(largest * _FLAT, _FLAT):
            span = max(largest * 0.1, 100 * _FLAT)
            low, high = low - span / 2, high + span / 2
        step = _nice(span / _STEPS)
        first = math.floor(low / step)
        return cls(low=first * step, step=step, steps=max(1, math.ceil(high / step - first - 1e-9)))

    @property
    def ticks(self) -> tuple[str, ...]:
        """The labels, the highest first."""
        places = max(0, -math.floor(math.log10(self.step) + 1e-9))
        return tuple(_label(self.low + at * self.step, places) for at in reversed(range(self.steps + 1)))

    def y(self, value: float) -> str:
        """How far from the top a figure is."""
        return _short(HEIGHT * (1 - (value - self.low) / (self.step * self.steps)))


Steps = Sequence[tuple[int, float | None]]
"""A limit over time: from which spot on it is what; None where there is none any more."""


def chart(spots: Sequence[Spot], limits: Sequence[Steps] = ()) -> Chart | None:
    """The chart of spots in their order, thinned so that it stays small; None where nothing can be drawn."""
    drawn = [height for each in spots for height in (each.value, _low(each), _high(each))]
    steps = list(_near(drawn, [each for row in limits for each in _lasting(row, len(spots))]))
    scale = Scale.over([*drawn, *(limit for *_, limit in steps)])
    if not spots or scale is None:
        return None
    shown = thinned(spots)
    at = {index: _x(index, len(spots)) for index in shown}
    runs = list(_runs(spots, shown))
    return Chart(
        line="".join(_line([(at[i], scale.y(spots[i].value)) for i in run]) for run in runs),
        band="".join(
            _band([(at[i], spots[i]) for i in part], scale) for run in runs for part in _with_band(spots, run)
        ),
        dots=_marks((at[i], scale.y(spots[i].value)) for i in shown) if len(spots) <= _BUCKETS // 4 else "",
        loud=_marks((at[i], scale.y(spots[i].value)) for i in shown if spots[i].loud),
        breaks="".join(f"M{at[after[0]]} 0V{HEIGHT}" for _, after in pairwise(runs)),
        limits="".join(f"M{first} {scale.y(limit)}H{last}" for first, last, limit in steps),
        ticks=scale.ticks,
    )


_Step = tuple[str, str, float]  # from where to where, and how high


def _lasting(steps: Steps, count: int) -> Iterator[_Step]:
    """Each limit as far as it held; the first spot's from the left edge on, and the last one's to the right."""
    at = [*((_x(index, count) if index else "0", limit) for index, limit in steps if index < count), (str(WIDTH), None)]
    return ((first, last, limit) for (first, limit), (last, _) in pairwise(at) if limit is not None)


def _near(drawn: Sequence[float], steps: Iterable[_Step]) -> Iterator[_Step]:
    """The limits that are near enough to the figures to be drawn with them."""
    low, high = min(drawn, default=0.0), max(drawn, default=0.0)
    room = _NEAR * max(high - low, abs(high) * 0.02)
    return (each for each in steps if low - room <= each[-1] <= high + room)


def thinned(spots: Sequence[Spot], most: int = _BUCKETS) -> list[int]:
    """The places of the spots to draw: of each column its first, last, lowest and highest, and one that is loud.

    Those are all that can be seen of a column (Jugel et al., "M4", 2014).
    """
    if len(spots) <= 2 * most:
        return list(range(len(spots)))
    shown: set[int] = set()
    for column in range(most):
        part = range(column * len(spots) // most, (column + 1) * len(spots) // most)
        shown |= {part[0], part[-1], min(part, key=lambda i: spots[i].value), max(part, key=lambda i: spots[i].value)}
        shown |= {min(part, key=lambda i: _low(spots[i])), max(part, key=lambda i: _high(spots[i]))}
        shown |= {next((i for i in part if spots[i].loud), part[0])}
    first = {i for i in range(1, len(spots)) if spots[i].group != spots[i - 1].group}
    return sorted(shown | first if len(first) <= most else shown)


class Room(StrEnum):
    """Where a text fits into its bar: a cut one would name another version."""

    ANYWHERE = "anywhere"
    WIDE = "wide"
    NOWHERE = "nowhere"


class Bar(NamedTuple):
    """A part of a row that is as long as something lasted: in percent, with its text."""

    x: str
    width: str
    text: str
    room: Room


# Of a row in pixels: on a phone of 360, and where the style sheet's narrow rules end.
_NARROW, _WIDE = 330, 700


def bars(edges: Sequence[float], texts: Sequence[str]) -> tuple[Bar, ...]:
    """The parts between edges (shares of the whole, from 0 to 1)."""
    return tuple(
        Bar(x=_short(100 * a), width=_short(100 * max(b - a, 0.0)), text=text, room=_room(b - a, text))
        for (a, b), text in zip(pairwise(edges), texts, strict=True)
    )


def _room(share: float, text: str) -> Room:
    needed = 8 * len(text) + 8
    if share * _NARROW >= needed:
        return Room.ANYWHERE
    return Room.WIDE if share * _WIDE >= needed else Room.NOWHERE


def columns(heights: Sequence[float]) -> str:
    """Columns from the ground, one a height, thinned to the highest of each place."""
    most = max(heights, default=0.0)
    if not most > 0 or not math.isfinite(most):
        return ""
    places = min(len(heights), _BUCKETS)
    found = []
    for place in range(places):
        part = heights[place * len(heights) // places : (place + 1) * len(heights) // places]
        x, wide = place * WIDTH / places, WIDTH / places * 0.8
        found.append(f"M{_short(x)} {HEIGHT}V{_short(HEIGHT * (1 - max(part) / most))}h{_short(wide)}V{HEIGHT}z")
    return "".join(found)


def _low(spot: Spot) -> float:
    return spot.value if spot.low is None else min(spot.low, spot.value)


def _high(spot: Spot) -> float:
    return spot.value if spot.high is None else max(spot.high, spot.value)


def _runs(spots: Sequence[Spot], shown: Sequence[int]) -> Iterator[list[int]]:
    """The places of each group in a row."""
    run: list[int] = []
    for index in shown:
        if run and spots[run[-1]].group != spots[index].group:
            yield run
            run = []
        run.append(index)
    if run:
        yield run


def _with_band(spots: Sequence[Spot], run: Sequence[int]) -> Iterator[list[int]]:
    """The parts of a run that have intervals."""
    part: list[int] = []
    for index in run:
        if spots[index].low is None or spots[index].high is None:
            if part:
                yield part
            part = []
        else:
            part.append(index)
    if part:
        yield part


def _line(points: Sequence[tuple[str, str]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _band(points: Sequence[tuple[str, Spot]], scale: Scale) -> str:
    """The area between the ends of intervals; of one alone a stroke."""
    upper = [(x, scale.y(_high(spot))) for x, spot in points]
    lower = [(x, scale.y(_low(spot))) for x, spot in reversed(points)]
    return _line([*upper, *lower]) + "z"


def _marks(points: Iterable[tuple[str, str]]) -> str:
    """A stroke without length at each point: with round ends it is a dot, however the box is stretched."""
    return "".join(f"M{x} {y}h0" for x, y in points)


def _x(index: int, count: int) -> str:
    return _short(WIDTH / 2 if count == 1 else 8 + (WIDTH - 16) * index / (count - 1))


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _label(value: float, places: int) -> str:
    if abs(value) >= 1e6 or (value and places > 6):
        return f"{value:.2e}".replace("-", MINUS)
    text = f"{abs(value):,.{places}f}"
    return f"{MINUS}{text}" if value < 0 and text.strip("0.,") else text


def _nice(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
