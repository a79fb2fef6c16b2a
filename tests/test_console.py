"""What goes to which stream."""

import io

import pytest

from mlbot.console import Console, wants_color


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def console(*, quiet: bool = False, live: bool = False) -> tuple[Console, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Console(quiet=quiet, live=live, out=out, err=err), out, err


def test_results_go_to_stdout_and_steps_to_stderr() -> None:
    shown, out, err = console()
    shown.result("the verdict")
    shown.say("training")
    assert (out.getvalue(), err.getvalue()) == ("the verdict\n", "training\n")


def test_quiet_keeps_results_and_errors() -> None:
    shown, out, err = console(quiet=True, live=True)
    shown.say("training")
    shown.passing("epoch 1")
    shown.error("no such model")
    shown.result("pass\n")
    assert (out.getvalue(), err.getvalue()) == ("pass\n", "no such model\n")


def test_a_passing_line_is_drawn_in_a_terminal_only_and_wiped() -> None:
    shown, _, err = console(live=False)
    shown.passing("epoch 1")
    assert err.getvalue() == ""
    shown, _, err = console(live=True)
    shown.passing("epoch 1")
    shown.passing("epoch 2, too soon to be drawn")
    shown.say("done")
    assert "epoch 1" in err.getvalue()
    assert "epoch 2" not in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[Kdone\n")


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CI": "true"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour(environment: dict[str, str], terminal: bool, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert wants_color(Terminal() if terminal else io.StringIO(), environment) is expected
