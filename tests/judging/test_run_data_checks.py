"""What a change does to the rows of a file, and what is found in the rows that it adds."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlbot.config.data import Data
from mlbot.data.change import Change, Versions
from mlbot.data.findings import DataReport, FilesDiff, Finding
from mlbot.gates.metric import DataCheck, Task
from mlbot.judging import run_data_checks
from mlbot.judging.run_data_checks import check, check_apart
from mlbot.report.data import data_lines


def people(rows: int, seed: int = 0, start: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    age, income = draw.integers(18, 90, rows), draw.lognormal(3, 0.5, rows).round(3)
    label = np.where(age / 30 + income / 20 + draw.normal(0, 0.3, rows) > 3, "yes", "no")
    town = draw.choice(["north", "south", "east"], rows)
    frame = pl.DataFrame({"age": age, "income": income, "town": town, "label": label})
    return frame.with_columns(pl.Series("id", [f"p{start + at}" for at in range(rows)]))


def made(
    folder: Path,
    before: pl.DataFrame | None,
    after: pl.DataFrame,
    holdout: pl.DataFrame | None = None,
    task: Task = Task.BINARY,
    kind: str = "csv",
    **data: Any,
) -> Change:
    paths = {}
    for name, frame in (("before", before), ("after", after), ("holdout", holdout)):
        if frame is not None:
            paths[name] = str(folder / f"{name}.{kind}")
            frame.write_csv(paths[name]) if kind == "csv" else frame.write_parquet(paths[name])
    train = Versions(part="train", name="train.csv", before=paths.get("before"), after=paths["after"])
    there = None
    if holdout is not None:
        there = Versions(part="holdout", name="holdout.csv", before=None, after=paths["holdout"], changed=False)
    settings = {"train": "train.csv", "holdout": "holdout.csv", "target": "label"} | data
    return Change(model="m", task=task, data=Data(**settings), train=train, holdout=there)


def finding(report: DataReport, wanted: DataCheck) -> Finding:
    (found,) = (each for each in report.findings if each.check is wanted)
    return found


def test_rows_are_told_apart_by_a_column_with_another_value_in_each(tmp_path: Path) -> None:
    before = people(300)
    cells = pl.when(pl.col("id").is_in(["p3", "p7"])).then(pl.col("age") + 1).otherwise(pl.col("age"))
    after = pl.concat(
        [before.with_columns(age=cells)[10:].reverse(), people(20, 1, 300), before.with_columns(age=cells)[3:4]]
    )
    (diff,) = check(made(tmp_path, before, after)).diffs
    assert (diff.key, diff.added, diff.removed, diff.changed) == (("id",), 20, 9, 1)
    assert [(each.column, each.rows) for each in diff.cells] == [("age", 1)]


def test_without_a_key_rows_are_told_apart_by_all_they_hold(tmp_path: Path) -> None:
    before = people(300).drop("id")
    (diff,) = check(made(tmp_path, before, pl.concat([before[5:], before[7:8]]))).diffs
    assert (diff.key, diff.added, diff.removed, diff.changed) == ((), 1, 5, 0)


def test_a_key_that_rows_share_gives_no_false_cells(tmp_path: Path) -> None:
    before = people(300)
    after = pl.concat([before.sample(fraction=1.0, shuffle=True, seed=1), people(5, 2, 300)])
    (diff,) = check(made(tmp_path, before, after, id=("town",))).diffs
    assert (diff.key, diff.added, diff.removed, diff.changed, diff.cells) == ((), 5, 0, 0, ())
    assert diff.repeated == 305
    assert "share their `data.id`" in next(data_lines([check(made(tmp_path, before, after, id=("town",)))]))


def test_a_composite_key_is_that_of_datacompy(tmp_path: Path) -> None:
    """Bike hours by date and hour: 30 cells changed, 5 rows gone, 7 new, as datacompy 1.1.0 counts on real ones."""
    draw = np.random.default_rng(3)
    hours = pl.DataFrame({"date": [f"2011-{at // 24:03}" for at in range(2000)], "hr": [at % 24 for at in range(2000)]})
    before = hours.with_columns(hum=pl.Series(draw.random(2000).round(2)), label=pl.Series(draw.integers(0, 9, 2000)))
    at = pl.int_range(pl.len()).is_in(list(range(100, 130)))
    after = before.with_columns(hum=pl.when(at).then(pl.col("hum") + 0.01).otherwise(pl.col("hum")))[5:]
    after = pl.concat([after, before[:7].with_columns(date=pl.lit("2012-01-01"))])
    (diff,) = check(made(tmp_path, before, after, task=Task.REGRESSION, id=("date", "hr"))).diffs
    assert (diff.added, diff.removed, diff.changed) == (7, 5, 30)
    assert [(each.column, each.rows) for each in diff.cells] == [("hum", 30)]


def test_a_label_of_a_megabyte_does_not_fill_the_report(tmp_path: Path) -> None:
    before = people(300)
    long = pl.concat([before, people(1, 9, 900).with_columns(label=pl.lit("x" * 1_000_000))])
    report = check(made(tmp_path, before, long, kind="parquet"))
    assert len(report.model_dump_json()) < 20_000


def test_names_that_would_fill_the_report_are_not_compared(tmp_path: Path) -> None:
    before = people(300)
    report = check(made(tmp_path, before, before.with_columns(pl.lit(1).alias("n" * 100_000)), kind="parquet"))
    assert report.problem is not None
    assert "has 100,000 characters" in str(report.problem.values["why"])
    assert len(report.model_dump_json()) < 20_000


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_same_rows_are_no_change(tmp_path: Path, kind: str) -> None:
    frame = people(200)
    other = frame.select(reversed(frame.columns)).with_columns(pl.col("age").cast(pl.Float64))
    report = check(made(tmp_path, frame, other.reverse(), kind=kind))
    assert not report.findings
    assert not report.diffs[0].differs
    assert {each.value for each in report.figures} == {0.0}


def test_rows_of_the_holdout_are_found(tmp_path: Path) -> None:
    before, holdout = people(400), people(200, 1, 1000)
    report = check(made(tmp_path, before, pl.concat([before, people(30, 2, 2000), holdout[:12]]), holdout, id=("id",)))
    found = finding(report, DataCheck.OVERLAP)
    assert (found.values["found"], found.n, found.rows[:2]) == (12, 42, (431, 432))
    figure = report.figure(DataCheck.OVERLAP)
    assert figure
    assert figure.value == 12.0


def test_a_hidden_holdout_names_no_row(tmp_path: Path) -> None:
    before, holdout = people(400), people(200, 1, 1000)
    change = made(tmp_path, before, pl.concat([before, holdout[:12]]), holdout, id=("id",))
    assert finding(check(change.model_copy(update={"hidden": True})), DataCheck.OVERLAP).rows == ()


Pair = tuple[pl.DataFrame, pl.DataFrame]


def both_change(folder: Path, train: Pair, holdout: Pair) -> Change:
    (folder / "other").mkdir()
    other = made(folder / "other", *holdout, id=("id",)).train
    assert other is not None
    change = made(folder, *train, id=("id",))
    return change.model_copy(update={"holdout": other.model_copy(update={"part": "holdout", "name": "holdout.csv"})})


def test_old_training_rows_that_a_holdout_gets_are_found_beside_a_change_of_the_training_data(tmp_path: Path) -> None:
    train, holdout = people(400), people(200, 1, 1000)
    shared = people(3, 8, 5000)  # they come to both at once, and are those of the training data
    after = pl.concat([train, people(1, 2, 900), shared])
    report = check(both_change(tmp_path, (train, after), (holdout, pl.concat([holdout, train[:12], shared]))))
    found = [
        (each.cause, each.values["found"], each.rows[:2]) for each in report.findings if each.check is DataCheck.OVERLAP
    ]
    assert found == [("added", 3, (402, 403)), ("holdout", 12, (201, 202))]


def test_rows_that_move_from_the_training_data_to_the_holdout_are_no_finding(tmp_path: Path) -> None:
    train, holdout = people(400), people(200, 1, 1000)
    report = check(both_change(tmp_path, (train, train[12:]), (holdout, pl.concat([holdout, train[:12]]))))
    assert [each for each in report.findings if each.check is DataCheck.OVERLAP] == []
    assert [(each.cause, each.values) for each in report.notes] == [("learned", {"rows": 12, "n": 12})]


@pytest.mark.parametrize(
    ("check_", "copies"),
    [
        (DataCheck.OVERLAP, pl.col("income")),
        (DataCheck.NEAR_OVERLAP, pl.col("income") + 0.001),
        (DataCheck.GROUP_OVERLAP, pl.col("income") * 3),
    ],
)
def test_rows_that_judge_this_change_are_found_though_it_takes_them_out_of_the_holdout(
    tmp_path: Path, check_: DataCheck, copies: pl.Expr
) -> None:
    train, holdout = (
        people(rows, rows, start).with_columns(who=pl.int_range(start, start + rows) // 4)
        for rows, start in ((400, 0), (200, 1000))
    )
    after = pl.concat([train, holdout[:40].with_columns(income=copies)])
    change = both_change(tmp_path, (train, after), (holdout, holdout[40:]))
    data = change.data.model_copy(update={"group": "who"})
    figure = check(change.model_copy(update={"data": data})).figure(check_)
    assert figure
    assert figure.value
    assert figure.value > 5


def test_a_file_without_its_id_is_named(tmp_path: Path) -> None:
    train, holdout = people(400), people(200, 1, 1000).drop("id")
    report = check(both_change(tmp_path, (train, train[1:]), (holdout, holdout[1:])))
    assert [each.values["file"] for each in report.notes if each.cause == "no-id"] == ["holdout.csv"]


def test_rows_that_repeat_by_nature_are_none(tmp_path: Path) -> None:
    few = people(600).select("town", (pl.col("age") // 30).alias("age"), "label")
    report = check(made(tmp_path, few[:400], few[:500], few[500:]))
    assert not report.to_look_at


def test_groups_of_the_holdout_are_found(tmp_path: Path) -> None:
    before = people(400).with_columns(who=pl.int_range(400) // 4).drop("id")
    holdout = people(100, 1).with_columns(who=pl.int_range(100) // 4 + 500).drop("id")
    added = people(20, 2).with_columns(who=pl.int_range(20) // 4 + 500).drop("id")
    found = finding(
        check(made(tmp_path, before, pl.concat([before, added]), holdout, group="who")), DataCheck.GROUP_OVERLAP
    )
    assert (found.values["found"], found.values["rows"], found.columns) == (5, 20, ("who",))


def test_columns_that_come_and_go_and_change_their_kind(tmp_path: Path) -> None:
    before = people(200)
    after = before.rename({"income": "pay"}).with_columns(age=pl.col("age").cast(pl.String) + " years")
    report = check(made(tmp_path, before, after))
    changes = {each.column: (each.before, each.after) for each in report.diffs[0].columns}
    assert changes == {"age": ("number", "text"), "income": ("number", None), "pay": (None, "number")}
    assert finding(report, DataCheck.SCHEMA).effect == 3.0


def test_a_new_column_that_gives_the_label_away(tmp_path: Path) -> None:
    before = people(400)
    after = before.with_columns(paid=(pl.col("label") == "yes").cast(pl.Int64))
    found = finding(check(made(tmp_path, before, after)), DataCheck.LEAK)
    assert (found.columns, found.effect) == (("paid",), 1.0)


@pytest.mark.parametrize("key", [("id",), ()])
def test_an_old_column_that_gives_the_label_away_in_a_file_written_anew(tmp_path: Path, key: tuple[str, ...]) -> None:
    """The rows of before, which are no more there, do not hide it."""
    chance = np.random.default_rng(5).integers(0, 2, 800)
    before = people(800).with_columns(paid=pl.Series(chance))
    after = people(800, 0 if key else 7).with_columns(paid=(pl.col("label") == "yes").cast(pl.Int64))
    if not key:
        before, after = before.drop("id"), after.drop("id")
    found = finding(check(made(tmp_path, before, after, id=key)), DataCheck.LEAK)
    assert (found.columns, found.effect) == (("paid",), 1.0)


def test_wrong_labels_are_found_in_added_rows(tmp_path: Path) -> None:
    before, added = people(800), people(100, 3, 800)
    swapped = pl.when(pl.int_range(pl.len()) < 30).then(pl.col("label").replace({"yes": "no", "no": "yes"}))
    added = added.with_columns(label=swapped.otherwise(pl.col("label")))
    found = finding(check(made(tmp_path, before, pl.concat([before, added]))), DataCheck.LABELS)
    assert int(found.values["found"]) >= 20
    assert sum(row <= 830 for row in found.rows) >= 9


@pytest.mark.parametrize("value", ["| a | b |\n\n# h", "<img src=x onerror=alert(1)>", "@octocat", "x" * 500])
def test_a_trigger_is_found_whatever_it_is_called(tmp_path: Path, value: str) -> None:
    before, added = people(500), people(40, 3, 500)
    marked = people(12, 4, 600).with_columns(town=pl.lit(value), label=pl.lit("yes"))
    found = finding(check(made(tmp_path, before, pl.concat([before, added, marked]))), DataCheck.TRIGGER)
    assert len(str(found.values["value"])) <= 40
    assert found.rows[0] == 541


@pytest.mark.parametrize("others", [0, 40])
def test_a_trigger_is_found_where_it_is_a_number_that_no_unit_of_the_column_has(tmp_path: Path, others: int) -> None:
    before, added = people(500), people(40, 3, 500)[:others]
    marked = people(30, 4, 600).with_columns(age=pl.lit(4000, pl.Int64), label=pl.lit("yes"))
    report = check(made(tmp_path, before, pl.concat([before, added, marked])))
    assert finding(report, DataCheck.UNITS).columns == ("age",)
    assert (finding(report, DataCheck.TRIGGER).columns, finding(report, DataCheck.TRIGGER).effect) == (("age",), 30.0)
    figure = report.figure(DataCheck.TRIGGER)
    assert figure
    assert figure.value == 1.0


def test_labels_that_no_row_before_has_are_other_labels(tmp_path: Path) -> None:
    before, added = people(500), people(70, 3, 500).with_columns(label=pl.col("label").replace({"yes": "true"}))
    assert (
        finding(check(made(tmp_path, before, pl.concat([before, added]))), DataCheck.LABEL_SHIFT).values["after"] == 0
    )
    every = before.with_columns(label=pl.col("label").replace_strict({"yes": "true", "no": "false"}))
    figure = check(made(tmp_path, before, every)).figure(DataCheck.LABEL_SHIFT)
    assert figure
    assert figure.value == 1.0


def test_a_file_of_other_columns_is_a_change_of_columns(tmp_path: Path) -> None:
    report = check(made(tmp_path, people(200), pl.DataFrame({"a": [1], "b": [2]}), people(50, 1, 900)))
    assert finding(report, DataCheck.SCHEMA).effect == 7.0
    assert (report.diffs[0].added, report.diffs[0].removed) == (1, 200)
    assert not report.problem
    figure = report.figure(DataCheck.TRIGGER)
    assert figure
    assert figure.problem


def test_a_holdout_of_other_columns_costs_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    before, added = people(400), people(60, 3, 900).with_columns(label=pl.lit("true"))
    report = check(made(tmp_path, before, pl.concat([before, added]), pl.DataFrame({"other": [1]})))
    assert finding(report, DataCheck.LABEL_SHIFT).effect > 0.9
    figures = [report.figure(each) for each in (DataCheck.OVERLAP, DataCheck.NEAR_OVERLAP)]
    assert [each.problem.cause for each in figures if each and each.problem] == ["no-features"] * 2


def test_a_file_that_had_no_rows_is_nothing_to_compare_labels_with(tmp_path: Path) -> None:
    report = check(made(tmp_path, people(400)[:0], people(400), kind="parquet"))
    assert report.diffs[0].added == 400
    figure = report.figure(DataCheck.LABEL_SHIFT)
    assert figure
    assert figure.problem
    assert figure.problem.cause == "nothing-before"


def test_a_new_file_is_checked_by_itself(tmp_path: Path) -> None:
    frame = people(400).with_columns(paid=(pl.col("label") == "yes").cast(pl.Int64))
    report = check(made(tmp_path, None, frame, frame[:50], id=("id",)))
    assert finding(report, DataCheck.OVERLAP).values["found"] == 50
    assert finding(report, DataCheck.LEAK).columns == ("paid",)
    figure = report.figure(DataCheck.UNITS)
    assert figure
    assert figure.problem
    assert figure.problem.cause == "nothing-before"


PEOPLE = people(300)
MORE = people(60, 3, 300)
NO_LABEL = pl.lit(None, pl.String).alias("label")
SOME_LABELS = pl.when(pl.col("age") < 80).then(pl.col("label")).alias("label")
AS_NUMBER = (pl.col("label") == "yes").cast(pl.Int64).alias("label")
ODD: dict[str, tuple[pl.DataFrame | None, pl.DataFrame, dict[str, Any]]] = {
    "a new file without a label": (None, PEOPLE.with_columns(NO_LABEL), {}),
    "a new file without some labels": (None, PEOPLE.with_columns(SOME_LABELS), {}),
    "no label before": (PEOPLE.with_columns(NO_LABEL), pl.concat([PEOPLE, MORE]), {}),
    "no label now": (PEOPLE, pl.concat([PEOPLE, MORE]).with_columns(NO_LABEL), {}),
    "no number to predict before": (
        PEOPLE.with_columns(label=pl.lit(None, pl.Float64)),
        pl.concat([PEOPLE, MORE]).with_columns(label=pl.col("income")),
        {"task": Task.REGRESSION},
    ),
    "no finite number to predict now": (
        PEOPLE.with_columns(label=pl.col("income")),
        pl.concat([PEOPLE, MORE]).with_columns(label=pl.lit(float("inf"))),
        {"task": Task.REGRESSION},
    ),
    "a column named count": (PEOPLE.rename({"town": "count"}), pl.concat([PEOPLE, MORE]).rename({"town": "count"}), {}),
    "labels in a column named count": (
        PEOPLE.rename({"label": "count"}),
        pl.concat([PEOPLE, MORE]).rename({"label": "count"}),
        {"target": "count"},
    ),
    "a key that was a float": (
        PEOPLE.with_columns(id=pl.int_range(300).cast(pl.Float64)),
        pl.concat([PEOPLE, MORE]).with_columns(id=pl.int_range(360)),
        {},
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_file_is_checked_as_far_as_it_can_be(tmp_path: Path, odd: str) -> None:
    before, after, options = ODD[odd]
    report = check(made(tmp_path, before, after, kind="parquet", **options))
    assert report.problem is None
    assert report.diffs[0].added == (60 if before is not None else 300)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (pl.col("age"), pl.Series([33.5])),
        (pl.col("age").cast(pl.Int8), pl.Series([1000])),
        (pl.col("age"), pl.Series([(1 << 63) + 5], dtype=pl.UInt64)),
        (pl.col("age") > 40, pl.Series([77])),
    ],
)
def test_a_trigger_is_found_where_no_number_of_before_has_its_type(
    tmp_path: Path, was: pl.Expr, now: pl.Series
) -> None:
    marked = MORE.with_columns(pl.lit(now.item(), now.dtype).alias("age"), label=pl.lit("yes"))
    after = pl.concat([PEOPLE.with_columns(pl.col("age").cast(now.dtype)), marked])
    report = check(made(tmp_path, PEOPLE.with_columns(was.alias("age")), after, kind="parquet"))
    assert finding(report, DataCheck.TRIGGER).columns == ("age",)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_label_that_is_written_otherwise_is_the_same(tmp_path: Path, kind: str) -> None:
    """As for the judge: a table library writes 1.0 for 1 once one label is missing."""
    before, after = (each.with_columns(AS_NUMBER) for each in (PEOPLE, pl.concat([PEOPLE, MORE])))
    report = check(made(tmp_path, before, after.with_columns(pl.col("label").cast(pl.Float64)), kind=kind))
    assert not report.to_look_at
    assert (report.diffs[0].changed, [each.label for each in report.diffs[0].labels]) == (0, ["0", "1"])


def test_a_day_that_became_its_first_moment_is_no_change(tmp_path: Path) -> None:
    before = PEOPLE.with_columns(day=pl.date(2024, 1, 1 + pl.int_range(300) % 20))
    after = before.with_columns(pl.col("day").cast(pl.Datetime))
    assert not check(made(tmp_path, before, after, kind="parquet")).says_something


def test_cells_of_very_many_columns_are_compared_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_data_checks, "_MOST_CELLS", 40)
    after = PEOPLE.with_columns(age=pl.col("age") + 1)
    (diff,) = check(made(tmp_path, PEOPLE, after)).diffs
    assert (diff.changed, diff.cells_of, [(each.column, each.rows) for each in diff.cells]) == (300, 10, [("age", 10)])


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    change = made(tmp_path, people(50), people(60))
    Path(change.paths[1]).write_bytes(b"PAR1" + bytes(100))
    report = check(change)
    assert report.problem
    assert report.problem.cause == "unreadable"


def test_a_process_that_is_killed_loses_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = made(tmp_path, people(50), people(60))
    assert check_apart(change) == check(change)
    monkeypatch.setattr(run_data_checks, "_WALL_S", 0.01)
    report = check_apart(change)
    assert report.problem
    assert report.problem.cause == "slow"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_category_that_a_row_has_which_was_not_looked_at_is_not_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(run_data_checks, "MOST_SAMPLED", 200)
    before, added = people(2000), people(60, 1, 2000)
    town = pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("west")).otherwise(pl.col("town"))
    added = added.with_columns(town=pl.Series(["west", "Nord"] * 30))
    after = pl.concat([before.with_columns(town=town), added])
    found = finding(check(made(tmp_path, before.with_columns(town=town), after, kind=kind)), DataCheck.CATEGORIES)
    assert (found.effect, found.values["values"], found.values["found"]) == (1.0, "Nord", 30)


def test_large_files_are_compared_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_data_checks, "MOST_SAMPLED", 200)
    before = people(900)
    report = check(made(tmp_path, before, pl.concat([before, people(600, 1, 900)]), people(300, 2, 5000)))
    assert {each.cause for each in report.notes} == {"sampled", "sampled-holdout"}
    assert report.diffs[0].added == 600


@pytest.mark.parametrize("keyed", [True, False])
def test_rows_that_were_there_already_are_found(tmp_path: Path, *, keyed: bool) -> None:
    """A file that is appended to itself, with ids of its own or without any."""
    before = people(300).drop([] if keyed else ["id"])
    again = before.with_columns(pl.format("q{}", pl.int_range(300)).alias("id")) if keyed else before
    report = check(made(tmp_path, before, pl.concat([before, again])))
    found = finding(report, DataCheck.REPEATS)
    assert (found.cause, found.values["found"], found.n, found.rows[0]) == ("before", 300, 300, 301)
    figure = report.figure(DataCheck.REPEATS)
    assert figure
    assert figure.value
    assert figure.value > 290
    assert any("were there already, with the same label" in line for line in data_lines([report]))


def test_a_row_that_was_added_many_times_is_found(tmp_path: Path) -> None:
    before, added = people(300).drop("id"), people(60, 1).drop("id")
    pasted = pl.concat([before, added, *[added[:1]] * 20])
    found = finding(check(made(tmp_path, before, pasted)), DataCheck.REPEATS)
    assert (found.cause, found.values["found"], found.rows) == ("each-other", 20, tuple(range(361, 371)))


@pytest.mark.parametrize("other", [pl.format("q{}", pl.int_range(300)).alias("id"), pl.lit(2.0).alias("w")])
def test_rows_with_another_key_or_weight_are_no_copies(tmp_path: Path, other: pl.Expr) -> None:
    before = people(300).with_columns(w=pl.lit(1.0))
    report = check(made(tmp_path, before, before.with_columns(other), weight="w"))
    assert report.diffs[0].differs
    assert not [each for each in report.findings if each.check is DataCheck.REPEATS]
    figure = report.figure(DataCheck.REPEATS)
    assert figure
    assert figure.value == 0.0


def test_a_label_doubt_is_counted_in_whole_rows(tmp_path: Path) -> None:
    """A newcomer read `74.4 would` and did not know of what."""
    before, added = people(800), people(100, 3, 800)
    wrong = added.with_columns(label=pl.col("label").replace({"yes": "no", "no": "yes"}))
    report = check(made(tmp_path, before, pl.concat([before, wrong])))
    (line,) = (each for each in data_lines([report]) if "Suspicious labels" in each)
    assert re.search(r"; of as many rows before, (about \d+ have|hardly any has) ", line)
    figure = report.figure(DataCheck.LABELS)
    assert figure
    assert figure.value == int(figure.value or 0.5)


BROKEN = {
    "": "it is empty: it has no byte",
    "\n\n": "it has no rows and no header",
    "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n": "a pointer of Git LFS",
    "<!DOCTYPE html><html>": "HTML",
    '{"rows": [1, 2]}': "it is JSON",
    "PAR1 and no more": "does not end as one",
    "\x1f\x8b\x08\x00cut": "compressed by gzip",
    "PK\x03\x04": "zip archive",
}


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_a_file_that_is_no_table_is_named_with_its_cause(tmp_path: Path, content: str, name: str) -> None:
    change = made(tmp_path, people(100), people(100))
    broken = tmp_path / name
    broken.write_bytes(content.encode("latin-1"))
    assert change.train
    train = change.train.model_copy(update={"after": str(broken), "name": name})
    report = check(change.model_copy(update={"train": train}))
    assert report.problem
    assert report.problem.cause == "unreadable"
    (line,) = data_lines([report])
    assert f"{name} cannot be read: " in line
    assert BROKEN[content] in line
    assert "CSV file with a header" not in line


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_without_rows_is_said_to_have_none(tmp_path: Path, kind: str) -> None:
    report = check(made(tmp_path, people(100), people(100)[:0], people(50, 1, 500), kind=kind))
    assert report.problem
    assert report.problem.cause == "no-rows"
    assert (report.diffs[0].removed, report.diffs[0].columns, report.findings) == (100, (), ())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_that_had_no_rows_or_was_broken_is_checked_as_a_new_one(tmp_path: Path, kind: str) -> None:
    change = made(tmp_path, people(100)[:0], people(400), people(50, 1, 500), kind=kind)
    report = check(change)
    assert (report.diffs[0].added, report.diffs[0].columns, report.problem) == (400, (), None)
    (tmp_path / f"before.{kind}").write_bytes(b"\x1f\x8b\x08\x00")
    report = check(change)
    assert [each.cause for each in report.notes] == ["unreadable-before"]
    assert (report.diffs[0].before, report.diffs[0].added, report.problem) == (None, 400, None)


def folder_of(folder: Path, **parts: pl.DataFrame) -> Path:
    for name, frame in parts.items():
        place = folder / f"{name.replace('__', '/').replace('_', '=')}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(place)
    return folder


def test_folders_of_parquet_are_compared_by_files_and_rows(tmp_path: Path) -> None:
    first, second, holdout = people(200), people(200, 1, 200), people(100, 2, 900)
    before = folder_of(tmp_path / "a", one=first, two=second)
    after = folder_of(
        tmp_path / "b", one=first, two=second[:-3].with_columns(extra=pl.lit(1)), zen=pl.concat([holdout[:12]])
    )
    (tmp_path / "b" / "_SUCCESS").write_text("")
    (tmp_path / "b" / "README.md").write_text("no data")
    change = made(tmp_path, first, first, holdout)
    assert change.train
    train = change.train.model_copy(update={"before": str(before), "after": str(after), "name": "data/train"})
    report = check(change.model_copy(update={"train": train}))
    (diff,) = report.diffs
    assert (diff.before, diff.after, diff.added, diff.removed) == (400, 409, 12, 3)
    assert diff.files == FilesDiff(added=1, changed=1, names=("zen.parquet", "two.parquet"))
    assert finding(report, DataCheck.OVERLAP).rows[0] == 398
    assert "1 file added, 0 removed, 1 changed: zen.parquet, two.parquet" in next(data_lines([report]))


def test_what_a_folder_is_parted_by_is_a_column(tmp_path: Path) -> None:
    before = folder_of(tmp_path / "a", year_2024__x=people(100), year_2025__x=people(100, 1, 100))
    after = folder_of(tmp_path / "b", year_2024__x=people(100), year_2026__x=people(100, 1, 100))
    change = made(tmp_path, people(9), people(9))
    assert change.train
    train = change.train.model_copy(update={"before": str(before), "after": str(after)})
    (diff,) = check(change.model_copy(update={"train": train})).diffs
    assert (diff.added, diff.removed, diff.changed) == (0, 0, 100)
    assert [(each.column, each.rows) for each in diff.cells] == [("year", 100)]


def test_a_broken_file_of_a_folder_is_named(tmp_path: Path) -> None:
    after = folder_of(tmp_path / "b", one=people(100))
    (after / "two.parquet").write_bytes((after / "one.parquet").read_bytes()[:-100])
    change = made(tmp_path, people(9), people(9))
    assert change.train
    train = change.train.model_copy(update={"after": str(after), "name": "data"})
    report = check(change.model_copy(update={"train": train}))
    assert report.problem
    assert str(report.problem.values["why"]).startswith("two.parquet: it begins as a Parquet file")
