"""A change of data in comment, page and terminal: every finding has words, and nothing of a value becomes markup."""

import re

import pytest
from tests.support import samples

from mlbot.commands.waive import Waive
from mlbot.data.findings import CellCount, ColumnChange, DataReport, FileDiff, Finding, LabelCount, Part, Why, unchecked
from mlbot.gates.metric import Bound, DataCheck, Gate
from mlbot.lib.templates import has_sentence
from mlbot.report.data import data_lines, data_tables
from mlbot.report.markdown import markdown
from mlbot.report.page import html
from mlbot.report.terminal import terminal

CAUSES = {
    DataCheck.SCHEMA: ("",),
    DataCheck.UNITS: ("all", "part", "some"),
    DataCheck.CATEGORIES: ("",),
    DataCheck.LABEL_SHIFT: ("classes", "numbers"),
    DataCheck.OVERLAP: ("added", "new", "holdout"),
    DataCheck.NEAR_OVERLAP: ("numbers", "texts"),
    DataCheck.GROUP_OVERLAP: ("",),
    DataCheck.REPEATS: ("before", "each-other"),
    DataCheck.LEAK: ("classes", "numbers"),
    DataCheck.LABELS: ("added", "new"),
    DataCheck.TRIGGER: ("value", "word"),
    DataCheck.DRIFT: ("",),
}
HOSTILE = "<img src=x onerror=alert(1)> | @octocat `x` **b** #1 \x1b[31m\u202e</details>"
VALUES = {"found": 3, "rows": 4, "more": 1, "second": 0.5, "before": 0.1, "after": 0.2, "ks": 0.3, "quantile": 95.0}
NAMED = dict.fromkeys(("value", "values", "label"), HOSTILE)


def finding(check: DataCheck, cause: str) -> Finding:
    shown = check is DataCheck.DRIFT
    values: dict[str, str | int | float] = {**VALUES, **NAMED}
    return Finding(
        check=check,
        cause=cause,
        values=values,
        columns=(HOSTILE,),
        effect=3.0,
        expected=1.0,
        n=9,
        rows=(7,),
        shown=shown,
    )


def report(*findings: Finding) -> DataReport:
    diff = FileDiff(
        part="train",
        file=HOSTILE,
        before=10,
        after=12,
        key=(HOSTILE,),
        added=3,
        removed=1,
        changed=2,
        cells=(CellCount(column=HOSTILE, rows=2),),
        columns=(ColumnChange(column=HOSTILE, before=None, after="text"),),
        labels=(LabelCount(label=HOSTILE, before=1, after=2),),
    )
    return DataReport(
        model="m",
        diffs=(diff,),
        findings=findings,
        notes=(Why(cause="not-here", values={"file": HOSTILE, "why": HOSTILE}),),
    )


EVERY = report(*(finding(check, cause) for check, causes in CAUSES.items() for cause in causes))


def test_every_check_has_its_words() -> None:
    assert CAUSES.keys() == {*DataCheck}
    (table,) = data_tables([EVERY])
    assert all(row.text and row.title for row in (*table.to_look_at, *table.shown))
    assert all(row.look for row in table.to_look_at)
    assert [row.look for row in table.shown] == [""]
    assert all(has_sentence("checks", f"title/{check}") for check in DataCheck)


def test_numbers_of_rows_have_their_thousands_separated() -> None:
    many = {"found": 23456, "rows": 34567, "more": 45678}
    some = report(
        *(
            each.model_copy(update={"n": 12345, "effect": 56789.0, "values": {**each.values, **many}})
            for each in EVERY.findings
            if each.check not in {DataCheck.UNITS, DataCheck.LABEL_SHIFT, DataCheck.LEAK, DataCheck.DRIFT}
        )
    )
    assert [row.text for row in data_tables([some])[0].to_look_at if re.search(r"\d{5}", row.text)] == []


@pytest.mark.parametrize(
    ("rows", "more", "part", "words"),
    [
        ((7, 9), 0, "train", "7, 9"),
        ((7,), 0, "holdout", "7 of the holdout"),
        (tuple(range(1, 11)), 1234, "train", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,234 more"),
        ((), 0, "holdout", ""),
    ],
)
def test_rows_that_are_named_are_counted_from_1_and_are_seldom_all(
    rows: tuple[int, ...], more: int, part: Part, words: str
) -> None:
    named = {"rows": rows, "more_rows": more, "part": part}
    some = report(finding(DataCheck.OVERLAP, "added").model_copy(update=named))
    assert data_tables([some])[0].to_look_at[0].rows == words
    whole = samples.failing().model_copy(update={"data": (some,)})
    in_comment = [line for line in markdown(whole).splitlines() if "Rows (counted from 1): " in line]
    in_terminal = [line for line in data_lines([some]) if "rows, counted from 1: " in line]
    assert len(in_comment) == len(in_terminal) == bool(rows)
    assert all(f"Rows (counted from 1): {words}." in line for line in in_comment)
    assert all(f"(rows, counted from 1: {words})." in line for line in in_terminal)
    assert f"<td>{words}</td>" in html(whole)


@pytest.mark.parametrize(("suspicious", "usual"), [(50, False), (51, True)])
def test_labels_that_hardly_follow_from_the_columns_are_not_called_wrong(suspicious: int, *, usual: bool) -> None:
    of_new = finding(DataCheck.LABELS, "new")
    many = of_new.model_copy(update={"n": 1000, "values": {"found": suspicious}})
    text = markdown(samples.failing().model_copy(update={"data": (report(many),)}))
    assert ("as is usual where the columns hardly tell the classes apart" in text) is usual


def test_nothing_of_a_value_is_markup_in_a_comment() -> None:
    text = markdown(samples.failing().model_copy(update={"data": (EVERY,)}))
    assert "<img" not in text
    assert "@octocat" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "**b**" not in text.replace("\\*", "")
    folded = text[text.index("What changed in the data") :]
    assert folded.index("</details>") > folded.index("Shown only")  # a value closes no fold


def test_nor_in_the_page_or_the_terminal() -> None:
    whole = samples.failing().model_copy(update={"data": (EVERY,)})
    assert "<img src" not in html(whole)
    assert "\x1b" not in terminal(whole, color=False)
    assert "Please look at" in markdown(whole)


def test_where_nothing_was_found_nothing_is_said() -> None:
    whole = samples.failing()
    quiet = DataReport(model="m", diffs=(FileDiff(part="train", file="a.csv", before=3, after=3),))
    assert markdown(whole.model_copy(update={"data": (quiet,)})) == markdown(whole)
    assert html(whole.model_copy(update={"data": (quiet,)})) == html(whole)


def test_a_change_that_could_not_be_checked_says_so() -> None:
    found = markdown(samples.failing().model_copy(update={"data": (unchecked("m", "crashed", why=HOSTILE),)}))
    assert "were not checked" in found
    assert "<img" not in found


@pytest.mark.parametrize("check", [each for each in DataCheck if each is not DataCheck.DRIFT])
def test_a_gate_on_a_check_can_be_named_in_a_comment(check: DataCheck) -> None:
    gate = Gate(metric=check.metric, bound=Bound.MAX, limit=0)
    assert Waive(model="m", gate=gate.name, reason="ok").text == f'/waive m:data.{check}.max reason="ok"'
