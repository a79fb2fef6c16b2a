"""GitHub Deployments, against a GitHub that checks every call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fake_github.faults import Answer
from tests.github.setting import Setting

from mlbot.github.deployments import (
    DeploymentState,
    ReleasePage,
    Wanted,
    publish_release,
    retire_others,
    set_deployment_state,
    show_deployment,
)
from mlbot.github.transport import GitHubError, NotPermittedError, UnavailableError, Upload, uploader

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
    setting.client({"statuses": "write"}).ask("POST", f"/statuses/{sha}", {"context": "other", "state": "failure"})
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


# GitHub Releases and their files, against a GitHub that checks every call.

RELEASE_RIGHTS = {"contents": "write"}
TAG = "income@v1.0.0"
FIRST = 1_300_000_001
CREATION = "POST /repos/acme/income/releases"


@pytest.fixture
def page(setting: Setting, tmp_path: Path) -> ReleasePage:
    setting.ada.tag(TAG, message="a version")
    files = {"model.onnx": b"\x00" * 1000, "SHA256SUMS": b"abc  model.onnx\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return ReleasePage(tag=TAG, title="income v1.0.0", body="A card.", files={name: tmp_path / name for name in files})


def upload(setting: Setting, rights: dict[str, str] | None = None) -> Upload:
    return uploader(setting.fake.job_token(setting.repository, rights or RELEASE_RIGHTS), setting.fake.api_url)


def publish(setting: Setting, page: ReleasePage) -> str:
    return publish_release(setting.client(RELEASE_RIGHTS), upload(setting), page)


def fault_upload(setting: Setting, answer: Answer, **how: Any) -> None:
    """A fault of uploads to the repository's first release."""
    setting.fake.faults.add(f"POST /repos/acme/income/releases/{FIRST}/assets", answer, **how)


def shown(setting: Setting) -> list[tuple[bool, list[tuple[str, int]]]]:
    return [
        (one.draft, sorted((each.name, len(each.data)) for each in one.assets))
        for one in setting.repository.releases.values()
    ]


WHOLE = [(False, [("SHA256SUMS", 16), ("model.onnx", 1000)])]


def test_it_is_published_once_with_its_files(setting: Setting, page: ReleasePage) -> None:
    address = publish(setting, page)
    writes = len(setting.fake.requests.writes())
    assert publish(setting, page) == address
    assert len(setting.fake.requests.writes()) == writes
    assert shown(setting) == WHOLE


def test_nobody_sees_half_of_it(setting: Setting, page: ReleasePage) -> None:
    """The upload of the second file fails for good: a draft stays, and the next run finishes it."""
    fault_upload(setting, 500, nth=2, times=2)
    with pytest.raises(GitHubError):
        publish(setting, page)
    assert [draft for draft, _ in shown(setting)] == [True]
    publish(setting, page)
    assert shown(setting) == WHOLE


@pytest.mark.parametrize("fault", ["cut", 502])
def test_an_upload_whose_answer_was_lost_is_done_once_more(setting: Setting, page: ReleasePage, fault: Answer) -> None:
    fault_upload(setting, fault, after=True)
    publish(setting, page)
    assert shown(setting) == WHOLE


def test_what_a_dead_run_left_of_a_file_is_replaced(setting: Setting, page: ReleasePage, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.write_bytes(b"\x00" * 10)
    fault_upload(setting, 403, nth=2)
    with pytest.raises(NotPermittedError):
        publish(setting, ReleasePage(tag=TAG, title="t", body="b", files={"model.onnx": half, "other": half}))
    publish(setting, page)
    assert shown(setting) == WHOLE


def test_an_answer_that_was_lost_makes_no_second_draft(setting: Setting, page: ReleasePage) -> None:
    setting.fake.faults.add(CREATION, "cut", after=True)
    publish(setting, page)
    assert shown(setting) == WHOLE


def test_a_connection_that_cannot_be_made_is_said(page: ReleasePage) -> None:
    send = uploader("ghs_x", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match=r"the upload of model\.onnx broke off"):
        send("http://127.0.0.1:9/assets{?name,label}", "model.onnx", page.files["model.onnx"])


@pytest.mark.parametrize(
    "address", ["https://evil.example/assets", "http://uploads.github.com/x", "https://github.com.evil.example/x"]
)
def test_the_token_goes_to_no_other_host(address: str, tmp_path: Path) -> None:
    with pytest.raises(GitHubError, match="another host"):
        uploader("ghs_x", "https://api.github.com")(address, "a", tmp_path / "a")
