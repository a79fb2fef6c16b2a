"""Figures of forecasts by hand and by scikit-learn, and the noise of times that are not independent."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics

from mlbot.gates.metric import Settings, Task
from mlbot.stats.estimation import estimate, estimate_custom
from mlbot.stats.forecast import Series, _lacking, _lasting, block_length, long_run
from mlbot.stats.types import Estimate, Method, NoIntervalError, Undefined, UndefinedMetricError

Array = npt.NDArray[np.float64]
NONE = Series(times=np.arange(40))


def sample(times: int = 20, series: int = 2, seed: int = 0) -> tuple[Array, Array, Series]:
    rng = np.random.default_rng(seed)
    y = 10 + rng.normal(size=(times, series)).cumsum(axis=0).ravel()
    codes = np.repeat(np.arange(times), series)
    scale = np.tile(np.arange(1.0, series + 1), times)
    return y, y + rng.normal(size=y.size), Series(times=codes, scale=scale, quantiles=(0.1, 0.9))


def found(metric: str, y: Array, p: Array, series: Series, weights: Array | None = None) -> Estimate:
    return estimate(metric, Task.FORECAST, y, [p], series=series, weights=weights)


def test_figures_are_those_of_their_definitions() -> None:
    y, p, series = sample()
    error, scale = np.abs(y - p), series.scale
    assert scale is not None
    expected = {
        "mase": (error / scale).mean(),
        "smape": (2 * error / (np.abs(y) + np.abs(p))).mean(),
        "wape": error.sum() / np.abs(y).sum(),
        "mean_absolute_error": metrics.mean_absolute_error(y, p),
        "root_mean_squared_error": metrics.root_mean_squared_error(y, p),
        "median_absolute_error": metrics.median_absolute_error(y, p),
        "mean_pinball_loss": metrics.mean_pinball_loss(y, p, alpha=0.5),
    }
    for metric, value in expected.items():
        assert found(metric, y, p, series).values[0] == pytest.approx(value, rel=1e-12)


def test_quantiles_are_scored_together() -> None:
    y, p, series = sample()
    whole = np.column_stack([p, p - 1, p + 1])
    each = [metrics.mean_pinball_loss(y, p + by, alpha=level) for by, level in ((-1, 0.1), (1, 0.9))]
    assert found("mean_pinball_loss", y, whole, series).values[0] == pytest.approx(np.mean(each))
    loss = found("weighted_quantile_loss", y, whole, series).values[0]
    assert loss == pytest.approx(2 * np.mean(each) / np.abs(y).mean())
    inside = (p - 1 <= y) & (y <= p + 1)
    assert found("interval_coverage", y, whole, series).values[0] == pytest.approx(inside.mean())
    assert found("mean_absolute_error", y, whole, series).values[0] == found("mean_absolute_error", y, p, series).values
    with pytest.raises(UndefinedMetricError, match="needs two quantiles"):
        found("interval_coverage", y, p, series)


def test_a_series_without_steps_has_no_scale() -> None:
    y, p, series = sample()
    flat = Series(times=series.times, scale=np.where(np.arange(40) % 2, np.nan, 1.0))
    with pytest.raises(UndefinedMetricError, match="20 rows have no scale"):
        found("mase", y, p, flat)


@pytest.mark.parametrize("metric", ["wape", "mase", "smape"])
def test_an_influence_is_how_the_weighted_figure_moves(metric: str) -> None:
    y, p, series = sample()
    weights = np.random.default_rng(1).gamma(2.0, 1.0, 40)
    estimated = found(metric, y, p, series, weights)
    influence = estimated.influence
    assert influence is not None
    moved = weights.copy()
    moved[7] *= 1 + 1e-6
    slope = (found(metric, y, p, series, moved).values[0] - estimated.values[0]) / 1e-6
    assert influence[0, 7] / 40 == pytest.approx(slope, rel=1e-4)


def test_the_long_run_variance_is_that_of_the_lowest_frequencies() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(2, 64))
    columns[:, 1:] -= columns[:, :-1] * 0.5  # each is undone by the next, so none lasts
    columns -= columns.mean(axis=1, keepdims=True)
    covariance, df = long_run(columns)
    assert df == 6  # 0.4 * 64 ** (2 / 3)
    waves = [
        np.sqrt(2 / 64) * sum(columns[:, t] * np.cos(np.pi * j * (t + 0.5) / 64) for t in range(64))
        for j in range(1, 7)
    ]
    expected = np.mean([np.outer(wave, wave) for wave in waves], axis=0) / 64
    np.testing.assert_allclose(covariance, expected)


@pytest.mark.parametrize(("times", "lasting"), [(8, 0.3), (12, 0.8), (24, 0.5), (60, 0.9), (700, 0.8)])
def test_errors_that_last_are_given_what_the_lowest_frequencies_lack(times: int, lasting: float) -> None:
    """On average over all draws of an autoregression the variance is that of its mean; here by its whole covariance."""
    covariance = lasting ** np.abs(np.subtract.outer(np.arange(times), np.arange(times)))
    count = int(0.4 * times ** (2 / 3))
    waves = np.sqrt(2 / times) * np.cos(np.pi * np.outer(np.arange(1, count + 1), np.arange(times) + 0.5) / times)
    expected = covariance.sum() / times / np.trace(waves @ covariance @ waves.T) * count
    assert _lacking(lasting, times, count) == pytest.approx(expected)


def test_how_long_errors_last_is_not_estimated_too_low() -> None:
    """From twelve times, without the correction for the bias it is 0.4 on average."""
    rng = np.random.default_rng(3)
    errors = rng.normal(size=(2000, 112))
    for time in range(1, 112):
        errors[:, time] += 0.8 * errors[:, time - 1]
    drawn = errors[:, 100:] - errors[:, 100:].mean(axis=1, keepdims=True)
    assert np.mean([_lasting(each[None, :]) for each in drawn]) == pytest.approx(0.6, abs=0.05)
    assert _lasting(np.zeros((2, 12))) < 0.2


def test_independent_times_have_the_variance_of_their_means() -> None:
    rng = np.random.default_rng(1)
    times = np.repeat(np.arange(4000), 3)
    error = np.repeat(rng.normal(size=4000), 3)
    estimated = found("mean_absolute_error", np.zeros(12000), error, Series(times=times))
    assert estimated.covariance[0, 0] == pytest.approx(np.abs(error[::3]).var() / 4000, rel=0.35)
    grouped = estimate("mean_absolute_error", Task.FORECAST, np.zeros(12000), [error], series=NONE, groups=times)
    assert grouped.method is Method.CLUSTER_BOOTSTRAP
    assert grouped.covariance[0, 0] == pytest.approx(np.abs(error[::3]).var() / 4000, rel=0.15)


def test_what_has_no_influence_is_drawn_in_runs_of_times() -> None:
    y, p, series = sample(60)
    estimated = found("median_absolute_error", y, p, series)
    assert (estimated.replicates, estimated.groups) == (1000, 60 // block_length(60))
    own = estimate_custom(lambda y, p: float(np.abs(y - p).mean()), Task.FORECAST, y, [p], series=series)
    direct = found("mean_absolute_error", y, p, series)
    assert own.values == pytest.approx(direct.values)
    assert own.covariance[0, 0] == pytest.approx(direct.covariance[0, 0], rel=1.5)


def test_few_times_say_nothing_of_others() -> None:
    y, p, series = sample(7)
    for metric in ("mase", "median_absolute_error"):
        with pytest.raises(NoIntervalError, match="there are 7 times, and an interval needs 8") as caught:
            found(metric, y, p, series)
        assert caught.value.reason is Undefined.TOO_FEW_ROWS
        assert np.isfinite(caught.value.values).all()


def test_settings_of_numbers_are_those_of_a_regression() -> None:
    y, p, series = sample()
    given = estimate("mean_pinball_loss", Task.FORECAST, y, [p], series=series, settings=Settings(alpha=0.9))
    assert given.values[0] == pytest.approx(metrics.mean_pinball_loss(y, p, alpha=0.9))
