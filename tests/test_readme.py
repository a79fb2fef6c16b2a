"""What the README and CONTRIBUTING tell people to type works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import tiny

from mlbot import entry
from mlbot.cli.main import cli
from mlbot.config.run_check import read
from mlbot.errors import Exit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    lines = (line for block in blocks("console", text) for line in block.splitlines())
    return [line.removeprefix("$ ").partition(" #")[0].strip() for line in lines if line.startswith("$ ")]


def typed(text: str, program: str) -> list[str]:
    return [command for command in commands(text) if command.startswith(program)]


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    for command in (*commands(README), *commands(CONTRIBUTING)):
        assert command.split()[0] in {"make", "mlbot"}, command


@pytest.mark.parametrize("command", typed(README, "make") + typed(CONTRIBUTING, "make"))
def test_a_target_exists(command: str) -> None:
    subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, check=True)


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE)) == set(phony)


@pytest.mark.nightly
@pytest.mark.usefixtures("git_settings")
def test_the_quick_start_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    repository = tiny.repository(tmp_path / "repository")
    repository.commit(tiny.params(offset=2))
    monkeypatch.chdir(repository.path)
    section = README[README.index("## Quick start") : README.index("## Commands in comments")]
    assert typed(section, "mlbot")
    for command in typed(section, "mlbot"):
        assert entry.invoke(shlex.split(command)[1:]) == Exit.OK, capsys.readouterr().err
    assert (repository.path / "report.html").stat().st_size > 100_000


def test_the_yaml_is_a_valid_config() -> None:
    (text,) = blocks("yaml", README)
    assert [model.name for model in read(text).models] == ["churn"]


def test_the_verbs_in_the_text_exist() -> None:
    for verb in re.findall(r"`mlbot ([a-z]+)", README):
        assert verb in cli.commands


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in [*re.findall(r"\]\(([^)#\s]+)", text), *re.findall(r'\bsrc(?:set)?="([^"]+)"', text)]:
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
