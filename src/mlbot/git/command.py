"""Running git so that nothing but its arguments decides what it does."""

import os
import subprocess
from collections.abc import Mapping, Sequence
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

_KEPT = ("GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_LFS_", "GIT_TRACE", "GIT_ASKPASS", "GIT_CEILING_DIRECTORIES")
"""What may stay of the GIT_* variables: who the user is, never which repository, index or object folder to use."""

_DROPPED = "GIT_CONFIG_PARAMETERS"
"""The `-c` options of a git command that started mlbot, from an alias or a hook: they were meant for that command."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the variables that would lead git elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or (name.startswith(_KEPT) and name != _DROPPED)
    }
    fixed = {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    return kept | fixed | dict(extra or {})


def try_git(
    arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a git command to its end, whatever it ends in.

    Args:
        arguments: the command and its arguments.
        cwd: the folder to run in.
        stdin: what it reads.
        extra: more environment variables.

    Raises:
        UsageError: if there is no git.
    """
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
    """Run a git command and return what it wrote to stdout.

    Raises:
        UsageError: with git's own words, if it fails.
    """
    done = try_git(arguments, cwd, stdin=stdin, extra=extra)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed: {words(done)}", where=str(cwd))
    return done.stdout


def words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git said about its failure."""
    said = done.stderr.decode("utf-8", "replace").strip()
    return said or f"it ended with exit code {done.returncode} and said nothing"
