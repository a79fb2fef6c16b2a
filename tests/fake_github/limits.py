"""Rate limits: the primary one by the hour, the secondary one by the minute of writing."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.fake_github.errors import Refusal
from tests.fake_github.faults import PRIMARY, SECONDARY
from tests.fake_github.tokens import Token

MINUTE: Final = 60.0


@dataclass(eq=False, kw_only=True)
class Limits:
    """Counts requests by token. Tests lower the numbers to meet the limits."""

    person: int = 5000
    workflow: int = 1000
    writes_a_minute: int = 80
    clock: Callable[[], float] = time.time
    used: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    writes: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def limit(self, token: Token | None) -> int:
        """Requests an hour."""
        if token is None:
            return min(60, self.person)
        return self.workflow if token.kind == "workflow" else self.person

    def headers(self, token: Token | None) -> dict[str, str]:
        """What GitHub says of the limit with each answer."""
        limit, used = self.limit(token), self.used[_account(token)]
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used)),
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Reset": str(int(self.clock()) + 3600),
            "X-RateLimit-Resource": "core",
        }

    def count(self, token: Token | None, *, writes: bool) -> None:
        """Count a request.

        Raises:
            Refusal: 403, too many of them, or too many writes in a minute.
        """
        account = _account(token)
        self.used[account] += 1
        if self.used[account] > self.limit(token):
            raise Refusal(403, PRIMARY, headers=self.headers(token))
        if writes:
            recent, now = self.writes[account], self.clock()
            while recent and recent[0] < now - MINUTE:
                recent.popleft()
            recent.append(now)
            if len(recent) > self.writes_a_minute:
                raise Refusal(403, SECONDARY, headers={"Retry-After": "60"})


def _account(token: Token | None) -> str:
    """Workflows of a repository share one account: github-actions[bot]'s."""
    return token.user.login if token else "anonymous"
