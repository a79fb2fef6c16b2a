"""The rest of a report's tables: slices, the model file, history, and how the intervals came about."""

from mlbot.core import figures, phrase
from mlbot.core.comparison import Method
from mlbot.core.evaluation import Evaluation
from mlbot.core.headline import clear_change
from mlbot.core.record import Record
from mlbot.core.report import History, ModelReport
from mlbot.core.training import Training

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
            for each in (model.slices if _is_scored(model) else ())
        ),
        left_out=tuple(order[columns:]),
    )


def _is_scored(model: ModelReport) -> bool:
    return bool(model.comparisons) or any(evaluation.scores for evaluation in model.candidate)


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
    rows = [FileRow(what="Size", baseline=_size(theirs), candidate=_size(ours))]
    for what, read in (("Latency, median", "p50_ms"), ("Latency, 95 % of requests below", "p95_ms")):
        rows.append(FileRow(what=what, baseline=_latency(theirs, read), candidate=_latency(ours, read)))
    rows.append(FileRow(what="Rows a second, in one batch", baseline=_speed(theirs), candidate=_speed(ours)))
    before, after = _parity(model.baseline_training), _parity(model.candidate_training)
    if before != _DASH or after != _DASH:
        rows.append(FileRow(what="Largest difference from the fitted estimator", baseline=before, candidate=after))
    return tuple(rows)


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
    labels = f", {figures.plural(parity.label_disagreements, 'label')} differ" if parity.label_disagreements else ""
    return f"{parity.max_difference:.2g}{labels}"


class HistoryRow(Record):
    """A metric's past as bars."""

    metric: str
    candidate: bool
    """Whether the last figure is the candidate's."""
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
