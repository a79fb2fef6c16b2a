"""How a model is trained and what it is judged on, as mlbot.yaml writes it."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlbot.config.errors import INVISIBLE, quote, show_value
from mlbot.config.reader import MAX_SCRIPT, Reader, is_name
from mlbot.config.slice_sql import ConditionError, check
from mlbot.gates.gate import Bound, Gate
from mlbot.gates.metric import CATALOGUE, OPERATIONAL, Direction, Metric, Task
from mlbot.lib.record import Name, Record
from mlbot.lib.scalar import Scalar

# Texts of mlbot.yaml that have a form of their own: paths, URLs, branches, functions.

FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
"""`module:function`."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_CREDENTIALS = re.compile(r"://[^/?#]*:[^/?#]*@")

_OCI = re.compile(r"oci://[A-Za-z0-9.:\[\]-]+/[A-Za-z0-9][A-Za-z0-9._/-]*", re.IGNORECASE)

_BAD_BRANCH = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock(?:/|$)|/\.")

LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""A person's name on GitHub; bots, which end in `[bot]`, give no commands."""

_COMMAND = "command:"

_OCI_OR_URL = "an URL such as s3://bucket/models or oci://ghcr.io/owner/repo/models"


def path(reader: Reader) -> str | None:
    """A path inside the repository with forward slashes; a slash at the end (a folder) is kept."""
    text = reader.text("a path inside the repository")
    if text is None:
        return None
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if _SCHEME.match(text):
        reader.refuse("a path inside the repository; only data can have an URL")
    elif "\\" in text:
        reader.refuse("the path with forward slashes")
    elif text.startswith(("/", "~")) or re.match(r"[A-Za-z]:", text):
        reader.refuse("a path relative to the repository's root")
    elif ".." in parts:
        reader.refuse("a path without `..`, from the repository's root")
    elif not parts or parts[0] == ".git":
        reader.refuse("a file or folder of the repository")
    else:
        return "/".join(parts) + ("/" if text.endswith("/") else "")
    return None


def data_path(reader: Reader) -> str | None:
    """A path inside the repository, or an fsspec URL."""
    if isinstance(reader.value, str) and "://" in reader.value:
        return url(reader)
    return path(reader)


def url(reader: Reader, what: str = "an URL such as s3://bucket/file.csv") -> str | None:
    """An URL without credentials and without fsspec's chains of protocols (`a::b://`), which can run far from home."""
    text = reader.text(what)
    if text is None:
        return None
    if not _SCHEME.match(text) or re.search(r"\s", text):
        reader.refuse(what)
    elif "::" in text:
        reader.refuse("one URL, without `::`")
    elif _CREDENTIALS.search(text):
        reader.refuse(
            "the URL without a password; credentials belong in the environment", found="an URL with a password"
        )
    else:
        return text
    return None


def place(reader: Reader) -> str | None:
    """Where models are kept or deployed: an URL, or a folder of the repository."""
    text = reader.text(_OCI_OR_URL)
    if text is None:
        return None
    if text.startswith("/"):
        reader.refuse(f"file://{text}" if len(text) < 200 else "it as an URL: file:///…")
        return None
    return _written_url(reader, text) if "://" in text else path(reader)


def target_url(reader: Reader) -> str | None:
    """Where models are deployed: a place, or `command:` and a shell command."""
    text = reader.text(_OCI_OR_URL)
    if text is None or not text.startswith(_COMMAND):
        return None if text is None else place(reader)
    if text.removeprefix(_COMMAND).strip():
        return text
    reader.refuse("a shell command after `command:`, such as command:./deploy.sh")
    return None


def _written_url(reader: Reader, text: str) -> str | None:
    """An URL that something can be written to."""
    scheme = text.partition("://")[0].lower()
    if scheme in {"http", "https"}:
        reader.refuse("an URL that can be written to: a web server's cannot")
    elif scheme == "oci" and not _OCI.fullmatch(text):
        reader.refuse("a registry and a repository, such as oci://ghcr.io/owner/repo/models")
    elif scheme == "file" and not text.partition("://")[2].startswith("/"):
        reader.refuse("three slashes, such as file:///srv/models")
    else:
        return url(reader, _OCI_OR_URL)
    return None


def branch(reader: Reader) -> str | None:
    """A branch's name, as `git check-ref-format` accepts it."""
    text = reader.text("a branch name")
    if text is None:
        return None
    if not _BAD_BRANCH.search(text) and text != "@":
        return text
    reader.refuse("a branch name as git accepts it; no wildcards")
    return None


def column(reader: Reader) -> str | None:
    """A column's name."""
    return reader.text("a column name")


def login(reader: Reader) -> str | None:
    """A person's name on GitHub."""
    text = reader.text("a login")
    if text is None or LOGIN.fullmatch(text):
        return text
    reader.refuse("a login on GitHub, without `@`")
    return None


def function_name(reader: Reader) -> str | None:
    """`module:function`."""
    text = reader.text("module:function")
    if text is None:
        return None
    if FUNCTION.fullmatch(text):
        return text
    reader.refuse("module:function, such as income.train:train")
    return None


def runner_labels(reader: Reader) -> tuple[str, ...]:
    """Runner labels: one, or a list."""
    if isinstance(reader.value, list):
        return reader.texts("runner labels", _runner)
    label = _runner(reader)
    return () if label is None else (label,)


def _runner(reader: Reader) -> str | None:
    text = reader.text("a runner label such as ubuntu-latest")
    if text is not None and "${{" in text:
        reader.refuse("a runner label; expressions are not evaluated here")
        return None
    return text


# The metrics of a model, as mlbot.yaml names them.

METRIC_KEYS = ("function", "name", "direction")

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
        return _own(item, item.fields(METRIC_KEYS, required=("function",)), context)
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
    function = function_name(fields["function"]) if "function" in fields else None
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


# The gates of a model, as mlbot.yaml writes them.

GATE_KEYS = ("min", "max", "max_regression", "confident", "blocking")

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
    return reader.fields(GATE_KEYS)


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


# `mlbot.yaml` as records.

Path = Annotated[str, Field(min_length=1)]
"""A path inside the repository, with forward slashes, or (for data) any fsspec URL."""


class Tunable(Record):
    """A parameter that a trial may change, with the values it may take."""

    name: str
    """As the parameters are named: nested ones with dots."""
    type: Literal["int", "float", "bool", "str"] | None = None
    """None: one of `choices`."""
    min: int | float | None = None
    max: int | float | None = None
    """Both are there for numbers, and for nothing else."""
    choices: tuple[bool | int | float | str, ...] = ()


class Train(Record):
    """How a model is trained."""

    run: str | None = None
    """A shell command that writes the ONNX file named by $MLBOT_MODEL."""
    entrypoint: str | None = None
    """`module:function`, taking (params, seed) and returning a fitted scikit-learn estimator."""
    depends: tuple[Path, ...] | None = None
    """Files, folders and globs whose change makes the model stale; None: the whole repository."""
    params: Path | None = None
    """A YAML or JSON file of parameters."""
    tunable: tuple[Tunable, ...] = ()
    """The parameters that `/retrain` may change for a trial."""
    seeds: Annotated[int, Field(ge=1, le=32)] = 3
    timeout_s: Annotated[float, Field(gt=0)] = 1800.0
    runs_on: tuple[str, ...] = ("ubuntu-latest",)
    lock: Path | None = None
    """The environment lock file; None: the first known one in the repository's root."""

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Self:
        if (self.run is None) == (self.entrypoint is None):
            raise ValueError("give either `run` or `entrypoint`, not both")
        return self


class Data(Record):
    """What a model learns from and is judged on."""

    train: Path | None = None
    holdout: Path
    target: str
    positive: str | None = None
    """The label that counts as positive (binary); labels are compared as text."""
    drop: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    """The columns in order; None: every column but target, group and dropped ones, in the file's order."""
    classes: tuple[str, ...] | None = None
    """The order of the model's probability columns; None: the model's labels, else the sorted labels."""
    group: str | None = None
    """A column whose rows belong together (user, patient, day): switches to the cluster bootstrap."""


class Slice(Record):
    """A named subset of the holdout."""

    name: Name
    where: str
    """An SQL condition over the holdout's columns."""
    min_rows: Annotated[int, Field(ge=1)] = 500
    """Below this many rows it is shown and never blocks."""


class Model(Record):
    """One model of the repository."""

    name: Name
    task: Task
    train: Train
    data: Data
    slices: tuple[Slice, ...] = ()
    metrics: tuple[Metric, ...]
    gates: tuple[Gate, ...]


class OnInconclusive(Record):
    """What an inconclusive verdict does."""

    pull_request: Literal["warn", "block"] = "warn"
    promotion: Literal["warn", "block"] = "block"


class Waivers(Record):
    """Who may let a gate pass by their word, besides those who maintain the repository."""

    by: tuple[str, ...] = ()
    """Logins on GitHub."""
    author: bool = False
    """Whether somebody who may do so may do it on their own pull request."""


class Smoke(Record):
    """The smoke test of a deployment."""

    requests: Annotated[int, Field(ge=1)] = 50
    p95_ms: Annotated[float, Field(gt=0)] | None = None
    command: str | None = None
    """A shell command that looks at the endpoint; any exit code but 0 fails the test."""


class EnvironmentConfig(Record):
    """Where a model can be deployed."""

    name: Name
    target: str
    """A folder of the repository, an fsspec URL, `oci://…`, or `command:` and a shell command."""
    after: Name | None = None
    approvals: Annotated[int, Field(ge=0)] = 0
    runs_on: tuple[str, ...] = ("ubuntu-latest",)
    smoke: Smoke | None = None


class Config(Record):
    """All of `mlbot.yaml`, defaults filled in."""

    version: Literal[1] = 1
    models: tuple[Model, ...]
    guard: tuple[str, ...] = ()
    """Branches whose pull requests are gated; empty: the default branch."""
    inconclusive: OnInconclusive = OnInconclusive()
    waivers: Waivers = Waivers()
    store: str | None = None
    environments: tuple[EnvironmentConfig, ...] = ()

    def model(self, name: str) -> Model | None:
        """The model of that name, if there is one."""
        return next((m for m in self.models if m.name == name), None)


# The environments of mlbot.yaml.

ENVIRONMENT_KEYS = ("target", "after", "approvals", "runs-on", "smoke")

SMOKE_KEYS = ("requests", "p95_ms", "command")

_SHOWN = 8

_DEFAULTS = EnvironmentConfig.model_fields

_SMOKE_DEFAULTS = Smoke.model_fields


def read_environments(reader: Reader) -> tuple[EnvironmentConfig, ...]:
    """The environments in the file's order; each `after` names another, and none waits for itself."""
    named = reader.named("environment")
    read = tuple(made for name, inside in named.items() if (made := _environment(inside, name, named)) is not None)
    _check_order(named)
    return read


def _check_order(named: Mapping[str, Reader]) -> None:
    """Note each circle of environments that wait for each other, once."""
    after = {
        name: first
        for name, inside in named.items()
        if isinstance(inside.value, dict) and isinstance(first := inside.value.get("after"), str)
    }
    walks: dict[str, str] = {}
    for start in after:
        name = start
        while name in after and name not in walks:
            walks[name] = start
            name = after[name]
        if walks.get(name) == start:
            named[name].refuse("an order without a circle", found=_circle(name, after))


def _circle(name: str, after: Mapping[str, str]) -> str:
    steps = [name]
    while (following := after[steps[-1]]) != name:
        steps.append(following)
    return " after ".join(quote(step) for step in (*steps[:_SHOWN], name))


def _environment(reader: Reader, name: str, named: Mapping[str, Reader]) -> EnvironmentConfig | None:
    fields = reader.fields(ENVIRONMENT_KEYS, required=("target",))
    target = target_url(fields["target"]) if "target" in fields else None
    after = _after(fields["after"], named) if "after" in fields else None
    approvals = fields["approvals"].whole(0, 6) if "approvals" in fields else _DEFAULTS["approvals"].default
    runs_on = runner_labels(fields["runs-on"]) if "runs-on" in fields else _DEFAULTS["runs_on"].default
    smoke = _smoke(fields["smoke"]) if "smoke" in fields else None
    if target is None or approvals is None or not is_name(name):
        return None
    return EnvironmentConfig(name=name, target=target, after=after, approvals=approvals, runs_on=runs_on, smoke=smoke)


def _after(reader: Reader, named: Mapping[str, Reader]) -> str | None:
    name = reader.text("the name of the environment that comes before")
    if name is None or (name in named and is_name(name)):
        return name
    if name not in named:
        reader.refuse(reader.guess(name, named))
    return None


def _smoke(reader: Reader) -> Smoke | None:
    fields = reader.fields(SMOKE_KEYS)
    requests = fields["requests"].whole(1) if "requests" in fields else _SMOKE_DEFAULTS["requests"].default
    latency = (
        fields["p95_ms"].number("milliseconds, more than 0", lambda value: value > 0) if "p95_ms" in fields else None
    )
    command = fields["command"].text("a shell command", limit=MAX_SCRIPT, lines=True) if "command" in fields else None
    return None if requests is None else Smoke(requests=requests, p95_ms=latency, command=command)


# The parameters that a trial may change, as mlbot.yaml writes them: a type with its bounds, or a list of choices.

TYPES = ("int", "float", "bool", "str")

TUNABLE_KEYS = ("type", "min", "max")

MAX_TUNABLE = 64
"""Parameters that a model may offer."""

MAX_CHOICES = 64

MAX_CHOICE = 200
"""Characters of a text that a parameter may be."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""What a command can write before its `=`."""


def read_tunable(reader: Reader) -> tuple[Tunable, ...]:
    """The tunable parameters in the file's order, without those that cannot be read."""
    if not isinstance(reader.value, dict) or not reader.value:
        reader.refuse("a mapping from the name of each parameter, such as `depth: {type: int, min: 1, max: 20}`")
        return ()
    if len(reader.value) > MAX_TUNABLE:
        reader.refuse(f"at most {MAX_TUNABLE} parameters", found=f"{len(reader.value)} parameters")
        return ()
    made = {name: reader.child(name, value) for name, value in reader.value.items()}
    return tuple(tunable for name, field in made.items() if (tunable := _tunable(field, name)) is not None)


def _tunable(reader: Reader, name: str) -> Tunable | None:
    before = len(reader.notes.problems)
    if not _NAME.fullmatch(name):
        write = "a name of letters, digits, `_`, `-` and `.` (between levels), of at most 100"
        reader.refuse(write, found=f"the parameter {quote(name)}")
    if isinstance(reader.value, list):
        choices = _choices(reader)
        return Tunable(name=name, choices=choices) if len(reader.notes.problems) == before else None
    if not isinstance(reader.value, dict):
        reader.refuse("{type: float, min: 0, max: 1}, or a list of choices")
        return None
    fields = reader.fields(TUNABLE_KEYS, required=("type",))
    kind = fields["type"].choice(TYPES) if "type" in fields else None
    bounds = _bounds(reader, fields, kind) if kind else {}
    if len(reader.notes.problems) > before:
        return None
    return Tunable.model_validate({"name": name, "type": kind, **bounds})


def _bounds(reader: Reader, fields: Mapping[str, Reader], kind: str) -> dict[str, int | float | None]:
    """A number's least and most; without them a trial could ask for a training of days."""
    given = {key: fields[key] for key in ("min", "max") if key in fields}
    if kind not in {"int", "float"}:
        for field in given.values():
            field.refuse(f"no bounds; a {kind} has none")
        return {}
    if len(given) < 2:
        missing = " and ".join(key for key in ("min", "max") if key not in given)
        reader.refuse(f"both bounds: {{type: {kind}, min: 1, max: 10}}", found=f"no {missing}")
    read = {key: _bound(field, kind) for key, field in given.items()}
    low, high = read.get("min"), read.get("max")
    if low is not None and high is not None and low > high:
        fields["max"].refuse(f"at least {low}, the min")
    return read


def _bound(reader: Reader, kind: str) -> int | float | None:
    value = reader.value
    if kind == "int":
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
            return value
        reader.refuse("a whole number, for the type is int")
        return None
    return reader.number("a number", math.isfinite)


def _choices(reader: Reader) -> tuple[bool | int | float | str, ...]:
    items = reader.items("values")
    if len(items) > MAX_CHOICES:
        reader.refuse(f"at most {MAX_CHOICES} choices", found=f"{len(items)} choices")
        return ()
    made: dict[str, bool | int | float | str] = {}
    for item in items:
        value = _choice(item)
        label = _label(value)
        if value is not None and label in made:
            item.refuse("each once", found=f"{quote(label)} again")
        elif value is not None:
            made[label] = value
    return tuple(made.values())


def _choice(reader: Reader) -> bool | int | float | str | None:
    value = reader.value
    if isinstance(value, int | float):
        finite = isinstance(value, bool) or reader.number("a number, a word, true or false", math.isfinite) is not None
        return value if finite else None
    if isinstance(value, str) and _is_word(value):
        return value
    reader.refuse(f"a number, true, false, or a word of at most {MAX_CHOICE} characters")
    return None


def _is_word(text: str) -> bool:
    shown = text.strip() == text and "\n" not in text and "\t" not in text and not INVISIBLE.search(text)
    return shown and 0 < len(text) <= MAX_CHOICE


def _label(value: Scalar) -> str:
    """How a choice is written in a command."""
    return str(value).lower() if isinstance(value, bool) else str(value)


TRAIN_KEYS = ("run", "entrypoint", "depends", "params", "tunable", "seeds", "timeout", "runs-on", "lock")

DATA_KEYS = ("train", "holdout", "target", "positive", "drop", "features", "classes", "group")

SLICE_KEYS = ("where", "min_rows")

MAX_SEEDS = 32

LONGEST_S = 5 * 24 * 3600.0
"""The longest job that GitHub lets run, on a self-hosted runner."""

_MAX_WHERE = 100_000
"""The condition's own limit is lower and says more."""


def read_train(reader: Reader) -> Train | None:
    """How a model is trained; None when it cannot be read."""
    before = len(reader.notes.problems)
    fields = reader.fields(TRAIN_KEYS)
    if isinstance(reader.value, dict) and ("run" in fields) == ("entrypoint" in fields):
        found = "both run and entrypoint" if "run" in fields else "neither run nor entrypoint"
        reader.refuse("one of them: `run: python train.py` or `entrypoint: module:function`", found=found)
    read = {
        "run": lambda field: field.text("a shell command", limit=MAX_SCRIPT, lines=True),
        "entrypoint": function_name,
        "depends": lambda field: field.texts("files, folders and globs; leave it out for all", path),
        "params": path,
        "tunable": read_tunable,
        "seeds": lambda field: field.whole(1, MAX_SEEDS),
        "timeout": lambda field: field.duration(LONGEST_S),
        "runs-on": runner_labels,
        "lock": path,
    }
    if "tunable" in fields and "params" not in fields:
        fields["tunable"].refuse("`params:` too: the file that has these parameters", found="no params")
    made = {_ATTRIBUTES.get(key, key): read[key](field) for key, field in fields.items()}
    return Train.model_validate(made) if len(reader.notes.problems) == before else None


_ATTRIBUTES: Mapping[str, str] = {"runs-on": "runs_on", "timeout": "timeout_s"}


def read_data(reader: Reader, task: Task | None) -> Data | None:
    """What a model learns from and is judged on; None when it cannot be read."""
    before = len(reader.notes.problems)
    fields = reader.fields(DATA_KEYS, required=("holdout", "target"))
    read = {
        "train": data_path,
        "holdout": data_path,
        "target": column,
        "positive": Reader.label,
        "drop": lambda field: field.texts("column names", column),
        "features": lambda field: field.texts("column names; leave it out for all", column),
        "classes": lambda field: field.texts("labels", Reader.label),
        "group": column,
    }
    made = {key: read[key](field) for key, field in fields.items()}
    _check_columns(fields, made)
    _check_labels(fields, made, task)
    if made.get("train") is not None and made.get("train") == made.get("holdout"):
        fields["holdout"].refuse(
            "another file: a model is judged on rows that it has not seen", found="the training data"
        )
    return Data.model_validate(made) if len(reader.notes.problems) == before else None


def _check_columns(fields: Mapping[str, Reader], made: Mapping[str, object]) -> None:
    """A column has one part to play."""
    parts: dict[str, str] = {}
    for key, part in (("target", "the target"), ("group", "the group"), ("drop", "dropped"), ("features", "a feature")):
        columns = made.get(key)
        for index, column in enumerate(columns if isinstance(columns, tuple) else [columns]):
            if not isinstance(column, str):
                continue
            if column in parts:
                where = fields[key].child(index, column) if isinstance(columns, tuple) else fields[key]
                where.refuse("each column in one place", found=f"{quote(column)}, which is {parts[column]} already")
            parts.setdefault(column, part)


def _check_labels(fields: Mapping[str, Reader], made: Mapping[str, object], task: Task | None) -> None:
    if task is None:
        return
    classes, positive = made.get("classes"), made.get("positive")
    if "positive" in fields and task is not Task.BINARY:
        fields["positive"].refuse("no `positive`; only binary models have one")
    elif isinstance(classes, tuple) and isinstance(positive, str) and positive not in classes:
        shown = " or ".join(quote(label) for label in classes[:8])
        fields["positive"].refuse(f"one of the classes: {shown}")
    if "classes" in fields and not task.is_classification:
        fields["classes"].refuse("no `classes`; a regression has none")
    elif isinstance(classes, tuple) and classes and len(classes) != 2 and task is Task.BINARY:
        fields["classes"].refuse("the two labels", found=f"{len(classes)} classes for a binary model")
    elif isinstance(classes, tuple) and len(classes) == 1:
        fields["classes"].refuse("all labels, two or more", found="one class")


def read_slices(named: Mapping[str, Reader]) -> tuple[Slice, ...]:
    """The slices in the file's order, without those that cannot be read."""
    return tuple(made for name, reader in named.items() if (made := _slice(reader, name)) is not None)


def _slice(reader: Reader, name: str) -> Slice | None:
    fields = {"where": reader}
    if isinstance(reader.value, dict):
        fields = reader.fields(SLICE_KEYS, required=("where",))
    where = _where(fields["where"]) if "where" in fields else None
    rows = fields["min_rows"].whole(1) if "min_rows" in fields else Slice.model_fields["min_rows"].default
    if where is None or rows is None or not is_name(name):
        return None
    return Slice(name=name, where=where, min_rows=rows)


def _where(reader: Reader) -> str | None:
    text = reader.text('an SQL condition such as "age < 25"', limit=_MAX_WHERE, lines=True)
    if text is None:
        return None
    try:
        check(text)
    except ConditionError as error:
        reader.note(error.what, error.hint, error.caret)
        return None
    return text
