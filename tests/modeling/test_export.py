"""Real estimators become real ONNX files that predict as they do, or a refusal that says what to change."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd  # type: ignore[import-untyped]  # here by way of statsmodels, and without types
import polars as pl
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from mlbot.modeling import frames
from mlbot.modeling.export import Exported, export
from mlbot.modeling.sample import ExportError, sample_of

ADULT = Path(__file__).parents[2] / "examples" / "adult-income" / "data" / "train.csv"
ROWS = 600
TIGHT = 1e-5
"""float32 against float64, where no row sits on a split."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two spinning OpenMP threads for each pytest worker make a fit of milliseconds take a minute."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """Text with gaps (`""`), whole numbers, floats with gaps (NaN), booleans; and labels that depend on them."""
    random = np.random.default_rng(0)
    floats = random.normal(size=ROWS).astype(np.float32).astype(np.float64)
    floats[::7] = np.nan
    frame = pl.DataFrame(
        {
            "city": random.choice(["a", "b", "c", ""], ROWS),
            "count": random.integers(0, 4, ROWS),
            "size": floats,
            "flag": random.random(ROWS) > 0.5,
        }
    )
    points = frame.select(
        (pl.col("city") == "a").cast(pl.Float64)
        + pl.col("size").fill_nan(0)
        + pl.col("count") * 0.3
        + pl.col("flag") * 0.2
    ).to_series()
    noisy = points + random.normal(size=ROWS) * 0.3
    return frame.with_columns(label=pl.when(noisy > 1).then(pl.lit("yes")).otherwise(pl.lit("no")), number=noisy)


def _x(table: pl.DataFrame) -> pl.DataFrame:
    return table.select("city", "count", "size", "flag")


def _ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _pipeline(model: Any, encoder: Any = None, numbers: Any = "passthrough") -> Pipeline:
    text = ("text", encoder or _ordinal(), ["city"])
    return Pipeline(
        [("columns", ColumnTransformer([text, ("rest", numbers, ["count", "size", "flag"])])), ("m", model)]
    )


def _boosted(**settings: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=20, random_state=0, **settings)


def _imputed() -> Pipeline:
    return make_pipeline(SimpleImputer(), StandardScaler())


def _run(content: bytes, feed: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(None, feed)
    return outputs


def _metadata(content: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}


def _check_parity(exported: Exported, rows: int = ROWS) -> None:
    assert exported.parity is not None
    assert exported.parity.rows == rows
    assert exported.parity.max_difference < TIGHT
    assert exported.parity.mean_difference <= exported.parity.max_difference
    assert exported.parity.label_disagreements == 0


CLASSIFIERS = {
    "boosted, ordinal": lambda: _pipeline(_boosted()),
    "boosted, one-hot": lambda: _pipeline(_boosted(), OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    "logistic": lambda: _pipeline(LogisticRegression(), OneHotEncoder(handle_unknown="ignore"), _imputed()),
    "searched": lambda: GridSearchCV(_pipeline(_boosted()), {"m__max_depth": [2, 3]}, cv=2),
    "calibrated inside": lambda: _pipeline(CalibratedClassifierCV(_boosted(), cv=2)),
    "imputed text": lambda: _pipeline(
        _boosted(), make_pipeline(SimpleImputer(missing_values="", strategy="constant", fill_value="?"), _ordinal())
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_pipeline_over_mixed_columns(name: str, table: pl.DataFrame) -> None:
    estimator = CLASSIFIERS[name]().fit(_x(table), table["label"])
    exported = export(estimator, table)
    _check_parity(exported)
    model = onnx.load_from_string(exported.model)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["city", "count", "size", "flag"]
    labels, probabilities = _run(exported.model, frames.feed(_x(table)))
    assert probabilities.shape == (ROWS, 2)
    np.testing.assert_array_equal(labels, estimator.predict(_x(table)))
    metadata = _metadata(exported.model)
    assert json.loads(metadata["mlbot.features"]) == ["city", "count", "size", "flag"]
    assert json.loads(metadata["mlbot.classes"]) == ["no", "yes"]
    assert metadata["mlbot.format"] == "columns@1"


def test_unknown_and_missing_values_are_predicted_as_the_estimator_does(table: pl.DataFrame) -> None:
    estimator = _pipeline(_boosted()).fit(_x(table), table["label"])
    exported = export(estimator, table)
    strange = pl.DataFrame(
        {
            "city": ["", "never seen", "a"],
            "count": [float("nan"), 1e6, 0],
            "size": [float("nan")] * 3,
            "flag": [True] * 3,
        }
    )
    np.testing.assert_allclose(
        _run(exported.model, frames.feed(strange))[1], estimator.predict_proba(strange), atol=TIGHT
    )


def test_pandas_gives_the_same_file(table: pl.DataFrame) -> None:
    polars = export(_pipeline(_boosted()).fit(_x(table), table["label"]), table)
    frame = pd.DataFrame(_x(table).to_dict())
    pandas = export(_pipeline(_boosted()).fit(frame, table["label"].to_numpy()), frame)
    _check_parity(pandas)
    assert pandas.model == polars.model


@pytest.mark.parametrize("target", ["count", "flag"])
def test_labels_of_any_type(target: str, table: pl.DataFrame) -> None:
    x = table.select("size")
    exported = export(_boosted().fit(x, table[target].to_numpy()), x)
    _check_parity(exported)
    assert json.loads(_metadata(exported.model)["mlbot.classes"]) == [
        str(label) for label in sorted(set(table[target].to_list()))
    ]


def test_a_regressor(table: pl.DataFrame) -> None:
    estimator = _pipeline(HistGradientBoostingRegressor(max_iter=20)).fit(_x(table), table["number"])
    exported = export(estimator, table)
    _check_parity(exported)
    (predicted,) = _run(exported.model, frames.feed(_x(table)))
    assert predicted.shape == (ROWS, 1)
    assert "mlbot.classes" not in _metadata(exported.model)


@pytest.mark.parametrize(
    "estimator", [_boosted(), make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())]
)
def test_a_model_without_a_column_transformer_still_has_an_input_a_column(estimator: Any, table: pl.DataFrame) -> None:
    x = table.select("count", "size", "flag")
    exported = export(estimator.fit(x, table["label"]), table)
    _check_parity(exported)
    assert _run(exported.model, frames.feed(x))[1].shape == (ROWS, 2)


def test_text_columns_alone(table: pl.DataFrame) -> None:
    x = table.select("city", second=pl.col("city") + "x")
    exported = export(make_pipeline(_ordinal(), _boosted()).fit(x, table["label"]), x)
    _check_parity(exported)


def test_an_array_has_one_input(table: pl.DataFrame) -> None:
    matrix = table.select("count", "size").to_numpy()
    exported = export(_boosted().fit(matrix, table["label"]), matrix, features=["count", "size"])
    _check_parity(exported)
    (only,) = onnx.load_from_string(exported.model).graph.input
    assert [d.dim_value for d in only.type.tensor_type.shape.dim] == [0, 2]
    metadata = _metadata(exported.model)
    assert metadata["mlbot.format"] == "matrix@1"
    assert json.loads(metadata["mlbot.features"]) == ["count", "size"]
    assert "mlbot.features" not in _metadata(export(_boosted().fit(matrix, table["label"]), matrix).model)


def test_columns_may_be_named_anything(table: pl.DataFrame) -> None:
    names = {"city": "label", "count": "probabilities", "size": "größe / m²", "flag": "variable"}
    x = _x(table).rename(names)
    pipeline = make_pipeline(ColumnTransformer([("t", _ordinal(), ["label"])], remainder="passthrough"), _boosted())
    exported = export(pipeline.fit(x, table["label"]), x)
    _check_parity(exported)
    assert json.loads(_metadata(exported.model)["mlbot.features"]) == list(names.values())
    bare = x.drop("label")
    _check_parity(export(_boosted().fit(bare, table["label"]), bare))


def test_columns_are_in_the_order_of_the_training(table: pl.DataFrame) -> None:
    estimator = _pipeline(_boosted()).fit(_x(table), table["label"])
    shuffled = table.select("label", "flag", "size", "city", "number", "count")
    assert export(estimator, shuffled).model == export(estimator, table).model


def test_the_same_training_gives_the_same_bytes(table: pl.DataFrame) -> None:
    def once() -> bytes:
        return export(_pipeline(_boosted()).fit(_x(table), table["label"]), table).model

    assert once() == once()


def test_parity_shows_what_the_converter_gets_wrong(table: pl.DataFrame) -> None:
    forest = _pipeline(RandomForestClassifier(20, random_state=0)).fit(_x(table), table["label"])
    parity = export(forest, table).parity
    assert parity is not None
    assert parity.label_disagreements > 10  # missing numbers take another branch in ONNX
    assert parity.max_difference > 0.1


def test_parity_without_rows_is_none(table: pl.DataFrame) -> None:
    estimator = _pipeline(_boosted()).fit(_x(table), table["label"])
    assert export(estimator, table.head(0)).parity is None


def test_parity_that_is_not_finite_is_none() -> None:
    x = np.arange(20, dtype=np.float64).reshape(-1, 1)
    estimator = Ridge().fit(x, x.ravel())
    estimator.coef_ = np.array([np.nan])
    assert export(estimator, x).parity is None


def _table_with_null(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(city=pl.col("city").replace("", None))


def test_missing_text_has_to_be_the_empty_string(table: pl.DataFrame) -> None:
    gaps = _table_with_null(table)
    for frame in (_x(gaps), pd.DataFrame(_x(gaps).to_dict())):
        estimator = _pipeline(_boosted()).fit(frame, table["label"].to_numpy())
        with pytest.raises(ExportError, match=r"'columns\.text' \(OrdinalEncoder\) was fitted on missing") as caught:
            export(estimator, frame)
        assert "fill_null('')" in caught.value.mend


def test_gaps_in_the_sample_are_fed_as_the_judge_feeds_them(table: pl.DataFrame) -> None:
    gaps = _table_with_null(table)
    polars, pandas = sample_of(_x(gaps)), sample_of(pd.DataFrame(_x(gaps).to_dict()))
    expected = frames.feed(_x(table))
    for sample in (polars, pandas):
        for name, values in expected.items():
            np.testing.assert_array_equal(sample.feed[name], values)
            assert sample.feed[name].dtype == values.dtype


REFUSED: dict[str, tuple[Any, str, str]] = {
    "native categories": (
        lambda: _pipeline(_boosted(categorical_features=[0])),
        r"Step 'm' \(HistGradientBoostingClassifier\) splits on native categories",
        "categorical_features=None",
    ),
    "infrequent categories": (
        lambda: _pipeline(_boosted(), OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=200)),
        r"Step 'columns\.text' \(OneHotEncoder\) cannot be converted to ONNX: Infrequent categories",
        "supported",
    ),
    "a function": (
        lambda: _pipeline(_boosted(), numbers=FunctionTransformer(np.log1p)),
        r"Step 'columns\.rest' \(FunctionTransformer\) cannot be converted",
        "run:",
    ),
    "a vote": (
        lambda: _pipeline(VotingClassifier([("a", LogisticRegression())], voting="soft"), numbers=_imputed()),
        r"Step 'm' \(VotingClassifier\) cannot be converted to ONNX: flatten_transform",
        "run:",
    ),
    "no probabilities": (
        lambda: _pipeline(LinearSVC(), numbers=_imputed()),
        "gives no probabilities",
        "CalibratedClassifierCV",
    ),
    "calibrated outside": (
        lambda: CalibratedClassifierCV(_pipeline(_boosted()), cv=2),
        "fitted on text and numbers at once",
        "inside that pipeline",
    ),
    "a transformer of one's own": (
        lambda: _pipeline(_boosted(), numbers=_OwnScaler()),
        r"Step 'columns\.rest' \(_OwnScaler\) cannot be converted to ONNX: Unable to find a shape calculator",
        "run:",
    ),
}


class _OwnScaler(StandardScaler):  # type: ignore[misc]  # scikit-learn has no types
    """A class that no converter knows."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_faithfully_is_refused_by_name(name: str, table: pl.DataFrame) -> None:
    make, words, mend = REFUSED[name]
    with np.errstate(all="ignore"):
        estimator = make().fit(_x(table), table["label"])
    with pytest.raises(ExportError, match=words) as caught:
        export(estimator, table)
    assert mend in caught.value.mend


def test_encoded_numbers_with_gaps_are_refused(table: pl.DataFrame) -> None:
    x = table.select("size").with_columns(size=pl.col("size").round(0))
    estimator = make_pipeline(ColumnTransformer([("n", OneHotEncoder(), ["size"])]), _boosted(max_bins=5))
    estimator = estimator.set_params(columntransformer__sparse_threshold=0).fit(x, table["label"])
    with pytest.raises(ExportError, match="fitted on missing values"):
        export(estimator, x)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned NoneType, which is no scikit-learn estimator"),
        ({"model": 1}, "returned dict"),
        (_boosted(), "is not fitted"),
        (StandardScaler(), "no scikit-learn estimator"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(result: Any, words: str, table: pl.DataFrame) -> None:
    with pytest.raises(ExportError, match=words):
        export(result, table)


def test_columns_that_the_data_lacks_are_named(table: pl.DataFrame) -> None:
    estimator = _pipeline(_boosted()).fit(_x(table), table["label"])
    with pytest.raises(ExportError, match="'city' that the data does not have"):
        export(estimator, table.drop("city"))
    with pytest.raises(ExportError, match="named columns"):
        export(estimator, table.select("count").to_numpy())


@pytest.mark.parametrize("rows", [np.zeros((5, 3)), np.zeros(5), np.array([["a", "b"]] * 5)])
def test_an_array_of_another_form_is_refused(rows: Any, table: pl.DataFrame) -> None:
    estimator = _boosted().fit(table.select("count", "size").to_numpy(), table["label"])
    with pytest.raises(ExportError, match="array of 2 numeric columns"):
        export(estimator, rows)


def test_columns_of_other_types_are_refused(table: pl.DataFrame) -> None:
    when = table.select("city", when=pl.lit("2026-01-01").str.to_date())
    with pytest.raises(ExportError, match="Column 'when' holds datetime64"):
        sample_of(when)
    with pytest.raises(ExportError, match="Column 'mixed' holds text and other things"):
        sample_of(pd.DataFrame({"mixed": ["a", 1]}))
    with pytest.raises(ExportError, match="Column 'lists' holds list"):
        sample_of(pd.DataFrame({"lists": [[1], [2]]}))


def test_a_sample_is_spread_over_all_rows() -> None:
    sample = sample_of(pl.DataFrame({"n": range(100_001)}), limit=11)
    assert sample.feed["n"].ravel().tolist() == [10_000.0 * step for step in range(11)]


@pytest.mark.slow
def test_the_recipe_of_the_example_on_real_data() -> None:
    table = frames.read(ADULT)
    x, y = table.drop("income", "fnlwgt"), table["income"]
    text = [name for name, dtype in x.schema.items() if dtype == pl.String]
    columns = ColumnTransformer([("text", _ordinal(), text)], remainder="passthrough")
    estimator = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=50, random_state=0)).fit(x, y)
    exported = export(estimator, table)
    _check_parity(exported, rows=2000)
    assert len(exported.model) < 1024**2
    probabilities = _run(exported.model, frames.feed(x))[1]
    np.testing.assert_allclose(probabilities, estimator.predict_proba(x), atol=0.05)
    assert x.height == 32_561


def test_a_network_for_regression(table: pl.DataFrame) -> None:
    pipeline = _pipeline(
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=500, tol=1e-2, random_state=0), OneHotEncoder(), _imputed()
    )
    _check_parity(export(pipeline.fit(_x(table), table["number"]), table))
