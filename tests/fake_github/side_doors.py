"""What is not REST: GraphQL's minimizeComment, stored blobs, and the artifact service that jobs upload to."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from tests.fake_github import ops_actions
from tests.fake_github.errors import Refusal, not_found
from tests.fake_github.facts import node_id
from tests.fake_github.messages import Request, Response
from tests.fake_github.tokens import Need, Token, authorize
from tests.fake_github.world import World

BLOB: Final = re.compile(r"/_blobs/artifacts/(\d+)/([0-9a-f]{64})")
SERVICE: Final = re.compile(r"/_artifacts/(\d+)/(\d+)/([^/]*)")
REASONS: Final = {"SPAM", "ABUSE", "OFF_TOPIC", "OUTDATED", "DUPLICATE", "RESOLVED"}
JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


def blob(world: World, request: Request) -> Response | None:
    """An artifact's archive, or None where the path is no blob's. Other credentials are refused, as by Azure."""
    found = BLOB.fullmatch(request.path)
    if found is None:
        return None
    if "authorization" in request.headers:
        raise Refusal(401, "The store does not take the Authorization header of another host")
    for repository in world.repositories.values():
        one = repository.artifacts.get(int(found[1]))
        if one and one.digest == found[2]:
            return Response(status=200, headers={"Content-Type": "application/zip"}, body=one.archive)
    raise not_found()


def artifact_service(world: World, request: Request) -> Response | None:
    """Put, get and (without a name) list archives of one's own run, with the runner's token; None for other paths."""
    found = SERVICE.fullmatch(request.path)
    if found is None:
        return None
    run, attempt, name = world.runs[int(found[1])], int(found[2]), unquote(found[3])
    if request.headers.get("authorization") != f"Bearer {world.runtime_token(run.id)}":
        raise Refusal(401, "Bad runtime token")
    own = [one for one in reversed(run.repository.artifacts.values()) if one.run_id == run.id]
    if request.method == "PUT":
        for one in own if "overwrite" in request.query else ():
            if one.name == name and one.attempt == attempt:
                del run.repository.artifacts[one.id]
        made = ops_actions.upload(world, run, attempt, name, request.body)
        return Response(status=201, headers=JSON, body=json.dumps({"id": made.id, "digest": made.digest}).encode())
    if not name:
        listed = [{"id": one.id, "name": one.name} for one in own]
        return Response(status=200, headers=JSON, body=json.dumps(listed).encode())
    for one in own:
        if one.name == name:
            return Response(status=200, headers={"Content-Type": "application/zip"}, body=one.archive)
    raise not_found()


def graphql(world: World, request: Request, token: Token | None) -> Response:
    """The one mutation that REST lacks. Errors are told in the body with status 200, as on GitHub."""
    if token is None:
        raise Refusal(401, "This endpoint requires you to be authenticated.")
    body = request.json()
    query, variables = str(body.get("query", "")), body.get("variables") or {}
    name = next((one for one in ("unminimizeComment", "minimizeComment") if one in query), None)
    if name is None:
        world.violate(f"GraphQL: the fake knows minimizeComment only, not {query[:200]!r}")
        return _graphql({"errors": [{"message": "unknown query"}]})
    given = {**_inline(query), **variables, **variables.get("input", {})}
    return _graphql(_minimize(world, token, name, given))


def _inline(query: str) -> dict[str, str]:
    return {
        key: value.strip('"') for key, value in re.findall(r"(subjectId|classifier)\s*:\s*(\"[^\"]+\"|[A-Z_]+)", query)
    }


def _minimize(world: World, token: Token, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    reason = given.get("classifier")
    if name == "minimizeComment" and reason not in REASONS:
        return {"errors": [{"type": "INVALID", "message": f"classifier {reason!r} is invalid"}]}
    for repository in world.repositories.values():
        for one in repository.comments.values():
            if node_id("IC", one.id) == given.get("subjectId"):
                try:
                    authorize(token, repository, Need.parse("issues|pull_requests:write"))
                except Refusal as refusal:
                    return {"errors": [{"type": "FORBIDDEN", "message": refusal.body["message"]}]}
                one.minimized = str(reason).lower() if name == "minimizeComment" else None
                shown = {"isMinimized": one.minimized is not None, "minimizedReason": one.minimized}
                key = "minimizedComment" if name == "minimizeComment" else "unminimizedComment"
                return {"data": {name: {key: shown, "clientMutationId": given.get("clientMutationId")}}}
    return {"errors": [{"type": "NOT_FOUND", "message": "Could not resolve to a node with the global id"}]}


def _graphql(body: dict[str, Any]) -> Response:
    return Response(status=200, headers=JSON, body=json.dumps(body).encode())
