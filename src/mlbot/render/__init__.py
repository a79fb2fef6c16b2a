"""The report as people and programs read it: Markdown, terminal, HTML and JSON."""

from mlbot.render.comment import markdown
from mlbot.render.page import html

__all__ = ["html", "markdown"]
