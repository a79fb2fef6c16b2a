"""Releases and deployments on GitHub: the answer to who asked, and a version's issue."""

from collections.abc import Mapping
from types import MappingProxyType

from mlbot.core.forge import Login
from mlbot.core.release_thread import ThreadView
from mlbot.core.release_told import Stands, Told
from mlbot.render import escape
from mlbot.render.engine import fill

_ICONS: Mapping[Stands, str] = MappingProxyType(
    {
        Stands.WORKING: "⏳",
        Stands.DONE: "✅",
        Stands.WAITING: "✋",
        Stands.REFUSED: "⛔",
        Stands.FAILED: "❌",
    }
)
_STATES: Mapping[str, str] = MappingProxyType(
    {
        "live": "✅",
        "under way": "⏳",
        "failed": "❌",
        "rolled back": "❌",
        "replaced": "⚪",
        "next": "▶️",
        "waits": "⏸️",
        "locked": "🔒",
    }
)


def release_answer(  # noqa: PLR0913 - one for each place of the template
    told: Told, *, text: str, marker: str, run_url: str, name: str = "", thread: str = "", ping: Login | None = None
) -> str:
    """The answer.

    Args:
        told: what there is to say.
        text: what was asked.
        marker: the last line.
        run_url: the run that answers.
        name: of the version, where there is a thread.
        thread: the address of the version's issue; empty where there is none, or the answer stands in it.
        ping: who is to be notified, by a mention; they pushed the tag.
    """
    return fill(
        "release/answer.md.j2",
        told=told,
        icon=_ICONS[told.stands],
        text=text,
        fence=escape.fence,
        marker=marker,
        run_url=run_url,
        name=name,
        thread=thread,
        ping=ping,
    )


def release_thread(view: ThreadView, *, repository: str, page: str = "") -> str:
    """A version's issue.

    Args:
        view: what it shows.
        repository: its address.
        page: the address of the version's GitHub Release; empty where there is none.
    """
    return fill("release/thread.md.j2", view=view, icons=_STATES, fence=escape.fence, repository=repository, page=page)
