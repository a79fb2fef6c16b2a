"""A version's thread, against a GitHub that checks every call."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.github.setting import Setting

from mlbot.github.comments import Thread, edit_thread, find_thread, open_thread
from mlbot.github.transport import NotPermittedError, UnavailableError
from mlbot.protocol.marker import marker

LABEL = "mlbot-release"
MARKER = marker(".github/workflows/mlbot-release.yml", "income@v1.0.0", "release")
BODY = f"Progress.\n\n{MARKER}"
RIGHTS = {"issues": "write"}


def opened(setting: Setting) -> Thread:
    return open_thread(setting.client(RIGHTS), title="income v1.0.0", body=BODY, label=LABEL, marker=MARKER)


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
    open_thread(client, title="other", body=f"{MARKER}\n\n{MARKER}x\nlast", label=LABEL, marker="last")
    assert find_thread(client, LABEL, MARKER) is None


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


def test_it_is_edited_and_closed_and_the_same_words_are_not_sent_twice(setting: Setting) -> None:
    thread = opened(setting)
    client = setting.client(RIGHTS)
    edit_thread(client, thread, f"Done.\n\n{MARKER}", open_=False)
    now = find_thread(client, LABEL, MARKER)
    assert now is not None
    assert (now.body, now.open) == (f"Done.\n\n{MARKER}", False)
    writes = len(setting.fake.requests.writes())
    edit_thread(client, now, now.body, open_=False)
    assert len(setting.fake.requests.writes()) == writes


def test_without_the_right_it_says_so(setting: Setting) -> None:
    with pytest.raises(NotPermittedError):
        open_thread(setting.client({"issues": "read"}), title="t", body=BODY, label=LABEL, marker=MARKER)
