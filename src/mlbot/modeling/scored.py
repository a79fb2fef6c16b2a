"""What a scoring is given and what it gives."""

from dataclasses import dataclass

from mlbot.core.evaluation import Latency
from mlbot.core.record import Record
from mlbot.modeling.predictions import Floats
from mlbot.modeling.protocol import ModelFacts


class Protection(Record):
    """What held a model back while it was scored. Each is True when it was in force."""

    empty_environment: bool
    """No environment variable, so no credential."""
    other_user: bool
    """Another user than the judge's; only a judge run by root can do that."""
    no_network: bool
    """A network namespace with nothing in it."""
    no_new_privileges: bool
    resource_limits: bool
    """Memory, processor time, file size."""
    no_new_files: bool
    """No file, socket or pipe can be opened."""
    system_calls: bool
    """A filter allows computing and the open pipes, nothing else: no files, no sockets, no programs."""
    ends_with_parent: bool
    parent_hidden: bool
    """The judge's memory and environment cannot be read by a process of the same user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one model may use.

    Attributes:
        size_bytes: the largest file.
        memory_bytes: memory of its process beyond the libraries.
        wall_s: seconds the judge waits for it in all; also its processor seconds.
        threads: threads of a prediction; latency is comparable only with one.
        batch_rows: rows predicted at a time; fewer when there are many features.
        latency_requests: single rows that are timed.
        latency_s: seconds after which timing stops early.
    """

    size_bytes: int = 256 << 20
    memory_bytes: int = 2 << 30
    wall_s: float = 900.0
    threads: int = 1
    batch_rows: int = 16_384
    latency_requests: int = 200
    latency_s: float = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One model file's predictions on a holdout.

    Attributes:
        predictions: float64: (n,) P(positive) or the number, or (n, C) in the order of `classes`.
        classes: the holdout's classes; for multiclass, after them any that a model of the same scoring knows beside
            them (so the label codes stay as they are). Empty for regression.
        digest: `sha256:…` of exactly the bytes that were scored.
        size_bytes: how many they were.
        latency: how long predictions took.
        protection: what held the model back.
        facts: what the file is.
    """

    predictions: Floats
    classes: tuple[str, ...]
    digest: str
    size_bytes: int
    latency: Latency
    protection: Protection
    facts: ModelFacts
