"""Verdicts of the judge itself on models that are drawn anew each time, beside what `mlbot power` says of them."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import JUDGEABLE, Outcome
from mlbot.judging.power import spread_of
from mlbot.judging.run_measure import MetricPlan, Rows, measure
from mlbot.stats.estimation import estimate, value_of
from mlbot.stats.power import Seeding, Spread, noticed
from mlbot.stats.recipe import SeedHistory
from mlbot.stats.standins import Assumed, answers, assume, decided, skilled
from mlbot.stats.standins import Rows as Labelled
from mlbot.stats.types import Floats
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.seeds import SeedDesign
from mlbot.verdict.verdict import Commits, Evaluation

MANY, POSITIVE = 20_000, 0.3
OTHERS = ("log_loss", "f1", "brier_score_loss")  # gates that nothing breaks, for Holm
THREE, LOOKS = SeedDesign(), SeedDesign.between(2, 5)
NOBODY = Commits(head="0" * 40, base=None, policy=None, guarded="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One holdout size, metric, design, history and number of gates."""

    rows: int
    metric: str
    design: SeedDesign = THREE
    history: int = 0
    gates: int = 1

    def __str__(self) -> str:
        seeds = "-".join(map(str, self.design.looks))
        history = f", history {self.history}" if self.history else ""
        return f"{self.metric}, {self.rows:,} rows, seeds {seeds}{history}, gates {self.gates}"

    @property
    def seeding(self) -> Seeding:
        """As `mlbot power` asks for it."""
        looks = tuple(zip(self.design.looks, self.design.levels, strict=True))
        return Seeding(looks=looks, family=self.gates, history=self.history)


CELLS = (
    *(Cell(rows=rows, metric=metric) for metric in ("accuracy", "roc_auc") for rows in (500, 2_000, 10_000)),
    Cell(rows=2_000, metric="accuracy", design=LOOKS),
    Cell(rows=2_000, metric="accuracy", design=LOOKS, history=20),
    Cell(rows=2_000, metric="roc_auc", design=LOOKS, gates=4),
    Cell(rows=2_000, metric="roc_auc", design=LOOKS, history=20, gates=4),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What a cell's models are like, and what was said of them."""

    cell: Cell
    assumed: Assumed
    spread: Spread
    margin: float
    skills: tuple[float, ...]  # of a candidate that loses no margin, one, three

    @classmethod
    def of(cls, cell: Cell) -> "World":
        """By many rows, as they are in truth."""
        many = _labelled(np.random.default_rng(1), MANY)
        assumed = assume(many, 1.0, disagreement=0.06, change=0.01)
        given = answers(many, assumed, 3)
        labels = [decided(many, each) for each in given]
        found = estimate(cell.metric, Task.BINARY, many.labels, given, decided=labels)
        spread = spread_of(found, CATALOGUE[cell.metric]).at(cell.rows / MANY)
        margin = noticed(spread, cell.seeding) or 0.0

        def worth(skill: float) -> float:
            one = answers(many, replace(assumed, skill=skill), 1)[0]
            return value_of(cell.metric, Task.BINARY, many.labels, one, decided=decided(many, one))

        worse, usual = CATALOGUE[cell.metric].direction.worse, worth(1.0)
        skills = (skilled(0.2, 1.5, worth, usual + worse * drop * margin) for drop in (1, JUDGEABLE))
        return cls(cell=cell, assumed=assumed, spread=spread, margin=margin, skills=(1.0, *skills))

    def outcomes(self, skill: float, verdicts: int) -> Counter[Outcome]:
        """What so many verdicts on such a candidate come to."""
        return Counter(self._verdict(skill, number) for number in range(verdicts))

    def _verdict(self, skill: float, number: int) -> Outcome:
        cell, seeds = self.cell, self.cell.design.looks[-1]
        rng = np.random.default_rng((2, number))
        labelled, luck = _labelled(rng, cell.rows), int(rng.integers(2**31))
        ours = answers(labelled, replace(self.assumed, skill=skill), seeds, seed=luck)[:seeds]
        given = (*ours, *answers(labelled, self.assumed, seeds, seed=luck)[seeds:])
        past = None
        if cell.history:
            variance = self.spread.of_seed * float(rng.chisquare(cell.history)) / cell.history
            past = SeedHistory(variance=variance, df=cell.history)
        return self._judged(labelled, given, past)

    def _judged(self, labelled: Labelled, given: tuple[Floats, ...], past: SeedHistory | None) -> Outcome:
        cell = self.cell
        names = (cell.metric, *OTHERS[: cell.gates - 1])
        limits = {name: self.margin if name == cell.metric else 0.5 for name in names}
        plan = MetricPlan(
            task=Task.BINARY,
            metrics=tuple(CATALOGUE[name] for name in names),
            candidates=len(given) // 2,
            margins={(name, None): limit for name, limit in limits.items()},
            custom={},
            history=lambda metric, _slice: past if metric == cell.metric else None,
            design=cell.design,
            family=cell.gates,
        )
        labels = tuple(decided(labelled, each) for each in given)
        rows = Rows(slice=None, labels=labelled.labels, predictions=given, decided=labels)
        found = measure(plan, rows, {})
        gates = tuple(Gate(metric=name, bound=Bound.MAX_REGRESSION, limit=limit) for name, limit in limits.items())
        scores = (Evaluation(digest=None, seed=at, scores=found.scores[at]) for at in range(plan.candidates))
        evidence = Evidence(model="m", gates=gates, candidate=tuple(scores), comparisons=found.comparisons)
        return decide(NOBODY, [evidence]).models[0].gates[0].outcome


def _labelled(rng: Any, rows: int) -> Labelled:
    return Labelled(task=Task.BINARY, labels=(rng.random(rows) < POSITIVE).astype(np.int8))
