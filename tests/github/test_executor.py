"""Operations done, in their order, and what stays when one cannot be done."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.github.setting import Setting
from tests.support.history_samples import waiver
from tests.support.ledger_samples import entry

from mlbot.errors import Exit, MlbotError, NotEvaluatedError, RefusedError
from mlbot.events.github import Attempt, PullRequest, State
from mlbot.github.api import jobs, read_file
from mlbot.github.comments import upsert
from mlbot.github.executor import Effected, Executor, StatusSet, dry_run, end_pending, set_status
from mlbot.github.job import Runner
from mlbot.github.transport import GitHubError, NotFoundError, UnavailableError
from mlbot.ledger.entries import Entry
from mlbot.protocol.decision import MergeGroupSubject, PullRequestSubject
from mlbot.protocol.operations import (
    Annotate,
    AppendLedger,
    CancelRun,
    Dispatch,
    EndPending,
    Level,
    Log,
    Operation,
    PushCharts,
    React,
    Rerun,
    WriteSummary,
    describe,
)

SHA = "e" * 40


class Stage:
    """An executor with what it writes to."""

    def __init__(self, setting: Setting, tmp_path: Path, permissions: Mapping[str, str] | None = None) -> None:
        self.log = io.StringIO()
        self.summary = tmp_path / "summary"
        self.entries: list[Entry] = []
        self.charts: dict[str, bytes] = {}
        self.broken: Exception | None = None
        runner = Runner(summary=self.summary, stream=self.log)
        self.executor = Executor(github=setting.client(permissions), runner=runner, append=self.append, push=self.push)

    def append(self, entries: Sequence[Entry]) -> None:
        if self.broken:
            raise self.broken
        self.entries += entries

    def push(self, files: Mapping[str, bytes]) -> str:
        self.charts |= files
        return SHA


def all_of(setting: Setting) -> tuple[Operation, ...]:
    return (
        WriteSummary(text="# The report"),
        Annotate(level=Level.ERROR, title="t", message="m"),
        AppendLedger(entries=(entry(),)),
        setting.comment(),
        setting.status(State.FAILURE, said="Worse."),
        Log(sentence="All said."),
    )


def test_everything_is_done(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    published = stage.executor.apply(all_of(setting))
    published.raise_failures()
    assert published.done == [("ledger", "appended"), ("comment", "created"), ("status", "set")]
    assert stage.summary.read_text() == "# The report\n"
    assert stage.entries == [entry()]
    assert setting.bodies() == [setting.comment().body]
    assert setting.statuses() == [("failure", "Worse.")]
    assert stage.log.getvalue() == "::error title=t::m\nAll said.\n"


def test_the_comment_is_there_before_the_status(setting: Setting, tmp_path: Path) -> None:
    Stage(setting, tmp_path).executor.apply(all_of(setting))
    written = [each.path.rpartition("/")[2] for each in setting.fake.requests.writes(by="job")]
    assert written == ["comments", setting.pull.head_sha]


def test_doing_it_again_changes_nothing(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    stage.executor.apply(all_of(setting))
    before = len(setting.fake.requests.writes())
    published = stage.executor.apply(all_of(setting))
    assert published.done == [("ledger", "appended"), ("comment", "unchanged"), ("status", "unchanged")]
    assert len(setting.fake.requests.writes()) == before


def test_pictures_give_the_commit_that_holds_them(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    assert stage.executor.apply([PushCharts(files={"a.svg": "<svg>é</svg>"})]).charts == SHA
    assert stage.charts == {"a.svg": "<svg>é</svg>".encode()}


def test_a_token_that_may_not_write_leaves_the_summary_and_one_sentence(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path, {"contents": "read", "pull_requests": "read", "statuses": "read"})
    published = stage.executor.apply(all_of(setting)[:-1])
    published.raise_failures()
    assert len(published.refused) == 2
    assert stage.summary.read_text() == "# The report\n"
    (line,) = stage.log.getvalue().splitlines()[1:]
    assert line.startswith("The report is in the job summary only, for the token may not do this (POST /repos/")


@pytest.mark.parametrize("status", [404, 422, 500])
def test_a_comment_that_cannot_be_written_leaves_the_status(setting: Setting, tmp_path: Path, status: int) -> None:
    setting.fake.faults.add(f"POST /repos/acme/income/issues/{setting.issue.number}", status, times=99)
    stage = Stage(setting, tmp_path)
    published = stage.executor.apply(all_of(setting))
    assert setting.bodies() == []
    assert setting.statuses() == [("failure", "Worse.")]
    assert f"Could not write the comment on #{setting.issue.number}" in stage.log.getvalue()
    with pytest.raises(NotEvaluatedError):
        published.raise_failures()


def test_a_ledger_that_cannot_be_written_is_a_failure(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    stage.broken = NotEvaluatedError("writing the branch mlbot-ledger failed")
    published = stage.executor.apply(all_of(setting))
    with pytest.raises(NotEvaluatedError, match="mlbot-ledger"):
        published.raise_failures()
    assert [what for what, _ in published.done] == ["comment", "status"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RefusedError("a rule of the repository forbids writing it: Changes need a pull request."), "Changes need a"),
        (NotEvaluatedError("writing the branch failed: 502"), "failed: 502"),
    ],
)
def test_a_lost_ledger_is_an_error_with_the_rules_name(
    setting: Setting, tmp_path: Path, error: MlbotError, said: str
) -> None:
    stage = Stage(setting, tmp_path)
    stage.broken = error
    status = setting.status(State.SUCCESS).model_copy(update={"unwritten": "not the whole report"})
    published = stage.executor.apply([AppendLedger(entries=(waiver(),)), status])
    with pytest.raises(NotEvaluatedError) as caught:
        published.raise_failures()
    assert caught.value.exit_code == Exit.NOT_EVALUATED
    ((state, description),) = setting.statuses()
    assert state == "error"
    assert said in description


@pytest.mark.parametrize(
    ("before", "description", "after"),
    [
        ([], "Nothing is guarded here.", ("success", "Nothing is guarded here.")),
        ([], None, ("pending", "Training.")),
        ([("failure", "Worse.")], "Nothing is guarded here.", ("failure", "Worse.")),
        ([("failure", "Worse."), ("pending", "Training.")], None, ("failure", "Worse.")),
    ],
)
def test_what_is_pending_without_need_is_taken_back(
    setting: Setting, before: list[tuple[str, str]], description: str | None, after: tuple[str, str]
) -> None:
    client, attempt = setting.client(), Attempt(run=7)
    page = f"https://github.example/acme/income/actions/runs/{attempt.run}"
    for state, said in [*before, ("pending", "Training.")]:
        url = f"{page}#mlbot-{attempt}" if state == "pending" else page
        body = {"state": state, "context": "mlbot", "description": said, "target_url": url}
        client.ask("POST", f"/statuses/{setting.pull.head_sha}", body)
    operation = EndPending(
        sha=setting.pull.head_sha, contexts=("mlbot", "other"), attempt=attempt, description=description, url=page
    )
    assert end_pending(client, operation.model_copy(update={"attempt": Attempt(run=8)})) == "unchanged"
    end_pending(client, operation)
    newest = setting.repository.statuses[-1]
    assert (newest.state, newest.description) == after
    assert end_pending(client, operation) == "unchanged"


FAULTS: list[tuple[Any, dict[str, Any]]] = [
    (500, {}),
    (502, {"after": True}),
    (503, {"nth": 2}),
    (403, {"retry_after": 2}),
    (429, {"retry_after": 2}),
    ("cut", {}),
    ("truncated", {}),
]


@pytest.mark.parametrize(("answer", "options"), FAULTS)
@pytest.mark.parametrize("call", ["GET /repos/acme/income/pulls", "GET /repos/acme/income/issues", "POST ", "GET "])
def test_one_fault_anywhere_changes_nothing_in_the_end(
    setting: Setting, tmp_path: Path, call: str, answer: Any, options: dict[str, Any]
) -> None:
    setting.fake.faults.add(call, answer, **options)
    stage = Stage(setting, tmp_path)
    stage.executor.apply(all_of(setting)).raise_failures()
    assert setting.bodies() == [setting.comment().body]
    assert setting.statuses()[0] == ("failure", "Worse.")
    assert len(set(setting.statuses())) == 1


@pytest.mark.parametrize("answer", [401, 404, 422, 500, "cut"])
def test_a_github_that_answers_nothing_right_gets_nothing_written(
    setting: Setting, tmp_path: Path, answer: Any
) -> None:
    setting.fake.faults.add("GET /repos", answer, times=999)
    stage = Stage(setting, tmp_path)
    published = stage.executor.apply(all_of(setting))
    assert published.done == [("ledger", "appended")]
    assert setting.fake.requests.writes(by="job") == []


def test_a_rate_limit_without_end_is_a_failure(setting: Setting, tmp_path: Path) -> None:
    setting.fake.faults.add("POST ", 403, times=999, retry_after=600)
    published = Stage(setting, tmp_path).executor.apply([setting.status()])
    with pytest.raises(NotEvaluatedError, match="rate limit"):
        published.raise_failures()
    assert setting.waits == [600.0]


def test_a_head_that_moved_while_publishing_is_left_alone(setting: Setting, tmp_path: Path) -> None:
    operations = all_of(setting)
    setting.ada.force_push("deeper", {"a": "9"})
    published = Stage(setting, tmp_path).executor.apply(operations)
    assert published.done[1:] == [("comment", "not-current"), ("status", "not-current")]
    assert setting.fake.requests.writes(by="job") == []


def test_a_dry_run_touches_nothing(setting: Setting) -> None:
    lines: list[str] = []
    dry_run(all_of(setting), lines.append)
    assert len(lines) == 6
    assert lines[-2] == f"would set the status mlbot of {setting.pull.head_sha[:10]} to failure: Worse."
    assert len(setting.fake.requests) == 0


def test_unavailable_is_said_with_what_was_tried() -> None:
    error = UnavailableError("GitHub could not be reached", where="GET /x", hint="Run the job again.")
    assert str(error) == "GET /x: GitHub could not be reached\n  Run the job again."


# What commands do to runs: once, on the right head, and known to be done before the next step.

FLOW = (
    "on: {pull_request: , workflow_dispatch: {inputs: {run-id: {}}}}\njobs: {a: {runs-on: x, steps: [{run: make}]}}\n"
)
RIGHTS = {"actions": "write", "contents": "read", "issues": "write", "pull_requests": "write"}


class Finished:
    """A pull request with a run that is over."""

    def __init__(self, fake: FakeGitHub) -> None:
        repository = fake.repository(
            "acme/income", {".github/workflows/flow.yml": FLOW, "mlbot.yaml": "é: 1\n"}, roles={"ada": "write"}
        )
        ada = fake.user("ada", repository)
        issue = ada.pull_request("deeper", {"a": "1"})
        self.setting = Setting(fake=fake, repository=repository, ada=ada, issue=issue, waits=[])
        self.run = next(iter(fake.world.runs.values()))
        fake.world.queue.clear()
        ops_actions.begin(fake.world, self.run)
        ops_actions.finish(fake.world, self.run, "success", [])
        self.client = self.setting.client(RIGHTS, attempts=2)

    @property
    def rerun(self) -> Rerun:
        return Rerun(attempt=Attempt(run=self.run.id, number=2), subject=self.setting.subject())

    def do(self, operation: Operation) -> Any:
        return Executor(github=self.client, runner=Runner(), append=list, push=lambda _: "").do(operation)


@pytest.fixture
def stage(github: FakeGitHub) -> Finished:
    return Finished(github)


def test_a_run_is_run_again_once(stage: Finished) -> None:
    assert stage.do(stage.rerun) is Effected.DONE
    assert stage.do(stage.rerun) is Effected.UNCHANGED
    assert stage.run.latest.number == 2


def test_nothing_is_run_on_another_head(stage: Finished) -> None:
    operation = stage.rerun
    stage.setting.ada.force_push("deeper", {"a": "2"})
    assert stage.do(operation) is Effected.NOT_CURRENT
    assert stage.run.latest.number == 1


@pytest.mark.parametrize("number", [502, 503])
def test_a_lost_answer_starts_no_second_attempt(stage: Finished, number: int) -> None:
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/rerun", number, after=True)
    assert stage.do(stage.rerun) is Effected.UNCHANGED
    assert stage.run.latest.number == 2


def test_a_fault_before_the_rerun_is_tried_again(stage: Finished) -> None:
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/rerun", 502)
    assert stage.do(stage.rerun) is Effected.DONE


def test_faults_without_end_leave_it_open(stage: Finished) -> None:
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/rerun", 502, times=9)
    with pytest.raises(UnavailableError, match="nobody knows"):
        stage.do(stage.rerun)


def test_an_attempt_that_somebody_started_meanwhile_is_taken(stage: Finished) -> None:
    """Between the look at the run and the re-run."""
    look = stage.client.pull_request

    def somebody_else(number: int) -> PullRequest:
        stage.setting.ada.rerun(stage.run)
        return look(number)

    stage.client.pull_request = somebody_else  # type: ignore[method-assign] # the only moment in between
    assert stage.do(stage.rerun) is Effected.UNCHANGED
    assert stage.run.latest.number == 2


def test_a_run_that_is_under_way_is_an_error(stage: Finished) -> None:
    stage.setting.ada.rerun(stage.run)
    third = stage.rerun.model_copy(update={"attempt": Attempt(run=stage.run.id, number=3)})
    with pytest.raises(MlbotError):
        stage.do(third)


def test_a_run_is_cancelled_unless_it_is_over(stage: Finished) -> None:
    operation = CancelRun(run=stage.run.id)
    assert stage.do(operation) is Effected.UNCHANGED
    stage.setting.ada.rerun(stage.run)
    assert stage.do(operation) is Effected.DONE
    assert stage.run.conclusion == "cancelled"


def test_a_cancellation_that_fails_is_an_error(stage: Finished) -> None:
    stage.setting.ada.rerun(stage.run)
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/cancel", 422)
    with pytest.raises(GitHubError):
        stage.do(CancelRun(run=stage.run.id))


def test_a_workflow_is_started(stage: Finished) -> None:
    dispatch = Dispatch(workflow="flow.yml", ref="main", inputs={"run-id": "7"})
    assert stage.do(dispatch) is Effected.DONE
    assert [run.event for run in stage.setting.fake.world.runs.values()] == ["pull_request", "workflow_dispatch"]


def test_a_workflow_is_started_rather_twice_than_never(stage: Finished) -> None:
    stage.setting.fake.faults.add("POST /repos/acme/income/actions/workflows", 502)
    assert stage.do(Dispatch(workflow="flow.yml", ref="main")) is Effected.DONE


def test_a_workflow_that_is_not_there_is_an_error(stage: Finished) -> None:
    with pytest.raises(NotFoundError):
        stage.do(Dispatch(workflow="other.yml", ref="main"))


def test_a_deleted_comment_needs_no_reaction(stage: Finished) -> None:
    comment = stage.setting.ada.comment(stage.setting.issue, "/retrain")
    assert stage.do(React(comment=comment.id, reaction="eyes")) is Effected.DONE
    stage.setting.ada.delete_comment(comment)
    assert stage.do(React(comment=comment.id, reaction="eyes")) is Effected.UNCHANGED


def test_a_dry_run_says_each(stage: Finished) -> None:
    operations = (
        stage.rerun,
        CancelRun(run=7),
        Dispatch(workflow="flow.yml", ref="main", inputs={"run-id": "7"}),
        React(comment=9, reaction="eyes"),
    )
    assert [describe(each) for each in operations] == [
        f"re-run the training {stage.run.id} as attempt 2",
        "cancel the run 7",
        "start flow.yml on main with run-id=7",
        "react to the comment with eyes",
    ]


def test_a_file_is_read_from_a_branch_or_commit(stage: Finished) -> None:
    assert read_file(stage.client, "mlbot.yaml", "main") == "é: 1\n".encode()
    assert read_file(stage.client, "mlbot.yaml", stage.setting.pull.head_sha) == "é: 1\n".encode()
    assert read_file(stage.client, "other.yaml", "main") is None
    assert read_file(stage.client, "mlbot.yaml", "nowhere") is None


def test_a_folder_is_no_file(stage: Finished) -> None:
    with pytest.raises(GitHubError, match=r"content of \.github"):
        read_file(stage.client, ".github", "main")


def test_the_jobs_of_a_run_are_those_of_its_newest_attempt(stage: Finished) -> None:
    assert jobs(stage.client, stage.run.id) == ()


# A status is set once, by the newest, on the present head.


def test_pending_and_then_the_verdict(setting: Setting) -> None:
    assert set_status(setting.client(), setting.status(State.PENDING, said="Training.")) is StatusSet.SET
    assert set_status(setting.client(), setting.status(State.FAILURE, said="Worse.")) is StatusSet.SET
    assert setting.statuses() == [("failure", "Worse."), ("pending", "Training.")]


def test_a_pending_that_comes_late_does_not_undo_the_verdict(setting: Setting) -> None:
    set_status(setting.client(), setting.status(State.SUCCESS))
    assert set_status(setting.client(), setting.status(State.PENDING)) is StatusSet.ENDED
    assert set_status(setting.client(), setting.status(State.PENDING, number=2)) is StatusSet.SET


def test_an_older_attempt_sets_nothing(setting: Setting) -> None:
    set_status(setting.client(), setting.status(State.FAILURE, run=8))
    assert set_status(setting.client(), setting.status(State.SUCCESS, run=7, number=9)) is StatusSet.NEWER_WRITTEN
    assert [state for state, _ in setting.statuses()] == ["failure"]


def test_redeliveries_set_it_once(setting: Setting) -> None:
    client = setting.client()
    done = [set_status(client, setting.status()) for _ in range(100)]
    assert done == [StatusSet.SET] + [StatusSet.UNCHANGED] * 99
    assert len(setting.statuses()) == 1


@pytest.mark.parametrize("state", [State.SUCCESS, State.PENDING])
def test_a_head_that_moved_gets_none(setting: Setting, state: State) -> None:
    operation = setting.status(state)
    setting.ada.push("deeper", {"a": "2"})
    assert set_status(setting.client(), operation) is StatusSet.NOT_CURRENT
    assert setting.fake.requests.writes(by="job") == []


def test_the_others_that_a_status_speaks_of_have_to_be_as_they_were_too(setting: Setting) -> None:
    setting.ada.push("dev")
    other, client = setting.ada.open_pull_request("deeper", "dev"), setting.client()
    beside = (PullRequestSubject.of(client.pull_request(other.number)),)
    operation = setting.status().model_copy(update={"beside": beside})
    assert set_status(client, operation) is StatusSet.SET
    setting.ada.close(other)
    changed = operation.model_copy(update={"description": "Other words."})
    assert set_status(client, changed) is StatusSet.NOT_CURRENT


def test_a_pull_request_that_goes_elsewhere_now_gets_none(setting: Setting) -> None:
    setting.ada.push("dev")
    operation = setting.status()
    setting.ada.edit_pull_request(setting.issue, base="dev")
    assert set_status(setting.client(), operation) is StatusSet.NOT_CURRENT


def test_somebody_elses_status_of_the_name_does_not_stop_the_bots(setting: Setting) -> None:
    forged = setting.status(State.SUCCESS, run=10**9)
    set_status(setting.with_token(setting.fake.token("ada")), forged)
    assert set_status(setting.client(), setting.status(State.FAILURE, run=7)) is StatusSet.SET


def test_a_merge_group_has_no_pull_request_to_look_at(setting: Setting) -> None:
    ref = setting.ada.queue(setting.issue)
    sha = setting.repository.git.find(ref)
    assert sha
    operation = setting.status().model_copy(update={"subject": MergeGroupSubject(sha=sha, branch="main")})
    assert set_status(setting.client({"statuses": "write"}), operation) is StatusSet.SET


def test_a_comment_and_a_status_cost_few_requests(setting: Setting) -> None:
    for number in range(35):
        setting.ada.comment(setting.issue, f"Comment {number}")
    for run, most in ((7, 7), (8, 8)):
        before = len(setting.fake.requests.of(by="job"))
        client = setting.client()
        upsert(client, setting.comment(run=run))
        set_status(client, setting.status(run=run))
        assert len(setting.fake.requests.of(by="job")) - before <= most, setting.fake.requests.lines(by="job")
