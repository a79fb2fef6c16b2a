"""One issue of the bot for each marker, and its pull requests from a branch of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.fake_github.state import Issue
from tests.github.setting import Setting

from mlbot.github import issues
from mlbot.github.issues import (
    IssueDone,
    Thread,
    edit_thread,
    find_thread,
    open_thread,
    propose,
    upsert_issue,
)
from mlbot.github.transport import NotPermittedError, UnavailableError
from mlbot.protocol.marker import AlarmStamp, marker
from mlbot.protocol.operations import Proposal, ProposeChange, UpsertIssue

# A version's thread, against a GitHub that checks every call.

LABEL = "mlbot-release"
ISSUE_MARKER = marker(".github/workflows/mlbot-release.yml", "income@v1.0.0", "release")
BODY = f"Progress.\n\n{ISSUE_MARKER}"
RIGHTS = {"issues": "write"}


def opened(setting: Setting) -> Thread:
    return open_thread(setting.client(RIGHTS), title="income v1.0.0", body=BODY, label=LABEL, marker=ISSUE_MARKER)


def numbers(setting: Setting, state: str = "open") -> list[int]:
    return [one.number for one in setting.repository.issues.values() if one.pull is None and one.state == state]


def test_it_is_opened_once(setting: Setting) -> None:
    first, second = opened(setting), opened(setting)
    assert first == second
    assert numbers(setting) == [first.number]
    assert setting.repository.issues[first.number].labels == [LABEL]


def test_a_persons_issue_with_the_same_marker_is_nobodys_thread(setting: Setting) -> None:
    theirs = setting.ada.open_issue("income v1.0.0", BODY)
    setting.repository.issues[theirs.number].labels.append(LABEL)
    assert opened(setting).number != theirs.number
    assert setting.repository.issues[theirs.number].body == BODY


def test_a_marker_that_is_quoted_above_the_last_line_counts_for_nothing(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    open_thread(client, title="other", body=f"{ISSUE_MARKER}\n\n{ISSUE_MARKER}x\nlast", label=LABEL, marker="last")
    assert find_thread(client, LABEL, ISSUE_MARKER) is None


def test_of_many_who_open_it_at_once_all_agree(setting: Setting) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: opened(setting), range(8)))
    assert {each.number for each in found} <= set(numbers(setting) + numbers(setting, "closed"))
    assert len(numbers(setting)) == 1


def test_an_answer_that_was_lost_opens_no_second_one(setting: Setting) -> None:
    setting.fake.faults.add("POST /repos/acme/income/issues", "cut", after=True)
    assert numbers(setting) == []
    opened(setting)
    assert len(numbers(setting)) == 1


def test_it_gives_up_when_nothing_can_be_opened(setting: Setting) -> None:
    setting.fake.faults.add("POST /repos/acme/income/issues", 502, times=9)
    with pytest.raises(UnavailableError, match="nobody knows whether the issue"):
        opened(setting)


def test_a_list_that_is_late_is_no_fault(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issues, "_threads", lambda *_: iter(()))
    assert opened(setting).open
    assert len(numbers(setting)) == 1


def test_it_is_edited_and_closed_and_the_same_words_are_not_sent_twice(setting: Setting) -> None:
    thread = opened(setting)
    client = setting.client(RIGHTS)
    edit_thread(client, thread, f"Done.\n\n{ISSUE_MARKER}", open_=False)
    now = find_thread(client, LABEL, ISSUE_MARKER)
    assert now is not None
    assert (now.body, now.open) == (f"Done.\n\n{ISSUE_MARKER}", False)
    writes = len(setting.fake.requests.writes())
    edit_thread(client, now, now.body, open_=False)
    assert len(setting.fake.requests.writes()) == writes


def test_without_the_right_it_says_so(setting: Setting) -> None:
    with pytest.raises(NotPermittedError):
        open_thread(setting.client({"issues": "read"}), title="t", body=BODY, label=LABEL, marker=ISSUE_MARKER)


# The issue on a model in production.

ALARMS = "mlbot-production"
ON = "<!-- mlbot:production income production -->"


def alarm(day: str, *, since: str | None = "2026-11-20", version: str = "v1.0.0", text: str = "Drift.") -> UpsertIssue:
    stamp = AlarmStamp(version=version, since=since, day=day)
    body = f"{text} {day}\n\n{ON}{stamp.text}"
    return UpsertIssue(label=ALARMS, marker=ON, title="income drifts", body=body, stamp=stamp, open=since is not None)


def the_issue(setting: Setting) -> Issue:
    (one,) = [each for each in setting.repository.issues.values() if each.pull is None and each.state == "open"] or [
        each for each in setting.repository.issues.values() if each.pull is None
    ]
    return one


def test_one_issue_is_opened_edited_closed_and_opened_again(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    well = alarm("2026-11-19", since=None)
    assert upsert_issue(client, well) is IssueDone.UNCHANGED, "a model that was always well has no issue"
    assert upsert_issue(client, alarm("2026-11-20")) is IssueDone.CREATED
    assert upsert_issue(client, alarm("2026-11-20")) is IssueDone.UNCHANGED
    assert upsert_issue(client, alarm("2026-11-21")) is IssueDone.EDITED
    assert upsert_issue(client, alarm("2026-11-22", since=None, text="Well.")) is IssueDone.CLOSED
    issue = the_issue(setting)
    assert (issue.state, issue.state_reason, issue.labels) == ("closed", "completed", [ALARMS])
    assert (issue.body or "").startswith("Well.")
    assert upsert_issue(client, alarm("2026-11-25", since="2026-11-25")) is IssueDone.REOPENED
    assert the_issue(setting).number == issue.number
    assert numbers(setting) == [issue.number]


def test_what_a_person_has_closed_stays_closed_until_the_next_alarm(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    upsert_issue(client, alarm("2026-11-20"))
    setting.ada.close(the_issue(setting))
    assert upsert_issue(client, alarm("2026-11-21")) is IssueDone.LEFT_CLOSED
    assert (the_issue(setting).body or "").startswith("Drift. 2026-11-21")
    assert numbers(setting) == []
    assert upsert_issue(client, alarm("2026-11-25", since="2026-11-25")) is IssueDone.REOPENED


def test_an_older_day_does_not_replace_a_newer_one(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    upsert_issue(client, alarm("2026-11-21"))
    assert upsert_issue(client, alarm("2026-11-20")) is IssueDone.NEWER_WRITTEN
    assert upsert_issue(client, alarm("2026-11-19", since=None)) is IssueDone.NEWER_WRITTEN
    assert numbers(setting) == [the_issue(setting).number]


def test_nobody_elses_issue_is_touched(setting: Setting) -> None:
    theirs = setting.ada.open_issue("income drifts", alarm("2026-11-19").body)
    setting.repository.issues[theirs.number].labels.append(ALARMS)
    upsert_issue(setting.client(RIGHTS), alarm("2026-11-20"))
    assert theirs.body == alarm("2026-11-19").body
    assert len(numbers(setting)) == 2


def test_of_many_runs_at_once_one_issue_stays_open(setting: Setting) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: upsert_issue(setting.client(RIGHTS), alarm("2026-11-20")), range(6)))
    upsert_issue(setting.client(RIGHTS), alarm("2026-11-21"))
    assert len(numbers(setting)) == 1


@pytest.mark.parametrize(("answer", "after"), [("cut", True), (502, False), (502, True), (429, False)])
def test_a_fault_opens_no_second_issue(setting: Setting, answer: "int | str", *, after: bool) -> None:
    setting.fake.faults.add("POST /repos/acme/income/issues", answer, after=after)  # type: ignore[arg-type]
    assert upsert_issue(setting.client(RIGHTS), alarm("2026-11-20")) in {IssueDone.CREATED, IssueDone.UNCHANGED}
    assert len(numbers(setting)) == 1


def test_a_repository_without_issues_is_said_and_no_failure(setting: Setting) -> None:
    client = setting.client(RIGHTS)
    upsert_issue(client, alarm("2026-11-20"))
    setting.repository.settings["has_issues"] = False
    assert upsert_issue(setting.client(RIGHTS), alarm("2026-11-21")) is IssueDone.OFF
    with pytest.raises(NotPermittedError):
        upsert_issue(setting.client({"issues": "read"}), alarm("2026-11-21"))


# A pull request from a branch of mlbot's own.

BRANCH = "mlbot-refresh-income"
PROPOSES = {"contents": "write", "pull_requests": "write"}


def change(setting: Setting, *, since: str = "2026-11-20", day: str = "2026-11-22") -> ProposeChange:
    stamp = AlarmStamp(version="v1.0.0", since=since, day=day)
    return ProposeChange(
        repository="https://github.com/acme/income",
        base="main",
        tip=setting.repository.git.find("refs/heads/main") or "",
        branch=BRANCH,
        files={"train.csv": "sha256:" + "0" * 64},
        message="Refresh the data",
        marker=ON,
        title="Refresh the data of income",
        body=f"It drifts.\n\n{ON}{stamp.text}",
        stamp=stamp,
    )


def pushes(setting: Setting) -> Callable[[ProposeChange], bool]:
    def push(operation: ProposeChange) -> bool:
        setting.ada.force_push(operation.branch, {"train.csv": f"{operation.stamp.day}\n"}, onto=operation.base)
        return True

    return push


def proposals(setting: Setting) -> list[tuple[int, str]]:
    found = [each for each in setting.repository.issues.values() if each.pull and each.pull.head_ref == BRANCH]
    return [(each.number, each.state) for each in found]


def test_one_pull_request_for_an_alarm(setting: Setting) -> None:
    setting.repository.settings["can_approve"] = True
    client, push = setting.client(PROPOSES), pushes(setting)
    first = propose(client, change(setting), push)
    assert first.state is Proposal.OPENED
    assert first.page.endswith(f"/pull/{first.number}")
    again = propose(client, change(setting, day="2026-11-23"), push)
    assert (again.state, again.number) == (Proposal.OPEN, first.number)
    setting.ada.close(setting.repository.issues[first.number or 0])
    assert propose(client, change(setting, day="2026-11-24"), push).state is Proposal.ANSWERED
    next_one = propose(client, change(setting, since="2026-12-20", day="2026-12-24"), push)
    assert next_one.state is Proposal.OPENED
    assert proposals(setting) == [(first.number, "closed"), (next_one.number, "open")]


def test_what_is_merged_is_not_proposed_again_while_the_alarm_goes_on(setting: Setting) -> None:
    setting.repository.settings["can_approve"] = True
    client, push = setting.client(PROPOSES), pushes(setting)
    first = propose(client, change(setting), push)
    setting.ada.merge(setting.repository.issues[first.number or 0])
    assert propose(client, change(setting, day="2026-11-24"), push).state is Proposal.ANSWERED


def test_the_page_to_open_it_on_is_of_the_branch_whatever_that_is_called(setting: Setting) -> None:
    wanted = change(setting).model_copy(update={"base": "release/1.0#ä"})
    page = propose(setting.client(PROPOSES), wanted, lambda _: True).page
    assert page.startswith("https://github.com/acme/income/compare/release/1.0%23%C3%A4...mlbot-refresh-income?")


def test_where_workflows_may_open_none_a_person_is_given_the_page_to(setting: Setting) -> None:
    found = propose(setting.client(PROPOSES), change(setting), pushes(setting))
    assert found.state is Proposal.TO_OPEN
    assert found.page.startswith(
        "https://github.com/acme/income/compare/main...mlbot-refresh-income?quick_pull=1&title="
    )
    opened = setting.ada.open_pull_request(BRANCH, body=change(setting).body + "\n\nOpened by hand.")
    found = propose(setting.client(PROPOSES), change(setting, day="2026-11-23"), pushes(setting))
    assert (found.state, found.number) == (Proposal.OPEN, opened.number)
    setting.ada.close(opened)
    assert propose(setting.client(PROPOSES), change(setting), pushes(setting)).state is Proposal.ANSWERED


@pytest.mark.parametrize(("answer", "after"), [("cut", True), (502, True), (422, True), (502, False)])
def test_a_fault_opens_no_second_pull_request(setting: Setting, answer: "int | str", *, after: bool) -> None:
    setting.repository.settings["can_approve"] = True
    setting.fake.faults.add("POST /repos/acme/income/pulls", answer, after=after)  # type: ignore[arg-type]
    assert propose(setting.client(PROPOSES), change(setting), pushes(setting)).number is not None
    assert len(proposals(setting)) == 1


def test_a_forks_branch_of_that_name_is_no_proposal(setting: Setting) -> None:
    setting.repository.settings["can_approve"] = True
    fork = setting.fake.user("mallory", setting.repository).fork()
    fork.push(BRANCH, {"train.csv": "evil\n"})
    fork.open_pull_request(BRANCH, body=change(setting).body)
    assert propose(setting.client(PROPOSES), change(setting), pushes(setting)).state is Proposal.OPENED


def test_nothing_is_opened_where_nothing_changes_and_refusals_are_raised(setting: Setting) -> None:
    assert propose(setting.client(PROPOSES), change(setting), lambda _: False).state is Proposal.NO_CHANGE
    with pytest.raises(NotPermittedError):
        propose(setting.client({"pull_requests": "read"}), change(setting), pushes(setting))
