"""What was asked, by whom, and how it went."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fake_github.tokens import Token


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One request. ``operation`` is its line in GitHub's description: ``GET /repos/{owner}/{repo}``."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    token: Token | None
    operation: str | None
    status: int

    @property
    def by(self) -> str:
        """The job or person that asked."""
        return self.token.label if self.token else "anonymous"

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


def _reads(one: Recorded) -> bool:
    """Whether a request changes nothing: a GET, or a query of GraphQL that is no mutation."""
    query = one.body.get("query") if one.path.endswith("/graphql") and isinstance(one.body, dict) else None
    return one.method in {"GET", "HEAD"} or (isinstance(query, str) and not query.lstrip().startswith("mutation"))


@dataclass(eq=False, kw_only=True)
class Recorder:
    """All requests, oldest first."""

    all: list[Recorded] = field(default_factory=list)

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def of(self, match: str = "", *, by: str = "") -> list[Recorded]:
        """Requests whose ``METHOD /path`` and whose holder contain these."""
        return [one for one in self.all if match in one.line and by in one.by]

    def writes(self, *, by: str = "") -> list[Recorded]:
        """Requests that change something, and were let."""
        return [one for one in self.of(by=by) if not _reads(one) and one.status < 400]

    def refused(self, *, by: str = "") -> list[Recorded]:
        """Requests that a token was not let."""
        return [one for one in self.of(by=by) if one.status in {401, 403}]

    def lines(self, *, by: str = "") -> list[str]:
        """``METHOD /path status`` of each, for people."""
        return [f"{one.line} {one.status}" for one in self.of(by=by)]
