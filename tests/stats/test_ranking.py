"""Figures of queries beside scikit-learn's, and beside all orders that tied rows can have."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from mlbot.gates.metric import Gain, Settings, Task
from mlbot.stats.estimation import GapRows, estimate, estimate_gap
from mlbot.stats.types import Method

Array = npt.NDArray[np.float64]
Figure = Callable[[Array, int], float]


def sample(queries: int, seed: int, *, ties: bool = True) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(queries), rng.integers(2, 6, queries))
    order = rng.permutation(codes.size)
    relevance = rng.integers(0, 3, codes.size).astype(float)
    score = rng.integers(0, 3, codes.size).astype(float) if ties else rng.normal(size=codes.size)
    return relevance[order], score[order] + relevance[order], codes[order]


def test_ndcg_is_that_of_scikit_learn() -> None:
    for k, seed in itertools.product((1, 2, 3, 10, None), range(4)):
        relevance, score, codes = sample(30, seed)
        found = estimate("ndcg", Task.RANKING, relevance, [score], groups=codes, settings=Settings(k=k))
        each = [ndcg_score([relevance[codes == q]], [score[codes == q]], k=k) for q in range(30)]
        assert found.values[0] == pytest.approx(np.mean(each), abs=1e-12)
        assert found.covariance[0, 0] == pytest.approx(np.var(each, ddof=1) / 30, rel=1e-9)
        assert (found.df, found.method, found.support.tolist()) == (29, Method.DELTA, [30])
        gains = Settings(k=k, gain=Gain.EXPONENTIAL)
        found = estimate("ndcg", Task.RANKING, relevance, [score], groups=codes, settings=gains)
        each = [ndcg_score([2 ** relevance[codes == q] - 1], [score[codes == q]], k=k) for q in range(30)]
        assert found.values[0] == pytest.approx(np.mean(each), abs=1e-12)


def _ndcg(relevance: Array, k: int) -> float:
    gained = [sum(r / math.log2(i + 2) for i, r in enumerate(each[:k])) for each in (relevance, -np.sort(-relevance))]
    return gained[0] / gained[1] if gained[1] else 0.0


def _average_precision(relevance: Array, k: int) -> float:
    hits = relevance > 0
    found = [hits[: at + 1].mean() for at in range(min(k, hits.size)) if hits[at]]
    return sum(found) / min(k, hits.sum()) if hits.any() else 0.0


def _reciprocal_rank(relevance: Array, k: int) -> float:
    first = np.flatnonzero(relevance[:k] > 0)
    return 1 / (first[0] + 1) if first.size else 0.0


def _recall(relevance: Array, k: int) -> float:
    return float((relevance[:k] > 0).sum() / (relevance > 0).sum()) if relevance.any() else 0.0


BRUTE: dict[str, Figure] = {
    "ndcg": _ndcg,
    "map": _average_precision,
    "mrr": _reciprocal_rank,
    "precision_at_k": lambda relevance, k: float((relevance[:k] > 0).sum() / k),
    "recall_at_k": _recall,
    "hit_rate_at_k": lambda relevance, k: float((relevance[:k] > 0).any()),
}


def _orders(relevance: Array, score: Array) -> list[Array]:
    """The relevance in each order that falls by score."""
    every = (list(order) for order in itertools.permutations(range(score.size)))
    return [relevance[order] for order in every if (np.diff(score[order]) <= 0).all()]


@given(st.sampled_from(sorted(BRUTE)), st.integers(1, 6), st.integers(0, 500))
def test_a_figure_is_the_mean_over_the_orders_of_tied_rows(metric: str, k: int, seed: int) -> None:
    relevance, score, codes = sample(4, seed)
    score -= relevance  # so that a tie has both kinds of rows
    found = estimate(metric, Task.RANKING, relevance, [score], groups=codes, settings=Settings(k=k))
    each = []
    for q in range(4):
        orders = _orders(relevance[codes == q], score[codes == q])
        each.append(np.mean([BRUTE[metric](order, k) for order in orders]))
    assert found.values[0] == pytest.approx(np.mean(each), abs=1e-12)


def test_a_query_without_a_relevant_row_is_0_or_what_is_agreed() -> None:
    relevance, score, codes = np.array([1.0, 0, 0, 0]), np.array([2.0, 1, 2, 1]), np.array([0, 0, 1, 1])
    for metric in ("ndcg", "map", "mrr"):
        for agreed, expected in ((None, 0.5), (1.0, 1.0)):
            settings = Settings(zero_division=agreed)
            found = estimate(metric, Task.RANKING, relevance, [score], groups=codes, settings=settings)
            assert found.values[0] == expected


@pytest.mark.parametrize("metric", sorted(BRUTE))
def test_weights_of_queries_are_those_of_repeated_queries(metric: str) -> None:
    relevance, score, codes = sample(40, 3)
    times = np.random.default_rng(0).integers(1, 4, 40)
    weighed = estimate(metric, Task.RANKING, relevance, [score], groups=codes, weights=times[codes].astype(float))
    rows = np.concatenate([np.flatnonzero(codes == q) for q in range(40) for _ in range(times[q])])
    fresh = np.concatenate([np.full((codes == q).sum(), at) for at, q in enumerate(np.repeat(np.arange(40), times))])
    again = estimate(metric, Task.RANKING, relevance[rows], [score[rows]], groups=fresh)
    assert weighed.values[0] == pytest.approx(again.values[0], rel=1e-12)
    scale = (again.df + 1) / again.df * (weighed.df + 1) / weighed.df
    uneven = float(times @ times) / times.sum()  # a query that counts three times is one draw
    assert weighed.covariance[0, 0] / again.covariance[0, 0] < uneven * scale * 1.5
    assert weighed.df == pytest.approx(times.sum() ** 2 / (times @ times) - 1)


def test_a_gap_between_slices_is_of_their_queries() -> None:
    relevance, score, codes = sample(60, 1)
    parts = {"low": codes < 30, "high": codes >= 30}
    rows = GapRows(y=relevance, predictions=[score], slices=parts, groups=codes)
    found = estimate_gap("ndcg", Task.RANKING, rows)
    each = [
        estimate("ndcg", Task.RANKING, relevance[part], [score[part]], groups=codes[part]) for part in parts.values()
    ]
    assert found.values[0] == pytest.approx(abs(each[0].values[0] - each[1].values[0]))
    total = sum(float(one.covariance[0, 0]) for one in each)
    assert found.covariance[0, 0] == pytest.approx(total, rel=0.05)


def test_the_order_of_rows_does_not_matter_and_models_share_their_queries() -> None:
    relevance, score, codes = sample(50, 2, ties=False)
    other = score + np.random.default_rng(1).normal(size=score.size)
    order = np.random.default_rng(0).permutation(score.size)
    one = estimate("map", Task.RANKING, relevance, [score, other], groups=codes)
    two = estimate("map", Task.RANKING, relevance[order], [score[order], other[order]], groups=codes[order])
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-10)
    assert one.covariance[0, 1] > 0
