"""Days of production that are drawn: counts in a reference's bins, without a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from tests.support.history_samples import MODEL, day, deployment, reference, release

from mlbot.data.sketch import Column, Counts, Sketch, SketchKind, Tally
from mlbot.ledger.entries import DayEntry, Entry

Floats = npt.NDArray[np.float64]
BINS = 20
START = date(2026, 1, 1)
AGE = Column(name="age", kind=SketchKind.NUMBER, edges=tuple(map(float, range(1, BINS))))
PLAN = Column(name="plan", kind=SketchKind.CATEGORY, values=("free", "basic", "pro", "team"), distinct=9)
PLANS = np.array([0.6, 0.25, 0.1, 0.04, 0.01])
ROWS = 20_000


def normal_shares(shift: float = 0.0, scale: float = 1.0) -> Floats:
    """The shares of bins that are a standard normal's quantiles, of a normal that is moved and stretched."""
    edges = stats.norm.ppf(np.arange(1, BINS) / BINS)
    return np.diff(np.concatenate([[0.0], stats.norm.cdf((edges - shift) / scale), [1.0]]))


SKETCH = Sketch(
    features=(AGE, PLAN),
    counts=Counts(
        rows=ROWS,
        features=(
            Tally(counts=(ROWS // BINS,) * BINS),
            Tally(counts=tuple(map(int, PLANS * ROWS))),
        ),
    ),
)


@dataclass(kw_only=True)
class Days:
    """Draws days; what happens on each is given by functions of the day's number."""

    rows: int = 500
    seed: int = 0
    shift: Callable[[int], float] = lambda _day: 0.0  # of age, in standard deviations
    missing: Callable[[int], float] = lambda _day: 0.0  # of age
    plans: Callable[[int], Sequence[float]] = lambda _day: [*PLANS]
    requests: Callable[[int], int] | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    def entries(self, days: int) -> list[Entry]:
        """The ledger of a version that was live for so many days."""
        chance = np.random.default_rng(self.seed)
        return [
            release("1.0.0"),
            reference("1.0.0", sketch=SKETCH),
            deployment(1, "1.0.0", "production", time="2025-12-31T12:00:00Z"),
            *(self.one(number, chance) for number in range(days)),
        ]

    def one(self, number: int, chance: np.random.Generator) -> DayEntry:
        rows = self.requests(number) if self.requests else self.rows
        gone = int(chance.binomial(rows, self.missing(number)))
        age = chance.multinomial(rows - gone, normal_shares(self.shift(number)))
        plan = chance.multinomial(rows, np.array(self.plans(number)) / sum(self.plans(number)))
        tallies = (
            Tally(counts=tuple(map(int, age)), missing=gone),
            Tally(counts=tuple(map(int, plan))),
        )
        return day(on(number), requests=rows, counts=Counts(rows=rows, features=tallies), **self.changes)


def on(number: int) -> str:
    """The date of a day."""
    return (START + timedelta(days=number)).isoformat()


__all__ = ["MODEL", "SKETCH", "Days", "on"]
