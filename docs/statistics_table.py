"""Write the tables of docs/statistics.md anew from what was counted: `python docs/statistics_table.py`.

`python -m benchmarks.looks` counts, into docs/statistics.json. Whether a promise is kept its counts alone say.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

PAGE = Path(__file__).with_name("statistics.md")
RESULTS = Path(__file__).with_name("statistics.json")
_PART = re.compile(r"(?P<begin><!-- (?P<name>[a-z]+) of the simulation -->\n).*?(?P<end><!-- end -->)", re.DOTALL)

Cell = Mapping[str, Any]
LUCK = 0.05
GATES = (1, 5, 10, 20)
FIRST = ("accuracy", "root_mean_squared_error")
"""What answers are moved for."""
POWER = ("three margins of 2.5 sd", "three judgeable margins", "weak recipe, three margins")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of comparisons, in percent, with what is not known of it."""

    count: int
    of: int

    @property
    def percent(self) -> float:
        """The share."""
        return 100 * self.count / self.of if self.of else math.nan

    @property
    def error(self) -> float:
        """Twice its standard error; by the rule of three where nothing, or all, was counted."""
        if self.count in {0, self.of}:
            return 300 / self.of if self.of else math.nan
        return 200 * math.sqrt(self.count * (self.of - self.count) / self.of**3)

    def __str__(self) -> str:
        """As the tables have it."""
        return f"{self.percent:.1f} ± {self.error:.1f}" if self.of else "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class Worst:
    """The largest share among many pools."""

    share: Share
    pool: str
    rows: int
    among: int  # how many there are

    def is_beyond(self, percent: float) -> bool:
        """Whether it is more than luck, among so many, where the true share is at most this."""
        rate, number = percent / 100, self.share.of
        terms = range(self.share.count, number + 1)
        tail = sum(math.comb(number, k) * rate**k * (1 - rate) ** (number - k) for k in terms)
        return tail * self.among < LUCK

    def __str__(self) -> str:
        """As the tables have it."""
        return f"worst pool {self.share.count} of {self.share.of} ({self.pool}, {self.rows:,} rows)"


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that was counted."""

    cells: Sequence[Cell]

    @classmethod
    def read(cls) -> "Results":
        """Those of the documentation."""
        return cls(cells=json.loads(RESULTS.read_text(encoding="utf-8")))

    @cached_property
    def rows(self) -> list[int]:
        """How many rows the holdouts have."""
        return sorted({each["rows"] for each in self.cells})

    def of(self, kind: str, rows: int | None = None) -> list[Cell]:
        """The cells of a kind of comparison, at a number of rows or at all."""
        return [each for each in self.cells if each["kind"] == kind and rows in {None, each["rows"]}]

    def share(self, kind: str, what: str, among: str = "comparisons", rows: int | None = None) -> Share:
        """How often something came of it."""
        found = self.of(kind, rows)
        return Share(count=sum(each.get(what, 0) for each in found), of=sum(each.get(among, 0) for each in found))

    def share_called_judgeable(self, what: str) -> Share:
        """How often a drop of three margins failed of which the report says that it can judge it, among ten gates."""
        names = [kind for name in POWER for kind in _both(name, (10,))]
        found = [self.share(name, f"judgeable, {what}", "judgeable") for name in names]
        return Share(count=sum(each.count for each in found), of=sum(each.of for each in found))

    def seeds(self, kind: str, rows: int | None = None) -> float:
        """How many seeds a side it took on average."""
        found = self.of(kind, rows)
        return float(sum(each["seeds"] for each in found) / sum(each["comparisons"] for each in found))

    def worst(self, kinds: Sequence[str], outcome: str) -> "Worst":
        """The pool with the largest share of an outcome."""
        cells = [each for kind in kinds for each in self.of(kind)]
        cell = max(cells, key=lambda each: float(each["worst"][outcome][0]))
        share, pool, number = cell["worst"][outcome]
        return Worst(
            share=Share(count=round(share * number / 100), of=number),
            pool=pool,
            rows=cell["rows"],
            among=sum(each["pools"] for each in cells),
        )


def named(kind: str, gates: int, *, history: bool = False) -> str:
    """A kind of comparison as it is counted."""
    return f"{kind}{', history' if history else ''}: {gates} gate{'s' * (gates > 1)}"


def _both(kind: str, gates: Sequence[int]) -> list[str]:
    return [named(kind, count, history=history) for history in (False, True) for count in gates]


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """What the rule is to keep, and whether it did."""

    text: str
    bound: str
    measured: str
    kept: bool


def promises(results: Results) -> list[Promise]:
    """What is asked of the rule: of the shares over all pools, and of the worst pool as far as it is not luck."""
    return [
        *_wrong_fails(results),
        *_wrong_passes(results),
        *_power(results),
        *_seeds(results),
    ]


def _largest(results: Results, kinds: Sequence[str], what: str) -> Share:
    every = (results.share(kind, what, rows=rows) for kind in kinds for rows in results.rows)
    return max((each for each in every if each.of), key=lambda each: each.percent)


def _wrong_fails(results: Results) -> Iterator[Promise]:
    for text, kinds, most in (
        ("`fail` where nothing changed, margin 0", ("no change, margin 0",), 6),
        ("the same at real margins", ("no change, 2.5 sd", "no change, 4 sd"), 1),
    ):
        names = [name for kind in kinds for name in _both(kind, GATES)]
        yield _error(results, text, names, "fail", most)


def _wrong_passes(results: Results) -> Iterator[Promise]:
    weak = sorted({each["kind"] for each in results.cells if each["kind"].startswith("weak recipe, one margin")})
    for text, names in (
        *(
            (f"`pass` at a true drop of one margin, answers moved, {metric}", _both(f"one margin: {metric}", (1,)))
            for metric in FIRST
        ),
        ("the same of the weak recipe, each of three metrics", weak),
    ):
        yield _error(results, text, names, "pass", 7.5)


def _error(results: Results, text: str, kinds: Sequence[str], outcome: str, most: float) -> Promise:
    share, worst = _largest(results, kinds, outcome), results.worst(kinds, outcome)
    kept = share.percent <= most and not worst.is_beyond(most)
    return Promise(text=text, bound=f"at most {most:g} %", measured=f"{share} %, {worst}", kept=kept)


def _power(results: Results) -> Iterator[Promise]:
    for text, what in (
        ("`fail` at three margins that the report calls judgeable, ten gates", "fail"),
        ("the same of the gate alone, as if nothing else had dropped", "alone"),
    ):
        share = results.share_called_judgeable(what)
        yield Promise(text=text, bound="at least 90 %", measured=f"{share} % of {share.of:,}", kept=share.percent >= 90)


def _seeds(results: Results) -> Iterator[Promise]:
    for gates in GATES:
        mean = results.seeds(named("no change, 4 sd", gates, history=True))
        text = f"seeds a side where nothing changed, margin 4 sd, history, {gates} gate{'s' * (gates > 1)}"
        yield Promise(text=text, bound="at most 3.2", measured=f"{mean:.2f}", kept=mean <= 3.2)


def rewritten(page: str, results: Results) -> str:
    """The page with each part between `<!-- NAME of the simulation -->` and `<!-- end -->` as it was counted."""
    return _PART.sub(lambda part: f"{part['begin']}\n{_PARTS[part['name']](results)}\n\n{part['end']}", page)


def _promises(results: Results) -> str:
    rows = (
        f"| {each.text} | {each.bound} | {each.measured} | {'yes' if each.kept else '**no**'} |"
        for each in promises(results)
    )
    return "\n".join(("| asked | bound | measured | kept |", "|:--|:--|:--|:--|", *rows))


def _outcomes(results: Results) -> str:
    return "\n".join(
        (
            "| comparison | gates | rows | number | fail | pass | few rows | seeds | history: fail | pass | seeds |",
            "|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            *_outcome_rows(results),
        )
    )


def _outcome_rows(results: Results) -> Iterator[str]:
    for kind, counts in (
        ("no change, margin 0", GATES),
        ("no change, 2.5 sd", GATES),
        ("no change, 4 sd", GATES),
        *((f"one margin: {metric}", (1,)) for metric in FIRST),
    ):
        for gates in counts:
            for rows in results.rows:
                one, other = named(kind, gates), named(kind, gates, history=True)
                if results.of(one, rows):
                    fail, passed = (results.share(one, what, rows=rows) for what in ("fail", "pass"))
                    few = results.share(one, "few rows", rows=rows)
                    with_history = [results.share(other, what, rows=rows) for what in ("fail", "pass")]
                    yield (
                        f"| {kind} | {gates} | {rows:,} | {fail.of:,} | {fail} | {passed} | {few.percent:.1f} "
                        f"| {results.seeds(one, rows):.2f} | {with_history[0]} | {with_history[1]} "
                        f"| {results.seeds(other, rows):.2f} |"
                    )


def _powers(results: Results) -> str:
    return "\n".join(
        (
            "| true drop | gates | rows | fail | least pool | alone | theory | judgeable | of these fail | alone |",
            "|:--|--:|--:|--:|:--|--:|--:|--:|--:|--:|",
            *_power_rows(results),
        )
    )


def _power_rows(results: Results) -> Iterator[str]:
    for kind in POWER:
        for gates in (1, 10):
            for rows in results.rows:
                name = named(kind, gates)
                if not results.of(name, rows):
                    continue
                fail, alone = (results.share(name, what, rows=rows) for what in ("fail", "alone"))
                called = results.share(name, "judgeable", rows=rows)
                theory = results.share(name, "theory, thousandths", rows=rows).percent / 1000
                (cell,) = results.of(name, rows)
                least, pool, _ = cell["worst"]["least fail"]
                of_these = [results.share(name, f"judgeable, {what}", "judgeable", rows) for what in ("fail", "alone")]
                yield (
                    f"| {kind} | {gates} | {rows:,} | {fail} | {least:g} ({pool}) | {alone} | {theory:.1f} "
                    f"| {called.percent:.0f} | {of_these[0]} | {of_these[1]} |"
                )


_PARTS: Mapping[str, Callable[[Results], str]] = MappingProxyType(
    {"promises": _promises, "outcomes": _outcomes, "power": _powers}
)

if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), Results.read()), encoding="utf-8")
