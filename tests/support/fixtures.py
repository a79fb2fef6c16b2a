"""Fixtures that the tests of several rooms share: trained models, released versions, pull requests."""

import os
import sys
from pathlib import Path

import pytest
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, machine, releases, tiny
from tests.support.commenting import Thread
from tests.support.git_samples import Sandbox
from tests.support.once import once
from tests.support.releases import World
from tests.support.typed import typed

from mlbot.delivery.run_release import ReleaseRequest, release

__all__ = ["github"]


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really trained model that keeps its gates."""
    return once(tmp_path_factory, "good", lambda folder: hosted.train(folder, offset=1000)) / "tiny"


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really trained model that lost a feature."""
    return once(tmp_path_factory, "bad", lambda folder: hosted.train(folder, mode="lost")) / "tiny"


@pytest.fixture(scope="session")
def trained_baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny repository in which `mlbot run` has trained what main has and `offset=1000`, for tests to copy."""

    def make(folder: Path) -> None:
        sandbox = tiny.repository(folder / "repository")
        sandbox.commit(tiny.params(offset=1000))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            typed("mlbot run --quiet", sandbox.path).check_returncode()
        sandbox.git("reset", "--quiet", "--hard", "main")

    return once(tmp_path_factory, "baseline", make) / "repository"


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """Really trained models of the tiny repository, by the parameter `offset`."""
    offsets = (1000, 2000, 3000, 4000)
    folder = once(tmp_path_factory, "models", lambda folder: releases.train(folder, *offsets))
    return {offset: (folder / f"{offset}.onnx").read_bytes() for offset in offsets}


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, trained_models: dict[int, bytes]) -> World:
    """A world in which v1.0.0 and v1.0.1 are released, for `world` to copy."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in machine.ADA.items():
                patch.setenv(name, value)
            world = World.make(folder / "world", trained_models)
            for offset in (1000, 2000):
                world.change(offset)
                assert release(world.context(), ReleaseRequest(model="tiny")).decision.go
            world.context().update_checkout()

    folder = once(tmp_path_factory, "two-versions", make) / "world"
    return World(folder=folder, sandbox=Sandbox(folder / "repo"), models=trained_models, count=2)


@pytest.fixture
def world(tmp_path: Path, two_versions: World, git_settings: None) -> World:
    """v1.0.0 and v1.0.1 are released, and nothing is deployed."""
    del git_settings
    return two_versions.copy(tmp_path / "world")


@pytest.fixture
def thread(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """A pull request of a branch, trained."""
    return Thread.opened(github, tmp_path, monkeypatch).finish()


@pytest.fixture
def fork(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Thread:
    """A pull request of a fork, trained."""
    return Thread.opened(github, tmp_path, monkeypatch, fork=True).finish()
