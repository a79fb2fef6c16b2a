"""Fixtures that several rooms' tests share."""

from pathlib import Path

import pytest
from hypothesis import settings
from tests import git_samples

# A busy machine is no failure, and a test run twice is the same test.
settings.register_profile("mlbot", deadline=None, derandomize=True)
settings.load_profile("mlbot")


@pytest.fixture
def git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git as on a machine without settings, for this process and its children."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in git_samples.SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sandbox(tmp_path: Path, git_settings: None) -> git_samples.Sandbox:
    """An empty git repository."""
    del git_settings
    return git_samples.make(tmp_path / "repository")
