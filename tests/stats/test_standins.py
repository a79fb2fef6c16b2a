"""Answers of models that nobody has trained."""

import numpy as np
import pytest

from mlbot.gates.metric import Task
from mlbot.stats.estimation import estimate
from mlbot.stats.metrics import decide
from mlbot.stats.standins import Assumed, Rows, answers, assume, decided, differing, skilled

RNG = np.random.default_rng(3)
BINARY = Rows(task=Task.BINARY, labels=(RNG.random(20_000) < 0.3).astype(np.int8))
CLASSES = Rows(task=Task.MULTICLASS, labels=RNG.integers(0, 4, 8_000).astype(np.int32), classes=4)
LABELS = Rows(task=Task.MULTILABEL, labels=(RNG.random((8_000, 3)) < (0.5, 0.2, 0.05)).astype(np.int8))
RELEVANT = Rows(task=Task.RANKING, labels=RNG.integers(0, 4, 4_000).astype(np.float64), alike=np.arange(4_000) // 10)
COUNTS = Rows(task=Task.REGRESSION, labels=RNG.poisson(3.0, 8_000).astype(np.float64))
NUMBERS = Rows(task=Task.REGRESSION, labels=RNG.normal(size=8_000))
SERIES = Rows(task=Task.FORECAST, labels=RNG.gamma(5.0, size=600), alike=np.arange(600) % 60, quantiles=(0.1, 0.9))


@pytest.mark.parametrize("rows", [BINARY, CLASSES, LABELS])
def test_as_many_rows_differ_as_were_assumed(rows: Rows) -> None:
    found = assume(rows, 1.0, disagreement=0.04, change=0.03)
    assert differing(rows, found) == pytest.approx(0.04, abs=0.003)
    one, another, *others = (decided(rows, each) for each in answers(rows, found, 2, seed=9))

    def share(a: object, b: object) -> float:
        return float((np.asarray(a) != np.asarray(b)).reshape(len(rows.labels), -1).any(axis=1).mean())

    assert share(one, another) == pytest.approx(0.04, abs=0.008)
    assert share(one, others[0]) == pytest.approx(0.07, abs=0.012)


def test_models_that_are_right_on_most_rows_cannot_differ_on_many() -> None:
    rare = Rows(task=Task.BINARY, labels=(np.arange(10_000) % 100 == 0).astype(np.int8))
    found = assume(rare, 2.0, disagreement=0.06, change=0.01)
    assert 0 < differing(rare, found) < 0.01


def test_a_threshold_decides() -> None:
    rows = Rows(task=Task.BINARY, labels=BINARY.labels, threshold=0.2)
    answer = np.array([0.1, 0.2, 0.6])
    assert decided(rows, answer).tolist() == [0, 1, 1]
    assert decided(BINARY, answer).tolist() == [0, 0, 1]


def test_all_models_are_equally_good_and_their_probabilities_honest() -> None:
    given = answers(BINARY, assume(BINARY, 1.0, 0.06, 0.02), 3)
    found = estimate("accuracy", Task.BINARY, BINARY.labels, given)
    assert np.ptp(found.values) < 0.008
    for low in np.arange(0.1, 0.9, 0.2):
        near = np.abs(given[0] - low) < 0.03
        assert BINARY.labels[near].mean() == pytest.approx(low, abs=0.04)


@pytest.mark.parametrize(
    ("rows", "metric", "prediction"),
    [
        (COUNTS, "mean_poisson_deviance", 0.5),
        (NUMBERS, "root_mean_squared_error", 0.4),
        (CLASSES, "log_loss", 0.5),
        (LABELS, "f1_macro", 0.7),
    ],
)
def test_models_are_as_good_as_a_metric_says(rows: Rows, metric: str, prediction: float) -> None:
    def value(skill: float) -> float:
        given = answers(rows, Assumed(skill=skill, of_seed=0.0, of_recipe=0.0), 1)[:1]
        return float(estimate(metric, rows.task, rows.labels, given).values[0])

    assert value(skilled(0.1, 40.0, value, prediction)) == pytest.approx(prediction, abs=0.01)


def test_what_each_task_takes() -> None:
    assumed = Assumed(skill=2.0, of_seed=0.06, of_recipe=0.01)
    shapes = {rows.task: answers(rows, assumed, 1)[0].shape for rows in (BINARY, CLASSES, LABELS, RELEVANT, SERIES)}
    assert shapes[Task.MULTICLASS] == (8_000, 4)
    assert shapes[Task.MULTILABEL] == LABELS.labels.shape
    assert shapes[Task.RANKING] == RELEVANT.labels.shape
    assert shapes[Task.FORECAST] == (600, 3)
    low, high = answers(SERIES, assumed, 1)[0][:, 1:].T
    assert ((low <= SERIES.labels) & (SERIES.labels <= high)).mean() == pytest.approx(0.8, abs=0.06)
    assert (answers(COUNTS, assumed, 1)[0] > 0).all()
    probabilities = answers(CLASSES, assumed, 1)[0]
    assert probabilities.sum(axis=1) == pytest.approx(1.0)
    assert (decided(CLASSES, probabilities) == decide(probabilities)).all()


def test_rows_of_a_group_go_wrong_together() -> None:
    groups = np.arange(20_000) // 10
    rows = Rows(task=Task.BINARY, labels=BINARY.labels, alike=groups)
    given = answers(rows, assume(rows, 1.0, 0.06, 0.01), 2)
    plain, clustered = (
        estimate("accuracy", Task.BINARY, rows.labels, given, groups=codes).covariance for codes in (None, groups)
    )
    assert clustered[0, 0] > 1.8 * plain[0, 0]
