"""A job on GitHub that is about a training run: whose facts it trusts, what it decides, what it works on."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlbot.config.errors import Document
from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.events.event import WorkflowRunEvent
from mlbot.events.github import Attempt, Login, PullRequest, Run
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub, RepositoryFacts
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.judging.admission import admit, announce
from mlbot.lib.constants import ACTIONS_BOT, CONFIG_FILE
from mlbot.protocol.answer import Reruns, recorded
from mlbot.protocol.decision import (
    NO_RERUNS,
    Cause,
    Decision,
    Judge,
    Leave,
    Policy,
    PullRequestSubject,
    Settle,
    Subject,
)
from mlbot.protocol.marker import Place, Stamp, marker_of, read_stamp


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """One job, and what it may talk to.

    Attributes:
        job: what the runner says of it.
        github: the API.
        runner: the job's outputs, summary and log.
        repository: the checkout of the default branch.
        asked: the attempt of the training run that this job is about.
        train_path: of the user's workflow file that trains.
        bot: whose answers to commands count.
    """

    job: Job
    github: GitHub
    runner: Runner
    repository: Repository
    asked: Attempt
    train_path: str
    bot: Login = ACTIONS_BOT

    @classmethod
    def of(
        cls,
        directory: Path,
        environment: MutableMapping[str, str],
        about: tuple[int, int],
        train_path: str,
        bot: Login,
        console: Console,
    ) -> "Hosted":
        """The job that this process is in.

        Args:
            directory: the checkout of the default branch.
            environment: of this process; the tokens are taken out of it.
            about: the training run and its attempt.
            train_path: of the user's workflow file that trains.
            bot: whose answers to commands count.
            console: told of waits.

        Raises:
            UsageError: this is no job of GitHub Actions, it was given no token, or the folder is no checkout.
        """
        job = Job.of(environment)
        forget_tokens(environment)
        github = GitHub.connect(job.repository, job.required_token(), api_url=job.api_url, say=console.say)
        return cls(
            job=job,
            github=github,
            runner=Runner.of(environment, console.err),
            repository=Repository.discover(directory),
            asked=Attempt(run=about[0], number=about[1]),
            train_path=train_path,
            bot=bot,
        )

    @cached_property
    def _reruns_of(self) -> dict[tuple[int, Attempt], Reruns]:
        """Records that were read, by pull request and latest attempt.

        An attempt's record is written before it begins, so what was read once an attempt is there stays true of it: a
        judge that waits for hours asks once.
        """
        return {}

    @cached_property
    def facts(self) -> RepositoryFacts:
        """What the API says of the repository."""
        return self.github.facts()

    @cached_property
    def document(self) -> Document | None:
        """The default branch's mlbot.yaml, with its lines; None where it has none."""
        path = self.repository.root / CONFIG_FILE
        return load(path.read_bytes(), CONFIG_FILE) if path.is_file() else None

    @cached_property
    def policy(self) -> Policy:
        """What the default branch, which is checked out here, says of itself."""
        document = self.document
        guard = parse_config(document).guard if document else ()
        return Policy(
            repository_id=self.facts.id,
            repository=self.job.repository,
            default_branch=self.facts.default_branch,
            guard=guard,
            train_path=self.train_path,
        )

    @property
    def remote(self) -> Remote:
        """The repository's git."""
        return Remote(url=self.job.clone_url, token=self.job.token)

    @property
    def place(self) -> Place:
        """Where a verdict is published."""
        return Place(
            repository=self.job.repository,
            server=self.job.server_url,
            workflow=self.train_path,
            run_url=self.job.run_url,
        )

    def training_url(self, attempt: Attempt) -> str:
        """Where an attempt of the training run can be read."""
        return f"{self.job.server_url}/{self.job.repository}/actions/runs/{attempt.run}/attempts/{attempt.number}"

    def event_run(self) -> Run | None:
        """The run as the event tells of it; None for a dispatch."""
        event = self.job.event()
        return event.run if isinstance(event, WorkflowRunEvent) else None

    def decide(self) -> tuple[Run, Decision]:
        """Read the run again from the API, and decide what to do about it."""
        run, decision = self._admit(self.github.run(self.asked.run), self.asked, self.event_run())
        if isinstance(decision, Settle) and decision.cause is Cause.SKIPPED:
            return self._instead(run, decision)
        if isinstance(decision, Judge) and self._is_judged(decision):
            return run, Leave(cause=Cause.JUDGED, sentence="The judge that the command started has spoken already.")
        return run, decision

    def _is_judged(self, decision: Judge) -> bool:
        """Whether an event tells of a re-run whose own judge is through: the command starts one, event or no event."""
        subject, repeated = decision.subject, self.job.run.number > 1
        asked = decision.reruns.request(decision.attempt) is not None
        if not asked or repeated or self.event_run() is None or not isinstance(subject, PullRequestSubject):
            return False
        marker, stamp = marker_of(self.place, trial=decision.trial), Stamp(attempt=decision.attempt, head=subject.sha)
        own = (each for each in self.github.comments(subject.number) if each.author == self.github.login)
        return any(read_stamp(each.body, marker) == stamp for each in own)

    def announced(self) -> tuple[Run, Subject | Leave]:
        """The run as it is now, and whose status goes pending for it."""
        run = self.github.run(self.asked.run)
        pulls = self._pulls(run)
        return run, announce(run, self.policy, pulls, self.event_run(), self._reruns(run.this_attempt, pulls))

    def _admit(self, run: Run, asked: Attempt | None, event_run: Run | None) -> tuple[Run, Decision]:
        """Decide about an attempt; None: the newest that is no trial."""
        pulls = self._pulls(run)
        latest = Attempt(run=run.id, number=max(run.attempt, asked.number if asked else 1))
        reruns = self._reruns(latest, pulls)
        asked = asked or reruns.standing(run.this_attempt)
        if run.id == asked.run and run.attempt > asked.number and reruns.outlasts(asked, run.this_attempt):
            run = self.github.run(run.id, asked.number)
        return run, admit(run, asked, self.policy, pulls, event_run, reruns)

    def _pulls(self, run: Run) -> tuple[PullRequest, ...]:
        return self.github.pull_requests_of(run) if run.event == "pull_request" else ()

    def _reruns(self, latest: Attempt, pulls: Sequence[PullRequest]) -> Reruns:
        """What the bot recorded of a run's later attempts; without any, no comment is read."""
        numbers = [pull.number for pull in pulls if pull.open and self.policy.guards(pull.base_ref)]
        if latest.number == 1 or len(numbers) != 1:
            return NO_RERUNS
        known = (numbers[0], latest)
        if known not in self._reruns_of:
            records = recorded(self.github.comments(numbers[0]), self.bot)
            self._reruns_of[known] = Reruns.of_pull_request(records, numbers[0])
        return self._reruns_of[known]

    def _instead(self, skipped: Run, decision: Settle) -> tuple[Run, Decision]:
        """A run that trained nothing, for the title was edited, must not outdate the verdict of the one before it."""
        others = [
            run
            for run in self.github.runs(skipped.head_sha, skipped.event)
            if run.path == skipped.path and run.id != skipped.id and run.conclusion != skipped.conclusion
        ]
        if not others:
            return skipped, decision
        other, earlier = self._admit(others[0], None, None)
        if not other.completed:
            return skipped, Leave(cause=Cause.SKIPPED, sentence="An earlier run of this head is still under way.")
        if isinstance(earlier, Judge):
            return other, earlier.model_copy(update={"instead_of": skipped.this_attempt})
        if isinstance(earlier, Settle):
            return other, earlier.model_copy(update={"attempt": skipped.this_attempt})
        return other, earlier
