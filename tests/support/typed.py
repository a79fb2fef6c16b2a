"""The commands that a page of the documentation tells people to type."""

import contextlib
import io
import shlex
import subprocess
from pathlib import Path

from mlbot import entry


def typed(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What a command comes to in a folder: mlbot's part in this process, others and what follows a pipe under bash."""
    ours, _, rest = command.partition(" | ")
    if not ours.startswith("mlbot "):
        return _bash(command, folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = entry.invoke(shlex.split(ours)[1:])
    if code or not rest:
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
    return _bash(rest, folder, out.getvalue())


def _bash(command: str, folder: Path, given: str = "") -> "subprocess.CompletedProcess[str]":
    shell = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(shell, cwd=folder, input=given, capture_output=True, text=True, check=False)
