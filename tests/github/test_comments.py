"""One comment of the bot, whatever happens."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import responses
from tests.github.setting import MARKER, NAME, Setting, transport_of

from mlbot.events.github import Comment, Edits
from mlbot.github.api import GitHub
from mlbot.github.comments import (
    Upserted,
    open_pull_requests,
    upsert,
    upsert_on_commit,
    with_edits,
)
from mlbot.github.transport import Answer, Headers, NotPermittedError, Request, UnavailableError
from mlbot.protocol.operations import UpsertComment
from mlbot.publish.run_comment import body_of, label_marker

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


# Comments on commits, against GitHub's documented answers: the fake knows none; and pull requests of a commit.

API = f"https://api.github.com:443/repos/{NAME}"
SHA = "a" * 40
OWN = label_marker("plots")


def raw(number: int, body: str, login: str = "github-actions[bot]") -> dict[str, Any]:
    return {"id": number, "user": {"login": login}, "body": body}


def posted(*there: dict[str, Any], body: str = "New.") -> tuple[Upserted, list[tuple[str, str, str]]]:
    """What became of a comment where these are, and what was written: method, path, body."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.get(f"{API}/commits/{SHA}/comments", json=list(there))
        mocked.post(f"{API}/commits/{SHA}/comments", status=201, json=raw(9, body))
        for each in there:
            mocked.patch(f"{API}/comments/{each['id']}", json=raw(each["id"], body))
            mocked.delete(f"{API}/comments/{each['id']}", status=204)
        client = GitHub.connect(NAME, "ghs_x")
        done = upsert_on_commit(client, SHA, OWN, body_of(body, "plots"))
        calls = [call.request for call in mocked.calls if call.request.method != "GET"]
        written = [json.loads(str(call.body or "{}")).get("body", "") for call in calls]
        paths = [str(call.url).removeprefix(API) for call in calls]
        return done, list(zip([str(call.method) for call in calls], paths, written, strict=True))


def test_the_first_one_is_made() -> None:
    others = raw(1, "Hello."), raw(2, body_of("Other.", "data"))
    wanted = body_of("New.", "plots")
    assert posted(*others) == (Upserted.CREATED, [("POST", f"/commits/{SHA}/comments", wanted)])


def test_it_is_edited_and_doubles_go() -> None:
    done, calls = posted(raw(5, body_of("Old.", "plots")), raw(3, body_of("Older.", "plots")))
    assert done == Upserted.EDITED
    assert calls == [("DELETE", "/comments/5", ""), ("PATCH", "/comments/3", body_of("New.", "plots"))]


def test_the_same_words_are_not_written_again() -> None:
    assert posted(raw(5, body_of("New.", "plots"))) == (Upserted.UNCHANGED, [])


def test_nobody_elses_is_touched() -> None:
    done, calls = posted(raw(5, body_of("Mine, says eve.", "plots"), "eve"))
    assert (done, [verb for verb, _, _ in calls]) == (Upserted.CREATED, ["POST"])


def test_the_open_pull_requests_of_a_commit(setting: Setting) -> None:
    client = setting.client({"pull_requests": "read", "contents": "read"})
    (found,) = open_pull_requests(client, setting.pull.head_sha)
    assert found.number == setting.issue.number
    assert open_pull_requests(client, "f" * 40) == ()
    setting.ada.close(setting.issue)
    assert open_pull_requests(setting.client(), setting.pull.head_sha) == ()


def test_a_forks_pull_request_is_found_by_its_head(setting: Setting) -> None:
    """GitHub lists none for the commit."""
    fork = setting.fake.user("eve", setting.repository).fork()
    sha = fork.push("theirs", {"b": "1"})
    issue = fork.open_pull_request("theirs")
    client = setting.client({"pull_requests": "read", "contents": "read"})
    assert client.transport.json(client.request("GET", f"/commits/{sha}/pulls")) == []
    assert [each.number for each in open_pull_requests(client, sha)] == [issue.number]
    fork.delete_repository()
    assert [each.number for each in open_pull_requests(client, sha)] == [issue.number]


def test_looking_for_a_head_ends(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    monkeypatch.setattr("mlbot.github.comments._MOST_PULLS", 2)
    fork = setting.fake.user("eve", setting.repository).fork()
    heads = [fork.push(f"theirs-{number}", {"b": f"{number}"}) for number in range(3)]
    for number in range(3):
        fork.open_pull_request(f"theirs-{number}")
    client = setting.client({"pull_requests": "read", "contents": "read"})
    assert [len(open_pull_requests(client, sha)) for sha in heads] == [0, 1, 1]


# Whether a person's comment was edited.


def edits(setting: Setting, *numbers: int, **rights: str) -> list[Edits]:
    """What GraphQL says of comments, with what REST says of them."""
    client = setting.client(rights or {"pull_requests": "read"}, attempts=2)
    read = [each for each in client.comments(setting.issue.number) if each.id in numbers]
    return [each.edits for each in with_edits(client, read)]


def test_an_edit_in_the_second_of_the_creation_shows(setting: Setting) -> None:
    """The times that REST gives are equal then."""
    setting.fake.world.clock = lambda: datetime(2026, 11, 1, 12, tzinfo=UTC)
    nice, rude, own = (setting.ada.comment(setting.issue, body) for body in ("nice", "rude", "mine"))
    setting.fake.user("bob").on(setting.repository).edit_comment(nice, "/approve income@v1.0.0 production")
    setting.ada.edit_comment(own, "mine")  # with the same words: somebody saw others in between, for all we know
    assert nice.created_at == nice.updated_at
    assert edits(setting, nice.id, rude.id, own.id) == [Edits.SOME, Edits.NONE, Edits.SOME]
    asked = setting.fake.requests.of("POST /api/graphql")
    assert len(asked) == 1


def test_what_nobody_asked_for_costs_nothing(setting: Setting) -> None:
    assert with_edits(setting.client(), []) == ()
    assert setting.fake.requests.of("graphql") == []


@pytest.mark.parametrize("fault", [401, 403, 404, 500, 502, "cut", "truncated"])
def test_where_graphql_does_not_answer_nobody_knows(setting: Setting, fault: Any) -> None:
    made = setting.ada.comment(setting.issue, "/retrain")
    setting.fake.faults.add("/api/graphql", fault, times=99)
    assert edits(setting, made.id) == [Edits.UNKNOWN]


def test_a_token_that_may_not_see_a_comment_knows_nothing(setting: Setting) -> None:
    made = setting.ada.comment(setting.issue, "/retrain")
    client = setting.client({"pull_requests": "read"})
    read = client.comment(made.id)
    assert read
    blind = setting.client({"contents": "read"})
    assert [each.edits for each in with_edits(blind, [read])] == [Edits.UNKNOWN]
    setting.ada.delete_comment(made)
    assert [each.edits for each in with_edits(client, [read])] == [Edits.UNKNOWN]
    assert [each.edits for each in with_edits(client, [read.model_copy(update={"node": ""})])] == [Edits.UNKNOWN]


PAGE = "https://github.com/acme/income/pull/1#issuecomment-5"
UNEDITED: dict[str, Any] = {"url": PAGE, "lastEditedAt": None, "includesCreatedEdit": False, "editor": None}
SHAPES: list[tuple[str, Any, Edits]] = [
    ("unedited", UNEDITED, Edits.NONE),
    ("by its time", UNEDITED | {"lastEditedAt": "2026-11-01T12:00:00Z"}, Edits.SOME),
    ("by its first words", UNEDITED | {"includesCreatedEdit": True}, Edits.SOME),
    ("by its editor", UNEDITED | {"editor": {"login": "eve"}}, Edits.SOME),
    ("an editor whose account is gone", UNEDITED | {"includesCreatedEdit": True, "editor": None}, Edits.SOME),
    ("no node", None, Edits.UNKNOWN),
    ("a node of another type", {}, Edits.UNKNOWN),
    ("a text", "yes", Edits.UNKNOWN),
    ("another comment", UNEDITED | {"url": PAGE + "0"}, Edits.UNKNOWN),
    ("no address", UNEDITED | {"url": None}, Edits.UNKNOWN),
    ("a time that is none", UNEDITED | {"lastEditedAt": "soon"}, Edits.UNKNOWN),
    ("a number for a truth value", UNEDITED | {"includesCreatedEdit": 0}, Edits.UNKNOWN),
    ("null for a truth value", UNEDITED | {"includesCreatedEdit": None}, Edits.UNKNOWN),
    ("an editor without a name", UNEDITED | {"editor": {}}, Edits.UNKNOWN),
    *((f"without {name}", {k: v for k, v in UNEDITED.items() if k != name}, Edits.UNKNOWN) for name in UNEDITED),
]


def told(body: Any) -> Edits:
    """What is made of an answer of GraphQL."""
    transport, _ = transport_of(lambda _request, _headers: Answer(status=200, headers={}, body=json.dumps(body)))
    github = GitHub(repository=NAME, transport=transport)
    (found,) = with_edits(github, [Comment(id=5, node="IC_5", author="ada", body="/retrain")])
    return found.edits


@pytest.mark.parametrize(("node", "known"), [each[1:] for each in SHAPES], ids=[each[0] for each in SHAPES])
def test_only_a_whole_answer_says_that_a_comment_is_unedited(node: Any, known: Edits) -> None:
    assert told({"data": {"nodes": [node]}}) is known


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"nodes": [UNEDITED]}, "errors": [{"message": "the editor was left out"}]},
        {"errors": [{"type": "RATE_LIMITED"}]},
        {"data": None},
        {"data": {"nodes": []}},
        {"data": {"nodes": [UNEDITED, UNEDITED]}},
        {"data": {"nodes": {"0": UNEDITED}}},
        [UNEDITED],
        None,
    ],
    ids=range(8),
)
def test_an_answer_that_is_not_whole_says_nothing(body: Any) -> None:
    assert told(body) is Edits.UNKNOWN
