"""Do 90 % intervals hold the truth where rows are not alone: times, queries, rows of several labels?

    python -m benchmarks.dependent [--draws 1000] [--part forecast|ranking|multilabel]

Two models of equal worth: the truth of the paired difference is 0, and each model's own metric is that of a population
of 200,000 rows. A line: the part, its size, and the share of draws whose interval holds the truth, of the difference
and of one model. Forecasts: ten series whose errors are AR(1), half of their variance shared by all series of a time.
Rankings: queries of 2 to 20 rows whose difficulty differs. Labels: eight, the rarest on 2 % of the rows.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.estimation import estimate
from mlbot.stats.forecast import Series
from mlbot.stats.intervals import metric_interval
from mlbot.stats.recipe import Sameness, recipe_test
from mlbot.stats.types import UndefinedMetricError

Array = npt.NDArray[Any]
POOL = 200_000
FROZEN = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)  # two files, so only rows are noise


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Rows and what two models say of them."""

    y: Array
    predictions: tuple[Array, Array]
    groups: Array | None = None
    series: Series | None = None


def autoregressive(rng: np.random.Generator, shape: tuple[int, int], phi: float) -> Array:
    """Series of variance 1, (times, series)."""
    steps = rng.normal(size=shape) * np.sqrt(1 - phi**2)
    steps[0] /= np.sqrt(1 - phi**2)
    for time in range(1, shape[0]):
        steps[time] += phi * steps[time - 1]
    return np.asarray(steps)


def forecasts(rng: np.random.Generator, times: int, phi: float) -> Drawn:
    """Ten series of so many times."""

    def errors() -> Array:
        shared, own = (autoregressive(rng, (times, wide), phi) for wide in (1, 10))
        return np.asarray((shared + own) / np.sqrt(2))

    both, each = errors(), (errors(), errors())
    first, second = (((both + own) / np.sqrt(2)).ravel() for own in each)
    return Drawn(
        y=np.zeros(times * 10), predictions=(first, second), series=Series(times=np.repeat(np.arange(times), 10))
    )


def rankings(rng: np.random.Generator, queries: int, _: float) -> Drawn:
    """Queries of several sizes; how much a score tells differs from query to query."""
    groups = np.repeat(np.arange(queries), rng.integers(2, 21, queries))
    hard = rng.gamma(2.0, 0.5, queries)[groups]
    worth = rng.normal(size=groups.size)
    relevance = np.clip(np.round(worth), 0, 3)
    shared = rng.normal(size=groups.size)
    first, second = (worth + hard * (shared + rng.normal(size=groups.size)) for _ in range(2))
    return Drawn(y=relevance, predictions=(first, second), groups=groups)


SHARES = np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02])


def labels(rng: np.random.Generator, rows: int, _: float) -> Drawn:
    """Eight labels, the rarest on 2 % of the rows; a row's labels and errors belong together."""
    row, spread = rng.normal(size=(rows, 1)), np.sqrt(0.5)
    latent = spread * row + spread * rng.normal(size=(rows, 8))
    y = (latent > np.quantile(rng.normal(size=100_000), 1 - SHARES)).astype(np.int8)
    shared = rng.normal(size=(rows, 8))
    odds = np.log(SHARES / (1 - SHARES)) / 2
    made = (2 * y - 0.5 + odds + 0.7 * shared + 0.7 * rng.normal(size=(rows, 8)) for _ in range(2))
    first, second = (1 / (1 + np.exp(-2 * each)) for each in made)
    return Drawn(y=y, predictions=(first, second))


PARTS = {
    "forecast": (
        forecasts,
        Task.FORECAST,
        ("mean_absolute_error", "root_mean_squared_error"),
        [(times, phi) for times in (12, 24, 60, 120) for phi in (0.0, 0.5, 0.8)],
    ),
    "ranking": (rankings, Task.RANKING, ("ndcg_at_10", "map", "mrr"), [(50, 0.0), (200, 0.0), (1000, 0.0)]),
    "multilabel": (
        labels,
        Task.MULTILABEL,
        ("f1_micro", "f1_macro", "recall_macro", "roc_auc_macro", "accuracy", "hamming_loss"),
        [(500, 0.0), (2000, 0.0)],
    ),
}


def covered(part: str, metric: str, size: int, phi: float, draws: int) -> tuple[float, float, int]:
    """The share of draws whose intervals hold the truth, of the difference and of a model; how many had any."""
    make, task, _, _ = PARTS[part]
    formula, settings = CATALOGUE[metric].formula, CATALOGUE[metric].settings
    rng = np.random.default_rng(1)
    size_of_pool = POOL if part == "multilabel" else POOL // 10  # there ten rows a query or time
    whole = make(np.random.default_rng(0), size_of_pool, phi)
    given: dict[str, Any] = {"groups": whole.groups, "series": whole.series, "settings": settings}
    truth = float(estimate(formula, task, whole.y, whole.predictions, **given).values.mean())
    held: list[tuple[bool, bool]] = []
    for _ in range(draws):
        drawn = make(rng, size, phi)
        given = {"groups": drawn.groups, "series": drawn.series, "settings": settings}
        try:
            found = estimate(formula, task, drawn.y, drawn.predictions, **given)
        except UndefinedMetricError:
            continue
        test = recipe_test(found, 1, sign=CATALOGUE[metric].direction.worse, margin=0.0, same=FROZEN)
        own = metric_interval(formula, found, 0)
        held.append((test.low <= 0 <= test.high, own.low <= truth <= own.high))
    shares = np.mean(held, axis=0)
    return float(shares[0]), float(shares[1]), len(held)


def lines(part: str, draws: int) -> Iterator[str]:
    """A line a metric and size."""
    _, _, metrics, sizes = PARTS[part]
    for size, phi in sizes:
        for metric in metrics:
            difference, own, had = covered(part, metric, size, phi, draws)
            yield f"{part} {size} {phi:g} {metric}: {difference:.1%} {own:.1%} ({had} of {draws})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--part", choices=[*PARTS], action="append")
    given = parser.parse_args()
    for part in given.part or PARTS:
        for line in lines(part, given.draws):
            print(line, flush=True)


if __name__ == "__main__":
    main()
