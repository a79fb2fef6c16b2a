"""Environments of trainings, predictors and evaluators, made once for what is to be in them; the code beside them."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlbot.config import kinds
from mlbot.config.data import Data
from mlbot.config.predict import CommandEnvironment
from mlbot.config.schema import Config
from mlbot.config.train import TrainEnvironment
from mlbot.git.repository import Repository
from mlbot.ledger.entries import Environment
from mlbot.lib.record import Digest, Sha, canonical, digest
from mlbot.lib.tree import Tree, is_url
from mlbot.plan.content_key import LOCKS
from mlbot.storage.results import locked

_READY = "mlbot-ready"  # a file in an environment that is whole; its time is that of the last use
_MOST = 6
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
class Wanted:
    """An environment that mlbot.yaml asks for."""

    model: str
    key: str  # where it does, such as `train.environment`
    environment: TrainEnvironment | CommandEnvironment
    timeout_s: float
    read_only: bool = False  # whether it is mounted where nothing can be added to it


@dataclass(frozen=True, kw_only=True, slots=True)
class Environments:
    """The environments that commands on this machine have had."""

    folder: Path
    progress: Callable[[str], None]

    def record(self, wanted: TrainEnvironment, lock: Digest | None) -> Environment:
        """Where a training in such an environment runs, as far as mlbot.yaml and the lock decide it."""
        from mlbot.ml.train import current_environment

        python = find_python(wanted.python)
        base = current_environment(lock, str(python.parent) if python else None)
        facts = {"packages": digest(canonical(wanted.model_dump(mode="json")))}
        return base.model_copy(update=facts if python else facts | {"python": wanted.python or "unknown"})

    def prepare(self, wanted: Wanted, checkout: Path, commit: Sha, stop: threading.Event | None = None) -> Path:
        """The `bin` folder of an environment, made where it is not there yet, from the files of a checkout.

        Raises:
            NotMadeError: its Python is not on this machine, or the install command failed.
        """
        python = find_python(wanted.environment.python)
        if python is None:
            asked = f"Python {wanted.environment.python}" if wanted.environment.python else "Python"
            raise NotMadeError(
                f"there is no {asked} on this machine for {wanted.key}: install it (actions/setup-python, pyenv, uv), "
                f"or change {wanted.key}"
            )
        place = self.folder / _name(wanted, python, checkout, commit)
        with locked(self.folder / "locks" / place.name, stop=stop):
            if not (place / _READY).is_file():
                self._make(wanted, python, place, checkout, stop)
            os.utime(place / _READY)
        return place / "bin"

    def _make(self, wanted: Wanted, python: Path, place: Path, checkout: Path, stop: threading.Event | None) -> None:
        self.progress(f"{wanted.model}: making the environment of {wanted.key} ...")
        self._forget()
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(_venv(wanted, python, place), capture_output=True, text=True, check=False)
        if made.returncode:
            lines = tuple((made.stdout + made.stderr).splitlines()[-5:])
            raise NotMadeError(f"{python} cannot make an environment (python -m venv)", tail=lines)
        self._run(wanted, place, checkout, wanted.environment.install, stop)
        if wanted.read_only:
            # It is mounted read-only for another user: what is not compiled now is compiled at each call.
            self._run(wanted, place, place, _FINISH, stop)
        (place / _READY).touch()

    def _run(self, wanted: Wanted, place: Path, folder: Path, script: str, stop: threading.Event | None) -> None:
        from mlbot.ml.train import Command, Log, supervise, training_environment

        scratch = place / "scratch"
        scratch.mkdir(exist_ok=True)
        own = paths(place / "bin") | {"UV_PROJECT_ENVIRONMENT": str(place)}
        command = Command(
            arguments=["sh", "-e", "-c", script],
            folder=folder,
            environment=training_environment(os.environ, seed=0, own=own),
            timeout_s=wanted.timeout_s,
            grace_s=5.0,
            scratch=scratch,
        )
        with Log(None, self.progress, name=f"{wanted.model} environment", metrics=()) as log:
            ended = supervise(command, log.write, stop=stop)
        if ended.exit_code != 0 or ended.timed_out or ended.problem:
            after = f"took longer than {wanted.timeout_s:g} s" if ended.timed_out else "failed"
            code = f" with exit code {ended.exit_code}" if ended.exit_code and not ended.timed_out else ""
            raise NotMadeError(f"{wanted.key}.install {after}{code}", tail=log.tail)

    def _forget(self) -> None:
        """Drop the environments that were not used for longest, but for some."""
        ready = sorted(self.folder.glob(f"*/{_READY}"), key=lambda path: -path.stat().st_mtime)
        for path in ready[_MOST - 1 :]:
            if time.time() - path.stat().st_mtime > _DAY_S:  # what runs may be in use
                shutil.rmtree(path.parent, ignore_errors=True)


_PATHS = (kinds.PATH, kinds.PATH_OR_URL)


@contextmanager
def code_of(repository: Repository, commit: Sha, config: Config, files: Iterable[str] | None = None) -> Iterator[Path]:
    """The root of a commit's files as a predictor or evaluator sees them: without data, and without git's objects.

    `files` are those to be there (None: all that git tracks), seen from the folder of mlbot.yaml.
    """
    from mlbot.ml.isolation import let_all_read

    tree = repository.tree(commit)
    seen = set(tree.entries if files is None else files) - data_of(config, tree)
    with repository.worktree(commit) as checkout, repository.scratch() as scratch:
        root = scratch / "code"
        (root / repository.folder).mkdir(parents=True)
        lay_out(checkout, root / repository.folder, sorted(seen))
        let_all_read(root)
        yield root


def data_of(config: Config, tree: Tree) -> frozenset[str]:
    """The files that the sections `data` of all models name: labels are in them."""
    names = [name for name, field in Data.model_fields.items() if {*_PATHS} & {*field.metadata}]
    paths = {path for model in config.models for name in names if (path := getattr(model.data, name))}
    return frozenset(file for path in paths if not is_url(path) for file in tree.match(path))


def lay_out(source: Path, target: Path, paths: Iterable[str]) -> None:
    """Put files of a checkout into another folder on the same disk, each at its own path; links stay links."""
    for path in paths:
        here, there = source / path, target / path
        there.parent.mkdir(parents=True, exist_ok=True)
        if here.is_dir() and not here.is_symlink():  # a submodule
            shutil.copytree(here, there, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(here, there, follow_symlinks=False)


_DAY_S = 24 * 60 * 60


def paths(bin_folder: Path) -> dict[str, str]:
    """The variables that make a process use an environment."""
    path = os.pathsep.join((str(bin_folder), os.environ.get("PATH", os.defpath)))
    return {"PATH": path, "VIRTUAL_ENV": str(bin_folder.parent)}


_FINISH = "python -I -m compileall -q -j 0 lib >/dev/null 2>&1 || true; chmod -R a+rX ."


def _venv(wanted: Wanted, python: Path, place: Path) -> list[str]:
    """The command that makes an empty environment: uv's, which needs a 30th of the time, where only uv installs."""
    uv = shutil.which("uv")
    if uv and re.search(r"\buv\b", wanted.environment.install) and not _PIP.search(wanted.environment.install):
        return [uv, "venv", "--quiet", "--no-project", "--python", str(python), str(place)]
    return [str(python), "-I", "-m", "venv", str(place)]


_PIP = re.compile(r"(?<!uv )\bpip\b")


def _name(wanted: Wanted, python: Path, checkout: Path, commit: Sha) -> str:
    """A name for all that decides what is in an environment."""
    install = wanted.environment.install
    patterns = (*LOCKS, *_PROJECT_FILES)
    words = {word for word in re.split(r"[\s=]+", install) if word and not word.startswith(("/", "-"))}
    files = {path for pattern in patterns for path in checkout.glob(pattern)} | {checkout / word for word in words}
    read = {
        str(path.relative_to(checkout)): digest(path.read_bytes())
        for path in sorted(files)
        if path.is_file() and path.resolve().is_relative_to(checkout.resolve())
    }
    facts: dict[str, object] = {"install": install, "python": str(python), "version": version_of(python), "files": read}
    facts |= {"commit": commit} if _PROJECT.search(install) else {}
    facts |= {"read_only": True} if wanted.read_only else {}
    return digest(canonical(facts)).removeprefix("sha256:")[:20]


def find_python(version: str | None) -> Path | None:
    """A Python of that version on this machine; of any, the first one on the PATH."""
    from mlbot.ml.train import training_python

    if version is None:
        found = training_python(os.environ.get("PATH", os.defpath))
        if found and version_of(Path(found)):  # pyenv's is there without one that it would start
            return Path(found)
        return next(filter(version_of, _candidates("3")), None)
    return next((path for path in _candidates(version) if f"{version_of(path)}.".startswith(f"{version}.")), None)


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


def version_of(python: Path) -> str:
    """Which Python an interpreter is; empty where it does not start."""
    asked = [str(python), "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        done = subprocess.run(asked, cwd="/", capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
