"""Trainings for tests: small models that child processes really train, and ways to see that nothing of them is left."""

import os
import select
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbot.config.data import Data
from mlbot.config.schema import Model
from mlbot.config.train import Train
from mlbot.gates.metric import CATALOGUE, Task
from mlbot.ledger.entries import Environment
from mlbot.ml.train import TrainRequest
from mlbot.protocol.artifacts import Training
from mlbot.storage.artifact import take_artifact

KEY = "sha256:" + "a" * 64
COMMIT = "c" * 40
ENVIRONMENT = Environment(lock=None, python="3.11.0", platform="test", packages="sha256:" + "b" * 64)
DEADLINE_S = 20.0
WRITES_SEED = 'printf "model %s" "$MLBOT_SEED" > "$MLBOT_MODEL"'
"""A training whose model is its seed, for tests that do not look into the file."""


def model(name: str = "adult-income", *, data: Data | None = None, **train: Any) -> Model:
    """A model that is trained as the arguments say."""
    train.setdefault("timeout_s", 60.0)
    return Model(
        name=name,
        task=Task.BINARY,
        train=Train(**train),
        data=data or Data(train="data/train.csv", holdout="data/holdout.csv", target="income"),
        metrics=(CATALOGUE["roc_auc"], CATALOGUE["log_loss"]),
        gates=(),
    )


def request(folder: Path, seed: int = 0, *, of: Model | None = None, **changes: Any) -> TrainRequest:
    """A request to train in a folder; the model file goes beside it."""
    facts: dict[str, Any] = {
        "model": of or model(run=WRITES_SEED),
        "seed": seed,
        "key": KEY,
        "commit": COMMIT,
        "folder": folder,
        "output": folder.parent / "out" / "model.onnx",
        "environment": ENVIRONMENT,
        "grace_s": 0.3,
        "max_bytes": 1 << 20,
        "take": take_artifact,
    }
    return TrainRequest(**(facts | changes))


def training(digest: str, size: int, *, key: str = KEY, seed: int = 0, **changes: Any) -> Training:
    """The lineage of a file."""
    facts: dict[str, Any] = {
        "model": "adult-income",
        "key": key,
        "seed": seed,
        "digest": digest,
        "size_bytes": size,
        "commit": COMMIT,
        "environment": ENVIRONMENT,
        "duration_s": 1.0,
        "peak_memory_bytes": 1,
    }
    return Training(**(facts | changes))


@dataclass(kw_only=True)
class Witness:
    """A named pipe that processes open for writing: it has words while they live, and ends when the last one has died.

    That holds for children, grandchildren and daemons, needs no process ids, and no guessing how long things take.
    """

    path: Path
    reader: int = -1
    heard: bytearray = field(default_factory=bytearray)

    @classmethod
    def at(cls, path: Path) -> "Witness":
        """Make the pipe, and listen."""
        os.mkfifo(path)
        return cls(path=path, reader=os.open(path, os.O_RDONLY | os.O_NONBLOCK))

    def close(self) -> None:
        """Listen no more."""
        os.close(self.reader)

    def wait_for(self, word: str, times: int = 1) -> None:
        """Until the word was written that many times."""
        deadline = time.monotonic() + DEADLINE_S
        while self.heard.count(word.encode()) < times:
            left = deadline - time.monotonic()
            assert left > 0, f"{word!r} was not heard {times} times, but {bytes(self.heard)!r}"
            select.select([self.reader], [], [], left)
            self._listen()

    def wait_for_the_end(self) -> None:
        """Until no process is left that holds it. Only after a word was heard: before there is nobody either."""
        assert self.heard, "nobody has opened the pipe yet"
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            left = deadline - time.monotonic()
            assert left > 0, "a process of the training is still alive"
            events = poll.poll(left * 1000)
            if events and not self._listen() and events[0][1] & select.POLLHUP:
                return

    def _listen(self) -> bool:
        try:
            words = os.read(self.reader, 65536)
        except BlockingIOError:
            return False
        self.heard += words
        return bool(words)
