"""`mlbot.yaml` as records. Of each section: how its settings are written, what they mean and what holds between them.

A field's docstring is what editors and docs/configuration.md say of it, in Markdown; after "Left out:" what holds
without it, where the default does not say so.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from mlbot.config import kinds
from mlbot.config.actions import Actions
from mlbot.config.errors import (
    DELIVERED_FORM,
    DELIVERED_WORDS,
    INVISIBLE,
    NAME_FORM,
    ConfigError,
    Document,
    Plain,
    Problem,
    Refused,
    quote,
    refused,
    show_value,
)
from mlbot.config.guard import clashes
from mlbot.config.kinds import (
    Context,
    Kind,
    Schema,
    Section,
    choice,
    collect,
    inside,
    kind,
    list_of,
    named,
    read_number,
    read_text,
    whole,
    wrong_name,
)
from mlbot.config.slice_sql import ConditionError, check
from mlbot.gates.metric import (
    ALIASES,
    CATALOGUE,
    OPERATIONAL,
    Bound,
    Direction,
    Gate,
    Metric,
    Settings,
    Task,
    bounds_of,
    bounds_taken,
    catalogued,
    taken_by,
)
from mlbot.lib.record import Name

MAX_CHOICE = 200
"""Characters of a text that a parameter may be."""
_SHOWN = 8


def _bound(value: Plain, context: Context) -> float | None:
    match context.made.get("type"):
        case "float":
            return read_number(value, "a number")
        case "int":
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
                return value
            raise refused(value, "a whole number, for the type is int")
        case "bool" | "str" as given:
            raise refused(value, f"no bounds; a {given} has none")
    return None


def _choice(value: Plain) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        read_number(value, "a number, a word, true or false")
        return value
    shown = isinstance(value, str) and not INVISIBLE.search(value) and not {"\n", "\t"} & set(value)
    if isinstance(value, str) and shown and 0 < len(value.strip()) == len(value) <= MAX_CHOICE:
        return value
    raise refused(value, f"a number, true, false, or a word of at most {MAX_CHOICE} characters")


_BOUND = Kind(_bound, lambda: {"type": "number"})
_CHOICES = list_of(
    "choices, or {type: float, min: 0, max: 1}",
    kind(_choice, type=["string", "number", "boolean"], maxLength=MAX_CHOICE),
    most=64,
)._replace(bare=True)


class Tunable(Section):
    """A parameter that a trial may change: a type with its bounds, or a list of choices."""

    short: ClassVar[str] = "choices"
    constraints: ClassVar[Schema] = {"required": ["type"]}
    # what a command can write before its `=`
    name_form: ClassVar[str] = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
    name_words: ClassVar[str] = "letters, digits, `_`, `-` and `.` (between levels), of at most 100"

    name: str
    type: Annotated[Literal["int", "float", "bool", "str"] | None, choice(("int", "float", "bool", "str"))] = None
    """What its values are: `int`, `float`, `bool` or `str`. Left out: must be there."""
    min: Annotated[int | float | None, _BOUND] = None
    """The least that a number may be. Left out: must be there for numbers."""
    max: Annotated[int | float | None, _BOUND] = None
    """The most that a number may be. Left out: must be there for numbers."""
    choices: Annotated[tuple[bool | int | float | str, ...], _CHOICES] = ()

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A type, and both bounds of a number: without them a trial could ask for a training of days."""
        given, made = context.given, context.made
        if "choices" in made or given.keys() == {"choices"}:
            return
        if "type" not in given:
            yield Problem("no type", "write `type:`")
        missing = [key for key in ("min", "max") if key not in given]
        if missing and made.get("type") in {"int", "float"}:
            yield Problem(
                f"no {' and '.join(missing)}", f"write both bounds: {{type: {made['type']}, min: 1, max: 10}}"
            )
        low, high = made.get("min"), made.get("max")
        if low is not None and high is not None and low > high:
            yield Problem(show_value(given["max"]), f"write at least {low}, the min", ("max",))


_TYPES = "a mapping from columns to what they are, such as {zip: text}"
_FILES = list_of("files, folders and globs; leave it out for all", kinds.PATH)
_PARAMETERS = "a mapping from the name of each parameter, such as `depth: {type: int, min: 1, max: 20}`"


_LOOKS = (2, 3, 5)  # that were simulated: docs/statistics.md
MOST_SEEDS = 32


def _look(*allowed: int) -> Kind:
    either = " or ".join(map(str, allowed))

    def read(value: Plain) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
            return value
        raise refused(value, f"{either}: a verdict is looked at after {_LOOKS_SHOWN} seeds")

    return kind(read, type="integer", enum=list(allowed))


_LOOKS_SHOWN = f"{', '.join(map(str, _LOOKS[:-1]))} and {_LOOKS[-1]}"


class SeedRange(Section):
    """How many seeds a side: a number, or from `start` on until the verdict is decided, and `most` at the end."""

    start: Annotated[int, _look(*_LOOKS[:-1])] = _LOOKS[0]
    """How many seeds a side are trained at first: 2 or 3."""
    most: Annotated[int, _look(*_LOOKS[1:])] = _LOOKS[-1]
    """How many there are at most: 3 or 5. What is undecided then stays so."""

    def with_at_least(self, other: "SeedRange") -> "SeedRange":
        """As many as both ask for."""
        return SeedRange(start=max(self.start, other.start), most=max(self.most, other.most))

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """There is something to decide between the first look and the last."""
        start, most = context.made.get("start", _LOOKS[0]), context.made.get("most", _LOOKS[-1])
        if start >= most:
            found = f"start {start} and most {most}"
            yield Problem(found, f"write a `start` below `most`, or `seeds: {most}` for that many whatever comes")


def _seeds(value: Plain, context: Context) -> SeedRange:
    if isinstance(value, dict):
        return SeedRange.read(value, context)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return SeedRange(start=value, most=value)
    raise refused(value, f"a whole number from 1 to {MOST_SEEDS}, or {{start: 2, most: 5}}")


_NUMBER_OR_RANGE = Kind(_seeds, lambda: {"anyOf": [whole(1, MOST_SEEDS).schema(), SeedRange.json_schema()]})


class TrainEnvironment(Section):
    """An environment that mlbot makes for the training alone."""

    python: Annotated[str | None, kinds.PYTHON] = None
    """Its Python, in quotes: `"3.10"` or `"3.10.4"`; one that is on the machine. Left out: the first on the PATH."""
    install: Annotated[str, kinds.SCRIPT]
    """A shell command that installs what the training needs; `python` and `pip` are those of the environment."""


class Train(Section):
    """How the model is trained: by `run` or by `entrypoint`."""

    constraints: ClassVar[Schema] = {"oneOf": [{"required": ["run"]}, {"required": ["entrypoint"]}]}

    run: Annotated[str | None, kinds.SCRIPT] = None
    """A shell command, in any language. It writes the ONNX file named by `$MLBOT_MODEL` and reads `$MLBOT_PARAMS`
    (the path of a JSON file) and `$MLBOT_SEED`. Left out: `entrypoint` is given."""
    entrypoint: Annotated[str | None, kinds.FUNCTION] = None
    """`module:function`, taking `(params, seed)` and returning a fitted scikit-learn estimator, which mlbot exports; or
    `(estimator, rows)` with some rows of what it was fitted on, where `data.train` is not what it was fitted on.
    Left out: `run` is given."""
    depends: Annotated[tuple[str, ...] | None, _FILES] = None
    """Files, folders and globs that the training sees and whose change makes the model stale; `**` is any number of
    folders, and `:/` at the beginning for the repository's root. Left out: the whole repository."""
    params: Annotated[str | None, kinds.PATH] = None
    """A YAML or JSON file of parameters. Nested ones get names with dots (`tree.depth`, `layers.0`).
    Left out: no parameters."""
    tunable: Annotated[tuple[Tunable, ...], named(Tunable, _PARAMETERS, none=("a mapping", _PARAMETERS), most=64)] = ()
    """The parameters that `/retrain` may change for a trial, by name. Left out: no trials."""
    seeds: Annotated[SeedRange | None, _NUMBER_OR_RANGE] = None
    """How many times to train, each with another seed, 1 to 32; or `{start: 2, most: 5}`: more than 2 where they do not
    decide, and at most 5. The first one's model ships; the others measure the noise.
    Left out: 3, and once the ledger has a history of seeds (8 degrees of freedom) `{start: 2, most: 5}`."""
    timeout_s: Annotated[float, kinds.TIMEOUT] = 1800.0
    """The longest that one training may take: `90s`, `30m`, `2h`, or a number of seconds; at most 120h."""
    runs_on: Annotated[tuple[str, ...], kinds.RUNS_ON] = ("ubuntu-latest",)
    """The runner's label, or a list of labels."""
    environment: Annotated[TrainEnvironment | None, inside(TrainEnvironment)] = None
    """An environment of its own: `{python: "3.10", install: pip install -r requirements.txt}`.
    Left out: the first `python` on the PATH, with what is installed there."""
    lock: Annotated[str | None, kinds.PATH] = None
    """The environment lock file; its change makes the model stale.
    Left out: the first known one in the root (`uv.lock`, `requirements.txt`, …)."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """One way to train; parameters that a trial may change are in a file."""
        given = context.given
        if ("run" in given) == ("entrypoint" in given):
            found = "both run and entrypoint" if "run" in given else "neither run nor entrypoint"
            yield Problem(found, "write one of them: `run: python train.py` or `entrypoint: module:function`")
        if "tunable" in given and "params" not in given:
            yield Problem("no params", "write `params:` too: the file that has these parameters", ("tunable",))


class ColumnKind(StrEnum):
    """What the values of a column are read as."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


class ColumnType(Section):
    """What a column is, by its name or as a mapping."""

    short: ClassVar[str] = "type"
    name_form: ClassVar[str] = r"[^\t\n]*[^\t\n ][^\t\n]*"

    name: str
    type: Annotated[ColumnKind, choice(tuple(ColumnKind))]
    """`text`, `number` or `boolean`."""


class Csv(Section):
    """How the CSV files are written, where they do not show it for certain."""

    separator: Annotated[str | None, kinds.SEPARATOR] = None
    """The character between two fields, or `tab`.
    Left out: the one of comma, semicolon, tab and bar that gives every line as many fields as the header."""
    encoding: Annotated[str | None, kinds.ENCODING] = None
    """Such as `latin-1`, `cp1252` or `utf-16-le`. Left out: the one that the file's first bytes name, else UTF-8."""
    decimal: Annotated[str | None, choice((".", ","))] = None
    """The decimal mark. Left out: a dot; a comma where the values of a file without commas between fields show it."""
    quote: Annotated[str | None, kinds.QUOTE] = None
    """The character around a field with separators in it, or `none`. Left out: `"`."""
    missing: Annotated[tuple[str, ...] | None, kinds.MISSING] = None
    """What stands for a missing value, in columns of text too; beside it only an empty field does.
    Left out: `NA`, `N/A`, `#N/A`, `<NA>`, `?`, `null`, `None`, `NaN` and `-nan` in any case, among numbers, booleans
    and labels."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """One character, one meaning."""
        made = context.made
        marks = {key: made[key] for key in ("separator", "decimal", "quote") if key in made}
        for key, other in itertools.combinations(marks, 2):
            if marks[key] == marks[other]:
                yield Problem(f"{quote(marks[key])}, which is the {key} already", "write another character", (other,))


def _threshold(value: Plain) -> float:
    return read_number(value, "a probability, more than 0 and less than 1", math.ulp(0.0), math.nextafter(1.0, 0.0))


_THRESHOLD = kind(_threshold, type="number", exclusiveMinimum=0, exclusiveMaximum=1)


class Data(Section):
    """What the model learns from and is judged on."""

    train: Annotated[str | None, kinds.PATH_OR_URL] = None
    """The training data, CSV or Parquet: a path, or any fsspec URL. Its digest is recorded; it cannot be the holdout.
    Left out: the training finds its own data."""
    holdout: Annotated[str, kinds.PATH_OR_URL]
    """The labelled rows that judge the model, CSV or Parquet: a path, or any fsspec URL. Training never sees them; with
    a URL only the judge has to be able to read it."""
    target: Annotated[str, kinds.COLUMN]
    """The column to predict."""
    positive: Annotated[str | None, kinds.LABEL] = None
    """The label that counts as positive, for binary models only.
    Left out: the greater of the two labels, as scikit-learn takes it: 1 of 0 and 1, `yes` of `no` and `yes`."""
    threshold: Annotated[float | None, _THRESHOLD] = None
    """For binary models: a row is positive where P(positive) is this or more, as scikit-learn's
    `FixedThresholdClassifier` has it; more than 0, less than 1.
    Left out: the more probable class, and on a tie the first of the model's own, as scikit-learn's `predict` has it."""
    label: Annotated[Literal["model"] | None, choice(("model",))] = None
    """`model`: the labels that the file gives itself are judged; for classification.
    Left out: they follow from the probabilities, and the report counts where the file's own differ."""
    drop: Annotated[tuple[str, ...], list_of("column names", kinds.COLUMN)] = ()
    """Columns that are no features. Left out: none."""
    features: Annotated[tuple[str, ...] | None, list_of("column names; leave it out for all", kinds.COLUMN)] = None
    """The features, in the order of the model's input.
    Left out: every column but target, group, weight and dropped ones, in the file's order."""
    classes: Annotated[tuple[str, ...] | None, list_of("labels", kinds.LABEL)] = None
    """The labels in the order of the model's probability columns, for classification only.
    Left out: the model's own, else sorted; numbers that may be codes are refused."""
    group: Annotated[str | None, kinds.COLUMN] = None
    """A column whose rows belong together (user, patient, day), read as text; intervals then resample whole groups.
    Left out: rows are independent."""
    weight: Annotated[str | None, kinds.COLUMN] = None
    """A column of sample weights, numbers of 0 and more: how much a row counts in every metric, interval and slice. It
    is no feature. Left out: all rows count alike."""
    types: Annotated[tuple[ColumnType, ...], named(ColumnType, _TYPES)] = ()
    """What columns are, such as `{zip: text}`, where their values look like something else.
    Left out: a column whose every value is a number or true or false is that, and all others are text."""
    csv: Annotated[Csv, inside(Csv)] = Csv()
    """How the CSV files are written: separator, encoding, decimal mark, quotes, missing values.
    Left out: as the files show it; what is not certain is refused with the line to write."""

    def reads(self, task: Task) -> Mapping[str, ColumnKind]:
        """What columns are read as, whatever they look like: ids and labels are text, so that 007 is not 7."""
        apart = {self.group} if self.group is not None else set()
        apart |= {self.target} if task.is_classification else set()
        return {each.name: each.type for each in self.types} | dict.fromkeys(apart, ColumnKind.TEXT)

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A column has one part to play, and a row too; labels fit the task."""
        yield from _columns_twice(context.given)
        if "train" in context.made and context.made["train"] == context.made.get("holdout"):
            hint = "write another file: a model is judged on rows that it has not seen"
            yield Problem("the training data", hint, ("holdout",))
        task = context.around.made.get("task") if context.around else None
        if task:
            yield from _wrong_labels(context, task)
            yield from _wrong_decision(context, task)


_PARTS = {
    "target": "the target",
    "group": "the group",
    "weight": "the weight",
    "drop": "dropped",
    "features": "a feature",
}


def _columns_twice(given: Mapping[str, Plain]) -> Iterator[Problem]:
    parts: dict[str, str] = {}
    for key, part in _PARTS.items():
        columns = given.get(key)
        for index, column in enumerate(columns if isinstance(columns, list) else [columns]):
            if isinstance(column, str) and parts.setdefault(column, part) != part:
                found = f"{quote(column)}, which is {parts[column]} already"
                at = (key, index) if isinstance(columns, list) else (key,)
                yield Problem(found, "write each column in one place", at)


def _wrong_decision(context: Context, task: Task) -> Iterator[Problem]:
    """One rule makes labels of probabilities, of a task that has labels."""
    given = context.given
    if "threshold" in given and task is not Task.BINARY:
        hint = "write no `threshold`; only binary models have one"
        yield Problem(show_value(given["threshold"]), hint, ("threshold",))
    elif "threshold" in given and "label" in given:
        hint = "write `threshold` or `label`: with `label: model` the file's own rule counts"
        yield Problem("both threshold and label", hint, ("label",))
    if "label" in given and not task.is_classification:
        yield Problem(show_value(given["label"]), "write no `label`; a regression has none", ("label",))


def _wrong_labels(context: Context, task: Task) -> Iterator[Problem]:
    given, classes, positive = context.given, context.made.get("classes", ()), context.made.get("positive")
    if "positive" in given and task is not Task.BINARY:
        hint = "write no `positive`; only binary models have one"
        yield Problem(show_value(given["positive"]), hint, ("positive",))
    elif classes and positive is not None and positive not in classes:
        shown = " or ".join(quote(label) for label in classes[:_SHOWN])
        yield Problem(show_value(given["positive"]), f"write one of the classes: {shown}", ("positive",))
    if "classes" in given and not task.is_classification:
        yield Problem(show_value(given["classes"]), "write no `classes`; a regression has none", ("classes",))
    elif len(classes) == 1 and task is Task.MULTICLASS:
        yield Problem("one class", "write all labels, two or more", ("classes",))
    elif classes and len(classes) != 2 and task is Task.BINARY:
        yield Problem(f"{len(classes)} classes for a binary model", "write the two labels", ("classes",))


def _where(value: Plain) -> str:
    written = read_text(value, 'an SQL condition such as "age < 25"', limit=100_000, lines=True)
    try:
        check(written)
    except ConditionError as error:
        raise Refused(Problem(error.what, error.hint, detail=error.caret)) from None
    return written


# `roc_auc@women.min` names one gate of the slice `women`, and must not name all gates of another.
_MEASURED_FORM = rf"(?!.*\.(?:{'|'.join(Bound)})$){NAME_FORM}"
_MEASURED_WORDS = f"{Section.name_words}, not ending in {', '.join(f'`.{bound}`' for bound in Bound)}"


class Slice(Section):
    """A named subset of the holdout: a condition, or a mapping."""

    short: ClassVar[str] = "where"
    name_form: ClassVar[str] = _MEASURED_FORM
    name_words: ClassVar[str] = _MEASURED_WORDS

    name: Name
    where: Annotated[str, kind(_where, **kinds.SCRIPT.schema())]
    """An SQL condition over the holdout's columns: `sex = 'Female' AND age < 25`."""
    min_rows: Annotated[int, whole(1)] = 500
    """Below this many rows only what is clear of the noise counts; what is undecided there is shown."""


_OTHER_TASK: Mapping[str, str] = {name: f"{name}_macro" for name in ("f1", "precision", "recall")} | {
    "roc_auc": "roc_auc_ovr"
}
"""What a metric of two classes is called where there are more."""
# scikit-learn: https://scikit-learn.org/stable/modules/model_evaluation.html (functions ending with …)
_CONVENTION = {
    "_score": Direction.HIGHER,
    "_loss": Direction.LOWER,
    "_error": Direction.LOWER,
    "_cost": Direction.LOWER,
}


def _own_name(value: Plain, context: Context) -> str:
    name = read_text(value, "a metric's name")
    if (name in CATALOGUE and name != catalogued(str(context.given.get("metric")))) or name in OPERATIONAL:
        found = f"{quote(name)} for a metric of yours"
        raise refused(value, "another name with `name:`; that one has a meaning", found=found)
    if wrong := wrong_name(OwnMetric, name):
        raise Refused(wrong)
    return name


_OWN_NAME = Kind(_own_name, lambda: {"type": "string", "pattern": f"^{_MEASURED_FORM}$"})


class OwnMetric(Section):
    """A metric of your own, by its function or as a mapping; read from the guarded branch."""

    short: ClassVar[str] = "function"
    name_form: ClassVar[str] = _MEASURED_FORM
    name_words: ClassVar[str] = _MEASURED_WORDS

    function: Annotated[str, kinds.FUNCTION]
    """The metric's `module:function`."""
    name: Annotated[str, _OWN_NAME] = ""
    """What gates and reports call it. Left out: the function's name."""
    direction: Annotated[Direction | None, choice(tuple(Direction))] = None
    """Which way is better: `higher` or `lower`.
    Left out: scikit-learn's convention: `…_score` is better higher, `…_loss`, `…_error` and `…_cost` lower; else a gate
    on it tells, `min` for higher, `max` for lower."""

    @classmethod
    def completed(cls, context: Context) -> dict[str, Any]:
        """With the function's name as its own, and the direction that a convention gives it."""
        function = context.made["function"]
        name = context.made.get("name") or _own_name(function.partition(":")[2], context)
        endings = ((text, ending) for text in (name, function) for ending in _CONVENTION)
        known = next((_CONVENTION[ending] for text, ending in endings if text.endswith(ending)), None)
        return {"name": name, "direction": known, **context.made}


def _catalogues_name(value: Plain, context: Context) -> str:
    name = read_text(value, "a metric's name")
    if context.around and (wrong := _misfit(name, context.around)):
        raise Refused(wrong)
    return catalogued(name)


def _setting(name: str, what: str, low: float, high: float, *, of: type[int] | type[float] = float) -> Kind:
    def read(value: Plain, context: Context) -> float:
        metric = context.made.get("metric")
        if metric is not None and taken_by(metric) != name:
            taken = taken_by(metric)
            raise refused(value, f"`{taken}`, which it takes" if taken else "none", found=f"`{name}` for {metric}")
        if of is int and not isinstance(value, int):
            raise refused(value, what)
        return of(read_number(value, what, low, high))

    return Kind(read, lambda: {"type": "integer" if of is int else "number", "minimum": low, "maximum": high})


def _agreed(value: Plain, context: Context) -> float:
    agreed: float = _ZERO_DIVISION.read(whole(0, 1).read(value, context), context)
    return agreed


_ZERO_DIVISION = _setting("zero_division", "0 or 1", 0.0, 1.0)


def _clipped(metric: str) -> str:
    """What a metric of clipped probabilities is called."""
    return f"{catalogued(metric)}_clipped"


class SetMetric(Section):
    """A metric of the catalogue with a setting of its own."""

    metric: Annotated[str, Kind(_catalogues_name, lambda: {"enum": [*CATALOGUE, *ALIASES]})]
    """The metric's name in the table."""
    name: Annotated[str, _OWN_NAME] = ""
    """What gates and reports call it, so that there can be several. Left out: the metric's name, and with `clip`
    `log_loss_clipped`, for it is another figure with a history of its own."""
    alpha: Annotated[float | None, _setting("alpha", "a number from 0 to 1", 0.0, 1.0)] = None
    """Of `mean_pinball_loss`: the quantile that the model predicts. Left out: 0.5."""
    k: Annotated[int | None, _setting("k", "a whole number from 1 to 1000", 1, 1000, of=int)] = None
    """Of `top_k_accuracy`: among how many of the most probable classes the right one has to be. Left out: 2."""
    zero_division: Annotated[float | None, Kind(_agreed, lambda: {"enum": [0, 1]})] = None
    """Of precision, recall, F1, Jaccard, MCC and kappa: the value where there is nothing to take a share of, 0 or 1,
    such as the precision of a model that predicts no row to be positive. Left out: such a figure is undefined."""
    clip: Annotated[float | None, _setting("clip", "a number from 1e-12 to 0.1", 1e-12, 0.1)] = None
    """Of `log_loss`: probabilities below it, and above one less it, are taken for these, so that a few rows of which a
    model is wrongly certain do not outweigh all others; those of several classes are then divided by their sum. With
    another `clip` write another `name`. Left out: 2.2e-16, as scikit-learn does."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A clipped loss is not called what the other is: the ledger knows figures by their names."""
        if context.made.get("clip") is not None and context.made.get("name") == context.made.get("metric"):
            yield Problem("`log_loss` for a clipped one", "leave `name` out, or write another", ("name",))

    def made(self) -> Metric:
        """The catalogue's metric, so set."""
        known = CATALOGUE[self.metric]
        name = self.name or (known.name if self.clip is None else _clipped(known.name))
        other = name != known.name
        settings = Settings(alpha=self.alpha, k=self.k, zero_division=self.zero_division, clip=self.clip)
        return known.model_copy(update={"name": name, "of": known.name if other else None, "settings": settings})


def _metric(item: Plain, context: Context) -> Metric:
    if isinstance(item, dict) and "metric" in item:
        return SetMetric.read(item, context).made()
    if isinstance(item, dict) or (isinstance(item, str) and ":" in item):
        return _own_metric(item, context)
    name = read_text(item, "a metric's name or module:function")
    if name in OPERATIONAL:
        raise refused(item, "it under `gates` only; it is always measured")
    if wrong := _misfit(name, context):
        raise Refused(wrong)
    return CATALOGUE[catalogued(name)]


def _own_metric(item: Plain, context: Context) -> Metric:
    own = OwnMetric.read(item, context)
    direction = own.direction or _direction(own.name, context.inside("gates"))
    if direction is None:
        hint = f"{{function: {own.function}, direction: higher}} or lower: which way is better?"
        raise refused(item, hint, found=f"{quote(own.name)} without a direction")
    tasks = frozenset([context.made["task"]] if "task" in context.made else Task)
    return Metric(name=own.name, direction=direction, tasks=tasks, function=own.function)


def _direction(name: str, gates: Mapping[str, Plain]) -> Direction | None:
    """What the gates on a metric say of its direction: a `min` wants it high, a `max` low."""
    bounds = [rule for subject, rule in gates.items() if subject.partition("@")[0] == name and isinstance(rule, dict)]
    ways = ((Direction.HIGHER, "min"), (Direction.LOWER, "max"))
    found = {way for way, bound in ways if any(bound in rule for rule in bounds)}
    return found.pop() if len(found) == 1 else None


_NEGATED = "neg_"  # scikit-learn's scorers with a turned sign


def _misfit(written: str, context: Context, others: Iterable[str] = ()) -> Problem | None:
    task, name = context.made.get("task"), catalogued(written)
    fitting = {known.name: known for known in CATALOGUE.values() if task is None or task in known.tasks}
    if name in fitting:
        return None
    names = list(dict.fromkeys((*fitting, *others)))
    plain = catalogued(written.lower().replace("-", "_").removesuffix("_samples"))
    simple = plain.removesuffix("_macro").removesuffix("_weighted").removesuffix("_ovr")
    meant = next((meant for meant in (plain, _OTHER_TASK.get(plain), simple) if meant in names), None)
    short = [alias for alias, known in ALIASES.items() if known in fitting and not alias.startswith(_NEGATED)]
    guess = meant or context.guess(written, (*names, "module:function"), short)
    return Problem(_unfit(written, task), f"write {guess}")


def _unfit(name: str, task: Task | None) -> str:
    if name.endswith("_samples"):
        return f"{quote(name)}, which is for models with several labels a row"
    return (
        f"{quote(name)}, which is not for {task} models"
        if catalogued(name) in CATALOGUE
        else f"the unknown metric {quote(name)}"
    )


def _called(name: str, model: Context) -> str:
    """A metric's name in gates as reports have it: the catalogue's, unless one of the model's own is called so."""
    if "own" not in model.found:
        model.found["own"] = {name for name, is_own in _listed(model.given.get("metrics")).items() if is_own}
    return name if name in model.found["own"] else catalogued(name)


def _limit(bound: Bound) -> Kind:
    def read(value: Plain, context: Context) -> float:
        written = context.name.partition("@")[0]
        metric = _called(written, context.around or context)
        if bound is Bound.MIN and written.startswith(_NEGATED) and metric != written:
            write = f"`max` with a value of {metric}, as it is read: lower is better"
            raise refused(value, write, found=f"`min` for {written}")
        if bound not in bounds_taken(metric):
            raise refused(value, _instead_of(bound, metric), found=f"`{bound}` for {written}")
        low, high = bounds_of(metric)
        match bound:
            case Bound.MAX_REGRESSION:
                low, high = 0.0, high - low
            case Bound.MAX_RATIO:
                low, high = 1.0, math.inf
        return read_number(value, _in_words(low, high), low, high)

    return Kind(read, lambda: {"type": "number", **_LEAST.get(bound, {})})


_LEAST: Mapping[Bound, Schema] = MappingProxyType(
    {Bound.MAX_REGRESSION: {"minimum": 0}, Bound.MAX_EXCESS: {"minimum": 0}, Bound.MAX_RATIO: {"minimum": 1}}
)


def _instead_of(bound: Bound, metric: str) -> str:
    """What to write where a metric does not take a bound; who wants a change bounded is shown how."""
    taken = bounds_taken(metric)
    match metric:
        case "negative_flips" if bound is not Bound.MIN:
            return "`max_excess: 0.01`: how many more rows may flip than another seed of the baseline flips"
        case "latency_p50_ms" if bound is not Bound.MIN:
            return "`max_ratio: 1.2`: how many times the baseline's it may be"
        case "latency_p95_ms" if bound.is_relative:
            return "`latency_p50_ms: {max_ratio: 1.2}`; one of p95 would be judged by chance"
        case _ if metric in OPERATIONAL or len(taken) == 1:
            listed = " or ".join(f"`{each}`" for each in taken)
            return f"{listed}, the {'bounds' if len(taken) > 1 else 'only bound'} it takes"
        case _:
            return "`max_regression`: how much worse than the baseline's it may be, in the metric's own units"


def _in_words(low: float, high: float) -> str:
    if low == -math.inf:
        return "a number" if high == math.inf else f"a number of at most {high:g}"
    return f"a number, {low:g} or more" if high == math.inf else f"a number from {low:g} to {high:g}"


class GateRule(Section):
    """The bounds on a metric, or on a metric of a slice: at least one, each a gate of its own."""

    constraints: ClassVar[Schema] = {"anyOf": [{"required": [bound]} for bound in Bound]}
    name_form: ClassVar[str] = r"[\s\S]*"

    name: str
    min: Annotated[float | None, _limit(Bound.MIN)] = None
    """Fails when the metric is below. Left out: no such bound."""
    max: Annotated[float | None, _limit(Bound.MAX)] = None
    """Fails when the metric is above. Left out: no such bound."""
    max_regression: Annotated[float | None, _limit(Bound.MAX_REGRESSION)] = None
    """How much worse than the baseline the recipe may become, in the metric's own units whatever its direction; 0 is
    allowed. Left out: no such bound."""
    max_excess: Annotated[float | None, _limit(Bound.MAX_EXCESS)] = None
    """Of `negative_flips`: the share of rows that may flip beyond what another seed of the baseline flips. Left out: no
    such bound."""
    max_ratio: Annotated[float | None, _limit(Bound.MAX_RATIO)] = None
    """Of `latency_p50_ms`: how many times the baseline's it may be, both measured in turn on one machine. Left out: no
    such bound."""
    confident: Annotated[bool, kinds.FLAG] = False
    """Whether `min` and `max` judge the metric's confidence bound, so that luck does not pass.
    Left out: false: the measured value."""
    blocking: Annotated[bool, kinds.FLAG] = True
    """Whether its failure fails the check, or is only shown."""

    @classmethod
    def instead(cls, value: Plain, name: str) -> str:
        """A number is meant as a bound, but as which?"""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return super().instead(value, name)
        bounds = bounds_taken(name.partition("@")[0])
        return " or ".join(f"{{{bound}: {show_value(value)}}}" for bound in bounds)

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """At least one bound, in order; none is confident about a change."""
        given, low, high = context.given, context.made.get("min"), context.made.get("max")
        if low is not None and high is not None and low > high:
            yield Problem(f"min {low:g} above max {high:g}", "write a `min` of at most `max`")
        if given.keys() <= {"confident", "blocking"}:
            *others, last = bounds_taken(context.name.partition("@")[0])
            several = f"at least one of {', '.join(others)} and {last}" if others else f"`{last}`"
            yield Problem("no bound", f"write {several}")
        elif "confident" in given and not given.keys() & {"min", "max"}:
            relative = next((each for each in Bound if each in given), Bound.MAX_REGRESSION)
            hint = f"write it beside `min` or `max`; {relative} is always judged by its interval"
            yield Problem(show_value(given["confident"]), hint, ("confident",))
        yield from _without_interval(_called(context.name.partition("@")[0], context.around or context), context)

    def gates(self, model: Context) -> Iterator[Gate]:
        """One gate a bound."""
        written, _, part = self.name.partition("@")
        metric = _called(written, model)
        for bound in Bound:
            limit, sure = getattr(self, bound), self.confident and not bound.is_relative
            if limit is not None:
                subject: dict[str, Any] = {"metric": metric, "slice": part or None, "bound": bound, "limit": limit}
                yield Gate(**subject, confident=sure, blocking=self.blocking)


def _without_interval(metric: str, context: Context) -> Iterator[Problem]:
    """What asks for the interval of a metric that has none: it would never be decided."""
    if metric not in CATALOGUE or Bound.MAX_REGRESSION in bounds_taken(metric):
        return
    for key in ("max_regression", "confident"):
        if (asked := context.made.get(key)) is not None and asked is not False:
            yield Problem(f"`{key}` for {metric}", "write `max` alone: it has no interval", (key,))


_GAP = "gap"


def _margin(value: Plain, _context: Context) -> float:
    return read_number(value, "a number, 0 or more", 0.0)


class GapRule(Section):
    """The bounds on the gap between slices: the metric's greatest value less its least."""

    name_form: ClassVar[str] = rf"gap(@{_MEASURED_FORM})?"
    name_words: ClassVar[str] = "`gap`, or `gap@` and a name of your own for each of several"
    constraints: ClassVar[Schema] = {"anyOf": [{"required": [bound]} for bound in ("max", "max_regression")]}

    name: str
    metric: Annotated[str, kinds.text("a metric's name")]
    """The metric, by its name in the table or your own one's."""
    slices: Annotated[tuple[str, ...], list_of("the names of two slices or more", kinds.text("a slice's name"))]
    """The slices that it is between: two or more of those under `slices`; they may overlap."""
    max: Annotated[float | None, Kind(_margin, lambda: {"type": "number", "minimum": 0})] = None
    """Fails when the shipped file's gap is wider. Left out: no such bound."""
    max_regression: Annotated[float | None, Kind(_margin, lambda: {"type": "number", "minimum": 0})] = None
    """How much wider than the baseline's the recipe's gap may become. Left out: no such bound."""
    confident: Annotated[bool, kinds.FLAG] = False
    """Whether `max` judges the gap's confidence bound, so that luck does not pass. Left out: false: the measured
    gap."""
    blocking: Annotated[bool, kinds.FLAG] = True
    """Whether its failure fails the check, or is only shown."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Two slices that there are, a metric that fits, and a bound."""
        given, model = context.given, context.around or context
        known, between = model.inside("slices"), context.made.get("slices", ())
        for index, name in enumerate(between):
            if name not in known:
                hint = f"write {context.guess(name, known)}" if known else "write it under `slices:` first"
                yield Problem(f"the unknown slice {quote(name)}", hint, ("slices", index))
        if len(between) == 1:
            yield Problem("one slice", "write two or more, for the gap between them", ("slices",))
        metric, listed = context.made.get("metric"), _listed(model.given.get("metrics"))
        if metric is not None and _called(metric, model) not in listed and (wrong := _misfit(metric, model)):
            yield wrong.under("metric")
        if not given.keys() & {"max", "max_regression"}:
            yield Problem("no bound", "write `max` or `max_regression`")
        elif "confident" in given and "max" not in given:
            hint = "write it beside `max`; max_regression is always judged by its interval"
            yield Problem(show_value(given["confident"]), hint, ("confident",))
        if metric is not None:
            yield from _without_interval(_called(metric, model), context)

    def called(self, model: Context) -> str:
        """What gates and reports call it."""
        return self.name if self.name != _GAP else f"{_GAP}@{_called(self.metric, model)}"

    def gates(self, model: Context) -> Iterator[Gate]:
        """One gate a bound."""
        for bound in (Bound.MAX, Bound.MAX_REGRESSION):
            limit, sure = getattr(self, bound), self.confident and not bound.is_relative
            if limit is not None:
                name = self.called(model)
                yield Gate(metric=name, bound=bound, limit=limit, confident=sure, blocking=self.blocking)

    def of(self, model: Context) -> Metric:
        """The metric whose values it is between."""
        name = _called(self.metric, model)
        return next((each for each in model.made.get("metrics", ()) if each.name == name), None) or CATALOGUE[name]

    def made(self, model: Context) -> Metric:
        """The gap as a metric."""
        of = self.of(model)
        gap = {"name": self.called(model), "of": of.formula, "slices": self.slices, "direction": Direction.LOWER}
        return of.model_copy(update=gap)


def _is_gap(subject: str) -> bool:
    return subject.partition("@")[0] == _GAP


_RULES = named(
    GateRule,
    "a mapping from metric or metric@slice to its bounds",
    none=("no gates", "at least one, such as `roc_auc: {max_regression: 0.005}`"),
)


def _gate_schema(metric: str) -> Schema:
    return {"$ref": "#/$defs/gate", "propertyNames": {"enum": [*bounds_taken(metric), "confident", "blocking"]}}


def _read_gates(value: Plain, context: Context) -> tuple[Gate, ...]:
    plain = {name: each for name, each in value.items() if not _is_gap(name)} if isinstance(value, dict) else value
    rules = () if plain == {} != value else _RULES.read(plain, context)
    context.found["gaps"] = gaps = _gap_rules(context) if isinstance(value, dict) else ()
    made = {rule.name: tuple(rule.gates(context)) for rule in (*rules, *gaps)}
    order = value if isinstance(value, dict) else ()
    return tuple(gate for name in order for gate in made[str(name)])


def _gap_rules(context: Context) -> tuple[GapRule, ...]:
    given = {name: each for name, each in context.inside("gates").items() if _is_gap(name)}
    rules = collect(given.items(), lambda name, each: GapRule.read(each, context, str(name)))
    seen: dict[str, str] = {}
    for rule in rules:
        if (other := seen.setdefault(rule.called(context), rule.name)) != rule.name:
            raise Refused(Problem(f"{quote(rule.name)} beside {quote(other)}", "give each gap a name", (rule.name,)))
    return rules


_GATES = Kind(
    _read_gates,
    lambda: {
        "type": "object",
        "minProperties": 1,
        "properties": {metric: _gate_schema(metric) for metric in (*sorted(CATALOGUE), *OPERATIONAL)},
        "patternProperties": {"^gap(@|$)": GapRule.json_schema()},
        "additionalProperties": _gate_schema("of the user's own"),
    },
)
_METRICS = list_of(
    "metrics such as roc_auc or module:function",
    Kind(
        _metric, lambda: {"anyOf": [{"enum": [*CATALOGUE, *ALIASES]}, OwnMetric.json_schema(), SetMetric.json_schema()]}
    ),
    name=attrgetter("name"),
    again="each metric once; two functions of one name need `name:`",
)
_OTHERS = 50
"""Metrics of the model that are offered instead of an unknown one; not all of thousands."""


class Model(Section):
    """One model."""

    name_form: ClassVar[str] = DELIVERED_FORM
    name_words: ClassVar[str] = DELIVERED_WORDS

    name: Name
    task: Annotated[Task, choice(tuple(Task))]
    """What the model predicts: `binary`, `multiclass` or `regression`."""
    train: Annotated[Train, inside(Train)]
    """How it is trained."""
    data: Annotated[Data, inside(Data)]
    """What it learns from and is judged on."""
    slices: Annotated[tuple[Slice, ...], named(Slice, "a mapping from the name of each slice")] = ()
    """Subsets of the holdout that are measured on their own, by name. Left out: none."""
    metrics: Annotated[tuple[Metric, ...], _METRICS] = ()
    """What is measured; metrics that gates name are added. Left out: what the gates name."""
    gates: Annotated[tuple[Gate, ...], _GATES]
    """What has to hold, by metric or metric@slice; at least one: a model without gates could not fail."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Gates name what is measured."""
        gates, listed = context.inside("gates"), _listed(context.given.get("metrics"))
        for subject in gates:
            if _is_gap(subject):
                continue
            yield from (problem.under("gates", subject) for problem in _wrong_subject(subject, listed, context))
        yield from _subjects_twice(gates, context)
        if gates and "metrics" not in context.given and gates.keys() <= OPERATIONAL.keys():
            yield Problem("no metrics", "write `metrics:` with at least one, such as roc_auc")

    @classmethod
    def completed(cls, context: Context) -> dict[str, Any]:
        """With the catalogue's metrics that gates name."""
        metrics = {metric.name: metric for metric in context.made.get("metrics", ())}
        for gate in context.made["gates"]:
            if gate.metric in CATALOGUE:
                metrics.setdefault(gate.metric, CATALOGUE[gate.metric])
        for rule in context.found.get("gaps", ()):
            of, gap = rule.of(context), rule.made(context)
            metrics.setdefault(of.name, of)  # what it is between is shown too
            metrics[gap.name] = gap
        return super().completed(context) | {"metrics": tuple(metrics.values())}


def _listed(metrics: Plain) -> dict[str, bool]:
    """The names that a list of metrics gives, and whether each is one's own; broken ones too, which are said once."""
    found: dict[str, bool] = {}
    for item in metrics if isinstance(metrics, list) else ():
        keys = item if isinstance(item, dict) else {}
        given = keys.get("name", keys.get("function", keys.get("metric"))) if isinstance(item, dict) else item
        if not isinstance(given, str):
            continue
        is_own = ":" in given or not {"function", "name", "clip"}.isdisjoint(keys)
        name = _clipped(given) if "clip" in keys and "name" not in keys else given
        found[name.rpartition(":")[2] if is_own else catalogued(given)] = is_own
    return found


def _subjects_twice(gates: Iterable[str], context: Context) -> Iterator[Problem]:
    """Two names of one metric: which of two limits counts would be anybody's guess."""
    seen: dict[str, str] = {}
    for subject in gates:
        written, at, part = subject.partition("@")
        name = f"{_called(written, context)}{at}{part}"
        if (other := seen.setdefault(name, subject)) != subject:
            found = f"{quote(subject)} beside {quote(other)}, which is the same metric"
            yield Problem(found, f"write all bounds under `{name}`", ("gates", subject))


def _wrong_subject(subject: str, listed: Mapping[str, bool], context: Context) -> Iterator[Problem]:
    metric, at, part = subject.partition("@")
    if metric in OPERATIONAL:
        if at:
            yield Problem(f"{quote(subject)}, which is measured on the whole file", "write it without a slice")
        elif metric == "negative_flips" and context.made.get("task") is Task.REGRESSION:
            yield Problem(quote(subject), "write a gate on a metric; rows of a regression are neither right nor wrong")
        return
    own = islice((name for name, is_own in listed.items() if is_own), _OTHERS)
    wrong = None if _called(metric, context) in listed else _misfit(metric, context, (*OPERATIONAL, *own))
    if wrong:
        yield wrong
    slices = context.inside("slices")
    if at and part not in slices:
        hint = f"write {context.guess(part, slices)}" if slices else "write it under `slices:` first"
        yield Problem(f"the unknown slice {quote(part)}", hint)


_WHAT_TO_DO = choice(("warn", "block"))


class OnInconclusive(Section):
    """What a verdict does that the data cannot settle."""

    pull_request: Annotated[Literal["warn", "block"], _WHAT_TO_DO] = "warn"
    """On a pull request: `warn` or `block`."""
    promotion: Annotated[Literal["warn", "block"], _WHAT_TO_DO] = "block"
    """Before an environment: `warn` or `block`."""


class Waivers(Section):
    """Who may let a gate pass by their word with `/waive`, besides those who maintain the repository."""

    by: Annotated[tuple[str, ...], list_of("logins", kinds.LOGIN)] = ()
    """Logins of people who may do so without maintaining the repository. Left out: nobody."""
    author: Annotated[bool, kinds.FLAG] = False
    """Whether they and maintainers may do so on a pull request of their own."""


def _milliseconds(value: Plain) -> float:
    return read_number(value, "milliseconds, more than 0", low=math.ulp(0.0))


class Smoke(Section):
    """The smoke test after a deployment."""

    requests: Annotated[int, whole(1)] = 50
    """How many predictions are asked for."""
    p95_ms: Annotated[float | None, kind(_milliseconds, type="number", exclusiveMinimum=0)] = None
    """The most milliseconds that 95 % of them may take. Left out: no limit."""
    command: Annotated[str | None, kinds.SCRIPT] = None
    """A shell command that looks at the endpoint; any exit code but 0 fails the test. Left out: none."""


class EnvironmentConfig(Section):
    """Where a model can be deployed."""

    # A registry has a tag for each version, and one for each environment.
    name_form: ClassVar[str] = rf"(?!v[0-9]+\.[0-9]+\.[0-9]+$){DELIVERED_FORM}"
    name_words: ClassVar[str] = f"{DELIVERED_WORDS}, that is no version"

    name: Name
    target: Annotated[str, kinds.TARGET]
    """Where the model goes: a folder, any fsspec URL, `oci://`, or `command:` and a shell command."""
    after: Annotated[str | None, kinds.text("the name of the environment that comes before")] = None
    """The environment where the same digest has to be live and healthy first. Left out: none."""
    approvals: Annotated[int, whole(0, 6)] = 0
    """How many people have to approve, 0 to 6."""
    runs_on: Annotated[tuple[str, ...], kinds.RUNS_ON] = ("ubuntu-latest",)
    """The runner's label, or a list of labels."""
    smoke: Annotated[Smoke | None, inside(Smoke)] = None
    """The smoke test after a deployment. Left out: 50 requests, no limit."""


def _version(value: Plain) -> int:
    if value == 1 and isinstance(value, int) and not isinstance(value, bool):
        return value
    raise refused(value, "1, the only version there is")


class Config(Section):
    """How this repository's models are trained, judged and deployed."""

    version: Annotated[Literal[1], kind(_version, const=1)] = 1
    """The version of this file's format."""
    models: Annotated[
        tuple[Model, ...],
        named(Model, "a mapping from the name of each model", none=("no models", "at least one model")),
    ]
    """The models by name; at least one. Names have letters and digits, with `.`, `_`, `__` or dashes between them, at
    most 63, and differ by more than case."""
    guard: Annotated[tuple[str, ...], list_of("branch names and patterns", kinds.GUARDED)] = ()
    """Branches whose pull requests are gated, by name or by a pattern such as `release/*`. Left out: the default
    branch."""
    inconclusive: Annotated[OnInconclusive, inside(OnInconclusive)] = OnInconclusive()
    """What a verdict does that the data cannot settle. Left out: `warn` on a pull request, `block` before an
    environment."""
    waivers: Annotated[Waivers, inside(Waivers)] = Waivers()
    """Who may let a gate pass by their word with `/waive`, besides those who maintain the repository.
    Left out: maintainers only, and nobody on their own pull request."""
    store: Annotated[str | None, kinds.PLACE] = None
    """Where judged models are stored: a folder, any fsspec URL, or `oci://`. Left out: nowhere but in the runs'
    artifacts."""
    environments: Annotated[
        tuple[EnvironmentConfig, ...], named(EnvironmentConfig, "a mapping from the name of each environment")
    ] = ()
    """Where models can be deployed, by name; names are like those of models. Left out: none."""
    actions: Annotated[Actions, inside(Actions)] = Actions()
    """How the workflows are written: their form, their runners, and what each job may reach.
    Left out: small files that call mlbot's workflows, on GitHub's runners, without a secret."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Entries of `guard` have a status, names a place of their own, environments an order without a circle."""
        written = context.given.get("guard")
        guard = written if isinstance(written, list) else []
        for place, write in clashes(guard):
            yield Problem(show_value(guard[place]), f"write {write}", ("guard", place))
        yield from _names_alike(context)
        yield from _shared_places(context)
        environments = context.inside("environments")
        named = ((name, value.get("after")) for name, value in environments.items() if isinstance(value, dict))
        after = {name: first for name, first in named if isinstance(first, str)}
        for name, first in after.items():
            if first.strip() and first not in environments:
                hint = f"write {context.guess(first, environments)}"
                yield Problem(quote(first), hint, ("environments", name, "after"))
        for circle in _circles(after):
            found = " after ".join(quote(step) for step in (*circle[:_SHOWN], circle[0]))
            yield Problem(found, "write an order without a circle", ("environments", circle[0]))

    def model(self, name: str) -> Model | None:
        """The model of that name, if there is one."""
        return next((m for m in self.models if m.name == name), None)


def _names_alike(context: Context) -> Iterator[Problem]:
    """Names that a registry, a disk or GitHub takes for one: they know no case."""
    for key in ("models", "environments"):
        seen: dict[str, str] = {}
        for name in context.inside(key):
            if (other := seen.setdefault(name.casefold(), name)) != name:
                found = f"{quote(name)} beside {quote(other)}"
                yield Problem(found, "write names that differ by more than case; registries know none", (key, name))


_MOST_REFERENCE = 255
"""Characters of a registry's host and repository together."""


def _shared_places(context: Context) -> Iterator[Problem]:
    """Environments whose models would lie on top of each other, and repositories whose names are too long."""
    models = [*context.inside("models")]
    longest = max(map(len, models), default=0)
    seen: dict[str, str] = {}
    for name, given in context.inside("environments").items():
        target = given.get("target") if isinstance(given, dict) else None
        place = _place(target) if isinstance(target, str) else ""
        at = ("environments", name, "target")
        if place.startswith("oci://"):
            if len(place.removeprefix("oci://")) + 1 + longest > _MOST_REFERENCE:
                hint = f"write a shorter one: with the model's name it may have {_MOST_REFERENCE} characters"
                yield Problem(show_value(target), hint, at)
        elif place:
            other = next((other for known, other in seen.items() if _overlaps(known, place, models)), None)
            if other is not None:
                found = f"{show_value(target)}, where {quote(other)} has its models too"
                yield Problem(found, "write a place for each environment", at)
            seen.setdefault(place, name)


def _place(target: str) -> str:
    """A target in the form in which equal places are equal; empty for a command."""
    if target.startswith("command:"):
        return ""
    scheme, found, rest = target.partition("://")
    path = "/".join(part for part in (rest if found else target).split("/") if part not in {"", "."})
    if not found or scheme.lower() in {"file", "local"}:
        path = path.casefold()  # a disk may know no case, an object store does
    return f"{scheme.lower()}://{path}" if found else path


def _overlaps(one: str, other: str, models: Iterable[str]) -> bool:
    """Whether two folders are one, or one is the folder that a model has in the other."""
    short, long = sorted((one, other), key=len)
    inside = (f"{short}/{model.casefold()}" for model in models)
    return short == long or any(f"{long}/".startswith(f"{each}/") for each in inside)


def _circles(after: Mapping[str, str]) -> Iterator[list[str]]:
    walks: dict[str, str] = {}
    for start in after:
        walk: list[str] = []
        name = start
        while name in after and name not in walks:
            walks[name] = start
            walk.append(name)
            name = after[name]
        if walks.get(name) == start:
            yield walk[walk.index(name) :]


def parse_config(document: Document) -> Config:
    """Read a whole mlbot.yaml.

    Raises `ConfigError` with everything that is wrong.
    """
    try:
        if document.data is None:
            write = "`version: 1` and `models:`; `mlbot init` makes a first one"
            raise refused(document.data, write, found="an empty file")
        return Config.read(document.data, Context())
    except Refused as error:
        raise ConfigError(map(document.located, error.problems), source=document.source) from None


def json_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of the file, for editors.

    It says what can be said of a setting alone; nothing that `parse_config` accepts is refused by it.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlbot.yaml",
        **Config.json_schema(),
        "$defs": {"gate": GateRule.json_schema()},
    }
