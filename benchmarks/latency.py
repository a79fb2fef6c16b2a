"""How often does the gate on latency err on a busy machine? Real scoring processes, asked in turn as the judge asks.

    python -m benchmarks.latency [--busy 4] [--comparisons 200]

`same` is one file in two processes, which is never slower than itself; the others are networks with more layers. Beside
the ratio of 20 rounds stands what one model after the other gives: the ratio of their medians, and of their 95th
percentiles, of as many requests each.
"""

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from mlbot.config.data import Data
from mlbot.gates.metric import Task
from mlbot.judging.run_measure import latency_ratio
from mlbot.ml import protocol
from mlbot.ml.holdout import HoldoutData, open_holdout, pack
from mlbot.ml.rounds import REQUESTS, ROUNDS, medians, timed_in_rounds
from mlbot.ml.worker import Worker

FEATURES, WIDTH = 20, 256
LIMITS = (1.1, 1.2)
MODELS = {"same": (8, 8), "same, small": (1, 1), "10 layers for 8": (10, 8), "12 layers for 8": (12, 8)}


def network(layers: int) -> bytes:
    """A regression by so many dense layers; its time grows with them."""
    rng = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    for layer in range(layers):
        shape = (FEATURES if layer == 0 else WIDTH, 1 if layer == layers - 1 else WIDTH)
        values = (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}"], [f"h{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"h{layer}"], [f"t{layer}"]))
        name = f"t{layer}"
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES]),
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]),
    ]
    graph = helper.make_graph(nodes, "network", ports[:1], ports[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass(frozen=True, slots=True)
class Child:
    """A scoring process that has measured its model once."""

    worker: Worker
    usual_ms: float

    @classmethod
    def of(cls, content: bytes, holdout: HoldoutData, stack: ExitStack) -> "Child":
        """Start one, which ends with the stack."""
        worker = stack.enter_context(Worker(holdout.expected, memory_bytes=2 << 30, wall_s=3600, threads=1))
        worker.ready()
        worker.send(protocol.Load(), len(content), [content])
        worker.receive(0)
        sample = pack(holdout.head(200), holdout.expected.features)
        question = protocol.Measure(rows=sample.rows, columns=sample.columns, requests=200, seconds=4)
        worker.send(question, sample.length, sample.chunks)
        found, _ = worker.receive(1 << 20)
        assert isinstance(found, protocol.Measured)
        return cls(worker, found.times.p50_ms)

    def ask(self, start: int, requests: int) -> Sequence[float]:
        """The milliseconds of so many requests."""
        self.worker.send(protocol.Again(start=start, requests=requests))
        found, _ = self.worker.receive(1 << 20)
        assert isinstance(found, protocol.Timed)
        return found.ms


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes at work."""
    workers = [multiprocessing.Process(target=_work, daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()


def _work() -> None:
    while True:
        sum(range(10_000))


def main() -> int:
    """Print a table of models; 1 when one file is found slower than itself in more than 2 % of comparisons."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--busy", type=int, default=4, help="processes that keep the machine at work")
    parser.add_argument("--comparisons", type=int, default=200)
    given = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, busy(given.busy):
        holdout = _holdout(Path(folder))
        for name, layers in MODELS.items():
            with ExitStack() as stack:
                pair = [Child.of(network(each), holdout, stack) for each in layers]
                found = [_compare(*pair) for _ in range(given.comparisons)]
            false = _print(name, np.array(found))
            worst = max(worst, false if len(set(layers)) == 1 else 0.0)
    return int(worst > 0.02)


def _compare(ours: Child, theirs: Child) -> tuple[float, ...]:
    """The ratio in rounds with its interval, and the ratios of the medians and of the tails of one after the other."""
    rounds = timed_in_rounds((ours.ask, theirs.ask), (ours.usual_ms, theirs.usual_ms), seconds=20)
    found = latency_ratio(*map(medians, rounds), identical=False)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    one, other = (child.ask(0, ROUNDS * REQUESTS) for child in (ours, theirs))
    tails = [np.percentile(one, share) / np.percentile(other, share) for share in (50, 95)]
    return found.ratio, found.low, found.high, *map(float, tails)


def _print(name: str, found: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    ratio, low, high, after, tail = found.T
    gates = "; ".join(
        f"limit {limit}: fail {100 * (low > limit).mean():.1f} %, pass {100 * (high <= limit).mean():.1f} %"
        for limit in LIMITS
    )
    print(f"{name}: ratio {ratio.mean():.3f} ± {ratio.std():.3f}, half width {np.mean(high - low) / 2:.3f}; {gates}")
    print(
        f"  one after the other: p50 {after.min():.2f} to {after.max():.2f}, p95 {tail.min():.2f} to {tail.max():.2f}"
    )
    print(f"  p95 beyond 1.2: {100 * (tail > 1.2).mean():.1f} %", flush=True)
    return float((low > LIMITS[0]).mean())


def _holdout(folder: Path) -> HoldoutData:
    rng = np.random.default_rng(1)
    columns = {f"f{number}": rng.normal(size=500).astype(np.float32) for number in range(FEATURES)}
    path = folder / "holdout.parquet"
    pl.DataFrame(columns | {"y": rng.normal(size=500)}).write_parquet(path)
    found = open_holdout(path, Data(holdout=path.name, target="y"), Task.REGRESSION, ())
    assert isinstance(found, HoldoutData)
    return found


if __name__ == "__main__":
    sys.exit(main())
