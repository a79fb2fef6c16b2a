"""Environments of `train.environment`: made once for what is to be in them, and kept for the next training."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbot.config.schema import Model
from mlbot.config.train import TrainEnvironment
from mlbot.ledger.entries import Environment
from mlbot.lib.record import Digest, Sha, canonical, digest
from mlbot.plan.content_key import LOCKS
from mlbot.storage.results import locked

_READY = "mlbot-ready"  # a file in an environment that is whole; its time is that of the last use
_KEPT = 6
_ASK_TIMEOUT_S = 30
_PROJECT_FILES = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "constraints.txt",
    "requirements/*.txt",
    "requirements*.txt",
)
_PROJECT = re.compile(r"(?:^|\s)\.{1,2}(?:[/\[]|\s|$)|\b(?:uv|pdm|pipenv) sync\b|\bpoetry install\b")
"""A command that may install the project itself, and so the code of one commit."""


class NotMadeError(Exception):
    """An environment cannot be made; the message says why, `tail` has the last lines of what tried."""

    def __init__(self, message: str, *, tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tail = tail


@dataclass(frozen=True, kw_only=True, slots=True)
class Environments:
    """The environments that trainings on this machine have had."""

    folder: Path
    progress: Callable[[str], None]

    def record(self, wanted: TrainEnvironment, lock: Digest | None) -> Environment:
        """Where a training in such an environment runs, as far as mlbot.yaml and the lock decide it."""
        from mlbot.ml.train import current_environment

        python = find_python(wanted.python)
        base = current_environment(lock, str(python.parent) if python else None)
        facts = {"packages": digest(canonical(wanted.model_dump(mode="json")))}
        return base.model_copy(update=facts if python else facts | {"python": wanted.python or "unknown"})

    def prepare(self, model: Model, checkout: Path, commit: Sha, stop: threading.Event | None = None) -> Path:
        """The `bin` folder of the environment that a model's training asks for, made where it is not there yet.

        Raises:
            NotMadeError: its Python is not on this machine, or the install command failed.
        """
        wanted = model.train.environment
        if wanted is None:
            raise ValueError(f"{model.name} has no environment of its own")
        python = find_python(wanted.python)
        if python is None:
            asked = f"Python {wanted.python}" if wanted.python else "Python"
            raise NotMadeError(
                f"there is no {asked} on this machine to train with: install it (actions/setup-python, pyenv, uv), "
                "or change train.environment"
            )
        place = self.folder / _name(wanted, python, checkout, commit)
        with locked(self.folder / "locks" / place.name, stop=stop):
            if not (place / _READY).is_file():
                self._make(model, wanted, python, place, checkout, stop)
            os.utime(place / _READY)
        return place / "bin"

    def _make(
        self,
        model: Model,
        wanted: TrainEnvironment,
        python: Path,
        place: Path,
        checkout: Path,
        stop: threading.Event | None,
    ) -> None:
        self.progress(f"{model.name}: making the environment of its trainings ...")
        self._forget()
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run([python, "-I", "-m", "venv", place], capture_output=True, text=True, check=False)
        if made.returncode:
            lines = tuple((made.stdout + made.stderr).splitlines()[-5:])
            raise NotMadeError(f"{python} cannot make an environment (python -m venv)", tail=lines)
        self._install(model, wanted, place, checkout, stop)
        (place / _READY).touch()

    def _install(
        self, model: Model, wanted: TrainEnvironment, place: Path, checkout: Path, stop: threading.Event | None
    ) -> None:
        from mlbot.ml.train import Command, Log, supervise, training_environment

        scratch = place / "scratch"
        scratch.mkdir()
        own = paths(place / "bin") | {"UV_PROJECT_ENVIRONMENT": str(place)}
        command = Command(
            arguments=["sh", "-e", "-c", wanted.install],
            folder=checkout,
            environment=training_environment(os.environ, seed=0, own=own),
            timeout_s=model.train.timeout_s,
            grace_s=5.0,
            scratch=scratch,
        )
        with Log(None, self.progress, name=f"{model.name} environment", metrics=()) as log:
            ended = supervise(command, log.write, stop=stop)
        if ended.exit_code != 0 or ended.timed_out or ended.problem:
            after = f"took longer than {model.train.timeout_s:g} s" if ended.timed_out else "failed"
            code = f" with exit code {ended.exit_code}" if ended.exit_code and not ended.timed_out else ""
            raise NotMadeError(f"train.environment.install {after}{code}", tail=log.tail)

    def _forget(self) -> None:
        """Drop the environments that were not used for longest, but for some."""
        ready = sorted(self.folder.glob(f"*/{_READY}"), key=lambda path: -path.stat().st_mtime)
        for path in ready[_KEPT - 1 :]:
            if time.time() - path.stat().st_mtime > _DAY_S:  # what runs may be in use
                shutil.rmtree(path.parent, ignore_errors=True)


_DAY_S = 24 * 60 * 60


def paths(bin_folder: Path) -> dict[str, str]:
    """The variables that make a process use an environment."""
    path = os.pathsep.join((str(bin_folder), os.environ.get("PATH", os.defpath)))
    return {"PATH": path, "VIRTUAL_ENV": str(bin_folder.parent)}


def _name(wanted: TrainEnvironment, python: Path, checkout: Path, commit: Sha) -> str:
    """A name for all that decides what is in an environment."""
    patterns = (*LOCKS, *_PROJECT_FILES)
    words = {word for word in re.split(r"[\s=]+", wanted.install) if word and not word.startswith(("/", "-"))}
    files = {path for pattern in patterns for path in checkout.glob(pattern)} | {checkout / word for word in words}
    read = {
        str(path.relative_to(checkout)): digest(path.read_bytes())
        for path in sorted(files)
        if path.is_file() and path.resolve().is_relative_to(checkout.resolve())
    }
    facts = {"install": wanted.install, "python": str(python), "version": _version(python), "files": read}
    facts |= {"commit": commit} if _PROJECT.search(wanted.install) else {}
    return digest(canonical(facts)).removeprefix("sha256:")[:20]


def find_python(version: str | None) -> Path | None:
    """A Python of that version on this machine; of any, the first one on the PATH."""
    from mlbot.ml.train import training_python

    if version is None:
        found = training_python(os.environ.get("PATH", os.defpath))
        return Path(found) if found else None
    return next((path for path in _candidates(version) if f"{_version(path)}.".startswith(f"{version}.")), None)


def _candidates(version: str) -> Iterator[Path]:
    """Where Pythons are: on the PATH, in a runner's tool cache, of pyenv, of uv."""
    minor = ".".join(version.split(".")[:2])
    yield from (Path(found) for name in ("python", "python3", f"python{minor}") if (found := shutil.which(name)))
    roots = [
        (os.environ.get(name), "Python/{}/*/bin/python3") for name in ("RUNNER_TOOL_CACHE", "AGENT_TOOLSDIRECTORY")
    ]
    pyenv = os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv")
    uv = os.environ.get("UV_PYTHON_INSTALL_DIR") or str(Path.home() / ".local" / "share" / "uv" / "python")
    for root, pattern in (*roots, (pyenv, "versions/{}/bin/python3"), (uv, "cpython-{}-*/bin/python3")):
        for each in (version, f"{version}.*"):
            yield from sorted(Path(root).glob(pattern.format(each)), reverse=True) if root else ()


def _version(python: Path) -> str:
    asked = [str(python), "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        done = subprocess.run(asked, cwd="/", capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
