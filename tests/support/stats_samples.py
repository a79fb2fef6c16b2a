"""Small labelled samples, and scikit-learn's own functions as the reference, for the statistics' tests."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.metrics import EXTREMES, decide

Array = npt.NDArray[Any]
Reference = Callable[..., float]

NAMED: dict[str, Reference] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": metrics.f1_score,
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
    "matthews_corrcoef": metrics.matthews_corrcoef,
    "log_loss": metrics.log_loss,
    "brier_score_loss": metrics.brier_score_loss,
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "r2": metrics.r2_score,
    "root_mean_squared_error": metrics.root_mean_squared_error,
    "mean_squared_error": metrics.mean_squared_error,
    "mean_absolute_error": metrics.mean_absolute_error,
    "median_absolute_error": metrics.median_absolute_error,
    "mean_absolute_percentage_error": metrics.mean_absolute_percentage_error,
    "jaccard": metrics.jaccard_score,
    "cohen_kappa": metrics.cohen_kappa_score,
    "positive_likelihood_ratio": lambda y, p, **given: metrics.class_likelihood_ratios(y, p, **given)[0],
    "negative_likelihood_ratio": lambda y, p, **given: metrics.class_likelihood_ratios(y, p, **given)[1],
    "d2_log_loss_score": lambda y, p, **given: metrics.d2_log_loss_score(y, y_proba=p, **given),
    "d2_brier_score": metrics.d2_brier_score,
    "explained_variance": metrics.explained_variance_score,
    "d2_absolute_error_score": metrics.d2_absolute_error_score,
    "mean_squared_log_error": metrics.mean_squared_log_error,
    "root_mean_squared_log_error": metrics.root_mean_squared_log_error,
    "mean_poisson_deviance": metrics.mean_poisson_deviance,
    "mean_gamma_deviance": metrics.mean_gamma_deviance,
    "mean_pinball_loss": metrics.mean_pinball_loss,
    "top_k_accuracy": metrics.top_k_accuracy_score,
    "hamming_loss": metrics.hamming_loss,
    "coverage_error": metrics.coverage_error,
    "label_ranking_loss": metrics.label_ranking_loss,
    "label_ranking_average_precision": metrics.label_ranking_average_precision_score,
    "r2_variance_weighted": partial(metrics.r2_score, multioutput="variance_weighted"),
}
OF_RANKS = ("coverage_error", "label_ranking_loss", "label_ranking_average_precision")
OF_PROBABILITIES = frozenset({"log_loss", "brier_score_loss", "roc_auc", "average_precision", "top_k_accuracy"}) | {
    "d2_log_loss_score",
    "d2_brier_score",
}
# Those of rows that are not alone, whose tests are test_ranking and test_forecast.
APART = frozenset(name for name, metric in CATALOGUE.items() if metric.tasks <= {Task.RANKING, Task.FORECAST})
CASES = [
    (name, task)
    for name, metric in CATALOGUE.items()
    if name not in EXTREMES | APART
    for task in sorted(metric.tasks - {Task.FORECAST})
]


def reference(metric: str, task: Task, y: Array, prediction: Array, weights: Array | None = None) -> float:
    """scikit-learn's value of a catalogue metric."""
    if task is Task.MULTILABEL:
        return _of_labels(metric, y, prediction, weights)
    if metric.startswith("roc_auc_"):
        way, average = metric.split("_")[2], "weighted" if metric.endswith("_weighted") else "macro"
        weights = None if way == "ovo" else weights  # scikit-learn weighs no rows there
        area = partial(metrics.roc_auc_score, multi_class=way, labels=range(prediction.shape[1]), average=average)
        return float(area(y, prediction, sample_weight=weights))
    if task.is_classification and metric not in OF_PROBABILITIES:
        prediction = decide(prediction)
    if metric in NAMED:
        return float(NAMED[metric](y, prediction, sample_weight=weights))
    name, _, averaged = metric.rpartition("_")
    return float(NAMED[name](y, prediction, average=averaged, sample_weight=weights))


def _of_labels(metric: str, y: Array, p: Array, weights: Array | None) -> float:
    """scikit-learn has no log loss and no Brier score of several labels: of each, and their mean."""
    given = {"sample_weight": weights}
    if metric in {"log_loss", "brier_score_loss"}:
        return float(np.mean([NAMED[metric](label, each, **given) for label, each in zip(y.T, p.T, strict=True)]))
    if metric in OF_RANKS:
        return float(NAMED[metric](y, p, **given))
    if metric in NAMED:
        return float(NAMED[metric](y, p > 0.5, **given))
    name, _, average = metric.rpartition("_")
    areas = name in {"roc_auc", "average_precision"}
    more = {} if areas else {"zero_division": 0}
    return float(NAMED[name](y, p if areas else p > 0.5, average=average, **more, **given))


def sample(task: Task, rows: int, models: int = 1, seed: int = 0) -> tuple[Array, list[Array]]:
    """Labels and the predictions of models that are right more often than not, with many ties."""
    rng = np.random.default_rng(seed)
    if task.has_targets:
        one = Task.BINARY if task is Task.MULTILABEL else Task.REGRESSION
        columns = [sample(one, rows, models, 10 * seed + each) for each in range(4)]
        return np.column_stack([y for y, _ in columns]), [
            np.column_stack([predictions[model] for _, predictions in columns]) for model in range(models)
        ]
    if task is Task.REGRESSION:
        y = 0.5 + np.abs(rng.normal(5, 2, rows))  # of what a deviance is defined for
        return y, [np.abs(y + rng.normal(size=rows)) for _ in range(models)]
    if task is Task.BINARY:
        labels = np.concatenate(([0, 1, 0, 1], rng.integers(0, 2, rows - 4))).astype(np.int8)
        return labels, [_binary(rng, labels) for _ in range(models)]
    classes = np.concatenate((np.arange(3), np.arange(3), rng.integers(0, 3, rows - 6)))
    return classes, [_multiclass(rng, classes) for _ in range(models)]


def _binary(rng: np.random.Generator, y: Array) -> Array:
    noisy: Array = np.round(np.clip(0.3 * y + 0.9 * rng.random(y.size) - 0.1, 0.01, 0.99), 2)
    noisy[:4] = (0.2, 0.8, 0.7, 0.3)  # one row in each cell of the confusion matrix
    return noisy


def _multiclass(rng: np.random.Generator, y: Array) -> Array:
    raw = np.round(rng.random((y.size, 3)) + 0.5 * np.eye(3)[y], 1) + 0.05
    raw[:3] = 0.1 + np.eye(3)
    raw[3:6] = 0.1 + np.roll(np.eye(3), 1, axis=1)
    probabilities: Array = raw / raw.sum(axis=1, keepdims=True)
    return probabilities
