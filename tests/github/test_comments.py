"""One comment of the bot, whatever happens."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.github.setting import MARKER, Setting

from mlbot.github.comments import Upserted, upsert
from mlbot.github.transport import Answer, Headers, NotPermittedError, Request, UnavailableError
from mlbot.protocol.operations import UpsertComment

PUBLISHERS = 20


def test_a_first_comment_is_created_and_then_edited_in_place(setting: Setting) -> None:
    assert upsert(setting.client(), setting.comment("One.")) is Upserted.CREATED
    (first,) = setting.repository.comments.values()
    assert upsert(setting.client(), setting.comment("Two.", run=8)) is Upserted.EDITED
    (second,) = setting.repository.comments.values()
    assert first.id == second.id
    assert setting.bodies() == [setting.comment("Two.", run=8).body]


def test_after_many_comments_and_a_person_who_quotes_the_marker(setting: Setting) -> None:
    for number in range(35):
        setting.ada.comment(setting.issue, f"Comment {number}")
    quotes = [setting.comment().body, MARKER, f"> {setting.comment().body}"]
    for quote in quotes:
        setting.ada.comment(setting.issue, quote)
    before = setting.bodies("ada")
    for run in range(7, 10):
        upsert(setting.client(), setting.comment(run=run))
    assert len(setting.bodies()) == 1
    assert setting.bodies("ada") == before


def test_a_comment_on_the_second_page_is_found(setting: Setting) -> None:
    for number in range(130):
        setting.ada.comment(setting.issue, f"Comment {number}")
    upsert(setting.client(), setting.comment("One."))
    assert upsert(setting.client(), setting.comment("Two.")) is Upserted.EDITED
    assert len(setting.bodies()) == 1


def test_a_hundred_redeliveries_write_once(setting: Setting) -> None:
    client = setting.client()
    done = [upsert(client, setting.comment()) for _ in range(100)]
    assert done == [Upserted.CREATED] + [Upserted.UNCHANGED] * 99
    assert len(setting.fake.requests.of("/comments", by="job")) < 250
    assert [each.method for each in setting.fake.requests.writes(by="job")] == ["POST"]


def _publish(setting: Setting, operations: list[UpsertComment]) -> list[Upserted]:
    setting.fake.limits.writes_a_minute = 10_000
    clients = [setting.client() for _ in operations]
    with ThreadPoolExecutor(len(operations)) as pool:
        return list(pool.map(upsert, clients, operations))


def test_twenty_publishers_of_one_verdict(setting: Setting) -> None:
    setting.ada.comment(setting.issue, MARKER)
    _publish(setting, [setting.comment() for _ in range(PUBLISHERS)])
    assert setting.bodies() == [setting.comment().body]
    assert setting.bodies("ada") == [MARKER]


def test_twenty_publishers_of_twenty_attempts(setting: Setting) -> None:
    _publish(setting, [setting.comment(f"Attempt {number}.", number=number) for number in range(1, PUBLISHERS + 1)])
    assert len(setting.bodies()) == 1


def test_an_older_attempt_writes_nothing(setting: Setting) -> None:
    upsert(setting.client(), setting.comment("New.", run=8, number=2))
    for run, number in ((7, 5), (8, 1)):
        assert upsert(setting.client(), setting.comment("Old.", run=run, number=number)) is Upserted.NEWER_WRITTEN
    assert setting.bodies() == [setting.comment("New.", run=8, number=2).body]


def test_a_newer_head_takes_the_comment_over_whatever_its_run(setting: Setting) -> None:
    upsert(setting.client(), setting.comment("Old head.", run=8))
    setting.ada.push("deeper", {"a": "2"})
    assert upsert(setting.client(), setting.comment("New head.", run=7)) is Upserted.EDITED
    assert setting.bodies() == [setting.comment("New head.", run=7).body]


def test_a_head_that_moved_since_is_not_commented_on(setting: Setting) -> None:
    operation = setting.comment()
    setting.ada.push("deeper", {"a": "2"})
    assert upsert(setting.client(), operation) is Upserted.NOT_CURRENT
    assert setting.bodies() == []
    upsert(setting.client(), setting.comment("New."))
    assert upsert(setting.client(), operation) is Upserted.NOT_CURRENT
    assert setting.bodies() == [setting.comment("New.").body]


def test_a_closed_pull_request_is_not_commented_on(setting: Setting) -> None:
    operation = setting.comment()
    setting.ada.close(setting.issue)
    assert upsert(setting.client(), operation) is Upserted.NOT_CURRENT
    assert setting.bodies() == []


def test_a_deleted_comment_is_written_again(setting: Setting) -> None:
    upsert(setting.client(), setting.comment())
    setting.repository.comments.clear()
    assert upsert(setting.client(), setting.comment()) is Upserted.CREATED
    assert len(setting.bodies()) == 1


def test_a_comment_that_is_deleted_while_it_is_edited_is_written_again(setting: Setting) -> None:
    upsert(setting.client(), setting.comment("One."))
    setting.fake.faults.add("PATCH /repos", 404)
    (gone,) = setting.repository.comments
    client = setting.client()
    send = client.transport.send

    def and_it_is_gone(request: Request, headers: Headers) -> Answer:
        answer = send(request, headers)
        if answer.status == 404:
            setting.repository.comments.pop(gone, None)
        return answer

    client.transport.send = and_it_is_gone
    assert upsert(client, setting.comment("Two.", run=8)) is Upserted.CREATED
    assert setting.bodies() == [setting.comment("Two.", run=8).body]


def test_duplicates_of_the_bots_own_are_reconciled(setting: Setting) -> None:
    client = setting.client()
    for run in (5, 6, 7):
        client.create_comment(setting.issue.number, setting.comment(run=run).body)
    oldest = min(setting.repository.comments)
    assert upsert(client, setting.comment("Last.", run=8)) is Upserted.EDITED
    assert list(setting.repository.comments) == [oldest]
    assert setting.bodies() == [setting.comment("Last.", run=8).body]


def test_duplicates_go_even_when_the_oldest_says_it_already(setting: Setting) -> None:
    client = setting.client()
    for _ in range(3):
        client.create_comment(setting.issue.number, setting.comment().body)
    assert upsert(client, setting.comment()) is Upserted.UNCHANGED
    assert setting.bodies() == [setting.comment().body]


def test_other_comments_of_the_bot_are_left_alone(setting: Setting) -> None:
    client = setting.client()
    answer = "Training again, as you asked."
    client.create_comment(setting.issue.number, answer)
    upsert(client, setting.comment())
    upsert(client, setting.comment("Two.", run=8))
    assert setting.bodies() == [answer, setting.comment("Two.", run=8).body]


@pytest.mark.parametrize("after", [True, False])
def test_a_post_that_failed_may_have_been_done(setting: Setting, after: bool) -> None:  # noqa: FBT001 - a table
    setting.fake.faults.add(f"POST /repos/acme/income/issues/{setting.issue.number}/comments", 502, after=after)
    assert upsert(setting.client(), setting.comment()) in {Upserted.CREATED, Upserted.UNCHANGED}
    assert setting.bodies() == [setting.comment().body]


def test_a_connection_that_is_cut_after_the_post(setting: Setting) -> None:
    setting.fake.faults.add(f"POST /repos/acme/income/issues/{setting.issue.number}/comments", "truncated", after=True)
    upsert(setting.client(), setting.comment())
    assert setting.bodies() == [setting.comment().body]


def test_posts_that_fail_for_ever_end(setting: Setting) -> None:
    setting.fake.faults.add("POST /repos", 502, times=99)
    with pytest.raises(UnavailableError):
        upsert(setting.client(), setting.comment())


def test_an_older_attempt_that_writes_in_the_same_moment_is_written_over(setting: Setting) -> None:
    client = setting.client()
    upsert(client, setting.comment("First.", run=5))
    (held,) = setting.repository.comments.values()
    late = [setting.comment("Late.", run=6).body]
    update = client.update_comment

    def and_somebody_else_does(comment: int, body: str) -> None:
        update(comment, body)
        if late:
            held.body = late.pop()

    client.update_comment = and_somebody_else_does  # type: ignore[method-assign]  # a race, made certain
    assert upsert(client, setting.comment("Newest.", run=7)) is Upserted.EDITED
    assert setting.bodies() == [setting.comment("Newest.", run=7).body]


def test_a_token_that_speaks_as_another_app_than_was_thought(setting: Setting) -> None:
    token = setting.fake.token("model-judge")
    setting.repository.roles["model-judge"] = "write"
    for run in (7, 8):
        client = setting.with_token(token)
        client.known_login = "github-actions[bot]"
        upsert(client, setting.comment(run=run))
    assert setting.bodies("model-judge") == [setting.comment(run=8).body]


def test_without_the_right_nothing_is_written(setting: Setting) -> None:
    client = setting.client({"contents": "read", "pull_requests": "read"})
    with pytest.raises(NotPermittedError, match="the token may not do this"):
        upsert(client, setting.comment())
    assert setting.bodies() == []


def test_a_comment_without_a_stamp_is_the_last_writers(setting: Setting) -> None:
    """What a person posts by hand has no attempt: whoever writes last is right."""
    for text in ("One.", "Two."):
        operation = UpsertComment(number=setting.issue.number, marker=MARKER, body=f"{text}\n\n{MARKER}")
        upsert(setting.client(), operation)
    assert setting.bodies() == [f"Two.\n\n{MARKER}"]
