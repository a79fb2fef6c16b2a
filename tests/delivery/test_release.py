"""What may be released: every reason once, and whatever the facts, nothing slips through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.history_samples import release
from tests.support.ledger_samples import digest, entry

from mlbot.delivery.messages import words
from mlbot.delivery.release import ReleaseFacts, ReleaseReason, TagFacts, decide_release, latest
from mlbot.delivery.sealed import SealedFacts
from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import VerdictEntry
from mlbot.lib.version import Stored

HERE, THERE = "a" * 40, "b" * 40
OBJECT, MOVED = "1" * 40, "2" * 40
PASSED = entry(run=7)
TAG = TagFacts(name="adult-income@v1.0.0", object_sha=OBJECT, commit=HERE, annotated=True)
RELEASED = release("1.0.0", digest=digest(100), commit=HERE, tag_object=OBJECT)


def facts(**changes: Any) -> ReleaseFacts:
    fields: dict[str, Any] = {
        "model": "adult-income",
        "version": "1.0.0",
        "commit": HERE,
        "branch": "main",
        "merged": True,
        "verdicts": (PASSED,),
        "stored": Stored.VERIFIED,
    }
    return ReleaseFacts(**fields | changes)


def verdict(outcome: Outcome, run: int = 8, **changes: Any) -> VerdictEntry:
    return entry(run=run, outcome=outcome, reason=Reason.REGRESSION, **changes)


def asked(**changes: Any) -> SealedFacts:
    fields: dict[str, Any] = {"gates": 2, "rules": digest(3), "baseline": digest(4)}
    return SealedFacts(**(fields | changes))


R = ReleaseReason
TABLE: tuple[tuple[ReleaseReason, dict[str, Any], str], ...] = (
    (R.RELEASABLE, {}, "adult-income@v1.0.0 may be released"),
    (R.RELEASABLE, {"stored": None}, "may be released"),
    (R.RELEASABLE, {"tag": TAG}, "may be released"),
    (R.RELEASABLE, {"verdicts": (verdict(Outcome.FAIL, 6), PASSED)}, "may be released"),
    (R.RELEASABLE, {"verdicts": (verdict(Outcome.INCONCLUSIVE),), "inconclusive": "warn"}, "may be released"),
    (R.ALREADY_RELEASED, {"released": RELEASED}, "with the same bytes"),
    (R.ALREADY_RELEASED, {"released": RELEASED, "verdicts": ()}, "with the same bytes"),
    (R.ALREADY_RELEASED, {"released": RELEASED, "commit": THERE, "tag": TAG}, "with the same bytes"),
    (R.UNKNOWN_MODEL, {"configured": False}, "has no model adult-income"),
    (R.RELEASABLE, {"tag": TAG.model_copy(update={"annotated": False, "object_sha": HERE})}, "may be released"),
    (R.TAG_MOVED, {"released": RELEASED, "tag": TAG.model_copy(update={"commit": THERE})}, "was moved"),
    (R.TAG_ELSEWHERE, {"tag": TAG, "commit": THERE}, "points to aaaaaaaaaa, not to bbbbbbbbbb"),
    (R.TAG_ELSEWHERE, {"tag": TAG.model_copy(update={"commit": None})}, "something that is no commit"),
    (R.NOT_MERGED, {"merged": False}, "is not on main"),
    (R.VERSION_TAKEN, {"released": RELEASED.model_copy(update={"digest": digest(9)})}, "exists with other bytes"),
    (R.VERSION_TAKEN, {"released": RELEASED, "commit": THERE, "verdicts": ()}, "exists with other bytes"),
    (R.NO_VERDICT, {"verdicts": ()}, "has no verdict"),
    (R.VERDICT_OF_PARENT, {"verdicts": (), "parent_judged": True}, "Only the commit before"),
    (R.VERDICT_FAILED, {"verdicts": (verdict(Outcome.FAIL),)}, "a gate failed (regression)"),
    (R.VERDICT_ERROR, {"verdicts": (verdict(Outcome.ERROR),)}, "could not be evaluated"),
    (R.VERDICT_INCONCLUSIVE, {"verdicts": (verdict(Outcome.INCONCLUSIVE),)}, "the data cannot tell"),
    (R.VERDICT_INCONCLUSIVE, {"verdicts": (verdict(Outcome.INCONCLUSIVE, digest=None),), "inconclusive": "warn"}, ""),
    (R.NEWER_ATTEMPT, {"verdicts": (PASSED, verdict(Outcome.FAIL))}, "the latest attempt (8.1) did not"),
    (R.NEWER_ATTEMPT, {"verdicts": (PASSED, verdict(Outcome.ERROR))}, "did not"),
    (R.NEWER_ATTEMPT, {"verdicts": (PASSED, verdict(Outcome.FAIL, 7, judge=PASSED.judge))}, "did not"),
    (R.BYTES_MISSING, {"stored": Stored.MISSING}, "does not have the judged bytes"),
    (R.BYTES_MISSING, {"verdicts": (entry(digest=None),)}, "does not have the judged bytes"),
    (R.BYTES_DIFFER, {"stored": Stored.DIFFERS}, "is not what was judged"),
    (R.RELEASABLE, {"sealed": asked()}, "may be released"),
    (R.RELEASABLE, {"sealed": asked(state="pass")}, "may be released"),
    (R.RELEASABLE, {"sealed": asked(gates=0, waived=True)}, "may be released"),
    (R.RELEASABLE, {"sealed": asked(gates=0, baseline=PASSED.digest)}, "may be released"),
    (R.SEALED_NO_GATES, {"sealed": asked(gates=0)}, "Nothing can be asked"),
    (R.SEALED_NO_GATES, {"sealed": asked(gates=0, baseline=None)}, "a first release has nothing to be compared with"),
    (R.SEALED_NOT_SHOWN, {"sealed": asked(state="not-shown")}, "do not show that adult-income@v1.0.0 keeps"),
    (R.SEALED_SPENT, {"sealed": asked(state="spent")}, "inconclusive: sealed holdout spent"),
    (R.SEALED_VOID, {"sealed": asked(state="void", cause="address")}, "their address cannot be read"),
    (R.SEALED_VOID, {"sealed": asked(state="void", cause="driver")}, "is not installed. It does not count as a look"),
    (R.SEALED_VOID, {"sealed": asked(state="void")}, "something failed before that"),
    (R.SEALED_SILENT, {"sealed": asked(state="asked")}, "there is no answer for these bytes"),
    (R.BYTES_MISSING, {"stored": Stored.MISSING, "sealed": asked(state="not-shown")}, "does not have the judged bytes"),
)


@pytest.mark.parametrize(("reason", "changes", "said"), TABLE)
def test_each_reason(reason: ReleaseReason, changes: dict[str, Any], said: str) -> None:
    known = facts(**changes)
    decision = decide_release(known)
    assert decision.reason is reason
    for github in (True, False):
        found = words(reason, known, github=github)
        assert said in found.sentence
        assert found.sentence.endswith(".")
        assert "\n" not in found.sentence
        assert bool(found.hint) == decision.refused


def test_the_first_model_of_a_repository_gets_a_hint_of_its_own() -> None:
    first = verdict(Outcome.INCONCLUSIVE).model_copy(update={"reason": Reason.NO_BASELINE})
    known = facts(verdicts=(first,))
    assert "A first model has nothing to be compared with" in words(decide_release(known).reason, known).hint


def test_every_reason_is_in_the_table() -> None:
    assert {row[0] for row in TABLE} == set(ReleaseReason)


def test_of_verdicts_that_nothing_orders_the_one_that_says_no_decides() -> None:
    same = verdict(Outcome.FAIL, 7, judge=PASSED.judge)
    assert latest((PASSED, same)) == latest((same, PASSED)) == same
    assert latest(()) is None


verdicts = st.lists(
    st.builds(
        lambda run, attempt, outcome, known: entry(
            run=run, attempt=Attempt(run=run, number=attempt), outcome=outcome, digest=digest(100) if known else None
        ),
        st.integers(1, 4),
        st.integers(1, 3),
        st.sampled_from(Outcome),
        st.booleans(),
    ),
    max_size=5,
).map(tuple)
tags = st.none() | st.builds(
    TagFacts,
    name=st.just("adult-income@v1.0.0"),
    object_sha=st.sampled_from((OBJECT, MOVED)),
    commit=st.sampled_from((HERE, THERE, None)),
    annotated=st.booleans(),
)
released = st.none() | st.builds(
    release,
    digest=st.sampled_from((digest(100), digest(9))),
    commit=st.sampled_from((HERE, THERE)),
    tag_object=st.sampled_from((OBJECT, None)),
)
any_facts = st.builds(
    ReleaseFacts,
    model=st.just("adult-income"),
    version=st.just("1.0.0"),
    commit=st.just(HERE),
    branch=st.just("main"),
    configured=st.booleans(),
    merged=st.booleans(),
    tag=tags,
    released=released,
    verdicts=verdicts,
    parent_judged=st.booleans(),
    inconclusive=st.sampled_from(("warn", "block")),
    stored=st.none() | st.sampled_from(Stored),
)


@given(any_facts)
def test_what_is_released_is_merged_judged_and_the_very_bytes(known: ReleaseFacts) -> None:
    decision = decide_release(known)
    if not decision.go:
        return
    assert known.merged
    assert known.configured
    assert known.released is None
    assert known.stored in {None, Stored.VERIFIED}
    assert known.tag is None or known.tag.commit == known.commit
    newest = max(each.order for each in known.verdicts)
    fine = {Outcome.PASS} if known.inconclusive == "block" else {Outcome.PASS, Outcome.INCONCLUSIVE}
    assert {each.outcome for each in known.verdicts if each.order == newest} <= fine


@given(any_facts)
def test_the_order_of_the_verdicts_never_matters_and_facts_replay(known: ReleaseFacts) -> None:
    turned = known.model_copy(update={"verdicts": known.verdicts[::-1]})
    assert decide_release(turned).reason is decide_release(known).reason
    replayed = ReleaseFacts.model_validate_json(known.model_dump_json(), strict=True)
    assert decide_release(replayed) == decide_release(known)
