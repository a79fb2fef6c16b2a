"""Commands for jobs: Python, pip and uv that install nothing, as all is there already.

They stand for the Python of a hosted runner too: no job ever reaches a package index. `mlbot` itself is on the PATH
only after actions/setup-python, or in an environment that a job makes and puts there.
"""

import sys
from pathlib import Path
from typing import Final

from tests.e2e.standins import known

PYTHON: Final = """#!/bin/bash
# The tests' Python; `-m pip install` is noted, `-m venv` makes one that sees what is installed here.
isolated=()
if [ "$1" = "-I" ]; then isolated=(-I); shift; fi
if [ "$1" = "-m" ] && [ "$2" = "pip" ]; then shift 2; exec "{folder}/pip" "$@"; fi
if [ "$1" = "-m" ] && [ "$2" = "venv" ]; then exec "{folder}/make-venv" "${{@:$#}}"; fi
exec "{python}" "${{isolated[@]}}" "$@"
"""
PIP: Final = """#!/bin/bash
if [ "$1" = "--isolated" ]; then shift; fi
if [ "$1" = "--python" ]; then shift 2; fi
if [ "$1" != "install" ]; then exec "{python}" -m pip "$@"; fi
echo "pip $*" >> "{folder}/installed.txt"
"""
UV: Final = """#!/bin/bash
while [[ "$1" == -* ]]; do shift; done
echo "uv $*" >> "{folder}/installed.txt"
case "$1" in
  venv) exec "{folder}/make-venv" "${{@:$#}}" ;;
  run) shift; while [[ "$1" == -* ]]; do shift; done; exec "$@" ;;
esac
"""
VENV: Final = """#!/bin/bash
# An environment in looks only, as making a real one would take a second in each job.
set -e
mkdir -p "$1/bin" "$1/lib/python3/site-packages"
for name in python python3 pip uv; do ln -sf "{folder}/$name" "$1/bin/$name"; done
printf '#!/bin/bash\\nexec "{python}" -m mlbot "$@"\\n' > "$1/bin/mlbot"
chmod +x "$1/bin/mlbot"
"""


def write(folder: Path) -> Path:
    """Write the commands; ``installed.txt`` beside them keeps what jobs asked to be installed."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"folder": folder, "python": sys.executable}
    texts = {"python": PYTHON, "python3": PYTHON, "pip": PIP, "pip3": PIP, "uv": UV, "make-venv": VENV}
    scripts = {name: text.format(**values) for name, text in texts.items()} | {"gh": known.gh()}
    for name, script in scripts.items():
        command = folder / name
        command.write_text(script)
        command.chmod(0o755)
    return folder
