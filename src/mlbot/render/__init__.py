"""The report as people and programs read it: Markdown, terminal, HTML and JSON."""

from mlbot.render.comment import markdown
from mlbot.render.console import terminal
from mlbot.render.data import json_text, report_schema
from mlbot.render.page import html
from mlbot.render.trials import trials

__all__ = ["html", "json_text", "markdown", "report_schema", "terminal", "trials"]
