"""A release on sealed rows, with a real repository, ledger and store: what is asked, counted, and never told."""

from pathlib import Path

import pytest
from tests.support import sealed
from tests.support.releases import World
from tests.support.sealed import Vault, looks

from mlbot.delivery.release import ReleaseReason, ReleaseResult
from mlbot.delivery.run_release import ReleaseRequest, release

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    return sealed.vault(tmp_path / "vault", monkeypatch)


@pytest.fixture
def world(tmp_path: Path, trained_models: dict[int, bytes], vault: Vault) -> World:
    del vault
    return World.make(tmp_path / "world", trained_models, sealed.config())


def ask(world: World, **request: object) -> ReleaseResult:
    return release(world.context(), ReleaseRequest(model="tiny", **request))  # type: ignore[arg-type]  # a table's values


def test_a_first_release_is_asked_its_absolute_gates(world: World) -> None:
    verdict = world.change(1000)
    result = ask(world)
    assert result.decision.reason is ReleaseReason.RELEASABLE
    (look,) = looks(world)
    assert (look.state, look.digest, look.baseline, look.sequence) == ("pass", verdict.digest, None, 1)
    assert world.releases[0].sealed == "pass"
