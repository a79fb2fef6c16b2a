"""Which runs are judged, for whom, and what becomes of the others."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.forge_samples import ASKED, FORK, HEAD, OLD, OURS, POLICY, pull, run, subject
from tests.support.reruns_samples import request

from mlbot.events.github import Attempt, Conclusion, PullRequest, Run, State
from mlbot.judging.admission import Around, announce, triage
from mlbot.protocol.answer import Reruns
from mlbot.protocol.decision import (
    NO_RERUNS,
    Cause,
    Decision,
    FinishWithoutJudging,
    Ignore,
    Judge,
    MergeGroupSubject,
    Policy,
    PushSubject,
    Subject,
    Wait,
)


def decided(
    found: Run,
    asked: Attempt,
    policy: Policy,
    pulls: Sequence[PullRequest],
    event_run: Run | None = None,
    reruns: Reruns = NO_RERUNS,
) -> Decision:
    """What is decided about a run of one pull request."""
    (decision,) = triage(found, asked, policy, Around(pulls=pulls, event_run=event_run, reruns=reruns))
    return decision


def announced(found: Run, pulls: Sequence[PullRequest], reruns: Reruns = NO_RERUNS) -> Sequence[Subject] | Ignore:
    return announce(found, POLICY, Around(pulls=pulls, reruns=reruns))


def test_a_forks_pull_request_is_judged() -> None:
    assert decided(run(), ASKED, POLICY, [pull()], run()) == Judge(subject=subject(), attempt=ASKED)


def test_a_branch_of_the_repository_is_no_fork() -> None:
    decision = decided(run(head_repository_id=OURS), ASKED, POLICY, [pull(head_repository_id=OURS)])
    assert isinstance(decision, Judge)
    assert decision.subject == subject(head_repository_id=OURS, fork=False)


def test_a_run_that_failed_is_judged_too() -> None:
    assert isinstance(decided(run(conclusion=Conclusion.FAILURE), ASKED, POLICY, [pull()]), Judge)


LEFT: list[tuple[str, dict[str, Any], list[PullRequest], Cause]] = [
    ("another repository's run", {"repository_id": 9}, [pull()], Cause.OTHER_REPOSITORY),
    ("a workflow of the same name elsewhere", {"path": ".github/workflows/evil.yml"}, [pull()], Cause.OTHER_WORKFLOW),
    ("another event", {"event": "workflow_dispatch"}, [pull()], Cause.OTHER_EVENT),
    ("pull_request_target", {"event": "pull_request_target"}, [pull()], Cause.OTHER_EVENT),
    ("another run", {"id": 8}, [pull()], Cause.OTHER_ATTEMPT),
    ("an attempt that is not there yet", {"attempt": 1}, [pull()], Cause.OTHER_ATTEMPT),
    ("a newer attempt", {"attempt": 3}, [pull()], Cause.NEWER_ATTEMPT),
    ("no pull request", {}, [], Cause.NO_PULL_REQUEST),
    ("a closed one", {}, [pull(open=False)], Cause.NO_PULL_REQUEST),
    ("a pull request of another base", {}, [pull(base_repository_id=3)], Cause.NO_PULL_REQUEST),
    ("another pull request of the same fork", {}, [pull(head_sha=OLD, head_ref="x")], Cause.NO_PULL_REQUEST),
    ("a newer head", {}, [pull(head_sha=OLD)], Cause.STALE_HEAD),
    ("another repository's without a repository", {"event": "push"}, [pull()], Cause.OTHER_REPOSITORY),
]


@pytest.mark.parametrize(("changes", "pulls", "cause"), [case[1:] for case in LEFT], ids=[case[0] for case in LEFT])
def test_nothing_is_posted(changes: dict[str, Any], pulls: list[PullRequest], cause: Cause) -> None:
    decision = decided(run(**changes), ASKED, POLICY, pulls)
    assert isinstance(decision, Ignore)
    assert decision.cause is cause
    assert decision.sentence.endswith(".")


@pytest.mark.parametrize(
    "changes", [{"head_sha": OLD}, {"head_repository_id": 9}, {"path": "x"}, {"event": "push"}, {"repository_id": 9}]
)
def test_an_event_that_tells_otherwise_than_the_api(changes: dict[str, Any]) -> None:
    decision = decided(run(), ASKED, POLICY, [pull()], run(**changes))
    assert isinstance(decision, Ignore)
    assert decision.cause is Cause.EVENT_DISAGREES


def test_the_events_own_conclusion_does_not_matter() -> None:
    """`completed` can come early, and an attempt may have gone on since."""
    told = run(completed=False, conclusion=None)
    assert isinstance(decided(run(), ASKED, POLICY, [pull()], told), Judge)


def test_a_second_pull_request_into_another_branch_does_not_disturb() -> None:
    decision = decided(run(), ASKED, POLICY, [pull(number=41, base_ref="dev"), pull()])
    assert isinstance(decision, Judge)
    assert decision.subject == subject()


def test_a_config_may_guard_other_branches() -> None:
    policy = POLICY.model_copy(update={"guard": ("release",)})
    assert isinstance(decided(run(), ASKED, policy, [pull()]), FinishWithoutJudging)
    assert isinstance(decided(run(), ASKED, policy, [pull(base_ref="release")]), Judge)


SETTLED: list[tuple[Conclusion, bool, Cause, State]] = [
    (Conclusion.CANCELLED, False, Cause.CANCELLED, State.ERROR),
    (Conclusion.TIMED_OUT, False, Cause.TIMED_OUT, State.ERROR),
    (Conclusion.ACTION_REQUIRED, False, Cause.NEEDS_APPROVAL, State.PENDING),
    (Conclusion.STARTUP_FAILURE, False, Cause.DID_NOT_START, State.ERROR),
    (Conclusion.STALE, False, Cause.DID_NOT_START, State.ERROR),
    (Conclusion.SKIPPED, False, Cause.SKIPPED, State.ERROR),
    (Conclusion.SKIPPED, True, Cause.DRAFT, State.PENDING),
    (Conclusion.CANCELLED, True, Cause.CANCELLED, State.ERROR),
]


@pytest.mark.parametrize(("conclusion", "draft", "cause", "state"), SETTLED)
def test_a_run_without_anything_to_judge(
    conclusion: Conclusion,
    draft: bool,  # noqa: FBT001 - a table
    cause: Cause,
    state: State,
) -> None:
    decision = decided(run(conclusion=conclusion), ASKED, POLICY, [pull(draft=draft)])
    assert isinstance(decision, FinishWithoutJudging)
    assert (decision.cause, decision.state, decision.subject) == (cause, state, subject(draft=draft))


@pytest.mark.parametrize(
    "changes",
    [{"completed": False, "conclusion": None}, {"conclusion": None}, {"completed": False}],
)
def test_a_run_that_is_not_over_is_waited_for(changes: dict[str, Any]) -> None:
    assert decided(run(**changes), ASKED, POLICY, [pull()]) == Wait(subject=subject(), attempt=ASKED)


def test_a_run_that_waits_for_approval_need_not_be_complete() -> None:
    waiting = run(completed=False, conclusion=Conclusion.ACTION_REQUIRED)
    assert isinstance(decided(waiting, ASKED, POLICY, [pull()]), FinishWithoutJudging)


QUEUE = f"gh-readonly-queue/main/pr-42-{OLD}"


def queued(**changes: Any) -> Run:
    return run(**({"event": "merge_group", "head_branch": QUEUE, "head_repository_id": OURS} | changes))


def test_a_merge_group_is_judged_for_its_branch() -> None:
    decision = decided(queued(), ASKED, POLICY, [])
    assert isinstance(decision, Judge)
    assert decision.subject == MergeGroupSubject(sha=HEAD, branch="main")


@pytest.mark.parametrize("branch", [None, "main", "gh-readonly-queue/dev/pr-42-" + OLD, f"x/{QUEUE}", f"{QUEUE}0"])
def test_a_merge_group_of_no_guarded_branch(branch: str | None) -> None:
    decision = decided(queued(head_branch=branch), ASKED, POLICY, [])
    assert isinstance(decision, Ignore)
    assert decision.cause is Cause.NOT_GUARDED


def test_a_push_to_the_guarded_branch() -> None:
    decision = decided(run(event="push", head_branch="main", head_repository_id=OURS), ASKED, POLICY, [])
    assert isinstance(decision, Judge)
    assert decision.subject == PushSubject(sha=HEAD, branch="main")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"head_branch": "dev"}, Cause.NOT_GUARDED),
        ({"head_branch": None}, Cause.NOT_GUARDED),
        ({"head_repository_id": FORK}, Cause.OTHER_REPOSITORY),
        ({"head_repository_id": None}, Cause.OTHER_REPOSITORY),
    ],
)
def test_a_push_elsewhere(changes: dict[str, Any], cause: Cause) -> None:
    fields: dict[str, Any] = {"event": "push", "head_branch": "main", "head_repository_id": OURS}
    decision = decided(run(**(fields | changes)), ASKED, POLICY, [])
    assert isinstance(decision, Ignore)
    assert decision.cause is cause


def test_a_requested_run_is_announced_under_the_same_checks() -> None:
    requested = run(completed=False, conclusion=None)
    assert announced(requested, [pull()]) == (subject(),)
    forged = announced(run(path="evil.yml"), [pull()])
    assert isinstance(forged, Ignore)


@pytest.mark.parametrize(
    "changes", [{"open": False}, {"number": 43}, {"head_sha": OLD}, {"head_repository_id": None}, {"base_ref": "dev"}]
)
def test_the_look_before_each_write(changes: dict[str, Any]) -> None:
    assert subject().is_still(pull())
    assert not subject().is_still(pull(**changes))


shas = st.sampled_from([HEAD, OLD])
pulls = st.builds(
    pull,
    number=st.integers(1, 3),
    open=st.booleans(),
    head_sha=shas,
    head_repository_id=st.sampled_from([OURS, FORK, None]),
    base_ref=st.sampled_from(["main", "dev"]),
    base_repository_id=st.sampled_from([OURS, FORK]),
)


@given(
    st.builds(
        run,
        head_sha=shas,
        head_repository_id=st.sampled_from([OURS, FORK, None]),
        event=st.sampled_from(["pull_request", "push", "merge_group", "schedule"]),
        path=st.sampled_from([POLICY.train_path, "other.yml"]),
        conclusion=st.sampled_from([*Conclusion, None]),
    ),
    st.lists(pulls, max_size=4),
)
def test_only_the_right_pull_requests_are_ever_judged(candidate: Run, open_pulls: list[PullRequest]) -> None:
    """And each of them: none is left out in silence."""
    decisions = triage(candidate, ASKED, POLICY, Around(pulls=open_pulls))
    right = [
        each
        for each in open_pulls
        if each.open
        and each.head_sha == candidate.head_sha
        and (each.base_ref, each.base_repository_id) == ("main", OURS)
    ]
    if candidate.event == "schedule" or candidate.path != POLICY.train_path:
        assert [each.kind for each in decisions] == ["ignore"]
    elif candidate.event == "pull_request" and right:
        subjects = [getattr(each, "subject", None) for each in decisions]
        assert sorted(each.number for each in right) == [getattr(each, "number", None) for each in subjects]
        for each in decisions:
            if isinstance(each, Judge):
                assert candidate.conclusion in {Conclusion.SUCCESS, Conclusion.FAILURE, Conclusion.NEUTRAL}
                assert getattr(each.subject, "head_repository_id", None) == candidate.head_repository_id
            else:
                assert getattr(each, "state", None) is not State.SUCCESS


GONE = [
    ({"head_repository_id": None, "head_owner": None}, {"head_repository_id": None}),
    ({}, {"head_repository_id": None}),
    ({}, {"head_repository_id": None, "author": None}),
    ({"conclusion": Conclusion.SKIPPED}, {"head_repository_id": None, "draft": True}),
]


@pytest.mark.parametrize(("of_run", "of_pull"), GONE)
def test_a_fork_that_is_gone_is_an_error_that_says_so(of_run: dict[str, Any], of_pull: dict[str, Any]) -> None:
    """Also where the event still knew it."""
    decision = decided(run(**of_run), ASKED, POLICY, [pull(**of_pull)], run())
    assert isinstance(decision, FinishWithoutJudging)
    assert (decision.cause, decision.state) == (Cause.HEAD_REPOSITORY_GONE, State.ERROR)


def test_a_head_of_unguarded_branches_alone_ends_with_success() -> None:
    into_dev = pull(base_ref="dev")
    decision = decided(run(), ASKED, POLICY, [into_dev])
    assert isinstance(decision, FinishWithoutJudging)
    assert (decision.cause, decision.state, decision.subject.branch) == (Cause.NOT_GUARDED, State.SUCCESS, "dev")
    left = announced(run(completed=False, conclusion=None), [into_dev])
    assert isinstance(left, Ignore)
    assert left.cause is Cause.NOT_GUARDED


def test_a_guarded_branch_that_is_proposed_for_an_unguarded_one_keeps_what_came_of_its_push() -> None:
    sync = pull(head_ref="main", head_repository_id=OURS, base_ref="dev")
    of_main = run(head_branch="main", head_repository_id=OURS)
    decision = decided(of_main, ASKED, POLICY, [sync])
    assert isinstance(decision, Ignore)
    assert decision.cause is Cause.NOT_GUARDED
    fork = decided(run(head_branch="main"), ASKED, POLICY, [pull(head_ref="main", base_ref="dev")])
    assert isinstance(fork, FinishWithoutJudging)


BOTH = POLICY.model_copy(update={"guard": ("main", "dev")})
TWO = [pull(), pull(number=43, base_ref="dev")]


def several(found: Run, *others: Run, pulls: Sequence[PullRequest] = TWO) -> list[Decision]:
    return list(triage(found, found.this_attempt, BOTH, Around(pulls=pulls, others=others)))


def earlier(**changes: Any) -> Run:
    return run(**({"id": 3, "attempt": 1} | changes))


UNDER_WAY: dict[str, Any] = {"completed": False, "conclusion": None}


def test_each_pull_request_of_a_head_is_judged_by_whichever_run_has_its_files() -> None:
    """The newest first; nothing says which run is whose. Each word counts as the newest run's."""
    newest, old = ASKED, Attempt(run=3)
    expected = [
        Judge(subject=subject(), attempt=newest, others=(old,)),
        Judge(subject=subject(number=43, branch="dev"), attempt=newest, others=(old,)),
    ]
    assert several(run(), earlier()) == expected
    assert several(earlier(), run()) == [each.model_copy(update={"attempt": newest}) for each in expected]


def test_a_pull_request_whose_run_may_be_under_way_has_no_verdict_by_anothers() -> None:
    for each in several(run(), earlier(**UNDER_WAY)):
        assert isinstance(each, Judge)
        assert each.coming


def test_the_same_commit_from_another_fork_shares_the_status_and_no_files() -> None:
    other = pull(number=43, base_ref="dev", head_repository_id=3, head_ref="x")
    first, second = several(run(), pulls=[pull(), other])
    assert isinstance(first, Judge)
    assert isinstance(second, FinishWithoutJudging)
    assert (second.cause, second.state) == (Cause.OWN_RUN, State.PENDING)
    first, second = several(run(), earlier(head_repository_id=3, head_branch="x"), pulls=[pull(), other])
    assert isinstance(second, Judge)
    assert (second.attempt, second.speaks_as) == (Attempt(run=3), ASKED)


@pytest.mark.parametrize("cause", ["closed", "an edited title"])
def test_a_run_that_trained_nothing_has_the_earlier_ones_judged(cause: str) -> None:
    del cause
    skipped = run(id=9, attempt=1, conclusion=Conclusion.SKIPPED)
    (left,) = several(skipped, run(), earlier(), pulls=[pull()])
    assert left == Judge(subject=subject(), attempt=ASKED, others=(Attempt(run=3),), instead_of=Attempt(run=9))
    (left,) = several(skipped, run(**UNDER_WAY), earlier(), pulls=[pull()])
    assert isinstance(left, FinishWithoutJudging)
    assert (left.cause, left.state, left.attempt) == (Cause.OWN_RUN, State.PENDING, Attempt(run=9))


def test_of_one_pull_request_the_newest_run_decides() -> None:
    """Not an older one that passed, where the newest failed, was cancelled, or is under way."""
    (late,) = several(earlier(), run(), pulls=[pull()])
    assert late == Judge(subject=subject(), attempt=ASKED)
    (late,) = several(earlier(), run(**UNDER_WAY), pulls=[pull()])
    assert isinstance(late, FinishWithoutJudging)
    assert late.cause is Cause.OWN_RUN
    (late,) = several(run(conclusion=Conclusion.CANCELLED), earlier(), pulls=[pull()])
    assert isinstance(late, FinishWithoutJudging)
    assert (late.cause, late.state) == (Cause.CANCELLED, State.ERROR)


def test_a_trial_is_shown_on_the_pull_request_that_asked_for_it_alone() -> None:
    reruns = Reruns(requests=(request(2, "income", lr=0.2),))
    asked_on = reruns.requests[0].number
    pulls = [pull(number=asked_on), pull(number=asked_on + 1, base_ref="dev")]
    (decision,) = triage(run(), ASKED, BOTH, Around(pulls=pulls, reruns=reruns, others=[earlier()]))
    assert isinstance(decision, Judge)
    assert (getattr(decision.subject, "number", None), decision.trial) == (asked_on, True)
    (decision,) = triage(run(), ASKED, BOTH, Around(pulls=pulls[1:], reruns=reruns))
    assert isinstance(decision, Ignore)


TRIAL = Reruns(requests=(request(2, "income", lr=0.2),))
NAMED = Reruns(requests=(request(2, "income"),))
FIRST = Attempt(run=7, number=1)


def test_a_trial_is_judged_as_one() -> None:
    decision = decided(run(), ASKED, POLICY, [pull()], None, TRIAL)
    assert decision == Judge(subject=subject(), attempt=ASKED, reruns=TRIAL)
    assert isinstance(decision, Judge)
    assert decision.trial


def test_a_named_retrain_counts() -> None:
    decision = decided(run(), ASKED, POLICY, [pull()], None, NAMED)
    assert isinstance(decision, Judge)
    assert not decision.trial


def test_the_first_attempt_is_judged_as_it_was_although_a_trial_has_begun() -> None:
    decision = decided(run(attempt=1), FIRST, POLICY, [pull()], run(completed=False, conclusion=None), TRIAL)
    assert isinstance(decision, Judge)
    assert (decision.attempt, decision.trial) == (FIRST, False)


@pytest.mark.parametrize("reruns", [NO_RERUNS, NAMED, TRIAL])
def test_a_newer_attempt_that_was_read_replaces_an_older_one(reruns: Reruns) -> None:
    """Whoever reads the run has to read it at the attempt that counts; what is newer here is taken for newer."""
    decision = decided(run(attempt=2), FIRST, POLICY, [pull()], None, reruns)
    assert isinstance(decision, Ignore)
    assert decision.cause is Cause.NEWER_ATTEMPT


@pytest.mark.parametrize("conclusion", [Conclusion.CANCELLED, Conclusion.TIMED_OUT, Conclusion.STARTUP_FAILURE])
def test_a_trial_without_anything_to_judge_is_settled_as_one(conclusion: Conclusion) -> None:
    decision = decided(run(conclusion=conclusion), ASKED, POLICY, [pull()], None, TRIAL)
    assert isinstance(decision, FinishWithoutJudging)
    assert decision.trial


@pytest.mark.parametrize("reruns", [TRIAL, NAMED])
def test_an_attempt_that_the_bot_asked_for_is_waited_for(reruns: Reruns) -> None:
    decision = decided(run(attempt=1), ASKED, POLICY, [pull()], None, reruns)
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
    decision = decided(run(**changes), ASKED, POLICY, [pull()], None, TRIAL)
    assert isinstance(decision, Ignore)
    assert decision.cause is cause


def test_nothing_goes_pending_for_a_trial() -> None:
    requested = run(completed=False, conclusion=None)
    left = announced(requested, [pull()], TRIAL)
    assert isinstance(left, Ignore)
    assert left.cause is Cause.TRIAL
    assert announced(requested, [pull()], NAMED) == (subject(),)
    assert announced(run(attempt=1), [pull()], TRIAL) == (subject(),)
