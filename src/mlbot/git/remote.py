"""A repository somewhere else: fetching from it and pushing to it with a token that lies nowhere."""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from subprocess import CompletedProcess
from types import MappingProxyType
from urllib.parse import urlsplit

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.git.command import git, try_git, words
from mlbot.git.repository import Repository
from mlbot.lib.record import Sha

_PATIENCE = {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "120"}
"""A server that sends nothing for two minutes is given up; else git waits for as long as the job lasts."""


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


class Refusal(StrEnum):
    """Why a remote refuses for good, so that trying again is of no use. A closed list."""

    WORKFLOWS = "workflows"
    ARCHIVED = "archived"
    QUOTA = "quota"
    RULE = "rule"
    PROTECTED = "protected"
    HOOK = "hook"
    RIGHTS = "rights"

    def error(self, doing: str, ref: str, listed: Sequence[str]) -> RefusedError:
        """The error; `listed` are the reasons that the server listed."""
        what, hint = _REFUSED[self]
        level = "read" if doing == "reading" else "write"
        # git fills a remote's lines up with spaces.
        reasons = f": {' '.join(each.strip() for each in listed)}" if listed else ""
        return RefusedError(
            what.format(doing=doing, ref=ref) + reasons, hint=hint.format(name=ref.partition(" ")[2], level=level)
        )


# What tells them, in small letters; the first that is found is it. Words decide only how a refusal is called, and that
# it is final: whether somebody else was faster is asked of the remote itself.
_TELLING: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (Refusal.WORKFLOWS, ("refusing to allow a",)),
    (Refusal.ARCHIVED, ("repository was archived",)),
    (Refusal.QUOTA, ("quota", "no space left", "gh001", "repository size", "has been disabled", "is disabled")),
    (Refusal.RULE, ("repository rule violations", "gh013")),
    (Refusal.PROTECTED, ("protected branch", "gh006")),
    (Refusal.HOOK, ("hook declined",)),
    (
        Refusal.RIGHTS,
        (
            "requested url returned error: 401",  # the whole words: a commit's id may well have 401 in it
            "requested url returned error: 403",
            "permission to",
            "write access to repository not granted",
            "authentication failed",
            "could not read username",
            "access denied",
        ),
    ),
)

_EXEMPT = (
    "Exempt {name} from the ruleset or branch protection that matches it, or let a GitHub App that may bypass it do "
    "the writing: GitHub Actions itself cannot be a bypass actor. `mlbot doctor` names the rule."
)
_REFUSED: Mapping[Refusal, tuple[str, str]] = MappingProxyType(
    {
        Refusal.WORKFLOWS: (
            "a job's token may not be used for {doing} the {ref}: no branch has the workflow files of its commit",
            "No permission grants it. Push {name} yourself, or give mlbot an App's token that may write workflows.",
        ),
        Refusal.ARCHIVED: (
            "the repository is archived, which forbids {doing} the {ref}",
            "Unarchive it: Settings > General > Danger zone.",
        ),
        Refusal.QUOTA: (
            "the server has no room or has closed the repository, so {doing} the {ref} is refused",
            "Free space, raise the limit, or ask the owner.",
        ),
        Refusal.RULE: ("a rule of the repository forbids {doing} the {ref}", _EXEMPT),
        Refusal.PROTECTED: ("a branch protection forbids {doing} the {ref}", _EXEMPT),
        Refusal.HOOK: ("a rule of the repository forbids {doing} the {ref}: its hook declined the push", _EXEMPT),
        Refusal.RIGHTS: (
            "the token may not be used for {doing} the {ref}",
            "Give the job `permissions: contents: {level}`.",
        ),
    }
)
_REMOTE_LINE = re.compile(r"^remote: (?:error: |fatal: )?([^-\s].{1,200})$", re.MULTILINE)
_LISTED = re.compile(r"^remote: - (.{1,200})$", re.MULTILINE)  # GitHub's reasons, a line each


def refusal_of(done: CompletedProcess[bytes]) -> Refusal | None:
    """Why the remote refused for good; None for a fault, or where somebody else was faster."""
    output = _output(done).lower()
    return next((kind for kind, words_ in _TELLING if any(word in output for word in words_)), None)


def is_denied(done: CompletedProcess[bytes]) -> bool:
    """Whether the remote refused for good."""
    return refusal_of(done) is not None


def failure(
    done: CompletedProcess[bytes], doing: str, name: str, kind: str = "branch"
) -> NotEvaluatedError | RefusedError:
    """The error for a fetch or push of a ref that failed for good."""
    if found := refusal_of(done):
        lines = _REMOTE_LINE if found in {Refusal.QUOTA, Refusal.ARCHIVED} else _LISTED
        return found.error(doing, f"{kind} {name}", lines.findall(_output(done))[:3])
    return NotEvaluatedError(f"{doing} the {kind} {name} failed: {words(done)}")


def list_refs(remote: Remote, here: Path, *patterns: str) -> dict[str, Sha]:
    """The refs of a remote by patterns of `git ls-remote`. Raises as `failure` says."""
    done = remote.run(["ls-remote", "--refs", remote.url, *patterns], here)
    if done.returncode != 0:
        raise failure(done, "reading", patterns[0].removeprefix("refs/heads/"))
    lines = (line.partition("\t") for line in done.stdout.decode("utf-8", "replace").splitlines())
    return {ref: sha for sha, _, ref in lines}


def conflict_with(remote: Remote, here: Path, *refs: str) -> RefusedError | None:
    """The error where the remote has a ref that is the beginning of one of these, or goes on from it.

    Git keeps refs as files, so that none can be both a file and a folder. It says so in three ways at least, none of
    which is worth another try; so the remote's list is looked at, and no words.
    """
    above = {ref: ["/".join(ref.split("/")[:depth]) for depth in range(2, ref.count("/") + 1)] for ref in refs}
    found = list_refs(remote, here, *(f"{ref}/*" for ref in refs), *(each for one in above.values() for each in one))
    for ref in refs:
        taken = next((each for each in sorted(found) if each in above[ref] or each.startswith(f"{ref}/")), None)
        if taken is not None:
            return RefusedError(
                f"git cannot hold {ref} beside {taken}, which the remote has",
                hint=f"Rename or delete it: git push origin :{taken}",
            )
    return None


def _output(done: CompletedProcess[bytes]) -> str:
    return (done.stderr + done.stdout).decode("utf-8", "replace")


def remote_url(repository: Repository) -> str | None:
    """The address of the remote that pull requests go to: origin's, else the only one's."""
    names = git(["remote"], repository.root).decode("utf-8", "surrogateescape").split()
    name = "origin" if "origin" in names else names[0] if len(names) == 1 else None
    if name is None:
        return None
    done = try_git(["remote", "get-url", name], repository.root)
    return done.stdout.decode("utf-8", "surrogateescape").strip() or None
