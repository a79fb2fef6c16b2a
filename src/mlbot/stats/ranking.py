"""Metrics of a ranking: a figure of each query, and the mean over queries. A query is one draw, whatever its rows.

Rows of one score have no order. A figure is the mean over the orders that they can have, as scikit-learn's
`ndcg_score` takes it; for all of them in closed form: F. McSherry, M. Najork, "Computing information retrieval
performance measures efficiently in the presence of tied scores", ECIR 2008. A relevance above 0 is relevant.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import special

from mlbot.gates.metric import Gain, Settings
from mlbot.stats.metrics import MeanLoss, total
from mlbot.stats.types import Floats, Labels, Weights

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The rows of all queries by falling score, each query's together; arrays are (n,) in that order."""

    relevance: Floats
    starts: Places  # where each query begins, (Q,)
    ties: Places  # where each run of equal scores in a query begins, (t,)

    @classmethod
    def by(cls, score: Floats, relevance: Floats, queries: Labels) -> "Ranked":
        """The rows by a score; `queries` are codes from 0, each of which occurs."""
        order = np.lexsort((-score, queries))
        query, ranked = queries[order], score[order]
        begins = np.concatenate(([True], query[1:] != query[:-1]))
        runs = begins | np.concatenate(([True], ranked[1:] != ranked[:-1]))
        return cls(relevance=relevance[order], starts=np.flatnonzero(begins), ties=np.flatnonzero(runs))

    @cached_property
    def rank(self) -> Floats:
        """The place of each row in its query, from 1."""
        return np.asarray(self._since(self.starts) + 1, np.float64)

    @cached_property
    def relevant(self) -> Floats:
        """1 for a relevant row, (n,)."""
        return (self.relevance > 0).astype(np.float64)

    @cached_property
    def tied(self) -> Floats:
        """How many rows have the score of each row."""
        return self._spread(self._sizes(self.ties))

    def by_query(self, values: Floats) -> Floats:
        """The sum of each query, (Q,)."""
        return np.asarray(np.add.reduceat(values, self.starts), np.float64)

    def averaged(self, values: Floats) -> Floats:
        """Each row's value over the orders of those with its score."""
        return self._spread(np.add.reduceat(values, self.ties)) / self.tied

    def before(self, values: Floats) -> Floats:
        """The sum over the rows of the query that come before all with the score of each row."""
        running = np.cumsum(values) - values
        in_query = running - np.repeat(running[self.starts], self._sizes(self.starts))
        return self._spread(in_query[self.ties])

    @cached_property
    def place(self) -> Floats:
        """Each row's place among those with its score, from 1."""
        return np.asarray(self._since(self.ties) + 1, np.float64)

    @cached_property
    def first(self) -> Floats:
        """The probability that the first relevant row of its query is at a row's place."""
        hits = self.averaged(self.relevant) * self.tied  # among those with its score
        left = self.tied - self.place
        here = (hits > 0) & (self.before(self.relevant) == 0) & (left >= hits - 1)
        chance = np.zeros(len(hits))
        ways = _log_binomial(left[here], hits[here] - 1) - _log_binomial(self.tied[here], hits[here])
        chance[here] = np.exp(ways)
        return chance

    def _since(self, begins: Places) -> Places:
        return np.arange(len(self.relevance)) - np.repeat(begins, self._sizes(begins))

    def _sizes(self, begins: Places) -> Places:
        return np.diff(begins, append=len(self.relevance))

    def _spread(self, values: npt.NDArray[np.number]) -> Floats:
        return np.repeat(values.astype(np.float64), self._sizes(self.ties))


def _log_binomial(n: Floats, k: Floats) -> Floats:
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def of_queries(weights: Weights, queries: Labels) -> Floats:
    """What each query counts, (Q,): the mean of its rows' weights, (n,), which are all alike."""
    return np.asarray(np.bincount(queries, weights) / np.bincount(queries), np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfQueries:
    """A mean over queries as a statistic of their rows, which share what their query does."""

    of: MeanLoss  # (Q,), in the order of the codes
    queries: Labels  # (n,)

    def support(self, weights: Weights | None = None) -> float:
        """How many queries there are."""
        return self.of.support(None if weights is None else of_queries(weights, self.queries))

    def value(self) -> float:
        """The mean."""
        return self.of.value()

    def weighted(self, weights: Weights) -> float:
        """The mean when a query counts as its rows do."""
        return self.of.weighted(of_queries(weights, self.queries))

    def influence(self, weights: Weights | None = None) -> Floats:
        """Of each row, (n,)."""
        if weights is None:
            share, own = len(self.queries) / self.of.loss.size, self.of.influence()
        else:
            counted = of_queries(weights, self.queries)
            share, own = float(weights.sum()) / total(counted), self.of.influence(counted)
        return np.asarray((own * share / np.bincount(self.queries))[self.queries], np.float64)


def statistic(metric: str, settings: Settings, relevance: Floats, score: Floats, queries: Labels) -> OfQueries:
    """A metric of the catalogue of one model; `queries` are codes from 0, each of which occurs."""
    ranked = Ranked.by(score, relevance, queries)
    k = settings.k or (10 if metric.endswith("_at_k") else len(relevance))
    return OfQueries(of=MeanLoss(loss=_FIGURES[metric](ranked, k, settings)), queries=queries)


def _within(ranked: Ranked, k: int) -> Floats:
    return (ranked.rank <= k).astype(np.float64)


def _share(top: Floats, bottom: Floats, empty: float | None) -> Floats:
    """A share of each query; where there is none to have, 0 as in scikit-learn, or what is asked for."""
    none = np.full(top.shape, empty or 0.0)
    return np.asarray(np.divide(top, bottom, out=none, where=bottom > 0))


def _ndcg(ranked: Ranked, k: int, settings: Settings) -> Floats:
    best = Ranked.by(ranked.relevance, ranked.relevance, np.repeat(np.arange(len(ranked.starts)), _lengths(ranked)))
    found, ideal = (_gained(each, k, settings.gain) for each in (ranked, best))
    return _share(found, ideal, settings.zero_division)


def _lengths(ranked: Ranked) -> Places:
    return np.diff(ranked.starts, append=len(ranked.relevance))


def _gained(ranked: Ranked, k: int, gain: Gain | None) -> Floats:
    relevance = ranked.relevance
    gains = np.exp2(relevance) - 1 if gain is Gain.EXPONENTIAL else relevance
    return ranked.by_query(ranked.averaged(gains) * _within(ranked, k) / np.log2(ranked.rank + 1))


def _precision(ranked: Ranked, k: int, _settings: Settings) -> Floats:
    """Of the first k places, those of a query with fewer rows are not filled."""
    return ranked.by_query(ranked.averaged(ranked.relevant) * _within(ranked, k)) / k


def _recall(ranked: Ranked, k: int, settings: Settings) -> Floats:
    found = ranked.by_query(ranked.averaged(ranked.relevant) * _within(ranked, k))
    return _share(found, ranked.by_query(ranked.relevant), settings.zero_division)


def _hit_rate(ranked: Ranked, k: int, settings: Settings) -> Floats:
    found = ranked.by_query(ranked.first * _within(ranked, k))
    return _share(found, _any(ranked), settings.zero_division)


def _reciprocal_rank(ranked: Ranked, k: int, settings: Settings) -> Floats:
    found = ranked.by_query(ranked.first * _within(ranked, k) / ranked.rank)
    return _share(found, _any(ranked), settings.zero_division)


def _any(ranked: Ranked) -> Floats:
    return (ranked.by_query(ranked.relevant) > 0).astype(np.float64)


def _average_precision(ranked: Ranked, k: int, settings: Settings) -> Floats:
    """The mean of the precision at each relevant row; of those in the first k, over as many as could be there."""
    share = ranked.averaged(ranked.relevant)  # how likely a row's place has a relevant one
    others = np.divide(share * ranked.tied - 1, ranked.tied - 1, out=np.zeros_like(share), where=ranked.tied > 1)
    hits = ranked.before(ranked.relevant) + (ranked.place - 1) * others + 1
    found = ranked.by_query(share * hits / ranked.rank * _within(ranked, k))
    return _share(found, np.minimum(ranked.by_query(ranked.relevant), k), settings.zero_division)


_FIGURES: Mapping[str, Callable[[Ranked, int, Settings], Floats]] = MappingProxyType(
    {
        "ndcg": _ndcg,
        "map": _average_precision,
        "mrr": _reciprocal_rank,
        "precision_at_k": _precision,
        "recall_at_k": _recall,
        "hit_rate_at_k": _hit_rate,
    }
)
