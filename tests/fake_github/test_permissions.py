"""Who may do what: tokens of jobs against permissions, people against roles, workflows against callers."""

from collections.abc import Mapping

import pytest
import requests
from tests.fake_github import permissions
from tests.fake_github.contract import operations
from tests.fake_github.routes import table
from tests.fake_github.server import FakeGitHub
from tests.fake_github.workflow_file import WorkflowError

STATUS = ("POST", "/repos/acme/models/statuses/{sha}", {"state": "success"})
COMMENT = ("POST", "/repos/acme/models/issues/1/comments", {"body": "x"})
REACT = ("POST", "/repos/acme/models/issues/1/reactions", {"content": "eyes"})
RUNS = ("GET", "/repos/acme/models/actions/runs", None)
REF = ("POST", "/repos/acme/models/git/refs", {"ref": "refs/heads/x", "sha": "{sha}"})
CHECK = ("POST", "/repos/acme/models/check-runs", {"name": "x", "head_sha": "{sha}"})
READ = ("GET", "/repos/acme/models/contents/README.md", None)
WHO = ("GET", "/repos/acme/models/collaborators/alice/permission", None)


def ask(github: FakeGitHub, token: str, request: tuple[str, str, Mapping[str, str] | None]) -> int:
    sha = github.world.repository("acme/models").git.git("rev-parse", "main")
    method, path, body = request
    filled = {key: value.replace("{sha}", sha) for key, value in body.items()} if body else None
    url = f"{github.api_url}{path.replace('{sha}', sha)}"
    headers = {"Authorization": f"token {token}"}
    return requests.request(method, url, json=filled, headers=headers, timeout=5).status_code


@pytest.mark.parametrize(
    ("request_", "held", "status"),
    [
        (STATUS, {"statuses": "write"}, 201),
        (STATUS, {"statuses": "read"}, 403),
        (STATUS, {"contents": "write"}, 403),
        (COMMENT, {"issues": "write"}, 201),
        (COMMENT, {"pull_requests": "write"}, 201),
        (COMMENT, {"pull_requests": "read"}, 403),
        (REACT, {"issues": "write"}, 201),
        (RUNS, {"actions": "read"}, 200),
        (RUNS, {"contents": "read"}, 403),
        (REF, {"contents": "write"}, 201),
        (REF, {"contents": "read"}, 403),
        (CHECK, {"checks": "write"}, 201),
        (CHECK, {"statuses": "write"}, 403),
        (READ, {"contents": "read"}, 200),
        (READ, {}, 403),
        (WHO, {}, 200),
    ],
)
def test_a_job_may_do_what_its_permissions_say(
    github: FakeGitHub, request_: tuple[str, str, Mapping[str, str] | None], held: Mapping[str, str], status: int
) -> None:
    repository = github.repository("acme/models", roles={"alice": "write"})
    github.user("alice").open_issue("One")
    token = github.job_token(repository, held)
    assert ask(github, token, request_) == status
    assert [one.status for one in github.requests.refused()] == ([403] if status == 403 else [])


@pytest.mark.parametrize(
    ("role", "request_", "status"),
    [
        ("write", STATUS, 201),
        ("triage", STATUS, 403),
        ("read", COMMENT, 201),
        ("read", REF, 403),
        ("admin", REF, 201),
    ],
)
def test_a_person_may_do_what_the_role_says(
    github: FakeGitHub, role: str, request_: tuple[str, str, Mapping[str, str] | None], status: int
) -> None:
    github.repository("acme/models", roles={"alice": role})  # type: ignore[dict-item] # the parameters are roles
    github.user("alice").open_issue("One")
    assert ask(github, github.token("alice"), request_) == status


def test_a_jobs_token_is_for_its_repository(github: FakeGitHub) -> None:
    github.repository("acme/models", private=True)
    other = github.repository("acme/other")
    assert ask(github, github.job_token(other, {"contents": "write"}), READ) == 404


def test_every_route_is_in_githubs_description() -> None:
    known = {one.key for one in operations()}
    assert set(table.routes()) <= known


def test_a_job_overrides_its_workflow() -> None:
    default = {"contents": "read"}
    assert permissions.of_job(None, None, default) == default
    assert permissions.of_job({}, None, default) == {}
    assert permissions.of_job({}, {"statuses": "write"}, default) == {"statuses": "write"}
    assert permissions.of_job("read-all", None, default)["actions"] == "read"


def test_a_called_workflow_has_no_more_than_its_caller() -> None:
    assert permissions.within("x.yml", {"contents": "read"}, {"contents": "write"}) == {"contents": "read"}
    with pytest.raises(WorkflowError, match="'issues: write', but is only allowed 'issues: none'"):
        permissions.within("x.yml", {"issues": "write"}, {"contents": "write"})


def test_a_fork_only_reads() -> None:
    held = {"contents": "write", "issues": "read", "actions": "none", "id-token": "write"}
    assert permissions.of_fork(held) == {"contents": "read", "issues": "read", "actions": "none"}


@pytest.mark.parametrize("nonsense", [{"contents": "rw"}, {"repository": "read"}, "all"])
def test_unknown_permissions_are_refused(nonsense: object) -> None:
    with pytest.raises(WorkflowError):
        permissions.declared(nonsense)
