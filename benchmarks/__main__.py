"""Run every benchmark, one after another: `make bench`. `python -m benchmarks.NAME --help` explains each.

The simulation of the gate's rule trains 300 models and takes hours, as that of flips does without its models, and that
of looks with 1,440; the mutants take half an hour, and that of latency keeps the machine busy. They run only when they
are named.
"""

import argparse
import subprocess
import sys

QUICK = (
    "startup",
    "command",
    "comments",
    "plan",
    "auc_interval",
    "memory",
    "judge_memory",
    "asking",
    "coverage",
    "registry",
    "ledger",
)
LONG = (
    "simulation",
    "looks",
    "flips",
    "power",
    "authors",
    "sealed_levels",
    "creep",
    "dependent",
    "drift",
    "data_checks",
    "data_diff",
    "latency",
    "mutants",
    "installs",
    "onnx_files",
)


def main() -> int:
    """Run the named benchmarks, or all but the long ones; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(QUICK + LONG)}")
    names = parser.parse_args().names or QUICK
    if unknown := set(names) - set(QUICK + LONG):
        parser.error(f"there is no benchmark {min(unknown)}; there are {', '.join(QUICK + LONG)}")
    failed = [name for name in names if not _run(name)]
    for name in failed:
        print(f"failed: {name}", file=sys.stderr)
    return int(bool(failed))


def _run(name: str) -> bool:
    print(f"\n== {name}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
