"""Charts as data: what the plots make, and what the renderers place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlbot.lib.record import Record

Spec = dict[str, Any]
"""A Vega-Lite specification; its colours come from a theme, so that one spec serves light and dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """All charts of a report, and what draws them in a browser."""

    specs: Mapping[str, Mapping[str, Spec]]
    """By model, then by the chart's name."""
    themes: Mapping[str, Spec]
    """A Vega configuration for `light` and one for `dark`."""
    script: str
    """JavaScript that draws a spec, with all it needs."""


class Picture(Record):
    """A chart that is already drawn and can be fetched, for light and for dark pages."""

    light: str
    """Address of the picture."""
    dark: str
    alt: str
