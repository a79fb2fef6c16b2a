"""The process between mlbot and a training: nothing of the training outlives it, and it does not outlive mlbot.

It is started as a file by a bare interpreter, so it imports only the standard library. Its streams are the protocol:

* stdin is the lifeline: mlbot holds the other end and never writes. When it closes, whatever the reason (`kill -9`
  included), the training has to end.
* stdout takes two lines of JSON: `{"pid": …}` of the training's leader at its start, the outcome at its end.
* stderr is the training's stdout and stderr.

The training runs in a session of its own. On Linux this process adopts what the training orphans
(PR_SET_CHILD_SUBREAPER, prctl(2)), so that daemons are found and ended too; elsewhere only the process group is.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_SET_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SWEEP_S = 5.0
_PAUSE_S = 0.01


class Supervision:
    """One training from start to end; `scratch` is removed if mlbot is gone, because then nobody else does."""

    def __init__(self, timeout_s: float, grace_s: float, scratch: Path, command: list[str]) -> None:
        self.timeout_s = timeout_s
        self.grace_s = grace_s
        self.scratch = scratch
        self.command = command
        self.child: subprocess.Popen[bytes]
        self.status: int | None = None
        self.orphaned = False
        self.asked_to_end = False

    def run(self) -> None:
        """Start the training, wait for the first of its end, the timeout and the lifeline's end, and sweep up."""
        wake, wake_in = os.pipe()
        os.set_blocking(wake_in, False)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *_ENDING):
            signal.signal(number, self._signalled)
        prctl(_SET_CHILD_SUBREAPER, 1)
        started = time.monotonic()
        try:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            report(exit_code=127, timed_out=False, duration_s=0.0, peak_memory_bytes=0, problem=str(error))
            return
        report(pid=self.child.pid)
        timed_out = self._wait(wake, started + self.timeout_s)
        duration = time.monotonic() - started
        self._end(wake)
        if self.orphaned:
            shutil.rmtree(self.scratch, ignore_errors=True)
        report(
            exit_code=None if self.status is None else os.waitstatus_to_exitcode(self.status),
            timed_out=timed_out,
            duration_s=duration,
            peak_memory_bytes=_peak_memory(),
        )

    def _signalled(self, number: int, _frame: object) -> None:
        self.asked_to_end = self.asked_to_end or number in _ENDING

    def _wait(self, wake: int, deadline: float) -> bool:
        """Until the leader has ended (False), or has to be ended; True when that is for the time it took."""
        lifeline = 0
        while not self._reap():
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            ready, _, _ = select.select([wake, lifeline], [], [], min(left, 3600))
            if wake in ready:
                os.read(wake, 512)
            if lifeline in ready and not os.read(lifeline, 512):
                self.orphaned = True
            if self.orphaned or self.asked_to_end:
                return False
        return False

    def _reap(self) -> bool:
        """Take the ended children, adopted ones included; True once the leader is among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.child.pid:
                self.status = status
                self.child.returncode = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def _end(self, wake: int) -> None:
        """End the group: asked to, then made to. Then whatever left the group, until there is nothing."""
        if not self._reap():
            self._kill_group(signal.SIGTERM)
            deadline = time.monotonic() + self.grace_s
            while not self._reap() and (left := deadline - time.monotonic()) > 0:
                ready, _, _ = select.select([wake], [], [], left)
                if ready:
                    os.read(wake, 512)
        deadline = time.monotonic() + _SWEEP_S
        while time.monotonic() < deadline:
            self._kill_group(signal.SIGKILL)
            strays = children()
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            if not strays and self.status is not None:
                return
            time.sleep(_PAUSE_S)

    def _kill_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child.pid, number)


def children() -> list[int]:
    """This process's children, those it adopted included; empty where the platform does not tell."""
    try:
        return [int(pid) for pid in Path("/proc/thread-self/children").read_text().split()]
    except OSError:
        return []


def prctl(option: int, value: int) -> None:
    """Set an option of this process (prctl(2)), where there is such a thing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3)


def _die_with_parent() -> None:
    """In the leader before it starts: should this process be killed, the kernel kills the leader."""
    prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _peak_memory() -> int:
    """Of any one process of the training, in bytes (getrusage(2): KiB, on macOS bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def report(**facts: object) -> None:
    """One line of JSON to mlbot, if it still listens."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    Supervision(float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]).run()
