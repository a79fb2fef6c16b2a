"""What the registry says of versions that were really released and deployed; GTO, reading the same tags, agrees."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import gto_peer
from tests.support.pythons import NotInstalledError
from tests.support.releases import World

from mlbot import entry
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, approve, promote, rollback
from mlbot.errors import Exit
from mlbot.registry.run_repository import RepositoryContext

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("git_settings")]


@pytest.fixture
def deployed(world: World) -> World:
    """Both versions went to production, approved by Bob, and the second was rolled back; a minute lies between steps.

    GTO goes by the clock, and knows no order within a second.
    """
    minutes = iter(range(1, 99))

    def context(actor: str = "Ada") -> RepositoryContext:
        then = datetime.now(UTC) + timedelta(minutes=next(minutes))
        return replace(world.context(actor), now=lambda: then)

    for version in ("1.0.0", "1.0.1"):
        assert promote(context(), PromotionRequest(model="tiny", version=version, environment="staging")).deployment
        approve(context("Bob"), "tiny", version, "production")
        assert promote(context(), PromotionRequest(model="tiny", version=version, environment="production")).deployment
    rollback(context("Bob"), RollbackRequest(model="tiny", environment="production", reason="complaints"))
    world.context().update_checkout()
    return world


def ask(world: World, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert entry.invoke(["registry", *words, "--json", "-C", str(world.sandbox.path)]) == Exit.OK
    return json.loads(capsys.readouterr().out)


def test_the_registry_tells_the_whole_story(deployed: World, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(deployed, capsys, "list")
    assert (found["environments"], found["notes"], found["quarantined"]) == (["staging", "production"], [], [])
    (model,) = found["models"]
    live = {each["environment"]: (each["version"], each["digest"]) for each in model["environments"]}
    first, second = deployed.digests
    assert live == {"staging": ("v1.0.1", second), "production": ("v1.0.0", first)}
    events = ask(deployed, capsys, "history", "tiny")["events"]
    assert [each["kind"] for each in events].count("promotion") == 4
    assert (events[-1]["kind"], events[-1]["actor"], events[-1]["reason"]) == ("rollback", "Bob", "complaints")
    made = ask(deployed, capsys, "lineage", "tiny@v1.0.0")
    release = deployed.releases[0]
    assert (made["commit"], made["digest"], made["key"]) == (release.commit, first, release.key)
    assert made["verdict"]["outcome"] == "pass"
    assert {each["actor"] for each in made["approvals"]} == {"Bob"}
    assert [each["environment"] for each in made["deployments"]] == ["staging", "production", "production"]


@pytest.mark.nightly
def test_gto_agrees(deployed: World) -> None:
    try:
        gto = gto_peer.find_gto()
    except NotInstalledError as error:
        pytest.skip(str(error))
    path = deployed.sandbox.path
    assert gto_peer.theirs(gto, path) == gto_peer.ours(path)
    assert gto_peer.ours(path) == {"tiny": ("v1.0.1", {"staging": "v1.0.1", "production": "v1.0.0"})}
