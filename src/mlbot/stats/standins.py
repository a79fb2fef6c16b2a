"""Answers of models that nobody has trained, for the labels that there are: how noisy would a figure of theirs be?

Each model knows the label with some noise. Of a row's noise one part is everybody's, one part its recipe's and one part
its seed's, in such shares that as many rows as wanted differ between two seeds, and between two recipes; the noise of
the rows of one group (or time) has a part in common. All models are equally good, and probabilities are honest: by
Bayes' rule of what the model knows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.gates.metric import Task
from mlbot.stats.types import Floats, Labels

ALIKE = 0.3
"""How much of their noise the rows of one group share, where nobody knows."""
SKILL = {Task.REGRESSION: 2.2, Task.MULTIOUTPUT: 2.2, Task.FORECAST: 2.2, Task.MULTICLASS: 2.5}
"""How many times its noise a label is where nothing says so: an accuracy of about .84 of two equal classes, an R² of
.8; else 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The labels that there are."""

    task: Task
    labels: npt.NDArray[np.generic]  # as `estimate` takes them
    classes: int = 0
    alike: Labels | None = None  # a code for the rows that depend on each other, (n,)
    quantiles: tuple[float, ...] = ()  # of a forecast, beside its middle
    threshold: float = 0.5  # from which probability on a row is decided to be positive


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumed:
    """How good such models are, and how they differ."""

    skill: float
    of_seed: float  # the share of a row's noise that is the seed's
    of_recipe: float  # that is the recipe's


def answers(rows: Rows, assumed: Assumed, seeds: int, *, seed: int = 0) -> tuple[Floats, ...]:
    """The answers of so many models of one recipe and then of as many of another, an array each."""
    noise = _Noise(rows, assumed, seed)
    return tuple(_answer(rows, assumed.skill, noise.of(side, k)) for side in (0, 1) for k in range(seeds))


def assume(rows: Rows, skill: float, disagreement: float, change: float) -> Assumed:
    """The shares of noise with which such shares of rows differ between two seeds, and between two recipes besides.

    Of numbers and rankings they are the shares themselves. Models that are right on most rows cannot differ on many:
    no more than half as many are taken between seeds as differ where two models have nothing but the labels in common,
    and three quarters between recipes.
    """
    plain = Assumed(skill=skill, of_seed=min(1.0, disagreement), of_recipe=0.0)
    if not rows.task.is_classification:
        return replace(plain, of_recipe=min(change, 1 - plain.of_seed))
    most = _differing(rows, replace(plain, of_seed=1.0))
    wanted = min(disagreement, most / 2), min(disagreement + change, most * 3 / 4)
    seed, both = (_solved(lambda share: _differing(rows, replace(plain, of_seed=share)), each) for each in wanted)
    return replace(plain, of_seed=seed, of_recipe=max(0.0, both - seed))


def differing(rows: Rows, assumed: Assumed) -> float:
    """The share of rows that two seeds decide differently; of numbers the share of noise that is theirs."""
    if not rows.task.is_classification:
        return assumed.of_seed
    return _differing(rows, replace(assumed, of_recipe=0.0))


def skilled(low: float, high: float, value: Callable[[float], float], wanted: float) -> float:
    """The skill that gives a figure its wanted value, by halving; an end where none does."""
    rising = value(high) > value(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if (value(middle) < wanted) is rising else (low, middle)
    return (low + high) / 2


def _solved(differ: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if differ(middle) < wanted else (low, middle)
    return high if wanted > 0 else 0.0


_HALVINGS = 14


def _differing(rows: Rows, assumed: Assumed) -> float:
    noise = _Noise(rows, assumed, 0)
    one, other = (decided(rows, _answer(rows, assumed.skill, noise.of(0, k))) for k in (0, 1))
    return float((one != other).reshape(len(one), -1).any(axis=1).mean())


def decided(rows: Rows, answer: Floats) -> npt.NDArray[np.int8]:
    """The label that an answer of a classification gives each row."""
    if rows.task is Task.MULTICLASS:
        return np.asarray(answer.argmax(axis=1))
    return np.asarray(answer >= rows.threshold, np.int8)


@dataclass(frozen=True, slots=True)
class _Noise:
    """Each model's noise on each row, as large for all."""

    rows: Rows
    assumed: Assumed
    seed: int

    def of(self, side: int, model: int) -> Floats:
        """Of one model of a side."""
        assumed = self.assumed
        common = 1 - assumed.of_seed - assumed.of_recipe
        parts = ((common, 0), (assumed.of_recipe, 1 + side), (assumed.of_seed, 100 + 1000 * side + model))
        return sum((math.sqrt(share) * self._drawn(at) for share, at in parts if share > 0), np.zeros(1))

    def _drawn(self, at: int) -> Floats:
        rng, labels = np.random.default_rng((self.seed, at)), self.rows.labels
        shape = (len(labels), self.rows.classes) if self.rows.task is Task.MULTICLASS else labels.shape
        own = rng.standard_normal(shape)
        codes = self.rows.alike
        if codes is None:
            return own
        shared = rng.standard_normal(int(codes.max()) + 1)[codes]
        toward = _toward_label(self.rows)
        return np.asarray(math.sqrt(ALIKE) * (shared * toward.T).T + math.sqrt(1 - ALIKE) * own)


def _toward_label(rows: Rows) -> Floats:
    """Which way noise is for a row: what a group shares makes all of its rows easier, or all harder."""
    labels = np.asarray(rows.labels)
    match rows.task:
        case Task.BINARY | Task.MULTILABEL:
            return np.asarray(2 * labels.astype(np.float64) - 1)
        case Task.MULTICLASS:
            return np.asarray(2 * np.eye(rows.classes)[labels.astype(np.intp)] - 1)
        case _:
            return np.ones(labels.shape)


def _answer(rows: Rows, skill: float, noise: Floats) -> Floats:
    """What a model answers that knows each label with this noise."""
    labels = np.asarray(rows.labels)
    match rows.task:
        case Task.BINARY | Task.MULTILABEL:
            prior = np.clip(labels.mean(axis=0), _RARE, 1 - _RARE)
            known = skill * (2 * labels.astype(np.float64) - 1) + noise
            return np.asarray(special.expit(2 * skill * known + special.logit(prior)))
        case Task.MULTICLASS:
            prior = np.maximum(np.bincount(labels.astype(np.intp), minlength=rows.classes) / len(labels), _RARE)
            known = skill * np.eye(rows.classes)[labels.astype(np.intp)] + noise
            return np.asarray(special.softmax(skill * known + np.log(prior), axis=1))
        case Task.RANKING:
            spread = float(labels.std()) or 1.0
            return np.asarray(labels / spread + noise / skill)
        case _:
            return _number(rows, skill, noise)


def _number(rows: Rows, skill: float, noise: Floats) -> Floats:
    """A number near the label: in proportion where none is negative, for then some metrics allow no other."""
    labels = np.asarray(rows.labels, np.float64)
    error = np.maximum(labels.std(axis=0), _RARE) / skill
    if (labels >= 0).all():
        least = np.maximum(labels.mean(axis=0) / _LEAST, _RARE)
        share = np.minimum(error / np.maximum(labels.mean(axis=0), _RARE), 1.0)
        middle = np.maximum(labels, least) * np.exp(share * noise - share**2 / 2)
        steps = np.exp(np.multiply.outer(share, special.ndtri(rows.quantiles)))
        return np.column_stack([middle, middle[:, None] * steps]) if rows.quantiles else middle
    middle = labels + error * noise
    if not rows.quantiles:
        return np.asarray(middle)
    return np.column_stack([middle, middle[:, None] + error * special.ndtri(rows.quantiles)])


_RARE = 1e-6
_LEAST = 20
