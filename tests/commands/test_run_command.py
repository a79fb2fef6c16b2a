"""Comments answered, by the command line in this process, on a fake GitHub."""

from datetime import datetime
from pathlib import Path

import pytest
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.support.command_samples import plain
from tests.support.commenting import TUNABLE, Thread

from mlbot.commands.dispatch import Reply
from mlbot.commands.run_command import CommentJob
from mlbot.config.folder import ConfigFolder
from mlbot.events.github import Attempt
from mlbot.protocol.answer import RetrainRequest, WaiverRequest
from mlbot.setup.scaffold import judge_workflow


def test_a_training_is_run_again(thread: Thread) -> None:
    comment = thread.say("/retrain")
    assert thread.answer(comment) == 0
    assert thread.run.latest.number == 2
    attempt = Attempt(run=thread.run.id, number=2)
    expected = RetrainRequest(
        comment=comment.id,
        actor="alice",
        number=thread.pull.number,
        sha=thread.head,
        attempt=attempt,
        tip=thread.models.git.commit_of("main"),
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
    assert words in plain(answer)
    assert (thread.run.latest.number, thread.started, thread.statuses, thread.records) == (1, [], [], ())
    assert thread.reactions(comment) == ["eyes", "confused"]
    writes = [each.path.rpartition("/")[2] for each in thread.github.requests.writes(by="mlbot-judge.yml")]
    assert sorted(writes) == ["comments", "reactions", "reactions"]


def refused(thread: Thread, body: str, words: str) -> None:
    """A refusal that changes nothing."""
    number = thread.run.latest.number
    assert words in plain(thread.ask(body))
    assert (thread.run.latest.number, thread.started, thread.records) == (number, [], ())


@pytest.mark.parametrize("login", ["rita", "tim", "stranger", "alice"])
def test_a_refusal_for_the_role_reads_nothing_of_the_repository(thread: Thread, login: str) -> None:
    """Neither its config nor the pull request: what a stranger writes costs the role, and the answer."""
    body = "/retrian" if login == "alice" else "/retrain\n/judge\n/mlbot cancel\n/release tiny"
    comment, before = thread.say(body, login), len(thread.github.requests)
    assert thread.answer(comment) == 0
    asked = [each for each in list(thread.github.requests)[before:] if each.method == "GET"]
    first = asked[0].path
    assert first.endswith(f"/collaborators/{login}/permission")
    assert {each.path.rpartition("/")[2] for each in asked[1:]} == {"comments"}


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

    def push_first(job: CommentJob, reply: Reply) -> Reply:
        thread.github.user("alice").push("change", {"README.md": "More."})
        return do(job, reply)

    do, first = CommentJob.carry_out, thread.run
    thread.monkeypatch.setattr(CommentJob, "carry_out", push_first)
    assert thread.answer(comment) == 0
    assert "changed while this was answered" in thread.answers[0]
    assert (first.latest.number, thread.started, thread.records) == (1, [], ())


def test_an_edited_comment_is_refused(thread: Thread) -> None:
    comment = thread.say("/mlbot help")
    thread.github.user("alice").edit_comment(comment, "/mlbot help\n/retrain")
    assert thread.answer(comment) == 0
    assert "was edited" in thread.answers[0]


def test_an_edit_in_the_second_of_the_creation_is_refused(thread: Thread) -> None:
    """Somebody who may write makes another person's word a command of that person."""
    comment = thread.say("/retrain", "boss")
    thread.github.world.clock = lambda: datetime.fromisoformat(comment.created_at)
    thread.github.user("alice").edit_comment(comment, "Looks good.")
    thread.github.user("alice").edit_comment(comment, "/retrain")
    assert (comment.body, comment.created_at) == ("/retrain", comment.updated_at)
    assert thread.answer(comment) == 0
    assert "was edited" in thread.answers[0]
    assert (thread.run.latest.number, thread.started, thread.statuses, thread.records) == (1, [], [], ())


@pytest.mark.parametrize("body", ["/retrain", "/release tiny", '/waive tiny:roc_auc reason="Fine."', "/mlbot help"])
def test_a_comment_of_which_github_does_not_say_whether_it_was_edited_is_refused(thread: Thread, body: str) -> None:
    thread.github.faults.add("/api/graphql", 404, times=99)
    comment = thread.say(body, "mia")
    assert thread.answer(comment) == 0
    assert "GitHub does not say whether the comment was edited" in plain(thread.answers[0])
    assert "Write it again." in thread.answers[0]
    assert (thread.run.latest.number, thread.started, thread.statuses, thread.records) == (1, [], [], ())


def test_edits_are_asked_for_once_and_only_where_a_command_would_be_followed(thread: Thread) -> None:
    thread.ask("/retrian")
    thread.ask("/retrain", "rita")
    assert thread.github.requests.of("graphql") == []
    thread.ask("/mlbot help\n/mlbot status\n/retrain")
    assert len(thread.github.requests.of("graphql")) == 1


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
    assert "mlbot-release.yml is not on the default branch" in plain(answer)
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


def test_what_names_nothing_of_the_config_asks_for_its_guard_alone(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the rest is right the judge says."""
    broken = TUNABLE.replace("task: binary", "task: unheard-of")
    thread = Thread.opened(github, tmp_path, monkeypatch, config=broken).finish()
    refused(thread, "/retrain tiny", "cannot be read")
    assert "✅" in thread.ask("/retrain")
    thread.finish()
    thread.github.user("boss").push("main", {"mlbot.yaml": f"guard: [dev]\n{broken}"})
    thread.github.world.queue.clear()
    assert "does not guard" in plain(thread.ask("/retrain"))


def test_a_model_that_the_change_adds_may_be_named(thread: Thread) -> None:
    more = TUNABLE + TUNABLE.split("models:\n")[1].replace("  tiny:", "  other:")
    thread.github.user("alice").push("change", {"mlbot.yaml": more})
    ops_actions.begin(thread.github.world, thread.run)
    thread.finish()
    assert "Training other again" in thread.ask("/retrain other")
    refused_trial = thread.finish().ask("/retrain other offset=3")
    assert "does not know other yet" in plain(refused_trial)


@pytest.mark.parametrize(
    ("folder", "body", "answered"),
    [
        ("", "/retrain tiny", True),
        ("", "/retrain other", False),
        ("", "/retrain nobody", True),
        ("", "/mlbot help", True),
        ("other", "/mlbot help", False),
        ("other", "/retrain nobody", False),
        ("other", "/retrain tiny", False),
        ("other", "/mlbot status", True),
    ],
)
def test_a_folder_answers_for_its_own(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, body: str, *, answered: bool
) -> None:
    other = ConfigFolder.of("other")
    files = {"other/mlbot.yaml": TUNABLE.replace("  tiny:\n", "  other:\n")}
    files[other.judge] = judge_workflow(install="", folder=other)
    thread = Thread.opened(github, tmp_path, monkeypatch, fork=False, **files)
    if folder:
        monkeypatch.setenv("MLBOT_CI_FOLDER", folder)
        monkeypatch.setenv("MLBOT_CI_JUDGE_WORKFLOW", other.judge)
        monkeypatch.setenv("MLBOT_CI_TRAIN_WORKFLOW", other.train)
    comment, before = thread.say(body), len(thread.github.requests)
    assert thread.answer(comment) == 0
    asked = [each.path for each in list(thread.github.requests)[before:]]
    assert len(thread.answers) == answered
    assert ("folder=other" in "".join(thread.answers)) == (answered and bool(folder))
    assert len([path for path in asked if path.endswith(f"/pulls/{thread.pull.number}")]) <= 1
