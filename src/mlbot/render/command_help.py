"""The answer to `/mlbot help` as GitHub Markdown."""

from mlbot.core.command_help import CommandHelp
from mlbot.render.engine import fill


def help_text(found: CommandHelp) -> str:
    """The list of commands with the repository's names; well below a comment's limit."""
    return fill("command/help.md.j2", help=found).strip("\n")
