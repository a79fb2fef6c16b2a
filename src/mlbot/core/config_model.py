"""How a model is trained and what it is judged on, as mlbot.yaml writes it."""

from collections.abc import Mapping

from mlbot.core import config_values as values
from mlbot.core.condition import ConditionError, check
from mlbot.core.config import Data, Slice, Train
from mlbot.core.config_error import quote
from mlbot.core.config_reader import MAX_SCRIPT, Reader, is_name
from mlbot.core.config_tunable import read_tunable
from mlbot.core.metric import Task

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
        "entrypoint": values.function,
        "depends": lambda field: field.texts("files, folders and globs; leave it out for all", values.path),
        "params": values.path,
        "tunable": read_tunable,
        "seeds": lambda field: field.whole(1, MAX_SEEDS),
        "timeout": lambda field: field.duration(LONGEST_S),
        "runs-on": values.runs_on,
        "lock": values.path,
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
        "train": values.data_path,
        "holdout": values.data_path,
        "target": values.column,
        "positive": Reader.label,
        "drop": lambda field: field.texts("column names", values.column),
        "features": lambda field: field.texts("column names; leave it out for all", values.column),
        "classes": lambda field: field.texts("labels", Reader.label),
        "group": values.column,
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
        reader.note(error.what, error.mend, error.caret)
        return None
    return text
