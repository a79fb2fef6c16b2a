"""The dashboard of ledgers of 10,000 entries, beside a script that reads the same files and no more.

The script asks git for the blobs in one go and parses their JSON: nothing that reads the ledger can do less. Processor
time is compared, git's included, so that the ratio says the same on any machine. `python -m benchmarks.dashboard`
"""

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from mlbot.events.github import Attempt
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import (
    BRANCH,
    DeploymentEntry,
    Entry,
    GateAsked,
    LookEntry,
    ReleaseEntry,
    SeedValues,
    StoredFile,
    VerdictEntry,
    WaiverEntry,
    files_of,
)
from mlbot.monitoring.pages import pages
from mlbot.monitoring.run_dashboard import read_dashboard, write_site

_MOST = 14  # times what the script takes
_NOW = 1_763_654_400
_METRICS = ("roc_auc", "log_loss", "f1", "accuracy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 20, 1_000])
    options = parser.parse_args()
    slow = []
    print("processor seconds; ratio: times the script that reads the same files")
    for models in options.models:
        made = _measured(options.entries, models)
        slow += [models] if made > _MOST else []
    if slow:
        raise SystemExit(f"more than {_MOST} times the script: of {slow} models")


def _measured(entries: int, models: int) -> float:
    """How many times the script's time a dashboard takes from nothing; what else is to be said of it is printed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clone, out = _clone(folder, entries, models), folder / "site"
        script, made = _time(lambda: _script(clone)), _time(lambda: _dashboard(clone, out))
        sizes = [file.stat().st_size for file in out.rglob("*.html")]
    print(
        f"{entries:,} entries of {models:>5,} models: script {script:5.2f}, dashboard {made:5.2f} "
        f"({made / script:4.1f}); {sum(sizes) / 1e6:5.1f} MB, largest page {max(sizes) / 1e3:6.0f} kB"
    )
    return made / script


def _dashboard(clone: Path, out: Path) -> None:
    write_site(out, pages(read_dashboard(clone)))


def _script(clone: Path) -> None:
    """Every blob of the branch, parsed."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", f"refs/heads/{BRANCH}"], cwd=clone, check=True, capture_output=True
    ).stdout.decode()
    oids = "".join(f"{line.split()[2]}\n" for line in listed.splitlines())
    found = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=clone, check=True, capture_output=True, input=oids.encode()
    ).stdout
    parsed = [json.loads(line) for line in found.splitlines() if line.startswith(b"{")]
    assert len(parsed) == len(oids.splitlines())


def _time(work: Callable[[], None]) -> float:
    before = _cpu()
    work()
    return _cpu() - before


def _cpu() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def _clone(folder: Path, entries: int, models: int) -> Path:
    clone = folder / "clone"
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    found = files_of(_entry(number, models) for number in range(entries))
    LedgerBranch.at(Remote(url=str(clone / ".git"))).branch.append(found, "All", _NOW)
    subprocess.run(["git", "-C", str(clone), "repack", "-adq"], check=True)
    return clone


def _entry(number: int, models: int) -> Entry:
    """Of ten entries seven are verdicts, and one each a look, a release or a waiver, and a deployment."""
    model, turn = f"m{number % models:04}", number // models
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_NOW + 600 * number))
    match turn % 10:
        case 3:
            return _look(number, model, when)
        case 6 if turn % 20 == 6:
            return _waiver(number, model, when)
        case 6:
            return _release(number, model, when)
        case 9:
            return _deployment(number, model, when)
        case _:
            return _verdict(number, model, when)


def _verdict(number: int, model: str, when: str) -> VerdictEntry:
    value = 0.9 + (int(_digest(number)[7:11], 16) - 32_768) / 4_000_000
    fails = number % 97 == 5
    return VerdictEntry(
        schema_version="mlbot/ledger@2",
        model=model,
        key=_digest(number // 3),
        digest=_digest(number),
        holdout=_digest(5),
        commit=_digest(number)[7:47],
        branch="main",
        outcome=Outcome.FAIL if fails else Outcome.PASS,
        reason=Reason.REGRESSION if fails else Reason.ALL_GATES_PASS,
        attempt=Attempt(run=number + 1),
        judge=Attempt(run=number + 2),
        files=tuple(StoredFile(seed=seed, digest=_digest(number + seed), size_bytes=10) for seed in range(3)),
        values=tuple(SeedValues(metric=metric, values=(value, value + 0.002, value - 0.001)) for metric in _METRICS),
        gates=(
            GateAsked(
                gate="roc_auc", bound=Bound.MIN, limit=0.89, outcome=Outcome.PASS, low=value - 0.01, high=value + 0.01
            ),
            GateAsked(gate="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005, outcome=Outcome.PASS),
        ),
        time=when,
    )  # fmt: skip


def _look(number: int, model: str, when: str) -> LookEntry:
    return LookEntry(
        content=_digest(5),
        artifact=_digest(number),
        repository=77,
        pull_request=1 + number // 50,
        actor="alice",
        model=model,
        commit=_digest(number)[7:47],
        branch="main",
        attempt=Attempt(run=number + 1),
        report=_digest(number + 1),
        metrics=_METRICS,
        time=when,
    )


def _waiver(number: int, model: str, when: str) -> WaiverEntry:
    return WaiverEntry(
        model=model,
        key=_digest(number // 3),
        policy=_digest(4),
        gate="roc_auc.max_regression",
        reason="The holdout was relabelled; agreed with the data owners.",
        actor="grace",
        pull_request=12,
        comment=number + 1,
        commit=_digest(number)[7:47],
        branch="main",
        time=when,
    )


def _release(number: int, model: str, when: str) -> ReleaseEntry:
    return ReleaseEntry(
        model=model,
        version=f"1.{number}.0",
        digest=_digest(number),
        commit=_digest(number)[7:47],
        key=_digest(number // 3),
        attempt=Attempt(run=number + 1),
        judge=Attempt(run=number + 2),
        seed=0,
        actor="ada",
        time=when,
    )


def _deployment(number: int, model: str, when: str) -> DeploymentEntry:
    return DeploymentEntry(
        model=model,
        version=f"1.{number}.0",
        digest=_digest(number),
        id=f"{model}/production/{number + 1}",
        sequence=number + 1,
        environment="production",
        action="promotion",
        state="succeeded",
        actor="ada",
        time=when,
    )


def _digest(number: int) -> str:
    return f"sha256:{sha256(str(number).encode()).hexdigest()}"


if __name__ == "__main__":
    main()
