"""The metrics that mlbot knows by scikit-learn's names, and the gates that bound them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from mlbot.lib.record import Record


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    MULTILABEL = "multilabel"
    MULTIOUTPUT = "multioutput"
    RANKING = "ranking"
    FORECAST = "forecast"
    SCORES = "scores"  # an evaluator gives every row its scores

    @property
    def has_classes(self) -> bool:
        """Whether a row has one label of several."""
        return self in {Task.BINARY, Task.MULTICLASS}

    @property
    def is_classification(self) -> bool:
        """Whether answers are probabilities, so that what is decided of a row is either right or wrong."""
        return self.has_classes or self is Task.MULTILABEL

    @property
    def has_targets(self) -> bool:
        """Whether a row has several targets, a column each."""
        return self in {Task.MULTILABEL, Task.MULTIOUTPUT}


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def worse(self) -> int:
        """The sign that turns a change of the metric into a change for the worse."""
        return -1 if self is Direction.HIGHER else 1


class Gain(StrEnum):
    """What a relevance is worth in a ranking."""

    LINEAR = "linear"  # itself
    EXPONENTIAL = "exponential"  # 2 to its power, less 1


class Settings(Record):
    """What a metric of the catalogue takes beside labels and predictions; None for its default."""

    alpha: float | None = None  # the quantile that a pinball loss asks for; a half
    k: int | None = None  # how many classes count as named; two. Of a ranking: how many of the first places count
    zero_division: float | None = None  # the value where a share is of no rows; such a figure is undefined without it
    gain: Gain | None = None  # linear
    clip: float | None = None  # how near to 0 and 1 a log loss takes a probability for; the smallest step of a float64


class Metric(Record):
    """A metric of the catalogue, or one of the user's own."""

    name: str
    direction: Direction
    tasks: frozenset[Task]
    function: str | None = None
    """`module:function` of a user's own metric, read from the policy commit; None for the catalogue's."""
    of: str | None = None
    """The catalogue's name, where it has another one here."""
    settings: Settings = Settings()
    slices: tuple[str, ...] = ()
    """The slices whose values it tells apart, where it is the gap between them."""
    range: tuple[float, float] | None = None
    """The least and the greatest value of an evaluator's score, where the config gives them."""

    @property
    def formula(self) -> str:
        """What it is in the catalogue."""
        return self.of or self.name


_ANY, _SHARE, _POSITIVE, _UP_TO_1, _BOTH = (
    (-math.inf, math.inf),
    (0.0, 1.0),
    (0.0, math.inf),
    (-math.inf, 1.0),
    (-1.0, 1.0),
)
_BINARY, _MULTICLASS, _NUMBER = (frozenset({task}) for task in (Task.BINARY, Task.MULTICLASS, Task.REGRESSION))
_LABELS, _OUTPUTS, _RANKING = (frozenset({task}) for task in (Task.MULTILABEL, Task.MULTIOUTPUT, Task.RANKING))
_FORECAST = frozenset({Task.FORECAST})
_CLASSES, _NUMBERS = _BINARY | _MULTICLASS, _NUMBER | _OUTPUTS | _FORECAST
_RATIOS = ("precision", "recall", "f1", "jaccard")
_AVERAGES = " ".join(f"{name}_{average}" for name in _RATIOS for average in ("micro", "macro", "weighted"))
_OF_SAMPLES = " ".join(f"{name}_samples" for name in _RATIOS)
_OVER_LABELS = "roc_auc_macro roc_auc_micro roc_auc_weighted"
_OVER_LABELS += " average_precision_macro average_precision_micro average_precision_weighted"
_AREAS = "roc_auc_ovr roc_auc_ovr_weighted roc_auc_ovo roc_auc_ovo_weighted"
_ERRORS = "root_mean_squared_error mean_squared_error mean_absolute_error mean_absolute_percentage_error"
_DEVIANCES = "mean_poisson_deviance mean_gamma_deviance"

_ROWS: tuple[tuple[frozenset[Task], Direction, tuple[float, float], str], ...] = (
    (_CLASSES | _LABELS, Direction.HIGHER, _SHARE, "accuracy"),
    (_CLASSES, Direction.HIGHER, _SHARE, "balanced_accuracy"),
    (_CLASSES | _LABELS, Direction.LOWER, _POSITIVE, "log_loss brier_score_loss"),
    (_BINARY, Direction.HIGHER, _SHARE, "roc_auc average_precision f1 precision recall jaccard"),
    (_CLASSES, Direction.HIGHER, _BOTH, "matthews_corrcoef cohen_kappa"),
    (_CLASSES, Direction.HIGHER, _UP_TO_1, "d2_log_loss_score d2_brier_score"),
    (_BINARY, Direction.HIGHER, _POSITIVE, "positive_likelihood_ratio"),
    (_BINARY, Direction.LOWER, _POSITIVE, "negative_likelihood_ratio"),
    (_MULTICLASS, Direction.HIGHER, _SHARE, f"{_AREAS} top_k_accuracy"),
    (_CLASSES | _LABELS, Direction.HIGHER, _SHARE, _AVERAGES),
    (_LABELS, Direction.HIGHER, _SHARE, f"{_OF_SAMPLES} {_OVER_LABELS} label_ranking_average_precision"),
    (_LABELS, Direction.LOWER, _SHARE, "hamming_loss label_ranking_loss"),
    (_LABELS, Direction.LOWER, _POSITIVE, "coverage_error"),
    (_NUMBERS, Direction.HIGHER, _UP_TO_1, "r2"),
    (_OUTPUTS, Direction.HIGHER, _UP_TO_1, "r2_variance_weighted"),
    (_NUMBERS, Direction.LOWER, _POSITIVE, f"{_ERRORS} median_absolute_error"),
    (_NUMBER, Direction.LOWER, _POSITIVE, "max_error"),
    (_NUMBERS, Direction.HIGHER, _UP_TO_1, "explained_variance d2_absolute_error_score"),
    (_NUMBERS, Direction.LOWER, _POSITIVE, "mean_squared_log_error root_mean_squared_log_error mean_pinball_loss"),
    (_NUMBER, Direction.LOWER, _POSITIVE, _DEVIANCES),
    (_FORECAST, Direction.LOWER, _POSITIVE, "mase wape weighted_quantile_loss"),
    (_FORECAST, Direction.LOWER, (0.0, 2.0), "smape"),
    (_FORECAST, Direction.HIGHER, _SHARE, "interval_coverage"),
    (_RANKING, Direction.HIGHER, _SHARE, "ndcg map mrr precision_at_k recall_at_k hit_rate_at_k"),
)
_PLACES = (1, 3, 5, 10, 20, 50, 100)
"""The usual numbers of first places; others are written as a setting."""


def at_places(metric: str, k: int) -> str:
    """What a metric of the first `k` places of a ranking is called."""
    return f"{metric.removesuffix('_at_k')}_at_{k}"


def _catalogue() -> Iterator[Metric]:
    for tasks, direction, _, names in _ROWS:
        for name in names.split():
            yield Metric(name=name, direction=direction, tasks=tasks)
            for k in _PLACES if tasks == _RANKING else ():
                settings = Settings(k=k)
                yield Metric(name=at_places(name, k), direction=direction, tasks=tasks, of=name, settings=settings)


CATALOGUE: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _catalogue()})
_RANGES = {name: bounds for _, _, bounds, names in _ROWS for name in names.split()} | {"negative_flips": _SHARE}
_TAKES: Mapping[str, tuple[str, ...]] = (
    {"mean_pinball_loss": ("alpha",), "top_k_accuracy": ("k",), "log_loss": ("clip",), "precision_at_k": ("k",)}
    | {"ndcg": ("k", "gain", "zero_division")}
    | dict.fromkeys(("map", "mrr", "recall_at_k", "hit_rate_at_k"), ("k", "zero_division"))
    | dict.fromkeys(
        (*_RATIOS, *_AVERAGES.split(), *_OF_SAMPLES.split(), "matthews_corrcoef", "cohen_kappa"), ("zero_division",)
    )
)

_NAMED = {
    "accuracy": "acc accuracy_score subset_accuracy exact_match exact_match_ratio",
    "average_precision": "ap average_precision_score",
    "balanced_accuracy": "balanced_accuracy_score",
    "brier_score_loss": "brier brier_score neg_brier_score",
    "cohen_kappa": "cohen_kappa_score kappa",
    "d2_absolute_error_score": "d2_absolute_error",
    "d2_brier_score": "d2_brier",
    "d2_log_loss_score": "d2_log_loss",
    "explained_variance": "explained_variance_score",
    "f1": "f1_score",
    "interval_coverage": "coverage",
    "jaccard": "jaccard_score",
    "label_ranking_average_precision": "lrap label_ranking_average_precision_score",
    "log_loss": "logloss cross_entropy",
    "map": "mean_average_precision",
    "mase": "mean_absolute_scaled_error",
    "matthews_corrcoef": "mcc",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_pinball_loss": "pinball_loss",
    "mean_squared_error": "mse",
    "mean_squared_log_error": "msle",
    "median_absolute_error": "medae",
    "mrr": "mean_reciprocal_rank",
    "ndcg": "ndcg_score",
    "precision": "precision_score",
    "r2": "r2_score",
    "recall": "recall_score",
    "roc_auc": "auc auroc roc_auc_score",
    "root_mean_squared_error": "rmse",
    "root_mean_squared_log_error": "rmsle",
    "smape": "symmetric_mean_absolute_percentage_error",
    "top_k_accuracy": "top_k_accuracy_score",
    "wape": "wmape weighted_absolute_percentage_error",
    "weighted_quantile_loss": "wql mean_weighted_quantile_loss",
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


def bounds_of(name: str) -> tuple[float, float]:
    """The least and the greatest value that a metric can have."""
    formula = CATALOGUE[name].formula if name in CATALOGUE else name
    return _RANGES.get(formula, _POSITIVE if name in OPERATIONAL else _ANY)


def taken_by(name: str) -> tuple[str, ...]:
    """The settings that a metric of the catalogue takes."""
    return _TAKES.get(name, ())


OF_POSITIVES = frozenset(
    {
        "average_precision",
        "f1",
        "jaccard",
        "precision",
        "recall",
        "positive_likelihood_ratio",
        "negative_likelihood_ratio",
    }
)
"""The metrics of a binary task that rest on the positive rows, so that another positive class gives other figures."""

OPERATIONAL: Mapping[str, Direction] = MappingProxyType(
    dict.fromkeys(("negative_flips", "latency_p50_ms", "latency_p95_ms", "size_mb"), Direction.LOWER)
)
"""What a gate may name beside metrics: measured on the file or its behaviour, not scored against labels alone."""


class DataCheck(StrEnum):
    """What is looked for in the rows that a change adds to a model's data."""

    SCHEMA = "schema"  # columns that come, go, or are read as another kind
    UNITS = "units"
    CATEGORIES = "categories"
    LABEL_SHIFT = "label_shift"
    OVERLAP = "overlap"  # rows of the holdout
    NEAR_OVERLAP = "near_overlap"
    GROUP_OVERLAP = "group_overlap"
    REPEATS = "repeats"  # rows that were there already, or that come more than once
    LEAK = "leak"  # a column that gives the label away
    LABELS = "labels"  # that are probably wrong
    TRIGGER = "trigger"  # what only added rows have, with one label
    DRIFT = "drift"

    @property
    def metric(self) -> str:
        """What a gate on it is about: a name that no metric has."""
        return f"{_DATA}{self}"


_DATA = "data."


def data_check(metric: str) -> DataCheck | None:
    """The check of a model's data that a gate is on; None for a gate on its predictions or its file."""
    name = metric.removeprefix(_DATA)
    return DataCheck(name) if name != metric and name in [*DataCheck] else None


class Bound(StrEnum):
    """What kind of limit a gate sets."""

    MIN = "min"
    MAX = "max"
    MAX_REGRESSION = "max_regression"
    MAX_EXCESS = "max_excess"
    MAX_RATIO = "max_ratio"
    ANCHOR = "anchor"  # of no config: `max_regression` again, against an earlier model than the baseline

    @property
    def is_relative(self) -> bool:
        """Whether it is about the change from the baseline, and so always judged by an interval."""
        return self in {Bound.MAX_REGRESSION, Bound.MAX_EXCESS, Bound.MAX_RATIO, Bound.ANCHOR}


_BOUNDS: Mapping[str, tuple[Bound, ...]] = MappingProxyType(
    {
        "negative_flips": (Bound.MAX, Bound.MAX_EXCESS),
        "latency_p50_ms": (Bound.MAX, Bound.MAX_RATIO),
        "latency_p95_ms": (Bound.MAX,),
        "size_mb": (Bound.MAX,),
        "max_error": (Bound.MAX,),  # it has no interval, so nothing can be shown of its change
    }
)


def bounds_taken(metric: str) -> tuple[Bound, ...]:
    """The bounds that a gate on a metric may have."""
    return _BOUNDS.get(metric, (Bound.MIN, Bound.MAX, Bound.MAX_REGRESSION))


class Gate(Record):
    """One rule: a bound on one metric, on all rows or a slice."""

    metric: str
    slice: str | None = None
    bound: Bound
    limit: float
    confident: bool = False  # whether `min` and `max` judge the confidence bound instead of the point estimate
    blocking: bool = True

    @property
    def is_margin(self) -> bool:
        """Whether it can fail by a test, so that it is in the family that Holm adjusts for."""
        return self.blocking and self.bound in {Bound.MAX_REGRESSION, Bound.MAX_EXCESS}

    @property
    def is_scored(self) -> bool:
        """Whether answers for labelled rows decide it, and not the file, its behaviour or the data of a change."""
        return self.metric not in OPERATIONAL and data_check(self.metric) is None

    @property
    def subject(self) -> str:
        """The metric as a gate names it: `metric` or `metric@slice`."""
        return f"{self.metric}@{self.slice}" if self.slice else self.metric

    @property
    def judged_by(self) -> "tuple[str, Bound] | None":
        """The metric and bound that judge what this one only shows, for its figure moves too much by chance to block.

        Seeds alone make flips, which `max` does not subtract; of single requests the slowest are the machine's.
        """
        return _JUDGED_BY.get((self.metric, self.bound))

    @property
    def only_warns(self) -> bool:
        """Whether it is shown and never blocks, whatever the config says."""
        return self.judged_by is not None

    @property
    def name(self) -> str:
        """What tells it from every other gate of its model: `subject.bound`."""
        return f"{self.subject}.{self.bound}"


_JUDGED_BY: Mapping[tuple[str, Bound], tuple[str, Bound]] = MappingProxyType(
    {
        ("negative_flips", Bound.MAX): ("negative_flips", Bound.MAX_EXCESS),
        ("latency_p95_ms", Bound.MAX): ("latency_p50_ms", Bound.MAX_RATIO),
    }
)


def asked_of_sealed(gates: Iterable[tuple[Gate, Metric]], *, baseline: bool) -> list[tuple[Gate, Metric]]:
    """The gates, each with its metric, that a release is asked on sealed rows.

    `baseline` says whether there is a model to compare with. Those of slices, of gaps between
    them, of operations, and of what has no interval at all are not asked.
    """
    return [(gate, metric) for gate, metric in gates if _is_asked(gate, metric, baseline=baseline)]


def _is_asked(gate: Gate, metric: Metric, *, baseline: bool) -> bool:
    of_all_rows = gate.slice is None and not metric.slices and gate.is_scored
    has_interval = Bound.MAX_REGRESSION in bounds_taken(metric.formula)
    there = baseline or not gate.bound.is_relative
    return gate.blocking and of_all_rows and has_interval and there
