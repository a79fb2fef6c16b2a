"""The metrics of a model, as mlbot.yaml names them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlbot.core import config_values as values
from mlbot.core.config_error import quote
from mlbot.core.config_reader import Reader
from mlbot.core.metric import CATALOGUE, OPERATIONAL, Direction, Metric, Task

KEYS = ("function", "name", "direction")

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "acc": ("accuracy",),
    "ap": ("average_precision",),
    "auc": ("roc_auc", "roc_auc_ovr"),
    "auroc": ("roc_auc", "roc_auc_ovr"),
    "brier": ("brier_score_loss",),
    "cross_entropy": ("log_loss",),
    "f1": ("f1_macro",),
    "logloss": ("log_loss",),
    "mae": ("mean_absolute_error",),
    "mape": ("mean_absolute_percentage_error",),
    "mcc": ("matthews_corrcoef",),
    "mse": ("mean_squared_error",),
    "pr_auc": ("average_precision",),
    "precision": ("precision_macro",),
    "recall": ("recall_macro",),
    "rmse": ("root_mean_squared_error",),
    "roc_auc": ("roc_auc_ovr",),
}
"""What people call the metrics of the catalogue; the first that fits the task is meant."""

_CONVENTION = {
    "_score": Direction.HIGHER,
    "_loss": Direction.LOWER,
    "_error": Direction.LOWER,
    "_cost": Direction.LOWER,
}
"""scikit-learn: https://scikit-learn.org/stable/modules/model_evaluation.html (functions ending with …)."""


@dataclass(kw_only=True, slots=True)
class Metrics:
    """The metrics of one model as they are read.

    Attributes:
        known: Those that could be read, by name.
        broken: Names that are in the list but could not be read; a gate on one is no second problem.
    """

    known: dict[str, Metric] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """What a metric of the list is read with: the task (None: unknown), the gates' directions, those read so far."""

    task: Task | None
    ways: Mapping[str, frozenset[Direction]]
    metrics: Metrics


def read_metrics(reader: Reader | None, task: Task | None, gates: Mapping[str, Reader]) -> Metrics:
    """The metrics that a model lists.

    Args:
        reader: The list; None when there is none: then the gates say what is measured.
        task: What the model predicts; None when that could not be read.
        gates: The gates by their subject, for the direction of a metric that does not say it.
    """
    metrics = Metrics()
    context = _Context(task=task, ways=_ways(gates), metrics=metrics)
    for item in reader.items("metrics such as roc_auc or module:function") if reader else ():
        metric = _metric(item, context)
        if metric is None:
            continue
        if metric.name in metrics.known:
            item.refuse("each metric once; two functions of one name need `name:`", found=f"{quote(metric.name)} again")
        else:
            metrics.known[metric.name] = metric
    return metrics


def catalogued(reader: Reader, name: str, task: Task | None, others: Iterable[str] = ()) -> Metric | None:
    """A metric of the catalogue that fits the task; otherwise notes what is wrong with the name.

    Args:
        reader: What names the metric.
        name: Its name.
        task: What the model predicts; None: any.
        others: More names that could have been meant.
    """
    metric = CATALOGUE.get(name)
    if metric and (task is None or task in metric.tasks):
        return metric
    fitting = (known for known in CATALOGUE.values() if task is None or task in known.tasks)
    names = list(dict.fromkeys((*(known.name for known in fitting), *others)))
    write = _meant(name, names) or reader.guess(name, (*names, "module:function"))
    what = f"{quote(name)}, which is not for {task} models" if metric and task else f"the unknown metric {quote(name)}"
    reader.refuse(write, found=what)
    return None


def _meant(name: str, names: list[str]) -> str | None:
    plain = name.lower().replace("-", "_").removeprefix("neg_").removesuffix("_score")
    simple = plain.removesuffix("_macro").removesuffix("_weighted").removesuffix("_ovr")
    return next((meant for meant in (plain, *_ALIASES.get(plain, ()), simple) if meant in names), None)


def _metric(item: Reader, context: _Context) -> Metric | None:
    if isinstance(item.value, dict):
        return _own(item, item.fields(KEYS, required=("function",)), context)
    name = item.text("a metric's name or module:function")
    if name is None:
        return None
    if ":" in name:
        return _own(item, {"function": item}, context)
    if name in OPERATIONAL:
        item.refuse("it under `gates` only; it is always measured")
        return None
    metric = catalogued(item, name, context.task)
    if metric is None:
        context.metrics.broken.add(name)
    return metric


def _own(item: Reader, fields: Mapping[str, Reader], context: _Context) -> Metric | None:
    """A metric of the user's own."""
    function = values.function(fields["function"]) if "function" in fields else None
    name = fields["name"].text("a metric's name") if "name" in fields else function and function.split(":")[1]
    said = fields["direction"].choice(tuple(Direction)) if "direction" in fields else None
    if name:
        context.metrics.broken.add(name)
    if function is None or not name or not _own_name(fields.get("name", item), name):
        return None
    direction = Direction(said) if said else _direction(name, function, context)
    if direction is None and "direction" not in fields:
        write = f"{{function: {function}, direction: higher}} or lower: which way is better?"
        item.refuse(write, found=f"{quote(name)} without a direction")
    if direction is None:
        return None
    return Metric(name=name, direction=direction, tasks=_tasks(context.task), function=function)


def _tasks(task: Task | None) -> frozenset[Task]:
    return frozenset(Task) if task is None else frozenset({task})


def _own_name(reader: Reader, name: str) -> bool:
    if name in CATALOGUE or name in OPERATIONAL:
        reader.refuse("another name with `name:`; that one has a meaning", found=f"{quote(name)} for a metric of yours")
        return False
    return reader.check_name(name)


def _direction(name: str, function: str, context: _Context) -> Direction | None:
    """From scikit-learn's naming convention, else from the gates on it."""
    for text in (name, function):
        for ending, direction in _CONVENTION.items():
            if text.endswith(ending):
                return direction
    ways = context.ways.get(name, frozenset())
    return next(iter(ways)) if len(ways) == 1 else None


def _ways(gates: Mapping[str, Reader]) -> Mapping[str, frozenset[Direction]]:
    """What the gates say of each metric's direction: a `min` wants it high, a `max` low."""
    ways: dict[str, frozenset[Direction]] = {}
    for subject, gate in gates.items():
        metric = subject.partition("@")[0]
        bounds = gate.value if isinstance(gate.value, dict) else {}
        said = {way for bound, way in (("min", Direction.HIGHER), ("max", Direction.LOWER)) if bound in bounds}
        ways[metric] = ways.get(metric, frozenset()) | said
    return ways
