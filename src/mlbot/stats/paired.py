"""Two frozen models on the same rows: is this artefact worse than that one?"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.intervals import LEVEL
from mlbot.stats.metrics import decide
from mlbot.stats.recipe import ALPHA, p_worse
from mlbot.stats.types import Estimate, Interval, Labels, Method

_MEANS = frozenset(
    {"log_loss", "brier_score_loss", "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error"}
)


class PairedMethod(StrEnum):
    """Which test two frozen models were compared by."""

    AGRESTI_MIN = "agresti_min"
    PAIRED_T = "paired_t"
    DELONG = "delong"
    DELTA = "delta"
    BOOTSTRAP = "bootstrap"
    IDENTICAL = "identical"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedTest:
    """Two artefacts compared. Everything is in the metric's units, and positive means worse."""

    drop: float  # how much worse the candidate's value is
    low: float  # of the 90 % interval of the drop
    high: float  # of the same
    p: float  # of a drop as large as this when the true drop is the margin; small speaks for a fail
    method: PairedMethod  # which test this is
    # Two-sided mid-p of "both are equally often right"; None unless the metric is accuracy.
    mcnemar: float | None = None


def mcnemar_mid_p(only_first: int, only_second: int) -> float:
    """McNemar's mid-p: two-sided, of the discordant rows being equally likely either way; 1 when none is discordant.

    M. W. Fagerland, S. Lydersen, P. Laake: "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    better than exact conditional", BMC Medical Research Methodology 13:91 (2013).
    """
    fewer, discordant = min(only_first, only_second), only_first + only_second
    if fewer * 2 == discordant:
        return 1.0
    return float(special.bdtr(fewer, discordant, 0.5) + (special.bdtr(fewer - 1, discordant, 0.5) if fewer else 0.0))


def agresti_min(only_first: int, only_second: int, rows: int, level: float = LEVEL) -> Interval:
    """The interval of a paired difference of shares, first minus second.

    A. Agresti, Y. Min: "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24 (2005): Wald's interval after half a row is added to each cell. `only_first` and `only_second`
    of `rows` are counted by one alone.
    """
    centre, deviation = _agresti_min_moments(only_first, only_second, rows)
    half = float(special.ndtri((1 + level) / 2)) * deviation
    return Interval(low=max(-1.0, centre - half), high=min(1.0, centre + half))


def paired_test(
    metric: str,
    task: Task,
    y: npt.NDArray[Any],
    pair: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
    *,
    margin: float = 0.0,
    groups: Labels | None = None,
) -> PairedTest:
    """Compare two frozen models, candidate and baseline, by a catalogue metric, with the arguments of `estimate`.

    `margin`: the drop that is tolerated, in the metric's units. Raises as `estimate` does.
    """
    found = estimate(metric, task, y, pair, groups=groups)
    if np.array_equal(*pair):
        return PairedTest(drop=0.0, low=0.0, high=0.0, p=1.0, method=PairedMethod.IDENTICAL)
    if metric == "accuracy" and groups is None:
        right = decide(pair[0]) == y, decide(pair[1]) == y
        return _accuracy_test(*right, margin)
    test = paired_difference(found, sign=CATALOGUE[metric].direction.worse, margin=margin)
    return replace(test, method=PairedMethod.PAIRED_T) if metric in _MEANS and groups is None else test


def paired_difference(pair: Estimate, *, sign: int, margin: float = 0.0) -> PairedTest:
    """Compare two frozen models, candidate and baseline, by the estimate of any metric, a user's own too.

    For a metric that is a mean of row losses this is the paired t-test; for ROC AUC it is DeLong's. `sign` is
    `Direction.worse`, `margin` the drop that is tolerated, in the metric's units.
    """
    drop = sign * float(pair.values[0] - pair.values[1])
    variance = float(pair.covariance[0, 0] + pair.covariance[1, 1] - 2 * pair.covariance[0, 1])
    deviation = math.sqrt(max(0.0, variance))
    half = float(special.stdtrit(pair.df, 1 - ALPHA)) * deviation
    method = {Method.DELTA: PairedMethod.DELTA, Method.DELONG: PairedMethod.DELONG}.get(
        pair.method, PairedMethod.BOOTSTRAP
    )
    p = p_worse(drop - margin, deviation, pair.df)
    return PairedTest(drop=drop, low=drop - half, high=drop + half, p=p, method=method)


def _accuracy_test(candidate: npt.NDArray[np.bool_], baseline: npt.NDArray[np.bool_], margin: float) -> PairedTest:
    lost, won = int((baseline & ~candidate).sum()), int((candidate & ~baseline).sum())
    interval = agresti_min(lost, won, candidate.size)
    centre, deviation = _agresti_min_moments(lost, won, candidate.size)
    return PairedTest(
        drop=(lost - won) / candidate.size,
        low=interval.low,
        high=interval.high,
        p=p_worse(centre - margin, deviation, math.inf),
        method=PairedMethod.AGRESTI_MIN,
        mcnemar=mcnemar_mid_p(lost, won),
    )


def _agresti_min_moments(only_first: int, only_second: int, rows: int) -> tuple[float, float]:
    """The mean and its standard deviation, after half a row is added to each of the four cells."""
    total = rows + 2
    difference = only_first - only_second
    variance = only_first + only_second + 1 - difference**2 / total
    return difference / total, math.sqrt(variance) / total
