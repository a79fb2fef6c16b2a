"""What the stand-ins share."""

import glob
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NoReturn


def settings() -> dict[str, str]:
    """What the harness tells: address of the artifact service, runtime token, folder of commands."""
    return dict(word.split("=", 1) for word in sys.argv[1:])


def given(name: str) -> str:
    """An input of the action."""
    return os.environ.get(f"INPUT_{name.upper().replace('-', '_')}", "").strip()


def flag(name: str) -> bool:
    """An input that is true or false."""
    return given(name).lower() == "true"


def output(**values: object) -> None:
    """Put out; underscores in names become dashes."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
        file.writelines(f"{name.replace('_', '-')}={value}\n" for name, value in values.items())


def workspace(path: str = "") -> Path:
    """A path in the workspace."""
    return Path(os.environ["GITHUB_WORKSPACE"], path)


def say(text: str) -> None:
    """A line of the log; workflow commands are lines of it too."""
    sys.stdout.write(f"{text}\n")


def fail(message: str) -> NoReturn:
    """End the step with an error."""
    say(f"::error::{message}")
    raise SystemExit(1)


class _Plain(urllib.request.HTTPRedirectHandler):
    """Follow a redirect without the token, as the toolkit does."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:  # noqa: ARG002
        return urllib.request.Request(newurl)  # noqa: S310 -- the loopback


def matching(pattern: str, *, hidden: bool = True) -> list[Path]:
    """Files and folders of the workspace that a pattern (or a plain or absolute path) names."""
    found = glob.glob(str(workspace(pattern)), recursive=True, include_hidden=hidden)  # noqa: PTH207 -- hidden files
    return [Path(one) for one in sorted(found)]


def ask(method: str, url: str, token: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
    """One request; a refusal ends the step."""
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 -- the loopback
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", kind)
    try:
        with urllib.request.build_opener(_Plain).open(request, timeout=30) as answer:
            found: bytes = answer.read()
            return found
    except urllib.error.HTTPError as error:
        fail(f"{method} {url}: {error.code} {error.read().decode('utf-8', 'replace')[:500]}")


def ask_json(method: str, url: str, token: str, body: object = None) -> Any:
    """One request with JSON both ways."""
    return json.loads(ask(method, url, token, json.dumps(body).encode() if body is not None else None))


def api(path: str) -> str:
    """An address of the REST API."""
    return f"{os.environ['GITHUB_API_URL']}{path}"


def service(name: str = "") -> str:
    """An address of the artifact service for this run."""
    where = f"{settings()['service']}/{os.environ['GITHUB_RUN_ID']}/{os.environ['GITHUB_RUN_ATTEMPT']}"
    return f"{where}/{urllib.parse.quote(name, safe='')}"
