"""The bot's issues and pull requests: found again by their marker and their author, edited in place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlencode

from mlbot.events.event import dig
from mlbot.events.github import RefName
from mlbot.github.api import GitHub, number_of, text_of
from mlbot.github.transport import InvalidRequestError, NotFoundError, NotPermittedError, UnavailableError
from mlbot.protocol.marker import AlarmStamp, carries, last_line_of, read_alarm
from mlbot.protocol.operations import Proposal, ProposeChange, Proposed, UpsertIssue

# The issue that is a version's thread: opened once by the bot, found again by its marker, edited in place.

_ISSUE_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """An issue or a pull request of the bot's."""

    number: int
    title: str
    body: str
    open: bool


def find_thread(github: GitHub, label: str, marker: str) -> Thread | None:
    """The bot's oldest issue whose last line starts with the marker, open or closed."""
    return next(_threads(github, label, marker), None)


def open_thread(github: GitHub, *, title: str, body: str, label: str, marker: str) -> Thread:
    """The bot's issue with this marker, opened if there is none; two at once agree on the older one."""
    for _ in range(_ISSUE_ROUNDS):
        found = find_thread(github, label, marker)
        if found is not None:
            return found
        try:
            made = _create_issue(github, {"title": title, "body": body, "labels": [label]})
        except UnavailableError:
            continue  # perhaps it was opened: look again
        # GitHub's list may be a moment late, and have none of it.
        oldest, *others = [*_threads(github, label, marker)] or [made]
        for other in others:
            _edit_issue(github, other.number, {"state": "closed", "state_reason": "not_planned"})
        return oldest
    raise UnavailableError(f"nobody knows whether the issue {title!r} was opened", hint="Run the job again.")


def edit_thread(github: GitHub, thread: Thread, body: str, *, open_: bool) -> None:
    """Bring an issue's words and state up to date; nothing is sent where they are so already."""
    if thread.body == body and thread.open == open_:
        return
    _edit_issue(github, thread.number, {"body": body, "state": "open" if open_ else "closed"})


def _threads(github: GitHub, label: str, marker: str) -> Iterator[Thread]:
    """Oldest first: the list comes newest first, and issue numbers count up."""
    request = github.request("GET", "/issues", query={"labels": label, "state": "all", "creator": github.login})
    listed = [raw for raw in github.transport.pages(request) if dig(raw, "pull_request") is None]
    yield from _own(github, listed, marker)


def _own(github: GitHub, listed: list[object], marker: str) -> list[Thread]:
    """Those that the token's owner wrote and that carry the marker, oldest first."""
    found = [_thread(raw) for raw in listed if dig(raw, "user", "login") == github.login]
    return sorted((each for each in found if carries(each.body, marker)), key=lambda each: each.number)


def _thread(raw: object) -> Thread:
    body = dig(raw, "body")
    return Thread(
        number=number_of(raw, "number"),
        title=text_of(raw, "title"),
        body=body.replace("\r\n", "\n") if isinstance(body, str) else "",
        open=dig(raw, "state") == "open",
    )


def _create_issue(github: GitHub, fields: Mapping[str, object]) -> Thread:
    raw = github.transport.json(github.request("POST", "/issues", fields, repeatable=False))
    # The answer says who the token really speaks as: an app of one's own is not `github-actions[bot]`.
    github.known_login = text_of(raw, "user", "login")
    return _thread(raw)


def _edit_issue(github: GitHub, number: int, fields: Mapping[str, object]) -> None:
    github.transport.answer(github.request("PATCH", f"/issues/{number}", fields))


# The issue that says how a model is in production: one, opened with the first alarm, closed when it is well.


class IssueDone(StrEnum):
    """What became of an issue. A closed list."""

    CREATED = "created"
    EDITED = "edited"
    REOPENED = "reopened"
    CLOSED = "closed"
    UNCHANGED = "unchanged"
    NEWER_WRITTEN = "newer-written"
    LEFT_CLOSED = "left-closed"  # a person closed it, and the alarm is still the same one
    OFF = "off"  # the repository has no issues


def upsert_issue(github: GitHub, operation: UpsertIssue) -> IssueDone:
    """Bring the bot's issue up to date.

    Words of an older day never replace those of a newer one. What a person has closed stays closed until the model was
    well again.
    """
    for _ in range(_ISSUE_ROUNDS):
        try:
            found = list(_threads(github, operation.label, operation.marker))
            if not found and not operation.open:
                return IssueDone.UNCHANGED
            done = _bring(github, operation, found) if found else _begin(github, operation)
        except NotFoundError:
            if not github.facts().issues:
                return IssueDone.OFF
            continue  # it was deleted or moved since it was listed
        if done is not None:
            return done
    raise UnavailableError(f"the issue {operation.title!r} was gone each time it was to be edited", hint=_AGAIN)


_AGAIN = "Run the job again."


def _begin(github: GitHub, operation: UpsertIssue) -> IssueDone | None:
    """Open it; None where nobody knows whether it was opened. Of two that are opened at once the older one is it."""
    fields = {"title": operation.title, "body": operation.body, "labels": [operation.label]}
    try:
        _create_issue(github, fields)
    except UnavailableError:
        return None
    found = list(_threads(github, operation.label, operation.marker))  # GitHub's list may be a moment late
    return _bring(github, operation, found) if found[1:] else IssueDone.CREATED


def _bring(github: GitHub, operation: UpsertIssue, found: list[Thread]) -> IssueDone:
    """Put the words into the oldest, and close the others as no plan of anybody's."""
    written = [stamp for each in found if (stamp := read_alarm(each.body, operation.marker)) is not None]
    for other in found[1:]:
        if other.open:
            _edit_issue(github, other.number, {"state": "closed", "state_reason": "not_planned"})
    if any(each.day > operation.stamp.day for each in written):
        return IssueDone.NEWER_WRITTEN
    oldest = found[0]
    fields: dict[str, object] = {}
    if (oldest.title, oldest.body) != (operation.title, operation.body):
        fields |= {"title": operation.title, "body": operation.body}
    closed_by_person = not oldest.open and operation.open is True and _is_same_alarm(oldest, operation)
    if operation.open not in {None, oldest.open} and not closed_by_person:
        fields |= _OPEN if operation.open else _CLOSED
    if fields:
        _edit_issue(github, oldest.number, fields)
    return _done(fields, left=closed_by_person)


_OPEN: Mapping[str, object] = {"state": "open", "state_reason": "reopened"}
_CLOSED: Mapping[str, object] = {"state": "closed", "state_reason": "completed"}


def _is_same_alarm(thread: Thread, operation: UpsertIssue) -> bool:
    """Whether the alarm that the issue was closed in goes on: mlbot itself closes it only once there is none."""
    written = read_alarm(thread.body, operation.marker)
    return written is not None and written.alarm == operation.stamp.alarm


def _done(fields: Mapping[str, object], *, left: bool) -> IssueDone:
    if left:
        return IssueDone.LEFT_CLOSED
    match fields.get("state"):
        case "open":
            return IssueDone.REOPENED
        case "closed":
            return IssueDone.CLOSED
        case _:
            return IssueDone.EDITED if fields else IssueDone.UNCHANGED


# A pull request from a branch of mlbot's own: one for each alarm, never merged by mlbot or pushed over others' work.


def earlier_proposal(github: GitHub, branch: RefName, marker: str, stamp: AlarmStamp) -> Proposed | None:
    """The pull request that there is from the branch: an open one, or one on the same alarm; None where there is none.

    Whoever opened it: where workflows may not, a person does, from mlbot's branch and with mlbot's words.
    """
    request = github.request("GET", "/pulls", query={"state": "all", "head": f"{_owner(github)}:{branch}"})
    listed = sorted(github.transport.pages(request), key=lambda raw: number_of(raw, "number"), reverse=True)
    here = [raw for raw in listed if str(dig(raw, "head", "repo", "full_name")).casefold() == _name(github)]
    for raw in here:
        if dig(raw, "state") == "open":
            return _proposed(raw, Proposal.OPEN)
    for raw in here:
        lines = str(dig(raw, "body") or "").splitlines()  # a person may have written something below it
        written = [found for line in lines if (found := read_alarm(line, marker)) is not None]
        if any(each.alarm == stamp.alarm for each in written):
            return _proposed(raw, Proposal.ANSWERED)
    return None


def _owner(github: GitHub) -> str:
    return github.repository.partition("/")[0]


def _name(github: GitHub) -> str:
    return github.repository.casefold()


def _proposed(raw: object, state: Proposal) -> Proposed:
    return Proposed(state=state, page=text_of(raw, "html_url"), number=number_of(raw, "number"))


PushBranch = Callable[[ProposeChange], bool]
"""Pushes a change to its branch; False where the guarded branch has it already. Raises `RefusedError` where the branch
has somebody else's commits."""


def propose(github: GitHub, operation: ProposeChange, push: PushBranch) -> Proposed:
    """Open a pull request, unless there is one on this alarm."""
    for _ in range(_ISSUE_ROUNDS):
        if found := earlier_proposal(github, operation.branch, operation.marker, operation.stamp):
            return found
        if not push(operation):
            return Proposed(state=Proposal.NO_CHANGE)
        try:
            return _opened(github, operation)
        except UnavailableError:
            continue  # perhaps it was opened: look again
        except InvalidRequestError:
            found = earlier_proposal(github, operation.branch, operation.marker, operation.stamp)
            if found is None:
                raise
            return found  # somebody was quicker
        except NotPermittedError as error:
            if _FORBIDDEN not in error.hint:
                raise
            return Proposed(state=Proposal.TO_OPEN, page=_page_to_open(operation))
    raise UnavailableError(f"nobody knows whether {operation.title!r} was proposed", hint=_AGAIN)


_FORBIDDEN = "not permitted to create or approve pull requests"
"""GitHub's words where a setting of the repository keeps workflows from it, whatever their rights."""


def _opened(github: GitHub, operation: ProposeChange) -> Proposed:
    body = {"title": operation.title, "body": operation.body, "head": operation.branch, "base": operation.base}
    raw = github.ask("POST", "/pulls", body, repeatable=False)
    github.known_login = text_of(raw, "user", "login")
    return _proposed(raw, Proposal.OPENED)


_LONGEST_IN_URL = 3_000


def _page_to_open(operation: ProposeChange) -> str:
    """GitHub's page on which a person opens it with one click, with title and text filled in."""
    text = operation.body if len(operation.body) <= _LONGEST_IN_URL else last_line_of(operation.body)
    query = urlencode({"quick_pull": "1", "title": operation.title, "body": text})
    return f"{operation.repository}/compare/{quote(operation.base)}...{operation.branch}?{query}"
