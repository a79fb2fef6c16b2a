"""Running git so that nothing but its arguments decides what it does."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mlbot.errors import UsageError

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=",  # empty, not "false": before git 2.36 the value was the name of a program
    "core.safecrlf=false",
    "core.splitIndex=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "i18n.commitEncoding=UTF-8",
    "submodule.recurse=false",
    "advice.addEmbeddedRepo=false",
)

_PASSED = ("GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_LFS_", "GIT_TRACE", "GIT_ASKPASS", "GIT_CEILING_DIRECTORIES")
"""What may stay of the GIT_* variables: who the user is, never which repository, index or object folder to use."""

_DROPPED = "GIT_CONFIG_PARAMETERS"
"""The `-c` options of a git command that started mlbot, from an alias or a hook: they were meant for that command."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the variables that would lead git elsewhere."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or (name.startswith(_PASSED) and name != _DROPPED)
    }
    fixed = {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    return passed | fixed | dict(extra or {})


def try_git(
    arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a git command to its end, whatever it ends in; raises `UsageError` only when there is no git."""
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    try:
        return subprocess.run(
            ["git", *settings, *arguments],
            cwd=cwd,
            env=environment(extra),
            input=stdin,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise UsageError(f"there is no folder {cwd}") from error
        raise UsageError("git is not installed", hint="Install git 2.25 or newer.") from error


def git(arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
    """What a git command wrote to stdout; raises `UsageError` with git's own words if it fails."""
    done = try_git(arguments, cwd, stdin=stdin, extra=extra)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed: {words(done)}", where=str(cwd))
    return done.stdout


def words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git said about its failure."""
    text = done.stderr.decode("utf-8", "replace").strip()
    return text or f"it ended with exit code {done.returncode} and said nothing"


def read_objects(oids: Iterable[str], cwd: Path) -> Mapping[str, bytes]:
    """The contents of objects by their ids, in one git process; raises `UsageError` when the repository lacks one."""
    wanted = list(dict.fromkeys(oids))
    if not wanted:
        return {}
    return dict(_objects(git(["cat-file", "--batch"], cwd, stdin="".join(f"{oid}\n" for oid in wanted).encode())))


def _objects(out: bytes) -> Iterator[tuple[str, bytes]]:
    """What `cat-file --batch` wrote: a line `<oid> <type> <size>`, the bytes, a newline; and so on."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        header = out[at:end].decode().split(" ")
        if len(header) != 3:
            raise UsageError(
                f"the object {header[0]} is not in the repository", hint="Fetch it: git fetch, or repair: git fsck."
            )
        size = int(header[2])
        yield header[0], out[end + 1 : end + 1 + size]
        at = end + 2 + size
