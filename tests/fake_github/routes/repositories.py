"""Repositories, people, permissions, rules."""

from typing import Any

from tests.fake_github import facts, ops_checks, ops_pulls
from tests.fake_github.errors import Refusal, beyond_permissions, not_found
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.state import Move, User


def meta(call: Call) -> Reply:
    """GET /meta."""
    return Reply(facts={"verifiable_password_authentication": True, "actions": [call.world.url]})


def rate_limit(_: Call) -> Reply:
    """GET /rate_limit."""
    whole = {"limit": 5000, "remaining": 5000, "reset": 0, "used": 0}
    return Reply(facts={"resources": {"core": whole, "search": whole}, "rate": whole})


def viewer(call: Call) -> Reply:
    """GET /user."""
    if call.holder.permissions is not None:
        raise beyond_permissions()
    return Reply(facts=facts.user(call.world, call.holder.user))


def user(call: Call) -> Reply:
    """GET /users/{username}."""
    return Reply(facts=facts.user(call.world, _user(call)))


def _user(call: Call) -> User:
    found = call.world.users.get(call.params["username"].lower())
    if found is None:
        raise not_found()
    return found


def repository(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}."""
    return Reply(facts=facts.repository(call.world, call.repo, call.token.user if call.token else None))


def activity(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/activity, whose pages have cursors: the first one alone."""
    ref = call.query.get("ref", "")
    known = [each for each in reversed(call.repo.moves) if ref in {"", each.ref, each.ref.removeprefix("refs/heads/")}]

    def fact(one: Move) -> facts.Facts:
        return {
            "id": one.id,
            "node_id": facts.node_id("PSH", one.id),
            "before": one.before,
            "after": one.after,
            "ref": one.ref,
            "timestamp": one.time,
            "activity_type": one.kind,
            "actor": facts.user(call.world, one.actor),
        }

    return Reply(facts=[fact(each) for each in known[: int(call.query.get("per_page", 30))]])


def edit_repository(call: Call) -> Reply:
    """PATCH /repos/{owner}/{repo}."""
    call.repo.default_branch = call.body.get("default_branch", call.repo.default_branch)
    call.repo.private = call.body.get("private", call.repo.private)
    call.repo.settings |= {key: value for key, value in call.body.items() if key.startswith(("allow_", "delete_"))}
    return repository(call)


def delete_repository(call: Call) -> Reply:
    """DELETE /repos/{owner}/{repo}."""
    ops_pulls.delete_repository(call.world, call.repo)
    return Reply(status=204)


def permission(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/collaborators/{username}/permission."""
    return Reply(facts=facts.permission(call.world, call.repo, _user(call)))


def collaborators(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/collaborators."""
    people = [call.world.add_user(login) for login in call.repo.roles]

    def fact(one: User) -> facts.Facts:
        role = call.repo.role(one)
        return facts.user(call.world, one) | {"permissions": facts.abilities(role), "role_name": role}

    return paged(people, fact)


def labels(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/labels."""
    return paged(list(call.repo.labels.values()), lambda one: facts.label(call.world, call.repo, one))


def rulesets(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/rulesets."""
    return paged(list(call.repo.rulesets.values()), lambda one: {key: one[key] for key in one if key != "rules"})


def ruleset(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/rulesets/{ruleset_id}."""
    return Reply(facts=_ruleset(call))


def _ruleset(call: Call) -> dict[str, Any]:
    found = call.repo.rulesets.get(call.number("ruleset_id"))
    if found is None:
        raise not_found()
    return found


def create_ruleset(call: Call) -> Reply:
    """POST /repos/{owner}/{repo}/rulesets."""
    number, now = call.world.next_id("ruleset"), call.world.now()
    made = {"target": "branch", "source_type": "Repository", "source": call.repo.full_name, **call.body}
    call.repo.rulesets[number] = made | {"id": number, "created_at": now, "updated_at": now}
    return Reply(status=201, facts=call.repo.rulesets[number])


def update_ruleset(call: Call) -> Reply:
    """PUT /repos/{owner}/{repo}/rulesets/{ruleset_id}."""
    _ruleset(call).update(call.body)
    return ruleset(call)


def delete_ruleset(call: Call) -> Reply:
    """DELETE /repos/{owner}/{repo}/rulesets/{ruleset_id}."""
    del call.repo.rulesets[_ruleset(call)["id"]]
    return Reply(status=204)


def branch_rules(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/rules/branches/{branch}: rules of all active rulesets that name the branch."""
    found: list[dict[str, Any]] = []
    for one in ops_checks.rulesets(call.repo, f"refs/heads/{call.params['branch']}"):
        origin = {"ruleset_id": one["id"], "ruleset_source": call.repo.full_name}
        found += [rule | origin | {"ruleset_source_type": "Repository"} for rule in one.get("rules", [])]
    return paged(found, lambda rule: rule)


def protection(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/branches/{branch}/protection."""
    return Reply(facts=_protection(call))


def _protection(call: Call) -> dict[str, Any]:
    found = call.repo.protections.get(call.params["branch"])
    if found is None:
        raise Refusal(404, "Branch not protected")
    return found


def set_protection(call: Call) -> Reply:
    """PUT /repos/{owner}/{repo}/branches/{branch}/protection."""
    checks = call.body.get("required_status_checks")
    made: dict[str, Any] = {"enforce_admins": {"url": call.world.api_url, "enabled": bool(call.body["enforce_admins"])}}
    if checks:
        contexts = checks.get("contexts") or [one["context"] for one in checks.get("checks", [])]
        named = [{"context": context, "app_id": None} for context in contexts]
        made["required_status_checks"] = {
            "strict": checks["strict"], "contexts": contexts, "checks": checks.get("checks") or named,
            "url": call.world.api_url, "contexts_url": call.world.api_url,
        }  # fmt: skip
    call.repo.protections[call.params["branch"]] = made
    return protection(call)


def delete_protection(call: Call) -> Reply:
    """DELETE /repos/{owner}/{repo}/branches/{branch}/protection."""
    _protection(call)
    del call.repo.protections[call.params["branch"]]
    return Reply(status=204)


def required_checks(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/branches/{branch}/protection/required_status_checks."""
    found = _protection(call).get("required_status_checks")
    if found is None:
        raise Refusal(404, "Required status checks not enabled")
    return Reply(facts=found)


def actions_permissions(_: Call) -> Reply:
    """GET /repos/{owner}/{repo}/actions/permissions."""
    return Reply(facts={"enabled": True, "allowed_actions": "all", "sha_pinning_required": False})


def workflow_permissions(call: Call) -> Reply:
    """GET /repos/{owner}/{repo}/actions/permissions/workflow."""
    level = "write" if call.repo.default_token.get("contents") == "write" else "read"
    approve = bool(call.repo.settings.get("can_approve"))
    return Reply(facts={"default_workflow_permissions": level, "can_approve_pull_request_reviews": approve})


R = "/repos/{owner}/{repo}"
ROUTES: tuple[Route, ...] = (
    route("GET /meta", meta),
    route("GET /rate_limit", rate_limit),
    route("GET /user", viewer),
    route("GET /users/{username}", user),
    route(f"GET {R}", repository, "metadata:read"),
    route(f"DELETE {R}", delete_repository, "administration:write@admin"),
    route(f"PATCH {R}", edit_repository, "administration:write@admin"),
    route(f"GET {R}/activity", activity, "contents:read"),
    route(f"GET {R}/collaborators", collaborators, "metadata:read@write"),
    route(f"GET {R}/collaborators/{{username}}/permission", permission, "metadata:read@read"),
    route(f"GET {R}/labels", labels, "issues|pull_requests:read"),
    route(f"GET {R}/rulesets", rulesets, "metadata:read"),
    route(f"POST {R}/rulesets", create_ruleset, "administration:write@admin"),
    route(f"GET {R}/rulesets/{{ruleset_id}}", ruleset, "metadata:read"),
    route(f"PUT {R}/rulesets/{{ruleset_id}}", update_ruleset, "administration:write@admin"),
    route(f"DELETE {R}/rulesets/{{ruleset_id}}", delete_ruleset, "administration:write@admin"),
    route(f"GET {R}/rules/branches/{{branch}}", branch_rules, "metadata:read"),
    route(f"GET {R}/branches/{{branch}}/protection", protection, "administration:read@admin"),
    route(f"PUT {R}/branches/{{branch}}/protection", set_protection, "administration:write@admin"),
    route(f"DELETE {R}/branches/{{branch}}/protection", delete_protection, "administration:write@admin"),
    route(
        f"GET {R}/branches/{{branch}}/protection/required_status_checks", required_checks, "administration:read@admin"
    ),
    route(f"GET {R}/actions/permissions", actions_permissions, "administration:read@admin"),
    route(f"GET {R}/actions/permissions/workflow", workflow_permissions, "administration:read@admin"),
)
