"""GitHub's JSON as the core's records; what does not fit is an error, never a guess."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from mlbot.events.event import dig, run_fields
from mlbot.events.github import Artifact, Comment, PullRequest, Run, State, Status, moment
from mlbot.github.transport import GitHubError
from mlbot.lib.record import Record

R = TypeVar("R", bound=Record)


def run(raw: object) -> Run:
    """A workflow run."""
    return _record(Run, run_fields(raw))


def pull_request(raw: object) -> PullRequest:
    """A pull request."""
    fields = {
        "number": dig(raw, "number"),
        "open": dig(raw, "state") == "open",
        "draft": dig(raw, "draft") is True,
        "head_sha": dig(raw, "head", "sha"),
        "head_ref": dig(raw, "head", "ref"),
        "head_repository_id": dig(raw, "head", "repo", "id"),
        "base_ref": dig(raw, "base", "ref"),
        "base_repository_id": dig(raw, "base", "repo", "id"),
        "author": dig(raw, "user", "login"),
    }
    return _record(PullRequest, fields)


def artifact(raw: object) -> Artifact:
    """An artifact."""
    fields = {
        "id": dig(raw, "id"),
        "name": dig(raw, "name"),
        "size_bytes": dig(raw, "size_in_bytes"),
        "expired": dig(raw, "expired"),
        "run": dig(raw, "workflow_run", "id"),
    }
    return _record(Artifact, fields)


def comment(raw: object) -> Comment:
    """A comment; one without text has an empty body."""
    fields = {
        "id": dig(raw, "id"),
        "author": dig(raw, "user", "login"),
        "body": dig(raw, "body") or "",
        "edited": dig(raw, "updated_at") not in {None, dig(raw, "created_at")},
        "created": moment(dig(raw, "created_at")),
    }
    return _record(Comment, fields)


def status(raw: object) -> Status:
    """A commit status."""
    state = dig(raw, "state")
    fields = {
        "context": dig(raw, "context"),
        "state": State(state) if isinstance(state, str) and state in set(State) else state,
        "description": dig(raw, "description") or "",
        "url": dig(raw, "target_url") or "",
        "creator": dig(raw, "creator", "login"),
    }
    return _record(Status, fields)


def text(raw: object, *path: str) -> str:
    """A text that has to be there."""
    value = dig(raw, *path)
    if not isinstance(value, str):
        raise GitHubError(f"GitHub's answer has no {'.'.join(path)}")
    return value


def number(raw: object, *path: str) -> int:
    """A whole number that has to be there."""
    value = dig(raw, *path)
    if not isinstance(value, int) or isinstance(value, bool):
        raise GitHubError(f"GitHub's answer has no {'.'.join(path)}")
    return value


def _record(record: type[R], fields: Mapping[str, Any]) -> R:
    try:
        return record.model_validate(fields)
    except ValidationError as error:
        places = sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]})
        name = record.__name__
        raise GitHubError(f"GitHub's answer is no {name}: its {', '.join(places)} cannot be used") from None
