"""Charts: what is drawn, how little of it, and that no figure breaks one."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.monitoring.charts import Room, Scale, Spot, bars, chart, columns, thinned

FIGURES = st.floats(allow_nan=False, allow_infinity=False)
NUMBER = r"-?[0-9]+(?:\.[0-9])?"


def spots(values: list[float]) -> list[Spot]:
    return [Spot(value=each, low=each - 0.01, high=each + 0.01) for each in values]


def test_ticks_are_round_and_hold_the_figures() -> None:
    scale = Scale.over([0.912, 0.934])
    assert scale is not None
    assert scale.ticks == ("0.94", "0.93", "0.92", "0.91")
    assert scale.y(0.91) == "100"
    assert scale.y(0.94) == "0"


def test_a_chart_of_one_figure_and_of_figures_that_are_the_same() -> None:
    for values in ([0.9], [0.9, 0.9], [0.0, 0.0]):
        drawn = chart(spots(values))
        assert drawn is not None
        assert len(drawn.ticks) > 1
    assert chart([]) is None


def test_a_long_history_stays_small_and_keeps_its_extremes() -> None:
    values = [0.9 + math.sin(n / 40) / 100 for n in range(10_000)]
    values[4_321], values[8_765] = 0.5, 0.99
    shown = thinned(spots(values))
    assert {0, 9_999, 4_321, 8_765} <= {*shown}
    assert len(shown) < 1_700
    drawn = chart(spots(values))
    assert drawn is not None
    assert sum(map(len, (drawn.line, drawn.band, drawn.loud, drawn.dots))) < 64_000


def test_every_thinned_column_keeps_a_verdict_that_did_not_pass() -> None:
    found = [Spot(value=0.9, loud=n == 7_777) for n in range(10_000)]
    assert 7_777 in thinned(found)


def test_no_line_joins_two_holdouts() -> None:
    drawn = chart([Spot(value=0.9, group=g) for g in (0, 0, 1, 1)])
    assert drawn is not None
    assert drawn.line.count("M") == 2
    assert drawn.breaks.count("M") == 1


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([(0, 0.9)], "M0 100H1000"),
        ([(0, 0.0)], ""),  # too far from the figures to be drawn with them
        ([(1, 0.9), (2, 0.91)], "M500 100H992M992 66.7H1000"),
        ([(0, 0.9), (1, None)], "M0 100H500"),
        ([(0, 0.9), (3, 0.91)], "M0 100H1000"),  # no figure was judged by the last one yet
    ],
)
def test_a_limit_is_drawn_as_far_as_it_held(steps: list[tuple[int, float | None]], path: str) -> None:
    drawn = chart([Spot(value=each) for each in (0.91, 0.92, 0.93)], [steps])
    assert drawn is not None
    assert drawn.limits == path


@given(
    st.lists(st.builds(Spot, value=FIGURES, low=FIGURES | st.none(), high=FIGURES | st.none(), group=st.integers(0, 2)))
)
def test_any_figures_make_a_chart_of_numbers_or_none(found: list[Spot]) -> None:
    drawn = chart(found, [[(0, 0.5), (1, 0.6)]])
    if drawn is None:
        return
    for path in (drawn.line, drawn.band, drawn.dots, drawn.loud, drawn.breaks, drawn.limits):
        assert re.fullmatch(rf"(?:[MLHVhvz]|{NUMBER}| )*", path)
    assert len(drawn.ticks) <= 12
    assert not any("nan" in tick or "inf" in tick for tick in drawn.ticks)


@pytest.mark.parametrize("heights", [[], [0.0], [1.0, 2.0], [1.0] * 5_000, [math.inf]])
def test_columns(heights: list[float]) -> None:
    assert len(columns(heights)) < 20_000


def test_a_bar_has_its_text_where_all_of_it_fits() -> None:
    found = bars([0.0, 0.5, 0.9, 0.99, 1.0], ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"])
    assert [(each.text, each.room) for each in found] == [
        ("v1.0.0", Room.ANYWHERE),
        ("v1.1.0", Room.ANYWHERE),
        ("v1.2.0", Room.WIDE),
        ("v1.3.0", Room.NOWHERE),
    ]
    assert [(each.x, each.width) for each in found[:2]] == [("0", "50"), ("50", "40")]
