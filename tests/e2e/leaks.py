"""The search for tokens and secrets: what jobs print and put out, what stays in .git/config, what artifacts hold."""

import base64
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.e2e.export import Export
from tests.fake_github.runs import Job, Run
from tests.fake_github.world import World

GIVES_TOKEN: Final = "actions/create-github-app-token@"  # whose output is a token, and masked


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A secret where it must not be."""

    secret: str
    where: str


def search(world: World, run: Run, export: Export, jobs: list[Job]) -> list[Leak]:
    """Search one attempt of a run."""
    named = {value: name for name, value in export.secrets.items() if value}
    named |= {value: f"token of {token.label}" for value, token in world.tokens.items() if token.run_id == run.id}
    named |= {world.runtime_token(run.id): "runtime token"}
    forms = {value.encode(): name for value, name in named.items()}
    forms |= {base64.b64encode(f"x-access-token:{value}".encode()): name for value, name in named.items()}
    places = list(_places(run, export, jobs))
    return [Leak(secret=name, where=where) for where, data in places for value, name in forms.items() if value in data]


def _places(run: Run, export: Export, jobs: list[Job]) -> Iterator[tuple[str, bytes]]:
    label = f"{run.workflow.path} attempt {run.latest.number}"
    for job in jobs:
        yield f"{label}, log of {job.name}", (job.log + job.errors).encode()
        yield f"{label}, summary of {job.name}", job.summary.encode()
        yield f"{label}, annotations of {job.name}", "\n".join(one.message for one in job.annotations).encode()
        for step in job.steps:
            if step.name.startswith(GIVES_TOKEN) or step.name in export.gives_token:
                continue
            for name, value in step.outputs.items():
                yield f"{label}, output {name} of step {step.name!r} in {job.name}", value.encode()
    for config in sorted((export.folder / "inspection").rglob("*.txt")):
        yield f"{label}, .git/config of a workspace", config.read_bytes()
    for artifact in run.repository.artifacts.values():
        if (artifact.run_id, artifact.attempt) == (run.id, run.latest.number):
            yield from _inside(f"{label}, artifact {artifact.name}", artifact.archive)


def _inside(where: str, archive: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            for info in opened.infolist():
                yield f"{where}/{info.filename}", opened.read(info)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
        yield where, archive
