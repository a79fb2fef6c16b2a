"""What a training's code leaves, and the predict.py that is written to ask it: run, and compared with the model."""

import io
import json
import os
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
from tests.support.git_samples import make
from tests.support.pythons import python_with

from mlbot.config.run_check import check, read
from mlbot.console import Console
from mlbot.gates.metric import Task
from mlbot.setup.frameworks import Form, Made, code_of, find_made
from mlbot.setup.run_init import InitOptions, init
from mlbot.setup.scaffold import Choices

pytestmark = pytest.mark.usefixtures("git_settings")
NIGHTLY = pytest.mark.nightly


@pytest.mark.parametrize(
    ("code", "form", "saved"),
    [
        ('import joblib\njoblib.dump(model, "models/churn.joblib")', Form.PICKLE, "models/churn.joblib"),
        ('from joblib import dump\ndump(model, "m.pkl")', Form.PICKLE, "m.pkl"),
        ('import pickle\nwith open("m.pkl", "wb") as f:\n    pickle.dump(model, f)', Form.PICKLE, "m.pkl"),
        ('import pickle\npickle.dump(model, open("m.pkl", "wb"))', Form.PICKLE, "m.pkl"),
        ('import joblib, os\nD = "out"\njoblib.dump(model, os.path.join(D, "m.joblib"))', Form.PICKLE, "out/m.joblib"),
        ('import joblib\nD = pathlib.Path("out")\njoblib.dump(m, D / "m.joblib")', Form.PICKLE, None),
        ('import joblib\nD = Path("out")\njoblib.dump(m, D / "m.joblib")', Form.PICKLE, "out/m.joblib"),
        ('import joblib, os\njoblib.dump(model, os.environ["MLBOT_ARTIFACT"])', Form.PICKLE, None),
        ('import joblib\njoblib.dump(model, "/srv/m.joblib")', Form.PICKLE, None),
        ('import joblib\njoblib.dump(model, "a; rm -rf x")', Form.PICKLE, None),
        ('import joblib, xgboost\njoblib.dump(xgboost.XGBClassifier().fit(X, y), "m.joblib")', Form.PICKLE, "m.joblib"),
        ('import lightgbm as lgb\nb = lgb.train(p, d)\nb.save_model("m.txt")', Form.LIGHTGBM, "m.txt"),
        ('from xgboost import XGBClassifier\nm = XGBClassifier()\nm.save_model("m.json")', Form.XGBOOST, "m.json"),
        ('from catboost import CatBoostClassifier as C\nC().fit(X, y).save_model("m.cbm")', Form.CATBOOST, "m.cbm"),
        ('import torch\ntorch.save(net.state_dict(), "net.pt")', Form.TORCH, "net.pt"),
        ('from transformers import Trainer\ntrainer.save_model("out/")', Form.TRANSFORMERS, "out"),
        ('from transformers import AutoModel\nmodel.save_pretrained("./out")', Form.TRANSFORMERS, "out"),
        ("import lightgbm\nlightgbm.train({}, d)", Form.LIGHTGBM, None),
        ("from sklearn.svm import SVC\nSVC().fit(X, y)", Form.PICKLE, None),
        ('import torch\ntorch.onnx.export(net, x, "m.onnx")', None, None),
        ("from skl2onnx import to_onnx\nimport joblib\njoblib.dump(m, 'm.pkl')", None, None),
        ("import numpy", None, None),
        ("def broken(", None, None),
        ("x = " + "(" * 500 + ")" * 500, None, None),
    ],
)  # fmt: skip
def test_how_code_saves_its_model(code: str, form: Form | None, saved: str | None) -> None:
    found = find_made("train.py", code)
    assert (found.form, found.saved) == (form, saved) if found else form is None


def test_the_code_of_a_notebook_has_no_magics() -> None:
    cells = ["%matplotlib inline\nimport joblib", "!pip install x\n?joblib\njoblib.dump(1, 'm.pkl')", "%%bash\nls"]
    assert find_made("train.ipynb", code_of(cells)) == Made(form=Form.PICKLE, saved="m.pkl")


ROWS = "id,age,city,hours,churned\n" + "".join(
    f"{i},{20 + i % 40}.5,{'abc'[i % 3]},{i * 7 % 50},{'yes' if i % 40 > 18 or i % 7 == 0 else 'no'}\n"
    for i in range(300)
)
READ = 'import pandas as pd\ntable = pd.read_csv("data/train.csv")\nX, y = table[["age", "hours"]], table["churned"]\n'
POLARS = READ.replace("pandas as pd", "polars as pl").replace("pd.read", "pl.read")
TRAININGS = {
    "sklearn": ("sklearn joblib polars", POLARS + """
import joblib
from sklearn.linear_model import LogisticRegression
joblib.dump(LogisticRegression().fit(X, y), "models/model.joblib")
""", "joblib.load('{}').predict_proba(X)[:, 1]", "import joblib"),
    "pickle": ("sklearn pandas pyarrow", READ + """
import pickle
from sklearn.tree import DecisionTreeClassifier
with open("model.pkl", "wb") as file:
    pickle.dump(DecisionTreeClassifier(max_depth=3).fit(X, y == "yes"), file)
""", "pickle.load(open('{}', 'rb')).predict_proba(X)[:, 1]", "import pickle"),
    "text": ("sklearn pandas pyarrow", READ + """
import joblib
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
words = make_pipeline(TfidfVectorizer(analyzer="char"), LogisticRegression())
joblib.dump(words.fit(table["city"], y), "model.joblib")
""", "joblib.load('{}').predict_proba(table['city'])[:, 1]", "import joblib"),
    "lightgbm": ("lightgbm pandas pyarrow", READ + """
import lightgbm
X = X.assign(city=table["city"].astype("category"))
lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, y == "yes"), 10).save_model("model.txt")
""", "lightgbm.Booster(model_file='{}').predict(X.assign(city=table['city'].astype('category')))", "import lightgbm"),
    "xgboost": ("xgboost pandas pyarrow", READ + """
from xgboost import XGBClassifier
XGBClassifier(n_estimators=10).fit(X, y == "yes").save_model("out/model.json")
""", "xgboost.Booster(model_file='{}').predict(xgboost.DMatrix(X))", "import xgboost"),
    "catboost": ("catboost pandas pyarrow", READ + """
from catboost import CatBoostClassifier
CatBoostClassifier(iterations=10, verbose=0, allow_writing_files=False).fit(X, y).save_model("model.cbm")
""", "catboost.CatBoostClassifier().load_model('{}').predict_proba(X)[:, 1]", "import catboost"),
    "torch": ("torch pandas pyarrow", """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def forward(self, x):
        return self.layer(x[:, -2:] / 50)
if __name__ == "__main__":
    torch.manual_seed(0)
    torch.save(Net().state_dict(), "net.pt")
""", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == "sklearn" else NIGHTLY) for name in TRAININGS])
def test_what_is_written_for_a_script_trains_and_asks_the_model(tmp_path: Path, name: str) -> None:
    packages, script, own, imports = TRAININGS[name]
    folder = python_with(packages)
    sandbox = make(tmp_path / "churn")
    rows = (
        ROWS
        if name != "torch"
        else "\n".join(",".join(line.split(",")[i] for i in (0, 1, 3, 4)) for line in ROWS.split())
    )
    sandbox.commit({"train.py": script, "data/train.csv": rows, "data/holdout.csv": rows, "requirements.txt": packages})
    choices = Choices(task=Task.BINARY, target="churned")
    assert init(sandbox.path, InitOptions(choices=choices), Console(out=io.StringIO(), err=io.StringIO())) == 0
    (model,) = check(sandbox.path).models
    assert model.train.run
    assert model.predict
    assert model.predict.run == "python predict.py"
    written = (sandbox.path / "mlbot.yaml").read_text()
    (other,) = read(re.sub("# (?=format: csv|environment: )", "", written)).models
    assert other.predict
    assert (other.predict.format, other.predict.environment is not None) == ("csv", True)
    own_environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "MLBOT_SEED": "0"}
    files = {name: str(tmp_path / name.lower()) for name in ("MLBOT_ARTIFACT", "MLBOT_FEATURES", "MLBOT_PREDICTIONS")}
    environment = os.environ | own_environment | files
    subprocess.run(["sh", "-c", model.train.run], cwd=sandbox.path, env=environment, check=True)
    asked = pl.read_csv(sandbox.path / "data/holdout.csv").drop("churned", "id")
    asked = asked.with_columns(row_id=pl.Series([f"r{n}" for n in range(len(asked))]))
    asked.write_parquet(files["MLBOT_FEATURES"])
    subprocess.run(["sh", "-c", model.predict.run], cwd=sandbox.path, env=environment, check=True)
    answers = pl.read_parquet(files["MLBOT_PREDICTIONS"])
    assert answers.columns == ["row_id", "p:yes"]
    assert answers["row_id"].equals(asked["row_id"])
    if own:
        again = f"{imports}\n{script.split('import ', 1)[0]}{READ if 'pandas' in script else POLARS}import json\n"
        again += f"print(json.dumps([float(p) for p in {own.format(files['MLBOT_ARTIFACT'])}]))"
        told = subprocess.run(
            [str(folder / "python"), "-c", again], cwd=sandbox.path, capture_output=True, check=True, text=True
        )
        assert answers["p:yes"].to_list() == pytest.approx(json.loads(told.stdout), abs=1e-6)
