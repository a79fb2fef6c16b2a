"""What enters an environment and what it goes back to: every reason once, and nothing slips through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.deployment_samples import deployment
from tests.support.ledger_samples import digest

from mlbot.delivery.deployment import (
    ApprovalFacts,
    ApprovalReason,
    EnvironmentState,
    LockFacts,
    LockReason,
    PromotionFacts,
    PromotionReason,
    RollbackFacts,
    RollbackReason,
    ShadowFacts,
    Witness,
    begun,
    decide_approval,
    decide_lock,
    decide_promotion,
    decide_rollback,
    good_versions,
    lock_text,
    next_sequence,
    read_lock,
)
from mlbot.delivery.messages import plan_text, words
from mlbot.ledger.entries import DeploymentIntent, LockEntry
from mlbot.lib.record import Decision
from mlbot.lib.version import Served, Stored
from mlbot.protocol.golden import Flip, Replay

BYTES, OTHER = digest(1), digest(2)
ENVIRONMENTS = ("staging", "production")
STAGED = EnvironmentState(environment="staging", live=Served(version="1.1.0", digest=BYTES))
STAGED_OTHER = EnvironmentState(environment="staging", live=Served(version="1.1.0", digest=OTHER))
LOCK = LockEntry(
    environment="production", locked=True, sequence=1, actor="bob", reason="audit", time="2026-11-20T16:00:00Z"
)


def has_words(decision: Decision[Any], known: object, said: str) -> None:
    """One sentence that ends, and a hint where it is refused; on GitHub and in a terminal."""
    for github in (True, False):
        found = words(decision.reason, known, github=github)
        assert said in found.sentence
        assert found.sentence.endswith(".")
        assert "\n" not in found.sentence
        assert bool(found.hint) == decision.refused


def holder(**changes: Any) -> DeploymentIntent:
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
    return DeploymentIntent(**fields | changes)


def promotion(**changes: Any) -> PromotionFacts:
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


WITNESS = Witness(tag="adult-income@v1.1.0", by_mlbot=True)
P = PromotionReason
LIVE = Served(version="1.0.0", digest=OTHER)


def shadow(changed: int | None, **facts: Any) -> ShadowFacts:
    """Recorded requests of which so many are answered otherwise; None: they could not be answered."""
    flips = (Flip(before="no", after="yes", rows=changed),) if changed else ()
    found = None if changed is None else Replay(requests=100, changed=changed, lines=("3", "7"), flips=flips)
    made = ShadowFacts(requests="log.jsonl", max_changed=0.02, before=LIVE, found=found)
    return made.model_copy(update=facts)


PROMOTIONS: tuple[tuple[PromotionReason, dict[str, Any], str], ...] = (
    (P.PROMOTABLE, {}, "adult-income@v1.1.0 may enter production"),
    (P.PROMOTABLE, {"stored": None}, "may enter"),
    (P.PROMOTABLE, {"live": None}, "may enter"),
    (P.PROMOTABLE, {"after": None, "needed": 0, "approvers": ()}, "may enter"),
    (P.PROMOTABLE, {"live": Served(version="1.1.0", digest=OTHER)}, "may enter"),
    (
        P.PROMOTABLE,
        {"after": EnvironmentState(environment="staging", live=Served(version="1.0.9", digest=BYTES))},
        "may enter",
    ),
    (P.PROMOTABLE, {"live": Served(version="1.1.0", digest=BYTES), "drifted": True}, "which this puts right"),
    (P.RESUMED, {"under_way": holder()}, "was begun and goes on"),
    (P.RESUMED, {"under_way": holder(), "live": Served(version="1.1.0", digest=BYTES)}, "goes on"),
    (P.ALREADY_LIVE, {"live": Served(version="1.1.0", digest=BYTES)}, "is live in production already"),
    (P.UNKNOWN_ENVIRONMENT, {"environment": "moon"}, "has no environment moon"),
    (P.UNKNOWN_ENVIRONMENT, {"environments": ()}, "has no environment production"),
    (P.UNKNOWN_VERSION, {"released": None}, "was never released"),
    (P.UNKNOWN_VERSION, {"released": None, "versions": ()}, "was never released"),
    (P.UNKNOWN_MODEL, {"released": None, "models": ("churn",)}, "has no model adult-income"),
    (P.UNRECORDED, {"released": None, "models": ("churn",), "witness": WITNESS}, "but the ledger has no release of"),
    (P.DEPRECATED, {"deprecated": True}, "is deprecated"),
    (P.LOCKED, {"lock": LOCK}, "is locked by bob since 2026-11-20T16:00:00Z: audit."),
    (P.LOCKED, {"lock": LOCK, "under_way": holder()}, "is locked"),
    (P.UNDER_WAY, {"under_way": holder(version="1.0.5")}, "the promotion of adult-income@v1.0.5 by ada"),
    (P.UNDER_WAY, {"under_way": holder(action="rollback")}, "the rollback of adult-income@v1.1.0"),
    (P.UNDER_WAY, {"under_way": holder(model="churn")}, "the promotion of churn@v1.1.0"),
    (P.OUT_OF_ORDER, {"after": EnvironmentState(environment="staging")}, "nothing is live there"),
    (
        P.OUT_OF_ORDER,
        {"after": EnvironmentState(environment="staging", live=Served(version="1.1.0", digest=OTHER))},
        "serves v1.1.0",
    ),
    (
        P.NOT_HEALTHY,
        {"after": STAGED.model_copy(update={"under_way": holder(environment="staging")})},
        "not ended there",
    ),
    (P.APPROVALS_MISSING, {"approvers": ()}, "1 is missing"),
    (P.APPROVALS_MISSING, {"needed": 3}, "2 are missing"),
    (P.SELF_APPROVAL, {"approvers": ("ada",)}, "their own approval does not count"),
    (P.SELF_APPROVAL, {"approvers": ("Ada", "bob"), "needed": 2}, "1 is missing"),
    (P.BYTES_MISSING, {"stored": Stored.MISSING}, "does not have the bytes"),
    (P.BYTES_DIFFER, {"stored": Stored.DIFFERS}, "which was judged"),
    (P.PROMOTABLE, {"shadow": shadow(2)}, "may enter"),
    (P.PROMOTABLE, {"shadow": shadow(200, before=None, unasked="first")}, "may enter"),
    (P.SHADOW_CHANGED, {"shadow": shadow(3)}, "Of 100 recorded requests 3 (3 %) are answered otherwise than by v1.0.0"),
    (P.SHADOW_VOID, {"shadow": shadow(None, problem="It is gone.", hint="Look.")}, "nobody can tell what"),
    (
        P.SHADOW_CHANGED,
        {"shadow": ShadowFacts(requests="x", max_changed=0.02, before=LIVE, found=Replay(requests=0))},
        "0",
    ),
)


@pytest.mark.parametrize(("reason", "changes", "said"), PROMOTIONS)
def test_each_reason_of_a_promotion(reason: PromotionReason, changes: dict[str, Any], said: str) -> None:
    known = promotion(**changes)
    decision = decide_promotion(known)
    assert decision.reason is reason
    has_words(decision, known, said)


def test_every_reason_of_a_promotion_is_in_the_table() -> None:
    assert {row[0] for row in PROMOTIONS} == set(PromotionReason)


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
    after=st.none() | st.builds(EnvironmentState, environment=st.just("staging"), live=served, under_way=holders),
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


def made(number: int) -> Served:
    return Served(version=f"1.{number}.0", digest=digest(number))


ONE, TWO, THREE = made(1), made(2), made(3)
OTHER_ONE = Served(version="1.1.0", digest=digest(9))
FORWARD = deployment(4, 3).intent
BACK = deployment(4, 1, action="rollback").intent


def going_back(**changes: Any) -> RollbackFacts:
    fields: dict[str, Any] = {
        "model": "adult-income",
        "environment": "production",
        "requester": "ada",
        "why": "slow",
        "environments": ("staging", "production"),
        "once_live": (ONE, TWO, THREE),
        "good": (ONE, TWO, THREE),
        "stored": Stored.VERIFIED,
    }
    return RollbackFacts(**fields | changes)


R = RollbackReason
ROLLBACKS: tuple[tuple[RollbackReason, dict[str, Any], Served | None, str], ...] = (
    (R.ROLLS_BACK, {}, TWO, "production goes back to adult-income@v1.2.0, away from v1.3.0"),
    (R.ROLLS_BACK, {"stored": None}, TWO, "goes back"),
    (R.ROLLS_BACK, {"to": "1.1.0"}, ONE, "goes back to adult-income@v1.1.0"),
    (R.ROLLS_BACK, {"good": (ONE, TWO), "to": "1.3.0"}, THREE, "goes back to adult-income@v1.3.0"),
    (R.ROLLS_BACK, {"once_live": (ONE, OTHER_ONE, TWO), "to": "1.1.0"}, OTHER_ONE, "goes back to adult-income@v1.1.0"),
    (R.ROLLS_BACK, {"good": (ONE, TWO), "under_way": FORWARD}, TWO, "instead of the promotion of adult-income@v1.3.0"),
    (R.ROLLS_BACK, {"good": (ONE,), "under_way": FORWARD, "to": "1.1.0"}, ONE, "instead of"),
    (R.ROLLS_BACK, {"to": "1.3.0", "drifted": True}, THREE, "v1.3.0: the target serves something"),
    (R.RESUMED, {"good": (ONE, TWO), "under_way": BACK}, ONE, "was begun and goes on"),
    (R.ALREADY_LIVE, {"to": "1.3.0"}, THREE, "v1.3.0 is live in production already"),
    (R.UNKNOWN_ENVIRONMENT, {"environment": "moon"}, TWO, "has no environment moon"),
    (R.NO_REASON, {"why": "  "}, TWO, "needs a reason"),
    (R.UNRECORDED, {"once_live": (), "good": (), "witness": WITNESS}, None, "the ledger has no deployment of"),
    (R.UNKNOWN_MODEL, {"once_live": (), "good": (), "models": ("churn",)}, None, "has no model adult-income"),
    (R.NOTHING_LIVE, {"once_live": (), "good": ()}, None, "was ever live"),
    (R.NOTHING_BEFORE, {"good": (THREE,)}, None, "Before v1.3.0 no version"),
    (R.NEVER_LIVE, {"to": "9.0.0"}, None, "adult-income@v9.0.0 was never live"),
    (R.NEVER_LIVE, {"to": "9.0.0", "once_live": ()}, None, "was never live"),
    (R.BYTES_MISSING, {"stored": Stored.MISSING}, TWO, "does not have the bytes of adult-income@v1.2.0"),
    (R.BYTES_DIFFER, {"stored": Stored.DIFFERS}, TWO, "is not what was released"),
)


@pytest.mark.parametrize(("reason", "changes", "goal", "said"), ROLLBACKS)
def test_each_reason_of_a_rollback(
    reason: RollbackReason, changes: dict[str, Any], goal: Served | None, said: str
) -> None:
    known = going_back(**changes)
    decision = decide_rollback(known)
    assert (decision.reason, known.goal) == (reason, goal)
    has_words(decision, known, said)


def test_every_reason_of_a_rollback_is_in_the_table() -> None:
    assert {row[0] for row in ROLLBACKS} == set(RollbackReason)


@pytest.mark.parametrize(
    ("story", "good"),
    [
        ([], []),
        ([(1, "promotion", "succeeded")], [1]),
        ([(1, "promotion", "succeeded"), (2, "promotion", "rolled-back")], [1]),
        ([(1, "promotion", "succeeded"), (2, "promotion", "failed"), (3, "promotion", "started")], [1]),
        ([(1, "promotion", "succeeded"), (2, "promotion", "succeeded"), (1, "rollback", "succeeded")], [1]),
        (
            [(n, "promotion", "succeeded") for n in (1, 2, 3)] + [(2, "rollback", "succeeded")],
            [1, 2],
        ),
        (
            [(n, "promotion", "succeeded") for n in (1, 2, 3)] + [(n, "rollback", "succeeded") for n in (2, 1)],
            [1],
        ),
        (
            [
                (1, "promotion", "succeeded"),
                (2, "promotion", "succeeded"),
                (1, "rollback", "succeeded"),
                (2, "promotion", "succeeded"),
            ],
            [1, 2],
        ),
        (
            [(n, "promotion", "succeeded") for n in (1, 2, 3)]
            + [(1, "rollback", "succeeded")]
            + [(3, "rollback", "succeeded")],
            [1, 3],
        ),
        ([(1, "promotion", "succeeded"), (1, "promotion", "succeeded")], [1]),
    ],
)
def test_what_may_be_gone_back_to(story: list[tuple[int, Any, Any]], good: list[int]) -> None:
    entries = [
        deployment(at, number, action=action, state=state) for at, (number, action, state) in enumerate(story, 1)
    ]
    assert good_versions(entries, "production", "adult-income") == tuple(map(made, good))
    assert good_versions(entries[::-1], "production", "adult-income") == tuple(map(made, good))


stories = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(("promotion", "rollback")),
        st.sampled_from(("started", "succeeded", "failed", "rolled-back")),
    ),
    max_size=12,
)


@given(stories, st.sampled_from((*Stored, None)))
def test_a_rollback_goes_where_it_once_worked_and_a_second_one_further(
    story: list[tuple[int, Any, Any]], stored: Stored | None
) -> None:
    entries = [
        deployment(at, number, action=action, state=state) for at, (number, action, state) in enumerate(story, 1)
    ]
    good = good_versions(entries, "production", "adult-income")
    succeeded = [made(number) for number, _, state in story if state == "succeeded"]
    assert set(good) <= set(succeeded)
    if succeeded:
        assert good[-1] == succeeded[-1]
    under_way = begun(entries, "production", "adult-income")
    known = going_back(good=good, once_live=tuple(succeeded), under_way=under_way, stored=stored)
    decision = decide_rollback(known)
    if not decision.go or known.goal is None:
        return
    assert stored in {None, Stored.VERIFIED}
    if decision.reason is RollbackReason.ROLLS_BACK:
        assert known.goal in succeeded
    if under_way is None:
        left = good[-1]
        back = deployment(len(entries) + 1, int(known.goal.version[2]), action="rollback", state="succeeded")
        after = good_versions([*entries, back], "production", "adult-income")
        assert after[-1] == known.goal
        assert len(after) < len(good) or left not in after[:-1]


def test_a_lock_says_who_holds_it_and_nothing_else_is_believed() -> None:
    assert read_lock(lock_text(FORWARD)) == FORWARD
    assert "\n" not in lock_text(FORWARD)
    for text in ("", "mine!", "{}", lock_text(FORWARD).replace('"sequence":4', '"sequence":true'), "[" * 9000):
        assert read_lock(text) is None


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"environment": "prodution"}, "Did you mean production?"),
        ({"environment": "moon"}, "The environments are: "),
        ({"released": None, "model": "adult_incme", "models": ("adult-income", "churn")}, "Did you mean adult-income?"),
        (
            {"released": None, "model": "moon", "models": ("adult-income", "churn")},
            "The models are: adult-income, churn.",
        ),
        ({"released": None, "version": "1.1.1"}, "Did you mean v1.1.0?"),
        ({"released": None, "version": "9.9.9"}, "The latest versions are: v1.0.0, v1.1.0."),
        ({"released": None, "witness": WITNESS}, "mlbot registry restore"),
        ({"released": None, "witness": WITNESS.model_copy(update={"by_mlbot": False})}, "Release it: mlbot release"),
    ],
)
def test_what_was_meant_is_asked(changes: dict[str, Any], hint: str) -> None:
    known = promotion(**changes)
    assert hint in words(decide_promotion(known).reason, known).hint
    for_approval = known.model_dump(include=set(ApprovalFacts.model_fields) & set(PromotionFacts.model_fields))
    asked = ApprovalFacts(**for_approval | {"actor": "bob", "released": known.released})
    assert hint in words(decide_approval(asked).reason, asked).hint


def test_an_approval_of_ones_own_is_named() -> None:
    shown = plan_text(promotion(approvers=("ada",)))
    assert "0 of 1 (not counted: ada, who asks for it)" in shown
    assert "1 of 1 (bob, not counted: ada, who asks for it)" in plan_text(promotion(approvers=("ada", "bob")))


def test_deployments_count_up_whatever_became_of_them() -> None:
    assert next_sequence([], "adult-income", "production") == 1
    entries = [deployment(1, 1, state="failed"), deployment(2, 2, state="started")]
    assert next_sequence(entries, "adult-income", "production") == 3
    assert next_sequence(entries, "adult-income", "staging") == 1


ENVIRONMENT: dict[str, Any] = {"environment": "production", "environments": ENVIRONMENTS}


@pytest.mark.parametrize(
    ("reason", "changes", "said"),
    [
        (ApprovalReason.APPROVED, {}, "bob approves adult-income@v1.1.0 for production."),
        (
            ApprovalReason.ALREADY_APPROVED,
            {"approvers": ("Bob",)},
            "for production before",
        ),
        (ApprovalReason.NOT_NEEDED, {"needed": 0}, "production asks for no approvals"),
        (ApprovalReason.UNKNOWN_ENVIRONMENT, {"environment": "moon"}, "has no environment moon"),
        (ApprovalReason.UNKNOWN_VERSION, {"released": None}, "was never released"),
        (ApprovalReason.UNKNOWN_VERSION, {"released": None, "versions": ("1.0.0",)}, "was never released"),
        (ApprovalReason.UNKNOWN_MODEL, {"released": None, "models": ("churn",)}, "has no model adult-income"),
        (ApprovalReason.UNRECORDED, {"released": None, "witness": WITNESS}, "but the ledger has no release of"),
    ],
)
def test_each_reason_of_an_approval(reason: ApprovalReason, changes: dict[str, Any], said: str) -> None:
    about = ENVIRONMENT | {"model": "adult-income", "version": "1.1.0", "actor": "bob"}
    known = ApprovalFacts(**about | {"released": BYTES, "needed": 1} | changes)
    decision = decide_approval(known)
    assert (decision.reason, decision.go) == (reason, reason is ApprovalReason.APPROVED)
    has_words(decision, known, said)


@pytest.mark.parametrize(
    ("reason", "changes", "said"),
    [
        (LockReason.LOCKS, {"close": True, "why": "audit"}, "production is locked: nothing is promoted into it"),
        (LockReason.UNLOCKS, {"close": False, "lock": LOCK}, "production is open"),
        (LockReason.ALREADY_LOCKED, {"close": True, "lock": LOCK}, "is locked already, by bob since"),
        (LockReason.NOT_LOCKED, {"close": False}, "is not locked"),
        (LockReason.NO_REASON, {"close": True, "why": " "}, "needs a reason"),
    ],
)
def test_each_reason_of_a_lock(reason: LockReason, changes: dict[str, Any], said: str) -> None:
    known = LockFacts(environment="production", **changes)
    decision = decide_lock(known)
    assert (decision.reason, decision.go) == (reason, reason in {LockReason.LOCKS, LockReason.UNLOCKS})
    has_words(decision, known, said)
