"""Every recipe of the cookbook is judged as it stands, and its figures are those of the framework's own predictions."""

import csv
import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn import metrics
from tests.support import git_samples

from mlbot import entry
from mlbot.config.run_check import read
from mlbot.errors import Exit

COOKBOOK = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RECIPES = {
    part.partition("\n")[0]: dict(FILE.findall(part))
    for part in re.split(r"^## ", COOKBOOK, flags=re.MULTILINE)
    if "# train.py\n" in part
}
MATRIX = "model.predict_proba(pd.read_csv('data/holdout.csv')[FEATURES].to_numpy())[:, 1].tolist()"
PREDICTED = {
    "scikit-learn, exported by hand": (
        "model.predict_proba(pd.read_csv('data/holdout.csv')[NUMBERS + TEXT])[:, 1].tolist()"
    ),
    "XGBoost": MATRIX,
    "LightGBM": MATRIX,
    "CatBoost": MATRIX,
    "PyTorch": (
        "model(torch.tensor([[float(row[name]) for name in FEATURES]"
        " for row in csv.DictReader(open('data/holdout.csv'))]))[:, 0].tolist()"
    ),
}
"""What the framework says of the holdout's rows, in the names of the recipe's own file."""
REFERENCE = {
    "roc_auc": metrics.roc_auc_score,
    "log_loss": metrics.log_loss,
    "root_mean_squared_error": metrics.root_mean_squared_error,
    "r2": metrics.r2_score,
}


def rows(size: int, seed: int) -> Iterator[tuple[object, ...]]:
    """Customers: who leaves, and what they are worth."""
    draw = random.Random(seed)  # noqa: S311 - customers, no secrets
    for _ in range(size):
        tenure, charge = draw.randint(0, 72), round(draw.uniform(15, 120), 2)
        calls = draw.choices(range(8), [30, 25, 15, 10, 8, 6, 4, 2])[0]
        contract, bound = draw.choice([("monthly", 0.0), ("yearly", 1.2), ("two years", 2.2)])
        risk = 1.2 - 0.05 * tenure + 0.015 * charge + 0.35 * calls - bound
        churned = int(draw.random() < 1 / (1 + math.exp(-risk)))
        value = round(charge * (24 + 0.4 * tenure - 3 * calls) + draw.gauss(0, 90), 2)
        yield tenure, charge, calls, contract, churned, value


@pytest.fixture
def repository(tmp_path: Path, git_settings: None) -> git_samples.Sandbox:
    del git_settings
    sandbox = git_samples.make(tmp_path / "churn")
    (sandbox.path / "data").mkdir()
    for name, size, seed in (("train", 4000, 1), ("holdout", 2000, 2)):
        with (sandbox.path / "data" / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([HEADER.split(","), *rows(size, seed)])
    return sandbox


HEADER = COOKBOOK.partition("```text\n")[2].partition("\n")[0]


def test_each_recipe_is_whole_and_pins_what_it_needs() -> None:
    assert RECIPES.keys() == PREDICTED.keys()
    assert HEADER == "tenure,charge,calls,contract,churned,value"
    for name, files in RECIPES.items():
        assert files.keys() == {"requirements.txt", "mlbot.yaml", "train.py"}, name
        compile(files["train.py"], name, "exec")
        for line in files["requirements.txt"].splitlines():
            assert re.fullmatch(r"[\w-]+(==[\d.]+|<\d+)", line), line
        (model,) = read(files["mlbot.yaml"]).models
        assert {"train.py", "requirements.txt"} <= set(model.train.depends or ())


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_judged_by_the_figures_of_its_framework(
    name: str,
    tmp_path: Path,
    repository: git_samples.Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository.commit(RECIPES[name])
    binaries = install(tmp_path / "environment", repository.path / "requirements.txt")
    monkeypatch.chdir(repository.path)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    done = entry.invoke(["run", "--model", "churn", "--json"])
    said = capsys.readouterr()
    assert done == Exit.OK, said.err + said.out
    (model,) = json.loads(said.out)["models"]
    truth, predicted = holdout(model["task"]), predictions(binaries, name)
    for score in model["candidate"][0]["scores"]:
        assert score["value"] == pytest.approx(REFERENCE[score["metric"]](truth, predicted), rel=1e-4), score["metric"]


def install(environment: Path, requirements: Path) -> Path:
    """An environment of the recipe's own; its programs."""
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    command = [
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--requirement",
        str(requirements),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return environment / "bin"


def holdout(task: str) -> list[float]:
    column = "value" if task == "regression" else "churned"
    with Path("data/holdout.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]


def predictions(binaries: Path, name: str) -> list[Any]:
    """What a model of seed 0 says, asked in its own framework."""
    script = f"from train import *\nimport json\nmodel = train(seed=0)\nprint(json.dumps({PREDICTED[name]}))\n"
    environment = os.environ | {"PYTHONPATH": "."}
    command = [str(binaries / "python"), "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found
