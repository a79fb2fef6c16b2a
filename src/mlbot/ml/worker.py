"""One scoring child from the judge's side: it is started, written to, listened to and ended, within its time.

Whatever goes wrong is a `ScoringError` with the problem in our words; what the child answers is checked like anything
from outside.
"""

import importlib.util
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn, Self

from mlbot.errors import MissingExtraError
from mlbot.gates.outcome import Reason
from mlbot.lib.record import Record
from mlbot.ml import protocol
from mlbot.ml.protocol import Expected, ProtocolError, parse, printable, receive
from mlbot.verdict.verdict import Problem

_BOOT = "import sys; sys.path += sys.argv[1:]; from mlbot.ml.scorer import {main}; {main}()"
_NEEDED = ("mlbot", "pydantic", "numpy", "onnx", "onnxruntime", "google.protobuf")
_NEEDED_TO_READ = ("mlbot", "pydantic", "numpy", "polars")
_GRACE_S = 5.0
_TAIL = 4096
_NO_MEMORY = (b"bad_alloc", b"MemoryError", b"Cannot allocate memory", b"memory allocation")


class ScoringError(Exception):
    """A child gave no answer that can be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Worker:
    """One scoring child, from start to end, as a context manager; whatever goes wrong is a `ScoringError`."""

    def __init__(
        self, expected: Expected, *, memory_bytes: int, wall_s: float, threads: int, reads: bool = False
    ) -> None:
        """`reads`: whether it is to read what predictors write, and not to run a model."""
        self._left = wall_s
        self._wall = wall_s
        self._errors = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _BOOT.format(main="read" if reads else "main"), *_roots(reads=reads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._in, self._out, self._err = (
            _without_blocking(stream) for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._start = protocol.Start(
            expected=expected, memory_bytes=memory_bytes, cpu_s=wall_s * threads, threads=threads, parent=os.getpid()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self) -> dict[str, bool]:
        """Wait until the child has locked itself down; each measure of protection, and whether it is in force."""
        self.send(self._start)
        answer, _ = self.receive(0)
        if not isinstance(answer, protocol.Ready):
            self._nonsense()
        return answer.protection

    def send(self, message: Record, length: int = 0, chunks: Iterable[bytes] = ()) -> None:
        """Send a message with `length` raw bytes."""
        self._write(protocol.head(message, length))
        for chunk in chunks:
            self._write(chunk)

    def receive(self, limit: int) -> tuple[Record, bytes | bytearray]:
        """The child's answer, with at most `limit` raw bytes."""
        try:
            text, raw = receive(self._read, protocol.REPLY_HEADER_LIMIT, limit)
            answer = parse(protocol.REPLY, text)
        except ProtocolError:
            self._nonsense()
        if isinstance(answer, protocol.Refusal):
            raise ScoringError(self._refusal(answer))
        return answer, raw

    def _refusal(self, answer: protocol.Refusal) -> Problem:
        """What the child says is wrong, in our words; it may name any values, and only a cause that there is."""
        values: dict[str, Any] = {
            name: printable(each, 1000) if isinstance(each, str) else each for name, each in answer.values.items()
        }
        if values.keys() & {"detail", "reason", "cause"}:
            self._nonsense()
        try:
            return Problem.of(answer.reason, answer.cause, **values)
        except KeyError:
            self._nonsense()

    def close(self) -> None:
        """End the child."""
        with suppress(OSError):
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            self._wait(self._in, select.POLLOUT)
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._ended()

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            self._wait(self._out, select.POLLIN)
            try:
                got = os.readv(self._out, [view])
            except BlockingIOError:
                continue
            if not got:
                self._ended()
            view = view[got:]
        return content

    def _wait(self, descriptor: int, event: int) -> None:
        """Until the pipe is ready, taking in what the child prints meanwhile, or until its time is up."""
        poll = select.poll()
        poll.register(descriptor, event)
        poll.register(self._err, select.POLLIN)
        while True:
            before = time.monotonic()
            events = dict(poll.poll(max(0.0, self._left) * 1000))
            self._left -= time.monotonic() - before
            if events.get(self._err, 0):
                self._listen(poll)
            if events.get(descriptor, 0):
                return
            if self._left <= 0:
                self._late()

    def _listen(self, poll: "select.poll | None" = None) -> None:
        """Keep the last of what the child printed: only signs of exhausted memory are looked for in it."""
        with suppress(BlockingIOError):
            got = os.read(self._err, _TAIL)
            self._errors = (self._errors + got)[-_TAIL:]
            if not got and poll is not None:
                poll.unregister(self._err)

    def _late(self) -> NoReturn:
        raise ScoringError(Problem.of(Reason.SCORING_TIMEOUT, "wall", seconds=f"{self._wall:g}"))

    def _nonsense(self) -> NoReturn:
        raise ScoringError(Problem.of(Reason.SCORING_FAILED, "no-answer"))

    def _ended(self) -> NoReturn:
        """The child is gone: by its exit status, say of what."""
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._nonsense()
        self._listen()
        if status == -signal.SIGXCPU:
            self._late()
        if status == -signal.SIGKILL or any(sign in self._errors for sign in _NO_MEMORY):
            raise ScoringError(Problem.of(Reason.SCORING_MEMORY))
        if status < 0:
            raise ScoringError(Problem.of(Reason.SCORING_FAILED, "crashed", signal=signal.Signals(-status).name))
        raise ScoringError(Problem.of(Reason.SCORING_FAILED, "ended", status=status))


def _roots(*, reads: bool) -> list[str]:
    """The folders that the child imports from: those that mlbot and its libraries were found in, and no others.

    The isolated interpreter knows neither PYTHONPATH nor the user's site; it shall not know the working directory.
    """
    roots: list[str] = []
    for name in _NEEDED_TO_READ if reads else _NEEDED:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec is not None else []
        if not places:
            raise MissingExtraError("ml", needed_for="Scoring a model")
        root = str(Path(places[0]).resolve().parents[name.count(".")])
        if root not in roots:
            roots.append(root)
    return roots


def _without_blocking(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise ValueError("the child was started without a pipe")
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()
