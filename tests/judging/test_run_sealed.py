"""What scores sealed rows is silent, and nothing else reads them."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from mlbot.judging.run_sealed import silenced

SOURCE = Path(__file__).parents[2] / "src" / "mlbot"
CANARY = "canary-1147"
USE = re.compile(r"data\.sealed\b(?! is )")


def test_nothing_is_written_while_it_lasts(capfd: pytest.CaptureFixture[str]) -> None:
    sys.stdout.write("before\n")
    with silenced():
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            assert stream is not None
            stream.write(CANARY)
        for number in (1, 2):
            os.write(number, CANARY.encode())
        subprocess.run(["echo", CANARY], check=True)
        warnings.warn(CANARY, stacklevel=1)
    sys.stdout.write("after\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("before\nafter\n", "")


def test_it_is_heard_again_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), silenced():
        raise KeyError
    sys.stdout.write("after\n")
    assert capfd.readouterr().out == "after\n"


def test_the_release_alone_reads_sealed_rows() -> None:
    """Others ask whether there are any; the set-up writes which packages reach them."""
    uses = {file.relative_to(SOURCE) for file in SOURCE.rglob("*.py") if USE.search(file.read_text())}
    assert {str(file) for file in uses if file.parts[0] not in {"config", "setup"}} == {"delivery/run_sealed.py"}
