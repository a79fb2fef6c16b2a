"""A change of a model's data as people read it: the files by rows, what to look at, what was found."""

from collections.abc import Iterator, Sequence

from mlbot.data.findings import DataReport, FileDiff, Finding, LabelCount, Why
from mlbot.lib.record import Count, Record
from mlbot.lib.templates import sentence

# Plain text throughout: names and values from outside are in it as they are, and the renderer escapes the whole.

_MOST_FINDINGS, _MOST_CELLS, _MOST_LABELS = 30, 10, 12


class FindingRow(Record):
    """A finding in words."""

    title: str
    columns: tuple[str, ...]
    text: str  # what was found, as a clause
    look: str  # what to do about it; empty where it is only shown
    rows: str  # which ones, `1, 2`; empty where none is named


class DiffRow(Record):
    """How a file differs."""

    diff: FileDiff
    files: str  # of a folder: which of its files do


class DataTable(Record):
    """All that is shown of one model's data."""

    model: str
    diffs: tuple[DiffRow, ...]
    to_look_at: tuple[FindingRow, ...]
    shown: tuple[FindingRow, ...]  # findings on which nothing rests
    labels: tuple[LabelCount, ...]
    more_labels: Count = 0
    cells: tuple[str, ...]  # `column: 12`
    cells_of: Count | None = None  # in how many of the changed rows they were counted; None: in all
    notes: tuple[str, ...]
    problem: str


def data_tables(reports: Sequence[DataReport]) -> tuple[DataTable, ...]:
    """Those of the reports that have something to show."""
    return tuple(_table(each) for each in reports if each.says_something)


def _table(report: DataReport) -> DataTable:
    train = next((each for each in report.diffs if each.part == "train"), None)
    labels = train.labels if train is not None and train.differs else ()
    return DataTable(
        model=report.model,
        diffs=tuple(DiffRow(diff=each, files=_files(each)) for each in report.diffs if each.differs),
        to_look_at=tuple(map(_row, report.to_look_at[:_MOST_FINDINGS])),
        shown=tuple(_row(each) for each in report.findings if each.shown)[:_MOST_FINDINGS],
        labels=labels[:_MOST_LABELS],
        more_labels=max(0, len(labels) - _MOST_LABELS),
        cells=tuple(f"{each.column}: {each.rows:,}" for each in (train.cells if train else ())[:_MOST_CELLS]),
        cells_of=train.cells_of if train and train.cells_of < train.changed else None,
        notes=tuple(map(why_not, report.notes)),
        problem=why_not(report.problem) if report.problem else "",
    )


def _files(diff: FileDiff) -> str:
    """Which files of a folder differ; empty for one file, and where none does."""
    found = diff.files
    differs = found is not None and (found.added or found.removed or found.changed)
    return sentence("checks", "files", files=found) if differs else ""


def why_not(why: Why) -> str:
    """Why something was not compared or checked, as a sentence."""
    return sentence("checks", f"why/{why.cause}", **why.values)


def _row(finding: Finding) -> FindingRow:
    usual = "" if finding.expected is None else sentence("checks", "usual", expected=finding.expected)
    facts = {"effect": finding.effect, "expected": finding.expected, "usual": usual, "n": finding.n, **finding.values}
    return FindingRow(
        title=sentence("checks", f"title/{finding.check}"),
        columns=finding.columns,
        text=sentence("checks", f"finding/{finding.check}/{finding.cause}", **facts),
        look="" if finding.shown else sentence("checks", f"look/{finding.check}"),
        rows=sentence("checks", "rows", rows=finding.rows, more=finding.more_rows, part=finding.part),
    )


def data_lines(reports: Sequence[DataReport]) -> Iterator[str]:
    """The same for a terminal, a line each."""
    for table in data_tables(reports):
        yield from (sentence("checks", "line/diff", model=table.model, row=row) for row in table.diffs)
        if table.problem:
            yield sentence("checks", "line/problem", model=table.model, problem=table.problem)
        for row in (*table.to_look_at, *table.shown):
            yield sentence("checks", "line/finding", row=row)
        yield from (sentence("checks", "line/note", note=note) for note in table.notes)
