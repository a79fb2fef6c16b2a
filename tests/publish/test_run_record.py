"""`mlbot run --record` and the verbs after it, as whole command lines: what a push to main does on GitHub."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.releases import ENVIRONMENTS, World, digest_of

from mlbot import entry
from mlbot.errors import Exit
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import ReleaseEntry, VerdictEntry

pytestmark = pytest.mark.usefixtures("git_settings")
CONFIG = tiny.CONFIG.replace("      accuracy@rare: {min: 0.99}\n", "") + ENVIRONMENTS


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git_settings: None) -> World:
    """Nothing is judged yet; the second commit moves the seed."""
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    world = World.make(tmp_path / "world", {}, CONFIG)
    world.commit(tiny.params(offset=1000))
    monkeypatch.chdir(world.sandbox.path)
    return world


def mlbot(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = entry.invoke([*arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def verdicts(world: World) -> list[VerdictEntry]:
    return [each for each in world.entries() if isinstance(each, VerdictEntry)]


def test_from_a_judged_tip_to_staging(fresh: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = mlbot(capsys, "run", "--record")
    assert code == Exit.OK, said
    (verdict,) = verdicts(fresh)
    assert (verdict.outcome, verdict.branch) == (Outcome.PASS, "main")
    assert verdict.commit == fresh.context().tip
    assert [each.run for each in verdict.files] == [None] * 3
    for file in verdict.files:
        assert digest_of(fresh.stored(file.digest).read_bytes()) == file.digest
    assert verdict.training
    assert json.loads(fresh.stored(verdict.training).read_bytes())["digest"] == verdict.digest
    assert verdict.report
    assert json.loads(fresh.stored(verdict.report).read_bytes())["model"] == "tiny"

    code, out, said = mlbot(capsys, "release", "tiny", "--json", "--out", "deploy/files")
    assert code == Exit.OK, said
    release = ReleaseEntry.model_validate_json(json.dumps(json.loads(out)["entry"]), strict=True)
    assert release.params == {"mode": "good", "offset": 1000, "claim": 0.8}
    assert list(release.data) == ["data/train.csv"]
    assert release.environment is not None
    files = fresh.deploy / "files"
    assert sorted(each.name for each in files.iterdir()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "golden.json",
        "manifest.json",
        "model.onnx",
        "training.json",
    ]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=files, check=True)
    card = (files / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert all(part in card for part in ("## Intended use", "## Metrics", "`north`", "The slice rare has 20 rows"))

    assert mlbot(capsys, "promote", "tiny@v1.0.0", "staging")[0] == Exit.OK
    assert mlbot(capsys, "run", "--record")[0] == Exit.OK, "nothing is left to judge"
    assert len(verdicts(fresh)) == 1


def test_a_model_that_fails_is_remembered_and_not_stored(fresh: World, capsys: pytest.CaptureFixture[str]) -> None:
    fresh.commit(tiny.params(mode="shuffled"))
    assert mlbot(capsys, "run", "--record", "--quiet")[0] == Exit.FAILED
    (verdict,) = verdicts(fresh)
    assert verdict.outcome is Outcome.FAIL
    assert not (fresh.deploy / "store").exists()
    code, out, said = mlbot(capsys, "release", "tiny")
    assert (code, out) == (Exit.REFUSED, "")
    assert "mlbot: refused (verdict-failed): " in said


@pytest.mark.parametrize(
    ("story", "said"),
    [
        ("dirty", "the working tree has more"),
        ("unpushed", "is for the tip of main"),
        ("elsewhere", "is for the tip of main"),
        ("base", "judges against the parent"),
        ("storeless", "names no store"),
    ],
)
def test_only_the_guarded_branchs_clean_tip_is_recorded(
    fresh: World, story: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fresh.refs()
    more: list[str] = []
    match story:
        case "dirty":
            fresh.sandbox.write({"new.txt": "x"})
        case "unpushed":
            fresh.sandbox.commit({"new.txt": "x"})
        case "elsewhere":
            fresh.sandbox.git("checkout", "--quiet", "HEAD~1")
        case "base":
            more = ["--base", "main"]
        case _:
            fresh.commit({"mlbot.yaml": tiny.CONFIG})
            before = fresh.refs()
    code, _, told = mlbot(capsys, "run", "--record", *more)
    assert code == Exit.USAGE
    assert said in told
    assert fresh.refs() == before


def test_the_verbs_say_their_results_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = mlbot(capsys, *arguments, "--json", "-C", str(world.sandbox.path))
        return code, json.loads(out)

    code, found = told("release", "tiny")
    assert (code, found["decision"]["reason"]) == (Exit.OK, "already-released")
    code, found = told("promote", "tiny@v1.0.0", "production")
    assert (code, found["decision"]["reason"], found["deployment"]) == (Exit.REFUSED, "out-of-order", None)
    code, found = told("promote", "tiny@v1.0.0", "staging", "--dry-run")
    assert (code, found["decision"]["reason"], found["dry_run"]) == (Exit.OK, "promotable", True)
    code, found = told("promote", "tiny@v1.0.0", "staging")
    assert (code, found["deployment"]["state"]) == (Exit.OK, "succeeded")
    code, found = told("approve", "tiny@v1.0.0", "production")
    assert (code, found["entry"]["actor"]) == (Exit.OK, "Ada")
    code, found = told("rollback", "tiny", "staging", "--reason", "slow")
    assert (code, found["decision"]["reason"]) == (Exit.REFUSED, "nothing-before")
    code, found = told("lock", "staging")
    assert (code, found["changed"]) == (Exit.OK, True)
    code, found = told("unlock", "staging")
    assert (code, found["locked"]) == (Exit.OK, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "tiny", "staging"], "'tiny' does not name a version"),
        (["promote", "tiny@", "staging"], "does not name a version"),
        (["promote", "tiny@latest", "staging"], "'latest' is no version"),
        (["release", "tiny", "--bump", "minor", "--version", "2.0.0"], "exclude each other"),
        (["release", "tiny", "--commit", "nowhere"], "git knows no commit 'nowhere'"),
        (["lock", "moon"], "no environment 'moon'"),
        (["release", "two words"], "'two words' is no name of a model"),
        (["promote", "a/b@1.0.0", "staging"], "'a/b' is no name of a model"),
        (["promote", "tiny@1.0.0", "../x"], "'../x' is no name of an environment"),
        (["rollback", "tiny", "", "--reason", "x"], "'' is no name of an environment"),
        (["rollback", "tiny", "staging", "--to", "old", "--reason", "x"], "'old' is no version"),
    ],
)
def test_wrong_usage(world: World, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = world.state()
    code, _, told = mlbot(capsys, *arguments, "-C", str(world.sandbox.path))
    assert code == Exit.USAGE
    assert said in told
    assert world.state() == before


def test_progress_is_on_stderr_and_quiet_is_obeyed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, said = mlbot(capsys, "promote", "tiny@v1.0.0", "staging", "-C", str(world.sandbox.path))
    assert code == Exit.OK
    assert out.startswith("tiny@v1.0.0 is live in staging.")
    for step in ("tiny@v1.0.0 → staging", "Verifying the bytes", "Staging", "Switching", "Reading it back", "Smoke"):
        assert step in said
    assert mlbot(capsys, "promote", "tiny@v1.0.1", "staging", "-q", "-C", str(world.sandbox.path))[2] == ""
