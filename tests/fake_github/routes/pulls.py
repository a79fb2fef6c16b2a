"""Pull requests."""

from tests.fake_github import facts, facts_issues, ops_merge, ops_pulls
from tests.fake_github.errors import Refusal, not_found
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.state import Issue, Pull


def _pull(call: Call) -> tuple[Issue, Pull]:
    return ops_pulls.find(call.repo, call.number("pull_number"))


def _fact(call: Call, issue: Issue) -> facts.Facts:
    return facts_issues.pull_request(call.world, call.repo, issue)


def list_pulls(call: Call) -> Reply:
    """GET pull requests, newest first; ``head`` is ``owner:branch``."""
    state, base = call.query.get("state", "open"), call.query.get("base")
    owner, _, branch = call.query.get("head", "").rpartition(":")
    found = [
        one
        for one in call.repo.issues.values()
        if (pull := one.pull)
        and state in {"all", one.state}
        and base in (None, pull.base_ref)
        and (not owner or (pull.head_owner.login, pull.head_ref) == (owner, branch))
    ]
    found.sort(key=lambda one: one.number, reverse=call.query.get("direction", "desc") == "desc")
    return paged(found, lambda one: _fact(call, one))


def get_pull(call: Call) -> Reply:
    """GET a pull request."""
    return Reply(facts=_fact(call, _pull(call)[0]))


def create_pull(call: Call) -> Reply:
    """POST a pull request; a workflow's own token may where a setting lets it."""
    body = call.body
    if call.holder.kind == "workflow" and not call.repo.settings.get("can_approve"):
        raise Refusal(403, "GitHub Actions is not permitted to create or approve pull requests.")
    issue = ops_pulls.open_pull(
        call.world, call.repo, call.holder, head=body["head"], base=body["base"], title=body.get("title", ""),
        body=body.get("body"), draft=body.get("draft", False),
    )  # fmt: skip
    return Reply(status=201, facts=_fact(call, issue))


def edit_pull(call: Call) -> Reply:
    """PATCH a pull request."""
    issue, _ = _pull(call)
    body = call.body
    ops_pulls.edit(
        call.world, call.repo, call.holder, issue,
        title=body.get("title"), body=body.get("body"), base=body.get("base"),
    )  # fmt: skip
    if body.get("state", issue.state) != issue.state:
        change = ops_pulls.close if body["state"] == "closed" else ops_pulls.reopen
        change(call.world, call.repo, call.holder, issue)
    return get_pull(call)


def list_commits(call: Call) -> Reply:
    """GET the commits of a pull request, oldest first."""
    _, pull = _pull(call)
    found = call.repo.git.log(f"{pull.base_sha}..{pull.head_sha}", reverse=True)
    return paged(found[:250], lambda sha: facts.rest_commit(call.world, call.repo, sha))


def list_files(call: Call) -> Reply:
    """GET the files that a pull request changes."""
    _, pull = _pull(call)
    base = call.repo.git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    found = call.repo.git.changes(base, pull.head_sha)
    return paged(found[:3000], lambda one: facts.file_change(call.world, call.repo, one, pull.head_sha))


def is_merged(call: Call) -> Reply:
    """GET whether it is merged: 204 or 404."""
    if _pull(call)[1].merged_at is None:
        raise not_found()
    return Reply(status=204)


def merge(call: Call) -> Reply:
    """PUT: merge."""
    body = call.body or {}
    sha = ops_merge.merge(
        call.world, call.repo, call.holder, _pull(call)[0],
        method=body.get("merge_method", "merge"), sha=body.get("sha"), message=body.get("commit_title"),
    )  # fmt: skip
    return Reply(facts={"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def of_commit(call: Call) -> Reply:
    """GET the pull requests of a commit: merged ones too; a fork's only once they are merged."""
    sha = call.repo.git.commit_of(call.params["commit_sha"])
    found = [one for one in call.repo.issues.values() if one.pull and sha and _holds(call, one.pull, sha)]
    return paged(found, lambda one: _fact(call, one))


def _holds(call: Call, pull: Pull, sha: str) -> bool:
    if pull.head_repo is not call.repo and pull.merged_at is None:
        return False
    return sha in (pull.merge_commit, *call.repo.git.log(f"{pull.base_sha}..{pull.head_sha}"))


R = "/repos/{owner}/{repo}"
PULL = f"{R}/pulls/{{pull_number}}"
ROUTES: tuple[Route, ...] = (
    route(f"GET {R}/pulls", list_pulls, "pull_requests:read"),
    route(f"POST {R}/pulls", create_pull, "pull_requests:write@read"),
    route(f"GET {PULL}", get_pull, "pull_requests:read"),
    route(f"PATCH {PULL}", edit_pull, "pull_requests:write"),
    route(f"GET {PULL}/commits", list_commits, "pull_requests:read"),
    route(f"GET {PULL}/files", list_files, "pull_requests:read"),
    route(f"GET {PULL}/merge", is_merged, "contents:read"),
    route(f"PUT {PULL}/merge", merge, "contents:write"),
    route(f"GET {R}/commits/{{commit_sha}}/pulls", of_commit, "pull_requests:read"),
)
