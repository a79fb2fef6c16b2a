"""A scoring child's part without a process, for tests of what is asked and of what is made of the answers."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from mlbot.ml import protocol
from mlbot.ml.protocol import Expected, Refused
from mlbot.ml.runtime import Runtime
from mlbot.ml.scoring import Protection
from mlbot.ml.worker import ScoringError


class InProcess:
    """What `mlbot.ml.worker.Worker` is to its user."""

    def __init__(self, expected: Expected, **_: Any) -> None:
        self._runtime = Runtime(expected, 1)
        self._answer: tuple[Any, bytes] | Refused
        self.asked: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def ready(self) -> dict[str, bool]:
        return {name: True for name in Protection.model_fields if name != "parent_hidden"}

    def close(self) -> None:
        return

    def send(self, message: Any, _length: int = 0, chunks: Iterable[bytes] = ()) -> None:
        self.asked.append(message)
        try:
            self._answer = self._answered(message, b"".join(chunks))
        except Refused as refused:
            self._answer = refused

    def receive(self, _limit: int) -> tuple[Any, bytes]:
        if isinstance(self._answer, Refused):
            raise ScoringError(self._answer.problem)
        return self._answer

    def _answered(self, message: Any, raw: bytes) -> tuple[Any, bytes]:
        match message:
            case protocol.Load():
                return protocol.Loaded(facts=self._runtime.load(raw)), b""
            case protocol.Batch():
                values, own = self._runtime.predict(message, raw)
                labels = b"" if own is None else own.tobytes()
                answer = protocol.Predicted(dtype="<f8", rows=len(values), width=values.shape[1])
                return answer, values.astype("<f8").tobytes() + labels
            case _:
                whole = self._runtime.measure(message.rows, message.columns, raw, message.requests, message.seconds)
                spans = np.asarray(whole[1], dtype="<f8")
                shape = {"singles": spans.shape[1] - message.rows, "rows": message.rows, "width": spans.shape[2]}
                return protocol.Measured(dtype="<f8", times=whole[0], **shape), spans.tobytes()
