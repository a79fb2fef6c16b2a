"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.lib import figures

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)


@pytest.mark.parametrize(
    ("half_width", "value", "places"),
    [
        (0.0031, 0.905, 4),
        (0.031, 0.905, 3),
        (120.0, 48_211.0, 0),
        (1e-9, 0.905, 5),
        (1e-12, 1e-7, 9),
        (None, 0.905, 4),
        (None, 48_211.0, 0),
        (0.0, 0.0, 3),
        (float("inf"), 0.905, 4),
    ],
)
def test_decimals(half_width: float | None, value: float, places: int) -> None:
    assert figures.decimals(half_width, value) == places


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.92617, 4, "0.9262"),
        (-0.0206, 4, "−0.0206"),
        (-0.00000001, 4, "0.0000"),
        (-0.0, 2, "0.00"),
        (48_211.4, 0, "48,211"),
        (None, 4, "–"),
        (0.92617, None, "0.9262"),
        (1.5e12, None, "1.500e12"),
        (-1.5e12, 2, "−1.500e12"),
    ],
)
def test_number(value: float | None, places: int | None, text: str) -> None:
    assert figures.number(value, places) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0206, "+0.021"), (-0.0206, "−0.021"), (0.0001, "0.000"), (-0.0001, "0.000"), (None, "–")]
)
def test_signed(value: float | None, text: str) -> None:
    assert figures.signed(value, 3) == text


@given(FINITE, st.integers(0, 9))
def test_no_zero_is_below_zero(value: float, places: int) -> None:
    text = figures.signed(value, places)
    assert "-" not in text.replace("e-", "")
    if not set(text) & set("123456789"):
        assert text[0] not in "+−"


@given(FINITE.filter(lambda value: abs(value) < 1e9), st.integers(0, 9))
def test_a_number_reads_back_as_itself(value: float, places: int) -> None:
    text = figures.signed(value, places).replace(",", "").replace("−", "-")
    assert float(text) == pytest.approx(value, abs=0.5000001 * 10**-places, rel=1e-12)


def test_interval() -> None:
    assert figures.interval(-0.024, 0.0012, 3) == "[−0.024, +0.001]"
    assert figures.interval(None, 1.0, 3) == ""


@pytest.mark.parametrize(("value", "text"), [(0.005, "0.005"), (20.0, "20"), (-1.5, "−1.5"), (0.1 + 0.2, "0.3")])
def test_a_limit_is_as_the_user_wrote_it(value: float, text: str) -> None:
    assert figures.limit(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0131, "1.3 %"),
        (0.1079, "10.8 %"),
        (0.5, "50 %"),
        (1.0, "100 %"),
        (0.0056, "0.56 %"),
        (0.0, "0 %"),
        (0.000_01, "< 0.01 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert figures.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.4213, "0.421 s"),
        (12.3, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (3_599.9, "1 h 00 min"),
        (3_720.0, "1 h 02 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


def test_units() -> None:
    assert figures.milliseconds(0.5874) == "0.587 ms"
    assert figures.milliseconds(31.02) == "31.0 ms"
    assert figures.megabytes(1_912_400) == "1.91 MB"
    assert figures.megabytes(None) == "–"


@pytest.mark.parametrize(
    ("values", "bars"), [((), ""), ((1.0, 1.0), "▄▄"), ((0.0, 1.0), "▁█"), ((0.0, 0.5, 1.0, 0.25), "▁▅█▃")]
)
def test_sparkline(values: tuple[float, ...], bars: str) -> None:
    assert figures.sparkline(values) == bars


@given(st.lists(FINITE, max_size=50))
def test_a_sparkline_has_a_bar_a_value(values: list[float]) -> None:
    assert len(figures.sparkline(values)) == len(values)


def test_words() -> None:
    assert [figures.plural(n, "seed") for n in (0, 1, 1200)] == ["0 seeds", "1 seed", "1,200 seeds"]
    assert figures.short("a" * 40) == "a" * 7
    assert figures.short("sha256:" + "b" * 64) == "b" * 12
    assert figures.brief(-0.0200, 4) == "0.02"
    assert figures.brief(100.0, 0) == "100"
