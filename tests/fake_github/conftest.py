"""The fake for the tests of itself."""

from tests.fake_github.fixtures import github

__all__ = ["github"]
