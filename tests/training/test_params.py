"""`mlbot train --param`: other parameters than the committed ones, for both ways to train."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.git_samples import Sandbox

from mlbot.errors import Exit

pytestmark = pytest.mark.usefixtures("git_settings")

ENTRYPOINT = """
from sklearn.linear_model import LogisticRegression

from mlbot.ml.frames import read


def train(params, seed):
    print(f"strength={params['model']['strength']}")
    table = read("data/train.csv")
    return LogisticRegression(C=params["model"]["strength"]).fit(table.select("x1", "x2", "x3").to_numpy(), table["y"])
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git_settings: None) -> Sandbox:
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tiny.repository(tmp_path / "repository")


def train(
    where: Sandbox, *arguments: str, verb: tuple[str, ...] = ("train", "--json"), **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlbot", *verb, "--model", "tiny", "--seed", "0", *arguments]
    given = {**os.environ, **environment}
    return subprocess.run(command, cwd=where.path, capture_output=True, text=True, timeout=240, check=False, env=given)


def lineage(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == Exit.OK, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_commands_training_reads_them_and_its_lineage_says_so(repository: Sandbox) -> None:
    committed = lineage(train(repository))
    before = (repository.path / "params.yaml").read_text()
    tried = lineage(train(repository, "--param", "mode=lost", "--param", "claim=0.5"))
    assert tried["params"] == {**committed["params"], "mode": "lost", "claim": 0.5}
    assert tried["claims"] == {"roc_auc": 0.5}
    assert tried["digest"] != committed["digest"]
    assert tried["key"] != committed["key"]
    assert (repository.path / "params.yaml").read_text() == before

    overrides = {"MLBOT_CI_TRAIN_OVERRIDES": '{"claim": 0.5, "mode": "lost"}'}
    again = train(repository, verb=("ci", "train"), **overrides)
    assert json.loads((repository.path / "trained/tiny/0/training.json").read_text())["key"] == tried["key"]
    assert "trained before" in again.stderr
    assert "trained before" in train(repository).stderr


def test_a_functions_training_gets_them(repository: Sandbox) -> None:
    config = tiny.CONFIG.replace("run: python train.py", "entrypoint: income:train")
    config = config.replace("depends: [train.py", "depends: [income.py").replace(
        "drop: [segment]", "features: [x1, x2, x3]"
    )
    repository.commit(
        {"mlbot.yaml": config, "income.py": ENTRYPOINT, "params.yaml": "model: {strength: 1.0}  # mild\n"}
    )
    committed = lineage(train(repository))
    tried = lineage(train(repository, "--param", "model.strength=0.0001"))
    assert (committed["params"], tried["params"]) == ({"model.strength": 1.0}, {"model.strength": 0.0001})
    assert committed["digest"] != tried["digest"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--param", "mod=lost"], "Did you mean mode?"),
        (["--param", "offset"], "is no name=value"),
        (["--param", "offset=.inf"], "is no finite number"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_trained(
    repository: Sandbox, arguments: list[str], said: str
) -> None:
    done = train(repository, *arguments)
    assert done.returncode == Exit.USAGE
    assert said in done.stderr
    assert "training ..." not in done.stderr


def test_they_are_one_models(repository: Sandbox) -> None:
    command = [sys.executable, "-m", "mlbot", "train", "--param", "offset=3"]
    done = subprocess.run(command, cwd=repository.path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == Exit.USAGE
    assert "Name one with --model" in done.stderr
