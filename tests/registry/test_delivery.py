"""The same way with a real OCI registry as store and as both environments: release, promote, go back."""

from pathlib import Path

import pytest
from tests.support import tiny
from tests.support.releases import World

from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, approve, promote, rollback
from mlbot.delivery.run_release import ReleaseRequest, release
from mlbot.ledger.queries import live

pytestmark = [pytest.mark.nightly, pytest.mark.usefixtures("git_settings")]
ENVIRONMENTS = """
store: "oci://{place}/tiny/store"
environments:
  staging: {{target: "oci://{place}/staging", smoke: {{requests: 20}}}}
  production: {{target: "oci://{place}/production", after: staging, approvals: 1, smoke: {{requests: 20}}}}
"""


def test_release_promote_and_go_back(tmp_path: Path, registry: str, trained_models: dict[int, bytes]) -> None:
    place = registry.removeprefix("oci://")
    world = World.make(tmp_path / "world", trained_models, tiny.CONFIG + ENVIRONMENTS.format(place=place))
    for number, offset in enumerate((1000, 2000)):
        version = f"1.{number}.0"
        verdict = world.change(offset)
        made = release(world.context(), ReleaseRequest(model="tiny", bump="minor")).entry
        assert made is not None
        assert (made.version, made.digest) == (version, verdict.digest)
        approve(world.context("Bob"), "tiny", version, "production")
        for environment in ("staging", "production"):
            request = PromotionRequest(model="tiny", version=version, environment=environment)
            ended = promote(world.context(), request).deployment
            assert ended is not None
            assert (ended.state, ended.digest) == ("succeeded", verdict.digest), ended.detail
            assert world.served(environment) == version
    back = rollback(world.context(), RollbackRequest(model="tiny", environment="production", reason="slow")).deployment
    assert back is not None
    assert (back.state, back.version) == ("succeeded", "1.0.0")
    assert world.served("production") == "1.0.0"
    last = live(world.entries(), "staging", "tiny")
    assert last is not None
    assert last.version == "1.1.0"
