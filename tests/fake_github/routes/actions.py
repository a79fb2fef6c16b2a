"""Actions: workflows, runs, jobs, artifacts, dispatches, attestations."""

import json

from tests.fake_github import events, facts_ci, ops_actions
from tests.fake_github.errors import Refusal, not_found
from tests.fake_github.messages import Call, Reply, Route, paged, route
from tests.fake_github.runs import Run, Workflow
from tests.fake_github.state import Artifact
from tests.fake_github.workflow_file import at


def _run(call: Call) -> Run:
    found = call.world.runs.get(call.number("run_id"))
    if found is None or found.repository is not call.repo:
        raise not_found()
    return found


def list_runs(call: Call) -> Reply:
    """GET runs, newest first, by what the query asks; also those of one workflow."""
    query = call.query
    flow = _workflow(call) if "workflow_id" in call.params else None
    found = [
        run
        for run in reversed(call.world.runs.values())
        if run.repository is call.repo
        and flow in (None, run.workflow)
        and query.get("head_sha") in (None, run.head_sha)
        and query.get("event") in (None, run.event)
        and query.get("branch") in (None, run.head_branch)
        and query.get("actor") in (None, run.actor.login)
        and query.get("status") in (None, run.status, run.conclusion)
    ]
    return paged(found, lambda run: facts_ci.run(call.world, run), "workflow_runs")


def get_run(call: Call) -> Reply:
    """GET a run."""
    return Reply(facts=facts_ci.run(call.world, _run(call)))


def get_attempt(call: Call) -> Reply:
    """GET a run as it was at one attempt."""
    run, number = _run(call), call.number("attempt_number")
    if not 1 <= number <= len(run.attempts):
        raise not_found()
    return Reply(facts=facts_ci.run(call.world, run, run.attempts[number - 1]))


def list_jobs(call: Call) -> Reply:
    """GET the jobs of a run: of the newest attempt, or of all."""
    run = _run(call)
    attempts = run.attempts if call.query.get("filter") == "all" else [run.latest]
    found = [(attempt, job) for attempt in attempts for job in attempt.jobs]
    return paged(found, lambda one: facts_ci.job(call.world, run, *one), "jobs")


def rerun(call: Call) -> Reply:
    """POST rerun and rerun-failed-jobs."""
    failed_only = call.request.path.endswith("-failed-jobs")
    ops_actions.rerun(call.world, _run(call), call.holder, failed_only=failed_only)
    return Reply(status=201, facts={})


def cancel(call: Call) -> Reply:
    """POST cancel."""
    ops_actions.cancel(call.world, _run(call))
    return Reply(status=202, facts={})


def _workflow(call: Call) -> Workflow:
    """A workflow by id or by file name."""
    wanted = call.params["workflow_id"]
    for one in _workflows(call):
        if wanted in (str(one.id), one.path.rpartition("/")[2]):
            return one
    raise not_found()


def _workflows(call: Call) -> list[Workflow]:
    """Those of the default branch, and those that ran."""
    tip = call.repo.git.find(f"refs/heads/{call.repo.default_branch}")
    for file in at(call.repo.git, tip) if tip else ():
        ops_actions.workflow(call.world, call.repo, file.path, file.name)
    return [one for (repository, _), one in call.world.workflows.items() if repository == call.repo.id]


def list_workflows(call: Call) -> Reply:
    """GET workflows."""
    return paged(_workflows(call), lambda one: facts_ci.workflow(call.world, call.repo, one), "workflows")


def get_workflow(call: Call) -> Reply:
    """GET a workflow."""
    return Reply(facts=facts_ci.workflow(call.world, call.repo, _workflow(call)))


def dispatch(call: Call) -> Reply:
    """POST a dispatch: 204, or 200 with the run when the caller asks for it."""
    body, flow = call.body, _workflow(call)
    run = ops_actions.dispatch(
        call.world, call.repo, call.holder, path=flow.path, ref=body["ref"], inputs=body.get("inputs") or {}
    )
    if not body.get("return_run_details") or run is None:
        return Reply(status=204)
    found = facts_ci.run(call.world, run)
    return Reply(facts={"workflow_run_id": run.id, "run_url": found["url"], "html_url": found["html_url"]})


def repository_dispatch(call: Call) -> Reply:
    """POST an event of one's own making."""
    payload = call.body.get("client_payload", {})
    events.repository_dispatch(call.world, call.repo, call.holder, call.body["event_type"], payload)
    return Reply(status=204)


def _artifact(call: Call) -> Artifact:
    found = call.repo.artifacts.get(call.number("artifact_id"))
    if found is None or not ops_actions.visible(call.world, found):
        raise not_found()
    return found


def list_artifacts(call: Call) -> Reply:
    """GET artifacts, newest first: of the repository, or of a run (of all attempts that can be read)."""
    run = _run(call) if "run_id" in call.params else None
    name = call.query.get("name")
    found = [
        one
        for one in reversed(call.repo.artifacts.values())
        if (run is None or one.run_id == run.id) and name in (None, one.name) and ops_actions.visible(call.world, one)
    ]
    if call.query.get("direction") == "asc":
        found.reverse()
    return paged(found, lambda one: facts_ci.artifact(call.world, call.repo, one), "artifacts")


def get_artifact(call: Call) -> Reply:
    """GET an artifact."""
    return Reply(facts=facts_ci.artifact(call.world, call.repo, _artifact(call)))


def delete_artifact(call: Call) -> Reply:
    """DELETE an artifact."""
    del call.repo.artifacts[_artifact(call).id]
    return Reply(status=204)


def download_artifact(call: Call) -> Reply:
    """GET the archive: a redirect to where it is stored, whose address is its own permission."""
    one = _artifact(call)
    if one.expired:
        raise Refusal(410, "Artifact has expired")
    call.holder  # noqa: B018 -- even a public repository's artifacts need a token
    return Reply(status=302, headers={"Location": f"{call.world.blob_url}/_blobs/artifacts/{one.id}/{one.digest}"})


def attest(call: Call) -> Reply:
    """POST an attestation: kept under the digests of its subjects."""
    number, payload = (
        call.world.next_id("attestation"),
        call.body["bundle"].get("dsseEnvelope", {}).get("payload", "e30="),
    )
    statement = json.loads(ops_actions.decode(payload))
    for subject in statement.get("subject", [{"digest": {"sha256": "unknown"}}]):
        digest = f"sha256:{subject['digest']['sha256']}"
        call.repo.attestations.setdefault(digest, []).append(
            {"bundle": call.body["bundle"], "repository_id": call.repo.id}
        )
    return Reply(status=201, facts={"id": number})


def list_attestations(call: Call) -> Reply:
    """GET the attestations of a digest."""
    return Reply(facts={"attestations": call.repo.attestations.get(call.params["subject_digest"], [])})


def list_caches(_: Call) -> Reply:
    """GET caches: there are none."""
    return Reply(facts={"total_count": 0, "actions_caches": []})


R = "/repos/{owner}/{repo}"
A = f"{R}/actions"
RUN = f"{A}/runs/{{run_id}}"
ROUTES: tuple[Route, ...] = (
    route(f"GET {A}/runs", list_runs, "actions:read"),
    route(f"GET {RUN}", get_run, "actions:read"),
    route(f"GET {RUN}/attempts/{{attempt_number}}", get_attempt, "actions:read"),
    route(f"GET {RUN}/jobs", list_jobs, "actions:read"),
    route(f"POST {RUN}/rerun", rerun, "actions:write"),
    route(f"POST {RUN}/rerun-failed-jobs", rerun, "actions:write"),
    route(f"POST {RUN}/cancel", cancel, "actions:write"),
    route(f"GET {RUN}/artifacts", list_artifacts, "actions:read"),
    route(f"GET {A}/artifacts", list_artifacts, "actions:read"),
    route(f"GET {A}/artifacts/{{artifact_id}}", get_artifact, "actions:read"),
    route(f"DELETE {A}/artifacts/{{artifact_id}}", delete_artifact, "actions:write"),
    route(f"GET {A}/artifacts/{{artifact_id}}/{{archive_format}}", download_artifact, "actions:read"),
    route(f"GET {A}/workflows", list_workflows, "actions:read"),
    route(f"GET {A}/workflows/{{workflow_id}}", get_workflow, "actions:read"),
    route(f"GET {A}/workflows/{{workflow_id}}/runs", list_runs, "actions:read"),
    route(f"POST {A}/workflows/{{workflow_id}}/dispatches", dispatch, "actions:write"),
    route(f"GET {A}/caches", list_caches, "actions:read"),
    route(f"POST {R}/dispatches", repository_dispatch, "contents:write"),
    route(f"POST {R}/attestations", attest, "attestations:write"),
    route(f"GET {R}/attestations/{{subject_digest}}", list_attestations, "attestations:read"),
)
