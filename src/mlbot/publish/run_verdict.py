"""`mlbot registry verdict`: the verdict on a pull request or a commit as JSON, from the run that judged it."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from mlbot.config.guard import commit_context
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError
from mlbot.events.github import State, Status
from mlbot.git.remote import remote_url
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.artifacts import Contents, unpack_each
from mlbot.github.job import locate
from mlbot.github.transport import Limits, NotFoundError
from mlbot.judging.run_hosted import DECISION_FILE, REPORT_FILE, subject_folder
from mlbot.lib.constants import ACTIONS_BOT
from mlbot.lib.record import Count, Record, Sha
from mlbot.lib.untrusted_json import read
from mlbot.protocol.artifacts import ReportArtifact, find
from mlbot.protocol.decision import Handover, PullRequestSubject
from mlbot.protocol.marker import run_of
from mlbot.publish.run_publish import HANDOVER_BYTES, REPORT_BYTES, Judged
from mlbot.report.report import Report
from mlbot.report.terminal import terminal


class VerdictState(StrEnum):
    """Whether there is a verdict, or why not. A closed list."""

    JUDGED = "judged"
    PENDING = "pending"  # its training or its judge is not over
    NONE = "none"  # nothing was ever judged of it
    NOT_FOUND = "not-found"  # GitHub has no such pull request or commit, or the token may not see it
    EXPIRED = "expired"  # the run's artifact is gone
    UNREACHABLE = "unreachable"  # GitHub did not answer
    REFUSED = "refused"  # GitHub refuses the token
    DAMAGED = "damaged"  # what is there is no report of a judge's


EXITS: Mapping[VerdictState, Exit] = MappingProxyType(
    {
        VerdictState.JUDGED: Exit.OK,
        VerdictState.NOT_FOUND: Exit.USAGE,
        VerdictState.NONE: Exit.USAGE,
        VerdictState.PENDING: Exit.INCONCLUSIVE,
        VerdictState.EXPIRED: Exit.NOT_EVALUATED,
        VerdictState.UNREACHABLE: Exit.NOT_EVALUATED,
        VerdictState.DAMAGED: Exit.NOT_EVALUATED,
        VerdictState.REFUSED: Exit.REFUSED,
    }
)


class VerdictView(Record):
    """What `mlbot registry verdict` answers."""

    schema_version: Literal["mlbot/verdict@1"] = "mlbot/verdict@1"
    state: VerdictState
    why: str = ""  # why there is no report
    pull_request: Count | None = None
    commit: Sha | None = None
    run: Count | None = None  # that judged it
    artifact: str | None = None  # of that run, which has the report
    status: str | None = None  # of the commit: `success`, `failure`, `error`, `pending`
    report: Report | None = None


class NoVerdictError(MlbotError):
    """There is no report to show."""

    def __init__(self, state: VerdictState, what: str, *, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.state = state
        self.exit_code = EXITS[state]


_MOST_SUBJECTS = 16  # pull requests with one head
_TRIGGERS = frozenset({"workflow_run", "workflow_dispatch"})


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictQuery:
    """Which verdict is asked for: that on a pull request, else on a commit."""

    pull_request: int | None = None
    commit: str | None = None
    bot: str = ACTIONS_BOT  # whose status is believed


def show_verdict(
    directory: Path,
    query: VerdictQuery,
    console: Console,
    environment: Mapping[str, str] = os.environ,
    *,
    as_json: bool = False,
) -> Exit:
    """Show a verdict. Without one, the JSON says why, and the error that is raised has the exit code of its kind."""
    if query.pull_request is not None and query.commit is not None:
        raise UsageError("--pr and --commit exclude each other", hint="Leave one of them out.")
    repository = Repository.discover(directory)
    try:
        view = _found(repository, query, console, environment)
    except MlbotError as error:
        state = _state(error)
        if state is not None and as_json:
            console.result(VerdictView(state=state, why=error.line, pull_request=query.pull_request).model_dump_json())
        raise
    if view.report is None:
        raise AssertionError("what is found has a report")
    console.result(view.model_dump_json(indent=2) if as_json else terminal(view.report, console.color, console.width))
    return Exit.OK


def _state(error: MlbotError) -> VerdictState | None:
    """What the JSON says of an error; None for one of the command line."""
    if isinstance(error, NoVerdictError):
        return error.state
    by_exit = {Exit.REFUSED: VerdictState.REFUSED, Exit.NOT_EVALUATED: VerdictState.UNREACHABLE}
    return by_exit.get(error.exit_code)


def _found(
    repository: Repository, query: VerdictQuery, console: Console, environment: Mapping[str, str]
) -> VerdictView:
    place = locate(environment, remote_url(repository))
    if place is None:
        raise UsageError("nothing says which repository on GitHub is meant", hint="Run it in a clone of one.")
    token, url = place.required_token(), place.api_url
    github = GitHub.connect(place.repository, token, api_url=url, login=query.bot, progress=console.say)
    context = commit_context(repository.folder)
    sha, latest = _status(github, repository, query, context)
    view = VerdictView(state=VerdictState.JUDGED, pull_request=query.pull_request, commit=sha, status=latest.state)
    with tempfile.TemporaryDirectory(prefix="mlbot-verdict-") as scratch:
        return _fetched(github, view, latest, Path(scratch))


def _status(github: GitHub, repository: Repository, query: VerdictQuery, context: str) -> tuple[Sha, Status]:
    """The commit that is meant, and its status."""
    what = f"#{query.pull_request}" if query.pull_request is not None else query.commit or "HEAD"
    try:
        if query.pull_request is not None:
            sha = github.pull_request(query.pull_request).head_sha
        else:
            sha = repository.resolve(query.commit or "HEAD")
        latest = github.status(sha, context)
    except NotFoundError as error:
        raise NoVerdictError(VerdictState.NOT_FOUND, f"GitHub finds no {what}", hint=error.hint) from error
    if latest is None:
        hint = "A pull request into a guarded branch is judged once its training is over."
        raise NoVerdictError(VerdictState.NONE, f"mlbot has set no status on {what}", hint=hint)
    if latest.state is State.PENDING:
        raise NoVerdictError(
            VerdictState.PENDING, f"{what} has no verdict yet: {latest.description}", hint="Ask again later."
        )
    return sha, latest


def _fetched(github: GitHub, view: VerdictView, latest: Status, folder: Path) -> VerdictView:
    """The report, out of the artifact of the run that the status leads to."""
    number = run_of(latest.url)
    if number is None:
        raise NoVerdictError(VerdictState.NONE, f"mlbot has judged nothing here: {latest.description}")
    try:
        run, listed = github.run(number), github.artifacts(number)
    except NotFoundError as error:
        raise _expired(f"the run {number} is gone") from error
    # Whoever may set a status could let it lead to a run of their own, whose artifacts have any names.
    if run.event not in _TRIGGERS or run.head_branch != github.facts().default_branch:
        raise NoVerdictError(VerdictState.NONE, f"the run {number} is no judge's: {latest.description}")
    for attempt in range(run.attempt, 0, -1):
        wanted = ReportArtifact(attempt=attempt)
        there = find(wanted, listed, number)
        if there.artifact is None and not there.expired:
            continue
        if there.artifact is None:
            raise _expired(f"the artifact {wanted.name} of the run {number} has expired")
        contents = _contents()
        archive = folder / "archive.zip"
        try:
            github.download(there.artifact, archive, Limits(most_bytes=contents.archive_bytes))
        except NotFoundError as error:
            raise _expired(f"the artifact {wanted.name} of the run {number} is gone") from error
        report = _report(archive, folder, contents, view)
        return view.model_copy(update={"run": number, "artifact": wanted.name, "report": report})
    raise NoVerdictError(VerdictState.NONE, f"the run {number} left no report: {latest.description}")


def _contents() -> Contents:
    """What is taken out of the archive: the judge's decisions, and the report of each pull request with this head."""
    names = [f"{subject_folder(at)}{REPORT_FILE}" for at in range(_MOST_SUBJECTS)]
    files = {DECISION_FILE: HANDOVER_BYTES, **dict.fromkeys(names, REPORT_BYTES)}
    return Contents(files=files, archive_bytes=2 * REPORT_BYTES, beside=True, directory_bytes=1 << 20)


def _report(archive: Path, folder: Path, contents: Contents, view: VerdictView) -> Report:
    try:
        unpack_each(archive, folder, contents)
        raw = (folder / DECISION_FILE).read_bytes()
        handover = read(raw, Handover, DECISION_FILE, most_bytes=HANDOVER_BYTES)
        for each in handover.subjects:
            subject = each.decision.subject if each.decision.kind == "judge" else None
            number = subject.number if isinstance(subject, PullRequestSubject) else None
            if subject is None or subject.sha != view.commit or view.pull_request not in {None, number}:
                continue
            if each.problem:
                raise NoVerdictError(VerdictState.NONE, f"it could not be judged: {each.problem}")
            return Judged(folder=folder, handover=handover, subject=each).report
    except FileNotFoundError as error:
        raise _damaged("it has not all that a judge hands over") from error
    except NotEvaluatedError as error:
        raise _damaged(error.what) from error
    raise _damaged("it has no report on this commit")


def _expired(what: str) -> NoVerdictError:
    hint = "What is on the guarded branch is in the ledger: mlbot registry lineage MODEL@VERSION. Else: /retrain"
    return NoVerdictError(VerdictState.EXPIRED, what, hint=hint)


def _damaged(what: str) -> NoVerdictError:
    return NoVerdictError(VerdictState.DAMAGED, f"the judge's artifact cannot be read: {what}")
