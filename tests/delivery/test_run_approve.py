"""Closing and opening an environment: once each, with who and why."""

import pytest
from tests.support.releases import World

from mlbot.delivery.run_approve import set_lock
from mlbot.errors import UsageError
from mlbot.ledger.queries import locked, locks

pytestmark = pytest.mark.usefixtures("git_settings")


def test_a_lock_says_who_and_why_and_counts_up(world: World) -> None:
    first = set_lock(world.context("Bob"), "staging", close=True, reason="audit")
    assert first.changed
    now = locked(world.entries(), "staging")
    assert now is not None
    assert (now.actor, now.reason, now.sequence) == ("Bob", "audit", 1)
    again = set_lock(world.context("Eve"), "staging", close=True)
    assert not again.changed
    assert "locked already, by Bob" in again.sentence
    assert set_lock(world.context("Eve"), "staging", close=False).changed
    assert locked(world.entries(), "staging") is None
    assert not set_lock(world.context("Eve"), "staging", close=False).changed
    assert set_lock(world.context("Eve"), "staging", close=True).changed
    assert [each.sequence for each in locks(world.entries(), "staging")] == [1, 2, 3]
    assert locked(world.entries(), "production") is None


def test_a_long_reason_is_cut_and_not_refused(world: World) -> None:
    entry = set_lock(world.context(), "staging", close=True, reason="x" * 5000).entry
    assert entry is not None
    assert len(entry.reason) == 1000


def test_an_unknown_environment_is_said_with_the_known_ones(world: World) -> None:
    with pytest.raises(UsageError, match="no environment 'moon'") as error:
        set_lock(world.context(), "moon", close=True)
    assert "staging, production" in error.value.hint
