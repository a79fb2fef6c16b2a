"""Branches, tags, commits, comparisons, statuses, check runs."""

from typing import Any

from tests.fake_github import events, facts, facts_ci
from tests.fake_github.errors import Refusal, invalid, not_found, unprocessable
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.state import CheckRun, Status

MAX_DESCRIPTION = 140
MAX_STATUSES = 1000
MAX_SUMMARY = 65_535


def _commit(call: Call, name: str) -> str:
    found = call.repo.git.commit_of(call.params[name])
    if found is None:
        raise unprocessable(f"No commit found for SHA: {call.params[name]}")
    return found


def _branch(call: Call, name: str, sha: str) -> facts.Facts:
    api = f"{call.world.api_url}/repos/{call.repo.full_name}/branches/{name}"
    guarded = name in call.repo.protections
    return {
        "name": name,
        "commit": facts.rest_commit(call.world, call.repo, sha),
        "protected": guarded,
        "protection": {"enabled": guarded},
        "protection_url": f"{api}/protection",
        "_links": {"self": api, "html": f"{call.world.url}/{call.repo.full_name}/tree/{name}"},
    }


def list_branches(call: Call) -> Reply:
    """GET branches."""
    found = call.repo.git.refs("refs/heads/").items()
    return paged(list(found), lambda one: _branch(call, one[0].removeprefix("refs/heads/"), one[1]))


def get_branch(call: Call) -> Reply:
    """GET a branch."""
    sha = call.repo.git.find(f"refs/heads/{call.params['branch']}")
    if sha is None:
        raise Refusal(404, "Branch not found")
    return Reply(facts=_branch(call, call.params["branch"], sha))


def list_tags(call: Call) -> Reply:
    """GET tags, peeled."""
    api = f"{call.world.api_url}/repos/{call.repo.full_name}"

    def fact(name: str) -> facts.Facts:
        sha = call.repo.git.git("rev-parse", f"refs/tags/{name}^{{commit}}")
        return {
            "name": name,
            "commit": {"sha": sha, "url": f"{api}/commits/{sha}"},
            "zipball_url": f"{api}/zipball/refs/tags/{name}",
            "tarball_url": f"{api}/tarball/refs/tags/{name}",
            "node_id": facts.node_id("REF", int(sha[:8], 16)),
        }

    return paged([ref.removeprefix("refs/tags/") for ref in call.repo.git.refs("refs/tags/")], fact)


def list_commits(call: Call) -> Reply:
    """GET commits, newest first."""
    start = call.repo.git.commit_of(call.query.get("sha", call.repo.default_branch))
    if start is None:
        raise not_found()
    path = ["--", call.query["path"]] if "path" in call.query else []
    found = call.repo.git.git("rev-list", start, *path).split()
    return paged(found, lambda sha: facts.rest_commit(call.world, call.repo, sha))


def get_commit(call: Call) -> Reply:
    """GET a commit and its files."""
    sha = _commit(call, "ref")
    found = facts.rest_commit(call.world, call.repo, sha)
    parents = call.repo.git.info(sha).parents
    changes = call.repo.git.changes(parents[0], sha) if parents else []
    added, deleted = sum(one.additions for one in changes), sum(one.deletions for one in changes)
    found["stats"] = {"additions": added, "deletions": deleted, "total": added + deleted}
    found["files"] = [facts.file_change(call.world, call.repo, one, sha) for one in changes]
    return Reply(facts=found)


def compare(call: Call) -> Reply:
    """GET base...head."""
    names = call.params["basehead"].split("...")
    git = call.repo.git
    base, head = (git.commit_of(name.rpartition(":")[2]) for name in names) if len(names) == 2 else (None, None)
    middle = git.merge_base(base, head) if base and head else None
    if base is None or head is None or middle is None:
        raise not_found()
    ahead, behind = git.log(f"{base}..{head}", reverse=True), git.log(f"{head}..{base}")
    states = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    url = f"{call.world.api_url}/repos/{call.repo.full_name}/compare/{call.params['basehead']}"
    links = {f"{name}_url": url for name in ("html", "permalink", "diff", "patch")}
    return Reply(
        facts={
            "url": url,
            **links,
            "base_commit": facts.rest_commit(call.world, call.repo, base),
            "merge_base_commit": facts.rest_commit(call.world, call.repo, middle),
            "status": states[bool(ahead), bool(behind)],
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [facts.rest_commit(call.world, call.repo, sha) for sha in ahead[:250]],
            "files": [facts.file_change(call.world, call.repo, one, head) for one in git.changes(middle, head)[:300]],
        }
    )


def _statuses(call: Call, sha: str) -> list[Status]:
    return [one for one in reversed(call.repo.statuses) if one.sha == sha]


def list_statuses(call: Call) -> Reply:
    """GET all statuses of a commit, newest first."""
    return paged(_statuses(call, _commit(call, "ref")), lambda one: facts_ci.status(call.world, call.repo, one))


def combined_status(call: Call) -> Reply:
    """GET the newest status of each context, and what they amount to."""
    sha = _commit(call, "ref")
    newest: dict[str, Status] = {}
    for one in _statuses(call, sha):
        newest.setdefault(one.context.lower(), one)
    states = {one.state for one in newest.values()}
    state = "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"
    api = f"{call.world.api_url}/repos/{call.repo.full_name}/commits/{sha}"
    repository = facts.repository(call.world, call.repo)
    return paged(
        list(newest.values()),
        lambda one: facts_ci.status(call.world, call.repo, one) | {"required": False},
        "statuses",
        state=state, sha=sha, repository=repository, commit_url=api, url=f"{api}/status",
    )  # fmt: skip


def create_status(call: Call) -> Reply:
    """POST a status."""
    body = call.body
    sha = call.repo.git.find(f"{call.params['sha']}^{{commit}}")
    if sha is None or len(call.params["sha"]) != len(sha):
        raise unprocessable(f"No commit found for SHA: {call.params['sha']}")
    description, context = body.get("description"), body.get("context", "default")
    if description and len(description) > MAX_DESCRIPTION:
        raise invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
    if sum(one.context == context for one in _statuses(call, sha)) >= MAX_STATUSES:
        raise invalid("Status", "base", "custom", "This SHA and context has reached the maximum number of statuses.")
    made = Status(
        id=call.world.next_id("status"), sha=sha, state=body["state"], context=context, description=description,
        target_url=body.get("target_url"), creator=call.holder.user, created_at=call.world.now(),
    )  # fmt: skip
    call.repo.statuses.append(made)
    events.status(call.world, call.repo, call.holder, made)
    return Reply(status=201, facts=facts_ci.status(call.world, call.repo, made))


def _check_run(call: Call) -> CheckRun:
    found = call.repo.check_runs.get(call.number("check_run_id"))
    if found is None:
        raise not_found()
    return found


def list_check_runs(call: Call) -> Reply:
    """GET a commit's check runs."""
    sha, wanted = _commit(call, "ref"), call.query.get("check_name")
    found = [one for one in call.repo.check_runs.values() if one.sha == sha and wanted in (None, one.name)]
    return paged(found, lambda one: facts_ci.check_run(call.world, call.repo, one), "check_runs")


def get_check_run(call: Call) -> Reply:
    """GET a check run."""
    return Reply(facts=facts_ci.check_run(call.world, call.repo, _check_run(call)))


def list_annotations(call: Call) -> Reply:
    """GET a check run's annotations."""
    empty = {"start_column": None, "end_column": None, "title": None, "raw_details": None, "blob_href": ""}
    return paged(_check_run(call).annotations, lambda one: empty | one)


def create_check_run(call: Call) -> Reply:
    """POST a check run; apps only, and GITHUB_TOKEN is one."""
    if call.holder.kind == "user":
        raise Refusal(403, "You must authenticate via a GitHub App.")
    body, now = call.body, call.world.now()
    made = CheckRun(
        id=call.world.next_id("check_run"), sha=body["head_sha"], name=body["name"], status="queued", conclusion=None,
        app="github-actions" if call.holder.kind == "workflow" else call.holder.user.login, started_at=now,
    )  # fmt: skip
    call.repo.check_runs[made.id] = made
    _update(call, made, body)
    return Reply(status=201, facts=facts_ci.check_run(call.world, call.repo, made))


def update_check_run(call: Call) -> Reply:
    """PATCH a check run."""
    _update(call, _check_run(call), call.body)
    return get_check_run(call)


def _update(call: Call, one: CheckRun, body: dict[str, Any]) -> None:
    output = body.get("output", {})
    annotations = output.get("annotations", [])
    if len(output.get("summary") or "") > MAX_SUMMARY:
        raise invalid("CheckRun", "summary", "custom", "summary is too long (maximum is 65535 characters)")
    one.annotations += annotations
    one.output |= {key: value for key, value in output.items() if key != "annotations"}
    one.name, one.details_url = body.get("name", one.name), body.get("details_url", one.details_url)
    one.external_id, one.conclusion = body.get("external_id", one.external_id), body.get("conclusion", one.conclusion)
    one.status = "completed" if one.conclusion else body.get("status", one.status)
    one.completed_at = body.get("completed_at", call.world.now() if one.conclusion else None)


R = "/repos/{owner}/{repo}"
COMMIT = f"{R}/commits/{{ref}}"
ROUTES: tuple[Route, ...] = (
    route(f"GET {R}/branches", list_branches, "contents:read"),
    route(f"GET {R}/branches/{{branch}}", get_branch, "contents:read"),
    route(f"GET {R}/tags", list_tags, "contents:read"),
    route(f"GET {R}/commits", list_commits, "contents:read"),
    route(f"GET {COMMIT}", get_commit, "contents:read"),
    route(f"GET {R}/compare/{{basehead}}", compare, "contents:read"),
    route(f"GET {COMMIT}/statuses", list_statuses, "statuses:read"),
    route(f"GET {COMMIT}/status", combined_status, "statuses:read"),
    route(f"POST {R}/statuses/{{sha}}", create_status, "statuses:write"),
    route(f"GET {COMMIT}/check-runs", list_check_runs, "checks:read"),
    route(f"GET {R}/check-runs/{{check_run_id}}", get_check_run, "checks:read"),
    route(f"GET {R}/check-runs/{{check_run_id}}/annotations", list_annotations, "checks:read"),
    route(f"POST {R}/check-runs", create_check_run, "checks:write"),
    route(f"PATCH {R}/check-runs/{{check_run_id}}", update_check_run, "checks:write"),
)
