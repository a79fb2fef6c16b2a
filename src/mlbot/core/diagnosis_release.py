"""What can be wrong with releases: a workflow that is not there, and environments that admit more than they should."""

from collections.abc import Iterator, Mapping

from mlbot.core.config import Config
from mlbot.core.diagnosis import Code, Finding, Severity
from mlbot.core.inputs import CONFIG_FILE
from mlbot.core.published import RELEASE_PATH
from mlbot.core.record import Record
from mlbot.core.tree import is_url


class EnvironmentFacts(Record):
    """What GitHub says of one of its environments."""

    branches: tuple[str, ...] | None = None
    """The patterns of the refs that may deploy to it; None where every ref may."""
    reviewers: bool = False
    """Whether somebody has to let each deployment."""


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
            mend="Write it: mlbot init --release",
        )
    for each in environments if there else ():
        if not is_url(each.target) and not each.target.startswith("command:"):
            yield Finding(
                code=Code.TARGET_IN_CHECKOUT,
                severity=Severity.ERROR,
                what=f"{each.target} is a folder of the checkout, which ends with each job on GitHub",
                where=f"{CONFIG_FILE}: environments.{each.name}.target",
                mend="Name a place that stays: file:///srv/models/… on a machine of your own, oci://… or another URL.",
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
        mend=f"Settings > Environments > {name} > Deployment branches and tags: selected, {branch} only.",
    )
