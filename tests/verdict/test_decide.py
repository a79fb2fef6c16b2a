"""The gates' rules, case by case, and the laws they obey."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from tests.support.tiers import examples

from mlbot.gates.metric import Bound, Direction, Gate
from mlbot.gates.outcome import Outcome, Reason, worst
from mlbot.ledger.entries import AnchorModel, SeedCount, Since
from mlbot.verdict.decide import Evidence, anchor_gates, decide, holm_rejects, may_be_waived
from mlbot.verdict.seeds import SeedDesign, Seeds, next_wave
from mlbot.verdict.verdict import (
    AnchorSide,
    Commits,
    Comparison,
    Evaluation,
    Flips,
    GateResult,
    Latency,
    LatencyRatio,
    Method,
    Problem,
    Score,
)

COMMITS = Commits(head="a" * 40, base="b" * 40, policy="c" * 40, guarded="main")
DIGEST = "sha256:" + "0" * 64


def evaluation(**changes: Any) -> Evaluation:
    fields: dict[str, Any] = {
        "digest": DIGEST,
        "seed": 0,
        "size_bytes": 2_000_000,
        "scores": (
            Score(metric="roc_auc", rows=1000, value=0.92, low=0.91, high=0.93),
            Score(metric="log_loss", rows=1000, value=0.30, low=0.28, high=0.32),
            Score(metric="recall", slice="women", rows=40, value=0.1, low=0.05, high=0.2),
        ),
        "latency": latency(),
    }
    return Evaluation(**(fields | changes))


def comparison(low: float, high: float, **changes: Any) -> Comparison:
    fields: dict[str, Any] = {
        "metric": "roc_auc",
        "direction": Direction.HIGHER,
        "rows": 1000,
        "candidate": 0.92,
        "baseline": 0.93,
        "change": (low + high) / 2,
        "low": low,
        "high": high,
        "standard_error": 0.002,
        "df": 10.0,
        "method": Method.RECIPE,
        "p_value": 0.001,
    }
    return Comparison(**(fields | changes))


def flips(rate: float, excess: Comparison | None = None) -> Flips:
    low, high = rate * 0.5, min(1.0, rate * 1.5)
    return Flips(rows=1000, count=int(1000 * rate), rate=rate, low=low, high=high, seeds=(2, 2), excess=excess)


def excess(low: float, high: float, **changes: Any) -> Comparison:
    return comparison(low, high, metric="negative_flips", direction=Direction.LOWER, **changes)


def latency(**changes: Any) -> Latency:
    fields: dict[str, Any] = {"requests": 400, "p50_ms": 1.0, "p95_ms": 2.0, "batch_rows": 1000, "rows_per_s": 1e5}
    return Latency(**(fields | {"rounds": 20, "p50_low": 0.9, "p50_high": 1.1} | changes))


def ratio(low: float | None, high: float | None) -> LatencyRatio:
    return LatencyRatio(rounds=20, ratio=((low or 1.0) + (high or 1.0)) / 2, low=low, high=high)


def judged(gate: Gate, **changes: Any) -> tuple[Outcome, Reason, Outcome]:
    fields: dict[str, Any] = {"model": "m", "gates": (gate,), "candidate": (evaluation(),)}
    verdict = decide(COMMITS, [Evidence(**(fields | changes))])
    result = verdict.models[0].gates[0]
    return result.outcome, result.reason, verdict.outcome


MARGIN = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005)
RATIO = Gate(metric="latency_p50_ms", bound=Bound.MAX_RATIO, limit=1.2)
EXCESS = Gate(metric="negative_flips", bound=Bound.MAX_EXCESS, limit=0.01)
UNSURE, KEPT, BROKEN = Outcome.INCONCLUSIVE, Reason.WITHIN_LIMIT, Reason.ABOVE_MAXIMUM
AMONG = Reason.LIMIT_INSIDE_INTERVAL
PROBLEM = Problem.of(Reason.NOT_FINITE, detail="3 rows are NaN")

UNDEFINED = Problem.of(
    Reason.METRIC_UNDEFINED,
    "nothing-predicted",
    metric="roc_auc",
    side="candidate",
    seeds="1",
    several=0,
    why="no row is predicted to be class 'yes'",
)

CASES: list[tuple[str, Gate, dict[str, Any], Outcome, Reason]] = [
    (
        "a figure that the baseline alone lacks",
        MARGIN,
        {"comparisons": (comparison(0, 0, problem=Problem.of(Reason.NO_BASELINE_FIGURE)),)},
        Outcome.INCONCLUSIVE,
        Reason.NO_BASELINE_FIGURE,
    ),
    (
        "a figure that the candidate lacks",
        MARGIN,
        {"comparisons": (comparison(0, 0, problem=UNDEFINED),)},
        Outcome.ERROR,
        Reason.METRIC_UNDEFINED,
    ),
    (
        "too few rows for an interval",
        MARGIN,
        {"comparisons": (comparison(0, 0, problem=Problem.of(Reason.NO_INTERVAL)),)},
        Outcome.INCONCLUSIVE,
        Reason.NO_INTERVAL,
    ),
    ("min kept", Gate(metric="roc_auc", bound=Bound.MIN, limit=0.92), {}, Outcome.PASS, Reason.WITHIN_LIMIT),
    ("min broken", Gate(metric="roc_auc", bound=Bound.MIN, limit=0.921), {}, Outcome.FAIL, Reason.BELOW_MINIMUM),
    ("max kept", Gate(metric="log_loss", bound=Bound.MAX, limit=0.30), {}, Outcome.PASS, Reason.WITHIN_LIMIT),
    ("max broken", Gate(metric="log_loss", bound=Bound.MAX, limit=0.29), {}, Outcome.FAIL, Reason.ABOVE_MAXIMUM),
    (
        "confident: limit inside the interval",
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.92, confident=True),
        {},
        Outcome.INCONCLUSIVE,
        Reason.LIMIT_INSIDE_INTERVAL,
    ),
    (
        "confident: whole interval kept",
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.91, confident=True),
        {},
        Outcome.PASS,
        Reason.WITHIN_LIMIT,
    ),
    (
        "confident: whole interval broken",
        Gate(metric="log_loss", bound=Bound.MAX, limit=0.27, confident=True),
        {},
        Outcome.FAIL,
        Reason.ABOVE_MAXIMUM,
    ),
    (
        "a metric nobody computed",
        Gate(metric="f1", bound=Bound.MIN, limit=0.0),
        {},
        Outcome.ERROR,
        Reason.METRIC_UNDEFINED,
    ),
    (
        "margin kept",
        MARGIN,
        {"comparisons": (comparison(-0.004, 0.002),)},
        Outcome.PASS,
        Reason.WITHIN_MARGIN,
    ),
    ("margin broken", MARGIN, {"comparisons": (comparison(-0.02, -0.006),)}, Outcome.FAIL, Reason.REGRESSION),
    (
        "margin inside the interval",
        MARGIN,
        {"comparisons": (comparison(-0.006, 0.001, p_value=0.2),)},
        Outcome.INCONCLUSIVE,
        Reason.MARGIN_INSIDE_INTERVAL,
    ),
    (
        "lower is better: a rise breaks the margin",
        Gate(metric="log_loss", bound=Bound.MAX_REGRESSION, limit=0.01),
        {"comparisons": (comparison(0.02, 0.03, metric="log_loss", direction=Direction.LOWER),)},
        Outcome.FAIL,
        Reason.REGRESSION,
    ),
    (
        "identical models pass at margin 0",
        Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.0),
        {"comparisons": (comparison(0.0, 0.0, method=Method.IDENTICAL, p_value=1.0, standard_error=0.0),)},
        Outcome.PASS,
        Reason.IDENTICAL,
    ),
    (
        "seed variance unknown, however large the drop",
        MARGIN,
        {"comparisons": (comparison(-0.5, -0.4, method=Method.SEED_VARIANCE_UNKNOWN),)},
        Outcome.INCONCLUSIVE,
        Reason.SEED_VARIANCE_UNKNOWN,
    ),
    ("no baseline", MARGIN, {}, Outcome.INCONCLUSIVE, Reason.NO_BASELINE),
    (
        "a metric that is undefined is no pass",
        MARGIN,
        {"comparisons": (Comparison(metric="roc_auc", direction=Direction.HIGHER, rows=9, problem=PROBLEM),)},
        Outcome.ERROR,
        Reason.NOT_FINITE,
    ),
    (
        "a comparison without figures is no pass",
        MARGIN,
        {"comparisons": (Comparison(metric="roc_auc", direction=Direction.HIGHER, rows=9, method=Method.RECIPE),)},
        Outcome.ERROR,
        Reason.METRIC_UNDEFINED,
    ),
    (
        "flips kept",
        Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03),
        {"flips": flips(0.03)},
        Outcome.PASS,
        Reason.WITHIN_LIMIT,
    ),
    (
        "flips broken",
        Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03),
        {"flips": flips(0.031)},
        Outcome.FAIL,
        Reason.ABOVE_MAXIMUM,
    ),
    (
        "flips, confident: the limit inside the interval",
        Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03, confident=True),
        {"flips": flips(0.03)},
        Outcome.INCONCLUSIVE,
        Reason.LIMIT_INSIDE_INTERVAL,
    ),
    (
        "flips without a baseline",
        Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03),
        {},
        Outcome.INCONCLUSIVE,
        Reason.NO_BASELINE,
    ),
    ("size kept", Gate(metric="size_mb", bound=Bound.MAX, limit=2.0), {}, Outcome.PASS, Reason.WITHIN_LIMIT),
    (
        "latency broken",
        Gate(metric="latency_p95_ms", bound=Bound.MAX, limit=1.9),
        {},
        Outcome.FAIL,
        Reason.ABOVE_MAXIMUM,
    ),
    ("median latency kept", Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=1.1), {}, Outcome.PASS, KEPT),
    ("median latency broken", Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=0.8), {}, Outcome.FAIL, BROKEN),
    ("median latency unclear", Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=1.0), {}, UNSURE, AMONG),
    (
        "median latency of too few rounds",
        Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=9.0),
        {"candidate": (evaluation(latency=latency(rounds=5, p50_low=None, p50_high=None)),)},
        Outcome.INCONCLUSIVE,
        Reason.TOO_FEW_ROUNDS,
    ),
    ("ratio kept", RATIO, {"latency": ratio(0.9, 1.19)}, Outcome.PASS, KEPT),
    ("ratio broken", RATIO, {"latency": ratio(1.21, 1.3)}, Outcome.FAIL, BROKEN),
    ("ratio unclear", RATIO, {"latency": ratio(1.1, 1.21)}, UNSURE, AMONG),
    ("ratio of too few rounds", RATIO, {"latency": ratio(None, None)}, UNSURE, Reason.TOO_FEW_ROUNDS),
    (
        "ratio of a file to itself",
        RATIO,
        {"latency": LatencyRatio(rounds=20, ratio=1.3, low=1.25, high=1.4, identical=True)},
        Outcome.PASS,
        Reason.IDENTICAL,
    ),
    ("ratio of a new model", RATIO, {"baseline_problem": Problem.of(Reason.NEW_MODEL)}, UNSURE, Reason.NEW_MODEL),
    (
        "ratio to a baseline that could not be had",
        RATIO,
        {"baseline_problem": Problem.of(Reason.BASELINE_UNREACHABLE)},
        Outcome.ERROR,
        Reason.BASELINE_UNREACHABLE,
    ),
    ("ratio that nobody measured", RATIO, {}, Outcome.ERROR, Reason.METRIC_UNDEFINED),
    ("excess kept", EXCESS, {"flips": flips(0.2, excess(-0.01, 0.009))}, Outcome.PASS, Reason.WITHIN_MARGIN),
    ("excess broken", EXCESS, {"flips": flips(0.2, excess(0.011, 0.03))}, Outcome.FAIL, Reason.REGRESSION),
    ("excess unclear", EXCESS, {"flips": flips(0.2, excess(0.0, 0.03))}, UNSURE, Reason.MARGIN_INSIDE_INTERVAL),
    (
        "excess of models that predict the same",
        EXCESS,
        {"flips": flips(0.0, excess(0.0, 0.0, method=Method.IDENTICAL))},
        Outcome.PASS,
        Reason.IDENTICAL,
    ),
    ("excess of too few seeds", EXCESS, {"flips": flips(0.0)}, UNSURE, Reason.TOO_FEW_SEEDS),
    ("excess of a new model", EXCESS, {"baseline_problem": Problem.of(Reason.NEW_MODEL)}, UNSURE, Reason.NEW_MODEL),
    (
        "excess over a baseline that could not be had",
        EXCESS,
        {"baseline_problem": Problem.of(Reason.BASELINE_LOST)},
        Outcome.ERROR,
        Reason.BASELINE_LOST,
    ),
    (
        "latency not measured",
        Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=9.0),
        {"candidate": (evaluation(latency=None),)},
        Outcome.ERROR,
        Reason.METRIC_UNDEFINED,
    ),
    (
        "any seed that crashed",
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.5),
        {"candidate": (evaluation(), evaluation(seed=1, problem=PROBLEM))},
        Outcome.ERROR,
        Reason.NOT_FINITE,
    ),
    (
        "no model at all",
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.5),
        {"candidate": ()},
        Outcome.ERROR,
        Reason.MODEL_MISSING,
    ),
    (
        "the whole evaluation impossible",
        Gate(metric="size_mb", bound=Bound.MAX, limit=5.0),
        {"problem": Problem.of(Reason.EMPTY_HOLDOUT, detail="no rows")},
        Outcome.ERROR,
        Reason.EMPTY_HOLDOUT,
    ),
]


@pytest.mark.parametrize(("gate", "changes", "outcome", "reason"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_gate(gate: Gate, changes: dict[str, Any], outcome: Outcome, reason: Reason) -> None:
    assert judged(gate, **changes) == (outcome, reason, Outcome.INCONCLUSIVE if gate.only_warns else outcome)


def test_a_gap_with_a_small_slice_is_shown_and_does_not_block() -> None:
    gap = Gate(metric="gap@recall", bound=Bound.MAX, limit=0.1)
    wide = evaluation(scores=(Score(metric="gap@recall", rows=1000, value=0.3),))
    assert judged(gap, candidate=(wide,))[:2] == (Outcome.FAIL, Reason.ABOVE_MAXIMUM)
    few = judged(gap, candidate=(wide,), small_gaps=frozenset({"gap@recall"}))
    assert few[:2] == (Outcome.INCONCLUSIVE, Reason.SLICE_TOO_SMALL)


def test_a_small_slice_is_shown_and_does_not_block() -> None:
    gates = (
        Gate(metric="recall", slice="women", bound=Bound.MIN, limit=0.15),
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9),
    )
    evidence = Evidence(model="m", gates=gates, candidate=(evaluation(),), small_slices=frozenset({"women"}))
    verdict = decide(COMMITS, [evidence])
    small = verdict.models[0].gates[0]
    assert (small.outcome, small.reason, small.counts) == (Outcome.INCONCLUSIVE, Reason.SLICE_TOO_SMALL, False)
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("low", "high", "outcome", "counts"),
    [
        (-0.14, -0.077, Outcome.FAIL, True),
        (-0.01, 0.02, Outcome.PASS, True),
        (-0.05, 0.01, Outcome.INCONCLUSIVE, False),
    ],
)
def test_a_small_slice_counts_where_its_interval_decides(
    low: float, high: float, outcome: Outcome, *, counts: bool
) -> None:
    """A drop of 0.108 beside a margin of 0.02 was "shown only", for want of rows."""
    gate = Gate(metric="recall", slice="women", bound=Bound.MAX_REGRESSION, limit=0.02)
    found = comparison(low, high, metric="recall", slice="women", p_value=0.001 if outcome is Outcome.FAIL else 0.5)
    small = Evidence(
        model="m",
        gates=(gate,),
        candidate=(evaluation(),),
        comparisons=(found,),
        small_slices=frozenset({"women"}),
    )
    result = decide(COMMITS, [small]).models[0].gates[0]
    assert (result.outcome, result.counts) == (outcome, counts)


def test_a_small_slice_that_is_called_like_a_metric_says_nothing_of_the_metric() -> None:
    gate = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005)
    open_ = {"candidate": (evaluation(),), "comparisons": (comparison(-0.01, 0.01),)}
    assert judged(gate, **open_, small_slices=frozenset({"roc_auc"}))[1] is Reason.MARGIN_INSIDE_INTERVAL


def test_an_empty_slice_is_no_small_one() -> None:
    problem = Problem(reason=Reason.EMPTY_SLICE, detail="No row is in it.")
    scores = (Score(metric="recall", slice="women", rows=0, problem=problem),)
    gate = Gate(metric="recall", slice="women", bound=Bound.MIN, limit=0.9)
    found = judged(gate, candidate=(evaluation(scores=scores),), small_slices=frozenset({"women"}))
    assert found == (Outcome.ERROR, Reason.EMPTY_SLICE, Outcome.ERROR)


def test_when_nothing_counts_nothing_was_shown() -> None:
    gate = Gate(metric="recall", slice="women", bound=Bound.MIN, limit=0.1)
    assert judged(gate, small_slices=frozenset({"women"})) == (
        Outcome.INCONCLUSIVE,
        Reason.SLICE_TOO_SMALL,
        Outcome.INCONCLUSIVE,
    )


def test_a_gate_that_only_warns_does_not_block() -> None:
    gates = (
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.99, blocking=False),
        Gate(metric="log_loss", bound=Bound.MAX, limit=0.5),
    )
    verdict = decide(COMMITS, [Evidence(model="m", gates=gates, candidate=(evaluation(),))])
    assert verdict.models[0].gates[0].outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(
    "gate",
    [
        Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03),
        Gate(metric="latency_p95_ms", bound=Bound.MAX, limit=1.0),
    ],
)
def test_what_noise_decides_is_shown_and_never_blocks(gate: Gate) -> None:
    gates = (gate, Gate(metric="log_loss", bound=Bound.MAX, limit=0.5))
    verdict = decide(COMMITS, [Evidence(model="m", gates=gates, candidate=(evaluation(),), flips=flips(0.5))])
    shown = verdict.models[0].gates[0]
    assert (shown.outcome, shown.counts) == (Outcome.FAIL, False)
    assert verdict.outcome is Outcome.PASS


def test_excess_flips_are_in_holms_family() -> None:
    """p = 0.03 fails alone and is not kept beside a margin with p = 0.04."""
    found = flips(0.2, excess(0.011, 0.03, p_value=0.03))
    alone = Evidence(model="a", gates=(EXCESS,), candidate=(evaluation(),), flips=found)
    assert decide(COMMITS, [alone]).reason is Reason.REGRESSION
    beside = alone.model_copy(
        update={"gates": (EXCESS, MARGIN), "comparisons": (comparison(-0.02, -0.006, p_value=0.04),)}
    )
    reasons = [gate.reason for gate in decide(COMMITS, [beside]).models[0].gates]
    assert reasons == [Reason.DROPPED_BY_HOLM] * 2


def test_too_few_seeds_for_flips_say_how_many_there_are() -> None:
    evidence = Evidence(model="m", gates=(EXCESS,), candidate=(evaluation(),), flips=flips(0))
    problem = decide(COMMITS, [evidence]).models[0].gates[0].problem
    assert problem is not None
    assert "three of its seeds and two of the candidate's; there are 2 and 2" in problem.detail
    assert problem.hint == "Set `seeds: 3` or more under `train`."


def test_a_model_without_gates_cannot_pass() -> None:
    verdict = decide(COMMITS, [Evidence(model="m", gates=(), candidate=(evaluation(),))])
    assert (verdict.outcome, verdict.reason) == (Outcome.ERROR, Reason.NO_GATES)


def test_a_deleted_model_needs_a_person() -> None:
    verdict = decide(COMMITS, [Evidence(model="m", gates=(MARGIN,), deleted=True)])
    assert (verdict.outcome, verdict.reason) == (Outcome.FAIL, Reason.MODEL_DELETED)


def test_nothing_stale_passes_and_says_so() -> None:
    verdict = decide(COMMITS, [])
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, Reason.NOTHING_STALE)


def test_the_verdict_binds_to_the_first_seeds_file() -> None:
    other = "sha256:" + "1" * 64
    evidence = Evidence(model="m", gates=(MARGIN,), candidate=(evaluation(), evaluation(seed=1, digest=other)))
    assert decide(COMMITS, [evidence]).models[0].digest == DIGEST


def test_holm_runs_over_the_margins_of_all_models() -> None:
    """p = 0.03 fails alone and is not kept beside a second margin with p = 0.04."""
    drop = {"low": -0.02, "high": -0.006}
    alone = Evidence(
        model="a", gates=(MARGIN,), candidate=(evaluation(),), comparisons=(comparison(**drop, p_value=0.03),)
    )
    beside = alone.model_copy(update={"model": "b", "comparisons": (comparison(**drop, p_value=0.04),)})
    assert decide(COMMITS, [alone]).outcome is Outcome.FAIL
    both = decide(COMMITS, [alone, beside])
    assert [m.gates[0].reason for m in both.models] == [Reason.DROPPED_BY_HOLM] * 2
    assert both.outcome is Outcome.INCONCLUSIVE


def test_a_margin_that_only_warns_is_not_in_holms_family() -> None:
    """p = 0.03 fails although a second margin, which only warns, has p = 0.04."""
    warning = Gate(metric="log_loss", bound=Bound.MAX_REGRESSION, limit=0.005, blocking=False)
    drop = {"low": -0.02, "high": -0.006}
    comparisons = (
        comparison(**drop, p_value=0.03),
        comparison(**drop, p_value=0.04, metric="log_loss"),
    )
    evidence = Evidence(model="m", gates=(MARGIN, warning), candidate=(evaluation(),), comparisons=comparisons)
    assert decide(COMMITS, [evidence]).reason is Reason.REGRESSION


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ([0.02, 0.03], [True, True]),
        ([0.03, 0.02], [True, True]),
        ([0.03, 0.04], [False, False]),
        ([0.01, 0.04, 0.03], [True, False, False]),
        ([0.025, 0.05], [True, True]),
    ],
)
def test_holm_steps_down_and_stops(p_values: list[float], rejected: list[bool]) -> None:
    assert holm_rejects(p_values) == rejected


def test_error_outranks_fail_outranks_inconclusive() -> None:
    error = Evidence(model="e", gates=(MARGIN,), candidate=())
    fail = Evidence(model="f", gates=(Gate(metric="roc_auc", bound=Bound.MIN, limit=0.99),), candidate=(evaluation(),))
    unsure = Evidence(model="i", gates=(MARGIN,), candidate=(evaluation(),))
    passing = Evidence(
        model="p", gates=(Gate(metric="roc_auc", bound=Bound.MIN, limit=0.5),), candidate=(evaluation(),)
    )
    assert decide(COMMITS, [passing, unsure, fail, error]).outcome is Outcome.ERROR
    assert decide(COMMITS, [passing, unsure, fail]).outcome is Outcome.FAIL
    assert decide(COMMITS, [passing, unsure]).outcome is Outcome.INCONCLUSIVE
    assert decide(COMMITS, [passing]).outcome is Outcome.PASS
    assert worst(()) is Outcome.ERROR


@pytest.mark.parametrize(("limit", "expected"), [(0.004, True), (0.0039, False)])
def test_a_margin_is_judgeable_where_three_of_it_are_noticed(limit: float, *, expected: bool) -> None:
    gate = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=limit)
    found = Evidence(
        model="m", gates=(gate,), candidate=(evaluation(),), comparisons=(comparison(-0.1, 0.1, mde=0.012),)
    )
    result = decide(COMMITS, [found]).models[0].gates[0]
    assert (result.judgeable, result.mde, result.family) == (expected, 0.012, 1)


def test_what_is_noticed_is_not_said_of_fewer_margins_than_holm_adjusts_for() -> None:
    """ "19 times out of 20" was computed as if there were one gate, and was true in 34 of 100 with ten."""
    found = [margins(2, mde=0.01, family=2), margins(3, mde=0.01, family=5)]
    first, second = decide(COMMITS, found).models
    assert {(each.family, each.mde) for each in first.gates} == {(5, None)}
    assert {(each.family, each.mde) for each in second.gates} == {(5, 0.01)}


def margins(count: int, **figures: Any) -> Evidence:
    """A model with some margins, all open."""
    gates = tuple(Gate(metric=f"m{n}", bound=Bound.MAX_REGRESSION, limit=0.005) for n in range(count))
    found = tuple(comparison(-0.1, 0.1, metric=gate.metric, p_value=0.5, **figures) for gate in gates)
    return Evidence(model="m", gates=gates, candidate=(evaluation(),), comparisons=found)


probabilities = st.lists(st.floats(0, 1), max_size=30)


@settings(max_examples=examples(25))  # statsmodels takes a tenth of a second for each
@given(probabilities)
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    expected = list(multipletests(p_values, alpha=0.05, method="holm")[0]) if p_values else []
    assert holm_rejects(p_values) == expected


@given(low=st.floats(-1, 1), width=st.floats(0, 1), margin=st.floats(0, 0.5))
def test_a_wider_margin_never_turns_a_pass_into_anything_else(low: float, width: float, margin: float) -> None:
    order = [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS]
    ranks = []
    for limit in (margin, margin * 2 + 0.01):
        gate = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=limit)
        outcome, _, _ = judged(gate, comparisons=(comparison(low, low + width, p_value=0.0),))
        ranks.append(order.index(outcome))
    assert ranks[0] <= ranks[1]


def test_a_figure_without_a_value_can_be_waived_and_what_was_not_looked_for_cannot() -> None:
    def result(problem: Problem) -> GateResult:
        return GateResult(gate=MARGIN, outcome=Outcome.ERROR, reason=problem.reason, problem=problem)

    assert may_be_waived(result(UNDEFINED))
    not_looked_for = Problem.of(Reason.METRIC_UNDEFINED, "not-computed", subject="f1")
    assert not any(map(may_be_waived, map(result, (not_looked_for, PROBLEM, Problem.of(Reason.METRIC_UNDEFINED)))))
    assert not may_be_waived(result(UNDEFINED).model_copy(update={"counts": False}))


def test_a_confident_gate_on_a_value_without_an_interval_is_undecided() -> None:
    score = Score(metric="roc_auc", rows=1000, value=0.99)
    gate = Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9, confident=True)
    for each, outcome in ((gate, Outcome.INCONCLUSIVE), (gate.model_copy(update={"confident": False}), Outcome.PASS)):
        assert judged(each, candidate=(evaluation(scores=(score,)),))[0] is outcome


def test_what_lacks_is_asked_of_the_side_that_lacks_it() -> None:
    """Beside two equal seeds of one side, three of both are not what is missing."""
    lone = comparison(-0.01, 0.01, method=Method.SEED_VARIANCE_UNKNOWN)
    facts: dict[str, Any] = {"model": "m", "candidate": (evaluation(),), "comparisons": (lone,), "flips": flips(0.0)}
    asked = {}
    for side in ("candidate", "baseline", None):
        other = {"candidate": "baseline", "baseline": "candidate"}.get(side or "")
        seeds = Seeds.model_validate({f"{other}_deterministic": True} if other else {})
        found = decide(COMMITS, [Evidence(**facts, gates=(MARGIN, EXCESS), seeds=seeds)]).models[0].gates
        asked[side] = [each.problem.cause if each.problem else None for each in found]
        assert [each.reason for each in found] == [Reason.SEED_VARIANCE_UNKNOWN, Reason.TOO_FEW_SEEDS]
    assert asked == {
        "candidate": ["one-side", "flips-candidate"],
        "baseline": ["one-side", "flips-baseline"],
        None: [None, "flips"],
    }
    assert "seeds: 2" in Problem.of(Reason.SEED_VARIANCE_UNKNOWN, "one-side", side="candidate").hint


def test_what_a_gate_can_notice_is_said_of_as_many_margins_as_it_was_computed_for() -> None:
    open_ = comparison(-0.01, 0.01, method=Method.RECIPE, mde=0.02, level=0.05)
    fields: dict[str, Any] = {"gates": (MARGIN,), "candidate": (evaluation(),)}
    for family, expected in ((1, None), (2, 0.02), (5, 0.02)):
        known = (open_.model_copy(update={"family": family, "p_value": 0.4}),)
        verdict = decide(COMMITS, [Evidence(model=name, comparisons=known, **fields) for name in ("a", "b")])
        assert [(each.gates[0].mde, each.gates[0].family) for each in verdict.models] == [(expected, 2)] * 2
    one = decide(COMMITS, [Evidence(model="a", comparisons=(open_.model_copy(update={"p_value": 0.4}),), **fields)])
    assert one.models[0].gates[0].mde == 0.02


ANCHOR_MARGIN = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.01)
(ANCHOR,) = anchor_gates([ANCHOR_MARGIN, EXCESS], ["roc_auc"])


def beside_anchor(found: Comparison | None, **changes: Any) -> Evidence:
    """A candidate that passes its own margin, and what it is beside the anchor."""
    model = AnchorModel(since=Since.FIRST, key=DIGEST)
    facts: dict[str, Any] = {"gates": ("roc_auc",), "comparisons": () if found is None else (found,)}
    side = AnchorSide(model=model, **(facts | changes.pop("side", {})))
    fields: dict[str, Any] = {"comparisons": (comparison(-0.001, 0.003),), "candidate": (evaluation(),)}
    return Evidence(model="m", gates=(ANCHOR_MARGIN, ANCHOR), anchors=(side,), **(fields | changes))


def anchored_comparison(low: float, high: float, **changes: Any) -> Comparison:
    return comparison(low, high, margin=ANCHOR_MARGIN.limit, **changes)


@pytest.mark.parametrize(
    ("found", "outcome", "reason", "counts"),
    [
        (anchored_comparison(-0.030, -0.001), Outcome.FAIL, Reason.BELOW_ANCHOR, True),
        (anchored_comparison(-0.040, 0.001), Outcome.PASS, Reason.WITHIN_ANCHOR, True),  # much, and perhaps nothing
        (anchored_comparison(-0.015, -0.013), Outcome.PASS, Reason.WITHIN_ANCHOR, True),  # surely, and not too much
        (anchored_comparison(0.001, 0.030), Outcome.PASS, Reason.ABOVE_ANCHOR, True),
        (anchored_comparison(0, 0, method=Method.IDENTICAL), Outcome.PASS, Reason.IDENTICAL, True),
        (
            anchored_comparison(-0.9, -0.8, method=Method.SEED_VARIANCE_UNKNOWN),
            Outcome.INCONCLUSIVE,
            Reason.SEED_VARIANCE_UNKNOWN,
            True,
        ),
        (
            comparison(0, 0, problem=Problem.of(Reason.NO_BASELINE_FIGURE)),
            Outcome.INCONCLUSIVE,
            Reason.NO_BASELINE_FIGURE,
            False,
        ),
        (comparison(0, 0, problem=UNDEFINED), Outcome.ERROR, Reason.METRIC_UNDEFINED, True),
        (
            anchored_comparison(-0.9, -0.8).model_copy(update={"low": None}),
            Outcome.ERROR,
            Reason.METRIC_UNDEFINED,
            True,
        ),
        (None, Outcome.ERROR, Reason.METRIC_UNDEFINED, True),
    ],
)
def test_what_a_margin_comes_to_beside_its_anchor(
    found: Comparison | None, outcome: Outcome, reason: Reason, *, counts: bool
) -> None:
    own, result = decide(COMMITS, [beside_anchor(found)]).models[0].gates
    assert (result.outcome, result.reason, result.counts) == (outcome, reason, counts)
    assert result.gate.name == "roc_auc.anchor"
    # It is no margin that Holm adjusts for, and takes nothing from the gate's own.
    assert (own.outcome, own.family, result.family) == (Outcome.PASS, 1, None)


def test_a_fault_of_the_anchors_files_is_an_error_and_a_slice_with_few_rows_only_shows_it() -> None:
    fault = Problem.of(Reason.ANCHOR_UNREACHABLE, "fault", why="503")
    _, result = decide(COMMITS, [beside_anchor(None, side={"problem": fault})]).models[0].gates
    assert (result.outcome, result.problem, may_be_waived(result)) == (Outcome.ERROR, fault, False)
    gates = [gate.model_copy(update={"slice": "women"}) for gate in (ANCHOR_MARGIN, ANCHOR)]
    lost = anchored_comparison(-0.9, -0.8, slice="women")
    small = beside_anchor(lost, side={"gates": ("roc_auc@women",)}, small_slices=frozenset({"women"}))
    verdict = decide(COMMITS, [small.model_copy(update={"gates": tuple(gates)})]).models[0]
    assert [each.counts for each in verdict.gates if each.gate.bound is Bound.ANCHOR] == [False]


def test_a_loss_against_an_anchor_that_is_the_baseline_is_asked_once() -> None:
    failing = comparison(-0.030, -0.020)
    evidence = beside_anchor(anchored_comparison(-0.030, -0.020), side={"baseline": True}, comparisons=(failing,))
    assert [each.gate.bound for each in decide(COMMITS, [evidence]).models[0].gates] == [Bound.MAX_REGRESSION]


def test_it_neither_starts_nor_ends_the_looks_at_more_seeds() -> None:
    seeds = Seeds(design=SeedDesign(looks=(2, 3, 5)), count=SeedCount(candidate=2, baseline=2))
    open_ = comparison(-0.020, 0.003, p_value=0.4)
    for found in (anchored_comparison(-0.030, -0.001), anchored_comparison(-0.001, 0.001)):
        undecided = decide(COMMITS, [beside_anchor(found, comparisons=(open_,), seeds=seeds)]).models[0]
        decided = decide(COMMITS, [beside_anchor(found, seeds=seeds)]).models[0]
        assert next_wave(undecided) is not None
        assert next_wave(decided) is None
