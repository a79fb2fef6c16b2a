"""Environments, deployments, releases, with PyGithub as the client."""

import io

import pytest
from github.EnvironmentProtectionRuleReviewer import ReviewerParams
from github.NamedUser import NamedUser
from github.Repository import Repository as Client
from tests.fake_github.clients import client
from tests.fake_github.server import FakeGitHub

from github import GithubException


@pytest.fixture
def boss(github: FakeGitHub) -> Client:
    """The repository as its admin sees it."""
    github.repository("acme/models", roles={"boss": "admin"})
    return client(github, "boss").get_repo("acme/models")


def test_an_environment_has_reviewers(github: FakeGitHub, boss: Client) -> None:
    reviewer = github.user("boss").user
    boss.create_environment("production", reviewers=[ReviewerParams("User", reviewer.id)])
    boss.create_environment("staging")
    assert {one.name for one in boss.get_environments()} == {"production", "staging"}
    (rule,) = boss.get_environment("production").protection_rules
    assert rule.type == "required_reviewers"
    assert [one.reviewer.login for one in rule.reviewers if isinstance(one.reviewer, NamedUser)] == ["boss"]


def test_a_deployment_and_its_statuses(github: FakeGitHub, boss: Client) -> None:
    first = boss.create_deployment("main", environment="staging", required_contexts=[], payload={"digest": "sha256:1"})
    first.create_status("in_progress")
    first.create_status("success", description="healthy", environment_url="https://example.com")
    second = boss.create_deployment("main", environment="staging", required_contexts=[])
    second.create_status("success")
    assert [one.state for one in first.get_statuses()] == ["inactive", "success", "in_progress"]
    assert [one.id for one in boss.get_deployments(environment="staging")] == [second.id, first.id]
    assert boss.get_deployment(first.id).payload == {"digest": "sha256:1"}
    told = [one.event for one in github.world.deliveries]
    assert told == ["deployment", "deployment_status", "deployment_status", "deployment", "deployment_status"]


def test_production_is_never_made_inactive(boss: Client) -> None:
    first, second = (
        boss.create_deployment("main", environment="production", required_contexts=[], production_environment=True)
        for _ in range(2)
    )
    first.create_status("success")
    second.create_status("success")
    assert [one.state for one in first.get_statuses()] == ["success"]


def test_a_deployment_asks_for_all_checks_unless_told_otherwise(boss: Client) -> None:
    boss.get_branch("main").commit.create_status("failure", context="mlbot")
    with pytest.raises(GithubException, match="409"):
        boss.create_deployment("main")
    assert boss.create_deployment("main", required_contexts=[]).id


def test_a_deployment_status_has_140_characters_at_most(boss: Client) -> None:
    made = boss.create_deployment("main", required_contexts=[])
    with pytest.raises(GithubException, match="too long"):
        made.create_status("success", description="x" * 141)


def test_a_release_and_its_assets(github: FakeGitHub, boss: Client) -> None:
    release = boss.create_git_release("income@v1.0.0", "Income 1.0.0", "Notes", target_commitish="main")
    asset = release.upload_asset_from_memory(file_like=io.BytesIO(b"onnx"), file_size=4, name="model.onnx")
    assert asset.size == 4
    with pytest.raises(GithubException, match="422"):
        release.upload_asset_from_memory(file_like=io.BytesIO(b"onnx"), file_size=4, name="model.onnx")
    assert boss.get_latest_release().tag_name == "income@v1.0.0"
    assert [one.name for one in boss.get_release("income@v1.0.0").get_assets()] == ["model.onnx"]
    assert boss.get_git_ref("tags/income@v1.0.0").object.sha == boss.get_branch("main").commit.sha
    assert [one.event for one in github.world.deliveries] == ["create", "push", "release"]
    with pytest.raises(GithubException, match="already_exists"):
        boss.create_git_release("income@v1.0.0", "Again", "Notes")


def test_a_draft_is_for_those_who_write(github: FakeGitHub, boss: Client) -> None:
    boss.create_git_release("v2", "Two", "Notes", draft=True)
    assert [one.name for one in boss.get_releases()] == ["Two"]
    assert list(client(github, "stranger").get_repo("acme/models").get_releases()) == []
    assert github.world.repository("acme/models").git.find("refs/tags/v2") is None
