"""GitHub Releases and their files, against a GitHub that checks every call."""

from pathlib import Path
from typing import Any

import pytest
from tests.fake_github.faults import Answer
from tests.github.setting import Setting

from mlbot.github.deployments import ReleasePage, publish_release
from mlbot.github.transport import GitHubError, NotPermittedError, UnavailableError, Upload, uploader

RIGHTS = {"contents": "write"}
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
    return uploader(setting.fake.job_token(setting.repository, rights or RIGHTS), setting.fake.api_url)


def publish(setting: Setting, page: ReleasePage) -> str:
    return publish_release(setting.client(RIGHTS), upload(setting), page)


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
