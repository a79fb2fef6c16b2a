"""The rows of a report's tables, every figure already written: one view behind the comment, page and terminal."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mlbot.gates.metric import OF_POSITIVES, OPERATIONAL, Bound, Direction, Task, bounds_of
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib import figures
from mlbot.lib.record import Record
from mlbot.lib.templates import sentence
from mlbot.protocol.artifacts import Training
from mlbot.report import words
from mlbot.report.report import History, ModelReport, Notice, NoticeCode, Report, Side, SliceInfo
from mlbot.report.words import clear_change
from mlbot.verdict.verdict import AnchorSide, Comparison, Evaluation, GateResult, ItemSide, Method, Score

_DASH = "\N{EN DASH}"


class SliceCell(Record):
    """One metric on one slice."""

    value: str
    change: str
    clear: bool


class SliceRow(Record):
    """One slice."""

    name: str
    where: str
    rows: str
    positives: str  # `590 positive`; empty where the task knows none
    small: bool
    cells: tuple[SliceCell, ...]


class Column(Record):
    """A metric at the head of a column."""

    metric: str
    arrow: str


class SliceTable(Record):
    """Slices by metrics."""

    columns: tuple[Column, ...]
    rows: tuple[SliceRow, ...]
    left_out: tuple[str, ...]


def slice_table(model: ModelReport, columns: int = 5) -> SliceTable:
    """Slices by metrics, gated metrics first."""
    gated = [result.gate.metric for result in model.verdict.gates]
    named = [info.name for info in model.metrics if not info.name.startswith("gap@")]  # these are of several slices
    order = sorted(named, key=lambda name: gated.index(name) if name in gated else len(gated))
    shown = order[:columns]
    return SliceTable(
        columns=tuple(Column(metric=name, arrow=words.arrow(model.direction(name))) for name in shown),
        rows=tuple(
            SliceRow(
                name=each.name,
                where=each.where,
                rows=figures.count(each.rows),
                positives=_positives(model, each),
                small=each.small,
                cells=tuple(_slice_cell(model, name, each.name) for name in shown),
            )
            for each in (model.slices if _is_scored(model) else ())
        ),
        left_out=tuple(order[columns:]),
    )


def _positives(model: ModelReport, part: SliceInfo) -> str:
    count = model.holdout.slice_positives.get(part.name) if model.holdout else None
    return "" if count is None else words.of_gate("positives", count=count)


def _is_scored(model: ModelReport) -> bool:
    return bool(model.comparisons) or any(evaluation.scores for evaluation in model.candidate)


def _slice_cell(model: ModelReport, metric: str, slice_: str) -> SliceCell:
    comparison = model.comparison(metric, slice_)
    if comparison is not None and comparison.candidate is not None:
        digits = words.places(comparison, comparison.candidate)
        return SliceCell(
            value=figures.number(comparison.candidate, digits),
            change=figures.signed(comparison.change, digits) if comparison.change is not None else "",
            clear=clear_change(comparison),
        )
    score = model.shipped.score(metric, slice_) if model.shipped else None
    return SliceCell(value=figures.number(score.value if score else None), change="", clear=False)


class PartTable(Record):
    """Figures of the shipped file label by label, target by target, by the size of queries or by horizon."""

    title: str
    column: str
    counted: str  # what a part has as many of as its rows say
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[SliceCell, ...]], ...]  # a part's name, its rows and its figures
    left_out: int = 0


def part_table(model: ModelReport) -> PartTable | None:
    """The breakdown of the candidate's figures, each with its change from the baseline; None where there is none."""
    ours, theirs = (model.curves[side].breakdown if side in model.curves else None for side in Side)
    if ours is None:
        return None
    before = {part.name: part.values for part in theirs.parts} if theirs else {}
    none = (None,) * len(ours.metrics)
    rows = tuple(
        (part.name, figures.count(part.rows), _part_cells(ours.metrics, part.values, before.get(part.name, none)))
        for part in ours.parts
    )
    title, column, counted = (words.of_gate(f"part/{ours.by}/{what}") for what in ("title", "column", "rows"))
    facts: dict[str, Any] = {"metrics": ours.metrics, "rows": rows, "left_out": ours.left_out}
    return PartTable(title=title, column=column, counted=counted, **facts)


def _part_cells(
    metrics: tuple[str, ...], now: tuple[float | None, ...], before: tuple[float | None, ...]
) -> tuple[SliceCell, ...]:
    cells = []
    for metric, value, was in zip(metrics, now, before, strict=False):
        # A change gets the value's own places: with four digits of its own it would show what the value does not.
        places = _PLACES_OF_SHARES if bounds_of(metric)[1] <= 1 or not value else figures.decimals(None, value)
        change = figures.signed(value - was, places) if value is not None and was is not None else ""
        cells.append(SliceCell(value=figures.number(value, places), change=change, clear=False))
    return tuple(cells)


_PLACES_OF_SHARES = 3


def seeds(model: ModelReport) -> str:
    """How many seeds each side has."""
    ours, theirs = len(model.candidate), len(model.baseline)
    if (model.items is not None or model.brought) and max(ours, theirs) == 1:
        return ""
    way = "one-side" if not theirs else "alike" if ours == theirs else "different"
    return words.of_gate(f"seeds/{way}", candidate=ours, baseline=theirs)


def decided(model: ModelReport) -> str:
    """By which rule rows got their labels, and what they are weighted by; empty where it is the usual one."""
    holdout = model.holdout
    if holdout is None:
        return ""
    found = []
    if holdout.threshold is not None or holdout.label is not None:
        way = "model" if holdout.label else "threshold"
        values = {"positive": holdout.positive, "threshold": f"{holdout.threshold or 0:g}"}
        found.append(words.of_gate(f"decided/{way}", **values))
    if holdout.weight is not None:
        found.append(words.of_gate("decided/weight", column=holdout.weight))
    return ", ".join(found)


def looks(model: ModelReport) -> str:
    """How many models' figures on these rows were reported; empty where nobody knows, or before the first."""
    found = model.looks
    return words.of_gate("looks", looks=found) if found is not None and found.every else ""


def methods(model: ModelReport) -> str:
    """The tests behind the intervals, each once, in their order of appearance."""
    used = dict.fromkeys(_method(model, each) for each in model.comparisons if each.method is not None)
    bounds = [words.of_gate("items/bounds")] if any(each.bounds for each in model.comparisons) else []
    return "; ".join([*(words.of_gate(f"method/{method}") for method in used), *bounds])


def _method(model: ModelReport, comparison: Comparison) -> str:
    """The test behind an interval; of items that an evaluator asked, which of its tests."""
    if model.items is not None and comparison.method is Method.PAIRED:
        return "groups" if comparison.groups else "items" if comparison.df is not None else "right-or-wrong"
    return str(comparison.method)


class ItemRow(Record):
    """An item that changed."""

    item: str
    baseline: float
    candidate: float
    change: str


class ChangedItems(Record):
    """The items on which one score changed most."""

    metric: str
    most: tuple[ItemRow, ...]


def changed_items(model: ModelReport) -> tuple[ChangedItems, ...]:
    """The items that changed most, for each score that changed on any."""
    changes = model.items.changes if model.items else ()
    return tuple(
        ChangedItems(
            metric=each.metric,
            most=tuple(
                ItemRow(
                    item=item.item,
                    baseline=item.baseline,
                    candidate=item.candidate,
                    change=figures.signed(item.candidate - item.baseline, 3),
                )
                for item in each.most
            ),
        )
        for each in changes
        if each.most
    )


def item_errors(model: ModelReport) -> tuple[tuple[str, ItemSide], ...]:
    """Each side that has rows without a score."""
    items = model.items
    sides = (("candidate", items.candidate), ("baseline", items.baseline)) if items else ()
    return tuple((side, found) for side, found in sides if found is not None and found.errors)


def item_costs(model: ModelReport) -> tuple["FileRow", ...]:
    """Tokens, cost and time of both sides, where the results say them."""
    items = model.items
    if items is None:
        return ()
    sides = items.baseline or ItemSide(), items.candidate
    shown = {"tokens_in": figures.count, "tokens_out": figures.count, "cost": _cost, "latency_ms": figures.milliseconds}
    found = {name: [getattr(side, name) for side in sides] for name in shown}
    return tuple(
        FileRow(
            what=words.of_gate(f"items/{name}"),
            **{
                side: _DASH if value is None else show(round(value) if show is figures.count else value)
                for side, value in zip(("baseline", "candidate"), found[name], strict=True)
            },
        )
        for name, show in shown.items()
        if any(value is not None for value in found[name])
    )


def _cost(value: float) -> str:
    return f"{value:.4g}"


def evaluated_by(model: ModelReport) -> str:
    """The tool that wrote the results, as it calls itself."""
    return " ".join(filter(None, (model.items.tool, model.items.version))) if model.items else ""


def online(model: ModelReport) -> str:
    """What the evaluator was given beyond the artifact; empty for nothing."""
    items = model.items
    return words.of_gate("items/online", secrets=", ".join(items.secrets)) if items and items.network else ""


class FileRow(Record):
    """One property of the file that ships."""

    what: str
    baseline: str
    candidate: str


def file_rows(model: ModelReport) -> tuple[FileRow, ...]:
    """Size, latency, speed and parity of the two files that ship; none of a file that could not be scored."""
    ours = model.shipped
    if ours is None or ours.problem is not None:
        return ()
    theirs = model.baseline[0] if model.baseline else None
    rows = [_file_row("size", _size(theirs), _size(ours))]
    if ours.latency is not None:  # of a predictor there is none
        rows += [_file_row(read, _latency(theirs, read), _latency(ours, read)) for read in ("p50_ms", "p95_ms")]
        rows.append(_file_row("rows_per_s", _speed(theirs), _speed(ours)))
    before, after = _parity(model.baseline_training), _parity(model.candidate_training)
    if before != _DASH or after != _DASH:
        rows.append(_file_row("parity", before, after))
    return tuple(rows)


def _file_row(what: str, baseline: str, candidate: str) -> FileRow:
    return FileRow(what=words.of_gate(f"file/{what}"), baseline=baseline, candidate=candidate)


def _size(evaluation: Evaluation | None) -> str:
    return figures.megabytes(evaluation.size_bytes if evaluation else None)


def _latency(evaluation: Evaluation | None, read: str) -> str:
    return figures.milliseconds(getattr(evaluation.latency, read) if evaluation and evaluation.latency else None)


def _speed(evaluation: Evaluation | None) -> str:
    return figures.count(round(evaluation.latency.rows_per_s)) if evaluation and evaluation.latency else _DASH


def _parity(trainings: tuple[Training, ...]) -> str:
    if not trainings or trainings[0].parity is None:
        return _DASH
    parity = trainings[0].parity
    return words.of_gate("file/parity-value", difference=parity.max_difference, labels=parity.label_disagreements)


class HistoryRow(Record):
    """A metric's past as bars."""

    metric: str
    candidate: bool  # whether the last figure is the candidate's
    bars: str
    first: str
    last: str


def history_rows(model: ModelReport, most: int = 3) -> tuple[HistoryRow, ...]:
    """Past values of a few metrics, the candidate's at the end."""
    return tuple(row for each in model.history[:most] if (row := _history_row(each, model)) is not None)


def _history_row(history: History, model: ModelReport) -> HistoryRow | None:
    score = model.shipped.score(history.metric) if model.shipped else None
    ours = (score.value,) if score and score.value is not None else ()
    values = (*history.values[-30:], *ours)
    if len(values) < 3:
        return None
    digits = figures.decimals(None, values[-1])
    return HistoryRow(
        metric=history.metric,
        candidate=bool(ours),
        bars=figures.sparkline(values),
        first=figures.number(values[0], digits),
        last=figures.number(values[-1], digits),
    )


def parameter(value: bool | float | str | None) -> str:  # noqa: FBT001 - a parameter may be a bool
    """A parameter as YAML would have it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
        case _:
            return str(value)


_ORDER = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Reason.WAIVED, Outcome.PASS)

_QUIET = frozenset(
    {
        NoticeCode.ASKED,
        NoticeCode.BEHIND,
        NoticeCode.DATA_CHANGED,
        NoticeCode.HOLDOUT_IN_REPOSITORY,
        NoticeCode.SLICE_TOO_SMALL,
        NoticeCode.UNVERIFIED_CLAIM,
    }
)
"""What needs no attention unless it warns: other lines of the report show it too."""


def loud(notices: Iterable[Notice]) -> list[Notice]:
    """What a reader has to see, warnings first."""
    shown = [notice for notice in notices if notice.warning or notice.code not in _QUIET]
    return sorted(shown, key=lambda notice: not notice.warning)


def quiet(notices: Iterable[Notice]) -> list[Notice]:
    """What a reader may look up."""
    return [notice for notice in notices if not notice.warning and notice.code in _QUIET]


class GateRow(Record):
    """A gate as people read it."""

    subject: str  # with its kind, where another gate has the same metric and slice
    metric: str
    positive: str  # the class that a metric of the positive rows is about; empty for every other metric
    slice: str | None
    arrow: str
    kind: str  # `minimum`, `drop`, where another gate has the same metric and slice
    baseline: str
    candidate: str
    change: str
    interval: str
    limit: str
    outcome: Outcome
    standing: str  # the outcome, or `waived`
    waiver: WaiverEntry | None
    counts: bool
    sentences: tuple[str, ...]  # what its figures do not show: why, how sharp it is, what would settle it


class GateNote(Record):
    """What is to be said of gates beside their figures: of one, or of all for which it is the same."""

    subjects: tuple[str, ...]  # none where it is said of every gate of the model
    standing: str
    waiver: WaiverEntry | None
    sentences: tuple[str, ...]


class MetricRow(Record):
    """One metric on all rows, or on a slice."""

    metric: str
    arrow: str
    baseline: str
    candidate: str
    change: str
    interval: str
    reading: str  # `better`, `perhaps worse`, `no clear change`, or why there is none
    clear: bool


def gate_rows(model: ModelReport, tested: int = 1) -> tuple[GateRow, ...]:
    """All gates: those that count first, the worst outcome first, what was waived before what passes.

    `tested` is how many margins the verdict tests at once.
    """
    rows = [_gate_row(each, model, tested) for each in _shown(model)]
    return tuple(sorted(rows, key=lambda row: (not row.counts, _ORDER.index(row.standing))))


def _shown(model: ModelReport) -> list[GateResult]:
    """The gates with a row of their own: an anchor that lets pass has a line below them."""
    return [
        each for each in model.verdict.gates if each.gate.bound is not Bound.ANCHOR or each.standing != Outcome.PASS
    ]


class AnchorLine(Record):
    """What a gate comes to beside its anchor."""

    subject: str
    arrow: str
    change: str
    interval: str
    limit: str
    standing: str
    near: bool  # whether it has lost more than one change may, so that a reader should see it


class AnchorBlock(Record):
    """The gates that ask one anchor."""

    since: str
    what: str  # why it is their anchor, and which model it is
    lines: tuple[AnchorLine, ...]

    @property
    def near(self) -> bool:
        """Whether a reader should see it."""
        return any(each.near for each in self.lines)


def anchor_blocks(model: ModelReport, branch: str) -> tuple[AnchorBlock, ...]:
    """The anchors and the gates that ask each; none that could not be asked, which a notice or the gate itself says."""
    blocks = (
        AnchorBlock(
            since=words.since(side.model),
            what=sentence(
                "gates",
                f"anchor/since/{side.model.since}",
                at=f"{branch}@{figures.short(side.model.commit or '')}",
                day=(side.model.judged or "")[:10],
                version=side.model.version or "",
                baseline=side.baseline,
            ),
            lines=tuple(_anchor_line(result, side, model) for result in _asking(model, side)),
        )
        for side in model.anchors
    )
    return tuple(each for each in blocks if each.lines)


def anchor_summary(blocks: Sequence[AnchorBlock]) -> str:
    """All gates that ask an anchor, in a few words: the one that there is, else how many."""
    lines = [(block, line) for block in blocks for line in block.lines]
    block, line = lines[0]
    facts = {"subject": line.subject, "change": line.change, "limit": line.limit, "since": block.since}
    return words.of_gate("anchor/summary", gates=len(lines), **facts)


def _asking(model: ModelReport, side: AnchorSide) -> list[GateResult]:
    found = [each for each in model.verdict.gates if each.gate.bound is Bound.ANCHOR]
    return [each for each in found if each.gate.subject in side.gates and each.value is not None]


def _anchor_line(result: GateResult, side: AnchorSide, model: ModelReport) -> AnchorLine:
    gate = result.gate
    found = side.comparison(gate.metric, gate.slice)
    direction = model.direction(gate.metric)
    figures_ = _compared(found)
    lost = direction.worse * (result.value or 0.0) if direction else 0.0
    margin = found.margin if found and found.margin is not None else gate.limit
    return AnchorLine(
        subject=words.subject(gate),
        arrow=words.arrow(direction),
        change=figures_["change"],
        interval=figures_["interval"],
        limit=words.limit_figure(gate),
        standing=result.standing,
        near=result.standing != Outcome.PASS or lost > margin,
    )


def tested_margins(report: Report) -> int:
    """How many margins the verdict tests at once."""
    gates = (result for model in report.verdict.models for result in model.gates)
    return sum(result.counts and result.gate.bound is Bound.MAX_REGRESSION for result in gates)


def gate_notes(report: Report, model: ModelReport, *, overview: bool = True) -> tuple[GateNote, ...]:
    """What is to be said of the gates that did not pass, each thing once and nothing that is written further up.

    `overview` is whether a list of several models says further up what each of them came to, in full.
    """
    lines = {words.model_line(model)} if overview or len(report.models) == 1 else set()
    above = lines | {words.headline(report).action}
    found: dict[tuple[str, WaiverEntry | None, tuple[str, ...]], list[str]] = {}
    rows = gate_rows(model, tested_margins(report))
    for row in rows:
        sentences = tuple(each for each in row.sentences if each not in above)
        if row.standing != Outcome.PASS and (sentences or row.waiver):
            found.setdefault((row.standing, row.waiver, sentences), []).append(row.subject)
    return tuple(
        GateNote(
            subjects=() if 1 < len(subjects) == len(rows) else tuple(subjects),
            standing=standing,
            waiver=waiver,
            sentences=sentences,
        )
        for (standing, waiver, sentences), subjects in found.items()
    )


def _gate_row(result: GateResult, model: ModelReport, tested: int) -> GateRow:
    gate = result.gate
    direction = model.direction(gate.metric)
    several = [each.gate.subject for each in _shown(model)].count(gate.subject) > 1
    kind = words.kind(gate, direction) if several else ""
    return GateRow(
        subject=words.subject(gate, kind),
        metric=gate.metric,
        positive=_positive(gate.metric, model),
        slice=gate.slice,
        arrow=words.arrow(direction),
        kind=kind,
        **_gate_figures(result, model),
        limit=words.limit(gate, direction),
        outcome=result.outcome,
        standing=result.standing,
        waiver=result.waived.waiver if result.waived else None,
        counts=result.counts,
        sentences=tuple(filter(None, (words.why(result, model), *words.advice(result, model, tested)))),
    )


def _positive(metric: str, model: ModelReport) -> str:
    formula = next((each.of for each in model.metrics if each.name == metric), None) or metric
    of_positives = model.task is Task.BINARY and formula in OF_POSITIVES
    return (model.holdout.positive or "") if of_positives and model.holdout else ""


def _gate_figures(result: GateResult, model: ModelReport) -> dict[str, str]:
    gate = result.gate
    comparison = model.comparison(gate.metric, gate.slice)
    match gate.bound:
        case Bound.MAX_REGRESSION:
            return _compared(comparison)
        case Bound.MAX_EXCESS:
            facts = words.excess_facts(model)
            shown = {"baseline": "own", "candidate": "rate", "change": "excess", "interval": "interval"}
            return {key: str(facts[name]) for key, name in shown.items()}
        case Bound.MAX_RATIO:
            return _in_turn(model)
        case Bound.ANCHOR:
            side = model.anchor(gate.subject)
            return _compared(side.comparison(gate.metric, gate.slice) if side else None)
    before = _baseline_value(result, model)
    digits = words.places(comparison, result.value)
    change = result.value - before if result.value is not None and before is not None else None
    return {
        "baseline": words.value(gate.metric, before, digits),
        "candidate": words.value(gate.metric, result.value, digits),
        "change": _plain_change(gate.metric, change, digits),
        "interval": "",
    }


def _in_turn(model: ModelReport) -> dict[str, str]:
    """The two sides' medians, and how many times the baseline's the candidate's is."""
    theirs = model.baseline[0] if model.baseline else None
    facts = words.ratio_facts(model)
    return {
        "baseline": _latency(theirs, "p50_ms"),
        "candidate": _latency(model.shipped, "p50_ms"),
        "change": words.of_gate("ratio/change", **facts) if model.latency else _DASH,
        "interval": facts["interval"],
    }


def _compared(comparison: Comparison | None) -> dict[str, str]:
    if comparison is None:
        return dict.fromkeys(("baseline", "candidate", "change"), _DASH) | {"interval": ""}
    digits = words.places(comparison, comparison.candidate)
    return {
        "baseline": figures.number(comparison.baseline, digits),
        "candidate": figures.number(comparison.candidate, digits),
        "change": figures.signed(comparison.change, digits),
        "interval": figures.interval(comparison.low, comparison.high, digits),
    }


def _plain_change(metric: str, change: float | None, digits: int) -> str:
    """A difference of two files, which was not tested and so has no interval."""
    if change is None or metric == "negative_flips":
        return ""
    if metric not in OPERATIONAL:
        return figures.signed(change, digits)
    text = words.value(metric, change)
    return f"+{text}" if change > 0 and not text.startswith("0 ") else text


def _baseline_value(result: GateResult, model: ModelReport) -> float | None:
    gate = result.gate
    if result.baseline is not None or not model.baseline:
        return result.baseline
    if gate.metric == "negative_flips":
        return model.flips.excess.baseline if model.flips and model.flips.excess else None
    if gate.metric in OPERATIONAL:
        return _operational(gate.metric, model.baseline[0])
    score = model.baseline[0].score(gate.metric, gate.slice)
    return score.value if score else None


def _operational(metric: str, evaluation: Evaluation) -> float | None:
    match metric:
        case "size_mb":
            return evaluation.size_bytes / 1e6
        case "latency_p50_ms":
            return evaluation.latency.p50_ms if evaluation.latency else None
        case "latency_p95_ms":
            return evaluation.latency.p95_ms if evaluation.latency else None
        case _:
            return None


def metric_rows(model: ModelReport) -> tuple[MetricRow, ...]:
    """Every metric on all rows: compared where there is a baseline, else the shipped file's score."""
    compared = [each for each in model.comparisons if each.slice is None]
    if compared:
        return tuple(compared_row(each) for each in compared)
    scores = model.shipped.scores if model.shipped else ()
    return tuple(_score_row(each, model.direction(each.metric)) for each in scores if each.slice is None)


def production_rows(model: ModelReport) -> tuple[MetricRow, ...]:
    """The file that would ship beside the one in production."""
    return tuple(compared_row(each) for each in model.production.comparisons) if model.production else ()


def production_summary(model: ModelReport) -> str:
    """What those rows come to: `1 of 6 clearly worse, 2 clearly better`."""
    there = [words.reading(each) for each in model.production.comparisons] if model.production else []
    worse, better = there.count(words.Reading.WORSE), there.count(words.Reading.BETTER)
    return words.of_gate("production/summary", rows=len(there), worse=worse, better=better)


def compared(
    model: ModelReport, branch: str, name: Callable[[str], str], commit: Callable[[str], str] = figures.short
) -> str:
    """Whose model the candidate was compared with; `name` escapes a branch for where it is shown."""
    found = model.compared
    if found is None:
        return ""
    guarded = name(branch)
    at = f"{guarded}@{commit(found.commit)}" if found.commit else guarded
    return sentence("comparison", found.source, guarded=guarded, at=at, day=(found.judged or "")[:10])


def production_is(model: ModelReport) -> str:
    """Whose file is in production, where it is one of the report's own."""
    there = model.production
    if there is None:
        return ""
    if model.shipped and model.shipped.digest == there.digest:
        return words.of_gate("production/candidate")
    if model.baseline and model.baseline[0].digest == there.digest:
        return words.of_gate("production/baseline")
    return ""


def compared_row(comparison: Comparison) -> MetricRow:
    """One metric against the baseline; on a slice it is called `metric@slice`."""
    return MetricRow(
        metric=f"{comparison.metric}@{comparison.slice}" if comparison.slice else comparison.metric,
        arrow=words.arrow(comparison.direction),
        **_compared(comparison),
        reading=comparison.problem.detail if comparison.problem else words.written(words.reading(comparison)),
        clear=clear_change(comparison),
    )


def _score_row(score: Score, direction: Direction | None) -> MetricRow:
    half = None if score.low is None or score.high is None else (score.high - score.low) / 2
    digits = figures.decimals(half, score.value)
    span = "" if score.low is None else f"[{figures.number(score.low, digits)}, {figures.number(score.high, digits)}]"
    return MetricRow(
        metric=score.metric,
        arrow=words.arrow(direction),
        baseline=_DASH,
        candidate=figures.number(score.value, digits),
        change="",
        interval=span,
        reading=score.problem.detail if score.problem else words.of_gate("reading/not-compared"),
        clear=False,
    )
