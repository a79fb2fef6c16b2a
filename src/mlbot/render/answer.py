"""The bot's answer to a comment, as GitHub Markdown."""

from collections.abc import Sequence

from mlbot.core.command_status import StatusView
from mlbot.core.reply import Decision, Reason, Reply
from mlbot.render import escape
from mlbot.render.engine import fill

_WAITS = "⏳"
_DONE = "✅"
_REFUSED = "⛔"
_TOLD = "💬"


def answer(
    replies: Sequence[Reply], sections: Sequence[str], *, marker: str, run_url: str, working: bool = False
) -> str:
    """The comment.

    Args:
        replies: one for each command.
        sections: what stands under each of them; empty for nothing.
        marker: the last line, with the records.
        run_url: the job that answers.
        working: whether the effects are still to come.
    """

    def icon(decision: Decision) -> str:
        if decision.refused:
            return _REFUSED
        if decision.reason in {Reason.STATUS, Reason.HELP}:
            return _TOLD
        return _WAITS if working else _DONE

    return fill(
        "answer/answer.md.j2",
        replies=replies,
        sections=[section.strip("\n") for section in sections],
        icon=icon,
        fence=escape.fence,
        marker=marker,
        run_url=run_url,
        working=working,
    )


def status(view: StatusView, *, page: str) -> str:
    """What runs and why the gate stands as it does.

    Args:
        view: what is known.
        page: the pull request's address.
    """
    return fill("answer/status.md.j2", view=view, page=page)
