"""From a request to a response: who asks, may they, is it GitHub's contract, and what page of it."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.fake_github import contract
from tests.fake_github.contract import ContractError, Operation
from tests.fake_github.errors import Refusal
from tests.fake_github.limits import Limits
from tests.fake_github.messages import Call, Pages, Reply, Request, Response, Route
from tests.fake_github.routes import table
from tests.fake_github.state import Repository
from tests.fake_github.tokens import Token, authorize
from tests.fake_github.world import World

API = "/api/v3"
UPLOADS = "/api/uploads"
MAX_PAGE = 100
DEFAULT_PAGE = 30


def bearer(world: World, headers: Mapping[str, str]) -> Token | None:
    """The token of an Authorization header: token, bearer, or basic with the token as password.

    Raises:
        Refusal: nobody holds it.
    """
    kind, _, value = headers.get("authorization", "").partition(" ")
    if not value:
        return None
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Refusal(401, "Bad credentials") from error
    return world.token(value)


@dataclass(eq=False, kw_only=True)
class Gateway:
    """The REST API."""

    world: World
    limits: Limits = field(default_factory=Limits)
    routes: Mapping[str, Route] = field(default_factory=table.routes)

    def answer(self, request: Request, path: str, operation: Operation, params: Mapping[str, str]) -> Response:
        """Answer one request; a breach of contract is kept and answered 500."""
        token: Token | None = None
        try:
            token = bearer(self.world, request.headers)
            reply = self._handle(request, operation, params, token)
            return self._respond(request, path, operation, reply, token)
        except Refusal as refusal:
            headers = self.limits.headers(token) | {"Content-Type": "application/json; charset=utf-8"} | refusal.headers
            return Response(status=refusal.status, headers=headers, body=json.dumps(refusal.body).encode())
        except ContractError as error:
            self.world.violate(f"{request.method} {path}: {error}")
            return Response(status=500, body=json.dumps({"message": str(error)}).encode())

    def _handle(self, request: Request, operation: Operation, params: Mapping[str, str], token: Token | None) -> Reply:
        self.limits.count(token, writes=request.method not in {"GET", "HEAD"})
        binary = request.headers.get("content-type", "").startswith(("application/octet", "application/zip", "text/"))
        body = None if binary else request.json()
        query = request.query
        contract.check_request(operation, query, body)
        route = self.routes.get(operation.key)
        if route is None:
            raise ContractError(f"the fake does not answer {operation.key} yet: add it to its routes")
        repository = self._repository(route, params, token)
        call = Call(
            world=self.world, request=request, params=params, query=query, body=body, token=token, repository=repository
        )
        return route.handler(call)

    def _repository(self, route: Route, params: Mapping[str, str], token: Token | None) -> Repository | None:
        if not {"owner", "repo"} <= params.keys():
            return None
        repository = self.world.repository(f"{params['owner']}/{params['repo']}")
        if route.need:
            authorize(token, repository, route.need)
        return repository

    def _respond(
        self, request: Request, path: str, operation: Operation, reply: Reply, token: Token | None
    ) -> Response:
        headers = self.limits.headers(token) | dict(reply.headers)
        if reply.raw is not None:
            return Response(status=reply.status, headers=headers, body=reply.raw)
        facts: Any = reply.facts
        if reply.pages:
            facts, links = _page(reply.pages, request.query, f"{self.world.url}{request.path}")
            headers |= {"Link": links} if links else {}
        if facts is None and reply.status in {202, 204, 302}:
            return Response(status=reply.status, headers=headers)
        body = json.dumps(contract.answer(operation, reply.status, facts)).encode()
        headers |= {"Content-Type": "application/json; charset=utf-8", "X-GitHub-Request-Id": path[:60]}
        if request.method == "GET":
            headers["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()}"'
            if request.headers.get("if-none-match") == headers["ETag"]:
                return Response(status=304, headers=headers)
        return Response(status=reply.status, headers=headers, body=body)


def _page(pages: Pages, query: Mapping[str, str], url: str) -> tuple[Any, str]:
    size = min(MAX_PAGE, max(1, int(query.get("per_page", DEFAULT_PAGE))))
    number = max(1, int(query.get("page", 1)))
    last = max(1, -(-len(pages.items) // size))
    shown = [pages.fact(item) for item in pages.items[(number - 1) * size : number * size]]
    targets = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
    wanted = {
        name: page
        for name, page in targets.items()
        if (page < number if name in {"prev", "first"} else number < page <= last) and page >= 1
    }
    links = ", ".join(f'<{url}?{urlencode({**query, "page": page})}>; rel="{name}"' for name, page in wanted.items())
    if pages.key is None:
        return shown, links
    return {"total_count": len(pages.items), pages.key: shown, **pages.rest}, links
