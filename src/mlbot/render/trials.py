"""The comment that lists a pull request's trials, the newest in full."""

from collections.abc import Sequence

from mlbot.core import tables
from mlbot.core.trial_report import TrialResult
from mlbot.render.engine import fill


def trials(results: Sequence[TrialResult], *, marker: str = "", page: str, context: str = "mlbot") -> str:
    """The comment, or the job summary.

    Args:
        results: The trials that are known, the newest first; at least one.
        marker: The last line, by which the bot finds its comment and the results in it.
        page: The pull request's address, for links to the commands.
        context: The name of the status, which a trial leaves alone.
    """
    newest, *earlier = results
    shown = {"written": tables.parameter, "page": page}
    return fill(
        "trial/comment.md.j2",
        result=newest,
        detail=fill("trial/detail.md.j2", result=newest, **shown).strip("\n"),
        earlier=fill("trial/earlier.md.j2", results=earlier, head=newest.head, model=newest.model, **shown).strip("\n")
        if earlier
        else "",
        number=max(each.number for each in results),
        context=context,
        marker=marker,
    )
