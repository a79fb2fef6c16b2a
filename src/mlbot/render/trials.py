"""The comment that lists a pull request's trials, the newest in full."""

from collections.abc import Iterator, Sequence

from mlbot.core import tables
from mlbot.core.trial_report import TrialResult, results_line
from mlbot.render.comment import LIMIT, len16
from mlbot.render.engine import fill

_MOST_METRICS = 40
_MOST_FAILING = 5


def trials(
    results: Sequence[TrialResult], *, marker: str = "", page: str, context: str = "mlbot", limit: int = LIMIT
) -> str:
    """The comment, or the job summary.

    Args:
        results: The trials that are known, the newest first; at least one.
        marker: What the last line starts with, by which the bot finds its comment; the results follow it. Empty: no
            such line.
        page: The pull request's address, for links to the commands.
        context: The name of the status, which a trial leaves alone.
        limit: The most characters (UTF-16 units).

    Returns:
        Markdown that is never longer than `limit`: the oldest trials are left out first, then what is long of the
        newest.
    """
    total, text = max(each.number for each in results), ""
    for kept in _shorter(results):
        text = _text(kept, total, results_line(marker, kept) if marker else "", page, context)
        if len16(text) <= limit:
            break
    return text


def _shorter(results: Sequence[TrialResult]) -> Iterator[Sequence[TrialResult]]:
    """The results, then fewer and fewer of them, then less and less of the newest."""
    for count in range(len(results), 0, -1):
        yield results[:count]
    newest = results[0].model_copy(update={"diff": "", "log_tail": ()})
    yield (newest,)
    yield (newest.model_copy(update={"metrics": newest.metrics[:_MOST_METRICS], "failing": newest.failing[:1]}),)
    yield (newest.model_copy(update={"metrics": (), "failing": (), "params": newest.params[:1]}),)


def _text(results: Sequence[TrialResult], total: int, line: str, page: str, context: str) -> str:
    newest, *earlier = results
    shown = {"written": tables.parameter, "page": page}
    table = fill("trial/earlier.md.j2", results=earlier, head=newest.head, model=newest.model, **shown)
    return fill(
        "trial/comment.md.j2",
        result=newest,
        detail=fill("trial/detail.md.j2", result=newest, most=_MOST_FAILING, **shown).strip("\n"),
        earlier=table.strip("\n") if earlier else "",
        number=total,
        context=context,
        marker=line,
    )
