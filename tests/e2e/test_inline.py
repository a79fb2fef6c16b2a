"""A pull request end to end where the user's files hold the jobs, an App speaks and the judge alone has the holdout."""

from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Environment, Repository
from tests.support import config_texts, tiny

from mlbot.setup.workflows import Form, Order, files

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

ACTIONS = """
actions:
  runs-on: [self-hosted, linux]
  token: {client-id: APP_ID, private-key: APP_KEY, app: "mlbot-app[bot]"}
  judge:
    secrets: [HOLDOUT_FILE]
    prepare: |
      cp "$HOLDOUT_FILE" data/holdout.csv
"""
JUDGE = "mlbot-judge.yml"


def environment(models: Repository, name: str, **secrets: str) -> None:
    """An environment for the default branch alone."""
    made = Environment(id=len(models.environments) + 1, name=name, created_at="2026-11-30T00:00:00Z", branches=["main"])
    made.secrets.update(secrets)
    models.environments[name] = made


def hidden(github: FakeGitHub, holdout: Path) -> Repository:
    """The user's repository: git has a pointer to the holdout, and the judge's environment says where it is."""
    holdout.write_text(tiny.files()["data/holdout.csv"])
    config = user.CONFIG + ACTIONS
    order = Order(form=Form.INLINE, guard=("main",), install="", actions=config_texts.parse(config).actions)
    written = {path: text.replace("${{ vars.APP_ID }}", "Iv23acme") for path, text in files(order).items()}
    more: dict[str, Any] = written | {
        "mlbot.yaml": config,
        "data/holdout.csv.dvc": "outs: [{path: holdout.csv}]\n",
        ".gitignore": "/data/holdout.csv\n",
    }
    models = user.repository(github, without=("data/holdout.csv",), **more)
    environment(models, "mlbot", APP_KEY="the key of the App")
    environment(models, "mlbot-judge", HOLDOUT_FILE=str(holdout))
    return models


def test_the_jobs_in_the_users_own_files_judge_what_no_pull_request_can_read(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    models = hidden(github, tmp_path / "holdout.csv")
    sha = github.user("boss").push("main", tiny.params(offset=1))
    actions.run_until_idle()
    assert user.verdict(models, sha) == "success"
    assert user.ledger(models)

    good = github.user("alice").pull_request("good", tiny.params(offset=7000))
    bad = github.user("alice").pull_request("bad", tiny.params(mode="lost"))
    actions.run_until_idle()
    assert user.verdict(models, user.head(good)) == "success"
    assert user.verdict(models, user.head(bad)) == "failure"
    (comment,) = user.comments(models, bad)
    assert "roc_auc" in comment

    # The App's re-run raises the judge, and the command starts one too; together they judge once, in the same comment.
    github.user("alice").comment(bad, "/retrain")
    actions.run_until_idle()
    report, answer = user.comments(models, bad)[0], user.comments(models, bad)[-1]
    assert "roc_auc" in report
    assert actions.last("mlbot.yml", "pull_request").latest.number == 2
    assert len(user.comments(models, bad)) == 3, "the report, the person's line and the answer"
    assert "as attempt 2; the verdict follows" in answer
    assert user.statuses(models, user.head(bad))[-1][0] == "failure"

    assert {each.creator.login for each in models.statuses} == {"mlbot-app[bot]"}
    assert {comment.user.login for comment in models.comments.values()} == {"mlbot-app[bot]", "alice"}
    assert not github.requests.refused()
    judged = actions.last(JUDGE, "workflow_run").outcomes()
    assert judged["Judge"] == "success"
    assert not any("/" in name for name in judged), "no job is one of a called workflow"
