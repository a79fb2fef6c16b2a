"""Looks at two, three and five seeds: what is kept, what ends them, and a reference of another layout."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mlbot.gates.metric import Bound, Direction, Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import SeedCount
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.seeds import SeedDesign, Seeds, seeds_wanted
from mlbot.verdict.verdict import Commits, Comparison, Evaluation, Look, Method

COMMITS = Commits(head="a" * 40, base="b" * 40, policy="c" * 40, guarded="main")
DESIGN = SeedDesign.between(2, 5)
MARGIN, DF = 1.0, 8.0
Array = npt.NDArray[np.float64]


def look(drop: float, error: float, number: int) -> dict[str, Any]:
    """A look with a normal-looking t interval, as the judge writes it: change is minus the drop."""
    level = DESIGN.levels[number]
    half = float(stats.t.ppf(1 - level, DF)) * error
    return {
        "seeds": DESIGN.looks[number],
        "level": level,
        "change": -drop,
        "low": -drop - half,
        "high": -drop + half,
        "standard_error": error,
        "df": DF,
        "method": Method.RECIPE,
        "p_value": float(stats.t.sf((drop - MARGIN) / error, DF)),
    }


def evidence(drops: Array, errors: Array) -> Evidence:
    """A model with a gate a row, and a look a column."""
    gates, comparisons = [], []
    for gate, (of_looks, spreads) in enumerate(zip(drops, errors, strict=True)):
        *earlier, last = [look(float(d), float(e), k) for k, (d, e) in enumerate(zip(of_looks, spreads, strict=True))]
        gates.append(Gate(metric=f"m{gate}", bound=Bound.MAX_REGRESSION, limit=MARGIN))
        comparisons.append(
            Comparison(
                metric=f"m{gate}",
                direction=Direction.HIGHER,
                rows=1000,
                margin=MARGIN,
                earlier=tuple(Look(**each) for each in earlier),
                **last,
            )
        )
    seeds = DESIGN.looks[drops.shape[1] - 1]
    return Evidence(
        model="m",
        gates=tuple(gates),
        candidate=tuple(Evaluation(digest="sha256:" + "0" * 64, seed=seed) for seed in range(seeds)),
        comparisons=tuple(comparisons),
        seeds=Seeds(design=DESIGN, count=SeedCount(candidate=seeds, baseline=seeds)),
    )


def judged(drops: list[list[float]], errors: float | list[list[float]] = 0.1) -> tuple[list[str], int | None]:
    """Each gate's outcome, and how many seeds are wanted next."""
    values = np.array(drops)
    found = evidence(values, np.broadcast_to(np.array(errors), values.shape))
    model = decide(COMMITS, [found]).models[0]
    assert model.seeds is not None
    wanted = seeds_wanted(model.seeds, model)
    return [str(result.outcome) for result in model.gates], wanted.candidate if wanted else None


def test_a_pass_is_kept_and_its_figures_are_those_that_decided() -> None:
    assert judged([[0.2], [1.0]]) == (["pass", "inconclusive"], 3)
    assert judged([[0.2, 1.2], [1.0, 1.0]]) == (["pass", "inconclusive"], 5)
    assert judged([[0.2, 1.2, 9.0], [1.0, 1.0, 0.2]]) == (["pass", "pass"], None)
    kept = decide(COMMITS, [evidence(np.array([[0.2, 1.2]]), np.full((1, 2), 0.1))]).models[0].gates[0]
    assert (kept.seeds, kept.value) == (2, -0.2)
    assert kept.level == pytest.approx(0.01)


def test_a_fail_ends_the_looks() -> None:
    assert judged([[9.0, 0.0], [1.0, 1.0]]) == (["fail", "inconclusive"], None)
    failed = decide(COMMITS, [evidence(np.array([[1.0, 9.0, 0.0], [1.0, 1.0, 0.0]]), np.full((2, 3), 0.1))]).models[0]
    assert [(each.outcome, each.seeds) for each in failed.gates] == [(Outcome.FAIL, 3), (Outcome.INCONCLUSIVE, 3)]


def test_what_is_open_at_the_last_look_is_inconclusive() -> None:
    assert judged([[1.0, 1.0, 1.0]]) == (["inconclusive"], None)


def test_a_look_is_judged_at_its_own_level() -> None:
    """A drop with p = .02 fails at the third look of one gate, and neither at the first nor with two gates."""
    drop = MARGIN + 0.1 * float(stats.t.isf(0.02, DF))
    assert judged([[drop]]) == (["inconclusive"], 3)
    assert judged([[1.0, 1.0, drop]]) == (["fail"], None)
    assert judged([[1.0, 1.0, drop], [1.0, 1.0, 1.0]]) == (["inconclusive", "inconclusive"], None)
    two = decide(COMMITS, [evidence(np.array([[1.0, 1.0, drop], [1.0, 1.0, 1.0]]), np.full((2, 3), 0.1))]).models[0]
    assert two.gates[0].reason is Reason.DROPPED_BY_HOLM


def test_models_that_reach_their_looks_apart_are_one_family() -> None:
    """Beside three more margins, a p of .004 at the level of .01 is dropped; alone it is kept."""
    drop = MARGIN + 0.1 * float(stats.t.isf(0.004, DF))
    ours = evidence(np.array([[drop]]), np.full((1, 1), 0.1))
    theirs = evidence(np.full((3, 3), 1.0), np.full((3, 3), 0.1))
    assert decide(COMMITS, [ours]).outcome is Outcome.FAIL
    assert decide(COMMITS, [ours, theirs]).outcome is Outcome.INCONCLUSIVE


def reference(drops: Array, errors: Array) -> list[str]:
    """The sequential rule by brute force: one row a gate, one column a look, numpy and scipy's t alone."""
    gates, looks = drops.shape
    state = np.array(["open"] * gates, dtype="<U12")
    for k in range(looks):
        alpha = (0.01, 0.015, 0.025)[k]
        t = (drops[:, k] - MARGIN) / errors[:, k]
        p_fail, p_pass = 1 - stats.t.cdf(t, DF), stats.t.cdf(t, DF)
        p_fail = np.where(state == "pass", 1.0, p_fail)
        state[(state == "open") & (p_pass < alpha)] = "pass"
        order = np.argsort(np.where(state == "pass", 1.0, p_fail), kind="stable")
        for rank, gate in enumerate(order):
            if p_fail[gate] > alpha / (gates - rank) or state[gate] == "pass":
                break
            state[gate] = "fail"
        if (state == "fail").any():
            break
    return ["inconclusive" if each == "open" else str(each) for each in state]


@pytest.mark.parametrize("gates", [1, 2, 5, 12])
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_the_rule_is_that_of_the_reference(gates: int, looks: int) -> None:
    rng = np.random.default_rng(100 * gates + looks)
    seen: set[str] = set()
    for _ in range(60):
        errors = rng.uniform(0.05, 0.4, (gates, looks))
        drops = MARGIN + rng.normal(0, 0.8, (gates, looks)) * rng.choice([0.2, 1.0, 2.0])
        found = [str(each.outcome) for each in decide(COMMITS, [evidence(drops, errors)]).models[0].gates]
        assert found == reference(drops, errors)
        seen |= set(found)
    assert seen == {"pass", "fail", "inconclusive"}
