"""Pythons that have packages which the developers' lock lacks: this machine's, or at night one made from a lock."""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

import pytest
from tests.support import tiers

ROOT = Path(__file__).parents[2]
_LONGEST_S = 900


class NotInstalledError(Exception):
    """A lock cannot be installed here; says why."""


def locked(name: str) -> Path:
    """The programs of `requirements/NAME.txt` in an environment of its own, made by whoever asks first; others wait.

    Raises:
        NotInstalledError: if pip cannot fetch it.
    """
    lock_file = ROOT / "requirements" / f"{name}.txt"
    if not lock_file.is_file():
        raise NotInstalledError(f"there is no {lock_file.name} beside these tests")
    folder = ROOT / ".venvs" / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, ready = lock_file.read_text(encoding="utf-8"), folder / ".ready"
        if not ready.is_file() or ready.read_text(encoding="utf-8") != wanted:
            _install(folder, lock_file)
            ready.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def _install(folder: Path, lock_file: Path) -> None:
    venv.create(folder, clear=False, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--retries=1"]
    command = [*pip, "--require-hashes", "--requirement", str(lock_file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise NotInstalledError(f"pip took longer than {_LONGEST_S} s") from error
    if done.returncode != 0:
        raise NotInstalledError(f"pip could not install it: {done.stderr.strip()[-500:]}")


@cache
def python_with(modules: str) -> Path:
    """The folder of a Python that has modules; the test is skipped where there is none.

    At night `requirements/frameworks.txt` is installed for those that no Python on the PATH has.
    """
    known = [shutil.which("python", path=folder) for folder in os.get_exec_path()]
    for python in dict.fromkeys([*filter(None, known), sys.executable]):
        if _has(python, modules):
            return Path(python).parent
    missing = f"no Python on the PATH has {modules}"
    if not tiers.NIGHTLY:
        pytest.skip(missing)
    try:
        folder = locked("frameworks")
    except NotInstalledError as error:
        pytest.skip(f"{missing}, and {error}")
    if not _has(str(folder / "python"), modules):
        pytest.skip(f"{missing}, and requirements/frameworks.in neither")
    return folder


def _has(python: str, modules: str) -> bool:
    wanted = f"import {', '.join(modules.split())}"
    return subprocess.run([python, "-c", wanted], capture_output=True, check=False).returncode == 0
