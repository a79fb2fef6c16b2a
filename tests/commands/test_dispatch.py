"""What is done about a command, from facts: each refusal with no effect, each effect with its record."""

from enum import StrEnum

import pytest
from tests.support.command_samples import (
    CONFIG,
    HEAD,
    OTHER,
    REFUSED,
    answers,
    decided,
    event,
    facts,
    fork,
    ours,
    parsed,
    pull,
    text_of,
)
from tests.support.forge_samples import POLICY

from mlbot.commands import retrain, waive
from mlbot.commands.dispatch import LIMIT, refusals
from mlbot.commands.facts import Facts, Reason
from mlbot.commands.parser import parse_comment
from mlbot.commands.run_command import commands_before
from mlbot.events.github import Attempt, Comment, Conclusion, Edits, Role
from mlbot.protocol.answer import RetrainRequest, WaiverRequest
from mlbot.protocol.operations import CancelRun, Dispatch, Rerun, SetStatus


@pytest.mark.parametrize(("body", "known", "reason", "words"), REFUSED, ids=[f"{b}-{r}" for b, _, r, _ in REFUSED])
def test_a_refusal_is_a_sentence_without_effect(body: str, known: Facts, reason: StrEnum, words: str) -> None:
    found = decided(body, known)
    assert found.reason is reason
    assert words in text_of(body, known)
    assert found.reason is not Reason.DONE
    assert (found.effects, found.records) == ((), ())


def test_every_reason_is_met_by_a_test() -> None:
    tested = {reason for _, _, reason, _ in REFUSED}
    elsewhere = {
        Reason.DONE,
        Reason.EDITED,
        Reason.EDITS_UNKNOWN,
        Reason.TOO_OFTEN,
        Reason.ONE_AT_A_TIME,
        Reason.CHANGED_MEANWHILE,
        Reason.NOT_RERUN,
        Reason.NO_WORKFLOW,
        Reason.NOT_STARTED,
        Reason.NOT_DONE,
    }
    assert {*Reason, *retrain.Refusal, *waive.Refusal} - tested == elsewhere


@pytest.mark.parametrize("body", ["/retrain", "/mlbot status"])
def test_an_edited_comment_is_refused(body: str) -> None:
    assert decided(body, facts(), edits=Edits.SOME).reason is Reason.EDITED
    assert decided(body, facts(), edits=Edits.UNKNOWN).reason is Reason.EDITS_UNKNOWN
    assert decided("/retrian", facts(), edits=Edits.UNKNOWN).reason is Reason.MISUNDERSTOOD


@pytest.mark.parametrize("role", ["none", "read", "triage"])
def test_who_has_no_role_is_refused_before_anything_is_read(role: Role) -> None:
    lines = parse_comment("/retrain\n/judge\n/mlbot cancel\n/release income\n/retrian")
    assert None not in refusals(lines, event(), role, earlier=0)


def test_a_retraining_is_recorded_run_judged_and_shown_in_this_order() -> None:
    found = decided("/retrain", facts())
    attempt = Attempt(run=7, number=2)
    assert found.reason is Reason.DONE
    assert found.records == (RetrainRequest(comment=500, actor="alice", number=42, sha=HEAD, attempt=attempt),)
    rerun, dispatch, status = found.effects
    assert isinstance(rerun, Rerun)
    assert (rerun.attempt, rerun.subject.sha) == (attempt, HEAD)
    assert dispatch == Dispatch(workflow="mlbot-judge.yml", ref="main", inputs={"run-id": "7", "run-attempt": "2"})
    assert isinstance(status, SetStatus)
    assert (status.state, status.attempt, status.subject.sha) == ("pending", attempt, HEAD)


def test_where_several_branches_are_guarded_each_has_its_own_status_pending_too() -> None:
    policy = POLICY.model_copy(update={"guard": ("main", "dev")})
    found = decided("/retrain", facts(policy=policy))
    statuses = [each for each in found.effects if isinstance(each, SetStatus)]
    assert [(each.context, each.state) for each in statuses] == [("mlbot/main", "pending"), ("mlbot", "pending")]


@pytest.mark.parametrize("known", [facts(), fork()])
def test_a_whole_sha_of_the_head_is_taken_from_anywhere(known: Facts) -> None:
    assert decided(f"/retrain {HEAD}", known).reason is Reason.DONE


def test_a_fork_is_offered_the_line_to_copy() -> None:
    found = decided("/retrain income depth=3", fork())
    assert found.values["again"].endswith(f" {HEAD}")
    assert decided(found.values["again"], fork()).reason is Reason.DONE


def test_models_are_named_in_the_record() -> None:
    (record,) = decided("/retrain churn income", facts()).records
    assert isinstance(record, RetrainRequest)
    assert (record.models, record.params) == (("churn", "income"), {})


def test_a_model_that_the_change_adds_may_be_named() -> None:
    found = decided("/retrain new", facts(head_models={"new": ()}))
    assert found.reason is Reason.DONE


def test_a_trial_sets_no_status() -> None:
    found = decided("/retrain income depth=3 rate=0.20", facts())
    assert found.reason is Reason.DONE
    (record,) = found.records
    assert isinstance(record, RetrainRequest)
    assert record.params == {"depth": 3, "rate": 0.2}
    assert [effect.kind for effect in found.effects] == ["rerun", "dispatch"]


def test_a_draft_is_trained_by_its_first_run() -> None:
    """The runs of edited titles would skip the training again."""
    skipped = [*ours(id=9, conclusion=Conclusion.SKIPPED), *ours(id=8, conclusion=Conclusion.SKIPPED)]
    (rerun, *_) = decided("/retrain", facts(pull=pull(draft=True), runs=tuple(skipped))).effects
    assert isinstance(rerun, Rerun)
    assert rerun.attempt == Attempt(run=8, number=2)


def test_an_edited_titles_run_is_not_the_training() -> None:
    known = facts(runs=(*ours(id=9, conclusion=Conclusion.SKIPPED), *ours(id=7)))
    (rerun, *_) = decided("/retrain", known).effects
    assert isinstance(rerun, Rerun)
    assert rerun.attempt.run == 7


def test_judging_again_takes_the_newest_attempt_that_is_no_trial() -> None:
    trial = RetrainRequest(
        comment=3, actor="bob", number=42, sha=HEAD, attempt=Attempt(run=7, number=3), params={"depth": 3}
    )
    for runs in (ours(attempt=3), ours(attempt=3, completed=False, conclusion=None)):
        found = decided("/judge", facts(runs=runs, records=(trial,)))
        assert found.reason is Reason.DONE
        assert found.effects == (
            Dispatch(workflow="mlbot-judge.yml", ref="main", inputs={"run-id": "7", "run-attempt": "2"}),
        )


def test_a_waiver_is_recorded_and_judged() -> None:
    known = facts(role="maintain", pull=pull(author="bob"))
    found = decided('/waive income:roc_auc.min reason="Agreed."', known)
    assert found.reason is Reason.DONE
    assert found.records == (
        WaiverRequest(
            comment=500, actor="alice", number=42, sha=HEAD, model="income", gate="roc_auc.min", reason="Agreed."
        ),
    )
    assert [effect.kind for effect in found.effects] == ["dispatch"]


@pytest.mark.parametrize("gate", ["income:roc_auc", "income:deleted", "new:anything"])
def test_whatever_the_judge_can_bind_may_be_waived(gate: str) -> None:
    new = parsed(CONFIG).models[0].gates
    known = facts(role="admin", pull=pull(author="bob"), head_models={"new": new})
    expected = waive.Refusal.UNKNOWN_GATE if gate == "new:anything" else Reason.DONE
    assert decided(f'/waive {gate} reason="x"', known).reason is expected


def test_who_the_config_lists_may_waive() -> None:
    config = parsed(CONFIG + "waivers: {by: [Alice]}\n")
    assert decided('/waive churn:f1 reason="x"', facts(config=config, pull=pull(author="b"))).reason is Reason.DONE
    own = parsed(CONFIG + "waivers: {by: [Alice], author: true}\n")
    assert decided('/waive churn:f1 reason="x"', facts(config=own)).reason is Reason.DONE


def test_a_waiver_for_a_head_that_was_pushed_since_is_refused() -> None:
    known = facts(role="maintain", pull=pull(author="bob"), runs=ours(created="2026-11-20T12:00:05Z"))
    assert decided('/waive churn:f1 reason="x"', known).reason is Reason.HEAD_MOVED


def test_a_waiver_while_it_trains_waits_for_the_verdict() -> None:
    known = facts(role="maintain", pull=pull(author="bob"), runs=ours(completed=False, conclusion=None))
    found = decided('/waive churn:f1 reason="x"', known)
    assert (found.reason, found.effects, len(found.records)) == (Reason.DONE, (), 1)


def test_all_that_runs_is_cancelled() -> None:
    runs = (*ours(id=9, completed=False, conclusion=None), *ours(id=8, completed=False, conclusion=None), *ours())
    found = decided("/mlbot cancel", facts(runs=runs))
    assert found.effects[:2] == (CancelRun(run=9), CancelRun(run=8))
    (status,) = found.effects[2:]
    assert isinstance(status, SetStatus)
    assert (status.state, status.attempt.run) == ("error", 9)


def test_a_cancelled_trial_leaves_the_status() -> None:
    trial = RetrainRequest(
        comment=3, actor="bob", number=42, sha=HEAD, attempt=Attempt(run=7, number=2), params={"depth": 3}
    )
    known = facts(runs=ours(attempt=2, completed=False, conclusion=None), records=(trial,))
    assert decided("/mlbot cancel", known).effects == (CancelRun(run=7),)


@pytest.mark.parametrize("role", ["none", "read"])
@pytest.mark.parametrize("body", ["/mlbot help", "/mlbot status"])
def test_anybody_may_ask(body: str, role: str) -> None:
    found = decided(body, facts(role=role, pull=pull(open=False)))
    assert (found.reason, found.effects) == (Reason.DONE, ())


def test_releases_are_handed_on() -> None:
    found = decided("/release income minor", facts(pull=None, runs=()))
    assert found.reason is Reason.DONE
    assert found.effects == (Dispatch(workflow="mlbot-release.yml", ref="main", inputs={"comment": "500"}),)


@pytest.mark.parametrize("second", ["/retrain", "/judge", "/mlbot cancel"])
def test_a_second_command_about_runs_waits_for_a_comment_of_its_own(second: str) -> None:
    first, other = (each.decision for each in answers(f"/retrain\n{second}", facts()))
    assert (first.reason, other.reason) == (Reason.DONE, Reason.ONE_AT_A_TIME)


def test_the_order_of_a_comment_is_the_order_of_its_answers() -> None:
    found = answers("/mlbot help\n\ntext\n/judge\n/mlbot status", facts())
    assert [each.text for each in found] == ["/mlbot help", "/judge", "/mlbot status"]
    assert {each.decision.reason for each in found} == {Reason.DONE}


# an earlier try to answer the same comment


def begun(number: int = 2, sha: str = HEAD, **params: int) -> RetrainRequest:
    attempt = Attempt(run=7, number=number)
    return RetrainRequest(comment=500, actor="alice", number=42, sha=sha, attempt=attempt, params=dict(params))


def test_a_record_whose_rerun_did_not_happen_is_done() -> None:
    found = decided("/retrain", facts(resumed=(begun(),)))
    assert found.records == (begun(),)
    assert found == decided("/retrain", facts())


@pytest.mark.parametrize("completed", [True, False])
def test_a_record_whose_rerun_happened_asks_for_no_other(completed: bool) -> None:  # noqa: FBT001 - a parameter
    runs = ours(attempt=2, completed=completed, conclusion=Conclusion.SUCCESS if completed else None)
    found = decided("/retrain", facts(runs=runs, resumed=(begun(),)))
    assert found.reason is Reason.DONE
    assert found.records == (begun(),)


def test_a_record_of_a_head_that_is_gone_is_left() -> None:
    found = decided("/retrain", facts(resumed=(begun(sha=OTHER),)))
    assert (found.reason, found.records, found.effects) == (Reason.CHANGED_MEANWHILE, (), ())


# the limit


@pytest.mark.parametrize(("earlier", "expected"), [(0, []), (LIMIT - 1, []), (LIMIT, [Reason.TOO_OFTEN])])
def test_the_limit_is_told(earlier: int, expected: list[Reason]) -> None:
    found = [each.decision.reason for each in answers("/mlbot help", facts(), earlier=earlier)]
    assert found == (expected or [Reason.DONE])


def test_the_limit_is_told_once() -> None:
    assert answers("/mlbot help", facts(), earlier=LIMIT + 1) == ()
    found = [each.decision.reason for each in answers("/mlbot help\n" * 5, facts(), earlier=LIMIT - 1)]
    assert found == [Reason.DONE, Reason.TOO_OFTEN]


def test_a_comment_of_many_commands_is_told_by_the_parser() -> None:
    found = [each.decision.reason for each in answers("/mlbot help\n" * 100, facts())]
    assert found == [Reason.DONE] * LIMIT + [Reason.MISUNDERSTOOD]


def test_a_hundred_commands_in_a_minute_get_ten_answers_and_one_refusal() -> None:
    """Each in a comment of its own, by GitHub's clock."""
    comments = [
        Comment(id=number, author="alice", body="/retrain", created=f"2026-11-20T12:00:{number // 2:02}Z")
        for number in range(1, 101)
    ]
    reasons = []
    for comment in comments:
        asked = event(comment=comment.id, created=comment.created)
        found = answers("/mlbot help", facts(event=asked), earlier=commands_before(comments, asked))
        reasons += [each.decision.reason for each in found]
    assert reasons == [Reason.DONE] * LIMIT + [Reason.TOO_OFTEN]


def test_only_ones_own_commands_of_the_last_minute_count() -> None:
    def comment(number: int, second: str, author: str = "alice", body: str = "/retrain\n/judge") -> Comment:
        return Comment(id=number, author=author, body=body, created=f"2026-11-20T{second}Z")

    comments = [
        comment(1, "11:58:59"),
        comment(2, "11:59:00"),
        comment(3, "11:59:01"),
        comment(4, "11:59:30", "bob"),
        comment(5, "11:59:31", body="> /retrain"),
        comment(500, "12:00:00"),
        comment(501, "12:00:00"),
    ]
    assert commands_before(comments, event()) == 2
