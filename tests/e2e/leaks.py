"""The search for tokens and secrets: what jobs print and put out, what stays in .git/config, what artifacts hold."""

import base64
import io
import subprocess
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

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


def everything(world: World, *folders: Path) -> Iterator[tuple[str, bytes]]:
    """All that was ever written: what the fake may answer, every object of git, and each file below the folders."""
    for where, data in _remembered(world, "world", set()):
        yield from _inside(where, data)
    for name, repository in world.repositories.items():
        objects = ["git", "-C", str(repository.git.path), "cat-file", "--batch", "--batch-all-objects"]
        yield f"git objects of {name}", subprocess.run(objects, check=True, capture_output=True).stdout
    seen = set[int]()  # copies of mlbot for each job are one file
    for file in sorted(each for folder in folders for each in folder.rglob("*") if each.is_file()):
        if (number := file.stat().st_ino) not in seen:
            seen.add(number)
            yield from _inside(str(file), file.read_bytes())


def _remembered(thing: Any, where: str, seen: set[int]) -> Iterator[tuple[str, bytes]]:
    """Every text below a thing."""
    if isinstance(thing, str | bytes):
        yield where, thing.encode() if isinstance(thing, str) else thing
        return
    if id(thing) in seen or isinstance(thing, int | float | Path | type) or callable(thing):
        return
    seen.add(id(thing))
    if isinstance(thing, Mapping):
        parts = [part for pair in thing.items() for part in pair]
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        parts = list(thing)
    elif is_dataclass(thing):
        parts = [getattr(thing, each.name) for each in fields(thing)]
    else:
        return
    for part in parts:
        yield from _remembered(part, f"{where}, {type(thing).__name__}", seen)
