"""The recipes of docs/predictors.md: each framework's model trained, asked and judged to the end by `mlbot run`."""

import io
import json
import os
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from tests.support import notebooks
from tests.support.git_samples import Sandbox
from tests.support.pythons import python_with

from mlbot import entry
from mlbot.errors import Exit

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800), pytest.mark.usefixtures("git_settings")]
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "predictors.md").read_text(encoding="utf-8")
CONFIG = """
version: 1
models:
  m:
    task: binary
    train: {TRAIN, depends: [train.*, network.py, data/train.csv], params: params.json, seeds: 2}
    predict: {PREDICT, depends: [predict.*, network.py]}
    data: {train: data/train.csv, holdout: data/holdout.csv, target: y, positive: "yes"}
    metrics: [roc_auc, accuracy, log_loss]
    gates: {roc_auc: {min: 0.8, max_regression: 0.1}}
"""
GIVEN = """
import json, os
import numpy as np
params, seed = json.load(open(os.environ["MLBOT_PARAMS"])), int(os.environ["MLBOT_SEED"])
artifact = os.environ["MLBOT_ARTIFACT"]

def read(path):
    table = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return np.stack([table[name] for name in ("a", "b", "c")], axis=1), (table["y"] == "yes").astype(int)

(X, y), (rows, _) = read("data/train.csv"), read("HOLDOUT")
X[:, 0] *= params["mode"] != "lost"
"""
KEPT = """
np.savetxt(f"OWN/{params['mode']}-{seed}.txt", own, fmt="%.17g")
if params["mode"] == "broken":
    file = f"{artifact}/model.json" if os.path.isdir(artifact) else artifact
    open(file, "wb").write(b"no model")
"""
NETWORK = """
import torch

class Network(torch.nn.Sequential):
    def __init__(self):
        layers = torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.3)
        super().__init__(*layers, torch.nn.Linear(8, 1))
"""
SCIKIT_LEARN = """
import joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
names = ["a", "b", "c"]
model = RandomForestClassifier(params["size"], max_depth=5, random_state=seed)
model.fit(pd.DataFrame(X, columns=names), np.where(y, "yes", "no"))
joblib.dump(model, artifact)
own = model.predict_proba(pd.DataFrame(rows, columns=names))[:, 1]
"""


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A framework's training, up to its own predictions `own` of `rows`, and what a Python has to have for it."""

    modules: str
    train: str
    file: str = "train.py"
    run: str = "run: python train.py"
    predict: str = "run: python predict.py"


FRAMEWORKS = {
    "scikit-learn": Framework(modules="sklearn joblib pandas pyarrow", train=SCIKIT_LEARN),
    "LightGBM": Framework(
        modules="lightgbm polars",
        train="""
import lightgbm
settings = {"objective": "binary", "verbose": -1, "seed": seed, "bagging_fraction": 0.8, "bagging_freq": 1}
booster = lightgbm.train(settings, lightgbm.Dataset(X, y), params["size"])
booster.save_model(artifact)
own = booster.predict(rows)
""",
    ),
    "XGBoost": Framework(
        modules="xgboost polars",
        train="""
import xgboost
settings = {"objective": "binary:logistic", "seed": seed, "subsample": 0.8}
booster = xgboost.train(settings, xgboost.DMatrix(X, y), params["size"])
os.mkdir(artifact)
booster.save_model(f"{artifact}/model.json")
own = booster.predict(xgboost.DMatrix(rows))
""",
    ),
    "CatBoost": Framework(
        modules="catboost polars",
        train="""
import catboost
model = catboost.CatBoostClassifier(params["size"], random_seed=seed, verbose=0, allow_writing_files=False).fit(X, y)
model.save_model(artifact)
own = model.predict_proba(rows)[:, 1]
""",
    ),
    "PyTorch": Framework(
        modules="torch polars",
        train="""
import torch
from network import Network
torch.manual_seed(seed)
network, wanted = Network(), torch.from_numpy(y).float()
steps = torch.optim.Adam(network.parameters(), 0.05)
for _ in range(2 * params["size"]):
    steps.zero_grad()
    logits = network(torch.from_numpy(X.astype(np.float32)))[:, 0]
    torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
    steps.step()
torch.save(network.state_dict(), artifact)
network.eval()
own = network(torch.from_numpy(rows.astype(np.float32))).sigmoid().squeeze(1).detach().numpy()
""",
    ),
    "notebook": Framework(
        modules="nbclient ipykernel sklearn joblib pandas pyarrow",
        train=SCIKIT_LEARN,
        file="train.ipynb",
        run="notebook: train.ipynb",
    ),
    "R": Framework(
        modules="",
        train="""
params <- paste(readLines(Sys.getenv("MLBOT_PARAMS"), warn = FALSE), collapse = "")
mode <- sub('.*"mode" *: *"([a-z]+)".*', "\\\\1", params)
table <- read.csv("data/train.csv")
set.seed(as.integer(Sys.getenv("MLBOT_SEED")))
table <- table[sample(nrow(table), replace = TRUE), ]
form <- switch(mode, lost = (y == "yes") ~ b + c, better = (y == "yes") ~ a + b, (y == "yes") ~ a + b + c)
model <- glm(form, binomial, table)
own <- predict(model, read.csv("HOLDOUT"), type = "response")
writeLines(sprintf("%.17g", own), sprintf("OWN/%s-%s.txt", mode, Sys.getenv("MLBOT_SEED")))
saveRDS(model, Sys.getenv("MLBOT_ARTIFACT"))
if (mode == "broken") writeLines("no model", Sys.getenv("MLBOT_ARTIFACT"))
""",
        file="train.R",
        run="run: Rscript train.R",
        predict="run: Rscript predict.R, format: csv",
    ),
}


def predictor(framework: str) -> str:
    """The whole of its predictor, as the page has it."""
    before, _, recipes = DOCUMENTATION.partition("## Recipes")
    if framework in {"scikit-learn", "notebook"}:
        (whole,) = re.findall(r"```python\n(# predict.py.*?)```", before, re.DOTALL)
        return str(whole)
    own = re.search(rf"\*\*{framework}\*\*.*?```(?:python|r)\n(.*?)```", recipes, re.DOTALL)
    first, last, *_ = re.findall(r"```python\n(.*?)```", recipes, re.DOTALL)
    assert own
    return own[1] if framework == "R" else f"{first}\n{own[1]}\n{last}"


def table(rng: np.random.Generator) -> str:
    """Rows whose label goes by `a` above all."""
    features = rng.normal(size=(600, 3))
    labels = np.where(features @ [2.0, 0.7, 0.0] + rng.normal(size=600) > 0, "yes", "no")
    lines = [",".join([*map(repr, map(float, row)), label]) for row, label in zip(features, labels, strict=True)]
    return "\n".join(["a,b,c,y", *lines]) + "\n"


def written(framework: str, holdout: Path, own: Path) -> dict[str, str]:
    """A repository of it."""
    of, rng = FRAMEWORKS[framework], np.random.default_rng(5)
    train = of.train if framework == "R" else f"{GIVEN}{of.train}{KEPT}"
    train = train.replace("HOLDOUT", str(holdout)).replace("OWN", str(own))
    return {
        "mlbot.yaml": CONFIG.replace("TRAIN", of.run).replace("PREDICT", of.predict),
        of.file: notebooks.notebook(*map(notebooks.code, train.split("\n\n"))) if "ipynb" in of.file else train,
        "predict.R" if framework == "R" else "predict.py": predictor(framework),
        "network.py": NETWORK,
        "params.json": json.dumps({"mode": "first", "size": 30}),
        "data/train.csv": table(rng),
        "data/holdout.csv": table(rng),
    }


def run(where: Sandbox) -> tuple[int, dict[str, Any]]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = entry.invoke(["run", "--json", "-C", str(where.path)])
    assert "Traceback" not in err.getvalue()
    return code, json.loads(out.getvalue())


def figures(of: Path, holdout: str) -> dict[str, float]:
    """What scikit-learn makes of the framework's own predictions."""
    answers, labels = np.loadtxt(of), np.array([line.endswith("yes") for line in holdout.split()[1:]])
    return {
        "roc_auc": roc_auc_score(labels, answers),
        "accuracy": accuracy_score(labels, answers > 0.5),
        "log_loss": log_loss(labels, answers),
    }


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_judged_to_the_end_with_its_own_figures(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    if framework == "R" and not shutil.which("Rscript"):
        pytest.skip("this machine has no Rscript")
    if modules := FRAMEWORKS[framework].modules:
        monkeypatch.setenv("PATH", f"{python_with(modules)}{os.pathsep}{os.environ['PATH']}")
    (own := tmp_path / "own").mkdir()
    files = written(framework, tmp_path / "holdout.csv", own)
    (tmp_path / "holdout.csv").write_text(files["data/holdout.csv"])
    sandbox.commit(files)
    for mode, ended, outcome in (
        ("better", Exit.OK, "pass"),
        ("lost", Exit.FAILED, "fail"),
        ("broken", Exit.NOT_EVALUATED, "error"),
    ):
        sandbox.git("checkout", "--quiet", "-b", mode, "main")
        sandbox.commit({"params.json": json.dumps({"mode": mode, "size": 40})})
        code, report = run(sandbox)
        assert (code, report["verdict"]["outcome"]) == (ended, outcome), report
        if outcome != "error":
            scores = report["models"][0]["candidate"][0]["scores"]
            seen = {each["metric"]: each["value"] for each in scores}
            expected = figures(own / f"{mode}-0.txt", files["data/holdout.csv"])
            assert seen == pytest.approx(expected, rel=1e-6)
