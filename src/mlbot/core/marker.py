"""The hidden line by which the bot knows its own comment again."""

from urllib.parse import quote


def marker(workflow: str, config: str, kind: str = "report") -> str:
    """An HTML comment that names a report.

    Args:
        workflow: Path of the workflow file, so that two workflows of a repository keep a comment each.
        config: Path of the configuration, likewise.
        kind: What the comment is; a trial keeps one of its own, so that it never hides the verdict.

    Returns:
        A line that holds no character which could end the comment, whatever the names are.
    """
    return f"<!-- mlbot:{_safe(kind)} workflow={_safe(workflow)} config={_safe(config)} -->"


def _safe(name: str) -> str:
    return quote(name, safe="/.").replace("-", "%2D")
