"""Over 300 ONNX files of every kind that people write, each judged as its own framework answers, or refused by name.

Files of scikit-learn and by hand are made here; those of XGBoost, LightGBM, CatBoost, PyTorch, Keras and Hummingbird by
another Python that has them (`--python`, see `benchmarks/onnx_files_made.py`). Run it with `python -m
benchmarks.onnx_files`; it prints a table and fails when one file is judged wrongly, or refused for another reason.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.odd_files import OddFile, handmade, judged, of_scikit_learn, read

_MADE = Path(__file__).with_name("onnx_files_made.py")
_STATUSES = {
    "right": "judged as the framework answers",
    "converter": "judged as the file answers",
    "refused": "refused for the right reason",
    "WRONG": "wrong",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.onnx_files", description=__doc__)
    parser.add_argument("--python", help="a Python that has the other frameworks")
    parser.add_argument("--only", default="", help="files whose kind or name has this in it")
    parser.add_argument("--all", action="store_true", help="name the files that are right, too")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for case in _cases(options.python, Path(folder)):
            if options.only in str(case):
                with tempfile.TemporaryDirectory() as place:
                    found = judged(case, Path(place))
                counts[case.kind, found.status] += 1
                if options.all or found.status != "right":
                    print(f"{found.status:9}  {case}\n           {found.words}", flush=True)
    _table(counts)
    return int(any(status == "WRONG" for _, status in counts))


def _cases(python: str | None, folder: Path) -> Iterator[OddFile]:
    yield from handmade()
    yield from of_scikit_learn()
    if python is not None:
        command = [python, str(_MADE), str(folder)]
        made = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        print("\n".join(line for line in made.stderr.splitlines() if "is not converted" in line or " files: " in line))
        yield from map(read, sorted(folder.iterdir()))


def _table(counts: Counter[tuple[str, str]]) -> None:
    print(f"\n| files | {' | '.join(_STATUSES.values())} |\n|---|{'---|' * len(_STATUSES)}")
    kinds = dict.fromkeys(kind for kind, _ in counts)
    for kind in kinds:
        print(f"| {kind} | {' | '.join(str(counts[kind, status]) for status in _STATUSES)} |")
    whole = (sum(counts[kind, status] for kind in kinds) for status in _STATUSES)
    print(f"| all {sum(counts.values())} | {' | '.join(map(str, whole))} |")


if __name__ == "__main__":
    sys.exit(main())
