"""What a model learns from and is judged on: the section `data`."""

import itertools
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from mlbot.config import kinds
from mlbot.config.errors import (
    Plain,
    Problem,
    quote,
    refused,
    show_value,
)
from mlbot.config.kinds import (
    Context,
    Kind,
    Section,
    choice,
    inside,
    kind,
    list_of,
    named,
    read_number,
    whole,
)
from mlbot.gates.metric import (
    Bound,
    DataCheck,
    Gate,
    Task,
)

_SHOWN = 8

_TYPES = "a mapping from columns to what they are, such as {zip: text}"


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


def _level(value: Plain, _context: Context) -> float:
    return read_number(value, "a number, more than 0 and less than 1", math.ulp(0.0), math.nextafter(1.0, 0.0))


_QUANTILES = list_of("quantiles such as 0.1 and 0.9", Kind(_level, _THRESHOLD.schema), name=str, most=100)
_COLUMNS = list_of("the columns to predict", kinds.COLUMN, most=1000)


def _target(value: Plain, context: Context) -> str | tuple[str, ...]:
    """A column, or the list of them that the task asks for."""
    task = context.around.made.get("task") if context.around else None
    several = isinstance(value, list)
    if task is not None and several is not task.has_targets:
        many = f"a list of columns, such as [{'spam, urgent' if task is Task.MULTILABEL else 'width, height'}]"
        hint = many if task.has_targets else f"one column; several are for multilabel and multioutput, not {task}"
        raise refused(value, hint)
    made: str | tuple[str, ...] = (_COLUMNS if several else kinds.COLUMN).read(value, context)
    if several and len(made) == 1:
        single = "binary" if task is Task.MULTILABEL else "regression"
        raise refused(value, f"two columns or more; for one write `task: {single}` and the column without brackets")
    return made


_TARGET = Kind(_target, lambda: {"anyOf": [kinds.COLUMN.schema(), _COLUMNS.schema()]})


def _id(value: Plain, context: Context) -> tuple[str, ...]:
    if isinstance(value, list):
        columns: tuple[str, ...] = _COLUMNS.read(value, context)
        return columns
    return (kinds.COLUMN.read(value, context),)


def _ID() -> dict[str, Any]:  # noqa: N802 - beside the schema of a target
    return {"anyOf": [kinds.COLUMN.schema(), _COLUMNS.schema()]}


def _most(value: Plain, context: Context) -> float:
    check = context.name
    if check == DataCheck.LABEL_SHIFT:
        return read_number(value, "a share of rows, from 0 to 1", 0.0, 1.0)
    return read_number(value, "a number of rows, columns or values, 0 or more", 0.0)


class DataGate(Section):
    """What may be found of one kind in the rows that a change adds."""

    name_form: ClassVar[str] = "|".join(each for each in DataCheck if each is not DataCheck.DRIFT)
    name_words: ClassVar[str] = "a check: " + ", ".join(each for each in DataCheck if each is not DataCheck.DRIFT)

    name: str
    max: Annotated[float, Kind(_most, lambda: {"type": "number", "minimum": 0})]
    """The most that passes: rows of `overlap`, `near_overlap`, `repeats` and `labels` and groups of `group_overlap`
    beyond those that rows like them have by nature; columns of `schema`, `units` and `leak`; values of `categories` and
    `trigger`; of `label_shift` the share of rows whose label is another one."""
    blocking: Annotated[bool, kinds.FLAG] = True
    """Whether it blocks; otherwise it is shown."""

    @property
    def made(self) -> Gate:
        """The gate, under a name that no metric has."""
        metric = DataCheck(self.name).metric
        return Gate(metric=metric, bound=Bound.MAX, limit=self.max, blocking=self.blocking)


_DATA_GATES = named(DataGate, "a mapping from checks to what may be found, such as {overlap: {max: 0}}")


def _gates(value: Plain, context: Context) -> tuple[Gate, ...]:
    found: tuple[DataGate, ...] = _DATA_GATES.read(value, context)
    return tuple(each.made for each in found)


_GATES = Kind(_gates, _DATA_GATES.schema)


class Data(Section):
    """What the model learns from and is judged on."""

    train: Annotated[str | None, kinds.PATH_OR_URL] = None
    """The training data, CSV or Parquet: a path, of a folder of Parquet too, or any fsspec URL. Its digest is recorded;
    it cannot be the holdout. Of a URL its text counts as the content: name a version in it (`?versionId=…`, a dated
    path), and another one when the data change.
    Left out: the training finds its own data."""
    holdout: Annotated[str, kinds.PATH_OR_URL] = ""
    """The labelled rows that judge the model, CSV or Parquet: a path, or any fsspec URL. A training with `depends`
    never sees them, and may not name them there; with a URL only the judge has to be able to read it. Left out: must be
    there, but for `scores`, whose evaluator has the items."""
    sealed: Annotated[str | None, kinds.SEALED] = None
    """The labelled rows that only a release is judged on, CSV or Parquet like the holdout: a URL outside the
    repository, which the release's own job alone can read. Left out: none, and nothing bounds how often a release
    passes wrongly."""
    target: Annotated[str | tuple[str, ...], _TARGET] = ""
    """The column to predict; for multilabel and multioutput a list of columns: of labels 0 or 1 each, or of numbers.
    Left out: must be there, but for `scores`."""
    positive: Annotated[str | None, kinds.LABEL] = None
    """The label that counts as positive, for binary models only.
    Left out: the greater of the two labels, as scikit-learn takes it: 1 of 0 and 1, `yes` of `no` and `yes`."""
    threshold: Annotated[float | None, _THRESHOLD] = None
    """For binary and multilabel models: a row is positive, or has a label, where its probability is this or more, as
    scikit-learn's `FixedThresholdClassifier` has it; more than 0, less than 1.
    Left out: the more probable class, and on a tie the first of the model's own, as scikit-learn's `predict` has it."""
    label: Annotated[Literal["model"] | None, choice(("model",))] = None
    """`model`: the labels that the file gives itself are judged; for binary and multiclass.
    Left out: they follow from the probabilities, and the report counts where the file's own differ."""
    drop: Annotated[tuple[str, ...], list_of("column names", kinds.COLUMN)] = ()
    """Columns that are no features. Left out: none."""
    features: Annotated[tuple[str, ...] | None, list_of("column names; leave it out for all", kinds.COLUMN)] = None
    """The features, in the order of the model's input.
    Left out: every column but target, group, weight and dropped ones, in the file's order."""
    classes: Annotated[tuple[str, ...] | None, list_of("labels", kinds.LABEL)] = None
    """The labels in the order of the model's probability columns, for binary and multiclass only.
    Left out: the model's own, else sorted; numbers that may be codes are refused."""
    group: Annotated[str | None, kinds.COLUMN] = None
    """A column whose rows belong together (user, patient, day), read as text; intervals then resample whole groups. Of
    a ranking it is the query. Left out: rows are independent; of a ranking it must be there."""
    id: Annotated[tuple[str, ...], Kind(_id, _ID)] = ()
    """The column, or the list of columns, that says which row of a file is which, so that a change of data is shown as
    rows added, removed and changed. Left out: those of a forecast, or a column with another value in every row; else
    rows are told apart by all they hold."""
    gates: Annotated[tuple[Gate, ...], _GATES] = ()
    """What has to hold of the rows that a change adds to `train`, by check, such as `{overlap: {max: 0}}`; `/waive`
    names them `data.overlap`. Left out: what is found is shown, and blocks nothing."""
    time: Annotated[str | None, kinds.COLUMN] = None
    """Of a forecast: the column with the time that a row is a forecast of: dates, numbers or texts such as 2024-05.
    Intervals know that errors last over time and that all series share it. Left out: must be there for a forecast."""
    series: Annotated[str | None, kinds.COLUMN] = None
    """Of a forecast: the column that says which series a row is of, read as text. Left out: all rows are of one."""
    horizon: Annotated[str | None, kinds.COLUMN] = None
    """Of a forecast: the column that says how many steps ahead a row is, so that a rolling origin has several rows of
    one time. Left out: the rows of each series are steps 1, 2, … from one origin."""
    season: Annotated[int | None, whole(1, 10_000)] = None
    """Of a forecast: over how many steps the naive forecast goes that MASE compares with, 12 for months of a year. Left
    out: 1."""
    quantiles: Annotated[tuple[float, ...], _QUANTILES] = ()
    """Of a forecast: the quantiles that the model gives after its forecast, [N, 1 + Q], in this order. Left out: none,
    [N] or [N, 1]."""
    weight: Annotated[str | None, kinds.COLUMN] = None
    """A column of sample weights, numbers of 0 and more: how much a row counts in every metric, interval and slice. It
    is no feature. Left out: all rows count alike."""
    types: Annotated[tuple[ColumnType, ...], named(ColumnType, _TYPES)] = ()
    """What columns are, such as `{zip: text}`, where their values look like something else.
    Left out: a column whose every value is a number or true or false is that, and all others are text."""
    csv: Annotated[Csv, inside(Csv)] = Csv()
    """How the CSV files are written: separator, encoding, decimal mark, quotes, missing values.
    Left out: as the files show it; what is not certain is refused with the line to write."""

    sketch: Annotated[bool | None, kinds.FLAG] = None
    """Whether a sketch of the holdout and of the model's answers is recorded with a release, for what watches it in
    production, and one of a data file with the verdict on its first training; no value of fewer than five rows is in a
    sketch. Left out: yes; of a holdout behind a URL no."""

    @property
    def sketches_holdout(self) -> bool:
        """Whether the ledger may have a sketch of the holdout: not by itself where only the judge can read that."""
        return "://" not in self.holdout if self.sketch is None else self.sketch

    @property
    def timing(self) -> tuple[str, ...]:
        """The columns that say which row of a forecast a row is; features only where they are named so."""
        return tuple(name for name in (self.time, self.series, self.horizon) if name is not None)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        if isinstance(self.target, str):
            return (self.target,) if self.target else ()
        return self.target

    def reads(self, task: Task) -> Mapping[str, ColumnKind]:
        """What columns are read as, whatever they look like: ids and labels are text, so that 007 is not 7."""
        apart = {self.group} if self.group is not None else set()
        apart |= {*self.targets} if task.has_classes else set()
        apart |= set() if self.series is None else {self.series}
        return {each.name: each.type for each in self.types} | dict.fromkeys(apart, ColumnKind.TEXT)

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A column has one part to play, and a row too; labels fit the task."""
        yield from _columns_twice(context.given)
        if "train" in context.made and context.made["train"] == context.made.get("holdout"):
            hint = "write another file: a model is judged on rows that it has not seen"
            yield Problem("the training data", hint, ("holdout",))
        if "sealed" in context.made and context.made["sealed"] in {
            context.made.get("train"),
            context.made.get("holdout"),
        }:
            hint = "write another file: sealed rows are those that nobody has looked at"
            yield Problem(show_value(context.given["sealed"]), hint, ("sealed",))
        task = context.around.made.get("task") if context.around else None
        yield from _unlabelled(context.given) if task is Task.SCORES else _lacking(context.given)
        if task is Task.RANKING and "group" not in context.given:
            hint = "write `group: <column>`, the column that says to which query a row belongs"
            yield Problem("no group for a ranking", hint)
        if task:
            yield from _wrong_timing(context, task)
            yield from _wrong_labels(context, task)
            yield from _wrong_decision(context, task)
        yield from _wrong_checks(context, task)


_OF_CLASSES = (DataCheck.LABELS, DataCheck.TRIGGER)


def _wrong_checks(context: Context, task: Task | None) -> Iterator[Problem]:
    """A gate on a check that is never made would never let anything pass."""
    train = context.made.get("train")
    for name in context.inside("gates"):
        if isinstance(train, str) and "://" in train:
            found = f"`{name}` on data behind a URL"
            yield Problem(found, "keep the file in git, Git LFS or DVC, so that a change of it is seen", ("gates",))
            return
        if "train" not in context.given:
            yield Problem(
                f"`{name}` without training data", "write `train:`, the file whose changes are checked", ("gates",)
            )
            return
        if name == DataCheck.GROUP_OVERLAP and "group" not in context.given:
            yield Problem(f"`{name}` without a group", "write `group: <column>`, or remove it", ("gates", name))
        if task and name in _OF_CLASSES and not task.has_classes:
            yield Problem(f"`{name}` for {task}", "remove it; only labels of classes are checked", ("gates", name))
        if task and name in {DataCheck.LABEL_SHIFT, DataCheck.LEAK} and (task.has_targets or task is Task.FORECAST):
            yield Problem(f"`{name}` for {task}", "remove it; only one target of rows is checked", ("gates", name))


def _lacking(given: Mapping[str, Plain]) -> Iterator[Problem]:
    yield from (Problem(f"no {key}", f"write `{key}:`") for key in ("holdout", "target") if key not in given)


def _unlabelled(given: Mapping[str, Plain]) -> Iterator[Problem]:
    """What is about labelled rows, where an evaluator has the items."""
    for key in given.keys() - {"train", "csv", "types"}:
        yield Problem(f"`{key}` for scores", "remove it; the evaluator has the items", (key,))


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


def _wrong_timing(context: Context, task: Task) -> Iterator[Problem]:
    given = context.given
    if task is Task.FORECAST and "time" not in given:
        yield Problem("no time for a forecast", "write `time: <column>`, the time that a row is a forecast of")
    for key in ("time", "series", "horizon", "season", "quantiles"):
        if key in given and task is not Task.FORECAST:
            yield Problem(f"`{key}` for {task}", "remove it; only a forecast has one", (key,))
    for key in ("time", "series", "horizon"):
        part = next((part for part in ("target", "weight", "drop") if _names(given.get(key), given.get(part))), None)
        if part is not None:
            yield Problem(f"{show_value(given[key])}, which is {_PARTS[part]} already", "write another column", (key,))


def _names(column: Plain, columns: Plain) -> bool:
    return isinstance(column, str) and column in (columns if isinstance(columns, list) else [columns])


def _wrong_decision(context: Context, task: Task) -> Iterator[Problem]:
    """One rule makes labels of probabilities, of a task that has labels."""
    given = context.given
    if "threshold" in given and task not in {Task.BINARY, Task.MULTILABEL}:
        hint = "write no `threshold`; only binary and multilabel models have one"
        yield Problem(show_value(given["threshold"]), hint, ("threshold",))
    elif "threshold" in given and "label" in given:
        hint = "write `threshold` or `label`: with `label: model` the file's own rule counts"
        yield Problem("both threshold and label", hint, ("label",))
    if "label" in given and not task.has_classes:
        yield Problem(show_value(given["label"]), f"write no `label`; {_A[task]} has none", ("label",))


_A = {task: f"a {'regression' if task is Task.REGRESSION else f'{task} model'}" for task in Task}


def _wrong_labels(context: Context, task: Task) -> Iterator[Problem]:
    given, classes, positive = context.given, context.made.get("classes", ()), context.made.get("positive")
    if "positive" in given and task is not Task.BINARY:
        hint = "write no `positive`; only binary models have one"
        yield Problem(show_value(given["positive"]), hint, ("positive",))
    elif classes and positive is not None and positive not in classes:
        shown = " or ".join(quote(label) for label in classes[:_SHOWN])
        yield Problem(show_value(given["positive"]), f"write one of the classes: {shown}", ("positive",))
    if "classes" in given and not task.has_classes:
        yield Problem(show_value(given["classes"]), f"write no `classes`; {_A[task]} has none", ("classes",))
    elif len(classes) == 1 and task is Task.MULTICLASS:
        yield Problem("one class", "write all labels, two or more", ("classes",))
    elif classes and len(classes) != 2 and task is Task.BINARY:
        yield Problem(f"{len(classes)} classes for a binary model", "write the two labels", ("classes",))
