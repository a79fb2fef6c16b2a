"""What margin a comparison can judge, against other packages' power calculations and what has to hold of any."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlbot.gates.outcome import ALPHA
from mlbot.stats.power import (
    NOTICED,
    PASSING,
    Seeding,
    Spread,
    Verdicts,
    chances,
    judges,
    noticed,
    passable,
    sealed_rows,
    seeds_needed,
    times_needed,
    verdicts,
)
from mlbot.stats.recipe import RecipeTest, SeedHistory, recipe_test
from mlbot.stats.types import Estimate, Method

LUCK = 0.006  # what 10,000 draws that lie as they should are off a share by
OF_SEEDS = Spread(shared=0.0, between=1.0)
ROWS = 2_000
USUAL = Spread(shared=0.01 / ROWS, particular=0.03 / ROWS, between=3e-6, df=ROWS - 1, step=1 / ROWS, reach=1 / ROWS)
LOOKS = ((2, 0.01), (3, 0.015), (5, 0.025))


@pytest.mark.parametrize(
    ("seeds", "level", "excess", "power"),
    [  # scipy 1.17.1: the share of 200,000 draws in which ttest_ind(equal_var=False, alternative="greater") rejects
        (2, 0.05, 1.0, 0.1024),
        (2, 0.05, 4.0, 0.5762),
        (3, 0.05, 1.0, 0.2230),
        (3, 0.05, 2.0, 0.5761),
        (3, 0.05, 4.0, 0.9762),
        (3, 0.0125, 2.0, 0.2116),
        (3, 0.0125, 4.0, 0.7045),
        (5, 0.05, 1.0, 0.4039),
        (5, 0.05, 2.0, 0.8815),
        (5, 0.0125, 2.0, 0.6205),
        (8, 0.05, 1.0, 0.5957),
        (8, 0.0125, 2.0, 0.9108),
    ],
)
def test_seeds_alone_are_welchs_test(seeds: int, level: float, excess: float, power: float) -> None:
    family = round(ALPHA / level)
    found = chances(OF_SEEDS, Seeding(looks=((seeds, ALPHA),), family=family), margin=1.0, drop=1.0 + excess)
    assert found.fails == pytest.approx(power, abs=LUCK)
    # A pass is the same question from the other side, and has no family.
    mirrored = chances(OF_SEEDS, Seeding(looks=((seeds, level),)), margin=excess, drop=0.0)
    assert mirrored.passes == pytest.approx(power, abs=LUCK)


@pytest.mark.parametrize(
    ("seeds", "level", "excess", "power"),
    [  # statsmodels 0.15.0: TTestIndPower().power(excess, nobs1=seeds, alpha=level, ratio=1, alternative="larger")
        (5, 0.05, 1.0, 0.42145),
        (5, 0.0125, 2.0, 0.66155),
        (8, 0.05, 1.0, 0.60149),
        (8, 0.0125, 2.0, 0.91724),
    ],
)
def test_unequal_variances_cost_a_little_beside_the_pooled_test(
    seeds: int, level: float, excess: float, power: float
) -> None:
    found = chances(OF_SEEDS, Seeding(looks=((seeds, ALPHA),), family=round(ALPHA / level)), 1.0, 1.0 + excess)
    assert power - 0.05 < found.fails < power + LUCK


@pytest.mark.parametrize(
    ("rows", "power"),
    # statsmodels 0.15.0: TTestPower().power(effect_size=.5, nobs=rows, alpha=.05, alternative="larger")
    [(9, 0.39277), (25, 0.78339), (100, 0.99955)],
)
def test_rows_alone_are_the_paired_test(rows: int, power: float) -> None:
    spread = Spread(shared=1 / rows, df=rows - 1)
    found = chances(spread, Seeding(looks=((1, ALPHA),), matters=False), margin=1.0, drop=1.5)
    assert found.fails == pytest.approx(power, abs=LUCK)


@pytest.mark.parametrize(
    ("variance", "tolerated", "level", "power", "rows"),
    [  # statsmodels 0.15.0: zt_ind_solve_power(tolerated / sqrt(variance), None, level, power, ratio=0, "larger")
        (0.06, 0.01, 0.025, 0.8, 4709.33),
        (0.06, 0.02, 0.025, 0.8, 1177.33),
        (0.06, 0.01, 0.05, 0.8, 3709.53),
        (0.03, 0.005, 0.05 / 6, 0.9, 16211.44),
    ],
)
def test_sealed_rows(variance: float, tolerated: float, level: float, power: float, rows: float) -> None:
    assert sealed_rows(variance, tolerated, level, power) == pytest.approx(rows, abs=0.01)


@pytest.mark.parametrize("gain", [0.0, 0.01])
def test_sealed_rows_of_decided_labels_are_asked_at_the_variance_of_the_margin(gain: float) -> None:
    """By Tango's statistic of as many rows won and lost as are to be expected, which passes half of the time."""
    differ, margin, level = 0.02, 0.01, 0.05 / 6
    rows = sealed_rows(differ, margin + gain, level, 0.5, margin=margin, step=1.0)
    won, lost = (rows * (differ + sign * gain) / 2 for sign in (1, -1))
    a, b, c = 2 * rows, -lost - won + (2 * rows - lost + won) * margin, -won * margin * (1 - margin)
    likely = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    statistic = (rows * margin - (lost - won)) / math.sqrt(rows * (2 * likely + margin * (1 - margin)))
    assert statistic == pytest.approx(stats.norm.isf(level), rel=0.02)


def test_a_long_history_is_as_good_as_a_known_variance() -> None:
    # scipy 1.17.1: norm.sf(norm.isf(.05) - 2 / sqrt(2))
    found = chances(OF_SEEDS, Seeding(looks=((1, ALPHA),), history=100_000), 1.0, 3.0)
    assert found.fails == pytest.approx(0.40879, abs=LUCK)


def test_one_seed_decides_by_a_history_alone() -> None:
    lone = Seeding(looks=((1, ALPHA),))
    assert lone.undecidable
    assert noticed(USUAL, lone) is passable(USUAL, lone) is None
    assert chances(USUAL, lone, 1.0, 3.0).fails == 0.0
    assert noticed(USUAL, replace(lone, history=8)) is not None
    assert noticed(USUAL, replace(lone, matters=False)) is not None


def judged(spread: Spread, found: Verdicts, at: int, seeds: int, history: int) -> RecipeTest:
    """What the judge says where rows and seeds do what they do in one of the verdicts."""
    models, own = 2 * seeds, np.repeat([0, 1], seeds)
    values = np.zeros(models)
    for side, variance in ((own == 0, found.ours[at]), (own == 1, found.theirs[at])):
        ranks = np.arange(seeds) - (seeds - 1) / 2
        values[side] = ranks * math.sqrt(variance / ranks.var(ddof=1)) if seeds > 1 else 0.0
    values[own == 0] += found.change[at]
    alike = np.equal.outer(own, own)
    covariance = np.where(alike, found.shared[at] / 2, 0.0) + np.eye(models) * spread.particular
    past = SeedHistory(variance=float(found.past[at]), df=history) if history else None
    estimate = Estimate(
        values=values, covariance=covariance, df=spread.df, method=Method.DELTA, rows=ROWS, support=np.ones(models)
    )
    return recipe_test(estimate, seeds, sign=1, margin=0.01, history=past)


@pytest.mark.parametrize("spread", [USUAL, replace(USUAL, particular=3e-6), replace(USUAL, between=3e-7, df=40.0)])
@pytest.mark.parametrize(("seeds", "history"), [(2, 0), (5, 0), (1, 8), (2, 8), (3, 20), (5, 7), (1, 60), (5, 60)])
def test_a_verdict_is_what_the_judge_makes_of_such_rows_and_seeds(spread: Spread, seeds: int, history: int) -> None:
    found = verdicts(spread, Seeding(history=history), seeds)
    for at in range(0, found.change.size, 250):
        test = judged(spread, found, at, seeds, history)
        assert test.drop == pytest.approx(found.change[at])
        assert (test.variance, test.df) == pytest.approx((found.variance[at], found.df[at]))


@pytest.mark.parametrize(("seeds", "history"), [(1, 8), (1, 60), (5, 0), (8, 0)])
def test_the_standard_error_is_that_of_the_verdicts(seeds: int, history: int) -> None:
    spread = replace(USUAL, between=3e-5)  # so much that the floor hardly counts
    found = verdicts(spread, Seeding(history=history), seeds).variance.mean()
    assert spread.variance(seeds) == pytest.approx(found, rel=0.02)


def test_a_margin_at_its_least_does_what_it_is_for() -> None:
    for seeding in (Seeding(), Seeding(looks=LOOKS, family=4), Seeding(looks=LOOKS, history=20)):
        least, passed = noticed(USUAL, seeding), passable(USUAL, seeding)
        assert least is not None
        assert passed is not None
        assert chances(USUAL, seeding, least, 3 * least).fails == pytest.approx(NOTICED, abs=0.002)
        assert chances(USUAL, seeding, passed).passes == pytest.approx(PASSING, abs=0.002)
        assert judges(USUAL, seeding, 1.01 * max(least, passed))
        assert not judges(USUAL, seeding, 0.98 * max(least, passed))


def test_few_rows_that_differ_pass_a_margin_of_ten_of_them_only() -> None:
    thin = replace(USUAL, effective_rows=60.0)
    quiet = replace(thin, shared=1e-7, particular=0.0, between=1e-9)
    assert passable(quiet, Seeding()) == pytest.approx(10 / ROWS, rel=0.001)
    assert passable(replace(thin, reach=None, step=0.0), Seeding()) is None
    assert passable(replace(thin, effective_rows=100.0), Seeding()) == passable(USUAL, Seeding())


def test_where_nothing_moves_a_drop_still_lies_in_rows() -> None:
    still = Spread(shared=0.0, df=ROWS - 1, step=1 / ROWS, reach=1 / ROWS)
    least = noticed(still, Seeding())
    assert least is not None
    assert 1 / ROWS < least < 10 / ROWS
    assert chances(still, Seeding(), least, 3 * least).fails >= NOTICED
    assert noticed(replace(still, step=0.0), Seeding()) == 0.0


def test_rows_and_seeds_that_would_do() -> None:
    seeding, margin = Seeding(), 0.006
    times, seeds = times_needed(USUAL, seeding, margin), seeds_needed(USUAL, seeding, 0.008)
    assert times is not None
    assert seeds is not None
    assert judges(USUAL.at(times), seeding, margin)
    assert not judges(USUAL.at(times * 0.97), seeding, margin)
    assert judges(USUAL, Seeding(looks=((seeds, ALPHA),)), 0.008)
    assert not judges(USUAL, Seeding(looks=((seeds - 1, ALPHA),)), 0.008)
    assert times_needed(USUAL, seeding, 0.0) is None
    assert seeds_needed(USUAL, seeding, 0.001) is None
    assert seeds_needed(USUAL, replace(seeding, matters=False), 0.008) is None


@st.composite
def spreads(draw: st.DrawFn) -> Spread:
    rows = draw(st.integers(200, 100_000))
    parts = st.floats(0, 0.2)
    return Spread(
        shared=draw(parts) / rows,
        particular=draw(parts) / rows,
        between=draw(st.floats(1e-8, 1e-4)),
        df=rows - 1,
        step=draw(st.sampled_from([0.0, 1 / rows])),
    )


seedings = st.builds(
    Seeding,
    looks=st.sampled_from([((3, 0.05),), ((5, 0.05),), LOOKS]),
    family=st.integers(1, 20),
    history=st.sampled_from([0, 8, 30]),
)
FEW = settings(max_examples=8, deadline=None)


def size(least: float | None) -> float:
    """None is more than any margin."""
    return math.inf if least is None else least


SLACK = 1.03  # the draws are the same, and their luck is not the same at each number of rows


@FEW
@given(spreads(), seedings, st.floats(1.0, 20.0))
def test_more_rows_never_need_a_larger_margin(spread: Spread, seeding: Seeding, times: float) -> None:
    for least in (noticed, passable):
        before, after = least(spread, seeding), least(spread.at(times), seeding)
        assert size(after) <= size(before) * SLACK


@FEW
@given(spreads(), st.integers(2, 20), st.integers(1, 10), st.integers(1, 12))
def test_more_seeds_never_need_a_larger_margin(spread: Spread, seeds: int, more: int, family: int) -> None:
    few, many = (Seeding(looks=((each, ALPHA),), family=family) for each in (seeds, seeds + more))
    for least in (noticed, passable):
        assert size(least(spread, many)) <= size(least(spread, few)) * SLACK


@FEW
@given(spreads(), seedings, st.floats(0.1, 0.9))
def test_a_smaller_error_needs_a_larger_margin(spread: Spread, seeding: Seeding, times: float) -> None:
    strict = replace(seeding, looks=tuple((seeds, level * times) for seeds, level in seeding.looks))
    crowded = replace(seeding, family=seeding.family + 3)
    for least in (noticed, passable):
        assert size(least(spread, strict)) >= size(least(spread, seeding))
    assert size(noticed(spread, crowded)) >= size(noticed(spread, seeding))
