"""What a sketch and counts are: added up in any order, in the bins of one sketch, and nothing that does not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlbot.data.sketch import MOST_BINS, Column, Counts, Sketch, SketchKind, Tally, nothing_of

AGE = Column(name="age", kind=SketchKind.NUMBER, edges=(30.0, 50.0))
SEX = Column(name="sex", kind=SketchKind.CATEGORY, values=("Female", "Male"), distinct=2)
LABEL = Column(name="label", kind=SketchKind.CATEGORY, values=("yes",))
NOTHING = nothing_of((AGE, SEX), (LABEL,), ())

_rows = st.integers(0, 10**12)


@st.composite
def tallies(draw: st.DrawFn, bins: int) -> Tally:
    counts = draw(st.lists(_rows, min_size=bins, max_size=bins))
    return Tally(counts=tuple(counts), missing=draw(_rows), other=draw(_rows))


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    features = draw(tallies(AGE.bins)), draw(tallies(SEX.bins))
    return Counts(rows=draw(_rows), features=features, targets=(draw(tallies(LABEL.bins)),))


@given(counts(), counts(), counts())
def test_counts_add_up_in_any_order(one: Counts, two: Counts, three: Counts) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + NOTHING == one
    assert sum((two, three), start=one) == one + two + three


@given(counts(), counts())
def test_a_tally_has_all_rows_of_both(one: Counts, two: Counts) -> None:
    both = one + two
    assert both.features[0].rows == one.features[0].rows + two.features[0].rows == sum(both.features[0].every)


def test_counts_of_another_sketch_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="zip"):
        NOTHING + nothing_of((AGE,), (LABEL,), ())
    with pytest.raises(ValueError, match="zip"):
        nothing_of((AGE,), (), ()) + nothing_of((LABEL,), (), ())


def test_a_sketch_says_each_column_beside_others() -> None:
    sketch = Sketch(features=(AGE, SEX), targets=(LABEL,), counts=NOTHING)
    assert sketch.fits(NOTHING)
    assert sketch.nothing == NOTHING
    assert [(each.part, each.column.name) for each in sketch.beside(NOTHING)] == [
        ("features", "age"),
        ("features", "sex"),
        ("targets", "label"),
    ]
    assert not sketch.fits(nothing_of((AGE,), (LABEL,), ()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": (2.0, 1.0)},
        {"edges": (1.0, 1.0)},
        {"edges": (float("nan"),)},
        {"edges": (float("inf"),)},
        {"edges": tuple(map(float, range(MOST_BINS)))},
        {"kind": SketchKind.CATEGORY, "values": ("a", "a")},
        {"kind": SketchKind.CATEGORY, "values": ("a" * 61,)},
        {"name": "a" * 201},
    ],
)
def test_a_column_that_lies_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Column(**({"name": "x", "kind": SketchKind.NUMBER} | wrong))


def test_a_sketch_whose_counts_are_of_other_bins_is_none() -> None:
    with pytest.raises(ValidationError, match="other columns or bins"):
        Sketch(features=(AGE,), counts=NOTHING)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Tally(counts=(-1,))
