"""Fixtures: import them into a room's conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub


@pytest.fixture
def github(tmp_path: Path) -> Iterator[FakeGitHub]:
    """A fake GitHub of this test's own; a breach of GitHub's contract fails the test when it ends."""
    with FakeGitHub(tmp_path / "github") as fake:
        yield fake
    fake.check()
