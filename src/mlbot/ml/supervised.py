"""Run a command so that nothing of it is left when it is done, overdue, interrupted, or mlbot itself is killed."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbot.ml import supervisor

_POLL_S = 0.2

_CHUNK = 64 * 1024

_LAST_CHUNKS = 64  # more than a pipe holds

_SLACK_S = 30.0

_REPORT_LIMIT = 64 * 1024


class Stopped(Exception):  # noqa: N818 - it is no error, somebody asked for it
    """The training was ended because mlbot is being ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What to run, where, and for how long.

    Attributes:
        arguments: The program and its arguments.
        folder: Its working folder.
        environment: All its variables.
        timeout_s: When it is ended.
        grace_s: What it has between SIGTERM and SIGKILL.
        scratch: A folder to remove should mlbot be killed.
    """

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    timeout_s: float
    grace_s: float
    scratch: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        exit_code: Negative for the signal that killed it; None when it is unknown.
        timed_out: Whether it took too long.
        duration_s: From start to the leader's end.
        peak_memory_bytes: The largest resident set of any one of its processes.
        problem: Why it could not be run or watched; empty when it could.
    """

    exit_code: int | None
    timed_out: bool = False
    duration_s: float = 0.0
    peak_memory_bytes: int = 0
    problem: str = ""


def supervise(command: Command, on_output: Callable[[bytes], None], *, stop: threading.Event | None = None) -> Ended:
    """Run a command under a supervisor (`supervisor.py`) and pass its output on.

    Whatever raises here, Ctrl-C included, ends the command and everything it started before it goes on.

    Raises:
        Stopped: `stop` was set.
    """
    bare = [sys.executable, "-I", "-S", str(Path(supervisor.__file__).absolute())]
    limits = [repr(command.timeout_s), repr(command.grace_s), str(command.scratch)]
    process = subprocess.Popen(
        [*bare, *limits, *command.arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.folder,
        env=dict(command.environment),
        start_new_session=True,  # Ctrl-C reaches mlbot alone, which then ends the training in order
    )
    deadline = time.monotonic() + command.timeout_s + command.grace_s + _SLACK_S
    reports = bytearray()
    try:
        _follow(process, on_output, reports, deadline, stop)
    finally:
        _let_go(process, command.grace_s + _SLACK_S, reports)
    return _ended(bytes(reports), process.returncode)


def _follow(
    process: "subprocess.Popen[bytes]",
    on_output: Callable[[bytes], None],
    reports: bytearray,
    deadline: float,
    stop: threading.Event | None,
) -> None:
    """Until the supervisor has ended; not until all output has, which something it could not end may hold open."""
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("the pipes to the supervisor are missing")
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        listening = True
        while listening and time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                raise Stopped
            ready = {key.fileobj for key, _ in selector.select(_POLL_S)}
            if process.stderr in ready and not _drain_once(process.stderr.fileno(), on_output):
                selector.unregister(process.stderr)
            if process.stdout in ready:
                listening = _drain_once(process.stdout.fileno(), reports.extend) and len(reports) < _REPORT_LIMIT
        for _ in range(_LAST_CHUNKS):
            if not _drain_once(process.stderr.fileno(), on_output, empty=False):
                break


def _drain_once(descriptor: int, take: Callable[[bytes], object], *, empty: bool = True) -> bool:
    """Read what is there; False at the end of the stream (`empty`: what to answer when there is nothing yet)."""
    try:
        chunk = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return empty
    if chunk:
        take(chunk)
    return bool(chunk)


def _let_go(process: "subprocess.Popen[bytes]", patience_s: float, reports: bytearray) -> None:
    """Close the lifeline and wait until the supervisor has ended the training."""
    for stream in (process.stdin, process.stderr):
        if stream is not None:
            stream.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.returncode not in (0, None):  # killed: the group it watched may still be there
            _kill_group(bytes(reports))
        if process.stdout is not None:
            process.stdout.close()


def _kill_group(reports: bytes) -> None:
    leader = _facts(reports).get("pid")
    if isinstance(leader, int) and leader > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def _facts(reports: bytes) -> dict[str, Any]:
    """The supervisor's lines in one. The training runs as the same user and could have written here: trust nothing."""
    facts: dict[str, Any] = {}
    for line in reports.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line)
            facts |= found if isinstance(found, dict) else {}
    return facts


def _ended(reports: bytes, status: int | None) -> Ended:
    facts = _facts(reports)
    try:
        return Ended(
            exit_code=None if facts["exit_code"] is None else int(facts["exit_code"]),
            timed_out=bool(facts["timed_out"]),
            duration_s=max(0.0, float(facts["duration_s"])),
            peak_memory_bytes=max(0, int(facts["peak_memory_bytes"])),
            problem=str(facts.get("problem", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return Ended(exit_code=None, problem=f"the process that watches the training ended ({status}) without a word")
