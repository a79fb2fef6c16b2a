"""Runs, jobs, artifacts and dispatches, with PyGithub as the client; no job is run."""

import io
import zipfile

import pytest
import requests
from github.Repository import Repository as Client
from tests.fake_github import ops_actions, ops_reviews
from tests.fake_github.clients import client, of_job
from tests.fake_github.errors import Refusal
from tests.fake_github.runs import Annotation, Job, Run, Step
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Environment

from github import GithubException

TRAIN = "name: Train\non: {pull_request: }\njobs: {}\n"
DEPLOY = """
on:
  workflow_dispatch:
    inputs:
      where: {type: choice, options: [staging, production], required: true}
      dry: {type: boolean, default: false}
jobs: {}
"""
JUDGE = "on: {workflow_run: {workflows: [Train], types: [completed]}}\njobs: {}\n"


@pytest.fixture
def alice(github: FakeGitHub) -> Client:
    """The repository as alice, who may write, sees it."""
    files = {
        f".github/workflows/{name}.yml": text for name, text in (("train", TRAIN), ("deploy", DEPLOY), ("judge", JUDGE))
    }
    github.repository("acme/models", files, roles={"alice": "write"})
    return client(github, "alice").get_repo("acme/models")


@pytest.fixture
def run(github: FakeGitHub, alice: Client) -> Run:
    """A run of a pull request, in the queue."""
    github.user("alice").pull_request(f"topic-{alice.id}", {"a.txt": "1"})
    return github.world.queue[-1]


def finish(github: FakeGitHub, run: Run, conclusion: str) -> None:
    job = Job(
        id=github.world.next_id("job"),
        key="train",
        name="train (a)",
        status="completed",
        conclusion=conclusion,
        started_at=github.world.now(),
        completed_at=github.world.now(),
        steps=[Step(name="run", conclusion=conclusion)],
        annotations=[Annotation(level="failure", message="broken")],
    )
    github.world.queue.remove(run)
    ops_actions.begin(github.world, run)
    ops_actions.finish(github.world, run, conclusion, [job])


def test_a_run_is_found_by_what_it_ran_for(github: FakeGitHub, alice: Client, run: Run) -> None:
    (found,) = alice.get_workflow_runs(head_sha=run.head_sha, event="pull_request")
    assert (found.id, found.status, found.run_attempt) == (run.id, "queued", 1)
    assert [one.number for one in found.pull_requests] == [1]
    assert list(alice.get_workflow_runs(head_sha="0" * 40)) == []
    assert [one.id for one in alice.get_workflow("train.yml").get_runs(status="queued")] == [run.id]
    assert {one.path for one in alice.get_workflows()} == {
        f".github/workflows/{name}.yml" for name in ("train", "deploy", "judge")
    }
    assert github.world.deliveries[-1].payload["action"] == "requested"


def test_a_re_run_is_an_attempt_with_the_same_commit(github: FakeGitHub, alice: Client, run: Run) -> None:
    with pytest.raises(GithubException, match="403"):
        alice.get_workflow_run(run.id).requester.requestJsonAndCheck("POST", f"{alice.url}/actions/runs/{run.id}/rerun")
    finish(github, run, "failure")
    assert alice.get_workflow_run(run.id).rerun()
    found = alice.get_workflow_run(run.id)
    assert (found.status, found.run_attempt, found.head_sha) == ("queued", 2, run.head_sha)
    _, first = found.requester.requestJsonAndCheck("GET", f"{found.url}/attempts/1")
    assert (first["conclusion"], first["run_attempt"]) == ("failure", 1)
    assert run in github.world.queue


def test_a_re_run_by_a_workflow_wakes_nobody(github: FakeGitHub, alice: Client, run: Run) -> None:
    finish(github, run, "success")
    (judged,) = github.world.queue
    assert judged.workflow.path.endswith("judge.yml")
    job = of_job(github, run.repository, {"actions": "write"}).get_repo(alice.full_name)
    job.get_workflow_run(run.id).rerun()
    finish(github, run, "success")
    assert github.world.queue == [judged]
    assert github.world.deliveries[-1].payload["workflow_run"]["run_attempt"] == 2


def test_jobs_and_their_check_runs(github: FakeGitHub, alice: Client, run: Run) -> None:
    finish(github, run, "failure")
    (job,) = alice.get_workflow_run(run.id).jobs()
    assert (job.name, job.conclusion, [step.name for step in job.steps]) == ("train (a)", "failure", ["run"])
    (check,) = alice.get_commit(run.head_sha).get_check_runs()
    assert (check.name, check.conclusion) == ("train (a)", "failure")
    assert [one.message for one in check.get_annotations()] == ["broken"]


def test_a_run_is_cancelled(github: FakeGitHub, alice: Client, run: Run) -> None:
    assert alice.get_workflow_run(run.id).cancel()
    assert alice.get_workflow_run(run.id).conclusion == "cancelled"
    assert not alice.get_workflow_run(run.id).cancel()
    assert run not in github.world.queue


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return buffer.getvalue()


def test_an_artifact_is_downloaded_from_another_host(github: FakeGitHub, alice: Client, run: Run) -> None:
    made = ops_actions.upload(github.world, run, 1, "model-a", archive(model="bytes"))
    ops_actions.upload(github.world, run, 1, "model-b", archive(model="others"))
    (found,) = [one for one in alice.get_workflow_run(run.id).get_artifacts() if one.name == "model-a"]
    assert (found.id, found.size_in_bytes, found.workflow_run.head_sha) == (made.id, len(made.archive), run.head_sha)
    headers = {"Authorization": f"Bearer {github.token('alice')}"}
    moved = requests.get(found.archive_download_url, headers=headers, allow_redirects=False, timeout=5)
    assert moved.status_code == 302
    assert requests.get(moved.headers["Location"], headers=headers, timeout=5).status_code == 401
    data = requests.get(found.archive_download_url, headers=headers, timeout=5).content
    assert zipfile.ZipFile(io.BytesIO(data)).read("model") == b"bytes"
    assert requests.get(found.archive_download_url, timeout=5).status_code == 401
    made.expired = True
    assert requests.get(found.archive_download_url, headers=headers, timeout=5).status_code == 410


def test_an_artifact_is_unique_in_its_attempt(github: FakeGitHub, alice: Client, run: Run) -> None:
    ops_actions.upload(github.world, run, 1, "model", archive(a="1"))
    url = f"{github.url}/_artifacts/{run.id}/1/model"
    headers = {"Authorization": f"Bearer {github.world.runtime_token(run.id)}"}
    assert requests.put(url, archive(a="2"), headers=headers, timeout=5).status_code == 409
    again = requests.put(f"{github.url}/_artifacts/{run.id}/2/model", archive(a="2"), headers=headers, timeout=5)
    assert again.status_code == 201
    assert [one.id for one in alice.get_artifacts()] == sorted(github.world.repository(alice.full_name).artifacts)[::-1]


def test_a_dispatch_checks_its_inputs(github: FakeGitHub, alice: Client) -> None:
    workflow = alice.get_workflow("deploy.yml")
    for inputs in ({}, {"where": "moon"}, {"where": "staging", "what": "x"}):
        assert not workflow.create_dispatch("main", inputs)
    assert workflow.create_dispatch("main", {"where": "staging"})
    (run,) = github.world.queue
    assert run.payload["inputs"] == {"where": "staging", "dry": "false"}
    assert (run.event, run.ref, run.actor.login) == ("workflow_dispatch", "refs/heads/main", "alice")


def test_a_dispatch_by_a_workflow_starts_a_run(github: FakeGitHub, alice: Client) -> None:
    job = of_job(github, github.world.repository(alice.full_name), {"actions": "write"}).get_repo(alice.full_name)
    assert job.get_workflow("deploy.yml").create_dispatch("main", {"where": "staging"})
    assert [one.actor.login for one in github.world.queue] == ["github-actions[bot]"]


def test_a_forks_run_waits_for_approval(github: FakeGitHub, alice: Client) -> None:
    repository = github.world.repository(alice.full_name)
    repository.settings["approve_forks"] = True
    fork = github.user("mallory").fork()
    fork.push("evil", {"a.txt": "evil"})
    fork.open_pull_request("evil")
    run = next(one for one in github.world.runs.values() if one.event == "pull_request")
    assert (alice.get_workflow_run(run.id).conclusion, run in github.world.queue) == ("action_required", False)
    assert alice.get_workflow_run(run.id).pull_requests == []
    github.user("alice").approve(run)
    assert run in github.world.queue


def test_what_a_workflow_proposes_is_refused_or_waits_for_approval(github: FakeGitHub, alice: Client) -> None:
    repository = github.world.repository(alice.full_name)
    github.user("alice").push("topic", {"b.txt": "new"})
    job = of_job(github, repository, {"contents": "write", "pull_requests": "write"}).get_repo(alice.full_name)
    with pytest.raises(GithubException, match="not permitted to create or approve pull requests"):
        job.create_pull("main", "topic", title="By a workflow")
    repository.settings["can_approve"] = True
    job.create_pull("main", "topic", title="By a workflow")
    run = next(one for one in github.world.runs.values() if one.event == "pull_request")
    assert (alice.get_workflow_run(run.id).conclusion, run in github.world.queue) == ("action_required", False)
    github.user("alice").approve(run)
    assert run in github.world.queue
    assert not run.latest.by_token, "what it tells of itself starts workflows"


def test_a_deployment_waits_for_its_reviewers(github: FakeGitHub, alice: Client, run: Run) -> None:
    repository, boss = run.repository, github.user("boss")
    repository.environments["production"] = Environment(
        id=5, name="production", created_at=github.world.now(), reviewers=[boss.user, github.user("alice").user],
        prevent_self_review=True,
    )  # fmt: skip
    github.world.queue.remove(run)
    assert ops_reviews.wait(run, ["production"])
    (pending,) = alice.get_workflow_run(run.id).requester.requestJsonAndCheck(
        "GET", f"{alice.url}/actions/runs/{run.id}/pending_deployments"
    )[1]
    assert (pending["environment"]["name"], pending["current_user_can_approve"]) == ("production", False)
    decision = {"environment_ids": [5], "state": "approved", "comment": "go"}
    url = f"{alice.url}/actions/runs/{run.id}/pending_deployments"
    with pytest.raises(GithubException, match="422"):
        alice.requester.requestJsonAndCheck("POST", url, input=decision)
    assert run not in github.world.queue
    client(github, "boss").get_repo(alice.full_name).requester.requestJsonAndCheck("POST", url, input=decision)
    assert github.world.queue == [run]
    assert not ops_reviews.wait(run, ["production"])


def test_a_rejected_deployment_fails(github: FakeGitHub, run: Run) -> None:
    boss = github.user("boss")
    made = Environment(id=5, name="production", created_at=github.world.now(), reviewers=[boss.user])
    run.repository.environments["production"] = made
    github.world.queue.remove(run)
    ops_reviews.wait(run, ["production"])
    boss.review_deployment(run, "production", approve=False)
    assert run.conclusion == "failure"
    with pytest.raises(Refusal, match="does not wait"):
        boss.review_deployment(run, "production")


def test_an_event_of_ones_own(github: FakeGitHub, alice: Client) -> None:
    assert alice.create_repository_dispatch("retrain", {"model": "a"})
    told = github.world.deliveries[-1]
    assert (told.event, told.payload["action"], told.payload["client_payload"]) == (
        "repository_dispatch", "retrain", {"model": "a"},
    )  # fmt: skip
