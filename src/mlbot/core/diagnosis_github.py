"""What can be wrong with a repository's settings on GitHub."""

from collections.abc import Collection, Iterator
from typing import Literal

from mlbot.core.diagnosis import Code, Finding, Severity
from mlbot.core.diagnosis_release import EnvironmentFacts
from mlbot.core.published import ACTIONS_REPOSITORY, STATUS, TRAIN_PATH
from mlbot.core.record import Count, Record

_HOSTED = ("ubuntu-", "windows-", "macos-")
"""What the labels of GitHub's own runners start with."""


class Settings(Record):
    """What GitHub says of a repository; None where the token may not ask."""

    private: bool
    default_branch: str
    required: tuple[str, ...] | None = None
    """The checks that the default branch requires."""
    merge_queue: bool | None = None
    actions_enabled: bool | None = None
    allowed_actions: Literal["all", "local_only", "selected"] | None = None
    sha_pinning: bool | None = None
    """Whether actions have to be called by their commit."""
    default_token: Literal["read", "write"] | None = None
    may_approve: bool | None = None
    """Whether workflows may approve pull requests."""
    runners: Count | None = None
    """Self-hosted runners that are registered for this repository."""
    environments: dict[str, EnvironmentFacts] | None = None
    """GitHub's environments by name; asked for only where the config has some."""
    unseen: tuple[str, ...] = ()
    """What the token may not ask."""


def diagnose_github(settings: Settings, *, queue_ready: bool, labels: Collection[str]) -> Iterator[Finding]:
    """What is wrong on GitHub's side.

    Args:
        settings: what GitHub says.
        queue_ready: whether the workflow that trains runs on `merge_group`.
        labels: of the runners that the config and the workflows ask for.
    """
    yield from _checks(settings, queue_ready=queue_ready)
    yield from _actions(settings)
    yield from _token(settings)
    yield from _runners(settings, labels)
    if settings.unseen:
        yield Finding(
            code=Code.NOT_LOOKED_AT,
            severity=Severity.ADVICE,
            what=f"the token may not read {', '.join(settings.unseen)}",
            mend="Give a token of an administrator, or one with `administration: read`, to have them checked too.",
        )


def unasked() -> Finding:
    """What is said when there is no token."""
    return Finding(
        code=Code.NOT_LOOKED_AT,
        severity=Severity.ADVICE,
        what="GitHub's side was not looked at, for there is no token",
        mend="Set MLBOT_TOKEN or GITHUB_TOKEN, such as: GITHUB_TOKEN=$(gh auth token) mlbot doctor",
    )


def _checks(settings: Settings, *, queue_ready: bool) -> Iterator[Finding]:
    branch = settings.default_branch
    if settings.required is not None and STATUS not in settings.required:
        listed = f"; it requires {', '.join(settings.required)}" if settings.required else ""
        yield Finding(
            code=Code.CHECK_NOT_REQUIRED,
            severity=Severity.ERROR,
            what=f"{branch} does not require the status `{STATUS}`, so anything can be merged{listed}",
            where=f"branch {branch}",
            mend=f"Settings > Rules > Rulesets: require status checks to pass, and add `{STATUS}`.",
        )
    if settings.merge_queue and not queue_ready:
        yield Finding(
            code=Code.MERGE_QUEUE,
            severity=Severity.ERROR,
            what=f"{branch} has a merge queue, and the training does not run on merge_group: the queue waits for ever",
            where=f"{TRAIN_PATH}: on",
            mend="Add `merge_group:` under `on:`.",
        )


def _actions(settings: Settings) -> Iterator[Finding]:
    if settings.actions_enabled is False:
        yield Finding(
            code=Code.ACTIONS_DISABLED,
            severity=Severity.ERROR,
            what="GitHub Actions is switched off",
            where="repository settings",
            mend="Settings > Actions > General: allow actions and reusable workflows.",
        )
        return
    if settings.allowed_actions in {"local_only", "selected"}:
        local = settings.allowed_actions == "local_only"
        yield Finding(
            code=Code.ACTIONS_NOT_ALLOWED,
            severity=Severity.ERROR if local else Severity.WARNING,
            what="only actions of this owner may run" if local else "only selected actions may run",
            where="repository settings",
            mend=f"Settings > Actions > General: allow {ACTIONS_REPOSITORY}/* and actions created by GitHub.",
        )
    if settings.sha_pinning:
        yield Finding(
            code=Code.ACTIONS_NOT_ALLOWED,
            severity=Severity.ERROR,
            what="actions have to be called by the SHA of their commit, and mlbot's workflows are called by a tag",
            where="repository settings",
            mend=f"Call {ACTIONS_REPOSITORY}'s workflows by a release's full SHA, or lift the rule for them.",
        )


def _token(settings: Settings) -> Iterator[Finding]:
    if settings.default_token == "write":  # noqa: S105 - a level of rights
        yield Finding(
            code=Code.DEFAULT_TOKEN,
            severity=Severity.WARNING,
            what="a workflow that names no permissions gets a token that can write",
            where="repository settings",
            mend="Settings > Actions > General > Workflow permissions: read repository contents.",
        )
    if settings.may_approve:
        yield Finding(
            code=Code.MAY_APPROVE,
            severity=Severity.WARNING,
            what="workflows may approve pull requests",
            where="repository settings",
            mend="Settings > Actions > General > Workflow permissions: take the tick away.",
        )


def _runners(settings: Settings, labels: Collection[str]) -> Iterator[Finding]:
    if settings.private:
        return
    own = sorted(label for label in set(labels) if not label.startswith(_HOSTED) and "${{" not in label)
    said = (
        f"jobs ask for the runners {', '.join(own)}" if own else f"{settings.runners} self-hosted runners wait for it"
    )
    if own or settings.runners:
        yield Finding(
            code=Code.SELF_HOSTED_PUBLIC,
            severity=Severity.ERROR if "self-hosted" in own else Severity.WARNING,
            what=f"the repository is public and {said}: a stranger's pull request can run code on machines of yours",
            where="runs-on" if own else "repository settings",
            mend="Train pull requests on GitHub's runners, or demand approval for the runs of all outsiders.",
        )
