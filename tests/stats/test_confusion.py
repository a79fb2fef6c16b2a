"""Label decisions, and label metrics under whole-number weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stats_samples import CASES, reference, sample

from mlbot.gates.metric import Task
from mlbot.stats.confusion import FORMULAS, confusion, decide
from mlbot.stats.types import Undefined, UndefinedMetricError

LABEL_METRICS = [(metric, task) for metric, task in CASES if metric in FORMULAS]


def test_a_tie_is_the_first_class_in_both_forms() -> None:
    p = np.array([0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0)])
    assert decide(p).tolist() == [0, 1, 0]
    assert decide(np.column_stack((1 - p, p))).tolist() == [0, 1, 0]
    assert decide(np.array([[0.2, 0.4, 0.4]])).tolist() == [1]


@given(st.sampled_from(LABEL_METRICS), st.integers(0, 1000))
def test_weights_count_rows_again(case: tuple[str, Task], seed: int) -> None:
    metric, task = case
    y, (p,) = sample(task, 40, seed=seed)
    weights = np.random.default_rng(seed).integers(0, 4, 40)
    weights[:6] += 1  # the first rows keep every class alive
    expected = reference(metric, task, np.repeat(y, weights), np.repeat(p, weights, axis=0))
    assert confusion(metric, y, p).weighted(weights.astype(np.float64)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("metric", "task"), LABEL_METRICS)
def test_influence_is_zero_on_average(metric: str, task: Task) -> None:
    y, (p,) = sample(task, 60)
    assert confusion(metric, y, p).influence().mean() == pytest.approx(0, abs=1e-14)


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    y = np.array([0, 1, 0, 1, 1, 0])
    p = np.column_stack((1 - y * 0.8 - 0.1, y * 0.8 + 0.1, y * 0.0))
    p[0] = (0.2, 0.8, 0.0)
    for metric in ("f1_macro", "precision_macro", "recall_macro", "f1_weighted", "balanced_accuracy"):
        assert confusion(metric, y, p).value() == pytest.approx(reference(metric, Task.MULTICLASS, y, p), rel=1e-12)


def test_no_weight_is_no_rows() -> None:
    y, (p,) = sample(Task.BINARY, 10)
    with pytest.raises(UndefinedMetricError) as caught:
        confusion("accuracy", y, p).weighted(np.zeros(10))
    assert caught.value.reason is Undefined.EMPTY


def test_support_is_what_a_share_is_of() -> None:
    y = np.array([0, 1, 1, 0, 1], np.int8)
    p = np.array([0.9, 0.9, 0.1, 0.1, 0.2])
    supports = {metric: confusion(metric, y, p).support for metric in ("accuracy", "recall", "precision")}
    assert supports == {"accuracy": 5, "recall": 3, "precision": 2}
