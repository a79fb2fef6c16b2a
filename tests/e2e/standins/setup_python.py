"""actions/setup-python and astral-sh/setup-uv: the Python of the tests, where everything is installed already."""

import os
import platform
import sys
from pathlib import Path

from tests.e2e.standins.common import output, settings


def main() -> None:
    """Act."""
    commands = settings()["commands"]
    with Path(os.environ["GITHUB_PATH"]).open("a") as file:
        file.write(f"{Path(sys.executable).parent}\n{commands}\n")  # the last line comes first
    output(
        python_version=platform.python_version(),
        python_path=f"{commands}/python",
        cache_hit="false",
        uv_version="0.0.0",
    )
