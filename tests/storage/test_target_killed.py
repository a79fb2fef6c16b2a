"""kill -9 between any two changes of a deployment leaves the old version served or the new one, never between."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.places import made

SCRIPT = Path(__file__).with_name("killing.py")


def kills(url: str, folder: Path) -> list[dict[str, str | int]]:
    made(folder, b"old" * 1000, "old.onnx")
    arguments = [sys.executable, str(SCRIPT), url, str(folder)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("kind", "fewest"), [("folder", 20), ("registry", 15)])
def test_killed_at_every_change(kind: str, fewest: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = "served" if kind == "folder" else str(request.getfixturevalue("registry"))
    rounds = kills(url, tmp_path)
    assert len(rounds) >= fewest
    assert all(each["code"] == -9 for each in rounds)
    assert all(each["between"] in {"1.0.0", each["new"]} for each in rounds)
    assert all(each["after"] == each["new"] for each in rounds)
    switched = [each["between"] == each["new"] for each in rounds]
    assert switched == sorted(switched), "it moves once, at one change"
    assert True in switched
    assert False in switched
