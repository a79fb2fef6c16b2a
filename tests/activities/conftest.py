"""Fixtures of the verbs' tests."""

from pathlib import Path

import pytest
from tests import hosted
from tests.fake_github.fixtures import github

__all__ = ["github"]


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really trained model that keeps its gates."""
    return hosted.train(tmp_path_factory.mktemp("good"), offset=1000)


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really trained model that lost a feature."""
    return hosted.train(tmp_path_factory.mktemp("bad"), mode="lost")
