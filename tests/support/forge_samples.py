"""Runs, pull requests and what is decided of them, for tests."""

from typing import Any

from mlbot.events.github import Attempt, Conclusion, PullRequest, Run
from mlbot.protocol.decision import Judge, Policy, PullRequestSubject
from mlbot.protocol.marker import Place

OURS, FORK = 1, 2
HEAD, OLD = "a" * 40, "c" * 40
TRAIN = ".github/workflows/mlbot-train.yml"
ASKED = Attempt(run=7, number=2)
POLICY = Policy(repository_id=OURS, repository="acme/income", default_branch="main", train_path=TRAIN)
PLACE = Place(
    repository="acme/income",
    workflow=".github/workflows/mlbot-judge.yml",
    run_url="https://github.com/acme/income/actions/runs/99",
)


def run(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "id": 7,
        "attempt": 2,
        "repository_id": OURS,
        "path": TRAIN,
        "event": "pull_request",
        "head_sha": HEAD,
        "head_branch": "deeper",
        "head_repository_id": FORK,
        "head_owner": "eve",
        "completed": True,
        "conclusion": Conclusion.SUCCESS,
        "url": "https://github.com/acme/income/actions/runs/7",
    }
    return Run(**(fields | changes))


def pull(**changes: Any) -> PullRequest:
    fields: dict[str, Any] = {
        "number": 42,
        "open": True,
        "head_sha": HEAD,
        "head_ref": "deeper",
        "head_repository_id": FORK,
        "base_ref": "main",
        "base_repository_id": OURS,
    }
    return PullRequest(**(fields | changes))


def subject(**changes: Any) -> PullRequestSubject:
    fields: dict[str, Any] = {
        "number": 42,
        "sha": HEAD,
        "branch": "main",
        "head_ref": "deeper",
        "head_repository_id": FORK,
        "fork": True,
    }
    return PullRequestSubject(**(fields | changes))


def judge(**changes: Any) -> Judge:
    return Judge(**({"subject": subject(), "attempt": ASKED} | changes))
