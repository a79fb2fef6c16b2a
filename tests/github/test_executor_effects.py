"""What commands do to runs: once, on the right head, and known to be done before the next step."""

import pytest
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.github.setting import Setting

from mlbot.errors import MlbotError
from mlbot.events.github import Attempt, PullRequest
from mlbot.github.api import jobs, read_file
from mlbot.github.executor import Effected, Executor
from mlbot.github.job import Runner
from mlbot.github.transport import GitHubError, NotFoundError, UnavailableError
from mlbot.protocol.operations import CancelRun, Dispatch, Operation, React, Rerun, describe

FLOW = (
    "on: {pull_request: , workflow_dispatch: {inputs: {run-id: {}}}}\njobs: {a: {runs-on: x, steps: [{run: make}]}}\n"
)
RIGHTS = {"actions": "write", "contents": "read", "issues": "write", "pull_requests": "write"}


class Stage:
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

    def do(self, operation: Operation) -> str:
        return Executor(github=self.client, runner=Runner(), append=list, push=lambda _: "").do(operation)


@pytest.fixture
def stage(github: FakeGitHub) -> Stage:
    return Stage(github)


def test_a_run_is_run_again_once(stage: Stage) -> None:
    assert stage.do(stage.rerun) is Effected.DONE
    assert stage.do(stage.rerun) is Effected.UNCHANGED
    assert stage.run.latest.number == 2


def test_nothing_is_run_on_another_head(stage: Stage) -> None:
    operation = stage.rerun
    stage.setting.ada.force_push("deeper", {"a": "2"})
    assert stage.do(operation) is Effected.NOT_CURRENT
    assert stage.run.latest.number == 1


@pytest.mark.parametrize("number", [502, 503])
def test_a_lost_answer_starts_no_second_attempt(stage: Stage, number: int) -> None:
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/rerun", number, after=True)
    assert stage.do(stage.rerun) is Effected.UNCHANGED
    assert stage.run.latest.number == 2


def test_a_fault_before_the_rerun_is_tried_again(stage: Stage) -> None:
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/rerun", 502)
    assert stage.do(stage.rerun) is Effected.DONE


def test_faults_without_end_leave_it_open(stage: Stage) -> None:
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/rerun", 502, times=9)
    with pytest.raises(UnavailableError, match="nobody knows"):
        stage.do(stage.rerun)


def test_an_attempt_that_somebody_started_meanwhile_is_taken(stage: Stage) -> None:
    """Between the look at the run and the re-run."""
    look = stage.client.pull_request

    def somebody_else(number: int) -> PullRequest:
        stage.setting.ada.rerun(stage.run)
        return look(number)

    stage.client.pull_request = somebody_else  # type: ignore[method-assign] # the only moment in between
    assert stage.do(stage.rerun) is Effected.UNCHANGED
    assert stage.run.latest.number == 2


def test_a_run_that_is_under_way_is_an_error(stage: Stage) -> None:
    stage.setting.ada.rerun(stage.run)
    third = stage.rerun.model_copy(update={"attempt": Attempt(run=stage.run.id, number=3)})
    with pytest.raises(MlbotError):
        stage.do(third)


def test_a_run_is_cancelled_unless_it_is_over(stage: Stage) -> None:
    operation = CancelRun(run=stage.run.id)
    assert stage.do(operation) is Effected.UNCHANGED
    stage.setting.ada.rerun(stage.run)
    assert stage.do(operation) is Effected.DONE
    assert stage.run.conclusion == "cancelled"


def test_a_cancellation_that_fails_is_an_error(stage: Stage) -> None:
    stage.setting.ada.rerun(stage.run)
    stage.setting.fake.faults.add(f"POST /repos/acme/income/actions/runs/{stage.run.id}/cancel", 422)
    with pytest.raises(GitHubError):
        stage.do(CancelRun(run=stage.run.id))


def test_a_workflow_is_started(stage: Stage) -> None:
    dispatch = Dispatch(workflow="flow.yml", ref="main", inputs={"run-id": "7"})
    assert stage.do(dispatch) is Effected.DONE
    assert [run.event for run in stage.setting.fake.world.runs.values()] == ["pull_request", "workflow_dispatch"]


def test_a_workflow_is_started_rather_twice_than_never(stage: Stage) -> None:
    stage.setting.fake.faults.add("POST /repos/acme/income/actions/workflows", 502)
    assert stage.do(Dispatch(workflow="flow.yml", ref="main")) is Effected.DONE


def test_a_workflow_that_is_not_there_is_an_error(stage: Stage) -> None:
    with pytest.raises(NotFoundError):
        stage.do(Dispatch(workflow="other.yml", ref="main"))


def test_a_deleted_comment_needs_no_reaction(stage: Stage) -> None:
    comment = stage.setting.ada.comment(stage.setting.issue, "/retrain")
    assert stage.do(React(comment=comment.id, reaction="eyes")) is Effected.DONE
    stage.setting.ada.delete_comment(comment)
    assert stage.do(React(comment=comment.id, reaction="eyes")) is Effected.UNCHANGED


def test_a_dry_run_says_each(stage: Stage) -> None:
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


def test_a_file_is_read_from_a_branch_or_commit(stage: Stage) -> None:
    assert read_file(stage.client, "mlbot.yaml", "main") == "é: 1\n".encode()
    assert read_file(stage.client, "mlbot.yaml", stage.setting.pull.head_sha) == "é: 1\n".encode()
    assert read_file(stage.client, "other.yaml", "main") is None
    assert read_file(stage.client, "mlbot.yaml", "nowhere") is None


def test_a_folder_is_no_file(stage: Stage) -> None:
    with pytest.raises(GitHubError, match=r"content of \.github"):
        read_file(stage.client, ".github", "main")


def test_the_jobs_of_a_run_are_those_of_its_newest_attempt(stage: Stage) -> None:
    assert jobs(stage.client, stage.run.id) == ()
