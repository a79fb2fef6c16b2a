"""Time and memory of comparing two versions of large training data by rows, and of the checks of what was added.

python -m benchmarks.data_diff [--rows 10000000] [--limit-mib 2048] [--limit-s 60] [--keyed]

A Parquet file of 20 columns (12 floats, 4 integers, 3 texts, the label) is made in a temporary folder, a part at a
time, and a second version of it, in which 0.1 % of the rows are gone and 1 % are new; with `--keyed` one of the
integers says which row is which. They are compared in the process that the judge starts for it: its processor time and
its largest resident memory are the kernel's figures.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl

from benchmarks.judge_memory import table
from mlbot.config.data import Data
from mlbot.data.change import Change, Versions
from mlbot.data.findings import DataReport
from mlbot.gates.metric import Task
from mlbot.judging.run_data_checks import check_apart

_PART = 250_000
_KIB = 1 << 10


def make(folder: Path, rows: int, *, keyed: bool) -> None:
    """Write both versions and a holdout."""
    parts = folder / "parts"
    parts.mkdir()
    new = rows // 100
    for start in range(0, rows + new, _PART):
        made = table(min(_PART, rows + new - start), start)
        if keyed:
            made = made.with_columns(pl.int_range(start, start + made.height, dtype=pl.Int64).alias("k0"))
        made.write_parquet(parts / f"{start:012}.parquet")
    every = pl.scan_parquet(str(parts / "*.parquet"))
    every.head(rows).sink_parquet(folder / "before.parquet")
    row = pl.int_range(pl.len())
    every.filter((row % 1000 != 7) | (row >= rows)).sink_parquet(folder / "after.parquet")
    table(100_000, 1 << 30).write_parquet(folder / "holdout.parquet")


def compare(folder: Path, *, keyed: bool) -> tuple[DataReport, float, float]:
    """What is found, the seconds of processor time that it took, and the MiB."""
    train = Versions(
        part="train", name="train", before=str(folder / "before.parquet"), after=str(folder / "after.parquet")
    )
    holdout = Versions(
        part="holdout", name="holdout", before=None, after=str(folder / "holdout.parquet"), changed=False
    )
    data = Data(train="train", holdout="holdout", target="label", id=("k0",) if keyed else ())
    found = check_apart(Change(model="m", task=Task.BINARY, data=data, train=train, holdout=holdout))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found, used.ru_utime + used.ru_stime, used.ru_maxrss / _KIB


def main() -> int:
    """Compare, and print what it took; 1 where it took more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_diff", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--limit-mib", type=int, default=2048)
    parser.add_argument("--limit-s", type=float, default=60.0)
    parser.add_argument("--keyed", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Each in a process of its own: of one that is started, what its parent held counts as its largest memory.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as apart:
            apart.submit(make, folder, given.rows, keyed=given.keyed).result()
            found, seconds, mib = apart.submit(compare, folder, keyed=given.keyed).result()
    for diff in found.diffs:
        print(f"{diff.before:,} rows before, {diff.after:,} now: {diff.added:,} added, {diff.removed:,} removed")
    print(f"{found.problem or ''}{[each.check.value for each in found.findings]}")
    print(f"{seconds:.1f} s of processor time, {mib:.0f} MiB")
    return int(found.problem is not None or seconds > given.limit_s or mib > given.limit_mib)


if __name__ == "__main__":
    sys.exit(main())
