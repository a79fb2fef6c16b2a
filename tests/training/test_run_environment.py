"""Environments of `train.environment`: made with real processes, by a Python that makes them in no time."""

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support import config_texts as texts
from tests.support.git_samples import Sandbox
from tests.support.training_samples import COMMIT

from mlbot.config.schema import parse_config
from mlbot.config.train import TrainEnvironment
from mlbot.config.yaml import load
from mlbot.entry import invoke
from mlbot.errors import Exit
from mlbot.gates.metric import Task
from mlbot.git.repository import Repository
from mlbot.lib.record import canonical, digest
from mlbot.plan.content_key import Inputs
from mlbot.training.run_environment import Environments, NotMadeError, Wanted, code_of, find_python

MAKES = f"""#!/bin/sh
if [ "$1 $2 $3" = "-I -m venv" ]; then
  mkdir -p "$4/bin"
  printf '#!/bin/sh\\nexec "{sys.executable}" "$@"\\n' > "$4/bin/python"
  chmod +x "$4/bin/python"
  exit 0
fi
exec "{sys.executable}" "$@"
"""
"""A Python whose `-m venv` makes one in looks only."""


@pytest.fixture(autouse=True)
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """It is the first one on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").write_text(MAKES)
    (folder / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "python"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "requirements.txt").write_text("numpy\n")
    return folder


def environments(tmp_path: Path, said: list[str] | None = None) -> Environments:
    return Environments(folder=tmp_path / "environments", progress=(said if said is not None else []).append)


def prepared(tmp_path: Path, checkout: Path, install: str = "echo installing", **changed: Any) -> Path:
    environment = TrainEnvironment(install=install, python=changed.pop("python", None))
    said, commit = changed.pop("said", None), changed.pop("commit", COMMIT)
    wanted = Wanted(model="adult-income", key="train.environment", environment=environment, timeout_s=60, **changed)
    return environments(tmp_path, said).prepare(wanted, checkout, commit)


def test_an_environment_is_made_once_and_comes_first_where_it_installs(tmp_path: Path, checkout: Path) -> None:
    said: list[str] = []
    given_file, times = tmp_path / "given.txt", tmp_path / "times.txt"
    install = f'env | grep -E "^(PATH|VIRTUAL_ENV|UV_PROJECT_ENVIRONMENT)=" > {given_file}; pwd >> {times}'
    place = prepared(tmp_path, checkout, install, said=said)
    assert prepared(tmp_path, checkout, install) == place
    assert times.read_text() == f"{checkout}\n"
    given = dict(line.split("=", 1) for line in given_file.read_text().splitlines())
    assert given["PATH"].split(os.pathsep)[0] == str(place)
    assert given["VIRTUAL_ENV"] == given["UV_PROJECT_ENVIRONMENT"] == str(place.parent)
    assert said == ["adult-income: making the environment of train.environment ..."]


@pytest.mark.parametrize(
    ("install", "change", "again"),
    [
        ("pip install -r requirements.txt || true", {"requirements.txt": "scipy\n"}, True),
        ("pip install -r more.list || true", {"more.list": "scipy\n"}, True),
        ("pip install -r requirements.txt || true", {"train.py": "x"}, False),
        ("echo . || true", {"commit": "d" * 40}, True),
        ("poetry install || true", {"commit": "d" * 40}, True),
        ("echo nothing", {"commit": "d" * 40}, False),
    ],
)
def test_what_is_in_it_decides_whether_it_is_made_again(
    tmp_path: Path, checkout: Path, install: str, change: Mapping[str, str], *, again: bool
) -> None:
    before = prepared(tmp_path, checkout, install)
    commit = change.get("commit", COMMIT)
    for name, text in change.items():
        (checkout / name).write_text(text)
    assert (prepared(tmp_path, checkout, install, commit=commit) != before) is again


@pytest.mark.parametrize(
    ("install", "message", "tail"),
    [
        ("echo no such package; exit 7", "train.environment.install failed with exit code 7", ("no such package",)),
        ("false; true", "train.environment.install failed with exit code 1", ()),
    ],
)
def test_an_install_that_fails_says_so_and_is_tried_again(
    tmp_path: Path, checkout: Path, install: str, message: str, tail: tuple[str, ...]
) -> None:
    for _ in range(2):
        with pytest.raises(NotMadeError, match=message) as caught:
            prepared(tmp_path, checkout, f"echo x >> times.txt; {install}")
        assert caught.value.tail == tail
    assert (checkout / "times.txt").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("install", "program"),
    [
        ("uv pip install -r serve.txt", "uv"),
        ("uv sync --frozen", "uv"),
        ("pip install -r serve.txt", "python"),
        ("pip install uv && uv pip install -r serve.txt", "python"),
    ],
)
def test_uv_makes_an_environment_where_it_alone_installs(
    tmp_path: Path, python: Path, checkout: Path, install: str, program: str
) -> None:
    """What uv makes has no pip."""
    asked = tmp_path / "asked.txt"
    for name, text in (("uv", "#!/bin/sh\n"), ("python", python.read_text().removeprefix("#!/bin/sh\n"))):
        folder = '[ "$1" = venv ] && mkdir -p "$6/bin"\n' if name == "uv" else ""
        (python.parent / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {asked}\n{folder}{text}')
        (python.parent / name).chmod(0o755)
    with suppress(NotMadeError):  # there is no pip here that would install
        prepared(tmp_path, checkout, install)
    makes = [line for line in asked.read_text().splitlines() if " venv " in line]
    assert [line.split()[0] for line in makes] == [program]


def test_one_to_mount_read_only_is_compiled_and_open_to_any_user(tmp_path: Path, checkout: Path) -> None:
    install = """umask 077; mkdir "$VIRTUAL_ENV/lib"; echo 'x = 1' > "$VIRTUAL_ENV/lib/one.py" """
    place = prepared(tmp_path, checkout, install, read_only=True).parent
    assert [each.suffix for each in (place / "lib" / "__pycache__").iterdir()] == [".pyc"]
    assert all(each.stat().st_mode & 0o004 for each in (place / "lib").rglob("*"))
    assert prepared(tmp_path, checkout, install).parent != place


def test_a_python_that_does_not_start_is_passed_over(
    tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "pyenv" / "versions" / "3.11.9" / "bin"
    known.mkdir(parents=True)
    shutil.copy(python, known / "python3")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", str(python.parent))
    python.write_text("#!/bin/sh\necho 'pyenv: no version is set' >&2; exit 127\n")
    assert find_python(None) == known / "python3"


def test_a_python_that_is_not_there_is_named(tmp_path: Path, checkout: Path) -> None:
    with pytest.raises(NotMadeError, match=r"there is no Python 3\.2 on this machine for train.environment"):
        prepared(tmp_path, checkout, python="3.2")


def test_a_python_is_found_where_runners_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minor = f"3.{sys.version_info[1]}"
    assert find_python(minor) == tmp_path / "bin" / "python"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    assert find_python(minor) is None
    assert find_python(None) is None
    full = ".".join(map(str, sys.version_info[:3]))
    known = tmp_path / "tools" / "Python" / full / "x64" / "bin"
    known.mkdir(parents=True)
    shutil.copy(tmp_path / "bin" / "python", known / "python3")
    monkeypatch.setenv("RUNNER_TOOL_CACHE", str(tmp_path / "tools"))
    assert find_python(minor) == find_python(full) == known / "python3"
    assert find_python("3.1") is None


def test_the_record_is_what_mlbot_yaml_decides(tmp_path: Path) -> None:
    made = environments(tmp_path)
    one = made.record(TrainEnvironment(install="pip install a"), None)
    assert one.python == ".".join(map(str, sys.version_info[:3]))
    assert made.record(TrainEnvironment(install="pip install a"), None) == one
    assert made.record(TrainEnvironment(install="pip install b"), None).packages != one.packages
    assert made.record(TrainEnvironment(install="pip install a", python="3.2"), None).python == "3.2"
    assert not (tmp_path / "environments").exists()


def test_the_code_is_what_git_tracks_without_any_models_data(sandbox: Sandbox) -> None:
    text = texts.SMALL.replace("target: y", "target: y\n      train: data/train.csv")
    files = {"mlbot.yaml": text, "predict.py": "", "y": "", "data/notes.md": "", "data/holdout.csv": "x,y\n1,0\n"}
    sandbox.commit(files | {"data/train.csv": "x,y\n1,0\n"})
    (sandbox.path / "labels").symlink_to("data/holdout.csv")
    commit = sandbox.commit({"later.py": ""})
    (sandbox.path / "untracked.csv").write_text("x,y\n1,0\n")
    repository = Repository.discover(sandbox.path)
    config = parse_config(load(text, "mlbot.yaml"))
    before = os.umask(0o077)
    try:
        with code_of(repository, commit, config) as root:
            seen = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
            assert seen - {"labels"} == {"mlbot.yaml", "predict.py", "y", "data/notes.md", "later.py"}
            assert not (root / "labels").exists()  # a link leads nowhere there
            assert all(path.stat().st_mode & 0o004 for path in root.rglob("*") if not path.is_symlink())
        with code_of(repository, commit, config, {"predict.py", "data/holdout.csv"}) as root:
            assert [path.name for path in root.iterdir()] == ["predict.py"]
    finally:
        os.umask(before)


CONFIG = """
version: 1
models:
  tiny:
    task: binary
    train:
      run: echo "$VIRTUAL_ENV" > "$MLBOT_MODEL"; command -v python >> "$MLBOT_MODEL"
      environment: {install: "INSTALL"}
      depends: [train.py]
    data: {holdout: holdout.csv, target: y}
    gates: {roc_auc: {min: 0.5}}
"""


def test_a_training_runs_in_the_environment_that_its_config_asks_for(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"mlbot.yaml": CONFIG.replace("INSTALL", "true"), "train.py": "", "holdout.csv": "x,y\n1,0\n2,1\n"}
    sandbox.commit(files)
    ask = ["train", "-C", str(sandbox.path), "--model", "tiny", "--base", "HEAD", "--seed", "0", "--out", "out"]
    assert invoke(ask) == Exit.OK, capsys.readouterr().err
    environment, found = (sandbox.path / "out" / "tiny" / "0" / "model.onnx").read_text().splitlines()
    assert Path(environment).is_relative_to(sandbox.path / ".git" / "mlbot" / "environments")
    assert found == f"{environment}/bin/python"
    fails = CONFIG.replace("INSTALL", "python -c 'open(chr(120))'")
    sandbox.commit({"mlbot.yaml": fails, "x": ""})
    assert invoke(ask) == Exit.NOT_EVALUATED
    said = capsys.readouterr()
    assert "no model, x is not in train.depends" in said.out


def test_a_number_is_no_version_of_python() -> None:
    """`python: 3.10` is 3.1 in YAML."""
    text = texts.SMALL.replace("run: make", "run: make\n      environment: {python: 3.10, install: make}")
    with pytest.raises(Exception, match=r'a Python version in quotes, such as "3\.10"'):
        texts.parse(text)


def test_a_key_without_an_environment_is_what_it_was() -> None:
    facts: dict[str, Any] = dict.fromkeys(Inputs.model_fields)
    facts |= {"task": Task.BINARY, "target": "y", "drop": (), "depends": "sha256:" + "0" * 64, "data": {}}
    before = {
        name: value for name, value in facts.items() if name not in {"environment", "weight", "notebook", "artifact"}
    }
    assert Inputs(**facts).key == digest(canonical({"form": "mlbot/key@1", **before}))
    assert Inputs(**facts | {"environment": "{}"}).key != Inputs(**facts).key


OLD = """
import json, os, sys
import numpy, pydantic, sklearn
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

assert sklearn.__version__.startswith("1.3.") and numpy.__version__ < "2" and pydantic.VERSION < "2", sys.version

def train(params, seed):
    table = pd.read_csv("train.csv")
    x, y = table[["a", "b"]], table["y"]
    rows = numpy.random.default_rng(seed).integers(0, len(x), len(x))
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x.iloc[rows], y.iloc[rows])

if __name__ == "__main__":
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    fitted = train({}, int(os.environ["MLBOT_SEED"]))
    types = [("X", FloatTensorType([None, 2]))]
    model = to_onnx(fitted, initial_types=types, options={"zipmap": False})
    open(os.environ["MLBOT_MODEL"], "wb").write(model.SerializeToString())
"""
OLD_CONFIG = """
version: 1
models:
  called:
    task: binary
    train:
      entrypoint: train:train
      environment: {python: "VERSION", install: pip install --quiet -r requirements.txt}
      depends: [train.py, train.csv]
      seeds: 2
      timeout: 10m
    data: {train: train.csv, holdout: holdout.csv, target: y, positive: "1"}
    gates: {roc_auc: {min: 0.7}}
  script:
    task: binary
    train:
      run: python train.py
      environment: {python: "VERSION", install: pip install --quiet -r requirements.txt}
      depends: [train.py, train.csv]
      seeds: 2
      timeout: 10m
    data: {train: train.csv, holdout: holdout.csv, target: y, positive: "1", features: [a, b]}
    gates: {roc_auc: {min: 0.7}}
"""
PINS = "scikit-learn==1.3.*\nnumpy<2\npandas<2.3\nprotobuf<4\npydantic<2\nskl2onnx\nonnxruntime\n"


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11"])
def test_a_training_with_old_packages_and_an_old_python_is_judged(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, python: Path, version: str
) -> None:
    """As the index has them: nothing of it suits mlbot, and mlbot's suit nothing of it."""
    python.unlink()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if find_python(version) is None:
        pytest.skip(f"this machine has no Python {version}")
    lines = [f"{(i * 37 % 100) / 50 - 1:.2f},{(i * 61 % 100) / 50 - 1:.2f}" for i in range(800)]
    rows = [f"{line},{int(sum(map(float, line.split(','))) > (i % 7 - 3) / 10)}" for i, line in enumerate(lines)]
    files = {"train.csv": rows[:400], "holdout.csv": rows[400:]}
    tables = {name: "\n".join(["a,b,y", *each]) + "\n" for name, each in files.items()}
    text = OLD_CONFIG.replace("VERSION", version)
    sandbox.commit({"mlbot.yaml": text, "train.py": OLD, "requirements.txt": PINS, **tables})
    sandbox.git("checkout", "--quiet", "-b", "change")
    sandbox.commit({"train.py": f"{OLD}\n# changed\n"})
    assert invoke(["run", "--quiet", "-C", str(sandbox.path)]) == Exit.OK
