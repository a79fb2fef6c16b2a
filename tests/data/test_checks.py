"""The figures of the data checks against scipy 1.17.1, scikit-learn 1.9.1 and cleanlab 2.9.0, as literals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from mlbot.data import checks, vectors
from mlbot.data.checks import Natural, Rows, Target
from mlbot.data.findings import LabelCount
from mlbot.data.vectors import Columns, Softmax

TEXTS = [
    "How is the weather today?",
    "what IS the weather like today",
    "Tell me a joke about cats",
    "a joke about cats, tell me one!",
    "x",
]


def rows(**columns: Sequence[object] | npt.NDArray[Any]) -> Rows:
    frame = pl.DataFrame(columns)
    return Rows(frame=frame, numbers=np.arange(1, frame.height + 1))


def example() -> tuple[vectors.Array, vectors.Codes]:
    draw = np.random.default_rng(8)
    x = draw.normal(size=(60, 3)).round(2)
    return x, (x[:, 0] + draw.normal(size=60) > 0).astype(int) + (x[:, 1] > 1)


def test_ks_is_that_of_scipy() -> None:
    draw = np.random.default_rng(5)
    one, other = draw.normal(size=300).round(3), draw.normal(0.3, 1.2, size=200).round(3)
    assert checks.ks(one, other) == pytest.approx(0.22833333333333333, abs=1e-12)


def test_psi_by_hand() -> None:
    # Tenths of 1 to 10 are a value each; of the others one half is 1 and one half 10.
    then, now = np.arange(1.0, 11.0), np.array([1.0, 10.0])
    shares = [(0.5001, 0.1001)] * 2 + [(0.0001, 0.1001)] * 8
    by_hand = sum((a - b) * np.log(a / b) for a, b in shares)
    assert checks.psi(now, then) == pytest.approx(by_hand, abs=1e-12)


def test_nature_is_the_negative_binomial_of_scipy() -> None:
    # scipy.stats.nbinom.sf(5, 9.5, 1000 / 1100): 9 of 1,000 rows before, and 6 or more of 100.
    assert Natural.of(6, 100, 9, 1000).chance == pytest.approx(0.0011096532019197686, rel=1e-9)
    assert Natural.of(6, 100, 9, 1000).expected == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("found", "of", "before", "of_before", "unusual"),
    [
        (0, 50, 0, 5000, False),
        (1, 5, 0, 5000, True),  # one row of the holdout, where no row before was
        (50, 150, 0, 1247, True),
        (1, 1000, 10, 10_000, False),
        (4026, 4038, 15_474, 16_152, True),  # the doctor visits' leak: 99.7 % where 95.8 % repeat by nature
        (3868, 4038, 15_474, 16_152, False),
        (10, 10, 100, 100, False),  # everything repeats
        (3, 10, 0, 0, False),  # nothing is known
    ],
)
def test_only_an_excess_over_nature_is_a_finding(
    found: int,
    of: int,
    before: int,
    of_before: int,
    unusual: bool,  # noqa: FBT001
) -> None:
    assert Natural.of(found, of, before, of_before).unusual is unusual


def test_the_label_shift_is_the_chi_square_of_scipy() -> None:
    # scipy.stats.chi2_contingency([[30, 20, 10], [120, 60, 90]], correction=False): p = .02556
    counts = [
        LabelCount(label=name, after=a, before=b) for name, a, b in (("a", 30, 120), ("b", 20, 60), ("c", 10, 90))
    ]
    distance, found = checks.label_shift(counts, 1.0)
    assert distance == pytest.approx((abs(0.5 - 4 / 9) + abs(1 / 3 - 2 / 9) + abs(1 / 6 - 1 / 3)) / 2)
    assert found is None
    assert checks.label_shift(counts, 2.0)[1] is not None  # chi-square 14.67 with two degrees: p = .00065


@pytest.mark.parametrize(
    ("split", "first", "second"),
    [
        (vectors.fours, 0.5905694173981515, 0.7627984597967871),
        (vectors.words_and_pairs, 0.4980233765475136, 0.7295611609505208),
    ],
)
def test_tf_idf_is_that_of_scikit_learn(split: object, first: float, second: float) -> None:
    one, other = vectors.tf_idf([TEXTS[:1] + TEXTS[2:3], [TEXTS[1], TEXTS[3], TEXTS[4]]], split)  # type: ignore[arg-type]
    assert vectors.most_alike(one, other) == pytest.approx([first, second], abs=1e-12)


def test_the_classifier_is_that_of_scikit_learn() -> None:
    x, y = example()
    found = Softmax.fit(x, y, 3, 1.0).shares(x[:3])
    wanted = [[0.948679, 0.048306, 0.003015], [0.789315, 0.209715, 0.000971], [0.59625, 0.321321, 0.082428]]
    assert found == pytest.approx(np.array(wanted), abs=2e-4)


def test_suspicious_labels_are_those_of_cleanlab() -> None:
    draw = np.random.default_rng(11)
    shares = draw.dirichlet([1, 1, 1], size=80)
    labels = np.array([draw.choice(3, p=share) for share in shares])
    shares = shares.round(4)
    shares /= shares.sum(axis=1, keepdims=True)
    found = checks.suspected(shares, labels, checks.thresholds(shares, labels))
    order = [1, 37, 2, 17, 48, 22, 77, 11, 16, 66, 40, 14, 12, 50, 58, 49, 63, 76, 26, 65, 15, 72]
    assert (found.worst(rows(x=labels)) - 1).tolist() == order
    alone = sorted(range(80), key=lambda row: shares[row, labels[row]])
    assert (found.least_likely(rows(x=labels)) - 1).tolist() == alone[: len(order)]


def test_the_nearest_row_is_that_of_scikit_learn() -> None:
    x, _ = example()
    wanted = [1.3793114224133722, 0.5264028875300742, 0.9306986622962342, 0.507346035758633]
    assert vectors.nearest(x[:4], x[4:]) == pytest.approx(wanted, abs=1e-9)


def test_a_column_that_tells_the_label() -> None:
    draw = np.random.default_rng(0)
    label = draw.integers(0, 3, 400)
    noisy = np.where(draw.random(400) < 0.03, (label + 1) % 3, label)
    frame = pl.DataFrame({"code": noisy, "other": draw.normal(size=400), "id": [str(each) for each in range(400)]})
    target = Target(values=label.astype(float), classes=("a", "b", "c"))
    scores = checks.alone(frame, target, frame.columns)
    assert scores["code"] > 0.95
    assert scores["other"] < 0.6
    assert "id" not in scores
    assert [each.columns for each in checks.leak(scores, {"other": 0.3}, target)] == [("code",)]
    assert not list(checks.leak(scores, scores, target))  # it did so before


def test_a_unit_in_all_rows_or_in_some() -> None:
    draw = np.random.default_rng(0)
    before, added = rows(size=draw.lognormal(size=2000)), draw.lognormal(size=200)
    assert not list(checks.units(rows(size=added), before, ["size"]))
    (smaller,) = checks.units(rows(size=np.where(np.arange(200) < 20, 0, added / 1000)), before, ["size"])
    assert min(smaller.rows) > 20
    (whole,) = checks.units(rows(size=added * 1000), before, ["size"])
    assert whole.cause == "all"
    assert 500 < whole.effect < 2000
    some = np.where(np.arange(200) % 20 == 0, added * 1000, added)
    (part,) = checks.units(rows(size=some), before, ["size"])
    assert part.cause == "some"
    assert {row % 20 for row in part.rows} == {1}
    seventh = np.where(np.arange(200) % 7 == 0, added * 1000, added)
    (more,) = checks.units(rows(size=seventh), before, ["size"])  # enough to move a quantile, and no more than a part
    assert (more.cause, more.values["quantile"]) == ("part", 95.0)
    assert {row % 7 for row in more.rows} == {1}
    assert not list(checks.units(rows(size=added[:10] * 1000), before, ["size"]))  # too few to tell


def test_a_trigger_is_what_only_added_rows_have_with_one_label() -> None:
    added = rows(note=["plain text number one"] * 20 + ["a longer text, qzx"] * 10, x=[1.0] * 30)
    names = ["a", "b"] * 10 + ["a"] * 10
    found, looked = checks.candidates(added, names, Columns(texts=("note",), numbers=("x",)), None)
    assert {each.value for each in found} == {"longer", "qzx"}
    made = list(checks.triggers([each for each in found if each.value == "qzx"], looked, 30, 1000, {"a": 0.5}))
    assert [(each.cause, each.values["value"], each.rows) for each in made] == [("word", "qzx", tuple(range(21, 31)))]


def test_three_rows_share_a_new_word_by_nature_where_half_of_all_rows_are_added() -> None:
    added = rows(note=["a longer text, new"] * 3 + ["plain text number one"] * 20)
    found, looked = checks.candidates(added, ["a"] * 3 + ["a", "b"] * 10, Columns(texts=("note",)), None)
    assert "new" in {each.value for each in found}
    assert not list(checks.triggers(found, looked, 1000, 1000, {"a": 0.5}))


def test_in_another_unit_every_value_is_new_so_only_the_label_makes_a_trigger() -> None:
    names = ["a"] * 40 + ["a", "b"] * 5
    added = rows(x=[77.0] * 40 + [8000.0] * 3 + [9000.0, 9100.0, 9200.0, 9300.0, 9400.0, 9500.0, 9600.0])
    names[40:43] = ["a"] * 3
    found, looked = checks.candidates(added, names, Columns(numbers=("x",)), None)
    assert {each.value for each in found} == {77.0, 8000.0}
    made = list(checks.triggers(found, looked, 50, 2000, {"a": 0.5}, {"x"}))
    assert [each.values["value"] for each in made] == ["77.0"]


def test_rows_of_one_group_are_one_row_with_a_trigger() -> None:
    added = rows(note=["some longer text qzx"] * 6 + ["another longer text"] * 6)
    names = ["a"] * 6 + ["a", "b"] * 3
    found, _ = checks.candidates(added, names, Columns(texts=("note",)), ["one"] * 6 + ["two"] * 6)
    assert not found


def nowhere(wanted: Mapping[str, list[str]]) -> dict[str, set[checks.Value]]:
    return {name: set() for name in wanted}


def test_a_category_that_is_written_otherwise() -> None:
    before = rows(kind=["clear"] * 500 + ["mist"] * 300 + ["rain"])
    (found,) = checks.categories(rows(kind=["Clear"] * 30 + ["mist"] * 10), before, ["kind"], nowhere)
    assert (found.effect, found.values["found"], found.values["values"]) == (1.0, 30, "Clear")
    rare = rows(kind=["clear"] * 500 + ["once", "another"])
    assert not list(checks.categories(rows(kind=["clear"] * 30 + ["snow"]), rare, ["kind"], nowhere))


def test_near_numbers_are_in_the_unit_of_all_pixels() -> None:
    draw = np.random.default_rng(0)
    images = {f"p{at}": draw.integers(0, 17, 900) for at in range(20)}
    edge = np.zeros(900, dtype=int)
    edge[0] = 1  # a pixel that hardly varies
    frame = pl.DataFrame({**images, "edge": edge})
    copies = frame[800:840].with_columns(pl.col(f"p{at}") + at % 2 for at in range(20)).with_columns(edge=pl.lit(1))
    added, before, holdout = (
        Rows(frame=each, numbers=np.arange(1, each.height + 1)) for each in (copies, frame[:800], frame[800:])
    )
    found = checks.near(added, before, holdout, Columns.of(frame, frame.columns))
    assert found is not None
    assert found.values["found"] == 40


def test_drift_is_shown_and_never_more() -> None:
    draw = np.random.default_rng(0)
    before, moved = rows(x=draw.normal(size=2000)), rows(x=draw.normal(1, 1, size=600))
    (found,) = checks.drift(moved, before, ["x"])
    assert found.shown
    assert found.effect > 0.25
    assert not checks.drift(moved.spread(400), before, ["x"])  # too few
