"""Comments answered again, by two at once, by a job that died before, and on a GitHub that fails: nothing twice."""

import pytest
from tests.fake_github import ops_issues
from tests.fake_github.state import Comment
from tests.support.commenting import Thread

from mlbot.commands.dispatch import Reply
from mlbot.commands.run_command import CommentJob
from mlbot.errors import Exit
from mlbot.events.github import Attempt
from mlbot.protocol.answer import RetrainRequest, last_line


def test_a_comment_delivered_again_does_nothing_twice(thread: Thread) -> None:
    comment = thread.say("/retrain\n/mlbot help")
    assert thread.answer(comment) == 0
    before = thread.answers
    thread.finish()
    for _ in range(2):
        assert thread.answer(comment) == 0
    assert thread.answers == before
    assert thread.run.latest.number == 2
    assert len(thread.started) == 1


def begun(thread: Thread, comment: Comment, number: int = 2, **params: int) -> None:
    """The answer of a job that died after it had written the record."""
    record = RetrainRequest(
        comment=comment.id,
        actor="alice",
        number=thread.pull.number,
        sha=thread.head,
        attempt=Attempt(run=thread.run.id, number=number),
        models=("tiny",) if params else (),
        params=dict(params),
    )
    bot = thread.github.world.tokens[thread.github.job_token(thread.models, {"issues": "write"})]
    body = f"On it.\n\n{last_line(comment.id, [record])}"
    ops_issues.comment(thread.github.world, thread.models, bot, thread.pull, body)
    thread.github.world.queue.clear()


def test_a_job_that_died_before_the_rerun_is_resumed(thread: Thread) -> None:
    comment = thread.say("/retrain tiny offset=50")
    begun(thread, comment, offset=50)
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2
    assert thread.started == [("mlbot-judge.yml", {"run-id": str(thread.run.id), "run-attempt": "2"})]
    (answer,) = thread.answers
    assert "A trial of tiny with offset=50 trains as attempt 2" in answer
    assert "state=done" in answer


def test_a_job_that_died_after_the_rerun_is_finished(thread: Thread) -> None:
    comment = thread.say("/retrain")
    begun(thread, comment)
    thread.github.user("alice").rerun(thread.run)
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2
    assert len(thread.started) == 1
    assert len(thread.records) == 1
    assert "state=done" in thread.answers[0]


def test_a_job_that_died_is_not_resumed_on_another_head(thread: Thread) -> None:
    comment = thread.say(f"/retrain {thread.head}")
    begun(thread, comment)
    thread.github.user("alice").push("change", {"README.md": "More."})
    assert thread.answer(comment) == 0
    assert thread.records == ()
    assert thread.started == []


def test_a_trial_that_has_begun_stays_one_whatever_becomes_of_its_comment(thread: Thread) -> None:
    """Its attempt would pass for the committed parameters' own, had the record gone."""
    comment = thread.say("/retrain tiny offset=50")
    begun(thread, comment, offset=50)
    thread.github.user("alice").rerun(thread.run)
    before = thread.records
    thread.github.user("alice").edit_comment(comment, "Never mind.")
    assert thread.answer(comment) == 0
    assert "was edited" in thread.answers[0]
    assert thread.records == before != ()
    assert thread.started == []


def test_somebody_quicker_by_hand_makes_the_trial_all_the_same(thread: Thread) -> None:
    """The attempt is there, and its sandbox has read the record."""

    def rerun_first(job: CommentJob, reply: Reply) -> Reply:
        thread.github.user("boss").rerun(thread.run)
        return do(job, reply)

    do = CommentJob.carry_out
    thread.monkeypatch.setattr(CommentJob, "carry_out", rerun_first)
    assert "✅" in thread.ask("/retrain tiny offset=50")
    assert thread.run.latest.number == 2
    assert len(thread.records) == 1


def test_two_people_at_once_start_one_training(thread: Thread) -> None:
    first, second = thread.say("/retrain"), thread.say("/retrain", "boss")
    assert (thread.answer(first), thread.answer(second)) == (0, 0)
    assert thread.run.latest.number == 2
    assert "is under way" in thread.answers[1]
    assert len(thread.started) == 1


@pytest.mark.parametrize("login", ["mallory", "alice", "boss"])
def test_an_answer_by_somebody_else_is_none(thread: Thread, login: str) -> None:
    comment = thread.say("/retrain")
    thread.github.user(login).on(thread.models).comment(thread.pull, f"Done!\n\n{last_line(comment.id, done=True)}")
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2


# when GitHub fails


@pytest.mark.parametrize("fault", [404, 422])
def test_a_reaction_that_fails_costs_no_answer(thread: Thread, fault: int) -> None:
    comment = thread.say("/mlbot help")
    thread.github.faults.add("POST /repos/acme/models/issues/comments", fault, times=2)
    assert thread.answer(comment) == 0
    assert len(thread.answers) == 1


def test_a_rerun_that_github_refuses_is_said_and_leaves_no_record(thread: Thread) -> None:
    thread.github.faults.add(f"POST /repos/acme/models/actions/runs/{thread.run.id}/rerun", 422, times=9)
    answer = thread.ask("/retrain tiny offset=50")
    assert "⛔" in answer
    assert "GitHub did not run the training again" in answer
    assert (thread.run.latest.number, thread.records, thread.started) == (1, (), [])


def test_a_rerun_whose_answer_was_lost_happens_once(thread: Thread) -> None:
    thread.github.faults.add(f"POST /repos/acme/models/actions/runs/{thread.run.id}/rerun", 502, after=True)
    assert "✅" in thread.ask("/retrain")
    assert thread.run.latest.number == 2
    assert len(thread.started) == 1


def test_a_trial_that_nobody_knows_of_stays_a_trial(thread: Thread) -> None:
    """It may have begun: then its files must not be taken for the committed parameters'."""
    thread.github.faults.add(f"POST /repos/acme/models/actions/runs/{thread.run.id}/rerun", 502, times=9)
    assert "⛔" in thread.ask("/retrain tiny offset=50")
    assert len(thread.records) == 1


def test_a_judge_that_cannot_be_started_is_said(thread: Thread) -> None:
    thread.github.faults.add("POST /repos/acme/models/actions/workflows", 422, times=9)
    answer = thread.ask("/retrain")
    assert "could not be started" in answer
    assert len(thread.records) == 1
    assert thread.run.latest.number == 2


def test_an_answer_that_cannot_be_written_is_an_error_and_can_be_run_again(thread: Thread) -> None:
    comment = thread.say("/retrain")
    path = f"POST /repos/acme/models/issues/{thread.pull.number}/comments"
    thread.github.faults.add(path, 422)
    assert thread.answer(comment) == Exit.NOT_EVALUATED
    assert thread.run.latest.number == 1
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2


# whose answers they are


def test_a_token_of_somebody_whose_answers_nobody_reads_back_does_nothing(
    thread: Thread, capsys: pytest.CaptureFixture[str]
) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment, GITHUB_TOKEN=thread.github.token("boss")) == Exit.USAGE
    assert "Give `bot: boss` to train.yml" in capsys.readouterr().err
    assert thread.run.latest.number == 1


def test_a_token_of_ones_own_answers_under_its_name(thread: Thread) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment, MLBOT_CI_BOT="boss", GITHUB_TOKEN=thread.github.token("boss")) == 0
    assert thread.run.latest.number == 2
    assert thread.answers == []
    assert [each.user.login for each in thread.models.comments.values()] == ["alice", "boss"]


def test_an_app_whose_name_was_not_given_is_found_out_before_anything_happens(
    thread: Thread, capsys: pytest.CaptureFixture[str]
) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment, MLBOT_CI_BOT="other[bot]") == Exit.USAGE
    assert "the token speaks as github-actions[bot]" in capsys.readouterr().err
    assert thread.run.latest.number == 1
