"""`mlbot --version` against `python -c pass`, and which heavy packages it loads (none is right).

Run it with `python -m benchmarks.startup`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.plan import measure

HEAVY = (
    "numpy",
    "scipy",
    "polars",
    "sklearn",
    "onnx",
    "onnxruntime",
    "altair",
    "fsspec",
    "github",
    "jinja2",
    "pydantic",
)
_LOADED = f"""
import sys
from mlbot.entry import invoke
code = invoke(["--version"])
print(*({{name for name in sys.modules if name in {HEAVY!r}}}))
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    here = Path.cwd()
    commands = {
        "python -c pass": ([sys.executable, "-c", "pass"], here),
        "mlbot --version": ([sys.executable, "-m", "mlbot", "--version"], here),
        "mlbot --help": ([sys.executable, "-m", "mlbot", "--help"], here),
    }
    medians = measure(commands, options.runs)
    loaded = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    print(f"median of {options.runs} alternating whole processes")
    for name, seconds in medians.items():
        print(f"  {name:<16} {seconds * 1000:6.1f} ms   {seconds / medians['python -c pass']:4.1f} x")
    print(f"heavy packages loaded by mlbot --version: {loaded.stdout.splitlines()[-1] or 'none'}")


if __name__ == "__main__":
    main()
