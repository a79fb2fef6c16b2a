"""Effect sizes of drift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlbot.stats.drift import drift


@given(st.integers(0, 1000), st.integers(1, 30))
def test_ks_is_that_of_scipy(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, levels, 70) / levels, rng.integers(0, levels + 3, 40) / levels
    found = drift(first, second, fewest_rows=10)
    assert found is not None
    assert found.ks == pytest.approx(stats.ks_2samp(first, second, method="asymp").statistic, abs=1e-12)


def test_psi_of_a_worked_example() -> None:
    """Two categories, 60 and 40 of 100 against 40 and 60, half a row added to each: 2 (.5990-.4010)... by hand."""
    found = drift(np.repeat(["a", "b"], [60, 40]), np.repeat(["a", "b"], [40, 60]), fewest_rows=100)
    assert found is not None
    p, q = 60.5 / 101, 40.5 / 101
    assert found.psi == pytest.approx(2 * (p - q) * np.log(p / q), rel=1e-10)
    assert found.ks is None
    assert found.rows == 100


def test_numbers_are_binned_by_the_references_deciles() -> None:
    reference = np.arange(1000.0)
    found = drift(reference, reference[:500])
    assert found is not None
    p = (np.append(np.full(10, 100), []) + 0.5) / 1005
    q = (np.repeat([100, 0], 5) + 0.5) / 505
    assert found.psi == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-10)
    assert found.ks == pytest.approx(0.5)


def test_the_same_rows_have_not_moved() -> None:
    values = np.random.default_rng(0).normal(size=800)
    found = drift(values, values[::-1])
    assert found is not None
    assert (found.psi, found.ks) == (0, 0)
    assert not found.moved()


def test_a_tiny_shift_on_many_rows_is_not_called_drift() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=100_000), rng.normal(0.02, 1, 100_000)
    assert stats.ks_2samp(first, second).pvalue < 0.05
    found = drift(first, second)
    assert found is not None
    assert not found.moved()


def test_a_real_shift_a_new_category_and_missing_values_are() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=2000)
    words = rng.choice(["a", "b"], 2000)
    holes = np.where(rng.random(2000) < 0.4, np.nan, numbers)
    new = np.where(rng.random(2000) < 0.3, "c", words)
    for first, second in ((numbers, numbers + 0.5), (words, new), (numbers, holes), (holes, numbers)):
        found = drift(first, second)
        assert found is not None
        assert found.moved()


def test_a_column_of_nothing_but_missing_values() -> None:
    nothing = np.full(600, np.nan)
    found = drift(nothing, nothing)
    assert found is not None
    assert (found.psi, found.ks) == (0, None)
    moved = drift(nothing, np.zeros(600))
    assert moved is not None
    assert moved.moved()


@pytest.mark.parametrize(("first", "second"), [(499, 1000), (1000, 499), (0, 0)])
def test_too_few_rows_say_nothing(first: int, second: int) -> None:
    assert drift(np.zeros(first), np.ones(second)) is None
