"""What is to be done on GitHub, as data: an executor does it, a dry run prints it, a test asserts it."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlbot.events.github import Attempt, Id, RefName, State, WebUrl
from mlbot.ledger.entries import Entry
from mlbot.lib.constants import DESCRIPTION_LIMIT
from mlbot.lib.record import Count, Digest, Record, Sha
from mlbot.protocol.decision import PullRequestSubject, Subject
from mlbot.protocol.marker import AlarmStamp, Stamp

COMMENT_LIMIT = 65_536  # GitHub's longest comment, in characters; more is refused with 422
TITLE_LIMIT = 256  # and its longest title


class Level(StrEnum):
    """How an annotation is shown."""

    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


class UpsertComment(Record):
    """Keep one comment of the bot up to date: write it where there is none, else edit it in place."""

    kind: Literal["comment"] = "comment"
    number: Id
    marker: str  # what the last line of the comment starts with; only the bot's own comments that carry it are touched
    body: Annotated[str, StringConstraints(min_length=1, max_length=COMMENT_LIMIT)]
    """Ends in the marker, with the stamp behind it where there is one."""
    stamp: Stamp | None = None  # None: whoever writes last is right
    subject: PullRequestSubject | None = None  # what has to be true still when the comment is written; None: nothing


class UpsertIssue(Record):
    """Keep one issue of the bot up to date: open it where it is wanted and there is none, else edit it in place."""

    kind: Literal["issue"] = "issue"
    label: str
    marker: str  # what its last line starts with; only the bot's own issues that carry it are touched
    title: Annotated[str, StringConstraints(min_length=1, max_length=TITLE_LIMIT)]
    body: Annotated[str, StringConstraints(min_length=1, max_length=COMMENT_LIMIT)]
    """Ends in the marker with the stamp behind it."""
    stamp: AlarmStamp
    open: bool | None  # None: as it is; where there is none, none is opened


class ProposeChange(Record):
    """Open a pull request with files of the guarded branch changed, unless there is one on the same alarm."""

    kind: Literal["proposal"] = "proposal"
    repository: WebUrl  # its page
    base: RefName
    tip: Sha  # of the base: what the files are changed on
    branch: RefName  # mlbot's own
    files: dict[str, Digest]  # what they become, by path; the bytes are where the executor finds them
    message: str
    marker: str
    title: Annotated[str, StringConstraints(min_length=1, max_length=TITLE_LIMIT)]
    body: Annotated[str, StringConstraints(min_length=1, max_length=COMMENT_LIMIT)]
    stamp: AlarmStamp


class Proposal(StrEnum):
    """What became of a change that mlbot proposes. A closed list."""

    OPENED = "opened"
    OPEN = "open"  # it was opened before
    ANSWERED = "answered"  # there was one on this alarm, and somebody merged or closed it
    NO_CHANGE = "no-change"  # the guarded branch has these files already
    TO_OPEN = "to-open"  # the branch is there, and a person has to open it: workflows may not


class Proposed(Record):
    """A change that was proposed. `page` is where it is, or where a person opens it."""

    state: Proposal
    page: str = ""
    number: Id | None = None


class SetStatus(Record):
    """Set a commit's status, unless a newer attempt has set it."""

    kind: Literal["status"] = "status"
    subject: Subject
    beside: tuple[PullRequestSubject, ...] = ()
    """The other pull requests that it speaks of, which have to be as they were too when it is set."""
    context: str
    state: State
    description: Annotated[str, StringConstraints(min_length=1, max_length=DESCRIPTION_LIMIT)]
    url: WebUrl
    attempt: Attempt
    fallback: bool = False  # whether a status that the attempt ended with stays
    unwritten: str = ""  # what an error says instead, where a fault kept a part of the report from being written


class EndPending(Record):
    """Take back the pending of a run that mlbot does not judge: what was there before, or that nothing is guarded."""

    kind: Literal["end-pending"] = "end-pending"
    sha: Sha
    contexts: tuple[str, ...]
    attempt: Attempt  # whose pending it is; any other status stays
    description: Annotated[str, StringConstraints(min_length=1, max_length=DESCRIPTION_LIMIT)] | None
    """None where a pull request into a guarded branch has this head: a status that never was anything else stays."""
    url: WebUrl


class TellNotRun(Record):
    """Set the statuses of a head that no run of mlbot's has told of, but for those that came since it was listed."""

    kind: Literal["not-run"] = "not-run"
    number: Id
    sha: Sha
    listed: dict[str, str | None]  # what each status said in the list; None: it was not there
    description: Annotated[str, StringConstraints(min_length=1, max_length=DESCRIPTION_LIMIT)]
    url: WebUrl


class AppendLedger(Record):
    """Add entries to the ledger."""

    kind: Literal["ledger"] = "ledger"
    entries: tuple[Entry, ...]


class PushCharts(Record):
    """Put pictures where a comment can show them."""

    kind: Literal["charts"] = "charts"
    files: dict[str, str]


class WriteSummary(Record):
    """Add to the job's summary."""

    kind: Literal["summary"] = "summary"
    text: str


class Annotate(Record):
    """Show something at a line of a file."""

    kind: Literal["annotate"] = "annotate"
    level: Level
    title: str
    message: str
    file: str = ""
    line: Count | None = None


class Log(Record):
    """Write one sentence into the log."""

    kind: Literal["log"] = "log"
    sentence: str


class Rerun(Record):
    """Run a training again, all of it: one attempt more of the same run, with the code and rights it had."""

    kind: Literal["rerun"] = "rerun"
    attempt: Attempt  # the attempt that this makes; nothing is done where it is there already
    subject: Subject  # what has to be true still: a training of an older head would end the present one's


class CancelRun(Record):
    """Cancel a run."""

    kind: Literal["cancel"] = "cancel"
    run: Id


class Dispatch(Record):
    """Start a workflow of the default branch."""

    kind: Literal["dispatch"] = "dispatch"
    workflow: str  # its file's name, such as `mlbot-judge.yml`
    ref: RefName
    inputs: dict[str, str] = Field(default_factory=dict)


class React(Record):
    """React to a comment."""

    kind: Literal["react"] = "react"
    comment: Id
    reaction: Literal["eyes", "rocket", "confused"]


Operation = Annotated[
    UpsertComment
    | UpsertIssue
    | ProposeChange
    | SetStatus
    | EndPending
    | TellNotRun
    | AppendLedger
    | PushCharts
    | WriteSummary
    | Annotate
    | Log
    | Rerun
    | CancelRun
    | Dispatch
    | React,
    Field(discriminator="kind"),
]


def describe(operation: Operation) -> str:
    """An operation in a line, for a dry run and for the log."""
    match operation:
        case UpsertComment() | UpsertIssue() | ProposeChange():
            return _describe_text(operation)
        case SetStatus():
            status = f"{operation.state}: {operation.description}"
            return f"set the status {operation.context} of {operation.subject.sha[:10]} to {status}"
        case AppendLedger():
            return f"add {_several(len(operation.entries), 'entry', 'entries')} to the ledger"
        case PushCharts():
            return f"push {_several(len(operation.files), 'chart', 'charts')}"
        case WriteSummary() | Annotate() | Log():
            return _describe_local(operation)
        case EndPending() | TellNotRun() | Rerun() | CancelRun() | Dispatch() | React():
            return _describe_effect(operation)


def _describe_text(operation: UpsertComment | UpsertIssue | ProposeChange) -> str:
    match operation:
        case UpsertComment():
            return f"write the comment on #{operation.number} ({len(operation.body):,} characters)"
        case UpsertIssue():
            return f"bring the issue {operation.title!r} up to date ({_STATES[operation.open]})"
        case ProposeChange():
            files = _several(len(operation.files), "file", "files")
            return f"propose {files} from {operation.branch} to {operation.base}: {operation.title}"


_STATES = {True: "open", False: "closed", None: "as it is"}


def _describe_local(operation: WriteSummary | Annotate | Log) -> str:
    match operation:
        case WriteSummary():
            return f"write the job summary ({len(operation.text):,} characters)"
        case Annotate():
            place = f" at {operation.file}:{operation.line}" if operation.file else ""
            return f"annotate ({operation.level}){place}: {operation.title}"
        case Log():
            return operation.sentence


def _describe_effect(operation: EndPending | TellNotRun | Rerun | CancelRun | Dispatch | React) -> str:
    match operation:
        case EndPending():
            return f"end what is pending of {operation.sha[:10]}"
        case TellNotRun():
            return f"set {_several(len(operation.listed), 'status', 'statuses')} that #{operation.number} lacks"
        case Rerun():
            return f"re-run the training {operation.attempt.run} as attempt {operation.attempt.number}"
        case CancelRun():
            return f"cancel the run {operation.run}"
        case Dispatch():
            given = ", ".join(f"{name}={value}" for name, value in operation.inputs.items())
            return f"start {operation.workflow} on {operation.ref} with {given}"
        case React():
            return f"react to the comment with {operation.reaction}"


def _several(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
