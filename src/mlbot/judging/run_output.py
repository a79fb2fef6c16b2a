"""Hand a report out: to the terminal, as JSON, as files."""

from dataclasses import dataclass
from pathlib import Path

from mlbot.console import Console
from mlbot.errors import Exit, UsageError
from mlbot.gates.outcome import Outcome
from mlbot.report.report import Report

EXITS = {
    Outcome.PASS: Exit.OK,
    Outcome.FAIL: Exit.FAILED,
    Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE,
    Outcome.ERROR: Exit.NOT_EVALUATED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Where a report goes besides the terminal.

    Attributes:
        as_json: print JSON instead of text.
        html: a file for the web page.
        markdown: a file for the comment.
    """

    as_json: bool = False
    html: Path | None = None
    markdown: Path | None = None

    def check(self) -> None:
        """Find out before hours of training, not after, that a file cannot be written.

        Raises:
            UsageError: a file's folder is not there.
        """
        for path in (self.html, self.markdown):
            if path is not None and not path.absolute().parent.is_dir():
                raise UsageError("There is no such folder.", where=str(path.parent), hint=f"mkdir -p {path.parent}")


def hand_out(report: Report, outputs: Outputs, console: Console) -> Exit:
    """Print and write a report.

    Returns:
        The exit code that the verdict stands for.
    """
    from mlbot.report.markdown import markdown
    from mlbot.report.report import json_text
    from mlbot.report.terminal import terminal

    if outputs.html:
        write_page(report, outputs.html)
        console.say(f"The report as a page: {outputs.html}")
    if outputs.markdown:
        outputs.markdown.write_text(markdown(report), encoding="utf-8")
        console.say(f"The report as a comment: {outputs.markdown}")
    if outputs.as_json:
        console.result(json_text(report))
    else:
        console.result(terminal(report, console.color, console.width))
    return EXITS[report.verdict.outcome]


def write_page(report: Report, path: Path) -> None:
    """Write the self-contained web page."""
    from mlbot.ml.plots import charts
    from mlbot.report.page import html

    path.write_text(html(report, charts(report)), encoding="utf-8")
