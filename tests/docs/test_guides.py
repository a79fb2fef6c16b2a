"""What the guides tell people to type works, in the order in which they tell it."""

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import click
import pytest
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.support import repositories
from tests.support.desk import Desk, install_cml

from mlbot import entry
from mlbot.cli.main import cli
from mlbot.config.run_check import read
from mlbot.errors import Exit
from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH

__all__ = ["github"]
pytestmark = pytest.mark.usefixtures("git_settings")
DOCS = Path(__file__).parents[2] / "docs"
FIRST = (DOCS / "first-pull-request.md").read_text(encoding="utf-8")
MOVING = (DOCS / "moving-from-cml.md").read_text(encoding="utf-8")
ELSEWHERE = {"pip", "gh"}
"""What talks to the world: read, not run."""
EXPECTED = {"mlbot run": {Exit.INCONCLUSIVE, Exit.OK}, "mlbot run --html report.html": {Exit.INCONCLUSIVE, Exit.OK}}
"""A model that trains in a second on a small holdout cannot tell a change of nothing much."""


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    return [line[2:] for block in blocks("console", text) for line in block.splitlines() if line.startswith("$ ")]


PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_one(page: Path) -> None:
    """Some of them are run too, at night those of whole tutorials."""
    for command in commands(page.read_text(encoding="utf-8")):
        if not command.startswith("mlbot "):
            continue
        words = list(takewhile(lambda word: word not in {"|", ">", ">>", "&&"}, shlex.split(command)))[1:]
        group: click.Command = cli
        while isinstance(group, click.Group) and not words[0].startswith("-"):
            group = group.commands[words.pop(0)]
        if words != ["--version"]:
            group.make_context("mlbot", words)


@pytest.mark.nightly
def test_the_first_pull_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("MLBOT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    sandbox = repositories.script(tmp_path / "churn")
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "origin.git")], check=True)
    sandbox.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    sandbox.git("push", "--quiet", "--set-upstream", "origin", "main")
    monkeypatch.chdir(sandbox.path)
    for command in commands(FIRST):
        if command == 'git commit --all --message "Try other parameters"':
            sandbox.write({"params.yaml": (sandbox.path / "params.yaml").read_text().replace("offset: 0", "offset: 3")})
        if command == "gh pr merge --merge":
            sandbox.git("push", "--quiet", "origin", "mlbot:main")
        if command.startswith("mlbot "):
            found = entry.invoke(shlex.split(command)[1:])
            assert found in EXPECTED.get(command, {Exit.OK}), f"{command}: {capsys.readouterr()}"
        elif command.split()[0] not in ELSEWHERE:
            subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    assert (sandbox.path / "report.html").stat().st_size > 100_000
    assert {TRAIN_PATH, JUDGE_PATH} <= set(sandbox.git("ls-tree", "-r", "--name-only", "origin/main").splitlines())


def test_the_python_in_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx  # noqa: PLC0415 - only this test's
    from onnx import helper  # noqa: PLC0415

    (code,) = blocks("python", FIRST)
    names: dict[str, object] = {}
    exec(compile(code, "first-pull-request.md", "exec"), names)  # noqa: S102 - the guide's own lines
    monkeypatch.setenv("MLBOT_MODEL", str(tmp_path / "m.onnx"))
    save = names["save"]
    assert callable(save)
    save(helper.make_model(helper.make_graph([], "empty", [], [])))
    assert onnx.load(str(tmp_path / "m.onnx")).graph.name == "empty"


def test_the_move_from_cml(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk.at(github, tmp_path / "clone")
    desk.ada.open_issue("A question")
    for name, value in desk.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    given = install_cml(tmp_path, monkeypatch)
    monkeypatch.chdir(desk.sandbox.path)
    assert len(commands(MOVING)) == 7
    for command in commands(MOVING):
        if command.startswith("mlbot "):
            assert entry.invoke(shlex.split(command)[1:]) == Exit.OK, f"{command}: {capsys.readouterr()}"
        else:
            subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    assert [len(desk.bodies(number)) for number in (1, 2)] == [2, 1]
    arguments = " ".join(json.loads(given.read_text())["arguments"])
    assert f"`cml {arguments}`" in MOVING, "what the page says of the last command is what CML was given"


def test_its_yaml(tmp_path: Path) -> None:
    found = blocks("yaml", MOVING)
    (config,) = [block for block in found if block.startswith("# mlbot.yaml")]
    assert read(config).models[0].train.runs_on == ("self-hosted", "cml-gpu")
    workflows = [block for block in found if block is not config]
    assert len(workflows) == 2
    for index, text in enumerate(workflows):
        (tmp_path / f"{index}.yml").write_text(text)
    tool = Path(sys.executable).with_name("check-jsonschema")
    files = sorted(map(str, tmp_path.glob("*.yml")))
    command = [str(tool), "--builtin-schema", "vendor.github-workflows", *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text", [FIRST, MOVING], ids=["first", "moving"])
def test_every_option_in_the_text_exists(text: str) -> None:
    for verb, rest in re.findall(r"`mlbot ([a-z]+)([^`\n]*)`", text):
        assert verb in cli.commands
        known = {name for parameter in cli.commands[verb].params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, f"mlbot {verb}{rest}"
