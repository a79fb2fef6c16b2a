"""A pull request's thread without the runner: the fake GitHub, and `mlbot ci command` in this process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Comment, Issue, Repository
from tests.support import tiny

from mlbot import entry
from mlbot.events.github import Comment as Known
from mlbot.protocol.answer import Recorded, recorded

RIGHTS: Final = {
    "actions": "write",
    "contents": "read",
    "issues": "write",
    "pull_requests": "write",
    "statuses": "write",
}
BOT: Final = "github-actions[bot]"
JOB_RUN: Final = 888
TUNABLE: Final = user.CONFIG.replace(
    "      seeds: 2\n", "      seeds: 2\n      tunable:\n        offset: {type: int, min: 1, max: 9000}\n"
)
TRAIN_FILE: Final = ".github/workflows/mlbot.yml"


@dataclass
class Thread:
    """One pull request whose training run is there, and people who comment on it."""

    github: FakeGitHub
    models: Repository
    pull: Issue
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    seconds: int = 0
    """How far GitHub's clock has been put forward."""

    @classmethod
    def opened(
        cls, github: FakeGitHub, folder: Path, monkeypatch: pytest.MonkeyPatch, *, fork: bool = False, **more: str
    ) -> "Thread":
        """Alice, or Mallory from a fork, opens a pull request; its run starts and waits."""
        config = more.pop("config", TUNABLE)
        models = user.repository(github, without=(), **{"mlbot.yaml": config, **more})
        models.roles |= {"mia": "maintain", "rita": "read", "tim": "triage"}
        author = github.user("mallory").fork() if fork else github.user("alice")
        author.push("change", tiny.params(offset=1000))
        pull = author.open_pull_request("change")
        github.world.queue.clear()
        thread = cls(github, models, pull, folder, monkeypatch)
        ops_actions.begin(github.world, thread.run)
        return thread

    @property
    def run(self) -> Run:
        """The newest training run."""
        return [run for run in self.github.world.runs.values() if run.workflow.path == TRAIN_FILE][-1]

    @property
    def head(self) -> str:
        """The pull request's head."""
        return user.head(self.pull)

    def finish(self, conclusion: str = "success") -> "Thread":
        """The training is over."""
        ops_actions.finish(self.github.world, self.run, conclusion, [])
        self.github.world.queue.clear()
        return self

    def say(self, body: str, login: str = "alice") -> Comment:
        """Somebody comments, a minute and a half after the last one; nobody answers yet."""
        self.later(90)
        comment = self.github.user(login).on(self.models).comment(self.pull, body)
        self.github.world.queue.clear()
        return comment

    def later(self, seconds: int) -> None:
        """Put GitHub's clock forward."""
        self.seconds += seconds
        ahead = timedelta(seconds=self.seconds)
        self.github.world.clock = lambda: datetime.now(UTC) + ahead

    def answer(self, comment: Comment, *options: str, rights: Mapping[str, str] = RIGHTS, **changed: str) -> int:
        """The job that answers a comment; what it starts is queued."""
        payload = next(
            each.payload
            for each in reversed(self.github.world.deliveries)
            if each.event == "issue_comment" and each.payload["comment"]["id"] == comment.id
            and each.payload["action"] == "created"
        )  # fmt: skip
        event = self.folder / "event.json"
        event.write_text(json.dumps(payload))
        token = self.github.job_token(self.models, rights, job="mlbot-judge.yml/command")
        for name, value in (self._environment(event, token) | changed).items():
            self.monkeypatch.setenv(name, value)
        return entry.invoke(["ci", "-q", "command", *options])

    def ask(self, body: str, login: str = "alice") -> str:
        """Somebody comments, and the job answers; what it answered."""
        before = len(self.answers)
        assert self.answer(self.say(body, login)) == 0
        found = self.answers[before:]
        assert len(found) == 1
        return found[0]

    @property
    def answers(self) -> list[str]:
        """The bot's comments."""
        found = sorted(self.models.comments.values(), key=lambda each: each.id)
        return [each.body for each in found if each.number == self.pull.number and each.user.login == BOT]

    @property
    def records(self) -> tuple[Recorded, ...]:
        """What others read back."""
        comments = [Known(id=each.id, author=each.user.login, body=each.body) for each in self.models.comments.values()]
        return recorded(comments, BOT)

    @property
    def started(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The dispatched workflows and their inputs."""
        return [
            (Path(run.workflow.path).name, run.payload["inputs"])
            for run in self.github.world.runs.values()
            if run.event == "workflow_dispatch"
        ]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """The head's statuses."""
        return user.statuses(self.models, self.head)

    def reactions(self, comment: Comment) -> list[str]:
        """What the bot reacted with."""
        return [each.content for each in comment.reactions]

    def on(self, issue: Issue) -> "Thread":
        """The same people on another issue."""
        return replace(self, pull=issue)

    def _environment(self, event: Path, token: str) -> dict[str, str]:
        return {
            "GITHUB_REPOSITORY": self.models.full_name,
            "GITHUB_RUN_ID": str(JOB_RUN),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_EVENT_NAME": "issue_comment",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_SERVER_URL": self.github.url,
            "GITHUB_TOKEN": token,
        }
