"""The issue that is a version's thread: opened once by the bot, found again by its marker, edited in place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlbot.core.event import dig
from mlbot.core.stamp import carries
from mlbot.github import parsing
from mlbot.github.api import GitHub
from mlbot.github.failures import UnavailableError

_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """An issue of the bot's.

    Attributes:
        number: of the issue.
        body: as it is now.
        open: whether it is.
    """

    number: int
    body: str
    open: bool


def find_thread(github: GitHub, label: str, marker: str) -> Thread | None:
    """The bot's oldest issue whose last line starts with the marker, open or closed.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    return next(_threads(github, label, marker), None)


def open_thread(github: GitHub, *, title: str, body: str, label: str, marker: str) -> Thread:
    """The bot's issue with this marker, opened if there is none; two at once agree on the older one.

    Args:
        github: the API.
        title: for a new one.
        body: for a new one; ends in the marker.
        label: by which it is found without reading every issue.
        marker: what the body's last line starts with.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    for _ in range(_ROUNDS):
        found = find_thread(github, label, marker)
        if found is not None:
            return found
        try:
            _create(github, {"title": title, "body": body, "labels": [label]})
        except UnavailableError:
            continue  # perhaps it was opened: look again
        oldest, *others = list(_threads(github, label, marker))
        for other in others:
            _edit(github, other.number, {"state": "closed", "state_reason": "not_planned"})
        return oldest
    raise UnavailableError(f"nobody knows whether the issue {title!r} was opened", mend="Run the job again.")


def edit_thread(github: GitHub, thread: Thread, body: str, *, open_: bool) -> None:
    """Bring an issue's words and state up to date; nothing is sent where they are so already."""
    if thread.body == body and thread.open == open_:
        return
    _edit(github, thread.number, {"body": body, "state": "open" if open_ else "closed"})


def _threads(github: GitHub, label: str, marker: str) -> Iterator[Thread]:
    """Oldest first: the list comes newest first, and issue numbers count up."""
    request = github.request("GET", "/issues", query={"labels": label, "state": "all", "creator": github.login})
    listed = [raw for raw in github.transport.pages(request) if dig(raw, "pull_request") is None]
    found = [_thread(raw) for raw in listed if dig(raw, "user", "login") == github.login]
    yield from sorted((each for each in found if carries(each.body, marker)), key=lambda each: each.number)


def _thread(raw: object) -> Thread:
    body = dig(raw, "body")
    return Thread(
        number=parsing.number(raw, "number"),
        body=body.replace("\r\n", "\n") if isinstance(body, str) else "",
        open=dig(raw, "state") == "open",
    )


def _create(github: GitHub, fields: Mapping[str, object]) -> None:
    raw = github.transport.json(github.request("POST", "/issues", fields, repeatable=False))
    # The answer says who the token really speaks as: an app of one's own is not `github-actions[bot]`.
    github.known_login = parsing.text(raw, "user", "login")


def _edit(github: GitHub, number: int, fields: Mapping[str, object]) -> None:
    github.transport.answer(github.request("PATCH", f"/issues/{number}", fields))
