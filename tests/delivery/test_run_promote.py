"""Promoting into real folders, going back, approving and locking: order, approvals, locks, bytes."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import tiny
from tests.support.releases import ENVIRONMENTS, World

from mlbot.console import Console
from mlbot.delivery.deployment import (
    DeploymentResult,
    PromotionFacts,
    PromotionReason,
    RollbackFacts,
    RollbackReason,
    lock_text,
)
from mlbot.delivery.messages import RequestState, message_deployment, words
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, approve, promote, rollback, set_lock
from mlbot.delivery.run_release import ReleaseRequest, release, repair_tags, write_release
from mlbot.delivery.run_verbs import promote_verb, repair_verb
from mlbot.errors import Exit, NotEvaluatedError, RefusedError, UsageError
from mlbot.git.command import git
from mlbot.git.ledger import COPY, LedgerLostError
from mlbot.git.locks import LockRef
from mlbot.ledger.entries import BRANCH, DeploymentEntry, DeploymentIntent
from mlbot.ledger.queries import deployments, live, locks
from mlbot.ledger.queries import locked as lock_of
from mlbot.lib.version import Version
from mlbot.registry.run_registry import read_view
from mlbot.storage.artifact import measured
from mlbot.storage.target_files import FilesTarget

pytestmark = pytest.mark.usefixtures("git_settings")
NOW = 1_763_654_400


def ask(world: World, version: str, environment: str, actor: str = "Ada", **more: str) -> DeploymentResult:
    request = PromotionRequest(model="tiny", version=version, environment=environment, **more)  # type: ignore[arg-type]  # only texts are given
    return promote(world.context(actor), request)


def in_production(world: World, version: str) -> None:
    ask(world, version, "staging")
    approve(world.context("Bob"), "tiny", version, "production")
    assert ask(world, version, "production").deployment is not None


def history(world: World, environment: str) -> list[tuple[str, str]]:
    return [(each.version, each.state) for each in deployments(world.entries(), "tiny", environment)]


def test_the_same_bytes_all_the_way(world: World) -> None:
    in_production(world, "1.0.0")
    for environment in ("staging", "production"):
        last = live(world.entries(), environment, "tiny")
        assert last is not None
        assert (last.version, last.digest) == ("1.0.0", next(iter(world.digests)))
        assert world.served(environment) == "1.0.0"
        assert next((world.deploy / environment / "tiny").rglob("*.onnx")).read_bytes() == world.models[1000]
    tags = [name for name in world.refs() if name.startswith("refs/tags/tiny#")]
    assert sorted(tags) == ["refs/tags/tiny#production#2", "refs/tags/tiny#staging#1"]
    assert not [name for name in world.refs() if name.startswith("refs/mlbot/lock")]


@pytest.mark.parametrize("asked_by", ["mlbot", "an evaluator"])
def test_a_folder_goes_all_the_way_and_back(world: World, tmp_path: Path, asked_by: str) -> None:
    """One that mlbot asks is an ONNX file with its data; of others the bytes are verified, and there is no request."""
    name = "model.onnx" if asked_by == "mlbot" else "artifact"
    config = tiny.CONFIG + ENVIRONMENTS
    if asked_by != "mlbot":
        head, _, end = config.partition("    data:")
        evaluate = "    evaluate: {run: make, scores: {exact: {range: [0, 1]}}}\n    gates: {exact: {min: 0.5}}\n"
        rest = end[end.index("\n", end.index("@rare")) + 1 :]
        config = head.replace("task: binary", "task: scores") + evaluate + rest
    in_production(world, "1.0.0")
    folders = [tmp_path / each for each in ("one", "two")]
    for number, folder in enumerate(folders):
        (folder / "assets").mkdir(parents=True)
        (folder / "model.onnx").write_bytes(world.models[1000])
        (folder / "assets" / "notes.txt").write_text(folder.name)
        (folder / "assets" / "notes.txt").chmod(0o755)
        world.commit({"mlbot.yaml": config} | tiny.params(offset=5000 + number))
        world.judge_folder(folder)
        made = release(world.context(), ReleaseRequest(model="tiny", version=f"2.{number}.0")).entry
        assert made is not None
        assert (made.digest, made.golden is None) == (measured(folder).digest, asked_by != "mlbot")
        in_production(world, f"2.{number}.0")
        there = world.deploy / "production" / "tiny" / f"200{number}000" / name
        assert measured(there).size_bytes == measured(folder).size_bytes
        assert (there / "assets" / "notes.txt").read_text() == folder.name
    text = (world.deploy / "production" / "tiny" / "config.pbtxt").read_text()
    assert ("onnxruntime" in text) is (asked_by == "mlbot")
    for version in ("2.0.0", "1.0.0"):
        request = RollbackRequest(model="tiny", environment="production", reason="worse", to=version)
        assert rollback(world.context(), request).deployment is not None
        assert world.served("production") == version
    files = write_release(world.context(), world.releases[-1], tmp_path / "files")
    with tarfile.open(files[f"{name}.tar"]) as archive:
        modes = {each.name: each.mode for each in archive}
    assert modes == {f"{name}/assets/notes.txt": 0o755, f"{name}/model.onnx": 0o644}


def test_the_ledger_tells_who_what_why_and_what_was_found(world: World) -> None:
    ask(world, "1.0.0", "staging")
    result = ask(world, "v1.0.1", "staging", reason="fewer false alarms")
    entry = result.deployment
    assert entry is not None
    assert (entry.id, entry.sequence, entry.action, entry.state) == ("tiny/staging/2", 2, "promotion", "succeeded")
    assert (entry.previous, entry.actor, entry.reason) == ("1.0.0", "Ada", "fewer false alarms")
    assert "golden requests are answered as judged" in entry.detail
    states = [each.state for each in world.entries() if isinstance(each, DeploymentEntry) and each.sequence == 2]
    assert sorted(states) == ["started", "succeeded"]


def test_a_dry_run_changes_nothing(world: World) -> None:
    before = world.state()
    result = ask(world, "1.0.0", "staging", dry_run=True)  # type: ignore[arg-type]  # see `ask`
    assert (result.decision.reason, result.deployment) == (PromotionReason.PROMOTABLE, None)
    assert world.state() == before


def test_what_is_live_is_not_deployed_again(world: World) -> None:
    ask(world, "1.0.0", "staging")
    before = world.state()
    assert ask(world, "1.0.0", "staging").decision.reason is PromotionReason.ALREADY_LIVE
    assert world.state() == before


def test_a_target_that_somebody_changed_is_put_right_by_the_same_command(world: World) -> None:
    ask(world, "1.0.0", "staging")
    ask(world, "1.0.1", "staging")
    config = world.deploy / "staging" / "tiny" / "config.pbtxt"
    newer = config.read_bytes()
    ask(world, "1.0.0", "staging")
    config.write_bytes(newer)
    result = ask(world, "1.0.0", "staging")
    assert result.facts.drifted
    assert result.deployment is not None
    assert result.deployment.state == "succeeded"
    assert world.served("staging") == "1.0.0"


Story = Callable[[World], DeploymentResult]


def before_staging(world: World) -> DeploymentResult:
    approve(world.context("Bob"), "tiny", "1.0.0", "production")
    return ask(world, "1.0.0", "production")


def staging_has_another(world: World) -> DeploymentResult:
    ask(world, "1.0.0", "staging")
    ask(world, "1.0.1", "staging")
    approve(world.context("Bob"), "tiny", "1.0.0", "production")
    return ask(world, "1.0.0", "production")


def unapproved(world: World) -> DeploymentResult:
    ask(world, "1.0.0", "staging")
    return ask(world, "1.0.0", "production")


def own_approval(world: World) -> DeploymentResult:
    ask(world, "1.0.0", "staging")
    approve(world.context("ADA"), "tiny", "1.0.0", "production")
    return ask(world, "1.0.0", "production")


def approval_of_another_version(world: World) -> DeploymentResult:
    approve(world.context("Bob"), "tiny", "1.0.0", "production")
    ask(world, "1.0.1", "staging")
    return ask(world, "1.0.1", "production")


def locked(world: World) -> DeploymentResult:
    set_lock(world.context("Bob"), "staging", close=True, reason="audit")
    return ask(world, "1.0.0", "staging")


def under_way(world: World) -> DeploymentResult:
    holder(world, "1.0.0")
    return ask(world, "1.0.1", "staging")


def withdrawn(world: World) -> DeploymentResult:
    world.sandbox.git("tag", "--annotate", "--message", "bad", "tiny@v1.0.0!", "tiny@v1.0.0^{commit}")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0!")
    return ask(world, "1.0.0", "staging")


def unreleased(world: World) -> DeploymentResult:
    return ask(world, "9.9.9", "staging")


def nowhere(world: World) -> DeploymentResult:
    return ask(world, "1.0.0", "moon")


def changed(world: World) -> DeploymentResult:
    file = world.stored(next(iter(world.digests)))
    file.chmod(0o644)
    file.write_bytes(world.models[3000])
    return ask(world, "1.0.0", "staging")


def missing(world: World) -> DeploymentResult:
    world.stored(next(iter(world.digests))).unlink()
    return ask(world, "1.0.0", "staging")


def holder(world: World, version: str, model: str = "tiny") -> DeploymentIntent:
    """A lock that somebody's deployment took just now."""
    made = DeploymentIntent(
        id=f"{model}/staging/1",
        sequence=1,
        model=model,
        version=version,
        digest=next(iter(world.digests)),
        environment="staging",
        action="promotion",
        actor="Bob",
        time="2026-11-20T16:00:00Z",
    )
    assert LockRef(remote=world.remote, environment="staging").take(lock_text(made), NOW)
    return made


@pytest.mark.parametrize(
    ("story", "reason", "said"),
    [
        (before_staging, "out-of-order", "production comes after staging, and tiny@v1.0.0 is not live there"),
        (staging_has_another, "out-of-order", "it serves v1.0.1"),
        (unapproved, "approvals-missing", "1 is missing"),
        (own_approval, "self-approval", "Ada asks for it"),
        (approval_of_another_version, "approvals-missing", "1 is missing"),
        (locked, "locked", "staging is locked by Bob since 2"),
        (under_way, "under-way", "staging is taken by the promotion of tiny@v1.0.0 by Bob"),
        (withdrawn, "deprecated", "tiny@v1.0.0 is deprecated"),
        (unreleased, "unknown-version", "tiny@v9.9.9 was never released"),
        (nowhere, "unknown-environment", "mlbot.yaml has no environment moon"),
        (changed, "bytes-differ", "What the store has of tiny@v1.0.0 is not"),
        (missing, "bytes-missing", "The store does not have the bytes of tiny@v1.0.0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.__name__,
)
def test_refused_with_its_reason_and_nothing_moved(world: World, story: Story, reason: str, said: str) -> None:
    result = story(world)
    assert result.decision.reason == reason
    assert said in words(result.decision.reason, result.facts).sentence
    assert result.decision.refused
    assert result.deployment is None
    before = world.state()
    repeated = {before_staging, unapproved, own_approval, locked}
    if story in repeated:
        assert isinstance(result.facts, PromotionFacts)
        again = PromotionRequest(model="tiny", version=result.facts.version, environment=result.facts.environment)
        assert promote(world.context(), again).decision.reason == reason
        assert world.state() == before


REFUSES = """#!/bin/sh
case "$1" in refs/tags/*) echo "refusing to allow a GitHub App to create or update workflow x" >&2; exit 1;; esac
"""


def refuse_tags(world: World) -> Path:
    """What GitHub does to a job's token where the commit's workflow files are on no branch."""
    hook = world.folder / "remote.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(REFUSES)
    hook.chmod(0o755)
    return hook


def test_a_finished_deployment_never_fails_for_its_tag(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    hook, before = refuse_tags(world), set(world.refs())
    result = ask(world, "1.0.0", "staging")
    assert (result.deployment is not None, world.served("staging")) == (True, "1.0.0")
    assert result.deployment
    assert result.deployment.state == "succeeded"
    assert LockRef(remote=world.remote, environment="staging").read() is None
    message = message_deployment(result)
    assert message.state is RequestState.DONE
    assert "live; its tag could not be written, and mlbot registry repair writes it." in message.sentence
    assert "no branch has the workflow files of its commit" in message.sentence
    again = promote_verb(
        world.sandbox.path,
        PromotionRequest(model="tiny", version="1.0.0", environment="staging"),
        Console.of_process(quiet=True),
        as_json=False,
    )
    assert again == Exit.OK
    assert "could not be written" in capsys.readouterr().out
    assert not {ref for ref in world.refs() if ref.startswith("refs/tags/")} - before
    world.context().update_checkout()
    notes = read_view(world.sandbox.path).notes
    assert notes == ("tiny: no tag says that v1.0.0 is in staging. Write what is missing: mlbot registry repair.",)
    refused = repair_tags(world.context())
    assert (refused.written, len(refused.failed)) == ((), 1)
    assert "may not be used for writing the tag tiny#staging#1" in refused.failed[0]
    hook.unlink()
    planned = repair_tags(world.context(), dry_run=True)
    assert (planned.written, set(world.refs()) & {"refs/tags/tiny#staging#1"}) == (("tiny#staging#1",), set())
    assert repair_tags(world.context()).written == ("tiny#staging#1",)
    assert repair_tags(world.context()).written == ()
    world.context().update_checkout()
    assert read_view(world.sandbox.path).notes == ()


def test_repair_writes_every_tag_that_the_ledger_has(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    in_production(world, "1.0.0")
    tags = {ref: sha for ref, sha in world.refs().items() if ref.startswith("refs/tags/tiny@")}
    for ref in world.refs():
        if ref.startswith("refs/tags/tiny"):
            git(["update-ref", "-d", ref], world.folder / "remote.git")
    assert repair_verb(world.sandbox.path, Console.of_process(quiet=True), dry_run=False, as_json=False) == Exit.OK
    assert "Wrote the tag tiny@v1.0.0\n" in capsys.readouterr().out
    assert {ref: sha for ref, sha in world.refs().items() if ref.startswith("refs/tags/tiny@")} == tags
    assert repair_verb(world.sandbox.path, Console.of_process(quiet=True), dry_run=False, as_json=False) == Exit.OK
    assert capsys.readouterr().out == "No tag is missing.\n"


def test_an_open_environment_takes_promotions_again(world: World) -> None:
    assert locked(world).decision.reason is PromotionReason.LOCKED
    set_lock(world.context("Bob"), "staging", close=False)
    assert ask(world, "1.0.0", "staging").decision.go


def broken(world: World, environment: str = "staging", command: str = "'exit 1'") -> None:
    """From now on a command of the user's says that the endpoint does not answer."""
    config = (world.sandbox.path / "mlbot.yaml").read_text()
    before, rest = config.split(f"{environment}: {{", 1)
    rest = rest.replace("smoke: {requests: 20}", f"smoke: {{requests: 20, command: {command}}}", 1)
    world.commit({"mlbot.yaml": f"{before}{environment}: {{{rest}"})


def test_a_failed_smoke_test_goes_back_by_itself(world: World) -> None:
    ask(world, "1.0.0", "staging")
    broken(world, command="'test $MLBOT_VERSION = 1.0.0'")
    entry = ask(world, "1.0.1", "staging").deployment
    assert entry is not None
    assert (entry.state, entry.previous) == ("rolled-back", "1.0.0")
    assert "exit code 1" in entry.detail
    assert "v1.0.0 is served again, and was verified." in entry.detail
    assert world.served("staging") == "1.0.0"
    last = live(world.entries(), "staging", "tiny")
    assert last is not None
    assert last.version == "1.0.0"
    assert not [name for name in world.refs() if name.startswith("refs/mlbot/lock")]
    assert [name for name in world.refs() if "staging#" in name] == ["refs/tags/tiny#staging#1"]


def test_going_back_works_even_when_the_target_lost_the_version_before(world: World) -> None:
    ask(world, "1.0.0", "staging")
    command = "'test $MLBOT_VERSION = 1.0.0 || ! rm -r deploy/staging/tiny/1000000'"
    broken(world, command=command)
    entry = ask(world, "1.0.1", "staging").deployment
    assert entry is not None
    assert entry.state == "rolled-back"
    assert world.served("staging") == "1.0.0"


def test_a_first_deployment_that_fails_is_taken_away_again(world: World) -> None:
    broken(world)
    entry = ask(world, "1.0.0", "staging").deployment
    assert entry is not None
    assert (entry.state, entry.previous) == ("failed", None)
    assert entry.detail.endswith("There is no version before it, so nothing is served now.")
    assert not list((world.deploy / "staging" / "tiny").glob("[0-9c]*"))
    assert history(world, "staging") == [("1.0.0", "failed")]
    assert live(world.entries(), "staging", "tiny") is None


def test_a_version_that_is_only_switched_on_and_failed_does_not_open_the_next_environment(world: World) -> None:
    broken(world)
    ask(world, "1.0.0", "staging")
    approve(world.context("Bob"), "tiny", "1.0.0", "production")
    assert ask(world, "1.0.0", "production").decision.reason is PromotionReason.OUT_OF_ORDER


def test_a_target_that_cannot_be_written_stays_as_it_is(world: World) -> None:
    folder = world.deploy / "staging" / "tiny"
    folder.mkdir(parents=True)
    (folder / "1000000").write_text("in the way")
    entry = ask(world, "1.0.0", "staging").deployment
    assert entry is not None
    assert entry.state == "failed"
    assert "Nothing was moved." in entry.detail
    assert world.served("staging") is None
    assert not [name for name in world.refs() if name.startswith("refs/mlbot/lock")]


def test_an_interrupt_goes_back_and_leaves_nothing_half_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(world, "1.0.0", "staging")
    fetch = FilesTarget.fetch

    def interrupted(*_arguments: object) -> None:
        monkeypatch.setattr(FilesTarget, "fetch", fetch)
        raise KeyboardInterrupt

    monkeypatch.setattr(FilesTarget, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(world, "1.0.1", "staging")
    assert world.served("staging") == "1.0.0"
    assert history(world, "staging") == [("1.0.0", "succeeded"), ("1.0.1", "rolled-back")]
    assert LockRef(remote=world.remote, environment="staging").read() is None


def test_going_back_that_fails_keeps_the_lock_and_says_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(world, "1.0.0", "staging")
    broken(world)
    switch = FilesTarget.switch

    def stuck(self: FilesTarget, model: str, version: Version) -> None:
        if version.text == "1.0.0":
            raise NotEvaluatedError("the disk is full")
        switch(self, model, version)

    monkeypatch.setattr(FilesTarget, "switch", stuck)
    with pytest.raises(NotEvaluatedError, match="and so did going back to v1") as error:
        ask(world, "1.0.1", "staging")
    assert "mlbot rollback tiny staging" in error.value.hint
    assert history(world, "staging") == [("1.0.0", "succeeded"), ("1.0.1", "started")]
    assert LockRef(remote=world.remote, environment="staging").read() is not None
    monkeypatch.setattr(FilesTarget, "switch", switch)
    request = RollbackRequest(model="tiny", environment="staging", reason="the disk was full")
    ended = rollback(world.context(), request).deployment
    assert ended is not None
    assert (ended.state, ended.version) == ("failed", "1.0.0"), "the command still says that nothing answers"
    assert "It was live before, so it stays switched on." in ended.detail
    assert world.served("staging") == "1.0.0"
    assert LockRef(remote=world.remote, environment="staging").read() is None


def test_a_dead_deployment_of_the_same_version_is_taken_over(world: World) -> None:
    made = holder(world, "1.0.0")
    entry = ask(world, "1.0.0", "staging").deployment
    assert entry is not None
    assert (entry.id, entry.actor, entry.state) == (made.id, "Bob", "succeeded")
    assert not [name for name in world.refs() if name.startswith("refs/mlbot/lock")]


def test_another_models_deployment_keeps_the_environment(world: World) -> None:
    holder(world, "1.0.0", model="other")
    result = ask(world, "1.0.0", "staging")
    assert result.decision.reason is PromotionReason.UNDER_WAY
    assert "mlbot promote other@v1.0.0 staging" in words(result.decision.reason, result.facts).hint


def test_a_lock_that_mlbot_did_not_write_is_nobodys_to_take(world: World) -> None:
    assert LockRef(remote=world.remote, environment="staging").take("mine!", NOW)
    with pytest.raises(RefusedError, match="refs/mlbot/lock/staging says nothing that mlbot wrote"):
        ask(world, "1.0.0", "staging")


def test_approvals_count_once_a_person(world: World) -> None:
    first = approve(world.context("Bob"), "tiny", "v1.0.0", "production")
    again = approve(world.context("bob"), "tiny", "1.0.0", "production")
    assert (first.decision.reason, again.decision.reason) == ("approved", "already-approved")
    assert again.entry is None
    assert approve(world.context("Bob"), "tiny", "1.0.0", "staging").decision.reason == "not-needed"
    assert approve(world.context("Bob"), "tiny", "9.0.0", "production").decision.reason == "unknown-version"
    assert approve(world.context("Bob"), "tiny", "1.0.0", "moon").decision.reason == "unknown-environment"


def go_back(world: World, to: str | None = None, environment: str = "staging", why: str = "slow") -> DeploymentResult:
    return rollback(world.context("Bob"), RollbackRequest(model="tiny", environment=environment, reason=why, to=to))


def deploy(world: World, *versions: str, environment: str = "staging") -> None:
    for version in versions:
        request = PromotionRequest(model="tiny", version=version, environment=environment)
        assert promote(world.context(), request).deployment is not None


def test_back_to_the_last_good_version(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    entry = go_back(world, why="wrong scores").deployment
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
    assert go_back(world).decision.go
    assert go_back(world).decision.go
    assert world.served("staging") == "1.0.0"
    assert go_back(world).decision.reason is RollbackReason.NOTHING_BEFORE


def test_no_lock_order_or_approval_stops_it(world: World) -> None:
    approve(world.context("Bob"), "tiny", "1.0.0", "production")
    approve(world.context("Bob"), "tiny", "1.0.1", "production")
    for version in ("1.0.0", "1.0.1"):
        deploy(world, version)
        deploy(world, version, environment="production")
    set_lock(world.context("Eve"), "production", close=True, reason="audit")
    world.sandbox.git("tag", "--annotate", "--message", "bad", "tiny@v1.0.0!", "tiny@v1.0.0^{commit}")
    world.sandbox.git("push", "--quiet", "origin", "tiny@v1.0.0!")
    assert go_back(world, environment="production").deployment is not None
    assert world.served("production") == "1.0.0"
    assert world.served("staging") == "1.0.1"


BackStory = Callable[[World], DeploymentResult]


def back_changed(world: World) -> DeploymentResult:
    deploy(world, "1.0.0", "1.0.1")
    file = world.stored(world.digests[0])
    file.chmod(0o644)
    file.write_bytes(world.models[3000])
    return go_back(world)


def back_missing(world: World) -> DeploymentResult:
    deploy(world, "1.0.0", "1.0.1")
    world.stored(world.digests[0]).unlink()
    return go_back(world)


def without_a_reason(world: World) -> DeploymentResult:
    deploy(world, "1.0.0", "1.0.1")
    return go_back(world, why=" ")


def never_there(world: World) -> DeploymentResult:
    deploy(world, "1.0.1")
    return go_back(world, to="v1.0.0")


def nothing_there(world: World) -> DeploymentResult:
    return go_back(world)


def back_nowhere(world: World) -> DeploymentResult:
    return go_back(world, environment="moon")


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (back_changed, "bytes-differ"),
        (back_missing, "bytes-missing"),
        (without_a_reason, "no-reason"),
        (never_there, "never-live"),
        (nothing_there, "nothing-live"),
        (back_nowhere, "unknown-environment"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.__name__,
)
def test_a_rollback_is_refused_with_its_reason_and_nothing_moved(world: World, story: BackStory, reason: str) -> None:
    served, result = world.served("staging"), story(world)
    assert result.decision.reason == reason
    assert result.decision.refused
    assert result.deployment is None
    before = world.state()
    known = result.facts
    assert isinstance(known, RollbackFacts)
    assert go_back(world, to=known.to, environment=known.environment, why=known.why).decision.refused
    assert world.state() == before
    assert served is None


def test_what_is_live_is_not_rolled_back_to(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    before = world.state()
    result = go_back(world, to="1.0.1")
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
        assert go_back(world, why="stuck").deployment is not None

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
    dead = DeploymentIntent(
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
    shared = {name: getattr(dead, name) for name in DeploymentIntent.model_fields}
    world.append(DeploymentEntry(**shared | {"state": "started", "previous": "1.0.0"}))
    assert LockRef(remote=world.remote, environment="staging").take(lock_text(dead), NOW)
    result = go_back(world, why="stuck")
    assert result.deployment is not None
    given_up = deployments(world.entries(), "tiny", "staging")[1]
    assert given_up.state == "failed"
    assert given_up.detail.startswith("Given up: the rollback of tiny@v1.0.0 by Bob")
    last = live(world.entries(), "staging", "tiny")
    assert last is not None
    assert (last.version, last.sequence) == ("1.0.0", 3)


def test_another_models_dead_lock_does_not_hold_a_rollback_up(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    dead = DeploymentIntent(
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
    assert go_back(world).deployment is not None
    assert world.served("staging") == "1.0.0"


def test_a_release_without_golden_requests_can_still_be_gone_back_to(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    golden = next(each.golden for each in world.releases if each.version == "1.0.0")
    assert golden
    world.stored(golden).unlink()
    entry = go_back(world).deployment
    assert entry is not None
    assert "no golden requests" in entry.detail


def test_a_lock_says_who_and_why_and_counts_up(world: World) -> None:
    first = set_lock(world.context("Bob"), "staging", close=True, reason="audit")
    assert first.entry
    now = lock_of(world.entries(), "staging")
    assert now is not None
    assert (now.actor, now.reason, now.sequence) == ("Bob", "audit", 1)
    again = set_lock(world.context("Eve"), "staging", close=True)
    assert again.entry is None
    assert again.facts.lock is not None
    assert again.facts.lock.actor == "Bob"
    assert set_lock(world.context("Eve"), "staging", close=False).entry
    assert lock_of(world.entries(), "staging") is None
    assert not set_lock(world.context("Eve"), "staging", close=False).entry
    assert set_lock(world.context("Eve"), "staging", close=True).decision.reason == "no-reason"
    assert set_lock(world.context("Eve"), "staging", close=True, reason="audit").entry
    assert [each.sequence for each in locks(world.entries(), "staging")] == [1, 2, 3]
    assert lock_of(world.entries(), "production") is None


def test_a_long_reason_is_cut_and_not_refused(world: World) -> None:
    entry = set_lock(world.context(), "staging", close=True, reason="x" * 5000).entry
    assert entry is not None
    assert len(entry.reason) == 1000


def test_an_unknown_environment_is_not_locked(world: World) -> None:
    with pytest.raises(UsageError, match="no environment 'moon'") as error:
        set_lock(world.context(), "moon", close=True)
    assert "staging, production" in error.value.hint
    with pytest.raises(UsageError) as error:
        set_lock(world.context(), "stagin", close=True)
    assert error.value.hint == "Did you mean staging?"


@pytest.mark.parametrize(
    ("model", "version", "hint"),
    [("tniy", "v1", "Did you mean tiny?"), ("tiny", "v1", "Did you mean v1.0.1?"), ("tiny", "one", "three numbers")],
)
def test_what_is_no_version_is_helped(world: World, model: str, version: str, hint: str) -> None:
    promotion = PromotionRequest(model=model, version=version, environment="staging")
    back = RollbackRequest(model=model, environment="staging", to=version, reason="slow")
    for act in (
        lambda: promote(world.context(), promotion),
        lambda: rollback(world.context(), back),
        lambda: approve(world.context(), model, version, "staging"),
    ):
        with pytest.raises(UsageError) as error:
            act()
        assert hint in error.value.hint


def forget_ledger(world: World) -> None:
    for ref in (f"refs/heads/{BRANCH}", COPY):
        world.sandbox.git("push", "--quiet", "origin", f":{ref}")


def test_without_its_ledger_nothing_is_said_to_be_new(world: World) -> None:
    deploy(world, "1.0.0", "1.0.1")
    world.sandbox.git("push", "--quiet", "origin", f":refs/heads/{BRANCH}")
    for act in (
        lambda: deploy(world, "1.0.0"),
        lambda: go_back(world),
        lambda: release(world.context(), ReleaseRequest(model="tiny")),
    ):
        with pytest.raises(LedgerLostError):
            act()
    forget_ledger(world)
    result = promote(world.context(), PromotionRequest(model="tiny", version="1.0.1", environment="staging"))
    assert result.decision.reason == "unrecorded"
    assert go_back(world).decision.reason == "unrecorded"
    assert approve(world.context(), "tiny", "1.0.1", "production").decision.reason == "unrecorded"


def test_a_step_that_failed_ends_in_whole_sentences(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(world, "1.0.0")

    def full(*_arguments: object) -> None:
        raise NotEvaluatedError("[Errno 28] No space left on device", hint="Check that the place is there.")

    monkeypatch.setattr(FilesTarget, "stage", full)
    entry = promote(world.context(), PromotionRequest(model="tiny", version="1.0.1", environment="staging")).deployment
    assert entry is not None
    assert entry.detail.startswith(
        "[Errno 28] No space left on device. Check that the place is there. Nothing was moved"
    )
