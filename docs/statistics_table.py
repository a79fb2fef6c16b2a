"""Write the tables of docs/statistics.md anew from what was counted: `python docs/statistics_table.py`.

`python -m benchmarks.looks` counts, into docs/statistics.json; of sealed rows and anchors `benchmarks.authors`,
`benchmarks.sealed_levels` and `benchmarks.creep` do, into docs/memory.json. Whether a promise is kept its counts alone
say.
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
MEMORY = Path(__file__).with_name("memory.json")
MONITORING = Path(__file__).with_name("monitoring.json")
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
    memory: Mapping[str, Sequence[Cell]]  # of sealed rows and anchors

    @classmethod
    def read(cls) -> "Results":
        """Those of the documentation."""
        cells, memory = (json.loads(each.read_text(encoding="utf-8")) for each in (RESULTS, MEMORY))
        return cls(cells=cells, memory=memory)

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
    return _promised(promises(results))


def _promised(every: Sequence[Promise]) -> str:
    rows = (f"| {each.text} | {each.bound} | {each.measured} | {'yes' if each.kept else '**no**'} |" for each in every)
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


def _table(columns: str, rows: Iterator[str], *, words: int) -> str:
    """A table of columns, the first of which are words."""
    names = columns.split(", ")
    lines = f"| {' | '.join(names)} |", "|" + "|".join([":--"] * words + ["--:"] * (len(names) - words)) + "|"
    return "\n".join((*lines, *rows))


def memory_promises(results: Results) -> list[Promise]:
    """What is asked of sealed rows and of the anchor."""
    return [*_sealed_promises(results), *_anchor_promises(results)]


def _sealed_promises(results: Results) -> Iterator[Promise]:
    for text, name, among in (
        ("a wrong `pass` at the release, whoever its author", "wrong pass", "bad"),
        ("the same at one of twenty releases on the same sealed rows", "wrong pass in twenty", "sequences"),
    ):
        cells = [each for each in results.memory["authors"] if each.get(among, 0) > _FEW]
        cell = max(cells, key=lambda each: _share_of(each, name, among).percent)
        about = f"{_DATA[cell['world']]}, {cell['author']}, {cell['trials']} trials"
        worst = Worst(share=_share_of(cell, name, among), pool=about, rows=cell["rows"], among=len(cells))
        measured = f"{worst.share} %, the worst of {len(cells)} cells ({worst.pool}, {worst.rows:,} rows)"
        yield Promise(text=text, bound="at most 5 %", measured=measured, kept=not worst.is_beyond(5))
    worst_sum = max(100 * sum(each["passes"]) for each in results.memory["levels"])
    measured = f"{worst_sum:.1f} %, the worst of {len(results.memory['levels'])} cases"
    text = "all ten looks together, every outcome counted, at a true loss of one margin"
    yield Promise(text=text, bound="at most 5 %", measured=measured, kept=worst_sum <= 5)
    for rows in sorted({each["rows"] for each in results.memory["honest"] if each["rows"] >= _ENOUGH}):
        cells = [each for each in results.memory["honest"] if each["rows"] == rows and each["name"] == "three margins"]
        cell = min(cells, key=lambda each: _share_of(each, "passes", "comparisons").percent)
        share = _share_of(cell, "passes", "comparisons")
        differ = 100 * cell["differing"] / cell["comparisons"] / rows
        measured = f"{share} %, the least of {len(cells)} ({_DATA[cell['world']]}, {differ:.0f} % of the rows differ)"
        text = f"`pass` of a release that is better by three margins, {rows:,} sealed rows"
        yield Promise(text=text, bound="at least 90 %", measured=measured, kept=share.percent >= 90)


_ENOUGH = 2_000


def _anchor_promises(results: Results) -> Iterator[Promise]:
    for (kind, metric, sd, step), cells in _by_kind(results):
        if step and kind in {"constant", "moved"}:
            every = [value for each in cells for value in _losses(each)]
            mean = sum(every) / len(every)
            text = f"margins lost by twenty pull requests that lose {step:g} each, {kind}, `{metric}`, margin {sd:g} sd"
            yield Promise(text=text, bound="at most 2", measured=f"{mean:.2f}", kept=mean <= _MOST_LOST)
        elif not step and kind != "releases":
            share = Share(
                count=sum(each.get(_BLOCKED, 0) for each in cells), of=sum(each["requests"] for each in cells)
            )
            text = f"pull requests without a loss that the anchor blocks, {kind}, `{metric}`, margin {sd:g} sd"
            yield Promise(text=text, bound="at most 2 %", measured=f"{share} %", kept=share.percent <= _MOST_LOST)


_MOST_LOST = 2


def _memory(results: Results) -> str:
    return _promised(memory_promises(results))


def _levels(results: Results) -> str:
    """How likely a wrong pass is, by counting all outcomes."""
    columns = "sealed rows, margin, rows that differ, first look, tenth look, all ten, by t: first look, by t: all ten"
    return _table(columns, (_level_row(each) for each in results.memory["levels"]), words=0)


def _level_row(cell: Cell) -> str:
    differ = cell["margin"] / cell["of_differing"]
    (first, *_, tenth), by_t = cell["passes"], cell["by t"]
    shares = first, tenth, sum(cell["passes"]), by_t[0], sum(by_t)
    figures = " | ".join(f"{100 * share:.2f}" for share in shares)
    return f"| {cell['rows']:,} | {100 * cell['margin']:g} points | {100 * differ:.2f} % | {figures} |"


def _authors(results: Results) -> str:
    """What authors who climb the open rows come to."""
    columns = "data, author, trials, rows, reported, truly, interval holds it, wrong pass on open rows"
    columns += ", wrong pass at the release, at one of twenty"
    return _table(columns, (_author_row(each) for each in results.memory["authors"]), words=2)


def _author_row(cell: Cell) -> str:
    number = cell["sequences"]
    reported, truly = (cell.get(f"{name}, millionths", 0) / number / 1e4 for name in ("reported", "lost"))
    covered = Share(count=cell.get("open: covered", 0), of=number)
    bad = cell.get("bad", 0)
    wrong = (
        str(Share(count=cell.get(name, 0), of=of)) if of > _FEW else f"{cell.get(name, 0)} of {of}"
        for name, of in (("open: wrong pass", bad), ("wrong pass", bad), ("wrong pass in twenty", number))
    )
    return (
        f"| {_DATA[cell['world']]} | {cell['author']} | {cell['trials']} | {cell['rows']:,} "
        f"| {reported:+.2f} | {-truly:+.2f} | {covered.percent:.0f} | {' | '.join(wrong)} |"
    )


_FEW = 20
_DATA = MappingProxyType({"synthetic": "synthetic", "adult": "Adult"})


def _honest(results: Results) -> str:
    """How often a release passes whose author looked at nothing."""
    cells = results.memory["honest"]
    rows = sorted({each["rows"] for each in cells})
    kinds = dict.fromkeys(_honest_kind(each) for each in cells)
    columns = ", ".join(("release", "rows that differ", *(f"{each:,} sealed rows" for each in rows)))
    return _table(columns, (_honest_row([c for c in cells if _honest_kind(c) == kind]) for kind in kinds), words=1)


def _honest_row(cells: Sequence[Cell]) -> str:
    by_rows = sorted(cells, key=lambda each: int(each["rows"]))
    passes = " | ".join(str(_share_of(each, "passes", "comparisons")) for each in by_rows)
    differ = f"{100 * sum(c['differing'] for c in cells) / sum(c['comparisons'] * c['rows'] for c in cells):.1f} %"
    return f"| {_HONEST[cells[0]['name']]}, {_DATA[cells[0]['world']]} | {differ} | {passes} |"


_HONEST = MappingProxyType(
    {
        "three margins": "better by three margins",
        "0.58 points": "better by 0.58 points",
        "no change": "as good as before",
    }
)


def _honest_kind(cell: Cell) -> tuple[str, str, float]:
    return cell["world"], cell["name"], cell.get("differ", 0.0)


def _share_of(cell: Cell, what: str, among: str) -> Share:
    return Share(count=cell.get(what, 0), of=cell[among])


def _metrics(results: Results) -> str:
    """How often other metrics pass wrongly, of all learners and of the one that does most."""
    cells = results.memory["metrics"]
    asked = dict.fromkeys((each["metric"], each["rows"]) for each in cells)
    columns = "metric, sealed rows, draws, first look, worst learner, at ten"
    rows = (_metric_row([each for each in cells if (each["metric"], each["rows"]) == one]) for one in asked)
    return _table(columns, rows, words=1)


def _metric_row(cells: Sequence[Cell]) -> str:
    first = Share(count=sum(each["passes"][0] for each in cells), of=sum(each["draws"] for each in cells))
    worst = max(100 * each["passes"][0] / each["draws"] for each in cells)
    every = 100 * sum(sum(each["passes"]) for each in cells) / first.of
    return f"| `{cells[0]['metric']}` | {cells[0]['rows']:,} | {first.of} | {first} | {worst:.1f} | {every:.1f} |"


def _chains(results: Results) -> str:
    """What chains of pull requests lose."""
    columns = "pull requests, metric, margin, lost by each, chains, lost in all, worst pool, 19 of 20 within"
    columns += ", blocked by the anchor, worst pool, chains with a block"
    rows = (_chain_row(cells) for (kind, *_), cells in _by_kind(results) if kind != "releases")
    return _table(columns, rows, words=2)


def _by_kind(results: Results) -> list[tuple[tuple[str, str, float, float], list[Cell]]]:
    """The cells of chains, all pools of one kind, metric, margin and loss together."""
    found: dict[tuple[str, str, float, float], list[Cell]] = {}
    for cell in results.memory["chains"]:
        found.setdefault((cell["kind"], cell["metric"], cell["sd"], cell["step"]), []).append(cell)
    return list(found.items())


def _chain_row(cells: Sequence[Cell]) -> str:
    first, losses = cells[0], [_losses(each) for each in cells]
    every = sorted(value for each in losses for value in each)
    mean, worst = sum(every) / len(every), max(sum(each) / len(each) for each in losses)
    within = every[max(0, math.ceil(0.95 * len(every)) - 1)]
    blocked = Share(count=sum(each.get(_BLOCKED, 0) for each in cells), of=sum(each["requests"] for each in cells))
    some = Share(count=sum(each.get("chains with a block", 0) for each in cells), of=len(every))
    most = max(100 * each.get(_BLOCKED, 0) / each["requests"] for each in cells)
    lost = f"{mean:.2f} | {worst:.2f} | {within:g}" if first["step"] else "– | – | –"
    step = f"{first['step']:g} m" if first["step"] else "nothing"
    about = f"{first['kind']} | `{first['metric']}` | {first['sd']:g} sd | {step} | {len(every)}"
    return f"| {about} | {lost} | {blocked} | {most:.1f} | {some} |"


_BLOCKED = "blocked by the anchor"


def _losses(cell: Cell) -> list[float]:
    """What each chain lost, in margins."""
    counts = ((key.split(), number) for key, number in cell.items() if key.startswith("lost ") and "at" not in key)
    return [float(words[1]) for words, number in counts for _ in range(number)]


def _releases(results: Results) -> str:
    """What is lost over releases that each reset the anchor, and when the second anchor says so."""
    cells = [each for each in results.memory["chains"] if each["kind"] == "releases"]
    columns = ", ".join(
        (
            "lost by each pull request, chains",
            *(f"lost at release {each}" for each in range(1, _RELEASES + 1)),
            "noticed, before release 2, lost when noticed, most",
        )
    )
    steps = dict.fromkeys(each["step"] for each in cells)
    return _table(columns, (_release_row([each for each in cells if each["step"] == s]) for s in steps), words=1)


_RELEASES = 5


def _release_row(cells: Sequence[Cell]) -> str:
    chains, step = sum(each["chains"] for each in cells), cells[0]["step"]
    names = (f"lost at release {each}, thousandths" for each in range(1, _RELEASES + 1))
    lost = " | ".join(f"{sum(each.get(name, 0) for each in cells) / chains / 1000:.1f}" for name in names)
    noticed = Share(count=sum(each.get("noticed", 0) for each in cells), of=chains)
    early = Share(
        count=sum(each.get(f"noticed before release {number}", 0) for each in cells for number in (1, 2)), of=chains
    )
    at = [
        float(key.split()[2])
        for each in cells
        for key, number in each.items()
        if key.startswith("noticed at ")
        for _ in range(number)
    ]
    mean = f"{sum(at) / len(at):.1f} | {max(at):g}" if at and step else "– | –"
    return f"| {f'{step:g} m' if step else 'nothing'} | {chains} | {lost} | {noticed} | {early} | {mean} |"


def _alarms(_results: Results) -> str:
    rows = (
        f"| {each['world']} | {each['columns']} | {each['requests']:,} | {each['years']} "
        f"| {Share(count=each['alarmed'], of=each['years'])} | {'5 %' if each['bound'] else 'none'} |"
        for each in json.loads(MONITORING.read_text(encoding="utf-8"))["alarms"]
    )
    head = "| days without a change | columns | requests a day | years | years with an alarm, in percent | bound |"
    return "\n".join((head, "|:--|--:|--:|--:|--:|--:|", *rows))


def _delays(_results: Results) -> str:
    rows = (
        f"| {each['change']} | {each['requests']:,} | {_day(each['days'], 0.5)} | {_day(each['days'], 0.9)} |"
        for each in json.loads(MONITORING.read_text(encoding="utf-8"))["delays"]
    )
    return "\n".join(("| change | requests a day | half by day | nine of ten by day |", "|:--|--:|--:|--:|", *rows))


def _outages(_results: Results) -> str:
    rows = (
        f"| {each['requests']} | {each['years']} | {Share(count=each['alarmed'], of=each['years'])} "
        f"| {_day(each['days'], 0.5)} | {_day(each['days'], 0.9)} |"
        for each in json.loads(MONITORING.read_text(encoding="utf-8"))["outages"]
    )
    head = "| requests a day | years | years with an alarm, in percent | half by day | nine of ten by day |"
    return "\n".join((head, "|:--|--:|--:|--:|--:|", *rows))


def _day(days: Sequence[int | None], share: float) -> str:
    """The day by which a share of changes was noticed."""
    found = sorted(each if each is not None else math.inf for each in days)
    day = found[math.ceil(share * len(found)) - 1]
    return "not in 60" if math.isinf(day) else str(day)


_PARTS: Mapping[str, Callable[[Results], str]] = MappingProxyType(
    {
        "alarms": _alarms,
        "delays": _delays,
        "outages": _outages,
        "promises": _promises,
        "outcomes": _outcomes,
        "power": _powers,
        "memory": _memory,
        "levels": _levels,
        "authors": _authors,
        "metrics": _metrics,
        "honest": _honest,
        "chains": _chains,
        "releases": _releases,
    }
)

if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), Results.read()), encoding="utf-8")
