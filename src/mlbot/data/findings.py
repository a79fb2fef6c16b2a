"""What was found in a change of a model's data: the difference by rows, and what a reviewer should look at."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mlbot.data.sketch import Profile
from mlbot.gates.metric import DataCheck
from mlbot.lib.record import Count, Name, Record

Part = Literal["train", "holdout"]
Values = dict[str, str | int | float]

MOST_ROWS = 10  # rows that are named of a finding


class Why(Record):
    """Why something was not compared or checked: a sentence of `templates/words/checks.yaml` and its values."""

    cause: str
    values: Values = Field(default_factory=dict)


class ColumnChange(Record):
    """A column that only one of two files has, or that is read as another kind in each."""

    column: str
    before: str | None  # `text`, `number` or `boolean`
    after: str | None


def column_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[ColumnChange]:
    """What differs between the kinds of two files' columns."""
    for name in (*before, *(name for name in after if name not in before)):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield ColumnChange(column=name, before=was, after=now)


class LabelCount(Record):
    """How many rows have a label."""

    label: str
    before: Count
    after: Count


def label_counts(now: Mapping[str, int], then: Mapping[str, int]) -> tuple[LabelCount, ...]:
    """The labels after and before, the most frequent first."""
    names = sorted({*now, *then}, key=lambda name: (-now.get(name, 0) - then.get(name, 0), name))
    return tuple(
        LabelCount(label=name[:_LONGEST_LABEL], before=then.get(name, 0), after=now.get(name, 0)) for name in names
    )


_LONGEST_LABEL = 100  # a label is a stranger's text, and the report of a change has an end


class CellCount(Record):
    """In how many of the changed rows a column has another value."""

    column: str
    rows: Count


class FilesDiff(Record):
    """Which files of a folder differ, by their bytes."""

    added: Count = 0
    removed: Count = 0
    changed: Count = 0
    names: tuple[str, ...] = ()  # of the first of these


class FileDiff(Record):
    """How a file of the merged tree differs from the guarded branch's, by rows."""

    part: Part
    file: str
    before: Count | None = None  # rows; None where the guarded branch has no such file
    after: Count
    files: FilesDiff | None = None  # of a folder
    key: tuple[str, ...] = ()  # the columns that say which row is which; none: rows are told apart by all they hold
    repeated: Count = 0  # rows that share the key of another one, so that the key is not taken
    added: Count = 0
    removed: Count = 0
    changed: Count = 0  # with a key: rows that are there before and after, and are not the same
    cells: tuple[CellCount, ...] = ()
    cells_of: Count = 0  # in how many of the changed rows cells were counted
    columns: tuple[ColumnChange, ...] = ()
    labels: tuple[LabelCount, ...] = ()  # of classes; the most frequent first

    @property
    def differs(self) -> bool:
        """Whether a row or a column is not the same."""
        return self.before is None or bool(self.added or self.removed or self.changed or self.columns)


class Finding(Record):
    """One thing that a reviewer should look at."""

    check: DataCheck
    cause: str = ""  # which sentence of the check says it
    values: Values = Field(default_factory=dict)
    columns: tuple[str, ...] = ()
    effect: float  # how much there is of it, in the check's own unit
    expected: float | None = None  # how much there would be by nature
    n: Count  # how many rows were looked at
    part: Part = "train"
    rows: tuple[Count, ...] = ()  # a few of them, counted from 1 in the file of the merged tree
    more_rows: Count = 0  # how many there are beside these
    shown: bool = False  # True where nothing rests on it: data of another period differ by nature


class Figure(Record):
    """What a check came to, as a gate takes it; `problem` says why there is no value."""

    check: DataCheck
    value: Annotated[float, Field(ge=0)] | None = None
    problem: Why | None = None


class DataReport(Record):
    """All about the change of one model's data."""

    model: Name
    diffs: tuple[FileDiff, ...] = ()
    findings: tuple[Finding, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[Why, ...] = ()  # what was looked at only in part, and what could not be compared
    problem: Why | None = None  # why nothing could be checked
    profiles: tuple[Profile, ...] = ()  # of files that the ledger has none of; of the guarded branch's own alone

    @property
    def to_look_at(self) -> tuple[Finding, ...]:
        """What a person should look at, without what is only shown."""
        return tuple(each for each in self.findings if not each.shown)

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.findings or self.problem or self.notes or any(each.differs for each in self.diffs))

    @property
    def trains_otherwise(self) -> bool:
        """Whether the training data are others, or nobody can say."""
        return self.problem is not None or any(each.part == "train" for each in self.diffs)

    def figure(self, check: DataCheck) -> Figure | None:
        """What a check came to, if it was made."""
        return next((each for each in self.figures if each.check is check), None)


def unchecked(model: Name, cause: str, **values: str | float) -> DataReport:
    """The report of a change that could not be checked."""
    return DataReport(model=model, problem=Why(cause=cause, values=values))
