"""Scoring children that are forked instead of started: the same process, lock-down and protocol, a tenth of the time.

Most of a scoring child's work is the import of numpy, onnx and onnxruntime and their first use. Here one process a
worker of the tests has imported them and tried them on mlbot's own small model, and has read nothing else; each child
is a fork of it that becomes the tests' own child. The tests of the sandbox, a few of scoring, and all tests at night
start theirs as mlbot does.
"""

import ctypes
import gc
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

_SET_CHILD_SUBREAPER = 36
_PAUSE_S = 0.0005


class Forked(subprocess.Popen[bytes]):
    """What `subprocess.Popen` gives for a scoring child."""

    cold = False  # whether children are started as mlbot does
    _lock = threading.Lock()
    _server: socket.socket | None = None

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        if Forked.cold or any("import read" in each for each in command):  # one that reads tables is another program
            super().__init__(command, **options)
            return
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        with Forked._lock:
            self.pid = _fork(_served_by(command), theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(descriptor, mode, 0)
            for descriptor, mode in ((pipes[0][1], "wb"), (pipes[1][0], "rb"), (pipes[2][0], "rb"))
        )
        self.args, self.returncode, self._child_created = command, None, True
        self._waitpid_lock, self._sigint_wait_secs = threading.Lock(), 0.25


def install() -> None:
    """Let this process's scoring children be forked."""
    from mlbot.ml import worker  # noqa: PLC0415 - numpy and polars, for whoever scores

    worker.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": Forked})  # type: ignore[assignment,attr-defined]  # its import


def _served_by(command: Sequence[str]) -> socket.socket:
    """The server, started by whoever scores first; it ends with this process."""
    if Forked._server is None:
        Forked._server, theirs = socket.socketpair()
        roots = command[command.index("-c") + 2 :]
        theirs.set_inheritable(True)
        arguments = [sys.executable, "-I", "-B", str(Path(__file__)), str(theirs.fileno()), *roots]
        os.posix_spawn(sys.executable, arguments, {}, setsid=True)
        theirs.close()
    return Forked._server


def _fork(server: socket.socket, descriptors: list[int]) -> int:
    """A new child of this process: its maker ends at once, and this process adopts what the maker leaves."""
    _adopt(1)
    try:
        socket.send_fds(server, [b"x"], descriptors)
        pid = int.from_bytes(server.recv(4), "big")
        while int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) != os.getpid():
            time.sleep(_PAUSE_S)
    finally:
        _adopt(0)
    return pid


def _adopt(value: int) -> None:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, value, 0, 0, 0)


def serve(channel: socket.socket) -> None:
    """Fork a scoring child for each three descriptors that come, until nobody asks any more."""
    while True:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 3)
        if not descriptors:
            return
        maker = os.fork()
        if maker == 0:
            own = os.getpid()
            child = os.fork()
            if child == 0:
                _become(channel, descriptors, own)
            channel.send(child.to_bytes(4, "big"))
            os._exit(0)
        os.waitpid(maker, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(channel: socket.socket, descriptors: list[int], maker: int) -> NoReturn:
    """The scoring child, as `python -c` would run it."""
    from mlbot.ml import scorer  # noqa: PLC0415 - imported long ago

    channel.close()
    os.setsid()
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    while os.getppid() == maker:
        time.sleep(_PAUSE_S)
    try:
        scorer.main()
    except BaseException:  # noqa: BLE001 - the interpreter's own ending
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    sys.path += sys.argv[2:]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from mlbot.ml import disable_telemetry

    disable_telemetry()
    from mlbot.ml import runtime, scorer  # noqa: F401 - for the children

    runtime.warm_up(1)
    gc.freeze()  # what the children share is not touched, so not copied
    os.chdir("/")
    serve(socket.socket(fileno=int(sys.argv[1])))
