"""The bootstrap, with the same weights for every model of a replicate.

Rows: Poisson(1) weights, the limit of drawing n of n rows with replacement (N. Chamandy et al., "Estimating
uncertainty for massive data streams", 2012), so a replicate is one pass over presorted rows. Groups: whole clusters
are drawn with replacement, and the covariance is scaled by G/(G-1).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights

REPLICATES = 1000

FEWEST_REPLICATES = 100

WORK = 2_000_000_000
"""Rows times models that all replicates together may touch."""

DEFINED = 0.95
"""The share of replicates in which the metric must exist, or its noise is not known."""

Score = Callable[[Weights], Sequence[float]]


def _never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicates:
    """The values of K models in each replicate, (R, K)."""

    values: Floats
    groups: int | None

    def covariance(self) -> Floats:
        """The covariance of the models' values, (K, K)."""
        models = self.values.shape[1]
        covariance = np.cov(self.values, rowvar=False).reshape(models, models)
        return covariance if self.groups is None else covariance * (self.groups / (self.groups - 1))

    def df(self, rows: int) -> float:
        """Degrees of freedom: of the clusters, or rows, less one; and never more than the replicates can tell."""
        return min(self.groups or rows, len(self.values)) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampler:
    """How rows are drawn again.

    Attributes:
        rows: n.
        groups: a cluster code for each row, (n,); None when rows are independent.
        seed: the same seed gives the same draws.
        stop: asked before each replicate; True ends early, with the replicates there are.
    """

    rows: int
    groups: Labels | None = None
    seed: int = 0
    stop: Callable[[], bool] = _never

    def replicate(self, score: Score, models: int) -> Replicates:
        """Score K models again and again.

        Args:
            score: row weights (n,), whole numbers -> each model's metric, (K,), or `UndefinedMetricError`.
            models: K.

        Raises:
            UndefinedMetricError: too few groups, too few replicates before `stop`, or too many without a value.
        """
        draw, groups = self._drawer()
        values: list[Sequence[float]] = []
        tried = 0
        while tried < budget(self.rows, models) and not self.stop():
            tried += 1
            found = _values(score, draw())
            if found is not None:
                values.append(found)
        _check(len(values), tried)
        return Replicates(values=np.array(values, dtype=np.float64).reshape(len(values), models), groups=groups)

    def _drawer(self) -> tuple[Callable[[], Weights], int | None]:
        rng = np.random.default_rng(self.seed)
        if self.groups is None:
            return lambda: rng.poisson(1.0, self.rows).astype(np.uint8), None
        codes = np.unique(self.groups, return_inverse=True)[1]
        count = int(codes.max()) + 1
        if count < 2:
            raise UndefinedMetricError(Undefined.TOO_FEW_GROUPS, "all rows belong to one group")

        def draw() -> Weights:
            chosen = np.bincount(rng.integers(0, count, count), minlength=count)
            return chosen.astype(np.uint8)[codes]

        return draw, count


def budget(rows: int, models: int) -> int:
    """How many replicates to make: fewer on very many rows, and the same number each time."""
    return int(np.clip(WORK // max(1, rows * models), FEWEST_REPLICATES, REPLICATES))


def _values(score: Score, weights: Weights) -> Sequence[float] | None:
    try:
        found = score(weights)
    except UndefinedMetricError as error:
        if error.reason is Undefined.METRIC_RAISED:
            raise
        return None
    return found if all(map(math.isfinite, found)) else None


def _check(used: int, tried: int) -> None:
    if tried < FEWEST_REPLICATES:
        raise UndefinedMetricError(
            Undefined.TOO_SLOW, f"only {tried} of {FEWEST_REPLICATES} bootstrap replicates fitted into the time"
        )
    if used < DEFINED * tried:
        raise UndefinedMetricError(
            Undefined.UNSTABLE, f"the metric has no value in {tried - used} of {tried} bootstrap replicates"
        )
