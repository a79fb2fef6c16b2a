"""Trials and named retrains end to end: the real workflows, run by act, against the fake GitHub."""

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github import ops_actions
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue
from tests.support import tiny
from tests.support.asking import Value, bot, record

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


def retrain(github: FakeGitHub, actions: Harness, pull: Issue, *names: str, **params: Value) -> Run:
    """Alice asks, the bot notes it and re-runs; its token raises no `workflow_run`, so it dispatches the judge."""
    run = next(each for each in actions.of("mlbot.yml", event="pull_request") if each.head_sha == user.head(pull))
    record(github, run.repository, pull, run, *names, **params)
    ops_actions.rerun(github.world, run, bot(github))
    number = str(run.latest.number)
    actions.run_until_idle()
    github.user("boss").dispatch("mlbot-judge.yml", **{"run-id": str(run.id), "run-attempt": number})
    actions.run_until_idle()
    return run


def trained(run: Run) -> set[str]:
    """The training jobs of the latest attempt that ran."""
    return {job for job, outcome in run.outcomes().items() if "Train" in job and outcome == "success"}


def test_a_trial_on_a_fork_shows_its_parameters_worth_and_moves_no_status(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    mallory = github.user("mallory").fork()
    mallory.push("gift", tiny.params(offset=4000))
    pull = mallory.open_pull_request("gift")
    actions.run_until_idle()
    before = user.statuses(models, user.head(pull)), user.comments(models, pull)
    assert before[0][-1][0] == "success"

    retrain(github, actions, pull, "tiny", mode="lost")
    assert user.statuses(models, user.head(pull)) == before[0]
    assert user.comments(models, pull)[: len(before[1])] == before[1]
    shown = user.comments(models, pull)[-1]
    assert "Trial 1 of tiny: roc\\_auc, log\\_loss and accuracy are worse" in shown
    assert "-mode: good\n+mode: lost" in shown
    assert not github.requests.refused()


def test_an_apps_rerun_raises_events_and_a_trial_stays_a_trial(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github), github.user("alice")
    pull = alice.pull_request("work", tiny.params(offset=1000))
    actions.run_until_idle()
    before = user.statuses(models, user.head(pull))
    run = actions.last("mlbot.yml", event="pull_request")
    record(github, models, pull, run, "tiny", mode="lost")
    alice.rerun(run)
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull)) == before
    assert "Trial 1 of tiny" in user.comments(models, pull)[-1]

    alice.rerun(run)  # a person's click, which nobody asked anything of: it counts
    actions.run_until_idle()
    states = [state for state, _ in user.statuses(models, user.head(pull))]
    assert states[len(before) :] == ["success"], "a person's re-run raises no `requested`, so nothing went pending"


@pytest.mark.nightly
def test_a_trial_of_what_is_not_stale_meets_the_guarded_branchs_model(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github), github.user("alice")
    first = alice.pull_request("first", tiny.params(offset=1000))
    actions.run_until_idle()
    github.user("boss").merge(first, "squash")
    actions.run_until_idle()
    pull = alice.pull_request("words", {"README.md": "Words."})
    actions.run_until_idle()
    retrain(github, actions, pull, "tiny", mode="lost")
    judge = actions.last("mlbot-judge.yml")
    assert {outcome for job, outcome in judge.outcomes().items() if "baseline" in job} == {"skipped"}
    assert "are worse" in user.comments(models, pull)[-1]
    assert user.verdict(models, user.head(pull)) == "success"


@pytest.mark.nightly
def test_a_named_retrain_trains_all_that_is_stale_and_judges_it(github: FakeGitHub, actions: Harness) -> None:
    """GitHub hides what the first attempt left, so the model that is not named has no other files."""
    two = user.CONFIG + user.CONFIG.split("models:\n")[1].replace("  tiny:", "  other:")
    models = user.repository(github, without=(), **{"mlbot.yaml": two})
    pull = github.user("alice").pull_request("work", tiny.params(offset=1000))
    actions.run_until_idle()
    run = retrain(github, actions, pull, "other")
    assert trained(run) == {"train / Train other", "train / Train tiny"}
    assert user.verdict(models, user.head(pull)) == "success"
    (comment,) = [each for each in user.comments(models, pull) if "mlbot:report " in each]
    assert "tiny" in comment
    assert f"id={run.id}.2 " in comment
