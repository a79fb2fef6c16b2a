"""Comments on commits, against GitHub's documented answers: the fake knows none; and pull requests of a commit."""

import json
from typing import Any

import responses
from tests.github.setting import NAME, Setting

from mlbot.github.api import GitHub
from mlbot.github.comments import Upserted, open_pull_requests, upsert_on_commit
from mlbot.publish.run_comment import body_of, label_marker

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
