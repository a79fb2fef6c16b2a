"""The set-up action, for real: mlbot from its own checkout, hash-locked, into an environment of its own."""

import os
import re
import shutil
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


def install(tmp_path: Path, cwd: Path | None = None, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_ACTION_PATH": str(ROOT / "actions" / "setup"),
        "GITHUB_PATH": str(tmp_path / "path"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "RUNNER_TEMP": str(tmp_path),
        "EXTRAS": "",
        "WHEELS": "",
        "ON_PATH": "false",
    }
    environment.pop("PYTHONPATH", None)
    environment |= changed
    command = ["bash", str(Path(environment["GITHUB_ACTION_PATH"]) / "install.sh")]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


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
    assert (tmp_path / "output").read_text() == f"mlbot={tmp_path}/mlbot/bin/mlbot\n"
    assert not (tmp_path / "path").exists()
    (packages,) = (tmp_path / "mlbot" / "lib").glob("python*/site-packages")
    assert sum(path.stat().st_size for path in files(packages)) < MOST_BYTES
    assert not (packages / "numpy").exists()
    mlbot = str(tmp_path / "mlbot" / "bin" / "mlbot")
    for arguments in (["judge", "x.onnx"], ["run"], ["demo"]):
        said = subprocess.run([mlbot, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert said.returncode == Exit.USAGE
        assert said.stderr.splitlines()[1:] == ["  Install it: pip install 'mlbot-ci[ml]'"]


HOSTILE = (
    *("pip", "venv", "ensurepip", "uv", "logging", "json", "re", "os", "encodings", "sysconfig", "subprocess"),
    *("sitecustomize", "usercustomize", "mlbot", "click", "pydantic", "yaml"),
)
"""Modules that a stranger puts into the root of the checkout, where `python3 -m` and PYTHONPATH find them."""

PROGRAM = """
import json, logging, os, re, subprocess, sys

def main():
    print("mlbot", sys.flags.isolated, *sys.argv[1:])
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which every file that could be run, or read as a setting, leaves a mark."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    mark = tmp_path / "ran"
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r} + '\\n')\n")
    for name in ("python3", "python", "pip", "uv", "mlbot"):
        (folder / name).write_text(f'#!/bin/sh\necho {name} >> "{mark}"\n')
        (folder / name).chmod(0o755)
    (folder / "pip.conf").write_text(
        "[global]\nno-such-option = 1\ntarget = hostile\nindex-url = https://evil.invalid/\n"
    )
    (folder / "uv.toml").write_text("no such setting\n")
    (folder / "pyvenv.cfg").write_text("home = /nowhere\n")
    (folder / ".python-version").write_text("2.7\n")
    (folder / "pyproject.toml").write_text("no TOML")
    return folder


@pytest.fixture
def action(tmp_path: Path) -> Path:
    """The action in a checkout of mlbot that needs no packages, so that no index is asked."""
    path = tmp_path / "source" / "actions" / "setup"
    path.mkdir(parents=True)
    shutil.copy(ROOT / "actions" / "setup" / "install.sh", path)
    (tmp_path / "source" / "requirements").mkdir()
    (tmp_path / "source" / "requirements" / "bot.txt").write_text("")
    package = tmp_path / "source" / "src" / "mlbot"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "entry.py").write_text(PROGRAM)
    return path


def settings_of_the_checkout(checkout: Path) -> dict[str, str]:
    return {
        "GITHUB_WORKSPACE": str(checkout),
        "PYTHONPATH": f".:{checkout}",
        "PYTHONSTARTUP": str(checkout / "sitecustomize.py"),
        "PYTHONUSERBASE": str(checkout),
        "PYTHONWARNINGS": "error::logging.Oops",
        "PIP_TARGET": "hostile",
        "PIP_REQUIREMENT": "pip.conf",
        "UV_CONFIG_FILE": "uv.toml",
        "PATH": f":{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # an empty part: the working folder
    }


@pytest.mark.parametrize("config", ["pip.conf", "{checkout}/pip.conf"])
def test_nothing_of_the_checkout_runs_while_mlbot_is_set_up(
    tmp_path: Path, checkout: Path, action: Path, config: str
) -> None:
    given = {"GITHUB_ACTION_PATH": str(action), "PIP_CONFIG_FILE": config.format(checkout=checkout)}
    done = install(tmp_path, checkout, **settings_of_the_checkout(checkout), **given)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert done.stdout.splitlines()[-1] == "mlbot 1 --version"
    assert not (checkout / "hostile").exists()


def test_the_program_runs_nothing_of_the_folder_that_it_is_called_in(
    tmp_path: Path, checkout: Path, action: Path
) -> None:
    assert install(tmp_path, GITHUB_ACTION_PATH=str(action)).returncode == 0
    (line,) = (tmp_path / "output").read_text().splitlines()
    mlbot = line.removeprefix("mlbot=")
    assert Path(mlbot).is_absolute()
    given = os.environ | settings_of_the_checkout(checkout)
    done = subprocess.run([mlbot, "ci", "a b"], cwd=checkout, env=given, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("mlbot 1 ci a b\n", 0), done.stderr
    assert not (tmp_path / "ran").exists()


def test_mlbot_is_on_the_path_only_where_a_job_asks_for_it(tmp_path: Path, action: Path) -> None:
    assert install(tmp_path, GITHUB_ACTION_PATH=str(action)).returncode == 0
    assert not (tmp_path / "path").exists()
    assert install(tmp_path, GITHUB_ACTION_PATH=str(action), ON_PATH="true").returncode == 0
    assert (tmp_path / "path").read_text() == f"{tmp_path}/mlbot/bin\n"


def test_an_older_python_is_refused_in_one_sentence(tmp_path: Path, action: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "python3").write_text('#!/bin/sh\ncase "$2" in --version) echo Python 3.9.2;; *) exit 1;; esac\n')
    (old / "python3").chmod(0o755)
    done = install(tmp_path, GITHUB_ACTION_PATH=str(action), PATH=f"{old}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 2
    assert "::error::mlbot needs Python 3.11 or newer; this runner has Python 3.9.2." in done.stdout


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
    assert done.stderr.count("  Install it: pip install 'mlbot-ci[ml]'\n") == 3


def test_an_unknown_extra_is_refused_with_the_hint(tmp_path: Path) -> None:
    done = install(tmp_path, EXTRAS="gpu")
    assert done.returncode == 2
    assert "::error::mlbot has no extra 'gpu'; write 'ml' or 'deploy', or leave it out." in done.stdout
