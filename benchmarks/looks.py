"""How often does a verdict of many gates, with seeds added only while it is open, err? On pools of other data.

    python -m benchmarks.looks [--cache FOLDER] [--models 40] [--comparisons 200] [--rows 500 2000 10000]
    python docs/statistics_table.py

Each comparison draws up to five candidate and five baseline models of one recipe without overlap, and rows with
replacement. `mlbot.stats` estimates and tests as on a pull request. What comes of the tests at other margins is counted
here, for speed; the first comparison of each kind is judged as a whole by `mlbot.judging.run_measure` and
`mlbot.verdict.decide` too, and has to come to the same.

A margin is a number of standard deviations of the drop between two equal recipes of three seeds, or what can be judged:
see `judgeable`. A true drop is made by letting the candidate give some of the rows another row's answer, the share of
which is solved for on all rows of the pool, or by the recipe that learns from half of the rows.
"""

import argparse
import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmarks.pools import CACHE, LEARNERS, cache_key
from benchmarks.seed_pools import DATA, SeedPool, load
from mlbot import stats
from mlbot import verdict as verdicts
from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import ALPHA, JUDGEABLE, Outcome, worst
from mlbot.judging import run_measure
from mlbot.judging.run_measure import MetricPlan, Rows, measure
from mlbot.stats.estimation import estimate
from mlbot.stats.recipe import (
    FEWEST_EFFECTIVE_ROWS,
    FEWEST_STEPS,
    RecipeTest,
    Sameness,
    SeedHistory,
    detectable,
    noisiest,
    p_worse,
    recipe_test,
)
from mlbot.stats.types import Estimate, NoIntervalError, UndefinedMetricError
from mlbot.verdict.decide import Evidence, decide, holm_rejects
from mlbot.verdict.seeds import SeedDesign
from mlbot.verdict.verdict import Commits, Evaluation, ModelVerdict

Array = npt.NDArray[Any]
Subject = tuple[str, str | None]
Margins = Mapping[Subject, float]

METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("accuracy", "brier_score_loss", "log_loss", "roc_auc", "f1"),
    Task.MULTICLASS: ("accuracy", "brier_score_loss", "log_loss", "balanced_accuracy", "f1_macro"),
    Task.REGRESSION: (
        "root_mean_squared_error",
        "mean_absolute_error",
        "r2",
        "mean_squared_error",
        "explained_variance",
    ),
}
SLICES = ("third", "other third", "half")
GATES = (1, 5, 10, 20)
LOOKS = SeedDesign.between(2, 5)
MOST = max(LOOKS.looks)
HISTORY_DF = 20
WIDE, TIGHT = 4.0, 2.5
"""Margins, in standard deviations of a drop of nothing."""
TEN = 10  # gates at a drop of three margins
TRIAL = 100
CHUNK = 100  # comparisons that are kept together, so that an interruption loses no more
RESULTS = Path(__file__).parents[1] / "docs" / "statistics.json"
FORM = 2  # raise it where what is counted changes: what is cached is of another one


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows of a pool and what ten models say of them, the candidate's five first."""

    task: Task
    y: Array
    predictions: tuple[Array, ...]
    masks: Mapping[str, Array]

    def estimate(self, subject: Subject) -> Estimate | Outcome:
        """A metric of all models; the outcome of its gate where it has none."""
        metric, part = subject
        keep = slice(None) if part is None else self.masks[part]
        try:
            return estimate(metric, self.task, self.y[keep], [each[keep] for each in self.predictions])
        except NoIntervalError:
            return Outcome.INCONCLUSIVE
        except UndefinedMetricError:
            return Outcome.ERROR


@dataclass(frozen=True, kw_only=True)
class World:
    """A pool with the number of rows that a holdout has."""

    pool: SeedPool
    rows: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its task, the first one gated first."""
        return METRICS[self.pool.task]

    @cached_property
    def subjects(self) -> list[Subject]:
        """Twenty subjects in the order in which they become gates: all metrics on all rows, then on the slices."""
        return [(metric, part) for part in (None, *SLICES) for metric in self.metrics]

    @property
    def first(self) -> Subject:
        """What a drop is made of."""
        return self.subjects[0]

    def sample(self, rng: np.random.Generator, candidates: Array, *, seeds: int | None = MOST) -> Sample:
        """One comparison's rows and models, so many a side; None: all candidates."""
        rows = rng.integers(0, self.pool.y.size, self.rows)
        place = rows * 2654435761 % 2**32 / 2**32  # a row is in the same slices in every sample
        masks = {"third": place < 1 / 3, "other third": place > 2 / 3, "half": (place > 1 / 4) & (place < 3 / 4)}
        order = rng.permutation(len(candidates))
        ours, theirs = order[:seeds], order[seeds : 2 * seeds] if seeds else order[:0]
        models = [*(candidates[j] for j in ours), *(self.pool.good[j] for j in theirs)]
        predictions = tuple(each[rows].astype(float) for each in models)
        return Sample(task=self.pool.task, y=self.pool.y[rows], predictions=predictions, masks=masks)

    @cached_property
    def spread(self) -> dict[Subject, float]:
        """The standard deviation of the drop between two equal recipes of three seeds, over rows and models."""
        rng, found = np.random.default_rng(3), {subject: list[float]() for subject in self.subjects}
        for _ in range(TRIAL):
            sample = self.sample(rng, self.pool.good, seeds=3)
            for subject, values in found.items():
                there = sample.estimate(subject)
                if isinstance(there, Estimate):
                    values.append(float(there.values[:3].mean() - there.values[3:].mean()))
        return {subject: float(np.std(values)) for subject, values in found.items()}

    @cached_property
    def between(self) -> dict[Subject, float]:
        """The variance between seeds of one recipe on the same rows: of all models, on a few holdouts."""
        rng, found = np.random.default_rng(4), {subject: list[float]() for subject in self.subjects}
        for _ in range(3):
            sample = self.sample(rng, self.pool.good, seeds=None)
            for subject, variances in found.items():
                there = sample.estimate(subject)
                if isinstance(there, Estimate):
                    variances.append(float(there.values.var(ddof=1)))
        return {subject: float(np.mean(variances)) for subject, variances in found.items()}

    def history(self, rng: np.random.Generator) -> dict[Subject, SeedHistory]:
        """What past trainings say of the variance between seeds, as uncertain as their degrees of freedom make it."""
        luck = rng.chisquare(HISTORY_DF) / HISTORY_DF
        return {
            subject: SeedHistory(variance=luck * variance, df=HISTORY_DF) for subject, variance in self.between.items()
        }

    def moved(self, share: float, models: Array) -> Array:
        """Models where they give a share of the rows another row's answer."""
        rng = np.random.default_rng(5)
        moved = rng.random(self.pool.y.size) < share
        other = rng.permutation(self.pool.y.size)
        return np.where(moved.reshape(1, -1, *(1,) * (models.ndim - 2)), models[:, other], models)

    def worse_by(self, drop: float) -> Array | None:
        """The pool's models, moved so far that it costs the first metric so much; None where no share of rows does."""
        some, low, high = self.pool.good[:5], 0.0, 1.0
        if self._cost(self.moved(1.0, some), some, self.first[0]) < drop:
            return None
        for _ in range(12):
            middle = (low + high) / 2
            short = self._cost(self.moved(middle, some), some, self.first[0]) < drop
            low, high = (middle, high) if short else (low, middle)
        return self.moved(high, self.pool.good)

    def _cost(self, models: Array, than: Array, metric: str) -> float:
        """How much worse some models are than others on all rows."""
        means = (
            float(np.mean([estimate(metric, self.pool.task, self.pool.y, [m.astype(float)]).values[0] for m in side]))
            for side in (models, than)
        )
        return CATALOGUE[metric].direction.worse * (next(means) - next(means))

    def weak_costs(self) -> dict[str, float]:
        """What the weak recipe costs each metric, where it costs anything."""
        costs = {metric: self._cost(self.pool.weak, self.pool.good, metric) for metric in self.metrics}
        return {metric: cost for metric, cost in costs.items() if cost > 0}

    def scaled(self, times: float, count: int = max(GATES)) -> dict[Subject, float]:
        """Margins of so many standard deviations."""
        return {subject: times * self.spread[subject] for subject in self.subjects[:count]}

    @cached_property
    def judgeable(self) -> float:
        """The least margin of the first metric, in standard deviations, of which a drop of three is found among ten.

        In 95 of 100, by theory: m + c(df) sqrt(V) = 3 m, where V is that of the changed recipe: of the seeds what two
        equal ones have, and of the rows what a drop of 7.5 standard deviations has, in proportion to the drop.
        """
        sd = self.spread[self.first]
        seeds, _ = self._parts_of(self.pool.good)
        changed = self.worse_by(JUDGEABLE * TIGHT * sd)
        if changed is None:
            return math.inf
        _, rows = self._parts_of(changed)

        def missing(times: float) -> float:
            shared = rows * times / TIGHT
            variance = seeds + shared
            df = variance**2 / (seeds**2 / (2 * MOST - 2) + shared**2 / (self.rows - 1))
            return _times(df) * math.sqrt(variance) - (JUDGEABLE - 1) * times * sd

        low, high = 0.5, 200.0
        for _ in range(25):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if missing(middle) > 0 else (low, middle)
        return high

    def _parts_of(self, candidates: Array) -> tuple[float, float]:
        """The parts of V of the first metric at five seeds that seeds, and that rows make."""
        rng, found = np.random.default_rng(7), list[RecipeTest]()
        for _ in range(40):
            there = self.sample(rng, candidates).estimate(self.first)
            if isinstance(there, Estimate):
                found.append(recipe_test(there, MOST, sign=1, margin=0.0, family=0))
        shared = float(np.mean([test.shared for test in found]))
        return float(np.mean([test.variance for test in found])) - shared, shared


def _times(df: float) -> float:
    """By how many sqrt(V) a drop has to exceed the margin to fail in 95 %, alone among ten, at the last look."""
    quantile, low, high = float(special.stdtrit(df, 1 - LOOKS.levels[-1] / TEN)), 0.0, 200.0
    for _ in range(30):
        middle = (low + high) / 2
        short = float(special.nctdtr(df, middle, quantile)) > ALPHA
        low, high = (middle, high) if short else (low, middle)
    return high


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a look says of a drop, whatever its margin is: of `RecipeTest` what does not depend on it."""

    level: float
    drop: float
    low: float
    high: float
    variance: float
    df: float
    skewness: float
    effective_rows: float
    reach: float | None

    def p(self, margin: float) -> float:
        """Of a drop as large as this when the true one is the margin."""
        return p_worse(self.drop - margin, math.sqrt(self.variance), self.df, self.skewness)

    def outcome(self, margin: float) -> Outcome:
        """What a gate comes to: `decide`'s rule."""
        if self.low > margin:
            return Outcome.FAIL
        few = self.effective_rows < FEWEST_EFFECTIVE_ROWS
        thin = few and not (self.reach is not None and margin >= FEWEST_STEPS * self.reach)
        return Outcome.PASS if self.high < margin and not thin else Outcome.INCONCLUSIVE

    def judgeable(self, margin: float, family: int) -> bool:
        """Whether the report would say that a drop of three margins fails 19 times out of 20."""
        times = _detectable(round(math.log(self.df), 2), self.level / family)
        return margin + times * math.sqrt(self.variance) <= JUDGEABLE * margin


@cache
def _detectable(log_df: float, level: float) -> float:
    return detectable(math.exp(log_df), level)


Tests = Mapping[Subject, tuple[Seen, ...] | Outcome]


def tested(sample: Sample, subjects: Sequence[Subject], *known: Mapping[Subject, SeedHistory]) -> Iterator[Tests]:
    """Of each subject what every look says: once with each of these histories."""
    found = {subject: sample.estimate(subject) for subject in subjects}
    parts = {s: there if isinstance(there, Outcome) else _parts(there, _sign(s)) for s, there in found.items()}
    for history in known:
        yield {
            subject: there if isinstance(there, Outcome) else tuple(_seen(each, history.get(subject)) for each in there)
            for subject, there in parts.items()
        }


def _sign(subject: Subject) -> int:
    return CATALOGUE[subject[0]].direction.worse


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The rule of `recipe_test` up to where a history comes in, in floats: it is by far the most that is computed."""

    seeds: int
    level: float
    drop: float
    rows: tuple[float, float]  # R and its degrees of freedom
    own: tuple[float, float]  # the variance of each side's seeds, with its floor
    floors: tuple[float, float]
    third: float
    effective_rows: float
    reach: float | None


def _parts(there: Estimate, sign: int) -> list[Parts]:
    x, s, columns = sign * there.values, there.covariance, there.influence
    if columns is None:
        raise TypeError("it is bootstrapped")
    weights = sign * _CONTRASTS @ columns
    weights[np.abs(weights) < 1e-12 * np.abs(columns).max()] = 0.0
    thirds = (weights**3).mean(axis=1) / weights.shape[1] ** 2
    squares = (weights**2).sum(axis=1)
    effective = np.divide(np.abs(weights).sum(axis=1) ** 2, squares, out=np.zeros(len(squares)), where=squares > 0)
    found = []
    for number, (k, level) in enumerate(zip(LOOKS.looks, LOOKS.levels, strict=True)):
        shared, floors, own = [], [], []
        for first in (0, MOST):
            block, values = s[first : first + k, first : first + k], x[first : first + k]
            diagonal = float(block.trace())
            shared.append((float(block.sum()) - diagonal) / (k * (k - 1)))
            floors.append(max(0.0, diagonal / k - shared[-1]))
            own.append(max(float(values.var(ddof=1)), floors[-1]))
        across = float(s[:k, MOST : MOST + k].mean())
        found.append(
            Parts(
                seeds=k,
                level=level,
                drop=float(x[:k].mean() - x[MOST : MOST + k].mean()),
                rows=(max(0.0, sum(shared) - 2 * across), there.df),
                own=(own[0], own[1]),
                floors=(floors[0], floors[1]),
                third=float(thirds[number]),
                effective_rows=float(effective[number]),
                reach=None if there.reach is None else float(there.reach.max()),
            )
        )
    return found


def _contrasts() -> Array:
    found = np.zeros((len(LOOKS.looks), 2 * MOST))
    for row, k in zip(found, LOOKS.looks, strict=True):
        row[:k], row[MOST : MOST + k] = 1 / k, -1 / k
    return found


_CONTRASTS = _contrasts()


def _seen(parts: Parts, history: SeedHistory | None) -> Seen:
    variances = [parts.rows, *_of_seeds(parts, history)]
    variance = sum(each for each, _ in variances)
    uncertain = sum(each**2 / df for each, df in variances if each > 0)
    df = variance**2 / uncertain if uncertain else parts.rows[1]
    skewness = parts.third / variance**1.5 if variance > 0 else 0.0
    quantile, deviation = float(special.stdtrit(df, 1 - parts.level)), math.sqrt(variance)
    return Seen(
        level=parts.level,
        drop=parts.drop,
        low=parts.drop - max(quantile, _unhall(quantile, skewness)) * deviation,
        high=parts.drop - min(-quantile, _unhall(-quantile, skewness)) * deviation,
        variance=variance,
        df=df,
        skewness=skewness,
        effective_rows=parts.effective_rows,
        reach=parts.reach,
    )


def _unhall(x: float, skewness: float) -> float:
    if abs(skewness) < 1e-9:
        return x
    return 3 / skewness * (float(np.cbrt(1 + skewness * (x - skewness / 6))) - 1)


def _of_seeds(parts: Parts, history: SeedHistory | None) -> list[tuple[float, float]]:
    k, df, own, floors = parts.seeds, parts.seeds - 1, parts.own, parts.floors
    if history is None:
        return [(own[0] / k, df), (own[1] / k, df)]
    past = history.variance * history.df
    if own[0] > history.variance * _noisiest(df, history.df):
        theirs = (past + own[1] * df) / (history.df + df)
        return [(own[0] / k, df), (max(theirs, floors[1]) / k, history.df + df)]
    pooled = (past + (own[0] + own[1]) * df) / (history.df + 2 * df)
    return [((max(pooled, floors[0]) + max(pooled, floors[1])) / k, history.df + 2 * df)]


_noisiest = cache(noisiest)


@dataclass(frozen=True, kw_only=True)
class Came:
    """What a verdict comes to."""

    outcome: Outcome
    seeds: int  # a side, after which nothing was open that more of them could settle
    few_rows: bool = False  # whether it is open for nothing but too few rows that carry a difference


def judged(tests: Tests, margins: Margins, *, every_look: bool = False) -> Came:
    """What a verdict of these margins comes to: the rule of `decide` and of `seeds_wanted`, on tests.

    With `every_look` more seeds are looked at where nobody would have trained them too, as if they were there.
    """
    outcomes = {subject: there for subject in margins if isinstance(there := tests[subject], Outcome)}
    asked, thin = [subject for subject in margins if subject not in outcomes], set[Subject]()
    seen: dict[Subject, float] = {}
    came = Came(outcome=Outcome.ERROR, seeds=LOOKS.looks[0])
    for number, (seeds, level) in enumerate(zip(LOOKS.looks, LOOKS.levels, strict=True)):
        for subject in (each for each in asked if outcomes.get(each) is not Outcome.PASS):
            test, margin = _at(tests, subject, number), margins[subject]
            outcomes[subject] = test.outcome(margin)
            seen[subject] = 1.0 if outcomes[subject] is Outcome.PASS else test.p(margin) * ALPHA / level
            thin -= {subject}
            thin |= {subject} if outcomes[subject] is Outcome.INCONCLUSIVE and test.high < margin else set()
        for subject, keep in zip(seen, holm_rejects(seen.values()), strict=True):
            if outcomes[subject] is Outcome.FAIL and not keep:
                outcomes[subject] = Outcome.INCONCLUSIVE
        outcome = worst(outcomes.values())
        open_ = [subject for subject in asked if outcomes[subject] is Outcome.INCONCLUSIVE and subject not in thin]
        few = outcome is Outcome.INCONCLUSIVE and not open_
        came = Came(outcome=outcome, seeds=seeds, few_rows=few)
        wanted = every_look or (outcome is Outcome.INCONCLUSIVE and open_)
        if Outcome.FAIL in outcomes.values() or not wanted:
            break
    return came


def fails_alone(tests: Tests, subject: Subject, margin: float, family: int) -> bool:
    """Whether a margin fails at any look where none of the others drops: the first that Holm looks at."""
    every = (_at(tests, subject, number) for number in range(len(LOOKS.looks)))
    return any(each.outcome(margin) is Outcome.FAIL and each.p(margin) * family <= each.level for each in every)


def _at(tests: Tests, subject: Subject, number: int) -> Seen:
    there = tests[subject]
    if isinstance(there, Outcome):
        raise TypeError(subject)
    return there[number]


def whole(sample: Sample, margins: Margins, history: Mapping[Subject, SeedHistory]) -> ModelVerdict:
    """The same by all of the code that judges pull requests."""
    asked = Rows(slice=None, labels=sample.y, predictions=sample.predictions)
    plan = MetricPlan(
        task=sample.task,
        metrics=tuple(CATALOGUE[each] for each in dict.fromkeys(metric for metric, _ in margins)),
        candidates=MOST,
        margins=margins,
        custom={},
        history=lambda metric, part: history.get((metric, part)),
        design=LOOKS,
        family=len(margins),
    )
    parts = dict.fromkeys(part for _, part in margins if part is not None)
    found = measure(plan, asked, {part: sample.masks[part] for part in parts})
    gates = tuple(
        Gate(metric=metric, slice=part, bound=Bound.MAX_REGRESSION, limit=limit)
        for (metric, part), limit in margins.items()
    )
    evaluations = tuple(
        Evaluation(seed=seed, digest=f"sha256:{seed:064x}", size_bytes=1, scores=scores)
        for seed, scores in enumerate(found.scores[:MOST])
    )
    evidence = Evidence(model="model", gates=gates, candidate=evaluations, comparisons=found.comparisons)
    (verdict,) = decide(_COMMITS, [evidence]).models
    return verdict


_COMMITS = Commits(head="a" * 40, base="b" * 40, policy="b" * 40, guarded="main")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One kind of comparison: candidates, the margins they are asked at, and of how many gates."""

    name: str
    margins: Margins
    gates: Sequence[int]
    power: bool = False  # whether what the report says of three margins is counted too


def kinds(world: World) -> Iterator[tuple[Array, list[Asked]]]:
    """All kinds of comparisons, by the candidates that are drawn."""
    good, tight = world.pool.good, world.scaled(TIGHT)
    first, cost = {world.first: tight[world.first]}, world.weak_costs()
    unchanged = [
        Asked(name="no change, margin 0", margins=dict.fromkeys(world.subjects, 0.0), gates=GATES),
        Asked(name=f"no change, {TIGHT} sd", margins=tight, gates=GATES),
        Asked(name=f"no change, {WIDE:g} sd", margins=world.scaled(WIDE), gates=GATES),
    ]
    yield good, unchanged
    yield from _moved(world, 1, first, "one margin", (1,))
    yield from _moved(world, JUDGEABLE, world.scaled(TIGHT, TEN), f"three margins of {TIGHT} sd", (1, TEN))
    yield from _moved(world, JUDGEABLE, world.scaled(world.judgeable, TEN), "three judgeable margins", (1, TEN))
    single = [
        Asked(name=f"weak recipe, one margin: {metric}", margins={(metric, None): cost[metric]}, gates=(1,))
        for metric in world.metrics[:3]
        if metric in cost
    ]
    thirds = {(metric, part): cost[metric] / 3 for metric, part in world.subjects[:TEN] if metric in cost}
    power = [Asked(name="weak recipe, three margins", margins=thirds, gates=(len(thirds),), power=True)]
    yield world.pool.weak, single + (power if thirds else [])


def _moved(
    world: World, times: int, margins: Margins, name: str, gates: Sequence[int]
) -> Iterator[tuple[Array, list[Asked]]]:
    """A true drop of so many margins, where moved answers can make it."""
    candidates = world.worse_by(times * margins[world.first])
    if candidates is not None:
        yield candidates, [Asked(name=name, margins=margins, gates=gates, power=times == JUDGEABLE)]


Counted = dict[str, Counter[str]]


def simulate(world: World, seed: int, comparisons: int) -> Counted:
    """The counts of so many comparisons of every kind."""
    found: Counted = {}
    for number, (candidates, asked) in enumerate(kinds(world)):
        rng = np.random.default_rng([6, number, seed])
        subjects = list(dict.fromkeys(subject for each in asked for subject in each.margins))
        for done in range(comparisons):
            sample, known = world.sample(rng, candidates), world.history(rng)
            for with_history, tests in enumerate(tested(sample, subjects, {}, known)):
                history = known if with_history else {}
                for each in asked:
                    _count(found, each, tests, history)
                if not done and not seed:
                    _check(asked, tests, sample, history)
    return found


def _count(found: Counted, asked: Asked, tests: Tests, history: Mapping[Subject, SeedHistory]) -> None:
    for count in asked.gates:
        margins = dict(itertools.islice(asked.margins.items(), count))
        came = judged(tests, margins)
        name = f"{asked.name}{', history' if history else ''}: {count} gate{'s' * (count > 1)}"
        counts = found.setdefault(name, Counter())
        counts["comparisons"] += 1
        counts[came.outcome.value] += 1
        counts["seeds"] += came.seeds
        counts["few rows"] += came.few_rows
        if asked.power:
            _count_power(counts, came, tests, margins)


def _count_power(counts: Counter[str], came: Came, tests: Tests, margins: Margins) -> None:
    """Whether the report would call the first margin judgeable, and what theory says of a drop of three of it."""
    subject, margin = next(iter(margins.items()))
    looks, family = tests[subject], len(margins)
    if isinstance(looks, Outcome):
        return
    alone, test = fails_alone(tests, subject, margin, family), looks[-1]
    counts["alone"] += alone
    if test.judgeable(margin, family):
        counts["judgeable"] += 1
        counts["judgeable, fail"] += came.outcome is Outcome.FAIL
        counts["judgeable, alone"] += alone
    effect = (JUDGEABLE - 1) * margin / math.sqrt(test.variance) if test.variance else math.inf
    quantile = float(special.stdtrit(test.df, 1 - test.level / family))
    below = float(special.nctdtr(test.df, effect, quantile)) if effect < _FAR * quantile else 0.0
    counts["theory, thousandths"] += round(1000 * (1 - below))


_FAR = 10.0  # quantiles, beyond which nothing is missed and the noncentral t is not computed


def _check(asked: Sequence[Asked], tests: Tests, sample: Sample, history: Mapping[Subject, SeedHistory]) -> None:
    """Refuse to go on where the whole judge comes to something else, or `recipe_test` to other figures."""
    for subject, looks in tests.items():
        found = sample.estimate(subject)
        for seeds, seen in zip(LOOKS.looks, () if isinstance(looks, Outcome) else looks, strict=False):
            if isinstance(found, Estimate):
                _same(seen, found, subject, seeds, history.get(subject))
    for each in asked:
        for count in each.gates:
            margins = dict(itertools.islice(each.margins.items(), count))
            here, there = judged(tests, margins, every_look=True).outcome, whole(sample, margins, history).outcome
            if here is not there:
                raise AssertionError(f"{each.name}, {count} gates: {here} here, {there} by the judge")


def _same(seen: Seen, there: Estimate, subject: Subject, seeds: int, history: SeedHistory | None) -> None:
    sign, level = _sign(subject), seen.level
    test = recipe_test(
        there, MOST, sign=sign, margin=0.0, level=level, family=1, seeds=seeds, history=history, same=Sameness()
    )
    names = ("drop", "low", "high", "variance", "df", "skewness", "reach", "effective_rows")
    for name in names:
        ours, theirs = getattr(seen, name), getattr(test, name)
        if ours != theirs and not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12):
            raise AssertionError(f"{subject}, {seeds} seeds: {name} is {ours} here, {theirs} by `recipe_test`")
    if test.mde and seeds == MOST:
        times = test.mde / math.sqrt(test.variance)
        if not math.isclose(_detectable(round(math.log(test.df), 2), level), times, rel_tol=0.02):
            raise AssertionError(f"{subject}, {seeds} seeds: another detectable effect")


def _key(*asked: object) -> str:
    """What a result depends on: what was asked, and the code that decides."""
    rooms = [Path(room.__file__ or "").parent for room in (stats, verdicts)]
    deciding = [*(path for room in rooms for path in sorted(room.glob("*.py"))), Path(run_measure.__file__)]
    return cache_key(f"{FORM} {asked}", *deciding)


def counted(data: str, learner: str, rows: int, options: argparse.Namespace) -> dict[str, Any] | None:
    """The counts of one pool at a number of rows: cached chunks, and those that lack are simulated now.

    None where the pool has not half as many rows; one that has more is drawn from as often as it has rows.
    """
    pool = load(data, learner, options.cache, options.models)
    if pool.y.size < rows / 2:
        return None
    world, total = World(pool=pool, rows=min(rows, pool.y.size)), Counted()
    for chunk in range(options.comparisons // CHUNK):
        file = options.cache / f"looks-{_key(data, learner, options.models, world.rows, chunk)}.json"
        if not file.exists() and options.cached:
            continue
        if not file.exists():
            file.write_text(json.dumps(simulate(world, chunk, CHUNK)))
            print(f"  {pool.name}, {world.rows:,} rows: chunk {chunk}", file=sys.stderr, flush=True)
        for name, counts in json.loads(file.read_text()).items():
            total[name] = total.get(name, Counter[str]()) + Counter(counts)
    return {"data": data, "learner": learner, "rows": rows, "kinds": total} if total else None


def summary(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each kind at each number of rows the counts over all pools, and the pools with the extreme shares."""
    first = {data: METRICS[make().task][0] for data, make in DATA.items()}
    rows: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for pool in found:
        moved = {name: name.replace("one margin", f"one margin: {first[pool['data']]}", 1) for name in pool["kinds"]}
        named = {moved[name] if name.startswith("one margin") else name: each for name, each in pool["kinds"].items()}
        for name in named:
            rows.setdefault((name, pool["rows"]), []).append({**pool, "kinds": named})
    return [
        {
            "kind": name,
            "rows": number,
            "pools": len(pools),
            **sum((Counter(each["kinds"][name]) for each in pools), Counter[str]()),
            "worst": {
                "fail": _extreme(pools, name, "fail", max),
                "least fail": _extreme(pools, name, "fail", min),
                "pass": _extreme(pools, name, "pass", max),
            },
        }
        for (name, number), pools in rows.items()
    ]


def _extreme(pools: Sequence[Mapping[str, Any]], name: str, outcome: str, of: Callable[..., Any]) -> list[Any]:
    """The largest or the least share of a pool, in percent, which pool it is, and of how many comparisons."""
    counts = [(each["kinds"][name], f"{each['data']}, {each['learner']}") for each in pools]
    return list(
        of(
            (round(100 * each.get(outcome, 0) / each["comparisons"], 1), pool, each["comparisons"])
            for each, pool in counts
        )
    )


def main() -> None:
    """Train what is not cached, simulate, and write what docs/statistics.md is written from."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.looks", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--models", type=int, default=40, help="retrained models of each recipe and learner")
    parser.add_argument("--comparisons", type=int, default=200, help=f"comparisons a cell, a multiple of {CHUNK}")
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000, 500, 10_000], help="rows of the holdout")
    parser.add_argument("--cached", action="store_true", help="simulate nothing: of what there is")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    asked = itertools.product(options.rows, DATA, LEARNERS)
    found = [result for rows, data, learner in asked if (result := counted(data, learner, rows, options))]
    text = ",\n".join(json.dumps(each) for each in summary(found))
    options.results.write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
