"""The gates of a model, as mlbot.yaml writes them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from mlbot.core.config_error import quote, show_value
from mlbot.core.config_metrics import Metrics, catalogued
from mlbot.core.config_reader import Reader
from mlbot.core.gate import Bound, Gate
from mlbot.core.metric import CATALOGUE, OPERATIONAL, Task

KEYS = ("min", "max", "max_regression", "confident", "blocking")

_SHARES = (
    "accuracy average_precision balanced_accuracy f1 f1_macro f1_weighted precision precision_macro recall "
    "recall_macro roc_auc roc_auc_ovr negative_flips"
)
_OTHERS = 50
"""Metrics of the model that are offered instead of an unknown one; not all of thousands."""
_INFINITY = float("inf")
_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(_SHARES.split(), (0.0, 1.0)),
        "matthews_corrcoef": (-1.0, 1.0),
        "r2": (-_INFINITY, 1.0),
    }
)
"""The least and the greatest value of metrics that have them; the catalogue's others are errors, 0 and more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What the gates of one model may name.

    Attributes:
        task: What the model predicts; None when that could not be read.
        metrics: Its metrics. A gate adds the catalogue's metric that it names.
        slices: Every slice that the file names, those with mistakes too.
    """

    task: Task | None
    metrics: Metrics
    slices: Collection[str]


def read_gates(gates: Mapping[str, Reader], scope: Scope) -> tuple[Gate, ...]:
    """One gate a bound, in the file's order."""
    return tuple(gate for subject, reader in gates.items() for gate in _gates(reader, subject, scope))


def _gates(reader: Reader, subject: str, scope: Scope) -> Iterator[Gate]:
    metric, at, slice_ = subject.partition("@")
    if metric in OPERATIONAL:
        fits = _check_operational(reader, subject, scope)
    else:
        fits = _check_subject(reader, metric, scope)
        fits = _check_slice(reader, slice_, scope) and fits if at else fits
    fields = _fields(reader, operational=metric in OPERATIONAL)
    confident = fields["confident"].flag() if "confident" in fields else False
    blocking = fields["blocking"].flag() if "blocking" in fields else True
    limits = {bound: _limit(fields[bound], metric, bound) for bound in Bound if bound in fields}
    _check_together(reader, fields, limits)
    for bound, limit in limits.items():
        if fits and limit is not None and confident is not None and blocking is not None:
            sure = confident and bound is not Bound.MAX_REGRESSION
            yield Gate(metric=metric, slice=slice_ or None, bound=bound, limit=limit, confident=sure, blocking=blocking)


def _fields(reader: Reader, *, operational: bool) -> dict[str, Reader]:
    if isinstance(reader.value, int | float) and not isinstance(reader.value, bool):
        bounds = ("max",) if operational else ("min", "max", "max_regression")
        reader.refuse(" or ".join(f"{{{bound}: {show_value(reader.value)}}}" for bound in bounds))
        return {}
    return reader.fields(KEYS)


def _check_subject(reader: Reader, metric: str, scope: Scope) -> bool:
    known = scope.metrics.known
    if metric in known:
        return True
    if metric in scope.metrics.broken:
        return False
    found = catalogued(reader, metric, scope.task, others=(*OPERATIONAL, *islice(known, _OTHERS)))
    if found is not None:
        known[metric] = found
    return found is not None


def _check_slice(reader: Reader, slice_: str, scope: Scope) -> bool:
    if slice_ in scope.slices:
        return True
    write = reader.guess(slice_, scope.slices) if scope.slices else "it under `slices:` first"
    reader.refuse(write, found=f"the unknown slice {quote(slice_)}")
    return False


def _check_operational(reader: Reader, subject: str, scope: Scope) -> bool:
    if subject not in OPERATIONAL:
        reader.refuse("it without a slice", found=f"{quote(subject)}, which is measured on the whole file")
    elif subject == "negative_flips" and scope.task is Task.REGRESSION:
        reader.refuse("a gate on a metric; rows of a regression are neither right nor wrong", found=quote(subject))
    else:
        return True
    return False


def _limit(reader: Reader, metric: str, bound: Bound) -> float | None:
    if metric in OPERATIONAL and bound is not Bound.MAX:
        reader.refuse("`max`, the only bound it takes", found=f"`{bound}` for {metric}")
        return None
    low, high = _range(metric)
    if bound is Bound.MAX_REGRESSION:
        low, high = 0.0, high - low
    return reader.number(_in_words(low, high), lambda value: low <= value <= high)


def _range(metric: str) -> tuple[float, float]:
    known = metric in CATALOGUE or metric in OPERATIONAL
    return _RANGES.get(metric, (0.0 if known else -_INFINITY, _INFINITY))


def _in_words(low: float, high: float) -> str:
    if low == -_INFINITY:
        return "a number" if high == _INFINITY else f"a number of at most {high:g}"
    return f"a number, {low:g} or more" if high == _INFINITY else f"a number from {low:g} to {high:g}"


def _check_together(reader: Reader, fields: Mapping[str, Reader], limits: Mapping[Bound, float | None]) -> None:
    """What no single bound shows."""
    low, high = limits.get(Bound.MIN), limits.get(Bound.MAX)
    if low is not None and high is not None and low > high:
        reader.refuse("a `min` of at most `max`", found=f"min {low:g} above max {high:g}")
    if isinstance(reader.value, dict) and not limits and fields.keys() == reader.value.keys():
        reader.refuse("at least one of min, max and max_regression", found="no bound")
    elif "confident" in fields and not {Bound.MIN, Bound.MAX} & limits.keys():
        fields["confident"].refuse("it beside `min` or `max`; max_regression is always judged by its interval")
