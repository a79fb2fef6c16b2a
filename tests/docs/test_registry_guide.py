"""What the page on the registry tells people to type works, in a clone where all of it happened."""

import re
import shutil
from pathlib import Path

import pytest
from tests.support import history_samples
from tests.support.git_samples import Sandbox
from tests.support.typed import typed

from mlbot.git.ledger import list_files
from mlbot.ledger.entries import KINDS
from mlbot.registry.tags import RegistryTag, parse_tag

pytestmark = pytest.mark.usefixtures("git_settings")
TEXT = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
COMMANDS = [
    line[2:]
    for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
SAYS = {
    "mlbot registry list": "production is locked by grace",
    "mlbot registry history --on 2026-11-18T09:30": "staging",
    "jq -r '.models[]": "adult-income v1.0.0",
    ".verdict.outcome": "pass\ngrace",
    "version:refname | tail": "adult-income#production#5",
    "max_by(.sequence)": '"1.0.0"',
    "v1/approval/adult-income": "1.1.0 production alan",
    "%(contents)": '"schema_version":"mlbot/tag@1"',
    "ls-tree": "v1/release/adult-income/1.0.0/",
}
"""A part of each command that has to say something, and what."""


SILENT = [command for command in COMMANDS if command.startswith(("git fetch", "git tag --annotate"))]


def test_every_command(tmp_path: Path) -> None:
    clone = history_samples.told(tmp_path).clone
    can = [command for command in COMMANDS if " jq " not in command or shutil.which("jq")]
    said = {command: run(clone, command) for command in can}
    assert [command for command, out in said.items() if not out] == SILENT
    for part, expected in SAYS.items():
        outs = [out for command, out in said.items() if part in command and not command.startswith(f"{part} ")]
        assert all(expected in out for out in outs)
        assert outs or not shutil.which("jq")
    assert "withdrawn" in run(clone, "mlbot registry show adult-income")


def run(clone: Sandbox, command: str) -> str:
    done = typed(command, clone.path)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_every_tag_in_the_table_is_one() -> None:
    tags = re.findall(r"^\| `([^`]+)` \| (?!.*content)", TEXT, re.MULTILINE)
    tags = [tag for tag in tags if "@" in tag or "#" in tag]
    assert len(tags) == 7
    assert all(isinstance(parse_tag(tag), RegistryTag) for tag in tags)


def test_every_folder_of_the_ledger_is_named(tmp_path: Path) -> None:
    folders = re.findall(r"^\| `v1/([a-z]+)/", TEXT, re.MULTILINE)
    assert folders == list(KINDS)
    clone = history_samples.told(tmp_path).clone
    found = {path.split("/")[1] for path in list_files(clone.path, "origin/mlbot-ledger")}
    # Those are of a training run, of releases with sealed rows, and of reports.
    assert found == {*KINDS} - {"request", "sealed", "look", "day", "cost"}
