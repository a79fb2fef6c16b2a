"""How often does monitoring alarm though nothing changed, and how soon where something did?

    python -m benchmarks.drift [--years 60] [--jobs 1]
    python docs/statistics_table.py

A model has columns of numbers (two of three, in 20 bins of the reference) and of categories (five values). Each day
draws how many of its requests fall into each bin: a column's numbers are normal, and their mean moves from day to day
by so many of their standard deviations, as do the log odds of a category; by itself, or resembling the day before. What
is drawn knows nothing of the rule; `mlbot.monitoring.day` makes figures of it and `mlbot.stats.drift` judges them.

*False alarms*: years of daily looks at days that are alike, and the four weeks before them. *Delays*: one column
changes on the 61st day; how many days until it is noticed, the day of the change being the first. *Outages*: years of
how many ask, and the days until it is noticed that nobody does.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from mlbot.data.sketch import Column, SketchKind, Tally
from mlbot.ledger.entries import DayEntry
from mlbot.monitoring.day import Figure, Subject, figures_of
from mlbot.monitoring.fold import outage_of, spans_of
from mlbot.monitoring.health import Part
from mlbot.stats.drift import Change, Figures, changes

RESULTS = Path(__file__).parents[1] / "docs" / "monitoring.json"
BINS, ROWS = 20, 10_000
NUMBER = Column(name="number", kind=SketchKind.NUMBER, edges=tuple(map(float, range(1, BINS))))
CATEGORY = Column(name="category", kind=SketchKind.CATEGORY, values=("a", "b", "c", "d", "e"))
SHARES = np.array([0.5, 0.25, 0.1, 0.1, 0.05, 0.0])
YEAR, LEARNED, CHANGED, AFTER = 365, 28, 60, 60
FAMILY = 14 * 24 + 6 * 8  # the figures of twenty columns
DAY_ONE = date(2025, 1, 6)
EDGES = stats.norm.ppf(np.arange(1, BINS) / BINS)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class World:
    """How days differ though nothing changed."""

    name: str
    columns: int = 20
    rows: int = 500
    moves: float = 0.1  # from day to day, in standard deviations
    resembles: float = 0.5  # the day before: the correlation
    weekly: float = 0.0  # amplitude of a week
    yearly: float = 0.0  # amplitude of a year
    heavy: bool = False  # whether a day may be far off: Student's t with three degrees of freedom
    bound: bool = True  # whether the promise is about it

    def path(self, draw: np.random.Generator, days: int) -> Array:
        """Where a column is on each day."""
        jumps = draw.standard_t(3, days) / np.sqrt(3) if self.heavy else draw.standard_normal(days)
        found = np.empty(days)
        found[0] = jumps[0]
        for day in range(1, days):
            found[day] = self.resembles * found[day - 1] + np.sqrt(1 - self.resembles**2) * jumps[day]
        at = np.arange(days) + draw.integers(0, YEAR)
        week, year = np.cos(2 * np.pi * at / 7), np.cos(2 * np.pi * at / YEAR)
        return self.moves * found + self.weekly * week + self.yearly * year


WORLDS = (
    World(name="days are alike but for their rows", moves=0.0),
    World(name="days differ", resembles=0.0),
    World(name="days resemble the one before"),
    World(name="days resemble the one before, 50 requests", rows=50),
    World(name="days resemble the one before, 50,000 requests", rows=50_000),
    World(name="days resemble the one before, 64 columns", columns=64),
    World(name="weeks, and days that resemble the one before", weekly=0.15),
    World(name="a season of ± 0.25 sd, and days that resemble the one before", yearly=0.25),
    World(name="a season of ± 0.5 sd, and days that resemble the one before", yearly=0.5),
    World(name="a season of ± 1 sd, and days that resemble the one before", yearly=1.0),
    World(name="days resemble the one before by 0.8", resembles=0.8),
    World(name="days resemble the one before by 0.95", resembles=0.95, bound=False),
    World(name="a season of ± 1 sd, and days that resemble by 0.8", yearly=1.0, resembles=0.8, bound=False),
    World(name="days with outliers (Student's t, 3 df)", heavy=True, bound=False),
)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What changes in one column."""

    name: str
    shift: float = 0.0
    missing: float = 0.0
    shares: tuple[float, ...] = ()


PLANTED = (
    Planted(name="numbers greater by 0.2 sd", shift=0.2),
    Planted(name="numbers greater by 0.5 sd", shift=0.5),
    Planted(name="numbers greater by 1 sd", shift=1.0),
    Planted(name="numbers times 1,000", shift=1000.0),
    Planted(name="missing: 0 to 10 %", missing=0.1),
    Planted(name="a category: 10 to 20 %", shares=(0.4, 0.25, 0.2, 0.1, 0.05, 0.0)),
    Planted(name="a category: 5 to 10 %", shares=(0.45, 0.25, 0.1, 0.1, 0.1, 0.0)),
    Planted(name="a new category: 0 to 5 %", shares=(0.45, 0.25, 0.1, 0.1, 0.05, 0.05)),
)


def number(draw: np.random.Generator, path: Array, rows: int, planted: Planted | None) -> Array:
    """The counts of a column of numbers, (days, bins + 2)."""
    shift = np.zeros(len(path))
    gone = np.zeros(len(path), int)
    if planted is not None:
        shift[CHANGED:] = planted.shift
        gone[CHANGED:] = draw.binomial(rows, planted.missing, len(path) - CHANGED)
    ends = stats.norm.cdf(EDGES[None, :] - (path + shift)[:, None])
    edge = np.zeros((len(path), 1))
    shares = np.diff(np.hstack([edge, ends, edge + 1.0]), axis=1)
    counts = draw.multinomial(rows - gone, shares)
    return np.hstack([counts, gone[:, None], np.zeros((len(path), 1))]).astype(float)


def category(draw: np.random.Generator, path: Array, rows: int, planted: Planted | None) -> Array:
    """The counts of a column of categories."""
    shares = np.tile(SHARES, (len(path), 1))
    if planted is not None:
        shares[CHANGED:] = planted.shares
    shares[:, 1] *= np.exp(path)
    counts = draw.multinomial(rows, shares / shares.sum(axis=1, keepdims=True))
    return np.hstack([counts, np.zeros((len(path), 2))]).astype(float)


def column(draw: np.random.Generator, world: World, days: int, place: int, planted: Planted | None) -> list[Figure]:
    """The figures of a column: every third one is of categories."""
    of_numbers = place % 3 < 2
    make, kind, own = (number, NUMBER, np.full(BINS, 1 / BINS)) if of_numbers else (category, CATEGORY, SHARES)
    tally = Tally(counts=tuple(map(int, own * ROWS)))
    counts = make(draw, world.path(draw, days), world.rows, planted)
    return list(figures_of(Subject(Part.FEATURE, f"column {place}"), kind, tally, counts))


def judged(made: list[Figure], family: int = 0) -> tuple[Change, ...]:
    """What the rule says of them, as of so many figures (0: these)."""
    return changes(
        Figures(
            values=np.stack([each.days for each in made], axis=1),
            noise=np.stack([each.noise for each in made], axis=1),
            floors=np.array([each.floor for each in made]),
            far=np.array([each.far for each in made]),
            sudden=np.array([each.sudden for each in made]),
        ),
        family=family,
    )


def alarms_of(world: World, seed: int) -> dict[str, int]:
    """A year: whether anything alarmed, and on how many occasions."""
    draw = np.random.default_rng([seed, WORLDS.index(world)])
    found = judged(
        [each for place in range(world.columns) for each in column(draw, world, LEARNED + YEAR, place, None)]
    )
    starts = sorted({each.noticed for each in found})
    occasions = sum(1 for before, day in zip([-100, *starts], starts, strict=False) if day - before > 7)
    return {"alarmed": int(bool(found)), "occasions": occasions}


def delay_of(planted: Planted, rows: int, seed: int) -> dict[str, int | None]:
    """A change in one of twenty columns: after how many days it is noticed; None: not within `AFTER`."""
    draw = np.random.default_rng([seed, PLANTED.index(planted), rows])
    made = column(draw, World(name="", rows=rows), CHANGED + AFTER, 2 if planted.shares else 0, planted)
    own = [each for each in judged(made, FAMILY) if each.noticed >= CHANGED]
    return {"delay": min((each.noticed - CHANGED + 1 for each in own), default=None)}


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """How many ask on a day, drawn as a negative binomial with the weekday's mean."""

    name: str
    week: tuple[float, ...]

    def days(self, draw: np.random.Generator, number_of: int) -> list[DayEntry]:
        """Entries of so many days."""
        means = np.resize(self.week, number_of) * draw.gamma(20, 1 / 20, number_of)
        return [
            DayEntry.model_construct(
                model="m",
                environment="e",
                version="1.0.0",
                date=str(DAY_ONE + timedelta(place)),
                requests=int(rows),
                time="",
            )
            for place, rows in enumerate(draw.poisson(means))
        ]


TRAFFIC = (
    Traffic(name="500", week=(500.0,) * 7),
    Traffic(name="500, none on two days of the week", week=(500.0,) * 5 + (0.0,) * 2),
    Traffic(name="30", week=(30.0,) * 7),
    Traffic(name="5", week=(5.0,) * 7),
    Traffic(name="1", week=(1.0,) * 7),
)


def silence_of(traffic: Traffic, seed: int) -> dict[str, int | None]:
    """Whether the rule on outages alarms in a year of daily looks, and how soon once nobody asks any more."""
    draw = np.random.default_rng([seed, TRAFFIC.index(traffic)])
    days = traffic.days(draw, LEARNED + YEAR)
    alarmed = any(outage_of(days[:end], spans_of(days[:end], [None] * end))[1] for end in range(LEARNED, len(days) + 1))
    silent = [each.model_copy(update={"requests": 0}) for each in days[-AFTER:]]
    until = days[:-AFTER]
    ends = range(len(until) + 1, len(days) + 1)
    every = [*until, *silent]
    found = (end for end in ends if outage_of(every[:end], spans_of(every[:end], [None] * end))[1])
    last = next(found, None)
    return {"alarmed": int(alarmed), "delay": None if last is None else last - len(until)}


def counted(call: Callable[[int], dict[str, Any]], number_of: int, jobs: int) -> list[dict[str, Any]]:
    """The answers for every seed, the same whatever the number of processes."""
    with get_context("spawn").Pool(jobs) as pool:
        return pool.map(call, range(number_of), chunksize=4)


def main() -> int:
    """Count all and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--years", type=int, default=60)
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    alarms = []
    for world in WORLDS:
        years = counted(partial(alarms_of, world), asked.years, asked.jobs)
        alarms.append(
            {
                "world": world.name,
                "columns": world.columns,
                "requests": world.rows,
                "bound": world.bound,
                "years": len(years),
                "alarmed": sum(each["alarmed"] for each in years),
                "occasions": sum(each["occasions"] for each in years),
            }
        )
        print(alarms[-1], file=sys.stderr, flush=True)
    delays = []
    for planted in PLANTED:
        for rows in (50, 500, 50_000):
            found = counted(partial(delay_of, planted, rows), asked.changes, asked.jobs)
            days = [each["delay"] for each in found]
            delays.append({"change": planted.name, "requests": rows, "days": days})
            print(planted.name, rows, sorted(days, key=lambda day: day or 99), file=sys.stderr, flush=True)
    outages = []
    for traffic in TRAFFIC:
        years = counted(partial(silence_of, traffic), asked.years, asked.jobs)
        alarmed, days = sum(each["alarmed"] for each in years), [each["delay"] for each in years]
        outages.append({"requests": traffic.name, "years": len(years), "alarmed": alarmed, "days": days})
        print(outages[-1], file=sys.stderr, flush=True)
    results = {"alarms": alarms, "delays": delays, "outages": outages}
    RESULTS.write_text(f"{json.dumps(results, indent=1)}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
