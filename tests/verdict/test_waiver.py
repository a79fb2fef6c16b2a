"""Waivers: what they bind to, and what they never touch."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import report_parts as parts
from tests.support.config_texts import SMALL, parse
from tests.support.waiver_samples import KEY, MARGIN, MAX, MIN, POLICY, evidence, judged

from mlbot.config.schema import Model, OnInconclusive, Waivers
from mlbot.events.github import Role
from mlbot.gates.metric import Bound, Direction, Gate, Metric, Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib.record import Digest
from mlbot.lib.tree import Tree
from mlbot.verdict.decide import decide, may_waive, named, policy_digest, removal_digest, unwaived
from mlbot.verdict.verdict import Problem


def test_a_failed_gate_that_was_waived_passes_and_says_so() -> None:
    given_ = parts.waiver("roc_auc.min")
    verdict = judged(evidence(), given_)
    assert (verdict.outcome, verdict.reason, verdict.standing) == (Outcome.PASS, Reason.WAIVED, "waived")
    assert verdict.waivers == (given_,)
    gate, other = verdict.models[0].gates
    assert (gate.outcome, gate.reason, gate.standing) == (Outcome.PASS, Reason.WAIVED, "waived")
    assert gate.waived is not None
    assert (gate.waived.outcome, gate.waived.reason) == (Outcome.FAIL, Reason.BELOW_MINIMUM)
    assert (other.standing, other.waived) == ("pass", None)
    assert verdict.models[0].digest == parts.digest(7)


def test_an_undecided_gate_can_be_waived() -> None:
    unsure = evidence(MARGIN, comparisons=(), baseline_problem=Problem.of(Reason.NO_BASELINE, detail="None."))
    assert judged(unsure).outcome is Outcome.INCONCLUSIVE
    verdict = judged(unsure, parts.waiver("roc_auc.max_regression"))
    assert verdict.reason is Reason.WAIVED
    assert unwaived(verdict.models[0].gates[0]).reason is Reason.NO_BASELINE


def test_another_gate_that_fails_still_fails_and_the_waiver_stands_beside_it() -> None:
    verdict = judged(evidence(MIN, MARGIN), parts.waiver("roc_auc.min"))
    assert (verdict.outcome, verdict.reason) == (Outcome.FAIL, Reason.REGRESSION)
    assert [gate.standing for gate in verdict.models[0].gates] == ["waived", "fail"]
    assert len(verdict.waivers) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": "roc_auc.max"},
        {"gate": "roc_auc"},
        {"gate": "log_loss.max"},
        {"gate": "deleted"},
        {"model": "churn"},
        {"key": parts.digest(2)},
        {"policy": parts.digest(4)},
        {"branch": "dev"},
    ],
    ids=str,
)
def test_a_waiver_of_something_else_changes_nothing(changes: dict[str, Any]) -> None:
    assert judged(evidence(), parts.waiver(**({"gate": "roc_auc.min"} | changes))) == judged(evidence())


@pytest.mark.parametrize("unknown", ["key", "policy"])
def test_without_knowing_what_it_binds_to_none_holds(unknown: str) -> None:
    assert judged(evidence(**{unknown: None}), parts.waiver("roc_auc.min")).outcome is Outcome.FAIL


def test_a_gate_that_passes_needs_no_waiver() -> None:
    verdict = judged(evidence(MAX), parts.waiver("log_loss.max"))
    assert (verdict.reason, verdict.waivers) == (Reason.ALL_GATES_PASS, ())


@pytest.mark.parametrize("counts", [{"blocking": False}, {"slice": "women"}])
def test_what_does_not_count_is_not_waived(counts: dict[str, Any]) -> None:
    shown = MIN.model_copy(update=counts)
    verdict = judged(evidence(shown, MAX, small_slices=frozenset({"women"})), parts.waiver(shown.name))
    assert (verdict.reason, verdict.waivers) == (Reason.ALL_GATES_PASS, ())


def test_an_error_is_never_waived() -> None:
    missing = Gate(metric="f1", bound=Bound.MIN, limit=0.0)
    assert judged(evidence(missing), parts.waiver("f1.min")).outcome is Outcome.ERROR


def test_a_model_that_could_not_be_evaluated_is_never_waived() -> None:
    problem = Problem.of(Reason.TRAINING_FAILED, detail="It crashed.")
    assert judged(evidence(problem=problem), parts.waiver("roc_auc.min")).outcome is Outcome.ERROR


def test_a_model_without_gates_is_never_waived() -> None:
    assert judged(evidence().model_copy(update={"gates": ()}), parts.waiver("deleted")).outcome is Outcome.ERROR


def test_a_model_that_is_gone_passes_by_a_waiver_of_its_removal() -> None:
    gone = evidence(deleted=True, gates=())
    assert judged(gone).reason is Reason.MODEL_DELETED
    verdict = judged(gone, parts.waiver("deleted"))
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, Reason.WAIVED)
    assert verdict.models[0].key is None
    assert [each.gate for each in verdict.waivers] == ["deleted"]
    assert judged(gone, parts.waiver("roc_auc.min")).outcome is Outcome.FAIL


def test_of_several_the_oldest_word_is_shown() -> None:
    first, second = parts.waiver("roc_auc.min", comment=5, actor="lea"), parts.waiver("roc_auc.min", comment=6)
    assert judged(evidence(), second, first).waivers == (first,)


def test_a_waived_gate_stays_in_the_family_that_holm_adjusts_for() -> None:
    """p = 0.03 fails alone, and is not kept beside a second margin, waived or not."""
    one = evidence(MARGIN)
    one = one.model_copy(update={"comparisons": (one.comparisons[0].model_copy(update={"p_value": 0.03}),)})
    two = one.model_copy(update={"model": "churn"})
    held = parts.waiver("roc_auc.max_regression", model="churn")
    verdict = decide(parts.COMMITS, [one, two], [held])
    assert verdict.models[0].gates[0].reason is Reason.DROPPED_BY_HOLM
    assert verdict.models[1].standing == "waived"
    assert verdict.outcome is Outcome.INCONCLUSIVE


GATES = st.sampled_from([MIN, MAX, MARGIN, Gate(metric="f1", bound=Bound.MIN, limit=0.1)])
WAIVERS = st.builds(
    parts.waiver,
    st.sampled_from(["roc_auc.min", "roc_auc.max_regression", "log_loss.max", "f1.min", "deleted", "roc_auc"]),
    model=st.sampled_from(["adult-income", "churn"]),
    key=st.sampled_from([KEY, parts.digest(2)]),
    policy=st.sampled_from([POLICY, parts.digest(4)]),
)
PROBLEMS = st.sampled_from([None, None, Problem.of(Reason.MODEL_REFUSED, detail="A pickle.")])


@given(
    gates=st.lists(GATES, unique=True, max_size=4),
    waivers=st.lists(WAIVERS, max_size=6),
    problem=PROBLEMS,
    deleted=st.booleans(),
)
def test_waivers_touch_only_what_they_name_and_never_an_error(
    gates: list[Gate], waivers: list[WaiverEntry], problem: Problem | None, *, deleted: bool
) -> None:
    found = [
        evidence(problem=problem, deleted=deleted).model_copy(update={"gates": tuple(gates), "model": model})
        for model in ("adult-income", "churn")
    ]
    without, with_ = decide(parts.COMMITS, found), decide(parts.COMMITS, found, waivers)
    bound = {(each.model, each.gate) for each in waivers if (each.key, each.policy) == (KEY, POLICY)}
    for before, after in zip(without.models, with_.models, strict=True):
        for was, now in zip(before.gates, after.gates, strict=True):
            assert unwaived(now) == was
            if now != was:
                assert was.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}
                assert (before.model, was.gate.name) in bound
        if before.outcome is Outcome.ERROR:
            assert after.outcome is Outcome.ERROR
        if after.waived:
            assert deleted
            assert (after.model, "deleted") in bound
        assert (after.reason is Reason.WAIVED) == (after.outcome is Outcome.PASS and bool(after.waivers))
    assert (with_.outcome is Outcome.ERROR) == (without.outcome is Outcome.ERROR)
    assert {(each.key, each.policy) for each in with_.waivers} <= {(KEY, POLICY)}


def model(**changes: Any) -> Model:
    return parse(SMALL).models[0].model_copy(update=changes)


TREE = Tree({"metrics.py": ("100644", "1" * 40), "train.py": ("100644", "2" * 40)})
OWN = Metric(name="profit", direction=Direction.HIGHER, function="metrics:profit", tasks=frozenset(Task))


def digest_of(
    model_: Model, tree: Tree = TREE, rows: Digest = POLICY, inconclusive: OnInconclusive | None = None
) -> Digest:
    return policy_digest(model_, inconclusive or OnInconclusive(), tree, rows)


def test_the_rules_are_the_same_wherever_nothing_of_them_changed() -> None:
    same = model(train=model().train.model_copy(update={"run": "make other", "seeds": 7}), name="renamed")
    elsewhere = Tree({"train.py": ("100644", "9" * 40), "new.txt": ("100644", "3" * 40)})
    assert digest_of(model()) == digest_of(same) == digest_of(model(), elsewhere)
    swapped = model(gates=tuple(reversed(model().gates)), metrics=tuple(reversed(model().metrics)))
    assert digest_of(swapped) == digest_of(model())
    moved = model(data=model().data.model_copy(update={"holdout": "other/place.csv"}))
    assert digest_of(moved) == digest_of(model()), "rows count by their content"


def test_every_process_comes_to_the_same_digest() -> None:
    """Sets have another order in each process; and the ledger of last year has to be understood."""
    found = digest_of(model(metrics=(*model().metrics, OWN)))
    assert found == "sha256:7521c9d536e219195dee6c1623ba68408e801887392dc2b505de02696698a654"


@pytest.mark.parametrize(
    "changed",
    [
        model(task=Task.REGRESSION),
        model(gates=(*model().gates, MAX)),
        model(gates=(model().gates[0].model_copy(update={"limit": 0.1}), *model().gates[1:])),
        model(slices=(model().slices[0].model_copy(update={"where": "x = 2"}),)),
        model(metrics=(*model().metrics, OWN)),
        *(model(data=model().data.model_copy(update={name: "z"})) for name in ("target", "positive", "group")),
        model(data=model().data.model_copy(update={"weight": "z"})),
        *(model(data=model().data.model_copy(update={name: ("z",)})) for name in ("drop", "features", "classes")),
    ],
    ids=range(12),
)
def test_each_rule_counts(changed: Model) -> None:
    assert digest_of(changed) != digest_of(model())


def test_the_holdout_the_metrics_code_and_the_inconclusive_policy_count() -> None:
    own = model(metrics=(OWN,))
    other = Tree({**TREE.entries, "metrics.py": ("100644", "8" * 40)})
    assert digest_of(own) != digest_of(own, other)
    assert digest_of(own) != digest_of(own, rows=KEY)
    assert digest_of(own) != digest_of(own, inconclusive=OnInconclusive(pull_request="block"))
    assert removal_digest() not in {digest_of(own), digest_of(model())}


ROLES: tuple[Role, ...] = ("none", "read", "triage", "write", "maintain", "admin")


@pytest.mark.parametrize("role", ROLES)
def test_maintainers_may_waive_and_others_where_they_are_listed(role: Role) -> None:
    maintains = role in {"maintain", "admin"}
    assert may_waive(Waivers(), "lea", role, "bob") is maintains
    assert may_waive(Waivers(by=("Lea",)), "lea", role, "bob")
    assert may_waive(Waivers(by=("eve",)), "lea", role, None) is maintains


@pytest.mark.parametrize("role", ROLES)
def test_nobody_waives_on_their_own_pull_request_unless_the_config_lets_them(role: Role) -> None:
    assert not may_waive(Waivers(by=("lea",)), "Lea", role, "lea")
    assert may_waive(Waivers(by=("lea",), author=True), "lea", role, "lea")
    assert may_waive(Waivers(author=True), "lea", role, "lea") is (role in {"maintain", "admin"})


def test_a_name_means_one_bound_or_all_of_a_subject() -> None:
    gates = [MIN, MARGIN, MAX, MIN.model_copy(update={"slice": "women"})]
    assert named(gates, "roc_auc") == [MIN, MARGIN]
    assert named(gates, "roc_auc.min") == [MIN]
    assert named(gates, "roc_auc@women.min") == [gates[3]]
    assert named(gates, "auc@women") == [gates[3]]
    assert named(gates, "roc_auc.max") == named(gates, "f1") == named(gates, "") == []


def test_a_metric_that_is_called_like_another_gate_is_not_meant() -> None:
    sly = Gate(metric="roc_auc.min", bound=Bound.MAX, limit=1.0)
    assert named([MIN, sly], "roc_auc.min") == [MIN]
    assert named([sly], "roc_auc.min") == [sly]
