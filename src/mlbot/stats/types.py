"""What the statistics return, and the one error they raise."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]
Weights = npt.NDArray[Any]
"""How often each row counts, (n,): whole numbers, of any numeric type; the bootstrap draws bytes."""
Predictions = Sequence[npt.NDArray[np.floating]]


class Undefined(StrEnum):
    """Why a figure does not exist on these rows."""

    EMPTY = "empty"
    TOO_FEW_ROWS = "too_few_rows"
    TOO_FEW_GROUPS = "too_few_groups"
    ONE_CLASS = "one_class"
    CLASS_ABSENT = "class_absent"
    NOTHING_PREDICTED = "nothing_predicted"
    NO_VARIANCE = "no_variance"
    NOT_FINITE = "not_finite"
    NOT_PROBABILITIES = "not_probabilities"
    METRIC_RAISED = "metric_raised"
    UNSTABLE = "unstable"
    TOO_SLOW = "too_slow"


class UndefinedMetricError(ValueError):
    """A metric has no value, or no interval, on these rows. It is never a number, and never a pass.

    Attributes:
        reason: the code to record.
    """

    def __init__(self, reason: Undefined, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Method(StrEnum):
    """How the sampling noise of the holdout's rows was measured."""

    DELTA = "delta"
    DELONG = "delong"
    POISSON_BOOTSTRAP = "poisson_bootstrap"
    RESAMPLING_BOOTSTRAP = "resampling_bootstrap"
    CLUSTER_BOOTSTRAP = "cluster_bootstrap"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """One metric of K models on the same rows, with the noise of those rows.

    Attributes:
        values: the metric of each model, (K,), in the metric's own units.
        covariance: S, the covariance of `values` over samples of rows, (K, K), in squared units.
        df: degrees of freedom of `covariance`.
        method: how `covariance` was measured.
        rows: how many rows were scored.
        support: how many rows each value rests on, (K,): the positives for recall, the smaller class for ROC AUC.
        groups: how many clusters the rows form; None when every row is its own.
        replicates: bootstrap replicates used; None when there was no bootstrap.
    """

    values: Floats
    covariance: Floats
    df: float
    method: Method
    rows: int
    support: npt.NDArray[np.int64]
    groups: int | None = None
    replicates: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A two-sided confidence interval, in the units of what it bounds."""

    low: float
    high: float


class Statistic(Protocol):
    """One metric of one model on fixed rows."""

    @property
    def support(self) -> int:
        """How many rows the value rests on."""

    def value(self) -> float:
        """The metric. Raises `UndefinedMetricError`."""

    def weighted(self, weights: Weights) -> float:
        """The metric when row i counts `weights[i]` times, (n,). Raises `UndefinedMetricError`."""


class Smooth(Statistic, Protocol):
    """A metric with a closed form for what each row does to it."""

    def influence(self) -> Floats:
        """Each row's influence, (n,): zero on average, and its variance over n is the metric's variance."""
