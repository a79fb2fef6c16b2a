"""What "Release and promote" and "Roll back" tell people to type works, in the order in which they tell it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import releases, tiny
from tests.support.releases import World

from mlbot import entry
from mlbot.cli.main import cli
from mlbot.config.run_check import read
from mlbot.delivery.deployment import PromotionReason, RollbackReason
from mlbot.delivery.release import ReleaseReason
from mlbot.delivery.run_promote import PromotionRequest, approve, promote
from mlbot.delivery.run_release import ReleaseRequest, release
from mlbot.errors import Exit
from mlbot.ledger.queries import live

pytestmark = pytest.mark.usefixtures("git_settings")
DOCS = Path(__file__).parents[2] / "docs"
RELEASE = (DOCS / "release.md").read_text(encoding="utf-8")
ROLLBACK = (DOCS / "rollback.md").read_text(encoding="utf-8")
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")
EXPECTED = {"mlbot promote tiny@v1.0.0 production --dry-run": Exit.REFUSED}
"""Nobody has approved it yet."""


def commands(text: str) -> list[str]:
    """What is typed, with the tiny model for the reader's."""
    found = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line[2:] for block in found for line in block.splitlines() if line.startswith("$ ")]
    return [line.replace("churn", "tiny") for line in lines]


def type_(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a line of the guide; approvals are somebody else's."""
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Bob" if " approve " in command else "Ada")
    if command.startswith("mlbot "):
        ended = entry.invoke(shlex.split(command)[1:])
        assert ended == EXPECTED.get(command, Exit.OK), f"{command}: {capsys.readouterr()}"
    else:
        done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def deploy(world: World, version: str) -> None:
    """Release what main has, and bring it to production."""
    assert release(world.context(), ReleaseRequest(model="tiny", bump="minor")).decision.go
    approve(world.context("Bob"), "tiny", version, "production")
    for environment in ("staging", "production"):
        request = PromotionRequest(model="tiny", version=version, environment=environment)
        assert promote(world.context(), request).decision.go


@pytest.mark.nightly
def test_release_and_promote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, shadow = re.findall(r"^```yaml\n(.*?)^```", RELEASE, re.MULTILINE | re.DOTALL)
    both = config.partition("environments:")[0] + shadow.replace("after: staging\n", "\n")
    assert read(both).environments[0].shadow is not None
    assert [each.name for each in read(config).environments] == ["staging", "production"]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    world = World.make(tmp_path / "world", {}, config.replace("churn", "tiny"))
    world.commit({".gitignore": "models/\nserved/\nrelease/\n"})
    world.sandbox.git("checkout", "--quiet", "-b", "change")
    world.sandbox.commit(tiny.params(offset=1000))
    monkeypatch.chdir(world.sandbox.path)
    for command in commands(RELEASE):
        type_(command, monkeypatch, capsys)
    for environment in ("staging", "production"):
        last = live(world.entries(), environment, "tiny")
        assert last is not None
        assert last.version == "1.0.0"


@pytest.mark.nightly
def test_roll_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    models = releases.train(tmp_path / "models", 1000, 2000, 3000)
    world = World.make(tmp_path / "world", models)
    for number, offset in enumerate(models):
        world.change(offset)
        deploy(world, f"1.{number}.0")
    monkeypatch.chdir(world.sandbox.path)
    typed = commands(ROLLBACK)
    type_(typed[0], monkeypatch, capsys)
    assert world.served("production") == "1.1.0"
    for command in typed[1:]:
        type_(command, monkeypatch, capsys)
    assert world.served("production") == "1.0.0"
    withdrawn = promote(world.context(), PromotionRequest(model="tiny", version="1.1.0", environment="staging"))
    assert withdrawn.decision.reason is PromotionReason.DEPRECATED


@pytest.mark.nightly
def test_the_readmes_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = README[README.index("## Release, deploy, go back") : README.index("## How it works")]
    alone = tiny.CONFIG + releases.ENVIRONMENTS.replace("approvals: 1, ", "")  # as it says who works alone does
    world = World.make(tmp_path / "world", releases.train(tmp_path / "models", 1000, 2000), alone)
    monkeypatch.chdir(world.sandbox.path)
    world.change(1000)
    for command in commands(section):
        type_(command, monkeypatch, capsys)
    assert world.served("production") == "1.0.0"
    minor, back = re.findall(r"`(mlbot release churn --bump minor|mlbot rollback\s[^`]*)`", section)
    world.change(2000)
    type_(minor.replace("churn", "tiny"), monkeypatch, capsys)
    for environment in ("staging", "production"):
        type_(f"mlbot promote tiny@v1.1.0 {environment}", monkeypatch, capsys)
    assert world.served("production") == "1.1.0"
    type_(back.replace("churn", "tiny"), monkeypatch, capsys)
    assert world.served("production") == "1.0.0"


def test_every_reason_is_explained() -> None:
    told = set(re.findall(r"`([a-z-]+)`", RELEASE)), set(re.findall(r"`([a-z-]+)`", ROLLBACK))
    fine = {"releasable", "already-released", "promotable", "resumed", "already-live", "rolls-back"}
    assert {*map(str, ReleaseReason), *map(str, PromotionReason)} - fine <= told[0]
    assert set(map(str, RollbackReason)) - fine <= told[1]


@pytest.mark.parametrize("text", [RELEASE, ROLLBACK], ids=["release", "rollback"])
def test_every_option_in_the_text_exists(text: str) -> None:
    for verb, rest in re.findall(r"`mlbot ([a-z]+)([^`\n]*)`", text):
        assert verb in cli.commands
        known = {name for parameter in cli.commands[verb].params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, f"mlbot {verb}{rest}"
