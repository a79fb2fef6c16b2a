"""The guide to changes of data: its config is valid, its session is what mlbot says, its table names every check."""

import io
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.config_texts import parse
from tests.support.git_samples import make

from mlbot.config.data import Data
from mlbot.console import Console
from mlbot.data import checks, sketch
from mlbot.gates.metric import DataCheck
from mlbot.judging import run_data_checks
from mlbot.judging.run_changes import report_changes
from mlbot.judging.run_data import report_data
from mlbot.ml import sketches

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "data.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


def test_the_session_is_what_mlbot_says(tmp_path: Path) -> None:
    repository = make(tmp_path / "digits")
    shutil.copytree(DOCS.parent / "examples" / "image-digits" / "data", repository.path / "data")
    repository.commit({"mlbot.yaml": BLOCKS["yaml"], "train.py": ""})
    repository.git("checkout", "--quiet", "-b", "more")
    first, second, *said = BLOCKS["console"].splitlines()
    assert second == "$ mlbot config check --data"
    subprocess.run(first.removeprefix("$ "), shell=True, check=True, cwd=repository.path)  # noqa: S602 - our own page
    out = io.StringIO()
    console = Console(out=out, err=io.StringIO())
    report_data(repository.path, console, as_json=False)
    report_changes(repository.path, console)
    assert out.getvalue().splitlines() == said


def test_its_gates_are_gates() -> None:
    (model,) = parse(BLOCKS["yaml"]).models
    assert [gate.name for gate in model.gates if gate.metric.startswith("data.")] == [
        "data.overlap.max",
        "data.trigger.max",
        "data.labels.max",
    ]


def test_it_names_every_check_and_bound() -> None:
    assert all(f"\n| `{each}` |" in PAGE for each in DataCheck if each is not DataCheck.DRIFT)
    assert checks.LEVEL == 1 / 200
    assert f"{run_data_checks.MOST_SAMPLED:,} of the added ones" in PAGE
    few = checks.FEWEST
    assert f"`units` needs {few[DataCheck.UNITS]} added rows, `label_shift` {few[DataCheck.LABEL_SHIFT]}" in PAGE
    assert f"`leak` {few[DataCheck.LEAK]} rows in all, drift {few[DataCheck.DRIFT]}" in PAGE


def test_it_says_what_bounds_a_sketch() -> None:
    part = PAGE.partition("## What a sketch has")[2]
    bins, columns, beside = sketch.MOST_BINS, sketch.MOST_COLUMNS, sketch.MOST_BESIDE
    assert f"at most {bins} bins" in part
    assert f"the {bins - 1} most frequent ones, of {sketch.LONGEST_VALUE} characters at most" in part
    assert f"more than {columns}\nfeatures it takes {columns}" in part
    assert f"of targets and answers {beside}; where {sketch.MOST_BYTES // 1024} KiB" in part
    assert f"{sketches.MOST_LOOKED_AT:,} rows at most" in part
    assert "sketch" in Data.model_fields
