"""What can be wrong with a repository's workflows: triggers, rights, versions, and drift from the template."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlbot.config.errors import Document, Plain
from mlbot.events.event import dig
from mlbot.lib.constants import ACTIONS_REF, ACTIONS_REPOSITORY, JUDGE_PATH, TRAIN_PATH
from mlbot.setup.findings import Code, Finding, Severity

_SHA = re.compile(r"[0-9a-f]{40}")

_FILTERS = ("paths", "paths-ignore", "branches", "branches-ignore")

_RANKS = {"none": 0, "read": 1, "write": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """A workflow file of the repository.

    Attributes:
        path: from the repository's root.
        document: what it holds; None when it cannot be read.
        expected: what `mlbot init` would write there; None for a workflow that is none of mlbot's.
        problem: why it cannot be read.
    """

    path: str
    document: Document | None
    expected: Plain = None
    problem: str = ""


def diagnose_workflows(workflows: Sequence[Workflow], branch: str) -> Iterator[Finding]:
    """What is wrong with the workflows.

    Args:
        workflows: all of them; mlbot's two also where they are not there, without a document and a problem.
        branch: the default branch.
    """
    for workflow in workflows:
        if workflow.document is None:
            yield from _unreadable(workflow)
            continue
        if workflow.expected is not None:
            yield from _own(workflow, workflow.document.data, workflow.expected, branch)
        yield from _any(workflow, workflow.document.data)
    yield from _names({workflow.path: workflow.document.data for workflow in workflows if workflow.document})


def _finding(code: Code, severity: Severity, where: str, what: str, hint: str) -> Finding:
    return Finding(code=code, severity=severity, what=what, where=where, hint=hint)


def _error(code: Code, where: str, what: str, hint: str) -> Finding:
    return _finding(code, Severity.ERROR, where, what, hint)


def _unreadable(workflow: Workflow) -> Iterator[Finding]:
    if workflow.problem:
        severity = Severity.WARNING if workflow.expected is None else Severity.ERROR
        yield _finding(
            Code.WORKFLOW_UNREADABLE, severity, workflow.path, workflow.problem, "Correct it, as GitHub cannot run it."
        )
    elif workflow.expected is not None:
        yield _error(Code.WORKFLOW_MISSING, workflow.path, "the workflow is not there", "Write it: mlbot init")


def _own(workflow: Workflow, found: Plain, expected: Plain, branch: str) -> Iterator[Finding]:
    yield from _triggers(workflow.path, events(found), events(expected), branch)
    if dig(found, "permissions") != {}:
        yield _finding(
            Code.PERMISSIONS_TOP, Severity.WARNING, workflow.path,
            "the workflow itself has rights, and a job added to it would inherit them",
            "Write `permissions: {}` at the top; each job asks for its own.",
        )  # fmt: skip
    known: set[str] = set()
    for name, wanted in dig(expected, "jobs").items():
        own = _callers(found, called := _called(wanted))
        known |= {*own, name}
        if not own:
            yield _finding(
                Code.WORKFLOW_JOB, _weight(name), workflow.path, f"no job calls {called}{_WITHOUT.get(name, '')}",
                f"Add `uses: {called}@{ACTIONS_REF}`, or write the file anew: mlbot init --force",
            )  # fmt: skip
        for key, job in own.items():
            yield from _job(workflow, f"{workflow.path}: jobs.{key}", job, wanted, dig(found, "permissions"))
    yield from _drift(workflow, found, expected, known)


def _called(job: object) -> str:
    """The workflow that a job calls, whatever its version."""
    return str(dig(job, "uses")).partition("@")[0]


def _callers(workflow: Plain, called: str) -> dict[str, Plain]:
    jobs = dig(workflow, "jobs")
    return {key: job for key, job in jobs.items() if _called(job) == called} if isinstance(jobs, dict) else {}


def _weight(what: str) -> Severity:
    """Without commands everything else works."""
    return Severity.WARNING if what in {"issue_comment", "command"} else Severity.ERROR


def _triggers(path: str, found: Mapping[str, Plain], expected: Mapping[str, Plain], branch: str) -> Iterator[Finding]:
    for event, wanted in expected.items():
        where = f"{path}: on.{event}"
        if event not in found:
            yield _finding(
                Code.TRIGGER_MISSING, _weight(event), where, f"it does not run on {event}{_WITHOUT.get(event, '')}",
                "Add it as in the template: mlbot init --force writes the file anew.",
            )  # fmt: skip
            continue
        types, needed = dig(found[event], "types"), dig(wanted, "types")
        missing = [] if types is None and event != "pull_request" else _lacking(types, needed)
        if missing:
            hint = f"Write `types: [{', '.join(needed)}]`."
            yield _error(Code.TRIGGER_MISSING, where, f"its types lack {', '.join(missing)}", hint)
        yield from _filters(where, event, found[event], branch)


_WITHOUT = {
    "merge_group": ", so a merge queue would wait for ever",
    "push": ", so the default branch gets no verdicts to compare with",
    "pull_request": ", so no pull request is trained",
    "workflow_run": ", so nothing is judged",
    "workflow_dispatch": ", so a retrained model cannot be judged",
    "issue_comment": ", so no command in a comment is answered",
    "command": ", so no command in a comment is answered",
}


def _lacking(found: object, needed: object) -> list[str]:
    there = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return [each for each in needed if each not in there] if isinstance(needed, list) else []


def _filters(where: str, event: str, found: Plain, branch: str) -> Iterator[Finding]:
    if event == "push":
        branches = dig(found, "branches")
        if branches is not None and _lacking(branches, [branch]) and "**" not in str(branches):
            yield _error(
                Code.TRIGGER_FILTERED, where, f"it leaves out the default branch {branch}",
                f"Write `branches: [{branch}]`.",
            )  # fmt: skip
    used = [name for name in _FILTERS if dig(found, name) is not None and not (event == "push" and "branch" in name)]
    if used and event in {"pull_request", "merge_group", "push"}:
        yield _error(
            Code.TRIGGER_FILTERED, where, f"`{used[0]}` skips runs, and a required status stays pending for ever then",
            "Take it away: what is not stale is not trained anyway.",
        )  # fmt: skip


def _job(workflow: Workflow, where: str, job: Plain, wanted: Plain, top: Plain) -> Iterator[Finding]:
    own = dig(job, "permissions")
    yield from _rights(where, own if own is not None else top, dig(wanted, "permissions"))
    if dig(job, "secrets") is not None and workflow.path == TRAIN_PATH:
        yield _error(
            Code.SECRETS_IN_SANDBOX, where, "`secrets` are handed to the job that runs a pull request's code",
            "Take `secrets:` away; data for training belongs where no secret is needed.",
        )  # fmt: skip
    ref = str(dig(job, "uses")).partition("@")[2]
    if ref != ACTIONS_REF and not ref.startswith(f"{ACTIONS_REF}.") and not _SHA.fullmatch(ref):
        yield _finding(
            Code.WORKFLOW_REF, Severity.WARNING, where, f"it calls mlbot's workflow at {ref!r}",
            f"Call a release, @{ACTIONS_REF}, or the full SHA of one.",
        )  # fmt: skip


def _rights(where: str, found: Plain, wanted: Plain) -> Iterator[Finding]:
    """The rights of a job against those that the called workflow needs: neither less nor more."""
    needed = wanted if isinstance(wanted, dict) else {}
    if found in ("read-all", "write-all") or found is None:
        given = str(found) if found else "those of the repository's default"
        yield _error(Code.PERMISSIONS_WIDE, where, f"its rights are {given}", f"Write {_permissions(needed)}.")
        return
    have = found if isinstance(found, dict) else {}
    lacking = {scope: level for scope, level in needed.items() if _rank(have.get(scope)) < _rank(level)}
    if lacking:
        what = f"it lacks {_permissions(lacking)}, so GitHub refuses to start it"
        yield _error(Code.PERMISSIONS_MISSING, where, what, f"Write {_permissions(needed)}.")
    wide = {scope: level for scope, level in have.items() if _rank(level) > _rank(needed.get(scope))}
    if wide:
        what = f"it has {_permissions(wide)}, which it does not need"
        yield _error(Code.PERMISSIONS_WIDE, where, what, f"Write {_permissions(needed)}.")


def _rank(level: object) -> int:
    return _RANKS.get(str(level), 0)


def _permissions(levels: Mapping[str, Plain]) -> str:
    return f"`permissions: {{{', '.join(f'{scope}: {level}' for scope, level in levels.items())}}}`"


def _drift(workflow: Workflow, found: Plain, expected: Plain, jobs: set[str]) -> Iterator[Finding]:
    """What else differs from the template; more jobs, inputs and the like are the user's to add."""
    have, want = dict(_leaves(found)), dict(_leaves(expected))
    passed = {"permissions", "name"}
    differing = [
        ".".join(path)
        for path in want
        if have.get(path) != want[path]
        and path[0] not in passed
        and not (path[0] == "on" and path[1:2] != ("workflow_dispatch",))
        and not (path[0] == "jobs" and path[1] in jobs and path[2] in {"permissions", "uses"})
        and path[-1] not in {"install", "description", "default"}
    ]
    if differing and any(dig(found, "jobs", job) for job in jobs):
        yield _finding(
            Code.WORKFLOW_DRIFT, Severity.WARNING, workflow.path,
            f"it differs from what this version of mlbot writes in {', '.join(differing)}",
            "Compare it with the template, or write it anew: mlbot init --force",
        )  # fmt: skip


def _leaves(value: Plain, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict) and value:
        for key, inside in value.items():
            yield from _leaves(inside, (*path, key))
    else:
        yield path, value


def _any(workflow: Workflow, found: Plain) -> Iterator[Finding]:
    """What no workflow beside mlbot's should do."""
    if "pull_request_target" in events(found):
        own = workflow.expected is not None
        yield _finding(
            Code.PULL_REQUEST_TARGET, Severity.ERROR if own else Severity.WARNING, workflow.path,
            "pull_request_target runs with secrets on what a stranger sent; GitHub blocks it in public repositories",
            "Use pull_request, and workflow_run for what needs a token.",
        )  # fmt: skip
    loose = sorted({uses for uses in uses_of(found) if _is_loose(uses)})
    if loose:
        yield _finding(
            Code.UNPINNED, Severity.WARNING, workflow.path, f"these can change under the same name: {', '.join(loose)}",
            "Pin each by the full SHA of its commit, with the version in a comment.",
        )  # fmt: skip


def _names(found: Mapping[str, Plain]) -> Iterator[Finding]:
    """The judge listens to the training by its workflow's name."""
    if not {TRAIN_PATH, JUDGE_PATH} <= found.keys():
        return
    name = dig(found[TRAIN_PATH], "name") or TRAIN_PATH
    listens = dig(found[JUDGE_PATH], "on", "workflow_run", "workflows")
    if listens is not None and _lacking(listens, [name]):
        yield _error(
            Code.WORKFLOW_NAME, f"{JUDGE_PATH}: on.workflow_run.workflows",
            f"it does not listen to {name!r}, the name of {TRAIN_PATH}", f"Write `workflows: [{name}]`.",
        )  # fmt: skip


def events(workflow: Plain) -> Mapping[str, Plain]:
    """A workflow's events with their settings, in whichever of the three ways they are written."""
    found = dig(workflow, "on")
    if isinstance(found, dict):
        return found
    return dict.fromkeys([found] if isinstance(found, str) else map(str, found if isinstance(found, list) else ()))


def uses_of(workflow: Plain) -> Iterator[str]:
    """Everything that a workflow's jobs and steps use."""
    jobs = dig(workflow, "jobs")
    for job in jobs.values() if isinstance(jobs, dict) else ():
        steps = dig(job, "steps")
        for part in (job, *(steps if isinstance(steps, list) else ())):
            if isinstance(uses := dig(part, "uses"), str):
                yield uses


def labels_of(workflow: Plain) -> Iterator[str]:
    """The labels of the runners that a workflow's jobs ask for."""
    jobs = dig(workflow, "jobs")
    for job in jobs.values() if isinstance(jobs, dict) else ():
        runs_on = dig(job, "runs-on")
        labels = dig(runs_on, "labels") if isinstance(runs_on, dict) else runs_on
        yield from [labels] if isinstance(labels, str) else labels if isinstance(labels, list) else ()


def _is_loose(uses: str) -> bool:
    name, _, ref = uses.partition("@")
    own = name.startswith(f"{ACTIONS_REPOSITORY}/")
    return not (uses.startswith(("./", "docker://")) or own or _SHA.fullmatch(ref))
