"""Fixtures that several rooms' tests share."""

import gc
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support import git_samples, machine, registry_server, tiers, warm

machine.forget()
gc.disable()  # while thirteen thousand tests are collected: all of it stays
pytest_plugins = ["tests.support.fixtures"]

# A busy machine is no failure, and a test run twice is the same test.
settings.register_profile("mlbot", deadline=None, derandomize=True, max_examples=tiers.examples(100))
settings.load_profile("mlbot")


COLD = {"test_the_protection_is_told", "test_nothing_is_left_behind", "test_several_threads_predict_the_same"}


def pytest_collection_finish() -> None:
    """What is collected is no garbage, so it is not looked through again and again."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The sandbox, and what of scoring depends on how a child starts, is tested with children that mlbot starts."""
    warm.Forked.cold = tiers.NIGHTLY or item.path.name == "test_sandbox.py" or item.name in COLD


@pytest.fixture(scope="session", autouse=True)
def warm_scoring() -> None:
    """Elsewhere they are forked from a process that has imported what they need."""
    if sys.platform == "linux":
        warm.install()


@pytest.fixture
def git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git knows a name, Ada's, in this process and its children; the home is the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in machine.ADA.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sandbox(tmp_path: Path, git_settings: None) -> git_samples.Sandbox:
    """An empty git repository."""
    del git_settings
    return git_samples.make(tmp_path / "repository")


@pytest.fixture(scope="session")
def registry_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a real OCI registry; see `tests/support/registry_server.py`."""
    try:
        registry_server.find_server()
    except registry_server.NoServerError as error:
        pytest.skip(str(error))
    with registry_server.serving(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def registry(registry_host: str, tmp_path: Path) -> str:
    """A repository of its own in a real OCI registry: `oci://127.0.0.1:…/…`."""
    return f"oci://{registry_host}/tests/{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]}"
