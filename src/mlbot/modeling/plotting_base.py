"""What all charts share: sizes, the two sides, tooltips and the legend that hides a side."""

from enum import Enum
from typing import Any

from mlbot.core.report import Side

Rows = list[dict[str, Any]]
"""Data of a chart, a dict a mark; the keys are fixed names, never a stranger's."""

SIDES = [Side.BASELINE.value, Side.CANDIDATE.value]
WIDTH, HEIGHT = 340, 240
NEUTRAL = "#8b949e"
"""Rulers and diagonals: readable on light and dark ground."""

TICKS = 6


class Use(Enum):
    """Where a chart stands."""

    PAGE = "page"
    """People can point at it and choose."""
    PICTURE = "picture"
    """It is drawn once, so it says itself what it shows."""


def tooltips(rows: Rows) -> list[Any]:
    """All fields of the data but the one that only sorts."""
    import altair as alt

    kinds = {name: "nominal" if isinstance(value, str) else "quantitative" for name, value in rows[0].items()}
    return [alt.Tooltip(field=name, type=kind) for name, kind in kinds.items() if name != "order"]


def side_colour(*, legend: bool = True) -> Any:
    """The colour of a side, from the theme."""
    import altair as alt

    scale = alt.Scale(domain=SIDES)
    return alt.Color("side:N", scale=scale, title=None) if legend else alt.Color("side:N", scale=scale, legend=None)


def toggled(chart: Any, opacity: float, use: Use) -> Any:
    """With a legend on which a click leaves one side alone."""
    import altair as alt

    if use is Use.PICTURE:
        return chart
    shown = alt.selection_point(name="sides", fields=["side"], bind="legend")
    faded = alt.condition(shown, alt.value(opacity), alt.value(opacity / 10))
    return chart.encode(opacity=faded).add_params(shown).properties(name="toggled")


def finished(chart: Any, description: str, use: Use, title: str = "", height: int = HEIGHT) -> Any:
    """With its size and its words: a description for those who cannot see it, a title where the page gives none."""
    sized = chart.properties(width=WIDTH, height=height, description=description)
    return sized.properties(title=title) if title and use is Use.PICTURE else sized
