"""The tree that act runs: workflows as GitHub would run them, made fit for act.

Called workflows are copied into the caller's folder, once for each call, so that each job of each call has a token of
its own and ``./`` means what it means on GitHub. Of a job's keys only those are taken out that act does not know or
ignores; what they mean (permissions, environments) is acted out by this module.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.expressions import SECRET, TOKEN, literal, naming, of_jobs_that_ran, plain, put_out, replaced
from tests.e2e.standins import known
from tests.fake_github import permissions, workflow_file
from tests.fake_github.objects import GitError
from tests.fake_github.runs import Run
from tests.fake_github.state import Environment
from tests.fake_github.tokens import Token
from tests.fake_github.triggers import matches
from tests.fake_github.workflow_file import FOLDER, WorkflowError, WorkflowFile
from tests.fake_github.world import World

OWNER: Final = "mlbot-ci/mlbot"
STRIPPED_WORKFLOW: Final = ("cache-mode", "concurrency", "permissions", "run-name")
STRIPPED_JOB: Final = ("cache-mode", "concurrency", "permissions", "environment")
MAX_CALLS: Final = 10
REFUSED: Final = "this ref is not allowed to deploy to an environment, due to its protection rules"


@dataclass(eq=False, kw_only=True, slots=True)
class ExportedJob:
    """A job of the exported tree; ``key`` is its path of calls: ``judge`` or ``call/judge``."""

    key: str
    permissions: Mapping[str, str]
    token: str
    runs_on: Any
    environment: str | None


@dataclass(eq=False, kw_only=True, slots=True)
class Export:
    """What the runner needs."""

    folder: Path
    workflow: str
    name: str
    jobs: dict[str, ExportedJob] = field(default_factory=dict)
    repositories: dict[str, Path] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    gives_token: set[str] = field(default_factory=set)  # names of steps whose output is a token, and masked


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Where we are in the tree of calls."""

    path: str
    granted: Mapping[str, str] | None
    inputs: Mapping[str, Any]
    remote: bool


class Exporter:
    """Exports one attempt of a run.

    Args:
        world: where tokens are registered and workflows read.
        mlbot: a copy of the checkout under test (actions/, .github/workflows/, src/ and so on).
        standins: a folder with the stand-ins for actions of others.
        folder: where to write.
    """

    def __init__(self, world: World, run: Run, *, mlbot: Path, standins: Path, folder: Path) -> None:
        self._world, self._run, self._mlbot, self._standins = world, run, mlbot, standins
        self._workflows = folder / "repository" / FOLDER
        self._workflows.mkdir(parents=True)
        self._folder = folder
        file = self._at_source(run.workflow.path)
        self._export = Export(folder=folder, workflow=Path(file.path).name, name=file.name)
        self._entry = file

    def export(self) -> Export:
        """Write it.

        Raises:
            WorkflowError: GitHub would not start this workflow, or no stand-in is there for an action.
        """
        inputs = dict(self._run.payload.get("inputs") or {})
        call = Call(path="", granted=None, inputs=inputs, remote=False)
        content = self._workflow(self._entry, call)
        self._write(self._export.workflow, content | {"name": self._entry.name})
        if not self._run.from_fork:
            self._export.secrets |= self._run.repository.secrets
        return self._export

    def _at_source(self, path: str) -> WorkflowFile:
        git = self._run.repository.git
        try:
            return workflow_file.parse(path, git.git("show", f"{self._run.source}:{path}"))
        except GitError as error:
            raise WorkflowError(f"no {path} at {self._run.source}") from error

    def _write(self, name: str, content: Any) -> None:
        (self._workflows / name).write_text(json.dumps(content))  # which is YAML, and quick to write

    def _workflow(self, file: WorkflowFile, call: Call) -> dict[str, Any]:
        content = {key: value for key, value in file.content.items() if key not in STRIPPED_WORKFLOW}
        if any(
            "token" in str(value).lower() and TOKEN.search(str(value)) for value in (content.get("env") or {}).values()
        ):
            raise WorkflowError(f"{file.path}: the harness gives tokens to jobs, not to the env of a workflow")
        jobs = {key: self._job(file, key, job, call) for key, job in file.jobs.items()}
        return {**replaced(content, self._names()), "jobs": jobs}

    def _job(self, file: WorkflowFile, key: str, job: Mapping[str, Any], call: Call) -> dict[str, Any]:
        path = f"{call.path}{key}"
        held = self._permissions(file, path, job, call)
        environment = self._environment(job, call)
        content = {name: value for name, value in job.items() if name not in STRIPPED_JOB}
        token = self._token(path, held)
        change = self._change(token, environment)
        if "uses" in job:
            content["uses"] = self._call(job, path, held, call)
            return dict(replaced(content, change))
        self._export.jobs[path] = ExportedJob(
            key=path, permissions=held, token=token, runs_on=job["runs-on"],
            environment=environment.name if environment else None,
        )  # fmt: skip
        number = len(self._export.jobs)
        steps = [self._step(step, token, number) for step in job["steps"]]
        if environment and not self._admitted(environment):
            steps = [{"run": f"echo '::error::{REFUSED}'; exit 1"}]
        inspection = {
            "name": known.INSPECTION,
            "if": "always()",
            "shell": "bash",
            "run": known.inspection(self._folder),
        }
        content |= {"runs-on": known.LABEL, "steps": [*steps, inspection]}
        return dict(replaced(content, change))

    def _permissions(self, file: WorkflowFile, path: str, job: Mapping[str, Any], call: Call) -> dict[str, str]:
        whole, own = file.content.get("permissions"), job.get("permissions")
        default = call.granted if call.granted is not None else self._run.repository.default_token
        held = permissions.of_job(whole, own, default)
        if call.granted is not None:
            held = permissions.within(f"{file.path} (job {path})", held, call.granted)
        return held

    def _token(self, path: str, held: Mapping[str, str]) -> str:
        run = self._run
        effective = permissions.of_fork(held) if run.from_fork else held
        value = f"ghs_{run.id}a{run.latest.number}n{len(self._world.tokens)}"
        self._world.tokens[value] = Token(
            value=value, user=self._world.bot, kind="workflow", repository=run.repository,
            permissions=permissions.of_token(effective), run_id=run.id, attempt=run.latest.number,
            job=f"{Path(run.workflow.path).name}/{path}",
        )  # fmt: skip
        return value

    def _environment(self, job: Mapping[str, Any], call: Call) -> Environment | None:
        named = job.get("environment")
        said = named["name"] if isinstance(named, Mapping) else named
        name = plain(said, call.inputs) or put_out(said, self._run.payload.get("inputs") or {})
        known_ones = self._run.repository.environments
        return known_ones.get(str(name)) if name else None

    def _admitted(self, environment: Environment) -> bool:
        name = self._run.ref.split("/", 2)[2]
        return environment.branches is None or matches(environment.branches, name)

    def _change(self, token: str, environment: Environment | None) -> Callable[[str], str]:
        scoped = environment.secrets if environment and not self._run.from_fork else {}
        prefix = f"{environment.name.upper().replace('-', '_')}__" if environment else ""
        self._export.secrets |= {prefix + name: value for name, value in scoped.items()}
        name_all = self._names()

        def change(text: str) -> str:
            text = of_jobs_that_ran(TOKEN.sub(literal(token), text))
            return name_all(SECRET.sub(lambda one: f"secrets.{prefix * (one[1] in scoped)}{one[1]}", text))

        return change

    def _names(self) -> Callable[[str], str]:
        run = self._run
        ref = f"{run.repository.full_name}/{run.workflow.path}@{run.ref}"
        return naming(
            {
                "github.workflow": self._entry.name,
                "github.workflow_ref": ref,
                "github.workflow_sha": run.source,
                "github.triggering_actor": run.latest.triggering_actor.login,
                "github.repository_id": run.repository.id,
                "github.repository_owner_id": run.repository.owner.id,
                "github.actor_id": run.actor.id,
                "github.run_number": run.number,
                "github.ref_type": "tag" if run.ref.startswith("refs/tags/") else "branch",
            }
        )

    def _call(self, job: Mapping[str, Any], path: str, held: Mapping[str, str], call: Call) -> str:
        """Copy a called workflow beside its caller."""
        if path.count("/") >= MAX_CALLS:
            raise WorkflowError(f"{path}: workflows call each other {MAX_CALLS} levels deep at most")
        target, _, _ = job["uses"].partition("@")
        remote = call.remote or not target.startswith("./")
        if target.startswith(f"{OWNER}/") or (target.startswith("./") and call.remote):
            name = f"{FOLDER}/{Path(target).name}"
            file = workflow_file.parse(name, (self._mlbot / name).read_text())
        elif target.startswith("./"):
            file = self._at_source(target.removeprefix("./"))
        else:
            raise WorkflowError(f"{path}: the harness has no {job['uses']}")
        given = {name: plain(value, call.inputs) for name, value in (job.get("with") or {}).items()}
        declared = (file.triggers.get("workflow_call") or {}).get("inputs") or {}
        inputs = {name: (about or {}).get("default") for name, about in declared.items()} | given
        inner = self._workflow(file, Call(path=f"{path}/", granted=held, inputs=inputs, remote=remote))
        copy = f"{path.replace('/', '--')}--{Path(file.path).name}"
        self._write(copy, inner | {"name": f"@{path}@"})
        return f"./{FOLDER}/{copy}"

    def _step(self, step: Mapping[str, Any], token: str, number: int) -> dict[str, Any]:
        uses = step.get("uses")
        if uses is None or uses.startswith("./"):
            return dict(step)
        name, _, ref = uses.partition("@")
        if name.startswith("$/"):  # of the repository whose workflow this is, at its commit
            name = f"{OWNER}/{name.removeprefix('$/')}"
        if name.startswith(f"{OWNER}/"):
            self._actions(token, number)
            return dict(step) | {"uses": f"{name}@job{number}"}
        self._stand_in(name, ref)
        if name in known.GIVE_TOKENS and "name" in step:
            self._export.gives_token.add(step["name"])
        given = dict(step.get("with") or {})
        for key in known.TOKENS.get(name, ()):
            given.setdefault(key, "${{ github.token }}")
        return dict(step) | ({"with": given} if given else {})

    def _stand_in(self, name: str, ref: str) -> None:
        repository = "/".join(name.split("/")[:2])
        folder = self._standins / name
        if not (folder / "action.yml").is_file() or len(ref) != 40:
            raise WorkflowError(f"no stand-in for {name}@{ref} (pinned by its full SHA): see tests/e2e/standins")
        self._export.repositories[f"{repository}@{ref}"] = self._standins / repository

    def _actions(self, token: str, number: int) -> None:
        """A copy of mlbot's actions whose ``github.token`` is this job's."""
        key, copy = f"{OWNER}@job{number}", self._folder / "actions" / f"job{number}"
        if key in self._export.repositories:
            return
        self._export.repositories[key] = copy
        shutil.copytree(self._mlbot, copy, copy_function=os.link)
        for file in sorted((copy / "actions").glob("*/action.yml")):
            content = workflow_file.load(file.read_text())
            if "steps" in content["runs"]:
                steps = [without_inputs(step) for step in content["runs"]["steps"]]
                content["runs"]["steps"] = [self._step(step, token, number) for step in steps]
            file.unlink()  # a hard link: never write through it
            file.write_text(json.dumps(replaced(content, self._change(token, None))))


def without_inputs(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step of a composite that sees no ``INPUT_*`` but what its ``env`` names: act sets them all, GitHub none."""
    if step.get("shell") != "bash":
        return dict(step)
    named = "|".join(name for name in step.get("env") or {} if name.startswith("INPUT_")) or "none"
    unset = (
        f'for input in "${{!INPUT_@}}"; do case "$input" in {named}) ;; *) unset "$input" ;; esac; done; unset input\n'
    )
    return dict(step) | {"run": unset + step["run"]}


def mlbot_copy(checkout: Path, folder: Path) -> Path:
    """What GitHub would serve of mlbot: never the checkout itself, whose .git and .venv act would copy each time."""
    for name in _served(checkout):
        source = checkout / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


def _served(checkout: Path) -> Iterator[str]:
    wanted = ("actions", ".github", "src", "templates", "pyproject.toml", "README.md", "LICENSE", "requirements")
    return (name for name in wanted if (checkout / name).exists())
