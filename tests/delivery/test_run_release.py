"""Releasing, with a real repository, ledger and store: what is verified, and that a refusal moves nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import releases, tiny
from tests.support.history_samples import sketch
from tests.support.releases import World, digest_of

from mlbot.config.run_check import load_config
from mlbot.delivery.messages import first_environments, message_release, released_already, unwatched_text
from mlbot.delivery.release import ReleaseReason, ReleaseResult, Unwatched
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, promote, rollback
from mlbot.delivery.run_release import ReleaseRequest, _reference, release
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.tags import read_tags
from mlbot.ledger.entries import ReferenceEntry, ReleaseEntry
from mlbot.lib.record import Digest
from mlbot.protocol.golden import Golden
from mlbot.registry.tags import Registry
from mlbot.registry.views import view
from mlbot.report.report import ModelReport, document_of
from mlbot.verdict.verdict import ModelVerdict

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def world(tmp_path: Path, trained_models: dict[int, bytes]) -> World:
    return World.make(tmp_path / "world", trained_models)


def ask(world: World, **request: object) -> ReleaseResult:
    return release(world.context(), ReleaseRequest(model="tiny", **request))  # type: ignore[arg-type]  # a table's values


def stored_golden(world: World, digest: Digest | None) -> Golden:
    assert digest
    return Golden.model_validate_json(world.stored(digest).read_bytes(), strict=True)


def test_the_first_release(world: World) -> None:
    verdict = world.change(1000)
    result = ask(world)
    entry = result.entry
    assert result.decision.reason is ReleaseReason.RELEASABLE
    assert entry is not None
    assert (entry.version, entry.digest, entry.key) == ("1.0.0", verdict.digest, verdict.key)
    assert (entry.attempt, entry.judge, entry.actor) == (verdict.attempt, verdict.judge, "Ada")
    assert [each for each in world.entries() if isinstance(each, ReleaseEntry)] == [entry]
    assert world.refs()["refs/tags/tiny@v1.0.0"] == entry.tag_object
    golden = stored_golden(world, entry.golden)
    assert (golden.digest, golden.rows) == (verdict.digest, 50)
    world.context().update_checkout()
    assert world.sandbox.git("tag", "--list") == "tiny@v1.0.0"
    assert world.sandbox.git("rev-parse", "origin/mlbot-ledger")


def references(world: World) -> list[ReferenceEntry]:
    return [each for each in world.entries() if isinstance(each, ReferenceEntry)]


def stored_report(world: World, **fields: object) -> Digest:
    """A stored report on the model, as a judge leaves one."""
    verdict = ModelVerdict(model="tiny", outcome=Outcome.PASS, reason=Reason.ALL_GATES_PASS)
    raw = document_of(ModelReport(model="tiny", task=Task.BINARY, verdict=verdict, **fields))  # type: ignore[arg-type]  # a table's
    return stored(world, raw)


def stored(world: World, raw: bytes) -> Digest:
    file = world.folder / "document"
    file.write_bytes(raw)
    world.context().store.put(digest_of(raw), file)
    return digest_of(raw)


def test_a_release_has_the_reference_of_its_verdict(world: World) -> None:
    world.commit(tiny.params(offset=1000))
    world.judge(1000, report=stored_report(world, reference=sketch()))
    result = ask(world)
    assert result.entry
    assert result.unwatched is None
    (found,) = references(world)
    assert (found.model, found.version, found.digest) == ("tiny", "1.0.0", result.entry.digest)
    assert found.sketch == sketch()
    assert ask(world).unwatched is None
    assert references(world) == [found]


@pytest.mark.parametrize("report", ["older", "damaged", "gone"])
def test_a_release_without_a_reference_says_so_and_gets_one_by_being_released_again(world: World, report: str) -> None:
    made: dict[str, Callable[[], Digest]] = {
        "older": lambda: stored_report(world),
        "damaged": lambda: stored(world, b"{"),
        "gone": lambda: digest_of(b"gone"),
    }
    world.commit(tiny.params(offset=1000))
    world.judge(1000, report=made[report]())
    result = ask(world)
    assert (result.decision.reason, result.unwatched) == (ReleaseReason.RELEASABLE, Unwatched.OLDER)
    assert "mlbot monitor cannot say" in message_release(result).sentence
    assert "Run the judge of its commit again, then release tiny@v1.0.0 again." in message_release(result).sentence
    assert "(mlbot run --record --model tiny), then release tiny@v1.0.0" in unwatched_text(result, github=False)
    assert ask(world, version="1.0.0").unwatched is Unwatched.OLDER
    assert references(world) == []
    world.judge(1000, report=stored_report(world, reference=sketch()))
    assert ask(world, version="1.0.0", dry_run=True).unwatched is None
    assert references(world) == []
    assert ask(world, version="1.0.0").unwatched is None
    assert [each.sketch for each in references(world)] == [sketch()]


@pytest.mark.parametrize(
    ("line", "why"),
    [("sketch: false", Unwatched.OFF), ("holdout: https://example.org/holdout.csv", Unwatched.HIDDEN)],
)
def test_no_reference_where_the_config_wants_none(world: World, line: str, why: Unwatched) -> None:
    text = (world.sandbox.path / "mlbot.yaml").read_text()
    old = "holdout: data/holdout.csv"
    new = line if line.startswith("holdout") else f"{old}\n      {line}"
    world.commit({"mlbot.yaml": text.replace(old, new)} | tiny.params(offset=1000))
    world.judge(1000, report=stored_report(world, reference=sketch()))
    result = ask(world)
    assert (result.unwatched, references(world)) == (why, [])
    assert ask(world).unwatched is why


def test_of_an_evaluators_items_there_is_no_reference(tmp_path: Path) -> None:
    head, _, _ = tiny.CONFIG.partition("    data:")
    evaluate = "    evaluate: {run: make, scores: {exact: {range: [0, 1]}}}\n    gates: {exact: {min: 0.5}}\n"
    (tmp_path / "mlbot.yaml").write_text(head.replace("task: binary", "task: scores") + evaluate)
    model = load_config(tmp_path).models[0]
    nothing: Any = None  # it is asked for nothing
    assert _reference(nothing, model, nothing, ()) is Unwatched.NO_ROWS


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.change(1000)
    before = world.state()
    result = ask(world, dry_run=True)
    assert (result.decision.reason, result.entry) == (ReleaseReason.RELEASABLE, None)
    assert world.state() == before


def test_the_same_again_is_no_second_version(world: World) -> None:
    world.change(1000)
    first = ask(world)
    before = world.refs()
    for request in ({}, {"version": "v1.0.0"}, {"bump": "major"}):
        again = ask(world, **request)
        assert again.decision.reason is ReleaseReason.ALREADY_RELEASED
        assert again.entry == first.entry
    world.commit({"README.md": "No model changes by this.\n"})
    assert ask(world).decision.reason is ReleaseReason.ALREADY_RELEASED
    after = world.refs()
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"refs/heads/main"}


@pytest.mark.parametrize(
    ("request_", "version"),
    [({}, "1.0.1"), ({"bump": "minor"}, "1.1.0"), ({"bump": "major"}, "2.0.0"), ({"version": "v0.9.0"}, "0.9.0")],
)
def test_versions_count_up(world: World, request_: dict[str, str], version: str) -> None:
    world.change(1000)
    ask(world)
    world.change(2000)
    result = ask(world, **request_)
    assert result.entry is not None
    assert result.entry.version == version


def test_a_lightweight_tag_is_released_and_stays_as_it_is(world: World) -> None:
    lightweight(world)
    before = world.refs()["refs/tags/tiny@v1.0.0"]
    result = ask(world)
    assert result.entry is not None
    assert (result.facts.version, result.entry.tag_object, result.entry.actor) == ("1.0.0", before, "Ada")
    assert world.refs()["refs/tags/tiny@v1.0.0"] == before == result.entry.commit
    registry = Registry.of(read_tags(world.folder / "remote.git"))
    found = view(registry, world.entries())
    assert (found.notes, found.quarantined, found.models[0].latest) == ((), (), "v1.0.0")
    assert ask(world, version="1.0.0").decision.reason is ReleaseReason.ALREADY_RELEASED
    promoted = promote(world.context(), PromotionRequest(model="tiny", version="1.0.0", environment="staging"))
    assert promoted.deployment is not None
    after = world.refs()
    again = promote(world.context(), PromotionRequest(model="tiny", version="1.0.0", environment="staging"))
    assert (again.decision.reason, world.refs()) == ("already-live", after), "one tag of the environment is enough"


def test_a_pre_release_comes_before_its_release(world: World) -> None:
    world.change(1000)
    first = ask(world, version="v1.0.0-rc.1").entry
    assert first is not None
    assert (first.version, world.refs()["refs/tags/tiny@v1.0.0-rc.1"]) == ("1.0.0-rc.1", first.tag_object)
    world.change(2000)
    second = ask(world, version="1.0.0-rc.10").entry
    assert second is not None
    final = ask(world).entry
    assert final is not None
    assert (final.version, final.digest) == ("1.0.0", second.digest), "the release of what was tried"
    assert ask(world).decision.reason is ReleaseReason.ALREADY_RELEASED
    assert [each.version for each in world.releases] == ["1.0.0-rc.1", "1.0.0-rc.10", "1.0.0"]
    registry = Registry.of(read_tags(world.folder / "remote.git"))
    assert [str(each.version) for each in registry.of_model("tiny").versions] == [
        "v1.0.0-rc.1", "v1.0.0-rc.10", "v1.0.0",
    ]  # fmt: skip
    assert view(registry, world.entries()).models[0].latest == "v1.0.0"


def test_a_pre_release_goes_by_itself_to_where_something_comes_after(world: World) -> None:
    world.change(1000)
    entry = ask(world, version="v1.0.0-rc.1").entry
    assert entry is not None
    config = world.context().config
    assert first_environments((), config, entry) == ("staging",)
    alone = config.model_copy(update={"environments": config.environments[:1]})
    assert first_environments((), alone, entry) == (), "production is asked for by name"
    assert first_environments((), alone, entry.model_copy(update={"version": "1.0.0"})) == ("staging",)
    for version in ("1.0.0-rc.1", "1.0.0"):
        ask(world, version=version)
        result = promote(world.context(), PromotionRequest(model="tiny", version=version, environment="staging"))
        assert result.deployment is not None
        assert (result.deployment.state, world.served("staging")) == ("succeeded", version)
    back = RollbackRequest(model="tiny", environment="staging", reason="slow")
    assert rollback(world.context(), back).deployment is not None
    assert world.served("staging") == "1.0.0-rc.1"


def test_a_run_that_was_killed_after_tagging_is_finished(world: World) -> None:
    world.change(1000)
    world.sandbox.git("tag", "--annotate", "--message", "Made by hand", "tiny@v3.0.0")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v3.0.0")
    result = ask(world)
    assert result.entry is not None
    assert result.entry.version == "3.0.0"
    assert result.entry.tag_object == world.refs()["refs/tags/tiny@v3.0.0"]


def test_a_tag_is_released_where_it_is(world: World) -> None:
    verdict = world.change(1000)
    world.sandbox.git("tag", "--annotate", "--message", "The older one", "tiny@v1.0.0")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0")
    world.change(2000)
    result = ask(world, version="1.0.0")
    assert result.entry is not None
    assert result.entry.commit == verdict.commit
    assert result.entry.digest == verdict.digest


def test_an_inconclusive_verdict_is_released_where_the_config_says_so(
    tmp_path: Path, trained_models: dict[int, bytes]
) -> None:
    config = f"{tiny.CONFIG}{releases.ENVIRONMENTS}\ninconclusive: {{promotion: warn}}\n"
    world = World.make(tmp_path / "world", trained_models, config)
    world.change(1000, Outcome.INCONCLUSIVE)
    assert ask(world).decision.reason is ReleaseReason.RELEASABLE


Story = Callable[[World], dict[str, object]]


def unmerged(world: World) -> dict[str, object]:
    world.change(1000)
    world.sandbox.git("checkout", "--quiet", "-b", "change")
    world.sandbox.commit(tiny.params(offset=2000))
    world.sandbox.git("push", "--quiet", "origin", "change")
    world.sandbox.git("tag", "--annotate", "--message", "mine", "tiny@v1.0.0")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0")
    world.sandbox.git("checkout", "--quiet", "main")
    world.sandbox.git("branch", "--quiet", "-D", "change")
    world.sandbox.git("tag", "--delete", "tiny@v1.0.0")
    return {"version": "1.0.0"}


def moved(world: World) -> dict[str, object]:
    world.change(1000)
    ask(world)
    world.change(2000)
    world.sandbox.git("tag", "--force", "--annotate", "--message", "moved", "tiny@v1.0.0")
    world.sandbox.git("push", "--quiet", "--force", "origin", "tiny@v1.0.0")
    return {"version": "1.0.0"}


def lightweight(world: World) -> dict[str, object]:
    world.change(1000)
    world.sandbox.git("tag", "tiny@v1.0.0")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0")
    return {"version": "1.0.0"}


def elsewhere(world: World) -> dict[str, object]:
    world.change(1000)
    world.sandbox.git("tag", "--annotate", "--message", "mine", "tiny@v1.0.0")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0")
    world.change(2000)
    return {"version": "1.0.0", "commit": "main"}


def unjudged(world: World) -> dict[str, object]:
    world.commit({"train.py": tiny.TRAIN + "\n"})
    return {}


def parent(world: World) -> dict[str, object]:
    world.change(1000)
    world.commit(tiny.params(offset=2000))
    return {}


def failed(world: World) -> dict[str, object]:
    world.change(1000, Outcome.FAIL)
    return {}


def inconclusive(world: World) -> dict[str, object]:
    world.change(1000, Outcome.INCONCLUSIVE)
    return {}


def error(world: World) -> dict[str, object]:
    world.change(1000, Outcome.ERROR)
    return {}


def newer(world: World) -> dict[str, object]:
    world.change(1000)
    world.judge(2000, Outcome.FAIL)
    return {}


def other_branch(world: World) -> dict[str, object]:
    world.commit(tiny.params(offset=1000))
    world.judge(1000, branch="release")
    return {}


def changed(world: World) -> dict[str, object]:
    verdict = world.change(1000)
    world.stored(verdict.digest or "").chmod(0o644)
    world.stored(verdict.digest or "").write_bytes(world.models[2000])
    return {}


def missing(world: World) -> dict[str, object]:
    verdict = world.change(1000)
    world.stored(verdict.digest or "").unlink()
    return {}


def taken(world: World) -> dict[str, object]:
    world.change(1000)
    ask(world)
    world.change(2000)
    return {"version": "v1.0.0", "commit": "main"}


def unknown(world: World) -> dict[str, object]:
    world.commit({"mlbot.yaml": (tiny.CONFIG + releases.ENVIRONMENTS).replace("  tiny:", "  other:")})
    return {}


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (unmerged, "not-merged"),
        (moved, "tag-moved"),
        (elsewhere, "tag-elsewhere"),
        (unjudged, "no-verdict"),
        (parent, "verdict-of-parent"),
        (failed, "verdict-failed"),
        (inconclusive, "verdict-inconclusive"),
        (error, "verdict-error"),
        (newer, "newer-attempt"),
        (other_branch, "no-verdict"),
        (changed, "bytes-differ"),
        (missing, "bytes-missing"),
        (taken, "version-taken"),
        (unknown, "unknown-model"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_refused_with_its_reason_and_nothing_moved(world: World, story: Story, reason: str) -> None:
    request = story(world)
    before = world.state()
    result = ask(world, **request)
    assert result.decision.reason == reason
    assert result.decision.refused
    assert result.entry is None
    assert world.state() == before


# A tag that somebody deleted is put back by saying the release again.


def delete_tags(world: World, *names: str) -> None:
    for name in names:
        world.sandbox.git("push", "--quiet", "origin", f":refs/tags/{name}")


def test_a_deleted_tag_is_put_back_as_it_was(world: World) -> None:
    world.change(1000)
    first = ask(world).entry
    assert first is not None
    world.change(2000)
    ask(world)
    before = world.refs()
    delete_tags(world, "tiny@v1.0.0")
    planned = ask(world, version="1.0.0", dry_run=True)
    assert (planned.restored, "refs/tags/tiny@v1.0.0" in world.refs()) == (("tiny@v1.0.0",), False)
    result = ask(world, version="1.0.0")
    assert result.decision.reason is ReleaseReason.ALREADY_RELEASED
    assert (result.entry, result.restored) == (first, ("tiny@v1.0.0",))
    assert world.refs() == before, "the very same tag object, whenever it is made"
    assert ask(world, version="1.0.0").restored == ()
    assert "and is there again" in released_already(result)
    assert "would put back the tag tiny@v1.0.0." in released_already(planned)


def test_a_tag_made_by_hand_is_put_back_at_its_commit(world: World) -> None:
    verdict = world.change(1000)
    world.sandbox.git("tag", "--annotate", "--message", "Made by hand", "tiny@v3.0.0")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v3.0.0")
    ask(world)
    delete_tags(world, "tiny@v3.0.0")
    world.change(2000)
    assert ask(world, version="3.0.0").restored == ("tiny@v3.0.0",)
    (tag,) = Registry.of(read_tags(world.folder / "remote.git")).of_model("tiny").versions
    assert (tag.commit, tag.note is not None) == (verdict.commit, True)
    assert ask(world, version="3.0.0").decision.reason is ReleaseReason.ALREADY_RELEASED
    found = view(Registry.of(read_tags(world.folder / "remote.git")), world.entries())
    assert found.notes == (), "nothing is left to be said about it"


def test_the_tags_of_where_it_is_live_come_back_too(world: World) -> None:
    world.change(1000)
    ask(world)
    promoted = promote(world.context(), PromotionRequest(model="tiny", version="1.0.0", environment="staging"))
    assert promoted.decision.go
    before = world.refs()
    delete_tags(world, "tiny@v1.0.0", "tiny#staging#1")
    assert set(ask(world, version="1.0.0").restored) == {"tiny@v1.0.0", "tiny#staging#1"}
    assert world.refs() == before
    delete_tags(world, "tiny@v1.0.0")
    again = promote(world.context(), PromotionRequest(model="tiny", version="1.0.0", environment="staging"))
    assert again.decision.reason == "already-live"
    assert world.refs() == before, "by saying the promotion again as well"


def test_a_stage_tag_that_says_otherwise_is_put_right_by_promoting_again(world: World) -> None:
    first = world.change(1000)
    ask(world)
    world.change(2000)
    ask(world)
    for version in ("1.0.0", "1.0.1"):
        promote(world.context(), PromotionRequest(model="tiny", version=version, environment="staging"))
    world.sandbox.git("tag", "--annotate", "--message", "By hand", "tiny#staging#9", first.commit)
    world.sandbox.git("push", "--quiet", "origin", "tiny#staging#9")
    (said,) = view(Registry.of(read_tags(world.folder / "remote.git")), world.entries()).notes
    assert said.endswith("the ledger says v1.0.1. Write what is missing: mlbot registry repair.")
    promote(world.context(), PromotionRequest(model="tiny", version="1.0.1", environment="staging"))
    assert view(Registry.of(read_tags(world.folder / "remote.git")), world.entries()).notes == ()
