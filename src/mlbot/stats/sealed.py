"""Does a release pass on sealed rows? One file against one file, and nothing but whether it is shown.

Silence is no pass: each gate is asked whether the one-sided bound at the look's level keeps it. A look has the level
.05 / (j (j + 1)) where j - 1 looks at the same rows did not pass. Until the first pass there is but one history, in
which each answer was the same, so an author who adapts learns nothing from them but their number, and the levels sum
to .05: however many attempts there are, a wrong one passes in at most 5 % (by the union bound; of nothing else).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from mlbot.gates.metric import Bound, Gate, Metric
from mlbot.gates.outcome import ALPHA
from mlbot.stats.intervals import has_exact_interval, metric_interval
from mlbot.stats.recipe import FEWEST_STEPS, RecipeTest, Sameness, recipe_test
from mlbot.stats.types import Estimate, UndefinedMetricError

MOST_REFUSED = 10

_FILES = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)  # what ships are files; no seed is drawn


def level_after(refused: int) -> float | None:
    """The error of a pass at the next look, after so many that did not pass; None: the rows are spent."""
    if refused < 0:
        raise ValueError(f"{refused} looks did not pass")
    look = 1 + refused
    return None if refused >= MOST_REFUSED else ALPHA / (look * (look + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A gate, with what was found on the sealed rows."""

    gate: Gate
    metric: Metric
    found: Estimate | UndefinedMetricError  # of the candidate's file; of a relative gate, then of the baseline's


def is_shown(questions: Sequence[Question], *, refused: int, identical: bool = False) -> bool:
    """Whether the look passes: all its gates are kept beyond doubt. False as well where nothing is asked.

    `refused` is how many looks at these rows did not pass; `identical` says that both files are one.
    """
    level = level_after(refused)
    if level is None:
        return False
    # No adjustment for many gates: a release that breaks one of them passes only where that very gate passes wrongly,
    # which it does in at most `level`, whatever the others do. All are looked at, so that time tells nothing of which.
    passes = [_passes(each, level, identical=identical) for each in questions]
    return bool(passes) and all(passes)


def _passes(question: Question, level: float, *, identical: bool) -> bool:
    gate, found = question.gate, question.found
    if isinstance(found, UndefinedMetricError):
        return False
    match gate.bound:
        case Bound.MAX_REGRESSION:
            # Files that agree on these rows may differ on others: only one and the same file needs no rows.
            return identical or _is_within_margin(question, found, level)
        case Bound.MIN | Bound.MAX:
            return _is_beyond_limit(question, found, level)
        case _:
            return False


def _is_within_margin(question: Question, found: Estimate, level: float) -> bool:
    """By t, by Hall and by the score; and enough rows carry the difference."""
    margin, sign = question.gate.limit, question.metric.direction.worse
    test = recipe_test(found, 1, sign=sign, margin=margin, level=level, family=0, same=_FILES)
    if not test.high < margin or test.thin:
        return False
    # Of wins and losses of a row each that are Poisson, with as many more losses as make the margin, N and L of which
    # net are seen, S are most likely: S² - N S = M (M - L), where M rows make the margin (for few rows of many what
    # T. Tango, Statistics in Medicine 17, 1998, has).
    away, step = margin - test.drop, max(step_of(found), test.reach or 0.0)
    variance = (test.variance + math.sqrt(test.variance**2 + 4 * step**2 * margin * away)) / 2
    return _is_clear(test, away, variance)


def _is_beyond_limit(question: Question, found: Estimate, level: float) -> bool:
    gate, formula = question.gate, question.metric.formula
    interval = metric_interval(formula, found, level=1 - 2 * level)
    minimum = gate.bound is Bound.MIN
    if not (interval.low >= gate.limit if minimum else interval.high <= gate.limit):
        return False
    if has_exact_interval(formula, found):
        return True
    # The limit is like a second model whose value no row moves, and the doubts about skew and few rows are the same.
    beside, sign = _beside(found, gate.limit), -1 if minimum else 1
    test = recipe_test(beside, 1, sign=sign, margin=0.0, level=level, family=0, same=_FILES)
    away, step = -test.drop, max(step_of(beside), test.reach or 0.0)
    enough = not test.thin or (test.reach is not None and away >= FEWEST_STEPS * test.reach)
    return test.high <= 0 and enough and _is_clear(test, away, test.variance + step * away)


def step_of(found: Estimate) -> float:
    """By how much a row may move the figure, or the most that one does; 0 where a bootstrap does not say."""
    if found.reach is not None:
        return float(found.reach.max())
    return 0.0 if found.influence is None else float(np.abs(found.influence).max()) / found.influence.shape[1]


def _is_clear(test: RecipeTest, away: float, variance: float) -> bool:
    """By the score: with the variance that the figure has where it is the limit, and not where it happens to lie.

    The few rows that differ make a small drop and a small variance together, and t believes both: where some tens of
    rows make the margin, a level of a thousandth is three times what it should be, and more.
    """
    return away > float(special.stdtrit(test.df, 1 - test.level)) * math.sqrt(variance)


def _beside(found: Estimate, limit: float) -> Estimate:
    """The first model's estimate, and a second one's that has the limit for its value on whatever rows."""
    covariance = np.zeros((2, 2))
    covariance[0, 0] = found.covariance[0, 0]
    influence, draws = found.influence, found.draws
    return replace(
        found,
        values=np.array([found.values[0], limit]),
        covariance=covariance,
        support=np.repeat(found.support[:1], 2),
        influence=None if influence is None else np.stack([influence[0], np.zeros(influence.shape[1])]),
        reach=None if found.reach is None else np.repeat(found.reach[:1], 2),
        draws=None if draws is None else np.column_stack([draws[:, 0], np.full(len(draws), limit)]),
    )
