"""What can be wrong with a repository's set-up, as findings; facts come in, nothing is looked up here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mlbot.config.errors import Problem
from mlbot.config.schema import Config
from mlbot.lib.constants import CONFIG_FILE, JUDGE_PATH, TRAIN_PATH
from mlbot.lib.record import Record
from mlbot.lib.tree import is_url


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "error"
    """Something does not work, or does not hold."""
    WARNING = "warning"
    """Something will bite."""
    ADVICE = "advice"
    """Something could be better."""


class Code(StrEnum):
    """What a finding is about. A closed list."""

    NO_REMOTE = "no-remote"
    SHALLOW = "shallow"
    NO_CONFIG = "no-config"
    CONFIG_INVALID = "config-invalid"
    CONFIG_NOT_GUARDED = "config-not-guarded"
    WORKFLOW_MISSING = "workflow-missing"
    WORKFLOW_UNREADABLE = "workflow-unreadable"
    WORKFLOW_NAME = "workflow-name"
    WORKFLOW_JOB = "workflow-job"
    WORKFLOW_REF = "workflow-ref"
    WORKFLOW_DRIFT = "workflow-drift"
    JUDGE_NOT_LIVE = "judge-not-live"
    TRIGGER_MISSING = "trigger-missing"
    TRIGGER_FILTERED = "trigger-filtered"
    PULL_REQUEST_TARGET = "pull-request-target"
    PERMISSIONS_TOP = "permissions-top"
    PERMISSIONS_MISSING = "permissions-missing"
    PERMISSIONS_WIDE = "permissions-wide"
    SECRETS_IN_SANDBOX = "secrets-in-sandbox"
    UNPINNED = "unpinned"
    HOLDOUT_IN_REPOSITORY = "holdout-in-repository"
    STORE_IN_CHECKOUT = "store-in-checkout"
    DATA_NOT_IN_GIT = "data-not-in-git"
    DATA_POINTER = "data-pointer"
    NOT_LOOKED_AT = "not-looked-at"
    CHECK_NOT_REQUIRED = "check-not-required"
    ACTIONS_DISABLED = "actions-disabled"
    ACTIONS_NOT_ALLOWED = "actions-not-allowed"
    DEFAULT_TOKEN = "default-token"  # noqa: S105 - a name of a finding
    MAY_APPROVE = "may-approve"
    SELF_HOSTED_PUBLIC = "self-hosted-public"
    MERGE_QUEUE = "merge-queue"
    RELEASE_MISSING = "release-missing"
    TARGET_IN_CHECKOUT = "target-in-checkout"
    ENVIRONMENT_OPEN = "environment-open"


class Finding(Record):
    """One thing that is wrong, or could be better."""

    code: Code
    severity: Severity
    what: str
    where: str = ""
    hint: str


class Held(StrEnum):
    """How a repository holds a data file."""

    TRACKED = "tracked"
    LFS = "lfs"
    """By a pointer of Git LFS that has not been resolved here."""
    DVC = "dvc"
    """By a `.dvc` file."""
    OUTSIDE = "outside"
    """It lies in the folder and git does not have it."""
    ABSENT = "absent"
    URL = "url"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What the folder and its git say.

    Attributes:
        repository: `owner/name` on GitHub; None without such a remote.
        shallow: whether a part of the history is missing.
        branch: the default branch.
        live: the paths that are on the default branch, of those that matter.
        config: the folder's config; None where there is none, or no valid one.
        problems: what is wrong with it.
        held: how each data source of the config is held, by its path.
        lfs: whether the workflow that trains fetches Git LFS files.
    """

    repository: str | None
    shallow: bool
    branch: str
    live: frozenset[str]
    config: Config | None = None
    problems: Sequence[Problem] = ()
    held: dict[str, Held] = field(default_factory=dict)
    lfs: bool = False


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, each severity in the order found."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def diagnose_setup(setup: Setup) -> Iterator[Finding]:
    """What is wrong with the repository, its config and its data."""
    if setup.repository is None:
        yield Finding(
            code=Code.NO_REMOTE,
            severity=Severity.WARNING,
            what="the repository has no remote on GitHub",
            hint="Make one and name it: git remote add origin https://github.com/OWNER/NAME.git",
        )
    if setup.shallow:
        yield Finding(
            code=Code.SHALLOW,
            severity=Severity.WARNING,
            what="this clone is shallow, so the commit to compare with may be missing",
            hint="git fetch --unshallow",
        )
    yield from _config(setup)
    yield from _data(setup)
    yield from _store(setup)
    if JUDGE_PATH not in setup.live:
        yield Finding(
            code=Code.JUDGE_NOT_LIVE,
            severity=Severity.ERROR,
            what=f"the workflow that judges is not on {setup.branch}, as far as this clone knows: nothing is judged",
            where=JUDGE_PATH,
            hint=f"Merge it into {setup.branch}; if it is there already: git fetch",
        )


def _config(setup: Setup) -> Iterator[Finding]:
    for problem in setup.problems:
        path = f"{problem.path}: " if problem.path else ""
        yield Finding(
            code=Code.CONFIG_INVALID,
            severity=Severity.ERROR,
            what=f"{path}found {problem.found}",
            where=problem.place(CONFIG_FILE),
            hint=f"{problem.hint[:1].upper()}{problem.hint[1:]}.",
        )
    if setup.config is None and not setup.problems:
        yield Finding(
            code=Code.NO_CONFIG,
            severity=Severity.ERROR,
            what=f"there is no {CONFIG_FILE}",
            where=CONFIG_FILE,
            hint="Make one: mlbot init",
        )
    elif setup.config is not None and setup.config.guard and setup.branch not in setup.config.guard:
        yield Finding(
            code=Code.CONFIG_NOT_GUARDED,
            severity=Severity.WARNING,
            what=f"`guard` does not name the default branch {setup.branch}: pull requests into it are not gated",
            where=CONFIG_FILE,
            hint=f"Add {setup.branch} to `guard`, or leave `guard` out.",
        )


def _store(setup: Setup) -> Iterator[Finding]:
    """A folder of the checkout outlives no job; on a laptop it is fine."""
    store = setup.config.store if setup.config else None
    if store is not None and not is_url(store) and setup.repository is not None:
        yield Finding(
            code=Code.STORE_IN_CHECKOUT,
            severity=Severity.WARNING,
            what=f"{store} is a folder of the checkout, which ends with each job on GitHub: nothing is stored there",
            where=f"{CONFIG_FILE}: store",
            hint=f"Name GitHub's own registry: store: oci://ghcr.io/{setup.repository.lower()}/models",
        )


def _data(setup: Setup) -> Iterator[Finding]:
    models = setup.config.models if setup.config else ()
    inside = list(dict.fromkeys(model.data.holdout for model in models if not is_url(model.data.holdout)))
    if inside:
        yield Finding(
            code=Code.HOLDOUT_IN_REPOSITORY,
            severity=Severity.ADVICE,
            what=f"every pull request can read {', '.join(inside)}, and train on it",
            where=f"{CONFIG_FILE}: data.holdout",
            hint="Put the holdout where the judge's job alone can read it, and give its URL.",
        )
    trained = dict.fromkeys(model.data.train for model in models)
    paths = dict.fromkeys([*(path for path in trained if path), *inside])
    for path in paths:
        yield from _held(path, setup.held.get(path, Held.TRACKED), setup)


def _held(path: str, held: Held, setup: Setup) -> Iterator[Finding]:
    if held is Held.OUTSIDE:
        yield Finding(
            code=Code.DATA_NOT_IN_GIT,
            severity=Severity.ERROR,
            what="git does not have it, so GitHub's machines will not",
            where=path,
            hint="Commit it, track it with Git LFS or DVC, or give a URL in mlbot.yaml.",
        )
    elif held is Held.LFS and not setup.lfs:
        yield Finding(
            code=Code.DATA_POINTER,
            severity=Severity.ERROR,
            what="it is kept by Git LFS, and the training is not given it",
            where=path,
            hint=f"Add `lfs: true` under `with:` in {TRAIN_PATH}. To have it here: git lfs pull",
        )
    elif held is Held.DVC:
        yield Finding(
            code=Code.DATA_POINTER,
            severity=Severity.WARNING,
            what="it is kept by DVC, so `install` has to fetch it; a fork's pull request has no credentials for that",
            where=path,
            hint=f"In {TRAIN_PATH}, end `install` with `dvc pull {path}`; its store has to open without a secret.",
        )
