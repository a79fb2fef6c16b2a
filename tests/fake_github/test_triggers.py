"""Which events start which workflows."""

import pytest
from tests.fake_github.people import Person
from tests.fake_github.server import FakeGitHub
from tests.fake_github.triggers import matches
from tests.fake_github.workflow_file import WorkflowError, parse


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["main"], "main", True),
        (["main"], "maintenance", False),
        (["release/*"], "release/1", True),
        (["release/*"], "release/1/x", False),
        (["release/**"], "release/1/x", True),
        (["**"], "anything/at/all", True),
        (["**/data.csv"], "data.csv", True),
        (["v[0-9]+.[0-9]+"], "v10.2", True),
        (["v?1"], "1", True),
        (["*@v*"], "income@v1.0.0", True),
        (["**", "!wip/**"], "wip/x", False),
        (["**", "!wip/**", "wip/ok"], "wip/ok", True),
    ],
)
def test_patterns(patterns: list[str], name: str, *, expected: bool) -> None:
    assert matches(patterns, name) is expected


def start(github: FakeGitHub, on: str) -> Person:
    github.repository("acme/models", {".github/workflows/w.yml": f"name: W\non: {on}\njobs: {{}}\n", "a.txt": "1"})
    return github.user("alice")


def events(github: FakeGitHub) -> list[tuple[str, str]]:
    return [(one.event, one.payload.get("action", one.ref)) for one in github.world.runs.values()]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("pull_request", ["opened", "synchronize", "reopened"]),
        ("{pull_request: {types: [edited, closed]}}", ["edited", "closed"]),
        ("{pull_request: {branches: [other]}}", []),
        ("{pull_request: {paths: ['b.txt']}}", ["opened", "synchronize", "reopened"]),
        ("{pull_request: {paths: ['*.csv']}}", []),
        ("{pull_request: {paths-ignore: ['*.txt']}}", []),
        ("[issue_comment]", ["created"]),
    ],
)
def test_a_pull_request_starts(github: FakeGitHub, on: str, expected: list[str]) -> None:
    alice = start(github, on)
    pull = alice.pull_request("topic", {"b.txt": "1"})
    alice.push("topic", {"b.txt": "2"})
    alice.edit_pull_request(pull, title="New")
    alice.comment(pull, "Hello")
    alice.close(pull)
    alice.reopen(pull)
    assert [action for _, action in events(github)] == expected


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("push", ["refs/heads/main", "refs/heads/side", "refs/tags/v1"]),
        ("{push: {branches: [main]}}", ["refs/heads/main"]),
        ("{push: {branches-ignore: [main]}}", ["refs/heads/side"]),
        ("{push: {tags: ['v*']}}", ["refs/tags/v1"]),
        ("{push: {branches: ['**'], tags: ['x*']}}", ["refs/heads/main", "refs/heads/side"]),
        ("{push: {paths: [a.txt], branches: [main]}}", ["refs/heads/main"]),
        ("{push: {paths: [z.txt], branches: [main]}}", []),
    ],
)
def test_a_push_starts(github: FakeGitHub, on: str, expected: list[str]) -> None:
    alice = start(github, on)
    alice.push("main", {"a.txt": "2"})
    alice.push("side", {"c.txt": "2"})
    alice.tag("v1", message="Annotated")
    alice.delete_tag("v1")
    assert [ref for _, ref in events(github)] == expected


def test_a_pull_request_runs_its_merge_and_shows_its_head(github: FakeGitHub) -> None:
    alice = start(github, "pull_request")
    pull = alice.pull_request("topic", {"b.txt": "1"})
    (run,) = github.world.runs.values()
    assert pull.pull
    assert (run.ref, run.sha, run.source) == ("refs/pull/1/merge", pull.pull.merge_commit, pull.pull.merge_commit)
    assert (run.head_sha, run.head_branch) == (pull.pull.head_sha, "topic")


def test_a_pull_request_runs_its_own_workflow_file(github: FakeGitHub) -> None:
    github.repository("acme/models")
    github.user("alice").pull_request("topic", {".github/workflows/own.yml": "on: pull_request\njobs: {}\n"})
    assert [one.workflow.path for one in github.world.runs.values()] == [".github/workflows/own.yml"]


def test_a_conflict_runs_nothing(github: FakeGitHub) -> None:
    alice = start(github, "pull_request")
    alice.push("topic", {"a.txt": "topic"})
    alice.push("main", {"a.txt": "main"})
    alice.open_pull_request("topic")
    assert not github.world.runs


def test_a_comment_runs_the_default_branch(github: FakeGitHub) -> None:
    alice = start(github, "issue_comment")
    pull = alice.pull_request("topic", {".github/workflows/w.yml": "on: issue_comment\njobs: {evil: {}}\n"})
    alice.comment(pull, "/retrain")
    (run,) = github.world.runs.values()
    assert (run.ref, run.sha) == ("refs/heads/main", alice.repository.git.find("refs/heads/main"))


def test_workflow_runs_chain_three_deep(github: FakeGitHub) -> None:
    chain = {
        f".github/workflows/{n}.yml": f"name: W{n}\non: {{workflow_run: {{workflows: [W{n - 1}], types: [requested]}}}}"
        "\njobs: {}\n"
        for n in range(1, 6)
    }
    github.repository("acme/models", {".github/workflows/0.yml": "name: W0\non: push\njobs: {}\n", **chain})
    github.user("alice").push("main", {"a.txt": "1"})
    assert [one.workflow.name for one in github.world.runs.values()] == ["W0", "W1", "W2", "W3"]


def test_a_broken_workflow_is_a_violation(github: FakeGitHub) -> None:
    github.repository("acme/models")
    github.user("alice").push("main", {".github/workflows/w.yml": "on: push\njobs: ["})
    assert "broken workflow file" in github.world.violations.pop()


def test_on_is_a_word_and_not_a_truth_value() -> None:
    file = parse("w.yml", "on: push\njobs: {a: {if: true, steps: [{run: yes}]}}")
    assert file.triggers == {"push": {}}
    assert file.jobs["a"] == {"if": True, "steps": [{"run": "yes"}]}
    with pytest.raises(WorkflowError):
        parse("w.yml", "jobs: {}")
