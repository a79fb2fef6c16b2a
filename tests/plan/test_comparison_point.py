"""What is compared with what: a table of histories, and properties that no history may break."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_samples import digest, entry

from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import Source, VerdictEntry
from mlbot.plan.comparison_point import BranchHistory, Point, comparison_point, push_point
from mlbot.plan.plan import PlannedModel, StaleCode, StaleReason

COMMITS = [f"{number:040x}" for number in range(1, 9)]
CHAIN = {commit: place for place, commit in enumerate(COMMITS)}
TIP = COMMITS[-1]
ELSEWHERE, FORMER = "e" * 40, "f" * 40
HEAD, NOW, BEFORE, OLDER = digest(1), digest(2), digest(3), digest(4)


def verdict(place: int, key: str, outcome: Outcome = Outcome.PASS, run: int = 0, **changes: Any) -> VerdictEntry:
    """The verdict on a commit of main, by its place."""
    return entry(
        run=run or 100 + place, **{"model": "churn", "commit": COMMITS[place], "key": key, "outcome": outcome} | changes
    )


def planned(base_key: str | None = NOW, code: StaleCode = StaleCode.CODE, key: str = HEAD) -> PlannedModel:
    reason = StaleReason(code=code, text="it changed")
    return PlannedModel(
        name="churn", key=key, base_key=base_key, stale=True, reasons=(reason,), seeds=2, runs_on=("x",), timeout_s=60
    )


def history(*entries: VerdictEntry) -> BranchHistory:
    return BranchHistory.of(entries, "main", CHAIN)


USABLE = verdict(5, NOW)
LAST = verdict(3, BEFORE)
RULES = digest(7)
JUDGED_NOW = LAST.model_copy(update={"policy": RULES})

MASTER = verdict(5, NOW, branch="master")

CASES: list[tuple[str, PlannedModel, tuple[VerdictEntry, ...], Point]] = [
    ("the tip's model is judged", planned(), (LAST, USABLE), Point(source=Source.TIP, entry=USABLE)),
    (
        "inconclusive is usable",
        planned(),
        (verdict(5, NOW, Outcome.INCONCLUSIVE),),
        Point(source=Source.TIP, entry=verdict(5, NOW, Outcome.INCONCLUSIVE)),
    ),
    (
        "a verdict without files is none to compare with",
        planned(),
        (LAST, verdict(5, NOW, files=())),
        Point(source=Source.BROKEN, entry=LAST),
    ),
    ("nobody judged the tip", planned(), (), Point(source=Source.UNJUDGED, train=TIP)),
    (
        "nobody judged the tip, and the last usable one counts too",
        planned(),
        (LAST,),
        Point(source=Source.UNJUDGED, train=TIP, entry=LAST),
    ),
    (
        "the tip's model failed and was merged all the same",
        planned(),
        (LAST, verdict(5, NOW, Outcome.FAIL)),
        Point(source=Source.FAILED, entry=LAST),
    ),
    (
        "the tip's model could not be evaluated, which judges nothing",
        planned(),
        (LAST, verdict(5, NOW, Outcome.ERROR, files=())),
        Point(source=Source.UNJUDGED, train=TIP, entry=LAST),
    ),
    ("nothing was ever usable", planned(), (verdict(5, NOW, Outcome.FAIL),), Point(source=Source.NEVER)),
    (
        "the change restores the last usable one",
        planned(key=BEFORE),
        (JUDGED_NOW, verdict(5, NOW, Outcome.FAIL)),
        Point(source=Source.RESTORED, entry=JUDGED_NOW),
    ),
    (
        "the change restores one that was judged by other rules",
        planned(key=BEFORE),
        (LAST, verdict(5, NOW, Outcome.FAIL)),
        Point(source=Source.FAILED, entry=LAST),
    ),
    (
        "a newer attempt on the tip's content failed",
        planned(),
        (LAST, USABLE, verdict(5, NOW, Outcome.FAIL, run=900)),
        Point(source=Source.FAILED, entry=LAST),
    ),
    (
        "a newer attempt on the tip's content passed",
        planned(),
        (verdict(5, NOW, Outcome.FAIL), verdict(5, NOW, run=900)),
        Point(source=Source.TIP, entry=verdict(5, NOW, run=900)),
    ),
    (
        "the place on the branch orders the usable ones, not the attempt",
        planned(),
        (verdict(2, OLDER, run=800), LAST, verdict(5, NOW, Outcome.FAIL, run=900)),
        Point(source=Source.FAILED, entry=LAST),
    ),
    (
        "the tip is back at an older state, and not judged there yet",
        planned(),
        (verdict(2, NOW), LAST),
        Point(source=Source.UNJUDGED, train=TIP, entry=LAST),
    ),
    ("the model is new", planned(None, StaleCode.NEW), (), Point(source=Source.NEW)),
    (
        "a model that is back after it was removed",
        planned(None, StaleCode.NEW),
        (LAST,),
        Point(source=Source.BEFORE, entry=LAST),
    ),
    ("the branch has no config yet", planned(None, StaleCode.NO_BASELINE), (), Point(source=Source.NEW)),
    (
        "the branch lost its config for a moment",
        planned(None, StaleCode.NO_BASELINE),
        (LAST,),
        Point(source=Source.BROKEN, entry=LAST),
    ),
    (
        "the tip cannot be trained",
        planned(None, StaleCode.BROKEN_BASE),
        (LAST,),
        Point(source=Source.BROKEN, entry=LAST),
    ),
    ("the tip cannot be trained and nothing was", planned(None, StaleCode.BROKEN_BASE), (), Point(source=Source.NEVER)),
    (
        "a verdict of a commit that was never the branch's",
        planned(),
        (verdict(5, NOW, commit=ELSEWHERE),),
        Point(source=Source.UNJUDGED, train=TIP),
    ),
    (
        "a verdict on another branch, of the same commit",
        planned(),
        (LAST, verdict(5, NOW, branch="dev")),
        Point(source=Source.UNJUDGED, train=TIP, entry=LAST),
    ),
    (
        "the branch was renamed, or cut from another one",
        planned(),
        (MASTER,),
        Point(source=Source.TIP, entry=MASTER),
    ),
    (
        "the branch was renamed, and its first verdict by that name is a failure",
        planned(),
        (MASTER.model_copy(update={"key": BEFORE}), verdict(5, NOW, Outcome.FAIL)),
        Point(source=Source.FAILED, entry=MASTER.model_copy(update={"key": BEFORE})),
    ),
    (
        "what another branch lets pass and this one does not",
        planned(),
        (MASTER, verdict(5, NOW, Outcome.FAIL, run=1)),
        Point(source=Source.NEVER),
    ),
    (
        "the branch lost its config with the commits that had it",
        planned(None, StaleCode.NO_BASELINE),
        (verdict(3, BEFORE, commit=ELSEWHERE),),
        Point(source=Source.LOST),
    ),
    ("another model's", planned(), (verdict(5, NOW, model="other"),), Point(source=Source.UNJUDGED, train=TIP)),
]


@pytest.mark.parametrize(("model", "entries", "point"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_change_is_compared_with(model: PlannedModel, entries: tuple[VerdictEntry, ...], point: Point) -> None:
    assert comparison_point(model, history(*entries), TIP, RULES) == point


LOST = verdict(5, NOW, Outcome.ERROR, reason=Reason.BASELINE_LOST, files=())
OTHERS = verdict(2, OLDER, model="sales")
AT, SAME = COMMITS[5], planned(HEAD)  # the tip before the push; a model that the push leaves as it is

PUSHES: list[tuple[str, PlannedModel, tuple[VerdictEntry, ...], str | None, bool, Point]] = [
    ("what was there before", SAME, (LAST,), AT, True, Point(source=Source.BEFORE, entry=LAST)),
    ("never itself", SAME, (LAST, verdict(6, HEAD)), AT, True, Point(source=Source.BEFORE, entry=LAST)),
    ("never what came later", SAME, (LAST, verdict(7, OLDER)), AT, True, Point(source=Source.BEFORE, entry=LAST)),
    (
        "what failed is no bar",
        planned(),
        (LAST, verdict(5, NOW, Outcome.FAIL)),
        AT,
        True,
        Point(source=Source.BEFORE, entry=LAST),
    ),
    (
        "a push that overtakes the verdict on the one before it",
        planned(),
        (LAST,),
        AT,
        True,
        Point(source=Source.UNJUDGED, entry=LAST, train=AT),
    ),
    ("a model of a branch that nothing was judged on", planned(), (), AT, True, Point(source=Source.NEW)),
    ("the same, and the push leaves it as it is", SAME, (), AT, True, Point(source=Source.NEW)),
    (
        "a model that the ledger lost, and the push changes it",
        planned(),
        (OTHERS,),
        AT,
        True,
        Point(source=Source.UNJUDGED, train=AT),
    ),
    (
        "the same, and that could not be evaluated",
        planned(),
        (LAST, verdict(5, NOW, Outcome.ERROR)),
        AT,
        True,
        Point(source=Source.UNJUDGED, entry=LAST, train=AT),
    ),
    (
        "what the branch had, though better came before",
        planned(),
        (verdict(2, NOW), LAST, verdict(5, NOW)),
        AT,
        True,
        Point(source=Source.BEFORE, entry=verdict(5, NOW)),
    ),
    (
        "it is back at an older state, and not judged there yet",
        planned(),
        (verdict(2, NOW), LAST),
        AT,
        True,
        Point(source=Source.UNJUDGED, entry=LAST, train=AT),
    ),
    ("nobody knows what was its tip before", planned(), (LAST,), None, True, Point(source=Source.BEFORE, entry=LAST)),
    ("a model that is new", planned(None), (), AT, False, Point(source=Source.NEW)),
    ("a model that only failed so far", SAME, (verdict(3, BEFORE, Outcome.FAIL),), AT, True, Point(source=Source.NEW)),
    ("a model that was there, and the ledger has nothing", SAME, (OTHERS,), AT, True, Point(source=Source.LOST)),
    ("the push after that one", SAME, (LOST,), AT, True, Point(source=Source.LOST)),
    (
        "a branch that was rewritten",
        SAME,
        (verdict(3, BEFORE, commit=ELSEWHERE),),
        AT,
        False,
        Point(source=Source.LOST),
    ),
    (
        "the same, and GitHub says that it was its tip",
        SAME,
        (verdict(3, BEFORE, commit=FORMER),),
        AT,
        False,
        Point(source=Source.BEFORE, entry=verdict(3, BEFORE, commit=FORMER)),
    ),
]


@pytest.mark.parametrize(
    ("model", "entries", "base", "there", "point"), [case[1:] for case in PUSHES], ids=[case[0] for case in PUSHES]
)
def test_what_a_push_is_compared_with(
    model: PlannedModel,
    entries: tuple[VerdictEntry, ...],
    base: str | None,
    there: bool,  # noqa: FBT001
    point: Point,
) -> None:
    known = BranchHistory.of(entries, "main", CHAIN, [FORMER])
    assert push_point(model, known, COMMITS[6], base, was_there=there) == point


def test_a_former_tip_counts_only_where_nothing_else_does() -> None:
    """Somebody takes a model back by rewriting the branch: it is no bar any more."""
    taken_back = verdict(5, NOW, commit=FORMER)
    known = BranchHistory.of((LAST, taken_back), "main", CHAIN, [FORMER])
    assert not known.lacking
    assert push_point(SAME, known, COMMITS[6], AT, was_there=True) == Point(source=Source.BEFORE, entry=LAST)
    assert BranchHistory.of((taken_back,), "main", CHAIN).lacking


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source.NEW, Reason.NEW_MODEL),
        (Source.NEVER, Reason.NO_USABLE_BASELINE),
        (Source.LOST, Reason.BASELINE_LOST),
        (Source.TIP, None),
    ],
)
def test_no_baseline_is_not_one_case(source: Source, reason: Reason | None) -> None:
    problem = Point(source=source, entry=LAST).problem
    assert (problem.reason if problem else None) is reason


def test_what_is_recorded_of_it() -> None:
    compared = Point(source=Source.FAILED, entry=LAST).compared
    assert (compared.commit, compared.key, compared.digest) == (LAST.commit, LAST.key, LAST.digest)
    assert Point(source=Source.UNJUDGED, train=TIP).compared.commit == TIP


keys = st.sampled_from([HEAD, NOW, BEFORE, OLDER])
verdicts_ = st.lists(
    st.builds(
        lambda place, key, outcome, run, branch, off: verdict(
            place, key, outcome, run=run, branch=branch, **({"commit": ELSEWHERE} if off else {})
        ),
        st.integers(0, 7),
        keys,
        st.sampled_from(list(Outcome)),
        st.integers(1, 50),
        st.sampled_from(["main", "dev"]),
        st.booleans(),
    ),
    max_size=8,
)


@given(verdicts_, keys)
def test_a_baseline_is_always_a_usable_verdict_of_the_branch(entries: list[VerdictEntry], key: str) -> None:
    """The newest attempt on its content passed, on a commit that was the branch's tip, or the tip is trained."""
    known = history(*entries)
    point = comparison_point(planned(key=key), known, TIP)
    if point.entry is not None:
        assert point.entry == known.known["churn", point.entry.key]
        assert point.entry.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}
        assert point.entry.commit in CHAIN
        own = [each for each in known.latest.values() if each.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}]
        assert point.entry.branch == "main" or not own
    assert point.entry or point.train or point.problem


@given(verdicts_, st.lists(st.builds(verdict, st.just(0), keys, st.just(Outcome.PASS)), max_size=3))
def test_what_is_not_on_the_branch_changes_nothing(entries: list[VerdictEntry], forged: list[VerdictEntry]) -> None:
    off = [
        each.model_copy(update={"commit": ELSEWHERE, "attempt": each.attempt.model_copy(update={"run": 9999})})
        for each in forged
    ]
    assert comparison_point(planned(), history(*entries, *off), TIP) == comparison_point(
        planned(), history(*entries), TIP
    )


@given(verdicts_)
def test_a_failure_never_lowers_the_bar(entries: list[VerdictEntry]) -> None:
    """Judging the tip a failure leaves at least what was usable before it."""
    before = history(*entries).last_usable("churn", but=NOW)
    failed = verdict(7, NOW, Outcome.FAIL, run=99_999)
    point = comparison_point(planned(), history(*entries, failed), TIP)
    assert point.entry == before
    assert (point.problem is None) == (before is not None)


@given(verdicts_, keys)
def test_a_push_is_never_compared_with_itself_or_with_what_came_later(entries: list[VerdictEntry], key: str) -> None:
    known = history(*entries)
    point = push_point(planned(key=key), known, COMMITS[4], None, was_there=True)
    if point.entry is not None:
        assert point.entry.key != key
        assert CHAIN[point.entry.commit] < CHAIN[COMMITS[4]]
