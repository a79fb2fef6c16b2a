"""Branches, commits, statuses, check runs and git data, with PyGithub as the client."""

import base64

import pytest
from github.Repository import Repository as Client
from tests.fake_github.clients import client, of_job
from tests.fake_github.server import FakeGitHub

from github import GithubException, InputGitTreeElement


@pytest.fixture
def alice(github: FakeGitHub) -> Client:
    """The repository as alice, who may write, sees it."""
    github.repository("acme/models", {"a.txt": "1\n", "data/b.csv": "x,y\n"}, roles={"alice": "write"})
    return client(github, "alice").get_repo("acme/models")


def test_commits_and_comparisons(github: FakeGitHub, alice: Client) -> None:
    person = github.user("alice")
    first = alice.get_branch("main").commit.sha
    second = person.push("main", {"a.txt": "2\n"}, "Second")
    side = person.push("feature/x", {"c.txt": "3\n"}, onto=first)
    assert [one.sha for one in alice.get_commits()] == [second, first]
    assert [one.sha for one in alice.get_commits(path="data")] == [first]
    assert [one.filename for one in alice.get_commit(second).files] == ["a.txt"]
    assert {one.name for one in alice.get_branches()} == {"main", "feature/x"}
    assert alice.get_branch("feature/x").commit.sha == side
    found = alice.compare("main", "feature/x")
    assert (found.status, found.ahead_by, found.behind_by) == ("diverged", 1, 1)
    assert found.merge_base_commit.sha == first
    assert [one.filename for one in found.files] == ["c.txt"]


def test_the_newest_status_of_a_context_counts(github: FakeGitHub, alice: Client) -> None:
    sha = alice.get_branch("main").commit.sha
    commit = alice.get_commit(sha)
    commit.create_status("pending", context="mlbot", description="training")
    commit.create_status("success", context="other")
    assert commit.get_combined_status().state == "pending"
    commit.create_status("success", "https://example.com/report", "all gates passed", "mlbot")
    combined = commit.get_combined_status()
    assert combined.state == "success"
    assert {one.context: one.description for one in combined.statuses} == {"mlbot": "all gates passed", "other": None}
    assert [one.state for one in commit.get_statuses()] == ["success", "success", "pending"]
    assert [one.event for one in github.world.deliveries] == ["status"] * 3


@pytest.mark.parametrize("length", [140, 141])
def test_a_description_has_140_characters_at_most(alice: Client, length: int) -> None:
    commit = alice.get_branch("main").commit
    if length == 140:
        assert commit.create_status("success", description="x" * length).description == "x" * length
        return
    with pytest.raises(GithubException, match="too long"):
        commit.create_status("success", description="x" * length)


def test_a_context_has_1000_statuses_at_most(github: FakeGitHub, alice: Client) -> None:
    commit = alice.get_branch("main").commit
    commit.create_status("pending", context="mlbot")
    repository = github.world.repository("acme/models")
    repository.statuses *= 1000
    with pytest.raises(GithubException, match="maximum number of statuses"):
        commit.create_status("success", context="mlbot")
    commit.create_status("success", context="another")


def test_a_status_needs_a_commit_that_is_there(alice: Client) -> None:
    commit = alice.get_branch("main").commit
    with pytest.raises(GithubException, match="422"):
        commit.requester.requestJsonAndCheck("POST", f"{alice.url}/statuses/{'0' * 40}", input={"state": "success"})


def test_check_runs_are_for_apps(github: FakeGitHub, alice: Client) -> None:
    sha = alice.get_branch("main").commit.sha
    with pytest.raises(GithubException, match="403"):
        alice.create_check_run("mlbot", sha)
    repository = github.world.repository("acme/models")
    job = of_job(github, repository, {"checks": "write", "contents": "read"}).get_repo("acme/models")
    run = job.create_check_run("mlbot", sha, output={"title": "T", "summary": "S"})
    note = {"path": "a.txt", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "m"}
    run.edit(conclusion="success", output={"title": "T", "summary": "S", "annotations": [note]})
    (found,) = alice.get_commit(sha).get_check_runs()
    assert (found.status, found.conclusion, found.app.slug) == ("completed", "success", "github-actions")
    assert [one.message for one in found.get_annotations()] == ["m"]


def test_a_reference_is_created_once(alice: Client) -> None:
    sha = alice.get_branch("main").commit.sha
    lock = alice.create_git_ref("refs/mlbot/locks/production", sha)
    with pytest.raises(GithubException, match="Reference already exists"):
        alice.create_git_ref("refs/mlbot/locks/production", sha)
    assert [one.ref for one in alice.get_git_matching_refs("mlbot/locks")] == ["refs/mlbot/locks/production"]
    lock.delete()
    with pytest.raises(GithubException, match="404"):
        alice.get_git_ref("mlbot/locks/production")
    alice.create_git_ref("refs/mlbot/locks/production", sha)


def test_a_reference_moves_forward_only(github: FakeGitHub, alice: Client) -> None:
    first = alice.get_branch("main").commit.sha
    second = github.user("alice").push("main", {"a.txt": "2"})
    reference = alice.get_git_ref("heads/main")
    with pytest.raises(GithubException, match="not a fast forward"):
        reference.edit(first)
    reference.edit(first, force=True)
    assert alice.get_branch("main").commit.sha == first != second


def test_an_annotated_tag(github: FakeGitHub, alice: Client) -> None:
    sha = alice.get_branch("main").commit.sha
    tag = alice.create_git_tag("income@v1.0.0", "A model", sha, "commit")
    alice.create_git_ref("refs/tags/income@v1.0.0", tag.sha)
    reference = alice.get_git_ref("tags/income@v1.0.0")
    assert reference.object.type == "tag"
    assert alice.get_git_tag(reference.object.sha).object.sha == sha
    assert [(one.name, one.commit.sha) for one in alice.get_tags()] == [("income@v1.0.0", sha)]
    told = [(one.event, one.payload["ref"]) for one in github.world.deliveries]
    assert told == [("create", "income@v1.0.0"), ("push", "refs/tags/income@v1.0.0")]


def test_a_commit_from_parts(alice: Client) -> None:
    """An orphan branch written through the API, as a ledger would be."""
    blob = alice.create_git_blob(base64.b64encode(b"\x00plot").decode(), "base64")
    tree = alice.create_git_tree(
        [
            InputGitTreeElement("plots/a.svg", "100644", "blob", sha=blob.sha),
            InputGitTreeElement("ledger.jsonl", "100644", "blob", content="{}\n"),
        ]
    )
    commit = alice.create_git_commit("Begin", tree, [])
    alice.create_git_ref("refs/heads/mlbot", commit.sha)
    assert alice.get_branch("mlbot").commit.sha == commit.sha
    assert sorted(one.path for one in alice.get_git_tree(commit.sha, recursive=True).tree) == [
        "ledger.jsonl", "plots", "plots/a.svg",
    ]  # fmt: skip
    over = alice.create_git_tree([InputGitTreeElement("ledger.jsonl", "100644", "blob", sha=None)], tree)
    assert [one.path for one in over.tree] == ["plots"]
    assert base64.b64decode(alice.get_git_blob(blob.sha).content) == b"\x00plot"
    assert alice.get_git_commit(commit.sha).parents == []


def test_contents(github: FakeGitHub, alice: Client) -> None:
    file = alice.get_contents("a.txt")
    assert not isinstance(file, list)
    assert file.decoded_content == b"1\n"
    folder = alice.get_contents("data")
    assert isinstance(folder, list)
    assert [one.path for one in folder] == ["data/b.csv"]
    alice.update_file("a.txt", "Change", "2\n", file.sha)
    with pytest.raises(GithubException, match="409"):
        alice.update_file("a.txt", "Late", "3\n", file.sha)
    alice.create_file("new.txt", "Add", "new", branch="main")
    with pytest.raises(GithubException, match="404"):
        alice.get_contents("absent.txt")
    assert [one.event for one in github.world.deliveries] == ["push", "push"]
