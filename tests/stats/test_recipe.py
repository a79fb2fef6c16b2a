"""The gate's rule against Welch's test, ordinary least squares, the paired t-test, and its own properties."""

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from tests.support.stats_samples import sample
from tests.support.tiers import NIGHTLY

from mlbot.gates.metric import Task
from mlbot.stats.estimation import estimate, value_of
from mlbot.stats.recipe import (
    RecipeMethod,
    RecipeTest,
    Sameness,
    SeedHistory,
    _hall,
    _unhall,
    recipe_test,
    sameness,
)
from mlbot.stats.types import Estimate, Method

Array = npt.NDArray[Any]
HIGHER, LOWER = -1, 1


def _estimate(values: Array, covariance: Array | None = None, df: float = 999) -> Estimate:
    k = len(values)
    return Estimate(
        values=np.asarray(values, np.float64),
        covariance=np.zeros((k, k)) if covariance is None else covariance,
        df=df,
        method=Method.DELTA,
        rows=int(df) + 1,
        support=np.full(k, int(df) + 1),
    )


def symmetric(found: Estimate) -> Estimate:
    """The estimate as if nothing were known of how unevenly rows carry it, so that t alone is judged by."""
    return replace(found, influence=None, draws=None, reach=None)


def _covariance(k: int, seed: int) -> Array:
    """Models that share most of their noise, as retrained ones do."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(1, 500)) + 0.4 * rng.normal(size=(k, 500))
    covariance: Array = np.cov(columns) / 500
    return covariance


@st.composite
def estimates(draw: st.DrawFn) -> tuple[Estimate, int]:
    """An estimate of one to five candidates and baselines."""
    candidates, baselines = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 10_000))
    values = 0.8 + 0.05 * np.random.default_rng(seed).normal(size=candidates + baselines)
    return _estimate(values, _covariance(candidates + baselines, seed)), candidates


histories = st.none() | st.builds(SeedHistory, variance=st.floats(0, 0.01), df=st.integers(1, 40))
margins = st.floats(0, 0.3)


@pytest.mark.parametrize(("candidates", "baselines"), [(3, 3), (2, 5), (4, 2)])
def test_without_noise_of_rows_it_is_welchs_test(candidates: int, baselines: int) -> None:
    """B. L. Welch, Biometrika 34 (1947): scipy's implementation."""
    values = np.random.default_rng(candidates).normal(0.3, 0.02, candidates + baselines)
    test = recipe_test(_estimate(values), candidates, sign=LOWER, margin=0.01)
    ours, theirs = values[:candidates], values[candidates:]
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = welch.confidence_interval(0.9)
    assert test.df == pytest.approx(welch.df, rel=1e-10)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    shifted = stats.ttest_ind(ours - 0.01, theirs, equal_var=False, alternative="greater")
    assert test.p == pytest.approx(shifted.pvalue, rel=1e-10)
    assert (test.method, test.shared) == (RecipeMethod.RECIPE, 0)


def test_the_rows_part_is_the_mean_over_all_pairs() -> None:
    """The Obuchowski-Rockette components, pair by pair, and Satterthwaite's degrees of freedom, term by term."""
    s, values = _covariance(7, 1), np.array([0.81, 0.80, 0.82, 0.85, 0.84, 0.83, 0.86])
    test = recipe_test(_estimate(values, s, df=499), 3, sign=HIGHER, margin=0.01)
    inside_ours = np.mean([s[i, j] for i, j in combinations(range(3), 2)])
    inside_theirs = np.mean([s[i, j] for i, j in combinations(range(3, 7), 2)])
    across = np.mean([s[i, j] for i, j in product(range(3), range(3, 7))])
    r = max(0.0, inside_ours + inside_theirs - 2 * across)
    floors = [np.trace(block) / len(block) for block in (s[:3, :3], s[3:, 3:])]
    own = [
        max(np.var(x, ddof=1), floor - inside)
        for x, floor, inside in zip((values[:3], values[3:]), floors, (inside_ours, inside_theirs), strict=True)
    ]
    parts = [(own[0] / 3, 2), (own[1] / 4, 3), (r, 499)]
    v = sum(part for part, _ in parts)
    df = v**2 / sum(part**2 / of for part, of in parts)
    h = stats.t.ppf(0.95, df) * np.sqrt(v)
    assert test.drop == pytest.approx(0.845 - 0.81, rel=1e-10)
    assert (test.variance, test.df, test.shared) == pytest.approx((v, df, r), rel=1e-10)
    assert (test.low, test.high) == pytest.approx((0.035 - h, 0.035 + h), rel=1e-10)
    assert test.p == pytest.approx(stats.t.sf((0.035 - 0.01) / np.sqrt(v), df), rel=1e-10)


@pytest.mark.parametrize(("candidates", "baselines"), [(3, 3), (1, 3), (1, 1), (4, 2)])
def test_a_history_is_one_more_group_of_the_linear_model(candidates: int, baselines: int) -> None:
    """A one-way layout with a common variance: the contrast of two groups by statsmodels' least squares."""
    rng = np.random.default_rng(5)
    past = rng.normal(0.5, 0.01, 13)
    values = rng.normal(0.3, 0.004, candidates + baselines)
    history = SeedHistory(variance=float(past.var(ddof=1)), df=12)
    test = recipe_test(_estimate(values), candidates, sign=LOWER, margin=0.0, history=history)
    group = np.repeat([0, 1, 2], [candidates, baselines, 13])
    contrast = sm.OLS(np.concatenate((values, past)), np.eye(3)[group]).fit().t_test([1, -1, 0])
    assert (test.low, test.high) == pytest.approx(tuple(contrast.conf_int(0.1)[0]), rel=1e-10)
    assert test.df == pytest.approx(contrast.df_denom)
    assert test.p == pytest.approx(stats.t.sf(contrast.tvalue.item(), contrast.df_denom), rel=1e-10)
    assert test.method is (RecipeMethod.BORROWED if candidates == 1 else RecipeMethod.RECIPE)


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_a_candidate_noisier_than_the_history_keeps_its_own_variance(factor: float) -> None:
    """The bound is the .75 quantile of F(Kc-1, v)."""
    history = SeedHistory(variance=0.0004, df=10)
    spread = np.sqrt(factor * history.variance * stats.f.ppf(0.75, 2, 10))
    values = np.array([-spread, 0, spread, 0.01, 0.02, 0.06])
    test = recipe_test(_estimate(values), 3, sign=LOWER, margin=0.0, history=history)
    theirs = (10 * history.variance + 2 * values[3:].var(ddof=1)) / 12
    if factor > 1:
        assert test.variance == pytest.approx(spread**2 / 3 + theirs / 3, rel=1e-10)
        assert test.df == pytest.approx(test.variance**2 / ((spread**2 / 3) ** 2 / 2 + (theirs / 3) ** 2 / 12))
    else:
        pooled = (12 * theirs + 2 * spread**2) / 14
        assert (test.variance, test.df) == pytest.approx((pooled * 2 / 3, 14), rel=1e-10)


def test_a_short_history_is_no_history() -> None:
    found = _estimate(np.array([0.1, 0.2, 0.3, 0.1, 0.15, 0.3]), _covariance(6, 0))
    short = SeedHistory(variance=1e-9, df=7)
    without = recipe_test(found, 3, sign=LOWER, margin=0.1)
    assert recipe_test(found, 3, sign=LOWER, margin=0.1, history=short) == without


def test_one_candidate_seed_borrows_from_three_baseline_seeds() -> None:
    values = np.array([0.31, 0.30, 0.29, 0.32])
    test = recipe_test(_estimate(values), 1, sign=LOWER, margin=0.0)
    spread = values[1:].var(ddof=1) * (1 + 1 / 3)
    half = stats.t.ppf(0.95, 2) * np.sqrt(spread)
    assert test.method is RecipeMethod.BORROWED
    assert (test.low, test.high) == pytest.approx((values[0] - values[1:].mean() - half, 0.31 - 0.91 / 3 + half))


@pytest.mark.parametrize(("candidates", "baselines"), [(1, 1), (1, 2), (3, 1)])
def test_one_seed_and_nothing_to_borrow_is_said(candidates: int, baselines: int) -> None:
    y, predictions = sample(Task.BINARY, 200, models=candidates + baselines)
    found = symmetric(estimate("log_loss", Task.BINARY, y, predictions))
    test = recipe_test(found, candidates, sign=LOWER, margin=1.0)
    pair = predictions[0], predictions[candidates]
    losses = [-np.log(np.where(y == 1, p, 1 - p)) for p in pair]
    interval = stats.ttest_rel(*losses).confidence_interval(0.9)
    assert test.method is RecipeMethod.SEED_VARIANCE_UNKNOWN
    assert not test.judgeable
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-10)


@pytest.mark.parametrize(("candidates", "baselines"), [(2, 2), (3, 3), (3, 2)])
def test_without_an_effect_of_the_seed_it_is_the_paired_t_test(candidates: int, baselines: int) -> None:
    y, (new, old) = sample(Task.REGRESSION, 120, models=2)
    predictions = [new] * candidates + [old] * baselines
    found = symmetric(estimate("mean_absolute_error", Task.REGRESSION, y, predictions))
    test = recipe_test(found, candidates, sign=LOWER, margin=0.05, same=sameness(predictions, candidates))
    paired = stats.ttest_rel(np.abs(y - new), np.abs(y - old))
    interval = paired.confidence_interval(0.9)
    assert test.method is RecipeMethod.PAIRED
    assert test.df == pytest.approx(paired.df)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_a_side_whose_seed_has_no_effect_adds_no_seed_noise() -> None:
    values = np.array([0.3, 0.3, 0.3, 0.28, 0.31, 0.33])
    same = Sameness(candidate_seed_matters=False)
    history = SeedHistory(variance=1.0, df=100)
    test = recipe_test(_estimate(values), 3, sign=LOWER, margin=0.0, same=same, history=history)
    assert test.method is RecipeMethod.RECIPE
    assert test.variance == pytest.approx(values[3:].var(ddof=1) / 3)


def test_identical_models_pass_at_any_margin() -> None:
    y, predictions = sample(Task.BINARY, 50, models=3)
    found = estimate("roc_auc", Task.BINARY, y, predictions + predictions)
    same = sameness(predictions + predictions, 3)
    test = recipe_test(found, 3, sign=HIGHER, margin=0.0, same=same)
    assert (test.method, test.drop, test.low, test.high, test.p) == (RecipeMethod.IDENTICAL, 0, 0, 0, 1)
    assert test.judgeable


def test_sameness_sees_copies_inside_and_across() -> None:
    a, b, c = np.array([0.1, 0.2]), np.array([0.1, 0.3]), np.array([0.4, 0.4])
    assert sameness([a, b, a, b], 2) == Sameness(identical=True)
    assert sameness([a, a, b, c], 2) == Sameness(candidate_seed_matters=False)
    assert sameness([a, b, c, c, c], 2) == Sameness(baseline_seed_matters=False)
    assert sameness([a, b, a], 2) == Sameness(identical=True)
    assert sameness([a, b, b, a], 2) == Sameness()
    assert sameness([a, b], 1) == Sameness()


@pytest.mark.parametrize("candidates", [0, 2, -1])
def test_a_side_without_models_is_refused(candidates: int) -> None:
    models = [np.array([0.1, 0.2]), np.array([0.3, 0.4])]
    with pytest.raises(ValueError, match="empty"):
        recipe_test(_estimate(np.array([0.1, 0.2])), candidates, sign=LOWER, margin=0.0)
    if candidates in {0, 2}:
        with pytest.raises(ValueError, match="empty"):
            sameness(models, candidates)


@pytest.mark.parametrize("margin", [-0.001, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        recipe_test(_estimate(np.array([0.1, 0.2])), 1, sign=LOWER, margin=margin)


def _finite(test: RecipeTest) -> bool:
    figures = (test.drop, test.low, test.high, test.variance, test.shared, test.df, test.p, test.mde or 0.0)
    return bool(np.isfinite(figures).all())


@given(estimates(), margins, histories)
def test_figures_are_finite_and_ordered(case: tuple[Estimate, int], margin: float, history: SeedHistory | None) -> None:
    test = recipe_test(*case, sign=HIGHER, margin=margin, history=history)
    assert _finite(test)
    assert test.low <= test.drop <= test.high
    assert test.df > 0
    # The interval and p are the same statement at 5 %.
    if abs(test.low - margin) > 1e-12:
        assert (test.p < 0.05) is (test.low > margin)
    assert (test.mde is None) is (test.method is RecipeMethod.SEED_VARIANCE_UNKNOWN)
    assert test.mde is None or test.mde >= margin


@given(estimates(), margins, histories)
def test_a_wider_margin_never_turns_a_pass_into_a_fail(
    case: tuple[Estimate, int], margin: float, history: SeedHistory | None
) -> None:
    test = recipe_test(*case, sign=HIGHER, margin=margin, history=history)
    wider = recipe_test(*case, sign=HIGHER, margin=margin + 0.01, history=history)
    assert (wider.low, wider.high) == (test.low, test.high)
    assert wider.p >= test.p
    assert wider.judgeable >= test.judgeable


@given(estimates(), histories)
def test_the_sign_turns_the_drop_around(case: tuple[Estimate, int], history: SeedHistory | None) -> None:
    up = recipe_test(*case, sign=HIGHER, margin=0.0, history=history)
    down = recipe_test(*case, sign=LOWER, margin=0.0, history=history)
    assert (up.drop, up.low, up.high) == pytest.approx((-down.drop, -down.high, -down.low))
    assert up.p == pytest.approx(1 - down.p)
    assert up.variance == pytest.approx(down.variance)


@given(estimates(), st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(case: tuple[Estimate, int], shuffler: Any) -> None:
    found, candidates = case
    if min(candidates, found.values.size - candidates) == 1:
        return  # a lone seed is compared with the first of the other side
    ours, theirs = list(range(candidates)), list(range(candidates, found.values.size))
    shuffler.shuffle(ours)
    shuffler.shuffle(theirs)
    order = ours + theirs
    moved = _estimate(found.values[order], found.covariance[np.ix_(order, order)])
    first = recipe_test(found, candidates, sign=HIGHER, margin=0.01)
    second = recipe_test(moved, candidates, sign=HIGHER, margin=0.01)
    assert (first.low, first.high, first.p) == pytest.approx((second.low, second.high, second.p), abs=1e-9)


def test_no_variance_at_all_is_decided_by_the_sign() -> None:
    worse = _estimate(np.array([0.3, 0.3, 0.2, 0.2]))
    assert recipe_test(worse, 2, sign=LOWER, margin=0.05).p == 0
    assert recipe_test(worse, 2, sign=LOWER, margin=0.2).p == 1
    level = recipe_test(_estimate(np.full(4, 0.2)), 2, sign=LOWER, margin=0.0)
    assert (level.p, level.df) == (0.5, 999)


@pytest.mark.parametrize(("candidates", "baselines"), [(1, 2), (1, 3), (2, 1)])
def test_one_seed_beside_equal_seeds_of_the_other_side_is_unknown(candidates: int, baselines: int) -> None:
    """That the other recipe is deterministic says nothing of this one: the paired test failed 41 % without a drop."""
    y, (new, old) = sample(Task.REGRESSION, 120, models=2)
    predictions = [new] * candidates + [old] * baselines
    found = estimate("mean_absolute_error", Task.REGRESSION, y, predictions)
    for history in (None, SeedHistory(variance=1e-6, df=20)):
        same = sameness(predictions, candidates)
        test = recipe_test(found, candidates, sign=LOWER, margin=0.05, same=same, history=history)
        assert (test.method, test.mde) == (RecipeMethod.SEED_VARIANCE_UNKNOWN, None)


def test_one_seed_of_each_is_the_paired_test_where_both_are_known_to_be_deterministic() -> None:
    y, predictions = sample(Task.REGRESSION, 120, models=2)
    found = symmetric(estimate("mean_absolute_error", Task.REGRESSION, y, predictions))
    same = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
    test = recipe_test(found, 1, sign=LOWER, margin=0.05, same=same)
    interval = stats.ttest_rel(*(np.abs(y - each) for each in predictions)).confidence_interval(0.9)
    assert test.method is RecipeMethod.PAIRED
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_seeds_that_agree_by_accident_have_the_variance_that_the_rows_give_them() -> None:
    """Without a floor V is 0 here, and the verdict certain: S says that one model's own noise is 0.0003."""
    s = np.full((4, 4), 0.0002) + np.diag(np.full(4, 0.0003))
    test = recipe_test(_estimate(np.array([0.3, 0.3, 0.2, 0.2]), s), 2, sign=LOWER, margin=0.05)
    assert (test.variance, test.particular, test.between) == pytest.approx((0.0003, 0.0003, 0.0), abs=1e-15)
    assert test.df == pytest.approx(2)


def test_a_borrowed_variance_has_the_floor_too() -> None:
    s = np.full((5, 5), 0.0002) + np.diag(np.full(5, 0.0003))
    none = SeedHistory(variance=0.0, df=20)
    both = recipe_test(_estimate(np.full(5, 0.3), s), 2, sign=LOWER, margin=0.05, history=none)
    assert both.variance == pytest.approx(0.0003 * (1 / 2 + 1 / 3))
    one = recipe_test(_estimate(np.full(4, 0.3), s[:4, :4]), 1, sign=LOWER, margin=0.05)
    assert one.variance >= 0.0003 * (1 + 1 / 3) * (1 - 1e-12)


@given(estimates(), margins, st.sampled_from([0.01, 0.015, 0.025, 0.05]))
def test_the_parts_of_the_variance_add_up(case: tuple[Estimate, int], margin: float, level: float) -> None:
    test = recipe_test(*case, sign=HIGHER, margin=margin, level=level)
    assert test.shared + test.particular + test.between == pytest.approx(test.variance, abs=1e-15)
    assert min(test.shared, test.particular, test.between) >= 0
    if abs(test.low - margin) > 1e-12:
        assert (test.p < level) is (test.low > margin)


def test_a_look_is_what_its_seeds_alone_would_say() -> None:
    y, predictions = sample(Task.BINARY, 300, models=10)
    found = estimate("roc_auc", Task.BINARY, y, predictions)
    for seeds in (2, 3, 5):
        alone = estimate("roc_auc", Task.BINARY, y, predictions[:seeds] + predictions[5 : 5 + seeds])
        expected = recipe_test(alone, seeds, sign=HIGHER, margin=0.01, level=0.01)
        got = recipe_test(found, 5, sign=HIGHER, margin=0.01, level=0.01, seeds=seeds)
        for field in ("drop", "low", "high", "variance", "df", "p", "mde", "effective_rows"):
            assert getattr(got, field) == pytest.approx(getattr(expected, field), rel=1e-9)


@pytest.mark.parametrize(("df", "level"), [(4, 0.05), (4, 0.005), (2, 0.05), (2, 0.001), (30, 0.0025), (998, 0.05)])
def test_the_smallest_drop_that_is_noticed_fails_nineteen_times_out_of_twenty(df: int, level: float) -> None:
    """The claim is made of one estimate of V, and kept by another one: by simulation of both."""
    rng = np.random.default_rng(df)
    draws = 200_000
    claimed, tested = (np.sqrt(rng.chisquare(df, draws) / df) for _ in range(2))
    s = np.eye(2) * 0.5 + np.zeros((2, 2))
    same = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
    test = recipe_test(_estimate(np.zeros(2), s, df=df), 1, sign=LOWER, margin=0.0, level=level, same=same)
    assert test.variance == 1
    assert test.mde is not None
    drop = test.mde * claimed + rng.normal(size=draws)
    assert (drop > stats.t.ppf(1 - level, df) * tested).mean() == pytest.approx(0.95, abs=0.005)
    # Before: the margin and twice the half width at five percent, whatever the level.
    if level < 0.05:
        before = 2 * stats.t.ppf(0.95, df) * claimed + rng.normal(size=draws)
        assert (before > stats.t.ppf(1 - level, df) * tested).mean() < 0.8


def test_what_is_judgeable_fails_at_three_margins_nineteen_times_out_of_twenty() -> None:
    """A borderline margin of two standard errors was called judgeable and failed in 87 % and less."""
    rng = np.random.default_rng(0)
    values = np.array([0.3, 0.31, 0.32, 0.3, 0.31, 0.32])
    margin = float(
        brentq(lambda m: (recipe_test(_estimate(values), 3, sign=LOWER, margin=m).mde or 0) - 3 * m, 1e-4, 1)
    )
    assert recipe_test(_estimate(values), 3, sign=LOWER, margin=margin * 1.001).judgeable
    assert not recipe_test(_estimate(values), 3, sign=LOWER, margin=margin * 0.999).judgeable
    estimated = np.sqrt(rng.chisquare(4, 20_000) / 4) * margin / (np.sqrt(2 / 3) * 0.01)
    failed = 2 * estimated + rng.normal(size=20_000) > stats.t.ppf(0.95, 4) * np.sqrt(rng.chisquare(4, 20_000) / 4)
    assert failed.mean() == pytest.approx(0.95, abs=0.01)


def test_halls_interval_holds_a_skewed_mean_where_ts_does_not() -> None:
    """Exponential differences of 40 rows: t's lower 5 % side errs less than 5 %, its upper one far more."""
    rng = np.random.default_rng(3)
    same = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
    wrong = {"t": 0, "both": 0}
    rounds = 2000 if NIGHTLY else 400
    for _ in range(rounds):
        found = _paired(rng.exponential(1.0, 40))
        wrong["t"] += recipe_test(symmetric(found), 1, sign=LOWER, margin=1.0, same=same).high < 1
        wrong["both"] += recipe_test(found, 1, sign=LOWER, margin=1.0, same=same).high < 1
    assert wrong["t"] > 1.4 * wrong["both"]
    assert wrong["both"] < 0.075 * rounds


def _paired(rows: Array) -> Estimate:
    """The estimate of a metric whose difference of two files is the mean of these rows."""
    influence = np.stack((rows - rows.mean(), np.zeros(rows.size)))
    covariance = influence @ influence.T / (rows.size * (rows.size - 1))
    found = _estimate(np.array([rows.mean(), 0.0]), covariance, df=rows.size - 1)
    return replace(found, influence=influence)


@given(st.floats(-30, 30), st.floats(-2, 2))
def test_halls_transformation_and_its_inverse(t: float, skewness: float) -> None:
    assert _unhall(_hall(t, skewness), skewness) == pytest.approx(t, rel=1e-4, abs=1e-4)


def test_effective_rows_count_the_rows_that_carry_the_drop() -> None:
    rows = np.zeros(1000)
    rows[:50] = 1.0
    same = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
    spread = recipe_test(_paired(np.tile([0.0, 2.0], 500)), 1, sign=LOWER, margin=5.0, same=same)
    assert spread.effective_rows == pytest.approx(1000)
    assert not spread.thin
    few = recipe_test(
        _paired(np.concatenate((np.tile([5.0, -5.0], 4), np.zeros(992)))), 1, sign=LOWER, margin=5.0, same=same
    )
    assert few.effective_rows == pytest.approx(8)
    assert few.thin


@pytest.mark.parametrize(("margin", "thin"), [(0.009, True), (0.011, False)])
def test_few_rows_that_differ_are_enough_where_the_margin_is_ten_of_them(margin: float, *, thin: bool) -> None:
    """Of 1,000 decided labels four differ: a drop of 0.011 would be eleven rows, and would show."""
    y = np.tile([0, 1], 500)
    old = np.where(y == 1, 0.9, 0.1)
    new = np.where(np.arange(1000) < 4, 1 - old, old)
    found = estimate("accuracy", Task.BINARY, y, [new, old])
    same = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
    assert recipe_test(found, 1, sign=HIGHER, margin=margin, same=same).thin is thin


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 7])
def test_models_that_decide_every_row_alike_have_no_row_that_carries_a_difference(seeds: int) -> None:
    """What rounding leaves of their sum was 2,754 rows that carry it, so that no interval was too thin for a pass."""
    rng = np.random.default_rng(seeds)
    labels = (rng.random(2_754) < 0.05).astype(int)
    model = np.where(rng.random(labels.size) < 0.1, 0.7, 0.2)
    models = [model + rng.uniform(0, 0.01, labels.size) for _ in range(2 * seeds)]
    test = recipe_test(estimate("accuracy", Task.BINARY, labels, models), seeds, sign=HIGHER, margin=0.001)
    assert (test.effective_rows, test.skewness) == (0, 0)
    assert test.thin


def _areas(rows: int, errors: int, *, weights: npt.NDArray[np.float64] | None = None) -> RecipeTest:
    """Two models of one order, some of whose positives lie among the negatives, at a margin of a hundredth."""
    y = np.tile([0, 1], rows // 2)
    p = np.where(y == 1, 0.8, 0.2) + np.random.default_rng(0).uniform(-0.1, 0.1, rows)
    p[1 : 2 * errors : 2] = 0.2
    found = estimate("roc_auc", Task.BINARY, y, [p, p * (1 + 1e-9)], weights=weights)
    same = Sameness(candidate_seed_matters=False, baseline_seed_matters=False)
    return recipe_test(found, 1, sign=HIGHER, margin=0.01, same=same)


@pytest.mark.parametrize("errors", [0, 1, 8])
@pytest.mark.parametrize(("rows", "thin"), [(60, True), (1_998, True), (2_000, False), (4_000, False)])
def test_models_of_one_order_pass_where_ten_rows_make_the_margin(rows: int, errors: int, *, thin: bool) -> None:
    """However few errors there are: one positive that falls below all negatives takes 1 of so many from the area."""
    test = _areas(rows, errors)
    assert (test.drop, test.effective_rows, test.thin) == (0, 0, thin)
    y = np.tile([0, 1], rows // 2)
    order = np.where(y == 1, 1.0, 0.0) + np.arange(rows) / (10 * rows)
    fallen = np.where(np.arange(rows) == rows - 1, -1.0, order)
    taken = value_of("roc_auc", Task.BINARY, y, order) - value_of("roc_auc", Task.BINARY, y, fallen)
    assert test.reach == pytest.approx(taken)


def test_a_row_that_counts_more_takes_as_much_more() -> None:
    weights = np.ones(4_000)
    weights[1] = 40.0
    assert not _areas(4_000, 0, weights=np.ones(4_000)).thin
    test = _areas(4_000, 0, weights=weights)
    assert test.reach
    assert test.reach >= 40 / 2_039
    assert test.thin


def test_models_without_an_error_and_without_an_end_say_nothing_of_what_a_row_may_do() -> None:
    test = recipe_test(_paired(np.zeros(4_000)), 1, sign=LOWER, margin=0.01)
    assert (test.reach, test.thin) == (None, True)
