"""What happened on GitHub: a webhook's payload as one of a closed set of records.

Payloads are GitHub's own JSON, but branch names, titles and comments in them are anybody's. So every field that is
used is checked here, and what is not understood becomes a refusal with a reason, never half an event.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from mlbot.events.github import Conclusion, Id, Login, Moment, RefName, RepositoryName, Run, moment
from mlbot.lib.record import Record, Sha


def run_fields(raw: object) -> dict[str, Any]:
    """The fields of a `mlbot.events.github.Run`, unchecked: the record refuses what does not fit.

    Its `name` is not read: a fork can declare any name, so only the path of the workflow file says what ran.
    """
    run = raw if isinstance(raw, Mapping) else {}
    path, conclusion = run.get("path"), run.get("conclusion")
    return {
        "id": run.get("id"),
        "attempt": run.get("run_attempt", 1),
        "repository_id": dig(run, "repository", "id"),
        "path": path.partition("@")[0] if isinstance(path, str) else path,
        "event": run.get("event"),
        "head_sha": run.get("head_sha"),
        "head_branch": run.get("head_branch"),
        "head_repository_id": dig(run, "head_repository", "id"),
        "head_owner": dig(run, "head_repository", "owner", "login"),
        "completed": run.get("status") == "completed",
        "conclusion": next((known for known in Conclusion if known == conclusion), conclusion),
        "url": run.get("html_url"),
        "created": moment(run.get("created_at")),
    }


_HEADS, _TAGS = "refs/heads/", "refs/tags/"

_ZERO = "0" * 40  # what a push says for a ref that is not there
_COMMENT = 65_536


class PullRequestEvent(Record):
    """A pull request was opened, changed or made ready."""

    kind: Literal["pull_request"] = "pull_request"
    action: Literal["opened", "synchronize", "reopened", "edited", "ready_for_review"]
    repository_id: Id
    repository: RepositoryName
    number: Id
    draft: bool
    head_sha: Sha
    head_ref: RefName
    head_repository_id: Id | None
    base_ref: RefName
    base_sha: Sha
    author: Login | None
    base_changed: bool = False  # for `edited`: whether the pull request goes into another branch now

    @property
    def fork(self) -> bool:
        """Whether head is in another repository."""
        return self.head_repository_id != self.repository_id


class MergeGroupEvent(Record):
    """The merge queue asks for checks on a merged result."""

    kind: Literal["merge_group"] = "merge_group"
    repository_id: Id
    repository: RepositoryName
    head_sha: Sha
    head_ref: RefName
    base_ref: RefName
    base_sha: Sha


class PushEvent(Record):
    """Commits landed on a branch."""

    kind: Literal["push"] = "push"
    repository_id: Id
    repository: RepositoryName
    branch: RefName
    sha: Sha
    before: Sha | None  # None for a new branch


class TagPushEvent(Record):
    """A tag was made or moved."""

    kind: Literal["tag"] = "tag"
    repository_id: Id
    repository: RepositoryName
    tag: RefName
    sha: Sha  # of the tag object, when it is annotated


class WorkflowRunEvent(Record):
    """A run of another workflow was requested or is over."""

    kind: Literal["workflow_run"] = "workflow_run"
    action: Literal["requested", "completed"]
    repository_id: Id
    repository: RepositoryName
    run: Run


class DispatchEvent(Record):
    """Somebody, or another workflow, started this workflow."""

    kind: Literal["workflow_dispatch"] = "workflow_dispatch"
    repository_id: Id
    repository: RepositoryName
    ref: Annotated[str, StringConstraints(max_length=500)]
    inputs: dict[str, Annotated[str, StringConstraints(max_length=65_536)]] = Field(default_factory=dict)
    """Empty ones left out."""
    sender: Login | None = None

    def number(self, name: str) -> int | None:
        """An input that is a positive whole number; None for any other text."""
        text = self.inputs.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0 else None


class CommentEvent(Record):
    """Somebody wrote a comment on an issue or a pull request."""

    kind: Literal["issue_comment"] = "issue_comment"
    repository_id: Id
    repository: RepositoryName
    default_branch: RefName  # of the repository, as GitHub said with the event
    comment: Id
    body: Annotated[str, StringConstraints(max_length=_COMMENT)]
    author: Login
    author_is_bot: bool
    number: Id
    is_pull_request: bool
    open: bool
    created: Moment | None = None


Event = Annotated[
    PullRequestEvent | MergeGroupEvent | PushEvent | TagPushEvent | WorkflowRunEvent | DispatchEvent | CommentEvent,
    Field(discriminator="kind"),
]


class NoEvent(StrEnum):
    """Why a payload is not an event to act on. A closed list."""

    UNKNOWN_EVENT = "unknown-event"
    UNKNOWN_ACTION = "unknown-action"
    REF_DELETED = "ref-deleted"
    NEITHER_BRANCH_NOR_TAG = "neither-branch-nor-tag"
    MALFORMED = "malformed"


class NotAnEvent(Record):
    """A payload that nothing is done about."""

    kind: Literal["none"] = "none"
    reason: NoEvent
    detail: str


_EVENT: TypeAdapter[Event] = TypeAdapter(Event)

Payload = Mapping[str, Any]


def parse_event(name: str, payload: Payload) -> Event | NotAnEvent:
    """What a webhook says.

    Nothing in `payload` raises.
    """
    read = _READERS.get(name)
    if read is None:
        return _refused(NoEvent.UNKNOWN_EVENT, f"mlbot does nothing on the event {name[:60]!r}.")
    found = read(payload)
    if isinstance(found, NotAnEvent):
        return found
    fields = {"repository_id": dig(payload, "repository", "id"), "repository": dig(payload, "repository", "full_name")}
    try:
        return _EVENT.validate_python(fields | found)
    except ValidationError as error:
        return _malformed(name, found["kind"], error)


def dig(payload: object, *path: str) -> Any:
    """What is at a path of nested objects; None where something on the way is missing or no object."""
    for step in path:
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(step)
    return payload


def _refused(reason: NoEvent, detail: str) -> NotAnEvent:
    return NotAnEvent(reason=reason, detail=detail)


def _malformed(name: str, kind: str, error: ValidationError) -> NotAnEvent:
    # Locations only: what stands there is a stranger's, and locations are this module's own field names.
    places = sorted({".".join(str(step) for step in each["loc"] if step != kind) for each in error.errors()})
    return _refused(NoEvent.MALFORMED, f"The payload of {name} has no usable {', '.join(places)}.")


def _unknown_action(name: str, payload: Payload) -> NotAnEvent:
    action = dig(payload, "action")
    shown = repr(action[:60]) if isinstance(action, str) else "missing"
    return _refused(NoEvent.UNKNOWN_ACTION, f"mlbot does nothing on {name} when the action is {shown}.")


_PULL_REQUEST_ACTIONS = ("opened", "synchronize", "reopened", "edited", "ready_for_review")


def _pull_request(payload: Payload) -> dict[str, Any] | NotAnEvent:
    if dig(payload, "action") not in _PULL_REQUEST_ACTIONS:
        return _unknown_action("pull_request", payload)
    pull = dig(payload, "pull_request")
    return {
        "kind": "pull_request",
        "action": payload["action"],
        "number": dig(pull, "number"),
        "draft": dig(pull, "draft"),
        "head_sha": dig(pull, "head", "sha"),
        "head_ref": dig(pull, "head", "ref"),
        "head_repository_id": dig(pull, "head", "repo", "id"),
        "base_ref": dig(pull, "base", "ref"),
        "base_sha": dig(pull, "base", "sha"),
        "author": dig(pull, "user", "login"),
        "base_changed": dig(payload, "changes", "base") is not None,
    }


def _merge_group(payload: Payload) -> dict[str, Any] | NotAnEvent:
    if dig(payload, "action") != "checks_requested":
        return _unknown_action("merge_group", payload)
    group = dig(payload, "merge_group")
    return {
        "kind": "merge_group",
        "head_sha": dig(group, "head_sha"),
        "head_ref": _short(dig(group, "head_ref"), _HEADS),
        "base_ref": _short(dig(group, "base_ref"), _HEADS),
        "base_sha": dig(group, "base_sha"),
    }


def _push(payload: Payload) -> dict[str, Any] | NotAnEvent:
    ref, after, before = dig(payload, "ref"), dig(payload, "after"), dig(payload, "before")
    if dig(payload, "deleted") is True or after == _ZERO:
        return _refused(NoEvent.REF_DELETED, "A branch or tag was deleted; there is nothing to train.")
    if isinstance(ref, str) and ref.startswith(_TAGS):
        return {"kind": "tag", "tag": ref.removeprefix(_TAGS), "sha": after}
    if isinstance(ref, str) and ref.startswith(_HEADS):
        new = before == _ZERO
        return {"kind": "push", "branch": ref.removeprefix(_HEADS), "sha": after, "before": None if new else before}
    return _refused(NoEvent.NEITHER_BRANCH_NOR_TAG, "The push is to neither a branch nor a tag.")


def _workflow_run(payload: Payload) -> dict[str, Any] | NotAnEvent:
    if dig(payload, "action") not in ("requested", "completed"):  # a tuple: what is asked may be unhashable
        return _unknown_action("workflow_run", payload)
    return {"kind": "workflow_run", "action": payload["action"], "run": run_fields(dig(payload, "workflow_run"))}


def _dispatch(payload: Payload) -> dict[str, Any] | NotAnEvent:
    inputs = dig(payload, "inputs")
    given = {k: v for k, v in inputs.items() if v not in {None, ""}} if _hashable_values(inputs) else inputs
    sender, inputs = dig(payload, "sender", "login"), {} if given is None else given
    return {"kind": "workflow_dispatch", "ref": dig(payload, "ref"), "inputs": inputs, "sender": sender}


def _comment(payload: Payload) -> dict[str, Any] | NotAnEvent:
    if dig(payload, "action") != "created":
        return _unknown_action("issue_comment", payload)
    return {
        "kind": "issue_comment",
        "comment": dig(payload, "comment", "id"),
        "body": dig(payload, "comment", "body"),
        "author": dig(payload, "comment", "user", "login"),
        "author_is_bot": dig(payload, "comment", "user", "type") != "User",
        "number": dig(payload, "issue", "number"),
        "default_branch": dig(payload, "repository", "default_branch"),
        "is_pull_request": dig(payload, "issue", "pull_request") is not None,
        "open": dig(payload, "issue", "state") == "open",
        "created": moment(dig(payload, "comment", "created_at")),
    }


def _short(ref: object, prefix: str) -> object:
    return ref.removeprefix(prefix) if isinstance(ref, str) else ref


def _hashable_values(inputs: object) -> bool:
    return isinstance(inputs, Mapping) and all(isinstance(each, str | None) for each in inputs.values())


_READERS: Mapping[str, Callable[[Payload], dict[str, Any] | NotAnEvent]] = MappingProxyType(
    {
        "pull_request": _pull_request,
        "merge_group": _merge_group,
        "push": _push,
        "workflow_run": _workflow_run,
        "workflow_dispatch": _dispatch,
        "issue_comment": _comment,
    }
)
