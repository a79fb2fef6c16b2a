"""Going back: to what, whatever stands in the way of a promotion, and never without the very bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.deployment_samples import deployment
from tests.support.ledger_samples import digest

from mlbot.delivery.deployment import Holder, begun, good_versions, lock_text, next_sequence, read_lock
from mlbot.delivery.rollback import RollbackFacts, RollbackReason, decide_rollback
from mlbot.lib.version import Served
from mlbot.registry.versions import Stored


def served(number: int) -> Served:
    return Served(version=f"1.{number}.0", digest=digest(number))


ONE, TWO, THREE = served(1), served(2), served(3)
HOLDER = Holder.of(deployment(4, 3))
BACK = Holder.of(deployment(4, 1, action="rollback"))


def facts(**changes: Any) -> RollbackFacts:
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
TABLE: tuple[tuple[RollbackReason, dict[str, Any], Served | None, str], ...] = (
    (R.ROLLS_BACK, {}, TWO, "production goes back to adult-income@v1.2.0, away from v1.3.0"),
    (R.ROLLS_BACK, {"stored": None}, TWO, "goes back"),
    (R.ROLLS_BACK, {"to": "1.1.0"}, ONE, "goes back to adult-income@v1.1.0"),
    (R.ROLLS_BACK, {"good": (ONE, TWO), "to": "1.3.0"}, THREE, "goes back to adult-income@v1.3.0"),
    (R.ROLLS_BACK, {"good": (ONE, TWO), "under_way": HOLDER}, TWO, "instead of the promotion of adult-income@v1.3.0"),
    (R.ROLLS_BACK, {"good": (ONE,), "under_way": HOLDER, "to": "1.1.0"}, ONE, "instead of"),
    (R.ROLLS_BACK, {"to": "1.3.0", "drifted": True}, THREE, "v1.3.0: the target serves something"),
    (R.RESUMED, {"good": (ONE, TWO), "under_way": BACK}, ONE, "was begun and goes on"),
    (R.ALREADY_LIVE, {"to": "1.3.0"}, THREE, "v1.3.0 is live in production already"),
    (R.UNKNOWN_ENVIRONMENT, {"environment": "moon"}, TWO, "has no environment moon"),
    (R.NO_REASON, {"why": "  "}, TWO, "needs a reason"),
    (R.NOTHING_LIVE, {"once_live": (), "good": ()}, None, "was ever live"),
    (R.NOTHING_BEFORE, {"good": (THREE,)}, None, "Before v1.3.0 no version"),
    (R.NEVER_LIVE, {"to": "9.0.0"}, None, "adult-income@v9.0.0 was never live"),
    (R.NEVER_LIVE, {"to": "9.0.0", "once_live": ()}, None, "was never live"),
    (R.BYTES_MISSING, {"stored": Stored.MISSING}, TWO, "does not have the bytes of adult-income@v1.2.0"),
    (R.BYTES_DIFFER, {"stored": Stored.DIFFERS}, TWO, "is not what was released"),
)


@pytest.mark.parametrize(("reason", "changes", "goal", "said"), TABLE)
def test_each_reason(reason: RollbackReason, changes: dict[str, Any], goal: Served | None, said: str) -> None:
    decision = decide_rollback(facts(**changes))
    assert (decision.reason, decision.goal) == (reason, goal)
    assert said in decision.sentence
    assert decision.sentence.endswith(".")
    assert bool(decision.hint) == decision.refused


def test_every_reason_is_in_the_table() -> None:
    assert {row[0] for row in TABLE} == set(RollbackReason)


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
    assert good_versions(entries, "production", "adult-income") == tuple(map(served, good))
    assert good_versions(entries[::-1], "production", "adult-income") == tuple(map(served, good))


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
    succeeded = [served(number) for number, _, state in story if state == "succeeded"]
    assert set(good) <= set(succeeded)
    if succeeded:
        assert good[-1] == succeeded[-1]
    under_way = begun(entries, "production", "adult-income")
    known = facts(good=good, once_live=tuple(succeeded), under_way=under_way, stored=stored)
    decision = decide_rollback(known)
    if not decision.go or decision.goal is None:
        return
    assert stored in {None, Stored.VERIFIED}
    if decision.reason is RollbackReason.ROLLS_BACK:
        assert decision.goal in succeeded
    if under_way is None:
        left = good[-1]
        back = deployment(len(entries) + 1, int(decision.goal.version[2]), action="rollback", state="succeeded")
        after = good_versions([*entries, back], "production", "adult-income")
        assert after[-1] == decision.goal
        assert len(after) < len(good) or left not in after[:-1]


def test_a_lock_says_who_holds_it_and_nothing_else_is_believed() -> None:
    assert read_lock(lock_text(HOLDER)) == HOLDER
    assert "\n" not in lock_text(HOLDER)
    for text in ("", "mine!", "{}", lock_text(HOLDER).replace('"sequence":4', '"sequence":true'), "[" * 9000):
        assert read_lock(text) is None


def test_deployments_count_up_whatever_became_of_them() -> None:
    assert next_sequence([], "adult-income", "production") == 1
    entries = [deployment(1, 1, state="failed"), deployment(2, 2, state="started")]
    assert next_sequence(entries, "adult-income", "production") == 3
    assert next_sequence(entries, "adult-income", "staging") == 1
