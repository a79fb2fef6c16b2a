"""`/mlbot status`: what runs, what is stale, and why the gate is as it is, in one view."""

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from mlbot.commands.command import Command
from mlbot.commands.facts import Decision, Facts, Reason
from mlbot.events.github import Attempt, Id, PullRequest, Role, Run, WebUrl
from mlbot.events.github import Status as CommitStatus
from mlbot.lib.record import Record, Sha
from mlbot.protocol.answer import Reruns, WaiverRequest
from mlbot.protocol.marker import attempt_of, marker, read_stamp

_JOB = re.compile(r"(?:.* / )?Train (?P<pack>[A-Za-z0-9][A-Za-z0-9._+-]{0,79})")
_MOST_JOBS = 50
_MOST_RUNS = 5


class Status(Command):
    """Say what runs and why the gate is as it is."""

    kind: Literal["status"] = "status"
    name: ClassVar = "mlbot status"
    template: ClassVar = "commands/status.md.j2"
    role: ClassVar[Role] = "none"
    example: ClassVar = "/mlbot status"

    def decide(self, facts: Facts) -> Decision:
        """What is known."""
        return Decision(reason=Reason.DONE, values={"view": status_view(facts), "page": facts.page})


class Training(Record):
    """A run of the training."""

    attempt: Attempt
    state: str  # its conclusion, or that it is under way
    url: WebUrl
    trial: bool


class JobProgress(Record):
    """How far a job of trainings is, by its name; unverified."""

    pack: str
    state: str


class StatusView(Record):
    """All that the template sees."""

    head: Sha
    guarded: bool
    draft: bool
    base: str
    trainings: tuple[Training, ...]
    jobs: tuple[JobProgress, ...]  # of the newest training
    planned: bool  # whether the newest training has found out what is stale, and trained what is quick
    status: CommitStatus | None
    report: Id | None  # the comment with the verdict on this head; None when there is none, or one of another head
    behind: bool  # whether that verdict is of an older attempt than the newest that counts
    waivers: tuple[WaiverRequest, ...]


def status_view(facts: Facts) -> StatusView:
    """The view of a pull request."""
    pull, runs, reruns, progress = facts.pull_request, facts.trainings, facts.reruns, facts.progress
    stamp = (
        read_stamp(progress.report.body, report_marker(facts.policy.train_path, facts.policy.folder.config))
        if progress.report
        else None
    )
    current = stamp is not None and stamp.head == pull.head_sha
    counts = reruns.counting(runs[0].this_attempt) if runs else None
    shown = attempt_of(progress.status.url) if progress.status else None
    return StatusView(
        head=pull.head_sha,
        guarded=facts.policy.guards(pull.base_ref),
        draft=pull.draft,
        base=pull.base_ref,
        trainings=tuple(_training(run, reruns) for run in runs[:_MOST_RUNS]),
        jobs=tuple(_jobs(progress.jobs))[:_MOST_JOBS],
        planned=any(_is_plan(name) and state == "success" for name, state in progress.jobs),
        status=progress.status,
        report=progress.report.id if progress.report and current else None,
        behind=counts is not None and shown is not None and shown.order < counts.order,
        waivers=_waivers(facts, pull),
    )


def report_marker(train_path: str, config: str) -> str:
    """What the last line of the comment with the verdict starts with."""
    return marker(train_path, config)


def _training(run: Run, reruns: Reruns) -> Training:
    trial = reruns.trial(run.this_attempt) is not None
    state = run.conclusion.value.replace("_", " ") if run.completed and run.conclusion else "under way"
    return Training(attempt=run.this_attempt, state=state, url=run.url, trial=trial)


def _jobs(jobs: Iterable[tuple[str, str]]) -> Iterator[JobProgress]:
    for name, state in sorted(jobs):
        if found := _JOB.fullmatch(name):
            yield JobProgress(pack=found["pack"], state=state.replace("_", " "))


def _is_plan(name: str) -> bool:
    return name.rpartition(" / ")[2] == "Plan"


def _waivers(facts: Facts, pull: PullRequest) -> tuple[WaiverRequest, ...]:
    return tuple(each for each in facts.records if isinstance(each, WaiverRequest) and each.sha == pull.head_sha)
