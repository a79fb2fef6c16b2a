"""How far apart some slices' values of a metric are: the greatest less the least, with the noise of the rows.

A slice's value is a figure of all rows, in which a row outside of the slice has no part, so slices that overlap have a
joint covariance like any figures of the same rows. The gap is that of the two slices that are furthest apart: its
variance is that of their difference, by the delta method.

Its interval is that of all pairs at once, for the greatest of several differences is more often a lucky one: the
critical value is a quantile of the greatest of the pairs' |t| under their covariance, from fixed draws. Of two slices
that is the interval of their difference.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.stats import types
from mlbot.stats.intervals import LEVEL
from mlbot.stats.types import Estimate, Floats, Interval, Undefined, UndefinedMetricError, Weights

Make = Callable[[int, npt.NDArray[np.intp]], types.Statistic]
"""The statistic of a model on some rows."""
_DRAWS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A statistic of some rows as one of all."""

    of: types.Statistic
    among: npt.NDArray[np.intp]
    rows: int

    def support(self, weights: Weights | None = None) -> float:
        """How many rows the value rests on."""
        return self.of.support(None if weights is None else weights[self.among])

    def value(self) -> float:
        """The value on its rows."""
        return self.of.value()

    def weighted(self, weights: Weights) -> float:
        """The value when row i of all counts `weights[i]` times."""
        return self.of.weighted(weights[self.among])

    def influence(self, weights: Weights | None = None) -> Floats:
        """Of every row, (n,): nothing outside."""
        column = np.zeros(self.rows)
        own = cast("types.Smooth", self.of).influence(None if weights is None else weights[self.among])
        column[self.among] = own * (self.rows / self.among.size)
        return column


def parts(make: Make, slices: Mapping[str, npt.NDArray[np.bool_]], models: int) -> list[Part]:
    """The statistics of each model on each slice, a model's together. Raises `UndefinedMetricError` with the slice."""
    found: list[Part] = []
    for model, (name, mask) in itertools.product(range(models), slices.items()):
        try:
            part = _part(partial(make, model), mask)
        except UndefinedMetricError as error:
            raise UndefinedMetricError(error.reason, f"on the slice {name}, {error.detail}", error.classes) from error
        found.append(part)
    return found


def _part(make: Callable[[npt.NDArray[np.intp]], types.Statistic], mask: npt.NDArray[np.bool_]) -> Part:
    among = np.flatnonzero(mask)
    if among.size < 2:
        reason = Undefined.TOO_FEW_ROWS if among.size else Undefined.EMPTY
        raise UndefinedMetricError(reason, f"there are {among.size} rows, and an interval needs two")
    part = Part(of=make(among), among=among, rows=mask.size)
    part.value()
    return part


def gaps(estimate: Estimate, slices: int) -> Estimate:
    """The gap of each model, from the estimate of all models on all slices."""
    values = estimate.values.reshape(-1, slices)
    models = len(values)
    turn = np.zeros((models, models * slices))
    for model, own in enumerate(values):
        turn[model, model * slices + int(own.argmax())] += 1
        turn[model, model * slices + int(own.argmin())] -= 1
    blocks = [estimate.covariance[at : at + slices, at : at + slices] for at in range(0, models * slices, slices)]
    return replace(
        estimate,
        values=turn @ estimate.values,
        covariance=turn @ estimate.covariance @ turn.T,
        support=estimate.support.reshape(-1, slices).min(axis=1),
        influence=None if estimate.influence is None else turn @ estimate.influence,
        reach=None if estimate.reach is None else estimate.reach.reshape(-1, slices).max(axis=1),
        draws=None if estimate.draws is None else estimate.draws @ turn.T,
        intervals=tuple(_interval(own, block, estimate.df) for own, block in zip(values, blocks, strict=True)),
    )


def _interval(values: Floats, covariance: Floats, df: float, level: float = LEVEL) -> Interval:
    pairs = list(itertools.combinations(range(values.size), 2))
    contrast = np.zeros((len(pairs), values.size))
    for row, (one, other) in enumerate(pairs):
        contrast[row, one], contrast[row, other] = 1, -1
    apart = np.abs(contrast @ values)
    errors = np.sqrt(np.maximum(0, np.diag(contrast @ covariance @ contrast.T)))
    reach = _critical(contrast, covariance, errors, df, level) * errors
    return Interval(low=max(0.0, float((apart - reach).max())), high=float((apart + reach).max()))


def _critical(contrast: Floats, covariance: Floats, errors: Floats, df: float, level: float) -> float:
    """The quantile of the greatest |t| of the pairs."""
    noisy = errors > 0
    if np.count_nonzero(noisy) < 2:
        return float(special.stdtrit(df, (1 + level) / 2))
    scale, axes = np.linalg.eigh(covariance)
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(_DRAWS, scale.size)) * np.sqrt(np.maximum(0, scale)) @ axes.T
    t = np.abs(draws @ contrast[noisy].T) / errors[noisy]
    spread = np.sqrt(rng.chisquare(min(df, 1e6), _DRAWS) / min(df, 1e6))
    return float(np.quantile(t.max(axis=1) / spread, level))
