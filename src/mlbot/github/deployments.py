"""GitHub's Deployments and Releases. The ledger decides; these are its picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlbot.events.event import dig
from mlbot.github.api import GitHub, number_of, text_of
from mlbot.github.transport import InvalidRequestError, NotFoundError, Request, UnavailableError, Upload
from mlbot.lib.record import Sha, digest_of_stream

# What GitHub shows of an environment.

DESCRIPTION_LIMIT = 140  # GitHub's longest description of a deployment's status
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
    """A deployment to show; by its `id`, mlbot's own, it is found again. `production` is the last environment."""

    id: str
    commit: Sha
    environment: str
    model: str
    description: str
    production: bool


def show_deployment(github: GitHub, wanted: Wanted) -> int:
    """GitHub's number of a deployment, made if it is not there yet.

    `required_contexts` is empty: what the commit has to fulfil was decided before, from the ledger.
    """
    for _ in range(_TRIES):
        found = _find(github, wanted)
        if found is not None:
            return found
        try:
            return number_of(github.transport.json(_creation(github, wanted)), "id")
        except UnavailableError:
            continue  # perhaps it was made: look again
    raise UnavailableError(f"nobody knows whether the deployment {wanted.id} is shown", hint="Run the job again.")


def set_deployment_state(
    github: GitHub, deployment: int, state: DeploymentState, description: str, *, log_url: str
) -> None:
    """Show the state of a deployment. Nothing is sent where GitHub shows the same already.

    Older deployments stay as they are (`auto_inactive` is off): with several models in an environment, a success of one
    says nothing about another.
    """
    newest = _newest(github, deployment)
    shown = description[:DESCRIPTION_LIMIT]
    if dig(newest, "state") == state.value and dig(newest, "description") == shown:
        return
    body = {"state": state.value, "description": shown, "log_url": log_url, "auto_inactive": False}
    github.transport.answer(github.request("POST", _statuses(deployment), body))


def retire_others(github: GitHub, wanted: Wanted, live: int) -> None:
    """Call inactive what is not live any more: the model's other deployments in the environment that say success."""
    listed = github.transport.pages(github.request("GET", "/deployments", query=_where(wanted)))
    for other in (number for raw in listed if (number := number_of(raw, "id")) != live):
        state = dig(_newest(github, other), "state")
        if state == DeploymentState.SUCCESS.value:
            set_deployment_state(github, other, DeploymentState.INACTIVE, "Another version is live.", log_url="")
        if state in _WAS_LIVE:
            return  # newest first: whatever is older was retired when this one came


def _newest(github: GitHub, deployment: int) -> object:
    return next(github.transport.pages(github.request("GET", _statuses(deployment))), None)


def _statuses(deployment: int) -> str:
    return f"/deployments/{deployment}/statuses"


def _find(github: GitHub, wanted: Wanted) -> int | None:
    for raw in github.transport.pages(github.request("GET", "/deployments", query=_where(wanted))):
        if _payload(raw).get("id") == wanted.id:
            return number_of(raw, "id")
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


# A release: a draft until all its files are there, so that nobody downloads half of one.


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """What a release shows: a tag that is there already, a heading, Markdown, and files by download name."""

    tag: str
    title: str
    body: str
    files: Mapping[str, Path]
    prerelease: bool = False


def publish_release(github: GitHub, upload: Upload, page: ReleasePage) -> str:
    """Publish a release, or finish one that was begun; its address. A published release is never changed.

    A file that is there already stays when it has the same size, and is replaced while the release is a draft.
    """
    found = _published(github, page.tag)
    if found is not None:
        return text_of(found, "html_url")
    draft = _draft(github, page) or _create(github, page)
    _complete(github, upload, draft, page)
    done = github.transport.json(github.request("PATCH", f"/releases/{number_of(draft, 'id')}", {"draft": False}))
    return text_of(done, "html_url")


def _published(github: GitHub, tag: str) -> Any:
    try:
        return github.transport.json(github.request("GET", f"/releases/tags/{tag}"))
    except NotFoundError:
        return None


def _draft(github: GitHub, page: ReleasePage) -> Any:
    listed = github.transport.pages(github.request("GET", "/releases"))
    return next((raw for raw in listed if dig(raw, "tag_name") == page.tag and dig(raw, "draft") is True), None)


def _create(github: GitHub, page: ReleasePage) -> Any:
    fields = {"tag_name": page.tag, "name": page.title, "body": page.body, "draft": True}
    fields |= {"prerelease": True} if page.prerelease else {}
    try:
        return github.transport.json(github.request("POST", "/releases", fields, repeatable=False))
    except UnavailableError:
        found = _draft(github, page)  # perhaps it was made
        if found is None:
            raise
        return found


def _complete(github: GitHub, upload: Upload, draft: Any, page: ReleasePage) -> None:
    there = {text_of(raw, "name"): raw for raw in github.transport.pages(_assets(github, draft))}
    for name, file in page.files.items():
        if name in there:
            if dig(there[name], "size") == file.stat().st_size and _same(there[name], file):
                continue
            _remove(github, there[name])
        _upload(github, upload, draft, name, file)


def _upload(github: GitHub, upload: Upload, draft: Any, name: str, file: Path) -> None:
    """Send a file; where it broke off, what arrived of it is taken away and it is sent once more."""
    address = text_of(draft, "upload_url")
    try:
        upload(address, name, file)
    except (UnavailableError, InvalidRequestError):
        for raw in github.transport.pages(_assets(github, draft)):
            if dig(raw, "name") == name:
                _remove(github, raw)
        upload(address, name, file)


def _remove(github: GitHub, asset: object) -> None:
    github.transport.answer(github.request("DELETE", f"/releases/assets/{number_of(asset, 'id')}"))


def _same(asset: object, file: Path) -> bool:
    """Whether GitHub's own digest of an asset, where it gives one, is the file's."""
    given = dig(asset, "digest")
    if given is None:
        return True
    with file.open("rb") as content:
        return bool(given == digest_of_stream(content))


def _assets(github: GitHub, draft: object) -> Request:
    return github.request("GET", f"/releases/{number_of(draft, 'id')}/assets")
