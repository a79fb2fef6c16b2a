"""Items in pairs: against scipy and statsmodels on the same numbers, and the figures of a table made by other code."""

import json
from collections import defaultdict

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from tests.support.evaluations import result

from mlbot.stats.items import (
    Asked,
    item_estimate,
    item_interval,
    item_test,
    mcnemar_mid_p,
    mean_variance,
    worse_better_equal,
)
from mlbot.stats.types import Floats, Labels

EXPECTED = json.loads(result("expected.json"))
FILLS = {"errors-worst": (0.0, 0.0), "drop-repeat": (None, None), "bound-low": (0.0, 1.0), "bound-high": (1.0, 0.0)}
TWO_SIDED = 0.025  # at each side, of an interval of 95 %


def table(
    side: str, metric: str, fill: float | None, repeat: int | None = None
) -> tuple[dict[str, float], dict[str, str]]:
    """Each item's mean over repeats, and its group."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    groups = {}
    for line in result(f"rows/{side}.jsonl").splitlines()[1:]:
        row = json.loads(line)
        if repeat in {None, row["repeat"]}:
            value = row.get(f"score.{metric}", fill)
            groups[row["item"]] = row["group"]
            values[row["item"]] += [] if value is None else [value]
    return {item: float(np.mean(each)) for item, each in values.items() if each}, groups


def pairs(
    metric: str, fills: tuple[float | None, float | None], repeat: int | None = None
) -> tuple[Floats, Floats, Labels]:
    ours, groups = table("candidate", metric, fills[0], repeat)
    theirs, _ = table("baseline", metric, fills[1], repeat)
    items = sorted(ours.keys() & theirs.keys())
    codes = np.unique([groups[item] for item in items], return_inverse=True)[1]
    return np.array([ours[item] for item in items]), np.array([theirs[item] for item in items]), codes


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("metric", ["exact", "similarity"])
def test_the_figures_of_the_table(metric: str, name: str) -> None:
    ours, theirs, groups = pairs(metric, FILLS[name])
    alone = item_test(ours, theirs, Asked(sign=-1, level=TWO_SIDED))
    grouped = item_test(ours, theirs, Asked(sign=-1, level=TWO_SIDED), groups)
    found = {
        "n": ours.size,
        "mean_b": theirs.mean(),
        "mean_c": ours.mean(),
        "D": alone.change,
        "se": alone.standard_error,
        "lo": alone.low,
        "hi": alone.high,
        "p": alone.any_change,
        "cr1": grouped.standard_error,
        "lo_c": grouped.low,
        "hi_c": grouped.high,
        "p_cr1": grouped.any_change,
    }
    assert found == pytest.approx({key: EXPECTED[f"{metric}/{name}"][key] for key in found}, abs=1e-9)


# D, exact p, mid-p, one-sided p and the interval of one repeat, errors as wrong answers: numpy 2.4 and scipy 1.18, by
# code of its own; the interval is of Agresti and Min with 1.959964.
ONE_REPEAT = {
    1: (0.25, 0.065430, -0.002984, 0.464523),
    2: (-0.25, 0.039063, -0.438797, -0.022742),
    3: (-0.041667, 0.625, -0.188501, 0.111578),
}


@pytest.mark.parametrize("repeat", ONE_REPEAT)
def test_one_repeat_of_right_or_wrong_has_mcnemar_and_agresti_min(repeat: int) -> None:
    ours, theirs, groups = pairs("exact", (0.0, 0.0), repeat)
    asked = Asked(sign=-1, level=TWO_SIDED, binary=True)
    found = item_test(ours, theirs, asked)
    assert (found.change, found.any_change, found.low, found.high) == pytest.approx(ONE_REPEAT[repeat], abs=1e-6)
    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    exact = mcnemar([[0, lost], [won, 0]], exact=True).pvalue
    assert found.any_change == pytest.approx(exact - stats.binom.pmf(lost, won + lost, 0.5) * (1 if won != lost else 0))
    assert item_test(ours, theirs, asked, groups).df == 7  # groups have no McNemar


def test_the_paired_t_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(0.7, 0.2, 40), rng.normal(0.72, 0.2, 40)
    found, other = item_test(ours, theirs, Asked(sign=-1, level=TWO_SIDED)), stats.ttest_rel(ours, theirs)
    interval = other.confidence_interval(0.95)
    assert (found.low, found.high, found.any_change) == pytest.approx((interval.low, interval.high, other.pvalue))
    margin = item_test(ours, theirs, Asked(sign=-1, margin=0.05))
    assert margin.p == pytest.approx(stats.ttest_1samp(theirs - ours, 0.05, alternative="greater").pvalue)


def test_groups_have_the_standard_error_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(12), 5)
    difference = rng.normal(0, 1, 60) + rng.normal(0, 1, 12)[groups]
    fitted = OLS(difference, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    # statsmodels' correction has (n-1)/(n-k), which is 1 for a mean
    variance, df = mean_variance(difference, groups)
    assert np.sqrt(variance) == pytest.approx(fitted.bse[0])
    assert df == 11


def test_several_trainings_have_one_covariance_of_items_or_groups() -> None:
    ours, theirs, groups = pairs("exact", (0.0, 0.0))
    for codes in (None, groups):
        made = item_estimate([ours, theirs], codes)
        variance = made.covariance[0, 0] + made.covariance[1, 1] - 2 * made.covariance[0, 1]
        assert variance == pytest.approx(mean_variance(ours - theirs, codes)[0])
        assert made.values == pytest.approx([ours.mean(), theirs.mean()])
        assert made.influence is not None
        assert made.influence.mean(axis=1) == pytest.approx([0, 0])


def test_items_that_became_worse_and_better_are_counted() -> None:
    ours, theirs, _ = pairs("exact", (0.0, 0.0))
    assert worse_better_equal(ours, theirs, -1) == (5, 6, 13)
    assert worse_better_equal(ours, theirs, 1) == (6, 5, 13)


def test_the_interval_of_a_mean_does_not_leave_its_range() -> None:
    shares = np.array([1.0] * 19 + [0.0])
    exact = stats.binomtest(19, 20).proportion_ci(0.9, method="exact")
    found = item_interval(shares, (0, 1))
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    certain = item_interval(np.full(20, 5.0), (1, 5))
    assert (certain.low, certain.high) == pytest.approx((1 + 4 * 0.05 ** (1 / 20), 5))
    values = np.array([0.1, 0.5, 0.9, 0.95])
    low, high = stats.t.interval(0.9, 3, values.mean(), stats.sem(values))
    bounded = item_interval(values, (0, 1))
    assert (bounded.low, bounded.high) == pytest.approx((low, min(high, 1)))
    free = item_interval(values, None)
    assert (free.low, free.high) == pytest.approx((low, high))


def test_few_items_that_differ_carry_no_pass() -> None:
    alike = np.full(50, 0.5)
    asked = Asked(sign=-1, margin=0.05, span=1.0)
    assert item_test(alike, alike, asked).thin  # one more item that is lost is 2 points
    assert not item_test(np.full(200, 0.5), np.full(200, 0.5), asked).thin  # ten of them make the margin
    assert not item_test(alike, alike, Asked(sign=-1, margin=0.2, span=1.0)).thin
    assert item_test(np.full(200, 0.5), np.full(200, 0.5), Asked(sign=-1, margin=0.05)).thin  # nobody knows how far
    groups = np.repeat(np.arange(20), 10)
    assert item_test(np.full(200, 0.5), np.full(200, 0.5), asked, groups).thin


def test_one_item_or_group_says_nothing_of_others() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="pairs"):
        item_test(one, one, Asked(sign=-1))
    with pytest.raises(ValueError, match="one group"):
        item_test(np.ones(3), np.zeros(3), Asked(sign=-1), np.zeros(3, np.int64))


def test_the_mid_p_of_many_items_is_that_of_few() -> None:
    for won, lost in ((0, 0), (3, 3), (2, 8), (700, 650)):
        difference = np.array([1.0] * won + [-1.0] * lost + [0.0] * 5)
        differ, least = won + lost, min(won, lost)
        two = min(1.0, 2 * stats.binom.cdf(least, differ, 0.5)) if differ else 1.0
        expected = (
            1 - stats.binom.pmf(least, differ, 0.5)
            if won == lost and differ
            else two - stats.binom.pmf(least, differ, 0.5)
        )
        assert mcnemar_mid_p(difference) == pytest.approx(expected if differ else 1.0)
