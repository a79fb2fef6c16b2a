"""GTO itself, in an environment of its own: it reads the tags that mlbot makes. `make gto` installs it."""

import fcntl
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from mlbot.git.tags import read_tags
from mlbot.registry.tags import Registry

ROOT = Path(__file__).parents[2]
LOCK_FILE = ROOT / "requirements" / "gto.txt"
_LONGEST_S = 600


class NoGtoError(Exception):
    """It cannot be installed here; says why."""


def find_gto() -> Path:
    """The command, installed from the lock file by whoever asks first; others wait.

    Raises:
        NoGtoError: if pip cannot fetch it.
    """
    if not LOCK_FILE.is_file():
        raise NoGtoError(f"there is no {LOCK_FILE.name} beside these tests")
    folder = ROOT / ".venvs" / "gto"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, ready = LOCK_FILE.read_text(encoding="utf-8"), folder / ".ready"
        if not ready.is_file() or ready.read_text(encoding="utf-8") != wanted:
            _install(folder)
            ready.write_text(wanted, encoding="utf-8")
    return folder / "bin" / "gto"


def _install(folder: Path) -> None:
    venv.create(folder, clear=False, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--retries=1"]
    command = [*pip, "--require-hashes", "--requirement", str(LOCK_FILE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise NoGtoError(f"pip took longer than {_LONGEST_S} s") from error
    if done.returncode != 0:
        raise NoGtoError(f"pip could not install it: {done.stderr.strip()[-500:]}")


def environment() -> dict[str, str]:
    """Variables to run it with: it tells nobody, and colours nothing."""
    return {**os.environ, "DVC_NO_ANALYTICS": "1", "GTO_DISABLE_TELEMETRY": "1", "ITERATIVE_DO_NOT_TRACK": "1"}


def theirs(gto: Path, repository: Path) -> dict[str, Any]:
    """What GTO shows: by model its latest version and what is in each stage."""
    done = subprocess.run(
        [str(gto), "show", "--json", "--repo", str(repository)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    shown = json.loads(done.stdout)
    return {
        name: (model["version"], {stage: version for stage, version in model["stage"].items() if version})
        for name, model in shown.items()
    }


def ours(repository: Path) -> dict[str, Any]:
    """The same by mlbot's reading of the tags; deprecated models are left out, as GTO leaves them out."""
    registry = Registry.of(read_tags(repository))
    found = {}
    for name, model in registry.models.items():
        current = {stage: model.current(stage) for stage in model.environments}
        stages = {stage: str(said.version or said.commit) for stage, said in current.items() if said}
        if model.deprecated is None:
            found[name] = (str(model.latest.version) if model.latest else None, stages)
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{find_gto()}\n")
