"""What is simulated, how it is counted, and the tables that come out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from mlbot.stats.recipe import RecipeMethod, RecipeTest

MARGINS: Mapping[str, float] = MappingProxyType({"roc_auc": 0.005, "accuracy": 0.01})
SIZES = (500, 2_000, 10_000)
DROPS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Design:
    """How many seeds each side has, and whether a history of seeds is at hand."""

    candidates: int
    baselines: int
    history: bool = False

    def __str__(self) -> str:
        return f"{self.candidates} / {self.baselines}{' + history' if self.history else ''}"


THREE, FIVE, ONE = Design(3, 3), Design(5, 5), Design(1, 3)
CELLS = [
    *((design, rows) for design in (THREE, FIVE, ONE) for rows in SIZES),
    *((design, 2_000) for design in (Design(1, 1, history=True), Design(3, 3, history=True))),
]


@dataclass(frozen=True, slots=True)
class Cell:
    """One learner, metric, design, holdout size and margin."""

    learner: str
    metric: str
    design: Design
    rows: int
    margin: float

    def __str__(self) -> str:
        return f"{self.learner}, {self.metric}, seeds {self.design}, {self.rows:,} rows, margin {self.margin:.5f}"


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a cell's comparisons came to.

    Attributes:
        outcomes: counts by (true drop in margins, outcome).
        at_zero: counts at no drop and a margin of nothing.
        judgeable: at three margins, (comparisons that were judgeable, of them failed).
        deviations: sqrt(V) of each comparison without a drop.
        drops: D of the same.
        far: D of each comparison at three margins.
    """

    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)
    at_zero: Counter[str] = field(default_factory=Counter)
    judgeable: Counter[bool] = field(default_factory=Counter)
    deviations: list[float] = field(default_factory=list)
    drops: list[float] = field(default_factory=list)
    far: list[float] = field(default_factory=list)

    def add(self, drop: int, test: RecipeTest, margin: float) -> None:
        """Count one comparison at a true drop of `drop` margins."""
        self.outcomes[drop, outcome(test, margin)] += 1
        if drop == max(DROPS):
            self.far.append(test.drop)
            self.judgeable[test.low > margin] += test.judgeable
        if drop == 0:
            self.deviations.append(test.variance**0.5)
            self.drops.append(test.drop)

    def save(self, file: Path) -> None:
        """Keep the tally, whole or not at all."""
        counts = {
            "outcomes": [[*key, count] for key, count in self.outcomes.items()],
            "at_zero": dict(self.at_zero),
            "judgeable": [self.judgeable[False], self.judgeable[True]],
            "deviations": self.deviations,
            "drops": self.drops,
            "far": self.far,
        }
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(counts))
        partial.rename(file)

    @classmethod
    def load(cls, file: Path) -> "Tally":
        """A tally that was saved."""
        counts = json.loads(file.read_text())
        missed, failed = counts["judgeable"]
        return cls(
            outcomes=Counter({(drop, name): count for drop, name, count in counts["outcomes"]}),
            at_zero=Counter(counts["at_zero"]),
            judgeable=Counter({False: missed, True: failed}),
            deviations=counts["deviations"],
            drops=counts["drops"],
            far=counts["far"],
        )

    def share(self, drop: int, name: str) -> float:
        """Percent of the comparisons at a true drop that had an outcome."""
        return 100 * self.outcomes[drop, name] / sum(n for (d, _), n in self.outcomes.items() if d == drop)


def outcome(test: RecipeTest, margin: float) -> str:
    """The gate's outcome, for one blocking gate."""
    if test.method is RecipeMethod.SEED_VARIANCE_UNKNOWN:
        return "inconclusive"
    if test.low > margin:
        return "fail"
    return "pass" if test.high < margin or test.method is RecipeMethod.IDENTICAL else "inconclusive"


Results = Sequence[tuple[Cell, Tally]]


def main_table(results: Results) -> str:
    """Fail/inconclusive/pass by true drop, the mean over learners and metrics, in percent."""
    lines = [
        "| seeds (candidate / baseline) | rows | no drop | 1 margin | 2 margins | 3 margins |",
        "|---|---|---|---|---|---|",
    ]
    for design, rows in CELLS:
        chosen = [tally for cell, tally in _usual(results) if (cell.design, cell.rows) == (design, rows)]
        shares = [_triple(chosen, drop) for drop in DROPS]
        lines.append(f"| {design} | {rows:,} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _triple(tallies: Sequence[Tally], drop: int) -> str:
    names = ("fail", "inconclusive", "pass")
    return "/".join(f"{np.mean([tally.share(drop, name) for tally in tallies]):.0f}" for name in names)


def cell_table(results: Results) -> str:
    """Each cell's error rates in percent, and the noise it was measured against."""
    heads = (
        "learner",
        "metric",
        "seeds",
        "rows",
        "margin",
        "fail, no drop, margin 0",
        "fail, no drop",
        "pass at 2 margins",
        "fail at 3 margins",
        "the same where judgeable (share judgeable)",
        "sqrt(V): mean / true",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for cell, tally in results:
        lines.append(
            f"| {cell.learner} | {cell.metric} | {cell.design} | {cell.rows:,} "
            f"| {cell.margin:.4f} | {_zero(tally):.1f} | {tally.share(0, 'fail'):.1f} | {tally.share(2, 'pass'):.1f} "
            f"| {tally.share(3, 'fail'):.1f} | {_power(tally)} "
            f"| {np.sqrt(np.mean(np.square(tally.deviations))):.4f} / {np.std(tally.drops):.4f} |"
        )
    return "\n".join(lines)


def _zero(tally: Tally) -> float:
    return 100 * tally.at_zero["fail"] / tally.at_zero.total()


def _power(tally: Tally) -> str:
    judged, of = tally.judgeable.total(), sum(n for (drop, _), n in tally.outcomes.items() if drop == max(DROPS))
    power = f"{100 * tally.judgeable[True] / judged:.1f}" if judged else "-"
    return f"{power} ({100 * judged / of:.0f})"


def bounds(results: Results) -> str:
    """The worst cell of each promise, for three or five seeds on both sides."""
    usual = [tally for cell, tally in _usual(results) if cell.design in {THREE, FIVE}]
    largest = [(c, t) for c, t in results if (c.design, c.rows) == (THREE, max(SIZES))]
    tight = [tally for cell, tally in largest if cell.margin != MARGINS[cell.metric]]
    judged = [100 * tally.judgeable[True] / tally.judgeable.total() for _, tally in largest]
    rows = (
        ("fail without a drop, margin 0", "at most 6 %", max(map(_zero, usual))),
        ("fail without a drop, the example's margins", "at most 1 %", max(t.share(0, "fail") for t in usual)),
        ("pass at a true drop of twice the margin", "at most 5 %", max(t.share(2, "pass") for t in usual)),
        ("fail at three times the margin: 3 seeds, 10,000 rows, reported as judgeable", "at least 95 %", min(judged)),
        ("the same at the tightest margin, judgeable or not", "", min(t.share(3, "fail") for t in tight)),
    )
    lines = [f"| {promise} | {bound} | {worst:.2f} % |" for promise, bound, worst in rows]
    return "\n".join(("| promise | bound | worst cell |", "|---|---|---|", *lines))


def _usual(results: Results) -> Results:
    return [(cell, tally) for cell, tally in results if cell.margin == MARGINS[cell.metric]]
