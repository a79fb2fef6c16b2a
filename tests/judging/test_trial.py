"""How a trial is told of, and how trials are kept in their comment."""

import zlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import report_parts as parts
from tests.support import samples, trial_samples
from tests.support.hostile_samples import TEXTS, as_github

from mlbot.judging.trial import (
    MOST_LISTED,
    Change,
    TrialResult,
    read_results,
    results_line,
    trial_result,
    trials,
    with_result,
)
from mlbot.protocol.marker import carries, marker
from mlbot.report.markdown import LIMIT, len16

MARKER = marker(".github/workflows/mlbot.yml", "mlbot.yaml", "trial")


def test_better_is_only_what_is_clear_of_noise() -> None:
    (result,) = trial_samples.better()
    report = samples.trial()
    for row in result.metrics:
        comparison = report.models[0].comparison(
            *row.metric.partition("@")[::2] if "@" in row.metric else (row.metric,)
        )
        assert comparison is not None
        if row.reading in {"better", "worse"}:
            assert comparison.low is not None
            assert comparison.high is not None
            assert comparison.low > 0 or comparison.high < 0
    assert result.better


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("better", "Trial 1 of adult-income: "),
        ("nothing", "Trial 1 of adult-income: The training was cancelled."),
        ("uncompared", "Trial 1 of adult-income: measured, and not compared with what is committed."),
    ],
)
def test_the_headline_says_what_came_of_it(name: str, said: str) -> None:
    assert trial_samples.SAMPLES[name]()[0].headline.startswith(said)


def test_a_trial_without_effect_says_so() -> None:
    same = parts.judged(parts.adult(0.0), report={"trial": True})
    result = trial_samples.result(report=same)
    rows = tuple(row.model_copy(update={"reading": "identical", "clear": False}) for row in result.metrics)
    assert result.model_copy(update={"metrics": rows}).came_to == "no effect, the predictions are the same"


def test_parameters_stand_beside_what_is_committed() -> None:
    result = trial_samples.result(1, max_iter=90, learning_rate=0.2)
    assert [(each.name, each.before, each.after) for each in result.params] == [
        ("learning_rate", 0.1, 0.2),
        ("max_iter", 60, 90),
    ]


def test_what_the_judge_could_not_score_is_a_problem() -> None:
    result = trial_samples.result(report=samples.refused())
    assert "pickle" in result.problem
    assert result.came_to.startswith("The model file is a Python pickle")


def test_a_report_without_models_is_a_problem() -> None:
    request = trial_samples.request()
    found = trial_result(request, 1, "https://github.com/a/b", Change(), samples.nothing_stale())
    assert found.problem


def test_a_gate_that_asks_about_the_baseline_does_not_count_against_it() -> None:
    (result,) = trial_samples.failing()
    assert all("more than the" not in each for each in result.failing)


def test_results_come_back_newest_first_and_the_last_word_of_an_attempt_counts() -> None:
    kept = trial_samples.several()
    assert with_result(kept[1:], kept[0]) == kept
    again = trial_samples.result(2)
    assert with_result(kept, again) == (kept[0], kept[1], again, kept[3])


def test_what_is_kept_is_read_back_but_for_old_changes() -> None:
    kept = (trial_samples.result(2), trial_samples.result(1))
    found = read_results(f"text\n\n{results_line(MARKER, kept)}\n", MARKER)
    assert found == (kept[0], kept[1].model_copy(update={"diff": ""}))


def test_old_trials_are_dropped_before_the_line_grows_too_long() -> None:
    kept: tuple[TrialResult, ...] = ()
    for number in range(1, 41):
        params: dict[str, Any] = {f"p{n}-{number}": f"{number}{n}" * 20 for n in range(40)}
        kept = with_result(kept, trial_samples.result(number, **params))
    assert len(kept) == MOST_LISTED
    line = results_line(MARKER, kept)
    assert len(line) < 25_000
    found = read_results(line, MARKER)
    assert found
    assert [each.number for each in found] == [40 - at for at in range(len(found))]


def bomb() -> str:
    return urlsafe_b64encode(zlib.compress(b"[" + b" " * (8 << 20) + b"]", 9)).decode()[:23_000]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "<!-- mlbot:trials  -->",
        "<!-- mlbot:trials !! -->",
        "<!-- mlbot:trials AAAA -->",
        f"<!-- mlbot:trials {bomb()} -->",
        f"<!-- mlbot:trials {urlsafe_b64encode(zlib.compress(b'[{}]')).decode()} -->",
        f"<!-- mlbot:trials {urlsafe_b64encode(zlib.compress(b'[]')).decode()} --> more",
    ],
)
def test_what_is_malformed_is_no_result(line: str) -> None:
    assert read_results(f"{MARKER}{line}", MARKER) == ()


@given(st.text(max_size=40))
def test_any_last_line_is_survived(text: str) -> None:
    assert read_results(f"{MARKER}{text}", MARKER) == ()
    assert read_results(text, MARKER) == ()


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


@pytest.mark.parametrize("old", [0, 1, MOST_LISTED])
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
