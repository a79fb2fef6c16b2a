"""The report as people and programs read it: Markdown, terminal, HTML and JSON."""

from mlbot.render.comment import markdown

__all__ = ["markdown"]
