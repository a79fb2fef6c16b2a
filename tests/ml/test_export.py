"""Real estimators become real ONNX files that predict as they do, or a refusal that says what to change."""

import io
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
from onnx import helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from tests.support.export_samples import ROWS, boosted, features, fed, imputed, make_table, ordinal, pipeline_over
from tests.support.onnx_samples import build, port
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from mlbot.gates.metric import Task
from mlbot.ml import frames
from mlbot.ml.export import Exported, ExportError, export, refuse_operators, sample_of
from mlbot.ml.protocol import OPERATORS, Batch, Column, Expected, Feature, Kind
from mlbot.ml.runtime import Runtime

ADULT = Path(__file__).parents[2] / "examples" / "adult-income" / "data" / "train.csv"
TIGHT = 1e-5
"""float32 against float64, where no row sits on a split."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two spinning OpenMP threads for each pytest worker make a fit of milliseconds take a minute."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return make_table()


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
    "boosted, ordinal": lambda: pipeline_over(boosted()),
    "boosted, one-hot": lambda: pipeline_over(boosted(), OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    "logistic": lambda: pipeline_over(LogisticRegression(), OneHotEncoder(handle_unknown="ignore"), imputed()),
    "searched": lambda: GridSearchCV(pipeline_over(boosted()), {"m__max_depth": [2, 3]}, cv=2),
    "calibrated inside": lambda: pipeline_over(CalibratedClassifierCV(boosted(), cv=2)),
    "imputed text": lambda: pipeline_over(
        boosted(), make_pipeline(SimpleImputer(missing_values="", strategy="constant", fill_value="?"), ordinal())
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_pipeline_over_mixed_columns(name: str, table: pl.DataFrame) -> None:
    estimator = CLASSIFIERS[name]().fit(features(table), table["label"])
    exported = export(estimator, table)
    _check_parity(exported)
    model = onnx.load_from_string(exported.model)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["city", "count", "size", "flag"]
    labels, probabilities = _run(exported.model, fed(features(table)))
    assert probabilities.shape == (ROWS, 2)
    np.testing.assert_array_equal(labels, estimator.predict(features(table)))
    metadata = _metadata(exported.model)
    assert json.loads(metadata["mlbot.features"]) == ["city", "count", "size", "flag"]
    assert json.loads(metadata["mlbot.classes"]) == ["no", "yes"]
    assert metadata["mlbot.format"] == "columns@1"


def test_unknown_and_missing_values_are_predicted_as_the_estimator_does(table: pl.DataFrame) -> None:
    estimator = pipeline_over(boosted()).fit(features(table), table["label"])
    exported = export(estimator, table)
    strange = pl.DataFrame(
        {
            "city": ["", "never seen", "a"],
            "count": [float("nan"), 1e6, 0],
            "size": [float("nan")] * 3,
            "flag": [True] * 3,
        }
    )
    np.testing.assert_allclose(_run(exported.model, fed(strange))[1], estimator.predict_proba(strange), atol=TIGHT)


def test_pandas_gives_the_same_file(table: pl.DataFrame) -> None:
    polars = export(pipeline_over(boosted()).fit(features(table), table["label"]), table)
    frame = pd.DataFrame(features(table).to_dict())
    pandas = export(pipeline_over(boosted()).fit(frame, table["label"].to_numpy()), frame)
    _check_parity(pandas)
    assert pandas.model == polars.model


@pytest.mark.parametrize("target", ["count", "flag"])
def test_labels_of_any_type(target: str, table: pl.DataFrame) -> None:
    x = table.select("size")
    exported = export(boosted().fit(x, table[target].to_numpy()), x)
    _check_parity(exported)
    assert json.loads(_metadata(exported.model)["mlbot.classes"]) == [
        str(label) for label in sorted(set(table[target].to_list()))
    ]


def test_a_regressor(table: pl.DataFrame) -> None:
    estimator = pipeline_over(HistGradientBoostingRegressor(max_iter=20)).fit(features(table), table["number"])
    exported = export(estimator, table)
    _check_parity(exported)
    (predicted,) = _run(exported.model, fed(features(table)))
    assert predicted.shape == (ROWS, 1)
    assert "mlbot.classes" not in _metadata(exported.model)


@pytest.mark.parametrize(
    "estimator", [boosted(), make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())]
)
def test_a_model_without_a_column_transformer_still_has_an_input_a_column(estimator: Any, table: pl.DataFrame) -> None:
    x = table.select("count", "size", "flag")
    exported = export(estimator.fit(x, table["label"]), table)
    _check_parity(exported)
    assert _run(exported.model, fed(x))[1].shape == (ROWS, 2)


def test_text_columns_alone(table: pl.DataFrame) -> None:
    x = table.select("city", second=pl.col("city") + "x")
    exported = export(make_pipeline(ordinal(), boosted()).fit(x, table["label"]), x)
    _check_parity(exported)


def test_an_array_has_one_input(table: pl.DataFrame) -> None:
    matrix = table.select("count", "size").to_numpy()
    exported = export(boosted().fit(matrix, table["label"]), matrix, features=["count", "size"])
    _check_parity(exported)
    (only,) = onnx.load_from_string(exported.model).graph.input
    assert [d.dim_value for d in only.type.tensor_type.shape.dim] == [0, 2]
    metadata = _metadata(exported.model)
    assert metadata["mlbot.format"] == "matrix@1"
    assert json.loads(metadata["mlbot.features"]) == ["count", "size"]
    assert "mlbot.features" not in _metadata(export(boosted().fit(matrix, table["label"]), matrix).model)


def test_columns_may_be_named_anything(table: pl.DataFrame) -> None:
    names = {"city": "label", "count": "probabilities", "size": "größe / m²", "flag": "variable"}
    x = features(table).rename(names)
    pipeline = make_pipeline(ColumnTransformer([("t", ordinal(), ["label"])], remainder="passthrough"), boosted())
    exported = export(pipeline.fit(x, table["label"]), x)
    _check_parity(exported)
    assert json.loads(_metadata(exported.model)["mlbot.features"]) == list(names.values())
    bare = x.drop("label")
    _check_parity(export(boosted().fit(bare, table["label"]), bare))


def test_columns_are_in_the_order_of_the_training(table: pl.DataFrame) -> None:
    estimator = pipeline_over(boosted()).fit(features(table), table["label"])
    shuffled = table.select("label", "flag", "size", "city", "number", "count")
    assert export(estimator, shuffled).model == export(estimator, table).model


def test_the_same_training_gives_the_same_bytes(table: pl.DataFrame) -> None:
    def once() -> bytes:
        return export(pipeline_over(boosted()).fit(features(table), table["label"]), table).model

    assert once() == once()


def test_parity_shows_what_the_converter_gets_wrong(table: pl.DataFrame) -> None:
    forest = pipeline_over(RandomForestClassifier(20, random_state=0)).fit(features(table), table["label"])
    parity = export(forest, table).parity
    assert parity is not None
    assert parity.label_disagreements > 10  # missing numbers take another branch in ONNX
    assert parity.max_difference > 0.1


def test_parity_without_rows_is_none(table: pl.DataFrame) -> None:
    estimator = pipeline_over(boosted()).fit(features(table), table["label"])
    assert export(estimator, table.head(0)).parity is None


def test_parity_that_is_not_finite_is_none() -> None:
    x = np.arange(20, dtype=np.float64).reshape(-1, 1)
    estimator = Ridge().fit(x, x.ravel())
    estimator.coef_ = np.array([np.nan])
    assert export(estimator, x).parity is None


def test_the_recipe_of_the_example_on_real_data() -> None:
    table = frames.read(ADULT)
    x, y = table.drop("income", "fnlwgt"), table["income"]
    text = [name for name, dtype in x.schema.items() if dtype == pl.String]
    columns = ColumnTransformer([("text", ordinal(), text)], remainder="passthrough")
    estimator = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=50, random_state=0)).fit(x, y)
    exported = export(estimator, table)
    _check_parity(exported, rows=2000)
    assert len(exported.model) < 1024**2
    probabilities = _run(exported.model, fed(x))[1]
    np.testing.assert_allclose(probabilities, estimator.predict_proba(x), atol=0.05)
    assert x.height == 32_561


def test_a_network_for_regression(table: pl.DataFrame) -> None:
    pipeline = pipeline_over(
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=500, tol=1e-2, random_state=0), OneHotEncoder(), imputed()
    )
    _check_parity(export(pipeline.fit(features(table), table["number"]), table))


# What cannot become a faithful ONNX file is refused, with what to change.


def _table_with_null(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(city=pl.col("city").replace("", None))


def test_missing_text_has_to_be_the_empty_string(table: pl.DataFrame) -> None:
    gaps = _table_with_null(table)
    for frame in (features(gaps), pd.DataFrame(features(gaps).to_dict())):
        estimator = pipeline_over(boosted()).fit(frame, table["label"].to_numpy())
        with pytest.raises(ExportError, match=r"'columns\.text' \(OrdinalEncoder\) was fitted on missing") as caught:
            export(estimator, frame)
        assert "fill_null('')" in caught.value.hint


@pytest.mark.parametrize("fitted", ["pandas", "frames"])
@pytest.mark.parametrize("asked", ["pandas", "frames"])
@pytest.mark.parametrize(
    "steps",
    [
        lambda: [SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")],
        lambda: [SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore")],
        lambda: [OneHotEncoder(handle_unknown="ignore")],
    ],
    ids=["most frequent", "constant", "a category of its own"],
)
def test_text_and_booleans_with_gaps_are_exported_as_they_were_fitted(steps: Any, fitted: str, asked: str) -> None:
    """As most people write it, in pandas or with mlbot's reader; and asked for rows of the same form or of mlbot's."""
    rng = np.random.default_rng(0)
    x, c, b = rng.normal(size=400), rng.choice(["u", "v", "w", ""], 400), rng.choice(["true", "false", ""], 400)
    y = ((x + (c == "u") - 2.0 * (c == "") + (b == "true")) > 0).astype(int)
    lines = "".join(f"{each[0]:.4f},{each[1]},{each[2]}\n" for each in zip(x, c, b, strict=True))
    content = f"x,c,b\n{lines}".encode()
    tables = {"pandas": pd.read_csv(io.BytesIO(content)), "frames": frames.read(content)}
    if (fitted, asked) == ("frames", "pandas"):
        return
    columns = [
        ("x", SimpleImputer(), ["x"]),
        ("c", make_pipeline(*steps()), ["c"]),
        ("b", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["b"]),
    ]
    estimator = make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(tables[fitted], y)
    parity = export(estimator, tables[asked]).parity
    assert parity is not None
    assert (parity.label_disagreements, parity.max_difference < 1e-5) == (0, True)


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


def test_text_and_booleans_filled_in_one_step_are_refused_with_the_way_out() -> None:
    table = pd.DataFrame({"c": ["u", "v", None, "u"] * 9, "b": [True, None, False, True] * 9})
    both = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    estimator = make_pipeline(ColumnTransformer([("both", both, ["c", "b"])]), LogisticRegression())
    estimator.fit(table, [0, 1, 1, 0] * 9)
    with pytest.raises(ExportError, match=r"SimpleImputer\) fills text and booleans or numbers at once") as caught:
        export(estimator, table)
    assert "step of their own" in caught.value.hint


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


# The rows on which parity is measured, as the estimator and as the judge see them.


def test_gaps_in_the_sample_are_fed_as_the_judge_feeds_them(table: pl.DataFrame) -> None:
    gaps = _table_with_null(table)
    polars, pandas = sample_of(features(gaps)), sample_of(pd.DataFrame(features(gaps).to_dict()))
    expected = fed(features(table))
    for sample in (polars, pandas):
        for name, values in expected.items():
            np.testing.assert_array_equal(sample.feed[name], values)
            assert sample.feed[name].dtype == values.dtype


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


# Text: what is exported, the judge loads, and it has scikit-learn's words.

WORDS = [
    "Good",
    "bad",
    "Nice",
    "awful",
    "movie",
    "film",
    "great",
    "Poor",
    "the",
    "a",
    "it's",
    "don't",
    "über",
    "ok",
    "3",
    "x1",
    "Not",
]
TEXTS = [" ".join(np.random.default_rng(at).choice(WORDS, 6)) for at in range(200)] + [""]
LIKED = np.array(["yes" if "Good" in text or "great" in text else "no" for text in TEXTS])
VECTORIZERS: dict[str, Any] = {
    "as it is": TfidfVectorizer(),
    "as written": TfidfVectorizer(lowercase=False),
    "counts": CountVectorizer(),
    "counts as written": CountVectorizer(lowercase=False, binary=True),
    "letters": TfidfVectorizer(analyzer="char", ngram_range=(1, 3)),
    "letters as written": TfidfVectorizer(analyzer="char", lowercase=False),
    "pairs": TfidfVectorizer(ngram_range=(1, 2)),
    "stop words": TfidfVectorizer(stop_words="english"),
    "a pattern": TfidfVectorizer(token_pattern="[a-zA-Z]+"),
}


@pytest.mark.parametrize("name", VECTORIZERS)
def test_text_is_exported_with_the_words_that_it_was_fitted_on_and_the_judge_loads_it(name: str) -> None:
    frame = pd.DataFrame({"text": TEXTS})
    words = ColumnTransformer([("words", VECTORIZERS[name], "text")])
    pipeline = make_pipeline(words, LogisticRegression()).fit(frame, LIKED)
    exported = export(pipeline, frame)
    assert exported.parity is not None
    assert exported.parity.max_difference < TIGHT
    refuse_operators(exported.model, OPERATORS)
    expected = Expected(task=Task.BINARY, features=(Feature(name="text", kind=Kind.TEXT),), classes=("no", "yes"))
    judge = Runtime(expected, 1)
    judge.load(exported.model)
    batch = Batch(rows=3, columns=(Column(dtype="|u1", categories=("", *TEXTS[:2])),), parts=(1, 2))
    found, _ = judge.predict(batch, bytes([0, 1, 2]))
    np.testing.assert_allclose(found, pipeline.predict_proba(pd.DataFrame({"text": ["", *TEXTS[:2]]})), atol=TIGHT)


SEVERAL: dict[str, Any] = {
    "a forest": RandomForestClassifier(8, random_state=0),
    "a model a label": MultiOutputClassifier(LogisticRegression()),
    "a model a label in a pipeline": make_pipeline(StandardScaler(), MultiOutputClassifier(LogisticRegression())),
    "one against the rest": OneVsRestClassifier(LogisticRegression()),
    "a network": MLPClassifier((4,), max_iter=30, random_state=0),
    "numbers of a forest": RandomForestRegressor(8, random_state=0),
    "numbers of a line": Ridge(),
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.filterwarnings("ignore")  # the networks need not converge
def test_what_has_several_targets_is_judged_as_the_estimator_predicts(name: str) -> None:
    x = np.random.default_rng(0).integers(-8, 8, size=(120, 3)).astype(np.float64)
    labels = np.stack([x[:, 0] > 0, x[:, 1] > x[:, 2], x[:, 2] > 3, x[:, 0] + x[:, 1] > 2], axis=1).astype(int)
    estimator = SEVERAL[name].fit(x, labels)
    exported = export(estimator, x, features=["a", "b", "c"])
    assert exported.parity is not None
    assert exported.parity.mean_difference < TIGHT
    judge = Runtime(
        Expected(
            task=Task.MULTIOUTPUT if name.startswith("numbers") else Task.MULTILABEL,
            features=tuple(Feature(name=name, kind=Kind.FLOAT) for name in "abc"),
            classes=("p", "q", "r", "s"),
        ),
        1,
    )
    judge.load(exported.model)
    batch = Batch(rows=120, columns=(Column(dtype="<f8"),) * 3, parts=(1, 119))
    found, _ = judge.predict(batch, np.asfortranarray(x).tobytes("F"))
    answers = estimator.predict(x) if name.startswith("numbers") else estimator.predict_proba(x)
    wanted = np.stack([each[:, 1] for each in answers], axis=1) if isinstance(answers, list) else answers
    np.testing.assert_allclose(found, wanted, atol=TIGHT)


@pytest.mark.parametrize(
    ("estimator", "constant", "words"),
    [
        (DecisionTreeClassifier(max_depth=1), 0, "DecisionTreeClassifier for several labels wrong: its probabilities"),
        (MLPRegressor(hidden_layer_sizes=(2,), tol=9), 0, "makes one column of the 2 of MLPRegressor"),
        (RandomForestClassifier(3), 1, "Label 2 of 2 does not have both 0 and 1 in the training data"),
    ],
)
def test_labels_that_would_be_judged_otherwise_are_refused_at_export(estimator: Any, constant: int, words: str) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    labels = (x[:, :2] + x[:, 1:] > 0).astype(int) if not constant else np.stack([x[:, 0] > 0, x[:, 0] > 9], axis=1)
    with pytest.raises(ExportError, match=words):
        export(estimator.fit(x, labels.astype(int)), x)


@pytest.mark.parametrize(
    ("vectorizer", "texts", "way_out"),
    [
        (TfidfVectorizer(analyzer="char_wb"), TEXTS, "analyzer='word' or 'char'"),
        (CountVectorizer(tokenizer=str.split, token_pattern=None), TEXTS, "no functions of one's own"),
        (TfidfVectorizer(), [text.replace("\u00fcber", "\u00dcber") for text in TEXTS], "lowercase=False"),
    ],
)
def test_text_that_onnx_reads_otherwise_is_refused_at_export_with_the_way_out(
    vectorizer: Any, texts: list[str], way_out: str
) -> None:
    frame = pd.DataFrame({"text": texts})
    liked = np.array(["\u00dcber" in text or "great" in text for text in texts])
    pipeline = make_pipeline(ColumnTransformer([("words", vectorizer, "text")]), LogisticRegression()).fit(frame, liked)
    with pytest.raises(ExportError) as caught:
        export(pipeline, frame)
    assert way_out in caught.value.hint
    assert "'columntransformer.words'" in caught.value.what
    assert "locale" not in str(caught.value)


def test_an_operator_that_the_judge_does_not_load_is_refused_at_export() -> None:
    foreign = helper.make_node("Solve", ["a"], ["p"], domain="com.microsoft")
    inner = helper.make_graph([foreign], "inner", [], [port("p")])
    branch = helper.make_node("If", ["yes"], ["p"], then_branch=inner, else_branch=inner)
    model = build([branch], [port("a")], [port("p")], constants={"yes": np.array(True)}, domains=["com.microsoft"])
    with pytest.raises(ExportError, match=r"'Solve' of 'com\.microsoft', which the judge does not load"):
        refuse_operators(model.SerializeToString(), OPERATORS)
