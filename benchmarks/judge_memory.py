"""Peak memory of judging on a large holdout, the judge and its scoring children together.

python -m benchmarks.judge_memory [--rows 5000000] [--models 6] [--scoring-only] [--limit-mib 2048]

A holdout of 20 columns (12 floats, 4 integers, 3 texts, the label) is made in a temporary folder, as Parquet and CSV.
Half of the models are the candidate's, half the baseline's. Each format is judged in a process of its own; the sum of
the resident memory of it and all its children is sampled, so pages that they share are counted for each of them.
"""

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from mlbot.config.data import Data
from mlbot.config.gates import Slice
from mlbot.config.schema import Model
from mlbot.config.train import Train
from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.judging.run_judge import JudgeRequest, Rule, judge
from mlbot.ml.export import export
from mlbot.ml.holdout import open_holdout
from mlbot.ml.scoring import Scored, score_many
from mlbot.training.run_train import SeedRun, SeedRuns

_MIB = 1 << 20
_PART = 250_000
_FLOATS = tuple(f"x{i}" for i in range(12))
_INTEGERS = tuple(f"k{i}" for i in range(4))
_TEXTS = tuple(f"c{i}" for i in range(3))


@dataclass(frozen=True, kw_only=True)
class Job:
    """One format to judge."""

    folder: Path
    holdout: str
    models: int
    scoring_only: bool


def table(rows: int, seed: int) -> pl.DataFrame:
    """Rows whose label depends on a few of the columns."""
    rng = np.random.default_rng(seed)
    floats = {name: rng.normal(size=rows).round(5) for name in _FLOATS}
    integers = {name: rng.integers(0, 1000, rows) for name in _INTEGERS}
    names = np.array([f"category {i}" for i in range(30)])
    texts = {name: names[rng.integers(0, 30, rows)] for name in _TEXTS}
    odds = floats["x0"] + 0.5 * floats["x1"] + (texts["c0"] == "category 3") + rng.logistic(size=rows)
    return pl.DataFrame({**floats, **integers, **texts, "label": np.where(odds > 1, "yes", "no")})


def make(folder: Path, rows: int, models: int) -> None:
    """Write the holdout in both formats, and the models."""
    with (folder / "holdout.csv").open("wb") as file:
        for start in range(0, rows, _PART):
            table(min(_PART, rows - start), start + 1).write_csv(file, include_header=start == 0)
    pl.scan_csv(folder / "holdout.csv").sink_parquet(folder / "holdout.parquet")
    train = table(20_000, 0)
    features = train.drop("label")
    for seed in range(models):
        encode = ColumnTransformer(
            [("text", OrdinalEncoder(), list(_TEXTS))], remainder="passthrough", verbose_feature_names_out=False
        )
        model = Pipeline(
            [("encode", encode), ("trees", HistGradientBoostingClassifier(max_iter=40, random_state=seed))]
        )
        part = np.random.default_rng(seed).permutation(train.height)[:15_000]
        model.fit(features[part], train["label"][part])
        (folder / f"{seed}.onnx").write_bytes(export(model, features[part]).model)


def run(job: Job) -> None:
    """Judge, and print what it took."""
    start = time.perf_counter()
    with peak_memory() as peaks:
        what = score(job) if job.scoring_only else judge_all(job)
    own, together = peaks
    print(
        f"{job.holdout:16} {what:40} {time.perf_counter() - start:6.1f} s   "
        f"judge {own / _MIB:6.0f} MiB   with children {together / _MIB:6.0f} MiB",
        flush=True,
    )
    Path(job.folder / f"{job.holdout}.peak").write_text(str(together))


def score(job: Job) -> str:
    data, slices = _data(job), _slices()
    holdout = open_holdout(job.folder / job.holdout, data, Task.BINARY, slices)
    assert not hasattr(holdout, "reason"), holdout
    found = score_many([job.folder / f"{seed}.onnx" for seed in range(job.models)], holdout)
    assert all(isinstance(each, Scored) for each in found), found
    return f"{len(found)} models scored on {holdout.rows:,} rows"


def judge_all(job: Job) -> str:
    model = Model(
        name="large",
        task=Task.BINARY,
        train=Train(run="true"),
        data=_data(job),
        slices=_slices(),
        metrics=tuple(CATALOGUE[name] for name in ("roc_auc", "log_loss", "accuracy", "f1")),
        gates=(Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.01),),
    )
    runs = [SeedRun(seed=seed, file=job.folder / f"{seed}.onnx") for seed in range(job.models)]
    split = max(1, job.models // 2)
    sides = SeedRuns(runs=tuple(runs[:split])), SeedRuns(runs=tuple(runs[split:]))
    request = JudgeRequest(rule=Rule(model=model, folder=job.folder), candidate=sides[0], baseline=sides[1])
    judged = judge(request, progress=lambda line: print(line, file=sys.stderr))
    assert judged.holdout is not None, judged.evidence
    evaluations = (*judged.evidence.candidate, *judged.baseline)
    assert all(each.problem is None and each.scores for each in evaluations), judged.evidence
    return f"{len(evaluations)} models judged on {judged.holdout.rows:,} rows"


def _data(job: Job) -> Data:
    return Data(holdout=job.holdout, target="label", positive="yes")


def _slices() -> tuple[Slice, ...]:
    return (Slice(name="third", where="c0 = 'category 3'"), Slice(name="high", where="x0 > 1 AND k0 < 500"))


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Sample resident memory; afterwards the list holds the peak of this process and of it with all its children."""
    peaks = [0, 0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            own, children = _resident("self"), sum(map(_resident, _children()))
            peaks[:] = max(peaks[0], own), max(peaks[1], own + children)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield peaks
    finally:
        done.set()
        sampler.join()


def _children() -> list[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]


def _resident(process: str) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def main() -> int:
    """Make the data, judge each format, compare with the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_memory", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--scoring-only", action="store_true")
    parser.add_argument("--limit-mib", type=int, default=2048)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fresh = multiprocessing.get_context("spawn")
        maker = fresh.Process(target=make, args=(folder, options.rows, options.models))
        maker.start()
        maker.join()
        for holdout in ("holdout.parquet", "holdout.csv"):
            job = Job(folder=folder, holdout=holdout, models=options.models, scoring_only=options.scoring_only)
            process = fresh.Process(target=run, args=(job,))
            process.start()
            process.join()
        peaks = [int(path.read_text()) for path in folder.glob("*.peak")]
    return 0 if len(peaks) == 2 and max(peaks) <= options.limit_mib * _MIB else 1


if __name__ == "__main__":
    sys.exit(main())
