"""What cannot become a faithful ONNX file is refused, with what to change."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # here by way of statsmodels, and without types
import polars as pl
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from tests.support.export_samples import boosted, features, imputed, make_table, pipeline_over
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from mlbot.ml.export import ExportError, export


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two spinning OpenMP threads for each pytest worker make a fit of milliseconds take a minute."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return make_table()


def _table_with_null(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(city=pl.col("city").replace("", None))


def test_missing_text_has_to_be_the_empty_string(table: pl.DataFrame) -> None:
    gaps = _table_with_null(table)
    for frame in (features(gaps), pd.DataFrame(features(gaps).to_dict())):
        estimator = pipeline_over(boosted()).fit(frame, table["label"].to_numpy())
        with pytest.raises(ExportError, match=r"'columns\.text' \(OrdinalEncoder\) was fitted on missing") as caught:
            export(estimator, frame)
        assert "fill_null('')" in caught.value.hint


REFUSED: dict[str, tuple[Any, str, str]] = {
    "native categories": (
        lambda: pipeline_over(boosted(categorical_features=[0])),
        r"Step 'm' \(HistGradientBoostingClassifier\) splits on native categories",
        "categorical_features=None",
    ),
    "infrequent categories": (
        lambda: pipeline_over(boosted(), OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=200)),
        r"Step 'columns\.text' \(OneHotEncoder\) cannot be converted to ONNX: Infrequent categories",
        "supported",
    ),
    "a function": (
        lambda: pipeline_over(boosted(), numbers=FunctionTransformer(np.log1p)),
        r"Step 'columns\.rest' \(FunctionTransformer\) cannot be converted",
        "run:",
    ),
    "a vote": (
        lambda: pipeline_over(VotingClassifier([("a", LogisticRegression())], voting="soft"), numbers=imputed()),
        r"Step 'm' \(VotingClassifier\) cannot be converted to ONNX: flatten_transform",
        "run:",
    ),
    "no probabilities": (
        lambda: pipeline_over(LinearSVC(), numbers=imputed()),
        "gives no probabilities",
        "CalibratedClassifierCV",
    ),
    "calibrated outside": (
        lambda: CalibratedClassifierCV(pipeline_over(boosted()), cv=2),
        "fitted on text and numbers at once",
        "inside that pipeline",
    ),
    "a transformer of one's own": (
        lambda: pipeline_over(boosted(), numbers=_OwnScaler()),
        r"Step 'columns\.rest' \(_OwnScaler\) cannot be converted to ONNX: Unable to find a shape calculator",
        "run:",
    ),
}


class _OwnScaler(StandardScaler):  # type: ignore[misc]  # scikit-learn has no types
    """A class that no converter knows."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_faithfully_is_refused_by_name(name: str, table: pl.DataFrame) -> None:
    make, words, hint = REFUSED[name]
    with np.errstate(all="ignore"):
        estimator = make().fit(features(table), table["label"])
    with pytest.raises(ExportError, match=words) as caught:
        export(estimator, table)
    assert hint in caught.value.hint


def test_encoded_numbers_with_gaps_are_refused(table: pl.DataFrame) -> None:
    x = table.select("size").with_columns(size=pl.col("size").round(0))
    estimator = make_pipeline(ColumnTransformer([("n", OneHotEncoder(), ["size"])]), boosted(max_bins=5))
    estimator = estimator.set_params(columntransformer__sparse_threshold=0).fit(x, table["label"])
    with pytest.raises(ExportError, match="fitted on missing values"):
        export(estimator, x)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned NoneType, which is no scikit-learn estimator"),
        ({"model": 1}, "returned dict"),
        (boosted(), "is not fitted"),
        (StandardScaler(), "no scikit-learn estimator"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(result: Any, words: str, table: pl.DataFrame) -> None:
    with pytest.raises(ExportError, match=words):
        export(result, table)


def test_columns_that_the_data_lacks_are_named(table: pl.DataFrame) -> None:
    estimator = pipeline_over(boosted()).fit(features(table), table["label"])
    with pytest.raises(ExportError, match="'city' that the data does not have"):
        export(estimator, table.drop("city"))
    with pytest.raises(ExportError, match="named columns"):
        export(estimator, table.select("count").to_numpy())


@pytest.mark.parametrize("rows", [np.zeros((5, 3)), np.zeros(5), np.array([["a", "b"]] * 5)])
def test_an_array_of_another_form_is_refused(rows: Any, table: pl.DataFrame) -> None:
    estimator = boosted().fit(table.select("count", "size").to_numpy(), table["label"])
    with pytest.raises(ExportError, match="array of 2 numeric columns"):
        export(estimator, rows)
