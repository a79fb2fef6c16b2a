"""GTO itself, in an environment of its own: it reads the tags that mlbot makes. `make gto` installs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import pythons

from mlbot.git.tags import read_tags
from mlbot.registry.tags import Registry


def find_gto() -> Path:
    """The command; raises `NotInstalledError` where its lock cannot be installed."""
    return pythons.locked("gto") / "gto"


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
