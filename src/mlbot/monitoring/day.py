"""What days of production show, as figures: counts held against those of a version's reference."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy import special

from mlbot.data.sketch import FEWEST, PARTS, Column, Counts, Sketch, SketchKind, Tally
from mlbot.data.sketch import Part as SketchPart
from mlbot.gates.metric import CATALOGUE, Direction, bounds_of
from mlbot.ledger.entries import DayEntry
from mlbot.monitoring.health import Code, Part
from mlbot.stats.drift import Mask
from mlbot.stats.types import Floats

PART_OF: dict[SketchPart, Part] = {"features": Part.FEATURE, "targets": Part.LABEL, "answers": Part.ANSWER}

FLOOR = 0.1
"""The least change of a distribution that matters: a tenth of a standard deviation, or Cohen's h of 0.1."""
_LEAST = {Code.SHARE: 0.02, Code.MISSING: 0.01, Code.UNSEEN: 0.01, Code.ERRORS: 0.01}
"""The least change of a share that matters, in shares."""
_FAR = {Code.SHARE: 1.0, Code.MISSING: 0.3, Code.UNSEEN: 0.3, Code.ERRORS: 0.5}
"""Cohen's h from the reference that is too far whatever the days before were: 3 % to 52 %, 0 % to 2 %, 0 % to 6 %."""
_RANGE = 0.3  # of a range of numbers: where they are, and how far apart, shows less
VOLUME = float(np.log(1.5))
"""The least change of the number of requests that matters."""
_OF_METRIC = 0.02  # the least change of a metric between 0 and 1 that matters; of any other this share of it
_FAR_METRIC = 5.0  # such changes from the judged value are too far


class Subject(NamedTuple):
    """What a figure is of: a column or a metric; and of a column which category, or which of its numbers."""

    part: Part
    column: str = ""
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of each day, in the units of `mlbot.stats.drift`."""

    code: Code
    of: Subject
    days: Floats  # (T,)
    noise: Floats  # (T,)
    floor: float
    far: float = float("inf")
    sudden: float = 0.0
    at: float = 0.0  # what 0 is in the figure's own units: the reference's 2 asin sqrt(p), the judged metric
    unit: float = 1.0  # what 1 is in the figure's own units

    def shown(self, figure: float) -> float | None:
        """A value in what people read: a share, a number of requests, a metric; None: it is in standard deviations."""
        match self.code:
            case Code.LOCATION | Code.SPREAD:
                return None
            case Code.VOLUME:
                return float(np.expm1(figure))
            case Code.METRIC:
                return self.at + figure * self.unit
            case _:
                return float(np.sin(np.clip(figure + self.at, 0.0, np.pi) / 2) ** 2)


def at_least_five(counts: Counts) -> Counts:
    """Counts for a ledger that may be public: no bin has one to four rows.

    They become five or none, so often that sums over days are right. Chance hangs on all the counts of the day
    together, so that the same day gives the same, and what is written does not tell what was there.
    """
    seed = hashlib.sha256(counts.model_dump_json().encode()).digest()
    chance = np.random.default_rng(np.frombuffer(seed, np.uint32))
    parts: dict[str, tuple[Tally, ...]] = {
        part: tuple(_tally(each, chance) for each in getattr(counts, part)) for part in PARTS
    }
    return counts.model_copy(update=parts)


def _tally(tally: Tally, chance: np.random.Generator) -> Tally:
    rows = np.array(tally.every)
    few = (rows > 0) & (rows < FEWEST)
    rows = np.where(few, np.where(chance.random(rows.size) * FEWEST < rows, FEWEST, 0), rows)
    *bins, missing, other = map(int, rows)
    return Tally(counts=tuple(bins), missing=missing, other=other)


@dataclass(frozen=True, kw_only=True)
class Production:
    """The days of one version, each with what its requests and its labels show."""

    sketch: Sketch
    days: Sequence[DayEntry]
    labels: Sequence[DayEntry | None]  # of the same days
    judged: dict[str, float] = field(default_factory=dict)  # what the verdict measured, by metric
    ignore: Collection[str] = ()

    def figures(self) -> Iterator[Figure]:
        """Every figure there is of these days."""
        for part in PARTS:
            tables = self.labels if part == "targets" else self.days
            for place, column in enumerate(self.sketch.columns(part)):
                if column.name not in self.ignore:
                    tallies = [_of(table, part, place, column) for table in tables]
                    own: Tally = getattr(self.sketch.counts, part)[place]
                    none = (np.nan,) * (column.bins + 2)
                    rows = np.array([none if each is None else each.every for each in tallies], float)
                    yield from figures_of(Subject(PART_OF[part], column.name), column, own, rows)
        yield from self._service()
        yield from self._metrics()

    @property
    def unlogged(self) -> tuple[str, ...]:
        """The features that no day shows."""
        return tuple(
            column.name
            for place, column in enumerate(self.sketch.features)
            if column.name not in self.ignore and not any(self._shows(day, place, column) for day in self.days)
        )

    def _shows(self, day: DayEntry, place: int, column: Column) -> bool:
        tally = _of(day, "features", place, column)
        return tally is not None and tally.rows > 0

    def _service(self) -> Iterator[Figure]:
        asked = np.array([each.requests or 0 for each in self.days], float)
        noise = 1 / np.maximum(asked, 1.0)
        service = Subject(Part.SERVICE)
        yield Figure(code=Code.VOLUME, days=np.log1p(asked), noise=noise, floor=VOLUME, of=service)
        if any(each.errors is not None for each in self.days):
            failed = np.array([np.nan if each.errors is None else each.errors for each in self.days], float)
            yield _share(Code.ERRORS, failed, asked, (0, np.inf), service)

    def _metrics(self) -> Iterator[Figure]:
        names = dict.fromkeys(live.metric for each in self.labels if each for live in each.live)
        for name in names:
            if (found := self._metric(name)) is not None:
                yield found

    def _metric(self, name: str) -> Figure | None:
        """How much worse a live metric is than what was judged, or than 0 where nothing is known of that."""
        metric, judged = CATALOGUE.get(name), self.judged.get(name)
        values, errors, rows = np.full((3, len(self.labels)), np.nan)
        for place, each in enumerate(self.labels):
            for live in each.live if each else ():
                if live.metric == name and live.error > 0 and live.rows:
                    values[place], errors[place], rows[place] = live.value, live.error, live.rows
        known = np.isfinite(errors)
        if metric is None or not known.any():
            return None
        unit = float(np.median((errors * np.sqrt(rows))[known]))
        at = judged if judged is not None else 0.0
        low, high = bounds_of(name)
        size = 1.0 if np.isfinite(high - low) else abs(judged if judged is not None else float(np.nanmean(values)))
        floor = max(_OF_METRIC * size / unit, 1e-9)
        sign = 1.0 if metric.direction is Direction.LOWER else -1.0
        return Figure(
            code=Code.METRIC,
            of=Subject(Part.METRIC, name),
            days=sign * (values - at) / unit,
            noise=(errors / unit) ** 2,
            floor=floor,
            far=_FAR_METRIC * floor if judged is not None else float("inf"),
            at=at,
            unit=sign * unit,
        )


def _of(entry: DayEntry | None, part: SketchPart, place: int, column: Column) -> Tally | None:
    """A column's tally of a day; None where it has none of this sketch: whoever may push could have written it."""
    counts = None if entry is None else entry.labels if part == "targets" else entry.counts
    tallies: tuple[Tally, ...] = () if counts is None else getattr(counts, part)
    found = tallies[place] if place < len(tallies) else None
    return found if found is not None and len(found.counts) == column.bins else None


def figures_of(of: Subject, column: Column, own: Tally, counts: Floats) -> Iterator[Figure]:
    """The figures of a column, by the counts of each day, (T, bins + 2); NaN where a day has none."""
    rows, width = np.array(counts, float), column.bins
    every = rows.sum(axis=1)
    gone = _gone(every)
    usual = np.nan_to_num(every).max(initial=1.0)
    rows[gone, width], every = usual, np.where(gone, usual, every)
    reference = np.array(own.every, float)
    yield _share(Code.MISSING, rows[:, width], every, (reference[width], reference.sum()), of)
    if column.kind is SketchKind.OTHER:
        return
    yield _share(Code.UNSEEN, rows[:, width + 1], every, (reference[width + 1], reference.sum()), of)
    bins, known, inside = rows[:, :width], reference[:width], rows[:, :width].sum(axis=1)
    last = width - 1 if column.kind is SketchKind.CATEGORY else width
    for place in range(width):
        code = Code.UNSEEN if place == last else Code.SHARE
        bin_ = of._replace(value=_named(column, place))
        found = _share(code, bins[:, place], inside, (known[place], known.sum()), bin_)
        # A day far off empties a range and fills it: what two days show of numbers is where they are.
        yield (
            found
            if column.kind is SketchKind.CATEGORY
            else replace(found, floor=max(found.floor, _RANGE), sudden=found.far)
        )
    if column.kind is not SketchKind.CATEGORY and width > 1:
        yield from _moments(bins, inside, known, of)


def _gone(every: Floats) -> Mask:
    """The days that lack a column which earlier ones had: all of it is missing there."""
    had = np.concatenate([[False], np.cumsum(np.nan_to_num(every) > 0)[:-1] > 0])
    return np.asarray(had & (every == 0))


def _named(column: Column, place: int) -> str:
    """A bin as people name it: a category, or the part of the numbers from below."""
    if column.kind is SketchKind.CATEGORY:
        return column.values[place] if place < len(column.values) else ""
    low = f"{column.edges[place - 1]:.4g}" if place else ""
    high = f"{column.edges[place]:.4g}" if place < len(column.edges) else ""
    return f"{low} to {high}" if low and high else f"below {high}" if high else f"{low} and above"


def _share(code: Code, rows: Floats, every: Floats, own: tuple[float, float], of: Subject) -> Figure:
    """A share as 2 asin sqrt(p), less the reference's, with Anscombe's correction for few rows."""
    shown = np.where(every > 0, every, np.nan)
    known = own[0] / own[1] if own[1] else 0.0
    at = float(_angle(own[0], own[1])) if np.isfinite(own[1]) else 0.0
    step = 2 * np.arcsin(np.sqrt(min(1.0, known + _LEAST[code]))) - 2 * np.arcsin(np.sqrt(known))
    return Figure(
        code=code,
        of=of,
        days=_angle(rows, shown) - at,
        noise=1 / shown,
        floor=max(FLOOR, float(step)),
        far=_FAR[code],
        at=at,
    )


def _angle(rows: Floats | float, every: Floats | float) -> Floats:
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip((rows + 0.375) / (np.asarray(every) + 0.75), 0.0, 1.0))))


def _moments(bins: Floats, inside: Floats, known: Floats, of: Subject) -> Iterator[Figure]:
    """Where the numbers are, and how far apart, by the normal scores of the reference's bins."""
    share = known / max(known.sum(), 1.0)
    ends = np.concatenate([[0.0], np.cumsum(share)])
    density = np.exp(-(special.ndtri(np.clip(ends, 0.0, 1.0)) ** 2) / 2) / np.sqrt(2 * np.pi)
    scores = np.divide(density[:-1] - density[1:], share, out=np.zeros_like(share), where=share > 0)
    scores = scores - share @ scores
    shown = np.where(inside > 0, inside, np.nan)
    where = bins @ scores / shown
    apart = bins @ scores**2 / shown - where**2  # around the day's own middle: numbers that move are no farther apart
    for code, days, score in ((Code.LOCATION, where, scores), (Code.SPREAD, apart, scores**2)):
        mean = share @ score
        deviation = np.sqrt(share @ (score - mean) ** 2)
        if deviation > _CONSTANT:
            yield Figure(code=code, of=of, days=(days - mean) / deviation, noise=1 / shown, floor=FLOOR)


_CONSTANT = 1e-6
