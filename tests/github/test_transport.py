"""Patience: what is tried again, what is waited for, and where it ends."""

import json
from typing import Any

import pytest
from tests.github.setting import transport_of

from mlbot.errors import MlbotError
from mlbot.github.transport import (
    Answer,
    GitHubError,
    Headers,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    Patience,
    RateLimitedError,
    Request,
    Send,
    TokenRefusedError,
    UnavailableError,
)

GET = Request(verb="GET", path="/repos/o/r/pulls")
POST = Request(verb="POST", path="/repos/o/r/issues/1/comments", body={"body": "x"}, repeatable=False)


def answer(status: int = 200, body: Any = "ok", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=named, body=json.dumps(body))


def script(*replies: Answer | Exception) -> tuple[Send, list[tuple[Request, Headers]]]:
    """A GitHub that gives these answers, the last one for ever."""
    asked: list[tuple[Request, Headers]] = []
    left, last = iter(replies), replies[-1]

    def send(request: Request, headers: Headers) -> Answer:
        asked.append((request, headers))
        reply = next(left, last)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return send, asked


PASSING = [answer(500), answer(502), answer(503), ConnectionError("cut"), TimeoutError(), ConnectionResetError()]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: getattr(fault, "status", type(fault).__name__))
def test_a_passing_fault_is_tried_again(fault: Answer | Exception) -> None:
    send, asked = script(fault, fault, answer(body=[1]))
    transport, waits = transport_of(send)
    assert transport.json(GET) == [1]
    assert (len(asked), waits) == (3, [1.0, 2.0])


def test_half_a_page_is_asked_for_again() -> None:
    send, asked = script(Answer(status=200, headers={}, body='[{"id": 1}, {"i'), answer(body=[1]))
    transport, waits = transport_of(send)
    assert list(transport.pages(GET)) == [1]
    assert (len(asked), waits) == (2, [1.0])


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: getattr(fault, "status", type(fault).__name__))
def test_patience_ends(fault: Answer | Exception) -> None:
    send, asked = script(fault)
    transport, waits = transport_of(send, patience=Patience(attempts=7, longest_s=5.0))
    with pytest.raises(UnavailableError, match="after 7 attempts") as caught:
        transport.json(GET)
    assert caught.value.where == "GET /repos/o/r/pulls"
    assert (len(asked), waits) == (7, [1.0, 2.0, 4.0, 5.0, 5.0, 5.0])


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: getattr(fault, "status", type(fault).__name__))
def test_what_may_have_been_done_is_not_done_again(fault: Answer | Exception) -> None:
    send, asked = script(fault, answer(201))
    transport, waits = transport_of(send)
    with pytest.raises(UnavailableError, match="it may or may not have been done"):
        transport.json(POST)
    assert (len(asked), waits) == (1, [])


RESET = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1030"}
LIMITS: list[tuple[str, Answer, float]] = [
    ("retry-after on 403", answer(403, retry_after="2"), 2.0),
    ("retry-after on 429", answer(429, retry_after="3"), 3.0),
    ("retry-after before the reset", answer(403, retry_after="2", **RESET), 2.0),
    ("the reset", answer(403, **RESET), 31.0),
    ("a reset that is past", answer(403, x_ratelimit_remaining="0", x_ratelimit_reset="900"), 1.0),
    ("retry-after: 0", answer(429, retry_after="0"), 1.0),
    ("a secondary limit by its words", answer(403, {"message": "You have exceeded a secondary rate limit"}), 60.0),
    ("429 without a word", answer(429), 60.0),
    ("retry-after that is no number", answer(429, retry_after="soon"), 60.0),
]  # fmt: skip


@pytest.mark.parametrize(("limited", "seconds"), [case[1:] for case in LIMITS], ids=[case[0] for case in LIMITS])
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
def test_a_rate_limit_is_waited_out(request_: Request, limited: Answer, seconds: float) -> None:
    """A request that was refused for it was not done, so even a POST may be sent again."""
    send, asked = script(limited, answer(body="done"))
    transport, waits = transport_of(send)
    assert transport.json(request_) == "done"
    assert (len(asked), waits) == (2, [seconds])


def test_a_rate_limit_is_not_waited_for_longer_than_allowed() -> None:
    send, asked = script(answer(403, retry_after="3600"))
    transport, waits = transport_of(send)
    with pytest.raises(RateLimitedError, match="it asks to wait 3,600 s"):
        transport.json(GET)
    assert (len(asked), waits) == (1, [])


def test_waits_for_rate_limits_are_bounded_in_all() -> None:
    send, asked = script(answer(429, retry_after="10"))
    transport, waits = transport_of(send, patience=Patience(rate_limit_s=25.0))
    with pytest.raises(RateLimitedError):
        transport.json(GET)
    with pytest.raises(RateLimitedError):
        transport.json(GET)
    assert (len(asked), waits) == (4, [10.0, 10.0])


ERRORS: list[tuple[Answer, type[MlbotError], str]] = [
    (answer(401, {"message": "Bad credentials"}), TokenRefusedError, "GitHub does not accept the token"),
    (
        answer(403, {"message": "No"}, x_accepted_github_permissions="issues=write; pull_requests=write"),
        NotPermittedError,
        "Give the job the permission it needs: issues: write or pull_requests: write",
    ),
    (answer(403, {"message": "Not for you"}), NotPermittedError, "GitHub says: Not for you"),
    (answer(404), NotFoundError, "GitHub finds no such thing"),
    (answer(410), NotFoundError, "GitHub finds no such thing"),
    (
        answer(422, {"message": "Validation Failed", "errors": [{"field": "body", "code": "too_long"}]}),
        InvalidRequestError,
        "GitHub refused the request: body too_long",
    ),
    (answer(422, {"message": "No commit found"}), InvalidRequestError, "No commit found"),
    (answer(422, {"errors": ["one", {"message": "two"}, 3]}), InvalidRequestError, "one; two"),
    (answer(409, {"message": "Conflict"}), GitHubError, "GitHub answered 409: Conflict"),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "kind", "said"), ERRORS)
def test_each_error_is_a_sentence_and_final(refusal: Answer, kind: type[MlbotError], said: str) -> None:
    send, asked = script(refusal)
    transport, waits = transport_of(send)
    with pytest.raises(kind) as caught:
        transport.json(GET)
    assert said in str(caught.value)
    assert str(caught.value).startswith("GET /repos/o/r/pulls: ")
    assert (len(asked), waits) == (1, [])


@pytest.mark.parametrize("body", ["", "<html>", "[1]", '{"message": 5}', "[" * 100_000])
def test_an_error_whose_body_says_nothing(body: str) -> None:
    send, _ = script(Answer(status=418, headers={}, body=body))
    with pytest.raises(GitHubError, match="GitHub answered 418: it gave no reason"):
        transport_of(send)[0].json(GET)


def test_what_a_stranger_sent_comes_back_short_and_in_one_line() -> None:
    said = "::error::\n\x1b[31m" + "x" * 5000
    send, _ = script(answer(422, {"errors": [{"message": said}]}))
    with pytest.raises(InvalidRequestError) as caught:
        transport_of(send)[0].json(GET)
    assert len(caught.value.what) < 300
    assert caught.value.what.isprintable()


@pytest.mark.parametrize("body", ["{", "\x00"])
def test_an_answer_that_is_no_json(body: str) -> None:
    send, _ = script(Answer(status=200, headers={}, body=body))
    with pytest.raises(GitHubError, match="GitHub's answer is no JSON"):
        transport_of(send)[0].json(GET)


def test_no_content_is_nothing() -> None:
    send, _ = script(Answer(status=204, headers={}, body=""))
    assert transport_of(send)[0].json(GET) is None


def link(page: int) -> str:
    return f'<https://api.github.com/repositories/1/pulls?per_page=100&page={page}>; rel="next", <x?page=9>; rel="last"'


def test_all_pages_are_read() -> None:
    send, asked = script(answer(body=[1, 2], link=link(2)), answer(body=[3], link=link(3)), answer(body=[4]))
    assert list(transport_of(send)[0].pages(GET)) == [1, 2, 3, 4]
    assert [each.query for each, _ in asked] == [{"per_page": 100, "page": page} for page in (1, 2, 3)]


def test_pages_are_read_only_as_far_as_asked() -> None:
    send, asked = script(answer(body=[1, 2], link=link(2)), answer(body=[3]))
    assert next(transport_of(send)[0].pages(GET)) == 1
    assert len(asked) == 1


@pytest.mark.parametrize("page", [1, 0])
def test_a_link_that_leads_nowhere_new_ends_the_list(page: int) -> None:
    send, asked = script(answer(body=[1], link=link(page)))
    assert list(transport_of(send)[0].pages(GET)) == [1]
    assert len(asked) == 1


def test_a_list_without_end_is_refused() -> None:
    pages = [answer(body=[number], link=link(number + 1)) for number in range(1, 102)]
    send, _ = script(*pages)
    with pytest.raises(GitHubError, match="more than 100 pages"):
        list(transport_of(send)[0].pages(GET))


@pytest.mark.parametrize("body", [{"items": [1]}, {"pulls": 1}, "x", None])
def test_a_list_that_is_none(body: Any) -> None:
    send, _ = script(answer(body=body))
    with pytest.raises(GitHubError, match="no list"):
        list(transport_of(send)[0].pages(GET, "pulls"))


def test_what_has_not_changed_is_not_sent_again() -> None:
    send, asked = script(answer(body=[1], etag='"a"'), Answer(status=304, headers={}, body=""), answer(body=[2]))
    transport, _ = transport_of(send)
    assert [transport.json(GET) for _ in range(3)] == [[1], [1], [2]]
    assert [headers for _, headers in asked] == [{}, {"If-None-Match": '"a"'}, {"If-None-Match": '"a"'}]


def test_another_page_has_another_version() -> None:
    send, asked = script(answer(body=[1], etag='"a"'))
    transport, _ = transport_of(send)
    transport.json(GET)
    transport.json(Request(verb="GET", path=GET.path, query={"page": 2}))
    assert [headers for _, headers in asked] == [{}, {}]


def test_a_write_names_no_version() -> None:
    send, asked = script(answer(etag='"a"'))
    transport, _ = transport_of(send)
    patch = Request(verb="PATCH", path="/x", body={})
    transport.answer(patch)
    transport.answer(patch)
    assert [headers for _, headers in asked] == [{}, {}]


def test_waits_are_told() -> None:
    said: list[str] = []
    send, _ = script(answer(502, {"message": "Server Error"}), answer(429, retry_after="2"), answer())
    transport, _ = transport_of(send, progress=said.append)
    transport.json(GET)
    assert said == [
        "GET /repos/o/r/pulls: GitHub answered 502: Server Error; trying again in 1.0 s",
        "GET /repos/o/r/pulls: GitHub's rate limit is used up; waiting 2 s",
    ]
