"""A pull request that two seeds do not decide: the third is trained by one more attempt, and the verdict comes once."""

from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.support import tiny

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]
CONFIG = user.CONFIG.replace("seeds: 2", "seeds: {start: 2, most: 3}").replace(
    "max_regression: 0.02", "max_regression: 0.002"
)


def test_the_seed_that_a_verdict_lacks_is_trained_once(github: FakeGitHub, actions: Harness) -> None:
    files: dict[str, Any] = {"mlbot.yaml": CONFIG}
    models = user.repository(github, **files)
    pull = github.user("alice").pull_request("better", tiny.params(offset=1000))
    actions.run_until_idle()
    (training,) = actions.of("mlbot.yml", event="pull_request")
    assert [each.number for each in training.attempts] == [1, 2], actions.story()
    first, second = ("".join(job.log for job in each.jobs) for each in training.attempts)
    assert [f"seed {seed}" in first for seed in (0, 1, 2)] == [True, True, False]
    assert [f"seed {seed}" in second for seed in (0, 1, 2)] == [False, False, True]
    states = user.statuses(models, user.head(pull))
    assert ("pending", "2 seeds were not enough: training 1 more.") in states
    assert [state for state, _ in states if state != "pending"] == ["success"]
    (comment,) = user.comments(models, pull)
    assert "roc\\_auc was undecided with 2 seeds, so 1 more was trained a side" in comment
    assert [path for path in user.ledger(models) if path.startswith("v1/request/")] != []
    assert not github.requests.refused()
