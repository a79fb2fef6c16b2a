"""A user's own metric: read from the folder it should be, called as documented, and never a pass when it fails."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbot.gates.metric import CATALOGUE, Direction, Metric, Task
from mlbot.gates.outcome import Reason
from mlbot.ml.custom_metrics import Function, MetricError, load_metrics
from mlbot.verdict.verdict import Problem

CODES = np.array([0, 1, 1], dtype=np.int8)
PREDICTIONS = np.array([0.2, 0.9, 0.4])


def metric(function: str, name: str = "own") -> Metric:
    return Metric(name=name, direction=Direction.HIGHER, tasks=frozenset(Task), function=function)


def loaded(folder: Path, code: str, values: tuple[Any, ...] = ()) -> Function:
    (folder / "own_metrics.py").write_text(code)
    found = load_metrics([metric("own_metrics:f"), CATALOGUE["roc_auc"]], folder, values)
    assert not isinstance(found, Problem), found
    assert list(found) == ["own"]
    return found["own"]


def refused(folder: Path, function: str = "own_metrics:f") -> str:
    found = load_metrics([metric(function)], folder)
    assert isinstance(found, Problem)
    assert found.reason is Reason.METRIC_FAILED
    return found.detail


@pytest.mark.parametrize(
    ("values", "positive"), [(("no", "yes"), "yes"), ((0, 1), 1), ((False, True), True), ((1.5, 2.5), 2.5)]
)
def test_labels_arrive_as_the_data_has_them(tmp_path: Path, values: tuple[Any, ...], positive: Any) -> None:
    function = loaded(tmp_path, f"def f(y_true, y_pred): return float(y_pred[y_true == {positive!r}].mean())", values)
    assert function(CODES, PREDICTIONS) == pytest.approx(0.65)


def test_numbers_arrive_as_they_are(tmp_path: Path) -> None:
    function = loaded(tmp_path, "def f(y_true, y_pred): return abs(y_true - y_pred).max()")
    assert function(np.array([1.0, 2.0]), np.array([1.5, 4.0])) == 2.0


def test_weights_are_passed_on_to_a_metric_that_takes_them(tmp_path: Path) -> None:
    code = "import numpy as np\ndef f(y, p, sample_weight=None): return np.average(p, weights=sample_weight)"
    function = loaded(tmp_path, code)
    assert function(CODES, PREDICTIONS) == pytest.approx(0.5)
    assert function(CODES, PREDICTIONS, sample_weight=np.array([0.0, 1.0, 0.0])) == pytest.approx(0.9)
    with pytest.raises(TypeError):
        loaded(tmp_path, "def f(y, p): return 1")(CODES, PREDICTIONS, sample_weight=CODES)


def test_where_rows_have_weights_a_metric_has_to_take_them(tmp_path: Path) -> None:
    (tmp_path / "own_metrics.py").write_text("def f(y, p): return 1\ndef g(y, p, sample_weight=None): return 1\n")
    found = load_metrics([metric("own_metrics:f")], tmp_path, weighted=True)
    assert isinstance(found, Problem)
    assert "takes no `sample_weight`" in found.detail
    assert "sample_weight=None" in found.hint
    assert not isinstance(load_metrics([metric("own_metrics:g")], tmp_path, weighted=True), Problem)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('bad\\nthing')", "ValueError: bad thing"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return float('nan')", "gave nan"),
        ("return float('inf')", "gave inf"),
        ("return None", "gave NoneType"),
        ("return True", "gave bool"),
        ("return '0.5'", "gave str"),
        ("return p", "gave ndarray"),
        ("return 1j", "gave complex"),
    ],
)
def test_anything_but_a_finite_number_is_the_metrics_error(tmp_path: Path, body: str, said: str) -> None:
    function = loaded(tmp_path, f"def f(y, p):\n    {body}")
    with pytest.raises(MetricError, match="'own'") as caught:
        function(CODES, PREDICTIONS)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", ["1", "np.float32(1)", "np.array(1.0)", "np.int64(1)"])
def test_every_kind_of_number_is_one(tmp_path: Path, value: str) -> None:
    function = loaded(tmp_path, f"import numpy as np\ndef f(y, p): return {value}")
    assert function(CODES, PREDICTIONS) == 1.0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "no module 'own_metrics'"),
        ("x = 1", "no function 'f'"),
        ("f = 1", "is no function"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("raise SystemExit", "SystemExit"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_is_said(tmp_path: Path, code: str | None, said: str) -> None:
    if code is not None:
        (tmp_path / "own_metrics.py").write_text(code)
    assert said in refused(tmp_path)


@pytest.mark.parametrize("root", ["", "src"])
def test_each_folder_has_its_own_module_of_a_name(tmp_path: Path, root: str) -> None:
    values = []
    for number in (1, 2):
        folder = tmp_path / str(number) / root
        (folder / "own").mkdir(parents=True)
        (folder / "own" / "__init__.py").touch()
        (folder / "own" / "constant.py").write_text(f"VALUE = {number}")
        code = "from own.constant import VALUE\ndef f(y, p):\n    from own import late\n    return VALUE + late.VALUE"
        (folder / "own" / "metrics.py").write_text(code)
        (folder / "own" / "late.py").write_text(f"VALUE = {number * 10}")
        found = load_metrics([metric("own.metrics:f")], tmp_path / str(number))
        assert not isinstance(found, Problem), found
        values.append(found["own"](CODES, PREDICTIONS))
    assert values == [11, 22]
    assert not [name for name in sys.modules if name.partition(".")[0] == "own"]
    assert not [place for place in sys.path if place.startswith(str(tmp_path))]


def test_the_root_comes_before_its_src(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own_metrics.py").write_text("def f(y, p): return 2")
    assert loaded(tmp_path, "def f(y, p): return 1")(CODES, PREDICTIONS) == 1


def test_a_module_of_the_same_name_that_is_loaded_already_does_not_stand_in(tmp_path: Path) -> None:
    import colorsys  # noqa: PLC0415 - the library of that name, loaded before

    (tmp_path / "colorsys.py").write_text("def f(y, p): return 7")
    found = load_metrics([metric("colorsys:f")], tmp_path)
    assert not isinstance(found, Problem), found
    assert found["own"](CODES, PREDICTIONS) == 7
    assert sys.modules["colorsys"] is colorsys


def test_a_library_that_is_installed_can_be_named(tmp_path: Path) -> None:
    found = load_metrics([metric("sklearn.metrics:roc_auc_score")], tmp_path)
    assert not isinstance(found, Problem), found
    assert found["own"](np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.2])) == 1.0
