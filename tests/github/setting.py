"""The stage of the edge's tests: a repository, a pull request, a token and what is to be published."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fake_github.people import Person
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Pull, Repository

from mlbot.events.github import Attempt, State
from mlbot.github.api import GitHub
from mlbot.github.transport import Patience, Transport
from mlbot.protocol.decision import PullRequestSubject
from mlbot.protocol.marker import Stamp, marker, stamped, with_attempt
from mlbot.protocol.operations import SetStatus, UpsertComment

NAME = "acme/income"
MARKER = marker(".github/workflows/mlbot-judge.yml", "mlbot.yaml")
PUBLISH = {"contents": "write", "pull_requests": "write", "statuses": "write"}
"""The publish job's permissions (SECURITY.md's topology), under the API's names."""


@dataclass
class Setting:
    """A fake GitHub with a pull request.

    Attributes:
        waits: what mlbot waited, in seconds; nothing really waits.
    """

    fake: FakeGitHub
    repository: Repository
    ada: Person
    issue: Issue
    waits: list[float]

    @classmethod
    def of(cls, fake: FakeGitHub) -> "Setting":
        """A repository with one pull request from a branch of its own."""
        repository = fake.repository(NAME, {"train.py": "1\n"}, roles={"ada": "write", "bob": "read"})
        ada = fake.user("ada", repository)
        return cls(fake=fake, repository=repository, ada=ada, issue=ada.pull_request("deeper", {"a": "1"}), waits=[])

    @property
    def pull(self) -> Pull:
        """The pull request's own part."""
        assert self.issue.pull
        return self.issue.pull

    def client(self, permissions: Mapping[str, str] | None = None, **changes: Any) -> GitHub:
        """A job's client that waits for nothing."""
        token = self.fake.job_token(self.repository, PUBLISH if permissions is None else permissions)
        return self.with_token(token, **changes)

    def with_token(self, token: str, **changes: Any) -> GitHub:
        """Any token's client that waits for nothing."""
        made = GitHub.connect(NAME, token, api_url=self.fake.api_url)
        made.transport.sleep = self.waits.append
        made.transport.chance = lambda: 1.0
        made.transport.patience = Patience(**changes)
        return made

    def subject(self, **changes: Any) -> PullRequestSubject:
        """The pull request as it is now."""
        fields: dict[str, Any] = {
            "number": self.issue.number,
            "sha": self.pull.head_sha,
            "branch": "main",
            "head_ref": "deeper",
            "head_repository_id": self.repository.id,
            "fork": False,
        }
        return PullRequestSubject(**(fields | changes))

    def comment(self, text: str = "The verdict.", run: int = 7, number: int = 1) -> UpsertComment:
        """The bot's comment by an attempt, on the present head."""
        stamp = Stamp(attempt=Attempt(run=run, number=number), head=self.pull.head_sha)
        return UpsertComment(
            number=self.issue.number,
            marker=MARKER,
            body=f"{text}\n\n{stamped(MARKER, stamp)}",
            stamp=stamp,
            subject=self.subject(),
        )

    def status(self, state: State = State.SUCCESS, run: int = 7, number: int = 1, said: str = "Fine.") -> SetStatus:
        """The status by an attempt, on the present head."""
        attempt = Attempt(run=run, number=number)
        url = with_attempt("https://github.com/acme/income/actions/runs/9", attempt)
        return SetStatus(
            subject=self.subject(), context="mlbot", state=state, description=said, url=url, attempt=attempt
        )

    def bodies(self, login: str = "github-actions[bot]") -> list[str]:
        """What somebody's comments on the pull request say, oldest first."""
        found = sorted(self.repository.comments.values(), key=lambda each: each.id)
        return [each.body for each in found if each.number == self.issue.number and each.user.login == login]

    def statuses(self) -> list[tuple[str, str]]:
        """State and description of the head's statuses, newest first."""
        client = self.with_token(self.fake.token("ada"))
        found = client.transport.json(client.request("GET", f"/commits/{self.pull.head_sha}/statuses"))
        return [(each["state"], each["description"]) for each in found]


def transport_of(send: Any, **changes: Any) -> tuple[Transport, list[float]]:
    """A transport over any `send`, and what it waited."""
    waits: list[float] = []
    made = Transport(send=send, sleep=waits.append, clock=lambda: 1000.0, chance=lambda: 1.0, **changes)
    return made, waits
