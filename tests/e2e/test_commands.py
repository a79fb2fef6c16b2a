"""Commands in comments end to end: the real workflows, run by act, against the fake GitHub."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Comment, Issue, Repository
from tests.support import tiny

from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

Files = Mapping[str, str]
NOTHING: Files = MappingProxyType({})
_CALLED = user.WORKFLOWS[JUDGE_PATH].replace("    with:\n", "    with:\n      bot: boss\n").rstrip("\n")
OWN_TOKEN = {
    JUDGE_PATH: f"{_CALLED}\n    with:\n      bot: boss\n    secrets:\n      token: ${{{{ secrets.MLBOT_TOKEN }}}}\n",
    TRAIN_PATH: user.WORKFLOWS[TRAIN_PATH].replace("    with:\n", "    with:\n      bot: boss\n"),
}
"""Commands are answered with a token of one's own."""


def answer_to(models: Repository, comment: Comment) -> str:
    """The bot's answer to a comment."""
    marker = f"<!-- mlbot:answer comment={comment.id} "
    (found,) = [each.body for each in models.comments.values() if marker in each.body]
    return found


def trained(
    github: FakeGitHub, actions: Harness, *, fork: bool = False, files: Files = NOTHING
) -> tuple[Repository, Issue]:
    """A pull request with its first verdict."""
    models = user.repository(github, without=(), **files)
    person = github.user("mallory").fork() if fork else github.user("alice")
    person.push("work", tiny.params(offset=1000))
    pull = person.open_pull_request("work")
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    return models, pull


def training(actions: Harness) -> Run:
    """The newest training run."""
    return actions.last("mlbot.yml")


def say(github: FakeGitHub, actions: Harness, pull: Issue, body: str, login: str = "alice") -> Comment:
    """Somebody comments, and all that follows happens."""
    comment = github.user(login).comment(pull, body)
    actions.run_until_idle()
    return comment


def report_of(models: Repository, pull: Issue) -> str:
    """The bot's comment with the verdict; there is one."""
    (found,) = [body for body in user.comments(models, pull) if "mlbot:report" in body]
    return found


def test_a_branch_is_trained_again_and_the_judge_follows(github: FakeGitHub, actions: Harness) -> None:
    """No event tells of a re-run that the workflow's own token started: the command starts the judge."""
    models, pull = trained(github, actions)
    before = len(actions.of("mlbot-judge.yml", event="workflow_run"))
    comment = say(github, actions, pull, "Flaky?\n\n/retrain")
    assert training(actions).latest.number == 2
    assert training(actions).outcomes()["train / Plan"] == "success"
    assert len(actions.of("mlbot-judge.yml", event="workflow_run")) == before
    judged = actions.last("mlbot-judge.yml", event="workflow_dispatch")
    assert judged.outcomes()["judge / Publish"] == "success"
    assert [state for state, _ in user.statuses(models, user.head(pull))][-2:] == ["pending", "success"]
    run = training(actions).id
    assert f"mlbot:run id={run}.2 " in report_of(models, pull)
    answer = answer_to(models, comment)
    assert "as attempt 2; the verdict follows" in answer
    assert "state=done" in answer
    assert [each.content for each in comment.reactions] == ["eyes", "rocket"]
    assert not github.requests.refused()


def test_a_token_of_ones_own_raises_the_event_and_one_verdict_comes(github: FakeGitHub, actions: Harness) -> None:
    models, pull = trained(github, actions, files=OWN_TOKEN)
    models.secrets["MLBOT_TOKEN"] = github.token("boss")
    before = len(actions.of("mlbot-judge.yml", event="workflow_run"))
    say(github, actions, pull, "/retrain")
    assert training(actions).latest.number == 2
    assert len(actions.of("mlbot-judge.yml", event="workflow_run")) > before
    assert [state for state, _ in user.statuses(models, user.head(pull))][-2:] == ["pending", "success"]
    verdicts = [run.outcomes().get("judge / Publish") for run in actions.of("mlbot-judge.yml")]
    assert verdicts.count("success") == 2
    assert f"mlbot:run id={training(actions).id}.2 " in report_of(models, pull)
    assert not github.requests.refused()


def test_a_fork_is_trained_again_by_its_whole_sha(github: FakeGitHub, actions: Harness) -> None:
    models, pull = trained(github, actions, fork=True)
    refused = say(github, actions, pull, "/retrain")
    line = f"/retrain {user.head(pull)}"
    assert line in answer_to(models, refused)
    assert training(actions).latest.number == 1

    say(github, actions, pull, line)
    assert training(actions).latest.number == 2
    assert user.statuses(models, user.head(pull))[-1][0] == "success"
    assert f"mlbot:run id={training(actions).id}.2 " in report_of(models, pull)
    assert not github.requests.refused()


@pytest.mark.nightly
def test_a_draft_is_trained_on_request(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github), github.user("alice")
    alice.push("idea", tiny.params(offset=6000))
    pull = alice.open_pull_request("idea", draft=True)
    actions.run_until_idle()
    say(github, actions, pull, "/retrain")
    assert user.statuses(models, user.head(pull))[-1][0] == "success"


@pytest.mark.nightly
def test_judging_again_follows_the_policy(github: FakeGitHub, actions: Harness) -> None:
    """The gates moved on main: the same files, judged by what it says now."""
    models, pull = trained(github, actions)
    strict = user.CONFIG.replace("min: 0.75", "min: 0.999")
    github.user("boss").push("main", {"mlbot.yaml": strict})
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull))[-1][0] == "success"

    comment = say(github, actions, pull, "/judge")
    assert "Judging attempt 1 again" in answer_to(models, comment)
    assert training(actions).latest.number == 1
    assert user.statuses(models, user.head(pull))[-1][0] == "failure"
    assert "Do not merge" in report_of(models, pull)


def test_status_help_and_refusals_in_one_thread(github: FakeGitHub, actions: Harness) -> None:
    models, pull = trained(github, actions)
    status = answer_to(models, say(github, actions, pull, "/mlbot status", "stranger"))
    assert "`tiny` (success)" in status
    assert "**success**" in status
    assert "[the report](" in status
    helped = answer_to(models, say(github, actions, pull, "/mlbot help", "stranger"))
    assert "/waive" in helped
    told = answer_to(models, say(github, actions, pull, "/retrain", "stranger"))
    assert "needs the role write" in told
    nothing = answer_to(models, say(github, actions, pull, "/mlbot cancel"))
    assert "No training of this pull request" in nothing
    assert training(actions).latest.number == 1
    assert not github.requests.refused()


def test_what_is_queued_is_cancelled_and_comes_again(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    alice = github.user("alice")
    pull = alice.pull_request("work", tiny.params(offset=1000))
    comment = alice.comment(pull, "/mlbot cancel")
    queue = github.world.queue
    queue.insert(0, queue.pop())  # the comment's job is the quicker one
    actions.run_until_idle()
    assert training(actions).conclusion == "cancelled"
    assert "Cancelling the training" in answer_to(models, comment)
    assert user.statuses(models, user.head(pull))[-1][0] == "error"

    say(github, actions, pull, "/retrain")
    assert user.statuses(models, user.head(pull))[-1][0] == "success"


@pytest.mark.parametrize("body", ["Nice work!", "> /retrain", "Look at src/train.py", "```\n/retrain\n```"])
def test_other_comments_cost_nothing(github: FakeGitHub, actions: Harness, body: str) -> None:
    models = user.repository(github)
    issue = github.user("alice").open_issue("A question")
    comment = say(github, actions, issue, body)
    run = actions.last("mlbot-judge.yml", event="issue_comment")
    expected = "success" if body.startswith("```") else "skipped"
    assert run.outcomes()["command / Answer"] == expected
    assert {outcome for job, outcome in run.outcomes().items() if job.startswith("judge")} == {"skipped"}
    assert comment.reactions == []
    assert user.comments(models, issue) == [body]


@pytest.mark.nightly
def test_a_comment_delivered_again_does_nothing_twice(github: FakeGitHub, actions: Harness) -> None:
    models, pull = trained(github, actions)
    comment = say(github, actions, pull, "/retrain")
    before, answer = len(actions.runs), answer_to(models, comment)
    run = actions.last("mlbot-judge.yml", event="issue_comment")
    github.user("boss").rerun(run)
    actions.run_until_idle()
    assert run.latest.number == 2
    assert run.outcomes()["command / Answer"] == "success"
    assert training(actions).latest.number == 2
    assert len(actions.runs) == before
    assert answer_to(models, comment) == answer
