"""Events: a change of state as the webhook that tells of it."""

from typing import Any

from tests.fake_github import facts, facts_ci, facts_delivery, facts_issues
from tests.fake_github.gitstore import ZERO
from tests.fake_github.runs import Run
from tests.fake_github.state import (
    Comment,
    Deployment,
    DeploymentStatus,
    Issue,
    QueueEntry,
    Release,
    Repository,
    Status,
)
from tests.fake_github.tokens import Token
from tests.fake_github.world import Delivery, World


def _common(world: World, repo: Repository, token: Token) -> facts.Facts:
    found = {"repository": facts.repository(world, repo), "sender": facts.user(world, token.user)}
    if repo.owner.kind == "Organization":
        login = repo.owner.login
        found["organization"] = facts.user(world, repo.owner) | {
            "url": f"{world.api_url}/orgs/{login}",
            "repos_url": f"{world.api_url}/orgs/{login}/repos",
            "events_url": f"{world.api_url}/orgs/{login}/events",
            "hooks_url": f"{world.api_url}/orgs/{login}/hooks",
            "issues_url": f"{world.api_url}/orgs/{login}/issues",
            "members_url": f"{world.api_url}/orgs/{login}/members{{/member}}",
            "public_members_url": f"{world.api_url}/orgs/{login}/public_members{{/member}}",
            "description": None,
        }
    return found


def push(world: World, repo: Repository, token: Token, ref: str, before: str, after: str) -> Delivery:
    """A reference moved, came (before is zero) or went (after is zero)."""
    gone = after == ZERO
    commit = None if gone else repo.git.find(f"{after}^{{commit}}")
    new = [] if gone or ref.startswith("refs/tags/") else _new_commits(repo, ref, before, after)
    commits = [_pushed(world, repo, sha) for sha in new]
    who = {"name": token.user.login, "email": f"{token.user.login}@users.noreply.github.com"}
    return world.emit(
        "push",
        repo,
        _common(world, repo, token)
        | {
            "ref": ref,
            "before": before,
            "after": after,
            "created": before == ZERO,
            "deleted": gone,
            "forced": ZERO not in (before, after) and not repo.git.contains(after, before),
            "base_ref": None,
            "compare": f"{world.url}/{repo.full_name}/compare/{before[:12]}...{after[:12]}",
            "commits": commits,
            "head_commit": _pushed(world, repo, commit) if commit else None,
            "pusher": who,
        },
        token,
    )


def _new_commits(repo: Repository, ref: str, before: str, after: str) -> list[str]:
    """What the push brought, 20 at most; on a new branch what no other branch has."""
    others = [sha for name, sha in repo.git.refs("refs/heads/").items() if name != ref]
    known = others if before == ZERO else [before]
    return repo.git.log(after, *(f"^{sha}" for sha in known), reverse=True)[-20:]


def _pushed(world: World, repo: Repository, sha: str) -> facts.Facts:
    found = facts.commit(world, repo, sha)
    parent = found["parents"][0]["sha"] if found["parents"] else None
    changes = repo.git.changes(parent, sha) if parent else []
    paths = {kind: [one.path for one in changes if one.status == kind] for kind in ("added", "removed", "modified")}
    return found | paths | {"distinct": True, "author": found["author"], "committer": found["committer"]}


def reference(world: World, repo: Repository, token: Token, event: str, ref: str) -> Delivery:
    """A branch or tag was created or deleted (event ``create`` or ``delete``)."""
    _, kind, name = ref.split("/", 2)
    return world.emit(
        event,
        repo,
        _common(world, repo, token)
        | {
            "ref": name,
            "ref_type": "branch" if kind == "heads" else "tag",
            "master_branch": repo.default_branch,
            "description": None,
            "pusher_type": "user",
        },
        token,
    )


def pull_request(
    world: World, repo: Repository, token: Token, action: str, issue: Issue, extra: facts.Facts | None = None
) -> Delivery:
    """Something happened to a pull request."""
    found = facts_issues.pull_request(world, repo, issue)
    told = {"action": action, "number": issue.number, "pull_request": found, **(extra or {})}
    return world.emit("pull_request", repo, _common(world, repo, token) | told, token)


def issues(
    world: World, repo: Repository, token: Token, action: str, issue: Issue, extra: facts.Facts | None = None
) -> Delivery:
    """Something happened to an issue."""
    told = {"action": action, "issue": facts_issues.issue(world, repo, issue), **(extra or {})}
    return world.emit("issues", repo, _common(world, repo, token) | told, token)


def issue_comment(
    world: World, repo: Repository, token: Token, action: str, one: Comment, before: str | None = None
) -> Delivery:
    """A comment was created, edited (``before`` is the old body) or deleted."""
    told: dict[str, Any] = {
        "action": action,
        "issue": facts_issues.issue(world, repo, repo.issues[one.number]),
        "comment": facts_issues.comment(world, repo, one),
    }
    if before is not None:
        told["changes"] = {"body": {"from": before}}
    return world.emit("issue_comment", repo, _common(world, repo, token) | told, token)


def workflow_run(world: World, run: Run, token: Token, action: str) -> Delivery:
    """A run was requested, is in progress or completed."""
    repo = run.repository
    told = {
        "action": action,
        "workflow_run": facts_ci.run(world, run),
        "workflow": facts_ci.workflow(world, repo, run.workflow),
    }
    return world.emit("workflow_run", repo, _common(world, repo, token) | told, token)


def workflow_dispatch(
    world: World, repo: Repository, token: Token, workflow: str, ref: str, inputs: facts.Facts
) -> Delivery:
    """Somebody dispatched a workflow (its path) on a full reference."""
    told = {"workflow": workflow, "ref": ref, "inputs": inputs}
    return world.emit("workflow_dispatch", repo, _common(world, repo, token) | told, token)


def repository_dispatch(world: World, repo: Repository, token: Token, kind: str, payload: facts.Facts) -> Delivery:
    """Somebody dispatched an event of their own making."""
    told = {"action": kind, "branch": repo.default_branch, "client_payload": payload, "installation": {"id": 1}}
    return world.emit("repository_dispatch", repo, _common(world, repo, token) | told, token)


def merge_group(
    world: World, repo: Repository, token: Token, action: str, one: QueueEntry, reason: str = ""
) -> Delivery:
    """A group was queued for merging (``checks_requested``) or left the queue (``destroyed``, with the reason)."""
    group = {
        "head_sha": one.sha,
        "head_ref": one.ref,
        "base_sha": one.base,
        "base_ref": f"refs/heads/{one.base_ref}",
        "head_commit": facts.commit(world, repo, one.sha),
    }
    told = {"action": action, "merge_group": group} | ({"reason": reason} if reason else {})
    return world.emit("merge_group", repo, _common(world, repo, token) | told, token)


def status(world: World, repo: Repository, token: Token, one: Status) -> Delivery:
    """A commit status was set."""
    commit = facts.rest_commit(world, repo, one.sha)
    told = facts_ci.status(world, repo, one)
    told |= {"sha": one.sha, "name": repo.full_name, "commit": commit, "branches": []}
    return world.emit("status", repo, told | _common(world, repo, token), token)


def release(world: World, repo: Repository, token: Token, action: str, one: Release) -> Delivery:
    """Something happened to a release."""
    told = {"action": action, "release": facts_delivery.release(world, repo, one)}
    return world.emit("release", repo, _common(world, repo, token) | told, token)


def deployment(world: World, repo: Repository, token: Token, one: Deployment) -> Delivery:
    """A deployment was created."""
    found = facts_delivery.deployment(world, repo, one)
    told: facts.Facts = {"action": "created", "deployment": found, "workflow": None, "workflow_run": None}
    return world.emit("deployment", repo, _common(world, repo, token) | told, token)


def deployment_status(world: World, repo: Repository, token: Token, of: Deployment, one: DeploymentStatus) -> Delivery:
    """A deployment got a status."""
    told = {
        "action": "created",
        "deployment": facts_delivery.deployment(world, repo, of),
        "deployment_status": facts_delivery.deployment_status(world, repo, of, one),
    }
    return world.emit("deployment_status", repo, _common(world, repo, token) | told, token)
