"""A pull request on a fake GitHub, and mlbot's own client of it."""

import pytest
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.github.setting import Setting

__all__ = ["github"]


@pytest.fixture
def setting(github: FakeGitHub) -> Setting:
    """One open pull request, into a repository that ada may write to."""
    return Setting.of(github)
