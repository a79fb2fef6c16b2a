"""Adjusted p values against statsmodels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from mlbot.stats.intervals import benjamini_hochberg

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(p_values)
def test_benjamini_hochberg_is_that_of_statsmodels(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(list(multipletests(p, method="fdr_bh")[1]), rel=1e-10)


@given(p_values)
def test_the_order_of_tests_does_not_matter(p: list[float]) -> None:
    assert benjamini_hochberg(p[::-1]) == benjamini_hochberg(p)[::-1]


@given(p_values)
def test_an_adjustment_never_helps_an_alarm(p: list[float]) -> None:
    assert all(raw <= shown for raw, shown in zip(p, benjamini_hochberg(p), strict=True))


def test_one_test_needs_no_adjustment_and_none_is_none() -> None:
    assert benjamini_hochberg([0.03]) == [0.03]
    assert benjamini_hochberg([]) == []


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([p])
