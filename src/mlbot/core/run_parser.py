"""A workflow run's JSON, from a webhook or from the API, as the fields of a `Run`."""

from collections.abc import Mapping
from typing import Any

from mlbot.core.forge import Conclusion, moment


def run_fields(raw: object) -> dict[str, Any]:
    """The fields of a `mlbot.core.forge.Run`, unchecked: the record refuses what does not fit.

    Args:
        raw: GitHub's JSON of a workflow run. Its `name` is not read: a fork can declare any name, so only the path of
            the workflow file says what ran.
    """
    run = raw if isinstance(raw, Mapping) else {}
    path, conclusion = run.get("path"), run.get("conclusion")
    head = run.get("head_repository")
    return {
        "id": run.get("id"),
        "attempt": run.get("run_attempt", 1),
        "repository_id": _inner(run.get("repository"), "id"),
        "path": path.partition("@")[0] if isinstance(path, str) else path,
        "event": run.get("event"),
        "head_sha": run.get("head_sha"),
        "head_branch": run.get("head_branch"),
        "head_repository_id": _inner(head, "id"),
        "head_owner": _inner(_inner(head, "owner"), "login"),
        "completed": run.get("status") == "completed",
        "conclusion": _conclusion(conclusion),
        "url": run.get("html_url"),
        "created": moment(run.get("created_at")),
    }


def _inner(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _conclusion(value: object) -> object:
    known = isinstance(value, str) and value in set(Conclusion)
    return Conclusion(value) if known and isinstance(value, str) else value
