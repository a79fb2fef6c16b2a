"""The set-up action, for real: mlbot from its own checkout, hash-locked, into an environment of its own."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.support import releases, tiny
from tests.support.git_samples import Sandbox

from mlbot import __version__
from mlbot.errors import Exit

ROOT = Path(__file__).parents[2]
SETS = ("bot", "train", "judge", "charts", "metrics", "deploy", "http", "s3", "gcs", "azure", "hf")
INSTALL_IT = "  Install it: pip install 'mlbot-ci[ml]'\n"
MOST_BYTES = 55_000_000
"""CML takes 51 MB, and Node."""


def install(tmp_path: Path, *sets: str, cwd: Path | None = None, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "UV_", "GITHUB_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_PATH": str(tmp_path / "path"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_SERVER_URL": "https://acme.ghe.com",
        "RUNNER_TEMP": str(tmp_path),
        "RUNNER_OS": "Linux",
    }
    script = changed.pop("script", str(ROOT / "actions" / "setup" / "install.sh"))
    command = ["bash", script, *sets]
    return subprocess.run(
        command, env=environment | changed, cwd=cwd, capture_output=True, text=True, check=False, timeout=280
    )


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


@pytest.mark.nightly
def test_the_sets_are_installed_from_the_index(tmp_path: Path) -> None:
    """As a job does it: the bot first, and what judges once there is something to judge."""
    done = install(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"mlbot {__version__}"
    assert (tmp_path / "output").read_text() == f"mlbot={tmp_path}/mlbot/bin/mlbot\n"
    assert not (tmp_path / "path").exists()
    (packages,) = (tmp_path / "mlbot" / "lib").glob("python*/site-packages")
    assert sum(path.stat().st_size for path in files(packages)) < MOST_BYTES
    mlbot = str(tmp_path / "mlbot" / "bin" / "mlbot")
    for arguments in (["judge", "x.onnx"], ["run"], ["demo"]):
        said = subprocess.run([mlbot, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert said.returncode == Exit.USAGE
        assert INSTALL_IT in said.stderr
    added = install(tmp_path, EXTRAS="judge charts")
    assert added.returncode == 0, added.stderr
    assert {"numpy", "onnxruntime", "polars", "altair"} <= {path.name for path in packages.iterdir()}
    assert not {"sklearn", "skl2onnx"} & {path.name for path in packages.iterdir()}
    said = subprocess.run([mlbot, "judge", "x.onnx"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Install it" not in said.stderr


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["train", "judge s3", "gcs", "azure"])
def test_each_other_set_is_installed_from_the_index(tmp_path: Path, name: str) -> None:
    done = install(tmp_path, *name.split())
    assert done.returncode == 0, done.stderr


HOSTILE = (
    *("pip", "venv", "ensurepip", "uv", "logging", "json", "re", "os", "encodings", "sysconfig", "subprocess"),
    *("sitecustomize", "usercustomize", "mlbot", "click", "pydantic", "yaml"),
)
"""Modules that a stranger puts into the root of the checkout, where `python3 -m` and PYTHONPATH find them."""

PROGRAM = """
import json, logging, os, re, subprocess, sys
from importlib.util import find_spec

def main():
    print("mlbot", sys.flags.isolated, find_spec("set_judge") is not None, *sys.argv[1:])
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


def wheel(folder: Path, name: str, files: Mapping[str, Path | bytes]) -> str:
    """Make a wheel; the line of a lock that names it with its hash."""
    about = f"{name}-1.dist-info"
    told = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content = {**files, **told, f"{about}/RECORD": "".join(f"{path},,\n" for path in (*files, *told)).encode()}
    folder.mkdir(exist_ok=True)
    made = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, each in content.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, each if isinstance(each, bytes) else each.read_bytes())
    return f"{name}==1 --hash=sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action beside sets of one small wheel each, and the real uv: no index is asked."""
    source = tmp_path_factory.mktemp("source")
    (source / "requirements").mkdir()
    sets = {name: wheel(source / "wheels", f"set_{name}", {f"set_{name}.py": b""}) for name in ("bot", "judge")}
    uv = distribution("uv")
    (program,) = [
        Path(str(path.locate())) for path in uv.files or () if path.name == "uv" and path.parent.name == "bin"
    ]
    sets["uv"] = wheel(source / "wheels", "uv", {"uv-1.data/scripts/uv": program})
    for name, lock in sets.items():
        (source / "requirements" / f"{name}.txt").write_text(lock)
    package = source / "src" / "mlbot"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "entry.py").write_text(PROGRAM)
    path = source / "actions" / "setup"
    path.mkdir(parents=True)
    return Path(shutil.copy(ROOT / "actions" / "setup" / "install.sh", path))


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
        "UV_PYTHON": "2.7",
        "UV_PROJECT": str(checkout),
        "VIRTUAL_ENV": str(checkout),
        "PATH": f":{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # an empty part: the working folder
    }


@pytest.mark.parametrize("config", ["pip.conf", "{checkout}/pip.conf"])
def test_nothing_of_the_checkout_runs_while_mlbot_is_set_up_or_called(
    tmp_path: Path, checkout: Path, script: Path, config: str
) -> None:
    hostile = settings_of_the_checkout(checkout) | {"PIP_CONFIG_FILE": config.format(checkout=checkout)}
    given = {"script": str(script), "WHEELS": str(script.parents[2] / "wheels"), **hostile}
    done = install(tmp_path, cwd=checkout, **given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "mlbot 1 False --version"
    added = install(tmp_path, "judge", cwd=checkout, **given)
    assert added.stdout.splitlines()[-1] == "mlbot 1 True --version", added.stderr
    one, again = (tmp_path / "output").read_text().splitlines()
    assert one == again
    mlbot = one.removeprefix("mlbot=")
    assert Path(mlbot).is_absolute()
    given = os.environ | hostile
    called = subprocess.run([mlbot, "ci", "a b"], cwd=checkout, env=given, capture_output=True, text=True, check=False)
    assert (called.stdout, called.returncode) == ("mlbot 1 True ci a b\n", 0), called.stderr
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert not (tmp_path / "path").exists()
    assert not (checkout / "hostile").exists()
    assert not {path.name for path in checkout.iterdir()} & {".venv", "__pycache__"}


def test_a_package_of_another_hash_is_refused(tmp_path: Path, script: Path) -> None:
    wheels = tmp_path / "other"
    shutil.copytree(script.parents[2] / "wheels", wheels)
    wheel(wheels, "set_bot", {"set_bot.py": b"evil = True\n"})
    done = install(tmp_path, script=str(script), WHEELS=str(wheels))
    assert done.returncode != 0
    assert "set-bot" in done.stderr
    assert "Hash mismatch" in done.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"RUNNER_OS": "Windows"}, "mlbot runs on Linux and macOS; on Windows use WSL."),
        ({"GITHUB_SERVER_URL": "https://github.acme.example"}, "mlbot needs github.com or GHE.com. GitHub Enterprise"),
        ({"GITHUB_SERVER_URL": "https://github.com.evil.example"}, "mlbot needs github.com or GHE.com."),
        ({"GITHUB_SERVER_URL": "http://acme.ghe.com"}, "mlbot needs github.com or GHE.com."),
        ({"RUNNER_OS": "macOS", "RUNNER_ARCH": "X64"}, "mlbot has no packages for Macs with an Intel processor;"),
        (
            {"EXTRAS": "gpu"},
            "mlbot has no set 'gpu'; write bot, train, judge, charts, metrics, deploy, http, s3, gcs, azure or hf.",
        ),
        ({"EXTRAS": "judge ../../x"}, "mlbot has no set '../../x';"),
    ],
)
def test_where_it_cannot_run_it_says_so_in_one_sentence(tmp_path: Path, given: dict[str, str], said: str) -> None:
    done = install(tmp_path, cwd=None, **given)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith(f"::error::{said}")
    assert done.stdout.count("\n") == 1
    assert not (tmp_path / "mlbot-uv").exists()


def test_an_older_python_is_refused_in_one_sentence(tmp_path: Path, script: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 15))):
        (old / name).write_text('#!/bin/sh\ncase "$2" in --version) echo Python 3.9.2;; *) exit 1;; esac\n')
        (old / name).chmod(0o755)
    for name in ("bash", "dirname"):
        (old / name).symlink_to(str(shutil.which(name)))
    text = script.read_text(encoding="utf-8").replace("/usr/bin/python3", "/nowhere/python3")
    changed = Path(shutil.copytree(script.parents[2], tmp_path / "source")) / "actions" / "setup" / "install.sh"
    changed.write_text(text, encoding="utf-8")
    done = install(tmp_path, script=str(changed), PATH=str(old))
    assert done.returncode == 2
    assert "::error::mlbot needs Python 3.11 or newer with pip; this runner has Python 3.9.2." in done.stdout


def test_the_python_of_a_training_need_not_be_mlbots(tmp_path: Path, script: Path) -> None:
    """actions/setup-python has put an old one first; the runner's tool cache has newer ones."""
    old, known = tmp_path / "old", tmp_path / "tools" / "Python" / "3.11.9" / "x64" / "bin"
    old.mkdir()
    known.mkdir(parents=True)
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 15))):
        (old / name).write_text("#!/bin/sh\nexit 1\n")
        (old / name).chmod(0o755)
    (known / "python3").write_text(f'#!/bin/sh\necho found > "{tmp_path}/found"\nexec "{sys.executable}" "$@"\n')
    (known / "python3").chmod(0o755)
    text = script.read_text(encoding="utf-8").replace("/usr/bin/python3", "/nowhere/python3")
    changed = Path(shutil.copytree(script.parents[2], tmp_path / "source")) / "actions" / "setup" / "install.sh"
    changed.write_text(text, encoding="utf-8")
    wheels = str(script.parents[2] / "wheels")
    path = f"{old}{os.pathsep}{os.environ['PATH']}"
    tools = str(tmp_path / "tools")
    done = install(tmp_path, script=str(changed), PATH=path, WHEELS=wheels, RUNNER_TOOL_CACHE=tools)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "found").exists()


def test_locks_have_hashes_and_no_addresses() -> None:
    for name in (*SETS, "uv", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        assert not re.search(r"://|--(?:extra-)?index|--find-links", text)
        pins = re.findall(r"(?m)^[a-z0-9][^\n]*==[^\n]*\\\n    --hash=sha256:", text)
        assert len(pins) == len(re.findall(r"(?m)^[^\s#]", text)), name


def test_sets_that_are_installed_together_agree() -> None:
    """A set that is added never changes the version of a package that is there."""
    for name in SETS:
        for each, pins in pinned(name).items():
            for other in SETS:
                assert pinned(other).get(each, pins) == pins, (each, name, other)


ALONE = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

owners = {name: {each.lower().replace('_', '-') for each in those} for name, those in packages_distributions().items()}
given = {"mlbot", "mlbot-ci", *sys.argv[1].split()}

class Given(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        owned = owners.get(name.partition(".")[0], given)
        return super().find_spec(name, path, target) if owned & given else None

sys.meta_path[sys.meta_path.index(PathFinder)] = Given
from mlbot import entry
for arguments in sys.argv[2:]:
    print(entry.invoke(arguments.split()), flush=True)
"""
"""mlbot with the packages of a list and no others, though more are installed."""


@cache
def pinned(name: str) -> Mapping[str, tuple[str, ...]]:
    """The pins of each package in a set's lock: its version, or one a kind of machine."""
    lock = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pins: dict[str, tuple[str, ...]] = {}
    for line in re.findall(r"(?m)^[a-z0-9][^\\\n]*", lock):
        package = Requirement(line).name
        pins[package] = (*pins.get(package, ()), line.strip())
    return pins


def locked(name: str) -> list[str]:
    """The packages of a set that this machine needs."""
    found = (Requirement(line) for lines in pinned(name).values() for line in lines)
    return [each.name for each in found if each.marker is None or each.marker.evaluate()]


def alone(name: str, *calls: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ALONE, " ".join(locked(name)), *calls]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)


def test_what_the_bot_installs_is_small() -> None:
    every = [path for name in locked("bot") for path in distribution(name).files or () if path.suffix != ".pyc"]
    assert sum(Path(str(path.locate())).stat().st_size for path in every) < MOST_BYTES


def test_the_bot_runs_with_what_it_installs() -> None:
    assert "numpy" not in locked("bot")
    done = alone("bot", "--version", "judge x.onnx", "run", "demo")
    assert done.stdout.split() == ["mlbot", __version__, "0", *[str(int(Exit.USAGE))] * 3]
    assert done.stderr.count(INSTALL_IT) == 3


def test_a_training_needs_four_packages(sandbox: Sandbox) -> None:
    asked = {"click", "jinja2", "pydantic", "pyyaml"}
    assert asked < {*locked("train")} < {*locked("bot")}
    assert not {*locked("train")} & {"requests", "pygithub", "numpy", "onnx"}
    sandbox.commit({"mlbot.yaml": CONFIG, "data/holdout.csv": "x,y\n1,0\n2,1\n"})
    done = alone("train", "train --model tiny --base HEAD --seed 0", "--version", cwd=sandbox.path)
    assert done.stdout.splitlines()[1:] == ["0", f"mlbot {__version__}", "0"], done.stderr
    assert done.stdout.startswith("tiny seed 0: trained in ")


@pytest.mark.usefixtures("git_settings")
def test_a_judge_needs_nothing_that_exports_or_draws(tmp_path: Path) -> None:
    assert not {*locked("judge")} & {"scikit-learn", "skl2onnx", "altair", "vl-convert-python"}
    model = tmp_path / "model.onnx"
    model.write_bytes(releases.train(tmp_path / "trained", 0)[0])
    done = alone("judge", f"judge {model} --json", cwd=tiny.repository(tmp_path / "tiny").path)
    assert done.stdout.splitlines()[-1] == str(int(Exit.INCONCLUSIVE)), done.stderr
    assert '"roc_auc"' in done.stdout


CONFIG = """
version: 1
models:
  tiny:
    task: binary
    train: {run: printf m > "$MLBOT_MODEL"}
    data: {holdout: data/holdout.csv, target: y}
    gates: {roc_auc: {min: 0.5}}
"""
