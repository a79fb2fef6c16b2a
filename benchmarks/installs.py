"""What a job spends on installing: the real set-up action, cold and with uv's cache, beside pip's own environment.

    python -m benchmarks.installs            # sets: bot, train, judge, judge with charts
    python -m benchmarks.installs train s3
    python -m benchmarks.installs --run      # what the jobs of one pull request install, each as its workflow says

Packages come from the index that this machine's pip and uv are set up for. CPU seconds are those of the processes and
all their children; they swing with the disk, so the ratio to pip's in the same run is what says something.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
INSTALL = ROOT / "actions" / "setup" / "install.sh"
SETS = ("bot", "train", "judge", "judge charts")
JOBS = (("train", "plan"), ("judge", "judge"), ("judge", "publish"))
"""Those that install anything, of a quick model whose baseline is known; a fourth sets the status pending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What one command took."""

    cpu_s: float
    wall_s: float


def main() -> int:
    """Print a row a set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.installs", description=__doc__)
    parser.add_argument("sets", nargs="*", default=SETS, help="sets of actions/setup, several in quotes")
    parser.add_argument("--run", action="store_true", help="the jobs of one pull request instead of sets")
    options = parser.parse_args()
    if options.run:
        return _run()
    print(f"{'set':<14}{'cold':>16}{'warm':>16}{'pip':>16}{'cold / pip':>12}{'warm / pip':>12}{'on disk':>10}")
    for name in options.sets:
        with tempfile.TemporaryDirectory(prefix="mlbot-installs-") as folder:
            print(_row(name, Path(folder)), flush=True)
    return 0


def _run() -> int:
    """Each job on a machine of its own, so in the order of its steps and with nothing from before but uv's cache."""
    whole = {"cold": 0.0, "warm": 0.0}
    with tempfile.TemporaryDirectory(prefix="mlbot-installs-") as name:
        for workflow, job in JOBS:
            for how in whole:
                machine = Path(name, how, job)
                machine.mkdir(parents=True)
                cache = Path(name, "cache", job)
                spent = sum(_setup(sets, machine, cache).cpu_s for sets in _sets(workflow, job))
                print(f"{job:<10}{how:<6}{spent:>6.1f} CPU s", flush=True)
                whole[how] += spent
    print("\n".join(f"{'all':<10}{how:<6}{spent:>6.1f} CPU s" for how, spent in whole.items()))
    return 0


def _sets(workflow: str, job: str) -> list[list[str]]:
    """The sets of each call of the set-up action, without a driver that mlbot.yaml may need."""
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"][job]["steps"]
    calls = [step for step in steps if str(step.get("uses", "")).endswith("/actions/setup")]
    return [call.get("with", {}).get("extras", "bot").partition("${{")[0].split() for call in calls]


def _row(name: str, folder: Path) -> str:
    cold = _setup(name.split(), folder / "cold", folder / "cache")
    warm = _setup(name.split(), folder / "warm", folder / "cache")
    pip = _pip(name.split(), folder / "pip")
    size = sum(path.stat().st_size for path in (folder / "cold" / "mlbot").rglob("*") if path.is_file())
    ratios = f"{cold.cpu_s / pip.cpu_s:>12.2f}{warm.cpu_s / pip.cpu_s:>12.2f}"
    return f"{name:<14}{_shown(cold)}{_shown(warm)}{_shown(pip)}{ratios}{size / 1e6:>7.0f} MB"


def _shown(spent: Spent) -> str:
    return f"{spent.cpu_s:>7.1f} s ({spent.wall_s:>4.1f})"


def _setup(sets: Sequence[str], temp: Path, cache: Path) -> Spent:
    temp.mkdir(exist_ok=True)
    given = {**os.environ, "RUNNER_TEMP": str(temp), "CACHE": str(cache)}
    return _spent(["bash", str(INSTALL), *sets], given)


def _pip(sets: Sequence[str], folder: Path) -> Spent:
    locks = " ".join(f"-r {ROOT}/requirements/{each}.txt" for each in sets)
    pip = f"{folder}/bin/pip install -q --disable-pip-version-check --no-cache-dir --require-hashes {locks}"
    return _spent(["sh", "-ec", f"{sys.executable} -m venv {folder}; {pip}"], dict(os.environ))


def _spent(command: list[str], environment: dict[str, str]) -> Spent:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(cpu_s=cpu, wall_s=time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
