"""From rows to what is judged: errors as bounds, groups, repeats, slices, and the verdicts that come of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.support.evaluations import OF_TOOL, evaluate, jsonl, rows_of

from mlbot.config.predict import Errors
from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.judging.rows import Row, Rows
from mlbot.judging.scores import MeasuredScores, ScorePlan, Sides, Table, measure_scores, too_many_errors
from mlbot.ml.holdout import item_masks
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.verdict import Commits, Evaluation, GateResult, Method, Problem

DIGESTS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)


def table_of(candidate: Rows, baseline: Rows | None = None, **settings: Any) -> Table:
    sides = Sides(candidate=(candidate,), baseline=() if baseline is None else (baseline,))
    found = Table.of(sides, evaluate(**settings))
    assert isinstance(found, Table), found
    return found


def real(tool: str = "rows", **settings: Any) -> Table:
    return table_of(OF_TOOL[tool]("candidate"), OF_TOOL[tool]("baseline"), **settings)


def measured(table: Table, margin: float = 0.1, **plan: Any) -> MeasuredScores:
    margins: dict[tuple[str, str | None], float] = {(each.name, None): margin for each in table.evaluate.metrics}
    return measure_scores(table, ScorePlan(margins=margins, **plan), {})


def verdict(found: MeasuredScores, *gates: Gate) -> tuple[GateResult, ...]:
    shipped = Evaluation(digest=DIGESTS[0], seed=0, scores=found.scores[0])
    evidence = Evidence(model="m", gates=gates, candidate=(shipped,), comparisons=found.comparisons)
    return decide(Commits(head="1" * 40, base=None, policy=None, guarded="main"), [evidence]).models[0].gates


def gate(limit: float, bound: Bound = Bound.MAX_REGRESSION, metric: str = "exact") -> Gate:
    return Gate(metric=metric, bound=bound, limit=limit)


def made(scores: Mapping[str, float | None], *, repeats: int = 1, **columns: Any) -> Rows:
    """A file with one score for each item, or None for an error."""
    return Rows(
        rows=tuple(
            Row(
                item=item,
                repeat=repeat + 1,
                scores={"exact": value},
                error=None if value is not None else "gone",
                **columns,
            )
            for item, value in scores.items()
            for repeat in range(repeats)
        ),
        complete=True,
    )


ONE: dict[str, Any] = {"repeats": 1, "scores": {"exact": {"range": [0, 1]}}}


# errors


@pytest.mark.parametrize("tool", ["rows", "promptfoo", "inspect", "deepeval"])
def test_the_change_of_the_real_files_lies_between_what_their_errors_allow(tool: str) -> None:
    found = measured(real(tool, errors=0.1)).comparisons[0]
    worst, low, high = -0.013888888888889, -0.027777777777778, 0.041666666666667
    assert found.change == pytest.approx(worst, abs=1e-9)
    assert [each.change for each in found.bounds] == pytest.approx([low, high], abs=1e-9)
    assert (found.candidate, found.baseline) == pytest.approx((0.791666666666667, 0.805555555555556), abs=1e-9)
    assert (found.groups, found.rows) == (8, 24)
    # CR1 and t(7): the table's errors of both ends
    errors = [each.standard_error for each in found.bounds]
    assert errors == pytest.approx([0.065566316, 0.035988804], abs=1e-9)
    assert {each.df for each in found.bounds} == {7}
    ends = [end for each in found.bounds for end in (each.low, each.high)]
    assert (found.low, found.high) == (min(filter(None, ends)), max(filter(None, ends)))


def test_errors_that_are_left_out_would_turn_the_change_and_are_not() -> None:
    """The tools' own means say better by three points; with the errors it is worse, or nobody knows."""
    by_item: dict[str, list[float]] = {}
    for sign, side in ((1, "candidate"), (-1, "baseline")):
        for row in OF_TOOL["rows"](side).rows:
            by_item.setdefault(f"{sign}/{row.item}", []).extend([] if row.error else [row.scores["exact"] or 0.0])
    means = {key: np.mean(each) for key, each in by_item.items() if each}
    kept = [item for item in {key.partition("/")[2] for key in means} if {f"1/{item}", f"-1/{item}"} <= means.keys()]
    assert np.mean([means[f"1/{item}"] - means[f"-1/{item}"] for item in kept]) == pytest.approx(0.028985507)
    result, *_ = verdict(measured(real(errors=0.1)), gate(0.01))
    assert result.outcome is Outcome.INCONCLUSIVE


def test_by_default_one_error_is_no_outcome_and_five_items_are_named() -> None:
    table = real()
    ours, theirs = (too_many_errors(table, file) for file in (0, 1))
    assert ours
    assert theirs
    assert (ours.reason, ours.cause) == (Reason.RESULTS_INCOMPLETE, "errors")
    assert "4 of the candidate's 72 rows" in ours.detail
    assert "q07 (repeat 2): upstream timed out; q13 (repeat 1): upstream timed out." in ours.detail
    assert "1 of the baseline's 72 rows" in theirs.detail
    many = table_of(made({f"q{number}": None if number < 9 else 1.0 for number in range(20)}), **ONE)
    problem = too_many_errors(many, 0)
    assert problem
    assert problem.detail.count("gone") == 5


def test_without_a_range_any_error_is_no_outcome() -> None:
    table = real(scores={"exact": {"range": [0, 1]}, "similarity": "higher"})
    # mlbot.yaml cannot say both.
    allowing = table.evaluate.model_copy(update={"errors": Errors(max=0.5)})
    problem = too_many_errors(replace(table, evaluate=allowing), 0)
    assert problem
    assert problem.cause == "no-range"
    assert "similarity" in problem.detail


def test_a_row_that_is_absent_on_one_side_is_an_error_of_it() -> None:
    """The union of both sides: an item that is gone is not one less to be asked."""
    ours, theirs = made({"a": 1.0, "b": 1.0}), made({"a": 1.0, "b": 1.0, "c": 0.0})
    table = table_of(ours, theirs, **ONE)
    assert [(each.item, each.why) for each in table.errors(0)] == [("c", "absent")]
    assert table.errors(1) == []
    assert too_many_errors(table, 0)
    twice = table_of(made({"a": 1.0}, repeats=2), made({"a": 1.0}, repeats=1), **{**ONE, "repeats": 2})
    assert [(each.item, each.repeat) for each in twice.errors(1)] == [("a", 2)]


def test_a_missing_score_is_an_error_of_its_row() -> None:
    rows = rows_of(jsonl([{"item": "a", "score.exact": None, "score.similarity": 1}, {"item": "b", "score.exact": 1}]))
    table = table_of(rows, repeats=1)
    assert [each.why for each in table.errors(0)] == ["no score exact", "no score similarity"]


# the rule of both ends


def sides(won: int, lost: int, same: int, ours: int = 0, theirs: int = 0) -> Table:
    """Items that were won and lost, and errors of each side beside a right answer of the other."""
    names = iter(range(10_000))
    candidate: dict[str, float | None] = {}
    baseline: dict[str, float | None] = {}
    for count, a, b in ((won, 1.0, 0.0), (lost, 0.0, 1.0), (same, 1.0, 1.0), (ours, None, 1.0), (theirs, 1.0, None)):
        for _ in range(count):
            item = f"q{next(names)}"
            candidate[item], baseline[item] = a, b
    return table_of(made(candidate), made(baseline), **ONE, errors=0.2)


@pytest.mark.parametrize(
    ("table", "margin", "outcome", "reason"),
    [
        (sides(5, 5, 390), 0.1, Outcome.PASS, Reason.WITHIN_MARGIN),
        (sides(5, 5, 380, ours=5), 0.1, Outcome.PASS, Reason.WITHIN_MARGIN),  # also where all of them are wrong
        (sides(0, 0, 390, ours=40), 0.08, Outcome.INCONCLUSIVE, Reason.ERRORS_DECIDE),
        (sides(0, 0, 340, ours=40), 0.1, Outcome.INCONCLUSIVE, Reason.ERRORS_DECIDE),
        (sides(0, 80, 320), 0.1, Outcome.FAIL, Reason.REGRESSION),
        (sides(0, 80, 320, ours=5), 0.1, Outcome.FAIL, Reason.REGRESSION),  # even where all of them are right
        (sides(0, 42, 300, ours=40), 0.1, Outcome.INCONCLUSIVE, Reason.ERRORS_DECIDE),
        (sides(20, 60, 320), 0.1, Outcome.INCONCLUSIVE, Reason.MARGIN_INSIDE_INTERVAL),
        (sides(20, 60, 320, theirs=1), 0.1, Outcome.INCONCLUSIVE, Reason.MARGIN_INSIDE_INTERVAL),
        (sides(0, 0, 50), 0.05, Outcome.INCONCLUSIVE, Reason.FEW_ROWS_DECIDE),
    ],
)
def test_a_gate_passes_and_fails_only_where_both_ends_do(
    table: Table, margin: float, outcome: Outcome, reason: Reason
) -> None:
    result, *_ = verdict(measured(table, margin), gate(margin))
    assert (result.outcome, result.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("limit", "bound", "outcome"),
    [
        (0.7, Bound.MIN, Outcome.PASS),
        (0.8, Bound.MIN, Outcome.PASS),
        (0.85, Bound.MIN, Outcome.INCONCLUSIVE),
        (0.9, Bound.MIN, Outcome.INCONCLUSIVE),
        (0.91, Bound.MIN, Outcome.FAIL),
        (0.9, Bound.MAX, Outcome.PASS),
        (0.85, Bound.MAX, Outcome.INCONCLUSIVE),
        (0.79, Bound.MAX, Outcome.FAIL),
    ],
)
def test_a_limit_is_kept_where_it_is_with_errors_at_both_ends(limit: float, bound: Bound, outcome: Outcome) -> None:
    scores: dict[str, float | None] = {f"q{number}": 1.0 if number < 80 else 0.0 for number in range(90)}
    scores |= dict.fromkeys(map(str, range(10)))
    found = measured(table_of(made(scores), **ONE, errors=0.2))
    assert (found.scores[0][0].value, found.scores[0][0].best) == (0.8, 0.9)
    result, *_ = verdict(found, gate(limit, bound))
    assert result.outcome is outcome
    if outcome is Outcome.INCONCLUSIVE:
        assert result.reason is Reason.ERRORS_DECIDE


def test_of_a_score_that_is_better_lower_an_error_is_the_highest() -> None:
    lower = {"repeats": 1, "scores": {"exact": {"range": [0, 5], "direction": "lower"}}, "errors": 0.5}
    found = measured(table_of(made({"a": 1.0, "b": None}), made({"a": 1.0, "b": 2.0}), **lower))
    assert found.scores[0][0].value == 3.0
    assert found.scores[0][0].best == 0.5
    assert [each.change for each in found.comparisons[0].bounds] == [1.5, -1.0]


# what is compared


def test_one_repeat_of_right_and_wrong_is_judged_by_agresti_and_min() -> None:
    found = measured(sides(2, 8, 14)).comparisons[0]
    assert (found.df, found.method) == (None, Method.PAIRED)
    assert found.change == -0.25


def test_two_sides_that_do_not_ask_the_same_are_not_compared() -> None:
    def problem(ours: Rows, theirs: Rows) -> Problem:
        found = Table.of(Sides(candidate=(ours,), baseline=(theirs,)), evaluate(**ONE))
        assert isinstance(found, Problem)
        return found

    assert problem(made({"a": 1.0}), made({"b": 1.0})).cause == "no-common-item"
    changed = problem(made({"a": 1.0}, input="1" * 64), made({"a": 1.0}, input="2" * 64))
    assert (changed.reason, changed.cause) == (Reason.CASE_CHANGED, "input")
    assert problem(made({"a": 1.0}, group="x"), made({"a": 1.0}, group="y")).cause == "group"
    assert problem(made({"a": 1.0}, slices={"level": 1.0}), made({"a": 1.0}, slices={"level": 2.0})).cause == "slice"


def test_a_case_removed_in_front_renames_all_others_and_is_found() -> None:
    """As inspect numbers cases without ids: every name asks another question then."""
    rows = OF_TOOL["inspect"]("candidate").rows
    order = {item: number for number, item in enumerate(sorted({row.item for row in rows}))}

    def numbered(first: int) -> Rows:
        kept = [row for row in rows if order[row.item] >= first]
        return Rows(rows=tuple(replace(row, item=str(order[row.item] - first + 1)) for row in kept), complete=True)

    found = Table.of(Sides(candidate=(numbered(1),), baseline=(numbered(0),)), evaluate())
    assert isinstance(found, Problem)
    assert (found.reason, found.cause) == (Reason.CASE_CHANGED, "input")


def test_slices_are_taken_by_what_the_results_say_of_items() -> None:
    rows = [{"item": str(n), "score.exact": n % 2, "slice.level": n, "slice.kind": "ab"[n % 2]} for n in range(10)]
    table = table_of(rows_of(jsonl(rows)), **ONE)
    parts: Any = [SliceStub("low", "level < 4"), SliceStub("a", "kind = 'a' AND level > 2")]
    masks = item_masks(table.slices, len(table.items), parts)
    assert isinstance(masks, dict)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"low": 4, "a": 3}
    found = measure_scores(table, ScorePlan(margins={}), masks).scores[0]
    assert [(each.slice, each.value) for each in found] == [(None, 0.5), ("low", 0.5), ("a", 0.0)]
    wrong = item_masks(table.slices, 10, [SliceStub("x", "size > 1")])  # type: ignore[list-item]  # a slice's two fields
    assert isinstance(wrong, Problem)
    assert "size" in wrong.detail
    assert "kind" in wrong.hint


class SliceStub:
    def __init__(self, name: str, where: str) -> None:
        self.name, self.where = name, where


def test_a_slice_without_an_item_has_no_figure_and_one_item_no_interval() -> None:
    table = sides(1, 1, 8)
    masks = {"none": np.zeros(10, np.bool_), "one": np.arange(10) == 0}
    found = measure_scores(table, ScorePlan(margins={("exact", "none"): 0.1, ("exact", "one"): 0.1}), masks)
    problems = {each.slice: each.problem and each.problem.reason for each in found.comparisons}
    assert problems == {None: None, "none": Reason.EMPTY_SLICE, "one": Reason.NO_INTERVAL}


def test_an_item_without_a_group_is_one_of_its_own() -> None:
    rows = (Row(item="a", scores={"exact": 1.0}, group="g"), Row(item="b", scores={"exact": 1.0}, group="g"))
    alone = (Row(item="g", scores={"exact": 0.0}), Row(item="h", scores={"exact": 0.0}))
    table = table_of(Rows(rows=(*rows, *alone), complete=True), **ONE)
    assert table.groups is not None
    assert len(set(table.groups.tolist())) == 3


def test_names_of_slices_are_names_of_slices_alone() -> None:
    both = made({"a": 1.0, "b": 1.0}, group="g", input="sha256:" + "1" * 64, slices={"group": "x", "input": "y"})
    assert isinstance(Table.of(Sides(candidate=(both,), baseline=(both,)), evaluate(**ONE)), Table)


def test_several_trainings_of_a_side_are_judged_with_their_seeds() -> None:
    rng = np.random.default_rng(3)
    items = [f"q{number}" for number in range(400)]
    level = rng.uniform(0.6, 0.9, 400)

    def file(shift: float) -> Rows:
        return made(dict(zip(items, np.clip(level + shift + rng.normal(0, 0.05, 400), 0, 1), strict=True)))

    candidates = tuple(file(shift) for shift in (0.0, 0.02, -0.02))
    baselines = tuple(file(shift) for shift in (0.0, 0.01, -0.01))
    table = Table.of(Sides(candidate=candidates, baseline=baselines), evaluate(**ONE))
    assert isinstance(table, Table)
    found = measure_scores(table, ScorePlan(margins={("exact", None): 0.1}, seeds_matter=(True, True)), {})
    comparison = found.comparisons[0]
    assert comparison.method is Method.RECIPE
    alone = measure_scores(table, ScorePlan(margins={("exact", None): 0.1}), {}).comparisons[0]
    assert (comparison.standard_error or 0) > 2 * (alone.standard_error or 0)
    assert verdict(found, gate(0.1))[0].outcome is Outcome.PASS


def test_one_artifact_on_both_sides_has_nothing_to_judge() -> None:
    found = measured(sides(2, 8, 14), identical=True)
    assert found.comparisons[0].method is Method.IDENTICAL
    assert verdict(found, gate(0.0))[0].reason is Reason.IDENTICAL


# what people see


def test_what_changed_what_failed_and_what_it_cost() -> None:
    items = measured(real(errors=0.1)).items
    assert (items.count, items.repeats, items.groups, items.tool) == (24, 3, 8, "promptfoo")
    exact = items.changes[0]
    assert (exact.worse, exact.better, exact.equal) == (5, 6, 13)
    assert len(exact.most) == 10
    assert [sum(n for low, high, n in exact.histogram if (low + high > 0) is up) for up in (False, True)] == [5, 6]
    changes = [abs(each.candidate - each.baseline) for each in exact.most]
    assert changes == sorted(changes, reverse=True)
    assert items.baseline
    assert (items.candidate.errors, items.baseline.errors) == (4, 1)
    assert [each.item for each in items.candidate.named] == ["q07", "q13"]
    assert (items.candidate.cost, items.baseline.cost) == pytest.approx((0.002046, 0.001568))
