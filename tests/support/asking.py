"""A `/retrain` as the bot answers it: the record stands before the run's next attempt begins."""

from tests.e2e import user
from tests.fake_github import ops_issues
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.fake_github.tokens import Token

from mlbot.events.github import Attempt
from mlbot.protocol.answer import RetrainRequest, last_line

Value = bool | int | float | str


def bot(github: FakeGitHub) -> Token:
    """A job's own token, as the bot speaks with it."""
    return Token(value="", user=github.world.bot, kind="workflow")


def record(
    github: FakeGitHub, models: Repository, pull: Issue, run: Run, *names: str, **params: Value
) -> RetrainRequest:
    """Alice asks, and the bot notes it for the run's next attempt."""
    command = github.user("alice").comment(pull, "Please train that again.")
    request = RetrainRequest(
        comment=command.id,
        actor="alice",
        number=pull.number,
        sha=user.head(pull),
        attempt=Attempt(run=run.id, number=run.latest.number + 1),
        models=names,
        params=dict(params),
    )
    body = f"Trains again.\n\n{last_line(command.id, [request])}"
    ops_issues.comment(github.world, models, bot(github), pull, body)
    return request
