"""How charts look on light and on dark pages, and the script that draws them in a browser."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NAMES = ("light", "dark")

_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
"""All with the same widths, so that a label drawn here fits where it is shown."""

# baseline, candidate · worse, better, no clear change, too few rows · text, grid · ramp of a heat map. The pairs were
# chosen to be told apart with red-green blindness too: worse is an orange red, better a bluish green.
_COLOURS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "light": {
            "sides": ["#818b98", "#0969da"],
            "readings": ["#cf4a1e", "#1a7f5a", "#57606a", "#c4cad1"],
            "text": "#1f2328",
            "muted": "#59636e",
            "grid": "#e4e8ec",
            "ramp": ["#f6f8fa", "#80b9f7"],
        },
        "dark": {
            "sides": ["#9198a1", "#58a6ff"],
            "readings": ["#f0803c", "#3fb98c", "#9198a1", "#484f58"],
            "text": "#f0f6fc",
            "muted": "#9198a1",
            "grid": "#2a3038",
            "ramp": ["#161b22", "#1f5fb0"],
        },
    }
)


_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def config(theme: str) -> dict[str, Any]:
    """The Vega-Lite configuration of a theme.

    Args:
        theme: `light` or `dark`.
    """
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


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `window.vegaEmbed` and loads nothing."""
    import vl_convert

    return str(vl_convert.javascript_bundle(_SNIPPET))
