"""The report for a terminal, in colour or not, at any width."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mlbot.gates.outcome import Outcome, Reason
from mlbot.lib.escape import clean, clean_keeping_indent
from mlbot.lib.templates import sentence
from mlbot.lib.terminal import GAP, INDENT, Cell, Pen, cells
from mlbot.report import tables, words
from mlbot.report.data import data_lines
from mlbot.report.notices import label
from mlbot.report.report import ModelReport, Notice, Report
from mlbot.report.words import by_severity, headline, is_never_judged, model_line

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _MAGENTA = "1", "2", "31", "32", "33", "35"

_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        Outcome.PASS: _GREEN,
        Reason.WAIVED: _YELLOW,
        Outcome.FAIL: _RED,
        Outcome.INCONCLUSIVE: _YELLOW,
        Outcome.ERROR: _MAGENTA,
    }
)

_SIGNS: Mapping[str, str] = MappingProxyType(
    {Outcome.PASS: "✓", Reason.WAIVED: "~", Outcome.FAIL: "✗", Outcome.INCONCLUSIVE: "?", Outcome.ERROR: "!"}
)

_NARROWEST = 40


def terminal(report: Report, color: bool, width: int = 100, *, brief: bool = False) -> str:  # noqa: FBT001
    """The report as text of so many columns; brief leaves out what is below the gates."""
    pen = Pen(color, max(width, _NARROWEST))
    blocks = [_head(report, pen), *_notices(report.notices, pen)]
    if len(report.models) > 1:
        blocks.append(_overview(report, pen))
    blocks.append("\n".join(pen.wrap(clean(line), "", INDENT) for line in data_lines(report.data)))
    several = len(report.models) > 1
    for model in by_severity(report.models):
        blocks.extend(_model(report, model, pen, brief=brief or (several and model.verdict.standing == Outcome.PASS)))
    if report.unchanged:
        blocks.append(pen.wrap(_say("unchanged", names=", ".join(map(clean, report.unchanged))), ""))
    blocks.extend(_notes(report.notices, pen))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _say(path: str, **values: Any) -> str:
    return sentence("terminal", path, **values)


def _titles(table: str, **values: Any) -> list[str]:
    """The titles of a table's columns."""
    return _say(f"head/{table}", **values).split(" | ")


def _head(report: Report, pen: Pen) -> str:
    found = headline(report)
    outcome = Outcome.INCONCLUSIVE if is_never_judged(report) else report.verdict.standing
    style = f"{_BOLD};{_COLOURS[outcome]}"
    lines = pen.wrap(clean(found.text), f"{_SIGNS[outcome]} ", INDENT).split("\n")
    painted = "\n".join(pen.paint(line, style) for line in lines)
    return f"{painted}\n{pen.wrap(clean(found.action))}" if found.action else painted


def _notices(notices: Sequence[Notice], pen: Pen) -> Iterator[str]:
    if shown := tables.loud(notices):
        yield "\n".join(_notice(notice, pen, _YELLOW if notice.warning else "") for notice in shown)


def _notes(notices: Sequence[Notice], pen: Pen) -> Iterator[str]:
    if shown := tables.quiet(notices):
        yield "\n".join(_notice(notice, pen, _DIM) for notice in shown)


def _notice(notice: Notice, pen: Pen, style: str) -> str:
    name = f"{label(notice.code)}. " if label(notice.code) else ""
    return pen.paint(pen.wrap(name + clean(notice.text), "! " if notice.warning else "- ", INDENT), style)


def _overview(report: Report, pen: Pen) -> str:
    names = max(cells(model.model) for model in report.models)
    room = max(_NARROWEST // 2, pen.width - names - len("! inconclusive") - len(INDENT) - 2 * GAP)
    rows = [
        [_outcome(model.verdict.standing), Cell(clean(model.model), _BOLD), Cell(clean(model_line(model), room))]
        for model in by_severity(report.models)
    ]
    return pen.table(_titles("overview"), rows, expendable=(2,))


def _outcome(outcome: str, *, counts: bool = True) -> Cell:
    return Cell(f"{_SIGNS[outcome]} {outcome if counts else _say('shown-only')}", _COLOURS[outcome] if counts else _DIM)


def _model(report: Report, model: ModelReport, pen: Pen, *, brief: bool) -> Iterator[str]:
    yield _facts(report, model, pen)
    yield from _notices(model.notices, pen)
    yield from _gates(report, model, pen)
    yield from _anchors(report, model, pen, brief=brief)
    if brief:
        return
    yield from _failures(model, pen)
    if model.flips:
        yield pen.wrap(_say("flips", flips=model.flips))
    if model.items:
        most = [item for each in tables.changed_items(model)[:1] for item in each.most]
        errors, given = tables.item_errors(model), tables.online(model)
        if listed := _say("items", items=model.items, errors=errors, most=most, online=given).strip():
            yield pen.wrap(listed)
    yield from _metrics(tables.metric_rows(model), "baseline", pen)
    yield from _production(model, pen)
    yield from _slices(model, pen)
    yield from _notes(model.notices, pen)


def _facts(report: Report, model: ModelReport, pen: Pen) -> str:
    commits = report.verdict.commits
    facts = _say(
        "facts",
        commits=commits,
        compared=tables.compared(model, commits.guarded, clean),
        holdout=model.holdout,
        items=model.items,
        seeds=tables.seeds(model) if model.candidate else "",
        decided=clean(tables.decided(model)),
        looks=tables.looks(model),
        production=model.production,
        production_is=tables.production_is(model),
    )
    return f"{pen.paint(clean(model.model), _BOLD)}\n{pen.wrap(facts)}"


def _gates(report: Report, model: ModelReport, pen: Pen) -> Iterator[str]:
    rows = tables.gate_rows(model)
    if any(row.outcome is not Outcome.ERROR for row in rows):
        yield pen.table(_titles("gates"), [_gate(row) for row in rows], expendable=(4, 1, 3, 5))
        if methods := tables.methods(model):
            yield pen.paint(pen.wrap(_say("intervals", methods=methods)), _DIM)
    if notes := tables.gate_notes(report, model, overview=False):
        yield "\n".join(_note(note, pen) for note in notes)
    if model.verdict.waived:
        why = clean(words.waived_by(model.verdict.waived.waiver))
        yield pen.wrap(f"{_say('removed')} {why}", f"{INDENT}{_SIGNS[Reason.WAIVED]} ", INDENT * 2)


def _anchors(report: Report, model: ModelReport, pen: Pen, *, brief: bool) -> Iterator[str]:
    """A line for each gate that asks an anchor; where little room is, for those alone that a reader should see."""
    blocks = tables.anchor_blocks(model, report.verdict.commits.guarded)
    lines = [
        pen.paint(
            pen.wrap(_say("anchor", line=line, since=clean(block.since)), f"{_SIGNS[line.standing]} ", INDENT),
            _COLOURS[line.standing] if line.near else _DIM,
        )
        for block in blocks
        for line in block.lines
        if line.near or not brief
    ]
    if lines:
        yield "\n".join(lines)


def _gate(row: tables.GateRow) -> list[Cell]:
    style = "" if row.counts else _DIM
    return [
        Cell(f"{clean(row.subject, 60)} {row.arrow}".rstrip(), style),
        Cell(row.baseline, style, right=True),
        Cell(row.candidate, f"{_BOLD};{_COLOURS[row.outcome]}" if row.outcome is Outcome.FAIL else style, right=True),
        Cell(row.change, style, right=True),
        Cell(row.interval, _DIM),
        Cell(row.limit, style),
        _outcome(row.standing, counts=row.counts),
    ]


def _note(note: tables.GateNote, pen: Pen) -> str:
    waived = (clean(words.waived_by(note.waiver)),) if note.waiver else ()
    subjects = (f"{clean(', '.join(note.subjects))}:",) if note.subjects else ()
    texts = (*subjects, *map(clean, note.sentences), *waived)
    return pen.wrap(" ".join(texts), f"{INDENT}{_SIGNS[note.standing]} ", INDENT * 2)


def _failures(model: ModelReport, pen: Pen) -> Iterator[str]:
    for failure in model.failures[:3]:
        lines = [f"{INDENT}| {clean_keeping_indent(line)}" for line in failure.log_tail[-20:]]
        yield "\n".join([pen.wrap(_say("failure", failure=failure)), *lines])


def _production(model: ModelReport, pen: Pen) -> Iterator[str]:
    there = model.production
    if there is None or not (there.comparisons or there.problem):
        return
    if there.problem:
        yield pen.wrap(_say("not-compared", there=there))
    else:
        yield pen.wrap(_say("beside", there=there, summary=tables.production_summary(model)))
        yield from _metrics(tables.production_rows(model), clean(there.version, 20), pen)


def _metrics(rows: Sequence[tables.MetricRow], other: str, pen: Pen) -> Iterator[str]:
    if rows:
        yield pen.table(_titles("metrics", other=other), [_metric(row) for row in rows], expendable=(4, 1, 3, 5))


def _metric(row: tables.MetricRow) -> list[Cell]:
    return [
        Cell(f"{clean(row.metric, 60)} {row.arrow}"),
        Cell(row.baseline, right=True),
        Cell(row.candidate, right=True),
        Cell(row.change, right=True),
        Cell(row.interval, _DIM),
        Cell(clean(row.reading, 60), {"worse": _RED, "better": _GREEN}.get(row.reading, _DIM)),
    ]


def _slices(model: ModelReport, pen: Pen) -> Iterator[str]:
    table = tables.slice_table(model, columns=4)
    if not (table.rows and table.columns and model.candidate):
        return
    head = (*_titles("slices"), *(f"{clean(column.metric, 40)} {column.arrow}" for column in table.columns))
    rows = [
        [
            Cell(clean(row.name) + (_say("small") if row.small else ""), style),
            Cell(row.rows, style, right=True),
            *(_slice(cell, style) for cell in row.cells),
        ]
        for row in table.rows
        for style in (_DIM if row.small else "",)
    ]
    yield pen.table(head, rows, expendable=tuple(range(len(head) - 1, 2, -1)))


def _slice(cell: tables.SliceCell, style: str) -> Cell:
    text = f"{cell.value} ({cell.change})" if cell.change else cell.value
    return Cell(text, style or (_BOLD if cell.clear else ""), right=True)
