"""Write ONNX files of XGBoost, LightGBM, CatBoost, PyTorch, Keras and Hummingbird, with what each answers itself.

`benchmarks/onnx_files.py --python` runs this file with a Python that has these frameworks, mlbot not among them. Each
file gets a folder in the form of `tests/support/odd_files.py`; a framework that is not installed is passed over, and
what a converter refuses to convert is named.
"""

import importlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Case = dict[str, Any]
ROWS = 64
_RNG = np.random.default_rng(11)
COLUMNS = {
    "a": np.round(_RNG.normal(size=ROWS), 2).astype(np.float32),
    "b": np.round(_RNG.normal(size=ROWS), 2).astype(np.float32),
    "c": _RNG.integers(0, 5, ROWS).astype(np.float32),
}
X = np.column_stack(list(COLUMNS.values()))
GAPS = np.where(_RNG.random(X.shape) < 0.15, np.float32("nan"), X)
SCORE = X @ np.array([1.0, -2.0, 0.5]) + _RNG.normal(size=ROWS)
RANK = np.argsort(np.argsort(SCORE))
HIGH, THIRD = (RANK >= ROWS // 2).astype(int), RANK * 3 // ROWS
NO_YES = np.array(["no", "yes"])[HIGH]
LEVELS = np.array(["top", "low", "mid"])[THIRD]
NUMBER = np.asarray(SCORE * 10 + 3)
POSITIVE = np.abs(NUMBER) + 0.1


def case(name: str, model: bytes, y: Array, answer: Array | None, **more: Any) -> Case:
    """One file beside what it answers: (n,) or (n, C), or None where it has to be refused."""
    values = more.pop("features", X)
    table = {c: [None if np.isnan(v) else float(v) for v in values[:, at]] for at, c in enumerate(COLUMNS)}
    words = {"name": name, "csv": False, "classes": [], "reason": "", "says": "", "tolerance": 2e-5, "data": {}}
    task = "regression" if y.dtype.kind == "f" else "binary" if len(set(y.tolist())) == 2 else "multiclass"
    given = None if answer is None else np.asarray(answer, dtype=np.float64).tolist()
    return {**words, "task": task, "table": {**table, "y": y.tolist()}, "answer": given, "model": model, **more}


def refused(name: str, model: bytes, y: Array, reason: str, says: str = "", **more: Any) -> Case:
    return case(name, model, y, None, reason=reason, says=says, **more)


def fitting(estimator: Any, y: Array, features: Array = X) -> Any:
    return estimator.fit(features, y)


def _floats(width: int = 3) -> list[tuple[str, Any]]:
    types = importlib.import_module("onnxmltools.convert.common.data_types")
    return [("features", types.FloatTensorType([None, width]))]


def of_xgboost() -> Iterator[Callable[[], Case]]:
    xgb, tools = importlib.import_module("xgboost"), importlib.import_module("onnxmltools")
    few: dict[str, Any] = {"n_estimators": 6, "max_depth": 3, "random_state": 0}

    def made(model: Any) -> bytes:
        return bytes(tools.convert_xgboost(model, initial_types=_floats()).SerializeToString())

    def binary(name: str, y: Array = HIGH, features: Array = X, kind: Any = xgb.XGBClassifier, **options: Any) -> Case:
        model = fitting(kind(**{**few, **options}), HIGH, features)
        return case(name, made(model), y, model.predict_proba(features)[:, 1], features=features)

    def many(name: str, y: Array, classes: Sequence[str], data: Any, **options: Any) -> Case:
        model = fitting(xgb.XGBClassifier(**few, **options), THIRD)
        return case(name, made(model), y, model.predict_proba(X), classes=list(classes), data=data)

    def number(y: Array = NUMBER, features: Array = X, kind: Any = xgb.XGBRegressor, **options: Any) -> Case:
        model = fitting(kind(**{**few, **options}), y, features)
        name = f"{kind.__name__} {options or ''}{', gaps' if features is GAPS else ''}"
        differs = options.get("objective") == "reg:logistic"  # the score before the sigmoid
        return case(name, made(model), y, model.predict(features), features=features, differs=differs)

    yield lambda: binary("XGBClassifier, 0/1")
    yield lambda: binary("XGBClassifier, codes beside text", NO_YES)
    yield lambda: binary("XGBClassifier, codes beside booleans", HIGH.astype(bool))
    yield lambda: binary("XGBClassifier, gaps", features=GAPS)
    yield lambda: binary("XGBClassifier, base_score", base_score=0.3)
    yield lambda: binary("XGBClassifier, dart", booster="dart")
    yield lambda: binary("XGBClassifier, gblinear", booster="gblinear")
    yield lambda: binary("XGBRFClassifier", kind=xgb.XGBRFClassifier)
    yield lambda: binary("XGBClassifier, early stopping off, lossguide", grow_policy="lossguide", tree_method="hist")
    yield lambda: many("XGBClassifier, 0/1/2", THIRD, "012", {})
    names = {"classes": ["top", "low", "mid"]}
    yield lambda: many("XGBClassifier, codes beside text, classes say so", LEVELS, names["classes"], names)

    def coded(y: Array) -> Case:
        model = fitting(xgb.XGBClassifier(**few), THIRD)
        return refused(f"XGBClassifier, codes beside {y[0]!s}", made(model), y, "model-outputs", "data.classes")

    yield partial(coded, LEVELS)
    yield partial(coded, THIRD + 1)

    def raw(objective: str) -> Case:
        model = fitting(xgb.XGBClassifier(**few, objective=objective), HIGH)
        return refused(f"XGBClassifier, {objective}", made(model), HIGH, "not-probabilities")

    yield partial(raw, "binary:logitraw")

    def hard() -> Case:
        model = fitting(xgb.XGBClassifier(**few, objective="multi:softmax"), THIRD)
        return refused("XGBClassifier, multi:softmax", made(model), THIRD, "not-probabilities", "softmax")

    yield hard
    yield partial(number)
    yield lambda: number(features=GAPS)
    for objective in ("reg:absoluteerror", "reg:pseudohubererror"):
        yield lambda objective=objective: number(objective=objective)  # type: ignore[misc]
    for objective in ("count:poisson", "reg:gamma", "reg:tweedie"):
        yield lambda objective=objective: number(POSITIVE, objective=objective)  # type: ignore[misc]
    yield lambda: number(HIGH.astype(float), objective="reg:logistic")
    yield lambda: number(kind=xgb.XGBRFRegressor)
    yield lambda: number(booster="gblinear")


def of_lightgbm() -> Iterator[Callable[[], Case]]:
    lgb, tools = importlib.import_module("lightgbm"), importlib.import_module("onnxmltools")
    few: dict[str, Any] = {"n_estimators": 6, "min_child_samples": 5, "verbose": -1, "random_state": 0}

    def made(model: Any, *, zipmap: bool = False) -> bytes:
        return bytes(tools.convert_lightgbm(model, initial_types=_floats(), zipmap=zipmap).SerializeToString())

    def binary(
        name: str, y: Array, features: Array = X, *, zipmap: bool = False, differs: bool = False, **options: Any
    ) -> Case:
        model = fitting(lgb.LGBMClassifier(**{**few, **options}), y, features)
        answer = model.predict_proba(features)[:, 1]
        return case(name, made(model, zipmap=zipmap), y, answer, features=features, differs=differs)

    def many(name: str, y: Array, *, zipmap: bool = False, differs: bool = False, **options: Any) -> Case:
        model = fitting(lgb.LGBMClassifier(**{**few, **options}), y)
        classes = [str(label) for label in model.classes_]
        return case(name, made(model, zipmap=zipmap), y, model.predict_proba(X), classes=classes, differs=differs)

    def number(y: Array = NUMBER, features: Array = X, **options: Any) -> Case:
        model = fitting(lgb.LGBMRegressor(**{**few, **options}), y, features)
        name = f"LGBMRegressor {options or ''}{', gaps' if features is GAPS else ''}"
        differs = options.get("boosting_type") == "rf"  # the sum of the trees instead of their mean
        return case(name, made(model), y, model.predict(features), features=features, differs=differs)

    for zipmap in (False, True):
        boxed = ", ZipMap" if zipmap else ""
        yield lambda z=zipmap, s=boxed: binary(f"LGBMClassifier, 0/1{s}", HIGH, zipmap=z)  # type: ignore[misc]
        yield lambda z=zipmap, s=boxed: binary(f"LGBMClassifier, text{s}", NO_YES, zipmap=z)  # type: ignore[misc]
        yield lambda z=zipmap, s=boxed: many(f"LGBMClassifier, 1/2/3{s}", THIRD + 1, zipmap=z)  # type: ignore[misc]
        yield lambda z=zipmap, s=boxed: many(f"LGBMClassifier, three texts{s}", LEVELS, zipmap=z)  # type: ignore[misc]
    forest: dict[str, Any] = {"boosting_type": "rf", "subsample": 0.7, "subsample_freq": 1}
    yield lambda: binary("LGBMClassifier, gaps", HIGH, GAPS)
    yield lambda: binary("LGBMClassifier, zero_as_missing", HIGH, zero_as_missing=True, differs=True)
    yield lambda: binary("LGBMClassifier, -1/1", HIGH * 2 - 1)
    yield lambda: binary("LGBMClassifier, booleans", HIGH.astype(bool))
    yield lambda: binary("LGBMClassifier, dart", HIGH, boosting_type="dart")
    yield lambda: binary("LGBMClassifier, rf", HIGH, differs=True, **forest)
    yield lambda: binary("LGBMClassifier, sigmoid 2", HIGH, sigmoid=2.0, differs=True)
    yield lambda: many("LGBMClassifier, multiclassova", THIRD, objective="multiclassova", differs=True)
    yield number
    yield lambda: number(features=GAPS)
    for objective in ("regression_l1", "huber", "quantile"):
        yield lambda objective=objective: number(objective=objective)  # type: ignore[misc]
    for objective in ("poisson", "gamma", "tweedie"):
        yield lambda objective=objective: number(POSITIVE, objective=objective)  # type: ignore[misc]
    yield lambda: number(**forest)


def of_catboost() -> Iterator[Callable[[], Case]]:
    cat = importlib.import_module("catboost")
    few: dict[str, Any] = {"iterations": 6, "depth": 3, "verbose": False, "allow_writing_files": False}

    def made(model: Any) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            model.save_model(str(Path(folder) / "m.onnx"), format="onnx")
            return (Path(folder) / "m.onnx").read_bytes()

    def classes(name: str, y: Array, features: Array = X, **options: Any) -> Case:
        model = fitting(cat.CatBoostClassifier(**few, **options), y, features)
        answer, labels = model.predict_proba(features), [str(label) for label in model.classes_]
        if len(labels) == 2:
            return case(name, made(model), y, answer[:, 1], features=features)
        differs = "loss_function" in options  # a softmax instead of sigmoids
        return case(name, made(model), y, answer, classes=labels, differs=differs)

    def number(name: str, y: Array = NUMBER, features: Array = X, **options: Any) -> Case:
        model = fitting(cat.CatBoostRegressor(**few, **options), y, features)
        differs = options.get("loss_function") == "Poisson"  # the logarithm
        return case(name, made(model), y, model.predict(features), features=features, differs=differs)

    yield lambda: classes("CatBoostClassifier, 0/1", HIGH)
    yield lambda: classes("CatBoostClassifier, 1/2", HIGH + 1)
    yield lambda: classes("CatBoostClassifier, text", NO_YES)
    yield lambda: classes("CatBoostClassifier, booleans", HIGH.astype(bool))
    yield lambda: classes("CatBoostClassifier, gaps", HIGH, GAPS)
    yield lambda: classes("CatBoostClassifier, CrossEntropy", HIGH, loss_function="CrossEntropy")
    yield lambda: classes("CatBoostClassifier, 0/1/2", THIRD)
    yield lambda: classes("CatBoostClassifier, 1/2/3", THIRD + 1)
    yield lambda: classes("CatBoostClassifier, three texts", LEVELS)
    yield lambda: classes("CatBoostClassifier, MultiClassOneVsAll", THIRD, loss_function="MultiClassOneVsAll")
    yield lambda: number("CatBoostRegressor")
    yield lambda: number("CatBoostRegressor, gaps", features=GAPS)
    yield lambda: number("CatBoostRegressor, MAE", loss_function="MAE")
    yield lambda: number("CatBoostRegressor, Poisson", POSITIVE, loss_function="Poisson")
    yield lambda: number("CatBoostRegressor, Quantile", loss_function="Quantile:alpha=0.9")

    def several() -> Case:
        model = fitting(cat.CatBoostRegressor(**few, loss_function="MultiRMSE"), np.column_stack([NUMBER, NUMBER]))
        return refused("CatBoostRegressor, MultiRMSE", made(model), NUMBER, "model-refused", "ZipMap")

    yield several


def of_hummingbird() -> Iterator[Callable[[], Case]]:
    """Trees as tensor operations, as ONNX through PyTorch."""
    bird = importlib.import_module("hummingbird.ml")
    torch = importlib.import_module("torch")
    torch.onnx.export = partial(torch.onnx.export, dynamo=False)  # the only way that Hummingbird knows
    sklearn, linear = importlib.import_module("sklearn.ensemble"), importlib.import_module("sklearn.linear_model")

    def made(model: Any) -> bytes:
        return bytes(bird.convert(model, "onnx", X).model.SerializeToString())

    def classes(estimator: Any, y: Array) -> Case:
        model = fitting(estimator, y)
        answer, labels = model.predict_proba(X), [str(label) for label in model.classes_]
        name = f"{type(estimator).__name__}, {'/'.join(labels)}"
        if len(labels) == 2:
            return case(name, made(model), y, answer[:, 1])
        return case(name, made(model), y, answer, classes=labels)

    def number(estimator: Any) -> Case:
        model = fitting(estimator, NUMBER)
        differs = isinstance(estimator, sklearn.RandomForestRegressor)  # another side of a threshold
        return case(type(estimator).__name__, made(model), NUMBER, model.predict(X), differs=differs)

    def for_many(estimator: Any, y: Array) -> Case:
        """Of boosted trees of a small depth: a file that takes 64 rows, and not one."""
        name = f"{type(estimator).__name__}, a shape of the trace"
        return refused(name, made(fitting(estimator, y)), y, "scoring-failed", "not on a row alone")

    yield lambda: classes(sklearn.RandomForestClassifier(4, max_depth=3, random_state=0), HIGH)
    yield lambda: classes(sklearn.RandomForestClassifier(4, max_depth=3, random_state=0), THIRD)
    yield lambda: classes(linear.LogisticRegression(), HIGH)
    yield lambda: number(sklearn.RandomForestRegressor(4, max_depth=3, random_state=0))
    yield lambda: number(linear.LinearRegression())
    yield lambda: for_many(sklearn.GradientBoostingClassifier(n_estimators=4, random_state=0), HIGH)
    boosters = {name: importlib.import_module(name) for name in ("lightgbm", "xgboost")}
    yield lambda: for_many(boosters["lightgbm"].LGBMClassifier(n_estimators=4, verbose=-1), HIGH)
    yield lambda: for_many(boosters["lightgbm"].LGBMRegressor(n_estimators=4, verbose=-1), NUMBER)
    yield lambda: classes(boosters["xgboost"].XGBClassifier(n_estimators=4), HIGH)
    yield lambda: number(boosters["xgboost"].XGBRegressor(n_estimators=4))


def _modules(torch: Any) -> Any:
    """Modules around another one."""

    class Around(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

    class Flat(Around):
        def forward(self, x: Any) -> Any:
            return self.inner(x).squeeze(-1)

    class Columns(Around):
        def forward(self, a: Any, b: Any, c: Any) -> Any:
            return self.inner(torch.cat([a, b, c], dim=1))

    class FlatColumns(Around):
        def forward(self, a: Any, b: Any, c: Any) -> Any:
            return self.inner(torch.stack([a, b, c], dim=1))

    class Both(Around):
        def forward(self, x: Any) -> Any:
            logits = self.inner(x)
            return logits, torch.softmax(logits, dim=1)

    class Label(Around):
        def forward(self, x: Any) -> Any:
            return torch.argmax(self.inner(x), dim=1)

    class Whole(Around):
        def forward(self, x: Any) -> Any:
            return torch.round(self.inner(x)).to(torch.int64)

    return SimpleNamespace(Flat=Flat, Columns=Columns, FlatColumns=FlatColumns, Both=Both, Label=Label, Whole=Whole)


def _exported(module: Any, given: Sequence[Any], *, dynamo: bool, fixed: bool = False, **options: Any) -> bytes:
    torch = importlib.import_module("torch")
    names = ["features"] if len(given) == 1 else list("abc")
    options = {"input_names": names, "output_names": ["out"], **options}
    if not fixed and dynamo:
        options["dynamic_shapes"] = tuple({0: torch.export.Dim("batch")} for _ in given)
    elif not fixed:
        options["dynamic_axes"] = {name: {0: "batch"} for name in [*names, *options["output_names"]]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        torch.onnx.export(module, tuple(given), str(path), dynamo=dynamo, verbose=False, **options)
        return path.read_bytes()


def of_torch() -> Iterator[Callable[[], Case]]:
    """By the exporter of the past and by that of `torch.export`."""
    for dynamo in (False, True):
        yield from _of_torch(dynamo=dynamo)


def _of_torch(*, dynamo: bool) -> Iterator[Callable[[], Case]]:
    torch = importlib.import_module("torch")
    nn, kinds, way = torch.nn, _modules(torch), "dynamo" if dynamo else "legacy"
    inputs = torch.tensor(X)

    def net(width: int, *last: Any) -> Any:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, width), *last).eval()

    def one(name: str, module: Any, y: Array, *given: Any, **more: Any) -> Case:
        given = given or (inputs,)
        with torch.no_grad():
            answer = np.asarray(module(*given).numpy()).reshape(ROWS, -1)
        many = answer.shape[1] > 2
        read, more = (answer, {"classes": ["0", "1", "2"], **more}) if many else (answer[:, -1], more)
        return case(f"{name}, {way}", _exported(module, given, dynamo=dynamo), y, read, **more)

    def no(name: str, module: Any, y: Array, reason: str, says: str, **more: Any) -> Case:
        return refused(f"{name}, {way}", _exported(module, (inputs,), dynamo=dynamo, **more), y, reason, says)

    each, flat = ([inputs[:, part] for part in parts] for parts in ([[0], [1], [2]], [0, 1, 2]))
    yield partial(one, "softmax [N,2]", net(2, nn.Softmax(dim=1)), HIGH)
    yield partial(one, "softmax [N,2] beside text", net(2, nn.Softmax(dim=1)), NO_YES)
    yield partial(one, "softmax [N,3]", net(3, nn.Softmax(dim=1)), THIRD)
    yield partial(one, "sigmoid [N,1]", net(1, nn.Sigmoid()), HIGH)
    yield partial(one, "sigmoid [N]", kinds.Flat(net(1, nn.Sigmoid())), HIGH)
    yield partial(one, "an input a column [N,1]", kinds.Columns(net(1, nn.Sigmoid())), HIGH, *each)
    yield partial(one, "an input a column [N]", kinds.FlatColumns(net(1, nn.Sigmoid())), HIGH, *flat)
    yield partial(one, "double", net(2, nn.Softmax(dim=1)).double(), HIGH, inputs.double(), tolerance=1e-9)
    yield partial(one, "regression [N,1]", net(1), NUMBER)
    yield partial(one, "regression [N]", kinds.Flat(net(1)), NUMBER)
    yield partial(one, "regression of whole numbers", kinds.Whole(net(1)), NUMBER)
    yield partial(no, "logits [N,2]", net(2), HIGH, "not-probabilities", "softmax")
    yield partial(no, "logits [N,1]", net(1), HIGH, "not-probabilities", "sigmoid")
    yield partial(no, "logits [N,3]", net(3), THIRD, "not-probabilities", "softmax")
    yield partial(no, "log-softmax", net(3, nn.LogSoftmax(dim=1)), THIRD, "not-probabilities", "log-softmax")
    yield partial(no, "label alone", kinds.Label(net(3)), THIRD, "model-outputs", "labels only")
    yield partial(no, "fixed batch", net(2, nn.Softmax(dim=1)), HIGH, "model-inputs", "rows at a time", fixed=True)
    two = {"output_names": ["logits", "scores"]}
    yield partial(no, "logits and softmax", kinds.Both(net(2)), HIGH, "model-outputs", "'logits', 'scores'", **two)
    if dynamo:
        wide = nn.Sequential(nn.Linear(3, 4096), nn.Linear(4096, 2), nn.Softmax(dim=1))
        yield partial(no, "weights in another file", wide, HIGH, "model-refused", "in another file", external_data=True)


def of_keras() -> Iterator[Callable[[], Case]]:
    """On PyTorch's backend."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = importlib.import_module("keras")
    layers = keras.layers

    def made(model: Any) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            model.export(str(path), format="onnx", verbose=False)
            return path.read_bytes()

    def net(width: int, last: str | None) -> Any:
        keras.utils.set_random_seed(0)
        steps = [keras.Input((3,)), layers.Normalization(), layers.Dense(8, "relu"), layers.Dropout(0.5)]
        return keras.Sequential([*steps, layers.Dense(width, last)])

    def of_scores(name: str, width: int, says: str) -> Case:
        model = net(width, None)
        model.predict(X, verbose=0)
        return refused(name, made(model), HIGH, "not-probabilities", says)

    def by_column() -> Any:
        keras.utils.set_random_seed(0)
        ports = [keras.Input((1,), name=name) for name in "abc"]
        return keras.Model(ports, layers.Dense(1, "sigmoid")(layers.Concatenate()(ports)))

    def one(name: str, model: Any, y: Array, given: Any = X) -> Case:
        answer = np.asarray(model.predict(given, verbose=0))
        if answer.shape[1] > 2:
            return case(name, made(model), y, answer, classes=["0", "1", "2"])
        return case(name, made(model), y, answer[:, -1])

    yield lambda: one("sigmoid", net(1, "sigmoid"), HIGH)
    yield lambda: one("softmax of two", net(2, "softmax"), HIGH)
    yield lambda: one("softmax of three", net(3, "softmax"), THIRD)
    yield lambda: one("regression", net(1, None), NUMBER)
    yield lambda: one("an input a column", by_column(), HIGH, [X[:, at : at + 1] for at in range(3)])
    yield lambda: of_scores("logits of two", 2, "softmax")
    yield lambda: of_scores("logits of one", 1, "sigmoid")


FRAMEWORKS: Mapping[str, Callable[[], Iterator[Callable[[], Case]]]] = {
    "xgboost": of_xgboost,
    "lightgbm": of_lightgbm,
    "catboost": of_catboost,
    "hummingbird": of_hummingbird,
    "torch": of_torch,
    "keras": of_keras,
}


def main() -> int:
    """Write a folder a file into the folder that is given; the names of frameworks may follow."""
    folder, *names = sys.argv[1:]
    warnings.simplefilter("ignore")
    for framework in names or FRAMEWORKS:
        at = 0
        try:
            for at, make in enumerate(FRAMEWORKS[framework](), 1):
                _write(Path(folder) / f"{framework}-{at:02}", framework, make)
        except ImportError as error:
            print(f"{framework} after {at} files: {error}", file=sys.stderr)
    return 0


def _write(folder: Path, framework: str, make: Callable[[], Case]) -> None:
    try:
        words = make()
    except Exception as error:  # noqa: BLE001 - a converter may fail in any way
        what = " ".join(str(error).split())[:200]
        print(f"{folder.name} is not converted: {type(error).__name__}: {what}", file=sys.stderr)
        return
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(words.pop("model"))
    (folder / "case.json").write_text(json.dumps({"kind": framework, **words}))


if __name__ == "__main__":
    sys.exit(main())
