"""A command of the user's, run by a shell in the repository's root: how it deploys, or looks at an endpoint.

It keeps the credentials of the environment (a cloud's, a cluster's) and gets none of mlbot's and GitHub's. Everything
it starts ends with it.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlbot.errors import NotEvaluatedError

TIMEOUT_S = 900.0
_MOST_OUTPUT = 65_536
_POLL_S = 0.1
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
    with process:
        try:
            raw = _output(process, time.monotonic() + timeout_s)
        except TimeoutError:
            raise OverdueError(f"it took longer than {timeout_s:g} s and was ended", where=command) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if len(raw) > _MOST_OUTPUT:
        raise NotEvaluatedError(f"it printed more than {_MOST_OUTPUT:,} bytes", where=command)
    return Done(exit_code=process.returncode, output=raw.decode("utf-8", "replace"))


def _output(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """What it prints until it ends, or prints too much; not until all that it started ends, too.

    Raises:
        TimeoutError: It goes on for too long.
    """
    pipe = process.stdout
    if pipe is None:
        raise ValueError("the process has no pipe")
    raw = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(raw) <= _MOST_OUTPUT:
            ended = process.poll() is not None
            if selector.select(0 if ended else _POLL_S):
                chunk = os.read(pipe.fileno(), _MOST_OUTPUT)
                raw += chunk
                if not chunk:
                    _wait(process, deadline)
                    break
            elif ended:
                break
            if time.monotonic() > deadline:
                raise TimeoutError
    return bytes(raw)


def _wait(process: "subprocess.Popen[bytes]", deadline: float) -> None:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without mlbot's and GitHub's tokens, by name and by form."""
    return {
        name: value
        for name, value in environment.items()
        if not _OURS.fullmatch(name) and not _GITHUB_TOKEN.search(value)
    }
