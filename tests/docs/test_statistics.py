"""The page of statistics says what the simulation counted, and what was promised is kept or named."""

import re

import pytest

import statistics_table
from mlbot.gates.outcome import ALPHA
from mlbot.lib.templates import sentence
from mlbot.stats.anchor import TOLERANCE
from mlbot.stats.sealed import MOST_REFUSED, level_after
from mlbot.verdict.seeds import SeedDesign
from statistics_table import GATES, Results, Share, memory_promises, named, promises, rewritten

PAGE = statistics_table.PAGE.read_text(encoding="utf-8")
RESULTS = Results.read()
MISSED = {
    *(f"seeds a side where nothing changed, margin 4 sd, history, {gates} gates" for gates in (5, 10, 20)),
    "`pass` at a true drop of one margin, answers moved, root_mean_squared_error",
}
"""What the page says is not kept: a verdict takes the seeds of its last gate, and rows that decide may not be drawn."""


MISSED_IN_MEMORY = {
    "`pass` of a release that is better by three margins, 2,000 sealed rows",
    *(
        f"margins lost by twenty pull requests that lose {step} each, {kind}, `log_loss`, margin {sd} sd"
        for kind, sd in (("constant", 2), ("moved", 2), ("moved", 3))
        for step in ("0.5", "1")
    ),
    *(
        f"pull requests without a loss that the anchor blocks, other rows, {share} %, `{metric}`, margin 1 sd"
        for share in (1, 3)
        for metric in ("accuracy", "log_loss")
    ),
}
"""Where a tenth of the rows differ a release needs more of them; few rows carry a log loss; 1 sd is within noise."""


def test_the_tables_are_those_that_were_counted() -> None:
    assert rewritten(PAGE, RESULTS) == PAGE, "run `python docs/statistics_table.py`"


def test_a_drift_would_be_seen() -> None:
    assert rewritten(PAGE.replace("| yes |", "| no |"), RESULTS) == PAGE
    assert len(re.findall("of the simulation -->", PAGE)) == 3 + 7 + 3


def test_every_promise_is_kept_but_those_that_the_page_names() -> None:
    assert {each.text for each in promises(RESULTS) if not each.kept} <= MISSED
    assert len(promises(RESULTS)) == 7 + len(GATES)


def test_every_promise_of_sealed_rows_and_the_anchor_is_kept_but_those_that_the_page_names() -> None:
    found = memory_promises(RESULTS)
    assert {each.text for each in found if not each.kept} <= MISSED_IN_MEMORY
    assert len(found) == 3 + 2 + 2 * (8 + 8)


def test_the_levels_of_the_page_are_those_of_the_rule() -> None:
    looks = [level_after(refused) for refused in range(MOST_REFUSED)]
    levels = [100 * level for level in looks if level is not None]
    asked = f"Asked are {levels[0]:.2f} at the first look, {levels[-1]:.2f} at the tenth, {sum(levels):.2f} at all ten"
    assert asked in " ".join(PAGE.split())
    assert f"D is more than {TOLERANCE:g} margins" in " ".join(PAGE.split())
    for cell in RESULTS.memory["levels"]:
        assert all(found <= level / 100 for found, level in zip(cell["passes"], levels, strict=True))


def test_nothing_is_said_of_a_simulation_that_lacks_a_comparison() -> None:
    for each in RESULTS.cells:
        outcomes = sum(each.get(outcome, 0) for outcome in ("pass", "fail", "inconclusive", "error"))
        assert outcomes == each["comparisons"], each["kind"]
        assert each["comparisons"] % 100 == 0
        assert each.get("judgeable, fail", 0) <= each.get("judgeable", 0) <= each["comparisons"]


def test_nineteen_in_twenty_is_what_was_counted_of_what_the_report_calls_judgeable() -> None:
    """The sentence of the report, the level of the rule, and the count."""
    said = sentence("gates", "detectable", size="0.01", lower=False)
    (caught, of) = map(int, re.findall(r"(\d+) in (\d+) fail", said)[0])
    assert caught / of == pytest.approx(1 - ALPHA)
    found = RESULTS.share_called_judgeable("fail")
    assert found.of >= 1000
    assert found.percent + found.error >= 100 * caught / of
    assert RESULTS.share_called_judgeable("alone").percent >= 90


def test_the_looks_of_the_page_are_those_of_the_rule() -> None:
    design = SeedDesign.between(2, 5)
    assert f"looked at, at a = {', '.join(f'{each:.3g}'.lstrip('0') for each in design.levels[:-1])}" in PAGE
    assert sum(design.levels) == pytest.approx(ALPHA)
    assert "looks at 2, 3 and 5 seeds" in " ".join(PAGE.split())


def test_what_an_unchanged_recipe_does_is_what_the_page_says_of_it() -> None:
    """ "It fails in less than one pull request in three hundred", at margins that are not 0."""
    assert "in less than one pull request in three hundred (measured below)" in " ".join(PAGE.split())
    kinds = [named(kind, 1) for kind in ("no change, 2.5 sd", "no change, 4 sd")]
    found = [RESULTS.share(kind, "fail") for kind in kinds]
    share = Share(count=sum(each.count for each in found), of=sum(each.of for each in found))
    assert share.percent < 100 / 300
