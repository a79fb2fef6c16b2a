"""The bot's answers, and who believes the records in them."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.forge_samples import HEAD
from tests.support.reruns_samples import request

from mlbot.events.github import Attempt, Comment
from mlbot.lib.record import Params
from mlbot.protocol.answer import (
    RECORDS_LIMIT,
    Recorded,
    Reruns,
    RetrainRequest,
    WaiverRequest,
    answer_marker,
    answer_to,
    is_done,
    last_line,
    recorded,
    request_of,
)
from mlbot.protocol.marker import carries

BOT = "github-actions[bot]"
SHA = "a" * 40


def retrain(number: int = 2, comment: int = 5, run: int = 7, params: Params | None = None) -> RetrainRequest:
    attempt = Attempt(run=run, number=number)
    return RetrainRequest(comment=comment, actor="alice", number=42, sha=SHA, attempt=attempt, params=params or {})


def waiver(comment: int = 5) -> WaiverRequest:
    return WaiverRequest(
        comment=comment, actor="maria", number=42, sha=SHA, model="income", gate="recall@women.min", reason="Known: -->"
    )


def said(body: str, author: str | None = BOT, identity: int = 90) -> Comment:
    return Comment(id=identity, author=author, body=body)


def line_of(raw: bytes, comment: int = 5) -> str:
    return f"{last_line(comment)}<!-- mlbot:records {urlsafe_b64encode(raw).decode()} -->"


params = st.dictionaries(
    st.text(max_size=20),
    st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.none(),
    max_size=5,
)


@given(given_params=params, above=st.text(max_size=200), done=st.booleans())
def test_records_are_read_back_whatever_is_in_them_and_above_them(
    *, given_params: Params, above: str, done: bool
) -> None:
    records: tuple[Recorded, ...] = (retrain(params=given_params), waiver())
    comment = said(f"{above}\n\n{last_line(5, records, done=done)}\n")
    assert recorded([comment], BOT) == records
    assert is_done(comment) is done
    assert answer_to([comment], BOT, 5) == comment
    assert carries(comment.body, answer_marker(5))


def test_an_answer_is_of_one_comment_and_the_oldest_counts() -> None:
    first, second = said(last_line(5), identity=8), said(last_line(5), identity=9)
    longer = said(last_line(55), identity=7)
    assert answer_to([second, longer, first], BOT, 5) == first
    assert answer_to([first], BOT, 55) is None


@pytest.mark.parametrize("author", ["mallory", "github-actions", "Github-Actions[bot]", None])
def test_nobody_elses_words_are_records(author: str | None) -> None:
    comment = said(last_line(5, [retrain(params={"depth": 3})], done=True), author)
    assert recorded([comment], BOT) == ()
    assert answer_to([comment], BOT, 5) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "> {line}",
        "`{line}`",
        "    text {line}",
        "{line}\n\nLook what the bot wrote.",
        "{line} ",
        "{line}{line}",
        "```\n{line}\n```",
    ],
)
def test_only_the_whole_last_line_counts(body: str) -> None:
    line = last_line(5, [retrain(params={"depth": 3})])
    comment = said(body.replace("{line}", line))
    expected = (retrain(params={"depth": 3}),) if body == "{line} " else ()
    assert recorded([comment], BOT) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[",
        b"{}",
        b"null",
        b'"retrain"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"[{}]",
        b'[{"kind":"other"}]',
        b'[{"kind":["retrain"]}]',
        retrain(params={"depth": 3}).model_dump_json().encode(),
        b"[" + retrain(params={"depth": 3}).model_dump_json().replace("3", "NaN").encode() + b"]",
        b"[" + retrain(params={"depth": 3}).model_dump_json().replace(":3}", ":1e999}").encode() + b"]",
        b"[" + retrain().model_dump_json().replace('"number":42', '"number":true').encode() + b"]",
        b"[" + retrain().model_dump_json().replace('"number":42', '"number":"42"').encode() + b"]",
        b"[" + retrain().model_dump_json().replace('"number":42', '"number":42,"number":43').encode() + b"]",
        b"[" + retrain().model_dump_json().replace('"number":42', '"number":42,"more":1').encode() + b"]",
        b"[" + retrain().model_dump_json().replace(SHA, "main").encode() + b"]",
        b"[" + retrain(comment=6).model_dump_json().encode() + b"]",
    ],
)
def test_malformed_records_are_ignored(raw: bytes) -> None:
    good = said(last_line(9, [retrain(comment=9)]), identity=99)
    assert recorded([said(line_of(raw)), good], BOT) == (retrain(comment=9),)


@pytest.mark.parametrize("text", ["@@@", "abc", "=", "YQ=", "A" * 50_000])
def test_malformed_base64_is_ignored(text: str) -> None:
    assert recorded([said(f"{last_line(5)}<!-- mlbot:records {text} -->")], BOT) == ()


@given(st.text(max_size=300))
def test_no_comment_raises(body: str) -> None:
    for text in (body, answer_marker(5) + body, last_line(5) + body, f"{last_line(5)}<!-- mlbot:records {body} -->"):
        assert recorded([said(text)], BOT) == ()


def test_a_huge_comment_is_read_in_linear_time() -> None:
    comments = [said(answer_marker(5) * 3000), said("<!-- mlbot:records " * 3000), said("a\n" * 32_000)]
    assert recorded(comments * 20, BOT) == ()


def test_records_that_could_not_be_read_back_are_not_written() -> None:
    most = retrain(params={"text": "a" * (RECORDS_LIMIT - 300)})
    assert recorded([said(last_line(5, [most]))], BOT) == (most,)
    with pytest.raises(ValueError, match="are read back"):
        last_line(5, [retrain(params={"text": "a" * RECORDS_LIMIT})])


def test_an_attempt_is_found_by_run_and_number() -> None:
    trial, other = retrain(3, params={"depth": 3}), retrain(2, run=8, params={"depth": 4})
    records: tuple[Recorded, ...] = (retrain(2), waiver(), trial, other)
    assert request_of(records, Attempt(run=7, number=3)) == trial
    assert request_of(records, Attempt(run=7, number=4)) is None
    assert request_of(records, other.attempt) == other
    assert request_of(records, Attempt(run=9, number=2)) is None
    assert [each.trial for each in records if isinstance(each, RetrainRequest)] == [False, True, True]


def test_the_last_request_for_an_attempt_counts() -> None:
    """The first one's re-run did not happen, or the second would have been for the attempt after it."""
    records = [retrain(2, params={"depth": 3}), retrain(2, comment=6)]
    assert request_of(records, Attempt(run=7, number=2)) == retrain(2, comment=6)


def at(number: int, run: int = 7) -> Attempt:
    return Attempt(run=run, number=number)


def reruns(*requests: Recorded) -> Reruns:
    return Reruns.of_pull_request(requests, 42)


TRIALS = reruns(request(2, "a", lr=0.2), request(3, "a"), request(4, "a", lr=0.3), request(5, "a", lr=0.4))


def test_only_a_request_with_parameters_makes_a_trial() -> None:
    assert [TRIALS.trial(at(number)) is not None for number in range(1, 7)] == [False, True, False, True, True, False]
    assert TRIALS.trial(at(2, run=8)) is None


def test_the_standing_attempt_is_the_newest_that_is_no_trial() -> None:
    assert [TRIALS.counting(at(number)).number for number in range(1, 7)] == [1, 1, 3, 3, 3, 6]


def test_an_attempt_outlasts_trials_and_a_trial_outlasts_everything() -> None:
    assert TRIALS.outlasts(at(3), at(5))
    assert not TRIALS.outlasts(at(1), at(5))
    assert TRIALS.outlasts(at(2), at(6))
    assert not TRIALS.outlasts(at(3), at(6))


def test_trials_are_counted_over_the_pull_requests_runs() -> None:
    both = reruns(request(2, "a", run=5, lr=1), request(2, "a", lr=2), request(3, "a", lr=3), request(4, "b"))
    assert [both.trials_until(each) for each in (at(2, run=5), at(2), at(3), at(4))] == [1, 2, 3, 3]


def test_another_pull_requests_records_do_not_count_and_no_first_attempt_is_a_rerun() -> None:
    assert reruns(request(2, "a", pull=43, lr=1), request(1, "a", lr=1)).requests == ()


def test_waivers_are_none() -> None:
    waiver = WaiverRequest(comment=1, actor="boss", number=42, sha=HEAD, model="a", gate="roc_auc.min", reason="known")
    assert reruns(waiver).requests == ()


PARAMS: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{}, {"lr": 0.2}])
REQUESTS = st.lists(st.tuples(st.integers(2, 6), st.sampled_from([(), ("a",), ("b",)]), PARAMS), max_size=6)


@given(REQUESTS, st.integers(1, 7))
def test_what_stands_is_never_a_trial_and_never_newer(
    asked: list[tuple[int, tuple[str, ...], dict[str, Any]]], now: int
) -> None:
    known = reruns(*(request(number, *models, **params) for number, models, params in asked))
    latest = at(now)
    newest = known.counting(latest)
    assert known.trial(newest) is None
    assert newest.order <= latest.order
    assert known.outlasts(newest, latest)
    assert all(known.trial(at(number)) is not None for number in range(newest.number + 1, now + 1))
