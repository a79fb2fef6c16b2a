"""What a command is decided from, what is decided, and the refusals that several commands share."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, InstanceOf

from mlbot.config.errors import nearest
from mlbot.config.schema import Config
from mlbot.events.event import CommentEvent
from mlbot.events.github import Attempt, Comment, Conclusion, PullRequest, Role, Run, Status, seconds_between
from mlbot.gates.metric import Gate
from mlbot.lib.record import Name, Record, Sha
from mlbot.protocol.answer import Recorded, Reruns
from mlbot.protocol.decision import Policy
from mlbot.protocol.operations import CancelRun, Dispatch, Rerun, SetStatus

Effect = Annotated[Rerun | CancelRun | Dispatch | SetStatus, Field(discriminator="kind")]


class Reason(StrEnum):
    """Why a command is answered as it is: the name of its words, in its template or in `shared.md.j2`.

    Refusals that one command alone has are a closed list beside it.
    """

    DONE = "done"  # the only one that is no refusal
    # for how it is written
    MISUNDERSTOOD = "misunderstood"
    EDITED = "edited"
    EDITS_UNKNOWN = "edits_unknown"  # GitHub does not say whether it was
    TOO_OFTEN = "too_often"
    ONE_AT_A_TIME = "one_at_a_time"
    # for who wrote it, or where
    NOT_PERMITTED = "not_permitted"
    NO_COLLABORATOR = "no_collaborator"
    NO_PULL_REQUEST = "no_pull_request"
    CLOSED = "closed"
    FORK_GONE = "fork_gone"
    NOT_GUARDED = "not_guarded"
    # for what it names
    NO_CONFIG = "no_config"
    CONFIG_BROKEN = "config_broken"
    UNKNOWN_MODEL = "unknown_model"
    # for how the head and its training are
    HEAD_MOVED = "head_moved"
    NEEDS_APPROVAL = "needs_approval"
    NOT_TRAINED = "not_trained"
    # for GitHub did not do it
    CHANGED_MEANWHILE = "changed_meanwhile"
    NOT_RERUN = "not_rerun"
    NO_WORKFLOW = "no_workflow"
    NOT_STARTED = "not_started"
    NOT_DONE = "not_done"


class Decision(Record):
    """What is done about one command, and why."""

    reason: InstanceOf[StrEnum]
    values: dict[str, Any] = Field(default_factory=dict)
    """What the words of the reason name; from outside, so the template escapes them."""
    records: tuple[Annotated[Recorded, Field(discriminator="kind")], ...] = ()
    """Written into the answer before the effects."""
    effects: tuple[Effect, ...] = ()  # done in this order, each only if the one before it was


class Progress(Record):
    """What is read for `/mlbot status` alone."""

    status: Status | None = None  # the bot's latest on the head
    jobs: tuple[tuple[str, str], ...] = ()
    """Name and state of each job of the newest training: the pull request's own words."""
    report: Comment | None = None  # the bot's comment with the verdict


class Facts(Record):
    """What is known when a command is decided. Nothing is read again between two commands of a comment."""

    event: CommentEvent
    role: Role  # the commenter's, by the API
    policy: Policy
    judge_workflow: str  # the file's name
    release_workflow: str  # likewise
    pull: PullRequest | None = None  # as it is now; None for an issue
    tip: Sha | None = None  # the newest commit of the pull request's branch, where something is trained
    runs: tuple[Run, ...] = ()  # of the head, whatever started them, newest first
    config: Config | None = None  # the guarded branch's; None where it has none, or one that cannot be read
    config_refusal: Decision | None = None  # why there are no rules to go by, where that is so
    head_models: dict[Name, tuple[Gate, ...]] = Field(default_factory=dict)
    """The models with their gates that the head's own config adds, where a command names one; hostile, but typed."""
    records: tuple[Recorded, ...] = ()  # of the bot's answers in this thread, this comment's left out
    resumed: tuple[Recorded, ...] = ()  # of an earlier answer to this comment, whose writer did not live to the end
    progress: Progress = Progress()
    page: str = ""  # where the thread can be read

    @property
    def pull_request(self) -> PullRequest:
        """The pull request, for the commands that are refused in an issue."""
        if self.pull is None:
            raise ValueError("a command about a pull request was given in an issue")
        return self.pull

    @property
    def trainings(self) -> tuple[Run, ...]:
        """The runs that trained this pull request's head, newest first; those that skipped it come last.

        An edited title starts a run that trains nothing; a draft's only run did not train either, and a further
        attempt of its first one does.
        """
        pull = self.pull
        if pull is None or pull.head_repository_id is None:
            return ()
        wanted = (self.policy.repository_id, self.policy.train_path, "pull_request")
        source = (pull.head_sha, pull.head_ref, pull.head_repository_id)
        found = [
            run
            for run in self.runs
            if (run.repository_id, run.path, run.event) == wanted
            and (run.head_sha, run.head_branch, run.head_repository_id) == source
        ]
        skipped = [run for run in found if run.conclusion is Conclusion.SKIPPED]
        return (*(run for run in found if run not in skipped), *reversed(skipped))

    @property
    def gates(self) -> dict[Name, tuple[Gate, ...]]:
        """The gates of each model by name; the guarded branch's word counts where it has one."""
        return self.head_models | {model.name: model.gates for model in (self.config.models if self.config else ())}

    @property
    def reruns(self) -> Reruns:
        """What commands asked of the runs' attempts."""
        return Reruns.of_pull_request((*self.records, *self.resumed), self.event.number)

    def judge(self, attempt: Attempt) -> Dispatch:
        """Start the judge: what this job's token does to a run may tell nobody."""
        inputs = {"run-id": str(attempt.run), "run-attempt": str(attempt.number)}
        return Dispatch(workflow=self.judge_workflow, ref=self.policy.default_branch, inputs=inputs)


# The refusals that several commands share


def not_judged(facts: Facts) -> Decision | None:
    """Why a pull request is none that is trained and judged."""
    pull = facts.pull_request
    if not pull.open:
        return Decision(reason=Reason.CLOSED)
    if pull.head_repository_id is None:
        return Decision(reason=Reason.FORK_GONE)
    if not facts.policy.guards(pull.base_ref):
        return Decision(reason=Reason.NOT_GUARDED, values={"branch": pull.base_ref})
    return None


def head_moved(facts: Facts) -> Decision | None:
    """Whether the head was pushed after the comment was written: a push starts a run, and GitHub dates both."""
    asked = facts.event.created
    later = any(asked and run.created and seconds_between(asked, run.created) > 0 for run in facts.trainings)
    return Decision(reason=Reason.HEAD_MOVED) if later else None


def unknown_model(facts: Facts, name: str) -> Decision:
    """A name that is no model's."""
    values = {"name": name, "near": nearest(name, facts.gates), "models": tuple(facts.gates)}
    return Decision(reason=Reason.UNKNOWN_MODEL, values=values)


def judged_attempt(facts: Facts) -> tuple[Run, Attempt, bool] | Decision:
    """The run of the head, its newest attempt that is no trial, and whether that one is over."""
    found = facts.trainings
    if not found or found[0].conclusion is Conclusion.SKIPPED:
        return Decision(reason=Reason.NOT_TRAINED)
    run = found[0]
    if run.conclusion is Conclusion.ACTION_REQUIRED:
        return Decision(reason=Reason.NEEDS_APPROVAL, values={"run": run.url})
    attempt = facts.reruns.counting(run.this_attempt)
    return run, attempt, run.completed or attempt != run.this_attempt
