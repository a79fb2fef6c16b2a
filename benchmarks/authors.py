"""How often does a release pass wrongly on sealed rows, whatever its author did with the open ones?

    python -m benchmarks.authors [--data FOLDER] [--cache FOLDER] [--sequences 1000] [--rows 500 2000 10000]
    python docs/statistics_table.py

An author never sees a label, only how the accuracy of each trial compares with that of the live model on the open rows:
*greedy* keeps what raised it, *boost* adds independent trials weighted by what each reported, *best-of* hands in the
trial that reported most. Where none of the trials is truly any good, whatever they report is luck. A sequence is an
author's releases one after another on the same sealed rows, each a search of its own, until one passes or the rows are
spent. `mlbot.stats` judges: the open rows as a pull request does that has deterministic models, the sealed ones as a
release does. Both have as many rows.

The synthetic world: near the decision, where the live model is right in 65 % of the rows, a trial decides otherwise on
some that have nothing to do with the label, so its true cost is exactly known. Adult: 768 models of three learners with
eight features, bins and crosses switched on or off; the live model is the best of them, and the author reaches those
that are truly worse by a margin or more. The truth is that of all rows that no model saw.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from benchmarks.pools import CACHE, cache_key, cached  # before numpy, whose threads it bounds

import numpy as np  # isort: skip
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.recipe import Sameness, recipe_test
from mlbot.stats.sealed import MOST_REFUSED, Question, is_shown
from mlbot.stats.types import Estimate

Array = npt.NDArray[Any]
Bits = npt.NDArray[np.bool_]
Draw = np.random.Generator

ACCURACY = CATALOGUE["accuracy"]
MARGIN = 0.005
AUTHORS = ("greedy", "boost", "best-of")
TRIALS = (50, 200)
ATTEMPTS = 20
CHUNK = 100  # sequences that are kept together, so that an interruption loses no more
HONEST = 400  # comparisons a cell of honest authors
RESULTS = Path(__file__).parents[1] / "docs" / "memory.json"
FORM = 1  # raise it where what is counted changes: what is cached is of another one


@dataclass(frozen=True, kw_only=True)
class Release:
    """What an author hands in: on which rows it is right, and how much it truly lost."""

    reported: float  # by how much it raised the accuracy on the open rows
    lost: float
    open: tuple[Bits, Bits]  # where the candidate and the live model are right
    sealed: tuple[Bits, Bits]

    @property
    def is_bad(self) -> bool:
        """Whether a pass is wrong."""
        return self.lost >= MARGIN * (1 - 1e-9)

    def test_on_open_rows(self) -> Any:
        """As on a pull request."""
        frozen = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
        return recipe_test(_estimate(*self.open), 1, sign=-1, margin=MARGIN, same=frozen)

    def passes(self, refused: int) -> bool:
        """As at a release, after so many looks that did not pass."""
        gate = Gate(metric="accuracy", bound=Bound.MAX_REGRESSION, limit=MARGIN)
        asked = Question(gate=gate, metric=ACCURACY, found=_estimate(*self.sealed))
        return is_shown([asked], refused=refused)


def _estimate(*right: Bits) -> Estimate:
    """Of models of which is known where they are right."""
    ones = np.ones(right[0].size, np.int8)
    return estimate("accuracy", Task.BINARY, ones, [each.astype(float) for each in right])


class Rows(Protocol):
    """The open and the sealed rows of one sequence."""

    def release(self, author: str, trials: int, rng: Draw) -> Release:
        """What comes of a search."""


ZONE, COST = 0.3, 0.3
"""Of all rows those near the decision; what it costs to decide one of them otherwise, on average."""
PATCH, WIDE = 0.002, 0.05
"""The share of all rows that a trial of *greedy* decides otherwise; of the rows near the decision, one of *boost*."""
BEYOND = 1.05
"""Times the margin that *boost* truly loses: how many rows its vote takes is known to 3 %."""
FRESH = 8_000


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """Rows of which is known whether the live model is right, and whether they are near its decision."""

    open: tuple[Bits, Bits]
    sealed: tuple[Bits, Bits]

    @classmethod
    def draw(cls, rows: int, rng: Draw) -> "Synthetic":
        """Open and sealed rows, as many of each."""
        return cls(open=cls._some(rows, rng), sealed=cls._some(rows, rng))

    @staticmethod
    def _some(rows: int, rng: Draw) -> tuple[Bits, Bits]:
        near = rng.random(rows) < ZONE
        return rng.random(rows) < np.where(near, (1 + COST) / 2, 0.93), near

    def release(self, author: str, trials: int, rng: Draw) -> Release:
        """What comes of a search."""
        match author:
            case "greedy":
                return self._greedy(trials, rng)
            case "boost":
                return self._boosted(trials, rng)
            case _:
                return self._best_of(trials, rng)

    def _greedy(self, trials: int, rng: Draw) -> Release:
        right, near = self.open
        flipped, kept, share = np.zeros(right.size, np.bool_), 0, PATCH / ZONE
        rows = np.flatnonzero(near)
        for count in rng.binomial(rows.size, share, trials):
            patch = rng.choice(rows, count, replace=False, shuffle=False)
            if (right[patch] ^ flipped[patch]).sum() < count / 2:
                flipped[patch] ^= True
                kept += 1
        # A row is decided otherwise where an odd number of patches holds it.
        odd = (1 - (1 - 2 * share) ** kept) / 2
        return self._handed_in(flipped, self.sealed[1] & (rng.random(right.size) < odd), odd * ZONE * COST)

    def _best_of(self, trials: int, rng: Draw) -> Release:
        right, near = self.open
        share = MARGIN / COST / ZONE
        sides = [np.flatnonzero(near & ~right), np.flatnonzero(near & right)]
        won, lost = (rng.binomial(rows.size, share, trials) for rows in sides)
        best = int((won - lost).argmax())
        taken = [rng.choice(rows, n[best], replace=False) for rows, n in zip(sides, (won, lost), strict=True)]
        flipped = np.zeros(right.size, np.bool_)
        flipped[np.concatenate(taken)] = True
        return self._handed_in(flipped, self.sealed[1] & (rng.random(right.size) < share), MARGIN)

    def _boosted(self, trials: int, rng: Draw) -> Release:
        """Rows that most of the trials that reported well would decide otherwise, as many as cost a margin."""
        (right, near), (_, theirs) = self.open, self.sealed
        counts = int(near.sum()), int(theirs.sum()), FRESH
        byte = np.frombuffer(rng.bytes(trials * sum(counts)), np.uint8).reshape(trials, -1)
        within = (byte < round(256 * WIDE)).astype(np.float32)
        here = within[:, : counts[0]]
        gains = here @ np.where(right[near], -1, 1).astype(np.float32)
        votes = (gains - gains.mean()) @ within
        ours, sealed, fresh = np.split(votes, np.cumsum(counts[:2]))
        least = np.quantile(fresh, 1 - BEYOND * MARGIN / COST / ZONE)
        return self._handed_in(_among(near, ours > least), _among(theirs, sealed > least), BEYOND * MARGIN)

    def _handed_in(self, flipped: Bits, sealed: Bits, lost: float) -> Release:
        (right, _), (theirs, _) = self.open, self.sealed
        gain = float((right ^ flipped).mean() - right.mean())
        return Release(reported=gain, lost=lost, open=(right ^ flipped, right), sealed=(theirs ^ sealed, theirs))


def _among(rows: Bits, of_them: Bits) -> Bits:
    found = np.zeros(rows.size, np.bool_)
    found[rows] = of_them
    return found


@dataclass(frozen=True, kw_only=True)
class Search:
    """The models of Adult, each by its choices: where it is right, (models, rows), and what it decides."""

    y: Bits
    decided: Bits
    choices: Array  # (models, choices): which learner, and which switches are on

    @cached_property
    def right(self) -> Bits:
        """Where each model is right."""
        return np.equal(self.decided, self.y)

    @cached_property
    def votes(self) -> Array:
        """What each decides, as numbers."""
        return self.decided.astype(np.float32)

    @cached_property
    def truth(self) -> Array:
        """Each model's accuracy on all rows."""
        shares: Array = np.mean(self.right, axis=1)
        return shares

    @cached_property
    def live(self) -> int:
        """The best of them."""
        return int(self.truth.argmax())

    @cached_property
    def reached(self) -> Array:
        """The models that an author reaches."""
        return np.flatnonzero(self.truth[self.live] - self.truth >= MARGIN)

    @cached_property
    def at(self) -> Mapping[tuple[int, ...], int]:
        """The models that an author reaches, by their choices."""
        return {tuple(map(int, self.choices[model])): int(model) for model in self.reached}


@dataclass(frozen=True, kw_only=True)
class OfAdult:
    """Open and sealed rows of Adult, drawn with replacement from those that no model saw."""

    search: Search
    open: Array
    sealed: Array

    @classmethod
    def draw(cls, search: Search, rows: int, rng: Draw) -> "OfAdult":
        """As many of each."""
        every = search.y.size
        return cls(search=search, open=rng.integers(0, every, rows), sealed=rng.integers(0, every, rows))

    def release(self, author: str, trials: int, rng: Draw) -> Release:
        """What comes of a search."""
        match author:
            case "greedy":
                return self._model(self._climbed(trials, rng))
            case "boost":
                return self._voted(trials, rng)
            case _:
                tried = rng.choice(self.search.reached, trials)
                return self._model(int(tried[self._reported[tried].argmax()]))

    @cached_property
    def _reported(self) -> Array:
        shares: Array = np.mean(self.search.right[:, self.open], axis=1)
        return shares

    def _climbed(self, trials: int, rng: Draw) -> int:
        """Choices changed one at a time, and kept where what is reported rose."""
        search = self.search
        here = int(rng.choice(search.reached))
        for _ in range(trials):
            changed = search.choices[here].copy()
            choice = int(rng.integers(changed.size))
            changed[choice] = rng.integers(len(LEARNERS)) if choice == 0 else 1 - changed[choice]
            there = search.at.get(tuple(map(int, changed)), here)
            here = there if self._reported[there] > self._reported[here] else here
        return here

    def _voted(self, trials: int, rng: Draw) -> Release:
        search = self.search
        tried = rng.choice(search.reached, trials)
        weights = self._reported[tried] - self._reported[tried].min()
        votes = weights.astype(np.float32) @ search.votes[tried]
        return self._handed_in((votes > weights.sum() / 2) == search.y)

    def _model(self, model: int) -> Release:
        return self._handed_in(self.search.right[model])

    def _handed_in(self, right: Bits) -> Release:
        live = self.search.right[self.search.live]
        return Release(
            reported=float(right[self.open].mean() - live[self.open].mean()),
            lost=float(live.mean() - right.mean()),
            open=(right[self.open], live[self.open]),
            sealed=(right[self.sealed], live[self.sealed]),
        )


LEARNERS = ("logistic regression", "strongly regularised", "boosted trees")
SWITCHES = ("age", "capital", "hours", "occupation", "family", "work", "education x sex", "age x hours")
TRAIN_ROWS = 3_000


def search_of_adult(data: Path, cache: Path) -> Search:
    """All models, from the cache or trained now: minutes."""

    def make() -> dict[str, Array]:
        choices = list(itertools.product(range(len(LEARNERS)), *[(0, 1)] * len(SWITCHES)))
        print(f"training {len(choices)} models of Adult", file=sys.stderr, flush=True)
        columns, y = _adult(data)
        train, rest = np.split(np.random.default_rng(0).permutation(y.size), [TRAIN_ROWS])
        decided = np.stack([_trained(columns, y, train, each)[rest] for each in choices])
        return {"y": y[rest], "decided": decided, "choices": np.array(choices, np.int8)}

    return Search(**cached(cache / "adult-search.npz", make))


def _trained(columns: Mapping[str, Array], y: Bits, train: Array, choices: tuple[int, ...]) -> Bits:
    on = [name for name, chosen in zip(SWITCHES, choices[1:], strict=True) if chosen]
    x = np.column_stack([columns["always"], *(columns[name] for name in on)])
    model: Any = (
        LogisticRegression(max_iter=200),
        LogisticRegression(C=0.01, max_iter=200),
        HistGradientBoostingClassifier(max_iter=25, max_depth=3, random_state=0),
    )[choices[0]]
    decided: Bits = model.fit(x[train], y[train]).predict(x).astype(np.bool_)
    return decided


def _adult(data: Path) -> tuple[dict[str, Array], Bits]:
    frame = pl.concat([pl.read_csv(next(data.glob(name))) for name in ("*train.csv", "*holdout.csv")])
    number = {name: _scaled(frame[name]) for name in ("age", "education_num", "hours_per_week")}
    gains = [_scaled((frame[name] + 1).log()) for name in ("capital_gain", "capital_loss")]
    sex = _dummies(frame, "sex")
    bins = [frame["age"].to_numpy() // 8 == each for each in range(2, 9)]
    columns = {
        "always": np.column_stack([number["education_num"], sex, _dummies(frame, "race")]),
        "age": np.column_stack([number["age"], number["age"] ** 2, *bins]),
        "capital": np.column_stack(gains),
        "hours": number["hours_per_week"][:, None],
        "occupation": _dummies(frame, "occupation"),
        "family": np.column_stack([_dummies(frame, "marital_status"), _dummies(frame, "relationship")]),
        "work": _dummies(frame, "workclass"),
        "education x sex": sex * number["education_num"][:, None],
        "age x hours": (number["age"] * number["hours_per_week"])[:, None],
    }
    return columns, (frame["income"] == ">50K").to_numpy()


def _scaled(column: pl.Series) -> Array:
    values = column.to_numpy().astype(float)
    scaled: Array = (values - values.mean()) / values.std()
    return scaled


def _dummies(frame: pl.DataFrame, name: str) -> Array:
    return frame[name].fill_null("unknown").to_dummies().to_numpy().astype(float)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One author, with so many trials and rows."""

    world: str
    author: str
    trials: int
    rows: int

    def count(self, chunk: int, search: Search | None) -> Counter[str]:
        """What comes of a chunk of sequences."""
        rng = np.random.default_rng([8, AUTHORS.index(self.author), self.trials, self.rows, chunk])
        found: Counter[str] = Counter()
        for _ in range(CHUNK):
            drawn: Rows = OfAdult.draw(search, self.rows, rng) if search else Synthetic.draw(self.rows, rng)
            self._sequence(drawn, rng, found)
        return found

    def _sequence(self, drawn: Rows, rng: Draw, found: Counter[str]) -> None:
        found["sequences"] += 1
        for refused in range(min(ATTEMPTS, MOST_REFUSED)):  # spent rows pass nothing
            release = drawn.release(self.author, self.trials, rng)
            passed = release.passes(refused)
            if refused == 0:
                _count_first(release, passed, found)
            found["attempts"] += 1
            found["bad attempts"] += release.is_bad
            if passed:
                found["wrong pass in twenty"] += release.is_bad
                return


def _count_first(release: Release, passed: bool, found: Counter[str]) -> None:  # noqa: FBT001
    test = release.test_on_open_rows()
    found["bad"] += release.is_bad
    found["wrong pass"] += passed and release.is_bad
    found["open: wrong pass"] += release.is_bad and test.high < MARGIN and not test.thin
    found["open: below the margin"] += release.is_bad and test.high < MARGIN
    found["open: covered"] += test.low <= release.lost <= test.high
    found["reported, millionths"] += round(1e6 * release.reported)
    found["lost, millionths"] += round(1e6 * release.lost)


@dataclass(frozen=True, kw_only=True)
class Honest:
    """A release whose author looked at nothing, with a true gain and a share of rows on which it differs."""

    name: str
    gain: float
    differ: float
    rows: int

    def count(self) -> Counter[str]:
        """How often it passes at the first look, and by the interval alone, however few rows carry it."""
        rng = np.random.default_rng([9, round(1e4 * self.gain), round(1e4 * self.differ), self.rows])
        found: Counter[str] = Counter()
        for _ in range(HONEST):
            live = rng.random(self.rows) < 0.85
            moved = rng.random(self.rows)
            won = moved < (self.differ + self.gain) / 2
            lost = (moved < self.differ) & ~won
            found += _at_first_look((live | won) & ~lost, (live | lost) & ~won)
        return found


def _at_first_look(ours: Bits, theirs: Bits) -> Counter[str]:
    release = Release(reported=0.0, lost=0.0, open=(ours, theirs), sealed=(ours, theirs))
    return Counter(comparisons=1, passes=int(release.passes(0)), differing=int((ours != theirs).sum()))


def honest_cells(rows: int) -> Iterator[Honest]:
    """A gain of three margins by models that differ much and little, that of the first table, and no change."""
    for differ in (0.03, 0.06, 0.1):
        yield Honest(name="three margins", gain=3 * MARGIN, differ=differ, rows=rows)
    yield Honest(name="0.58 points", gain=0.0058, differ=0.013, rows=rows)
    for differ in (0.013, 0.03, 0.06):
        yield Honest(name="no change", gain=0.0, differ=differ, rows=rows)


def honest_of_adult(search: Search, rows: int) -> Counter[str]:
    """Two models of Adult of which one is truly better by three margins, and hardly more."""
    rng = np.random.default_rng([10, rows])
    apart = search.truth[:, None] - search.truth
    pairs = np.argwhere((apart >= 3 * MARGIN) & (apart <= 3.2 * MARGIN))
    found: Counter[str] = Counter()
    for ours, theirs in pairs[rng.integers(0, len(pairs), HONEST)]:
        drawn = rng.integers(0, search.y.size, rows)
        found += _at_first_look(search.right[ours][drawn], search.right[theirs][drawn])
    return found


def counted(cell: Cell, search: Search | None, options: argparse.Namespace) -> dict[str, Any]:
    """The counts of a cell: cached chunks, and those that lack are simulated now."""
    total: Counter[str] = Counter()
    for chunk in range(options.sequences // CHUNK):
        file = options.cache / f"authors-{_key(cell, chunk)}.json"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(cell.count(chunk, search)))
        total.update(json.loads(file.read_text()))  # a sum of counters leaves out what is negative
    print(f"  {cell}: {total['wrong pass in twenty']} of {total['sequences']}", file=sys.stderr, flush=True)
    return {**cell.__dict__, **total}


def _key(*asked: object) -> str:
    return cache_key(f"{FORM} {asked}", Path(__file__))


def honest(search: Search, rows: int) -> list[dict[str, Any]]:
    """What honest authors come to at a number of rows."""
    every = [{"world": "synthetic", **cell.__dict__, **cell.count()} for cell in honest_cells(rows)]
    adult = {"world": "adult", "name": "three margins", "gain": 3 * MARGIN, "rows": rows}
    return [*every, adult | honest_of_adult(search, rows)]


def write(key: str, cells: list[dict[str, Any]]) -> None:
    """Write what was counted beside what others counted."""
    there = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    parts = (
        f'"{name}": [\n' + ",\n".join(json.dumps(each) for each in found) + "\n]"
        for name, found in sorted((there | {key: cells}).items())
    )
    RESULTS.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Train what is not cached, simulate, and write what docs/statistics.md is written from."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.authors", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("examples/adult-income/data"), help="folder of UCI Adult")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--sequences", type=int, default=1_000, help=f"a cell, a multiple of {CHUNK}")
    parser.add_argument("--rows", type=int, nargs="*", default=[500, 2_000, 10_000], help="open and sealed rows")
    options = parser.parse_args()
    search = search_of_adult(options.data, options.cache)
    cells = [
        counted(Cell(world=world, author=author, trials=trials, rows=rows), there, options)
        for (world, there), author, trials, rows in itertools.product(
            (("synthetic", None), ("adult", search)), AUTHORS, TRIALS, options.rows
        )
    ]
    write("honest", [each for rows in options.rows for each in honest(search, rows)])
    write("authors", cells)


if __name__ == "__main__":
    main()
