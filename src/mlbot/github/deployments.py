"""GitHub Deployments: what GitHub shows of an environment. The ledger decides; this is its picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mlbot.core.event import dig
from mlbot.core.record import Sha
from mlbot.github import parsing
from mlbot.github.api import GitHub
from mlbot.github.failures import Request, UnavailableError

DESCRIPTION_LIMIT = 140
"""GitHub's longest description of a deployment's status."""
_TRIES = 2


class DeploymentState(StrEnum):
    """What GitHub shows of a deployment, in its words."""

    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    INACTIVE = "inactive"


_WAS_LIVE = frozenset({DeploymentState.SUCCESS.value, DeploymentState.INACTIVE.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deployment to show.

    Attributes:
        id: mlbot's own id of it, by which it is found again.
        commit: what was released.
        environment: where it goes.
        model: GitHub's `task` carries it, so that one model's deployment is not another's.
        description: one line for people.
        production: whether it is the last environment.
    """

    id: str
    commit: Sha
    environment: str
    model: str
    description: str
    production: bool


def show_deployment(github: GitHub, wanted: Wanted) -> int:
    """GitHub's number of a deployment, made if it is not there yet.

    `required_contexts` is empty: what the commit has to fulfil was decided before, from the ledger.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    for _ in range(_TRIES):
        found = _find(github, wanted)
        if found is not None:
            return found
        try:
            return parsing.number(github.transport.json(_creation(github, wanted)), "id")
        except UnavailableError:
            continue  # perhaps it was made: look again
    raise UnavailableError(f"nobody knows whether the deployment {wanted.id} is shown", mend="Run the job again.")


def set_deployment_state(
    github: GitHub, deployment: int, state: DeploymentState, description: str, *, log_url: str
) -> None:
    """Say how a deployment stands. Nothing is sent where GitHub shows the same already.

    Older deployments stay as they are (`auto_inactive` is off): with several models in an environment, a success of one
    says nothing about another.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    newest = _newest(github, deployment)
    said = description[:DESCRIPTION_LIMIT]
    if dig(newest, "state") == state.value and dig(newest, "description") == said:
        return
    body = {"state": state.value, "description": said, "log_url": log_url, "auto_inactive": False}
    github.transport.answer(github.request("POST", _statuses(deployment), body))


def retire_others(github: GitHub, wanted: Wanted, live: int) -> None:
    """Call inactive what is not live any more: the model's other deployments in the environment that say success."""
    listed = github.transport.pages(github.request("GET", "/deployments", query=_where(wanted)))
    for other in (number for raw in listed if (number := parsing.number(raw, "id")) != live):
        state = dig(_newest(github, other), "state")
        if state == DeploymentState.SUCCESS.value:
            set_deployment_state(github, other, DeploymentState.INACTIVE, "Another version is live.", log_url="")
        if state in _WAS_LIVE:
            return  # newest first: whatever is older was retired when this one came


def _newest(github: GitHub, deployment: int) -> object:
    """A deployment's newest status; None where it has none."""
    return next(github.transport.pages(github.request("GET", _statuses(deployment))), None)


def _statuses(deployment: int) -> str:
    return f"/deployments/{deployment}/statuses"


def _find(github: GitHub, wanted: Wanted) -> int | None:
    for raw in github.transport.pages(github.request("GET", "/deployments", query=_where(wanted))):
        if _payload(raw).get("id") == wanted.id:
            return parsing.number(raw, "id")
    return None


def _where(wanted: Wanted) -> Mapping[str, str]:
    return {"environment": wanted.environment, "task": _task(wanted.model)}


def _task(model: str) -> str:
    return f"mlbot:{model}"


def _payload(raw: object) -> Mapping[str, object]:
    payload = dig(raw, "payload")
    return payload if isinstance(payload, Mapping) else {}


def _creation(github: GitHub, wanted: Wanted) -> Request:
    body = {
        "ref": wanted.commit,
        "task": _task(wanted.model),
        "environment": wanted.environment,
        "description": wanted.description[:DESCRIPTION_LIMIT],
        "payload": {"id": wanted.id},
        "production_environment": wanted.production,
        "auto_merge": False,
        "required_contexts": [],
    }
    return github.request("POST", "/deployments", body, repeatable=False)
