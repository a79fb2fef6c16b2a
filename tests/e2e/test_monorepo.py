"""Two folders with an mlbot.yaml each in one repository: each has its own runs, statuses, comments and answers.

The workflows of one hold the jobs, those of the other call mlbot's.
"""

from textwrap import indent

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.e2e.test_commands import say
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support import tiny

from mlbot.config.actions import Actions
from mlbot.config.folder import ConfigFolder
from mlbot.setup.workflows import Form, Order, files

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]
FOLDERS = {"teams/churn": ("churn", Form.INLINE), "teams/fraud": ("fraud", Form.CALLERS)}


def of_folder(folder: str, model: str, form: Form) -> dict[str, str]:
    """A folder's files, and the workflows that `mlbot init` writes for it."""
    order = Order(
        form=form,
        guard=("main",),
        install="test -f mlbot.yaml",
        actions=Actions(),
        folder=ConfigFolder.of(folder),
    )
    config = user.CONFIG.replace("  tiny:\n", f"  {model}:\n")
    inside = tiny.files() | {"mlbot.yaml": config}
    return {f"{folder}/{path}": text for path, text in inside.items()} | files(order)


def contexts(models: Repository, pull: Issue) -> dict[str, list[str]]:
    """The states that each status of the head had."""
    found: dict[str, list[str]] = {}
    for each in models.statuses:
        if each.sha == user.head(pull):
            found.setdefault(each.context, []).append(each.state)
    return found


def test_each_folder_is_judged_and_answers_for_itself(github: FakeGitHub, actions: Harness) -> None:
    there = {path: text for folder, each in FOLDERS.items() for path, text in of_folder(folder, *each).items()}
    models = github.repository("acme/models", there, roles={"alice": "write", "boss": "admin"})
    lost = {f"teams/churn/{path}": text for path, text in tiny.params(mode="lost").items()}
    pull = github.user("alice").pull_request("worse", lost)
    actions.run_until_idle()
    assert contexts(models, pull) == {
        "mlbot:teams/churn": ["pending", "failure"],
        "mlbot:teams/fraud": ["pending", "success"],
    }, indent("\n".join(actions.story() + actions.failures()), "  ")
    reports = [body for body in user.comments(models, pull) if "mlbot:report" in body]
    assert len(reports) == 2
    (report,) = [body for body in reports if "config=teams/churn/mlbot.yaml" in body]
    assert "churn" in report
    assert "fraud" not in report

    say(github, actions, pull, "/retrain churn")
    answers = [body for body in user.comments(models, pull) if "mlbot:answer" in body]
    assert len(answers) == 1
    assert "folder=teams/churn state=done" in answers[0]
    assert actions.last("mlbot.teams--churn.yml").latest.number == 2
    assert actions.last("mlbot.teams--fraud.yml").latest.number == 1
    assert contexts(models, pull)["mlbot:teams/churn"][2:] == ["pending", "failure"]

    say(github, actions, pull, "/mlbot help")
    answers = [body for body in user.comments(models, pull) if "mlbot:answer" in body]
    assert len(answers) == 2, "the first folder's workflows help"
    say(github, actions, pull, "/mlbot status")
    answers = [body for body in user.comments(models, pull) if "mlbot:answer" in body]
    assert len(answers) == 4, "each says how its own runs are"
    assert not github.requests.refused()
