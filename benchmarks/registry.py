"""`mlbot registry list` against `gto show` over the same tags of one repository: whole processes, processor time.

Run it with `python -m benchmarks.registry`. GTO is installed into `.venvs/gto` the first time.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import gto_peer

from mlbot.events.github import Attempt
from mlbot.lib.version import Version
from mlbot.registry.tags import TagNote, stage_tag, tag_message, version_tag

_LEAST_RATIO = 100
_MODELS = 5
"""Each version of each was in staging, and every second one in production."""
_START = 1_763_654_400
_BY = "mlbot <mlbot@users.noreply.github.com>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5, help="of mlbot; gto is run once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tags = _repository(folder, options.tags)
        mlbot = [sys.executable, "-m", "mlbot", "registry", "list", "--quiet"]
        expected = f'"model-{_MODELS - 1:02}"'
        ours = {
            "mlbot registry list": _median(mlbot, folder, options.runs, expected.strip('"')),
            "mlbot registry list --json": _median([*mlbot, "--json"], folder, options.runs, expected),
        }
        git = _median(["git", "for-each-ref", "--format=%(refname) %(contents)"], folder, options.runs, "mlbot/tag@1")
        theirs = _measure([str(gto_peer.find_gto()), "show", "--json"], folder, expected)
    print(f"{tags:,} tags of {_MODELS} models; seconds of processor time (wall clock)")
    print(f"{'git for-each-ref alone':<28} {git[0]:8.2f} ({git[1]:.2f})")
    for name, (cpu, wall) in ours.items():
        print(f"{name:<28} {cpu:8.2f} ({wall:.2f})   gto takes {theirs[0] / cpu:.0f} times as long")
    print(f"{'gto show --json':<28} {theirs[0]:8.2f} ({theirs[1]:.2f})")
    if tags >= 10_000 and any(theirs[0] < _LEAST_RATIO * cpu for cpu, _ in ours.values()):
        raise SystemExit(f"mlbot is not {_LEAST_RATIO} times as fast")


def _median(command: Sequence[str], folder: Path, runs: int, expected: str) -> tuple[float, float]:
    found = [_measure(command, folder, expected) for _ in range(runs)]
    return statistics.median(cpu for cpu, _ in found), statistics.median(wall for _, wall in found)


def _measure(command: Sequence[str], folder: Path, expected: str) -> tuple[float, float]:
    """Processor and wall-clock seconds of a process and its children; its output must hold `expected`."""
    before, started = _children(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=gto_peer.environment(), capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    if done.returncode != 0 or expected not in done.stdout:
        raise SystemExit(f"{command[0]} did not do its work:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return _children() - before, wall


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _repository(folder: Path, tags: int) -> int:
    """Commits and tags as mlbot makes them, by two `git fast-import`; how many tags there are."""
    versions = tags * 2 // (5 * _MODELS)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "fast-import", "--quiet", "--export-marks=marks", stdin="".join(_commits(versions)))
    marks = dict(line.split() for line in (folder / "marks").read_text().splitlines())
    commits = [marks[f":{number}"] for number in range(1, versions + 1)]
    _git(folder, "fast-import", "--quiet", stdin="".join(_tags(commits)))
    _git(folder, "pack-refs", "--all")
    _git(folder, "reset", "--quiet", "--hard")
    return versions * _MODELS * 5 // 2


def _git(folder: Path, *arguments: str, stdin: str = "") -> None:
    subprocess.run(["git", *arguments], cwd=folder, input=stdin.encode(), check=True)


def _commits(versions: int) -> Iterator[str]:
    for number in range(1, versions + 1):
        yield f"commit refs/heads/main\nmark :{number}\ncommitter {_BY} {_START + number} +0000\ndata 1\nx\n"
        yield f"M 100644 inline train.py\ndata {len(str(number))}\n{number}\n\n"


def _tags(commits: Sequence[str]) -> Iterator[str]:
    for model in (f"model-{number:02}" for number in range(_MODELS)):
        for minor, commit in enumerate(commits):
            version = Version(major=1, minor=minor, patch=0)
            yield _tag(version_tag(model, version), commit, version, 60 * minor)
            yield _tag(stage_tag(model, "staging", 2 * minor + 1), commit, version, 60 * minor + 20)
            if minor % 2:
                yield _tag(stage_tag(model, "production", 2 * minor + 2), commit, version, 60 * minor + 40)


def _tag(name: str, commit: str, version: Version, after: int) -> str:
    attempt = Attempt(run=1_000_000 + after)
    note = TagNote(
        version=version.text,
        commit=commit,
        digest=f"sha256:{after:064x}",
        key=f"sha256:{after:064x}",
        attempt=attempt,
        judge=attempt,
        actor="ada",
    )
    message = tag_message(f"Release {name}", note)
    return f"tag {name}\nfrom {commit}\ntagger {_BY} {_START + 1000 + after} +0000\ndata {len(message)}\n{message}\n"


if __name__ == "__main__":
    main()
