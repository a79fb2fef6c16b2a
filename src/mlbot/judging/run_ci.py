"""A job of GitHub Actions about a training run: what it may talk to, whose facts it trusts, what it decides."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path

from mlbot.config.errors import Document
from mlbot.config.folder import ROOT, ConfigFolder
from mlbot.config.guard import commit_context
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import MlbotError
from mlbot.events.event import Event, NotAnEvent, PullRequestEvent, WorkflowRunEvent
from mlbot.events.github import (
    Artifact,
    Attempt,
    JobTime,
    Login,
    PullRequest,
    Pushed,
    Run,
    RunnerTime,
    runner_times,
)
from mlbot.git.ledger import LedgerBranch, read_folders
from mlbot.git.merge import branch_commits
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub, job_times
from mlbot.github.comments import unaltered
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.github.transport import UnavailableError
from mlbot.judging.admission import Around, announce, triage
from mlbot.ledger.entries import RequestEntry, folders_of, time_of
from mlbot.lib.constants import ACTIONS_BOT, CONFIG_FILE, TRAIN_PATH
from mlbot.lib.record import Sha
from mlbot.protocol.answer import Recorded, Reruns, RetrainRequest, has_records, recorded
from mlbot.protocol.decision import (
    NO_RERUNS,
    Cause,
    Decision,
    Ignore,
    Judge,
    Policy,
    PullRequestSubject,
    PushSubject,
    Subject,
)
from mlbot.protocol.marker import Place, Stamp, marker_of, read_stamp

_NOT_ON_BRANCH = Ignore(
    cause=Cause.NOT_ON_BRANCH, sentence="A tag or another branch brought the commit, not the guarded branch itself."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CIOptions:
    """What the command line of a job says."""

    directory: Path = Path()
    folder: ConfigFolder = ROOT  # of the mlbot.yaml that the job goes by
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
    _reruns: dict[tuple[object, ...], Reruns] = field(default_factory=dict, repr=False)
    """By the latest attempts. An attempt's record is written before it begins, so a judge asks once."""
    _waves: dict[int, tuple[RequestEntry, ...]] = field(default_factory=dict, repr=False)
    _artifacts: dict[int, tuple[Artifact, ...]] = field(default_factory=dict, repr=False)
    _jobs: dict[Attempt, tuple[JobTime, ...]] = field(default_factory=dict, repr=False)
    _pushes: dict[str, tuple[Pushed, ...]] = field(default_factory=dict, repr=False)

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
        return GitHub.of_job(self.job, self.console.say)

    @cached_property
    def event(self) -> Event | NotAnEvent:
        """What started the job."""
        return self.job.event()

    @cached_property
    def repository(self) -> Repository:
        """The checkout; of the default branch, but in the jobs that train."""
        return Repository.discover(self.options.directory, self.options.folder.path)

    @property
    def remote(self) -> Remote:
        """The repository's git."""
        return Remote(url=self.job.clone_url, token=self.job.token)

    @cached_property
    def document(self) -> Document | None:
        """The default branch's mlbot.yaml, with its lines; None where it has none."""
        path, name = self.repository.project / CONFIG_FILE, self.options.folder.config
        return load(path.read_bytes(), name) if path.is_file() else None

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
            folder=self.options.folder,
        )

    def runner_times(self, attempt: Attempt) -> tuple[RunnerTime, ...]:
        """What an attempt took of runners up to now; nothing where GitHub does not say, for it decides nothing."""
        if attempt not in self._jobs:
            try:
                self._jobs[attempt] = tuple(job_times(self.github, attempt))
            except MlbotError as error:
                self.console.say(f"GitHub does not say how long its jobs ran: {error.what}")
                self._jobs[attempt] = ()
        # Of each pull request of a head anew: the judge's own job runs on from one to the next.
        return runner_times(self._jobs[attempt], time_of(datetime.now(UTC)))

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
            config=self.options.folder.config,
            context=commit_context(self.options.folder.path),
            run_url=self.job.run_url,
        )

    def training_url(self, attempt: Attempt) -> str:
        """Where an attempt of the training run can be read."""
        return f"{self.url}/actions/runs/{attempt.run}/attempts/{attempt.number}"

    def artifacts(self, run: int) -> tuple[Artifact, ...]:
        """All artifacts of a run, asked for once."""
        if run not in self._artifacts:
            self._artifacts[run] = self.github.artifacts(run)
        return self._artifacts[run]

    def pushes(self, branch: str) -> tuple[Pushed, ...]:
        """What GitHub says of how a branch moved, newest first, asked for once."""
        if branch not in self._pushes:
            self._pushes[branch] = self.github.pushes(branch)
        return self._pushes[branch]

    @property
    def event_run(self) -> Run | None:
        """The run as the event has it; None for a dispatch."""
        return self.event.run if isinstance(self.event, WorkflowRunEvent) else None

    def request(self) -> RetrainRequest | None:
        """What `/retrain` asked of the attempt that this job is part of; None where no command started it."""
        return self._recorded.request(self.job.run)

    @cached_property
    def _recorded(self) -> Reruns:
        """What the bot recorded of the run that this job is part of."""
        if self.job.run.number == 1 or not isinstance(self.event, PullRequestEvent):
            return NO_RERUNS
        records = recorded(self.github.comments(self.event.number), self.options.bot)
        return Reruns.of_pull_request(records, self.event.number)

    def wave(self) -> RequestEntry | None:
        """The seeds that a judge asked of this job's attempt, or of one before it, as this clone's ledger has it."""
        if self.job.run.number == 1 or isinstance(self.event, NotAnEvent):
            return None
        entries = read_folders(self.repository.root, folders_of("request", str(self.job.run.run))).entries
        number = self.event.number if isinstance(self.event, PullRequestEvent) else None
        found = tuple(each for each in entries if isinstance(each, RequestEntry))
        reruns = self._recorded.model_copy(update={"waves": found})
        # A run has one head: whose commit it is need not be asked.
        waves = (reruns.waves_until(self.job.run, commit, number) for commit in {each.commit for each in found})
        return max(chain.from_iterable(waves), key=lambda each: each.order, default=None)

    def waves(self, run: int) -> tuple[RequestEntry, ...]:
        """What judges asked of a run's later attempts, asked for once."""
        if run not in self._waves:
            entries = LedgerBranch.at(self.remote).read_folders(folders_of("request", str(run)), few=True).entries
            self._waves[run] = tuple(each for each in entries if isinstance(each, RequestEntry))
        return self._waves[run]

    def decide(self) -> tuple[Decision, ...]:
        """Read the run again from the API, and decide what to do about it, for each pull request with its head."""
        run, asked = self.github.run(self.attempt.run), self.attempt
        pulls = self._pulls(run)
        others = self._others(run) if run.event == "pull_request" else ()
        reruns = self._reruns_of(run, others, pulls)
        if run.id == asked.run and run.attempt > asked.number and reruns.outlasts(asked, run.this_attempt):
            run = self.github.run(run.id, asked.number)
        counting = [self._counting(each, reruns) for each in others]
        around = Around(pulls=pulls, event_run=self.event_run, reruns=reruns, others=counting)
        decisions = triage(run, asked, self.policy, around)
        if len(decisions) == 1 and isinstance(decisions[0], Judge) and self._is_judged(decisions[0]):
            return (Ignore(cause=Cause.JUDGED, sentence="The judge that the command started is done already."),)
        return tuple(
            each if isinstance(each, Ignore) or self._is_of_branch(each.subject) else _NOT_ON_BRANCH
            for each in decisions
        )

    def _is_of_branch(self, subject: Subject) -> bool:
        """Only a commit that was the guarded branch's tip is a push of it: a tag may be called like the branch.

        Of a commit that is not the tip any more GitHub says whether it was: it may be inside a push of several.
        """
        if not isinstance(subject, PushSubject):
            return True
        places = branch_commits(self.remote, subject.branch)
        if places.get(subject.sha) in {None, len(places) - 1}:
            return subject.sha in places
        return any(each.after == subject.sha for each in self.pushes(subject.branch))

    def announced(self) -> tuple[Run, Sequence[Subject] | Ignore]:
        """The run as it is now, and whose statuses end by an error for it.

        Where GitHub does not say who has edited the bot's answers they are believed: an error harms nobody, and silence
        would leave a success of the attempt before.
        """
        run = self.github.run(self.attempt.run)
        pulls = self._pulls(run)
        try:
            reruns = self._reruns_of(run, (), pulls)
        except UnavailableError:
            reruns = self._reruns_of(run, (), pulls, believed=True)
        found = announce(run, self.policy, Around(pulls=pulls, event_run=self.event_run, reruns=reruns))
        if isinstance(found, Ignore) or all(map(self._is_of_branch, found)):
            return run, found
        return run, _NOT_ON_BRANCH

    def begun_after(self) -> Attempt | None:
        """The attempt after this one, where that is the latest by now and the bot itself has asked for it."""
        run, following = self.github.run(self.attempt.run), self.attempt.number + 1
        if run.attempt != following:
            return None
        reruns, attempt = self._reruns_of(run, (), self._pulls(run)), run.this_attempt
        request = reruns.request(attempt)
        own = reruns.asked(attempt) if request is None else request.tip is not None
        return attempt if own else None

    def proposed(self, commit: Sha) -> tuple[PullRequest, ...]:
        """The open pull requests into guarded branches with this head."""
        pulls = self.github.pull_requests_with(commit)
        return tuple(each for each in pulls if each.open and self.policy.guards(each.base_ref))

    def _is_judged(self, decision: Judge) -> bool:
        """Whether an event is of a re-run whose own judge is through: the command starts one, event or no event."""
        subject, repeated = decision.subject, self.job.run.number > 1
        asked = decision.reruns.asked(decision.attempt)
        if not asked or repeated or self.event_run is None or not isinstance(subject, PullRequestSubject):
            return False
        marker, stamp = marker_of(self.place, trial=decision.trial), Stamp(attempt=decision.speaks_as, head=subject.sha)
        own = (each for each in self.github.comments(subject.number) if each.author == self.github.login)
        return any(read_stamp(each.body, marker) == stamp for each in own)

    def _pulls(self, run: Run) -> tuple[PullRequest, ...]:
        return self.github.pull_requests_of(run) if run.event == "pull_request" else ()

    def _others(self, run: Run) -> tuple[Run, ...]:
        """The other trainings of this head: of its other pull requests, and of this one's earlier and later events."""
        found = self.github.runs(run.head_sha, run.event)
        return tuple(
            each
            for each in found
            if each.id != run.id and (each.repository_id, each.path) == (run.repository_id, run.path)
        )

    def _counting(self, run: Run, reruns: Reruns) -> Run:
        """A run as it was at the newest attempt that is no trial."""
        counting = reruns.counting(run.this_attempt)
        return run if counting == run.this_attempt else self.github.run(run.id, counting.number)

    def _reruns_of(
        self, run: Run, others: Sequence[Run], pulls: Sequence[PullRequest], *, believed: bool = False
    ) -> Reruns:
        """What the bot recorded of the runs' later attempts; without any, no comment is read.

        Of every pull request that the runs may have been started for, closed ones too: an attempt that one of them was
        asked for as a trial is a trial for all of them.
        """
        latest = max(run.attempt, self.attempt.number if run.id == self.attempt.run else 1)
        again = [each for each in (run, *others) if each.attempt > 1 or (each is run and latest > 1)]
        if not again:
            return NO_RERUNS
        if run.event != "pull_request":
            return Reruns(waves=self.waves(run.id))
        numbers = {pull.number for pull in pulls if pull.open}
        numbers |= {number for each in again for number in self.github.pull_request_numbers(each)}
        known = (latest, *(each.this_attempt for each in again))
        if known not in self._reruns:
            found = (Reruns.of_pull_request(self.records(each, believed=believed), each) for each in sorted(numbers))
            self._reruns[known] = Reruns(
                requests=tuple(request for each in found for request in each.requests),
                waves=tuple(wave for each in again for wave in self.waves(each.id)),
            )
        return self._reruns[known]

    def records(self, number: int, *, believed: bool = False) -> tuple[Recorded, ...]:
        """What the bot recorded on a pull request, in answers that nobody else has edited, or that are `believed`."""
        answers = [each for each in self.github.comments(number) if has_records(each)]
        found = answers if believed else unaltered(self.github, answers, self.options.bot)
        return recorded(found, self.options.bot)
