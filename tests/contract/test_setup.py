"""The set-up action, for real: mlbot from its own checkout, hash-locked, into an environment of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mlbot import __version__
from mlbot.errors import Exit

ROOT = Path(__file__).parents[2]
MOST_BYTES = 55_000_000
"""CML takes 51 MB, and Node."""


def install(tmp_path: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_ACTION_PATH": str(ROOT / "actions" / "setup"),
        "GITHUB_PATH": str(tmp_path / "path"),
        "RUNNER_TEMP": str(tmp_path),
        "EXTRAS": "",
        "WHEELS": "",
    }
    environment.pop("PYTHONPATH", None)
    command = ["bash", str(ROOT / "actions/setup/install.sh")]
    return subprocess.run(command, env=environment | changed, capture_output=True, text=True, check=False, timeout=280)


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


@pytest.mark.nightly
def test_the_bot_is_small_and_needs_nothing_else(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    lock = ROOT / "requirements" / "bot.txt"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--requirement", str(lock)]
    subprocess.run([*download, "--dest", str(wheels)], check=True, capture_output=True, timeout=280)
    done = install(tmp_path, WHEELS=str(wheels), PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"mlbot {__version__}"
    assert (tmp_path / "path").read_text() == f"{tmp_path}/mlbot/bin\n"
    (packages,) = (tmp_path / "mlbot" / "lib").glob("python*/site-packages")
    assert sum(path.stat().st_size for path in files(packages)) < MOST_BYTES
    assert not (packages / "numpy").exists()
    mlbot = str(tmp_path / "mlbot" / "bin" / "mlbot")
    for arguments in (["judge", "x.onnx"], ["run"], ["demo"]):
        said = subprocess.run([mlbot, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert said.returncode == Exit.USAGE
        assert said.stderr.splitlines()[1:] == ["  Install it: pip install 'mlbot[ml]'"]


ALONE = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

owners = {name: {each.lower().replace('_', '-') for each in those} for name, those in packages_distributions().items()}
given = {"mlbot", *sys.argv[1].split()}

class Given(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        owned = owners.get(name.partition(".")[0], given)
        return super().find_spec(name, path, target) if owned & given else None

sys.meta_path[sys.meta_path.index(PathFinder)] = Given
from mlbot import entry
for arguments in (["--version"], ["judge", "x.onnx"], ["run"], ["demo"]):
    print(entry.invoke(arguments), flush=True)
"""
"""mlbot with the packages of a list and no others, though more are installed."""


def locked() -> list[str]:
    """The packages of the bot's lock that this machine needs."""
    lock = (ROOT / "requirements" / "bot.txt").read_text(encoding="utf-8")
    found = (Requirement(line.rstrip(" \\")) for line in lock.splitlines() if re.match(r"[a-z0-9]", line))
    return [each.name for each in found if each.marker is None or each.marker.evaluate()]


def test_what_the_bot_installs_is_small() -> None:
    every = [path for name in locked() for path in distribution(name).files or () if path.suffix != ".pyc"]
    assert sum(Path(str(path.locate())).stat().st_size for path in every) < MOST_BYTES


def test_the_bot_runs_with_what_it_installs() -> None:
    assert "numpy" not in locked()
    command = [sys.executable, "-c", ALONE, " ".join(locked())]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["mlbot", __version__, "0", *[str(int(Exit.USAGE))] * 3]
    assert done.stderr.count("  Install it: pip install 'mlbot[ml]'\n") == 3


def test_an_unknown_extra_is_refused_with_the_hint(tmp_path: Path) -> None:
    done = install(tmp_path, EXTRAS="gpu")
    assert done.returncode == 2
    assert "::error::mlbot has no extra 'gpu'; write 'ml' or 'deploy', or leave it out." in done.stdout
