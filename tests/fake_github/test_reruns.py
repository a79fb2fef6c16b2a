"""Re-runs, and pushes that GitHub declines."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.fake_github import ops_actions
from tests.fake_github.clients import client, of_job
from tests.fake_github.errors import Refusal
from tests.fake_github.people import Person
from tests.fake_github.runs import Job, Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.test_git import ENVIRONMENT, git

from github import GithubException

WORK = "name: Work\non: {push: , pull_request: }\njobs: {}\n"
HEARS = "on: {workflow_run: {workflows: [Work], types: [requested, in_progress, completed]}}\njobs: {}\n"
FILES = {".github/workflows/work.yml": WORK, ".github/workflows/hears.yml": HEARS, "a.txt": "1"}


@pytest.fixture
def alice(github: FakeGitHub) -> Person:
    github.repository("acme/models", FILES, roles={"alice": "write"})
    return github.user("alice")


@pytest.fixture
def run(github: FakeGitHub, alice: Person) -> Run:
    """A run whose second job failed; each job uploaded something."""
    alice.push("main", {"a.txt": "2"})
    (made,) = [one for one in github.world.runs.values() if one.event == "push"]
    end(github, made, first="success", second="failure")
    return made


def end(github: FakeGitHub, run: Run, **results: str) -> None:
    ops_actions.begin(github.world, run)
    for name in results:
        ops_actions.upload(github.world, run, run.latest.number, f"{name}-a{run.latest.number}", b"PK")
    now = github.world.now()
    jobs = [
        Job(id=github.world.next_id("job"), key=name, name=name, status="completed", conclusion=result, started_at=now)
        for name, result in results.items()
    ]
    ops_actions.finish(github.world, run, "failure" if "failure" in results.values() else "success", jobs)


def heard(github: FakeGitHub) -> list[tuple[str, int]]:
    """What workflows were told of runs of Work."""
    told = [one.payload for one in github.world.deliveries if one.event == "workflow_run"]
    return [(one["action"], one["workflow_run"]["run_attempt"]) for one in told if one["workflow"]["name"] == "Work"]


def artifacts(github: FakeGitHub, run: Run) -> list[str]:
    found = client(github, "alice").get_repo("acme/models").get_workflow_run(run.id).get_artifacts()
    return sorted(one.name for one in found)


def test_a_persons_rerun_raises_no_requested(github: FakeGitHub, alice: Person, run: Run) -> None:
    assert heard(github) == [("requested", 1), ("in_progress", 1), ("completed", 1)]
    alice.rerun(run)
    assert len(heard(github)) == 3
    end(github, run, first="success", second="success")
    assert heard(github)[3:] == [("in_progress", 2), ("completed", 2)]


def test_all_jobs_again_hides_what_earlier_attempts_uploaded(github: FakeGitHub, alice: Person, run: Run) -> None:
    (first, _) = run.repository.artifacts.values()
    alice.rerun(run)
    assert artifacts(github, run) == []
    end(github, run, first="success", second="success")
    assert artifacts(github, run) == ["first-a2", "second-a2"]
    here = client(github, "alice").get_repo("acme/models")
    assert len(list(here.get_artifacts())) == 2
    with pytest.raises(GithubException, match="404"):
        here.get_artifact(first.id)


def test_failed_jobs_again_keep_the_others_and_what_they_uploaded(github: FakeGitHub, alice: Person, run: Run) -> None:
    here = client(github, "alice").get_repo("acme/models")
    here.requester.requestJsonAndCheck("POST", f"{here.url}/actions/runs/{run.id}/rerun-failed-jobs")
    assert run.latest.number == 2
    assert artifacts(github, run) == ["first-a1", "second-a1"]
    end(github, run, second="success")
    assert artifacts(github, run) == ["first-a1", "second-a1", "second-a2"]
    assert run.outcomes() == {"first": "success", "second": "success"}
    with pytest.raises(Refusal, match="cannot be retried"):
        alice.rerun(run, failed_only=True)
    alice.rerun(run)
    end(github, run, first="failure", second="success")
    assert artifacts(github, run) == ["first-a3", "second-a3"]


def test_fifty_reruns_are_the_most(github: FakeGitHub, alice: Person, run: Run) -> None:
    for _ in range(50):
        alice.rerun(run)
        end(github, run, first="failure")
    with pytest.raises(Refusal, match="403"):
        alice.rerun(run)
    assert run.latest.number == 51


def test_a_tags_run_carries_the_tags_name(github: FakeGitHub, alice: Person) -> None:
    """A tag called as the guarded branch makes a run that looks like a push to it."""
    work = alice.push("side", {"a.txt": "9"})
    alice.tag("main", target="side")
    found = [one for one in github.world.runs.values() if one.event == "push"][-1]
    assert (found.ref, found.head_branch, found.head_sha) == ("refs/tags/main", "main", work)
    here = client(github, "alice").get_repo("acme/models")
    assert here.get_workflow_run(found.id).head_branch == "main"


def test_artifacts_are_listed_by_pages(github: FakeGitHub, run: Run) -> None:
    for number in range(120):
        ops_actions.upload(github.world, run, 1, f"more-{number}", b"PK")
    assert len(artifacts(github, run)) == 122
    here = client(github, "alice").get_repo("acme/models")
    _, answer = here.requester.requestJsonAndCheck("GET", f"{here.url}/actions/runs/{run.id}/artifacts?per_page=500")
    assert (answer["total_count"], len(answer["artifacts"])) == (122, 100)


def test_a_run_whose_fork_is_gone_has_no_head_repository(github: FakeGitHub, alice: Person) -> None:
    fork = github.user("mallory").fork()
    fork.push("evil", {"a.txt": "evil"})
    issue = fork.open_pull_request("evil")
    made = [one for one in github.world.runs.values() if one.event == "pull_request"][-1]
    client(github, "mallory").get_repo("mallory/models").delete()
    here = client(github, "alice").get_repo(alice.repository.full_name)
    assert here.get_pull(issue.number).raw_data["head"]["repo"] is None
    assert here.get_workflow_run(made.id).raw_data["head_repository"] is None
    with pytest.raises(GithubException, match="404"):
        client(github, "mallory").get_repo("mallory/models")


# Pushes that are declined.


@pytest.fixture
def clone(alice: Person, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", alice.clone_url(), "clone")
    return tmp_path / "clone"


def declined(folder: Path, *arguments: str) -> str:
    """What git says of a push that fails."""
    command = ["git", "-C", str(folder), "push", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


def job_url(github: FakeGitHub, person: Person, **rights: str) -> str:
    token = github.job_token(person.repository, {"contents": "write", **rights})
    return f"http://x-access-token:{token}@{github.url.removeprefix('http://')}/acme/models"


def test_a_job_gives_no_name_to_a_commit_with_other_workflow_files(
    github: FakeGitHub, alice: Person, clone: Path
) -> None:
    old = git(clone, "rev-parse", "HEAD")
    git(clone, "push", "--quiet", job_url(github, alice), f"{old}:refs/tags/v1")
    alice.push("main", {".github/workflows/work.yml": f"{WORK}# changed\n"})
    said = declined(clone, job_url(github, alice), f"{old}:refs/tags/v2", f"{old}:refs/heads/mlbot-ledger")
    assert "refusing to allow a GitHub App to create or update workflow `.github/workflows/work.yml`" in said
    assert "without `workflows` permission" in said
    refs = alice.repository.git.refs()
    assert {"refs/tags/v2", "refs/heads/mlbot-ledger"} & set(refs) == set()
    api = of_job(github, alice.repository, {"contents": "write"}).get_repo("acme/models")
    with pytest.raises(GithubException, match="403") as caught:
        api.create_git_ref("refs/tags/v2", old)
    assert caught.value.headers
    assert caught.value.headers["x-accepted-github-permissions"] == "contents=write; contents=write,workflows=write"
    git(clone, "push", "--quiet", "origin", f"{old}:refs/tags/v2")
    alice.push("old", None, onto=old)
    git(clone, "push", "--quiet", job_url(github, alice), f"{old}:refs/tags/v3")


def test_a_job_may_push_what_holds_no_workflow_file(github: FakeGitHub, alice: Person, clone: Path) -> None:
    git(clone, "switch", "--quiet", "--orphan", "ledger")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Ledger")
    git(clone, "push", "--quiet", job_url(github, alice), "HEAD:refs/heads/ledger")
    assert "refs/heads/ledger" in alice.repository.git.refs()


RULES: list[tuple[str, dict[str, Any], str]] = [
    ("pull_request", {}, "- Changes must be made through a pull request."),
    ("update", {}, "- Cannot update this protected ref."),
    ("required_signatures", {}, "- Commits must have verified signatures."),
    (
        "required_status_checks",
        {"required_status_checks": [{"context": "mlbot"}]},
        '- Required status check "mlbot" is expected.',
    ),
]


def rule(person: Person, kind: str, parameters: dict[str, Any], *include: str, **more: Any) -> None:
    made = {"type": kind, "parameters": parameters}
    names = {"include": list(include or ("~DEFAULT_BRANCH",)), "exclude": more.pop("exclude", [])}
    person.repository.rulesets[1] = {
        "id": 1, "name": "r", "target": "branch", "enforcement": "active", "rules": [made],
        "conditions": {"ref_name": names}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "parameters", "words"), RULES, ids=[one[0] for one in RULES])
def test_a_ruleset_declines_a_push(
    github: FakeGitHub, alice: Person, clone: Path, kind: str, parameters: dict[str, Any], words: str
) -> None:
    rule(alice, kind, parameters)
    before, told = alice.repository.git.refs(), len(github.world.deliveries)
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    said = declined(clone, "origin", "HEAD:main", "HEAD:refs/heads/beside")
    assert "error: GH013: Repository rule violations found for refs/heads/main." in said
    assert words in said
    assert "(push declined due to repository rule violations)" in said
    assert (alice.repository.git.refs(), len(github.world.deliveries)) == (before, told)
    api = client(github, "alice").get_repo("acme/models")
    side = alice.push("side", {"b.txt": "1"})
    with pytest.raises(GithubException, match="422") as caught:
        api.get_git_ref("heads/main").edit(side)
    assert words in str(caught.value)
    alice.repository.rulesets[1]["enforcement"] = "disabled"
    git(clone, "push", "--quiet", "origin", "HEAD:main")


def test_rules_of_creation_deletion_and_force(alice: Person, clone: Path) -> None:
    rule(alice, "creation", {}, "refs/heads/mlbot-*")
    assert "Cannot create ref due to creations being restricted." in declined(clone, "origin", "HEAD:mlbot-ledger")
    rule(alice, "creation", {}, "refs/heads/mlbot-*", exclude=["refs/heads/mlbot-ledger"])
    git(clone, "push", "--quiet", "origin", "HEAD:mlbot-ledger")
    rule(alice, "deletion", {}, "~ALL")
    assert "Cannot delete this protected ref." in declined(clone, "origin", ":mlbot-ledger")
    rule(alice, "non_fast_forward", {}, "~ALL")
    git(clone, "commit", "--quiet", "--amend", "--allow-empty", "--message", "Other")
    assert "Cannot force-push to this branch." in declined(clone, "--force", "origin", "HEAD:main")


def test_who_may_bypass_a_ruleset(github: FakeGitHub, alice: Person, clone: Path) -> None:
    rule(alice, "update", {}, bypass_actors=[{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}])
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    assert "GH013" in declined(clone, "origin", "HEAD:main")
    assert "GH013" in declined(clone, job_url(github, alice), "HEAD:main")
    alice.repository.roles["boss"] = "admin"
    git(clone, "push", "--quiet", github.user("boss").clone_url(), "HEAD:main")
    assert os.environ["PATH"]
