"""What GitHub remembers: plain mutable records. Nothing here decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.fake_github.gitstore import GitStore

Role = Literal["admin", "maintain", "write", "triage", "read", "none"]
MergeMethod = Literal["merge", "squash", "rebase"]


@dataclass(eq=False, kw_only=True, slots=True)
class User:
    """A person, an organization or a bot."""

    id: int
    login: str
    kind: Literal["User", "Organization", "Bot"] = "User"


@dataclass(eq=False, kw_only=True, slots=True)
class Reaction:
    """One person's reaction to an issue or a comment."""

    id: int
    user: User
    content: str
    created_at: str


@dataclass(eq=False, kw_only=True, slots=True)
class Comment:
    """A comment on an issue or a pull request."""

    id: int
    number: int
    user: User
    body: str
    created_at: str
    updated_at: str
    by_app: bool = False
    minimized: str | None = None
    edits: list[tuple[User, str]] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(eq=False, kw_only=True, slots=True)
class Pull:
    """What makes an issue a pull request."""

    head_repo: "Repository | None"
    head_owner: User
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    mergeable: bool = True
    merge_commit: str | None = None
    merged_at: str | None = None
    merged_by: User | None = None


@dataclass(eq=False, kw_only=True, slots=True)
class Issue:
    """An issue or a pull request; they share numbers."""

    id: int
    number: int
    title: str
    body: str | None
    user: User
    created_at: str
    updated_at: str
    state: Literal["open", "closed"] = "open"
    state_reason: str | None = None
    closed_at: str | None = None
    labels: list[str] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    pull: Pull | None = None


@dataclass(eq=False, kw_only=True, slots=True)
class QueueEntry:
    """A pull request in a merge queue, with its group: a branch that holds it and all that is before it."""

    issue: Issue
    base_ref: str
    ref: str
    sha: str
    base: str
    passed: bool | None = None


@dataclass(eq=False, kw_only=True, slots=True)
class MergeQueue:
    """The merge queue of a branch, and two of its settings."""

    entries: list[QueueEntry] = field(default_factory=list)
    method: MergeMethod = "merge"
    only_non_failing: bool = True


@dataclass(eq=False, kw_only=True, slots=True)
class Label:
    """A label of a repository."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(eq=False, kw_only=True, slots=True)
class Status:
    """A commit status."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created_at: str


@dataclass(eq=False, kw_only=True, slots=True)
class CheckRun:
    """A check run: an app's, or a job of Actions."""

    id: int
    sha: str
    name: str
    status: str
    conclusion: str | None
    app: str
    started_at: str
    completed_at: str | None = None
    output: dict[str, Any] = field(default_factory=dict)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    details_url: str | None = None
    external_id: str = ""


@dataclass(eq=False, kw_only=True, slots=True)
class Artifact:
    """An archive that a run uploaded."""

    id: int
    run_id: int
    attempt: int
    name: str
    archive: bytes
    digest: str
    created_at: str
    expired: bool = False


@dataclass(eq=False, kw_only=True, slots=True)
class DeploymentStatus:
    """One step of a deployment."""

    id: int
    state: str
    creator: User
    created_at: str
    description: str = ""
    environment: str = ""
    environment_url: str = ""
    log_url: str = ""


@dataclass(eq=False, kw_only=True, slots=True)
class Deployment:
    """A deployment of a commit to an environment."""

    id: int
    sha: str
    ref: str
    task: str
    environment: str
    description: str | None
    payload: Any
    creator: User
    created_at: str
    production: bool
    transient: bool
    statuses: list[DeploymentStatus] = field(default_factory=list)


@dataclass(eq=False, kw_only=True, slots=True)
class Environment:
    """A place to deploy to, and who may."""

    id: int
    name: str
    created_at: str
    reviewers: list[User] = field(default_factory=list)
    prevent_self_review: bool = False
    wait_timer: int = 0
    branches: list[str] | None = None
    secrets: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True, slots=True)
class Asset:
    """A file of a release."""

    id: int
    name: str
    label: str | None
    content_type: str
    data: bytes
    uploader: User
    created_at: str


@dataclass(eq=False, kw_only=True, slots=True)
class Release:
    """A release of a tag."""

    id: int
    tag: str
    target: str
    name: str | None
    body: str | None
    draft: bool
    prerelease: bool
    author: User
    created_at: str
    published_at: str | None
    assets: list[Asset] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What GitHub remembers of a move of a branch."""

    id: int
    ref: str
    before: str
    after: str
    kind: str
    actor: User
    time: str


@dataclass(eq=False, kw_only=True, slots=True)
class Repository:
    """A repository and everything in it."""

    id: int
    owner: User
    name: str
    git: GitStore
    created_at: str
    private: bool = False
    default_branch: str = "main"
    parent: "Repository | None" = None
    roles: dict[str, Role] = field(default_factory=dict)
    default_token: Mapping[str, str] = field(default_factory=lambda: {"contents": "read", "packages": "read"})
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    artifacts: dict[int, Artifact] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    releases: dict[int, Release] = field(default_factory=dict)
    rulesets: dict[int, dict[str, Any]] = field(default_factory=dict)
    merge_queues: dict[str, MergeQueue] = field(default_factory=dict)
    protections: dict[str, dict[str, Any]] = field(default_factory=dict)
    attestations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        """Owner and name."""
        return f"{self.owner.login}/{self.name}"

    def role(self, user: User) -> Role:
        """A user's role; everybody may read a public repository."""
        if user is self.owner:
            return "admin"
        return self.roles.get(user.login, "none" if self.private else "read")
