"""GitHub Deployments, against a GitHub that checks every call."""

from dataclasses import replace

import pytest
from tests.github.setting import Setting

from mlbot.github.deployments import DeploymentState, Wanted, retire_others, set_deployment_state, show_deployment
from mlbot.github.transport import UnavailableError

RIGHTS = {"deployments": "write"}
RUN = "https://github.com/acme/income/actions/runs/9"


def wanted(setting: Setting, id_: str = "d1", environment: str = "staging") -> Wanted:
    return Wanted(
        id=id_,
        commit=setting.repository.git.commit_of("main") or "",
        environment=environment,
        model="income",
        description="income v1.0.0",
        production=environment == "production",
    )


def states(setting: Setting, number: int) -> list[str]:
    return [one.state for one in setting.repository.deployments[number].statuses]


def test_it_is_shown_once(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    first = show_deployment(client, wanted(setting))
    assert show_deployment(client, wanted(setting)) == first
    assert show_deployment(client, wanted(setting, "d2")) != first
    one = setting.repository.deployments[first]
    assert (one.task, one.environment, one.production, one.payload) == ("mlbot:income", "staging", False, {"id": "d1"})


def test_a_failed_check_of_the_commit_does_not_stand_in_its_way(setting: Setting) -> None:
    """The ledger decides, so GitHub is told to ask for no status."""
    sha = wanted(setting).commit
    setting.client({"statuses": "write"}).set_status(sha, "other", setting.status().state.FAILURE, "no", RUN)
    assert show_deployment(setting.client(RIGHTS), wanted(setting)) in setting.repository.deployments


def test_an_answer_that_was_lost_makes_no_second_one(setting: Setting) -> None:
    setting.fake.faults.add("POST /repos/acme/income/deployments", "cut", after=True)
    number = show_deployment(setting.client(RIGHTS), wanted(setting))
    assert list(setting.repository.deployments) == [number]


def test_it_gives_up_when_none_can_be_made(setting: Setting) -> None:
    setting.fake.faults.add("POST /repos/acme/income/deployments", 502, times=9)
    with pytest.raises(UnavailableError, match="d1"):
        show_deployment(setting.client(RIGHTS), wanted(setting))


def test_the_same_state_is_said_once_and_long_words_are_cut(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    number = show_deployment(client, wanted(setting))
    for _ in range(2):
        set_deployment_state(client, number, DeploymentState.IN_PROGRESS, "x" * 200, log_url=RUN)
    set_deployment_state(client, number, DeploymentState.SUCCESS, "live", log_url=RUN)
    assert states(setting, number) == ["in_progress", "success"]
    assert len(setting.repository.deployments[number].statuses[0].description) == 140


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_one_before_becomes_inactive_and_another_models_stays(setting: Setting, environment: str) -> None:
    client = setting.client(RIGHTS)
    before, now = wanted(setting, "d1", environment), wanted(setting, "d3", environment)
    other, failed = replace(before, id="o1", model="churn"), replace(before, id="d2")
    numbers = [show_deployment(client, each) for each in (before, other, failed, now)]
    for number in numbers:
        state = DeploymentState.FAILURE if number == numbers[2] else DeploymentState.SUCCESS
        set_deployment_state(client, number, state, "it is so", log_url=RUN)
    retire_others(client, now, numbers[3])
    assert [states(setting, number)[-1] for number in numbers] == ["inactive", "success", "failure", "success"]
