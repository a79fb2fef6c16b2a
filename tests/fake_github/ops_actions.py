"""Actions: runs from events, their attempts, and what is told of them. Running the jobs is somebody else's business."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.fake_github import events, triggers, workflow_file
from tests.fake_github.errors import Refusal, unprocessable
from tests.fake_github.runs import Attempt, Job, Run, Workflow
from tests.fake_github.state import Artifact, CheckRun, Repository, User
from tests.fake_github.tokens import Token
from tests.fake_github.workflow_file import WorkflowError, WorkflowFile
from tests.fake_github.world import Delivery, World, is_proposal

MAX_DEPTH: Final = 3
MAX_RERUNS: Final = 50
AHEAD: Final = frozenset({"requested", "in_progress"})


def workflow(world: World, repo: Repository, path: str, name: str) -> Workflow:
    """The workflow of a path; its name follows the newest file."""
    key = (repo.id, path)
    if key not in world.workflows:
        made = Workflow(id=world.next_id("workflow"), path=path, name=name, created_at=world.now())
        world.workflows[key] = made
    world.workflows[key].name = name
    return world.workflows[key]


def route(world: World, delivery: Delivery) -> None:
    """Start the workflows that listen to an event."""
    seen = triggers.target(delivery)
    depth = _depth(world, delivery)
    if seen is None or depth > MAX_DEPTH:
        return
    try:
        files = workflow_file.at(delivery.repository.git, seen.source)
    except WorkflowError as error:
        world.violate(f"a broken workflow file: {error}")
        return
    for file in triggers.started(files, delivery):
        _start(world, delivery, seen, file, depth)


def _depth(world: World, delivery: Delivery) -> int:
    if delivery.event != "workflow_run":
        return 0
    return world.runs[delivery.payload["workflow_run"]["id"]].depth + 1


def _start(world: World, delivery: Delivery, seen: triggers.Target, file: WorkflowFile, depth: int) -> None:
    repo = delivery.repository
    flow = workflow(world, repo, file.path, file.name)
    heads = [one for one in world.repositories.values() if one.id == seen.head_repository_id]
    now = world.now()
    run = Run(
        id=world.next_id("run"),
        number=1 + sum(one.workflow is flow for one in world.runs.values()),
        repository=repo,
        workflow=flow,
        event=delivery.event,
        payload=delivery.payload,
        ref=seen.ref,
        sha=seen.sha,
        source=seen.source,
        head_branch=seen.head_branch,
        head_sha=seen.head_sha,
        head_repository=heads[0] if heads else None,
        title=seen.title,
        actor=delivery.sender,
        created_at=now,
        from_fork=seen.from_fork,
        depth=depth,
        attempts=[_attempt(1, delivery.sender, now, by_token=delivery.by_token)],
    )
    world.runs[run.id] = run
    ahead = delivery.event == "workflow_run" and delivery.payload["action"] in AHEAD
    world.queue.insert(0 if ahead else len(world.queue), run)
    if is_proposal(delivery) or (run.from_fork and repo.settings.get("approve_forks")):
        world.queue.remove(run)
        finish(world, run, "action_required", [])
    else:
        _tell(world, run, "requested")


def _attempt(number: int, actor: User, now: str, *, by_token: bool) -> Attempt:
    return Attempt(number=number, triggering_actor=actor, by_token=by_token, started_at=now, updated_at=now)


def _tell(world: World, run: Run, action: str) -> None:
    """Of what a GITHUB_TOKEN started, no workflow hears."""
    latest = run.latest
    token = Token(value="", user=latest.triggering_actor, kind="workflow" if latest.by_token else "user")
    events.workflow_run(world, run, token, action)


def begin(world: World, run: Run) -> None:
    """A runner took the run."""
    run.latest.status, run.latest.updated_at = "in_progress", world.now()
    _tell(world, run, "in_progress")


def finish(world: World, run: Run, conclusion: str, jobs: Sequence[Job]) -> None:
    """The newest attempt ended: keep its jobs, show them as check runs, tell."""
    latest, now = run.latest, world.now()
    latest.status, latest.conclusion, latest.updated_at = "completed", conclusion, now
    latest.jobs = [*(job for job in latest.jobs if job.key not in {one.key for one in jobs}), *jobs]
    for job in jobs:
        run.repository.check_runs[job.id] = CheckRun(
            id=job.id, sha=run.head_sha, name=job.name, status="completed", conclusion=job.conclusion,
            app="github-actions", started_at=job.started_at, completed_at=job.completed_at or now,
            annotations=[
                {"path": one.path, "start_line": one.line, "end_line": one.line, "annotation_level": one.level,
                 "title": one.title, "message": one.message}
                for one in job.annotations
            ],
        )  # fmt: skip
    _tell(world, run, "completed")


def rerun(world: World, run: Run, token: Token, *, failed_only: bool = False) -> None:
    """Queue another attempt: same commit, same reference, same privileges. No event tells that it was requested.

    Raises:
        Refusal: the run is not over, has nothing that failed, or was run again too often.
    """
    if run.status != "completed":
        raise Refusal(403, "This workflow is already running")
    if len(run.attempts) > MAX_RERUNS:
        raise Refusal(403, "This workflow run cannot be retried")
    kept = [job for job in run.latest.jobs if job.conclusion in {"success", "skipped"}] if failed_only else []
    if failed_only and len(kept) == len(run.latest.jobs):
        raise Refusal(403, "This workflow run cannot be retried")
    made = _attempt(run.latest.number + 1, token.user, world.now(), by_token=token.kind == "workflow")
    made.failed_only, made.jobs = failed_only, kept
    run.attempts.append(made)
    world.queue.append(run)


def cancel(world: World, run: Run) -> None:
    """Take a run out of the queue, or mark one that runs: its runner stops it.

    Raises:
        Refusal: it is over.
    """
    if run.status == "completed":
        raise Refusal(409, "Cannot cancel a workflow run that is completed.")
    if run in world.queue:
        world.queue.remove(run)
        finish(world, run, "cancelled", [])
    else:
        run.latest.status = "cancelling"


def approve(world: World, run: Run) -> None:
    """Somebody let a run go, of a fork or of a pull request that a workflow opened; it is theirs from now on."""
    run.latest.status, run.latest.conclusion, run.latest.by_token = "queued", None, False
    world.queue.append(run)
    _tell(world, run, "requested")


def dispatch(
    world: World, repo: Repository, token: Token, *, path: str, ref: str, inputs: Mapping[str, Any]
) -> Run | None:
    """Dispatch a workflow of a branch or tag; the run, where one starts.

    Raises:
        Refusal: no such ref, no such trigger, or inputs that the workflow does not take.
    """
    full = next((name for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref) if repo.git.find(name)), None)
    if full is None or not full.startswith("refs/"):
        raise unprocessable(f"No ref found for: {ref}")
    files = {one.path: one for one in workflow_file.at(repo.git, repo.git.info(full).sha)}
    if path not in files or "workflow_dispatch" not in files[path].triggers:
        raise unprocessable("Workflow does not have 'workflow_dispatch' trigger")
    given = _inputs(files[path].triggers["workflow_dispatch"].get("inputs") or {}, inputs)
    before = set(world.runs)
    events.workflow_dispatch(world, repo, token, path, full, given)
    return next((run for number, run in world.runs.items() if number not in before and run.workflow.path == path), None)


def _inputs(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise unprocessable(f"Unexpected inputs provided: {unknown}")
    found = {}
    for name, about in declared.items():
        about = about or {}  # noqa: PLW2901 -- an input may be declared by its name alone
        value = given.get(name, about.get("default", ""))
        if about.get("required") and value == "":
            raise unprocessable(f"Required input '{name}' not provided")
        if about.get("type") == "choice" and value not in about["options"]:
            raise unprocessable(f"Provided value '{value}' for input '{name}' not in the list of allowed values")
        found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def upload(world: World, run: Run, attempt: int, name: str, archive: bytes) -> Artifact:
    """Keep an artifact of a run's attempt.

    Raises:
        Refusal: there is one of this name already; they are immutable.
    """
    repo = run.repository
    if any((one.run_id, one.attempt, one.name) == (run.id, attempt, name) for one in repo.artifacts.values()):
        raise Refusal(409, "Conflict: an artifact with this name already exists on the workflow run")
    made = Artifact(
        id=world.next_id("artifact"), run_id=run.id, attempt=attempt, name=name, archive=archive,
        digest=hashlib.sha256(archive).hexdigest(), created_at=world.now(),
    )  # fmt: skip
    repo.artifacts[made.id] = made
    return made


def visible(world: World, one: Artifact) -> bool:
    """Whether an artifact can be read: those of attempts before the last one that ran all jobs cannot."""
    whole = [attempt.number for attempt in world.runs[one.run_id].attempts if not attempt.failed_only]
    return one.attempt >= whole[-1] or not world.hides_artifacts


def decode(payload: str) -> str:
    """A base64 payload as text."""
    return base64.b64decode(payload).decode()
