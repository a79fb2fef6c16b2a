"""The scoring child: a stranger's model is parsed, loaded and run here, and a stranger's table read, and nowhere else.

Started as `python -I` with an empty environment. It loads its libraries and tries them once on a model of its own,
locks itself down (`sandbox`), and only then reads the stranger's bytes. It is given features, never labels.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from mlbot.gates.outcome import Reason
from mlbot.ml import disable_telemetry, protocol, sandbox
from mlbot.ml.protocol import ProtocolError, Refused, head, parse, receive

if TYPE_CHECKING:
    from mlbot.ml.runtime import Predictions, Runtime


class _Channel:
    """The pipes to the judge. What libraries print goes to the standard error, never between the messages."""

    def __init__(self) -> None:
        self._in = 0
        self._out = os.dup(1)
        os.dup2(2, 1)

    @property
    def highest(self) -> int:
        return self._out

    def read(self, size: int) -> bytearray:
        """Exactly so many bytes. Raises `EOFError` when the judge is gone."""
        content = bytearray(size)
        view, done = memoryview(content), 0
        while done < size:
            got = os.readv(self._in, [view[done:]])
            if not got:
                raise EOFError
            done += got
        return content

    def send(self, *parts: bytes | memoryview) -> None:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(self._out, view) :]


def main() -> None:
    """Serve one model: start, load, then batches until the pipe closes."""
    channel = _Channel()
    start, protection = _started(channel)
    runtime = _prepared(start)
    _lock_down(channel, start, protection)
    while _served(channel, partial(_answer, channel, runtime)):
        pass
    os._exit(0)  # the libraries' own endings would only try what is no longer allowed


def read() -> None:
    """Serve one predictor: the files that it wrote are read, one after another, until the pipe closes."""
    channel = _Channel()
    start, protection = _started(channel)
    os.environ["POLARS_MAX_THREADS"] = "1"  # polars reads it on import
    from mlbot.ml.predictions import warm_up

    warm_up()
    _lock_down(channel, start, protection, waits=True)
    while _served(channel, partial(_decoded, channel)):
        pass
    os._exit(0)


def _started(channel: _Channel) -> tuple[protocol.Start, dict[str, bool]]:
    text, _ = receive(channel.read, protocol.REQUEST_LIMIT, 0)
    return protocol.Start.model_validate_json(text), sandbox.isolate()


def _lock_down(channel: _Channel, start: protocol.Start, protection: dict[str, bool], *, waits: bool = False) -> None:
    limits = sandbox.Confinement(
        memory_bytes=start.memory_bytes, cpu_s=start.cpu_s, threads=start.threads, parent=start.parent
    )
    protection |= sandbox.lock_down(limits, channel.highest, waits=waits)
    channel.send(head(protocol.Ready(protection=protection)))


def _prepared(start: protocol.Start) -> "Runtime":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy reads it on import; else one thread a processor
    disable_telemetry()
    from mlbot.ml.runtime import Runtime, warm_up

    warm_up(start.threads)
    return Runtime(start.expected, start.threads)


def _served(channel: _Channel, answer: Callable[[bytes, bytes | bytearray], None]) -> bool:
    try:
        text, raw = receive(channel.read, protocol.REQUEST_LIMIT, protocol.REQUEST_LIMIT)
    except EOFError:
        return False
    try:
        answer(text, raw)
    except Refused as refused:
        channel.send(head(protocol.Refusal(reason=refused.reason, cause=refused.cause, values=refused.values)))
    except MemoryError:
        channel.send(head(protocol.Refusal(reason=Reason.SCORING_MEMORY)))
    return True


def _answer(channel: _Channel, runtime: "Runtime", text: bytes, raw: bytes | bytearray) -> None:
    match parse(protocol.REQUEST, text):
        case protocol.Load(parts=parts):
            channel.send(head(protocol.Loaded(facts=runtime.load(bytes(raw), parts))))
        case protocol.Batch() as batch:
            found, own = runtime.predict(batch, raw)
            wide, dtype = _wide(found)
            answer = protocol.Predicted(dtype=dtype, rows=batch.rows, width=wide.shape[1])
            labels = b"" if own is None else own.tobytes()
            channel.send(head(answer, wide.nbytes + len(labels)), wide.reshape(-1).view("u1").data, labels)
        case protocol.Measure(rows=rows, columns=columns, requests=requests, seconds=seconds):
            times, spans = runtime.measure(rows, columns, raw, requests, seconds)
            wide, dtype = _wide(spans)
            measured = protocol.Measured(
                dtype=dtype, singles=spans.shape[1] - rows, rows=rows, width=spans.shape[2], times=times
            )
            channel.send(head(measured, wide.nbytes), wide.reshape(-1).view("u1").data)
        case protocol.Again(start=start, requests=requests):
            ms, answers = runtime.again(start, requests)
            wide, dtype = _wide(answers)
            timed = protocol.Timed(dtype=dtype, width=wide.shape[1], ms=ms)
            channel.send(head(timed, wide.nbytes), wide.reshape(-1).view("u1").data)


def _decoded(channel: _Channel, text: bytes, raw: bytes | bytearray) -> None:
    from mlbot.ml.predictions import decode

    question = parse(protocol.REQUEST, text)
    if not isinstance(question, protocol.Decode):
        raise ProtocolError("a reader of files was asked for something else")
    found = decode(bytes(raw), question.wanted)
    wide, dtype = _wide(found.values)
    answer = protocol.Decoded(dtype=dtype, rows=len(wide), labels=found.own is not None)
    parts = [found.ids.tobytes(), wide.tobytes(), b"" if found.own is None else found.own.astype("<i4").tobytes()]
    channel.send(head(answer, sum(map(len, parts))), *parts)


def _wide(values: "Predictions") -> tuple["Predictions", Literal["<f4", "<f8"]]:
    """Predictions as they travel, and the type that says so."""
    dtype: Literal["<f4", "<f8"] = "<f8" if values.dtype.itemsize == 8 else "<f4"
    return values.astype(dtype, order="C", copy=False), dtype


if __name__ == "__main__":
    main()
