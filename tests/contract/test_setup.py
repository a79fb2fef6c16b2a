"""The set-up action, for real: mlbot from its own checkout, hash-locked, into an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbot import __version__
from mlbot.errors import Exit

ROOT = Path(__file__).parents[2]
MOST_BYTES = 45_000_000
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


@pytest.mark.slow
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


def test_an_unknown_extra_is_refused_with_the_hint(tmp_path: Path) -> None:
    done = install(tmp_path, EXTRAS="gpu")
    assert done.returncode == 2
    assert "::error::mlbot has no extra 'gpu'; write 'ml' or 'deploy', or leave it out." in done.stdout
