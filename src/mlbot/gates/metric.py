"""The metrics that mlbot knows by scikit-learn's names, and the gates that bound them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from mlbot.lib.record import Record


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Whether labels are classes, so that a row is either right or wrong."""
        return self is not Task.REGRESSION


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def worse(self) -> int:
        """The sign that turns a change of the metric into a change for the worse."""
        return -1 if self is Direction.HIGHER else 1


class Metric(Record):
    """A metric of the catalogue, or one of the user's own."""

    name: str
    direction: Direction
    tasks: frozenset[Task]
    function: str | None = None
    """`module:function` of a user's own metric, read from the policy commit; None for the catalogue's."""


def _catalogue() -> Mapping[str, Metric]:
    binary, multiclass, numbers = (frozenset({task}) for task in Task)
    classes = binary | multiclass
    rows: tuple[tuple[frozenset[Task], Direction, str], ...] = (
        (classes, Direction.HIGHER, "accuracy balanced_accuracy"),
        (classes, Direction.LOWER, "log_loss brier_score_loss"),
        (binary, Direction.HIGHER, "roc_auc average_precision f1 precision recall matthews_corrcoef"),
        (multiclass, Direction.HIGHER, "roc_auc_ovr f1_macro f1_weighted precision_macro recall_macro"),
        (numbers, Direction.HIGHER, "r2"),
        (numbers, Direction.LOWER, "root_mean_squared_error mean_squared_error mean_absolute_error"),
        (numbers, Direction.LOWER, "mean_absolute_percentage_error median_absolute_error"),
    )
    return MappingProxyType(
        {
            name: Metric(name=name, direction=direction, tasks=tasks)
            for tasks, direction, names in rows
            for name in names.split()
        }
    )


CATALOGUE: Mapping[str, Metric] = _catalogue()

_NAMED = {
    "accuracy": "acc accuracy_score",
    "average_precision": "ap average_precision_score",
    "balanced_accuracy": "balanced_accuracy_score",
    "brier_score_loss": "brier brier_score neg_brier_score",
    "f1": "f1_score",
    "log_loss": "logloss cross_entropy",
    "matthews_corrcoef": "mcc",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_error": "mse",
    "precision": "precision_score",
    "r2": "r2_score",
    "recall": "recall_score",
    "roc_auc": "auc auroc roc_auc_score",
    "root_mean_squared_error": "rmse",
}


def _aliases() -> Mapping[str, str]:
    lower = (name for name, metric in CATALOGUE.items() if metric.direction is Direction.LOWER)
    negated = {f"neg_{name}": name for name in lower}
    return MappingProxyType({alias: name for name, aliases in _NAMED.items() for alias in aliases.split()} | negated)


ALIASES: Mapping[str, str] = _aliases()
"""What else a metric of the catalogue is called: scikit-learn's functions and scorers, and the usual short forms.

A scorer such as `neg_log_loss` is the metric with its sign turned; it means the metric as it is.
"""


def catalogued(name: str) -> str:
    """The catalogue's name of a metric; any other name as it is."""
    return ALIASES.get(name, name)


OF_POSITIVES = frozenset({"average_precision", "f1", "precision", "recall"})
"""The metrics of a binary task that rest on the positive rows, so that another positive class gives other figures."""

OPERATIONAL: Mapping[str, Direction] = MappingProxyType(
    dict.fromkeys(("negative_flips", "latency_p50_ms", "latency_p95_ms", "size_mb"), Direction.LOWER)
)
"""What a gate may name beside metrics: measured on the file or its behaviour, not scored against labels alone."""


class Bound(StrEnum):
    """What kind of limit a gate sets."""

    MIN = "min"
    MAX = "max"
    MAX_REGRESSION = "max_regression"


class Gate(Record):
    """One rule: a bound on one metric, on all rows or a slice."""

    metric: str
    slice: str | None = None
    bound: Bound
    limit: float
    confident: bool = False  # whether `min` and `max` judge the confidence bound instead of the point estimate
    blocking: bool = True

    @property
    def subject(self) -> str:
        """The metric as a gate names it: `metric` or `metric@slice`."""
        return f"{self.metric}@{self.slice}" if self.slice else self.metric

    @property
    def name(self) -> str:
        """What tells it from every other gate of its model: `subject.bound`."""
        return f"{self.subject}.{self.bound}"
