"""Who mlbot is to a registry: the job's token for GitHub's, what `docker login` left for all others.

Sources: the Distribution project's "Token Authentication Specification"; Docker's `config.json` and its credential
helpers. Passwords and tokens are in no `repr`, message or URL.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbot.core.hostile_json import HostileJsonError, load
from mlbot.errors import NotEvaluatedError, RefusedError

GITHUB = "ghcr.io"
_HELPER = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_PAIR = re.compile(r'([A-Za-z]+)="([^"\x00-\x1f]{0,2000})"')
_HELPER_S = 30
_TOKENS = ("MLBOT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A name and a secret.

    Attributes:
        username: Shown to the registry.
        password: Shown to nobody else.
    """

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """As an `Authorization` header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """What a registry asks for in its `WWW-Authenticate` header.

    Attributes:
        basic: The password itself; else a token from `realm`.
        realm: Where tokens are given.
        query: What to ask there.
    """

    basic: bool
    realm: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


def read_challenge(header: str) -> Challenge | None:
    """A `WWW-Authenticate` header; None for one that asks for something else."""
    scheme, _, rest = header.strip().partition(" ")
    said = {name.lower(): value for name, value in _PAIR.findall(rest[:8000])}
    if scheme.lower() == "basic":
        return Challenge(basic=True)
    if scheme.lower() != "bearer" or not said.get("realm"):
        return None
    query = {name: said[name] for name in ("service", "scope") if said.get(name)}
    return Challenge(basic=False, realm=said["realm"], query=query)


def read_token(body: bytes, where: str) -> str:
    """The token in an answer of a realm.

    Raises:
        NotEvaluatedError: There is none.
    """
    try:
        answer = load(body, "the answer", most_bytes=_MOST_BYTES)
    except HostileJsonError:
        answer = None
    said = answer if isinstance(answer, dict) else {}
    token = said.get("token") or said.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,65536}", token):
        raise NotEvaluatedError("the registry's login gave no token", where=where)
    return token


def find_credentials(
    host: str, token: str | None, environment: Mapping[str, str] = os.environ, run: "Run | None" = None
) -> Credentials | None:
    """What a registry is told; None: it is asked as anybody.

    Args:
        host: With the port.
        token: For GitHub's registry: the job's.
        environment: Of this process: names the folder of Docker's `config.json`, and may hold a person's token for
            GitHub's registry.
        run: Runs a credential helper.
    """
    if host == GITHUB and token:
        return Credentials(username="mlbot", password=token)
    folder = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME", "~")).expanduser() / ".docker")
    config = _config(Path(folder) / "config.json")
    helper = _helper(config, host)
    if helper is not None:
        return _from_helper(helper, host, run or _run)
    return _from_auths(config, host) or (_of_the_environment(environment) if host == GITHUB else None)


def _of_the_environment(environment: Mapping[str, str]) -> Credentials | None:
    """A person's token, for whoever has not logged in by `docker login`."""
    token = next((environment[name] for name in _TOKENS if environment.get(name)), None)
    return Credentials(username="mlbot", password=token) if token else None


Run = Callable[[str, str], bytes | None]
"""Runs `docker-credential-<name> get` with a host on its standard input; None when it has nothing."""


def _config(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes()[:_MOST_BYTES])
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _helper(config: Mapping[str, Any], host: str) -> str | None:
    helpers = config.get("credHelpers")
    name = helpers.get(host) if isinstance(helpers, dict) else None
    name = name or config.get("credsStore")
    return name if isinstance(name, str) and _HELPER.fullmatch(name) else None


def _from_helper(name: str, host: str, run: Run) -> Credentials | None:
    raw = run(name, host)
    if raw is None:
        return None
    try:
        said = json.loads(raw)
        return Credentials(username=str(said["Username"]), password=str(said["Secret"]))
    except (ValueError, KeyError, TypeError):
        raise RefusedError(f"docker-credential-{name} gave no credentials that can be read", where=host) from None


def _run(name: str, host: str) -> bytes | None:
    try:
        done = subprocess.run(
            [f"docker-credential-{name}", "get"],
            input=host.encode(),
            capture_output=True,
            timeout=_HELPER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _from_auths(config: Mapping[str, Any], host: str) -> Credentials | None:
    auths = config.get("auths")
    entry = auths.get(host) or auths.get(f"https://{host}") if isinstance(auths, dict) else None
    encoded = entry.get("auth") if isinstance(entry, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        username, found, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return Credentials(username=username, password=password.rstrip("\x00")) if found else None
