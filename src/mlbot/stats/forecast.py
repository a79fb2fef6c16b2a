"""Metrics of forecasts, and the noise of rows that follow each other in time.

All series share the shocks of a time, and errors last: so what is drawn is one time with all its rows, and times are
not independent. The variance of a mean over T times is the long-run variance over T, estimated from the B lowest
frequencies of the influence (cosines, equally weighted), which are independent of each other, so t has B degrees of
freedom: E. Lazarus, D. J. Lewis, J. H. Stock, M. W. Watson, "HAR inference: recommendations for practice", Journal of
Business & Economic Statistics 36 (2018), with their B = 0.4 T^(2/3). Where errors last for many of few times, the
lowest frequencies have less of the variance than the mean has. How much less follows from a first-order autoregression,
as in D. W. K. Andrews, J. C. Monahan, Econometrica 60 (1992); its coefficient is estimated too low by (1 + 3 phi) / T:
M. G. Kendall, "Note on bias in the estimation of autocorrelation", Biometrika 41 (1954).

MASE is scaled by the mean step of a (seasonal) naive forecast in the training data of the series: R. J. Hyndman,
A. B. Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22 (2006).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import Settings
from mlbot.stats import metrics, types
from mlbot.stats.metrics import MeanLoss, total
from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights

FEWEST_TIMES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """What is known of the rows of a forecast beside their targets."""

    times: Labels  # a code for each row's time, (n,), in their order
    horizon: Labels | None = None  # how many steps ahead each row is, (n,)
    scale: Floats | None = None  # the mean step of its series in the training data, (n,); NaN where there is none
    quantiles: tuple[float, ...] = ()  # the levels of the predictions' columns after the first
    count: int = 1  # how many series there are

    def where(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Series":
        """Of some rows."""
        return Series(
            times=self.times[rows],
            horizon=None if self.horizon is None else self.horizon[rows],
            scale=None if self.scale is None else self.scale[rows],
            quantiles=self.quantiles,
        )


def statistic(metric: str, settings: Settings, y: Floats, prediction: Floats, series: Series) -> types.Statistic:
    """A metric of the catalogue of one model; `prediction` (n,), or (n, 1 + Q) with quantiles after the forecast."""
    if metric in _OF_QUANTILES or (metric == "mean_pinball_loss" and prediction.ndim > 1):
        return _of_quantiles(metric, y, prediction[:, 1:] if prediction.ndim > 1 else None, series.quantiles)
    point = prediction if prediction.ndim == 1 else prediction[:, 0]
    error = np.abs(y - point)
    match metric:
        case "mase":
            return MeanLoss(loss=error / _scale(series))
        case "smape":
            size = np.abs(y) + np.abs(point)
            return MeanLoss(loss=np.divide(2 * error, size, out=np.zeros_like(size), where=size > 0))
        case "wape":
            return Ratio(top=error, bottom=np.abs(y))
        case _:
            return metrics.regression(metric, settings, y, point)


_OF_QUANTILES = frozenset({"interval_coverage", "weighted_quantile_loss"})


def _of_quantiles(metric: str, y: Floats, levels: Floats | None, quantiles: tuple[float, ...]) -> types.Statistic:
    if levels is None or len(quantiles) < 1 + (metric == "interval_coverage"):
        needed = "two quantiles" if metric == "interval_coverage" else "quantiles"
        raise UndefinedMetricError(Undefined.PREDICTION_OUTSIDE, f"it needs {needed}: see `data.quantiles`")
    if metric == "interval_coverage":
        low, high = (levels[:, quantiles.index(end(quantiles))] for end in (min, max))
        return MeanLoss(loss=((low <= y) & (y <= high)).astype(np.float64))
    loss = _pinball(y, levels, quantiles)
    return MeanLoss(loss=loss) if metric == "mean_pinball_loss" else Ratio(top=2 * loss, bottom=np.abs(y))


def _scale(series: Series) -> Floats:
    if series.scale is None:
        raise UndefinedMetricError(Undefined.NO_VARIANCE, "the training data give no scale: `data.train` is not read")
    lacking = int(np.count_nonzero(~(series.scale > 0)))
    if lacking:
        why = "the training data of their series are constant, or shorter than a season"
        raise UndefinedMetricError(Undefined.NO_VARIANCE, f"{lacking} rows have no scale: {why}")
    return series.scale


def _pinball(y: Floats, levels: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The mean over the quantiles of each row's loss."""
    each = [metrics.pinball(y, column, level) for column, level in zip(levels.T, quantiles, strict=True)]
    return np.asarray(np.mean(each, axis=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """A sum over rows over another one, both (n,)."""

    top: Floats
    bottom: Floats

    def support(self, weights: Weights | None = None) -> float:
        """How many rows there are."""
        return self.top.size if weights is None else metrics.effective(weights)

    def value(self) -> float:
        """The ratio."""
        return self._parts(None)[0]

    def weighted(self, weights: Weights) -> float:
        """The ratio when row i counts `weights[i]` times."""
        return self._parts(weights)[0]

    def influence(self, weights: Weights | None = None) -> Floats:
        """Each row's influence, (n,), by the delta method."""
        value, bottom = self._parts(weights)
        return np.asarray((self.top - value * self.bottom) / bottom)

    def _parts(self, weights: Weights | None) -> tuple[float, float]:
        counted = np.ones(self.top.size) if weights is None else weights.astype(np.float64)
        top, bottom = float(counted @ self.top), float(counted @ self.bottom)
        if not bottom > 0:
            raise UndefinedMetricError(Undefined.NO_VARIANCE, "every row's target is 0")
        return top / bottom, bottom / total(counted)


def long_run(columns: Floats) -> tuple[Floats, float]:
    """The covariance of the means of columns over times, (K, T) with mean 0, and its degrees of freedom."""
    times = columns.shape[1]
    if times < FEWEST_TIMES:
        why = f"there are {times} times, and an interval needs {FEWEST_TIMES}; or, where they are independent, a group"
        raise UndefinedMetricError(Undefined.TOO_FEW_ROWS, why)
    count = max(1, int(0.4 * times ** (2 / 3)))
    angles = math.pi * np.outer(np.arange(times) + 0.5, np.arange(1, count + 1)) / times
    waves = columns @ (math.sqrt(2 / times) * np.cos(angles))
    return np.asarray(waves @ waves.T / (count * times)) * _lacking(_lasting(columns), times, count), float(count)


_MOST_LASTING = 0.9  # of a coefficient beyond it so few times say nothing


def _lasting(columns: Floats) -> float:
    """How much of an error is there at the next time: a coefficient from 0 on, of all columns (K, T) together."""
    times, size = columns.shape[1], float(np.einsum("kt,kt", columns, columns))
    found = float(np.einsum("kt,kt", columns[:, 1:], columns[:, :-1])) / size if size > 0 else 0.0
    unbiased: float = (times * found + 1) / (times - 3)
    return min(_MOST_LASTING, max(0.0, unbiased))


def _lacking(lasting: float, times: int, count: int) -> float:
    """How many times the variance at the lowest frequencies a mean over times has, where errors last so."""
    lags = np.arange(1, min(times, 300))  # 0.9 to the power of 300 is 0
    steps = math.pi * np.arange(1, count + 1)[:, None] / times
    waves = (1 - lags / times) * np.cos(lags * steps) - np.sin(lags * steps) / (times * np.sin(steps))
    decay: Floats = np.asarray(2 * lasting**lags, dtype=np.float64)
    return max(1.0, float(1 + (1 - lags / times) @ decay) / float(np.mean(1 + waves @ decay)))


def block_length(times: int) -> int:
    """How many times in a row a bootstrap draws together."""
    return max(1, int(1.5 * times ** (1 / 3) + 0.5))
