"""What GitHub answers when it does not do what it was asked, each as one sentence with the mend."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call of the REST API.

    Attributes:
        verb: GET, POST, PATCH, PUT or DELETE.
        path: from the API's root, as `/repos/o/r/pulls`.
        query: parameters of the address.
        body: what is sent as JSON; None for nothing.
        repeatable: whether doing it twice is the same as doing it once, so that it may be sent again when nobody knows
            whether it arrived.
    """

    verb: str
    path: str
    query: Mapping[str, str | int] | None = None
    body: Mapping[str, object] | None = None
    repeatable: bool = True

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


class GitHubError(NotEvaluatedError):
    """GitHub did not do it."""


class TokenRefusedError(RefusedError):
    """401: GitHub does not know the token."""


class NotPermittedError(RefusedError):
    """403: the token lacks the right."""


class NotFoundError(GitHubError):
    """404 or 410: it is not there, or the token may not see it."""


class InvalidRequestError(GitHubError):
    """422: GitHub could not use what it was sent."""


class RateLimitedError(GitHubError):
    """The rate limit is used up for longer than anybody waits."""


class UnavailableError(GitHubError):
    """GitHub failed or could not be reached, again and again."""


def failure(request: Request, answer: Answer) -> MlbotError:
    """The error for an answer that is none of success, of a rate limit, or of a passing fault."""
    where = str(request)
    match answer.status:
        case 401:
            return TokenRefusedError(
                "GitHub does not accept the token", where=where, mend="It is wrong, expired or revoked: give a new one."
            )
        case 403:
            return NotPermittedError("the token may not do this", where=where, mend=_rights(answer))
        case 404 | 410:
            mend = "It was deleted, or the token may not see it."
            return NotFoundError("GitHub finds no such thing", where=where, mend=mend)
        case 422:
            return InvalidRequestError(f"GitHub refused the request: {_fields(answer)}", where=where)
        case status:
            return GitHubError(f"GitHub answered {status}: {message(answer)}", where=where)


def is_rate_limit(answer: Answer) -> bool:
    """Whether 403 or 429 means `too often` and not `never`."""
    if answer.status == 429:
        return True
    limited = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status == 403 and (limited or "rate limit" in message(answer).lower())


def message(answer: Answer) -> str:
    """GitHub's own words, short and printable: they may quote what a stranger sent."""
    said = _json(answer).get("message")
    return _plain(said) if isinstance(said, str) else "it gave no reason"


def _rights(answer: Answer) -> str:
    """What the job's `permissions:` lack, from the header that says it."""
    accepted = _plain(answer.headers.get("x-accepted-github-permissions", ""))
    if accepted:
        wanted = " or ".join(each.strip().replace("=", ": ") for each in accepted.split(";"))
        return f"Give the job the permission it needs: {wanted}"
    return f"Give the job the permission it needs. GitHub says: {message(answer)}"


def _fields(answer: Answer) -> str:
    errors = _json(answer).get("errors")
    found = [_field(each) for each in errors[:5]] if isinstance(errors, list) else []
    return _plain("; ".join(text for text in found if text)) or message(answer)


def _field(error: object) -> str:
    if isinstance(error, str):
        return error
    if not isinstance(error, Mapping):
        return ""
    parts = [error.get(name) for name in ("field", "code", "message")]
    return " ".join(part for part in parts if isinstance(part, str))


def _json(answer: Answer) -> Mapping[str, object]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _plain(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:_LONGEST]
