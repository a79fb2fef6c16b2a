"""The demo plays five pull requests with real training, then a delivery, and every outcome is the right one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mlbot import entry
from mlbot.config.run_check import check
from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.git.ledger import read_local
from mlbot.ledger.queries import live
from mlbot.lib.templates import examples
from mlbot.setup import run_demo


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_five_outcomes_and_the_delivery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert entry.invoke(["demo", "--out", str(out)]) == Exit.OK
    shown = capsys.readouterr().out
    table = dict(re.findall(r"^(improve|lost-feature|seed|no-gates|pickle) +(\w+)", shown, re.MULTILINE))
    assert table.pop("seed") in {"pass", "inconclusive"}
    assert table == {"improve": "pass", "lost-feature": "fail", "no-gates": "fail", "pickle": "error"}
    pages = sorted(page.stem for page in (out / "reports").glob("*.html"))
    assert pages == ["improve", "lost-feature", "no-gates", "pickle", "seed"]
    assert not (out / "the-pickle-ran").exists()
    delivered(out, shown)


def delivered(out: Path, shown: str) -> None:
    """Each refusal for its reason, and in the end v1.1.0 in staging and v1.0.0 in production."""
    steps = re.findall(r"^(\S.*?)  +(done|fail|refused|rolled back)  +\S", shown, re.MULTILINE)
    assert [name.strip() for name, ended in steps if ended == "refused"] == [
        "a failed gate",
        "changed bytes",
        "v1.0.0 → production",
        "v1.0.0 → production",
    ]
    assert [name.strip() for name, ended in steps if ended == "rolled back"] == ["v1.1.0 → staging"]
    entries = read_local(out / "adult-income").entries
    for environment, version in (("staging", "1.1.0"), ("production", "1.0.0")):
        last = live(entries, environment, "adult-income")
        assert last is not None
        assert last.version == version
    assert "mlbot registry history" in shown
    assert "complaints from the branch in Lyon" in shown


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo of an example cut down to a thousand rows and one seed; where it plays."""
    example = tmp_path / "examples" / run_demo.REPOSITORY
    shutil.copytree(examples() / run_demo.REPOSITORY, example)
    for table in (example / "data").glob("*.csv"):
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:1000]))
    config = example / "mlbot.yaml"
    config.write_text(config.read_text().replace("seeds: 3 ", "seeds: 1 "))
    monkeypatch.setattr(run_demo, "examples", lambda: tmp_path / "examples")
    return tmp_path / "demo"


def test_a_scene_is_played_and_its_outcome_checked(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["demo", "--only", "pickle", "--out", str(small)]) == Exit.OK
    assert re.search(r"^pickle +error +model-refused +\S", capsys.readouterr().out, re.MULTILINE)
    assert [page.name for page in (small / "reports").iterdir()] == ["pickle.html"]
    assert not (small / "the-pickle-ran").exists()


def test_every_scene_changes_the_example_as_it_says(small: Path) -> None:
    stage = run_demo.Stage(folder=small, command_line=entry.invoke, console=Console(quiet=True))
    stage.build()
    for scene in run_demo.SCENES:
        scene.branch(stage)
        diff = ["git", "diff", "--name-only", f"main...{scene.name}"]
        changed = subprocess.run(diff, cwd=stage.repository, check=True, capture_output=True, text=True).stdout
        assert set(changed.splitlines()) == {edit.path for edit in scene.edits}
        assert check(stage.repository).models


def test_a_folder_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert entry.invoke(["demo", "--out", str(tmp_path)]) == Exit.USAGE
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unknown_scene_is_said_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["demo", "--out", str(tmp_path / "demo"), "--only", "sed"]) == Exit.USAGE
    assert "improve, lost-feature, seed, no-gates, pickle, delivery" in capsys.readouterr().err
