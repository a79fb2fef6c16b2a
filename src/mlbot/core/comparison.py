"""Candidate against baseline: one change of one metric with its interval."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from mlbot.core.evaluation import NonNegative, Problem
from mlbot.core.metric import Direction
from mlbot.core.record import Count, Record

Probability = Annotated[float, Field(ge=0, le=1)]


class Method(StrEnum):
    """Which question an interval answers, and whose noise it contains."""

    RECIPE = "recipe"
    """The mean over seeds; rows and seeds vary."""
    BORROWED = "borrowed"
    """One candidate seed; the seed variance is borrowed from the baseline or from history."""
    PAIRED = "paired"
    """Two frozen files on the same rows; only rows vary. Also used where the seed has no effect."""
    IDENTICAL = "identical"
    """Both sides predict the same; there is nothing to test."""
    SEED_VARIANCE_UNKNOWN = "seed-variance-unknown"
    """One seed and nothing to borrow from: the interval is the two files' own and says nothing of the recipe."""


class Comparison(Record):
    """The change of one metric from baseline to candidate, in the metric's own units.

    `change` is candidate minus baseline and `low`..`high` its two-sided 90 % interval. When the metric could not be
    compared, `problem` says why and the figures are None.
    """

    metric: str
    slice: str | None = None
    direction: Direction
    rows: Count
    candidate: float | None = None
    """Mean over the candidate's seeds."""
    baseline: float | None = None
    """Mean over the baseline's seeds."""
    change: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: NonNegative | None = None
    """sqrt(V), units of the metric."""
    df: float | None = None
    method: Method | None = None
    margin: NonNegative | None = None
    """The gate's `max_regression`, where there is one."""
    p_value: Probability | None = None
    """P of seeing such a drop if the true one were just the margin; small means worse than allowed."""
    mde: NonNegative | None = None
    """The smallest true drop that this holdout and these seeds would fail 95 % of the time."""
    q_value: Probability | None = None
    """Two-sided p of any change, Benjamini-Hochberg adjusted over all that is displayed. Never gates."""
    problem: Problem | None = None


class Flips(Record):
    """Rows the baseline's shipped file gets right and the candidate's gets wrong."""

    rows: Count
    count: Count
    rate: Probability
    low: Probability
    high: Probability
    """The exact (Clopper-Pearson) two-sided 90 % interval of the rate."""
    examples: tuple[Count, ...] = ()
    """Row numbers of a few of them, from 0; never data. Empty for a hidden holdout."""
