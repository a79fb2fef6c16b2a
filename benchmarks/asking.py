"""What it costs to ask some rows again in other ways, beside scoring without that.

    python -m benchmarks.asking [--rows 1000000] [--runs 5]

A linear model and 100 trees, 20 columns of floats: on a large holdout the share of scoring that is added, on one of 500
rows the seconds, of processor time of all processes, which others that are busy change less than the clock. With and
without by turns, the medians of the runs with the least and the most; 1 when more than 15 % or a second is added.
"""

import argparse
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from mlbot.config.data import Data
from mlbot.gates.metric import Task
from mlbot.ml import scoring
from mlbot.ml.export import export
from mlbot.ml.holdout import HoldoutData, open_holdout

_COLUMNS = [f"x{at}" for at in range(20)]
_MOST_SHARE, _MOST_S = 0.15, 1.0


def made(folder: Path, rows: int) -> tuple[dict[str, Path], HoldoutData]:
    """The models, and a holdout of so many rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 20)).round(5)
    label = np.where(x[:, 0] + 0.5 * x[:, 1] + rng.logistic(size=rows) > 0, "yes", "no")
    frame = pl.DataFrame(x, schema=_COLUMNS).with_columns(label=label)
    frame.write_parquet(folder / f"{rows}.parquet")
    train, files = frame.head(5000), {}
    for learner in (LogisticRegression(), HistGradientBoostingClassifier(max_iter=100)):
        learner.fit(train.select(_COLUMNS).to_numpy(), train["label"].to_numpy())
        file = folder / f"{type(learner).__name__}.onnx"
        file.write_bytes(export(learner, train.select(_COLUMNS).to_numpy(), features=_COLUMNS).model)
        files[type(learner).__name__] = file
    holdout = open_holdout(folder / f"{rows}.parquet", Data(holdout="h", target="label", positive="yes"), Task.BINARY)
    assert isinstance(holdout, HoldoutData), holdout
    return files, holdout


@contextmanager
def without() -> Iterator[None]:
    """No row is drawn, and none asked again."""
    nobody = patch.object(scoring, "drawn", lambda *_: np.arange(0))
    with nobody, patch.object(scoring._Run, "ask_again", lambda *_: iter(())):  # noqa: SLF001 - what is measured
        yield


def seconds(file: Path, holdout: HoldoutData) -> float:
    """Of one scoring in user mode, the timing of single requests apart, which has a limit of its own."""
    before = _user_s()
    found = scoring.score(file, holdout, limits=scoring.Limits(latency_requests=50, latency_s=0.2))
    assert isinstance(found, scoring.Scored), found
    return _user_s() - before


def _user_s() -> float:
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> int:
    """Measure, print, and compare with the limits."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.asking", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as name:
        for rows in (500, options.rows):
            files, holdout = made(Path(name), rows)
            for model, file in files.items():
                plain, asked = [], []
                for _ in range(options.runs):
                    with without():
                        plain.append(seconds(file, holdout))
                    asked.append(seconds(file, holdout))
                one, other = statistics.median(plain), statistics.median(asked)
                kept &= other - one <= (_MOST_S if rows == 500 else max(_MOST_SHARE * one, 0))
                shown = [f"{m:6.2f} s ({min(of):.2f} to {max(of):.2f})" for m, of in ((one, plain), (other, asked))]
                print(f"{rows:>9,} rows  {model:32} {'  with '.join(shown)}  {other / one - 1:+.1%}", flush=True)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
