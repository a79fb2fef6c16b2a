"""Attempts that a command asked for: trials never count, and what is not there yet is waited for."""

from typing import Any

import pytest
from tests.support.forge_samples import ASKED, POLICY, pull, run, subject
from tests.support.reruns_samples import request

from mlbot.events.github import Attempt, Conclusion
from mlbot.judging.admission import announce, triage
from mlbot.protocol.answer import Reruns
from mlbot.protocol.decision import NO_RERUNS, Cause, FinishWithoutJudging, Ignore, Judge, Wait

TRIAL = Reruns(requests=(request(2, "income", lr=0.2),))
NAMED = Reruns(requests=(request(2, "income"),))
FIRST = Attempt(run=7, number=1)


def test_a_trial_is_judged_as_one() -> None:
    decision = triage(run(), ASKED, POLICY, [pull()], None, TRIAL)
    assert decision == Judge(subject=subject(), attempt=ASKED, reruns=TRIAL)
    assert isinstance(decision, Judge)
    assert decision.trial


def test_a_named_retrain_counts() -> None:
    decision = triage(run(), ASKED, POLICY, [pull()], None, NAMED)
    assert isinstance(decision, Judge)
    assert not decision.trial


def test_the_first_attempt_is_judged_as_it_was_although_a_trial_has_begun() -> None:
    decision = triage(run(attempt=1), FIRST, POLICY, [pull()], run(completed=False, conclusion=None), TRIAL)
    assert isinstance(decision, Judge)
    assert (decision.attempt, decision.trial) == (FIRST, False)


@pytest.mark.parametrize("reruns", [NO_RERUNS, NAMED, TRIAL])
def test_a_newer_attempt_that_was_read_replaces_an_older_one(reruns: Reruns) -> None:
    """Whoever reads the run has to read it at the attempt that counts; what is newer here is taken for newer."""
    decision = triage(run(attempt=2), FIRST, POLICY, [pull()], None, reruns)
    assert isinstance(decision, Ignore)
    assert decision.cause is Cause.NEWER_ATTEMPT


@pytest.mark.parametrize("conclusion", [Conclusion.CANCELLED, Conclusion.TIMED_OUT, Conclusion.STARTUP_FAILURE])
def test_a_trial_without_anything_to_judge_is_settled_as_one(conclusion: Conclusion) -> None:
    decision = triage(run(conclusion=conclusion), ASKED, POLICY, [pull()], None, TRIAL)
    assert isinstance(decision, FinishWithoutJudging)
    assert decision.trial


@pytest.mark.parametrize("reruns", [TRIAL, NAMED])
def test_an_attempt_that_the_bot_asked_for_is_waited_for(reruns: Reruns) -> None:
    decision = triage(run(attempt=1), ASKED, POLICY, [pull()], None, reruns)
    assert decision == Wait(subject=subject(), attempt=ASKED)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"path": ".github/workflows/evil.yml"}, Cause.OTHER_WORKFLOW),
        ({"id": 8}, Cause.OTHER_ATTEMPT),
        ({"repository_id": 9}, Cause.OTHER_REPOSITORY),
    ],
)
def test_a_trial_is_checked_like_every_attempt(changes: dict[str, Any], cause: Cause) -> None:
    decision = triage(run(**changes), ASKED, POLICY, [pull()], None, TRIAL)
    assert isinstance(decision, Ignore)
    assert decision.cause is cause


def test_nothing_goes_pending_for_a_trial() -> None:
    requested = run(completed=False, conclusion=None)
    left = announce(requested, POLICY, [pull()], None, TRIAL)
    assert isinstance(left, Ignore)
    assert left.cause is Cause.TRIAL
    assert announce(requested, POLICY, [pull()], None, NAMED) == subject()
    assert announce(run(attempt=1), POLICY, [pull()], None, TRIAL) == subject()
