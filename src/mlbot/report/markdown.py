"""The report as GitHub Markdown, cut section by section to GitHub's limit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from pydantic import ValidationError

from mlbot.commands.command import MODEL
from mlbot.commands.retrain import Retrain
from mlbot.commands.waive import Waive
from mlbot.events.github import RunnerTime
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib import escape, figures
from mlbot.lib.record import Record, Sha
from mlbot.lib.templates import fill
from mlbot.report import tables, words
from mlbot.report.data import data_tables
from mlbot.report.notices import label
from mlbot.report.report import AttemptCost, Curves, ModelReport, Notice, Picture, Report, Side
from mlbot.report.words import by_severity, headline, model_line
from mlbot.verdict.decide import DELETED, may_be_waived

ICONS: Mapping[str, str] = MappingProxyType(
    {Outcome.ERROR: "🛑", Outcome.FAIL: "❌", Outcome.INCONCLUSIVE: "⚠️", Reason.WAIVED: "✍️", Outcome.PASS: "✅"}
)
"""By what a gate or a model comes to, the worst first."""

_MOST_GATES = 20

_MOST_NOTICES = 20

_MOST_CLASSES = 12


def facts(report: Report, model: ModelReport, *, heading: bool) -> str:
    """What was compared with what, on which rows."""

    def commit(sha: str) -> str:
        shown = f"`{figures.short(sha)}`"
        return f"[{shown}]({escape.url(report.repository_url)}/commit/{sha})" if report.repository_url else shown

    return fill(
        "comment/facts.md.j2",
        report=report,
        model=model,
        heading=heading,
        commit=commit,
        compared=tables.compared(model, report.verdict.commits.guarded, escape.code, commit),
        seeds=tables.seeds(model),
        decided=tables.decided(model),
        looks=tables.looks(model),
        production_is=tables.production_is(model),
        icons=ICONS,
    )


def notices(found: Sequence[Notice]) -> str:
    """What a reader has to see besides."""
    shown = tables.loud(found)[:_MOST_NOTICES]
    return fill("comment/notices.md.j2", notices=shown, label=label) if shown else ""


def notes(found: Sequence[Notice]) -> str:
    """What a reader may look up, folded."""
    shown = tables.quiet(found)[:_MOST_NOTICES]
    return fill("comment/notes.md.j2", notices=shown, label=label) if shown else ""


def gates(model: ModelReport, rows: Sequence[tables.GateRow]) -> str:
    """The gate table; where no gate could be evaluated, a sentence in its place."""
    evaluated = any(row.outcome is not Outcome.ERROR for row in rows)
    passing = [number for number, row in enumerate(rows) if row.standing == Outcome.PASS]
    left_out = passing[max(0, _MOST_GATES - len(rows) + len(passing)) :]
    shown = [row for number, row in enumerate(rows) if number not in left_out]
    shipped = model.shipped
    return fill(
        "comment/gates.md.j2",
        rows=shown if evaluated else (),
        gates=len(rows),
        more=len(left_out),
        digest=figures.short(shipped.digest) if shipped and shipped.digest else "none",
        seed=shipped.seed if shipped else 0,
        seeds=tables.seeds(model) or not model.candidate,
        methods=tables.methods(model),
        icons=ICONS,
    )


def anchors(report: Report, model: ModelReport) -> str:
    """What gates come to beside the earlier models that they ask too; folded where no loss is near what is allowed."""
    blocks = tables.anchor_blocks(model, report.verdict.commits.guarded)
    if not blocks:
        return ""
    near = any(each.near for each in blocks)
    return fill("comment/anchors.md.j2", blocks=blocks, near=near, summary=tables.anchor_summary(blocks), icons=ICONS)


def reasons(report: Report, model: ModelReport) -> str:
    """What the gates' figures do not show: why, what would settle it, who answered for it."""
    notes = tables.gate_notes(report, model)
    removal = model.verdict.waived.waiver if model.verdict.waived else None
    if not notes and not removal:
        return ""
    return fill(
        "comment/reasons.md.j2",
        notes=notes[:_MOST_GATES],
        removal=removal,
        icons=ICONS,
        waived_by=words.waived_by,
        waived_at=partial(waived_at, report),
    )


def waived_at(report: Report, waiver: WaiverEntry) -> str:
    """Where somebody let something pass; empty where that is not known."""
    if not (report.repository_url and waiver.pull_request and waiver.comment):
        return ""
    return f"{report.repository_url}/pull/{waiver.pull_request}#issuecomment-{waiver.comment}"


def failures(model: ModelReport) -> str:
    """The last lines of trainings that left no model."""
    if not model.failures:
        return ""
    return fill("comment/failures.md.j2", failures=model.failures[:3], line=model_line(model))


def flips(model: ModelReport) -> str:
    """Rows that the baseline gets right and the candidate wrong."""
    return fill("comment/flips.md.j2", flips=model.flips) if model.flips else ""


def items(model: ModelReport) -> str:
    """On how many items of an evaluation scores changed, which rows have none, and what it was given."""
    found = model.items
    if found is None:
        return ""
    return fill(
        "comment/items.md.j2",
        items=found,
        tool=tables.evaluated_by(model),
        errors=tables.item_errors(model),
        online=tables.online(model),
    )


def changed_items(model: ModelReport) -> str:
    """The items that changed most, and what asking them took."""
    changes, costs = tables.changed_items(model), tables.item_costs(model)
    return fill("comment/changed.md.j2", changes=changes, costs=costs) if changes or costs else ""


def metrics(model: ModelReport) -> str:
    """Every metric on all rows."""
    rows = tables.metric_rows(model)
    return fill("comment/metrics.md.j2", rows=rows) if rows else ""


def production(model: ModelReport) -> str:
    """The file that would ship beside the one in production, or why nobody knows."""
    if model.production is None or not (model.production.comparisons or model.production.problem):
        return ""
    return fill(
        "comment/production.md.j2",
        production=model.production,
        rows=tables.production_rows(model),
        summary=tables.production_summary(model),
        items=model.items is not None,
    )


def slices(model: ModelReport) -> str:
    """Metrics by slice."""
    table = tables.slice_table(model)
    return fill("comment/slices.md.j2", table=table) if table.rows and table.columns and model.candidate else ""


def parts(model: ModelReport) -> str:
    """Figures label by label, target by target, by the size of queries or by horizon."""
    table = tables.part_table(model)
    return fill("comment/parts.md.j2", table=table) if table else ""


def calibration(model: ModelReport) -> str:
    """Calibration error and confusion matrix of the file that ships."""
    errors, found = calibration_errors(model), confusion(model)
    if not errors and not found:
        return ""
    names = [name for name, _ in found]
    weight = model.holdout.weight if model.holdout else None
    return fill("comment/calibration.md.j2", errors=errors, confusion=found, classes=names, weight=weight)


def calibration_errors(model: ModelReport) -> list[tuple[str, float]]:
    """The expected calibration error of each side that has one."""
    return [
        (side.value, curves.expected_calibration_error)
        for side in Side
        if (curves := model.curves.get(side)) and curves.expected_calibration_error is not None
    ]


def _class_names(model: ModelReport) -> tuple[str, ...]:
    ours = model.curves.get(Side.CANDIDATE, Curves()).confusion
    known = model.holdout.classes if model.holdout else ()
    return known if len(known) == len(ours) else tuple(str(index) for index in range(len(ours)))


def confusion(model: ModelReport) -> list[tuple[str, list[dict[str, str]]]]:
    """The candidate's confusion matrix by class, each cell with its change; empty for too many classes to read."""
    ours = model.curves.get(Side.CANDIDATE, Curves()).confusion
    theirs = model.curves.get(Side.BASELINE, Curves()).confusion
    if not ours or len(ours) > _MOST_CLASSES:
        return []
    before = theirs if len(theirs) == len(ours) else ours
    return [
        (name, [_cell(now, then) for now, then in zip(row, past, strict=True)])
        for name, row, past in zip(_class_names(model), ours, before, strict=True)
    ]


def _cell(now: float, then: float) -> dict[str, str]:
    places = 0 if isinstance(now, int) else 1  # rows by their weights are no whole numbers
    return {"count": figures.number(now, places), "change": figures.signed(now - then, places) if now != then else ""}


def file(model: ModelReport) -> str:
    """Size, latency and parity of the file that ships."""
    rows = tables.file_rows(model)
    timed = model.shipped is not None and model.shipped.latency is not None
    return fill("comment/file.md.j2", rows=rows, timed=timed, evaluated=model.items is not None) if rows else ""


def changes(model: ModelReport) -> str:
    """Why it was trained again, and what differs."""
    if not (model.stale_reasons or model.data_changes or model.param_changes):
        return ""
    return fill("comment/changes.md.j2", model=model, written=tables.parameter)


def training(model: ModelReport) -> str:
    """What the trainings cost, and what they claimed."""
    ours = model.candidate_training
    if not ours:
        return ""
    both = [*(("candidate", each) for each in ours), *(("baseline", each) for each in model.baseline_training)]
    return fill(
        "comment/training.md.j2",
        trainings=[each for each in both if not each[1].origin][:20],
        brought=[each for each in both if each[1].origin][:2],
        total=sum(each.duration_s for each in ours),
        memory=max(each.peak_memory_bytes for each in ours),
    )


def history(report: Report, model: ModelReport) -> str:
    """A metric's past on the guarded branch, with the candidate at its end."""
    rows = tables.history_rows(model)
    return fill("comment/history.md.j2", history=rows, guarded=report.verdict.commits.guarded) if rows else ""


LIMIT = 65_536  # GitHub's longest comment, in characters (more is refused with 422)
_MOST_MODELS = 100

_ALERTS: Mapping[str, str] = {
    Outcome.PASS: "TIP",
    Reason.WAIVED: "WARNING",
    Outcome.FAIL: "CAUTION",
    Outcome.INCONCLUSIVE: "WARNING",
    Outcome.ERROR: "IMPORTANT",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """A piece of the comment that stands or falls whole."""

    name: str  # what the line about cuts calls it
    text: str
    rank: int  # the higher, the sooner it is left out; 0 never


def markdown(
    report: Report, *, marker: str = "", pictures: Mapping[str, Picture] = MappingProxyType({}), limit: int = LIMIT
) -> str:
    """The whole comment, or the job summary: never longer than `limit`, and what was left out is said.

    `marker` is the hidden line by which the bot finds its comment; the limit, at least 16,384, is of UTF-16 units, the
    strictest way to count.
    """
    found = list(_sections(report, pictures))
    frame = _frame(report, marker, limit)
    left_out = _least_needed(found, len16(frame(found, ())) - limit)
    while len16(text := frame(shown := _without(found, left_out), left_out)) > limit:
        more = _least_needed(shown, 1)
        if not more:
            break
        left_out.extend(more)
    return text


def _without(found: Sequence[Section], left_out: Sequence[Section]) -> list[Section]:
    gone = set(left_out)
    return [section for section in found if section not in gone]


def _least_needed(found: Sequence[Section], excess: int) -> list[Section]:
    """The sections to leave out so that at least `excess` characters go, the least needed first, the last of them."""
    chosen: list[Section] = []
    order = sorted(enumerate(found), key=lambda pair: (pair[1].rank, pair[0]), reverse=True)
    for _, section in order:
        if excess <= 0 or not section.rank:
            break
        chosen.append(section)
        excess -= len16(section.text)
    return chosen


def len16(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def _frame(report: Report, marker: str, limit: int) -> Callable[[Sequence[Section], Sequence[Section]], str]:
    offered = offers(report)

    def build(shown: Sequence[Section], left_out: Sequence[Section]) -> str:
        return fill(
            "comment.md.j2",
            report=report,
            sections=[section.text.strip("\n") for section in shown],
            left_out=_names(left_out),
            limit=limit,
            marker=marker,
            offers=offered,
        )

    return build


def _names(left_out: Sequence[Section]) -> list[str]:
    """Each kind of section once, with how often it was left out."""
    counts: dict[str, int] = {}
    for section in left_out:
        counts[section.name] = counts.get(section.name, 0) + 1
    return [name if times == 1 else f"{name} of {times} models" for name, times in counts.items()]


def _sections(report: Report, pictures: Mapping[str, Picture]) -> Iterator[Section]:
    yield Section(name="verdict", text=_alert(report), rank=0)
    several = len(report.models) > 1
    if several:
        yield Section(name="overview", text=_overview(report), rank=2)
    if text := notices(report.notices):
        yield Section(name="notices", text=text, rank=1)
    yield from _data(report, to_look_at=True)
    for model in by_severity(report.models):
        if several and model.verdict.standing == Outcome.PASS:
            yield Section(name="models that pass", text=_folded(report, model), rank=6)
        else:
            yield from _model(report, model, pictures.get(model.model), heading=several)
    yield from _data(report, to_look_at=False)
    if report.unchanged:
        names = report.unchanged
        text = fill("comment/unchanged.md.j2", unchanged=names[:30], more=max(0, len(names) - 30))
        yield Section(name="models not judged", text=text, rank=5)
    if report.cost is not None:
        yield Section(name="cost", text=fill("comment/cost.md.j2", cost=report.cost, times=times(report.cost)), rank=12)
    if text := notes(report.notices):
        yield Section(name="notes", text=text, rank=12)


_MOST_RUNNERS = 10


def times(cost: AttemptCost) -> list[tuple[str, RunnerTime]]:
    """The times on each kind of runner, and which job it was."""
    both = (("training", cost.training), ("judging", cost.judging))
    return [(what, each) for what, found in both for each in found[:_MOST_RUNNERS]]


def _data(report: Report, *, to_look_at: bool) -> Iterator[Section]:
    """What a change does to data; where somebody should look at it, before what is said of the models."""
    several = len(report.data) > 1
    for table in data_tables(report.data):
        if bool(table.to_look_at or table.problem) is to_look_at:
            changes = [change for row in table.diffs for change in row.diff.columns][:_MOST_COLUMNS]
            text = fill("comment/data.md.j2", table=table, several=several, schema=changes)
            yield Section(name="data", text=text, rank=4 if to_look_at else 8)


_MOST_COLUMNS = 30


def _alert(report: Report) -> str:
    quiet = report.trial or report.verdict.reason is Reason.NOTHING_STALE
    alert = "NOTE" if quiet else _ALERTS[report.verdict.standing]
    return fill("comment/alert.md.j2", alert=alert, headline=headline(report))


def _overview(report: Report) -> str:
    models = by_severity(report.models)
    return fill(
        "comment/overview.md.j2",
        models=models[:_MOST_MODELS],
        more=max(0, len(models) - _MOST_MODELS),
        lines={model.model: model_line(model) for model in models[:_MOST_MODELS]},
        icons=ICONS,
    )


def _model(report: Report, model: ModelReport, picture: Picture | None, *, heading: bool) -> Iterator[Section]:
    rows = tables.gate_rows(model)
    order: tuple[tuple[str, int, str], ...] = (
        ("facts", 1, facts(report, model, heading=heading)),
        ("notices", 2, notices(model.notices)),
        ("gates", 3, gates(model, rows)),
        ("reasons", 3, reasons(report, model)),
        ("losses since earlier models", 4, anchors(report, model)),
        ("training logs", 4, failures(model)),
        ("negative flips", 4, flips(model)),
        ("items", 4, items(model)),
        ("changed items", 9, changed_items(model)),
        ("all metrics", 7, metrics(model)),
        ("production", 7, production(model)),
        ("slices", 8, slices(model)),
        ("parts", 8, parts(model)),
        ("calibration", 11, calibration(model)),
        ("model file", 10, file(model)),
        ("changes", 9, changes(model)),
        ("training", 12, training(model)),
        ("notes", 12, notes(model.notices)),
        ("chart", 5, fill("comment/chart.md.j2", picture=picture, folded=heading) if picture else ""),
        ("history", 11, history(report, model)),
    )
    yield from (Section(name=name, text=text, rank=rank) for name, rank, text in order if text)


def _folded(report: Report, model: ModelReport) -> str:
    pieces = [section.text for section in _model(report, model, None, heading=False) if section.rank < 9]
    return fill("comment/model.md.j2", model=model, line=model_line(model), sections=pieces, icons=ICONS)


class Offers(Record):
    """Commands as a person would write them: nothing but letters, digits and `/.:@=_"…-` is in them."""

    retrain: str
    trial: str | None = None  # with the name of a parameter and its value left to the reader
    waive: str | None = None  # for the first gate that a person may answer for, with the reason left to the reader


def offers(report: Report) -> Offers | None:
    """What may be said about a verdict; None where there is nowhere to say it.

    A fork's head can be replaced while a person writes, so there every command about it names the commit.
    """
    if report.pull_request is None:
        return None
    sha = report.verdict.commits.head if report.fork else None
    models = by_severity(report.models)
    return Offers(
        retrain=Retrain(sha=sha).text,
        trial=_trial(models[0], sha) if models else None,
        waive=None if report.trial else next((notice for model in models if (notice := _waive(model))), None),
    )


def _trial(model: ModelReport, sha: Sha | None) -> str:
    return " ".join(filter(None, (f"/retrain {_name(model)} PARAMETER=VALUE", sha)))


def _name(model: ModelReport) -> str:
    """A model's name as a command has it; the usage's word for one that no config could have."""
    try:
        return Retrain(models=(model.model,)).text.partition(" ")[2]
    except ValidationError:
        return MODEL.usage


def _waive(model: ModelReport) -> str | None:
    verdict = model.verdict
    found = next((each for each in verdict.gates if may_be_waived(each)), None)
    gate = DELETED if verdict.reason is Reason.MODEL_DELETED else found.gate.name if found else None
    if gate is None:
        return None
    try:
        return Waive(model=model.model, gate=gate, reason="…").text
    except ValidationError:
        return Waive.usage()
