"""What can be wrong with a repository's settings on GitHub."""

from collections.abc import Collection, Iterator, Mapping

from mlbot.config.schema import Config
from mlbot.events.github import EnvironmentFacts, Settings
from mlbot.lib.constants import ACTIONS_REPOSITORY, CONFIG_FILE, RELEASE_PATH, STATUS, TRAIN_PATH
from mlbot.lib.tree import is_url
from mlbot.setup.findings import Code, Finding, Severity

# What can be wrong with releases: a workflow that is not there, and environments that admit more than they should.


def diagnose_release(config: Config | None, *, there: bool) -> Iterator[Finding]:
    """What is wrong with the release workflow and with the places it deploys to.

    Args:
        config: the folder's.
        there: whether the workflow is.
    """
    environments = config.environments if config else ()
    if environments and not there:
        yield Finding(
            code=Code.RELEASE_MISSING,
            severity=Severity.ADVICE,
            what=f"{CONFIG_FILE} has environments, and no workflow releases into them: tags and /release do nothing",
            where=RELEASE_PATH,
            hint="Write it: mlbot init --release",
        )
    for each in environments if there else ():
        if not is_url(each.target) and not each.target.startswith("command:"):
            yield Finding(
                code=Code.TARGET_IN_CHECKOUT,
                severity=Severity.ERROR,
                what=f"{each.target} is a folder of the checkout, which ends with each job on GitHub",
                where=f"{CONFIG_FILE}: environments.{each.name}.target",
                hint="Name a place that stays: file:///srv/models/… on a machine of your own, oci://… or another URL.",
            )


def diagnose_environments(
    config: Config | None, found: Mapping[str, EnvironmentFacts] | None, branch: str
) -> Iterator[Finding]:
    """What is wrong with GitHub's own environments of the same names.

    Args:
        config: the folder's.
        found: GitHub's environments by name; None where the token may not ask.
        branch: the default branch.
    """
    for each in config.environments if config and found is not None else ():
        facts = found.get(each.name) if found else None
        if facts is None:
            yield _open(Severity.ADVICE, each.name, "GitHub has no such environment yet, so nothing limits it", branch)
        elif facts.branches is None:
            yield _open(Severity.WARNING, each.name, "every branch and tag may deploy to it", branch)
        elif set(facts.branches) - {branch}:
            others = ", ".join(sorted(set(facts.branches) - {branch}))
            yield _open(Severity.WARNING, each.name, f"it also admits {others}", branch)


def _open(severity: Severity, name: str, what: str, branch: str) -> Finding:
    return Finding(
        code=Code.ENVIRONMENT_OPEN,
        severity=severity,
        what=f"{what}; a workflow of another branch could use its secrets",
        where=f"environment {name}",
        hint=f"Settings > Environments > {name} > Deployment branches and tags: selected, {branch} only.",
    )


_HOSTED = ("ubuntu-", "windows-", "macos-")
"""What the labels of GitHub's own runners start with."""


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
            hint="Give a token of an administrator, or one with `administration: read`, to have them checked too.",
        )


def unasked() -> Finding:
    """What is said when there is no token."""
    return Finding(
        code=Code.NOT_LOOKED_AT,
        severity=Severity.ADVICE,
        what="GitHub's side was not looked at, for there is no token",
        hint="Set MLBOT_TOKEN or GITHUB_TOKEN, such as: GITHUB_TOKEN=$(gh auth token) mlbot doctor",
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
            hint=f"Settings > Rules > Rulesets: require status checks to pass, and add `{STATUS}`.",
        )
    if settings.merge_queue and not queue_ready:
        yield Finding(
            code=Code.MERGE_QUEUE,
            severity=Severity.ERROR,
            what=f"{branch} has a merge queue, and the training does not run on merge_group: the queue waits for ever",
            where=f"{TRAIN_PATH}: on",
            hint="Add `merge_group:` under `on:`.",
        )


def _actions(settings: Settings) -> Iterator[Finding]:
    if settings.actions_enabled is False:
        yield Finding(
            code=Code.ACTIONS_DISABLED,
            severity=Severity.ERROR,
            what="GitHub Actions is switched off",
            where="repository settings",
            hint="Settings > Actions > General: allow actions and reusable workflows.",
        )
        return
    if settings.allowed_actions in {"local_only", "selected"}:
        local = settings.allowed_actions == "local_only"
        yield Finding(
            code=Code.ACTIONS_NOT_ALLOWED,
            severity=Severity.ERROR if local else Severity.WARNING,
            what="only actions of this owner may run" if local else "only selected actions may run",
            where="repository settings",
            hint=f"Settings > Actions > General: allow {ACTIONS_REPOSITORY}/* and actions created by GitHub.",
        )
    if settings.sha_pinning:
        yield Finding(
            code=Code.ACTIONS_NOT_ALLOWED,
            severity=Severity.ERROR,
            what="actions have to be called by the SHA of their commit, and mlbot's workflows are called by a tag",
            where="repository settings",
            hint=f"Call {ACTIONS_REPOSITORY}'s workflows by a release's full SHA, or lift the rule for them.",
        )


def _token(settings: Settings) -> Iterator[Finding]:
    if settings.default_token == "write":  # noqa: S105 - a level of rights
        yield Finding(
            code=Code.DEFAULT_TOKEN,
            severity=Severity.WARNING,
            what="a workflow that names no permissions gets a token that can write",
            where="repository settings",
            hint="Settings > Actions > General > Workflow permissions: read repository contents.",
        )
    if settings.may_approve:
        yield Finding(
            code=Code.MAY_APPROVE,
            severity=Severity.WARNING,
            what="workflows may approve pull requests",
            where="repository settings",
            hint="Settings > Actions > General > Workflow permissions: take the tick away.",
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
            hint="Train pull requests on GitHub's runners, or demand approval for the runs of all outsiders.",
        )
