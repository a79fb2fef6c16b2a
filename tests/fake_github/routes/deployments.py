"""Environments and deployments."""

from tests.fake_github import events, facts, facts_delivery, ops_reviews
from tests.fake_github.errors import Refusal, invalid, not_found, unprocessable
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.runs import Run
from tests.fake_github.state import Deployment, DeploymentStatus, Environment

MAX_DESCRIPTION = 140


def list_environments(call: Call) -> Reply:
    """GET environments."""
    found = list(call.repo.environments.values())
    return paged(found, lambda one: facts_delivery.environment(call.world, call.repo, one), "environments")


def get_environment(call: Call) -> Reply:
    """GET an environment."""
    found = call.repo.environments.get(call.params["environment_name"])
    if found is None:
        raise not_found()
    return Reply(facts=facts_delivery.environment(call.world, call.repo, found))


def put_environment(call: Call) -> Reply:
    """PUT an environment."""
    name, body = call.params["environment_name"], call.body or {}
    known = call.repo.environments
    if name not in known:
        known[name] = Environment(id=10 * call.world.next_id("environment"), name=name, created_at=call.world.now())
    found = known[name]
    people = {user.id: user for user in call.world.users.values()}
    found.reviewers = [people[one["id"]] for one in body.get("reviewers") or [] if one.get("type") == "User"]
    found.wait_timer, found.prevent_self_review = body.get("wait_timer", 0), body.get("prevent_self_review", False)
    found.branches = [] if body.get("deployment_branch_policy") else None
    return get_environment(call)


def _deployment(call: Call) -> Deployment:
    found = call.repo.deployments.get(call.number("deployment_id"))
    if found is None:
        raise not_found()
    return found


def list_deployments(call: Call) -> Reply:
    """GET deployments, newest first."""
    keys = ("sha", "ref", "task", "environment")
    found = [
        one
        for one in reversed(call.repo.deployments.values())
        if all(call.query.get(key) in (None, "none", getattr(one, key)) for key in keys)
    ]
    return paged(found, lambda one: facts_delivery.deployment(call.world, call.repo, one))


def get_deployment(call: Call) -> Reply:
    """GET a deployment."""
    return Reply(facts=facts_delivery.deployment(call.world, call.repo, _deployment(call)))


def create_deployment(call: Call) -> Reply:
    """POST a deployment; 409 where required status checks are missing (``required_contexts: []`` asks for none)."""
    body, git = call.body, call.repo.git
    sha = git.commit_of(body["ref"])
    if sha is None:
        raise unprocessable(f"No ref found for: {body['ref']}")
    newest = {one.context: one.state for one in call.repo.statuses if one.sha == sha}
    wanted = body.get("required_contexts")
    missing = [name for name in (newest if wanted is None else wanted) if newest.get(name) != "success"]
    if missing:
        raise Refusal(409, f"Conflict: Commit status checks failed for {body['ref']}.")
    description = body.get("description") or None
    environment = body.get("environment", "production")
    made = Deployment(
        id=call.world.next_id("deployment"), sha=sha, ref=body["ref"], task=body.get("task", "deploy"),
        environment=environment, description=description, payload=body.get("payload", {}), creator=call.holder.user,
        created_at=call.world.now(), production=body.get("production_environment", environment == "production"),
        transient=body.get("transient_environment", False),
    )  # fmt: skip
    call.repo.deployments[made.id] = made
    events.deployment(call.world, call.repo, call.holder, made)
    return Reply(status=201, facts=facts_delivery.deployment(call.world, call.repo, made))


def list_statuses(call: Call) -> Reply:
    """GET a deployment's statuses, newest first."""
    of = _deployment(call)
    return paged(of.statuses[::-1], lambda one: facts_delivery.deployment_status(call.world, call.repo, of, one))


def get_status(call: Call) -> Reply:
    """GET one status of a deployment."""
    of = _deployment(call)
    for one in of.statuses:
        if one.id == call.number("status_id"):
            return Reply(facts=facts_delivery.deployment_status(call.world, call.repo, of, one))
    raise not_found()


def create_status(call: Call) -> Reply:
    """POST a status; success makes older ones of the environment inactive, but for production and transient ones."""
    of, body = _deployment(call), call.body
    description = body.get("description", "")
    if len(description) > MAX_DESCRIPTION:
        raise invalid(
            "DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)"
        )
    made = DeploymentStatus(
        id=call.world.next_id("deployment_status"), state=body["state"], creator=call.holder.user,
        created_at=call.world.now(), description=description, environment=body.get("environment", of.environment),
        environment_url=body.get("environment_url", ""), log_url=body.get("log_url", ""),
    )  # fmt: skip
    of.statuses.append(made)
    if body["state"] == "success" and body.get("auto_inactive", True):
        _retire(call, of)
    if made.state != "inactive":  # GitHub tells nobody of that one (docs, "Events that trigger workflows")
        events.deployment_status(call.world, call.repo, call.holder, of, made)
    return Reply(status=201, facts=facts_delivery.deployment_status(call.world, call.repo, of, made))


def _retire(call: Call, newest: Deployment) -> None:
    for one in call.repo.deployments.values():
        rival = one is not newest and one.environment == newest.environment and one.id < newest.id
        if rival and not one.production and not one.transient and one.statuses and one.statuses[-1].state == "success":
            one.statuses.append(
                DeploymentStatus(
                    id=call.world.next_id("deployment_status"),
                    state="inactive",
                    creator=call.holder.user,
                    created_at=call.world.now(),
                    environment=one.environment,
                )
            )


def delete_deployment(call: Call) -> Reply:
    """DELETE a deployment that is not active."""
    one = _deployment(call)
    if one.statuses and one.statuses[-1].state == "success":
        raise unprocessable("We cannot delete an active deployment unless it is the only deployment.")
    del call.repo.deployments[one.id]
    return Reply(status=204)


def _waiting(call: Call) -> Run:
    found = call.world.runs.get(call.number("run_id"))
    if found is None or found.repository is not call.repo:
        raise not_found()
    return found


def list_pending(call: Call) -> Reply:
    """GET the environments that a run waits for."""
    run = _waiting(call)
    known = [call.repo.environments[name] for name in run.waiting_for]
    found = [
        {
            "environment": facts_delivery.environment(call.world, call.repo, one),
            "wait_timer": one.wait_timer,
            "wait_timer_started_at": None,
            "current_user_can_approve": ops_reviews.may_review(run, call.holder.user, one.name),
            "reviewers": [{"type": "User", "reviewer": facts.user(call.world, who)} for who in one.reviewers],
        }
        for one in known
    ]
    return Reply(facts=found)


def review_pending(call: Call) -> Reply:
    """POST approval or rejection."""
    run, wanted = _waiting(call), set(call.body["environment_ids"])
    names = [one.name for one in call.repo.environments.values() if one.id in wanted]
    ops_reviews.review(call.world, run, call.holder.user, names, approve=call.body["state"] == "approved")
    return Reply(facts=[])


R = "/repos/{owner}/{repo}"
PENDING = f"{R}/actions/runs/{{run_id}}/pending_deployments"
D = f"{R}/deployments/{{deployment_id}}"
ROUTES: tuple[Route, ...] = (
    route(f"GET {R}/environments", list_environments, "actions:read"),
    route(f"GET {R}/environments/{{environment_name}}", get_environment, "actions:read"),
    route(f"PUT {R}/environments/{{environment_name}}", put_environment, "administration:write@admin"),
    route(f"GET {PENDING}", list_pending, "actions:read"),
    route(f"POST {PENDING}", review_pending, "deployments:write@read"),
    route(f"GET {R}/deployments", list_deployments, "deployments:read"),
    route(f"POST {R}/deployments", create_deployment, "deployments:write"),
    route(f"GET {D}", get_deployment, "deployments:read"),
    route(f"DELETE {D}", delete_deployment, "deployments:write"),
    route(f"GET {D}/statuses", list_statuses, "deployments:read"),
    route(f"GET {D}/statuses/{{status_id}}", get_status, "deployments:read"),
    route(f"POST {D}/statuses", create_status, "deployments:write"),
)
