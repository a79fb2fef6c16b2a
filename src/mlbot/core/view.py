"""The rows of a report's tables, every figure already written: one view behind the comment, page and terminal."""

from collections.abc import Iterable

from mlbot.core import figures, phrase
from mlbot.core.comparison import Comparison, Method
from mlbot.core.evaluation import Evaluation, Score
from mlbot.core.gate import Bound, GateResult
from mlbot.core.headline import clear_change
from mlbot.core.ledger_records import WaiverEntry
from mlbot.core.metric import OPERATIONAL, Direction
from mlbot.core.outcome import Outcome, Reason
from mlbot.core.record import Record
from mlbot.core.report import ModelReport, Notice, NoticeCode
from mlbot.core.waiver import unwaived

_ORDER = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Reason.WAIVED, Outcome.PASS)
_DASH = "\N{EN DASH}"


_QUIET = frozenset(
    {
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
    standing: str
    """The outcome, or `waived`."""
    waiver: WaiverEntry | None
    counts: bool
    remark: str
    """What it found, to be read after the subject."""
    settle: str
    detectable: str
    detail: str


class MetricRow(Record):
    """One metric on all rows, or on a slice."""

    metric: str
    arrow: str
    baseline: str
    candidate: str
    change: str
    interval: str
    reading: str
    """`better`, `worse`, `no clear change`, or why there is none."""
    clear: bool


def gate_rows(model: ModelReport) -> tuple[GateRow, ...]:
    """All gates: those that count first, the worst outcome first, what was waived before what passes."""
    rows = [_gate_row(result, model) for result in model.verdict.gates]
    return tuple(sorted(rows, key=lambda row: (not row.counts, _ORDER.index(row.standing))))


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
        standing=result.standing,
        waiver=result.waived.waiver if result.waived else None,
        counts=result.counts,
        remark=phrase.finding(unwaived(result), model).removeprefix(phrase.subject(gate)),
        settle=phrase.settle(result, model),
        detectable=phrase.detectable(model.comparison(gate.metric, gate.slice))
        if result.counts
        and gate.bound is Bound.MAX_REGRESSION
        and result.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}
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
        return tuple(compared_row(each) for each in compared)
    scores = model.shipped.scores if model.shipped else ()
    return tuple(_score_row(each, model.direction(each.metric)) for each in scores if each.slice is None)


def production_rows(model: ModelReport) -> tuple[MetricRow, ...]:
    """The file that would ship beside the one in production."""
    return tuple(compared_row(each) for each in model.production.comparisons) if model.production else ()


def production_summary(model: ModelReport) -> str:
    """What those rows come to: `1 of 6 clearly worse, 2 clearly better`."""
    rows = production_rows(model)
    counts = [(reading, sum(row.reading == reading for row in rows)) for reading in ("worse", "better")]
    said = ", ".join(f"{count} of {len(rows)} clearly {reading}" for reading, count in counts if count)
    return said or "no clear change"


def production_is(model: ModelReport) -> str:
    """Whose file is in production, where it is one of the report's own."""
    there = model.production
    if there is None:
        return ""
    if model.shipped and model.shipped.digest == there.digest:
        return "the candidate itself"
    if model.baseline and model.baseline[0].digest == there.digest:
        return "the baseline"
    return ""


def compared_row(comparison: Comparison) -> MetricRow:
    """One metric against the baseline; on a slice it is called `metric@slice`."""
    return MetricRow(
        metric=f"{comparison.metric}@{comparison.slice}" if comparison.slice else comparison.metric,
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
