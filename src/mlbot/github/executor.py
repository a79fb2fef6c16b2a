"""Doing what was decided: operations in their order, each so that doing it twice is the same as once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError, ended
from mlbot.events.github import Attempt, State, Status
from mlbot.github.api import GitHub
from mlbot.github.comments import upsert
from mlbot.github.issues import PushBranch, propose, upsert_issue
from mlbot.github.job import Runner
from mlbot.github.transport import GitHubError, InvalidRequestError, NotFoundError, UnavailableError
from mlbot.ledger.entries import Entry
from mlbot.lib.escape import one_line
from mlbot.lib.record import Record, Sha
from mlbot.lib.templates import phrase
from mlbot.protocol.decision import PullRequestSubject
from mlbot.protocol.marker import attempt_of
from mlbot.protocol.operations import (
    Annotate,
    AppendLedger,
    CancelRun,
    Dispatch,
    EndPending,
    Log,
    Operation,
    ProposeChange,
    Proposed,
    PushCharts,
    React,
    Rerun,
    SetStatus,
    TellNotRun,
    UpsertComment,
    UpsertIssue,
    WriteSummary,
    describe,
)

# Setting a commit's status, unless a newer attempt has spoken.


class StatusSet(StrEnum):
    """What became of a status. A closed list."""

    SET = "set"
    UNCHANGED = "unchanged"
    NEWER_WRITTEN = "newer-written"
    ENDED = "ended"  # the attempt has its verdict already; a pending that comes late would never end
    NOT_CURRENT = "not-current"


def set_status(github: GitHub, operation: SetStatus) -> StatusSet:
    """Set a status if it still may be set and says something new."""
    latest = github.status(operation.subject.sha, operation.context)
    found = _why_not(operation, latest) if latest else None
    if found is not None:
        return found
    subject = operation.subject
    # Last, so that nothing comes between this look and the write.
    for each in (*operation.beside, subject):
        if isinstance(each, PullRequestSubject) and not each.is_still(github.pull_request(each.number)):
            return StatusSet.NOT_CURRENT
    body = {
        "state": operation.state.value,
        "context": operation.context,
        "description": operation.description,
        "target_url": operation.url,
    }
    github.ask("POST", f"/statuses/{subject.sha}", body)
    return StatusSet.SET


def _why_not(operation: SetStatus, latest: Status) -> StatusSet | None:
    """Why the latest status stays as it is; None when it may be replaced."""
    written = attempt_of(latest.url)
    if written is not None and written.order > operation.attempt.order:
        return StatusSet.NEWER_WRITTEN
    wanted = (operation.state, operation.description, operation.url)
    if (latest.state, latest.description, latest.url) == wanted:
        return StatusSet.UNCHANGED
    late = (operation.state is State.PENDING or operation.fallback) and latest.state is not State.PENDING
    return StatusSet.ENDED if late and written == operation.attempt else None


def end_pending(github: GitHub, operation: EndPending) -> StatusSet:
    """Take back what is pending by an attempt that mlbot has nothing to say of."""
    known, done = github.statuses(operation.sha), StatusSet.UNCHANGED
    for context in operation.contexts:
        mine = [each for each in known if each.context == context]
        if not mine or mine[0].state is not State.PENDING or not _is_by(mine[0], operation.attempt):
            continue
        before = next((each for each in mine if each.state is not State.PENDING), None)
        state = before.state if before else State.SUCCESS
        text, url = (before.description, before.url) if before else (operation.description, operation.url)
        if text is None:
            continue
        body = {"state": state.value, "context": context, "description": text, "target_url": url}
        github.ask("POST", f"/statuses/{operation.sha}", body)
        done = StatusSet.SET
    return done


def set_not_run(github: GitHub, operation: TellNotRun) -> StatusSet:
    """Set those of the statuses that still say what they said when they were listed."""
    now: dict[str, str] = {}
    for each in github.statuses(operation.sha):
        now.setdefault(each.context, each.description)  # the newest comes first
    lacking = [context for context, before in operation.listed.items() if now.get(context, before) == before]
    for context in lacking:
        body = {"state": State.PENDING.value, "context": context, "description": operation.description}
        github.ask("POST", f"/statuses/{operation.sha}", {**body, "target_url": operation.url})
    return StatusSet.SET if lacking else StatusSet.UNCHANGED


def _is_by(status: Status, attempt: Attempt) -> bool:
    """Whether a status leads to an attempt; a push's pending does without saying so."""
    page, _, mark = status.url.partition("#")
    return attempt_of(status.url) == attempt or (not mark and page.endswith(f"/actions/runs/{attempt.run}"))


# What commands do to runs: re-run, cancel, dispatch; each so that doing it twice is the same as once.

_TRIES = 2  # how often to try what GitHub may or may not have done
_LOOKS = 6
_PAUSE_S = 1.0


class Effected(StrEnum):
    """What became of an effect. A closed list."""

    DONE = "done"
    UNCHANGED = "unchanged"  # it had been done before, or there is nothing left to do it to
    NOT_CURRENT = "not-current"  # the pull request moved on, so nothing was done


def _rerun(github: GitHub, operation: Rerun) -> Effected:
    wanted = operation.attempt
    for _ in range(_TRIES):
        if github.run(wanted.run).attempt >= wanted.number:
            return Effected.UNCHANGED
        # Last, so that nothing comes between this look and the re-run.
        subject = operation.subject
        if isinstance(subject, PullRequestSubject) and not subject.is_still(github.pull_request(subject.number)):
            return Effected.NOT_CURRENT
        try:
            github.ask("POST", f"/actions/runs/{wanted.run}/rerun", repeatable=False)
        except UnavailableError:
            continue  # perhaps it was done: look again
        except MlbotError:
            if github.run(wanted.run).attempt >= wanted.number:
                return Effected.UNCHANGED  # somebody else was quicker
            raise
        for look in range(_LOOKS):  # a judge that is dispatched before the API tells of the attempt would find none
            if github.run(wanted.run).attempt >= wanted.number:
                break
            github.transport.sleep(_PAUSE_S * 2**look)
        return Effected.DONE
    raise UnavailableError(f"nobody knows whether run {wanted.run} was started again", hint="Say the command again.")


def _cancel(github: GitHub, operation: CancelRun) -> Effected:
    try:
        github.ask("POST", f"/actions/runs/{operation.run}/cancel")
    except GitHubError:
        if github.run(operation.run).completed:
            return Effected.UNCHANGED
        raise
    return Effected.DONE


def start(github: GitHub, operation: Dispatch) -> Effected:
    """Start a workflow. A second start does no harm, for whatever is started looks at what is done already."""
    path = f"/actions/workflows/{quote(operation.workflow, safe='')}/dispatches"
    body = {"ref": operation.ref, "inputs": operation.inputs}
    try:
        github.ask("POST", path, body, repeatable=False)
    except UnavailableError:
        github.ask("POST", path, body, repeatable=False)
    return Effected.DONE


def _react(github: GitHub, operation: React) -> Effected:
    try:
        github.ask("POST", f"/issues/comments/{operation.comment}/reactions", {"content": operation.reaction})
    except NotFoundError:
        return Effected.UNCHANGED
    return Effected.DONE


_ON_GITHUB: Mapping[type[Record], Callable[[GitHub, Any], str]] = MappingProxyType(
    {
        Rerun: _rerun,
        CancelRun: _cancel,
        Dispatch: start,
        React: _react,
        UpsertComment: upsert,
        UpsertIssue: upsert_issue,
        SetStatus: set_status,
        EndPending: end_pending,
        TellNotRun: set_not_run,
    }
)

Append = Callable[[Sequence[Entry]], object]  # adds entries to the ledger
Push = Callable[[Mapping[str, bytes]], Sha]  # adds pictures; the commit that holds them


@dataclass(kw_only=True)
class Published:
    """What became of the operations; `refused` is what the token or a rule forbade, `failed` what GitHub did not do."""

    done: list[tuple[str, str]] = field(default_factory=list)
    refused: list[MlbotError] = field(default_factory=list)
    failed: list[MlbotError] = field(default_factory=list)
    lost: bool = False  # whether something is missing that a verdict may not stand without
    unrecorded: MlbotError | None = None  # why the ledger could not be written
    unseen: RefusedError | None = None  # why looks could not be recorded, of which nobody may have seen anything yet
    charts: Sha | None = None
    proposals: dict[str, Proposed] = field(default_factory=dict)  # by branch

    def as_it_ended(self, operation: Operation) -> Operation:
        """An operation by what became of those before it: no status says more than what was written."""
        if not self.lost or not isinstance(operation, SetStatus) or not operation.unwritten:
            return operation
        lost = self.unrecorded
        why = phrase("words/status.j2", "ledger_lost", why=ended(lost.what)) if lost else ""
        description = one_line(why) if why else operation.unwritten
        return operation.model_copy(update={"state": State.ERROR, "description": description})

    def raise_failures(self) -> None:
        """Raise the first failure; what was refused is none: the log names it, and the summary has the report."""
        if self.failed:
            raise self.failed[0]


@dataclass(kw_only=True)
class Executor:
    """Applies operations by the API, the job's summary and log, the ledger and the charts."""

    github: GitHub
    runner: Runner
    append: Append
    push: Push
    push_branch: PushBranch = lambda _: False

    def apply(self, operations: Sequence[Operation]) -> Published:
        """Do all operations, one failure stopping no other: a comment that cannot be written leaves a status to set."""
        published = Published()
        self.runner.annotate([each for each in operations if isinstance(each, Annotate)])
        for planned in operations:
            operation = published.as_it_ended(planned)
            try:
                done = self.do(operation)
            except MlbotError as error:
                self._note(operation, error, published)
            else:
                if isinstance(operation, PushCharts):
                    published.charts = done
                elif isinstance(operation, ProposeChange):
                    published.proposals[operation.branch] = done
                    published.done.append((operation.kind, done.state))
                elif done:
                    published.done.append((operation.kind, done))
        self._settle_looks(published)
        if published.refused:
            self.runner.say(_refused(published.refused))
        return published

    def _settle_looks(self, published: Published) -> None:
        """What nobody could record is a failure where people see it; a token that may write nothing shows nothing."""
        if published.unseen is not None and published.done:
            published.failed.append(_unrecorded(published.unseen))
        elif published.unseen is not None:
            published.refused.append(published.unseen)

    def _note(self, operation: Operation, error: MlbotError, published: Published) -> None:
        if isinstance(operation, AppendLedger):
            # Later verdicts, waivers and releases rest on it: without it nothing passes, whoever forbids to write it.
            published.unrecorded, published.lost = error, True
            if isinstance(error, RefusedError) and all(each.kind == "look" for each in operation.entries):
                published.unseen = error
                return
            published.failed.append(_unrecorded(error))
        elif isinstance(error, RefusedError):
            published.refused.append(error)
            return
        else:
            published.failed.append(error)
            # A definite no to a comment is no fault: the verdict is what it is.
            published.lost |= not isinstance(error, InvalidRequestError | NotFoundError)
        self.runner.say(f"Could not {describe(operation)}: {error.what}")

    def do(self, operation: Operation) -> Any:
        """Do one operation; what became of it."""
        if act := _ON_GITHUB.get(type(operation)):
            return act(self.github, operation)
        match operation:
            case AppendLedger():
                self.append(operation.entries)
                return "appended"
            case ProposeChange():
                return propose(self.github, operation, self.push_branch)
            case PushCharts():
                return self.push({path: svg.encode() for path, svg in operation.files.items()})
            case WriteSummary():
                self.runner.add_summary(operation.text)
            case Log():
                self.runner.say(operation.sentence)
        return ""  # annotations are shown together, for the runner counts them


def dry_run(operations: Sequence[Operation], progress: Callable[[str], None]) -> None:
    """Say what would be done."""
    for operation in operations:
        progress(f"would {describe(operation)}")


def _unrecorded(error: MlbotError) -> NotEvaluatedError:
    return NotEvaluatedError(error.what, where=error.where, hint=error.hint)


def _refused(errors: Sequence[MlbotError]) -> str:
    """One sentence for all of them: they have one cause."""
    first = errors[0]
    where = f" ({first.where})" if first.where else ""
    return f"The report is in the job summary only, for {first.what}{where}. {first.hint}"
