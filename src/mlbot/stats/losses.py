"""Metrics that average a loss of each row: log loss, Brier score, the errors of a regression, and R²."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbot.stats.types import Floats, Labels, Undefined, UndefinedMetricError, Weights


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanLoss:
    """The mean of each row's loss (n,), or its square root."""

    loss: Floats
    root: bool = False

    @property
    def support(self) -> int:
        """How many rows the value rests on."""
        return self.loss.size

    def value(self) -> float:
        """The metric."""
        mean = float(self.loss.mean())
        return float(np.sqrt(mean)) if self.root else mean

    def weighted(self, weights: Weights) -> float:
        """The metric under row weights (n,)."""
        mean = float(weights @ self.loss) / _total(weights)
        return float(np.sqrt(mean)) if self.root else mean

    def influence(self) -> Floats:
        """Each row's influence, (n,). Of the root it is that of the mean over twice the root."""
        centred: Floats = self.loss - self.loss.mean()
        value = self.value()
        if self.root and value > 0:
            centred /= 2 * value
        return centred


@dataclass(frozen=True, kw_only=True, slots=True)
class RSquared:
    """One minus the squared error over the variance of the target.

    Attributes:
        loss: squared residuals, (n,).
        y: the target less its mean, (n,): a large offset would cost digits.
    """

    loss: Floats
    y: Floats

    @property
    def support(self) -> int:
        """How many rows the value rests on."""
        return self.loss.size

    def value(self) -> float:
        """The metric."""
        return float(1 - self.loss.sum() / self._spread(float((self.y**2).sum())))

    def weighted(self, weights: Weights) -> float:
        """The metric under row weights (n,)."""
        shift = (weights @ self.y) / _total(weights)
        return float(1 - (weights @ self.loss) / self._spread(float(weights @ (self.y - shift) ** 2)))

    def influence(self) -> Floats:
        """Each row's influence, (n,)."""
        spread = self._spread(float((self.y**2).mean()))
        ratio = self.loss.mean() / spread
        return np.asarray((ratio * self.y**2 - self.loss) / spread, dtype=np.float64)

    def _spread(self, spread: float) -> float:
        if not spread > 0:
            raise UndefinedMetricError(Undefined.NO_VARIANCE, "every row has the same target value")
        return spread


def classification_loss(metric: str, y: Labels, prediction: Floats) -> MeanLoss:
    """Log loss or Brier score of one model, defined as in scikit-learn 1.9.

    Args:
        metric: `log_loss` or `brier_score_loss`.
        y: class indices, (n,).
        prediction: P(positive), (n,), or class probabilities, (n, C). Log loss clips them at float64's epsilon.
    """
    rows = np.arange(y.size)
    if metric == "log_loss":
        chosen = np.where(y == 1, prediction, 1 - prediction) if prediction.ndim == 1 else prediction[rows, y]
        epsilon = np.finfo(np.float64).eps
        return MeanLoss(loss=-np.log(np.clip(chosen, epsilon, 1 - epsilon)))
    if prediction.ndim == 1:
        return MeanLoss(loss=(prediction - y) ** 2)
    # sum over classes of (indicator - p)², without an (n, C) copy of the indicators
    squares = np.einsum("nc,nc->n", prediction, prediction)
    loss = squares + 1 - 2 * prediction[rows, y]
    return MeanLoss(loss=loss / 2 if prediction.shape[1] == 2 else loss)


def regression_loss(metric: str, y: Floats, prediction: Floats) -> MeanLoss | RSquared:
    """A regression metric of one model that averages row losses.

    Args:
        metric: one of the catalogue's regression metrics but `median_absolute_error`.
        y: the target, (n,).
        prediction: (n,).
    """
    if metric == "mean_absolute_error":
        return MeanLoss(loss=np.abs(y - prediction))
    if metric == "mean_absolute_percentage_error":
        return MeanLoss(loss=np.abs(y - prediction) / np.maximum(np.abs(y), np.finfo(np.float64).eps))
    squares = (y - prediction) ** 2
    if metric == "r2":
        return RSquared(loss=squares, y=y - y.mean())
    return MeanLoss(loss=squares, root=metric == "root_mean_squared_error")


@dataclass(frozen=True, kw_only=True, slots=True)
class MedianError:
    """The median absolute error; presorted, so that a replicate costs one cumulative sum.

    Attributes:
        error: absolute errors, ascending, (n,).
        order: which row each came from, (n,).
    """

    error: Floats
    order: npt.NDArray[np.intp]

    @property
    def support(self) -> int:
        """How many rows the value rests on."""
        return self.error.size

    def value(self) -> float:
        """The metric."""
        return float(np.median(self.error))

    def weighted(self, weights: Weights) -> float:
        """The median when row i is there `weights[i]` times, a whole number."""
        reached = np.cumsum(weights[self.order], dtype=np.float64)
        total = _total(weights)
        lower, upper = np.searchsorted(reached, [(total - 1) // 2, total // 2], side="right")
        return float(self.error[lower] / 2 + self.error[upper] / 2)


def median_error(y: Floats, prediction: Floats) -> MedianError:
    """The median absolute error of one model; `y` and `prediction` are (n,)."""
    error = np.abs(y - prediction)
    order = np.argsort(error)
    return MedianError(error=error[order], order=order)


def _total(weights: Weights) -> float:
    total = float(weights.sum())
    if total == 0:
        raise UndefinedMetricError(Undefined.EMPTY, "no rows to score")
    return total
