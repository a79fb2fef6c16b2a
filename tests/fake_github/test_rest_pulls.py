"""Pull requests, with PyGithub as the client."""

import pytest
from github.Repository import Repository as Client
from tests.fake_github.clients import client, of_job
from tests.fake_github.server import FakeGitHub

from github import GithubException


@pytest.fixture
def alice(github: FakeGitHub) -> Client:
    """The repository as alice, who may write, sees it."""
    github.repository("acme/models", {"a.txt": "1\n2\n3\n"}, roles={"alice": "write"})
    return client(github, "alice").get_repo("acme/models")


def test_a_pull_request_tells_of_its_sides(github: FakeGitHub, alice: Client) -> None:
    person = github.user("alice")
    base = alice.get_branch("main").commit.sha
    head = person.push("topic", {"a.txt": "1\n2\n4\n", "b.txt": "new\n"})
    pull = alice.create_pull("main", "topic", title="Better", body="Why")
    assert (pull.head.sha, pull.base.sha, pull.head.repo.full_name) == (head, base, "acme/models")
    assert (pull.commits, pull.additions, pull.deletions, pull.changed_files) == (1, 2, 1, 2)
    assert [(one.filename, one.status) for one in pull.get_files()] == [("a.txt", "modified"), ("b.txt", "added")]
    assert [one.sha for one in pull.get_commits()] == [head]
    assert pull.mergeable
    assert [one.number for one in alice.get_pulls(state="open", base="main", head="acme:topic")] == [pull.number]
    assert [one.number for one in alice.get_commit(head).get_pulls()] == [pull.number]
    git = github.world.repository("acme/models").git
    assert git.find(f"refs/pull/{pull.number}/head") == head
    assert git.info(git.git("rev-parse", f"refs/pull/{pull.number}/merge")).parents == (base, head)


def test_a_push_synchronizes(github: FakeGitHub, alice: Client) -> None:
    person = github.user("alice")
    issue = person.pull_request("topic", {"a.txt": "2"})
    before = alice.get_pull(issue.number).head.sha
    after = person.push("topic", {"a.txt": "3"})
    told = github.world.deliveries[-1].payload
    assert (told["action"], told["before"], told["after"]) == ("synchronize", before, after)
    forced = person.force_push("topic", {"a.txt": "4"})
    pushed = next(one.payload for one in reversed(github.world.deliveries) if one.event == "push")
    assert pushed["forced"]
    assert alice.get_pull(issue.number).head.sha == forced


def test_a_conflict_is_not_mergeable(github: FakeGitHub, alice: Client) -> None:
    person = github.user("alice")
    issue = person.pull_request("topic", {"a.txt": "topic"})
    person.push("main", {"a.txt": "main"})
    pull = alice.get_pull(issue.number)
    assert (pull.mergeable, pull.mergeable_state) == (False, "dirty")
    assert github.world.repository("acme/models").git.find(f"refs/pull/{issue.number}/merge") is None
    with pytest.raises(GithubException, match="405"):
        pull.merge()


@pytest.mark.parametrize(("method", "parents"), [("merge", 2), ("squash", 1)])
def test_a_merge_moves_the_base(github: FakeGitHub, alice: Client, method: str, parents: int) -> None:
    issue = github.user("alice").pull_request("topic", {"a.txt": "topic"})
    pull = alice.get_pull(issue.number)
    with pytest.raises(GithubException, match="409"):
        pull.merge(sha="0" * 40)
    sha = pull.merge(merge_method=method, sha=pull.head.sha).sha
    assert alice.get_branch("main").commit.sha == sha
    assert len(alice.get_commit(sha).parents) == parents
    assert alice.get_pull(issue.number).is_merged()
    told = [(one.event, one.payload.get("action")) for one in github.world.deliveries[-2:]]
    assert told == [("pull_request", "closed"), ("push", None)]


def test_a_merge_by_a_workflow_raises_no_push_for_workflows(github: FakeGitHub, alice: Client) -> None:
    issue = github.user("alice").pull_request("topic", {"a.txt": "topic"})
    repository = github.world.repository(alice.full_name)
    job = of_job(github, repository, {"contents": "write", "pull_requests": "read"})
    job.get_repo(alice.full_name).get_pull(issue.number).merge()
    assert github.world.deliveries[-1].event == "push"
    assert github.world.deliveries[-1].by_token


def test_a_forks_pull_request(github: FakeGitHub, alice: Client) -> None:
    fork = github.user("mallory").fork()
    head = fork.push("main", {"a.txt": "fork"})
    issue = fork.open_pull_request("main")
    pull = alice.get_pull(issue.number)
    assert (pull.head.repo.full_name, pull.head.label, pull.head.sha) == ("mallory/models", "mallory:main", head)
    assert [one.number for one in alice.get_pulls(head="mallory:main")] == [issue.number]
    assert list(alice.get_commit(head).get_pulls()) == []  # GitHub finds a fork's only once it is merged
    again = fork.push("main", {"a.txt": "fork again"})
    assert alice.get_pull(issue.number).head.sha == again
    fork.close(issue)
    assert alice.get_pull(issue.number).state == "closed"


def test_a_pull_request_changes_its_mind(github: FakeGitHub, alice: Client) -> None:
    person = github.user("alice")
    person.push("release", None)
    issue = person.pull_request("topic", {"a.txt": "topic"})
    pull = alice.get_pull(issue.number)
    pull.edit(title="New title", base="release")
    told = github.world.deliveries[-1].payload
    assert told["changes"]["base"]["ref"]["from"] == "main"
    assert alice.get_pull(issue.number).base.ref == "release"
    person.convert_to_draft(issue)
    person.mark_ready(issue)
    person.close(issue)
    person.reopen(issue)
    actions = [one.payload["action"] for one in github.world.deliveries if one.event == "pull_request"]
    assert actions == ["opened", "edited", "converted_to_draft", "ready_for_review", "closed", "reopened"]
    person.delete_branch("topic")
    assert alice.get_pull(issue.number).state == "closed"


def test_one_branch_has_one_open_pull_request(github: FakeGitHub, alice: Client) -> None:
    github.user("alice").pull_request("topic", {"a.txt": "topic"})
    with pytest.raises(GithubException, match="already exists"):
        alice.create_pull("main", "topic", title="Again")
    with pytest.raises(GithubException, match="422"):
        alice.create_pull("main", "nowhere", title="Nothing")


def test_a_queue_merges_the_group(github: FakeGitHub, alice: Client) -> None:
    person = github.user("alice")
    issue = person.pull_request("topic", {"a.txt": "topic"})
    ref = person.queue(issue)
    asked = github.world.deliveries[-1].payload
    assert (asked["action"], asked["merge_group"]["head_ref"]) == ("checks_requested", ref)
    person.leave_queue(issue, ref)
    assert alice.get_branch("main").commit.sha == asked["merge_group"]["head_sha"]
    assert alice.get_pull(issue.number).merged
