"""A lookup in a ledger of 20,000 entries and 100,000 looks elsewhere, against a clone of its branch read file by file.

Each way is a whole lookup: from nothing on this machine to the entries, over git's own protocol, the server's part
included. Processor time is what is held to a limit: it says the same on a busy machine. `python -m benchmarks.ledger`
"""

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.ledger import LedgerBranch, local_paths, read_folders
from mlbot.git.remote import Remote
from mlbot.ledger.entries import BRANCH, LookEntry, SeedValues, StoredFile, VerdictEntry, files_of, folders_of
from mlbot.ledger.queries import count_looks, look_folder

_MODELS = 20
_MOST_S = 0.5
_NOW = 1_763_654_400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--looks", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bare = folder / "origin.git"
        _git(folder, "init", "--quiet", "--bare", str(bare))
        _git(bare, "config", "uploadpack.allowFilter", "true")  # as GitHub and GitLab have it
        _fill(bare, options.entries, options.looks)
        _git(folder, "clone", "--quiet", "--bare", str(bare), str(folder / "clone.git"))
        _git(folder / "clone.git", "update-ref", f"refs/remotes/origin/{BRANCH}", f"refs/heads/{BRANCH}")
        print(
            f"{options.entries:,} entries of {_MODELS} models, {options.looks:,} looks at one holdout; "
            f"median seconds of {options.runs} (processor time)"
        )
        ways = [*_looks(folder, options.looks, options.runs), *_ways(folder, options.entries, options.runs)]
        failed = [name for name, slow in ways if slow]
    if failed:
        raise SystemExit(f"more than {_MOST_S} s: {', '.join(failed)}")


def _ways(folder: Path, entries: int, runs: int) -> Iterator[tuple[str, bool]]:
    each = entries // _MODELS
    url = (folder / "origin.git").as_uri()
    branch = LedgerBranch.at(Remote(url=url))
    naive = _time(lambda: _naive(url), runs, each)
    print(f"{'clone the branch, read the model':<36} {naive[0]:6.3f} ({naive[1]:.3f})")
    lookups: dict[str, tuple[Callable[[], int], int]] = {
        "one key": (lambda: len(branch.read("verdict", "m00", _digest(0)).entries), 0),
        "one model": (lambda: len(branch.read("verdict", "m00").entries), each),
        "one model, as last fetched": (
            lambda: len(read_folders(folder / "clone.git", folders_of("verdict", "m00")).entries),
            each,
        ),
    }
    for name, (look, expected) in lookups.items():
        wall, cpu = _time(look, runs, expected)
        print(f"{name:<36} {wall:6.3f} ({cpu:.3f})   {naive[0] / wall:5.1f} times as fast")
        yield name, cpu > _MOST_S and entries <= 20_000
    numbers = iter(range(entries, entries + runs + 1))
    wall, cpu = _time(lambda: len(branch.append([_entry(next(numbers))], _NOW).added), runs, 1)
    print(f"{'append one':<36} {wall:6.3f} ({cpu:.3f})")
    wall, cpu = _time(lambda: len(branch.read().entries), 1, 0)
    print(f"{'everything':<36} {wall:6.3f} ({cpu:.3f})")


def _looks(folder: Path, looks: int, runs: int) -> Iterator[tuple[str, bool]]:
    """The looks at a holdout and of one pull request: by the names of files, and as a script would count them."""
    url, rows = (folder / "origin.git").as_uri(), _digest(5)
    branch = LedgerBranch.at(Remote(url=url)).branch
    naive = _time(lambda: _read_looks(url), 1, looks)
    print(f"{'clone the branch, read the looks':<36} {naive[0]:6.3f} ({naive[1]:.3f})")
    wall, cpu = _time(lambda: count_looks(branch.paths(look_folder(rows)), rows, [], (1, 77)).every, runs, looks)
    print(f"{'count the looks':<36} {wall:6.3f} ({cpu:.3f})   {naive[0] / wall:5.1f} times as fast")
    yield "count the looks", cpu > _MOST_S and looks <= 100_000
    wall, cpu = _time(
        lambda: count_looks(local_paths(folder / "clone.git", [look_folder(rows)]), rows, []).every, runs, looks
    )
    print(f"{'count the looks, as last fetched':<36} {wall:6.3f} ({cpu:.3f})   {naive[0] / wall:5.1f} times as fast")
    yield "count the looks, as last fetched", cpu > _MOST_S and looks <= 100_000


def _read_looks(url: str) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        _git(Path(temporary), "clone", "--quiet", "--depth=1", f"--branch={BRANCH}", url, "ledger")
        files = Path(temporary, "ledger", "v1", "look").rglob("*.json")
        return len({json.loads(file.read_text(encoding="utf-8"))["artifact"] for file in files})


def _time(look: Callable[[], int], runs: int, expected: int) -> tuple[float, float]:
    """Median wall-clock and processor seconds; what is found must be at least as much as expected."""
    walls, cpus = [], []
    for _ in range(runs):
        started, before = time.perf_counter(), _cpu()
        if (found := look()) < max(expected, 1):
            raise SystemExit(f"found {found} entries, not {expected}")
        walls.append(time.perf_counter() - started)
        cpus.append(_cpu() - before)
    return statistics.median(walls), statistics.median(cpus)


def _cpu() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def _naive(url: str) -> int:
    """What a script would do: check the branch out, read the model's files."""
    with tempfile.TemporaryDirectory() as temporary:
        _git(Path(temporary), "clone", "--quiet", "--depth=1", f"--branch={BRANCH}", url, "ledger")
        files = Path(temporary, "ledger", "v1", "verdict", "m00").rglob("*.json")
        return len([json.loads(file.read_text(encoding="utf-8")) for file in files])


def _fill(bare: Path, entries: int, looks: int) -> None:
    branch = LedgerBranch.at(Remote(url=str(bare)))
    branch.branch.append(files_of(chain(map(_entry, range(entries)), map(_look, range(looks)))), "All", _NOW)
    _git(bare, "repack", "-adq")


def _look(number: int) -> LookEntry:
    """Of a pull request with fifty looks."""
    return LookEntry(
        content=_digest(5),
        artifact=_digest(number),
        repository=77,
        pull_request=1 + number // 50,
        head_repository=78,
        actor="alice",
        model="m00",
        commit=_digest(number)[7:47],
        branch="main",
        attempt=Attempt(run=number + 1),
        report=_digest(number + 1),
        metrics=("roc_auc", "log_loss", "f1", "accuracy"),
        time="2026-11-20T16:00:00Z",
    )


def _entry(number: int) -> VerdictEntry:
    return VerdictEntry(
        model=f"m{number % _MODELS:02}",
        key=_digest(number // 3),
        digest=_digest(number),
        holdout=_digest(5),
        commit=_digest(number)[7:47],
        branch="main",
        outcome=Outcome.PASS,
        reason=Reason.ALL_GATES_PASS,
        attempt=Attempt(run=number + 1),
        judge=Attempt(run=number + 2),
        files=tuple(StoredFile(seed=seed, digest=_digest(number + seed), size_bytes=10) for seed in range(3)),
        values=tuple(
            SeedValues(metric=metric, values=(0.91, 0.92, 0.93)) for metric in ("roc_auc", "log_loss", "f1", "accuracy")
        ),
        time="2026-11-20T16:00:00Z",
    )


def _digest(number: int) -> str:
    return f"sha256:{sha256(str(number).encode()).hexdigest()}"


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
