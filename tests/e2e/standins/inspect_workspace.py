"""The last step of each job: keep every .git/config of the workspace, for the search for tokens."""

import os
import sys
import uuid
from pathlib import Path


def main() -> None:
    """Keep them."""
    folder = Path(sys.argv[1], uuid.uuid4().hex)
    for number, config in enumerate(Path(os.environ["GITHUB_WORKSPACE"]).rglob(".git/config")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").write_bytes(config.read_bytes())
