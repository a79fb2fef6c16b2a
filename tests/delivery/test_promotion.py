"""What may enter an environment: every reason once, and whatever the facts, nothing slips through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_samples import digest

from mlbot.delivery.deployment import Holder, Place
from mlbot.delivery.promotion import Lock, PromotionFacts, PromotionReason, decide_promotion
from mlbot.lib.version import Served
from mlbot.registry.versions import Stored

BYTES, OTHER = digest(1), digest(2)
ENVIRONMENTS = ("staging", "production")
STAGED = Place(environment="staging", live=Served(version="1.1.0", digest=BYTES))
STAGED_OTHER = Place(environment="staging", live=Served(version="1.1.0", digest=OTHER))
LOCK = Lock(actor="bob", reason="audit", time="2026-11-20T16:00:00Z")


def holder(**changes: Any) -> Holder:
    fields: dict[str, Any] = {
        "id": "adult-income/production/3",
        "sequence": 3,
        "model": "adult-income",
        "version": "1.1.0",
        "digest": BYTES,
        "environment": "production",
        "action": "promotion",
        "actor": "ada",
        "time": "2026-11-20T16:00:00Z",
    }
    return Holder(**fields | changes)


def facts(**changes: Any) -> PromotionFacts:
    fields: dict[str, Any] = {
        "model": "adult-income",
        "version": "1.1.0",
        "environment": "production",
        "requester": "ada",
        "environments": ENVIRONMENTS,
        "released": BYTES,
        "versions": ("1.0.0", "1.1.0"),
        "after": STAGED,
        "live": Served(version="1.0.0", digest=OTHER),
        "needed": 1,
        "approvers": ("bob",),
        "stored": Stored.VERIFIED,
    }
    return PromotionFacts(**fields | changes)


R = PromotionReason
TABLE: tuple[tuple[PromotionReason, dict[str, Any], str], ...] = (
    (R.PROMOTABLE, {}, "adult-income@v1.1.0 may enter production"),
    (R.PROMOTABLE, {"stored": None}, "may enter"),
    (R.PROMOTABLE, {"live": None}, "may enter"),
    (R.PROMOTABLE, {"after": None, "needed": 0, "approvers": ()}, "may enter"),
    (R.PROMOTABLE, {"after": Place(environment="staging", live=Served(version="1.0.9", digest=BYTES))}, "may enter"),
    (R.PROMOTABLE, {"live": Served(version="1.1.0", digest=BYTES), "drifted": True}, "which this puts right"),
    (R.RESUMED, {"under_way": holder()}, "was begun and goes on"),
    (R.RESUMED, {"under_way": holder(), "live": Served(version="1.1.0", digest=BYTES)}, "goes on"),
    (R.ALREADY_LIVE, {"live": Served(version="1.1.0", digest=BYTES)}, "is live in production already"),
    (R.UNKNOWN_ENVIRONMENT, {"environment": "moon"}, "has no environment moon"),
    (R.UNKNOWN_ENVIRONMENT, {"environments": ()}, "has no environment production"),
    (R.UNKNOWN_VERSION, {"released": None}, "was never released"),
    (R.UNKNOWN_VERSION, {"released": None, "versions": ()}, "was never released"),
    (R.DEPRECATED, {"deprecated": True}, "is deprecated"),
    (R.LOCKED, {"lock": LOCK}, "is locked by bob since 2026-11-20T16:00:00Z: audit."),
    (R.LOCKED, {"lock": LOCK, "under_way": holder()}, "is locked"),
    (R.UNDER_WAY, {"under_way": holder(version="1.0.5")}, "the promotion of adult-income@v1.0.5 by ada"),
    (R.UNDER_WAY, {"under_way": holder(action="rollback")}, "the rollback of adult-income@v1.1.0"),
    (R.UNDER_WAY, {"under_way": holder(model="churn")}, "the promotion of churn@v1.1.0"),
    (R.OUT_OF_ORDER, {"after": Place(environment="staging")}, "nothing is live there"),
    (
        R.OUT_OF_ORDER,
        {"after": Place(environment="staging", live=Served(version="1.1.0", digest=OTHER))},
        "serves v1.1.0",
    ),
    (
        R.NOT_HEALTHY,
        {"after": STAGED.model_copy(update={"under_way": holder(environment="staging")})},
        "not ended there",
    ),
    (R.APPROVALS_MISSING, {"approvers": ()}, "1 is missing"),
    (R.APPROVALS_MISSING, {"needed": 3}, "2 are missing"),
    (R.SELF_APPROVAL, {"approvers": ("ada",)}, "their own approval does not count"),
    (R.SELF_APPROVAL, {"approvers": ("Ada", "bob"), "needed": 2}, "1 is missing"),
    (R.BYTES_MISSING, {"stored": Stored.MISSING}, "does not have the bytes"),
    (R.BYTES_DIFFER, {"stored": Stored.DIFFERS}, "which was judged"),
)


@pytest.mark.parametrize(("reason", "changes", "said"), TABLE)
def test_each_reason(reason: PromotionReason, changes: dict[str, Any], said: str) -> None:
    decision = decide_promotion(facts(**changes))
    assert decision.reason is reason
    assert said in decision.sentence
    assert decision.sentence.endswith(".")
    assert bool(decision.hint) == decision.refused


def test_every_reason_is_in_the_table() -> None:
    assert {row[0] for row in TABLE} == set(PromotionReason)


def test_a_refusal_says_how_to_finish_what_is_in_the_way() -> None:
    hint = decide_promotion(facts(under_way=holder(version="1.0.5"))).hint
    assert "mlbot promote adult-income@v1.0.5 production" in hint
    assert "mlbot rollback adult-income production --reason" in hint
    hint = decide_promotion(facts(under_way=holder(action="rollback"))).hint
    assert "mlbot rollback adult-income production --to v1.1.0 --reason" in hint


people = st.sampled_from(("ada", "Ada", "bob", "eve"))
served = st.none() | st.builds(
    Served, version=st.sampled_from(("1.0.0", "1.1.0")), digest=st.sampled_from((BYTES, OTHER))
)
holders = st.none() | st.builds(
    holder, version=st.sampled_from(("1.0.0", "1.1.0")), action=st.sampled_from(("promotion", "rollback"))
)
any_facts = st.builds(
    PromotionFacts,
    model=st.just("adult-income"),
    version=st.just("1.1.0"),
    environment=st.sampled_from(("production", "moon")),
    requester=people,
    environments=st.just(ENVIRONMENTS),
    released=st.sampled_from((BYTES, None)),
    deprecated=st.booleans(),
    after=st.none() | st.builds(Place, environment=st.just("staging"), live=served, under_way=holders),
    live=served,
    drifted=st.booleans(),
    needed=st.integers(0, 2),
    approvers=st.lists(people, max_size=3, unique_by=str.casefold).map(tuple),
    lock=st.none() | st.just(LOCK),
    under_way=holders,
    stored=st.none() | st.sampled_from(Stored),
)


@given(any_facts)
def test_what_enters_is_released_proven_approved_and_the_very_bytes(known: PromotionFacts) -> None:
    decision = decide_promotion(known)
    if not decision.go:
        return
    assert known.released is not None
    assert known.environment in known.environments
    assert known.lock is None
    assert not known.deprecated
    assert known.stored in {None, Stored.VERIFIED}
    if known.after is not None:
        assert known.after.live is not None
        assert known.after.live.digest == known.released
        assert known.after.under_way is None
    others = {each.casefold() for each in known.approvers} - {known.requester.casefold()}
    assert len(others) >= known.needed
    if known.under_way is not None:
        assert (known.under_way.version, known.under_way.action) == (known.version, "promotion")


@given(any_facts)
def test_facts_replay(known: PromotionFacts) -> None:
    replayed = PromotionFacts.model_validate_json(known.model_dump_json(), strict=True)
    assert decide_promotion(replayed) == decide_promotion(known)
