"""The report as people and programs read it: Markdown, terminal, HTML and JSON.

Each is imported when it is asked for, so that a table in a terminal does not wait for the template engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlbot.render.comment import markdown
    from mlbot.render.console import terminal
    from mlbot.render.data import json_text, report_schema
    from mlbot.render.page import html

__all__ = ["html", "json_text", "markdown", "report_schema", "terminal"]


def __getattr__(name: str) -> Any:
    match name:
        case "html":
            return import_module("mlbot.render.page").html
        case "json_text" | "report_schema":
            return getattr(import_module("mlbot.render.data"), name)
        case "markdown":
            return import_module("mlbot.render.comment").markdown
        case "terminal":
            return import_module("mlbot.render.console").terminal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
