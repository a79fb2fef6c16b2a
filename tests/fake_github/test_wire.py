"""What goes wrong on the way: faults, limits, bad requests; and that nothing is left behind."""

import socket
import threading
import time
from pathlib import Path

import pytest
import requests
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository


@pytest.fixture
def repository(github: FakeGitHub) -> Repository:
    return github.repository("acme/models", roles={"alice": "write"})


def get(github: FakeGitHub, path: str = "/repos/acme/models", timeout: float = 5) -> requests.Response:
    headers = {"Authorization": f"Bearer {github.token('alice')}"}
    return requests.get(f"{github.api_url}{path}", headers=headers, timeout=timeout)


@pytest.mark.usefixtures("repository")
def test_a_fault_meets_the_nth_request(github: FakeGitHub) -> None:
    fault = github.faults.add("GET /repos/acme/models", 502, nth=2, times=2)
    assert [get(github).status_code for _ in range(4)] == [200, 502, 502, 200]
    assert fault.met == 2
    assert [one.status for one in github.requests] == [200, 502, 502, 200]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("status", [403, 429])
def test_a_busy_github_says_when_to_come_back(github: FakeGitHub, status: int) -> None:
    github.faults.add("GET /repos", status, retry_after=2)
    answer = get(github)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "2")
    assert "secondary rate limit" in answer.json()["message"]


@pytest.mark.usefixtures("repository")
def test_a_connection_is_cut(github: FakeGitHub) -> None:
    github.faults.add("GET /repos", "cut")
    with pytest.raises(requests.ConnectionError):
        get(github)
    assert get(github).status_code == 200


@pytest.mark.usefixtures("repository")
def test_a_body_is_truncated(github: FakeGitHub) -> None:
    github.faults.add("GET /repos", "truncated")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(github)


@pytest.mark.usefixtures("repository")
def test_a_hang_outlasts_an_impatient_client(github: FakeGitHub) -> None:
    github.faults.add("GET /repos", "hang", seconds=30)
    with pytest.raises(requests.Timeout):
        get(github, timeout=0.2)


def test_the_end_of_a_test_ends_a_hang(tmp_path: Path) -> None:
    before = threading.active_count()
    with socket.socket() as client:
        with FakeGitHub(tmp_path) as fake:
            fake.repository("acme/models")
            fault = fake.faults.add("GET /repos", "hang", seconds=30)
            host, port = fake.url.removeprefix("http://").split(":")
            client.connect((host, int(port)))
            client.sendall(b"GET /api/v3/repos/acme/models HTTP/1.1\r\nHost: x\r\n\r\n")
            assert fault.arrived.wait(10)
            begin = time.monotonic()
        assert time.monotonic() - begin < 10
    assert threading.active_count() == before


def test_a_write_may_work_and_still_fail(github: FakeGitHub, repository: Repository) -> None:
    issue = github.user("alice").open_issue("Title")
    github.faults.add("POST /repos/acme/models/issues", 502, after=True)
    headers = {"Authorization": f"Bearer {github.token('alice')}"}
    url = f"{github.api_url}/repos/acme/models/issues/{issue.number}/comments"
    assert requests.post(url, json={"body": "once"}, headers=headers, timeout=5).status_code == 502
    assert [one.body for one in repository.comments.values()] == ["once"]


@pytest.mark.usefixtures("repository")
def test_the_primary_limit(github: FakeGitHub) -> None:
    github.limits.person = 2
    assert [get(github).status_code for _ in range(3)] == [200, 200, 403]
    refused = get(github)
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert "rate limit exceeded" in refused.json()["message"]


def test_the_secondary_limit_counts_writes(github: FakeGitHub, repository: Repository) -> None:
    github.limits.writes_a_minute = 1
    headers = {"Authorization": f"Bearer {github.token('alice')}"}
    sha = repository.git.git("rev-parse", "main")
    url = f"{github.api_url}/repos/acme/models/statuses/{sha}"
    first, second = (requests.post(url, json={"state": "success"}, headers=headers, timeout=5) for _ in range(2))
    assert (first.status_code, second.status_code, second.headers["Retry-After"]) == (201, 403, "60")
    assert get(github).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "complaint"),
    [
        ("POST", "/repos/acme/models/statuses/" + "0" * 40, {"state": "passed"}, "'passed' is not one of"),
        ("POST", "/repos/acme/models/statuses/" + "0" * 40, {"state": "success", "descr": "x"}, "unknown body field"),
        ("POST", "/repos/acme/models/issues", {"body": "no title"}, "'title' is a required property"),
        ("GET", "/repos/acme/models/pulls?status=open", None, "unknown query parameter 'status'"),
        ("GET", "/repos/acme/models/pulls?state=opened", None, "'opened' is not one of"),
        ("GET", "/repos/acme/models/nonsense", None, "lacks it"),
        ("GET", "/repos/acme/models/pages", None, "does not answer GET /repos/{owner}/{repo}/pages yet"),
    ],
)
def test_a_breach_of_contract_is_answered_500_and_fails_the_test(
    tmp_path: Path, method: str, path: str, body: dict[str, str] | None, complaint: str
) -> None:
    with FakeGitHub(tmp_path) as fake:
        fake.repository("acme/models")
        headers = {"Authorization": f"Bearer {fake.token('boss')}"}
        answer = requests.request(method, f"{fake.api_url}{path}", json=body, headers=headers, timeout=5)
        assert answer.status_code == 500
        with pytest.raises(AssertionError, match="contract is broken") as failure:
            fake.check()
        assert complaint in str(failure.value)


def test_two_fakes_know_nothing_of_each_other(github: FakeGitHub, tmp_path: Path) -> None:
    github.repository("acme/models")
    with FakeGitHub(tmp_path / "other") as other:
        other.repository("acme/elsewhere")
        assert get(github).status_code == 200
        headers = {"Authorization": f"Bearer {other.token('alice')}"}
        assert requests.get(f"{other.api_url}/repos/acme/models", headers=headers, timeout=5).status_code == 404
