"""What the page for agents tells them to run works, and its tables name all that programs may meet."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.hosted import Stage
from tests.support.judged import judge_run
from tests.support.typed import typed

from mlbot.errors import Exit
from mlbot.publish.run_verdict import EXITS, VerdictState, VerdictView
from mlbot.report.report import AnotherLook
from mlbot.verdict.settling import Cure

pytestmark = pytest.mark.usefixtures("git_settings")
TEXT = (Path(__file__).parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
COMMANDS = [line.strip()[2:] for line in TEXT.splitlines() if line.strip().startswith("$ ")]


def test_every_command(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    stage.settle(good)
    judge_run(stage)
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "fetch", "--quiet", "origin", stage.run.head_sha], cwd=checkout, check=True)
    subprocess.run(["git", "checkout", "--quiet", stage.run.head_sha], cwd=checkout, check=True)
    for name in [each for each in os.environ if each.startswith("GITHUB_RUN")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GITHUB_TOKEN", github.user("alice").token.value)
    for command in COMMANDS:
        if " jq " in command and not shutil.which("jq"):
            continue
        done = typed(command, checkout)
        assert done.returncode in {Exit.OK, *([Exit.INCONCLUSIVE] if "power" in command else [])}, done.stderr
        assert done.stdout or "fetch" in command, command
        if command.endswith("--json"):
            assert json.loads(done.stdout)


def rows(title: str) -> list[list[str]]:
    """The cells of the table whose header starts so."""
    table = TEXT.partition(f"| {title}")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in table]


def test_the_tables_name_every_state_and_what_another_look_is_worth() -> None:
    assert {row[0] for row in rows("`another_look`")} == {*AnotherLook}
    assert {VerdictState(state): Exit(int(code)) for code, state, _ in rows("exit code")} == EXITS
    assert all(f"`{each}`" in TEXT for each in Cure)
    fields = re.search(r'\{"schema_version": "mlbot/verdict@1", (.+?)\}', TEXT)
    assert fields is not None
    assert ["schema_version", *re.findall(r'"(\w+)"', fields[1])] == list(VerdictView.model_fields)
