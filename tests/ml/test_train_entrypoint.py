"""`entrypoint:` trainings in their real child process."""

import ast
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from tests.support.export_samples import fed
from tests.support.training_samples import ENVIRONMENT, model, request

from mlbot.config.data import ColumnKind, Csv, Data
from mlbot.ml import export, frames, protocol
from mlbot.ml.export import ExportError, find, read_table
from mlbot.ml.train import ENTRYPOINT_PYTHON, _form, current_environment, train
from mlbot.protocol.artifacts import MESSAGE, Training, TrainingFailure

NIGHTLY = pytest.mark.nightly
TRAIN = """
import json
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

def read(path):
    import polars as pl
    return pl.read_csv(path).with_columns(pl.col("city").fill_null(""))

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

"""
WRONG = """
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
    (path / "income" / "wrong.py").write_text(WRONG)
    return path


def _train(folder: Path, function: str, data: Data = DATA, **changes: Any) -> Training | TrainingFailure:
    of = model(entrypoint=f"income.{function}", data=data)
    return train(request(folder, of=of, params={"model.C": 0.5}, **changes), progress=lambda _: None)


def _failed(folder: Path, function: str, data: Data = DATA) -> TrainingFailure:
    result = _train(folder, function, data)
    assert isinstance(result, TrainingFailure)
    return result


def test_the_users_function_is_called_and_its_estimator_exported(folder: Path, tmp_path: Path) -> None:
    # The checkout's own modules must not stand in for those that mlbot imports before it calls the function.
    for name in ("json", "mlbot"):
        (folder / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    result = _train(folder, "train:train", seed=5, log=tmp_path / "log.txt")
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
        ("train:array", DATA.model_copy(update={"features": ("age", "hours")}), ["age", "hours"]),
        pytest.param("train:array", DATA.model_copy(update={"drop": ("id", "city")}), ["age", "hours"], marks=NIGHTLY),
        ("train:with_rows", DATA.model_copy(update={"train": None}), None),
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
        ("wrong:nothing", DATA, "returned NoneType"),
        ("wrong:broken", DATA, "ValueError: no such luck"),
        ("wrong:absent", DATA, "has no function 'absent'"),
        pytest.param("train:array", DATA, "array of 2 numeric columns", marks=NIGHTLY),
        pytest.param("train:train", DATA.model_copy(update={"train": None}), "names no training data", marks=NIGHTLY),
    ],
)
def test_what_goes_wrong_is_at_the_end_of_the_log(folder: Path, function: str, data: Data, words: str) -> None:
    result = _failed(folder, function, data)
    assert result.exit_code == 1
    assert any(words in line for line in result.log_tail[-3:])
    assert (words in result.message) is (function != "wrong:broken")


def test_what_is_no_function_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ExportError, match="has no function 'not_a_function'"):
        find("income.wrong:not_a_function", str(folder))


def test_a_package_in_src_is_found(tmp_path: Path, folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "income").rename(folder / "src" / "income")
    assert isinstance(_train(folder, "train:train", log=tmp_path / "log.txt"), Training)
    assert f"{folder}/src/income/train.py" in (tmp_path / "log.txt").read_text()


TABLES = (
    CSV,
    "a,b,c,d\n1,2.5,x,true\n2,,y,false\n3,1e3,,true\n",
    "a,b,c,d\n1,NA,x,true\n?,4,NA,\nnull,5,n/a,false\n",
    "a;b;c\n1;2,5;x\n2;10,25;y\n",
    "a\tb\n007\t9223372036854775808\n8\t12345678901234567890123\n",
    "\ufeff a , b\n 1 , x \n\n,\n2,y\n",
    'a,b\n"1","x ""y"", z"\n"2","two\nlines"\n',
    "a,b\n1,\n2,\n",
    "a\n1\n",
    "a,b\n+1,.5\n-2,inf\n",
    "a,b\n9007199254740993,1000000000000000001\nnull,NA\n",
    "a,b\n9007199254740993,1000000000000000001\n1.5,2\n",
)


@pytest.mark.parametrize("path", [None, "s3://bucket/train.csv"])
def test_what_cannot_be_looked_at_here_is_read_as_the_config_says(path: str | None) -> None:
    data = DATA.model_copy(update={"csv": Csv(separator=";")})
    assert (_form(path, DATA)["separator"], _form(path, data)["separator"]) == (",", ";")


@pytest.mark.parametrize("text", TABLES)
@pytest.mark.parametrize(
    "form", [{}, {"types": {"a": "text"}}, {"types": {"a": "number"}}, {"csv": {"missing": ("x", "NA")}}]
)
def test_the_trainings_python_reads_tables_as_the_judge_does(folder: Path, text: str, form: dict[str, Any]) -> None:
    path = folder / "data" / "train.csv"
    path.write_text(text, encoding="utf-8")
    data, types = Csv(**form.get("csv", {})), form.get("types", {})
    judged = frames.sample(path, rows=4000, types={name: ColumnKind(kind) for name, kind in types.items()}, csv=data)
    spec = {"data": str(path), "types": types, "form": _form(str(path), DATA.model_copy(update={"csv": data}))}
    assert repr(read_table(spec)) == repr(judged.to_dict(as_series=False))


def test_a_parquet_file_is_read_so_too(folder: Path) -> None:
    path = folder / "data" / "train.parquet"
    table = pl.DataFrame({"n": [1, None, 3], "t": ["a ", None, ""], "b": [True, None, False], "f": [0.5, 1.5, 2.5]})
    table = table.with_columns(
        pl.Series("whole", [Decimal(2**53 + 1), Decimal(7), Decimal(8)], dtype=pl.Decimal(38, 0)),
        pl.Series("gaps", [Decimal(6), Decimal(7), None], dtype=pl.Decimal(38, 0)),
        pl.Series("long", [Decimal(10**19), None, Decimal(3)], dtype=pl.Decimal(38, 0)),
        pl.Series("part", [Decimal("0.5"), None, Decimal("1.5")], dtype=pl.Decimal(38, 2)),
    )
    table.write_parquet(path)
    spec: dict[str, Any] = {"data": str(path), "types": {}, "form": None}
    assert repr(read_table(spec)) == repr(frames.sample(path, rows=10).to_dict(as_series=False))


def test_many_rows_are_thinned_out_evenly(folder: Path) -> None:
    path = folder / "data" / "train.csv"
    path.write_text("a,b\n" + "".join(f"{i},x\n" for i in range(50_000)) + "9.5,y\n")
    table = read_table({"data": str(path), "types": {}, "form": _form(str(path), DATA)})
    assert 2_000 <= len(table["a"]) <= 4_000
    assert {type(value) for value in table["a"]} == {float}  # the last of 50,001 rows says so
    assert set(np.diff(table["a"])[:-1]) == {16.0}


# The training's own Python, of any age and with other packages than mlbot's.

SCRIPT = Path(export.__file__)


def test_what_the_trainings_python_runs_is_old_enough_and_alone() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=ENTRYPOINT_PYTHON)
    named = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    others = {name.partition(".")[0] for name in named} - sys.stdlib_module_names
    assert others == {"numpy", "onnx", "onnxruntime", "pandas", "skl2onnx", "sklearn"}
    assert not {node for node in ast.walk(tree) if isinstance(node, ast.Match)}
    assert (export.FEATURES_KEY, export.CLASSES_KEY) == (protocol.FEATURES_KEY, protocol.CLASSES_KEY)


def python_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """Put a Python first on the PATH that is started with options."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("python", "python3"):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {" ".join(options)} "$@"\n')
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")


def test_a_missing_converter_is_named_with_what_to_install_before_anything_is_trained(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_of(tmp_path, monkeypatch, "-S")  # nothing that is installed
    (folder / "income" / "train.py").write_text("open('ran', 'w')\n")
    result = _failed(folder, "train:train")
    assert "has no skl2onnx, which makes the ONNX file of an entrypoint" in result.message
    assert "pip install skl2onnx onnxruntime 'protobuf<7'" in result.message
    assert not (folder / "ran").exists()


def test_a_training_needs_a_python_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "there is no Python on the PATH to train with" in _failed(folder, "train:train").message


def test_a_python_that_is_too_old_is_refused(folder: Path) -> None:
    old = ENVIRONMENT.model_copy(update={"python": "3.8.18"})
    result = _train(folder, "train:train", environment=old)
    assert isinstance(result, TrainingFailure)
    assert result.message == "the training's Python is 3.8.18, and an entrypoint needs 3.9 or newer"


def test_the_record_is_of_the_trainings_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = current_environment(None)
    python_of(tmp_path, monkeypatch)
    other = current_environment(None)
    assert (other.python, other.platform) == (own.python, own.platform)
    python_of(tmp_path / "bin", monkeypatch, "-S")
    assert current_environment(None).packages != other.packages


@pytest.mark.parametrize("words", ["echo no JSON", "echo '[1]'", "echo '[1, 2, [[3]]]'", "exit 1", "printf '\\377'"])
def test_whatever_another_python_says_of_itself_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    (tmp_path / "python").write_text(f"#!/bin/sh\n{words}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert current_environment(None).python == "unknown"


def test_a_training_cannot_put_words_on_several_lines_into_its_failure(folder: Path) -> None:
    (folder / "income" / "train.py").write_text(
        "import json, sys\n"
        "def train(params, seed):\n"
        "    spec = json.load(open(sys.argv[1]))\n"
        "    open(spec['problem'], 'w').write('a\\n\\x1b[31m##[error]' + 'b' * 100_000)\n"
        "    raise SystemExit(1)\n"
    )
    message = _failed(folder, "train:train").message
    assert message.startswith("a## [error]bbb")
    assert len(message) <= MESSAGE
    assert message.isprintable()
