"""All that the fake remembers, and how it tells the world: one instance a test."""

import itertools
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.fake_github import contract
from tests.fake_github.errors import Refusal, not_found
from tests.fake_github.gitstore import GitStore, Identity
from tests.fake_github.runs import Run, Workflow
from tests.fake_github.state import Repository, User
from tests.fake_github.tokens import Token

BOT: Final = "github-actions[bot]"
STARTS_ANYWAY: Final = frozenset({"workflow_dispatch", "repository_dispatch"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One event as GitHub would post it to a webhook."""

    event: str
    payload: Mapping[str, Any]
    repository: Repository
    sender: User
    by_token: bool


def is_proposal(delivery: Delivery) -> bool:
    """Whether a workflow's own token opened, reopened or pushed to a pull request: its runs wait for an approval."""
    moved = delivery.payload.get("action") in {"opened", "reopened", "synchronize"}
    return delivery.by_token and delivery.event == "pull_request" and moved


@dataclass(eq=False, kw_only=True)
class World:
    """Users, repositories, tokens, runs, events.

    ``lock`` is held while a request is answered: each request sees and leaves a whole state.
    """

    root: Path
    url: str = ""
    users: dict[str, User] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    runtime: dict[int, str] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    workflows: dict[tuple[int, str], Workflow] = field(default_factory=dict)
    queue: list[Run] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    listeners: list[Callable[[Delivery], None]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    hides_artifacts: bool = True
    """Whether "re-run all jobs" hides what earlier attempts uploaded, as on GitHub."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        # Ids of different kinds never coincide, so a mix-up of ids is seen.
        self._ids = {kind: itertools.count(1 + place * 10**8) for place, kind in enumerate(KINDS, start=1)}
        self.bot = self.add_user(BOT, "Bot")

    def next_id(self, kind: str) -> int:
        """A fresh id."""
        return next(self._ids[kind])

    def now(self) -> str:
        """The time as GitHub writes it: UTC, to the second."""
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def api_url(self) -> str:
        """GITHUB_API_URL: the fake is laid out as an Enterprise Server."""
        return f"{self.url}/api/v3"

    @property
    def blob_url(self) -> str:
        """Another host, as on GitHub: clients must not take their token there."""
        return self.url.replace("127.0.0.1", "localhost")

    def add_user(self, login: str, kind: str = "User") -> User:
        """A user, made when first named."""
        found = self.users.get(login.lower())
        if found is None:
            assert kind in {"User", "Bot", "Organization"}, kind
            found = User(id=self.next_id("user"), login=login, kind=kind)  # type: ignore[arg-type] # checked above
            self.users[login.lower()] = found
        return found

    def add_repository(self, full_name: str, *, private: bool = False, parent: Repository | None = None) -> Repository:
        """An empty repository, or a fork."""
        owner, name = full_name.split("/")
        git = GitStore.create(self.root / "git" / owner / f"{name}.git", parent.git.path if parent else None)
        repository = Repository(
            id=self.next_id("repository"),
            owner=self.add_user(owner, "User" if parent else "Organization"),
            name=name,
            git=git,
            created_at=self.now(),
            private=private,
            default_branch=parent.default_branch if parent else "main",
            parent=parent,
        )
        self.repositories[full_name.lower()] = repository
        return repository

    def repository(self, full_name: str) -> Repository:
        """The repository of this name.

        Raises:
            Refusal: there is none.
        """
        found = self.repositories.get(full_name.lower().removesuffix(".git"))
        if found is None:
            raise not_found()
        return found

    def personal_token(self, login: str) -> Token:
        """A person's token: ``ghp_<login>``."""
        value = f"ghp_{login}"
        return self.tokens.setdefault(value, Token(value=value, user=self.add_user(login)))

    def runtime_token(self, run_id: int) -> str:
        """What a runner uploads artifacts with; no job sees it in its environment."""
        return self.runtime.setdefault(run_id, f"ghr_{run_id}_{secrets.token_hex(8)}")

    def token(self, value: str) -> Token:
        """Who holds a token.

        Raises:
            Refusal: nobody does.
        """
        found = self.tokens.get(value)
        if found is None:
            raise Refusal(401, "Bad credentials")
        return found

    def identity(self, user: User) -> Identity:
        """A user as the author of a commit, now."""
        email = f"{user.id}+{user.login}@users.noreply.github.com"
        return Identity(name=user.login, email=email, time=int(self.clock().timestamp()))

    def violate(self, message: str) -> None:
        """Keep a breach of GitHub's contract for the fixture to raise."""
        self.violations.append(message)

    def emit(self, event: str, repository: Repository, facts: Mapping[str, Any], token: Token) -> Delivery:
        """Tell everybody who listens. Facts of the repository and the sender are added by the caller."""
        delivery = Delivery(
            event=event,
            payload=contract.payload(event, facts),
            repository=repository,
            sender=token.user,
            by_token=token.kind == "workflow",
        )
        self.deliveries.append(delivery)
        if not delivery.by_token or event in STARTS_ANYWAY or is_proposal(delivery):
            for listener in list(self.listeners):
                listener(delivery)
        return delivery


KINDS: Final = (
    "user", "repository", "issue", "comment", "reaction", "label", "status", "check_run", "artifact", "deployment",
    "deployment_status", "environment", "release", "asset", "workflow", "run", "job", "ruleset", "attestation",
)  # fmt: skip
