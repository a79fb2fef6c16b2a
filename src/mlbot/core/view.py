"""The rows of a report's tables, every figure already written: one view behind the comment, page and terminal."""

from mlbot.core import figures, phrase
from mlbot.core.comparison import Comparison, Method
from mlbot.core.evaluation import Evaluation, Score
from mlbot.core.gate import Bound, GateResult
from mlbot.core.headline import clear_change
from mlbot.core.metric import OPERATIONAL, Direction
from mlbot.core.outcome import Outcome
from mlbot.core.record import Record
from mlbot.core.report import ModelReport

_ORDER = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
_DASH = "\N{EN DASH}"


class GateRow(Record):
    """A gate as people read it."""

    subject: str
    metric: str
    slice: str | None
    arrow: str
    baseline: str
    candidate: str
    change: str
    interval: str
    limit: str
    outcome: Outcome
    counts: bool
    finding: str
    settle: str
    detectable: str
    detail: str


class MetricRow(Record):
    """One metric on all rows."""

    metric: str
    arrow: str
    baseline: str
    candidate: str
    change: str
    interval: str
    reading: str
    """`better`, `worse`, `no clear change`, or why there is none."""
    clear: bool


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
    """Metrics that did not fit."""


def gate_rows(model: ModelReport) -> tuple[GateRow, ...]:
    """All gates: those that decide first, then by outcome, else in the config's order."""
    rows = [_gate_row(result, model) for result in model.verdict.gates]
    return tuple(sorted(rows, key=lambda row: (row.outcome is Outcome.PASS, not row.counts, _ORDER.index(row.outcome))))


def _gate_row(result: GateResult, model: ModelReport) -> GateRow:
    gate = result.gate
    direction = model.direction(gate.metric)
    return GateRow(
        subject=phrase.subject(gate),
        metric=gate.metric,
        slice=gate.slice,
        arrow=phrase.arrow(direction),
        **_gate_figures(result, model),
        limit=phrase.limit(gate, direction),
        outcome=result.outcome,
        counts=result.counts,
        finding=phrase.finding(result, model),
        settle=phrase.settle(result, model),
        detectable=phrase.detectable(model.comparison(gate.metric, gate.slice))
        if result.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}
        else "",
        detail=result.detail,
    )


def _gate_figures(result: GateResult, model: ModelReport) -> dict[str, str]:
    gate = result.gate
    comparison = model.comparison(gate.metric, gate.slice)
    if gate.bound is Bound.MAX_REGRESSION:
        return _compared(comparison)
    before = _baseline_value(result, model)
    digits = phrase.places(comparison, result.value)
    change = result.value - before if result.value is not None and before is not None else None
    return {
        "baseline": phrase.value(gate.metric, before, digits),
        "candidate": phrase.value(gate.metric, result.value, digits),
        "change": _plain_change(gate.metric, change, digits),
        "interval": "",
    }


def _compared(comparison: Comparison | None) -> dict[str, str]:
    if comparison is None:
        return dict.fromkeys(("baseline", "candidate", "change"), _DASH) | {"interval": ""}
    digits = phrase.places(comparison, comparison.candidate)
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
    text = phrase.value(metric, change)
    return f"+{text}" if change > 0 and not text.startswith("0 ") else text


def _baseline_value(result: GateResult, model: ModelReport) -> float | None:
    gate = result.gate
    if result.baseline is not None or not model.baseline:
        return result.baseline
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
        return tuple(_metric_row(each) for each in compared)
    scores = model.shipped.scores if model.shipped else ()
    return tuple(_score_row(each, model.direction(each.metric)) for each in scores if each.slice is None)


def _metric_row(comparison: Comparison) -> MetricRow:
    return MetricRow(
        metric=comparison.metric,
        arrow=phrase.arrow(comparison.direction),
        **_compared(comparison),
        reading=_reading(comparison),
        clear=clear_change(comparison),
    )


def _reading(comparison: Comparison) -> str:
    if comparison.problem is not None:
        return comparison.problem.detail
    if comparison.method is Method.IDENTICAL:
        return "identical"
    if not clear_change(comparison) or comparison.change is None:
        return "no clear change"
    return "worse" if comparison.direction.worse * comparison.change > 0 else "better"


def _score_row(score: Score, direction: Direction | None) -> MetricRow:
    half = None if score.low is None or score.high is None else (score.high - score.low) / 2
    digits = figures.decimals(half, score.value)
    span = "" if score.low is None else f"[{figures.number(score.low, digits)}, {figures.number(score.high, digits)}]"
    return MetricRow(
        metric=score.metric,
        arrow=phrase.arrow(direction),
        baseline=_DASH,
        candidate=figures.number(score.value, digits),
        change="",
        interval=span,
        reading=score.problem.detail if score.problem else "not compared",
        clear=False,
    )


def slice_table(model: ModelReport, columns: int = 5) -> SliceTable:
    """Slices by metrics, gated metrics first.

    Args:
        model: The model.
        columns: How many metrics fit; the others are named in `left_out`.
    """
    gated = [result.gate.metric for result in model.verdict.gates]
    named = [info.name for info in model.metrics]
    order = sorted(named, key=lambda name: gated.index(name) if name in gated else len(gated))
    shown = order[:columns]
    return SliceTable(
        columns=tuple(Column(metric=name, arrow=phrase.arrow(model.direction(name))) for name in shown),
        rows=tuple(
            SliceRow(
                name=each.name,
                where=each.where,
                rows=figures.count(each.rows),
                small=each.small,
                cells=tuple(_slice_cell(model, name, each.name) for name in shown),
            )
            for each in model.slices
        ),
        left_out=tuple(order[columns:]),
    )


def _slice_cell(model: ModelReport, metric: str, slice_: str) -> SliceCell:
    comparison = model.comparison(metric, slice_)
    if comparison is not None and comparison.candidate is not None:
        digits = phrase.places(comparison, comparison.candidate)
        return SliceCell(
            value=figures.number(comparison.candidate, digits),
            change=figures.signed(comparison.change, digits) if comparison.change is not None else "",
            clear=clear_change(comparison),
        )
    score = model.shipped.score(metric, slice_) if model.shipped else None
    return SliceCell(value=figures.number(score.value if score else None), change="", clear=False)


def seeds(model: ModelReport) -> str:
    """How many seeds stand on each side."""
    ours, theirs = len(model.candidate), len(model.baseline)
    if not theirs:
        return figures.plural(ours, "seed")
    if ours == theirs:
        return f"{figures.plural(ours, 'seed')} each side"
    return f"{figures.plural(ours, 'candidate seed')}, {figures.plural(theirs, 'baseline seed')}"


_METHODS = {
    Method.RECIPE: "recipe test (rows and seeds vary)",
    Method.BORROWED: "recipe test, the seed variance borrowed from the baseline",
    Method.PAIRED: "paired test of the two files (only rows vary)",
    Method.IDENTICAL: "no test needed: both sides predict the same",
    Method.SEED_VARIANCE_UNKNOWN: "interval of the two files alone, the seed variance is unknown",
}


def methods(model: ModelReport) -> str:
    """The tests behind the intervals, each once, in their order of appearance."""
    used = dict.fromkeys(each.method for each in model.comparisons if each.method is not None)
    return "; ".join(_METHODS[method] for method in used)
