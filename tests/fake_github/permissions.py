"""What a job's GITHUB_TOKEN may do: the workflow's and the job's ``permissions``, callers and forks."""

from collections.abc import Mapping
from typing import Any, Final

from tests.fake_github.tokens import LEVELS
from tests.fake_github.workflow_file import WorkflowError

SCOPES: Final = (
    "actions", "artifact-metadata", "attestations", "checks", "contents", "deployments", "discussions", "id-token",
    "issues", "models", "packages", "pages", "pull-requests", "security-events", "statuses",
)  # fmt: skip


def declared(value: Any) -> dict[str, str] | None:
    """The permissions that a ``permissions:`` key gives, or None where there is none.

    Raises:
        WorkflowError: an unknown scope or level.
    """
    if value is None:
        return None
    if value in ("read-all", "write-all"):
        return dict.fromkeys(SCOPES, value.removesuffix("-all"))
    if not isinstance(value, Mapping) or not value.keys() <= set(SCOPES) or not set(value.values()) <= LEVELS.keys():
        raise WorkflowError(f"permissions: {value!r} is nothing GitHub knows")
    return dict(value)


def of_job(workflow: Any, job: Any, default: Mapping[str, str]) -> dict[str, str]:
    """The permissions of a job: its own, else the workflow's, else the default given."""
    own = declared(job)
    if own is not None:
        return own
    whole = declared(workflow)
    return whole if whole is not None else dict(default)


def within(where: str, asked: Mapping[str, str], granted: Mapping[str, str]) -> dict[str, str]:
    """What a called workflow asks for, which its caller must hold.

    Raises:
        WorkflowError: it asks for more, and GitHub starts nothing.
    """
    for scope, level in asked.items():
        held = granted.get(scope, "none")
        if LEVELS[level] > LEVELS[held]:
            raise WorkflowError(f"{where} is requesting '{scope}: {level}', but is only allowed '{scope}: {held}'")
    return dict(asked)


def of_fork(permissions: Mapping[str, str]) -> dict[str, str]:
    """A fork's token: every write becomes a read, no identity."""
    return {
        scope: "read" if LEVELS[level] > LEVELS["read"] else level
        for scope, level in permissions.items()
        if scope != "id-token"
    }


def of_token(permissions: Mapping[str, str]) -> dict[str, str]:
    """Permissions under the names that the API uses: underscores."""
    return {scope.replace("-", "_"): level for scope, level in permissions.items()}
