"""Pull requests end to end: the real workflows, run by act, against the fake GitHub."""

import pytest
from tests import tiny
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository

pytestmark = pytest.mark.slow

TRAIN = """
name: mlbot
on:
  pull_request:
    types: [opened, synchronize, reopened, edited, ready_for_review]
  merge_group:
  push:
    branches: [main]
permissions: {}
jobs:
  train:
    uses: mlbot-ci/mlbot/.github/workflows/train.yml@v1
    permissions:
      contents: read
      pull-requests: read
"""

JUDGE = """
name: mlbot-judge
on:
  workflow_run:
    workflows: [mlbot]
    types: [requested, completed]
  workflow_dispatch:
    inputs:
      run-id: {type: string, required: true}
      run-attempt: {type: string, default: "1"}
permissions: {}
jobs:
  judge:
    uses: mlbot-ci/mlbot/.github/workflows/judge.yml@v1
    permissions:
      actions: read
      contents: write
      pull-requests: write
      statuses: write
    with:
      run-id: ${{ inputs.run-id }}
      run-attempt: ${{ inputs.run-attempt }}
"""


@pytest.fixture
def models(github: FakeGitHub) -> Repository:
    """A user's repository on main."""
    files = {**tiny.files(), ".github/workflows/mlbot.yml": TRAIN, ".github/workflows/mlbot-judge.yml": JUDGE}
    return github.repository("acme/models", files, roles={"alice": "write", "boss": "admin"})


def comments(models: Repository, number: int) -> list[str]:
    return [comment.body for comment in models.comments.values() if comment.number == number]


def last_status(models: Repository, sha: str) -> tuple[str, str, str]:
    status = [each for each in models.statuses if each.sha == sha][-1]
    return status.context, status.state, status.description or ""


def test_a_change_that_keeps_the_gates(github: FakeGitHub, actions: Harness, models: Repository) -> None:
    pull = github.user("alice").pull_request("seed", tiny.params(offset=1000))
    actions.run_until_idle()
    assert pull.pull is not None
    assert last_status(models, pull.pull.head_sha)[:2] == ("mlbot", "success")
    (comment,) = comments(models, pull.number)
    assert "Ready to merge" in comment
    assert not github.requests.refused()
