"""Finding the data in a repository's files: what trains, what judges, what is predicted."""

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from mlbot.core.metric import Task

SUFFIXES = (".csv", ".parquet")
_TRAIN = ("train", "training")
_HOLDOUT = ("holdout", "heldout", "test", "eval", "evaluation", "validation", "valid", "val")
"""What held-out data is called, the clearest first."""
_TARGETS = ("target", "label", "labels", "y", "class", "outcome", "response")
_MOST_CLASSES = 30
"""Whole numbers with more values than this are amounts, not classes."""
_ID = re.compile(r"(?i)(^|.*[_ -])(id|uuid|guid)|^index$|^unnamed: 0$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A data file as it was found.

    Attributes:
        path: from the repository's root.
        columns: their names in the file's order; none where the file could not be read.
        rows: its first rows, a text a field.
        tracked: whether git has it, or would commit it.
    """

    path: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    tracked: bool = True

    def values(self, column: str) -> list[str]:
        """The different values of a column in its first rows, sorted; an empty field is none."""
        at = self.columns.index(column) if column in self.columns else -1
        return sorted({row[at].strip() for row in self.rows if 0 <= at < len(row) and row[at].strip()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Training data and holdout, either of which may be missing."""

    train: str | None = None
    holdout: str | None = None


def find_pair(tables: Sequence[Table], train: str | None = None, holdout: str | None = None) -> Pair:
    """Which files train and which judge, by their names.

    Args:
        tables: every data file.
        train: the training data, where a person named it.
        holdout: likewise.
    """
    by_path = {table.path: table for table in tables}
    if train is None:
        others = [table for table in tables if table.path != holdout and _rank(table.path, _HOLDOUT) is None]
        train = min(others, key=lambda table: _likely(table, _TRAIN), default=Table(path="")).path or None
    if holdout is None:
        near = [table for table in tables if table.path != train and _rank(table.path, _HOLDOUT) is not None]
        best = min(near, key=lambda table: _beside(table, by_path.get(train or "")), default=None)
        holdout = best.path if best else None
    return Pair(train=train, holdout=holdout)


def _likely(table: Table, words: Collection[str]) -> tuple[bool, int, str]:
    return _rank(table.path, tuple(words)) is None, table.path.count("/"), table.path


def _beside(table: Table, train: Table | None) -> tuple[bool, bool, int, int, str]:
    """How well a holdout goes with the training data: same columns, same folder, the clearest name."""
    other_columns = train is not None and bool(train.columns) and set(table.columns) != set(train.columns)
    other_folder = train is not None and posixpath.dirname(table.path) != posixpath.dirname(train.path)
    return other_columns, other_folder, _rank(table.path, _HOLDOUT) or 0, table.path.count("/"), table.path


def _rank(path: str, words: tuple[str, ...]) -> int | None:
    """The place of the first word that a file is called by, its folder's name included: `test/data.csv`."""
    said = list(_words(path))
    return min((words.index(word) for word in said if word in words), default=None)


def _words(path: str) -> Iterator[str]:
    folder, file = posixpath.split(path)
    for name in (posixpath.splitext(file)[0], posixpath.basename(folder)):
        yield from re.split(r"[^a-z0-9]+", re.sub(r"(hold|held)[^a-z0-9]+out", r"\1out", name.lower()))


def find_target(table: Table | None) -> str | None:
    """The column that is probably predicted: one of a known name, else the last one."""
    if table is None or not table.columns:
        return None
    folded = {column.strip().lower(): column for column in reversed(table.columns)}
    return next((folded[name] for name in _TARGETS if name in folded), table.columns[-1])


def find_task(values: Sequence[str]) -> Task | None:
    """What a column with these values asks for; None when they do not tell."""
    if len(values) < 2:
        return None
    if len(values) == 2:
        return Task.BINARY
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers):
        whole = all(number == round(number or 0) for number in numbers)
        return Task.MULTICLASS if whole and len(values) <= _MOST_CLASSES else Task.REGRESSION
    return Task.MULTICLASS


def positive_of(values: Sequence[str]) -> str | None:
    """Which of two labels scikit-learn would take for the positive one: the greater; None unless there are two."""
    if len(values) != 2:
        return None
    first, second = (_number(value) for value in values)
    if first is not None and second is not None:
        return values[0] if first > second else values[1]
    return max(values)


def id_columns(table: Table | None, target: str | None) -> tuple[str, ...]:
    """Columns that by their name tell rows apart, and so are probably no features."""
    columns = table.columns if table else ()
    return tuple(column for column in columns if column != target and _ID.fullmatch(column.strip()))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if found - found == 0 else None  # neither infinite nor NaN
