"""Whose words a comment or status is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.events.github import Attempt
from mlbot.protocol.marker import Stamp, attempt_of, carries, marker, read_stamp, stamped, with_attempt

MARKER = marker(".github/workflows/mlbot-judge.yml", "mlbot.yaml")
STAMP = Stamp(attempt=Attempt(run=7, number=2), head="a" * 40)
attempts = st.builds(Attempt, run=st.integers(1, 10**17), number=st.integers(1, 99_999))


@given(attempts, st.text())
def test_a_stamp_is_read_back_whatever_stands_above_it(attempt: Attempt, text: str) -> None:
    stamp = Stamp(attempt=attempt, head="f" * 40)
    body = f"{text}\n\n{stamped(MARKER, stamp)}\n"
    assert carries(body, MARKER)
    assert read_stamp(body, MARKER) == stamp


@pytest.mark.parametrize(
    "body",
    [
        "",
        f"> {stamped(MARKER, STAMP)}",
        f"{stamped(MARKER, STAMP)}\n\nLook what the bot wrote.",
        f"`{stamped(MARKER, STAMP)}`",
        stamped(marker(".github/workflows/other.yml", "mlbot.yaml"), STAMP),
        stamped(marker(".github/workflows/mlbot-judge.yml", "mlbot.yaml", "trial"), STAMP),
    ],
)
def test_a_quoted_marker_or_another_one_is_none(body: str) -> None:
    assert not carries(body, MARKER)
    assert read_stamp(body, MARKER) is None


def test_a_marker_without_a_stamp_is_anybodys_turn() -> None:
    assert carries(f"text\n{MARKER}", MARKER)
    assert read_stamp(f"text\n{MARKER}", MARKER) is None


@given(attempts)
def test_a_link_carries_the_attempt(attempt: Attempt) -> None:
    link = with_attempt("https://github.com/o/r/actions/runs/9#old", attempt)
    assert link.startswith("https://github.com/o/r/actions/runs/9#")
    assert attempt_of(link) == attempt


@pytest.mark.parametrize(
    "url", ["", "https://x/y", "https://x/#mlbot-7", "https://x/#mlbot-0.1", "https://x/#mlbot-7.1x"]
)
def test_other_links_carry_none(url: str) -> None:
    assert attempt_of(url) is None
