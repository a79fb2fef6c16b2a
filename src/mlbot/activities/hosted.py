"""A job on GitHub that is about a training run: whose facts it trusts, what it decides, what it works on."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlbot.activities.plan import Configs, Sides, read_configs, read_sides
from mlbot.console import Console
from mlbot.core.admission import admit
from mlbot.core.config_parse import parse_config
from mlbot.core.decision import Cause, Decision, Judge, Leave, Policy, PushSubject, Settle
from mlbot.core.document import Document
from mlbot.core.event import WorkflowRunEvent
from mlbot.core.forge import Attempt, Run
from mlbot.core.inputs import CONFIG_FILE
from mlbot.core.ledger import VerdictEntry
from mlbot.core.ledger_folds import judged_models, latest_by_key, verdicts
from mlbot.core.plan import Plan, PlannedModel, plan_models
from mlbot.core.publication import Place
from mlbot.core.record import Sha
from mlbot.core.verdict import Commits
from mlbot.git import Repository
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote, failure
from mlbot.github.actions_io import Job, Runner, forget_tokens
from mlbot.github.api import GitHub, RepositoryFacts
from mlbot.yamlfile import load

_HEAD, _POLICY = "refs/mlbot/head", "refs/mlbot/policy"


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
    """

    job: Job
    github: GitHub
    runner: Runner
    repository: Repository
    asked: Attempt
    train_path: str

    @classmethod
    def of(
        cls,
        directory: Path,
        environment: MutableMapping[str, str],
        about: tuple[int, int],
        train_path: str,
        console: Console,
    ) -> "Hosted":
        """The job that this process is in.

        Args:
            directory: the checkout of the default branch.
            environment: of this process; the tokens are taken out of it.
            about: the training run and its attempt.
            train_path: of the user's workflow file that trains.
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
        )

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
        run = self.github.run(self.asked.run)
        decision = self._admit(run, self.asked, self.event_run())
        if isinstance(decision, Settle) and decision.cause is Cause.SKIPPED:
            return self._instead(run, decision)
        return run, decision

    def _admit(self, run: Run, asked: Attempt, event_run: Run | None) -> Decision:
        pulls = self.github.pull_requests_of(run) if run.event == "pull_request" else ()
        return admit(run, asked, self.policy, pulls, event_run)

    def _instead(self, skipped: Run, decision: Settle) -> tuple[Run, Decision]:
        """A run that trained nothing, for the title was edited, must not outdate the verdict of the one before it."""
        others = [
            run
            for run in self.github.runs(skipped.head_sha, skipped.event)
            if run.path == skipped.path and run.id != skipped.id and run.conclusion != skipped.conclusion
        ]
        if not others:
            return skipped, decision
        if not others[0].completed:
            return skipped, Leave(cause=Cause.SKIPPED, sentence="An earlier run of this head is still under way.")
        earlier = self._admit(others[0], others[0].this_attempt, None)
        if isinstance(earlier, Judge):
            return others[0], earlier.model_copy(update={"instead_of": skipped.this_attempt})
        if isinstance(earlier, Settle):
            return others[0], earlier.model_copy(update={"attempt": skipped.this_attempt})
        return others[0], earlier


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is to be judged, recomputed from git's objects: head is fetched, and never checked out.

    Attributes:
        decision: the run and the commit that are judged.
        commits: the three commits.
        configs: their configs.
        sides: their files.
        plan: every model of head, with why it is stale.
        stale: the models to judge.
        entries: of the ledger.
        judged: the guarded branch's verdicts whose files may serve as a baseline, by model and content key.
        baselines: the stale models whose baseline is not among them, so that it has to be trained.
    """

    decision: Judge
    commits: Commits
    configs: Configs
    sides: Sides
    plan: Plan
    stale: tuple[PlannedModel, ...]
    entries: tuple[VerdictEntry, ...]
    judged: Mapping[tuple[str, str], VerdictEntry]
    baselines: tuple[PlannedModel, ...]


def assign(hosted: Hosted, decision: Judge) -> Assignment:
    """Fetch the commits of a decision and plan them.

    Raises:
        MlbotError: the commits cannot be fetched, or head's or policy's config is wrong.
    """
    commits = _commits(hosted, decision)
    configs = read_configs(hosted.repository, commits)
    sides = read_sides(hosted.repository, commits, configs, outside=False)
    entries = LedgerBranch.at(hosted.remote).read().entries
    plan = plan_models(commits, sides.head, sides.base, sides.policy)
    if isinstance(decision.subject, PushSubject):
        plan = plan.unjudged(latest_by_key(entries, decision.subject.branch))
    stale = plan.stale
    judged = judged_models(entries, decision.subject.branch)
    baselines = tuple(
        model
        for model in stale
        if model.base_key is not None and model.base_key != model.key and (model.name, model.base_key) not in judged
    )
    return Assignment(
        decision=decision,
        commits=commits,
        configs=configs,
        sides=sides,
        plan=plan,
        stale=stale,
        entries=tuple(verdicts(entries)),
        judged=judged,
        baselines=baselines,
    )


def _commits(hosted: Hosted, decision: Judge) -> Commits:
    repository, subject = hosted.repository, decision.subject
    refspecs = [f"+{subject.sha}:{_HEAD}", f"+refs/heads/{subject.branch}:{_POLICY}"]
    done = hosted.remote.run(
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", hosted.remote.url, *refspecs], repository.root
    )
    if done.returncode != 0:
        raise failure(done, "reading", subject.branch)
    tip = repository.resolve(_POLICY)
    base = _base(repository, decision, tip)
    return Commits(
        head=subject.sha,
        base=base,
        policy=tip if CONFIG_FILE in repository.tree(tip).entries else None,
        guarded=subject.branch,
        behind=repository.count_between(base, tip) if base and not isinstance(subject, PushSubject) else 0,
    )


def _base(repository: Repository, decision: Judge, tip: Sha) -> Sha | None:
    """Where head left the guarded branch; of a commit that is on it already, its first parent."""
    if isinstance(decision.subject, PushSubject):
        return repository.find(f"{decision.subject.sha}^1")
    return repository.merge_base(decision.subject.sha, tip)
