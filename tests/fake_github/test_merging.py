"""Merges, the queue and required checks, as GitHub's documentation and its answers have them."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.fake_github.errors import Refusal
from tests.fake_github.gitstore import ZERO
from tests.fake_github.people import Person
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import CheckRun, Issue, MergeMethod, Repository, Status, User

FLOW = "name: W\non: {merge_group: , push: {branches: [main]}}\njobs: {}\n"


@pytest.fixture
def alice(github: FakeGitHub) -> Person:
    files = {".github/workflows/w.yml": FLOW, "a.txt": "1\n", "b.txt": "1\n", "c.txt": "1\n"}
    github.repository("acme/models", files, roles={"alice": "write"})
    return github.user("alice")


def pull(alice: Person, name: str, *texts: str) -> Issue:
    """A pull request of one commit a text."""
    for text in texts or ("2\n",):
        alice.push(name, {f"{name}.txt": text}, f"{name} {text.strip()}", onto="main")
    return alice.open_pull_request(name)


def groups(github: FakeGitHub) -> list[tuple[str, str, str]]:
    """What was said of merge groups: action (or the reason of its end), base and head, shortened to the letters."""
    told = [one.payload for one in github.world.deliveries if one.event == "merge_group"]
    return [
        (one.get("reason", one["action"]), one["merge_group"]["base_sha"], one["merge_group"]["head_sha"])
        for one in told
    ]


def tip(alice: Person) -> str:
    return alice.repository.git.git("rev-parse", "main")


def test_the_second_group_stands_on_the_first(github: FakeGitHub, alice: Person) -> None:
    first, second, main = pull(alice, "a"), pull(alice, "b"), tip(alice)
    one, two = alice.queue(first), alice.queue(second)
    (_, base, head), (_, base_of_second, head_of_second) = groups(github)
    assert (base, base_of_second) == (main, head)
    assert one.endswith(f"/main/pr-{first.number}-{main}")
    assert two.endswith(f"/main/pr-{second.number}-{head}")
    git = alice.repository.git
    assert [git.git("show", f"{two}:{name}.txt") for name in "ab"] == ["2", "2"]
    runs = [run for run in github.world.runs.values() if run.event == "merge_group"]
    assert [(run.head_branch, run.head_sha) for run in runs] == [
        (one.removeprefix("refs/heads/"), head),
        (two.removeprefix("refs/heads/"), head_of_second),
    ]
    alice.conclude_group(second, passed=True)
    assert tip(alice) == main, "the first has not passed yet"
    alice.conclude_group(first, passed=True)
    assert tip(alice) == head_of_second
    assert [one.pull.merged_at is not None for one in (first, second) if one.pull] == [True, True]
    pushes = [each.payload for each in github.world.deliveries if each.event == "push"]
    assert (pushes[-1]["before"], pushes[-1]["after"]) == (main, head_of_second), "one push of both"


def test_the_queue_builds_anew_what_stood_on_a_group_that_failed(github: FakeGitHub, alice: Person) -> None:
    first, second, third, main = pull(alice, "a"), pull(alice, "b"), pull(alice, "c"), tip(alice)
    for one in (first, second, third):
        alice.queue(one)
    alice.conclude_group(first, passed=False)
    said = groups(github)
    assert [what for what, _, _ in said[3:]] == [
        "dequeued",
        "invalidated",
        "checks_requested",
        "invalidated",
        "checks_requested",
    ]
    (_, base, head), (_, base_of_third, _) = said[5], said[7]
    assert (base, base_of_third) == (main, head)
    assert first.state == "open"
    alice.conclude_group(second, passed=True)
    assert tip(alice) == head
    assert alice.repository.git.git("show", "main:a.txt") == "1"
    assert not [
        ref for ref in alice.repository.git.refs() if "gh-readonly-queue" in ref and f"pr-{first.number}-" in ref
    ]


def test_a_failed_entry_is_merged_with_the_last_that_passes_where_that_is_allowed(alice: Person) -> None:
    first, second = pull(alice, "a"), pull(alice, "b")
    for one in (first, second):
        alice.queue(one)
    alice.repository.merge_queues["main"].only_non_failing = False
    main = tip(alice)
    alice.conclude_group(first, passed=False)
    assert tip(alice) == main
    alice.conclude_group(second, passed=True)
    assert [alice.repository.git.git("show", f"main:{name}.txt") for name in "ab"] == ["2", "2"]
    assert [one.state for one in (first, second)] == ["closed", "closed"]


def test_an_entry_that_conflicts_without_the_one_before_leaves_too(alice: Person) -> None:
    first = pull(alice, "a")
    alice.push("more", {"a.txt": "3\n"}, onto="a")
    second = alice.open_pull_request("more")
    alice.push("main", {"a.txt": "2\n"})
    alice.queue(pull(alice, "b"))
    alice.repository.merge_queues["main"].entries.clear()
    with pytest.raises(Refusal, match="405"):
        alice.queue(second)
    assert first.state == "open"


def test_a_rebase_replays_each_commit_in_one_push(github: FakeGitHub, alice: Person) -> None:
    issue = pull(alice, "a", "2\n", "3\n")
    alice.push("main", {"b.txt": "9\n"})
    before = tip(alice)
    github.user("boss").merge(issue, "rebase")
    git = alice.repository.git
    replayed = [git.info(sha) for sha in git.log("main", f"^{before}", reverse=True)]
    assert [(one.message, one.author[0], one.committer[0]) for one in replayed] == [
        ("a 2", "alice", "boss"),
        ("a 3", "alice", "boss"),
    ]
    assert replayed[0].parents == (before,)
    assert issue.pull
    assert issue.pull.head_sha not in {one.sha for one in replayed}
    assert [git.git("show", f"{one.sha}:a.txt") for one in replayed] == ["2", "3"]
    told = [one.payload for one in github.world.deliveries if one.event == "push"][-1]
    assert (told["before"], [one["id"] for one in told["commits"]]) == (before, [one.sha for one in replayed])
    assert [run.head_sha for run in github.world.runs.values() if run.event == "push"][-1] == replayed[1].sha


def test_a_rebase_leaves_out_merges_and_what_is_there_already(github: FakeGitHub, alice: Person) -> None:
    alice.push("a", {"a.txt": "2\n"}, "Same", onto="main")
    alice.push("main", {"a.txt": "2\n"})
    git = alice.repository.git
    merged = git.merge(git.git("rev-parse", "a"), tip(alice), "Merge main", github.world.identity(alice.user))
    assert merged
    git.set_ref("refs/heads/a", merged)
    alice.push("a", {"c.txt": "5\n"}, "New")
    issue, before = alice.open_pull_request("a"), tip(alice)
    alice.merge(issue, "rebase")
    assert [git.info(sha).message for sha in git.log("main", f"^{before}")] == ["New"]


def test_a_rebase_that_comes_to_something_else_is_refused(github: FakeGitHub, alice: Person) -> None:
    """The merge commit itself changed a file, and a rebase leaves it out."""
    alice.push("a", {"a.txt": "2\n"}, onto="main")
    alice.push("main", {"b.txt": "7\n"})
    git = alice.repository.git
    evil = git.commit(
        {"c.txt": "evil\n"}, "Merge", [git.git("rev-parse", "a"), tip(alice)], github.world.identity(alice.user)
    )
    git.set_ref("refs/heads/a", evil)
    issue = alice.open_pull_request("a")
    with pytest.raises(Refusal, match="can't be rebased"):
        alice.merge(issue, "rebase")


@pytest.mark.parametrize(("method", "commits"), [("merge", 3), ("squash", 1), ("rebase", 2)])
def test_each_way_of_merging_comes_to_the_same_files(alice: Person, method: MergeMethod, commits: int) -> None:
    issue, before = pull(alice, "a", "2\n", "3\n"), tip(alice)
    alice.merge(issue, method)
    git = alice.repository.git
    assert len(git.log("main", f"^{before}")) == commits
    assert git.git("show", "main:a.txt") == "3"


# Required checks.

Say = Callable[[str, str], None]


def status(github: FakeGitHub, repo: Repository, sha: str, state: str, by: User) -> None:
    repo.statuses.append(
        Status(
            id=github.world.next_id("status"), sha=sha, state=state, context="mlbot", description=None,
            target_url=None, creator=by, created_at=github.world.now(),
        )
    )  # fmt: skip


def check_run(github: FakeGitHub, repo: Repository, sha: str, conclusion: str | None, app: str) -> None:
    number = github.world.next_id("check_run")
    repo.check_runs[number] = CheckRun(
        id=number, sha=sha, name="mlbot", status="completed" if conclusion else "in_progress", conclusion=conclusion,
        app=app, started_at=github.world.now(),
    )  # fmt: skip


def require(repo: Repository, **check: Any) -> None:
    repo.rulesets[1] = {
        "id": 1,
        "name": "main",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [
            {
                "type": "required_status_checks",
                "parameters": {"required_status_checks": [{"context": "mlbot", **check}]},
            }
        ],
    }


EXPECTED, FAILING = 'Required status check "mlbot" is expected.', 'Required status check "mlbot" is failing.'
CASES: list[tuple[str, dict[str, Any], list[tuple[str, str | None, str]], str]] = [
    ("nothing is there", {}, [], EXPECTED),
    ("a status", {}, [("status", "success", "bot")], ""),
    ("a status that fails", {}, [("status", "failure", "bot")], FAILING),
    ("a status that is an error", {}, [("status", "error", "bot")], FAILING),
    ("a status that waits", {}, [("status", "pending", "bot")], EXPECTED),
    ("the newest status", {}, [("status", "failure", "bot"), ("status", "success", "bot")], ""),
    ("a person's status", {}, [("status", "success", "alice")], ""),
    ("a check run", {}, [("run", "success", "github-actions")], ""),
    ("a skipped check run", {}, [("run", "skipped", "github-actions")], ""),
    ("a neutral check run", {}, [("run", "neutral", "github-actions")], ""),
    ("a cancelled check run", {}, [("run", "cancelled", "github-actions")], FAILING),
    ("a check run under way", {}, [("run", None, "github-actions")], EXPECTED),
    ("both are required", {}, [("run", "success", "github-actions"), ("status", "failure", "bot")], FAILING),
    ("both, the other way", {}, [("run", "failure", "github-actions"), ("status", "success", "bot")], FAILING),
    ("both pass", {}, [("run", "success", "github-actions"), ("status", "success", "bot")], ""),
    ("pinned to an app", {"integration_id": 99001}, [("run", "success", "github-actions")], EXPECTED),
    ("the app's own", {"integration_id": 99001}, [("status", "success", "mlbot-app[bot]")], ""),
    (
        "nobody else's counts",
        {"integration_id": 99001},
        [("run", "failure", "github-actions"), ("status", "failure", "alice"), ("run", "success", "mlbot-app")],
        "",
    ),
    ("Actions' own id is no protection", {"integration_id": 15368}, [("run", "success", "github-actions")], ""),
    ("any source", {"integration_id": -1}, [("run", "success", "other")], ""),
]


@pytest.mark.parametrize(("check", "said", "refusal"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_required_checks(
    github: FakeGitHub,
    alice: Person,
    check: dict[str, Any],
    said: list[tuple[str, str | None, str]],
    refusal: str,
) -> None:
    issue = pull(alice, "a")
    assert issue.pull
    require(alice.repository, **check)
    for kind, word, who in said:
        if kind == "run":
            check_run(github, alice.repository, issue.pull.head_sha, word, who)
        else:
            by = github.world.bot if who == "bot" else github.world.add_user(who, "Bot" if "[bot]" in who else "User")
            status(github, alice.repository, issue.pull.head_sha, str(word), by)
    if not refusal:
        alice.merge(issue)
        assert issue.state == "closed"
        return
    with pytest.raises(Refusal, match="405") as caught:
        alice.merge(issue)
    assert caught.value.body["message"] == refusal


def test_a_fork_that_is_deleted_leaves_its_pull_request_open(github: FakeGitHub, alice: Person) -> None:
    fork = github.user("mallory").fork()
    fork.push("a", {"a.txt": "2\n"})
    issue = fork.open_pull_request("a")
    fork.delete_repository()
    assert issue.state == "open"
    assert issue.pull
    assert issue.pull.head_repo is None
    assert alice.repository.git.find(f"refs/pull/{issue.number}/head") == issue.pull.head_sha != ZERO
