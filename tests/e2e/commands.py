"""Commands for jobs: Python and pip of the tests. Nothing is installed: all is there already."""

import sys
from pathlib import Path
from typing import Final

PYTHON: Final = """#!/bin/bash
# The tests' Python; `-m pip install` is noted, `-m venv` makes one that sees what is installed here.
if [ "$1" = "-m" ] && [ "$2" = "pip" ] && [ "$3" = "install" ]; then shift 2; exec "{folder}/pip" "$@"; fi
if [ "$1" = "-m" ] && [ "$2" = "venv" ]; then exec "{folder}/make-venv" "${{@:$#}}"; fi
exec "{python}" "$@"
"""
PIP: Final = """#!/bin/bash
if [ "$1" != "install" ]; then exec "{python}" -m pip "$@"; fi
echo "pip $*" >> "{folder}/installed.txt"
"""
UV: Final = """#!/bin/bash
echo "uv $*" >> "{folder}/installed.txt"
case "$1" in
  venv) exec "{folder}/make-venv" "${{@:$#}}" ;;
  run) shift; while [[ "$1" == -* ]]; do shift; done; exec "$@" ;;
esac
"""
VENV: Final = """#!/bin/bash
set -e
"{python}" -m venv --without-pip "$1"
echo 'import site; site.addsitedir("{site}")' > "$(echo "$1"/lib/python*/site-packages)/tests.pth"
ln -s "{folder}/pip" "$1/bin/pip"
printf '#!/bin/bash\\nexec "%s/python" -m mlbot "$@"\\n' "$(realpath "$1/bin")" > "$1/bin/mlbot"
chmod +x "$1/bin/mlbot"
"""


def write(folder: Path) -> Path:
    """Write the commands; ``installed.txt`` beside them keeps what jobs asked to be installed."""
    folder.mkdir(parents=True, exist_ok=True)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    values = {"folder": folder, "python": sys.executable, "site": site}
    texts = {"python": PYTHON, "python3": PYTHON, "pip": PIP, "pip3": PIP, "uv": UV, "make-venv": VENV}
    for name, text in texts.items():
        command = folder / name
        command.write_text(text.format(**values))
        command.chmod(0o755)
    return folder
