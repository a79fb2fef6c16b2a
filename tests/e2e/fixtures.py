"""Fixtures of the end-to-end tests."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.export import mlbot_copy
from tests.e2e.harness import Harness
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def mlbot_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout under test, as GitHub would serve it."""
    return mlbot_copy(CHECKOUT, tmp_path_factory.mktemp("mlbot") / "copy")


@pytest.fixture
def actions(github: FakeGitHub, mlbot_source: Path, tmp_path: Path) -> Iterator[Harness]:
    """Runs the workflows of the fake's repositories; a token or secret that leaked fails the test when it ends."""
    if sys.platform != "linux":
        pytest.skip("act is among the development requirements on Linux only")
    harness = Harness(github=github, mlbot=mlbot_source, folder=tmp_path / "actions")
    yield harness
    sys.stdout.write("\n".join([*harness.story(), *harness.failures(), ""]))  # pytest shows it when the test fails
    shutil.rmtree(harness.folder, ignore_errors=True)
    assert not harness.leaks, "\n".join(["leaked:", *(f"{one.secret}: {one.where}" for one in harness.leaks)])


__all__ = ["actions", "github", "mlbot_source"]
