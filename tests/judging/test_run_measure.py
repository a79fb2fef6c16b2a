"""Scores and comparisons of several models at once, against scikit-learn and against themselves."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as reference

from mlbot.gates.metric import CATALOGUE, Direction, Metric, Settings, Task
from mlbot.gates.outcome import Reason
from mlbot.judging.run_measure import (
    Measured,
    MetricPlan,
    Rows,
    latency_ratio,
    measure,
    negative_flips,
    wrongly_certain,
)
from mlbot.report import words
from mlbot.stats.recipe import SeedHistory
from mlbot.verdict.verdict import Comparison, Method

Masks = Mapping[str, npt.NDArray[np.bool_]]
N = 4000


def rows(models: int = 4, drop: float = 0.0) -> Rows:
    rng = np.random.default_rng(7)
    labels = (rng.random(N) < 0.3).astype(np.int8)
    strength = [0.3 - (drop if model < models // 2 else 0.0) for model in range(models)]
    predictions = tuple(np.clip(0.3 + s * (labels - 0.3) + rng.normal(0, 0.15, N), 0.001, 0.999) for s in strength)
    return Rows(slice=None, labels=labels, predictions=predictions)


def plan(*names: str, candidates: int = 2, **margins: float) -> MetricPlan:
    return MetricPlan(
        task=Task.BINARY,
        metrics=tuple(CATALOGUE[name] for name in names),
        candidates=candidates,
        margins={(name, None): margin for name, margin in margins.items()},
        custom={},
    )


def known(value: float | None) -> float:
    assert value is not None
    return value


def run(what: MetricPlan, data: Rows, masks: Masks | None = None) -> Measured:
    return measure(what, data, masks or {})


def test_scores_are_scikit_learns_and_lie_in_their_interval() -> None:
    data = rows()
    measured = run(plan("roc_auc", "log_loss"), data)
    for model, prediction in enumerate(data.predictions):
        auc, loss = measured.scores[model]
        assert auc.value == pytest.approx(reference.roc_auc_score(data.labels, prediction), abs=1e-12)
        assert loss.value == pytest.approx(reference.log_loss(data.labels, prediction), abs=1e-12)
        assert known(auc.low) < known(auc.value) < known(auc.high)


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_the_change_is_candidate_minus_baseline_whatever_the_direction(name: str) -> None:
    comparison = run(plan(name), rows(drop=0.2)).comparisons[0]
    change = known(comparison.change)
    assert change == pytest.approx(known(comparison.candidate) - known(comparison.baseline))
    assert (change < 0) is (CATALOGUE[name].direction is Direction.HIGHER)
    assert known(comparison.low) < change < known(comparison.high)


def test_only_a_margin_has_a_p_value() -> None:
    auc, loss = run(plan("roc_auc", "log_loss", roc_auc=0.01), rows(drop=0.2)).comparisons
    assert known(auc.p_value) < 0.05
    assert auc.margin == 0.01
    assert (loss.p_value, loss.margin) == (None, None)


def test_what_is_displayed_is_adjusted_for_its_number() -> None:
    masks = {f"part{i}": np.arange(N) % 4 == i for i in range(4)}
    comparisons = run(plan("roc_auc", "accuracy"), rows(drop=0.02), masks).comparisons
    assert len(comparisons) == 10
    assert all(0 <= known(c.q_value) <= 1 for c in comparisons)


def test_identical_models_are_said_to_be() -> None:
    one = rows(models=1).predictions[0]
    data = Rows(slice=None, labels=rows().labels, predictions=(one, one))
    comparison = run(plan("roc_auc", candidates=1), data).comparisons[0]
    assert (comparison.method, comparison.change, comparison.q_value) == (Method.IDENTICAL, 0.0, 1.0)


def test_one_seed_each_says_that_the_seeds_variance_is_unknown() -> None:
    comparison = run(plan("roc_auc", candidates=1), rows(models=2)).comparisons[0]
    assert comparison.method is Method.SEED_VARIANCE_UNKNOWN


def test_without_a_baseline_there_are_scores_and_no_comparison() -> None:
    measured = run(plan("roc_auc", candidates=4), rows())
    assert measured.comparisons == ()
    assert all(scores[0].value is not None for scores in measured.scores)


@pytest.mark.parametrize(
    ("models", "known", "matters"), [(1, False, True), (1, True, False), (2, False, False), (3, False, True)]
)
def test_what_a_seed_does_is_known_without_a_baseline_too(models: int, known: bool, matters: bool) -> None:  # noqa: FBT001
    """A first model's files, and one that is brought, are the next change's baseline."""
    first, _, third, _ = rows().predictions
    data = replace(rows(), predictions=(first, first, third)[:models])
    what = replace(plan("accuracy", candidates=models), deterministic=(known, False))
    assert run(what, data).matters == (matters, True)


def test_a_slice_of_one_class_says_so_and_spares_the_others() -> None:
    data = rows()
    masks = {"positives": data.labels == 1, "nobody": np.zeros(N, dtype=np.bool_), "some": np.arange(N) < 900}
    measured = run(plan("roc_auc"), data, masks)
    found: dict[str | None, Comparison] = {c.slice: c for c in measured.comparisons}
    assert found["positives"].problem is not None
    assert found["positives"].problem.reason is Reason.METRIC_UNDEFINED
    assert found["nobody"].problem is not None
    assert found["nobody"].problem.reason is Reason.EMPTY_SLICE
    assert found["some"].problem is None


def test_a_metric_undefined_for_one_model_spares_the_others_score() -> None:
    """Precision needs a row that is predicted positive."""
    data = rows(models=2)
    never = np.full(N, 0.01)
    measured = run(
        plan("precision", candidates=1),
        Rows(slice=None, labels=data.labels, predictions=(never, data.predictions[0])),
    )
    candidate, baseline = measured.scores[0][0], measured.scores[1][0]
    assert candidate.problem is not None
    assert candidate.problem.reason is Reason.METRIC_UNDEFINED
    assert baseline.value is not None
    assert measured.comparisons[0].problem is not None


def undefined(*without: int) -> Rows:
    """Two seeds a side, some of which predict no row to be positive."""
    data = rows()
    never = np.full(N, 0.01)
    predictions = tuple(never if at in without else each for at, each in enumerate(data.predictions))
    return replace(data, predictions=predictions, seeds=(0, 1, 0, 1), classes=("no", "yes"))


def test_who_has_no_figure_is_named_with_its_seeds() -> None:
    for without, who in (((1,), "candidate's seed 1"), ((0, 1, 3), "candidate's seeds 0 and 1")):
        problem = run(plan("precision"), undefined(*without)).comparisons[0].problem
        assert problem is not None
        assert (problem.reason, problem.cause) == (Reason.METRIC_UNDEFINED, "nothing-predicted")
        assert problem.detail == (f"precision has no value for the {who}: no row is predicted to be class 'yes'.")
        assert "zero_division" in problem.hint


def test_a_figure_that_the_baseline_alone_lacks_is_no_fault_of_the_candidate() -> None:
    comparison = run(plan("precision"), undefined(3)).comparisons[0]
    problem = comparison.problem
    assert problem is not None
    assert problem.reason is Reason.NO_BASELINE_FIGURE
    assert "for the baseline's seed 1, so there is nothing to compare the candidate's" in problem.detail
    assert f"{known(comparison.candidate):.4g}" in problem.detail
    assert comparison.baseline is None


def test_rows_that_no_model_has_a_figure_on_are_nobodys_fault() -> None:
    data = replace(rows(), labels=np.zeros(N, np.int8), classes=("no", "yes"))
    problem = run(plan("recall"), data).comparisons[0].problem
    assert problem is not None
    assert (problem.cause, problem.detail) == ("class-absent", "recall has no value: no row has class 'yes'.")


def test_a_value_on_few_rows_is_shown_without_an_interval() -> None:
    data = rows()
    labels = np.where(np.arange(N) == 5, 1, 0).astype(np.int8)
    measured = run(plan("roc_auc"), replace(data, labels=labels))
    score, problem = measured.scores[0][0], measured.comparisons[0].problem
    assert known(score.value) == pytest.approx(reference.roc_auc_score(labels, data.predictions[0]))
    assert (score.low, score.high, score.problem) == (None, None, None)
    assert problem is not None
    assert problem.reason is Reason.NO_INTERVAL
    assert "an interval needs two positive rows" in problem.detail


def test_an_agreed_value_stands_in_for_a_share_of_nothing() -> None:
    agreed = CATALOGUE["precision"].model_copy(update={"settings": Settings(zero_division=0)})
    what = replace(plan(), metrics=(agreed,))
    comparison = run(what, undefined(2, 3)).comparisons[0]
    assert (comparison.problem, comparison.baseline) == (None, 0)


def test_weights_count_in_scores_slices_and_flips() -> None:
    weights = np.random.default_rng(0).gamma(2.0, 1.0, N)
    weights[::5] = 0
    data = replace(rows(), weights=weights)
    part = np.arange(N) < 900
    measured = run(plan("roc_auc", "f1"), data, {"some": part})
    for at, mask in ((0, np.full(N, fill_value=True)), (2, part)):
        auc, f1 = measured.scores[0][at : at + 2]
        y, p, w = data.labels[mask], data.predictions[0][mask], weights[mask]
        assert auc.value == pytest.approx(reference.roc_auc_score(y, p, sample_weight=w), abs=1e-12)
        assert f1.value == pytest.approx(reference.f1_score(y, p > 0.5, sample_weight=w), abs=1e-12)
    flips, plain = (negative_flips(each, 2, examples=False) for each in (data, rows()))
    flipped = (data.predictions[2] > 0.5) == data.labels
    flipped &= (data.predictions[0] > 0.5) != data.labels
    assert flips.rate == pytest.approx(np.average(flipped, weights=weights))
    assert flips.high - flips.low > plain.high - plain.low


def test_a_gap_is_measured_once_and_compared() -> None:
    part = np.arange(N) < 900
    gap = CATALOGUE["recall"].model_copy(
        update={"name": "gap@recall", "of": "recall", "slices": ("some", "rest"), "direction": Direction.LOWER}
    )
    what = replace(plan("recall"), metrics=(CATALOGUE["recall"], gap), margins={("gap@recall", None): 0.1})
    measured = run(what, rows(), {"some": part, "rest": ~part})
    own = {score.slice: known(score.value) for score in measured.scores[0] if score.metric == "recall"}
    (score,) = [score for score in measured.scores[0] if score.metric == "gap@recall"]
    assert known(score.value) == pytest.approx(abs(own["some"] - own["rest"]))
    assert 0 <= known(score.low) <= known(score.value) < known(score.high)
    (comparison,) = [each for each in measured.comparisons if each.metric == "gap@recall"]
    assert known(comparison.p_value) >= 0
    assert comparison.method is Method.RECIPE
    nobody = np.zeros(N, np.bool_)
    (score,) = [
        each for each in run(what, rows(), {"some": part, "rest": nobody}).scores[0] if each.metric == "gap@recall"
    ]
    assert score.problem is not None
    assert score.problem.reason is Reason.EMPTY_SLICE
    assert "on the slice rest" in score.problem.detail


def test_a_slice_without_weight_is_empty() -> None:
    part = np.arange(N) < 900
    data = replace(rows(), weights=(~part).astype(np.float64))
    problem = run(plan("roc_auc"), data, {"some": part}).scores[0][1].problem
    assert problem is not None
    assert problem.reason is Reason.EMPTY_SLICE


def test_a_metric_of_ones_own() -> None:
    def cost(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float:
        return float(np.mean(np.abs(labels - scores)))

    own = Metric(name="cost", direction=Direction.LOWER, tasks=frozenset(Task), function="metrics:cost")
    data = rows()
    what = MetricPlan(task=Task.BINARY, metrics=(own,), candidates=2, margins={}, custom={"cost": cost})
    measured = run(what, data)
    assert measured.scores[0][0].value == pytest.approx(cost(data.labels, data.predictions[0]))


def test_a_metric_of_ones_own_that_raises() -> None:
    def broken(_labels: object, _scores: object) -> float:
        raise RuntimeError("no such column")

    own = Metric(name="cost", direction=Direction.LOWER, tasks=frozenset(Task), function="metrics:cost")
    what = MetricPlan(task=Task.BINARY, metrics=(own,), candidates=2, margins={}, custom={"cost": broken})
    problem = run(what, rows()).scores[0][0].problem
    assert problem is not None
    assert problem.reason is Reason.METRIC_FAILED
    assert "no such column" in problem.detail


def test_negative_flips_are_counted_one_way() -> None:
    labels = np.array([1, 1, 0, 0, 1], dtype=np.int8)
    candidate = np.array([0.9, 0.1, 0.9, 0.1, 0.9])
    baseline = np.array([0.1, 0.9, 0.1, 0.1, 0.9])
    data = Rows(slice=None, labels=labels, predictions=(candidate, baseline))
    flips = negative_flips(data, 1, examples=True)
    assert (flips.count, flips.rows, flips.rate, flips.examples) == (2, 5, 0.4, (1, 2))
    assert flips.low < flips.rate < flips.high
    assert negative_flips(data, 1, examples=False).examples == ()


def test_one_seed_borrows_its_variance_from_history() -> None:
    what = MetricPlan(
        task=Task.BINARY,
        metrics=(CATALOGUE["roc_auc"],),
        candidates=1,
        margins={},
        custom={},
        history=lambda metric, _slice: SeedHistory(variance=1e-6, df=8) if metric == "roc_auc" else None,
    )
    assert run(what, rows(models=2)).comparisons[0].method is Method.BORROWED


def test_label_metrics_and_flips_take_the_labels_that_were_decided() -> None:
    data = rows()
    decided = tuple((prediction >= 0.35).astype(np.int8) for prediction in data.predictions)
    data = replace(data, decided=decided)
    half = np.arange(N) < N // 2
    found = run(plan("recall", "roc_auc"), data, {"half": half})
    for model, labels in enumerate(decided):
        figures = {(score.metric, score.slice): score.value for score in found.scores[model]}
        assert figures["recall", None] == pytest.approx(reference.recall_score(data.labels, labels), abs=1e-12)
        in_half = reference.recall_score(data.labels[half], labels[half])
        assert figures["recall", "half"] == pytest.approx(in_half, abs=1e-12)
        auc = reference.roc_auc_score(data.labels, data.predictions[model])
        assert figures["roc_auc", None] == pytest.approx(auc, abs=1e-12)
    flips = negative_flips(data, 2, examples=False)
    assert flips.count == int(((decided[2] == data.labels) & (decided[0] != data.labels)).sum())


def test_files_of_equal_probabilities_and_other_labels_are_not_the_same() -> None:
    (first,) = rows(models=1).predictions
    predictions = (first, first)
    labels = rows().labels
    decided = ((first > 0.2).astype(np.int8), (first > 0.5).astype(np.int8))
    data = Rows(slice=None, labels=labels, predictions=predictions, decided=decided)
    (comparison,) = run(plan("accuracy", candidates=1, accuracy=0.001), data).comparisons
    assert comparison.method is not Method.IDENTICAL
    assert known(comparison.change) != 0


def test_flips_beyond_those_of_a_seed_are_over_all_seeds() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    predictions = tuple(np.clip(0.3 + 0.4 * labels + rng.normal(scale=0.25, size=400), 0, 1) for _ in range(6))
    data = Rows(slice=None, labels=labels, predictions=predictions)
    flips = negative_flips(data, 3, examples=False, limit=0.1)
    right = [(each >= 0.5) == labels for each in predictions]
    assert flips.seeds == (3, 3)
    assert flips.excess is not None
    assert flips.excess.candidate == pytest.approx(np.mean([np.mean(b & ~c) for b in right[3:] for c in right[:3]]))
    assert flips.excess.method is Method.RECIPE
    assert (flips.excess.margin, flips.excess.p_value is None) == (0.1, False)
    assert negative_flips(data, 3, examples=False).excess == flips.excess.model_copy(
        update={"margin": None, "p_value": None, "mde": None}
    )


def test_flips_of_few_seeds_and_of_equal_models() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 200)
    a, b, c = (rng.random(200) for _ in range(3))
    assert negative_flips(Rows(slice=None, labels=labels, predictions=(a, b, c, a)), 2, examples=False).excess is None
    same = negative_flips(Rows(slice=None, labels=labels, predictions=(a, b, a, b)), 2, examples=False).excess
    assert same is not None
    assert (same.method, same.change) == (Method.IDENTICAL, 0.0)
    known = negative_flips(
        Rows(slice=None, labels=labels, predictions=(a, b)), 1, examples=False, matters=(False, False)
    ).excess
    assert known is not None
    assert (known.method, known.baseline) == (Method.PAIRED, 0.0)
    files = negative_flips(Rows(slice=None, labels=labels, predictions=(a, a, b, b)), 2, examples=False).excess
    assert files is not None
    assert (files.method, files.baseline) == (Method.PAIRED, 0.0)


def test_the_ratio_is_that_of_rounds_and_a_load_that_comes_and_goes_is_in_both() -> None:
    load = [1.0, 8.0] * 10
    theirs = [2.0 * each for each in load]
    ours = [2.6 * each for each in load]
    found = latency_ratio(ours, theirs, identical=False)
    assert found is not None
    assert (found.rounds, found.identical) == (20, False)
    assert (found.ratio, found.low, found.high) == pytest.approx((1.3, 1.3, 1.3))


def test_a_ratio_of_few_rounds_has_no_interval_and_of_none_there_is_none() -> None:
    found = latency_ratio([2.0] * 5, [1.0] * 5, identical=True)
    assert found is not None
    assert (found.ratio, found.low, found.high, found.identical) == (2.0, None, None, True)
    assert latency_ratio([2.0], [], identical=False) is None


def test_rows_of_which_a_model_is_wrongly_certain_count_where_a_log_loss_minds_them() -> None:
    labels, wrong = np.array([0, 1, 1, 0]), np.array([1.0, 0.0, 1.0, 0.2])
    binary = Rows(slice=None, labels=labels, predictions=(wrong,))
    several = Rows(slice=None, labels=labels, predictions=(np.stack([1 - wrong, wrong], axis=1),))
    for data in (binary, several):
        assert wrongly_certain(plan("log_loss"), data, 0) == 2
        assert wrongly_certain(plan("roc_auc"), data, 0) == 0
    clipped = CATALOGUE["log_loss"].model_copy(update={"name": "c", "of": "log_loss", "settings": Settings(clip=0.01)})
    asked = replace(plan(), metrics=(clipped,))
    assert wrongly_certain(asked, binary, 0) == 0
    scores = run(asked, replace(rows(), predictions=tuple(np.round(each) for each in rows().predictions))).scores
    assert all(known(score.high) < 2 for (score,) in scores)


@pytest.mark.parametrize("candidates", [1, 2])
def test_no_change_is_clear_of_noise_where_nobody_knows_what_a_seed_does(candidates: int) -> None:
    """Of one file a side the rows' noise alone called 14 to 88 % of changes of the seed better or worse."""
    data, masks = rows(models=candidates + 1, drop=0.3), {"part": np.arange(N) % 2 == 0}
    if candidates == 2:  # equal ones: of the baseline's seed nobody knows
        first, _, other = data.predictions
        data = replace(data, predictions=(first, first, other))
    found = run(plan("roc_auc", "log_loss", "accuracy", candidates=candidates, roc_auc=0.001), data, masks).comparisons
    assert {each.method for each in found} == {Method.SEED_VARIANCE_UNKNOWN}
    assert [each.q_value for each in found] == [None] * 6
    assert {words.reading(each) for each in found} == {words.Reading.ONE_SEED}
    assert not any(words.clear_change(each) for each in found)
    assert {each.mde for each in found} == {None}
