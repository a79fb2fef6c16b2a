"""GitHub Actions for tests: takes queued runs of the fake GitHub and runs them under act."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.e2e import act, actlog, commands
from tests.e2e.export import Export, Exporter
from tests.e2e.leaks import Leak, search
from tests.e2e.standins import known
from tests.fake_github import ops_actions, ops_reviews
from tests.fake_github.runs import Job, Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import User
from tests.fake_github.tokens import Token
from tests.fake_github.workflow_file import WorkflowError

DEADLINE: Final = 120.0
MANY: Final = 50


class HarnessError(AssertionError):
    """The harness could not run a workflow: that is no result of the workflow."""


@dataclass(eq=False, kw_only=True)
class Harness:
    """Runs what is queued, one run after the other.

    Attributes:
        github: the fake.
        mlbot: a copy of the checkout under test.
        folder: where exports, logs and workspaces go.
        deadline: seconds that one run may take.
        exports: what was run, by run id and attempt.
        leaks: tokens and secrets that were found where they must not be.
    """

    github: FakeGitHub
    mlbot: Path
    folder: Path
    deadline: float = DEADLINE
    exports: dict[tuple[int, int], Export] = field(default_factory=dict)
    leaks: list[Leak] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._commands = commands.write(self.folder / "commands")

    @property
    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return list(self.github.world.runs.values())

    @property
    def published(self) -> list[str]:
        """The names of the files that jobs put on the package index."""
        noted = self._commands / "published.txt"
        return noted.read_text().splitlines() if noted.exists() else []

    @property
    def installed(self) -> list[str]:
        """What jobs asked pip or uv to install."""
        noted = self._commands / "installed.txt"
        return noted.read_text().splitlines() if noted.exists() else []

    def of(self, workflow: str, event: str | None = None) -> list[Run]:
        """Runs of a workflow file, oldest first."""
        return [one for one in self.runs if one.workflow.path.endswith(f"/{workflow}") and event in (None, one.event)]

    def last(self, workflow: str, event: str | None = None) -> Run:
        """The newest run of a workflow file.

        Raises:
            LookupError: it never ran.
        """
        found = self.of(workflow, event)
        if not found:
            raise LookupError(f"{workflow} never ran; these did: {self.story()}")
        return found[-1]

    def story(self) -> list[str]:
        """All runs and their jobs, for people."""
        return [
            f"{Path(one.workflow.path).name} #{attempt.number} on {one.event}: {attempt.conclusion or attempt.status} "
            f"{ {job.name: job.conclusion for job in attempt.jobs} }"
            for one in self.runs
            for attempt in one.attempts
        ]

    def failures(self) -> list[str]:
        """What failed jobs printed, for people."""
        return [
            f"--- {Path(one.workflow.path).name} #{attempt.number}: {job.name} "
            f"{[(step.name[:60], step.conclusion) for step in job.steps]}\n{job.log}{job.errors}"
            for one in self.runs
            for attempt in one.attempts
            for job in attempt.jobs
            if job.conclusion == "failure"
        ]

    def run_until_idle(self, limit: int = MANY) -> list[Run]:
        """Run what is queued, and what that starts, until nothing is.

        Raises:
            HarnessError: it does not end, or a run could not be run.
        """
        done = []
        while self.github.world.queue:
            done.append(self.step())
            if len(done) > limit:
                raise HarnessError(f"{limit} runs and no end: {self.story()[-10:]}")
        return done

    def step(self) -> Run:
        """Run the next of the queue."""
        world = self.github.world
        with world.lock:
            run = world.queue.pop(0)
        try:
            export = self._export(run)
        except WorkflowError as error:
            ops_actions.finish(world, run, "failure", [])
            raise HarnessError(f"{run.workflow.path} on {run.event} does not start: {error}") from error
        with world.lock:
            if ops_reviews.wait(run, [one.environment for one in export.jobs.values() if one.environment]):
                shutil.rmtree(export.folder)
                return run
            ops_actions.begin(world, run)
        outcome = act.execute(
            run,
            export,
            self._urls(),
            commands=self._commands,
            deadline=self.deadline,
            cancelled=lambda: run.status == "cancelling",
        )
        jobs = self._jobs(export, outcome)
        self.leaks += search(world, run, export, jobs)
        with world.lock:
            ops_actions.finish(world, run, _conclusion(jobs, outcome), jobs)
        self._check(run, outcome, jobs)
        return run

    def _urls(self) -> dict[str, str]:
        github = self.github
        return {
            "GITHUB_SERVER_URL": github.url,
            "GITHUB_API_URL": github.api_url,
            "GITHUB_GRAPHQL_URL": github.graphql_url,
        }

    def _export(self, run: Run) -> Export:
        world = self.github.world
        folder = self.folder / f"run-{run.id}-{run.latest.number}"
        standins = folder / "standins"
        fallback = self._token(run, f"ghs_unnamed{run.id}", world.bot, "workflow", {})
        app = self._token(run, f"ghs_app{run.id}", world.add_user("mlbot-app[bot]", "Bot"), "app", APP)
        known.write(
            standins,
            {
                "service": f"{self.github.url}/_artifacts",
                "runtime": world.runtime_token(run.id),
                "commands": str(self._commands),
                "app": app,
            },
        )
        export = Exporter(world, run, mlbot=self.mlbot, standins=standins, folder=folder).export()
        export.secrets["GITHUB_TOKEN"] = fallback
        self.exports[run.id, run.latest.number] = export
        return export

    def _token(
        self, run: Run, value: str, user: User, kind: Literal["workflow", "app"], held: Mapping[str, str]
    ) -> str:
        """A token that belongs to no job the harness can tell: it may do nothing, or what the app may."""
        self.github.world.tokens[value] = Token(
            value=value, user=user, kind=kind, repository=run.repository, permissions=held, run_id=run.id,
            attempt=run.latest.number, job=f"{Path(run.workflow.path).name}/?",
        )  # fmt: skip
        return value

    def _jobs(self, export: Export, outcome: act.Outcome) -> list[Job]:
        world = self.github.world
        found = [log.job(world.next_id("job")) for log in actlog.jobs(outcome.lines, export.name)]
        seen = {job.key for job in found}
        now = world.now()
        for path in _unseen(export, seen):
            name = path.replace("/", " / ")
            result = "cancelled" if outcome.stopped else "skipped"
            number = world.next_id("job")
            found.append(Job(id=number, key=path, name=name, status="completed", conclusion=result, started_at=now))
        return found

    def _check(self, run: Run, outcome: act.Outcome, jobs: list[Job]) -> None:
        failed = any(job.conclusion in {"failure", "cancelled"} for job in jobs)
        if outcome.code and not failed and not outcome.stopped:
            plain = [line for line in outcome.errors.splitlines() if '"level":"debug"' not in line]
            raise HarnessError(f"act could not run {run.workflow.path} on {run.event}:\n" + "\n".join(plain[-40:]))


APP: Final[Mapping[str, str]] = dict.fromkeys(
    ("actions", "checks", "contents", "deployments", "issues", "pull_requests", "statuses"), "write"
)


def _unseen(export: Export, seen: set[str]) -> Iterator[str]:
    """Jobs that act never spoke of: a skipped caller shows as one job."""
    shown: set[str] = set()
    for path in export.jobs:
        if path in seen:
            continue
        parts = path.split("/")
        callers = ["/".join(parts[:size]) for size in range(1, len(parts))]
        silent = [one for one in callers if not any(key.startswith(f"{one}/") for key in seen)]
        top = silent[0] if silent else path
        if top not in shown and top not in seen:
            shown.add(top)
            yield top


def _conclusion(jobs: list[Job], outcome: act.Outcome) -> str:
    if outcome.stopped:
        return outcome.stopped
    results = {job.conclusion for job in jobs}
    if "failure" in results or (outcome.code and not jobs):
        return "failure"
    if "cancelled" in results:
        return "cancelled"
    return "skipped" if results <= {"skipped"} else "success"
