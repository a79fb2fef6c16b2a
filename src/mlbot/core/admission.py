"""What the trusted side does about a run: judge it, settle it without judging, wait, or leave it alone.

Everything is decided from the event, the run as the API gives it when asked again, the open pull requests and the
guarded branch's policy. Nothing is taken from an artifact: its writer may be a stranger.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from mlbot.core.forge import Attempt, Conclusion, Id, PullRequest, RefName, RepositoryName, Run, State
from mlbot.core.record import Record, Sha

_QUEUE = re.compile(r"gh-readonly-queue/(?P<base>.+)/pr-[0-9]+-[0-9a-f]{40}")
"""How the merge queue names its branches (docs.github.com, "Managing a merge queue")."""


class Policy(Record):
    """What the guarded branch's side says of itself; never what a run says."""

    repository_id: Id
    repository: RepositoryName
    default_branch: RefName
    guard: tuple[str, ...] = ()
    """The config's `guard`; empty: the default branch."""
    train_path: str
    """Path of the workflow that trains, as `.github/workflows/mlbot-train.yml`."""

    def guards(self, branch: str) -> bool:
        """Whether pull requests into this branch are gated."""
        return branch in (self.guard or (self.default_branch,))


class PullRequestSubject(Record):
    """A pull request's head is to be judged: comment and status."""

    kind: Literal["pull_request"] = "pull_request"
    number: Id
    sha: Sha
    branch: RefName
    """The guarded branch that it goes into."""
    head_ref: RefName
    head_repository_id: Id
    fork: bool
    draft: bool = False


class MergeGroupSubject(Record):
    """The merge queue's result is to be judged: status only."""

    kind: Literal["merge_group"] = "merge_group"
    sha: Sha
    branch: RefName


class PushSubject(Record):
    """The guarded branch's own commit is to be judged: status and ledger."""

    kind: Literal["push"] = "push"
    sha: Sha
    branch: RefName


Subject = PullRequestSubject | MergeGroupSubject | PushSubject


class Cause(StrEnum):
    """Why a run is not judged. A closed list."""

    # left alone: nothing is posted anywhere
    OTHER_REPOSITORY = "other-repository"
    OTHER_WORKFLOW = "other-workflow"
    OTHER_EVENT = "other-event"
    EVENT_DISAGREES = "event-disagrees"
    OTHER_ATTEMPT = "other-attempt"
    NEWER_ATTEMPT = "newer-attempt"
    NOT_GUARDED = "not-guarded"
    NO_PULL_REQUEST = "no-pull-request"
    SEVERAL_PULL_REQUESTS = "several-pull-requests"
    HEAD_REPOSITORY_GONE = "head-repository-gone"
    STALE_HEAD = "stale-head"
    # settled: a status that says so
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"
    NEEDS_APPROVAL = "needs-approval"
    DRAFT = "draft"
    SKIPPED = "skipped"
    DID_NOT_START = "did-not-start"
    # waiting
    NOT_COMPLETED = "not-completed"


class Judge(Record):
    """Judge this subject by this attempt of the run."""

    kind: Literal["judge"] = "judge"
    subject: Subject
    attempt: Attempt
    """Whose model files are judged."""
    instead_of: Attempt | None = None
    """A newer attempt that trained nothing and has spoken already; the verdict has to stand where its word stood."""

    @property
    def speaks_as(self) -> Attempt:
        """Whose word the verdict is: an older attempt's never replaces a newer one's."""
        return self.instead_of or self.attempt


class Settle(Record):
    """There is nothing to judge, and the status says so."""

    kind: Literal["settle"] = "settle"
    subject: Subject
    attempt: Attempt
    cause: Cause
    state: State
    sentence: str


class Wait(Record):
    """The run is not over, whatever the event said: read it again later."""

    kind: Literal["wait"] = "wait"
    subject: Subject
    attempt: Attempt
    cause: Literal[Cause.NOT_COMPLETED] = Cause.NOT_COMPLETED


class Leave(Record):
    """Post nothing."""

    kind: Literal["leave"] = "leave"
    cause: Cause
    sentence: str


Decision = Judge | Settle | Wait | Leave


def admit(
    run: Run, asked: Attempt, policy: Policy, pulls: Sequence[PullRequest], event_run: Run | None = None
) -> Decision:
    """What to do about a run.

    Args:
        run: The run as the API gives it now.
        asked: The attempt that the event or the dispatch names.
        policy: Whose facts these are to be.
        pulls: Open pull requests that may be the run's, as the API gives them now.
        event_run: The run as the event told of it; None for a dispatch, which tells nothing but its number.
    """
    refused = _foreign(run, asked, policy, event_run)
    if refused is not None:
        return refused
    subject = _subject(run, policy, pulls)
    return subject if isinstance(subject, Leave) else _by_conclusion(run, subject)


def _leave(cause: Cause, sentence: str) -> Leave:
    return Leave(cause=cause, sentence=sentence)


def _foreign(run: Run, asked: Attempt, policy: Policy, event_run: Run | None) -> Leave | None:
    """The first check that the run does not stand, in the order of the checks."""
    attempts = f"The API gave attempt {run.this_attempt} when asked for {asked}."
    checks: tuple[tuple[bool, Cause, str], ...] = (
        (
            run.repository_id == policy.repository_id,
            Cause.OTHER_REPOSITORY,
            "The run belongs to another repository.",
        ),
        (
            run.path == policy.train_path,
            Cause.OTHER_WORKFLOW,
            f"The run is not of {policy.train_path}, whatever its name says.",
        ),
        (
            run.event in {"pull_request", "merge_group", "push"},
            Cause.OTHER_EVENT,
            "The run was started by an event that mlbot does not judge.",
        ),
        (
            event_run is None or _identity(event_run) == _identity(run),
            Cause.EVENT_DISAGREES,
            "The event and the API tell different things of the run.",
        ),
        (run.id == asked.run and run.attempt >= asked.number, Cause.OTHER_ATTEMPT, attempts),
        (run.attempt <= asked.number, Cause.NEWER_ATTEMPT, f"A newer attempt has replaced attempt {asked}."),
    )
    return next((_leave(cause, sentence) for holds, cause, sentence in checks if not holds), None)


def _identity(run: Run) -> tuple[object, ...]:
    return run.id, run.repository_id, run.path, run.event, run.head_sha, run.head_repository_id


def _subject(run: Run, policy: Policy, pulls: Sequence[PullRequest]) -> Subject | Leave:
    if run.event == "pull_request":
        return _pull_request(run, policy, pulls)
    if run.head_repository_id != policy.repository_id:
        return _leave(Cause.OTHER_REPOSITORY, "The run's commit is of another repository.")
    branch = run.head_branch or ""
    if run.event == "merge_group":
        queue = _QUEUE.fullmatch(branch)
        if queue is None or not policy.guards(queue["base"]):
            return _leave(Cause.NOT_GUARDED, "The merge queue is not of a guarded branch.")
        return MergeGroupSubject(sha=run.head_sha, branch=queue["base"])
    if not policy.guards(branch):
        return _leave(Cause.NOT_GUARDED, "The branch that was pushed to is not guarded.")
    return PushSubject(sha=run.head_sha, branch=branch)


def _pull_request(run: Run, policy: Policy, pulls: Sequence[PullRequest]) -> Subject | Leave:
    if run.head_repository_id is None:
        return _leave(Cause.HEAD_REPOSITORY_GONE, "The repository that head was in is gone.")
    ours = [
        pull
        for pull in pulls
        if pull.open
        and pull.base_repository_id == policy.repository_id
        and pull.head_repository_id == run.head_repository_id
    ]
    current = [pull for pull in ours if pull.head_sha == run.head_sha]
    guarded = [pull for pull in current if policy.guards(pull.base_ref)]
    if len(guarded) == 1:
        return _of(guarded[0], run.head_repository_id)
    if guarded:
        return _leave(Cause.SEVERAL_PULL_REQUESTS, f"{len(guarded)} open pull requests have this head.")
    if current:
        return _leave(Cause.NOT_GUARDED, "The pull request goes into a branch that is not guarded.")
    if any(pull.head_ref == run.head_branch for pull in ours):
        return _leave(Cause.STALE_HEAD, "The pull request has a newer head by now.")
    return _leave(Cause.NO_PULL_REQUEST, "No open pull request has this head.")


def _of(pull: PullRequest, head_repository_id: Id) -> PullRequestSubject:
    return PullRequestSubject(
        number=pull.number,
        sha=pull.head_sha,
        branch=pull.base_ref,
        head_ref=pull.head_ref,
        head_repository_id=head_repository_id,
        fork=pull.fork,
        draft=pull.draft,
    )


_SETTLED: dict[Conclusion, tuple[Cause, State, str]] = {
    Conclusion.CANCELLED: (Cause.CANCELLED, State.ERROR, "The training was cancelled; run it again to get a verdict."),
    Conclusion.TIMED_OUT: (Cause.TIMED_OUT, State.ERROR, "The training ran into its time limit."),
    Conclusion.ACTION_REQUIRED: (
        Cause.NEEDS_APPROVAL,
        State.PENDING,
        "The training waits for a maintainer to approve the run.",
    ),
    Conclusion.STARTUP_FAILURE: (Cause.DID_NOT_START, State.ERROR, "GitHub could not start the training workflow."),
    Conclusion.STALE: (Cause.DID_NOT_START, State.ERROR, "GitHub gave the training up as stale."),
    Conclusion.SKIPPED: (Cause.SKIPPED, State.ERROR, "The training was skipped, so there is nothing to judge."),
}


def _by_conclusion(run: Run, subject: Subject) -> Judge | Settle | Wait:
    """A run that failed is judged: the judge knows what is missing. One that says nothing at all is no pass."""
    attempt = run.this_attempt
    if not run.completed or run.conclusion is None:
        if run.conclusion is not Conclusion.ACTION_REQUIRED:
            return Wait(subject=subject, attempt=attempt)
    elif run.conclusion is Conclusion.SKIPPED and isinstance(subject, PullRequestSubject) and subject.draft:
        sentence = "Drafts train on request: re-run the training, or mark the draft ready for review."
        return Settle(subject=subject, attempt=attempt, cause=Cause.DRAFT, state=State.PENDING, sentence=sentence)
    settled = _SETTLED.get(run.conclusion)
    if settled is None:
        return Judge(subject=subject, attempt=attempt)
    cause, state, sentence = settled
    return Settle(subject=subject, attempt=attempt, cause=cause, state=state, sentence=sentence)


def announce(run: Run, policy: Policy, pulls: Sequence[PullRequest], event_run: Run | None = None) -> Subject | Leave:
    """Whose status goes pending when a run was requested; the same checks as `admit`, but for the run's end."""
    return _foreign(run, run.this_attempt, policy, event_run) or _subject(run, policy, pulls)


class Write(StrEnum):
    """Whether a write may go out. A closed list."""

    GO = "go"
    HEAD_MOVED = "head-moved"
    CLOSED = "closed"
    OTHER_BASE = "other-base"
    NEWER_WRITTEN = "newer-written"


def may_write(subject: PullRequestSubject, now: PullRequest) -> Write:
    """Whether a pull request is still what was judged, asked immediately before each write."""
    if not now.open or now.number != subject.number:
        return Write.CLOSED
    if now.head_sha != subject.sha or now.head_repository_id != subject.head_repository_id:
        return Write.HEAD_MOVED
    return Write.GO if now.base_ref == subject.branch else Write.OTHER_BASE


def may_replace(mine: Attempt, written: Attempt | None) -> Write:
    """Whether what `mine` says may stand where `written` has spoken; the same attempt may say it again."""
    return Write.GO if written is None or mine.order >= written.order else Write.NEWER_WRITTEN
