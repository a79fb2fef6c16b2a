"""Issues, comments, reactions and labels, with PyGithub as the client."""

from typing import Any

import pytest
import requests
from github.IssueComment import IssueComment
from github.Repository import Repository as Client
from tests.fake_github.clients import client, of_job
from tests.fake_github.server import FakeGitHub

from github import Auth, Github, GithubException


@pytest.fixture
def alice(github: FakeGitHub) -> Client:
    """The repository as alice, who may write, sees it."""
    github.repository("acme/models", roles={"alice": "write"})
    return client(github, "alice").get_repo("acme/models")


def test_a_repository_without_issues(github: FakeGitHub, alice: Client) -> None:
    issue, pull = alice.create_issue("Title"), github.user("alice").pull_request("topic", {"a": "1"})
    github.world.repository("acme/models").settings["has_issues"] = False
    assert not client(github, "alice").get_repo("acme/models").has_issues
    for ask in (lambda: alice.create_issue("Another"), lambda: issue.edit(title="x"), issue.update):
        with pytest.raises(GithubException) as caught:
            ask()
        assert caught.value.status == 410
    assert [one.number for one in alice.get_issues()] == [pull.number]


def test_a_comment_lives_and_dies(github: FakeGitHub, alice: Client) -> None:
    issue = alice.create_issue("Title", body="Body")
    comment = issue.create_comment("One")
    comment.edit("Two")
    assert [one.body for one in alice.get_issue(issue.number).get_comments()] == ["Two"]
    assert comment.user.login == "alice"
    comment.delete()
    assert list(issue.get_comments()) == []
    told = [(one.event, one.payload["action"]) for one in github.world.deliveries]
    assert told == [("issues", "opened"), *(("issue_comment", action) for action in ("created", "edited", "deleted"))]
    edited = github.world.deliveries[2].payload
    assert edited["changes"]["body"]["from"] == "One"
    assert edited["comment"]["body"] == "Two"


def test_comments_come_in_pages(alice: Client) -> None:
    issue = alice.create_issue("Title")
    for number in range(35):
        issue.create_comment(f"{number}")
    assert [one.body for one in issue.get_comments()] == [f"{number}" for number in range(35)]
    assert len(issue.get_comments().get_page(0)) == 30
    assert len(issue.get_comments().get_page(1)) == 5
    assert issue.get_comments().totalCount == 35


@pytest.mark.parametrize("length", [65_536, 65_537])
def test_a_comment_has_65536_characters_at_most(alice: Client, length: int) -> None:
    issue = alice.create_issue("Title")
    if length == 65_536:
        assert len(issue.create_comment("é" * length).body) == length
        return
    with pytest.raises(GithubException, match="422"):
        issue.create_comment("é" * length)


def test_a_workflow_speaks_as_the_bot(github: FakeGitHub, alice: Client) -> None:
    issue = alice.create_issue("Title")
    repository = github.world.repository("acme/models")
    bot = of_job(github, repository, {"issues": "write"}).get_repo("acme/models")
    made = bot.get_issue(issue.number).create_comment("Beep")
    assert (made.user.login, made.user.type) == ("github-actions[bot]", "Bot")
    assert github.world.deliveries[-1].by_token


def test_who_may_edit_a_comment(github: FakeGitHub, alice: Client) -> None:
    issue = alice.create_issue("Title")
    stranger = client(github, "mallory").get_repo("acme/models")
    made = stranger.get_issue(issue.number).create_comment("Mine")
    alice.get_issue(issue.number).get_comment(made.id).edit("Changed by a maintainer")
    with pytest.raises(GithubException, match="403"):
        stranger.get_issue(issue.number).get_comment(issue.create_comment("Hers").id).edit("Not yours")


def test_a_reaction_counts_once(alice: Client) -> None:
    comment = alice.create_issue("Title").create_comment("One")
    first, again = comment.create_reaction("eyes"), comment.create_reaction("eyes")
    assert first.id == again.id
    assert [one.content for one in comment.get_reactions()] == ["eyes"]
    assert comment.delete_reaction(first.id)
    assert list(comment.get_reactions()) == []


def test_labels(github: FakeGitHub, alice: Client) -> None:
    label = alice.create_label("model", "ff0000")
    issue = alice.create_issue("Title", labels=[label.name])
    issue.add_to_labels("gpu")
    assert {one.name for one in alice.get_issue(issue.number).labels} == {"model", "gpu"}
    issue.set_labels("gpu")
    told = [one.payload["label"]["name"] for one in github.world.deliveries if "label" in one.payload]
    assert told == ["model", "gpu", "model"]
    assert {one.name for one in alice.get_labels()} == {"model", "gpu"}


def test_a_comment_is_minimized_by_graphql(github: FakeGitHub, alice: Client) -> None:
    comment: IssueComment = alice.create_issue("Title").create_comment("Old")
    assert comment.minimize("OUTDATED")
    assert github.world.repository("acme/models").comments[comment.id].minimized == "outdated"
    comment.unminimize()
    assert github.world.repository("acme/models").comments[comment.id].minimized is None
    reader = of_job(github, github.world.repository("acme/models"), {"issues": "read"})
    with pytest.raises(GithubException):
        reader.get_repo("acme/models").get_issue(comment_number(comment)).get_comment(comment.id).minimize("OUTDATED")


def comment_number(comment: IssueComment) -> int:
    return int(comment.issue_url.rpartition("/")[2])


def test_issues_are_found_by_state(alice: Client) -> None:
    first, _ = alice.create_issue("One"), alice.create_issue("Two")
    first.edit(state="closed", state_reason="completed")
    assert [one.title for one in alice.get_issues()] == ["Two"]
    assert [one.title for one in alice.get_issues(state="all")] == ["Two", "One"]


def test_a_private_repository_is_not_there_for_strangers(github: FakeGitHub) -> None:
    github.repository("acme/secret", private=True, roles={"alice": "read"})
    assert client(github, "alice").get_repo("acme/secret").private
    with pytest.raises(GithubException, match="404"):
        client(github, "mallory").get_repo("acme/secret")


def test_a_bad_token_is_401(github: FakeGitHub) -> None:
    github.repository()
    with pytest.raises(GithubException, match="401"):
        Github(auth=Auth.Token("nonsense"), base_url=github.api_url, retry=None).get_repo("acme/models")


def asked(github: FakeGitHub, query: str, **variables: object) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {github.token('alice')}"}
    body: Any = {"query": query, "variables": variables}
    found: dict[str, Any] = requests.post(github.graphql_url, json=body, headers=headers, timeout=5).json()
    return found


def test_graphql_knows_who_edited_a_comment(github: FakeGitHub, alice: Client) -> None:
    comment = alice.create_issue("Title").create_comment("One")
    fields = "__typename fullDatabaseId lastEditedAt includesCreatedEdit author { login } editor { __typename login }"
    query = f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on IssueComment {{ {fields} }} }} }}"
    node = comment.raw_data["node_id"]
    (before,) = asked(github, query, ids=[node])["data"]["nodes"]
    assert before == {
        "__typename": "IssueComment", "fullDatabaseId": str(comment.id), "lastEditedAt": None,
        "includesCreatedEdit": False, "author": {"login": "alice"}, "editor": None,
    }  # fmt: skip
    of_job(github, github.world.repository("acme/models"), {"issues": "write"}).get_repo("acme/models").get_issue(
        comment_number(comment)
    ).get_comment(comment.id).edit("Two")
    answer = asked(github, query, ids=["IC_none", node])
    missing, after = answer["data"]["nodes"]
    assert (missing, answer["errors"][0]["path"]) == (None, ["nodes", 0])
    assert after["editor"] == {"__typename": "Bot", "login": "github-actions"}
    assert after["includesCreatedEdit"]
    assert after["lastEditedAt"] >= comment.raw_data["created_at"]


@pytest.mark.parametrize(
    "query",
    [
        '{ node(id: "IC_1") { ... on IssueComment { edited } } }',
        '{ node(id: "IC_1") { ... on IssueComment { editor } } }',
        '{ node(id: "IC_1") { id { login } } }',
        "{ viewer { login } }",
        "{ nodes(ids: 5) { id } }",
        '{ node(id: "IC_1") ',
    ],
)
def test_a_query_that_githubs_schema_refuses_fails_the_test(github: FakeGitHub, alice: Client, query: str) -> None:
    assert alice.id
    assert "errors" in asked(github, query)
    assert "GraphQL" in github.world.violations.pop()
