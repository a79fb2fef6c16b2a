"""A deployment is killed between any two of its steps: it ends in the new version or stays in the old, never between.

Each round promotes in a process of its own that is killed before its n-th effect (a push or a file put in place), looks
at what is left, then finishes it; the next round kills one effect later, until one is not killed any more.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import history_samples, tiny
from tests.support.releases import World

from mlbot import entry
from mlbot.delivery.deployment import begun
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, promote, rollback
from mlbot.delivery.run_release import ReleaseRequest, release
from mlbot.errors import Exit
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.locks import LockRef
from mlbot.git.tags import read_tags
from mlbot.ledger.queries import live, release_of, unfinished
from mlbot.registry.tags import Registry
from mlbot.report.report import ModelReport, document_of
from mlbot.verdict.verdict import ModelVerdict

pytestmark = [pytest.mark.usefixtures("git_settings"), pytest.mark.timeout(900)]
DYING = Path(__file__).parent / "dying.py"
KILLED = -signal.SIGKILL


def deploy(world: World, version: str) -> None:
    """A promotion from the beginning to the end."""
    result = promote(world.context(), PromotionRequest(model="tiny", version=version, environment="staging"))
    assert result.deployment is not None
    assert result.deployment.state == "succeeded"


def die(world: World, effect: int, *arguments: str) -> int:
    """Run mlbot, and kill it before an effect; its exit code."""
    command = [sys.executable, str(DYING), str(effect), *arguments]
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=world.sandbox.path, env=here, capture_output=True, check=False)
    assert done.returncode in {0, KILLED}, done.stderr.decode()
    return done.returncode


def rounds(world: World, *arguments: str) -> Iterator[int]:
    """Kill one effect later each time, until it ends by itself."""
    for effect in range(1, 40):
        if die(world, effect, *arguments) == 0:
            assert effect > 8, "hardly anything was counted as an effect"
            return
        yield effect
    raise AssertionError("it has no end")


def unstage(world: World, number: str) -> None:
    """Forget a version that is not served, so that the next round stages it again."""
    shutil.rmtree(world.deploy / "staging" / "tiny" / number, ignore_errors=True)


def is_whole(world: World) -> str:
    """The version that is served, whose bytes are those of its release."""
    served = world.served("staging")
    assert served is not None
    made = release_of(world.entries(), "tiny", served)
    assert made is not None
    major, minor, patch = map(int, served.split("."))
    file = world.deploy / "staging" / "tiny" / str((major * 1000 + minor) * 1000 + patch) / "model.onnx"
    assert f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" == made.digest
    return served


def ledgers(world: World) -> str:
    """The version that the ledger says is live."""
    last = live(world.entries(), "staging", "tiny")
    assert last is not None
    return last.version


def ended_well(world: World, version: str) -> None:
    """Target, ledger and tags say the same, nothing is under way, and nobody holds the lock."""
    assert (is_whole(world), ledgers(world)) == (version, version)
    assert unfinished(world.entries(), "staging") == ()
    assert LockRef(remote=world.remote, environment="staging").read() is None
    said = Registry.of(read_tags(world.folder / "remote.git")).of_model("tiny").current("staging")
    assert said is not None
    assert str(said.version) == f"v{version}"


def finish(world: World) -> None:
    """What a killed promotion of 1.0.1 left is whole, and the same command finishes it."""
    assert is_whole(world) in {"1.0.0", "1.0.1"}
    if is_whole(world) == "1.0.1" and ledgers(world) == "1.0.0":
        assert begun(world.entries(), "staging", "tiny") is not None, "the ledger does not tell"
    result = promote(world.context(), PromotionRequest(model="tiny", version="1.0.1", environment="staging"))
    assert not result.decision.refused
    ended_well(world, "1.0.1")


def test_a_promotion_killed_before_one_of_its_effects_is_finished(world: World) -> None:
    """Those that are killed later a clone sees; below they are finished too."""
    deploy(world, "1.0.0")
    assert die(world, 2, "promote", "tiny@v1.0.1", "staging") == KILLED
    finish(world)


def judge_with_a_sketch(world: World) -> None:
    """A third version's bytes, whose stored report has what a reference is made of."""
    verdict = ModelVerdict(model="tiny", outcome=Outcome.PASS, reason=Reason.ALL_GATES_PASS)
    report = ModelReport(model="tiny", task=Task.BINARY, verdict=verdict, reference=history_samples.sketch())
    file = world.folder / "report.json"
    file.write_bytes(document_of(report))
    name = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    world.context().store.put(name, file)
    world.commit(tiny.params(offset=3000))
    world.judge(3000, report=name)


def released_once(world: World) -> None:
    """The third version has one entry, its tag and one reference, after it was released again."""
    result = release(world.context(), ReleaseRequest(model="tiny"))
    assert (result.tag, result.unwatched, result.decision.refused) == ("tiny@v1.0.2", None, False)
    found = [each for each in world.entries() if getattr(each, "version", "") == "1.0.2"]
    assert sorted(each.kind for each in found) == ["reference", "release"]
    assert "refs/tags/tiny@v1.0.2" in world.refs()


@pytest.mark.parametrize("effect", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_a_release_killed_before_one_of_its_effects_is_finished_with_its_reference(world: World, effect: int) -> None:
    judge_with_a_sketch(world)
    assert die(world, effect, "release", "tiny") == KILLED
    released_once(world)
    released_once(world)


@pytest.mark.parametrize("effect", [3, 6])
def test_a_promotion_that_was_killed_is_seen_in_the_clone(
    world: World, effect: int, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(world, "1.0.0")
    assert die(world, effect, "promote", "tiny@v1.0.1", "staging") == KILLED
    for words in (["list"], ["show", "tiny"], ["show", "tiny@v1.0.1"]):
        assert entry.invoke(["registry", *words, "-C", str(world.sandbox.path)]) == Exit.OK
        assert "mlbot promote tiny@v1.0.1 staging" in " ".join(capsys.readouterr().out.split())
        assert entry.invoke(["registry", *words, "--json", "-C", str(world.sandbox.path)]) == Exit.OK
        (unfinished_,) = json.loads(capsys.readouterr().out)["unfinished"]
        assert unfinished_["finish"] == "mlbot promote tiny@v1.0.1 staging"
    entry.invoke(["doctor", "--json", "-C", str(world.sandbox.path)])
    findings = {each["code"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["deployment-unfinished"]["hint"] == "Finish it: mlbot promote tiny@v1.0.1 staging"
    finish(world)


def test_one_that_was_killed_before_its_tag_is_seen_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    deploy(world, "1.0.0")
    assert die(world, 7, "promote", "tiny@v1.0.1", "staging") == KILLED
    assert (ledgers(world), unfinished(world.entries(), "staging")) == ("1.0.1", ())
    assert entry.invoke(["registry", "list", "--fetch", "-C", str(world.sandbox.path)]) == Exit.OK
    assert "Write what is missing: mlbot registry repair." in " ".join(capsys.readouterr().out.split())
    finish(world)


@pytest.mark.story
def test_the_same_command_finishes_a_promotion_killed_anywhere(world: World) -> None:
    deploy(world, "1.0.0")
    for _ in rounds(world, "promote", "tiny@v1.0.1", "staging"):
        finish(world)
        deploy(world, "1.0.0")
        unstage(world, "1000001")
    ended_well(world, "1.0.1")


@pytest.mark.story
def test_a_rollback_takes_a_killed_promotion_over(world: World) -> None:
    deploy(world, "1.0.0")
    for _ in rounds(world, "promote", "tiny@v1.0.1", "staging"):
        begun_or_done = ledgers(world) == "1.0.1" or LockRef(remote=world.remote, environment="staging").read()
        if begun_or_done:
            result = rollback(
                world.context("Bob"), RollbackRequest(model="tiny", environment="staging", reason="stuck")
            )
            assert result.deployment is not None
            assert result.deployment.state == "succeeded"
        ended_well(world, "1.0.0")
        unstage(world, "1000001")
    ended_well(world, "1.0.1")


@pytest.mark.story
def test_the_same_command_finishes_a_killed_rollback(world: World) -> None:
    deploy(world, "1.0.0")
    deploy(world, "1.0.1")
    arguments = ("rollback", "tiny", "staging", "--reason", "slow")
    for _ in rounds(world, *arguments):
        assert is_whole(world) in {"1.0.0", "1.0.1"}
        done = ledgers(world) == "1.0.0"
        to = "1.0.0" if done else None
        request = RollbackRequest(model="tiny", environment="staging", to=to, reason="slow")
        assert not rollback(world.context(), request).decision.refused
        ended_well(world, "1.0.0")
        deploy(world, "1.0.1")
        unstage(world, "1000000")
    ended_well(world, "1.0.0")


SAME = pytest.param(("1.0.1", "1.0.1"), marks=pytest.mark.nightly)


@pytest.mark.parametrize("versions", [("1.0.0", "1.0.1"), SAME])
def test_of_two_at_once_neither_gets_between_the_others_steps(world: World, versions: tuple[str, str]) -> None:
    commands = [[sys.executable, "-m", "mlbot", "promote", f"tiny@v{version}", "staging"] for version in versions]
    runs = [
        subprocess.Popen(command, cwd=world.sandbox.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for command in commands
    ]
    said = [run.communicate()[1].decode() for run in runs]
    codes = [run.returncode for run in runs]
    assert set(codes) <= {Exit.OK, Exit.REFUSED}, said
    assert Exit.OK in codes, said
    ended_well(world, ledgers(world))
