"""`entrypoint:` trainings in their real child process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.support.export_samples import fed
from tests.support.training_samples import model, request

from mlbot.config.schema import Data
from mlbot.errors import UsageError
from mlbot.ml import frames
from mlbot.ml.train import train
from mlbot.ml.train_entrypoint import find
from mlbot.protocol.artifacts import Training, TrainingFailure

NIGHTLY = pytest.mark.nightly
TRAIN = """
import json
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from mlbot.ml.frames import read

def train(params, seed):
    print(json.dumps([params, seed, __file__]))
    table = read("data/train.csv")
    columns = ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore"), ["city"])], remainder="passthrough")
    estimator = make_pipeline(columns, LogisticRegression(C=params["model"]["C"]))
    return estimator.fit(table.drop("income", "id"), table["income"])

def with_rows(params, seed):
    import numpy as np
    rows = np.arange(20.0).reshape(10, 2)
    return LogisticRegression().fit(rows, rows[:, 0] > 8), rows

def array(params, seed):
    table = read("data/train.csv")
    return LogisticRegression().fit(table.select("age", "hours").to_numpy(), table["income"])

def nothing(params, seed):
    return None

def broken(params, seed):
    raise ValueError("no such luck")

not_a_function = 3
"""
CSV = "id,city,age,hours,income\n" + "".join(
    f"{i},{'ab '[i % 3].strip()},{20 + i % 40},{i * 7 % 50},{'yes' if i % 40 > 18 else 'no'}\n" for i in range(400)
)
DATA = Data(train="data/train.csv", holdout="data/holdout.csv", target="income", drop=("id",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    (path / "data").mkdir(parents=True)
    (path / "data" / "train.csv").write_text(CSV)
    (path / "income").mkdir()
    (path / "income" / "train.py").write_text(TRAIN)
    return path


def _train(folder: Path, function: str, data: Data = DATA, **changes: Any) -> Training | TrainingFailure:
    of = model(entrypoint=f"income.train:{function}", data=data)
    return train(request(folder, of=of, params={"model.C": 0.5}, **changes), progress=lambda _: None)


def _failed(folder: Path, function: str, data: Data = DATA) -> TrainingFailure:
    result = _train(folder, function, data)
    assert isinstance(result, TrainingFailure)
    return result


def test_the_users_function_is_called_and_its_estimator_exported(folder: Path, tmp_path: Path) -> None:
    # The checkout's own modules must not stand in for those that mlbot imports before it calls the function.
    for name in ("json", "mlbot"):
        (folder / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    result = _train(folder, "train", seed=5, log=tmp_path / "log.txt")
    assert isinstance(result, Training)
    assert result.parity is not None
    assert (result.parity.rows, result.parity.label_disagreements) == (400, 0)
    assert result.parity.max_difference < 1e-5
    said = (tmp_path / "log.txt").read_text()
    assert said == json.dumps([{"model": {"C": 0.5}}, 5, f"{folder}/income/train.py"]) + "\n"
    session = onnxruntime.InferenceSession((tmp_path / "out" / "model.onnx").read_bytes())
    assert [value.name for value in session.get_inputs()] == ["city", "age", "hours"]
    features = fed(frames.read(folder / "data" / "train.csv").drop("id", "income"))
    assert session.run(None, features)[1].shape == (400, 2)


@pytest.mark.parametrize(
    ("function", "data", "names"),
    [
        ("array", DATA.model_copy(update={"features": ("age", "hours")}), ["age", "hours"]),
        pytest.param("array", DATA.model_copy(update={"drop": ("id", "city")}), ["age", "hours"], marks=NIGHTLY),
        ("with_rows", DATA.model_copy(update={"train": None}), None),
    ],
)
def test_an_estimator_of_an_array(
    folder: Path, tmp_path: Path, function: str, data: Data, names: list[str] | None
) -> None:
    result = _train(folder, function, data)
    assert isinstance(result, Training)
    assert result.parity is not None
    assert result.parity.label_disagreements == 0
    session = onnxruntime.InferenceSession((tmp_path / "out" / "model.onnx").read_bytes())
    (only,) = session.get_inputs()
    assert only.shape == [None, 2]
    assert session.run(None, {only.name: np.zeros((3, 2), np.float32)})[1].shape == (3, 2)
    features = session.get_modelmeta().custom_metadata_map.get("mlbot.features", "null")
    assert json.loads(features) == names


@pytest.mark.parametrize(
    ("function", "data", "words"),
    [
        ("nothing", DATA, "returned NoneType"),
        ("broken", DATA, "ValueError: no such luck"),
        ("absent", DATA, "has no function 'absent'"),
        pytest.param("array", DATA, "array of 2 numeric columns", marks=NIGHTLY),
        pytest.param("train", DATA.model_copy(update={"train": None}), "names no training data", marks=NIGHTLY),
    ],
)
def test_what_goes_wrong_is_at_the_end_of_the_log(folder: Path, function: str, data: Data, words: str) -> None:
    result = _failed(folder, function, data)
    assert result.message == "the training failed with exit code 1"
    assert any(words in line for line in result.log_tail[-3:])


def test_what_is_no_function_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(UsageError, match="has no function 'not_a_function'"):
        find("income.train:not_a_function", str(folder))


def test_a_package_in_src_is_found(tmp_path: Path, folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "income").rename(folder / "src" / "income")
    assert isinstance(_train(folder, "train", log=tmp_path / "log.txt"), Training)
    assert f"{folder}/src/income/train.py" in (tmp_path / "log.txt").read_text()
