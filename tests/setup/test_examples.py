"""The examples: each is what its README says, and `mlbot demo --example NAME` ends each pull request as it has to."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.pythons import python_with

from mlbot import entry
from mlbot.config.run_check import check
from mlbot.console import Console
from mlbot.errors import Exit, NotEvaluatedError
from mlbot.lib.templates import examples
from mlbot.setup import run_demo

OTHERS = [name for name in run_demo.example_names() if name != run_demo.REPOSITORY]
LIGHT = {("prompt-answers", "kind-evaluator")}
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SCENES = [(name, scene.name) for name in OTHERS for scene in run_demo._played(name).scenes]


@pytest.mark.parametrize("name", OTHERS)
def test_an_example_is_whole_and_each_of_its_pull_requests_changes_what_it_says(tmp_path: Path, name: str) -> None:
    played = run_demo._played(name)
    stage = run_demo.Stage(
        folder=tmp_path / "demo", command_line=entry.invoke, console=Console(quiet=True), example=name
    )
    stage.build()
    assert [model.name for model in check(stage.repository).models] == [name]
    assert f"mlbot demo --example {name}" in (stage.repository / "README.md").read_text(encoding="utf-8")
    assert f"](examples/{name}/" in README
    for scene in run_demo._scenes_of(played):
        scene.branch(stage)
        diff = ["git", "diff", "--name-only", f"main...{scene.name}"]
        changed = subprocess.run(diff, cwd=stage.repository, check=True, capture_output=True, text=True).stdout
        assert set(changed.splitlines()) == {edit.path for edit in scene.edits}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "scene"), [pytest.param(*each, marks=() if each in LIGHT else pytest.mark.nightly) for each in SCENES]
)
def test_a_pull_request_of_an_example_ends_as_it_has_to(
    tmp_path: Path, name: str, scene: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = " ".join(run_demo._played(name).needs)
    first = f"{python_with(needs)}{os.pathsep}" if needs else ""  # installed at night
    monkeypatch.setenv("PATH", f"{first}{os.environ['PATH']}")  # which the demo changes
    ended = entry.invoke(["demo", "--example", name, "--only", scene, "--out", str(tmp_path / "demo")])
    assert ended == Exit.OK, capsys.readouterr().out


def test_an_example_that_is_not_there_is_said_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.invoke(["demo", "--example", "../adult", "--out", str(tmp_path / "demo")]) == Exit.USAGE
    assert ", ".join(run_demo.example_names()) in capsys.readouterr().err


def test_what_an_example_lacks_is_said_with_the_line_that_installs_it() -> None:
    with pytest.raises(NotEvaluatedError) as caught:
        run_demo._python_with(["no_such_module_anywhere"], "text-topics")
    assert caught.value.hint.endswith(f"pip install -r {examples() / 'text-topics' / 'requirements.txt'}")
