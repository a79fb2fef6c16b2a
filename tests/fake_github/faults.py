"""Faults to order: what a network and a busy GitHub do to clients."""

import threading
from dataclasses import dataclass, field
from typing import Literal

from tests.fake_github.errors import Refusal
from tests.fake_github.messages import Request

Answer = int | Literal["hang", "cut", "truncated"]
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
PRIMARY = "API rate limit exceeded"
MAX_HANG = 30.0


@dataclass(eq=False, kw_only=True, slots=True)
class Fault:
    """One fault: the nth to (nth+times-1)th request that matches meets it.

    ``match`` is a part of ``METHOD /path`` (without the API's prefix). A hang ends in the true answer.
    """

    match: str
    answer: Answer
    nth: int = 1
    times: int = 1
    retry_after: float | None = None
    seconds: float = 5.0
    after: bool = False
    seen: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)

    def due(self, line: str) -> bool:
        """Count a request; whether it meets the fault."""
        if self.match not in line:
            return False
        self.seen += 1
        due = self.nth <= self.seen < self.nth + self.times
        if due:
            self.arrived.set()
        return due

    @property
    def met(self) -> int:
        """How many requests met it."""
        return max(0, min(self.seen - self.nth + 1, self.times))

    def refusal(self) -> Refusal:
        """The answer of a fault that is a status."""
        assert isinstance(self.answer, int)
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        texts = {403: SECONDARY, 429: SECONDARY, 404: "Not Found", 401: "Bad credentials"}
        return Refusal(self.answer, texts.get(self.answer, "Server Error"), headers=headers)


@dataclass(eq=False, kw_only=True)
class Faults:
    """All faults that a test ordered."""

    ordered: list[Fault] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def add(
        self, match: str, answer: Answer, *,
        nth: int = 1, times: int = 1, retry_after: float | None = None, seconds: float = 5.0, after: bool = False,
    ) -> Fault:  # fmt: skip
        """Order a fault.

        Args:
            match: a part of ``METHOD /path``, as ``POST /repos/o/r/statuses`` (requests to git and blobs too).
            answer: a status; ``hang``: wait before the true answer; ``cut``: close the connection without a word;
                ``truncated``: the true answer, half of its body.
            nth: the first matching request that meets it.
            times: how many do.
            retry_after: seconds for the Retry-After header.
            seconds: how long to hang, 30 at most; the end of the test ends it too.
            after: do what was asked first, and then fail: the client cannot know that it worked.
        """
        fault = Fault(
            match=match, answer=answer, nth=nth, times=times, retry_after=retry_after, seconds=seconds, after=after
        )
        self.ordered.append(fault)
        return fault

    def due(self, request: Request, path: str) -> Fault | None:
        """The fault that a request meets."""
        due = [fault for fault in self.ordered if fault.due(f"{request.method} {path}")]
        return due[0] if due else None

    def hang(self, fault: Fault) -> None:
        """Wait, until the test is over at most."""
        self.over.wait(min(fault.seconds, MAX_HANG))
