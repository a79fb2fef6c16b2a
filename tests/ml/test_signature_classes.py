"""Which label each probability column stands for: read from real converters' files."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.support.onnx_samples import INT64, STRING, build, matrix, port

from mlbot.gates.metric import Task
from mlbot.gates.outcome import Reason
from mlbot.ml.protocol import Expected, Feature, Kind, Refused
from mlbot.ml.signature import CLASSES_KEY, class_order

X = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)


def expecting(*classes: str, declared: bool = False) -> Expected:
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    return Expected(
        task=task, features=(Feature(name="a", kind=Kind.FLOAT),), classes=tuple(classes), declared=declared
    )


def fitted(estimator: Any, labels: Sequence[Any]) -> onnx.ModelProto:
    y = np.array(labels)[np.argsort(X[:, 0]) * len(labels) // len(X)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between numpy, protobuf and skl2onnx; not what is tested here
        return to_onnx(estimator.fit(X, y), X[:1], options={"zipmap": False})


LEARNERS = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=2),
    RandomForestClassifier(3),
    make_pipeline(StandardScaler(), LogisticRegression()),
    CalibratedClassifierCV(LogisticRegression(), cv=2),
    StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(2))], cv=2),
]


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: type(learner).__name__)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes"], ("yes", "no")),
        (["low", "high", "mid"], ("low", "mid", "high")),
        ([0, 1], ("1", "0")),
        ([3, 20, 7], ("20", "3", "7")),
    ],
)
def test_scikit_learns_labels_are_found_whatever_order_the_holdout_has(
    learner: Any, labels: list[Any], classes: tuple[str, ...]
) -> None:
    assert class_order(fitted(learner, labels), expecting(*classes)) == tuple(map(str, sorted(labels)))


def test_codes_stand_for_the_expected_order() -> None:
    model = fitted(LogisticRegression(), [0, 1, 2])
    assert class_order(model, expecting("low", "mid", "high")) == ("low", "mid", "high")
    assert class_order(model, expecting("1", "2", "3")) == ("1", "2", "3")


def test_booleans_are_zero_and_one_to_onnx() -> None:
    assert class_order(fitted(LogisticRegression(), [0, 1]), expecting("true", "false")) == ("false", "true")


def test_other_labels_are_refused_and_shown() -> None:
    with pytest.raises(Refused) as caught:
        class_order(fitted(LogisticRegression(), ["cat", "dog"]), expecting("no", "yes"))
    assert caught.value.reason is Reason.MODEL_OUTPUTS
    assert "'cat', 'dog'" in caught.value.detail
    assert "'no', 'yes'" in caught.value.detail


def test_a_class_that_only_the_model_knows_stays_in_its_place() -> None:
    model = fitted(LogisticRegression(), ["a", "b", "c", "d"])
    assert class_order(model, expecting("a", "b", "d")) == ("a", "b", "c", "d")


def test_a_class_that_the_model_never_learned_is_left_out() -> None:
    model = fitted(LogisticRegression(), ["a", "c"])
    assert class_order(model, expecting("a", "b", "c")) == ("a", "c")


def test_without_labels_the_expected_order_counts() -> None:
    assert class_order(matrix(np.eye(3)), expecting("z", "y", "x")) == ("z", "y", "x")


def test_the_exports_own_metadata_counts_after_the_graph() -> None:
    model = matrix(np.eye(3), metadata={CLASSES_KEY: json.dumps(["x", "y", "z"])})
    assert class_order(model, expecting("z", "y", "x")) == ("x", "y", "z")
    known = fitted(LogisticRegression(), ["x", "y", "z"])
    helper.set_model_props(known, {CLASSES_KEY: json.dumps(["z", "y", "x"])})
    assert class_order(known, expecting("y", "x", "z")) == ("x", "y", "z")


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "[" * 100_000])
def test_metadata_that_is_no_list_of_names_counts_for_nothing(text: str) -> None:
    model = matrix(np.eye(2), metadata={CLASSES_KEY: text})
    assert class_order(model, expecting("no", "yes")) == ("no", "yes")


def unreadable() -> onnx.ModelProto:
    """Labels that are computed, so that no list of them stands in the file."""
    node = helper.make_node("Cast", ["a"], ["label"], to=STRING)
    return build([node], [port("a")], [port("label", STRING), port("p", shape=(None, 2))])


def test_text_labels_whose_order_cannot_be_read_need_the_configs_word() -> None:
    with pytest.raises(Refused, match=r"data\.classes"):
        class_order(unreadable(), expecting("no", "yes"))
    assert class_order(unreadable(), expecting("no", "yes", declared=True)) == ("no", "yes")


def test_numbers_from_argmax_are_codes() -> None:
    node = helper.make_node("ArgMax", ["p"], ["label"], axis=1)
    model = matrix(np.eye(2))
    model.graph.node.append(node)
    model.graph.output.append(port("label", INT64))
    assert class_order(model, expecting("no", "yes")) == ("no", "yes")
