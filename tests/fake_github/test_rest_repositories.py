"""Repositories, people, permissions and rules, with PyGithub as the client."""

import pytest
from github.Repository import Repository as Client
from tests.fake_github.clients import client, of_job
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Role

from github import GithubException


@pytest.fixture
def boss(github: FakeGitHub) -> Client:
    """The repository as its admin sees it."""
    github.repository("acme/models", roles={"boss": "admin", "maintainer": "maintain", "sorter": "triage"})
    return client(github, "boss").get_repo("acme/models")


@pytest.mark.parametrize(
    ("login", "permission", "role"),
    [("boss", "admin", "admin"), ("maintainer", "write", "maintain"), ("sorter", "read", "triage")],
)
def test_a_permission_is_folded_and_a_role_is_not(
    github: FakeGitHub, boss: Client, login: str, permission: str, role: Role
) -> None:
    github.user(login)
    assert boss.get_collaborator_permission(login) == permission
    assert boss.get_collaborator_role_name(login) == role


def test_a_stranger_may_read_a_public_repository(github: FakeGitHub, boss: Client) -> None:
    github.user("stranger")
    assert boss.get_collaborator_role_name("stranger") == "read"
    boss.edit(private=True)
    assert boss.get_collaborator_role_name("stranger") == "none"


def test_an_unknown_user_has_no_permission(boss: Client) -> None:
    with pytest.raises(GithubException, match="404"):
        boss.get_collaborator_permission("nobody")


def test_who_am_i(github: FakeGitHub, boss: Client) -> None:
    assert client(github, "boss").get_user().login == "boss"
    job = of_job(github, github.world.repository(boss.full_name), {})
    with pytest.raises(GithubException, match="403"):
        _ = job.get_user().login
    github.user("maintainer")
    assert client(github, "boss").get_user("maintainer").type == "User"
    assert [one.login for one in boss.get_collaborators()] == ["boss", "maintainer", "sorter"]


def test_a_protected_branch_names_its_required_checks(boss: Client) -> None:
    branch = boss.get_branch("main")
    with pytest.raises(GithubException, match="404"):
        branch.get_protection()
    wanted = {"required_status_checks": {"strict": True, "contexts": ["mlbot"]}, "enforce_admins": None}
    wanted |= {"required_pull_request_reviews": None, "restrictions": None}
    boss.requester.requestJsonAndCheck("PUT", branch.protection_url, input=wanted)
    assert boss.get_branch("main").protected
    assert branch.get_required_status_checks().contexts == ["mlbot"]
    branch.remove_protection()
    assert not boss.get_branch("main").protected


def test_a_ruleset_requires_checks_of_its_branches(github: FakeGitHub, boss: Client) -> None:
    checks = {"required_status_checks": [{"context": "mlbot"}], "strict_required_status_checks_policy": False}
    rules = {
        "name": "main",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [{"type": "required_status_checks", "parameters": checks}],
    }
    requester = boss.requester
    requester.requestJsonAndCheck("POST", f"{boss.url}/rulesets", input=rules)
    _, found = requester.requestJsonAndCheck("GET", f"{boss.url}/rules/branches/main")
    assert [one["parameters"]["required_status_checks"][0]["context"] for one in found] == ["mlbot"]
    _, other = requester.requestJsonAndCheck("GET", f"{boss.url}/rules/branches/side")
    assert other == []
    (ruleset,) = github.world.repository("acme/models").rulesets
    requester.requestJsonAndCheck("DELETE", f"{boss.url}/rulesets/{ruleset}")
    assert requester.requestJsonAndCheck("GET", f"{boss.url}/rulesets")[1] == []


def test_only_an_admin_changes_settings(github: FakeGitHub, boss: Client) -> None:
    with pytest.raises(GithubException, match="403"):
        client(github, "maintainer").get_repo(boss.full_name).edit(private=True)


def test_an_unchanged_answer_is_304(github: FakeGitHub, boss: Client) -> None:
    _, headers, _ = boss.requester.requestJson("GET", boss.url)
    again = boss.requester.requestJson("GET", boss.url, headers={"If-None-Match": headers["etag"]})
    assert again[0] == 304
    assert headers["x-ratelimit-limit"] == "5000"
    assert github.requests.all[-1].status == 304
