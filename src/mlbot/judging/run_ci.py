"""A job of GitHub Actions about a training run: what it may talk to, whose facts it trusts, what it decides."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mlbot.config.errors import Document
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.events.event import Event, NotAnEvent, PullRequestEvent, WorkflowRunEvent
from mlbot.events.github import Attempt, Login, PullRequest, Run
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.judging.admission import announce, triage
from mlbot.lib.constants import ACTIONS_BOT, CONFIG_FILE, TRAIN_PATH
from mlbot.protocol.answer import Reruns, RetrainRequest, recorded
from mlbot.protocol.decision import (
    NO_RERUNS,
    Cause,
    Decision,
    FinishWithoutJudging,
    Ignore,
    Judge,
    Policy,
    PullRequestSubject,
    Subject,
)
from mlbot.protocol.marker import Place, Stamp, marker_of, read_stamp


@dataclass(frozen=True, kw_only=True, slots=True)
class CIOptions:
    """What the command line of a job says."""

    directory: Path = Path()
    run: int | None = None  # the training run that the job is about; None: its own
    attempt: int = 1
    train_path: str = TRAIN_PATH
    bot: Login = ACTIONS_BOT


@dataclass(frozen=True, kw_only=True)
class CIRun:
    """One job. What it does not use is not asked for: a plan without a re-run needs no token."""

    job: Job
    runner: Runner
    options: CIOptions
    console: Console = field(repr=False)
    _reruns: dict[tuple[int, Attempt], Reruns] = field(default_factory=dict, repr=False)
    """By pull request and latest attempt. An attempt's record is written before it begins, so a judge asks once."""

    @classmethod
    def of(cls, options: CIOptions, environment: MutableMapping[str, str], console: Console) -> "CIRun":
        """The job that this process is in; the tokens are taken out of its environment."""
        job = Job.of(environment)
        forget_tokens(environment)
        return cls(job=job, runner=Runner.of(environment, console.err), options=options, console=console)

    @property
    def attempt(self) -> Attempt:
        """The attempt of the training run that this job is about."""
        run = self.options.run
        return self.job.run if run is None else Attempt(run=run, number=self.options.attempt)

    @cached_property
    def github(self) -> GitHub:
        """The API."""
        return GitHub.connect(
            self.job.repository, self.job.required_token(), api_url=self.job.api_url, progress=self.console.say
        )

    @cached_property
    def event(self) -> Event | NotAnEvent:
        """What started the job."""
        return self.job.event()

    @cached_property
    def repository(self) -> Repository:
        """The checkout; of the default branch, but in the jobs that train."""
        return Repository.discover(self.options.directory)

    @property
    def remote(self) -> Remote:
        """The repository's git."""
        return Remote(url=self.job.clone_url, token=self.job.token)

    @cached_property
    def document(self) -> Document | None:
        """The default branch's mlbot.yaml, with its lines; None where it has none."""
        path = self.repository.root / CONFIG_FILE
        return load(path.read_bytes(), CONFIG_FILE) if path.is_file() else None

    @cached_property
    def config(self) -> Config | None:
        """The same, parsed."""
        return parse_config(self.document) if self.document else None

    @cached_property
    def policy(self) -> Policy:
        """What the default branch says of itself."""
        facts = self.github.facts()
        return Policy(
            repository_id=facts.id,
            repository=self.job.repository,
            default_branch=facts.default_branch,
            guard=self.config.guard if self.config else (),
            train_path=self.options.train_path,
        )

    @property
    def url(self) -> str:
        """Of the repository."""
        return f"{self.job.server_url}/{self.job.repository}"

    @property
    def place(self) -> Place:
        """Where a verdict is published."""
        return Place(
            repository=self.job.repository,
            server=self.job.server_url,
            workflow=self.options.train_path,
            run_url=self.job.run_url,
        )

    def training_url(self, attempt: Attempt) -> str:
        """Where an attempt of the training run can be read."""
        return f"{self.url}/actions/runs/{attempt.run}/attempts/{attempt.number}"

    @property
    def event_run(self) -> Run | None:
        """The run as the event has it; None for a dispatch."""
        return self.event.run if isinstance(self.event, WorkflowRunEvent) else None

    def request(self) -> RetrainRequest | None:
        """What `/retrain` asked of the attempt that this job is part of; None where no command started it."""
        if self.job.run.number == 1 or not isinstance(self.event, PullRequestEvent):
            return None
        records = recorded(self.github.comments(self.event.number), self.options.bot)
        return Reruns.of_pull_request(records, self.event.number).request(self.job.run)

    def decide(self) -> tuple[Run, Decision]:
        """Read the run again from the API, and decide what to do about it."""
        run, decision = self._triage(self.github.run(self.attempt.run), self.attempt, self.event_run)
        if isinstance(decision, FinishWithoutJudging) and decision.cause is Cause.SKIPPED:
            return self._instead(run, decision)
        if isinstance(decision, Judge) and self._is_judged(decision):
            return run, Ignore(cause=Cause.JUDGED, sentence="The judge that the command started is done already.")
        return run, decision

    def announced(self) -> tuple[Run, Subject | Ignore]:
        """The run as it is now, and whose status goes pending for it."""
        run = self.github.run(self.attempt.run)
        pulls = self._pulls(run)
        return run, announce(run, self.policy, pulls, self.event_run, self._reruns_of(run.this_attempt, pulls))

    def _is_judged(self, decision: Judge) -> bool:
        """Whether an event is of a re-run whose own judge is through: the command starts one, event or no event."""
        subject, repeated = decision.subject, self.job.run.number > 1
        asked = decision.reruns.request(decision.attempt) is not None
        if not asked or repeated or self.event_run is None or not isinstance(subject, PullRequestSubject):
            return False
        marker, stamp = marker_of(self.place, trial=decision.trial), Stamp(attempt=decision.attempt, head=subject.sha)
        own = (each for each in self.github.comments(subject.number) if each.author == self.github.login)
        return any(read_stamp(each.body, marker) == stamp for each in own)

    def _triage(self, run: Run, asked: Attempt | None, event_run: Run | None) -> tuple[Run, Decision]:
        """Decide about an attempt; None: the newest that is no trial."""
        pulls = self._pulls(run)
        latest = Attempt(run=run.id, number=max(run.attempt, asked.number if asked else 1))
        reruns = self._reruns_of(latest, pulls)
        asked = asked or reruns.counting(run.this_attempt)
        if run.id == asked.run and run.attempt > asked.number and reruns.outlasts(asked, run.this_attempt):
            run = self.github.run(run.id, asked.number)
        return run, triage(run, asked, self.policy, pulls, event_run, reruns)

    def _pulls(self, run: Run) -> tuple[PullRequest, ...]:
        return self.github.pull_requests_of(run) if run.event == "pull_request" else ()

    def _reruns_of(self, latest: Attempt, pulls: Sequence[PullRequest]) -> Reruns:
        """What the bot recorded of a run's later attempts; without any, no comment is read."""
        numbers = [pull.number for pull in pulls if pull.open and self.policy.guards(pull.base_ref)]
        if latest.number == 1 or len(numbers) != 1:
            return NO_RERUNS
        known = (numbers[0], latest)
        if known not in self._reruns:
            records = recorded(self.github.comments(numbers[0]), self.options.bot)
            self._reruns[known] = Reruns.of_pull_request(records, numbers[0])
        return self._reruns[known]

    def _instead(self, skipped: Run, decision: FinishWithoutJudging) -> tuple[Run, Decision]:
        """A run that trained nothing, for the title was edited, must not outdate the verdict of the one before it."""
        others = [
            run
            for run in self.github.runs(skipped.head_sha, skipped.event)
            if run.path == skipped.path and run.id != skipped.id and run.conclusion != skipped.conclusion
        ]
        if not others:
            return skipped, decision
        other, earlier = self._triage(others[0], None, None)
        if not other.completed:
            return skipped, Ignore(cause=Cause.SKIPPED, sentence="An earlier run of this head is still under way.")
        if isinstance(earlier, Judge):
            return other, earlier.model_copy(update={"instead_of": skipped.this_attempt})
        if isinstance(earlier, FinishWithoutJudging):
            return other, earlier.model_copy(update={"attempt": skipped.this_attempt})
        return other, earlier
