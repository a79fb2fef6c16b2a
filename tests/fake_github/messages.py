"""Requests and replies, as handlers see them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.fake_github.errors import Refusal
from tests.fake_github.state import Repository
from tests.fake_github.tokens import Need, Token, may
from tests.fake_github.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request as it came in; ``path`` is still quoted."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """Query parameters."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON, or None where there is none.

        Raises:
            Refusal: it is not JSON.
        """
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, "Problems parsing JSON") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What goes out. ``raw`` body; the flags are faults to act out on the wire."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    truncate: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A handler's answer: facts to be shaped, or bytes, or a list to be paged."""

    status: int = 200
    facts: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    pages: "Pages | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages:
    """A list that is answered page by page; ``key`` names it where GitHub wraps it beside a total_count."""

    items: Sequence[Any]
    fact: Callable[[Any], Any]
    key: str | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)


def paged(items: Sequence[Any], fact: Callable[[Any], Any], key: str | None = None, **rest: Any) -> Reply:
    """A list, one page at a time; facts are only made of what is shown."""
    return Reply(pages=Pages(items=items, fact=fact, key=key, rest=rest))


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """What a handler works with: authorized, parsed, checked against GitHub's description."""

    world: World
    request: Request
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    token: Token | None
    repository: Repository | None

    @property
    def repo(self) -> Repository:
        """The repository that the path names."""
        assert self.repository, self.request.path
        return self.repository

    @property
    def holder(self) -> Token:
        """The token.

        Raises:
            Refusal: there is none.
        """
        if self.token is None:
            raise Refusal(401, "Requires authentication")
        return self.token

    def number(self, name: str) -> int:
        """A path parameter that is a number (anything else is nothing that GitHub has)."""
        text = self.params[name]
        return int(text) if text.isascii() and text.isdecimal() else -1

    def may(self, need: str) -> bool:
        """Whether the token may do something beyond what the route asked for."""
        return may(self.token, self.repo, need)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """An operation of the description, what it needs, and who answers."""

    key: str
    handler: Callable[[Call], Reply]
    need: Need | None


def route(key: str, handler: Callable[[Call], Reply], need: str | None = None) -> Route:
    """A row of a table of routes."""
    return Route(key=key, handler=handler, need=Need.parse(need) if need else None)
