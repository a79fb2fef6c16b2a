"""What is not REST: stored blobs, and the artifact service that jobs upload to."""

import json
import re
from typing import Final
from urllib.parse import unquote

from tests.fake_github import ops_actions
from tests.fake_github.errors import Refusal, not_found
from tests.fake_github.messages import Request, Response
from tests.fake_github.world import World

BLOB: Final = re.compile(r"/_blobs/artifacts/(\d+)/([0-9a-f]{64})")
SERVICE: Final = re.compile(r"/_artifacts/(\d+)/(\d+)/([^/]*)")
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
    every = reversed(run.repository.artifacts.values())
    own = [one for one in every if one.run_id == run.id and ops_actions.visible(world, one)]
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
        if one.name == name and request.query.get("id") in {None, str(one.id)}:
            return Response(status=200, headers={"Content-Type": "application/zip"}, body=one.archive)
    raise not_found()
