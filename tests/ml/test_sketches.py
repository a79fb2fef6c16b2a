"""Sketches of tables: bins that say what they say, exactly, on both sides, and of which no row can be read."""

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbot.config.data import Data
from mlbot.data import sketch as records
from mlbot.data.sketch import FEWEST, MOST_BYTES, MOST_COLUMNS, Column, Sketch, SketchKind, Tally, size_of
from mlbot.gates.metric import Task
from mlbot.ml import sketches
from mlbot.ml.holdout import HoldoutData, open_holdout
from mlbot.ml.sketches import Batch, answers_of, between, counted, edges_of, sketch_of, sketch_of_holdout

RNG = np.random.default_rng(7)


def sketched(frame: pl.DataFrame, **beside: pl.DataFrame) -> Sketch:
    return sketch_of(lambda: [Batch(features=frame, **beside)], frame.height)


def of(**columns: Any) -> Sketch:
    return sketched(pl.DataFrame(columns, strict=False))


def tally(sketch: Sketch, values: Any, **types: Any) -> Tally:
    """Of other values in the only column of a sketch."""
    other = pl.DataFrame({sketch.features[0].name: pl.Series(values, strict=False, **types)})
    return counted(sketch, [Batch(features=other)]).features[0]


def named(sketch: Sketch, name: str) -> tuple[Column, Tally]:
    at = [each.name for each in sketch.features].index(name)
    return sketch.features[at], sketch.counts.features[at]


# Drawn tables.

_CELLS: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "whole": (st.integers(-(2**63), 2**63 - 1) | st.integers(2**53, 2**53 + 3) | st.integers(0, 3), pl.Int64()),
    "real": (st.floats() | st.sampled_from([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan]), pl.Float64()),
    "flag": (st.booleans(), pl.Boolean()),
    "name": (st.sampled_from(["", "a", "b", "01", "1", "é" * 70]) | st.text(max_size=4), pl.String()),
    "day": (st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)), pl.Date()),
    "moment": (st.datetimes(), pl.Datetime("us")),
    "list": (st.lists(st.integers(0, 1), max_size=2), pl.List(pl.Int64())),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.integers(1, 60))
    columns = {}
    for name, (cells, dtype) in _CELLS.items():
        few = draw(st.lists(cells, min_size=1, max_size=8))  # so that values have many rows
        cell = st.none() | st.sampled_from(few) | (cells if draw(st.booleans()) else st.sampled_from(few))
        columns[name] = pl.Series(name, draw(st.lists(cell, min_size=rows, max_size=rows)), dtype=dtype)
    return pl.DataFrame(columns)


def parts(frame: pl.DataFrame, sizes: Iterable[int]) -> Iterator[Batch]:
    start = 0
    for size in sizes:
        yield Batch(features=frame[start : start + size])
        start += size
    yield Batch(features=frame[start:])


@settings(max_examples=30, deadline=None)
@given(frames(), st.lists(st.integers(0, 30), max_size=3))
def test_its_own_rows_give_its_own_counts_in_whatever_parts(frame: pl.DataFrame, sizes: list[int]) -> None:
    sketch = sketched(frame)
    assert counted(sketch, parts(frame, sizes)) == sketch.counts
    assert all(each.rows == frame.height for each in sketch.counts.features)
    assert sketch.rows == frame.height
    assert Sketch.model_validate_json(sketch.model_dump_json()) == sketch


@settings(max_examples=30, deadline=None)
@given(frames())
def test_no_value_of_fewer_than_five_rows_is_in_it(frame: pl.DataFrame) -> None:
    sketch = sketched(frame)
    for column, own in zip(sketch.features, sketch.counts.features, strict=True):
        series = frame[column.name]
        texts = series.cast(pl.String) if not series.dtype.is_nested() else pl.Series([], dtype=pl.String)
        assert all((texts == value).sum() >= FEWEST for value in column.values)
        assert all(count >= FEWEST for count in own.counts[: len(column.values)])
        if column.edges:
            assert column.kind is not SketchKind.CATEGORY
            assert min(own.counts) >= FEWEST
            numbers = series.str.len_chars() if column.kind is SketchKind.TEXT else series.to_physical()
            assert not {*column.edges} & {*numbers.cast(pl.Float64).drop_nulls()}


# Bins.


def test_bins_of_distinct_numbers_are_quantiles() -> None:
    values = RNG.normal(size=10_000)
    column, own = named(of(x=values), "x")
    assert len(column.edges) == 31
    levels = np.arange(1, 32) / 32
    assert (np.quantile(values, levels - 1.1e-4, method="lower") <= column.edges).all()
    assert (np.asarray(column.edges) <= np.quantile(values, levels + 1.1e-4, method="higher")).all()
    assert np.abs(np.asarray(own.counts) - 10_000 / 32).max() <= 1
    assert own.counts == tuple(np.histogram(values, [-np.inf, *column.edges, np.inf])[0])


def test_a_value_of_many_rows_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(9_000), RNG.uniform(1, 2, 1_000)])
    column, own = named(of(x=values), "x")
    assert column.edges[0] < 1
    assert own.counts[0] == 9_000
    assert len(own.counts) in {4, 5}  # a tenth of the rows is three of 32 bins, and a part of one
    both = np.concatenate([RNG.uniform(-2, -1, 500), np.zeros(9_000), RNG.uniform(1, 2, 500)])
    column, own = named(of(x=both), "x")
    assert 9_000 in own.counts
    assert len({*column.edges}) == len(column.edges)


def test_each_of_a_few_values_has_a_bin_of_its_own() -> None:
    column, own = named(of(x=[1] * 50 + [2] * 30 + [3] * 20), "x")
    assert (column.kind, column.edges, own.counts) == (SketchKind.NUMBER, (1.5, 2.5), (50, 30, 20))


@pytest.mark.parametrize("value", [0, 1.5, "same", True])
def test_a_constant_column_has_one_bin(value: Any) -> None:
    column, own = named(of(x=[value] * 20), "x")
    assert not column.edges
    assert own.counts[0] == 20
    assert tally(sketched(pl.DataFrame({"x": [value] * 20})), [value] * 3).counts[0] == 3


def test_few_rows_have_one_bin() -> None:
    assert named(of(x=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), "x")[0].edges == ()
    assert named(of(x=[*range(10)]), "x")[0].edges == (4.5,)


def test_integers_that_no_float_holds_are_binned_alike_on_both_sides() -> None:
    far = [2**53 + 5 * at for at in range(40)] * 5
    sketch = of(x=far)
    column, own = named(sketch, "x")
    assert column.edges
    assert tally(sketch, far) == own
    assert tally(sketch, [str(each) for each in far]) == own
    assert tally(sketch, [2**64 - 1], dtype=pl.UInt64).counts[-1] == 1


def test_infinity_is_beyond_every_edge_and_nan_is_missing() -> None:
    sketch = of(x=[*map(float, range(20))])
    found = tally(sketch, [math.inf, -math.inf, math.nan, None, 1e308])
    assert (found.counts[0], found.counts[-1], found.missing, found.other) == (1, 2, 2, 0)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_between_two_is_between_them(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = between(low, high)
    if found is None:
        assert high <= math.nextafter(low, math.inf)
    else:
        assert low < found < high


def test_an_edge_has_few_digits() -> None:
    assert between(40.0, 60.0) == 50.0
    assert between(41.0, 42.0) == 41.5
    assert between(123456.1, 123456.9) == 123456.5
    assert between(-1.0, 1.0) == 0.0
    assert math.copysign(1, between(-1.0, 1.0) or 1.0) == 1.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=80), st.integers(1, 32))
def test_no_bin_is_small_and_none_is_of_many_quantiles(often: list[int], bins: int) -> None:
    values = np.arange(len(often), dtype=np.float64)
    edges = edges_of(values, np.asarray(often), bins)
    counts, _ = np.histogram(np.repeat(values, often), [-np.inf, *edges, np.inf])
    assert len(edges) < bins
    if edges:
        assert counts.min() >= FEWEST
    # No bin is larger than three parts of all and the most frequent value.
    assert counts.max() <= max(3 * sum(often) / bins + max(often), 2 * FEWEST + max(often))


# Texts, categories and times.


def test_categories_are_named_where_five_rows_have_them() -> None:
    sketch = of(city=["Bonn"] * 9 + ["Köln"] * 5 + ["Ulm"] * 4 + [""] * 2 + [None])
    column, own = named(sketch, "city")
    assert (column.kind, column.values, column.distinct) == (SketchKind.CATEGORY, ("Bonn", "Köln"), 3)
    assert (own.counts, own.missing) == ((9, 5, 4), 3)
    assert tally(sketch, ["Ulm", "Rom", "Bonn", None, ""]) == Tally(counts=(1, 0, 2), missing=2)


def test_of_texts_only_the_length_is_known() -> None:
    texts = [f"a text of its own {'.' * (at % 40)} {at}" for at in range(400)]
    column, own = named(of(note=[*texts, ""]), "note")
    assert (column.kind, column.values, column.distinct) == (SketchKind.TEXT, (), 400)
    assert (sum(own.counts), own.missing) == (400, 1)
    assert 15 < column.edges[0] < 70


def test_categories_that_look_like_numbers_are_found_however_they_come() -> None:
    codes = of(zip=["01"] * 6 + ["1"] * 7 + ["2"] * 8)
    assert codes.features[0].values == ("2", "1", "01")
    assert tally(codes, ["01", "1", "2"]).counts == (1, 1, 1, 0)
    assert tally(codes, [1, 2, 2, 3]).counts == (2, 1, 0, 1)
    assert tally(codes, [1.0, 2.0, 2.5, math.nan]) == Tally(counts=(1, 1, 0, 1), missing=1)


def test_booleans_are_found_however_they_come() -> None:
    flags = of(member=[True] * 6 + [False] * 8)
    assert flags.features[0].values == ("false", "true")
    for values in (["True", "false"], ["TRUE", "0"], [1, 0], [1.0, 0.0], [True, False]):
        assert tally(flags, values).counts == (1, 1, 0)
    assert tally(flags, ["yes", 7]).counts == (0, 0, 2)
    labels = of(label=["True"] * 6 + ["False"] * 6)
    assert tally(labels, [True, False, True]).counts == (1, 2, 0)


NUMBERS = of(x=[*map(float, range(100))])


@pytest.mark.parametrize(
    ("values", "counts", "missing", "other"),
    [
        (["1", " 2 ", "1e1", "x", "", "NA", None], 3, 3, 1),
        ([True, False, None], 2, 1, 0),
        ([[1], [2], None], 0, 1, 2),
        ([dt.date(2024, 1, 1)], 0, 0, 1),
        ([None, None], 0, 2, 0),
        ([b"1", b"2"], 0, 0, 2),
        ([{"a": 1}], 0, 0, 1),
        ([], 0, 0, 0),
    ],
)
def test_other_types_where_numbers_were_are_counted_apart(
    values: list[Any], counts: int, missing: int, other: int
) -> None:
    found = tally(NUMBERS, values)
    assert (sum(found.counts), found.missing, found.other) == (counts, missing, other)


@pytest.mark.parametrize("values", [[[1], None], [b"a", None], [{"a": 1}, None]])
def test_other_types_where_categories_or_texts_were_are_counted_apart(values: list[Any]) -> None:
    for sketch in (of(x=["a"] * 9), of(x=[f"text {at}" for at in range(90)])):
        found = tally(sketch, values)
        assert (sum(found.counts), found.missing, found.other) == (0, 1, 1)


def test_numbers_where_texts_were_are_counted_apart() -> None:
    found = tally(of(x=[f"text {at}" for at in range(90)]), [1, 2, None])
    assert (sum(found.counts), found.missing, found.other) == (0, 1, 2)


def test_times_are_found_however_they_come() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=at) for at in range(100)]
    sketch = of(day=days)
    column, own = named(sketch, "day")
    assert column.kind is SketchKind.TIME
    assert dt.datetime.fromtimestamp(column.edges[0], dt.UTC).year == 2024
    assert tally(sketch, [dt.datetime.combine(each, dt.time()) for each in days]) == own
    assert tally(sketch, [each.isoformat() for each in days]) == own
    assert tally(sketch, [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]).counts[0] == 1
    found = tally(sketch, ["2024-01-02", "soon", "", None])
    assert (found.counts[0], found.missing, found.other) == (1, 2, 1)
    assert tally(sketch, ["soon", "later"]).other == 2
    assert tally(sketch, [3]).other == 1


def test_lists_are_counted_alone() -> None:
    column, own = named(of(x=[[1], [2, 3], None]), "x")
    assert (column.kind, own) == (SketchKind.OTHER, Tally(counts=(2,), missing=1))


def test_a_column_of_nothing_is_missing() -> None:
    for nothing in ([None] * 3, pl.Series([None] * 3, dtype=pl.Float64), pl.Series([None] * 3, dtype=pl.String)):
        _, own = named(of(x=nothing), "x")
        assert (sum(own.counts), own.missing) == (0, 3)
    assert tally(of(x=pl.Series([None] * 3, dtype=pl.Float64)), [1.0, None]) == Tally(counts=(1,), missing=1)


def test_a_column_that_is_not_there_has_no_rows() -> None:
    sketch = of(a=[*range(20)], b=[*range(20)])
    found = counted(
        sketch, [Batch(features=pl.DataFrame({"a": [1, 2], "c": [3, 4]})), Batch(features=pl.DataFrame({"b": [1]}))]
    )
    assert (found.rows, [each.rows for each in found.features]) == (3, [2, 1])


def test_labels_that_come_later_are_counted_alone() -> None:
    frame, right = pl.DataFrame({"a": [*range(20)]}), pl.DataFrame({"sold": ["no"] * 12 + ["yes"] * 8})
    sketch = sketched(frame, targets=right, answers=pl.DataFrame({"label": ["no"] * 20, "probability": [0.1] * 20}))
    assert [each.name for each in sketch.answers] == ["label", "probability"]
    later = counted(sketch, [Batch(features=frame.head(2), targets=pl.DataFrame({"sold": ["yes", "no"]}))])
    assert (later.targets[0].counts, [each.rows for each in later.answers]) == ((1, 1, 0), [0, 0])


_OTHERS = [
    pl.Series([1, None], dtype=pl.Int128),
    pl.Series([2**64 - 1, None], dtype=pl.UInt64),
    pl.Series(["a", None], dtype=pl.Categorical),
    pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
    pl.Series(["1.50", None]).cast(pl.Decimal(10, 2)),
    pl.Series([dt.time(1), None]),
    pl.Series([dt.timedelta(days=1), None]),
    pl.Series([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None]),
    pl.Series([dt.date(9999, 12, 31), None]).cast(pl.Datetime("ms")),
    pl.Series([b"\xff", None]),
    pl.Series([{"a": 1}, None]),
    pl.Series([[1], None]),
    pl.Series([[1.0, 2.0], None], dtype=pl.Array(pl.Float64, 2)),
    pl.Series([None, None]),
    pl.Series([object(), None], dtype=pl.Object),
    pl.Series([math.inf, None]),
    pl.Series([True, None]),
    pl.Series(["9" * 400, None]),
    pl.Series(["2024-13-45", None]),
    pl.Series(["\x00\ud7ff\U0010ffff", None]),
    pl.Series(["1e999", None]),
]
_EVERY = sketched(
    pl.DataFrame(
        {
            "number": [*range(40)],
            "flag": [True, False] * 20,
            "name": ["a", "b"] * 20,
            "text": [f"text {at}" for at in range(40)],
            "day": [dt.date(2024, 1, 1) + dt.timedelta(days=at) for at in range(40)],
            "clock": [dt.time(at % 24) for at in range(40)],
            "list": [[at] for at in range(40)],
        }
    )
)


@pytest.mark.parametrize("other", _OTHERS, ids=lambda other: str(other.dtype))
def test_whatever_comes_is_counted_and_nothing_raises(other: pl.Series) -> None:
    frame = pl.DataFrame({each.name: other for each in _EVERY.features})
    found = counted(_EVERY, [Batch(features=frame), Batch(features=frame.head(0))])
    assert [each.rows for each in found.features] == [2] * len(_EVERY.features)
    assert [each.missing for each in found.features[:-1]] == [2 if other.dtype == pl.Null else 1] * 6
    own = sketched(frame)  # and as a reference, too
    assert counted(own, [Batch(features=frame)]) == own.counts


# What is bounded.


def test_of_many_columns_some_are_taken_at_equal_distances() -> None:
    frame = pl.DataFrame({f"pixel_{at}": RNG.integers(0, 16, 300) for at in range(784)})
    sketch = sketched(frame)
    assert len(sketch.features) <= MOST_COLUMNS
    assert sketch.left_out == 784 - len(sketch.features)
    assert (sketch.features[0].name, sketch.features[-1].name) == ("pixel_0", "pixel_783")
    assert size_of(sketch) <= MOST_BYTES


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f600", "\x07", '"'])
def test_it_is_a_page_at_most(letter: str) -> None:
    rows = 400
    wide: dict[str, Any] = {
        f"{at} {letter * 190}": [letter * (at % 3 + 50)] * 200 + [letter * 55] * 200 for at in range(40)
    }
    wide |= {f"{at} {letter * 300}": [0] * rows for at in range(3)}
    numbers: dict[str, Any] = {f"number {at} {letter}": RNG.normal(size=rows) * 1e-300 for at in range(30)}
    sketch = sketched(pl.DataFrame(wide | numbers))
    assert len(sketch.features) > 0
    assert len(sketch.features) + sketch.left_out == 73
    assert size_of(sketch) <= MOST_BYTES


def test_a_usual_table_has_fine_bins() -> None:
    rows = 5_000
    usual = {f"feature number {at}": RNG.normal(size=rows) * 1000 for at in range(20)}
    sketch = sketched(pl.DataFrame(usual))
    assert {each.bins for each in sketch.features} == {32}
    assert size_of(sketch) <= MOST_BYTES


def test_of_very_many_rows_some_make_the_bins_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "MOST_LOOKED_AT", 1_000)
    frame = pl.DataFrame(
        {"x": RNG.normal(size=20_000), "c": RNG.choice(["a", "b", "c"], 20_000, p=[0.7, 0.299, 0.001])}
    )
    sketch = sketch_of(lambda: parts(frame, [7_000, 0, 9_000]), frame.height)
    assert (sketch.looked_at, sketch.rows) == (1_000, 20_000)
    assert sketch == sketch_of(lambda: parts(frame, [123]), frame.height)
    assert counted(sketch, [Batch(features=frame)]) == sketch.counts
    _, own = named(sketch, "x")
    assert abs(np.asarray(own.counts) / 20_000 - 1 / len(own.counts)).max() < 0.03
    assert named(sketch, "c")[1].counts[:2] == tuple(int((frame["c"] == each).sum()) for each in "ab")


def test_no_rows_and_no_columns() -> None:
    assert sketch_of(list, 0).counts.rows == 0
    assert sketched(pl.DataFrame({"x": pl.Series([], dtype=pl.Float64)})).features[0].edges == ()
    assert sketched(pl.DataFrame()).features == ()


# A reader's figures.


def test_a_psi_of_counts_is_that_of_the_rows() -> None:
    before, after = RNG.normal(size=4_000), RNG.normal(0.4, 1.2, size=3_000)
    sketch = of(x=before)
    found = counted(sketch, [Batch(features=pl.DataFrame({"x": part})) for part in np.array_split(after, 7)])
    (each,) = sketch.beside(found)
    edges = [-np.inf, *each.column.edges, np.inf]
    p, q = (np.histogram(rows, edges)[0] / rows.size for rows in (before, after))
    direct = float(((q - p) * np.log(q / p)).sum())
    own, other = (np.asarray(side.counts) / side.rows for side in (each.own, each.other))
    assert float(((other - own) * np.log(other / own)).sum()) == pytest.approx(direct, abs=1e-12)


@pytest.mark.parametrize(
    ("task", "predictions", "decided", "classes", "columns"),
    [
        (Task.BINARY, [0.2, 0.9], [0, 1], ("no", "yes"), {"label": ["no", "yes"], "probability": [0.2, 0.9]}),
        (Task.BINARY, [0.2, 0.9], None, ("no", "yes"), {"probability": [0.2, 0.9]}),
        (
            Task.MULTICLASS,
            [[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]],
            [1, 0],
            ("a", "b", "c"),
            {"label": ["b", "a"], "confidence": [0.5, 0.6]},
        ),
        (Task.REGRESSION, [1.0, 2.0], None, (), {"prediction": [1.0, 2.0]}),
        (Task.RANKING, [[1.0], [2.0]], None, (), {"prediction": [1.0, 2.0]}),
        (Task.MULTILABEL, [[0.1, 0.9]], [[0, 1]], ("spam", "urgent"), {"spam": [0.1], "urgent": [0.9]}),
        (Task.MULTIOUTPUT, [[3.0, 4.0]], None, ("width", "height"), {"width": [3.0], "height": [4.0]}),
        (
            Task.FORECAST,
            [[3.0, 2.0, 4.0]],
            None,
            ("y", "q:0.1", "q:0.9"),
            {"prediction": [3.0], "q:0.1": [2.0], "q:0.9": [4.0]},
        ),
    ],
)
def test_answers_have_the_names_of_a_sketch(
    task: Task, predictions: Any, decided: Any, classes: tuple[str, ...], columns: dict[str, Any]
) -> None:
    decided = None if decided is None else np.asarray(decided)
    assert answers_of(task, np.asarray(predictions), decided, classes).to_dict(as_series=False) == columns


Case = tuple[Task, dict[str, Any], dict[str, Any], Any, Any, dict[str, tuple[int, ...]]]
"""The task; columns beside the features; settings; what the model answers and decides; counts of the targets."""

_TASKS: list[Case] = [
    (Task.BINARY, {"y": ["no", "yes"] * 10}, {}, [0.1, 0.9] * 10, [0, 1] * 10, {"y": (10, 10, 0)}),
    (Task.BINARY, {"y": [True, False] * 10}, {}, [0.9, 0.1] * 10, [1, 0] * 10, {"y": (10, 10, 0)}),
    (
        Task.MULTICLASS,
        {"y": [0, 1, 2, 2] * 5},
        {},
        np.tile([0.2, 0.3, 0.5], (20, 1)),
        [2] * 20,
        {"y": (10, 5, 5, 0)},
    ),
    (Task.REGRESSION, {"y": [*range(20)]}, {}, [1.0] * 20, None, {"y": (5, 5, 5, 5)}),
    (
        Task.MULTILABEL,
        {"spam": [0, 1] * 10, "urgent": [1, 1, 1, 0] * 5},
        {"target": ("spam", "urgent")},
        np.full((20, 2), 0.5),
        np.zeros((20, 2), dtype=np.int8),
        {"spam": (10, 10), "urgent": (5, 15)},
    ),
    (
        Task.MULTIOUTPUT,
        {"w": [1.0, 2.0] * 10, "h": [3.0, 4.0] * 10},
        {"target": ("w", "h")},
        np.full((20, 2), 0.5),
        None,
        {"w": (10, 10), "h": (10, 10)},
    ),
    (Task.RANKING, {"y": [0, 1] * 10, "q": ["a"] * 10 + ["b"] * 10}, {"group": "q"}, [1.0] * 20, None, {"y": (10, 10)}),
    (
        Task.FORECAST,
        {"y": [1.0, 2.0] * 10, "t": [*range(20)]},
        {"time": "t", "quantiles": (0.1,)},
        np.full((20, 2), 0.5),
        None,
        {"y": (10, 10)},
    ),
]


@pytest.mark.parametrize("case", _TASKS, ids=lambda case: case[0])
def test_a_holdout_has_a_sketch_whatever_the_task(tmp_path: Path, case: Case) -> None:
    task, columns, setting, predictions, decided, targets = case
    frame = pl.DataFrame({"a": [*range(20)], "town": ["Bonn", "Köln"] * 10, **columns})
    frame.write_parquet(tmp_path / "h.parquet")
    data = Data.model_validate({"holdout": "h.parquet", "target": "y", **setting})
    holdout = open_holdout(tmp_path / "h.parquet", data, task)
    assert isinstance(holdout, HoldoutData), holdout
    answers: Any = SimpleNamespace(
        predictions=np.asarray(predictions), decided=None if decided is None else np.asarray(decided), classes=()
    )
    sketch = sketch_of_holdout(holdout, data.targets, answers)
    assert [each.name for each in sketch.features] == ["a", "town"]
    found = {column.name: own.counts for column, own in zip(sketch.targets, sketch.counts.targets, strict=True)}
    assert {name: sorted(counts) for name, counts in found.items()} == {k: sorted(v) for k, v in targets.items()}
    assert {20} == {each.own.rows for each in sketch.beside(sketch.counts)}
    assert len(sketch.answers) == (2 if np.ndim(predictions) == 2 or task is Task.BINARY else 1)
    # What is asked in production comes as a table with labels as they are written there.
    later = Batch(features=frame, targets=frame.select(data.targets))
    assert counted(sketch, [later]).targets == sketch.counts.targets
    assert sketch_of_holdout(holdout, data.targets, None).answers == ()


def test_the_records_say_their_bounds() -> None:
    assert (records.MOST_COLUMNS, records.MOST_BINS, records.FEWEST) == (64, 32, 5)
