"""How many seeds are trained: the looks, their levels, and what is wanted next."""

from typing import Any

import pytest
from tests.support.ledger_samples import digest, entry

from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import SeedCount
from mlbot.verdict.seeds import Determinism, SeedDesign, Seeds, determinism, seeds_wanted
from mlbot.verdict.verdict import GateResult, ModelVerdict

SEQUENTIAL = SeedDesign(looks=(2, 3, 5))


@pytest.mark.parametrize(
    ("start", "most", "looks"),
    [(2, 5, (2, 3, 5)), (3, 5, (3, 5)), (2, 3, (2, 3)), (3, 3, (3,)), (1, 1, (1,)), (2, 8, (2, 3, 5, 8)), (4, 4, (4,))],
)
def test_looks_are_at_the_first_number_at_the_last_and_between(start: int, most: int, looks: tuple[int, ...]) -> None:
    assert SeedDesign.between(start, most).looks == looks


@pytest.mark.parametrize("most", [2, 3, 5, 7, 32])
def test_the_levels_of_all_looks_are_five_percent_together(most: int) -> None:
    assert sum(SeedDesign.between(2, most).levels) == pytest.approx(0.05)


def test_the_usual_looks_have_the_levels_that_were_simulated() -> None:
    assert SEQUENTIAL.levels == pytest.approx((0.01, 0.015, 0.025))
    assert SeedDesign().levels == (0.05,)


@pytest.mark.parametrize(
    ("design", "unknown", "likely"), [((2, 3, 5), 2, 2), ((3,), 3, 2), ((1,), 1, 1), ((5,), 5, 2), ((3, 5), 3, 2)]
)
def test_a_recipe_that_is_likely_to_be_deterministic_is_tried_with_two_seeds(
    design: tuple[int, ...], unknown: int, likely: int
) -> None:
    made = SeedDesign(looks=design)
    found = [made.first(known) for known in (Determinism.UNKNOWN, Determinism.LIKELY, Determinism.KNOWN)]
    assert found == [unknown, likely, 1]


@pytest.mark.parametrize(
    ("candidate", "known", "baseline"),
    [
        (3, Determinism.UNKNOWN, 3),
        (2, Determinism.LIKELY, 2),
        (3, Determinism.KNOWN, 1),
        (1, Determinism.KNOWN, 1),
        (1, Determinism.UNKNOWN, 3),  # one seed of it would leave open whether its seed matters
    ],
)
def test_a_baseline_gets_one_seed_where_it_is_known_to_be_deterministic(
    candidate: int, known: Determinism, baseline: int
) -> None:
    assert SeedDesign(looks=(3,)).beside(candidate, known) == baseline


def _verdict(*gates: tuple[Outcome, Reason], bound: Bound = Bound.MAX_REGRESSION, counts: bool = True) -> ModelVerdict:
    results = tuple(
        GateResult(gate=Gate(metric=f"m{n}", bound=bound, limit=0.01), outcome=outcome, reason=reason, counts=counts)
        for n, (outcome, reason) in enumerate(gates)
    )
    order = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
    worst = min((outcome for outcome, _ in gates), key=order.index)
    return ModelVerdict(model="m", outcome=worst, reason=gates[0][1], gates=results)


OPEN = (Outcome.INCONCLUSIVE, Reason.MARGIN_INSIDE_INTERVAL)
PASSED = (Outcome.PASS, Reason.WITHIN_MARGIN)
FAILED = (Outcome.FAIL, Reason.REGRESSION)


def _seeds(count: int, design: SeedDesign = SEQUENTIAL, **known: Any) -> Seeds:
    return Seeds(design=design, count=SeedCount(candidate=count, baseline=count), **known)


@pytest.mark.parametrize(("now", "following"), [(2, 3), (3, 5), (4, 5), (5, None), (6, None)])
def test_an_open_gate_wants_the_next_look(now: int, following: int | None) -> None:
    wanted = seeds_wanted(_seeds(now), _verdict(PASSED, OPEN))
    assert wanted == (None if following is None else SeedCount(candidate=following, baseline=following))


@pytest.mark.parametrize(
    "verdict",
    [
        _verdict(PASSED, PASSED),
        _verdict(FAILED, OPEN),
        _verdict((Outcome.ERROR, Reason.METRIC_UNDEFINED), OPEN),
        _verdict((Outcome.INCONCLUSIVE, Reason.NO_BASELINE)),
        _verdict((Outcome.INCONCLUSIVE, Reason.LIMIT_INSIDE_INTERVAL), bound=Bound.MIN),
    ],
)
def test_what_seeds_do_not_settle_wants_none(verdict: ModelVerdict) -> None:
    assert seeds_wanted(_seeds(2), verdict) is None


def test_a_fixed_number_is_a_fixed_number() -> None:
    assert seeds_wanted(_seeds(3, SeedDesign(looks=(3,))), _verdict(OPEN)) is None


def test_a_gate_that_does_not_count_wants_none() -> None:
    assert seeds_wanted(_seeds(2), _verdict(OPEN, counts=False)) is None


def test_a_side_that_is_deterministic_gets_no_seed_more() -> None:
    both = _seeds(2, candidate_deterministic=True, baseline_deterministic=True)
    assert seeds_wanted(both, _verdict(OPEN)) is None
    ours = _seeds(2, candidate_deterministic=True, baseline_deterministic=False)
    assert seeds_wanted(ours, _verdict(OPEN)) == SeedCount(candidate=2, baseline=3)
    theirs = _seeds(2, candidate_deterministic=False, baseline_deterministic=True)
    assert seeds_wanted(theirs, _verdict(OPEN)) == SeedCount(candidate=3, baseline=2)


@pytest.mark.parametrize(("design", "wanted"), [((3,), 3), ((1,), 2)])
def test_a_recipe_that_turns_out_to_need_its_seeds_gets_them_whatever_the_first_ones_say(
    design: tuple[int, ...], wanted: int
) -> None:
    first = SeedDesign(looks=design)
    seeds = _seeds(first.first(Determinism.LIKELY), first, likely=True)
    for verdict in (_verdict(OPEN), _verdict(PASSED), _verdict(FAILED)):
        assert seeds_wanted(seeds, verdict) == SeedCount(candidate=wanted, baseline=wanted)
    assert seeds_wanted(seeds, _verdict((Outcome.ERROR, Reason.TRAINING_FAILED))) is None
    known = seeds.model_copy(update={"candidate_deterministic": True, "baseline_deterministic": True})
    assert seeds_wanted(known, _verdict(OPEN)) is None


OTHER, SAME = digest(8), digest(9)


@pytest.mark.parametrize(
    ("past", "key", "expected"),
    [
        ((), 1, "unknown"),
        (({"deterministic": None, "recipe": SAME},), 1, "unknown"),  # older entries, and one seed
        (({"deterministic": True, "recipe": OTHER},), 1, "known"),  # the very content
        (({"deterministic": True, "recipe": SAME},), 2, "known"),  # other data, the same recipe
        (({"deterministic": True, "recipe": OTHER},), 2, "likely"),  # another recipe of the model
        (({"deterministic": True, "recipe": None},), 2, "likely"),
        (({"deterministic": False, "recipe": SAME},), 2, "unknown"),
        (({"deterministic": True, "recipe": SAME}, {"deterministic": False, "recipe": SAME}), 2, "unknown"),  # newest
        (({"deterministic": False, "recipe": OTHER}, {"deterministic": True, "recipe": OTHER}), 2, "likely"),
        (({"deterministic": True, "recipe": OTHER}, {"deterministic": False, "recipe": OTHER}), 2, "unknown"),
        (({"deterministic": True, "recipe": SAME}, {"deterministic": None, "recipe": SAME}), 2, "known"),
        (({"deterministic": True, "recipe": SAME, "model": "other"},), 1, "unknown"),
    ],
)
def test_what_the_ledger_knows_of_a_recipes_seed(past: tuple[dict[str, Any], ...], key: int, expected: str) -> None:
    """The entries in the order in which they were written, of content 1; asked about another content of SAME or it."""
    entries = [entry(run=run).model_copy(update=fields) for run, fields in enumerate(past, start=1)]
    assert determinism(entries, "adult-income", digest(key), SAME) == expected
    assert determinism(reversed(entries), "adult-income", digest(key), SAME) == expected
