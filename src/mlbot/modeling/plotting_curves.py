"""Charts of what one side's predictions look like: ROC, precision and recall, calibration, confusion, residuals."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mlbot.core.report import CalibrationBin, Curves, ModelReport, Point, Side
from mlbot.modeling.plotting_base import NEUTRAL, TICKS, Rows, Use, finished, side_colour, toggled, tooltips

_MOST_CLASSES = 20
_FEW_POINTS = 60
"""Up to so many, each point is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """Field and title of both axes."""

    x: str
    x_title: str
    y: str
    y_title: str
    unit: bool = False
    """Whether both run from 0 to 1, with the diagonal drawn."""


def roc(model: ModelReport, use: Use) -> Any | None:
    """True positive rate against false positive rate."""
    axes = _Axes(
        x="false positive rate",
        x_title="False positive rate",
        y="true positive rate",
        y_title="True positive rate",
        unit=True,
    )
    rows = [row for side, curves in _sided(model) for row in _points(side, curves.roc, axes)]
    return _lines(rows, axes, use, "ROC curve: true positive rate against false positive rate", "ROC curve")


def precision_recall(model: ModelReport, use: Use) -> Any | None:
    """Precision against recall."""
    axes = _Axes(x="recall", x_title="Recall", y="precision", y_title="Precision")
    rows = [row for side, curves in _sided(model) for row in _points(side, curves.precision_recall, axes)]
    return _lines(rows, axes, use, "Precision against recall", "Precision and recall")


def calibration(model: ModelReport, use: Use) -> Any | None:
    """Observed against predicted share."""
    axes = _Axes(x="predicted", x_title="Predicted probability", y="observed", y_title="Observed share", unit=True)
    rows = [row for side, curves in _sided(model) for row in _binned(side, curves.calibration, axes)]
    words = "Calibration: observed share against predicted probability, in quantile bins"
    return _lines(rows, axes, use, words, "Calibration")


def residuals(model: ModelReport, use: Use) -> Any | None:
    """Mean residual against prediction."""
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
    import altair as alt

    if not rows:
        return None
    scale = alt.Scale(domain=[0, 1]) if axes.unit else alt.Scale(zero=False)
    ticks = alt.Axis(tickCount=TICKS)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(f"{axes.x}:Q", title=axes.x_title, scale=scale, axis=ticks),
        y=alt.Y(f"{axes.y}:Q", title=axes.y_title, scale=scale, axis=ticks),
        color=side_colour(),
        order=alt.Order("order:Q"),
        tooltip=tooltips(rows),
    )
    layers = [_diagonal()] if axes.unit else []
    layers.append(toggled(base.mark_line(strokeWidth=2, clip=True), 1.0, use))
    if len(rows) <= _FEW_POINTS:
        layers.append(base.mark_point(size=36, filled=True, opacity=1))
    return finished(alt.layer(*layers), f"{description}, baseline and candidate", use, title)


def _diagonal() -> Any:
    import altair as alt

    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    chart = alt.Chart(alt.InlineData(values=ends))
    return chart.mark_line(strokeDash=[4, 4], strokeWidth=1, color=NEUTRAL).encode(x="x:Q", y="y:Q")


def residual_histogram(model: ModelReport, use: Use) -> Any | None:
    """How many rows have which residual."""
    import altair as alt

    rows = [
        {"side": side, "from": low, "to": high, "rows": count}
        for side, curves in _sided(model)
        for low, high, count in curves.residual_histogram
    ]
    if not rows:
        return None
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=alt.X("from:Q", title="Residual (true minus predicted)", bin="binned", axis=alt.Axis(tickCount=TICKS)),
            x2="to:Q",
            y=alt.Y("rows:Q", title="Rows", stack=None),
            color=side_colour(),
            tooltip=tooltips(rows),
        )
    )
    words = "Histogram of residuals, baseline and candidate"
    return finished(toggled(bars, 0.55, use), words, use, "Residuals")


def confusion(model: ModelReport, use: Use) -> Any | None:
    """The candidate's rows by true and predicted class; none for more classes than can be read."""
    import altair as alt

    counts = model.curves.get(Side.CANDIDATE, Curves()).confusion
    if not counts or len(counts) > _MOST_CLASSES:
        return None
    names = _class_names(model, len(counts))
    rows = _confusion_rows(counts, names)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("predicted:N", sort=names, title="Predicted class", axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("true:N", sort=names, title="True class"),
        tooltip=tooltips(rows),
    )
    share = alt.Color("share of class:Q", scale=alt.Scale(domain=[0, 1], range="ramp"), legend=None)
    text = base.mark_text(fontSize=13).encode(text=alt.Text("rows:Q", format=",d"))
    words = "Confusion matrix of the candidate: rows by true and predicted class"
    return finished(alt.layer(base.mark_rect().encode(color=share), text), words, use, "Confusion of the candidate")


def _confusion_rows(counts: tuple[tuple[int, ...], ...], names: list[str]) -> Rows:
    return [
        {"true": true, "predicted": predicted, "rows": count, "share of class": round(count / max(1, sum(row)), 4)}
        for true, row in zip(names, counts, strict=True)
        for predicted, count in zip(names, row, strict=True)
    ]


def _class_names(model: ModelReport, classes: int) -> list[str]:
    known = model.holdout.classes if model.holdout else ()
    return list(known) if len(known) == classes else [str(index) for index in range(classes)]
