"""What can be decided about a run: whom it is for, and what becomes of it. `mlbot.judging.admission` decides."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mlbot.config.folder import ROOT, ConfigFolder
from mlbot.config.guard import commit_context, contexts, entry_of, own_context
from mlbot.events.github import Attempt, Id, Login, PullRequest, RefName, RepositoryName, State
from mlbot.ledger.entries import RequestEntry
from mlbot.lib.record import Digest, Record, Sha
from mlbot.protocol.answer import Reruns

NO_RERUNS = Reruns()


class Policy(Record):
    """What the guarded branch's side says of itself; never what a run says."""

    repository_id: Id
    repository: RepositoryName
    default_branch: RefName
    guard: tuple[str, ...] = ()  # the config's `guard`; empty: the default branch
    train_path: str  # path of the workflow that trains, as `.github/workflows/mlbot-train.yml`
    folder: ConfigFolder = ROOT  # of mlbot.yaml

    @property
    def entries(self) -> tuple[str, ...]:
        """What is guarded: branches and patterns."""
        return self.guard or (self.default_branch,)

    def guards(self, branch: str) -> bool:
        """Whether pull requests into this branch are gated."""
        return self.entry_of(branch) is not None

    def entry_of(self, branch: str) -> str | None:
        """The entry that guards a branch; None where none does."""
        return entry_of(branch, self.entries)

    @property
    def status(self) -> str:
        """The status of a commit."""
        return commit_context(self.folder.path)

    @property
    def contexts(self) -> tuple[str, ...]:
        """Every status that a rule may require."""
        return contexts(self.entries, self.folder.path)

    def own_context(self, branch: str) -> str | None:
        """The status that speaks of this branch's entry alone; None where `status` does, for there is one entry."""
        entry = self.entry_of(branch) if len(self.entries) > 1 else None
        return own_context(entry, self.folder.path) if entry is not None else None


class PullRequestSubject(Record):
    """A pull request's head is to be judged: comment and status."""

    kind: Literal["pull_request"] = "pull_request"
    number: Id
    sha: Sha
    branch: RefName  # the guarded branch that it goes into
    head_ref: RefName
    head_repository_id: Id | None  # None when the fork is gone
    fork: bool
    draft: bool = False
    author: Login | None = None

    @classmethod
    def of(cls, pull: PullRequest) -> "PullRequestSubject":
        """A pull request as the thing that is judged."""
        return cls(
            number=pull.number,
            sha=pull.head_sha,
            branch=pull.base_ref,
            head_ref=pull.head_ref,
            head_repository_id=pull.head_repository_id,
            fork=pull.fork,
            draft=pull.draft,
            author=pull.author,
        )

    def is_still(self, now: PullRequest) -> bool:
        """Whether a pull request is still what was judged; asked immediately before each write."""
        wanted = (self.number, self.sha, self.head_repository_id, self.branch)
        return now.open and (now.number, now.head_sha, now.head_repository_id, now.base_ref) == wanted


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

    # ignored: nothing is posted anywhere
    OTHER_REPOSITORY = "other-repository"
    OTHER_WORKFLOW = "other-workflow"
    OTHER_EVENT = "other-event"
    EVENT_DISAGREES = "event-disagrees"
    OTHER_ATTEMPT = "other-attempt"
    NEWER_ATTEMPT = "newer-attempt"
    NOT_GUARDED = "not-guarded"  # of a pull request whose head has no other: finished, with success
    NOT_ON_BRANCH = "not-on-branch"
    NO_PULL_REQUEST = "no-pull-request"
    TRIAL = "trial"
    JUDGED = "judged"
    STALE_HEAD = "stale-head"
    # finished without judging: a status that says so
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"
    NEEDS_APPROVAL = "needs-approval"
    DRAFT = "draft"
    SKIPPED = "skipped"
    DID_NOT_START = "did-not-start"
    HEAD_REPOSITORY_GONE = "head-repository-gone"
    OWN_RUN = "own-run"  # what this head's other pull request started is over, its own training is not
    # waiting
    NOT_COMPLETED = "not-completed"


class Judge(Record):
    """Judge this subject by this attempt of the run."""

    kind: Literal["judge"] = "judge"
    subject: Subject
    attempt: Attempt
    instead_of: Attempt | None = None
    """The newest attempt of this head's runs, where that is another one; the verdict replaces what it said."""
    others: tuple[Attempt, ...] = ()
    """Attempts of other runs of this head, where this one has no files for the merge of this pull request."""
    coming: bool = False
    """Whether another run of this head is under way, which may have them."""
    reruns: Reruns = NO_RERUNS

    @property
    def trial(self) -> bool:
        """Whether it is shown only: no status, no ledger."""
        return self.reruns.trial(self.attempt) is not None

    @property
    def pinned(self) -> Sha | None:
        """The tip that the bot recorded for this attempt: it was merged onto it, and is judged there."""
        request, wave = self.reruns.request(self.attempt), self.wave
        if request is not None:
            return request.tip
        return wave.tip if wave is not None and wave.attempt == self.attempt else None

    @property
    def wave(self) -> RequestEntry | None:
        """The seeds that a judge asked this attempt, or one before it, for."""
        return self.waves[-1] if self.waves else None

    @property
    def waves(self) -> tuple[RequestEntry, ...]:
        """The requests of seeds that led to this attempt."""
        return self.reruns.waves_until(self.attempt, self.subject.sha, self.number)

    @property
    def number(self) -> int | None:
        """The pull request's number."""
        return self.subject.number if isinstance(self.subject, PullRequestSubject) else None

    @property
    def speaks_as(self) -> Attempt:
        """Whose word the verdict is: an older attempt's never replaces a newer one's."""
        return self.instead_of or self.attempt

    def by(self, attempt: Attempt) -> "Judge":
        """The same subject, judged by another attempt's files."""
        return self.model_copy(update={"attempt": attempt, "instead_of": self.speaks_as})

    def awaited(self) -> "FinishWithoutJudging":
        """The same subject, as long as the run that trains for it is under way."""
        return FinishWithoutJudging(
            subject=self.subject,
            attempt=self.speaks_as,
            cause=Cause.OWN_RUN,
            state=State.PENDING,
            reruns=self.reruns,
        )


class FinishWithoutJudging(Record):
    """There is nothing to judge, and the status says so."""

    kind: Literal["finish"] = "finish"
    subject: Subject
    attempt: Attempt
    cause: Cause
    state: State
    reruns: Reruns = NO_RERUNS

    @property
    def trial(self) -> bool:
        """Whether no status is to be set."""
        return self.reruns.trial(self.attempt) is not None


class Wait(Record):
    """The run is not over, whatever the event said: read it again later."""

    kind: Literal["wait"] = "wait"
    subject: Subject
    attempt: Attempt
    cause: Literal[Cause.NOT_COMPLETED] = Cause.NOT_COMPLETED


class Ignore(Record):
    """Post nothing."""

    kind: Literal["ignore"] = "ignore"
    cause: Cause
    sentence: str

    @property
    def leaves_pending(self) -> bool:
        """Whether the job that says pending, which knows no config, said so, and nothing else would end it.

        Of another workflow's run, whatever its name, a pending is right: that commit has no verdict.
        """
        return self.cause in {Cause.NOT_GUARDED, Cause.NOT_ON_BRANCH, Cause.NO_PULL_REQUEST, Cause.OTHER_EVENT}


Decision = Judge | FinishWithoutJudging | Wait | Ignore


class JudgedSubject(Record):
    """What came of one subject of a run."""

    decision: Annotated[Decision, Field(discriminator="kind")]
    folder: str  # where its files lie among those handed over: empty, or with a slash at its end
    problem: str = ""  # why it could not be judged, where another one could
    outdated: bool = False  # whether the guarded branch has outdated the training, so that it runs again
    request: RequestEntry | None = None  # the seeds that the verdict lacks, so that they are trained


class Handover(Record):
    """What a judge hands on: its decisions, at least one, and the files beside them by their digests.

    The jobs after it are given the digest of this record as an output of the judge's job, so that nobody else who could
    write to the run's artifacts is believed.
    """

    judge: Attempt  # the run that judged
    subjects: tuple[JudgedSubject, ...]
    files: dict[str, Digest] = Field(default_factory=dict)
