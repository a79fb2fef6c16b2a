"""The comment that lists a pull request's trials."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import trial_samples
from tests.support.hostile_samples import TEXTS, as_github

from mlbot.judging.trial import KEPT, read_results, trials
from mlbot.protocol.marker import carries, marker
from mlbot.report.markdown import LIMIT, len16

MARKER = marker(".github/workflows/mlbot.yml", "mlbot.yaml", "trial")


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


@pytest.mark.parametrize("name", trial_samples.SAMPLES)
def test_whole(name: str, snapshot: SnapshotAssertion) -> None:
    text = trials(trial_samples.SAMPLES[name](), marker=MARKER, page=trial_samples.PAGE)
    words, _, line = text.rstrip("\n").rpartition("\n")
    assert read_results(line, MARKER)
    assert f"{words}\n{MARKER}\n" == snapshot(extension_class=MarkdownFile)


def test_the_newest_stands_first_and_the_kept_results_last() -> None:
    results = trial_samples.several()
    text = trials(results, marker=MARKER, page=trial_samples.PAGE)
    marks = ("Trial 4 of", "| Metric |", "**4 trials**", "Earlier trials", "[3](", "[2](", "[1](", "mlbot:trials")
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert carries(text, MARKER)


def test_a_summary_has_no_marker() -> None:
    assert "<!--" not in trials(trial_samples.better(), page=trial_samples.PAGE)


@given(TEXTS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_strangers_parameters_stay_text(text: str) -> None:
    results = (trial_samples.result(1, booster=text[:200]),)
    page = as_github(trials(results, marker=MARKER, page=trial_samples.PAGE))
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("<table>") == 1


@given(st.text("`", max_size=9))
def test_no_backtick_ends_the_change(ticks: str) -> None:
    change = f"{trial_samples.DIFF}\n {ticks}\n # after"
    (result,) = trial_samples.better()
    text = trials([result.model_copy(update={"diff": change})], page=trial_samples.PAGE)
    assert " # after\n" in as_github(text).split("</code>")[-2].replace("&#35;", "#")


@pytest.mark.parametrize("old", [0, 1, KEPT])
def test_it_is_never_too_long_and_loses_the_oldest_first(old: int) -> None:
    params: dict[str, Any] = {f"parameter-{number}": "*|<`" * 50 for number in range(64)}
    newest = trial_samples.result(old + 1, **params)
    row = newest.metrics[0].model_copy(update={"metric": "m" * 60, "reading": "*" * 500})
    newest = newest.model_copy(update={"metrics": (row,) * 150, "failing": ("~" * 2000,) * 20, "diff": "x" * 8000})
    earlier = [trial_samples.result(number, **params) for number in range(old, 0, -1)]
    text = trials([newest, *earlier], marker=MARKER, page=trial_samples.PAGE)
    assert len16(text) <= LIMIT
    assert f"Trial {old + 1} of" in text
    kept = read_results(text, MARKER)
    assert [each.number for each in kept] == [old + 1 - at for at in range(len(kept))]
