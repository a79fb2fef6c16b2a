"""Runs of workflows, as GitHub remembers them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fake_github.state import Repository, User


@dataclass(eq=False, kw_only=True, slots=True)
class Workflow:
    """A workflow file; its id stays with its path."""

    id: int
    path: str
    name: str
    created_at: str
    state: str = "active"


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A notice, a warning or an error that a step printed."""

    level: str
    message: str
    title: str = ""
    path: str = ".github"
    line: int = 1


@dataclass(eq=False, kw_only=True, slots=True)
class Step:
    """One step of a job."""

    name: str
    id: str = ""
    conclusion: str | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """One job of an attempt; a leg of a matrix is a job of its own."""

    id: int
    key: str
    name: str
    status: str
    conclusion: str | None
    started_at: str
    completed_at: str | None = None
    matrix: Mapping[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    summary: str = ""

    @property
    def log(self) -> str:
        """All that its steps printed."""
        return "".join(line for step in self.steps for line in step.log)

    @property
    def errors(self) -> str:
        """What its runner said of failures, and the errors that steps raised."""
        return "".join(line for step in self.steps for line in step.errors)

    @property
    def outputs(self) -> dict[str, dict[str, str]]:
        """What each step with an id put out."""
        return {step.id: step.outputs for step in self.steps if step.id}


@dataclass(eq=False, kw_only=True, slots=True)
class Attempt:
    """One attempt of a run."""

    number: int
    triggering_actor: User
    by_token: bool
    started_at: str
    updated_at: str
    status: str = "queued"
    conclusion: str | None = None
    jobs: list[Job] = field(default_factory=list)
    failed_only: bool = False


@dataclass(eq=False, kw_only=True, slots=True)
class Run:
    """A run of a workflow: what started it, and its attempts.

    ``ref`` and ``sha`` are what the jobs see as GITHUB_REF and GITHUB_SHA; ``head_sha`` is what the API shows. They
    differ for pull requests. ``waiting_for``: environments whose reviewers were not heard; ``approved``: those whose
    reviewers let it.
    """

    id: int
    number: int
    repository: Repository
    workflow: Workflow
    event: str
    payload: Mapping[str, Any]
    ref: str
    sha: str
    source: str
    head_branch: str
    head_sha: str
    head_repository: Repository | None
    title: str
    actor: User
    created_at: str
    from_fork: bool = False
    depth: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    waiting_for: list[str] = field(default_factory=list)
    approved: set[str] = field(default_factory=set)

    @property
    def latest(self) -> Attempt:
        """The newest attempt."""
        return self.attempts[-1]

    @property
    def status(self) -> str:
        """Queued, in_progress or completed."""
        return self.latest.status

    @property
    def conclusion(self) -> str | None:
        """How the newest attempt ended."""
        return self.latest.conclusion

    def job(self, key: str, **matrix: object) -> Job:
        """The job with this key in the newest attempt; the values of the matrix tell its legs apart.

        Raises:
            LookupError: no such job ran, or several did.
        """
        found = [one for one in self.latest.jobs if one.key == key and matrix.items() <= dict(one.matrix).items()]
        if len(found) != 1:
            raise LookupError(f"{len(found)} jobs {key!r} {matrix or ''} among {self.outcomes()}")
        return found[0]

    def outcomes(self) -> dict[str, str | None]:
        """Each job that ran or was skipped in the newest attempt, by name, and how it ended."""
        return {job.name: job.conclusion for job in self.latest.jobs}
