"""Timing models in turn: short rounds, each of which asks one and then the other, AB and then BA.

So a load on the machine meets both, whichever is asked first in a round is the other in the next, and never is more
than one request under way.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from mlbot.stats.latency import middle
from mlbot.verdict.verdict import Latency

ROUNDS = 20
REQUESTS = 20  # of each model in a round

Ask = Callable[[int, int], Sequence[float]]
"""Ask so many single rows from some row on, and give the milliseconds of each; nothing where the model has failed."""

Rounds = tuple[tuple[float, ...], ...]
"""The milliseconds of a model's requests, round by round."""


def timed_in_rounds(
    models: Sequence[Ask], slowest_ms: Sequence[float], *, seconds: float, clock: Callable[[], float] = time.monotonic
) -> tuple[Rounds, ...]:
    """The times of each model, in so many rounds of so many requests as fit into about `seconds`.

    `slowest_ms` is what a request of each takes, as far as is known. A slow model gets fewer requests a round first,
    and fewer rounds only when each has but one.
    """
    requests = int(np.clip(1000 * seconds / (ROUNDS * max(sum(slowest_ms), 1e-6)), 1, REQUESTS))
    found: list[list[tuple[float, ...]]] = [[] for _ in models]
    going = list(range(len(models)))
    end = clock() + seconds
    for number in range(ROUNDS):
        if number and clock() >= end:
            break
        for model in going[:: -1 if number % 2 else 1]:
            found[model].append(tuple(models[model](number * requests, requests)))
        going = [model for model in going if found[model][-1]]
    return tuple(tuple(each for each in rounds if each) for rounds in found)


def medians(rounds: Rounds) -> tuple[float, ...]:
    """The median of each round, in milliseconds."""
    return tuple(float(np.median(each)) for each in rounds)


def with_rounds(latency: Latency, rounds: Rounds) -> Latency:
    """A latency by what its rounds say: the median of their medians, with its interval."""
    every = np.concatenate(rounds)
    found = middle(medians(rounds))
    return latency.model_copy(
        update={
            "requests": every.size,
            "p50_ms": found.median,
            "p95_ms": float(np.percentile(every, 95)),
            "rounds": len(rounds),
            "p50_low": found.low,
            "p50_high": found.high,
        }
    )
