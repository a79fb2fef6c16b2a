"""Charts of a report as Vega-Lite specifications, built with Altair and drawn without a browser by vl-convert.

Colours are named by role and come from a theme, so that one specification serves light and dark pages. Each
specification of a page has one view, which the page stretches to its width, and carries its data.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mlbot.core.chart import Charts, Spec
from mlbot.core.report import ModelReport, Report
from mlbot.modeling import plotting_changes, plotting_curves, plotting_themes
from mlbot.modeling.plotting_base import Use

_BESIDE = ("roc", "calibration", "residuals", "seeds")


def charts(report: Report) -> Charts:
    """Everything a page needs to draw a report."""
    return Charts(
        specs={model.model: chart_specs(model) for model in report.models},
        themes={name: plotting_themes.config(name) for name in plotting_themes.NAMES},
        script=plotting_themes.script(),
    )


def chart_specs(model: ModelReport) -> dict[str, Spec]:
    """A specification for each chart that this model's report has data for, by name, in the order to show them."""
    made = {name: make(model, Use.PAGE) for name, make in _MAKERS.items()}
    return {name: _spec(chart) for name, chart in made.items() if chart is not None}


def picture_spec(model: ModelReport) -> Spec | None:
    """The charts that stand in a comment: the changes by slice and one curve beside them, without slices two curves.

    Returns:
        One specification with the views side by side; None where there is nothing to draw.
    """
    import altair as alt

    made = (_MAKERS[name](model, Use.PICTURE) for name in ("slices", *_BESIDE))
    chosen = [chart for chart in made if chart is not None][:2]
    return _spec(alt.hconcat(*chosen, spacing=36).resolve_scale(color="independent")) if chosen else None


def svg(spec: Spec, theme: str) -> str:
    """A specification drawn as SVG.

    Args:
        spec: The specification.
        theme: `light` or `dark`.
    """
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, config=plotting_themes.config(theme)))


def _spec(chart: Any) -> Spec:
    """As plain data; Altair's own theme is left out, the page has one."""
    return {key: value for key, value in chart.to_dict().items() if key != "config"}


_MAKERS: Mapping[str, Callable[[ModelReport, Use], Any | None]] = MappingProxyType(
    {
        "slices": plotting_changes.slices,
        "seeds": plotting_changes.seeds,
        "roc": plotting_curves.roc,
        "precision_recall": plotting_curves.precision_recall,
        "calibration": plotting_curves.calibration,
        "confusion": plotting_curves.confusion,
        "residuals": plotting_curves.residuals,
        "residual_histogram": plotting_curves.residual_histogram,
    }
)
