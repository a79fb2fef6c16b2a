"""Charts of a report as Vega-Lite specifications, built with Altair and drawn without a browser by vl-convert.

Colours are named by role and come from a theme, so that one specification serves light and dark pages. Each
specification of a page has one view, which the page stretches to its width, and carries its data.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Any

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from mlbot.gates.metric import Bound
from mlbot.report.report import CalibrationBin, Charts, Curves, ModelReport, Point, Report, Side, SliceInfo, Spec
from mlbot.report.words import Reading, reading, written
from mlbot.verdict.verdict import Comparison

Rows = list[dict[str, Any]]  # data of a chart, a dict a mark; the keys are fixed names, never a stranger's
_SIDES = [Side.BASELINE.value, Side.CANDIDATE.value]
_WIDTH, _HEIGHT = 340, 240

_NEUTRAL = "#8b949e"
"""Rulers and diagonals: readable on light and dark ground."""

_TICKS = 6


class Use(Enum):
    """Where a chart stands."""

    PAGE = "page"  # people can point at it and choose
    PICTURE = "picture"  # it is drawn once, so it says itself what it shows


def _chart(rows: Rows) -> Any:
    """A chart of these rows, which Altair copies anew for each step of building it if they are a list."""
    return alt.Chart(alt.InlineData(values=tuple(rows)))


def _tooltips(rows: Rows) -> list[Any]:
    """All fields of the data but the one that only sorts."""
    kinds = {name: "nominal" if isinstance(value, str) else "quantitative" for name, value in rows[0].items()}
    return [alt.Tooltip(field=name, type=kind) for name, kind in kinds.items() if name != "order"]


def _side_colour(*, legend: bool = True) -> Any:
    scale = alt.Scale(domain=_SIDES)
    return alt.Color("side:N", scale=scale, title=None) if legend else alt.Color("side:N", scale=scale, legend=None)


def _toggled(chart: Any, opacity: float, use: Use) -> Any:
    """With a legend on which a click leaves one side alone."""
    if use is Use.PICTURE:
        return chart
    shown = alt.selection_point(name="sides", fields=["side"], bind="legend")
    faded = alt.condition(shown, alt.value(opacity), alt.value(opacity / 10))
    return chart.encode(opacity=faded).add_params(shown).properties(name="toggled")


def _finished(chart: Any, description: str, use: Use, title: str = "", height: int = _HEIGHT) -> Any:
    """With its size and its words: a description for those who cannot see it, a title where the page gives none."""
    sized = chart.properties(width=_WIDTH, height=height, description=description)
    return sized.properties(title=title) if title and use is Use.PICTURE else sized


NAMES = ("light", "dark")

_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
"""All with the same widths, so that a label drawn here fits where it is shown."""

# baseline, candidate · worse, perhaps worse, better, perhaps better, no clear change, too few rows · text, grid · ramp
# of a heat map. The pairs were chosen to be told apart with red-green blindness too: worse is an orange red, better a
# bluish green.
_COLOURS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "light": {
            "sides": ["#818b98", "#0969da"],
            "readings": ["#cf4a1e", "#eaa58e", "#1a7f5a", "#8cc3ae", "#57606a", "#c4cad1"],
            "text": "#1f2328",
            "muted": "#59636e",
            "grid": "#e4e8ec",
            "ramp": ["#f6f8fa", "#80b9f7"],
        },
        "dark": {
            "sides": ["#9198a1", "#58a6ff"],
            "readings": ["#f0803c", "#99623f", "#3fb98c", "#3b7a66", "#9198a1", "#484f58"],
            "text": "#f0f6fc",
            "muted": "#9198a1",
            "grid": "#2a3038",
            "ramp": ["#161b22", "#1f5fb0"],
        },
    }
)

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def config(theme: str) -> dict[str, Any]:
    """The Vega-Lite configuration of a theme, `light` or `dark`."""
    colours = _COLOURS[theme]
    axis = {
        "labelColor": colours["muted"],
        "titleColor": colours["muted"],
        "gridColor": colours["grid"],
        "domainColor": colours["grid"],
        "tickColor": colours["grid"],
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "labelLimit": 160,
    }
    return {
        "background": "transparent",
        "padding": 8,
        "font": _FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisBand": {"grid": False, "labelFontSize": 12, "labelColor": colours["text"]},
        "legend": {
            "labelColor": colours["text"],
            "titleColor": colours["muted"],
            "orient": "top",
            "direction": "horizontal",
            "labelFontSize": 12,
            "symbolStrokeWidth": 3,
        },
        "text": {"color": colours["text"]},
        "title": {"color": colours["text"], "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 8},
        "range": {"category": colours["sides"], "ordinal": colours["readings"], "ramp": colours["ramp"]},
    }


@cache
def script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `window.vegaEmbed` and loads nothing."""
    return str(vl_convert.javascript_bundle(_SNIPPET))


_MOST_CLASSES = 20

_FEW_POINTS = 60  # up to so many, each point is marked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    x: str
    x_title: str
    y: str
    y_title: str
    unit: bool = False  # whether both run from 0 to 1, with the diagonal drawn


def _roc(model: ModelReport, use: Use) -> Any | None:
    axes = _Axes(
        x="false positive rate",
        x_title="False positive rate",
        y="true positive rate",
        y_title="True positive rate",
        unit=True,
    )
    rows = [row for side, curves in _sided(model) for row in _points(side, curves.roc, axes)]
    return _lines(rows, axes, use, "ROC curve: true positive rate against false positive rate", "ROC curve")


def _precision_recall(model: ModelReport, use: Use) -> Any | None:
    axes = _Axes(x="recall", x_title="Recall", y="precision", y_title="Precision")
    rows = [row for side, curves in _sided(model) for row in _points(side, curves.precision_recall, axes)]
    return _lines(rows, axes, use, "Precision against recall", "Precision and recall")


def _calibration(model: ModelReport, use: Use) -> Any | None:
    axes = _Axes(x="predicted", x_title="Predicted probability", y="observed", y_title="Observed share", unit=True)
    rows = [row for side, curves in _sided(model) for row in _binned(side, curves.calibration, axes)]
    words = "Calibration: observed share against predicted probability, in quantile bins"
    return _lines(rows, axes, use, words, "Calibration")


def _residuals(model: ModelReport, use: Use) -> Any | None:
    axes = _Axes(x="predicted", x_title="Prediction", y="mean residual", y_title="Mean residual")
    rows = [row for side, curves in _sided(model) for row in _binned(side, curves.residuals, axes)]
    words = "Mean residual (true minus predicted) against the prediction, in quantile bins"
    return _lines(rows, axes, use, words, "Mean residual by prediction")


def _sided(model: ModelReport) -> Iterator[tuple[str, Curves]]:
    return ((side.value, model.curves[side]) for side in (Side.BASELINE, Side.CANDIDATE) if side in model.curves)


def _points(side: str, points: Iterable[Point], axes: _Axes) -> Rows:
    return [{"side": side, axes.x: x, axes.y: y, "order": index} for index, (x, y) in enumerate(points)]


def _binned(side: str, bins: Iterable[CalibrationBin], axes: _Axes) -> Rows:
    return [
        {"side": side, axes.x: each.predicted, axes.y: each.observed, "rows": each.rows, "order": index}
        for index, each in enumerate(bins)
    ]


def _lines(rows: Rows, axes: _Axes, use: Use, description: str, title: str) -> Any | None:
    if not rows:
        return None
    scale = alt.Scale(domain=[0, 1]) if axes.unit else alt.Scale(zero=False)
    ticks = alt.Axis(tickCount=_TICKS)
    base = _chart(rows).encode(
        x=alt.X(f"{axes.x}:Q", title=axes.x_title, scale=scale, axis=ticks),
        y=alt.Y(f"{axes.y}:Q", title=axes.y_title, scale=scale, axis=ticks),
        color=_side_colour(),
        order=alt.Order("order:Q"),
        tooltip=_tooltips(rows),
    )
    layers = [_diagonal()] if axes.unit else []
    layers.append(_toggled(base.mark_line(strokeWidth=2, clip=True), 1.0, use))
    if len(rows) <= _FEW_POINTS:
        layers.append(base.mark_point(size=36, filled=True, opacity=1))
    return _finished(alt.layer(*layers), f"{description}, baseline and candidate", use, title)


def _diagonal() -> Any:
    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    chart = _chart(ends)
    return chart.mark_line(strokeDash=[4, 4], strokeWidth=1, color=_NEUTRAL).encode(x="x:Q", y="y:Q")


def _residual_histogram(model: ModelReport, use: Use) -> Any | None:
    rows = [
        {"side": side, "from": low, "to": high, "rows": count}
        for side, curves in _sided(model)
        for low, high, count in curves.residual_histogram
    ]
    if not rows:
        return None
    bars = (
        _chart(rows)
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=alt.X("from:Q", title="Residual (true minus predicted)", bin="binned", axis=alt.Axis(tickCount=_TICKS)),
            x2="to:Q",
            y=alt.Y("rows:Q", title="Rows", stack=None),
            color=_side_colour(),
            tooltip=_tooltips(rows),
        )
    )
    words = "Histogram of residuals, baseline and candidate"
    return _finished(_toggled(bars, 0.55, use), words, use, "Residuals")


def _items(model: ModelReport, use: Use) -> Any | None:
    """How far the score of the items that changed went, for the worse and for the better."""
    rows = _item_rows(model)
    metric = _first_metric(model, (row["metric"] for row in rows))
    if metric is None:
        return None
    base, choosable = _of_one_metric(rows, metric, use)
    bars = base.mark_bar(binSpacing=1).encode(
        x=alt.X("from:Q", title="Change of an item's score", bin="binned", axis=alt.Axis(tickCount=_TICKS)),
        x2="to:Q",
        y=alt.Y("items:Q", title="Items"),
        color=_reading_colour(rows),
        tooltip=_tooltips(rows),
    )
    words = f"How many items changed their score by how much, from baseline to candidate; {metric} to begin with"
    return _finished(choosable(bars), words, use, f"Items by change of {metric}")


def _item_rows(model: ModelReport) -> Rows:
    worse = {each.metric: each.direction.worse for each in model.comparisons}
    return [
        {
            "metric": each.metric,
            "from": low,
            "to": high,
            "items": count,
            "reading": written(Reading.WORSE if worse[each.metric] * (low + high) > 0 else Reading.BETTER),
        }
        for each in (model.items.changes if model.items else ())
        for low, high, count in each.histogram
        if each.metric in worse
    ]


_BY = {"label": "Label", "target": "Target", "size": "Rows of the query", "horizon": "Steps ahead"}


def _parts(model: ModelReport, use: Use) -> Any | None:
    """A metric label by label, target by target, by the size of queries or by horizon: the first of each breakdown."""
    rows: Rows = []
    for side, curves in _sided(model):
        found = curves.breakdown
        of = [(part, part.values[0]) for part in found.parts] if found else []
        rows += [
            {"side": side, "part": part.name, "value": value, "rows": part.rows, "order": order}
            for order, (part, value) in enumerate(of)
            if value is not None
        ]
    shown = next((curves.breakdown for _, curves in _sided(model) if curves.breakdown), None)
    if not rows or shown is None:
        return None
    names, metric = [part.name for part in shown.parts], shown.metrics[0]
    named = shown.by in {"label", "target"}
    part = {"sort": names, "title": None if named else _BY[shown.by]}
    value = {"title": metric, "scale": alt.Scale(zero=False, padding=6), "axis": alt.Axis(tickCount=_TICKS)}
    base = _chart(rows).encode(color=_side_colour(), tooltip=_tooltips(rows))
    if named:
        marks = base.encode(x=alt.X("value:Q", **value), y=alt.Y("part:N", **part)).mark_point(filled=True, size=70)
        chart, height = _toggled(marks, 1.0, use), max(100, _ROW * len(names))
    else:
        turned = base.encode(x=alt.X("part:N", axis=alt.Axis(labelAngle=0), **part), y=alt.Y("value:Q", **value))
        line = _toggled(turned.mark_line(strokeWidth=2), 1.0, use)
        chart, height = alt.layer(line, turned.mark_point(filled=True, size=36, opacity=1)), _HEIGHT
    words = f"{metric} by {_BY[shown.by].lower()}, baseline and candidate"
    return _finished(chart, words, use, f"{metric} by {_BY[shown.by].lower()}", height if use is Use.PAGE else _HEIGHT)


def _confusion(model: ModelReport, use: Use) -> Any | None:
    counts = model.curves.get(Side.CANDIDATE, Curves()).confusion
    if not counts or len(counts) > _MOST_CLASSES:
        return None
    names = _class_names(model, len(counts))
    rows = _confusion_rows(counts, names)
    base = _chart(rows).encode(
        x=alt.X("predicted:N", sort=names, title="Predicted class", axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("true:N", sort=names, title="True class"),
        tooltip=_tooltips(rows),
    )
    share = alt.Color("share of class:Q", scale=alt.Scale(domain=[0, 1], range="ramp"), legend=None)
    text = base.mark_text(fontSize=13).encode(text=alt.Text("rows:Q", format=",d"))
    words = "Confusion matrix of the candidate: rows by true and predicted class"
    return _finished(alt.layer(base.mark_rect().encode(color=share), text), words, use, "Confusion of the candidate")


def _confusion_rows(counts: tuple[tuple[float, ...], ...], names: list[str]) -> Rows:
    return [
        {"true": true, "predicted": predicted, "rows": count, "share of class": round(count / (sum(row) or 1), 4)}
        for true, row in zip(names, counts, strict=True)
        for predicted, count in zip(names, row, strict=True)
    ]


def _class_names(model: ModelReport, classes: int) -> list[str]:
    known = model.holdout.classes if model.holdout else ()
    return list(known) if len(known) == classes else [str(index) for index in range(classes)]


_SMALL = "too few rows"
_SHOWS = (Reading.WORSE, Reading.MAYBE_WORSE, Reading.BETTER, Reading.MAYBE_BETTER)
_MOST_SLICES = 40
_MOST_PICTURED = 9
_ROW = 26
_ALL = "all rows"


def _slices(model: ModelReport, use: Use) -> Any | None:
    """The change of a metric by slice, with intervals, zero and the margin; of no slices a picture says nothing."""
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
    marks = base.encode(
        y=alt.Y("slice:N", sort=names, title=None), color=_reading_colour(rows), tooltip=_tooltips(rows)
    )
    axis = alt.Axis(tickCount=_TICKS)
    low = alt.X(
        "low:Q", title="Change, with its interval (upright marks: the margins)", axis=axis, scale=alt.Scale(padding=6)
    )
    spans = marks.mark_rule(strokeWidth=2.5).encode(x=low, x2="high:Q")
    dots = marks.mark_point(filled=True, size=70, opacity=1).encode(x="change:Q")
    words = f"Change of a metric from baseline to candidate by slice, with intervals; {metric} to begin with"
    height = _HEIGHT if use is Use.PICTURE else max(100, _ROW * len(names))
    chart = choosable(alt.layer(*_rulers(model, rows, names, metric, use), spans, dots))
    return _finished(chart, words, use, f"Change of {metric} by slice", height)


def _seeds(model: ModelReport, use: Use) -> Any | None:
    rows = _seed_rows(model)
    metric = _first_metric(model, (row["metric"] for row in rows))
    if metric is None:
        return None
    base, choosable = _of_one_metric(rows, metric, use)
    scale = alt.Scale(zero=False, nice=True, padding=10)
    chart = base.mark_point(size=90, filled=True, opacity=0.8).encode(
        x=alt.X("value:Q", title="Value, a point a seed", scale=scale, axis=alt.Axis(tickCount=_TICKS)),
        y=alt.Y("side:N", sort=_SIDES, title=None),
        color=_side_colour(legend=False),
        tooltip=_tooltips(rows),
    )
    words = f"Each seed's value of a metric, baseline and candidate; {metric} to begin with"
    return _finished(choosable(chart), words, use, f"{metric} by seed", _HEIGHT if use is Use.PICTURE else 110)


def _first_metric(model: ModelReport, available: Iterable[str]) -> str | None:
    """The metric to show first: the one with a margin, else a gated one, else the first."""
    names = list(dict.fromkeys(available))
    gates = [result.gate for result in model.verdict.gates]
    margins = [gate.metric for gate in gates if gate.bound is Bound.MAX_REGRESSION]
    preferred = [*margins, *(gate.metric for gate in gates), *names]
    return next((name for name in preferred if name in names), None)


def _of_one_metric(rows: Rows, metric: str, use: Use) -> tuple[Any, Callable[[Any], Any]]:
    """A chart over the rows of one metric, and what adds the choice of another where somebody can choose."""
    if use is Use.PICTURE:
        return _chart(_only(rows, metric)), lambda chart: chart
    names = list(dict.fromkeys(str(row["metric"]) for row in rows))
    pick = alt.param(name="metric", value=metric, bind=alt.binding_select(options=names, name="Metric "))
    base = _chart(rows).transform_filter("datum.metric === metric")
    return base, lambda chart: chart.add_params(pick)


def _worst(rows: Rows) -> Rows:
    """All rows and the slices that changed most for the worse, in their order; what is too small comes last."""
    order = sorted(rows, key=lambda row: (row["slice"] != _ALL, row["reading"] == _SMALL, -row["worse by"]))
    shown = {row["slice"] for row in order[:_MOST_PICTURED]}
    return [row for row in rows if row["slice"] in shown]


def _only(rows: Rows, metric: str) -> Rows:
    return [row for row in rows if row["metric"] == metric]


def _rulers(model: ModelReport, rows: Rows, names: list[str], metric: str, use: Use) -> list[Any]:
    """An upright line at zero, and on each row that has one a mark at its margin, beyond which it is a regression."""
    zero = _chart([{"x": 0}]).mark_rule(color=_NEUTRAL).encode(x="x:Q")
    shown = {(row["metric"], row["slice"]) for row in rows}
    margins: Rows = [
        {"metric": each.metric, "x": each.direction.worse * each.margin, **({"of": each.slice} if each.slice else {})}
        for each in model.comparisons
        if each.margin is not None and (each.metric, each.slice or _ALL) in shown
    ]
    if use is Use.PICTURE:
        margins = _only(margins, metric)
    whole, parts = ([row for row in margins if ("of" in row) is part] for part in (False, True))
    places = ((whole, alt.YDatum(_ALL)), (parts, alt.Y("of:N", sort=names, title=None)))
    return [zero, *(_margin_marks(rows, y, use) for rows, y in places if rows)]


def _margin_marks(margins: Rows, y: Any, use: Use) -> Any:
    chart = _chart(margins)
    chart = chart if use is Use.PICTURE else chart.transform_filter("datum.metric === metric")
    return chart.mark_tick(color=_NEUTRAL, thickness=2, size=_ROW * 0.7).encode(x="x:Q", y=y)


def _reading_colour(rows: Rows) -> Any:
    used = {row["reading"] for row in rows}
    every = [*map(written, (*_SHOWS, Reading.UNCLEAR)), _SMALL]
    legend = alt.Legend(values=[reading for reading in every if reading in used])
    return alt.Color("reading:N", title=None, scale=alt.Scale(domain=every, range="ordinal"), legend=legend)


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
    """As the tables read it. With one seed nobody knows; and few rows are an excuse only where nothing shows."""
    found = reading(comparison)
    if found in _SHOWS:
        return written(found)
    return _SMALL if comparison.slice is not None and infos[comparison.slice].small else written(Reading.UNCLEAR)


def _seed_rows(model: ModelReport) -> Rows:
    return [
        {"metric": score.metric, "side": side, "seed": each.seed, "value": score.value}
        for side, evaluations in zip(_SIDES, (model.baseline, model.candidate), strict=True)
        for each in evaluations
        for score in each.scores
        if score.slice is None and score.value is not None
    ]


_BESIDE = ("items", "parts", "roc", "calibration", "residuals", "seeds")


def charts(report: Report) -> Charts | None:
    """Everything a page needs to draw a report; None where it has nothing to draw."""
    specs = {model.model: chart_specs(model) for model in report.models}
    if not any(specs.values()):  # bundling the script takes seconds
        return None
    return Charts(specs=specs, themes={name: config(name) for name in NAMES}, script=script())


def chart_specs(model: ModelReport) -> dict[str, Spec]:
    """A specification for each chart that this model's report has data for, by name, in the order to show them."""
    with debug_mode(False):  # tests validate what is made; here that would take longer than to make it
        made = {name: make(model, Use.PAGE) for name, make in _MAKERS.items()}
        return {name: _spec(chart) for name, chart in made.items() if chart is not None}


def picture_spec(model: ModelReport) -> Spec | None:
    """The charts of a comment, side by side: the changes by slice and one curve, without slices two curves."""
    with debug_mode(False):
        made = (_MAKERS[name](model, Use.PICTURE) for name in ("slices", *_BESIDE))
        chosen = [_spec(chart) for chart in islice((chart for chart in made if chart is not None), 2)]
    return _beside(chosen) if chosen else None


def _beside(specs: Sequence[Spec]) -> Spec:
    """Specifications side by side; Altair would copy each of them several times."""
    shared = ("$schema", "datasets")
    return {
        "$schema": specs[0]["$schema"],
        "hconcat": [{key: value for key, value in spec.items() if key not in shared} for spec in specs],
        "spacing": 36,
        "resolve": {"scale": {"color": "independent"}},
        "datasets": {name: rows for spec in specs for name, rows in spec["datasets"].items()},
    }


def svg(spec: Spec, theme: str) -> str:
    """A specification drawn as SVG in a theme, `light` or `dark`."""
    return str(vl_convert.vegalite_to_svg(spec, config=config(theme)))


def _spec(chart: Any) -> Spec:
    """As plain data; Altair's own theme is left out, the page has one."""
    return {key: value for key, value in chart.to_dict(validate=False).items() if key != "config"}


_MAKERS: Mapping[str, Callable[[ModelReport, Use], Any | None]] = MappingProxyType(
    {
        "slices": _slices,
        "seeds": _seeds,
        "items": _items,
        "parts": _parts,
        "roc": _roc,
        "precision_recall": _precision_recall,
        "calibration": _calibration,
        "confusion": _confusion,
        "residuals": _residuals,
        "residual_histogram": _residual_histogram,
    }
)
