"""A status is set once, by the newest, on the present head."""

import pytest
from tests.github.setting import Setting

from mlbot.events.github import State
from mlbot.github.comments import upsert
from mlbot.github.executor import StatusSet, set_status
from mlbot.protocol.decision import MergeGroupSubject


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
