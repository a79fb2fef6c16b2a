"""From the rows of evaluations to scores and comparisons: items that both sides were asked, errors as bounds.

The items are the union of all files. What lacks a score is an error: beyond the share that the config allows there is
no outcome, and within it an error is taken for the worst and for the best value that the score can have, so that only
what both of them show is a pass or a fail.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.config.predict import Evaluate
from mlbot.gates.metric import Direction, Metric
from mlbot.gates.outcome import ALPHA, Reason
from mlbot.judging.rows import Row, Rows, shown
from mlbot.stats.intervals import benjamini_hochberg
from mlbot.stats.items import Asked, ItemTest, item_estimate, item_interval, item_test, worse_better_equal
from mlbot.stats.recipe import RecipeMethod, RecipeTest, Sameness, recipe_test
from mlbot.verdict.verdict import (
    Comparison,
    ItemChange,
    ItemChanges,
    Items,
    ItemSide,
    Look,
    Method,
    Problem,
    RowError,
    Score,
)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
Subject = tuple[str, str | None]

_NAMED = 5
_MOST_CHANGED = 10
_CANDIDATE, _BASELINE = "candidate", "baseline"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """The evaluations of both sides' files, the first of each being the one that ships; no baseline where none is."""

    candidate: tuple[Rows, ...]
    baseline: tuple[Rows, ...] = ()

    @property
    def files(self) -> tuple[Rows, ...]:
        """All of them, the candidate's first."""
        return *self.candidate, *self.baseline

    def side(self, file: int) -> str:
        """Whose file it is."""
        return _CANDIDATE if file < len(self.candidate) else _BASELINE


def unfinished(rows: Rows, evaluate: Evaluate) -> Problem | None:
    """Why a run as a whole does not count: it was stopped, or asked something else than policy wants."""
    asked = {row.item for row in rows.rows}
    repeats = max(row.repeat for row in rows.rows)
    if not rows.complete:
        return Problem.of(Reason.RESULTS_INCOMPLETE, "stopped", rows=len(rows.rows), wanted=_wanted(rows, evaluate))
    if rows.items is not None and len(asked) != rows.items:
        return Problem.of(Reason.RESULTS_INCOMPLETE, "items", items=len(asked), wanted=rows.items)
    if repeats != evaluate.repeats or rows.repeats not in {None, evaluate.repeats}:
        found = repeats if repeats != evaluate.repeats else rows.repeats
        return Problem.of(Reason.RESULTS_INCOMPLETE, "repeats", repeats=found, wanted=evaluate.repeats)
    return _wrong_scores(rows, evaluate)


def _wanted(rows: Rows, evaluate: Evaluate) -> int:
    return rows.items * evaluate.repeats if rows.items else 0


def _wrong_scores(rows: Rows, evaluate: Evaluate) -> Problem | None:
    """A score that no row has, or one outside its range; one that is null in every row is so many errors."""
    names = sorted({name for row in rows.rows for name in row.scores})
    for metric in evaluate.metrics:
        values = [(row, value) for row in rows.rows if (value := row.scores.get(metric.name)) is not None]
        if metric.name not in names and not all(row.error for row in rows.rows):
            there = ", ".join(names[:_NAMED])
            return Problem.of(Reason.RESULTS_INCOMPLETE, "no-score", metric=metric.name, there=shown(there))
        low, high = metric.range or (-math.inf, math.inf)
        outside = next((row for row, value in values if not low <= value <= high), None)
        if outside is not None:
            words = {"metric": metric.name, "item": shown(outside.item), "low": f"{low:g}", "high": f"{high:g}"}
            return Problem.of(Reason.RESULTS_UNREADABLE, "outside", **words)
    return None


@dataclass(frozen=True, kw_only=True)
class Table:
    """The scores of all files over the same items; what lacks one is NaN."""

    sides: Sides
    evaluate: Evaluate
    items: tuple[str, ...]
    at: Mapping[str, int]

    @classmethod
    def of(cls, sides: Sides, evaluate: Evaluate) -> "Table | Problem":
        """The union of the items of all files; a problem where the files do not ask the same."""
        of_files = [{row.item for row in rows.rows} for rows in sides.files]
        items = tuple(sorted(set().union(*of_files)))
        if sides.baseline and set[str]().union(*of_files[: len(sides.candidate)]).isdisjoint(
            set[str]().union(*of_files[len(sides.candidate) :])
        ):
            return Problem.of(Reason.RESULTS_INCOMPLETE, "no-common-item")
        table = cls(sides=sides, evaluate=evaluate, items=items, at={item: index for index, item in enumerate(items)})
        return table.changed_case() or table

    def changed_case(self) -> Problem | None:
        """The first item whose case is not the same in all files."""
        known: dict[tuple[str, str, str], str | float] = {}
        for rows in self.sides.files:
            for row in rows.rows:
                facts = [(cause, "", value) for cause, value in (("input", row.input), ("group", row.group))]
                for cause, what, value in (*facts, *(("slice", *each) for each in row.slices.items())):
                    if value is not None and known.setdefault((row.item, cause, what), value) != value:
                        return Problem.of(Reason.CASE_CHANGED, cause, item=shown(row.item), slice=shown(what))
        return None

    @cached_property
    def groups(self) -> Labels | None:
        """The cluster of each item, as a code; None where each item is its own."""
        named = {row.item: row.group for rows in self.sides.files for row in rows.rows if row.group is not None}
        if not named:
            return None
        # An item without a group is one of its own, which no group's name can be taken for.
        names = [("group", named[item]) if item in named else ("item", item) for item in self.items]
        codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
        return np.array([codes[name] for name in names], np.int64)

    @cached_property
    def slices(self) -> Mapping[str, tuple[str | float | None, ...]]:
        """What the files say of items for slices, by column."""
        found: dict[str, list[str | float | None]] = {}
        for rows in self.sides.files:
            for row in rows.rows:
                for name, value in row.slices.items():
                    found.setdefault(name, [None] * len(self.items))[self.at[row.item]] = value
        return {name: tuple(values) for name, values in found.items()}

    def values(self, file: int, metric: str) -> Floats:
        """A metric's scores of a file, (items, repeats)."""
        made = np.full((len(self.items), self.evaluate.repeats), np.nan)
        for row in self.sides.files[file].rows:
            value = row.scores.get(metric)
            if value is not None and row.error is None:
                made[self.at[row.item], row.repeat - 1] = value
        return made

    @cached_property
    def scores(self) -> Mapping[str, tuple[Floats, ...]]:
        """The scores of every file, by metric."""
        files = range(len(self.sides.files))
        return {each.name: tuple(self.values(file, each.name) for file in files) for each in self.evaluate.metrics}

    def errors(self, file: int) -> list[RowError]:
        """The rows of a file that lack a score, and why, in the items' order."""
        rows = {(row.item, row.repeat): row for row in self.sides.files[file].rows}
        every = ((item, repeat + 1) for item in self.items for repeat in range(self.evaluate.repeats))
        why = ((at, self._why(rows.get(at))) for at in every)
        return [RowError(item=shown(item), repeat=repeat, why=text) for (item, repeat), text in why if text]

    def _why(self, row: Row | None) -> str:
        if row is None:
            return "absent"
        if row.error is not None:
            return row.error or "error"
        missing = [each.name for each in self.evaluate.metrics if row.scores.get(each.name) is None]
        return f"no score {', '.join(missing)}"[:_LONGEST] if missing else ""


_LONGEST = 200


def too_many_errors(table: Table, file: int) -> Problem | None:
    """Why a file's errors leave no outcome: there are more than the config allows, or nothing says what they may be."""
    errors = table.errors(file)
    if not errors:
        return None
    rows, most = len(table.items) * table.evaluate.repeats, table.evaluate.errors.max
    named = "; ".join(f"{each.item} (repeat {each.repeat}): {each.why}" for each in _an_item_each(errors))
    words: dict[str, Any] = {"errors": len(errors), "rows": rows, "side": table.sides.side(file), "named": named}
    if len(errors) > most * rows:
        return Problem.of(Reason.RESULTS_INCOMPLETE, "errors", most=f"{most:.3g}", **words)
    unbounded = next((each.name for each in table.evaluate.metrics if each.range is None), None)
    if unbounded is not None:
        return Problem.of(Reason.RESULTS_INCOMPLETE, "no-range", metric=unbounded, **words)
    return None


def _an_item_each(errors: Iterable[RowError]) -> list[RowError]:
    first: dict[str, RowError] = {}
    for each in errors:
        first.setdefault(each.item, each)
    return list(first.values())[:_NAMED]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorePlan:
    """What is to be measured of evaluations."""

    margins: Mapping[Subject, float]
    family: int = 1
    seeds_matter: tuple[bool, bool] = (False, False)  # of the candidate and the baseline
    identical: bool = False  # whether both sides are one artifact
    level: float = ALPHA


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredScores:
    """What evaluations come to."""

    scores: tuple[tuple[Score, ...], ...]  # of each file
    comparisons: tuple[Comparison, ...]
    items: Items


def measure_scores(table: Table, plan: ScorePlan, masks: Mapping[str, Mask]) -> MeasuredScores:
    """Every score of every file, and of both sides the change; on all items and on each slice."""
    scores: list[list[Score]] = [[] for _ in table.sides.files]
    found: list[tuple[Comparison, float | None]] = []
    every = np.ones(len(table.items), np.bool_)
    for name, mask in ((None, every), *masks.items()):
        for metric in table.evaluate.metrics:
            part = _Part(table=table, metric=metric, slice=name, mask=mask)
            for file, own in enumerate(scores):
                own.append(part.score(file))
            if table.sides.baseline:
                found.append(part.comparison(plan))
    return MeasuredScores(scores=tuple(map(tuple, scores)), comparisons=with_q_values(found), items=items_of(table))


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One metric on some items."""

    table: Table
    metric: Metric
    slice: str | None
    mask: Mask

    @cached_property
    def groups(self) -> Labels | None:
        return None if self.table.groups is None else self.table.groups[self.mask]

    @property
    def files(self) -> tuple[Floats, ...]:
        return tuple(each[self.mask] for each in self.table.scores[self.metric.name])

    @property
    def rows(self) -> int:
        return int(self.mask.sum())

    @property
    def worst(self) -> float:
        return self._end(better=False)

    @property
    def best(self) -> float:
        return self._end(better=True)

    def _end(self, *, better: bool) -> float:
        low, high = self.metric.range or (0.0, 0.0)  # without a range there are no errors
        return high if (self.metric.direction is Direction.HIGHER) is better else low

    def means(self, file: int, error: float) -> Floats:
        """Each item's mean over its repeats, with a value for what lacks one."""
        values = self.files[file]
        means: Floats = np.where(np.isnan(values), error, values).mean(axis=1)
        return means

    def has_errors(self, files: Iterable[int]) -> bool:
        return any(bool(np.isnan(self.files[file]).any()) for file in files)

    @cached_property
    def binary(self) -> bool:
        once = self.table.evaluate.repeats == 1 and self.metric.range == (0.0, 1.0)
        return once and all(bool(np.isin(each[~np.isnan(each)], (0.0, 1.0)).all()) for each in self.files)

    @property
    def few(self) -> Problem | None:
        """Why nothing can be said of how far other items would move the score."""
        if not self.rows:
            return Problem.of(Reason.EMPTY_SLICE, detail="No item is in the slice.")
        units = self.rows if self.groups is None else np.unique(self.groups).size
        if units >= _FEWEST:
            return None
        return Problem.of(
            Reason.NO_INTERVAL, "items", metric=self.metric.name, of="item" if self.groups is None else "group"
        )

    def score(self, file: int) -> Score:
        fields: dict[str, Any] = {"metric": self.metric.name, "slice": self.slice, "rows": self.rows}
        if not self.rows:
            return Score(**fields, problem=self.few)
        low, high = (self.means(file, error) for error in (self.worst, self.best))
        fields |= {"value": float(low.mean())}
        if self.has_errors([file]):
            fields["best"] = float(high.mean())
        if self.few:
            return Score(**fields)
        ends = [item_interval(each, self.metric.range, self.groups) for each in (low, high)]
        return Score(**fields, low=min(each.low for each in ends), high=max(each.high for each in ends))

    def comparison(self, plan: ScorePlan) -> tuple[Comparison, float | None]:
        margin, ours = plan.margins.get((self.metric.name, self.slice)), len(self.table.sides.candidate)
        files = range(len(self.table.sides.files))
        fields: dict[str, Any] = {"metric": self.metric.name, "slice": self.slice, "direction": self.metric.direction}
        fields |= {"rows": self.rows, "margin": margin}
        if self.few:
            known = self._means(ours) if self.rows else {}
            return Comparison(**fields, **known, problem=self.few), None
        tests = _Tests(part=self, plan=plan, margin=margin, ours=ours)
        errors = self.has_errors(files)
        worst, change = tests.look(self.worst, self.worst)
        ends = (tests.look(self.worst, self.best)[0], tests.look(self.best, self.worst)[0]) if errors else ()
        merged = _merged(worst, ends)
        return (
            Comparison(
                **fields,
                **self._means(ours),
                **dict(merged),
                support=float(self.rows),
                groups=None if self.groups is None else int(np.unique(self.groups).size),
                family=plan.family,
                mde=tests.mde,
                bounds=ends,
            ),
            change,
        )

    def _means(self, ours: int) -> dict[str, Any]:
        values = [float(self.means(file, self.worst).mean()) for file in range(len(self.files))]
        return {"candidate": float(np.mean(values[:ours])), "baseline": float(np.mean(values[ours:]))}


_FEWEST = 2


@dataclass(kw_only=True)
class _Tests:
    """The test of one metric on some items, with errors taken for one value or another."""

    part: _Part
    plan: ScorePlan
    margin: float | None
    ours: int
    mde: float | None = None

    def look(self, ours: float, theirs: float) -> tuple[Look, float | None]:
        """The look with the candidate's errors taken for `ours`, the baseline's for `theirs`; and p of any change."""
        part, files = self.part, len(self.part.files)
        means = [part.means(file, ours if file < self.ours else theirs) for file in range(files)]
        if self.plan.identical:
            return Look(change=0.0, low=0.0, high=0.0, method=Method.IDENTICAL), 1.0
        if any(self.plan.seeds_matter):
            return self._of_recipe(means)
        test = item_test(means[0], means[self.ours], self._asked(), part.groups)
        self.mde = max(test.mde or 0.0, self.mde or 0.0) if self.margin is not None else None
        return self._shown(test), test.any_change

    def _asked(self) -> Asked:
        low, high = self.part.metric.range or (0.0, 0.0)
        return Asked(
            sign=self.part.metric.direction.worse,
            margin=self.margin or 0.0,
            level=self.plan.level,
            family=self.plan.family,
            span=high - low if high > low else None,
            binary=self.part.binary,
        )

    def _shown(self, test: ItemTest) -> Look:
        return Look(
            seeds=1,
            level=test.level,
            change=test.change,
            low=test.low,
            high=test.high,
            standard_error=test.standard_error,
            df=test.df,
            method=Method.PAIRED,
            p_value=None if self.margin is None else test.p,
            effective_rows=test.effective_items,
            thin=test.thin,
        )

    def _of_recipe(self, means: Sequence[Floats]) -> tuple[Look, float | None]:
        """Several trainings of a side: their seeds are in the interval, as everywhere."""
        part, sign = self.part, self.part.metric.direction.worse
        test = recipe_test(
            item_estimate(means, part.groups, span=self._asked().span),
            self.ours,
            sign=sign,
            margin=self.margin or 0.0,
            level=self.plan.level,
            family=0 if self.margin is None else self.plan.family,
            same=Sameness(
                candidate_seed_matters=self.plan.seeds_matter[0], baseline_seed_matters=self.plan.seeds_matter[1]
            ),
        )
        self.mde = max(test.mde or 0.0, self.mde or 0.0) if test.mde is not None else None
        seeds = self.ours if 2 * self.ours == len(means) else None
        look = Look(**look_of(test, sign), seeds=seeds, p_value=None if self.margin is None else test.p)
        return look, test.any_change


def _merged(worst: Look, ends: Sequence[Look]) -> Look:
    """The look with errors as wrong answers of both sides, and with the hull of both ends for its interval.

    Only what both show counts. A fail has to be one where the candidate's errors are the best, so it has that end's p.
    """
    if not ends:
        return worst
    lows, highs = [each.low for each in ends], [each.high for each in ends]
    if None in lows or None in highs:
        return worst
    return worst.model_copy(
        update={
            "low": min(low for low in lows if low is not None),
            "high": max(high for high in highs if high is not None),
            "p_value": ends[1].p_value,
            "thin": any(each.thin for each in ends),
        }
    )


_METHODS = {
    RecipeMethod.RECIPE: Method.RECIPE,
    RecipeMethod.BORROWED: Method.BORROWED,
    RecipeMethod.PAIRED: Method.PAIRED,
    RecipeMethod.IDENTICAL: Method.IDENTICAL,
    RecipeMethod.SEED_VARIANCE_UNKNOWN: Method.SEED_VARIANCE_UNKNOWN,
}


def look_of(test: RecipeTest, sign: int) -> dict[str, Any]:
    """What a look at retrained models says, turned from "worse by" into candidate minus baseline."""
    low, high = sorted((sign * test.low, sign * test.high))
    return {
        "level": test.level,
        "change": sign * test.drop,
        "low": low,
        "high": high,
        "standard_error": math.sqrt(test.variance),
        "df": test.df,
        "method": _METHODS[test.method],
        "effective_rows": test.effective_rows,
        "thin": test.thin,
    }


def with_q_values(comparisons: Sequence[tuple[Comparison, float | None]]) -> tuple[Comparison, ...]:
    """The comparisons, with what the p of any change is among them all."""
    adjusted = iter(benjamini_hochberg([p for _, p in comparisons if p is not None]))
    return tuple(each if p is None else each.model_copy(update={"q_value": next(adjusted)}) for each, p in comparisons)


def items_of(table: Table) -> Items:
    """What people see of the items of the two files that ship."""
    first = len(table.sides.candidate)
    sides = [(0, _CANDIDATE), *([(first, _BASELINE)] if table.sides.baseline else [])]
    tool = table.sides.candidate[0]
    return Items(
        count=len(table.items),
        repeats=table.evaluate.repeats,
        groups=None if table.groups is None else int(np.unique(table.groups).size),
        tool=tool.tool,
        version=tool.version,
        candidate=_side(table, 0),
        baseline=_side(table, first) if len(sides) > 1 else None,
        changes=tuple(_changes(table, first)) if len(sides) > 1 else (),
    )


def _side(table: Table, file: int) -> ItemSide:
    errors, rows = table.errors(file), table.sides.files[file].rows
    facts = {name: _sum(rows, name) for name in ("tokens_in", "tokens_out", "cost")}
    times = [row.facts["latency_ms"] for row in rows if "latency_ms" in row.facts]
    return ItemSide(
        errors=len(errors),
        named=tuple(_an_item_each(errors)),
        latency_ms=float(np.median(times)) if times else None,
        **facts,
    )


def _sum(rows: Sequence[Row], name: str) -> float | None:
    found = [row.facts[name] for row in rows if name in row.facts]
    return math.fsum(found) if found else None


def _changes(table: Table, first: int) -> Iterator[ItemChanges]:
    every = np.ones(len(table.items), np.bool_)
    for metric in table.evaluate.metrics:
        part = _Part(table=table, metric=metric, slice=None, mask=every)
        ours, theirs = (part.means(file, part.worst) for file in (0, first))
        drop = metric.direction.worse * (ours - theirs)
        worse, better, equal = worse_better_equal(ours, theirs, metric.direction.worse)
        order = sorted(range(len(table.items)), key=lambda at: (-abs(drop[at]), -drop[at], table.items[at]))
        moved = [at for at in order[:_MOST_CHANGED] if ours[at] != theirs[at]]
        yield ItemChanges(
            metric=metric.name,
            worse=worse,
            better=better,
            equal=equal,
            most=tuple(
                ItemChange(item=shown(table.items[at]), candidate=float(ours[at]), baseline=float(theirs[at]))
                for at in moved
            ),
            histogram=_histogram(ours - theirs),
        )


_BARS = 20  # an even number: zero is an edge
_LEAST = 1e-300  # a twentieth of less is no width


def _histogram(change: Floats) -> tuple[tuple[float, float, int], ...]:
    moved = change[np.isfinite(change) & (change != 0)]
    most = float(np.abs(moved).max(initial=0))
    if most < _LEAST:
        return ()
    counts, edges = np.histogram(moved, bins=_BARS, range=(-most, most))
    bars = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return tuple((low, high, count) for low, high, count in bars if count)
