"""Adjusted p values against statsmodels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from mlbot.stats import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@settings(max_examples=10)  # statsmodels takes a tenth of a second for each
@given(p_values)
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]), rel=1e-10)


@given(p_values)
def test_benjamini_hochberg_is_that_of_statsmodels(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(list(multipletests(p, method="fdr_bh")[1]), rel=1e-10)


@given(p_values)
def test_the_order_of_gates_does_not_matter(p: list[float]) -> None:
    assert holm(p[::-1]) == holm(p)[::-1]
    assert benjamini_hochberg(p[::-1]) == benjamini_hochberg(p)[::-1]


@given(p_values)
def test_an_adjustment_never_helps_an_alarm(p: list[float]) -> None:
    assert all(raw <= shown <= kept for raw, shown, kept in zip(p, benjamini_hochberg(p), holm(p), strict=True))


def test_one_gate_needs_no_adjustment_and_none_is_none() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == benjamini_hochberg([]) == []


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p])
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([p])
