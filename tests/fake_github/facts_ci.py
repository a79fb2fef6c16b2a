"""Facts of what CI says about commits: statuses, check runs, artifacts, runs and jobs."""

from urllib.parse import quote

from tests.fake_github import facts
from tests.fake_github.runs import Attempt, Job, Run, Workflow
from tests.fake_github.state import Artifact, CheckRun, Repository, Status
from tests.fake_github.world import World


def status(world: World, repo: Repository, one: Status) -> facts.Facts:
    """A commit status."""
    return {
        "id": one.id,
        "node_id": facts.node_id("SC", one.id),
        "url": f"{world.api_url}/repos/{repo.full_name}/statuses/{one.sha}",
        "avatar_url": f"{world.url}/avatars/{one.creator.id}",
        "state": one.state,
        "context": one.context,
        "description": one.description,
        "target_url": one.target_url,
        "creator": facts.user(world, one.creator),
        "created_at": one.created_at,
        "updated_at": one.created_at,
    }


def check_run(world: World, repo: Repository, one: CheckRun) -> facts.Facts:
    """A check run."""
    api = f"{world.api_url}/repos/{repo.full_name}/check-runs/{one.id}"
    output = {"title": None, "summary": None, "text": None} | one.output
    return {
        "id": one.id,
        "node_id": facts.node_id("CR", one.id),
        "head_sha": one.sha,
        "external_id": one.external_id,
        "url": api,
        "html_url": f"{world.url}/{repo.full_name}/runs/{one.id}",
        "details_url": one.details_url,
        "name": one.name,
        "status": one.status,
        "conclusion": one.conclusion,
        "started_at": one.started_at,
        "completed_at": one.completed_at,
        "output": output | {"annotations_count": len(one.annotations), "annotations_url": f"{api}/annotations"},
        "app": app(world, one.app),
        "pull_requests": [],
        "check_suite": {"id": one.id},
    }


def app(world: World, slug: str) -> facts.Facts:
    """A GitHub App; the one of GITHUB_TOKEN is github-actions, 15368."""
    return {
        "id": 15368 if slug == "github-actions" else 99001,
        "slug": slug,
        "node_id": facts.node_id("A", 15368),
        "owner": facts.user(world, world.add_user("github", "Organization")),
        "name": "GitHub Actions" if slug == "github-actions" else slug,
        "description": "",
        "external_url": "https://help.github.com/en/actions",
        "html_url": f"https://github.com/apps/{slug}",
        "created_at": "2018-07-30T09:30:17Z",
        "updated_at": "2019-12-10T19:04:12Z",
        "permissions": {"contents": "read"},
        "events": [],
    }


def artifact(world: World, repo: Repository, one: Artifact) -> facts.Facts:
    """An artifact of a run."""
    api = f"{world.api_url}/repos/{repo.full_name}/actions/artifacts/{one.id}"
    run = world.runs[one.run_id]
    head = run.head_repository or repo
    return {
        "id": one.id,
        "node_id": facts.node_id("MDg", one.id),
        "name": one.name,
        "size_in_bytes": len(one.archive),
        "url": api,
        "archive_download_url": f"{api}/zip",
        "expired": one.expired,
        "created_at": one.created_at,
        "updated_at": one.created_at,
        "expires_at": one.created_at.replace("20", "21", 1),
        "digest": f"sha256:{one.digest}",
        "workflow_run": {
            "id": run.id,
            "repository_id": repo.id,
            "head_repository_id": head.id,
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
        },
    }


def workflow(world: World, repo: Repository, one: Workflow) -> facts.Facts:
    """A workflow file."""
    web = f"{world.url}/{repo.full_name}"
    return {
        "id": one.id,
        "node_id": facts.node_id("W", one.id),
        "name": one.name,
        "path": one.path,
        "state": one.state,
        "created_at": one.created_at,
        "updated_at": one.created_at,
        "url": f"{world.api_url}/repos/{repo.full_name}/actions/workflows/{one.id}",
        "html_url": f"{web}/blob/{repo.default_branch}/{one.path}",
        "badge_url": f"{web}/workflows/{quote(one.name, safe='')}/badge.svg",
    }


def run(world: World, one: Run, attempt: Attempt | None = None) -> facts.Facts:
    """A run at one of its attempts; ``pull_requests`` is empty for forks, as on GitHub."""
    attempt = attempt or one.latest
    repo, head = one.repository, one.head_repository
    api = f"{world.api_url}/repos/{repo.full_name}/actions/runs/{one.id}"
    previous = f"{api}/attempts/{attempt.number - 1}" if attempt.number > 1 else None
    suite = f"{world.api_url}/repos/{repo.full_name}/check-suites/{one.id}"
    links = {f"{name}_url": f"{api}/{name}" for name in ("jobs", "logs", "artifacts", "cancel", "rerun")}
    return {
        "id": one.id,
        "node_id": facts.node_id("WFR", one.id),
        "name": one.workflow.name,
        "path": one.workflow.path,
        "display_title": one.title,
        "run_number": one.number,
        "run_attempt": attempt.number,
        "event": one.event,
        "status": attempt.status,
        "conclusion": attempt.conclusion,
        "workflow_id": one.workflow.id,
        "workflow_url": f"{world.api_url}/repos/{repo.full_name}/actions/workflows/{one.workflow.id}",
        "check_suite_id": one.id,
        "check_suite_node_id": facts.node_id("CS", one.id),
        "check_suite_url": suite,
        "head_branch": one.head_branch,
        "head_sha": one.head_sha,
        "head_commit": facts.commit(world, repo, one.head_sha),
        "repository": facts.repository(world, repo),
        "head_repository": facts.repository(world, head) if head else None,
        "head_repository_id": head.id if head else None,
        "pull_requests": [] if one.from_fork else _pull_requests(world, one),
        "referenced_workflows": [],
        "actor": facts.user(world, one.actor),
        "triggering_actor": facts.user(world, attempt.triggering_actor),
        "created_at": one.created_at,
        "updated_at": attempt.updated_at,
        "run_started_at": attempt.started_at,
        "url": api,
        "html_url": f"{world.url}/{repo.full_name}/actions/runs/{one.id}",
        "previous_attempt_url": previous,
        **links,
    }


def _pull_requests(world: World, one: Run) -> list[facts.Facts]:
    """Open pull requests whose head is the run's, from the same repository."""
    repo = one.repository
    api = f"{world.api_url}/repos/{repo.full_name}"
    reference = {"id": repo.id, "url": api, "name": repo.name}
    return [
        {
            "id": issue.id,
            "number": issue.number,
            "url": f"{api}/pulls/{issue.number}",
            "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": reference},
            "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": reference},
        }
        for issue in repo.issues.values()
        if (pull := issue.pull) and issue.state == "open" and pull.head_repo is repo and pull.head_sha == one.head_sha
    ]


def job(world: World, one: Run, attempt: Attempt, this: Job) -> facts.Facts:
    """A job of a run."""
    repo = one.repository
    api = f"{world.api_url}/repos/{repo.full_name}"
    steps = [
        {
            "name": step.name,
            "status": "completed" if step.conclusion else "queued",
            "conclusion": step.conclusion,
            "number": number,
            "started_at": this.started_at,
            "completed_at": this.completed_at,
        }
        for number, step in enumerate(this.steps, start=1)
    ]
    return {
        "id": this.id,
        "run_id": one.id,
        "run_attempt": attempt.number,
        "run_url": f"{api}/actions/runs/{one.id}",
        "node_id": facts.node_id("CR", this.id),
        "head_sha": one.head_sha,
        "head_branch": one.head_branch,
        "url": f"{api}/actions/jobs/{this.id}",
        "html_url": f"{world.url}/{repo.full_name}/actions/runs/{one.id}/job/{this.id}",
        "check_run_url": f"{api}/check-runs/{this.id}",
        "name": this.name,
        "workflow_name": one.workflow.name,
        "status": this.status,
        "conclusion": this.conclusion,
        "created_at": this.started_at,
        "started_at": this.started_at,
        "completed_at": this.completed_at,
        "steps": steps,
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "GitHub Actions 1",
        "runner_group_id": 1,
        "runner_group_name": "GitHub Actions",
    }
