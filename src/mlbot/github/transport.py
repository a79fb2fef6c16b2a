"""Calls of the REST API with patience: passing faults are tried again, rate limits are waited out, within bounds."""

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlbot.github.failures import (
    Answer,
    GitHubError,
    RateLimitedError,
    Request,
    UnavailableError,
    failure,
    is_rate_limit,
    message,
)

PAGE = 100
"""GitHub's largest page."""
_MOST_PAGES = 100
_SECONDARY_WAIT_S = 60.0
"""GitHub's advice where a secondary limit names no time (docs.github.com, "Rate limits for the REST API")."""
_NEXT = re.compile(r'<[^>]*[?&]page=(\d+)[^>]*>;\s*rel="next"')

Headers = Mapping[str, str]
Send = Callable[[Request, Headers], Answer]
"""Sends one request, once; raises ConnectionError or TimeoutError when no answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on.

    Attributes:
        attempts: how often a request is sent in all.
        first_s: the longest first wait after a fault; each further one may be twice as long.
        longest_s: no wait after a fault is longer.
        rate_limit_s: no more than this is waited for rate limits in all, by all requests together.
    """

    attempts: int = 5
    first_s: float = 1.0
    longest_s: float = 30.0
    rate_limit_s: float = 900.0


@dataclass(kw_only=True)
class Transport:
    """Sends requests until they are answered.

    Attributes:
        send: sends one request.
        sleep: waits so many seconds.
        clock: seconds since 1970.
        chance: a number from 0 to 1, so that those who failed together do not come back together.
        say: tells of a wait.
    """

    send: Send
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    say: Callable[[str], None] = lambda _: None
    patience: Patience = Patience()
    _waited: float = 0.0
    _known: dict[str, tuple[str, Answer]] = field(default_factory=dict, repr=False)

    def json(self, request: Request) -> Any:
        """The answer's JSON; None where there is none. Errors: `MlbotError`s of `mlbot.github.failures`."""
        return _value(request, self.answer(request))

    def pages(self, request: Request, name: str | None = None) -> Iterator[Any]:
        """Every item of a list over all its pages.

        Args:
            request: of the first page.
            name: the field that holds the list, where the answer is an object.
        """
        page: int | None = 1
        while page is not None:
            query = {**(request.query or {}), "per_page": PAGE, "page": page}
            answer = self.answer(Request(verb=request.verb, path=request.path, query=query))
            value = _value(request, answer)
            items = value.get(name) if name and isinstance(value, dict) else value
            if not isinstance(items, list):
                raise GitHubError("GitHub's answer is no list", where=str(request))
            yield from items
            page = _next_page(answer, page, len(items))

    def answer(self, request: Request) -> Answer:
        """The first answer that is final; an error status raises.

        Raises:
            RefusedError: 401 and 403.
            GitHubError: all else; `RateLimitedError` and `UnavailableError` when patience is at an end.
        """
        attempt = 0
        while True:
            attempt += 1
            answer = self._once(request, attempt)
            if answer is None:
                continue
            if answer.status < 400:
                return answer
            if not is_rate_limit(answer):
                raise failure(request, answer)
            self._wait_for_limit(request, answer)

    def patiently(self, request: Request, work: Callable[[], None]) -> None:
        """Do what belongs to a request, and again where a connection broke."""
        for attempt in range(1, self.patience.attempts + 1):
            try:
                work()
            except (ConnectionError, TimeoutError) as error:
                self._wait_for_recovery(request, attempt, str(error) or type(error).__name__)
            else:
                return

    def _once(self, request: Request, attempt: int) -> Answer | None:
        """An answer; None when it is worth another try, after the wait."""
        try:
            answer = self._asked(request)
        except (ConnectionError, TimeoutError) as error:
            self._wait_for_recovery(request, attempt, str(error) or type(error).__name__)
            return None
        if answer.status >= 500:
            self._wait_for_recovery(request, attempt, f"GitHub answered {answer.status}: {message(answer)}")
            return None
        return answer

    def _asked(self, request: Request) -> Answer:
        """One exchange. A GET names the version it already has; `not modified` costs nothing of the rate limit."""
        if request.verb != "GET":
            return self.send(request, {})
        key = f"{request.path}?{sorted((request.query or {}).items())}"
        tag, known = self._known.get(key, ("", None))
        answer = self.send(request, {"If-None-Match": tag} if tag else {})
        if answer.status == 304 and known is not None:
            return known
        if answer.status == 200 and "etag" in answer.headers:
            self._known[key] = answer.headers["etag"], answer
        return answer

    def _wait_for_recovery(self, request: Request, attempt: int, what: str) -> None:
        if attempt >= self.patience.attempts or not request.repeatable:
            tries = f"after {attempt} attempts" if attempt > 1 else "and it may or may not have been done"
            raise UnavailableError(
                f"GitHub could not be reached, {tries}: {what}", where=str(request), mend="Run the job again."
            )
        seconds = self.chance() * min(self.patience.longest_s, self.patience.first_s * 2.0 ** (attempt - 1))
        self.say(f"{request}: {what}; trying again in {seconds:.1f} s")
        self.sleep(seconds)

    def _wait_for_limit(self, request: Request, answer: Answer) -> None:
        seconds = _limit_s(answer, self.clock())
        if self._waited + seconds > self.patience.rate_limit_s:
            raise RateLimitedError(
                f"GitHub's rate limit is used up; it asks to wait {seconds:,.0f} s",
                where=str(request),
                mend="Run the job again later, or give mlbot a token of its own.",
            )
        self._waited += seconds
        self.say(f"{request}: GitHub's rate limit is used up; waiting {seconds:.0f} s")
        self.sleep(seconds)


def _limit_s(answer: Answer, now: float) -> float:
    """How long a rate limit asks to wait: `retry-after` first, then the reset of the primary limit; at least 1 s."""
    headers = answer.headers
    if (after := _number(headers.get("retry-after"))) is not None:
        return max(1.0, after)
    if headers.get("x-ratelimit-remaining") == "0" and (reset := _number(headers.get("x-ratelimit-reset"))) is not None:
        return max(1.0, reset - now + 1)  # a second more: both clocks show whole seconds
    return _SECONDARY_WAIT_S


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,12}(\.\d+)?", text) else None


def _next_page(answer: Answer, page: int, count: int) -> int | None:
    """The next page as the `link` header names it; never the same or an earlier one, and not for ever."""
    found = _NEXT.search(answer.headers.get("link", ""))
    following = int(found[1]) if found else None
    if following is None or following <= page or not count:
        return None
    if following > _MOST_PAGES:
        raise GitHubError(f"the list has more than {_MOST_PAGES} pages")
    return following


def _value(request: Request, answer: Answer) -> Any:
    if not answer.body.strip():
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise GitHubError("GitHub's answer is no JSON", where=str(request)) from error
