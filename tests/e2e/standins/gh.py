"""GitHub's own command line, which runners have: the few commands of it that mlbot's workflows say."""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.standins.common import api


class Refused(Exception):  # noqa: N818 -- an answer, no error of the stand-in
    """An answer of GitHub's that is no success."""


def main() -> None:
    """Run a command; what is not known here ends with 64."""
    words = sys.argv[1:]
    commands: dict[tuple[str, ...], Any] = {
        ("release", "view"): view, ("release", "create"): create, ("release", "upload"): upload,
        ("release", "edit"): edit, ("api", "--method"): call,
    }  # fmt: skip
    if tuple(words[:2]) not in commands:
        sys.exit(64)
    try:
        commands[words[0], words[1]](*words[2:])
    except Refused as refused:
        sys.stderr.write(f"gh: {refused}\n")
        sys.exit(1)


def view(tag: str, *options: str) -> None:
    """Whether a release is a draft."""
    known(options == ("--json", "isDraft", "--jq", ".isDraft"))
    sys.stdout.write(f"{json.dumps(release(tag)['draft'])}\n")


def create(tag: str, *options: str) -> None:
    """A draft for a tag that is there."""
    draft, verify, title, name, notes, path = options
    known((draft, verify, title, notes) == ("--draft", "--verify-tag", "--title", "--notes-file"))
    ask("GET", f"/git/ref/tags/{tag}")
    ask("POST", "/releases", {"tag_name": tag, "name": name, "body": Path(path).read_text(), "draft": True})


def upload(tag: str, *rest: str) -> None:
    """Files of a release, in place of those of the same names."""
    *paths, clobber = rest
    known(clobber == "--clobber")
    found = release(tag)
    if not found["draft"]:
        raise Refused("HTTP 422: Cannot upload assets to an immutable release.")
    there = {asset["name"]: asset["id"] for asset in found["assets"]}
    for path in map(Path, paths):
        if path.name in there:
            ask("DELETE", f"/releases/assets/{there[path.name]}")
        address = f"{found['upload_url'].partition('{')[0]}?name={urllib.parse.quote(path.name)}"
        request("POST", address, path.read_bytes(), "application/octet-stream")


def edit(tag: str, *options: str) -> None:
    """Publish a draft as the latest release, an older one, or a candidate."""
    draft, kind = options
    known(draft == "--draft=false" and kind in {"--prerelease", "--latest=true", "--latest=false"})
    body = {"prerelease": True} if kind == "--prerelease" else {"make_latest": kind.partition("=")[2]}
    ask("PATCH", f"/releases/{release(tag)['id']}", {"draft": False, **body})


def call(method: str, path: str, *fields: str) -> None:
    """One request; -f gives text, -F the value that it looks like."""
    body: dict[str, object] = {}
    for kind, field in zip(fields[::2], fields[1::2], strict=True):
        name, _, value = field.partition("=")
        body[name] = value if kind == "-f" else json.loads(value)
    request(method, api(f"/{path}"), json.dumps(body).encode())


def release(tag: str) -> dict[str, Any]:
    """The release of a tag, drafts too."""
    found = [one for one in ask("GET", "/releases") if one["tag_name"] == tag]
    if not found:
        raise Refused("release not found")
    return dict(found[0])


def known(sure: object) -> None:
    """End where a command is not one that this stand-in knows."""
    if not sure:
        sys.exit(64)


def ask(method: str, path: str, body: object = None) -> Any:
    """One request about the repository."""
    data = json.dumps(body).encode() if body is not None else None
    return json.loads(request(method, api(f"/repos/{os.environ['GH_REPO']}{path}"), data) or b"null")


def request(method: str, url: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
    """One request with the token that gh is given.

    Raises:
        Refused: the answer is no success.
    """
    asked = urllib.request.Request(url, data=data, method=method)  # noqa: S310 -- the loopback
    asked.add_header("Authorization", f"Bearer {os.environ['GH_TOKEN']}")
    asked.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 -- the loopback
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise Refused(f"HTTP {error.code}: {error.read().decode('utf-8', 'replace')[:300]}") from error
