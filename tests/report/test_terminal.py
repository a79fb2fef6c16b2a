"""The report in a terminal."""

import re

import pytest
from hypothesis import given, settings
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import samples
from tests.support.hostile_samples import TEXTS, poisoned

from mlbot.lib.terminal import cells
from mlbot.report.terminal import terminal

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class TextFile(SingleFileSnapshotExtension):
    file_extension = "txt"
    _write_mode = WriteMode.TEXT


def test_whole(snapshot: SnapshotAssertion) -> None:
    assert terminal(samples.failing(), color=False, width=100) == snapshot(extension_class=TextFile)


@pytest.mark.parametrize("name", sorted(samples.SAMPLES.keys() - {"failing"}))
def test_sections(name: str, snapshot: SnapshotAssertion) -> None:
    whole = terminal(samples.failing(), color=False, width=100)
    shown = samples.differing(terminal(samples.SAMPLES[name](), color=False, width=100), whole)
    assert shown == snapshot(extension_class=TextFile)


@pytest.mark.parametrize("width", [60, 140])
def test_whole_at_other_widths(width: int, snapshot: SnapshotAssertion) -> None:
    assert terminal(samples.failing(), color=False, width=width) == snapshot(extension_class=TextFile)


def test_whole_in_colour(snapshot: SnapshotAssertion) -> None:
    shown = terminal(samples.failing(), color=True, width=100).replace("\x1b", "\\e")
    assert shown == snapshot(extension_class=TextFile)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_colour_changes_nothing_but_colour(name: str) -> None:
    report = samples.SAMPLES[name]()
    assert ANSI.sub("", terminal(report, color=True, width=100)) == terminal(report, color=False, width=100)


@pytest.mark.parametrize("width", [1, 40, 50, 60, 80, 100, 200])
@pytest.mark.parametrize("name", ["failing", "inconclusive", "many", "wide", "crashed"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    lines = terminal(samples.SAMPLES[name](), color=False, width=width).splitlines()
    assert max(map(cells, lines)) <= max(width, 52)  # names of gates are never cut: a table may need 52


def test_columns_line_up() -> None:
    lines = terminal(samples.failing(), color=False, width=100).splitlines()
    table = lines[next(n for n, line in enumerate(lines) if line.startswith("  gate")) :][:8]
    assert {line.index(mark) for line in table[1:] for mark in "✓✗" if mark in line} == {table[0].index("outcome")}


@settings(deadline=None)
@given(TEXTS)
def test_no_text_of_a_stranger_commands_the_terminal(text: str) -> None:
    shown = terminal(poisoned(samples.many(), text), color=False, width=100)
    assert shown.replace("\n", "").isprintable()


def test_a_pass_without_action_is_one_glance() -> None:
    assert terminal(samples.passing(), color=False, width=100).startswith(
        "✓ Ready to merge: all 7 gates pass, and roc_auc rose by 0.0043.\n  No action needed.\n\n"
    )


def test_wide_characters_take_two_cells() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
