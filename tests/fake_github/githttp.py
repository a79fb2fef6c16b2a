"""Git over HTTP: git's own processes over the bare repositories, with GitHub's permissions before them.

What a fetch asks first, which features there are and which references, is answered again without a process while
nothing of it has changed: a run of mlbot asks it dozens of times.
"""

import gzip
import os
import re
import subprocess
from collections.abc import Sequence
from typing import Final

from tests.fake_github import ops_checks, ops_git
from tests.fake_github.errors import Refusal
from tests.fake_github.messages import Request, Response
from tests.fake_github.objects import ENVIRONMENT
from tests.fake_github.ops_checks import Declined
from tests.fake_github.state import Repository
from tests.fake_github.tokens import Need, Token, authorize
from tests.fake_github.world import World

PATH: Final = re.compile(r"/([^/]+)/([^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")


def serves(path: str) -> bool:
    """Whether a path is git's."""
    return PATH.fullmatch(path) is not None


def answer(world: World, request: Request, token: Token | None) -> Response:
    """Fetch or push.

    Raises:
        Refusal: the repository may not be seen, or not be pushed to.
    """
    found = PATH.fullmatch(request.path)
    assert found, request.path
    pushes = "git-receive-pack" in (found[3], request.query.get("service"))
    try:
        repository = world.repository(f"{found[1]}/{found[2]}")
        authorize(token, repository, Need.parse("contents:write" if pushes else "contents:read"))
    except Refusal as refusal:
        if token is not None:
            raise
        raise Refusal(401, str(refusal), headers={"WWW-Authenticate": 'Basic realm="GitHub"'}) from refusal
    if found[3] != "git-receive-pack":
        return _backend(repository, request, found[3]) if pushes else _fetched(repository, request, found[3])
    assert token
    with world.lock:
        before = repository.git.refs()
        response = _backend(repository, request, found[3])
        after = repository.git.refs()
        changed = [ref for ref in before.keys() | after.keys() if before.get(ref) != after.get(ref)]
        refused = [ops_checks.declined(repository, token, before, ref, after.get(ref)) for ref in sorted(changed)]
        if any(refused):
            for ref in changed:  # nobody saw it: the lock is held
                _restore(repository, ref, before.get(ref))
            return _declined([one for one in refused if one], sorted(changed))
        ops_git.moved(world, repository, token, before, after)
    return response


def _restore(repository: Repository, ref: str, sha: str | None) -> None:
    arguments = [ref, sha] if sha else ["-d", ref]
    repository.git.git("update-ref", *arguments)


def _declined(refused: Sequence[Declined], refs: Sequence[str]) -> Response:
    """What a client of git gets whose push GitHub declines: one reference that is refused costs all of them."""
    why = {one.ref: one.status for one in refused}
    report = _packets("unpack ok\n", *(f"ng {ref} {why.get(ref, 'pre-receive hook declined')}\n" for ref in refs))
    said = "".join(f"{line}\n" for one in refused for line in one.lines)
    body = (_packet(b"\2" + said.encode()) if said else b"") + _packet(b"\1" + report) + b"0000"
    return Response(status=200, headers={"Content-Type": "application/x-git-receive-pack-result"}, body=body)


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def _packets(*lines: str) -> bytes:
    return b"".join(_packet(line.encode()) for line in lines) + b"0000"


def _fetched(repository: Repository, request: Request, service: str) -> Response:
    if request.headers.get("git-protocol") != "version=2":
        return _backend(repository, request, service)
    if service == "info/refs":
        return repository.git.remembered(b"", lambda: _backend(repository, request, service))
    body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
    if body[4:].startswith(b"command=ls-refs"):
        return repository.git.remembered(repository.git.state() + body, lambda: _upload_pack(repository, body))
    return _upload_pack(repository, body)


def _upload_pack(repository: Repository, body: bytes) -> Response:
    """What http-backend would run."""
    environment = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath), "GIT_PROTOCOL": "version=2"}
    command = ["git", "upload-pack", "--strict", "--stateless-rpc", str(repository.git.path)]
    done = subprocess.run(command, input=body, capture_output=True, env=environment, check=True)
    headers = {"Cache-Control": "no-cache", "Content-Type": "application/x-git-upload-pack-result"}
    return Response(status=200, headers=headers, body=done.stdout)


def _backend(repository: Repository, request: Request, service: str) -> Response:
    environment = {
        **ENVIRONMENT,
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_PROJECT_ROOT": str(repository.git.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{service}",
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "HTTP_GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "REMOTE_USER": "fake",
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(["git", "http-backend"], input=request.body, capture_output=True, env=environment, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    return Response(status=int(headers.pop("Status", "200").split()[0]), headers=headers, body=body)
