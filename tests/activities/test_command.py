"""Comments answered, by the command line in this process, on a fake GitHub."""

from pathlib import Path

import pytest
from tests.commenting import TUNABLE, Thread
from tests.fake_github import ops_actions, ops_issues
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Comment

from mlbot.activities.command_answer import Writer
from mlbot.core.answer import RetrainRequest, WaiverRequest, last_line
from mlbot.core.forge import Attempt
from mlbot.core.reply import Reply
from mlbot.errors import Exit

__all__ = ["github"]


@pytest.fixture
def thread(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """A pull request of a branch, trained."""
    return Thread.opened(github, tmp_path, monkeypatch).finish()


@pytest.fixture
def fork(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """A pull request of a fork, trained."""
    return Thread.opened(github, tmp_path, monkeypatch, fork=True).finish()


def test_a_training_is_run_again(thread: Thread) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2
    attempt = Attempt(run=thread.run.id, number=2)
    expected = RetrainRequest(
        comment=comment.id, actor="alice", number=thread.pull.number, sha=thread.head, attempt=attempt
    )
    assert thread.records == (expected,)
    assert thread.started == [("mlbot-judge.yml", {"run-id": str(thread.run.id), "run-attempt": "2"})]
    assert thread.statuses == [("pending", "Training what is stale again, as alice asked.")]
    assert thread.reactions(comment) == ["eyes", "rocket"]
    (answer,) = thread.answers
    assert "✅ `/retrain`: Training what is stale again, as attempt 2; the verdict follows." in answer
    assert f"/actions/runs/{thread.run.id}" in answer
    assert not thread.github.requests.refused()


REFUSED = [
    ("rita", "/retrain", "needs the role write, and rita has read"),
    ("tim", "/retrain", "needs the role write, and tim has triage"),
    ("stranger", "/retrain", "needs the role write"),
    ("alice", f"/retrain {'0' * 40}", "is not the head"),
    ("alice", "/retrain 0123456", "all 40 digits"),
    ("alice", "/retrain change", "is a branch"),
    ("alice", "/retrain tiny depth=3", "no parameter that a trial of tiny may change"),
    ("alice", "/retrain tiny offset=9001", "a whole number from 1 to 9000"),
    ("alice", "/retrain tiny offset=many", "a whole number from 1 to 9000"),
    ("alice", "/retrain teeny", "Did you mean tiny?"),
    ("alice", "/retrian", "Did you mean /retrain?"),
    ("alice", "/mlbot cancel", "No training of this pull request"),
    ("alice", '/waive tiny:roc_auc reason="Fine."', "/waive needs the role maintain"),
    ("mia", '/waive tiny:roc reason="Fine."', "Did you mean roc"),
]


@pytest.mark.parametrize(("login", "body", "words"), REFUSED)
def test_a_refusal_changes_nothing_but_the_answer(thread: Thread, login: str, body: str, words: str) -> None:
    comment = thread.say(body, login)
    assert thread.answer(comment) == 0
    (answer,) = thread.answers
    assert words in answer.replace("\\_", "_")
    assert (thread.run.latest.number, thread.started, thread.statuses, thread.records) == (1, [], [], ())
    assert thread.reactions(comment) == ["eyes", "confused"]
    writes = [each.path.rpartition("/")[2] for each in thread.github.requests.writes(by="mlbot-judge.yml")]
    assert sorted(writes) == ["comments", "reactions", "reactions"]


def refused(thread: Thread, body: str, words: str) -> None:
    """A refusal that changes nothing."""
    number = thread.run.latest.number
    assert words in thread.ask(body)
    assert (thread.run.latest.number, thread.started, thread.records) == (number, [], ())


def test_a_fork_needs_the_whole_sha(fork: Thread) -> None:
    refused(fork, "/retrain", f"/retrain {fork.head}")
    refused(fork, f"/retrain {fork.head[:10]}", "all 40 digits")
    assert "✅" in fork.ask(f"/retrain {fork.head}")
    assert fork.run.latest.number == 2


def test_a_closed_pull_request_is_not_trained(thread: Thread) -> None:
    thread.github.user("alice").close(thread.pull)
    refused(thread, "/retrain", "closed")


def test_a_fork_that_was_deleted_is_not_trained(fork: Thread) -> None:
    assert fork.pull.pull
    fork.pull.pull.head_repo = None
    refused(fork, f"/retrain {fork.head}", "is gone")


def test_an_issue_is_no_pull_request(thread: Thread) -> None:
    issue = thread.on(thread.github.user("alice").open_issue("A question"))
    assert "this is an issue" in issue.ask("/retrain")
    assert "💬" in issue.ask("/mlbot help")
    assert thread.run.latest.number == 1


def test_a_head_pushed_after_the_comment_is_not_trained(thread: Thread) -> None:
    comment = thread.say("/retrain")
    thread.later(5)
    thread.github.user("alice").push("change", {"README.md": "More."})
    ops_actions.begin(thread.github.world, thread.run)
    thread.finish()
    assert thread.answer(comment) == 0
    assert "pushed after you wrote this" in thread.answers[0]
    assert (thread.run.latest.number, thread.started) == (1, [])


def test_a_push_between_the_record_and_the_rerun_stops_it(thread: Thread) -> None:
    comment = thread.say("/retrain")

    def push_first(writer: Writer, reply: Reply) -> Reply:
        thread.github.user("alice").push("change", {"README.md": "More."})
        return do(writer, reply)

    do, first = Writer.do, thread.run
    thread.monkeypatch.setattr(Writer, "do", push_first)
    assert thread.answer(comment) == 0
    assert "changed while this was answered" in thread.answers[0]
    assert (first.latest.number, thread.started, thread.records) == (1, [], ())


def test_an_edited_comment_is_refused(thread: Thread) -> None:
    comment = thread.say("/mlbot help")
    thread.github.user("alice").edit_comment(comment, "/mlbot help\n/retrain")
    assert thread.answer(comment) == 0
    assert "was edited" in thread.answers[0]


def test_a_deleted_comment_is_left_alone(thread: Thread) -> None:
    comment = thread.say("/retrain")
    thread.github.user("alice").delete_comment(comment)
    assert thread.answer(comment) == 0
    assert (thread.answers, thread.run.latest.number) == ([], 1)


def test_bots_are_left_alone(thread: Thread) -> None:
    thread.github.world.add_user("helper[bot]", "Bot")
    for login in ("helper[bot]", "github-actions[bot]"):
        comment = thread.say("/retrain", login)
        before = len(thread.github.requests)
        assert thread.answer(comment) == 0
        assert len(thread.github.requests) == before
    assert thread.run.latest.number == 1


@pytest.mark.parametrize("body", ["Nice!", "> /retrain", "`/retrain`", "```\n/retrain\n```", "see /retrain", "/path/x"])
def test_what_is_no_command_costs_no_request(thread: Thread, body: str) -> None:
    comment = thread.say(body)
    before = len(thread.github.requests)
    assert thread.answer(comment) == 0
    assert len(thread.github.requests) == before


def test_a_flood_is_answered_once_it_is_too_much(thread: Thread) -> None:
    comments = [thread.github.user("alice").comment(thread.pull, "/mlbot help") for _ in range(20)]
    for comment in comments:
        assert thread.answer(comment) == 0
    assert len(thread.answers) == 11
    assert "More than 10 commands in a minute" in thread.answers[-1]


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

    def rerun_first(writer: Writer, reply: Reply) -> Reply:
        thread.github.user("boss").rerun(thread.run)
        return do(writer, reply)

    do = Writer.do
    thread.monkeypatch.setattr(Writer, "do", rerun_first)
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


def test_judging_again_starts_the_judge(thread: Thread) -> None:
    assert "Judging attempt 1 again" in thread.ask("/judge")
    assert thread.started == [("mlbot-judge.yml", {"run-id": str(thread.run.id), "run-attempt": "1"})]
    assert thread.statuses == []


def test_judging_again_leaves_a_trial_out(thread: Thread) -> None:
    thread.ask("/retrain tiny offset=50")
    assert "Judging attempt 1 again" in thread.ask("/judge")
    assert thread.started[-1][1]["run-attempt"] == "1"


def test_a_waiver_is_recorded(thread: Thread) -> None:
    assert "may fail" in thread.ask('/waive tiny:roc_auc reason="Agreed."', "mia")
    (record,) = thread.records
    assert isinstance(record, WaiverRequest)
    assert (record.actor, record.model, record.gate, record.sha) == ("mia", "tiny", "roc_auc", thread.head)
    assert len(thread.started) == 1


def test_what_runs_is_cancelled(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = Thread.opened(github, tmp_path, monkeypatch)
    assert "Cancelling the training" in thread.ask("/mlbot cancel")
    assert thread.run.status == "cancelling"
    assert thread.statuses == [("error", "The training was cancelled by alice; /retrain starts it again.")]


def test_the_status_tells_what_runs(thread: Thread) -> None:
    thread.ask("/retrain")
    answer = thread.ask("/mlbot status", "rita")
    assert f"`{thread.head[:7]}`" in answer
    assert "attempt 2 of run" in answer
    assert "under way" in answer
    assert "**pending**: Training what is stale again, as alice asked." in answer


def test_help_lists_what_this_repository_has(thread: Thread) -> None:
    answer = thread.ask("/help", "stranger")
    assert "`tiny`: a trial may change `offset`" in answer


def test_a_release_is_handed_on_or_said_to_be_missing(thread: Thread) -> None:
    answer = thread.ask("/release tiny")
    assert "mlbot-release.yml is not on the default branch" in answer
    assert "⛔" in answer


def test_a_dry_run_changes_nothing(thread: Thread, capsys: pytest.CaptureFixture[str]) -> None:
    assert thread.answer(thread.say("/retrain"), "--dry-run") == 0
    out = capsys.readouterr().out
    assert f"would re-run the training {thread.run.id} as attempt 2" in out
    assert "would start mlbot-judge.yml on main" in out
    assert thread.github.requests.writes(by="mlbot-judge.yml") == []


def test_a_repository_without_a_config_says_so(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = Thread.opened(github, tmp_path, monkeypatch, config="version: 2\n").finish()
    refused(thread, "/retrain", "cannot be read")
    thread.github.user("boss").push("main", {"mlbot.yaml": None})
    thread.github.world.queue.clear()
    refused(thread, "/retrain", "has no mlbot.yaml")


def test_a_model_that_the_change_adds_may_be_named(thread: Thread) -> None:
    more = TUNABLE + TUNABLE.split("models:\n")[1].replace("  tiny:", "  other:")
    thread.github.user("alice").push("change", {"mlbot.yaml": more})
    ops_actions.begin(thread.github.world, thread.run)
    thread.finish()
    assert "Training other again" in thread.ask("/retrain other")
    refused_trial = thread.finish().ask("/retrain other offset=3")
    assert "does not know other yet" in refused_trial


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
    assert thread.answer(comment, "--bot", "boss", GITHUB_TOKEN=thread.github.token("boss")) == 0
    assert thread.run.latest.number == 2
    assert thread.answers == []
    assert [each.user.login for each in thread.models.comments.values()] == ["alice", "boss"]


def test_an_app_whose_name_was_not_given_is_found_out_before_anything_happens(
    thread: Thread, capsys: pytest.CaptureFixture[str]
) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment, "--bot", "other[bot]") == Exit.USAGE
    assert "the token speaks as github-actions[bot]" in capsys.readouterr().err
    assert thread.run.latest.number == 1
