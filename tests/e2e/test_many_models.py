"""Ten models with three seeds each: how many jobs a change of all takes before and after their durations are known."""

from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.support import tiny

pytestmark = [pytest.mark.story, pytest.mark.nightly, pytest.mark.timeout(1800)]

TOP, MODEL = tiny.CONFIG.replace("timeout: 60s\n", "timeout: 60s\n      seeds: 3\n").split("  tiny:\n")
CONFIG = TOP + "".join(f"  m{number}:\n{MODEL}" for number in range(10))


def jobs(actions: Harness) -> list[str]:
    """The jobs of all runs so far that did anything."""
    runs = [*actions.of("mlbot.yml"), *actions.of("mlbot-judge.yml")]
    return [name for run in runs for name, how in run.outcomes().items() if how != "skipped"]


def test_ten_models_take_fourteen_jobs_and_four_where_they_are_known_to_be_quick(
    github: FakeGitHub, actions: Harness
) -> None:
    actions.deadline = 900.0
    files: dict[str, Any] = {"mlbot.yaml": CONFIG}
    models = user.repository(github, **files)
    sha = github.user("boss").push("main", tiny.params(offset=1))
    actions.run_until_idle()
    assert user.verdict(models, sha) == "success"
    assert len(user.ledger(models, "verdict")) == 10
    first = jobs(actions)
    assert len(first) == 14, first

    pull = github.user("alice").pull_request("better", tiny.params(offset=7000))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    assert len(jobs(actions)) - len(first) == 4, jobs(actions)
