"""A command of the user's, run by a shell in the repository's root: how it deploys, or looks at an endpoint.

It keeps the credentials of the environment (a cloud's, a cluster's) and gets none of mlbot's and GitHub's. Everything
it starts ends with it.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlbot.errors import NotEvaluatedError

TIMEOUT_S = 900.0
_MOST_OUTPUT = 65_536
_OURS = re.compile(
    r"(GITHUB|GH|GITHUB_ENTERPRISE|GH_ENTERPRISE)_TOKEN"
    r"|ACTIONS_\w*(TOKEN|URL)"
    r"|GITHUB_(ENV|PATH|OUTPUT|STATE|STEP_SUMMARY)"
    r"|INPUT_.*"
    r"|MLBOT_.*"
    r"|GIT_.*"
)
_GITHUB_TOKEN = re.compile(r"\b(gh[opsur]_[A-Za-z0-9_]{16,}|github_pat_[A-Za-z0-9_]{16,})")


class OverdueError(NotEvaluatedError):
    """A command took too long, and was ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How a command ended.

    Attributes:
        exit_code: Negative for the signal that killed it.
        output: What it printed; its errors went where mlbot's go.
    """

    exit_code: int
    output: str


def run_command(
    command: str,
    folder: Path,
    own: Mapping[str, str],
    *,
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] = os.environ,
) -> Done:
    """Run a shell command to its end.

    Args:
        command: For `sh -c`.
        folder: Where.
        own: Variables to add: `MLBOT_MODEL` and the like.
        timeout_s: When it is ended.
        environment: Of this process.

    Raises:
        OverdueError: It took too long.
        NotEvaluatedError: It cannot be started, or prints too much.
    """
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=child_environment(environment) | dict(own),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise NotEvaluatedError(f"it cannot be started: {error}", where=command) from error
    try:
        raw, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise OverdueError(f"it took longer than {timeout_s:g} s and was ended", where=command) from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if len(raw) > _MOST_OUTPUT:
        raise NotEvaluatedError(f"it printed more than {_MOST_OUTPUT:,} bytes", where=command)
    return Done(exit_code=process.returncode, output=raw.decode("utf-8", "replace"))


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without mlbot's and GitHub's tokens, by name and by form."""
    return {
        name: value
        for name, value in environment.items()
        if not _OURS.fullmatch(name) and not _GITHUB_TOKEN.search(value)
    }
