"""`make test-wheel` runs the suite against the built wheel: this says whether it really does."""

import os
from pathlib import Path

import pytest

import mlbot
from mlbot import resources

TESTED_FROM = os.environ.get("MLBOT_TESTED_FROM")


@pytest.mark.skipif(TESTED_FROM is None, reason="the checkout is tested, not the wheel")
def test_the_wheel_is_what_is_tested() -> None:
    folder = Path(TESTED_FROM or "")
    assert Path(mlbot.__file__).is_relative_to(folder)
    assert resources.templates().is_relative_to(folder)
    assert (resources.templates() / "comment.md.j2").is_file()
    assert (resources.examples() / "adult-income" / "data" / "holdout.csv").is_file()
    assert (folder / "mlbot" / "py.typed").is_file()
