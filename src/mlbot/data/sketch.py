"""A sketch of rows: how many there are in each bin of each column, and the counts of other rows in the same bins.

What watches a model in production compares with it and needs no row of the data. A ledger may be public, so no value is
in it that fewer than five rows have, no smallest and no largest one, and of texts only how long they are. How it is
made of tables: `mlbot.ml.sketches`.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mlbot.lib.record import Count, Digest, Record, document

MOST_COLUMNS = 64  # features; of targets and of answers `MOST_BESIDE` each
MOST_BESIDE = 16
MOST_BINS = 32
MOST_BYTES = 16_384
FEWEST = 5  # rows that have a value that is named, and rows of a bin of numbers
LONGEST_VALUE = 60  # characters; a longer value is one of the others
LONGEST_NAME = 200  # characters; a column with a longer name is left out

Part = Literal["features", "targets", "answers"]
PARTS: tuple[Part, ...] = ("features", "targets", "answers")


class SketchKind(StrEnum):
    """What is counted of a column. A closed list."""

    NUMBER = "number"  # numbers in bins
    CATEGORY = "category"  # the values that many rows have, and all others together; booleans too
    TEXT = "text"  # how many characters a text has, in bins
    TIME = "time"  # seconds since 1970, in bins
    OTHER = "other"  # lists and the like: that there is something


class Column(Record):
    """A column and the bins that its values fall into."""

    name: Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
    kind: SketchKind
    edges: Annotated[tuple[float, ...], Field(max_length=MOST_BINS - 1)] = ()
    """Where a bin ends and the next begins, to which the edge itself belongs. The first bin and the last are open."""
    values: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=LONGEST_VALUE)], ...], Field(max_length=MOST_BINS - 1)
    ] = ()
    """Of categories; the most frequent first. The last bin is of all other values."""
    distinct: Count | None = None  # of categories and texts: how many values there are in the rows looked at

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.values if self.kind is SketchKind.CATEGORY else self.edges) + 1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if any(one >= other for one, other in pairwise(self.edges)) or len({*self.values}) < len(self.values):
            raise ValueError("edges ascend, and values differ")
        return self


class Tally(Record):
    """How many rows are in each bin of a column. Rows without the column are in none of the figures."""

    counts: Annotated[tuple[Count, ...], Field(max_length=MOST_BINS)]
    missing: Count = 0  # null, NaN or an empty text
    other: Count = 0  # what is nothing of the column's kind: a text among numbers

    @property
    def rows(self) -> int:
        """How many rows had the column."""
        return sum(self.counts) + self.missing + self.other

    @property
    def every(self) -> tuple[int, ...]:
        """The bins, and behind them what is missing and what is of another kind."""
        return *self.counts, self.missing, self.other

    def __add__(self, more: Self) -> Self:
        """The tally of both."""
        return self.model_copy(
            update={
                "counts": tuple(one + other for one, other in zip(self.counts, more.counts, strict=True)),
                "missing": self.missing + more.missing,
                "other": self.other + more.other,
            }
        )


class Counts(Record):
    """Rows in the bins of a sketch: a tally for each of its columns, in its order. Those of other rows can be added."""

    rows: Count = 0
    features: Annotated[tuple[Tally, ...], Field(max_length=MOST_COLUMNS)] = ()
    targets: Annotated[tuple[Tally, ...], Field(max_length=MOST_BESIDE)] = ()
    answers: Annotated[tuple[Tally, ...], Field(max_length=MOST_BESIDE)] = ()

    def __add__(self, more: Self) -> Self:
        """The counts of both. Raises `ValueError` for those of another sketch."""
        tallies: dict[str, tuple[Tally, ...]] = {
            part: tuple(one + other for one, other in zip(getattr(self, part), getattr(more, part), strict=True))
            for part in PARTS
        }
        return self.model_copy(update={"rows": self.rows + more.rows, **tallies})


class Beside(Record):
    """One column of a sketch with its own tally and another one's."""

    part: Part
    column: Column
    own: Tally
    other: Tally


class Sketch(Record):
    """The columns of rows with their bins, and how many of the rows are in each."""

    features: Annotated[tuple[Column, ...], Field(max_length=MOST_COLUMNS)] = ()
    targets: Annotated[tuple[Column, ...], Field(max_length=MOST_BESIDE)] = ()
    answers: Annotated[tuple[Column, ...], Field(max_length=MOST_BESIDE)] = ()
    """What the model answered: `label`, `probability`, …, as `mlbot.ml.sketches.answers_of` names them."""
    left_out: Count = 0  # columns that the rows have and the sketch has not
    looked_at: Count = 0  # rows that the bins were made of; all rows were counted
    counts: Counts

    @property
    def rows(self) -> int:
        """How many it is of."""
        return self.counts.rows

    def columns(self, part: Part) -> tuple[Column, ...]:
        """Those of a part."""
        columns: tuple[Column, ...] = getattr(self, part)
        return columns

    def fits(self, counts: Counts) -> bool:
        """Whether counts are of rows in these bins."""
        return all(
            [each.bins for each in self.columns(part)] == [len(each.counts) for each in getattr(counts, part)]
            for part in PARTS
        )

    def beside(self, counts: Counts) -> Iterator[Beside]:
        """Each column with the sketch's own rows and others. Raises `ValueError` for counts of another sketch."""
        for part in PARTS:
            rows = zip(self.columns(part), getattr(self.counts, part), getattr(counts, part), strict=True)
            for column, own, other in rows:
                yield Beside(part=part, column=column, own=own, other=other)

    @property
    def nothing(self) -> Counts:
        """The counts of no rows."""
        return nothing_of(self.features, self.targets, self.answers)

    @model_validator(mode="after")
    def _one_tally_a_column(self) -> Self:
        if not self.fits(self.counts):
            raise ValueError("the counts are of other columns or bins")
        return self


def nothing_of(features: tuple[Column, ...], targets: tuple[Column, ...], answers: tuple[Column, ...]) -> Counts:
    """The counts of no rows, in the bins of columns."""
    none: dict[str, tuple[Tally, ...]] = {
        part: tuple(Tally(counts=(0,) * each.bins) for each in columns)
        for part, columns in zip(PARTS, (features, targets, answers), strict=True)
    }
    return Counts(rows=0, **none)


def size_of(record: Record) -> int:
    """How many bytes a record takes in the ledger."""
    return len(document(record.model_dump(mode="json")))


class ColumnType(Record):
    """A column of a file, and as what it is read."""

    name: Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
    type: Annotated[str, StringConstraints(max_length=LONGEST_NAME)]


MOST_TYPES = 256


class Profile(Record):
    """What a data file holds: its columns, how many rows it has, and their sketch."""

    part: Literal["train", "holdout"]
    path: Annotated[str, StringConstraints(max_length=1_000)]  # where it was
    digest: Digest  # of path and content, as the lineage of a training has it
    content: Digest | None = None  # sha256 of its bytes; None of a folder
    columns: Annotated[tuple[ColumnType, ...], Field(max_length=MOST_TYPES)]
    more_columns: Count = 0
    sketch: Sketch
