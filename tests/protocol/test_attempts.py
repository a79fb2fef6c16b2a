"""Which attempts are trials, which count, and whose files a model has."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.forge_samples import HEAD
from tests.support.reruns_samples import request

from mlbot.events.github import Attempt
from mlbot.protocol.answer import Recorded, Reruns, WaiverRequest


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


def test_a_models_files_are_of_the_newest_attempt_that_trained_it() -> None:
    named = reruns(request(2, "a"), request(3, "b"), request(4, "a", lr=0.1), request(5))
    assert [named.trained("a", at(number)).number for number in range(1, 6)] == [1, 2, 2, 2, 5]
    assert [named.trained("b", at(number)).number for number in range(1, 6)] == [1, 1, 3, 3, 5]
    assert [named.trained("c", at(number)).number for number in range(1, 7)] == [1, 1, 1, 1, 5, 6]


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
    newest, trained = known.counting(latest), known.trained("a", latest)
    assert known.trial(newest) is None
    assert known.trial(trained) is None
    assert trained.order <= newest.order <= latest.order
    assert known.outlasts(newest, latest)
    assert all(known.trial(at(number)) is not None for number in range(newest.number + 1, now + 1))
