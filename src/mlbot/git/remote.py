"""A repository somewhere else: fetching from it and pushing to it with a token that lies nowhere."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import urlsplit

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.git.command import git, try_git, words
from mlbot.git.repository import Repository

_DENIED = (
    "requested url returned error: 401",  # the whole words: a commit's id may well have 401 in it
    "requested url returned error: 403",
    "permission to",
    "authentication failed",
    "could not read username",
    "access denied",
)

_PATIENCE = {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "120"}
"""A server that sends nothing for two minutes is given up; else git waits for as long as the job lasts."""

_OVERTAKEN = (
    *("fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref", "incorrect old value"),
    *("atomic transaction failure", "stale info"),  # of a push of several refs, one with a lease
)
_DECLINED = ("hook declined", "protected branch", "repository rule violations")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Where to fetch from and push to.

    The token is sent as a header by an environment variable of the one git process: not on a command line, which other
    processes can read, not in any configuration file, and never in the URL.
    """

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path | None:
        """The repository's folder where it is on this machine; an address with a scheme never is."""
        path = Path(self.url)
        return path if path.is_absolute() and path.is_dir() else None

    def run(self, arguments: Sequence[str], cwd: Path, stdin: bytes = b"") -> CompletedProcess[bytes]:
        """Run a git command that may talk to this remote."""
        return try_git(arguments, cwd, stdin=stdin, extra=_PATIENCE | self._header(os.environ))

    def _header(self, environment: Mapping[str, str]) -> dict[str, str]:
        parts = urlsplit(self.url)
        if not self.token or parts.scheme not in {"http", "https"}:
            return {}
        count = environment.get("GIT_CONFIG_COUNT", "0")
        place = int(count) if count.isdigit() else 0
        secret = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        return {
            "GIT_CONFIG_COUNT": str(place + 1),
            f"GIT_CONFIG_KEY_{place}": f"http.{parts.scheme}://{parts.netloc}/.extraheader",
            f"GIT_CONFIG_VALUE_{place}": f"AUTHORIZATION: basic {secret}",
        }


def is_denied(done: CompletedProcess[bytes]) -> bool:
    """Whether the remote refused for want of rights, so that trying again is of no use."""
    output = _output(done)
    return any(word in output for word in (*_DENIED, *_DECLINED))


def is_overtaken(done: CompletedProcess[bytes]) -> bool:
    """Whether a push was refused because somebody else's came first."""
    output = _output(done)
    return any(word in output for word in _OVERTAKEN)


def failure(
    done: CompletedProcess[bytes], doing: str, name: str, kind: str = "branch"
) -> NotEvaluatedError | RefusedError:
    """The error for a fetch or push of a ref that failed for good."""
    output = _output(done)
    if any(word in output for word in _DECLINED):
        return RefusedError(
            f"a rule of the repository forbids {doing} the {kind} {name}",
            hint=f"Exempt {name} from the ruleset or branch protection that matches it.",
        )
    if any(word in output for word in _DENIED):
        return RefusedError(
            f"the token may not be used for {doing} the {kind} {name}",
            hint="Give the job `permissions: contents: write`.",
        )
    return NotEvaluatedError(f"{doing} the {kind} {name} failed: {words(done)}")


def _output(done: CompletedProcess[bytes]) -> str:
    return (done.stderr + done.stdout).decode("utf-8", "replace").lower()


def remote_url(repository: Repository) -> str | None:
    """The address of the remote that pull requests go to: origin's, else the only one's."""
    names = git(["remote"], repository.root).decode("utf-8", "surrogateescape").split()
    name = "origin" if "origin" in names else names[0] if len(names) == 1 else None
    if name is None:
        return None
    done = try_git(["remote", "get-url", name], repository.root)
    return done.stdout.decode("utf-8", "surrogateescape").strip() or None
