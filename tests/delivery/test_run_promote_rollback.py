"""Rolling back in real folders: past gates, order, approvals and locks, never past integrity."""

from collections.abc import Callable

import pytest
from tests.support.releases import World

from mlbot.delivery.deployment import Holder, lock_text
from mlbot.delivery.rollback import RollbackReason
from mlbot.delivery.run_approve import approve, set_lock
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, RollbackResult, promote, rollback
from mlbot.delivery.run_release import ReleaseRequest, release
from mlbot.git.locks import LockRef
from mlbot.ledger.entries import DeploymentEntry
from mlbot.ledger.queries import deployments, live

pytestmark = pytest.mark.usefixtures("git_settings")
NOW = 1_763_654_400


def ask(world: World, to: str | None = None, environment: str = "staging", why: str = "slow") -> RollbackResult:
    return rollback(world.context("Bob"), RollbackRequest(model="tiny", environment=environment, reason=why, to=to))


def deploy(world: World, *versions: str, environment: str = "staging") -> None:
    for version in versions:
        request = PromotionRequest(model="tiny", version=version, environment=environment)
        assert promote(world.context(), request).deployment is not None


def test_back_to_the_last_good_version(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    entry = ask(world, why="wrong scores").deployment
    assert entry is not None
    assert (entry.version, entry.previous, entry.action, entry.state) == ("1.0.0", "1.0.1", "rollback", "succeeded")
    assert (entry.actor, entry.reason, entry.id) == ("Bob", "wrong scores", "tiny/staging/3")
    assert "golden requests are answered as judged" in entry.detail
    assert world.served("staging") == "1.0.0"
    assert "refs/tags/tiny#staging#3" in world.refs()


def test_a_second_one_goes_further_and_never_to_what_was_left(world: World) -> None:
    world.change(3000)
    release(world.context(), ReleaseRequest(model="tiny"))
    deploy(world, "1.0.0", "1.0.1", "1.0.2")
    assert ask(world).decision.go
    assert ask(world).decision.go
    assert world.served("staging") == "1.0.0"
    assert ask(world).decision.reason is RollbackReason.NOTHING_BEFORE


def test_no_lock_order_or_approval_stops_it(world: World) -> None:
    approve(world.context("Bob"), "tiny", "1.0.0", "production")
    approve(world.context("Bob"), "tiny", "1.0.1", "production")
    for version in ("1.0.0", "1.0.1"):
        deploy(world, version)
        deploy(world, version, environment="production")
    set_lock(world.context("Eve"), "production", close=True, reason="audit")
    world.sandbox.git("tag", "--annotate", "--message", "bad", "tiny@v1.0.0!", "tiny@v1.0.0^{commit}")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0!")
    assert ask(world, environment="production").deployment is not None
    assert world.served("production") == "1.0.0"
    assert world.served("staging") == "1.0.1"


Story = Callable[[World], RollbackResult]


def changed(world: World) -> RollbackResult:
    deploy(world, "1.0.0", "1.0.1")
    file = world.stored(world.digests[0])
    file.chmod(0o644)
    file.write_bytes(world.models[3000])
    return ask(world)


def missing(world: World) -> RollbackResult:
    deploy(world, "1.0.0", "1.0.1")
    world.stored(world.digests[0]).unlink()
    return ask(world)


def without_a_reason(world: World) -> RollbackResult:
    deploy(world, "1.0.0", "1.0.1")
    return ask(world, why=" ")


def never_there(world: World) -> RollbackResult:
    deploy(world, "1.0.1")
    return ask(world, to="v1.0.0")


def nothing_there(world: World) -> RollbackResult:
    return ask(world)


def nowhere(world: World) -> RollbackResult:
    return ask(world, environment="moon")


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (changed, "bytes-differ"),
        (missing, "bytes-missing"),
        (without_a_reason, "no-reason"),
        (never_there, "never-live"),
        (nothing_there, "nothing-live"),
        (nowhere, "unknown-environment"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.__name__,
)
def test_refused_with_its_reason_and_nothing_moved(world: World, story: Story, reason: str) -> None:
    served, result = world.served("staging"), story(world)
    assert result.decision.reason == reason
    assert result.decision.refused
    assert result.decision.hint
    assert result.deployment is None
    before = world.state()
    assert ask(world, to=result.facts.to, environment=result.facts.environment, why=result.facts.why).decision.refused
    assert world.state() == before
    assert served is None


def test_what_is_live_is_not_rolled_back_to(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    before = world.state()
    result = ask(world, to="1.0.1")
    assert result.decision.reason is RollbackReason.ALREADY_LIVE
    assert not result.decision.refused
    assert world.state() == before


def test_a_living_deployment_that_was_taken_over_stops_before_it_switches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob rolls back while Ada's promotion is between staging and switching."""
    from mlbot.errors import RefusedError  # noqa: PLC0415 - this test's own
    from mlbot.storage.target_files import FilesTarget  # noqa: PLC0415

    deploy(world, "1.0.0")
    stage = FilesTarget.stage

    def interrupted(self: FilesTarget, model: str, version: object, digest: str, file: object) -> None:
        stage(self, model, version, digest, file)  # type: ignore[arg-type]  # handed through as they came
        monkeypatch.setattr(FilesTarget, "stage", stage)
        assert ask(world, why="stuck").deployment is not None

    monkeypatch.setattr(FilesTarget, "stage", interrupted)
    with pytest.raises(RefusedError, match="another run took staging over"):
        promote(world.context(), PromotionRequest(model="tiny", version="1.0.1", environment="staging"))
    assert world.served("staging") == "1.0.0"
    states = [(each.version, each.action, each.state) for each in deployments(world.entries(), "tiny", "staging")]
    assert states == [
        ("1.0.0", "promotion", "succeeded"),
        ("1.0.1", "promotion", "failed"),
        ("1.0.0", "rollback", "succeeded"),
    ]
    assert LockRef(remote=world.remote, environment="staging").read() is None


def test_what_was_given_up_is_in_the_ledger(world: World) -> None:
    deploy(world, "1.0.0")
    dead = Holder(
        id="tiny/staging/2",
        sequence=2,
        model="tiny",
        version="1.0.1",
        digest=world.digests[1],
        environment="staging",
        action="promotion",
        actor="Ada",
        time="2026-11-20T16:00:00Z",
    )
    shared = {name: getattr(dead, name) for name in Holder.model_fields}
    world.append(DeploymentEntry(**shared | {"state": "started", "previous": "1.0.0"}))
    assert LockRef(remote=world.remote, environment="staging").take(lock_text(dead), NOW)
    result = ask(world, why="stuck")
    assert result.deployment is not None
    given_up = deployments(world.entries(), "tiny", "staging")[1]
    assert given_up.state == "failed"
    assert given_up.detail.startswith("Given up: the rollback of tiny@v1.0.0 by Bob")
    last = live(world.entries(), "staging", "tiny")
    assert last is not None
    assert (last.version, last.sequence) == ("1.0.0", 3)


def test_another_models_dead_lock_does_not_hold_a_rollback_up(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    dead = Holder(
        id="other/staging/1",
        sequence=1,
        model="other",
        version="1.0.0",
        digest=world.digests[0],
        environment="staging",
        action="promotion",
        actor="Ada",
        time="2026-11-20T16:00:00Z",
    )
    assert LockRef(remote=world.remote, environment="staging").take(lock_text(dead), NOW)
    assert ask(world).deployment is not None
    assert world.served("staging") == "1.0.0"


def test_a_release_without_golden_requests_can_still_be_gone_back_to(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    golden = next(each.golden for each in world.releases if each.version == "1.0.0")
    assert golden
    world.stored(golden).unlink()
    entry = ask(world).deployment
    assert entry is not None
    assert "no golden requests" in entry.detail
