"""A promotion into an environment with recorded requests: said, refused beyond what may change, never passed unread."""

import csv
import io
import json

import pytest
from tests.support import tiny
from tests.support.releases import ENVIRONMENTS, World

from mlbot.console import Console
from mlbot.delivery.deployment import DeploymentResult, PromotionFacts, PromotionReason, lock_text
from mlbot.delivery.messages import message_deployment, plan_text, words
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, promote, rollback
from mlbot.delivery.run_verbs import promote_verb
from mlbot.errors import Exit
from mlbot.ledger.entries import DeploymentEntry, DeploymentIntent
from mlbot.ledger.queries import live

pytestmark = pytest.mark.usefixtures("git_settings")
ROWS = [
    {name: float(row[name]) for name in ("x1", "x2", "x3")} | {"segment": row["segment"]}
    for row in csv.DictReader(io.StringIO(tiny.rows(300, 7)))
]


def with_shadow(world: World, shadow: str = "{requests: 'deploy/{model}.jsonl', max_changed: 1}") -> World:
    """The world with recorded requests for staging, where v1.0.0 is live."""
    ask(world, "1.0.0")
    environments = ENVIRONMENTS.replace("target: deploy/staging", f"target: deploy/staging, shadow: {shadow}")
    world.commit({"mlbot.yaml": tiny.CONFIG + environments})
    log = "".join(json.dumps(row) + "\n" for row in ROWS)
    (world.deploy / "tiny.jsonl").write_text(log, encoding="utf-8")
    return world


def ask(world: World, version: str, *, dry_run: bool = False) -> DeploymentResult:
    request = PromotionRequest(model="tiny", version=version, environment="staging", dry_run=dry_run)
    return promote(world.context(), request)


def test_what_changes_is_said_and_recorded(world: World) -> None:
    result = ask(with_shadow(world), "1.0.1")
    assert isinstance(result.facts, PromotionFacts)
    assert result.facts.shadow is not None
    found = result.facts.shadow.found
    assert found is not None
    assert found.requests == len(ROWS)
    assert 0 < found.changed < 60
    assert result.deployment is not None
    assert f"Of 300 recorded requests {found.changed} " in result.deployment.detail
    assert "otherwise than by v1.0.0; allowed are 100 %." in result.deployment.detail
    assert "recorded" in plan_text(result.facts)
    assert found.flips
    assert (
        f"{found.flips[0].before} → {found.flips[0].after}: {found.flips[0].rows}"
        in message_deployment(result).sentence
    )


def test_more_than_may_change_is_refused_and_changes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with_shadow(world, "{requests: deploy/tiny.jsonl, max_changed: 0}")
    before = world.state()
    request = PromotionRequest(model="tiny", version="1.0.1", environment="staging")
    assert promote_verb(world.sandbox.path, request, Console(), as_json=False) is Exit.REFUSED
    assert world.state() == before
    said = capsys.readouterr().err
    assert "refused (shadow-changed): Of 300 recorded requests" in said
    assert "See lines " in said
    assert "raise `shadow.max_changed` of staging in mlbot.yaml" in said
    assert not any(str(row["x1"]) in said for row in ROWS)
    assert ask(world, "1.0.1", dry_run=True).decision.reason is PromotionReason.SHADOW_CHANGED
    assert world.state() == before


@pytest.mark.parametrize("log", [None, '{"x1": "secret", "x2": 1, "x3": 2}\n'])
def test_requests_that_show_nothing_are_never_a_pass(
    world: World, log: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with_shadow(world)
    file = world.deploy / "tiny.jsonl"
    file.unlink() if log is None else file.write_text(log, encoding="utf-8")
    before = world.state()
    request = PromotionRequest(model="tiny", version="1.0.1", environment="staging")
    assert promote_verb(world.sandbox.path, request, Console(), as_json=True) is Exit.NOT_EVALUATED
    captured = capsys.readouterr()
    assert json.loads(captured.out)["decision"]["reason"] == "shadow-void"
    assert "secret" not in captured.out + captured.err
    assert world.state() == before


def test_the_live_version_has_to_be_there_to_be_asked(world: World) -> None:
    with_shadow(world)
    world.stored(world.digests[0]).unlink()
    result = ask(world, "1.0.1")
    assert result.decision.reason is PromotionReason.SHADOW_VOID
    found = words(result.decision.reason, result.facts)
    assert "has not the very bytes of tiny@v1.0.0" in found.sentence
    assert "take `shadow` out of staging" in found.hint


def test_a_first_promotion_has_nothing_to_be_compared_with(world: World) -> None:
    environments = ENVIRONMENTS.replace("target: deploy/staging", "target: deploy/staging, shadow: {requests: nowhere}")
    world.commit({"mlbot.yaml": tiny.CONFIG + environments})
    result = ask(world, "1.0.0")
    assert result.deployment is not None
    assert result.deployment.state == "succeeded"
    assert "recorded requests have nothing to be compared with" in result.deployment.detail


def test_a_rollback_asks_no_recorded_requests(world: World) -> None:
    with_shadow(world)
    ask(world, "1.0.1")
    (world.deploy / "tiny.jsonl").unlink()
    request = RollbackRequest(model="tiny", environment="staging", reason="worse")
    assert rollback(world.context(), request).deployment is not None
    last = live(world.entries(), "staging", "tiny")
    assert last is not None
    assert last.version == "1.0.0"


def test_a_promotion_that_was_begun_goes_on_without_being_asked_again(world: World) -> None:
    with_shadow(world)
    (world.deploy / "tiny.jsonl").unlink()
    started = DeploymentEntry(
        id="tiny/staging/2",
        sequence=2,
        model="tiny",
        version="1.0.1",
        digest=world.digests[1],
        environment="staging",
        action="promotion",
        actor="Ada",
        state="started",
        previous="1.0.0",
        time="2026-11-20T10:00:00Z",
    )
    world.append(started)
    result = ask(world, "1.0.1")
    assert result.decision.reason is PromotionReason.RESUMED
    assert result.deployment is not None
    assert result.deployment.state == "succeeded"


def test_a_lock_that_somebody_pushed_is_no_beginning(world: World) -> None:
    with_shadow(world, "{requests: deploy/tiny.jsonl, max_changed: 0}")
    intent = DeploymentIntent(
        id="tiny/staging/2",
        sequence=2,
        model="tiny",
        version="1.0.1",
        digest=world.digests[1],
        environment="staging",
        action="promotion",
        actor="Mallory",
        time="2026-11-20T10:00:00Z",
    )
    context = world.context()
    assert context.lock("staging").take(lock_text(intent), context.seconds, over=None) is not None
    assert ask(world, "1.0.1").decision.reason is PromotionReason.SHADOW_CHANGED


def test_bytes_that_are_live_are_not_compared_with_themselves(world: World) -> None:
    with_shadow(world, "{requests: nowhere}")
    config = world.deploy / "staging" / "tiny" / "config.pbtxt"
    config.unlink()
    result = ask(world, "1.0.0")
    assert result.deployment is not None
    assert "The same bytes are live there" in result.deployment.detail
