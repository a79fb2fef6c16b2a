"""Charts of candidate against baseline: the change by slice with its interval, and the scatter of the seeds."""

from collections.abc import Callable, Iterable
from typing import Any

from mlbot.core.comparison import Comparison
from mlbot.core.gate import Bound
from mlbot.core.headline import clear_change
from mlbot.core.report import ModelReport, SliceInfo
from mlbot.modeling.plotting_base import HEIGHT, NEUTRAL, SIDES, TICKS, Rows, Use, finished, side_colour, tooltips

_SMALL = "too few rows"
_READINGS = ["worse", "better", "no clear change", _SMALL]
_MOST_SLICES = 40
_MOST_PICTURED = 9
_ROW = 26
_ALL = "all rows"


def slices(model: ModelReport, use: Use) -> Any | None:
    """The change of a metric by slice, with intervals, zero and the margin; of no slices a picture says nothing."""
    import altair as alt

    rows = _slice_rows(model)
    metric = _first_metric(model, (row["metric"] for row in rows))
    if metric is None:
        return None
    if use is Use.PICTURE:
        rows = _worst(_only(rows, metric))
        if len(rows) == 1:
            return None
    names = list(dict.fromkeys(row["slice"] for row in rows))
    base, choosable = _of_one_metric(rows, metric, use)
    marks = base.encode(y=alt.Y("slice:N", sort=names, title=None), color=_reading_colour(rows), tooltip=tooltips(rows))
    axis = alt.Axis(tickCount=TICKS)
    low = alt.X("low:Q", title="Change, with its interval (dashed: the margin)", axis=axis, scale=alt.Scale(padding=6))
    spans = marks.mark_rule(strokeWidth=2.5).encode(x=low, x2="high:Q")
    dots = marks.mark_point(filled=True, size=70, opacity=1).encode(x="change:Q")
    words = f"Change of a metric from baseline to candidate by slice, with intervals; {metric} to begin with"
    height = HEIGHT if use is Use.PICTURE else max(100, _ROW * len(names))
    chart = choosable(alt.layer(*_rulers(model, metric, use), spans, dots))
    return finished(chart, words, use, f"Change of {metric} by slice", height)


def seeds(model: ModelReport, use: Use) -> Any | None:
    """A point for each seed's value of a metric."""
    import altair as alt

    rows = _seed_rows(model)
    metric = _first_metric(model, (row["metric"] for row in rows))
    if metric is None:
        return None
    base, choosable = _of_one_metric(rows, metric, use)
    scale = alt.Scale(zero=False, nice=True, padding=10)
    chart = base.mark_point(size=90, filled=True, opacity=0.8).encode(
        x=alt.X("value:Q", title="Value, a point a seed", scale=scale, axis=alt.Axis(tickCount=TICKS)),
        y=alt.Y("side:N", sort=SIDES, title=None),
        color=side_colour(legend=False),
        tooltip=tooltips(rows),
    )
    words = f"Each seed's value of a metric, baseline and candidate; {metric} to begin with"
    return finished(choosable(chart), words, use, f"{metric} by seed", HEIGHT if use is Use.PICTURE else 110)


def _first_metric(model: ModelReport, available: Iterable[str]) -> str | None:
    """The metric to show first: the one with a margin, else a gated one, else the first."""
    names = list(dict.fromkeys(available))
    gates = [result.gate for result in model.verdict.gates]
    margins = [gate.metric for gate in gates if gate.bound is Bound.MAX_REGRESSION]
    preferred = [*margins, *(gate.metric for gate in gates), *names]
    return next((name for name in preferred if name in names), None)


def _of_one_metric(rows: Rows, metric: str, use: Use) -> tuple[Any, Callable[[Any], Any]]:
    """A chart over the rows of one metric, and what adds the choice of another where somebody can choose."""
    import altair as alt

    if use is Use.PICTURE:
        return alt.Chart(alt.InlineData(values=_only(rows, metric))), lambda chart: chart
    names = list(dict.fromkeys(str(row["metric"]) for row in rows))
    pick = alt.param(name="metric", value=metric, bind=alt.binding_select(options=names, name="Metric "))
    base = alt.Chart(alt.InlineData(values=rows)).transform_filter("datum.metric === metric")
    return base, lambda chart: chart.add_params(pick)


def _worst(rows: Rows) -> Rows:
    """All rows and the slices that changed most for the worse, in their order; what is too small comes last."""
    order = sorted(rows, key=lambda row: (row["slice"] != _ALL, row["reading"] == _SMALL, -row["worse by"]))
    kept = {row["slice"] for row in order[:_MOST_PICTURED]}
    return [row for row in rows if row["slice"] in kept]


def _only(rows: Rows, metric: str) -> Rows:
    return [row for row in rows if row["metric"] == metric]


def _rulers(model: ModelReport, metric: str, use: Use) -> list[Any]:
    """Upright lines: none at all is zero; dashed is the margin, beyond which a change is a regression."""
    import altair as alt

    zero = alt.Chart(alt.InlineData(values=[{"x": 0}])).mark_rule(color=NEUTRAL).encode(x="x:Q")
    margins: Rows = [
        {"metric": each.metric, "x": each.direction.worse * each.margin}
        for each in model.comparisons
        if each.slice is None and each.margin is not None
    ]
    if use is Use.PICTURE:
        margins = _only(margins, metric)
    if not margins:
        return [zero]
    chart = alt.Chart(alt.InlineData(values=margins))
    chart = chart if use is Use.PICTURE else chart.transform_filter("datum.metric === metric")
    return [zero, chart.mark_rule(color=NEUTRAL, strokeDash=[4, 3]).encode(x="x:Q")]


def _reading_colour(rows: Rows) -> Any:
    import altair as alt

    used = {row["reading"] for row in rows}
    legend = alt.Legend(values=[reading for reading in _READINGS if reading in used])
    return alt.Color("reading:N", title=None, scale=alt.Scale(domain=_READINGS, range="ordinal"), legend=legend)


def _slice_rows(model: ModelReport) -> Rows:
    infos = {each.name: each for each in model.slices[:_MOST_SLICES]}
    return [
        {
            "metric": each.metric,
            "slice": each.slice or _ALL,
            "rows": each.rows,
            "change": each.change,
            "low": each.low,
            "high": each.high,
            "worse by": each.direction.worse * each.change,
            "reading": _reading(each, infos),
        }
        for each in model.comparisons
        if each.change is not None and each.low is not None and (each.slice is None or each.slice in infos)
    ]


def _reading(comparison: Comparison, infos: dict[str, SliceInfo]) -> str:
    if comparison.slice is not None and infos[comparison.slice].small:
        return _SMALL
    if not clear_change(comparison) or comparison.change is None:
        return "no clear change"
    return "worse" if comparison.direction.worse * comparison.change > 0 else "better"


def _seed_rows(model: ModelReport) -> Rows:
    return [
        {"metric": score.metric, "side": side, "seed": each.seed, "value": score.value}
        for side, evaluations in zip(SIDES, (model.baseline, model.candidate), strict=True)
        for each in evaluations
        for score in each.scores
        if score.slice is None and score.value is not None
    ]
